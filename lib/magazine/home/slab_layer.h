/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_SLAB_LAYER_H
#define MAG_SLAB_LAYER_H

/*
 * What the slab layer of a home is made of (slab.h), and its lock.
 *
 * The lock of a process that died is broken by whoever waits for it (base/lock.h): lists, table and
 * counts are made anew from each segment's place and the state of each object. A slab is one when
 * its segment's place says so; an object is taken, or back, when its state does. What a dead thread
 * had taken for a user is that user's.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <rte_branch_prediction.h>

#include "base/lock.h"
#include "mag_inline.h"
#include "parts/segment.h"
#include "parts/table.h"
#include "stores/region.h"

enum mag_bufctl_state {
	MAG_BUFCTL_FREE = 0, /**< in the slab layer */
	MAG_BUFCTL_OUT = 1,  /**< has left it; whether a user has it is not known */
	MAG_BUFCTL_USER = 2, /**< with a user, of a cache that is guarded without a ledger */
};

/** Control record of one object, kept apart from it. */
struct mag_bufctl {
	uint16_t next; /**< index of the next free object of the slab */
	uint8_t state; /**< enum mag_bufctl_state */
	uint8_t reserved;
	uint32_t uses; /**< use count: above 0 the object may not be freed */
};

/** End of a chain of free objects. */
#define MAG_NO_OBJECT UINT16_MAX

struct mag_slab {
	TAILQ_ENTRY(mag_slab) link; /**< partial or full list */
	struct mag_segment *segment;
	struct mag_slab_layer *layer;
	uint32_t free;       /**< free objects */
	uint16_t first_free; /**< chain of objects that have been out */
	uint16_t fresh;      /**< objects from here on have not been out yet */
	struct mag_table_entry entry[2];
	struct mag_bufctl bufctl[];
};

TAILQ_HEAD(mag_slab_list, mag_slab);

struct mag_slab_layer {
	struct mag_region *region; /**< never changes */
	uint32_t part;             /**< of the region, that segments come from; never changes */

	/** Guards all below; counts are also read without it. */
	struct mag_lock lock MAG_ALIGNED(128);
	struct mag_magazine *draining; /**< whose rounds are given back just now; NULL: none */
	struct mag_slab_list partial;
	struct mag_slab_list full;
	struct mag_table table;  /**< segments of all slabs */
	_Atomic uint64_t out;    /**< objects that have left the layer */
	_Atomic uint64_t moving; /**< objects of segments on their way from or to the region */
	_Atomic uint32_t slabs_partial;
	_Atomic uint32_t slabs_full;
	_Atomic uint64_t created;
	_Atomic uint64_t destroyed;
	_Atomic uint64_t allocs;  /**< objects */
	_Atomic uint64_t frees;   /**< objects */
	_Atomic uint64_t fails;   /**< slabs that could not be made, of those that were tried */
	_Atomic uint64_t invalid; /**< frees of objects that were not out */
	_Atomic uint64_t in_use;  /**< objects of all existing slabs */
	_Atomic uint64_t in_use_max;
	_Atomic uint32_t rescales;
};

/**
 * Under the lock that was broken: lists, table and counts of a slab layer anew, from the place of
 * each segment of the region and the state of each object. A slab without objects outside leaves
 * the layer: its segment is then one on its way, as of a thread that was killed with it
 * (mag_region_put_strays()). Counts that never fall are raised to what fits.
 *
 * Takes time for each object of the layer. An intrinsic cache has nothing to begin from: its counts
 * stay.
 */
void mag_slab_repair(struct mag_slab_layer *layer);

/** Take the lock, and put in order what a process that died with it has left. For the data path. */
static inline void
mag_slab_lock(struct mag_slab_layer *layer)
{
	if (unlikely(mag_lock_spin(&layer->lock)))
		mag_slab_repair(layer);
}

/** Of an intrinsic cache. */
static inline bool
mag_slab_is_intrinsic(const struct mag_slab_layer *layer)
{
	return layer->region->mode & MAG_REGION_PSEUDO;
}

/**
 * Under the lock: the slab with an object at this address, which may have a tag, and its index; or
 * NULL.
 */
static inline struct mag_slab *
mag_slab_of(const struct mag_slab_layer *layer, uintptr_t address, uint32_t *index)
{
	const struct mag_segment *segment = mag_table_find(&layer->table, address, index);

	return segment != NULL ? segment->control : NULL;
}

#endif /* MAG_SLAB_LAYER_H */
