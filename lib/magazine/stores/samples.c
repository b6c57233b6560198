/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include <rte_bitops.h>
#include <rte_common.h>

#include "base/meta.h"
#include "stores/samples.h"

/*
 * Bytes of a free object that are copied, at the most: of an mbuf the header, the headroom and what
 * begins a packet.
 */
#define BYTES_MAX 512u
/* Places of a small pool. */
#define PLACES_MIN 16u
/* Of an address, when no object is known: its bit is not in the mask. */
#define NO_OBJECT 1u

struct mag_samples *
mag_samples_make(uint32_t one_in, uint32_t stride, uint32_t object_size, uint64_t objects, int node)
{
	uint32_t bits = rte_log2_u32(one_in), below = (uint32_t)rte_fls_u32(stride) - 1;
	uint64_t places = rte_align64pow2(2 * (objects >> bits) + PLACES_MIN);
	uint32_t bytes = RTE_MIN(object_size, BYTES_MAX);
	uint32_t distance =
		RTE_ALIGN_CEIL((uint32_t)sizeof(struct mag_sample) + bytes, RTE_CACHE_LINE_SIZE);
	struct mag_samples *samples = mag_meta_zalloc(sizeof(*samples) + places * distance, node);

	if (samples == NULL)
		return NULL;
	samples->mask = ((UINT64_C(1) << bits) - 1) << below;
	samples->like = NO_OBJECT;
	samples->shift = bits + below;
	samples->one_in = UINT32_C(1) << bits;
	samples->bytes = bytes;
	samples->distance = distance;
	samples->last = (uint32_t)places - 1;
	return samples;
}

void
mag_samples_begin(struct mag_samples *samples, const void *object)
{
	if (samples->like == NO_OBJECT)
		samples->like = (uintptr_t)object & samples->mask;
}

void
mag_samples_clear(struct mag_samples *samples)
{
	samples->like = NO_OBJECT;
	memset(samples->places, 0, ((size_t)samples->last + 1) * samples->distance);
}

/* Four pointers: in one register, or in two. */
typedef uint64_t four MAG_VECTOR(4 * sizeof(uint64_t));

MAG_INLINE bool
any(const struct mag_samples *samples, void *const *objects, unsigned int n)
{
	uint64_t mask = samples->mask, like = samples->like;
	four masks = {mask, mask, mask, mask}, likes = {like, like, like, like}, found = {0}, next;
	bool has = false;

	for (; n % 4 != 0; n--, objects++)
		has |= mag_samples_has(samples, *objects);
	for (; n != 0; n -= 4, objects += 4) {
		MAG_COPY(&next, objects, sizeof(next));
		found |= (four)((next & masks) == likes);
	}
	return has | ((found[0] | found[1] | found[2] | found[3]) != 0);
}

MAG_WIDE static bool
any_wide(const struct mag_samples *samples, void *const *objects, unsigned int n)
{
	return any(samples, objects, n);
}

static bool wide;

RTE_INIT(mag_samples_load)
{
	wide = MAG_CPU_IS_WIDE();
}

bool
mag_samples_any(const struct mag_samples *samples, void *const *objects, unsigned int n)
{
	return wide ? any_wide(samples, objects, n) : any(samples, objects, n);
}

struct mag_sample *
mag_samples_at(struct mag_samples *samples, uint32_t place)
{
	return RTE_PTR_ADD(samples->places, (size_t)place * samples->distance);
}

struct mag_sample *
mag_samples_find(struct mag_samples *samples, const void *object, bool add)
{
	struct mag_sample *sample = mag_samples_at(
		samples, (uint32_t)((uintptr_t)object >> samples->shift) & samples->last);
	uintptr_t found = atomic_load_explicit(&sample->object, memory_order_relaxed);

	/* relaxed: what a place has beside the address is under its lock */
	if (found == 0 && add &&
	    atomic_compare_exchange_strong_explicit(&sample->object, &found, (uintptr_t)object,
						    memory_order_relaxed, memory_order_relaxed))
		return sample;
	return found == (uintptr_t)object ? sample : NULL;
}
