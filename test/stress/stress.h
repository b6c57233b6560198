/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef STRESS_H
#define STRESS_H

/*
 * What every stress program shares: EAL, random numbers of each thread, and a place where any
 * thread can say what went wrong: cmocka's assertions are for the main thread only.
 *
 * A program is a row of cells; each is one test, runs a fixed time and then accounts for
 * every object. Environment: MAGAZINE_FULL=1, longer cells; MAGAZINE_SEED, a seed to repeat;
 * MAGAZINE_STRESS_MS, the length of a cell.
 */

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "../check.h"
#include "../common/start.h"

/** The compiler's own names for a build with ThreadSanitizer. */
#if defined(__SANITIZE_THREAD__)
#define STRESS_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define STRESS_TSAN 1
#endif
#endif
#ifndef STRESS_TSAN
#define STRESS_TSAN 0
#endif

struct rng {
	uint64_t state; /**< not 0 */
};

static inline uint64_t
rng_next(struct rng *rng)
{
	rng->state ^= rng->state << 13;
	rng->state ^= rng->state >> 7;
	rng->state ^= rng->state << 17;
	return rng->state * 0x2545f4914f6cdd1dull;
}

/** Uniform below a limit that is not 0. */
static inline uint32_t
rng_below(struct rng *rng, uint32_t limit)
{
	return (rng_next(rng) >> 32) * limit >> 32;
}

/** True once in n times. */
static inline bool
rng_once_in(struct rng *rng, uint32_t n)
{
	return rng_below(rng, n) == 0;
}

/**
 * Start EAL: a main lcore that may run anywhere, one worker lcore per CPU (or, with "--crowded"
 * on the command line, STRESS_CROWD of them), and one lcore that can become a service lcore.
 * With "--filtered" a seccomp filter makes every membarrier fail from here on.
 *
 * @return
 *   0, or -1 after a line that says why.
 */
int stress_start(int argc, char **argv);
#define STRESS_CROWD 8

/** Does every membarrier fail? */
bool stress_filtered(void);

/** A generator of its own for each thread, all from one seed. */
struct rng stress_rng(void);

/** Milliseconds that a cell lasts: the former in the short run, the latter with MAGAZINE_FULL=1. */
unsigned int stress_ms(unsigned int normal, unsigned int full);
unsigned int stress_cell_ms(void);
/** The seed of all random numbers. */
uint64_t stress_seed(void);

/** Something is wrong: the first such text fails the cell. Any thread. */
void stress_blame(const char *format, ...) __rte_format_printf(1, 2);
/** Has anybody blamed? */
bool stress_blamed(void);

/** Begin a cell: forget blame, and end the process if the cell hangs. */
void stress_begin(const char *cell);
/** The same for one of another length. */
void stress_begin_long(const char *cell, unsigned int ms);
/** End a cell: fail the test if there was blame. Main thread. */
void stress_end(void);

/** Let the spare lcore run EAL's services, or take it away again. */
void stress_service_start(void);
void stress_service_stop(void);

/** Is this lcore the spare one? */
bool stress_is_spare(unsigned int lcore);

#endif /* STRESS_H */
