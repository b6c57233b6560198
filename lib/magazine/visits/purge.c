/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What takes magazines away from slots and depots, and gives their objects to the slabs: purge,
 * enable, resize, working set, reap, reclaim.
 *
 * A purge turns off the slots of one home after the other, each by one sweep, and then empties the
 * depots: from then on no magazine of the old type is anywhere, and the type may change. It is made
 * inside the perimeter. When a home does not let go, the slots of all are on again as before. A
 * reap takes from the depot what it did not need lately, in chains of a few magazines, under the
 * working set lock, and needs no visit.
 *
 * What is taken away is detached under the visit and destroyed after it. Objects on their way are
 * counted as in transit, so that an allocation that finds too few knows that it should look again.
 *
 * In a debugger: slot[i].size is 0 while the layer is off; cache->off tells that a user purged and
 * has not enabled since; cache->reaping that a reap goes on in the next pass of maintenance.
 */

#include <errno.h>
#include <limits.h>

#include "base/counter.h"
#include "base/deadline.h"
#include "base/log.h"
#include "base/peer.h"
#include "home/object.h"
#include "parts/type.h"
#include "visits/perimeter.h"
#include "visits/purge.h"
#include "visits/sweep.h"

/*
 * Blocks are asked for on the data path, which waits for another's purge as for a sweep of its own.
 */
#define GATHER_US MAG_SWEEP_US

/* Visitor: a magazine leaves its slot, its rounds are in transit. */
static struct mag_detached
visitor_detach(struct mag_home *home, struct mag_slot *slot,
	       struct mag_detached (*detach)(struct mag_slot *slot))
{
	struct mag_detached detached = {NULL, 0};
	uint32_t count = mag_slot_objects(slot);

	mag_transit_begin(home->common, count);
	detached = detach(slot);
	mag_transit_end(home->common, count - detached.rounds);
	MAG_COUNT(slot->visited_out, detached.rounds);
	return detached;
}

struct magazine_pile {
	struct mag_detached detached[2 * MAG_SLOTS];
	unsigned int count;
};

static void
pile_add(struct magazine_pile *pile, struct mag_detached detached)
{
	if (detached.magazine != NULL)
		pile->detached[pile->count++] = detached;
}

static void
pile_destroy(struct mag_home *home, struct magazine_pile *pile)
{
	unsigned int i;

	for (i = 0; i < pile->count; i++) {
		mag_home_destroy_magazine(home, pile->detached[i]);
		mag_transit_end(home->common, pile->detached[i].rounds);
	}
}

static void
slot_empty(struct mag_home *home, struct mag_slot *slot, struct magazine_pile *pile)
{
	pile_add(pile, visitor_detach(home, slot, mag_slot_detach_previous));
	pile_add(pile, visitor_detach(home, slot, mag_slot_detach_loaded));
}

static void
slot_off(struct mag_home *home, struct mag_slot *slot, struct magazine_pile *pile)
{
	slot_empty(home, slot, pile);
	MAG_STORE(&slot->size, 0, MAG_RELAXED);
}

/* Every slot off, or none: then -EAGAIN. */
static int
slots_off(struct mag_home *home, struct magazine_pile *pile, bool idle)
{
	struct mag_sweep sweep = mag_sweep_make(home, MAG_BIAS_VISIT | MAG_BIAS_PURGE);
	unsigned int i;
	bool all;

	sweep.idle = idle;
	if (!mag_visitor_lock(home, &home->visit))
		return -EAGAIN;
	for (i = 0; i < MAG_SLOT_SHARED; i++)
		mag_sweep_announce(&sweep, i);
	all = mag_sweep_await(&sweep, mag_deadline_in(MAG_SWEEP_US),
			      &home->common->visits_denied) &&
	      mag_visitor_lock(home, &home->shared);
	if (all) {
		for (i = 0; i < MAG_SLOTS; i++)
			slot_off(home, &home->slot[i], pile);
		mag_lock_release(&home->shared);
	}
	mag_sweep_dismiss(&sweep);
	mag_lock_release(&home->visit);
	return all ? 0 : -EAGAIN;
}

/* The shared slot needs no visit, only its lock. */
static void
shared_empty(struct mag_home *home, struct magazine_pile *pile)
{
	if (!mag_visitor_lock(home, &home->shared))
		return;
	slot_empty(home, &home->slot[MAG_SLOT_SHARED], pile);
	mag_lock_release(&home->shared);
}

/*
 * A chain of magazines leaves the depot at once, in transit, before the first is destroyed. Under
 * the working set lock until the last one is: whoever has the lock and finds nothing to reap knows
 * that nobody else is carrying any.
 */
static unsigned int
chain_reap(struct mag_home *home, struct mag_depot_list *list, uint32_t want)
{
	bool full = list == &home->depot.full;
	uint64_t rounds = full ? MAG_STAT(home->common->type) : 0;
	struct mag_magazine *got[MAG_DEPOT_CHAIN];
	unsigned int taken, i;

	want = RTE_MIN(RTE_MIN(want, MAG_DEPOT_CHAIN), mag_depot_reapable(list));
	mag_transit_begin(home->common, want * rounds);
	taken = mag_depot_reap(&home->depot, list, want, got);
	mag_transit_end(home->common, (want - taken) * rounds);
	for (i = 0; i < taken; i++) {
		mag_home_destroy_magazine(home,
					  (struct mag_detached){got[i], full ? got[i]->rounds : 0});
		mag_transit_end(home->common, rounds);
	}
	return taken;
}

/* What a reap came to: there was something to take; there still may be. */
struct reaped {
	bool some, more;
};

/*
 * Chain by chain, with the lock let go between them; no more than could be reaped when this began.
 * With chains enough the last look finds nothing, and no magazine on its way. False: there was no
 * look, for want of the lock.
 */
static bool
list_reap(struct mag_home *home, struct mag_depot_list *list, unsigned int chains,
	  struct reaped *reaped)
{
	uint32_t left = UINT32_MAX;
	unsigned int taken;

	do {
		if (!mag_visitor_lock(home, &home->working_set))
			return false;
		if (left == UINT32_MAX)
			left = mag_depot_reapable(list);
		taken = chain_reap(home, list, left);
		mag_lock_release(&home->working_set);
		left -= taken;
		reaped->some |= taken > 0;
	} while (taken > 0 && --chains > 0);
	reaped->more |= taken > 0 && left > 0;
	return true;
}

static bool
depot_reap(struct mag_home *home, unsigned int chains, struct reaped *reaped)
{
	return list_reap(home, &home->depot.full, chains, reaped) &&
	       list_reap(home, &home->depot.empty, chains, reaped);
}

static bool
depot_zero_and_reap(struct mag_home *home, bool *reaped)
{
	struct reaped all = {false, false};
	bool done;

	if (!mag_visitor_lock(home, &home->working_set))
		return false;
	if (mag_depot_zero(&home->depot))
		MAG_STAT_ADD(home->common->zeroes, 1);
	mag_lock_release(&home->working_set);
	done = depot_reap(home, UINT_MAX, &all);
	*reaped |= all.some;
	return done;
}

void
mag_cache_working_set_update(struct mag_cache *cache)
{
	struct mag_home *home;
	unsigned int part;

	MAG_FOREACH_HOME(cache, part, home) {
		if (!mag_visitor_lock(home, &home->working_set))
			continue;
		mag_depot_update(&home->depot);
		mag_lock_release(&home->working_set);
	}
}

static void
count_reap(struct mag_cache *cache)
{
	mag_events_add(&cache->events, MAG_EVENT_REAP, 0, MAG_STAT_ADD(cache->reaps, 1) + 1);
}

bool
mag_cache_working_set_reap(struct mag_cache *cache, unsigned int chains)
{
	struct reaped reaped = {false, false};
	struct mag_home *home;
	unsigned int part;
	bool begun;

	MAG_FOREACH_HOME(cache, part, home)
		depot_reap(home, chains, &reaped);
	begun = atomic_exchange_explicit(&cache->reaping, reaped.more, memory_order_relaxed);
	if (reaped.some && !begun)
		count_reap(cache);
	return reaped.more;
}

/* held: set when a slot had a magazine. */
static int
home_purge(struct mag_home *home, bool idle, bool *held)
{
	struct magazine_pile pile = {.count = 0};
	bool reaped = false;
	bool off = (idle || mag_home_may_visit(home)) && slots_off(home, &pile, idle) == 0;

	/* Asked again: the sweep may have found that nobody can be visited any more. */
	if (!off && (idle || mag_home_may_visit(home)))
		return -EAGAIN;
	if (!off) {
		mag_sweep_ask(home);
		shared_empty(home, &pile);
	}
	*held |= off && pile.count > 0;
	pile_destroy(home, &pile);
	return depot_zero_and_reap(home, &reaped) && off ? 0 : -EAGAIN;
}

/*
 * When a home does not let go, those that were purged before it are enabled again, and so is one of
 * which the slots are empty but not the depot. Where owners can only be asked, those of all homes
 * are.
 */
int
mag_cache_purge_inside(struct mag_cache *cache, bool idle)
{
	bool held = false;
	struct mag_home *home;
	unsigned int part;
	int ret = 0;

	MAG_FOREACH_HOME(cache, part, home) {
		if (home_purge(home, idle, &held) == 0)
			continue;
		ret = -EAGAIN;
		if (idle || mag_cache_may_visit(cache))
			break;
	}
	if (ret != 0)
		mag_cache_enable_inside(cache);
	if (ret == 0 && held)
		mag_events_add(&cache->events, MAG_EVENT_PURGE, 0,
			       MAG_STAT_ADD(cache->purges, 1) + 1);
	return ret;
}

/* Maintenance may wait for what the thread of a callback holds, and the thread for maintenance. */
static bool
is_in_callback(const struct mag_cache *cache)
{
	if (likely(mag_callback_depth == 0))
		return false;
	MAG_LOG(ERR, "cache \"%s\": not from a cache's callback", cache->name);
	return true;
}

/* May this thread, and this process, destruct what the cache holds? 0, -EDEADLK or -EPERM. */
static int
may_destruct(const struct mag_cache *cache)
{
	if (is_in_callback(cache))
		return -EDEADLK;
	mag_peer_join(); /* before a lock is held, so that others know when this process is dead */
	return mag_cache_is_elsewhere(cache) ? -EPERM : 0;
}

int
mag_cache_purge(struct mag_cache *cache)
{
	int ret = may_destruct(cache);

	if (ret != 0)
		return ret;
	if (!mag_perimeter_enter(cache, false))
		return -EBUSY;
	ret = mag_cache_purge_inside(cache, false);
	if (ret == 0)
		atomic_store_explicit(&cache->off, true, memory_order_relaxed);
	mag_perimeter_leave(cache);
	return ret;
}

void
mag_cache_enable_inside(struct mag_cache *cache)
{
	uint32_t rounds = MAG_STAT(cache->common.type);
	struct mag_home *home;
	unsigned int i, part;

	if (cache->flags & MAG_CACHE_NOMAGAZINES || MAG_STAT(cache->off))
		return;
	MAG_FOREACH_HOME(cache, part, home)
		for (i = 0; i < MAG_SLOTS; i++)
			MAG_STORE(&home->slot[i].size, rounds, MAG_RELAXED);
}

int
mag_cache_enable(struct mag_cache *cache)
{
	if (is_in_callback(cache))
		return -EDEADLK;
	if (cache->flags & MAG_CACHE_NOMAGAZINES)
		return -ENOTSUP;
	if (!mag_perimeter_enter(cache, true))
		return -EBUSY;
	atomic_store_explicit(&cache->off, false, memory_order_relaxed);
	mag_cache_enable_inside(cache);
	mag_perimeter_leave(cache);
	return 0;
}

static bool
type_is_known(const struct mag_cache *cache, uint32_t rounds)
{
	if (cache->flags & MAG_CACHE_NOMAGAZINES)
		return false;
	if (cache->flags & MAG_CACHE_POOL)
		return mag_type_is_pool(rounds);
	return mag_type_is_reachable(mag_cache_type_size(cache), rounds);
}

int
mag_cache_change_type(struct mag_cache *cache, uint32_t rounds, bool wait)
{
	int ret;

	if (!mag_perimeter_enter(cache, wait))
		return -EBUSY;
	ret = mag_cache_purge_inside(cache, false);
	if (ret == 0) {
		mag_events_add(&cache->events, MAG_EVENT_RESIZE, MAG_STAT(cache->common.type),
			       rounds);
		atomic_store_explicit(&cache->common.type, rounds, memory_order_relaxed);
		MAG_STAT_ADD(cache->contention_seen, MAG_CONTENTION_REST);
		MAG_STAT_ADD(cache->resizes, 1);
		mag_cache_enable_inside(cache);
	}
	mag_perimeter_leave(cache);
	return ret;
}

int
mag_cache_resize(struct mag_cache *cache, uint32_t rounds, bool wait)
{
	int ret = may_destruct(cache);

	if (ret != 0)
		return ret;
	if (type_is_known(cache, rounds))
		return mag_cache_change_type(cache, rounds, wait);
	MAG_LOG(ERR, "cache \"%s\": magazine size %u: no type that this cache can have",
		cache->name, rounds);
	return -EINVAL;
}

static int
purge_and_enable(struct mag_cache *cache, uint64_t wait_us)
{
	int ret;

	if (!mag_perimeter_enter_within(cache, wait_us))
		return -EBUSY;
	ret = mag_cache_purge_inside(cache, false);
	mag_cache_enable_inside(cache);
	mag_perimeter_leave(cache);
	return ret;
}

int
mag_cache_gather(struct mag_cache *cache)
{
	uint64_t magazines = 0;
	struct mag_home *home;
	unsigned int part;

	MAG_FOREACH_HOME(cache, part, home)
		magazines += mag_depot_total(&home->depot.full);
	/* With nothing in magazines there is nothing to gather, and nobody to interrupt. */
	if (mag_cache_in_lcores(cache) + magazines == 0)
		return -EAGAIN;
	return purge_and_enable(cache, GATHER_US);
}

/* Take every lcore's previous magazine; those that do not grant keep theirs. */
static bool
previous_reap(struct mag_home *home)
{
	struct mag_sweep sweep = mag_sweep_make(home, MAG_BIAS_VISIT);
	struct magazine_pile pile = {.count = 0};
	unsigned int i, slots = mag_thread_slots();

	if (!mag_visitor_lock(home, &home->visit))
		return false;
	mag_hands_begin(); /* the pile is destroyed with the lock let go */
	for (i = 0; i < slots; i++)
		mag_sweep_announce(&sweep, i);
	if (slots > 0)
		mag_sweep_await(&sweep, mag_deadline_in(MAG_SWEEP_US),
				&home->common->visits_denied);
	for (i = 0; i < slots; i++)
		if (mag_sweep_wants(&sweep, i))
			pile_add(&pile,
				 visitor_detach(home, &home->slot[i], mag_slot_detach_previous));
	mag_sweep_dismiss(&sweep);
	if (mag_visitor_lock(home, &home->shared)) {
		pile_add(&pile, visitor_detach(home, &home->slot[MAG_SLOT_SHARED],
					       mag_slot_detach_previous));
		mag_lock_release(&home->shared);
	}
	mag_lock_release(&home->visit);
	pile_destroy(home, &pile);
	mag_hands_end();
	return pile.count > 0;
}

int
mag_cache_reap_now(struct mag_cache *cache, bool all)
{
	struct mag_home *home;
	bool reaped = false;
	unsigned int part;
	int ret = may_destruct(cache);

	if (ret != 0)
		return ret;
	if (all || cache->flags & MAG_CACHE_REAP_ALL)
		return purge_and_enable(cache, 0);
	MAG_FOREACH_HOME(cache, part, home) {
		depot_zero_and_reap(home, &reaped);
		if (mag_home_may_visit(home))
			reaped |= previous_reap(home);
		/* Not "else": that visit may have been the first to fail. */
		if (!mag_home_may_visit(home))
			mag_sweep_ask(home);
	}
	if (reaped)
		count_reap(cache);
	return 0;
}

int
mag_cache_reclaim(struct mag_cache *cache, bool memory_low)
{
	const struct mag_callbacks *callbacks = cache->common.callbacks;
	int ret = may_destruct(cache);

	if (ret != 0)
		return ret;
	if (callbacks != NULL && callbacks->release != NULL) {
		mag_callback_depth++;
		callbacks->release(callbacks->arg);
		mag_callback_depth--;
	}
	if (memory_low || cache->flags & MAG_CACHE_REAP_ALL)
		return purge_and_enable(cache, 0);
	mag_cache_working_set_reap(cache, UINT_MAX);
	return 0;
}
