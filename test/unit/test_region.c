/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"

#include "fixture.h"
#include "sources/adopt.h"

#define SIZE 64
#define BLOCK 8

static struct mag_region *region;

SETUP(setup)
{
	region = make_region(REGION_PARAMS(.name = "chunks", .object_size = SIZE, .block = BLOCK));
}

TEARDOWN(teardown)
{
	mag_fault_nth(0);
	drop_region(region);
}

/* Objects at a constant stride; addresses only, a region never looks at the memory. */
static uint32_t
lay_out(void **objects, uintptr_t base, uintptr_t stride, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		objects[i] = (void *)(base + i * stride);
	return count;
}

static int
adopt(uintptr_t base, uintptr_t stride, uint32_t count)
{
	void *objects[40];

	return mag_region_adopt(region, objects, lay_out(objects, base, stride, count), -1);
}

static struct mag_segment *
assert_segment(uintptr_t base, uint32_t stride, uint32_t count, bool whole)
{
	struct mag_segment *segment = mag_region_get(region, 0);

	assert_non_null(segment);
	assert_int_equal(segment->base, base);
	assert_int_equal(segment->stride, stride);
	assert_int_equal(segment->count, count);
	assert_int_equal(segment->whole, whole);
	return segment;
}

struct segments {
	uint32_t block, stride;
	struct {
		uintptr_t base, stride;
		uint32_t count;
	} runs[3];
	struct {
		uintptr_t base;
		uint32_t stride, count;
		bool whole;
	} segments[4];
};

static void
assert_segments(const struct segments *want)
{
	struct mag_segment *got[4];
	unsigned int n, whole = 0;
	uint32_t count = 0;
	void *objects[40];

	region = make_region(REGION_PARAMS(.name = "chunks", .object_size = SIZE,
					   .block = want->block, .stride = want->stride));
	for (unsigned int i = 0; i < RTE_DIM(want->runs); i++)
		count += lay_out(objects + count, want->runs[i].base, want->runs[i].stride,
				 want->runs[i].count);
	assert_int_equal(mag_region_adopt(region, objects, count, -1), 0);
	assert_int_equal(region->objects, count);
	assert_int_equal(region->part[0].objects_free, count);
	for (n = 0; n < RTE_DIM(got) && want->segments[n].count != 0; n++) {
		got[n] = assert_segment(want->segments[n].base, want->segments[n].stride,
					want->segments[n].count, want->segments[n].whole);
		whole += want->segments[n].whole;
	}
	assert_null(mag_region_get(region, 0));
	assert_int_equal(region->segments, n);
	assert_int_equal(region->allocations, n);
	assert_int_equal(region->part[0].segments_free, 0);
	assert_int_equal(region->part[0].objects_free, 0);
	for (unsigned int i = 0; i < n; i++)
		mag_region_put(region, got[i]);
	assert_int_equal(region->part[0].segments_free, n);
	for (unsigned int i = 0; i < whole; i++)
		assert_non_null(mag_region_get_whole(region, 0));
	assert_null(mag_region_get_whole(region, 0));
	drop_region(region);
}

TEST(test_runs_are_cut_into_blocks_and_tails)
{
	static const struct segments cases[] = {
		{BLOCK,
		 0,
		 {{0x10000, SIZE, 20}},
		 {{0x10000 + 16 * SIZE, SIZE, 4, false},
		  {0x10000, SIZE, BLOCK, true},
		  {0x10000 + 8 * SIZE, SIZE, BLOCK, true}}},
		/* Exact blocks have no tail. */
		{BLOCK,
		 0,
		 {{0x10000, SIZE, 2 * BLOCK}},
		 {{0x10000, SIZE, BLOCK, true}, {0x10000 + 8 * SIZE, SIZE, BLOCK, true}}},
		/* Blocks do not reach over gaps. */
		{BLOCK,
		 0,
		 {{0x10000, SIZE, 5}, {0x20000, SIZE, BLOCK}, {0x30000, SIZE, 5}},
		 {{0x10000, SIZE, 5, false},
		  {0x30000, SIZE, 5, false},
		  {0x20000, SIZE, BLOCK, true}}},
		/* Blocks of one object are whole. */
		{1,
		 0,
		 {{0x10000, 0x1000, 3}},
		 {{0x10000, 0, 1, true}, {0x11000, 0, 1, true}, {0x12000, 0, 1, true}}},
		/* A run at another stride is no whole block. */
		{BLOCK, 2 * SIZE, {{0x10000, SIZE, BLOCK}}, {{0x10000, SIZE, BLOCK, false}}},
	};

	for (unsigned int i = 0; i < RTE_DIM(cases); i++)
		assert_segments(&cases[i]);
}

TEST(test_single_objects_are_segments_of_one, setup, teardown)
{
	for (uint32_t i = 0; i < 50; i++)
		assert_int_equal(adopt(0x10000 + i * 0x1000, SIZE, 1), 0);
	assert_int_equal(region->segments, 50);
	assert_int_equal(region->objects, 50);
	assert_null(mag_region_get_whole(region, 0));
	for (uint32_t i = 50; i-- > 0;)
		assert_segment(0x10000 + i * 0x1000, 0, 1, false);
}

TEST(test_strides_that_skip_to_the_next_page_are_no_blocks, NULL, teardown)
{
	struct mag_segment *segment;
	uint32_t seen = 0;

	region = make_region(REGION_PARAMS(.name = "pages", .object_size = 3000, .block = BLOCK));
	assert_int_equal(adopt(0x100000, 4096, 40), 0);
	assert_int_equal(region->objects, 40);
	assert_null(mag_region_get_whole(region, 0));
	while ((segment = mag_region_get(region, 0)) != NULL) {
		assert_true((uint64_t)segment->count * 4096 <= mag_region_segment_span(region));
		for (uint32_t i = 0; i < segment->count; i++)
			assert_int_equal((segment->base + i * segment->stride) % 4096, 0);
		seen += segment->count;
	}
	assert_int_equal(seen, 40);
}

TEST(test_several_objects_a_page_are_tails_of_each_page, NULL, teardown)
{
	void *objects[10 * 60];
	uint32_t n = 0;

	region = make_region(REGION_PARAMS(.name = "pages", .object_size = SIZE, .block = 256));
	for (uint32_t page = 0; page < 10; page++)
		n += lay_out(objects + n, 0x100000 + page * 4096, SIZE, 60);
	assert_int_equal(mag_region_adopt(region, objects, n, -1), 0);
	assert_int_equal(region->segments, 10);
	for (uint32_t page = 0; page < 10; page++)
		assert_segment(0x100000 + page * 4096, SIZE, 60, false);
}

TEST(test_addresses_that_do_not_ascend_by_an_object_are_refused, setup, teardown)
{
	static const struct {
		uintptr_t address[3];
		uint32_t count, bad;
	} cases[] = {
		{{0x2000, 0x1000}, 2, 1},
		{{0x1000, 0x1000 + SIZE, 0x1000 + 2 * SIZE - 1}, 3, 2},
		{{0x1000, 0x1000}, 2, 1},
		/* No address is no object. */
		{{0, 0x1000}, 2, 0},
	};
	char expected[64];

	for (unsigned int i = 0; i < RTE_DIM(cases); i++) {
		void *const *objects = (void *const *)(uintptr_t)cases[i].address;

		snprintf(expected, sizeof(expected), "\"chunks\": object %u at", cases[i].bad);
		assert_refused(mag_region_adopt(region, objects, cases[i].count, -1), EINVAL,
			       expected);
		assert_refused(mag_region_adopt(region, objects, cases[i].count, -1), EINVAL,
			       "ascend");
		assert_int_equal(region->objects, 0);
		assert_int_equal(region->segments, 0);
		assert_null(mag_region_get(region, 0));
	}
}

TEST(test_nothing_to_adopt_is_adopted, setup, teardown)
{
	uint64_t before = heap_balance();

	assert_int_equal(mag_region_adopt(region, NULL, 0, -1), 0);
	assert_int_equal(heap_balance(), before);
	assert_null(mag_region_get(region, 0));
}

TEST(test_a_segment_that_is_put_back_can_be_had_again_tails_before_whole_blocks, setup, teardown)
{
	struct mag_segment *tail, *whole;

	assert_int_equal(adopt(0x10000, SIZE, BLOCK + 1), 0);
	tail = mag_region_get(region, 0);
	assert_false(tail->whole);
	whole = mag_region_get_whole(region, 0);
	assert_null(mag_region_get_whole(region, 0));
	mag_region_put(region, whole);
	assert_int_equal(region->part[0].segments_free, 1);
	assert_int_equal(region->part[0].objects_free, BLOCK);
	assert_int_equal(region->frees, 1);
	mag_region_put(region, tail);
	assert_ptr_equal(mag_region_get(region, 0), tail);
	assert_ptr_equal(mag_region_get_whole(region, 0), whole);
	assert_int_equal(region->allocations, 4);
}

TEST(test_every_segment_has_its_own_index_and_room_for_records, setup, teardown)
{
	struct mag_segment *segment;
	bool seen[9] = {false};
	void *objects[3 * BLOCK];
	uint32_t room;

	for (uint32_t chunk = 0; chunk < 3; chunk++) {
		lay_out(objects, 0x10000 * (chunk + 1), SIZE, 2 * BLOCK + 3);
		assert_int_equal(mag_region_adopt(region, objects, 2 * BLOCK + 3, 0), 0);
	}
	while ((segment = mag_region_get(region, 0)) != NULL) {
		assert_true(segment->index < RTE_DIM(seen));
		assert_false(seen[segment->index]);
		seen[segment->index] = true;
		assert_int_equal(segment->node, 0);
		assert_int_equal((uintptr_t)segment->control % 64, 0);
		room = MAG_CONTROL_SEGMENT + segment->count * MAG_CONTROL_OBJECT;
		for (uint32_t i = 0; i < room; i++)
			assert_int_equal(((uint8_t *)segment->control)[i], 0);
		memset(segment->control, segment->index + 1, room);
	}
	for (uint32_t i = 0; i < RTE_DIM(seen); i++)
		assert_true(seen[i]);
}

TEST(test_the_block_chosen_is_bounded)
{
	const struct {
		uint32_t size, block;
	} rows[] = {
		{8, 256},   {1024, 256}, {1025, 128},  {2048, 128},
		{4096, 64}, {65536, 8},  {1 << 30, 8},
	};

	for (unsigned int i = 0; i < RTE_DIM(rows); i++) {
		region = make_region(REGION_PARAMS(.name = "chosen", .object_size = rows[i].size));
		assert_int_equal(region->block, rows[i].block);
		assert_int_equal(region->stride, rows[i].size);
		drop_region(region);
	}
}

TEST(test_a_region_of_adopted_memory_neither_grows_nor_shrinks, setup, teardown)
{
	unsigned int n = 1, m = 1;

	assert_refused(mag_region_grow(region, 1, &n), EINVAL, "not elastic");
	assert_refused(mag_region_trim(region, 0, &m), EINVAL, "the caller's");
	assert_int_equal(n + m, 0);
}

/* One more than the longest. */
#define LONG_NAME "0123456789012345678901234567890123456789012345678901234567890123"

TEST(test_bad_parameters_are_refused)
{
	static const struct {
		const char *name, *text;
		uint32_t object_size, stride, block, align;
	} bad[] = {
		{NULL, "name", 64, 0, 0, 0},
		{"", "name", 64, 0, 0, 0},
		{LONG_NAME, "name", 64, 0, 0, 0},
		{"zero", "object size above 0", 0, 0, 0, 0},
		{"narrow", "a stride of at least the object size", 64, 63, 0, 0},
		{"blocky", "a block of at most 65534 objects", 64, 0, MAG_REGION_BLOCK_MAX + 1, 0},
		/* None is rounded up. */
		{"skewed", "alignment must be a power of two", 64, 0, 0, 7},
	};

	for (unsigned int i = 0; i < RTE_DIM(bad); i++) {
		struct mag_region_params params =
			REGION_PARAMS(.name = bad[i].name, .object_size = bad[i].object_size,
				      .stride = bad[i].stride, .block = bad[i].block,
				      .align = bad[i].align);

		/* Alignment is of memory that is the region's own. */
		params.objects = bad[i].align != 0 ? 10 : 0;
		assert_refused_null(mag_region_create(&params), EINVAL, bad[i].text);
	}
}

TEST(test_the_longest_name_is_kept_whole, NULL, teardown)
{
	region = make_region(REGION_PARAMS(.name = &LONG_NAME[1], .object_size = 64,
					   .block = MAG_REGION_BLOCK_MAX));
	assert_string_equal(region->name, &LONG_NAME[1]);
}

static bool
region_works(void)
{
	struct mag_region_params params =
		REGION_PARAMS(.name = "poor", .object_size = SIZE, .block = BLOCK);

	region = mag_region_create(&params);
	assert_true(region != NULL || rte_errno == ENOMEM);
	return region != NULL;
}

static bool
adopt_works(void)
{
	if (adopt(0x10000, SIZE, 20) == 0)
		return true;
	assert_int_equal(region->objects, 0);
	assert_int_equal(region->part[0].segments_free, 0);
	return false;
}

TEST(test_every_allocation_that_fails_leaks_nothing)
{
	uint64_t before = heap_balance();

	assert_true(attempts(region_works()) > 1);
	assert_true(attempts(adopt_works()) > 1);
	drop_region(region);
	assert_int_equal(heap_balance(), before);
}

static struct {
	unsigned int told, had;
	uint64_t objects, free;
} telling;

static void
tell(void *arg)
{
	telling.told++;
	telling.had = mag_cache_alloc_burst(cache, arg, 1);
	telling.objects = region_stats(region).objects;
	telling.free = cache_stats(cache).free + mag_cache_available(cache);
}

SETUP(setup_telling)
{
	setup(state);
	memset(&telling, 0, sizeof(telling));
	cache = make_cache(CACHE_PARAMS(.name = "told", .object_size = SIZE, .region = region));
}

static int
teardown_telling(void **state)
{
	drop_cache(cache);
	return teardown(state);
}

TEST(test_nobody_has_an_object_before_its_owner_was_told, setup_telling, teardown_telling)
{
	static char memory[2 * BLOCK * SIZE];
	void *objects[2 * BLOCK], *object;

	lay_out(objects, (uintptr_t)memory, SIZE, 2 * BLOCK);
	assert_int_equal(mag_adopt(region, objects, 2 * BLOCK, -1, tell, &object), 0);
	assert_int_equal(telling.told, 1);
	assert_int_equal(telling.had, 0);
	assert_int_equal(telling.objects, 0);
	assert_int_equal(telling.free, 0);
	assert_int_equal(mag_cache_available(cache), 2 * BLOCK);
	alloc_bulk(&object, 1);
	mag_cache_free(cache, object);
}

TEST(test_nobody_is_told_of_objects_that_are_not_adopted, setup_telling, teardown_telling)
{
	void *objects[2 * BLOCK], *twice[2], *object;

	lay_out(objects, 0x10000, SIZE, 2 * BLOCK);
	twice[0] = twice[1] = objects[0];
	assert_refused(mag_adopt(region, twice, 2, -1, tell, &object), EINVAL, "");
	assert_true(attempts(mag_adopt(region, objects, 2 * BLOCK, -1, tell, &object) == 0 ||
			     (assert_int_equal(telling.told, 0), false)) > 1);
	assert_int_equal(telling.told, 1);
}

TEST(test_a_region_serves_two_caches_and_is_not_destroyed_meanwhile, setup, teardown)
{
	assert_int_equal(mag_region_attach(region, 8), 0);
	assert_int_equal(mag_region_attach(region, 8), 0);
	assert_int_equal(mag_region_attach(region, 8), -EBUSY);
	assert_refused(mag_region_destroy(region), EBUSY, "2 caches");
	mag_region_detach(region, 8);
	assert_int_equal(mag_region_attach(region, 8), 0);
	mag_region_detach(region, 8);
	mag_region_detach(region, 8);
	assert_int_equal(mag_region_destroy(NULL), 0);
}

TEST(test_a_reset_region_has_forgotten_its_memory_and_can_adopt_again, setup, teardown)
{
	uint64_t before = heap_balance();

	assert_int_equal(adopt(0x10000, SIZE, 20), 0);
	assert_non_null(mag_region_get(region, 0));
	mag_region_reset(region);
	assert_int_equal(heap_balance(), before);
	assert_null(mag_region_get(region, 0));
	assert_null(mag_region_get_whole(region, 0));
	assert_int_equal(region->objects, 0);
	assert_int_equal(adopt(0x10000, SIZE, 20), 0);
	assert_int_equal(region->segments, 3);
	assert_int_equal(region->part[0].objects_free, 20);
}

TEST_PROGRAM(1)
