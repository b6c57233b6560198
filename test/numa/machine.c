/* SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <numa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_lcore.h>
#include <rte_memzone.h>

#include "machine.h"

#define PAGE 4096u

unsigned int nodes;
int distances[NODES_MAX][NODES_MAX];
enum mode mode;

static void
die(const char *what)
{
	printf("Bail out! %s\n", what);
	exit(1);
}

/* Rows with commas, a semicolon between two. */
static void
read_distances(char *text)
{
	char *row, *word, *rows = NULL, *words;
	unsigned int i;

	for (row = strtok_r(text, ";", &rows); row != NULL; row = strtok_r(NULL, ";", &rows)) {
		words = NULL;
		i = 0;
		for (word = strtok_r(row, ",", &words); word != NULL && i < NODES_MAX;
		     word = strtok_r(NULL, ",", &words))
			distances[nodes][i++] = atoi(word);
		if (++nodes == NODES_MAX)
			break;
	}
}

/* EAL's arguments for it, up to NULL. */
static const char *const *
read_mode(const char *text)
{
	static char memory[64];
	static const char *const legacy[] = {"--legacy-mem", "--socket-mem", memory, NULL};

	if (strcmp(text, "legacy") == 0) {
		mode = MODE_LEGACY;
		for (unsigned int node = 0; node < nodes; node++)
			snprintf(memory + strlen(memory), sizeof(memory) - strlen(memory), "%s%u",
				 node > 0 ? "," : "", LEGACY_MB);
		return legacy;
	}
	mode = strcmp(text, "no-huge") == 0 ? MODE_NO_HUGE : MODE_DYNAMIC;
	return NULL;
}

void
machine_start(int argc, char **argv)
{
	struct eal_plan plan = {.name = "numa", .lcores = sysconf(_SC_NPROCESSORS_ONLN)};

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc != 4)
		die("arguments must be: plugin, mode, distances");
	read_distances(argv[3]);
	plan.plugin = argv[1];
	plan.args = read_mode(argv[2]);
	plan.megabytes = mode == MODE_NO_HUGE ? 64 : 0;
	eal_must(&plan);
}

unsigned int
lcore_of(unsigned int node, unsigned int nth)
{
	unsigned int lcore;

	RTE_LCORE_FOREACH(lcore)
		if (rte_lcore_to_socket_id(lcore) == node && nth-- == 0)
			return lcore;
	die("a node has no such lcore");
	return 0;
}

unsigned int
order_from(unsigned int node, uint32_t without, int order[NODES_MAX])
{
	unsigned int at, n = 0;

	for (unsigned int to = 0; to < nodes; to++) {
		if (without >> to & 1)
			continue;
		for (at = n++; at > 0 && distances[node][order[at - 1]] > distances[node][to]; at--)
			order[at] = order[at - 1];
		order[at] = to;
	}
	return n;
}

void
nodes_of(void *const *address, unsigned int n, int *node)
{
	void **page = malloc(n * sizeof(*page));

	for (unsigned int i = 0; i < n; i++)
		page[i] = (void *)RTE_ALIGN_FLOOR((uintptr_t)address[i], (uintptr_t)PAGE);
	assert_int_equal(numa_move_pages(0, n, page, NULL, node, 0), 0);
	free(page);
}

int
node_of(const void *address)
{
	void *one = (void *)(uintptr_t)address;
	int node;

	nodes_of(&one, 1, &node);
	return node;
}

void
assert_lies_on(const void *address, size_t bytes, int node)
{
	uintptr_t at = RTE_ALIGN_FLOOR((uintptr_t)address, (uintptr_t)PAGE);

	assert_true(bytes > 0);
	for (; at < (uintptr_t)address + bytes; at += PAGE)
		assert_int_equal(node_of((const void *)at), node);
}

unsigned int
huge_free(unsigned int node)
{
	char path[128];
	unsigned int free = 0;
	FILE *file;

	snprintf(path, sizeof(path),
		 "/sys/devices/system/node/node%u/hugepages/hugepages-2048kB/free_hugepages", node);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_int_equal(fscanf(file, "%u", &free), 1);
	fclose(file);
	return free;
}

void
huge_free_all(unsigned int free[NODES_MAX])
{
	for (unsigned int node = 0; node < nodes; node++)
		free[node] = huge_free(node);
}

void
assert_huge_free(const unsigned int free[NODES_MAX])
{
	for (unsigned int node = 0; node < nodes; node++)
		assert_int_equal(huge_free(node), free[node]);
}

struct rte_mempool *
pool_empty(unsigned int objects, int socket, unsigned int cache_size)
{
	static char options[] = "interval=3600";
	static unsigned int made;
	char name[32];
	struct rte_mempool *mp;

	/* Where a test failed its pool stays. */
	snprintf(name, sizeof(name), "pool%u", made++);
	mp = rte_mempool_create_empty(name, objects, SIZE, cache_size, 0, socket,
				      RTE_MEMPOOL_F_NO_IOVA_CONTIG);
	assert_non_null(mp);
	assert_int_equal(rte_mempool_set_ops_byname(mp, "magazine", options), 0);
	return mp;
}

static void
chunk_free(struct rte_mempool_memhdr *chunk, void *opaque)
{
	RTE_SET_USED(chunk);
	rte_memzone_free(opaque);
}

static void
chunk_add(struct pool *pool, unsigned int node)
{
	struct rte_mempool *mp = pool->mp;
	size_t stride = mp->header_size + mp->elt_size + mp->trailer_size;
	size_t length = COUNT * stride + RTE_MEMPOOL_ALIGN;
	const struct rte_memzone *zone;
	char name[RTE_MEMPOOL_NAMESIZE + 16];

	snprintf(name, sizeof(name), "%s_%u", mp->name, node);
	zone = rte_memzone_reserve(name, length, node, 0);
	assert_non_null(zone);
	assert_int_equal(zone->socket_id, node);
	assert_int_equal(rte_mempool_populate_iova(mp, zone->addr, RTE_BAD_IOVA, length, chunk_free,
						   (void *)(uintptr_t)zone),
			 COUNT);
	pool->chunk[pool->chunks++] = zone;
	pool->count += COUNT;
}

void
pool_make(struct pool *pool, int socket, unsigned int cache_size, uint32_t without)
{
	*pool = (struct pool){
		.mp = pool_empty((nodes - __builtin_popcount(without)) * COUNT, socket, cache_size),
	};
	for (unsigned int node = 0; node < nodes; node++)
		if ((without >> node & 1) == 0)
			chunk_add(pool, node);
	pool->cache = pool->mp->pool_data;
}

void
pool_free(struct pool *pool)
{
	rte_mempool_free(pool->mp);
	pool->mp = NULL;
}

int
pool_node_of(const struct pool *pool, const void *object)
{
	const struct rte_memzone *zone;

	for (unsigned int i = 0; i < pool->chunks; i++) {
		zone = pool->chunk[i];
		if (object >= zone->addr && object < RTE_PTR_ADD(zone->addr, zone->len))
			return zone->socket_id;
	}
	return -1;
}

uint64_t
home_available(const struct mag_home *home)
{
	uint64_t sum = mag_slab_available(&home->slab);

	sum += (uint64_t)mag_depot_total(&home->depot.full) * MAG_STAT(home->common->type);
	for (unsigned int i = 0; i < MAG_SLOTS; i++)
		sum += mag_slot_objects(&home->slot[i]);
	return sum;
}

static void
assert_extents_lie_on(const struct mag_region *region, uint32_t part, int node)
{
	const struct mag_extent *extent;
	const struct mag_segment *segment;
	unsigned int seen = 0;

	SLIST_FOREACH(extent, &region->extents, link)
		for (uint32_t i = 0; i < extent->segments; i++) {
			segment = &extent->segment[i];
			if (segment->part != part)
				continue;
			assert_int_equal(segment->node, node);
			assert_lies_on(segment, sizeof(*segment), node);
			assert_lies_on(segment->control, mag_segment_control_size(segment->count),
				       node);
			seen++;
		}
	assert_true(seen > 0 || region->elastic != NULL);
}

void
assert_home_lies_on(const struct mag_home *home, uint32_t part, int node)
{
	uint8_t *const *chunk = home->arena.chunk;
	size_t size, bytes;

	assert_int_equal(home->slab.region->part[part].node, node);
	assert_int_equal(home->slab.part, part);
	assert_lies_on(home, sizeof(*home), node);
	for (size = mag_arena_size(&home->arena); size > 0; size -= bytes, chunk++) {
		bytes = RTE_MIN(size, (size_t)MAG_ARENA_CHUNK);
		assert_lies_on(*chunk - 1, bytes + 1, node);
	}
	assert_lies_on(home->slab.table.bucket,
		       home->slab.table.size * sizeof(home->slab.table.bucket[0]), node);
	assert_extents_lie_on(home->slab.region, part, node);
}
