/* SPDX-License-Identifier: BSD-3-Clause */

/* Allocations that wait (spec 8). */

#include <errno.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_random.h>

#include "cache.h"
#include "exchange.h"
#include "visit.h"

#define DEFAULT_US 20000000ull
#define BACKOFF_FIRST_MS 4
#define BACKOFF_MAX_MS 1024
/* How often a waiter looks whether something was freed. */
#define SLICE_US 500

/* At most what can be added to a TSC: centuries. */
static uint64_t
us_to_tsc(uint64_t us)
{
	uint64_t each = RTE_MAX(rte_get_tsc_hz() / 1000000, 1ull), max = UINT64_MAX / 2;

	return us < max / each ? each * us : max;
}

/* A segment of this thread's node, or of the nearest that has one. */
static bool
grow_near(struct mag_cache *cache)
{
	const struct mag_homes *homes = mag_cache_homes(cache);
	const uint8_t *order;
	uint32_t i;

	if (cache->region->elastic == NULL)
		return false;
	if (homes == NULL)
		return mag_elastic_grow(cache->region, 0) == 0;
	order = mag_homes_order(homes);
	for (i = 0; i < homes->count; i++)
		if (mag_elastic_grow(cache->region, order[i]) == 0)
			return true;
	return false;
}

static void
purge_visit(struct mag_cache *cache, void *arg)
{
	if (cache->region == arg)
		mag_cache_reap_now(cache, true);
}

/* Everything but waiting: what there is, a new segment, what caches of the region hold. */
static void *
alloc_hard(struct mag_cache *cache)
{
	void *object = mag_cache_alloc(cache);

	if (object == NULL && mag_cache_reachable(cache) == 0 && grow_near(cache))
		object = mag_cache_alloc(cache);
	if (object == NULL) {
		mag_cache_walk(purge_visit, cache->region);
		object = mag_cache_alloc(cache);
	}
	return object;
}

/*
 * Sleep, until the deadline at most, or until something was freed: 0, or -EINTR. Objects that
 * were there before (the constructor refused them) do not end it.
 */
static int
sleep_for(struct mag_cache *cache, uint64_t us, uint64_t deadline)
{
	uint64_t end = RTE_MIN(rte_rdtsc() + us_to_tsc(us), deadline);
	uint64_t frees = MAG_STAT(cache->region->frees), had = mag_cache_reachable(cache);

	while (rte_rdtsc() < end) {
		if (usleep(SLICE_US) != 0 && errno == EINTR)
			return -EINTR;
		if (MAG_STAT(cache->region->frees) != frees || mag_cache_reachable(cache) > had)
			break;
	}
	return 0;
}

void *
mag_cache_alloc_wait(struct mag_cache *cache, uint64_t timeout_us)
{
	uint64_t first = 1 + rte_rand_max(BACKOFF_FIRST_MS), backoff = first;
	uint64_t deadline =
		rte_rdtsc() + us_to_tsc(timeout_us == MAG_WAIT_DEFAULT ? DEFAULT_US : timeout_us);
	int error = mag_cache_may_deadlock() ? EDEADLK : 0;
	void *object;

	while (error == 0) {
		object = alloc_hard(cache);
		if (object != NULL)
			return object;
		if (rte_rdtsc() >= deadline)
			error = ETIMEDOUT;
		else
			error = -sleep_for(cache, backoff * 1000, deadline);
		backoff = backoff * 2 > BACKOFF_MAX_MS ? first : backoff * 2;
	}
	rte_errno = error;
	return NULL;
}
