/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef CONTRACT_POOL_H
#define CONTRACT_POOL_H

#include <rte_mempool.h>

/**
 * @file
 * Pools over the ops under test, each with a name of its own and the ops name asserted.
 */

struct pool_spec {
	int socket_id;
	unsigned int n;
	unsigned int elt_size;
	unsigned int cache_size;
	unsigned int flags;
	const char *config; /* pool_config of the ops, or NULL */
	const char *ops;    /* NULL: the ops under test */
};

/** Spec of @p n objects of @p elt_size bytes, everything else at its default. */
#define POOL_SPEC(n, elt_size, ...) POOL_SPEC_ON(SOCKET_ID_ANY, n, elt_size, ##__VA_ARGS__)

/** The same on a socket. */
#define POOL_SPEC_ON(socket, n, elt_size, ...)                                                     \
	(&(struct pool_spec){(socket), (n), (elt_size), ##__VA_ARGS__})

/** rte_mempool_create_empty() and the ops set; asserts both. */
struct rte_mempool *pool_empty(const struct pool_spec *spec);

/** Empty pool, populated in the default way; asserts that all objects are there. */
struct rte_mempool *pool_make(const struct pool_spec *spec);

/**
 * The same without a callback for its memory, which rte_mempool would call in whatever process
 * frees the pool: in a memzone of this name, which stays.
 */
struct rte_mempool *pool_anywhere(const struct pool_spec *spec, const char *zone);

/**
 * As pool_make(), but NULL where the reference handler refuses the same spec as well, which is
 * then printed. Where only the ops under test refuse, the test fails.
 */
struct rte_mempool *pool_try(const struct pool_spec *spec);

/** Assert that the pool still has the ops that it was made with. */
void pool_assert_ops(const struct rte_mempool *mp);

/** Assert the number of free objects, by every way to ask for it. Not for use with a cache. */
void pool_assert_free(const struct rte_mempool *mp, unsigned int expected);

/** Free objects by the get_count op. */
unsigned int pool_ops_count(const struct rte_mempool *mp);

/** Get all objects, one by one; objs[] has room for them: how many came. */
unsigned int pool_get_all(struct rte_mempool *mp, void **objs);

/** Get some hundred objects of the pool, one by one so that a cache gets them, and put them. */
void pool_get_and_put(void *mp);

/** Get so many objects, up to 64, at once, and put them; nothing if there are fewer. */
void pool_take_a_turn(struct rte_mempool *mp, unsigned int n);

/**
 * Take what is to be had, up to 2000 objects, and put it back in every bulk size, so that magazines
 * fill up.
 */
void pool_fill_magazines(void *mp);

/** As drivers do that fill an lcore's cache themselves, and have no second try. */
int pool_fill_as_a_driver(struct rte_mempool *mp, unsigned int needed);

/** The calc_mem_size op, as rte_mempool calls it. */
ssize_t pool_calc_mem_size(const struct rte_mempool *mp, unsigned int n, unsigned int page_shift,
			   size_t *least, size_t *align);

/** Bytes of one object: header, element, trailer. */
size_t pool_stride(const struct rte_mempool *mp);

/** Map @p len bytes that EAL does not know; asserts success. */
void *pool_map(size_t len);

/** Chunk callback that unmaps the chunk; opaque is its length. */
void pool_unmap_chunk(struct rte_mempool_memhdr *memhdr, void *opaque);

/** Size of a chunk that takes @p n objects without regard to pages, with room for alignment. */
size_t pool_chunk_size(struct rte_mempool *mp, unsigned int n);

#endif /* CONTRACT_POOL_H */
