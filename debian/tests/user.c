/* SPDX-License-Identifier: BSD-3-Clause */

/* All objects of a cache, and all of a pool, can be had, and go back. */

#include <stdio.h>
#include <stdlib.h>

#include <rte_debug.h>
#include <rte_eal.h>
#include <rte_mempool.h>

#include <mag_cache.h>
#include <mag_inline.h>
#include <mag_region.h>

#define OBJECTS 1000

static void *objects[OBJECTS];

static void
cache_of_objects(void)
{
	struct mag_region_params from = MAG_REGION_PARAMS_INIT;
	struct mag_cache_params params = MAG_CACHE_PARAMS_INIT;
	struct mag_cache *cache;

	from.name = params.name = "objects";
	from.object_size = params.object_size = 128;
	from.objects = OBJECTS;
	params.region = mag_region_create(&from);
	cache = params.region == NULL ? NULL : mag_cache_create(&params);
	if (cache == NULL)
		rte_exit(EXIT_FAILURE, "no cache\n");
	for (int n = 0; n < OBJECTS; n++) {
		objects[n] = mag_cache_alloc(cache);
		if (objects[n] == NULL)
			rte_exit(EXIT_FAILURE, "no object %d\n", n);
	}
	for (int n = 0; n < OBJECTS; n++)
		mag_cache_free(cache, objects[n]);
	if (mag_cache_destroy(cache) != 0 || mag_region_destroy(params.region) != 0)
		rte_exit(EXIT_FAILURE, "objects are missing\n");
}

static void
pool_by_name(void)
{
	struct rte_mempool *pool =
		rte_mempool_create_empty("pool", OBJECTS, 128, 0, 0, SOCKET_ID_ANY, 0);

	if (pool == NULL || rte_mempool_set_ops_byname(pool, "magazine", NULL) != 0 ||
	    rte_mempool_populate_default(pool) < OBJECTS)
		rte_exit(EXIT_FAILURE, "no pool\n");
	if (rte_mempool_get_bulk(pool, objects, OBJECTS) != 0)
		rte_exit(EXIT_FAILURE, "not all objects of the pool can be had\n");
	rte_mempool_put_bulk(pool, objects, OBJECTS);
	if (rte_mempool_avail_count(pool) != OBJECTS)
		rte_exit(EXIT_FAILURE, "the pool has lost objects\n");
	rte_mempool_free(pool);
}

int
main(int argc, char **argv)
{
	if (rte_eal_init(argc, argv) < 0)
		rte_exit(EXIT_FAILURE, "no EAL\n");
	cache_of_objects();
	pool_by_name();
	return rte_eal_cleanup() == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
