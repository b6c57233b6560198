/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_CREATE_H
#define MAG_CREATE_H

/*
 * Steps of making a cache, of a library user or a mempool.
 */

#include <stdbool.h>

#include "cache/cache.h"

#define MAG_ALIGN_MIN 8

/** kind: "cache" or "pool", for log lines. False: rte_errno EINVAL. */
bool mag_create_name_is_good(const char *kind, const char *name);
/** A cache with a name, and all else zero. NULL: rte_errno ENOMEM. */
struct mag_cache *mag_create_begin(const char *kind, const char *name, int node);
/** The last steps; destroys what it cannot finish. NULL: rte_errno EBUSY or ENOMEM. */
struct mag_cache *mag_create_finish(struct mag_cache *cache, const char *kind);

#endif /* MAG_CREATE_H */
