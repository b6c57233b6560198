/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_TYPES_H
#define MAG_TYPES_H

/*
 * The layers composed: lcore over depot over slab over region.
 *
 * Locks, outermost first: list (all caches) > perimeter > visit > shared > working set >
 * slab, region, arena (leaves; one at a time). The data path takes shared and the arena by
 * try, slab and region by spinning; visit only to steal.
 * Callbacks run with list, visit or working set held: they must not allocate from the cache
 * that calls them, nor create or destroy caches.
 *
 * A cache with memory on several NUMA nodes is one struct mag_cache for each part of its region, its
 * homes, each with depot, slabs and slots of its own. The first one, the main one, is the one that users
 * know and that is listed, and has the perimeter and the type. An lcore has a slot in each home: objects
 * that it frees go to the slot of their own node. The slots of the main one then have HOMES set, so that
 * the fast path, which does not know of homes, leaves it to exchange.c: a cache with one node pays
 * nothing. Functions of exchange.h and visit.h are of a whole cache, unless they say "home".
 *
 * A cache lives in shared memory and has no function pointer: the callbacks of a
 * library cache are in memory of the process that made it.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "arena.h"
#include "depot.h"
#include "lcore.h"
#include "lock.h"
#include "mag_cache.h"
#include "mag_maint.h"
#include "mag_stats.h"
#include "options.h"
#include "region.h"
#include "slab.h"
#include "type.h"

/** Flags above the public ones: what kind of user. */
#define MAG_CACHE_POOL 0x100u /**< pool types of magazines; objects are never written to */

/** Added to the remembered contention by a resize, so that it does not cause the next one. */
#define MAG_CONTENTION_REST (1ull << 40)

struct mag_callbacks {
	mag_constructor constructor;
	mag_destructor destructor;
	mag_reclaim reclaim;
	void *arg;
};

/**
 * The homes of a cache, by part of its region. Never changes once it is published; when a home comes, it
 * is replaced by another, and kept for those who still look at it until the cache is destroyed.
 */
struct mag_homes {
	struct mag_homes *older;
	uint32_t count;
	uint8_t order[RTE_MAX_NUMA_NODES][MAG_PARTS_MAX]; /**< parts by distance from a node */
	struct mag_cache *home[MAG_PARTS_MAX];
};

struct mag_cache {
	/* Never changes after creation. */
	struct mag_lcore *slots; /**< the slots below: what mag_inline.h looks for */
	char name[MAG_CACHE_NAMESIZE];
	/**
	 * Zero. A process in which the pool's handler is another one's number (strangers.h) takes
	 * this for a struct rte_ring or rte_stack: of no room and no objects, so that code refuses,
	 * and writes nowhere.
	 */
	char closed[6 * RTE_CACHE_LINE_SIZE - MAG_CACHE_NAMESIZE - sizeof(void *)];
	uint64_t id;
	uint32_t flags;
	uint32_t object_size;
	uint32_t chunk_size;
	uint32_t align;
	/** mag_process_id of who made it, or took it over: owner of the callbacks. */
	_Atomic uint32_t process;
	pid_t pid; /**< of that process, for log lines: no identity */
	enum mag_bias_mode bias;
	int node;
	uint64_t expected; /**< objects that a pool is going to have */
	struct mag_options options;
	bool is_own; /**< has callbacks, or memory that no other process has: only for the process that made it */
	struct mag_callbacks *callbacks; /**< NULL: none; only for the process that made it */
	struct mag_region *region;
	struct mag_cache *main; /**< the cache of which this is a home; itself, of the first home */
	struct mag_arena arena;
	struct mag_homes *_Atomic homes; /**< of the main one; NULL = it is the only one */

	/** Rounds of the type in force; changed inside the perimeter, when every slot is off. */
	_Atomic uint32_t type;
	_Atomic bool off;   /**< purged, and not yet enabled again by whoever did it */
	_Atomic bool dying; /**< a pool is being freed: steal no more */
	/**
	 * A pool was freed by who cannot take it off the list (also another process): whoever next
	 * leaves the list does, and frees this.
	 */
	_Atomic bool gone;
	/** Of the main one: what is looked at (audit.h). Bits are only added. */
	_Atomic uint32_t watch;
	_Atomic uint64_t bad_frees; /**< of the main one: those that were seen by who watches */

	/* Maintenance. */
	struct mag_listing *listing; /**< in memory of the process that made it, and for it alone */
	_Atomic uint64_t perimeter;  /**< thread in the resize perimeter; 0 = nobody */
	uint32_t perimeter_depth;    /**< of that thread alone */
	_Atomic uint32_t perimeter_left; /**< how often it was left: the futex of those who wait */
	uint64_t next_update; /**< TSC, 0 = one interval from now; under the list's lock */
	_Atomic uint64_t update_allocs;   /**< of a pool, allocations until the last update */
	_Atomic uint64_t contention_seen; /**< contention at the last update */
	uint64_t next_purge;         /**< TSC: none before for low memory; under the list's lock */
	_Atomic bool reaping;        /**< of the main one: a reap has begun and is not over */
	struct mag_lock working_set; /**< guards reaplimits and reaps */
	struct mag_lock visit;       /**< one sweep over the slots at a time */
	struct mag_lock shared;      /**< guards the shared slot */
	/**
	 * Of the main one: objects in hands that will put them where they can be had (reap, purge,
	 * steal), or may: those of a request that wants more.
	 */
	_Atomic uint64_t transit;
	_Atomic uint64_t zeroes, resizes, purges, reaps, updates;
	_Atomic uint64_t alloc_fails, steals, steal_denied, visits_denied;
	_Atomic uint64_t
		no_magazine; /**< objects freed to the slabs, for want of an empty magazine */
	/** Objects that threads on the shared slot had from, or gave to, the slab layer. */
	_Atomic uint64_t beside_allocs, beside_frees;
	_Atomic uint64_t steal_rest;   /**< TSC until which a denied sweep is not repeated ... */
	_Atomic uint64_t denied_count; /**< ... while the slots still hold as much ... */
	_Atomic uint32_t denied_slot;  /**< ... and the owner that denied is still busy */

	struct mag_slab_layer slab;
	struct mag_depot depot;
	struct mag_lcore slot[MAG_SLOTS];
};

_Static_assert(offsetof(struct mag_cache, slots) == offsetof(struct mag_cache_head, slots),
	       "slots");

/**
 * Size by which a library cache has its magazine types: an elastic region has room for the magazines of its objects,
 * and smaller chunks, which would have larger ones, occupy whole objects all the same.
 */
static inline uint32_t
mag_cache_type_size(const struct mag_cache *cache)
{
	return cache->region->elastic != NULL ? cache->region->object_size : cache->chunk_size;
}

/** All homes of a cache; NULL: the cache itself is its only one. */
static inline const struct mag_homes *
mag_cache_homes(const struct mag_cache *cache)
{
	/* acquire: pairs with the release of who makes a home */
	return atomic_load_explicit(&cache->homes, memory_order_acquire);
}

/** Home of a part of the region; NULL behind the last one. */
static inline struct mag_cache *
mag_cache_home(const struct mag_cache *cache, uint32_t part)
{
	const struct mag_homes *homes = mag_cache_homes(cache);

	if (homes == NULL)
		return part == 0 ? (struct mag_cache *)(uintptr_t)cache : NULL;
	return part < homes->count ? homes->home[part] : NULL;
}

/** For each home of a cache: an unsigned int and a pointer to a home count them. */
#define MAG_FOREACH_HOME(cache, part, home)                                                        \
	for (part = 0; (home = mag_cache_home(cache, part)) != NULL; part++)

#endif /* MAG_TYPES_H */
