/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_BIAS_H
#define MAG_BIAS_H

/*
 * The owner/visitor lock: free of charge for the owner, dear for a visitor.
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
 * The owner never waits: turned away, it does without what the lock guards.
 * Visitors exclude each other by a lock of their own (the cache's visit lock).
 *
 * Without membarrier the owner itself pays for the fence: the FENCE bit is
 * always set and sends it to mag_bias_enter_careful(). A pool that must never
 * interrupt an lcore (option visit=0) has no visitors: the ASKED bit is the
 * request word, and the owner acts on it when it next comes by.
 *
 * A membarrier that fails (a seccomp filter came after load) grants nothing. From then on FENCE is
 * set where it was not; but an owner that has read its word before may be inside without a fence. So it
 * is asked, as above, and visited again only when it has acknowledged FENCE (lcore.h).
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_branch_prediction.h>

enum mag_bias_mode {
	MAG_BIAS_MEMBARRIER, /**< visitors send a membarrier */
	MAG_BIAS_FENCE,      /**< owners pay a full fence at each entry */
	MAG_BIAS_POLL,       /**< nobody visits; owners poll the ASKED bit */
};

/*
 * Bits of the visitor word. VISIT and PURGE are set and cleared by visitors, SELF by the owner; ASKED is cleared by the
 * owner. The others are set when the cache becomes what they say, and stay. All are at least
 * MAG_BIAS_BIT_MIN, so that a user can compare what it has, a number below that, with the
 * word: one branch for "too little" and "visited".
 */
#define MAG_BIAS_BIT_MIN 0x0400u
#define MAG_BIAS_VISIT 0x0400u     /**< a visitor is here or about to be */
#define MAG_BIAS_PURGE 0x0800u     /**< it empties everything: use the slab layer only */
#define MAG_BIAS_FENCE_BIT 0x1000u /**< the owner enters by mag_bias_enter_careful() */
#define MAG_BIAS_ASKED 0x2000u     /**< nobody may visit: hand your magazines in */
#define MAG_BIAS_SELF 0x4000u      /**< the owner keeps itself out (populate) */
#define MAG_BIAS_HOMES 0x8000u     /**< several nodes: which slot it is depends on the object */
#define MAG_BIAS_WATCHED 0x10000u  /**< each object is looked at, or tagged, on its way (audit.h) */

/** The bits that turn an owner away; the others only slow it down. */
#define MAG_BIAS_AWAY (MAG_BIAS_VISIT | MAG_BIAS_PURGE | MAG_BIAS_SELF)

/** Written by others than the owner, and seldom by it. */
struct mag_bias_visitor {
	_Atomic uint32_t word;
};

/** Written by the owner only. */
struct mag_bias_owner {
	_Atomic uint32_t busy;
};

/**
 * Owner: become busy, then look. When the word that is returned is 0 the owner is in; if
 * not it must leave at once, and the slow path decides. Either way mag_bias_leave() follows.
 */
static inline uint32_t
mag_bias_mark(struct mag_bias_owner *owner, struct mag_bias_visitor *visitor)
{
	atomic_store_explicit(&owner->busy, 1, memory_order_relaxed);
	/* The visitor's membarrier is the other half of this fence. */
	atomic_signal_fence(memory_order_seq_cst);
	/* acquire: pairs with the visitor's release in mag_bias_dismiss() */
	return atomic_load_explicit(&visitor->word, memory_order_acquire);
}

/** Owner: enter, or false with the lock not held because a bit of the visitor word is set. */
static inline bool
mag_bias_enter(struct mag_bias_owner *owner, struct mag_bias_visitor *visitor)
{
	if (likely(mag_bias_mark(owner, visitor) == 0))
		return true;
	atomic_store_explicit(&owner->busy, 0, memory_order_release);
	return false;
}

static inline void
mag_bias_leave(struct mag_bias_owner *owner)
{
	/* release: pairs with the visitor's acquire in mag_bias_granted() */
	atomic_store_explicit(&owner->busy, 0, memory_order_release);
}

/**
 * Owner, slow path: enter although FENCE or ASKED is set; with FENCE, by a full
 * fence. False when a visitor turns the owner away.
 */
bool mag_bias_enter_careful(struct mag_bias_owner *owner, struct mag_bias_visitor *visitor);

/** Visitor: announce; bits are VISIT, with PURGE or without. */
static inline void
mag_bias_announce(struct mag_bias_visitor *visitor, uint32_t bits)
{
	/* Ordered before the look at busy by mag_bias_fence(). */
	atomic_fetch_or_explicit(&visitor->word, bits, memory_order_relaxed);
}

/**
 * Visitor: one fence for all owners that were announced to. Counts the membarriers sent.
 *
 * @return
 *   0; or the negative errno of a membarrier that failed: an owner that has read its word before may be
 *   inside without being seen busy, so nothing may be touched.
 */
int mag_bias_fence(enum mag_bias_mode mode);

/** Visitor: is the owner out? Waits for it until the TSC reaches the deadline. */
bool mag_bias_granted(struct mag_bias_owner *owner, uint64_t deadline);

/** Visitor: go; whatever was done to the owner's data becomes visible to it. */
static inline void
mag_bias_dismiss(struct mag_bias_visitor *visitor, uint32_t bits)
{
	/* release: pairs with the owner's acquire in mag_bias_enter() */
	atomic_fetch_and_explicit(&visitor->word, ~bits, memory_order_release);
}

/**
 * A membarrier has failed with this errno, and the slots have been let go: this process visits
 * by membarrier no more. The first time, a line of the log says so.
 */
void mag_bias_give_up(int error);
bool mag_bias_has_given_up(void);

/** Register with the kernel: when the library is loaded, and again in a forked child that takes over. */
void mag_bias_register(void);

/**
 * What this process can do: MEMBARRIER where the kernel has it (registered when the
 * library was loaded), FENCE elsewhere and once one has failed.
 */
enum mag_bias_mode mag_bias_best(void);

/** Test hook: pretend that the kernel has no membarrier, or again that it has one that never failed. */
void mag_bias_forbid_membarrier(bool forbid);

/** Membarriers that this process has sent. */
uint64_t mag_bias_membarriers(void);

#endif /* MAG_BIAS_H */
