/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include <rte_branch_prediction.h>
#include <rte_common.h>
#include <rte_cycles.h>

#include "stores/ledger.h"
#include "watch/holders.h"

/* A word: slot + 1 above, time in units of 2^14 cycles below. */
#define SLOT_SHIFT 48
#define TIME_MASK ((UINT64_C(1) << SLOT_SHIFT) - 1)
#define TIME_SHIFT 14
/* Objects whose records are looked at with the slab layer's lock held. */
#define STEP 512u
/* Looks at a slot until nothing moved meanwhile. */
#define TRIES 3

uint64_t
mag_holders_now(void)
{
	return rte_rdtsc() >> TIME_SHIFT & TIME_MASK;
}

static void
draw(const struct mag_mirror_owner *ledger, void *const *objects, unsigned int n, uint64_t word)
{
	struct mag_ledger_way way = mag_ledger_way(ledger);
	struct mag_ledger_granule granule = {1, NULL};
	uintptr_t object;
	unsigned int i;

	for (i = 0; i < n; i++) {
		object = (uintptr_t)objects[i];
		if (granule.first == NULL || object - granule.base > MAG_LEDGER_OFFSET)
			granule = mag_ledger_granule(ledger, object);
		if (likely(granule.first != NULL))
			atomic_store_explicit(&mag_ledger_entry(&granule, way, object)->drawn, word,
					      memory_order_relaxed);
	}
}

void
mag_holders_drew(struct mag_cache *cache, void *const *objects, unsigned int n)
{
	const struct mag_mirror_owner *ledger = cache->region->ledger;
	uint64_t word = (uint64_t)(mag_thread_slot() + 1) << SLOT_SHIFT | mag_holders_now();
	struct mag_slot *slot = mag_slot_of(cache);

	draw(ledger, objects, n, word);
	/* Not where somebody visits: the magazines may be others' then. */
	if (likely((mag_slot_enter(slot) & MAG_BIAS_AWAY) == 0)) {
		if (slot->loaded != NULL)
			draw(ledger, mag_magazine_round(slot->loaded, 0), MAG_STAT(slot->rounds),
			     word);
		if (slot->previous != NULL)
			draw(ledger, mag_magazine_round(slot->previous, 0),
			     MAG_STAT(slot->previous_rounds), word);
	}
	mag_slot_leave(slot);
}

void
mag_holders_see(const struct mag_cache *cache, void *const *objects, unsigned int n, uint64_t now)
{
	struct mag_ledger_entry *entry;
	unsigned int i;
	uint64_t word;

	for (i = 0; i < n; i++) {
		entry = mag_ledger_find(cache->region->ledger, objects[i]);
		if (entry == NULL)
			continue;
		word = atomic_load_explicit(&entry->drawn, memory_order_relaxed);
		/* Should somebody draw it just now, that is newer: the word stays. */
		atomic_compare_exchange_strong_explicit(&entry->drawn, &word,
							(word & ~TIME_MASK) | now,
							memory_order_relaxed, memory_order_relaxed);
	}
}

/* Rounds of a magazine that somebody else may be using. */
MAG_NO_TSAN static unsigned int
copy_out(const struct mag_magazine *magazine, uint32_t n, void *copy[MAG_ROUNDS_MAX])
{
	void *const volatile *from = mag_magazine_round(magazine, 0);
	uint32_t i;

	n = RTE_MIN(n, (uint32_t)MAG_ROUNDS_MAX);
	for (i = 0; i < n; i++)
		copy[i] = from[i];
	return n;
}

/*
 * A magazine of a slot: what it held before and after the copy was in there, if it is the same one
 * still.
 */
static void
look_at_slot(struct mag_cache *cache, struct mag_magazine *const *at, const uint32_t *rounds,
	     uint64_t now)
{
	struct mag_magazine *magazine;
	void *copy[MAG_ROUNDS_MAX];
	unsigned int i, n;

	for (i = 0; i < TRIES; i++) {
		magazine = MAG_LOAD(at, MAG_ACQUIRE);
		if (magazine == NULL)
			return;
		n = copy_out(magazine, MAG_LOAD(rounds, MAG_ACQUIRE), copy);
		atomic_thread_fence(memory_order_acquire);
		if (MAG_LOAD(at, MAG_RELAXED) != magazine)
			continue;
		mag_holders_see(cache, copy, RTE_MIN(n, MAG_LOAD(rounds, MAG_RELAXED)), now);
		return;
	}
}

static void
look_at_slots(struct mag_cache *cache, struct mag_home *home, uint64_t now)
{
	struct mag_slot *slot;
	unsigned int i;

	for (i = 0; i < MAG_SLOTS; i++) {
		slot = &home->slot[i];
		look_at_slot(cache, &slot->loaded, &slot->rounds, now);
		look_at_slot(cache, &slot->previous, &slot->previous_rounds, now);
	}
}

static void
look_at_depot(struct mag_cache *cache, struct mag_home *home, uint64_t now)
{
	uint32_t left = 2 * mag_depot_total(&home->depot.full);
	struct mag_magazine *magazine = mag_depot_look(&home->depot, &home->depot.full, NULL);
	void *copy[MAG_ROUNDS_MAX];
	unsigned int n;

	for (; magazine != NULL && left > 0; left--) {
		n = copy_out(magazine, magazine->rounds, copy);
		mag_holders_see(cache, copy, n, now);
		magazine = mag_depot_look(&home->depot, &home->depot.full, magazine);
	}
}

/* Free objects of a segment, be it a slab or not, as their records say. */
static void
look_at_segment(struct mag_cache *cache, const struct mag_segment *segment, uint64_t now)
{
	struct mag_slab_layer *layer = &mag_cache_home(cache, segment->part)->slab;
	const struct mag_slab *slab = segment->control;
	void *copy[STEP];
	uint32_t i, end;
	unsigned int n;

	for (i = 0; i < segment->count; i = end) {
		end = RTE_MIN(i + STEP, segment->count);
		n = 0;
		mag_slab_lock(layer);
		for (; i < end; i++)
			if (slab->bufctl[i].state == MAG_BUFCTL_FREE)
				copy[n++] = (void *)mag_segment_object(segment, i);
		mag_lock_release(&layer->lock);
		mag_holders_see(cache, copy, n, now);
	}
}

static void
look_at_reserve(struct mag_cache *cache, uint64_t now)
{
	uint32_t i, size = cache->pile != NULL ? cache->pile->size : 0;
	void *object;

	for (i = 0; i < size; i++) {
		object = mag_pile_look(cache->pile, i);
		if (object != NULL)
			mag_holders_see(cache, &object, 1, now);
	}
}

void
mag_holders_look(struct mag_cache *cache, uint64_t now)
{
	const struct mag_segment *segment;
	struct mag_home *home;
	unsigned int part;

	/* Twice at the slots: what comes from the depot meanwhile, or goes there, is met once. */
	MAG_FOREACH_HOME(cache, part, home) {
		look_at_slots(cache, home, now);
		look_at_depot(cache, home, now);
		look_at_slots(cache, home, now);
	}
	look_at_reserve(cache, now);
	LIST_FOREACH(segment, &cache->region->all, any)
		look_at_segment(cache, segment, now);
}

static void
count(const struct mag_ledger_entry *entry, uint64_t since, uint64_t now,
      struct mag_holder holders[MAG_SLOTS + 1])
{
	uint64_t word = atomic_load_explicit(&entry->drawn, memory_order_relaxed);
	uint64_t slot = word >> SLOT_SHIFT, time = word & TIME_MASK, ms = 0;
	struct mag_holder *holder;

	if (time >= since)
		return;
	holder = &holders[slot > 0 && slot <= MAG_SLOTS ? slot - 1 : MAG_HOLDER_UNKNOWN];
	if (time != 0)
		ms = (now - time) * 1000 / ((rte_get_tsc_hz() >> TIME_SHIFT) + 1);
	holder->objects++;
	holder->oldest_ms = RTE_MAX(holder->oldest_ms, ms);
}

void
mag_holders_count(struct mag_cache *cache, uint64_t since, struct mag_holder holders[MAG_SLOTS + 1])
{
	const struct mag_ledger_entry *entry;
	const struct mag_segment *segment;
	uint64_t now = mag_holders_now();
	uint32_t i;

	memset(holders, 0, (MAG_SLOTS + 1) * sizeof(holders[0]));
	LIST_FOREACH(segment, &cache->region->all, any)
		for (i = 0; i < segment->count; i++) {
			entry = mag_ledger_find(cache->region->ledger,
						(const void *)mag_segment_object(segment, i));
			if (entry != NULL)
				count(entry, since, now, holders);
		}
}
