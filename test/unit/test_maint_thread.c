/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"
#include "visits/perimeter.h"

#include <rte_cycles.h>
#include <rte_eal.h>

#include "fixture.h"

#define COUNT 4096
/* More than two magazines of 30 rounds hold, and fewer than two of 62. */
#define HELD 100
#define SIZE 64

static void
setup_pool(uint64_t objects, struct mag_options options)
{
	fixture_pool("pool", COUNT, SIZE, objects, &options);
}

SETUP(setup)
{
	setup_pool(COUNT, mag_options_default);
}

TEARDOWN(teardown)
{
	assert_int_equal(cache->common.transit, 0);
	fixture_drop();
}

/* Smaller magazines than the pool may have, long after the resize. */
static void
shrink(void)
{
	assert_int_equal(mag_cache_resize(cache, 14, true), 0);
	mag_cache_update(cache);
	cache->resizes = 0;
}

SETUP(setup_growing)
{
	setup(state);
	shrink();
}

/* An update after so many contentions leaves magazines of this type. */
static void
assert_update(unsigned int contentions, uint32_t type)
{
	atomic_fetch_add(&cache->first.depot.full.contention, contentions);
	mag_cache_update(cache);
	assert_int_equal(cache->common.type, type);
	assert_sizes(type);
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

TEST(test_an_idle_pool_keeps_its_magazines_until_a_reap_is_requested, setup, teardown)
{
	uint32_t full;

	fill(COUNT / 2);
	full = depot_full();
	assert_true(full > 0);
	assert_int_equal(mag_maint_interval(10), 0);
	wait_until(cache->updates > 5);
	assert_int_equal(depot_full(), full);
	assert_int_equal(cache->reaps, 0);
	assert_int_equal(mag_reap_request(), 0);
	wait_until(depot_full() == 0);
	assert_int_equal(mag_maint_interval(0), 0);
	wait_until(cache->first.slab.out == mag_slot_objects(own_slot()));
	assert_int_equal(mag_cache_available(cache), COUNT);
	assert_true(cache->reaps > 0);
}

static struct {
	_Atomic unsigned int low, high;
	_Atomic uint64_t available;
	int in_callback;
} told;

static void
tell(struct mag_cache *of, bool is_low, uint64_t available, void *arg)
{
	void *object = mag_cache_alloc(of);

	assert_ptr_equal(arg, &told);
	mag_cache_free(of, object);
	told.in_callback = mag_cache_watermark(of, 1, 1, NULL, NULL);
	told.available = available;
	atomic_fetch_add(is_low ? &told.low : &told.high, 1);
}

TEST(test_watermarks_are_told_once_in_each_direction, setup, teardown)
{
	static void *taken[COUNT];
	uint64_t updates;

	assert_refused(mag_cache_watermark(cache, 0, 5, tell, &told), EINVAL, "watermarks 0 and 5");
	assert_refused(mag_cache_watermark(cache, 6, 5, tell, &told), EINVAL, "watermarks 6 and 5");
	assert_int_equal(mag_cache_watermark(cache, 10, 20, tell, &told), 0);
	/* As many as the low mark are not fewer. */
	assert_int_equal(mag_cache_alloc_bulk(cache, taken, COUNT - 10), COUNT - 10);
	assert_int_equal(mag_maint_interval(1), 0);
	updates = cache->updates;
	wait_until(cache->updates > updates + 3);
	assert_int_equal(told.low, 0);
	assert_int_equal(mag_maint_interval(0), 0);
	assert_int_equal(mag_cache_alloc_bulk(cache, taken + COUNT - 10, 1), 1);
	wait_until(told.low == 1);
	assert_int_equal(told.available, 9);
	assert_int_equal(told.in_callback, -EDEADLK);
	/* Between the marks nothing is told. */
	mag_cache_free_bulk(cache, taken + COUNT - 19, 10);
	assert_int_equal(mag_maint_interval(1), 0);
	updates = cache->updates;
	wait_until(cache->updates > updates + 300);
	assert_int_equal(told.low + told.high, 1);
	mag_cache_free_bulk(cache, taken + COUNT - 20, 1);
	wait_until(told.high == 1);
	assert_int_equal(told.available, 20);
	/* And no more without marks. */
	assert_int_equal(mag_cache_watermark(cache, 0, 0, NULL, NULL), 0);
	assert_int_equal(mag_cache_alloc_bulk(cache, taken + COUNT - 20, 20), 20);
	updates = cache->updates;
	wait_until(cache->updates > updates + 300);
	assert_int_equal(told.low + told.high, 2);
	assert_int_equal(mag_maint_interval(0), 0);
	mag_cache_free_bulk(cache, taken, COUNT);
}

TEST(test_an_interval_out_of_range_is_refused, setup, teardown)
{
	assert_refused(mag_maint_interval(3600001), EINVAL, "3600001");
	assert_refused(mag_maint_interval(3600001), EINVAL, "3600000 ms");
	assert_int_equal(mag_maint_interval(3600000), 0);
	assert_int_equal(mag_maint_interval(1), 0);
	assert_int_equal(mag_maint_interval(0), 0);
}

static void
schedule_visit(struct mag_cache *visited, void *arg)
{
	if (visited == cache)
		*(uint64_t *)arg = cache->next_update;
}

/* When the next update is due; 0 before maintenance has seen the cache. */
static uint64_t
next_update(void)
{
	uint64_t next = 0;

	mag_cache_walk(schedule_visit, &next);
	return next;
}

/* Until the next update; not above 0 when it is due. */
static int64_t
ms_left(void)
{
	return (int64_t)(next_update() - rte_rdtsc()) / (int64_t)(rte_get_tsc_hz() / 1000);
}

TEST(test_an_overridden_interval_is_restored_to_the_own_one_of_each_cache, setup, teardown)
{
	wait_until(next_update() != 0);
	assert_in_range(ms_left(), 1, 11000);
	assert_int_equal(mag_maint_interval(3000000), 0);
	assert_in_range(ms_left(), 11001, 3000000);
	assert_int_equal(mag_maint_interval(0), 0);
	assert_in_range(ms_left(), 1, 11000);
}

TEST(test_the_first_update_is_an_interval_after_maintenance_has_seen_the_cache, setup, teardown)
{
	wait_until(next_update() != 0);
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
	*(uint32_t *)arg = mag_slot_objects(own_slot());
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
	total = depot_full();
	assert_true(total > 1);
	mag_cache_update(cache);
	assert_int_equal(depot_full(), total);
	assert_int_equal(cache->reaps, 0);
	mag_cache_update(cache);
	assert_int_equal(depot_full(), 0);
	assert_int_equal(cache->reaps, 1);
	assert_int_equal(mag_cache_available(cache), COUNT);
	mag_cache_update(cache);
	assert_int_equal(cache->reaps, 1);
	assert_int_equal(cache->updates, 3);
}

TEST(test_magazines_that_the_last_interval_needed_are_kept, setup, teardown)
{
	uint32_t total;

	fill(COUNT / 2);
	total = depot_full();
	mag_cache_update(cache);
	fill(COUNT / 2);
	mag_cache_update(cache);
	assert_int_equal(depot_full(), total);
}

TEST(test_more_than_three_contentions_an_interval_make_magazines_grow, setup_growing, teardown)
{
	assert_update(3, 14);
	assert_update(3, 14);
	assert_update(4, 30);
	assert_int_equal(cache->resizes, 1);
}

/* So often an lcore has more at a time than its magazines hold, and moves others between. */
static void
hold(unsigned int times, unsigned int between)
{
	void *objects[HELD];

	while (times-- > 0) {
		alloc_bulk(objects, HELD);
		free_bulk(objects, HELD);
		for (unsigned int i = 0; i < between; i++) {
			alloc_bulk(objects, 7);
			free_bulk(objects, 7);
		}
	}
}

TEST(test_magazines_grow_when_an_lcore_gives_them_away_and_gets_them_back, setup_growing, teardown)
{
	hold(100, 0);
	assert_update(0, 14);
	hold(1000, 0);
	assert_update(0, 30);
	assert_update(0, 30);
	hold(1000, 0);
	assert_update(0, 62);
	assert_int_equal(cache->resizes, 2);
	/* Now they hold all that it has. */
	hold(10000, 0);
	assert_update(0, 62);
}

TEST(test_magazines_that_are_exchanged_seldom_do_not_grow, setup_growing, teardown)
{
	hold(1000, 1000);
	assert_update(0, 14);
}

TEST(test_an_update_that_another_one_has_overtaken_does_not_make_magazines_grow, setup_growing,
     teardown)
{
	hold(100, 0);
	atomic_store(&cache->returned_seen, UINT64_MAX / 2);
	assert_update(0, 14);
}

static void
free_all(void *objects)
{
	free_bulk(objects, COUNT);
}

TEST(test_magazines_do_not_grow_for_what_other_lcores_put, setup_growing, teardown)
{
	void *objects[COUNT];

	for (unsigned int i = 0; i < 2 * 1000 * 14 / COUNT; i++) {
		alloc_bulk(objects, COUNT);
		run_on_thread(free_all, objects);
	}
	assert_update(0, 14);
}

SETUP(setup_patient)
{
	struct mag_options options = mag_options_default;

	options.contention = 5;
	setup_pool(COUNT, options);
	shrink();
}

TEST(test_an_option_says_for_how_many_contentions_magazines_grow, setup_patient, teardown)
{
	assert_update(5, 14);
	assert_update(6, 30);
}

TEST(test_a_resize_does_not_cause_the_next_one, setup_growing, teardown)
{
	assert_update(4, 30);
	assert_update(100, 30);
	assert_int_equal(cache->resizes, 1);
}

TEST(test_magazines_grow_to_the_bound_and_not_beyond, setup_growing, teardown)
{
	uint32_t bound = mag_type_pool(COUNT, RTE_MAX(rte_lcore_count(), mag_thread_owners()), 510);

	assert_true(bound > 14);
	for (unsigned int i = 0; i < 20; i++) {
		atomic_fetch_add(&cache->first.depot.full.contention, 100);
		mag_cache_update(cache);
	}
	assert_update(100, bound);
}

TEST(test_a_growth_that_was_denied_is_tried_again, setup_growing, teardown)
{
	assert_int_equal(mag_slot_enter(slot_at(9)), 0);
	assert_update(4, 14);
	mag_slot_leave(slot_at(9));
	assert_update(0, 30);
}

SETUP(setup_small)
{
	setup_pool(8ull * rte_lcore_count() * 30, mag_options_default);
}

TEST(test_magazines_shrink_when_lcores_come, setup_small, teardown)
{
	assert_int_equal(cache->common.type, 30);
	fill(100);
	guest_come(0);
	assert_update(0, 14);
	guest_go();
	assert_int_equal(mag_cache_available(cache), COUNT);
	assert_update(0, 14);
}

SETUP(setup_least)
{
	setup_pool(8ull * rte_lcore_count() * 14, mag_options_default);
}

TEST(test_magazines_that_too_many_lcores_cost_come_back_when_they_go, setup_least, teardown)
{
	assert_int_equal(cache->common.type, 14);
	fill(100);
	guest_come(0);
	assert_update(0, 0);
	guest_go();
	assert_int_equal(cache->first.slab.out, 0);
	fill(100);
	assert_int_equal(cache->first.slab.out, 0);
	assert_update(0, 14);
	fill(100);
	assert_true(mag_slot_objects(own_slot()) > 0);
}

static void
update_run(void *arg __rte_unused)
{
	mag_cache_update(cache);
}

TEST(test_an_update_does_not_wait_for_a_resize, setup_growing, teardown)
{
	atomic_fetch_add(&cache->first.depot.full.contention, 4);
	assert_true(mag_perimeter_enter(cache, false));
	run_on_thread(update_run, NULL);
	assert_int_equal(cache->common.type, 14);
	mag_perimeter_leave(cache);
	assert_update(0, 30);
}

TEST(test_empty_magazines_that_two_intervals_did_not_use_go_to_the_arena, setup, teardown)
{
	void *objects[COUNT];

	fill(COUNT / 2);
	alloc_bulk(objects, COUNT / 2);
	assert_true(depot_empty() > 0);
	mag_cache_update(cache);
	assert_true(depot_empty() > 0);
	mag_cache_update(cache);
	assert_int_equal(depot_empty(), 0);
	assert_int_equal(depot_full(), 0);
	assert_in_range(cache->first.arena.out, 0, 2);
	free_bulk(objects, COUNT / 2);
}

SETUP(setup_fixed)
{
	struct mag_options options = mag_options_default;

	options.rounds = 14;
	setup_pool(COUNT, options);
}

TEST(test_fixed_rounds_do_not_grow, setup_fixed, teardown)
{
	assert_update(100, 14);
	assert_int_equal(cache->resizes, 0);
}

TEST(test_library_caches_grow_by_their_table_if_dynamic)
{
	static const struct {
		unsigned int flags;
		size_t size;
		uint32_t grown;
	} rows[] = {
		{MAG_CACHE_DYNAMIC, 504, 30},
		{MAG_CACHE_DYNAMIC, 512, 14},
		{MAG_CACHE_DYNAMIC, 8, 142},
		{0, 504, 14},
		{MAG_CACHE_DYNAMIC | MAG_CACHE_NOMAGAZINES, 504, 0},
	};

	for (unsigned int i = 0; i < RTE_DIM(rows); i++) {
		printf("# flags 0x%x, %zu bytes\n", rows[i].flags, rows[i].size);
		fixture_cache(256, CACHE_PARAMS(.name = "things", .object_size = rows[i].size,
						.flags = rows[i].flags));
		assert_update(4, rows[i].grown);
		fixture_drop();
	}
}

TEST(test_an_update_rescales_the_table)
{
	void *objects[408], *address[400];

	ground = ground_make(8, 512, 1, MAG_REGION_READONLY);
	cache = make_cache(CACHE_PARAMS(.name = "slabs", .object_size = 512,
					.region = ground.region, .flags = MAG_CACHE_NOMAGAZINES));
	for (unsigned int i = 0; i < 400; i++)
		address[i] = (void *)(0x100000ull + i * 4096);
	assert_int_equal(mag_region_adopt(ground.region, address, 400, -1), 0);
	alloc_bulk(objects, 408);
	mag_cache_update(cache);
	assert_int_equal(cache->first.slab.table.size, 512);
	assert_int_equal(cache->first.slab.rescales, 1);
	free_bulk(objects, 408);
	assert_int_equal(cache->first.slab.out, 0);
	mag_cache_update(cache);
	assert_int_equal(cache->first.slab.table.size, 64);
	drop_cache(cache);
	ground_drop(&ground);
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

static void
stopping_destructor(void *object __rte_unused, void *arg)
{
	*(int *)arg = mag_maint_stop();
}

static struct mag_cache *
cache_with(mag_destructor destructor, void *arg, const struct ground *over)
{
	return make_cache(CACHE_PARAMS(.name = "destructed", .object_size = SIZE,
				       .region = over->region, .destructor = destructor,
				       .arg = arg));
}

TEST(test_after_a_stop_nothing_runs_until_the_next_cache, setup, teardown)
{
	struct ground other = ground_make(400, SIZE, FIXTURE_BLOCK, 0);
	struct mag_cache *slow = cache_with(slow_destructor, NULL, &other);
	uint64_t updates;
	void *objects[400];

	assert_int_equal(mag_cache_alloc_burst(slow, objects, 400), 400);
	mag_cache_free_bulk(slow, objects, 400);
	assert_int_equal(mag_maint_interval(1), 0);
	wait_until(slow_begun > 0);
	assert_int_equal(mag_maint_stop(), 0);
	assert_int_equal(slow_begun, slow_ended);
	assert_int_equal(mag_maint_runner(), MAG_MAINT_NONE);
	updates = mag_maint_updates();
	mag_reap_request();
	assert_int_equal(mag_maint_interval(1), 0);
	fill(100);
	let_pass(50);
	assert_int_equal(mag_maint_updates(), updates);
	assert_int_equal(mag_maint_stop(), 0);
	assert_int_equal(slow_begun, slow_ended);
	drop_cache(slow);
	slow = cache_with(NULL, NULL, &other);
	wait_until(mag_maint_updates() > updates);
	assert_int_equal(mag_maint_runner(), MAG_MAINT_THREAD);
	drop_cache(slow);
	assert_int_equal(mag_maint_interval(0), 0);
	ground_drop(&other);
}

TEST(test_a_callback_does_not_stop_maintenance, setup, teardown)
{
	struct ground other = ground_make(64, SIZE, FIXTURE_BLOCK, 0);
	int ret = 0;
	struct mag_cache *stopping = cache_with(stopping_destructor, &ret, &other);
	const char *log;

	log_begin();
	mag_cache_free_nocache(stopping, mag_cache_alloc(stopping));
	log = log_end();
	assert_logged(log, "callback");
	assert_int_equal(ret, -EDEADLK);
	assert_int_equal(mag_maint_runner(), MAG_MAINT_THREAD);
	drop_cache(stopping);
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

TEST_PROGRAM(3)
