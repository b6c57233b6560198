/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The public calls of mag_inline.h as symbols, for languages that do not read C headers. The
 * header's own are static: they have another name here.
 */

#define mag_cache_alloc alloc_inlined
#define mag_cache_free free_inlined
#define mag_cache_alloc_bulk alloc_bulk_inlined
#define mag_cache_alloc_burst alloc_burst_inlined
#define mag_cache_free_bulk free_bulk_inlined
#include "mag_inline.h"
#undef mag_cache_alloc
#undef mag_cache_free
#undef mag_cache_alloc_bulk
#undef mag_cache_alloc_burst
#undef mag_cache_free_bulk

MAG_EXPORTED_BEGIN
void *mag_cache_alloc(struct mag_cache *cache);
void mag_cache_free(struct mag_cache *cache, void *object);
unsigned int mag_cache_alloc_bulk(struct mag_cache *cache, void **objects, unsigned int n);
unsigned int mag_cache_alloc_burst(struct mag_cache *cache, void **objects, unsigned int n);
void mag_cache_free_bulk(struct mag_cache *cache, void *const *objects, unsigned int n);
MAG_EXPORTED_END

void *
mag_cache_alloc(struct mag_cache *cache)
{
	return alloc_inlined(cache);
}

void
mag_cache_free(struct mag_cache *cache, void *object)
{
	free_inlined(cache, object);
}

unsigned int
mag_cache_alloc_bulk(struct mag_cache *cache, void **objects, unsigned int n)
{
	return alloc_bulk_inlined(cache, objects, n);
}

unsigned int
mag_cache_alloc_burst(struct mag_cache *cache, void **objects, unsigned int n)
{
	return alloc_burst_inlined(cache, objects, n);
}

void
mag_cache_free_bulk(struct mag_cache *cache, void *const *objects, unsigned int n)
{
	free_bulk_inlined(cache, objects, n);
}
