/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What users may ask of the objects of a cache that is watched: who has which, and how many users
 * they have.
 */

#include <errno.h>
#include <stdint.h>
#include <sys/types.h>

#include "cache/cache.h"
#include "home/slab_objects.h"
#include "watch/audit.h"
#include "watch/watch.h"

int
mag_cache_held(const struct mag_cache *cache, void **objects, unsigned int max, unsigned int *count)
{
	*count = 0;
	/* Only a guarded cache knows. */
	if ((mag_watched(cache) & MAG_WATCH_STATE) == 0)
		return -ENOTSUP;
	*count = mag_watch_held(cache, objects, max);
	return 0;
}

int
mag_cache_transaction(const struct mag_cache *cache, const void *object,
		      struct mag_transaction *last)
{
	struct mag_object_info info;
	pid_t elsewhere;

	if (cache->region->audit == NULL && cache->region->samples == NULL)
		return -ENOTSUP;
	if (mag_cache_object_info(cache, object, &info, NULL) != 0)
		return -EINVAL;
	return mag_audit_last(cache->region, object, last, &elsewhere) ? 0 : -ENOENT;
}

static int
use_change(struct mag_cache *cache, const void *object, int change, uint32_t *left)
{
	struct mag_home *home = mag_cache_home_of(cache, object);
	uint32_t max = cache->region->mode & MAG_REGION_SHAREOK ? UINT32_MAX : 1;
	uint32_t what = mag_watched(cache);

	if (cache->region->mode & MAG_REGION_PSEUDO)
		return -ENOTSUP;
	if (home == NULL)
		return -EINVAL;
	if ((what & MAG_WATCH_USES) == 0)
		mag_watch(cache, MAG_WATCH_USES);
	return mag_slab_use(&home->slab, object, what & MAG_WATCH_STATE, change, max, left);
}

int
mag_cache_use(struct mag_cache *cache, const void *object)
{
	uint32_t left;
	int ret = use_change(cache, object, 1, &left);

	if (ret != -ERANGE)
		return ret;
	return cache->region->mode & MAG_REGION_SHAREOK ? -EOVERFLOW : -EBUSY;
}

int
mag_cache_unuse(struct mag_cache *cache, const void *object, uint32_t *left)
{
	uint32_t now;
	int ret = use_change(cache, object, -1, &now);

	if (ret == 0 && left != NULL)
		*left = now;
	return ret;
}
