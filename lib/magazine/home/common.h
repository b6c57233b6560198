/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_COMMON_H
#define MAG_COMMON_H

/*
 * What all homes of a cache have in common: callbacks, what is done with objects on their way, the
 * type of magazines, objects in transit, counters. A part of the cache, to which each home points.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_branch_prediction.h>
#include <rte_common.h>

#include "base/counter.h"
#include "mag_cache.h"
#include "slot/bias.h"
#include "slot/hands.h"

struct mag_callbacks {
	mag_constructor constructor;
	mag_destructor destructor;
	mag_release release;
	void *arg;
};

/* Bits of struct mag_common's watch (watch.h). */

/** Each object is with a user or not: guard. */
#define MAG_WATCH_STATE 0x1u
/** And the last user of each, and the last free: STATE is set too. */
#define MAG_WATCH_AUDIT 0x2u
/** Use counts: some object has, or had, users. */
#define MAG_WATCH_USES 0x4u
/** Who drew each object, where it leaves depot and slabs: the fast path stays open. */
#define MAG_WATCH_HOLDERS 0x10u
/** Of some objects the last user: audit=1/N. */
#define MAG_WATCH_SAMPLE 0x20u
/** A touch of an object that is not with a user is reported. */
#define MAG_WATCH_POISON 0x8u
/** Writes to an object that is not with a user are looked for: STATE is set too. */
#define MAG_WATCH_CHECK 0x40u
/** And nobody needs what is in such an object: it is filled. */
#define MAG_WATCH_FILL 0x80u

/** What all homes of a cache have in common. */
struct mag_common {
	/* Never changes after creation. */
	struct mag_callbacks
		*callbacks; /**< NULL: none; only for the process that made the cache */
	uint32_t chunk_size;
	enum mag_bias_mode bias;
	bool clears; /**< objects are zeroed before they go to the slab layer */

	/**
	 * Rounds of the type in force; changed inside the perimeter, when every slot of every home
	 * is off.
	 */
	_Atomic uint32_t type;
	_Atomic uint32_t watch; /**< what is looked at; bits are only added */
	/**
	 * Objects in hands that will put them where they can be had (reap, purge, steal), or may:
	 * those of a request that wants more.
	 */
	_Atomic uint64_t transit MAG_ALIGNED(RTE_CACHE_LINE_SIZE);
	_Atomic uint64_t zeroes, alloc_fails, steals, steal_denied, visits_denied;
	_Atomic uint64_t failed_gets; /**< allocations that got less than they had to */
};

/**
 * A request that may need several steps, {0} at first. While it has less than it wants, what it has
 * is in transit: threads that want less then know that it may come back.
 */
struct mag_request {
	uint64_t transit; /**< objects that it holds in transit */
	bool has_hands;   /**< it has said so (hands.h) */
	bool refused;     /**< there are more, but the constructor refused */
	bool some;        /**< set by the caller: fewer than it wants are welcome, too */
	bool may_wait;    /**< set by the caller, with no lock held: so may the constructor */
};

/** Objects are about to leave magazines, lists and slabs for somebody's hands. */
static inline void
mag_transit_begin(struct mag_common *common, uint64_t objects)
{
	MAG_STAT_ADD(common->transit, objects);
	/*
	 * release: a thread that sees the objects gone, and then reads transit, sees this; free on
	 * x86
	 */
	atomic_thread_fence(memory_order_release);
}

/** They are where others can have them, or with a user. */
static inline void
mag_transit_end(struct mag_common *common, uint64_t objects)
{
	/* release: a thread that sees the objects gone from here sees where they went */
	atomic_fetch_sub_explicit(&common->transit, objects, memory_order_release);
}

/** A request has more objects, and wants more still. Before anybody can see them gone. */
static inline void
mag_request_hold(struct mag_common *common, struct mag_request *request, uint64_t objects)
{
	if (!request->has_hands)
		mag_hands_begin();
	request->has_hands = true;
	mag_transit_begin(common, objects);
	request->transit += objects;
}

/** Some of them are where others can have them. */
static inline void
mag_request_let_go(struct mag_common *common, struct mag_request *request, uint64_t objects)
{
	mag_transit_end(common, objects);
	request->transit -= objects;
}

/** Its objects are with a user, or where others can have them. */
static inline void
mag_request_end(struct mag_common *common, struct mag_request *request)
{
	if (unlikely(request->transit != 0))
		mag_request_let_go(common, request, request->transit);
	if (unlikely(request->has_hands))
		mag_hands_end();
	request->has_hands = false;
}

#endif /* MAG_COMMON_H */
