/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NUMA_MACHINE_H
#define NUMA_MACHINE_H

/*
 * What the tests of the guest stand on: the nodes as the machine was given them, pools with memory
 * of chosen nodes, and what EAL and the kernel say of a page.
 */

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_mempool.h>
#include <rte_memzone.h>

#include "../check.h"
#include "../common/start.h"
#include "../common/task.h"
#include "cache/cache.h"

#define NODES_MAX 8
#define SIZE 2048
/** Objects that a pool has on each of its nodes. */
#define COUNT 2048
/** Most objects of a pool of these tests. */
#define ALL_MAX (NODES_MAX * COUNT)

enum mode {
	MODE_DYNAMIC, /**< EAL takes hugepages when it needs them */
	MODE_LEGACY,  /**< it has LEGACY_MB of each node from the beginning */
	MODE_NO_HUGE,
};
#define LEGACY_MB 24

/** Number of nodes, and their distances, that the machine was given. */
extern unsigned int nodes;
extern int distances[NODES_MAX][NODES_MAX];
extern enum mode mode;

/** A pool with a chunk of COUNT objects of each of some nodes. */
struct pool {
	struct rte_mempool *mp;
	struct mag_cache *cache;
	unsigned int chunks;
	unsigned int count; /**< objects of all chunks */
	const struct rte_memzone *chunk[NODES_MAX];
};

/** Read the arguments, start EAL with all lcores; exits when that fails. */
void machine_start(int argc, char **argv);

/** The nth lcore of a node. */
unsigned int lcore_of(unsigned int node, unsigned int nth);

/** Nodes but those that a bit of without is set for, nearest to a node first; returns how many. */
unsigned int order_from(unsigned int node, uint32_t without, int order[NODES_MAX]);

/** Node of a page, by the kernel. */
int node_of(const void *address);
/** Nodes of many, by the kernel. */
void nodes_of(void *const *address, unsigned int n, int *node);
/** All pages of these bytes are on the node, by the kernel. */
void assert_lies_on(const void *address, size_t bytes, int node);

/** Free hugepages of a node, by the kernel. */
unsigned int huge_free(unsigned int node);
void huge_free_all(unsigned int free[NODES_MAX]);
void assert_huge_free(const unsigned int free[NODES_MAX]);

/** A pool without memory yet, whose objects fill a chunk without regard to pages. */
struct rte_mempool *pool_empty(unsigned int objects, int socket, unsigned int cache_size);
/** A pool with chunks of all nodes but those of without, in ascending order. */
void pool_make(struct pool *pool, int socket, unsigned int cache_size, uint32_t without);
void pool_free(struct pool *pool);
/** Node of an object, by the chunk that it is of. */
int pool_node_of(const struct pool *pool, const void *object);
/** Objects of a home: in magazines, depot and slabs. */
uint64_t home_available(const struct mag_home *home);
/** All records of a home and of its part of the region are on its node. */
void assert_home_lies_on(const struct mag_home *home, uint32_t part, int node);

#endif /* NUMA_MACHINE_H */
