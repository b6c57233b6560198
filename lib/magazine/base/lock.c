/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/lock.h"
#include "base/peer.h"

bool
mag_lock_break(struct mag_lock *lock)
{
	uint32_t holder = atomic_load_explicit(&lock->holder, memory_order_relaxed);

	/* acquire: what the dead process wrote; the kernel has seen to it that it is there */
	return holder != 0 && mag_peer_is_dead(holder) &&
	       atomic_compare_exchange_strong_explicit(&lock->holder, &holder, mag_process_id,
						       memory_order_acquire, memory_order_relaxed);
}
