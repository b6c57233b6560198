/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Contiguous blocks: a bulk of them is got, and their objects are put, block by block or mixed.
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

/* A bulk of blocks, as many objects at once as a block has: of one, or of all of them in turn. */
static void
put_blocks(struct rte_mempool *mp, char *const *first, unsigned int blocks, unsigned int objects,
	   bool mixed)
{
	size_t stride = mp->header_size + mp->elt_size + mp->trailer_size;
	unsigned int i, n, at = 0;
	void *all[OBJECTS_MAX];

	for (i = 0; i < blocks; i++) {
		for (n = 0; n < objects; n++, at++)
			all[n] = mixed ? first[at % blocks] + at / blocks * stride :
					 first[i] + n * stride;
		rte_mempool_put_bulk(mp, all, objects);
	}
}

static void
turn_blocks(struct rte_mempool *mp, struct turn *turn, bool mixed)
{
	unsigned int blocks = turn->cell->bulk;
	struct rte_mempool_info info;

	rte_mempool_ops_get_info(mp, &info);
	while (turn->moved < turn->quota && !turn_late(turn)) {
		if (unlikely(rte_mempool_get_contig_blocks(mp, turn->objects, blocks) != 0)) {
			turn->failed++;
			continue;
		}
		put_blocks(mp, (char *const *)turn->objects, blocks, info.contig_block_size, mixed);
		turn->moved += (uint64_t)blocks * info.contig_block_size;
	}
}

void
turn_contig(void *state, struct turn *turn)
{
	turn_blocks(state, turn, false);
}

void
turn_contig_mixed(void *state, struct turn *turn)
{
	turn_blocks(state, turn, true);
}
