/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAGAZINE_LOOKUP_H
#define MAGAZINE_LOOKUP_H

/*
 * Pools by their name, and what is behind them: the driver's public functions.
 */

#include <stdbool.h>

#include <rte_mempool.h>

#include "door/door.h"

/** Whoever has another handler under a pool's number has loaded others, or in another order. */
#define MAGAZINE_SAME_PLUGINS "load the same plugins in the same order (-d) in all processes"

/** Does this process call magazine with that pool? */
bool magazine_has(const struct rte_mempool *mp);
/** Why a pool of magazine's number cannot be used: an errno, and a log line; 0: it can be. */
int magazine_wrong(const struct rte_mempool *mp, enum mag_door_kind kind);

#endif /* MAGAZINE_LOOKUP_H */
