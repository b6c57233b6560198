/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_BOUNDS_H
#define MAG_BOUNDS_H

/*
 * Which addresses the parts of a region span, and which of them are of one part at a glance: its
 * struct mag_near, that owners of slots read without a lock (mag_inline.h).
 *
 * The words of a near are written under the region's lock:
 * - At first no address passes, whatever `above` is, since `base` is out of reach of all.
 * - `base` gets its value once, and `above` after it, when the first object of the part is put
 *   beside the fast path, which is when most memory has come. No memory of another part is there.
 * - From then on `above` only gets more bits: when memory of another part comes there, or all of
 *   them from the beginning where the parts lie among each other. With all of them no address
 *   passes, since `base` is none of an object.
 * Both begin anew when the region forgets all memory, which is when no owner is in a slot.
 *
 * So of the two words there is one at any time that may change, and either of its values lets only
 * addresses pass that are near: readers need no order. Memory of another part cannot be had before
 * `above` keeps it off, and whoever has an object of it reads that value or a later one, since the
 * object came to him by something that orders the two.
 *
 * Memory that comes later outside of a near is put beside the fast path. So a near is longer than
 * the memory: as much as EAL sets aside for one list of pages, where others leave so much room.
 */

#include <stdbool.h>
#include <stdint.h>

#include "mag_inline.h"

/** Of one part. */
struct mag_bounds {
	struct mag_near near;
	uintptr_t low, high; /**< of the first object, and behind that of the last; 0: no memory */
};

/** No memory. Nobody reads the near meanwhile. */
void mag_bounds_clear(struct mag_bounds *bounds);
/** The part has objects from first to last: before anybody can have one. */
void mag_bounds_add(struct mag_bounds *bounds, uint32_t parts, uint32_t part, uintptr_t first,
		    uintptr_t last);
/** Give a part that has memory its near, unless it has one. */
void mag_bounds_open(struct mag_bounds *bounds, uint32_t parts, uint32_t part);

#define MAG_BOUNDS_NOTHING (UINT64_C(1) << 63 | 1)

/** Has mag_bounds_open() been called, so that a further call changes nothing? */
static inline bool
mag_bounds_are_known(const struct mag_bounds *bounds)
{
	return MAG_LOAD(&bounds->near.base[0], MAG_RELAXED) != MAG_BOUNDS_NOTHING;
}

#endif /* MAG_BOUNDS_H */
