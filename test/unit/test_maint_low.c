/* SPDX-License-Identifier: BSD-3-Clause */

/* Maintenance: requests to reap, memory that is low, and reaps that are larger than a pass. */

#include "eal.h"

#include "fixture.h"
#include "base/pressure.h"

#define SIZE 64
#define COUNT 8192
#define FILLED 500

enum { INTRINSIC, ADOPTED, ELASTIC, POOL, DEAF, CACHES };

static char pressure[] = "/tmp/magazine-pressure-XXXXXX";
static struct ground grounds[CACHES];
static struct mag_region *elastic;
static struct mag_cache *caches[CACHES];
static _Atomic uint64_t asked_of[CACHES];

static void
kernel_says(const char *percent)
{
	FILE *file = fopen(pressure, "w");

	assert_non_null(file);
	fprintf(file, "some avg10=%s avg60=0.00 avg300=0.00 total=0\n", percent);
	fclose(file);
}

static void
count_asked(void *arg)
{
	atomic_fetch_add((_Atomic uint64_t *)arg, 1);
}

static void
make(unsigned int which, struct mag_region *region, const char *options)
{
	caches[which] = make_cache(CACHE_PARAMS(.name = "things", .object_size = SIZE,
						.region = region, .release = count_asked,
						.arg = &asked_of[which], .options = options));
}

static void
fill_cache(struct mag_cache *one, unsigned int n)
{
	void *objects[COUNT];

	cache = one;
	alloc_bulk(objects, n);
	free_bulk(objects, n);
}

SETUP(setup)
{
	const struct mag_region_params params =
		REGION_PARAMS(.name = "elastic", .objects = COUNT, .object_size = SIZE);

	/* The file is read again after a second. */
	kernel_says("0.00");
	let_pass(1100);
	grounds[ADOPTED] = ground_make(COUNT, SIZE, 16, 0);
	grounds[POOL] = ground_make(COUNT, SIZE, 16, MAG_REGION_READONLY);
	elastic = mag_region_create(&params);
	assert_non_null(elastic);
	make(INTRINSIC, NULL, NULL);
	make(ADOPTED, grounds[ADOPTED].region, NULL);
	make(ELASTIC, elastic, NULL);
	make(DEAF, NULL, "pressure=0");
	caches[POOL] = make_pool(POOL_PARAMS(.name = "pool", .object_size = SIZE, .objects = COUNT,
					     .region = grounds[POOL].region));
	for (unsigned int i = 0; i < CACHES; i++)
		fill_cache(caches[i], FILLED);
}

TEARDOWN(teardown)
{
	assert_int_equal(mag_maint_interval(0), 0);
	mag_pool_free(caches[POOL]);
	for (unsigned int i = 0; i < CACHES; i++)
		if (i != POOL)
			drop_cache(caches[i]);
	assert_int_equal(mag_region_destroy(elastic), 0);
	ground_drop(&grounds[ADOPTED]);
	ground_drop(&grounds[POOL]);
}

/* At most one is served in an interval; then there was a pass at the least. */
static void
request(void)
{
	uint64_t before = asked_of[INTRINSIC], updates;

	assert_int_equal(mag_maint_interval(20), 0);
	wait_until((mag_reap_request(), asked_of[INTRINSIC] > before));
	updates = caches[POOL]->updates;
	wait_until(caches[POOL]->updates > updates + 1);
}

TEST(test_a_request_asks_every_owner_and_visits_nobody, setup, teardown)
{
	uint64_t before[CACHES];

	for (unsigned int i = 0; i < CACHES; i++)
		before[i] = asked_of[i];
	request();
	for (unsigned int i = 0; i < CACHES; i++) {
		assert_true(i == POOL || asked_of[i] > before[i]);
		assert_int_equal(caches[i]->purges, 0);
		assert_int_equal(caches[i]->common.zeroes, 0);
		assert_int_equal(caches[i]->common.visits_denied, 0);
		assert_true(mag_slot_objects(mag_slot_own(caches[i]->first.slot)) > 0);
	}
}

TEST(test_a_request_purges_all_when_memory_is_low, setup, teardown)
{
	kernel_says("10.00");
	assert_int_equal(mag_maint_interval(20), 0);
	wait_until((mag_reap_request(), caches[POOL]->purges > 0));
	for (unsigned int i = 0; i < CACHES; i++)
		if (i != DEAF)
			wait_until(caches[i]->purges > 0);
	assert_int_equal(caches[DEAF]->purges, 0);
}

static bool
has_many_updates(void)
{
	return caches[POOL]->updates > 10 && caches[ADOPTED]->updates > 10 &&
	       caches[DEAF]->updates > 10;
}

TEST(test_pressure_purges_what_the_system_can_have_back, setup, teardown)
{
	kernel_says("99.99");
	assert_int_equal(mag_maint_interval(20), 0);
	wait_until(caches[INTRINSIC]->purges > 0 && caches[ELASTIC]->purges > 0);
	assert_true(asked_of[ELASTIC] > 0);
	wait_until(has_many_updates());
	assert_int_equal(caches[POOL]->purges, 0);
	assert_int_equal(caches[ADOPTED]->purges, 0);
	assert_int_equal(caches[DEAF]->purges, 0);
	wait_until(caches[INTRINSIC]->first.slab.out == 0);
}

TEST(test_pressure_below_the_limit_purges_nothing, setup, teardown)
{
	uint64_t updates;

	kernel_says("9.99");
	assert_int_equal(mag_maint_interval(20), 0);
	wait_until(has_many_updates());
	/* Another look is taken within a second. */
	let_pass(1200);
	updates = caches[INTRINSIC]->updates;
	wait_until(caches[INTRINSIC]->updates > updates + 1);
	for (unsigned int i = 0; i < CACHES; i++)
		assert_int_equal(caches[i]->purges, 0);
}

TEST(test_an_object_that_the_heap_cannot_give_makes_the_others_give_back, setup, teardown)
{
	void *objects[COUNT];
	unsigned int n;

	/* Those of other caches alone: the first steals from nobody who has some. */
	mag_fault_nth(1);
	n = mag_cache_alloc_burst(caches[INTRINSIC], objects, FILLED + 100);
	mag_fault_nth(0);
	assert_true(n < FILLED + 100);
	wait_until(caches[DEAF]->purges > 0 && caches[ELASTIC]->purges > 0);
	wait_until(caches[DEAF]->first.slab.out == 0);
	assert_int_equal(caches[POOL]->purges, 0);
	mag_cache_free_bulk(caches[INTRINSIC], objects, n);
}

/* Due now, and no more for an hour. */
static void
due_visit(struct mag_cache *visited, void *arg)
{
	visited->next_update = visited == arg ? 1 : UINT64_MAX;
}

TEST(test_a_reap_that_is_larger_than_a_pass_goes_on_in_the_next, setup, teardown)
{
	struct mag_cache *one = caches[ADOPTED], *deaf = caches[DEAF];
	uint32_t magazines;
	uint64_t updates;

	assert_int_equal(mag_cache_resize(one, 62, true), 0);
	fill_cache(one, COUNT);
	magazines = mag_depot_total(&one->first.depot.full);
	assert_true(magazines > 8 * MAG_DEPOT_CHAIN);
	mag_cache_working_set_update(one);
	mag_cache_working_set_update(one);
	updates = one->updates;
	mag_cache_walk(due_visit, one);
	/* A cache that comes is looked at, and the others with it. */
	make(DEAF, NULL, NULL);
	wait_until(mag_depot_total(&one->first.depot.full) == 0);
	assert_int_equal(one->updates, updates + 1);
	assert_int_equal(one->reaps, 1);
	wait_until(one->common.transit == 0);
	drop_cache(caches[DEAF]);
	caches[DEAF] = deaf;
}

int
main(void)
{
	int file = mkstemp(pressure), ret;

	mag_pressure_file = pressure;
	eal_start(2, NULL);
	ret = tests_run(NULL, NULL);
	close(file);
	unlink(pressure);
	return ret;
}
