/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_DEADLINE_H
#define MAG_DEADLINE_H

#include <stdint.h>

#include <rte_cycles.h>

/** TSC in so many microseconds. */
static inline uint64_t
mag_deadline_in(uint64_t us)
{
	return rte_rdtsc() + rte_get_tsc_hz() / 1000000 * us;
}

#endif /* MAG_DEADLINE_H */
