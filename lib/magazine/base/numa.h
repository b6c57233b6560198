/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_NUMA_H
#define MAG_NUMA_H

/* NUMA nodes: how many there are, how far apart, and which of them a page of memory is on. */

#include <stddef.h>

#include "mag_region.h"

/** Number of node ids of this machine: the highest node id + 1, at least 1. */
int mag_numa_nodes(void);

/** Distance of two nodes in the firmware's units: 10 = local. */
int mag_numa_distance(int from, int to);

/** Node that holds the page at addr, asked of the kernel; MAG_NODE_ANY if it is not known. */
int mag_numa_node_of(const void *addr);

/**
 * Let pages that nobody has touched yet come from this node. Nothing happens when there is no such
 * node; when the kernel refuses, one log line of the process says so.
 */
void mag_numa_bind(void *addr, size_t bytes, int node);

#endif /* MAG_NUMA_H */
