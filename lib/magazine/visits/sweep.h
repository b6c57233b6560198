/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_SWEEP_H
#define MAG_SWEEP_H

/*
 * Visits to the slots of a home: purge.h and steal.h are made of them.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_common.h>

#include "cache/cache.h"

/** An owner that does not let go for this long is preempted inside an operation. */
#define MAG_SWEEP_US 5000

/** Under the visit lock of its home. */
struct mag_sweep {
	struct mag_home *home;
	uint32_t bits;
	bool idle;    /**< nobody uses the cache: no owner needs a fence */
	bool fencing; /**< no membarrier: only to owners that acknowledged FENCE, and to slots
			 without */
	uint64_t wanted[RTE_ALIGN_MUL_CEIL(MAG_SLOTS, 64) / 64];
	unsigned int count;
	bool denied;              /**< some owner did not let go ... */
	unsigned int denied_slot; /**< ... of this slot */
};

/** A sweep of nothing so far. bits: VISIT, with PURGE or without. */
struct mag_sweep mag_sweep_make(struct mag_home *home, uint32_t bits);
void mag_sweep_announce(struct mag_sweep *sweep, unsigned int slot);
/**
 * Wait until owners grant. The slots that do not are counted and dropped from the sweep.
 *
 * @return
 *   False when any was dropped.
 */
bool mag_sweep_await(struct mag_sweep *sweep, uint64_t deadline, _Atomic uint64_t *denied);
/** Let all slots go. */
void mag_sweep_dismiss(struct mag_sweep *sweep);

/** Is the slot of the sweep? */
static inline bool
mag_sweep_wants(const struct mag_sweep *sweep, unsigned int slot)
{
	return sweep->wanted[slot / 64] >> (slot % 64) & 1;
}

/** Nobody is visited: owners flush when they next come by. */
void mag_sweep_ask(struct mag_home *home);

/**
 * May this process visit all owners of a home? If not they are asked: with visit=0, and once a
 * membarrier has failed, until each has acknowledged FENCE.
 */
bool mag_home_may_visit(const struct mag_home *home);
/** The same, of all homes. */
bool mag_cache_may_visit(const struct mag_cache *cache);
/** Has a membarrier failed, so that only those owners are visited that have acknowledged FENCE? */
bool mag_sweep_is_fencing(const struct mag_common *common);
bool mag_sweep_slot_is_fenced(const struct mag_home *home, unsigned int slot);

/**
 * Take a lock that visitors hold; false, and counted in denied, when it is not free until the
 * deadline.
 */
bool mag_lock_until(struct mag_lock *lock, uint64_t deadline, _Atomic uint64_t *denied);
/** The same for 100 ms, counted in visits_denied. */
bool mag_visitor_lock(struct mag_home *home, struct mag_lock *lock);

#endif /* MAG_SWEEP_H */
