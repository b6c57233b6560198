/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_LOCK_H
#define MAG_LOCK_H

/*
 * The lock of everything that is not the fast path: C11 atomics, so that
 * ThreadSanitizer sees it. The word of a lock that is held names the holder's process
 * (process.h): what to look at in a debugger, and how a process that died with it is found.
 *
 * Two ways to wait. The data path spins and makes no system call: its critical
 * sections are a few dozen instructions. The control path gives the CPU away,
 * because the holder may be a preempted thread of the very same CPU.
 *
 * Either looks from time to time whether the holder's process is dead, and then takes the lock from
 * it: the lock is broken. What it guards is as the dead thread left it, between any two
 * instructions, so whoever broke it puts that in order before anything else.
 */

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_branch_prediction.h>
#include <rte_pause.h>

#include "base/process.h"

/** Tries between two looks at the holder; a power of two. About a millisecond. */
#define MAG_LOCK_TRIES 16384u
/** The same where each try gives the CPU away: on a busy one that takes a time slice of another. */
#define MAG_LOCK_YIELDS 32u

struct mag_lock {
	_Atomic uint32_t holder; /**< mag_process_id of the holder, 0 = free */
};

static inline bool
mag_lock_try(struct mag_lock *lock)
{
	uint32_t expected = 0;

	/* acquire: pairs with the release in mag_lock_release() */
	return atomic_load_explicit(&lock->holder, memory_order_relaxed) == 0 &&
	       atomic_compare_exchange_strong_explicit(&lock->holder, &expected, mag_process_id,
						       memory_order_acquire, memory_order_relaxed);
}

/**
 * A step is done: should this thread be killed, what comes before this is in memory whenever
 * something of what follows is. The kernel sees to the same thread's instructions; this to the
 * compiler.
 */
static inline void
mag_commit(void)
{
	atomic_signal_fence(memory_order_seq_cst);
}

/** Take the lock from a process that is known to be dead; false: it is free, or of a living one. */
bool mag_lock_break(struct mag_lock *lock);

/**
 * Take the lock on the data path: spin, no system call while the holder lives.
 *
 * @return
 *   It was broken.
 */
static inline bool
mag_lock_spin(struct mag_lock *lock)
{
	uint32_t tries = 0;

	while (unlikely(!mag_lock_try(lock))) {
		rte_pause();
		if (++tries % MAG_LOCK_TRIES == 0 && mag_lock_break(lock))
			return true;
	}
	return false;
}

/** Take the lock on the control path: a waiter gives its CPU to others. As mag_lock_spin(). */
static inline bool
mag_lock_wait(struct mag_lock *lock)
{
	uint32_t tries = 0;

	while (unlikely(!mag_lock_try(lock))) {
		sched_yield();
		if (++tries % MAG_LOCK_YIELDS == 0 && mag_lock_break(lock))
			return true;
	}
	return false;
}

static inline void
mag_lock_release(struct mag_lock *lock)
{
	/* release: pairs with the acquire in mag_lock_try() */
	atomic_store_explicit(&lock->holder, 0, memory_order_release);
}

#endif /* MAG_LOCK_H */
