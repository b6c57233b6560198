/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "parts/arena.h"
#include "base/fault.h"

#define BLOCK 4096

static const uint32_t pool_types[] = {14, 30, 62, 126, 254, 510};

TEST(test_pool_types_fill_a_power_of_two_with_their_header)
{
	unsigned int i;

	for (i = 0; i < RTE_DIM(pool_types); i++)
		assert_int_equal(mag_arena_magazine_bytes(pool_types[i]), 8 * (pool_types[i] + 2));
	assert_int_equal(mag_arena_magazine_bytes(46), 512);
	assert_int_equal(mag_arena_magazine_bytes(94), 1024);
	assert_int_equal(mag_arena_magazine_bytes(142), 2048);
	assert_int_equal(mag_arena_magazine_bytes(158), 2048);
	assert_int_equal(mag_arena_magazine_bytes(1), 128);
}

TEST(test_an_arena_is_rounded_up_to_whole_blocks)
{
	const struct {
		size_t bytes, size;
	} rows[] = {{1, BLOCK}, {BLOCK, BLOCK}, {BLOCK + 1, 2 * BLOCK}};
	struct mag_arena arena;
	unsigned int i;

	for (i = 0; i < RTE_DIM(rows); i++) {
		assert_int_equal(mag_arena_init(&arena, rows[i].bytes, -1), 0);
		assert_int_equal(arena.size, rows[i].size);
		mag_arena_fini(&arena);
	}
}

static unsigned int
get_all(struct mag_arena *arena, uint32_t rounds, struct mag_magazine **got)
{
	unsigned int n = 0;

	while ((got[n] = mag_arena_get(arena, rounds)) != NULL) {
		assert_int_equal(got[n]->rounds, rounds);
		n++;
	}
	return n;
}

static void
put_all(struct mag_arena *arena, struct mag_magazine **got, unsigned int n)
{
	unsigned int i;

	while (n > 0) {
		i = random_below(n);
		mag_arena_put(arena, got[i]);
		got[i] = got[--n];
	}
}

TEST(test_a_block_splits_into_every_type_and_merges_again)
{
	static const uint32_t types[] = {510, 254, 126, 62, 30, 14, 158, 142, 94, 46, 510};
	struct mag_magazine *got[BLOCK / 128 + 1];
	struct mag_arena arena;
	unsigned int i, n;

	assert_int_equal(mag_arena_init(&arena, BLOCK, -1), 0);
	for (i = 0; i < RTE_DIM(types); i++) {
		n = get_all(&arena, types[i], got);
		assert_int_equal(n, BLOCK / mag_arena_magazine_bytes(types[i]));
		assert_int_equal(arena.out, n);
		put_all(&arena, got, n);
		assert_int_equal(arena.out, 0);
	}
	mag_arena_fini(&arena);
}

TEST(test_halves_of_different_blocks_do_not_merge)
{
	struct mag_magazine *got[BLOCK / 128 + 1];
	struct mag_arena arena;
	unsigned int i, n;

	assert_int_equal(mag_arena_init(&arena, BLOCK, -1), 0);
	n = get_all(&arena, 14, got);
	assert_int_equal(n, 32);
	for (i = 0; i < n; i++)
		if (mag_arena_index(&arena, got[i]) / 2 % 2 == 0)
			mag_arena_put(&arena, got[i]);
	assert_null(mag_arena_get(&arena, 30));
	for (i = 0; i < n; i++)
		if (mag_arena_index(&arena, got[i]) / 2 % 2 != 0)
			mag_arena_put(&arena, got[i]);
	assert_non_null(mag_arena_get(&arena, 510));
	mag_arena_fini(&arena);
}

TEST(test_a_half_waits_for_its_own_buddy)
{
	struct mag_magazine *a, *b, *c, *d;
	struct mag_arena arena;

	assert_int_equal(mag_arena_init(&arena, BLOCK, -1), 0);
	a = mag_arena_get(&arena, 254);
	b = mag_arena_get(&arena, 126);
	c = mag_arena_get(&arena, 126);
	assert_null(mag_arena_get(&arena, 14));
	mag_arena_put(&arena, a);
	mag_arena_put(&arena, b);
	assert_null(mag_arena_get(&arena, 510));
	d = mag_arena_get(&arena, 254);
	assert_non_null(d);
	mag_arena_put(&arena, d);
	mag_arena_put(&arena, c);
	assert_non_null(mag_arena_get(&arena, 510));
	mag_arena_fini(&arena);
}

TEST(test_blocks_of_4_KiB_do_not_merge_further)
{
	struct mag_magazine *got[3];
	struct mag_arena arena;

	assert_int_equal(mag_arena_init(&arena, 2 * BLOCK, -1), 0);
	assert_int_equal(get_all(&arena, 510, got), 2);
	put_all(&arena, got, 2);
	assert_int_equal(get_all(&arena, 510, got), 2);
	assert_ptr_not_equal(got[0], got[1]);
	mag_arena_fini(&arena);
}

TEST(test_an_index_leads_back_to_its_magazine)
{
	struct mag_magazine *got[2 * BLOCK / 128 + 1];
	struct mag_arena arena;
	unsigned int i, n;
	uint32_t index;

	assert_int_equal(mag_arena_init(&arena, 2 * BLOCK, -1), 0);
	n = get_all(&arena, 14, got);
	for (i = 0; i < n; i++) {
		index = mag_arena_index(&arena, got[i]);
		assert_int_not_equal(index, 0);
		assert_true(mag_arena_has_index(&arena, index));
		assert_ptr_equal(mag_arena_magazine(&arena, index), got[i]);
	}
	assert_false(mag_arena_has_index(&arena, 0));
	assert_false(mag_arena_has_index(&arena, 2 * BLOCK / MAG_LINE + 1));
	assert_false(mag_arena_has_index(&arena, UINT32_MAX));
	mag_arena_fini(&arena);
}

TEST(test_a_busy_arena_is_not_waited_for)
{
	struct mag_arena arena;

	assert_int_equal(mag_arena_init(&arena, BLOCK, -1), 0);
	mag_lock_wait(&arena.lock);
	assert_null(mag_arena_get(&arena, 14));
	mag_lock_release(&arena.lock);
	assert_non_null(mag_arena_get(&arena, 14));
	mag_arena_fini(&arena);
}

TEST(test_no_more_magazines_are_out_than_a_depot_can_count)
{
	struct mag_arena arena;

	assert_int_equal(mag_arena_init(&arena, BLOCK, -1), 0);
	arena.out = MAG_MAGAZINES_MAX;
	assert_null(mag_arena_get(&arena, 14));
	arena.out = MAG_MAGAZINES_MAX - 1;
	assert_non_null(mag_arena_get(&arena, 14));
	assert_null(mag_arena_get(&arena, 14));
	mag_arena_fini(&arena);
}

static void
put_run(void *arg)
{
	struct mag_arena *arena = ((void **)arg)[0];

	mag_arena_put(arena, ((void **)arg)[1]);
}

TEST(test_a_magazine_comes_back_to_a_busy_arena_without_waiting)
{
	struct mag_arena arena;
	struct mag_magazine *a, *b;

	assert_int_equal(mag_arena_init(&arena, BLOCK, -1), 0);
	a = mag_arena_get(&arena, 254);
	b = mag_arena_get(&arena, 254);
	mag_lock_wait(&arena.lock);
	run_on_thread(put_run, (void *[]){&arena, a});
	run_on_thread(put_run, (void *[]){&arena, b});
	assert_int_equal(arena.out, 2);
	mag_lock_release(&arena.lock);
	/* Whoever is next in the arena puts them away first. */
	assert_non_null(mag_arena_get(&arena, 510));
	assert_int_equal(arena.out, 1);
	mag_arena_fini(&arena);
}

#define HOLD 40
#define TURNS 3000

struct mess {
	struct mag_arena *arena;
	uintptr_t mark;
	_Atomic uint32_t *clashes;
};

static void
mess_fill(struct mag_magazine *magazine, uintptr_t mark)
{
	uint32_t i;

	for (i = 0; i < magazine->rounds; i++)
		*mag_magazine_round(magazine, i) = (void *)mark;
}

static bool
mess_is_intact(const struct mag_magazine *magazine, uintptr_t mark)
{
	uint32_t i;

	for (i = 0; i < magazine->rounds; i++)
		if (*mag_magazine_round(magazine, i) != (void *)mark)
			return false;
	return true;
}

static void
mess_run(void *arg)
{
	static const uint32_t types[] = {14, 30, 46, 62, 94, 126, 142, 158, 254, 510};
	struct mag_magazine *held[HOLD] = {NULL};
	struct mess *mess = arg;
	uint32_t seed = mess->mark;
	unsigned int turn, i;

	for (turn = 0; turn < TURNS; turn++) {
		seed = seed * 1103515245 + 12345;
		i = seed >> 8 & 31;
		if (held[i] != NULL) {
			if (!mess_is_intact(held[i], mess->mark))
				atomic_fetch_add(mess->clashes, 1);
			mag_arena_put(mess->arena, held[i]);
			held[i] = NULL;
		} else {
			held[i] = mag_arena_get(mess->arena, types[(seed >> 16) % RTE_DIM(types)]);
			if (held[i] != NULL)
				mess_fill(held[i], mess->mark);
		}
	}
	for (i = 0; i < HOLD; i++)
		if (held[i] != NULL)
			mag_arena_put(mess->arena, held[i]);
}

TEST(test_magazines_never_overlap_and_all_memory_comes_back)
{
	_Atomic uint32_t clashes = 0;
	struct mag_magazine *got[9];
	struct mag_arena arena;
	struct mess mess[3];
	struct task task[3];
	unsigned int i;

	assert_int_equal(mag_arena_init(&arena, 8 * BLOCK, -1), 0);
	for (i = 0; i < RTE_DIM(task); i++) {
		mess[i] = (struct mess){&arena, i + 1, &clashes};
		task_thread(&task[i], mess_run, &mess[i]);
	}
	for (i = 0; i < RTE_DIM(task); i++)
		task_join(&task[i]);
	assert_int_equal(clashes, 0);
	assert_int_equal(arena.out, 0);
	assert_int_equal(get_all(&arena, 510, got), 8);
	mag_arena_fini(&arena);
}

TEST(test_an_arena_without_memory_is_refused_and_leaks_nothing)
{
	uint64_t before = heap_balance();
	struct mag_arena arena;
	unsigned int nth;
	int ret;

	for (nth = 1;; nth++) {
		mag_fault_nth(nth);
		ret = mag_arena_init(&arena, BLOCK, -1);
		if (ret == 0)
			break;
		assert_int_equal(ret, -ENOMEM);
		assert_int_equal(heap_balance(), before);
	}
	mag_fault_nth(0);
	assert_true(nth > 2);
	mag_arena_fini(&arena);
	assert_int_equal(heap_balance(), before);
}

int
main(void)
{
	eal_start(1, NULL);
	return tests_run(NULL, NULL);
}
