/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A process that is killed at any instruction: forked children go through the library step by step,
 * one is killed after each of so many steps. Then maintenance recovers, one thread takes all that
 * there is, and only what the dead one held itself may be missing.
 *
 * An heir is killed while it takes the pools of a killed process over: then the parent takes them
 * over from whichever of the two has each.
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
#include "victims.h"
#include "visits/recover.h"
#include "visits/sweep.h"

#define SIZE 64
#define SEGMENTS (COUNT / FIXTURE_BLOCK)
#define ROUNDS 14
#define OTHERS 64 /* objects of another pool */
/* With MAGAZINE_FULL: after each step of what is short, after some of what takes 100,000. */
#define FULL_STEPS UINT64_C(5000000)

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

/* Another pool is made before, and so goes after. */
static struct ground others_ground;

SETUP(setup_two)
{
	struct mag_options options = mag_options_default;

	options.rounds = ROUNDS;
	fixture_shared(OTHERS, SIZE, FIXTURE_BLOCK, &options);
	victims_other = cache;
	others_ground = ground;
	setup_visit(1);
}

static int
teardown_two(void **state)
{
	teardown(state);
	cache = victims_other;
	ground = others_ground;
	victims_other = NULL;
	fixture_shared_drop(OTHERS);
	return 0;
}

/* The child */

static void
step(uintptr_t place)
{
	if (place != STEPPER_OUTSIDE)
		shared->place = place;
	else if (shared->inside)
		return;
	if (shared->end != 0 && (place < shared->begin || place >= shared->end))
		return;
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

/* Recovery has left none that its next owner would go astray in. */
static void
assert_slots_are_whole(void)
{
	const struct mag_slot *slot;
	unsigned int i;

	for (i = 0; i < MAG_SLOTS; i++) {
		slot = slot_at(i);
		assert_int_equal(slot->torn, 0);
		assert_true(slot->loaded != NULL || slot->rounds + slot->capacity == 0);
		assert_true(slot->previous != NULL || slot->previous_rounds == 0);
	}
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

/* Places of the function that the victim is killed in. */
static void
set_places(const struct victim *victim)
{
	static const struct victim *found;
	static uint64_t begin, end;

	if (found != victim && victim->within != NULL) {
		begin = end = stepper_place(victim->within);
		while (strcmp(stepper_function(end), victim->within) == 0)
			end++;
		assert_true(end > begin);
		found = victim;
	}
	shared->begin = victim->within != NULL ? begin : 0;
	shared->end = victim->within != NULL ? end : 0;
}

static void
kill_after(const struct victim *victim, uint64_t last, uint32_t owners)
{
	static void *all[COUNT + 1];
	uint64_t updates;
	uint32_t more;
	int status;
	pid_t pid;

	*shared = (struct shared){.last = last, .inside = victim->inside};
	set_places(victim);
	/* Whoever dies first in a case of two is recovered after the second. */
	assert_int_equal(mag_maint_interval(MAG_INTERVAL_MAX_MS), 0);
	victim->parent_before();
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		child(victim);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	victim->parent_after();
	more = lost_in_exchange();
	assert_int_equal(mag_maint_interval(1), 0);
	updates = mag_maint_updates();
	wait_until(is_recovered(owners, updates));
	assert_slots_are_whole();
	assert_lost(victim, COUNT - drain(all), more);
	restore();
	assert_nothing_is_left();
}

static void
kill_at_each_step(const char *name)
{
	const struct victim *victim = victim_of(name);
	uint64_t steps, kills, i;
	uint32_t owners;

	if (!STEPPER_WORKS) {
		printf("# skip: nothing steps here\n");
		skip();
	}
	kills = victim->kills != 0 ? victim->kills : UINT64_MAX;
	/* Nothing of the one before. */
	*shared = (struct shared){.last = UINT64_MAX};
	victim_fill_magazines();
	owners = mag_thread_owners();
	kill_after(victim, UINT64_MAX, owners);
	assert_true(shared->done);
	steps = shared->steps;
	if (run_is_full())
		kills = victim->inside ? steps : 2 * FULL_STEPS / steps;
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

TEST(test_a_process_killed_in_swap_takes_only_what_it_held, setup, teardown)
{
	kill_at_each_step("swap");
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
	kill_at_each_step("steal_previous");
}

TEST(test_a_process_killed_in_flush_takes_only_what_it_held, setup, teardown)
{
	kill_at_each_step("flush");
	kill_at_each_step("flush_swapped");
}

TEST(test_a_process_killed_in_reap_takes_only_what_it_held, setup, teardown)
{
	kill_at_each_step("reap");
	kill_at_each_step("reap_previous");
}

TEST(test_a_process_killed_in_resize_takes_only_what_it_held, setup, teardown)
{
	kill_at_each_step("resize");
}

TEST(test_a_process_killed_in_blocks_takes_only_what_it_held, setup, teardown)
{
	kill_at_each_step("blocks");
	kill_at_each_step("blocks_on_top");
}

TEST(test_a_process_killed_in_recovery_takes_only_what_it_held, setup, teardown)
{
	kill_at_each_step("recover");
	kill_at_each_step("mend");
}

TEST(test_a_process_killed_in_taking_over_takes_only_what_it_held, setup, teardown)
{
	kill_at_each_step("take_over");
}

TEST(test_of_two_pools_each_is_taken_over_when_the_heir_is_killed_too, setup_two, teardown_two)
{
	kill_at_each_step("inherit");
}

TEST(test_an_heir_killed_in_its_first_pass_takes_only_what_it_held, setup_two, teardown_two)
{
	kill_at_each_step("first_pass");
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
