/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include <rte_lcore.h>

#include "cache.h"

uint64_t
mag_cache_available(const struct mag_cache *cache)
{
	/* What moves may be counted twice; no count exceeds what there is. */
	return RTE_MIN(mag_cache_reachable(cache), MAG_STAT(cache->region->objects));
}

static void
depot_stats(const struct mag_cache *cache, struct mag_cache_stats *stats)
{
	const struct mag_depot *depot = &cache->depot;

	stats->depot_full += mag_depot_total(&depot->full);
	stats->depot_empty += mag_depot_total(&depot->empty);
	stats->depot_full_taken += mag_depot_taken(&depot->full);
	stats->depot_empty_taken += mag_depot_taken(&depot->empty);
	stats->contention_total += mag_depot_contention(depot);
}

static void
slab_stats(const struct mag_cache *cache, struct mag_cache_stats *stats)
{
	const struct mag_slab_layer *slab = &cache->slab;

	stats->slabs_created += MAG_STAT(slab->created);
	stats->slabs_destroyed += MAG_STAT(slab->destroyed);
	stats->slabs_partial += MAG_STAT(slab->slabs_partial);
	stats->slabs_full += MAG_STAT(slab->slabs_full);
	stats->slab_allocs += MAG_STAT(slab->allocs);
	stats->slab_frees += MAG_STAT(slab->frees);
	stats->slab_fails += MAG_STAT(slab->fails);
	stats->invalid_frees += MAG_STAT(slab->invalid);
	stats->in_use += MAG_STAT(slab->in_use);
	stats->in_use_max += MAG_STAT(slab->in_use_max);
	stats->rescales += MAG_STAT(slab->rescales);
	stats->table_size += MAG_STAT(slab->table_size);
}

static void
lcore_stats(const struct mag_cache *cache, struct mag_cache_stats *stats)
{
	unsigned int i;

	for (i = 0; i < MAG_SLOTS; i++) {
		/* acquire: pairs with the release in mag_lcore_swap(), as in mag_lcore_count() */
		stats->loaded += atomic_load_explicit(&cache->slot[i].rounds, memory_order_acquire);
		stats->previous += MAG_STAT(cache->slot[i].previous_rounds);
	}
}

static void
home_stats(const struct mag_cache *cache, struct mag_cache_stats *stats)
{
	depot_stats(cache, stats);
	slab_stats(cache, stats);
	lcore_stats(cache, stats);
	stats->slab_frees_no_magazine += MAG_STAT(cache->no_magazine);
	stats->zeroes += MAG_STAT(cache->zeroes);
	stats->resizes += MAG_STAT(cache->resizes);
	stats->purges += MAG_STAT(cache->purges);
	stats->reaps += MAG_STAT(cache->reaps);
	stats->updates += MAG_STAT(cache->updates);
	stats->alloc_fails += MAG_STAT(cache->alloc_fails);
	stats->steals += MAG_STAT(cache->steals);
	stats->steal_denied += MAG_STAT(cache->steal_denied);
	stats->visits_denied += MAG_STAT(cache->visits_denied);
}

void
mag_cache_stats(const struct mag_cache *cache, struct mag_cache_stats *stats)
{
	uint64_t seen = MAG_STAT(cache->contention_seen);
	struct mag_cache *home;
	unsigned int part;

	memset(stats, 0, sizeof(*stats));
	snprintf(stats->name, sizeof(stats->name), "%s", cache->name);
	stats->id = cache->id;
	stats->flags = cache->flags;
	stats->region_id = cache->region->id;
	stats->region_mode = cache->region->mode;
	stats->object_size = cache->object_size;
	stats->chunk_size = cache->chunk_size;
	stats->align = cache->align;
	stats->region_align = cache->region->align;
	stats->slab_objects = cache->region->block;
	stats->slab_size = mag_region_segment_span(cache->region);
	stats->rounds = MAG_STAT(cache->slot[MAG_SLOT_SHARED].size);
	stats->objects = MAG_STAT(cache->region->objects);
	stats->free = mag_cache_available(cache);
	MAG_FOREACH_HOME(cache, part, home)
		home_stats(home, stats);
	stats->in_lcores = stats->loaded + stats->previous;
	stats->alloc_fails += stats->slab_fails;
	if (stats->contention_total > seen)
		stats->contention = stats->contention_total - seen;
}

/*
 * Frees are not counted by the fast path: what users gave back is what went to depot and
 * slabs, and to visitors, and what is held now, less what did not come from users.
 */
static void
slot_stats(const struct mag_cache *cache, unsigned int slot, struct mag_slot_stats *stats)
{
	const struct mag_lcore *lcore;
	uint64_t out = 0, in = 0;
	struct mag_cache *home;
	unsigned int part;

	*stats = (struct mag_slot_stats){.lcore = mag_lcore_id_of(slot)};
	MAG_FOREACH_HOME(cache, part, home) {
		lcore = &home->slot[slot];
		out += MAG_STAT(lcore->rounds_out) + MAG_STAT(lcore->visited_out);
		in += MAG_STAT(lcore->rounds_in);
		stats->loaded += MAG_STAT(lcore->rounds);
		stats->previous += MAG_STAT(lcore->previous_rounds);
		stats->allocs += MAG_STAT(lcore->allocs);
		stats->exchanges += MAG_STAT(lcore->exchanges);
	}
	out += stats->allocs + stats->loaded + stats->previous;
	/* The figures are of different moments while the owner works. */
	stats->frees = out - RTE_MIN(out, in);
}

unsigned int
mag_cache_slot_stats(const struct mag_cache *cache, struct mag_slot_stats *stats, unsigned int max)
{
	unsigned int i, n = 0, part, slots = mag_lcore_slots();
	struct mag_cache *home;

	for (i = 0; i < slots && n < max; i++)
		slot_stats(cache, i, &stats[n++]);
	if (n == max)
		return n;
	slot_stats(cache, MAG_SLOT_SHARED, &stats[n]);
	MAG_FOREACH_HOME(cache, part, home) {
		stats[n].allocs += MAG_STAT(home->beside_allocs);
		stats[n].frees += MAG_STAT(home->beside_frees);
	}
	return n + 1;
}
