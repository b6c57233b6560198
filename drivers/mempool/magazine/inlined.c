/* SPDX-License-Identifier: BSD-3-Clause */

/* What rte_mempool_magazine_inline.h leaves over. */

#include <rte_branch_prediction.h>
#include <rte_mempool.h>

#include "lookup.h"
#include "rte_mempool_magazine_inline.h"

_Static_assert(MAG_LAYOUT == 2, "rte_mempool_magazine_number_2 is of layout 2");

int32_t rte_mempool_magazine_number_2 = -1;

int
rte_mempool_magazine_get_slow(struct rte_mempool *mp, void **objects, unsigned int n)
{
	int ret;

	if (magazine_has(mp)) {
		ret = rte_mempool_generic_get(mp, objects, n, NULL);
		if (likely(ret == 0) || mp->cache_size == 0)
			return ret;
		/* What others have put by rte_mempool may be in this lcore's cache. */
	}
	return rte_mempool_get_bulk(mp, objects, n);
}

void
rte_mempool_magazine_put_slow(struct rte_mempool *mp, void *const *objects, unsigned int n)
{
	if (magazine_has(mp))
		rte_mempool_generic_put(mp, objects, n, NULL);
	else
		rte_mempool_put_bulk(mp, objects, n);
}
