/* SPDX-License-Identifier: BSD-3-Clause */
#include "stores/blocks.h"

void
mag_blocks_add(struct mag_blocks *blocks, uintptr_t base, uint64_t span)
{
	uint32_t runs = blocks->runs;

	if (runs > 0 && blocks->run[runs - 1].behind == base) {
		MAG_STORE(&blocks->run[runs - 1].behind, base + span, MAG_RELAXED);
		return;
	}
	if (runs == MAG_BLOCKS_RUNS)
		return;
	if (runs == 0)
		blocks->span = span;
	blocks->run[runs].first = base;
	blocks->run[runs].behind = base + span;
	/* release: who counts the run sees its ends; pairs with mag_blocks_of() */
	MAG_STORE(&blocks->runs, runs + 1, MAG_RELEASE);
}

uintptr_t
mag_blocks_of(const struct mag_blocks *blocks, uintptr_t address)
{
	uint32_t runs = MAG_LOAD(&blocks->runs, MAG_ACQUIRE), i;
	uintptr_t at;

	for (i = 0; i < runs; i++) {
		at = address - blocks->run[i].first;
		if (at < MAG_STAT(blocks->run[i].behind) - blocks->run[i].first)
			return address - at % blocks->span;
	}
	return 0;
}
