/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAGAZINE_PATH_H
#define MAGAZINE_PATH_H

/*
 * Get and put: from the loaded magazine, and then from both magazines of the lcore.
 *
 * There are two forms of them, from one source: one that copies pointers by the registers of the
 * compiler's options, which a distribution has set for its oldest CPU, and one for registers of 32
 * bytes. Which one a process takes is decided by its CPU, when the driver is loaded; the data is
 * the same.
 */

#include <rte_mempool.h>

/** Fill in enqueue and dequeue, in the form for this CPU. Before the ops are registered. */
void magazine_path_init(struct rte_mempool_ops *ops);

/** Where both magazines do not suffice. */
int magazine_enqueue_slow(struct rte_mempool *mp, void *const *objects, unsigned int n);
int magazine_dequeue_slow(struct rte_mempool *mp, void **objects, unsigned int n);

#endif /* MAGAZINE_PATH_H */
