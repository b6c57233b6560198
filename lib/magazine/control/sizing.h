/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_SIZING_H
#define MAG_SIZING_H

/*
 * How large the magazines of a cache are, and its arenas.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/counter.h"
#include "cache/cache.h"

/** Type that the cache must shrink to, now that more lcores run; the present one if it may stay. */
uint32_t mag_cache_type_bound(const struct mag_cache *cache);
/** Type that contention makes it grow to; the present one if it may not grow. */
uint32_t mag_cache_type_grown(const struct mag_cache *cache);
/** Type of a new cache; 0 = no magazines. */
uint32_t mag_cache_type_first(const struct mag_cache *cache);
/** Bytes of each home's arena for so many objects, of whatever type the cache may come to. */
size_t mag_cache_arena_bytes(const struct mag_cache *cache, uint64_t objects);
/** Objects that the arenas of a new cache are for: an elastic region begins with few. */
static inline uint64_t
mag_cache_objects_first(const struct mag_cache *cache)
{
	return cache->region->elastic != NULL ? MAG_STAT(cache->region->objects) : cache->expected;
}

#endif /* MAG_SIZING_H */
