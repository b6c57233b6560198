/* SPDX-License-Identifier: BSD-3-Clause */

/* elastic.c and wait.c: regions that grow and shrink, on ordinary pages; allocations that wait. */

#include <inttypes.h>
#include <numa.h>
#include <numaif.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <rte_cycles.h>
#include <rte_malloc.h>

#include "eal.h"
#include "base/numa.h"
#include "control/sizing.h"
#include "fixture.h"
#include "home/slab_objects.h"
#include "sources/elastic.h"
#include "sources/elastic_service.h"

#define SIZE 256
#define SEGMENTS 6
#define BLOCK 100 /* of the region of most tests */
#define ALL (SEGMENTS * BLOCK)
#define PAGE 4096

static struct mag_region *region;
static void (*observer)(void);
static void *objects[ALL + 1];

/* Of a region with so many objects. */
#define PARAMS(count, ...)                                                                         \
	REGION_PARAMS(.name = "elastic", .object_size = SIZE, .objects = count, __VA_ARGS__)

static void
make(struct mag_region_params params)
{
	region = make_region(params);
}

static void
cache_make(unsigned int flags)
{
	cache = make_cache(CACHE_PARAMS(.name = "elastic", .object_size = SIZE, .region = region,
					.flags = flags));
}

/* So many whole segments, no magazines, and no maintenance that sees how few there are. */
SETUP(setup_bare)
{
	make(PARAMS(ALL, .block = BLOCK, .mode = MAG_REGION_NOMAGAZINES));
	assert_int_equal(region->block, BLOCK);
	assert_int_equal(mag_elastic_segments_max(region), SEGMENTS);
	cache_make(MAG_CACHE_NOMAGAZINES);
	assert_int_equal(mag_maint_stop(), 0);
	mag_elastic_on_want = NULL;
}

/* And all objects of it are allocated. */
SETUP(setup_taken)
{
	setup_bare(state);
	region_grown(region, SEGMENTS);
	alloc_bulk(objects, ALL);
}

SETUP(setup)
{
	make(PARAMS(30000, .mode = 0));
	cache_make(0);
}

TEARDOWN(teardown)
{
	mag_elastic_on_want = observer;
	mag_maint_interval(0);
	mag_fault_nth(0);
	if (cache != NULL)
		drop_cache(cache);
	cache = NULL;
	if (region != NULL)
		drop_region(region);
	region = NULL;
}

static int
teardown_taken(void **state)
{
	free_bulk(objects, ALL);
	return teardown(state);
}

/* Layout */

TEST(test_records_take_a_twentieth_at_most_and_of_large_objects_two_fifths, NULL, teardown)
{
	static const uint32_t sizes[] = {256,    320,    512,     1024,    2048,    4096,    9000,
					 300000, 700000, 1500000, 2100000, 5000000, 40000000};

	for (unsigned int i = 0; i < RTE_DIM(sizes); i++) {
		bool large = sizes[i] > 10000;
		struct mag_region_stats now;

		make(REGION_PARAMS(.name = "elastic", .object_size = sizes[i],
				   .objects = large ? 20 : 1000000,
				   .mode = MAG_REGION_NOMAGAZINES));
		now = region_stats(region);
		assert_true(now.segment_objects >= 1);
		assert_true((double)now.segment_objects * sizes[i] >=
			    (large ? 0.6 : 0.95) * now.segment_bytes);
		/* A segment and EAL's header fill whole hugepages, but for what no object fits. */
		assert_true(large || (now.segment_bytes + 128) % (2 << 20) == 0 ||
			    (2 << 20) - (now.segment_bytes + 128) % (2 << 20) <
				    sizes[i] + 8 + 2 * 64);
		drop_region(region);
	}
	region = NULL;
}

TEST(test_segments_are_of_the_size_that_was_wanted, NULL, teardown)
{
	make(PARAMS(100000, .segment_size = 64 << 10));
	assert_in_range(region_stats(region).segment_bytes, (64 << 10) - SIZE - 8 - 128, 64 << 10);
}

TEST(test_objects_are_as_aligned_as_was_asked_for, NULL, teardown)
{
	static const uint32_t aligns[] = {0, 1, 8, 64, 128, 1024, 4096, 65536, 2 << 20};

	for (unsigned int i = 0; i < RTE_DIM(aligns); i++) {
		struct mag_cache_params its =
			CACHE_PARAMS(.name = "aligned", .object_size = 72, .align = aligns[i]);
		uint32_t align = RTE_MAX(aligns[i], 8u);

		its.region = region =
			make_region(REGION_PARAMS(.name = "elastic", .object_size = 72,
						  .objects = 300, .block = 10, .align = aligns[i]));
		cache = make_cache(its);
		assert_int_equal(region_grown(region, 9), 9);
		alloc_bulk(objects, 100);
		for (unsigned int j = 0; j < 100; j++) {
			assert_int_equal((uintptr_t)objects[j] % align, 0);
			memset(objects[j], 0x5a, 72);
		}
		free_bulk(objects, 100);
		drop_cache(cache);
		/* A cache that wants more than the region was made for is refused. */
		its.align = 2 * align;
		assert_null(mag_cache_create(&its));
		drop_region(region);
	}
	cache = NULL;
	region = NULL;
}

TEST(test_there_is_room_for_what_magazines_hold, NULL, teardown)
{
	make(PARAMS(1000, .block = 10));
	assert_in_range(region_stats(region).objects_max, 1000 + mag_magazine_max(SIZE),
			1009 + mag_magazine_max(SIZE));
	drop_region(region);
	make(PARAMS(1000, .block = 10, .mode = MAG_REGION_NOMAGAZINES));
	assert_int_equal(region_stats(region).objects_max, 1000);
}

TEST(test_a_monolithic_region_has_memory_for_the_lcores_that_there_are, NULL, teardown)
{
	make(PARAMS(1000, .mode = MAG_REGION_MONOLITHIC));
	print_message("# MONOLITHIC, 1000 objects of %u bytes: %" PRIu64 " objects, %" PRIu64
		      " bytes\n",
		      SIZE, region_stats(region).objects, region_stats(region).memory);
	assert_int_equal(region_stats(region).objects,
			 1000 + mag_magazine_max(SIZE) / mag_numa_nodes());
	assert_int_equal(region_stats(region).objects_max, region_stats(region).objects);
	assert_in_range(region_stats(region).memory, region_stats(region).objects * SIZE,
			(region_stats(region).objects * 9 / 8) * SIZE);
}

TEST(test_smaller_chunks_have_the_magazines_of_the_regions_objects, NULL, teardown)
{
	struct mag_cache_params its =
		CACHE_PARAMS(.name = "small", .object_size = 8, .flags = MAG_CACHE_DYNAMIC);

	make(PARAMS(1000, .mode = 0));
	its.region = region;
	its.options = "rounds=62";
	assert_refused_null(mag_cache_create(&its), EINVAL, "the first type is 14, the largest 30");
	its.options = NULL;
	cache = make_cache(its);
	assert_int_equal(cache_stats(cache).chunk_size, 8);
	assert_int_equal(cache_stats(cache).rounds, 14);
	assert_int_equal(mag_cache_resize(cache, 30, false), 0);
	assert_int_equal(mag_cache_type_grown(cache), 30);
	assert_refused(mag_cache_resize(cache, 126, false), EINVAL, "");
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
	struct task task[5];
	_Atomic unsigned int came = 0;
	uint64_t before, max;

	make(PARAMS(1000, .block = 1));
	cache_make(0);
	before = region_stats(region).objects_max;
	assert_int_equal(before, 1000 + mag_magazine_max(SIZE));
	for (unsigned int i = 0; i < RTE_DIM(task); i++)
		task_registered(&task[i], stay_run, &came);
	wait_until(atomic_load(&came) == RTE_DIM(task));
	max = 1000 + mag_magazine_max(SIZE);
	assert_true(max > before);
	assert_int_equal(region_stats(region).objects_max, max);
	/* It might have a segment in its hands. */
	assert_int_equal(mag_maint_stop(), 0);
	region_grown(region, max);
	assert_int_equal(region_stats(region).objects, max);
	atomic_store(&came, 200);
	for (unsigned int i = 0; i < RTE_DIM(task); i++)
		task_join(&task[i]);
	/* They may come again. */
	assert_int_equal(region_stats(region).objects_max, max);
}

/* Bad input */

TEST(test_what_cannot_be_is_refused_with_a_sentence, NULL, teardown)
{
	static const struct {
		const char *text;
		int error;
		uint32_t object_size;
		uint64_t objects;
		uint32_t mode, align, block;
		size_t segment_size;
		int node;
	} cases[] = {
		{"alignment must be a power of two", EINVAL, SIZE, 1000, 0, 48, 0, 0, -1},
		{"alignment must be a power of two", EINVAL, SIZE, 1000, 0, 4 << 20, 0, 0, -1},
		{"object size above 0", EINVAL, 0, 1000, 0, 0, 0, 0, -1},
		{"too much", EINVAL, UINT32_MAX, 1000, 0, 0, 0, 0, -1},
		{"too much", EINVAL, SIZE, UINT64_MAX, 0, 0, 0, 0, -1},
		{"too many segments", EINVAL, 64, UINT64_C(1) << 40, 0, 0, 1, 0, -1},
		{"too much", EINVAL, 1 << 24, UINT64_C(1) << 40, 0, 0, 0, 0, -1},
		{"no object fits", EINVAL, SIZE, 1000, 0, 0, 0, 400, -1},
		{"65534", EINVAL, SIZE, 70000, MAG_REGION_MONOLITHIC, 0, 0, 0, -1},
		{"not known", EINVAL, SIZE, 1000, 0x80000000, 0, 0, 0, -1},
		{"node 77", EINVAL, SIZE, 1000, 0, 0, 0, 0, 77},
		{"node 77", EINVAL, SIZE, 1000, MAG_REGION_MONOLITHIC | MAG_REGION_NOMAGAZINES, 0,
		 0, 0, 77},
		{"hugepages", ENOTSUP, SIZE, 1000, MAG_REGION_PHYSCONTIG, 0, 0, 0, -1},
		{"elastic", EINVAL, SIZE, 0, MAG_REGION_PERSISTENT, 0, 0, 0, -1},
		/* Guard pages are not contiguous in IO memory. */
		{"REDZONE and MEMTAG are of ordinary pages", ENOTSUP, SIZE, 100,
		 MAG_REGION_PHYSCONTIG | MAG_REGION_REDZONE, 0, 0, 0, -1},
	};

	for (unsigned int i = 0; i < RTE_DIM(cases); i++) {
		struct mag_region_params bad = {.size = sizeof(bad),
						.name = "elastic",
						.object_size = cases[i].object_size,
						.objects = cases[i].objects,
						.mode = cases[i].mode,
						.align = cases[i].align,
						.block = cases[i].block,
						.segment_size = cases[i].segment_size,
						.node = cases[i].node};

		assert_refused_null(mag_region_create(&bad), cases[i].error, cases[i].text);
	}
}

TEST(test_an_elastic_region_adopts_nothing, setup_bare, teardown)
{
	static char memory[SIZE];

	assert_refused(mag_region_adopt(region, (void *[]){memory}, 1, -1), EINVAL,
		       "adopts nothing");
}

TEST(test_every_allocation_that_fails_leaks_nothing, NULL, teardown)
{
	struct mag_region_params params = PARAMS(10000, .mode = 0);

	/* The region, its records, the one segment. */
	assert_int_equal(attempts((region = mag_region_create(&params)) != NULL ||
				  (assert_int_equal(rte_errno, ENOMEM), false)),
			 4);
}

TEST(test_sizes_beyond_32_bits_are_no_smaller_ones, NULL, teardown)
{
	make(PARAMS(UINT64_C(1) << 32, .mode = MAG_REGION_NOMAGAZINES, .segment_size = SIZE_MAX));
	assert_int_equal(region->block, MAG_REGION_BLOCK_MAX);
	assert_true(region_stats(region).objects_max >= UINT64_C(1) << 32);
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
	struct mag_region_stats now = region_stats(region);

	assert_int_equal(now.segments, 1);
	assert_int_equal(now.segments_max, SEGMENTS);
	assert_int_equal(region_grown(region, 2), 2);
	now = region_stats(region);
	assert_int_equal(now.segments, 3);
	assert_int_equal(now.objects, 3 * BLOCK);
	assert_int_equal(now.objects_free, 3 * BLOCK);
	rte_errno = 0;
	assert_int_equal(region_grown(region, 10), SEGMENTS - 3);
	assert_int_equal(rte_errno, ENOSPC);
	assert_int_equal(region_stats(region).memory,
			 SEGMENTS * region_stats(region).segment_bytes);
	assert_int_equal(region_trimmed(region, 2), SEGMENTS - 2);
	now = region_stats(region);
	assert_int_equal(now.segments, 2);
	assert_int_equal(now.objects, 2 * BLOCK);
	assert_int_equal(now.memory_free, 2 * now.segment_bytes);
	assert_int_equal(now.grown, SEGMENTS);
	assert_int_equal(now.trimmed, SEGMENTS - 2);
	assert_int_equal(region_trimmed(region, 0), 2);
	assert_int_equal(region_stats(region).objects, 0);
	assert_int_equal(region_grown(region, 1), 1);
}

TEST(test_a_region_is_destroyed_and_grows_where_its_list_and_pages_are, setup_bare, teardown)
{
	assert_int_equal(region_grown(region, 1), 1);
	region->elastic->process++;
	assert_refused(mag_region_destroy(region), EPERM, "made it: destroy it there");
	assert_refused(mag_region_grow(region, 1, NULL), EPERM,
		       "its pages are those of the process that made it");
	assert_int_equal(region_trimmed(region, 0), 0);
	region->elastic->process--;
	assert_int_equal(region_stats(region).segments, 2);
	assert_int_equal(region_trimmed(region, 0), 2);
}

/* From Linux 5.18 on, under its name of 2022. An emulator may say so and do nothing. */
static bool
kernel_drops_locked_pages(void)
{
	void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool drops;

	assert_ptr_not_equal(page, MAP_FAILED);
	drops = mlock(page, PAGE) == 0 && madvise(page, PAGE, 24) == 0 && resident(page, PAGE) == 0;
	munmap(page, PAGE);
	return drops;
}

TEST(test_memory_that_is_given_back_is_the_systems, setup_bare, teardown)
{
	size_t len = (size_t)BLOCK * SIZE;

	for (unsigned int locked = 0; locked < 1u + kernel_drops_locked_pages(); locked++) {
		region_grown(region, SEGMENTS);
		alloc_bulk(objects, ALL);
		for (unsigned int i = 0; i < ALL; i++)
			memset(objects[i], i, SIZE);
		assert_true(resident(objects[0], len) >= len / PAGE);
		if (locked)
			assert_int_equal(mlock(objects[0], len), 0);
		free_bulk(objects, ALL);
		assert_int_equal(region_trimmed(region, 0), SEGMENTS);
		assert_int_equal(resident(objects[0], len), 0);
	}
	/* And taken again. */
	assert_int_equal(region_grown(region, 1), 1);
	alloc_bulk(objects, BLOCK);
	memset(objects[0], 1, SIZE);
	free_bulk(objects, BLOCK);
}

/* Stand in front of libc's and libnuma's own: they fail with this. */
static int madvise_error, mbind_error;

int
madvise(void *addr, size_t length, int advice)
{
	if (madvise_error == 0)
		return LIBRARYS(madvise)(addr, length, advice);
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
	uint64_t trimmed = region_stats(region).trimmed;
	const char *log;

	assert_int_equal(region_grown(region, SEGMENTS - 1), SEGMENTS - 1);
	madvise_error = EINVAL;
	log_begin();
	assert_int_equal(region_trimmed(region, 0), 0);
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(region_grown(region, SEGMENTS), SEGMENTS);
		alloc_bulk(objects, ALL);
		memset(objects[i], i, SIZE);
		free_bulk(objects, ALL);
		assert_int_equal(region_trimmed(region, 0), 0);
	}
	log = log_end();
	assert_int_equal(count_lines(log), 1);
	assert_logged(log, "region \"elastic\": the system does not take");
	assert_logged(log, strerror(EINVAL));
	assert_int_equal(region_stats(region).trimmed, trimmed);
	madvise_error = 0;
	assert_int_equal(region_grown(region, 1), 1);
	assert_int_equal(region_trimmed(region, 0), 1);
	assert_int_equal(region_stats(region).trimmed, trimmed + 1);
}

TEST(test_memory_whose_node_the_kernel_does_not_choose_is_memory_all_the_same, setup_bare, teardown)
{
	char expected[64];

	if (numa_available() < 0) {
		printf("# skip: this kernel knows of no nodes\n");
		skip();
	}
	snprintf(expected, sizeof(expected), "mbind: %s", strerror(EPERM));
	mbind_error = EPERM;
	assert_says(expected, assert_int_equal(region_grown(region, 2), 2));
	mbind_error = 0;
	alloc_bulk(objects, 1);
	free_bulk(objects, 1);
}

TEST(test_segments_in_use_stay, setup_bare, teardown)
{
	void *first;

	assert_int_equal(region_grown(region, 3), 3);
	first = mag_cache_alloc(cache);
	alloc_bulk(objects, 250);
	memset(first, 0x77, SIZE);
	free_bulk(objects, 250);
	assert_int_equal(region_trimmed(region, 0), 3);
	for (unsigned int i = 0; i < SIZE; i++)
		assert_int_equal(((unsigned char *)first)[i], 0x77);
	mag_cache_free(cache, first);
	assert_int_equal(region_trimmed(region, 0), 1);
}

TEST(test_a_segment_that_could_not_be_had_leaves_its_index, setup_bare, teardown)
{
	for (unsigned int i = 0; i < SEGMENTS; i++) {
		mag_fault_nth(1);
		assert_refused(mag_region_grow(region, 1, NULL), ENOMEM,
			       "grew by 0 segments, not by 1");
	}
	assert_int_equal(region_grown(region, SEGMENTS), SEGMENTS - 1);
	assert_refused(mag_region_grow(region, 1, NULL), ENOSPC, "it is as large as it may be");
	assert_int_equal(region_stats(region).segments, SEGMENTS);
}

TEST(test_indices_are_used_again, setup_bare, teardown)
{
	struct mag_object_info info;

	for (unsigned int i = 0; i < 3 * SEGMENTS; i++) {
		assert_int_equal(region_trimmed(region, 0), i == 0 ? 1 : 2);
		assert_int_equal(region_grown(region, 2), 2);
		alloc_bulk(objects, 1);
		assert_int_equal(mag_cache_object_info(cache, objects[0], &info, NULL), 0);
		assert_in_range(info.region_index, 0, 2 * BLOCK - 1);
		free_bulk(objects, 1);
	}
}

TEST(test_a_persistent_region_gives_nothing_back_while_it_lives, NULL, teardown)
{
	make(PARAMS(600, .mode = MAG_REGION_PERSISTENT, .block = 100));
	assert_int_equal(mag_region_grow(region, 3, NULL), 0);
	assert_refused(mag_region_trim(region, 0, NULL), ENOTSUP, "PERSISTENT");
	mag_elastic_service(0);
	mag_elastic_service(0);
	assert_int_equal(region_stats(region).segments, 4);
	assert_int_equal(region_stats(region).wired, region_stats(region).memory);
}

TEST(test_a_monolithic_region_is_one_segment_from_the_beginning, NULL, teardown)
{
	make(PARAMS(ALL, .mode = MAG_REGION_MONOLITHIC | MAG_REGION_NOMAGAZINES));
	assert_int_equal(region_stats(region).segments, 1);
	assert_int_equal(region_stats(region).segment_objects, ALL);
	cache_make(MAG_CACHE_NOMAGAZINES);
	assert_int_equal(mag_cache_alloc_burst(cache, objects, ALL + 1), ALL);
	for (unsigned int i = 1; i < ALL; i++)
		assert_int_equal((char *)objects[i] - (char *)objects[i - 1], SIZE);
	assert_int_equal(region_stats(region).segments, 1);
	free_bulk(objects, ALL);
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
	struct mag_slab_object found;
	const char *segment;
	size_t span;

	make(PARAMS(ALL, .block = BLOCK, .mode = MAG_REGION_NOMAGAZINES | MAG_REGION_REDZONE));
	cache_make(MAG_CACHE_NOMAGAZINES);
	region_grown(region, SEGMENTS);
	alloc_bulk(objects, ALL);
	span = RTE_ALIGN_CEIL(region->elastic->segment_bytes, (size_t)PAGE);
	for (unsigned int i = 0; i < ALL; i += BLOCK) {
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
	free_bulk(objects, ALL);
	assert_int_equal(region_trimmed(region, 0), SEGMENTS);
}

/* Maintenance */

TEST(test_who_finds_less_than_the_reserve_leaves_word, setup_bare, teardown)
{
	assert_int_equal(region->elastic->wanted, 0);
	alloc_bulk(objects, 1);
	/* The last free segment became a slab. */
	assert_int_equal(region->elastic->wanted, 1);
	mag_elastic_service(UINT64_MAX);
	assert_int_equal(region->elastic->wanted, 0);
	assert_int_equal(region_stats(region).segments, 2);
	assert_int_equal(mag_cache_alloc_burst(cache, objects + 1, ALL), 2 * BLOCK - 1);
	assert_int_equal(region->elastic->wanted, 1);
	mag_elastic_service(UINT64_MAX);
	assert_int_equal(region_stats(region).segments, 3);
	free_bulk(objects, 2 * BLOCK);
}

static unsigned int told;

static void
observer_count(void)
{
	told++;
}

TEST(test_a_want_of_another_process_does_not_hide_that_of_our_own, setup_bare, teardown)
{
	told = 0;
	mag_elastic_on_want = observer_count;
	region->elastic->process++;
	mag_elastic_want(region, 0);
	region->elastic->process--;
	assert_int_equal(told, 0);
	alloc_bulk(objects, 1);
	assert_int_equal(told, 1);
	mag_elastic_service(UINT64_MAX);
	assert_int_equal(region_stats(region).segments, 2);
	/* What only the other one said, and what is no longer so. */
	region->elastic->process++;
	alloc_bulk(objects + 1, BLOCK);
	mag_elastic_want(region, 0);
	region->elastic->process--;
	mag_elastic_service(UINT64_MAX);
	assert_int_equal(region_stats(region).segments, 3);
	mag_elastic_want(region, 0);
	mag_elastic_service(UINT64_MAX);
	assert_int_equal(region_stats(region).segments, 3);
	free_bulk(objects, BLOCK + 1);
}

TEST(test_a_region_that_is_as_large_as_it_may_be_asks_nobody, setup_bare, teardown)
{
	region_grown(region, SEGMENTS);
	assert_int_equal(mag_cache_alloc_burst(cache, objects, ALL + 1), ALL);
	assert_int_equal(region->elastic->wanted, 0);
	free_bulk(objects, ALL);
}

TEST(test_a_system_without_memory_is_left_alone_for_a_while, setup_bare, teardown)
{
	alloc_bulk(objects, 1);
	mag_fault_nth(1);
	assert_true(mag_elastic_service(UINT64_MAX).low);
	mag_fault_nth(0);
	assert_int_equal(region_stats(region).grow_fails, 1);
	assert_int_equal(mag_cache_alloc_burst(cache, objects + 1, ALL), BLOCK - 1);
	assert_int_equal(region->elastic->wanted, 0);
	assert_false(mag_elastic_service(UINT64_MAX).low);
	assert_int_equal(region_stats(region).segments, 1);
	rte_delay_ms(1100);
	assert_null(mag_cache_alloc(cache));
	assert_int_equal(region->elastic->wanted, 1);
	mag_elastic_service(UINT64_MAX);
	assert_int_equal(region_stats(region).segments, 2);
	free_bulk(objects, BLOCK);
}

TEST(test_what_was_not_needed_for_an_interval_is_given_back, setup_bare, teardown)
{
	static const struct {
		int objects; /* that are allocated, then freed, during the interval */
		int kept;    /* the same, but only allocated, or freed if below 0 */
		uint32_t segments;
	} intervals[] = {
		/* The first one saw the region grow: not all was free all the time. */
		{0, 0, SEGMENTS},
		{300, 0, SEGMENTS - 2},
		{0, 0, 1},
		{0, 0, 1},
		/* What is freed during an interval stays for another. */
		{0, 300, 4},
		{0, 0, 4},
		{0, -300, 4},
		{0, 0, 1},
	};

	region_grown(region, SEGMENTS - 1);
	for (unsigned int i = 0; i < RTE_DIM(intervals); i++) {
		alloc_bulk(objects, intervals[i].objects);
		free_bulk(objects, intervals[i].objects);
		if (intervals[i].kept > 0) {
			region_grown(region, 3);
			alloc_bulk(objects, intervals[i].kept);
		} else {
			free_bulk(objects, -intervals[i].kept);
		}
		mag_elastic_service(0);
		assert_int_equal(region_stats(region).segments, intervals[i].segments);
	}
}

TEST(test_maintenance_grows_and_trims, setup, teardown)
{
	assert_int_equal(mag_maint_interval(5), 0);
	for (unsigned int n = 0; n < ALL; n++) {
		wait_until((objects[n] = mag_cache_alloc(cache)) != NULL);
		memset(objects[n], n, SIZE);
	}
	free_bulk(objects, ALL);
}

static struct mag_cache *
full_cache_make(struct mag_region *of, const char *name)
{
	struct mag_cache *made =
		make_cache(CACHE_PARAMS(.name = name, .object_size = SIZE, .region = of));

	mag_cache_free(made, mag_cache_alloc(made));
	assert_int_equal(mag_cache_in_lcores(made), 1);
	return made;
}

#define CROWD 120000

static uint64_t
heap_bytes(void)
{
	struct rte_malloc_socket_stats stats;

	assert_int_equal(rte_malloc_get_socket_stats(0, &stats), 0);
	return stats.heap_allocsz_bytes;
}

TEST(test_a_cache_takes_memory_for_the_magazines_that_it_needs, NULL, teardown)
{
	static void *many[CROWD];
	uint64_t before;
	size_t begun;

	make(PARAMS(50000000, .mode = 0));
	before = heap_bytes();
	cache_make(0);
	assert_in_range(heap_bytes() - before, 1, 1 << 20);
	begun = mag_arena_size(&cache->first.arena);
	region_grown(region, CROWD / region->block + 1);
	alloc_bulk(many, CROWD);
	assert_int_equal(mag_arena_size(&cache->first.arena), begun);
	free_bulk(many, CROWD);
	wait_until(mag_arena_size(&cache->first.arena) > begun);
	assert_in_range(mag_arena_size(&cache->first.arena), 2 * begun, CROWD * SIZE / 20);
}

TEST(test_a_region_that_cannot_have_a_segment_has_the_caches_on_all_reclaimed, setup_bare, teardown)
{
	struct ground plain = ground_make(100, SIZE, 10, 0);
	struct mag_region *other = make_region(PARAMS(10000, .mode = 0));
	struct mag_cache *on_other, *on_plain, *on_other_too;

	assert_int_equal(region_grown(other, 1), 1);
	on_other = full_cache_make(other, "other");
	on_plain = full_cache_make(plain.region, "plain");
	on_other_too = full_cache_make(other, "other too");
	alloc_bulk(objects, 1);
	assert_int_equal(region->elastic->wanted, 1);
	mag_fault_nth(1);
	observer();
	/* Whichever comes first, the one between them was passed by then. */
	wait_until(mag_cache_in_lcores(on_other) == 0 && mag_cache_in_lcores(on_other_too) == 0);
	mag_fault_nth(0);
	assert_int_equal(region_stats(region).grow_fails, 1);
	/* Enabled again; and what cannot give memory back was left alone. */
	wait_until(MAG_LOAD(&on_other->first.slot[0].size, MAG_RELAXED) != 0);
	assert_int_equal(mag_cache_in_lcores(on_plain), 1);
	free_bulk(objects, 1);
	drop_cache(on_other);
	drop_cache(on_plain);
	drop_cache(on_other_too);
	drop_region(other);
	ground_drop(&plain);
}

/* Waiting */

TEST(test_who_waits_has_a_segment_at_once, setup_bare, teardown)
{
	for (unsigned int i = 0; i < ALL; i++)
		assert_non_null(objects[i] = mag_cache_alloc_wait(cache, 1000000));
	assert_int_equal(region_stats(region).segments, SEGMENTS);
	free_bulk(objects, ALL);
}

TEST(test_who_waits_for_many_has_all_the_segments_at_once, setup_bare, teardown)
{
	assert_int_equal(region_stats(region).segments, 1);
	/* It tries once. */
	assert_int_equal(alloc_waited(cache, objects, ALL - 1, 1), ALL - 1);
	assert_int_equal(region_stats(region).segments, SEGMENTS);
	free_bulk(objects, ALL - 1);
	assert_int_equal(alloc_waited(cache, objects, 0, 1000000), 0);
}

TEST(test_who_waits_for_too_many_has_none_and_keeps_none, setup_bare, teardown)
{
	rte_errno = 0;
	assert_int_equal(alloc_waited(cache, objects, ALL + 1, 5000), 0);
	assert_int_equal(rte_errno, ETIMEDOUT);
	assert_int_equal(mag_cache_available(cache), ALL);
	assert_int_equal(cache->common.transit, 0);
}

TEST(test_a_wait_ends_when_it_was_told_to, setup_taken, teardown_taken)
{
	uint64_t start = rte_rdtsc();

	rte_errno = 0;
	assert_null(mag_cache_alloc_wait(cache, 50000));
	assert_int_equal(rte_errno, ETIMEDOUT);
	assert_true((rte_rdtsc() - start) * 1000000 / rte_get_tsc_hz() >= 50000);
}

TEST(test_a_timeout_of_0_is_one_try, setup_bare, teardown_taken)
{
	uint64_t start = rte_rdtsc();
	void *one;

	for (unsigned int n = 0; n < ALL; n++)
		assert_non_null(objects[n] = mag_cache_alloc_wait(cache, 0));
	rte_errno = 0;
	assert_null(mag_cache_alloc_wait(cache, 0));
	assert_int_equal(rte_errno, ETIMEDOUT);
	assert_int_equal(alloc_waited(cache, &one, 1, 0), 0);
	assert_true(rte_rdtsc() - start < MAG_WAIT_DEFAULT / 1000000 * rte_get_tsc_hz());
}

TEST(test_who_waits_has_what_other_regions_have_to_spare, setup_bare, teardown)
{
	struct mag_region *other =
		make_region(PARAMS(ALL, .block = BLOCK, .mode = MAG_REGION_NOMAGAZINES));

	assert_int_equal(region_grown(other, SEGMENTS - 1), SEGMENTS - 1);
	alloc_bulk(objects, 100);
	mag_fault_nth(1);
	assert_non_null(objects[100] = mag_cache_alloc_wait(cache, 10000000));
	assert_int_equal(mag_fault_asked(), 2);
	mag_fault_nth(0);
	/* Its reserve. */
	assert_int_equal(MAG_STAT(other->segments), 1);
	free_bulk(objects, 101);
	drop_region(other);
}

#define MANY 10

static struct {
	void *object[MANY];
	unsigned int wanted, got;
	uint64_t timeout;
	int error;
	_Atomic bool waits;
	struct task task;
} waiter;

static void
wait_run(void *arg __rte_unused)
{
	waiter.waits = true;
	waiter.got = alloc_waited(cache, waiter.object, waiter.wanted, waiter.timeout);
	waiter.error = rte_errno;
}

/* A thread waits for so many objects; long enough for it to have looked more than once. */
static void
waiter_begin(unsigned int wanted, uint64_t timeout)
{
	waiter.wanted = wanted;
	waiter.timeout = timeout;
	waiter.waits = false;
	task_thread(&waiter.task, wait_run, NULL);
	wait_until(waiter.waits);
	let_pass(20);
	assert_false(waiter.task.done);
}

TEST(test_who_waits_for_many_holds_none_meanwhile, setup_taken, teardown_taken)
{
	waiter_begin(MANY, MAG_WAIT_DEFAULT);
	free_bulk(objects, MANY - 1);
	let_pass(20);
	assert_false(waiter.task.done);
	wait_until(mag_cache_alloc_burst(cache, objects, MANY - 1) == MANY - 1);
	free_bulk(objects, MANY);
	task_join(&waiter.task);
	assert_int_equal(waiter.got, MANY);
	memcpy(objects, waiter.object, sizeof(waiter.object));
}

TEST(test_who_waits_however_long_is_woken_by_a_free, setup_taken, teardown_taken)
{
	const uint64_t timeouts[] = {MAG_WAIT_DEFAULT, UINT64_MAX, UINT64_MAX / 2,
				     UINT64_MAX / 1000};

	for (unsigned int i = 0; i < RTE_DIM(timeouts); i++) {
		waiter_begin(1, timeouts[i]);
		mag_cache_free(cache, objects[0]);
		task_join(&waiter.task);
		assert_ptr_equal(waiter.object[0], objects[0]);
	}
}

static void
nothing(int signal __rte_unused)
{
}

TEST(test_a_wait_ends_with_a_signal_and_loses_nothing, setup_taken, teardown_taken)
{
	struct sigaction action = {.sa_handler = nothing}, old;

	sigaction(SIGUSR1, &action, &old);
	waiter_begin(1, MAG_WAIT_DEFAULT);
	while (!waiter.task.done) {
		pthread_kill((pthread_t)waiter.task.thread, SIGUSR1);
		let_pass(5);
	}
	task_join(&waiter.task);
	sigaction(SIGUSR1, &old, NULL);
	assert_int_equal(waiter.got, 0);
	assert_int_equal(waiter.error, EINTR);
	assert_int_equal(mag_cache_available(cache), 0);
	assert_int_equal(cache->common.transit, 0);
}

static uint64_t
segment_of(struct mag_cache *its, const void *object)
{
	struct mag_object_info info;

	assert_int_equal(mag_cache_object_info(its, object, &info, NULL), 0);
	return info.region_index / region->block;
}

TEST(test_who_waits_has_what_the_other_cache_of_the_region_holds, NULL, teardown)
{
	struct mag_cache *other;
	uint64_t max, kept = 0;
	void **all, *object;

	make(PARAMS(200, .block = 4));
	cache_make(0);
	other = cache;
	cache_make(0);
	max = region_stats(region).objects_max;
	all = calloc(max, sizeof(*all));
	region_grown(region, region_stats(region).segments_max);
	assert_int_equal(mag_cache_alloc_burst(other, all, max), max);
	/* The objects of one segment are in a magazine of the other cache. */
	for (uint64_t i = 0; i < max; i++) {
		if (segment_of(other, all[i]) == 7)
			mag_cache_free(other, all[i]);
		else
			all[kept++] = all[i];
	}
	assert_int_equal(max - kept, region->block);
	assert_null(mag_cache_alloc(cache));
	object = mag_cache_alloc_wait(cache, 1000000);
	assert_non_null(object);
	assert_int_equal(segment_of(cache, object), 7);
	mag_cache_free(cache, object);
	mag_cache_free_bulk(other, all, kept);
	free(all);
	drop_cache(other);
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
	unsigned int n;
	void *its[64];

	for (unsigned int turn = 0; turn < TURNS; turn++) {
		if (turn % 8 == 0) {
			n = alloc_waited(cache, its, 1, 1000000);
			user->missed += n == 0;
		} else {
			n = mag_cache_alloc_burst(cache, its, rand_r(&user->seed) % 64 + 1);
		}
		for (unsigned int i = 0; i < n; i++)
			memset(its[i], user->seed, SIZE);
		for (unsigned int i = 0; i < n; i++)
			user->clashes +=
				((unsigned char *)its[i])[SIZE - 1] != (unsigned char)user->seed;
		free_bulk(its, n);
		if (turn % 64 == 0)
			cache_reap_all();
	}
}

TEST(test_nobody_notices_that_memory_comes_and_goes, setup, teardown)
{
	static struct user user[4];
	unsigned int i;
	bool all;

	assert_int_equal(region_grown(region, 1), 1);
	for (i = 0; i < RTE_DIM(user); i++) {
		user[i] = (struct user){.seed = i + 1};
		if (i < 2)
			task_lcore(&user[i].task, i + 1, user_run, &user[i]);
		else
			task_thread(&user[i].task, user_run, &user[i]);
	}
	/* This test services the region. */
	assert_int_equal(mag_maint_stop(), 0);
	do {
		mag_elastic_service(0);
		region_trimmed(region, 0);
		for (all = true, i = 0; i < RTE_DIM(user); i++)
			all &= user[i].task.done;
	} while (!all);
	for (i = 0; i < RTE_DIM(user); i++) {
		task_join(&user[i].task);
		assert_int_equal(user[i].missed, 0);
		assert_int_equal(user[i].clashes, 0);
	}
	assert_true(region_stats(region).trimmed > 0);
	assert_int_equal(cache_reap_all(), 0);
	assert_int_equal(region_stats(region).segments, region_stats(region).segments_free);
	assert_int_equal(mag_cache_available(cache), region_stats(region).objects);
}

int
main(void)
{
	eal_start(3, NULL);
	observer = mag_elastic_on_want;
	return tests_run(NULL, NULL);
}
