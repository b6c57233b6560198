/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RTE_MEMPOOL_MAGAZINE_INLINE_H
#define RTE_MEMPOOL_MAGAZINE_INLINE_H

/**
 * @file
 * Get and put of mempools of the driver "magazine", and alloc and free of their mbufs, inlined into
 * the application.
 *
 * rte_mempool inlines its own cache and calls a handler by a pointer. These functions inline the
 * magazines of the calling lcore instead, and leave rte_mempool's cache alone: no object stays in
 * it, so one lcore can have the last one. A pool of another handler goes by rte_mempool as before,
 * and the two ways can be mixed: device drivers use rte_mempool's functions on the same pools.
 *
 * A program that uses them links the driver (pkg-config librte_mempool_magazine, or
 * -lrte_mempool_magazine); a plugin that is only loaded does not have them. Where rte_mempool
 * counts or checks each object (RTE_LIBRTE_MEMPOOL_DEBUG, RTE_LIBRTE_MEMPOOL_STATS) all requests go
 * by it.
 *
 * All functions are thread safe, for lcores and other threads, in primary and secondary processes.
 */

#include <rte_branch_prediction.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#include "mag_inline.h"

MAG_EXPORTED_BEGIN
#ifdef __cplusplus
extern "C" {
#endif

/**
 * Number of the driver among the handlers of this process, from when other processes are known to
 * have the same; -1 before. Its name ends with the layout that the program is compiled for
 * (MAG_LAYOUT): a driver of another layout leaves it at -1, or has no such name. Not for users.
 */
extern int32_t rte_mempool_magazine_number_2;

/** What rte_mempool_magazine_get_bulk() could not inline. Not for users. */
int rte_mempool_magazine_get_slow(struct rte_mempool *mp, void **objects, unsigned int n);
/** What rte_mempool_magazine_put_bulk() could not inline. Not for users. */
void rte_mempool_magazine_put_slow(struct rte_mempool *mp, void *const *objects, unsigned int n);

/** Are requests to this mempool inlined? If not they go by rte_mempool. */
static inline bool
rte_mempool_magazine_is_inlined(const struct rte_mempool *mp)
{
#if defined(RTE_LIBRTE_MEMPOOL_DEBUG) || defined(RTE_LIBRTE_MEMPOOL_STATS)
	(void)mp;
	return false;
#else
	/* relaxed: until it is seen requests go the other way */
	return MAG_LOAD(&rte_mempool_magazine_number_2, MAG_RELAXED) == mp->ops_index;
#endif
}

/**
 * Get objects, as rte_mempool_get_bulk() does: all or none. Those in this lcore's cache of
 * rte_mempool are used when there are no others.
 *
 * @param mp
 *   A populated mempool of any handler.
 * @param objects
 *   Filled; when the request is refused its contents are not defined.
 * @param n
 *   Number of objects.
 * @return
 *   0, or a negative value: there are not enough.
 */
static inline int
rte_mempool_magazine_get_bulk(struct rte_mempool *mp, void **objects, unsigned int n)
{
	if (likely(rte_mempool_magazine_is_inlined(mp)) &&
	    likely(mag_slot_get(mag_slot_of((struct mag_cache *)mp->pool_data), objects, n)))
		return 0;
	return rte_mempool_magazine_get_slow(mp, objects, n);
}

/**
 * Put objects, as rte_mempool_put_bulk() does, but never into rte_mempool's cache if the pool is of
 * this driver.
 *
 * @param mp
 *   The mempool that they are of.
 * @param objects
 *   The objects.
 * @param n
 *   Number of objects.
 */
static inline void
rte_mempool_magazine_put_bulk(struct rte_mempool *mp, void *const *objects, unsigned int n)
{
	if (unlikely(!rte_mempool_magazine_is_inlined(mp)) ||
	    unlikely(!mag_slot_put(mag_slot_of_put((struct mag_cache *)mp->pool_data), objects, n)))
		rte_mempool_magazine_put_slow(mp, objects, n);
}

/**
 * Get one object, as rte_mempool_get() does.
 *
 * @param mp
 *   A populated mempool of any handler.
 * @return
 *   The object, or NULL: there is none.
 */
static inline void *
rte_mempool_magazine_get(struct rte_mempool *mp)
{
	/* Two, so that the address of the first goes nowhere, and it stays in a register. */
	void *object, *slow;

	if (likely(rte_mempool_magazine_is_inlined(mp)) &&
	    likely(mag_slot_get(mag_slot_of((struct mag_cache *)mp->pool_data), &object, 1)))
		return object;
	return rte_mempool_magazine_get_slow(mp, &slow, 1) == 0 ? slow : NULL;
}

/**
 * Put one object, as rte_mempool_put() does.
 *
 * @param mp
 *   The mempool that it is of.
 * @param object
 *   The object.
 */
static inline void
rte_mempool_magazine_put(struct rte_mempool *mp, void *object)
{
	void *slow;

	if (likely(rte_mempool_magazine_is_inlined(mp)) &&
	    likely(mag_slot_put(mag_slot_of_put((struct mag_cache *)mp->pool_data), &object, 1)))
		return;
	slow = object;
	rte_mempool_magazine_put_slow(mp, &slow, 1);
}

/**
 * Allocate an mbuf, as rte_pktmbuf_alloc() does.
 *
 * @param mp
 *   A mempool of mbufs, of any handler.
 * @return
 *   The mbuf, of one segment without data, or NULL: there is none.
 */
static inline struct rte_mbuf *
rte_mempool_magazine_pktmbuf_alloc(struct rte_mempool *mp)
{
	struct rte_mbuf *m = (struct rte_mbuf *)rte_mempool_magazine_get(mp);

	if (likely(m != NULL))
		rte_pktmbuf_reset(m);
	return m;
}

/**
 * Free a packet, as rte_pktmbuf_free() does: each of its segments that nobody else refers to goes
 * back to the mempool that it is of.
 *
 * @param m
 *   The packet's first segment, or NULL.
 */
static inline void
rte_mempool_magazine_pktmbuf_free(struct rte_mbuf *m)
{
	struct rte_mbuf *next;

	for (; m != NULL; m = next) {
		next = m->next;
		m = rte_pktmbuf_prefree_seg(m);
		if (likely(m != NULL))
			rte_mempool_magazine_put(m->pool, m);
	}
}

#ifdef __cplusplus
}
#endif
MAG_EXPORTED_END

#endif /* RTE_MEMPOOL_MAGAZINE_INLINE_H */
