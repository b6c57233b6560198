/* SPDX-License-Identifier: BSD-3-Clause */

/* Processes that are killed: those that made pools, and those that only use them. */

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_eal_memconfig.h>
#include <rte_lcore.h>
#include <rte_memzone.h>

#include "base/hold.h"
#include "cache/cache.h"
#include "control/registry.h"
#include "harness.h"
#include "mag_maint.h"
#include "mag_stats.h"
#include "pool.h"
#include "roster.h"
#include "rte_mempool_magazine.h"
#include "slot/thread.h"

/* Set in a copy of this program: what it is. */
#define ENV_CHILD "CONTRACT_HEIRS"
#define PRIMARY "primary"
#define MAKER "maker"
#define USER "user"
#define NURSERY "nursery"
#define READER "reader"

#define SHARED "contract-heirs"
#define CHUNK "contract-chunk"
#define OPTIONS "rounds=14,interval=10ms"
#define WAIT_MS 20000
#define LCORES 2
#define OBJECTS 1000
#define HELD 100
#define TURN 32
#define USERS 3
#define STARTS 10
#define KILLS 3
#define KILLS_FULL 100
#define WORKERS 3
#define BATCH 8
#define STOPPED_US 50000
#define BOXES 512
#define MANY 8191
#define WORKER_KILLS 50
#define WORKER_KILLS_FULL 500

/* In memory of all processes of one primary. */
struct shared {
	_Atomic pid_t maker; /* 0: not yet */
	uint32_t process;    /* its mag_process_id */
	_Atomic unsigned int attached, working, idle, heirs, gone;
	unsigned int dying; /* of the heirs, which are killed as well */
	_Atomic bool freed;
	/* Under load: objects on their way to another worker; what each has in hand, at most. */
	void *_Atomic box[BOXES];
	_Atomic unsigned int in_hand[WORKERS];
	_Atomic bool enough;
	unsigned int lost;
};

static struct shared *shared;

static bool
comes_true(bool (*what)(struct rte_mempool *mp), struct rte_mempool *mp)
{
	unsigned int ms;

	for (ms = 0; ms < WAIT_MS && !what(mp); ms++)
		usleep(1000);
	return what(mp);
}

/* The maker: killed with objects, and wherever it is. */

static void *
kill_soon(void *arg)
{
	usleep(*(unsigned int *)arg);
	raise(SIGKILL);
	return NULL;
}

static int
make_and_be_killed(unsigned int us)
{
	struct rte_mempool *mp = pool_anywhere(POOL_SPEC(OBJECTS, 64, .config = OPTIONS), CHUNK);
	void *objects[HELD];
	pthread_t killer;
	unsigned int i;

	HOLDS(rte_mempool_get_bulk(mp, objects, HELD) == 0);
	shared->process = mag_process_id;
	shared->maker = getpid();
	while (shared->working < USERS)
		usleep(1000);
	HOLDS(pthread_create(&killer, NULL, kill_soon, &us) == 0);
	for (i = 0;; i++)
		pool_take_a_turn(mp, 1 + i % TURN);
}

/* The users. */

static struct rte_mempool *the_pool;

static void
pool_find(struct rte_mempool *mp, void *arg __rte_unused)
{
	the_pool = mp;
}

static bool
find_the_pool(void)
{
	rte_mempool_walk(pool_find, NULL);
	return the_pool != NULL;
}

static bool
maker_is_dead(void)
{
	return kill(shared->maker, 0) != 0 ||
	       waitpid(shared->maker, NULL, WNOHANG) == shared->maker;
}

static bool
is_ours_or_freed(struct rte_mempool *mp)
{
	return shared->freed || rte_mempool_magazine_cache(mp)->process == mag_process_id;
}

static bool
maker_is_forgotten(struct rte_mempool *mp __rte_unused)
{
	uint32_t slot;

	for (slot = 0; slot < MAG_SLOT_SHARED; slot++)
		if (mag_thread_process(slot) == shared->process)
			return false;
	return true;
}

/* All but what its maker had: these, and of the call in which it was killed. */
static bool
others_have_the_rest(struct rte_mempool *mp)
{
	static void *objects[OBJECTS];
	unsigned int n = 0;

	while (n < OBJECTS && rte_mempool_get(mp, &objects[n]) == 0)
		n++;
	rte_mempool_put_bulk(mp, objects, n);
	return n >= OBJECTS - HELD - TURN && n == rte_mempool_avail_count(mp);
}

static uint64_t updates;

static bool
is_updated(struct rte_mempool *mp)
{
	return rte_mempool_magazine_cache(mp)->updates > updates + 2;
}

static int
inherit(struct rte_mempool *mp)
{
	HOLDS(mag_cache_listed() == 1);
	updates = rte_mempool_magazine_cache(mp)->updates;
	HOLDS(comes_true(is_updated, mp));
	HOLDS(comes_true(maker_is_forgotten, mp));
	HOLDS(comes_true(others_have_the_rest, mp));
	HOLDS(mag_maint_runner() == MAG_MAINT_THREAD);
	return 0;
}

static int
use_until_it_is_dead(void)
{
	unsigned int i;
	int ret = 0;

	while (shared->maker == 0)
		usleep(1000);
	HOLDS(find_the_pool());
	for (i = 0; !maker_is_dead(); i++) {
		pool_take_a_turn(the_pool, 1 + i % TURN);
		shared->working += i == 0;
	}
	shared->idle++;
	while (shared->idle < USERS)
		usleep(1000);
	HOLDS(comes_true(is_ours_or_freed, the_pool));
	if (!shared->freed) {
		if (shared->heirs++ < shared->dying)
			raise(SIGKILL);
		ret = inherit(the_pool);
		/* Others look at the pool until they know. */
		shared->freed = true;
		while (shared->gone + shared->dying + 1 < USERS)
			usleep(1000);
		rte_mempool_free(the_pool);
		HOLDS(mag_cache_listed() == 0);
	}
	shared->gone++;
	HOLDS(shared->heirs == shared->dying + 1);
	return ret;
}

/* Under load: one worker gets for another, which puts, and one does both. */

/* Not an rte_ring: one that a process was killed in has objects that are not there. */
static void
work_for_another(struct rte_mempool *mp, unsigned int i)
{
	void *objects[TURN];
	unsigned int n = 0, box;

	shared->in_hand[0] = BATCH;
	if (rte_mempool_get_bulk(mp, objects, BATCH) == 0)
		n = BATCH;
	shared->in_hand[0] = n;
	for (box = i; n > 0 && !shared->enough; box++) {
		if (shared->box[box % BOXES] != NULL)
			continue;
		shared->box[box % BOXES] = objects[--n];
		shared->in_hand[0] = n;
	}
	if (n > 0)
		rte_mempool_put_bulk(mp, objects, n);
	shared->in_hand[0] = 0;
}

static void
work_of_another(struct rte_mempool *mp, unsigned int i)
{
	void *objects[TURN];
	unsigned int n = 0, k;

	for (k = 0; k < BATCH; k++) {
		shared->in_hand[1] = n + 1;
		objects[n] = atomic_exchange(&shared->box[(i + k) % BOXES], NULL);
		n += objects[n] != NULL;
	}
	shared->in_hand[1] = n;
	if (n > 0)
		rte_mempool_put_bulk(mp, objects, n);
	shared->in_hand[1] = 0;
}

static void
work_alone(struct rte_mempool *mp, unsigned int i)
{
	shared->in_hand[2] = TURN;
	pool_take_a_turn(mp, 1 + i % TURN);
	shared->in_hand[2] = 0;
}

static pid_t
worker(unsigned int role)
{
	static void (*const work[WORKERS])(struct rte_mempool * mp, unsigned int i) = {
		work_for_another, work_of_another, work_alone};
	unsigned int i;
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	for (i = 0; !shared->enough; i += BATCH)
		work[role](the_pool, i);
	_exit(0);
}

/* A process that has attached, whose children are killed and replaced. */
static int
rear_and_kill(void)
{
	unsigned int kills = run_is_full() ? WORKER_KILLS_FULL : WORKER_KILLS, i, role;
	pid_t pid[WORKERS];
	int status;

	HOLDS(find_the_pool());
	for (role = 0; role < WORKERS; role++)
		pid[role] = worker(role);
	for (i = 0; i < kills; i++) {
		usleep(1000 + i * 7919 % 4001);
		role = i % WORKERS;
		HOLDS(kill(pid[role], SIGKILL) == 0);
		HOLDS(waitpid(pid[role], &status, 0) == pid[role] && WIFSIGNALED(status));
		shared->lost += shared->in_hand[role];
		shared->in_hand[role] = 0;
		pid[role] = worker(role);
	}
	shared->enough = true;
	for (role = 0; role < WORKERS; role++)
		HOLDS(waitpid(pid[role], &status, 0) == pid[role] && status == 0);
	return 0;
}

/* In the middle of its maintenance: EAL's memory lock counts it until somebody gives it back. */
static int
stop_as_a_reader(void)
{
	void *object;

	HOLDS(find_the_pool());
	/* So that this process is one of those that others know. */
	HOLDS(rte_mempool_get(the_pool, &object) == 0);
	rte_mempool_put(the_pool, object);
	while (!mag_hold_begin())
		usleep(1000);
	raise(SIGSTOP);
	return 0;
}

static int
share(void)
{
	const struct rte_memzone *zone = rte_memzone_lookup(SHARED);

	if (zone == NULL)
		zone = rte_memzone_reserve(SHARED, sizeof(*shared), SOCKET_ID_ANY, 0);
	HOLDS(zone != NULL);
	shared = zone->addr;
	return 0;
}

/* EAL may fail to start when it does so in two secondary processes at once, and even in one. */
static bool
start_user(void)
{
	unsigned int attached = shared->attached, start;
	pid_t pid;

	for (start = 0; start < STARTS; start++) {
		pid = harness_copy(ENV_CHILD, USER " 0", NULL);
		while (shared->attached == attached && waitpid(pid, NULL, WNOHANG) == 0)
			usleep(1000);
		if (shared->attached > attached)
			return true;
	}
	return false;
}

static int
run_as_child(int argc, char **argv, const char *what)
{
	unsigned int us = (unsigned int)atoi(strchr(what, ' ')), i;

	if (strncmp(what, PRIMARY, strlen(PRIMARY)) != 0) {
		if (harness_start_secondary(argc, argv, 1) < 0)
			return HARNESS_REFUSED;
		HOLDS(share() == 0);
		if (what[0] == NURSERY[0])
			return rear_and_kill();
		if (what[0] == READER[0])
			return stop_as_a_reader();
		if (what[0] == MAKER[0])
			return make_and_be_killed(us);
		shared->attached++;
		return use_until_it_is_dead();
	}
	if (harness_start_eal(argc, argv, 1) < 0)
		return HARNESS_REFUSED;
	HOLDS(share() == 0);
	for (i = 0; i < USERS; i++)
		if (!start_user())
			return HARNESS_REFUSED;
	shared->dying = 1;
	return make_and_be_killed(us);
}

static unsigned int
kills(void)
{
	return run_is_full() ? KILLS_FULL : KILLS;
}

TEST(pools_of_a_killed_primary_are_taken_over_from_its_killed_heir_too)
{
	unsigned int i, n, killed;
	char what[32];
	int status;

	/* The users are its children, and ours after that. */
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
	for (i = 0; i < kills(); i++) {
		snprintf(what, sizeof(what), PRIMARY " %u", 1000 + i * 137);
		status = harness_copy_status(harness_copy(ENV_CHILD, what, NULL));
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		killed = 0;
		for (n = 0; n < USERS; n++) {
			assert_true(waitpid(-1, &status, 0) > 0);
			killed += WIFSIGNALED(status);
			assert_true(status == 0 || WIFSIGNALED(status));
		}
		assert_int_equal(killed, 1);
	}
}

TEST(pools_of_a_killed_secondary_are_taken_over)
{
	unsigned int i;
	char what[32];

	assert_int_equal(share(), 0);
	for (i = 0; i < kills(); i++) {
		/* This process is the one user. */
		*shared =
			(struct shared){.working = USERS - 1, .idle = USERS - 1, .gone = USERS - 1};
		snprintf(what, sizeof(what), MAKER " %u", 1000 + i * 137);
		harness_copy(ENV_CHILD, what, NULL);
		assert_int_equal(use_until_it_is_dead(), 0);
		rte_memzone_free(rte_memzone_lookup(CHUNK));
	}
	rte_memzone_free(rte_memzone_lookup(SHARED));
}

static void *
write_once(void *arg)
{
	rte_mcfg_mem_write_lock();
	rte_mcfg_mem_write_unlock();
	return arg;
}

TEST(memory_comes_and_goes_after_processes_were_killed_in_their_maintenance)
{
	struct rte_mempool *mp = pool_anywhere(POOL_SPEC(OBJECTS, 64, .config = OPTIONS), CHUNK);
	pthread_t writer;
	unsigned int i;
	int status;
	pid_t pid;

	assert_int_equal(share(), 0);
	for (i = 0; i < KILLS; i++) {
		pid = harness_copy(ENV_CHILD, READER " 0", NULL);
		assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
		assert_true(WIFSTOPPED(status));
		assert_int_equal(pthread_create(&writer, NULL, write_once, NULL), 0);
		/* Maintenance of this process comes by meanwhile. */
		usleep(STOPPED_US);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		/* Else the runner ends this. */
		pthread_join(writer, NULL);
	}
	rte_mempool_free(mp);
	rte_memzone_free(rte_memzone_lookup(CHUNK));
	rte_memzone_free(rte_memzone_lookup(SHARED));
}

/* Those that are free, and those on their way: each in one place. All are free then. */
static unsigned int
objects_left(struct rte_mempool *mp)
{
	struct roster *roster = roster_of(mp);
	void **left = calloc(mp->size, sizeof(*left));
	unsigned int n = 0, i;

	assert_non_null(left);
	for (i = 0; i < BOXES; i++) {
		left[n] = atomic_exchange(&shared->box[i], NULL);
		if (left[n] != NULL)
			roster_took(roster, &left[n++], 1);
	}
	while (n < mp->size && roster_get(roster, &left[n], 1) == 0)
		n++;
	roster_put(roster, left, n);
	roster_free(roster);
	free(left);
	return n;
}

TEST(processes_killed_under_load_take_only_what_they_have_in_hand)
{
	struct rte_mempool *mp = pool_anywhere(POOL_SPEC(MANY, 64, .config = OPTIONS), CHUNK);
	unsigned int ms;

	assert_int_equal(share(), 0);
	*shared = (struct shared){.lost = 0};
	assert_int_equal(harness_copy_status(harness_copy(ENV_CHILD, NURSERY " 0", NULL)), 0);
	for (ms = 0; ms < WAIT_MS && objects_left(mp) + shared->lost < MANY; ms += 10)
		usleep(10000);
	assert_true(shared->lost > 0);
	assert_in_range(objects_left(mp), MANY - shared->lost, MANY);
	rte_mempool_free(mp);
	rte_memzone_free(rte_memzone_lookup(CHUNK));
	rte_memzone_free(rte_memzone_lookup(SHARED));
}

int
main(int argc, char **argv)
{
	return HARNESS_RUN_OR_CHILD(argc, argv, LCORES, ENV_CHILD, run_as_child);
}
