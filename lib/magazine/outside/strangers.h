/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_STRANGERS_H
#define MAG_STRANGERS_H

/*
 * Secondary processes that use a pool without its driver.
 *
 * rte_mempool knows handlers by their number in each process's own table. A process that did not
 * load the driver, or loaded plugins in another order, calls another handler with a pool of ours,
 * or none. Nothing of ours runs there, so all that can be seen is that objects leave and do not
 * come back.
 */

#include "cache/cache.h"

/**
 * At each update of a pool, under the list's lock: says once when strangers may be why it has no
 * objects.
 */
void mag_strangers_look(struct mag_cache *cache);

#endif /* MAG_STRANGERS_H */
