/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A pass of maintenance.
 *
 * `due` is the earliest TSC at which some cache wants its update; the data path sets it to 0 when a
 * region wants memory, and a new cache does, so that the next pass finds out. A pass takes `due`
 * first and puts the next time there last: what comes in between is not lost.
 *
 * States of a cache in a pass: not due; due, and updated; reaping, when a reap was larger than one
 * pass does of each list, so that the next pass follows at once. A reap request reclaims all
 * caches, at most once an interval. While memory is low, caches whose memory the system can have
 * are reclaimed when they are due, at most once a second.
 *
 * The end of EAL: rte_eal_cleanup() takes EAL's memory, and all pools with it, and tells nobody.
 * The control thread holds that memory (hold.h) while it works on a pool, and looks whether the
 * pool is still mapped. No memory may come or go meanwhile, so tables of addresses are replaced
 * before. Caches of the library are worked on without that, because callbacks, and objects that go
 * back to EAL's heap, may need memory to come or go.
 *
 * Locks: episodes.lock excludes passes; under it the list of caches is walked, which its own lock
 * guards; both are tried, not waited for.
 *
 * In a debugger: mag_pass_due beside the TSC, episodes.reap, episodes.lock.holder; next_update and
 * next_purge of a cache.
 */

#include <stdatomic.h>

#include <rte_common.h>
#include <rte_cycles.h>

#include "base/counter.h"
#include "base/deadline.h"
#include "base/eal_end.h"
#include "base/hold.h"
#include "base/lock.h"
#include "base/meta.h"
#include "base/peer.h"
#include "base/pressure.h"
#include "control/homes.h"
#include "control/registry.h"
#include "mag_maint.h"
#include "mag_stats.h"
#include "outside/mark.h"
#include "outside/pass.h"
#include "outside/update.h"
#include "slot/hands.h"
#include "slot/thread.h"
#include "sources/elastic_service.h"
#include "visits/purge.h"
#include "visits/recover.h"
#include "visits/steal.h"

/* Memory is low for so long after there was none for somebody. */
#define LOW_MS 1000
/*
 * Chains of magazines that a pass reaps of each list; then other caches, and whatever else a
 * service lcore does or waits for the lock of EAL's memory, have their turn.
 */
#define REAP_CHAINS 8
/* Regions give back what they did not need for so long. */
#define REGION_MS 13000

_Atomic uint64_t mag_pass_due MAG_ALIGNED(64) = UINT64_MAX;

static struct {
	_Atomic bool reap; /* a reclaim of all caches was requested */
	_Atomic bool off;  /* no pass begins */
	_Atomic uint32_t override_ms;
	uint64_t reap_allowed; /* TSC; under the lock */
	uint64_t low_until;    /* TSC; under the lock */
	bool left;             /* by a thread that ended (hands.h); under the lock */
	struct mag_lock lock;  /* one pass at a time */
} episodes;

static uint32_t
interval_ms(const struct mag_cache *cache)
{
	uint32_t ms = MAG_STAT(episodes.override_ms);

	return ms != 0 ? ms : MAG_STAT(cache->options.interval_ms);
}

static uint64_t
interval_of(const struct mag_cache *cache)
{
	return mag_ms_to_tsc(interval_ms(cache));
}

struct pass {
	uint64_t now;
	uint64_t next;        /* earliest due of any cache */
	uint32_t interval_ms; /* shortest of any cache */
	uint32_t pressure;    /* of the system's memory, in hundredths of a percent */
	bool reap;
	bool trim;    /* what regions have to spare goes back to the system */
	bool guarded; /* not on a service lcore, which rte_eal_cleanup() waits for */
	bool ended;   /* before its time: EAL has ended, or is about to, or another one works */
	bool due;     /* some cache was due */
};

/*
 * Keep EAL's end away from a cache. No memory may come or go until guard_end(), which for caches of
 * the library is at once. False: it is too late, or another process does so at this moment.
 */
static bool
guard_begin(struct pass *pass, const struct mag_cache *cache)
{
	bool held;

	if (!pass->guarded)
		return true;
	/* EAL may still end in the next instant. */
	if (!pass->ended && !mag_eal_end_has_begun() && mag_meta_is_mapped(cache)) {
		held = mag_hold_begin();
		if (held && mag_meta_is_mapped(cache))
			return true;
		if (held)
			mag_hold_end();
	}
	pass->ended = true;
	return false;
}

static void
guard_end(const struct pass *pass)
{
	if (pass->guarded)
		mag_hold_end();
}

/* Under the guard; true: all is done, with the guard held. */
static bool
pass_prepare(struct pass *pass, struct mag_cache *cache, bool due)
{
	if (!due || !mag_update_wants_tables(cache))
		return true;
	guard_end(pass);
	mag_update_tables(cache);
	return guard_begin(pass, cache);
}

/* There was none for somebody a moment ago, or tasks of the system wait for it. */
static bool
memory_is_low(const struct pass *pass, const struct mag_cache *cache)
{
	uint32_t percent = MAG_STAT(cache->options.pressure);

	return pass->now < episodes.low_until || (percent != 0 && pass->pressure >= percent * 100);
}

/* What its slabs get, the system can have: a pool's memory is rte_mempool's. */
static bool
is_of_the_system(const struct mag_cache *cache)
{
	return cache->region->elastic != NULL || cache->region->mode & MAG_REGION_PSEUDO;
}

/* A reap that is larger than a pass goes on in the next one, at once. */
static void
pass_reap(struct pass *pass, struct mag_cache *cache, bool due)
{
	bool low = memory_is_low(pass, cache), purge;

	purge = due && low && is_of_the_system(cache) && pass->now >= cache->next_purge;
	/*
	 * Of a pool a reap wins no memory, which is rte_mempool's, and costs the next gets a turn
	 * in the slabs. Who wants its objects finds them in the depot.
	 */
	if (due)
		mag_update_magazines(cache, cache->flags & MAG_CACHE_POOL ? 0 : REAP_CHAINS);
	else if (MAG_STAT(cache->reaping))
		mag_cache_working_set_reap(cache, REAP_CHAINS);
	if (purge)
		cache->next_purge = pass->now + mag_ms_to_tsc(LOW_MS);
	if (pass->reap || purge)
		mag_cache_reclaim(cache, low);
	pass->trim |= purge;
	if (MAG_STAT(cache->reaping))
		pass->next = pass->now;
}

static void
pass_work(struct pass *pass, struct mag_cache *cache, bool due)
{
	uint64_t interval = interval_of(cache);

	pass_reap(pass, cache, due);
	if (due)
		cache->next_update = rte_rdtsc() + interval;
	else if (cache->next_update == 0)
		cache->next_update = pass->now + interval;
	pass->next = RTE_MIN(pass->next, cache->next_update);
	pass->interval_ms = RTE_MIN(pass->interval_ms, interval_ms(cache));
}

static void
pass_visit(struct mag_cache *cache, void *arg)
{
	struct pass *pass = arg;
	bool due, pool, marked, crossed, reserve;
	uint64_t available;

	if (!guard_begin(pass, cache))
		return;
	if (mag_cache_is_gone(cache)) {
		guard_end(pass);
		return;
	}
	due = cache->next_update != 0 && pass->now >= cache->next_update;
	pass->due |= due;
	if (!pass_prepare(pass, cache, due))
		return;
	marked = MAG_STAT(cache->marked);
	crossed = marked && mag_mark_look(cache, &available);
	pool = cache->flags & MAG_CACHE_POOL;
	reserve = cache->pile != NULL;
	if (!pool) {
		guard_end(pass);
		mag_homes_grow_arenas(cache);
	}
	pass_work(pass, cache, due);
	mag_steal_for_reserve(cache);
	if (pool)
		guard_end(pass);
	if (crossed)
		mag_mark_tell(cache, available);
	if (marked || reserve)
		pass->next = RTE_MIN(pass->next, pass->now + mag_ms_to_tsc(MAG_MARK_MS));
}

/* Due no later than then: a cache that was listed meanwhile may have made it earlier. */
static void
due_by(uint64_t then)
{
	uint64_t due = MAG_STAT(mag_pass_due);

	while (then < due &&
	       !atomic_compare_exchange_weak_explicit(&mag_pass_due, &due, then,
						      memory_order_relaxed, memory_order_relaxed))
		;
}

static void
low_visit(struct mag_cache *cache, void *arg)
{
	RTE_SET_USED(arg);
	if (!mag_cache_is_gone(cache) && is_of_the_system(cache))
		mag_cache_reclaim(cache, true);
}

/* Memory comes and goes with the list of caches let go. */
static uint64_t
regions_service(bool trim)
{
	uint32_t ms = MAG_STAT(episodes.override_ms);
	struct mag_elastic_serviced serviced =
		mag_elastic_service(mag_ms_to_tsc(ms != 0 ? ms : REGION_MS));

	if (serviced.low) {
		episodes.low_until = rte_rdtsc() + mag_ms_to_tsc(LOW_MS);
		mag_cache_list_walk(false, low_visit, NULL);
	}
	/* What regions have to spare then goes to the one that wants more, or to the system. */
	if (serviced.low || trim)
		mag_elastic_trim_all();
	return serviced.next;
}

/* Processes that died: the list of caches is walked for each. */

struct burial {
	uint32_t process;
	bool all; /* of its slots, in all caches, are in order */
};

static void
recover_visit(struct mag_cache *cache, void *arg)
{
	struct burial *burial = arg;

	if (!mag_cache_is_gone(cache))
		burial->all &= mag_recover(cache, burial->process);
}

static bool
recover(uint32_t process)
{
	struct burial burial = {.process = process, .all = true};

	return mag_cache_list_walk(false, recover_visit, &burial) && burial.all;
}

static void
left_visit(struct mag_cache *cache, void *arg)
{
	bool pool = cache->flags & MAG_CACHE_POOL;
	struct pass *pass = arg;

	if (!guard_begin(pass, cache))
		return;
	/* As in pass_visit(). */
	if (!pool)
		guard_end(pass);
	if (!mag_cache_is_gone(cache))
		episodes.left |= !mag_recover(cache, MAG_RECOVER_THREAD);
	if (pool)
		guard_end(pass);
}

/* Threads of this process that ended in a callback. */
static void
pass_mend(struct pass *pass)
{
	if (!mag_hands_were_left() && !(pass->due && episodes.left))
		return;
	episodes.left = false;
	if (!mag_cache_list_walk(false, left_visit, pass))
		episodes.left = true;
}

/* Processes, when updates are due. No memory comes or goes here. */
static void
pass_bury(struct pass *pass)
{
	pass_mend(pass);
	if (!pass->due)
		return;
	if (pass->guarded) {
		if (mag_eal_end_has_begun() || !mag_peers_are_mapped() || !mag_hold_begin())
			return;
	}
	if (mag_peers_are_mapped())
		mag_peers_bury(recover, mag_thread_release_all);
	guard_end(pass);
}

bool
mag_pass_run(bool guarded)
{
	struct pass pass = {
		.now = rte_rdtsc(),
		.next = UINT64_MAX,
		.interval_ms = UINT32_MAX,
		.guarded = guarded,
	};
	bool done;

	if (mag_cache_list_held() || !mag_lock_try(&episodes.lock))
		return false;
	/* Under the lock: mag_pass_await() waits for it after mag_pass_forbid(). */
	if (MAG_STAT(episodes.off)) {
		mag_lock_release(&episodes.lock);
		return false;
	}
	/*
	 * acquire: pairs with mag_pass_make_due(): what it was due for, a requested reap too, is
	 * seen in this pass
	 */
	atomic_exchange_explicit(&mag_pass_due, UINT64_MAX, memory_order_acquire);
	pass.reap = atomic_exchange_explicit(&episodes.reap, false, memory_order_relaxed) &&
		    pass.now >= episodes.reap_allowed;
	pass.pressure = mag_pressure();
	done = mag_cache_list_walk(false, pass_visit, &pass);
	if (done && pass.reap && pass.interval_ms != UINT32_MAX)
		episodes.reap_allowed = pass.now + mag_ms_to_tsc(pass.interval_ms);
	else if (!done && pass.reap)
		atomic_store_explicit(&episodes.reap, true, memory_order_relaxed);
	done = done && !pass.ended;
	if (done) {
		pass_bury(&pass);
		mag_cache_list_sweep(false);
		due_by(regions_service(pass.trim));
	}
	due_by(done ? pass.next : pass.now);
	mag_lock_release(&episodes.lock);
	return done;
}

void
mag_pass_make_due(void)
{
	/* release: pairs with the exchange in mag_pass_run() */
	atomic_store_explicit(&mag_pass_due, 0, memory_order_release);
}

void
mag_pass_request_reap(void)
{
	atomic_store_explicit(&episodes.reap, true, memory_order_relaxed);
	mag_pass_make_due();
}

void
mag_pass_forbid(bool forbidden)
{
	atomic_store_explicit(&episodes.off, forbidden, memory_order_relaxed);
}

bool
mag_pass_is_forbidden(void)
{
	return MAG_STAT(episodes.off);
}

bool
mag_pass_between(void (*what)(void))
{
	if (!mag_lock_try(&episodes.lock))
		return false;
	what();
	mag_lock_release(&episodes.lock);
	return true;
}

void
mag_pass_await(void)
{
	mag_lock_wait(&episodes.lock);
	mag_lock_release(&episodes.lock);
}

static void
restart_visit(struct mag_cache *cache, void *arg)
{
	RTE_SET_USED(arg);
	cache->next_update = rte_rdtsc() + interval_of(cache);
}

void
mag_pass_override(uint32_t interval_ms)
{
	atomic_store_explicit(&episodes.override_ms, interval_ms, memory_order_relaxed);
	mag_cache_walk(restart_visit, NULL);
}

void
mag_pass_forked(void)
{
	atomic_store_explicit(&episodes.reap, false, memory_order_relaxed);
	atomic_store_explicit(&mag_pass_due, UINT64_MAX, memory_order_relaxed);
	atomic_store_explicit(&episodes.lock.holder, 0, memory_order_relaxed);
}
