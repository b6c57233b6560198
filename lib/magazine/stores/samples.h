/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_SAMPLES_H
#define MAG_SAMPLES_H

/*
 * The sampled objects of a pool (option audit=1/N): which they are, and a record of each.
 *
 * An object is sampled if some bits of its address are those of one chosen object. The bits
 * are the ones that differ from one object to the next, so of any 2^bits objects in a row about one
 * is sampled, always the same, and whoever has an object knows it from the address alone.
 *
 * Records are in a table that is made with the pool, at the place that the bits above those tell.
 * An object gets its place when it is first handed out, by a compare-exchange of the place's
 * address, and keeps it. If another object has it, as may be where the pool's memory is in many
 * pieces, this one is not recorded, and nothing is said of it.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/lock.h"
#include "mag_cache.h"

/** The last transaction of an object. */
struct mag_record {
	struct mag_lock lock; /**< a report may read what somebody else writes */
	uint32_t process;     /**< mag_process_id: the stack has addresses of that process */
	pid_t pid;            /**< for log lines */
	struct mag_transaction last;
};

/** A sampled object. All but its address is under the record's lock. */
struct mag_sample {
	_Atomic uintptr_t object; /**< 0: the place is free */
	struct mag_record record;
	_Atomic uint64_t tsc;     /**< of the last one: the same clock in all processes */
	struct mag_record before; /**< the transaction before the last; its lock is not used */
	char copy[];              /**< the first bytes of the object, while it is free */
};

struct mag_samples {
	uint64_t mask;     /**< bits of an address that tell */
	uint64_t like;     /**< what they are; 1, which no address has: there is no object yet */
	uint32_t shift;    /**< address >> shift is another one for each sampled object */
	uint32_t one_in;   /**< of so many objects one is sampled: a power of two */
	uint32_t bytes;    /**< of an object that are copied */
	uint32_t distance; /**< bytes from place to place */
	uint32_t last;     /**< places, less one */
	char places[] MAG_ALIGNED(RTE_CACHE_LINE_SIZE);
};

/**
 * For a pool of so many objects, which lie stride bytes apart; one in about one_in of them.
 *
 * @return
 *   NULL: no memory.
 */
struct mag_samples *mag_samples_make(uint32_t one_in, uint32_t stride, uint32_t object_size,
				     uint64_t objects, int node);
/** Some object of the pool, before the first one is handed out: it is sampled. */
void mag_samples_begin(struct mag_samples *samples, const void *object);
/** Forget all objects. */
void mag_samples_clear(struct mag_samples *samples);

MAG_INLINE bool
mag_samples_has(const struct mag_samples *samples, const void *object)
{
	return ((uintptr_t)object & samples->mask) == samples->like;
}

/** Is any of n objects sampled? */
bool mag_samples_any(const struct mag_samples *samples, void *const *objects, unsigned int n);

/** The sample of an object; NULL: there is none. With `add` it is made, if there is room. */
struct mag_sample *mag_samples_find(struct mag_samples *samples, const void *object, bool add);
/** The place of that number: its object is 0 if it is free. */
struct mag_sample *mag_samples_at(struct mag_samples *samples, uint32_t place);

#endif /* MAG_SAMPLES_H */
