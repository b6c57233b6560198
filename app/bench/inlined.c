/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>

#include <rte_branch_prediction.h>

#include "inlined.h"
#include "own.h"
#include "rte_mempool_magazine_inline.h"

extern const struct inlined inlined;

static bool
is_inlined(const struct rte_mempool *mp)
{
	return rte_mempool_magazine_is_inlined(mp);
}

static void
failed(const struct rte_mempool *mp, unsigned int bulk)
{
	fprintf(stderr, "%s: get of %u failed\n", mp->name, bulk);
	exit(EXIT_FAILURE);
}

static void
op(void *target, void **objects, unsigned int bulk)
{
	struct rte_mempool *mp = target;

	if (bulk == 1) {
		objects[0] = rte_mempool_magazine_get(mp);
		if (unlikely(objects[0] == NULL))
			failed(mp, 1);
		rte_mempool_magazine_put(mp, objects[0]);
		return;
	}
	if (unlikely(rte_mempool_magazine_get_bulk(mp, objects, bulk) != 0))
		failed(mp, bulk);
	rte_mempool_magazine_put_bulk(mp, objects, bulk);
}

static void
getput(void *mp, struct turn *turn)
{
	own_getput(mp, turn, rte_mempool_magazine_get_bulk, rte_mempool_magazine_put_bulk);
}

static void
hold(void *mp, struct turn *turn)
{
	own_hold(mp, turn, rte_mempool_magazine_get_bulk, rte_mempool_magazine_put_bulk);
}

const struct inlined inlined = {is_inlined, op, getput, hold};
