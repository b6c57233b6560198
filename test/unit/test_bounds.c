/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"

#include "parts/bounds.h"

#define PARTS 3
#define GIB (UINT64_C(1) << 30)

static struct mag_bounds bounds[PARTS];

static void
begin(void)
{
	for (uint32_t part = 0; part < PARTS; part++)
		mag_bounds_clear(&bounds[part]);
}

static void
add(uint32_t part, uintptr_t first, uintptr_t last)
{
	mag_bounds_add(bounds, PARTS, part, first, last);
}

static bool
has(uint32_t part, uintptr_t address)
{
	bool near = mag_near_has(&bounds[part].near, (const void *)address);

	for (unsigned int i = 1; i < 4; i++) {
		assert_int_equal(bounds[part].near.base[i], bounds[part].near.base[0]);
		assert_int_equal(bounds[part].near.above[i], bounds[part].near.above[0]);
	}
	return near;
}

static void
open_all(void)
{
	for (uint32_t part = 0; part < PARTS; part++)
		mag_bounds_open(bounds, PARTS, part);
}

TEST(test_no_address_is_near_before_somebody_asks_nor_without_memory)
{
	begin();
	add(0, 8 * GIB, 9 * GIB);
	assert_false(mag_bounds_are_known(&bounds[0]));
	assert_false(has(0, 8 * GIB));
	open_all();
	assert_true(mag_bounds_are_known(&bounds[0]));
	assert_true(has(0, 8 * GIB));
	assert_false(mag_bounds_are_known(&bounds[1]));
	for (uintptr_t at = 8; at < 64 * GIB; at += GIB)
		assert_false(has(1, at));
}

TEST(test_all_memory_is_near_and_room_behind_it_but_none_of_another_part)
{
	begin();
	add(1, 200 * GIB, 201 * GIB);
	add(0, 8 * GIB, 9 * GIB);
	add(2, 202 * GIB, 203 * GIB);
	open_all();
	for (uint32_t part = 0; part < PARTS; part++) {
		assert_true(has(part, bounds[part].low));
		assert_true(has(part, bounds[part].high - 1));
		for (uint32_t other = 0; other < PARTS; other++)
			for (unsigned int i = 0; other != part && i <= 1024; i++)
				assert_false(has(part, bounds[other].low + i * (GIB / 1024)));
	}
	assert_true(has(0, 40 * GIB));
	assert_true(has(2, 240 * GIB));
}

/* Neighbours at each distance, below and above, of a part of each length. */
TEST(test_the_first_and_the_last_object_of_a_neighbour_are_not_near)
{
	for (uintptr_t objects = 1; objects <= 40; objects++)
		for (uintptr_t gap = 1; gap <= 40; gap++) {
			const uintptr_t low = 4096 + 8 * gap, high = low + 8 * (objects - 1);

			begin();
			add(0, 64, 4096);
			add(1, low, high);
			add(2, high + 8 * gap, high + 8192);
			open_all();
			assert_false(has(1, 4096));
			assert_false(has(1, high + 8 * gap));
			assert_false(has(0, low));
			assert_false(has(2, high));
			assert_true(has(1, low));
			assert_true(has(0, 64));
			assert_true(has(2, high + 8192));
		}
}

TEST(test_parts_that_lie_among_each_other_are_not_near)
{
	begin();
	add(0, 8 * GIB, 9 * GIB);
	add(1, 10 * GIB, 11 * GIB);
	add(0, 12 * GIB, 13 * GIB);
	open_all();
	for (uint32_t part = 0; part < 2; part++) {
		assert_true(mag_bounds_are_known(&bounds[part]));
		for (uintptr_t at = 8 * GIB - 8; at < 14 * GIB; at += GIB / 1024)
			assert_false(has(part, at));
		assert_false(has(part, bounds[part].low));
		assert_false(has(part, bounds[part].low - 8));
	}
}

TEST(test_memory_that_comes_is_kept_off_by_those_who_were_there)
{
	for (uintptr_t at = 9 * GIB; at < 70 * GIB; at += GIB / 2) {
		begin();
		add(0, 8 * GIB, 9 * GIB - 64);
		mag_bounds_open(bounds, PARTS, 0);
		assert_true(has(0, at));
		add(1, at, at + GIB);
		assert_false(has(0, at));
		assert_false(has(0, at + GIB / 2));
		assert_false(has(0, at + GIB));
		assert_true(has(0, 8 * GIB));
		assert_true(has(0, 8 * GIB + GIB / 2));
	}
}

TEST(test_memory_that_comes_at_the_very_beginning_of_a_near_leaves_nothing_of_it)
{
	begin();
	add(0, 8 * GIB, 9 * GIB);
	mag_bounds_open(bounds, PARTS, 0);
	add(1, 8 * GIB - 64, 8 * GIB + 64);
	for (uintptr_t at = 8 * GIB - 64; at < 80 * GIB; at += GIB / 16)
		assert_false(has(0, at));
	mag_bounds_open(bounds, PARTS, 0);
	assert_false(has(0, 8 * GIB));
	begin();
	add(0, 8 * GIB, 9 * GIB);
	mag_bounds_open(bounds, PARTS, 0);
	assert_true(has(0, 8 * GIB));
}

TEST(test_memory_of_the_own_part_that_comes_near_is_near)
{
	begin();
	add(0, 8 * GIB, 9 * GIB);
	mag_bounds_open(bounds, PARTS, 0);
	add(0, 20 * GIB, 21 * GIB);
	assert_true(has(0, 20 * GIB));
	add(0, 200 * GIB, 201 * GIB);
	assert_false(has(0, 200 * GIB));
	assert_true(has(0, 20 * GIB));
}

TEST_PROGRAM(1)
