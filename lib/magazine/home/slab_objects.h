/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_SLAB_OBJECTS_H
#define MAG_SLAB_OBJECTS_H

/*
 * What is known of the objects that have left the slab layer, by address: which they are, and, in a
 * cache that is watched (audit.h), whether a user has them and how many users they have. Each call
 * is one critical section of the layer's lock, unless it says otherwise.
 */

#include <stdbool.h>
#include <stdint.h>

#include "home/slab.h"

/** An object that has left the slab layer: what mag_cache_object_info() is made from. */
struct mag_slab_object {
	struct mag_slab *slab; /**< stays while the object is out */
	uint32_t index;        /**< in the segment */
	void *address;
	struct mag_bufctl *bufctl;
	uint32_t uses; /**< when it was found */
	uint64_t region_index;
};

/** Look an address up among those that are out; false when it is not. */
bool mag_slab_find(struct mag_slab_layer *layer, const void *address,
		   struct mag_slab_object *found);

/* What a cache that is watched asks. */

enum mag_slab_verdict {
	MAG_SLAB_GOOD,
	MAG_SLAB_FOREIGN, /**< no object of a slab that there is */
	MAG_SLAB_INSIDE,  /**< an address inside an object */
	MAG_SLAB_FREED,   /**< not with a user */
	MAG_SLAB_USED,    /**< its use count is not 0 */
};

/** Objects that are out are a user's from now on. */
void mag_slab_hand_out(struct mag_slab_layer *layer, void *const *objects, unsigned int n);
/**
 * A user gives an object back. All but a good one are counted as invalid, and left alone.
 *
 * @param guarded
 *   It must have been handed out.
 * @param found
 *   The object, if it is one or has this address inside; address NULL if not.
 */
enum mag_slab_verdict mag_slab_hand_back(struct mag_slab_layer *layer, const void *object,
					 bool guarded, struct mag_slab_object *found);
/**
 * The same for one of which the caller knows already that no user has it: counted as invalid, and
 * left alone. Never GOOD.
 */
enum mag_slab_verdict mag_slab_refuse(struct mag_slab_layer *layer, const void *object,
				      struct mag_slab_object *found);
/**
 * Add to the use count of an object that is with a user.
 *
 * @param guarded
 *   As for mag_slab_hand_back().
 * @param left
 *   Filled with the new count.
 * @return
 *   0; -EINVAL: not out; -ERANGE: it would fall below 0 or rise above max.
 */
int mag_slab_use(struct mag_slab_layer *layer, const void *object, bool guarded, int change,
		 uint32_t max, uint32_t *left);
/**
 * Addresses of up to max objects that are with users, of a guarded cache. Returns how many. The
 * lock is let go after each slab: what comes and goes meanwhile may be missed.
 */
unsigned int mag_slab_held(struct mag_slab_layer *layer, void **objects, unsigned int max);

#endif /* MAG_SLAB_OBJECTS_H */
