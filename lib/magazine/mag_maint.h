/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_MAINT_H
#define MAG_MAINT_H

/**
 * @file
 * Maintenance: what is done now and then, and can be asked for.
 *
 * A control thread of the library wakes when something is due. It turns an EAL service ("magazine")
 * on, by which a service lcore updates and reaps all caches of the process; where none does within
 * 50 ms, it does so itself. The thread begins with the first cache and ends with the last. All of
 * it can be called from any thread, but not on the data path and not from a cache's callbacks:
 * -EDEADLK, or nothing is done. What may call a cache's callbacks is for the process that made the
 * cache: -EPERM elsewhere, and one log line.
 *
 * Free pools and caches before rte_eal_cleanup(): it takes their memory away and tells nobody.
 */

#include <stdbool.h>
#include <stdint.h>

#include "mag_cache.h"

MAG_EXPORTED_BEGIN
#ifdef __cplusplus
extern "C" {
#endif

/**
 * One update of one cache, now: rescale, working set, resize by load, reap of what the last
 * interval did not need. The next regular one comes no later for it. Destructors run in this
 * thread. When somebody else is in the resize perimeter, or an lcore does not let go, the size
 * stays as it is.
 *
 * @return
 *   0; -EDEADLK (called from a cache's callback) or -EPERM (the cache has callbacks, in another
 *   process): nothing is done.
 */
int mag_cache_update(struct mag_cache *cache);

/**
 * Turn the lcore layer off and empty it: every operation goes to the slab layer until
 * mag_cache_enable().
 *
 * @return
 *   0; -EDEADLK (called from a cache's callback); -EPERM (the cache has callbacks, in another
 *   process); -EBUSY when somebody else is in the resize perimeter; -EAGAIN when an lcore was
 *   preempted inside an operation and did not let go in time, or somebody stayed in a lock for 100
 *   ms: the layer stays on, at its size, though some nodes may have been emptied. With visit=0
 *   always -EAGAIN: owners are asked to flush when they next come by; what the depot and threads
 *   without magazines of their own held is in the slabs. The same, once
 *   membarrier(2) has failed in this process, until every owner has come by.
 */
int mag_cache_purge(struct mag_cache *cache);
/**
 * Turn the lcore layer on again after mag_cache_purge(), at the size in force. Waits while somebody
 * else is in the resize perimeter, for 6 s at most.
 *
 * @return
 *   0, also when it is on; -ENOTSUP: a NOMAGAZINES cache has none; -EBUSY when somebody else stayed
 *   in the resize perimeter for all that time: the layer is as it was; -EDEADLK when called from a
 *   cache's callback.
 */
int mag_cache_enable(struct mag_cache *cache);

/**
 * Purge, change the magazine size, enable.
 *
 * @param cache
 *   The cache.
 * @param rounds
 *   One of the cache's types: 14, 30, 62, 126, 254, 510 for a pool, the rows of the
 *   specification's table for others.
 * @param wait
 *   Wait for others in the resize perimeter, for 6 s at most, instead of -EBUSY at once.
 * @return
 *   0; -EINVAL (no such type); else as mag_cache_purge(): with visit=0 the size never changes.
 */
int mag_cache_resize(struct mag_cache *cache, uint32_t rounds, bool wait);

/**
 * Reap now: give back all that the depot holds and each lcore's previous magazine. The lcore layer
 * stays on.
 *
 * @param cache
 *   The cache.
 * @param all
 *   All magazines, as for a MAG_CACHE_REAP_ALL cache always: a purge, and an enable.
 * @return
 *   0, or as mag_cache_purge().
 */
int mag_cache_reap_now(struct mag_cache *cache, bool all);

/**
 * Call the cache's release callback, in this thread, then reap what two intervals did not need;
 * with memory low, or for a MAG_CACHE_REAP_ALL cache, reap all magazines instead.
 *
 * @return
 *   0; -EDEADLK (called from a cache's callback) or -EPERM (the cache has callbacks, in another
 *   process): nothing is done; where it purges also as mag_cache_purge().
 */
int mag_cache_reclaim(struct mag_cache *cache, bool memory_low);

/**
 * Request that all caches are reclaimed, as by mag_cache_reclaim(), with memory low if it is when
 * the request is served: when EAL had no memory for an object cache in the last second, or tasks of
 * the system wait for memory for as much of the time as the cache's option pressure says. Served by
 * maintenance, at most once per update interval; further requests before that are dropped. Safe in
 * a signal handler.
 *
 * @return
 *   0; -EDEADLK: called from a walk, or from a callback of maintenance: nothing is requested.
 */
int mag_reap_request(void);

/**
 * Stop maintenance of this process, and wait until it has: a pass that is under way is finished,
 * with its destructors. From then on nothing of the library runs but what the application calls,
 * until the next cache or pool is made (or the destruction of one is refused): caches work, but are
 * not updated, a reap that is requested waits, and elastic regions grow only where
 * mag_region_grow() or an allocation that waits makes them.
 *
 * To be called before rte_eal_cleanup() by an application that keeps pools or caches: EAL takes
 * their memory away then, and nothing may look at it any more. One that has freed them all has no
 * maintenance to stop.
 *
 * @return
 *   0, also when there was none; -EDEADLK: called from a cache's callback, or from a walk.
 */
int mag_maint_stop(void);

/** Who runs maintenance now. */
enum mag_maint_runner {
	MAG_MAINT_NONE,    /**< nobody: no cache yet, or mag_maint_stop() */
	MAG_MAINT_SERVICE, /**< a service lcore */
	MAG_MAINT_THREAD,  /**< the library's control thread */
};
/** Who did the last of it in this process; before it is first due, the control thread. */
enum mag_maint_runner mag_maint_runner(void);
/** Updates of caches done since the library was loaded. */
uint64_t mag_maint_updates(void);

#ifdef __cplusplus
}
#endif
MAG_EXPORTED_END

#endif /* MAG_MAINT_H */
