/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"

#include "slot/slot.h"

#define ROUNDS 14
#define MAGAZINES 16

static struct mag_arena arena;
static struct mag_depot depot __attribute__((aligned(128)));
static struct mag_slot slot;
static void *objects[3 * ROUNDS];

SETUP(setup)
{
	assert_int_equal(mag_arena_init(&arena, MAGAZINES * 128, MAGAZINES * 128, -1), 0);
	mag_depot_init(&depot, &arena);
	memset(&slot, 0, sizeof(slot));
	slot.size = ROUNDS;
}

static void
assert_invariant(void)
{
	uint32_t previous = slot.previous_rounds;

	if (slot.previous == NULL)
		assert_int_equal(previous, 0);
	else
		assert_true(previous == 0 || previous == slot.previous->rounds);
	assert_int_equal(slot.capacity, slot.loaded != NULL ? slot.loaded->rounds : 0);
	assert_true(slot.rounds <= slot.capacity);
	assert_int_equal(slot.busy, 0);
}

TEARDOWN(teardown)
{
	assert_invariant();
	mag_arena_fini(&arena);
}

static void *
number(uintptr_t n)
{
	return (void *)(0x1000 + n);
}

static void
stock_empty(unsigned int n)
{
	while (n-- > 0)
		mag_depot_put(&depot.empty, mag_arena_get(&arena, ROUNDS));
}

static uint32_t
fulls(void)
{
	return mag_depot_total(&depot.full);
}

static uint32_t
empties(void)
{
	return mag_depot_total(&depot.empty);
}

/* Objects that the slot accepts of n, which begin with this number. */
static uint32_t
offer(uintptr_t first, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		objects[i] = number(first + i);
	return mag_slot_give(&slot, &depot, objects, n);
}

static void
give(uintptr_t first, uint32_t n)
{
	assert_int_equal(offer(first, n), n);
}

TEST(test_an_empty_slot_over_an_empty_depot_gives_and_takes_nothing, setup, teardown)
{
	assert_int_equal(mag_slot_take(&slot, &depot, objects, 4), 0);
	assert_int_equal(offer(0, 4), 0);
	assert_false(mag_slot_get(&slot, objects, 1));
	assert_int_equal(slot.busy, 0);
	assert_false(mag_slot_put(&slot, objects, 1));
	assert_int_equal(slot.busy, 0);
	assert_false(mag_slot_get_both(&slot, objects, 1));
	assert_int_equal(slot.busy, 0);
	assert_false(mag_slot_put_both(&slot, objects, 1));
	assert_int_equal(slot.busy, 0);
	assert_int_equal(slot.allocs, 0);
}

/* Blocks */

#define BLOCK 4
#define BLOCKS 12

/* It has all objects with numbers below 48. */
static struct mag_region region = {.block = BLOCK, .stride = 1};

SETUP(setup_blocks)
{
	setup(state);
	region.blocks = (struct mag_blocks){0};
	for (unsigned int i = 0; i < BLOCKS; i++)
		mag_blocks_add(&region.blocks, (uintptr_t)number(i * BLOCK), BLOCK);
}

static void
assert_blocks(uintptr_t first, unsigned int n)
{
	void *got[BLOCKS];
	uint64_t allocs = slot.allocs;

	assert_true(mag_slot_take_blocks(&slot, &depot, &region, got, n));
	for (unsigned int i = 0; i < n; i++)
		assert_ptr_equal(got[i], number(first - i * BLOCK));
	assert_int_equal(slot.allocs - allocs, n * BLOCK);
	assert_invariant();
}

static void
assert_no_blocks(unsigned int n)
{
	uint32_t had = mag_slot_objects(&slot);
	uint64_t allocs = slot.allocs;
	void *got[BLOCKS];

	assert_false(mag_slot_take_blocks(&slot, &depot, &region, got, n));
	assert_int_equal(slot.allocs, allocs);
	assert_int_equal(mag_slot_objects(&slot), had);
	assert_invariant();
}

TEST(test_blocks_come_from_loaded_from_both_and_with_a_magazine_of_the_depot, setup_blocks,
     teardown)
{
	stock_empty(3);
	assert_no_blocks(1);
	give(0, 40);
	assert_int_equal(fulls(), 1);
	assert_no_blocks(7);
	assert_blocks(36, 1);
	assert_blocks(32, 5);
	assert_int_equal(slot.rounds, 2);
	assert_blocks(12, 1);
	assert_int_equal(fulls(), 0);
	assert_int_equal(empties(), 1);
	assert_blocks(8, 3);
	assert_no_blocks(1);
	assert_int_equal(slot.rounds_in, ROUNDS);
}

TEST(test_a_block_is_whole_in_any_order_and_nothing_else_is_one, setup_blocks, teardown)
{
	static const struct {
		unsigned int given[BLOCK];
		bool whole;
	} rows[] = {
		{{4, 5, 6, 7}, true},     {{7, 6, 5, 4}, true},          {{6, 4, 7, 5}, true},
		{{44, 45, 46, 47}, true}, {{3, 4, 5, 6}, false},         {{5, 6, 7, 8}, false},
		{{4, 5, 6, 9}, false},    {{3, 7, 6, 5}, false},         {{48, 49, 50, 51}, false},
		{{7, 5, 6, 20}, false},   {{100, 101, 102, 103}, false}, {{6, 8, 5, 7}, false},
		{{5, 4, 2, 6}, false}};

	stock_empty(2);
	/* Below the block so many others: it may lie in both magazines. */
	for (unsigned int i = 0; i < RTE_DIM(rows) * ROUNDS; i++) {
		give(200, i % ROUNDS);
		for (unsigned int j = 0; j < BLOCK; j++)
			give(rows[i / ROUNDS].given[j], 1);
		if (rows[i / ROUNDS].whole)
			assert_blocks(rows[i / ROUNDS].given[0] / BLOCK * BLOCK, 1);
		else
			assert_no_blocks(1);
		mag_slot_take(&slot, &depot, objects, mag_slot_objects(&slot));
	}
}

TEST(test_a_slot_that_is_off_takes_no_magazine_for_blocks, setup_blocks, teardown)
{
	struct mag_magazine *full = mag_arena_get(&arena, ROUNDS);

	slot.size = 0;
	for (unsigned int i = 0; i < ROUNDS; i++)
		*mag_magazine_round(full, i) = number(i + 2);
	mag_depot_put(&depot.full, full);
	assert_no_blocks(1);
	assert_int_equal(fulls(), 1);
	slot.size = ROUNDS;
	assert_blocks(12, 3);
}

/* Objects one by one, or some */

TEST(test_the_object_given_last_is_taken_first, setup, teardown)
{
	void *object;

	stock_empty(1);
	give(0, 5);
	for (unsigned int i = 5; i-- > 0;) {
		assert_true(mag_slot_get(&slot, &object, 1));
		assert_ptr_equal(object, number(i));
	}
	assert_false(mag_slot_get(&slot, &object, 1));
}

TEST(test_a_slot_that_is_off_leaves_the_depot_alone, setup, teardown)
{
	slot.size = 0;
	stock_empty(1);
	mag_depot_put(&depot.full, mag_arena_get(&arena, ROUNDS));
	assert_int_equal(mag_slot_take(&slot, &depot, objects, 4), 0);
	assert_int_equal(offer(0, 4), 0);
	assert_int_equal(fulls(), 1);
	assert_int_equal(empties(), 1);
}

TEST(test_the_fast_path_is_all_or_nothing, setup, teardown)
{
	stock_empty(1);
	give(0, 4);
	objects[0] = NULL;
	assert_false(mag_slot_get(&slot, objects, 5));
	assert_null(objects[0]);
	assert_int_equal(slot.rounds, 4);
	assert_false(mag_slot_put(&slot, objects, ROUNDS - 3));
	assert_int_equal(slot.rounds, 4);
	assert_true(mag_slot_put(&slot, objects, ROUNDS - 4));
	assert_int_equal(slot.rounds, ROUNDS);
	assert_true(mag_slot_get(&slot, objects, ROUNDS));
	assert_int_equal(slot.rounds, 0);
	assert_int_equal(slot.allocs, ROUNDS);
}

TEST(test_the_fast_path_stays_out_while_somebody_visits, setup, teardown)
{
	stock_empty(2);
	give(0, 2 * ROUNDS);
	mag_bias_announce(&slot, MAG_BIAS_VISIT);
	assert_false(mag_slot_get(&slot, objects, 1));
	assert_false(mag_slot_get_both(&slot, objects, ROUNDS + 1));
	mag_bias_dismiss(&slot, MAG_BIAS_VISIT);
	assert_true(mag_slot_get_both(&slot, objects, ROUNDS + 1));
	mag_bias_announce(&slot, MAG_BIAS_PURGE);
	assert_false(mag_slot_put(&slot, objects, 1));
	assert_false(mag_slot_put_both(&slot, objects, ROUNDS + 1));
	assert_int_equal(mag_slot_objects(&slot), ROUNDS - 1);
}

TEST(test_both_magazines_serve_without_the_slow_path, setup, teardown)
{
	void *more[3];

	assert_false(mag_slot_get_both(&slot, objects, 1));
	assert_false(mag_slot_put_both(&slot, objects, 1));
	stock_empty(2);
	give(0, 2 * ROUNDS);
	assert_false(mag_slot_get_both(&slot, objects, ROUNDS));
	assert_false(mag_slot_get_both(&slot, objects, 2 * ROUNDS + 1));
	assert_true(mag_slot_get_both(&slot, objects, ROUNDS + 3));
	assert_invariant();
	assert_int_equal(slot.allocs, ROUNDS + 3);
	for (uint32_t i = 0; i < ROUNDS; i++)
		assert_ptr_equal(objects[i], number(ROUNDS + i));
	for (uint32_t i = 0; i < 3; i++)
		assert_ptr_equal(objects[ROUNDS + i], number(ROUNDS - 3 + i));
	assert_false(mag_slot_put_both(&slot, objects, 3));
	assert_false(mag_slot_put_both(&slot, objects, ROUNDS + 4));
	assert_true(mag_slot_put_both(&slot, objects, ROUNDS + 3));
	assert_invariant();
	assert_int_equal(mag_slot_objects(&slot), 2 * ROUNDS);
	assert_true(mag_slot_get(&slot, more, 3));
	assert_memory_equal(more, objects + ROUNDS, sizeof(more));
}

static void
copy(void **to, void *const *from, size_t n)
{
	mag_slot_copy(to, from, n);
}

MAG_WIDE static void
copy_wide(void **to, void *const *from, size_t n)
{
	mag_slot_copy(to, from, n);
}

/* Between addresses of any alignment; what lies on both sides stays. */
static void
assert_copies_are_exact(void (*copies)(void **to, void *const *from, size_t n))
{
	void *from[32], *to[32];

	for (unsigned int i = 0; i < 32; i++)
		from[i] = number(i);
	for (unsigned int at = 1; at <= 8; at++)
		for (unsigned int n = 0; n <= 18; n++) {
			memset(to, 0, sizeof(to));
			copies(to + at, from + 9 - at, n);
			for (unsigned int i = 0; i < 32; i++)
				assert_ptr_equal(
					to[i], i < at || i >= at + n ? NULL : from[9 + i - 2 * at]);
		}
}

TEST(test_copies_are_exact, setup, teardown)
{
	assert_copies_are_exact(copy);
	if (MAG_CPU_IS_WIDE())
		assert_copies_are_exact(copy_wide);
}

TEST(test_detaching_leaves_nothing_behind, setup, teardown)
{
	struct mag_detached detached;

	stock_empty(2);
	give(0, ROUNDS + 3);
	detached = mag_slot_detach_previous(&slot);
	assert_int_equal(detached.rounds, ROUNDS);
	assert_ptr_equal(mag_magazine_round(detached.magazine, 0)[0], number(0));
	assert_null(slot.previous);
	assert_int_equal(mag_slot_objects(&slot), 3);
	detached = mag_slot_detach_loaded(&slot);
	assert_int_equal(detached.rounds, 3);
	assert_ptr_equal(mag_magazine_round(detached.magazine, 0)[0], number(ROUNDS));
	assert_null(slot.loaded);
	assert_int_equal(mag_slot_objects(&slot), 0);
	assert_invariant();
	assert_null(mag_slot_detach_previous(&slot).magazine);
	assert_null(mag_slot_detach_loaded(&slot).magazine);
}

TEST(test_picking_takes_from_the_top_of_loaded_only, setup, teardown)
{
	stock_empty(2);
	give(0, ROUNDS + 5);
	assert_int_equal(mag_slot_pick(&slot, objects, 2), 2);
	assert_ptr_equal(objects[0], number(ROUNDS + 3));
	assert_ptr_equal(objects[1], number(ROUNDS + 4));
	assert_int_equal(mag_slot_pick(&slot, objects, 2 * ROUNDS), 3);
	assert_int_equal(mag_slot_pick(&slot, objects, 1), 0);
	assert_int_equal(slot.previous_rounds, ROUNDS);
}

/* The slot layer and its depot as lists of numbers, straight from the specification. */
struct pile {
	bool there;
	uint32_t rounds;
	void *round[ROUNDS];
};

static struct {
	struct pile loaded, previous, full[MAGAZINES];
	uint32_t fulls, empties, exchanges;
} model;

static void
model_drop_empty(const struct pile *pile)
{
	if (pile->there)
		model.empties++;
}

static bool
model_load_full(uint32_t need)
{
	struct pile first, second;

	if (model.fulls == 0)
		return false;
	first = model.full[--model.fulls];
	model.exchanges++;
	model_drop_empty(&model.previous);
	if (need > ROUNDS && model.fulls > 0) {
		second = model.full[--model.fulls];
		model.exchanges++;
		model_drop_empty(&model.loaded);
		model.previous = second;
	} else {
		model.previous = model.loaded;
	}
	model.loaded = first;
	return true;
}

static uint32_t
model_take(void **to, uint32_t n)
{
	uint32_t got = 0, take;

	for (;;) {
		take = RTE_MIN(model.loaded.rounds, n - got);
		model.loaded.rounds -= take;
		memcpy(to + got, model.loaded.round + model.loaded.rounds, take * sizeof(void *));
		got += take;
		if (got == n)
			return n;
		if (model.previous.rounds > 0)
			RTE_SWAP(model.loaded, model.previous);
		else if (!model_load_full(n - got))
			return got;
	}
}

static bool
model_load_empty(void)
{
	if (model.empties == 0)
		return false;
	model.empties--;
	model.exchanges += model.previous.there;
	if (model.previous.there)
		model.full[model.fulls++] = model.previous;
	model.previous = model.loaded;
	model.loaded = (struct pile){.there = true};
	return true;
}

static uint32_t
model_give(uint32_t n)
{
	uint32_t done;

	for (done = 0; done < n;) {
		if (model.loaded.there && model.loaded.rounds < ROUNDS)
			model.loaded.round[model.loaded.rounds++] = objects[done++];
		else if (model.previous.there && model.previous.rounds == 0)
			RTE_SWAP(model.loaded, model.previous);
		else if (!model_load_empty())
			break;
	}
	return done;
}

/* Frees are not counted, but follow from the other counts. */
static void
assert_like_model(uint64_t given, uint64_t taken)
{
	assert_int_equal(slot.loaded != NULL, model.loaded.there);
	assert_int_equal(slot.previous != NULL, model.previous.there);
	assert_int_equal(slot.rounds, model.loaded.rounds);
	assert_int_equal(slot.previous_rounds, model.previous.rounds);
	assert_int_equal(fulls(), model.fulls);
	assert_int_equal(empties(), model.empties);
	assert_int_equal(slot.exchanges, model.exchanges);
	assert_int_equal(slot.allocs, taken);
	assert_int_equal(slot.allocs + slot.rounds_out + mag_slot_objects(&slot) - slot.rounds_in,
			 given);
	assert_invariant();
}

static uint32_t
random_take(uint32_t n)
{
	void *wanted[3 * ROUNDS];
	uint32_t got = n;

	if (!(random_below(2) == 0 && mag_slot_get(&slot, objects, n)) &&
	    !(random_below(2) == 0 && mag_slot_get_both(&slot, objects, n)))
		got = mag_slot_take(&slot, &depot, objects, n);
	assert_int_equal(model_take(wanted, n), got);
	assert_memory_equal(objects, wanted, got * sizeof(void *));
	return got;
}

static uint32_t
random_give(uintptr_t first, uint32_t n)
{
	uint32_t done = n;

	for (uint32_t i = 0; i < n; i++)
		objects[i] = number(first + i);
	if (!(random_below(2) == 0 && mag_slot_put(&slot, objects, n)) &&
	    !(random_below(2) == 0 && mag_slot_put_both(&slot, objects, n)))
		done = mag_slot_give(&slot, &depot, objects, n);
	assert_int_equal(model_give(n), done);
	return done;
}

TEST(test_random_operations_do_what_the_specification_says, setup, teardown)
{
	uint64_t given = 0, taken = 0;
	unsigned int n, bias = 0;

	memset(&model, 0, sizeof(model));
	stock_empty(8);
	model.empties = 8;
	for (unsigned int i = 0; i < 30000; i++) {
		if (i % 100 == 0)
			bias = random_below(11);
		n = 1 + random_below(3 * ROUNDS - 1);
		if (random_below(10) < bias)
			given += random_give(i * 3 * ROUNDS, n);
		else
			taken += random_take(n);
		assert_like_model(given, taken);
	}
}

static struct mag_slot slots[MAG_SLOTS];

TEST(test_an_owner_can_keep_itself_out, setup, teardown)
{
	struct mag_slot *own;

	mag_thread_claim();
	own = mag_slot_own(slots);
	assert_ptr_equal(own, &slots[rte_lcore_id()]);
	mag_slot_keep_out(own, true);
	assert_int_not_equal(mag_slot_enter(own), 0);
	mag_slot_leave(own);
	assert_false(mag_bias_enter_careful(own));
	mag_slot_keep_out(own, false);
	assert_int_equal(mag_slot_enter(own), 0);
	mag_slot_leave(own);
}

static void
keep_out_run(void *arg __rte_unused)
{
	struct mag_slot *own = mag_slot_own(slots);

	mag_slot_keep_out(own, true);
	mag_slot_keep_out(own, false);
}

TEST(test_a_thread_without_slot_leaves_the_shared_one_closed, setup, teardown)
{
	slots[MAG_SLOT_SHARED].visitor = MAG_BIAS_SELF;
	run_on_thread(keep_out_run, NULL);
	assert_int_equal(slots[MAG_SLOT_SHARED].visitor, MAG_BIAS_SELF);
}

TEST_PROGRAM(3)
