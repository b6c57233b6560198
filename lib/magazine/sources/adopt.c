/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#include <rte_common.h>

#include "base/log.h"
#include "base/meta.h"
#include "mag_region.h"
#include "parts/map.h"
#include "parts/segment.h"
#include "sources/adopt.h"
#include "stores/region.h"

/*
 * Length of the run of objects at constant stride that begins at objects[0]. It
 * spans no more memory than a whole segment: the slab layer's table counts on it.
 */
static uint32_t
run_length(const struct mag_region *region, void *const *objects, uint32_t count)
{
	uintptr_t first = (uintptr_t)objects[0], stride, span;
	uint32_t n;

	if (count == 1)
		return 1;
	stride = (uintptr_t)objects[1] - first;
	span = mag_region_segment_span(region);
	for (n = 1; n < count && n < region->block; n++)
		if ((uintptr_t)objects[n] - first != n * stride || (n + 1) * stride > span)
			break;
	return n;
}

static bool
objects_valid(const struct mag_region *region, void *const *objects, uint32_t count)
{
	uint32_t i, apart = mag_region_apart(region), align;

	align = RTE_MAX(RTE_MAX(region->need[0], region->need[1]), 1u);

	for (i = 0; i < count; i++) {
		if ((uintptr_t)objects[i] & (align - 1)) {
			MAG_LOG(ERR,
				"region \"%s\": object %u at %p: a cache that uses it needs an "
				"alignment of %u",
				region->name, i, objects[i], align);
			return false;
		}
		if (objects[i] != NULL &&
		    (i == 0 || (uintptr_t)objects[i] >= (uintptr_t)objects[i - 1] + apart))
			continue;
		MAG_LOG(ERR,
			"region \"%s\": object %u at %p: addresses must ascend by at least "
			"the %s of %u bytes",
			region->name, i, objects[i], region->mirrored ? "stride" : "object size",
			apart);
		return false;
	}
	return true;
}

static void
segment_init(const struct mag_region *region, struct mag_segment *segment, void *const *objects,
	     uint32_t count, int node)
{
	segment->base = (uintptr_t)objects[0];
	segment->count = count;
	segment->stride = count > 1 ? (uint32_t)((uintptr_t)objects[1] - segment->base) : 0;
	segment->node = node;
	segment->whole =
		count == region->block && (count == 1 || segment->stride == region->stride);
}

/* The records of segments with all these objects; NULL: no memory. */
static struct mag_extent *
extent_make(const struct mag_region *region, void *const *objects, uint32_t count, int node)
{
	uint32_t segments = 0, at, n, i = 0;
	struct mag_extent *extent;
	size_t head, control = 0;

	for (at = 0; at < count; at += n) {
		n = run_length(region, objects + at, count - at);
		control += mag_segment_control_size(n);
		segments++;
	}
	head = RTE_ALIGN_CEIL(sizeof(*extent) + segments * sizeof(extent->segment[0]),
			      MAG_CONTROL_ALIGN);
	extent = mag_meta_zalloc(head + control, node);
	if (extent == NULL)
		return NULL;
	extent->segments = segments;
	for (at = 0; at < count; at += n, i++) {
		n = run_length(region, objects + at, count - at);
		segment_init(region, &extent->segment[i], objects + at, n, node);
		extent->segment[i].control = RTE_PTR_ADD(extent, head);
		head += mag_segment_control_size(n);
	}
	return extent;
}

static void
extent_insert(struct mag_region *region, struct mag_extent *extent, uint32_t part)
{
	uint32_t i, first;

	mag_region_lock(region);
	SLIST_INSERT_HEAD(&region->extents, extent, link);
	first = atomic_load_explicit(&region->segments, memory_order_relaxed);
	/* Backwards: the lists then begin with the lowest address. */
	for (i = extent->segments; i-- > 0;) {
		extent->segment[i].index = first + i;
		extent->segment[i].part = (uint8_t)part;
		mag_region_insert(region, &extent->segment[i]);
	}
	for (i = 0; i < extent->segments; i++)
		if (extent->segment[i].whole)
			mag_blocks_add(&region->blocks, extent->segment[i].base,
				       mag_region_segment_span(region));
	mag_lock_release(&region->lock);
}

/* Bytes in one piece of the largest that 2 MiB of addresses take. */
static size_t
mirror_piece(const struct mag_region *region)
{
	const struct mag_mirror_owner *const beside[] = MAG_REGION_BESIDE(region);
	size_t largest = 0;
	unsigned int i;

	for (i = 0; i < RTE_DIM(beside); i++)
		if (beside[i] != NULL)
			largest = RTE_MAX(largest, mag_mirror_granule_size(beside[i]));
	return largest;
}

/* Mirrors of all segments, or of none. */
static int
extent_mirror(struct mag_region *region, const struct mag_extent *extent)
{
	uint32_t i;

	for (i = 0; i < extent->segments; i++)
		if (mag_region_mirror_add(region, &extent->segment[i]) != 0)
			break;
	if (i == extent->segments)
		return 0;
	MAG_LOG(ERR,
		"region \"%s\": no memory for mirrors or records of objects, which take up to %zu "
		"bytes in one piece for 2 MiB of addresses: give EAL more memory",
		region->name, mirror_piece(region));
	while (i > 0)
		mag_region_mirror_remove(region, &extent->segment[--i]);
	return -ENOMEM;
}

int
mag_adopt(struct mag_region *region, void *const *objects, uint32_t count, int node,
	  void (*tell)(void *arg), void *arg)
{
	struct mag_map *old = atomic_load_explicit(&region->map, memory_order_relaxed), *map = old;
	struct mag_extent *extent;
	uint32_t part;

	if (region->elastic != NULL) {
		MAG_LOG(ERR, "region \"%s\": is elastic, and adopts nothing", region->name);
		return -EINVAL;
	}
	if (!objects_valid(region, objects, count))
		return -EINVAL;
	if (count == 0)
		return 0;
	part = mag_region_part_of_memory(region, node);
	extent = extent_make(region, objects, count, node);
	if (extent == NULL ||
	    mag_map_with(old, (uintptr_t)objects[0], (uintptr_t)objects[count - 1], part,
			 region->part[0].node, &map) != 0) {
		mag_meta_free(extent);
		MAG_LOG(ERR,
			"region \"%s\": no memory for the records of %u objects: give EAL more "
			"memory",
			region->name, count);
		return -ENOMEM;
	}
	if (extent_mirror(region, extent) != 0) {
		if (map != old)
			mag_meta_free(map);
		mag_meta_free(extent);
		return -ENOMEM;
	}
	if (tell != NULL)
		tell(arg);
	mag_map_publish(&region->map, map);
	extent_insert(region, extent, part);
	return 0;
}

int
mag_region_adopt(struct mag_region *region, void *const *objects, uint32_t count, int node)
{
	return mag_adopt(region, objects, count, node, NULL, NULL);
}
