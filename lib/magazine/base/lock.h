/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_LOCK_H
#define MAG_LOCK_H

/*
 * The lock of everything that is not the fast path: C11 atomics, so that
 * ThreadSanitizer sees it. The word of a lock that is held names the holder's process
 * (process.h): what to look at in a debugger when a process has died with it.
 *
 * Two ways to wait. The data path spins and makes no system call: its critical
 * sections are a few dozen instructions. The control path gives the CPU away,
 * because the holder may be a preempted thread of the very same CPU.
 */

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_branch_prediction.h>
#include <rte_pause.h>

#include "base/process.h"

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

/** Take the lock on the data path: spin, no system call. */
static inline void
mag_lock_spin(struct mag_lock *lock)
{
	while (unlikely(!mag_lock_try(lock)))
		rte_pause();
}

/** Take the lock on the control path: a waiter gives its CPU to others. */
static inline void
mag_lock_wait(struct mag_lock *lock)
{
	while (unlikely(!mag_lock_try(lock)))
		sched_yield();
}

static inline void
mag_lock_release(struct mag_lock *lock)
{
	/* release: pairs with the acquire in mag_lock_try() */
	atomic_store_explicit(&lock->holder, 0, memory_order_release);
}

#endif /* MAG_LOCK_H */
