/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef CONTRACT_ROSTER_H
#define CONTRACT_ROSTER_H

#include <rte_mempool.h>

/**
 * @file
 * The roster of a pool: every object that rte_mempool populated, and who has it, the test or the
 * pool. It proves that a pool hands out its own objects, each to one holder, and leaves their
 * bytes alone. For one thread at a time.
 */

struct roster;

/**
 * List a populated pool's objects. Asserts that they are as many as populated, lie within the
 * pool's chunks, and do not overlap, headers and trailers included.
 */
struct roster *roster_of(struct rte_mempool *mp);
void roster_free(struct roster *roster);

/** A pool with its roster, and room for the addresses of its objects and 1024 more. */
struct hold {
	struct rte_mempool *mp;
	struct roster *roster;
	void **objs;
};
struct hold hold_of(struct rte_mempool *mp);
/** Frees the pool too. */
void hold_end(struct hold *hold);

/** Position of an object in the roster; asserts that it is one of the pool. */
unsigned int roster_index(const struct roster *roster, const void *obj);

/** Number of objects with the test. */
unsigned int roster_held(const struct roster *roster);

/** Get @p n objects through the public API. On success asserts that each is new to its holder. */
int roster_get(struct roster *roster, void **objs, unsigned int n);

/** Put objects back through the public API; asserts that the test has them. */
void roster_put(struct roster *roster, void *const *objs, unsigned int n);

/** Book objects that came or went by another way than roster_get() and roster_put(). */
void roster_took(struct roster *roster, void *const *objs, unsigned int n);
void roster_gave(struct roster *roster, void *const *objs, unsigned int n);

/** Get objects in bulks of @p bulk until the pool refuses. Returns how many came, in objs[]. */
unsigned int roster_drain(struct roster *roster, void **objs, unsigned int bulk);

/** Put objs[] back in bulks of @p bulk, the last one smaller if need be. */
void roster_refill(struct roster *roster, void **objs, unsigned int n, unsigned int bulk);

/** Shuffle an array of objects. */
void roster_shuffle(void **objs, unsigned int n);

/** Fill every byte of every object that rte_mempool leaves to its user, padding included. */
void roster_paint(struct roster *roster);

/** Assert that no byte of any object, headers included, changed since roster_paint(). */
void roster_assert_paint(const struct roster *roster);

#endif /* CONTRACT_ROSTER_H */
