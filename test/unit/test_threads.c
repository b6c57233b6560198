/* SPDX-License-Identifier: BSD-3-Clause */

/* Threads that register with EAL and go, by the hundred. */

#include "eal.h"

#include <rte_errno.h>

#include "cache.h"
#include "ground.h"

#define COUNT 4096
#define SIZE 64
#define TURNS 300
#define AT_ONCE 4

static struct ground ground;
static struct mag_cache *cache;

static int
setup_options(uint32_t visit)
{
	struct mag_pool_params params = {
		.name = "pool",
		.object_size = SIZE,
		.objects = COUNT,
		.options = mag_options_default,
		.node = -1,
	};

	ground = ground_make(COUNT, SIZE, 16, MAG_REGION_READONLY);
	params.region = ground.region;
	params.options.visit = visit;
	cache = mag_pool_create(&params);
	assert_non_null(cache);
	return 0;
}

static int
setup(void **state __rte_unused)
{
	return setup_options(1);
}

static int
setup_quiet(void **state __rte_unused)
{
	return setup_options(0);
}

static int
teardown(void **state __rte_unused)
{
	assert_int_equal(mag_maint_interval(0), 0);
	assert_int_equal(cache->slab.invalid, 0);
	mag_pool_free(cache);
	ground_drop(&ground);
	return 0;
}

static void
fill_run(void *arg)
{
	void *objects[COUNT];
	unsigned int n = mag_cache_alloc_bulk(cache, objects, *(unsigned int *)arg);

	mag_cache_free_bulk(cache, objects, n);
}

static void
assert_all_can_be_had(void)
{
	static void *objects[COUNT];

	/* A reap that is still under way may hold some for a moment. */
	wait_until(mag_cache_take_all(cache, objects, COUNT, true) == 0);
	assert_distinct(&ground, objects, COUNT);
	mag_cache_give(cache, objects, COUNT);
	wait_until(mag_cache_available(cache) == COUNT);
}

/* Magazines that are not free: what slots of threads that are gone hold would be among them. */
static uint64_t
magazines_out(void)
{
	return cache->arena.out - mag_depot_total(&cache->depot.full) -
	       mag_depot_total(&cache->depot.empty);
}

static void
assert_no_slot_but_ours_holds_a_magazine(void)
{
	unsigned int i, own = mag_lcore_slot_number();

	for (i = 0; i < MAG_SLOT_SHARED; i++) {
		if (i == own)
			continue;
		assert_int_equal(mag_lcore_count(&cache->slot[i]), 0);
		assert_null(cache->slot[i].loaded);
		assert_null(cache->slot[i].previous);
		assert_int_equal(mag_lcore_id_of(i), LCORE_ID_ANY);
	}
}

static void
come_and_go(void)
{
	unsigned int n = COUNT / 4, lcores, slots, owners, turn;
	uint64_t heap, out;

	fill_run(&n);
	run_on_registered(fill_run, &n);
	lcores = rte_lcore_count();
	slots = mag_lcore_slots();
	owners = mag_lcore_owners();
	heap = heap_balance();
	out = magazines_out();
	for (turn = 0; turn < TURNS; turn++) {
		n = 1 + random_below(COUNT / 2);
		run_on_registered(fill_run, &n);
		assert_int_equal(mag_lcore_owners(), owners);
		assert_int_equal(mag_cache_available(cache), COUNT);
	}
	assert_int_equal(rte_lcore_count(), lcores);
	assert_int_equal(mag_lcore_slots(), slots);
	assert_true(heap_balance() == heap);
	assert_true(magazines_out() == out);
	assert_no_slot_but_ours_holds_a_magazine();
	assert_all_can_be_had();
}

static void
test_hundreds_that_come_and_go_reuse_one_slot_and_leave_nothing(void **state __rte_unused)
{
	come_and_go();
}

static void
test_they_leave_nothing_where_nobody_may_be_visited(void **state __rte_unused)
{
	uint64_t membarriers = mag_bias_membarriers();

	come_and_go();
	assert_true(mag_bias_membarriers() == membarriers);
}

static void
test_they_do_so_while_maintenance_reaps_and_others_steal(void **state __rte_unused)
{
	unsigned int slots = mag_lcore_slots(), turn, i, n = COUNT;
	struct task task[AT_ONCE];

	assert_int_equal(mag_maint_interval(1), 0);
	for (turn = 0; turn < TURNS / AT_ONCE; turn++) {
		for (i = 0; i < AT_ONCE; i++)
			task_registered(&task[i], fill_run, &n);
		mag_reap_request();
		if (turn % 8 == 0)
			mag_cache_reap_now(cache, true);
		mag_cache_update(cache);
		for (i = 0; i < AT_ONCE; i++)
			task_join(&task[i]);
		wait_until(mag_cache_available(cache) == COUNT);
	}
	assert_int_equal(mag_maint_interval(3600000), 0);
	assert_true(mag_lcore_slots() <= RTE_MAX(slots, rte_lcore_count() + AT_ONCE));
	assert_no_slot_but_ours_holds_a_magazine();
	assert_all_can_be_had();
}

struct repeat {
	unsigned int slot;
	unsigned int strays; /* times that it had another slot */
	unsigned int failed; /* to register */
};

static void
repeat_run(void *arg)
{
	struct repeat *repeat = arg;
	unsigned int turn, n = COUNT / 4;

	repeat->failed = rte_thread_register() != 0;
	fill_run(&n);
	repeat->slot = mag_lcore_slot_number();
	for (turn = 0; turn < TURNS; turn++) {
		rte_thread_unregister();
		fill_run(&n);
		repeat->strays += mag_lcore_slot_number() != repeat->slot;
		repeat->failed += rte_thread_register() != 0;
		fill_run(&n);
		repeat->strays += mag_lcore_slot_number() != repeat->slot;
	}
	rte_thread_unregister();
}

static void
test_one_thread_that_registers_again_and_again_keeps_its_slot(void **state __rte_unused)
{
	unsigned int owners = mag_lcore_owners(), i;
	struct repeat repeat[2] = {{0}};
	struct task task[2];

	for (i = 0; i < 2; i++)
		task_thread(&task[i], repeat_run, &repeat[i]);
	for (i = 0; i < 2; i++) {
		task_join(&task[i]);
		assert_int_equal(repeat[i].failed, 0);
		assert_int_equal(repeat[i].strays, 0);
		assert_true(repeat[i].slot < MAG_SLOT_SHARED);
	}
	assert_int_not_equal(repeat[0].slot, repeat[1].slot);
	assert_int_equal(mag_lcore_owners(), owners);
	assert_no_slot_but_ours_holds_a_magazine();
	assert_all_can_be_had();
}

/* A thread that unregisters and lives on, with full magazines. */

static _Atomic unsigned int lingering;

static void
linger_run(void *arg __rte_unused)
{
	unsigned int n = COUNT / 2;

	if (rte_thread_register() != 0)
		return;
	fill_run(&n);
	rte_thread_unregister();
	atomic_store(&lingering, 1);
	while (atomic_load(&lingering) == 1)
		let_pass(1);
}

static unsigned int
in_other_slots(void)
{
	return mag_cache_in_lcores(cache) - mag_lcore_count(mag_lcore_slot(cache->slot));
}

static void
test_what_a_thread_holds_that_unregistered_and_lives_on_can_be_had(void **state __rte_unused)
{
	struct task task;
	unsigned int n = 8;

	atomic_store(&lingering, 0);
	task_thread(&task, linger_run, NULL);
	wait_until(atomic_load(&lingering) == 1);
	assert_true(in_other_slots() > 0);
	/* Its lcore id is free for another, which gets a slot of its own. */
	run_on_registered(fill_run, &n);
	assert_true(in_other_slots() > 0);
	assert_all_can_be_had();
	assert_int_equal(in_other_slots(), 0);
	atomic_store(&lingering, 2);
	task_join(&task);
	assert_all_can_be_had();
}

/* More threads than there are lcore ids: those that find none use the shared slot. */

static _Atomic unsigned int crowded;
static _Atomic bool crowd_may_go;

static void
crowd_run(void *arg)
{
	unsigned int n = 8;

	if (rte_thread_register() != 0)
		atomic_fetch_add((_Atomic unsigned int *)arg, 1);
	fill_run(&n);
	atomic_fetch_add(&crowded, 1);
	while (!atomic_load(&crowd_may_go))
		let_pass(1);
	rte_thread_unregister();
}

static void
test_threads_without_an_lcore_id_to_have_share_one_slot(void **state __rte_unused)
{
	static struct task task[RTE_MAX_LCORE + 2];
	unsigned int i, owners = mag_lcore_owners();
	_Atomic unsigned int refused = 0;

	atomic_store(&crowded, 0);
	atomic_store(&crowd_may_go, false);
	for (i = 0; i < RTE_DIM(task); i++)
		task_thread(&task[i], crowd_run, &refused);
	wait_until(atomic_load(&crowded) == RTE_DIM(task));
	assert_int_equal(refused, RTE_DIM(task) - (RTE_MAX_LCORE - 3));
	assert_true(mag_lcore_owners() >= RTE_MAX_LCORE - 3);
	assert_all_can_be_had();
	atomic_store(&crowd_may_go, true);
	for (i = 0; i < RTE_DIM(task); i++)
		task_join(&task[i]);
	assert_int_equal(mag_lcore_owners(), owners);
	assert_no_slot_but_ours_holds_a_magazine();
	assert_all_can_be_had();
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_hundreds_that_come_and_go_reuse_one_slot_and_leave_nothing),
		cmocka_unit_test_setup_teardown(test_they_leave_nothing_where_nobody_may_be_visited,
						setup_quiet, teardown),
		T(test_they_do_so_while_maintenance_reaps_and_others_steal),
		T(test_one_thread_that_registers_again_and_again_keeps_its_slot),
		T(test_what_a_thread_holds_that_unregistered_and_lives_on_can_be_had),
		T(test_threads_without_an_lcore_id_to_have_share_one_slot),
	};

	eal_start(3, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
