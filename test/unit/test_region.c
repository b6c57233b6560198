/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"
#include "mag_stats.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_errno.h>

#include "sources/adopt.h"
#include "cache/cache.h"
#include "base/fault.h"
#include "ground.h"
#include "../counts.h"

#define SIZE 64
#define BLOCK 8

static struct mag_region *
region_make(uint32_t block)
{
	struct mag_region_params params = {.size = sizeof(params),
					   .name = "chunks",
					   .object_size = SIZE,
					   .block = block,
					   .node = -1};
	struct mag_region *region = mag_region_create(&params);

	assert_non_null(region);
	return region;
}

/* Objects at a constant stride; addresses only, a region never looks at the memory. */
static uint32_t
lay_out(void **objects, uintptr_t base, uintptr_t stride, uint32_t count)
{
	uint32_t i;

	for (i = 0; i < count; i++)
		objects[i] = (void *)(base + i * stride);
	return count;
}

static void
assert_segment(struct mag_segment *segment, uintptr_t base, uint32_t stride, uint32_t count,
	       bool whole)
{
	assert_non_null(segment);
	assert_int_equal(segment->base, base);
	assert_int_equal(segment->stride, stride);
	assert_int_equal(segment->count, count);
	assert_int_equal(segment->whole, whole);
}

TEST(test_a_run_is_cut_into_blocks_and_a_tail)
{
	struct mag_region *region = region_make(BLOCK);
	void *objects[20];

	lay_out(objects, 0x10000, SIZE, 20);
	assert_int_equal(mag_region_adopt(region, objects, 20, -1), 0);
	assert_int_equal(region->segments, 3);
	assert_int_equal(region->part[0].segments_free, 3);
	assert_int_equal(region->objects, 20);
	assert_int_equal(region->part[0].objects_free, 20);
	assert_segment(mag_region_get(region, 0), 0x10000 + 16 * SIZE, SIZE, 4, false);
	assert_segment(mag_region_get(region, 0), 0x10000, SIZE, BLOCK, true);
	assert_segment(mag_region_get(region, 0), 0x10000 + 8 * SIZE, SIZE, BLOCK, true);
	assert_null(mag_region_get(region, 0));
	assert_int_equal(region->part[0].segments_free, 0);
	assert_int_equal(region->part[0].objects_free, 0);
	assert_int_equal(region->allocations, 3);
	assert_int_equal(mag_region_destroy(region), 0);
}

TEST(test_a_run_of_exact_blocks_has_no_tail)
{
	struct mag_region *region = region_make(BLOCK);
	void *objects[2 * BLOCK];

	lay_out(objects, 0x10000, SIZE, 2 * BLOCK);
	assert_int_equal(mag_region_adopt(region, objects, 2 * BLOCK, -1), 0);
	assert_int_equal(region->segments, 2);
	assert_non_null(mag_region_get_whole(region, 0));
	assert_non_null(mag_region_get_whole(region, 0));
	assert_null(mag_region_get(region, 0));
	assert_int_equal(mag_region_destroy(region), 0);
}

TEST(test_blocks_do_not_reach_over_gaps)
{
	struct mag_region *region = region_make(BLOCK);
	void *objects[18];
	uint32_t n;

	n = lay_out(objects, 0x10000, SIZE, 5);
	n += lay_out(objects + n, 0x20000, SIZE, BLOCK);
	n += lay_out(objects + n, 0x30000, SIZE, 5);
	assert_int_equal(mag_region_adopt(region, objects, n, -1), 0);
	assert_int_equal(region->segments, 3);
	assert_segment(mag_region_get_whole(region, 0), 0x20000, SIZE, BLOCK, true);
	assert_null(mag_region_get_whole(region, 0));
	assert_segment(mag_region_get(region, 0), 0x10000, SIZE, 5, false);
	assert_segment(mag_region_get(region, 0), 0x30000, SIZE, 5, false);
	assert_int_equal(mag_region_destroy(region), 0);
}

TEST(test_single_objects_are_segments_of_one)
{
	struct mag_region *region = region_make(BLOCK);
	void *objects[1];
	uint32_t i;

	for (i = 0; i < 50; i++) {
		lay_out(objects, 0x10000 + i * 0x1000, SIZE, 1);
		assert_int_equal(mag_region_adopt(region, objects, 1, -1), 0);
	}
	assert_int_equal(region->segments, 50);
	assert_int_equal(region->objects, 50);
	assert_null(mag_region_get_whole(region, 0));
	for (i = 50; i-- > 0;)
		assert_segment(mag_region_get(region, 0), 0x10000 + i * 0x1000, 0, 1, false);
	assert_int_equal(mag_region_destroy(region), 0);
}

TEST(test_blocks_of_one_object_are_whole)
{
	struct mag_region *region = region_make(1);
	void *objects[3];

	lay_out(objects, 0x10000, 0x1000, 3);
	assert_int_equal(mag_region_adopt(region, objects, 3, -1), 0);
	assert_int_equal(region->segments, 3);
	assert_segment(mag_region_get_whole(region, 0), 0x10000, 0, 1, true);
	assert_segment(mag_region_get_whole(region, 0), 0x11000, 0, 1, true);
	assert_segment(mag_region_get_whole(region, 0), 0x12000, 0, 1, true);
	assert_int_equal(mag_region_destroy(region), 0);
}

TEST(test_strides_that_skip_to_the_next_page_are_no_blocks)
{
	struct mag_region_params params = {.size = sizeof(params),
					   .name = "pages",
					   .object_size = 3000,
					   .block = BLOCK,
					   .node = -1};
	struct mag_region *region = mag_region_create(&params);
	struct mag_segment *segment;
	uint32_t seen = 0, i;
	void *objects[40];

	lay_out(objects, 0x100000, 4096, 40);
	assert_int_equal(mag_region_adopt(region, objects, 40, -1), 0);
	assert_int_equal(region->objects, 40);
	assert_null(mag_region_get_whole(region, 0));
	while ((segment = mag_region_get(region, 0)) != NULL) {
		assert_true((uint64_t)segment->count * 4096 <= mag_region_segment_span(region));
		for (i = 0; i < segment->count; i++)
			assert_int_equal((segment->base + i * segment->stride) % 4096, 0);
		seen += segment->count;
	}
	assert_int_equal(seen, 40);
	assert_int_equal(mag_region_destroy(region), 0);
}

TEST(test_several_objects_a_page_are_tails_of_each_page)
{
	struct mag_region *region = region_make(256);
	void *objects[10 * 60];
	uint32_t n = 0, page;

	for (page = 0; page < 10; page++)
		n += lay_out(objects + n, 0x100000 + page * 4096, SIZE, 60);
	assert_int_equal(mag_region_adopt(region, objects, n, -1), 0);
	assert_int_equal(region->segments, 10);
	for (page = 0; page < 10; page++)
		assert_segment(mag_region_get(region, 0), 0x100000 + page * 4096, SIZE, 60, false);
	assert_int_equal(mag_region_destroy(region), 0);
}

TEST(test_a_full_run_at_another_stride_is_no_whole_block)
{
	struct mag_region_params params = {.size = sizeof(params),
					   .name = "wide",
					   .object_size = SIZE,
					   .stride = 2 * SIZE,
					   .block = BLOCK,
					   .node = -1};
	struct mag_region *region = mag_region_create(&params);
	void *objects[BLOCK];

	lay_out(objects, 0x10000, SIZE, BLOCK);
	assert_int_equal(mag_region_adopt(region, objects, BLOCK, -1), 0);
	assert_null(mag_region_get_whole(region, 0));
	assert_segment(mag_region_get(region, 0), 0x10000, SIZE, BLOCK, false);
	assert_int_equal(mag_region_destroy(region), 0);
}

static void
assert_bad(void *const *objects, uint32_t count, uint32_t bad)
{
	struct mag_region *region = region_make(BLOCK);
	uint64_t before = heap_balance();
	char index[32];
	const char *log;

	log_begin();
	assert_int_equal(mag_region_adopt(region, objects, count, -1), -EINVAL);
	log = log_end();
	snprintf(index, sizeof(index), "object %u at", bad);
	assert_logged(log, "chunks");
	assert_logged(log, index);
	assert_logged(log, "ascend");
	assert_int_equal(count_lines(log), 1);
	assert_int_equal(region->objects, 0);
	assert_int_equal(region->segments, 0);
	assert_null(mag_region_get(region, 0));
	assert_int_equal(heap_balance(), before);
	assert_int_equal(mag_region_destroy(region), 0);
}

TEST(test_descending_addresses_are_refused)
{
	void *objects[] = {(void *)0x2000, (void *)0x1000};

	assert_bad(objects, 2, 1);
}

TEST(test_overlapping_objects_are_refused)
{
	void *objects[] = {(void *)0x1000, (void *)(0x1000 + SIZE),
			   (void *)(0x1000 + 2 * SIZE - 1)};

	assert_bad(objects, 3, 2);
}

TEST(test_the_same_object_twice_is_refused)
{
	void *objects[] = {(void *)0x1000, (void *)0x1000};

	assert_bad(objects, 2, 1);
}

TEST(test_no_address_is_no_object)
{
	void *objects[] = {NULL, (void *)0x1000};

	assert_bad(objects, 2, 0);
}

TEST(test_nothing_to_adopt_is_adopted)
{
	struct mag_region *region = region_make(BLOCK);
	uint64_t before = heap_balance();

	assert_int_equal(mag_region_adopt(region, NULL, 0, -1), 0);
	assert_int_equal(heap_balance(), before);
	assert_null(mag_region_get(region, 0));
	assert_int_equal(mag_region_destroy(region), 0);
}

TEST(test_tails_go_before_whole_blocks)
{
	struct mag_region *region = region_make(BLOCK);
	void *objects[BLOCK + 1];
	struct mag_segment *tail, *whole;

	lay_out(objects, 0x10000, SIZE, BLOCK + 1);
	assert_int_equal(mag_region_adopt(region, objects, BLOCK + 1, -1), 0);
	tail = mag_region_get(region, 0);
	assert_false(tail->whole);
	whole = mag_region_get(region, 0);
	assert_true(whole->whole);
	mag_region_put(region, whole);
	mag_region_put(region, tail);
	assert_ptr_equal(mag_region_get(region, 0), tail);
	assert_int_equal(mag_region_destroy(region), 0);
}

TEST(test_a_segment_that_is_put_back_can_be_had_again)
{
	struct mag_region *region = region_make(BLOCK);
	struct mag_segment *segment;
	void *objects[BLOCK];

	lay_out(objects, 0x10000, SIZE, BLOCK);
	assert_int_equal(mag_region_adopt(region, objects, BLOCK, -1), 0);
	segment = mag_region_get_whole(region, 0);
	assert_null(mag_region_get_whole(region, 0));
	mag_region_put(region, segment);
	assert_int_equal(region->part[0].segments_free, 1);
	assert_int_equal(region->part[0].objects_free, BLOCK);
	assert_int_equal(region->frees, 1);
	assert_ptr_equal(mag_region_get_whole(region, 0), segment);
	assert_int_equal(region->allocations, 2);
	assert_int_equal(mag_region_destroy(region), 0);
}

TEST(test_every_segment_has_its_own_index_and_room_for_records)
{
	struct mag_region *region = region_make(BLOCK);
	struct mag_segment *segment;
	bool seen[9] = {false};
	void *objects[3 * BLOCK];
	uint32_t chunk, i;

	for (chunk = 0; chunk < 3; chunk++) {
		lay_out(objects, 0x10000 * (chunk + 1), SIZE, 2 * BLOCK + 3);
		assert_int_equal(mag_region_adopt(region, objects, 2 * BLOCK + 3, 0), 0);
	}
	while ((segment = mag_region_get(region, 0)) != NULL) {
		assert_true(segment->index < RTE_DIM(seen));
		assert_false(seen[segment->index]);
		seen[segment->index] = true;
		assert_int_equal(segment->node, 0);
		assert_int_equal((uintptr_t)segment->control % 64, 0);
		for (i = 0; i < MAG_CONTROL_SEGMENT + segment->count * MAG_CONTROL_OBJECT; i++)
			assert_int_equal(((uint8_t *)segment->control)[i], 0);
		memset(segment->control, segment->index + 1,
		       MAG_CONTROL_SEGMENT + segment->count * MAG_CONTROL_OBJECT);
	}
	for (i = 0; i < RTE_DIM(seen); i++)
		assert_true(seen[i]);
	assert_int_equal(mag_region_destroy(region), 0);
}

TEST(test_the_block_chosen_is_bounded)
{
	const struct {
		uint32_t size, block;
	} rows[] = {
		{8, 256},   {1024, 256}, {1025, 128},  {2048, 128},
		{4096, 64}, {65536, 8},  {1 << 30, 8},
	};
	struct mag_region_params params = {.size = sizeof(params), .name = "chosen", .node = -1};
	struct mag_region *region;
	unsigned int i;

	for (i = 0; i < RTE_DIM(rows); i++) {
		params.object_size = rows[i].size;
		region = mag_region_create(&params);
		assert_non_null(region);
		assert_int_equal(region->block, rows[i].block);
		assert_int_equal(region->stride, rows[i].size);
		assert_int_equal(mag_region_destroy(region), 0);
	}
}

TEST(test_a_region_of_adopted_memory_neither_grows_nor_shrinks)
{
	struct ground ground = ground_make(64, 64, 8, 0);
	unsigned int n = 1;

	log_begin();
	assert_int_equal(mag_region_grow(ground.region, 1, &n), -EINVAL);
	assert_int_equal(n, 0);
	assert_logged(log_end(), "not elastic");
	n = 1;
	log_begin();
	assert_int_equal(mag_region_trim(ground.region, 0, &n), -EINVAL);
	assert_int_equal(n, 0);
	assert_logged(log_end(), "the caller's");
	ground_drop(&ground);
}

TEST(test_bad_parameters_are_refused)
{
	static const char long_name[] =
		"0123456789012345678901234567890123456789012345678901234567890123";
	const size_t size = sizeof(struct mag_region_params);
	const struct mag_region_params bad[] = {
		{.size = size, .name = NULL, .object_size = 64},
		{.size = size, .name = "", .object_size = 64},
		{.size = size, .name = long_name, .object_size = 64},
		{.size = size, .name = "zero", .object_size = 0},
		{.size = size, .name = "narrow", .object_size = 64, .stride = 63},
		{.size = size,
		 .name = "blocky",
		 .object_size = 64,
		 .block = MAG_REGION_BLOCK_MAX + 1},
	};
	uint64_t before = heap_balance();
	const char *log;
	unsigned int i;

	for (i = 0; i < RTE_DIM(bad); i++) {
		rte_errno = 0;
		log_begin();
		assert_null(mag_region_create(&bad[i]));
		log = log_end();
		assert_int_equal(rte_errno, EINVAL);
		assert_int_equal(count_lines(log), 1);
	}
	assert_int_equal(heap_balance(), before);
}

TEST(test_the_longest_name_is_kept_whole)
{
	static const char name[] =
		"012345678901234567890123456789012345678901234567890123456789012";
	struct mag_region_params params = {.size = sizeof(params),
					   .name = name,
					   .object_size = 64,
					   .block = MAG_REGION_BLOCK_MAX,
					   .node = -1};
	struct mag_region *region = mag_region_create(&params);

	assert_non_null(region);
	assert_string_equal(region->name, name);
	assert_int_equal(mag_region_destroy(region), 0);
}

TEST(test_every_allocation_that_fails_leaks_nothing)
{
	struct mag_region_params params = {.size = sizeof(params),
					   .name = "poor",
					   .object_size = SIZE,
					   .block = BLOCK,
					   .node = -1};
	uint64_t before = heap_balance();
	struct mag_region *region;
	unsigned int nth;
	void *objects[20];
	uint64_t made;

	lay_out(objects, 0x10000, SIZE, 20);
	mag_fault_nth(1);
	rte_errno = 0;
	assert_null(mag_region_create(&params));
	assert_int_equal(rte_errno, ENOMEM);
	mag_fault_nth(0);
	region = mag_region_create(&params);
	made = heap_balance();
	for (nth = 1;; nth++) {
		mag_fault_nth(nth);
		if (mag_region_adopt(region, objects, 20, -1) == 0)
			break;
		assert_int_equal(heap_balance(), made);
		assert_int_equal(region->objects, 0);
		assert_int_equal(region->part[0].segments_free, 0);
	}
	assert_true(nth > 1);
	mag_fault_nth(0);
	assert_int_equal(mag_region_destroy(region), 0);
	assert_int_equal(heap_balance(), before);
}

static struct {
	struct mag_region *region;
	struct mag_cache *cache;
	unsigned int told, had;
	uint64_t objects, free;
} telling;

static void
tell(void *arg)
{
	struct mag_region_stats region;
	struct mag_cache_stats cache;

	telling.told++;
	telling.had = mag_cache_alloc_burst(telling.cache, arg, 1);
	mag_region_stats_get(telling.region, &region);
	mag_cache_stats_get(telling.cache, &cache);
	telling.objects = region.objects;
	telling.free = cache.free + mag_cache_available(telling.cache);
}

static void
telling_begin(void)
{
	struct mag_cache_params params = {
		.size = sizeof(params), .name = "told", .object_size = SIZE, .node = -1};

	memset(&telling, 0, sizeof(telling));
	telling.region = region_make(BLOCK);
	params.region = telling.region;
	telling.cache = mag_cache_create(&params);
	assert_non_null(telling.cache);
}

static void
telling_end(void)
{
	assert_int_equal(mag_cache_destroy(telling.cache), 0);
	assert_int_equal(mag_region_destroy(telling.region), 0);
}

TEST(test_nobody_has_an_object_before_its_owner_was_told)
{
	static char memory[2 * BLOCK * SIZE];
	void *objects[2 * BLOCK], *object;

	telling_begin();
	lay_out(objects, (uintptr_t)memory, SIZE, 2 * BLOCK);
	assert_int_equal(mag_adopt(telling.region, objects, 2 * BLOCK, -1, tell, &object), 0);
	assert_int_equal(telling.told, 1);
	assert_int_equal(telling.had, 0);
	assert_int_equal(telling.objects, 0);
	assert_int_equal(telling.free, 0);
	assert_int_equal(mag_cache_available(telling.cache), 2 * BLOCK);
	assert_int_equal(mag_cache_alloc_burst(telling.cache, &object, 1), 1);
	mag_cache_free(telling.cache, object);
	telling_end();
}

TEST(test_nobody_is_told_of_objects_that_are_not_adopted)
{
	void *objects[2 * BLOCK], *twice[2], *object;
	unsigned int nth = 0;

	telling_begin();
	lay_out(objects, 0x10000, SIZE, 2 * BLOCK);
	twice[0] = twice[1] = objects[0];
	log_begin();
	assert_int_equal(mag_adopt(telling.region, twice, 2, -1, tell, &object), -EINVAL);
	log_end();
	do {
		assert_int_equal(telling.told, 0);
		mag_fault_nth(++nth);
	} while (mag_adopt(telling.region, objects, 2 * BLOCK, -1, tell, &object) != 0);
	mag_fault_nth(0);
	assert_true(nth > 1);
	assert_int_equal(telling.told, 1);
	telling_end();
}

TEST(test_a_region_serves_two_caches_and_is_not_destroyed_meanwhile)
{
	struct mag_region *region = region_make(BLOCK);
	const char *log;

	assert_int_equal(mag_region_attach(region, 8), 0);
	assert_int_equal(mag_region_attach(region, 8), 0);
	assert_int_equal(mag_region_attach(region, 8), -EBUSY);
	log_begin();
	assert_int_equal(mag_region_destroy(region), -EBUSY);
	log = log_end();
	assert_logged(log, "2 caches");
	mag_region_detach(region, 8);
	assert_int_equal(mag_region_attach(region, 8), 0);
	mag_region_detach(region, 8);
	mag_region_detach(region, 8);
	assert_int_equal(mag_region_destroy(region), 0);
	assert_int_equal(mag_region_destroy(NULL), 0);
}

TEST(test_a_reset_region_has_forgotten_its_memory_and_can_adopt_again)
{
	struct mag_region *region = region_make(BLOCK);
	uint64_t before = heap_balance();
	void *objects[20];

	lay_out(objects, 0x10000, SIZE, 20);
	assert_int_equal(mag_region_adopt(region, objects, 20, -1), 0);
	assert_non_null(mag_region_get(region, 0));
	mag_region_reset(region);
	assert_int_equal(heap_balance(), before);
	assert_null(mag_region_get(region, 0));
	assert_null(mag_region_get_whole(region, 0));
	assert_int_equal(region->objects, 0);
	assert_int_equal(mag_region_adopt(region, objects, 20, -1), 0);
	assert_int_equal(region->segments, 3);
	assert_int_equal(region->part[0].objects_free, 20);
	assert_int_equal(mag_region_destroy(region), 0);
}

int
main(void)
{
	eal_start(1, NULL);
	return tests_run(NULL, NULL);
}
