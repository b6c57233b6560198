/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"

#include "fixture.h"
#include "stepper.h"

#define BLOCK 16
#define COUNT (16 * BLOCK)
#define SIZE 256
#define ROUNDS 14

static void *objects[COUNT];

SETUP(setup)
{
	fixture_cache(COUNT, CACHE_PARAMS(.name = "counted", .object_size = SIZE - 4, .align = 16,
					  .flags = MAG_CACHE_DYNAMIC));
}

TEST(test_a_new_cache_tells_what_it_was_made_from, setup, fixture_teardown)
{
	struct mag_cache_stats now;

	memset(&now, 0xff, sizeof(now));
	mag_cache_stats_get(cache, &now);
	assert_string_equal(now.name, "counted");
	assert_int_equal(now.id, cache->id);
	assert_int_equal(now.region_id, cache->region->id);
	assert_int_equal(now.region_id, region_stats(cache->region).id);
	assert_true(now.id >> 32 == mag_process_id && now.region_id >> 32 == mag_process_id);
	assert_int_equal(now.region_mode, cache->region->mode);
	/* Cleared by itself, where cache lines are so long. */
	assert_int_equal(now.flags,
			 MAG_CACHE_DYNAMIC | (SIZE <= mag_options_clear_min(&mag_options_default) ?
						      MAG_CACHE_CLEARONFREE :
						      0));
	assert_int_equal(now.object_size, SIZE - 4);
	assert_int_equal(now.chunk_size, SIZE);
	assert_int_equal(now.align, 16);
	assert_int_equal(now.region_align, cache->region->align);
	assert_int_equal(now.slab_objects, BLOCK);
	assert_int_equal(now.slab_size, BLOCK * SIZE);
	assert_int_equal(now.rounds, ROUNDS);
	assert_int_equal(now.objects, COUNT);
	assert_int_equal(now.free, COUNT);
	assert_int_equal(now.table_size, 64);
	assert_int_equal(now.loaded + now.previous + now.slab_frees_no_magazine + now.in_lcores +
				 now.depot_full + now.depot_empty + now.depot_full_taken +
				 now.depot_empty_taken + now.contention + now.contention_total +
				 now.zeroes + now.resizes + now.purges + now.reaps + now.updates,
			 0);
	assert_int_equal(now.slabs_created + now.slabs_destroyed + now.slabs_partial +
				 now.slabs_full + now.slab_allocs + now.slab_frees +
				 now.slab_fails + now.alloc_fails + now.invalid_frees + now.in_use +
				 now.in_use_max + now.rescales + now.steals + now.steal_denied +
				 now.visits_denied,
			 0);
}

TEST(test_slab_counts_follow_objects_out_and_back, setup, fixture_teardown)
{
	struct mag_cache_stats now;

	alloc_bulk(objects, BLOCK + 1);
	now = cache_stats(cache);
	assert_int_equal(now.free, COUNT - BLOCK - 1);
	assert_int_equal(now.slabs_created, 2);
	assert_int_equal(now.slabs_full, 1);
	assert_int_equal(now.slabs_partial, 1);
	assert_int_equal(now.slab_allocs, BLOCK + 1);
	assert_int_equal(now.in_use, 2 * BLOCK);
	assert_int_equal(mag_cache_alloc_burst(cache, objects + BLOCK + 1, COUNT),
			 COUNT - BLOCK - 1);
	assert_null(mag_cache_alloc(cache));
	now = cache_stats(cache);
	assert_int_equal(now.free, 0);
	assert_true(now.slab_fails > 0);
	assert_int_equal(now.alloc_fails, now.slab_fails);
	mag_cache_free_nocache(cache, objects[0]);
	mag_cache_free_nocache(cache, objects[0]);
	now = cache_stats(cache);
	assert_int_equal(now.invalid_frees, 1);
	assert_int_equal(now.slab_frees, 1);
	assert_int_equal(now.free, 1);
	free_bulk(objects + 1, COUNT - 1);
	assert_int_equal(cache_reap_all(), 0);
	now = cache_stats(cache);
	assert_int_equal(now.slabs_created, now.slabs_destroyed);
	assert_int_equal(now.in_use, 0);
	assert_int_equal(now.in_use_max, COUNT);
	assert_int_equal(now.purges, 1);
}

TEST(test_depot_counts_are_magazines_and_takes, setup, fixture_teardown)
{
	struct mag_cache_stats now;

	fill(5 * ROUNDS);
	now = cache_stats(cache);
	assert_int_equal(now.in_lcores, 2 * ROUNDS);
	assert_int_equal(now.loaded, ROUNDS);
	assert_int_equal(now.previous, ROUNDS);
	assert_int_equal(now.depot_full, 3);
	assert_int_equal(now.depot_empty, 0);
	assert_int_equal(now.depot_empty_taken, 5);
	assert_int_equal(now.depot_full_taken, 0);
	assert_int_equal(now.free, COUNT);
	fill(3 * ROUNDS);
	assert_int_equal(cache_stats(cache).depot_full_taken, 1);
	cache->first.depot.empty.contention = 6;
	cache->contention_seen = 4;
	assert_int_equal(cache_stats(cache).contention, 2);
	assert_int_equal(cache_stats(cache).contention_total, 6);
	cache->contention_seen = 7;
	assert_int_equal(cache_stats(cache).contention, 0);
}

TEST(test_maintenance_counts, setup, fixture_teardown)
{
	struct mag_cache_stats now;

	mag_cache_update(cache);
	assert_int_equal(mag_cache_resize(cache, 30, true), 0);
	now = cache_stats(cache);
	assert_int_equal(now.updates, 1);
	assert_int_equal(now.resizes, 1);
	assert_int_equal(now.rounds, 30);
	assert_int_equal(mag_cache_purge(cache), 0);
	assert_int_equal(cache_stats(cache).rounds, 0);
	mag_cache_enable(cache);
	assert_int_equal(cache_stats(cache).rounds, 30);
}

TEST(test_frees_that_find_no_magazine_are_counted, setup, fixture_teardown)
{
	struct mag_magazine *taken[1000];
	unsigned int n = 0;

	alloc_bulk(objects, COUNT);
	while ((taken[n] = mag_arena_get(&cache->first.arena, ROUNDS)) != NULL)
		n++;
	mag_cache_free(cache, objects[0]);
	free_bulk(objects + 1, 10);
	assert_int_equal(cache_stats(cache).slab_frees_no_magazine, 11);
	mag_cache_free_nocache(cache, objects[11]);
	for (unsigned int i = 0; i < n; i++)
		mag_arena_put(&cache->first.arena, taken[i]);
	/* Neither does one count that goes by the magazines, or finds some, or the layer off. */
	free_bulk(objects + 12, 20);
	assert_int_equal(cache_purge(), 0);
	free_bulk(objects + 32, COUNT - 32);
	assert_int_equal(cache_stats(cache).slab_frees_no_magazine, 11);
	cache_enable();
}

static struct mag_slot_stats slots[MAG_SLOTS];

static unsigned int
slot_of(unsigned int lcore)
{
	unsigned int n = mag_cache_slot_stats_get(cache, slots, MAG_SLOTS);

	for (unsigned int i = 0; i < n; i++)
		if (slots[i].lcore == lcore)
			return i;
	fail();
	return 0;
}

TEST(test_each_slot_counts_its_own, setup, fixture_teardown)
{
	unsigned int n, i;

	fill_on_lcore(1, 20);
	fill_on_lcore(1, 20);
	i = slot_of(1);
	assert_int_equal(slots[i].allocs, 40);
	assert_int_equal(slots[i].frees, 40);
	assert_int_equal(slots[i].loaded, 6);
	assert_int_equal(slots[i].previous, ROUNDS);
	fill_on_thread(20);
	n = mag_cache_slot_stats_get(cache, slots, MAG_SLOTS);
	assert_int_equal(slots[n - 1].lcore, LCORE_ID_ANY);
	assert_int_equal(slots[n - 1].allocs, 20);
	assert_int_equal(slots[n - 1].frees, 20);
	assert_int_equal(n, mag_thread_slots() + 1);
	assert_int_equal(mag_cache_slot_stats_get(cache, slots, 1), 1);
	assert_int_equal(mag_cache_slot_stats_get(cache, slots, 0), 0);
}

static int64_t
frees_of_first(void)
{
	assert_int_equal(mag_cache_slot_stats_get(cache, slots, 1), 1);
	return slots[0].frees;
}

/* As it looks when an owner gets a magazine from the depot between the reads. */
TEST(test_frees_of_a_slot_never_fall_below_zero, setup, fixture_teardown)
{
	slot_at(0)->rounds_in += 3;
	assert_int_equal(frees_of_first(), 0);
	slot_at(0)->allocs += 3;
	assert_int_equal(frees_of_first(), 0);
	slot_at(0)->visited_out += 2;
	assert_int_equal(frees_of_first(), 2);
}

static int64_t
allocs_less_frees(void)
{
	unsigned int n = mag_cache_slot_stats_get(cache, slots, MAG_SLOTS);
	int64_t sum = 0;

	for (unsigned int i = 0; i < n; i++)
		sum += slots[i].allocs - slots[i].frees;
	return sum;
}

TEST(test_allocations_less_frees_are_the_objects_out, setup, fixture_teardown)
{
	unsigned int n;

	for (unsigned int i = 0; i < 200; i++) {
		n = mag_cache_alloc_burst(cache, objects, 1 + random_below(COUNT));
		assert_int_equal(allocs_less_frees(), n);
		if (i % 20 == 0)
			mag_cache_reap_now(cache, i % 40 == 0);
		assert_int_equal(allocs_less_frees(), n);
		mag_cache_free_nocache(cache, objects[--n]);
		free_bulk(objects, n);
		assert_int_equal(allocs_less_frees(), 0);
		if (i % 30 == 0)
			mag_lcore_flush();
		assert_int_equal(allocs_less_frees(), 0);
	}
}

TEST(test_stolen_objects_are_allocations_of_the_thief, setup, fixture_teardown)
{
	fill_on_lcore(1, 60);
	fill_on_thread(60);
	alloc_bulk(objects, COUNT);
	assert_true(cache_stats(cache).steals > 0);
	assert_int_equal(allocs_less_frees(), COUNT);
	free_bulk(objects, COUNT);
	assert_int_equal(allocs_less_frees(), 0);
}

/* Counts of what is free, while objects move: of a pool with memory on one node, or on two. */

#define PART 160
#define POOL_SIZE 64
#define POOL_BLOCK 32
#define SLOTS_MOVED 3 /* of lcores; beside them there is the shared one */
#define SPOTS 3       /* at which something moves while one count is taken */
#define COUNTS 250
#define LOAD_MORE 16
#define LOAD_COUNTS 20000
#define LOAD_KEPT 20

static struct {
	char *memory;
	unsigned int all;
	void *objects[2 * PART];
	_Atomic unsigned int held; /* by this test, for sure */
	unsigned int moving;       /* taken or given just now: free or not */
	unsigned int counts;
	uint64_t too_many; /* 0: never */
	bool too_few;
	uintptr_t place;
	struct mag_cache *other; /* on the same region; NULL: none */
} pool;

static void
pool_make(unsigned int parts)
{
	struct mag_region *region =
		make_region(REGION_PARAMS(.name = "ground", .object_size = POOL_SIZE,
					  .block = POOL_BLOCK, .mode = MAG_REGION_READONLY));
	struct mag_pool_params of = POOL_PARAMS(.name = "moved", .object_size = POOL_SIZE,
						.objects = parts * PART, .region = region);

	of.options.rounds = ROUNDS;
	memset(&pool, 0, sizeof(pool));
	pool.all = parts * PART;
	pool.memory = aligned_alloc(POOL_SIZE, (size_t)pool.all * POOL_SIZE);
	cache = make_pool(of);
	for (unsigned int i = 0; i < pool.all; i++)
		pool.objects[i] = pool.memory + (size_t)i * POOL_SIZE;
	for (unsigned int part = 0; part < parts; part++) {
		assert_int_equal(mag_pool_home(cache, part), 0);
		assert_int_equal(
			mag_region_adopt(region, pool.objects + (size_t)part * PART, PART, part),
			0);
	}
	/* Nobody else moves anything. */
	assert_int_equal(mag_maint_interval(3600000), 0);
}

SETUP(setup_one)
{
	pool_make(1);
}

SETUP(setup_two)
{
	pool_make(2);
}

SETUP(setup_shared)
{
	pool_make(1);
	pool.other = make_cache(
		CACHE_PARAMS(.name = "other", .object_size = POOL_SIZE, .region = cache->region));
	assert_int_equal(mag_maint_interval(3600000), 0);
}

TEARDOWN(teardown_pool)
{
	struct mag_region *region = cache->region;

	if (pool.other != NULL)
		drop_cache(pool.other);
	assert_int_equal(mag_cache_available(cache), pool.all);
	assert_int_equal(cache->common.transit, 0);
	mag_pool_free(cache);
	drop_region(region);
	free(pool.memory);
}

static void
take(unsigned int n)
{
	unsigned int held = pool.held;

	pool.moving = n;
	pool.held += mag_cache_alloc_burst(cache, pool.objects + held, n);
	pool.moving = 0;
}

static void
give(unsigned int n)
{
	pool.moving = n;
	pool.held -= n;
	free_bulk(pool.objects + pool.held, n);
	pool.moving = 0;
}

static void
take_and_give(unsigned int n)
{
	take(n);
	give(n);
}

static void
count_now(uintptr_t place)
{
	uint64_t n = mag_cache_available(cache), most = pool.all - pool.held;

	pool.counts++;
	pool.too_few |= n + pool.moving < most;
	if (n <= most || pool.too_many != 0)
		return;
	pool.too_many = n - most;
	pool.place = place;
}

static void
assert_never_too_many(void)
{
	char text[256];

	printf("# %u counts\n", pool.counts);
	if (pool.too_many == 0)
		return;
	stepper_describe(pool.place, text, sizeof(text));
	fail_msg("%u more than are free, at %s", (unsigned int)pool.too_many, text);
}

/* Everything by which objects move. */

static void
move_by_magazines(void)
{
	static const unsigned int bulks[] = {1, 3, 8, 14, 20, 28, 29, 40, 70};

	for (unsigned int i = 0; i < RTE_DIM(bulks); i++)
		take_and_give(bulks[i]);
	take(100);
	while (pool.held > 0)
		give(RTE_MIN(pool.held, 1 + pool.held % 9));
}

static void
move_past_magazines(void)
{
	take(40);
	while (pool.held > 0)
		mag_cache_free_nocache(cache, pool.objects[--pool.held]);
}

static void
move_by_hand_in(void)
{
	take_and_give(40);
	if (mag_thread_slot() != MAG_SLOT_SHARED)
		mag_cache_flush_slot(cache, mag_thread_slot());
}

static void
move_by_maintenance(void)
{
	mag_cache_update(cache);
	cache_reap();
	take_and_give(60);
	cache_reap_all();
	take_and_give(60);
	cache_resize_now();
	take_and_give(60);
	mag_cache_resize(cache, ROUNDS, false);
}

static void
move_all(void)
{
	take(pool.all);
	while (pool.held > 0)
		give(RTE_MIN(pool.held, 33u));
}

static void
move_blocks(void)
{
	void *first[2];

	mag_cache_gather(cache);
	if (mag_cache_take_blocks(cache, first, RTE_DIM(first)) != 0)
		return;
	for (unsigned int i = 0; i < RTE_DIM(first); i++)
		for (unsigned int j = 0; j < POOL_BLOCK; j++)
			pool.objects[i * POOL_BLOCK + j] = (char *)first[i] + j * POOL_SIZE;
	pool.held = RTE_DIM(first) * POOL_BLOCK;
	give(RTE_DIM(first) * POOL_BLOCK);
}

static void (*const moves[])(void) = {
	move_by_magazines, move_past_magazines, move_by_hand_in, move_by_maintenance,
	move_all,          move_blocks,
};

static void
lcores_fill(void)
{
	for (unsigned int lcore = 1; lcore < SLOTS_MOVED; lcore++)
		fill_on_lcore(lcore, 50);
}

static void
step_mover(void *arg __rte_unused)
{
	/* Once without steps: what is bound late is bound then. */
	move_by_magazines();
	for (unsigned int i = 0; i < RTE_DIM(moves); i++) {
		stepper_begin(count_now);
		moves[i]();
		stepper_end();
	}
}

TEST(test_no_count_is_too_high_at_any_instruction_of_a_move, setup_one, teardown_pool)
{
	skip_without_steps();
	lcores_fill();
	step_mover(NULL);
	/* And of one beside the lcores. */
	run_on_thread(step_mover, NULL);
	assert_never_too_many();
}

static void
step_mover_of_slabs(void *arg __rte_unused)
{
	take_and_give(1);
	stepper_begin(count_now);
	take_and_give(1);
	take_and_give(3 * POOL_BLOCK + 1);
	move_all();
	stepper_end();
}

/* Without magazines, which an exchange has in hand: a segment on its way is not missed. */
TEST(test_no_count_is_too_low_while_slabs_come_and_go, setup_one, teardown_pool)
{
	skip_without_steps();
	assert_int_equal(cache_purge(), 0);
	run_on_thread(step_mover_of_slabs, NULL);
	assert_int_equal(cache_enable(), 0);
	assert_never_too_many();
	assert_false(pool.too_few);
}

/* The other way round: things move, whole moves, between two instructions of a count. */

static struct {
	unsigned int step;
	unsigned int spot[SPOTS];
	unsigned int last; /* of these; 0: to the end */
	void (*move)(void);
} count;

/* This thread stands for the owner of each slot in turn. */
static void
as_owner_of(unsigned int slot)
{
	mag_thread_forbid_claim(true);
	mag_lcore_offset = (slot < SLOTS_MOVED ? slot : MAG_SLOT_SHARED) * sizeof(struct mag_slot);
}

static void
move_between_slots(void)
{
	unsigned int n = 1 + random_below(50);

	as_owner_of(random_below(SLOTS_MOVED + 1));
	take(n);
	as_owner_of(random_below(SLOTS_MOVED + 1));
	give(pool.held);
}

static void
move_something(void)
{
	if (random_below(2) == 0)
		move_between_slots();
	else
		moves[random_below(RTE_DIM(moves))]();
}

static void
at_step(uintptr_t place)
{
	pool.place = place;
	count.step++;
	if (count.step == count.last)
		stepper_end();
	for (unsigned int i = 0; i < SPOTS; i++) {
		if (count.spot[i] != count.step)
			continue;
		count.move();
		as_owner_of(SLOTS_MOVED);
	}
}

static uint64_t
stepped_count(void)
{
	uint64_t n;

	count.step = 0;
	stepper_begin(at_step);
	n = mag_cache_available(cache);
	stepper_end();
	pool.counts++;
	return n;
}

static void
count_with(void (*move)(void))
{
	uint64_t n;

	count.move = move;
	n = stepped_count();
	if (n > pool.all)
		pool.too_many = n - pool.all;
	if (mag_cache_available(cache) != pool.all)
		pool.too_many = UINT64_MAX;
}

/* How many instructions there are. */
static unsigned int
count_once(void)
{
	memset(&count, 0, sizeof(count));
	stepped_count();
	printf("# each of %u instructions\n", count.step);
	return count.step;
}

static void
step_counter(void *arg __rte_unused)
{
	unsigned int steps = count_once();

	for (unsigned int i = 0; i < COUNTS && pool.too_many == 0; i++) {
		for (unsigned int j = 0; j < SPOTS; j++)
			count.spot[j] = 1 + random_below(steps);
		count_with(move_something);
	}
}

/* A slot whose next get makes its previous magazine the loaded one. */
static void
prepare_swap(void)
{
	cache_reap_all();
	as_owner_of(1);
	take_and_give(2 * ROUNDS);
	take(ROUNDS);
	as_owner_of(SLOTS_MOVED);
	give(ROUNDS);
	if (slot_at(1)->rounds != 0 || slot_at(1)->previous_rounds != ROUNDS)
		pool.too_many = UINT64_MAX;
}

static void
move_by_swap(void)
{
	as_owner_of(1);
	take(1);
	as_owner_of(2);
	give(1);
}

/* One that was counted, and no more, when the count began. */
static void
swap_begins(void)
{
	slot_at(1)->busy = 1;
	slot_at(1)->allocs++;
}

static void
swap_ends(void)
{
	slot_at(1)->allocs--;
	slot_at(1)->busy = 0;
	move_by_swap();
}

static void
step_counter_beside_swaps(void *arg __rte_unused)
{
	unsigned int steps;

	prepare_swap();
	steps = count_once();
	for (unsigned int i = 1; i <= steps && pool.too_many == 0; i++) {
		prepare_swap();
		count.spot[0] = count.last = i;
		count_with(move_by_swap);
		prepare_swap();
		swap_begins();
		count_with(swap_ends);
	}
}

/* The last object of a slab comes back while the slab is counted: nothing else is missed. */
static void
move_last_back(void)
{
	mag_cache_free_nocache(cache, pool.objects[--pool.held]);
}

static void
step_counter_beside_a_slab_that_goes(void *arg __rte_unused)
{
	unsigned int steps;

	/* What is bound late is bound here. */
	mag_cache_available(cache);
	steps = count_once();
	count.move = move_last_back;
	for (unsigned int i = 1; i <= steps; i++) {
		cache_reap_all();
		take(1);
		count.spot[0] = count.last = i;
		pool.too_few |= stepped_count() < pool.all - 1;
		if (pool.held > 0)
			move_last_back();
	}
}

TEST(test_a_slab_that_goes_back_while_it_is_counted_is_not_missed, setup_shared, teardown_pool)
{
	skip_without_steps();
	run_on_thread(step_counter_beside_a_slab_that_goes, NULL);
	assert_false(pool.too_few);
}

/* So many more objects, with users or the other cache. */
static void
pretend_more(uint64_t n)
{
	MAG_STAT_ADD(cache->region->objects, n);
	if (pool.other == NULL)
		MAG_STAT_ADD(cache->first.slab.allocs, n);
}

/* The bound of what there is is lifted: it would hide a count that is too high. */
static void
count_unbounded(void (*run)(void *arg))
{
	lcores_fill();
	pretend_more(pool.all);
	run_on_thread(run, NULL);
	pretend_more(-(uint64_t)pool.all);
	assert_never_too_many();
}

TEST(test_no_count_is_too_high_while_objects_move_between_its_instructions, setup_one,
     teardown_pool)
{
	skip_without_steps();
	count_unbounded(step_counter);
}

TEST(test_nor_is_one_of_two_nodes, setup_two, teardown_pool)
{
	skip_without_steps();
	count_unbounded(step_counter);
}

TEST(test_nor_is_one_of_a_shared_region, setup_shared, teardown_pool)
{
	skip_without_steps();
	count_unbounded(step_counter);
}

TEST(test_no_count_is_too_high_while_magazines_change_places, setup_one, teardown_pool)
{
	skip_without_steps();
	count_unbounded(step_counter_beside_swaps);
}

/* And under load. */

static _Atomic bool load_stop;
static _Atomic unsigned int load_ready;

static void
load_run(void *arg)
{
	unsigned int kept = 0, n, seed = 1 + *(unsigned int *)arg;
	void *objects[LOAD_KEPT + LOAD_MORE];

	while (kept < LOAD_KEPT)
		kept += mag_cache_alloc_burst(cache, objects + kept, LOAD_KEPT - kept);
	atomic_fetch_add(&load_ready, 1);
	while (!atomic_load(&load_stop)) {
		n = mag_cache_alloc_burst(cache, objects + kept, 1 + rand_r(&seed) % LOAD_MORE);
		if (n > 0 && rand_r(&seed) % 8 == 0)
			mag_cache_free_nocache(cache, objects[kept + --n]);
		mag_cache_free_bulk(cache, objects + kept, n);
	}
	mag_cache_free_bulk(cache, objects, kept);
}

static void
load_reap_run(void *arg __rte_unused)
{
	while (!atomic_load(&load_stop)) {
		mag_cache_reap_now(cache, random_below(2) == 0);
		mag_cache_update(cache);
		sched_yield();
	}
}

static void
count_under_load(void)
{
	unsigned int number[] = {0, 1, 2, 3};
	struct task task[RTE_DIM(number)], reaper;

	atomic_store(&load_stop, false);
	atomic_store(&load_ready, 0);
	for (unsigned int i = 0; i < RTE_DIM(number); i++)
		if (i < 2)
			task_lcore(&task[i], 1 + i, load_run, &number[i]);
		else
			task_thread(&task[i], load_run, &number[i]);
	wait_until(atomic_load(&load_ready) == RTE_DIM(number));
	pool.held = RTE_DIM(number) * LOAD_KEPT;
	task_thread(&reaper, load_reap_run, NULL);
	for (unsigned int i = 0; i < LOAD_COUNTS && pool.too_many == 0; i++)
		count_now(0);
	atomic_store(&load_stop, true);
	task_join(&reaper);
	for (unsigned int i = 0; i < RTE_DIM(number); i++)
		task_join(&task[i]);
	pool.held = 0;
	assert_never_too_many();
}

TEST(test_no_count_is_too_high_under_load, setup_one, teardown_pool)
{
	count_under_load();
}

TEST(test_no_count_of_a_shared_region_is_too_high_under_load, setup_shared, teardown_pool)
{
	count_under_load();
}

TEST(test_no_count_of_two_nodes_is_too_high_under_load, setup_two, teardown_pool)
{
	count_under_load();
}

TEST_PROGRAM(3)
