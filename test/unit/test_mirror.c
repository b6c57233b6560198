/* SPDX-License-Identifier: BSD-3-Clause */

/* mirror.c and mag_mirror.h: memory beside objects, found without a lock. Addresses of objects are made up. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>

#include "cache.h"
#include "eal.h"
#include "ground.h"
#include "mirror.h"
#include "numa.h"

#define GRANULE ((uintptr_t)1 << MAG_MIRROR_SHIFT)
#define BASE ((uintptr_t)0x100000000000)
#define LINE 64

static struct mag_mirror_owner owner;
static uint64_t balance;

static int
setup(void **state __rte_unused)
{
	balance = heap_balance();
	return 0;
}

static int
teardown(void **state __rte_unused)
{
	mag_fault_nth(0);
	if (owner.find.table != NULL)
		mag_mirror_fini(&owner);
	assert_int_equal(heap_balance(), balance);
	return 0;
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

/* Mirrors of count objects: zeroed, apart, with a way back, and none straddles a line that need not. */
static void
check_mirrors(uintptr_t first, uint32_t count, size_t stride)
{
	uintptr_t *at = calloc(count, sizeof(*at));
	char zero[MAG_MIRROR_MAX] = {0};
	uint32_t i, bytes = owner.find.bytes;
	char *its;

	assert_non_null(at);
	for (i = 0; i < count; i++) {
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
	for (i = 0; i < count; i++)
		memset((void *)at[i], i, bytes);
	for (i = 0; i < count; i++) {
		assert_int_equal(*(unsigned char *)at[i], (unsigned char)i);
		assert_int_equal(((unsigned char *)at[i])[bytes - 1], (unsigned char)i);
		assert_ptr_equal(mag_mirror_object(&owner.find, (void *)at[i]), first + i * stride);
	}
	qsort(at, count, sizeof(*at), compare);
	for (i = 1; i < count; i++)
		assert_true(at[i] >= at[i - 1] + bytes + sizeof(void *));
	free(at);
}

static void
test_each_object_has_its_own(void **state __rte_unused)
{
	static const uint32_t sizes[] = {1, 8, 9, 24, 56, 57, 64, 120, 1000, MAG_MIRROR_MAX};
	static const uint32_t strides[] = {8,    24,   64,    72,      192,           2176,
					   4096, 9024, 70001, 1 << 21, (1 << 21) + 8, 5000000};
	unsigned int i, j;
	uint32_t count;
	uintptr_t first;

	for (i = 0; i < RTE_DIM(sizes); i++)
		for (j = 0; j < RTE_DIM(strides); j++) {
			/* Each granule has room for as many as can begin in it: leave out what is huge. */
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
static void
test_the_reciprocal_divides_exactly(void **state __rte_unused)
{
	uint32_t distance, offset;
	unsigned int i;

	for (i = 0; i < 2000; i++) {
		distance = i < 400 ? i * 8 + 8 : 8 + random_below(GRANULE + 5000);
		owner.find.reciprocal = (UINT64_C(1) << 42) / distance + 1;
		for (offset = 0; offset < GRANULE; offset += 1 + random_below(distance)) {
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

static void
test_addresses_that_are_far_away_have_none(void **state __rte_unused)
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

static void
test_a_granule_stays_until_its_last_segment_goes(void **state __rte_unused)
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
static void
test_random_granules_are_found_while_they_are_there(void **state __rte_unused)
{
	static unsigned int there[400];
	unsigned int turn, i;
	uintptr_t at;

	memset(there, 0, sizeof(there));
	assert_int_equal(mag_mirror_init(&owner, 8, GRANULE, 0, -1), 0);
	for (turn = 0; turn < 20000; turn++) {
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

static _Atomic bool stop;

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

static void
test_readers_do_not_notice_what_comes_and_goes(void **state __rte_unused)
{
	struct task task = {0};
	unsigned int lost = 0, turn, i;

	assert_int_equal(mag_mirror_init(&owner, 8, GRANULE, 0, -1), 0);
	for (i = 0; i < 8; i++)
		assert_int_equal(mag_mirror_add(&owner, BASE + i * GRANULE, 1, 0, -1), 0);
	stop = false;
	task_thread(&task, look_run, &lost);
	for (turn = 0; turn < 300; turn++) {
		for (i = 8; i < 8 + turn; i++)
			assert_int_equal(mag_mirror_add(&owner, BASE + i * GRANULE, 1, 0, -1), 0);
		for (i = 8; i < 8 + turn; i++)
			mag_mirror_remove(&owner, BASE + i * GRANULE, 1, 0);
	}
	stop = true;
	task_join(&task);
	assert_int_equal(lost, 0);
}

static void
test_every_allocation_that_fails_leaks_nothing(void **state __rte_unused)
{
	uint64_t before;
	unsigned int nth, i;

	mag_fault_nth(1);
	assert_int_equal(mag_mirror_init(&owner, 8, 64, 0, -1), -ENOMEM);
	mag_fault_nth(0);
	assert_int_equal(mag_mirror_init(&owner, 8, GRANULE, 0, -1), 0);
	/* Half full: the next one needs a larger table as well. */
	for (i = 0; i < 7; i++)
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
	for (i = 0; i < 7; i++)
		assert_non_null(mirror_of(BASE + i * GRANULE));
}

/* Caches */

#define SIZE 192
#define COUNT 64
#define BYTES 40

static unsigned int constructed;

static int
construct(const struct mag_object_info *object, const struct mag_object_info *mirror,
	  void *arg __rte_unused, unsigned int flags __rte_unused)
{
	assert_non_null(mirror);
	assert_int_equal(mirror->size, BYTES);
	assert_null(mirror->bufctl);
	assert_int_equal(mirror->region_index, object->region_index);
	assert_int_equal(mirror->segment_object, object->segment_object);
	memcpy(mirror->address, &object->region_index, sizeof(object->region_index));
	constructed++;
	return 0;
}

static void
check_cache(struct mag_region *region)
{
	struct mag_cache_params params = {.name = "mirrored",
					  .object_size = SIZE,
					  .region = region,
					  .constructor = construct,
					  .node = -1};
	struct mag_cache *cache = mag_cache_create(&params);
	const struct mag_mirror *find = mag_region_mirror(region);
	struct mag_object_info info, mirror;
	void *objects[COUNT];

	assert_non_null(cache);
	constructed = 0;
	assert_int_equal(mag_cache_alloc_bulk(cache, objects, COUNT), COUNT);
	assert_int_equal(constructed, COUNT);
	for (unsigned int i = 0; i < COUNT; i++) {
		assert_int_equal(mag_cache_object_info(cache, objects[i], &info, &mirror), 0);
		assert_ptr_equal(mirror.address, mag_mirror_of(find, objects[i]));
		assert_int_equal(mirror.region_index, info.region_index);
		assert_int_equal(mirror.size, BYTES);
		assert_int_equal(*(uint64_t *)mirror.address, info.region_index);
		assert_ptr_equal(mag_mirror_object(find, mirror.address), objects[i]);
	}
	mag_cache_free_bulk(cache, objects, COUNT);
	assert_int_equal(mag_cache_destroy(cache), 0);
}

static void
test_caches_of_elastic_and_adopted_regions_have_mirrors(void **state __rte_unused)
{
	struct mag_region_params params = {.name = "mirrored",
					   .object_size = SIZE,
					   .mirror = BYTES,
					   .objects = 1000,
					   .node = -1};
	static char memory[COUNT][SIZE];
	void *address[COUNT];
	struct mag_region *region = mag_region_create(&params);
	struct mag_region_stats stats;

	assert_non_null(region);
	check_cache(region);
	mag_region_stats_get(region, &stats);
	assert_true(stats.mirrors > 0);
	mag_region_trim(region, 0);
	mag_region_stats_get(region, &stats);
	assert_int_equal(stats.mirrors, 0);
	assert_int_equal(mag_region_destroy(region), 0);

	params.objects = 0;
	region = mag_region_create(&params);
	assert_non_null(region);
	for (unsigned int i = 0; i < COUNT; i++)
		address[i] = memory[i];
	assert_int_equal(mag_region_adopt(region, address, COUNT, -1), 0);
	check_cache(region);
	assert_int_equal(mag_region_destroy(region), 0);
}

static void
test_a_region_without_mirrors_says_so(void **state __rte_unused)
{
	struct ground ground = ground_make(4, 64, 4, 0);
	struct mag_region_params bad = {
		.name = "bad", .object_size = 64, .mirror = MAG_MIRROR_MAX + 1, .node = -1};

	assert_null(mag_region_mirror(ground.region));
	ground_drop(&ground);
	log_begin();
	rte_errno = 0;
	assert_null(mag_region_create(&bad));
	assert_int_equal(rte_errno, EINVAL);
	assert_logged(log_end(), "mirror of at most 4096 bytes");
}

static void
test_mirrored_objects_lie_a_stride_apart(void **state __rte_unused)
{
	struct mag_region_params params = {
		.name = "close", .object_size = 64, .stride = 128, .mirror = 8, .node = -1};
	static char memory[256];
	void *close[2] = {memory, memory + 64};
	struct mag_region *region = mag_region_create(&params);

	assert_non_null(region);
	log_begin();
	assert_int_equal(mag_region_adopt(region, close, 2, -1), -EINVAL);
	assert_logged(log_end(), "at least the stride of 128 bytes");
	close[1] = memory + 128;
	assert_int_equal(mag_region_adopt(region, close, 2, -1), 0);
	assert_int_equal(mag_region_destroy(region), 0);
}

static void
test_an_adoption_that_fails_leaks_nothing(void **state __rte_unused)
{
	struct mag_region_params params = {
		.name = "adopts", .object_size = 64, .mirror = 8, .node = -1};
	static char memory[2][64] __attribute__((aligned(128)));
	void *address[2] = {memory[0], memory[1]};
	struct mag_region *region = mag_region_create(&params);
	uint64_t before = heap_balance();
	unsigned int nth;

	assert_non_null(region);
	log_begin();
	for (nth = 1; nth < 10; nth++) {
		mag_fault_nth(nth);
		if (mag_region_adopt(region, address, 2, -1) == 0)
			break;
		mag_fault_nth(0);
		assert_int_equal(heap_balance(), before);
		assert_int_equal(region->objects, 0);
	}
	log_end();
	/* The records, the mirrors. */
	assert_int_equal(nth, 3);
	mag_fault_nth(0);
	assert_int_equal(mag_region_destroy(region), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
		T(test_each_object_has_its_own),
		T(test_the_reciprocal_divides_exactly),
		T(test_addresses_that_are_far_away_have_none),
		T(test_a_granule_stays_until_its_last_segment_goes),
		T(test_random_granules_are_found_while_they_are_there),
		T(test_readers_do_not_notice_what_comes_and_goes),
		T(test_every_allocation_that_fails_leaks_nothing),
		T(test_caches_of_elastic_and_adopted_regions_have_mirrors),
		T(test_a_region_without_mirrors_says_so),
		T(test_mirrored_objects_lie_a_stride_apart),
		T(test_an_adoption_that_fails_leaks_nothing),
	};

	eal_start(2, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
