/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Bad input, one test for each kind: the errno, the log line, and that nothing is lost. What a
 * single layer refuses is tested with that layer.
 */

#include "eal.h"

#include "fixture.h"

#define BLOCK FIXTURE_BLOCK
#define COUNT (4 * BLOCK)
#define SIZE 256

static struct {
	unsigned int constructed, destructed;
	unsigned int fail_at; /* the nth construction fails; 0: none */
	void (*within)(void); /* called by callbacks, once */
} seen;

static void *objects[COUNT];

static void
callback_within(void *arg __rte_unused)
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
	callback_within(NULL);
	seen.constructed++;
	return 0;
}

static void
destruct(void *object, void *arg __rte_unused)
{
	callback_within(object);
	seen.destructed++;
}

static struct mag_cache_params
params_on(struct mag_region *region, unsigned int flags)
{
	return CACHE_PARAMS(.name = "things", .object_size = SIZE, .region = region,
			    .constructor = construct, .destructor = destruct,
			    .release = callback_within, .flags = flags);
}

SETUP(setup)
{
	memset(&seen, 0, sizeof(seen));
	fixture_cache(COUNT, params_on(NULL, 0));
}

TEARDOWN(teardown)
{
	seen.fail_at = 0;
	fixture_drop();
	assert_int_equal(seen.constructed, seen.destructed);
}

static void
assert_nothing_lost(unsigned int out)
{
	assert_int_equal(cache_stats(cache).free, COUNT - out);
	assert_int_equal(cache->common.transit, 0);
}

TEST(test_sizes_alignments_and_options_that_do_not_fit_a_region_are_refused, setup, teardown)
{
	static const char *const power = "alignment must be a power of two";
	static const char *const small = "objects of the region are too small";
	static const char *const regions = "options block and mirror are its region's";
	const struct {
		size_t object_size, align;
		const char *options;
		int error;
		const char *text;
	} cases[] = {
		{SIZE, 9 + 8, NULL, EINVAL, power},
		{SIZE, 24, NULL, EINVAL, power},
		{SIZE, 48, NULL, EINVAL, power},
		{SIZE, 4096 + 8, NULL, EINVAL, power},
		{SIZE, SIZE_MAX, NULL, EINVAL, power},
		{SIZE, SIZE_MAX / 2, NULL, EINVAL, power},
		{0, 0, NULL, EINVAL, "a size above 0"},
		{SIZE_MAX, 64, NULL, E2BIG, small},
		{SIZE_MAX - 62, 64, NULL, E2BIG, small},
		{SIZE + 1, 0, NULL, E2BIG, small},
		{SIZE - 1, 2 * SIZE, NULL, E2BIG, small},
		{SIZE - 1, 2 * BLOCK * SIZE, NULL, EINVAL, "at most a segment"},
		{SIZE, 0, "block=8", EINVAL, regions},
		{SIZE, 0, "mirror=64", EINVAL, regions},
		{SIZE, 0, "cache=0", EINVAL, "option cache is a pool's"},
		{SIZE, 0, "audit=1/8", EINVAL, "option audit=1/N is a pool's"},
	};
	struct mag_cache_params params = params_on(ground.region, 0);

	for (unsigned int i = 0; i < RTE_DIM(cases); i++) {
		params.object_size = cases[i].object_size;
		params.align = cases[i].align;
		params.options = cases[i].options;
		assert_refused_null(mag_cache_create(&params), cases[i].error, cases[i].text);
	}
	params = params_on(ground.region, 0);
	params.options = "block=0,mirror=0";
	drop_cache(make_cache(params));
}

/* The call gets what was constructed before the one that failed; magazines are emptied first. */
static void
fail_at_each_position(void)
{
	unsigned int got;
	uint64_t failed;

	for (unsigned int at = 1; at <= BLOCK + 2; at++) {
		failed = cache_stats(cache).alloc_fails;
		seen.constructed = seen.destructed = 0;
		seen.fail_at = at;
		got = mag_cache_alloc_burst(cache, objects, BLOCK + 2);
		assert_int_equal(got, at - 1);
		assert_int_equal(seen.constructed, at - 1);
		assert_int_equal(seen.destructed, 0);
		assert_int_equal(cache_stats(cache).alloc_fails - failed, BLOCK + 2 - got);
		assert_nothing_lost(got);
		free_bulk(objects, got);
		assert_int_equal(cache_reap_all(), 0);
		assert_int_equal(seen.destructed, got);
		assert_nothing_lost(0);
	}
}

TEST(test_a_constructor_that_fails_at_any_position_loses_nothing, setup, teardown)
{
	fail_at_each_position();
	drop_cache(cache);
	cache = make_cache(params_on(ground.region, MAG_CACHE_NOMAGAZINES));
	fail_at_each_position();
}

TEST(test_all_or_none_gives_back_what_was_constructed_before_one_failed, setup, teardown)
{
	for (unsigned int at = 1; at <= BLOCK; at++) {
		seen.constructed = seen.destructed = 0;
		seen.fail_at = at;
		assert_int_equal(mag_cache_take_all(cache, objects, BLOCK, true), -ENOBUFS);
		assert_nothing_lost(0);
		assert_int_equal(cache_reap_all(), 0);
		assert_int_equal(seen.constructed, at - 1);
		assert_int_equal(seen.destructed, at - 1);
	}
	seen.fail_at = 1;
	seen.constructed = seen.destructed = 0;
	assert_int_equal(mag_cache_alloc_wait_bulk(cache, objects, 1, 3000), -ETIMEDOUT);
	assert_nothing_lost(0);
}

/* Past the magazines all frees are looked at. */
static void
assert_not_freed(struct mag_cache *by, void *object)
{
	struct mag_cache_stats before = cache_stats(by), after;
	unsigned int destructed = seen.destructed;

	mag_cache_free_nocache(by, object);
	after = cache_stats(by);
	assert_int_equal(after.invalid_frees, before.invalid_frees + 1);
	assert_int_equal(after.slab_frees, before.slab_frees);
	assert_int_equal(after.free, before.free);
	assert_int_equal(seen.destructed, destructed);
}

TEST(test_an_object_of_another_cache_is_not_freed, setup, teardown)
{
	struct ground elsewhere = ground_make(COUNT, SIZE, BLOCK, 0);
	struct mag_cache *sister = make_cache(params_on(ground.region, 0));
	struct mag_cache *stranger = make_cache(params_on(elsewhere.region, 0));
	void *its = mag_cache_alloc(sister), *far = mag_cache_alloc(stranger);

	assert_not_freed(cache, its);
	assert_not_freed(cache, far);
	assert_not_freed(stranger, its);
	mag_cache_free_nocache(sister, its);
	mag_cache_free_nocache(stranger, far);
	assert_int_equal(seen.destructed, 2);
	drop_cache(sister);
	drop_cache(stranger);
	ground_drop(&elsewhere);
}

/* What callbacks may not do, with a cache that is not theirs. */

static int
make_another(void)
{
	struct mag_cache_params params = CACHE_PARAMS(.name = "third", .object_size = SIZE);

	return mag_cache_create(&params) == NULL ? -rte_errno : 0;
}

static int
make_a_pool(void)
{
	struct mag_pool_params params = {.name = "third", .object_size = SIZE, .node = -1};

	return mag_pool_create(&params) == NULL ? -rte_errno : 0;
}

static int
destroy_it(void)
{
	return mag_cache_destroy(cache);
}

static int
wait_for_it(void)
{
	return mag_cache_alloc_wait_bulk(cache, objects, 1, 1000);
}

static void
count_visit(struct mag_cache *visited __rte_unused, void *arg)
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
change_the_interval(void)
{
	return mag_maint_interval(5);
}

static const char *const from_callback = "cache \"things\": not from a cache's callback";

static const struct {
	const char *name;
	int (*call)(void);
	bool walk; /* nor from a walk */
	const char *const *logged;
} forbidden[] = {
#define ROW(call, ...)                                                                             \
	{                                                                                          \
#call, call, __VA_ARGS__                                                           \
	}
#define SAYS(text) (&(const char *const){text})
	ROW(make_another, false, SAYS("not from a cache's callback")),
	ROW(make_a_pool, true,
	    SAYS("pool \"third\": not from a cache's callback, nor from a walk")),
	ROW(destroy_it, true, &from_callback),
	ROW(wait_for_it, true, NULL),
	ROW(walk_all, true,
	    SAYS("walk over all caches: not from a cache's callback, nor from a walk")),
	ROW(cache_purge, false, &from_callback),
	ROW(cache_resize, false, &from_callback),
	ROW(cache_reap, false, &from_callback),
	ROW(cache_reap_all, false, &from_callback),
	ROW(cache_reclaim_low, false, &from_callback),
	ROW(change_the_interval, false,
	    SAYS("update interval of 5 ms: not from a cache's callback")),
	ROW(mag_lcore_flush, false, NULL),
#undef ROW
};

static unsigned int tried, calls;

static void
try_within(void)
{
	const char *const *logged = forbidden[tried].logged, *log;
	int ret;

	calls++;
	rte_errno = 0;
	log_begin();
	ret = forbidden[tried].call();
	log = log_end();
	if (ret != -EDEADLK || count_lines(log) != (logged != NULL))
		fail_msg("%s: %d, %s", forbidden[tried].name, ret, log);
	if (logged != NULL)
		assert_logged(log, *logged);
}

static void
walk_within(struct mag_cache *visited, void *arg)
{
	if (visited == cache)
		callback_within(arg);
}

/* Allocates, frees, reclaims and walks, each with a callback from which the call is made. */
static void
from_each_callback(struct mag_cache *its)
{
	void *object;

	calls = 0;
	seen.within = try_within;
	object = mag_cache_alloc(its);
	assert_non_null(object);
	assert_int_equal(calls, 1);
	seen.within = try_within;
	mag_cache_free_nocache(its, object);
	assert_int_equal(calls, 2);
	seen.within = try_within;
	assert_int_equal(mag_cache_reclaim(its, false), 0);
	assert_int_equal(calls, 3);
	if (!forbidden[tried].walk)
		return;
	seen.within = try_within;
	assert_int_equal(mag_cache_walk(walk_within, NULL), 0);
	assert_int_equal(calls, 4);
}

TEST(test_callbacks_may_not_do_what_might_wait_for_them, setup, teardown)
{
	struct ground elsewhere = ground_make(COUNT, SIZE, BLOCK, 0);
	struct mag_cache *its = make_cache(params_on(elsewhere.region, 0));

	/* Constructed, and in this lcore's magazine: a purge or flush would be seen. */
	fill(2);
	for (tried = 0; tried < RTE_DIM(forbidden); tried++)
		from_each_callback(its);
	assert_int_equal(mag_slot_objects(own_slot()), 2);
	assert_int_equal(cache->purges + cache->reaps + cache->resizes, 0);
	assert_int_equal(cache_stats(its).free, COUNT);
	assert_int_equal(its->common.transit, 0);
	assert_nothing_lost(0);
	/* And afterwards all may be done. */
	assert_int_equal(cache_purge(), 0);
	assert_int_equal(cache_enable(), 0);
	assert_int_equal(mag_lcore_flush(), 0);
	drop_cache(its);
	ground_drop(&elsewhere);
}

TEST_PROGRAM(2)
