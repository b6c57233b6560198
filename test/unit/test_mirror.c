/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * mirror.c and mag_mirror.h: memory beside objects, and objects of two regions, found without a
 * lock. Addresses of objects are made up, but for those of caches.
 */

#include "eal.h"
#include "fixture.h"
#include "parts/mirror.h"
#include "sources/elastic_service.h"

#define GRANULE ((uintptr_t)1 << MAG_MIRROR_SHIFT)
#define BASE ((uintptr_t)0x100000000000)
#define LINE 64

static struct mag_mirror_owner owner;
static struct mag_mirror_pair pair;
static uint64_t balance;
static _Atomic bool stop;

SETUP(setup)
{
	balance = heap_balance();
}

TEARDOWN(teardown)
{
	mag_fault_nth(0);
	if (owner.find.table != NULL)
		mag_mirror_fini(&owner);
	mag_mirror_pair_fini(&pair);
	assert_int_equal(heap_balance(), balance);
}

static char *
mirror_of(uintptr_t object)
{
	return mag_mirror_of(&owner.find, (void *)object);
}

static int
compare(const void *left, const void *right)
{
	const uintptr_t *a = left, *b = right;

	return *a < *b ? -1 : *a > *b;
}

/*
 * Mirrors of count objects: zeroed, apart, with a way back, and none straddles a line that need
 * not.
 */
static void
check_mirrors(uintptr_t first, uint32_t count, size_t stride)
{
	uintptr_t *at = calloc(count, sizeof(*at));
	char zero[MAG_MIRROR_MAX] = {0};
	uint32_t bytes = owner.find.bytes;
	char *its;

	assert_non_null(at);
	for (uint32_t i = 0; i < count; i++) {
		its = mirror_of(first + i * stride);
		assert_non_null(its);
		assert_memory_equal(its, zero, bytes);
		assert_ptr_equal(mag_mirror_object(&owner.find, its), first + i * stride);
		assert_int_equal((uintptr_t)its % 8, 0);
		if (bytes <= LINE - 8)
			assert_int_equal((uintptr_t)its / LINE,
					 ((uintptr_t)its + bytes - 1) / LINE);
		else
			assert_int_equal((uintptr_t)its % LINE, 0);
		at[i] = (uintptr_t)its;
	}
	for (uint32_t i = 0; i < count; i++)
		memset((void *)at[i], i, bytes);
	for (uint32_t i = 0; i < count; i++) {
		assert_int_equal(*(unsigned char *)at[i], (unsigned char)i);
		assert_int_equal(((unsigned char *)at[i])[bytes - 1], (unsigned char)i);
		assert_ptr_equal(mag_mirror_object(&owner.find, (void *)at[i]), first + i * stride);
	}
	qsort(at, count, sizeof(*at), compare);
	for (uint32_t i = 1; i < count; i++)
		assert_true(at[i] >= at[i - 1] + bytes + sizeof(void *));
	free(at);
}

TEST(test_each_object_has_its_own, setup, teardown)
{
	static const uint32_t sizes[] = {1, 8, 9, 24, 56, 57, 64, 120, 1000, MAG_MIRROR_MAX};
	static const uint32_t strides[] = {8,    24,   64,    72,      192,           2176,
					   4096, 9024, 70001, 1 << 21, (1 << 21) + 8, 5000000};
	uint32_t count;
	uintptr_t first;

	for (unsigned int i = 0; i < RTE_DIM(sizes); i++)
		for (unsigned int j = 0; j < RTE_DIM(strides); j++) {
			/*
			 * Each granule has room for as many as can begin in it: leave out what is
			 * huge.
			 */
			if (GRANULE / strides[j] * sizes[i] > 6 * GRANULE)
				continue;
			first = BASE + random_below(GRANULE / 8) * 8;
			count = RTE_MAX(3 * GRANULE / strides[j] / (sizes[i] > 100 ? 50 : 4), 7u);
			assert_int_equal(mag_mirror_init(&owner, sizes[i], strides[j], 0, -1), 0);
			assert_int_equal(mag_mirror_add(&owner, first, count, strides[j], -1), 0);
			check_mirrors(first, count, strides[j]);
			mag_mirror_fini(&owner);
		}
}

/* Every offset at which an object can begin, against a division. */
TEST(test_the_reciprocal_divides_exactly, setup, teardown)
{
	uint32_t distance;

	for (unsigned int i = 0; i < 2000; i++) {
		distance = i < 400 ? i * 8 + 8 : 8 + random_below(GRANULE + 5000);
		owner.find.reciprocal = (UINT64_C(1) << 42) / distance + 1;
		for (uint32_t offset = 0; offset < GRANULE; offset += 1 + random_below(distance)) {
			uint32_t multiple = offset / distance * distance;

			assert_int_equal(offset * owner.find.reciprocal >> 42, offset / distance);
			assert_int_equal(multiple * owner.find.reciprocal >> 42, offset / distance);
			if (multiple > 0)
				assert_int_equal((multiple - 1) * owner.find.reciprocal >> 42,
						 offset / distance - 1);
		}
	}
	owner.find.table = NULL;
}

TEST(test_addresses_that_are_far_away_have_none, setup, teardown)
{
	uintptr_t at;

	assert_int_equal(mag_mirror_init(&owner, 16, 64, 0, -1), 0);
	assert_null(mirror_of(BASE));
	assert_null(mirror_of(0));
	assert_int_equal(mag_mirror_add(&owner, BASE, 10, 64, -1), 0);
	for (at = BASE + GRANULE; at < BASE + 1000 * GRANULE; at += GRANULE)
		assert_null(mirror_of(at));
	mag_mirror_remove(&owner, BASE, 10, 64);
	assert_null(mirror_of(BASE));
	/* Not in a table either that has had something at every place. */
	for (at = BASE; at < BASE + 64 * GRANULE; at += GRANULE) {
		assert_int_equal(mag_mirror_add(&owner, at, 10, 64, -1), 0);
		mag_mirror_remove(&owner, at, 10, 64);
	}
	assert_null(mirror_of(0));
	assert_null(mirror_of(4096));
	assert_null(mirror_of(GRANULE));
}

TEST(test_a_granule_stays_until_its_last_segment_goes, setup, teardown)
{
	char *its;

	assert_int_equal(mag_mirror_init(&owner, 16, 64, 0, -1), 0);
	assert_int_equal(mag_mirror_add(&owner, BASE, 10, 64, -1), 0);
	assert_int_equal(mag_mirror_add(&owner, BASE + GRANULE - 640, 20, 64, -1), 0);
	assert_int_equal(mag_mirror_add(&owner, BASE + 6400, 10, 64, -1), 0);
	its = mirror_of(BASE + 6400);
	its[3] = 77;
	mag_mirror_remove(&owner, BASE, 10, 64);
	mag_mirror_remove(&owner, BASE + GRANULE - 640, 20, 64);
	assert_ptr_equal(mirror_of(BASE + 6400), its);
	assert_int_equal(its[3], 77);
	assert_null(mirror_of(BASE + GRANULE));
	/* Who comes again finds zeroes, in the granule that stayed too. */
	mirror_of(BASE + 6400 + 9 * 64)[3] = 78;
	assert_int_equal(mag_mirror_add(&owner, BASE, 10, 64, -1), 0);
	mag_mirror_remove(&owner, BASE + 6400, 10, 64);
	assert_int_equal(mag_mirror_add(&owner, BASE + 6400, 10, 64, -1), 0);
	check_mirrors(BASE + 6400, 10, 64);
	mag_mirror_remove(&owner, BASE + 6400, 10, 64);
	mag_mirror_remove(&owner, BASE, 10, 64);
	assert_int_equal(mag_mirror_add(&owner, BASE, 1000, 64, -1), 0);
	check_mirrors(BASE, 1000, 64);
	mag_mirror_remove(&owner, BASE, 1000, 64);
	assert_int_equal(owner.memory, 0);
	assert_int_equal(owner.find.table->used, 0);
}

/* Granules come and go at random, beside an array that tells which are there. */
TEST(test_random_granules_are_found_while_they_are_there, setup, teardown)
{
	static unsigned int there[400];
	unsigned int i;
	uintptr_t at;

	memset(there, 0, sizeof(there));
	assert_int_equal(mag_mirror_init(&owner, 8, GRANULE, 0, -1), 0);
	for (unsigned int turn = 0; turn < 20000; turn++) {
		/* Up to all of them, then down again. */
		i = random_below(RTE_DIM(there));
		at = BASE + i * 37 * GRANULE;
		if (random_below(20000) > turn) {
			assert_int_equal(mag_mirror_add(&owner, at, 1, 0, -1), 0);
			there[i]++;
		} else if (there[i] > 0) {
			mag_mirror_remove(&owner, at, 1, 0);
			there[i]--;
		}
		if (turn % 100 == 0)
			for (i = 0; i < RTE_DIM(there); i++) {
				at = BASE + i * 37 * GRANULE;
				assert_int_equal(mirror_of(at) != NULL, there[i] > 0);
				if (there[i] > 0)
					assert_ptr_equal(
						mag_mirror_object(&owner.find, mirror_of(at)), at);
			}
	}
	for (i = 0; i < RTE_DIM(there); i++)
		for (; there[i] > 0; there[i]--)
			mag_mirror_remove(&owner, BASE + i * 37 * GRANULE, 1, 0);
	assert_int_equal(owner.memory, 0);
	assert_int_equal(owner.find.table->used, 0);
}

static void
look_run(void *arg)
{
	unsigned int *lost = arg;

	while (!stop)
		for (unsigned int i = 0; i < 8; i++) {
			uintptr_t at = BASE + i * GRANULE;

			*lost += mirror_of(at) == NULL ||
				 (uintptr_t)mag_mirror_object(&owner.find, mirror_of(at)) != at;
		}
}

TEST(test_readers_do_not_notice_what_comes_and_goes, setup, teardown)
{
	struct task task = {0};
	unsigned int lost = 0;

	assert_int_equal(mag_mirror_init(&owner, 8, GRANULE, 0, -1), 0);
	for (unsigned int i = 0; i < 8; i++)
		assert_int_equal(mag_mirror_add(&owner, BASE + i * GRANULE, 1, 0, -1), 0);
	stop = false;
	task_thread(&task, look_run, &lost);
	for (unsigned int turn = 0; turn < 300; turn++) {
		for (unsigned int i = 8; i < 8 + turn; i++)
			assert_int_equal(mag_mirror_add(&owner, BASE + i * GRANULE, 1, 0, -1), 0);
		for (unsigned int i = 8; i < 8 + turn; i++)
			mag_mirror_remove(&owner, BASE + i * GRANULE, 1, 0);
	}
	stop = true;
	task_join(&task);
	assert_int_equal(lost, 0);
}

TEST(test_every_allocation_that_fails_leaks_nothing, setup, teardown)
{
	uint64_t before;
	unsigned int nth;

	mag_fault_nth(1);
	assert_int_equal(mag_mirror_init(&owner, 8, 64, 0, -1), -ENOMEM);
	mag_fault_nth(0);
	assert_int_equal(mag_mirror_init(&owner, 8, GRANULE, 0, -1), 0);
	/* Half full: the next one needs a larger table as well. */
	for (unsigned int i = 0; i < 7; i++)
		assert_int_equal(mag_mirror_add(&owner, BASE + i * GRANULE, 1, 0, -1), 0);
	before = heap_balance();
	for (nth = 1; nth < 10; nth++) {
		mag_fault_nth(nth);
		if (mag_mirror_add(&owner, BASE + 10 * GRANULE, 3, GRANULE, -1) == 0)
			break;
		mag_fault_nth(0);
		assert_null(mirror_of(BASE + 10 * GRANULE));
		if (owner.find.table->older == NULL)
			assert_int_equal(heap_balance(), before);
	}
	mag_fault_nth(0);
	/* Three mirrors; the table was had by an attempt that then failed. */
	assert_int_equal(nth, 4);
	assert_non_null(owner.find.table->older);
	for (unsigned int i = 0; i < 7; i++)
		assert_non_null(mirror_of(BASE + i * GRANULE));
}

/* Pairs of segments of two regions */

#define PAIRS 40

/* Both segments of each pair, wherever they lie; base 0: it is not there. */
static struct {
	uintptr_t object;
	uintptr_t its;
} pairs[PAIRS];

static void
pairs_make(uint32_t block, const struct mag_mirror_side *object, const struct mag_mirror_side *its)
{
	pair = (struct mag_mirror_pair){.side = {*object, *its}, .block = block};
	assert_int_equal(mag_mirror_pair_init(&pair, its->stride, PAIRS, -1), 0);
	memset(pairs, 0, sizeof(pairs));
}

/* Each object of each pair, either way. */
static void
check_pairs(void)
{
	uint32_t step = RTE_MAX(pair.block / 97, 1u);
	uintptr_t object, its;

	for (uint32_t i = 0; i < PAIRS; i++)
		for (uint32_t j = 0; pairs[i].object != 0 && j < pair.block;
		     j +=
		     j + step < pair.block || j == pair.block - 1 ? step : pair.block - 1 - j) {
			object = pairs[i].object + (uintptr_t)j * pair.side[0].stride;
			its = pairs[i].its + (uintptr_t)j * pair.side[1].stride;
			assert_ptr_equal(mag_mirror_of(&pair.find, (void *)object), its);
			assert_ptr_equal(mag_mirror_object(&pair.find, (void *)its), object);
		}
}

/* The segments that follow each other as closely as they may, in another order on either side. */
static uintptr_t
place_in(const struct mag_mirror_side *side, unsigned int i, uintptr_t skew)
{
	return BASE + skew + i * RTE_ALIGN_CEIL(side->apart, 8u);
}

static void
pairs_come_and_go(uintptr_t skew, uintptr_t its_skew)
{
	unsigned int i;

	for (unsigned int turn = 0; turn < 6 * PAIRS; turn++) {
		i = random_below(PAIRS);
		if (pairs[i].object != 0) {
			mag_mirror_pair_remove(&pair, pairs[i].object, pairs[i].its);
			pairs[i].object = 0;
		} else {
			pairs[i].object = place_in(&pair.side[0], i, skew);
			pairs[i].its = place_in(&pair.side[1], PAIRS - i, its_skew);
			mag_mirror_pair_add(&pair, pairs[i].object, pairs[i].its);
		}
		if (turn % 8 == 0)
			check_pairs();
	}
	check_pairs();
}

TEST(test_the_objects_of_two_segments_lead_to_each_other, setup, teardown)
{
	static const uint32_t strides[] = {8,    24,   64,    192,     2176,
					   4096, 9024, 70001, 1 << 21, 5000000};
	static const uint32_t blocks[] = {1, 2, 7, 100, 4000};
	struct mag_mirror_side side[2];

	for (unsigned int i = 0; i < RTE_DIM(blocks); i++)
		for (unsigned int j = 0; j < RTE_DIM(strides); j++)
			for (unsigned int k = 0; k < RTE_DIM(strides); k++) {
				if ((uint64_t)blocks[i] * RTE_MAX(strides[j], strides[k]) >
				    64 * GRANULE)
					continue;
				side[0].stride = strides[j];
				side[1].stride = strides[k];
				side[0].apart = (uint64_t)blocks[i] * strides[j] + 72;
				side[1].apart =
					(uint64_t)blocks[i] * strides[k] + random_below(5000);
				pairs_make(blocks[i], &side[0], &side[1]);
				pairs_come_and_go(random_below(GRANULE / 8) * 8,
						  random_below(GRANULE / 8) * 8);
				mag_mirror_pair_fini(&pair);
			}
}

/* Each segment has objects in as many granules, of 8 KiB, as it can, and shares none. */
TEST(test_a_table_has_room_for_all_segments, setup, teardown)
{
	const struct mag_mirror_side side = {.stride = 64, .apart = (3 << 12) - 64};
	unsigned int used = 0;

	pairs_make((3 << 12) / 64 - 1, &side, &side);
	for (unsigned int i = 0; i < PAIRS; i++) {
		pairs[i].object = BASE + (5 * i << 13) + (1 << 13) - 64;
		pairs[i].its = BASE + GRANULE * (i + 1);
		mag_mirror_pair_add(&pair, pairs[i].object, pairs[i].its);
	}
	check_pairs();
	for (uint64_t place = 0; place <= pair.find.there.pieces->mask; place++)
		used += pair.find.there.pieces->piece[place].granule != 0;
	assert_int_equal(used, 3 * PAIRS);
	assert_true(used * 2 <= pair.find.there.pieces->mask + 1);
	for (unsigned int i = 0; i < PAIRS; i++)
		mag_mirror_pair_remove(&pair, pairs[i].object, pairs[i].its);
	for (uint64_t place = 0; place <= pair.find.there.pieces->mask; place++)
		assert_int_equal(pair.find.there.pieces->piece[place].granule, 0);
	assert_null(mag_mirror_of(&pair.find, (void *)BASE));
	assert_null(mag_mirror_object(&pair.find, (void *)BASE));
}

static void
pair_look_run(void *arg)
{
	unsigned int *lost = arg;
	uintptr_t object, its;

	while (!stop)
		for (unsigned int i = 1; i < PAIRS; i += 2) {
			object = pairs[i].object + (pair.block - 1) * pair.side[0].stride;
			its = pairs[i].its + (pair.block - 1) * pair.side[1].stride;
			*lost += mag_mirror_of(&pair.find, (void *)object) != (void *)its;
			*lost += mag_mirror_object(&pair.find, (void *)pairs[i].its) !=
				 (void *)pairs[i].object;
		}
}

TEST(test_readers_do_not_notice_the_neighbours_in_a_granule, setup, teardown)
{
	const struct mag_mirror_side object = {.stride = 72, .apart = 10 * 72 + 8};
	const struct mag_mirror_side its = {.stride = 200, .apart = 10 * 200};
	struct task task = {0};
	unsigned int lost = 0;

	pairs_make(10, &object, &its);
	for (unsigned int i = 0; i < PAIRS; i++) {
		pairs[i].object = place_in(&object, i, 24);
		pairs[i].its = place_in(&its, PAIRS - i, 40);
		if (i % 2 == 1)
			mag_mirror_pair_add(&pair, pairs[i].object, pairs[i].its);
	}
	stop = false;
	task_thread(&task, pair_look_run, &lost);
	for (unsigned int turn = 0; turn < 2000; turn++) {
		for (unsigned int i = 0; i < PAIRS; i += 2)
			mag_mirror_pair_add(&pair, pairs[i].object, pairs[i].its);
		for (unsigned int i = 0; i < PAIRS; i += 2)
			mag_mirror_pair_remove(&pair, pairs[i].object, pairs[i].its);
	}
	stop = true;
	task_join(&task);
	assert_int_equal(lost, 0);
}

#define SIZE 192

/* Mirror regions */

static struct mag_region *first, *second;

/* The first region, with block objects a segment. */
#define FIRST(count, of_block, of_mode, ...)                                                       \
	REGION_PARAMS(.name = "first", .object_size = SIZE, .objects = count, .block = of_block,   \
		      .mode = MAG_REGION_NOMAGAZINES | (of_mode), ##__VA_ARGS__)
#define SECOND(size_, of_mode, ...)                                                                \
	REGION_PARAMS(.name = "second", .object_size = size_, .mode = of_mode, ##__VA_ARGS__)

static void
regions_make(struct mag_region_params its, struct mag_region_params params)
{
	first = make_region(its);
	second = mag_region_mirror_create(first, &params);
	assert_non_null(second);
}

static void
regions_drop(void)
{
	drop_region(first);
	drop_region(second);
	first = second = NULL;
}

static void
assert_alike(uint32_t segments)
{
	struct mag_region_stats one = region_stats(first), two = region_stats(second);

	assert_int_equal(one.segments, segments);
	assert_int_equal(two.segments, segments);
	assert_int_equal(one.segments_max, two.segments_max);
	assert_int_equal(one.segment_objects, two.segment_objects);
	assert_int_equal(one.objects, two.objects);
	assert_int_equal(one.objects_free, two.objects_free);
	assert_int_equal(one.segments_free, two.segments_free);
	assert_int_equal(one.allocations, two.allocations);
	assert_int_equal(two.memory, segments * two.segment_bytes);
	assert_int_equal(two.grown - two.trimmed, segments);
	assert_int_equal(one.mirrors, two.memory);
}

static int
note_mirror(const struct mag_object_info *object, const struct mag_object_info *mirror, void *arg,
	    unsigned int flags __rte_unused)
{
	unsigned int *seen = arg;

	assert_non_null(mirror);
	assert_null(mirror->bufctl);
	assert_int_equal(mirror->region_index, object->region_index);
	assert_int_equal(mirror->segment_object, object->segment_object);
	memcpy(mirror->address, &object->region_index, sizeof(object->region_index));
	(*seen)++;
	return 0;
}

static void
use_all(struct mag_region *of, uint64_t n, uint32_t size, uint32_t align)
{
	const struct mag_mirror *find = mag_region_mirror(of);
	void **objects = calloc(n, sizeof(*objects));
	struct mag_object_info info, mirror;
	unsigned char *its, zero[8] = {0};
	unsigned int seen = 0;

	cache = make_cache(CACHE_PARAMS(.name = "mirrored", .object_size = SIZE, .region = of,
					.constructor = note_mirror, .arg = &seen,
					.flags = MAG_CACHE_NOMAGAZINES));
	for (uint64_t i = 0; i < n; i++) {
		objects[i] = mag_cache_alloc_wait(cache, 1000000);
		assert_non_null(objects[i]);
		memset(objects[i], 0xee, SIZE);
		its = mag_mirror_of(find, objects[i]);
		assert_int_equal((uintptr_t)its % align, 0);
		assert_int_equal(mag_cache_object_info(cache, objects[i], &info, &mirror), 0);
		assert_int_equal(memcmp(its, &info.region_index, 8), 0);
		assert_true(size < 16 || memcmp(its + size - 8, zero, 8) == 0);
		assert_true(size < 10000 || memcmp(its + 5000, zero, 8) == 0);
		assert_ptr_equal(mirror.address, its);
		assert_int_equal(mirror.size, size);
		assert_int_equal(mirror.region_index, info.region_index);
		memset(its, (int)i, size);
	}
	assert_int_equal(seen, n);
	for (uint64_t i = 0; i < n; i++) {
		its = mag_mirror_of(find, objects[i]);
		assert_int_equal(its[0], (unsigned char)i);
		assert_int_equal(its[size - 1], (unsigned char)i);
		assert_ptr_equal(mag_mirror_object(find, its), objects[i]);
		assert_int_equal(*(unsigned char *)objects[i], 0xee);
	}
	free_bulk(objects, n);
	/* A mirror is no less there when its object is free. */
	assert_int_equal(*(unsigned char *)mag_mirror_of(find, objects[n - 1]),
			 (unsigned char)(n - 1));
	drop_cache(cache);
	free(objects);
}

TEST(test_caches_of_elastic_and_adopted_regions_have_mirrors, setup, teardown)
{
	struct mag_region_params params = REGION_PARAMS(.name = "mirrored", .object_size = SIZE,
							.mirror = 40, .objects = 1000);
	static char memory[64][SIZE];
	void *address[RTE_DIM(memory)];
	struct mag_region *region = make_region(params);

	use_all(region, RTE_DIM(memory), 40, 8);
	assert_true(region_stats(region).mirrors > 0);
	region_trimmed(region, 0);
	assert_int_equal(region_stats(region).mirrors, 0);
	drop_region(region);

	params.objects = 0;
	region = make_region(params);
	for (unsigned int i = 0; i < RTE_DIM(memory); i++)
		address[i] = memory[i];
	assert_int_equal(mag_region_adopt(region, address, RTE_DIM(memory), -1), 0);
	use_all(region, RTE_DIM(memory), 40, 8);
	drop_region(region);
}

TEST(test_a_mirror_region_has_any_size_and_mode_of_its_own, setup, teardown)
{
	static const struct {
		uint32_t mode; /* of the first */
		uint32_t block;
		uint32_t size, stride, align, its_mode;
	} cases[] = {
		{0, 50, 64, 0, 0, 0},
		{0, 50, 8, 0, 0, 0},
		{0, 1, 24, 0, 0, 0},
		{0, 50, 5000, 0, 0, MAG_REGION_READONLY},
		{0, 50, 100, 200, 64, MAG_REGION_READONLY},
		{0, 50, 4096, 0, 4096, MAG_REGION_REDZONE},
		{0, 7, 100000, 0, 0, MAG_REGION_MIRRORED},
		{0, 0, 72, 0, 8, 0},
		{MAG_REGION_REDZONE, 50, 64, 0, 0, 0},
		{MAG_REGION_READONLY, 50, 64, 0, 65536, 0},
		{MAG_REGION_PERSISTENT, 50, 64, 0, 0, MAG_REGION_REDZONE},
		{MAG_REGION_MONOLITHIC, 0, 3000, 0, 0, MAG_REGION_REDZONE},
		{MAG_REGION_AUDIT, 50, 64, 0, 0, 0},
	};
	uint64_t before = heap_balance();

	for (unsigned int i = 0; i < RTE_DIM(cases); i++) {
		uint32_t align = RTE_MAX(cases[i].align, 8u);

		regions_make(FIRST(600, cases[i].block, cases[i].mode),
			     SECOND(cases[i].size, cases[i].its_mode, .stride = cases[i].stride,
				    .align = cases[i].align));
		assert_int_equal(region_stats(second).mode,
				 cases[i].its_mode | MAG_REGION_MIRRORED);
		assert_true(region_stats(second).id != region_stats(first).id);
		use_all(first, region_stats(first).objects_max,
			RTE_ALIGN_CEIL(cases[i].size, align), align);
		assert_alike(region_stats(first).segments_max);
		regions_drop();
		assert_int_equal(heap_balance(), before);
	}
}

TEST(test_segments_and_their_mirrors_come_and_go_together, setup, teardown)
{
	const struct mag_mirror *find;
	struct mag_segment *segment;
	char *mirror;

	regions_make(FIRST(500, 50, 0, .reserve = 3), SECOND(4000, 0));
	find = mag_region_mirror(first);
	assert_alike(3);
	for (unsigned int turn = 0; turn < 20; turn++) {
		assert_int_equal(region_grown(first, 7), 7);
		assert_alike(10);
		TAILQ_FOREACH(segment, &first->part[0].whole, link) {
			assert_int_equal(segment->second->index, segment->index);
			mirror = mag_mirror_of(find, (void *)segment->base);
			assert_ptr_equal(mirror, segment->second->base);
			assert_int_equal(mirror[0], 0);
			assert_int_equal(mirror[49 * 4000 + 3999], 0);
			memset(mirror, 0x5a, 50 * 4000);
		}
		segment = TAILQ_FIRST(&first->part[0].whole);
		mirror = (char *)segment->base;
		assert_int_equal(region_trimmed(first, 3), 7);
		assert_alike(3);
		/* Those that stay are as they were. */
		assert_int_equal(*(char *)mag_mirror_of(find, mirror), 0x5a);
		assert_int_equal(region_trimmed(first, 0), 3);
		assert_alike(0);
		assert_null(mag_mirror_of(find, mirror));
		assert_int_equal(region_grown(first, 3), 3);
	}
	regions_drop();
}

TEST(test_a_segment_without_its_mirror_does_not_come, setup, teardown)
{
	unsigned int nth;

	/* Of more than a granule: each has records of its own. */
	regions_make(FIRST(60000, 12000, MAG_REGION_AUDIT), SECOND(8, 0));
	mag_fault_nth(1);
	assert_refused(mag_region_grow(first, 1, NULL), ENOMEM, "no memory");
	nth = attempts(region_grown(first, 1) == 1 || (assert_alike(1), false));
	/* The segment, its records, its mirror. */
	assert_true(nth > 3);
	assert_int_equal(region_stats(first).grow_fails, nth);
	assert_int_equal(region_stats(second).grow_fails, 1);
	assert_int_equal(region_grown(first, 3), 3);
	assert_alike(5);
	regions_drop();
}

static bool
second_works(void)
{
	struct mag_region_params params = SECOND(4000, 0);

	second = mag_region_mirror_create(first, &params);
	if (second != NULL)
		return true;
	assert_int_equal(rte_errno, ENOMEM);
	mag_fault_nth(0);
	assert_null(mag_region_mirror(first));
	assert_int_equal(region_grown(first, 1), 1);
	assert_int_equal(region_trimmed(first, 3), 1);
	return false;
}

TEST(test_a_mirror_region_that_cannot_be_leaves_the_first_as_it_was, setup, teardown)
{
	struct mag_region_params params = SECOND(4000, 0);

	first = make_region(FIRST(500, 50, 0, .reserve = 3));
	mag_fault_nth(1);
	assert_refused_null(mag_region_mirror_create(first, &params), ENOMEM, "");
	/* The region, its records, those of the pairs and either way, three segments. */
	assert_int_equal(attempts(second_works()), 9);
	assert_alike(3);
	regions_drop();
}

TEST(test_what_stays_keeps_what_goes_with_it, setup, teardown)
{
	regions_make(FIRST(500, 50, 0), SECOND(4000, MAG_REGION_PERSISTENT));
	assert_int_equal(region_grown(first, 5), 5);
	assert_int_equal(region_trimmed(first, 0), 0);
	mag_elastic_trim_all();
	mag_elastic_service(0);
	assert_alike(6);
	assert_int_equal(region_stats(first).wired, region_stats(first).memory);
	assert_int_equal(region_stats(second).wired, region_stats(second).memory);
	regions_drop();
	regions_make(FIRST(500, 50, MAG_REGION_PERSISTENT), SECOND(4000, 0));
	assert_int_equal(region_stats(second).wired, region_stats(second).memory);
	regions_drop();
}

TEST(test_maintenance_gives_back_both, setup, teardown)
{
	regions_make(FIRST(500, 50, 0), SECOND(4000, 0));
	assert_int_equal(region_grown(first, 5), 5);
	mag_elastic_trim_all();
	assert_alike(1);
	assert_int_equal(region_grown(first, 5), 5);
	mag_elastic_service(0);
	mag_elastic_service(0);
	assert_alike(1);
	regions_drop();
}

static void
assert_no_mirror(struct mag_region *of, struct mag_region_params params, int error,
		 const char *text)
{
	assert_refused_null(mag_region_mirror_create(of, &params), error, text);
}

TEST(test_parameters_of_a_mirror_region_that_cannot_be, setup, teardown)
{
	static const char *const its_firsts = "must be 0: they are its first region's";
	static const char *const all_else = "all else is its first region's";
	const struct {
		size_t offset; /* of 32 bits, which get the value */
		uint32_t value;
		int error;
		const char *text;
	} cases[] = {
#define CASE(field, value, error, text)                                                            \
	{offsetof(struct mag_region_params, field), value, error, text}
		CASE(object_size, 0, EINVAL, "an object size above 0"),
		CASE(object_size, UINT32_MAX, EINVAL, "too much"),
		CASE(stride, 8, EINVAL, "a stride of at least"),
		CASE(align, 48, EINVAL, "a power of two"),
		CASE(node, 77, EINVAL, "node 77"),
		CASE(objects, 10, EINVAL, its_firsts),
		CASE(block, 10, EINVAL, its_firsts),
		CASE(segment_size, 65536, EINVAL, its_firsts),
		CASE(reserve, 2, EINVAL, its_firsts),
		CASE(mirror, 8, EINVAL, its_firsts),
		CASE(mode, MAG_REGION_MONOLITHIC, EINVAL, all_else),
		CASE(mode, MAG_REGION_NOMAGAZINES, EINVAL, all_else),
		CASE(mode, MAG_REGION_SHAREOK, EINVAL, all_else),
		CASE(mode, MAG_REGION_AUDIT, EINVAL, all_else),
		CASE(mode, 0x10000, EINVAL, all_else),
		CASE(mode, MAG_REGION_MEMTAG, ENOTSUP, "no region with memory tags"),
		CASE(mode, MAG_REGION_PHYSCONTIG, ENOTSUP, "PHYSCONTIG needs hugepages"),
		CASE(mode, MAG_REGION_PHYSCONTIG | MAG_REGION_REDZONE, ENOTSUP, "ordinary pages"),
#undef CASE
	};
	struct mag_region_params params;

	first = make_region(FIRST(500, 50, 0));
	for (unsigned int i = 0; i < RTE_DIM(cases); i++) {
		params = SECOND(4000, 0);
		memcpy((char *)&params + cases[i].offset, &cases[i].value, sizeof(uint32_t));
		assert_no_mirror(first, params, cases[i].error, cases[i].text);
	}
	params = SECOND(4000, 0);
	params.name = "";
	assert_no_mirror(first, params, EINVAL, "a name of 1 to 63");
	assert_null(mag_region_mirror(first));
	drop_region(first);
}

TEST(test_regions_that_have_no_mirror_region, setup, teardown)
{
	struct mag_region_params its = FIRST(500, 50, MAG_REGION_MIRRORED);
	struct mag_region_params params = SECOND(4000, 0);

	ground = ground_make(4, 64, 4, 0);
	assert_no_mirror(NULL, params, EINVAL, "needs a first region");
	assert_no_mirror(ground.region, params, ENOTSUP, "adopted memory");
	assert_null(mag_region_mirror(ground.region));
	ground_drop(&ground);
	first = make_region(FIRST(500, 50, 0, .mirror = 8));
	assert_no_mirror(first, params, EEXIST, "has mirrors");
	drop_region(first);
	first = make_region(FIRST(500, 50, 0));
	cache = make_cache(CACHE_PARAMS(.name = "cache", .object_size = SIZE, .region = first,
					.flags = MAG_CACHE_NOMAGAZINES));
	assert_no_mirror(first, params, EBUSY, "a cache uses");
	drop_cache(cache);
	second = mag_region_mirror_create(first, &params);
	assert_non_null(second);
	assert_no_mirror(first, params, EEXIST, "has mirrors");
	assert_no_mirror(second, params, EINVAL, "a mirror has no mirror");
	regions_drop();
	assert_refused_null(mag_region_create(&its), EINVAL,
			    "MIRRORED: mag_region_mirror_create()");
	its.mode = 0;
	its.mirror = MAG_MIRROR_MAX + 1;
	assert_refused_null(mag_region_create(&its), EINVAL, "mirror of at most 4096 bytes");
}

TEST(test_a_mirror_region_is_only_that, setup, teardown)
{
	struct mag_cache_params of_cache = CACHE_PARAMS(.name = "cache", .object_size = 64);
	static char memory[64];

	regions_make(FIRST(500, 50, 0), SECOND(4000, 0));
	of_cache.region = second;
	assert_refused_null(mag_cache_create(&of_cache), EINVAL,
			    "a mirror cannot be a cache's own region");
	assert_refused(mag_region_grow(second, 1, NULL), EINVAL, "grows with its first region");
	assert_int_equal(region_trimmed(second, 0), 0);
	assert_alike(1);
	assert_refused(mag_region_adopt(second, (void *[]){memory}, 1, -1), EINVAL, "");
	assert_refused(mag_region_destroy(second), EBUSY,
		       "is the mirror of \"first\": destroy that first");
	assert_alike(1);
	drop_region(first);
	assert_int_equal(region_stats(second).memory, 0);
	drop_region(second);
}

static void
work_run(void *arg __rte_unused)
{
	const struct mag_mirror *find = mag_region_mirror(first);
	void *objects[40], *its;
	unsigned int n;

	while (!stop) {
		n = mag_cache_alloc_burst(cache, objects, RTE_DIM(objects));
		for (unsigned int i = 0; i < n; i++) {
			its = mag_mirror_of(find, objects[i]);
			memcpy(its, &objects[i], sizeof(its));
			assert_ptr_equal(mag_mirror_object(find, its), objects[i]);
		}
		for (unsigned int i = 0; i < n; i++)
			assert_ptr_equal(*(void **)mag_mirror_of(find, objects[i]), objects[i]);
		free_bulk(objects, n);
	}
}

TEST(test_nobody_notices_that_segments_and_mirrors_come_and_go, setup, teardown)
{
	struct task task[2];

	regions_make(FIRST(500, 5, 0), SECOND(200, 0));
	cache = make_cache(CACHE_PARAMS(.name = "cache", .object_size = SIZE, .region = first,
					.flags = MAG_CACHE_NOMAGAZINES));
	stop = false;
	for (unsigned int i = 0; i < 2; i++)
		task_thread(&task[i], work_run, NULL);
	for (unsigned int turn = 0; turn < 500; turn++) {
		log_begin();
		region_grown(first, 30);
		log_end();
		region_trimmed(first, turn % 20);
	}
	stop = true;
	for (unsigned int i = 0; i < 2; i++)
		task_join(&task[i]);
	assert_alike(region_stats(first).segments);
	drop_cache(cache);
	regions_drop();
}

TEST(test_mirrored_objects_lie_a_stride_apart, setup, teardown)
{
	struct mag_region *region = make_region(
		REGION_PARAMS(.name = "close", .object_size = 64, .stride = 128, .mirror = 8));
	static char memory[256];
	void *close[2] = {memory, memory + 127};
	char expected[64];

	snprintf(expected, sizeof(expected), "\"close\": object 1 at %p", close[1]);
	assert_refused(mag_region_adopt(region, close, 2, -1), EINVAL, expected);
	assert_refused(mag_region_adopt(region, close, 2, -1), EINVAL,
		       "at least the stride of 128 bytes");
	assert_int_equal(region_stats(region).objects, 0);
	assert_int_equal(region_stats(region).mirrors, 0);
	close[1] = memory + 128;
	/* The records, the mirrors. */
	assert_int_equal(attempts(mag_region_adopt(region, close, 2, -1) == 0 ||
				  (assert_int_equal(region->objects, 0), false)),
			 3);
	drop_region(region);
}

TEST_PROGRAM(2)
