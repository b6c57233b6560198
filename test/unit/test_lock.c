/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"

#include "base/lock.h"

#define THREADS 4
#define TURNS 20000

TEST(test_a_lock_names_the_process_that_holds_it)
{
	struct mag_lock lock = {0};

	assert_true(mag_lock_try(&lock));
	assert_int_equal(lock.holder, mag_process_id);
	mag_lock_release(&lock);
	assert_int_equal(lock.holder, 0);
}

TEST(test_a_held_lock_is_not_given_to_another)
{
	struct mag_lock lock = {0};

	assert_true(mag_lock_try(&lock));
	assert_false(mag_lock_try(&lock));
	mag_lock_release(&lock);
	assert_true(mag_lock_try(&lock));
}

struct race {
	struct mag_lock lock;
	bool (*take)(struct mag_lock *lock);
	uint64_t turns;
};

static void
race_run(void *arg)
{
	struct race *race = arg;

	for (unsigned int i = 0; i < TURNS; i++) {
		race->take(&race->lock);
		race->turns++;
		mag_lock_release(&race->lock);
	}
}

static void
assert_exclusive(bool (*take)(struct mag_lock *lock))
{
	struct race race = {.take = take};
	struct task task[THREADS];

	for (unsigned int i = 0; i < THREADS; i++)
		task_thread(&task[i], race_run, &race);
	for (unsigned int i = 0; i < THREADS; i++)
		task_join(&task[i]);
	assert_int_equal(race.turns, THREADS * TURNS);
}

TEST(test_waiters_get_the_lock_one_at_a_time)
{
	assert_exclusive(mag_lock_wait);
}

static bool
try_until_held(struct mag_lock *lock)
{
	while (!mag_lock_try(lock))
		sched_yield();
	return false;
}

TEST(test_triers_get_the_lock_one_at_a_time)
{
	assert_exclusive(try_until_held);
}

int
main(void)
{
	return tests_run(NULL, NULL);
}
