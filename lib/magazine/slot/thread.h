/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_THREAD_H
#define MAG_THREAD_H

/*
 * Threads and their slots.
 *
 * What one thread has of a cache is a slot (slot.h). Slots have numbers, and a thread has the same
 * number in all caches. A thread with an lcore id claims a number on its first slow path: the
 * number of its lcore id if that is free, else the lowest free one. It finds its slot again by a
 * thread-local offset, mag_lcore_offset. So a slot has one owner even when an lcore id is given
 * back and another thread takes it.
 *
 * States of a number: free -> owned (slot_claim()) -> free (slot_release(), when the thread ends:
 * its magazines are flushed first). `owned` changes by an exchange, so a thread that is stopped
 * while it claims delays no other.
 *
 * Without a number, and on the shared slot, which a lock guards, are:
 * - threads without an lcore id;
 * - threads that came when all numbers were taken;
 * - threads whose end would not be noticed, because pthread_setspecific(3) failed;
 * - all threads of secondary processes, whose lcore ids are others than ours;
 * - the thread of a forked child, until the child takes over its parent's caches (fork.h).
 *
 * In a debugger: mag_lcore_offset / 128 is the current thread's number, `numbers` in thread.c says
 * which are owned and for which lcore id.
 */

#include <stdbool.h>
#include <stdint.h>

#include <rte_config.h>

#include "mag_inline.h"

/** Number of the shared slot; those below it have owners. */
#define MAG_SLOT_SHARED RTE_MAX_LCORE
/** Slots of a cache. */
#define MAG_SLOTS (RTE_MAX_LCORE + 1)

/** Number of this thread's slot. */
static inline uint32_t
mag_thread_slot(void)
{
	return (uint32_t)(mag_lcore_offset / sizeof(struct mag_slot));
}

/**
 * Claim a slot for this thread if it has none and is an lcore of the primary process.
 * Slow path: one load when there is nothing to do.
 */
void mag_thread_claim(void);
/**
 * Slots that have, or ever had, an owner: all of them have numbers below this. In a
 * secondary process that is not known, and the answer is all there are.
 */
uint32_t mag_thread_slots(void);
/** Slots that have an owner now. */
uint32_t mag_thread_owners(void);
/**
 * Has the slot an owner? When it has none, a thread that claims it later sees what the caller
 * stored before a full fence that came before this call.
 */
bool mag_thread_owns(uint32_t slot);
/** lcore id for which the slot was claimed; LCORE_ID_ANY when it has no owner. */
unsigned int mag_thread_lcore(uint32_t slot);
/** In a forked child: its only thread has no slot. */
void mag_thread_forked(void);
/** The threads that owned slots are dead: all slots can be claimed, with what is in them. */
void mag_thread_take_over(void);
/** What is to be done for a slot whose owner's thread ends; set once, at load. */
void mag_thread_on_exit(void (*flush)(uint32_t slot));

#endif /* MAG_THREAD_H */
