/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_RESERVE_H
#define MAG_RESERVE_H

/*
 * Option reserve of a pool: free objects that only privileged threads can have, when there are no
 * others. The one exception to the rule that no allocation fails while objects are free.
 *
 * The objects lie in a pile (pile.h). It is filled when the pool has its memory, and later by
 * maintenance: from slabs and depots, and then from slots. Of a pool that is used up all that users
 * free lies in slots until it is a user's again, and never in slabs or depots.
 */

#include <stdbool.h>
#include <stdint.h>

#include "cache/cache.h"

/** May this thread have the reserve of any pool? */
void mag_reserve_privileged(bool privileged);
/**
 * The last way of an allocation that failed: what there is, and the rest from the reserve, if this
 * thread may: all of n or none, unless some will do. Returns how many.
 */
unsigned int mag_reserve_take(struct mag_cache *cache, void **objects, unsigned int n, bool some);
/** Fill the reserve, as far as slabs and depots have objects. */
void mag_reserve_fill(struct mag_cache *cache);
/** Into the reserve; what it has no room for, to the slabs. */
void mag_reserve_put(struct mag_cache *cache, void *const *objects, unsigned int n);

/** Objects of the reserve; 0 without one. */
static inline uint64_t
mag_reserve_objects(const struct mag_cache *cache)
{
	return cache->pile != NULL ? mag_pile_count(cache->pile) : 0;
}

#endif /* MAG_RESERVE_H */
