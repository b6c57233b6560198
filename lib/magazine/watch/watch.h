/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_WATCH_H
#define MAG_WATCH_H

/*
 * Caches that are watched (specification, Audit and Memory tagging): what a user has is known, each
 * time an object is handed out or given back.
 *
 * In a watched cache each slot of the first home has WATCHED set in its visitor word: the fast path
 * leaves everything to the slow one, which calls the functions below just before an object is a
 * user's and just after it no longer is. A cache that nobody watches pays one load for it in the
 * slow path.
 *
 * What is watched is of four kinds (MAG_WATCH_* in home.h). A cache begins with some of them and
 * may get USES later: a thread that sees an object of which another one has announced a user sees
 * WATCHED too.
 */

#include <stdbool.h>
#include <stdint.h>

#include "cache/cache.h"

/** MAG_WATCH_* of a new cache: by its options, its region's mode, AddressSanitizer. */
uint32_t mag_watch_wanted(const struct mag_cache *cache);
/** Watch this too from now on. */
void mag_watch(struct mag_cache *cache, uint32_t what);

/** The slots of a home that others use, or are about to, lead to the slow path. */
void mag_watch_home(struct mag_home *home);

/** Is more watched than who drew what, so that slots have WATCHED? */
static inline bool
mag_watch_is_of_slots(const struct mag_cache *cache)
{
	return (MAG_STAT(cache->common.watch) & ~MAG_WATCH_HOLDERS) != 0;
}

static inline uint32_t
mag_watched(const struct mag_cache *cache)
{
	return MAG_STAT(cache->common.watch);
}

/**
 * Objects are a user's from now on.
 *
 * @return
 *   How many: those that had a user already are reported, and no longer among them.
 */
unsigned int mag_watch_out(struct mag_cache *cache, void **objects, unsigned int n);
/**
 * Objects come back from a user: those that may go where free objects go, the others are reported,
 * counted and left alone; or all ends, if the cache's option says so.
 *
 * @param past
 *   Past the magazines, to the slab layer.
 */
void mag_watch_back(struct mag_cache *cache, void *const *objects, unsigned int n, bool past);

/** Addresses of up to max objects that users have, of a guarded cache; returns how many. */
unsigned int mag_watch_held(const struct mag_cache *cache, void **objects, unsigned int max);
/** Log who has the objects that are out, of an audited cache; of a sampled pool the stacks. */
void mag_watch_report(struct mag_cache *cache);

#endif /* MAG_WATCH_H */
