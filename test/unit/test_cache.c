/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"
#include "visits/perimeter.h"
#include "control/estate.h"
#include "control/registry.h"
#include "home/slab_objects.h"

#include <pthread.h>
#include <malloc.h>

#include "fixture.h"
#include "base/lcores.h"
#include "base/numa.h"

#define BLOCK FIXTURE_BLOCK
#define COUNT (8 * BLOCK)
#define SIZE 256

static const char zeroes[SIZE];
static void *had[COUNT + 1];

static struct {
	unsigned int constructed, destructed, reclaimed;
	struct mag_object_info last;
	void *arg;
	bool mirror;
	bool alive[COUNT];
	unsigned int wrong; /* constructed while alive, destructed while not */
} seen;

static uint32_t
number_of(const void *object)
{
	return ((const char *)object - ground.memory) / SIZE;
}

static int
construct(const struct mag_object_info *object, const struct mag_object_info *mirror, void *arg,
	  unsigned int flags __rte_unused)
{
	seen.constructed++;
	seen.last = *object;
	seen.mirror = mirror != NULL;
	seen.arg = arg;
	seen.wrong += seen.alive[number_of(object->address)];
	seen.alive[number_of(object->address)] = true;
	return 0;
}

static void
destruct(void *object, void *arg)
{
	seen.destructed++;
	seen.arg = arg;
	seen.wrong += !seen.alive[number_of(object)];
	seen.alive[number_of(object)] = false;
}

static void
release(void *arg)
{
	seen.reclaimed++;
	seen.arg = arg;
}

/* Parameters over the ground. */
static struct mag_cache_params
params_of(unsigned int flags)
{
	return CACHE_PARAMS(.name = "things", .object_size = SIZE, .region = ground.region,
			    .flags = flags);
}

static struct mag_pool_params
pool_params(uint64_t objects)
{
	return POOL_PARAMS(.name = "pool", .object_size = SIZE, .objects = objects,
			   .region = ground.region);
}

SETUP(setup_ground)
{
	memset(&seen, 0, sizeof(seen));
	ground = ground_make(COUNT, SIZE, BLOCK, 0);
	cache = NULL;
}

SETUP(setup)
{
	setup_ground(state);
	cache = make_cache(params_of(0));
}

static void
setup_with_callbacks(unsigned int flags)
{
	struct mag_cache_params params;

	setup_ground(NULL);
	params = params_of(flags);
	params.constructor = construct;
	params.destructor = destruct;
	params.release = release;
	params.arg = &seen;
	cache = make_cache(params);
}

SETUP(setup_callbacks)
{
	setup_with_callbacks(MAG_CACHE_DYNAMIC);
}

SETUP(setup_pool)
{
	setup_ground(state);
	cache = make_pool(pool_params(COUNT));
}

/* Destroy the cache: it has lost no object. */
static void
end(void)
{
	assert_int_equal(cache->first.slab.out, cache->first.slab.allocs - cache->first.slab.frees);
	drop_cache(cache);
	cache = NULL;
	assert_int_equal(ground.region->references, 0);
	assert_int_equal(ground.region->part[0].objects_free, COUNT);
	assert_int_equal(seen.wrong, 0);
	assert_int_equal(seen.constructed, seen.destructed);
}

TEARDOWN(teardown)
{
	if (cache != NULL)
		end();
	ground_drop(&ground);
}

TEARDOWN(teardown_pool)
{
	mag_pool_free(cache);
	ground_drop(&ground);
}

TEST(test_all_objects_can_be_had_and_come_back, setup, teardown)
{
	for (unsigned int turn = 0; turn < 2; turn++) {
		assert_int_equal(mag_cache_available(cache), COUNT);
		assert_int_equal(mag_cache_alloc_burst(cache, had, COUNT + 1), COUNT);
		assert_distinct(&ground, had, COUNT);
		assert_null(mag_cache_alloc(cache));
		assert_int_equal(mag_cache_available(cache), 0);
		free_bulk(had, COUNT);
	}
	assert_int_equal(mag_cache_available(cache), COUNT);
}

TEST(test_all_or_none_takes_none_when_it_cannot_take_all, setup, teardown)
{
	assert_int_equal(mag_cache_take_all(cache, had, COUNT + 1, true), -ENOBUFS);
	assert_int_equal(mag_cache_take_all(cache, had, COUNT + 1, false), -ENOBUFS);
	assert_int_equal(mag_cache_alloc_bulk(cache, had, COUNT + 1), 0);
	assert_int_equal(mag_cache_available(cache), COUNT);
	assert_int_equal(cache->common.transit, 0);
	assert_int_equal(mag_cache_take_all(cache, had, COUNT - 10, false), 0);
	assert_int_equal(mag_cache_alloc_bulk(cache, had + COUNT - 10, 5), 5);
	assert_int_equal(mag_cache_alloc_bulk(cache, had + COUNT - 5, 6), 0);
	assert_int_equal(mag_cache_alloc_burst(cache, had + COUNT - 5, 6), 5);
	assert_distinct(&ground, had, COUNT);
	assert_int_equal(mag_cache_alloc_bulk(cache, had + COUNT, 1), 0);
	assert_int_equal(mag_cache_take_all(cache, had + COUNT, 1, true), -ENOBUFS);
	free_bulk(had, COUNT);
	assert_int_equal(mag_cache_alloc_bulk(cache, NULL, 0), 0);
}

TEST(test_a_loan_has_exactly_what_was_borrowed_whatever_others_take, setup, teardown)
{
	static void *lent[10];
	struct mag_loan *loan, *none;
	unsigned int i;

	assert_refused(mag_cache_borrow(cache, 0, &loan), EINVAL, "loan of 0");
	assert_null(loan);
	assert_int_equal(mag_cache_borrow(cache, COUNT + 1, &none), -ENOBUFS);
	assert_null(none);
	mag_loan_return(none);
	assert_int_equal(mag_cache_borrow(cache, RTE_DIM(lent), &loan), 0);
	assert_int_equal(mag_cache_alloc_burst(cache, had, COUNT), COUNT - RTE_DIM(lent));
	for (i = 0; i < RTE_DIM(lent) - 3; i++)
		assert_non_null(lent[i] = mag_loan_alloc(loan));
	assert_int_equal(mag_loan_left(loan), 3);
	mag_loan_return(loan);
	assert_int_equal(mag_cache_available(cache), 3);
	mag_cache_free_bulk(cache, lent, i);
	assert_int_equal(mag_cache_borrow(cache, RTE_DIM(lent), &loan), 0);
	for (i = 0; i < RTE_DIM(lent); i++)
		assert_non_null(lent[i] = mag_loan_alloc(loan));
	assert_null(mag_loan_alloc(loan));
	mag_loan_return(loan);
	mag_cache_free_bulk(cache, lent, i);
	mag_cache_free_bulk(cache, had, COUNT - RTE_DIM(lent));
}

TEST(test_the_object_freed_last_is_allocated_next, setup, teardown)
{
	alloc_bulk(had, 5);
	for (unsigned int i = 0; i < 5; i++)
		mag_cache_free(cache, had[i]);
	for (unsigned int i = 5; i-- > 0;)
		assert_ptr_equal(mag_cache_alloc(cache), had[i]);
	free_bulk(had, 5);
}

TEST(test_an_object_stays_constructed_in_a_magazine, setup_callbacks, teardown)
{
	for (unsigned int i = 0; i < 10; i++)
		mag_cache_free(cache, mag_cache_alloc(cache));
	assert_int_equal(seen.constructed, 1);
	assert_int_equal(seen.destructed, 0);
	assert_ptr_equal(seen.arg, &seen);
	assert_false(seen.mirror);
	end();
	assert_int_equal(seen.destructed, 1);
}

TEST(test_each_object_is_constructed_and_destructed_in_turn, setup_callbacks, teardown)
{
	for (unsigned int i = 0; i < 500; i++) {
		fill(1 + random_below(COUNT));
		if (i % 50 == 0)
			assert_int_equal(mag_cache_reap_now(cache, i % 100 == 0), 0);
	}
}

TEST(test_a_nocache_free_destructs_at_once, setup_callbacks, teardown)
{
	alloc_bulk(had, 41);
	mag_cache_free_nocache(cache, had[40]);
	assert_int_equal(seen.destructed, 1);
	assert_int_equal(cache->first.slab.out, 40);
	mag_cache_free_nocache_bulk(cache, had, 39);
	assert_int_equal(seen.destructed, 40);
	assert_int_equal(cache->first.slab.out, 1);
	mag_cache_free_nocache_bulk(cache, had, 0);
	mag_cache_free_nocache_bulk(cache, had, 1);
	assert_int_equal(cache->first.slab.invalid, 1);
	mag_cache_free_nocache_bulk(cache, had + 39, 1);
	assert_int_equal(mag_slot_objects(own_slot()), 0);
}

/* The flags of a constructor, and things that it may do. */

static struct {
	struct mag_cache *inner;
	unsigned int flags, calls;
	int waited, walked;
} patient;

static void
no_visit(struct mag_cache *visited __rte_unused, void *arg __rte_unused)
{
}

static int
construct_patiently(const struct mag_object_info *object __rte_unused,
		    const struct mag_object_info *mirror __rte_unused, void *arg __rte_unused,
		    unsigned int flags)
{
	void *inner;

	patient.calls++;
	patient.flags = flags;
	log_begin();
	patient.walked = mag_cache_walk(no_visit, NULL);
	log_end();
	rte_errno = 0;
	inner = mag_cache_alloc_wait(patient.inner, MAG_WAIT_DEFAULT);
	patient.waited = inner != NULL ? 0 : -rte_errno;
	if (inner != NULL)
		mag_cache_free(patient.inner, inner);
	return 0;
}

static void
assert_patient(unsigned int calls, unsigned int flags, int error)
{
	assert_int_equal(patient.calls, calls);
	assert_int_equal(patient.flags, flags);
	assert_int_equal(patient.waited, error);
	assert_int_equal(patient.walked, error);
	mag_cache_free_nocache_bulk(cache, had, 2);
}

TEST(test_a_constructor_may_wait_if_the_allocation_does, setup_ground, teardown)
{
	struct mag_cache_params params = params_of(0);

	memset(&patient, 0, sizeof(patient));
	patient.inner = make_cache(params);
	params.constructor = construct_patiently;
	cache = make_cache(params);
	alloc_bulk(had, 2);
	assert_patient(2, 0, -EDEADLK);
	assert_int_equal(mag_cache_take_all(cache, had, 2, true), 0);
	assert_patient(4, 0, -EDEADLK);
	assert_int_equal(alloc_waited(cache, had, 2, MAG_WAIT_DEFAULT), 2);
	assert_patient(6, MAG_CONSTRUCT_MAY_WAIT, 0);
	had[0] = mag_cache_alloc_wait(cache, MAG_WAIT_DEFAULT);
	had[1] = mag_cache_alloc_wait(cache, MAG_WAIT_DEFAULT);
	assert_patient(8, MAG_CONSTRUCT_MAY_WAIT, 0);
	drop_cache(patient.inner);
}

static void
scribble(void *object, void *arg __rte_unused)
{
	memset(object, 0x77, SIZE);
}

TEST(test_clearonfree_zeroes_the_whole_object_after_its_destructor, setup_ground, teardown)
{
	struct mag_cache_params params = params_of(MAG_CACHE_CLEARONFREE);
	void *object;

	params.object_size = SIZE / 2;
	params.destructor = scribble;
	cache = make_cache(params);
	object = mag_cache_alloc(cache);
	memset(object, 0x55, SIZE);
	mag_cache_free(cache, object);
	assert_int_equal(*(char *)object, 0x55);
	assert_int_equal(mag_cache_purge(cache), 0);
	assert_memory_equal(object, zeroes, SIZE);
	mag_cache_enable(cache);
}

static unsigned int scribbled;

static int
scribble_and_refuse(const struct mag_object_info *object,
		    const struct mag_object_info *mirror __rte_unused, void *arg __rte_unused,
		    unsigned int flags __rte_unused)
{
	if (++scribbled == 1)
		return 0;
	memset(object->address, 0x77, SIZE);
	return -1;
}

static bool
is_cleared(uint32_t number)
{
	return memcmp(ground_object(&ground, number), zeroes, SIZE) == 0;
}

static void
check_refused_objects(unsigned int flags, bool cleared)
{
	struct mag_cache_params params = params_of(flags);

	params.constructor = scribble_and_refuse;
	cache = make_cache(params);
	scribbled = 0;
	assert_int_equal(mag_cache_alloc_burst(cache, had, 3), 1);
	assert_ptr_equal(had[0], ground_object(&ground, 0));
	assert_false(is_cleared(0));
	assert_int_equal(is_cleared(1), cleared);
	assert_int_equal(is_cleared(2), cleared);
	assert_false(is_cleared(3));
	free_bulk(had, 1);
	end();
}

TEST(test_objects_that_a_constructor_refused_or_did_not_see_are_cleared, setup_ground, teardown)
{
	check_refused_objects(0, false);
	check_refused_objects(MAG_CACHE_CLEARONFREE, true);
}

static void
assert_cleared(uint32_t size, uint32_t mode, const char *options, bool cleared)
{
	struct ground small = ground_make(BLOCK, size, BLOCK, mode);
	char *object;

	cache = make_cache(CACHE_PARAMS(.name = "small", .object_size = size,
					.region = small.region, .options = options));
	assert_int_equal((cache->flags & MAG_CACHE_CLEARONFREE) != 0, cleared);
	object = mag_cache_alloc(cache);
	assert_int_equal((uint8_t)object[size - 1], 0xa5);
	mag_cache_free_nocache(cache, object);
	assert_int_equal((uint8_t)object[size - 1], cleared ? 0 : 0xa5);
	drop_cache(cache);
	ground_drop(&small);
}

TEST(test_objects_of_up_to_two_cache_lines_are_cleared_or_as_an_option_says)
{
	const uint32_t lines = mag_options_clear_min(&mag_options_default);
	const struct {
		uint32_t size, mode;
		const char *options;
		bool cleared;
	} rows[] = {
		{8, 0, NULL, true},
		{lines, 0, NULL, true},
		{lines + 8, 0, NULL, false},
		{64, MAG_REGION_READONLY, NULL, false},
		{8, 0, "clear_min=0", false},
		{64, 0, "clear_min=63", false},
		{64, 0, "clear_min=64", true},
		{2048, 0, "clear_min=2048", true},
		{64, MAG_REGION_READONLY, "clear_min=64", false},
	};

	for (unsigned int i = 0; i < RTE_DIM(rows); i++) {
		printf("# %u bytes, mode %u, %s\n", rows[i].size, rows[i].mode,
		       rows[i].options != NULL ? rows[i].options : "no options");
		assert_cleared(rows[i].size, rows[i].mode, rows[i].options, rows[i].cleared);
	}
}

static void
assert_pool_not_made(struct mag_pool_params params, int error, const char *text)
{
	assert_refused_null(mag_pool_create(&params), error, text);
}

TEST(test_a_pool_that_cannot_be_is_refused, setup_ground, teardown)
{
	struct mag_pool_params params = pool_params(COUNT);

	/* Made with the first pool, and kept. */
	assert_int_equal(mag_estate_share(), 0);
	params.options.clear_min = 64;
	assert_pool_not_made(params, EINVAL,
			     "pool \"pool\": option clear_min=64: objects of a pool");
	assert_pool_not_made(pool_params(1ull << 40), ENOMEM, "\"pool\"");
}

/* The constructor is told the same. */
TEST(test_object_info_says_which_object_it_is, setup_callbacks, teardown)
{
	struct mag_object_info info, mirror = {.address = &info};
	struct mag_slab_object found;

	alloc_bulk(had, COUNT);
	for (unsigned int i = 0; i < COUNT; i++) {
		assert_int_equal(mag_cache_object_info(cache, had[i], &info, &mirror), 0);
		assert_ptr_equal(info.address, had[i]);
		assert_int_equal(info.size, SIZE);
		assert_int_equal(info.region_index, number_of(had[i]));
		assert_int_equal(info.segment_object, number_of(had[i]) % BLOCK);
		assert_true(mag_slab_find(&cache->first.slab, had[i], &found));
		assert_ptr_equal(info.bufctl, &found.slab->bufctl[found.index]);
		assert_null(mirror.address);
	}
	assert_int_equal(mag_cache_object_info(cache, seen.last.address, &info, NULL), 0);
	assert_int_equal(seen.last.size, info.size);
	assert_ptr_equal(seen.last.bufctl, info.bufctl);
	assert_int_equal(seen.last.region_index, info.region_index);
	assert_int_equal(seen.last.segment_object, info.segment_object);
	free_bulk(had, COUNT);
}

TEST(test_object_info_of_anything_else_is_an_error, setup, teardown)
{
	char *object = mag_cache_alloc(cache);
	struct mag_object_info info;

	assert_int_equal(mag_cache_object_info(cache, object + 8, &info, NULL), -EINVAL);
	assert_int_equal(mag_cache_object_info(cache, NULL, &info, NULL), -EINVAL);
	assert_int_equal(mag_cache_object_info(cache, &info, &info, NULL), -EINVAL);
	mag_cache_free(cache, object);
	assert_int_equal(mag_cache_object_info(cache, object, &info, NULL), 0);
	assert_int_equal(mag_cache_reap_now(cache, true), 0);
	assert_int_equal(mag_cache_object_info(cache, object, &info, NULL), -EINVAL);
}

TEST(test_alignment_is_rounded_up_and_chunks_to_it, setup_ground, teardown)
{
	const struct {
		size_t size, align, real, chunk;
	} rows[] = {
		{SIZE, 0, 8, SIZE}, {100, 1, 8, 104},  {100, 8, 8, 104},
		{100, 9, 16, 112},  {65, 64, 64, 128}, {1, 256, 256, 256},
	};
	struct mag_cache_params params = params_of(0);

	for (unsigned int i = 0; i < RTE_DIM(rows); i++) {
		params.object_size = rows[i].size;
		params.align = rows[i].align;
		cache = make_cache(params);
		assert_int_equal(cache->align, rows[i].real);
		assert_int_equal(cache->common.chunk_size, rows[i].chunk);
		assert_int_equal(cache->object_size, rows[i].size);
		end();
	}
}

static void
assert_not_made(const struct mag_cache_params *params, int error)
{
	assert_refused_null(mag_cache_create(params), error,
			    params->name != NULL ? params->name : "magazine: ");
}

#define assert_param_refused(field, value)                                                         \
	do {                                                                                       \
		struct mag_cache_params bad_ = params_of(0);                                       \
		bad_.field = value;                                                                \
		assert_not_made(&bad_, EINVAL);                                                    \
	} while (0)

/* Sizes and alignments are unit/bad_input's. */
TEST(test_bad_parameters_are_refused_with_their_errno, setup_ground, teardown)
{
	static const char long_name[] =
		"0123456789012345678901234567890123456789012345678901234567890123";

	assert_param_refused(name, NULL);
	assert_param_refused(name, "");
	assert_param_refused(name, long_name);
	assert_param_refused(flags, 0x10);
	assert_param_refused(flags, MAG_CACHE_POOL);
	assert_param_refused(options, "rounds=7");
	assert_param_refused(options, "bogus=1");
}

static struct mag_region *
region_over(const char *name, void *const *objects, unsigned int n)
{
	struct mag_region *region =
		make_region(REGION_PARAMS(.name = name, .object_size = 128, .block = 4));

	assert_int_equal(mag_region_adopt(region, objects, n, -1), 0);
	return region;
}

TEST(test_a_region_adopts_no_less_alignment_than_its_cache_has)
{
	void *even[] = {(void *)0x10000, (void *)0x10080};
	void *odd[] = {(void *)0x20000, (void *)0x20090};
	struct mag_region *region = region_over("even", even, 2);
	struct mag_cache_params plain =
		CACHE_PARAMS(.name = "things", .object_size = 64, .region = region);
	struct mag_cache_params aligned = plain;
	struct mag_cache *one, *other = make_cache(plain);

	aligned.align = 64;
	one = make_cache(aligned);
	assert_refused(mag_region_adopt(region, odd, 2, -1), EINVAL,
		       "\"even\": object 1 at 0x20090");
	assert_refused(mag_region_adopt(region, odd, 2, -1), EINVAL, "an alignment of 64");
	assert_int_equal(region->objects, 2);
	/* Only the end of the cache that needs it counts. */
	drop_cache(other);
	assert_int_equal(mag_region_adopt(region, odd, 2, -1), -EINVAL);
	other = make_cache(plain);
	drop_cache(one);
	assert_int_equal(mag_region_adopt(region, odd, 2, -1), 0);
	/* Nor is a cache made that needs more than they have. */
	assert_not_made(&aligned, EINVAL);
	drop_cache(other);
	assert_int_equal(mag_region_destroy(region), 0);
	region = region_over("even", even, 2);
	aligned.region = region;
	drop_cache(make_cache(aligned));
	assert_int_equal(mag_region_adopt(region, odd, 2, -1), 0);
	assert_int_equal(mag_region_destroy(region), 0);
}

TEST(test_regions_have_a_say)
{
	struct ground readonly = ground_make(BLOCK, SIZE, BLOCK, MAG_REGION_READONLY);
	struct ground plain = ground_make(BLOCK, SIZE, BLOCK, MAG_REGION_NOMAGAZINES);
	struct mag_cache_params params = CACHE_PARAMS(.name = "things", .object_size = SIZE);

	params.flags = MAG_CACHE_CLEARONFREE;
	params.region = readonly.region;
	assert_not_made(&params, EINVAL);
	params.flags = 0;
	params.region = plain.region;
	assert_not_made(&params, EINVAL);
	params.flags = MAG_CACHE_NOMAGAZINES;
	drop_cache(make_cache(params));
	ground_drop(&readonly);
	ground_drop(&plain);
}

TEST(test_a_region_serves_two_caches_but_not_three, setup, teardown)
{
	struct mag_cache *second = make_cache(params_of(0));
	struct mag_cache_params params = params_of(0);
	size_t before;

	params.constructor = construct;
	/* Its copy of the callbacks is not kept. The C library retains a few chunks. */
	for (unsigned int i = 0; i < 100; i++)
		assert_not_made(&params, EBUSY);
	before = mallinfo2().uordblks;
	for (unsigned int i = 0; i < 1000; i++)
		assert_not_made(&params, EBUSY);
	assert_true(mallinfo2().uordblks < before + 1000 * sizeof(void *));
	assert_int_not_equal(cache->id, second->id);
	drop_cache(second);
}

static bool
cache_works(void)
{
	struct mag_cache_params params = params_of(0);

	params.constructor = construct;
	params.options = "interval=5";
	cache = mag_cache_create(&params);
	assert_true(cache != NULL || rte_errno == ENOMEM);
	assert_int_equal(ground.region->references, cache != NULL);
	return cache != NULL;
}

static bool
pool_works(void)
{
	struct mag_pool_params params = pool_params(COUNT);

	cache = mag_pool_create(&params);
	assert_true(cache != NULL || rte_errno == ENOMEM);
	assert_int_equal(ground.region->references, cache != NULL);
	return cache != NULL;
}

TEST(test_every_allocation_that_fails_leaks_nothing, setup_ground, teardown)
{
	uint64_t before = heap_balance();

	assert_int_equal(attempts(cache_works()), 5);
	end();
	assert_true(attempts(pool_works()) > 3);
	mag_pool_free(cache);
	cache = NULL;
	assert_int_equal(heap_balance(), before);
}

TEST(test_the_first_type_of_a_pool_is_the_largest_within_the_bound, setup_ground, teardown)
{
	unsigned int lcores = RTE_MAX(rte_lcore_count(), mag_thread_owners());
	const struct {
		uint64_t objects;
		uint32_t rounds;
	} rows[] = {
		{0, 0},
		{8ull * lcores * 14 - 1, 0},
		{8ull * lcores * 14, 14},
		{8ull * lcores * 254 - 1, 126},
		{8ull * lcores * 254, 254},
		{8ull * lcores * 510 - 1, 254},
		{8ull * lcores * 510, 510},
	};

	for (unsigned int i = 0; i < RTE_DIM(rows); i++) {
		cache = make_pool(pool_params(rows[i].objects));
		assert_int_equal(cache->common.type, rows[i].rounds);
		assert_sizes(rows[i].rounds);
		mag_pool_free(cache);
	}
	cache = NULL;
}

TEST(test_a_pool_is_never_cleared_and_dynamic_unless_its_rounds_are_fixed, setup_pool,
     teardown_pool)
{
	struct mag_pool_params params = pool_params(COUNT);

	assert_int_equal(cache->flags & MAG_CACHE_CLEARONFREE, 0);
	assert_int_not_equal(cache->flags & MAG_CACHE_DYNAMIC, 0);
	mag_pool_free(cache);
	params.options.rounds = 62;
	cache = make_pool(params);
	assert_int_equal(cache->flags & MAG_CACHE_DYNAMIC, 0);
	assert_int_equal(cache->common.type, 62);
}

TEST(test_a_pool_is_freed_whatever_is_out, setup_ground, teardown)
{
	struct mag_cache *pool = make_pool(pool_params(COUNT));
	uint64_t before = heap_balance();

	assert_int_equal(mag_cache_take_all(pool, had, COUNT, true), 0);
	mag_pool_free(pool);
	assert_true(heap_balance() < before);
	assert_int_equal(ground.region->references, 0);
	for (unsigned int i = 0; i < COUNT * SIZE; i++)
		assert_int_equal((uint8_t)ground.memory[i], 0xa5);
}

TEST(test_a_pool_that_somebody_uses_does_not_start_again, setup_pool, teardown_pool)
{
	fill(COUNT);
	assert_int_equal(mag_slot_enter(slot_at(1)), 0);
	assert_refused(mag_pool_reset(cache), EAGAIN, "pool \"pool\": an lcore is using it");
	assert_int_equal(mag_cache_available(cache), COUNT);
	mag_slot_leave(slot_at(1));
	assert_int_equal(mag_pool_reset(cache), 0);
	assert_int_equal(mag_cache_available(cache), 0);
	assert_sizes(cache->common.type);
}

TEST(test_a_pool_that_is_purged_stays_off_when_it_starts_again, setup_ground, teardown)
{
	cache = make_pool(pool_params(8ull * rte_lcore_count() * 14));
	assert_sizes(14);
	assert_int_equal(mag_cache_purge(cache), 0);
	assert_int_equal(mag_pool_reset(cache), 0);
	assert_sizes(0);
	mag_cache_enable(cache);
	assert_sizes(14);
	assert_true(mag_pool_free(cache));
	cache = NULL;
}

TEST(test_a_pool_that_lost_its_memory_starts_again, setup_pool, teardown_pool)
{
	void *address[BLOCK];

	fill(COUNT);
	mag_pool_reset(cache);
	assert_int_equal(mag_cache_available(cache), 0);
	assert_int_equal(mag_cache_take_all(cache, had, 1, true), -ENOBUFS);
	for (unsigned int i = 0; i < BLOCK; i++)
		address[i] = ground_object(&ground, i);
	assert_int_equal(mag_region_adopt(ground.region, address, BLOCK, -1), 0);
	assert_int_equal(mag_cache_take_all(cache, had, BLOCK, true), 0);
	assert_distinct(&ground, had, BLOCK);
}

/* Pools whose memory goes before they do, as rte_mempool has it. */

static struct {
	struct mag_cache *pool[2];
	uint32_t listed; /* caches without them */
	uint64_t heap;   /* and bytes */
} ending;

static void
ending_make(void)
{
	struct mag_pool_params params = pool_params(COUNT);
	struct ground own;

	ending.listed = mag_cache_listed();
	ending.heap = heap_balance();
	for (unsigned int i = 0; i < RTE_DIM(ending.pool); i++) {
		own = ground_make(COUNT, SIZE, BLOCK, 0);
		params.region = own.region;
		ending.pool[i] = make_pool(params);
		free(own.memory);
	}
}

static void
end_pools(void)
{
	for (unsigned int i = 0; i < RTE_DIM(ending.pool); i++)
		assert_false(mag_pool_free(ending.pool[i]));
}

static void
assert_pools_are_gone(void)
{
	assert_int_equal(mag_cache_listed(), ending.listed);
	assert_int_equal(heap_balance(), ending.heap);
}

static void
end_visit(struct mag_cache *visited, void *arg)
{
	assert_ptr_equal(visited, ending.pool[0]);
	++*(unsigned int *)arg;
	end_pools();
}

TEST(test_pools_that_are_freed_in_a_walk_go_when_it_is_over, setup_ground, teardown)
{
	unsigned int visits = 0;

	ending_make();
	assert_int_equal(mag_cache_walk(end_visit, &visits), 0);
	assert_int_equal(visits, 1);
	assert_pools_are_gone();
}

static void
end_within(void *object __rte_unused, void *arg __rte_unused)
{
	end_pools();
}

SETUP(setup_ending)
{
	struct mag_cache_params params;

	setup_ground(state);
	params = params_of(0);
	params.destructor = end_within;
	cache = make_cache(params);
	fill(1);
	ending_make();
}

static void
never_visit(struct mag_cache *visited, void *arg __rte_unused)
{
	assert_ptr_not_equal(visited, ending.pool[0]);
	assert_ptr_not_equal(visited, ending.pool[1]);
}

TEST(test_pools_that_are_freed_in_a_callback_go_with_the_next_walk, setup_ending, teardown)
{
	mag_cache_free_nocache(cache, mag_cache_alloc(cache));
	assert_int_equal(mag_cache_walk(never_visit, NULL), 0);
	assert_pools_are_gone();
}

TEST(test_pools_that_are_freed_in_a_callback_go_with_the_next_pass_of_maintenance, setup_ending,
     teardown)
{
	assert_int_equal(mag_maint_interval(10), 0);
	mag_cache_free_nocache(cache, mag_cache_alloc(cache));
	wait_until(mag_cache_listed() == ending.listed);
	wait_until(heap_balance() == ending.heap);
	assert_int_equal(mag_maint_interval(0), 0);
}

TEST(test_pools_that_another_process_frees_go_with_the_next_walk_of_their_maker, setup_ground,
     teardown)
{
	ending_make();
	/* None is this process's while another one is freed: a pass may come at any time. */
	for (unsigned int i = 0; i < RTE_DIM(ending.pool); i++)
		ending.pool[i]->process++;
	for (unsigned int i = 0; i < RTE_DIM(ending.pool); i++)
		assert_says("freed by another process",
			    assert_false(mag_pool_free(ending.pool[i])));
	assert_int_equal(mag_cache_listed(), ending.listed + RTE_DIM(ending.pool));
	for (unsigned int i = 0; i < RTE_DIM(ending.pool); i++)
		ending.pool[i]->process--;
	assert_int_equal(mag_cache_walk(never_visit, NULL), 0);
	assert_pools_are_gone();
}

TEST(test_a_cache_with_objects_out_is_not_destroyed_and_stays_usable, setup, teardown)
{
	uint64_t id = cache->id;

	alloc_bulk(had, 40);
	free_bulk(had + 3, 37);
	assert_refused(mag_cache_destroy(cache), EBUSY,
		       "\"things\": 3 objects are out: free them, then destroy it");
	assert_int_equal(cache->id, id);
	assert_sizes(cache->common.type);
	assert_true(mag_perimeter_enter(cache, false));
	mag_perimeter_leave(cache);
	alloc_bulk(had + 3, COUNT - 3);
	assert_distinct(&ground, had, COUNT);
	free_bulk(had, COUNT);
	assert_true(mag_slot_objects(own_slot()) > 0);
	end();
	assert_int_equal(mag_cache_destroy(NULL), 0);
}

TEST(test_a_cache_that_is_purged_stays_off_when_it_is_not_destroyed, setup, teardown)
{
	void *object = mag_cache_alloc(cache);

	assert_int_equal(mag_cache_purge(cache), 0);
	assert_refused(mag_cache_destroy(cache), EBUSY, "1 object");
	assert_sizes(0);
	mag_cache_free(cache, object);
	assert_int_equal(cache->first.slab.out, 0);
	mag_cache_enable(cache);
	assert_sizes(cache->common.type);
}

static void
count_visit(struct mag_cache *visited, void *arg)
{
	*(unsigned int *)arg += strcmp(mag_cache_name(visited), "things") == 0;
}

static unsigned int
times_listed(void)
{
	unsigned int times = 0;

	assert_int_equal(mag_cache_walk(count_visit, &times), 0);
	return times;
}

TEST(test_a_cache_is_listed_while_it_lives, setup, teardown)
{
	void *object = mag_cache_alloc(cache);

	assert_int_equal(times_listed(), 1);
	assert_refused(mag_cache_destroy(cache), EBUSY, "1 object");
	assert_int_equal(times_listed(), 1);
	mag_cache_free(cache, object);
	end();
	assert_int_equal(times_listed(), 0);
}

static void
forbidden_visit(struct mag_cache *visited, void *arg)
{
	struct mag_cache_params params = params_of(0);
	struct mag_pool_params pool = pool_params(COUNT);
	int *ret = arg;

	assert_true(mag_cache_list_held());
	log_begin();
	assert_null(mag_cache_create(&params));
	ret[0] = -rte_errno;
	ret[1] = mag_cache_destroy(visited);
	assert_null(mag_pool_create(&pool));
	ret[2] = -rte_errno;
	assert_int_equal(count_lines(log_end()), 3);
}

TEST(test_caches_are_not_made_or_destroyed_inside_the_list, setup, teardown)
{
	int ret[3] = {0};

	mag_cache_walk(forbidden_visit, ret);
	for (unsigned int i = 0; i < RTE_DIM(ret); i++)
		assert_int_equal(ret[i], -EDEADLK);
	assert_false(mag_cache_list_held());
}

static void
check_without_magazines(struct mag_cache_params params)
{
	cache = make_cache(params);
	alloc_bulk(had, COUNT);
	assert_distinct(&ground, had, COUNT);
	free_bulk(had, COUNT);
	assert_int_equal(cache->first.slab.out, 0);
	assert_int_equal(mag_cache_enable(cache), -ENOTSUP);
	assert_sizes(0);
	assert_refused(mag_cache_resize(cache, 14, true), EINVAL, "");
	end();
}

TEST(test_without_magazines_everything_goes_to_the_slabs, setup_ground, teardown)
{
	struct mag_cache_params params = params_of(0);

	check_without_magazines(params_of(MAG_CACHE_NOMAGAZINES));
	params.options = "magazines=0";
	check_without_magazines(params);
}

SETUP(setup_no_magazines)
{
	setup_with_callbacks(MAG_CACHE_NOMAGAZINES);
}

TEST(test_an_object_twice_in_one_bulk_is_destructed_once, setup_no_magazines, teardown)
{
	had[0] = had[1] = mag_cache_alloc(cache);
	free_bulk(had, 2);
	assert_int_equal(cache->first.slab.invalid, 1);
	assert_int_equal(seen.destructed, 1);
}

TEST(test_magazine_max_is_what_all_slots_can_hold)
{
	uint64_t magazines = (rte_lcore_count() + MAG_LCORES_SPARE + 1ull) * mag_numa_nodes() * 2;

	assert_int_equal(mag_magazine_max(2048), magazines * 14);
	assert_int_equal(mag_magazine_max(64), magazines * 62);
	assert_int_equal(mag_magazine_max(1), magazines * 158);
}

static void
flush_run(void *arg)
{
	*(int *)arg = mag_lcore_flush();
}

TEST(test_a_flushed_lcore_holds_nothing_of_any_cache, setup, teardown)
{
	struct mag_cache *second = make_cache(params_of(0));
	int ret = 0;

	run_on_thread(flush_run, &ret);
	assert_int_equal(ret, -ENOENT);

	assert_int_equal(mag_cache_alloc_burst(second, had, 20), 20);
	mag_cache_free_bulk(second, had, 20);
	fill(40);
	assert_true(mag_slot_objects(own_slot()) > 0);
	assert_int_equal(mag_lcore_flush(), 0);
	assert_int_equal(mag_cache_in_lcores(cache), 0);
	assert_int_equal(mag_cache_in_lcores(second), 0);
	assert_null(own_slot()->loaded);
	assert_null(own_slot()->previous);
	assert_int_equal(cache->common.transit, 0);
	drop_cache(second);
	assert_int_equal(mag_cache_available(cache), COUNT);
}

/* As in a process that found the cache in shared memory. */
TEST(test_callbacks_belong_to_the_process_that_made_the_cache, setup_callbacks, teardown)
{
	static const char text[] = "cannot be used in this process";
	void *object = mag_cache_alloc(cache);

	cache->process++;
	assert_says(text, assert_int_equal(mag_cache_alloc_slow(cache, had, 2), 0));
	assert_says(text, mag_cache_free_nocache(cache, object));
	assert_says(text, mag_cache_free_slow(cache, &object, 1));
	cache->process--;
	assert_int_equal(MAG_STAT(cache->first.slab.out), 1);
	mag_cache_free(cache, object);
}

static int
update(void)
{
	return mag_cache_update(cache);
}

static int
destroy(void)
{
	return mag_cache_destroy(cache);
}

static int
alloc_wait(void)
{
	return mag_cache_alloc_wait(cache, UINT64_MAX) == NULL ? -rte_errno : 0;
}

static int
watermark(void)
{
	return mag_cache_watermark(cache, 0, 0, NULL, NULL);
}

TEST(test_calls_that_may_run_a_callback_are_refused_elsewhere, setup_callbacks, teardown)
{
	static const struct {
		const char *name;
		int (*call)(void);
	} rows[] = {
		{"purge", cache_purge},
		{"update", update},
		{"resize", cache_resize},
		{"reap", cache_reap},
		{"reap all", cache_reap_all},
		{"reclaim", cache_reclaim},
		{"memory low", cache_reclaim_low},
		{"wait", alloc_wait},
		{"marks", watermark},
		{"destroy", destroy},
	};
	uint32_t listed = mag_cache_listed();
	unsigned int called;
	char maker[32];

	fill(COUNT / 2);
	called = seen.constructed + seen.destructed + seen.reclaimed;
	snprintf(maker, sizeof(maker), "process %d made it", getpid());
	cache->process++;
	for (unsigned int i = 0; i < RTE_DIM(rows); i++) {
		printf("# %s\n", rows[i].name);
		assert_refused(rows[i].call(), EPERM, maker);
	}
	cache->process--;
	assert_int_equal(seen.constructed + seen.destructed + seen.reclaimed, called);
	assert_int_equal(mag_cache_listed(), listed);
	fill(1);
}

static struct {
	unsigned int calls, held;
} held;

/* Is a slot held, by this thread or by a visitor? */
static void
held_look(void)
{
	held.calls++;
	held.held += MAG_STAT(own_slot()->busy) != 0 ||
		     (MAG_STAT(own_slot()->visitor) & MAG_BIAS_AWAY) != 0 ||
		     cache->first.shared.holder != 0;
}

static int
held_construct(const struct mag_object_info *object __rte_unused,
	       const struct mag_object_info *mirror __rte_unused, void *arg __rte_unused,
	       unsigned int flags __rte_unused)
{
	held_look();
	return 0;
}

static void
held_destruct(void *object __rte_unused, void *arg __rte_unused)
{
	held_look();
}

TEST(test_no_slot_is_held_while_callbacks_run, setup_ground, teardown)
{
	struct mag_cache_params params = params_of(0);
	unsigned int calls = 0;

	params.constructor = held_construct;
	params.destructor = held_destruct;
	held.calls = held.held = 0;
	cache = make_cache(params);
	for (unsigned int turn = 0; turn < 6; turn++) {
		fill(40);
		if (turn < 2)
			mag_lcore_flush();
		else
			assert_int_equal(mag_cache_reap_now(cache, turn % 2 == 0), 0);
		assert_true(held.calls > calls);
		calls = held.calls;
	}
	end();
	assert_true(held.calls > calls);
	assert_int_equal(held.held, 0);
}

TEST(test_a_free_needs_no_memory, setup, teardown)
{
	struct mag_magazine *all[1024], *next;
	unsigned int count = 0;

	alloc_bulk(had, COUNT);
	while ((next = mag_arena_get(&cache->first.arena, cache->common.type)) != NULL) {
		assert_true(count < RTE_DIM(all));
		all[count++] = next;
	}
	mag_fault_nth(1);
	free_bulk(had, COUNT);
	mag_fault_nth(0);
	assert_int_equal(cache->first.slab.out, 0);
	assert_int_equal(ground.region->part[0].objects_free, COUNT);
	while (count > 0)
		mag_arena_put(&cache->first.arena, all[--count]);
}

TEST(test_an_owner_that_keeps_itself_out_uses_the_slabs, setup, teardown)
{
	void *object = mag_cache_alloc(cache);

	mag_slot_keep_out(own_slot(), true);
	mag_cache_free(cache, object);
	assert_all_in_slabs();
	mag_slot_keep_out(own_slot(), false);
}

TEST(test_a_visitor_that_stays_does_not_keep_a_thread_from_ending, setup, teardown)
{
	struct mag_slot *slot = slot_at(guest_come(20));

	assert_int_equal(mag_slot_objects(slot), 20);
	mag_bias_announce(slot, MAG_BIAS_VISIT);
	guest_go();
	/* Its objects stay there, where others can have them. */
	assert_int_equal(mag_slot_objects(slot), 20);
	assert_int_equal(cache->common.visits_denied, 1);
	mag_bias_dismiss(slot, MAG_BIAS_VISIT);
	assert_int_equal(mag_cache_purge(cache), 0);
	assert_int_equal(mag_slot_objects(slot), 0);
	mag_cache_enable(cache);
}

TEST(test_objects_of_a_registered_thread_come_home_when_it_ends, setup, teardown)
{
	unsigned int n = 20;

	for (unsigned int i = 0; i < 3; i++)
		run_on_registered(fill_run, &n);
	assert_int_equal(mag_cache_in_lcores(cache), 0);
	assert_int_equal(mag_cache_available(cache), COUNT);
}

TEST(test_threads_that_own_none_share_a_slot, setup, teardown)
{
	unsigned int n = 20;

	run_on_thread(fill_run, &n);
	assert_int_equal(slot_holds(MAG_SLOT_SHARED), 0);
	fill_on_thread(n);
	assert_true(slot_holds(MAG_SLOT_SHARED) > 0);
	assert_int_equal(mag_cache_in_lcores(cache), slot_holds(MAG_SLOT_SHARED));
}

TEST_PROGRAM(3)
