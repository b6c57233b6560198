/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_STATS_H
#define MAG_STATS_H

/**
 * @file
 * Snapshots of a cache's counters. Read without a lock: exact when nobody works.
 */

#include <stdint.h>

#include "mag_cache.h"

#ifdef __cplusplus
extern "C" {
#endif

struct mag_cache_stats {
	char name[MAG_CACHE_NAMESIZE];
	uint32_t id;
	uint32_t flags;             /**< MAG_CACHE_* */
	uint64_t object_size;       /**< bytes */
	uint64_t chunk_size;        /**< bytes, alignment included */
	uint32_t align;             /**< bytes */
	uint32_t slab_objects;      /**< objects of a whole slab: a contiguous block */
	uint32_t rounds;            /**< magazine size in force; 0 = lcore layer off */
	uint64_t objects;           /**< of the region */
	uint64_t free;              /**< in magazines, depot and slabs */
	uint64_t in_lcores;         /**< in loaded and previous magazines */
	uint64_t depot_full;        /**< magazines */
	uint64_t depot_empty;       /**< magazines */
	uint64_t depot_full_taken;  /**< takes from the full list */
	uint64_t depot_empty_taken; /**< takes from the empty list */
	uint64_t contention;        /**< since the last update */
	uint64_t contention_total;
	uint64_t zeroes; /**< working sets zeroed */
	uint64_t resizes;
	uint64_t purges; /**< that took a magazine from some lcore */
	uint64_t reaps;  /**< that had something to take */
	uint64_t updates;
	uint64_t slabs_created;
	uint64_t slabs_destroyed;
	uint64_t slabs_partial;
	uint64_t slabs_full;
	uint64_t slab_allocs; /**< objects */
	uint64_t slab_frees;  /**< objects */
	uint64_t slab_fails;  /**< slabs that could not be made */
	uint64_t alloc_fails; /**< objects that could not be constructed, and slab_fails */
	uint64_t invalid_frees;
	uint64_t in_use; /**< objects of all existing slabs */
	uint64_t in_use_max;
	uint64_t rescales;
	uint64_t table_size; /**< buckets */
	uint64_t steals;     /**< sweeps over other lcores' magazines for an allocation */
	/** Slots or locks that did not let go in time for one, and sums that never settled. */
	uint64_t steal_denied;
	uint64_t visits_denied; /**< the same for purge, resize and reap */
};

/** Fill a snapshot. */
void mag_cache_stats(const struct mag_cache *cache, struct mag_cache_stats *stats);

struct mag_slot_stats {
	unsigned int lcore; /**< lcore id; LCORE_ID_ANY: the shared slot, or no owner now */
	uint64_t allocs;    /**< objects handed to users */
	uint64_t frees;     /**< objects taken back from users */
	uint64_t exchanges; /**< magazines changed at the depot */
	uint32_t loaded;    /**< rounds in the loaded magazine */
	uint32_t previous;  /**< rounds in the previous magazine */
};

/**
 * Snapshots of the slots that were ever used.
 *
 * @param stats
 *   Room for max of them.
 * @return
 *   How many were filled; the shared slot of threads without an lcore id is the last one.
 */
unsigned int mag_cache_slot_stats(const struct mag_cache *cache, struct mag_slot_stats *stats,
				  unsigned int max);

/** Free objects: in magazines, depot and slabs. Exact when nobody works. */
uint64_t mag_cache_available(const struct mag_cache *cache);

/**
 * Call a function for each cache of the process, under the lock of their list: it makes and destroys none.
 *
 * @return
 *   0; -EDEADLK: called from a cache's callback, or from such a function.
 */
int mag_cache_walk(void (*visit)(struct mag_cache *cache, void *arg), void *arg);

/** Name of a cache. */
const char *mag_cache_name(const struct mag_cache *cache);

#ifdef __cplusplus
}
#endif

#endif /* MAG_STATS_H */
