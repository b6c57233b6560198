/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_PURGE_H
#define MAG_PURGE_H

/*
 * Purge, resize, reap and reclaim of a cache: from magazines to the slabs.
 */

#include <stdbool.h>
#include <stdint.h>

#include "cache/cache.h"
#include "mag_maint.h"

/** Added to the remembered contention by a resize, so that it does not cause the next one. */
#define MAG_CONTENTION_REST (1ull << 40)

/**
 * Gather the objects of all magazines in the slabs, for contiguous blocks: purge, enable.
 * 0; -EAGAIN when an owner did not let go or there is nothing to gather; -EBUSY when somebody else
 * stayed in the perimeter for 5 ms.
 */
int mag_cache_gather(struct mag_cache *cache);
/** Resize to any type, 0 = layer off; else as mag_cache_resize(). */
int mag_cache_change_type(struct mag_cache *cache, uint32_t rounds, bool wait);
/** The two halves of an update's work on the depot. */
void mag_cache_working_set_update(struct mag_cache *cache);
/**
 * @param chains
 *   Of each list of each home, at most.
 * @return
 *   There may be more to reap: the next call goes on with it, and counts as the same reap.
 */
bool mag_cache_working_set_reap(struct mag_cache *cache, unsigned int chains);
/**
 * Purge by a thread that is in the perimeter.
 *
 * @param idle
 *   Nobody uses the cache: owners that may not be interrupted need not be asked.
 * @return
 *   0, or -EAGAIN, the layer being on as before: an owner did not let go, or owners can only be
 * asked, and were; what some homes, the shared slots and the depots held is then in the slabs.
 */
int mag_cache_purge_inside(struct mag_cache *cache, bool idle);

/** Inside the perimeter: on again, unless somebody purged it and has not enabled it since. */
void mag_cache_enable_inside(struct mag_cache *cache);

#endif /* MAG_PURGE_H */
