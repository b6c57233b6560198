/* SPDX-License-Identifier: BSD-3-Clause */

/* Pools that are used up, and lcores that are interrupted all the time. */

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include <rte_launch.h>
#include <rte_lcore.h>

#include "harness.h"
#include "mag_maint.h"
#include "pool.h"
#include "roster.h"

#define LCORES 5
#define WORKERS (LCORES - 1)
#define BURST 32
/* Each wants this many, and the pool has two thirds of what all want. */
#define WANTED 512
#define OBJECTS (WORKERS * WANTED * 2 / 3)
/* Bursts that each lcore asks for at least; by fewer its share is chance. */
#define BURSTS 16000
#define BURSTS_FULL 1000000
#define SIGNALS 10000
#define SIGNALS_FULL 250000

/* What one lcore asked for, and how often it had it. */
struct share {
	struct rte_mempool *mp;
	uint64_t wanted, had;
	_Atomic uint32_t strays; /* objects that somebody else had, too */
} MAG_ALIGNED(128);

static struct share shares[RTE_MAX_LCORE];
static _Atomic bool enough;
static _Atomic uint32_t satisfied; /* lcores that have asked often enough */

static void
shares_begin(struct rte_mempool *mp)
{
	unsigned int lcore;

	atomic_store(&enough, false);
	atomic_store(&satisfied, 0);
	RTE_LCORE_FOREACH_WORKER(lcore)
		shares[lcore] = (struct share){.mp = mp};
}

/* Objects have the number of their user while it has them. */
static void
mark(void **objects, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		*(volatile uint64_t *)objects[i] = rte_lcore_id();
}

static void
put_marked(struct share *share, void **objects, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		if (*(volatile uint64_t *)objects[i] != rte_lcore_id())
			share->strays++;
	rte_mempool_put_bulk(share->mp, objects, n);
}

/* One attempt for all that it wants, by bursts; an lcore that fails makes room for others. */
static unsigned int
attempt(struct share *share, void **objects)
{
	unsigned int n = 0;

	while (n < WANTED && rte_mempool_get_bulk(share->mp, objects + n, BURST) == 0) {
		mark(objects + n, BURST);
		n += BURST;
	}
	share->wanted += WANTED / BURST;
	share->had += n / BURST;
	return n;
}

/* It holds what it has while others attempt the same, so the pool stays used up. */
static int
be_greedy(void *arg)
{
	uint64_t bursts = run_is_full() ? BURSTS_FULL : BURSTS;
	struct share *share = &shares[rte_lcore_id()];
	void *objects[WANTED];
	bool done = false;
	unsigned int n;

	RTE_SET_USED(arg);
	/* Until all have: none is ever alone. */
	while (satisfied < WORKERS) {
		n = attempt(share, objects);
		sched_yield();
		put_marked(share, objects, n);
		sched_yield();
		if (!done && share->wanted >= bursts) {
			done = true;
			satisfied++;
		}
	}
	return 0;
}

static void
assert_nothing_is_lost(struct rte_mempool *mp)
{
	struct hold hold = hold_of(mp);
	unsigned int lcore;

	RTE_LCORE_FOREACH_WORKER(lcore)
		assert_int_equal(shares[lcore].strays, 0);
	pool_assert_free(mp, OBJECTS);
	assert_int_equal(roster_drain(hold.roster, hold.objs, 1), OBJECTS);
	roster_put(hold.roster, hold.objs, OBJECTS);
	hold_end(&hold);
}

/* An lcore that has its CPU only when nobody else wants it, beside a thread that always does. */

static _Atomic int idle_cpu;

static void
pin_to(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	assert_int_equal(pthread_setaffinity_np(pthread_self(), sizeof(set), &set), 0);
}

static void
spin_run(void *arg)
{
	const struct sched_param any = {0};

	RTE_SET_USED(arg);
	pin_to(idle_cpu);
	sched_setscheduler(0, SCHED_OTHER, &any);
	while (!enough)
		;
}

static int
be_idle(void *arg)
{
	struct share *share = &shares[rte_lcore_id()];
	const struct sched_param any = {0};
	int before = sched_getscheduler(0);
	void *objects[WANTED];
	cpu_set_t cpus;

	RTE_SET_USED(arg);
	pthread_getaffinity_np(pthread_self(), sizeof(cpus), &cpus);
	pin_to(sched_getcpu());
	idle_cpu = sched_getcpu();
	sched_setscheduler(0, SCHED_IDLE, &any);
	while (!enough)
		put_marked(share, objects, attempt(share, objects));
	sched_setscheduler(0, before, &any);
	pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus);
	return 0;
}

static int
be_steady(void *arg)
{
	uint64_t bursts = run_is_full() ? BURSTS_FULL : BURSTS;
	struct share *share = &shares[rte_lcore_id()];
	void *objects[WANTED];

	RTE_SET_USED(arg);
	while (share->wanted < bursts)
		put_marked(share, objects, attempt(share, objects));
	satisfied++;
	return 0;
}

TEST(an_lcore_that_hardly_ever_runs_delays_nobody_and_loses_nothing)
{
	struct rte_mempool *mp = pool_make(POOL_SPEC(OBJECTS, 64, .config = "interval=10ms"));
	unsigned int idle = rte_get_next_lcore(-1, 1, 0), lcore;
	struct task spin;

	shares_begin(mp);
	idle_cpu = -1;
	assert_int_equal(rte_eal_remote_launch(be_idle, NULL, idle), 0);
	while (idle_cpu < 0)
		usleep(1000);
	task_thread(&spin, spin_run, NULL);
	RTE_LCORE_FOREACH_WORKER(lcore)
		if (lcore != idle)
			assert_int_equal(rte_eal_remote_launch(be_steady, NULL, lcore), 0);
	while (satisfied < WORKERS - 1)
		usleep(1000);
	enough = true;
	task_join(&spin);
	rte_eal_mp_wait_lcore();
	assert_nothing_is_lost(mp);
	rte_mempool_free(mp);
}

/* Of what it asked for: whoever runs more often asks more often. */
static double
success(const struct share *share)
{
	return share->wanted > 0 ? (double)share->had / (double)share->wanted : 0;
}

TEST(lcores_that_want_more_than_there_is_have_a_fair_share_each)
{
	struct rte_mempool *mp = pool_make(POOL_SPEC(OBJECTS, 64, .config = "interval=100ms"));
	struct share all = {.wanted = 0};
	unsigned int lcore;

	shares_begin(mp);
	rte_eal_mp_remote_launch(be_greedy, NULL, SKIP_MAIN);
	/* rte_eal_wait_lcore() would take its CPU from those on the same one. */
	while (satisfied < WORKERS)
		usleep(1000);
	rte_eal_mp_wait_lcore();
	RTE_LCORE_FOREACH_WORKER(lcore) {
		say("lcore %u: %" PRIu64 " bursts wanted, %" PRIu64 " failed", lcore,
		    shares[lcore].wanted, shares[lcore].wanted - shares[lcore].had);
		all.wanted += shares[lcore].wanted;
		all.had += shares[lcore].had;
	}
	assert_true(all.had < all.wanted);
	RTE_LCORE_FOREACH_WORKER(lcore)
		assert_true(success(&shares[lcore]) >= success(&all) / 2);
	assert_nothing_is_lost(mp);
}

/* Signals, in whatever instruction they come. */

static _Atomic uint32_t handled, requested;
static _Atomic bool requests;
static pthread_t threads[RTE_MAX_LCORE];
static _Atomic uint32_t started;

/* What a handler may do: mag_reap_request(), and nothing with objects. */
static void
on_signal(int number)
{
	int error = errno;

	RTE_SET_USED(number);
	handled++;
	if (requests && mag_reap_request() == 0)
		requested++;
	errno = error;
}

static int
be_interrupted(void *arg)
{
	struct share *share = &shares[rte_lcore_id()];
	void *objects[WANTED];

	RTE_SET_USED(arg);
	threads[rte_lcore_id()] = pthread_self();
	started++;
	while (!enough)
		put_marked(share, objects, attempt(share, objects));
	return 0;
}

/* Until so many were handled: two that wait for a thread which does not run are one. */
static void
send_signals(unsigned int count)
{
	unsigned int lcore;

	while (handled < count)
		RTE_LCORE_FOREACH_WORKER(lcore)
			assert_int_equal(pthread_kill(threads[lcore], SIGUSR1), 0);
}

static void
interrupt_all(const char *config, bool with_requests)
{
	struct rte_mempool *mp = pool_make(POOL_SPEC(OBJECTS, 64, .config = config));
	const struct sigaction action = {.sa_handler = on_signal};
	unsigned int count = run_is_full() ? SIGNALS_FULL : SIGNALS;
	struct sigaction old;

	shares_begin(mp);
	handled = requested = started = 0;
	requests = with_requests;
	assert_int_equal(sigaction(SIGUSR1, &action, &old), 0);
	rte_eal_mp_remote_launch(be_interrupted, NULL, SKIP_MAIN);
	while (started < WORKERS)
		usleep(100);
	send_signals(count);
	enough = true;
	rte_eal_mp_wait_lcore();
	sigaction(SIGUSR1, &old, NULL);
	assert_int_equal(requested, with_requests ? handled : 0);
	assert_nothing_is_lost(mp);
}

TEST(lcores_that_are_interrupted_anywhere_lose_no_object)
{
	interrupt_all("interval=10ms", false);
}

TEST(signal_handlers_may_request_reaps)
{
	harness_need_ours("reaps");
	interrupt_all("interval=10ms", true);
}

int
main(int argc, char **argv)
{
	return HARNESS_RUN(argc, argv, LCORES);
}
