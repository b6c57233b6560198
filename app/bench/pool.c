/* SPDX-License-Identifier: BSD-3-Clause */

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_random.h>

#include "mag_maint.h"
#include "mag_stats.h"
#include "pool.h"

/* clang-format off */
#define CACHES(name, ops, config) \
	{name "/cache:0", ops, config, 0, false}, \
	{name "/cache:250", ops, config, 250, false}, \
	{name "/cache:512", ops, config, 512, false}

/* The base, then the one whose speed is the limit of the ops interface, then the others. */
#define POOL_PEERS \
	{"ring_mp_mc/cache:512", "ring_mp_mc", NULL, 512, false}, \
	{"floor/cache:0", "floor", NULL, 0, true}, \
	CACHES("magazine", "magazine", NULL), \
	CACHES("magazine,rounds=510", "magazine", "rounds=510"), \
	{"magazine,rounds=62/cache:0", "magazine", "rounds=62", 0, false}, \
	{"ring_mp_mc/cache:0", "ring_mp_mc", NULL, 0, false}, \
	{"ring_mp_mc/cache:250", "ring_mp_mc", NULL, 250, false}, \
	CACHES("ring_mt_rts", "ring_mt_rts", NULL), \
	CACHES("ring_mt_hts", "ring_mt_hts", NULL), \
	CACHES("stack", "stack", NULL), \
	CACHES("lf_stack", "lf_stack", NULL), \
	CACHES("bucket", "bucket", NULL)

const struct peer pool_peers[] = {
	POOL_PEERS,
	{NULL, NULL, NULL, 0, false},
};

const struct peer own_peers[] = {
	POOL_PEERS,
	{"magazine,inlined/cache:0", "magazine", NULL, 0, false, .inlined = true},
	{NULL, NULL, NULL, 0, false},
};

/* And the floor of handing objects to another lcore. */
const struct peer pipe_peers[] = {
	POOL_PEERS,
	{"circle/cache:0", "circle", NULL, 0, false},
	{"circle,shuffled/cache:0", "circle", "shuffled", 0, false},
	{NULL, NULL, NULL, 0, false},
};
/* clang-format on */

_Static_assert(RTE_DIM(pipe_peers) <= CELL_PEERS_MAX, "room for all peers in a cell");

const struct inlined *pool_inlined;

static bool
has_handler(const char *name)
{
	unsigned int i;

	for (i = 0; i < rte_mempool_ops_table.num_ops; i++)
		if (strcmp(rte_mempool_ops_table.ops[i].name, name) == 0)
			return true;
	return false;
}

struct rte_mempool *
pool_make_sized(const struct peer *peer, unsigned int objects, unsigned int object_size,
		char why[BENCH_WHY])
{
	static unsigned int count;
	char name[RTE_MEMPOOL_NAMESIZE];
	struct rte_mempool *mp;
	int ret;

	if (!has_handler(peer->handler)) {
		snprintf(why, BENCH_WHY,
			 "handler %s: not known to EAL: is its plugin in EAL's driver folder?",
			 peer->handler);
		return NULL;
	}
	if (peer->cache * 3 / 2 > objects) {
		snprintf(why, BENCH_WHY, "%u objects: too few for a mempool cache of %u", objects,
			 peer->cache);
		return NULL;
	}
	snprintf(name, sizeof(name), "%.12s-%u", peer->handler, count++);
	mp = rte_mempool_create_empty(name, objects, object_size, peer->cache, 0, SOCKET_ID_ANY, 0);
	ret = mp == NULL ? -rte_errno : 0;
	if (ret == 0)
		ret = rte_mempool_set_ops_byname(mp, peer->handler,
						 (void *)(uintptr_t)peer->options);
	if (ret == 0)
		ret = rte_mempool_populate_default(mp);
	if (ret > 0)
		return mp;
	snprintf(why, BENCH_WHY,
		 "cannot make a pool of %u objects of %u bytes (%s): reserve %u MB more hugepages",
		 objects, object_size, rte_strerror(-ret),
		 (unsigned int)(((uint64_t)objects * (object_size + 128) >> 20) + 2));
	rte_mempool_free(mp);
	return NULL;
}

/* Give a new pool the order that an old one has, in which no prefetcher finds the next object. */
static bool
grow_old(struct rte_mempool *mp)
{
	unsigned int count = 0, i, n;
	void **objects = calloc(mp->size, sizeof(void *)), *other;

	if (objects == NULL)
		return false;
	while (count < mp->size && rte_mempool_get(mp, &objects[count]) == 0)
		count++;
	for (i = count; i > 1; i--) {
		n = (unsigned int)rte_rand_max(i);
		other = objects[i - 1];
		objects[i - 1] = objects[n];
		objects[n] = other;
	}
	for (i = 0; i < count; i++)
		rte_mempool_put(mp, objects[i]);
	free(objects);
	return true;
}

static bool
find_inlined(struct rte_mempool *mp, char why[BENCH_WHY])
{
	char folder[PATH_MAX];

	cell_path(folder, sizeof(folder), "");
	pool_inlined = inlined_find(folder, mp, why, BENCH_WHY);
	return pool_inlined != NULL;
}

void *
pool_make(const struct cell *cell, const struct peer *peer, char why[BENCH_WHY])
{
	struct rte_mempool *mp;

	mp = pool_make_sized(peer, cell_objects(cell), cell->pattern->object_size, why);
	if (mp != NULL && peer->inlined && !find_inlined(mp, why)) {
		rte_mempool_free(mp);
		return NULL;
	}
	if (mp == NULL || !cell->pattern->old || grow_old(mp))
		return mp;
	snprintf(why, BENCH_WHY, "no memory for %u pointers", mp->size);
	rte_mempool_free(mp);
	return NULL;
}

struct search {
	const void *cache;
	bool found;
};

static void
search_visit(struct mag_cache *cache, void *arg)
{
	struct search *search = arg;

	search->found |= cache == search->cache;
}

bool
pool_update(void *state)
{
	const struct rte_mempool *mp = state;
	struct search search = {.cache = mp->pool_data};

	/* The plugin that is measured may be another one by the same name. */
	if (strcmp(rte_mempool_get_ops(mp->ops_index)->name, "magazine") != 0 ||
	    mag_cache_walk(search_visit, &search) != 0 || !search.found)
		return false;
	mag_cache_update(mp->pool_data);
	return true;
}

uint64_t
pool_lost(void *state)
{
	struct rte_mempool *mp = state;

	return mp->populated_size - (uint64_t)rte_mempool_avail_count(mp);
}

void
pool_drop(void *state)
{
	rte_mempool_free(state);
}
