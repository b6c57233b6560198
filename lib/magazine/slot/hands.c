/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdatomic.h>

#include "base/counter.h"
#include "base/meta.h"
#include "base/peer.h"
#include "slot/hands.h"
#include "slot/thread.h"

/* This thread's. */
static _Thread_local struct {
	unsigned int depth;
	bool noticed;           /* its end is */
	_Atomic uint32_t *word; /* NULL: counted by process */
} hands;

/* Some thread of this process ended with something in hand. */
static _Atomic bool left;

/* Recovery would wait for ever for a thread that ends meanwhile. */
static void
count_begin(void)
{
	if (!hands.noticed)
		mag_thread_notice_exit();
	hands.noticed = true;
	mag_peer_count_hands(true);
}

void
mag_hands_begin(void)
{
	if (hands.depth++ > 0)
		return;
	hands.word = mag_thread_hands(mag_thread_slot());
	if (hands.word != NULL)
		atomic_store_explicit(hands.word, MAG_STAT(*hands.word) + 1, memory_order_relaxed);
	else
		count_begin();
	/* Before anything is taken; pairs with the fences of mag_hands_are_empty(). */
	atomic_thread_fence(memory_order_seq_cst);
}

void
mag_hands_end(void)
{
	if (--hands.depth > 0)
		return;
	if (hands.word != NULL)
		/* release: all is where others find it; pairs with mag_hands_are_empty() */
		atomic_store_explicit(hands.word, MAG_STAT(*hands.word) + 1, memory_order_release);
	else
		mag_peer_count_hands(false);
}

void
mag_hands_thread_ends(void)
{
	hands.noticed = false;
	if (hands.depth == 0)
		return;
	hands.depth = 1;
	/* EAL may have ended before. */
	if (hands.word != NULL ? mag_meta_is_mapped((const void *)(uintptr_t)hands.word) :
				 mag_peers_are_mapped())
		mag_hands_end();
	hands.depth = 0;
	atomic_store_explicit(&left, true, memory_order_relaxed);
}

bool
mag_hands_were_left(void)
{
	return MAG_STAT(left) && atomic_exchange_explicit(&left, false, memory_order_relaxed);
}

void
mag_hands_forked(void)
{
	hands.depth = 0;
	hands.noticed = false;
}

bool
mag_hands_are_empty(uint64_t *sum)
{
	uint32_t slot, slots = mag_thread_slots(), word;

	*sum = 0;
	/* What was read before this is older than any word. */
	atomic_thread_fence(memory_order_seq_cst);
	for (slot = 0; slot < slots; slot++) {
		word = MAG_STAT_ACQUIRE(*mag_thread_hands(slot));
		if ((word & 1) != 0 && mag_thread_owns(slot) &&
		    !mag_peer_is_dead(mag_thread_process(slot)))
			return false;
		*sum += word;
	}
	if (!mag_peers_hands(sum))
		return false;
	/* What is read after this is not older. */
	atomic_thread_fence(memory_order_seq_cst);
	return true;
}
