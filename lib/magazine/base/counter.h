/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_COUNTER_H
#define MAG_COUNTER_H

/*
 * Counters that are read without a lock. Which macro adds to one depends on how many threads write
 * it:
 *
 *   MAG_STAT_ADD      any number, at any time;
 *   MAG_COUNT_LOCKED  one at a time, which holds a lock;
 *   MAG_COUNT         one, its owner.
 *
 * None of them orders anything; MAG_STAT_ACQUIRE orders what is read after it.
 */

#include <stdatomic.h>

#include <rte_common.h> /* typeof, in C11 too */

#include "mag_compiler.h"
#include "mag_inline.h" /* MAG_TSAN */

/*
 * Counters are _Atomic; those of mag_inline.h are plain, since C++ sees them too. Both are accessed
 * by the plain type: a comma expression has no qualifiers.
 */
#define MAG_PLAIN(counter) typeof(((void)0, (counter)))

/** Where a counter is, for a function that reads it. */
#define MAG_STAT_AT(counter) MAG_UNQUALIFIED(const MAG_PLAIN(counter), &(counter))
/** Read a counter. */
#define MAG_STAT(counter) MAG_LOAD(MAG_STAT_AT(counter), MAG_RELAXED)
/** Read a counter; what is read next is not older. Pairs with a release of whatever was counted. */
#define MAG_STAT_ACQUIRE(counter) MAG_LOAD(MAG_STAT_AT(counter), MAG_ACQUIRE)
/** Add to a counter that others write at the same time; the value before. */
#define MAG_STAT_ADD(counter, n)                                                                   \
	MAG_FETCH_ADD(MAG_UNQUALIFIED(MAG_PLAIN(counter), &(counter)), n, MAG_RELAXED)

/** Add to a counter that only holders of a lock write. */
#define MAG_COUNT_LOCKED(counter, n)                                                               \
	MAG_STORE(MAG_UNQUALIFIED(MAG_PLAIN(counter), &(counter)), MAG_STAT(counter) + (n),        \
		  MAG_RELAXED)

/**
 * Add to a counter of which the caller is the only writer, as mag_slot_count(). An atomic load and
 * an atomic store are three instructions, a plain addition is one: the latter, except under
 * ThreadSanitizer.
 */
#ifdef MAG_TSAN
#define MAG_COUNT(counter, n) MAG_COUNT_LOCKED(counter, n)
#else
#define MAG_COUNT(counter, n) (*MAG_UNQUALIFIED(MAG_PLAIN(counter), &(counter)) += (n))
#endif

#endif /* MAG_COUNTER_H */
