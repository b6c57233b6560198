/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_ATOMIC128_H
#define MAG_ATOMIC128_H

/*
 * One compare-exchange of 16 bytes, a full barrier. A compiler's own builtin
 * calls libatomic, and DPDK's is experimental: so one instruction (x86-64) or
 * one load-store-exclusive loop and a barrier (aarch64) here. ThreadSanitizer does not see
 * assembly; its build uses an equivalent under a C11 spin lock.
 */

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/counter.h"

struct mag_u128 {
	_Alignas(16) uint64_t lo;
	uint64_t hi;
};

#ifdef MAG_TSAN

extern atomic_bool mag_u128_lock;

/*
 * Who waits only looks: ThreadSanitizer of gcc 16 has a lock of its own for each atomic, shared by
 * exchanges, which therefore keep the store that unlocks waiting for ever.
 */
static inline void
mag_u128_enter(void)
{
	while (atomic_load_explicit(&mag_u128_lock, memory_order_relaxed) ||
	       atomic_exchange_explicit(&mag_u128_lock, true, memory_order_acquire))
		sched_yield();
}

static inline bool
mag_u128_cas(struct mag_u128 *at, struct mag_u128 *expected, struct mag_u128 desired)
{
	bool same;

	mag_u128_enter();
	same = at->lo == expected->lo && at->hi == expected->hi;
	if (same)
		*at = desired;
	else
		*expected = *at;
	atomic_store_explicit(&mag_u128_lock, false, memory_order_release);
	return same;
}

static inline struct mag_u128
mag_u128_peek(const struct mag_u128 *at)
{
	struct mag_u128 value;

	mag_u128_enter();
	value = *at;
	atomic_store_explicit(&mag_u128_lock, false, memory_order_release);
	return value;
}

#else

/**
 * Two loads of 8 bytes. They may belong to two values of *at: good enough for a
 * first guess, because the compare-exchange that follows checks all 16 bytes. hi, which
 * holds the tag, comes first: what is read through lo is then never older than the tag.
 */
static inline struct mag_u128
mag_u128_peek(const struct mag_u128 *at)
{
	struct mag_u128 value;

	/* acquire: keeps the load of lo, and those through it, behind this one */
	value.hi = MAG_LOAD(&at->hi, MAG_ACQUIRE);
	value.lo = MAG_LOAD(&at->lo, MAG_RELAXED);
	return value;
}

#if defined(__x86_64__)

static inline bool
mag_u128_cas(struct mag_u128 *at, struct mag_u128 *expected, struct mag_u128 desired)
{
	bool same;

	__asm__ volatile("lock cmpxchg16b %[at]"
			 : [at] "+m"(*at), "=@ccz"(same), "+a"(expected->lo), "+d"(expected->hi)
			 : "b"(desired.lo), "c"(desired.hi)
			 : "memory");
	return same;
}

#elif defined(__aarch64__)

/*
 * Acquire and release keep what is before and what is behind on its side of the pair, but what is
 * behind may still come before the store: the barrier behind it orders that.
 */
static inline bool
mag_u128_cas(struct mag_u128 *at, struct mag_u128 *expected, struct mag_u128 desired)
{
	struct mag_u128 found, store;
	uint32_t failed;
	bool same;

	do {
		__asm__ volatile("ldaxp %0, %1, %2"
				 : "=&r"(found.lo), "=&r"(found.hi)
				 : "Q"(*at)
				 : "memory");
		same = found.lo == expected->lo && found.hi == expected->hi;
		/*
		 * A pair of loads is one value only if a store succeeds: what was there, if it is
		 * not expected.
		 */
		store = same ? desired : found;
		__asm__ volatile("stlxp %w0, %2, %3, %1"
				 : "=&r"(failed), "=Q"(*at)
				 : "r"(store.lo), "r"(store.hi)
				 : "memory");
	} while (failed);
	__asm__ volatile("dmb ish" : : : "memory");
	if (!same)
		*expected = found;
	return same;
}

#else
#error "magazine: this architecture has no 16-byte compare-exchange here: x86-64 and aarch64 only"
#endif

#endif /* MAG_TSAN */

/**
 * All 16 bytes, as they were at one moment: an exchange of a guess with itself tells what is there,
 * whether it succeeds or fails. It writes: for whoever must not guess, not for whoever looks often.
 */
static inline struct mag_u128
mag_u128_load(struct mag_u128 *at)
{
	struct mag_u128 value = mag_u128_peek(at);

	mag_u128_cas(at, &value, value);
	return value;
}

#endif /* MAG_ATOMIC128_H */
