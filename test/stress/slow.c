/* SPDX-License-Identifier: BSD-3-Clause */
#include <dlfcn.h>
#include <stdatomic.h>
#include <unistd.h>

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
	/* clang-format off */
	struct mag_magazine *(*next)(struct mag_arena *arena, uint32_t rounds);
	/* clang-format on */
	struct mag_magazine *magazine;

	if (no_magazine())
		return NULL;
	next = (struct mag_magazine *
		(*)(struct mag_arena *, uint32_t))(uintptr_t)dlsym(RTLD_NEXT, "mag_arena_get");
	magazine = next(arena, rounds);
	rest_once_in(8);
	return magazine;
}

/* A slab is gone from the slab layer, and its objects are not yet back in the region. */
void
mag_region_put(struct mag_region *region, struct mag_segment *segment)
{
	/* clang-format off */
	void (*next)(struct mag_region *region, struct mag_segment *segment);
	/* clang-format on */

	next = (void (*)(struct mag_region *, struct mag_segment *))(uintptr_t)dlsym(
		RTLD_NEXT, "mag_region_put");
	rest_once_in(256);
	next(region, segment);
}
