/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include <rte_common.h>

#include "base/meta.h"
#include "base/numa.h"
#include "control/homes.h"
#include "control/sizing.h"
#include "visits/perimeter.h"
#include "visits/purge.h"
#include "watch/watch.h"

/* From a cache whose constant fields and type are set. */
static int
home_init(struct mag_cache *cache, struct mag_home *home, uint32_t part)
{
	home->common = &cache->common;
	return mag_home_init(home, cache->region, part,
			     cache->region->mode & MAG_REGION_PSEUDO ? 0 : cache->expected,
			     mag_cache_arena_bytes(cache, mag_cache_objects_first(cache)),
			     mag_cache_arena_bytes(cache, cache->expected));
}

int
mag_homes_first(struct mag_cache *cache)
{
	return home_init(cache, &cache->first, 0);
}

/* Parts by their distance from a node: the first ones keep their order among equals. */
static void
homes_sort(const struct mag_region *region, int node, uint8_t *order, uint32_t count)
{
	uint32_t i, at;
	int distance;

	for (i = 0; i < count; i++) {
		distance = mag_numa_distance(node, RTE_MAX(region->part[i].node, 0));
		for (at = i; at > 0 &&
			     mag_numa_distance(node, RTE_MAX(region->part[order[at - 1]].node, 0)) >
				     distance;
		     at--)
			order[at] = order[at - 1];
		order[at] = (uint8_t)i;
	}
}

/* A table like the one in force, with another home. */
static struct mag_homes *
homes_with(struct mag_cache *cache, struct mag_home *home)
{
	struct mag_homes *old = atomic_load_explicit(&cache->homes, memory_order_relaxed);
	struct mag_homes *homes = mag_meta_zalloc(sizeof(*homes), cache->first.node);
	int node;

	if (homes == NULL)
		return NULL;
	if (old != NULL)
		*homes = *old;
	homes->older = old;
	homes->home[0] = &cache->first;
	homes->count = old != NULL ? old->count + 1 : 2;
	homes->home[homes->count - 1] = home;
	for (node = 0; node < RTE_MAX_NUMA_NODES; node++)
		homes_sort(cache->region, node, homes->order[node], homes->count);
	return homes;
}

static void
puts_look(struct mag_home *home)
{
	unsigned int i;

	for (i = 0; i < MAG_SLOT_SHARED; i++)
		MAG_FETCH_OR(&home->slot[i].visitor_put, MAG_PUT_NEAR, MAG_RELAXED);
}

/*
 * Puts look at what they put before the first object of another home is to be had: whoever has one
 * came to it by something that orders the bit before it.
 */
static void
homes_publish(struct mag_cache *cache, struct mag_homes *homes, struct mag_home *home)
{
	puts_look(home);
	puts_look(&cache->first);
	/* release: pairs with the acquire in mag_cache_homes() */
	atomic_store_explicit(&cache->homes, homes, memory_order_release);
	/*
	 * Either this sees that the cache is watched, or who makes it so sees the home: pairs with
	 * the fence in mag_watch().
	 */
	atomic_thread_fence(memory_order_seq_cst);
	if (mag_watch_is_of_slots(cache))
		mag_watch_home(home);
}

/* Inside the perimeter, so that the slots of the new home get the type that all others have. */
static int
home_add(struct mag_cache *cache, struct mag_home *home, uint32_t part)
{
	struct mag_homes *homes;

	homes = home_init(cache, home, part) == 0 ? homes_with(cache, home) : NULL;
	if (homes == NULL)
		return -ENOMEM;
	homes_publish(cache, homes, home);
	mag_cache_enable_inside(cache);
	return 0;
}

/* A home for the next part that has none. */
static int
home_make(struct mag_cache *cache)
{
	const struct mag_homes *now = mag_cache_homes(cache);
	uint32_t part = now != NULL ? now->count : 1;
	int node = cache->region->part[part].node, ret = -EBUSY;
	struct mag_home *home = mag_meta_zalloc(sizeof(*home), node);

	if (home == NULL)
		return -ENOMEM;
	home->node = node;
	if (mag_perimeter_enter(cache, true)) {
		ret = home_add(cache, home, part);
		mag_perimeter_leave(cache);
	}
	if (ret != 0) {
		mag_home_fini(home);
		mag_meta_free(home);
	}
	return ret;
}

int
mag_homes_make(struct mag_cache *cache, uint32_t part)
{
	int ret = 0;

	while (ret == 0 && mag_cache_home(cache, part) == NULL)
		ret = home_make(cache);
	return ret;
}

void
mag_homes_grow_arenas(struct mag_cache *cache)
{
	struct mag_home *home;
	unsigned int part;

	MAG_FOREACH_HOME(cache, part, home)
		mag_arena_serve(&home->arena);
}
