/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * memtag.c and MEMTAG regions: where there are memory tags, that they stop who has no business
 * there.
 */

#include "eal.h"

#include <signal.h>
#include <sys/mman.h>

#include "base/memtag.h"
#include "fixture.h"
#include "parts/map.h"
#include "visits/steal.h"

#define SIZE 64
#define BLOCK 100
#define SEGMENTS 4
#define TAG_SHIFT 56
#define ANY_TAG ((uintptr_t)0xff << TAG_SHIFT)

/* The kernel's, which older headers do not have. */
#define MTE_FAULT 9 /* SEGV_MTESERR */

static void *objects[BLOCK * SEGMENTS * 2];

static struct mag_region_params
region_params(uint32_t mode)
{
	return REGION_PARAMS(.name = "tagged", .object_size = SIZE, .block = BLOCK,
			     .objects = BLOCK * SEGMENTS, .mode = MAG_REGION_MEMTAG | mode);
}

static void
make(struct mag_region_params params, uint32_t flags)
{
	fixture_elastic(params, CACHE_PARAMS(.name = "tagged", .object_size = params.object_size,
					     .flags = flags));
}

SETUP(setup)
{
	make(region_params(0), 0);
}

SETUP(setup_slab)
{
	make(region_params(MAG_REGION_NOMAGAZINES), MAG_CACHE_NOMAGAZINES);
}

SETUP(setup_mirror)
{
	struct mag_region_params params = region_params(0);

	params.mirror = 24;
	make(params, 0);
}

static unsigned int
tag_of(const void *pointer)
{
	return (uintptr_t)pointer >> TAG_SHIFT;
}

static void *
with_tag(const void *pointer, unsigned int tag)
{
	return (void *)(((uintptr_t)pointer & ~ANY_TAG) | (uintptr_t)tag << TAG_SHIFT);
}

/* That of the memory. */
static unsigned int
memory_tag(const void *pointer)
{
	return tag_of(mag_memtag_pointer(pointer));
}

static sigjmp_buf fault;
static volatile sig_atomic_t fault_code;

static void
on_fault(int number __rte_unused, siginfo_t *info, void *context __rte_unused)
{
	fault_code = info->si_code;
	siglongjmp(fault, 1);
}

/* 0, or the code of the signal that reading, or writing, this byte brings. */
static int
touch(void *at, bool write)
{
	struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO}, old;
	volatile char *byte = at;

	fault_code = 0;
	sigaction(SIGSEGV, &action, &old);
	if (sigsetjmp(fault, 1) == 0) {
		if (write)
			*byte = 1;
		else
			(void)*byte;
	}
	sigaction(SIGSEGV, &old, NULL);
	return fault_code;
}

#define assert_stopped(at)                                                                         \
	do {                                                                                       \
		assert_int_equal(touch(at, false), MTE_FAULT);                                     \
		assert_int_equal(touch(at, true), MTE_FAULT);                                      \
	} while (0)

#define assert_usable(object)                                                                      \
	do {                                                                                       \
		assert_int_equal(touch(object, true), 0);                                          \
		assert_int_equal(touch((char *)(object) + SIZE - 1, true), 0);                     \
	} while (0)

/* Where there are none */

TEST(test_tags_that_are_not_there_are_refused)
{
	struct mag_region_params params = region_params(0);
	char expected[128];

	if (mag_memtag_missing() == NULL)
		skip();
	snprintf(expected, sizeof(expected), "%s", mag_memtag_missing());
	assert_refused_null(mag_region_create(&params), ENOTSUP, expected);
	assert_refused_null(mag_region_create(&params), ENOTSUP, "region \"tagged\"");
	assert_int_equal(mag_memtag_enable(), -ENOTSUP);
}

/* Everywhere */

TEST(test_adopted_memory_has_no_tags)
{
	struct mag_region_params params = region_params(0);

	params.objects = 0;
	assert_refused_null(mag_region_create(&params), EINVAL, "MEMTAG are for elastic");
}

/* Where there are */

static const int with_tags = __LINE__;

TEST(test_contiguous_io_memory_has_no_tags)
{
	struct mag_region_params params = region_params(MAG_REGION_PHYSCONTIG);

	assert_refused_null(mag_region_create(&params), ENOTSUP,
			    "REDZONE and MEMTAG are of ordinary pages");
}

TEST(test_an_object_can_be_used_through_its_pointer_alone, setup, fixture_teardown)
{
	void *object = mag_cache_alloc(cache);

	assert_usable(object);
	for (unsigned int tag = 0; tag < 16; tag++)
		if (tag != tag_of(object))
			assert_stopped(with_tag(object, tag));
	mag_cache_free(cache, object);
}

TEST(test_a_use_after_a_free_is_stopped, setup, fixture_teardown)
{
	alloc_bulk(objects, BLOCK);
	mag_cache_free(cache, objects[0]);
	assert_true(mag_cache_reachable(cache) > 0);
	mag_cache_free_nocache(cache, objects[1]);
	free_bulk(objects + 2, BLOCK - 2);
	for (unsigned int i = 0; i < BLOCK; i++) {
		assert_stopped(objects[i]);
		assert_stopped((char *)objects[i] + SIZE - 1);
	}
}

TEST(test_a_stale_pointer_is_stopped_when_the_object_is_somebody_elses, setup, fixture_teardown)
{
	void *stale = mag_cache_alloc(cache), *again;

	mag_cache_free(cache, stale);
	again = mag_cache_alloc(cache);
	assert_ptr_equal(with_tag(again, 0), with_tag(stale, 0));
	assert_usable(again);
	assert_stopped(stale);
	mag_cache_free(cache, again);
}

static void
assert_alone(void *object)
{
	assert_usable(object);
	assert_stopped((char *)object - 1);
	assert_stopped((char *)object + SIZE);
}

TEST(test_who_runs_over_either_end_of_an_object_is_stopped, setup, fixture_teardown)
{
	unsigned int i;

	assert_int_equal(region_grown(cache->region, 1), 1);
	alloc_bulk(objects, BLOCK * 2);
	for (i = 0; i < BLOCK * 2; i++)
		assert_alone(objects[i]);
	/* Neighbours differ after any number of frees. */
	for (unsigned int round = 0; round < 200; round++) {
		i = random_below(BLOCK);
		mag_cache_free(cache, objects[i]);
		objects[i] = mag_cache_alloc(cache);
		assert_alone(objects[i]);
	}
	free_bulk(objects, BLOCK * 2);
}

TEST(test_a_tag_is_fresh_when_an_object_leaves_and_enters_the_slabs, setup_slab, fixture_teardown)
{
	unsigned int inside;
	void *object = mag_cache_alloc(cache), *again;

	for (unsigned int round = 0; round < 100; round++) {
		mag_cache_free(cache, object);
		inside = memory_tag(object);
		assert_int_not_equal(inside, tag_of(object));
		again = mag_cache_alloc(cache);
		assert_ptr_equal(with_tag(again, 0), with_tag(object, 0));
		assert_int_not_equal(tag_of(again), inside);
		assert_int_not_equal(tag_of(again), tag_of(object));
		object = again;
	}
	mag_cache_free(cache, object);
}

TEST(test_a_tag_is_fresh_in_a_magazine_and_stays_until_the_next_free, setup, fixture_teardown)
{
	void *object = mag_cache_alloc(cache), *again;
	unsigned int inside;

	for (unsigned int round = 0; round < 100; round++) {
		mag_cache_free(cache, object);
		inside = memory_tag(object);
		assert_int_not_equal(inside, tag_of(object));
		assert_int_not_equal(inside, 0);
		again = mag_cache_alloc(cache);
		assert_int_equal(tag_of(again), inside);
		object = again;
	}
	mag_cache_free(cache, object);
}

TEST(test_a_tag_is_fresh_when_a_magazine_is_emptied_into_the_slabs, setup, fixture_teardown)
{
	void *other = mag_cache_alloc(cache), *object = mag_cache_alloc(cache), *again;
	unsigned int inside;

	for (unsigned int round = 0; round < 100; round++) {
		mag_cache_free(cache, object);
		inside = memory_tag(object);
		assert_int_equal(cache_reap_all(), 0);
		assert_int_equal(cache->first.slab.out, 1);
		assert_int_not_equal(memory_tag(object), inside);
		assert_stopped(object);
		again = mag_cache_alloc(cache);
		assert_ptr_equal(with_tag(again, 0), with_tag(object, 0));
		assert_stopped(object);
		object = again;
	}
	mag_cache_free(cache, object);
	mag_cache_free(cache, other);
}

TEST(test_all_tags_come_but_those_of_nobody_and_of_neighbours, setup, fixture_teardown)
{
	unsigned int seen = 0;

	alloc_bulk(objects, 3);
	assert_ptr_equal(with_tag(objects[1], 0), with_tag((char *)objects[0] + SIZE, 0));
	for (unsigned int round = 0; round < 2000; round++) {
		seen |= 1u << tag_of(objects[1]);
		mag_cache_free(cache, objects[1]);
		objects[1] = mag_cache_alloc(cache);
	}
	assert_int_equal(seen, 0xfffe & ~(1u << tag_of(objects[0]) | 1u << tag_of(objects[2])));
	free_bulk(objects, 3);
}

TEST(test_look_ups_ignore_the_tag, setup_slab, fixture_teardown)
{
	struct mag_object_info info, other;
	void *object = mag_cache_alloc(cache);

	assert_int_equal(mag_cache_object_info(cache, object, &info, NULL), 0);
	assert_ptr_equal(info.address, object);
	for (unsigned int tag = 0; tag < 16; tag++) {
		assert_int_equal(mag_cache_object_info(cache, with_tag(object, tag), &other, NULL),
				 0);
		assert_ptr_equal(other.address, object);
		assert_int_equal(other.region_index, info.region_index);
	}
	mag_cache_free(cache, with_tag(object, tag_of(object) ^ 1));
	assert_int_equal(cache->first.slab.out, 0);
	assert_int_equal(cache->first.slab.invalid, 0);
}

TEST(test_parts_are_found_whatever_the_tag)
{
	static struct mag_region parts;
	struct mag_map *map;

	assert_int_equal(mag_map_with(NULL, 0x2000, 0x2fff, 1, MAG_NODE_ANY, &map), 0);
	mag_map_publish(&parts.map, map);
	assert_int_equal(mag_region_part_of(&parts, with_tag((void *)0x1800, 15)), 0);
	assert_int_equal(mag_region_part_of(&parts, with_tag((void *)0x2800, 15)), 1);
	mag_map_forget(&parts.map);
}

TEST(test_what_is_no_object_leaves_the_tags_of_others_alone, setup_slab, fixture_teardown)
{
	char *object = mag_cache_alloc(cache), *next = mag_cache_alloc(cache);

	mag_cache_free_nocache(cache, object + MAG_MEMTAG_GRANULE);
	mag_cache_free(cache, object + MAG_MEMTAG_GRANULE);
	assert_int_equal(cache->first.slab.invalid, 2);
	assert_usable(object);
	assert_usable(next);
	mag_cache_free(cache, object);
	mag_cache_free(cache, object);
	assert_int_equal(cache->first.slab.invalid, 3);
	mag_cache_free(cache, next);
}

TEST(test_an_object_that_is_freed_twice_stops_one_of_its_two_users, setup, fixture_teardown)
{
	void *object = mag_cache_alloc(cache), *one, *two;

	mag_cache_free(cache, object);
	mag_cache_free(cache, object);
	one = mag_cache_alloc(cache);
	two = mag_cache_alloc(cache);
	assert_ptr_equal(with_tag(one, 0), with_tag(two, 0));
	assert_usable(one);
	assert_stopped(two);
	mag_cache_free_nocache(cache, one);
}

TEST(test_an_object_twice_in_one_bulk_is_cleared_once, setup_slab, fixture_teardown)
{
	assert_true(cache->flags & MAG_CACHE_CLEARONFREE);
	objects[0] = objects[1] = mag_cache_alloc(cache);
	free_bulk(objects, 2);
	assert_int_equal(cache->first.slab.invalid, 1);
	assert_int_equal(cache->first.slab.out, 0);
}

static unsigned int constructed, destructed;
static void *constructed_last;

static int
construct(const struct mag_object_info *object, const struct mag_object_info *mirror __rte_unused,
	  void *arg, unsigned int flags __rte_unused)
{
	unsigned int *left = arg;

	memset(object->address, 0x11, object->size);
	constructed_last = object->address;
	constructed++;
	return left != NULL && (*left)-- == 0;
}

static void
destruct(void *object, void *arg __rte_unused)
{
	memset(object, 0x22, SIZE);
	destructed++;
}

static void
remake(void *arg, uint32_t flags)
{
	struct mag_region *region = cache->region;

	drop_cache(cache);
	constructed = destructed = 0;
	cache = make_cache(CACHE_PARAMS(.name = "tagged", .region = region, .object_size = SIZE,
					.constructor = construct, .destructor = destruct,
					.arg = arg, .flags = flags));
}

TEST(test_callbacks_and_clears_touch_objects_with_their_tag, setup, fixture_teardown)
{
	void *object;

	remake(NULL, MAG_CACHE_CLEARONFREE);
	object = mag_cache_alloc(cache);
	assert_ptr_equal(constructed_last, object);
	mag_cache_free(cache, object);
	mag_cache_free_nocache(cache, mag_cache_alloc(cache));
	assert_int_equal(destructed, 1);
	assert_int_equal(*(char *)mag_memtag_pointer(object), 0);
	/* By a stale pointer too. */
	object = mag_cache_alloc(cache);
	mag_cache_free_nocache(cache, with_tag(object, tag_of(object) ^ 1));
	assert_int_equal(destructed, 2);
}

TEST(test_an_object_that_was_not_constructed_gets_another_tag, setup, fixture_teardown)
{
	unsigned int left = 0;

	remake(&left, 0);
	assert_null(mag_cache_alloc(cache));
	assert_int_equal(constructed, 1);
	assert_stopped(constructed_last);
}

TEST(test_objects_outlive_a_reap_and_a_purge, setup, fixture_teardown)
{
	for (unsigned int all = 0; all < 2; all++) {
		alloc_bulk(objects, BLOCK);
		for (unsigned int i = 0; i < BLOCK; i++)
			memset(objects[i], i, SIZE);
		/* Every other one is somewhere in the cache. */
		for (unsigned int i = 0; i < BLOCK; i += 2)
			mag_cache_free(cache, objects[i]);
		assert_int_equal(mag_cache_reap_now(cache, all), 0);
		assert_true(!all || cache->first.slab.out == BLOCK / 2);
		for (unsigned int i = 1; i < BLOCK; i += 2) {
			assert_stopped(objects[i - 1]);
			assert_int_equal(*(uint8_t *)objects[i], i);
			assert_int_equal(((uint8_t *)objects[i])[SIZE - 1], i);
			mag_cache_free(cache, objects[i]);
		}
	}
}

static void
alloc_and_free(void *arg __rte_unused)
{
	void *its[BLOCK];

	alloc_bulk(its, BLOCK);
	for (unsigned int i = 0; i < BLOCK; i++)
		assert_usable(its[i]);
	free_bulk(its, BLOCK);
	/* EAL's threads check too. */
	assert_stopped(its[0]);
}

TEST(test_stolen_objects_can_be_used, setup, fixture_teardown)
{
	unsigned int n = 0;

	run_on_lcore(1, alloc_and_free, NULL);
	while (n < RTE_DIM(objects) && (objects[n] = mag_cache_alloc(cache)) != NULL) {
		assert_usable(objects[n]);
		n++;
	}
	assert_true(cache->common.steals > 0);
	while (n > 0)
		mag_cache_free(cache, objects[--n]);
}

static void
free_one(void *object)
{
	mag_cache_free(cache, object);
}

TEST(test_who_frees_it_elsewhere_makes_it_stale_here, setup, fixture_teardown)
{
	void *object = mag_cache_alloc(cache);

	run_on_lcore(1, free_one, object);
	assert_stopped(object);
	object = mag_cache_alloc(cache);
	run_on_thread(free_one, object);
	assert_stopped(object);
}

TEST(test_the_mirror_is_found_from_the_object_and_back, setup_mirror, fixture_teardown)
{
	const struct mag_mirror *mirror = mag_region_mirror(cache->region);
	void *object = mag_cache_alloc(cache), *its = mag_mirror_of(mirror, object);

	assert_non_null(its);
	assert_ptr_equal(mag_mirror_of(mirror, with_tag(object, 0)), its);
	memset(its, 0x33, 24);
	for (unsigned int round = 0; round < 20; round++) {
		assert_ptr_equal(mag_mirror_of(mirror, object), its);
		assert_ptr_equal(mag_mirror_object(mirror, its), object);
		mag_cache_free(cache, object);
		object = mag_cache_alloc(cache);
	}
	mag_cache_free_nocache(cache, object);
	object = mag_cache_alloc(cache);
	assert_ptr_equal(mag_mirror_object(mirror, mag_mirror_of(mirror, object)), object);
	assert_int_equal(*(char *)its, 0x33);
	mag_cache_free(cache, object);
}

TEST(test_any_size_and_alignment_becomes_whole_granules, NULL, fixture_teardown)
{
	struct mag_region_params params = region_params(0);

	params.object_size = 25;
	params.align = 8;
	fixture_elastic(params, CACHE_PARAMS(.name = "tagged", .object_size = 25, .align = 16));
	assert_int_equal(cache->region->object_size, 32);
	assert_int_equal(cache->region->stride, 32);
	alloc_bulk(objects, 3);
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal((uintptr_t)objects[i] % 16, 0);
		assert_int_equal(touch((char *)objects[i] + 24, true), 0);
		assert_stopped((char *)objects[i] + 32);
		mag_cache_free(cache, objects[i]);
	}
}

TEST(test_the_last_object_of_a_page_has_no_neighbour, setup, fixture_teardown)
{
	struct mag_region_params params = region_params(MAG_REGION_NOMAGAZINES);
	bool at_the_end = false;
	char *object;

	params.objects = params.block = 1;
	for (params.object_size = 3072; params.object_size < 4096; params.object_size += 16) {
		fixture_drop();
		make(params, MAG_CACHE_NOMAGAZINES);
		object = mag_cache_alloc(cache);
		at_the_end |= ((uintptr_t)object + params.object_size + 16) % 4096 == 0;
		mag_cache_free(cache, object);
		assert_stopped(object);
	}
	assert_true(at_the_end);
}

/* What the library gives back to the system passes by here. */
static char *watched;
static unsigned int given, given_with_tags;

int
madvise(void *addr, size_t length, int advice)
{
	if (watched >= (char *)addr && watched < (char *)addr + length) {
		given++;
		for (size_t at = 0; at < length; at += MAG_MEMTAG_GRANULE)
			given_with_tags += memory_tag((char *)addr + at) != 0;
	}
	return LIBRARYS(madvise)(addr, length, advice);
}

static void
watch(const void *object)
{
	watched = with_tag(object, 0);
	given = given_with_tags = 0;
}

TEST(test_tags_are_restored_before_a_segment_goes_back, setup_slab, fixture_teardown)
{
	void *object;

	alloc_bulk(objects, BLOCK);
	watch(objects[0]);
	free_bulk(objects, BLOCK);
	/* Another one may have come for the reserve. */
	assert_int_not_equal(region_trimmed(cache->region, 0), 0);
	assert_int_not_equal(given, 0);
	assert_int_equal(given_with_tags, 0);
	assert_int_equal(region_grown(cache->region, 1), 1);
	object = mag_cache_alloc(cache);
	assert_usable(object);
	mag_cache_free(cache, object);
}

TEST(test_tags_are_restored_before_a_region_goes, setup, fixture_teardown)
{
	void *object = mag_cache_alloc(cache);

	watch(object);
	mag_cache_free(cache, object);
	fixture_drop();
	assert_int_not_equal(given, 0);
	assert_int_equal(given_with_tags, 0);
	watched = NULL;
	setup(NULL);
}

int
main(void)
{
	if (mag_memtag_missing() == NULL && mag_memtag_enable() != 0) {
		printf("Bail out! tags are there, but cannot be checked\n");
		return 1;
	}
	eal_start(3, NULL);
	if (mag_memtag_missing() != NULL) {
		printf("# skip: all tests with tags: %s\n", mag_memtag_missing());
		while (tests_here.count > 0 && tests_here.line[tests_here.count - 1] > with_tags)
			tests_here.count--;
	}
	return tests_run(NULL, NULL);
}
