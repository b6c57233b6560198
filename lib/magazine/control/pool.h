/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_POOL_H
#define MAG_POOL_H

/*
 * Caches of mempools: what the driver calls.
 */

#include <stdbool.h>
#include <stdint.h>

#include "cache/cache.h"
#include "control/alloc.h"
#include "parts/options.h"

/** What the driver makes a cache from: public parameters and what only a pool has. */
struct mag_pool_params {
	const char *name;
	uint32_t object_size;
	uint64_t objects;    /**< that the pool is going to have */
	uint32_t cache_size; /**< of rte_mempool's caches, as made; 0: there are none */
	struct mag_region *region;
	struct mag_options options;
	int node;
};

/**
 * A cache for a mempool: pool types, lcore layer enabled at once. rte_errno as mag_cache_create().
 */
struct mag_cache *mag_pool_create(const struct mag_pool_params *params);
/**
 * The pool is going to have memory of this node, which may be the first of its node. 0, -ENOMEM, or
 * -EBUSY when somebody stays in the resize perimeter.
 */
int mag_pool_home(struct mag_cache *cache, int node);
/**
 * Free a pool's cache whatever is out: its objects' memory is gone. Touches no object.
 *
 * @return
 *   False, when called from a callback or a walk, or in another process than the one that made it:
 *   nothing is done for the pool any more, and the next thread that leaves the list of that
 * process, or its maintenance, frees it, and its region with it. Where that process has ended,
 * nobody does.
 */
bool mag_pool_free(struct mag_cache *cache);
/**
 * A pool lost all its memory (rte_mempool gave it back): start again without objects. 0, or, with
 * nothing done, -EBUSY when somebody stays in the resize perimeter, or -EAGAIN when an lcore that
 * holds magazines does not let go.
 */
int mag_pool_reset(struct mag_cache *cache);
/** n contiguous blocks, all or nothing, as mag_cache_take_blocks(). 0 or -ENOBUFS. */
int mag_pool_take_blocks(struct mag_cache *cache, void **first, unsigned int n);

#endif /* MAG_POOL_H */
