/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_ESTATE_H
#define MAG_ESTATE_H

/*
 * The pools that all processes share, whoever made them: when the maker dies, another process takes
 * them over.
 *
 * A list in shared memory, linked through the pools. Each store leaves a whole list, so that a
 * process which dies in it leaves one pool more or less. Those that only their maker can serve
 * (mag_cache.is_own) are not on it.
 *
 * The table of peers has how many pools on the list are a process's. The number may be too high for
 * a moment, and stays so after a death, but is never too low: a dead process's slots are not given
 * away before somebody has its pools. mag_estate_take() counts anew.
 *
 * In a debugger: estate->first, and mag_cache.next of each.
 */

#include <stdbool.h>
#include <stdint.h>

#include "cache/cache.h"

/** 0, or -ENOMEM. Before the first cache is made. */
int mag_estate_share(void);
/** Its maker's thread has the list of caches. */
void mag_estate_add(struct mag_cache *cache);
void mag_estate_remove(struct mag_cache *cache);
/**
 * Call take for each pool whose process is dead. When it returns true the pool is this process's.
 *
 * @return
 *   How many it took.
 */
unsigned int mag_estate_take(bool (*take)(struct mag_cache *cache));
/** This process has taken a dead one's pools over in another way. */
void mag_estate_recount(void);

#endif /* MAG_ESTATE_H */
