/* SPDX-License-Identifier: BSD-3-Clause */

/* Every public header, as C++ sees it. */

#include "mag_cache.h"
#include "mag_maint.h"
#include "mag_mirror.h"
#include "mag_region.h"
#include "mag_stats.h"
#include "rte_mempool_magazine.h"

void *mirror_of_each(const struct mag_mirror *mirror, const void *object);

unsigned int wait_and_free(struct mag_cache *cache, void **objects, unsigned int n);

unsigned int
wait_and_free(struct mag_cache *cache, void **objects, unsigned int n)
{
	n = mag_cache_alloc_wait_bulk(cache, objects, n, MAG_WAIT_DEFAULT);
	mag_cache_free_nocache_bulk(cache, objects, n);
	return MAG_CONSTRUCT_MAY_WAIT;
}

void *
mirror_of_each(const struct mag_mirror *mirror, const void *object)
{
	return mag_mirror_object(mirror, mag_mirror_of(mirror, object));
}
