/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_BLOCKS_H
#define BENCH_BLOCKS_H

#include <rte_mempool.h>

/** Options of a mempool with blocks of 32 objects, and flags: small pages are no hindrance. */
#define BLOCKS_OPTIONS "block=32"
#define BLOCKS_FLAGS RTE_MEMPOOL_F_NO_IOVA_CONTIG

/** A bulk of blocks is got from a mempool, and put block by block; ends the program if it fails. */
void blocks_op(void *target, void **objects, unsigned int bulk);

#endif /* BENCH_BLOCKS_H */
