/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_AUDIT_H
#define MAG_AUDIT_H

/*
 * Caches that are watched (spec 11 and 12, design 11): what a user has is known, each time an object is handed out
 * or given back.
 *
 * In a watched cache each slot of the main home has WATCHED set in its visitor word: the fast path leaves
 * everything to the slow one, which calls the functions below just before an object is a user's and just after it
 * no longer is. A cache that nobody watches pays one load for it in the slow path.
 *
 * What is watched is of four kinds. A cache begins with some of them and may get USES later: who sees an
 * object that another thread has announced a user of sees WATCHED too.
 */

#include <stdbool.h>
#include <stdint.h>

#include "types.h"

#define MAG_WATCH_STATE 0x1u  /**< each object is with a user or not: guard */
#define MAG_WATCH_AUDIT 0x2u  /**< and who had it last, and gave it back: STATE is set too */
#define MAG_WATCH_USES 0x4u   /**< use counts: some object has, or had, users */
#define MAG_WATCH_POISON 0x8u /**< who touches an object that is not with a user is told so */

/** What of a new cache is to be watched: its options, its region's mode, AddressSanitizer. */
uint32_t mag_watch_wanted(const struct mag_cache *cache);
/** Watch this too from now on. */
void mag_watch(struct mag_cache *cache, uint32_t what);

static inline uint32_t
mag_watched(const struct mag_cache *cache)
{
	return MAG_STAT(cache->watch);
}

/** Objects are a user's from now on. */
void mag_watch_out(struct mag_cache *cache, void *const *objects, unsigned int n);
/**
 * Objects come back from a user: those that may are passed to give, the others are reported, counted
 * and left alone; or all ends, if the cache's option says so.
 */
void mag_watch_back(struct mag_cache *cache, void *const *objects, unsigned int n,
		    void (*give)(struct mag_cache *cache, void *const *objects, unsigned int n));

/** A callback is going to touch an object that is not with a user; and it has. */
void mag_watch_lend(struct mag_cache *cache, void *object);
void mag_watch_return(struct mag_cache *cache, void *object);

/** Say who has the objects that are out, of an audited cache. */
void mag_watch_report(struct mag_cache *cache);

#endif /* MAG_AUDIT_H */
