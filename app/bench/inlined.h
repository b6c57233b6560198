/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_INLINED_H
#define BENCH_INLINED_H

/*
 * Patterns by the functions of rte_mempool_magazine_inline.h. They need the driver, which the
 * programs load as a plugin, perhaps another one than that of this build: so they are in a library
 * that is loaded behind it.
 */

#include <dlfcn.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>

#include <rte_mempool.h>

struct turn;

struct inlined {
	/** False: the plugin is another driver than this library's. */
	bool (*is_inlined)(const struct rte_mempool *mp);
	/** Gets a bulk and puts it. */
	void (*op)(void *mp, void **objects, unsigned int bulk);
	/** turn of patterns. */
	void (*getput)(void *mp, struct turn *turn);
	void (*hold)(void *mp, struct turn *turn);
};

/**
 * Find the patterns for a pool, whose first get shows whether they are of its driver.
 *
 * @return
 *   The patterns, or NULL, saying why.
 */
static inline const struct inlined *
inlined_find(const char *folder, struct rte_mempool *mp, char *why, size_t size)
{
	const struct inlined *found;
	char path[PATH_MAX + 32];
	void *library, *object;

	snprintf(path, sizeof(path), "%s/libbench_inlined.so", folder);
	library = dlopen(path, RTLD_NOW);
	found = library != NULL ? dlsym(library, "inlined") : NULL;
	if (found == NULL) {
		snprintf(why, size, "%s", dlerror());
		return NULL;
	}
	if (rte_mempool_get(mp, &object) == 0)
		rte_mempool_put(mp, object);
	if (found->is_inlined(mp))
		return found;
	snprintf(why, size, "the plugin is not that of this build");
	return NULL;
}

#endif /* BENCH_INLINED_H */
