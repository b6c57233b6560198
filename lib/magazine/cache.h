/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_CACHE_PRIVATE_H
#define MAG_CACHE_PRIVATE_H

/*
 * Caches: made, listed and destroyed, for the library's users and for mempools.
 */

#include "exchange.h"
#include "types.h"
#include "visit.h"

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
/**
 * The pool is going to have memory of this node, which may be the first of its node. 0, -ENOMEM, or
 * -EBUSY when somebody stays in the resize perimeter.
 */
int mag_pool_home(struct mag_cache *cache, int node);
/**
 * Free a pool's cache whatever is out: its objects' memory is gone. Touches no object.
 *
 * @return
 *   False, when called from a callback or a walk, or in another process than the one that made it:
 *   nobody does anything for the pool any more, and who next leaves the list of that process, or
 *   its maintenance, frees it, and its region with it. Where that process has ended, nobody does.
 */
bool mag_pool_free(struct mag_cache *cache);
/**
 * A pool lost all its memory (rte_mempool gave it back): start again without objects. 0, or, with nothing done, -EBUSY
 * when somebody stays in the resize perimeter, or -EAGAIN when an lcore that holds magazines does not let go.
 */
int mag_pool_reset(struct mag_cache *cache);

/** All of n or none: also from other lcores' magazines. 0 or -ENOBUFS. */
int mag_cache_take_all(struct mag_cache *cache, void **objects, unsigned int n, bool steal);
/** The same for who may wait: constructors may, too. Not in a callback or a walk. */
int mag_cache_take_all_slowly(struct mag_cache *cache, void **objects, unsigned int n);
/** For what mag_cache_take_all() refused without a steal. 0 or -ENOBUFS. */
int mag_cache_steal_all(struct mag_cache *cache, void **objects, unsigned int n);

/* The list of all caches; maint.c observes it. */

/** Called after a cache was listed, without the list's lock. */
extern void (*mag_cache_observer)(void);
/** Called after the last cache was taken off the list, without the list's lock. */
extern void (*mag_cache_last_observer)(void);
/** True when this thread is in the list's critical section. */
bool mag_cache_list_held(void);
/** True when this thread is in there, or in a callback: it must not wait for the list. */
bool mag_cache_may_deadlock(void);
/**
 * Call visit for each cache under the list's lock; false when wait is false and it is taken. Then, which is maintenance's
 * way, visit itself leaves caches out that are gone.
 */
bool mag_cache_list_walk(bool wait, void (*visit)(struct mag_cache *cache, void *arg), void *arg);
/** Was this pool freed already, by who could not take it off the list? It is left alone until somebody does. */
bool mag_cache_is_gone(const struct mag_cache *cache);
/** Take those pools off the list, and free them with their regions. Without wait nothing when the list is taken. */
void mag_cache_list_sweep(bool wait);
/** Hold the list across fork(), and let it go again, in the parent and the child. */
void mag_cache_list_fork_begin(void);
void mag_cache_list_fork_end(void);
/** In a forked child, between these: the caches are its parent's. */
void mag_cache_list_forked(void);
/**
 * That parent is dead: its caches become this process's. Returns how many; 0 when there are none, or another child has
 * them; -EAGAIN when the list is taken.
 */
int mag_cache_list_take_over(uint32_t from);
/** The first cache of the list, which may be gone with EAL; NULL when there is none. False: the list is taken. */
bool mag_cache_list_first(const struct mag_cache **cache);
/** rte_eal_cleanup() takes EAL's memory away, with all caches in it: is this one's there? */
bool mag_cache_is_mapped(const struct mag_cache *cache);
/** Caches listed now. */
uint32_t mag_cache_listed(void);
/** Type that the cache must shrink to, now that more lcores run; the present one if it may stay. */
uint32_t mag_cache_type_bound(const struct mag_cache *cache);
/** Type that contention makes it grow to; the present one if it may not grow. */
uint32_t mag_cache_type_grown(const struct mag_cache *cache);

#endif /* MAG_CACHE_PRIVATE_H */
