/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_ELASTIC_H
#define MAG_ELASTIC_H

/*
 * Elastic regions: segments that come from the system when they are wanted and go back when they
 * are not (specification, Regions; design, Maintenance). Here is what they consist of and how a
 * segment is laid out; the rest is in
 *
 *   elastic_memory   the memory of one segment: taken and given back;
 *   elastic_grow     segments come and go;
 *   elastic_service  the list of regions, what maintenance does for them, and how it is asked;
 *   elastic_create   an elastic region is made, or a mirror region for one, and destroyed.
 *
 * A segment is one element of EAL's heap, of a few whole hugepages less EAL's header, so that its
 * pages are free when it is; or ordinary pages where EAL has no hugepages. Its record and the slab
 * layer's come before its objects.
 *
 * An elastic region has a part for each node from the beginning, and its map is that of EAL's
 * memseg lists, or of the addresses set aside for ordinary pages: neither ever changes. A thread
 * that leaves fewer free segments than the reserve asks maintenance for more and goes on. No lock
 * is held while memory is taken from the system or given back.
 *
 * A mirror region has no lists and no maintenance of its own: each of its segments comes and goes
 * with the one of the same index of its first region, and has no records of objects.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include <rte_common.h>

#include "base/counter.h"
#include "mag_region.h"
#include "parts/segment.h"
#include "stores/region.h"

/** Bytes of a hugepage, of EAL's header of an element of its heap. */
#define MAG_ELASTIC_PAGE ((size_t)2 << 20)
#define MAG_ELASTIC_ELEMENT 128
/** Objects are aligned to this whatever was asked for: what a heap aligns to. */
#define MAG_ELASTIC_ALIGN 64u
/** Bytes of a segment's record. */
#define MAG_ELASTIC_RECORD RTE_ALIGN_CEIL(sizeof(struct mag_segment), (size_t)MAG_ELASTIC_ALIGN)

/** What only an elastic region has. */
struct mag_elastic {
	/* Never changes after creation. */
	uint64_t objects; /**< that were asked for: there is room for magazines on top of them */
	uint32_t nodes;   /**< that its memory is of, at the most */
	uint32_t segments_all;      /**< that have addresses: with as many lcores as may come */
	uint32_t reserve;           /**< free segments that a part keeps */
	size_t segment_bytes;       /**< records included */
	char *pages[MAG_PARTS_MAX]; /**< addresses for ordinary pages; NULL: EAL's heap */
	bool listed;                /**< among the elastic regions of the process that made it */
	uint32_t process; /**< mag_process_id of that one: owner of the list, and of the pages */
	pid_t pid;        /**< of that process, for log lines: no identity */

	TAILQ_ENTRY(mag_region) link; /**< of these, under their lock */
	uint32_t in_service;          /**< threads that service it, under the same lock */
	_Atomic uint64_t trim_last;   /**< TSC */
	_Atomic uint32_t wanted;      /**< a bit for each part that asked maintenance for more */
	_Atomic uint32_t
		wanted_elsewhere; /**< by other processes: maintenance looks at its next turn */
	/** By part, TSC before which no more is asked for: its node had none. */
	_Atomic uint64_t retry_at[MAG_PARTS_MAX];
	_Atomic uint64_t grown, trimmed, grow_fails;
	uint32_t taken_below; /**< all indices below it are taken; under the region's lock */
	/** By index, under the region's lock: there is such a segment, or it comes or goes. */
	bool taken[];
};

/* Layout */

/** Whether each object has a memory tag. */
static inline bool
mag_elastic_is_tagged(const struct mag_region *region)
{
	return region->mode & MAG_REGION_MEMTAG;
}

/** Whether it is a mirror region. */
static inline bool
mag_elastic_is_mirror(const struct mag_region *region)
{
	return region->mode & MAG_REGION_MIRRORED;
}

/** Unmapped pages or tags, or no hugepages to be had: its segments are ordinary pages. */
bool mag_elastic_wants_pages(const struct mag_region *region);

/** A log line with these parameters and what is wrong; returns -error. */
int mag_elastic_layout_error(const struct mag_region *region,
			     const struct mag_region_params *params, const char *what, int error);

/** Nodes that its memory will be of, at the most. */
uint32_t mag_elastic_nodes_of(const struct mag_region_params *params);

/**
 * Objects that there is room for, with so many lcores: those that were asked for, and what
 * magazines hold on top of them. That is what the magazines of a cache with chunks of the region's
 * objects hold, not of smaller chunks (mag_cache_type_size()).
 */
uint64_t mag_elastic_room(const struct mag_region *region, uint64_t objects, uint32_t nodes,
			  uint32_t lcores);

/**
 * Set alignment, stride and block; objects: that there is room for now. 0, or -EINVAL after a log
 * line.
 */
int mag_elastic_layout(struct mag_region *region, const struct mag_region_params *params,
		       uint64_t *objects);

/**
 * Bytes that may be lost until the first object is aligned; and, with tags, a granule behind the
 * last one.
 */
size_t mag_elastic_slack(const struct mag_region *region);

/** Bytes of the slab layer's records of a segment: a mirror has none. */
size_t mag_elastic_control_size(const struct mag_region *region);

/** Bytes of a segment: record, slab layer's records and objects. */
size_t mag_elastic_segment_bytes(const struct mag_region *region);

/* What there is */

/** The most segments that an elastic region may have now: more when more lcores have come. */
uint32_t mag_elastic_segments_max(const struct mag_region *region);

/** The most objects that the region can have: those it has, if it is not elastic. */
static inline uint64_t
mag_region_objects_max(const struct mag_region *region)
{
	return region->elastic != NULL ?
		       (uint64_t)mag_elastic_segments_max(region) * region->block :
		       MAG_STAT(region->objects);
}

/** An elastic region that another process made, and lists? */
bool mag_elastic_is_elsewhere(const struct mag_region *region);

/** Ordinary pages, of it or its mirror, which only the process has that made the region? */
bool mag_elastic_is_of_pages(const struct mag_region *region);

#endif /* MAG_ELASTIC_H */
