/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A cache with memory on two nodes, on a machine that may have one: the nodes are said to be there.
 */

#include "eal.h"
#include "fixture.h"
#include "visits/perimeter.h"
#include "watch/watch.h"

#include "base/numa.h"

#define COUNT 1024
#define HALF (COUNT / 2)
#define SIZE 64
#define BLOCK 32
#define ROUNDS 14

static void *objects[COUNT];
static _Atomic int here;

unsigned int
rte_socket_id(void)
{
	return here;
}

int
mag_numa_distance(int from, int to)
{
	static const int distances[4][4] = {
		{10, 40, 20, 30},
		{40, 10, 30, 20},
		{20, 30, 10, 50},
		{30, 20, 50, 10},
	};

	return from < 4 && to < 4 ? distances[from][to] : 99;
}

/* Stands in front of the library's own: membarriers fail from the one on that is told, 0 = none. */
static unsigned int fails_from, fences;

int
mag_bias_fence(enum mag_bias_mode mode, bool (*is_any_foreign)(void))
{
	if (mode == MAG_BIAS_MEMBARRIER && fails_from != 0 && ++fences >= fails_from)
		return -EPERM;
	return LIBRARYS(mag_bias_fence)(mode, is_any_foreign);
}

static int
node_of(const void *object)
{
	return (const char *)object >= ground.memory + HALF * SIZE;
}

static unsigned int
count_of_node(void *const *from, unsigned int n, int node)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < n; i++)
		count += node_of(from[i]) == node;
	return count;
}

/* The half of the memory that is said to be on this node. */
static int
adopt_as(unsigned int half, int node)
{
	void *its[HALF];

	for (unsigned int i = 0; i < HALF; i++)
		its[i] = ground_object(&ground, half * HALF + i);
	return mag_region_adopt(ground.region, its, HALF, node);
}

static void
adopt(int node)
{
	assert_int_equal(adopt_as(node, node), 0);
}

static void
ground_without_objects(void)
{
	struct mag_region_params params =
		REGION_PARAMS(.name = "ground", .object_size = SIZE, .block = BLOCK,
			      .mode = MAG_REGION_READONLY);

	here = 0;
	ground = (struct ground){.memory = aligned_alloc(SIZE, COUNT * SIZE),
				 .count = COUNT,
				 .size = SIZE,
				 .region = mag_region_create(&params)};
	assert_non_null(ground.region);
}

/* A pool without homes. */
static void
setup_with(const char *options)
{
	struct mag_pool_params pool =
		POOL_PARAMS(.name = "pool", .object_size = SIZE, .objects = COUNT);

	ground_without_objects();
	pool.region = ground.region;
	assert_int_equal(mag_options_parse("pool", options, &pool.options), 0);
	cache = make_pool(pool);
}

SETUP(setup_bare)
{
	setup_with("rounds=14,interval=3600");
}

static void
add_home(int node)
{
	assert_int_equal(mag_pool_home(cache, node), 0);
	adopt(node);
}

SETUP(setup_one)
{
	setup_bare(state);
	add_home(0);
}

SETUP(setup)
{
	setup_one(state);
	add_home(1);
}

SETUP(setup_polled)
{
	setup_with("rounds=14,interval=3600,visit=0");
	add_home(0);
	add_home(1);
}

TEARDOWN(teardown)
{
	here = 0;
	mag_pool_free(cache);
	ground_drop(&ground);
}

static void
assert_all_there(void)
{
	assert_int_equal(mag_cache_available(cache), COUNT);
	assert_int_equal(mag_cache_take_all(cache, objects, COUNT, true), 0);
	assert_distinct(&ground, objects, COUNT);
	mag_cache_give(cache, objects, COUNT);
	assert_int_equal(mag_cache_available(cache), COUNT);
}

TEST(test_an_lcore_has_objects_of_its_own_node_before_those_of_the_other, setup, teardown)
{
	for (here = 0; here < 2; here++) {
		assert_int_equal(mag_cache_take_all(cache, objects, HALF + 100, true), 0);
		assert_int_equal(count_of_node(objects, HALF, here), HALF);
		assert_int_equal(count_of_node(objects + HALF, 100, 1 - here), 100);
		mag_cache_give(cache, objects, HALF + 100);
	}
	assert_all_there();
}

static void
assert_rounds_are_of(const struct mag_magazine *magazine, unsigned int rounds, int node)
{
	for (unsigned int i = 0; i < rounds; i++)
		assert_int_equal(node_of(*mag_magazine_round(magazine, i)), node);
}

/* In slots and in depots. */
static void
assert_magazines_are_of_their_node(void)
{
	const struct mag_magazine *magazine;
	struct mag_home *home;
	unsigned int part;

	MAG_FOREACH_HOME(cache, part, home) {
		assert_int_equal(home->slab.region->part[part].node, part);
		for (unsigned int i = 0; i < MAG_SLOTS; i++) {
			assert_rounds_are_of(home->slot[i].loaded, home->slot[i].rounds, part);
			assert_rounds_are_of(home->slot[i].previous, home->slot[i].previous_rounds,
					     part);
		}
		for (uint32_t index = mag_depot_head(&home->depot.full).index; index != 0;
		     index = MAG_STAT(magazine->next)) {
			magazine = mag_arena_magazine(&home->arena, index);
			assert_rounds_are_of(magazine, magazine->rounds, part);
		}
	}
	assert_int_equal(part, 2);
}

TEST(test_a_freed_object_goes_to_a_magazine_of_its_own_node, setup, teardown)
{
	assert_int_equal(mag_cache_take_all(cache, objects, COUNT, true), 0);
	/* Nodes in turn, so that each object is a run of its own. */
	for (unsigned int i = 0; i < HALF; i += 2)
		RTE_SWAP(objects[i], objects[COUNT - 1 - i]);
	mag_cache_give(cache, objects, COUNT);
	assert_magazines_are_of_their_node();
	assert_all_there();
}

static void
take_some(void *arg)
{
	static void *some[HALF];

	here = *(int *)arg;
	assert_int_equal(mag_cache_take_all(cache, some, ROUNDS / 2, true), 0);
	assert_int_equal(count_of_node(some, ROUNDS / 2, here), ROUNDS / 2);
	mag_cache_give(cache, some, ROUNDS / 2);
	here = 0;
}

TEST(test_one_lcore_can_have_what_others_hold_on_both_nodes, setup, teardown)
{
	for (int node = 0; node < 2; node++)
		run_on_lcore(1, take_some, &node);
	for (int node = 0; node < 2; node++)
		assert_true(mag_slot_objects(slot_in(node, 1)) > 0);
	assert_all_there();
}

static void
take_some_polled(void *arg __rte_unused)
{
	for (int node = 0; node < 2; node++)
		take_some(&node);
}

TEST(test_without_visits_lcores_are_asked_on_both_nodes, setup_polled, teardown)
{
	run_on_lcore(1, take_some_polled, NULL);
	assert_int_not_equal(mag_cache_take_all(cache, objects, COUNT, true), 0);
	for (int node = 0; node < 2; node++)
		assert_true(MAG_STAT(slot_in(node, 1)->visitor) & MAG_BIAS_ASKED);
	assert_int_equal(mag_cache_available(cache), COUNT);
}

static void
fill_depots(void *arg __rte_unused)
{
	for (unsigned int i = 0; i < 2; i++) {
		here = i;
		assert_int_equal(mag_cache_take_all(cache, objects + i * HALF, HALF, true), 0);
	}
	here = 0;
	mag_cache_give(cache, objects, COUNT);
}

TEST(test_without_visits_a_purge_asks_and_empties_the_depots_on_both_nodes, setup_polled, teardown)
{
	struct mag_home *home;
	unsigned int part;

	run_on_lcore(1, fill_depots, NULL);
	MAG_FOREACH_HOME(cache, part, home) {
		assert_true(mag_depot_total(&home->depot.full) > 0);
		assert_int_equal(MAG_STAT(home->slot[1].visitor) & MAG_BIAS_ASKED, 0);
	}
	assert_int_equal(part, 2);
	assert_int_equal(mag_cache_purge(cache), -EAGAIN);
	MAG_FOREACH_HOME(cache, part, home) {
		assert_int_equal(mag_depot_total(&home->depot.full), 0);
		assert_true(MAG_STAT(home->slot[1].visitor) & MAG_BIAS_ASKED);
		assert_int_equal(home->slot[1].size, ROUNDS);
	}
	assert_int_equal(mag_cache_available(cache), COUNT);
}

static void
assert_sizes_of_both(uint32_t size)
{
	struct mag_home *home;
	unsigned int part;

	MAG_FOREACH_HOME(cache, part, home)
		for (unsigned int i = 0; i < MAG_SLOTS; i++)
			assert_int_equal(home->slot[i].size, size);
	assert_int_equal(part, 2);
}

TEST(test_a_membarrier_that_fails_leaves_the_slots_of_its_node_and_lcores_are_asked, setup,
     teardown)
{
	struct mag_slot *slot[] = {slot_in(0, 1), slot_in(1, 1)};
	const uint32_t asked = MAG_BIAS_FENCE_BIT | MAG_BIAS_ASKED;
	uint32_t held;

	skip_without_membarrier();
	/* That of the second node. */
	run_on_lcore(1, take_some_polled, NULL);
	held = mag_slot_objects(slot[1]);
	mag_bias_forbid_membarrier(false);
	fences = 0;
	fails_from = 2;
	assert_int_equal(mag_cache_purge(cache), -EAGAIN);
	assert_int_equal(mag_slot_objects(slot[0]), 0);
	assert_int_equal(mag_slot_objects(slot[1]), held);
	assert_int_equal(slot[1]->visitor, asked);
	assert_sizes_of_both(ROUNDS);
	/*
	 * Now the owner fences on the second node, and not yet on the first: not purged is not
	 * purged.
	 */
	run_on_lcore(1, take_some_polled, NULL);
	assert_int_equal(mag_cache_purge(cache), -EAGAIN);
	assert_int_not_equal(mag_slot_objects(slot[0]), 0);
	assert_int_equal(slot[0]->visitor, asked);
	assert_int_equal(slot[0]->visitor_put, asked | MAG_PUT_NEAR);
	assert_int_equal(mag_slot_objects(slot[1]), 0);
	assert_sizes_of_both(ROUNDS);
	assert_int_not_equal(mag_cache_take_all(cache, objects, COUNT, true), 0);
	run_on_lcore(1, take_some_polled, NULL);
	run_on_lcore(2, take_some_polled, NULL);
	assert_int_equal(slot[0]->fenced, 1);
	assert_int_equal(slot[1]->fenced, 1);
	assert_all_there();
	assert_int_equal(mag_cache_purge(cache), 0);
	mag_cache_enable(cache);
	fails_from = 0;
	mag_bias_forbid_membarrier(false);
}

TEST(test_depots_of_any_node_are_emptied_before_lcores_are_visited, setup, teardown)
{
	struct mag_home *home;
	unsigned int part, rest;

	run_on_lcore(1, fill_depots, NULL);
	rest = COUNT - mag_cache_in_lcores(cache);
	MAG_FOREACH_HOME(cache, part, home) {
		assert_true(mag_depot_total(&home->depot.full) > 0);
		assert_true(mag_slot_objects(&home->slot[1]) > 0);
	}
	assert_int_equal(mag_cache_take_all(cache, objects, rest, true), 0);
	assert_int_equal(cache->common.steals, 0);
	MAG_FOREACH_HOME(cache, part, home)
		assert_int_equal(home->slot[1].visited_out, 0);
	assert_int_equal(mag_cache_take_all(cache, objects + rest, COUNT - rest, true), 0);
	MAG_FOREACH_HOME(cache, part, home)
		assert_true(home->slot[1].visited_out > 0);
	mag_cache_give(cache, objects, COUNT);
	assert_all_there();
}

TEST(test_nodes_purged_before_a_slot_that_does_not_let_go_are_enabled_again, setup, teardown)
{
	struct mag_slot *busy = slot_in(1, 5);

	take_some_polled(NULL);
	assert_true(mag_bias_enter_careful(busy));
	assert_int_equal(mag_cache_purge(cache), -EAGAIN);
	assert_int_equal(mag_slot_objects(mag_slot_own(mag_cache_home(cache, 0)->slot)), 0);
	assert_sizes_of_both(ROUNDS);
	mag_slot_leave(busy);
	assert_int_equal(mag_cache_purge(cache), 0);
	assert_sizes_of_both(0);
	mag_cache_enable(cache);
	assert_all_there();
}

TEST(test_purge_resize_and_reap_are_of_both_homes, setup, teardown)
{
	take_some_polled(NULL);
	assert_all_there();
	assert_int_equal(mag_cache_purge(cache), 0);
	assert_int_equal(cache_stats(cache).in_lcores + cache_stats(cache).depot_full, 0);
	assert_int_equal(cache_stats(cache).purges, 1);
	assert_sizes_of_both(0);
	mag_cache_enable(cache);
	assert_sizes_of_both(ROUNDS);
	assert_int_equal(mag_cache_resize(cache, 30, true), 0);
	assert_sizes_of_both(30);
	assert_all_there();
	assert_int_equal(mag_cache_reap_now(cache, false), 0);
	assert_int_equal(cache_stats(cache).depot_full, 0);
	assert_all_there();
}

TEST(test_counts_are_sums_over_the_homes, setup, teardown)
{
	struct mag_slot_stats slots[MAG_SLOTS];
	struct mag_cache_stats stats;
	unsigned int n;

	assert_int_equal(mag_cache_take_all(cache, objects, COUNT, true), 0);
	mag_cache_give(cache, objects, COUNT - 100);
	stats = cache_stats(cache);
	assert_int_equal(stats.objects, COUNT);
	assert_int_equal(stats.free, COUNT - 100);
	assert_int_equal(stats.slab_allocs - stats.slab_frees,
			 stats.in_lcores + stats.depot_full * ROUNDS + 100);
	n = mag_cache_slot_stats_get(cache, slots, MAG_SLOTS);
	assert_true(n > 0);
	mag_cache_give(cache, objects + COUNT - 100, 100);
}

TEST(test_blocks_come_from_both_nodes_or_not_at_all, setup, teardown)
{
	void *first[COUNT / BLOCK + 1];

	here = 1;
	assert_int_equal(mag_cache_take_blocks(cache, first, COUNT / BLOCK), 0);
	assert_int_equal(count_of_node(first, HALF / BLOCK, 1), HALF / BLOCK);
	assert_int_equal(mag_cache_available(cache), 0);
	for (unsigned int i = 0; i < COUNT / BLOCK; i++)
		for (unsigned int j = 0; j < BLOCK; j++)
			mag_cache_free_nocache(cache, (char *)first[i] + j * SIZE);
	assert_int_not_equal(mag_cache_take_blocks(cache, first, COUNT / BLOCK + 1), 0);
	assert_all_there();
}

/*
 * Stands in front of the library's own, to do something while a request has the blocks of both
 * nodes.
 */
static void (*meanwhile)(void);

int
mag_slab_alloc_blocks(struct mag_slab_layer *layer, void **first, unsigned int n)
{
	int ret = LIBRARYS(mag_slab_alloc_blocks)(layer, first, n);

	if (ret != 0 && layer == &mag_cache_home(cache, 1)->slab && meanwhile != NULL)
		meanwhile();
	return ret;
}

static int refusal;

static void
take_all_meanwhile(void)
{
	meanwhile = NULL;
	refusal = mag_cache_take_all(cache, objects, COUNT, true);
}

TEST(test_a_refusal_for_blocks_that_another_asks_for_is_counted, setup, teardown)
{
	void *first[COUNT / BLOCK + 1];

	meanwhile = take_all_meanwhile;
	assert_int_equal(mag_cache_take_blocks(cache, first, RTE_DIM(first)), -ENOBUFS);
	assert_null(meanwhile);
	assert_int_equal(refusal, -ENOBUFS);
	assert_int_equal(cache->common.steal_denied, 1);
	assert_all_there();
}

/* The first memory of a node comes while somebody steals. */

#define OURS 10
#define KEPT 5
#define THEIRS 7

static void *kept[KEPT], *rest[COUNT];
static unsigned int takes_left; /* until memory comes; 0: it does not */

static void
hold_near(void *arg __rte_unused)
{
	assert_int_equal(mag_cache_take_all(cache, objects, OURS, false), 0);
	mag_cache_give(cache, objects, OURS);
}

static void
keep_near_and_hold_far(void *arg __rte_unused)
{
	assert_int_equal(mag_cache_take_all(cache, kept, KEPT, false), 0);
	here = 1;
	assert_int_equal(mag_cache_take_all(cache, objects, THEIRS, false), 0);
	assert_int_equal(count_of_node(objects, THEIRS, 1), THEIRS);
	mag_cache_give(cache, objects, THEIRS);
}

static void
memory_comes(void)
{
	add_home(1);
	run_on_lcore(1, keep_near_and_hold_far, NULL);
	assert_int_equal(mag_cache_take_all(cache, rest + HALF - OURS, HALF - THEIRS, false), 0);
	here = 0;
}

unsigned int
mag_home_take(struct mag_home *of, void **to, unsigned int n, struct mag_request *request)
{
	if (takes_left > 0 && --takes_left == 0)
		memory_comes();
	return LIBRARYS(mag_home_take)(of, to, n, request);
}

TEST(test_a_home_that_comes_during_a_steal_is_not_visited_by_it, setup_one, teardown)
{
	const struct mag_slot *slot;
	void *had[OURS];

	run_on_lcore(1, hold_near, NULL);
	assert_int_equal(mag_cache_take_all(cache, rest, HALF - OURS, false), 0);
	/* The first take comes before the visit locks, the second after them. */
	takes_left = 2;
	assert_int_equal(mag_cache_take_all(cache, had, OURS, true), -ENOBUFS);
	assert_int_equal(takes_left, 0);
	assert_true(cache->common.steal_denied > 0);
	slot = slot_in(1, 1);
	assert_int_equal(slot->visited_out, 0);
	assert_int_equal(mag_slot_objects(slot), THEIRS);
	assert_int_equal(mag_cache_take_all(cache, had, OURS, true), 0);
	assert_int_equal(slot->visited_out, OURS - KEPT);
	mag_cache_give(cache, had, OURS);
	mag_cache_give(cache, kept, KEPT);
	mag_cache_give(cache, rest, COUNT - OURS - THEIRS);
	assert_all_there();
}

TEST(test_a_pool_that_lost_its_memory_starts_again_on_both_nodes, setup, teardown)
{
	mag_pool_reset(cache);
	assert_int_equal(mag_cache_available(cache), 0);
	adopt(1);
	adopt(0);
	assert_all_there();
	here = 1;
	assert_int_equal(mag_cache_take_all(cache, objects, HALF, true), 0);
	assert_int_equal(count_of_node(objects, HALF, 1), HALF);
	mag_cache_give(cache, objects, HALF);
}

TEST(test_a_home_that_cannot_be_had_leaves_the_cache_as_it_was)
{
	uint64_t balance = heap_balance();

	setup_one(NULL);
	mag_fault_nth(1);
	assert_refused(mag_pool_home(cache, 1), ENOMEM, "node 1");
	assert_true(attempts(mag_pool_home(cache, 1) == 0 ||
			     (assert_null(mag_cache_homes(cache)),
			      assert_int_equal(mag_cache_available(cache), HALF), false)) > 4);
	adopt(1);
	assert_all_there();
	teardown(NULL);
	assert_int_equal(heap_balance(), balance);
}

static void
home_run(void *arg)
{
	log_begin();
	*(int *)arg = mag_pool_home(cache, 1);
	assert_logged(log_end(), "pool \"pool\"");
}

TEST(test_a_home_is_refused_while_a_thread_stays_in_the_perimeter, setup_one, teardown)
{
	int ret = 0;

	assert_true(mag_perimeter_enter(cache, false));
	run_on_thread(home_run, &ret);
	assert_int_equal(ret, -EBUSY);
	assert_null(mag_cache_homes(cache));
	mag_perimeter_leave(cache);
	add_home(1);
	assert_all_there();
}

TEST(test_a_cache_of_one_node_has_one_home_and_an_open_fast_path, setup_one, teardown)
{
	assert_int_equal(mag_pool_home(cache, -1), 0);
	assert_int_equal(mag_pool_home(cache, 0), 0);
	assert_null(mag_cache_homes(cache));
	assert_int_equal(cache->first.slot[0].visitor_put, 0);
}

TEST(test_an_lcore_of_a_node_without_objects_goes_by_its_own_distances, setup_bare, teardown)
{
	static const int nodes[] = {3, 1, 0}, from_two[] = {0, 1, 3};
	const uint8_t *order;

	for (unsigned int i = 0; i < RTE_DIM(nodes); i++)
		assert_int_equal(mag_pool_home(cache, nodes[i]), 0);
	here = 2;
	order = mag_homes_order(mag_cache_homes(cache));
	for (unsigned int i = 0; i < RTE_DIM(from_two); i++)
		assert_int_equal(ground.region->part[order[i]].node, from_two[i]);
}

static void
put_far_object_by_ops(void *arg __rte_unused)
{
	void *object;

	mag_thread_claim();
	here = 1;
	assert_int_equal(mag_cache_take_all(cache, &object, 1, true), 0);
	assert_int_equal(node_of(object), 1);
	here = 0;
	/* A magazine is loaded, so that the fast path would have room. */
	assert_int_equal(mag_cache_take_all(cache, objects, 1, true), 0);
	mag_cache_give(cache, objects, 1);
	mag_cache_free(cache, object);
}

TEST(test_the_fast_path_puts_no_object_of_another_node_into_a_magazine, setup, teardown)
{
	const struct mag_slot *near = slot_in(0, 1);

	run_on_lcore(1, put_far_object_by_ops, NULL);
	assert_true(MAG_STAT(near->capacity) > 0);
	for (unsigned int i = 0; i < MAG_STAT(near->rounds); i++)
		assert_int_equal(node_of(*mag_magazine_round(near->loaded, i)), 0);
	assert_all_there();
}

/* As the driver puts and gets: both are inlined into programs. */
static bool
is_got_fast(void **object)
{
	return mag_slot_get(mag_slot_of(cache), object, 1);
}

static bool
is_put_fast(void *object)
{
	return mag_slot_put(mag_slot_of_put(cache), &object, 1);
}

/* Each node has an object here, and room for another one. */
static void
load_both(void)
{
	void *two[2];

	mag_thread_claim();
	for (int node = 0; node < 2; node++) {
		here = node;
		assert_int_equal(mag_cache_take_all(cache, two, 2, true), 0);
		assert_int_equal(count_of_node(two, 2, node), 2);
		mag_cache_give(cache, two, 2);
	}
}

static void
get_fast_and_put_fast(void *arg __rte_unused)
{
	void *object, *far;

	load_both();
	for (int node = 0; node < 2; node++) {
		here = node;
		assert_int_equal(mag_cache_take_all(cache, &object, 1, true), 0);
		assert_true(is_got_fast(&far));
		assert_int_equal(node_of(far), node);
		mag_cache_give(cache, &object, 1);
		assert_true(is_put_fast(far));
	}
}

TEST(test_an_lcore_gets_and_puts_objects_of_its_own_node_by_the_fast_path, setup, teardown)
{
	run_on_lcore(1, get_fast_and_put_fast, NULL);
	assert_magazines_are_of_their_node();
	assert_all_there();
}

static void
move_to_the_first_node(void *arg __rte_unused)
{
	void *got[3];

	load_both();
	here = 0;
	for (unsigned int i = 0; i < 2; i++)
		assert_true(is_got_fast(&got[i]));
	assert_false(is_got_fast(&got[2]));
	assert_int_equal(count_of_node(got, 2, 1), 2);
	assert_int_equal(mag_cache_take_all(cache, &got[2], 1, true), 0);
	assert_int_equal(node_of(got[2]), 0);
	mag_cache_give(cache, got, 3);
	assert_true(is_got_fast(&got[0]));
	assert_int_equal(node_of(got[0]), 0);
	mag_cache_free(cache, got[0]);
}

TEST(test_an_lcore_that_moves_to_another_node_first_has_what_it_holds_on_the_old_one, setup,
     teardown)
{
	run_on_lcore(1, move_to_the_first_node, NULL);
	assert_magazines_are_of_their_node();
	assert_all_there();
}

static void
put_of_other_node(void *arg __rte_unused)
{
	void *two[2][2];

	load_both();
	for (int node = 0; node < 2; node++) {
		here = node;
		assert_int_equal(mag_cache_take_all(cache, two[node], 2, true), 0);
	}
	/* Gets stay with node 1, puts go where the last one went. */
	for (int node = 0; node < 2; node++) {
		assert_false(is_put_fast(two[node][0]));
		mag_cache_give(cache, two[node], 1);
		assert_true(is_put_fast(two[node][1]));
		assert_ptr_equal(mag_slot_of_put(cache), slot_in(node, 1));
		assert_ptr_equal(mag_slot_of(cache), slot_in(1, 1));
	}
}

TEST(test_puts_of_another_node_go_by_the_fast_path_from_the_second_one_on, setup, teardown)
{
	run_on_lcore(1, put_of_other_node, NULL);
	assert_magazines_are_of_their_node();
	assert_all_there();
}

TEST(test_memory_of_a_node_that_comes_during_use_is_not_near_that_of_others, setup_one, teardown)
{
	void *near, *far;

	assert_int_equal(mag_pool_home(cache, 1), 0);
	assert_int_equal(mag_cache_take_all(cache, &near, 1, true), 0);
	mag_thread_claim();
	mag_cache_give(cache, &near, 1);
	assert_true(mag_near_has(&ground.region->bounds[0].near, near));
	far = ground_object(&ground, HALF);
	assert_true(mag_near_has(&ground.region->bounds[0].near, far));
	adopt(1);
	assert_false(mag_near_has(&ground.region->bounds[0].near, far));
	assert_true(mag_near_has(&ground.region->bounds[0].near, ground_object(&ground, 0)));
	assert_all_there();
}

static void
assert_slots_are_watched(bool are)
{
	for (int node = 0; node < 2; node++) {
		assert_int_equal(slot_in(node, 1)->visitor, are ? MAG_BIAS_WATCHED : 0);
		assert_int_equal(slot_in(node, 1)->visitor_put,
				 MAG_PUT_NEAR | (are ? MAG_BIAS_WATCHED : 0));
	}
}

TEST(test_a_cache_that_becomes_watched_is_so_in_the_slots_of_each_home, setup, teardown)
{
	assert_slots_are_watched(false);
	mag_watch(cache, MAG_WATCH_POISON);
	assert_slots_are_watched(true);
}

TEST(test_the_slots_of_a_home_that_comes_to_a_watched_cache_are_watched, setup_one, teardown)
{
	mag_watch(cache, MAG_WATCH_POISON);
	add_home(1);
	assert_slots_are_watched(true);
}

TEST(test_memory_of_nodes_in_any_order_is_told_apart)
{
	static const uint8_t nodes[] = {0, 1, 0, 2, 1, 0, 0, 2}, turns[] = {3, 0, 6, 1, 7, 4, 2, 5};
	struct mag_region_params params = REGION_PARAMS(.name = "mixed", .object_size = SIZE);
	struct mag_region *mixed = mag_region_create(&params);
	uint32_t part, page;
	void *at[RTE_DIM(turns)][2]; /* the ends of each page */

	for (unsigned int i = 0; i < RTE_DIM(turns); i++) {
		page = turns[i];
		at[page][0] = (void *)(uintptr_t)(0x10000 + page * 0x1000);
		at[page][1] = (char *)at[page][0] + 0x1000 - SIZE;
		assert_int_equal(mag_region_adopt(mixed, at[page], 2, nodes[page]), 0);
	}
	for (page = 0; page < RTE_DIM(nodes); page++)
		for (unsigned int j = 0; j < 2; j++) {
			part = mag_region_part_of(mixed, at[page][j]);
			assert_int_equal(mixed->part[part].node, nodes[page]);
		}
	assert_int_equal(mag_region_destroy(mixed), 0);
}

TEST(test_adopting_without_memory_for_records_changes_nothing, setup_one, teardown)
{
	assert_int_equal(mag_pool_home(cache, 1), 0);
	assert_true(attempts(adopt_as(1, 1) == 0 ||
			     (assert_int_equal(mag_cache_available(cache), HALF), false)) > 2);
	assert_all_there();
}

TEST(test_memory_of_unknown_node_goes_with_the_first_known_one, setup_bare, teardown)
{
	assert_int_equal(mag_pool_home(cache, -1), 0);
	assert_int_equal(adopt_as(0, -1), 0);
	add_home(1);
	assert_null(mag_cache_homes(cache));
	assert_all_there();
}

TEST(test_a_node_that_comes_when_a_cache_uses_the_region_is_not_told_apart)
{
	ground_without_objects();
	adopt(0);
	cache = make_cache(
		CACHE_PARAMS(.name = "late", .object_size = SIZE, .region = ground.region));
	adopt(1);
	assert_int_equal(ground.region->parts, 1);
	assert_null(mag_cache_homes(cache));
	here = 1;
	assert_all_there();
	drop_cache(cache);
	ground_drop(&ground);
}

TEST(test_lcores_and_threads_lose_nothing_while_homes_are_purged, setup, teardown)
{
	crowd_begin(2, 64);
	for (unsigned int i = 0; i < 200 || crowd_turns() < 60000; i++) {
		here = i % 2;
		mag_cache_resize(cache, i % 2 ? 14 : 30, true);
		mag_cache_update(cache);
		mag_cache_reap_now(cache, i % 3 == 0);
	}
	crowd_end();
	assert_magazines_are_of_their_node();
	here = 0;
	mag_cache_resize(cache, ROUNDS, true);
	assert_all_there();
}

TEST_PROGRAM(3)
