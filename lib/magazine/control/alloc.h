/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_ALLOC_H
#define MAG_ALLOC_H

/*
 * Requests that the fast path leaves over: all or nothing.
 */

#include <stdbool.h>

#include "cache/cache.h"

/** All of n or none: also from other lcores' magazines. 0 or -ENOBUFS. */
int mag_cache_take_all(struct mag_cache *cache, void **objects, unsigned int n, bool steal);
/** The same, of a thread that may wait: constructors may, too. Not in a callback or a walk. */
int mag_cache_take_all_slowly(struct mag_cache *cache, void **objects, unsigned int n);
/** For what mag_cache_take_all() refused without a steal. 0 or -ENOBUFS. */
int mag_cache_steal_all(struct mag_cache *cache, void **objects, unsigned int n);
/** mag_cache_take_all() without a steal, of a cache that is known not to be watched (watch.h). */
int mag_cache_take_unwatched(struct mag_cache *cache, void **objects, unsigned int n);
/** The same of one that is watched, for which mag_guard_get() was asked before. */
int mag_cache_take_watched(struct mag_cache *cache, void **objects, unsigned int n);

#endif /* MAG_ALLOC_H */
