/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TEST_COUNTS_H
#define TEST_COUNTS_H

/*
 * Calls of the library that tell a number beside 0 or an error, as one number: what a test
 * compares. rte_errno has the error.
 */

#include <stdint.h>

#include <rte_errno.h>

#include "mag_cache.h"
#include "mag_region.h"

/** A number that came with this answer. */
static inline unsigned int
with_errno(int ret, unsigned int number)
{
	if (ret != 0)
		rte_errno = -ret;
	return number;
}

/** Segments that a region grew by. */
static inline unsigned int
region_grown(struct mag_region *region, unsigned int segments)
{
	unsigned int grown;
	int ret = mag_region_grow(region, segments, &grown);

	return with_errno(ret, grown);
}

/** Segments that a region gave back. */
static inline unsigned int
region_trimmed(struct mag_region *region, unsigned int keep)
{
	unsigned int trimmed;
	int ret = mag_region_trim(region, keep, &trimmed);

	return with_errno(ret, trimmed);
}

/** Objects of a bulk that waited: n or 0. */
static inline unsigned int
alloc_waited(struct mag_cache *cache, void **objects, unsigned int n, uint64_t timeout_us)
{
	int ret = mag_cache_alloc_wait_bulk(cache, objects, n, timeout_us);

	return with_errno(ret, ret == 0 ? n : 0);
}

/** Users that are left of an object, or an error below 0. */
static inline int64_t
users_left(struct mag_cache *cache, const void *object)
{
	uint32_t left;
	int ret = mag_cache_unuse(cache, object, &left);

	return ret == 0 ? (int64_t)left : ret;
}

/** Objects that are with users. */
static inline unsigned int
objects_held(const struct mag_cache *cache, void **objects, unsigned int max)
{
	unsigned int count;
	int ret = mag_cache_held(cache, objects, max, &count);

	return with_errno(ret, count);
}

#endif /* TEST_COUNTS_H */
