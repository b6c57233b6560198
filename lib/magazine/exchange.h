/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_EXCHANGE_H
#define MAG_EXCHANGE_H

/*
 * Objects between this thread's slot, the depot and the slab layer (spec 4).
 */

#include "types.h"

/**
 * From this thread's magazines, depot and slabs: as many of n as there are.
 *
 * @param refused
 *   Set to true when there were more, but the constructor refused; else left alone.
 */
unsigned int mag_cache_take(struct mag_cache *cache, void **objects, unsigned int n, bool *refused);
/** The same from one home. */
unsigned int mag_home_take(struct mag_cache *home, void **objects, unsigned int n, bool *refused);
/** Part of the home nearest to this thread. */
unsigned int mag_homes_here(const struct mag_homes *homes);
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
	MAG_STAT_ADD(cache->transit, objects);
	/* release: who sees the objects gone, and then reads transit, sees this; free on x86 */
	atomic_thread_fence(memory_order_release);
}

/** They are where others can have them, or with a user. */
static inline void
mag_transit_end(struct mag_cache *cache, uint64_t objects)
{
	/* release: who sees the objects gone from here sees where they went */
	atomic_fetch_sub_explicit(&cache->transit, objects, memory_order_release);
}

#endif /* MAG_EXCHANGE_H */
