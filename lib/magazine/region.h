/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_REGION_PRIVATE_H
#define MAG_REGION_PRIVATE_H

/*
 * Regions: backing memory cut into segments of objects (spec 10).
 *
 * A region over adopted memory is fed chunk by chunk with the addresses of
 * objects that somebody else laid out. Runs of objects at a constant stride
 * are cut into segments of `block` objects; what is left of a run is a shorter
 * segment, a tail. Segment records, and room for the control record that the
 * slab layer keeps of each segment, are allocated when the memory is adopted:
 * the data path allocates nothing.
 *
 * A segment is free or allocated. Whole segments (of `block` objects at the
 * region's own stride) and tails have a list each, so that contiguous blocks can be
 * asked for.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "lock.h"
#include "mag_region.h"

/** Room that a segment has for the slab layer's records: per segment, and per object. */
#define MAG_CONTROL_SEGMENT 128
#define MAG_CONTROL_OBJECT 8

struct mag_segment {
	uintptr_t base;                /**< address of object 0 */
	uint32_t stride;               /**< bytes from object to object; 0 when there is only one */
	uint32_t count;                /**< objects */
	uint32_t index;                /**< in the region */
	int32_t node;                  /**< NUMA node of the memory */
	bool free;                     /**< under the region's lock */
	bool whole;                    /**< `block` objects at the region's stride */
	void *control;                 /**< room for the slab layer, zeroed when adopted */
	TAILQ_ENTRY(mag_segment) link; /**< on a free list, when free */
};

TAILQ_HEAD(mag_segment_list, mag_segment);

/** The memory of one adopted chunk's records, in one allocation. */
struct mag_extent {
	SLIST_ENTRY(mag_extent) link;
	uint32_t segments;
	struct mag_segment segment[];
};

struct mag_region {
	char name[MAG_REGION_NAMESIZE];
	uint32_t mode;        /**< MAG_REGION_* */
	uint32_t stride;      /**< bytes from object to object */
	uint32_t object_size; /**< bytes that a user may touch */
	uint32_t block;       /**< objects of a whole segment */

	struct mag_lock lock; /**< guards all below; the counts are also read without it */
	struct mag_segment_list whole;
	struct mag_segment_list tails;
	SLIST_HEAD(, mag_extent) extents;
	uint32_t references;
	_Atomic uint32_t segments;
	_Atomic uint32_t segments_free;
	_Atomic uint64_t objects;      /**< of all segments */
	_Atomic uint64_t objects_free; /**< of the free segments */
	_Atomic uint64_t allocations;
	_Atomic uint64_t frees;
};

/** Bytes that a segment spans at the most, from its first object to behind its last. */
static inline uint64_t
mag_region_segment_span(const struct mag_region *region)
{
	return (uint64_t)region->block * region->stride;
}

/** Take a reference: one cache uses the region. */
int mag_region_attach(struct mag_region *region);
void mag_region_detach(struct mag_region *region);

/**
 * A free segment: a tail if there is one, because it is of no use as a block, else
 * a whole one. NULL when none is free. Data path.
 */
struct mag_segment *mag_region_get(struct mag_region *region);
/** A whole segment, or NULL. */
struct mag_segment *mag_region_get_whole(struct mag_region *region);
void mag_region_put(struct mag_region *region, struct mag_segment *segment);

/** Forget all memory: nothing of it may be in use any more. Touches no object. */
void mag_region_reset(struct mag_region *region);

#endif /* MAG_REGION_PRIVATE_H */
