/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"

#include "fixture.h"
#include "home/slab.h"
#include "home/slab_objects.h"

#define BLOCK 8
#define COUNT (4 * BLOCK)
#define SIZE 64

static struct mag_slab_layer layer;
static void *objects[COUNT + 1];

/* Stand in front of the library's own, to do something while a segment is on its way. */
static _Thread_local void (*meanwhile)(void);

static void
call_meanwhile(void)
{
	void (*call)(void) = meanwhile;

	meanwhile = NULL;
	if (call != NULL)
		call();
}

struct mag_segment *
mag_region_get(struct mag_region *region, uint32_t part)
{
	call_meanwhile();
	return LIBRARYS(mag_region_get)(region, part);
}

void
mag_region_put(struct mag_region *region, struct mag_segment *segment)
{
	call_meanwhile();
	LIBRARYS(mag_region_put)(region, segment);
}

static void
make(uint32_t count, uint32_t block)
{
	ground = ground_make(count, SIZE, block, 0);
	assert_int_equal(mag_slab_init(&layer, ground.region, 0, count, -1), 0);
}

SETUP(setup)
{
	make(COUNT, BLOCK);
}

TEARDOWN(teardown)
{
	mag_slab_fini(&layer);
	ground_drop(&ground);
}

/* Another ground instead. */
static void
remake(uint32_t count, uint32_t block)
{
	teardown(NULL);
	make(count, block);
}

static void
alloc(void **got, unsigned int n)
{
	assert_int_equal(mag_slab_alloc(&layer, got, n, NULL, NULL), n);
}

static void
give(void *object)
{
	assert_int_equal(mag_slab_free(&layer, &object, 1, NULL), 1);
}

static uint32_t
segments_free(void)
{
	return ground.region->part[0].segments_free;
}

/* An object's slab, by the address of its first object. */
static uintptr_t
slab_of(const void *object)
{
	return ((uintptr_t)object - (uintptr_t)ground.memory) / (BLOCK * SIZE);
}

static unsigned int
length(struct mag_slab_list *list, uint32_t least, uint32_t most)
{
	struct mag_slab *slab;
	unsigned int n = 0;

	TAILQ_FOREACH(slab, list, link) {
		assert_in_range(slab->free, least, RTE_MIN(most, slab->segment->count));
		n++;
	}
	return n;
}

static void
assert_lists(unsigned int partial, unsigned int full)
{
	assert_int_equal(layer.slabs_partial, partial);
	assert_int_equal(layer.slabs_full, full);
	assert_int_equal(length(&layer.partial, 1, BLOCK - 1), partial);
	assert_int_equal(length(&layer.full, 0, 0), full);
}

TEST(test_all_objects_can_be_had_each_once_and_nothing_is_written_into_them, setup, teardown)
{
	assert_int_equal(mag_slab_available(&layer), COUNT);
	assert_int_equal(mag_slab_alloc(&layer, objects, COUNT + 1, NULL, NULL), COUNT);
	assert_distinct(&ground, objects, COUNT);
	assert_lists(0, 4);
	assert_int_equal(layer.fails, 1);
	assert_int_equal(mag_slab_available(&layer), 0);
	assert_int_equal(mag_slab_alloc(&layer, objects + COUNT, 1, NULL, NULL), 0);
	assert_int_equal(layer.fails, 1);
	assert_int_equal(mag_slab_free(&layer, objects, COUNT, NULL), COUNT);
	assert_lists(0, 0);
	for (unsigned int i = 0; i < COUNT * SIZE; i++)
		assert_int_equal((uint8_t)ground.memory[i], 0xa5);
	alloc(objects, COUNT);
	assert_distinct(&ground, objects, COUNT);
}

/* And none is made while a partial one is left. */
TEST(test_a_slab_is_partial_between_its_first_and_last_object, setup, teardown)
{
	assert_lists(0, 0);
	alloc(objects, 1);
	assert_lists(1, 0);
	alloc(objects + 1, BLOCK - 2);
	assert_lists(1, 0);
	alloc(objects + BLOCK - 1, 1);
	assert_lists(0, 1);
	assert_int_equal(layer.created, 1);
	give(objects[3]);
	assert_lists(1, 0);
	alloc(objects + 3, 2);
	assert_lists(1, 1);
	assert_int_equal(layer.created, 2);
}

TEST(test_the_last_object_that_comes_back_gives_the_segment_to_the_region, setup, teardown)
{
	alloc(objects, BLOCK);
	assert_int_equal(segments_free(), 3);
	assert_int_equal(layer.in_use, BLOCK);
	assert_int_equal(mag_slab_free(&layer, objects, BLOCK - 1, NULL), BLOCK - 1);
	assert_int_equal(segments_free(), 3);
	give(objects[BLOCK - 1]);
	assert_int_equal(segments_free(), 4);
	assert_int_equal(layer.destroyed, 1);
	assert_int_equal(layer.in_use, 0);
	assert_int_equal(layer.in_use_max, BLOCK);
	assert_lists(0, 0);
}

TEST(test_a_slab_of_one_object_goes_from_full_to_the_region, setup, teardown)
{
	remake(2, 1);
	alloc(objects, 2);
	assert_lists(0, 2);
	assert_int_equal(mag_slab_free(&layer, objects, 2, NULL), 2);
	assert_lists(0, 0);
	assert_int_equal(segments_free(), 2);
}

TEST(test_allocation_takes_from_the_head_of_the_partial_list_which_grows_at_its_tail, setup,
     teardown)
{
	void *object;

	alloc(objects, 3 * BLOCK);
	give(objects[2 * BLOCK]);
	give(objects[0]);
	give(objects[BLOCK]);
	assert_lists(3, 0);
	/* It stays where it is. */
	give(objects[1]);
	alloc(&object, 1);
	assert_int_equal(slab_of(object), slab_of(objects[2 * BLOCK]));
	/* Of a slab, the one freed last. */
	alloc(&object, 1);
	assert_ptr_equal(object, objects[1]);
	alloc(&object, 1);
	assert_ptr_equal(object, objects[0]);
	alloc(&object, 1);
	assert_int_equal(slab_of(object), slab_of(objects[BLOCK]));
}

static void
assert_invalid(const void *object)
{
	void *bad[] = {(void *)(uintptr_t)object};
	uint64_t before = layer.invalid, out = layer.out;

	assert_int_equal(mag_slab_free(&layer, bad, 1, NULL), 0);
	assert_int_equal(layer.invalid, before + 1);
	assert_int_equal(layer.out, out);
}

TEST(test_good_objects_of_a_bulk_with_bad_ones_are_freed_once, setup, teardown)
{
	void *some[5], *rest[COUNT];

	alloc(objects, 3);
	some[0] = some[1] = objects[0];
	some[2] = NULL;
	some[3] = objects[1];
	some[4] = objects[2];
	assert_int_equal(mag_slab_free(&layer, some, 5, NULL), 3);
	assert_int_equal(layer.invalid, 2);
	assert_int_equal(layer.out, 0);
	alloc(rest, COUNT);
	assert_distinct(&ground, rest, COUNT);
}

TEST(test_addresses_that_are_no_objects_that_are_out_are_detected, setup, teardown)
{
	struct mag_slab_object found;

	assert_invalid(ground_object(&ground, 0));
	alloc(objects, 1);
	assert_invalid(ground_object(&ground, objects[0] == ground_object(&ground, 0)));
	alloc(objects + 1, COUNT - 1);
	assert_invalid(NULL);
	assert_invalid(&layer);
	assert_invalid(ground.memory + 1);
	assert_invalid(ground.memory + SIZE - 1);
	assert_invalid(ground.memory + BLOCK * SIZE + 8);
	assert_invalid(ground.memory - SIZE);
	assert_invalid(ground.memory + COUNT * SIZE);
	assert_int_equal(layer.out, COUNT);
	/* Nor is one freed that has users. */
	assert_true(mag_slab_find(&layer, objects[0], &found));
	found.slab->bufctl[found.index].uses = 1;
	assert_invalid(objects[0]);
	found.slab->bufctl[found.index].uses = 0;
	give(objects[0]);
}

TEST(test_only_objects_that_are_out_are_found, setup, teardown)
{
	struct mag_slab_object found;

	assert_false(mag_slab_find(&layer, ground.memory, &found));
	alloc(objects, COUNT);
	for (unsigned int i = 0; i < COUNT; i++) {
		assert_true(mag_slab_find(&layer, objects[i], &found));
		assert_int_equal(found.slab->segment->base + found.index * SIZE,
				 (uintptr_t)objects[i]);
		assert_false(mag_slab_find(&layer, (char *)objects[i] + 1, &found));
	}
	give(objects[0]);
	assert_false(mag_slab_find(&layer, objects[0], &found));
}

TEST(test_slabs_that_straddle_granules_are_found_from_both_ends, setup, teardown)
{
	struct mag_region *region =
		make_region(REGION_PARAMS(.name = "odd", .object_size = SIZE, .block = BLOCK));
	struct mag_slab_object found;
	struct mag_slab_layer odd;
	void *address[BLOCK];

	for (unsigned int i = 0; i < BLOCK; i++)
		address[i] = (void *)(0x100000 - 3 * SIZE + i * (uintptr_t)SIZE);
	assert_int_equal(mag_region_adopt(region, address, BLOCK, -1), 0);
	assert_int_equal(mag_slab_init(&odd, region, 0, BLOCK, -1), 0);
	for (unsigned int turn = 0; turn < 3; turn++) {
		assert_int_equal(mag_slab_alloc(&odd, objects, BLOCK, NULL, NULL), BLOCK);
		for (unsigned int i = 0; i < BLOCK; i++) {
			assert_true(mag_slab_find(&odd, address[i], &found));
			assert_int_equal(found.index, i);
			assert_false(mag_slab_find(&odd, (char *)address[i] + 1, &found));
		}
		assert_int_equal(mag_slab_free(&odd, objects, BLOCK, NULL), BLOCK);
		for (unsigned int i = 0; i < BLOCK; i++)
			assert_false(mag_slab_find(&odd, address[i], &found));
		for (unsigned int i = 0; i < odd.table.size; i++)
			assert_null(odd.table.bucket[i]);
	}
	mag_slab_fini(&odd);
	drop_region(region);
}

TEST(test_blocks_are_contiguous_and_out_whole, setup, teardown)
{
	struct mag_slab_object found;

	assert_int_equal(mag_slab_alloc_blocks(&layer, objects, 3), 0);
	assert_lists(0, 3);
	assert_int_equal(layer.out, 3 * BLOCK);
	assert_int_equal(layer.allocs, 3 * BLOCK);
	assert_int_equal(mag_slab_available(&layer), BLOCK);
	for (unsigned int i = 0; i < 3 * BLOCK; i++)
		assert_true(mag_slab_find(&layer, (char *)objects[i / BLOCK] + i % BLOCK * SIZE,
					  &found));
	alloc(objects + 3, BLOCK);
	assert_int_equal(mag_slab_alloc(&layer, objects + 3 + BLOCK, 1, NULL, NULL), 0);
	/* They come back one by one. */
	for (unsigned int i = 0; i < BLOCK; i++)
		give((char *)objects[1] + i * SIZE);
	assert_int_equal(segments_free(), 1);
	assert_int_equal(mag_slab_alloc_blocks(&layer, objects, 1), 0);
}

TEST(test_blocks_are_had_all_or_none, setup, teardown)
{
	void *first[5];

	assert_int_equal(mag_slab_alloc_blocks(&layer, first, 5), -ENOBUFS);
	assert_int_equal(segments_free(), 4);
	assert_int_equal(layer.out, 0);
	alloc(objects, 1);
	assert_int_equal(mag_slab_alloc_blocks(&layer, first, 4), -ENOBUFS);
	assert_int_equal(segments_free(), 3);
	assert_int_equal(mag_slab_alloc_blocks(&layer, first, 3), 0);
	assert_int_equal(mag_slab_alloc_blocks(&layer, first, 1), -ENOBUFS);
	assert_int_equal(mag_slab_alloc_blocks(&layer, first, 0), 0);
}

TEST(test_a_tail_is_no_block, setup, teardown)
{
	static char memory[(BLOCK - 1) * SIZE];

	remake(2 * BLOCK - 1, BLOCK);
	for (unsigned int i = 0; i < BLOCK - 1; i++)
		objects[i] = memory + i * SIZE;
	assert_int_equal(mag_region_adopt(ground.region, objects, BLOCK - 1, -1), 0);
	/* Enough objects for two blocks, of which one is whole. */
	assert_int_equal(mag_slab_alloc_blocks(&layer, objects, 2), -ENOBUFS);
	assert_int_equal(layer.moving, 0);
	assert_int_equal(segments_free(), 3);
	assert_int_equal(mag_slab_available(&layer), 3 * BLOCK - 2);
	assert_int_equal(mag_slab_alloc_blocks(&layer, objects, 1), 0);
	assert_int_equal(layer.moving, 0);
}

TEST(test_the_table_grows_by_the_formula_beyond_a_factor_of_two, setup, teardown)
{
	static const struct {
		uint32_t size, slabs, want;
	} rows[] = {
		{64, 0, 0},          {64, 126, 0},       {64, 169, 0},       {64, 170, 256},
		{64, 339, 256},      {64, 340, 512},     {64, 5459, 4096},   {64, 5460, 8192},
		{64, 1000000, 8192}, {256, 510, 0},      {256, 681, 0},      {256, 682, 1024},
		{4096, 1000000, 0},  {8192, 1000000, 0}, {8192, 4095, 0},    {8192, 4094, 0},
		{8192, 2730, 0},     {8192, 2729, 2048}, {8192, 1363, 1024}, {8192, 0, 64},
		{256, 126, 0},       {256, 84, 0},       {256, 83, 64},      {256, 0, 64},
		{128, 0, 0},
	};
	uint32_t size = layer.table.size;

	for (unsigned int i = 0; i < RTE_DIM(rows); i++) {
		layer.table.size = rows[i].size;
		layer.slabs_partial = rows[i].slabs / 2;
		layer.slabs_full = rows[i].slabs - rows[i].slabs / 2;
		assert_int_equal(mag_slab_rescale_want(&layer), rows[i].want);
	}
	layer.table.size = size;
	layer.slabs_partial = layer.slabs_full = 0;
}

TEST(test_the_first_table_fits_the_objects_to_expect, setup, teardown)
{
	const struct {
		uint64_t objects;
		uint32_t size;
	} rows[] = {{0, 64},
		    {83 * BLOCK, 64},
		    {84 * BLOCK, 128},
		    {169 * BLOCK, 128},
		    {170 * BLOCK, 256},
		    {1ull << 40, 8192}};
	struct mag_slab_layer other;

	for (unsigned int i = 0; i < RTE_DIM(rows); i++) {
		/* The table, and nothing is lost without it. */
		assert_int_equal(attempts(mag_slab_init(&other, ground.region, 0, rows[i].objects,
							-1) == 0 ||
					  (mag_slab_fini(&other), false)),
				 2);
		assert_int_equal(other.table.size, rows[i].size);
		other.slabs_full = 0;
		assert_int_equal(mag_slab_rescale_want(&other), 0);
		mag_slab_fini(&other);
	}
}

TEST(test_objects_are_found_after_the_table_moved, setup, teardown)
{
	const uint32_t sizes[] = {1024, 64, 8192, 64};
	struct mag_slab_object found;

	alloc(objects, COUNT - BLOCK);
	give(objects[0]);
	for (unsigned int i = 0; i < RTE_DIM(sizes); i++) {
		mag_slab_rescale(&layer, sizes[i], -1);
		assert_int_equal(layer.table.size, sizes[i]);
		assert_int_equal(layer.rescales, i + 1);
		assert_false(mag_slab_find(&layer, objects[0], &found));
		for (unsigned int j = 1; j < COUNT - BLOCK; j++)
			assert_true(mag_slab_find(&layer, objects[j], &found));
	}
	assert_int_equal(mag_slab_free(&layer, objects + 1, COUNT - BLOCK - 1, NULL),
			 COUNT - BLOCK - 1);
}

TEST(test_a_table_that_cannot_be_had_changes_nothing, setup, teardown)
{
	uint64_t before = heap_balance();

	mag_fault_nth(1);
	mag_slab_rescale(&layer, 1024, -1);
	mag_fault_nth(0);
	assert_int_equal(layer.table.size, 64);
	assert_int_equal(layer.rescales, 0);
	assert_int_equal(heap_balance(), before);
	mag_slab_rescale(&layer, 1024, -1);
	mag_slab_rescale(&layer, 64, -1);
	assert_int_equal(heap_balance(), before);
}

TEST(test_a_reset_layer_has_forgotten_its_slabs, setup, teardown)
{
	struct mag_slab_object found;

	alloc(objects, BLOCK + 1);
	mag_slab_reset(&layer);
	mag_region_reset(ground.region);
	assert_lists(0, 0);
	assert_int_equal(layer.out, 0);
	assert_int_equal(layer.in_use, 0);
	assert_false(mag_slab_find(&layer, objects[0], &found));
	assert_int_equal(mag_slab_alloc(&layer, objects, 1, NULL, NULL), 0);
}

static void *full_slab_object;

static void
give_meanwhile(void)
{
	give(full_slab_object);
}

TEST(test_a_slab_that_is_made_goes_to_the_head_before_those_freed_meanwhile, setup, teardown)
{
	void *more[2];

	alloc(objects, BLOCK);
	full_slab_object = objects[3];
	meanwhile = give_meanwhile;
	alloc(more, 1);
	assert_null(meanwhile);
	assert_int_not_equal(slab_of(more[0]), slab_of(objects[0]));
	alloc(more + 1, 1);
	assert_int_equal(slab_of(more[1]), slab_of(more[0]));
	assert_lists(2, 0);
}

TEST(test_the_layer_is_not_locked_while_a_segment_goes_to_the_region, setup, teardown)
{
	alloc(objects, BLOCK + 1);
	full_slab_object = objects[BLOCK];
	assert_int_equal(mag_slab_free(&layer, objects, BLOCK - 1, NULL), BLOCK - 1);
	meanwhile = give_meanwhile;
	give(objects[BLOCK - 1]);
	assert_null(meanwhile);
	assert_int_equal(layer.out, 0);
	assert_lists(0, 0);
	assert_int_equal(segments_free(), 4);
}

static _Atomic unsigned int waiters;

static void
alloc_run(void *arg)
{
	*(unsigned int *)arg = mag_slab_alloc(&layer, (void *[1]){NULL}, 1, NULL, NULL);
	atomic_fetch_sub(&waiters, 1);
}

static void
free_run(void *arg)
{
	*(unsigned int *)arg = mag_slab_free(&layer, &full_slab_object, 1, NULL);
	atomic_fetch_sub(&waiters, 1);
}

static void
find_run(void *arg)
{
	struct mag_slab_object found;

	*(unsigned int *)arg = mag_slab_find(&layer, ground_object(&ground, 0), &found);
	atomic_fetch_sub(&waiters, 1);
}

TEST(test_who_finds_the_layer_locked_waits, setup, teardown)
{
	void (*const run[])(void *arg) = {alloc_run, free_run, find_run};
	unsigned int ret[] = {9, 9, 9};
	struct task task[3];

	alloc(objects, 2);
	full_slab_object = objects[1];
	atomic_store(&waiters, 3);
	mag_lock_wait(&layer.lock);
	for (unsigned int i = 0; i < RTE_DIM(task); i++)
		task_thread(&task[i], run[i], &ret[i]);
	let_pass(50);
	assert_int_equal(atomic_load(&waiters), 3);
	assert_int_equal(layer.out, 2);
	mag_lock_release(&layer.lock);
	for (unsigned int i = 0; i < RTE_DIM(task); i++) {
		task_join(&task[i]);
		assert_int_equal(ret[i], 1);
	}
	assert_int_equal(layer.out, 2);
}

SETUP(setup_cache)
{
	fixture_cache(2 * COUNT, CACHE_PARAMS(.name = "bare", .object_size = SIZE,
					      .flags = MAG_CACHE_NOMAGAZINES));
}

TEST(test_threads_never_get_the_same_object_while_the_table_moves, setup_cache, fixture_teardown)
{
	struct mag_slab_layer *its = &cache->first.slab;

	crowd_begin(2, 20);
	for (unsigned int i = 0; i < 100 || crowd_turns() < 4000; i++)
		mag_slab_rescale(its, i % 2 == 0 ? 256 : 64, -1);
	crowd_end();
	assert_int_equal(its->out + its->slabs_partial + its->slabs_full, 0);
	assert_int_equal(its->allocs, its->frees);
	assert_int_equal(its->created, its->destroyed);
	assert_int_equal(segments_free(), ground.region->segments);
}

TEST_PROGRAM(3)
