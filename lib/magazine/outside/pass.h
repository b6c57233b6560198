/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_PASS_H
#define MAG_PASS_H

/*
 * A pass of maintenance over all caches and elastic regions of the process: updates that are due,
 * reaps that were requested, memory that regions want or have to spare. Passes exclude each other.
 * A service lcore makes them, or the control thread (maint.h); these alone decide when.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/counter.h"

#define MAG_INTERVAL_MAX_MS 3600000

/**
 * Do all that is due.
 *
 * @param guarded
 *   Keep the end of EAL away from each cache that is worked on. Not on a service lcore:
 *   rte_eal_cleanup() waits for those.
 * @return
 *   False: another thread is at it or has the list of caches, passes are forbidden, or EAL ends;
 *   what was due still is.
 */
bool mag_pass_run(bool guarded);

/**
 * TSC of the next work, UINT64_MAX: never; all that an idle service looks at, in a tight loop.
 * pass.c alone writes it.
 */
extern _Atomic uint64_t mag_pass_due;

/** Something is due. */
static inline bool
mag_pass_is_due(uint64_t now)
{
	return now >= MAG_STAT(mag_pass_due);
}

/** Something may be due: the next pass finds out what. On the data path, too. */
void mag_pass_make_due(void);
/**
 * The next pass reclaims all caches, unless one has within the interval. In a signal handler, too.
 */
void mag_pass_request_reap(void);

/** From now on a pass does not begin, or does again. */
void mag_pass_forbid(bool forbidden);
bool mag_pass_is_forbidden(void);
/** Do something while no pass is under way; false: one is, and nothing was done. */
bool mag_pass_between(void (*what)(void));
/** Wait for the end of the pass that is under way. */
void mag_pass_await(void);

/** Update interval of all caches in ms from now on, 1 to MAG_INTERVAL_MAX_MS; 0: each one's own. */
void mag_pass_override(uint32_t interval_ms);

/** In the child of a fork: nothing is due, and no pass is under way. */
void mag_pass_forked(void);

#endif /* MAG_PASS_H */
