/* SPDX-License-Identifier: BSD-3-Clause */

/* Caches without a region, straight over EAL's heap. */

#include "eal.h"
#include "mag_maint.h"
#include "mag_stats.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_malloc.h>

#include "cache/cache.h"
#include "sources/elastic_service.h"
#include "base/fault.h"
#include "../counts.h"

#define SIZE 200
#define ALIGN 64
#define COUNT 500
#define WORKER 1
#define WRITTEN 0x5a

static struct mag_cache *cache;
static uint64_t before;

/* Stands in front of EAL's own: what is in objects of the cache when they come back to the heap. */
static bool watched;
static unsigned int came_back_written;

void
rte_free(void *addr)
{
	static void (*_Atomic next)(void *addr);

	if (next == NULL)
		next = (__typeof__(&rte_free))(uintptr_t)dlsym(RTLD_NEXT, "rte_free");
	if (watched && addr != NULL && *(unsigned char *)addr == WRITTEN)
		came_back_written++;
	next(addr);
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

static struct mag_cache_params
params_of(void)
{
	return (struct mag_cache_params){.size = sizeof(struct mag_cache_params),
					 .name = "intrinsic",
					 .object_size = SIZE,
					 .align = ALIGN,
					 .node = -1};
}

static void
make(bool callbacks)
{
	struct mag_cache_params params = params_of();

	memset(&seen, 0, sizeof(seen));
	before = heap_balance();
	params.constructor = callbacks ? construct : NULL;
	params.destructor = callbacks ? destruct : NULL;
	cache = mag_cache_create(&params);
	assert_non_null(cache);
}

static void
drop(void)
{
	assert_int_equal(mag_cache_destroy(cache), 0);
	assert_int_equal(heap_balance(), before);
}

static struct mag_cache_stats
stats(void)
{
	struct mag_cache_stats now;

	mag_cache_stats_get(cache, &now);
	return now;
}

static bool
is_zero(const char *object)
{
	unsigned int i;

	for (i = 0; i < SIZE; i++)
		if (object[i] != 0)
			return false;
	return true;
}

TEST(test_objects_come_zeroed_aligned_and_each_once)
{
	void *objects[COUNT];
	unsigned int i, turn;

	make(false);
	for (turn = 0; turn < 3; turn++) {
		assert_int_equal(mag_cache_alloc_burst(cache, objects, COUNT), COUNT);
		for (i = 0; i < COUNT; i++) {
			assert_int_equal((uintptr_t)objects[i] % ALIGN, 0);
			assert_true(is_zero(objects[i]));
			memset(objects[i], 1 + i % 255, SIZE);
		}
		for (i = 0; i < COUNT; i++)
			assert_int_equal(((unsigned char *)objects[i])[SIZE - 1], 1 + i % 255);
		mag_cache_free_bulk(cache, objects, COUNT);
		assert_int_equal(mag_cache_reap_now(cache, true), 0);
	}
	drop();
}

TEST(test_what_the_heap_clears_is_not_cleared_before)
{
	void *objects[COUNT];
	unsigned int i;

	make(false);
	assert_true(cache->flags & MAG_CACHE_CLEARONFREE);
	assert_int_equal(mag_cache_alloc_burst(cache, objects, COUNT), COUNT);
	for (i = 0; i < COUNT; i++)
		memset(objects[i], WRITTEN, SIZE);
	came_back_written = 0;
	watched = true;
	mag_cache_free_bulk(cache, objects, COUNT);
	assert_int_equal(mag_cache_reap_now(cache, true), 0);
	watched = false;
	assert_int_equal(came_back_written, COUNT);
	assert_int_equal(mag_cache_alloc_burst(cache, objects, COUNT), COUNT);
	for (i = 0; i < COUNT; i++)
		assert_true(is_zero(objects[i]));
	mag_cache_free_bulk(cache, objects, COUNT);
	drop();
}

TEST(test_counts_are_those_of_objects_that_came_from_the_heap)
{
	void *objects[COUNT];

	make(false);
	assert_int_equal(mag_cache_available(cache), 0);
	assert_int_equal(mag_cache_alloc_burst(cache, objects, COUNT), COUNT);
	assert_int_equal(stats().in_use, COUNT);
	assert_int_equal(stats().objects, COUNT);
	assert_int_equal(stats().free, 0);
	mag_cache_free_bulk(cache, objects, 10);
	assert_int_equal(stats().in_use, COUNT);
	assert_int_equal(stats().free, 10);
	mag_cache_free_nocache(cache, objects[10]);
	assert_int_equal(stats().in_use, COUNT - 1);
	assert_int_equal(stats().in_use_max, COUNT);
	assert_int_equal(stats().slabs_created, 0);
	mag_cache_free_bulk(cache, objects + 11, COUNT - 11);
	assert_int_equal(mag_cache_reap_now(cache, true), 0);
	assert_int_equal(stats().in_use, 0);
	assert_int_equal(stats().objects, 0);
	assert_int_equal(stats().slab_allocs, COUNT);
	assert_int_equal(stats().slab_frees, COUNT);
	drop();
}

TEST(test_an_object_stays_constructed_in_a_magazine)
{
	void *objects[20];
	unsigned int i;

	make(true);
	for (i = 0; i < 10; i++) {
		assert_int_equal(mag_cache_alloc_burst(cache, objects, 20), 20);
		mag_cache_free_bulk(cache, objects, 20);
	}
	assert_int_equal(seen.constructed, 20);
	assert_int_equal(seen.destructed, 0);
	assert_int_equal(mag_cache_reap_now(cache, true), 0);
	assert_int_equal(seen.destructed, 20);
	assert_false(seen.strange);
	drop();
}

TEST(test_infos_are_address_and_size_alone)
{
	struct mag_object_info info, mirror;
	void *object;

	make(false);
	object = mag_cache_alloc(cache);
	assert_int_equal(mag_cache_object_info(cache, object, &info, &mirror), 0);
	assert_ptr_equal(info.address, object);
	assert_int_equal(info.size, RTE_ALIGN_CEIL(SIZE, ALIGN));
	assert_null(info.bufctl);
	assert_null(mirror.address);
	assert_int_equal(mag_cache_use(cache, object), -ENOTSUP);
	assert_int_equal(users_left(cache, object), -ENOTSUP);
	mag_cache_free(cache, object);
	drop();
}

TEST(test_a_heap_without_memory_gives_fewer)
{
	void *objects[COUNT];

	make(false);
	mag_fault_nth(8);
	assert_int_equal(mag_cache_alloc_burst(cache, objects, 100), 7);
	assert_int_equal(stats().slab_fails, 1);
	mag_cache_free_bulk(cache, objects, 7);
	mag_fault_nth(1);
	assert_int_equal(mag_cache_alloc_burst(cache, objects, 8), 7);
	mag_fault_nth(0);
	mag_cache_free_bulk(cache, objects, 7);
	drop();
}

static void
fill(void *arg)
{
	void *objects[30];

	assert_int_equal(mag_cache_alloc_burst(cache, objects, 30), 30);
	mag_cache_free_bulk(cache, objects, 30);
	RTE_SET_USED(arg);
}

TEST(test_what_other_lcores_hold_is_had_when_the_heap_has_none)
{
	void *object;

	make(false);
	run_on_lcore(WORKER, fill, NULL);
	mag_fault_nth(1);
	object = mag_cache_alloc(cache);
	mag_fault_nth(0);
	assert_non_null(object);
	assert_int_equal(stats().in_use, 30);
	mag_cache_free(cache, object);
	drop();
}

TEST(test_objects_out_keep_it)
{
	void *object;

	make(false);
	object = mag_cache_alloc(cache);
	log_begin();
	assert_int_equal(mag_cache_destroy(cache), -EBUSY);
	assert_logged(log_end(), "1 objects are out");
	mag_cache_free(cache, object);
	drop();
}

static void
assert_bad(struct mag_cache_params params, int error, const char *why)
{
	uint64_t balance = heap_balance();
	const char *log;

	log_begin();
	assert_null(mag_cache_create(&params));
	log = log_end();
	assert_int_equal(rte_errno, error);
	assert_logged(log, why);
	assert_int_equal(count_lines(log), 1);
	assert_int_equal(heap_balance(), balance);
}

TEST(test_what_cannot_be_is_refused_with_a_sentence)
{
	struct mag_cache_params params = params_of();

	params.name = NULL;
	assert_bad(params, EINVAL, "name must have");
	params = params_of();
	params.align = 48;
	assert_bad(params, EINVAL, "power of two");
	params = params_of();
	params.object_size = SIZE_MAX;
	assert_bad(params, EINVAL, "1 GiB");
	params = params_of();
	params.object_size = 0;
	assert_bad(params, EINVAL, "size above 0");
	params = params_of();
	params.options = "guard=1";
	assert_bad(params, EINVAL, "guard and audit need a region");
	params.options = "audit=1";
	assert_bad(params, EINVAL, "guard and audit need a region");
	params.options = "rounds=510";
	assert_bad(params, EINVAL, "rounds=510");
}

TEST(test_every_allocation_that_fails_leaks_nothing)
{
	struct mag_cache_params params = params_of();
	uint64_t balance = heap_balance();
	unsigned int nth = 0;

	do {
		log_begin();
		mag_fault_nth(++nth);
		cache = mag_cache_create(&params);
		mag_fault_nth(0);
		log_end();
		if (cache == NULL) {
			assert_int_equal(rte_errno, ENOMEM);
			assert_int_equal(heap_balance(), balance);
		}
	} while (cache == NULL);
	assert_true(nth > 3);
	assert_int_equal(mag_cache_destroy(cache), 0);
	assert_int_equal(heap_balance(), balance);
}

int
main(void)
{
	eal_start(2, NULL);
	/* What fails here is not told to maintenance, which would purge. */
	mag_elastic_on_shortage = NULL;
	return tests_run(NULL, NULL);
}
