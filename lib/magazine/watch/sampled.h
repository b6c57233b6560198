/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_SAMPLED_H
#define MAG_SAMPLED_H

/*
 * Sampled objects (samples.h) on their way. Each get and each put of one is recorded with its
 * stack; a put of one that is free is refused; what was written to one while it was free is noticed
 * when it is handed out.
 *
 * The pool has no fast path: the slow one looks at the addresses of all objects, and then enters
 * the slot as the fast one does (guard.h).
 */

#include "cache/cache.h"

/** Sampled ones of n objects are a user's from now on. */
void mag_sampled_out(struct mag_cache *cache, void *const *objects, unsigned int n);
/** n objects come back: how many of them, up to the first sampled one that is free. */
unsigned int mag_sampled_back(const struct mag_cache *cache, void *const *objects, unsigned int n);

#endif /* MAG_SAMPLED_H */
