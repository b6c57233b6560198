/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_REGION_H
#define MAG_REGION_H

/**
 * @file
 * Regions: the backing memory of caches.
 *
 * A region over *adopted* memory hands out objects that lie in memory which the
 * caller owns: an rte_mempool's chunks, a memzone, a static array. It never
 * writes into that memory itself. The caller tells it the address of each
 * object; the objects need not be contiguous, nor of one chunk.
 *
 * An *elastic* region has memory of its own, of one node or of all, in segments of about a hugepage
 * each. It takes them from EAL when they are wanted and, where a service lcore does maintenance,
 * gives those back that were not needed for an interval, and EAL gives hugepages back to the
 * system. A segment holds its objects and, before them, their records: 8 bytes an object. Where EAL
 * has no hugepages (`--no-huge`) segments are ordinary pages, placed by libnuma.
 *
 * Memory is never taken or given back on the data path: an allocation that does not wait
 * has what there is, maintenance sees to it that there is more, and keeps a reserve of free
 * segments for the time until then. What must not fail waits (mag_cache_alloc_wait()).
 *
 * All functions may be called from any thread, but not on the data path. One thread at a time
 * adopts into a region, and nobody uses it while it is destroyed. An elastic region may have a
 * *mirror region*: mag_region_mirror_create().
 *
 * Functions that fail say why in one log line, and in rte_errno if they do not return it.
 */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "mag_compiler.h"

MAG_EXPORTED_BEGIN
#ifdef __cplusplus
extern "C" {
#endif

/** Longest name, with its terminating zero. */
#define MAG_REGION_NAMESIZE 64

/** Node of what may lie on any NUMA node. */
#define MAG_NODE_ANY (-1)

/**
 * @name Modes of a region
 * @{
 */
#define MAG_REGION_READONLY 0x1u    /**< the allocator never writes into objects */
#define MAG_REGION_NOMAGAZINES 0x4u /**< caches on it have no magazine layer */
/** Elastic only: what was taken is not given back while the region lives. */
#define MAG_REGION_PERSISTENT 0x8u
/** Elastic only: one segment holds everything; it is there from the beginning. */
#define MAG_REGION_MONOLITHIC 0x10u
/** Elastic only: each segment is contiguous in I/O memory; a memzone each. */
#define MAG_REGION_PHYSCONTIG 0x20u
/**
 * Elastic only, of ordinary pages, and only where an AArch64 processor and its kernel have memory
 * tags (ENOTSUP): each object gets another tag when it leaves the slab layer, when it is freed into
 * a magazine and when it enters the slab layer, never that of its neighbours. A pointer from before
 * no longer matches, nor does one that runs over the end of an object: using it is a SIGSEGV in
 * threads that called mag_memtag_enable(). The functions of this library take pointers with any
 * tag. Objects are multiples of 16 bytes and aligned to 16. Caches on it have no fast path.
 */
#define MAG_REGION_MEMTAG 0x80u
/** Objects may have more than one user: mag_cache_use(). */
#define MAG_REGION_SHAREOK 0x100u
/**
 * Caches on it record who had and gave back each object: mag_cache_transaction(). 192 bytes an
 * object.
 */
#define MAG_REGION_AUDIT 0x200u
/**
 * Elastic, and of ordinary pages only: unmapped pages before and behind each segment, so that an
 * access beyond the end of a segment is a SIGSEGV.
 */
#define MAG_REGION_REDZONE 0x400u
/**
 * Caches on it notice objects that are written to while they are free; of elastic regions that are
 * not READONLY also writes behind an object. Up to 256 bytes an object, and 16 between objects.
 */
#define MAG_REGION_CHECK 0x1000u
/** Handed out only together with its first region: mag_region_mirror_create() makes those. */
#define MAG_REGION_MIRRORED 0x800u
/** @} */

/** Most objects of a contiguous block. */
#define MAG_REGION_BLOCK_MAX 65534u

struct mag_region;

/** What a region is made from: begin with MAG_REGION_PARAMS_INIT. */
struct mag_region_params {
	size_t size;          /**< bytes of this struct */
	const char *name;     /**< copied; not empty */
	uint32_t object_size; /**< bytes of one object; not 0 */
	uint32_t stride;      /**< bytes from object to object; 0 = object_size */
	/**
	 * Objects of a contiguous block (a segment); 0 = chosen. Elastic: comes before
	 * segment_size, and MONOLITHIC before both.
	 */
	uint32_t block;
	uint32_t mode; /**< MAG_REGION_* */
	/**
	 * NUMA node of the region's own records, and of elastic memory; MAG_NODE_ANY = any, and all
	 * nodes
	 */
	int node;

	/**
	 * Not 0: elastic, and has room for so many objects and, unless NOMAGAZINES, for those on
	 * top of it that the magazines of one cache can hold: mag_magazine_max(object_size), of one
	 * node if the region is of one. When more lcores come later, there is room for what they
	 * hold too, but not in a MONOLITHIC region: there, what such lcores hold is had by stealing
	 * it.
	 */
	uint64_t objects;
	uint32_t align; /**< elastic: of each object, a power of two; 0 means 8 */
	/** Elastic, without block: bytes at most, records included; 0 = chosen */
	size_t segment_size;
	/** Elastic: free segments that a node keeps for who does not wait; 0 means 1. */
	uint32_t reserve;

	/**
	 * Bytes of each object's mirror, up to MAG_MIRROR_MAX; 0 = none, or a mirror region.
	 * Adopted objects then lie at least a stride apart.
	 */
	uint32_t mirror;
};

/**
 * @def MAG_REGION_PARAMS_INIT
 * Defaults: any node, and 0 for all else.
 */
#ifdef __cplusplus
static inline struct mag_region_params
mag_region_params_init(void)
{
	struct mag_region_params params;

	memset(&params, 0, sizeof(params));
	params.size = sizeof(params);
	params.node = MAG_NODE_ANY;
	return params;
}
#define MAG_REGION_PARAMS_INIT mag_region_params_init()
#else
#define MAG_REGION_PARAMS_INIT                                                                     \
	{                                                                                          \
		.size = sizeof(struct mag_region_params), .node = MAG_NODE_ANY                     \
	}
#endif

/**
 * Figures of a region, each exact, all of about the same moment. What of a mirror region is free
 * and in use is what is of its first region; memory and what the system was asked for are its own.
 */
struct mag_region_stats {
	size_t size;              /**< bytes of this struct that are filled */
	uint64_t id;              /**< unique among all processes that share the memory */
	uint32_t mode;            /**< MAG_REGION_* */
	uint64_t objects;         /**< of all segments */
	uint64_t objects_max;     /**< elastic: of as many segments as there may be now */
	uint64_t objects_free;    /**< of free segments */
	uint32_t segments;        /**< in use and free */
	uint32_t segments_free;   /**< not in use by a cache */
	uint32_t segments_max;    /**< elastic: grows when lcores come */
	uint32_t segment_objects; /**< objects of a whole segment */
	uint64_t segment_bytes;   /**< elastic: of a segment, records included */
	uint64_t memory;          /**< elastic: bytes of all segments */
	uint64_t memory_free;     /**< elastic: bytes of the free ones */
	uint64_t wired;           /**< bytes that stay: all, of a PERSISTENT region */
	uint64_t allocations;     /**< segments that caches took */
	uint64_t frees;           /**< segments that caches gave back */
	uint64_t grown;           /**< elastic: segments taken from the system */
	uint64_t trimmed;         /**< elastic: segments given back to it */
	uint64_t grow_fails;      /**< elastic: segments that could not be had */
	uint64_t mirrors;         /**< bytes of all mirrors */
};

/**
 * Make a region: one that has no memory yet, or an elastic one with its reserve.
 *
 * @return
 *   The region, or NULL with rte_errno: EINVAL (a parameter), ENOTSUP (a mode that cannot be had
 *   here), ENOMEM.
 */
struct mag_region *mag_region_create(const struct mag_region_params *params);

/**
 * Make the mirror region of an elastic region: a region of its own (name, id, mode, node, pages,
 * object size, alignment) whose segment i, object j is the mirror of segment i, object j of the
 * first.
 *
 * When a segment of the first comes, so does that of the mirror, or the first's does not come
 * either; they go together. So a first region does not give back what its PERSISTENT mirror may
 * not, nor the other way round. Objects of the mirror are there whether those of the first are
 * allocated or free, are zeroed when their memory comes, and not written to otherwise.
 * mag_region_mirror() of the first region tells how to find them (mag_mirror.h); constructors and
 * mag_cache_object_info() have them as second info.
 *
 * A mirror region is of no cache, does not adopt, grow or trim by itself, and has no mirror. It is
 * destroyed after its first region.
 *
 * @param first
 *   The region; no cache uses it yet, and nobody else meanwhile. Its mode does not bind the mirror.
 * @param params
 *   name, object_size, stride, align and node (MAG_NODE_ANY: that of each object) are the mirror's
 *   own, and so is mode: any of READONLY, PERSISTENT, PHYSCONTIG, REDZONE, and MIRRORED, which it
 *   always is. All else is its first region's, and 0 here.
 * @return
 *   The mirror region, or NULL with rte_errno: EINVAL (a parameter; the first is a mirror), ENOTSUP
 *   (the first has adopted memory; one of the two is MEMTAG; a mode that cannot be had here),
 *   EEXIST (the first has mirrors, of either form), EBUSY (a cache uses the first), EPERM (another
 *   process made the first), ENOMEM. The first region is then as it was.
 */
struct mag_region *mag_region_mirror_create(struct mag_region *first,
					    const struct mag_region_params *params);

/**
 * Give the objects at these addresses to the region.
 *
 * @param region
 *   The region.
 * @param objects
 *   Addresses of objects, ascending. Objects at a distance of one stride form contiguous blocks. No
 *   object of another call lies between the first and the last of them, which is not checked.
 * @param count
 *   How many.
 * @param node
 *   NUMA node of the memory; MAG_NODE_ANY when it is not known. A cache serves an lcore from its
 *   own node first. Memory of a node that comes first when a cache is using the region already
 *   counts as memory whose node is not known.
 * @return
 *   0; -EINVAL (addresses not ascending, objects that overlap, that are less aligned than a cache
 *   on the region needs, or an elastic region); -ENOMEM. Nothing is adopted when it fails.
 */
int mag_region_adopt(struct mag_region *region, void *const *objects, uint32_t count, int node);

/**
 * Elastic: take segments from the system now, for an expected load.
 *
 * @param region
 *   The region.
 * @param segments
 *   How many, on each node of the region.
 * @param grown
 *   How many were had in all, also when there were fewer; may be NULL.
 * @return
 *   0 when all were had; -ENOSPC: the region is as large as it may be; -ENOMEM: the system has no
 *   more; -EINVAL: the region has adopted memory, or is a mirror region; -EPERM: the region, or its
 *   mirror, is of ordinary pages, and another process made it.
 */
int mag_region_grow(struct mag_region *region, unsigned int segments, unsigned int *grown);

/**
 * Elastic: give free segments back to the system now, all but `keep` of each node.
 *
 * Objects in magazines are in use: mag_cache_reap_now() first.
 *
 * @param region
 *   The region.
 * @param keep
 *   Free segments of each node to keep.
 * @param trimmed
 *   How many were given back in all; may be NULL.
 * @return
 *   0; -EINVAL: the region has adopted memory, or is a mirror region; -ENOTSUP: it is MONOLITHIC,
 *   or it or its mirror PERSISTENT; -EPERM: as mag_region_grow(). Nothing is given back then.
 */
int mag_region_trim(struct mag_region *region, unsigned int keep, unsigned int *trimmed);

/** Fill as much of a struct as its size says. Not for users: mag_region_stats_get(). */
void mag_region_stats_fill(const struct mag_region *region, struct mag_region_stats *stats);

/**
 * Figures of a region. Cannot fail; from any thread.
 *
 * @param region
 *   The region.
 * @param stats
 *   Filled; what the library does not know, because it is older than the headers, is 0.
 */
static inline void
mag_region_stats_get(const struct mag_region *region, struct mag_region_stats *stats)
{
	stats->size = sizeof(*stats);
	mag_region_stats_fill(region, stats);
}

/**
 * Check memory tags at once (synchronously) in the calling thread, and in those that it makes from
 * now on: to be called before rte_eal_init(). What else prctl(PR_SET_TAGGED_ADDR_CTRL) was told
 * before is replaced. An application that has its own way with it, or that would rather have faults
 * reported late (PR_MTE_TCF_ASYNC), calls prctl() itself.
 *
 * @return
 *   0, or -ENOTSUP where there are none.
 */
int mag_memtag_enable(void);

/**
 * Destroy a region. Adopted memory is the caller's again, other memory the system's.
 *
 * @return
 *   0; -EBUSY when a cache uses the region, or it is the mirror of a region that is still there;
 *   -EPERM: it is elastic and another process made it, which destroys it.
 */
int mag_region_destroy(struct mag_region *region);

#ifdef __cplusplus
}
#endif
MAG_EXPORTED_END

#endif /* MAG_REGION_H */
