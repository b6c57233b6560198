/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAGAZINE_FIRST_H
#define MAGAZINE_FIRST_H

/*
 * Get and put as long as this process does not know that others know the driver by the same number.
 * Where they do not, as with plugins in another order, rte_mempool calls the driver with pools of
 * other handlers. So the first calls look at the pool's data: a get from such a pool is refused, a
 * put to it is lost, and one log line says so. When the primary process has the same number they
 * put the functions of path.h into their own place, and cost nothing from then on.
 */

#include <stdbool.h>

#include <rte_mempool.h>

/** Take the place of get and put. Before the ops are registered. */
void magazine_first_init(struct rte_mempool_ops *ops);
/** The entry of rte_mempool's table. */
void magazine_first_registered(struct rte_mempool_ops *ops);
/**
 * Do others know the driver by the same number? From the first true on get and put are fast, and
 * can be inlined.
 */
bool magazine_agree(void);

#endif /* MAGAZINE_FIRST_H */
