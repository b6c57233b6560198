/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_GUARD_H
#define MAG_GUARD_H

/*
 * The guard of a pool whose region has a ledger (ledger.h): no lock, and of the slow path as little
 * as it needs. Caches without a ledger are guarded in watch.c, under the slab layer's lock.
 */

#include <stdbool.h>

#include "cache/cache.h"

/** Is that so? */
static inline bool
mag_guard_is_light(const struct mag_cache *cache)
{
	return cache->region->ledger != NULL && (MAG_STAT(cache->common.watch) & MAG_WATCH_STATE);
}

/** Is it so, and nothing else is looked at when an object goes or comes? */
static inline bool
mag_guard_is_alone(const struct mag_cache *cache)
{
	/* What a thread has in its magazines it has drawn already. */
	return (MAG_STAT(cache->common.watch) & ~MAG_WATCH_HOLDERS) == MAG_WATCH_STATE &&
	       cache->region->ledger != NULL;
}

/**
 * All of n objects from the loaded magazine are a user's from now on; false with nothing changed:
 * there are too few, something else than the watch keeps this thread from the fast path, or one of
 * them is a user's already. Of a cache of which mag_guard_is_alone().
 */
bool mag_guard_get(struct mag_cache *cache, void **objects, unsigned int n);
/**
 * n objects, not 0, of such a cache come back: how many of them, up to the first one that is no
 * user's.
 */
unsigned int mag_guard_put(struct mag_cache *cache, void *const *objects, unsigned int n);

/**
 * May the slot be entered though it is watched, because objects are looked at before and behind?
 */
static inline bool
mag_guard_may_enter(const struct mag_cache *cache)
{
	return mag_guard_is_light(cache) || (MAG_STAT(cache->common.watch) & MAG_WATCH_SAMPLE);
}

/**
 * All of n objects from the magazines of this thread's slot, if nothing but the watch keeps it from
 * the fast path; false with nothing changed. No user's yet.
 */
bool mag_guard_take(struct mag_cache *cache, void **objects, unsigned int n);
/** Into these magazines, or to where mag_cache_give() puts them. */
void mag_guard_give(struct mag_cache *cache, void *const *objects, unsigned int n);

/**
 * n objects, not 0, are a user's from now on: how many of them, up to the first one that is a
 * user's already.
 */
unsigned int mag_guard_out(const struct mag_cache *cache, void *const *objects, unsigned int n);
/** n objects, not 0, come back: how many of them, up to the first one that is no user's. */
unsigned int mag_guard_back(const struct mag_cache *cache, void *const *objects, unsigned int n);

#endif /* MAG_GUARD_H */
