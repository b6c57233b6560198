/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include <rte_common.h>

#include "stores/snapshot.h"

/* Of an object of a pool are copied, at the most: bytes before it, its head, and an mbuf's data. */
#define FRONT 40u
#define HEAD 128u
#define DATA 64u

_Static_assert(FRONT + HEAD + DATA == MAG_SNAPSHOT_COPY, "all three have room");

void
mag_snapshot_layout(struct mag_region *region, uint32_t header, uint32_t unused, uint32_t trailer,
		    bool is_mbuf, uint32_t data)
{
	uint32_t size = RTE_ALIGN_FLOOR(region->object_size, 8u);
	struct mag_span *span = region->span;

	/* Without data of its own the head goes on. */
	span[0] = (struct mag_span){0, RTE_MIN(size, data != 0 ? HEAD : HEAD + DATA)};
	span[1] = (struct mag_span){-(int32_t)header, RTE_ALIGN_FLOOR(RTE_MIN(unused, FRONT), 8u)};
	span[2] = (struct mag_span){0, 0};
	if (data != 0 && data < size)
		span[2] = (struct mag_span){(int32_t)data,
					    RTE_ALIGN_FLOOR(RTE_MIN(size - data, DATA), 8u)};
	region->behind = trailer >= MAG_SNAPSHOT_BEHIND ? MAG_SNAPSHOT_BEHIND : 0;
	region->has_mbufs = is_mbuf;
}

void
mag_snapshot_take(const struct mag_region *region, const void *object,
		  struct mag_snapshot *snapshot)
{
	const struct mag_span *span = region->span;
	uint8_t *to = snapshot->copy;
	unsigned int i;

	for (i = 0; i < MAG_SPANS; to += span[i++].bytes)
		memcpy(to, (const char *)object + span[i].offset, span[i].bytes);
	/* release: a process that dies before this has made no snapshot */
	MAG_STORE(&snapshot->state, MAG_SNAPSHOT_COPIED, MAG_RELEASE);
}

bool
mag_snapshot_is_all(const void *bytes, size_t n, uint8_t value)
{
	const uint8_t *first = bytes;

	return *first == value && memcmp(first, first + 1, n - 1) == 0;
}

bool
mag_snapshot_holds(const struct mag_region *region, const void *object,
		   const struct mag_snapshot *snapshot)
{
	const struct mag_span *span = region->span;
	const uint8_t *from = snapshot->copy;
	unsigned int i;

	if (snapshot->state != MAG_SNAPSHOT_COPIED)
		return mag_snapshot_is_all(
			object, region->object_size,
			snapshot->state == MAG_SNAPSHOT_FILLED ? MAG_SNAPSHOT_FILL : 0);
	for (i = 0; i < MAG_SPANS; from += span[i++].bytes)
		if (memcmp(from, (const char *)object + span[i].offset, span[i].bytes) != 0)
			return false;
	return true;
}
