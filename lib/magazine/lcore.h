/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_LCORE_H
#define MAG_LCORE_H

/*
 * The lcore layer: two magazines per lcore, and the fast path (spec 4, design 4).
 *
 * Slots. An lcore cache is a slot, owned by one thread: a thread with an lcore id
 * claims a slot when it first comes by, of the same number if that is free, and
 * finds it again through a thread-local offset. So a slot has one owner even when
 * lcore ids are given back and taken by another thread. All caches use the same
 * slot number for the same thread. Threads without an lcore id, those that came when
 * all slots were taken or whose end pthread_setspecific(3) would not tell, and all threads of
 * secondary processes, whose lcore numbers collide with ours, use the shared slot, which is
 * guarded by a lock.
 *
 * Invariant: previous is full, empty or absent, never partial.
 *
 * Who may touch what: the bits of a visit are written by visitors, under the
 * cache's visit lock; the line of the owner by the owner between
 * mag_bias_enter() and mag_bias_leave(), or by a visitor to whom that was granted.
 * Round counts are also read, as an estimate, by threads that hold nothing.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <rte_branch_prediction.h>
#include <rte_common.h>

#include "arena.h"
#include "bias.h"
#include "counter.h"
#include "depot.h"
#include "mag_inline.h"
#include "type.h"

struct mag_lcore {
	/* The visitor's line; the owner only reads it, but for what it notes when it is refused. */
	struct mag_bias_visitor visitor;
	_Atomic uint32_t size;        /**< rounds of the type in force; 0 = layer off */
	_Atomic uint64_t visited_out; /**< rounds that visitors took away */
	_Atomic uint64_t refused; /**< the driver's: which optional request was, last; 0: none */

	/* The owner's line. */
	struct mag_bias_owner owner __attribute__((aligned(64)));
	_Atomic uint32_t rounds;          /**< in loaded */
	_Atomic uint32_t capacity;        /**< of loaded; 0 = no magazine loaded */
	_Atomic uint32_t previous_rounds; /**< in previous */
	struct mag_magazine *loaded;
	struct mag_magazine *previous;
	_Atomic uint64_t allocs;     /**< objects handed to users */
	_Atomic uint64_t rounds_in;  /**< rounds that came from depot and slabs */
	_Atomic uint64_t rounds_out; /**< rounds that went to depot and slabs */
	_Atomic uint32_t exchanges;  /**< magazines changed at the depot */
	_Atomic uint32_t fenced;     /**< has read FENCE: each entry from then on is by a fence */
} __attribute__((aligned(128)));

_Static_assert(sizeof(struct mag_lcore) == 128, "one slot is two lines");
_Static_assert(offsetof(struct mag_lcore, owner) == 64, "owner and visitor never share a line");

/* What mag_inline.h shows is the same. */
_Static_assert(offsetof(struct mag_slot, visitor) == offsetof(struct mag_lcore, visitor),
	       "visitor");
_Static_assert(offsetof(struct mag_slot, busy) == offsetof(struct mag_lcore, owner), "busy");
_Static_assert(offsetof(struct mag_slot, rounds) == offsetof(struct mag_lcore, rounds), "rounds");
_Static_assert(offsetof(struct mag_slot, capacity) == offsetof(struct mag_lcore, capacity),
	       "capacity");
_Static_assert(offsetof(struct mag_slot, loaded) == offsetof(struct mag_lcore, loaded), "loaded");
_Static_assert(offsetof(struct mag_slot, allocs) == offsetof(struct mag_lcore, allocs), "allocs");
_Static_assert(offsetof(struct mag_rounds, round) == offsetof(struct mag_magazine, round), "round");

/** Number of the shared slot; those below it have owners. */
#define MAG_SLOT_SHARED RTE_MAX_LCORE
#define MAG_SLOTS (RTE_MAX_LCORE + 1)

/** This thread's slot, of an array of MAG_SLOTS. */
static __rte_always_inline struct mag_lcore *
mag_lcore_slot(struct mag_lcore *slots)
{
	return (struct mag_lcore *)((char *)slots + mag_lcore_offset);
}

static inline uint32_t
mag_lcore_slot_number(void)
{
	return mag_lcore_offset / sizeof(struct mag_lcore);
}

/**
 * Claim a slot for this thread if it has none and is an lcore of the primary process.
 * Slow path: one load when there is nothing to do.
 */
void mag_lcore_claim(void);
/**
 * Slots that have, or ever had, an owner: all of them have numbers below this. In a
 * secondary process that is not known, and the answer is all there are.
 */
uint32_t mag_lcore_slots(void);
/**
 * Is this a secondary process of DPDK's, or a forked child that has not taken over? Then no thread of it owns a slot.
 */
bool mag_process_is_secondary(void);
/** Slots that have an owner now. */
uint32_t mag_lcore_owners(void);
/**
 * Has the slot an owner? When it has none, whoever claims it then sees what the caller stored before a full fence that
 * came before this call.
 */
bool mag_lcore_is_owned(uint32_t slot);
/** lcore id for which the slot was claimed; LCORE_ID_ANY when it has no owner. */
unsigned int mag_lcore_id_of(uint32_t slot);
/**
 * The owner keeps itself out of its slot, so that its operations take the slow path; a
 * thread that owns none is there anyway.
 */
void mag_lcore_keep_out(struct mag_lcore *lcore, bool out);
/** Whether this process, if it is a forked child, has taken over its parent's caches; set once, at load. */
void mag_lcore_on_fork(bool (*is_heir)(void));
/** In a forked child: its only thread has no slot. */
void mag_lcore_forked(void);
/** The threads that owned slots are dead: all slots can be claimed, with what is in them. */
void mag_lcore_take_over(void);
/** What is to be done for a slot whose owner's thread ends; set once, at load. */
void mag_lcore_on_exit(void (*flush)(uint32_t slot));

/**
 * Copy n pointers. A call of memcpy() costs as much as the copy of a burst; one object
 * has a path of its own, and eight are one turn of the loop.
 */
static __rte_always_inline void
mag_copy(void **to, void *const *from, size_t n)
{
	void **end;

	if (n == 1) {
		*to = *from;
		return;
	}
	if (unlikely(n & 1))
		*to++ = *from++;
	if (unlikely(n & 2)) {
		__builtin_memcpy(to, from, 2 * sizeof(void *));
		to += 2;
		from += 2;
	}
	if (unlikely(n & 4)) {
		__builtin_memcpy(to, from, 4 * sizeof(void *));
		to += 4;
		from += 4;
	}
	for (end = to + (n & ~(size_t)7); to != end; to += 8, from += 8)
		__builtin_memcpy(to, from, 8 * sizeof(void *));
}

_Static_assert(MAG_ROUNDS_MAX < MAG_BIAS_BIT_MIN, "any visitor bit exceeds any number of rounds");

/*
 * Address of a round of the loaded magazine. In integers, because there may be no magazine
 * when nothing is to be copied.
 */
static __rte_always_inline void **
mag_lcore_round(const struct mag_lcore *lcore, int64_t round)
{
	return (void **)((uintptr_t)lcore->loaded + offsetof(struct mag_magazine, round) +
			 round * sizeof(void *));
}

/** Fast path: n objects from the loaded magazine, or false with nothing changed. */
static __rte_always_inline bool
mag_lcore_get(struct mag_lcore *lcore, void **objects, uint32_t n)
{
	int64_t visitor = mag_bias_mark(&lcore->owner, &lcore->visitor);
	int64_t left = (int64_t)MAG_STAT(lcore->rounds) - n;

	/* Too few rounds, or a visitor: 0 <= left holds only without one. */
	if (unlikely(left < visitor)) {
		mag_bias_leave(&lcore->owner);
		return false;
	}
	MAG_COUNT(lcore->allocs, n);
	mag_copy(objects, mag_lcore_round(lcore, left), n);
	atomic_store_explicit(&lcore->rounds, left, memory_order_relaxed);
	mag_bias_leave(&lcore->owner);
	return true;
}

/** Fast path: n objects into the loaded magazine, or false with nothing changed. */
static __rte_always_inline bool
mag_lcore_put(struct mag_lcore *lcore, void *const *objects, uint32_t n)
{
	int64_t visitor = mag_bias_mark(&lcore->owner, &lcore->visitor);
	int64_t rounds = MAG_STAT(lcore->rounds);

	/* Too little room, or a visitor. */
	if (unlikely((int64_t)MAG_STAT(lcore->capacity) - rounds - n < visitor)) {
		mag_bias_leave(&lcore->owner);
		return false;
	}
	mag_copy(mag_lcore_round(lcore, rounds), objects, n);
	atomic_store_explicit(&lcore->rounds, rounds + n, memory_order_relaxed);
	mag_bias_leave(&lcore->owner);
	return true;
}

/**
 * The two magazines change places: spec 4, step 2. Previous must be there. A full one that becomes
 * previous is counted there before it is no longer counted in loaded: mag_lcore_count() misses nothing.
 */
static inline void
mag_lcore_swap(struct mag_lcore *lcore)
{
	struct mag_magazine *loaded = lcore->loaded;
	uint32_t previous = MAG_STAT(lcore->previous_rounds);

	lcore->loaded = lcore->previous;
	lcore->previous = loaded;
	atomic_store_explicit(&lcore->capacity, lcore->loaded->rounds, memory_order_relaxed);
	atomic_store_explicit(&lcore->previous_rounds, MAG_STAT(lcore->rounds),
			      memory_order_relaxed);
	/* release: pairs with the acquire in mag_lcore_count() */
	atomic_store_explicit(&lcore->rounds, previous, memory_order_release);
}

/**
 * What comes next when mag_lcore_get() fails, before the slow path: n objects from both
 * magazines, or false with nothing changed. Also false if a visitor has come and gone and loaded
 * suffices now.
 */
static inline bool
mag_lcore_get_both(struct mag_lcore *lcore, void **objects, uint32_t n)
{
	uint32_t visitor = mag_bias_mark(&lcore->owner, &lcore->visitor);
	uint32_t rounds = MAG_STAT(lcore->rounds), previous = MAG_STAT(lcore->previous_rounds);

	if (visitor != 0 || n <= rounds || n > rounds + previous) {
		mag_bias_leave(&lcore->owner);
		return false;
	}
	MAG_COUNT(lcore->allocs, n);
	mag_copy(objects, mag_lcore_round(lcore, 0), rounds);
	atomic_store_explicit(&lcore->rounds, 0, memory_order_relaxed);
	mag_lcore_swap(lcore);
	previous -= n - rounds;
	mag_copy(objects + rounds, mag_lcore_round(lcore, previous), n - rounds);
	atomic_store_explicit(&lcore->rounds, previous, memory_order_relaxed);
	mag_bias_leave(&lcore->owner);
	return true;
}

/** The same for mag_lcore_put(): n objects into both magazines. */
static inline bool
mag_lcore_put_both(struct mag_lcore *lcore, void *const *objects, uint32_t n)
{
	uint32_t visitor = mag_bias_mark(&lcore->owner, &lcore->visitor);
	uint32_t rounds = MAG_STAT(lcore->rounds), room = MAG_STAT(lcore->capacity) - rounds;

	if (visitor != 0 || lcore->previous == NULL || MAG_STAT(lcore->previous_rounds) != 0 ||
	    n <= room || n > room + lcore->previous->rounds) {
		mag_bias_leave(&lcore->owner);
		return false;
	}
	mag_copy(mag_lcore_round(lcore, rounds), objects, room);
	atomic_store_explicit(&lcore->rounds, rounds + room, memory_order_relaxed);
	mag_lcore_swap(lcore);
	mag_copy(mag_lcore_round(lcore, 0), objects + room, n - room);
	atomic_store_explicit(&lcore->rounds, n - room, memory_order_relaxed);
	mag_bias_leave(&lcore->owner);
	return true;
}

/**
 * Spec 4, allocate, steps 1 to 4: as many of n objects as magazines and depot
 * have. The caller holds the slot.
 */
uint32_t mag_lcore_take(struct mag_lcore *lcore, struct mag_depot *depot, void **objects,
			uint32_t n);
/** Spec 4, free, steps 1 to 4: as many of n objects as find room. The caller holds the slot. */
uint32_t mag_lcore_give(struct mag_lcore *lcore, struct mag_depot *depot, void *const *objects,
			uint32_t n);

/** A magazine that was taken away from a slot, and its valid rounds. */
struct mag_detached {
	struct mag_magazine *magazine;
	uint32_t rounds;
};

/** Take the previous magazine away; magazine is NULL when there is none. Owner or visitor. */
struct mag_detached mag_lcore_detach_previous(struct mag_lcore *lcore);
/** Take the loaded magazine away. Owner or visitor. */
struct mag_detached mag_lcore_detach_loaded(struct mag_lcore *lcore);
/** Visitor: take up to n rounds off the top of loaded. */
uint32_t mag_lcore_pick(struct mag_lcore *lcore, void **objects, uint32_t n);

/**
 * Owner, inside: it has read a visitor word with FENCE. It never reads one without again, so that it always enters by
 * a fence from then on.
 */
static inline void
mag_lcore_acknowledge(struct mag_lcore *lcore, uint32_t word)
{
	if ((word & MAG_BIAS_FENCE_BIT) != 0 && MAG_STAT(lcore->fenced) == 0)
		/*
		 * release: who sees this sees busy too, should this entry have had no fence; pairs with
		 * the acquire in slot_is_fenced()
		 */
		atomic_store_explicit(&lcore->fenced, 1, memory_order_release);
}

/** Objects in both magazines, read without holding the slot. */
static inline uint32_t
mag_lcore_count(const struct mag_lcore *lcore)
{
	/* acquire: pairs with the release in mag_lcore_swap(); loaded is read first */
	uint32_t rounds = atomic_load_explicit(&lcore->rounds, memory_order_acquire);

	return rounds + MAG_STAT(lcore->previous_rounds);
}

#endif /* MAG_LCORE_H */
