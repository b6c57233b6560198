/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_MIRROR_PRIVATE_H
#define MAG_MIRROR_PRIVATE_H

/*
 * Mirrors (specification, Regions): how their memory comes and goes, and how the objects of two
 * regions lead to each other.
 *
 * Bytes beside the objects: the mirrors of all objects that begin in one granule of 2 MiB are one
 * allocation, with a place for each multiple of the distance of objects: two objects are never
 * closer, so each has its own. Granules are counted as often as there are segments with objects in
 * them.
 *
 * Readers hold no lock: an entry is filled before its granule is stored, a granule that is
 * gone leaves a 1 behind, and a table that is too small is replaced and kept.
 *
 * A mirror region: two segments, one of each region, are a pair. Either way there is a table of
 * granules of addresses, no larger than the distance between the first objects of any two segments:
 * so what begins in a granule is of one segment that begins before it and of one that begins in it,
 * and an entry says where each of the two leads. A table has room for all the segments that there
 * can be: pairs come and go without memory, and it is never replaced.
 */

#include "base/lock.h"
#include "mag_mirror.h"

struct mag_mirror_owner {
	struct mag_mirror find;
	struct mag_lock lock; /**< guards the table; not held while memory comes or goes */
	uint32_t places;      /**< mirrors of a granule */
	uint32_t shift;       /**< log2 of the distance, rounded down */
	int node;             /**< of the table */
	_Atomic uint64_t memory;
};

/**
 * @param bytes
 *   Of a mirror: 1 to MAG_MIRROR_MAX.
 * @param distance
 *   Bytes from object to object, at the least.
 * @param granules
 *   To expect; the table grows beyond.
 * @return
 *   0, or -ENOMEM.
 */
int mag_mirror_init(struct mag_mirror_owner *owner, uint32_t bytes, uint32_t distance,
		    uint64_t granules, int node);
void mag_mirror_fini(struct mag_mirror_owner *owner);
/** Forget all objects. */
void mag_mirror_clear(struct mag_mirror_owner *owner);

/** Bytes that the mirrors of a granule take, in one piece. */
size_t mag_mirror_granule_size(const struct mag_mirror_owner *owner);

/** Mirrors for objects at these addresses, count of them at a constant stride: 0, or -ENOMEM. */
int mag_mirror_add(struct mag_mirror_owner *owner, uintptr_t first, uint32_t count, size_t stride,
		   int node);
/** The same objects go. */
void mag_mirror_remove(struct mag_mirror_owner *owner, uintptr_t first, uint32_t count,
		       size_t stride);

/** One of two regions whose segments are paired. */
struct mag_mirror_side {
	uint32_t stride; /**< bytes from object to object */
	uint64_t
		apart; /**< from the first object of a segment to that of any other, at the least */
};

struct mag_mirror_pair {
	struct mag_mirror find;
	struct mag_mirror_side side[2]; /**< of the objects; of their mirrors */
	uint32_t block;                 /**< objects of a segment */
	struct mag_lock lock;           /**< one writer of the tables at a time */
};

/**
 * @param pair
 *   With both sides and the block.
 * @param segments
 *   The most that there can be.
 * @return
 *   0, or -ENOMEM.
 */
int mag_mirror_pair_init(struct mag_mirror_pair *pair, uint32_t bytes, uint32_t segments, int node);
void mag_mirror_pair_fini(struct mag_mirror_pair *pair);
/** Two segments, by the addresses of their first objects, lead to each other; or no longer. */
void mag_mirror_pair_add(struct mag_mirror_pair *pair, uintptr_t object, uintptr_t its);
void mag_mirror_pair_remove(struct mag_mirror_pair *pair, uintptr_t object, uintptr_t its);

#endif /* MAG_MIRROR_PRIVATE_H */
