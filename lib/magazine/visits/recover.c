/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Recovery: a cache after a process that has died in it, at any instruction.
 *
 * What is true then:
 * - an object is in its slab or not: its state says so, one byte (slab.h);
 * - a segment is free, a slab or on its way: its place says so (segment.h);
 * - a slot is whole, or says in what way it is torn (pair.h);
 * - a magazine that neither a slot nor a list names says itself what it holds (mag_inline.h);
 * - a magazine that is somewhere has a mark in its arena (arena.h).
 *
 * Each store of these comes when all before it is done, so the rest is repaired from them. First
 * come the dead process's locks and its slots, for which nobody alive has to stop. Slabs and
 * regions are put in order by whoever breaks their lock. The next step needs a moment in which no
 * living thread has magazines, segments or objects in transit in hand (hands.h): all slots are
 * visited as by a purge, and all locks of the homes are held. In that moment a magazine that is out
 * of its arena, but in no slot and on no list, is a dead thread's, and its objects go to the slabs;
 * so are segments on their way, and the counts of what moves. Recovery that is itself cut short is
 * begun again by another process: each step may be repeated.
 *
 * Where owners may not be visited (visit=0, or no membarrier) magazines that the dead had in hand
 * stay out: one that is nowhere may as well be with an owner that exchanges it just now, or swaps
 * it, and nothing tells them apart while owners go on. All else is done there too.
 *
 * In a debugger: hands.h and, for the slots that keep recovery from it, visits_denied.
 */

#include <stdlib.h>

#include <rte_cycles.h>

#include "base/counter.h"
#include "base/deadline.h"
#include "base/lock.h"
#include "slot/hands.h"
#include "slot/thread.h"
#include "visits/perimeter.h"
#include "visits/purge.h"
#include "visits/recover.h"
#include "visits/sweep.h"

/* Locks, slots and hands: each is waited for no longer than a visit waits for a slot. */
#define WAIT_US MAG_SWEEP_US
/* Segments that are put back at once; what is left comes by the next recovery. */
#define STRAYS 64

/* A home, with all its locks, while nobody is in its slots. */
struct held_home {
	struct mag_home *home;
	struct mag_sweep sweep;
	bool visit, shared, working_set, swept, arena;
	uint64_t *named; /* a bit for each index of the arena: a slot or a list has the magazine */
	uint32_t limit;  /* of these */
	uint64_t moving; /* of the slab layer */
};

struct recovery {
	struct mag_cache *cache;
	uint32_t process;
	uint64_t deadline;
	uint32_t inside; /* slots in which its threads died */
	unsigned int homes;
	struct held_home held[MAG_PARTS_MAX];
	uint64_t transit;
	struct mag_segment *stray[STRAYS];
	unsigned int strays;
	bool visits; /* owners may be visited, so magazines are looked for */
};

/* Locks and slots */

static bool
lock_take(struct mag_lock *lock, uint64_t deadline)
{
	while (!mag_lock_try(lock) && !mag_lock_break(lock)) {
		if (rte_rdtsc() > deadline)
			return false;
		sched_yield();
	}
	return true;
}

static bool
home_lock(struct held_home *held, uint64_t deadline)
{
	struct mag_home *home = held->home;

	held->visit = lock_take(&home->visit, deadline);
	held->shared = held->visit && lock_take(&home->shared, deadline);
	held->working_set = held->shared && lock_take(&home->working_set, deadline);
	return held->working_set;
}

/* Whoever breaks these two puts in order what they guard. */
static void
leaves_mend(struct mag_home *home)
{
	mag_slab_lock(&home->slab);
	mag_lock_release(&home->slab.lock);
	mag_region_lock(home->slab.region);
	mag_lock_release(&home->slab.region->lock);
}

/* The owner is dead, and visitors are kept out by the visit lock. */
static void
slots_mend(struct mag_home *home, struct recovery *recovery)
{
	unsigned int i, slots = mag_thread_slots();
	struct mag_slot *slot;

	for (i = 0; i < slots && recovery->process != MAG_RECOVER_THREAD; i++) {
		slot = &home->slot[i];
		if (mag_thread_process(i) != recovery->process)
			continue;
		/* acquire: what the dead did last; pairs with mag_slot_leave() */
		recovery->inside += MAG_STAT_ACQUIRE(slot->busy);
		mag_slot_mend(slot);
		mag_bias_dismiss(slot, MAG_BIAS_SELF);
		/* Where nobody is visited, nobody would take its magazines. */
		if (home->common->bias == MAG_BIAS_POLL)
			mag_home_flush_held(home, slot);
		else
			mag_slot_leave(slot);
	}
	mag_slot_mend(&home->slot[MAG_SLOT_SHARED]);
}

/*
 * A dead visitor may have left slots torn whose owners live. They are closed still, so an owner
 * that was seen outside is not in its own exchange, and does not come in. False: one was not.
 */
static bool
visited_mend(struct mag_home *home)
{
	struct mag_slot *slot;
	unsigned int i;
	bool fenced = false;

	for (i = 0; i < MAG_SLOT_SHARED; i++) {
		slot = &home->slot[i];
		if (MAG_STAT(slot->torn) == 0 || (MAG_STAT(slot->visitor) & MAG_BIAS_VISIT) == 0)
			continue;
		fenced = fenced ||
			 mag_bias_fence(home->common->bias, mag_thread_is_any_foreign) == 0;
		if (!fenced || !mag_bias_granted(slot, mag_deadline_in(WAIT_US)))
			return false;
		mag_slot_mend(slot);
	}
	return true;
}

/* All slots are nobody's from here on. */
static bool
slots_visit(struct held_home *held)
{
	struct mag_home *home = held->home;
	unsigned int i;

	if (!visited_mend(home))
		return false;
	held->sweep = mag_sweep_make(home, MAG_BIAS_VISIT | MAG_BIAS_PURGE);
	for (i = 0; i < MAG_SLOT_SHARED; i++)
		mag_sweep_announce(&held->sweep, i);
	held->swept = mag_sweep_await(&held->sweep, mag_deadline_in(WAIT_US),
				      &home->common->visits_denied);
	return held->swept;
}

static bool
homes_hold(struct recovery *recovery)
{
	struct held_home *held = recovery->held;
	struct mag_home *home;
	unsigned int part;

	MAG_FOREACH_HOME(recovery->cache, part, home) {
		held = &recovery->held[recovery->homes++];
		*held = (struct held_home){.home = home};
		if (!home_lock(held, recovery->deadline))
			return false;
		leaves_mend(home);
		slots_mend(home, recovery);
	}
	return true;
}

/* What a dead visitor has left torn is kept closed until it is mended. */
static void
slots_let_go(struct held_home *held)
{
	struct mag_slot *slot;
	unsigned int i;

	for (i = 0; i < MAG_SLOT_SHARED; i++) {
		slot = &held->home->slot[i];
		if (held->swept || MAG_STAT(slot->torn) == 0)
			mag_bias_dismiss(slot, MAG_BIAS_VISIT | MAG_BIAS_PURGE);
	}
}

static void
homes_let_go(struct recovery *recovery)
{
	struct held_home *held;

	while (recovery->homes > 0) {
		held = &recovery->held[--recovery->homes];
		free(held->named);
		if (held->arena)
			mag_arena_let_go(&held->home->arena);
		if (held->visit)
			slots_let_go(held);
		if (held->working_set)
			mag_lock_release(&held->home->working_set);
		if (held->shared)
			mag_lock_release(&held->home->shared);
		if (held->visit)
			mag_lock_release(&held->home->visit);
	}
}

/* The moment */

static void
name_index(struct held_home *held, uint32_t index)
{
	if (index < held->limit)
		held->named[index / 64] |= UINT64_C(1) << (index % 64);
}

static void
name(struct mag_magazine *magazine, void *arg)
{
	if (magazine != NULL)
		name_index(arg, magazine->index);
}

static bool
is_named(struct mag_magazine *magazine, void *arg)
{
	const struct held_home *held = arg;

	return (held->named[magazine->index / 64] >> (magazine->index % 64) & 1) != 0;
}

static void
name_list(struct held_home *held, const struct mag_depot_list *list)
{
	const struct mag_arena *arena = &held->home->arena;
	uint32_t index = mag_depot_head(list).index, left = mag_depot_total(list);
	const struct mag_magazine *magazine;

	/* What others take meanwhile makes the look void, but must not lead astray. */
	for (; left > 0; left--) {
		magazine = mag_arena_magazine(arena, index);
		if (magazine == NULL)
			return;
		name_index(held, index);
		index = MAG_LOAD(&magazine->next, MAG_RELAXED);
	}
}

static bool
magazines_look(struct held_home *held)
{
	struct mag_home *home = held->home;
	unsigned int i;

	free(held->named);
	held->limit = MAG_STAT(home->arena.limit);
	held->named = calloc(held->limit / 64 + 1, sizeof(*held->named));
	if (held->named == NULL)
		return false;
	for (i = 0; i < MAG_SLOTS; i++) {
		name(home->slot[i].loaded, held);
		name(home->slot[i].previous, held);
	}
	name_list(held, &home->depot.full);
	name_list(held, &home->depot.empty);
	mag_arena_walk_pending(&home->arena, name, held);
	return true;
}

static bool
home_look(struct held_home *held, bool magazines)
{
	if (magazines && !magazines_look(held))
		return false;
	held->moving = MAG_STAT(held->home->slab.moving);
	return true;
}

/* Again until nobody had anything in hand meanwhile. */
static bool
look(struct recovery *recovery)
{
	uint64_t before, after;
	unsigned int i;

	while (rte_rdtsc() < recovery->deadline) {
		if (!mag_hands_are_empty(&before)) {
			sched_yield();
			continue;
		}
		recovery->transit = MAG_STAT(recovery->cache->common.transit);
		for (i = 0; i < recovery->homes; i++)
			if (!home_look(&recovery->held[i], recovery->visits))
				return false;
		recovery->strays =
			mag_region_find_strays(recovery->cache->region, recovery->stray, STRAYS);
		if (mag_hands_are_empty(&after) && after == before)
			return true;
	}
	return false;
}

/* What it showed */

static void
drain(struct mag_magazine *magazine, void *arg)
{
	struct held_home *held = arg;

	if (!is_named(magazine, arg))
		mag_home_drain_magazine(held->home, magazine);
}

static void
home_recover(struct held_home *held, bool magazines)
{
	struct mag_home *home = held->home;

	atomic_fetch_sub_explicit(&home->slab.moving, held->moving, memory_order_release);
	if (!magazines)
		return;
	mag_arena_walk(&home->arena, drain, held);
	mag_arena_rebuild(&home->arena, is_named, held);
}

static bool
moment_recover(struct recovery *recovery)
{
	struct mag_cache *cache = recovery->cache;
	struct held_home *held;
	unsigned int i;

	for (i = 0; i < recovery->homes && recovery->visits; i++) {
		held = &recovery->held[i];
		if (!slots_visit(held))
			return false;
		held->arena = lock_take(&held->home->arena.lock, recovery->deadline);
		if (!held->arena)
			return false;
	}
	if (!look(recovery))
		return false;
	mag_transit_end(&cache->common, recovery->transit);
	/* Those that were seen: from here on others take segments, past their slots. */
	mag_region_put_strays(cache->region, recovery->stray, recovery->strays);
	for (i = 0; i < recovery->homes; i++)
		home_recover(&recovery->held[i], recovery->visits);
	return recovery->strays < STRAYS;
}

bool
mag_recover(struct mag_cache *cache, uint32_t process)
{
	struct recovery recovery = {.cache = cache, .process = process};
	bool broken, done;

	broken = process != MAG_RECOVER_THREAD && mag_perimeter_take_over(cache, process);
	if (!broken && !mag_perimeter_enter_within(cache, WAIT_US))
		return false;
	recovery.deadline = mag_deadline_in(2 * WAIT_US);
	recovery.visits = mag_cache_may_visit(cache);
	done = homes_hold(&recovery) && moment_recover(&recovery);
	homes_let_go(&recovery);
	if (recovery.inside > 0)
		mag_events_add(&cache->events, MAG_EVENT_RECOVERY, 0, recovery.inside);
	if (broken)
		mag_cache_enable_inside(cache);
	mag_perimeter_leave(cache);
	return done;
}
