/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"

#include <stdlib.h>

#include <rte_service.h>

#include "fixture.h"
#include "mag_stats.h"

struct ground ground;
struct mag_cache *cache;
static bool is_pool;

struct mag_cache *asking;
_Atomic uint64_t asked;

void
fixture_pool(const char *name, uint32_t count, uint32_t size, uint64_t objects,
	     const struct mag_options *options)
{
	struct mag_pool_params params = {
		.name = name,
		.object_size = size,
		.objects = objects,
		.options = *options,
		.node = -1,
	};

	ground = ground_make(count, size, FIXTURE_BLOCK, MAG_REGION_READONLY);
	params.region = ground.region;
	cache = mag_pool_create(&params);
	assert_non_null(cache);
	is_pool = true;
}

void
fixture_cache(uint32_t count, struct mag_cache_params params)
{
	ground = ground_make(count, RTE_ALIGN_CEIL(params.object_size, 16u), FIXTURE_BLOCK, 0);
	params.region = ground.region;
	cache = mag_cache_create(&params);
	assert_non_null(cache);
	is_pool = false;
}

void
fixture_drop(void)
{
	if (is_pool)
		mag_pool_free(cache);
	else
		assert_int_equal(mag_cache_destroy(cache), 0);
	ground_drop(&ground);
}

void
fill(unsigned int n)
{
	void **objects = malloc(n * sizeof(*objects));

	n = mag_cache_alloc_burst(cache, objects, n);
	mag_cache_free_bulk(cache, objects, n);
	free(objects);
}

void
fill_run(void *arg)
{
	fill(*(unsigned int *)arg);
}

void
assert_all_can_be_had(void)
{
	void **objects = malloc(ground.count * sizeof(*objects));

	wait_until(mag_cache_take_all(cache, objects, ground.count, true) == 0);
	assert_distinct(&ground, objects, ground.count);
	mag_cache_give(cache, objects, ground.count);
	wait_until(mag_cache_available(cache) == ground.count);
	free(objects);
}

static void
count_asked(void *arg __rte_unused)
{
	atomic_fetch_add(&asked, 1);
}

void
asking_make(void)
{
	const struct mag_cache_params params = {.size = sizeof(params),
						.name = "asking",
						.object_size = 64,
						.release = count_asked,
						.node = -1};

	asking = mag_cache_create(&params);
	assert_non_null(asking);
}

uint32_t
service_id(void)
{
	uint32_t id;

	assert_int_equal(rte_service_get_by_name("magazine", &id), 0);
	return id;
}
