/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <limits.h>
#ifdef MAG_LIBNUMA
#include <numa.h>
#include <numaif.h>
#endif
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include <rte_common.h>

#include "base/log.h"
#include "base/numa.h"

#ifdef MAG_LIBNUMA

#define NODE_BITS (CHAR_BIT * sizeof(unsigned long))

int
mag_numa_nodes(void)
{
	return numa_available() < 0 ? 1 : numa_max_node() + 1;
}

int
mag_numa_distance(int from, int to)
{
	int distance = numa_available() < 0 ? 0 : numa_distance(from, to);

	return distance > 0 ? distance : (from == to ? 10 : 20);
}

int
mag_numa_node_of(const void *addr)
{
	uintptr_t mask = ~((uintptr_t)sysconf(_SC_PAGESIZE) - 1);
	void *page = (void *)((uintptr_t)addr & mask);
	int node = MAG_NODE_ANY;

	if (move_pages(0, 1, &page, NULL, &node, 0) != 0 || node < 0)
		return MAG_NODE_ANY;
	return node;
}

void
mag_numa_bind(void *addr, size_t bytes, int node)
{
	static _Atomic bool said;
	unsigned long nodes[RTE_MAX_NUMA_NODES / NODE_BITS + 1] = {0};

	if (node < 0 || node >= RTE_MAX_NUMA_NODES || numa_available() < 0)
		return;
	nodes[(size_t)node / NODE_BITS] = 1ul << (size_t)node % NODE_BITS;
	/* The kernel takes one bit less than it is told of. */
	if (mbind(addr, bytes, MPOL_BIND, nodes, RTE_DIM(nodes) * NODE_BITS, 0) != 0 &&
	    !atomic_exchange_explicit(&said, true, memory_order_relaxed))
		MAG_LOG(WARNING,
			"memory for node %d lies wherever it is first used (mbind: %s): in a "
			"container, allow mbind, or give it CAP_SYS_NICE",
			node, strerror(errno));
}

#else /* DPDK without libnuma knows one node. */

int
mag_numa_nodes(void)
{
	return 1;
}

int
mag_numa_distance(int from, int to)
{
	return from == to ? 10 : 20;
}

int
mag_numa_node_of(const void *addr)
{
	RTE_SET_USED(addr);
	return MAG_NODE_ANY;
}

void
mag_numa_bind(void *addr, size_t bytes, int node)
{
	RTE_SET_USED(addr);
	RTE_SET_USED(bytes);
	RTE_SET_USED(node);
}

#endif
