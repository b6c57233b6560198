/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_ELASTIC_GROW_H
#define MAG_ELASTIC_GROW_H

/*
 * Segments of elastic regions come and go, each with its mirrors and with the segment of the mirror
 * region.
 *
 * A segment has an index, the lowest that is not taken when it comes. It is taken before there is
 * memory, and given back when the memory has gone.
 */

#include <stdbool.h>
#include <stdint.h>

#include "parts/segment.h"
#include "stores/region.h"

/**
 * Take one segment of a part from the system: 0, -ENOSPC, -ENOMEM, or -EPERM: another process has
 * its pages.
 */
int mag_elastic_grow(struct mag_region *region, uint32_t part);
/**
 * So many segments of each part, or fewer; error: the last one, as a positive errno. Returns how
 * many.
 */
unsigned int mag_elastic_grow_parts(struct mag_region *region, unsigned int segments, int *error);
/**
 * Give free segments of a part back, up to max of them, until keep are left. Returns how many the
 * system took.
 */
uint32_t mag_elastic_trim_part(struct mag_region *region, uint32_t part, uint32_t keep,
			       uint32_t max);
/**
 * Give free segments of all parts back, all but keep of each.
 *
 * @param spare
 *   Only those that were free all the time since the last call.
 * @return
 *   How many the system took.
 */
uint32_t mag_elastic_trim(struct mag_region *region, uint32_t keep, bool spare);
/**
 * Nothing is given back: MONOLITHIC, or it or its mirror is PERSISTENT. A segment goes with its
 * mirror.
 */
bool mag_elastic_is_kept(const struct mag_region *region);

/** The segment of the mirror region, if there is one, that lives with this one: 0, or -ENOMEM. */
int mag_elastic_second_take(struct mag_region *region, struct mag_segment *segment);
void mag_elastic_second_give(struct mag_region *region, struct mag_segment *segment);

#endif /* MAG_ELASTIC_GROW_H */
