/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Regions: parts, lists of free segments, mirrors.
 *
 * A segment comes by mag_region_insert() and leaves by mag_region_remove(), which adopt.c and
 * elastic_grow.c call when its memory has come, or before it goes. In between it is free, on the
 * list "whole" or "tails" of its part, or in use: mag_region_get() takes it, mag_region_put() gives
 * it back. Lists are stacks: the segment that was used last is taken first, and trimmed last.
 *
 * The lock guards the lists, need[], references and the making of parts. It is a leaf, and held for
 * a few instructions, so that the data path may spin for it. Nothing allocates memory while it is
 * held.
 *
 * Counts are read without the lock. Where two of them are compared, the order of writing matters:
 * `allocations` and `removed` are written by release after the segment has left its list, and
 * mag_region_out() reads them by acquire before what is free is counted. So a segment on its way is
 * counted as out, or as free, or as both, but never as neither.
 */

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <rte_bitops.h>
#include <rte_common.h>
#include <rte_errno.h>

#include "base/counter.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/meta.h"
#include "base/numa.h"
#include "base/poison.h"
#include "base/process.h"
#include "parts/map.h"
#include "parts/mirror.h"
#include "parts/segment.h"
#include "stores/region.h"
#include "stores/samples.h"

/* A block is as many objects as fit here, but neither a handful nor thousands. */
#define BLOCK_BYTES (256 * 1024)
#define BLOCK_MIN 8
#define BLOCK_MAX 256

static uint32_t
block_choose(uint32_t stride)
{
	uint32_t block = rte_align32prevpow2(RTE_MAX(BLOCK_BYTES / stride, 1u));

	return RTE_MAX(RTE_MIN(block, (uint32_t)BLOCK_MAX), (uint32_t)BLOCK_MIN);
}

static void
part_init(struct mag_region_part *part, int node)
{
	*part = (struct mag_region_part){.node = node};
	TAILQ_INIT(&part->whole);
	TAILQ_INIT(&part->tails);
}

struct mag_region *
mag_region_alloc(const struct mag_region_params *params)
{
	static _Atomic uint32_t ids;
	struct mag_region *region = mag_meta_zalloc(sizeof(*region), params->node);

	if (region == NULL) {
		MAG_LOG(ERR, "region \"%s\": no memory for %zu bytes: give EAL more memory",
			params->name, sizeof(*region));
		rte_errno = ENOMEM;
		return NULL;
	}
	snprintf(region->name, sizeof(region->name), "%s", params->name);
	region->id = mag_process_unique(MAG_STAT_ADD(ids, 1) + 1);
	region->mode = params->mode;
	region->object_size = params->object_size;
	region->stride = params->stride != 0 ? params->stride : params->object_size;
	region->align = 1;
	region->block = params->block != 0 ? params->block : block_choose(region->stride);
	region->part[0].node = MAG_NODE_ANY;
	atomic_init(&region->parts, MAG_PARTS_MAX);
	mag_region_reset(region);
	atomic_init(&region->parts, 1);
	return region;
}

void
mag_region_free(struct mag_region *region)
{
	struct mag_mirror_owner *const beside[] = MAG_REGION_BESIDE(region);
	unsigned int i;

	mag_region_reset(region);
	for (i = 0; i < RTE_DIM(beside); i++) {
		if (beside[i] != NULL)
			mag_mirror_fini(beside[i]);
		mag_meta_free(beside[i]);
	}
	if (region->pair != NULL)
		mag_mirror_pair_fini(region->pair);
	mag_meta_free(region->samples);
	mag_meta_free(region->pair);
	mag_meta_free(region);
}

static int
mirror_make(struct mag_region *region, struct mag_mirror_owner **mirror, uint32_t bytes,
	    uint32_t distance, uint64_t granules)
{
	int node = region->part[0].node;

	*mirror = mag_meta_zalloc(sizeof(**mirror), node);
	if (*mirror != NULL && mag_mirror_init(*mirror, bytes, distance, granules, node) == 0)
		return 0;
	mag_meta_free(*mirror);
	*mirror = NULL;
	MAG_LOG(ERR, "region \"%s\": no memory for the table of mirrors: give EAL more memory",
		region->name);
	return -ENOMEM;
}

/* Room for as much as is copied of an object of this size, and of what lies before it. */
static int
check_make(struct mag_region *region, uint64_t granules)
{
	uint64_t whole = RTE_CACHE_LINE_SIZE + (uint64_t)region->object_size;
	uint32_t bytes = RTE_MIN(region->object_size, (uint32_t)MAG_SNAPSHOT_COPY);

	region->span[0].bytes = RTE_ALIGN_FLOOR(bytes, 8u);
	return mirror_make(region, &region->check,
			   (uint32_t)RTE_MIN(whole, (uint64_t)MAG_SNAPSHOT_BYTES),
			   mag_region_apart(region), granules);
}

int
mag_region_mirror_make(struct mag_region *region, uint32_t bytes, uint64_t granules)
{
	uint32_t apart;

	region->mirrored = bytes != 0;
	apart = mag_region_apart(region);
	if (bytes != 0 && mirror_make(region, &region->mirror, bytes, apart, granules) != 0)
		return -ENOMEM;
	if (region->mode & MAG_REGION_AUDIT &&
	    mirror_make(region, &region->audit, MAG_AUDIT_BYTES, apart, granules) != 0)
		return -ENOMEM;
	return region->mode & MAG_REGION_CHECK ? check_make(region, granules) : 0;
}

int
mag_region_ledger_make(struct mag_region *region, uint32_t bytes, uint64_t objects)
{
	uint32_t distance = rte_align32prevpow2(mag_region_apart(region));

	/* A shift finds an entry, and is less than a multiplication. */
	return mirror_make(region, &region->ledger, bytes,
			   RTE_MIN(distance, UINT32_C(1) << MAG_MIRROR_SHIFT),
			   (objects * region->stride >> MAG_MIRROR_SHIFT) + 1);
}

const struct mag_mirror *
mag_region_mirror(const struct mag_region *region)
{
	if (region->second != NULL)
		return &region->second->pair->find;
	return region->mirror != NULL ? &region->mirror->find : NULL;
}

static void
beside_remove(struct mag_mirror_owner *owner, const struct mag_segment *segment)
{
	if (owner != NULL)
		mag_mirror_remove(owner, segment->base, segment->count, segment->stride);
}

int
mag_region_mirror_add(struct mag_region *region, const struct mag_segment *segment)
{
	struct mag_mirror_owner *const beside[] = MAG_REGION_BESIDE(region);
	unsigned int i;

	for (i = 0; i < RTE_DIM(beside); i++)
		if (beside[i] != NULL && mag_mirror_add(beside[i], segment->base, segment->count,
							segment->stride, segment->node) != 0)
			break;
	if (i == RTE_DIM(beside))
		return 0;
	while (i > 0)
		beside_remove(beside[--i], segment);
	return -ENOMEM;
}

void
mag_region_mirror_remove(struct mag_region *region, const struct mag_segment *segment)
{
	struct mag_mirror_owner *const beside[] = MAG_REGION_BESIDE(region);
	unsigned int i;

	for (i = 0; i < RTE_DIM(beside); i++)
		beside_remove(beside[i], segment);
}

static uint32_t
parts_of(const struct mag_region *region)
{
	return atomic_load_explicit(&region->parts, memory_order_relaxed);
}

/* Under the lock. */
static uint32_t
part_find(struct mag_region *region, int node)
{
	uint32_t part, parts = parts_of(region);

	if (node == MAG_NODE_ANY)
		return 0;
	/* Memory whose node is not known goes with that of the first one that is. */
	if (region->part[0].node == MAG_NODE_ANY)
		region->part[0].node = node;
	for (part = 0; part < parts && region->part[part].node != node; part++)
		;
	return part;
}

/* make: a new part even while caches use the region, which do not know it yet. */
static uint32_t
part_get(struct mag_region *region, int node, bool make)
{
	uint32_t part;

	mag_region_lock(region);
	part = part_find(region, node);
	if (part == parts_of(region)) {
		if (part == MAG_PARTS_MAX || (!make && region->references > 0)) {
			part = 0;
		} else {
			part_init(&region->part[part], node);
			/* release: a reader that sees the part sees its lists */
			atomic_store_explicit(&region->parts, part + 1, memory_order_release);
		}
	}
	mag_lock_release(&region->lock);
	return part;
}

uint32_t
mag_region_part_of_node(struct mag_region *region, int node)
{
	return part_get(region, node, true);
}

uint32_t
mag_region_part_of_memory(struct mag_region *region, int node)
{
	return part_get(region, node, false);
}

static void
segment_insert(struct mag_region *region, struct mag_segment *segment)
{
	struct mag_region_part *part = &region->part[segment->part];

	segment->place = MAG_SEGMENT_FREE;
	mag_commit();
	if (segment->whole)
		TAILQ_INSERT_HEAD(&part->whole, segment, link);
	else
		TAILQ_INSERT_HEAD(&part->tails, segment, link);
	atomic_fetch_add_explicit(&part->segments_free, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&part->objects_free, segment->count, memory_order_relaxed);
}

void
mag_region_insert(struct mag_region *region, struct mag_segment *segment)
{
	mag_bounds_add(region->bounds, parts_of(region), segment->part, segment->base,
		       segment->base + (uintptr_t)(segment->count - 1) * segment->stride);
	LIST_INSERT_HEAD(&region->all, segment, any);
	segment_insert(region, segment);
	atomic_fetch_add_explicit(&region->segments, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&region->objects, segment->count, memory_order_relaxed);
}

/* Off its free list. */
static void
segment_remove(struct mag_region *region, struct mag_segment *segment, uint8_t place)
{
	struct mag_region_part *part = &region->part[segment->part];
	uint32_t left;

	TAILQ_REMOVE(segment->whole ? &part->whole : &part->tails, segment, link);
	left = atomic_fetch_sub_explicit(&part->segments_free, 1, memory_order_relaxed) - 1;
	part->free_min = RTE_MIN(part->free_min, left);
	atomic_fetch_sub_explicit(&part->objects_free, segment->count, memory_order_relaxed);
	mag_commit();
	segment->place = place;
}

void
mag_region_remove(struct mag_region *region, struct mag_segment *segment)
{
	segment_remove(region, segment, MAG_SEGMENT_NOWHERE);
	LIST_REMOVE(segment, any);
	atomic_fetch_sub_explicit(&region->segments, 1, memory_order_relaxed);
	atomic_fetch_sub_explicit(&region->objects, segment->count, memory_order_relaxed);
	/* release: a reader that counts them as gone does not see them free; mag_region_out() */
	atomic_fetch_add_explicit(&region->removed, segment->count, memory_order_release);
}

/*
 * After a process that died with the lock. The list of all segments can be walked at any time:
 * only the links back are written late. Counts that never fall are left: what they may lack makes
 * an estimate smaller.
 */
static void
region_repair(struct mag_region *region)
{
	uint32_t part, parts = parts_of(region), segments = 0;
	struct mag_segment *segment;
	uint64_t objects = 0;

	for (part = 0; part < parts; part++)
		part_init(&region->part[part], region->part[part].node);
	LIST_FOREACH(segment, &region->all, any) {
		segments++;
		objects += segment->count;
		if (segment->place == MAG_SEGMENT_FREE)
			segment_insert(region, segment);
	}
	atomic_store_explicit(&region->segments, segments, memory_order_relaxed);
	atomic_store_explicit(&region->objects, objects, memory_order_relaxed);
}

void
mag_region_lock(struct mag_region *region)
{
	if (unlikely(mag_lock_spin(&region->lock)))
		region_repair(region);
}

unsigned int
mag_region_find_strays(struct mag_region *region, struct mag_segment **strays, unsigned int max)
{
	struct mag_segment *segment;
	unsigned int n = 0;

	mag_region_lock(region);
	LIST_FOREACH(segment, &region->all, any)
		if (n < max && segment->place == MAG_SEGMENT_MOVING)
			strays[n++] = segment;
	mag_lock_release(&region->lock);
	return n;
}

void
mag_region_put_strays(struct mag_region *region, struct mag_segment *const *strays, unsigned int n)
{
	mag_region_lock(region);
	while (n > 0)
		segment_insert(region, strays[--n]);
	mag_lock_release(&region->lock);
}

static struct mag_segment *
segment_take(struct mag_region *region, struct mag_segment_list *list)
{
	struct mag_segment *segment = TAILQ_FIRST(list);

	if (segment == NULL)
		return NULL;
	segment_remove(region, segment, MAG_SEGMENT_MOVING);
	/* release: a reader that counts it as taken does not see it free; mag_region_out() */
	atomic_fetch_add_explicit(&region->allocations, 1, memory_order_release);
	return segment;
}

struct mag_segment *
mag_region_get(struct mag_region *region, uint32_t part)
{
	struct mag_segment *segment;

	mag_region_lock(region);
	segment = segment_take(region, &region->part[part].tails);
	if (segment == NULL)
		segment = segment_take(region, &region->part[part].whole);
	mag_lock_release(&region->lock);
	return segment;
}

struct mag_segment *
mag_region_get_whole(struct mag_region *region, uint32_t part)
{
	struct mag_segment *segment;

	mag_region_lock(region);
	segment = segment_take(region, &region->part[part].whole);
	mag_lock_release(&region->lock);
	return segment;
}

void
mag_region_put(struct mag_region *region, struct mag_segment *segment)
{
	mag_region_lock(region);
	segment_insert(region, segment);
	atomic_fetch_add_explicit(&region->frees, 1, memory_order_relaxed);
	mag_lock_release(&region->lock);
}

uint64_t
mag_region_out(const struct mag_region *region)
{
	/* acquire: later reads are not older; pairs with mag_region_remove() and segment_take() */
	return atomic_load_explicit(&region->allocations, memory_order_acquire) * region->block +
	       atomic_load_explicit(&region->removed, memory_order_acquire);
}

uint64_t
mag_region_in(const struct mag_region *region)
{
	/* acquire: objects that went are not counted in what is read next; mag_region_remove() */
	uint64_t removed = MAG_STAT_ACQUIRE(region->removed);

	return removed + MAG_STAT(region->objects);
}

int
mag_region_attach(struct mag_region *region, uint32_t align)
{
	int ret = 0;

	mag_region_lock(region);
	if (region->references >= 2) {
		ret = -EBUSY;
	} else {
		region->references++;
		region->need[region->need[0] != 0] = align;
	}
	mag_lock_release(&region->lock);
	return ret;
}

void
mag_region_detach(struct mag_region *region, uint32_t align)
{
	mag_region_lock(region);
	region->references--;
	region->need[region->need[0] != align] = 0;
	mag_lock_release(&region->lock);
}

/* The memory is its owner's again. */
static void
extent_unpoison(const struct mag_region *region, const struct mag_extent *extent)
{
	const struct mag_segment *segment;
	uint32_t i;

	for (i = 0; i < extent->segments; i++) {
		segment = &extent->segment[i];
		mag_unpoison((const void *)segment->base,
			     (size_t)segment->stride * (segment->count - 1) + region->object_size);
	}
}

void
mag_region_reset(struct mag_region *region)
{
	struct mag_mirror_owner *const beside[] = MAG_REGION_BESIDE(region);
	struct mag_extent *extent;
	uint32_t part, i;

	while ((extent = SLIST_FIRST(&region->extents)) != NULL) {
		SLIST_REMOVE_HEAD(&region->extents, link);
		extent_unpoison(region, extent);
		mag_meta_free(extent);
	}
	LIST_INIT(&region->all);
	mag_map_forget(&region->map);
	for (i = 0; i < RTE_DIM(beside); i++)
		if (beside[i] != NULL)
			mag_mirror_clear(beside[i]);
	if (region->samples != NULL)
		mag_samples_clear(region->samples);
	/* Which node has which part stays: caches know that. */
	for (part = 0; part < parts_of(region); part++) {
		part_init(&region->part[part], region->part[part].node);
		mag_bounds_clear(&region->bounds[part]);
	}
	region->blocks = (struct mag_blocks){0};
	atomic_store_explicit(&region->segments, 0, memory_order_relaxed);
	atomic_store_explicit(&region->objects, 0, memory_order_relaxed);
}
