/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_PERIMETER_H
#define MAG_PERIMETER_H

/*
 * The resize perimeter of a cache: one thread at a time changes the type, turns slots off or adds a
 * home.
 */

#include <stdbool.h>
#include <stdint.h>

#include "cache/cache.h"

/** Enter; false when somebody else is inside, and with wait stays for 6 s. */
bool mag_perimeter_enter(struct mag_cache *cache, bool wait);
/** The same; false when somebody else stays for so long. */
bool mag_perimeter_enter_within(struct mag_cache *cache, uint64_t us);
/** Enter in the place of a thread of this process, which is dead; false: none of it is inside. */
bool mag_perimeter_take_over(struct mag_cache *cache, uint32_t process);
void mag_perimeter_leave(struct mag_cache *cache);

#endif /* MAG_PERIMETER_H */
