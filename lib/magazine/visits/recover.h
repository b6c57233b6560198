/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_RECOVER_H
#define MAG_RECOVER_H

/*
 * What a process that died has left in a cache: its threads' slots, with magazines in them.
 *
 * A slot whose owner died outside is like one without an owner: its magazines can be stolen, are
 * purged with those of others, and are the next owner's. One whose owner died inside keeps `busy`,
 * and visits to it are denied. The number of rounds is the last that a get or a put writes, so the
 * slot is whole, and `busy` is cleared, unless its magazines were changing places (`torn`): then
 * fields may not belong together. Such a slot is left alone, and its number is never claimed again.
 */

#include <stdbool.h>
#include <stdint.h>

#include "cache/cache.h"

/**
 * Let go the slots of a dead process's threads.
 *
 * @return
 *   False: some slot is torn.
 */
bool mag_recover_slots(struct mag_cache *cache, uint32_t process);

#endif /* MAG_RECOVER_H */
