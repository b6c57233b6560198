/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Steal: an allocation that found too few objects in its own slot, the depots and the slabs takes
 * what the slots of others hold.
 *
 * First it decides whether that can succeed: the sum of all that could be had, taken without a
 * lock. Only when the sum is large enough are the visit locks of all homes taken, own node or not,
 * in their order. Then it repeats: take what there is by now, sweep the slots of one home after the
 * other, nearest first, until there is enough, nothing can be had any more, or the time is over.
 * Where owners may not be visited they are asked to flush, and what can be had without a visit is
 * taken.
 *
 * What a thief holds meanwhile is in transit. It errs to one side: objects may be refused while
 * they move, which is counted in steal_denied, but nobody sees more than there are.
 *
 * In a debugger: a thief holds home->visit of each home; denied_slot, denied_count and steal_rest
 * tell for which owner the last sweep of a home waited in vain.
 */

#include <rte_cycles.h>
#include <rte_pause.h>

#include "base/counter.h"
#include "base/deadline.h"
#include "visits/reserve.h"
#include "visits/steal.h"
#include "visits/sweep.h"

#define STEAL_US 1000
/* Sweeps of a thief that brought something, and are made whatever the time is. */
#define STEAL_SWEEPS 2
/* An allocation that found too few looks again while others are in the middle of something. */
#define LOOKS 8
/* Objects that are stolen for the reserve at once: who is killed with them loses so many. */
#define RESERVED 16u

static uint64_t
home_reachable(const struct mag_home *home)
{
	return mag_home_in_lcores(home) + mag_slab_available(&home->slab) +
	       (uint64_t)mag_depot_total(&home->depot.full) * MAG_STAT(home->common->type);
}

uint64_t
mag_cache_reachable(const struct mag_cache *cache)
{
	struct mag_home *home;
	unsigned int part;
	/* acquire: pairs with mag_transit_end(): read first, what left transit is counted below */
	uint64_t sum = atomic_load_explicit(&cache->common.transit, memory_order_acquire);

	MAG_FOREACH_HOME(cache, part, home)
		sum += home_reachable(home);
	return sum;
}

uint64_t
mag_cache_all_free(const struct mag_cache *cache)
{
	return mag_cache_reachable(cache) + mag_reserve_objects(cache);
}

/*
 * What tells that objects have moved. Whoever moves some is busy, holds a lock or is in transit
 * until it has counted them in a counter that only grows: sums of these are alike only if none has
 * changed. Objects that users free are not counted: they only add.
 */
struct moves {
	uint64_t count;
	bool underway;
};

/*
 * All are read with acquire. Of a word that says that a move is under way: when it says no more,
 * the move has been counted; pairs with the release that ended it. Of a counter: what is read next
 * tells whether the rest of the move is still to come.
 */

/* busy on both sides of the counts: some moves are counted first, others last. */
static void
slot_moves(const struct mag_slot *slot, const uint32_t *busy, struct moves *moves)
{
	moves->underway |= MAG_STAT_ACQUIRE(*busy) != 0;
	moves->count += mag_slot_out(slot);
	moves->underway |= MAG_STAT_ACQUIRE(*busy) != 0;
}

static bool
beside_slots_underway(const struct mag_home *home)
{
	return MAG_STAT_ACQUIRE(home->slab.moving) != 0 ||
	       MAG_STAT_ACQUIRE(home->slab.lock.holder) != 0;
}

static struct moves
home_moves(const struct mag_home *home)
{
	struct moves moves = {.underway = beside_slots_underway(home)};
	unsigned int i, slots = mag_thread_slots();

	for (i = 0; i < slots; i++)
		slot_moves(&home->slot[i], &home->slot[i].busy, &moves);
	slot_moves(&home->slot[MAG_SLOT_SHARED], MAG_STAT_AT(home->shared.holder), &moves);
	moves.count += MAG_STAT_ACQUIRE(home->slab.created) +
		       MAG_STAT_ACQUIRE(home->slab.destroyed) +
		       MAG_STAT_ACQUIRE(home->slab.allocs) + mag_depot_taken(&home->depot.full) +
		       MAG_STAT_ACQUIRE(home->slab.region->allocations);
	/* acquire: as above */
	atomic_thread_fence(memory_order_acquire);
	moves.underway |= beside_slots_underway(home);
	return moves;
}

/* own: what this request itself holds in transit. */
static struct moves
moves_so_far(const struct mag_cache *cache, uint64_t own)
{
	struct moves moves = {.underway = MAG_STAT_ACQUIRE(cache->common.transit) != own}, its;
	struct mag_home *home;
	unsigned int part;

	MAG_FOREACH_HOME(cache, part, home) {
		its = home_moves(home);
		moves.count += its.count;
		moves.underway |= its.underway;
	}
	moves.underway |= MAG_STAT_ACQUIRE(cache->common.transit) != own;
	return moves;
}

/*
 * Could n more objects be had, or one where some will do? The sum misses what moves while it is
 * taken: that it is too small is believed when nothing did. Else it is taken again, a few times; a
 * refusal after that counts.
 */
static bool
can_succeed(struct mag_cache *cache, unsigned int n, const struct mag_request *request)
{
	uint64_t own = request->transit;
	struct moves now = moves_so_far(cache, own), before;
	unsigned int look;

	for (look = 0; look < LOOKS; look++) {
		if (mag_cache_reachable(cache) >= (request->some ? 1 : n) + own)
			return true;
		before = now;
		/* acquire: moves are read after the sum */
		atomic_thread_fence(memory_order_acquire);
		now = moves_so_far(cache, own);
		if (!before.underway && !now.underway && now.count == before.count)
			return false;
		rte_pause();
	}
	MAG_STAT_ADD(cache->common.steal_denied, 1);
	return false;
}

/* Visitor: up to n rounds of a slot to objects; a full magazine that is not needed to the depot. */
static unsigned int
slot_steal(struct mag_home *home, struct mag_slot *slot, void **objects, unsigned int n,
	   struct mag_request *request)
{
	struct mag_detached previous;
	uint32_t count = mag_slot_objects(slot), got;

	mag_request_hold(home->common, request, count);
	got = mag_slot_pick(slot, objects, n);
	MAG_COUNT(slot->visited_out, got);
	if (got < n) {
		previous = mag_slot_detach_previous(slot);
		MAG_COUNT(slot->visited_out, previous.rounds);
		mag_home_hand_over(home, previous);
	}
	mag_request_let_go(home->common, request, count - got);
	return got;
}

static unsigned int
shared_steal(struct mag_home *home, void **objects, unsigned int n, struct mag_request *request,
	     uint64_t deadline)
{
	struct mag_slot *shared = &home->slot[MAG_SLOT_SHARED];
	unsigned int got;

	if (n == 0 || mag_slot_objects(shared) == 0)
		return 0;
	if (!mag_lock_until(&home->shared, deadline, &home->common->steal_denied))
		return 0;
	got = slot_steal(home, shared, objects, n, request);
	mag_lock_release(&home->shared);
	return got;
}

/* Announce to no more slots than are needed. */
static void
steal_announce(struct mag_sweep *sweep, unsigned int n)
{
	struct mag_home *home = sweep->home;
	unsigned int i, slots = mag_thread_slots(), own = mag_thread_slot();
	uint64_t sum = 0;
	uint32_t count;

	for (i = 0; i < slots && sum < n; i++) {
		count = mag_slot_objects(&home->slot[i]);
		if (i == own || count == 0 ||
		    (sweep->fencing && !mag_sweep_slot_is_fenced(home, i)))
			continue;
		sum += count;
		mag_sweep_announce(sweep, i);
	}
}

/* One sweep, under the visit lock: returns the objects had; full magazines go to the depot. */
static unsigned int
home_steal(struct mag_home *home, void **objects, unsigned int n, struct mag_request *request,
	   uint64_t deadline)
{
	struct mag_sweep sweep = mag_sweep_make(home, MAG_BIAS_VISIT);
	unsigned int i, got = 0;

	steal_announce(&sweep, n);
	if (sweep.count > 0) {
		MAG_STAT_ADD(home->common->steals, 1);
		mag_sweep_await(&sweep, deadline, &home->common->steal_denied);
		for (i = 0; i < MAG_SLOT_SHARED; i++)
			if (mag_sweep_wants(&sweep, i))
				got += slot_steal(home, &home->slot[i], objects + got, n - got,
						  request);
		mag_sweep_dismiss(&sweep);
	}
	got += shared_steal(home, objects + got, n - got, request, deadline);
	if (got == 0 && sweep.denied) {
		atomic_store_explicit(&home->denied_slot, sweep.denied_slot, memory_order_relaxed);
		atomic_store_explicit(&home->denied_count, mag_home_in_lcores(home),
				      memory_order_relaxed);
		atomic_store_explicit(&home->steal_rest, mag_deadline_in(STEAL_US),
				      memory_order_relaxed);
	}
	return got;
}

/*
 * A sweep that brought nothing, because an owner is preempted inside an operation, is not
 * repeated while that owner still is: it could not succeed. Such a refusal counts.
 */
static bool
is_still_denied(struct mag_home *home)
{
	const struct mag_slot *denied = &home->slot[MAG_STAT(home->denied_slot)];

	if (rte_rdtsc() >= MAG_STAT(home->steal_rest) || MAG_STAT(denied->busy) == 0 ||
	    mag_home_in_lcores(home) != MAG_STAT(home->denied_count))
		return false;
	MAG_STAT_ADD(home->common->steal_denied, 1);
	return true;
}

static void
visit_release(struct mag_cache *cache, unsigned int homes)
{
	struct mag_home *home;
	unsigned int part;

	MAG_FOREACH_HOME(cache, part, home)
		if (part < homes)
			mag_lock_release(&home->visit);
}

/* The visit locks of all homes, in their order; returns how many homes these are, 0 = not all. */
static unsigned int
visit_lock_until(struct mag_cache *cache, uint64_t deadline)
{
	struct mag_home *home;
	unsigned int part;

	MAG_FOREACH_HOME(cache, part, home)
		if (!mag_lock_until(&home->visit, deadline, &home->common->steal_denied)) {
			visit_release(cache, part);
			return 0;
		}
	return part;
}

/*
 * One sweep over each home, own node first; false when all of them would be in vain. A home that
 * has come since the visit locks were taken is another visitor's.
 */
static bool
homes_steal(struct mag_cache *cache, unsigned int locked, void **objects, unsigned int n,
	    struct mag_request *request, uint64_t deadline, unsigned int *stolen)
{
	const struct mag_homes *homes = mag_cache_homes(cache);
	unsigned int i, got, part = 0, count = homes != NULL ? homes->count : 1, vain = 0;
	struct mag_home *home;

	*stolen = 0;
	for (i = 0; i < count && *stolen < n; i++) {
		if (homes != NULL)
			part = mag_homes_order(homes)[i];
		home = mag_cache_home(cache, part);
		if (part >= locked || is_still_denied(home)) {
			vain++;
			continue;
		}
		got = home_steal(home, objects + *stolen, n - *stolen, request, deadline);
		mag_home_count(home, got, 0);
		*stolen += got;
	}
	return vain < count;
}

/*
 * Under the visit locks: all of n, or what there is when nothing more can be had, or the time is
 * over. Some sweeps are made however late it is, since this thread itself may have been preempted;
 * they wait for nobody then.
 */
static unsigned int
steal_until(struct mag_cache *cache, unsigned int locked, void **objects, unsigned int n,
	    struct mag_request *request, uint64_t deadline)
{
	unsigned int got = 0, stolen = 1, sweeps = 0;

	while ((got += mag_cache_take(cache, objects + got, n - got, request)) < n &&
	       !request->refused && mag_cache_may_visit(cache) &&
	       can_succeed(cache, n - got, request)) {
		if ((stolen == 0 || sweeps++ >= STEAL_SWEEPS) && rte_rdtsc() >= deadline) {
			MAG_STAT_ADD(cache->common.steal_denied, 1);
			break;
		}
		if (!homes_steal(cache, locked, objects + got, n - got, request, deadline, &stolen))
			break;
		got += stolen;
	}
	return got;
}

/*
 * Nobody may be visited, or not all: lcores are asked to flush when they next come by, and what
 * threads without an lcore hold, and owners that fence, can be had at once.
 */
static unsigned int
steal_by_asking(struct mag_cache *cache, unsigned int locked, void **objects, unsigned int n,
		struct mag_request *request, uint64_t deadline)
{
	unsigned int got = mag_cache_take(cache, objects, n, request), stolen, part;
	struct mag_home *home;

	if (got == n || request->refused)
		return got;
	MAG_FOREACH_HOME(cache, part, home) {
		mag_sweep_ask(home);
		if (mag_sweep_is_fencing(home->common) && part < locked)
			stolen = home_steal(home, objects + got, n - got, request, deadline);
		else
			stolen = shared_steal(home, objects + got, n - got, request, deadline);
		mag_home_count(home, stolen, 0);
		got += stolen;
	}
	return got + mag_cache_take(cache, objects + got, n - got, request);
}

static unsigned int
steal(struct mag_cache *cache, void **objects, unsigned int n, struct mag_request *request)
{
	unsigned int got = 0, homes;
	uint64_t deadline;

	if (!can_succeed(cache, n, request))
		return 0;
	/* Constructors run with the visit locks held from here on. */
	request->may_wait = false;
	deadline = mag_deadline_in(STEAL_US);
	homes = visit_lock_until(cache, deadline);
	if (homes == 0)
		return 0;
	if (mag_cache_may_visit(cache))
		got = steal_until(cache, homes, objects, n, request, deadline);
	/* Not "else": that visit may have been the first to fail. */
	if (got < n && !request->refused && !mag_cache_may_visit(cache))
		got += steal_by_asking(cache, homes, objects + got, n - got, request, deadline);
	if (got < n && !request->some) {
		mag_cache_give(cache, objects, got);
		got = 0;
	}
	mag_request_end(&cache->common, request);
	visit_release(cache, homes);
	return got;
}

/* Once around, and for nobody in particular: no user counts it. */
static unsigned int
steal_of_others(struct mag_cache *cache, void **objects, unsigned int n)
{
	struct mag_request request = {.some = true};
	uint64_t deadline = mag_deadline_in(STEAL_US);
	unsigned int got = 0, part, homes = visit_lock_until(cache, deadline);
	bool may_visit = mag_cache_may_visit(cache);
	struct mag_home *home;

	MAG_FOREACH_HOME(cache, part, home) {
		if (part >= homes)
			break;
		if (!may_visit)
			mag_sweep_ask(home);
		else if (got < n && !is_still_denied(home))
			got += home_steal(home, objects + got, n - got, &request, deadline);
	}
	mag_request_end(&cache->common, &request);
	visit_release(cache, homes);
	return got;
}

void
mag_steal_for_reserve(struct mag_cache *cache)
{
	void *objects[RESERVED];
	uint32_t missing;
	unsigned int got = 1;

	mag_reserve_fill(cache);
	while (cache->pile != NULL && got > 0 && !MAG_STAT(cache->dying)) {
		missing = cache->pile->size - (uint32_t)mag_reserve_objects(cache);
		got = missing > 0 ? steal_of_others(cache, objects, RTE_MIN(missing, RESERVED)) : 0;
		mag_reserve_put(cache, objects, got);
	}
}

static void
raise(_Atomic uint64_t *peak, uint64_t value)
{
	uint64_t was = MAG_STAT(*peak);

	while (value > was &&
	       !atomic_compare_exchange_weak_explicit(peak, &was, value, memory_order_relaxed,
						      memory_order_relaxed))
		;
}

void
mag_steal_note_peaks(struct mag_cache *cache)
{
	uint64_t free = mag_cache_all_free(cache), objects = MAG_STAT(cache->region->objects);

	raise(&cache->peak_out, objects - RTE_MIN(free, objects));
	raise(&cache->peak_lcores, mag_cache_in_lcores(cache));
	MAG_STAT_ADD(cache->looks, 1);
}

void
mag_steal_failed(struct mag_cache *cache)
{
	uint64_t failed = MAG_STAT_ADD(cache->common.failed_gets, 1) + 1;

	if (mag_events_add_rarely(&cache->events, MAG_EVENT_FAILED, failed))
		mag_steal_note_peaks(cache);
}

/* What a sweep, or the want of one, adds to the counters is an event. */
unsigned int
mag_cache_steal(struct mag_cache *cache, void **objects, unsigned int n,
		struct mag_request *request)
{
	struct mag_common *common = &cache->common;
	uint64_t steals = MAG_STAT(common->steals), denied = MAG_STAT(common->steal_denied), now;
	unsigned int got = steal(cache, objects, n, request);

	if ((now = MAG_STAT(common->steals)) != steals)
		mag_events_add_rarely(&cache->events, MAG_EVENT_STEAL, now);
	if ((now = MAG_STAT(common->steal_denied)) != denied)
		mag_events_add_rarely(&cache->events, MAG_EVENT_DENIED, now);
	if (unlikely(got < n))
		got += mag_reserve_take(cache, objects + got, n - got, request->some);
	if (unlikely(got < n && !request->some))
		mag_steal_failed(cache);
	return got;
}
