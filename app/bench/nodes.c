/* SPDX-License-Identifier: BSD-3-Clause */
#include "nodes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_common.h>

#include "cache/cache.h"

#define PAGE 4096
/* Objects of a cache line with rte_mempool's header: 1024, and more than pools here have. */
#define FAR_BYTES (64 * PAGE)
#define NEAR_BYTES (512 * PAGE)

static char far_memory[FAR_BYTES] __rte_aligned(PAGE);
static char near_memory[NEAR_BYTES] __rte_aligned(PAGE);

/* In the place of libnuma's: the library asks this of memory that EAL does not know. */
long move_pages(int pid, unsigned long count, void **pages, const int *nodes, int *status,
		int flags);

long
move_pages(int pid, unsigned long count, void **pages, const int *nodes, int *status, int flags)
{
	const char *page;

	RTE_SET_USED(pid);
	RTE_SET_USED(nodes);
	RTE_SET_USED(flags);
	for (; count > 0; count--, pages++, status++) {
		page = *pages;
		*status = page >= far_memory && page < far_memory + FAR_BYTES ? NODES_FAR :
										NODES_NEAR;
	}
	return 0;
}

bool
nodes_are_of(const char *name)
{
	return strstr(name, "/nodes") != NULL;
}

int
nodes_populate(struct rte_mempool *mp)
{
	int ret = rte_mempool_populate_iova(mp, far_memory, RTE_BAD_IOVA, FAR_BYTES, NULL, NULL);

	if (ret <= 0)
		return ret;
	ret = rte_mempool_populate_iova(mp, near_memory, RTE_BAD_IOVA, NEAR_BYTES, NULL, NULL);
	if (ret <= 0 || mag_cache_homes(mp->pool_data) != NULL)
		return ret;
	/* Else figures of one node would go by the name of two. */
	fprintf(stderr, "%s: has one node\n", mp->name);
	return -ENOTSUP;
}
