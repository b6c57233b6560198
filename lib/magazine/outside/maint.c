/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * When maintenance runs, and who makes a pass (pass.c).
 *
 * A control thread of the library sleeps until something is due. It then lets a service lcore do
 * the work: it registers one EAL service for all caches of the process if there is none, maps it to
 * the service lcores that there are now, and turns its run state on until the work is done, so that
 * an application that stops a service lcore hardly ever finds it busy because of us. Where no
 * service lcore begins within a bound, the thread makes the pass itself. It begins with the first
 * cache and ends with the last, or with mag_maint_stop(); where there are pools of other processes,
 * which this one may have to take over (heir.h), with the first slot that a thread claims.
 *
 * rte_eal_cleanup() tells nobody that it ends EAL. So all that the thread needs lies in the
 * process's own memory; it looks whether EAL is still there before each turn, and asks the lcores'
 * roles before it calls a service function.
 *
 * Locks: maint.lock guards the start and the end of the thread, maint.service the service's
 * registration. Both are held over a fork. No lock is held while a pass runs.
 *
 * In a debugger: thread "magazine" in bell_wait() is asleep; maint.begun above maint.ended: a
 * service lcore is in a pass; maint.runner made the last one.
 */

#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include <rte_common.h>
#include <rte_cycles.h>
#include <rte_lcore.h>
#include <rte_memory.h>
#include <rte_service.h>
#include <rte_service_component.h>

#include "base/compat.h"
#include "base/counter.h"
#include "base/deadline.h"
#include "base/eal_end.h"
#include "base/log.h"
#include "base/meta.h"
#include "base/peer.h"
#include "base/process.h"
#include "control/registry.h"
#include "mag_maint.h"
#include "outside/heir.h"
#include "outside/maint.h"
#include "outside/pass.h"
#include "slot/thread.h"
#include "sources/elastic_service.h"

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

static struct {
	_Atomic uint64_t begun, ended; /* passes of service lcores */
	_Atomic uint32_t runner;       /* enum mag_maint_runner: who made the last pass */
	pthread_mutex_t service;       /* guards registering and mapping */
	pthread_mutex_t lock;          /* guards starting and ending the thread */
	pthread_t thread;
	_Atomic bool running; /* written under the lock */
	_Atomic bool stays;   /* with or without caches: for pools of other processes */
	sem_t bell;           /* wakes the thread; a signal handler may ring it */
} maint = {.service = PTHREAD_MUTEX_INITIALIZER, .lock = PTHREAD_MUTEX_INITIALIZER};

static void
bell_ring(void)
{
	/* It fails when the bell has rung too often already. */
	(void)sem_post(&maint.bell);
}

static __rte_noinline int32_t
service_pass(void)
{
	if (mag_pass_is_forbidden())
		return -EAGAIN;
	MAG_STAT_ADD(maint.begun, 1);
	if (!mag_pass_run(false))
		return -EAGAIN;
	atomic_store_explicit(&maint.runner, MAG_MAINT_SERVICE, memory_order_relaxed);
	MAG_STAT_ADD(maint.ended, 1);
	bell_ring();
	return 0;
}

/* Called in a tight loop while the service's run state is on. */
static int32_t
service_callback(void *arg)
{
	RTE_SET_USED(arg);
	return likely(!mag_pass_is_due(rte_rdtsc())) ? -EAGAIN : service_pass();
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
	ms = RTE_MIN(ms, (uint64_t)MAG_INTERVAL_MAX_MS);
	until.tv_nsec += (long)(ms % 1000 * 1000000);
	until.tv_sec += (time_t)(ms / 1000) + until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	if (sem_clockwait(&maint.bell, CLOCK_MONOTONIC, &until) == 0)
		while (sem_trywait(&maint.bell) == 0)
			;
}

/* Milliseconds, rounded up, until something may be due. */
static uint64_t
sleep_ms(void)
{
	uint64_t due = MAG_STAT(mag_pass_due);
	uint64_t ms = due != UINT64_MAX ? mag_ms_until(due) : UINT64_MAX;

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
			 !mag_pass_is_forbidden());
	service_switch(false);
	return MAG_STAT(maint.ended) != ended;
}

static bool
thread_serves(void)
{
	if (!mag_pass_run(true))
		return false;
	atomic_store_explicit(&maint.runner, MAG_MAINT_THREAD, memory_order_relaxed);
	return true;
}

/* False: the thread has nothing to do any more, because EAL has ended. */
static bool
thread_turn(void)
{
	const struct mag_cache *first;

	mag_heir_look();
	/* Not waited for: who has the list may want to end this thread, or fork. */
	if (!mag_cache_list_first(&first))
		bell_wait(REST_MS);
	else if (first == NULL || !mag_pass_is_due(rte_rdtsc()))
		bell_wait(RTE_MIN(first == NULL ? UINT64_MAX : sleep_ms(),
				  mag_heir_wait(MAG_STAT(maint.stays))));
	else if (!mag_meta_is_mapped(first))
		return false;
	else if (mag_eal_end_has_begun() || (!service_serves() && !thread_serves()))
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
	mag_eal_end_watch();
	while (!mag_pass_is_forbidden() && thread_turn())
		;
	return NULL;
}

/* Under the lock. */
static void
thread_start(void)
{
	int ret;

	mag_pass_forbid(false);
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
	mag_pass_forbid(true);
	bell_ring();
	mag_ctrl_thread_join(maint.thread);
	atomic_store_explicit(&maint.running, false, memory_order_relaxed);
	atomic_store_explicit(&maint.stays, false, memory_order_relaxed);
	atomic_store_explicit(&maint.runner, MAG_MAINT_NONE, memory_order_relaxed);
}

void
mag_maint_wake(void)
{
	mag_pass_make_due();
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
	mag_maint_wake();
}

/* A thread of this process has its first slot. It must not wait. */
static void
observe_claim(void)
{
	/* A forked child looks by itself (fork.h). */
	if (MAG_STAT(maint.running) || MAG_STAT(mag_process_is_child) ||
	    mag_peers_pools() == MAG_PEERS_NO_POOLS || pthread_mutex_trylock(&maint.lock) != 0)
		return;
	if (!MAG_STAT(maint.running)) {
		atomic_store_explicit(&maint.stays, true, memory_order_relaxed);
		thread_start();
	}
	pthread_mutex_unlock(&maint.lock);
}

/*
 * The last cache is gone: no thread runs any more when this returns, unless it is this one, or is
 * there for pools of other processes.
 */
static void
observe_last(void)
{
	if ((MAG_STAT(maint.running) && pthread_equal(pthread_self(), maint.thread)) ||
	    MAG_STAT(maint.stays))
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
	atomic_store_explicit(&maint.stays, false, memory_order_relaxed);
	atomic_store_explicit(&maint.runner, MAG_MAINT_NONE, memory_order_relaxed);
	mag_pass_forked();
	/* Somebody may have been waiting for it. */
	sem_init(&maint.bell, 0, 0);
}

RTE_INIT(mag_maint_load)
{
	/* A second copy of the library may find the first one's pointer here. */
	if (mag_cache_observer != NULL)
		return;
	mag_cache_observer = observe;
	mag_cache_last_observer = observe_last;
	mag_thread_on_claim(observe_claim);
	mag_elastic_on_want = mag_pass_make_due;
	mag_elastic_on_shortage = mag_maint_wake;
	sem_init(&maint.bell, 0, 0);
}

int
mag_reap_request(void)
{
	if (mag_cache_list_held())
		return -EDEADLK;
	mag_pass_request_reap();
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
	mag_pass_await();
	return 0;
}

int
mag_maint_interval(unsigned int interval_ms)
{
	if (interval_ms > MAG_INTERVAL_MAX_MS) {
		MAG_LOG(ERR, "update interval of %u ms: must be 0 (restore) or 1 to %u ms",
			interval_ms, MAG_INTERVAL_MAX_MS);
		return -EINVAL;
	}
	if (mag_cache_may_deadlock()) {
		MAG_LOG(ERR, "update interval of %u ms: not from a cache's callback", interval_ms);
		return -EDEADLK;
	}
	mag_pass_override(interval_ms);
	if (mag_cache_listed() > 0)
		mag_maint_wake();
	return 0;
}

int
mag_cache_watermark(struct mag_cache *cache, uint64_t low, uint64_t high, mag_watermark_fn *crossed,
		    void *arg)
{
	const struct mag_watermark mark = {
		.low = low, .high = high, .crossed = crossed, .arg = arg};

	if (mag_cache_may_deadlock())
		return -EDEADLK;
	if (mag_cache_is_strange(cache))
		return -EPERM;
	if (MAG_STAT(cache->process) != mag_process_id) {
		MAG_LOG(ERR, "cache \"%s\": process %d made it: set its marks there", cache->name,
			cache->pid);
		return -EPERM;
	}
	if (crossed != NULL && (low == 0 || low > high)) {
		MAG_LOG(ERR,
			"cache \"%s\": watermarks %" PRIu64 " and %" PRIu64
			": must be 1 <= low <= high",
			cache->name, low, high);
		return -EINVAL;
	}
	mag_registry_mark(cache, &mark);
	mag_maint_wake();
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
