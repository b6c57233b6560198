/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Sweeps over the slots of a cache: purge, enable, reap, resize, steal
 * (spec 7, design 4 and 8).
 *
 * A sweep announces itself to all slots that it wants, sends one membarrier, and then
 * waits a bounded time for each owner that is busy. What it takes away it detaches
 * under the visit and destroys after it. Objects on their way are counted as in transit, so
 * that an allocation that finds too few knows that it should look again.
 */

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_errno.h>

#include "cache.h"
#include "log.h"
#include "visit.h"

/* An owner that does not let go for this long is preempted inside an operation. */
#define SWEEP_US 5000
#define STEAL_US 1000
/* Sweeps of a thief that brought something, and are made whatever the time is. */
#define STEAL_SWEEPS 2
/* An allocation that found too few looks again while others are in the middle of something. */
#define LOOKS 8
/*
 * Whoever is in the perimeter may be taking memory for a home, and EAL gives other processes 5 s to
 * follow: who waits longer waits for a thread that has stopped in there.
 */
#define PERIMETER_US 6000000
/*
 * Visitors hold a lock for the milliseconds of a sweep, or of a chain of magazines. Who has one for longer has
 * stopped there, or was killed: it is counted, and whoever wants the lock comes again later. Maintenance has the
 * list of all caches meanwhile.
 */
#define LOCK_US 100000
/* Blocks are asked for on the data path, which waits for another's purge as for a sweep of its own. */
#define GATHER_US SWEEP_US

static uint64_t
deadline_in(uint64_t us)
{
	return rte_rdtsc() + rte_get_tsc_hz() / 1000000 * us;
}

static bool
lock_until(struct mag_lock *lock, uint64_t deadline, _Atomic uint64_t *denied)
{
	while (!mag_lock_try(lock)) {
		if (rte_rdtsc() > deadline) {
			MAG_STAT_ADD(*denied, 1);
			return false;
		}
		sched_yield();
	}
	return true;
}

static bool
visitor_lock(struct mag_home *home, struct mag_lock *lock)
{
	return lock_until(lock, deadline_in(LOCK_US), &home->common->visits_denied);
}

/* The perimeter: one thread, which may enter again. */

/* Until somebody has left since `left` was read, until the deadline, or for no reason. */
static void
perimeter_sleep(struct mag_cache *cache, uint32_t left, uint64_t deadline)
{
	uint64_t now = rte_rdtsc(), us;
	struct timespec timeout;

	if (now >= deadline)
		return;
	us = (deadline - now) / (rte_get_tsc_hz() / 1000000) + 1;
	timeout = (struct timespec){.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
	/* Not the PRIVATE kind: threads of other processes sleep and wake here too. */
	if (syscall(SYS_futex, &cache->perimeter_left, FUTEX_WAIT, left, &timeout, NULL, 0) != 0 &&
	    errno != EAGAIN && errno != EINTR && errno != ETIMEDOUT)
		sched_yield();
}

static bool
perimeter_enter_within(struct mag_cache *cache, uint64_t us)
{
	uint64_t me = mag_process_thread(), expected, deadline = deadline_in(us);
	uint32_t left;

	/* relaxed: only this thread can have stored its own token */
	if (atomic_load_explicit(&cache->perimeter, memory_order_relaxed) == me) {
		cache->perimeter_depth++;
		return true;
	}
	for (;;) {
		/* acquire: before the perimeter is tried; pairs with mag_perimeter_leave() */
		left = atomic_load_explicit(&cache->perimeter_left, memory_order_acquire);
		expected = 0;
		/* acquire: pairs with the release in mag_perimeter_leave() */
		if (atomic_compare_exchange_strong_explicit(&cache->perimeter, &expected, me,
							    memory_order_acquire,
							    memory_order_relaxed))
			break;
		if (rte_rdtsc() >= deadline)
			return false;
		perimeter_sleep(cache, left, deadline);
	}
	cache->perimeter_depth = 1;
	return true;
}

bool
mag_perimeter_enter(struct mag_cache *cache, bool wait)
{
	return perimeter_enter_within(cache, wait ? PERIMETER_US : 0);
}

void
mag_perimeter_leave(struct mag_cache *cache)
{
	if (--cache->perimeter_depth > 0)
		return;
	/* release: pairs with the acquire in perimeter_enter_within() */
	atomic_store_explicit(&cache->perimeter, 0, memory_order_release);
	/* release: after the perimeter is free, so that who read the number before does not sleep */
	atomic_fetch_add_explicit(&cache->perimeter_left, 1, memory_order_release);
	/* All of them, since the one that was woken may be killed before it comes in. */
	syscall(SYS_futex, &cache->perimeter_left, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* Sweeps */

/*
 * A membarrier reaches the threads of its own process only, and of a secondary process none is an owner. Once
 * one has failed, an owner can be visited again when it has acknowledged that FENCE is set.
 */

static bool
is_for_membarriers(const struct mag_common *common)
{
	return common->bias == MAG_BIAS_MEMBARRIER && !mag_process_is_secondary();
}

static bool
is_fencing(const struct mag_common *common)
{
	return is_for_membarriers(common) && mag_bias_has_given_up();
}

static bool
slot_is_fenced(const struct mag_home *home, unsigned int slot)
{
	/* acquire: pairs with the release in mag_bias_acknowledge() */
	return MAG_STAT_ACQUIRE(home->slot[slot].fenced);
}

/* May the owners of a home be visited? */
static bool
home_may_visit(const struct mag_home *home)
{
	unsigned int i, slots = mag_thread_slots(), own = mag_thread_slot();

	if (!is_fencing(home->common))
		return home->common->bias == MAG_BIAS_FENCE || is_for_membarriers(home->common);
	for (i = 0; i < slots; i++)
		if (i != own && mag_thread_owns(i) && !slot_is_fenced(home, i))
			return false;
	return true;
}

bool
mag_cache_may_visit(const struct mag_cache *cache)
{
	struct mag_home *home;
	unsigned int part;

	MAG_FOREACH_HOME(cache, part, home)
		if (!home_may_visit(home))
			return false;
	return true;
}

struct sweep {
	struct mag_home *home;
	uint32_t bits;
	bool idle;    /**< nobody uses the cache: no owner needs a fence */
	bool fencing; /**< no membarrier: only to those who acknowledged FENCE, or do not exist */
	uint64_t wanted[RTE_ALIGN_MUL_CEIL(MAG_SLOTS, 64) / 64];
	unsigned int count;
	bool denied;              /* some owner did not let go ... */
	unsigned int denied_slot; /* ... of this slot */
};

static struct sweep
sweep_make(struct mag_home *home, uint32_t bits)
{
	return (struct sweep){.home = home, .bits = bits, .fencing = is_fencing(home->common)};
}

static bool
sweep_wants(const struct sweep *sweep, unsigned int slot)
{
	return sweep->wanted[slot / 64] >> (slot % 64) & 1;
}

static void
sweep_announce(struct sweep *sweep, unsigned int slot)
{
	sweep->wanted[slot / 64] |= 1ull << (slot % 64);
	sweep->count++;
	mag_bias_announce(&sweep->home->slot[slot],
			  sweep->bits | (sweep->fencing ? MAG_BIAS_FENCE_BIT : 0));
}

/* The slot is not of the sweep any more. */
static void
sweep_drop(struct sweep *sweep, unsigned int slot)
{
	mag_bias_dismiss(&sweep->home->slot[slot], sweep->bits);
	sweep->wanted[slot / 64] &= ~(1ull << (slot % 64));
}

static void
sweep_dismiss(struct sweep *sweep)
{
	unsigned int i;

	for (i = 0; i < MAG_SLOT_SHARED; i++)
		if (sweep_wants(sweep, i))
			sweep_drop(sweep, i);
}

/*
 * Where nobody has claimed the slot, whoever does finds FENCE: it was announced before the fence here, and the
 * claim comes before a fence too.
 */
static bool
owner_fences(const struct mag_home *home, unsigned int slot)
{
	return slot == mag_thread_slot() || slot_is_fenced(home, slot) || !mag_thread_owns(slot);
}

/*
 * A fence for every owner that was announced to; those that may not have had one are dropped, and it is false: such an
 * owner may be inside, and not be seen busy. What counts is the fence of this very sweep, not whether others had theirs.
 */
static bool
sweep_fence(struct sweep *sweep)
{
	const struct mag_home *home = sweep->home;
	bool membarrier = is_for_membarriers(home->common) && !sweep->fencing, all = true;
	int ret = mag_bias_fence(membarrier ? MAG_BIAS_MEMBARRIER : MAG_BIAS_FENCE);
	unsigned int i;

	for (i = 0; i < MAG_SLOT_SHARED && (ret != 0 || sweep->fencing) && !sweep->idle; i++) {
		if (!sweep_wants(sweep, i) || (ret == 0 && owner_fences(home, i)))
			continue;
		sweep_drop(sweep, i);
		all = false;
	}
	/* The slots first: writing to the log takes its time. */
	if (ret != 0)
		mag_bias_give_up(-ret);
	return all;
}

/* Owners grant, or the slots that do not are counted and dropped from the sweep. False when any was dropped. */
static bool
sweep_await(struct sweep *sweep, uint64_t deadline, _Atomic uint64_t *denied)
{
	struct mag_home *home = sweep->home;
	bool all = sweep_fence(sweep);
	unsigned int i;

	for (i = 0; i < MAG_SLOT_SHARED; i++) {
		if (!sweep_wants(sweep, i) || mag_bias_granted(&home->slot[i], deadline))
			continue;
		MAG_STAT_ADD(*denied, 1);
		sweep_drop(sweep, i);
		sweep->denied = true;
		sweep->denied_slot = i;
	}
	return all && !sweep->denied;
}

/* Visitor: a magazine leaves its slot, its rounds are in transit. */
static struct mag_detached
visitor_detach(struct mag_home *home, struct mag_slot *lcore,
	       struct mag_detached (*detach)(struct mag_slot *lcore))
{
	struct mag_detached detached = {NULL, 0};
	uint32_t count = mag_slot_objects(lcore);

	mag_transit_begin(home->common, count);
	detached = detach(lcore);
	mag_transit_end(home->common, count - detached.rounds);
	MAG_COUNT(lcore->visited_out, detached.rounds);
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
slot_empty(struct mag_home *home, struct mag_slot *lcore, struct magazine_pile *pile)
{
	pile_add(pile, visitor_detach(home, lcore, mag_slot_detach_previous));
	pile_add(pile, visitor_detach(home, lcore, mag_slot_detach_loaded));
}

static void
slot_off(struct mag_home *home, struct mag_slot *lcore, struct magazine_pile *pile)
{
	slot_empty(home, lcore, pile);
	__atomic_store_n(&lcore->size, 0, __ATOMIC_RELAXED);
}

/* Every slot off, or none: then -EAGAIN. */
static int
slots_off(struct mag_home *home, struct magazine_pile *pile, bool idle)
{
	struct sweep sweep = sweep_make(home, MAG_BIAS_VISIT | MAG_BIAS_PURGE);
	unsigned int i;
	bool all;

	sweep.idle = idle;
	if (!visitor_lock(home, &home->visit))
		return -EAGAIN;
	for (i = 0; i < MAG_SLOT_SHARED; i++)
		sweep_announce(&sweep, i);
	all = sweep_await(&sweep, deadline_in(SWEEP_US), &home->common->visits_denied) &&
	      visitor_lock(home, &home->shared);
	if (all) {
		for (i = 0; i < MAG_SLOTS; i++)
			slot_off(home, &home->slot[i], pile);
		mag_lock_release(&home->shared);
	}
	sweep_dismiss(&sweep);
	mag_lock_release(&home->visit);
	return all ? 0 : -EAGAIN;
}

/* The shared slot needs no visit, only its lock. */
static void
shared_empty(struct mag_home *home, struct magazine_pile *pile)
{
	if (!visitor_lock(home, &home->shared))
		return;
	slot_empty(home, &home->slot[MAG_SLOT_SHARED], pile);
	mag_lock_release(&home->shared);
}

/* From here on owners acknowledge, also those that hold nothing, and those that are still to come. */
static void
slots_fence(struct mag_home *home)
{
	unsigned int i;

	for (i = 0; i < MAG_SLOT_SHARED; i++)
		if ((MAG_STAT(home->slot[i].visitor) & MAG_BIAS_FENCE_BIT) == 0)
			mag_bias_announce(&home->slot[i], MAG_BIAS_FENCE_BIT);
}

/* Nobody is visited: owners hand in when they next come by. */
static void
slots_ask(struct mag_home *home)
{
	unsigned int i, slots = mag_thread_slots();

	if (is_fencing(home->common))
		slots_fence(home);
	for (i = 0; i < slots; i++)
		if (mag_slot_objects(&home->slot[i]) > 0)
			mag_bias_announce(&home->slot[i], MAG_BIAS_ASKED);
}

/*
 * A chain of magazines leaves the depot at once, in transit, before the first is destroyed. Under the
 * working set lock until the last one is: whoever has the lock and finds nothing to reap knows that nobody
 * else is carrying any.
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
 * Chain by chain, with the lock let go between them; no more than could be reaped when this began. With chains
 * enough the last look finds nothing, and nobody who carries some. False: there was no look, for want of the lock.
 */
static bool
list_reap(struct mag_home *home, struct mag_depot_list *list, unsigned int chains,
	  struct reaped *reaped)
{
	uint32_t left = UINT32_MAX;
	unsigned int taken;

	do {
		if (!visitor_lock(home, &home->working_set))
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

	if (!visitor_lock(home, &home->working_set))
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
		if (!visitor_lock(home, &home->working_set))
			continue;
		mag_depot_update(&home->depot);
		mag_lock_release(&home->working_set);
	}
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
		MAG_STAT_ADD(cache->reaps, 1);
	return reaped.more;
}

/* held: set when a slot had a magazine. */
static int
home_purge(struct mag_home *home, bool idle, bool *held)
{
	struct magazine_pile pile = {.count = 0};
	bool reaped = false;
	bool off = (idle || home_may_visit(home)) && slots_off(home, &pile, idle) == 0;

	/* Asked again: the sweep may have found that nobody can be visited any more. */
	if (!off && (idle || home_may_visit(home)))
		return -EAGAIN;
	if (!off) {
		slots_ask(home);
		shared_empty(home, &pile);
	}
	*held |= off && pile.count > 0;
	pile_destroy(home, &pile);
	return depot_zero_and_reap(home, &reaped) && off ? 0 : -EAGAIN;
}

/*
 * When a home does not let go, those that were purged before it are enabled again, and so is one of which the slots
 * are empty but not the depot. Where owners can only be asked, those of all homes are.
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
		MAG_STAT_ADD(cache->purges, 1);
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
			__atomic_store_n(&home->slot[i].size, rounds, __ATOMIC_RELAXED);
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

	if (!perimeter_enter_within(cache, wait_us))
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
	struct sweep sweep = sweep_make(home, MAG_BIAS_VISIT);
	struct magazine_pile pile = {.count = 0};
	unsigned int i, slots = mag_thread_slots();

	if (!visitor_lock(home, &home->visit))
		return false;
	for (i = 0; i < slots; i++)
		sweep_announce(&sweep, i);
	if (slots > 0)
		sweep_await(&sweep, deadline_in(SWEEP_US), &home->common->visits_denied);
	for (i = 0; i < slots; i++)
		if (sweep_wants(&sweep, i))
			pile_add(&pile,
				 visitor_detach(home, &home->slot[i], mag_slot_detach_previous));
	sweep_dismiss(&sweep);
	if (visitor_lock(home, &home->shared)) {
		pile_add(&pile, visitor_detach(home, &home->slot[MAG_SLOT_SHARED],
					       mag_slot_detach_previous));
		mag_lock_release(&home->shared);
	}
	mag_lock_release(&home->visit);
	pile_destroy(home, &pile);
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
		if (home_may_visit(home))
			reaped |= previous_reap(home);
		/* Not "else": that visit may have been the first to fail. */
		if (!home_may_visit(home))
			slots_ask(home);
	}
	if (reaped)
		MAG_STAT_ADD(cache->reaps, 1);
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

/* Steal */

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

/*
 * What tells that objects have moved. Whoever moves some is busy, holds a lock or is in transit until
 * it has counted them in a counter that only grows: sums of these are alike only if none has changed.
 * Objects that users free are not counted: they only add.
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
	moves->count += MAG_STAT_ACQUIRE(slot->allocs) + MAG_STAT_ACQUIRE(slot->rounds_out) +
			MAG_STAT_ACQUIRE(slot->visited_out);
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
	slot_moves(&home->slot[MAG_SLOT_SHARED], (const uint32_t *)&home->shared.holder, &moves);
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
 * Could n more objects be had, or one where some will do? The sum misses what moves while it is taken:
 * that it is too small is believed when nothing did. Else it is taken again, a few times; a refusal after
 * that counts.
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
slot_rob(struct mag_home *home, struct mag_slot *lcore, void **objects, unsigned int n,
	 struct mag_request *request)
{
	struct mag_detached previous;
	uint32_t count = mag_slot_objects(lcore), got;

	mag_request_hold(home->common, request, count);
	got = mag_slot_pick(lcore, objects, n);
	MAG_COUNT(lcore->visited_out, got);
	if (got < n) {
		previous = mag_slot_detach_previous(lcore);
		MAG_COUNT(lcore->visited_out, previous.rounds);
		mag_home_hand_over(home, previous);
	}
	mag_request_let_go(home->common, request, count - got);
	return got;
}

static unsigned int
shared_rob(struct mag_home *home, void **objects, unsigned int n, struct mag_request *request,
	   uint64_t deadline)
{
	struct mag_slot *shared = &home->slot[MAG_SLOT_SHARED];
	unsigned int got;

	if (n == 0 || mag_slot_objects(shared) == 0)
		return 0;
	if (!lock_until(&home->shared, deadline, &home->common->steal_denied))
		return 0;
	got = slot_rob(home, shared, objects, n, request);
	mag_lock_release(&home->shared);
	return got;
}

/* Announce to no more slots than are needed. */
static void
rob_announce(struct sweep *sweep, unsigned int n)
{
	struct mag_home *home = sweep->home;
	unsigned int i, slots = mag_thread_slots(), own = mag_thread_slot();
	uint64_t sum = 0;
	uint32_t count;

	for (i = 0; i < slots && sum < n; i++) {
		count = mag_slot_objects(&home->slot[i]);
		if (i == own || count == 0 || (sweep->fencing && !slot_is_fenced(home, i)))
			continue;
		sum += count;
		sweep_announce(sweep, i);
	}
}

/* One sweep, under the visit lock: returns the objects had; full magazines go to the depot. */
static unsigned int
rob(struct mag_home *home, void **objects, unsigned int n, struct mag_request *request,
    uint64_t deadline)
{
	struct sweep sweep = sweep_make(home, MAG_BIAS_VISIT);
	unsigned int i, got = 0;

	rob_announce(&sweep, n);
	if (sweep.count > 0) {
		MAG_STAT_ADD(home->common->steals, 1);
		sweep_await(&sweep, deadline, &home->common->steal_denied);
		for (i = 0; i < MAG_SLOT_SHARED; i++)
			if (sweep_wants(&sweep, i))
				got += slot_rob(home, &home->slot[i], objects + got, n - got,
						request);
		sweep_dismiss(&sweep);
	}
	got += shared_rob(home, objects + got, n - got, request, deadline);
	if (got == 0 && sweep.denied) {
		atomic_store_explicit(&home->denied_slot, sweep.denied_slot, memory_order_relaxed);
		atomic_store_explicit(&home->denied_count, mag_home_in_lcores(home),
				      memory_order_relaxed);
		atomic_store_explicit(&home->steal_rest, deadline_in(STEAL_US),
				      memory_order_relaxed);
	}
	return got;
}

/*
 * A sweep that brought nothing, because an owner is preempted inside an operation, is not
 * repeated while that owner still is: it could not succeed. Such a refusal counts.
 */
static bool
seen_in_vain(struct mag_home *home)
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
		if (!lock_until(&home->visit, deadline, &home->common->steal_denied)) {
			visit_release(cache, part);
			return 0;
		}
	return part;
}

/*
 * One sweep over each home, own node first; false when all of them would be in vain. A home that has come
 * since the visit locks were taken is another visitor's.
 */
static bool
rob_homes(struct mag_cache *cache, unsigned int locked, void **objects, unsigned int n,
	  struct mag_request *request, uint64_t deadline, unsigned int *robbed)
{
	const struct mag_homes *homes = mag_cache_homes(cache);
	unsigned int i, got, part = 0, count = homes != NULL ? homes->count : 1, vain = 0;
	struct mag_home *home;

	*robbed = 0;
	for (i = 0; i < count && *robbed < n; i++) {
		if (homes != NULL)
			part = mag_homes_order(homes)[i];
		home = mag_cache_home(cache, part);
		if (part >= locked || seen_in_vain(home)) {
			vain++;
			continue;
		}
		got = rob(home, objects + *robbed, n - *robbed, request, deadline);
		mag_home_count(home, got, 0);
		*robbed += got;
	}
	return vain < count;
}

/*
 * Under the visit locks: all of n, or what there is when nothing more can be had, or the time is over. Some sweeps are
 * made however late it is, since this thread itself may have been preempted; they wait for nobody then.
 */
static unsigned int
steal_until(struct mag_cache *cache, unsigned int locked, void **objects, unsigned int n,
	    struct mag_request *request, uint64_t deadline)
{
	unsigned int got = 0, robbed = 1, sweeps = 0;

	while ((got += mag_cache_take(cache, objects + got, n - got, request)) < n &&
	       !request->refused && mag_cache_may_visit(cache) &&
	       can_succeed(cache, n - got, request)) {
		if ((robbed == 0 || sweeps++ >= STEAL_SWEEPS) && rte_rdtsc() >= deadline) {
			MAG_STAT_ADD(cache->common.steal_denied, 1);
			break;
		}
		if (!rob_homes(cache, locked, objects + got, n - got, request, deadline, &robbed))
			break;
		got += robbed;
	}
	return got;
}

/*
 * Nobody may be visited, or not all: lcores are asked to hand in when they next come by, and what threads
 * without an lcore hold, and owners that fence, can be had at once.
 */
static unsigned int
steal_by_asking(struct mag_cache *cache, unsigned int locked, void **objects, unsigned int n,
		struct mag_request *request, uint64_t deadline)
{
	unsigned int got = mag_cache_take(cache, objects, n, request), robbed, part;
	struct mag_home *home;

	if (got == n || request->refused)
		return got;
	MAG_FOREACH_HOME(cache, part, home) {
		slots_ask(home);
		if (is_fencing(home->common) && part < locked)
			robbed = rob(home, objects + got, n - got, request, deadline);
		else
			robbed = shared_rob(home, objects + got, n - got, request, deadline);
		mag_home_count(home, robbed, 0);
		got += robbed;
	}
	return got + mag_cache_take(cache, objects + got, n - got, request);
}

unsigned int
mag_cache_steal(struct mag_cache *cache, void **objects, unsigned int n,
		struct mag_request *request)
{
	unsigned int got = 0, homes;
	uint64_t deadline;

	if (!can_succeed(cache, n, request))
		return 0;
	/* Constructors run with the visit locks held from here on. */
	request->may_wait = false;
	deadline = deadline_in(STEAL_US);
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
