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
 *
 * The memory of one NUMA node is a part of the region, with lists of its own. Parts are
 * numbered in the order in which their nodes first come; memory whose node is not known is of
 * part 0. Which part an address is of is looked up in a table of where parts begin, which there
 * is only if there are several.
 *
 * An elastic region (elastic.c) has a part for each node from the beginning, and its map is that of
 * EAL's memseg lists, or of the addresses set aside for ordinary pages: neither ever changes. Each segment
 * is one allocation, records included. Whoever finds fewer free segments than the reserve leaves word that
 * the part is hungry and goes on; who takes memory from the system and gives it back holds no lock then.
 *
 * A mirror region is an elastic one whose segments are on no list: each is known to its first
 * region's segment of the same index, and is free or allocated when that one is.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include <rte_config.h>

#include <rte_common.h>

#include "counter.h"
#include "lock.h"
#include "mag_region.h"
#include "mirror.h"

/** Room that a segment has for the slab layer's records: per segment, and per object. */
#define MAG_CONTROL_SEGMENT 128
#define MAG_CONTROL_OBJECT 8
#define MAG_CONTROL_ALIGN 64
/** Internal mode: no segments at all, objects come one by one from EAL's heap (spec 2, intrinsic caches). */
#define MAG_REGION_PSEUDO 0x80000000u
/** Room that an audited region has for what is recorded of an object. */
#define MAG_AUDIT_BYTES 168

struct mag_segment {
	uintptr_t base;                /**< address of object 0 */
	uint32_t stride;               /**< bytes from object to object; 0 when there is only one */
	uint32_t count;                /**< objects */
	uint32_t index;                /**< in the region */
	int32_t node;                  /**< NUMA node of the memory */
	uint8_t part;                  /**< of the region */
	bool free;                     /**< under the region's lock */
	bool whole;                    /**< `block` objects at the region's stride */
	void *control;                 /**< room for the slab layer, zeroed when adopted */
	struct mag_segment *second;    /**< of the mirror region, with the same index; NULL: none */
	TAILQ_ENTRY(mag_segment) link; /**< on a free list, when free */
};

TAILQ_HEAD(mag_segment_list, mag_segment);

/** The memory of one adopted chunk's records, in one allocation. */
struct mag_extent {
	SLIST_ENTRY(mag_extent) link;
	uint32_t segments;
	struct mag_segment segment[];
};

/** Most parts: nodes that DPDK knows. */
#define MAG_PARTS_MAX RTE_MAX_NUMA_NODES

/** The free memory of one node. */
struct mag_region_part {
	struct mag_segment_list whole;
	struct mag_segment_list tails;
	_Atomic uint32_t segments_free;
	_Atomic uint64_t objects_free; /**< of the free segments */
	int32_t node;                  /**< -1: not known, part 0 only */
	uint32_t free_min; /**< fewest free segments since the last trim; under the lock */
};

/**
 * Where parts begin: addresses from begin on, up to the next one's, are of the part; those below
 * the first one are of part 0. Never changes once it is published; old ones are kept until the
 * region is reset, for those who still look at them.
 */
struct mag_region_map {
	struct mag_region_map *older;
	uint32_t count;
	struct mag_region_begin {
		uintptr_t begin;
		uint32_t part;
	} at[];
};

/** What only an elastic region has. */
struct mag_elastic {
	/* Never changes after creation. */
	uint64_t objects; /**< that were asked for: there is room for magazines on top of them */
	uint32_t nodes;   /**< that its memory is of, at the most */
	uint32_t
		segments_all; /**< that there are addresses for: with all lcores that there may be */
	uint32_t reserve;     /**< free segments that a part keeps */
	size_t segment_bytes;       /**< records included */
	char *pages[MAG_PARTS_MAX]; /**< addresses for ordinary pages; NULL: EAL's heap */
	bool listed;                /**< among the elastic regions of the process that made it */
	uint32_t process; /**< mag_process_id of that one: owner of the list, and of the pages */
	pid_t pid;        /**< of that process, for log lines: no identity */

	TAILQ_ENTRY(mag_region) link; /**< of these, under their lock */
	uint32_t tended;              /**< threads that tend it, under the same lock */
	_Atomic uint64_t trim_last;   /**< TSC */
	_Atomic uint32_t hungry;      /**< a bit for each part, with maintenance told */
	_Atomic uint32_t
		hungry_elsewhere; /**< from other processes: maintenance sees it at its next turn */
	/** By part, TSC before which nobody asks for more: its node has none. */
	_Atomic uint64_t rest[MAG_PARTS_MAX];
	_Atomic uint64_t grown, trimmed, grow_fails;
	uint32_t taken_below; /**< all indices below it are taken; under the region's lock */
	/** By index, under the region's lock: there is such a segment, or it comes or goes. */
	bool taken[];
};

struct mag_region {
	char name[MAG_REGION_NAMESIZE];
	uint64_t id;
	uint32_t align;                  /**< of each object; adopted: 1 */
	struct mag_elastic *elastic;     /**< NULL: adopted memory */
	struct mag_mirror_owner *mirror; /**< NULL: none */
	struct mag_mirror_owner *audit;  /**< each object's last transaction; NULL: not audited */
	bool mirrored;                   /**< there is, or is going to be, a mirror */
	struct mag_region *second;       /**< its mirror region; NULL: none */
	struct mag_region *first;        /**< of a mirror region, while it is one's */
	struct mag_mirror_pair *pair;    /**< of a mirror region: how both find each other */
	uint32_t mode;                   /**< MAG_REGION_* */
	uint32_t stride;                 /**< bytes from object to object */
	uint32_t object_size;            /**< bytes that a user may touch */
	uint32_t block;                  /**< objects of a whole segment */

	struct mag_lock lock; /**< guards all below; the counts are also read without it */
	SLIST_HEAD(, mag_extent) extents;
	uint32_t references;
	uint32_t need[2];       /**< alignment that each cache on it relies on; 0: no cache */
	_Atomic uint32_t parts; /**< at least 1 */
	_Atomic uint32_t segments;
	_Atomic uint64_t objects; /**< of all segments */
	_Atomic uint64_t removed; /**< objects of segments that went back to the system */
	_Atomic uint64_t allocations;
	_Atomic uint64_t frees;
	struct mag_region_map *_Atomic map; /**< NULL: there is one part */
	struct mag_region_part part[MAG_PARTS_MAX];
};

/** Bytes of the records of a segment of so many objects. */
static inline size_t
mag_region_control_size(uint32_t count)
{
	return RTE_ALIGN_CEIL(MAG_CONTROL_SEGMENT + (size_t)count * MAG_CONTROL_OBJECT,
			      (size_t)MAG_CONTROL_ALIGN);
}

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

/** Bytes that a segment spans at the most, from its first object to behind its last. */
static inline uint64_t
mag_region_segment_span(const struct mag_region *region)
{
	return (uint64_t)region->block * region->stride;
}

/** Memory is not given back: its own, or its mirror region's or first one's, which go together. */
static inline bool
mag_region_is_persistent(const struct mag_region *region)
{
	uint32_t mode = region->mode;

	mode |= region->second != NULL ? region->second->mode : 0;
	mode |= region->first != NULL ? region->first->mode : 0;
	return mode & MAG_REGION_PERSISTENT;
}

/** Bytes from one object to the next, at the least. */
static inline uint32_t
mag_region_apart(const struct mag_region *region)
{
	return region->mirrored ? region->stride : region->object_size;
}

/** Take a reference: one cache uses the region, and relies on its objects being so aligned. */
int mag_region_attach(struct mag_region *region, uint32_t align);
void mag_region_detach(struct mag_region *region, uint32_t align);

/** As mag_region_create(), whatever MAGAZINE_SWITCHES says. */
struct mag_region *mag_region_make(const struct mag_region_params *params);
/** As mag_region_adopt(); nothing can fail any more, and nobody can have an object yet, when tell is called. */
int mag_region_adopt_told(struct mag_region *region, void *const *objects, uint32_t count, int node,
			  void (*tell)(void *arg), void *arg);

/**
 * Part of the memory of a node, made when there is none yet. Objects of a new part are
 * out of reach of the caches that use the region until they know the part.
 */
uint32_t mag_region_part_of_node(struct mag_region *region, int node);

/** Part of an address of an object. */
static inline uint32_t
mag_region_part_of(const struct mag_region *region, const void *address)
{
	/* acquire: pairs with the release of who makes a map */
	const struct mag_region_map *map = atomic_load_explicit(&region->map, memory_order_acquire);
	uintptr_t at = mag_memtag_strip((uintptr_t)address);
	uint32_t low = 0, high, middle;

	if (map == NULL)
		return 0;
	for (high = map->count; low < high;) {
		middle = (low + high) / 2;
		if (map->at[middle].begin <= at)
			low = middle + 1;
		else
			high = middle;
	}
	return low == 0 ? 0 : map->at[low - 1].part;
}

/**
 * A free segment: a tail if there is one, because it is of no use as a block, else
 * a whole one. NULL when the part has none. Data path.
 */
struct mag_segment *mag_region_get(struct mag_region *region, uint32_t part);
/** A whole segment, or NULL. */
struct mag_segment *mag_region_get_whole(struct mag_region *region, uint32_t part);
void mag_region_put(struct mag_region *region, struct mag_segment *segment);
/** Data path, no lock held: an elastic part that has fewer free segments than its reserve is hungry. */
void mag_region_eaten(struct mag_region *region, uint32_t part);

/** The region of an intrinsic cache: NULL with rte_errno as mag_region_create(). */
struct mag_region *mag_region_intrinsic(const char *name, uint32_t object_size, uint32_t align,
					int node);

/** Objects of segments that were taken from the region, each counted as whole, or removed. For mag_slab_in(). */
uint64_t mag_region_out(const struct mag_region *region);

/** Forget all memory: nothing of it may be in use any more. Touches no object. */
void mag_region_reset(struct mag_region *region);

/** Under the lock: a new segment is free; one that is free leaves the region. */
void mag_region_insert(struct mag_region *region, struct mag_segment *segment);
void mag_region_remove(struct mag_region *region, struct mag_segment *segment);

/** Mirrors, and an audit's records, for what is to come, when the stride is known: 0, or -ENOMEM. */
int mag_region_mirror_make(struct mag_region *region, uint32_t bytes, uint64_t granules);
/** The mirrors of a segment come and go: 0, or -ENOMEM. Nothing to do when there are none. */
int mag_segment_mirror_add(struct mag_region *region, const struct mag_segment *segment);
void mag_segment_mirror_remove(struct mag_region *region, const struct mag_segment *segment);

/* Elastic regions */

/**
 * Lay an elastic region out, and take its reserve.
 *
 * @return
 *   0, -EINVAL, -ENOTSUP or -ENOMEM, after a log line; the region is destroyed by the caller.
 */
int mag_elastic_init(struct mag_region *region, const struct mag_region_params *params);
/**
 * Lay a mirror region out, and take a segment for each that the first region, which nobody uses,
 * has: 0, or -EINVAL, -ENOTSUP or -ENOMEM after a log line.
 */
int mag_elastic_mirror_init(struct mag_region *region, struct mag_region *first,
			    const struct mag_region_params *params);
/** An elastic region that another process made, and lists? */
bool mag_elastic_is_elsewhere(const struct mag_region *region);
/** Give all memory back: nothing is in use any more. */
void mag_elastic_fini(struct mag_region *region);
/** Data path: a part has fewer free segments than its reserve. */
void mag_elastic_hunger(struct mag_region *region, uint32_t part);
/** EAL's heap has no object for an intrinsic cache: says so to maintenance, once a second at most. */
void mag_elastic_shortage(void);
/**
 * Take one segment of a part from the system: 0, -ENOSPC, -ENOMEM, or -EPERM: another process has
 * its pages.
 */
int mag_elastic_grow(struct mag_region *region, uint32_t part);

/** What tending all elastic regions of the process came to. */
struct mag_elastic_tended {
	uint64_t next; /**< TSC of the next turn; UINT64_MAX: none */
	/** The system had no memory for a segment, and its region has none free; or none for an intrinsic cache. */
	bool low;
};

/**
 * Feed the hungry, and at intervals give back what was not needed during the last one. Holds no lock
 * while memory comes or goes.
 *
 * @param interval
 *   TSC ticks from trim to trim.
 */
struct mag_elastic_tended mag_elastic_tend(uint64_t interval);
/** Ordinary pages, of it or its mirror, which only the process has that made the region? */
bool mag_elastic_is_of_pages(const struct mag_region *region);
/** In a forked child: the elastic regions are those of its parent, which goes on with their list. */
void mag_elastic_forked(void);
/** That parent is dead: a region becomes this process's. False: it is not to be had here. */
bool mag_elastic_take_over(struct mag_region *region, uint32_t from);
/** Elastic regions of the process. */
uint32_t mag_elastic_listed(void);
/** Give back what all elastic regions of the process have free beyond their reserve: others need it. */
void mag_elastic_relieve(void);

/** Called on the data path when some part became hungry; set by maintenance. */
extern void (*mag_elastic_observer)(void);
/** Called by mag_elastic_shortage(), which had to go to EAL's heap: may make a system call. Set by maintenance. */
extern void (*mag_shortage_observer)(void);

#endif /* MAG_REGION_PRIVATE_H */
