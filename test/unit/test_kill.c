/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A process that is killed at any instruction: forked children go through the library step by step,
 * one is killed after each of so many steps. Then maintenance recovers, one thread takes all that
 * there is, and only what the dead one held itself may be missing.
 */

#include "eal.h"
#include "mag_maint.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/peer.h"
#include "fixture.h"
#include "outside/maint.h"
#include "outside/pass.h"
#include "stepper.h"
#include "visits/purge.h"
#include "visits/recover.h"
#include "visits/sweep.h"

#define COUNT 1024
#define SIZE 64
#define SEGMENTS (COUNT / FIXTURE_BLOCK)
#define ROUNDS 14
/* With MAGAZINE_FULL: after each step of what is short, after some of what takes 100,000. */
#define FULL_STEPS UINT64_C(5000000)
/* What parent and child know of each other. */
static struct shared {
	_Atomic uint64_t steps;
	_Atomic uint64_t last; /* step after which it is killed */
	_Atomic uint64_t place;
	_Atomic uint32_t held; /* objects, outside of calls */
	_Atomic uint32_t taking, giving;
	_Atomic uint32_t id;     /* mag_process_id */
	_Atomic uint32_t victim; /* of a process that died before */
	_Atomic bool done;
} * shared;

static void
setup_visit(uint32_t visit)
{
	struct mag_options options = mag_options_default;

	options.rounds = ROUNDS;
	options.visit = visit;
	fixture_shared(COUNT, SIZE, FIXTURE_BLOCK, &options);
	shared = shared_memory(sizeof(*shared));
}

SETUP(setup)
{
	setup_visit(1);
}

SETUP(setup_quiet)
{
	setup_visit(0);
}

static int
teardown(void **state __rte_unused)
{
	mag_maint_interval(0);
	fixture_shared_drop(COUNT);
	munmap(shared, sizeof(*shared));
	return 0;
}

/* The child */

static void *mine[COUNT];

static void
take(unsigned int n)
{
	shared->taking = n;
	if (mag_cache_take_all(cache, mine + shared->held, n, true) == 0)
		shared->held += n;
	shared->taking = 0;
}

static void
give(unsigned int n)
{
	shared->giving = n;
	mag_cache_give(cache, mine + shared->held - n, n);
	shared->held -= n;
	shared->giving = 0;
}

static void
fill_magazines(void)
{
	take(200);
	give(200);
}

static void
nothing(void)
{
}

static void
get_and_put_one(void)
{
	take(1);
	give(1);
}

static void
exchange(void)
{
	take(20);
	take(50);
	give(45);
	take(3);
	give(28);
}

/* Slabs and segments go and come, all magazines being off. */
static void
off(void)
{
	mag_cache_purge(cache);
}

static void
slabs(void)
{
	take(40);
	give(10);
	take(5);
	give(35);
}

static void
on(void)
{
	mag_cache_enable(cache);
	slabs();
}

/* So many that others' magazines are needed. */
static void
take_most(void)
{
	fill_magazines();
	take(COUNT - 100);
}

static void
steal(void)
{
	take(90);
	give(90);
	take(99);
}

static void
flush(void)
{
	mag_cache_flush_slot(cache, mag_thread_slot());
}

static void
reap(void)
{
	mag_cache_reap_now(cache, false);
}

static void
resize(void)
{
	mag_cache_resize(cache, 30, false);
	mag_cache_resize(cache, 14, false);
}

static void
blocks(void)
{
	void *first[2];

	shared->taking = 2 * FIXTURE_BLOCK;
	if (mag_cache_take_blocks(cache, first, 2) == 0)
		shared->held += 2 * FIXTURE_BLOCK;
}

/* Another one has died in the middle of an exchange, and its magazines are nowhere. */
static void
leave_a_victim(void)
{
	struct mag_magazine *full[2];
	pid_t pid = fork();

	if (pid == 0) {
		fill_magazines();
		shared->victim = mag_process_id;
		mag_slot_enter(own_slot());
		mag_slot_exchange_begin(own_slot());
		mag_depot_take(&cache->first.depot, &cache->first.depot.full, 2, full);
		kill(getpid(), SIGKILL);
	}
	waitpid(pid, NULL, 0);
	take(1);
	give(1);
}

static void
recover_victim(void)
{
	mag_recover(cache, shared->victim);
}

static const struct victim {
	const char *name;
	void (*before)(void), (*act)(void);
	unsigned int kills;
} victims[] = {
	{"claim", nothing, get_and_put_one, 60},
	{"get_and_put", fill_magazines, get_and_put_one, 60},
	{"exchange", fill_magazines, exchange, 300},
	{"slabs", off, slabs, 200},
	{"magazines_come", off, on, 150},
	{"steal", take_most, steal, 100},
	{"flush", fill_magazines, flush, 60},
	{"reap", fill_magazines, reap, 20},
	{"resize", fill_magazines, resize, 10},
	{"blocks", off, blocks, 50},
	{"recover", leave_a_victim, recover_victim, 30},
};

static void
step(uintptr_t place)
{
	if (place != STEPPER_OUTSIDE)
		shared->place = place;
	if (++shared->steps == shared->last)
		kill(getpid(), SIGKILL);
}

static void
child(const struct victim *victim)
{
	shared->id = mag_process_id;
	victim->before();
	stepper_begin(step);
	victim->act();
	stepper_end();
	shared->done = true;
	kill(getpid(), SIGKILL);
}

/* The parent */

/* Those that came, and no object twice: how many. */
static unsigned int
drain(void **all)
{
	static bool seen[COUNT];
	unsigned int n, number;

	memset(seen, 0, sizeof(seen));
	for (n = 0; mag_cache_take_all(cache, &all[n], 1, true) == 0; n++) {
		number = ((const char *)all[n] - ground.memory) / SIZE;
		assert_in_range(number, 0, COUNT - 1);
		assert_false(seen[number]);
		seen[number] = true;
		assert_true(n < COUNT);
	}
	return n;
}

/* All objects again, those of the dead too. */
static void
restore(void)
{
	unsigned int i;
	void *object;

	for (i = 0; i < COUNT; i++) {
		object = ground_object(&ground, i);
		mag_cache_give(cache, &object, 1);
	}
}

static void
assert_nothing_is_left(void)
{
	const struct mag_home *home = &cache->first;

	assert_int_equal(mag_cache_available(cache), COUNT);
	assert_int_equal(cache->common.transit, 0);
	assert_int_equal(home->slab.moving, 0);
	if (!mag_cache_may_visit(cache))
		return;
	assert_int_equal(cache_purge(), 0);
	assert_int_equal(home->arena.out, 0);
	assert_int_equal(home->slab.in_use, 0);
	assert_int_equal(home->slab.out, 0);
	assert_int_equal(cache->region->part[0].segments_free, SEGMENTS);
	assert_int_equal(cache->region->part[0].objects_free, COUNT);
	assert_int_equal(cache_enable(), 0);
}

/* updates: that there were before. */
static bool
is_recovered(uint32_t owners, uint64_t updates)
{
	/* Sooner than the thread that does it otherwise; with updates it looks for the dead. */
	return mag_pass_run(true) && mag_maint_updates() > updates &&
	       !mag_peer_is_dead(shared->id) && !mag_peer_is_dead(shared->victim) &&
	       mag_thread_owners() == owners;
}

/*
 * With visit=0 a slot that was killed in the middle of an exchange may lose two full magazines:
 * their objects.
 */
static uint32_t
lost_in_exchange(void)
{
	unsigned int i;

	for (i = 0; i < MAG_SLOTS; i++)
		if (!mag_cache_may_visit(cache) && slot_at(i)->torn != 0)
			return 2 * ROUNDS;
	return 0;
}

static void
assert_lost(const struct victim *victim, uint32_t lost, uint32_t more)
{
	uint32_t held = shared->held;
	char where[200];

	if (lost <= held + shared->taking + more && lost + shared->giving >= held)
		return;
	stepper_describe(shared->place, where, sizeof(where));
	fail_msg("%s, killed after %lu steps, in %s: %u objects are missing, it held %u, was "
		 "taking %u and giving %u",
		 victim->name, (unsigned long)shared->last, where, lost, held, shared->taking,
		 shared->giving);
}

static void
kill_after(const struct victim *victim, uint64_t last, uint32_t owners)
{
	static void *all[COUNT + 1];
	uint64_t updates;
	uint32_t more;
	int status;
	pid_t pid;

	*shared = (struct shared){.last = last};
	/* Whoever dies first in a case of two is recovered after the second. */
	assert_int_equal(mag_maint_interval(MAG_INTERVAL_MAX_MS), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		child(victim);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	more = lost_in_exchange();
	assert_int_equal(mag_maint_interval(1), 0);
	updates = mag_maint_updates();
	wait_until(is_recovered(owners, updates));
	assert_lost(victim, COUNT - drain(all), more);
	restore();
	assert_nothing_is_left();
}

static void
kill_at_each_step(const char *name)
{
	const struct victim *victim = victims;
	uint64_t steps, kills, i;
	uint32_t owners;

	if (!STEPPER_WORKS) {
		printf("# skip: nothing steps here\n");
		skip();
	}
	while (strcmp(victim->name, name) != 0)
		victim++;
	kills = victim->kills;
	fill_magazines();
	owners = mag_thread_owners();
	kill_after(victim, UINT64_MAX, owners);
	assert_true(shared->done);
	steps = shared->steps;
	if (run_is_full())
		kills = 2 * FULL_STEPS / steps;
	kills = RTE_MIN(kills, steps);
	for (i = 0; i < kills; i++)
		kill_after(victim, 1 + i * steps / kills, owners);
	printf("# %s: %lu kills in %lu steps\n", victim->name, (unsigned long)kills,
	       (unsigned long)steps);
}

TEST(test_a_process_killed_in_claim_takes_only_what_it_held, setup, teardown)
{
	kill_at_each_step("claim");
}

TEST(test_a_process_killed_in_get_and_put_takes_only_what_it_held, setup, teardown)
{
	kill_at_each_step("get_and_put");
}

TEST(test_a_process_killed_in_exchange_takes_only_what_it_held, setup, teardown)
{
	kill_at_each_step("exchange");
}

TEST(test_a_process_killed_in_slabs_takes_only_what_it_held, setup, teardown)
{
	kill_at_each_step("slabs");
}

TEST(test_a_process_killed_in_magazines_come_takes_only_what_it_held, setup, teardown)
{
	kill_at_each_step("magazines_come");
}

TEST(test_a_process_killed_in_steal_takes_only_what_it_held, setup, teardown)
{
	kill_at_each_step("steal");
}

TEST(test_a_process_killed_in_flush_takes_only_what_it_held, setup, teardown)
{
	kill_at_each_step("flush");
}

TEST(test_a_process_killed_in_reap_takes_only_what_it_held, setup, teardown)
{
	kill_at_each_step("reap");
}

TEST(test_a_process_killed_in_resize_takes_only_what_it_held, setup, teardown)
{
	kill_at_each_step("resize");
}

TEST(test_a_process_killed_in_blocks_takes_only_what_it_held, setup, teardown)
{
	kill_at_each_step("blocks");
}

TEST(test_a_process_killed_in_recovery_takes_only_what_it_held, setup, teardown)
{
	kill_at_each_step("recover");
}

TEST(test_a_process_killed_where_nobody_is_visited_takes_two_magazines_at_most, setup_quiet,
     teardown)
{
	kill_at_each_step("exchange");
}

/* Stands in front of the library's own: a living thread takes a segment, past its slot. */
static bool takes_a_segment;
static struct mag_segment *taken;

void
mag_region_put_strays(struct mag_region *region, struct mag_segment *const *strays, unsigned int n)
{
	if (takes_a_segment)
		taken = mag_region_get(region, 0);
	LIBRARYS(mag_region_put_strays)(region, strays, n);
}

TEST(test_recovery_leaves_alone_what_others_take_meanwhile, setup, teardown)
{
	takes_a_segment = true;
	assert_true(mag_recover(cache, MAG_RECOVER_THREAD));
	takes_a_segment = false;
	assert_non_null(taken);
	assert_int_equal(taken->place, MAG_SEGMENT_MOVING);
	mag_region_put(cache->region, taken);
	assert_nothing_is_left();
}

TEST_PROGRAM(2)
