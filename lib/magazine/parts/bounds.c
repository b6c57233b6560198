/* SPDX-License-Identifier: BSD-3-Clause */
#include <rte_bitops.h>
#include <rte_common.h>

#include "parts/bounds.h"

/* Less than what EAL sets aside for the memory of one node, and as much as most pools need. */
#define NEAR_BITS_MIN 36

static void
word_set(uint64_t word[4], uint64_t value)
{
	unsigned int i;

	for (i = 0; i < 4; i++)
		MAG_STORE(&word[i], value, MAG_RELAXED);
}

void
mag_bounds_clear(struct mag_bounds *bounds)
{
	word_set(bounds->near.above, UINT64_MAX);
	word_set(bounds->near.base, MAG_BOUNDS_NOTHING);
	bounds->low = bounds->high = 0;
}

/* Half as long, until it has none of these addresses: then it is over before the first one. */
static void
near_keep_off(struct mag_near *near, uintptr_t first, uintptr_t last)
{
	uint64_t above = MAG_LOAD(&near->above[0], MAG_RELAXED);
	uint64_t base = MAG_LOAD(&near->base[0], MAG_RELAXED);

	while (above != UINT64_MAX && first <= base + ~above && last >= base)
		above |= above >> 1;
	word_set(near->above, above);
}

void
mag_bounds_add(struct mag_bounds *bounds, uint32_t parts, uint32_t part, uintptr_t first,
	       uintptr_t last)
{
	uint32_t i;

	for (i = 0; i < parts; i++)
		if (i != part)
			near_keep_off(&bounds[i].near, first, last);
	bounds += part;
	bounds->low = bounds->high == 0 ? first : RTE_MIN(bounds->low, first);
	bounds->high = RTE_MAX(bounds->high, last + 1);
}

/* Where there is no other part's memory around that of a part; false: there is some within. */
static bool
room_around(const struct mag_bounds *bounds, uint32_t parts, uint32_t part, uintptr_t *low,
	    uintptr_t *high)
{
	const struct mag_bounds *own = &bounds[part], *other;

	*low = 0;
	*high = UINTPTR_MAX >> 1;
	for (other = bounds; other < bounds + parts; other++) {
		if (other == own || other->high == 0)
			continue;
		if (other->high <= own->low)
			*low = RTE_MAX(*low, other->high);
		else if (other->low >= own->high)
			*high = RTE_MIN(*high, other->low);
		else
			return false;
	}
	return true;
}

void
mag_bounds_open(struct mag_bounds *bounds, uint32_t parts, uint32_t part)
{
	struct mag_bounds *own = &bounds[part];
	uintptr_t low, high, base = own->low;
	uint64_t above = UINT64_MAX;
	uint32_t bits;

	if (mag_bounds_are_known(own) || own->high == 0)
		return;
	if (room_around(bounds, parts, part, &low, &high)) {
		bits = RTE_MAX(rte_log2_u64(own->high - own->low), (uint32_t)NEAR_BITS_MIN);
		bits = RTE_MIN(bits, (uint32_t)rte_fls_u64(high - low) - 1);
		above <<= bits;
		base = RTE_MIN(base, high - (UINT64_C(1) << bits));
	}
	/* Objects are at multiples of 8, and none is at the byte before. */
	word_set(own->near.base, base - 1);
	word_set(own->near.above, above);
}
