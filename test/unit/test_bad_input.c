/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Bad input, one test for each kind: the errno, the log line, and that nothing is lost. What a
 * single layer refuses is tested with that layer.
 */

#include "eal.h"
#include "mag_maint.h"
#include "mag_stats.h"
#include "control/pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <rte_errno.h>

#include "cache/cache.h"
#include "base/fault.h"
#include "ground.h"
#include "../counts.h"
#include "outside/maint.h"

#define BLOCK 8
#define COUNT (4 * BLOCK)
#define SIZE 256

static struct ground ground;

static struct {
	unsigned int constructed, destructed;
	unsigned int fail_at; /* the nth construction fails; 0: none */
	void (*within)(void); /* called by callbacks, once */
} seen;

static void
callback_within(void)
{
	void (*within)(void) = seen.within;

	seen.within = NULL;
	if (within != NULL)
		within();
}

static int
construct(const struct mag_object_info *object __rte_unused,
	  const struct mag_object_info *mirror __rte_unused, void *arg __rte_unused,
	  unsigned int flags __rte_unused)
{
	if (seen.fail_at != 0 && seen.constructed + 1 >= seen.fail_at)
		return -1;
	callback_within();
	seen.constructed++;
	return 0;
}

static void
destruct(void *object __rte_unused, void *arg __rte_unused)
{
	callback_within();
	seen.destructed++;
}

static void
reclaim(void *arg __rte_unused)
{
	callback_within();
}

static int
setup(void **state __rte_unused)
{
	memset(&seen, 0, sizeof(seen));
	ground = ground_make(COUNT, SIZE, BLOCK, 0);
	return 0;
}

static int
teardown(void **state __rte_unused)
{
	ground_drop(&ground);
	return 0;
}

static struct mag_cache_params
params_of(const struct ground *its, unsigned int flags)
{
	return (struct mag_cache_params){
		.size = sizeof(struct mag_cache_params),
		.name = "things",
		.object_size = SIZE,
		.region = its->region,
		.constructor = construct,
		.destructor = destruct,
		.release = reclaim,
		.flags = flags,
		.node = -1,
	};
}

static struct mag_cache *
cache_make(const struct ground *its, unsigned int flags)
{
	struct mag_cache_params params = params_of(its, flags);
	struct mag_cache *cache = mag_cache_create(&params);

	assert_non_null(cache);
	return cache;
}

static struct mag_cache_stats
stats_of(const struct mag_cache *cache)
{
	struct mag_cache_stats stats;

	mag_cache_stats_get(cache, &stats);
	return stats;
}

static void
assert_nothing_lost(const struct mag_cache *cache, unsigned int out)
{
	struct mag_cache_stats stats = stats_of(cache);

	assert_int_equal(stats.free, COUNT - out);
	assert_int_equal(cache->common.transit, 0);
}

static void
assert_cache_refused(const struct mag_cache_params *params, int error, const char *text)
{
	uint64_t before = heap_balance();
	const char *log;

	rte_errno = 0;
	log_begin();
	assert_null(mag_cache_create(params));
	log = log_end();
	assert_int_equal(rte_errno, error);
	assert_int_equal(count_lines(log), 1);
	assert_logged(log, text);
	assert_int_equal(heap_balance(), before);
}

static void
assert_region_refused(const struct mag_region_params *params, const char *text)
{
	uint64_t before = heap_balance();
	const char *log;

	rte_errno = 0;
	log_begin();
	assert_null(mag_region_create(params));
	log = log_end();
	assert_int_equal(rte_errno, EINVAL);
	assert_int_equal(count_lines(log), 1);
	assert_logged(log, text);
	assert_int_equal(heap_balance(), before);
}

TEST(test_alignments_that_are_no_power_of_two_are_refused, setup, teardown)
{
	const size_t bad[] = {9 + 8, 24, 48, 4096 + 8, SIZE_MAX, SIZE_MAX / 2};
	struct mag_cache_params params = params_of(&ground, 0);
	struct mag_region_params region = {.size = sizeof(region),
					   .name = "skewed",
					   .object_size = SIZE,
					   .objects = 10,
					   .node = -1};
	unsigned int i;

	for (i = 0; i < RTE_DIM(bad); i++) {
		params.align = bad[i];
		assert_cache_refused(&params, EINVAL, "alignment must be a power of two");
		region.align = (uint32_t)bad[i];
		assert_region_refused(&region, "alignment must be a power of two");
	}
	/* Of a region none is rounded up. */
	region.align = 7;
	assert_region_refused(&region, "alignment must be a power of two");
}

TEST(test_sizes_of_zero_and_those_that_overflow_are_refused, setup, teardown)
{
	struct mag_cache_params params = params_of(&ground, 0);
	struct mag_region_params region = {.size = sizeof(region), .name = "sized", .node = -1};

	params.object_size = 0;
	assert_cache_refused(&params, EINVAL, "a size above 0");
	params.object_size = SIZE_MAX;
	params.align = 64;
	assert_cache_refused(&params, E2BIG, "too small");
	params.object_size = SIZE_MAX - 62;
	assert_cache_refused(&params, E2BIG, "too small");
	assert_region_refused(&region, "object size above 0");
	region.objects = 1;
	assert_region_refused(&region, "object size above 0");
	region.object_size = UINT32_MAX;
	region.align = 64;
	assert_region_refused(&region, "too much");
	region.objects = UINT64_MAX;
	region.object_size = 8;
	assert_region_refused(&region, "too much");
	region.objects = UINT64_C(1) << 40;
	region.object_size = UINT32_C(1) << 24;
	assert_region_refused(&region, "too much");
}

TEST(test_a_region_that_is_too_small_for_a_cache_is_refused, setup, teardown)
{
	struct mag_cache_params params = params_of(&ground, 0);

	params.object_size = SIZE + 1;
	assert_cache_refused(&params, E2BIG, "objects of the region are too small");
	params.object_size = SIZE - 1;
	params.align = 2 * SIZE;
	assert_cache_refused(&params, E2BIG, "objects of the region are too small");
	params.align = 2 * BLOCK * SIZE;
	assert_cache_refused(&params, EINVAL, "at most a segment");
}

TEST(test_options_of_regions_and_pools_are_refused_for_a_cache, setup, teardown)
{
	struct mag_cache_params params = params_of(&ground, 0);
	struct mag_cache *cache;

	params.options = "block=8";
	assert_cache_refused(&params, EINVAL, "options block and mirror are its region's");
	params.options = "mirror=64";
	assert_cache_refused(&params, EINVAL, "options block and mirror are its region's");
	params.options = "cache=0";
	assert_cache_refused(&params, EINVAL, "option cache is a pool's");
	params.options = "block=0,mirror=0";
	cache = mag_cache_create(&params);
	assert_non_null(cache);
	assert_int_equal(mag_cache_destroy(cache), 0);
}

/* The call gets what was constructed before the one that failed; magazines are emptied first. */
static void
fail_at_each_position(struct mag_cache *cache)
{
	void *objects[BLOCK + 2];
	unsigned int at, got;
	uint64_t failed;

	for (at = 1; at <= RTE_DIM(objects); at++) {
		failed = stats_of(cache).alloc_fails;
		seen.constructed = seen.destructed = 0;
		seen.fail_at = at;
		got = mag_cache_alloc_burst(cache, objects, RTE_DIM(objects));
		assert_int_equal(got, at - 1);
		assert_int_equal(seen.constructed, at - 1);
		assert_int_equal(seen.destructed, 0);
		assert_int_equal(stats_of(cache).alloc_fails - failed, RTE_DIM(objects) - got);
		assert_nothing_lost(cache, got);
		mag_cache_free_bulk(cache, objects, got);
		assert_int_equal(mag_cache_reap_now(cache, true), 0);
		assert_int_equal(seen.destructed, got);
		assert_nothing_lost(cache, 0);
	}
	seen.fail_at = 0;
}

TEST(test_a_constructor_that_fails_at_any_position_loses_nothing, setup, teardown)
{
	const unsigned int flags[] = {0, MAG_CACHE_NOMAGAZINES};
	struct mag_cache *cache;
	unsigned int i;

	for (i = 0; i < RTE_DIM(flags); i++) {
		cache = cache_make(&ground, flags[i]);
		fail_at_each_position(cache);
		assert_int_equal(mag_cache_destroy(cache), 0);
	}
}

TEST(test_all_or_none_gives_back_what_was_constructed_before_one_failed, setup, teardown)
{
	struct mag_cache *cache = cache_make(&ground, 0);
	void *objects[BLOCK];
	unsigned int at;

	for (at = 1; at <= BLOCK; at++) {
		seen.constructed = seen.destructed = 0;
		seen.fail_at = at;
		assert_int_equal(mag_cache_take_all(cache, objects, BLOCK, true), -ENOBUFS);
		assert_nothing_lost(cache, 0);
		assert_int_equal(mag_cache_reap_now(cache, true), 0);
		assert_int_equal(seen.constructed, at - 1);
		assert_int_equal(seen.destructed, at - 1);
	}
	assert_int_equal(mag_cache_destroy(cache), 0);
}

TEST(test_who_waits_for_a_constructor_that_fails_is_told_so, setup, teardown)
{
	struct mag_cache *cache = cache_make(&ground, 0);

	seen.fail_at = 1;
	rte_errno = 0;
	assert_null(mag_cache_alloc_wait(cache, 3000));
	assert_int_equal(rte_errno, ETIMEDOUT);
	assert_nothing_lost(cache, 0);
	assert_int_equal(mag_cache_destroy(cache), 0);
}

/* Each cache says how many of its own are out, and both stay usable. */
TEST(test_destroying_with_objects_out_names_their_number, setup, teardown)
{
	struct mag_cache *cache = cache_make(&ground, 0), *other = cache_make(&ground, 0);
	void *mine[3], *its[5];
	const char *log;

	assert_int_equal(mag_cache_alloc_burst(cache, mine, 3), 3);
	assert_int_equal(mag_cache_alloc_burst(other, its, 5), 5);
	log_begin();
	assert_int_equal(mag_cache_destroy(cache), -EBUSY);
	log = log_end();
	assert_logged(log, "\"things\": 3 objects are out: free them, then destroy it");
	assert_int_equal(count_lines(log), 1);
	log_begin();
	assert_int_equal(mag_region_destroy(ground.region), -EBUSY);
	log = log_end();
	assert_logged(log, "\"ground\": 2 caches use it: destroy them first");
	assert_int_equal(count_lines(log), 1);
	mag_cache_free_bulk(cache, mine, 3);
	mag_cache_free_bulk(other, its, 5);
	assert_int_equal(mag_cache_destroy(cache), 0);
	assert_int_equal(mag_cache_destroy(other), 0);
	assert_int_equal(seen.constructed, seen.destructed);
}

/* Past the magazines all frees are looked at. */
static void
assert_not_freed(struct mag_cache *cache, void *object)
{
	struct mag_cache_stats before = stats_of(cache), after;
	unsigned int destructed = seen.destructed;

	mag_cache_free_nocache(cache, object);
	after = stats_of(cache);
	assert_int_equal(after.invalid_frees, before.invalid_frees + 1);
	assert_int_equal(after.slab_frees, before.slab_frees);
	assert_int_equal(after.free, before.free);
	assert_int_equal(seen.destructed, destructed);
}

TEST(test_an_object_of_another_cache_is_not_freed, setup, teardown)
{
	struct ground elsewhere = ground_make(COUNT, SIZE, BLOCK, 0);
	struct mag_cache *cache = cache_make(&ground, 0), *sister = cache_make(&ground, 0);
	struct mag_cache *stranger = cache_make(&elsewhere, 0);
	void *mine = mag_cache_alloc(cache), *its = mag_cache_alloc(sister);
	void *far = mag_cache_alloc(stranger);

	assert_not_freed(cache, its);
	assert_not_freed(cache, far);
	assert_not_freed(stranger, its);
	mag_cache_free_nocache(cache, mine);
	mag_cache_free_nocache(sister, its);
	mag_cache_free_nocache(stranger, far);
	assert_int_equal(seen.destructed, 3);
	assert_int_equal(mag_cache_destroy(cache), 0);
	assert_int_equal(mag_cache_destroy(sister), 0);
	assert_int_equal(mag_cache_destroy(stranger), 0);
	ground_drop(&elsewhere);
}

TEST(test_an_object_is_not_freed_twice, setup, teardown)
{
	struct mag_cache *cache = cache_make(&ground, 0);
	void *first = mag_cache_alloc(cache), *second = mag_cache_alloc(cache);

	mag_cache_free_nocache(cache, first);
	assert_not_freed(cache, first);
	/* With the last object of its slab back, the slab is no more. */
	mag_cache_free_nocache(cache, second);
	assert_not_freed(cache, second);
	assert_not_freed(cache, first);
	assert_int_equal(mag_cache_destroy(cache), 0);
}

TEST(test_what_is_no_object_is_not_freed, setup, teardown)
{
	struct mag_cache *cache = cache_make(&ground, 0);
	char *object = mag_cache_alloc(cache);

	assert_not_freed(cache, NULL);
	assert_not_freed(cache, object + 1);
	assert_not_freed(cache, object + SIZE / 2);
	assert_not_freed(cache, ground.memory + COUNT * SIZE);
	assert_not_freed(cache, (void *)UINTPTR_MAX);
	mag_cache_free_nocache(cache, object);
	assert_int_equal(mag_cache_destroy(cache), 0);
}

TEST(test_a_mirror_of_another_geometry_is_refused, setup, teardown)
{
	struct mag_region_params params = {.size = sizeof(params),
					   .name = "mirrored",
					   .object_size = 64,
					   .stride = 128,
					   .mirror = 16,
					   .node = -1};
	void *close[] = {ground_object(&ground, 0), ground_object(&ground, 0), NULL};
	struct mag_region_stats stats;
	struct mag_region *region;
	const char *log;

	params.mirror = MAG_MIRROR_MAX + 1;
	assert_region_refused(&params, "a mirror of at most 4096 bytes");
	params.mirror = 16;
	params.stride = 63;
	assert_region_refused(&params, "a stride of at least the object size");
	params.stride = 128;
	region = mag_region_create(&params);
	close[1] = (char *)close[0] + 127;
	log_begin();
	assert_int_equal(mag_region_adopt(region, close, 2, -1), -EINVAL);
	log = log_end();
	assert_logged(log, "\"mirrored\": object 1 at");
	assert_logged(log, "at least the stride of 128 bytes");
	assert_int_equal(count_lines(log), 1);
	mag_region_stats_get(region, &stats);
	assert_int_equal(stats.objects, 0);
	assert_int_equal(stats.mirrors, 0);
	assert_int_equal(mag_region_destroy(region), 0);
}

static struct {
	struct mag_cache *cache;
	void *object;
	int error;
	_Atomic bool waits;
} waiter;

static void
wait_run(void *arg __rte_unused)
{
	waiter.waits = true;
	waiter.object = mag_cache_alloc_wait(waiter.cache, MAG_WAIT_DEFAULT);
	waiter.error = rte_errno;
}

static void
nothing(int signal __rte_unused)
{
}

TEST(test_a_wait_that_is_interrupted_loses_nothing, setup, teardown)
{
	struct sigaction action = {.sa_handler = nothing}, old;
	struct mag_cache *cache = cache_make(&ground, 0);
	struct task task = {0};
	void *objects[COUNT];

	assert_int_equal(mag_cache_alloc_burst(cache, objects, COUNT), COUNT);
	waiter.cache = cache;
	waiter.waits = false;
	sigaction(SIGUSR1, &action, &old);
	task_thread(&task, wait_run, NULL);
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
	assert_nothing_lost(cache, COUNT);
	mag_cache_free_bulk(cache, objects, COUNT);
	assert_nothing_lost(cache, 0);
	assert_int_equal(mag_cache_destroy(cache), 0);
	assert_int_equal(seen.constructed, seen.destructed);
}

static void
waiting_visit(struct mag_cache *cache, void *arg)
{
	int *error = arg;

	rte_errno = 0;
	assert_null(mag_cache_alloc_wait(cache, 1000));
	*error = rte_errno;
}

TEST(test_nobody_waits_inside_a_callback, setup, teardown)
{
	struct mag_cache *cache = cache_make(&ground, 0);
	int error = 0;

	mag_cache_walk(waiting_visit, &error);
	assert_int_equal(error, EDEADLK);
	assert_nothing_lost(cache, 0);
	assert_int_equal(mag_cache_destroy(cache), 0);
}

static void
destroying_visit(struct mag_cache *cache, void *arg)
{
	*(int *)arg = mag_cache_destroy(cache);
}

TEST(test_no_cache_is_destroyed_inside_a_callback, setup, teardown)
{
	struct mag_cache *cache = cache_make(&ground, 0);
	const char *log;
	int ret = 0;

	log_begin();
	mag_cache_walk(destroying_visit, &ret);
	log = log_end();
	assert_int_equal(ret, -EDEADLK);
	assert_logged(log, "\"things\": not from a cache's callback");
	assert_int_equal(count_lines(log), 1);
	assert_int_equal(mag_cache_destroy(cache), 0);
}

/* What callbacks may not do, with a cache that is not theirs. */

static struct mag_cache *other;

static int
make_another(void)
{
	struct mag_cache_params params = {
		.size = sizeof(params), .name = "third", .object_size = SIZE, .node = -1};

	rte_errno = 0;
	return mag_cache_create(&params) == NULL ? -rte_errno : 0;
}

static int
make_a_pool(void)
{
	struct mag_pool_params params = {.name = "third", .object_size = SIZE, .node = -1};

	rte_errno = 0;
	return mag_pool_create(&params) == NULL ? -rte_errno : 0;
}

static int
destroy_it(void)
{
	return mag_cache_destroy(other);
}

static int
wait_for_it(void)
{
	rte_errno = 0;
	return mag_cache_alloc_wait(other, 1000) == NULL ? -rte_errno : 0;
}

static void
count_visit(struct mag_cache *cache __rte_unused, void *arg)
{
	++*(unsigned int *)arg;
}

static int
walk_all(void)
{
	unsigned int visits = 0;
	int ret = mag_cache_walk(count_visit, &visits);

	return visits == 0 ? ret : (int)visits;
}

static int
purge_it(void)
{
	return mag_cache_purge(other);
}

static int
resize_it(void)
{
	return mag_cache_resize(other, 30, true);
}

static int
reap_it(void)
{
	return mag_cache_reap_now(other, false);
}

static int
reap_all_of_it(void)
{
	return mag_cache_reap_now(other, true);
}

static int
reclaim_it(void)
{
	return mag_cache_reclaim(other, true);
}

static int
change_the_interval(void)
{
	return mag_maint_interval(5);
}

static const struct {
	const char *name;
	int (*call)(void);
	const char *logged;
} forbidden[] = {
#define ROW(call, logged)                                                                          \
	{                                                                                          \
#call, call, logged                                                                \
	}
	ROW(make_another, "not from a cache's callback"),
	ROW(make_a_pool, "pool \"third\": not from a cache's callback, nor from a walk"),
	ROW(destroy_it, "cache \"other\": not from a cache's callback"),
	ROW(wait_for_it, NULL),
	ROW(walk_all, "walk over all caches: not from a cache's callback, nor from a walk"),
	ROW(purge_it, "cache \"other\": not from a cache's callback"),
	ROW(resize_it, "cache \"other\": not from a cache's callback"),
	ROW(reap_it, "cache \"other\": not from a cache's callback"),
	ROW(reap_all_of_it, "cache \"other\": not from a cache's callback"),
	ROW(reclaim_it, "cache \"other\": not from a cache's callback"),
	ROW(change_the_interval, "update interval of 5 ms: not from a cache's callback"),
#undef ROW
};

static struct {
	unsigned int calls;
	int ret;
	char log[256];
} refusal;

static unsigned int tried;

static void
try_within(void)
{
	refusal.calls++;
	log_begin();
	refusal.ret = forbidden[tried].call();
	snprintf(refusal.log, sizeof(refusal.log), "%s", log_end());
}

static void
assert_refused_within(void)
{
	const char *logged = forbidden[tried].logged;

	assert_int_equal(refusal.calls, 1);
	if (refusal.ret != -EDEADLK)
		fail_msg("%s: %d", forbidden[tried].name, refusal.ret);
	assert_int_equal(count_lines(refusal.log), logged != NULL);
	if (logged != NULL)
		assert_logged(refusal.log, logged);
}

static void
flush_within(void)
{
	refusal.calls++;
	assert_int_equal(mag_lcore_flush(), -EDEADLK);
}

/* Allocates, frees and reclaims, each with a callback from which the call is made. */
static void
from_each_callback(struct mag_cache *cache, void (*within)(void), void (*check)(void))
{
	void *object;

	refusal.calls = 0;
	seen.within = within;
	object = mag_cache_alloc(cache);
	assert_non_null(object);
	check();
	refusal.calls = 0;
	seen.within = within;
	mag_cache_free_nocache(cache, object);
	check();
	refusal.calls = 0;
	seen.within = within;
	assert_int_equal(mag_cache_reclaim(cache, false), 0);
	check();
}

static void
assert_flush_did_nothing(void)
{
	assert_int_equal(refusal.calls, 1);
	assert_int_equal(mag_slot_objects(mag_slot_own(other->first.slot)), 2);
}

TEST(test_callbacks_may_not_do_what_might_wait_for_them, setup, teardown)
{
	struct ground elsewhere = ground_make(COUNT, SIZE, BLOCK, 0);
	struct mag_cache_params params = params_of(&elsewhere, 0);
	struct mag_cache *cache = cache_make(&ground, 0);
	void *objects[2];

	params.name = "other";
	other = mag_cache_create(&params);
	assert_non_null(other);
	/* Constructed, and in this lcore's magazine: a purge or flush would be seen. */
	assert_int_equal(mag_cache_alloc_burst(other, objects, 2), 2);
	mag_cache_free_bulk(other, objects, 2);
	for (tried = 0; tried < RTE_DIM(forbidden); tried++)
		from_each_callback(cache, try_within, assert_refused_within);
	from_each_callback(cache, flush_within, assert_flush_did_nothing);
	assert_int_equal(other->purges + other->reaps + other->resizes, 0);
	assert_nothing_lost(cache, 0);
	assert_nothing_lost(other, 0);
	/* And afterwards all may be done. */
	assert_int_equal(mag_cache_purge(other), 0);
	assert_int_equal(mag_cache_enable(other), 0);
	assert_int_equal(mag_lcore_flush(), 0);
	assert_int_equal(mag_cache_destroy(other), 0);
	assert_int_equal(mag_cache_destroy(cache), 0);
	assert_int_equal(seen.constructed, seen.destructed);
	ground_drop(&elsewhere);
}

static void
walking_visit(struct mag_cache *cache __rte_unused, void *arg)
{
	*(int *)arg = walk_all();
}

TEST(test_no_walk_is_made_inside_a_walk, setup, teardown)
{
	struct mag_cache *cache = cache_make(&ground, 0);
	const char *log;
	int ret = 0;

	log_begin();
	assert_int_equal(mag_cache_walk(walking_visit, &ret), 0);
	log = log_end();
	assert_int_equal(ret, -EDEADLK);
	assert_logged(log, "walk over all caches: not from");
	assert_int_equal(count_lines(log), 1);
	assert_int_equal(mag_cache_destroy(cache), 0);
}

static void
assert_not_grown(struct mag_region *region, int error, const char *text)
{
	const char *log;

	rte_errno = 0;
	log_begin();
	assert_int_equal(region_grown(region, 1), 0);
	log = log_end();
	assert_int_equal(rte_errno, error);
	assert_logged(log, text);
	assert_int_equal(count_lines(log), 1);
}

TEST(test_a_region_that_cannot_grow_says_why, setup, teardown)
{
	struct mag_region_params params = {.size = sizeof(params),
					   .name = "full",
					   .object_size = SIZE,
					   .objects = 2 * BLOCK,
					   .block = BLOCK,
					   .mode = MAG_REGION_NOMAGAZINES,
					   .node = rte_socket_id_by_idx(0)};
	struct mag_region *region = mag_region_create(&params);

	assert_not_grown(ground.region, EINVAL, "\"ground\": is not elastic");
	mag_fault_nth(1);
	assert_not_grown(region, ENOMEM, "\"full\": grew by 0 segments, not by 1");
	mag_fault_nth(0);
	assert_int_equal(region_grown(region, 1), 1);
	assert_not_grown(region, ENOSPC, "it is as large as it may be");
	assert_int_equal(mag_region_destroy(region), 0);
}

int
main(void)
{
	eal_start(2, NULL);
	return tests_run(NULL, NULL);
}
