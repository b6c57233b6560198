/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_DOOR_H
#define MAG_DOOR_H

/*
 * The driver's door: beside the public headers, all that the mempool driver has of the library. The
 * library exports these names for the driver alone (node INTERNAL of version.map); they change with
 * it, and no application has them.
 *
 * A pool is a cache over a region that adopts what the mempool has of memory. Behind this door a
 * pool is a struct mag_cache; the driver looks into none of its fields.
 */

#include <stdbool.h>
#include <stdint.h>

#include <rte_compat.h>

#include "base/log.h"
#include "mag_cache.h"
#include "mag_mirror.h"
#include "slot/pair.h"

MAG_EXPORTED_BEGIN

/** Log type of library and driver: MAG_LOG() of log.h. */
extern int mag_logtype;

/** Room for the names of handlers, joined by +. */
#define MAG_DOOR_REPLACE_SIZE 512

/**
 * Most objects that a cache of rte_mempool is filled with: up to 25.11 its size and what a request
 * is short of, which may be as much as the largest size, 512; from 26.07 on half its size.
 */
#define MAG_DOOR_REFILL_MAX 1024
/**
 * Switch replace of MAGAZINE_SWITCHES: the handlers that magazine takes the place of.
 *
 * @param names
 *   Filled: at least one name, joined by +; "" without the switch.
 * @return
 *   0, or -EINVAL after one log line.
 */
__rte_internal int mag_door_replace(char names[MAG_DOOR_REPLACE_SIZE]);

/** What a pool is made from. */
struct mag_door_params {
	const char *name;
	uint32_t object_size; /**< bytes */
	uint32_t stride;      /**< bytes from object to object, headers included */
	uint32_t objects;     /**< that the pool is going to have; not 0 */
	uint32_t cache_size;  /**< of rte_mempool's caches, as made; 0: there are none */
	int socket;           /**< of rte_mempool: -1, a node, or the number of an external heap */
	const char *options;  /**< text; NULL: what the environment says */
	uint32_t header;      /**< bytes before each object ... */
	uint32_t unused;      /**< ... of which the first ones are nobody's */
	uint32_t trailer;     /**< bytes behind each object; nobody changes them */
	bool is_mbuf;         /**< objects begin with a struct rte_mbuf ... */
	uint32_t data; /**< ... and so far behind there is data; 0: not in the object itself */
};

/**
 * Make a pool, without memory yet.
 *
 * @return
 *   The pool, or NULL with rte_errno after one log line: as mag_cache_create().
 */
__rte_internal struct mag_cache *mag_door_create(const struct mag_door_params *params);
/**
 * Objects that rte_mempool's cache of each lcore shall be for, by option cache; 0 = off. What the
 * pool was made with unless the options say otherwise; always if that is 0.
 */
__rte_internal uint32_t mag_door_cache_size(const struct mag_cache *pool);
/** Objects at which rte_mempool flushes a cache of that size. */
__rte_internal uint32_t mag_door_flushthresh(uint32_t cache_size);
/**
 * Free a pool, whatever is out: its objects' memory is gone, and none of it is touched. In another
 * process than the one that made it, or in a callback or a walk, its records are freed later, by
 * the maintenance of that process.
 */
__rte_internal void mag_door_free(struct mag_cache *pool);
/**
 * A pool lost all its memory (rte_mempool gave it back): start again without objects. Nothing when
 * it had none.
 *
 * @return
 *   0; with nothing done -EBUSY when somebody stays in the resize perimeter, -EAGAIN when an lcore
 *   that holds magazines does not let go.
 */
__rte_internal int mag_door_reset(struct mag_cache *pool);

/**
 * Node that an address is on: EAL knows, or the kernel does, of pages that were written to;
 * MAG_NODE_ANY if not.
 */
__rte_internal int mag_door_node_of(const void *address);
/**
 * Give a pool objects, as mag_region_adopt().
 *
 * @param tell
 *   Called with arg when all memory is had that this needs, and before the first object can be had.
 * @return
 *   0; -EINVAL, -ENOMEM or -EBUSY with nothing adopted and tell not called.
 */
__rte_internal int mag_door_adopt(struct mag_cache *pool, void *const *objects, uint32_t count,
				  int node, void (*tell)(void *arg), void *arg);
/** Keep this thread out of its magazines of the pool: get and put take the slow path. */
__rte_internal void mag_door_keep_out(struct mag_cache *pool, bool out);

/** Free objects, those that are moving at this moment included: at least as many as can be had. */
__rte_internal uint64_t mag_door_reachable(const struct mag_cache *pool);
/** May this thread have the reserve of any pool? */
__rte_internal void mag_door_privileged(bool privileged);
/**
 * From now on nothing is stolen and no block is gathered: the pool is being freed. With report, log
 * what is out.
 */
__rte_internal void mag_door_dying(struct mag_cache *pool, bool report);

/**
 * Get n objects when the inlined functions had too few: from depot and slabs, all or none, without
 * a steal.
 *
 * @param before
 *   Filled with what was in objects, if n is at most MAG_DOOR_REFILL_MAX and the answer not 0.
 * @param had
 *   Filled with what mag_door_get_hard() wants to know.
 * @return
 *   0 or -ENOBUFS.
 */
__rte_internal int mag_door_get(struct mag_cache *pool, void **objects, unsigned int n,
				void *before[MAG_DOOR_REFILL_MAX], uint64_t *had);
/**
 * The same when mag_door_get() had too few: also what other lcores hold.
 *
 * @param refilled
 *   The cache of a mempool that this request fills, more than it needs now, or NULL. Then nothing
 *   is stolen at first. A request for the same cache that follows at once has no other way: it is
 *   served.
 * @return
 *   0 or -ENOBUFS.
 */
__rte_internal int mag_door_get_hard(struct mag_cache *pool, void **objects, unsigned int n,
				     const void *refilled, uint64_t had);

/** What the data of a mempool is. */
enum mag_door_kind {
	MAG_DOOR_POOL,    /**< a pool that this process can use */
	MAG_DOOR_OTHER,   /**< another handler's */
	MAG_DOOR_MOVED,   /**< a pool that is at another address than where it was made */
	MAG_DOOR_STRANGE, /**< a pool that another version of the library made (logged) */
};

/** Looks at memory only as far as it is EAL's. */
__rte_internal enum mag_door_kind mag_door_kind_of(const void *data);

/**
 * By which number rte_mempool knows the driver in other processes, of which the first that asked
 * left word; mine: in this one.
 *
 * @return
 *   -1: not known, as long as the primary process has not asked.
 */
__rte_internal int mag_door_number(int mine);

/** Objects of a contiguous block. */
__rte_internal uint32_t mag_door_block(const struct mag_cache *pool);
/**
 * n contiguous blocks, all or none: 0, or -ENOBUFS. Gathers what lies in magazines when there is
 * enough.
 */
__rte_internal int mag_door_take_blocks(struct mag_cache *pool, void **first, unsigned int n);
/** How to find the mirrors of a pool's objects; NULL when it has none. */
__rte_internal const struct mag_mirror *mag_door_mirror(const struct mag_cache *pool);

MAG_EXPORTED_END

#endif /* MAG_DOOR_H */
