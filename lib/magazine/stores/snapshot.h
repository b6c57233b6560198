/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_SNAPSHOT_H
#define MAG_SNAPSHOT_H

/*
 * What an object had in it when it was freed, of a region with MAG_REGION_CHECK: beside each
 * object, found by its address (mirror.h). A copy of some of its bytes (region->span), or the word
 * that all of them have one value.
 *
 * Who may touch it: whoever has the object in its hands. The state is written last when a snapshot
 * is made, and before anything else touches the object: where a process dies in between, the object
 * has no snapshot, or it is still as its snapshot says.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/counter.h"
#include "mag_mirror.h"
#include "parts/mirror.h"
#include "stores/region.h"

enum mag_snapshot_state {
	MAG_SNAPSHOT_NONE = 0, /**< nothing is known */
	MAG_SNAPSHOT_COPIED,   /**< some bytes are as they were */
	MAG_SNAPSHOT_FILLED,   /**< all bytes are MAG_SNAPSHOT_FILL */
	MAG_SNAPSHOT_CLEARED,  /**< all bytes are 0 */
};

/** Bytes behind an object of a pool that are copied when it is handed out. */
#define MAG_SNAPSHOT_BEHIND 4u
/** What freed objects are filled with. */
#define MAG_SNAPSHOT_FILL 0xfeu

struct mag_snapshot {
	uint32_t state;                      /**< enum mag_snapshot_state */
	uint8_t behind[MAG_SNAPSHOT_BEHIND]; /**< while a user has it: what is behind it */
	uint8_t copy[];                      /**< of all spans, one behind the other */
};

_Static_assert(sizeof(struct mag_snapshot) + MAG_SNAPSHOT_COPY == MAG_SNAPSHOT_BYTES,
	       "a region has room for a snapshot");

/** Of an object of a region that has them. */
static inline struct mag_snapshot *
mag_snapshot_of(const struct mag_region *region, const void *object)
{
	return mag_mirror_of(&region->check->find, object);
}

/** An object is in this state, if the region has snapshots at all. */
static inline void
mag_snapshot_set(const struct mag_region *region, const void *object, enum mag_snapshot_state state)
{
	if (region->check != NULL)
		MAG_STORE(&mag_snapshot_of(region, object)->state, state, MAG_RELEASE);
}

/**
 * What is copied of the objects of a pool, before it has any.
 *
 * @param header
 *   Bytes before each object that are no other's, of which the first `unused` ones are nobody's.
 * @param trailer
 *   Bytes behind each object that are no other's, and stay as they are.
 * @param is_mbuf
 *   They begin with a struct rte_mbuf.
 * @param data
 *   Offset of data in an mbuf's own buffer; 0: it has none.
 */
void mag_snapshot_layout(struct mag_region *region, uint32_t header, uint32_t unused,
			 uint32_t trailer, bool is_mbuf, uint32_t data);
/** Copy what an object has in it now. */
void mag_snapshot_take(const struct mag_region *region, const void *object,
		       struct mag_snapshot *snapshot);
/** Is an object still as its snapshot, which it has, says? */
bool mag_snapshot_holds(const struct mag_region *region, const void *object,
			const struct mag_snapshot *snapshot);
/** Do all n bytes, not 0, have this value? */
bool mag_snapshot_is_all(const void *bytes, size_t n, uint8_t value);

#endif /* MAG_SNAPSHOT_H */
