/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Regions of every kind are made and destroyed.
 *
 * A region is made in three steps: parameters are checked, with a log line that names the region
 * and what is wrong; mag_region_alloc() makes one without memory; the kind then lays out and takes
 * its own. When that fails, region_free() undoes what there is. Adopted memory comes later, by
 * mag_region_adopt().
 *
 * A region is destroyed when no cache uses it (references), by the process that made it, and a
 * mirror region after its first region, which counts as a reference to it.
 */

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <rte_errno.h>

#include "base/counter.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/params.h"
#include "mag_mirror.h"
#include "parts/options.h"
#include "sources/elastic.h"
#include "sources/elastic_create.h"
#include "sources/region_create.h"
#include "stores/region.h"

static int
params_error(const struct mag_region_params *params, const char *what, int error)
{
	MAG_LOG(ERR, "region \"%s\": object size %u, stride %u, block %u, mode 0x%x: %s",
		params->name != NULL ? params->name : "", params->object_size, params->stride,
		params->block, params->mode, what);
	return -error;
}

static int
params_check(const struct mag_region_params *params)
{
	const uint32_t elastic = MAG_REGION_PERSISTENT | MAG_REGION_MONOLITHIC |
				 MAG_REGION_PHYSCONTIG | MAG_REGION_REDZONE | MAG_REGION_MEMTAG;
	const uint32_t known = elastic | MAG_REGION_READONLY | MAG_REGION_NOMAGAZINES |
			       MAG_REGION_SHAREOK | MAG_REGION_AUDIT | MAG_REGION_CHECK;

	if (params->name == NULL || *params->name == '\0' ||
	    strlen(params->name) >= MAG_REGION_NAMESIZE)
		return params_error(params, "needs a name of 1 to 63 characters", EINVAL);
	if (params->object_size == 0)
		return params_error(params, "needs an object size above 0", EINVAL);
	if (params->stride != 0 && params->stride < params->object_size)
		return params_error(params, "needs a stride of at least the object size", EINVAL);
	if (params->mirror > MAG_MIRROR_MAX)
		return params_error(
			params,
			"needs a mirror of at most 4096 bytes: a mirror region may have more",
			EINVAL);
	if (params->block > MAG_REGION_BLOCK_MAX)
		return params_error(params, "needs a block of at most 65534 objects", EINVAL);
	if (params->mode & MAG_REGION_MIRRORED)
		return params_error(params, "MIRRORED: mag_region_mirror_create() makes those",
				    EINVAL);
	if (params->mode & ~known)
		return params_error(params, "has a mode that is not known", EINVAL);
	if (params->objects == 0 && params->mode & elastic)
		return params_error(
			params,
			"PERSISTENT, MONOLITHIC, PHYSCONTIG, REDZONE and MEMTAG are for "
			"elastic regions",
			EINVAL);
	return 0;
}

/* With all its memory. */
static void
region_free(struct mag_region *region)
{
	if (region->elastic != NULL)
		mag_elastic_fini(region);
	mag_region_free(region);
}

struct mag_region *
mag_region_make(const struct mag_region_params *params)
{
	struct mag_region *region;
	int error;

	rte_errno = -params_check(params);
	if (rte_errno != 0)
		return NULL;
	region = mag_region_alloc(params);
	if (region == NULL)
		return NULL;
	rte_errno = params->objects != 0 ? -mag_elastic_init(region, params) :
					   -mag_region_mirror_make(region, params->mirror, 0);
	if (rte_errno == 0)
		return region;
	error = rte_errno;
	region_free(region);
	rte_errno = error;
	return NULL;
}

struct mag_region *
mag_region_create(const struct mag_region_params *params)
{
	struct mag_region_params own = MAG_REGION_PARAMS_INIT;
	struct mag_options all;

	rte_errno = -mag_params_read(&own, sizeof(own), params, "region", "MAG_REGION_PARAMS_INIT");
	if (rte_errno != 0)
		return NULL;
	rte_errno = -mag_options_begin(&all);
	if (rte_errno != 0)
		return NULL;
	if (all.audit)
		own.mode |= MAG_REGION_AUDIT;
	if (all.check)
		own.mode |= MAG_REGION_CHECK;
	return mag_region_make(&own);
}

static int
mirror_error(const struct mag_region *first, const struct mag_region_params *params,
	     const char *what, int error)
{
	MAG_LOG(ERR, "region \"%s\", a mirror of \"%s\", mode 0x%x: %s",
		params->name != NULL ? params->name : "", first != NULL ? first->name : "",
		params->mode, what);
	return -error;
}

/* What a mirror region may be told itself. */
static int
mirror_params_check(const struct mag_region *first, const struct mag_region_params *params)
{
	const uint32_t known = MAG_REGION_READONLY | MAG_REGION_PERSISTENT | MAG_REGION_PHYSCONTIG |
			       MAG_REGION_REDZONE | MAG_REGION_MIRRORED;

	if (params->mode & ~known)
		return mirror_error(first, params,
				    "may be READONLY, PERSISTENT, PHYSCONTIG and REDZONE: "
				    "all else is its first region's",
				    EINVAL);
	if (params->objects != 0 || params->block != 0 || params->segment_size != 0 ||
	    params->reserve != 0 || params->mirror != 0)
		return mirror_error(
			first, params,
			"objects, block, segment size, reserve and mirror must be 0: they "
			"are its first region's",
			EINVAL);
	return 0;
}

static int
mirror_check(const struct mag_region *first, const struct mag_region_params *params)
{
	if (first == NULL)
		return mirror_error(first, params, "needs a first region", EINVAL);
	if (first->mode & MAG_REGION_MIRRORED)
		return mirror_error(first, params, "a mirror has no mirror", EINVAL);
	if (first->elastic == NULL)
		return mirror_error(first, params,
				    "the first region has adopted memory: only elastic ones have "
				    "mirror regions, others mirror=BYTES",
				    ENOTSUP);
	if (mag_elastic_is_elsewhere(first))
		return mirror_error(first, params,
				    "another process made the first region: make its mirror there",
				    EPERM);
	if ((first->mode | params->mode) & MAG_REGION_MEMTAG)
		return mirror_error(
			first, params,
			"MEMTAG: no region with memory tags has, or is, a mirror region: use "
			"mirror=BYTES",
			ENOTSUP);
	if (first->mirror != NULL || first->second != NULL)
		return mirror_error(first, params, "the first region has mirrors", EEXIST);
	if (first->references != 0)
		return mirror_error(first, params,
				    "a cache uses the first region: make its mirror before", EBUSY);
	return 0;
}

struct mag_region *
mag_region_mirror_create(struct mag_region *first, const struct mag_region_params *params)
{
	struct mag_region_params own = MAG_REGION_PARAMS_INIT;
	struct mag_region *region;
	int error;

	rte_errno = -mag_params_read(&own, sizeof(own), params, "mirror region",
				     "MAG_REGION_PARAMS_INIT");
	if (rte_errno == 0)
		rte_errno = -mirror_check(first, &own);
	if (rte_errno == 0)
		rte_errno = -mirror_params_check(first, &own);
	if (rte_errno != 0)
		return NULL;
	own.mode &= ~MAG_REGION_MIRRORED;
	own.block = first->block;
	own.objects = (uint64_t)first->elastic->segments_all * first->block;
	rte_errno = -params_check(&own);
	if (rte_errno != 0)
		return NULL;
	region = mag_region_alloc(&own);
	if (region == NULL)
		return NULL;
	region->mode |= MAG_REGION_MIRRORED;
	error = -mag_elastic_mirror_init(region, first, &own);
	if (error == 0)
		return region;
	region_free(region);
	rte_errno = error;
	return NULL;
}

struct mag_region *
mag_region_intrinsic(const char *name, uint32_t object_size, uint32_t align, int node)
{
	const struct mag_region_params params = {
		.name = name,
		.object_size = object_size,
		.block = 1,
		.mode = MAG_REGION_PSEUDO,
		.node = node,
	};
	struct mag_region *region = mag_region_alloc(&params);

	if (region != NULL) {
		region->align = align;
		region->part[0].node = node;
	}
	return region;
}

int
mag_region_destroy(struct mag_region *region)
{
	if (region == NULL)
		return 0;
	if (mag_elastic_is_elsewhere(region)) {
		MAG_LOG(ERR, "region \"%s\": process %d made it: destroy it there", region->name,
			region->elastic->pid);
		return -EPERM;
	}
	if (region->first != NULL) {
		MAG_LOG(ERR, "region \"%s\": is the mirror of \"%s\": destroy that first",
			region->name, region->first->name);
		return -EBUSY;
	}
	if (region->references != 0) {
		MAG_LOG(ERR, "region \"%s\": %u caches use it: destroy them first", region->name,
			region->references);
		return -EBUSY;
	}
	region_free(region);
	return 0;
}

/* Free and used segments: a mirror region has those of its first region. */
static void
stats_of_use(const struct mag_region *region, struct mag_region_stats *stats)
{
	struct mag_region *locked = (struct mag_region *)(uintptr_t)region;
	uint32_t part;

	mag_lock_wait(&locked->lock);
	stats->objects = MAG_STAT(region->objects);
	stats->segments = MAG_STAT(region->segments);
	stats->allocations = MAG_STAT(region->allocations);
	stats->frees = MAG_STAT(region->frees);
	for (part = 0; part < MAG_STAT(region->parts); part++) {
		stats->objects_free += MAG_STAT(region->part[part].objects_free);
		stats->segments_free += MAG_STAT(region->part[part].segments_free);
	}
	mag_lock_release(&locked->lock);
}

static void
region_stats(const struct mag_region *region, struct mag_region_stats *stats)
{
	const struct mag_elastic *elastic = region->elastic;

	stats->id = region->id;
	stats->mode = region->mode;
	stats->segment_objects = region->block;
	stats_of_use(region->first != NULL ? region->first : region, stats);
	if (region->mirror != NULL)
		stats->mirrors = MAG_STAT(region->mirror->memory);
	if (region->second != NULL)
		stats->mirrors = stats->segments * region->second->elastic->segment_bytes;
	if (elastic == NULL)
		return;
	stats->segments_max = mag_elastic_segments_max(region);
	stats->objects_max = mag_region_objects_max(region);
	stats->segment_bytes = elastic->segment_bytes;
	stats->memory = stats->segments * stats->segment_bytes;
	stats->memory_free = stats->segments_free * stats->segment_bytes;
	stats->wired = mag_region_is_persistent(region) ? stats->memory : 0;
	stats->grown = MAG_STAT(elastic->grown);
	stats->trimmed = MAG_STAT(elastic->trimmed);
	stats->grow_fails = MAG_STAT(elastic->grow_fails);
}

void
mag_region_stats_fill(const struct mag_region *region, struct mag_region_stats *stats)
{
	struct mag_region_stats own = {.size = sizeof(own)};

	region_stats(region, &own);
	mag_stats_give(stats, stats->size, &own, sizeof(own));
}
