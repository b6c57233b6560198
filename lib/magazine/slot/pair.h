/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_PAIR_H
#define MAG_PAIR_H

/*
 * A get or a put that both magazines of a slot suffice for, and loaded alone does not. By the owner
 * of the slot, with no more than mag_inline.h shows of it: the driver inlines these into the one
 * call behind its fast path. slot.h has the invariants.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/counter.h"
#include "mag_inline.h"

/*
 * Why the fields of a slot may not belong together just now: the word `torn`, for whoever puts it
 * in order should the thread be killed meanwhile (recover.h). At any other instruction a slot is
 * whole.
 */

/** Loaded, whose address is in the word too, is empty and changes places with previous, full. */
#define MAG_TORN_SWAP_EMPTY 0x1u
/** The same; loaded is full, previous empty. */
#define MAG_TORN_SWAP_FULL 0x2u
/** Loaded comes or goes: it is not the slot's any more. It, and what comes, say what they hold. */
#define MAG_TORN_LOADED 0x4u
/** The same of previous. */
#define MAG_TORN_PREVIOUS 0x8u
#define MAG_TORN_BITS 0xfu

_Static_assert(MAG_TORN_BITS < 64, "magazines are aligned to a line");

static inline void
mag_slot_torn_begin(struct mag_slot *slot, uint64_t torn)
{
	/* After what comes before, and before the rest, as the same thread's instructions go. */
	MAG_SIGNAL_FENCE(MAG_SEQ_CST);
	MAG_STORE(&slot->torn, torn, MAG_RELAXED);
	MAG_SIGNAL_FENCE(MAG_SEQ_CST);
}

static inline void
mag_slot_torn_end(struct mag_slot *slot)
{
	/* After the rest, and before what follows. */
	MAG_SIGNAL_FENCE(MAG_SEQ_CST);
	MAG_STORE(&slot->torn, 0, MAG_RELAXED);
	MAG_SIGNAL_FENCE(MAG_SEQ_CST);
}

/**
 * The two magazines change places: step 2 of an allocation. Previous must be there. A full one that
 * becomes previous is counted there before it is no longer counted in loaded: mag_slot_objects()
 * misses nothing.
 */
MAG_INLINE void
mag_slot_swap(struct mag_slot *slot, unsigned int torn)
{
	struct mag_magazine *loaded = slot->loaded;
	uint32_t previous = MAG_STAT(slot->previous_rounds);

	mag_slot_torn_begin(slot, (uintptr_t)loaded + torn);
	MAG_STORE(&slot->loaded, slot->previous, MAG_RELAXED);
	MAG_STORE(&slot->previous, loaded, MAG_RELAXED);
	MAG_STORE(&slot->capacity, slot->loaded->rounds, MAG_RELAXED);
	MAG_STORE(&slot->previous_rounds, MAG_STAT(slot->rounds), MAG_RELAXED);
	/* release: pairs with the acquire in mag_slot_objects() */
	MAG_STORE(&slot->rounds, previous, MAG_RELEASE);
	mag_slot_torn_end(slot);
}

/**
 * What comes next when mag_slot_get() fails, before the slow path: n objects from both
 * magazines, or false with nothing changed. Also false if a visitor has come and gone and loaded
 * suffices now.
 */
MAG_INLINE bool
mag_slot_get_both(struct mag_slot *slot, void **objects, uint32_t n)
{
	int64_t visitor = mag_slot_enter(slot);
	uint32_t rounds = MAG_STAT(slot->rounds), previous = MAG_STAT(slot->previous_rounds);

	if (visitor != 0 || n <= rounds || n > rounds + previous) {
		mag_slot_leave(slot);
		return false;
	}
	mag_slot_count(&slot->allocs, n);
	mag_slot_copy(objects, mag_magazine_round(slot->loaded, 0), rounds);
	MAG_STORE(&slot->rounds, 0, MAG_RELAXED);
	mag_slot_swap(slot, MAG_TORN_SWAP_EMPTY);
	previous -= n - rounds;
	mag_slot_copy(objects + rounds, mag_magazine_round(slot->loaded, previous), n - rounds);
	MAG_STORE(&slot->rounds, previous, MAG_RELAXED);
	mag_slot_leave(slot);
	return true;
}

/** The same for mag_slot_put(), if the cache has one node: n objects into both magazines. */
MAG_INLINE bool
mag_slot_put_both(struct mag_slot *slot, void *const *objects, uint32_t n)
{
	int64_t visitor = mag_slot_enter_put(slot);
	uint32_t rounds = MAG_STAT(slot->rounds), room = MAG_STAT(slot->capacity) - rounds;

	if (visitor != 0 || slot->previous == NULL || MAG_STAT(slot->previous_rounds) != 0 ||
	    n <= room || n > room + slot->previous->rounds) {
		mag_slot_leave(slot);
		return false;
	}
	mag_slot_copy(mag_magazine_round(slot->loaded, rounds), objects, room);
	/* release: as in mag_slot_put() */
	MAG_STORE(&slot->rounds, rounds + room, MAG_RELEASE);
	mag_slot_swap(slot, MAG_TORN_SWAP_FULL);
	mag_slot_copy(mag_magazine_round(slot->loaded, 0), objects + room, n - room);
	MAG_STORE(&slot->rounds, n - room, MAG_RELEASE);
	mag_slot_leave(slot);
	return true;
}

#endif /* MAG_PAIR_H */
