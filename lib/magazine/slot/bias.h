/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_BIAS_H
#define MAG_BIAS_H

/*
 * The owner/visitor lock of a slot: free of charge for the owner, expensive for a visitor.
 *
 * One thread, the owner, enters all the time; others visit rarely. The owner
 * marks itself busy with a plain store and then looks for a visitor with a
 * plain load; nothing orders the two but the compiler. A visitor announces
 * itself first and then calls membarrier(2), which puts a full fence into every
 * running thread: afterwards either the owner has seen the visitor, or the
 * visitor sees the owner busy.
 *
 *     owner                         visitor
 *     busy = 1                      visitor |= VISIT
 *     (compiler barrier)            membarrier: a fence in every owner
 *     visitor != 0 -> busy = 0,     busy != 0 -> wait a bounded time,
 *                     stay out                  else not granted
 *     work                          work
 *     busy = 0 (release)            visitor &= ~VISIT (release)
 *
 * The owner never waits: turned away, it does without what the lock guards. Visitors exclude each
 * other by a lock of their own (the cache's visit lock). The owner's fast half, mag_slot_enter()
 * and mag_slot_leave(), is in mag_inline.h, since it is compiled into users.
 *
 * There are two visitor words, visitor, and visitor_put, which puts read. Visitors set the same
 * bits in both before the fence, and clear them when they are through, in visitor last: so what is
 * set in visitor_put is set in visitor, but for MAG_PUT_NEAR (mag_inline.h): that is no visitor's.
 *
 * States, as words of a slot:
 *
 *     visitor = 0, busy = 0         nobody is inside: the owner may enter
 *     visitor = 0, busy = 1         the owner is inside
 *     VISIT,       busy = 1         a visitor waits, or the owner is about to see it and leave
 *     VISIT,       busy = 0         after the fence: the visitor is inside
 *
 * Without membarrier the owner itself pays for the fence: the FENCE bit is always set and sends it
 * to mag_bias_enter_careful(). A pool that must never interrupt an lcore (option visit=0) has no
 * visitors: the ASKED bit is the request word, and the owner acts on it at its next operation.
 *
 * A membarrier that fails (a seccomp filter came after load) grants nothing. From then on FENCE is
 * set where it was not; but an owner that has read its word before may be inside without a fence.
 * So it is asked, as above, and visited again only when it has acknowledged FENCE
 * (mag_bias_acknowledge()).
 *
 * In a debugger: a slot whose visitor word keeps VISIT while no thread is in a sweep had a visitor
 * that was killed; a slot that stays busy has an owner that is stopped, or was killed, inside:
 * visits of it are denied.
 */

#include <stdbool.h>
#include <stdint.h>

#include "mag_inline.h"

enum mag_bias_mode {
	MAG_BIAS_MEMBARRIER, /**< visitors send a membarrier */
	MAG_BIAS_FENCE,      /**< owners pay a full fence at each entry */
	MAG_BIAS_POLL,       /**< nobody visits; owners poll the ASKED bit */
};

/*
 * Bits of the visitor word. VISIT and PURGE are set and cleared by visitors, SELF by the owner;
 * ASKED is cleared by the owner. The others are set when the cache becomes what they say, and stay.
 * All are at least MAG_BIAS_BIT_MIN, so that the fast path can compare a number of rounds, which is
 * below that, with the word: one branch for "too little" and "visited".
 */
#define MAG_BIAS_BIT_MIN 0x0400u
#define MAG_BIAS_VISIT 0x0400u     /**< a visitor is here or about to be */
#define MAG_BIAS_PURGE 0x0800u     /**< it empties everything: use the slab layer only */
#define MAG_BIAS_FENCE_BIT 0x1000u /**< the owner enters by mag_bias_enter_careful() */
#define MAG_BIAS_ASKED 0x2000u     /**< nobody may visit: hand your magazines in */
#define MAG_BIAS_SELF 0x4000u      /**< the owner keeps itself out (populate) */
#define MAG_BIAS_WATCHED 0x10000u  /**< objects are looked at, or tagged, on their way (audit.h) */

/** The bits that turn an owner away; the others only slow it down. */
#define MAG_BIAS_AWAY (MAG_BIAS_VISIT | MAG_BIAS_PURGE | MAG_BIAS_SELF)

/**
 * Owner, slow path: enter although FENCE or ASKED is set; with FENCE, by a full
 * fence. False when a visitor turns the owner away. mag_slot_leave() ends it.
 */
bool mag_bias_enter_careful(struct mag_slot *slot);

/**
 * Owner, inside: it has read a visitor word with FENCE. It never reads one without again, so that
 * it always enters by a fence from then on.
 */
static inline void
mag_bias_acknowledge(struct mag_slot *slot, uint32_t word)
{
	if ((word & MAG_BIAS_FENCE_BIT) != 0 && MAG_LOAD(&slot->fenced, MAG_RELAXED) == 0)
		/*
		 * release: a thread that sees this sees busy too, should this entry have had no
		 * fence; pairs with the acquire in slot_is_fenced()
		 */
		MAG_STORE(&slot->fenced, 1, MAG_RELEASE);
}

/** Visitor: announce; bits are VISIT, with PURGE or without. */
static inline void
mag_bias_announce(struct mag_slot *slot, uint32_t bits)
{
	/* Ordered before the look at busy by mag_bias_fence(). */
	MAG_FETCH_OR(&slot->visitor, bits, MAG_RELAXED);
	MAG_FETCH_OR(&slot->visitor_put, bits, MAG_RELAXED);
}

/**
 * Visitor: one fence for all owners that were announced to. Counts the membarriers sent.
 *
 * @param is_any_foreign
 *   Asked after this thread's own fence: has another process owners? Their threads are reached by a
 *   membarrier that goes to all processes which have registered, and costs more.
 * @return
 *   0; or the negative errno of a membarrier that failed: an owner that has read its word before
 * may be inside without being seen busy, so nothing may be touched.
 */
int mag_bias_fence(enum mag_bias_mode mode, bool (*is_any_foreign)(void));

/** Visitor: is the owner out? Waits for it until the TSC reaches the deadline. */
bool mag_bias_granted(const struct mag_slot *slot, uint64_t deadline);

/** Visitor: go; whatever was done to the owner's data becomes visible to it. */
static inline void
mag_bias_dismiss(struct mag_slot *slot, uint32_t bits)
{
	/* release: pairs with the owner's acquire in mag_slot_enter_by() */
	MAG_FETCH_AND(&slot->visitor_put, ~bits, MAG_RELEASE);
	MAG_FETCH_AND(&slot->visitor, ~bits, MAG_RELEASE);
}

/**
 * A membarrier has failed with this errno, and the slots have been let go: this process visits
 * by membarrier no more. The first time, a line of the log says so.
 */
void mag_bias_give_up(int error);
bool mag_bias_has_given_up(void);

/**
 * Register with the kernel, for the membarriers of this process and of others: when the library is
 * loaded, and again in a forked child.
 */
void mag_bias_register(void);
/** Did that succeed? If not, the membarriers of other processes pass this one over. */
bool mag_bias_is_registered(void);

/**
 * What this process can do: MEMBARRIER where the kernel has it (registered when the
 * library was loaded), FENCE elsewhere and once one has failed.
 */
enum mag_bias_mode mag_bias_best(void);

/**
 * Test hook: pretend that the kernel has no membarrier, or again that it has one that never failed.
 */
void mag_bias_forbid_membarrier(bool forbid);

/** Membarriers that this process has sent. */
uint64_t mag_bias_membarriers(void);

#endif /* MAG_BIAS_H */
