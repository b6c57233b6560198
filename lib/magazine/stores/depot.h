/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_DEPOT_H
#define MAG_DEPOT_H

/*
 * The depot: one list of full and one list of empty magazines, without
 * a lock.
 *
 * Invariant: a magazine on the full list holds exactly the rounds of its type,
 * one on the empty list none. All magazines of a depot are of one type: it is
 * emptied before the type changes, when no slot can reach it.
 *
 * The head of a list, its total and the lowest total since the last update are
 * one word of 16 bytes, changed by one compare-exchange: so the working set is
 * exact, and a thread that is stopped anywhere in here blocks nobody. The tag
 * counts takes, so that a head that has come back (ABA) is not mistaken for
 * one that never left: for that somebody must have taken it. 48 bits do not wrap
 * while a thread sleeps. Links of
 * magazines just taken by others may be read: magazines are type-stable, and
 * what was read is thrown away when the exchange fails. That holds for a chain of
 * any length: links below a head change only when the head has been taken, which a
 * tag would show. A longer walk only fails more often.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/atomic128.h"
#include "parts/arena.h"

/**
 * Magazines that a reap takes at once, at most. The working set is locked while they are destroyed,
 * and they are in nobody's reach: 8,160 objects of the largest type.
 */
#define MAG_DEPOT_CHAIN 16u

/**
 * lo: index of the first magazine (32 bits), total (24), min bits 0-7
 * hi: min bits 8-23 (16), tag (48)
 */
struct mag_depot_list {
	struct mag_u128 head;
	_Atomic uint32_t contention; /**< takes whose first exchange failed */
	uint32_t reaplimit;          /**< under the working set lock; also read without */
	_Atomic uint64_t reaped;     /**< magazines; written under the same lock */
} MAG_ALIGNED(128);

struct mag_depot {
	struct mag_depot_list full;
	struct mag_depot_list empty;
	struct mag_arena *arena; /**< never changes */
};

_Static_assert(sizeof(struct mag_depot_list) == 128, "two lists never share a line");

/** What a list's head says, unpacked. */
struct mag_depot_head {
	uint32_t index;
	uint32_t total;
	uint32_t min;
	uint64_t tag;
};

void mag_depot_init(struct mag_depot *depot, struct mag_arena *arena);

/**
 * Take up to want (1 or 2) magazines at once.
 *
 * @param got
 *   Filled with what was taken.
 * @return
 *   How many: 0 when the list is empty.
 */
unsigned int mag_depot_take(struct mag_depot *depot, struct mag_depot_list *list, unsigned int want,
			    struct mag_magazine *got[2]);
void mag_depot_put(struct mag_depot_list *list, struct mag_magazine *magazine);

/**
 * For a look at a list that others use meanwhile: the magazine behind one, NULL for the first.
 * Returns NULL behind the last one, or where the one that was given has left for the other list.
 * What is returned may have been taken by then: then its rounds lay there until a moment ago.
 */
struct mag_magazine *mag_depot_look(const struct mag_depot *depot,
				    const struct mag_depot_list *list,
				    const struct mag_magazine *behind);

struct mag_depot_head mag_depot_head(const struct mag_depot_list *list);

/** How often the list was taken from. */
static inline uint64_t
mag_depot_taken(const struct mag_depot_list *list)
{
	return mag_depot_head(list).tag;
}

/** Magazines on the list now. */
uint32_t mag_depot_total(const struct mag_depot_list *list);

/**
 * Magazines that came to the list so far, and those that left it, without a lock. Takes leave no
 * more behind than their number, so each counts for the most that it may have had. The difference
 * of the first, read before a moment, and the second, read after it, is never more than was on the
 * list at that moment.
 */
uint64_t mag_depot_in(const struct mag_depot_list *list);
uint64_t mag_depot_out(const struct mag_depot_list *list);

/** Working set update: reaplimit = min; min = total. Maintenance only. */
void mag_depot_update(struct mag_depot *depot);
/** Working set zero: reaplimit = min = total. True when that changed anything. */
bool mag_depot_zero(struct mag_depot *depot);
/** Magazines of the list that may be reaped: MIN(reaplimit, min). Under the working set lock. */
uint32_t mag_depot_reapable(struct mag_depot_list *list);
/**
 * Take up to want of the magazines that may be reaped, as one chain, and lower reaplimit by them: a
 * second reap in an interval leaves the working set alone. Under the working set lock. Counts as
 * one take, and never as contention.
 *
 * @param got
 *   Filled with what was taken.
 * @return
 *   How many: fewer than want where there are not so many, where want is more than MAG_DEPOT_CHAIN,
 *   or where others took from the list meanwhile; 0 only when none may be reaped.
 */
unsigned int mag_depot_reap(struct mag_depot *depot, struct mag_depot_list *list, unsigned int want,
			    struct mag_magazine *got[MAG_DEPOT_CHAIN]);
/** Takes that met another thread, on both lists, since the depot was made. */
uint64_t mag_depot_contention(const struct mag_depot *depot);

#endif /* MAG_DEPOT_H */
