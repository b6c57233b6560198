/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"

#include <string.h>

#include "cache.h"
#include "ground.h"

#define BLOCK 16
#define COUNT (16 * BLOCK)
#define SIZE 256
#define ROUNDS 14

static struct ground ground;
static struct mag_cache *cache;

static int
setup(void **state __rte_unused)
{
	struct mag_cache_params params = {
		.name = "counted", .object_size = SIZE - 4, .align = 16, .node = -1};

	ground = ground_make(COUNT, SIZE, BLOCK, 0);
	params.region = ground.region;
	params.flags = MAG_CACHE_DYNAMIC;
	cache = mag_cache_create(&params);
	assert_non_null(cache);
	return 0;
}

static int
teardown(void **state __rte_unused)
{
	assert_int_equal(mag_cache_destroy(cache), 0);
	ground_drop(&ground);
	return 0;
}

static struct mag_cache_stats
stats(void)
{
	struct mag_cache_stats stats;

	memset(&stats, 0xff, sizeof(stats));
	mag_cache_stats(cache, &stats);
	return stats;
}

static void
fill_run(void *arg)
{
	void *objects[COUNT];
	unsigned int n = mag_cache_alloc_bulk(cache, objects, *(unsigned int *)arg);

	mag_cache_free_bulk(cache, objects, n);
}

static void
test_a_new_cache_tells_what_it_was_made_from(void **state __rte_unused)
{
	struct mag_cache_stats now = stats();

	assert_string_equal(now.name, "counted");
	assert_int_equal(now.id, cache->id);
	assert_int_equal(now.region_id, cache->region->id);
	assert_int_equal(now.region_mode, cache->region->mode);
	/* Cleared by itself, where cache lines are so long. */
	assert_int_equal(now.flags,
			 MAG_CACHE_DYNAMIC | (SIZE <= mag_options_clear_min(&mag_options_default) ?
						      MAG_CACHE_CLEARONFREE :
						      0));
	assert_int_equal(now.object_size, SIZE - 4);
	assert_int_equal(now.chunk_size, SIZE);
	assert_int_equal(now.align, 16);
	assert_int_equal(now.region_align, cache->region->align);
	assert_int_equal(now.slab_objects, BLOCK);
	assert_int_equal(now.slab_size, BLOCK * SIZE);
	assert_int_equal(now.rounds, ROUNDS);
	assert_int_equal(now.objects, COUNT);
	assert_int_equal(now.free, COUNT);
	assert_int_equal(now.table_size, 64);
	assert_int_equal(now.loaded + now.previous + now.slab_frees_no_magazine, 0);
	assert_int_equal(now.in_lcores + now.depot_full + now.depot_empty + now.depot_full_taken +
				 now.depot_empty_taken + now.contention + now.contention_total +
				 now.zeroes + now.resizes + now.purges + now.reaps + now.updates,
			 0);
	assert_int_equal(now.slabs_created + now.slabs_destroyed + now.slabs_partial +
				 now.slabs_full + now.slab_allocs + now.slab_frees +
				 now.slab_fails + now.alloc_fails + now.invalid_frees + now.in_use +
				 now.in_use_max + now.rescales + now.steals + now.steal_denied +
				 now.visits_denied,
			 0);
}

static void
test_slab_counts_follow_objects_out_and_back(void **state __rte_unused)
{
	void *objects[COUNT], *more;
	struct mag_cache_stats now;

	assert_int_equal(mag_cache_alloc_bulk(cache, objects, BLOCK + 1), BLOCK + 1);
	now = stats();
	assert_int_equal(now.free, COUNT - BLOCK - 1);
	assert_int_equal(now.slabs_created, 2);
	assert_int_equal(now.slabs_full, 1);
	assert_int_equal(now.slabs_partial, 1);
	assert_int_equal(now.slab_allocs, BLOCK + 1);
	assert_int_equal(now.in_use, 2 * BLOCK);
	assert_int_equal(mag_cache_alloc_bulk(cache, objects + BLOCK + 1, COUNT),
			 COUNT - BLOCK - 1);
	assert_int_equal(mag_cache_alloc_bulk(cache, &more, 1), 0);
	now = stats();
	assert_int_equal(now.free, 0);
	assert_true(now.slab_fails > 0);
	assert_int_equal(now.alloc_fails, now.slab_fails);
	mag_cache_free_nocache(cache, objects[0]);
	mag_cache_free_nocache(cache, objects[0]);
	now = stats();
	assert_int_equal(now.invalid_frees, 1);
	assert_int_equal(now.slab_frees, 1);
	assert_int_equal(now.free, 1);
	mag_cache_free_bulk(cache, objects + 1, COUNT - 1);
	assert_int_equal(mag_cache_reap_now(cache, true), 0);
	now = stats();
	assert_int_equal(now.slabs_created, now.slabs_destroyed);
	assert_int_equal(now.in_use, 0);
	assert_int_equal(now.in_use_max, COUNT);
	assert_int_equal(now.purges, 1);
}

static void
test_depot_counts_are_magazines_and_takes(void **state __rte_unused)
{
	struct mag_cache_stats now;
	unsigned int n = 5 * ROUNDS;

	fill_run(&n);
	now = stats();
	assert_int_equal(now.in_lcores, 2 * ROUNDS);
	assert_int_equal(now.loaded, ROUNDS);
	assert_int_equal(now.previous, ROUNDS);
	assert_int_equal(now.depot_full, 3);
	assert_int_equal(now.depot_empty, 0);
	assert_int_equal(now.depot_empty_taken, 5);
	assert_int_equal(now.depot_full_taken, 0);
	assert_int_equal(now.free, COUNT);
	n = 3 * ROUNDS;
	fill_run(&n);
	assert_int_equal(stats().depot_full_taken, 1);
	cache->depot.empty.contention = 6;
	cache->contention_seen = 4;
	assert_int_equal(stats().contention, 2);
	assert_int_equal(stats().contention_total, 6);
	cache->contention_seen = 7;
	assert_int_equal(stats().contention, 0);
}

static void
test_maintenance_counts(void **state __rte_unused)
{
	struct mag_cache_stats now;

	mag_cache_update(cache);
	assert_int_equal(mag_cache_resize(cache, 30, true), 0);
	now = stats();
	assert_int_equal(now.updates, 1);
	assert_int_equal(now.resizes, 1);
	assert_int_equal(now.rounds, 30);
	assert_int_equal(mag_cache_purge(cache), 0);
	assert_int_equal(stats().rounds, 0);
	mag_cache_enable(cache);
	assert_int_equal(stats().rounds, 30);
}

static void
test_frees_that_find_no_magazine_are_counted(void **state __rte_unused)
{
	struct mag_magazine *taken[1000];
	unsigned int i, n = 0;
	void *objects[COUNT];

	assert_int_equal(mag_cache_alloc_bulk(cache, objects, COUNT), COUNT);
	while ((taken[n] = mag_arena_get(&cache->arena, ROUNDS)) != NULL)
		n++;
	mag_cache_free(cache, objects[0]);
	mag_cache_free_bulk(cache, objects + 1, 10);
	assert_int_equal(stats().slab_frees_no_magazine, 11);
	mag_cache_free_nocache(cache, objects[11]);
	for (i = 0; i < n; i++)
		mag_arena_put(&cache->arena, taken[i]);
	/* Neither does one count that goes by the magazines, or finds some, or the layer off. */
	mag_cache_free_bulk(cache, objects + 12, 20);
	assert_int_equal(mag_cache_purge(cache), 0);
	mag_cache_free_bulk(cache, objects + 32, COUNT - 32);
	assert_int_equal(stats().slab_frees_no_magazine, 11);
	mag_cache_enable(cache);
}

static void
test_ids_are_of_the_process_that_made_it(void **state __rte_unused)
{
	struct mag_region_stats region;

	mag_region_stats_get(cache->region, &region);
	assert_true(stats().id >> 32 == mag_process_id);
	assert_true(region.id >> 32 == mag_process_id);
	assert_true(stats().region_id == region.id);
}

static struct mag_slot_stats slots[MAG_SLOTS];

static unsigned int
slot_of(unsigned int lcore)
{
	unsigned int i, n = mag_cache_slot_stats(cache, slots, MAG_SLOTS);

	for (i = 0; i < n; i++)
		if (slots[i].lcore == lcore)
			return i;
	fail();
	return 0;
}

static void
test_each_slot_counts_its_own(void **state __rte_unused)
{
	unsigned int n = 20, i;

	run_on_lcore(1, fill_run, &n);
	run_on_lcore(1, fill_run, &n);
	i = slot_of(1);
	assert_int_equal(slots[i].allocs, 40);
	assert_int_equal(slots[i].frees, 40);
	assert_int_equal(slots[i].loaded, 6);
	assert_int_equal(slots[i].previous, ROUNDS);
	run_on_thread(fill_run, &n);
	n = mag_cache_slot_stats(cache, slots, MAG_SLOTS);
	assert_int_equal(slots[n - 1].lcore, LCORE_ID_ANY);
	assert_int_equal(slots[n - 1].allocs, 20);
	assert_int_equal(slots[n - 1].frees, 20);
	assert_int_equal(n, mag_lcore_slots() + 1);
	assert_int_equal(mag_cache_slot_stats(cache, slots, 1), 1);
	assert_int_equal(mag_cache_slot_stats(cache, slots, 0), 0);
}

/* As it looks when an owner gets a magazine from the depot between the reads. */
static void
test_frees_of_a_slot_never_fall_below_zero(void **state __rte_unused)
{
	cache->slot[0].rounds_in += 3;
	assert_int_equal(mag_cache_slot_stats(cache, slots, 1), 1);
	assert_int_equal(slots[0].frees, 0);
	cache->slot[0].allocs += 3;
	assert_int_equal(mag_cache_slot_stats(cache, slots, 1), 1);
	assert_int_equal(slots[0].frees, 0);
	cache->slot[0].visited_out += 2;
	assert_int_equal(mag_cache_slot_stats(cache, slots, 1), 1);
	assert_int_equal(slots[0].frees, 2);
}

static int64_t
allocs_less_frees(void)
{
	unsigned int i, n = mag_cache_slot_stats(cache, slots, MAG_SLOTS);
	int64_t sum = 0;

	for (i = 0; i < n; i++)
		sum += slots[i].allocs - slots[i].frees;
	return sum;
}

static void
test_allocations_less_frees_are_the_objects_out(void **state __rte_unused)
{
	void *objects[COUNT];
	unsigned int i, n;

	for (i = 0; i < 200; i++) {
		n = mag_cache_alloc_bulk(cache, objects, 1 + random_below(COUNT));
		assert_int_equal(allocs_less_frees(), n);
		if (i % 20 == 0)
			mag_cache_reap_now(cache, i % 40 == 0);
		assert_int_equal(allocs_less_frees(), n);
		mag_cache_free_nocache(cache, objects[--n]);
		mag_cache_free_bulk(cache, objects, n);
		assert_int_equal(allocs_less_frees(), 0);
		if (i % 30 == 0)
			mag_lcore_flush();
		assert_int_equal(allocs_less_frees(), 0);
	}
}

static void
test_stolen_objects_are_allocations_of_the_thief(void **state __rte_unused)
{
	void *objects[COUNT];
	unsigned int n = 60;

	run_on_lcore(1, fill_run, &n);
	run_on_thread(fill_run, &n);
	assert_int_equal(mag_cache_alloc_bulk(cache, objects, COUNT), COUNT);
	assert_true(stats().steals > 0);
	assert_int_equal(allocs_less_frees(), COUNT);
	mag_cache_free_bulk(cache, objects, COUNT);
	assert_int_equal(allocs_less_frees(), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_a_new_cache_tells_what_it_was_made_from),
		T(test_slab_counts_follow_objects_out_and_back),
		T(test_depot_counts_are_magazines_and_takes),
		T(test_maintenance_counts),
		T(test_frees_that_find_no_magazine_are_counted),
		T(test_ids_are_of_the_process_that_made_it),
		T(test_each_slot_counts_its_own),
		T(test_frees_of_a_slot_never_fall_below_zero),
		T(test_allocations_less_frees_are_the_objects_out),
		T(test_stolen_objects_are_allocations_of_the_thief),
	};

	eal_start(3, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
