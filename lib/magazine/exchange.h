/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_EXCHANGE_H
#define MAG_EXCHANGE_H

/*
 * Objects between this thread's slot, the depot and the slab layer (spec 4).
 */

#include "types.h"

/**
 * A request that may need several steps, {0} at first. While it has less than it wants, what it has is in
 * transit: others, who may want less, then know that it may come back.
 */
struct mag_request {
	uint64_t transit; /**< objects that it holds in transit */
	bool refused;     /**< there are more, but the constructor refused */
	bool some;        /**< set by who asks: fewer than it wants are welcome, too */
	bool may_wait;    /**< set by who asks, with no lock held: so may the constructor */
};

/**
 * Callbacks of caches that this thread is in. It may hold any lock of theirs then, and waits for none that
 * comes before these.
 */
extern _Thread_local unsigned int mag_callback_depth;

/** Logs that the cache's callbacks are in another process. */
void mag_cache_elsewhere_report(const struct mag_cache *cache);

/**
 * Are constructor and destructor addresses in another process, the one that made the cache, or its memory only that
 * one's (design 10)? Says so in a log line: who wants to call them, or use it, is refused.
 */
static inline bool
mag_cache_is_elsewhere(const struct mag_cache *cache)
{
	if (likely(!cache->is_own || cache->process == mag_process_id))
		return false;
	mag_cache_elsewhere_report(cache);
	return true;
}

/**
 * From this thread's magazines, depot and slabs: as many of n as there are. With fewer than n all
 * that were had are in transit, unless the constructor refused. mag_request_end() follows, when they are a user's or back.
 */
unsigned int mag_cache_take(struct mag_cache *cache, void **objects, unsigned int n,
			    struct mag_request *request);
/** Parts by their distance from this thread's node. */
const uint8_t *mag_homes_order(const struct mag_homes *homes);
/** To this thread's magazines, depot or slabs. Never fails. */
void mag_cache_give(struct mag_cache *cache, void *const *objects, unsigned int n);
/** Past the magazines: destruct and free to the slab layer. */
void mag_cache_give_past(struct mag_cache *cache, void *const *objects, unsigned int n);
/** n whole segments, all or nothing, as mag_slab_alloc_blocks(). */
int mag_cache_take_blocks(struct mag_cache *cache, void **first, unsigned int n);
/** Count objects for this thread that came from, or went, past its magazines in this home. */
void mag_home_count(struct mag_cache *cache, uint32_t allocs, uint32_t frees);
/** Destroy a magazine with the rounds that it holds. */
void mag_cache_destroy_magazine(struct mag_cache *cache, struct mag_detached detached);
/** Put a magazine where others can have it: a partial one can only be emptied. */
void mag_cache_hand_over(struct mag_cache *cache, struct mag_detached detached);
/**
 * Hand in what this thread's slot holds, and answer a request for it. The caller holds
 * the slot, which is let go.
 */
void mag_cache_hand_in(struct mag_cache *cache, struct mag_lcore *lcore);
/** Hand in the magazines of one slot, as its owner. */
void mag_cache_flush_slot(struct mag_cache *cache, uint32_t slot);

/** Objects are about to leave magazines, lists and slabs for somebody's hands. */
static inline void
mag_transit_begin(struct mag_cache *cache, uint64_t objects)
{
	MAG_STAT_ADD(cache->main->transit, objects);
	/* release: who sees the objects gone, and then reads transit, sees this; free on x86 */
	atomic_thread_fence(memory_order_release);
}

/** They are where others can have them, or with a user. */
static inline void
mag_transit_end(struct mag_cache *cache, uint64_t objects)
{
	/* release: who sees the objects gone from here sees where they went */
	atomic_fetch_sub_explicit(&cache->main->transit, objects, memory_order_release);
}

/** A request has more objects, and wants more still. Before anybody can see them gone. */
static inline void
mag_request_hold(struct mag_cache *cache, struct mag_request *request, uint64_t objects)
{
	mag_transit_begin(cache, objects);
	request->transit += objects;
}

/** Some of them are where others can have them. */
static inline void
mag_request_let_go(struct mag_cache *cache, struct mag_request *request, uint64_t objects)
{
	mag_transit_end(cache, objects);
	request->transit -= objects;
}

/** Its objects are with a user, or where others can have them. */
static inline void
mag_request_end(struct mag_cache *cache, struct mag_request *request)
{
	if (unlikely(request->transit != 0))
		mag_request_let_go(cache, request, request->transit);
}

#endif /* MAG_EXCHANGE_H */
