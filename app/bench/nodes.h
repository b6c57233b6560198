/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NODES_H
#define NODES_H

/*
 * A pool with memory on two nodes, on a machine that may have one: what the kernel says of memory
 * is made up. Nothing else of the process asks it.
 */

#include <stdbool.h>

#include <rte_mempool.h>

/** That of an lcore on a machine with one node, and another one. */
#define NODES_NEAR 0
#define NODES_FAR 1

/** Has the pool or cache of this name memory on two nodes? */
bool nodes_are_of(const char *name);
/**
 * Far memory first, and then as much near memory as the pool has room for: one pool at a time.
 *
 * @return
 *   Objects that were added at last, or what rte_mempool_populate_iova() says.
 */
int nodes_populate(struct rte_mempool *mp);

#endif /* NODES_H */
