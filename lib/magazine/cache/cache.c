/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Routing: each request goes to the homes in the order of their distance, each object to its own
 * home.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <rte_common.h>
#include <rte_lcore.h>

#include "base/log.h"
#include "base/meta.h"
#include "cache/cache.h"
#include "home/object.h"

void
mag_cache_strange_report(const struct mag_cache *cache)
{
	static const struct mag_cache *_Atomic said;

	if (atomic_exchange_explicit(&said, cache, memory_order_relaxed) == cache)
		return;
	MAG_LOG(ERR,
		"cache \"%s\": another version of the library made it (layout %" PRIx64
		", here %" PRIx64 "): nothing can be had of it in this process, and what is freed "
		"to it is lost: load the same version in all processes",
		cache->name, cache->stamp.layout, MAG_CACHE_LAYOUT);
}

void
mag_cache_elsewhere_report(const struct mag_cache *cache)
{
	MAG_LOG(ERR,
		"cache \"%s\": process %d made it, with callbacks or memory that only that one "
		"has: it cannot be used in this process",
		cache->name, cache->pid);
}

const uint8_t *
mag_homes_order(const struct mag_homes *homes)
{
	unsigned int node = rte_socket_id();

	return homes->order[node < RTE_MAX_NUMA_NODES ? node : 0];
}

/* This thread's fast path is that of a home. The shared slot's, which has none, stays. */
static void
way_turn(struct mag_slot **way, struct mag_home *home)
{
	struct mag_slot *own = mag_slot_own(home->slot);

	if (*way != own && mag_thread_slot() != MAG_SLOT_SHARED)
		MAG_STORE(way, own, MAG_RELAXED);
}

unsigned int
mag_homes_take(struct mag_cache *cache, void **objects, unsigned int n, struct mag_request *request)
{
	const struct mag_homes *homes = mag_cache_homes(cache);
	const uint8_t *order = mag_homes_order(homes);
	unsigned int i, got = 0;

	way_turn(&mag_way_of(cache)->get, homes->home[order[0]]);
	for (i = 0; i < homes->count && got < n && !request->refused; i++)
		got += mag_home_take(homes->home[order[i]], objects + got, n - got, request);
	return got;
}

/* Most are near: that is less than a search of the map. */
static bool
is_of_part(const struct mag_region *region, const void *object, uint32_t part)
{
	return mag_near_has(&region->bounds[part].near, object) ||
	       mag_region_part_of(region, object) == part;
}

void
mag_homes_give(struct mag_cache *cache, void *const *objects, unsigned int n,
	       void (*give)(struct mag_home *home, void *const *objects, unsigned int n))
{
	struct mag_home *home = NULL;
	unsigned int i, run;
	uint32_t part;

	for (i = 0; i < n; i += run) {
		part = mag_region_part_of(cache->region, objects[i]);
		mag_region_know(cache->region, part);
		for (run = 1; i + run < n; run++)
			if (!is_of_part(cache->region, objects[i + run], part))
				break;
		home = mag_cache_home(cache, part);
		give(home, objects + i, run);
	}
	if (home != NULL)
		way_turn(&mag_way_of(cache)->put, home);
}

void
mag_cache_give_past(struct mag_cache *cache, void *const *objects, unsigned int n)
{
	if (likely(mag_cache_homes(cache) == NULL))
		mag_home_give_past(&cache->first, objects, n);
	else
		mag_homes_give(cache, objects, n, mag_home_give_past);
}

/* A block that was taken for a request that cannot be served. */
static void
block_give_back(struct mag_cache *cache, void *first)
{
	const struct mag_region *region = cache->region;
	struct mag_home *home = mag_cache_home_of(cache, first);
	unsigned int i;
	void *object;

	for (i = 0; i < region->block; i++) {
		object = RTE_PTR_ADD(first, (size_t)i * region->stride);
		mag_object_give_back(&cache->common, &home->slab, &object, 1, NULL);
	}
}

static int
homes_take_blocks(struct mag_cache *cache, const struct mag_homes *homes, void **first,
		  unsigned int n)
{
	const uint8_t *order = mag_homes_order(homes);
	uint64_t objects = (uint64_t)n * cache->region->block;
	unsigned int i, got = 0;

	mag_hands_begin();
	mag_transit_begin(&cache->common, objects);
	for (i = 0; i < homes->count && got < n; i++)
		while (got < n &&
		       mag_slab_alloc_blocks(&homes->home[order[i]]->slab, first + got, 1) == 0)
			got++;
	for (i = 0; got < n && i < got; i++)
		block_give_back(cache, first[i]);
	mag_transit_end(&cache->common, objects);
	mag_hands_end();
	return got == n ? 0 : -ENOBUFS;
}

int
mag_cache_take_blocks(struct mag_cache *cache, void **first, unsigned int n)
{
	const struct mag_homes *homes = mag_cache_homes(cache);
	unsigned int i;
	int ret;

	ret = likely(homes == NULL) ? mag_slab_alloc_blocks(&cache->first.slab, first, n) :
				      homes_take_blocks(cache, homes, first, n);
	for (i = 0; ret == 0 && i < n; i++)
		mag_home_count(mag_cache_home_of(cache, first[i]), cache->region->block, 0);
	return ret;
}

void
mag_cache_flush_slot(struct mag_cache *cache, uint32_t slot)
{
	struct mag_home *home;
	unsigned int part;

	MAG_FOREACH_HOME(cache, part, home)
		mag_home_flush_slot(home, slot);
}

uint64_t
mag_cache_in_lcores(const struct mag_cache *cache)
{
	struct mag_home *home;
	unsigned int part;
	uint64_t sum = 0;

	MAG_FOREACH_HOME(cache, part, home)
		sum += mag_home_in_lcores(home);
	return sum;
}

int
mag_cache_object_info(const struct mag_cache *cache, const void *object,
		      struct mag_object_info *info, struct mag_object_info *mirror)
{
	struct mag_home *home = mag_cache_home_of(cache, object);

	return home != NULL ? mag_object_info(&cache->common, &home->slab, object, info, mirror) :
			      -EINVAL;
}

void
mag_cache_discard(struct mag_cache *cache)
{
	struct mag_homes *homes = atomic_load_explicit(&cache->homes, memory_order_relaxed), *older;
	uint32_t part;

	for (part = 1; homes != NULL && part < homes->count; part++) {
		mag_home_fini(homes->home[part]);
		mag_meta_free(homes->home[part]);
	}
	for (; homes != NULL; homes = older) {
		older = homes->older;
		mag_meta_free(homes);
	}
	if (cache->process == mag_process_id) {
		free(cache->common.callbacks);
		free(cache->listing);
	}
	mag_home_fini(&cache->first);
	mag_meta_free(cache->pile);
	mag_meta_free(cache);
}

void
mag_cache_end(struct mag_cache *cache)
{
	mag_region_detach(cache->region, cache->align);
	mag_cache_discard(cache);
}
