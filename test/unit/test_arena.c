/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"

#include "base/fault.h"
#include "parts/arena.h"
#include "fixture.h"

#define BLOCK 4096

static const uint32_t pool_types[] = {14, 30, 62, 126, 254, 510};

static struct mag_arena arena;

static void
make(unsigned int blocks)
{
	assert_int_equal(mag_arena_init(&arena, (size_t)blocks * BLOCK, (size_t)blocks * BLOCK, -1),
			 0);
}

SETUP(setup)
{
	make(1);
}

SETUP(setup_two)
{
	make(2);
}

TEARDOWN(teardown)
{
	mag_arena_fini(&arena);
}

static struct mag_magazine *
get(uint32_t rounds)
{
	return mag_arena_get(&arena, rounds);
}

static void
put(struct mag_magazine *magazine)
{
	mag_arena_put(&arena, magazine);
}

TEST(test_pool_types_fill_a_power_of_two_with_their_header)
{
	for (unsigned int i = 0; i < RTE_DIM(pool_types); i++)
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
	} rows[] = {{1, BLOCK},
		    {BLOCK, BLOCK},
		    {BLOCK + 1, 2 * BLOCK},
		    {2 * MAG_ARENA_CHUNK + 1, 2 * MAG_ARENA_CHUNK + BLOCK}};
	uint64_t before = heap_balance();

	for (unsigned int i = 0; i < RTE_DIM(rows); i++) {
		assert_true(attempts(mag_arena_init(&arena, rows[i].bytes, rows[i].bytes, -1) ==
				     0) > 2);
		assert_int_equal(mag_arena_size(&arena), rows[i].size);
		mag_arena_fini(&arena);
	}
	assert_int_equal(heap_balance(), before);
}

static unsigned int
get_all(uint32_t rounds, struct mag_magazine **got)
{
	unsigned int n = 0;

	while ((got[n] = get(rounds)) != NULL)
		assert_int_equal(got[n++]->rounds, rounds);
	return n;
}

static void
put_all(struct mag_magazine **got, unsigned int n)
{
	unsigned int i;

	while (n > 0) {
		i = random_below(n);
		put(got[i]);
		got[i] = got[--n];
	}
}

TEST(test_a_block_splits_into_every_type_and_merges_again, setup, teardown)
{
	static const uint32_t types[] = {510, 254, 126, 62, 30, 14, 158, 142, 94, 46, 510};
	struct mag_magazine *got[BLOCK / 128 + 1];
	unsigned int n;

	for (unsigned int i = 0; i < RTE_DIM(types); i++) {
		n = get_all(types[i], got);
		assert_int_equal(n, BLOCK / mag_arena_magazine_bytes(types[i]));
		assert_int_equal(arena.out, n);
		put_all(got, n);
		assert_int_equal(arena.out, 0);
	}
}

TEST(test_halves_of_different_blocks_do_not_merge, setup, teardown)
{
	struct mag_magazine *got[BLOCK / 128 + 1];
	unsigned int n = get_all(14, got);

	assert_int_equal(n, 32);
	for (unsigned int i = 0; i < n; i++)
		if (got[i]->index % 2 == 0)
			put(got[i]);
	assert_null(get(30));
	for (unsigned int i = 0; i < n; i++)
		if (got[i]->index % 2 != 0)
			put(got[i]);
	assert_non_null(get(510));
}

TEST(test_a_half_waits_for_its_own_buddy, setup, teardown)
{
	struct mag_magazine *a = get(254), *b = get(126), *c = get(126);

	assert_null(get(14));
	put(a);
	put(b);
	assert_null(get(510));
	a = get(254);
	assert_non_null(a);
	put(a);
	put(c);
	assert_non_null(get(510));
}

TEST(test_blocks_of_4_KiB_do_not_merge_further, setup_two, teardown)
{
	struct mag_magazine *got[3];

	assert_int_equal(get_all(510, got), 2);
	put_all(got, 2);
	assert_int_equal(get_all(510, got), 2);
	assert_ptr_not_equal(got[0], got[1]);
}

TEST(test_an_index_leads_back_to_its_magazine, setup_two, teardown)
{
	struct mag_magazine *got[2 * BLOCK / 128 + 1];
	unsigned int n = get_all(14, got);

	for (unsigned int i = 0; i < n; i++)
		assert_ptr_equal(mag_arena_magazine(&arena, got[i]->index), got[i]);
	assert_null(mag_arena_magazine(&arena, 0));
	assert_null(mag_arena_magazine(&arena, MAG_ARENA_FIRST - 1));
	assert_null(mag_arena_magazine(&arena, MAG_ARENA_FIRST + n));
	assert_null(mag_arena_magazine(&arena, UINT32_MAX));
}

TEST(test_a_busy_arena_is_not_waited_for, setup, teardown)
{
	mag_lock_wait(&arena.lock);
	assert_null(get(14));
	mag_lock_release(&arena.lock);
	assert_non_null(get(14));
}

TEST(test_no_more_magazines_are_out_than_a_depot_can_count, setup, teardown)
{
	arena.out = MAG_MAGAZINES_MAX;
	assert_null(get(14));
	arena.out = MAG_MAGAZINES_MAX - 1;
	assert_non_null(get(14));
	assert_null(get(14));
}

static void
put_run(void *magazine)
{
	put(magazine);
}

TEST(test_a_magazine_comes_back_to_a_busy_arena_without_waiting, setup, teardown)
{
	struct mag_magazine *a = get(254), *b = get(254);

	mag_lock_wait(&arena.lock);
	run_on_thread(put_run, a);
	run_on_thread(put_run, b);
	assert_int_equal(arena.out, 2);
	mag_lock_release(&arena.lock);
	/* Whoever is next in the arena puts them away first. */
	assert_non_null(get(510));
	assert_int_equal(arena.out, 1);
}

/* Of which one chunk is there, and may be two and a piece. */
#define WHOLE (MAG_ARENA_CHUNK / BLOCK)

SETUP(setup_growing)
{
	assert_int_equal(mag_arena_init(&arena, 1, 2 * MAG_ARENA_CHUNK + BLOCK, -1), 0);
	assert_int_equal(mag_arena_size(&arena), MAG_ARENA_CHUNK);
}

/* What it begins with, and cannot have, is refused before any of it is taken. */
TEST(test_an_arena_begins_in_one_piece)
{
	mag_fault_nth(3);
	assert_int_equal(mag_arena_init(&arena, 9 * MAG_ARENA_CHUNK + 1, 20 * MAG_ARENA_CHUNK, -1),
			 0);
	mag_fault_nth(0);
	assert_int_equal(mag_arena_size(&arena), 10 * MAG_ARENA_CHUNK);
	mag_arena_fini(&arena);
	mag_fault_nth(2);
	assert_int_equal(mag_arena_init(&arena, 9 * MAG_ARENA_CHUNK, 9 * MAG_ARENA_CHUNK, -1),
			 -ENOMEM);
	mag_fault_nth(0);
}

static struct mag_magazine *large[2 * WHOLE + 2];

static void
assert_all_have_their_index(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		assert_ptr_equal(mag_arena_magazine(&arena, large[i]->index), large[i]);
}

/* All that there are, so that it wants more. */
static unsigned int
exhaust(unsigned int n)
{
	n += get_all(510, large + n);
	assert_true(mag_arena_wants(&arena));
	assert_false(mag_arena_wants(&arena));
	return n;
}

TEST(test_an_arena_grows_when_little_is_left_and_keeps_its_indices, setup_growing, teardown)
{
	unsigned int n = 0;

	for (; n <= WHOLE / 2; n++) {
		assert_false(mag_arena_wants(&arena));
		large[n] = get(510);
	}
	mag_arena_serve(&arena);
	assert_int_equal(mag_arena_size(&arena), MAG_ARENA_CHUNK);
	assert_true(mag_arena_wants(&arena));
	arena.wanted = false;
	n = exhaust(n);
	assert_int_equal(n, WHOLE);
	for (unsigned int chunks = 2; chunks <= 3; chunks++) {
		mag_arena_serve(&arena);
		assert_int_equal(mag_arena_size(&arena),
				 RTE_MIN(chunks * MAG_ARENA_CHUNK, arena.max));
		assert_all_have_their_index(n);
		if (chunks == 2)
			n = exhaust(n);
	}
	n += get_all(510, large + n);
	assert_int_equal(n, 2 * WHOLE + 1);
	assert_all_have_their_index(n);
	assert_false(mag_arena_wants(&arena));
	put_all(large, n);
	assert_int_equal(arena.out_units, 0);
	assert_int_equal(get_all(510, large), 2 * WHOLE + 1);
}

TEST(test_an_arena_without_memory_is_left_alone_for_a_while, setup_growing, teardown)
{
	unsigned int n = exhaust(0);

	mag_fault_nth(1);
	mag_arena_serve(&arena);
	mag_fault_nth(0);
	assert_int_equal(mag_arena_size(&arena), MAG_ARENA_CHUNK);
	assert_null(get(14));
	assert_false(mag_arena_wants(&arena));
	arena.retry_at = 0;
	assert_true(mag_arena_wants(&arena));
	mag_arena_serve(&arena);
	assert_int_equal(get_all(510, large + n), WHOLE);
}

TEST(test_a_chunk_that_a_killed_process_had_is_gone_on_with, setup_growing, teardown)
{
	unsigned int n = exhaust(0);
	uint32_t limit = arena.limit;
	uint64_t balance;

	mag_arena_serve(&arena);
	/* It was killed before the last of these stores. */
	arena.limit = limit;
	arena.wanted = true;
	balance = heap_balance();
	mag_arena_serve(&arena);
	assert_int_equal(heap_balance(), balance);
	assert_int_equal(get_all(510, large + n), WHOLE);
}

static bool
is_of_even_block(struct mag_magazine *magazine, void *arg __rte_unused)
{
	return magazine->index / MAG_ARENA_FIRST % 2 == 0;
}

TEST(test_an_arena_is_made_anew_over_all_its_chunks, setup_growing, teardown)
{
	unsigned int n = exhaust(0), kept = 0;

	mag_arena_serve(&arena);
	/* Not all of the second: the rest stays fresh. */
	for (; n < 2 * WHOLE - 5; n++)
		large[n] = get(510);
	for (unsigned int i = 0; i < n; i++)
		kept += is_of_even_block(large[i], NULL);
	mag_arena_rebuild(&arena, is_of_even_block, NULL);
	assert_int_equal(arena.out, kept);
	assert_int_equal(arena.out_units, kept * BLOCK / MAG_ARENA_UNIT);
	assert_int_equal(get_all(510, large), 2 * WHOLE - kept);
}

#define HOLD 40
#define TURNS 3000

struct mess {
	uintptr_t mark;
	_Atomic uint32_t *clashes;
};

static void
mess_fill(struct mag_magazine *magazine, uintptr_t mark)
{
	for (uint32_t i = 0; i < magazine->rounds; i++)
		*mag_magazine_round(magazine, i) = (void *)mark;
}

static bool
mess_is_intact(const struct mag_magazine *magazine, uintptr_t mark)
{
	for (uint32_t i = 0; i < magazine->rounds; i++)
		if (*mag_magazine_round(magazine, i) != (void *)mark)
			return false;
	return true;
}

static void
mess_run(void *arg)
{
	static const uint32_t types[] = {14, 30, 46, 62, 94, 126, 142, 158, 254, 510};
	struct mag_magazine *held[HOLD] = {NULL}, **at;
	struct mess *mess = arg;
	uint32_t seed = mess->mark;

	for (unsigned int turn = 0; turn < TURNS + HOLD; turn++) {
		seed = seed * 1103515245 + 12345;
		at = &held[turn < TURNS ? seed >> 8 & 31 : turn - TURNS];
		if (*at != NULL) {
			if (!mess_is_intact(*at, mess->mark))
				atomic_fetch_add(mess->clashes, 1);
			put(*at);
			*at = NULL;
		} else if (turn < TURNS) {
			*at = get(types[(seed >> 16) % RTE_DIM(types)]);
			if (*at != NULL)
				mess_fill(*at, mess->mark);
		}
	}
}

TEST(test_magazines_never_overlap_and_all_memory_comes_back, NULL, teardown)
{
	_Atomic uint32_t clashes = 0;
	struct mag_magazine *got[9];
	struct mess mess[3];
	struct task task[3];

	make(8);
	for (unsigned int i = 0; i < RTE_DIM(task); i++) {
		mess[i] = (struct mess){i + 1, &clashes};
		task_thread(&task[i], mess_run, &mess[i]);
	}
	for (unsigned int i = 0; i < RTE_DIM(task); i++)
		task_join(&task[i]);
	assert_int_equal(clashes, 0);
	assert_int_equal(arena.out, 0);
	assert_int_equal(get_all(510, got), 8);
}

TEST_PROGRAM(1)
