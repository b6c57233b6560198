/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"

#include <errno.h>

#include "cache.h"
#include "ground.h"

#define BLOCK 16
#define COUNT (16 * BLOCK)
#define SIZE 256
#define ROUNDS 14

static struct ground ground;
static struct mag_cache *cache;
static uint64_t membarriers;

static int
setup(void **state __rte_unused)
{
	struct mag_cache_params params = {
		.name = "quiet", .object_size = SIZE, .node = -1, .options = "visit=0"};

	ground = ground_make(COUNT, SIZE, BLOCK, 0);
	params.region = ground.region;
	cache = mag_cache_create(&params);
	assert_non_null(cache);
	assert_int_equal(cache->bias, MAG_BIAS_POLL);
	membarriers = mag_bias_membarriers();
	return 0;
}

static int
teardown(void **state __rte_unused)
{
	assert_int_equal(cache->transit, 0);
	assert_int_equal(mag_cache_available(cache), COUNT);
	assert_int_equal(mag_cache_destroy(cache), 0);
	assert_int_equal(mag_bias_membarriers(), membarriers);
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
cycle_run(void *arg __rte_unused)
{
	unsigned int one = 1;

	fill_run(&one);
}

static void
test_a_purge_empties_the_shared_slot_and_is_not_done(void **state __rte_unused)
{
	unsigned int n = 40;

	run_on_thread(fill_run, &n);
	assert_true(mag_lcore_count(&cache->slot[MAG_SLOT_SHARED]) > 0);
	assert_int_equal(mag_cache_purge(cache), -EAGAIN);
	assert_int_equal(mag_lcore_count(&cache->slot[MAG_SLOT_SHARED]), 0);
	assert_int_equal(cache->slot[MAG_SLOT_SHARED].size, ROUNDS);
}

static void
test_an_lcore_gets_what_the_shared_slot_holds(void **state __rte_unused)
{
	void *objects[COUNT];
	unsigned int n = 40;

	run_on_thread(fill_run, &n);
	assert_int_equal(mag_cache_alloc_bulk(cache, objects, COUNT), COUNT);
	assert_distinct(&ground, objects, COUNT);
	mag_cache_free_bulk(cache, objects, COUNT);
}

static void
test_a_thief_asks_and_the_owner_hands_in_when_it_comes_by(void **state __rte_unused)
{
	void *objects[COUNT];
	unsigned int n = 40;

	run_on_lcore(1, fill_run, &n);
	assert_true(mag_lcore_count(&cache->slot[1]) > 1);
	assert_int_equal(mag_cache_take_all(cache, objects, COUNT, true), -ENOBUFS);
	assert_int_not_equal(cache->slot[1].visitor.word & MAG_BIAS_ASKED, 0);
	run_on_lcore(1, cycle_run, NULL);
	assert_int_equal(cache->slot[1].visitor.word & MAG_BIAS_ASKED, 0);
	assert_true(mag_lcore_count(&cache->slot[1]) <= ROUNDS);
	assert_int_equal(mag_cache_take_all(cache, objects, COUNT - ROUNDS, true), 0);
	mag_cache_give(cache, objects, COUNT - ROUNDS);
}

static void
test_a_reap_asks_and_empties_the_depot(void **state __rte_unused)
{
	unsigned int n = 100;

	run_on_lcore(1, fill_run, &n);
	assert_true(mag_depot_total(&cache->depot.full) > 0);
	assert_int_equal(mag_cache_reap_now(cache, false), 0);
	assert_int_equal(mag_depot_total(&cache->depot.full), 0);
	assert_int_not_equal(cache->slot[1].visitor.word & MAG_BIAS_ASKED, 0);
	assert_true(mag_lcore_count(&cache->slot[1]) > 0);
	run_on_lcore(1, cycle_run, NULL);
	assert_true(mag_lcore_count(&cache->slot[1]) <= ROUNDS);
}

static void
test_a_purge_is_not_done_before_owners_came_by(void **state __rte_unused)
{
	unsigned int n = 40;

	run_on_lcore(1, fill_run, &n);
	assert_int_equal(mag_cache_purge(cache), -EAGAIN);
	assert_int_equal(cache->slot[1].size, ROUNDS);
	assert_int_not_equal(mag_cache_resize(cache, 30, true), 0);
	assert_int_equal(cache->type, ROUNDS);
}

static void
test_a_flush_needs_no_request(void **state __rte_unused)
{
	unsigned int n = 40;

	fill_run(&n);
	assert_true(mag_lcore_count(mag_lcore_slot(cache->slot)) > 0);
	mag_lcore_flush();
	assert_int_equal(mag_lcore_count(mag_lcore_slot(cache->slot)), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_a_purge_empties_the_shared_slot_and_is_not_done),
		T(test_an_lcore_gets_what_the_shared_slot_holds),
		T(test_a_thief_asks_and_the_owner_hands_in_when_it_comes_by),
		T(test_a_reap_asks_and_empties_the_depot),
		T(test_a_purge_is_not_done_before_owners_came_by),
		T(test_a_flush_needs_no_request),
	};

	eal_start(3, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
