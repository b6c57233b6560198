/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SIMULATE_STEPS_H
#define SIMULATE_STEPS_H

/*
 * What a thread reads and writes, instruction by instruction: the trap flag stops the thread before
 * each, and a signal handler decodes the instruction (libcapstone) and computes the address.
 *
 * Left out, as no other thread has a part in it: the stack, by push, pop, call and return or
 * relative to its pointer, and thread-local variables. x86-64 only.
 */

#include <stddef.h>
#include <stdint.h>

enum step_kind {
	STEP_LOAD = 'l',
	STEP_STORE = 's',
	STEP_UPDATE = 'u',   /**< read and written, not locked */
	STEP_ADD = 'a',      /**< read and written, locked: cannot fail */
	STEP_EXCHANGE = 'x', /**< the same, by xchg, as locks are taken */
	STEP_COMPARE = 'c',  /**< compare and exchange, locked */
	STEP_PREFETCH = 'p',
	STEP_PREFETCH_WRITE = 'w',
};

struct step_access {
	uint64_t address;
	uint32_t instruction; /**< how many were executed before, since steps_begin() */
	/**
	 * The load whose value the address was computed from, the last of them: its place in the
	 * list and 1; 0: none. Such an access cannot begin before the load has ended.
	 */
	uint32_t after;
	uint16_t size; /**< bytes */
	uint8_t kind;  /**< enum step_kind */
};

struct steps {
	struct step_access *access; /**< in the order of the program; by the caller */
	size_t room;
	size_t count;          /**< more than room: the rest has been left out */
	uint32_t instructions; /**< executed, with some that steps_end() has itself */
};

/** Once, before all others. 0, or -ENOTSUP where it cannot be had. */
int steps_init(void);
/** Record what the calling thread does from here on. One thread at a time. */
void steps_begin(struct steps *steps);
void steps_end(void);

#endif /* SIMULATE_STEPS_H */
