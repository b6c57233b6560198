/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_POOL_H
#define BENCH_POOL_H

/*
 * Peers that are mempools: every handler under mempool caches of 0, 250 and 512 objects.
 */

#include <rte_mempool.h>

#include "cell.h"
#include "inlined.h"

/** Base of all ratios among pool_peers, and among pipe_peers. */
#define POOL_BASE 0

extern const struct peer pool_peers[];
/** The same, and inlined requests. */
extern const struct peer own_peers[];
/** The same, and what a pipe costs without a pool: one producer only. */
extern const struct peer pipe_peers[];

/** There once a peer with inlined requests has been made. */
extern const struct inlined *pool_inlined;

/** A pattern's make, for struct rte_mempool. */
void *pool_make(const struct cell *cell, const struct peer *peer, char why[BENCH_WHY]);
/** The same with a number of objects and a size of one's own. */
struct rte_mempool *pool_make_sized(const struct peer *peer, unsigned int objects,
				    unsigned int object_size, char why[BENCH_WHY]);
bool pool_update(void *state);
uint64_t pool_lost(void *state);
void pool_drop(void *state);

#endif /* BENCH_POOL_H */
