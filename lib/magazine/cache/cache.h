/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_CACHE_PRIVATE_H
#define MAG_CACHE_PRIVATE_H

/*
 * A cache: configuration, maintenance state and its homes, and the way of each request to them.
 *
 * A cache has a home for each part of its region, which is one NUMA node's memory. The first home
 * is a part of the cache's own memory, the others are allocated on their nodes when memory of that
 * node comes. An lcore has a slot in each home: objects that it frees go to the slot of their own
 * node.
 *
 * The fast path (mag_inline.h) knows nothing of homes. For each slot's number there is a way: the
 * slot of that number that serves gets, and the one that serves puts. Invariants:
 *
 * - Both are slots of the thread's own number, in any home: so the fast path is right, whichever
 *   they are. They begin as the first home's. Only the owner of the number changes them, by one
 *   store each, and only below the fast path: gets are of the thread's own node, puts of the node
 *   of what the thread put last. One that has moved to another node is served by its old one until
 *   its magazines there are empty; one that is killed leaves ways that suit the next owner as well.
 * - A slot holds objects of its own home alone. When a second home comes, all slots get
 *   MAG_PUT_NEAR before the first object of the new home can be had; so a thread that has such an
 *   object sees the bit, and puts by the fast path nothing but what the slot's mag_near (bounds.h)
 *   has. The calls below find the home of every other object. Gets need no look.
 * - What keeps owners out, or sends them here, is in the words of all slots, of any home.
 *
 * So a cache with one node pays nothing, and one with several for the look at what is put.
 *
 * Homes only come, until the cache is destroyed. Their table is read without a lock and never
 * changes once it is published: it is replaced by a larger one, inside the perimeter, and kept for
 * those who still read it.
 *
 * A cache lives in shared memory and has no function pointer: the callbacks of a library cache are
 * in memory of the process that made it.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/events.h"
#include "base/lock.h"
#include "home/home.h"
#include "mag_cache.h"
#include "parts/options.h"
#include "stores/pile.h"
#include "stores/region.h"

/** Flags above the public ones: what kind of user. */
#define MAG_CACHE_POOL 0x100u /**< pool types of magazines; objects are never written to */

/**
 * What a cache is, for processes with another version of the library, or another handler under the
 * pool's number. In all versions at the same place, behind closed.
 */
struct mag_cache_stamp {
	uint64_t magic;               /**< MAG_CACHE_MAGIC */
	uint64_t layout;              /**< MAG_CACHE_LAYOUT of the process that made it */
	const struct mag_cache *self; /**< its address there */
};

#define MAG_CACHE_MAGIC UINT64_C(0x656e697a6167616d)

/** The homes of a cache, by part of its region. */
struct mag_homes {
	struct mag_homes *older;
	uint32_t count;
	uint8_t order[RTE_MAX_NUMA_NODES][MAG_PARTS_MAX]; /**< parts by distance from a node */
	struct mag_home *home[MAG_PARTS_MAX];
};

struct mag_cache {
	/* Never changes after creation. */
	struct mag_cache_head head; /**< slots of the first home */
	char name[MAG_CACHE_NAMESIZE];
	/**
	 * Zero. A process in which the pool's handler is another one's number (strangers.h) takes
	 * this for a struct rte_ring or rte_stack: of no room and no objects, so that code refuses,
	 * and writes nowhere.
	 */
	char closed[6 * RTE_CACHE_LINE_SIZE - MAG_CACHE_NAMESIZE - sizeof(struct mag_cache_head)];
	struct mag_cache_stamp stamp;
	struct mag_way way[MAG_SLOTS] MAG_ALIGNED(RTE_CACHE_LINE_SIZE); /**< of their owners */
	/* From here on another version may have other fields. */
	uint64_t id;
	uint32_t flags;
	uint32_t object_size;
	uint32_t align;
	/** mag_process_id of the process that made it, or took it over: owner of the callbacks. */
	_Atomic uint32_t process;
	pid_t pid;   /**< of that process, for log lines: no identity */
	bool is_own; /**< has callbacks, or memory that no other process has: only for the process
			that made it */
	uint64_t expected;      /**< objects that a pool is going to have */
	uint32_t mempool_cache; /**< of a pool: size of rte_mempool's caches; 0: none */
	struct mag_options options;
	struct mag_region *region;
	struct mag_pile *pile; /**< of a pool with a reserve, or NULL */

	struct mag_homes *_Atomic homes; /**< NULL: the first one is the only one */
	struct mag_common common;

	_Atomic bool off;   /**< purged, and not yet enabled again by whoever did it */
	_Atomic bool dying; /**< a pool is being freed: steal no more */
	/**
	 * A pool was freed where it cannot be taken off the list (also in another process):
	 * the next thread that leaves the list does, and frees this.
	 */
	_Atomic bool gone;

	/* Maintenance. */
	struct mag_listing *listing; /**< in memory of the process that made it, and for it alone */
	struct mag_cache *_Atomic next;  /**< on the list of all processes (estate.h) */
	_Atomic bool marked;             /**< the listing has watermarks */
	_Atomic uint64_t perimeter;      /**< thread in the resize perimeter; 0 = nobody */
	uint32_t perimeter_depth;        /**< of that thread alone */
	_Atomic uint32_t perimeter_left; /**< how often it was left: the futex of those who wait */
	uint64_t next_update; /**< TSC, 0 = one interval from now; under the list's lock */
	_Atomic uint64_t update_allocs;   /**< of a pool, allocations until the last update */
	_Atomic uint64_t contention_seen; /**< contention at the last update */
	_Atomic uint64_t allocs_seen, returned_seen; /**< traffic (update.c) at the last update */
	uint64_t next_purge;  /**< TSC: none before for low memory; under the list's lock */
	_Atomic bool reaping; /**< a reap has begun and is not over */
	_Atomic uint64_t resizes, purges, reaps, updates;
	_Atomic uint64_t bad_frees;  /**< those that the watch refused */
	_Atomic uint64_t bad_writes; /**< to free objects, or behind one, that it noticed */

	struct mag_events events;
	/** The most objects that users, and slots, were seen with; how often that was looked at. */
	_Atomic uint64_t peak_out, peak_lcores, looks;

	struct mag_home first;
};

_Static_assert(offsetof(struct mag_cache, way) == MAG_WAYS_AT, "mag_way_of() finds them there");
_Static_assert(offsetof(struct mag_cache, stamp) == 6 * RTE_CACHE_LINE_SIZE,
	       "other versions look for it here");

/**
 * Number of the layout of what processes share: MAG_LAYOUT, and the sizes of the structs, so that
 * it changes with them. A change that leaves all sizes as they are raises MAG_LAYOUT.
 */
#define MAG_CACHE_LAYOUT                                                                           \
	((uint64_t)MAG_LAYOUT << 48 | (uint64_t)sizeof(struct mag_cache) << 16 |                   \
	 (uint64_t)sizeof(struct mag_region))

/**
 * Size by which a library cache has its magazine types: an elastic region has room for the
 * magazines of its objects, and smaller chunks, which would have larger ones, occupy whole objects
 * all the same.
 */
static inline uint32_t
mag_cache_type_size(const struct mag_cache *cache)
{
	return cache->region->elastic != NULL ? cache->region->object_size :
						cache->common.chunk_size;
}

/** All homes of a cache; NULL: the first one is the only one. */
static inline const struct mag_homes *
mag_cache_homes(const struct mag_cache *cache)
{
	/* acquire: pairs with the release in homes_publish() */
	return atomic_load_explicit(&cache->homes, memory_order_acquire);
}

/** Home of a part of the region; NULL behind the last one. */
static inline struct mag_home *
mag_cache_home(const struct mag_cache *cache, uint32_t part)
{
	const struct mag_homes *homes = mag_cache_homes(cache);

	if (homes == NULL)
		return part == 0 ? (struct mag_home *)(uintptr_t)&cache->first : NULL;
	return part < homes->count ? homes->home[part] : NULL;
}

/** For each home of a cache: an unsigned int and a pointer to a home count them. */
#define MAG_FOREACH_HOME(cache, part, home)                                                        \
	for (part = 0; (home = mag_cache_home(cache, part)) != NULL; part++)

/** Home of an object; NULL: none of it. */
static inline struct mag_home *
mag_cache_home_of(const struct mag_cache *cache, const void *object)
{
	return mag_cache_home(cache, mag_region_part_of(cache->region, object));
}

/** Parts by their distance from this thread's node. */
const uint8_t *mag_homes_order(const struct mag_homes *homes);
/** mag_cache_take() where there are several homes: own node first. */
unsigned int mag_homes_take(struct mag_cache *cache, void **objects, unsigned int n,
			    struct mag_request *request);
/**
 * Give each object to its home: runs of objects of one home at once. Puts of this thread are then
 * of the last one's.
 */
void mag_homes_give(struct mag_cache *cache, void *const *objects, unsigned int n,
		    void (*give)(struct mag_home *home, void *const *objects, unsigned int n));

/** Logs, once for this cache, that its records have another layout. */
void mag_cache_strange_report(const struct mag_cache *cache);

/**
 * Was the cache made by another version of the library, so that none of its records may be touched
 * here? Says so in a log line. On every path below the fast one, which knows the slots alone.
 */
static inline bool
mag_cache_is_strange(const struct mag_cache *cache)
{
	if (likely(cache->stamp.layout == MAG_CACHE_LAYOUT))
		return false;
	mag_cache_strange_report(cache);
	return true;
}

/** Logs that the cache's callbacks are in another process. */
void mag_cache_elsewhere_report(const struct mag_cache *cache);

/**
 * Are constructor and destructor addresses in another process, the one that made the cache, or its
 * memory only that one's? Or is it strange? Says so in a log line; such a use is refused.
 */
static inline bool
mag_cache_is_elsewhere(const struct mag_cache *cache)
{
	if (unlikely(mag_cache_is_strange(cache)))
		return true;
	if (likely(!cache->is_own || cache->process == mag_process_id))
		return false;
	mag_cache_elsewhere_report(cache);
	return true;
}

/**
 * From this thread's magazines, depots and slabs, own node first: as many of n as there are. With
 * fewer than n all that were had are in transit, unless the constructor refused. mag_request_end()
 * follows, when they are a user's or back.
 */
static inline unsigned int
mag_cache_take(struct mag_cache *cache, void **objects, unsigned int n, struct mag_request *request)
{
	if (likely(mag_cache_homes(cache) == NULL))
		return mag_home_take(&cache->first, objects, n, request);
	return mag_homes_take(cache, objects, n, request);
}

/** To this thread's magazines, depots or slabs, each to its home. Never fails. */
static inline void
mag_cache_give(struct mag_cache *cache, void *const *objects, unsigned int n)
{
	if (likely(mag_cache_homes(cache) == NULL))
		mag_home_give(&cache->first, objects, n);
	else
		mag_homes_give(cache, objects, n, mag_home_give);
}

/** Past the magazines: destruct and free to the slab layer. */
void mag_cache_give_past(struct mag_cache *cache, void *const *objects, unsigned int n);
/** n whole segments, all or nothing, as mag_slab_alloc_blocks(). */
int mag_cache_take_blocks(struct mag_cache *cache, void **first, unsigned int n);
/** Hand in the magazines of one slot in all homes, as its owner. */
void mag_cache_flush_slot(struct mag_cache *cache, uint32_t slot);
/** Objects in the magazines of all slots, read without holding them. */
uint64_t mag_cache_in_lcores(const struct mag_cache *cache);
/** Free a cache that is on no list, with its homes. */
void mag_cache_discard(struct mag_cache *cache);
/** The same, and its region has one cache less. */
void mag_cache_end(struct mag_cache *cache);

#endif /* MAG_CACHE_PRIVATE_H */
