/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_ELASTIC_MEMORY_H
#define MAG_ELASTIC_MEMORY_H

/*
 * The memory of a segment of an elastic region: an element of EAL's heap, a memzone where it has to
 * be contiguous in I/O memory, or ordinary pages at addresses that were reserved when the region
 * was made. May be called without a lock.
 */

#include <stdbool.h>
#include <stdint.h>

#include "parts/segment.h"
#include "stores/region.h"

/** Reserve addresses for the ordinary pages of all parts: 0, or -ENOMEM. */
int mag_elastic_pages_reserve(struct mag_region *region);
/** Give these addresses back. */
void mag_elastic_pages_release(struct mag_region *region);
/** Bytes from the beginning of a segment to that of the next one, at the least. */
uint64_t mag_elastic_pitch(const struct mag_region *region);
/** Memory for the segment of an index; NULL: the system has none, or a fault is injected. */
void *mag_elastic_memory_take(const struct mag_region *region, uint32_t part, uint32_t index);
/**
 * Give the memory of a segment back. False: the system has not taken it; pages then stay for the
 * next segment of this index.
 */
bool mag_elastic_memory_give(const struct mag_region *region, struct mag_segment *segment);

#endif /* MAG_ELASTIC_MEMORY_H */
