/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_MARK_H
#define MAG_MARK_H

/*
 * Watermarks: who wants to know when free objects become few. The marks are in the listing of the
 * process that made the cache, as its functions are. A pass looks at a cache with marks ten times a
 * second: under the guard how much there is, and without it, since it may do whatever it likes with
 * memory, calls the function.
 */

#include <stdbool.h>
#include <stdint.h>

#include "cache/cache.h"

#define MAG_MARK_MS 100

/** Under the list's lock, of a cache with marks. True: there is something to tell. */
bool mag_mark_look(struct mag_cache *cache, uint64_t *available);
/** Then, without the guard. */
void mag_mark_tell(struct mag_cache *cache, uint64_t available);

#endif /* MAG_MARK_H */
