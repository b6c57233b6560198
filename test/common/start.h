/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef COMMON_START_H
#define COMMON_START_H

/*
 * The one starter of EAL for all test programs in C, and what comes with a run: the environment,
 * random numbers, the limit of time.
 */

#include <stdbool.h>
#include <stdint.h>

#include <rte_common.h>

/** How a program wants EAL. What is 0 is left out. */
struct eal_plan {
	const char *name;        /**< the program's kind; part of the file prefix */
	unsigned int megabytes;  /**< without hugepages; EAL's files go when the program ends */
	unsigned int lcores;     /**< one on each CPU in turn */
	bool roaming;            /**< the first may run anywhere, and there is one more that may */
	int primary;             /**< be a secondary process of this one */
	const char *plugin;      /**< to be loaded */
	const char *const *args; /**< more of EAL's arguments, up to NULL */
	int argc;                /**< the program's own arguments go to EAL too; argv[0] does not */
	char **argv;
};

/** Start EAL: its answer. */
int eal_try(const struct eal_plan *plan);
/** The same, but ends the program if EAL does not start. */
void eal_must(const struct eal_plan *plan);
/** EAL leaves its files behind when a process ends; none of them is needed again. */
void eal_files_remove(void);
/** What EAL's files are named after; empty before it is started. */
const char *eal_prefix(void);

/** The nth CPU that the program may use, beginning again after the last one. */
unsigned int cpu_nth(unsigned int n);
unsigned int cpu_count(void);
/** Let the calling thread run on all of them. */
void cpu_any(void);

/** Text or number of the environment; otherwise if it has none. */
const char *env_text(const char *name, const char *otherwise);
unsigned long env_number(const char *name, unsigned long otherwise);
/** Are the longer variants asked for? */
bool run_is_full(void);

/** A line that TAP readers take for a comment. */
void say(const char *format, ...) __rte_format_printf(1, 2);

/** MAGAZINE_SEED, or else another one each time; printed. */
uint64_t seed_choose(void);
/** Uniform random number below limit; the main thread's, from the seed. */
uint32_t random_below(uint32_t limit);
/** The same from a state of the caller's. */
uint32_t random_from(uint64_t *state, uint32_t limit);

/** End the program, with this line, after so long on an idle machine; 0: no more. */
void time_limit(unsigned int seconds, const char *line);

/** Milliseconds on a clock that only goes forward. */
uint64_t now_ms(void);

/** Bytes, and their number, that are allocated from EAL's heaps. */
uint64_t heap_balance(void);
unsigned int heap_allocations(void);

#endif /* COMMON_START_H */
