/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Segments of elastic regions come and go.
 *
 * A segment comes in this order: its index is taken, its memory, then its mirrors, then the segment
 * of the mirror region; last it enters the region's lists, and from then on caches may use it. It
 * goes in the opposite order, and only when it is free: whatever is on a list has all that belongs
 * to it. When one step fails, those before are undone.
 *
 * The region's lock is held for the index and for the lists, never while memory comes or goes. So
 * any number of threads may grow and trim a region at the same time: maintenance, users
 * (mag_region_grow(), mag_region_trim()) and allocations that wait.
 *
 * What is spare: free_min of a part is the fewest free segments that it had since the last trim at
 * an interval; what was free all that time, less the reserve, goes back.
 */

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include <rte_common.h>
#include <rte_lcore.h>
#include <rte_malloc.h>

#include "base/counter.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/poison.h"
#include "parts/mirror.h"
#include "sources/elastic.h"
#include "sources/elastic_grow.h"
#include "sources/elastic_memory.h"

/* Ordinary pages come and go in the process that has them mapped. */
static bool
pages_are_elsewhere(const struct mag_region *region)
{
	return mag_elastic_is_of_pages(region) && mag_elastic_is_elsewhere(region);
}

static void
segment_init(const struct mag_region *region, struct mag_segment *segment, uint32_t part,
	     uint32_t index)
{
	size_t control = mag_elastic_control_size(region);

	memset(segment, 0, MAG_ELASTIC_RECORD + control);
	segment->control = RTE_PTR_ADD(segment, MAG_ELASTIC_RECORD);
	segment->base = RTE_ALIGN_CEIL((uintptr_t)segment->control + control,
				       (uintptr_t)RTE_MAX(region->align, MAG_ELASTIC_ALIGN));
	segment->stride = region->block > 1 ? region->stride : 0;
	segment->count = region->block;
	segment->index = index;
	segment->node = region->part[part].node;
	segment->part = (uint8_t)part;
	segment->whole = true;
	/* Nothing is with a user, and what is between objects never is; mirrors always are. */
	if (!mag_elastic_is_mirror(region))
		mag_poison((void *)segment->base, (size_t)region->block * region->stride);
	else if (region->mode & MAG_REGION_PHYSCONTIG)
		memset((void *)segment->base, 0, (size_t)region->block * region->stride);
}

/* The segment of the mirror region, if there is one, that lives with this one: 0, or -ENOMEM. */
int
mag_elastic_second_take(struct mag_region *region, struct mag_segment *segment)
{
	struct mag_region *mirror = region->second;
	uint32_t part;

	if (mirror == NULL)
		return 0;
	/* On the node that its memory was asked for on, or else on that of the objects. */
	part = MAG_STAT(mirror->parts) > 1 ? segment->part : 0;
	segment->second = mag_elastic_memory_take(mirror, part, segment->index);
	if (segment->second == NULL) {
		MAG_STAT_ADD(mirror->elastic->grow_fails, 1);
		return -ENOMEM;
	}
	segment_init(mirror, segment->second, part, segment->index);
	mag_mirror_pair_add(mirror->pair, segment->base, segment->second->base);
	MAG_STAT_ADD(mirror->elastic->grown, 1);
	return 0;
}

void
mag_elastic_second_give(struct mag_region *region, struct mag_segment *segment)
{
	struct mag_region *mirror = region->second;

	if (mirror == NULL)
		return;
	mag_mirror_pair_remove(mirror->pair, segment->base, segment->second->base);
	mag_elastic_memory_give(mirror, segment->second);
	segment->second = NULL;
	MAG_STAT_ADD(mirror->elastic->trimmed, 1);
}

/* A place for one more; false: the region is as large as it may be. */
static bool
index_take(struct mag_region *region, uint32_t *index)
{
	struct mag_elastic *elastic = region->elastic;
	uint32_t i, max = mag_elastic_segments_max(region);

	mag_region_lock(region);
	for (i = elastic->taken_below; i < max && elastic->taken[i]; i++)
		;
	elastic->taken_below = i;
	if (i < max)
		elastic->taken[i] = true;
	mag_lock_release(&region->lock);
	*index = i;
	return i < max;
}

static void
index_give(struct mag_region *region, uint32_t index)
{
	struct mag_elastic *elastic = region->elastic;

	mag_region_lock(region);
	elastic->taken[index] = false;
	elastic->taken_below = RTE_MIN(elastic->taken_below, index);
	mag_lock_release(&region->lock);
}

/* With its mirrors, or NULL. */
static struct mag_segment *
segment_make(struct mag_region *region, uint32_t part, uint32_t index)
{
	struct mag_segment *segment = mag_elastic_memory_take(region, part, index);

	if (segment == NULL)
		return NULL;
	segment_init(region, segment, part, index);
	if (mag_region_mirror_add(region, segment) == 0) {
		if (mag_elastic_second_take(region, segment) == 0)
			return segment;
		mag_region_mirror_remove(region, segment);
	}
	mag_elastic_memory_give(region, segment);
	return NULL;
}

int
mag_elastic_grow(struct mag_region *region, uint32_t part)
{
	struct mag_elastic *elastic = region->elastic;
	struct mag_segment *segment;
	uint32_t index;

	if (pages_are_elsewhere(region))
		return -EPERM;
	if (!index_take(region, &index))
		return -ENOSPC;
	segment = segment_make(region, part, index);
	if (segment == NULL) {
		index_give(region, index);
		MAG_STAT_ADD(elastic->grow_fails, 1);
		return -ENOMEM;
	}
	mag_region_lock(region);
	mag_region_insert(region, segment);
	mag_lock_release(&region->lock);
	MAG_STAT_ADD(elastic->grown, 1);
	return 0;
}

/* So many segments of each part, or fewer, and the error that came last; returns how many. */
unsigned int
mag_elastic_grow_parts(struct mag_region *region, unsigned int segments, int *error)
{
	uint32_t part, parts = MAG_STAT(region->parts);
	unsigned int i, had = 0;
	int ret;

	for (part = 0; part < parts; part++)
		for (i = 0, ret = 0; i < segments && ret == 0; i++) {
			ret = mag_elastic_grow(region, part);
			if (ret == 0)
				had++;
			else
				*error = -ret;
		}
	return had;
}

/*
 * The free segment that was used least recently leaves the region; NULL when no more than keep are
 * left.
 */
static struct mag_segment *
segment_withdraw(struct mag_region *region, uint32_t part, uint32_t keep)
{
	struct mag_segment *segment = NULL;

	mag_region_lock(region);
	if (MAG_STAT(region->part[part].segments_free) > keep)
		segment = TAILQ_LAST(&region->part[part].whole, mag_segment_list);
	if (segment != NULL)
		mag_region_remove(region, segment);
	mag_lock_release(&region->lock);
	return segment;
}

uint32_t
mag_elastic_trim_part(struct mag_region *region, uint32_t part, uint32_t keep, uint32_t max)
{
	struct mag_segment *segment;
	uint32_t trimmed = 0, index, i;
	bool given;

	for (i = 0; i < max; i++) {
		segment = segment_withdraw(region, part, keep);
		if (segment == NULL)
			break;
		index = segment->index;
		mag_elastic_second_give(region, segment);
		mag_region_mirror_remove(region, segment);
		given = mag_elastic_memory_give(region, segment);
		trimmed += given;
		/*
		 * A memzone that stays keeps its name. Pages that stay are those of the next
		 * segment of this index.
		 */
		if (given || region->elastic->pages[part] != NULL)
			index_give(region, index);
	}
	MAG_STAT_ADD(region->elastic->trimmed, trimmed);
	return trimmed;
}

static uint64_t
heaps_size(void)
{
	struct rte_malloc_socket_stats stats;
	unsigned int i, sockets = rte_socket_count();
	uint64_t sum = 0;

	for (i = 0; i < sockets; i++)
		if (rte_malloc_get_socket_stats(rte_socket_id_by_idx(i), &stats) == 0)
			sum += stats.heap_totalsz_bytes;
	return sum;
}

/* Segments that were free all the time since the last trim, beyond the reserve. */
static uint32_t
part_spare(struct mag_region *region, uint32_t part)
{
	struct mag_region_part *at = &region->part[part];
	uint32_t spare;

	mag_region_lock(region);
	spare = at->free_min;
	at->free_min = MAG_STAT(at->segments_free);
	mag_lock_release(&region->lock);
	return spare > region->elastic->reserve ? spare - region->elastic->reserve : 0;
}

/*
 * Give free segments back, all but keep of each part, or those alone that were not needed. EAL
 * keeps what it has with --legacy-mem, and when it was told so by -m or --socket-mem: said once,
 * and looked for until then only, because EAL goes through its whole heap for it.
 */
uint32_t
mag_elastic_trim(struct mag_region *region, uint32_t keep, bool spare)
{
	static _Atomic bool said;
	bool look = region->elastic->pages[0] == NULL && !MAG_STAT(said);
	uint32_t part, parts = MAG_STAT(region->parts), trimmed = 0;
	uint64_t before = look ? heaps_size() : 0;

	for (part = 0; part < parts; part++)
		trimmed += mag_elastic_trim_part(region, part, keep,
						 spare ? part_spare(region, part) : UINT32_MAX);
	if (look && trimmed > 0 && heaps_size() >= before && !atomic_exchange(&said, true))
		MAG_LOG(NOTICE,
			"region \"%s\": gave %u segments back to EAL, which keeps the hugepages "
			"(--legacy-mem, -m, --socket-mem, or in part of use)",
			region->name, trimmed);
	return trimmed;
}

bool
mag_elastic_is_kept(const struct mag_region *region)
{
	return region->mode & MAG_REGION_MONOLITHIC || mag_region_is_persistent(region);
}

/* What users ask for */

int
mag_region_grow(struct mag_region *region, unsigned int segments, unsigned int *grown)
{
	unsigned int had;
	int error = 0;

	if (grown != NULL)
		*grown = 0;
	if (region->elastic == NULL || mag_elastic_is_mirror(region)) {
		MAG_LOG(ERR, "region \"%s\": is %s", region->name,
			mag_elastic_is_mirror(region) ?
				"a mirror, and grows with its first region" :
				"not elastic, and does not grow");
		return -EINVAL;
	}
	had = mag_elastic_grow_parts(region, segments, &error);
	if (grown != NULL)
		*grown = had;
	if (error == 0)
		return 0;
	MAG_LOG(ERR, "region \"%s\": grew by %u segments, not by %u of each node: %s", region->name,
		had, segments,
		error == ENOSPC ? "it is as large as it may be" :
		error == EPERM  ? "its pages are those of the process that made it" :
				  "no memory for one: reserve more hugepages");
	return -error;
}

static int
trim_error(const struct mag_region *region, const char *what, int error)
{
	MAG_LOG(ERR, "region \"%s\": is not trimmed: %s", region->name, what);
	return -error;
}

int
mag_region_trim(struct mag_region *region, unsigned int keep, unsigned int *trimmed)
{
	unsigned int gave;

	if (trimmed != NULL)
		*trimmed = 0;
	if (region->elastic == NULL)
		return trim_error(region, "its memory is the caller's", EINVAL);
	if (mag_elastic_is_mirror(region))
		return trim_error(region, "it is a mirror, and shrinks with its first region",
				  EINVAL);
	if (mag_elastic_is_kept(region))
		return trim_error(region, "it is MONOLITHIC, or it or its mirror PERSISTENT",
				  ENOTSUP);
	if (pages_are_elsewhere(region))
		return trim_error(region, "its pages are those of the process that made it", EPERM);
	gave = mag_elastic_trim(region, keep, false);
	if (trimmed != NULL)
		*trimmed = gave;
	return 0;
}
