/* SPDX-License-Identifier: BSD-3-Clause */

#include "accounts.h"
#include "cache/cache.h"
#include "mag_maint.h"
#include "mag_stats.h"
#include "stress.h"
#include "visits/sweep.h"

/* Owner word of the one who drains: no worker has it. */
#define DRAINER 1000000u
#define DRAIN_BULK 64
/* Maintenance may be in the way for a while, preempted in the middle of a visit. */
#define DRAIN_TRIES 2000

/* Magazines and objects, counted where they are. */
struct sums {
	uint64_t magazines;
	uint64_t rounds;
};

static void
count_magazine(struct subject *subject, const char *where, const struct mag_magazine *magazine,
	       uint32_t rounds, struct sums *sums)
{
	uint32_t type = MAG_STAT(subject->cache->common.type);

	if (magazine->rounds != type || rounds > type)
		stress_blame("%s: a magazine of %u rounds has %u where %u are in force", where,
			     magazine->rounds, rounds, type);
	for (uint32_t i = 0; i < rounds && !stress_blamed(); i++)
		stock_has(&subject->stock, *mag_magazine_round(magazine, i));
	sums->magazines++;
	sums->rounds += rounds;
}

static void
check_list(struct subject *subject, const char *where, struct mag_depot_list *list, bool full,
	   struct sums *sums)
{
	const struct mag_arena *arena = &subject->cache->first.arena;
	struct mag_depot_head head = mag_depot_head(list);
	const struct mag_magazine *magazine;
	uint32_t index = head.index, n = 0;

	for (; index != 0 && n <= head.total && !stress_blamed(); n++) {
		magazine = mag_arena_magazine(arena, index);
		if (magazine == NULL) {
			stress_blame("%s: link %u leads out of the arena", where, index);
			return;
		}
		count_magazine(subject, where, magazine, full ? magazine->rounds : 0, sums);
		index = MAG_STAT(magazine->next);
	}
	if (n != head.total || index != 0)
		stress_blame("%s: %u magazines are linked, %u counted", where, n, head.total);
	if (head.min > head.total)
		stress_blame("%s: min %u is above the total of %u", where, head.min, head.total);
}

static void
check_slot(struct subject *subject, uint32_t number, struct sums *sums)
{
	struct mag_slot *slot = &subject->cache->first.slot[number];
	uint32_t rounds = MAG_STAT(slot->rounds), previous = MAG_STAT(slot->previous_rounds);

	if (MAG_STAT(slot->busy) != 0)
		stress_blame("slot %u is busy though nobody works", number);
	if (slot->loaded != NULL)
		count_magazine(subject, "loaded", slot->loaded, rounds, sums);
	if (slot->previous != NULL)
		count_magazine(subject, "previous", slot->previous, previous, sums);
	if (rounds > MAG_STAT(slot->capacity) ||
	    (slot->loaded != NULL && MAG_STAT(slot->capacity) != slot->loaded->rounds))
		stress_blame("slot %u: %u rounds, room for %u", number, rounds,
			     MAG_STAT(slot->capacity));
	if (previous != 0 && (slot->previous == NULL || previous != slot->previous->rounds))
		stress_blame("slot %u: previous is partial: %u rounds", number, previous);
}

static uint64_t
in_mempool_caches(const struct subject *subject)
{
	uint64_t sum = 0;

	if (subject->pool != NULL && subject->pool->cache_size > 0)
		for (unsigned int i = 0; i < RTE_MAX_LCORE; i++)
			sum += subject->pool->local_cache[i].len;
	return sum;
}

static void
expect(const char *what, uint64_t found, uint64_t expected)
{
	if (found != expected)
		stress_blame("%s: %" PRIu64 ", must be %" PRIu64, what, found, expected);
}

/* Objects handed out and taken back, as the slots tell it. */
static void
check_slot_stats(struct subject *subject, uint64_t users)
{
	struct mag_slot_stats slots[MAG_SLOTS];
	uint64_t balance = 0;
	unsigned int n = mag_cache_slot_stats_get(subject->cache, slots, RTE_DIM(slots));

	for (unsigned int i = 0; i < n; i++)
		balance += slots[i].allocs - slots[i].frees;
	expect("allocations less frees of all slots", balance, users);
}

static void
check_slab(struct subject *subject, uint64_t out)
{
	struct mag_cache_stats stats;

	mag_cache_stats_get(subject->cache, &stats);
	expect("objects", stats.objects, MAG_STAT(subject->cache->region->objects));
	expect("slab allocations less frees", stats.slab_allocs - stats.slab_frees, out);
	expect("slabs", stats.slabs_partial + stats.slabs_full,
	       stats.slabs_created - stats.slabs_destroyed);
	expect("free segments and slabs",
	       stats.slabs_partial + stats.slabs_full +
		       MAG_STAT(subject->cache->region->part[0].segments_free),
	       MAG_STAT(subject->cache->region->segments));
	expect("invalid frees", stats.invalid_frees, 0);
	expect("objects in transit", MAG_STAT(subject->cache->common.transit), 0);
}

struct check {
	struct subject *subject;
	uint64_t out;
};

static void
check_visit(struct mag_cache *cache, void *arg)
{
	struct check *check = arg;
	struct subject *subject = check->subject;
	uint64_t users = check->out + in_mempool_caches(subject);
	struct sums sums = {0, 0};

	if (cache != subject->cache)
		return;
	check_list(subject, "full list", &cache->first.depot.full, true, &sums);
	check_list(subject, "empty list", &cache->first.depot.empty, false, &sums);
	for (uint32_t i = 0; i < MAG_SLOTS; i++)
		check_slot(subject, i, &sums);
	expect("magazines out of the arena", cache->first.arena.out, sums.magazines);
	check_slab(subject, users + sums.rounds);
	check_slot_stats(subject, users);
	expect("free objects", subject_available(subject),
	       MAG_STAT(cache->region->objects) - check->out);
}

void
accounts_check(struct subject *subject, uint64_t out)
{
	struct check check = {.subject = subject, .out = out};

	mag_cache_walk(check_visit, &check);
}

/* One request; true when it brought something. */
static bool
drain_some(struct subject *subject, void **objects, unsigned int n, uint64_t *unexplained)
{
	uint64_t denied = subject_denied(subject);
	unsigned int got, tries;

	for (tries = 0; tries < DRAIN_TRIES; tries++) {
		got = subject_get(subject, objects, n);
		if (got == n)
			break;
		if (got > 0)
			subject_put(subject, objects, got);
		if (subject_denied(subject) == denied)
			++*unexplained;
		denied = subject_denied(subject);
		sched_yield();
	}
	if (tries == DRAIN_TRIES) {
		stress_blame("%u objects cannot be had though %" PRIu64 " are free", n,
			     subject_available(subject));
		return false;
	}
	for (unsigned int i = 0; i < n; i++)
		if (!stock_claim(&subject->stock, objects[i], DRAINER))
			return false;
	return true;
}

uint64_t
accounts_drain(struct subject *subject, uint64_t out)
{
	uint64_t total = MAG_STAT(subject->cache->region->objects) - out, unexplained = 0;
	uint32_t had = 0, n;
	void **objects = malloc((total + 1) * sizeof(objects[0]));
	struct rng rng = stress_rng();

	assert_non_null(objects);
	while (had < total) {
		n = RTE_MIN(1 + rng_below(&rng, DRAIN_BULK), (uint32_t)total - had);
		if (!drain_some(subject, objects + had, n, &unexplained))
			break;
		had += n;
	}
	if (had == total && subject_get(subject, objects + had, 1) != 0)
		stress_blame("there is one object more than all %" PRIu64, total);
	for (uint32_t i = 0; i < had && !stress_blamed(); i += n) {
		n = RTE_MIN(1 + rng_below(&rng, DRAIN_BULK), had - i);
		for (uint32_t k = 0; k < n; k++)
			stock_release(objects[i + k], DRAINER, rng_next(&rng));
		subject_put(subject, objects + i, n);
	}
	free(objects);
	return unexplained;
}

void
accounts_purge(struct subject *subject)
{
	struct mag_cache_stats stats;
	int ret, tries = 0;

	while ((ret = mag_cache_purge(subject->cache)) != 0 && ++tries < DRAIN_TRIES)
		sched_yield();
	mag_cache_stats_get(subject->cache, &stats);
	if (ret == 0 && stats.slab_allocs != stats.slab_frees)
		stress_blame("%" PRIu64 " objects are out of the slabs after a purge",
			     stats.slab_allocs - stats.slab_frees);
	if (ret != 0 && mag_cache_may_visit(subject->cache))
		stress_blame("a purge is refused though nobody works: %d", ret);
	mag_cache_enable(subject->cache);
}
