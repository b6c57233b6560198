/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_UPDATE_H
#define MAG_UPDATE_H

/*
 * The update of one cache. It has two parts, since only the first one takes memory, which nobody
 * may who keeps EAL's end away (pass.h). Not more than one thread at a time updates a cache: the
 * resize perimeter and the locks of the depots see to it.
 */

#include <stdbool.h>

#include "cache/cache.h"

/** The table of addresses of some home has become too small or too large. */
bool mag_update_wants_tables(struct mag_cache *cache);

/** Tables of a size that fits; a new one comes from EAL's heap. */
void mag_update_tables(struct mag_cache *cache);

/**
 * All the rest: magazines of another size where lcores met at the depot, the working set, and the
 * reap of what the last interval did not need.
 *
 * @param chains
 *   Chains of magazines that are reaped of each list; what is left over is noted in the cache
 *   (reaping). 0: no reap.
 */
void mag_update_magazines(struct mag_cache *cache, unsigned int chains);

#endif /* MAG_UPDATE_H */
