/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef UNIT_FIXTURE_H
#define UNIT_FIXTURE_H

/*
 * What most programs test: one pool or one cache, over objects of its own.
 */

#include "cache/cache.h"
#include "ground.h"
#include "control/pool.h"

/** Objects of a segment. */
#define FIXTURE_BLOCK 16

extern struct ground ground;
extern struct mag_cache *cache;

/** A pool that has count objects of these bytes and may have as many as objects says. */
void fixture_pool(const char *name, uint32_t count, uint32_t size, uint64_t objects,
		  const struct mag_options *options);
/** A cache over count objects; the parameters lack the region only. */
void fixture_cache(uint32_t count, struct mag_cache_params params);
/** Free the pool, or destroy the cache, and its objects. */
void fixture_drop(void);

/**
 * Allocate so many objects, or as many as there are, and free them: magazines are full afterwards.
 */
void fill(unsigned int n);
/** The same to be run elsewhere; the argument is the number. */
void fill_run(void *arg);
/** All objects can be allocated, each once; a reap under way may hold some for a moment. */
void assert_all_can_be_had(void);

/**
 * A cache over EAL's heap, whose owner is asked to reclaim by each request that maintenance serves.
 */
extern struct mag_cache *asking;
extern _Atomic uint64_t asked;
void asking_make(void);

/** The id of the library's service. */
uint32_t service_id(void);

#endif /* UNIT_FIXTURE_H */
