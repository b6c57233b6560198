/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_FAULT_H
#define MAG_FAULT_H

/*
 * Injected faults (specification, Hooks for tests): allocations of backing memory and of metadata
 * that fail on purpose, the nth one or at random.
 */

#include <stdbool.h>
#include <stdint.h>

/**
 * Shall this allocation of backing memory fail? For those that do not come from mag_meta_zalloc().
 */
bool mag_fault_strikes(void);
/** Fail the nth allocation from now (1 = the next), once; 0 switches it off. */
void mag_fault_nth(unsigned int nth);
/** Allocations asked for since mag_fault_nth(), failed ones included. */
unsigned int mag_fault_asked(void);
/**
 * Mean time between failures: allocations fail at random, on average every
 * mtbf_ms. 0 = off, else 2 ms to 3,600,000 ms.
 *
 * @return
 *   0, or -EINVAL with nothing changed.
 */
int mag_fault_mtbf(unsigned int mtbf_ms, uint64_t seed);
/** Allocations that were made to fail, one way or the other, since the library was loaded. */
unsigned int mag_fault_struck(void);

#endif /* MAG_FAULT_H */
