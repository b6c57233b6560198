/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The library's cache beside allocators of any size: one object at a time, of which the first line
 * is written, by all of them alike.
 */

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_atomic.h>
#include <rte_errno.h>
#include <rte_malloc.h>

#include "mag_cache.h"
#include "mag_stats.h"
#include "pattern.h"
#include "pool.h"

#define BATCH 64
#define LINE 64
/* These libraries have thread-local variables that must lie where the program's own do. */
#define TLS_TUNABLE "glibc.rtld.optional_static_tls=65536"

enum kind { KIND_MEMPOOL, KIND_MAGAZINE, KIND_RTE_MALLOC, KIND_MALLOC };

struct library {
	enum kind kind;
	size_t size;
	struct rte_mempool *mp;
	struct mag_region *region;
	struct mag_cache *cache;
	void *memory; /* of the region's objects */
	void *(*malloc_fn)(size_t size);
	void (*free_fn)(void *object);
};

/* Of a library: handler is its file, or several of which one will do, options the package. */
/* clang-format off */
const struct peer library_peers[] = {
	{"ring_mp_mc/cache:512", "ring_mp_mc", NULL, 512, false},
	{"magazine", "mag_cache", NULL, 0, false},
	{"magazine,rounds=30", "mag_cache", "rounds=30", 0, false},
	{"rte_malloc", "rte_malloc", NULL, 0, false},
	{"glibc", "malloc", NULL, 0, false},
	{"jemalloc", "libjemalloc.so.2", "libjemalloc2", 0, false},
	{"tcmalloc", "libtcmalloc_minimal.so.4", "libtcmalloc-minimal4", 0, false},
	{"mimalloc", "libmimalloc.so.2:libmimalloc.so.3", "libmimalloc2.0 or libmimalloc3", 0,
	 false},
	{NULL, NULL, NULL, 0, false},
};
/* clang-format on */

static bool
make_cache(struct library *library, const struct cell *cell, const char *options,
	   char why[BENCH_WHY])
{
	struct mag_region_params region = MAG_REGION_PARAMS_INIT;
	struct mag_cache_params cache = MAG_CACHE_PARAMS_INIT;
	unsigned int count = cell_objects(cell), i;
	void **objects = calloc(count, sizeof(void *));

	region.name = "bench";
	region.object_size = (uint32_t)library->size;
	cache.name = "bench";
	cache.object_size = library->size;
	cache.flags = MAG_CACHE_DYNAMIC;
	cache.options = options;
	rte_errno = ENOMEM; /* not what an earlier call left */
	library->memory = rte_malloc("bench", (size_t)count * library->size, RTE_CACHE_LINE_SIZE);
	library->region = mag_region_create(&region);
	for (i = 0; objects != NULL && library->memory != NULL && i < count; i++)
		objects[i] = (char *)library->memory + (size_t)i * library->size;
	if (objects != NULL && library->memory != NULL && library->region != NULL &&
	    mag_region_adopt(library->region, objects, count, MAG_NODE_ANY) == 0) {
		cache.region = library->region;
		library->cache = mag_cache_create(&cache);
	}
	free(objects);
	if (library->cache == NULL && options != NULL && rte_errno == EINVAL)
		snprintf(why, BENCH_WHY, "no cache of objects of %zu bytes may have %s",
			 library->size, options);
	else if (library->cache == NULL)
		snprintf(why, BENCH_WHY,
			 "cannot make a cache of %u objects of %zu bytes (%s): reserve %zu MB more "
			 "hugepages",
			 count, library->size, rte_strerror(rte_errno),
			 (count * library->size >> 20) + 8);
	return library->cache != NULL;
}

/* dlsym() looks into what a library needs, too: glibc's functions must not run under its name. */
static void *
own_symbol(void *handle, const char *name)
{
	void *symbol = dlsym(handle, name);
	struct link_map *map;
	Dl_info info;

	if (symbol == NULL || dlinfo(handle, RTLD_DI_LINKMAP, &map) != 0 ||
	    dladdr(symbol, &info) == 0)
		return NULL;
	return (uintptr_t)info.dli_fbase == map->l_addr ? symbol : NULL;
}

/* Says why not of the first file: others are for other versions of a distribution. */
static void *
load_any(const struct peer *peer, char why[BENCH_WHY])
{
	char files[128], *next = files, *file, *error;
	void *handle;

	snprintf(files, sizeof(files), "%s", peer->handler);
	why[0] = '\0';
	while ((file = strsep(&next, ":")) != NULL) {
		handle = dlopen(file, RTLD_NOW | RTLD_LOCAL);
		if (handle != NULL)
			return handle;
		error = dlerror();
		if (strstr(error, "static TLS") != NULL) {
			snprintf(why, BENCH_WHY, "%.120s: add " TLS_TUNABLE " to GLIBC_TUNABLES",
				 error);
			return NULL;
		}
		if (why[0] == '\0')
			snprintf(why, BENCH_WHY, "%.180s; it is in the package %s", error,
				 peer->options);
	}
	return NULL;
}

static bool
load(struct library *library, const struct peer *peer, char why[BENCH_WHY])
{
	void *handle;

	if (peer->options == NULL) {
		library->malloc_fn = malloc;
		library->free_fn = free;
		return true;
	}
	handle = load_any(peer, why);
	if (handle == NULL)
		return false;
	library->malloc_fn = __extension__(void *(*)(size_t)) own_symbol(handle, "malloc");
	library->free_fn = __extension__(void (*)(void *)) own_symbol(handle, "free");
	if (library->malloc_fn != NULL && library->free_fn != NULL)
		return true;
	snprintf(why, BENCH_WHY, "%s has no malloc() or no free() of its own", peer->handler);
	return false;
}

void
library_drop(void *state)
{
	struct library *library = state;

	if (library->cache != NULL)
		mag_cache_destroy(library->cache);
	if (library->region != NULL)
		mag_region_destroy(library->region);
	rte_free(library->memory);
	rte_mempool_free(library->mp);
	free(library);
}

void *
library_make(const struct cell *cell, const struct peer *peer, char why[BENCH_WHY])
{
	struct library *library = calloc(1, sizeof(*library));
	bool made = true;

	if (library == NULL) {
		snprintf(why, BENCH_WHY, "no memory");
		return NULL;
	}
	library->size = cell->pattern->object_size;
	if (strcmp(peer->handler, "ring_mp_mc") == 0) {
		library->kind = KIND_MEMPOOL;
		library->mp = pool_make(cell, peer, why);
		made = library->mp != NULL;
	} else if (strcmp(peer->handler, "mag_cache") == 0) {
		library->kind = KIND_MAGAZINE;
		made = make_cache(library, cell, peer->options, why);
	} else if (strcmp(peer->handler, "rte_malloc") == 0) {
		library->kind = KIND_RTE_MALLOC;
	} else {
		library->kind = KIND_MALLOC;
		made = load(library, peer, why);
	}
	if (made)
		return library;
	library_drop(library);
	return NULL;
}

static __rte_always_inline void *
get(const struct library *library, enum kind kind)
{
	void *object = NULL;

	if (kind == KIND_MEMPOOL)
		return rte_mempool_get(library->mp, &object) == 0 ? object : NULL;
	if (kind == KIND_MAGAZINE)
		return mag_cache_alloc(library->cache);
	if (kind == KIND_RTE_MALLOC)
		return rte_malloc(NULL, library->size, 0);
	return library->malloc_fn(library->size);
}

static __rte_always_inline void
put(const struct library *library, enum kind kind, void *object)
{
	if (kind == KIND_MEMPOOL)
		rte_mempool_put(library->mp, object);
	else if (kind == KIND_MAGAZINE)
		mag_cache_free(library->cache, object);
	else if (kind == KIND_RTE_MALLOC)
		rte_free(object);
	else
		library->free_fn(object);
}

/* Gets as many as the pattern holds, at least one, then puts them. */
static __rte_always_inline void
run(const struct library *library, struct turn *turn, enum kind kind)
{
	unsigned int hold = RTE_MAX(turn->cell->pattern->hold, 1u), batch, i, got;

	while (turn->moved < turn->quota && !turn_late(turn)) {
		for (batch = 0; batch < BATCH; batch += hold) {
			for (got = 0; got < hold; got++) {
				turn->objects[got] = get(library, kind);
				if (unlikely(turn->objects[got] == NULL)) {
					turn->failed++;
					break;
				}
				memset(turn->objects[got], (int)got, LINE);
				rte_compiler_barrier();
			}
			for (i = 0; i < got; i++) {
				put(library, kind, turn->objects[i]);
				rte_compiler_barrier();
			}
			turn->moved += got;
		}
	}
}

void
turn_library(void *state, struct turn *turn)
{
	const struct library *library = state;

	switch (library->kind) {
	case KIND_MEMPOOL:
		run(library, turn, KIND_MEMPOOL);
		break;
	case KIND_MAGAZINE:
		run(library, turn, KIND_MAGAZINE);
		break;
	case KIND_RTE_MALLOC:
		run(library, turn, KIND_RTE_MALLOC);
		break;
	case KIND_MALLOC:
		run(library, turn, KIND_MALLOC);
		break;
	}
}

uint64_t
library_lost(void *state)
{
	const struct library *library = state;
	struct mag_cache_stats stats;

	if (library->mp != NULL)
		return pool_lost(library->mp);
	if (library->cache == NULL)
		return 0;
	mag_cache_stats_get(library->cache, &stats);
	return stats.objects - stats.free;
}
