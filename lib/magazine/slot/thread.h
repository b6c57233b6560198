/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_THREAD_H
#define MAG_THREAD_H

/*
 * Threads and their slots.
 *
 * What one thread has of a cache is a slot (slot.h). Slots have numbers, and a thread has the same
 * number in all caches. Every thread claims a number on its first slow path, with or without an
 * lcore id, in the primary process and in others: that of its lcore id if it is free, else the
 * lowest free one that is no lcore id in use. It finds its slot again by thread-local offsets,
 * mag_lcore_offset in an array of slots and mag_lcore_way in a cache. So a slot has one owner, in
 * all processes, even when an lcore id is given back and another thread takes it.
 *
 * The owners of all numbers are in a table in shared memory. States of a number: free -> owned
 * (slot_claim()) -> free (slot_release(), when the thread ends: magazines of caches that its
 * process made are flushed first, others stay in the slot, where all threads can have them). The
 * owner changes by an exchange, so a thread that is stopped while it claims delays no other. The
 * numbers of a process that has died are free again when each process has put its caches in order
 * (peer.h).
 *
 * Without a number, and on the shared slot, which a lock guards, are:
 * - threads that came when all numbers were taken;
 * - threads whose end would not be noticed, because pthread_setspecific(3) failed;
 * - all threads of a process that has no membarrier where others have it, or that found no place
 *   on the table of peers.
 *
 * In a debugger: mag_lcore_offset / 128 is the current thread's number, `claims` in thread.c says
 * who owns which, for which lcore id: an owner is mag_process_id and the kernel's thread id.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/lcores.h"
#include "mag_inline.h"

/** Number of the shared slot; those below it have owners. */
#define MAG_SLOT_SHARED MAG_LCORES_MAX
/** Slots of a cache. */
#define MAG_SLOTS (MAG_SLOT_SHARED + 1)

/** Where a cache has its ways, one for each slot: in all versions from MAG_LAYOUT 2 on. */
#define MAG_WAYS_AT (7 * RTE_CACHE_LINE_SIZE)

/** Number of this thread's slot. */
static inline uint32_t
mag_thread_slot(void)
{
	return (uint32_t)(mag_lcore_offset / sizeof(struct mag_slot));
}

/** The table of owners: 0, or -ENOMEM. Before the first cache is made. */
int mag_thread_share(void);
/** Claim a slot for this thread if it has none. Slow path: one load when there is nothing to do. */
void mag_thread_claim(void);
/** Hook for tests: this thread claims none from now on, or may again. */
void mag_thread_forbid_claim(bool forbid);
/** Slots that have, or ever had, an owner: all of them have numbers below this. */
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
/** Process (mag_process_id) of the owner, 0: none. */
uint32_t mag_thread_process(uint32_t slot);
/** pid of the owner's process, as that sees it; 0: no owner. */
pid_t mag_thread_pid(uint32_t slot);
/** The kernel's id of the owner; 0: none. */
pid_t mag_thread_tid(uint32_t slot);
/** A word that belongs to the owner (hands.h); NULL: of the shared slot. */
_Atomic uint32_t *mag_thread_hands(uint32_t slot);
/**
 * Is any slot another process's? When the answer is no, a thread of another process that claims one
 * later sees what the caller stored before a full fence that came before this call.
 */
bool mag_thread_is_any_foreign(void);
/**
 * Do all owners of this shared memory execute a fence at each entry? So it is where the process
 * that made the table has no membarrier.
 */
bool mag_thread_all_fence(void);
/** In a forked child: its only thread has no slot. */
void mag_thread_forked(void);
/** That process is dead, and its slots were put in order: they can be claimed again. */
void mag_thread_release_all(uint32_t process);
/** The end of this thread is to be noticed, though it owns no slot. */
void mag_thread_notice_exit(void);
/**
 * What is to be done, by itself, when a thread ends that owns a slot, or the shared one: whose end
 * was to be noticed. Set once, at load.
 */
void mag_thread_on_exit(void (*on_exit)(uint32_t slot));
/** What is to be done when a thread has claimed a slot, on its slow path; set once, at load. */
void mag_thread_on_claim(void (*claimed)(void));

#endif /* MAG_THREAD_H */
