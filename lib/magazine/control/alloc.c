/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Requests that the fast path leaves over, of library users and mempools: take what there is, then
 * steal; and the watch's look at each object.
 */

#include <errno.h>

#include <rte_common.h>

#include "base/counter.h"
#include "control/alloc.h"
#include "visits/steal.h"
#include "watch/guard.h"
#include "watch/watch.h"

/* All of n from other lcores' magazines, or none: 0 or -ENOBUFS. */
MAG_INLINE int
steal_all(struct mag_cache *cache, void **objects, unsigned int n, struct mag_request *request)
{
	return MAG_STAT(cache->dying) || mag_cache_steal(cache, objects, n, request) < n ?
		       -ENOBUFS :
		       0;
}

MAG_INLINE int
take_or_steal(struct mag_cache *cache, void **objects, unsigned int n, bool steal, bool may_wait)
{
	struct mag_request request = {.may_wait = may_wait};
	unsigned int got = mag_cache_take(cache, objects, n, &request);

	/* Only thieves, under the visit lock, hold objects while they look for more. */
	if (got > 0 && got < n)
		mag_cache_give(cache, objects, got);
	mag_request_end(&cache->common, &request);
	if (unlikely(got < n))
		return !steal || request.refused ? -ENOBUFS :
						   steal_all(cache, objects, n, &request);
	return 0;
}

/* All of n are a user's now. If not, those that are come back, and there is another try. */
static bool
all_out(struct mag_cache *cache, void **objects, unsigned int n)
{
	unsigned int good = mag_watch_out(cache, objects, n);

	if (likely(good == n))
		return true;
	mag_watch_back(cache, objects, good, false);
	return false;
}

MAG_INLINE int
take_and_look(struct mag_cache *cache, void **objects, unsigned int n, bool steal, bool may_wait)
{
	do {
		if ((!mag_guard_may_enter(cache) || !mag_guard_take(cache, objects, n)) &&
		    take_or_steal(cache, objects, n, steal, may_wait) != 0)
			return -ENOBUFS;
	} while (unlikely(!all_out(cache, objects, n)));
	return 0;
}

static __rte_noinline int
take_watched(struct mag_cache *cache, void **objects, unsigned int n, bool steal, bool may_wait)
{
	if (likely(mag_guard_is_alone(cache) && mag_guard_get(cache, objects, n)))
		return 0;
	return take_and_look(cache, objects, n, steal, may_wait);
}

MAG_INLINE int
take_all(struct mag_cache *cache, void **objects, unsigned int n, bool steal, bool may_wait)
{
	if (unlikely(mag_watched(cache)))
		return take_watched(cache, objects, n, steal, may_wait);
	return take_or_steal(cache, objects, n, steal, may_wait);
}

int
mag_cache_take_all(struct mag_cache *cache, void **objects, unsigned int n, bool steal)
{
	return take_all(cache, objects, n, steal, false);
}

int
mag_cache_take_watched(struct mag_cache *cache, void **objects, unsigned int n)
{
	return take_and_look(cache, objects, n, false, false);
}

int
mag_cache_take_unwatched(struct mag_cache *cache, void **objects, unsigned int n)
{
	return take_or_steal(cache, objects, n, false, false);
}

int
mag_cache_steal_all(struct mag_cache *cache, void **objects, unsigned int n)
{
	struct mag_request request = {0};

	do {
		if (steal_all(cache, objects, n, &request) != 0)
			return -ENOBUFS;
	} while (unlikely(mag_watched(cache)) && !all_out(cache, objects, n));
	return 0;
}

int
mag_cache_take_all_slowly(struct mag_cache *cache, void **objects, unsigned int n)
{
	return take_all(cache, objects, n, true, true);
}

/* What the fast paths of mag_inline.h leave over. */

unsigned int
mag_cache_alloc_slow(struct mag_cache *cache, void **objects, unsigned int n)
{
	struct mag_request request = {.some = true};
	unsigned int got, good;

	if (mag_cache_is_elsewhere(cache))
		return 0;
	got = mag_cache_take(cache, objects, n, &request);
	mag_request_end(&cache->common, &request);
	/* Nothing is out of reach: what other lcores hold, as far as it goes. */
	if (got < n && !request.refused)
		got += mag_cache_steal(cache, objects + got, n - got, &request);
	if (unlikely(got == 0 && n > 0))
		mag_steal_failed(cache);
	if (likely(!mag_watched(cache)))
		return got;
	good = mag_watch_out(cache, objects, got);
	/* Others in the place of those that were left out. */
	return good < got ? good + mag_cache_alloc_slow(cache, objects + good, n - good) : got;
}

unsigned int
mag_cache_alloc_bulk_slow(struct mag_cache *cache, void **objects, unsigned int n)
{
	if (n == 0 || mag_cache_is_elsewhere(cache) ||
	    mag_cache_take_all(cache, objects, n, true) != 0)
		return 0;
	return n;
}

MAG_INLINE void
free_all(struct mag_cache *cache, void *const *objects, unsigned int n, bool past)
{
	if (mag_cache_is_elsewhere(cache))
		return;
	if (unlikely(mag_watched(cache)))
		mag_watch_back(cache, objects, n, past);
	else if (past)
		mag_cache_give_past(cache, objects, n);
	else
		mag_cache_give(cache, objects, n);
}

void
mag_cache_free_slow(struct mag_cache *cache, void *const *objects, unsigned int n)
{
	free_all(cache, objects, n, false);
}

void
mag_cache_free_nocache_bulk(struct mag_cache *cache, void *const *objects, unsigned int n)
{
	free_all(cache, objects, n, true);
}

void
mag_cache_free_nocache(struct mag_cache *cache, void *object)
{
	mag_cache_free_nocache_bulk(cache, &object, 1);
}
