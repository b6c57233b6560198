/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_RECOVER_H
#define MAG_RECOVER_H

/*
 * What a process that died has left in a cache: locks, its threads' slots, magazines that no slot
 * and no list names, segments on their way, objects that are counted as in transit. The same of a
 * thread that ended in a callback, whose process lives: but it has left no locks, and its slot.
 */

#include <stdbool.h>
#include <stdint.h>

#include "cache/cache.h"

/** No process has died, but a thread of this one has ended with something in hand (hands.h). */
#define MAG_RECOVER_THREAD 0

/**
 * Put the cache in order after a process that has died: all that it had in it can be had again, but
 * for the objects that it held itself as a user, those of the operation that it died in included.
 *
 * @return
 *   False: some living thread stayed where it kept this from looking; to be called again later.
 */
bool mag_recover(struct mag_cache *cache, uint32_t process);

#endif /* MAG_RECOVER_H */
