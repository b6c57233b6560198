/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_OBJECT_H
#define MAG_OBJECT_H

/*
 * Objects on their way between the slab layer and what is above it: constructor and destructor run,
 * what a cache clears is cleared, and each object gets another memory tag where a cache has tags.
 */

#include <stdbool.h>

#include "home/common.h"
#include "home/slab.h"
#include "mag_cache.h"

/**
 * Callbacks of caches that this thread is in. It may hold any lock of theirs then, and waits for
 * none that comes before these.
 */
extern _Thread_local unsigned int mag_callback_depth;

/**
 * Construct n objects from the slab layer; those that could not be are given back, and counted.
 *
 * @param may_wait
 *   This thread holds nothing, and the constructor may do what its caller may.
 * @return
 *   How many are constructed.
 */
unsigned int mag_object_construct(struct mag_common *common, struct mag_slab_layer *slab,
				  void **objects, unsigned int n, bool may_wait);
/**
 * Destruct objects, clear them and give them to the slab layer, as the cache does; magazine as
 * mag_slab_free().
 */
void mag_object_give_back(const struct mag_common *common, struct mag_slab_layer *slab,
			  void *const *objects, unsigned int n, struct mag_magazine *magazine);
/** As mag_cache_object_info(). */
int mag_object_info(const struct mag_common *common, struct mag_slab_layer *slab,
		    const void *object, struct mag_object_info *info,
		    struct mag_object_info *mirror);

/** Do objects have memory tags? */
static inline bool
mag_object_is_tagged(const struct mag_slab_layer *slab)
{
	return unlikely(slab->region->mode & MAG_REGION_MEMTAG);
}

/** Another tag for what is known to be an object: its pointer. */
void *mag_object_retag(const struct mag_slab_layer *slab, void *object);
/** The same for n objects, if they have tags. */
void mag_objects_retag(const struct mag_slab_layer *slab, void **objects, unsigned int n);

#endif /* MAG_OBJECT_H */
