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
#include "watch/watch.h"

/* All of n from other lcores' magazines, or none: 0 or -ENOBUFS. */
MAG_INLINE int
steal_all(struct mag_cache *cache, void **objects, unsigned int n, struct mag_request *request)
{
	if (MAG_STAT(cache->dying) || mag_cache_steal(cache, objects, n, request) < n)
		return -ENOBUFS;
	if (unlikely(mag_watched(cache)))
		mag_watch_out(cache, objects, n);
	return 0;
}

MAG_INLINE int
take_all(struct mag_cache *cache, void **objects, unsigned int n, bool steal, bool may_wait)
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
	if (unlikely(mag_watched(cache)))
		mag_watch_out(cache, objects, n);
	return 0;
}

int
mag_cache_take_all(struct mag_cache *cache, void **objects, unsigned int n, bool steal)
{
	return take_all(cache, objects, n, steal, false);
}

int
mag_cache_steal_all(struct mag_cache *cache, void **objects, unsigned int n)
{
	struct mag_request request = {0};

	return steal_all(cache, objects, n, &request);
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
	unsigned int got;

	if (mag_cache_is_elsewhere(cache))
		return 0;
	got = mag_cache_take(cache, objects, n, &request);
	mag_request_end(&cache->common, &request);
	/* Nothing is out of reach: what other lcores hold, as far as it goes. */
	if (got < n && !request.refused)
		got += mag_cache_steal(cache, objects + got, n - got, &request);
	if (unlikely(got == 0 && n > 0))
		mag_steal_failed(cache);
	if (unlikely(mag_watched(cache)))
		mag_watch_out(cache, objects, got);
	return got;
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
free_by(struct mag_cache *cache, void *const *objects, unsigned int n,
	void (*give)(struct mag_cache *cache, void *const *objects, unsigned int n))
{
	if (mag_cache_is_elsewhere(cache))
		return;
	if (unlikely(mag_watched(cache)))
		mag_watch_back(cache, objects, n, give);
	else
		give(cache, objects, n);
}

void
mag_cache_free_slow(struct mag_cache *cache, void *const *objects, unsigned int n)
{
	free_by(cache, objects, n, mag_cache_give);
}

void
mag_cache_free_nocache_bulk(struct mag_cache *cache, void *const *objects, unsigned int n)
{
	free_by(cache, objects, n, mag_cache_give_past);
}

void
mag_cache_free_nocache(struct mag_cache *cache, void *object)
{
	mag_cache_free_nocache_bulk(cache, &object, 1);
}
