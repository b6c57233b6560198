/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_HOME_H
#define MAG_HOME_H

/*
 * A home: what a cache has on one NUMA node. Depot, arena of magazines, slab layer, and one slot
 * for each lcore, all in memory of that node. Functions here move objects between this thread's
 * slot of one home, its depot and its slabs; slots of others are touched in sweep.h only.
 *
 * An object belongs to the home that has its part of the region, always, so a home needs nothing of
 * other homes. What all homes of a cache have in common is in struct mag_common, a part of the
 * cache.
 *
 * Locks, outermost first; all homes of a cache are locked in the order of their parts:
 *
 *     list of all caches > perimeter > visit > shared > working set > slab, region, arena (leaves:
 * one at a time)
 *
 * The data path takes shared and the arena by try, slab and region by spinning; visit only to
 * steal. Callbacks run with list, visit or working set held: they must not allocate from the cache
 * that calls them, nor create or destroy caches.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/counter.h"
#include "base/lock.h"
#include "home/common.h"
#include "home/slab.h"
#include "parts/arena.h"
#include "slot/slot.h"
#include "stores/depot.h"

/**
 * Invariants: each object in a slot, in the depot or out of the slab layer is of this home's part;
 * a full magazine of the depot is of the common type.
 */
struct mag_home {
	/* Never changes after creation. */
	struct mag_common *common;
	int node; /**< of all memory of the home */

	struct mag_arena arena;
	struct mag_lock working_set; /**< guards reaplimits and reaps of the depot */
	struct mag_lock visit;       /**< one sweep over the slots at a time */
	struct mag_lock shared;      /**< guards the shared slot */
	_Atomic uint64_t
		no_magazine; /**< objects freed to the slabs, for want of an empty magazine */
	/** Objects that threads on the shared slot had from, or gave to, the slab layer. */
	_Atomic uint64_t beside_allocs, beside_frees;
	_Atomic uint64_t steal_rest;   /**< TSC until which a denied sweep is not repeated ... */
	_Atomic uint64_t denied_count; /**< ... while the slots still hold as much ... */
	_Atomic uint32_t denied_slot;  /**< ... and the owner that denied is still busy */

	struct mag_slab_layer slab;
	struct mag_depot depot;
	struct mag_slot slot[MAG_SLOTS];
};

/**
 * Depot, slabs and slots of a home whose constant fields are set; the slots are off. 0 or -ENOMEM:
 * then mag_home_fini(), too.
 *
 * @param expected
 *   Objects of the home: sizes the table; 0 = not known.
 * @param arena_bytes
 *   Of its arena, to begin with.
 * @param arena_max
 *   That the arena may come to.
 */
int mag_home_init(struct mag_home *home, struct mag_region *region, uint32_t part,
		  uint64_t expected, size_t arena_bytes, size_t arena_max);
void mag_home_fini(struct mag_home *home);
/**
 * From this thread's magazines, depot and slabs: as many of n as there are. With fewer than n all
 * that were had are in transit, unless the constructor refused.
 */
unsigned int mag_home_take(struct mag_home *home, void **objects, unsigned int n,
			   struct mag_request *request);
/** n blocks from the top of this thread's magazines (slot.h): no lock. False: none. */
bool mag_home_take_blocks(struct mag_home *home, void **first, unsigned int n);
/** mag_home_take(), of a pool, past all slots: from slabs and depot. */
unsigned int mag_home_take_beside(struct mag_home *home, void **objects, unsigned int n,
				  struct mag_request *request);
/** To this thread's magazines, depot or slabs. Never fails. */
void mag_home_give(struct mag_home *home, void *const *objects, unsigned int n);
/** Past the magazines: destruct and free to the slab layer. */
void mag_home_give_past(struct mag_home *home, void *const *objects, unsigned int n);
/** Count objects for this thread that came from, or went, past its magazines. */
void mag_home_count(struct mag_home *home, uint32_t allocs, uint32_t frees);
/** Give back the rounds that a magazine says it holds. */
void mag_home_drain_magazine(struct mag_home *home, struct mag_magazine *magazine);
/** Destroy a magazine with the rounds that it holds. */
void mag_home_destroy_magazine(struct mag_home *home, struct mag_detached detached);
/** Put a magazine where others can have it: a partial one can only be emptied. */
void mag_home_hand_over(struct mag_home *home, struct mag_detached detached);
/**
 * Hand in what this thread's slot holds, and answer a request for it. The caller holds
 * the slot, which is let go.
 */
void mag_home_flush_held(struct mag_home *home, struct mag_slot *slot);
/** Hand in the magazines of one slot, as its owner. */
void mag_home_flush_slot(struct mag_home *home, uint32_t number);

/** Objects in the magazines of all slots, read without holding them. */
static inline uint64_t
mag_home_in_lcores(const struct mag_home *home)
{
	unsigned int i, slots = mag_thread_slots();
	uint64_t sum = mag_slot_objects(&home->slot[MAG_SLOT_SHARED]);

	for (i = 0; i < slots; i++)
		sum += mag_slot_objects(&home->slot[i]);
	return sum;
}

#endif /* MAG_HOME_H */
