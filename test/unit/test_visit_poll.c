/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"
#include "mag_maint.h"
#include "mag_stats.h"
#include "control/pool.h"
#include "visits/purge.h"

#include <errno.h>

#include "cache/cache.h"
#include "ground.h"
#include "outside/maint.h"

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
	struct mag_cache_params params = {.size = sizeof(params),
					  .name = "quiet",
					  .object_size = SIZE,
					  .flags = MAG_CACHE_DYNAMIC,
					  .node = -1,
					  .options = "visit=0"};

	ground = ground_make(COUNT, SIZE, BLOCK, 0);
	params.region = ground.region;
	cache = mag_cache_create(&params);
	assert_non_null(cache);
	assert_int_equal(cache->common.bias, MAG_BIAS_POLL);
	membarriers = mag_bias_membarriers();
	return 0;
}

static int
setup_pool(uint64_t objects)
{
	struct mag_pool_params params = {
		.name = "quiet",
		.object_size = SIZE,
		.objects = objects,
		.options = mag_options_default,
		.node = -1,
	};

	ground = ground_make(COUNT, SIZE, BLOCK, MAG_REGION_READONLY);
	params.region = ground.region;
	params.options.visit = 0;
	cache = mag_pool_create(&params);
	assert_non_null(cache);
	assert_int_equal(cache->common.bias, MAG_BIAS_POLL);
	membarriers = mag_bias_membarriers();
	return 0;
}

static int
setup_growing(void **state __rte_unused)
{
	return setup_pool(64 * COUNT);
}

static int
setup_small(void **state __rte_unused)
{
	return setup_pool(8ull * rte_lcore_count() * 30);
}

static int
teardown_pool(void **state __rte_unused)
{
	assert_int_equal(mag_cache_available(cache), COUNT);
	mag_pool_free(cache);
	assert_int_equal(mag_bias_membarriers(), membarriers);
	ground_drop(&ground);
	return 0;
}

static int
teardown(void **state __rte_unused)
{
	assert_int_equal(cache->common.transit, 0);
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
	unsigned int n = mag_cache_alloc_burst(cache, objects, *(unsigned int *)arg);

	mag_cache_free_bulk(cache, objects, n);
}

static void
cycle_run(void *arg __rte_unused)
{
	unsigned int one = 1;

	fill_run(&one);
}

TEST(test_a_purge_empties_the_shared_slot_and_is_not_done, setup, teardown)
{
	unsigned int n = 40;

	run_on_thread(fill_run, &n);
	assert_true(mag_slot_objects(&cache->first.slot[MAG_SLOT_SHARED]) > 0);
	assert_int_equal(mag_cache_purge(cache), -EAGAIN);
	assert_int_equal(mag_slot_objects(&cache->first.slot[MAG_SLOT_SHARED]), 0);
	assert_int_equal(cache->first.slot[MAG_SLOT_SHARED].size, ROUNDS);
}

TEST(test_an_lcore_gets_what_the_shared_slot_holds, setup, teardown)
{
	void *objects[COUNT];
	unsigned int n = 40;

	run_on_thread(fill_run, &n);
	assert_int_equal(mag_cache_alloc_burst(cache, objects, COUNT), COUNT);
	assert_distinct(&ground, objects, COUNT);
	mag_cache_free_bulk(cache, objects, COUNT);
}

TEST(test_a_thief_asks_and_the_owner_hands_in_when_it_comes_by, setup, teardown)
{
	void *objects[COUNT];
	unsigned int n = 40;

	run_on_lcore(1, fill_run, &n);
	assert_true(mag_slot_objects(&cache->first.slot[1]) > 1);
	assert_int_equal(mag_cache_take_all(cache, objects, COUNT, true), -ENOBUFS);
	assert_int_not_equal(cache->first.slot[1].visitor & MAG_BIAS_ASKED, 0);
	run_on_lcore(1, cycle_run, NULL);
	assert_int_equal(cache->first.slot[1].visitor & MAG_BIAS_ASKED, 0);
	assert_true(mag_slot_objects(&cache->first.slot[1]) <= ROUNDS);
	assert_int_equal(mag_cache_take_all(cache, objects, COUNT - ROUNDS, true), 0);
	mag_cache_give(cache, objects, COUNT - ROUNDS);
}

TEST(test_a_reap_asks_and_empties_the_depot, setup, teardown)
{
	unsigned int n = 100;

	run_on_lcore(1, fill_run, &n);
	assert_true(mag_depot_total(&cache->first.depot.full) > 0);
	assert_int_equal(mag_cache_reap_now(cache, false), 0);
	assert_int_equal(mag_depot_total(&cache->first.depot.full), 0);
	assert_int_not_equal(cache->first.slot[1].visitor & MAG_BIAS_ASKED, 0);
	assert_true(mag_slot_objects(&cache->first.slot[1]) > 0);
	run_on_lcore(1, cycle_run, NULL);
	assert_true(mag_slot_objects(&cache->first.slot[1]) <= ROUNDS);
}

TEST(test_a_purge_is_not_done_before_owners_came_by, setup, teardown)
{
	unsigned int n = 40;

	run_on_lcore(1, fill_run, &n);
	assert_int_equal(mag_cache_purge(cache), -EAGAIN);
	assert_int_equal(cache->first.slot[1].size, ROUNDS);
	assert_int_not_equal(mag_cache_resize(cache, 30, true), 0);
	assert_int_equal(cache->common.type, ROUNDS);
}

TEST(test_the_magazine_size_does_not_change, setup, teardown)
{
	atomic_fetch_add(&cache->first.depot.full.contention, 100);
	mag_cache_update(cache);
	assert_int_equal(cache->common.type, ROUNDS);
	assert_int_equal(cache->resizes, 0);
	assert_int_equal(cache->first.slot[1].visitor & MAG_BIAS_ASKED, 0);
}

TEST(test_a_flush_needs_no_request, setup, teardown)
{
	unsigned int n = 40;

	fill_run(&n);
	assert_true(mag_slot_objects(mag_slot_own(cache->first.slot)) > 0);
	mag_lcore_flush();
	assert_int_equal(mag_slot_objects(mag_slot_own(cache->first.slot)), 0);
}

TEST(test_what_all_hold_is_had_when_each_came_by, setup, teardown)
{
	void *objects[COUNT];
	unsigned int n = 60;

	run_on_lcore(1, fill_run, &n);
	run_on_lcore(2, fill_run, &n);
	run_on_thread(fill_run, &n);
	/* All but the one object that either gets and puts when it comes by. */
	if (mag_cache_take_all(cache, objects, COUNT - 2 * ROUNDS, true) != 0) {
		run_on_lcore(1, cycle_run, NULL);
		run_on_lcore(2, cycle_run, NULL);
		assert_int_equal(mag_cache_take_all(cache, objects, COUNT - 2 * ROUNDS, true), 0);
	}
	assert_distinct(&ground, objects, COUNT - 2 * ROUNDS);
	mag_cache_give(cache, objects, COUNT - 2 * ROUNDS);
}

static void
flush_run(void *arg __rte_unused)
{
	mag_lcore_flush();
}

TEST(test_every_object_is_had_when_others_flushed, setup, teardown)
{
	void *objects[COUNT];
	unsigned int n = 60;

	run_on_lcore(1, fill_run, &n);
	run_on_lcore(2, fill_run, &n);
	run_on_lcore(1, flush_run, NULL);
	run_on_lcore(2, flush_run, NULL);
	assert_int_equal(mag_cache_take_all(cache, objects, COUNT, true), 0);
	mag_cache_give(cache, objects, COUNT);
}

TEST(test_an_ending_thread_hands_in_unasked, setup, teardown)
{
	void *objects[COUNT];
	unsigned int n = 60;

	run_on_registered(fill_run, &n);
	assert_int_equal(mag_cache_take_all(cache, objects, COUNT, true), 0);
	mag_cache_give(cache, objects, COUNT);
}

TEST(test_updates_give_back_what_the_depot_did_not_need, setup, teardown)
{
	unsigned int n = 100;

	run_on_lcore(1, fill_run, &n);
	assert_true(mag_depot_total(&cache->first.depot.full) > 0);
	mag_cache_update(cache);
	mag_cache_update(cache);
	assert_int_equal(mag_depot_total(&cache->first.depot.full), 0);
	assert_int_equal(cache->first.slab.out, mag_slot_objects(&cache->first.slot[1]));
}

TEST(test_reclaim_with_memory_low_asks, setup, teardown)
{
	unsigned int n = 40;

	run_on_lcore(1, fill_run, &n);
	assert_int_equal(mag_cache_reclaim(cache, true), -EAGAIN);
	run_on_lcore(1, cycle_run, NULL);
	assert_int_equal(mag_cache_reclaim(cache, true), -EAGAIN);
	assert_true(cache->first.slab.out <= ROUNDS);
}

TEST(test_contention_does_not_change_the_magazines, setup_growing, teardown_pool)
{
	uint32_t type = cache->common.type;
	unsigned int n = 40;

	assert_true(cache->flags & MAG_CACHE_DYNAMIC);
	assert_true(type < MAG_ROUNDS_MAX);
	run_on_lcore(1, fill_run, &n);
	atomic_fetch_add(&cache->first.depot.full.contention, 100);
	mag_cache_update(cache);
	assert_int_equal(cache->common.type, type);
	assert_int_equal(cache->resizes, 0);
	/* Nor is anybody asked, at each update, for a change that cannot be. */
	assert_int_equal(cache->first.slot[1].visitor, 0);
}

static _Atomic bool leave;

static void
stay_run(void *arg __rte_unused)
{
	while (!atomic_load(&leave))
		let_pass(1);
}

TEST(test_more_lcores_do_not_change_the_magazines, setup_small, teardown_pool)
{
	struct task task;
	unsigned int n = 20;

	assert_int_equal(cache->common.type, 30);
	run_on_lcore(1, fill_run, &n);
	atomic_store(&leave, false);
	task_registered(&task, stay_run, NULL);
	wait_until(8ull * rte_lcore_count() * 30 > cache->expected);
	mag_cache_update(cache);
	atomic_store(&leave, true);
	task_join(&task);
	assert_int_equal(cache->common.type, 30);
	assert_int_equal(cache->first.slot[0].size, 30);
	assert_int_equal(cache->first.slot[1].visitor, 0);
}

TEST(test_blocks_are_not_gathered_from_lcores_before_they_came_by, setup_growing, teardown_pool)
{
	void *first[COUNT / BLOCK];
	unsigned int n = COUNT, i;

	run_on_lcore(1, fill_run, &n);
	assert_true(mag_slot_objects(&cache->first.slot[1]) > 0);
	assert_int_not_equal(mag_slab_alloc_blocks(&cache->first.slab, first, COUNT / BLOCK), 0);
	assert_int_equal(mag_cache_gather(cache), -EAGAIN);
	assert_true(mag_slot_objects(&cache->first.slot[1]) > 0);
	run_on_lcore(1, flush_run, NULL);
	assert_int_equal(mag_cache_gather(cache), -EAGAIN);
	assert_int_equal(mag_slab_alloc_blocks(&cache->first.slab, first, COUNT / BLOCK), 0);
	for (i = 0; i < COUNT; i++)
		mag_cache_free_nocache(cache, (char *)first[i / BLOCK] + i % BLOCK * SIZE);
}

TEST(test_a_pool_is_populated_anew, setup_growing, teardown_pool)
{
	void *objects[COUNT];
	unsigned int n = COUNT / 2, i;

	run_on_lcore(1, fill_run, &n);
	fill_run(&n);
	mag_pool_reset(cache);
	assert_int_equal(mag_cache_available(cache), 0);
	for (i = 0; i < COUNT; i++)
		objects[i] = ground_object(&ground, i);
	assert_int_equal(mag_region_adopt(ground.region, objects, COUNT, -1), 0);
	assert_int_equal(mag_cache_take_all(cache, objects, COUNT, true), 0);
	assert_distinct(&ground, objects, COUNT);
	mag_cache_give(cache, objects, COUNT);
}

/* Everything that interrupts lcores of other caches, while lcores and threads work. */

static struct {
	_Atomic bool stop;
	_Atomic uint64_t turns;
	_Atomic uint32_t owner[COUNT];
	_Atomic uint32_t clashes;
} crowd;

static _Atomic uint32_t *
owner_of(const void *object)
{
	return &crowd.owner[((const char *)object - ground.memory) / SIZE];
}

static void
crowd_run(void *arg)
{
	uint32_t seed = *(uint32_t *)arg;
	void *objects[90];
	unsigned int i, n;

	while (!atomic_load_explicit(&crowd.stop, memory_order_relaxed)) {
		seed = seed * 1103515245 + 12345;
		n = mag_cache_alloc_burst(cache, objects, 1 + (seed >> 16) % RTE_DIM(objects));
		for (i = 0; i < n; i++)
			if (!ground_has(&ground, objects[i]) ||
			    atomic_exchange(owner_of(objects[i]), 1) != 0)
				atomic_fetch_add(&crowd.clashes, 1);
		for (i = 0; i < n; i++)
			atomic_store(owner_of(objects[i]), 0);
		mag_cache_free_bulk(cache, objects, n);
		atomic_fetch_add_explicit(&crowd.turns, 1, memory_order_relaxed);
	}
}

static void
disturb(void)
{
	void *objects[COUNT];

	if (mag_cache_take_all(cache, objects, COUNT / 2, true) == 0)
		mag_cache_give(cache, objects, COUNT / 2);
	assert_int_equal(mag_cache_reap_now(cache, false), 0);
	assert_int_equal(mag_cache_reap_now(cache, true), -EAGAIN);
	assert_int_equal(mag_cache_purge(cache), -EAGAIN);
	assert_int_equal(mag_cache_resize(cache, 14, true), -EAGAIN);
	assert_int_equal(mag_cache_gather(cache), -EAGAIN);
	atomic_fetch_add(&cache->first.depot.full.contention, 10);
	mag_cache_update(cache);
	mag_reap_request();
}

TEST(test_nothing_interrupts_lcores_that_work, setup_growing, teardown_pool)
{
	uint32_t seed[4] = {1, 2, 3, 4}, type = cache->common.type;
	struct task task[4];
	unsigned int i;

	assert_int_equal(mag_maint_interval(1), 0);
	task_lcore(&task[0], 1, crowd_run, &seed[0]);
	task_lcore(&task[1], 2, crowd_run, &seed[1]);
	task_thread(&task[2], crowd_run, &seed[2]);
	task_registered(&task[3], crowd_run, &seed[3]);
	for (i = 0; i < 100 || atomic_load(&crowd.turns) < 3000; i++)
		disturb();
	atomic_store(&crowd.stop, true);
	for (i = 0; i < RTE_DIM(task); i++)
		task_join(&task[i]);
	assert_int_equal(mag_maint_interval(0), 0);
	assert_int_equal(crowd.clashes, 0);
	assert_int_equal(cache->first.slab.invalid, 0);
	assert_int_equal(cache->common.type, type);
	assert_int_equal(cache->resizes, 0);
	assert_int_equal(mag_bias_membarriers(), membarriers);
	wait_until(mag_cache_available(cache) == COUNT);
}

TEST(test_a_steal_where_visits_are_allowed_sends_one_membarrier, setup, teardown)
{
	struct mag_cache_params params = {
		.size = sizeof(params), .name = "loud", .object_size = SIZE, .node = -1};
	struct mag_cache *quiet = cache;
	struct ground other = ground_make(COUNT, SIZE, BLOCK, 0);
	void *objects[COUNT];
	unsigned int n = 60;

	if (mag_bias_best() != MAG_BIAS_MEMBARRIER)
		skip();
	params.region = other.region;
	cache = mag_cache_create(&params);
	assert_non_null(cache);
	run_on_lcore(1, fill_run, &n);
	run_on_lcore(2, fill_run, &n);
	assert_int_equal(mag_cache_take_all(cache, objects, COUNT, true), 0);
	assert_int_equal(mag_bias_membarriers(), membarriers + 1);
	mag_cache_give(cache, objects, COUNT);
	assert_int_equal(mag_cache_destroy(cache), 0);
	ground_drop(&other);
	cache = quiet;
	membarriers = mag_bias_membarriers();
}

int
main(void)
{
	eal_start(3, NULL);
	return tests_run(NULL, NULL);
}
