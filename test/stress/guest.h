/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef STRESS_GUEST_H
#define STRESS_GUEST_H

/*
 * Pools and caches that come and go: of random flavours, populated at once or in pieces, worked on
 * for a moment by a few threads, accounted for, freed. What fails for want of memory must have been
 * made to fail; it is tried again, or given up.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct guests {
	bool pools; /**< else caches of the library */
	_Atomic bool end;
	_Atomic uint64_t made;
	_Atomic uint64_t refused; /**< for want of memory, made to fail */
	_Atomic uint64_t resumed; /**< after a piece was refused */
	_Atomic uint64_t gets;
};

/** A thread's main function: one guest after the other until the end. Argument: struct guests. */
void *guests_main(void *arg);

#endif /* STRESS_GUEST_H */
