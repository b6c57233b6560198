/* SPDX-License-Identifier: BSD-3-Clause */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "eal.h"

#include "base/meta.h"
#include "mag_region.h"
#include "stepper.h"
#include "stores/pile.h"

#define PLACES 8u
#define THREADS 3
#define TURNS 20000

static struct mag_pile *pile;
static _Atomic unsigned int users[PLACES], bad;

SETUP(setup)
{
	pile = mag_pile_make(PLACES, MAG_NODE_ANY);
	assert_non_null(pile);
}

TEARDOWN(teardown)
{
	mag_meta_free(pile);
}

static unsigned int
put(void *object)
{
	uint32_t i;

	for (i = 0; i < PLACES && !mag_pile_put(pile, i, object); i++)
		;
	return i;
}

TEST(test_a_pile_has_what_was_put_and_no_more_than_its_places, setup, teardown)
{
	void *objects[PLACES + 1];

	assert_int_equal(mag_pile_take(pile, objects, 1), 0);
	for (uintptr_t i = 1; i <= PLACES; i++) {
		assert_int_equal(put((void *)i), i - 1);
		assert_int_equal(mag_pile_count(pile), i);
	}
	assert_int_equal(put((void *)(uintptr_t)(PLACES + 1)), PLACES);
	assert_int_equal(mag_pile_take(pile, objects, 3), 3);
	assert_int_equal(mag_pile_count(pile), PLACES - 3);
	assert_int_equal(mag_pile_take(pile, objects, PLACES + 1), PLACES - 3);
	assert_int_equal(put((void *)1), 0);
	mag_pile_forget(pile);
	assert_int_equal(mag_pile_count(pile), 0);
}

static void *
take_and_put(void *arg)
{
	void *objects[PLACES];
	unsigned int i, n, turn;

	RTE_SET_USED(arg);
	for (turn = 0; turn < TURNS; turn++) {
		n = mag_pile_take(pile, objects, 1 + turn % PLACES);
		for (i = 0; i < n; i++)
			bad += atomic_fetch_add(&users[(uintptr_t)objects[i] - 1], 1) != 0;
		bad += mag_pile_count(pile) > PLACES - n;
		for (i = 0; i < n; i++) {
			atomic_fetch_sub(&users[(uintptr_t)objects[i] - 1], 1);
			while (put(objects[i]) == PLACES)
				sched_yield();
		}
	}
	return NULL;
}

TEST(test_an_object_is_one_takers_alone, setup, teardown)
{
	pthread_t thread[THREADS];

	for (uintptr_t i = 1; i <= PLACES; i++)
		put((void *)i);
	for (unsigned int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, take_and_put, NULL), 0);
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(bad, 0);
	assert_int_equal(mag_pile_count(pile), PLACES);
}

static uint64_t steps, last;

/* What lies in the first place moves to the last one. */
static void
move(uintptr_t place)
{
	void *object;

	RTE_SET_USED(place);
	if (++steps == last && mag_pile_take(pile, &object, 1) == 1)
		mag_pile_put(pile, PLACES - 1, object);
}

TEST(test_an_object_that_moves_meanwhile_is_counted_once_at_most, setup, teardown)
{
	uint64_t count;
	void *object;

	skip_without_steps();
	for (last = 1, steps = 1; steps >= last; last++) {
		assert_int_equal(put((void *)1), 0);
		steps = 0;
		stepper_begin(move);
		count = mag_pile_count(pile);
		stepper_end();
		assert_in_range(count, 0, 1);
		assert_int_equal(mag_pile_take(pile, &object, 1), 1);
	}
}

/* After the last one the child is killed. */
static void
step(uintptr_t place)
{
	RTE_SET_USED(place);
	if (++steps == last)
		kill(getpid(), SIGKILL);
}

/* Steps through a take and a put of the first one; did it come to their end? */
static bool
child_ends(void)
{
	int status;
	pid_t pid = fork();
	void *object;

	assert_true(pid >= 0);
	if (pid == 0) {
		stepper_begin(step);
		mag_pile_take(pile, &object, 1);
		mag_pile_put(pile, 0, object);
		stepper_end();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status);
}

TEST(test_a_process_that_is_killed_leaves_all_but_one_object, setup, teardown)
{
	void *objects[PLACES];
	unsigned int left;

	skip_without_steps();
	for (uintptr_t i = 1; i <= PLACES; i++)
		put((void *)i);
	steps = 0;
	for (last = 1; !child_ends(); last++) {
		left = mag_pile_count(pile);
		assert_in_range(left, PLACES - 1, PLACES);
		assert_int_equal(mag_pile_take(pile, objects, PLACES), left);
		for (uintptr_t i = 1; i <= PLACES; i++) {
			assert_true(left < PLACES ? i == 1 || objects[i - 2] == (void *)i :
						    objects[i - 1] == (void *)i);
			assert_int_equal(put((void *)i), i - 1);
		}
	}
	assert_true(last > 1);
	assert_int_equal(mag_pile_count(pile), PLACES);
}

TEST_PROGRAM(1)
