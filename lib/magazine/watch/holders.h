/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_HOLDERS_H
#define MAG_HOLDERS_H

/*
 * Who holds the objects of a pool (option holders). Each object has a word in the ledger: the slot
 * whose owner drew it from depot, slabs or another lcore last, and when it was last known to be in
 * the pool. A thread writes the words of what it draws, behind the fast path, which knows nothing
 * of it. A look at the pool writes the time of all that lie in magazines, depot and slabs: what has
 * an older time afterwards is out, since then.
 *
 * A look disturbs nobody, so it is no picture of one moment: an object that is on its way while the
 * look passes by may be missed by it, and counts as out for as long as it was on its way.
 */

#include <stdint.h>

#include "cache/cache.h"

/** Objects that are out, and were drawn by one slot; or by nobody that is known. */
struct mag_holder {
	uint64_t objects;
	uint64_t oldest_ms; /**< time since the first of them was known to be in the pool */
};

/** This slot's number stands for nobody. */
#define MAG_HOLDER_UNKNOWN MAG_SLOTS

/** This thread has drawn n objects, and what its magazines got at the same time. */
void mag_holders_drew(struct mag_cache *cache, void *const *objects, unsigned int n);

/** Now, for the functions below. */
uint64_t mag_holders_now(void);
/** These objects are in the pool, or in a cache before it. */
void mag_holders_see(const struct mag_cache *cache, void *const *objects, unsigned int n,
		     uint64_t now);
/** The same for all in magazines, depots and slabs. Inside the perimeter. */
void mag_holders_look(struct mag_cache *cache, uint64_t now);
/** What was not seen since a moment, by slot. Inside the perimeter. */
void mag_holders_count(struct mag_cache *cache, uint64_t since,
		       struct mag_holder holders[MAG_SLOTS + 1]);

#endif /* MAG_HOLDERS_H */
