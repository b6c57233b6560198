/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Contiguous blocks: a bulk of them is got, the objects of each are put.
 */

#include <stdio.h>

#include "pattern.h"
#include "pool.h"

#define OBJECTS_MAX 1024

/* clang-format off */
const struct peer contig_peers[] = {
	{"bucket/cache:0", "bucket", NULL, 0, false},
	{"magazine/cache:0", "magazine", NULL, 0, false},
	{"magazine,rounds=510/cache:0", "magazine", "rounds=510", 0, false},
	{"ring_mp_mc/cache:0", "ring_mp_mc", NULL, 0, false},
	{"stack/cache:0", "stack", NULL, 0, false},
	{NULL, NULL, NULL, 0, false},
};
/* clang-format on */

void *
contig_make(const struct cell *cell, const struct peer *peer, char why[BENCH_WHY])
{
	struct rte_mempool *mp = pool_make(cell, peer, why);
	struct rte_mempool_info info = {.contig_block_size = 0};

	if (mp == NULL)
		return NULL;
	if (rte_mempool_get_ops(mp->ops_index)->dequeue_contig_blocks != NULL &&
	    rte_mempool_ops_get_info(mp, &info) == 0 && info.contig_block_size > 0 &&
	    info.contig_block_size <= OBJECTS_MAX)
		return mp;
	snprintf(why, BENCH_WHY, "handler %s has no contiguous blocks (of up to %u objects)",
		 peer->handler, OBJECTS_MAX);
	rte_mempool_free(mp);
	return NULL;
}

static void
put_block(struct rte_mempool *mp, char *first, unsigned int objects)
{
	size_t stride = mp->header_size + mp->elt_size + mp->trailer_size;
	void *all[OBJECTS_MAX];
	unsigned int i;

	for (i = 0; i < objects; i++)
		all[i] = first + i * stride;
	rte_mempool_put_bulk(mp, all, objects);
}

void
turn_contig(void *state, struct turn *turn)
{
	unsigned int blocks = turn->cell->bulk, i;
	struct rte_mempool *mp = state;
	struct rte_mempool_info info;

	rte_mempool_ops_get_info(mp, &info);
	while (turn->moved < turn->quota && !turn_late(turn)) {
		if (unlikely(rte_mempool_get_contig_blocks(mp, turn->objects, blocks) != 0)) {
			turn->failed++;
			continue;
		}
		for (i = 0; i < blocks; i++)
			put_block(mp, turn->objects[i], info.contig_block_size);
		turn->moved += (uint64_t)blocks * info.contig_block_size;
	}
}
