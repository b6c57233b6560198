/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"
#include "mag_maint.h"
#include "mag_stats.h"
#include "visits/perimeter.h"
#include "control/pool.h"
#include "control/registry.h"
#include "home/slab_objects.h"

#include <errno.h>
#include <pthread.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_errno.h>

#include "cache/cache.h"
#include "base/fault.h"
#include "ground.h"
#include "base/lcores.h"
#include "base/numa.h"
#include "../counts.h"
#include "outside/maint.h"

#define BLOCK 16
#define COUNT (8 * BLOCK)
#define SIZE 256

static struct ground ground;

static struct {
	unsigned int constructed, destructed, reclaimed;
	unsigned int fail_at; /* the nth construction fails; 0 = none */
	struct mag_object_info last;
	void *arg;
	bool mirror;
	bool alive[COUNT];
	unsigned int wrong; /* constructed while alive, destructed while not */
} seen;

static uint32_t
number_of(const void *object)
{
	return ((const char *)object - ground.memory) / SIZE;
}

static int
construct(const struct mag_object_info *object, const struct mag_object_info *mirror, void *arg,
	  unsigned int flags __rte_unused)
{
	if (++seen.constructed == seen.fail_at)
		return -1;
	seen.last = *object;
	seen.mirror = mirror != NULL;
	seen.arg = arg;
	seen.wrong += seen.alive[number_of(object->address)];
	seen.alive[number_of(object->address)] = true;
	return 0;
}

static void
destruct(void *object, void *arg)
{
	seen.destructed++;
	seen.arg = arg;
	seen.wrong += !seen.alive[number_of(object)];
	seen.alive[number_of(object)] = false;
}

static void
reclaim(void *arg)
{
	seen.reclaimed++;
	seen.arg = arg;
}

static int
setup(void **state __rte_unused)
{
	memset(&seen, 0, sizeof(seen));
	ground = ground_make(COUNT, SIZE, BLOCK, 0);
	return 0;
}

static int
teardown(void **state __rte_unused)
{
	ground_drop(&ground);
	return 0;
}

static struct mag_cache_params
params_of(unsigned int flags)
{
	return (struct mag_cache_params){
		.size = sizeof(struct mag_cache_params),
		.name = "things",
		.object_size = SIZE,
		.region = ground.region,
		.flags = flags,
		.node = -1,
	};
}

static struct mag_cache *
cache_make(unsigned int flags)
{
	struct mag_cache_params params = params_of(flags);
	struct mag_cache *cache = mag_cache_create(&params);

	assert_non_null(cache);
	return cache;
}

static struct mag_cache *
cache_with_callbacks(unsigned int flags)
{
	struct mag_cache_params params = params_of(flags);
	struct mag_cache *cache;

	params.constructor = construct;
	params.destructor = destruct;
	params.release = reclaim;
	params.arg = &seen;
	cache = mag_cache_create(&params);
	assert_non_null(cache);
	return cache;
}

static struct mag_pool_params
pool_params(uint64_t objects)
{
	return (struct mag_pool_params){
		.name = "pool",
		.object_size = SIZE,
		.objects = objects,
		.region = ground.region,
		.options = mag_options_default,
		.node = -1,
	};
}

static void
cache_drop(struct mag_cache *cache)
{
	assert_int_equal(
		cache->first.slab.out - (cache->first.slab.allocs - cache->first.slab.frees), 0);
	assert_int_equal(mag_cache_destroy(cache), 0);
	assert_int_equal(ground.region->references, 0);
	assert_int_equal(ground.region->part[0].objects_free, COUNT);
}

TEST(test_all_objects_can_be_had_and_come_back, setup, teardown)
{
	struct mag_cache *cache = cache_make(0);
	void *objects[COUNT + 1];

	assert_int_equal(mag_cache_available(cache), COUNT);
	assert_int_equal(mag_cache_alloc_burst(cache, objects, COUNT + 1), COUNT);
	assert_distinct(&ground, objects, COUNT);
	assert_null(mag_cache_alloc(cache));
	assert_int_equal(mag_cache_available(cache), 0);
	mag_cache_free_bulk(cache, objects, COUNT);
	assert_int_equal(mag_cache_available(cache), COUNT);
	assert_int_equal(mag_cache_alloc_burst(cache, objects, COUNT), COUNT);
	assert_distinct(&ground, objects, COUNT);
	mag_cache_free_bulk(cache, objects, COUNT);
	cache_drop(cache);
}

TEST(test_a_bulk_has_all_or_none_and_a_burst_what_there_is, setup, teardown)
{
	struct mag_cache *cache = cache_make(0);
	void *objects[COUNT + 1], *one;

	assert_int_equal(mag_cache_alloc_bulk(cache, objects, COUNT + 1), 0);
	assert_int_equal(mag_cache_available(cache), COUNT);
	assert_int_equal(mag_cache_alloc_bulk(cache, objects, COUNT - 5), COUNT - 5);
	assert_int_equal(mag_cache_alloc_bulk(cache, objects + COUNT - 5, 6), 0);
	assert_int_equal(mag_cache_alloc_burst(cache, objects + COUNT - 5, 6), 5);
	assert_distinct(&ground, objects, COUNT);
	assert_int_equal(mag_cache_alloc_bulk(cache, &one, 1), 0);
	mag_cache_free_bulk(cache, objects, COUNT);
	assert_int_equal(mag_cache_alloc_bulk(cache, NULL, 0), 0);
	cache_drop(cache);
}

TEST(test_a_bulk_of_which_the_constructor_refuses_one_is_none, setup, teardown)
{
	struct mag_cache *cache = cache_with_callbacks(0);
	void *objects[10];

	seen.fail_at = 4;
	assert_int_equal(mag_cache_alloc_bulk(cache, objects, 10), 0);
	assert_int_equal(mag_cache_available(cache), COUNT);
	assert_int_equal(mag_cache_alloc_bulk(cache, objects, 10), 10);
	mag_cache_free_bulk(cache, objects, 10);
	cache_drop(cache);
}

TEST(test_the_object_freed_last_is_allocated_next, setup, teardown)
{
	struct mag_cache *cache = cache_make(0);
	void *objects[5];
	unsigned int i;

	assert_int_equal(mag_cache_alloc_burst(cache, objects, 5), 5);
	for (i = 0; i < 5; i++)
		mag_cache_free(cache, objects[i]);
	for (i = 5; i-- > 0;)
		assert_ptr_equal(mag_cache_alloc(cache), objects[i]);
	mag_cache_free_bulk(cache, objects, 5);
	cache_drop(cache);
}

TEST(test_an_empty_bulk_changes_nothing, setup, teardown)
{
	struct mag_cache *cache = cache_make(0);
	void *object;

	assert_int_equal(mag_cache_alloc_burst(cache, NULL, 0), 0);
	mag_cache_free_bulk(cache, NULL, 0);
	object = mag_cache_alloc(cache);
	mag_cache_free(cache, object);
	assert_int_equal(mag_cache_alloc_burst(cache, NULL, 0), 0);
	mag_cache_free_bulk(cache, NULL, 0);
	assert_int_equal(mag_cache_available(cache), COUNT);
	cache_drop(cache);
}

TEST(test_an_object_stays_constructed_in_a_magazine, setup, teardown)
{
	struct mag_cache *cache = cache_with_callbacks(0);
	unsigned int i;
	void *object;

	for (i = 0; i < 10; i++) {
		object = mag_cache_alloc(cache);
		mag_cache_free(cache, object);
	}
	assert_int_equal(seen.constructed, 1);
	assert_int_equal(seen.destructed, 0);
	assert_ptr_equal(seen.arg, &seen);
	assert_false(seen.mirror);
	cache_drop(cache);
	assert_int_equal(seen.destructed, 1);
	assert_int_equal(seen.wrong, 0);
}

TEST(test_each_object_is_constructed_and_destructed_in_turn, setup, teardown)
{
	struct mag_cache *cache = cache_with_callbacks(0);
	void *objects[COUNT];
	unsigned int i, n;

	for (i = 0; i < 500; i++) {
		n = mag_cache_alloc_burst(cache, objects, 1 + random_below(COUNT));
		mag_cache_free_bulk(cache, objects, n);
		if (i % 50 == 0)
			assert_int_equal(mag_cache_reap_now(cache, i % 100 == 0), 0);
	}
	cache_drop(cache);
	assert_int_equal(seen.wrong, 0);
	assert_int_equal(seen.constructed, seen.destructed);
}

TEST(test_a_nocache_free_destructs_at_once, setup, teardown)
{
	struct mag_cache *cache = cache_with_callbacks(0);
	void *object = mag_cache_alloc(cache);

	mag_cache_free_nocache(cache, object);
	assert_int_equal(seen.destructed, 1);
	assert_int_equal(cache->first.slab.out, 0);
	assert_int_equal(mag_slot_objects(mag_slot_own(cache->first.slot)), 0);
	cache_drop(cache);
}

TEST(test_a_nocache_free_of_many_destructs_all_of_them_at_once, setup, teardown)
{
	struct mag_cache *cache = cache_with_callbacks(0);
	void *objects[COUNT];

	assert_int_equal(mag_cache_alloc_burst(cache, objects, 40), 40);
	mag_cache_free_nocache_bulk(cache, objects, 39);
	assert_int_equal(seen.destructed, 39);
	assert_int_equal(cache->first.slab.out, 1);
	mag_cache_free_nocache_bulk(cache, objects, 0);
	mag_cache_free_nocache_bulk(cache, objects, 1);
	assert_int_equal(cache->first.slab.invalid, 1);
	mag_cache_free_nocache_bulk(cache, objects + 39, 1);
	assert_int_equal(seen.wrong, 0);
	cache_drop(cache);
}

/* What a constructor is told by its flags, and what it may do. */

static struct {
	struct mag_cache *inner;
	unsigned int flags, calls;
	int waited, walked;
} patient;

static void
no_visit(struct mag_cache *cache __rte_unused, void *arg __rte_unused)
{
}

static int
construct_patiently(const struct mag_object_info *object __rte_unused,
		    const struct mag_object_info *mirror __rte_unused, void *arg __rte_unused,
		    unsigned int flags)
{
	void *inner;

	patient.calls++;
	patient.flags = flags;
	log_begin();
	patient.walked = mag_cache_walk(no_visit, NULL);
	log_end();
	rte_errno = 0;
	inner = mag_cache_alloc_wait(patient.inner, MAG_WAIT_DEFAULT);
	patient.waited = inner != NULL ? 0 : -rte_errno;
	if (inner != NULL)
		mag_cache_free(patient.inner, inner);
	return 0;
}

static struct mag_cache *
patient_make(void)
{
	struct mag_cache_params params = params_of(0);

	memset(&patient, 0, sizeof(patient));
	patient.inner = cache_make(0);
	params.constructor = construct_patiently;
	return mag_cache_create(&params);
}

static void
patient_drop(struct mag_cache *cache)
{
	assert_int_equal(mag_cache_destroy(cache), 0);
	assert_int_equal(mag_cache_destroy(patient.inner), 0);
}

TEST(test_a_constructor_may_wait_if_the_allocation_does, setup, teardown)
{
	struct mag_cache *cache = patient_make();
	void *objects[2];

	assert_int_equal(mag_cache_alloc_burst(cache, objects, 2), 2);
	assert_int_equal(patient.flags, 0);
	assert_int_equal(patient.waited, -EDEADLK);
	assert_int_equal(patient.walked, -EDEADLK);
	mag_cache_free_nocache_bulk(cache, objects, 2);
	assert_int_equal(mag_cache_take_all(cache, objects, 2, true), 0);
	assert_int_equal(patient.flags, 0);
	mag_cache_free_nocache_bulk(cache, objects, 2);
	assert_int_equal(patient.calls, 4);
	assert_int_equal(alloc_waited(cache, objects, 2, MAG_WAIT_DEFAULT), 2);
	assert_int_equal(patient.flags, MAG_CONSTRUCT_MAY_WAIT);
	assert_int_equal(patient.waited, 0);
	assert_int_equal(patient.walked, 0);
	assert_int_equal(patient.calls, 6);
	mag_cache_free_nocache_bulk(cache, objects, 2);
	objects[0] = mag_cache_alloc_wait(cache, MAG_WAIT_DEFAULT);
	assert_int_equal(patient.flags, MAG_CONSTRUCT_MAY_WAIT);
	mag_cache_free(cache, objects[0]);
	patient_drop(cache);
}

TEST(test_a_constructor_that_fails_anywhere_in_a_batch_stops_there, setup, teardown)
{
	struct mag_cache *cache;
	void *objects[10];
	unsigned int at;

	for (at = 1; at <= 10; at++) {
		memset(&seen, 0, sizeof(seen));
		seen.fail_at = at;
		cache = cache_with_callbacks(0);
		assert_int_equal(mag_cache_alloc_burst(cache, objects, 10), at - 1);
		assert_int_equal(seen.constructed, at);
		assert_int_equal(seen.destructed, 0);
		assert_int_equal(cache->common.alloc_fails, 10 - at + 1);
		assert_int_equal(cache->first.slab.out, at - 1);
		mag_cache_free_bulk(cache, objects, at - 1);
		cache_drop(cache);
		assert_int_equal(seen.wrong, 0);
		assert_int_equal(seen.destructed, at - 1);
	}
}

TEST(test_one_failing_construction_is_no_object, setup, teardown)
{
	struct mag_cache *cache = cache_with_callbacks(0);

	seen.fail_at = 1;
	assert_null(mag_cache_alloc(cache));
	assert_non_null(mag_cache_alloc(cache));
	assert_int_equal(mag_cache_destroy(cache), -EBUSY);
	mag_cache_free(cache, seen.last.address);
	cache_drop(cache);
}

TEST(test_clearonfree_zeroes_the_whole_object_after_its_destructor, setup, teardown)
{
	static const char zeroes[SIZE];
	struct mag_cache_params params = params_of(MAG_CACHE_CLEARONFREE);
	struct mag_cache *cache;
	void *object;

	params.object_size = SIZE / 2;
	cache = mag_cache_create(&params);
	object = mag_cache_alloc(cache);
	memset(object, 0x55, SIZE);
	mag_cache_free(cache, object);
	assert_int_equal(*(char *)object, 0x55);
	assert_int_equal(mag_cache_purge(cache), 0);
	assert_memory_equal(object, zeroes, SIZE);
	mag_cache_enable(cache);
	cache_drop(cache);
}

static void
scribble(void *object, void *arg __rte_unused)
{
	memset(object, 0x77, SIZE);
}

TEST(test_clearonfree_comes_after_the_destructor, setup, teardown)
{
	static const char zeroes[SIZE];
	struct mag_cache_params params = params_of(MAG_CACHE_CLEARONFREE);
	struct mag_cache *cache;
	void *object;

	params.destructor = scribble;
	cache = mag_cache_create(&params);
	object = mag_cache_alloc(cache);
	mag_cache_free_nocache(cache, object);
	assert_memory_equal(object, zeroes, SIZE);
	cache_drop(cache);
}

static int
scribble_and_refuse(const struct mag_object_info *object,
		    const struct mag_object_info *mirror __rte_unused, void *arg __rte_unused,
		    unsigned int flags __rte_unused)
{
	if (++seen.constructed == 1)
		return 0;
	memset(object->address, 0x77, SIZE);
	return -1;
}

static void
assert_refused_objects_are_cleared(unsigned int flags, bool cleared)
{
	static const char zeroes[SIZE];
	struct mag_cache_params params = params_of(flags);
	struct mag_cache *cache;
	void *objects[3];

	params.constructor = scribble_and_refuse;
	cache = mag_cache_create(&params);
	seen.constructed = 0;
	assert_int_equal(mag_cache_alloc_burst(cache, objects, 3), 1);
	assert_ptr_equal(objects[0], ground_object(&ground, 0));
	assert_true(memcmp(objects[0], zeroes, SIZE) != 0);
	assert_true((memcmp(ground_object(&ground, 1), zeroes, SIZE) == 0) == cleared);
	assert_true((memcmp(ground_object(&ground, 2), zeroes, SIZE) == 0) == cleared);
	assert_true(memcmp(ground_object(&ground, 3), zeroes, SIZE) != 0);
	mag_cache_free(cache, objects[0]);
	cache_drop(cache);
}

TEST(test_what_a_constructor_refused_and_did_not_come_to_is_cleared, setup, teardown)
{
	assert_refused_objects_are_cleared(0, false);
	assert_refused_objects_are_cleared(MAG_CACHE_CLEARONFREE, true);
}

TEST(test_large_objects_are_left_alone_unless_asked, setup, teardown)
{
	const uint32_t size = mag_options_clear_min(&mag_options_default) + 8;
	struct ground large = ground_make(BLOCK, size, BLOCK, 0);
	struct mag_cache_params params = {.size = sizeof(params),
					  .name = "large",
					  .object_size = size,
					  .region = large.region,
					  .node = -1};
	struct mag_cache *cache = mag_cache_create(&params);
	char *object = mag_cache_alloc(cache);

	memset(object, 0x55, size);
	mag_cache_free_nocache(cache, object);
	assert_int_equal(object[size - 1], 0x55);
	assert_int_equal(mag_cache_destroy(cache), 0);
	ground_drop(&large);
}

static void
assert_cleared(uint32_t size, uint32_t mode, const char *options, bool cleared)
{
	struct ground small = ground_make(BLOCK, size, BLOCK, mode);
	struct mag_cache_params params = {.size = sizeof(params),
					  .name = "small",
					  .object_size = size,
					  .region = small.region,
					  .options = options,
					  .node = -1};
	struct mag_cache *cache = mag_cache_create(&params);
	char *object;

	assert_non_null(cache);
	assert_int_equal((cache->flags & MAG_CACHE_CLEARONFREE) != 0, cleared);
	object = mag_cache_alloc(cache);
	assert_int_equal((uint8_t)object[size - 1], 0xa5);
	mag_cache_free_nocache(cache, object);
	assert_int_equal((uint8_t)object[size - 1], cleared ? 0 : 0xa5);
	assert_int_equal(mag_cache_destroy(cache), 0);
	ground_drop(&small);
}

TEST(test_objects_of_up_to_two_cache_lines_are_cleared, setup, teardown)
{
	uint32_t lines = mag_options_clear_min(&mag_options_default);

	assert_cleared(8, 0, NULL, true);
	assert_cleared(lines, 0, NULL, true);
	assert_cleared(lines + 8, 0, NULL, false);
	assert_cleared(64, MAG_REGION_READONLY, NULL, false);
}

TEST(test_an_option_says_which_objects_are_cleared, setup, teardown)
{
	assert_cleared(8, 0, "clear_min=0", false);
	assert_cleared(64, 0, "clear_min=63", false);
	assert_cleared(64, 0, "clear_min=64", true);
	assert_cleared(2048, 0, "clear_min=2048", true);
	assert_cleared(64, MAG_REGION_READONLY, "clear_min=64", false);
}

TEST(test_a_pool_is_told_that_it_clears_nothing, setup, teardown)
{
	struct mag_pool_params params = pool_params(COUNT);

	params.options.clear_min = 64;
	rte_errno = 0;
	log_begin();
	assert_null(mag_pool_create(&params));
	assert_logged(log_end(), "pool \"pool\": option clear_min=64: objects of a pool");
	assert_int_equal(rte_errno, EINVAL);
}

TEST(test_object_info_says_which_object_it_is, setup, teardown)
{
	struct mag_cache *cache = cache_make(0);
	struct mag_object_info info, mirror = {.address = &info};
	struct mag_slab_object found;
	void *objects[COUNT];
	unsigned int i;

	assert_int_equal(mag_cache_alloc_burst(cache, objects, COUNT), COUNT);
	for (i = 0; i < COUNT; i++) {
		assert_int_equal(mag_cache_object_info(cache, objects[i], &info, &mirror), 0);
		assert_ptr_equal(info.address, objects[i]);
		assert_int_equal(info.size, SIZE);
		assert_int_equal(info.region_index, number_of(objects[i]));
		assert_int_equal(info.segment_object, number_of(objects[i]) % BLOCK);
		assert_true(mag_slab_find(&cache->first.slab, objects[i], &found));
		assert_ptr_equal(info.bufctl, &found.slab->bufctl[found.index]);
		assert_null(mirror.address);
	}
	mag_cache_free_bulk(cache, objects, COUNT);
	cache_drop(cache);
}

TEST(test_object_info_of_anything_else_is_an_error, setup, teardown)
{
	struct mag_cache *cache = cache_make(0);
	struct mag_object_info info;
	char *object = mag_cache_alloc(cache);

	assert_int_equal(mag_cache_object_info(cache, object + 8, &info, NULL), -EINVAL);
	assert_int_equal(mag_cache_object_info(cache, NULL, &info, NULL), -EINVAL);
	assert_int_equal(mag_cache_object_info(cache, &info, &info, NULL), -EINVAL);
	mag_cache_free(cache, object);
	assert_int_equal(mag_cache_object_info(cache, object, &info, NULL), 0);
	assert_int_equal(mag_cache_reap_now(cache, true), 0);
	assert_int_equal(mag_cache_object_info(cache, object, &info, NULL), -EINVAL);
	cache_drop(cache);
}

TEST(test_the_constructor_is_told_the_same_as_object_info, setup, teardown)
{
	struct mag_cache *cache = cache_with_callbacks(0);
	void *object = mag_cache_alloc(cache);
	struct mag_object_info info;

	assert_int_equal(mag_cache_object_info(cache, object, &info, NULL), 0);
	assert_ptr_equal(seen.last.address, object);
	assert_int_equal(seen.last.size, info.size);
	assert_ptr_equal(seen.last.bufctl, info.bufctl);
	assert_int_equal(seen.last.region_index, info.region_index);
	assert_int_equal(seen.last.segment_object, info.segment_object);
	mag_cache_free(cache, object);
	cache_drop(cache);
}

TEST(test_alignment_is_rounded_up_and_chunks_to_it, setup, teardown)
{
	const struct {
		size_t size, align, real, chunk;
	} rows[] = {
		{SIZE, 0, 8, SIZE}, {100, 1, 8, 104},  {100, 8, 8, 104},
		{100, 9, 16, 112},  {65, 64, 64, 128}, {1, 256, 256, 256},
	};
	struct mag_cache_params params = params_of(0);
	struct mag_cache *cache;
	unsigned int i;

	for (i = 0; i < RTE_DIM(rows); i++) {
		params.object_size = rows[i].size;
		params.align = rows[i].align;
		cache = mag_cache_create(&params);
		assert_non_null(cache);
		assert_int_equal(cache->align, rows[i].real);
		assert_int_equal(cache->common.chunk_size, rows[i].chunk);
		assert_int_equal(cache->object_size, rows[i].size);
		cache_drop(cache);
	}
}

static void
assert_not_made(const struct mag_cache_params *params, int error)
{
	uint64_t before = heap_balance();
	const char *log;

	rte_errno = 0;
	log_begin();
	assert_null(mag_cache_create(params));
	log = log_end();
	assert_int_equal(rte_errno, error);
	assert_int_equal(count_lines(log), 1);
	assert_logged(log, "magazine: ");
	if (params->name != NULL)
		assert_logged(log, params->name);
	assert_int_equal(heap_balance(), before);
}

#define assert_param_refused(field, value, error)                                                  \
	do {                                                                                       \
		struct mag_cache_params bad_ = params_of(0);                                       \
		bad_.field = value;                                                                \
		assert_not_made(&bad_, error);                                                     \
	} while (0)

TEST(test_bad_parameters_are_refused_with_their_errno, setup, teardown)
{
	static const char long_name[] =
		"0123456789012345678901234567890123456789012345678901234567890123";

	assert_param_refused(name, NULL, EINVAL);
	assert_param_refused(name, "", EINVAL);
	assert_param_refused(name, long_name, EINVAL);
	assert_param_refused(object_size, 0, EINVAL);
	assert_param_refused(object_size, SIZE + 1, E2BIG);
	assert_param_refused(object_size, SIZE_MAX, E2BIG);
	assert_param_refused(align, 24, EINVAL);
	assert_param_refused(align, 2 * BLOCK * SIZE, EINVAL);
	assert_param_refused(align, SIZE_MAX, EINVAL);
	assert_param_refused(align, 2 * SIZE, E2BIG);
	assert_param_refused(flags, 0x10, EINVAL);
	assert_param_refused(flags, MAG_CACHE_POOL, EINVAL);
	assert_param_refused(options, "rounds=7", EINVAL);
	assert_param_refused(options, "bogus=1", EINVAL);
}

TEST(test_objects_that_do_not_lie_so_aligned_are_refused, setup, teardown)
{
	struct mag_region_params region_params = {.size = sizeof(region_params),
						  .name = "skewed",
						  .object_size = 128,
						  .block = 4,
						  .node = -1};
	struct mag_region *region = mag_region_create(&region_params);
	void *objects[] = {(void *)0x10008, (void *)0x10088, (void *)0x10108, (void *)0x10188};
	struct mag_cache_params params = params_of(0);

	assert_int_equal(mag_region_adopt(region, objects, 4, -1), 0);
	params.region = region;
	params.object_size = 64;
	params.align = 16;
	assert_not_made(&params, EINVAL);
	assert_int_equal(mag_region_destroy(region), 0);
}

TEST(test_a_region_adopts_no_less_alignment_than_its_cache_has, setup, teardown)
{
	struct mag_region_params region_params = {.size = sizeof(region_params),
						  .name = "even",
						  .object_size = 128,
						  .block = 4,
						  .node = -1};
	struct mag_region *region = mag_region_create(&region_params);
	void *even[] = {(void *)0x10000, (void *)0x10080},
	     *odd[] = {(void *)0x20000, (void *)0x20090};
	struct mag_cache_params params = params_of(0);
	struct mag_cache *cache, *other;
	const char *log;

	assert_int_equal(mag_region_adopt(region, even, 2, -1), 0);
	params.region = region;
	params.object_size = 64;
	other = mag_cache_create(&params);
	assert_non_null(other);
	params.align = 64;
	cache = mag_cache_create(&params);
	assert_non_null(cache);
	log_begin();
	assert_int_equal(mag_region_adopt(region, odd, 2, -1), -EINVAL);
	log = log_end();
	assert_logged(log, "\"even\": object 1 at 0x20090");
	assert_logged(log, "an alignment of 64");
	assert_int_equal(count_lines(log), 1);
	assert_int_equal(region->objects, 2);
	/* It is the one that needs it whose end counts. */
	assert_int_equal(mag_cache_destroy(other), 0);
	assert_int_equal(mag_region_adopt(region, odd, 2, -1), -EINVAL);
	params.align = 0;
	other = mag_cache_create(&params);
	assert_non_null(other);
	assert_int_equal(mag_cache_destroy(cache), 0);
	assert_int_equal(mag_region_adopt(region, odd, 2, -1), 0);
	params.align = 64;
	assert_not_made(&params, EINVAL);
	assert_int_equal(mag_cache_destroy(other), 0);
	assert_int_equal(mag_region_destroy(region), 0);
	region = mag_region_create(&region_params);
	params.region = region;
	assert_int_equal(mag_region_adopt(region, even, 2, -1), 0);
	cache = mag_cache_create(&params);
	assert_non_null(cache);
	assert_int_equal(mag_cache_destroy(cache), 0);
	assert_int_equal(mag_region_adopt(region, odd, 2, -1), 0);
	assert_int_equal(mag_region_destroy(region), 0);
}

TEST(test_regions_have_a_say, setup, teardown)
{
	struct ground readonly = ground_make(BLOCK, SIZE, BLOCK, MAG_REGION_READONLY);
	struct ground plain = ground_make(BLOCK, SIZE, BLOCK, MAG_REGION_NOMAGAZINES);
	struct mag_cache_params params = params_of(MAG_CACHE_CLEARONFREE);
	struct mag_cache *cache;

	params.region = readonly.region;
	assert_not_made(&params, EINVAL);
	params.flags = 0;
	params.region = plain.region;
	assert_not_made(&params, EINVAL);
	params.flags = MAG_CACHE_NOMAGAZINES;
	cache = mag_cache_create(&params);
	assert_non_null(cache);
	assert_int_equal(mag_cache_destroy(cache), 0);
	ground_drop(&readonly);
	ground_drop(&plain);
}

TEST(test_a_region_serves_two_caches_but_not_three, setup, teardown)
{
	struct mag_cache *first = cache_make(0), *second = cache_make(0);
	struct mag_cache_params params = params_of(0);
	size_t before;

	params.constructor = construct;
	assert_not_made(&params, EBUSY);
	/*
	 * Its copy of the callbacks is not kept. The C library keeps a few chunks that it has back.
	 */
	for (unsigned int i = 0; i < 100; i++)
		assert_not_made(&params, EBUSY);
	before = mallinfo2().uordblks;
	for (unsigned int i = 0; i < 1000; i++)
		assert_not_made(&params, EBUSY);
	assert_true(mallinfo2().uordblks < before + 1000 * sizeof(void *));
	assert_int_not_equal(first->id, second->id);
	assert_int_equal(mag_cache_destroy(first), 0);
	cache_drop(second);
}

TEST(test_every_allocation_that_fails_leaks_nothing, setup, teardown)
{
	struct mag_cache_params params = params_of(0);
	uint64_t before = heap_balance();
	struct mag_cache *cache;
	unsigned int nth;

	params.constructor = construct;
	params.options = "interval=5";
	for (nth = 1;; nth++) {
		mag_fault_nth(nth);
		rte_errno = 0;
		log_begin();
		cache = mag_cache_create(&params);
		log_end();
		if (cache != NULL)
			break;
		assert_int_equal(rte_errno, ENOMEM);
		assert_int_equal(heap_balance(), before);
		assert_int_equal(ground.region->references, 0);
	}
	mag_fault_nth(0);
	assert_int_equal(nth, 5);
	cache_drop(cache);
	assert_int_equal(heap_balance(), before);
}

TEST(test_every_allocation_that_fails_for_a_pool_leaks_nothing, setup, teardown)
{
	struct mag_pool_params params = pool_params(COUNT);
	uint64_t before = heap_balance();
	struct mag_cache *cache;
	unsigned int nth;

	for (nth = 1;; nth++) {
		mag_fault_nth(nth);
		rte_errno = 0;
		log_begin();
		cache = mag_pool_create(&params);
		log_end();
		if (cache != NULL)
			break;
		assert_int_equal(rte_errno, ENOMEM);
		assert_int_equal(heap_balance(), before);
		assert_int_equal(ground.region->references, 0);
	}
	mag_fault_nth(0);
	assert_true(nth > 3);
	mag_pool_free(cache);
	assert_int_equal(heap_balance(), before);
}

TEST(test_a_pool_of_an_absurd_size_is_refused, setup, teardown)
{
	struct mag_pool_params params = pool_params(1ull << 40);
	uint64_t before = heap_balance();

	log_begin();
	assert_null(mag_pool_create(&params));
	log_end();
	assert_int_equal(rte_errno, ENOMEM);
	assert_int_equal(heap_balance(), before);
}

TEST(test_the_first_type_of_a_pool_leaves_room_to_grow, setup, teardown)
{
	unsigned int lcores = RTE_MAX(rte_lcore_count(), mag_thread_owners());
	const struct {
		uint64_t objects;
		uint32_t rounds;
	} rows[] = {
		{0, 0},
		{8ull * lcores * 14 - 1, 0},
		{8ull * lcores * 14, 14},
		{8ull * lcores * 254 - 1, 126},
		{8ull * lcores * 254, 254},
		{8ull * lcores * 510, 254},
	};
	struct mag_pool_params params;
	struct mag_cache *cache;
	unsigned int i;

	for (i = 0; i < RTE_DIM(rows); i++) {
		params = pool_params(rows[i].objects);
		cache = mag_pool_create(&params);
		assert_non_null(cache);
		assert_int_equal(cache->common.type, rows[i].rounds);
		assert_int_equal(cache->first.slot[0].size, rows[i].rounds);
		mag_pool_free(cache);
	}
}

TEST(test_a_pool_is_never_cleared_and_dynamic_unless_its_rounds_are_fixed, setup, teardown)
{
	struct mag_pool_params params = pool_params(COUNT);
	struct mag_cache *cache = mag_pool_create(&params);

	assert_int_equal(cache->flags & MAG_CACHE_CLEARONFREE, 0);
	assert_int_not_equal(cache->flags & MAG_CACHE_DYNAMIC, 0);
	mag_pool_free(cache);
	params.options.rounds = 62;
	cache = mag_pool_create(&params);
	assert_int_equal(cache->flags & MAG_CACHE_DYNAMIC, 0);
	assert_int_equal(cache->common.type, 62);
	mag_pool_free(cache);
}

TEST(test_a_pool_is_freed_whatever_is_out, setup, teardown)
{
	struct mag_pool_params params = pool_params(COUNT);
	struct mag_cache *cache = mag_pool_create(&params);
	uint64_t before = heap_balance();
	void *objects[COUNT];
	unsigned int i;

	assert_int_equal(mag_cache_take_all(cache, objects, COUNT, true), 0);
	mag_pool_free(cache);
	assert_true(heap_balance() < before);
	assert_int_equal(ground.region->references, 0);
	for (i = 0; i < COUNT * SIZE; i++)
		assert_int_equal((uint8_t)ground.memory[i], 0xa5);
}

TEST(test_a_pool_that_somebody_uses_does_not_start_again, setup, teardown)
{
	struct mag_pool_params params = pool_params(COUNT);
	struct mag_cache *cache = mag_pool_create(&params);
	struct mag_slot *busy = &cache->first.slot[1];
	void *objects[COUNT];

	assert_int_equal(mag_cache_take_all(cache, objects, COUNT, true), 0);
	mag_cache_give(cache, objects, COUNT);
	assert_int_equal(mag_slot_enter(busy), 0);
	log_begin();
	assert_int_equal(mag_pool_reset(cache), -EAGAIN);
	assert_logged(log_end(), "pool \"pool\": an lcore is using it");
	assert_int_equal(mag_cache_available(cache), COUNT);
	mag_slot_leave(busy);
	assert_int_equal(mag_pool_reset(cache), 0);
	assert_int_equal(mag_cache_available(cache), 0);
	assert_int_equal(cache->first.slot[1].size, cache->common.type);
	assert_true(mag_pool_free(cache));
}

TEST(test_a_pool_that_is_purged_stays_off_when_it_starts_again, setup, teardown)
{
	struct mag_pool_params params = pool_params(8ull * rte_lcore_count() * 14);
	struct mag_cache *cache = mag_pool_create(&params);

	assert_true(cache->first.slot[1].size > 0);
	assert_int_equal(mag_cache_purge(cache), 0);
	assert_int_equal(mag_pool_reset(cache), 0);
	assert_int_equal(cache->first.slot[1].size, 0);
	mag_cache_enable(cache);
	assert_true(cache->first.slot[1].size > 0);
	assert_true(mag_pool_free(cache));
}

/* Pools whose memory goes before they do, as rte_mempool has it. */

static struct mag_cache *ending[2];

static void
ending_make(void)
{
	struct mag_pool_params params = pool_params(COUNT);
	struct ground own;
	unsigned int i;

	for (i = 0; i < RTE_DIM(ending); i++) {
		own = ground_make(COUNT, SIZE, BLOCK, 0);
		params.region = own.region;
		ending[i] = mag_pool_create(&params);
		assert_non_null(ending[i]);
		free(own.memory);
	}
}

static void
end_visit(struct mag_cache *cache, void *arg)
{
	unsigned int i;

	assert_ptr_equal(cache, ending[0]);
	++*(unsigned int *)arg;
	for (i = 0; i < RTE_DIM(ending); i++)
		assert_false(mag_pool_free(ending[i]));
}

TEST(test_pools_that_are_freed_in_a_walk_go_when_it_is_over, setup, teardown)
{
	uint32_t count = mag_cache_listed();
	uint64_t before = heap_balance();
	unsigned int visits = 0;

	ending_make();
	assert_int_equal(mag_cache_walk(end_visit, &visits), 0);
	assert_int_equal(visits, 1);
	assert_int_equal(mag_cache_listed(), count);
	assert_int_equal(heap_balance(), before);
}

static void
end_within(void *object __rte_unused, void *arg __rte_unused)
{
	unsigned int i;

	for (i = 0; i < RTE_DIM(ending); i++)
		assert_false(mag_pool_free(ending[i]));
}

static struct mag_cache *
cache_that_ends_pools(void)
{
	struct mag_cache_params params = params_of(0);

	params.destructor = end_within;
	return mag_cache_create(&params);
}

static void
never_visit(struct mag_cache *cache, void *arg __rte_unused)
{
	assert_ptr_not_equal(cache, ending[0]);
	assert_ptr_not_equal(cache, ending[1]);
}

TEST(test_pools_that_are_freed_in_a_callback_go_with_the_next_walk, setup, teardown)
{
	struct mag_cache *cache = cache_that_ends_pools();
	uint32_t count = mag_cache_listed();
	uint64_t before = heap_balance();

	ending_make();
	mag_cache_free_nocache(cache, mag_cache_alloc(cache));
	assert_int_equal(mag_cache_walk(never_visit, NULL), 0);
	assert_int_equal(mag_cache_listed(), count);
	assert_int_equal(heap_balance(), before);
	cache_drop(cache);
}

TEST(test_pools_that_another_process_frees_go_with_the_next_walk_of_who_made_them, setup, teardown)
{
	uint32_t count = mag_cache_listed();
	uint64_t before = heap_balance();
	unsigned int i;

	ending_make();
	for (i = 0; i < RTE_DIM(ending); i++) {
		ending[i]->process++;
		log_begin();
		assert_false(mag_pool_free(ending[i]));
		assert_logged(log_end(), "freed by another process");
		assert_int_equal(mag_cache_listed(), count + RTE_DIM(ending));
		ending[i]->process--;
	}
	assert_int_equal(mag_cache_walk(never_visit, NULL), 0);
	assert_int_equal(mag_cache_listed(), count);
	assert_int_equal(heap_balance(), before);
}

TEST(test_pools_that_are_freed_in_a_callback_go_with_the_next_pass_of_maintenance, setup, teardown)
{
	struct mag_cache *cache = cache_that_ends_pools();
	uint32_t count = mag_cache_listed();
	uint64_t before = heap_balance();

	ending_make();
	assert_int_equal(mag_maint_interval(10), 0);
	mag_cache_free_nocache(cache, mag_cache_alloc(cache));
	wait_until(mag_cache_listed() == count);
	wait_until(heap_balance() == before);
	assert_int_equal(mag_maint_interval(0), 0);
	cache_drop(cache);
}

TEST(test_a_pool_that_lost_its_memory_starts_again, setup, teardown)
{
	struct mag_pool_params params = pool_params(COUNT);
	struct mag_cache *cache = mag_pool_create(&params);
	void *objects[COUNT], *address[BLOCK];
	unsigned int i;

	assert_int_equal(mag_cache_take_all(cache, objects, COUNT, true), 0);
	mag_cache_give(cache, objects, COUNT);
	mag_pool_reset(cache);
	assert_int_equal(mag_cache_available(cache), 0);
	assert_int_equal(mag_cache_take_all(cache, objects, 1, true), -ENOBUFS);
	for (i = 0; i < BLOCK; i++)
		address[i] = ground_object(&ground, i);
	assert_int_equal(mag_region_adopt(ground.region, address, BLOCK, -1), 0);
	assert_int_equal(mag_cache_take_all(cache, objects, BLOCK, true), 0);
	assert_distinct(&ground, objects, BLOCK);
	mag_pool_free(cache);
}

TEST(test_all_or_none_takes_none_when_it_cannot_take_all, setup, teardown)
{
	struct mag_cache *cache = cache_make(0);
	void *objects[COUNT + 1];

	assert_int_equal(mag_cache_take_all(cache, objects, COUNT + 1, true), -ENOBUFS);
	assert_int_equal(mag_cache_take_all(cache, objects, COUNT + 1, false), -ENOBUFS);
	assert_int_equal(mag_cache_available(cache), COUNT);
	assert_int_equal(cache->common.transit, 0);
	assert_int_equal(mag_cache_take_all(cache, objects, COUNT, false), 0);
	assert_int_equal(mag_cache_take_all(cache, objects, 1, true), -ENOBUFS);
	mag_cache_give(cache, objects, COUNT);
	cache_drop(cache);
}

TEST(test_a_cache_with_objects_out_is_not_destroyed_and_stays_usable, setup, teardown)
{
	struct mag_cache *cache = cache_make(0);
	void *objects[COUNT];
	uint64_t id = cache->id;
	const char *log;

	assert_int_equal(mag_cache_alloc_burst(cache, objects, 40), 40);
	mag_cache_free_bulk(cache, objects + 3, 37);
	log_begin();
	assert_int_equal(mag_cache_destroy(cache), -EBUSY);
	log = log_end();
	assert_logged(log, "\"things\": 3 objects are out");
	assert_int_equal(count_lines(log), 1);
	assert_int_equal(cache->id, id);
	assert_int_equal(cache->first.slot[0].size, cache->common.type);
	assert_true(mag_perimeter_enter(cache, false));
	mag_perimeter_leave(cache);
	assert_int_equal(mag_cache_alloc_burst(cache, objects + 3, COUNT - 3), COUNT - 3);
	assert_distinct(&ground, objects, COUNT);
	mag_cache_free_bulk(cache, objects, COUNT);
	assert_int_equal(mag_slot_objects(mag_slot_own(cache->first.slot)) > 0, 1);
	cache_drop(cache);
	assert_int_equal(mag_cache_destroy(NULL), 0);
}

TEST(test_a_cache_that_is_purged_stays_off_when_it_is_not_destroyed, setup, teardown)
{
	struct mag_cache *cache = cache_make(0);
	void *object = mag_cache_alloc(cache);

	assert_int_equal(mag_cache_purge(cache), 0);
	log_begin();
	assert_int_equal(mag_cache_destroy(cache), -EBUSY);
	log_end();
	assert_int_equal(cache->first.slot[0].size, 0);
	mag_cache_free(cache, object);
	assert_int_equal(cache->first.slab.out, 0);
	mag_cache_enable(cache);
	assert_int_equal(cache->first.slot[0].size, cache->common.type);
	cache_drop(cache);
}

static unsigned int listed;

static void
count_visit(struct mag_cache *cache, void *arg)
{
	listed += cache == arg;
}

TEST(test_a_cache_is_listed_while_it_lives, setup, teardown)
{
	struct mag_cache *cache = cache_make(0);
	void *object = mag_cache_alloc(cache);

	listed = 0;
	mag_cache_walk(count_visit, cache);
	assert_int_equal(listed, 1);
	log_begin();
	assert_int_equal(mag_cache_destroy(cache), -EBUSY);
	log_end();
	mag_cache_walk(count_visit, cache);
	assert_int_equal(listed, 2);
	assert_string_equal(mag_cache_name(cache), "things");
	mag_cache_free(cache, object);
	cache_drop(cache);
	mag_cache_walk(count_visit, cache);
	assert_int_equal(listed, 2);
}

static void
forbidden_visit(struct mag_cache *cache, void *arg)
{
	struct mag_cache_params params = params_of(0);
	struct mag_pool_params pool = pool_params(COUNT);
	int *ret = arg;

	assert_true(mag_cache_list_held());
	log_begin();
	assert_null(mag_cache_create(&params));
	ret[0] = rte_errno;
	ret[1] = mag_cache_destroy(cache);
	assert_null(mag_pool_create(&pool));
	ret[2] = rte_errno;
	assert_int_equal(count_lines(log_end()), 3);
}

TEST(test_caches_are_not_made_or_destroyed_inside_the_list, setup, teardown)
{
	struct mag_cache *cache = cache_make(0);
	int ret[3] = {0};

	mag_cache_walk(forbidden_visit, ret);
	assert_int_equal(ret[0], EDEADLK);
	assert_int_equal(ret[1], -EDEADLK);
	assert_int_equal(ret[2], EDEADLK);
	assert_false(mag_cache_list_held());
	cache_drop(cache);
}

TEST(test_without_magazines_everything_goes_to_the_slabs, setup, teardown)
{
	struct mag_cache_params params = params_of(MAG_CACHE_NOMAGAZINES);
	void *objects[COUNT];
	struct mag_cache *cache;
	unsigned int turn;

	for (turn = 0; turn < 2; turn++) {
		cache = mag_cache_create(&params);
		assert_non_null(cache);
		assert_int_equal(mag_cache_alloc_burst(cache, objects, COUNT), COUNT);
		assert_distinct(&ground, objects, COUNT);
		mag_cache_free_bulk(cache, objects, COUNT);
		assert_int_equal(cache->first.slab.out, 0);
		mag_cache_enable(cache);
		assert_int_equal(cache->first.slot[0].size, 0);
		log_begin();
		assert_int_equal(mag_cache_resize(cache, 14, true), -EINVAL);
		log_end();
		cache_drop(cache);
		params.flags = 0;
		params.options = "magazines=0";
	}
}

TEST(test_an_invalid_free_is_counted_in_the_slab_layer, setup, teardown)
{
	struct mag_cache *cache = cache_with_callbacks(MAG_CACHE_NOMAGAZINES);
	void *object = mag_cache_alloc(cache);

	mag_cache_free(cache, object);
	mag_cache_free(cache, object);
	mag_cache_free(cache, &ground);
	mag_cache_free(cache, (char *)object + 8);
	assert_int_equal(cache->first.slab.invalid, 3);
	assert_int_equal(seen.destructed, 1);
	assert_int_equal(seen.wrong, 0);
	cache_drop(cache);
}

TEST(test_an_object_twice_in_one_bulk_is_destructed_once, setup, teardown)
{
	struct mag_cache *cache = cache_with_callbacks(MAG_CACHE_NOMAGAZINES);
	void *objects[2];

	objects[0] = objects[1] = mag_cache_alloc(cache);
	mag_cache_free_bulk(cache, objects, 2);
	assert_int_equal(cache->first.slab.invalid, 1);
	assert_int_equal(seen.destructed, 1);
	assert_int_equal(seen.wrong, 0);
	cache_drop(cache);
}

TEST(test_magazine_max_is_what_all_slots_can_hold, setup, teardown)
{
	uint64_t magazines = (rte_lcore_count() + MAG_LCORES_SPARE + 1ull) * mag_numa_nodes() * 2;

	assert_int_equal(mag_magazine_max(2048), magazines * 14);
	assert_int_equal(mag_magazine_max(64), magazines * 62);
	assert_int_equal(mag_magazine_max(1), magazines * 158);
}

static void *
flush_without_a_slot(void *arg)
{
	*(int *)arg = mag_lcore_flush();
	return NULL;
}

TEST(test_a_thread_without_magazines_has_nothing_to_flush, setup, teardown)
{
	pthread_t thread;
	int ret = 0;

	assert_int_equal(pthread_create(&thread, NULL, flush_without_a_slot, &ret), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(ret, -ENOENT);
}

TEST(test_a_layer_that_is_not_there_is_not_enabled, setup, teardown)
{
	struct mag_cache *cache = cache_make(MAG_CACHE_NOMAGAZINES);

	assert_int_equal(mag_cache_enable(cache), -ENOTSUP);
	cache_drop(cache);
	cache = cache_make(0);
	assert_int_equal(mag_cache_enable(cache), 0);
	cache_drop(cache);
}

TEST(test_a_flushed_lcore_holds_nothing, setup, teardown)
{
	struct mag_cache *cache = cache_make(0);
	void *objects[40];

	assert_int_equal(mag_cache_alloc_burst(cache, objects, 40), 40);
	mag_cache_free_bulk(cache, objects, 40);
	assert_true(mag_slot_objects(mag_slot_own(cache->first.slot)) > 0);
	assert_int_equal(mag_lcore_flush(), 0);
	assert_int_equal(mag_slot_objects(mag_slot_own(cache->first.slot)), 0);
	assert_null(mag_slot_own(cache->first.slot)->loaded);
	assert_null(mag_slot_own(cache->first.slot)->previous);
	assert_int_equal(cache->common.transit, 0);
	assert_int_equal(mag_cache_available(cache), COUNT);
	cache_drop(cache);
}

static struct {
	struct mag_cache *cache;
	unsigned int calls, held;
} held;

/* Is a slot held, by this thread or by a visitor? */
static void
held_look(void)
{
	const struct mag_slot *own = mag_slot_own(held.cache->first.slot);

	held.calls++;
	held.held += MAG_STAT(own->busy) != 0 || (MAG_STAT(own->visitor) & MAG_BIAS_AWAY) != 0 ||
		     held.cache->first.shared.holder != 0;
}

static int
held_construct(const struct mag_object_info *object __rte_unused,
	       const struct mag_object_info *mirror __rte_unused, void *arg __rte_unused,
	       unsigned int flags __rte_unused)
{
	held_look();
	return 0;
}

static void
held_destruct(void *object __rte_unused, void *arg __rte_unused)
{
	held_look();
}

/* As in a process that found the cache in shared memory. */
TEST(test_callbacks_belong_to_the_process_that_made_the_cache, setup, teardown)
{
	struct mag_cache *cache = cache_with_callbacks(0);
	void *object = mag_cache_alloc(cache), *objects[2];

	assert_non_null(object);
	cache->process++;
	log_begin();
	assert_int_equal(mag_cache_alloc_slow(cache, objects, 2), 0);
	assert_logged(log_end(), "cannot be used in this process");
	log_begin();
	mag_cache_free_nocache(cache, object);
	assert_logged(log_end(), "cannot be used in this process");
	log_begin();
	mag_cache_free_slow(cache, &object, 1);
	assert_logged(log_end(), "cannot be used in this process");
	cache->process--;
	assert_int_equal(MAG_STAT(cache->first.slab.out), 1);
	mag_cache_free(cache, object);
	assert_int_equal(mag_cache_destroy(cache), 0);
}

static int
elsewhere_resize(struct mag_cache *cache)
{
	return mag_cache_resize(
		cache, mag_type_next(cache->common.chunk_size, MAG_STAT(cache->common.type)), true);
}

static int
elsewhere_reap(struct mag_cache *cache)
{
	return mag_cache_reap_now(cache, false);
}

static int
elsewhere_reap_all(struct mag_cache *cache)
{
	return mag_cache_reap_now(cache, true);
}

static int
elsewhere_reclaim(struct mag_cache *cache)
{
	return mag_cache_reclaim(cache, false);
}

static int
elsewhere_reclaim_low(struct mag_cache *cache)
{
	return mag_cache_reclaim(cache, true);
}

static int
elsewhere_wait(struct mag_cache *cache)
{
	return mag_cache_alloc_wait(cache, UINT64_MAX) == NULL ? -rte_errno : 0;
}

TEST(test_whatever_may_call_a_callback_is_refused_elsewhere, setup, teardown)
{
	static int (*const calls[])(struct mag_cache * cache) = {
		mag_cache_purge,    mag_cache_update,  elsewhere_resize,      elsewhere_reap,
		elsewhere_reap_all, elsewhere_reclaim, elsewhere_reclaim_low, elsewhere_wait,
	};
	struct mag_cache *cache = cache_with_callbacks(MAG_CACHE_DYNAMIC);
	void *objects[COUNT / 2];
	unsigned int i, n, called;
	char maker[32];

	n = mag_cache_alloc_burst(cache, objects, COUNT / 2);
	mag_cache_free_bulk(cache, objects, n);
	called = seen.constructed + seen.destructed + seen.reclaimed;
	snprintf(maker, sizeof(maker), "process %d made it", getpid());
	cache->process++;
	for (i = 0; i < RTE_DIM(calls); i++) {
		log_begin();
		assert_int_equal(calls[i](cache), -EPERM);
		assert_logged(log_end(), maker);
	}
	cache->process--;
	assert_int_equal(seen.constructed + seen.destructed + seen.reclaimed, called);
	cache_drop(cache);
}

TEST(test_a_cache_is_destroyed_by_the_process_that_made_it, setup, teardown)
{
	struct mag_cache_params params = params_of(0);
	struct mag_cache *cache = mag_cache_create(&params);
	uint32_t listed = mag_cache_listed();

	cache->process++;
	log_begin();
	assert_int_equal(mag_cache_destroy(cache), -EPERM);
	assert_logged(log_end(), "made it: destroy it there");
	cache->process--;
	assert_int_equal(mag_cache_listed(), listed);
	mag_cache_free(cache, mag_cache_alloc(cache));
	cache_drop(cache);
}

TEST(test_no_slot_is_held_while_callbacks_run, setup, teardown)
{
	struct mag_cache_params params = params_of(0);
	void *objects[40];
	unsigned int turn, calls = 0;

	params.constructor = held_construct;
	params.destructor = held_destruct;
	held.calls = held.held = 0;
	held.cache = mag_cache_create(&params);
	for (turn = 0; turn < 6; turn++) {
		assert_int_equal(mag_cache_alloc_burst(held.cache, objects, 40), 40);
		mag_cache_free_bulk(held.cache, objects, 40);
		if (turn < 2)
			mag_lcore_flush();
		else
			assert_int_equal(mag_cache_reap_now(held.cache, turn % 2 == 0), 0);
		assert_true(held.calls > calls);
		calls = held.calls;
	}
	cache_drop(held.cache);
	assert_true(held.calls > calls);
	assert_int_equal(held.held, 0);
}

TEST(test_a_free_needs_no_memory, setup, teardown)
{
	struct mag_cache *cache = cache_make(0);
	struct mag_magazine *all[1024], *rest = NULL;
	unsigned int count = 0;
	void *objects[COUNT];

	assert_int_equal(mag_cache_alloc_burst(cache, objects, COUNT), COUNT);
	while ((rest = mag_arena_get(&cache->first.arena, cache->common.type)) != NULL) {
		assert_true(count < RTE_DIM(all));
		all[count++] = rest;
	}
	mag_fault_nth(1);
	mag_cache_free_bulk(cache, objects, COUNT);
	mag_fault_nth(0);
	assert_int_equal(cache->first.slab.out, 0);
	assert_int_equal(ground.region->part[0].objects_free, COUNT);
	while (count > 0)
		mag_arena_put(&cache->first.arena, all[--count]);
	cache_drop(cache);
}

TEST(test_an_owner_that_keeps_itself_out_uses_the_slabs, setup, teardown)
{
	struct mag_cache *cache = cache_make(0);
	void *object = mag_cache_alloc(cache);

	mag_slot_keep_out(mag_slot_own(cache->first.slot), true);
	mag_cache_free(cache, object);
	assert_int_equal(mag_cache_in_lcores(cache), 0);
	assert_int_equal(cache->first.slab.out, 0);
	mag_slot_keep_out(mag_slot_own(cache->first.slot), false);
	cache_drop(cache);
}

TEST(test_a_flush_is_of_all_caches, setup, teardown)
{
	struct mag_cache *first = cache_make(0), *second = cache_make(0);
	void *objects[20];

	assert_int_equal(mag_cache_alloc_burst(first, objects, 20), 20);
	mag_cache_free_bulk(first, objects, 20);
	assert_int_equal(mag_cache_alloc_burst(second, objects, 20), 20);
	mag_cache_free_bulk(second, objects, 20);
	mag_lcore_flush();
	assert_int_equal(mag_cache_in_lcores(first), 0);
	assert_int_equal(mag_cache_in_lcores(second), 0);
	assert_int_equal(mag_cache_destroy(first), 0);
	cache_drop(second);
}

struct leaver {
	struct mag_cache *cache;
	uint32_t slot;
	_Atomic bool filled, leave;
};

static void
leaver_run(void *arg)
{
	struct leaver *leaver = arg;
	void *objects[20];
	unsigned int n = mag_cache_alloc_burst(leaver->cache, objects, 20);

	mag_cache_free_bulk(leaver->cache, objects, n);
	leaver->slot = mag_thread_slot();
	atomic_store(&leaver->filled, true);
	while (!atomic_load(&leaver->leave))
		let_pass(1);
}

TEST(test_a_visitor_that_stays_does_not_keep_a_thread_from_ending, setup, teardown)
{
	struct leaver leaver = {.cache = cache_make(0)};
	struct mag_slot *lcore;
	struct task task;

	task_registered(&task, leaver_run, &leaver);
	wait_until(atomic_load(&leaver.filled));
	lcore = &leaver.cache->first.slot[leaver.slot];
	assert_int_equal(mag_slot_objects(lcore), 20);
	mag_bias_announce(lcore, MAG_BIAS_VISIT);
	atomic_store(&leaver.leave, true);
	task_join(&task);
	/* What it held stays there, where others can have it. */
	assert_int_equal(mag_slot_objects(lcore), 20);
	assert_int_equal(leaver.cache->common.visits_denied, 1);
	mag_bias_dismiss(lcore, MAG_BIAS_VISIT);
	assert_int_equal(mag_cache_purge(leaver.cache), 0);
	assert_int_equal(mag_slot_objects(lcore), 0);
	cache_drop(leaver.cache);
}

static void
cycle_run(void *arg)
{
	struct mag_cache *cache = arg;
	void *objects[20];
	unsigned int n;

	n = mag_cache_alloc_burst(cache, objects, 20);
	mag_cache_free_bulk(cache, objects, n);
}

TEST(test_objects_of_a_registered_thread_come_home_when_it_ends, setup, teardown)
{
	struct mag_cache *cache = cache_make(0);
	unsigned int i;

	for (i = 0; i < 3; i++)
		run_on_registered(cycle_run, cache);
	for (i = 0; i < MAG_SLOTS; i++)
		assert_int_equal(mag_slot_objects(&cache->first.slot[i]), 0);
	assert_int_equal(mag_cache_available(cache), COUNT);
	cache_drop(cache);
}

TEST(test_threads_without_lcore_id_share_a_slot, setup, teardown)
{
	struct mag_cache *cache = cache_make(0);
	unsigned int i;

	run_on_thread(cycle_run, cache);
	assert_true(mag_slot_objects(&cache->first.slot[MAG_SLOT_SHARED]) > 0);
	for (i = 0; i < MAG_SLOT_SHARED; i++)
		assert_int_equal(mag_slot_objects(&cache->first.slot[i]), 0);
	cache_drop(cache);
}

int
main(void)
{
	eal_start(3, NULL);
	return tests_run(NULL, NULL);
}
