/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The resize perimeter: one thread, of any process that uses the cache, which may enter again.
 * Whoever is inside may turn the slots off and change the type, and a home comes inside.
 *
 * The word names the thread (process.h); 0 = nobody is inside. Others sleep on the futex beside it,
 * which counts how often the perimeter was left: a thread that has read the count before a failed
 * try does not sleep when somebody left meanwhile. A thread that is stopped or killed inside keeps
 * all others out, and they give up after their time; in a debugger, cache->perimeter tells which
 * thread it is.
 */

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <rte_cycles.h>

#include "base/deadline.h"
#include "base/peer.h"
#include "base/process.h"
#include "visits/perimeter.h"

/*
 * The thread inside may be taking memory for a home, and EAL gives other processes 5 s to follow: a
 * longer wait is for a thread that has stopped in there.
 */
#define PERIMETER_US 6000000

/* Until somebody has left since `left` was read, until the deadline, or for no reason. */
static void
perimeter_sleep(struct mag_cache *cache, uint32_t left, uint64_t deadline)
{
	uint64_t now = rte_rdtsc(), us;
	struct timespec timeout;

	if (now >= deadline)
		return;
	us = (deadline - now) / (rte_get_tsc_hz() / 1000000) + 1;
	timeout = (struct timespec){
		.tv_sec = (time_t)(us / 1000000),
		.tv_nsec = (long)(us % 1000000 * 1000),
	};
	/* Not the PRIVATE kind: threads of other processes sleep and wake here too. */
	if (syscall(SYS_futex, &cache->perimeter_left, FUTEX_WAIT, left, &timeout, NULL, 0) != 0 &&
	    errno != EAGAIN && errno != EINTR && errno != ETIMEDOUT)
		sched_yield();
}

bool
mag_perimeter_enter_within(struct mag_cache *cache, uint64_t us)
{
	uint64_t me = mag_process_thread(), expected, deadline = mag_deadline_in(us);
	uint32_t left;

	/* So that others know when it is dead, and may go in its place. */
	mag_peer_join();
	/* relaxed: only this thread can have stored its own token */
	if (atomic_load_explicit(&cache->perimeter, memory_order_relaxed) == me) {
		cache->perimeter_depth++;
		return true;
	}
	for (;;) {
		/* acquire: before the perimeter is tried; pairs with mag_perimeter_leave() */
		left = atomic_load_explicit(&cache->perimeter_left, memory_order_acquire);
		expected = 0;
		/* acquire: pairs with the release in mag_perimeter_leave() */
		if (atomic_compare_exchange_strong_explicit(&cache->perimeter, &expected, me,
							    memory_order_acquire,
							    memory_order_relaxed))
			break;
		if (rte_rdtsc() >= deadline)
			return false;
		perimeter_sleep(cache, left, deadline);
	}
	cache->perimeter_depth = 1;
	return true;
}

bool
mag_perimeter_enter(struct mag_cache *cache, bool wait)
{
	return mag_perimeter_enter_within(cache, wait ? PERIMETER_US : 0);
}

bool
mag_perimeter_take_over(struct mag_cache *cache, uint32_t process)
{
	uint64_t thread = MAG_STAT(cache->perimeter);

	/* acquire: what the dead thread did in here */
	if (thread >> 32 != process || !atomic_compare_exchange_strong_explicit(
					       &cache->perimeter, &thread, mag_process_thread(),
					       memory_order_acquire, memory_order_relaxed))
		return false;
	cache->perimeter_depth = 1;
	return true;
}

void
mag_perimeter_leave(struct mag_cache *cache)
{
	if (--cache->perimeter_depth > 0)
		return;
	/* release: pairs with the acquire in mag_perimeter_enter_within() */
	atomic_store_explicit(&cache->perimeter, 0, memory_order_release);
	/*
	 * release: after the perimeter is free, so that a thread that read the number before does
	 * not sleep
	 */
	atomic_fetch_add_explicit(&cache->perimeter_left, 1, memory_order_release);
	/* All of them, since the one that was woken may be killed before it comes in. */
	syscall(SYS_futex, &cache->perimeter_left, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}
