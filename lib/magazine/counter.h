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
 * None of them orders anything.
 */

#include <stdatomic.h>

/* gcc says it in one way, clang in the other. */
#if defined(__SANITIZE_THREAD__)
#define MAG_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define MAG_TSAN 1
#endif
#endif

/** Read a counter. */
#define MAG_STAT(counter) atomic_load_explicit(&(counter), memory_order_relaxed)
/** Add to a counter that others write at the same time; the value before. */
#define MAG_STAT_ADD(counter, n) atomic_fetch_add_explicit(&(counter), n, memory_order_relaxed)

/** Add to a counter that only holders of a lock write. */
#define MAG_COUNT_LOCKED(counter, n)                                                               \
	atomic_store_explicit(&(counter), MAG_STAT(counter) + (n), memory_order_relaxed)

/**
 * Add to a counter of which the caller is the only writer. An atomic load and an atomic store are
 * three instructions, a plain addition is one: the fast path uses that, except under
 * ThreadSanitizer.
 */
#ifdef MAG_TSAN
#define MAG_COUNT(counter, n) MAG_COUNT_LOCKED(counter, n)
#else
#define MAG_COUNT(counter, n) (*(__typeof__(MAG_STAT(counter)) *)&(counter) += (n))
#endif

#endif /* MAG_COUNTER_H */
