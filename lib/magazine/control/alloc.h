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

#endif /* MAG_ALLOC_H */
