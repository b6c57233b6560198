/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_SEGMENT_H
#define MAG_SEGMENT_H

/*
 * A segment: objects at a constant distance, and room for what the slab layer records of them.
 *
 * It is free, and on a list of its region, or in use as a slab. All but links and place never
 * changes while the region has it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <rte_common.h>

/** Room that a segment has for the slab layer's records: per segment, and per object. */
#define MAG_CONTROL_SEGMENT 128
#define MAG_CONTROL_OBJECT 8
#define MAG_CONTROL_ALIGN 64

/** Where a segment is. What repairs after a dead process believes this alone (stores/region.h). */
enum mag_segment_place {
	MAG_SEGMENT_NOWHERE = 0, /**< of no region yet, or not any more */
	MAG_SEGMENT_FREE,        /**< on a list of its region */
	MAG_SEGMENT_MOVING,      /**< a thread has it, on its way between region and slab layer */
	MAG_SEGMENT_SLAB,        /**< a slab */
};

struct mag_segment {
	uintptr_t base;                /**< address of object 0 */
	uint32_t stride;               /**< bytes from object to object; 0 when there is only one */
	uint32_t count;                /**< objects */
	uint32_t index;                /**< in the region */
	int32_t node;                  /**< NUMA node of the memory */
	uint8_t part;                  /**< of the region */
	bool whole;                    /**< `block` objects at the region's stride */
	uint8_t place;                 /**< enum mag_segment_place; under a lock of who has it */
	void *control;                 /**< room for the slab layer, zeroed when adopted */
	struct mag_segment *second;    /**< of the mirror region, with the same index; NULL: none */
	TAILQ_ENTRY(mag_segment) link; /**< on a list of the free ones; under the region's lock */
	LIST_ENTRY(mag_segment) any;   /**< among all of the region; under the region's lock */
};

TAILQ_HEAD(mag_segment_list, mag_segment);

/** Bytes of the records of a segment of so many objects. */
static inline size_t
mag_segment_control_size(uint32_t count)
{
	return RTE_ALIGN_CEIL(MAG_CONTROL_SEGMENT + (size_t)count * MAG_CONTROL_OBJECT,
			      (size_t)MAG_CONTROL_ALIGN);
}

/** Address of an object. */
static inline uintptr_t
mag_segment_object(const struct mag_segment *segment, uint32_t index)
{
	return segment->base + (uintptr_t)segment->stride * index;
}

/** Whether this is the address of an object, and its index. */
static inline bool
mag_segment_index(const struct mag_segment *segment, uintptr_t address, uint32_t *index)
{
	uintptr_t offset = address - segment->base;

	if (address < segment->base || address > mag_segment_object(segment, segment->count - 1))
		return false;
	*index = segment->stride != 0 ? (uint32_t)(offset / segment->stride) : 0;
	return *index * (uintptr_t)segment->stride == offset;
}

#endif /* MAG_SEGMENT_H */
