/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RTE_MEMPOOL_MAGAZINE_H
#define RTE_MEMPOOL_MAGAZINE_H

/**
 * @file
 * What the mempool driver "magazine" offers beyond rte_mempool's own interface.
 *
 * Select it by its name, RTE_MEMPOOL_MAGAZINE_OPS_NAME: with
 * rte_pktmbuf_pool_create_by_ops(), rte_mempool_set_ops_byname(), or EAL's
 * --mbuf-pool-ops-name. Options are the text that rte_mempool_set_ops_byname()
 * takes as pool_config, or else the environment variable MAGAZINE_OPTIONS.
 */

#include <rte_mempool.h>

#include "mag_cache.h"
#include "mag_maint.h"
#include "mag_mirror.h"
#include "mag_stats.h"

MAG_EXPORTED_BEGIN
#ifdef __cplusplus
extern "C" {
#endif

/** The driver's name among mempool handlers. */
#define RTE_MEMPOOL_MAGAZINE_OPS_NAME "magazine"

/**
 * Look a mempool of this driver up by its name, as rte_mempool_lookup() does, and make sure that
 * this process can use it. For secondary processes, and for any process that did not make the pool:
 * rte_mempool knows handlers by their number in each process's own table, so a process with other
 * plugins, or with the same in another order, calls another handler with the pool.
 *
 * Thread safe.
 *
 * @param name
 *   Of the mempool.
 * @return
 *   The mempool, or NULL with rte_errno: ENOENT, there is none of that name; and after one log line
 *   EINVAL, it is of another handler; EXDEV, the number of its handler is another one's in this
 *   process; ENOTSUP, another version of the driver made it, with another layout of its records;
 *   EFAULT, its records are at another address than where they were made; EAGAIN, it is not yet
 *   populated.
 */
struct rte_mempool *rte_mempool_magazine_lookup(const char *name);

/** rte_mempool_magazine_cache() of a program that was compiled for this layout. Not for users. */
struct mag_cache *rte_mempool_magazine_cache_with(const struct rte_mempool *mp, uint32_t layout);

/**
 * The cache behind a mempool: for mag_cache_stats_get(), mag_cache_reap_now(),
 * mag_cache_resize() and their like. It lives as long as the mempool.
 *
 * Thread safe.
 *
 * @param mp
 *   A mempool.
 * @return
 *   The cache, or NULL with rte_errno: EINVAL, the mempool is not of this driver, or is not yet
 *   populated; and after one log line ENOTSUP, the program was compiled for another layout of what
 *   mag_inline.h shows, or ENOTSUP, EXDEV and EFAULT as rte_mempool_magazine_lookup().
 */
static inline struct mag_cache *
rte_mempool_magazine_cache(const struct rte_mempool *mp)
{
	return rte_mempool_magazine_cache_with(mp, MAG_LAYOUT);
}

/**
 * How to find the mirrors of a mempool's objects, which it has with the option "mirror=BYTES":
 * memory for each object, an mbuf say, that lies neither in the object nor in its private area,
 * and on its node.
 *
 * Ask once and keep the answer: it lives as long as the mempool. Then mag_mirror_of() is the
 * way from an mbuf to its mirror, mag_mirror_object() the way back.
 *
 * Thread safe, in all processes.
 *
 * @param mp
 *   A mempool.
 * @return
 *   For mag_mirror_of(); NULL when the mempool has no mirrors, or with rte_errno = EINVAL is none
 *   of this driver, or not yet populated.
 */
const struct mag_mirror *rte_mempool_magazine_mirror(const struct rte_mempool *mp);

/**
 * May the calling thread have the reserve of mempools? With the option "reserve=N" N objects of a
 * mempool lie apart, and count as free. A get that finds no others has them if its thread is
 * privileged: threads of control traffic, say, which has to go on when the mempool is used up.
 * Maintenance fills the reserve again every 100 ms, as far as objects are free then, but not with
 * those in caches of rte_mempool. No thread is privileged at first.
 *
 * Thread safe: it is about the calling thread alone, and all mempools of this driver.
 *
 * @param privileged
 *   From now on.
 */
void rte_mempool_magazine_privileged(bool privileged);

#ifdef __cplusplus
}
#endif
MAG_EXPORTED_END

#endif /* RTE_MEMPOOL_MAGAZINE_H */
