/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_LEAKS_H
#define MAG_LEAKS_H

/*
 * Sampled objects (sampled.h) that are out, by the stack that allocated them.
 */

#include <stdint.h>
#include <sys/types.h>

#include "cache/cache.h"

/** Stacks that are told apart. */
#define MAG_LEAKS_MAX 64

/** Sampled objects that are out, and were allocated by one stack of one process. */
struct mag_leak {
	uint64_t objects;
	uint64_t oldest_ms;          /**< time since the allocation of the oldest one */
	struct mag_transaction last; /**< this allocation */
	pid_t elsewhere;             /**< its process, if it is another one; or 0 */
};

/**
 * Sampled objects that are out; those in caches of rte_mempool are.
 *
 * @param leaks
 *   Filled, most objects first.
 * @param out
 *   Filled with how many objects are out, those of more stacks included.
 * @return
 *   How many were filled.
 */
unsigned int mag_leaks_find(const struct mag_cache *cache, struct mag_leak leaks[MAG_LEAKS_MAX],
			    uint64_t *out);
/** Log them. */
void mag_leaks_report(const struct mag_cache *cache);

#endif /* MAG_LEAKS_H */
