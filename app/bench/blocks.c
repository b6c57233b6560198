/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Contiguous blocks on one lcore, for counting their instructions.
 */

#include <stdio.h>
#include <stdlib.h>

#include <rte_branch_prediction.h>
#include <rte_common.h>
#include <rte_mempool.h>

#include "blocks.h"

#define BLOCK 32

void
blocks_op(void *target, void **objects, unsigned int bulk)
{
	struct rte_mempool *mp = target;
	size_t stride = mp->header_size + mp->elt_size + mp->trailer_size;
	void *all[BLOCK];
	unsigned int i, n;

	if (unlikely(rte_mempool_get_contig_blocks(mp, objects, bulk) != 0)) {
		fprintf(stderr, "%s: get of %u blocks failed\n", mp->name, bulk);
		exit(EXIT_FAILURE);
	}
	for (i = 0; i < bulk; i++) {
		for (n = 0; n < BLOCK; n++)
			all[n] = RTE_PTR_ADD(objects[i], n * stride);
		rte_mempool_put_bulk(mp, all, BLOCK);
	}
}
