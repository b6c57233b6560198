/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * get and put on one lcore, for counting their instructions under valgrind's callgrind.
 *
 * Each cell, a path with a bulk size, is one call of count_cell(), which callgrind is told to count
 * and to dump after: --toggle-collect=count_cell --dump-after=count_cell. So nothing of start-up or
 * warm-up is in a figure. The first cell does nothing: its figure is what the loop costs. The nth
 * dump belongs to the nth line "cell" of the output.
 *
 * No clock and no random number has a part in what runs, and memory is laid out the same way each
 * time, so figures repeat exactly. They depend on CPU, compiler and DPDK's headers: see --build.
 */

#include <dlfcn.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mempool.h>
#include <rte_service.h>
#include <rte_service_component.h>
#include <rte_version.h>

#include "blocks.h"
#include "cache/cache.h"
#include "inlined.h"
#include "nodes.h"
#include "start.h"

#define POOL_OBJECTS 8191
#define OBJECT_SIZE 64
#define BULK_MAX 32
/* More than a mempool's cache of 512 lets pass, and four magazines of a pool this size. */
#define HOLD 1024
/* Rings hold POOL_OBJECTS + 1: with any bulk size this is a whole number of turns. */
#define OPERATIONS 8192
#define WARM_UP (OPERATIONS / 8)
/* Maintenance does not come while the program runs. */
#define OPTIONS "interval=3600"

/* The driver copies by the registers that the CPU has. */
#if defined(__x86_64__)
#define ARCHITECTURE (MAG_CPU_IS_WIDE() ? "x86_64+avx2" : "x86_64")
#elif defined(__aarch64__)
#define ARCHITECTURE "aarch64"
#else
#define ARCHITECTURE "unknown"
#endif

#if defined(__clang__)
#define COMPILER "clang-" RTE_STR(__clang_major__)
#else
#define COMPILER "gcc-" RTE_STR(__GNUC__)
#endif

/* Gets, and as many puts. They are called, not inlined: so nothing moves out of the loop. */
typedef void (*op_fn)(void *target, void **objects, unsigned int bulk);

struct path {
	const char *name; /* handler, size of the mempool's cache, and how it is used */
	const char *ops;  /* NULL: no mempool */
	const char *config;
	unsigned int cache_size;
	unsigned int bulk_max;
	op_fn op;          /* NULL: that of inlined.h */
	unsigned int hold; /* objects that a call of op gets; 0: one bulk */
};

struct cell {
	op_fn op;
	void *target;
	void **objects;
	unsigned int bulk;
	unsigned int calls;
};

static const unsigned int bulks[] = {1, 8, 32};
static const char *plugin, *here; /* file of the driver; folder of this program */

static void
op_none(void *target __rte_unused, void **objects __rte_unused, unsigned int bulk __rte_unused)
{
}

static void
op_failed(const char *what, unsigned int bulk)
{
	fprintf(stderr, "%s: get of %u failed\n", what, bulk);
	exit(EXIT_FAILURE);
}

static void
op_mempool(void *target, void **objects, unsigned int bulk)
{
	struct rte_mempool *mp = target;

	if (unlikely(rte_mempool_get_bulk(mp, objects, bulk) != 0))
		op_failed(mp->name, bulk);
	rte_mempool_put_bulk(mp, objects, bulk);
}

/* Many gets and then as many puts: these reach what is below the mempool's cache, or the depot. */
static void
op_hold(void *target, void **objects, unsigned int bulk)
{
	struct rte_mempool *mp = target;
	unsigned int at;

	for (at = 0; at < HOLD; at += bulk)
		if (unlikely(rte_mempool_get_bulk(mp, objects + at, bulk) != 0))
			op_failed(mp->name, bulk);
	for (at = 0; at < HOLD; at += bulk)
		rte_mempool_put_bulk(mp, objects + at, bulk);
}

static void
op_library(void *target, void **objects, unsigned int bulk)
{
	objects[0] = mag_cache_alloc(target);
	if (unlikely(objects[0] == NULL))
		op_failed("library", bulk);
	mag_cache_free(target, objects[0]);
}

static int32_t
idle_callback(void *arg)
{
	RTE_SET_USED(arg);
	return -EAGAIN;
}

/* A turn of a service that has nothing to do, called by EAL. */
static void
op_service(void *target, void **objects, unsigned int bulk)
{
	const uint32_t *id = target;

	RTE_SET_USED(objects);
	if (unlikely(rte_service_run_iter_on_app_lcore(*id, 0) != 0))
		op_failed("service", bulk);
}

static const struct path nothing = {"none", NULL, NULL, 0, 1, op_none, 0};
static const struct path paths[] = {
	{"magazine/0", "magazine", OPTIONS, 0, BULK_MAX, op_mempool, 0},
	{"magazine/0/hold", "magazine", OPTIONS, 0, BULK_MAX, op_hold, HOLD},
	{"magazine/512", "magazine", OPTIONS, 512, BULK_MAX, op_mempool, 0},
	{"magazine/512/hold", "magazine", OPTIONS, 512, BULK_MAX, op_hold, HOLD},
	{"magazine/0/inline", "magazine", OPTIONS, 0, BULK_MAX, NULL, 0},
	{"magazine/0/nodes", "magazine", OPTIONS, 0, BULK_MAX, op_mempool, 0},
	{"magazine/0/nodes/hold", "magazine", OPTIONS, 0, BULK_MAX, op_hold, HOLD},
	{"magazine/0/guard", "magazine", OPTIONS ",guard=1", 0, BULK_MAX, op_mempool, 0},
	{"magazine/0/sampled", "magazine", OPTIONS ",audit=1/1000", 0, BULK_MAX, op_mempool, 0},
	{"magazine/0/blocks", "magazine", OPTIONS "," BLOCKS_OPTIONS, 0, 8, blocks_op, 0},
	{"library", NULL, OPTIONS, 0, 1, op_library, 0},
	{"library/nodes", NULL, OPTIONS, 0, 1, op_library, 0},
	{"library/service", NULL, OPTIONS, 0, 1, op_service, 0},
	{"floor/service", NULL, NULL, 0, 1, op_service, 0},
	{"floor/0", "floor", NULL, 0, BULK_MAX, op_mempool, 0},
	{"floor/0/hold", "floor", NULL, 0, BULK_MAX, op_hold, HOLD},
	{"ring_mp_mc/0", "ring_mp_mc", NULL, 0, BULK_MAX, op_mempool, 0},
	{"ring_mp_mc/0/hold", "ring_mp_mc", NULL, 0, BULK_MAX, op_hold, HOLD},
	{"ring_mp_mc/512", "ring_mp_mc", NULL, 512, BULK_MAX, op_mempool, 0},
	{"ring_mp_mc/512/hold", "ring_mp_mc", NULL, 512, BULK_MAX, op_hold, HOLD},
};

static void
count_cell(const struct cell *cell)
{
	unsigned int i;

	for (i = 0; i < cell->calls; i++)
		cell->op(cell->target, cell->objects, cell->bulk);
}

/* By a pointer that the compiler cannot see through: no clone of another name is called. */
static void (*volatile const counted)(const struct cell *cell) = count_cell;

static struct rte_mempool *
pool_make(const struct path *path)
{
	struct rte_mempool *mp =
		rte_mempool_create_empty(path->name, POOL_OBJECTS, OBJECT_SIZE, path->cache_size, 0,
					 SOCKET_ID_ANY, path->op == blocks_op ? BLOCKS_FLAGS : 0);

	if (mp != NULL &&
	    rte_mempool_set_ops_byname(mp, path->ops, (void *)(uintptr_t)path->config) == 0 &&
	    (nodes_are_of(path->name) ? nodes_populate(mp) : rte_mempool_populate_default(mp)) > 0)
		return mp;
	fprintf(stderr, "%s: cannot make a pool of %u objects of %u bytes: %s\n", path->name,
		POOL_OBJECTS, OBJECT_SIZE, rte_strerror(rte_errno));
	rte_mempool_free(mp);
	return NULL;
}

static struct mag_cache *
cache_make(const struct path *path)
{
	static char memory[POOL_OBJECTS][OBJECT_SIZE] __rte_cache_aligned;
	static void *address[POOL_OBJECTS];
	struct mag_region_params from = MAG_REGION_PARAMS_INIT;
	struct mag_cache_params params = MAG_CACHE_PARAMS_INIT;
	struct mag_cache *cache = NULL;
	unsigned int i, far = nodes_are_of(path->name) ? POOL_OBJECTS / 8 : 0;

	from.name = params.name = path->name;
	params.object_size = from.object_size = OBJECT_SIZE;
	params.region = mag_region_create(&from);
	params.options = path->config;
	for (i = 0; i < POOL_OBJECTS; i++)
		address[i] = memory[i];
	if (params.region != NULL &&
	    mag_region_adopt(params.region, address, far, NODES_FAR) == 0 &&
	    mag_region_adopt(params.region, address + far, POOL_OBJECTS - far, NODES_NEAR) == 0)
		cache = mag_cache_create(&params);
	if (cache == NULL)
		fprintf(stderr, "%s: cannot make a cache of %u objects of %u bytes: %s\n",
			path->name, POOL_OBJECTS, OBJECT_SIZE, rte_strerror(rte_errno));
	return cache;
}

static void
cache_free(struct mag_cache *cache)
{
	struct mag_region *region = cache->region;

	mag_cache_destroy(cache);
	mag_region_destroy(region);
}

/* What keeps visitors out decides how many instructions a get has: see bias.h. */
static const char *
mode_of(const struct mag_cache *cache)
{
	switch (cache->common.bias) {
	case MAG_BIAS_MEMBARRIER:
		return "membarrier";
	case MAG_BIAS_FENCE:
		return "fence";
	default:
		return "poll";
	}
}

static void
run_cell(const struct path *path, void *target, unsigned int bulk, const char *mode)
{
	static void *objects[HOLD] __rte_cache_aligned;
	unsigned int per_call = path->hold > 0 ? path->hold / bulk : 1, i;
	struct cell cell = {path->op, target, objects, bulk, OPERATIONS / per_call};

	for (i = 0; i < WARM_UP / per_call; i++)
		path->op(target, objects, bulk);
	counted(&cell);
	printf("cell %s %u %s %u\n", path->name, bulk, mode, cell.calls);
	fflush(stdout);
}

static void
run_bulks(const struct path *path, void *target, const char *mode)
{
	unsigned int i;

	for (i = 0; i < RTE_DIM(bulks) && bulks[i] <= path->bulk_max; i++)
		run_cell(path, target, bulks[i], mode);
}

/* With a cache, the service that came with it; without one, a service that only returns. */
static int
run_service(const struct path *path)
{
	struct rte_service_spec spec = {.name = "nothing",
					.callback = idle_callback,
					.capabilities = RTE_SERVICE_CAP_MT_SAFE};
	struct mag_cache *cache = path->config != NULL ? cache_make(path) : NULL;
	uint32_t id;

	if (path->config == NULL ? rte_service_component_register(&spec, &id) != 0 :
				   cache == NULL || rte_service_get_by_name("magazine", &id) != 0)
		return -1;
	rte_service_component_runstate_set(id, 1);
	rte_service_runstate_set(id, 1);
	/* The first pass, which may be the control thread's, says when the next one is due. */
	while (cache != NULL && MAG_LOAD(&cache->next_update, MAG_RELAXED) == 0) {
		op_service(&id, NULL, 1);
		usleep(1000);
	}
	run_bulks(path, &id, "-");
	if (cache != NULL)
		cache_free(cache);
	return 0;
}

static int
run_path(const struct path *of)
{
	struct path copy = *of, *path = &copy;
	const struct inlined *inlined;
	char why[256];
	struct mag_cache *cache;
	struct rte_mempool *mp;

	if (path->op == op_service)
		return run_service(path);
	if (path->ops == NULL) {
		cache = cache_make(path);
		if (cache == NULL)
			return -1;
		run_bulks(path, cache, mode_of(cache));
		cache_free(cache);
		return 0;
	}
	mp = pool_make(path);
	if (mp == NULL)
		return -1;
	if (path->op == NULL && (inlined = inlined_find(here, mp, why, sizeof(why))) != NULL)
		path->op = inlined->op;
	if (path->op == NULL)
		fprintf(stderr, "%s: left out: %s\n", path->name, why);
	else
		run_bulks(path, mp,
			  strcmp(path->ops, "magazine") == 0 ? mode_of(mp->pool_data) : "-");
	rte_mempool_free(mp);
	return 0;
}

static bool
is_wanted(const struct path *path, char *const *wanted)
{
	unsigned int i;

	for (i = 0; wanted[i] != NULL; i++)
		if (strcmp(wanted[i], path->name) == 0)
			return true;
	return i == 0;
}

static void
print_names(FILE *file)
{
	unsigned int i;

	for (i = 0; i < RTE_DIM(paths); i++)
		fprintf(file, "%s%s", i > 0 ? ", " : "", paths[i].name);
	fprintf(file, "\n");
}

static int
check_wanted(char *const *wanted)
{
	unsigned int i;

	for (; *wanted != NULL; wanted++) {
		for (i = 0; i < RTE_DIM(paths) && strcmp(*wanted, paths[i].name) != 0; i++)
			;
		if (i < RTE_DIM(paths))
			continue;
		fprintf(stderr, "path %s: no such path, must be one of ", *wanted);
		print_names(stderr);
		return -1;
	}
	return 0;
}

/* EAL would not take it from below a world-writable folder, where a tree may well be built. */
static int
load_floor(void)
{
	char path[PATH_MAX + 32];

	snprintf(path, sizeof(path), "%s/librte_mempool_floor.so", here);
	if (dlopen(path, RTLD_NOW) != NULL)
		return 0;
	fprintf(stderr, "%s\n", dlerror());
	return -1;
}

static void
usage(void)
{
	printf("usage: instructions [--plugin FILE] [PATH...]\n"
	       "       instructions --build\n\n"
	       "get and put on one lcore, %u times along each PATH, or all.\n"
	       "test/bench/test_instructions.py runs it under callgrind and compares what that\n"
	       "counts; by itself this prints no figure. --plugin: another driver than that of\n"
	       "the same build.\n"
	       "--build: only print what figures depend on beside the source.\n"
	       "HANDLER/N is a handler under a mempool cache of N; hold: get %u objects, then put\n"
	       "them.\n"
	       "Paths: ",
	       OPERATIONS, HOLD);
	print_names(stdout);
}

static void
print_build(void)
{
	printf("architecture %s\ncompiler %s\ndpdk %u.%02u\noperations %u\n", ARCHITECTURE,
	       COMPILER, RTE_VER_YEAR, RTE_VER_MONTH, OPERATIONS);
}

static int
read_options(int argc, char **argv)
{
	static const struct option options[] = {
		{"plugin", required_argument, NULL, 'p'},
		{"build", no_argument, NULL, 'b'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'p') {
			plugin = optarg;
			continue;
		}
		if (option == 'b')
			print_build();
		else
			usage();
		return option == 'b' || option == 'h' ? 1 : -1;
	}
	return check_wanted(argv + optind);
}

int
main(int argc, char **argv)
{
	char lcores[32];
	unsigned int i;
	int ret = read_options(argc, argv);

	if (ret != 0)
		return ret < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	snprintf(lcores, sizeof(lcores), "0@%d", sched_getcpu());
	here = start_eal("instructions", plugin, "64", lcores);
	if (here == NULL || load_floor() < 0)
		return EXIT_FAILURE;
	run_bulks(&nothing, NULL, "-");
	for (i = 0; i < RTE_DIM(paths) && ret == 0; i++)
		if (is_wanted(&paths[i], argv + optind))
			ret = run_path(&paths[i]);
	rte_eal_cleanup();
	return ret == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
