/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"

#include "fixture.h"

#define COUNT 64
#define SIZE 64

/* Parameters of a program whose headers are newer. */
struct newer_cache_params {
	struct mag_cache_params known;
	uint64_t unknown;
};

struct newer_region_params {
	struct mag_region_params known;
	uint64_t unknown;
};

SETUP(setup)
{
	fixture_cache(COUNT, CACHE_PARAMS(.name = "things", .object_size = SIZE));
}

static struct mag_cache_params
cache_params(void)
{
	struct mag_cache_params params = MAG_CACHE_PARAMS_INIT;

	params.name = "things";
	params.object_size = SIZE;
	params.region = ground.region;
	return params;
}

static struct mag_region_params
region_params(void)
{
	struct mag_region_params params = MAG_REGION_PARAMS_INIT;

	params.name = "memory";
	params.object_size = SIZE;
	return params;
}

TEST(test_the_initialisers_name_size_and_any_node_and_nothing_else)
{
	struct mag_cache_params of_cache = MAG_CACHE_PARAMS_INIT, no_cache;
	struct mag_region_params region = MAG_REGION_PARAMS_INIT, no_region;

	memset(&no_cache, 0, sizeof(no_cache));
	no_cache.size = sizeof(no_cache);
	no_cache.node = MAG_NODE_ANY;
	assert_memory_equal(&of_cache, &no_cache, sizeof(no_cache));
	memset(&no_region, 0, sizeof(no_region));
	no_region.size = sizeof(no_region);
	no_region.node = MAG_NODE_ANY;
	assert_memory_equal(&region, &no_region, sizeof(region));
}

TEST(test_parameters_without_a_size_are_refused)
{
	struct mag_cache_params of_cache = cache_params();
	struct mag_region_params of_region = region_params();

	of_cache.size = 0;
	assert_refused_null(mag_cache_create(&of_cache), EINVAL,
			    "begin with MAG_CACHE_PARAMS_INIT");
	of_region.size = sizeof(size_t) - 1;
	assert_refused_null(mag_region_create(&of_region), EINVAL,
			    "begin with MAG_REGION_PARAMS_INIT");
	assert_refused_null(mag_region_mirror_create(ground.region, &of_region), EINVAL,
			    "begin with MAG_REGION_PARAMS_INIT");
}

TEST(test_what_an_older_struct_lacks_has_its_default)
{
	struct mag_cache_params params = cache_params();
	struct mag_cache *older;

	params.size = offsetof(struct mag_cache_params, flags);
	params.flags = MAG_CACHE_NOMAGAZINES | 0x80000000u;
	params.options = "nonsense";
	params.node = 12345;
	older = make_cache(params);
	assert_int_equal(older->flags & MAG_CACHE_NOMAGAZINES, 0);
	drop_cache(older);
}

TEST(test_a_newer_struct_is_read_as_long_as_what_is_unknown_is_not_set)
{
	struct newer_cache_params of_cache = {.known = cache_params()};
	struct newer_region_params of_region = {.known = region_params()};
	struct mag_region *region;
	struct mag_cache *newer;

	of_cache.known.size = sizeof(of_cache);
	newer = mag_cache_create(&of_cache.known);
	assert_non_null(newer);
	drop_cache(newer);
	of_cache.unknown = UINT64_C(1) << 63;
	assert_refused_null(mag_cache_create(&of_cache.known), EINVAL, "version");

	of_region.known.size = sizeof(of_region);
	region = mag_region_create(&of_region.known);
	assert_non_null(region);
	drop_region(region);
	of_region.unknown = 1;
	assert_refused_null(mag_region_create(&of_region.known), EINVAL, "version");
}

TEST(test_a_program_of_another_layout_gets_no_cache)
{
	struct mag_cache_params params = cache_params();

	assert_refused_null(mag_cache_create_with(&params, MAG_LAYOUT + 1), ENOTSUP, "layout");
	assert_int_equal(ground.region->references, 1);
}

TEST(test_statistics_fill_what_there_is_room_for)
{
	const size_t older = offsetof(struct mag_cache_stats, flags);
	struct {
		struct mag_cache_stats known;
		uint64_t unknown;
	} stats;

	memset(&stats, 0xff, sizeof(stats));
	mag_cache_stats_get(cache, &stats.known);
	assert_int_equal(stats.known.size, sizeof(stats.known));
	assert_int_equal(stats.known.objects, COUNT);
	assert_int_equal(stats.unknown, UINT64_MAX);

	stats.known.size = sizeof(stats);
	mag_cache_stats_fill(cache, &stats.known);
	assert_int_equal(stats.known.size, sizeof(stats.known));
	assert_int_equal(stats.known.objects, COUNT);
	assert_int_equal(stats.unknown, 0);

	memset(&stats, 0xff, sizeof(stats));
	stats.known.size = older;
	mag_cache_stats_fill(cache, &stats.known);
	assert_int_equal(stats.known.size, older);
	assert_string_equal(stats.known.name, "things");
	assert_int_equal(stats.known.flags, UINT32_MAX);
	assert_int_equal(stats.known.objects, UINT64_MAX);
}

TEST(test_slots_of_another_size_are_filled_one_after_the_other)
{
	struct {
		struct mag_slot_stats known;
		uint64_t unknown;
	} stats[RTE_MAX_LCORE + 1];
	unsigned int n;
	uint64_t allocs = 0;

	fill(1);
	memset(stats, 0xff, sizeof(stats));
	n = mag_cache_slot_stats_fill(cache, stats, sizeof(stats[0]), RTE_DIM(stats));
	assert_in_range(n, 1, RTE_DIM(stats));
	for (unsigned int i = 0; i < n; i++) {
		assert_int_equal(stats[i].known.size, sizeof(stats[i].known));
		assert_int_equal(stats[i].unknown, 0);
		allocs += stats[i].known.allocs;
	}
	assert_int_equal(allocs, 1);
}

TEST(test_region_statistics_fill_what_there_is_room_for)
{
	struct mag_region_stats stats = region_stats(ground.region);

	assert_int_equal(stats.size, sizeof(stats));
	assert_int_equal(stats.objects, COUNT);
	memset(&stats, 0xff, sizeof(stats));
	stats.size = offsetof(struct mag_region_stats, objects);
	mag_region_stats_fill(ground.region, &stats);
	assert_int_equal(stats.size, offsetof(struct mag_region_stats, objects));
	assert_int_equal(stats.objects, UINT64_MAX);
}

int
main(void)
{
	eal_start(1, NULL);
	return tests_run(setup, fixture_teardown);
}
