/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Update and reap (spec 6 and 7, design 7).
 *
 * One EAL service works for all caches of the process. Services and service lcores change
 * under us and announce nothing, so an EAL alarm looks after it: it finds the service by its
 * name, registers it again when an application has unregistered all services, maps it to
 * the service lcores that there are now, and does the work itself when the service's
 * heartbeat has stopped.
 */

#include <errno.h>
#include <pthread.h>

#include <rte_alarm.h>
#include <rte_common.h>
#include <rte_cycles.h>
#include <rte_lcore.h>
#include <rte_memory.h>
#include <rte_service.h>
#include <rte_service_component.h>

#include "cache.h"
#include "log.h"

#define SERVICE_NAME "magazine"
/* How often the alarm looks after the service, at the least. */
#define TICK_MS 1000
/* A service lcore comes by millions of times a second, unless it is preempted or stuck. */
#define HEARTBEAT_MS 500
#define CONTENTION_LIMIT 3
/* Regions give back what they did not need for so long (spec 10). */
#define REGION_MS 13000
#define INTERVAL_MAX_MS 3600000

static struct {
	/* Written by whoever runs the service, read by the alarm. */
	_Atomic uint64_t heartbeat __attribute__((aligned(64)));
	/* TSC of the next work; the one thing that an idle callback looks at. */
	_Atomic uint64_t due __attribute__((aligned(64)));
	_Atomic bool reap_requested;
	_Atomic uint32_t override_ms;
	_Atomic uint32_t shortest_ms; /* of the intervals of all caches */
	_Atomic uint64_t updates;
	_Atomic bool armed;
	uint64_t reap_allowed;   /* TSC; under the episode lock */
	struct mag_lock episode; /* one pass at a time */
	pthread_mutex_t lock;    /* guards registering and mapping */
	pthread_mutex_t
		arming; /* one at a time cancels the alarm and sets it anew; not in the alarm */
	uint64_t stopped_at; /* TSC when the service was seen stopped, 0 = it runs; under lock */
} maint = {
	.lock = PTHREAD_MUTEX_INITIALIZER, .arming = PTHREAD_MUTEX_INITIALIZER, .due = UINT64_MAX};

static uint64_t
ms_to_tsc(uint64_t ms)
{
	return rte_get_tsc_hz() / 1000 * ms;
}

static uint32_t
interval_ms(const struct mag_cache *cache)
{
	uint32_t ms = MAG_STAT(maint.override_ms);

	return ms != 0 ? ms : cache->options.interval_ms;
}

static uint64_t
interval_of(const struct mag_cache *cache)
{
	return ms_to_tsc(interval_ms(cache));
}

/* Type to move to: smaller when more lcores came, bigger when they meet in the depot. */
static uint32_t
resize_wanted(struct mag_cache *cache, uint64_t contention)
{
	uint64_t seen = MAG_STAT(cache->contention_seen);
	uint32_t type = MAG_STAT(cache->type), bound = mag_cache_type_bound(cache);

	if (bound < type || type == 0)
		return bound;
	if (contention > seen && contention - seen > CONTENTION_LIMIT)
		return mag_cache_type_grown(cache);
	return type;
}

static void
tables_rescale(struct mag_cache *cache)
{
	struct mag_cache *home;
	unsigned int part;
	uint32_t table;

	MAG_FOREACH_HOME(cache, part, home) {
		table = mag_slab_rescale_want(&home->slab);
		if (table != 0)
			mag_slab_rescale(&home->slab, table, home->node);
	}
}

int
mag_cache_update(struct mag_cache *cache)
{
	struct mag_cache *home;
	uint64_t contention = 0;
	unsigned int part;
	uint32_t type;
	bool resize;

	if (mag_callback_depth != 0)
		return -EDEADLK;
	if (mag_cache_is_elsewhere(cache))
		return -EPERM;
	MAG_FOREACH_HOME(cache, part, home)
		contention += mag_depot_contention(&home->depot);
	type = resize_wanted(cache, contention);
	resize = type != MAG_STAT(cache->type);
	mag_cache_working_set_update(cache);
	if (!resize)
		atomic_store_explicit(&cache->contention_seen, contention, memory_order_relaxed);
	tables_rescale(cache);
	if (resize)
		mag_cache_change_type(cache, type, false);
	mag_cache_working_set_reap(cache);
	MAG_STAT_ADD(cache->updates, 1);
	MAG_STAT_ADD(maint.updates, 1);
	return 0;
}

struct pass {
	uint64_t now;
	uint64_t next;        /* earliest due of any cache */
	uint32_t interval_ms; /* shortest of any cache */
	bool reap;
};

static void
pass_visit(struct mag_cache *cache, void *arg)
{
	struct pass *pass = arg;
	uint64_t interval = interval_of(cache);

	if (mag_cache_is_gone(cache))
		return;
	if (pass->reap)
		mag_cache_reap_now(cache, false);
	if (cache->next_update == 0) {
		cache->next_update = pass->now + interval;
	} else if (pass->now >= cache->next_update) {
		mag_cache_update(cache);
		cache->next_update = rte_rdtsc() + interval;
	}
	pass->next = RTE_MIN(pass->next, cache->next_update);
	pass->interval_ms = RTE_MIN(pass->interval_ms, interval_ms(cache));
}

/* Due no later than then: a cache that was listed meanwhile may have made it earlier. */
static void
due_by(uint64_t then)
{
	uint64_t due = MAG_STAT(maint.due);

	while (then < due &&
	       !atomic_compare_exchange_weak_explicit(&maint.due, &due, then, memory_order_relaxed,
						      memory_order_relaxed))
		;
}

static void
low_visit(struct mag_cache *cache, void *arg)
{
	RTE_SET_USED(arg);
	if (!mag_cache_is_gone(cache) && cache->region->elastic != NULL)
		mag_cache_reclaim(cache, true);
}

/* Memory comes and goes with the list of caches let go; bounded: in EAL's interrupt thread. */
static uint64_t
regions_tend(bool bounded)
{
	uint32_t ms = MAG_STAT(maint.override_ms);
	struct mag_elastic_tended tended =
		mag_elastic_tend(ms_to_tsc(ms != 0 ? ms : REGION_MS), bounded);

	if (tended.low)
		mag_cache_list_walk(false, low_visit, NULL);
	/* What the regions have to spare then, the hungry one can have. */
	if (tended.low && !bounded)
		mag_elastic_relieve();
	return tended.next;
}

/* All that is due; false when somebody else is at it. */
static bool
pass_run(bool bounded)
{
	struct pass pass = {.now = rte_rdtsc(), .next = UINT64_MAX, .interval_ms = UINT32_MAX};
	bool done;

	if (mag_cache_list_held() || !mag_lock_try(&maint.episode))
		return false;
	/* acquire, release: a request made before this episode is served by it */
	pass.reap = atomic_exchange_explicit(&maint.reap_requested, false, memory_order_acq_rel) &&
		    pass.now >= maint.reap_allowed;
	/* acquire: pairs with observe_hunger(): what it was due for is seen in this pass */
	atomic_exchange_explicit(&maint.due, UINT64_MAX, memory_order_acquire);
	done = mag_cache_list_walk(false, pass_visit, &pass);
	if (done)
		atomic_store_explicit(&maint.shortest_ms, pass.interval_ms, memory_order_relaxed);
	if (done && pass.reap && pass.interval_ms != UINT32_MAX)
		maint.reap_allowed = pass.now + ms_to_tsc(pass.interval_ms);
	else if (!done && pass.reap)
		atomic_store_explicit(&maint.reap_requested, true, memory_order_release);
	mag_cache_list_sweep(false);
	due_by(regions_tend(bounded));
	due_by(done ? pass.next : pass.now);
	mag_lock_release(&maint.episode);
	return done;
}

static bool
is_due(uint64_t now)
{
	return now >= MAG_STAT(maint.due) || MAG_STAT(maint.reap_requested);
}

/* The service: called in a tight loop, so an idle call is a TSC read and two loads. */
static int32_t
service_callback(void *arg)
{
	uint64_t now = rte_rdtsc();

	RTE_SET_USED(arg);
	atomic_store_explicit(&maint.heartbeat, now, memory_order_relaxed);
	if (likely(!is_due(now)))
		return -EAGAIN;
	return pass_run(false) ? 0 : -EAGAIN;
}

static bool
service_beats(void)
{
	uint64_t beat = MAG_STAT(maint.heartbeat);

	return beat != 0 && rte_rdtsc() < beat + ms_to_tsc(HEARTBEAT_MS);
}

static int
service_register(uint32_t *id)
{
	struct rte_service_spec spec = {
		.name = SERVICE_NAME,
		.callback = service_callback,
		.capabilities = RTE_SERVICE_CAP_MT_SAFE,
		.socket_id = SOCKET_ID_ANY,
	};

	return rte_service_component_register(&spec, id);
}

/*
 * Are there service lcores? Asked of the lcores' roles, which stay readable when
 * rte_eal_cleanup() has freed everything that the service functions look at; it first takes
 * the roles away.
 */
static bool
service_lcores_exist(void)
{
	unsigned int i;

	for (i = 0; i < RTE_MAX_LCORE; i++)
		if (rte_eal_lcore_role(i) == ROLE_SERVICE)
			return true;
	return false;
}

/*
 * Who unregisters a service stops it and waits until no lcore is in it; to start it
 * meanwhile would take it away under an lcore's feet. So one that was stopped stays so for a tick.
 */
static void
service_start(uint32_t id, bool registered)
{
	uint64_t now = rte_rdtsc();

	if (rte_service_runstate_get(id) == 1) {
		maint.stopped_at = 0;
	} else if (registered ||
		   (maint.stopped_at != 0 && now >= maint.stopped_at + ms_to_tsc(TICK_MS))) {
		rte_service_component_runstate_set(id, 1);
		rte_service_runstate_set(id, 1);
		maint.stopped_at = 0;
	} else if (maint.stopped_at == 0) {
		maint.stopped_at = now;
	}
}

/* Registered, started, and on all service lcores that there are now. */
static void
service_tend(bool first)
{
	uint32_t lcores[RTE_MAX_LCORE], id;
	bool registered;
	int32_t n, i;

	if (!first && !service_lcores_exist())
		return;
	pthread_mutex_lock(&maint.lock);
	registered = rte_service_get_by_name(SERVICE_NAME, &id) != 0;
	if (!registered || service_register(&id) == 0) {
		n = rte_service_lcore_list(lcores, RTE_DIM(lcores));
		service_start(id, registered);
		for (i = 0; i < n; i++)
			if (rte_service_map_lcore_get(id, lcores[i]) == 0)
				rte_service_map_lcore_set(id, lcores[i], 1);
	}
	pthread_mutex_unlock(&maint.lock);
}

/* The alarm follows the intervals while the work is its own. */
static uint32_t
tick_ms(void)
{
	uint32_t shortest = MAG_STAT(maint.shortest_ms);

	return service_beats() || shortest == 0 ? TICK_MS : RTE_MIN(shortest, (uint32_t)TICK_MS);
}

static void alarm_callback(void *arg);

/* The alarm counts as armed from here on, also while it works. */
static void
alarm_set(void)
{
	int ret = rte_eal_alarm_set(tick_ms() * 1000ull, alarm_callback, NULL);

	if (ret == 0)
		return;
	atomic_store_explicit(&maint.armed, false, memory_order_relaxed);
	MAG_LOG(WARNING, "EAL alarm: %s: caches are updated by a service lcore only",
		strerror(-ret));
}

static void
alarm_callback(void *arg)
{
	RTE_SET_USED(arg);
	service_tend(false);
	if (!service_beats() && is_due(rte_rdtsc()))
		pass_run(true);
	/* When no cache is left, the next one arms the alarm again. */
	if (mag_cache_listed() > 0)
		alarm_set();
	else
		atomic_store_explicit(&maint.armed, false, memory_order_relaxed);
}

static void
alarm_arm(void)
{
	if (!atomic_exchange_explicit(&maint.armed, true, memory_order_relaxed))
		alarm_set();
}

/* Waits for a callback that runs: not in it. */
static void
alarm_disarm(void)
{
	rte_eal_alarm_cancel(alarm_callback, NULL);
	atomic_store_explicit(&maint.armed, false, memory_order_relaxed);
}

/* The next pass finds out what is due when; the alarm comes as soon as the shortest interval. */
static void
restart(uint32_t shortest_ms)
{
	atomic_store_explicit(&maint.due, 0, memory_order_relaxed);
	atomic_store_explicit(&maint.shortest_ms, shortest_ms, memory_order_relaxed);
	pthread_mutex_lock(&maint.arming);
	alarm_disarm();
	alarm_arm();
	pthread_mutex_unlock(&maint.arming);
}

/* A cache was listed. */
static void
observe(struct mag_cache *cache)
{
	uint32_t shortest = MAG_STAT(maint.shortest_ms), mine = interval_ms(cache);

	service_tend(true);
	restart(shortest == 0 ? mine : RTE_MIN(shortest, mine));
}

/* The last cache is gone: no alarm runs any more when this returns. */
static void
observe_last(void)
{
	pthread_mutex_lock(&maint.arming);
	alarm_disarm();
	if (mag_cache_listed() > 0)
		alarm_arm();
	pthread_mutex_unlock(&maint.arming);
}

/* On the data path: a part of a region is hungry. */
static void
observe_hunger(void)
{
	/* release: pairs with the exchange in pass_run() */
	atomic_store_explicit(&maint.due, 0, memory_order_release);
}

RTE_INIT(mag_maint_load)
{
	/* A second copy of the library may find the first one's pointer here. */
	if (mag_cache_observer != NULL)
		return;
	mag_cache_observer = observe;
	mag_cache_last_observer = observe_last;
	mag_elastic_observer = observe_hunger;
}

void
mag_reap_request(void)
{
	if (mag_cache_list_held())
		return;
	/* release: pairs with the exchange in pass_run() */
	atomic_store_explicit(&maint.reap_requested, true, memory_order_release);
}

static void
restart_visit(struct mag_cache *cache, void *arg)
{
	RTE_SET_USED(arg);
	cache->next_update = rte_rdtsc() + interval_of(cache);
}

int
mag_maint_interval(unsigned int interval_ms)
{
	if (interval_ms > INTERVAL_MAX_MS) {
		MAG_LOG(ERR, "update interval of %u ms: must be 0 (restore) or 1 to %u ms",
			interval_ms, INTERVAL_MAX_MS);
		return -EINVAL;
	}
	if (mag_cache_may_deadlock()) {
		MAG_LOG(ERR, "update interval of %u ms: not from a cache's callback", interval_ms);
		return -EDEADLK;
	}
	atomic_store_explicit(&maint.override_ms, interval_ms, memory_order_relaxed);
	mag_cache_walk(restart_visit, NULL);
	if (mag_cache_listed() > 0)
		restart(interval_ms != 0 ? interval_ms : TICK_MS);
	return 0;
}

enum mag_maint_runner
mag_maint_runner(void)
{
	if (service_beats())
		return MAG_MAINT_SERVICE;
	return MAG_STAT(maint.armed) ? MAG_MAINT_ALARM : MAG_MAINT_NONE;
}

uint64_t
mag_maint_updates(void)
{
	return MAG_STAT(maint.updates);
}
