/* SPDX-License-Identifier: BSD-3-Clause */

/* The library in a child of fork(), while the parent lives and when it is dead. */

#include "eal.h"
#include "mag_maint.h"
#include "mag_stats.h"
#include "control/registry.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/peer.h"
#include "outside/fork.h"
#include "fixture.h"
#include "outside/maint.h"
#include "slot/hands.h"

#define COUNT 4096
#define SIZE 64
#define TURNS 20000
#define BULK 40
/* Set in a copy of this program: what it does, and the descriptor on which its children report. */
#define ENV_ROLE "UNIT_FORK_ROLE"
#define ENV_REPORT "UNIT_FORK_REPORT"
#define DAEMON "daemon"     /* forks, and exits at once */
#define SIBLINGS "siblings" /* forks twice, and exits */
#define DAEMONS 5

#if defined(__SANITIZE_ADDRESS__)
const char *__asan_default_options(void);

/* A child ends with all that its parent had. */
const char *
__asan_default_options(void)
{
	return "detect_leaks=0";
}
#endif

/* ThreadSanitizer cannot follow threads that the child of a program with threads starts. */
#if defined(__SANITIZE_THREAD__)
#define CHILD_HAS_THREADS()                                                                        \
	do {                                                                                       \
		printf("# skip: ThreadSanitizer follows no threads of a forked child\n");          \
		skip();                                                                            \
	} while (0)
#else
#define CHILD_HAS_THREADS()
#endif

/* Shared by the processes: the process that has an object. */
static _Atomic uint32_t *owner;

static int
setup(void **state __rte_unused)
{
	fixture_shared(COUNT, SIZE, 0, &mag_options_default);
	owner = shared_memory(COUNT * sizeof(*owner));
	return 0;
}

static int
teardown(void **state __rte_unused)
{
	fixture_shared_drop(COUNT);
	munmap((void *)owner, COUNT * sizeof(*owner));
	return 0;
}

static unsigned int
number_of(const void *object)
{
	return ((const char *)object - ground.memory) / SIZE;
}

/* Returns the objects that somebody else had at the same time. */
static unsigned int
turns(void)
{
	uint32_t me = mag_process_id;
	void *objects[BULK];
	unsigned int turn, i, n, clashes = 0;

	for (turn = 0; turn < TURNS; turn++) {
		n = 1 + turn % BULK;
		if (mag_cache_take_all(cache, objects, n, true) != 0)
			continue;
		for (i = 0; i < n; i++)
			clashes += atomic_exchange(&owner[number_of(objects[i])], me) != 0;
		for (i = 0; i < n; i++)
			clashes += atomic_exchange(&owner[number_of(objects[i])], 0) != me;
		mag_cache_give(cache, objects, n);
	}
	return clashes;
}

static pid_t
child_start(int (*work)(void))
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(work());
	return pid;
}

static int
child_status(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
turns_run(void *arg)
{
	*(unsigned int *)arg = turns();
}

static int
child_takes_turns(void)
{
	return mag_thread_slot() != MAG_SLOT_SHARED || turns() != 0 ||
	       mag_thread_slot() == MAG_SLOT_SHARED || mag_maint_runner() != MAG_MAINT_NONE;
}

TEST(test_parent_and_children_use_a_pool_at_once, setup, teardown)
{
	unsigned int clashes[2] = {1, 1};
	pid_t child[2];

	assert_int_equal(turns(), 0);
	assert_int_not_equal(mag_thread_slot(), MAG_SLOT_SHARED);
	child[0] = child_start(child_takes_turns);
	child[1] = child_start(child_takes_turns);
	run_on_lcore(1, turns_run, &clashes[0]);
	clashes[1] = turns();
	assert_int_equal(child_status(child[0]), 0);
	assert_int_equal(child_status(child[1]), 0);
	assert_int_equal(clashes[0], 0);
	assert_int_equal(clashes[1], 0);
	assert_int_equal(mag_cache_available(cache), COUNT);
}

static uint32_t parent_id;

static int
child_ends_its_thread(void)
{
	if (mag_process_id == parent_id)
		return 1;
	pthread_exit(NULL);
}

TEST(test_a_child_that_ends_leaves_the_slot_of_its_parent_alone, setup, teardown)
{
	uint32_t held;

	turns();
	parent_id = mag_process_id;
	held = mag_slot_objects(own_slot());
	assert_true(held > 0);
	assert_int_equal(child_status(child_start(child_ends_its_thread)), 0);
	assert_int_equal(mag_slot_objects(own_slot()), held);
	assert_int_equal(mag_process_id, parent_id);
}

static int
child_makes_a_cache(void)
{
	struct mag_cache_params params = CACHE_PARAMS(.name = "own", .object_size = SIZE);
	struct mag_cache *own = mag_cache_create(&params);
	uint64_t end = wait_deadline();
	void *object;

	if (own == NULL || mag_cache_listed() != 1 || mag_maint_runner() != MAG_MAINT_THREAD)
		return 1;
	object = mag_cache_alloc(own);
	if (object == NULL)
		return 2;
	mag_cache_free(own, object);
	if (mag_maint_interval(10) != 0)
		return 3;
	while (own->updates < 3)
		if (wait_is_over(end))
			return 4;
	if (cache->process != parent_id)
		return 5;
	if (mag_cache_destroy(own) != 0 || mag_maint_runner() != MAG_MAINT_NONE)
		return 6;
	return 0;
}

TEST(test_a_child_maintains_its_own_caches_and_no_others, setup, teardown)
{
	CHILD_HAS_THREADS();
	parent_id = mag_process_id;
	assert_int_equal(child_status(child_start(child_makes_a_cache)), 0);
	assert_int_equal(mag_cache_listed(), 1);
	assert_int_equal(mag_maint_interval(10), 0);
	wait_until(cache->updates >= 3);
	assert_int_equal(mag_maint_interval(0), 0);
}

static void
destruct(void *object __rte_unused, void *arg __rte_unused)
{
}

static struct mag_cache *callbacks;

static int
child_uses_callbacks(void)
{
	return mag_cache_alloc(callbacks) != NULL ||
	       mag_cache_reap_now(callbacks, false) != -EPERM ||
	       mag_cache_destroy(callbacks) != -EPERM;
}

TEST(test_a_cache_with_callbacks_stays_the_parents, setup, teardown)
{
	callbacks = make_cache(
		CACHE_PARAMS(.name = "callbacks", .object_size = SIZE, .destructor = destruct));
	assert_int_equal(child_status(child_start(child_uses_callbacks)), 0);
	drop_cache(callbacks);
}

static int
child_walks(void)
{
	return mag_cache_listed() != 0;
}

static void
fork_visit(struct mag_cache *visited __rte_unused, void *arg)
{
	*(pid_t *)arg = child_start(child_walks);
}

TEST(test_a_walk_over_caches_may_fork, setup, teardown)
{
	pid_t pid = -1;

	assert_int_equal(mag_cache_walk(fork_visit, &pid), 0);
	assert_int_equal(child_status(pid), 0);
}

TEST(test_forks_do_not_disturb_maintenance, setup, teardown)
{
	unsigned int i;

	assert_int_equal(mag_maint_interval(1), 0);
	for (i = 0; i < 50; i++)
		assert_int_equal(child_status(child_start(child_walks)), 0);
	wait_for_updates(3);
	assert_int_equal(mag_maint_interval(0), 0);
}

static int
child_ends_inside(void)
{
	turns();
	mag_slot_enter(own_slot());
	return 0;
}

static int
child_ends_torn(void)
{
	int ret = child_ends_inside();

	mag_slot_exchange_begin(own_slot());
	return ret;
}

/* Its magazines are others', or their objects are, if these were changing places. */
TEST(test_a_child_that_ends_inside_its_slot_leaves_it_to_others, setup, teardown)
{
	static int (*const ends[])(void) = {child_ends_inside, child_ends_torn};
	static void *all[COUNT];
	uint32_t before = mag_thread_owners();
	unsigned int i;

	assert_int_equal(mag_maint_interval(1), 0);
	for (i = 0; i < RTE_DIM(ends); i++) {
		assert_int_equal(child_status(child_start(ends[i])), 0);
		wait_until(mag_thread_owners() == before);
		assert_int_equal(mag_cache_take_all(cache, all, COUNT, true), 0);
		mag_cache_give(cache, all, COUNT);
	}
	assert_int_equal(mag_maint_interval(0), 0);
}

/* More processes at once than the table has peers: the others are guests. */

#define CROWD 70

static struct crowd {
	_Atomic unsigned int arrived, guests, wrong;
	_Atomic bool all; /* have arrived */
	_Atomic bool holds;
} * crowd;

static bool
serves(void)
{
	void *objects[BULK];

	if (mag_cache_take_all(cache, objects, BULK, true) != 0)
		return false;
	mag_cache_give(cache, objects, BULK);
	return true;
}

/* Until it is killed: one guest then has magazines in its hands, and a lock. */
static void
be_one_of_many(void)
{
	bool served, guest, said, first;

	log_begin();
	served = serves() && serves();
	log_end();
	guest = mag_thread_slot() == MAG_SLOT_SHARED;
	said = log_lines() == 1 && log_has("processes use magazines already");
	atomic_fetch_add(&crowd->wrong, !served || guest != said);
	first = guest && atomic_fetch_add(&crowd->guests, 1) == 0;
	atomic_fetch_add(&crowd->arrived, 1);
	while (!atomic_load(&crowd->all))
		usleep(1000);
	if (first) {
		mag_hands_begin();
		mag_slab_lock(&cache->first.slab);
		atomic_store(&crowd->holds, true);
	}
	for (;;)
		pause();
}

static void
kill_all(const pid_t *child)
{
	unsigned int i;
	int status;

	for (i = 0; i < CROWD; i++)
		assert_int_equal(kill(child[i], SIGKILL), 0);
	for (i = 0; i < CROWD; i++)
		assert_int_equal(waitpid(child[i], &status, 0), child[i]);
}

TEST(test_one_process_more_than_there_are_places_for_works_and_says_so, setup, teardown)
{
	uint32_t owners = mag_thread_owners();
	static void *all[COUNT];
	pid_t child[CROWD];
	unsigned int i;
	uint64_t sum;

	crowd = shared_memory(sizeof(*crowd));
	for (i = 0; i < CROWD; i++) {
		child[i] = fork();
		assert_true(child[i] >= 0);
		if (child[i] == 0)
			be_one_of_many();
	}
	wait_until(atomic_load(&crowd->arrived) == CROWD);
	assert_int_equal(crowd->wrong, 0);
	/* This process has a place too. */
	assert_int_equal(crowd->guests, CROWD + 1 - MAG_PEERS);
	assert_int_equal(mag_thread_owners(), owners + MAG_PEERS - 1);
	atomic_store(&crowd->all, true);
	wait_until(atomic_load(&crowd->holds));
	kill_all(child);
	/* All is as if they had not been: others are recovered, too. */
	assert_int_equal(mag_maint_interval(1), 0);
	wait_until(mag_thread_owners() == owners);
	assert_true(mag_hands_are_empty(&sum));
	assert_int_equal(mag_maint_interval(0), 0);
	assert_int_equal(mag_cache_take_all(cache, all, COUNT, true), 0);
	mag_cache_give(cache, all, COUNT);
	munmap(crowd, sizeof(*crowd));
}

/* Copies of this program whose parent dies */

/* Until this process has taken over, or its sibling has. */
static char
inherit(uint32_t before)
{
	uint64_t end = wait_deadline();

	while (!wait_is_over(end)) {
		if (turns() != 0)
			return 'x';
		if (cache->process != before) {
			/* Time for another look. */
			let_pass(20);
			return mag_fork_is_heir() ? 'h' : 's';
		}
	}
	return 't';
}

/* An heir has an lcore's slot, updates caches, and purges all slots. */
static char
reign(void)
{
	uint64_t updates = cache->updates, end = wait_deadline();

	if (turns() != 0 || mag_thread_slot() == MAG_SLOT_SHARED)
		return '1';
	if (mag_maint_interval(10) != 0)
		return '2';
	while (cache->updates < updates + 3)
		if (wait_is_over(end))
			return '3';
	if (mag_maint_runner() != MAG_MAINT_THREAD || mag_maint_interval(0) != 0)
		return '4';
	while (mag_cache_reap_now(cache, true) != 0)
		if (wait_is_over(end))
			return '5';
	return mag_cache_available(cache) == COUNT ? 'h' : '6';
}

/* The child of a copy: it reports one character. */
static void
child_of_the_dead(uint32_t before)
{
	int report = atoi(getenv(ENV_REPORT));
	char what = inherit(before);

	/* A sibling that still takes turns holds objects. */
	if (what == 'h' && strcmp(getenv(ENV_ROLE), DAEMON) == 0) {
		what = reign();
		teardown(NULL);
	}
	if (write(report, &what, 1) != 1)
		abort();
	eal_files_remove();
	_exit(0);
}

static int
run_copy(const char *role)
{
	unsigned int i, children = strcmp(role, DAEMON) == 0 ? 1 : 2;
	uint32_t before;

	eal_start(2, NULL);
	if (setup(NULL) != 0 || turns() != 0)
		return 1;
	before = mag_process_id;
	for (i = 0; i < children; i++)
		if (fork() == 0)
			child_of_the_dead(before);
	_exit(0);
}

/* The reports of its children, a character each. */
static void
copy_run(const char *role, char *reports, unsigned int n)
{
	char text[16];
	int pipes[2];
	pid_t pid;

	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		snprintf(text, sizeof(text), "%d", pipes[1]);
		setenv(ENV_ROLE, role, 1);
		setenv(ENV_REPORT, text, 1);
		execl("/proc/self/exe", "test_fork", NULL);
		_exit(127);
	}
	close(pipes[1]);
	assert_int_equal(child_status(pid), 0);
	for (; n > 0; n--, reports++)
		if (poll(&(struct pollfd){.fd = pipes[0], .events = POLLIN}, 1,
			 WAIT_SECONDS * 2000) != 1 ||
		    read(pipes[0], reports, 1) != 1)
			fail_msg("no child of \"%s\" reports", role);
	close(pipes[0]);
}

TEST(test_a_daemon_whose_parent_exits_takes_over)
{
	unsigned int i;
	char report;

	CHILD_HAS_THREADS();
	for (i = 0; i < DAEMONS; i++) {
		copy_run(DAEMON, &report, 1);
		assert_int_equal(report, 'h');
	}
}

TEST(test_one_of_two_children_takes_over)
{
	char reports[2];

	CHILD_HAS_THREADS();
	copy_run(SIBLINGS, reports, 2);
	assert_true((reports[0] == 'h' && reports[1] == 's') ||
		    (reports[0] == 's' && reports[1] == 'h'));
}

int
main(void)
{
	const char *role = getenv(ENV_ROLE);

	if (role != NULL)
		return run_copy(role);
	eal_start(2, NULL);
	return tests_run(NULL, NULL);
}
