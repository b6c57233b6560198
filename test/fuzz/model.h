/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FUZZ_MODEL_H
#define FUZZ_MODEL_H

/*
 * The reference model of regions and caches: which objects are out, what was last written into
 * each, which are constructed, and how often what happened. It knows nothing of magazines,
 * depots and slabs; it is told what was called and what came of it, and ends the program when
 * that cannot be.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "mag_cache.h"
#include "mag_region.h"

#define MODEL_REGIONS 3
#define MODEL_CACHES 4
#define MODEL_CHUNKS 3
/** Most objects that are out of one cache. */
#define MODEL_HELD 4096
/** Of large objects no more bytes than this are written and looked at. */
#define MODEL_BYTES 4096u

/** What must hold; else the program ends, and libFuzzer keeps the input. */
#define model_require(condition, ...)                                                              \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "model: %s:%d: not so: %s: ", __FILE__, __LINE__,          \
				#condition);                                                       \
			fprintf(stderr, __VA_ARGS__);                                              \
			fputc('\n', stderr);                                                       \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/** Memory that a region adopted at once. */
struct model_chunk {
	char *memory;
	size_t size;
	void **objects; /**< ascending */
	uint32_t count;
};

struct model_region {
	struct mag_region *region; /**< NULL: there is none */
	uint32_t id;               /**< never used again */
	bool elastic;
	uint32_t mode;
	uint32_t object_size; /**< bytes that may be written */
	uint32_t stride;
	uint32_t align;            /**< of all objects */
	uint32_t mirror;           /**< bytes of each object's, of either form */
	struct mag_region *second; /**< its mirror region; NULL: none */
	bool persistent;           /**< it, or its mirror region */
	bool clears_unseen;        /**< some cache of it did, or does, and calls nobody */
	uint64_t objects;          /**< of all chunks */
	struct model_chunk chunk[MODEL_CHUNKS];
	unsigned int chunks, caches;
};

struct model_cache {
	struct mag_cache *cache; /**< NULL: there is none */
	uint32_t id;             /**< never used again */
	struct model_region *region;
	bool magazines; /**< it may have some */
	bool off;       /**< purged, and not enabled again */
	bool asks;      /**< visit=0: what other lcores hold may have to be waited for */
	bool guarded;   /**< each free is checked where it is called */
	bool audited;   /**< and it is told who has what */
	bool clears;
	bool reaps_all;
	bool constructs, destructs, reclaims;
	uint32_t object_size, chunk_size, align;

	unsigned int refuse_in; /**< the nth construction from now on is refused; 0: none */
	bool refused;           /**< some construction was, since model_call() */
	uint64_t handed, returned, invalid, constructed, destructed, reclaimed;

	void *held[MODEL_HELD];
	unsigned int out;
};

extern struct model_region model_region[MODEL_REGIONS];
extern struct model_cache model_cache[MODEL_CACHES];
/** Is the call that is made one that waits? */
extern bool model_waits;

/** Forget everything; all regions and caches are gone. */
void model_reset(void);
/** A call begins. */
void model_call(void);

/** A place for a new one, or NULL. */
struct model_region *model_region_new(void);
struct model_cache *model_cache_new(void);

/** An object came from the cache: it is held from now on, and written. */
void model_taken(struct model_cache *cache, void *object);
/** A held object is about to go back: it is as it was left. Returns it. */
void *model_given(struct model_cache *cache, unsigned int index);
/** A pointer that is no object, or none that is out, went where that is always noticed. */
void model_given_wrong(struct model_cache *cache);
/** All that is held is as it was left. */
void model_held_unchanged(const struct model_cache *cache);

/** Is this object out of any cache? */
bool model_is_out(const void *address);
/** Is it constructed? Known of objects of caches with both callbacks only. */
bool model_is_constructed(const struct model_cache *cache, const void *address);

/** For a cache's parameters; their argument is its model. */
int model_construct(const struct mag_object_info *object, const struct mag_object_info *mirror,
		    void *arg, unsigned int flags);
void model_destruct(void *object, void *arg);
void model_reclaim(void *arg);

/** Every count of every region and cache is what it must be. */
void model_check(void);
/** Objects that the cache can still hand out. */
uint64_t model_available(const struct model_cache *cache);

#endif /* FUZZ_MODEL_H */
