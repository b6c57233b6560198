/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_ADOPT_H
#define MAG_ADOPT_H

/*
 * Adopted memory: objects that somebody else laid out (specification, Regions).
 *
 * The addresses of a chunk are cut into runs of objects at a constant distance, and these into
 * segments of `block` objects; what is left of a run is a shorter segment, a tail. The records of
 * all segments of a call are one allocation, made before anything is changed: a call adopts all
 * objects or none.
 */

#include <stdint.h>

#include "stores/region.h"

/**
 * As mag_region_adopt().
 *
 * @param tell
 *   Called when nothing can fail any more, and nobody can have an object yet. NULL: nobody is told.
 */
int mag_adopt(struct mag_region *region, void *const *objects, uint32_t count, int node,
	      void (*tell)(void *arg), void *arg);

#endif /* MAG_ADOPT_H */
