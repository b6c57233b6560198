/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The driver's door: a mempool's cache is made, gets homes, is emptied and freed.
 */

#include <errno.h>
#include <inttypes.h>

#include <rte_common.h>
#include <rte_errno.h>

#include "base/compat.h"
#include "base/counter.h"
#include "base/log.h"
#include "control/create.h"
#include "control/homes.h"
#include "control/pool.h"
#include "control/registry.h"
#include "control/sizing.h"
#include "visits/perimeter.h"
#include "visits/purge.h"
#include "watch/watch.h"

/* Purges of a pool that is populated again before an lcore that does not let go makes it fail. */
#define RESET_TRIES 3

/*
 * What rte_mempool's caches are to be: as they were made, or as the options say. A pool that was
 * made without has no room for them.
 */
static int
cache_size_of(const struct mag_pool_params *params, uint32_t *size)
{
	uint32_t wanted = mag_options_cache(&params->options), most = wanted;

	*size = params->cache_size;
	if (wanted == MAG_CACHE_KEPT || wanted == *size)
		return 0;
	if (*size == 0) {
		MAG_LOG(NOTICE,
			"pool \"%s\": option cache=%u: changes nothing: the pool was made without "
			"caches (cache_size 0)",
			params->name, wanted);
		return 0;
	}
	while (mag_compat_flushthresh(most) > params->objects)
		most--;
	if (most < wanted) {
		MAG_LOG(ERR,
			"pool \"%s\": option cache=%u: a cache would hold %u of its %" PRIu64
			" objects: must be 0 (off) or 1 to %u for this pool",
			params->name, wanted, mag_compat_flushthresh(wanted), params->objects,
			most);
		return -EINVAL;
	}
	if (params->options.cache == MAG_CACHE_KEPT)
		MAG_LOG(NOTICE,
			"pool \"%s\": guard, audit and check see no object in a mempool's caches: "
			"those, of %u objects, are off (cache=0)",
			params->name, *size);
	*size = wanted;
	return 0;
}

static bool
options_fit(const struct mag_pool_params *params)
{
	const struct mag_options *options = &params->options;

	if (options->clear_min != MAG_CLEAR_MIN_LINES)
		MAG_LOG(ERR,
			"pool \"%s\": option clear_min=%u: objects of a pool are never cleared: "
			"leave it out",
			params->name, options->clear_min);
	else if (options->reserve > 0 && options->reserve >= params->objects)
		MAG_LOG(ERR,
			"pool \"%s\": option reserve=%u: must be less than its %" PRIu64 " objects",
			params->name, options->reserve, params->objects);
	else
		return true;
	rte_errno = EINVAL;
	return false;
}

/* 0, or -1 with rte_errno and a log line. */
static int
reserve_make(struct mag_cache *cache, int node)
{
	uint32_t objects = cache->options.reserve;

	if (objects == 0)
		return 0;
	cache->pile = mag_pile_make(objects, node);
	if (cache->pile != NULL)
		return 0;
	MAG_LOG(ERR, "pool \"%s\": no memory for a reserve of %u objects: give EAL more memory",
		cache->name, objects);
	rte_errno = ENOMEM;
	return -1;
}

struct mag_cache *
mag_pool_create(const struct mag_pool_params *params)
{
	struct mag_cache *cache;
	uint32_t cache_size;

	if (mag_cache_may_deadlock()) {
		MAG_LOG(ERR, "pool \"%s\": not from a cache's callback, nor from a walk",
			params->name);
		rte_errno = EDEADLK;
		return NULL;
	}
	if (!mag_registry_copy_is_first(params->name) ||
	    !mag_create_name_is_good("pool", params->name) || !options_fit(params))
		return NULL;
	rte_errno = -cache_size_of(params, &cache_size);
	if (rte_errno != 0)
		return NULL;
	cache = mag_create_begin("pool", params->name, params->node);
	if (cache == NULL)
		return NULL;
	cache->flags = MAG_CACHE_POOL | MAG_CACHE_DYNAMIC;
	cache->object_size = params->object_size;
	cache->common.chunk_size = params->object_size;
	cache->align = MAG_ALIGN_MIN;
	cache->region = params->region;
	cache->options = params->options;
	cache->expected = params->objects;
	cache->mempool_cache = cache_size;
	if (reserve_make(cache, params->node) != 0) {
		mag_cache_discard(cache);
		return NULL;
	}
	return mag_create_finish(cache, "pool");
}

static int
perimeter_error(const struct mag_cache *cache)
{
	MAG_LOG(ERR,
		"pool \"%s\": a thread stays in a resize or purge of it: see whether it was "
		"stopped, and populate again",
		cache->name);
	return -EBUSY;
}

int
mag_pool_home(struct mag_cache *cache, int node)
{
	int ret = mag_homes_make(cache, mag_region_part_of_node(cache->region, node));

	if (ret == -EBUSY)
		return perimeter_error(cache);
	if (ret == 0)
		return 0;
	MAG_LOG(ERR,
		"pool \"%s\": no memory for the magazines of node %d (%zu bytes): give EAL more "
		"memory",
		cache->name, node,
		sizeof(struct mag_home) + mag_cache_arena_bytes(cache, cache->expected));
	return -ENOMEM;
}

bool
mag_pool_free(struct mag_cache *cache)
{
	/* Its records stay until the primary process ends. */
	if (mag_cache_is_strange(cache))
		return false;
	/*
	 * Only that process knows its list. Where it has ended, the records stay until the primary
	 * ends.
	 */
	if (cache->process != mag_process_id) {
		MAG_LOG(NOTICE,
			"pool \"%s\": freed by another process than %d, which made it: its records "
			"stay until maintenance of that one comes by",
			cache->name, cache->pid);
		mag_registry_leave_word(cache);
		return false;
	}
	/*
	 * A walk goes on behind this cache, or somebody with the list waits for what this callback
	 * holds.
	 */
	if (mag_cache_may_deadlock()) {
		mag_registry_leave_word(cache);
		return false;
	}
	mag_registry_remove(cache);
	mag_cache_end(cache);
	return true;
}

int
mag_pool_reset(struct mag_cache *cache)
{
	unsigned int part, tries;
	struct mag_home *home;
	int ret = -EAGAIN;

	if (!mag_perimeter_enter(cache, true))
		return perimeter_error(cache);
	for (tries = 0; ret != 0 && tries < RESET_TRIES; tries++)
		ret = mag_cache_purge_inside(cache, true);
	if (ret == 0) {
		/* Slabs lie in the region's memory, and maintenance may look at them. */
		MAG_FOREACH_HOME(cache, part, home)
			mag_slab_reset(&home->slab);
		if (cache->pile != NULL)
			mag_pile_forget(cache->pile);
		mag_region_reset(cache->region);
		mag_cache_enable_inside(cache);
	} else {
		/* What it has in its magazines is of the memory that is gone. */
		MAG_LOG(ERR,
			"pool \"%s\": an lcore is using it: stop all users, then populate it again",
			cache->name);
	}
	mag_perimeter_leave(cache);
	return ret;
}

static void
block_watch_out(struct mag_cache *cache, void *first)
{
	const struct mag_region *region = cache->region;
	unsigned int i;
	void *object;

	for (i = 0; i < region->block; i++) {
		object = RTE_PTR_ADD(first, (size_t)i * region->stride);
		mag_watch_out(cache, &object, 1);
	}
}

static struct mag_home *
near_home(struct mag_cache *cache)
{
	const struct mag_homes *homes = mag_cache_homes(cache);

	return likely(homes == NULL) ? &cache->first : homes->home[mag_homes_order(homes)[0]];
}

int
mag_pool_take_blocks(struct mag_cache *cache, void **first, unsigned int n)
{
	bool watched = mag_watched(cache);
	unsigned int i;
	int ret;

	/* What was put last: neither slabs nor their lock. */
	if (likely(!watched) && mag_home_take_blocks(near_home(cache), first, n))
		return 0;
	ret = mag_cache_take_blocks(cache, first, n);
	for (i = 0; ret == 0 && unlikely(watched) && i < n; i++)
		block_watch_out(cache, first[i]);
	return ret;
}
