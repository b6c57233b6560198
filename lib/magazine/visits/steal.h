/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_STEAL_H
#define MAG_STEAL_H

/*
 * What could be had of a cache, and the taking of what other lcores hold.
 */

#include <stdint.h>

#include "cache/cache.h"

/**
 * Take what other lcores hold: all of n, or none, unless some will do. Returns how many, and ends
 * the request.
 */
unsigned int mag_cache_steal(struct mag_cache *cache, void **objects, unsigned int n,
			     struct mag_request *request);
/**
 * Fill the reserve with what slabs and depots have, and then with what slots of other threads have;
 * owners that may not be visited are asked to flush. For maintenance.
 */
void mag_steal_for_reserve(struct mag_cache *cache);
/** Look how many objects users and slots have, and note the most. */
void mag_steal_note_peaks(struct mag_cache *cache);
/** An allocation fails: it is counted, and an event. */
void mag_steal_failed(struct mag_cache *cache);
/** Objects that could be had by visiting everybody, in transit included. */
uint64_t mag_cache_reachable(const struct mag_cache *cache);
/** Those, and the reserve, which not everybody can have. */
uint64_t mag_cache_all_free(const struct mag_cache *cache);

#endif /* MAG_STEAL_H */
