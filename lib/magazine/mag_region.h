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
 * All functions may be called from any thread, but not on the data path.
 * Functions that fail say why in rte_errno and in one log line.
 */

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Longest name, with its terminating zero. */
#define MAG_REGION_NAMESIZE 64

/** @name Modes of a region
 * @{
 */
#define MAG_REGION_READONLY 0x1u    /**< the allocator never writes into objects */
#define MAG_REGION_SHARED 0x2u      /**< mapped by others: nothing of the allocator's in objects */
#define MAG_REGION_NOMAGAZINES 0x4u /**< caches on it have no magazine layer */
/** @} */

/** Most objects of a contiguous block. */
#define MAG_REGION_BLOCK_MAX 65534u

struct mag_region;

/** What a region is made from. */
struct mag_region_params {
	const char *name;     /**< copied; not empty */
	uint32_t object_size; /**< bytes of one object; not 0 */
	uint32_t stride;      /**< bytes from object to object; 0 = object_size */
	uint32_t block;       /**< objects of a contiguous block (a segment); 0 = chosen */
	uint32_t mode;        /**< MAG_REGION_* */
	int node;             /**< NUMA node of the region's own records; -1 = any */
};

/**
 * Make a region that has no memory yet.
 *
 * @return
 *   The region, or NULL with rte_errno: EINVAL (a parameter), ENOMEM.
 */
struct mag_region *mag_region_create(const struct mag_region_params *params);

/**
 * Give the objects at these addresses to the region.
 *
 * @param region
 *   The region.
 * @param objects
 *   Addresses of objects, ascending. Objects at a distance of one stride form
 *   contiguous blocks.
 * @param count
 *   How many.
 * @param node
 *   NUMA node of the memory; -1 when it is not known. A cache serves an lcore from its own
 *   node first. Memory of a node that comes first when a cache is using the region already
 *   counts as memory whose node is not known.
 * @return
 *   0; -EINVAL (addresses not ascending, or objects that overlap); -ENOMEM.
 *   Nothing is adopted when it fails.
 */
int mag_region_adopt(struct mag_region *region, void *const *objects, uint32_t count, int node);

/**
 * Destroy a region. Its memory is the caller's again.
 *
 * @return
 *   0, or -EBUSY when a cache uses the region.
 */
int mag_region_destroy(struct mag_region *region);

#ifdef __cplusplus
}
#endif

#endif /* MAG_REGION_H */
