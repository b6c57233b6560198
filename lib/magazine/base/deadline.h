/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_DEADLINE_H
#define MAG_DEADLINE_H

#include <stdint.h>

#include <rte_common.h>
#include <rte_cycles.h>

/** Microseconds in ticks of the TSC; at most what can be added to a TSC: centuries. */
static inline uint64_t
mag_us_to_tsc(uint64_t us)
{
	uint64_t each = RTE_MAX(rte_get_tsc_hz() / 1000000, 1ull), max = UINT64_MAX / 2;

	return us < max / each ? each * us : max;
}

/** Milliseconds in ticks of the TSC, up to some hours of them. */
static inline uint64_t
mag_ms_to_tsc(uint64_t ms)
{
	return rte_get_tsc_hz() / 1000 * ms;
}

/** Milliseconds until a TSC is past, rounded up; 0: it is. */
static inline uint64_t
mag_ms_until(uint64_t tsc)
{
	uint64_t now = rte_rdtsc();

	return tsc > now ? (tsc - now) / mag_ms_to_tsc(1) + 1 : 0;
}

/** TSC in so many microseconds. */
static inline uint64_t
mag_deadline_in(uint64_t us)
{
	return rte_rdtsc() + mag_us_to_tsc(us);
}

#endif /* MAG_DEADLINE_H */
