/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"
#include "mag_maint.h"
#include "mag_stats.h"
#include "visits/perimeter.h"
#include "control/pool.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_eal.h>

#include "fixture.h"
#include "outside/maint.h"

#define BLOCK 16
#define COUNT 4096
#define SIZE 64

static int
setup_pool(uint64_t objects, struct mag_options options)
{
	fixture_pool("pool", COUNT, SIZE, objects, &options);
	return 0;
}

static int
setup(void **state __rte_unused)
{
	return setup_pool(COUNT, mag_options_default);
}

static int
teardown(void **state __rte_unused)
{
	assert_int_equal(cache->common.transit, 0);
	fixture_drop();
	return 0;
}

/* Smaller magazines than the pool may have, long after the resize. */
static int
setup_growing(void **state)
{
	setup(state);
	assert_int_equal(mag_cache_resize(cache, 14, true), 0);
	mag_cache_update(cache);
	cache->resizes = 0;
	return 0;
}

static void
contend(unsigned int n)
{
	atomic_fetch_add(&cache->first.depot.full.contention, n);
}

TEST(test_nobody_runs_maintenance_before_there_is_a_cache)
{
	assert_int_equal(mag_maint_runner(), MAG_MAINT_NONE);
	assert_int_equal(mag_maint_updates(), 0);
}

TEST(test_the_thread_updates_where_no_service_lcore_runs, setup, teardown)
{
	uint64_t before = mag_maint_updates();

	assert_int_equal(mag_maint_runner(), MAG_MAINT_THREAD);
	assert_int_equal(mag_maint_interval(10), 0);
	wait_until(cache->updates >= 3);
	assert_true(mag_maint_updates() >= before + 3);
	assert_int_equal(mag_maint_runner(), MAG_MAINT_THREAD);
	assert_int_equal(mag_maint_interval(0), 0);
}

TEST(test_an_idle_pool_gives_its_objects_back_to_the_slabs, setup, teardown)
{
	fill(COUNT / 2);
	assert_true(mag_depot_total(&cache->first.depot.full) > 0);
	assert_int_equal(mag_maint_interval(10), 0);
	wait_until(mag_depot_total(&cache->first.depot.full) == 0);
	assert_int_equal(mag_maint_interval(0), 0);
	wait_until(cache->first.slab.out == mag_slot_objects(mag_slot_own(cache->first.slot)));
	assert_int_equal(mag_cache_available(cache), COUNT);
	assert_true(cache->reaps > 0);
}

TEST(test_an_interval_out_of_range_is_refused, setup, teardown)
{
	const char *log;

	log_begin();
	assert_int_equal(mag_maint_interval(3600001), -EINVAL);
	log = log_end();
	assert_logged(log, "3600001");
	assert_logged(log, "3600000 ms");
	assert_int_equal(count_lines(log), 1);
	assert_int_equal(mag_maint_interval(3600000), 0);
	assert_int_equal(mag_maint_interval(1), 0);
	assert_int_equal(mag_maint_interval(0), 0);
}

static void
left_visit(struct mag_cache *visited, void *arg)
{
	int64_t *ms = arg;

	if (visited == cache)
		*ms = (int64_t)(cache->next_update - rte_rdtsc()) /
		      (int64_t)(rte_get_tsc_hz() / 1000);
}

/* Until the next update; not above 0 when it is due. */
static int64_t
ms_left(void)
{
	int64_t ms = 0;

	mag_cache_walk(left_visit, &ms);
	return ms;
}

TEST(test_an_overridden_interval_is_restored_to_the_own_one_of_each_cache, setup, teardown)
{
	wait_until(ms_left() > 0);
	assert_in_range(ms_left(), 1, 11000);
	assert_int_equal(mag_maint_interval(3000000), 0);
	assert_in_range(ms_left(), 11001, 3000000);
	assert_int_equal(mag_maint_interval(0), 0);
	assert_in_range(ms_left(), 1, 11000);
}

static void
seen_visit(struct mag_cache *visited, void *arg)
{
	if (visited == cache)
		*(bool *)arg = cache->next_update != 0;
}

static bool
seen(void)
{
	bool seen = false;

	mag_cache_walk(seen_visit, &seen);
	return seen;
}

TEST(test_the_first_update_is_an_interval_after_maintenance_has_seen_the_cache, setup, teardown)
{
	wait_until(seen());
	assert_in_range(ms_left(), 1, 11000);
	assert_int_equal(cache->updates, 0);
}

static void
unseen_visit(struct mag_cache *visited, void *arg)
{
	if (visited != cache)
		return;
	cache->next_update = 0;
	fill(20);
	*(uint32_t *)arg = mag_slot_objects(mag_slot_own(cache->first.slot));
}

TEST(test_a_cache_works_with_magazines_before_maintenance_has_seen_it, setup, teardown)
{
	uint32_t rounds = 0;

	mag_cache_walk(unseen_visit, &rounds);
	assert_int_equal(rounds, 20);
}

TEST(test_two_idle_updates_reap_the_depot_and_one_does_not, setup, teardown)
{
	uint32_t total;

	fill(COUNT / 2);
	total = mag_depot_total(&cache->first.depot.full);
	assert_true(total > 1);
	mag_cache_update(cache);
	assert_int_equal(mag_depot_total(&cache->first.depot.full), total);
	assert_int_equal(cache->reaps, 0);
	mag_cache_update(cache);
	assert_int_equal(mag_depot_total(&cache->first.depot.full), 0);
	assert_int_equal(cache->reaps, 1);
	assert_int_equal(mag_cache_available(cache), COUNT);
	mag_cache_update(cache);
	assert_int_equal(cache->reaps, 1);
	assert_int_equal(cache->updates, 3);
}

TEST(test_what_the_last_interval_needed_is_kept, setup, teardown)
{
	uint32_t total;

	fill(COUNT / 2);
	total = mag_depot_total(&cache->first.depot.full);
	mag_cache_update(cache);
	fill(COUNT / 2);
	mag_cache_update(cache);
	assert_int_equal(mag_depot_total(&cache->first.depot.full), total);
}

TEST(test_more_than_three_contentions_an_interval_make_magazines_grow, setup_growing, teardown)
{
	uint32_t type = cache->common.type;

	contend(3);
	mag_cache_update(cache);
	assert_int_equal(cache->common.type, type);
	contend(3);
	mag_cache_update(cache);
	assert_int_equal(cache->common.type, type);
	contend(4);
	mag_cache_update(cache);
	assert_int_equal(cache->common.type, mag_type_pool_next(type));
	assert_int_equal(cache->first.slot[0].size, cache->common.type);
	assert_int_equal(cache->resizes, 1);
}

static int
setup_patient(void **state __rte_unused)
{
	struct mag_options options = mag_options_default;

	options.contention = 5;
	setup_pool(COUNT, options);
	assert_int_equal(mag_cache_resize(cache, 14, true), 0);
	mag_cache_update(cache);
	return 0;
}

TEST(test_an_option_says_for_how_many_contentions_magazines_grow, setup_patient, teardown)
{
	uint32_t type = cache->common.type;

	contend(5);
	mag_cache_update(cache);
	assert_int_equal(cache->common.type, type);
	contend(6);
	mag_cache_update(cache);
	assert_int_equal(cache->common.type, mag_type_pool_next(type));
}

TEST(test_a_resize_does_not_cause_the_next_one, setup_growing, teardown)
{
	uint32_t type;

	contend(4);
	mag_cache_update(cache);
	type = cache->common.type;
	contend(100);
	mag_cache_update(cache);
	assert_int_equal(cache->common.type, type);
	assert_int_equal(cache->resizes, 1);
}

TEST(test_magazines_grow_to_the_bound_and_not_beyond, setup_growing, teardown)
{
	uint32_t bound = mag_type_pool(COUNT, RTE_MAX(rte_lcore_count(), mag_thread_owners()), 510);
	unsigned int i;

	assert_true(bound > 14);
	for (i = 0; i < 20; i++) {
		contend(100);
		mag_cache_update(cache);
	}
	assert_int_equal(cache->common.type, bound);
}

TEST(test_a_growth_that_was_denied_is_tried_again, setup_growing, teardown)
{
	uint32_t type = cache->common.type;

	contend(4);
	assert_int_equal(mag_slot_enter(&cache->first.slot[9]), 0);
	mag_cache_update(cache);
	assert_int_equal(cache->common.type, type);
	assert_int_equal(cache->first.slot[0].size, type);
	mag_slot_leave(&cache->first.slot[9]);
	mag_cache_update(cache);
	assert_int_equal(cache->common.type, mag_type_pool_next(type));
}

static int
setup_small(void **state __rte_unused)
{
	return setup_pool(8ull * rte_lcore_count() * 30, mag_options_default);
}

static _Atomic bool leave;

static void
stay_run(void *arg __rte_unused)
{
	while (!atomic_load(&leave))
		let_pass(1);
}

TEST(test_magazines_shrink_when_lcores_come, setup_small, teardown)
{
	struct task task;

	assert_int_equal(cache->common.type, 30);
	fill(100);
	atomic_store(&leave, false);
	task_registered(&task, stay_run, NULL);
	wait_until(8ull * rte_lcore_count() * 30 > cache->expected);
	mag_cache_update(cache);
	atomic_store(&leave, true);
	task_join(&task);
	assert_int_equal(cache->common.type, 14);
	assert_int_equal(cache->first.slot[0].size, 14);
	assert_int_equal(mag_cache_available(cache), COUNT);
	mag_cache_update(cache);
	assert_int_equal(cache->common.type, 14);
}

static int
setup_least(void **state __rte_unused)
{
	return setup_pool(8ull * rte_lcore_count() * 14, mag_options_default);
}

TEST(test_magazines_that_too_many_lcores_cost_come_back_when_they_go, setup_least, teardown)
{
	struct task task;

	assert_int_equal(cache->common.type, 14);
	fill(100);
	atomic_store(&leave, false);
	task_registered(&task, stay_run, NULL);
	wait_until(8ull * rte_lcore_count() * 14 > cache->expected);
	mag_cache_update(cache);
	atomic_store(&leave, true);
	task_join(&task);
	assert_int_equal(cache->common.type, 0);
	assert_int_equal(cache->first.slot[0].size, 0);
	assert_int_equal(cache->first.slab.out, 0);
	fill(100);
	assert_int_equal(cache->first.slab.out, 0);
	mag_cache_update(cache);
	assert_int_equal(cache->common.type, 14);
	assert_int_equal(cache->first.slot[0].size, 14);
	fill(100);
	assert_true(mag_slot_objects(mag_slot_own(cache->first.slot)) > 0);
}

static void
update_run(void *arg __rte_unused)
{
	mag_cache_update(cache);
}

TEST(test_an_update_does_not_wait_for_who_is_resizing, setup_growing, teardown)
{
	uint32_t type = cache->common.type;

	contend(4);
	assert_true(mag_perimeter_enter(cache, false));
	run_on_thread(update_run, NULL);
	assert_int_equal(cache->common.type, type);
	mag_perimeter_leave(cache);
	mag_cache_update(cache);
	assert_int_equal(cache->common.type, mag_type_pool_next(type));
}

TEST(test_empty_magazines_that_two_intervals_did_not_use_go_to_the_arena, setup, teardown)
{
	void *objects[COUNT];

	fill(COUNT / 2);
	assert_int_equal(mag_cache_alloc_burst(cache, objects, COUNT / 2), COUNT / 2);
	assert_true(mag_depot_total(&cache->first.depot.empty) > 0);
	mag_cache_update(cache);
	assert_true(mag_depot_total(&cache->first.depot.empty) > 0);
	mag_cache_update(cache);
	assert_int_equal(mag_depot_total(&cache->first.depot.empty), 0);
	assert_int_equal(mag_depot_total(&cache->first.depot.full), 0);
	assert_in_range(cache->first.arena.out, 0, 2);
	mag_cache_free_bulk(cache, objects, COUNT / 2);
}

static int
setup_fixed(void **state __rte_unused)
{
	struct mag_options options = mag_options_default;

	options.rounds = 14;
	return setup_pool(COUNT, options);
}

TEST(test_fixed_rounds_do_not_grow, setup_fixed, teardown)
{
	contend(100);
	mag_cache_update(cache);
	assert_int_equal(cache->common.type, 14);
	assert_int_equal(cache->resizes, 0);
}

static void
library_cache(unsigned int flags, size_t size, uint32_t grown)
{
	struct ground other = ground_make(256, 512, BLOCK, MAG_REGION_READONLY);
	struct mag_cache_params params = {
		.size = sizeof(params),
		.name = "things",
		.object_size = size,
		.region = other.region,
		.flags = flags,
		.node = -1,
	};
	struct mag_cache *things = mag_cache_create(&params);

	assert_non_null(things);
	atomic_fetch_add(&things->first.depot.full.contention, 4);
	mag_cache_update(things);
	assert_int_equal(things->common.type, grown);
	assert_int_equal(mag_cache_destroy(things), 0);
	ground_drop(&other);
}

TEST(test_library_caches_grow_by_their_table_if_dynamic)
{
	library_cache(MAG_CACHE_DYNAMIC, 504, 30);
	library_cache(MAG_CACHE_DYNAMIC, 512, 14);
	library_cache(MAG_CACHE_DYNAMIC, 8, 142);
	library_cache(0, 504, 14);
	library_cache(MAG_CACHE_DYNAMIC | MAG_CACHE_NOMAGAZINES, 504, 0);
}

TEST(test_an_update_rescales_the_table)
{
	struct ground other = ground_make(8, 512, 1, MAG_REGION_READONLY);
	struct mag_cache_params params = {
		.size = sizeof(params),
		.name = "slabs",
		.object_size = 512,
		.region = other.region,
		.flags = MAG_CACHE_NOMAGAZINES,
		.node = -1,
	};
	struct mag_cache *slabs = mag_cache_create(&params);
	void *objects[408], *address[400];
	unsigned int i;

	for (i = 0; i < 400; i++)
		address[i] = (void *)(0x100000ull + i * 4096);
	assert_int_equal(mag_region_adopt(other.region, address, 400, -1), 0);
	assert_int_equal(mag_cache_alloc_burst(slabs, objects, 408), 408);
	mag_cache_update(slabs);
	assert_int_equal(slabs->first.slab.table.size, 512);
	assert_int_equal(slabs->first.slab.rescales, 1);
	mag_cache_free_bulk(slabs, objects, 408);
	assert_int_equal(slabs->first.slab.out, 0);
	mag_cache_update(slabs);
	assert_int_equal(slabs->first.slab.table.size, 64);
	assert_int_equal(mag_cache_destroy(slabs), 0);
	ground_drop(&other);
}

TEST(test_the_thread_ends_with_the_last_cache_and_begins_with_the_next)
{
	assert_int_equal(mag_maint_interval(10), 0);
	wait_until(mag_maint_runner() == MAG_MAINT_NONE);
	setup(NULL);
	assert_int_equal(mag_maint_runner(), MAG_MAINT_THREAD);
	wait_until(cache->updates > 0);
	teardown(NULL);
	wait_until(mag_maint_runner() == MAG_MAINT_NONE);
	assert_int_equal(mag_maint_interval(0), 0);
}

/* Destructors that have begun, and ended. */
static _Atomic unsigned int begun, ended;

static void
slow_destructor(void *object __rte_unused, void *arg __rte_unused)
{
	atomic_fetch_add(&begun, 1);
	let_pass(1);
	atomic_fetch_add(&ended, 1);
}

static void
stopping_destructor(void *object __rte_unused, void *arg)
{
	*(int *)arg = mag_maint_stop();
}

static struct mag_cache *
cache_with(mag_destructor destructor, void *arg, const struct ground *over)
{
	struct mag_cache_params params = {
		.size = sizeof(params),
		.name = "destructed",
		.object_size = SIZE,
		.region = over->region,
		.destructor = destructor,
		.arg = arg,
		.node = -1,
	};
	struct mag_cache *made = mag_cache_create(&params);

	assert_non_null(made);
	return made;
}

TEST(test_after_a_stop_nothing_runs_until_the_next_cache, setup, teardown)
{
	struct ground other = ground_make(400, SIZE, BLOCK, 0);
	struct mag_cache *slow = cache_with(slow_destructor, NULL, &other);
	uint64_t updates;
	void *objects[400];

	atomic_store(&begun, 0);
	atomic_store(&ended, 0);
	assert_int_equal(mag_cache_alloc_burst(slow, objects, 400), 400);
	mag_cache_free_bulk(slow, objects, 400);
	assert_int_equal(mag_maint_interval(1), 0);
	wait_until(begun > 0);
	assert_int_equal(mag_maint_stop(), 0);
	assert_int_equal(begun, ended);
	assert_int_equal(mag_maint_runner(), MAG_MAINT_NONE);
	updates = mag_maint_updates();
	mag_reap_request();
	assert_int_equal(mag_maint_interval(1), 0);
	fill(100);
	let_pass(50);
	assert_int_equal(mag_maint_updates(), updates);
	assert_int_equal(mag_maint_stop(), 0);
	assert_int_equal(begun, ended);
	assert_int_equal(mag_cache_destroy(slow), 0);
	slow = cache_with(NULL, NULL, &other);
	wait_until(mag_maint_updates() > updates);
	assert_int_equal(mag_maint_runner(), MAG_MAINT_THREAD);
	assert_int_equal(mag_cache_destroy(slow), 0);
	assert_int_equal(mag_maint_interval(0), 0);
	ground_drop(&other);
}

TEST(test_a_callback_does_not_stop_maintenance, setup, teardown)
{
	struct ground other = ground_make(64, SIZE, BLOCK, 0);
	int ret = 0;
	struct mag_cache *stopping = cache_with(stopping_destructor, &ret, &other);
	const char *log;

	log_begin();
	mag_cache_free_nocache(stopping, mag_cache_alloc(stopping));
	log = log_end();
	assert_logged(log, "callback");
	assert_int_equal(ret, -EDEADLK);
	assert_int_equal(mag_maint_runner(), MAG_MAINT_THREAD);
	assert_int_equal(mag_cache_destroy(stopping), 0);
	ground_drop(&other);
}

/* The last one: the pool is kept, and EAL takes its memory away. */
TEST(test_eal_ends_after_a_stop_while_there_are_pools)
{
#if defined(__SANITIZE_THREAD__)
	/* ThreadSanitizer cannot see how EAL's own threads end. */
	printf("# skip: ThreadSanitizer\n");
	skip();
#endif
	assert_int_equal(mag_maint_interval(1), 0);
	setup(NULL);
	fill(100);
	wait_until(cache->updates > 0);
	assert_int_equal(mag_maint_stop(), 0);
	assert_int_equal(rte_eal_cleanup(), 0);
	let_pass(50);
}

int
main(void)
{
	eal_start(3, NULL);
	return tests_run(NULL, NULL);
}
