/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Making and destroying a cache.
 *
 * Constant fields first (mag_create_begin()), then the layers: the region is attached, the first
 * home made, the slots turned on, and a home made for each further part that the region has
 * (mag_create_finish()); then the cache is listed. Where the memory of a new node comes later, the
 * pool has its home made before the first object of it can be had (homes.h).
 *
 * A cache is destroyed only when it is idle: it leaves the list, all homes are purged, and no
 * object may be out; else it is enabled and listed again.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_bitops.h>
#include <rte_errno.h>

#include "base/counter.h"
#include "base/log.h"
#include "base/meta.h"
#include "base/numa.h"
#include "base/params.h"
#include "base/peer.h"
#include "control/create.h"
#include "control/estate.h"
#include "control/homes.h"
#include "control/registry.h"
#include "control/sizing.h"
#include "parts/type.h"
#include "sources/elastic.h"
#include "sources/elastic_service.h"
#include "sources/region_create.h"
#include "visits/perimeter.h"
#include "visits/purge.h"
#include "watch/watch.h"

/* Objects of a cache without a region, and their alignment. */
#define INTRINSIC_MAX (1u << 30)

/* Everything but the list, from a cache whose constant fields are set. */
static int
layers_init(struct mag_cache *cache)
{
	if (mag_thread_share() != 0 || (cache->flags & MAG_CACHE_POOL && mag_estate_share() != 0))
		return -ENOMEM;
	mag_peer_join();
	cache->common.bias = !cache->options.visit  ? MAG_BIAS_POLL :
			     mag_thread_all_fence() ? MAG_BIAS_FENCE :
						      mag_bias_best();
	if (!cache->options.magazines)
		cache->flags |= MAG_CACHE_NOMAGAZINES;
	if (cache->options.rounds != 0)
		cache->flags &= ~MAG_CACHE_DYNAMIC;
	cache->common.clears = cache->flags & MAG_CACHE_CLEARONFREE &&
			       (cache->region->mode & MAG_REGION_PSEUDO) == 0;
	atomic_init(&cache->common.type, mag_cache_type_first(cache));
	if (mag_homes_first(cache) != 0)
		return -ENOMEM;
	mag_watch(cache, mag_watch_wanted(cache));
	mag_cache_enable(cache);
	return mag_homes_make(cache, MAG_STAT(cache->region->parts) - 1);
}

bool
mag_create_name_is_good(const char *kind, const char *name)
{
	if (name != NULL && *name != '\0' && strlen(name) < MAG_CACHE_NAMESIZE)
		return true;
	MAG_LOG(ERR, "%s \"%s\": name must have 1 to %u characters", kind, name != NULL ? name : "",
		MAG_CACHE_NAMESIZE - 1);
	rte_errno = EINVAL;
	return false;
}

struct mag_cache *
mag_create_begin(const char *kind, const char *name, int node)
{
	struct mag_cache *cache = mag_meta_zalloc(sizeof(*cache), node);
	struct mag_listing *listing = calloc(1, sizeof(*listing));
	unsigned int i;

	if (cache == NULL || listing == NULL) {
		MAG_LOG(ERR, "%s \"%s\": no memory for %zu bytes of cache: give EAL more memory",
			kind, name, sizeof(*cache));
		mag_meta_free(cache);
		free(listing);
		rte_errno = ENOMEM;
		return NULL;
	}
	listing->cache = cache;
	cache->listing = listing;
	snprintf(cache->name, sizeof(cache->name), "%s", name);
	cache->events.name = cache->name;
	cache->head.slots = cache->first.slot;
	for (i = 0; i < MAG_SLOTS; i++)
		cache->way[i] = (struct mag_way){&cache->first.slot[i], &cache->first.slot[i]};
	cache->stamp = (struct mag_cache_stamp){MAG_CACHE_MAGIC, MAG_CACHE_LAYOUT, cache};
	cache->first.node = node;
	cache->process = mag_process_id;
	cache->pid = mag_process_pid;
	return cache;
}

/* The last steps of both kinds of cache; destroys what it cannot finish. */
struct mag_cache *
mag_create_finish(struct mag_cache *cache, const char *kind)
{
	/* First: from here on no part comes by itself that has no home. */
	if (mag_region_attach(cache->region, cache->align) != 0) {
		MAG_LOG(ERR, "%s \"%s\": region \"%s\" has two caches already", kind, cache->name,
			cache->region->name);
		rte_errno = EBUSY;
	} else if (layers_init(cache) != 0) {
		MAG_LOG(ERR,
			"%s \"%s\": no memory for the magazines of %" PRIu64 " objects (%zu "
			"bytes): give EAL more memory",
			kind, cache->name, mag_cache_objects_first(cache),
			mag_cache_arena_bytes(cache, mag_cache_objects_first(cache)));
		rte_errno = ENOMEM;
		mag_region_detach(cache->region, cache->align);
	} else {
		mag_registry_insert(cache);
		return cache;
	}
	mag_cache_discard(cache);
	return NULL;
}

static int
params_error(const struct mag_cache_params *params, const char *what, int error)
{
	MAG_LOG(ERR, "cache \"%s\": object size %zu, alignment %zu, flags 0x%x: %s",
		params->name != NULL ? params->name : "", params->object_size, params->align,
		params->flags, what);
	rte_errno = error;
	return -error;
}

static bool
region_is_aligned(const struct mag_region *region, size_t align)
{
	const struct mag_extent *extent;
	uint32_t i;

	if (region->elastic != NULL)
		return region->align >= align;
	SLIST_FOREACH(extent, &region->extents, link)
		for (i = 0; i < extent->segments; i++)
			if ((extent->segment[i].base | extent->segment[i].stride) & (align - 1))
				return false;
	return true;
}

static int
params_check(const struct mag_cache_params *params, size_t align)
{
	const struct mag_region *region = params->region;
	const unsigned int known = MAG_CACHE_NOMAGAZINES | MAG_CACHE_DYNAMIC |
				   MAG_CACHE_CLEARONFREE | MAG_CACHE_REAP_ALL;

	if (mag_cache_may_deadlock())
		return params_error(params, "not from a cache's callback, nor from a walk",
				    EDEADLK);
	if (params->object_size == 0 || (params->flags & ~known) != 0)
		return params_error(params, "needs a size above 0 and known flags", EINVAL);
	if (!RTE_IS_POWER_OF_2(align) ||
	    align > (region != NULL ? mag_region_segment_span(region) : INTRINSIC_MAX))
		return params_error(params, "alignment must be a power of two of at most a segment",
				    EINVAL);
	if (region == NULL)
		return params->object_size <= INTRINSIC_MAX ?
			       0 :
			       params_error(params, "objects of more than 1 GiB need a region",
					    EINVAL);
	if (region->mode & MAG_REGION_MIRRORED)
		return params_error(params, "a mirror cannot be a cache's own region", EINVAL);
	if (params->object_size > region->object_size ||
	    RTE_ALIGN_CEIL(params->object_size, align) > region->object_size)
		return params_error(params, "objects of the region are too small", E2BIG);
	if (!region_is_aligned(region, align))
		return params_error(params, "objects of the region are not so aligned", EINVAL);
	if (params->flags & MAG_CACHE_CLEARONFREE && region->mode & MAG_REGION_READONLY)
		return params_error(params, "a READONLY region cannot be cleared", EINVAL);
	if ((params->flags & MAG_CACHE_NOMAGAZINES) == 0 && region->mode & MAG_REGION_NOMAGAZINES)
		return params_error(params, "magazines on a NOMAGAZINES region", EINVAL);
	return 0;
}

static bool
type_is_reachable(const struct mag_cache_params *params, size_t align, uint32_t rounds)
{
	const struct mag_region *region = params->region;
	size_t chunk = region->elastic != NULL ? region->object_size :
						 RTE_ALIGN_CEIL(params->object_size, align);

	if (mag_type_is_reachable(chunk, rounds))
		return true;
	MAG_LOG(ERR,
		"cache \"%s\": option rounds=%u: objects of %zu bytes cannot have "
		"such magazines: the first type is %u, the largest %u",
		params->name, rounds, chunk, mag_type_first(chunk), mag_type_largest(chunk));
	return false;
}

static int
callbacks_copy(struct mag_cache *cache, const struct mag_cache_params *params)
{
	if (params->constructor == NULL && params->destructor == NULL && params->release == NULL)
		return 0;
	cache->common.callbacks = malloc(sizeof(*cache->common.callbacks));
	if (cache->common.callbacks == NULL)
		return params_error(params, "no memory for its callbacks", ENOMEM);
	*cache->common.callbacks = (struct mag_callbacks){
		.constructor = params->constructor,
		.destructor = params->destructor,
		.release = params->release,
		.arg = params->arg,
	};
	return 0;
}

/*
 * The first home is that of the region's first part: its records lie there, whoever makes the
 * cache.
 */
static int
node_for(const struct mag_cache_params *params)
{
	return params->node >= 0 ? params->node : params->region->part[0].node;
}

static int
options_read(const struct mag_cache_params *params, size_t align, struct mag_options *options)
{
	bool intrinsic = params->region->mode & MAG_REGION_PSEUDO;
	char who[MAG_CACHE_NAMESIZE + 16];
	int ret = mag_options_begin(options);

	options->holders = false;
	options->sampled = 0;
	snprintf(who, sizeof(who), "cache \"%s\"", params->name);
	/* All caches does not mean those that cannot be. */
	if (ret == 0 && intrinsic) {
		options->guard = MAG_GUARD_OFF;
		options->audit = false;
		options->check = false;
	}
	if (ret == 0)
		ret = mag_options_parse(who, params->options, options);
	if (ret != 0)
		return ret;
	if (options->rounds != 0 && !type_is_reachable(params, align, options->rounds))
		return -EINVAL;
	if (options->block != 0 || options->mirror != 0)
		return params_error(params, "options block and mirror are its region's", EINVAL);
	if (options->cache != MAG_CACHE_KEPT)
		return params_error(params, "option cache is a pool's: leave it out", EINVAL);
	if (options->holders)
		return params_error(params, "option holders is a pool's: leave it out", EINVAL);
	if (options->reserve != 0)
		return params_error(params, "option reserve is a pool's: leave it out", EINVAL);
	if (options->sampled != 0)
		return params_error(
			params, "option audit=1/N is a pool's: audit=1, or leave it out", EINVAL);
	if (intrinsic && (options->audit || options->check || options->guard != MAG_GUARD_OFF))
		return params_error(params, "guard, audit and check need a region", EINVAL);
	if (options->audit && params->region->audit == NULL)
		return params_error(params, "audit=1 needs a MAG_REGION_AUDIT region", EINVAL);
	if (options->check && params->region->check == NULL)
		return params_error(params, "check=1 needs a MAG_REGION_CHECK region", EINVAL);
	return 0;
}

/* Over a region that fits. */
static struct mag_cache *
cache_create(const struct mag_cache_params *params, size_t align)
{
	struct mag_options options;
	const struct mag_region *region = params->region;
	struct mag_cache *cache;

	rte_errno = -options_read(params, align, &options);
	if (rte_errno != 0)
		return NULL;
	cache = mag_create_begin("cache", params->name, node_for(params));
	if (cache == NULL)
		return NULL;
	rte_errno = -callbacks_copy(cache, params);
	if (rte_errno != 0) {
		mag_cache_discard(cache);
		return NULL;
	}
	cache->flags = params->flags;
	if (region->object_size <= mag_options_clear_min(&options) &&
	    (region->mode & MAG_REGION_READONLY) == 0)
		cache->flags |= MAG_CACHE_CLEARONFREE;
	cache->object_size = (uint32_t)params->object_size;
	cache->common.chunk_size = (uint32_t)RTE_ALIGN_CEIL(params->object_size, align);
	cache->align = (uint32_t)align;
	cache->region = params->region;
	cache->options = options;
	cache->expected = mag_region_objects_max(params->region);
	cache->is_own = cache->common.callbacks != NULL || mag_elastic_is_of_pages(region);
	if (region->mode & MAG_REGION_PSEUDO) {
		cache->flags |= MAG_CACHE_DYNAMIC | MAG_CACHE_CLEARONFREE;
		/* Nobody knows: as many in the depot as lcores can hold. */
		cache->expected = mag_magazine_max(cache->common.chunk_size);
	}
	return mag_create_finish(cache, "cache");
}

static bool
layout_is_ours(uint32_t layout, const char *name)
{
	if (layout == MAG_LAYOUT)
		return true;
	MAG_LOG(ERR,
		"cache \"%s\": the program is compiled for slots of layout %u, this library has "
		"%u: compile it with this library's headers",
		name, layout, MAG_LAYOUT);
	rte_errno = ENOTSUP;
	return false;
}

struct mag_cache *
mag_cache_create_with(const struct mag_cache_params *params, uint32_t layout)
{
	struct mag_cache_params own = MAG_CACHE_PARAMS_INIT;
	struct mag_cache *cache;
	bool is_intrinsic;
	size_t align;
	int error;

	rte_errno = -mag_params_read(&own, sizeof(own), params, "cache", "MAG_CACHE_PARAMS_INIT");
	if (rte_errno != 0)
		return NULL;
	align = own.align == 0 ? MAG_ALIGN_MIN : RTE_ALIGN_CEIL(own.align, (size_t)MAG_ALIGN_MIN);
	if (!mag_registry_copy_is_first(own.name) || !mag_create_name_is_good("cache", own.name) ||
	    !layout_is_ours(layout, own.name) || params_check(&own, align) != 0)
		return NULL;
	is_intrinsic = own.region == NULL;
	if (is_intrinsic)
		own.region = mag_region_intrinsic(own.name,
						  (uint32_t)RTE_ALIGN_CEIL(own.object_size, align),
						  (uint32_t)align, own.node);
	if (own.region == NULL)
		return NULL;
	cache = cache_create(&own, align);
	if (cache == NULL && is_intrinsic) {
		error = rte_errno;
		mag_region_destroy(own.region);
		rte_errno = error;
	}
	return cache;
}

/* A region that nobody else knows of goes with its cache. */
static void
cache_end(struct mag_cache *cache)
{
	struct mag_region *region = cache->region;

	mag_cache_end(cache);
	if (region->mode & MAG_REGION_PSEUDO)
		mag_region_destroy(region);
}

/* It is on the list of the process that made it. */
static int
may_destroy(const struct mag_cache *cache)
{
	if (mag_cache_may_deadlock()) {
		MAG_LOG(ERR, "cache \"%s\": not from a cache's callback, nor from a walk",
			cache->name);
		return -EDEADLK;
	}
	if (mag_cache_is_strange(cache))
		return -EPERM;
	if (cache->process != mag_process_id) {
		MAG_LOG(ERR, "cache \"%s\": process %d made it: destroy it there", cache->name,
			cache->pid);
		return -EPERM;
	}
	return 0;
}

/* Inside the perimeter: empty all homes. 0, or -EBUSY with a log line when the cache is in use. */
static int
cache_empty(struct mag_cache *cache)
{
	int ret = mag_cache_purge_inside(cache, true);
	struct mag_home *home;
	unsigned int part;
	uint64_t out = 0;

	MAG_FOREACH_HOME(cache, part, home)
		out += MAG_STAT(home->slab.out);
	if (ret == 0 && out == 0)
		return 0;
	if (ret != 0)
		MAG_LOG(ERR, "cache \"%s\": an lcore is using it: stop all users, then destroy it",
			cache->name);
	else
		MAG_LOG(ERR,
			"cache \"%s\": %" PRIu64 " objects are out: free them, then destroy it",
			cache->name, out);
	mag_watch_report(cache);
	return -EBUSY;
}

int
mag_cache_destroy(struct mag_cache *cache)
{
	int ret;

	if (cache == NULL)
		return 0;
	ret = may_destroy(cache);
	if (ret != 0)
		return ret;
	mag_registry_remove(cache);
	if (!mag_perimeter_enter(cache, false)) {
		MAG_LOG(ERR, "cache \"%s\": is being resized: destroy it later", cache->name);
		mag_registry_insert(cache);
		return -EBUSY;
	}
	ret = cache_empty(cache);
	if (ret == 0) {
		cache_end(cache);
		return 0;
	}
	/* What a user has purged stays off. */
	mag_cache_enable_inside(cache);
	mag_perimeter_leave(cache);
	mag_registry_insert(cache);
	return ret;
}
