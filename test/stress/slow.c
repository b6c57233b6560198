/* SPDX-License-Identifier: BSD-3-Clause */

#include "../common/front.h"
#include "parts/arena.h"
#include "stores/region.h"
#include "slow.h"
#include "stress.h"

#define REST_US 2000

static _Atomic bool slow;

void
slow_motion(bool on)
{
	atomic_store_explicit(&slow, on, memory_order_relaxed);
}

static _Atomic uint32_t no_magazine_once_in;
static _Atomic uint64_t no_magazines;

void
slow_no_magazine(uint32_t once_in)
{
	atomic_store_explicit(&no_magazine_once_in, once_in, memory_order_relaxed);
}

uint64_t
slow_no_magazines(void)
{
	return atomic_load_explicit(&no_magazines, memory_order_relaxed);
}

static struct rng *
own_rng(void)
{
	static _Thread_local struct rng rng;

	if (rng.state == 0)
		rng = stress_rng();
	return &rng;
}

static void
rest_once_in(uint32_t n)
{
	if (!atomic_load_explicit(&slow, memory_order_relaxed))
		return;
	if (rng_once_in(own_rng(), n))
		usleep(rng_below(own_rng(), REST_US));
}

static bool
no_magazine(void)
{
	uint32_t n = atomic_load_explicit(&no_magazine_once_in, memory_order_relaxed);

	if (n == 0 || !rng_once_in(own_rng(), n))
		return false;
	atomic_fetch_add_explicit(&no_magazines, 1, memory_order_relaxed);
	return true;
}

/* The lcore's slot is let go, and its magazine may be of no use when this comes back. */
struct mag_magazine *
mag_arena_get(struct mag_arena *arena, uint32_t rounds)
{
	struct mag_magazine *magazine;

	if (no_magazine())
		return NULL;
	magazine = LIBRARYS(mag_arena_get)(arena, rounds);
	rest_once_in(8);
	return magazine;
}

/* A slab is gone from the slab layer, and its objects are not yet back in the region. */
void
mag_region_put(struct mag_region *region, struct mag_segment *segment)
{
	rest_once_in(256);
	LIBRARYS(mag_region_put)(region, segment);
}
