/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_REGION_PRIVATE_H
#define MAG_REGION_PRIVATE_H

/*
 * Regions: backing memory cut into segments of objects (specification, Regions).
 *
 * A region is lists of free segments. Where segments come from is not its concern: adopt.h cuts
 * memory that somebody else laid out, elastic.h takes memory from the system and gives it back. All
 * records are allocated when memory comes: the data path allocates nothing.
 *
 * A segment is free or allocated. Whole segments (of `block` objects at the region's own stride)
 * and tails have a list each, so that contiguous blocks can be asked for.
 *
 * The memory of one NUMA node is a part of the region, with lists of its own. Parts are numbered in
 * the order in which their nodes first come; memory whose node is not known is of part 0. Which
 * part an address is of is looked up in a map (map.h), which there is only if there are several.
 *
 * A mirror region is a region whose segments are on no list: each belongs to the first region's
 * segment of the same index, and is free or allocated when that one is.
 *
 * The lock of a process that died is broken by whoever waits for it (base/lock.h). The place of
 * each segment says then what is free, and lists and counts are made anew from it: a segment that
 * is taken is FREE until it has left its list, and one that comes back is FREE before it is on one.
 *
 * The lock guards the lists and is a leaf: nothing is waited for while it is held. Counts are also
 * read without it. In a debugger: lock.holder, and part[i].segments_free against the length of
 * part[i].whole and part[i].tails.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <rte_branch_prediction.h>
#include <rte_config.h>

#include "base/counter.h"
#include "base/lock.h"
#include "mag_region.h"
#include "parts/bounds.h"
#include "parts/map.h"
#include "parts/mirror.h"
#include "parts/segment.h"
#include "stores/blocks.h"

/**
 * Internal mode: no segments at all, objects come one by one from EAL's heap (spec, intrinsic
 * caches).
 */
#define MAG_REGION_PSEUDO 0x80000000u
/** Room that an audited region has for what is recorded of an object. */
#define MAG_AUDIT_BYTES 168
/** Room that a region with MAG_REGION_CHECK has at the most (snapshot.h); its copy of an object. */
#define MAG_SNAPSHOT_BYTES 240
#define MAG_SNAPSHOT_COPY (MAG_SNAPSHOT_BYTES - 8)
/** Pieces of an object that are copied. */
#define MAG_SPANS 3
/** Most parts: nodes that DPDK knows. */
#define MAG_PARTS_MAX RTE_MAX_NUMA_NODES

/** The memory of one adopted chunk's records, in one allocation. */
struct mag_extent {
	SLIST_ENTRY(mag_extent) link;
	uint32_t segments;
	struct mag_segment segment[];
};

/** The free memory of one node. */
struct mag_region_part {
	struct mag_segment_list whole;
	struct mag_segment_list tails;
	_Atomic uint32_t segments_free;
	_Atomic uint64_t objects_free; /**< of the free segments */
	int32_t node;                  /**< -1: not known, part 0 only */
	uint32_t free_min; /**< fewest free segments since the last trim; under the lock */
};

struct mag_elastic;
struct mag_samples;

/** Bytes of each object, or before it. */
struct mag_span {
	int32_t offset;
	uint32_t bytes; /**< a multiple of 8 */
};

struct mag_region {
	char name[MAG_REGION_NAMESIZE];
	uint64_t id;
	uint32_t align;                  /**< of each object; adopted: 1 */
	struct mag_elastic *elastic;     /**< NULL: adopted memory */
	struct mag_mirror_owner *mirror; /**< NULL: none */
	struct mag_mirror_owner *audit;  /**< each object's last transaction; NULL: not audited */
	struct mag_mirror_owner *ledger; /**< what ledger.h has of each object; NULL: none */
	struct mag_samples *samples;     /**< objects that are sampled; NULL: none */
	struct mag_mirror_owner *check;  /**< what snapshot.h has of each object; NULL: none */
	struct mag_span span[MAG_SPANS]; /**< what is copied there */
	uint32_t behind;                 /**< bytes behind an object that are copied, too */
	bool has_mbufs;                  /**< objects begin with a struct rte_mbuf */
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
	LIST_HEAD(, mag_segment) all; /**< segments, in use or not */
	uint32_t references;
	/** Alignment that each cache on it relies on; 0: no cache. */
	_Atomic uint32_t need[2];
	_Atomic uint32_t parts; /**< at least 1 */
	_Atomic uint32_t segments;
	_Atomic uint64_t objects; /**< of all segments */
	_Atomic uint64_t removed; /**< objects of segments that went back to the system */
	_Atomic uint64_t allocations;
	_Atomic uint64_t frees;
	struct mag_map *_Atomic map; /**< NULL: there is one part */
	struct mag_region_part part[MAG_PARTS_MAX];
	struct mag_bounds bounds[MAG_PARTS_MAX];
	struct mag_blocks blocks; /**< of adopted memory */
};

/** All that lies beside the objects and comes and goes with segments: owners, some of them NULL. */
#define MAG_REGION_BESIDE(region)                                                                  \
	{                                                                                          \
		(region)->mirror, (region)->audit, (region)->ledger, (region)->check               \
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

/** A region without memory; NULL with rte_errno, after a log line. */
struct mag_region *mag_region_alloc(const struct mag_region_params *params);
/** Free it, and what is recorded of adopted memory. */
void mag_region_free(struct mag_region *region);

/** Take a reference: one cache uses the region, and relies on its objects being so aligned. */
int mag_region_attach(struct mag_region *region, uint32_t align);
void mag_region_detach(struct mag_region *region, uint32_t align);

/**
 * Part of the memory of a node, made when there is none yet. Objects of a new part are
 * out of reach of the caches that use the region until they know the part.
 */
uint32_t mag_region_part_of_node(struct mag_region *region, int node);
/** Part for memory of a node that comes now: a new one only while no cache uses the region. */
uint32_t mag_region_part_of_memory(struct mag_region *region, int node);

/** Part of an address of an object. */
static inline uint32_t
mag_region_part_of(const struct mag_region *region, const void *address)
{
	/* acquire: pairs with the release in mag_map_publish() */
	const struct mag_map *map = atomic_load_explicit(&region->map, memory_order_acquire);

	return map == NULL ? 0 : mag_map_part(map, address);
}

/**
 * Take the lock, and put in order what a process that died with it has left. Spins: for the data
 * path.
 */
void mag_region_lock(struct mag_region *region);
/** Before an object of the part is put beside the fast path: the next one may be near. */
static inline void
mag_region_know(struct mag_region *region, uint32_t part)
{
	if (likely(mag_bounds_are_known(&region->bounds[part])))
		return;
	mag_region_lock(region);
	mag_bounds_open(region->bounds, MAG_STAT(region->parts), part);
	mag_lock_release(&region->lock);
}

/**
 * A free segment: a tail if there is one, because it is of no use as a block, else
 * a whole one. NULL when the part has none. Data path.
 */
struct mag_segment *mag_region_get(struct mag_region *region, uint32_t part);
/** A whole segment, or NULL. */
struct mag_segment *mag_region_get_whole(struct mag_region *region, uint32_t part);
void mag_region_put(struct mag_region *region, struct mag_segment *segment);

/**
 * Objects of segments that were taken from the region, each counted as whole, or removed. For
 * mag_slab_in().
 */
uint64_t mag_region_out(const struct mag_region *region);
/** Objects that came into the region so far; those that went are in `removed`. */
uint64_t mag_region_in(const struct mag_region *region);
/** Does one cache have the region to itself? Then all objects that are not out are free for it. */
static inline bool
mag_region_is_unshared(const struct mag_region *region)
{
	return MAG_STAT(region->need[0]) == 0 || MAG_STAT(region->need[1]) == 0;
}

/** At most so many segments that are on their way, whoever has them. */
unsigned int mag_region_find_strays(struct mag_region *region, struct mag_segment **strays,
				    unsigned int max);
/** Put back segments that dead threads had on their way: nobody who lives had any. */
void mag_region_put_strays(struct mag_region *region, struct mag_segment *const *strays,
			   unsigned int n);

/** Forget all memory: nothing of it may be in use any more. Touches no object. */
void mag_region_reset(struct mag_region *region);

/** Under the lock: a new segment is free; one that is free leaves the region. */
void mag_region_insert(struct mag_region *region, struct mag_segment *segment);
void mag_region_remove(struct mag_region *region, struct mag_segment *segment);

/**
 * Mirrors, an audit's records and snapshots for what is to come, when the stride is known: 0, or
 * -ENOMEM.
 */
int mag_region_mirror_make(struct mag_region *region, uint32_t bytes, uint64_t granules);
/** A ledger (ledger.h) of so many bytes an object, for so many objects: 0, or -ENOMEM. */
int mag_region_ledger_make(struct mag_region *region, uint32_t bytes, uint64_t objects);
/** The mirrors of a segment come and go: 0, or -ENOMEM. Nothing to do when there are none. */
int mag_region_mirror_add(struct mag_region *region, const struct mag_segment *segment);
void mag_region_mirror_remove(struct mag_region *region, const struct mag_segment *segment);

#endif /* MAG_REGION_PRIVATE_H */
