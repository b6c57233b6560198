/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_cycles.h>

#include "base/counter.h"
#include "base/deadline.h"
#include "base/fault.h"
#include "base/log.h"

#define MTBF_MIN_MS 2
#define MTBF_MAX_MS 3600000

static struct {
	_Atomic unsigned int asked;
	_Atomic unsigned int nth;
	_Atomic unsigned int struck;
	_Atomic unsigned int mtbf_ms;
	_Atomic uint64_t random;
	_Atomic uint64_t due; /**< TSC at which the next random failure happens */
} fault;

/* xorshift64: the failures must repeat from a printed seed, they need no quality. */
static uint64_t
fault_random(void)
{
	uint64_t x = atomic_load_explicit(&fault.random, memory_order_relaxed);

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	atomic_store_explicit(&fault.random, x, memory_order_relaxed);
	return x;
}

static void
fault_schedule(unsigned int mtbf_ms)
{
	uint64_t mean = mag_ms_to_tsc(mtbf_ms);

	atomic_store_explicit(&fault.due, rte_rdtsc() + fault_random() % (2 * mean),
			      memory_order_relaxed);
}

static bool
fault_is_due(void)
{
	unsigned int asked = atomic_fetch_add_explicit(&fault.asked, 1, memory_order_relaxed) + 1;
	unsigned int mtbf_ms = atomic_load_explicit(&fault.mtbf_ms, memory_order_relaxed);

	unsigned int nth = atomic_load_explicit(&fault.nth, memory_order_relaxed);

	/* asked wraps around. */
	if (nth != 0 && asked == nth)
		return true;
	if (mtbf_ms == 0 || rte_rdtsc() < atomic_load_explicit(&fault.due, memory_order_relaxed))
		return false;
	fault_schedule(mtbf_ms);
	return true;
}

bool
mag_fault_strikes(void)
{
	if (!fault_is_due())
		return false;
	MAG_STAT_ADD(fault.struck, 1);
	return true;
}

void
mag_fault_nth(unsigned int nth)
{
	atomic_store_explicit(&fault.asked, 0, memory_order_relaxed);
	atomic_store_explicit(&fault.nth, nth, memory_order_relaxed);
}

unsigned int
mag_fault_struck(void)
{
	return atomic_load_explicit(&fault.struck, memory_order_relaxed);
}

unsigned int
mag_fault_asked(void)
{
	return atomic_load_explicit(&fault.asked, memory_order_relaxed);
}

int
mag_fault_mtbf(unsigned int mtbf_ms, uint64_t seed)
{
	if (mtbf_ms != 0 && (mtbf_ms < MTBF_MIN_MS || mtbf_ms > MTBF_MAX_MS)) {
		MAG_LOG(ERR, "mean time between failures of %u ms: must be 0 (off) or %u to %u ms",
			mtbf_ms, MTBF_MIN_MS, MTBF_MAX_MS);
		return -EINVAL;
	}
	atomic_store_explicit(&fault.random, seed != 0 ? seed : 1, memory_order_relaxed);
	if (mtbf_ms != 0)
		fault_schedule(mtbf_ms);
	atomic_store_explicit(&fault.mtbf_ms, mtbf_ms, memory_order_relaxed);
	return 0;
}
