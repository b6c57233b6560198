/* SPDX-License-Identifier: BSD-3-Clause */

/* With visit=0 owners are asked, and hand in what they have when they come by. */

#include "eal.h"

#include "fixture.h"
#include "parts/type.h"

#define BLOCK FIXTURE_BLOCK
#define COUNT (16 * BLOCK)
#define SIZE 256
#define ROUNDS 14

static uint64_t membarriers;
static void *had[COUNT];

static void
begin(void)
{
	assert_int_equal(cache->common.bias, MAG_BIAS_POLL);
	membarriers = mag_bias_membarriers();
}

SETUP(setup)
{
	fixture_cache(COUNT, CACHE_PARAMS(.name = "quiet", .object_size = SIZE,
					  .flags = MAG_CACHE_DYNAMIC, .options = "visit=0"));
	begin();
}

static int
setup_pool(uint64_t objects)
{
	struct mag_options options = mag_options_default;

	options.visit = 0;
	fixture_pool("quiet", COUNT, SIZE, objects, &options);
	begin();
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

TEARDOWN(teardown)
{
	assert_int_equal(cache->common.transit, 0);
	assert_int_equal(mag_cache_available(cache), COUNT);
	fixture_drop();
	assert_int_equal(mag_bias_membarriers(), membarriers);
}

static void
flush_run(void *arg __rte_unused)
{
	mag_lcore_flush();
}

static void
come_by(unsigned int lcore)
{
	fill_on_lcore(lcore, 1);
}

static bool
is_asked(unsigned int lcore)
{
	return slot_at(lcore)->visitor & MAG_BIAS_ASKED;
}

/* At once, or the test fails. */
static void
steal(unsigned int n)
{
	assert_int_equal(mag_cache_take_all(cache, had, n, true), 0);
	assert_distinct(&ground, had, n);
	free_bulk(had, n);
}

TEST(test_a_purge_empties_the_shared_slot_and_is_not_done, setup, teardown)
{
	fill_on_thread(40);
	assert_true(slot_holds(MAG_SLOT_SHARED) > 0);
	assert_int_equal(mag_cache_purge(cache), -EAGAIN);
	assert_int_equal(slot_holds(MAG_SLOT_SHARED), 0);
	assert_int_equal(slot_at(MAG_SLOT_SHARED)->size, ROUNDS);
}

TEST(test_an_lcore_gets_what_the_shared_slot_holds, setup, teardown)
{
	fill_on_thread(40);
	alloc_bulk(had, COUNT);
	assert_distinct(&ground, had, COUNT);
	free_bulk(had, COUNT);
}

TEST(test_a_thief_asks_and_the_owner_hands_in_when_it_comes_by, setup, teardown)
{
	fill_on_lcore(1, 40);
	assert_true(slot_holds(1) > 1);
	assert_int_equal(mag_cache_take_all(cache, had, COUNT, true), -ENOBUFS);
	assert_true(is_asked(1));
	come_by(1);
	assert_false(is_asked(1));
	assert_true(slot_holds(1) <= ROUNDS);
	steal(COUNT - ROUNDS);
}

TEST(test_a_reap_asks_and_empties_the_depot, setup, teardown)
{
	fill_on_lcore(1, 100);
	assert_true(depot_full() > 0);
	assert_int_equal(mag_cache_reap_now(cache, false), 0);
	assert_int_equal(depot_full(), 0);
	assert_true(is_asked(1));
	assert_true(slot_holds(1) > 0);
	come_by(1);
	assert_true(slot_holds(1) <= ROUNDS);
}

TEST(test_a_purge_is_not_done_before_owners_came_by, setup, teardown)
{
	fill_on_lcore(1, 40);
	assert_int_equal(mag_cache_purge(cache), -EAGAIN);
	assert_int_equal(slot_at(1)->size, ROUNDS);
	assert_int_not_equal(mag_cache_resize(cache, 30, true), 0);
	assert_int_equal(cache->common.type, ROUNDS);
}

TEST(test_every_object_is_had_when_others_flushed_or_ended, setup, teardown)
{
	unsigned int n = 60;

	fill_on_lcore(1, n);
	fill_on_lcore(2, n);
	run_on_registered(fill_run, &n);
	run_on_lcore(1, flush_run, NULL);
	run_on_lcore(2, flush_run, NULL);
	steal(COUNT);
}

TEST(test_reclaim_with_memory_low_asks, setup, teardown)
{
	fill_on_lcore(1, 40);
	assert_int_equal(mag_cache_reclaim(cache, true), -EAGAIN);
	come_by(1);
	assert_int_equal(mag_cache_reclaim(cache, true), -EAGAIN);
	assert_true(cache->first.slab.out <= ROUNDS);
}

/* Nor is anybody asked, at each update, for a change that cannot be. */
static void
assert_update_leaves(uint32_t type)
{
	mag_cache_update(cache);
	assert_int_equal(cache->common.type, type);
	assert_int_equal(cache->resizes, 0);
	assert_sizes(type);
	assert_int_equal(slot_at(1)->visitor, 0);
}

TEST(test_the_magazine_size_does_not_change, setup, teardown)
{
	uint32_t type = cache->common.type;

	assert_true(cache->flags & MAG_CACHE_DYNAMIC);
	assert_true(mag_type_next(SIZE, type) > type);
	fill_on_lcore(1, 40);
	atomic_fetch_add(&cache->first.depot.full.contention, 100);
	assert_update_leaves(type);
}

TEST(test_more_lcores_do_not_change_the_magazines, setup_small, teardown)
{
	assert_int_equal(cache->common.type, 30);
	fill_on_lcore(1, 20);
	guest_come(0);
	assert_true(8ull * rte_lcore_count() * 30 > cache->expected);
	assert_update_leaves(30);
	guest_go();
}

TEST(test_blocks_are_not_gathered_from_lcores_before_they_came_by, setup_growing, teardown)
{
	void *first[COUNT / BLOCK];

	fill_on_lcore(1, COUNT);
	assert_true(slot_holds(1) > 0);
	assert_int_not_equal(mag_slab_alloc_blocks(&cache->first.slab, first, COUNT / BLOCK), 0);
	assert_int_equal(mag_cache_gather(cache), -EAGAIN);
	assert_true(slot_holds(1) > 0);
	run_on_lcore(1, flush_run, NULL);
	assert_int_equal(mag_cache_gather(cache), -EAGAIN);
	assert_int_equal(mag_slab_alloc_blocks(&cache->first.slab, first, COUNT / BLOCK), 0);
	for (unsigned int i = 0; i < COUNT; i++)
		mag_cache_free_nocache(cache, (char *)first[i / BLOCK] + i % BLOCK * SIZE);
}

TEST(test_a_pool_is_populated_anew, setup_growing, teardown)
{
	fill_on_lcore(1, COUNT / 2);
	fill(COUNT / 2);
	mag_pool_reset(cache);
	assert_int_equal(mag_cache_available(cache), 0);
	for (unsigned int i = 0; i < COUNT; i++)
		had[i] = ground_object(&ground, i);
	assert_int_equal(mag_region_adopt(ground.region, had, COUNT, -1), 0);
	steal(COUNT);
}

/* Everything that interrupts lcores of other caches, while lcores and threads work. */
static void
disturb(void)
{
	if (mag_cache_take_all(cache, had, COUNT / 2, true) == 0)
		free_bulk(had, COUNT / 2);
	assert_int_equal(mag_cache_reap_now(cache, false), 0);
	assert_int_equal(mag_cache_reap_now(cache, true), -EAGAIN);
	assert_int_equal(mag_cache_purge(cache), -EAGAIN);
	assert_int_equal(mag_cache_resize(cache, 14, true), -EAGAIN);
	assert_int_equal(mag_cache_gather(cache), -EAGAIN);
	atomic_fetch_add(&cache->first.depot.full.contention, 10);
	mag_cache_update(cache);
	mag_reap_request();
}

TEST(test_nothing_interrupts_lcores_that_work, setup_growing, teardown)
{
	uint32_t type = cache->common.type;

	assert_int_equal(mag_maint_interval(1), 0);
	crowd_begin(2, 90);
	for (unsigned int i = 0; i < 100 || crowd_turns() < 3000; i++)
		disturb();
	crowd_end();
	assert_int_equal(mag_maint_interval(0), 0);
	assert_int_equal(cache->common.type, type);
	assert_int_equal(cache->resizes, 0);
	assert_int_equal(mag_bias_membarriers(), membarriers);
	wait_until(mag_cache_available(cache) == COUNT);
}

TEST_PROGRAM(3)
