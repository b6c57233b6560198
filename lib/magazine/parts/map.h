/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_MAP_H
#define MAG_MAP_H

/*
 * Where the parts of a region begin: the memory of each of its NUMA nodes.
 *
 * Addresses from begin on, up to the next begin, are of the part; those below the first one are of
 * part 0. A map never changes once it is published. One that is replaced is kept, for threads that
 * still look at it, until all of them are freed.
 */

#include <stdatomic.h>
#include <stdint.h>

#include "mag_memtag.h"

struct mag_map {
	struct mag_map *older;
	uint32_t count;
	struct mag_map_begin {
		uintptr_t begin;
		uint32_t part;
	} at[];
};

/** Part of an address, which may have a tag. */
static inline uint32_t
mag_map_part(const struct mag_map *map, const void *address)
{
	uintptr_t at = mag_memtag_strip((uintptr_t)address);
	uint32_t low = 0, high, middle;

	for (high = map->count; low < high;) {
		middle = (low + high) / 2;
		if (map->at[middle].begin <= at)
			low = middle + 1;
		else
			high = middle;
	}
	return low == 0 ? 0 : map->at[low - 1].part;
}

/** A map with room for so many begins, and none yet; NULL: no memory. */
struct mag_map *mag_map_alloc(uint32_t begins, int node);
/**
 * A copy of a map in which the addresses from first to last are of the part.
 *
 * @param old
 *   NULL: all addresses are of part 0. Nobody else replaces it meanwhile.
 * @param with
 *   Filled with the copy, or with old if that says so already.
 * @return
 *   0, or -ENOMEM.
 */
int mag_map_with(struct mag_map *old, uintptr_t first, uintptr_t last, uint32_t part, int node,
		 struct mag_map **with);
/** Threads that get an object of a part later find the part in the map. */
void mag_map_publish(struct mag_map *_Atomic *published, struct mag_map *map);
/** Free the map and all that it replaced: nobody looks at one any more. */
void mag_map_forget(struct mag_map *_Atomic *published);

#endif /* MAG_MAP_H */
