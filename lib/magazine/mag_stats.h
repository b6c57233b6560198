/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_STATS_H
#define MAG_STATS_H

/**
 * @file
 * Snapshots of a cache's counters. Read without a lock: exact when nobody works.
 */

#include <stddef.h>
#include <stdint.h>

#include "mag_cache.h"

MAG_EXPORTED_BEGIN
#ifdef __cplusplus
extern "C" {
#endif

/**
 * Counters of a cache, which begin with it and never go back, and figures of now; of all its NUMA
 * nodes together.
 */
struct mag_cache_stats {
	size_t size;                   /**< bytes of this struct that are filled */
	char name[MAG_CACHE_NAMESIZE]; /**< need not be unique */
	uint64_t id;                   /**< unique among all processes that share the memory */
	uint32_t flags;                /**< MAG_CACHE_* */
	uint64_t region_id;            /**< of its region, unique likewise */
	uint32_t region_mode;          /**< MAG_REGION_* */
	uint64_t object_size;          /**< bytes */
	uint64_t chunk_size;           /**< bytes, alignment included */
	uint32_t align;                /**< bytes */
	uint32_t region_align;         /**< of the region's objects; 1: adopted, nothing is known */
	uint32_t slab_objects;         /**< objects of a whole slab: a contiguous block */
	uint64_t slab_size;            /**< bytes from its first object to behind its last */
	uint32_t rounds;               /**< magazine size in force; 0 = lcore layer off */
	uint64_t objects;              /**< of the region */
	uint64_t free;                 /**< as mag_cache_available() */
	uint64_t in_lcores;            /**< objects now in loaded and previous magazines */
	uint64_t loaded;               /**< objects now in loaded magazines */
	uint64_t previous;             /**< objects now in previous magazines */
	uint64_t depot_full;           /**< full magazines now */
	uint64_t depot_empty;          /**< empty magazines now */
	uint64_t depot_full_taken;     /**< takes from the full list */
	uint64_t depot_empty_taken;    /**< takes from the empty list */
	uint64_t contention;           /**< takes since the last update that had to try again */
	uint64_t contention_total;     /**< all of these */
	uint64_t zeroes;               /**< working sets zeroed */
	uint64_t resizes;              /**< changes of the magazine size */
	uint64_t purges;               /**< of all nodes, that took a magazine from some lcore */
	uint64_t reaps;                /**< by updates and on request, that had something to take */
	uint64_t updates;              /**< by maintenance and by mag_cache_update() */
	uint64_t slabs_created;        /**< segments taken from the region */
	uint64_t slabs_destroyed;      /**< segments given back to it */
	uint64_t slabs_partial;        /**< slabs with a free object, now */
	uint64_t slabs_full;           /**< slabs without one, now */
	uint64_t slab_allocs;          /**< objects that left the slab layer */
	uint64_t slab_frees;           /**< objects that came back to it */
	/**
	 * Objects that users freed and that came back to it because no empty magazine was to be
	 * had.
	 */
	uint64_t slab_frees_no_magazine;
	uint64_t slab_fails;    /**< slabs that could not be made, of those that were tried */
	uint64_t alloc_fails;   /**< objects that could not be constructed, and slab_fails */
	uint64_t invalid_frees; /**< refused frees, where they are noticed: see mag_cache_free() */
	uint64_t in_use;        /**< objects of all slabs now, free or not */
	uint64_t in_use_max;    /**< the most that it ever was; the sum of that of each node */
	uint64_t rescales;      /**< changes of the address table's size */
	uint64_t table_size;    /**< its buckets now */
	uint64_t steals;        /**< sweeps over other lcores' magazines for an allocation */
	/** Slots or locks that did not let go in time for one, and sums that never settled. */
	uint64_t steal_denied;
	uint64_t visits_denied; /**< the same for purge, resize and reap */
	uint32_t mempool_cache; /**< of a pool: size of rte_mempool's caches in force; 0 = none */
	/** Allocations that got nothing, or less than a bulk; each try of one that waits. */
	uint64_t failed_gets;
	/** Objects written to while free, or beyond their end: options check and audit=1/N. */
	uint64_t bad_writes;
};

/** Fill as much of a snapshot as its size says. Not for users: mag_cache_stats_get(). */
void mag_cache_stats_fill(const struct mag_cache *cache, struct mag_cache_stats *stats);

/**
 * Take a snapshot. Cannot fail, takes no lock; from any thread, while others use the cache.
 *
 * @param cache
 *   The cache.
 * @param stats
 *   Filled; what the library does not know, because it is older than the headers, is 0.
 */
static inline void
mag_cache_stats_get(const struct mag_cache *cache, struct mag_cache_stats *stats)
{
	stats->size = sizeof(*stats);
	mag_cache_stats_fill(cache, stats);
}

/** Figures of a slot, which is what one thread has of a cache. */
struct mag_slot_stats {
	size_t size;        /**< bytes of this struct that are filled */
	unsigned int lcore; /**< its owner's; LCORE_ID_ANY: none, no owner, or shared */
	uint64_t allocs;    /**< objects handed to users */
	uint64_t frees;     /**< objects taken back from users */
	uint64_t exchanges; /**< magazines changed at the depot; of each NUMA node modulo 2^32 */
	uint32_t loaded;    /**< rounds in the loaded magazine */
	uint32_t previous;  /**< rounds in the previous magazine */
};

/**
 * The same, in an array of structs of that many bytes each. Not for users:
 * mag_cache_slot_stats_get().
 */
unsigned int mag_cache_slot_stats_fill(const struct mag_cache *cache, void *stats, size_t size,
				       unsigned int max);

/**
 * Take snapshots of the slots that were ever used. Cannot fail, takes no lock; from any thread.
 *
 * @param cache
 *   The cache.
 * @param stats
 *   Room for max of them.
 * @param max
 *   How many at most.
 * @return
 *   How many were filled; the shared slot of threads that own none is the last one, if there
 *   was room for all.
 */
static inline unsigned int
mag_cache_slot_stats_get(const struct mag_cache *cache, struct mag_slot_stats *stats,
			 unsigned int max)
{
	return mag_cache_slot_stats_fill(cache, stats, sizeof(*stats), max);
}

/**
 * Free objects: in magazines, depot and slabs. Exact when nobody works; else never more than were
 * free at some moment of the call, and fewer by what moves meanwhile: frees into magazines and
 * allocations by others, the magazines of an lcore that is interrupted in the middle of an
 * operation, and what maintenance or a steal carries. Of a region that two caches share, also what
 * others bring from or to the region. Takes no lock.
 */
uint64_t mag_cache_available(const struct mag_cache *cache);

/**
 * Call a function for each cache of the process, under the lock of their list. The function makes
 * and destroys no cache and makes no mempool (-EDEADLK). A mempool that it frees is not visited any
 * more; its records are freed when the walk is over.
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
MAG_EXPORTED_END

#endif /* MAG_STATS_H */
