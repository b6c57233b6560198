/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAGAZINE_LOOKUP_H
#define MAGAZINE_LOOKUP_H

/*
 * Pools by their name, and what is behind them: the driver's public functions.
 */

#include <stdbool.h>

#include <rte_mempool.h>

/** Does this process call magazine with that pool? */
bool magazine_has(const struct rte_mempool *mp);

#endif /* MAGAZINE_LOOKUP_H */
