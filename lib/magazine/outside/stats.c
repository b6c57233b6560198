/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include <rte_lcore.h>
#include <rte_pause.h>

#include "base/params.h"
#include "cache/cache.h"
#include "mag_stats.h"
#include "visits/reserve.h"

/*
 * Free objects, never more than there were at some moment of the call. Each place where they can be
 * (a home's slots, its depot, its slabs, the region) is read twice: what came in so far, of all
 * places, and after that what went out, of all places. No lock is taken, and objects move
 * meanwhile. But an object counts as gone out before it comes in elsewhere, and before a user has
 * it. So at the moment between the two readings each free object is in one place at most, and none
 * that is with a user is in any. Until that moment no less came in than was read before it, and no
 * more went out than is read after it: the difference is too small by what moves meanwhile, never
 * too large, and exact when nothing moves. mag_cache_reachable() errs to the other side.
 */

/*
 * Looks at a slot whose owner is at work; what the slot holds is not counted if all of them find it
 * so.
 */
#define LOOKS 8
/* Counts of what is free, at the most, while slabs go. */
#define COUNTS 4

struct flow {
	/**
	 * One cache has the region to itself. Then what its slabs have not given out is free,
	 * wherever it is, on its way between slabs and region, too. Otherwise the other cache has
	 * some of that, and what is on its way is missed.
	 */
	bool unshared;
	uint64_t slots[MAG_PARTS_MAX];     /**< objects, of each home */
	uint64_t magazines[MAG_PARTS_MAX]; /**< full ones of its depot */
	uint64_t slabs;                    /**< objects, of all homes and the region */
};

/*
 * All counters are read with acquire: what is read next is not older. Pairs with the releases of
 * whatever moves objects.
 */

/*
 * No counter tells what came in. It is what went out and what is there, at a moment without anybody
 * in the slot: busy is looked at between any two loads. If nothing went out meanwhile, whole
 * operations in between were frees.
 */
static uint64_t
slot_in(const struct mag_slot *slot, const uint32_t *busy)
{
	uint64_t out = 0, held;
	unsigned int look;
	bool used;

	for (look = 0; look < LOOKS; look++) {
		out = mag_slot_out(slot);
		used = MAG_STAT_ACQUIRE(*busy) != 0;
		held = MAG_STAT_ACQUIRE(slot->previous_rounds);
		used |= MAG_STAT_ACQUIRE(*busy) != 0;
		held += MAG_STAT_ACQUIRE(slot->rounds);
		used |= MAG_STAT_ACQUIRE(*busy) != 0;
		if (!used && mag_slot_out(slot) == out)
			return out + held;
		rte_pause();
	}
	return out;
}

static uint64_t
home_slots_in(const struct mag_home *home, unsigned int slots)
{
	const struct mag_slot *shared = &home->slot[MAG_SLOT_SHARED];
	uint64_t sum = slot_in(shared, MAG_STAT_AT(home->shared.holder));
	unsigned int i;

	for (i = 0; i < slots; i++)
		sum += slot_in(&home->slot[i], &home->slot[i].busy);
	return sum;
}

static uint64_t
home_slots_out(const struct mag_home *home, unsigned int slots)
{
	uint64_t sum = mag_slot_out(&home->slot[MAG_SLOT_SHARED]);
	unsigned int i;

	for (i = 0; i < slots; i++)
		sum += mag_slot_out(&home->slot[i]);
	return sum;
}

/* count: homes that there were at first; objects of one that comes meanwhile are not counted. */
static void
flow_in(const struct mag_cache *cache, uint32_t count, unsigned int slots, struct flow *in)
{
	const struct mag_home *home;
	uint32_t part;

	in->slabs = in->unshared ? mag_region_in(cache->region) : mag_region_out(cache->region);
	for (part = 0; part < count; part++) {
		home = mag_cache_home(cache, part);
		in->slabs += in->unshared ? MAG_STAT_ACQUIRE(home->slab.frees) :
					    mag_slab_in(&home->slab);
		in->slots[part] = home_slots_in(home, slots);
	}
	/*
	 * Last here, and first in flow_out(): a take between the two readings counts for more than
	 * it took.
	 */
	for (part = 0; part < count; part++)
		in->magazines[part] = mag_depot_in(&mag_cache_home(cache, part)->depot.full);
	/* acquire: as the counters */
	atomic_thread_fence(memory_order_acquire);
}

/* rounds: in a full magazine of each depot. The type cannot change while a magazine is in there. */
static void
flow_out(const struct mag_cache *cache, uint32_t count, unsigned int slots, struct flow *out,
	 uint32_t *rounds)
{
	const struct mag_home *home;
	uint32_t part;

	for (part = 0; part < count; part++) {
		rounds[part] = MAG_STAT_ACQUIRE(cache->common.type);
		out->magazines[part] = mag_depot_out(&mag_cache_home(cache, part)->depot.full);
	}
	/* acquire: as the counters */
	atomic_thread_fence(memory_order_acquire);
	out->slabs = 0;
	/* Homes stay, so the second condition is only for a compiler that does not know it. */
	for (part = 0; part < count && (home = mag_cache_home(cache, part)) != NULL; part++) {
		out->slabs += out->unshared ? MAG_STAT_ACQUIRE(home->slab.allocs) :
					      mag_slab_out(&home->slab);
		out->slots[part] = home_slots_out(home, slots);
	}
	out->slabs +=
		out->unshared ? MAG_STAT(cache->region->removed) : mag_region_out(cache->region);
}

static uint64_t
rest(uint64_t in, uint64_t out)
{
	return (int64_t)(in - out) > 0 ? in - out : 0;
}

static uint64_t
available_once(const struct mag_cache *cache)
{
	const struct mag_homes *homes = mag_cache_homes(cache);
	uint32_t rounds[MAG_PARTS_MAX], count = homes != NULL ? homes->count : 1, part;
	unsigned int slots = mag_thread_slots();
	struct flow in, out;
	uint64_t sum;

	in.unshared = out.unshared =
		!mag_slab_is_intrinsic(&cache->first.slab) && mag_region_is_unshared(cache->region);
	flow_in(cache, count, slots, &in);
	/* In between: what comes from there or goes there is met once. */
	sum = mag_reserve_objects(cache);
	flow_out(cache, count, slots, &out, rounds);
	sum += rest(in.slabs, out.slabs);
	for (part = 0; part < count; part++)
		sum += rest(in.slots[part], out.slots[part]) +
		       rest(in.magazines[part], out.magazines[part]) * rounds[part];
	return RTE_MIN(sum, MAG_STAT(cache->region->objects));
}

static uint64_t
slabs_destroyed(const struct mag_cache *cache)
{
	struct mag_home *home;
	unsigned int part;
	uint64_t sum = 0;

	MAG_FOREACH_HOME(cache, part, home)
		/* acquire: a slab that leaves later leaves after what is counted next */
		sum += MAG_STAT_ACQUIRE(home->slab.destroyed);
	return sum;
}

/*
 * Of a shared region a count misses all objects of a slab that goes back between its readings: then
 * it is made again. The largest counts, since none is too large.
 */
uint64_t
mag_cache_available(const struct mag_cache *cache)
{
	uint64_t most = 0, before, once;
	unsigned int i;

	if (mag_cache_is_strange(cache))
		return 0;
	for (i = 0; i < COUNTS; i++) {
		before = slabs_destroyed(cache);
		once = available_once(cache);
		most = RTE_MAX(most, once);
		if (slabs_destroyed(cache) == before)
			break;
	}
	return most;
}

static void
depot_stats(const struct mag_home *home, struct mag_cache_stats *stats)
{
	const struct mag_depot *depot = &home->depot;

	stats->depot_full += mag_depot_total(&depot->full);
	stats->depot_empty += mag_depot_total(&depot->empty);
	stats->depot_full_taken += mag_depot_taken(&depot->full);
	stats->depot_empty_taken += mag_depot_taken(&depot->empty);
	stats->contention_total += mag_depot_contention(depot);
}

static void
slab_stats(const struct mag_home *home, struct mag_cache_stats *stats)
{
	const struct mag_slab_layer *slab = &home->slab;

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
	stats->table_size += MAG_STAT(slab->table.size);
}

static void
lcore_stats(const struct mag_home *home, struct mag_cache_stats *stats)
{
	unsigned int i;

	for (i = 0; i < MAG_SLOTS; i++) {
		/* acquire: pairs with the release in mag_slot_swap(), as in mag_slot_objects() */
		stats->loaded += MAG_STAT_ACQUIRE(home->slot[i].rounds);
		stats->previous += MAG_STAT(home->slot[i].previous_rounds);
	}
}

static void
home_stats(const struct mag_home *home, struct mag_cache_stats *stats)
{
	depot_stats(home, stats);
	slab_stats(home, stats);
	lcore_stats(home, stats);
	stats->slab_frees_no_magazine += MAG_STAT(home->no_magazine);
}

static void
cache_stats(const struct mag_cache *cache, struct mag_cache_stats *stats)
{
	uint64_t seen = MAG_STAT(cache->contention_seen);
	struct mag_home *home;
	unsigned int part;

	snprintf(stats->name, sizeof(stats->name), "%s", cache->name);
	stats->id = cache->id;
	stats->flags = cache->flags;
	stats->region_id = cache->region->id;
	stats->region_mode = cache->region->mode;
	stats->object_size = cache->object_size;
	stats->chunk_size = cache->common.chunk_size;
	stats->align = cache->align;
	stats->region_align = cache->region->align;
	stats->slab_objects = cache->region->block;
	stats->slab_size = mag_region_segment_span(cache->region);
	stats->rounds = MAG_STAT(cache->first.slot[MAG_SLOT_SHARED].size);
	stats->objects = MAG_STAT(cache->region->objects);
	stats->free = mag_cache_available(cache);
	MAG_FOREACH_HOME(cache, part, home)
		home_stats(home, stats);
	stats->zeroes = MAG_STAT(cache->common.zeroes);
	stats->steals = MAG_STAT(cache->common.steals);
	stats->steal_denied = MAG_STAT(cache->common.steal_denied);
	stats->visits_denied = MAG_STAT(cache->common.visits_denied);
	stats->failed_gets = MAG_STAT(cache->common.failed_gets);
	stats->bad_writes = MAG_STAT(cache->bad_writes);
	stats->mempool_cache = cache->mempool_cache;
	stats->resizes = MAG_STAT(cache->resizes);
	stats->purges = MAG_STAT(cache->purges);
	stats->reaps = MAG_STAT(cache->reaps);
	stats->updates = MAG_STAT(cache->updates);
	stats->in_lcores = stats->loaded + stats->previous;
	stats->alloc_fails = MAG_STAT(cache->common.alloc_fails) + stats->slab_fails;
	if (stats->contention_total > seen)
		stats->contention = stats->contention_total - seen;
}

void
mag_cache_stats_fill(const struct mag_cache *cache, struct mag_cache_stats *stats)
{
	struct mag_cache_stats own = {.size = sizeof(own)};

	cache_stats(cache, &own);
	mag_stats_give(stats, stats->size, &own, sizeof(own));
}

/*
 * Frees are not counted by the fast path: what users gave back is what went to depot and
 * slabs, and to visitors, and what is held now, less what did not come from users.
 */
static void
slot_stats(const struct mag_cache *cache, unsigned int number, struct mag_slot_stats *stats)
{
	const struct mag_slot *slot;
	uint64_t out = 0, in = 0;
	struct mag_home *home;
	unsigned int part;

	*stats = (struct mag_slot_stats){.size = sizeof(*stats), .lcore = mag_thread_lcore(number)};
	MAG_FOREACH_HOME(cache, part, home) {
		slot = &home->slot[number];
		out += MAG_STAT(slot->rounds_out) + MAG_STAT(slot->visited_out);
		in += MAG_STAT(slot->rounds_in);
		stats->loaded += MAG_STAT(slot->rounds);
		stats->previous += MAG_STAT(slot->previous_rounds);
		stats->allocs += MAG_STAT(slot->allocs);
		stats->exchanges += MAG_STAT(slot->exchanges);
	}
	out += stats->allocs + stats->loaded + stats->previous;
	/* The figures are of different moments while the owner works. */
	stats->frees = out - RTE_MIN(out, in);
}

static void
shared_slot_stats(const struct mag_cache *cache, struct mag_slot_stats *stats)
{
	struct mag_home *home;
	unsigned int part;

	slot_stats(cache, MAG_SLOT_SHARED, stats);
	MAG_FOREACH_HOME(cache, part, home) {
		stats->allocs += MAG_STAT(home->beside_allocs);
		stats->frees += MAG_STAT(home->beside_frees);
	}
}

unsigned int
mag_cache_slot_stats_fill(const struct mag_cache *cache, void *stats, size_t size, unsigned int max)
{
	unsigned int n, slots = mag_thread_slots();
	struct mag_slot_stats own;

	for (n = 0; n < max && n <= slots; n++) {
		if (n < slots)
			slot_stats(cache, n, &own);
		else
			shared_slot_stats(cache, &own);
		mag_stats_give(RTE_PTR_ADD(stats, n * size), size, &own, sizeof(own));
	}
	return n;
}
