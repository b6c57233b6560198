/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Objects between the slab layer and what is above it: constructed and destructed, cleared, tagged.
 */

#include <errno.h>
#include <string.h>

#include <rte_branch_prediction.h>

#include "base/memtag.h"
#include "base/poison.h"
#include "home/object.h"
#include "home/slab_objects.h"
#include "parts/mirror.h"
#include "stores/snapshot.h"

/* A signal handler may read it: it must not be allocated when it is first touched. */
_Thread_local unsigned int mag_callback_depth MAG_INITIAL_EXEC;

/* A callback is going to touch an object that is not with a user; and it has. */

static void
object_unpoison(const struct mag_common *common, const struct mag_slab_layer *slab, void *object)
{
	if (unlikely(MAG_STAT(common->watch) & MAG_WATCH_POISON))
		mag_unpoison(object, slab->region->object_size);
}

static void
object_poison(const struct mag_common *common, const struct mag_slab_layer *slab, void *object)
{
	if (unlikely(MAG_STAT(common->watch) & MAG_WATCH_POISON))
		mag_poison(object, slab->region->object_size);
}

/* What is known to be an object gets another tag: its pointer. */
void *
mag_object_retag(const struct mag_slab_layer *slab, void *object)
{
	const struct mag_mirror *mirror = mag_region_mirror(slab->region);
	char *its;

	object = mag_memtag_fresh(object, slab->region->object_size);
	if (mirror == NULL)
		return object;
	its = mag_mirror_of(mirror, object);
	memcpy(its + mirror->back, &object, sizeof(object));
	return object;
}

void
mag_objects_retag(const struct mag_slab_layer *slab, void **objects, unsigned int n)
{
	unsigned int i;

	for (i = 0; mag_object_is_tagged(slab) && i < n; i++)
		objects[i] = mag_object_retag(slab, objects[i]);
}

static void
call_destructor(const struct mag_callbacks *callbacks, void *object)
{
	if (callbacks == NULL || callbacks->destructor == NULL)
		return;
	mag_callback_depth++;
	callbacks->destructor(object, callbacks->arg);
	mag_callback_depth--;
}

static int
call_constructor(const struct mag_callbacks *callbacks, const struct mag_object_info *object,
		 const struct mag_object_info *mirror, bool may_wait)
{
	int ret;

	/*
	 * This thread holds nothing and could wait itself: the constructor is free to do what its
	 * caller is.
	 */
	if (may_wait)
		return callbacks->constructor(object, mirror, callbacks->arg,
					      MAG_CONSTRUCT_MAY_WAIT);
	mag_callback_depth++;
	ret = callbacks->constructor(object, mirror, callbacks->arg, 0);
	mag_callback_depth--;
	return ret;
}

/* The region's whole object, on its way to the slab layer, if the cache is one that clears. */
static void
object_clear(const struct mag_common *common, const struct mag_slab_layer *slab, void *object)
{
	if (!common->clears)
		return;
	mag_snapshot_set(slab->region, object, MAG_SNAPSHOT_NONE);
	memset(object, 0, slab->region->object_size);
	mag_snapshot_set(slab->region, object, MAG_SNAPSHOT_CLEARED);
}

/* One by one, so that an object that is there twice is destructed once. */
static void
destruct_and_free(const struct mag_common *common, struct mag_slab_layer *slab, void *object)
{
	struct mag_slab_object found;

	if (mag_slab_find(slab, object, &found)) {
		/* Whoever gave it back, it is this one that is touched. */
		if (mag_object_is_tagged(slab))
			object = mag_memtag_pointer(object);
		object_unpoison(common, slab, object);
		mag_snapshot_set(slab->region, object, MAG_SNAPSHOT_NONE);
		call_destructor(common->callbacks, object);
		object_clear(common, slab, object);
		object_poison(common, slab, object);
	}
	mag_slab_free(slab, &object, 1, NULL);
}

void
mag_object_give_back(const struct mag_common *common, struct mag_slab_layer *slab,
		     void *const *objects, unsigned int n, struct mag_magazine *magazine)
{
	const struct mag_callbacks *callbacks = common->callbacks;
	unsigned int i;

	if ((callbacks == NULL || callbacks->destructor == NULL) && !common->clears) {
		mag_slab_free(slab, objects, n, magazine);
		return;
	}
	for (i = n; i-- > 0;) {
		/* Before it is free, and somebody else's: one that dies here loses this object. */
		if (magazine != NULL)
			MAG_STORE(&magazine->held, (uint16_t)i, MAG_RELAXED);
		destruct_and_free(common, slab, objects[i]);
	}
}

static void
object_info(const struct mag_slab_object *found, const struct mag_common *common,
	    const struct mag_slab_layer *slab, struct mag_object_info *info)
{
	info->address =
		mag_object_is_tagged(slab) ? mag_memtag_pointer(found->address) : found->address;
	info->size = common->chunk_size;
	info->bufctl = found->bufctl;
	info->segment_object = found->index;
	info->region_index = found->region_index;
}

/* The same object on the other side; address NULL when there is none. */
static void
mirror_info(const struct mag_object_info *object, const struct mag_slab_layer *slab,
	    struct mag_object_info *mirror)
{
	const struct mag_mirror *find = mag_region_mirror(slab->region);

	*mirror = (struct mag_object_info){.address = NULL};
	if (find == NULL)
		return;
	*mirror = *object;
	mirror->address = mag_mirror_of(find, object->address);
	mirror->size = find->bytes;
	mirror->bufctl = NULL;
}

/*
 * The constructor refused the first of them, which it may touch still; the others have not come to
 * it.
 */
static void
unconstructed_give(const struct mag_common *common, struct mag_slab_layer *slab, void **objects,
		   unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n && common->clears; i++) {
		if (i > 0)
			object_unpoison(common, slab, objects[i]);
		object_clear(common, slab, objects[i]);
		object_poison(common, slab, objects[i]);
	}
	if (i == 0)
		object_poison(common, slab, objects[0]);
	mag_objects_retag(slab, objects, n);
	mag_slab_free(slab, objects, n, NULL);
}

/* Construct n objects; those that could not be are given back. Returns how many stand. */
unsigned int
mag_object_construct(struct mag_common *common, struct mag_slab_layer *slab, void **objects,
		     unsigned int n, bool may_wait)
{
	const struct mag_callbacks *callbacks = common->callbacks;
	struct mag_object_info info, mirror;
	struct mag_slab_object found;
	unsigned int i;

	if (likely(callbacks == NULL || callbacks->constructor == NULL))
		return n;
	for (i = 0; i < n; i++) {
		mag_slab_find(slab, objects[i], &found);
		object_info(&found, common, slab, &info);
		mirror_info(&info, slab, &mirror);
		object_unpoison(common, slab, objects[i]);
		mag_snapshot_set(slab->region, objects[i], MAG_SNAPSHOT_NONE);
		if (call_constructor(callbacks, &info, mirror.address != NULL ? &mirror : NULL,
				     may_wait) != 0)
			break;
	}
	if (i < n) {
		MAG_STAT_ADD(common->alloc_fails, n - i);
		unconstructed_give(common, slab, objects + i, n - i);
	}
	return i;
}

int
mag_object_info(const struct mag_common *common, struct mag_slab_layer *slab, const void *object,
		struct mag_object_info *info, struct mag_object_info *mirror)
{
	struct mag_slab_object found;

	if (!mag_slab_find(slab, object, &found))
		return -EINVAL;
	object_info(&found, common, slab, info);
	if (mirror != NULL)
		mirror_info(info, slab, mirror);
	return 0;
}
