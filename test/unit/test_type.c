/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"

#include "parts/type.h"

static const uint32_t pool_types[] = {14, 30, 62, 126, 254, 510};

TEST(test_the_first_type_follows_the_table_at_every_boundary)
{
	static const struct {
		size_t chunk;
		uint32_t rounds;
	} rows[] = {
		{65536, 14}, {129, 14}, {128, 30}, {97, 30}, {96, 46}, {65, 46}, {64, 62}, {33, 62},
		{32, 94},    {17, 94},  {16, 126}, {9, 126}, {8, 142}, {1, 142}, {0, 158},
	};

	for (unsigned int i = 0; i < RTE_DIM(rows); i++)
		assert_int_equal(mag_type_first(rows[i].chunk), rows[i].rounds);
}

TEST(test_a_type_grows_only_below_its_largest_object)
{
	static const struct {
		uint32_t rounds, next;
		size_t max;
	} rows[] = {
		{14, 30, 512}, {30, 46, 256},  {46, 62, 128}, {62, 94, 64},
		{94, 126, 32}, {126, 142, 16}, {142, 158, 8},
	};

	for (unsigned int i = 0; i < RTE_DIM(rows); i++) {
		assert_int_equal(mag_type_next(rows[i].max - 1, rows[i].rounds), rows[i].next);
		assert_int_equal(mag_type_next(rows[i].max, rows[i].rounds), 0);
		assert_int_equal(mag_type_next(rows[i].max + 1, rows[i].rounds), 0);
	}
}

TEST(test_nothing_grows_past_the_last_type)
{
	assert_int_equal(mag_type_next(0, 158), 0);
	assert_int_equal(mag_type_next(1, 158), 0);
}

TEST(test_the_largest_type_is_where_growing_ends)
{
	static const struct {
		size_t chunk;
		uint32_t rounds;
	} rows[] = {
		{2048, 14}, {512, 14}, {511, 30}, {256, 30}, {255, 46}, {128, 46},
		{127, 62},  {64, 62},  {63, 94},  {32, 94},  {31, 126}, {16, 126},
		{15, 142},  {8, 142},  {7, 158},  {1, 158},
	};

	for (unsigned int i = 0; i < RTE_DIM(rows); i++)
		assert_int_equal(mag_type_largest(rows[i].chunk), rows[i].rounds);
}

TEST(test_only_six_sizes_are_pool_types)
{
	const uint64_t others[] = {
		0, 1, 13, 15, 29, 31, 46, 158, 253, 255, 511, 14 + (1ull << 32), UINT64_MAX};

	for (unsigned int i = 0; i < RTE_DIM(pool_types); i++)
		assert_true(mag_type_is_pool(pool_types[i]));
	for (unsigned int i = 0; i < RTE_DIM(others); i++)
		assert_false(mag_type_is_pool(others[i]));
}

TEST(test_magazines_of_all_slots_hold_at_most_a_quarter_of_a_pool)
{
	const uint32_t slots[] = {1, 2, 3, 8, 128};
	uint64_t objects;

	for (unsigned int s = 0; s < RTE_DIM(slots); s++)
		for (unsigned int i = 0; i < RTE_DIM(pool_types); i++) {
			objects = 8ull * slots[s] * pool_types[i];
			assert_int_equal(mag_type_pool(objects, slots[s], MAG_ROUNDS_MAX),
					 pool_types[i]);
			assert_int_equal(mag_type_pool(objects - 1, slots[s], MAG_ROUNDS_MAX),
					 i > 0 ? pool_types[i - 1] : 0);
		}
	assert_int_equal(mag_type_pool(0, 1, MAG_ROUNDS_MAX), 0);
	assert_int_equal(mag_type_pool(UINT64_MAX, UINT32_MAX, MAG_ROUNDS_MAX), 510);
	assert_int_equal(mag_type_pool(1000000, UINT32_MAX, MAG_ROUNDS_MAX), 0);
}

TEST(test_a_pool_type_keeps_to_its_limit)
{
	assert_int_equal(mag_type_pool(UINT64_MAX, 1, 510), 510);
	assert_int_equal(mag_type_pool(UINT64_MAX, 1, 509), 254);
	assert_int_equal(mag_type_pool(UINT64_MAX, 1, 254), 254);
	assert_int_equal(mag_type_pool(UINT64_MAX, 1, 253), 126);
	assert_int_equal(mag_type_pool(UINT64_MAX, 1, 14), 14);
	assert_int_equal(mag_type_pool(UINT64_MAX, 1, 13), 0);
}

TEST(test_pool_types_follow_each_other)
{
	for (unsigned int i = 0; i + 1 < RTE_DIM(pool_types); i++)
		assert_int_equal(mag_type_pool_next(pool_types[i]), pool_types[i + 1]);
	assert_int_equal(mag_type_pool_next(510), 0);
	assert_int_equal(mag_type_pool_next(46), 0);
	assert_int_equal(mag_type_pool_next(0), 0);
}

TEST_PROGRAM(1)
