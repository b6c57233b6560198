/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_CACHE_PRIVATE_H
#define MAG_CACHE_PRIVATE_H

/*
 * The layers composed: lcore over depot over slab over region.
 *
 * Locks, outermost first: list (all caches) > perimeter > visit > shared > working set >
 * slab, region, arena (leaves; one at a time). The data path takes shared by try, slab and
 * region by spinning, the arena by try to get and by spinning to give; visit only to steal.
 * Callbacks run with list, visit or working set held: they must not allocate from the cache
 * that calls them, nor create or destroy caches.
 *
 * A cache lives in shared memory and has no function pointer: the callbacks of a
 * library cache are in memory of the process that made it.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "depot.h"
#include "lcore.h"
#include "lock.h"
#include "mag_cache.h"
#include "mag_maint.h"
#include "mag_stats.h"
#include "magazine.h"
#include "options.h"
#include "region.h"
#include "slab.h"

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

struct mag_cache {
	/* Never changes after creation. */
	char name[MAG_CACHE_NAMESIZE];
	uint32_t id;
	uint32_t flags;
	uint32_t object_size;
	uint32_t chunk_size;
	uint32_t align;
	uint32_t pid; /**< process that made it: owner of the callbacks */
	enum mag_bias_mode bias;
	int node;
	uint64_t expected; /**< objects that a pool is going to have */
	struct mag_options options;
	struct mag_callbacks *callbacks; /**< NULL: none; only for the process pid */
	struct mag_region *region;
	struct mag_arena arena;

	/** Rounds of the type in force; changed inside the perimeter, when every slot is off. */
	_Atomic uint32_t type;
	_Atomic bool off;   /**< purged, and not yet enabled again by whoever did it */
	_Atomic bool dying; /**< a pool is being freed: steal no more */

	/* Maintenance. */
	TAILQ_ENTRY(mag_cache) link; /**< list of all caches, under its lock */
	_Atomic uint64_t perimeter;  /**< thread in the resize perimeter; 0 = nobody */
	uint32_t perimeter_depth;    /**< of that thread alone */
	uint64_t next_update;        /**< TSC, 0 = one interval from now; under the list's lock */
	_Atomic uint64_t contention_seen; /**< contention at the last update */
	struct mag_lock working_set;      /**< guards reaplimits and reaps */
	struct mag_lock visit;            /**< one sweep over the slots at a time */
	struct mag_lock shared;           /**< guards the shared slot */
	/** Objects in hands that will put them where they can be had: reap, purge, steal. */
	_Atomic uint64_t transit;
	_Atomic uint64_t zeroes, resizes, purges, reaps, updates;
	_Atomic uint64_t alloc_fails, steals, steal_denied, visits_denied;
	/** Objects that threads on the shared slot had from, or gave to, the slab layer. */
	_Atomic uint64_t beside_allocs, beside_frees;
	_Atomic uint64_t steal_rest;   /**< TSC until which a denied sweep is not repeated ... */
	_Atomic uint64_t denied_count; /**< ... while the slots still hold as much ... */
	_Atomic uint32_t denied_slot;  /**< ... and the owner that denied is still busy */

	struct mag_slab_layer slab;
	struct mag_depot depot;
	struct mag_lcore slot[MAG_SLOTS];
};

#define MAG_STAT_ADD(counter, n) atomic_fetch_add_explicit(&(counter), n, memory_order_relaxed)

/** What the driver makes a cache from: public parameters and what only a pool has. */
struct mag_pool_params {
	const char *name;
	uint32_t object_size;
	uint64_t objects; /**< that the pool is going to have */
	struct mag_region *region;
	struct mag_options options;
	int node;
};

/** A cache for a mempool: pool types, lcore layer enabled at once. rte_errno as mag_cache_create(). */
struct mag_cache *mag_pool_create(const struct mag_pool_params *params);
/** Free a pool's cache whatever is out: its objects' memory is gone. Touches no object. */
void mag_pool_free(struct mag_cache *cache);
/** A pool lost all its memory (rte_mempool gave it back): start again without objects. */
void mag_pool_reset(struct mag_cache *cache);

/* Allocation below the fast path. */

/**
 * From this thread's magazines, depot and slabs: as many of n as there are.
 *
 * @param refused
 *   Set to true when there were more, but the constructor refused; else left alone.
 */
unsigned int mag_cache_take(struct mag_cache *cache, void **objects, unsigned int n, bool *refused);
/** Count objects for this thread that came from, or went, past its magazines. */
void mag_cache_count(struct mag_cache *cache, uint32_t allocs, uint32_t frees);
/** All of n or none: also from other lcores' magazines. 0 or -ENOBUFS. */
int mag_cache_take_all(struct mag_cache *cache, void **objects, unsigned int n, bool steal);
/** To this thread's magazines, depot or slabs. Never fails. */
void mag_cache_give(struct mag_cache *cache, void *const *objects, unsigned int n);
/** Destruct and free to the slab layer. */
void mag_cache_give_slab(struct mag_cache *cache, void *const *objects, unsigned int n);

/* visit.c: sweeps over the slots. */

/** Take what other lcores hold, up to n objects; returns how many. */
unsigned int mag_cache_steal(struct mag_cache *cache, void **objects, unsigned int n);
/** Objects that could be had by visiting everybody, in transit included. */
uint64_t mag_cache_reachable(const struct mag_cache *cache);
/**
 * Hand in what this thread's slot holds, and answer a request for it. The caller holds
 * the slot, which is let go.
 */
void mag_cache_hand_in(struct mag_cache *cache, struct mag_lcore *lcore);
/** Hand in the magazines of one slot, as its owner. */
void mag_cache_flush_slot(struct mag_cache *cache, uint32_t slot);
/**
 * Gather the objects of all magazines in the slabs, for contiguous blocks: purge, enable.
 * 0, or -EAGAIN when an owner did not let go.
 */
int mag_cache_gather(struct mag_cache *cache);
/** Destroy a magazine with the rounds that it holds. */
void mag_cache_destroy_magazine(struct mag_cache *cache, struct mag_detached detached);
/** Resize to any type, 0 = layer off; else as mag_cache_resize(). */
int mag_cache_change_type(struct mag_cache *cache, uint32_t rounds, bool wait);
/** The two halves of an update's work on the depot (spec 5). */
void mag_cache_working_set_update(struct mag_cache *cache);
void mag_cache_working_set_reap(struct mag_cache *cache);
bool mag_perimeter_enter(struct mag_cache *cache, bool wait);
void mag_perimeter_leave(struct mag_cache *cache);
/**
 * Purge by a thread that is in the perimeter.
 *
 * @param idle
 *   Nobody uses the cache: owners that may not be interrupted need not be asked.
 * @return
 *   0, or -EAGAIN with nothing changed.
 */
int mag_cache_purge_inside(struct mag_cache *cache, bool idle);

/* The list of all caches; maint.c observes it. */

/** Called after a cache was listed, without the list's lock. */
extern void (*mag_cache_observer)(struct mag_cache *cache);
/** Called after the last cache was taken off the list, without the list's lock. */
extern void (*mag_cache_last_observer)(void);
/** True when this thread is in the list's critical section. */
bool mag_cache_list_held(void);
/** Call visit for each cache under the list's lock; false when wait is false and it is taken. */
bool mag_cache_list_walk(bool wait, void (*visit)(struct mag_cache *cache, void *arg), void *arg);
/** Caches listed now. */
uint32_t mag_cache_listed(void);
/** Type that the cache must shrink to, now that more lcores run; the present one if it may stay. */
uint32_t mag_cache_type_bound(const struct mag_cache *cache);
/** Type that contention makes it grow to; the present one if it may not grow. */
uint32_t mag_cache_type_grown(const struct mag_cache *cache);

#endif /* MAG_CACHE_PRIVATE_H */
