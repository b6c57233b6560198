/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Several nodes for real: runs in the machine that test_numa.py starts. Nodes are those of the
 * kernel.
 */

#include "cache/cache.h"
#include "sources/elastic.h"
#include "sources/elastic_service.h"
#include "base/fault.h"
#include "machine.h"

#include <numa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <rte_eal.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_memzone.h>

#include "mag_maint.h"
#include "base/numa.h"
#include "stores/region.h"
#include "../counts.h"

#define BURST 16
#define BULK_MAX 96
#define PAGE ((size_t)2 << 20)
#define ELASTIC_SIZE 2048
#define ELASTIC_OBJECTS 20000
#define SEGMENTS 2
#define MIRROR_SIZE 1000

static struct pool pool;
static void *objects[ALL_MAX], *mirrors[ALL_MAX];
static int found[ALL_MAX];
static unsigned int count;

/* Takes */

static void
flush(void *arg)
{
	struct rte_mempool_cache *cache = rte_mempool_default_cache(pool.mp, rte_lcore_id());

	RTE_SET_USED(arg);
	if (cache != NULL)
		rte_mempool_cache_flush(cache, pool.mp);
	mag_lcore_flush();
}

/* As many as arg says, in bursts; a burst that is not to be had is left to single ones. */
static void
take(void *arg)
{
	unsigned int want = *(unsigned int *)arg;

	count = 0;
	while (count + BURST <= want && rte_mempool_get_bulk(pool.mp, objects + count, BURST) == 0)
		count += BURST;
	while (count < want && rte_mempool_get(pool.mp, &objects[count]) == 0)
		count++;
}

static void
give(void *arg)
{
	rte_mempool_put_bulk(pool.mp, objects, count);
	flush(arg);
}

static void
find_nodes(void)
{
	nodes_of(objects, count, found);
	for (unsigned int i = 0; i < count; i++)
		assert_int_equal(found[i], pool_node_of(&pool, objects[i]));
}

/* Were the objects had in this order, COUNT of each node? */
static void
assert_order(const int *order)
{
	find_nodes();
	for (unsigned int i = 0; i < count; i++)
		assert_int_equal(found[i], order[i / COUNT]);
}

static void
assert_all_on(void *const *address, int node)
{
	nodes_of(address, count, found);
	for (unsigned int i = 0; i < count; i++)
		assert_int_equal(found[i], node);
}

/* An lcore of the node takes so many: they come from the nearest first. Given back by another. */
static void
assert_nearest_first(unsigned int node, unsigned int nth, void (*how)(void *arg), unsigned int want,
		     uint32_t without)
{
	int order[NODES_MAX];

	order_from(node, without, order);
	run_on_lcore(lcore_of(node, nth), how, &want);
	assert_int_equal(count, RTE_MIN(want, pool.count));
	assert_order(order);
	run_on_lcore(lcore_of(node, 1), give, NULL);
}

static void
assert_all_home(void)
{
	struct mag_home *home;
	unsigned int part;

	MAG_FOREACH_HOME(pool.cache, part, home)
		assert_int_equal(home_available(home), COUNT);
	assert_int_equal(part, pool.chunks);
	assert_int_equal(rte_mempool_avail_count(pool.mp), pool.count);
}

SETUP(setup)
{
	pool_make(&pool, 0, 0, 0);
}

TEARDOWN(teardown)
{
	pool_free(&pool);
}

/* The machine */

TEST(test_nodes_and_distances_are_those_of_the_machine)
{
	unsigned int lcore, per_node = rte_lcore_count() / nodes;

	assert_int_equal(rte_socket_count(), nodes);
	assert_int_equal(mag_numa_nodes(), nodes);
	for (unsigned int from = 0; from < nodes; from++) {
		assert_int_equal(rte_socket_id_by_idx(from), from);
		for (unsigned int to = 0; to < nodes; to++) {
			assert_int_equal(numa_distance(from, to), distances[from][to]);
			assert_int_equal(mag_numa_distance(from, to), distances[from][to]);
		}
	}
	assert_int_equal(rte_lcore_count() % nodes, 0);
	RTE_LCORE_FOREACH(lcore)
		assert_int_equal(rte_lcore_to_socket_id(lcore), lcore / per_node);
}

/* Objects */

TEST(test_an_empty_node_spills_to_the_nearest_then_to_the_next, setup, teardown)
{
	for (unsigned int node = 0; node < nodes; node++) {
		assert_nearest_first(node, 0, take, pool.count + 1, 0);
		assert_all_home();
	}
}

static void
take_blocks(void *arg)
{
	unsigned int block = *(unsigned int *)arg;

	for (count = 0;; count++)
		if (rte_mempool_get_contig_blocks(pool.mp, &objects[count * block], 1) != 0)
			break;
}

TEST(test_blocks_come_from_the_nearest_node_that_has_any, setup, teardown)
{
	size_t stride = pool.mp->header_size + pool.mp->elt_size + pool.mp->trailer_size;
	unsigned int i, block;
	struct rte_mempool_info info;
	int order[NODES_MAX];

	assert_int_equal(rte_mempool_ops_get_info(pool.mp, &info), 0);
	block = info.contig_block_size;
	assert_int_equal(COUNT % block, 0);
	for (unsigned int node = 0; node < nodes; node++) {
		order_from(node, 0, order);
		run_on_lcore(lcore_of(node, 0), take_blocks, &block);
		assert_int_equal(count * block, pool.count);
		for (i = 0, count *= block; i < count; i++)
			objects[i] = RTE_PTR_ADD(objects[i / block * block], i % block * stride);
		assert_order(order);
		run_on_lcore(lcore_of(node, 0), give, NULL);
	}
}

TEST(test_a_node_without_memory_of_the_pool_is_served_by_the_nearest_that_has)
{
	for (unsigned int node = 0; node < nodes; node++) {
		pool_make(&pool, node == 0, 0, UINT32_C(1) << node);
		assert_nearest_first(node, 0, take, pool.count, UINT32_C(1) << node);
		assert_all_home();
		pool_free(&pool);
	}
}

/* A magazine of objects of each node in this lcore's slots, and no other objects anywhere. */
static void
hold_a_magazine_of_each_node(void *arg)
{
	unsigned int rounds = MAG_STAT(pool.cache->common.type), kept = 0;
	static void *mine[NODES_MAX * MAG_ROUNDS_MAX];
	unsigned int had[NODES_MAX] = {0};
	int at;

	take(arg);
	for (unsigned int i = 0; i < count; i++) {
		at = pool_node_of(&pool, objects[i]);
		if (had[at] < rounds)
			mine[at * rounds + had[at]++] = objects[i];
		else
			objects[kept++] = objects[i];
	}
	count = kept;
	for (unsigned int node = 0; node < nodes; node++)
		rte_mempool_put_bulk(pool.mp, &mine[node * rounds], rounds);
}

static void
steal(void *arg)
{
	unsigned int had = count, want = *(unsigned int *)arg;

	while (count < had + want && rte_mempool_get(pool.mp, &objects[count]) == 0)
		count++;
}

TEST(test_objects_are_stolen_from_the_nearest_node_first, setup, teardown)
{
	unsigned int had, all = pool.count, want;
	unsigned int rounds = MAG_STAT(pool.cache->common.type), holder;
	int order[NODES_MAX];

	for (unsigned int node = 0; node < nodes; node++) {
		holder = lcore_of((node + 1) % nodes, 1);
		run_on_lcore(holder, hold_a_magazine_of_each_node, &all);
		assert_int_equal(rte_mempool_avail_count(pool.mp), nodes * rounds);
		had = count;
		want = nodes * rounds;
		order_from(node, 0, order);
		run_on_lcore(lcore_of(node, 0), steal, &want);
		assert_int_equal(count, pool.count);
		find_nodes();
		for (unsigned int i = 0; i < want; i++)
			assert_int_equal(found[had + i], order[i / rounds]);
		run_on_lcore(holder, give, NULL);
		run_on_lcore(lcore_of(node, 0), flush, NULL);
	}
	assert_all_home();
}

/* Places */

TEST(test_objects_lie_on_the_node_that_the_library_says, setup, teardown)
{
	const struct mag_region *region = pool.cache->region;
	unsigned int want = pool.count;

	take(&want);
	assert_int_equal(count, pool.count);
	find_nodes();
	for (unsigned int i = 0; i < count; i++) {
		assert_int_equal(found[i],
				 region->part[mag_region_part_of(region, objects[i])].node);
		assert_lies_on(objects[i], SIZE, found[i]);
	}
	give(NULL);
}

TEST(test_records_lie_on_the_node_of_what_they_describe, setup, teardown)
{
	struct mag_home *home;
	unsigned int part;

	MAG_FOREACH_HOME(pool.cache, part, home)
		assert_home_lies_on(home, part, part);
	assert_int_equal(part, nodes);
}

static void
pool_make_default(unsigned int size, int socket)
{
	pool = (struct pool){.mp = pool_empty(size, socket, 0), .count = size};
	assert_int_equal(rte_mempool_populate_default(pool.mp), size);
	pool.cache = pool.mp->pool_data;
}

TEST(test_a_pool_of_a_socket_lies_there_with_all_records)
{
	unsigned int want = COUNT;

	for (unsigned int node = 0; node < nodes; node++) {
		pool_make_default(COUNT, node);
		assert_null(mag_cache_homes(pool.cache));
		assert_home_lies_on(&pool.cache->first, 0, node);
		assert_lies_on(pool.cache->region, sizeof(*pool.cache->region), node);
		take(&want);
		assert_int_equal(count, COUNT);
		assert_all_on(objects, node);
		give(NULL);
		pool_free(&pool);
	}
}

TEST(test_a_pool_larger_than_a_node_has_memory_of_the_next)
{
	unsigned int size = (huge_free(0) * PAGE / SIZE) + 5000, part;
	void **all = malloc(size * sizeof(*all));
	int *at = malloc(size * sizeof(*at));
	struct mag_home *home;
	uint64_t of[NODES_MAX] = {0};

	if (mode == MODE_LEGACY)
		size = (LEGACY_MB << 20) / SIZE + 1000;
	pool_make_default(size, SOCKET_ID_ANY);
	assert_non_null(mag_cache_homes(pool.cache));
	assert_int_equal(rte_mempool_get_bulk(pool.mp, all, size), 0);
	nodes_of(all, size, at);
	for (unsigned int i = 0; i < size; i++) {
		part = mag_region_part_of(pool.cache->region, all[i]);
		assert_int_equal(pool.cache->region->part[part].node, at[i]);
		of[part]++;
	}
	rte_mempool_put_bulk(pool.mp, all, size);
	MAG_FOREACH_HOME(pool.cache, part, home) {
		assert_true(of[part] > 0);
		assert_int_equal(home_available(home), of[part]);
	}
	assert_true(part > 1);
	pool_free(&pool);
	free(all);
	free(at);
}

static void
unmap(struct rte_mempool_memhdr *chunk, void *opaque)
{
	RTE_SET_USED(opaque);
	numa_free(chunk->addr, chunk->len);
}

/* Memory of each node from the kernel. Such that nobody has written to has no page yet. */
static void
pool_make_foreign(bool touched)
{
	size_t length;
	char *memory;

	pool = (struct pool){.mp = pool_empty(nodes * COUNT, 0, 0), .count = nodes * COUNT};
	length = COUNT * (pool.mp->header_size + SIZE + pool.mp->trailer_size) + RTE_MEMPOOL_ALIGN;
	for (unsigned int node = 0; node < nodes; node++) {
		memory = numa_alloc_onnode(length, node);
		assert_non_null(memory);
		if (touched)
			memset(memory, 1, length);
		assert_int_equal(rte_mempool_populate_iova(pool.mp, memory, RTE_BAD_IOVA, length,
							   unmap, NULL),
				 COUNT);
	}
	pool.cache = pool.mp->pool_data;
}

/* Written to or not. */
TEST(test_the_node_of_memory_that_is_not_from_eal_comes_from_the_kernel)
{
	unsigned int want = COUNT;

	for (unsigned int touched = 0; touched < 2; touched++) {
		pool_make_foreign(touched);
		assert_non_null(mag_cache_homes(pool.cache));
		for (unsigned int node = 0; node < nodes; node++) {
			run_on_lcore(lcore_of(node, 0), take, &want);
			assert_int_equal(count, COUNT);
			for (unsigned int i = 0; i < count; i++)
				*(volatile char *)objects[i] = 1;
			assert_all_on(objects, node);
			run_on_lcore(lcore_of(node, 0), give, NULL);
		}
		pool_free(&pool);
	}
}

/* Hugepages */

TEST(test_hugepages_come_from_the_node_and_go_back_to_it)
{
	unsigned int before[NODES_MAX], during[NODES_MAX], pages;
	uint32_t all = (UINT32_C(1) << nodes) - 1;

	/* What EAL keeps for ever it has when the first pool is gone. */
	pool_make(&pool, 0, 0, 0);
	pool_free(&pool);
	huge_free_all(before);
	for (unsigned int node = 0; node < nodes; node++) {
		pool_make(&pool, node, 0, all & ~(UINT32_C(1) << node));
		pages = pool.chunk[0]->len / PAGE;
		assert_true(pages >= 2);
		huge_free_all(during);
		for (unsigned int other = 0; other < nodes; other++)
			if (other != node || mode == MODE_LEGACY)
				assert_int_equal(during[other], before[other]);
			else
				assert_in_range(before[node] - during[node], pages, pages + 3);
		pool_free(&pool);
		assert_huge_free(before);
	}
	pool_make(&pool, 0, 0, 0);
	huge_free_all(during);
	for (unsigned int node = 0; node < nodes && mode != MODE_LEGACY; node++)
		assert_in_range(before[node] - during[node], pages, pages + 3);
	pool_free(&pool);
	assert_huge_free(before);
}

/* Elastic regions */

static struct mag_region *region;
static struct mag_cache *cache;

SETUP(setup_elastic)
{
	struct mag_region_params params = {
		.size = sizeof(params),
		.name = "elastic",
		.object_size = ELASTIC_SIZE,
		.objects = ELASTIC_OBJECTS,
		.node = -1,
	};

	region = mag_region_create(&params);
	assert_non_null(region);
}

static void
cache_make(void *arg)
{
	struct mag_cache_params params = {
		.size = sizeof(params),
		.name = "elastic",
		.object_size = ELASTIC_SIZE,
		.region = region,
		.options = "interval=3600",
		.node = -1,
	};

	RTE_SET_USED(arg);
	cache = mag_cache_create(&params);
}

TEARDOWN(teardown_elastic)
{
	if (cache != NULL)
		assert_int_equal(mag_cache_destroy(cache), 0);
	cache = NULL;
	assert_int_equal(mag_region_destroy(region), 0);
}

static void
elastic_take(void *arg)
{
	count = mag_cache_alloc_burst(cache, objects, *(unsigned int *)arg);
	for (unsigned int i = 0; i < count; i++)
		memset(objects[i], 1, ELASTIC_SIZE);
}

static void
elastic_give(void *arg)
{
	RTE_SET_USED(arg);
	mag_cache_free_bulk(cache, objects, count);
	mag_lcore_flush();
}

TEST(test_an_elastic_region_has_memory_of_each_node, setup_elastic, teardown_elastic)
{
	unsigned int want = region->block / 2;

	cache_make(NULL);
	assert_non_null(cache);
	for (unsigned int node = 0; node < nodes; node++) {
		run_on_lcore(lcore_of(node, 0), elastic_take, &want);
		assert_int_equal(count, want);
		assert_all_on(objects, node);
		run_on_lcore(lcore_of(node, 1), elastic_give, NULL);
	}
}

/* All that there is, and then one for which a segment has to come. */
static void
elastic_take_all_and_wait(void *arg)
{
	unsigned int got;

	RTE_SET_USED(arg);
	for (count = 0; count + BULK_MAX < ALL_MAX; count += got) {
		got = mag_cache_alloc_burst(cache, objects + count, BULK_MAX);
		if (got == 0)
			break;
	}
	objects[count] = mag_cache_alloc_wait(cache, MAG_WAIT_DEFAULT);
	if (objects[count] != NULL)
		memset(objects[count++], 1, ELASTIC_SIZE);
}

TEST(test_who_waits_has_new_memory_of_its_own_node, setup_elastic, teardown_elastic)
{
	struct mag_region_stats stats;

	for (unsigned int node = 0; node < nodes; node++) {
		cache_make(NULL);
		assert_non_null(cache);
		/* Else maintenance has memory for all nodes that it was looked for on. */
		mag_maint_stop();
		run_on_lcore(lcore_of(node, 0), elastic_take_all_and_wait, NULL);
		mag_region_stats_get(region, &stats);
		assert_true(count > 1 && count <= stats.objects);
		assert_int_equal(node_of(objects[count - 1]), node);
		run_on_lcore(lcore_of(node, 1), elastic_give, NULL);
		assert_int_equal(mag_cache_destroy(cache), 0);
		cache = NULL;
		region_trimmed(region, 1);
	}
}

TEST(test_records_of_a_cache_lie_on_their_nodes_whoever_makes_it, setup_elastic, teardown_elastic)
{
	struct mag_home *home;
	unsigned int part;

	run_on_lcore(lcore_of(nodes - 1, 0), cache_make, NULL);
	assert_non_null(cache);
	MAG_FOREACH_HOME(cache, part, home)
		assert_home_lies_on(home, part, part);
	assert_int_equal(part, nodes);
}

TEST(test_segments_are_hugepages_of_their_node, setup_elastic, teardown_elastic)
{
	unsigned int before[NODES_MAX], pages;

	huge_free_all(before);
	assert_int_equal(region_grown(region, SEGMENTS), nodes * SEGMENTS);
	pages = mode == MODE_LEGACY ?
			0 :
			SEGMENTS * RTE_ALIGN_CEIL(region->elastic->segment_bytes, PAGE) / PAGE;
	for (unsigned int node = 0; node < nodes; node++)
		assert_int_equal(before[node] - huge_free(node), pages);
	assert_int_equal(region_trimmed(region, 1), nodes * SEGMENTS);
	assert_huge_free(before);
}

/* Without a node of its own a mirror is where its object is. */
static void
mirrors_lie_on(int asked)
{
	struct mag_region_params params = {.size = sizeof(params),
					   .name = "mirror",
					   .object_size = MIRROR_SIZE,
					   .node = asked};
	unsigned int want = region->block / 2;
	const struct mag_mirror *find;
	struct mag_region *mirror;

	mirror = mag_region_mirror_create(region, &params);
	assert_non_null(mirror);
	find = mag_region_mirror(region);
	cache_make(NULL);
	assert_non_null(cache);
	for (unsigned int node = 0; node < nodes; node++) {
		run_on_lcore(lcore_of(node, 0), elastic_take, &want);
		assert_int_equal(count, want);
		for (unsigned int i = 0; i < count; i++) {
			mirrors[i] = mag_mirror_of(find, objects[i]);
			memset(mirrors[i], 1, MIRROR_SIZE);
			assert_ptr_equal(mag_mirror_object(find, mirrors[i]), objects[i]);
		}
		assert_all_on(mirrors, asked < 0 ? (int)node : asked);
		run_on_lcore(lcore_of(node, 1), elastic_give, NULL);
	}
	assert_int_equal(mag_cache_destroy(cache), 0);
	cache = NULL;
	assert_int_equal(mag_region_destroy(region), 0);
	region = NULL;
	assert_int_equal(mag_region_destroy(mirror), 0);
}

TEST(test_mirrors_lie_on_the_node_that_was_asked_for_or_on_that_of_their_object, setup_elastic,
     teardown_elastic)
{
	for (int node = -1; node < (int)nodes; node++) {
		if (region == NULL)
			setup_elastic(state);
		mirrors_lie_on(node);
	}
}

/* Maintenance is not told, and leaves it alone. */
TEST(test_a_node_without_memory_does_not_keep_others_from_growing, setup_elastic, teardown_elastic)
{
	void (*observer)(void) = mag_elastic_on_want;
	struct mag_elastic_serviced serviced;
	unsigned int one = 1;

	mag_elastic_on_want = NULL;
	cache_make(NULL);
	assert_non_null(cache);
	mag_maint_stop();
	/* A node that has its reserve free would get no more. */
	run_on_lcore(lcore_of(1, 0), elastic_take, &one);
	assert_int_equal(MAG_STAT(region->part[1].segments_free), 0);
	assert_int_not_equal(MAG_STAT(region->part[0].segments_free), 0);
	mag_elastic_want(region, 1);
	mag_fault_nth(1);
	serviced = mag_elastic_service(UINT64_MAX);
	mag_fault_nth(0);
	/* There is memory free on another. */
	assert_false(serviced.low);
	mag_elastic_want(region, 1);
	assert_int_equal(MAG_STAT(region->elastic->wanted), 0);
	mag_elastic_want(region, 0);
	assert_int_equal(MAG_STAT(region->elastic->wanted), 1);
	mag_elastic_service(UINT64_MAX);
	assert_int_equal(MAG_STAT(region->elastic->wanted), 0);
	mag_elastic_on_want = observer;
	run_on_lcore(lcore_of(1, 0), elastic_give, NULL);
}

/* Those that need no hugepages. */
static const char *const anywhere[] = {
	"test_nodes_and_distances_are_those_of_the_machine", "test_setup_teardown",
	"test_who_waits_has_new_memory_of_its_own_node",
	"test_an_elastic_region_has_memory_of_each_node",
	"test_mirrors_lie_on_the_node_that_was_asked_for_or_on_that_of_their_object"};

int
main(int argc, char **argv)
{
	unsigned int kept = 0;
	int failed;

	machine_start(argc, argv);
	for (unsigned int i = 0; i < tests_here.count && mode == MODE_NO_HUGE; i++)
		for (unsigned int j = 0; j < RTE_DIM(anywhere); j++)
			if (strcmp(tests_here.test[i].name, anywhere[j]) == 0)
				tests_here.test[kept++] = tests_here.test[i];
	if (mode == MODE_NO_HUGE)
		tests_here.count = kept;
	failed = tests_run(NULL, NULL);
	rte_eal_cleanup();
	return failed;
}
