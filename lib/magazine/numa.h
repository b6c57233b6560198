/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_NUMA_H
#define MAG_NUMA_H

/*
 * Nodes, distances, and metadata memory with a place.
 *
 * All metadata of the allocator (caches, slots, magazines, bufctls) comes from
 * mag_meta_zalloc(): EAL's shared heap, mapped at the same address in every
 * process of the DPDK application, never an external heap. This is also where
 * faults are injected (spec 14).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAG_NODE_ANY (-1)

/** Number of node ids of this machine: the highest node id + 1, at least 1. */
int mag_numa_nodes(void);

/** Distance of two nodes as the firmware tells it: 10 = local. */
int mag_numa_distance(int from, int to);

/** Node that holds the page at addr, asked of the kernel; MAG_NODE_ANY if it is not known. */
int mag_numa_node_of(const void *addr);

/** Pages that nobody has touched come from this node, if there is one and the kernel lets us: else a log line says so once. */
void mag_numa_bind(void *addr, size_t bytes, int node);

/**
 * Metadata memory, zeroed, aligned to 128 bytes.
 *
 * @param node
 *   Preferred node; a heap id of an external heap counts as MAG_NODE_ANY.
 * @return
 *   NULL when no node has the memory, or when a fault is injected.
 */
void *mag_meta_zalloc(size_t size, int node);
/** The same, aligned to another power of two, at least to a cache line. */
void *mag_meta_zalloc_aligned(size_t size, unsigned int align, int node);
void mag_meta_free(void *addr);

/** Shall this allocation of backing memory fail? For those that do not come from mag_meta_zalloc(). */
bool mag_fault_strikes(void);
/** Fail the nth allocation from now (1 = the next), once; 0 switches it off. */
void mag_fault_nth(unsigned int nth);
/** Allocations asked for since mag_fault_nth(), failed ones included. */
unsigned int mag_fault_asked(void);
/**
 * Mean time between failures: allocations fail at random, on average every
 * mtbf_ms. 0 = off, else 2 ms to 3,600,000 ms.
 *
 * @return
 *   0, or -EINVAL with nothing changed.
 */
int mag_fault_mtbf(unsigned int mtbf_ms, uint64_t seed);
/** Allocations that were made to fail, one way or the other, since the library was loaded. */
unsigned int mag_fault_struck(void);

#endif /* MAG_NUMA_H */
