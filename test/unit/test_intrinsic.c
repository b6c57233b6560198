/* SPDX-License-Identifier: BSD-3-Clause */

/* Caches without a region, straight over EAL's heap. */

#include "eal.h"

#include <rte_malloc.h>

#include "fixture.h"
#include "sources/elastic_service.h"

#define SIZE 200
#define ALIGN 64
#define COUNT 500
#define WORKER 1
#define WRITTEN 0x5a

static uint64_t before;
static void *objects[COUNT];

/* Stands in front of EAL's own: what is in objects of the cache when they come back to the heap. */
static bool watched;
static unsigned int came_back_written;

void
rte_free(void *addr)
{
	if (watched && addr != NULL && *(unsigned char *)addr == WRITTEN)
		came_back_written++;
	LIBRARYS(rte_free)(addr);
}

static struct {
	unsigned int constructed, destructed;
	bool strange; /* infos that no intrinsic object has */
} seen;

static int
construct(const struct mag_object_info *object, const struct mag_object_info *mirror,
	  void *arg __rte_unused, unsigned int flags __rte_unused)
{
	seen.constructed++;
	seen.strange |= mirror != NULL || object->bufctl != NULL || object->region_index != 0 ||
			object->segment_object != 0 || object->size != RTE_ALIGN_CEIL(SIZE, ALIGN);
	return 0;
}

static void
destruct(void *object __rte_unused, void *arg __rte_unused)
{
	seen.destructed++;
}

/* With the callbacks, or NULL. */
#define PARAMS(constructs, destructs)                                                              \
	CACHE_PARAMS(.name = "intrinsic", .object_size = SIZE, .align = ALIGN,                     \
		     .constructor = constructs, .destructor = destructs)

SETUP(setup)
{
	before = heap_balance();
	cache = make_cache(PARAMS(NULL, NULL));
}

TEARDOWN(teardown)
{
	drop_cache(cache);
	assert_int_equal(heap_balance(), before);
}

static bool
is_zero(const char *object)
{
	for (unsigned int i = 0; i < SIZE; i++)
		if (object[i] != 0)
			return false;
	return true;
}

TEST(test_objects_come_zeroed_aligned_and_each_once, setup, teardown)
{
	for (unsigned int turn = 0; turn < 3; turn++) {
		alloc_bulk(objects, COUNT);
		for (unsigned int i = 0; i < COUNT; i++) {
			assert_int_equal((uintptr_t)objects[i] % ALIGN, 0);
			assert_true(is_zero(objects[i]));
			memset(objects[i], 1 + i % 255, SIZE);
		}
		for (unsigned int i = 0; i < COUNT; i++)
			assert_int_equal(((unsigned char *)objects[i])[SIZE - 1], 1 + i % 255);
		free_bulk(objects, COUNT);
		assert_int_equal(cache_reap_all(), 0);
	}
}

TEST(test_what_the_heap_clears_is_not_cleared_before, setup, teardown)
{
	assert_true(cache->flags & MAG_CACHE_CLEARONFREE);
	alloc_bulk(objects, COUNT);
	for (unsigned int i = 0; i < COUNT; i++)
		memset(objects[i], WRITTEN, SIZE);
	came_back_written = 0;
	watched = true;
	free_bulk(objects, COUNT);
	assert_int_equal(cache_reap_all(), 0);
	watched = false;
	assert_int_equal(came_back_written, COUNT);
	alloc_bulk(objects, COUNT);
	for (unsigned int i = 0; i < COUNT; i++)
		assert_true(is_zero(objects[i]));
	free_bulk(objects, COUNT);
}

TEST(test_counts_are_those_of_objects_that_came_from_the_heap, setup, teardown)
{
	assert_int_equal(mag_cache_available(cache), 0);
	alloc_bulk(objects, COUNT);
	assert_int_equal(cache_stats(cache).in_use, COUNT);
	assert_int_equal(cache_stats(cache).objects, COUNT);
	assert_int_equal(cache_stats(cache).free, 0);
	free_bulk(objects, 10);
	assert_int_equal(cache_stats(cache).in_use, COUNT);
	assert_int_equal(cache_stats(cache).free, 10);
	mag_cache_free_nocache(cache, objects[10]);
	assert_int_equal(cache_stats(cache).in_use, COUNT - 1);
	assert_int_equal(cache_stats(cache).in_use_max, COUNT);
	assert_int_equal(cache_stats(cache).slabs_created, 0);
	free_bulk(objects + 11, COUNT - 11);
	assert_int_equal(cache_reap_all(), 0);
	assert_int_equal(cache_stats(cache).in_use, 0);
	assert_int_equal(cache_stats(cache).objects, 0);
	assert_int_equal(cache_stats(cache).slab_allocs, COUNT);
	assert_int_equal(cache_stats(cache).slab_frees, COUNT);
}

TEST(test_an_object_stays_constructed_in_a_magazine, setup, teardown)
{
	drop_cache(cache);
	memset(&seen, 0, sizeof(seen));
	cache = make_cache(PARAMS(construct, destruct));
	for (unsigned int i = 0; i < 10; i++)
		fill(20);
	assert_int_equal(seen.constructed, 20);
	assert_int_equal(seen.destructed, 0);
	assert_int_equal(cache_reap_all(), 0);
	assert_int_equal(seen.destructed, 20);
	assert_false(seen.strange);
}

TEST(test_infos_are_address_and_size_alone, setup, teardown)
{
	struct mag_object_info info, mirror;
	void *object = mag_cache_alloc(cache);

	assert_int_equal(mag_cache_object_info(cache, object, &info, &mirror), 0);
	assert_ptr_equal(info.address, object);
	assert_int_equal(info.size, RTE_ALIGN_CEIL(SIZE, ALIGN));
	assert_null(info.bufctl);
	assert_null(mirror.address);
	assert_int_equal(mag_cache_use(cache, object), -ENOTSUP);
	assert_int_equal(users_left(cache, object), -ENOTSUP);
	assert_refused(mag_cache_destroy(cache), EBUSY, "1 objects are out");
	mag_cache_free(cache, object);
}

TEST(test_a_heap_without_memory_gives_fewer, setup, teardown)
{
	mag_fault_nth(8);
	assert_int_equal(mag_cache_alloc_burst(cache, objects, 100), 7);
	assert_int_equal(cache_stats(cache).slab_fails, 1);
	free_bulk(objects, 7);
	mag_fault_nth(1);
	assert_int_equal(mag_cache_alloc_burst(cache, objects, 8), 7);
	mag_fault_nth(0);
	free_bulk(objects, 7);
}

TEST(test_what_other_lcores_hold_is_had_when_the_heap_has_none, setup, teardown)
{
	fill_on_lcore(WORKER, 30);
	mag_fault_nth(1);
	alloc_bulk(objects, 1);
	mag_fault_nth(0);
	assert_int_equal(cache_stats(cache).in_use, 30);
	free_bulk(objects, 1);
}

TEST(test_what_cannot_be_is_refused_with_a_sentence)
{
	static const struct {
		const char *name, *options, *why;
		size_t object_size, align;
	} bad[] = {
		{NULL, NULL, "name must have", SIZE, ALIGN},
		{"bad", NULL, "power of two", SIZE, 48},
		{"bad", NULL, "1 GiB", SIZE_MAX, ALIGN},
		{"bad", NULL, "size above 0", 0, ALIGN},
		{"bad", "guard=1", "guard, audit and check need a region", SIZE, ALIGN},
		{"bad", "audit=1", "guard, audit and check need a region", SIZE, ALIGN},
		{"bad", "check=1", "guard, audit and check need a region", SIZE, ALIGN},
		{"bad", "rounds=510", "rounds=510", SIZE, ALIGN},
	};

	for (unsigned int i = 0; i < RTE_DIM(bad); i++) {
		struct mag_cache_params params =
			CACHE_PARAMS(.name = bad[i].name, .object_size = bad[i].object_size,
				     .align = bad[i].align, .options = bad[i].options);

		assert_refused_null(mag_cache_create(&params), EINVAL, bad[i].why);
	}
}

static bool
cache_works(void)
{
	struct mag_cache_params params = PARAMS(NULL, NULL);

	cache = mag_cache_create(&params);
	assert_true(cache != NULL || rte_errno == ENOMEM);
	return cache != NULL;
}

TEST(test_every_allocation_that_fails_leaks_nothing, NULL, teardown)
{
	before = heap_balance();
	assert_true(attempts(cache_works()) > 3);
}

int
main(void)
{
	eal_start(2, NULL);
	/* What fails here is not told to maintenance, which would purge. */
	mag_elastic_on_shortage = NULL;
	return tests_run(NULL, NULL);
}
