/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_RECOVER_H
#define MAG_RECOVER_H

/*
 * What a process that died has left in a cache: its threads' slots, with magazines in them.
 *
 * A slot whose owner died outside is like one without an owner: its magazines can be stolen, are
 * purged with those of others, and are the next owner's. One whose owner died inside keeps `busy`:
 * visits to it are denied, since its fields may not belong together. Its number is never claimed
 * again, so that no owner finds it so.
 */

#include <stdbool.h>
#include <stdint.h>

#include "cache/cache.h"

/**
 * Are all slots of this process's threads in order? The process is dead.
 *
 * @return
 *   False: some owner died inside its slot.
 */
bool mag_recover_slots(const struct mag_cache *cache, uint32_t process);

#endif /* MAG_RECOVER_H */
