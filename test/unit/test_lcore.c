/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lcore.h"

#define ROUNDS 14
#define MAGAZINES 16

static struct mag_arena arena;
static struct mag_depot depot __attribute__((aligned(128)));
static struct mag_lcore lcore;

static int
setup(void **state __rte_unused)
{
	assert_int_equal(mag_arena_init(&arena, MAGAZINES * 128, -1), 0);
	mag_depot_init(&depot, &arena);
	memset(&lcore, 0, sizeof(lcore));
	lcore.size = ROUNDS;
	return 0;
}

static int
teardown(void **state __rte_unused)
{
	mag_arena_fini(&arena);
	return 0;
}

static void *
number(uintptr_t n)
{
	return (void *)(0x1000 + n);
}

static void
stock_empty(unsigned int n)
{
	while (n-- > 0)
		mag_depot_put(&depot, &depot.empty, mag_arena_get(&arena, ROUNDS));
}

static void
stock_full(uintptr_t first)
{
	struct mag_magazine *magazine = mag_arena_get(&arena, ROUNDS);
	unsigned int i;

	for (i = 0; i < ROUNDS; i++)
		magazine->round[i] = number(first + i);
	mag_depot_put(&depot, &depot.full, magazine);
}

static uint32_t
give(uintptr_t first, uint32_t n)
{
	void *objects[256];
	uint32_t i;

	for (i = 0; i < n; i++)
		objects[i] = number(first + i);
	return mag_lcore_give(&lcore, &depot, objects, n);
}

static void
assert_invariant(void)
{
	uint32_t previous = lcore.previous_rounds;

	if (lcore.previous == NULL)
		assert_int_equal(previous, 0);
	else
		assert_true(previous == 0 || previous == lcore.previous->rounds);
	assert_int_equal(lcore.capacity, lcore.loaded != NULL ? lcore.loaded->rounds : 0);
	assert_true(lcore.rounds <= lcore.capacity);
}

TEST(test_an_empty_slot_over_an_empty_depot_gives_and_takes_nothing, setup, teardown)
{
	void *objects[4];

	assert_int_equal(mag_lcore_take(&lcore, &depot, objects, 4), 0);
	assert_int_equal(give(0, 4), 0);
	assert_false(mag_lcore_get(&lcore, objects, 1));
	assert_int_equal(lcore.owner.busy, 0);
	assert_false(mag_lcore_put(&lcore, objects, 1));
	assert_int_equal(lcore.owner.busy, 0);
	assert_false(mag_lcore_get_both(&lcore, objects, 1));
	assert_int_equal(lcore.owner.busy, 0);
	assert_false(mag_lcore_put_both(&lcore, objects, 1));
	assert_int_equal(lcore.owner.busy, 0);
	assert_int_equal(lcore.allocs, 0);
}

TEST(test_the_object_given_last_is_taken_first, setup, teardown)
{
	void *object;
	unsigned int i;

	stock_empty(1);
	assert_int_equal(give(0, 5), 5);
	for (i = 5; i-- > 0;) {
		assert_true(mag_lcore_get(&lcore, &object, 1));
		assert_ptr_equal(object, number(i));
	}
	assert_false(mag_lcore_get(&lcore, &object, 1));
}

TEST(test_a_slot_holds_two_magazines, setup, teardown)
{
	stock_empty(2);
	assert_int_equal(give(0, 3 * ROUNDS), 2 * ROUNDS);
	assert_int_equal(mag_lcore_count(&lcore), 2 * ROUNDS);
	assert_int_equal(lcore.previous_rounds, ROUNDS);
	assert_int_equal(lcore.rounds, ROUNDS);
	assert_int_equal(mag_depot_total(&depot.full), 0);
}

TEST(test_a_third_magazine_pushes_the_previous_to_the_full_list, setup, teardown)
{
	struct mag_magazine *first;

	stock_empty(3);
	assert_int_equal(give(0, ROUNDS), ROUNDS);
	first = lcore.loaded;
	assert_int_equal(give(ROUNDS, ROUNDS), ROUNDS);
	assert_ptr_equal(lcore.previous, first);
	assert_int_equal(give(2 * ROUNDS, 1), 1);
	assert_int_equal(mag_depot_total(&depot.full), 1);
	assert_int_equal(mag_depot_total(&depot.empty), 0);
	assert_int_equal(lcore.previous_rounds, ROUNDS);
	assert_int_equal(lcore.rounds, 1);
	assert_int_equal(lcore.rounds_out, ROUNDS);
	assert_int_equal(lcore.exchanges, 1);
}

TEST(test_the_previous_magazine_is_swapped_in_before_the_depot_is_asked, setup, teardown)
{
	void *objects[2 * ROUNDS];

	stock_empty(2);
	stock_full(1000);
	assert_int_equal(give(0, 2 * ROUNDS), 2 * ROUNDS);
	assert_int_equal(mag_lcore_take(&lcore, &depot, objects, ROUNDS + 1), ROUNDS + 1);
	assert_ptr_equal(objects[ROUNDS], number(ROUNDS - 1));
	assert_int_equal(mag_depot_taken(&depot.full), 0);
	assert_int_equal(lcore.previous_rounds, 0);
	assert_int_equal(lcore.rounds, ROUNDS - 1);
	assert_int_equal(give(100, ROUNDS + 1), ROUNDS + 1);
	assert_int_equal(mag_depot_taken(&depot.empty), 2);
}

TEST(test_one_full_magazine_is_asked_for_up_to_its_size, setup, teardown)
{
	void *objects[ROUNDS];

	stock_full(0);
	stock_full(100);
	assert_int_equal(mag_lcore_take(&lcore, &depot, objects, ROUNDS), ROUNDS);
	assert_int_equal(mag_depot_total(&depot.full), 1);
	assert_ptr_equal(objects[0], number(100));
	assert_int_equal(lcore.rounds_in, ROUNDS);
	assert_int_equal(lcore.allocs, ROUNDS);
	assert_int_equal(lcore.exchanges, 1);
}

TEST(test_two_full_magazines_are_asked_for_beyond_its_size, setup, teardown)
{
	void *objects[ROUNDS + 1];

	stock_full(0);
	stock_full(100);
	assert_int_equal(mag_lcore_take(&lcore, &depot, objects, ROUNDS + 1), ROUNDS + 1);
	assert_int_equal(mag_depot_total(&depot.full), 0);
	assert_int_equal(mag_depot_taken(&depot.full), 1);
	assert_ptr_equal(objects[0], number(100));
	assert_ptr_equal(objects[ROUNDS], number(ROUNDS - 1));
	assert_int_equal(lcore.rounds_in, 2 * ROUNDS);
	assert_invariant();
}

TEST(test_empty_magazines_go_to_the_empty_list_when_full_ones_come, setup, teardown)
{
	void *objects[2 * ROUNDS];

	stock_empty(2);
	assert_int_equal(give(0, 2 * ROUNDS), 2 * ROUNDS);
	assert_int_equal(mag_lcore_take(&lcore, &depot, objects, 2 * ROUNDS), 2 * ROUNDS);
	stock_full(0);
	assert_int_equal(mag_lcore_take(&lcore, &depot, objects, 1), 1);
	assert_int_equal(mag_depot_total(&depot.empty), 1);
	assert_int_equal(mag_lcore_take(&lcore, &depot, objects, ROUNDS - 1), ROUNDS - 1);
	stock_full(0);
	stock_full(0);
	assert_int_equal(mag_lcore_take(&lcore, &depot, objects, ROUNDS + 1), ROUNDS + 1);
	assert_int_equal(mag_depot_total(&depot.empty), 3);
}

TEST(test_a_slot_that_is_off_leaves_the_depot_alone, setup, teardown)
{
	void *objects[4];

	lcore.size = 0;
	stock_empty(1);
	stock_full(0);
	assert_int_equal(mag_lcore_take(&lcore, &depot, objects, 4), 0);
	assert_int_equal(give(0, 4), 0);
	assert_int_equal(mag_depot_total(&depot.full), 1);
	assert_int_equal(mag_depot_total(&depot.empty), 1);
}

TEST(test_the_fast_path_is_all_or_nothing, setup, teardown)
{
	void *objects[ROUNDS + 1] = {NULL};

	stock_empty(1);
	assert_int_equal(give(0, 4), 4);
	assert_false(mag_lcore_get(&lcore, objects, 5));
	assert_null(objects[0]);
	assert_int_equal(lcore.rounds, 4);
	assert_false(mag_lcore_put(&lcore, objects, ROUNDS - 3));
	assert_int_equal(lcore.rounds, 4);
	assert_true(mag_lcore_put(&lcore, objects, ROUNDS - 4));
	assert_int_equal(lcore.rounds, ROUNDS);
	assert_true(mag_lcore_get(&lcore, objects, ROUNDS));
	assert_int_equal(lcore.rounds, 0);
	assert_int_equal(lcore.allocs, ROUNDS);
	assert_int_equal(lcore.owner.busy, 0);
}

TEST(test_the_fast_path_stays_out_while_somebody_visits, setup, teardown)
{
	void *object = number(7);

	stock_empty(1);
	assert_int_equal(give(0, 4), 4);
	mag_bias_announce(&lcore.visitor, MAG_BIAS_VISIT);
	assert_false(mag_lcore_get(&lcore, &object, 1));
	assert_false(mag_lcore_put(&lcore, &object, 1));
	assert_int_equal(lcore.rounds, 4);
	mag_bias_dismiss(&lcore.visitor, MAG_BIAS_VISIT);
	assert_true(mag_lcore_get(&lcore, &object, 1));
}

TEST(test_both_magazines_serve_without_the_slow_path, setup, teardown)
{
	void *objects[2 * ROUNDS], *more[3];
	uint32_t i;

	assert_false(mag_lcore_get_both(&lcore, objects, 1));
	assert_false(mag_lcore_put_both(&lcore, objects, 1));
	stock_empty(2);
	assert_int_equal(give(0, 2 * ROUNDS), 2 * ROUNDS);
	assert_false(mag_lcore_get_both(&lcore, objects, ROUNDS));
	assert_false(mag_lcore_get_both(&lcore, objects, 2 * ROUNDS + 1));
	assert_true(mag_lcore_get_both(&lcore, objects, ROUNDS + 3));
	assert_invariant();
	assert_int_equal(lcore.allocs, ROUNDS + 3);
	for (i = 0; i < ROUNDS; i++)
		assert_ptr_equal(objects[i], number(ROUNDS + i));
	for (i = 0; i < 3; i++)
		assert_ptr_equal(objects[ROUNDS + i], number(ROUNDS - 3 + i));
	assert_false(mag_lcore_put_both(&lcore, objects, 3));
	assert_false(mag_lcore_put_both(&lcore, objects, ROUNDS + 4));
	assert_true(mag_lcore_put_both(&lcore, objects, ROUNDS + 3));
	assert_invariant();
	assert_int_equal(mag_lcore_count(&lcore), 2 * ROUNDS);
	assert_true(mag_lcore_get(&lcore, more, 3));
	assert_memory_equal(more, objects + ROUNDS, sizeof(more));
	assert_int_equal(lcore.owner.busy, 0);
}

TEST(test_both_magazines_stay_closed_while_somebody_visits, setup, teardown)
{
	void *objects[ROUNDS + 1];

	stock_empty(2);
	assert_int_equal(give(0, 2 * ROUNDS), 2 * ROUNDS);
	mag_bias_announce(&lcore.visitor, MAG_BIAS_VISIT);
	assert_false(mag_lcore_get_both(&lcore, objects, ROUNDS + 1));
	mag_bias_dismiss(&lcore.visitor, MAG_BIAS_VISIT);
	assert_true(mag_lcore_get_both(&lcore, objects, ROUNDS + 1));
	mag_bias_announce(&lcore.visitor, MAG_BIAS_PURGE);
	assert_false(mag_lcore_put_both(&lcore, objects, ROUNDS + 1));
	assert_int_equal(mag_lcore_count(&lcore), ROUNDS - 1);
}

TEST(test_copies_are_exact, setup, teardown)
{
	void *from[20], *to[20];
	unsigned int n, i;

	for (i = 0; i < 20; i++)
		from[i] = number(i);
	for (n = 0; n <= 18; n++) {
		memset(to, 0, sizeof(to));
		mag_copy(to, from, n);
		for (i = 0; i < 20; i++)
			assert_ptr_equal(to[i], i < n ? from[i] : NULL);
	}
}

TEST(test_detaching_leaves_nothing_behind, setup, teardown)
{
	struct mag_detached detached;

	stock_empty(2);
	assert_int_equal(give(0, ROUNDS + 3), ROUNDS + 3);
	detached = mag_lcore_detach_previous(&lcore);
	assert_int_equal(detached.rounds, ROUNDS);
	assert_ptr_equal(detached.magazine->round[0], number(0));
	assert_null(lcore.previous);
	assert_int_equal(mag_lcore_count(&lcore), 3);
	detached = mag_lcore_detach_loaded(&lcore);
	assert_int_equal(detached.rounds, 3);
	assert_ptr_equal(detached.magazine->round[0], number(ROUNDS));
	assert_null(lcore.loaded);
	assert_int_equal(mag_lcore_count(&lcore), 0);
	assert_invariant();
	assert_null(mag_lcore_detach_previous(&lcore).magazine);
	assert_null(mag_lcore_detach_loaded(&lcore).magazine);
}

TEST(test_picking_takes_from_the_top_of_loaded_only, setup, teardown)
{
	void *objects[2 * ROUNDS];

	stock_empty(2);
	assert_int_equal(give(0, ROUNDS + 5), ROUNDS + 5);
	assert_int_equal(mag_lcore_pick(&lcore, objects, 2), 2);
	assert_ptr_equal(objects[0], number(ROUNDS + 3));
	assert_ptr_equal(objects[1], number(ROUNDS + 4));
	assert_int_equal(mag_lcore_pick(&lcore, objects, 2 * ROUNDS), 3);
	assert_int_equal(mag_lcore_pick(&lcore, objects, 1), 0);
	assert_int_equal(lcore.previous_rounds, ROUNDS);
}

/* The lcore layer and its depot as lists of numbers, straight from the specification. */
struct pile {
	bool there;
	uint32_t rounds;
	void *round[ROUNDS];
};

static struct {
	struct pile loaded, previous, full[MAGAZINES];
	uint32_t fulls, empties;
} model;

static void
model_swap(void)
{
	struct pile loaded = model.loaded;

	model.loaded = model.previous;
	model.previous = loaded;
}

static void
model_drop_empty(const struct pile *pile)
{
	if (pile->there)
		model.empties++;
}

static bool
model_load_full(uint32_t need)
{
	struct pile first, second;

	if (model.fulls == 0)
		return false;
	first = model.full[--model.fulls];
	model_drop_empty(&model.previous);
	if (need > ROUNDS && model.fulls > 0) {
		second = model.full[--model.fulls];
		model_drop_empty(&model.loaded);
		model.previous = second;
	} else {
		model.previous = model.loaded;
	}
	model.loaded = first;
	return true;
}

static uint32_t
model_take(void **objects, uint32_t n)
{
	uint32_t got = 0, take;

	for (;;) {
		take = RTE_MIN(model.loaded.rounds, n - got);
		model.loaded.rounds -= take;
		memcpy(objects + got, model.loaded.round + model.loaded.rounds,
		       take * sizeof(void *));
		got += take;
		if (got == n)
			return n;
		if (model.previous.rounds > 0)
			model_swap();
		else if (!model_load_full(n - got))
			return got;
	}
}

static bool
model_load_empty(void)
{
	if (model.empties == 0)
		return false;
	model.empties--;
	if (model.previous.there)
		model.full[model.fulls++] = model.previous;
	model.previous = model.loaded;
	model.loaded = (struct pile){.there = true};
	return true;
}

static uint32_t
model_give(void *const *objects, uint32_t n)
{
	uint32_t done;

	for (done = 0; done < n;) {
		if (model.loaded.there && model.loaded.rounds < ROUNDS)
			model.loaded.round[model.loaded.rounds++] = objects[done++];
		else if (model.previous.there && model.previous.rounds == 0)
			model_swap();
		else if (!model_load_empty())
			break;
	}
	return done;
}

static void
assert_like_model(void)
{
	assert_int_equal(lcore.loaded != NULL, model.loaded.there);
	assert_int_equal(lcore.previous != NULL, model.previous.there);
	assert_int_equal(lcore.rounds, model.loaded.rounds);
	assert_int_equal(lcore.previous_rounds, model.previous.rounds);
	assert_int_equal(mag_depot_total(&depot.full), model.fulls);
	assert_int_equal(mag_depot_total(&depot.empty), model.empties);
	assert_invariant();
}

static void
random_take(uint32_t n)
{
	void *objects[3 * ROUNDS], *wanted[3 * ROUNDS];
	uint32_t got;

	if (random_below(2) == 0 && mag_lcore_get(&lcore, objects, n))
		got = n;
	else if (random_below(2) == 0 && mag_lcore_get_both(&lcore, objects, n))
		got = n;
	else
		got = mag_lcore_take(&lcore, &depot, objects, n);
	assert_int_equal(model_take(wanted, n), got);
	assert_memory_equal(objects, wanted, got * sizeof(void *));
}

static void
random_give(uintptr_t *next, uint32_t n)
{
	void *objects[3 * ROUNDS];
	uint32_t i, done;

	for (i = 0; i < n; i++)
		objects[i] = number((*next)++);
	if (random_below(2) == 0 && mag_lcore_put(&lcore, objects, n))
		done = n;
	else if (random_below(2) == 0 && mag_lcore_put_both(&lcore, objects, n))
		done = n;
	else
		done = mag_lcore_give(&lcore, &depot, objects, n);
	assert_int_equal(model_give(objects, n), done);
}

TEST(test_random_operations_do_what_the_specification_says, setup, teardown)
{
	unsigned int i, bias = 0;
	uintptr_t next = 0;

	memset(&model, 0, sizeof(model));
	stock_empty(8);
	model.empties = 8;
	for (i = 0; i < 30000; i++) {
		if (i % 100 == 0)
			bias = random_below(11);
		if (random_below(10) < bias)
			random_give(&next, 1 + random_below(3 * ROUNDS - 1));
		else
			random_take(1 + random_below(3 * ROUNDS - 1));
		assert_like_model();
	}
}

TEST(test_frees_can_be_derived_from_exchanges, setup, teardown)
{
	uint64_t given = 0, taken = 0;
	void *objects[3 * ROUNDS];
	unsigned int i;

	stock_empty(8);
	for (i = 0; i < 5000; i++) {
		if (random_below(2) == 0)
			given += give(0, 1 + random_below(3 * ROUNDS - 1));
		else
			taken += mag_lcore_take(&lcore, &depot, objects,
						1 + random_below(3 * ROUNDS - 1));
		assert_int_equal(lcore.allocs, taken);
		assert_int_equal(lcore.allocs + lcore.rounds_out + mag_lcore_count(&lcore) -
					 lcore.rounds_in,
				 given);
	}
}

static _Atomic uint32_t flushed[MAG_SLOTS];

static void
flush(uint32_t slot)
{
	atomic_fetch_add(&flushed[slot], 1);
}

TEST(test_an_lcore_claims_the_slot_of_its_number, setup, teardown)
{
	mag_lcore_claim();
	assert_int_equal(mag_lcore_slot_number(), rte_lcore_id());
	assert_int_equal(mag_lcore_id_of(rte_lcore_id()), rte_lcore_id());
	assert_true(mag_lcore_slots() > rte_lcore_id());
	assert_true(mag_lcore_owners() >= 1);
}

static void
claim_run(void *arg)
{
	uint32_t *slot = arg;

	mag_lcore_claim();
	*slot = mag_lcore_slot_number();
}

TEST(test_a_worker_keeps_its_slot_from_job_to_job, setup, teardown)
{
	uint32_t slot = 0, owners;

	run_on_lcore(1, claim_run, &slot);
	assert_int_equal(slot, 1);
	owners = mag_lcore_owners();
	run_on_lcore(1, claim_run, &slot);
	assert_int_equal(slot, 1);
	assert_int_equal(mag_lcore_owners(), owners);
}

TEST(test_a_thread_without_lcore_id_has_the_shared_slot, setup, teardown)
{
	uint32_t slot = 0, owners = mag_lcore_owners();

	run_on_thread(claim_run, &slot);
	assert_int_equal(slot, MAG_SLOT_SHARED);
	assert_int_equal(mag_lcore_owners(), owners);
	assert_int_equal(mag_lcore_id_of(MAG_SLOT_SHARED), LCORE_ID_ANY);
}

struct stay {
	uint32_t slot;
	unsigned int lcore;
	_Atomic bool claimed, leave;
};

static void
stay_run(void *arg)
{
	struct stay *stay = arg;

	if (rte_thread_register() != 0)
		abort();
	stay->lcore = rte_lcore_id();
	mag_lcore_claim();
	stay->slot = mag_lcore_slot_number();
	rte_thread_unregister();
	atomic_store(&stay->claimed, true);
	while (!atomic_load(&stay->leave))
		let_pass(1);
}

TEST(test_a_registered_thread_claims_a_slot_and_releases_it_when_it_ends, setup, teardown)
{
	uint32_t owners = mag_lcore_owners(), before;
	struct stay stay = {0};
	struct task task;

	task_thread(&task, stay_run, &stay);
	wait_until(atomic_load(&stay.claimed));
	assert_int_not_equal(stay.slot, MAG_SLOT_SHARED);
	assert_int_equal(stay.slot, stay.lcore);
	assert_int_equal(mag_lcore_owners(), owners + 1);
	assert_int_equal(mag_lcore_id_of(stay.slot), stay.lcore);
	before = flushed[stay.slot];
	atomic_store(&stay.leave, true);
	task_join(&task);
	assert_int_equal(flushed[stay.slot], before + 1);
	assert_int_equal(mag_lcore_owners(), owners);
	assert_int_equal(mag_lcore_id_of(stay.slot), LCORE_ID_ANY);
	assert_true(mag_lcore_slots() > stay.slot);
}

TEST(test_an_lcore_id_that_is_used_again_gets_another_slot, setup, teardown)
{
	struct stay stay[2] = {{0}};
	struct task task[2];

	task_thread(&task[0], stay_run, &stay[0]);
	wait_until(atomic_load(&stay[0].claimed));
	task_thread(&task[1], stay_run, &stay[1]);
	wait_until(atomic_load(&stay[1].claimed));
	assert_int_equal(stay[0].lcore, stay[1].lcore);
	assert_int_not_equal(stay[0].slot, stay[1].slot);
	assert_int_not_equal(stay[1].slot, MAG_SLOT_SHARED);
	assert_int_equal(mag_lcore_id_of(stay[1].slot), stay[1].lcore);
	atomic_store(&stay[0].leave, true);
	task_join(&task[0]);
	assert_int_equal(mag_lcore_id_of(stay[1].slot), stay[1].lcore);
	atomic_store(&stay[1].leave, true);
	task_join(&task[1]);
}

static pthread_key_t late_key;
static _Atomic uint32_t late_slot;

static void
late(void *arg __rte_unused)
{
	atomic_store(&late_slot, mag_lcore_slot_number());
}

static void
late_run(void *arg)
{
	if (pthread_setspecific(late_key, arg) != 0)
		abort();
	mag_lcore_claim();
	*(uint32_t *)arg = mag_lcore_slot_number();
}

TEST(test_what_a_thread_does_after_its_slot_was_released_goes_to_the_shared_one, setup, teardown)
{
	uint32_t slot = MAG_SLOT_SHARED;

	/* Made after the library's own, so its destructor runs later. */
	assert_int_equal(pthread_key_create(&late_key, late), 0);
	atomic_store(&late_slot, 0);
	run_on_registered(late_run, &slot);
	assert_int_not_equal(slot, MAG_SLOT_SHARED);
	assert_int_equal(late_slot, MAG_SLOT_SHARED);
	assert_int_equal(pthread_key_delete(late_key), 0);
}

TEST(test_who_comes_when_all_slots_are_taken_has_the_shared_one, setup, teardown)
{
	static struct stay stay[RTE_MAX_LCORE + 1];
	static struct task task[RTE_MAX_LCORE + 1];
	uint32_t owners = mag_lcore_owners();
	unsigned int i, shared = 0;

	for (i = 0; i <= RTE_MAX_LCORE - owners; i++) {
		task_thread(&task[i], stay_run, &stay[i]);
		wait_until(atomic_load(&stay[i].claimed));
		shared += stay[i].slot == MAG_SLOT_SHARED;
	}
	assert_int_equal(shared, 1);
	assert_int_equal(stay[i - 1].slot, MAG_SLOT_SHARED);
	assert_int_equal(mag_lcore_owners(), RTE_MAX_LCORE);
	while (i-- > 0) {
		atomic_store(&stay[i].leave, true);
		task_join(&task[i]);
	}
	assert_int_equal(mag_lcore_owners(), owners);
}

#ifndef MAG_TSAN

/* Stands in front of the C library's own. */
static _Thread_local bool refuses_to_tell;

int
pthread_setspecific(pthread_key_t key, const void *value)
{
	/* clang-format off */
	int (*set)(pthread_key_t key, const void *value);
	/* clang-format on */

	if (refuses_to_tell)
		return ENOMEM;
	set = (__typeof__(set))(uintptr_t)dlsym(RTLD_NEXT, "pthread_setspecific");
	return set(key, value);
}

static void
claim_untold_run(void *arg)
{
	uint32_t *slot = arg;

	refuses_to_tell = true;
	mag_lcore_claim();
	slot[0] = mag_lcore_slot_number();
	refuses_to_tell = false;
	mag_lcore_claim();
	slot[1] = mag_lcore_slot_number();
	slot[2] = rte_lcore_id();
}

TEST(test_a_thread_whose_end_will_not_be_told_has_the_shared_one, setup, teardown)
{
	uint32_t owners = mag_lcore_owners(), slot[3];

	run_on_registered(claim_untold_run, slot);
	assert_int_equal(slot[0], MAG_SLOT_SHARED);
	assert_int_equal(slot[1], slot[2]);
	assert_int_equal(mag_lcore_owners(), owners);
}

#else

TEST(test_a_thread_whose_end_will_not_be_told_has_the_shared_one, setup, teardown)
{
	printf("# skip: ThreadSanitizer itself needs pthread_setspecific() before it has begun\n");
	skip();
}

#endif /* MAG_TSAN */

static struct mag_lcore slots[MAG_SLOTS];

TEST(test_an_owner_can_keep_itself_out, setup, teardown)
{
	struct mag_lcore *own;

	mag_lcore_claim();
	own = mag_lcore_slot(slots);
	assert_ptr_equal(own, &slots[rte_lcore_id()]);
	mag_lcore_keep_out(own, true);
	assert_false(mag_bias_enter(&own->owner, &own->visitor));
	assert_false(mag_bias_enter_careful(&own->owner, &own->visitor));
	mag_lcore_keep_out(own, false);
	assert_true(mag_bias_enter(&own->owner, &own->visitor));
	mag_bias_leave(&own->owner);
}

TEST(test_an_owner_acknowledges_fences_and_nothing_else, setup, teardown)
{
	struct mag_lcore *slot = &slots[3];

	mag_lcore_acknowledge(slot, MAG_BIAS_VISIT | MAG_BIAS_HOMES | MAG_BIAS_ASKED);
	assert_int_equal(slot->fenced, 0);
	mag_lcore_acknowledge(slot, MAG_BIAS_FENCE_BIT | MAG_BIAS_HOMES);
	assert_int_equal(slot->fenced, 1);
}

TEST(test_a_slot_is_owned_from_its_claim_to_its_end, setup, teardown)
{
	mag_lcore_claim();
	assert_true(mag_lcore_is_owned(mag_lcore_slot_number()));
	assert_false(mag_lcore_is_owned(RTE_MAX_LCORE - 1));
}

static void
keep_out_run(void *arg __rte_unused)
{
	struct mag_lcore *own = mag_lcore_slot(slots);

	mag_lcore_keep_out(own, true);
	mag_lcore_keep_out(own, false);
}

TEST(test_a_thread_without_slot_leaves_the_shared_one_closed, setup, teardown)
{
	slots[MAG_SLOT_SHARED].visitor.word = MAG_BIAS_SELF;
	run_on_thread(keep_out_run, NULL);
	assert_int_equal(slots[MAG_SLOT_SHARED].visitor.word, MAG_BIAS_SELF);
}

int
main(void)
{
	eal_start(3, NULL);
	mag_lcore_on_exit(flush);
	return tests_run(NULL, NULL);
}
