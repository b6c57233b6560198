/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_SLOT_H
#define MAG_SLOT_H

/*
 * A slot: what one thread has of a cache, two magazines. struct mag_slot and the
 * fast path (mag_slot_get(), mag_slot_put()) are in mag_inline.h, since they are compiled into
 * users; here is what comes next when the loaded magazine does not suffice:
 *
 *     mag_slot_get()       from loaded                          inlined
 *     mag_slot_get_both()  from loaded and previous             one call, pair.h
 *     mag_slot_take()      and from full ones of the depot      the caller holds the slot
 *
 * and the same for a put: mag_slot_put(), mag_slot_put_both(), mag_slot_give().
 *
 * States. Loaded is absent, empty, partial or full. Previous is absent, empty or full, never
 * partial: so whole magazines only go to the depot, and at least one magazine's worth of operations
 * lies between two visits there.
 *
 * Who may touch what:
 * - visitor words: visitors, under the cache's visit lock; SELF: the owner; MAG_PUT_NEAR: who makes
 *   the cache's second home, once; near: never changes;
 * - size, visited_out: visitors inside; refused: the driver, for the owner;
 * - all of the owner's line: the owner between mag_slot_enter() and mag_slot_leave(), or a visitor
 *   to whom that was granted (bias.h). Of the shared slot: the holder of the cache's lock `shared`;
 *   its visitor word always has a bit, so that the fast path fails;
 * - counts of rounds are also read, as an estimate, by threads that hold nothing.
 *
 * In a debugger: rounds + previous_rounds objects are here; loaded->rounds is the magazine's type,
 * and equals capacity. The objects of loaded are at (void **)(loaded + 1), the valid ones first.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/counter.h"
#include "mag_inline.h"
#include "parts/type.h"
#include "slot/bias.h"
#include "slot/pair.h"
#include "slot/thread.h"
#include "stores/depot.h"
#include "stores/region.h"

_Static_assert(sizeof(struct mag_slot) == 128, "one slot is two lines");
_Static_assert(offsetof(struct mag_slot, busy) == 64, "owner and visitor never share a line");
_Static_assert(MAG_ROUNDS_MAX < MAG_BIAS_BIT_MIN, "any visitor bit exceeds any number of rounds");

/**
 * The owner keeps itself out of its slot, so that its operations take the slow path; a
 * thread that owns none is there anyway.
 */
void mag_slot_keep_out(struct mag_slot *slot, bool out);

/**
 * Spec 4, allocate, steps 1 to 4: as many of n objects as magazines and depot
 * have. The caller holds the slot.
 */
uint32_t mag_slot_take(struct mag_slot *slot, struct mag_depot *depot, void **objects, uint32_t n);
/**
 * n blocks of contiguous objects that are on top of the magazines, one block after the other as if
 * each was put whole. False: they are not, and nothing was taken; a full magazine may have come
 * from the depot. The caller holds the slot.
 */
bool mag_slot_take_blocks(struct mag_slot *slot, struct mag_depot *depot,
			  const struct mag_region *region, void **first, uint32_t n);
/** Spec 4, free, steps 1 to 4: as many of n objects as find room. The caller holds the slot. */
uint32_t mag_slot_give(struct mag_slot *slot, struct mag_depot *depot, void *const *objects,
		       uint32_t n);

/**
 * Owner: both magazines say what they hold, and come or go until mag_slot_torn_end(). Should the
 * thread be killed meanwhile, they are of nobody, or of the list that they have come to.
 */
void mag_slot_exchange_begin(struct mag_slot *slot);
/**
 * Put in order a slot that a killed thread has left torn; nobody else is in it. It has done what it
 * was about to do, or has the magazine no more. Also if this is itself cut short, and begun again.
 */
void mag_slot_mend(struct mag_slot *slot);

/** A magazine that was taken away from a slot, and its valid rounds. */
struct mag_detached {
	struct mag_magazine *magazine;
	uint32_t rounds;
};

/** Take the previous magazine away; magazine is NULL when there is none. Owner or visitor. */
struct mag_detached mag_slot_detach_previous(struct mag_slot *slot);
/** Take the loaded magazine away. Owner or visitor. */
struct mag_detached mag_slot_detach_loaded(struct mag_slot *slot);
/** Visitor: take up to n rounds off the top of loaded. */
uint32_t mag_slot_pick(struct mag_slot *slot, void **objects, uint32_t n);

/** Objects in both magazines, read without holding the slot. */
static inline uint32_t
mag_slot_objects(const struct mag_slot *slot)
{
	/* acquire: pairs with the release in mag_slot_swap(); loaded is read first */
	uint32_t rounds = MAG_STAT_ACQUIRE(slot->rounds);

	return rounds + MAG_STAT(slot->previous_rounds);
}

/** Objects that went to users, depot, slabs and visitors so far. What is read next is not older. */
static inline uint64_t
mag_slot_out(const struct mag_slot *slot)
{
	return MAG_STAT_ACQUIRE(slot->allocs) + MAG_STAT_ACQUIRE(slot->rounds_out) +
	       MAG_STAT_ACQUIRE(slot->visited_out);
}

#endif /* MAG_SLOT_H */
