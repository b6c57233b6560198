/* SPDX-License-Identifier: BSD-3-Clause */

/* Allocations that wait. */

#include <errno.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_random.h>

#include "base/deadline.h"
#include "control/alloc.h"
#include "control/registry.h"
#include "mag_maint.h"
#include "mag_stats.h"
#include "sources/elastic_grow.h"
#include "sources/elastic_service.h"
#include "visits/steal.h"

#define BACKOFF_FIRST_MS 4
#define BACKOFF_MAX_MS 1024
/* How often a waiter looks whether something was freed. */
#define SLICE_US 500

/* A segment of this thread's node, or of the nearest that has one: 0, or the error of the last. */
static int
grow_near(struct mag_cache *cache)
{
	const struct mag_homes *homes = mag_cache_homes(cache);
	const uint8_t *order;
	int ret = -ENOSPC;
	uint32_t i;

	if (cache->region->elastic == NULL)
		return ret;
	if (homes == NULL)
		return mag_elastic_grow(cache->region, 0);
	order = mag_homes_order(homes);
	for (i = 0; i < homes->count && ret != 0; i++)
		ret = mag_elastic_grow(cache->region, order[i]);
	return ret;
}

/* The same; what other regions have to spare is given back to the system for it. */
static bool
grow_hard(struct mag_cache *cache)
{
	int ret = grow_near(cache);

	if (ret == -ENOMEM) {
		mag_elastic_trim_all();
		ret = grow_near(cache);
	}
	return ret == 0;
}

static void
purge_visit(struct mag_cache *cache, void *arg)
{
	if (cache->region == arg)
		mag_cache_reap_now(cache, true);
}

/*
 * As many segments as are missing for n objects, however many others take of them; false when there
 * is none to be had.
 */
static bool
grow_for(struct mag_cache *cache, unsigned int n)
{
	uint64_t there = mag_cache_reachable(cache);
	bool grown = false;

	for (; there < n && grow_hard(cache); there += cache->region->block)
		grown = true;
	return grown;
}

/*
 * Everything but waiting: what there is, new segments, what caches of the region hold. 0, or
 * -ENOBUFS.
 */
static int
alloc_hard(struct mag_cache *cache, void **objects, unsigned int n)
{
	int ret = mag_cache_take_all_slowly(cache, objects, n);

	if (ret != 0 && grow_for(cache, n))
		ret = mag_cache_take_all_slowly(cache, objects, n);
	if (ret != 0) {
		mag_cache_walk(purge_visit, cache->region);
		ret = mag_cache_take_all_slowly(cache, objects, n);
	}
	return ret;
}

/* Objects that can be had; those that others are moving are counted later. */
static uint64_t
there_are(const struct mag_cache *cache)
{
	uint64_t transit = MAG_STAT(cache->common.transit), sum = mag_cache_reachable(cache);

	return sum - RTE_MIN(sum, transit);
}

/*
 * Sleep, until the deadline at most, or until something was freed: 0, or -EINTR. had: the objects
 * that were there before (the constructor refused them): they do not end it.
 */
static int
sleep_for(struct mag_cache *cache, uint64_t us, uint64_t deadline, uint64_t had)
{
	uint64_t end = RTE_MIN(mag_deadline_in(us), deadline);
	uint64_t frees = MAG_STAT(cache->region->frees), now;

	while (rte_rdtsc() < end) {
		if (usleep(SLICE_US) != 0 && errno == EINTR)
			return -EINTR;
		now = there_are(cache);
		if (MAG_STAT(cache->region->frees) != frees || now > had)
			break;
		had = now;
	}
	return 0;
}

int
mag_cache_alloc_wait_bulk(struct mag_cache *cache, void **objects, unsigned int n,
			  uint64_t timeout_us)
{
	uint64_t first = 1 + rte_rand_max(BACKOFF_FIRST_MS), backoff = first;
	uint64_t deadline = mag_deadline_in(timeout_us);
	int error = mag_cache_may_deadlock() ? EDEADLK : mag_cache_is_elsewhere(cache) ? EPERM : 0;
	uint64_t had;

	while (error == 0) {
		had = there_are(cache);
		/* What was had of too few is given back before this thread sleeps. */
		if (alloc_hard(cache, objects, n) == 0)
			return 0;
		if (rte_rdtsc() >= deadline)
			error = ETIMEDOUT;
		else
			error = -sleep_for(cache, backoff * 1000, deadline, had);
		backoff = backoff * 2 > BACKOFF_MAX_MS ? first : backoff * 2;
	}
	return -error;
}

void *
mag_cache_alloc_wait(struct mag_cache *cache, uint64_t timeout_us)
{
	void *object;
	int ret = mag_cache_alloc_wait_bulk(cache, &object, 1, timeout_us);

	if (ret == 0)
		return object;
	rte_errno = -ret;
	return NULL;
}
