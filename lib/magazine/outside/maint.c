/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Update and reap.
 *
 * A control thread of ours sleeps until something is due. It then lets a service lcore do the work:
 * it registers one EAL service for all caches of the process if there is none, maps it to the
 * service lcores that there are now, and turns its run state on until the work is done, so that an
 * application that stops a service lcore hardly ever finds it busy because of us. Where no service
 * lcore takes the work up, the thread does it itself. It begins with the first cache and ends with
 * the last.
 *
 * rte_eal_cleanup() tells nobody that it ends EAL. So all that the thread needs lies in the
 * process's own memory; it looks whether EAL is still there before each turn, and holds EAL's
 * memory lock, whose write side rte_eal_cleanup() takes, while it works on a pool. Caches of the
 * library are worked on without that lock, because callbacks, and objects that go back to EAL's
 * heap, may need its write side.
 */

#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_eal_memconfig.h>
#include <rte_lcore.h>
#include <rte_memory.h>
#include <rte_service.h>
#include <rte_service_component.h>

#include "base/compat.h"
#include "base/log.h"
#include "base/pressure.h"
#include "control/registry.h"
#include "control/sizing.h"
#include "home/object.h"
#include "mag_maint.h"
#include "mag_stats.h"
#include "outside/maint.h"
#include "outside/strangers.h"
#include "sources/elastic_service.h"
#include "visits/purge.h"

#define SERVICE_NAME "magazine"
/* A service lcore comes by millions of times a second, unless it is preempted, stopped or stuck. */
#define HANDOVER_MS 50
/* From a turn that found the list of caches taken to the next. */
#define REST_MS 10
/*
 * With elastic regions: the data path leaves word that memory is wanted, and makes no system call
 * to wake anybody. Their reserve lasts for so long.
 */
#define POLL_MS 10
/*
 * The end of EAL takes milliseconds; a socket of EAL's that is gone for so long was removed by
 * somebody else.
 */
#define END_MS 10000
/* Memory is low for so long after there was none for somebody. */
#define LOW_MS 1000
/*
 * Chains of magazines that a pass reaps of each list; then other caches, and whatever else a
 * service lcore does or waits for the lock of EAL's memory, have their turn.
 */
#define REAP_CHAINS 8
/* Regions give back what they did not need for so long. */
#define REGION_MS 13000
#define INTERVAL_MAX_MS 3600000

static struct {
	/* TSC of the next work; the one thing that an idle callback looks at. */
	_Atomic uint64_t due __attribute__((aligned(64)));
	_Atomic bool reap_requested;
	_Atomic uint32_t override_ms;
	_Atomic uint64_t updates;
	_Atomic uint64_t begun, ended; /* passes of service lcores */
	_Atomic uint32_t runner;       /* enum mag_maint_runner: who made the last pass */
	uint64_t reap_allowed;         /* TSC; under the episode lock */
	uint64_t low_until;            /* TSC; under the episode lock */
	struct mag_lock episode;       /* one pass at a time */
	pthread_mutex_t service;       /* guards registering and mapping */
	pthread_mutex_t lock;          /* guards starting and ending the thread */
	pthread_t thread;
	_Atomic bool running;  /* written under the lock */
	_Atomic bool stop;     /* the thread is to end */
	sem_t bell;            /* wakes the thread; a signal handler may ring it */
	char socket[PATH_MAX]; /* EAL's; empty: it has none; of the thread */
	uint64_t
		socket_missed; /* TSC when it was first seen gone, 0 = it is there; of the thread */
} maint = {
	.service = PTHREAD_MUTEX_INITIALIZER, .lock = PTHREAD_MUTEX_INITIALIZER, .due = UINT64_MAX};

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
	uint32_t type = MAG_STAT(cache->common.type), bound = mag_cache_type_bound(cache);

	if (bound < type || type == 0)
		return bound;
	if (contention > seen && contention - seen > cache->options.contention)
		return mag_cache_type_grown(cache);
	return type;
}

static bool
tables_are_wrong(struct mag_cache *cache)
{
	struct mag_home *home;
	unsigned int part;

	MAG_FOREACH_HOME(cache, part, home)
		if (mag_slab_rescale_want(&home->slab) != 0)
			return true;
	return false;
}

/* New tables come from EAL's heap. */
static void
tables_rescale(struct mag_cache *cache)
{
	struct mag_home *home;
	unsigned int part;
	uint32_t table;

	MAG_FOREACH_HOME(cache, part, home) {
		table = mag_slab_rescale_want(&home->slab);
		if (table != 0)
			mag_slab_rescale(&home->slab, table, home->node);
	}
}

/* All of an update but the tables. */
static void
magazines_update(struct mag_cache *cache, unsigned int chains)
{
	struct mag_home *home;
	uint64_t contention = 0;
	unsigned int part;
	uint32_t type;
	bool resize;

	MAG_FOREACH_HOME(cache, part, home)
		contention += mag_depot_contention(&home->depot);
	type = resize_wanted(cache, contention);
	resize = type != MAG_STAT(cache->common.type);
	mag_cache_working_set_update(cache);
	if (!resize)
		atomic_store_explicit(&cache->contention_seen, contention, memory_order_relaxed);
	if (resize)
		mag_cache_change_type(cache, type, false);
	mag_cache_working_set_reap(cache, chains);
	mag_strangers_look(cache);
	MAG_STAT_ADD(cache->updates, 1);
	MAG_STAT_ADD(maint.updates, 1);
}

int
mag_cache_update(struct mag_cache *cache)
{
	if (mag_callback_depth != 0)
		return -EDEADLK;
	if (mag_cache_is_elsewhere(cache))
		return -EPERM;
	tables_rescale(cache);
	magazines_update(cache, UINT_MAX);
	return 0;
}

/* The end of EAL */

/*
 * rte_eal_cleanup() closes the socket of EAL's processes well before it takes memory away. Where
 * EAL has one, its file tells that the end has begun.
 */
static void
eal_socket_find(void)
{
	char pattern[PATH_MAX];
	glob_t found;

	*maint.socket = '\0';
	maint.socket_missed = 0;
	if (rte_eal_process_type() == RTE_PROC_PRIMARY)
		snprintf(pattern, sizeof(pattern), "%s/mp_socket", rte_eal_get_runtime_dir());
	else
		snprintf(pattern, sizeof(pattern), "%s/mp_socket_%d_*", rte_eal_get_runtime_dir(),
			 getpid());
	if (glob(pattern, 0, NULL, &found) != 0)
		return;
	if (found.gl_pathc == 1 && strlen(found.gl_pathv[0]) < sizeof(maint.socket))
		strcpy(maint.socket, found.gl_pathv[0]);
	globfree(&found);
}

static bool
eal_socket_is_gone(void)
{
	uint64_t now = rte_rdtsc();

	if (*maint.socket == '\0' || access(maint.socket, F_OK) == 0) {
		maint.socket_missed = 0;
		return false;
	}
	if (maint.socket_missed == 0)
		maint.socket_missed = now;
	if (now - maint.socket_missed < ms_to_tsc(END_MS))
		return true;
	/* Somebody tidied up: it tells nothing any more. */
	*maint.socket = '\0';
	return false;
}

/* It may still end in the next instant. */
static bool
eal_is_there(const struct mag_cache *cache)
{
	return !eal_socket_is_gone() && mag_cache_is_mapped(cache);
}

struct pass {
	uint64_t now;
	uint64_t next;        /* earliest due of any cache */
	uint32_t interval_ms; /* shortest of any cache */
	uint32_t pressure;    /* of the system's memory, in hundredths of a percent */
	bool reap;
	bool trim;    /* what regions have to spare goes back to the system */
	bool guarded; /* not on a service lcore, which rte_eal_cleanup() waits for */
	bool ended;   /* EAL has ended, or is about to */
};

/*
 * Keep EAL's end away from a cache. No memory may come or go until guard_end(), which for caches of
 * the library is at once. False: it is too late.
 */
static bool
guard_begin(struct pass *pass, const struct mag_cache *cache)
{
	if (!pass->guarded)
		return true;
	if (!pass->ended && eal_is_there(cache)) {
		rte_mcfg_mem_read_lock();
		if (mag_cache_is_mapped(cache))
			return true;
		rte_mcfg_mem_read_unlock();
	}
	pass->ended = true;
	return false;
}

static void
guard_end(const struct pass *pass)
{
	if (pass->guarded)
		rte_mcfg_mem_read_unlock();
}

/* Under the guard; true: all is done, with the guard held. */
static bool
pass_prepare(struct pass *pass, struct mag_cache *cache, bool due)
{
	if (!due || !tables_are_wrong(cache))
		return true;
	guard_end(pass);
	tables_rescale(cache);
	return guard_begin(pass, cache);
}

/* There was none for somebody a moment ago, or tasks of the system wait for it. */
static bool
memory_is_low(const struct pass *pass, const struct mag_cache *cache)
{
	uint32_t percent = cache->options.pressure;

	return pass->now < maint.low_until || (percent != 0 && pass->pressure >= percent * 100);
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
	if (due)
		magazines_update(cache, REAP_CHAINS);
	else if (MAG_STAT(cache->reaping))
		mag_cache_working_set_reap(cache, REAP_CHAINS);
	if (purge)
		cache->next_purge = pass->now + ms_to_tsc(LOW_MS);
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
	bool due, pool;

	if (!guard_begin(pass, cache))
		return;
	if (mag_cache_is_gone(cache)) {
		guard_end(pass);
		return;
	}
	due = cache->next_update != 0 && pass->now >= cache->next_update;
	if (!pass_prepare(pass, cache, due))
		return;
	pool = cache->flags & MAG_CACHE_POOL;
	if (!pool)
		guard_end(pass);
	pass_work(pass, cache, due);
	if (pool)
		guard_end(pass);
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
	if (!mag_cache_is_gone(cache) && is_of_the_system(cache))
		mag_cache_reclaim(cache, true);
}

/* Memory comes and goes with the list of caches let go. */
static uint64_t
regions_service(bool trim)
{
	uint32_t ms = MAG_STAT(maint.override_ms);
	struct mag_elastic_serviced serviced =
		mag_elastic_service(ms_to_tsc(ms != 0 ? ms : REGION_MS));

	if (serviced.low) {
		maint.low_until = rte_rdtsc() + ms_to_tsc(LOW_MS);
		mag_cache_list_walk(false, low_visit, NULL);
	}
	/* What regions have to spare then goes to the one that wants more, or to the system. */
	if (serviced.low || trim)
		mag_elastic_trim_all();
	return serviced.next;
}

/* All that is due; false: somebody else is at it, maintenance was stopped, or EAL ends. */
static bool
pass_run(enum mag_maint_runner runner)
{
	struct pass pass = {
		.now = rte_rdtsc(),
		.next = UINT64_MAX,
		.interval_ms = UINT32_MAX,
		.guarded = runner == MAG_MAINT_THREAD,
	};
	bool done;

	if (mag_cache_list_held() || !mag_lock_try(&maint.episode))
		return false;
	/* Under the lock: mag_maint_stop() waits for it when it has said so. */
	if (MAG_STAT(maint.stop)) {
		mag_lock_release(&maint.episode);
		return false;
	}
	/* acquire, release: a request made before this episode is served by it */
	pass.reap = atomic_exchange_explicit(&maint.reap_requested, false, memory_order_acq_rel) &&
		    pass.now >= maint.reap_allowed;
	/* acquire: pairs with observe_want(): what it was due for is seen in this pass */
	atomic_exchange_explicit(&maint.due, UINT64_MAX, memory_order_acquire);
	pass.pressure = mag_pressure();
	done = mag_cache_list_walk(false, pass_visit, &pass);
	if (done && pass.reap && pass.interval_ms != UINT32_MAX)
		maint.reap_allowed = pass.now + ms_to_tsc(pass.interval_ms);
	else if (!done && pass.reap)
		atomic_store_explicit(&maint.reap_requested, true, memory_order_release);
	done = done && !pass.ended;
	if (done) {
		mag_cache_list_sweep(false);
		due_by(regions_service(pass.trim));
	}
	due_by(done ? pass.next : pass.now);
	if (done)
		atomic_store_explicit(&maint.runner, runner, memory_order_relaxed);
	mag_lock_release(&maint.episode);
	return done;
}

static bool
is_due(uint64_t now)
{
	return now >= MAG_STAT(maint.due) || MAG_STAT(maint.reap_requested);
}

/* The service */

static void
bell_ring(void)
{
	/* It fails when the bell has rung too often already. */
	(void)sem_post(&maint.bell);
}

/* The service: called in a tight loop while its run state is on. */
static int32_t
service_callback(void *arg)
{
	RTE_SET_USED(arg);
	if (likely(!is_due(rte_rdtsc())) || MAG_STAT(maint.stop))
		return -EAGAIN;
	MAG_STAT_ADD(maint.begun, 1);
	if (!pass_run(MAG_MAINT_SERVICE))
		return -EAGAIN;
	MAG_STAT_ADD(maint.ended, 1);
	bell_ring();
	return 0;
}

/* Registered, with the application's run state on: it may be turned off, and stays so then. */
static int
service_register(uint32_t *id)
{
	struct rte_service_spec spec = {
		.name = SERVICE_NAME,
		.callback = service_callback,
		.capabilities = RTE_SERVICE_CAP_MT_SAFE,
		.socket_id = SOCKET_ID_ANY,
	};
	int ret = rte_service_component_register(&spec, id);

	return ret != 0 ? ret : rte_service_runstate_set(*id, 1);
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
 * Registered, and on all service lcores that there are now. False: there is no service to be had.
 */
static bool
service_find(uint32_t *id)
{
	uint32_t lcores[RTE_MAX_LCORE];
	int32_t n, i;
	bool found;

	pthread_mutex_lock(&maint.service);
	found = rte_service_get_by_name(SERVICE_NAME, id) == 0 || service_register(id) == 0;
	n = found ? rte_service_lcore_list(lcores, RTE_DIM(lcores)) : 0;
	for (i = 0; i < n; i++)
		if (rte_service_map_lcore_get(*id, lcores[i]) == 0)
			rte_service_map_lcore_set(*id, lcores[i], 1);
	pthread_mutex_unlock(&maint.service);
	return found;
}

/* Looked up each time: the application may have unregistered it, and its id may be another's. */
static void
service_switch(bool on)
{
	uint32_t id;

	if (service_lcores_exist() && rte_service_get_by_name(SERVICE_NAME, &id) == 0)
		rte_service_component_runstate_set(id, on);
}

/* The thread */

/* Until the bell rings, or for so long; UINT64_MAX: for ever. */
static void
bell_wait(uint64_t ms)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	/* An hour at a time. */
	ms = RTE_MIN(ms, (uint64_t)INTERVAL_MAX_MS);
	until.tv_nsec += ms % 1000 * 1000000;
	until.tv_sec += ms / 1000 + until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	if (sem_clockwait(&maint.bell, CLOCK_MONOTONIC, &until) == 0)
		while (sem_trywait(&maint.bell) == 0)
			;
}

/* Milliseconds, rounded up, until something may be due. */
static uint64_t
sleep_ms(void)
{
	uint64_t now = rte_rdtsc(), due = MAG_STAT(maint.due), ms = UINT64_MAX;

	if (due != UINT64_MAX)
		ms = due > now ? (due - now) / ms_to_tsc(1) + 1 : 0;
	return mag_elastic_listed() > 0 ? RTE_MIN(ms, (uint64_t)POLL_MS) : ms;
}

/* A service lcore makes a pass; false: none has begun to within the bound. */
static bool
service_serves(void)
{
	uint64_t begun = MAG_STAT(maint.begun), ended = MAG_STAT(maint.ended), before;
	uint32_t id;

	if (!service_lcores_exist() || !service_find(&id))
		return false;
	service_switch(true);
	if (rte_service_runstate_get(id) == 1)
		do {
			before = begun;
			bell_wait(HANDOVER_MS);
			begun = MAG_STAT(maint.begun);
		} while (MAG_STAT(maint.ended) == ended && begun != before &&
			 !MAG_STAT(maint.stop));
	service_switch(false);
	return MAG_STAT(maint.ended) != ended;
}

/* False: the thread has nothing to do any more, because EAL has ended. */
static bool
thread_turn(void)
{
	const struct mag_cache *first;

	/* Not waited for: who has the list may want to end this thread, or fork. */
	if (!mag_cache_list_first(&first))
		bell_wait(REST_MS);
	else if (first == NULL || !is_due(rte_rdtsc()))
		bell_wait(first == NULL ? UINT64_MAX : sleep_ms());
	else if (!mag_cache_is_mapped(first))
		return false;
	else if (eal_socket_is_gone() || (!service_serves() && !pass_run(MAG_MAINT_THREAD)))
		bell_wait(REST_MS);
	return true;
}

static void *
thread_main(void *arg)
{
	sigset_t all;

	RTE_SET_USED(arg);
	/* The application's signals are its own threads'. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	eal_socket_find();
	while (!MAG_STAT(maint.stop) && thread_turn())
		;
	return NULL;
}

/* Under the lock. */
static void
thread_start(void)
{
	int ret;

	atomic_store_explicit(&maint.stop, false, memory_order_relaxed);
	ret = mag_ctrl_thread_create(&maint.thread, "magazine", thread_main, NULL);
	if (ret == 0)
		atomic_store_explicit(&maint.running, true, memory_order_relaxed);
	else
		MAG_LOG(ERR, "control thread: %s: caches are neither updated nor reaped",
			strerror(-ret));
}

/* Under the lock, and not by the thread itself. */
static void
thread_end(void)
{
	atomic_store_explicit(&maint.stop, true, memory_order_relaxed);
	bell_ring();
	pthread_join(maint.thread, NULL);
	atomic_store_explicit(&maint.running, false, memory_order_relaxed);
	atomic_store_explicit(&maint.runner, MAG_MAINT_NONE, memory_order_relaxed);
}

/* The next pass finds out what is due when. */
static void
restart(void)
{
	atomic_store_explicit(&maint.due, 0, memory_order_relaxed);
	bell_ring();
}

/* A cache was listed. */
static void
observe(void)
{
	uint32_t id;

	service_find(&id);
	pthread_mutex_lock(&maint.lock);
	if (!MAG_STAT(maint.running))
		thread_start();
	pthread_mutex_unlock(&maint.lock);
	restart();
}

/* The last cache is gone: no thread runs any more when this returns, unless it is this one. */
static void
observe_last(void)
{
	if (MAG_STAT(maint.running) && pthread_equal(pthread_self(), maint.thread))
		return;
	pthread_mutex_lock(&maint.lock);
	if (MAG_STAT(maint.running) && mag_cache_listed() == 0)
		thread_end();
	pthread_mutex_unlock(&maint.lock);
}

void
mag_maint_fork_begin(void)
{
	pthread_mutex_lock(&maint.lock);
	pthread_mutex_lock(&maint.service);
}

void
mag_maint_fork_end(void)
{
	pthread_mutex_unlock(&maint.service);
	pthread_mutex_unlock(&maint.lock);
}

void
mag_maint_forked(void)
{
	atomic_store_explicit(&maint.running, false, memory_order_relaxed);
	atomic_store_explicit(&maint.runner, MAG_MAINT_NONE, memory_order_relaxed);
	atomic_store_explicit(&maint.reap_requested, false, memory_order_relaxed);
	atomic_store_explicit(&maint.due, UINT64_MAX, memory_order_relaxed);
	atomic_store_explicit(&maint.episode.holder, 0, memory_order_relaxed);
	/* Somebody may have been waiting for it. */
	sem_init(&maint.bell, 0, 0);
}

/* On the data path: a part of a region has fewer free segments than its reserve. */
static void
observe_want(void)
{
	/* release: pairs with the exchange in pass_run() */
	atomic_store_explicit(&maint.due, 0, memory_order_release);
}

/* EAL's heap had no object for an intrinsic cache. */
static void
observe_shortage(void)
{
	observe_want();
	bell_ring();
}

RTE_INIT(mag_maint_load)
{
	/* A second copy of the library may find the first one's pointer here. */
	if (mag_cache_observer != NULL)
		return;
	mag_cache_observer = observe;
	mag_cache_last_observer = observe_last;
	mag_elastic_on_want = observe_want;
	mag_elastic_on_shortage = observe_shortage;
	sem_init(&maint.bell, 0, 0);
}

int
mag_reap_request(void)
{
	if (mag_cache_list_held())
		return -EDEADLK;
	/* release: pairs with the exchange in pass_run() */
	atomic_store_explicit(&maint.reap_requested, true, memory_order_release);
	bell_ring();
	return 0;
}

int
mag_maint_stop(void)
{
	if (mag_cache_may_deadlock()) {
		MAG_LOG(ERR, "stop of maintenance: not from a cache's callback, nor from a walk");
		return -EDEADLK;
	}
	pthread_mutex_lock(&maint.lock);
	if (MAG_STAT(maint.running))
		thread_end();
	pthread_mutex_unlock(&maint.lock);
	/* A service lcore may still be in a pass, which may want the lock above. */
	mag_lock_wait(&maint.episode);
	mag_lock_release(&maint.episode);
	return 0;
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
		restart();
	return 0;
}

enum mag_maint_runner
mag_maint_runner(void)
{
	enum mag_maint_runner runner = MAG_STAT(maint.runner);

	if (!MAG_STAT(maint.running))
		return MAG_MAINT_NONE;
	return runner == MAG_MAINT_NONE ? MAG_MAINT_THREAD : runner;
}

uint64_t
mag_maint_updates(void)
{
	return MAG_STAT(maint.updates);
}
