/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_BLOCKS_H
#define MAG_BLOCKS_H

/*
 * Where the blocks of a region begin: whole segments that adjoin each other are a run, and a block
 * begins at each multiple of their length in it. So contiguous blocks are known by their addresses,
 * without the slab layer and its lock.
 *
 * Written under the region's lock, one run after the other, and read without it by whoever has an
 * object: a run that has been told of only grows, and the object came to the reader by something
 * that orders the two. Runs beyond the last place are not told of: their blocks are served by the
 * slab layer alone. All are forgotten when the region forgets its memory.
 */

#include <stdint.h>

#include "base/counter.h"

/** Runs that can be told of. EAL's pages are one, or a few where they lie apart. */
#define MAG_BLOCKS_RUNS 16

struct mag_blocks {
	uint64_t span; /**< bytes of a block; 0: no run */
	uint32_t runs;
	struct {
		uintptr_t first, behind;
	} run[MAG_BLOCKS_RUNS];
};

/** A whole segment: they come by ascending addresses. Under the lock. */
void mag_blocks_add(struct mag_blocks *blocks, uintptr_t base, uint64_t span);
/** Address of the block that an object is in; 0: it is in none, or that is not told. */
uintptr_t mag_blocks_of(const struct mag_blocks *blocks, uintptr_t address);

#endif /* MAG_BLOCKS_H */
