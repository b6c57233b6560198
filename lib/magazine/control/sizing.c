/* SPDX-License-Identifier: BSD-3-Clause */
#include <rte_common.h>
#include <rte_lcore.h>

#include "base/counter.h"
#include "control/sizing.h"
#include "parts/type.h"
#include "visits/sweep.h"

/* Slots that may come after the cache was made and still find magazines. */
#define SPARE_SLOTS 2

static uint32_t
running_slots(void)
{
	return RTE_MAX(RTE_MAX(rte_lcore_count(), mag_thread_owners()), 1u);
}

/* Slots that hold magazines of a cache: each running one in each home. */
static uint32_t
slots_of(const struct mag_cache *cache)
{
	const struct mag_homes *homes = mag_cache_homes(cache);

	return running_slots() * (homes != NULL ? homes->count : 1);
}

uint32_t
mag_cache_type_bound(const struct mag_cache *cache)
{
	uint32_t type = MAG_STAT(cache->common.type), bound;

	if ((cache->flags & MAG_CACHE_POOL) == 0 || MAG_STAT(cache->options.rounds) != 0 ||
	    cache->flags & MAG_CACHE_NOMAGAZINES || !mag_cache_may_visit(cache))
		return type;
	bound = mag_type_pool(cache->expected, slots_of(cache), MAG_ROUNDS_MAX);
	/* 0: off, because too many lcores ran; on again when they are gone. */
	return type == 0 ? bound : RTE_MIN(type, bound);
}

uint32_t
mag_cache_type_grown(const struct mag_cache *cache)
{
	uint32_t type = MAG_STAT(cache->common.type), next;

	/* rounds may have been set since the cache was made. */
	if ((cache->flags & MAG_CACHE_DYNAMIC) == 0 || MAG_STAT(cache->options.rounds) != 0 ||
	    type == 0 || !mag_cache_may_visit(cache))
		return type;
	if (cache->flags & MAG_CACHE_POOL)
		next = mag_type_pool(cache->expected, slots_of(cache), mag_type_pool_next(type));
	else
		next = mag_type_next(mag_cache_type_size(cache), type);
	return RTE_MAX(next, type);
}

static size_t
arena_bytes_for(uint64_t objects, uint32_t rounds)
{
	uint64_t magazines = objects / rounds + 1 + 2 * (running_slots() + 1 + SPARE_SLOTS);

	return RTE_MIN(magazines, (uint64_t)MAG_MAGAZINES_MAX) * mag_arena_magazine_bytes(rounds);
}

size_t
mag_cache_arena_bytes(const struct mag_cache *cache, uint64_t objects)
{
	uint32_t rounds = MAG_STAT(cache->common.type);
	size_t bytes = 0;

	if (cache->flags & MAG_CACHE_NOMAGAZINES || rounds == 0)
		return 1;
	if (MAG_STAT(cache->options.rounds) != 0)
		return arena_bytes_for(objects, rounds);
	if ((cache->flags & MAG_CACHE_POOL) == 0) {
		for (; rounds != 0; rounds = mag_type_next(mag_cache_type_size(cache), rounds))
			bytes = RTE_MAX(bytes, arena_bytes_for(objects, rounds));
		return bytes;
	}
	rounds = mag_type_pool(cache->expected, running_slots(), MAG_ROUNDS_MAX);
	for (; rounds != 0; rounds = mag_type_pool(UINT64_MAX, 1, rounds - 1))
		bytes = RTE_MAX(bytes, arena_bytes_for(objects, rounds));
	return bytes;
}

uint32_t
mag_cache_type_first(const struct mag_cache *cache)
{
	uint32_t rounds = MAG_STAT(cache->options.rounds);

	if (cache->flags & MAG_CACHE_NOMAGAZINES)
		return 0;
	if (rounds != 0)
		return rounds;
	if (cache->flags & MAG_CACHE_POOL)
		return mag_type_pool(cache->expected, running_slots(), MAG_ROUNDS_MAX);
	return mag_type_first(mag_cache_type_size(cache));
}
