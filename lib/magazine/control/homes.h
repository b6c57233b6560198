/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_HOMES_H
#define MAG_HOMES_H

/*
 * Homes are made, get into the table of their cache, and more memory for magazines.
 */

#include <stdint.h>

#include "cache/cache.h"

/** The first home, of a cache whose constant fields and type are set. 0 or -ENOMEM. */
int mag_homes_first(struct mag_cache *cache);
/**
 * A home for each part up to this one that has none, inside the perimeter. 0, -ENOMEM, or -EBUSY
 * when somebody stays in it.
 */
int mag_homes_make(struct mag_cache *cache, uint32_t part);
/** Memory for the magazines of those homes that asked for it. One thread at a time. */
void mag_homes_grow_arenas(struct mag_cache *cache);

#endif /* MAG_HOMES_H */
