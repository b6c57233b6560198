/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef STRESS_SUBJECT_H
#define STRESS_SUBJECT_H

/*
 * What is stressed: a mempool of the driver, or a cache of the library, and what is known of its
 * objects.
 */

#include <rte_lcore.h>
#include <rte_mempool.h>

#include "cache/cache.h"
#include "mag_stats.h"
#include "stock.h"

struct subject {
	struct rte_mempool *pool; /**< NULL: a cache of the library */
	struct mag_cache *cache;
	struct stock stock;
	uint32_t block; /**< objects of a contiguous block; 0 = not offered */
};

/** Memory that no file is behind; ends the test without it. */
uint8_t *subject_map(size_t size);

/** A mempool with the ops "magazine"; fails the test if it cannot be had. */
void subject_pool(struct subject *subject, uint32_t objects, unsigned int cache_size,
		  const char *options);
void subject_pool_free(struct subject *subject);
/** One that was made elsewhere. */
void subject_of_pool(struct subject *subject, struct rte_mempool *pool);

/** A region for these objects, which are added to the stock, and a cache of the library over it. */
struct subject_memory {
	struct mag_region *region;
	uint8_t *base;
	size_t size;
	uint32_t objects;
};

void subject_cache(struct subject *subject, struct subject_memory *memory, uint32_t objects,
		   uint32_t adopted, struct mag_cache_params *params);
/**
 * The same step by step: a region that has adopted none of these objects, cut into segments of
 * block objects; a cache. False, with an errno, when there is no memory for their records.
 */
bool subject_region(struct subject *subject, struct subject_memory *memory, const char *name,
		    uint32_t objects, uint32_t block);
bool subject_try_cache(struct subject *subject, const struct subject_memory *memory,
		       struct mag_cache_params *params);
/**
 * Let the region have the next n objects; they are in the stock from the beginning. False when
 * there is no memory for their records.
 */
bool subject_adopt(struct subject_memory *memory, uint32_t n);
/** What was made of it, with all objects free. */
void subject_cache_free(struct subject *subject, struct subject_memory *memory);

/** All of n for a pool, as many as there are for a cache. */
static inline unsigned int
subject_get(struct subject *subject, void **objects, unsigned int n)
{
	if (subject->pool == NULL)
		return mag_cache_alloc_bulk(subject->cache, objects, n);
	return rte_mempool_get_bulk(subject->pool, objects, n) == 0 ? n : 0;
}

static inline void
subject_put(struct subject *subject, void *const *objects, unsigned int n)
{
	if (subject->pool == NULL)
		mag_cache_free_bulk(subject->cache, objects, n);
	else
		rte_mempool_put_bulk(subject->pool, objects, n);
}

/** Free objects, those in the mempool's own caches too. */
static inline uint64_t
subject_available(const struct subject *subject)
{
	return subject->pool == NULL ? mag_cache_available(subject->cache) :
				       rte_mempool_avail_count(subject->pool);
}

/** Refusals that the allocator has counted: somebody did not let go in time. */
static inline uint64_t
subject_denied(const struct subject *subject)
{
	return MAG_STAT(subject->cache->common.steal_denied) +
	       MAG_STAT(subject->cache->common.visits_denied);
}

/** This thread's mempool cache, if it has one, goes back to the pool. */
static inline void
subject_flush(struct subject *subject)
{
	struct rte_mempool_cache *cache;

	if (subject->pool == NULL)
		return;
	cache = rte_mempool_default_cache(subject->pool, rte_lcore_id());
	if (cache != NULL)
		rte_mempool_cache_flush(cache, subject->pool);
}

#endif /* STRESS_SUBJECT_H */
