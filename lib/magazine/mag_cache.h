/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_CACHE_H
#define MAG_CACHE_H

/**
 * @file
 * Object caches: equal objects, constructed once, had and given back from any lcore.
 *
 * A cache is an lcore layer (two magazines per lcore, no lock and no atomic
 * operation) over a depot of full and empty magazines over a slab layer over a region
 * (mag_region.h). The most recently freed objects are the next ones allocated.
 *
 * Unless said otherwise a function may be called from any thread of any process. Each thread has
 * magazines of its own, with or without an lcore id. While RTE_MAX_LCORE + 128 threads have some,
 * all others share one locked pair.
 *
 * What makes, destroys or resizes something and fails says why in one log line, and with an errno
 * value, which it returns, or leaves in rte_errno where that is said. What fails because there is
 * nothing to be had logs nothing.
 *
 * Callbacks of a cache (constructor, but for MAG_CONSTRUCT_MAY_WAIT, destructor, release) may run
 * with locks of that cache held, in any thread that allocates or frees, and in maintenance. They
 * may use other caches, whose callbacks do not use this one; they may not allocate from or free to
 * this one, wait, make or destroy caches, make mempools with this driver, nor call anything of
 * mag_maint.h: -EDEADLK. A mempool that they free is gone at once, its records with the next pass
 * of maintenance.
 *
 * A cache lies in memory that all processes of the DPDK application share, and without callbacks
 * each of them may use it, by its address. Callbacks are addresses in the process that made the
 * cache: in others such a cache gives nothing, takes nothing back, and each call says so in a log
 * line.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "mag_region.h"

MAG_EXPORTED_BEGIN
#ifdef __cplusplus
extern "C" {
#endif

/** Longest name, with its terminating zero. */
#define MAG_CACHE_NAMESIZE 64

/**
 * @name Flags of a cache
 * @{
 */
#define MAG_CACHE_NOMAGAZINES 0x1u /**< straight to the slab layer */
#define MAG_CACHE_DYNAMIC 0x2u     /**< magazines may be resized */
/**
 * Zero an object when it reaches the slab layer. By itself up to two CPU cache lines (option
 * clear_min).
 */
#define MAG_CACHE_CLEARONFREE 0x4u
#define MAG_CACHE_REAP_ALL 0x8u /**< each reap and reclaim of this cache takes all magazines */
/** @} */

struct mag_cache;

/** One side of an object: where it is, and which one. */
struct mag_object_info {
	void *address;           /**< its first byte */
	size_t size;             /**< bytes */
	void *bufctl;            /**< its control record; NULL for a mirror */
	uint64_t region_index;   /**< segment index x objects per segment + segment_object */
	uint32_t segment_object; /**< index in the segment */
};

/**
 * Flag of a constructor: its caller is an allocation that waits, and holds no lock. The constructor
 * may do all that its caller may (sleep, wait for other caches, make some), but for using its own
 * cache.
 */
#define MAG_CONSTRUCT_MAY_WAIT 0x1u

/**
 * Constructor: runs when an object leaves the slab layer, not at each allocation.
 * An object stays constructed while it sits in a magazine.
 *
 * @param object
 *   The object.
 * @param mirror
 *   Its mirror; its address is NULL when the region has none.
 * @param arg
 *   Of the parameters that the cache was made from.
 * @param flags
 *   MAG_CONSTRUCT_MAY_WAIT, or 0: it may not wait, on the data path, nor in a steal for an
 *   allocation that waits. One that would have to wait then refuses, and an allocation that waits
 *   comes again.
 * @return
 *   0; anything else stops construction: this object and those not yet constructed go
 *   back to the slab layer, cleared if the cache is one that clears, and not destructed.
 */
typedef int (*mag_constructor)(const struct mag_object_info *object,
			       const struct mag_object_info *mirror, void *arg, unsigned int flags);
/** Destructor: runs when an object goes back to the slab layer. */
typedef void (*mag_destructor)(void *object, void *arg);
/** Advice to the owner of a cache to free what objects it can. Part of mag_cache_reclaim(). */
typedef void (*mag_release)(void *arg);

/** What a cache is made from: begin with MAG_CACHE_PARAMS_INIT. */
struct mag_cache_params {
	size_t size;               /**< bytes of this struct */
	const char *name;          /**< copied; not empty */
	size_t object_size;        /**< bytes; not 0 */
	size_t align;              /**< power of two; 0 means 8 */
	struct mag_region *region; /**< backing memory; its objects must be large enough; or NULL */
	mag_constructor constructor; /**< or NULL */
	mag_destructor destructor;   /**< or NULL */
	mag_release release;         /**< or NULL */
	void *arg;                   /**< for the three */
	unsigned int flags;          /**< MAG_CACHE_* */
	const char *options;         /**< "interval=5,guard=1"; NULL = none */
	/**
	 * NUMA node of the cache's own records; MAG_NODE_ANY: that of the region's memory, the
	 * first if several
	 */
	int node;
};

/**
 * @def MAG_CACHE_PARAMS_INIT
 * Defaults: any node, and 0 for all else.
 */
#ifdef __cplusplus
static inline struct mag_cache_params
mag_cache_params_init(void)
{
	struct mag_cache_params params;

	memset(&params, 0, sizeof(params));
	params.size = sizeof(params);
	params.node = MAG_NODE_ANY;
	return params;
}
#define MAG_CACHE_PARAMS_INIT mag_cache_params_init()
#else
#define MAG_CACHE_PARAMS_INIT                                                                      \
	{                                                                                          \
		.size = sizeof(struct mag_cache_params), .node = MAG_NODE_ANY                      \
	}
#endif

/**
 * Make a cache over a region that has its memory.
 *
 * Without a region it is *intrinsic*, straight over EAL's heap: what its magazines cannot serve is
 * taken from it and given back to it one by one, also on the data path. Objects come zeroed; they
 * have no indices, no use counts and no guard, and a free is not checked. It is DYNAMIC and
 * CLEARONFREE. Objects of up to 1 GiB.
 *
 * @return
 *   The cache, or NULL with rte_errno: EINVAL (a parameter; the alignment is no power of two or
 *   larger than a segment; magazines wanted on a NOMAGAZINES region; a mirror region), E2BIG (the
 *   region's objects are too small), EBUSY (two caches use the region), ENOMEM, EEXIST (a second
 *   copy of this library is in the process), EDEADLK (called from a cache's callback), ENOTSUP (the
 *   program was compiled for another layout of what mag_inline.h shows).
 */
static inline struct mag_cache *mag_cache_create(const struct mag_cache_params *params);

/**
 * Destroy a cache. Nobody may use it any more.
 *
 * @return
 *   0, also for NULL; -EBUSY when objects are out (their number is logged), an lcore is using it,
 *   or somebody is resizing it: the cache stays fully usable; -EDEADLK (called from a cache's
 *   callback); -EPERM: another process made it (logged): it is destroyed there.
 */
int mag_cache_destroy(struct mag_cache *cache);

/**
 * Allocate one object, constructed. Never waits, and takes no memory from the system (an
 * intrinsic cache does).
 *
 * @return
 *   The object; NULL when there is none.
 */
static inline void *mag_cache_alloc(struct mag_cache *cache);

/** Default timeout of an allocation that waits: 20 seconds. */
#define MAG_WAIT_DEFAULT UINT64_C(20000000)

/**
 * Allocate one object, constructed, and wait until there is one: an elastic region takes a segment
 * from the system, at once and in this thread; the caches of the region are purged; then it is
 * tried again, after 1 to 4 ms, twice as long each time up to 1024 ms, or as soon as something was
 * freed. Not for lcores that must not sleep.
 *
 * @param cache
 *   The cache.
 * @param timeout_us
 *   Microseconds to wait at most, or MAG_WAIT_DEFAULT; UINT64_MAX waits for centuries. 0 does not
 *   wait: one try, which may take a segment from the system and purge the caches of the region, but
 *   does not sleep.
 * @return
 *   The object, or NULL with rte_errno: ETIMEDOUT; EINTR (a signal was handled meanwhile); EDEADLK
 *   (called from a cache's callback); EPERM (the cache has callbacks, in another process).
 */
void *mag_cache_alloc_wait(struct mag_cache *cache, uint64_t timeout_us);
/**
 * The same for n objects, all or none: an elastic region takes as many segments as are missing.
 * While it sleeps it holds none, so that two that wait do not keep from each other what each needs;
 * others may have what would have done for it.
 *
 * @param cache
 *   The cache.
 * @param objects
 *   Filled with n addresses, or undefined.
 * @param n
 *   How many. More than the cache can ever have are waited for in vain.
 * @param timeout_us
 *   As for mag_cache_alloc_wait().
 * @return
 *   0, or -ETIMEDOUT, -EINTR, -EDEADLK or -EPERM as mag_cache_alloc_wait(). 0 objects are had
 *   without waiting.
 */
int mag_cache_alloc_wait_bulk(struct mag_cache *cache, void **objects, unsigned int n,
			      uint64_t timeout_us);

/**
 * Allocate n objects, or none, as rte_ring_dequeue_bulk() does.
 *
 * Never waits. From any thread.
 *
 * @param cache
 *   The cache.
 * @param objects
 *   Room for n addresses. Filled, or undefined when there are fewer.
 * @param n
 *   How many.
 * @return
 *   n, or 0 when there are fewer, a constructor refused one, or the cache has callbacks of another
 *   process (logged).
 */
static inline unsigned int mag_cache_alloc_bulk(struct mag_cache *cache, void **objects,
						unsigned int n);
/**
 * Allocate up to n objects, as rte_ring_dequeue_burst() does.
 *
 * Never waits. From any thread.
 *
 * @param cache
 *   The cache.
 * @param objects
 *   Room for n addresses. The first ones are filled.
 * @param n
 *   How many at most.
 * @return
 *   How many could be had: n, or fewer where mag_cache_alloc_bulk() has none.
 */
static inline unsigned int mag_cache_alloc_burst(struct mag_cache *cache, void **objects,
						 unsigned int n);

/**
 * Free an object of this cache. An object that is not out is counted as an invalid
 * free, where that is noticed: always in the slab layer.
 */
static inline void mag_cache_free(struct mag_cache *cache, void *object);
/** Free n objects of this cache; needs no memory and never fails. */
static inline void mag_cache_free_bulk(struct mag_cache *cache, void *const *objects,
				       unsigned int n);
/** Free an object past the magazines: it is destructed now, and goes to the slab layer. */
void mag_cache_free_nocache(struct mag_cache *cache, void *object);
/**
 * The same for n objects. Needs no memory and never fails; an object that is not out is counted and
 * left alone.
 */
void mag_cache_free_nocache_bulk(struct mag_cache *cache, void *const *objects, unsigned int n);

/**
 * Infos of an object that has left the slab layer (it may lie in a magazine).
 *
 * @param cache
 *   The cache.
 * @param object
 *   Its address.
 * @param info
 *   Filled.
 * @param mirror
 *   Filled with its mirror's, address NULL when the region has none; may be NULL.
 * @return
 *   0, or -EINVAL for any other address; of a cache without a region any address will do.
 */
int mag_cache_object_info(const struct mag_cache *cache, const void *object,
			  struct mag_object_info *info, struct mag_object_info *mirror);

/**
 * @name Use counts
 *
 * An object with users may not be freed: a free of it is refused, and counted as invalid. From the
 * first call on, allocations and frees of the cache are looked at one by one.
 * @{
 */
/**
 * One user more.
 *
 * @return
 *   0; -EINVAL: not an object that is out; -EBUSY: it has a user, and the region is not SHAREOK;
 *   -EOVERFLOW: it has 4,294,967,295; -ENOTSUP: a cache without a region.
 */
int mag_cache_use(struct mag_cache *cache, const void *object);
/**
 * One user less.
 *
 * @param cache
 *   The cache.
 * @param object
 *   An object of the cache.
 * @param left
 *   How many are left; may be NULL. Not changed when it fails.
 * @return
 *   0; -EINVAL: not an object that is out; -ERANGE: it has none; -ENOTSUP: a cache without a
 *   region.
 */
int mag_cache_unuse(struct mag_cache *cache, const void *object, uint32_t *left);
/** @} */

/**
 * @name Who has what
 *
 * Of a cache with option guard=1 (or guard=panic), or on a MAG_REGION_AUDIT region. Each free is
 * then checked, where it is called: an address that is no object of the cache, or inside of one, or
 * an object that is free already is reported with its stack, counted and refused; with guard=panic
 * the program ends.
 * @{
 */
/** Most return addresses of a transaction. */
#define MAG_TRANSACTION_DEPTH 16

/** What a transaction was. */
enum mag_transaction_kind {
	MAG_TRANSACTION_NONE,  /**< none is recorded */
	MAG_TRANSACTION_ALLOC, /**< the object was handed out */
	MAG_TRANSACTION_FREE,  /**< it was given back */
};

/**
 * What last happened to an object, in whichever process: the stack, and the time, are that one's.
 */
struct mag_transaction {
	uint64_t time_ms;                   /**< since the library was loaded */
	uint32_t kind;                      /**< enum mag_transaction_kind */
	uint32_t thread;                    /**< of the kernel */
	uint32_t lcore;                     /**< lcore id, or LCORE_ID_ANY */
	uint32_t depth;                     /**< return addresses, innermost first */
	void *stack[MAG_TRANSACTION_DEPTH]; /**< the return addresses */
};

/**
 * The last transaction of an object that has left the slab layer.
 *
 * @return
 *   0; -ENOTSUP: the region is not MAG_REGION_AUDIT; -EINVAL: no such object; -ENOENT: it was never
 *   handed out, or the pool is sampled (audit=1/N) and the object is not.
 */
int mag_cache_transaction(const struct mag_cache *cache, const void *object,
			  struct mag_transaction *last);

/**
 * Which objects are with users.
 *
 * @param cache
 *   The cache.
 * @param objects
 *   Filled with the addresses of up to max of them.
 * @param max
 *   Room in objects.
 * @param count
 *   How many were filled.
 * @return
 *   0; -ENOTSUP: the cache is not guarded, and does not know.
 */
int mag_cache_held(const struct mag_cache *cache, void **objects, unsigned int max,
		   unsigned int *count);
/** @} */

/**
 * @name Loans
 *
 * Objects that are put by, for work that may not fail halfway. Between mag_cache_borrow() and
 * mag_loan_return() exactly that many allocations from the loan succeed. They count as in use from
 * the first on. A loan is for one thread at a time.
 * @{
 */
struct mag_loan;
/**
 * Borrow n objects, or none.
 *
 * Never waits for objects. From any thread of a process that may use the cache.
 *
 * @param cache
 *   The cache, which may not be destroyed before the loan is returned.
 * @param n
 *   How many, 1 to 1,048,576.
 * @param loan
 *   The loan; NULL if it fails.
 * @return
 *   0; -EINVAL: n is out of range; -ENOBUFS: there are fewer, or mag_cache_alloc_bulk() has none
 *   for another reason; -ENOMEM: no memory for their addresses.
 */
int mag_cache_borrow(struct mag_cache *cache, unsigned int n, struct mag_loan **loan);
/**
 * An object of the loan, constructed as all are; mag_cache_free() takes it back. NULL when as many
 * were allocated as were borrowed.
 */
void *mag_loan_alloc(struct mag_loan *loan);
/** How many allocations are left. */
unsigned int mag_loan_left(const struct mag_loan *loan);
/** End the loan: objects that were not allocated go back to the cache. NULL: does nothing. */
void mag_loan_return(struct mag_loan *loan);
/** @} */

/**
 * Called in maintenance (mag_maint.h): there are fewer free objects than the low mark, or not any
 * more. The limits of a constructor hold for it: objects may be had and freed, but caches may not
 * be made, destroyed, walked or purged.
 *
 * @param cache
 *   The cache.
 * @param is_low
 *   Fewer than the low mark; false: as many as the high one, or more, after that.
 * @param available
 *   Free objects.
 * @param arg
 *   As set.
 */
typedef void mag_watermark_fn(struct mag_cache *cache, bool is_low, uint64_t available, void *arg);
/**
 * Have a function called when free objects, as mag_cache_available() counts them, become few. Of a
 * pool: rte_mempool_magazine_cache() has its cache. Maintenance looks every 100 ms, and the data
 * path does nothing for it: what is over sooner may go unseen.
 *
 * @param cache
 *   A cache that this process made. Its marks end with it.
 * @param low
 *   Fewer free objects are low; at least 1.
 * @param high
 *   As many, or more, are enough again; not below low.
 * @param crossed
 *   Called once when there are fewer than low, and once when there are high after that. NULL: no
 *   marks any more. An earlier function does not run any more when this returns.
 * @param arg
 *   Handed to crossed.
 * @return
 *   0; -EINVAL: low is 0, or above high (logged); -EPERM: another process made the cache (logged);
 *   -EDEADLK: called from a cache's callback, or from a walk.
 */
int mag_cache_watermark(struct mag_cache *cache, uint64_t low, uint64_t high,
			mag_watermark_fn *crossed, void *arg);

/**
 * The most objects that the magazines of a cache's slots can hold, with chunks of this size and
 * memory on all nodes of the machine: (lcores + 1 for the shared slot) x nodes x 2 x rounds
 * of the largest type.
 *
 * Lcores are the most lcore ids that were in use at once (those that EAL was started with, service
 * lcores, registered threads), or the most threads that had magazines at once if these were more,
 * and two more: the answer grows as threads come. To be called after rte_eal_init().
 */
uint64_t mag_magazine_max(size_t chunk);

/**
 * Hand in the magazines of the calling thread, of all caches that the process made: for an lcore
 * that is about to sleep. Its objects are then in depots (full magazines) and, destructed, in
 * slabs; it may go on allocating and freeing at any time. Waits for a pass of maintenance that is
 * under way, and for visitors.
 *
 * @return
 *   0; -ENOENT: this thread has no magazines of its own (it never used a cache, or too many threads
 *   did);
 *   -EDEADLK: called from a cache's callback, or from a walk.
 */
int mag_lcore_flush(void);

#ifdef __cplusplus
}
#endif
MAG_EXPORTED_END

#include "mag_inline.h"

#endif /* MAG_CACHE_H */
