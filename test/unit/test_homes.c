/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A cache with memory on two nodes, on a machine that may have one: the nodes are said to be there.
 */

#include "eal.h"
#include "base/fault.h"
#include "ground.h"
#include "mag_maint.h"
#include "mag_stats.h"
#include "visits/perimeter.h"
#include "control/pool.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cache/cache.h"
#include "base/numa.h"

#define COUNT 1024
#define HALF (COUNT / 2)
#define SIZE 64
#define BLOCK 32
#define ROUNDS 14

static struct mag_region *region;
static struct mag_cache *cache;
static char *memory;
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
mag_bias_fence(enum mag_bias_mode mode)
{
	int (*fence)(enum mag_bias_mode mode);

	fence = (__typeof__(fence))(uintptr_t)dlsym(RTLD_NEXT, "mag_bias_fence");
	if (mode == MAG_BIAS_MEMBARRIER && fails_from != 0 && ++fences >= fails_from)
		return -EPERM;
	return fence(mode);
}

static int
node_of(const void *object)
{
	return (const char *)object >= memory + HALF * SIZE;
}

static unsigned int
count_of_node(void *const *from, unsigned int n, int node)
{
	unsigned int i, count = 0;

	for (i = 0; i < n; i++)
		count += node_of(from[i]) == node;
	return count;
}

static void
adopt(int node)
{
	void *half[HALF];
	unsigned int i;

	for (i = 0; i < HALF; i++)
		half[i] = memory + (node * HALF + i) * SIZE;
	assert_int_equal(mag_region_adopt(region, half, HALF, node), 0);
}

static struct mag_cache *
make(const char *options)
{
	struct mag_region_params params = {
		.size = sizeof(params),
		.name = "ground",
		.object_size = SIZE,
		.block = BLOCK,
		.mode = MAG_REGION_READONLY,
		.node = -1,
	};
	struct mag_pool_params pool = {
		.name = "pool",
		.object_size = SIZE,
		.objects = COUNT,
		.options = mag_options_default,
		.node = -1,
	};

	memory = aligned_alloc(SIZE, COUNT * SIZE);
	region = mag_region_create(&params);
	assert_non_null(region);
	pool.region = region;
	assert_int_equal(mag_options_parse("pool", options, &pool.options), 0);
	return mag_pool_create(&pool);
}

static int
setup_with(const char *options)
{
	int node;

	cache = make(options);
	assert_non_null(cache);
	for (node = 0; node < 2; node++) {
		assert_int_equal(mag_pool_home(cache, node), 0);
		adopt(node);
	}
	here = 0;
	return 0;
}

static int
setup(void **state __rte_unused)
{
	return setup_with("rounds=14,interval=3600");
}

static int
setup_polled(void **state __rte_unused)
{
	return setup_with("rounds=14,interval=3600,visit=0");
}

static int
teardown(void **state __rte_unused)
{
	here = 0;
	mag_pool_free(cache);
	assert_int_equal(mag_region_destroy(region), 0);
	free(memory);
	return 0;
}

static void
assert_all_there(void)
{
	unsigned int i, got;
	bool seen[COUNT] = {false};
	uint32_t index;

	assert_int_equal(mag_cache_available(cache), COUNT);
	got = mag_cache_take_all(cache, objects, COUNT, true) == 0 ? COUNT : 0;
	assert_int_equal(got, COUNT);
	for (i = 0; i < COUNT; i++) {
		index = ((char *)objects[i] - memory) / SIZE;
		assert_true(index < COUNT);
		assert_false(seen[index]);
		seen[index] = true;
	}
	mag_cache_give(cache, objects, COUNT);
	assert_int_equal(mag_cache_available(cache), COUNT);
}

TEST(test_an_lcore_has_objects_of_its_own_node_while_there_are_any, setup, teardown)
{
	for (here = 0; here < 2; here++) {
		assert_int_equal(mag_cache_take_all(cache, objects, HALF, true), 0);
		assert_int_equal(count_of_node(objects, HALF, here), HALF);
		mag_cache_give(cache, objects, HALF);
	}
	assert_all_there();
}

TEST(test_a_node_without_objects_spills_to_the_other, setup, teardown)
{
	here = 1;
	assert_int_equal(mag_cache_take_all(cache, objects, HALF + 100, true), 0);
	assert_int_equal(count_of_node(objects, HALF, 1), HALF);
	assert_int_equal(count_of_node(objects + HALF, 100, 0), 100);
	mag_cache_give(cache, objects, HALF + 100);
	assert_all_there();
}

TEST(test_a_freed_object_goes_to_a_magazine_of_its_own_node, setup, teardown)
{
	struct mag_home *home;
	unsigned int part, i;

	assert_int_equal(mag_cache_take_all(cache, objects, COUNT, true), 0);
	/* Nodes in turn, so that each object is a run of its own. */
	for (i = 0; i < HALF; i += 2)
		RTE_SWAP(objects[i], objects[COUNT - 1 - i]);
	mag_cache_give(cache, objects, COUNT);
	MAG_FOREACH_HOME(cache, part, home) {
		assert_int_equal(home->slab.region->part[part].node, part);
		for (i = 0; i < MAG_STAT(home->slot[MAG_SLOT_SHARED].rounds); i++)
			assert_int_equal(
				node_of(*mag_magazine_round(home->slot[MAG_SLOT_SHARED].loaded, i)),
				part);
	}
	assert_int_equal(part, 2);
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
	int node;

	for (node = 0; node < 2; node++)
		run_on_lcore(1, take_some, &node);
	for (node = 0; node < 2; node++)
		assert_true(mag_slot_objects(&mag_cache_home(cache, node)->slot[1]) > 0);
	assert_all_there();
}

static void
take_some_polled(void *arg)
{
	int node;

	for (node = 0; node < 2; node++)
		take_some(&node);
	RTE_SET_USED(arg);
}

TEST(test_without_visits_lcores_are_asked_on_both_nodes, setup_polled, teardown)
{
	struct mag_home *home;
	int node;

	run_on_lcore(1, take_some_polled, NULL);
	assert_int_not_equal(mag_cache_take_all(cache, objects, COUNT, true), 0);
	for (node = 0; node < 2; node++) {
		home = mag_cache_home(cache, node);
		assert_non_null(home);
		assert_true(MAG_STAT(home->slot[1].visitor) & MAG_BIAS_ASKED);
	}
	assert_int_equal(mag_cache_available(cache), COUNT);
}

static void
fill_depots(void *arg)
{
	unsigned int i;

	RTE_SET_USED(arg);
	for (i = 0; i < 2; i++) {
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
assert_sizes(uint32_t size)
{
	struct mag_home *home;
	unsigned int part, i;

	MAG_FOREACH_HOME(cache, part, home)
		for (i = 0; i < MAG_SLOTS; i++)
			assert_int_equal(home->slot[i].size, size);
	assert_int_equal(part, 2);
}

static void
begin_to_fail(unsigned int from)
{
	if (cache->common.bias != MAG_BIAS_MEMBARRIER) {
		printf("# skip: this kernel has no membarrier\n");
		skip();
	}
	mag_bias_forbid_membarrier(false);
	fences = 0;
	fails_from = from;
}

TEST(test_a_membarrier_that_fails_leaves_the_slots_of_its_node_and_lcores_are_asked, setup,
     teardown)
{
	struct mag_home *home[] = {mag_cache_home(cache, 0), mag_cache_home(cache, 1)};
	const uint32_t asked = MAG_BIAS_FENCE_BIT | MAG_BIAS_ASKED;
	uint32_t held;

	/* That of the second node. */
	run_on_lcore(1, take_some_polled, NULL);
	held = mag_slot_objects(&home[1]->slot[1]);
	begin_to_fail(2);
	assert_int_equal(mag_cache_purge(cache), -EAGAIN);
	assert_int_equal(mag_slot_objects(&home[0]->slot[1]), 0);
	assert_int_equal(mag_slot_objects(&home[1]->slot[1]), held);
	assert_int_equal(home[1]->slot[1].visitor, asked);
	assert_sizes(ROUNDS);
	/*
	 * Now the owner fences on the second node, and not yet on the first: not purged is not
	 * purged.
	 */
	run_on_lcore(1, take_some_polled, NULL);
	assert_int_equal(mag_cache_purge(cache), -EAGAIN);
	assert_int_not_equal(mag_slot_objects(&home[0]->slot[1]), 0);
	assert_int_equal(home[0]->slot[1].visitor, asked | MAG_BIAS_HOMES);
	assert_int_equal(mag_slot_objects(&home[1]->slot[1]), 0);
	assert_sizes(ROUNDS);
	assert_int_not_equal(mag_cache_take_all(cache, objects, COUNT, true), 0);
	run_on_lcore(1, take_some_polled, NULL);
	run_on_lcore(2, take_some_polled, NULL);
	assert_int_equal(home[0]->slot[1].fenced, 1);
	assert_int_equal(home[1]->slot[1].fenced, 1);
	assert_all_there();
	assert_int_equal(mag_cache_purge(cache), 0);
	mag_cache_enable(cache);
	fails_from = 0;
	mag_bias_forbid_membarrier(false);
}

TEST(test_what_is_in_depots_of_any_node_is_had_before_what_lcores_hold, setup, teardown)
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
	struct mag_slot *busy = &mag_cache_home(cache, 1)->slot[5];

	take_some_polled(NULL);
	assert_true(mag_bias_enter_careful(busy));
	assert_int_equal(mag_cache_purge(cache), -EAGAIN);
	assert_int_equal(mag_slot_objects(mag_slot_own(mag_cache_home(cache, 0)->slot)), 0);
	assert_sizes(ROUNDS);
	mag_slot_leave(busy);
	assert_int_equal(mag_cache_purge(cache), 0);
	assert_sizes(0);
	mag_cache_enable(cache);
	assert_all_there();
}

TEST(test_more_than_there_is_takes_nothing, setup, teardown)
{
	assert_int_equal(mag_cache_take_all(cache, objects, COUNT - 10, true), 0);
	assert_int_equal(mag_cache_take_all(cache, objects + COUNT - 10, 10, true), 0);
	assert_int_not_equal(mag_cache_take_all(cache, objects, 1, true), 0);
	mag_cache_give(cache, objects, 10);
	assert_int_equal(mag_cache_available(cache), 10);
	mag_cache_give(cache, objects + 10, COUNT - 10);
	assert_all_there();
}

TEST(test_purge_resize_and_reap_are_of_both_homes, setup, teardown)
{
	struct mag_cache_stats stats;

	take_some_polled(NULL);
	assert_all_there();
	assert_int_equal(mag_cache_purge(cache), 0);
	mag_cache_stats_get(cache, &stats);
	assert_int_equal(stats.in_lcores + stats.depot_full, 0);
	assert_int_equal(stats.purges, 1);
	assert_sizes(0);
	mag_cache_enable(cache);
	assert_sizes(ROUNDS);
	assert_int_equal(mag_cache_resize(cache, 30, true), 0);
	assert_sizes(30);
	assert_all_there();
	assert_int_equal(mag_cache_reap_now(cache, false), 0);
	mag_cache_stats_get(cache, &stats);
	assert_int_equal(stats.depot_full, 0);
	assert_all_there();
}

TEST(test_counts_are_sums_over_the_homes, setup, teardown)
{
	struct mag_slot_stats slots[MAG_SLOTS];
	struct mag_cache_stats stats;
	unsigned int n;

	assert_int_equal(mag_cache_take_all(cache, objects, COUNT, true), 0);
	mag_cache_give(cache, objects, COUNT - 100);
	mag_cache_stats_get(cache, &stats);
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
	unsigned int i, j;

	here = 1;
	assert_int_equal(mag_cache_take_blocks(cache, first, COUNT / BLOCK), 0);
	assert_int_equal(count_of_node(first, HALF / BLOCK, 1), HALF / BLOCK);
	assert_int_equal(mag_cache_available(cache), 0);
	for (i = 0; i < COUNT / BLOCK; i++)
		for (j = 0; j < BLOCK; j++)
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
	/* clang-format off */
	int (*alloc)(struct mag_slab_layer *layer, void **first, unsigned int n);
	/* clang-format on */
	int ret;

	alloc = (__typeof__(alloc))(uintptr_t)dlsym(RTLD_NEXT, "mag_slab_alloc_blocks");
	ret = alloc(layer, first, n);
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

TEST(test_who_is_refused_for_blocks_that_another_asks_for_is_counted, setup, teardown)
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
hold_near(void *arg)
{
	RTE_SET_USED(arg);
	assert_int_equal(mag_cache_take_all(cache, objects, OURS, false), 0);
	mag_cache_give(cache, objects, OURS);
}

static void
keep_near_and_hold_far(void *arg)
{
	RTE_SET_USED(arg);
	assert_int_equal(mag_cache_take_all(cache, kept, KEPT, false), 0);
	here = 1;
	assert_int_equal(mag_cache_take_all(cache, objects, THEIRS, false), 0);
	assert_int_equal(count_of_node(objects, THEIRS, 1), THEIRS);
	mag_cache_give(cache, objects, THEIRS);
}

static void
memory_comes(void)
{
	assert_int_equal(mag_pool_home(cache, 1), 0);
	adopt(1);
	run_on_lcore(1, keep_near_and_hold_far, NULL);
	assert_int_equal(mag_cache_take_all(cache, rest + HALF - OURS, HALF - THEIRS, false), 0);
	here = 0;
}

unsigned int
mag_home_take(struct mag_home *of, void **to, unsigned int n, struct mag_request *request)
{
	__typeof__(&mag_home_take) take;

	take = (__typeof__(take))(uintptr_t)dlsym(RTLD_NEXT, "mag_home_take");
	if (takes_left > 0 && --takes_left == 0)
		memory_comes();
	return take(of, to, n, request);
}

TEST(test_a_home_that_comes_during_a_steal_is_not_visited_by_it)
{
	const struct mag_slot *slot;
	void *had[OURS];

	cache = make("rounds=14,interval=3600");
	assert_int_equal(mag_pool_home(cache, 0), 0);
	adopt(0);
	run_on_lcore(1, hold_near, NULL);
	assert_int_equal(mag_cache_take_all(cache, rest, HALF - OURS, false), 0);
	/* The first take comes before the visit locks, the second after them. */
	takes_left = 2;
	assert_int_equal(mag_cache_take_all(cache, had, OURS, true), -ENOBUFS);
	assert_int_equal(takes_left, 0);
	assert_true(cache->common.steal_denied > 0);
	slot = &mag_cache_home(cache, 1)->slot[1];
	assert_int_equal(slot->visited_out, 0);
	assert_int_equal(mag_slot_objects(slot), THEIRS);
	assert_int_equal(mag_cache_take_all(cache, had, OURS, true), 0);
	assert_int_equal(slot->visited_out, OURS - KEPT);
	mag_cache_give(cache, had, OURS);
	mag_cache_give(cache, kept, KEPT);
	mag_cache_give(cache, rest, COUNT - OURS - THEIRS);
	assert_all_there();
	teardown(NULL);
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
	unsigned int asked, i;

	cache = make("rounds=14,interval=3600");
	assert_int_equal(mag_pool_home(cache, 0), 0);
	adopt(0);
	for (i = 1, asked = 1; asked != 0; i++) {
		mag_fault_nth(i);
		log_begin();
		asked = mag_pool_home(cache, 1) != 0;
		if (asked) {
			assert_logged(log_end(), "node 1");
			assert_null(mag_cache_homes(cache));
			assert_int_equal(mag_cache_available(cache), HALF);
		} else {
			log_end();
		}
	}
	mag_fault_nth(0);
	assert_true(i > 5);
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

TEST(test_a_home_is_refused_while_a_thread_stays_in_the_perimeter)
{
	uint64_t balance = heap_balance();
	int ret = 0;

	cache = make("rounds=14,interval=3600");
	assert_int_equal(mag_pool_home(cache, 0), 0);
	adopt(0);
	assert_true(mag_perimeter_enter(cache, false));
	run_on_thread(home_run, &ret);
	assert_int_equal(ret, -EBUSY);
	assert_null(mag_cache_homes(cache));
	mag_perimeter_leave(cache);
	assert_int_equal(mag_pool_home(cache, 1), 0);
	adopt(1);
	assert_all_there();
	teardown(NULL);
	assert_int_equal(heap_balance(), balance);
}

TEST(test_a_cache_of_one_node_has_one_home_and_an_open_fast_path)
{
	cache = make("rounds=14,interval=3600");
	assert_int_equal(mag_pool_home(cache, 0), 0);
	adopt(0);
	assert_int_equal(mag_pool_home(cache, -1), 0);
	assert_int_equal(mag_pool_home(cache, 0), 0);
	assert_null(mag_cache_homes(cache));
	assert_int_equal(cache->first.slot[0].visitor & MAG_BIAS_HOMES, 0);
	teardown(NULL);
}

TEST(test_an_lcore_of_a_node_without_objects_goes_by_its_own_distances)
{
	static const int nodes[] = {3, 1, 0}, from_two[] = {0, 1, 3};
	const uint8_t *order;
	unsigned int i;

	cache = make("rounds=14,interval=3600");
	for (i = 0; i < RTE_DIM(nodes); i++)
		assert_int_equal(mag_pool_home(cache, nodes[i]), 0);
	here = 2;
	order = mag_homes_order(mag_cache_homes(cache));
	for (i = 0; i < RTE_DIM(from_two); i++)
		assert_int_equal(region->part[order[i]].node, from_two[i]);
	teardown(NULL);
}

static void
put_far_object_by_ops(void *arg)
{
	void *object;

	RTE_SET_USED(arg);
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
	const struct mag_slot *near = &mag_cache_home(cache, 0)->slot[1];
	unsigned int i;

	run_on_lcore(1, put_far_object_by_ops, NULL);
	assert_true(MAG_STAT(near->capacity) > 0);
	for (i = 0; i < MAG_STAT(near->rounds); i++)
		assert_int_equal(node_of(*mag_magazine_round(near->loaded, i)), 0);
	assert_all_there();
}

TEST(test_memory_of_nodes_in_any_order_is_told_apart)
{
	static const uint8_t nodes[] = {0, 1, 0, 2, 1, 0, 0, 2}, turns[] = {3, 0, 6, 1, 7, 4, 2, 5};
	struct mag_region_params params = {
		.size = sizeof(params), .name = "mixed", .object_size = SIZE, .node = -1};
	struct mag_region *mixed = mag_region_create(&params);
	uint32_t part, page;
	unsigned int i;
	void *at[2];

	for (i = 0; i < RTE_DIM(turns); i++) {
		page = turns[i];
		at[0] = (void *)(uintptr_t)(0x10000 + page * 0x1000);
		at[1] = (char *)at[0] + 0x1000 - SIZE;
		assert_int_equal(mag_region_adopt(mixed, at, 2, nodes[page]), 0);
	}
	for (i = 0; i < 2 * RTE_DIM(nodes); i++) {
		page = i / 2;
		part = mag_region_part_of(mixed, (void *)(uintptr_t)(0x10000 + page * 0x1000 +
								     i % 2 * (0x1000 - SIZE)));
		assert_int_equal(mixed->part[part].node, nodes[page]);
	}
	assert_int_equal(mag_region_destroy(mixed), 0);
}

TEST(test_adopting_without_memory_for_records_changes_nothing)
{
	uint64_t balance = heap_balance();
	unsigned int i, failed;

	cache = make("rounds=14,interval=3600");
	assert_int_equal(mag_pool_home(cache, 0), 0);
	assert_int_equal(mag_pool_home(cache, 1), 0);
	adopt(0);
	for (i = 1, failed = 1; failed != 0; i++) {
		void *half[HALF];
		unsigned int j;

		for (j = 0; j < HALF; j++)
			half[j] = memory + (HALF + j) * SIZE;
		mag_fault_nth(i);
		log_begin();
		failed = mag_region_adopt(region, half, HALF, 1) != 0;
		log_end();
		if (failed)
			assert_int_equal(mag_cache_available(cache), HALF);
	}
	mag_fault_nth(0);
	assert_true(i > 3);
	assert_all_there();
	teardown(NULL);
	assert_int_equal(heap_balance(), balance);
}

TEST(test_memory_of_unknown_node_goes_with_the_first_known_one)
{
	void *half[HALF];
	unsigned int i;

	cache = make("rounds=14,interval=3600");
	for (i = 0; i < HALF; i++)
		half[i] = memory + i * SIZE;
	assert_int_equal(mag_pool_home(cache, -1), 0);
	assert_int_equal(mag_region_adopt(region, half, HALF, -1), 0);
	assert_int_equal(mag_pool_home(cache, 1), 0);
	adopt(1);
	assert_null(mag_cache_homes(cache));
	assert_all_there();
	teardown(NULL);
}

TEST(test_a_node_that_comes_when_a_cache_uses_the_region_is_not_told_apart)
{
	struct mag_region_params params = {
		.size = sizeof(params), .name = "late", .object_size = SIZE, .node = -1};
	struct mag_cache_params library = {
		.size = sizeof(library), .name = "late", .object_size = SIZE, .node = -1};

	memory = aligned_alloc(SIZE, COUNT * SIZE);
	region = mag_region_create(&params);
	assert_non_null(region);
	adopt(0);
	library.region = region;
	cache = mag_cache_create(&library);
	assert_non_null(cache);
	adopt(1);
	assert_int_equal(region->parts, 1);
	assert_null(mag_cache_homes(cache));
	here = 1;
	assert_all_there();
	assert_int_equal(mag_cache_destroy(cache), 0);
	assert_int_equal(mag_region_destroy(region), 0);
	free(memory);
	here = 0;
}

static void
crowd_run(void *arg)
{
	void *mine[64];
	unsigned int turn, n;

	RTE_SET_USED(arg);
	for (turn = 0; turn < 20000; turn++) {
		n = 1 + turn % 64;
		if (mag_cache_take_all(cache, mine, n, true) != 0)
			continue;
		if (turn % 7 == 0)
			RTE_SWAP(mine[0], mine[n - 1]);
		mag_cache_give(cache, mine, n);
	}
}

TEST(test_lcores_and_threads_lose_nothing_while_homes_are_purged, setup, teardown)
{
	struct task tasks[3];
	unsigned int i;

	task_lcore(&tasks[0], 1, crowd_run, NULL);
	task_lcore(&tasks[1], 2, crowd_run, NULL);
	task_thread(&tasks[2], crowd_run, NULL);
	for (i = 0; i < 200; i++) {
		here = i % 2;
		mag_cache_resize(cache, i % 2 ? 14 : 30, true);
		mag_cache_update(cache);
		mag_cache_reap_now(cache, i % 3 == 0);
	}
	for (i = 0; i < RTE_DIM(tasks); i++)
		task_join(&tasks[i]);
	here = 0;
	mag_cache_resize(cache, ROUNDS, true);
	assert_all_there();
}

int
main(void)
{
	eal_start(3, NULL);
	return tests_run(NULL, NULL);
}
