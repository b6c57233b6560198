/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_CHECK_H
#define MAG_CHECK_H

/*
 * Writes to free objects, and behind objects (option check). When an object comes back, what is in
 * it is noted (snapshot.h), and looked at when it is handed out the next time. A library cache
 * without callbacks fills its free objects; where the memory is its own, bytes behind an object
 * have a pattern while a user has it.
 */

#include <stdbool.h>

#include "cache/cache.h"

/** MAG_WATCH_* that a cache has for it: none where AddressSanitizer looks at each access. */
uint32_t mag_check_wanted(const struct mag_cache *cache);
/** n objects are about to be a user's: were they written to? Reported and counted. */
void mag_check_out(struct mag_cache *cache, void *const *objects, unsigned int n);
/** n objects are a user's no longer: was it written behind them? From now on they stay as is. */
void mag_check_back(struct mag_cache *cache, void *const *objects, unsigned int n, bool fill);

#endif /* MAG_CHECK_H */
