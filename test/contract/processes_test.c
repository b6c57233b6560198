/* SPDX-License-Identifier: BSD-3-Clause */

/* Caches and pools of one process in the hands of another. */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_memzone.h>

#include "cache/cache.h"
#include "freezer.h"
#include "harness.h"
#include "../common/log.h"
#include "mag_maint.h"
#include "mag_stats.h"
#include "visits/perimeter.h"
#include "pool.h"
#include "control/registry.h"
#include "rte_mempool_magazine.h"
#include "../counts.h"

/* Set in a copy of this program that is the secondary process: what it does. */
#define ENV_CHILD "CONTRACT_PROCESS"

#define SHARED "contract-processes"
#define CHUNK "contract-chunk"
#define WAIT_MS 20000
#define LCORES 2
#define OBJECTS 1000
#define SIZE 256
#define ROUNDS 14
#define KILLS 4
/* In EAL's default mode; a fifth, or a twentieth, in others. */
#define VISITS 50
#define VISITS_FULL 1000
#define STOPS 8
#define STOP_US 250000
#define STOP_FULL_US 5000000
#define TURN 64
#define TURNS 2000

/* What both processes know. */
struct shared {
	pid_t pid;
	pid_t tid;
	struct mag_cache *plain;
	struct mag_cache *with_callbacks;
	_Atomic bool made, freed;
};

static struct shared *shared;

static unsigned int constructed;

static int
construct(const struct mag_object_info *object __rte_unused,
	  const struct mag_object_info *mirror __rte_unused, void *arg,
	  unsigned int flags __rte_unused)
{
	constructed++;
	return arg == &constructed ? 0 : -1;
}

static void
destruct(void *object __rte_unused, void *arg __rte_unused)
{
	constructed--;
}

/* Whatever may call a callback, which lies in the process that made the cache. */
static int
child_finds_no_callbacks(struct mag_cache *cache)
{
	void *objects[2];

	HOLDS(mag_cache_alloc(cache) == NULL);
	HOLDS(mag_cache_alloc_bulk(cache, objects, 2) == 0);
	HOLDS(mag_cache_alloc_wait(cache, 1000) == NULL && rte_errno == EPERM);
	HOLDS(mag_cache_purge(cache) == -EPERM);
	HOLDS(mag_cache_resize(cache, 30, false) == -EPERM);
	HOLDS(mag_cache_update(cache) == -EPERM);
	HOLDS(mag_cache_reap_now(cache, false) == -EPERM);
	HOLDS(mag_cache_reap_now(cache, true) == -EPERM);
	HOLDS(mag_cache_reclaim(cache, false) == -EPERM);
	HOLDS(mag_cache_reclaim(cache, true) == -EPERM);
	HOLDS(mag_cache_destroy(cache) == -EPERM);
	return 0;
}

/*
 * Our process and thread numbers are those of the primary, which is in the perimeter of both
 * caches.
 */
static int
child_with_our_number(void)
{
	void *object;

	HOLDS(getpid() == shared->pid && gettid() == shared->tid);
	HOLDS(child_finds_no_callbacks(shared->with_callbacks) == 0);
	HOLDS(mag_cache_purge(shared->plain) == -EBUSY);
	HOLDS(mag_cache_reap_now(shared->plain, true) == -EBUSY);
	object = mag_cache_alloc(shared->plain);
	HOLDS(object != NULL);
	mag_cache_free(shared->plain, object);
	return 0;
}

static struct rte_mempool *
pool_shared(void)
{
	return pool_anywhere(POOL_SPEC(OBJECTS, 64, .config = "interval=10ms"), CHUNK);
}

static struct rte_mempool *found;

static void
pool_find(struct rte_mempool *mp, void *arg __rte_unused)
{
	if (mp->populated_size == OBJECTS)
		found = mp;
}

/* The one pool that there is, whoever made it. */
static struct rte_mempool *
the_pool(void)
{
	found = NULL;
	rte_mempool_walk(pool_find, NULL);
	return found;
}

static void
count_visit(struct mag_cache *cache __rte_unused, void *arg)
{
	++*(unsigned int *)arg;
}

static unsigned int
caches_listed(void)
{
	unsigned int visits = 0;

	mag_cache_walk(count_visit, &visits);
	return visits;
}

/* Until maintenance has taken those off the list that are gone. */
static bool
list_comes_to(unsigned int caches)
{
	unsigned int ms;

	for (ms = 0; ms < WAIT_MS && mag_cache_listed() != caches; ms++)
		usleep(1000);
	return mag_cache_listed() == caches;
}

static int
child_frees(void)
{
	struct rte_mempool *mp = the_pool();

	HOLDS(mp != NULL);
	log_begin();
	rte_mempool_free(mp);
	log_end();
	HOLDS(log_has("freed while 3 of its 1000 objects are out"));
	HOLDS(log_has("which made it"));
	return 0;
}

static int
child_makes(bool stay)
{
	pool_shared();
	HOLDS(caches_listed() == 1);
	shared->made = true;
	while (stay && !shared->freed)
		usleep(1000);
	HOLDS(!stay || list_comes_to(0));
	HOLDS(!stay || caches_listed() == 0);
	return 0;
}

static int
take_all(struct rte_mempool *mp)
{
	static void *objects[OBJECTS];

	if (rte_mempool_get_bulk(mp, objects, OBJECTS) != 0)
		return -1;
	rte_mempool_put_bulk(mp, objects, OBJECTS);
	return 0;
}

/* As a process does that comes, works and goes: nothing is left with it. */
static int
child_visits(void)
{
	struct rte_mempool *mp = the_pool();
	unsigned int i;

	HOLDS(mp != NULL && rte_mempool_magazine_lookup(mp->name) == mp);
	for (i = 0; i < TURNS; i++)
		pool_take_a_turn(mp, 1 + i % TURN);
	return 0;
}

/* Until it is told that it is enough. */
static int
child_works(void)
{
	struct rte_mempool *mp = the_pool();
	unsigned int i;

	HOLDS(mp != NULL);
	for (i = 0; !shared->freed; i++) {
		pool_take_a_turn(mp, 1 + i % TURN);
		shared->made = true;
	}
	return 0;
}

/* Beside its magazines, which have objects. */
static int
child_is_killed(void)
{
	struct rte_mempool *mp = the_pool();
	void *objects[2 * ROUNDS - 1];

	HOLDS(mp != NULL && take_all(mp) == 0);
	HOLDS(rte_mempool_get_bulk(mp, objects, RTE_DIM(objects)) == 0);
	rte_mempool_put_bulk(mp, objects, RTE_DIM(objects));
	return raise(SIGKILL);
}

static int
run_as_child(int argc, char **argv, const char *what)
{
	const struct rte_memzone *zone;
	int ret = 3;

	if (harness_start_secondary(argc, argv, 1) < 0)
		return HARNESS_REFUSED;
	zone = rte_memzone_lookup(SHARED);
	HOLDS(zone != NULL);
	shared = zone->addr;
	if (strcmp(what, "number") == 0)
		ret = child_with_our_number();
	else if (strcmp(what, "free") == 0)
		ret = child_frees();
	else if (strcmp(what, "visit") == 0)
		ret = child_visits();
	else if (strcmp(what, "work") == 0)
		ret = child_works();
	else if (strcmp(what, "killed") == 0)
		ret = child_is_killed();
	else if (strncmp(what, "make", 4) == 0)
		ret = child_makes(strcmp(what, "make and stay") == 0);
	return rte_eal_cleanup() == 0 ? ret : 4;
}

static struct mag_region *region;

/* What both processes know, and no cache. */
static int
setup_bare(void **state __rte_unused)
{
	const struct rte_memzone *zone =
		rte_memzone_reserve(SHARED, sizeof(*shared), SOCKET_ID_ANY, 0);

	assert_non_null(zone);
	shared = zone->addr;
	*shared = (struct shared){.pid = getpid(), .tid = gettid()};
	return 0;
}

static int
teardown_bare(void **state __rte_unused)
{
	return rte_memzone_free(rte_memzone_lookup(SHARED));
}

static int
setup(void **state)
{
	struct mag_region_params of = {.size = sizeof(of),
				       .name = "shared",
				       .object_size = SIZE,
				       .objects = OBJECTS,
				       .block = OBJECTS / 4,
				       .node = -1};
	struct mag_cache_params params = {
		.size = sizeof(params), .name = "plain", .object_size = SIZE, .node = -1};

	setup_bare(state);
	region = mag_region_create(&of);
	assert_non_null(region);
	/* A segment for each, whoever comes first. */
	assert_int_equal(region_grown(region, 1), 1);
	params.region = region;
	shared->plain = mag_cache_create(&params);
	params.name = "with callbacks";
	params.constructor = construct;
	params.destructor = destruct;
	params.arg = &constructed;
	shared->with_callbacks = mag_cache_create(&params);
	assert_true(shared->plain != NULL && shared->with_callbacks != NULL);
	return 0;
}

static int
teardown(void **state)
{
	assert_int_equal(mag_cache_destroy(shared->plain), 0);
	assert_int_equal(mag_cache_destroy(shared->with_callbacks), 0);
	assert_int_equal(mag_region_destroy(region), 0);
	assert_int_equal(constructed, 0);
	return teardown_bare(state);
}

TEST(a_process_with_our_number_is_another_one, setup, teardown)
{
	void *object = mag_cache_alloc(shared->with_callbacks);
	int status;

	assert_non_null(object);
	mag_cache_free(shared->with_callbacks, object);
	assert_true(mag_perimeter_enter(shared->plain, false));
	assert_true(mag_perimeter_enter(shared->with_callbacks, false));
	status = harness_copy_status(harness_copy_with_our_number(ENV_CHILD, "number"));
	mag_perimeter_leave(shared->with_callbacks);
	mag_perimeter_leave(shared->plain);
	assert_int_equal(status, 0);
}

static size_t
heap_used(void)
{
	struct rte_malloc_socket_stats stats;
	unsigned int i;
	size_t sum = 0;

	for (i = 0; i < rte_socket_count(); i++)
		if (rte_malloc_get_socket_stats(rte_socket_id_by_idx(i), &stats) == 0)
			sum += stats.heap_allocsz_bytes;
	return sum;
}

static uint64_t
updates_of(const struct rte_mempool *mp)
{
	struct mag_cache_stats stats;

	mag_cache_stats_get(rte_mempool_magazine_cache(mp), &stats);
	return stats.updates;
}

static void
assert_is_updated(const struct rte_mempool *mp)
{
	uint64_t before = updates_of(mp);
	unsigned int ms;

	for (ms = 0; ms < WAIT_MS && updates_of(mp) < before + 3; ms++)
		usleep(1000);
	assert_true(updates_of(mp) >= before + 3);
}

/* Those of the fixture. */
#define LISTED 2

TEST(a_pool_freed_by_a_secondary_process_leaves_the_list_of_who_made_it, setup, teardown)
{
	struct rte_mempool *mp, *later;
	void *objects[3];
	size_t before;
	int status;

	/* What is made with the first pool, and kept, is there. */
	rte_mempool_free(pool_make(POOL_SPEC(OBJECTS, 64)));
	before = heap_used();
	mp = pool_shared();
	assert_int_equal(rte_mempool_get_bulk(mp, objects, 3), 0);
	assert_int_equal(caches_listed(), LISTED + 1);
	status = harness_copy_status(harness_copy(ENV_CHILD, "free", NULL));
	rte_memzone_free(rte_memzone_lookup(CHUNK));
	assert_int_equal(status, 0);
	assert_true(list_comes_to(LISTED));
	assert_int_equal(caches_listed(), LISTED);
	assert_int_equal(heap_used(), before);
	later = pool_shared();
	assert_is_updated(later);
	rte_mempool_free(later);
	rte_memzone_free(rte_memzone_lookup(CHUNK));
}

/* Maintenance of another process's pool, and its objects. */
static void
assert_serves(struct rte_mempool *mp)
{
	struct mag_cache *cache = rte_mempool_magazine_cache(mp);

	assert_ptr_equal(rte_mempool_magazine_lookup(mp->name), mp);
	assert_int_equal(take_all(mp), 0);
	assert_int_equal(mag_cache_update(cache), 0);
	assert_int_equal(mag_cache_reap_now(cache, false), 0);
	assert_int_equal(mag_cache_reap_now(cache, true), 0);
	assert_int_equal(mag_cache_reclaim(cache, true), 0);
	assert_int_equal(mag_cache_resize(cache, ROUNDS, true), 0);
	assert_int_equal(mag_cache_purge(cache), 0);
	assert_int_equal(mag_cache_enable(cache), 0);
	assert_int_equal(take_all(mp), 0);
	assert_int_equal(rte_mempool_avail_count(mp), OBJECTS);
}

static void
pool_of_a_secondary_is_freed(const char *what)
{
	pid_t pid = harness_copy(ENV_CHILD, what, NULL);
	struct rte_mempool *mp;
	int status = 0;

	while (!shared->made && harness_copy_runs(pid))
		usleep(1000);
	if (strcmp(what, "make") == 0 || !shared->made)
		status = harness_copy_status(pid);
	assert_true(shared->made);
	mp = the_pool();
	assert_serves(mp);
	/* One that has ended leaves it to us. */
	assert_true(strcmp(what, "make") != 0 || list_comes_to(LISTED + 1));
	log_begin();
	rte_mempool_free(mp);
	log_end();
	shared->freed = true;
	if (strcmp(what, "make") != 0)
		status = harness_copy_status(pid);
	assert_int_equal(status, 0);
	assert_non_null(mp);
	assert_int_equal(log_has("which made it"), strcmp(what, "make") != 0);
	rte_memzone_free(rte_memzone_lookup(CHUNK));
	assert_int_equal(caches_listed(), LISTED);
}

TEST(a_pool_of_a_secondary_process_leaves_its_list_when_we_free_it, setup, teardown)
{
	pool_of_a_secondary_is_freed("make and stay");
}

TEST(a_pool_of_a_process_that_has_ended_is_freed_all_the_same, setup, teardown)
{
	struct rte_mempool *later;

	pool_of_a_secondary_is_freed("make");
	later = pool_shared();
	assert_is_updated(later);
	rte_mempool_free(later);
	rte_memzone_free(rte_memzone_lookup(CHUNK));
}

/* Slots that were ever used, and the shared one. */
static unsigned int
slots_used(const struct rte_mempool *mp)
{
	static struct mag_slot_stats stats[1000];

	return mag_cache_slot_stats_get(rte_mempool_magazine_cache(mp), stats, RTE_DIM(stats));
}

static _Atomic bool enough;

static int
worker_main(void *arg)
{
	struct rte_mempool *mp = arg;
	unsigned int i;

	for (i = 0; !enough; i++) {
		pool_take_a_turn(mp, 1 + i % TURN);
		/* Others have to start. */
		if (i % TURN == TURN - 1)
			usleep(100);
	}
	return mag_lcore_flush();
}

static unsigned int
visits_wanted(void)
{
	bool is_default =
		!harness_has_arg("--legacy-mem") && !harness_has_arg("--single-file-segments");

	if (run_is_full())
		return is_default ? VISITS_FULL : VISITS_FULL / 20;
	return is_default ? VISITS : VISITS / 5;
}

/* Memory as it is after the first of them: what is made once and kept is there. */
TEST(processes_that_come_and_go_beside_traffic_leave_nothing_behind, setup_bare, teardown_bare)
{
	struct rte_mempool *mp =
		pool_make(POOL_SPEC(OBJECTS, 64, .config = "rounds=14,interval=10ms"));
	unsigned int i, slots = 0, visits = visits_wanted();
	size_t heap = 0;
	int ret = 0;

	enough = false;
	assert_int_equal(rte_eal_remote_launch(worker_main, mp, 1), 0);
	for (i = 0; i < visits && ret == 0; i++) {
		ret = harness_copy_status(harness_copy(ENV_CHILD, "visit", NULL));
		if (i == 0) {
			slots = slots_used(mp);
			heap = heap_used();
		}
	}
	enough = true;
	assert_int_equal(rte_eal_wait_lcore(1), 0);
	assert_int_equal(ret, 0);
	assert_int_equal(take_all(mp), 0);
	assert_int_equal(rte_mempool_avail_count(mp), OBJECTS);
	assert_is_updated(mp);
	assert_true(slots_used(mp) <= slots + 2);
	assert_int_equal(heap_used(), heap);
	rte_mempool_free(mp);
}

/* By a signal, or with its control group. */
struct victim {
	pid_t pid;
	struct freezer *freezer;
	_Atomic bool stopped;
};

static void
victim_stop(struct victim *victim)
{
	int status;

	if (victim->freezer != NULL) {
		freezer_freeze(victim->freezer);
	} else {
		assert_int_equal(kill(victim->pid, SIGSTOP), 0);
		assert_int_equal(waitpid(victim->pid, &status, WUNTRACED), victim->pid);
		assert_true(WIFSTOPPED(status));
	}
	victim->stopped = true;
}

static void
continue_later(void *arg)
{
	struct victim *victim = arg;

	usleep(run_is_full() ? STOP_FULL_US : STOP_US);
	victim->stopped = false;
	if (victim->freezer != NULL)
		freezer_thaw(victim->freezer);
	else
		kill(victim->pid, SIGCONT);
}

/* Takes that ended while it was stopped: all but what it has, and what is in its slot. */
static unsigned int
takes_beside_stopped(struct rte_mempool *mp, struct victim *victim)
{
	static void *objects[OBJECTS];
	unsigned int n, takes = 0;
	struct task task;

	victim_stop(victim);
	task_thread(&task, continue_later, victim);
	while (victim->stopped) {
		for (n = 0; n < OBJECTS && rte_mempool_get(mp, &objects[n]) == 0; n++)
			;
		rte_mempool_put_bulk(mp, objects, n);
		if (!victim->stopped)
			break;
		takes++;
		assert_true(n >= OBJECTS - TURN - 4 * ROUNDS);
	}
	task_join(&task);
	return takes;
}

/*
 * As one whose CPU others have for so long. In a lock of the slabs, which is rare, it delays
 * others.
 */
static void
stop_again_and_again(bool freeze)
{
	struct rte_mempool *mp =
		pool_make(POOL_SPEC(OBJECTS, 64, .config = "rounds=14,interval=10ms"));
	struct victim victim = {.pid = harness_copy(ENV_CHILD, "work", NULL)};
	unsigned int i, undelayed = 0, stops = STOPS;
	struct freezer freezer;

	while (!shared->made && harness_copy_runs(victim.pid))
		usleep(1000);
	if (freeze && freezer_make(&freezer, victim.pid))
		victim.freezer = &freezer;
	if (freeze && victim.freezer == NULL)
		stops = 0;
	for (i = 0; i < stops && harness_copy_runs(victim.pid); i++) {
		undelayed += takes_beside_stopped(mp, &victim) > 0;
		usleep(1000 * i);
	}
	shared->freed = true;
	assert_int_equal(harness_copy_status(victim.pid), 0);
	if (victim.freezer != NULL)
		freezer_end(victim.freezer);
	assert_int_equal(take_all(mp), 0);
	assert_int_equal(rte_mempool_avail_count(mp), OBJECTS);
	rte_mempool_free(mp);
	if (stops == 0)
		SKIP_TEST("no control group can be frozen here: that needs root, and cgroup v2, or "
			  "v1 with its freezer, below /sys/fs/cgroup");
	assert_true(undelayed > stops / 2);
}

TEST(a_process_that_is_stopped_delays_nobody_who_needs_none_of_its_objects, setup_bare,
     teardown_bare)
{
	stop_again_and_again(false);
}

TEST(a_process_that_is_frozen_delays_nobody_who_needs_none_of_its_objects, setup_bare,
     teardown_bare)
{
	stop_again_and_again(true);
}

TEST(a_process_that_is_killed_leaves_its_magazines_and_slots_to_others, setup, teardown)
{
	struct rte_mempool *mp =
		pool_make(POOL_SPEC(OBJECTS, 64, .config = "rounds=14,interval=10ms"));
	unsigned int i, before;
	int status;

	assert_int_equal(take_all(mp), 0);
	before = slots_used(mp);
	for (i = 0; i < KILLS; i++) {
		status = harness_copy_status(harness_copy(ENV_CHILD, "killed", NULL));
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		assert_int_equal(rte_mempool_avail_count(mp), OBJECTS);
		assert_int_equal(take_all(mp), 0);
		assert_is_updated(mp);
		assert_is_updated(mp);
	}
	assert_true(slots_used(mp) <= before + 1);
	rte_mempool_free(mp);
}

int
main(int argc, char **argv)
{
	return HARNESS_RUN_OR_CHILD(argc, argv, LCORES, ENV_CHILD, run_as_child);
}
