/* SPDX-License-Identifier: BSD-3-Clause */

/* elastic.c and wait.c: regions that grow and shrink, on ordinary pages; allocations that wait. */

#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <numa.h>
#include <numaif.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_errno.h>

#include "cache/cache.h"
#include "eal.h"
#include "sources/elastic.h"
#include "sources/elastic_service.h"
#include "base/fault.h"
#include "ground.h"
#include "mag_maint.h"
#include "mag_stats.h"
#include "base/numa.h"
#include "stores/region.h"
#include "control/sizing.h"
#include "home/slab_objects.h"
#include "../counts.h"
#include "outside/maint.h"

#define SIZE 256
#define SEGMENTS 6
#define PAGE 4096

static struct mag_region *region;
static struct mag_cache *cache;
static uint32_t block;
static void (*observer)(void);

static struct mag_region_params
params_for(uint64_t objects, uint32_t mode)
{
	return (struct mag_region_params){
		.size = sizeof(struct mag_region_params),
		.name = "elastic",
		.object_size = SIZE,
		.objects = objects,
		.mode = mode,
		.node = -1,
	};
}

static void
region_make(const struct mag_region_params *params)
{
	region = mag_region_create(params);
	assert_non_null(region);
	block = region->block;
}

static struct mag_cache *
cache_on(struct mag_region *of, const char *name, unsigned int flags)
{
	struct mag_cache_params params = {
		.size = sizeof(params),
		.name = name,
		.object_size = SIZE,
		.region = of,
		.flags = flags,
		.node = -1,
	};
	struct mag_cache *made = mag_cache_create(&params);

	assert_non_null(made);
	return made;
}

static void
cache_make(unsigned int flags)
{
	cache = cache_on(region, "elastic", flags);
}

/* So many whole segments, no magazines, and no maintenance that sees how few there are. */
static int
setup_bare(void **state __rte_unused)
{
	struct mag_region_params params = params_for(1, MAG_REGION_NOMAGAZINES);

	region_make(&params);
	params.objects = (uint64_t)SEGMENTS * 100;
	params.block = 100;
	assert_int_equal(mag_region_destroy(region), 0);
	region_make(&params);
	assert_int_equal(block, 100);
	assert_int_equal(mag_elastic_segments_max(region), SEGMENTS);
	cache_make(MAG_CACHE_NOMAGAZINES);
	assert_int_equal(mag_maint_stop(), 0);
	mag_elastic_on_want = NULL;
	return 0;
}

static int
setup(void **state __rte_unused)
{
	struct mag_region_params params = params_for(30000, 0);

	region_make(&params);
	cache_make(0);
	return 0;
}

static int
teardown(void **state __rte_unused)
{
	mag_elastic_on_want = observer;
	mag_maint_interval(0);
	mag_fault_nth(0);
	if (cache != NULL)
		assert_int_equal(mag_cache_destroy(cache), 0);
	cache = NULL;
	if (region != NULL)
		assert_int_equal(mag_region_destroy(region), 0);
	region = NULL;
	return 0;
}

static struct mag_region_stats
stats(void)
{
	struct mag_region_stats now;

	mag_region_stats_get(region, &now);
	return now;
}

/* Layout */

TEST(test_records_take_a_twentieth_at_most, NULL, teardown)
{
	static const uint32_t sizes[] = {256, 320, 512, 1024, 2048, 4096, 9000};
	struct mag_region_params params = params_for(1, MAG_REGION_NOMAGAZINES);
	struct mag_region_stats now;

	params.objects = 1000000;
	for (unsigned int i = 0; i < RTE_DIM(sizes); i++) {
		params.object_size = sizes[i];
		region_make(&params);
		now = stats();
		assert_true((double)now.segment_objects * sizes[i] >= 0.95 * now.segment_bytes);
		/* A segment and EAL's header fill whole hugepages, but for what no object fits. */
		assert_true((now.segment_bytes + 128) % (2 << 20) == 0 ||
			    (2 << 20) - (now.segment_bytes + 128) % (2 << 20) <
				    sizes[i] + 8 + 2 * 64);
		assert_int_equal(mag_region_destroy(region), 0);
	}
	region = NULL;
}

TEST(test_segments_are_of_the_size_that_was_wanted, NULL, teardown)
{
	struct mag_region_params params = params_for(100000, 0);

	params.segment_size = 64 << 10;
	region_make(&params);
	assert_in_range(stats().segment_bytes, (64 << 10) - SIZE - 8 - 128, 64 << 10);
}

TEST(test_large_objects_get_segments_of_several_pages, NULL, teardown)
{
	static const uint32_t sizes[] = {300000, 700000, 1500000, 2100000, 5000000, 40000000};
	struct mag_region_params params = params_for(20, MAG_REGION_NOMAGAZINES);
	struct mag_region_stats now;

	for (unsigned int i = 0; i < RTE_DIM(sizes); i++) {
		params.object_size = sizes[i];
		region_make(&params);
		now = stats();
		assert_true(now.segment_objects >= 1);
		assert_true((double)now.segment_objects * sizes[i] >= 0.6 * now.segment_bytes);
		assert_int_equal(mag_region_destroy(region), 0);
	}
	region = NULL;
}

TEST(test_objects_are_as_aligned_as_was_asked_for, NULL, teardown)
{
	static const uint32_t aligns[] = {0, 1, 8, 64, 128, 1024, 4096, 65536, 2 << 20};
	struct mag_region_params params = params_for(300, 0);
	void *objects[100];
	uint32_t align;

	params.object_size = 72;
	for (unsigned int i = 0; i < RTE_DIM(aligns); i++) {
		struct mag_cache_params its = {
			.size = sizeof(its), .name = "aligned", .object_size = 72, .node = -1};

		params.align = aligns[i];
		params.block = 10;
		region_make(&params);
		its.region = region;
		its.align = aligns[i];
		cache = mag_cache_create(&its);
		assert_non_null(cache);
		align = RTE_MAX(aligns[i], 8u);
		assert_int_equal(region_grown(region, 9), 9);
		assert_int_equal(mag_cache_alloc_burst(cache, objects, 100), 100);
		for (unsigned int j = 0; j < 100; j++) {
			assert_int_equal((uintptr_t)objects[j] % align, 0);
			memset(objects[j], 0x5a, 72);
		}
		mag_cache_free_bulk(cache, objects, 100);
		assert_int_equal(mag_cache_destroy(cache), 0);
		/* A cache that wants more than the region was made for is refused. */
		its.align = 2 * align;
		assert_null(mag_cache_create(&its));
		assert_int_equal(mag_region_destroy(region), 0);
	}
	cache = NULL;
	region = NULL;
}

TEST(test_there_is_room_for_what_magazines_hold, NULL, teardown)
{
	struct mag_region_params params = params_for(1000, 0);
	uint64_t with;

	params.block = 10;
	region_make(&params);
	with = stats().objects_max;
	assert_in_range(with, 1000 + mag_magazine_max(SIZE), 1009 + mag_magazine_max(SIZE));
	assert_int_equal(mag_region_destroy(region), 0);
	params.mode = MAG_REGION_NOMAGAZINES;
	region_make(&params);
	assert_int_equal(stats().objects_max, 1000);
}

static uint64_t
max_on_one_node(void)
{
	return mag_magazine_max(SIZE) / mag_numa_nodes();
}

TEST(test_a_monolithic_region_has_memory_for_the_lcores_that_there_are, NULL, teardown)
{
	struct mag_region_params params = params_for(1000, MAG_REGION_MONOLITHIC);

	region_make(&params);
	print_message("# MONOLITHIC, 1000 objects of %u bytes: %" PRIu64 " objects, %" PRIu64
		      " bytes\n",
		      SIZE, stats().objects, stats().memory);
	assert_int_equal(stats().objects, 1000 + max_on_one_node());
	assert_int_equal(stats().objects_max, stats().objects);
	assert_in_range(stats().memory, stats().objects * SIZE, (stats().objects * 9 / 8) * SIZE);
}

TEST(test_smaller_chunks_have_the_magazines_of_the_regions_objects, NULL, teardown)
{
	struct mag_region_params params = params_for(1000, 0);
	struct mag_cache_params its = {
		.size = sizeof(its), .name = "small", .object_size = 8, .node = -1};
	struct mag_cache_stats now;
	const char *log;

	region_make(&params);
	its.region = region;
	its.flags = MAG_CACHE_DYNAMIC;
	log_begin();
	its.options = "rounds=62";
	assert_null(mag_cache_create(&its));
	log = log_end();
	assert_logged(log, "the first type is 14, the largest 30");
	its.options = NULL;
	cache = mag_cache_create(&its);
	assert_non_null(cache);
	mag_cache_stats_get(cache, &now);
	assert_int_equal(now.chunk_size, 8);
	assert_int_equal(now.rounds, 14);
	assert_int_equal(mag_cache_resize(cache, 30, false), 0);
	assert_int_equal(mag_cache_type_grown(cache), 30);
	log_begin();
	assert_int_equal(mag_cache_resize(cache, 126, false), -EINVAL);
	log_end();
}

static void
stay_run(void *arg)
{
	void *object;

	/* Memory comes with maintenance's next look. */
	wait_until((object = mag_cache_alloc(cache)) != NULL);
	mag_cache_free(cache, object);
	mag_lcore_flush();
	atomic_fetch_add((_Atomic unsigned int *)arg, 1);
	wait_until(atomic_load((_Atomic unsigned int *)arg) > 100);
}

TEST(test_there_is_more_room_when_more_lcores_come, NULL, teardown)
{
	struct mag_region_params params = params_for(1000, 0);
	struct task task[5];
	_Atomic unsigned int came = 0;
	uint64_t before, max;
	unsigned int i;

	params.block = 1;
	region_make(&params);
	cache_make(0);
	before = stats().objects_max;
	assert_int_equal(before, 1000 + mag_magazine_max(SIZE));
	for (i = 0; i < RTE_DIM(task); i++)
		task_registered(&task[i], stay_run, &came);
	wait_until(atomic_load(&came) == RTE_DIM(task));
	assert_true(stats().objects_max > before);
	max = 1000 + mag_magazine_max(SIZE);
	assert_int_equal(stats().objects_max, max);
	/* It might have a segment in its hands. */
	assert_int_equal(mag_maint_stop(), 0);
	region_grown(region, max);
	assert_int_equal(stats().objects, max);
	atomic_store(&came, 200);
	for (i = 0; i < RTE_DIM(task); i++)
		task_join(&task[i]);
	/* They may come again. */
	assert_int_equal(stats().objects_max, max);
}

/* Bad input */

static void
assert_refused(const struct mag_region_params *params, int error, const char *text)
{
	uint64_t balance = heap_balance();
	const char *log;

	log_begin();
	rte_errno = 0;
	assert_null(mag_region_create(params));
	assert_int_equal(rte_errno, error);
	log = log_end();
	assert_logged(log, text);
	assert_int_equal(count_lines(log), 1);
	assert_int_equal(heap_balance(), balance);
}

TEST(test_what_cannot_be_is_refused_with_a_sentence, NULL, teardown)
{
	struct mag_region_params good = params_for(1000, 0), bad;

	bad = good;
	bad.align = 48;
	assert_refused(&bad, EINVAL, "alignment must be a power of two");
	bad.align = 4 << 20;
	assert_refused(&bad, EINVAL, "alignment must be a power of two");
	bad = good;
	bad.object_size = 0;
	assert_refused(&bad, EINVAL, "object size above 0");
	bad.object_size = UINT32_MAX;
	assert_refused(&bad, EINVAL, "too much");
	bad = good;
	bad.objects = UINT64_MAX;
	assert_refused(&bad, EINVAL, "too much");
	bad.objects = UINT64_C(1) << 40;
	bad.object_size = 64;
	bad.block = 1;
	assert_refused(&bad, EINVAL, "too many segments");
	bad.block = 0;
	bad.object_size = 1 << 24;
	assert_refused(&bad, EINVAL, "too much");
	bad = good;
	bad.segment_size = 400;
	assert_refused(&bad, EINVAL, "no object fits");
	bad = good;
	bad.mode = MAG_REGION_MONOLITHIC;
	bad.objects = 70000;
	assert_refused(&bad, EINVAL, "65534");
	bad = good;
	bad.mode = 0x80000000;
	assert_refused(&bad, EINVAL, "not known");
	bad = good;
	bad.node = 77;
	assert_refused(&bad, EINVAL, "node 77");
	bad.mode = MAG_REGION_MONOLITHIC | MAG_REGION_NOMAGAZINES;
	assert_refused(&bad, EINVAL, "node 77");
	bad = good;
	bad.mode = MAG_REGION_PHYSCONTIG;
	assert_refused(&bad, ENOTSUP, "hugepages");
	bad = good;
	bad.objects = 0;
	bad.mode = MAG_REGION_PERSISTENT;
	assert_refused(&bad, EINVAL, "elastic");
}

TEST(test_an_elastic_region_adopts_nothing, setup_bare, teardown)
{
	static char memory[SIZE];
	void *object = memory;

	log_begin();
	assert_int_equal(mag_region_adopt(region, &object, 1, -1), -EINVAL);
	assert_logged(log_end(), "adopts nothing");
}

TEST(test_every_allocation_that_fails_leaks_nothing, NULL, teardown)
{
	struct mag_region_params params = params_for(10000, 0);
	uint64_t balance = heap_balance();
	unsigned int nth;

	log_begin();
	for (nth = 1;; nth++) {
		mag_fault_nth(nth);
		region = mag_region_create(&params);
		mag_fault_nth(0);
		if (region != NULL)
			break;
		assert_int_equal(rte_errno, ENOMEM);
		assert_int_equal(heap_balance(), balance);
		assert_true(nth < 20);
	}
	log_end();
	/* The region, its records, the one segment. */
	assert_int_equal(nth, 4);
}

TEST(test_sizes_beyond_32_bits_are_no_smaller_ones, NULL, teardown)
{
	struct mag_region_params params = params_for(UINT64_C(1) << 32, MAG_REGION_NOMAGAZINES);

	params.segment_size = SIZE_MAX;
	region_make(&params);
	assert_int_equal(block, MAG_REGION_BLOCK_MAX);
	assert_true(stats().objects_max >= params.objects);
}

/* Growing and shrinking */

static size_t
resident(const void *addr, size_t len)
{
	unsigned char vec[4096];
	uintptr_t first = (uintptr_t)addr & ~(uintptr_t)(PAGE - 1);
	size_t pages = ((uintptr_t)addr + len - first + PAGE - 1) / PAGE, in = 0;

	assert_true(pages <= sizeof(vec));
	if (mincore((void *)first, pages * PAGE, vec) != 0)
		return 0;
	for (size_t i = 0; i < pages; i++)
		in += vec[i] & 1;
	return in;
}

TEST(test_a_region_takes_and_gives_back_what_it_is_told_to, setup_bare, teardown)
{
	struct mag_region_stats now = stats();

	assert_int_equal(now.segments, 1);
	assert_int_equal(now.segments_max, SEGMENTS);
	assert_int_equal(region_grown(region, 2), 2);
	assert_int_equal(stats().segments, 3);
	assert_int_equal(stats().objects, 3 * block);
	assert_int_equal(stats().objects_free, 3 * block);
	rte_errno = 0;
	assert_int_equal(region_grown(region, 10), SEGMENTS - 3);
	assert_int_equal(rte_errno, ENOSPC);
	assert_int_equal(stats().memory, SEGMENTS * stats().segment_bytes);
	assert_int_equal(region_trimmed(region, 2), SEGMENTS - 2);
	now = stats();
	assert_int_equal(now.segments, 2);
	assert_int_equal(now.objects, 2 * block);
	assert_int_equal(now.memory_free, 2 * now.segment_bytes);
	assert_int_equal(now.grown, SEGMENTS);
	assert_int_equal(now.trimmed, SEGMENTS - 2);
	assert_int_equal(region_trimmed(region, 0), 2);
	assert_int_equal(stats().objects, 0);
	assert_int_equal(region_grown(region, 1), 1);
}

/*
 * As in a process that found the region in shared memory; its pages are private to their process.
 */
TEST(test_a_region_is_destroyed_and_grows_where_its_list_and_pages_are, setup_bare, teardown)
{
	assert_int_equal(region_grown(region, 1), 1);
	region->elastic->process++;
	log_begin();
	assert_int_equal(mag_region_destroy(region), -EPERM);
	assert_logged(log_end(), "made it: destroy it there");
	log_begin();
	assert_int_equal(region_grown(region, 1), 0);
	assert_int_equal(rte_errno, EPERM);
	assert_logged(log_end(), "its pages are those of the process that made it");
	assert_int_equal(region_trimmed(region, 0), 0);
	region->elastic->process--;
	assert_int_equal(stats().segments, 2);
	assert_int_equal(region_trimmed(region, 0), 2);
}

TEST(test_memory_that_is_given_back_is_the_systems, setup_bare, teardown)
{
	void *objects[SEGMENTS * 100];
	uintptr_t base;
	size_t len;

	assert_int_equal(region_grown(region, SEGMENTS - 1), SEGMENTS - 1);
	assert_int_equal(mag_cache_alloc_burst(cache, objects, SEGMENTS * block), SEGMENTS * block);
	for (unsigned int i = 0; i < SEGMENTS * block; i++)
		memset(objects[i], i, SIZE);
	base = (uintptr_t)objects[0];
	len = (size_t)block * SIZE;
	assert_true(resident((void *)base, len) >= len / PAGE);
	mag_cache_free_bulk(cache, objects, SEGMENTS * block);
	assert_int_equal(region_trimmed(region, 0), SEGMENTS);
	assert_int_equal(resident((void *)base, len), 0);
}

/* From Linux 5.18 on, under its name of 2022. */
static bool
kernel_drops_locked_pages(void)
{
	void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool drops;

	assert_ptr_not_equal(page, MAP_FAILED);
	drops = mlock(page, PAGE) == 0 && madvise(page, PAGE, 24) == 0;
	munmap(page, PAGE);
	return drops;
}

TEST(test_memory_that_is_locked_is_given_back_too, setup_bare, teardown)
{
	size_t len = (size_t)block * SIZE;
	void *objects[100];

	if (!kernel_drops_locked_pages()) {
		printf("# skip: this kernel does not drop locked pages\n");
		skip();
	}
	assert_int_equal(mag_cache_alloc_burst(cache, objects, block), block);
	assert_int_equal(mlock(objects[0], len), 0);
	mag_cache_free_bulk(cache, objects, block);
	assert_int_equal(region_trimmed(region, 0), 1);
	assert_int_equal(resident(objects[0], len), 0);
	/* And taken again. */
	assert_int_equal(region_grown(region, 1), 1);
	assert_int_equal(mag_cache_alloc_burst(cache, objects, block), block);
	memset(objects[0], 1, SIZE);
	mag_cache_free_bulk(cache, objects, block);
}

/* Stand in front of libc's and libnuma's own: they fail with this. */
static int madvise_error, mbind_error;

int
madvise(void *addr, size_t length, int advice)
{
	int (*real)(void *addr, size_t length, int advice) =
		(int (*)(void *, size_t, int))(uintptr_t)dlsym(RTLD_NEXT, "madvise");

	if (madvise_error == 0)
		return real(addr, length, advice);
	errno = madvise_error;
	return -1;
}

long
mbind(void *addr, unsigned long length, int mode, const unsigned long *nodes,
      unsigned long node_max, unsigned int flags)
{
	if (mbind_error == 0)
		return syscall(SYS_mbind, addr, length, mode, nodes, node_max, flags);
	errno = mbind_error;
	return -1;
}

TEST(test_memory_that_the_system_does_not_take_back_is_not_counted_and_used_again, setup_bare,
     teardown)
{
	void *objects[SEGMENTS * 100];
	uint64_t trimmed = stats().trimmed;
	const char *log;
	unsigned int i;

	assert_int_equal(region_grown(region, SEGMENTS - 1), SEGMENTS - 1);
	madvise_error = EINVAL;
	log_begin();
	assert_int_equal(region_trimmed(region, 0), 0);
	log = log_end();
	assert_int_equal(count_lines(log), 1);
	assert_logged(log, "region \"elastic\": the system does not take");
	assert_logged(log, strerror(EINVAL));
	assert_int_equal(stats().trimmed, trimmed);
	log_begin();
	for (i = 0; i < 3; i++) {
		assert_int_equal(region_grown(region, SEGMENTS), SEGMENTS);
		assert_int_equal(mag_cache_alloc_burst(cache, objects, SEGMENTS * block),
				 SEGMENTS * block);
		memset(objects[i], i, SIZE);
		mag_cache_free_bulk(cache, objects, SEGMENTS * block);
		assert_int_equal(region_trimmed(region, 0), 0);
	}
	assert_int_equal(count_lines(log_end()), 0);
	madvise_error = 0;
	assert_int_equal(region_grown(region, 1), 1);
	assert_int_equal(region_trimmed(region, 0), 1);
	assert_int_equal(stats().trimmed, trimmed + 1);
}

TEST(test_memory_whose_node_the_kernel_does_not_choose_is_memory_all_the_same, setup_bare, teardown)
{
	const char *log;
	void *object;

	if (numa_available() < 0) {
		printf("# skip: this kernel knows of no nodes\n");
		skip();
	}
	mbind_error = EPERM;
	log_begin();
	assert_int_equal(region_grown(region, 2), 2);
	mbind_error = 0;
	log = log_end();
	assert_int_equal(count_lines(log), 1);
	assert_logged(log, "mbind");
	assert_logged(log, strerror(EPERM));
	object = mag_cache_alloc(cache);
	assert_non_null(object);
	mag_cache_free(cache, object);
}

TEST(test_segments_in_use_stay, setup_bare, teardown)
{
	void *first, *objects[250];

	assert_int_equal(region_grown(region, 3), 3);
	first = mag_cache_alloc(cache);
	assert_int_equal(mag_cache_alloc_burst(cache, objects, 250), 250);
	memset(first, 0x77, SIZE);
	mag_cache_free_bulk(cache, objects, 250);
	assert_int_equal(region_trimmed(region, 0), 3);
	for (unsigned int i = 0; i < SIZE; i++)
		assert_int_equal(((unsigned char *)first)[i], 0x77);
	mag_cache_free(cache, first);
	assert_int_equal(region_trimmed(region, 0), 1);
}

TEST(test_a_segment_that_could_not_be_had_leaves_its_index, setup_bare, teardown)
{
	unsigned int i;

	for (i = 0; i < SEGMENTS; i++) {
		mag_fault_nth(1);
		assert_int_equal(region_grown(region, 1), 0);
		mag_fault_nth(0);
	}
	assert_int_equal(region_grown(region, SEGMENTS), SEGMENTS - 1);
	assert_int_equal(stats().segments, SEGMENTS);
}

TEST(test_indices_are_used_again, setup_bare, teardown)
{
	struct mag_object_info info;
	void *object;

	for (unsigned int i = 0; i < 3 * SEGMENTS; i++) {
		assert_int_equal(region_trimmed(region, 0), i == 0 ? 1 : 2);
		assert_int_equal(region_grown(region, 2), 2);
		object = mag_cache_alloc(cache);
		assert_non_null(object);
		assert_int_equal(mag_cache_object_info(cache, object, &info, NULL), 0);
		assert_in_range(info.region_index, 0, 2 * block - 1);
		mag_cache_free(cache, object);
	}
}

TEST(test_a_persistent_region_gives_nothing_back_while_it_lives, NULL, teardown)
{
	struct mag_region_params params = params_for(600, MAG_REGION_PERSISTENT);

	params.block = 100;
	region_make(&params);
	assert_int_equal(mag_region_grow(region, 3, NULL), 0);
	log_begin();
	assert_int_equal(mag_region_trim(region, 0, NULL), -ENOTSUP);
	assert_logged(log_end(), "PERSISTENT");
	mag_elastic_service(0);
	mag_elastic_service(0);
	assert_int_equal(stats().segments, 4);
	assert_int_equal(stats().wired, stats().memory);
}

TEST(test_a_monolithic_region_is_one_segment_from_the_beginning, NULL, teardown)
{
	struct mag_region_params params =
		params_for(5000, MAG_REGION_MONOLITHIC | MAG_REGION_NOMAGAZINES);
	void *objects[5001];

	region_make(&params);
	assert_int_equal(stats().segments, 1);
	assert_int_equal(stats().segment_objects, 5000);
	cache_make(MAG_CACHE_NOMAGAZINES);
	assert_int_equal(mag_cache_alloc_burst(cache, objects, 5001), 5000);
	for (unsigned int i = 1; i < 5000; i++)
		assert_int_equal((char *)objects[i] - (char *)objects[i - 1], SIZE);
	assert_int_equal(stats().segments, 1);
	mag_cache_free_bulk(cache, objects, 5000);
	assert_int_equal(region_trimmed(region, 0), 0);
}

/* Is there a mapping, whatever may be done with it? */
static bool
is_reserved(const char *page)
{
	unsigned long from, to;
	bool reserved = false;
	char line[512];
	FILE *maps = fopen("/proc/self/maps", "r");

	assert_non_null(maps);
	while (!reserved && fgets(line, sizeof(line), maps) != NULL)
		reserved = sscanf(line, "%lx-%lx", &from, &to) == 2 && (uintptr_t)page >= from &&
			   (uintptr_t)page < to;
	fclose(maps);
	return reserved;
}

/* Can this byte be read? Asked of the kernel. */
static bool
is_mapped(const char *address)
{
	int ends[2];
	bool mapped;

	assert_int_equal(pipe(ends), 0);
	mapped = write(ends[1], address, 1) == 1;
	close(ends[0]);
	close(ends[1]);
	return mapped;
}

TEST(test_guard_pages_lie_before_and_behind_each_segment, NULL, teardown)
{
	struct mag_region_params params =
		params_for(SEGMENTS * 100, MAG_REGION_NOMAGAZINES | MAG_REGION_REDZONE);
	struct mag_slab_object found;
	void *objects[SEGMENTS * 100];
	const char *segment;
	unsigned int i;
	size_t span;

	params.block = 100;
	region_make(&params);
	cache_make(MAG_CACHE_NOMAGAZINES);
	region_grown(region, SEGMENTS);
	assert_int_equal(mag_cache_alloc_burst(cache, objects, SEGMENTS * 100), SEGMENTS * 100);
	span = RTE_ALIGN_CEIL(region->elastic->segment_bytes, (size_t)PAGE);
	for (i = 0; i < SEGMENTS * 100; i += 100) {
		assert_true(mag_slab_find(&cache->first.slab, objects[i], &found));
		segment = (const char *)found.slab->segment;
		assert_false(is_mapped(segment - 1));
		assert_true(is_reserved(segment - PAGE));
		assert_true(is_mapped(segment));
		assert_true(is_mapped(segment + span - 1));
		assert_false(is_mapped(segment + span));
		assert_true(is_reserved(segment + span));
		assert_false(is_mapped(segment + span + PAGE - 1));
	}
	mag_cache_free_bulk(cache, objects, SEGMENTS * 100);
	assert_int_equal(region_trimmed(region, 0), SEGMENTS);
}

TEST(test_guard_pages_are_not_contiguous_in_io_memory, NULL, teardown)
{
	struct mag_region_params params =
		params_for(100, MAG_REGION_PHYSCONTIG | MAG_REGION_REDZONE);

	log_begin();
	assert_null(mag_region_create(&params));
	assert_int_equal(rte_errno, ENOTSUP);
	assert_logged(log_end(), "REDZONE and MEMTAG are of ordinary pages");
}

/* Maintenance */

TEST(test_who_finds_less_than_the_reserve_leaves_word, setup_bare, teardown)
{
	void *objects[SEGMENTS * 100];

	assert_int_equal(region->elastic->wanted, 0);
	objects[0] = mag_cache_alloc(cache);
	assert_non_null(objects[0]);
	/* The last free segment became a slab. */
	assert_int_equal(region->elastic->wanted, 1);
	mag_elastic_service(UINT64_MAX);
	assert_int_equal(region->elastic->wanted, 0);
	assert_int_equal(stats().segments, 2);
	assert_int_equal(mag_cache_alloc_burst(cache, objects + 1, SEGMENTS * block),
			 2 * block - 1);
	assert_int_equal(region->elastic->wanted, 1);
	mag_elastic_service(UINT64_MAX);
	assert_int_equal(stats().segments, 3);
	mag_cache_free_bulk(cache, objects, 2 * block);
}

static unsigned int told;

static void
observer_count(void)
{
	told++;
}

/*
 * Else nobody would tell maintenance of it: not the other process, which cannot, nor threads that
 * find it said.
 */
TEST(test_a_want_of_another_process_does_not_hide_that_of_our_own, setup_bare, teardown)
{
	void *object, *objects[100];

	told = 0;
	mag_elastic_on_want = observer_count;
	region->elastic->process++;
	mag_elastic_want(region, 0);
	region->elastic->process--;
	assert_int_equal(told, 0);
	object = mag_cache_alloc(cache);
	assert_non_null(object);
	assert_int_equal(told, 1);
	mag_elastic_service(UINT64_MAX);
	assert_int_equal(stats().segments, 2);
	/* What only the other one said, and what is no longer so. */
	region->elastic->process++;
	assert_int_equal(mag_cache_alloc_burst(cache, objects, block), block);
	mag_elastic_want(region, 0);
	region->elastic->process--;
	mag_elastic_service(UINT64_MAX);
	assert_int_equal(stats().segments, 3);
	mag_elastic_want(region, 0);
	mag_elastic_service(UINT64_MAX);
	assert_int_equal(stats().segments, 3);
	mag_cache_free_bulk(cache, objects, block);
	mag_cache_free(cache, object);
}

TEST(test_a_region_that_is_as_large_as_it_may_be_asks_nobody, setup_bare, teardown)
{
	void *objects[SEGMENTS * 100 + 1];

	region_grown(region, SEGMENTS);
	assert_int_equal(mag_cache_alloc_burst(cache, objects, SEGMENTS * block + 1),
			 SEGMENTS * block);
	assert_int_equal(region->elastic->wanted, 0);
	mag_cache_free_bulk(cache, objects, SEGMENTS * block);
}

TEST(test_a_system_without_memory_is_left_alone_for_a_while, setup_bare, teardown)
{
	struct mag_elastic_serviced serviced;
	void *objects[SEGMENTS * 100];

	objects[0] = mag_cache_alloc(cache);
	mag_fault_nth(1);
	serviced = mag_elastic_service(UINT64_MAX);
	mag_fault_nth(0);
	assert_true(serviced.low);
	assert_int_equal(stats().grow_fails, 1);
	assert_int_equal(mag_cache_alloc_burst(cache, objects + 1, SEGMENTS * block), block - 1);
	assert_int_equal(region->elastic->wanted, 0);
	assert_false(mag_elastic_service(UINT64_MAX).low);
	assert_int_equal(stats().segments, 1);
	rte_delay_ms(1100);
	assert_null(mag_cache_alloc(cache));
	assert_int_equal(region->elastic->wanted, 1);
	mag_elastic_service(UINT64_MAX);
	assert_int_equal(stats().segments, 2);
	mag_cache_free_bulk(cache, objects, block);
}

TEST(test_what_was_not_needed_for_an_interval_is_given_back, setup_bare, teardown)
{
	void *objects[300];

	region_grown(region, SEGMENTS - 1);
	/* The first interval saw the region grow: not all was free all the time. */
	mag_elastic_service(0);
	assert_int_equal(mag_cache_alloc_burst(cache, objects, 300), 300);
	mag_cache_free_bulk(cache, objects, 300);
	/* Three were needed at some time of this one. */
	mag_elastic_service(0);
	assert_int_equal(stats().segments, SEGMENTS - 2);
	mag_elastic_service(0);
	assert_int_equal(stats().segments, 1);
	mag_elastic_service(0);
	assert_int_equal(stats().segments, 1);
}

TEST(test_what_is_freed_during_an_interval_stays_for_another, setup_bare, teardown)
{
	void *objects[300];

	region_grown(region, SEGMENTS - 1);
	assert_int_equal(mag_cache_alloc_burst(cache, objects, 300), 300);
	mag_elastic_service(0);
	mag_elastic_service(0);
	assert_int_equal(stats().segments, 4);
	mag_elastic_service(0);
	mag_cache_free_bulk(cache, objects, 300);
	mag_elastic_service(0);
	assert_int_equal(stats().segments, 4);
	mag_elastic_service(0);
	assert_int_equal(stats().segments, 1);
}

TEST(test_maintenance_grows_and_trims, setup, teardown)
{
	void *objects[1000];
	unsigned int n = 0;

	assert_int_equal(mag_maint_interval(5), 0);
	while (n < 1000) {
		uint64_t end = wait_deadline();

		while ((objects[n] = mag_cache_alloc(cache)) == NULL)
			assert_false(wait_is_over(end));
		memset(objects[n], n, SIZE);
		n++;
	}
	mag_cache_free_bulk(cache, objects, n);
}

static struct mag_cache *
full_cache_make(struct mag_region *of, const char *name)
{
	struct mag_cache *made = cache_on(of, name, 0);
	void *object = mag_cache_alloc(made);

	assert_non_null(object);
	mag_cache_free(made, object);
	assert_int_equal(mag_cache_in_lcores(made), 1);
	return made;
}

TEST(test_a_region_that_cannot_have_a_segment_has_the_caches_on_all_reclaimed, setup_bare, teardown)
{
	struct mag_region_params params = params_for(10000, 0);
	struct ground ground = ground_make(100, SIZE, 10, 0);
	struct mag_region *other = mag_region_create(&params);
	struct mag_cache *on_other, *on_ground, *on_other_too;
	void *object;

	assert_non_null(other);
	assert_int_equal(region_grown(other, 1), 1);
	on_other = full_cache_make(other, "other");
	on_ground = full_cache_make(ground.region, "ground");
	on_other_too = full_cache_make(other, "other too");
	object = mag_cache_alloc(cache);
	assert_int_equal(region->elastic->wanted, 1);
	mag_fault_nth(1);
	observer();
	/* Whichever comes first, the one between them was passed by then. */
	wait_until(mag_cache_in_lcores(on_other) == 0 && mag_cache_in_lcores(on_other_too) == 0);
	mag_fault_nth(0);
	assert_int_equal(stats().grow_fails, 1);
	/* Enabled again; and what cannot give memory back was left alone. */
	assert_int_not_equal(on_other->first.slot[0].size, 0);
	assert_int_equal(mag_cache_in_lcores(on_ground), 1);
	mag_cache_free(cache, object);
	assert_int_equal(mag_cache_destroy(on_other), 0);
	assert_int_equal(mag_cache_destroy(on_ground), 0);
	assert_int_equal(mag_cache_destroy(on_other_too), 0);
	assert_int_equal(mag_region_destroy(other), 0);
	ground_drop(&ground);
}

/* Waiting */

TEST(test_who_waits_has_a_segment_at_once, setup_bare, teardown)
{
	void *objects[SEGMENTS * 100];

	for (unsigned int i = 0; i < SEGMENTS * block; i++) {
		objects[i] = mag_cache_alloc_wait(cache, 1000000);
		assert_non_null(objects[i]);
	}
	assert_int_equal(stats().segments, SEGMENTS);
	mag_cache_free_bulk(cache, objects, SEGMENTS * block);
}

TEST(test_who_waits_for_many_has_all_the_segments_at_once, setup_bare, teardown)
{
	void *objects[SEGMENTS * 100];
	unsigned int n = SEGMENTS * block - 1;

	assert_int_equal(stats().segments, 1);
	/* It tries once. */
	assert_int_equal(alloc_waited(cache, objects, n, 1), n);
	assert_int_equal(stats().segments, SEGMENTS);
	mag_cache_free_bulk(cache, objects, n);
	assert_int_equal(alloc_waited(cache, objects, 0, 1000000), 0);
}

TEST(test_who_waits_for_too_many_has_none_and_keeps_none, setup_bare, teardown)
{
	void *objects[SEGMENTS * 100 + 1];

	rte_errno = 0;
	assert_int_equal(alloc_waited(cache, objects, SEGMENTS * block + 1, 5000), 0);
	assert_int_equal(rte_errno, ETIMEDOUT);
	assert_int_equal(mag_cache_available(cache), SEGMENTS * block);
	assert_int_equal(cache->common.transit, 0);
}

static void
take_all(void **objects)
{
	region_grown(region, SEGMENTS);
	assert_int_equal(mag_cache_alloc_burst(cache, objects, SEGMENTS * block), SEGMENTS * block);
}

TEST(test_a_wait_ends_when_it_was_told_to, setup_bare, teardown)
{
	void *objects[SEGMENTS * 100];
	uint64_t start = rte_rdtsc(), us;

	take_all(objects);
	rte_errno = 0;
	assert_null(mag_cache_alloc_wait(cache, 50000));
	assert_int_equal(rte_errno, ETIMEDOUT);
	us = (rte_rdtsc() - start) * 1000000 / rte_get_tsc_hz();
	assert_true(us >= 50000);
	mag_cache_free_bulk(cache, objects, SEGMENTS * block);
}

TEST(test_a_timeout_of_0_is_one_try, setup_bare, teardown)
{
	uint64_t start = rte_rdtsc();
	void *objects[SEGMENTS * 100], *one;
	unsigned int n;

	for (n = 0; n < SEGMENTS * block; n++) {
		objects[n] = mag_cache_alloc_wait(cache, 0);
		assert_non_null(objects[n]);
	}
	rte_errno = 0;
	assert_null(mag_cache_alloc_wait(cache, 0));
	assert_int_equal(rte_errno, ETIMEDOUT);
	assert_int_equal(alloc_waited(cache, &one, 1, 0), 0);
	assert_true(rte_rdtsc() - start < MAG_WAIT_DEFAULT / 1000000 * rte_get_tsc_hz());
	mag_cache_free_bulk(cache, objects, n);
}

TEST(test_who_waits_has_what_other_regions_have_to_spare, setup_bare, teardown)
{
	struct mag_region_params params = params_for(SEGMENTS * 100, MAG_REGION_NOMAGAZINES);
	struct mag_region *other;
	void *objects[101];

	params.block = 100;
	other = mag_region_create(&params);
	assert_non_null(other);
	assert_int_equal(region_grown(other, SEGMENTS - 1), SEGMENTS - 1);
	assert_int_equal(mag_cache_alloc_burst(cache, objects, 100), 100);
	mag_fault_nth(1);
	objects[100] = mag_cache_alloc_wait(cache, 10000000);
	assert_int_equal(mag_fault_asked(), 2);
	mag_fault_nth(0);
	assert_non_null(objects[100]);
	/* Its reserve. */
	assert_int_equal(MAG_STAT(other->segments), 1);
	mag_cache_free_bulk(cache, objects, 101);
	assert_int_equal(mag_region_destroy(other), 0);
}

static struct {
	void *object;
	int error;
	_Atomic bool waits;
} waiter;

static void
wait_run(void *arg)
{
	waiter.waits = true;
	waiter.object = mag_cache_alloc_wait(cache, *(uint64_t *)arg);
	waiter.error = rte_errno;
}

#define MANY 10

static struct {
	void *object[MANY];
	unsigned int got;
	_Atomic bool waits;
} many;

static void
wait_for_many_run(void *arg __rte_unused)
{
	many.waits = true;
	many.got = alloc_waited(cache, many.object, MANY, MAG_WAIT_DEFAULT);
}

TEST(test_who_waits_for_many_holds_none_meanwhile, setup_bare, teardown)
{
	void *objects[SEGMENTS * 100];
	struct task task = {0};
	unsigned int i;

	take_all(objects);
	many.waits = false;
	task_thread(&task, wait_for_many_run, NULL);
	wait_until(many.waits);
	for (i = 0; i < MANY - 1; i++)
		mag_cache_free(cache, objects[i]);
	/* Long enough for it to have looked more than once. */
	let_pass(20);
	assert_false(task.done);
	wait_until(mag_cache_alloc_burst(cache, objects, MANY - 1) == MANY - 1);
	mag_cache_free_bulk(cache, objects, MANY);
	task_join(&task);
	assert_int_equal(many.got, MANY);
	mag_cache_free_bulk(cache, many.object, MANY);
	mag_cache_free_bulk(cache, objects + MANY, SEGMENTS * block - MANY);
}

TEST(test_who_waits_is_woken_by_a_free, setup_bare, teardown)
{
	uint64_t timeout = MAG_WAIT_DEFAULT;
	void *objects[SEGMENTS * 100];
	struct task task = {0};

	take_all(objects);
	waiter.waits = false;
	task_thread(&task, wait_run, &timeout);
	wait_until(waiter.waits);
	let_pass(20);
	assert_false(task.done);
	mag_cache_free(cache, objects[0]);
	task_join(&task);
	assert_ptr_equal(waiter.object, objects[0]);
	mag_cache_free_bulk(cache, objects, SEGMENTS * block);
}

TEST(test_who_waits_for_centuries_waits, setup_bare, teardown)
{
	const uint64_t timeouts[] = {UINT64_MAX, UINT64_MAX / 2, UINT64_MAX / 1000};
	void *objects[SEGMENTS * 100];
	struct task task = {0};

	take_all(objects);
	for (unsigned int i = 0; i < RTE_DIM(timeouts); i++) {
		waiter.waits = false;
		task_thread(&task, wait_run, (void *)(uintptr_t)&timeouts[i]);
		wait_until(waiter.waits);
		let_pass(20);
		assert_false(task.done);
		mag_cache_free(cache, objects[0]);
		task_join(&task);
		assert_ptr_equal(waiter.object, objects[0]);
	}
	mag_cache_free_bulk(cache, objects, SEGMENTS * block);
}

static void
nothing(int signal __rte_unused)
{
}

TEST(test_a_wait_ends_with_a_signal, setup_bare, teardown)
{
	struct sigaction action = {.sa_handler = nothing}, old;
	uint64_t timeout = MAG_WAIT_DEFAULT;
	void *objects[SEGMENTS * 100];
	struct task task = {0};

	take_all(objects);
	sigaction(SIGUSR1, &action, &old);
	waiter.waits = false;
	task_thread(&task, wait_run, &timeout);
	wait_until(waiter.waits);
	while (!task.done) {
		let_pass(5);
		if (!task.done)
			pthread_kill((pthread_t)task.thread, SIGUSR1);
	}
	task_join(&task);
	sigaction(SIGUSR1, &old, NULL);
	assert_null(waiter.object);
	assert_int_equal(waiter.error, EINTR);
	mag_cache_free_bulk(cache, objects, SEGMENTS * block);
}

static uint64_t
segment_of(struct mag_cache *its, const void *object)
{
	struct mag_object_info info;

	assert_int_equal(mag_cache_object_info(its, object, &info, NULL), 0);
	return info.region_index / block;
}

TEST(test_who_waits_has_what_the_other_cache_of_the_region_holds, NULL, teardown)
{
	struct mag_region_params params = params_for(200, 0);
	struct mag_cache *other;
	uint64_t max, i, kept = 0;
	void **objects, *object;

	params.block = 4;
	region_make(&params);
	cache_make(0);
	other = cache;
	cache_make(0);
	max = stats().objects_max;
	objects = calloc(max, sizeof(*objects));
	assert_non_null(objects);
	region_grown(region, stats().segments_max);
	assert_int_equal(mag_cache_alloc_burst(other, objects, max), max);
	/* The objects of one segment are in a magazine of the other cache. */
	for (i = 0; i < max; i++) {
		if (segment_of(other, objects[i]) == 7)
			mag_cache_free(other, objects[i]);
		else
			objects[kept++] = objects[i];
	}
	assert_int_equal(max - kept, block);
	assert_null(mag_cache_alloc(cache));
	object = mag_cache_alloc_wait(cache, 1000000);
	assert_non_null(object);
	assert_int_equal(segment_of(cache, object), 7);
	mag_cache_free(cache, object);
	mag_cache_free_bulk(other, objects, kept);
	free(objects);
	assert_int_equal(mag_cache_destroy(other), 0);
}

/* Everybody allocates, waits and frees, while the region grows and is trimmed. */

#define TURNS 3000

struct user {
	struct task task;
	unsigned int seed;
	unsigned int missed, clashes;
};

static void
user_run(void *arg)
{
	struct user *user = arg;
	void *objects[64];
	unsigned int i, n;

	for (unsigned int turn = 0; turn < TURNS; turn++) {
		n = rand_r(&user->seed) % 64 + 1;
		if (turn % 8 == 0) {
			objects[0] = mag_cache_alloc_wait(cache, 1000000);
			n = objects[0] != NULL;
			user->missed += n == 0;
		} else {
			n = mag_cache_alloc_burst(cache, objects, n);
		}
		for (i = 0; i < n; i++)
			memset(objects[i], user->seed, SIZE);
		for (i = 0; i < n; i++)
			user->clashes += ((unsigned char *)objects[i])[SIZE - 1] !=
					 (unsigned char)user->seed;
		mag_cache_free_bulk(cache, objects, n);
		if (turn % 64 == 0)
			mag_cache_reap_now(cache, true);
	}
}

TEST(test_nobody_notices_that_memory_comes_and_goes, setup, teardown)
{
	static struct user user[4];
	bool all;

	assert_int_equal(region_grown(region, 1), 1);
	for (unsigned int i = 0; i < RTE_DIM(user); i++) {
		user[i] = (struct user){.seed = i + 1};
		if (i == 0)
			task_lcore(&user[i].task, 1, user_run, &user[i]);
		else if (i == 1)
			task_lcore(&user[i].task, 2, user_run, &user[i]);
		else
			task_thread(&user[i].task, user_run, &user[i]);
	}
	/* It is this test that tends the region. */
	assert_int_equal(mag_maint_stop(), 0);
	do {
		mag_elastic_service(0);
		region_trimmed(region, 0);
		all = true;
		for (unsigned int i = 0; i < RTE_DIM(user); i++)
			all &= user[i].task.done;
	} while (!all);
	for (unsigned int i = 0; i < RTE_DIM(user); i++) {
		task_join(&user[i].task);
		assert_int_equal(user[i].missed, 0);
		assert_int_equal(user[i].clashes, 0);
	}
	assert_true(stats().trimmed > 0);
	assert_int_equal(mag_cache_reap_now(cache, true), 0);
	assert_int_equal(stats().segments, stats().segments_free);
	assert_int_equal(mag_cache_available(cache), stats().objects);
}

int
main(void)
{
	eal_start(3, NULL);
	observer = mag_elastic_on_want;
	return tests_run(NULL, NULL);
}
