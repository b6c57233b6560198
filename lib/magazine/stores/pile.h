/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_PILE_H
#define MAG_PILE_H

/*
 * The reserve of a pool: free objects that lie apart, in an array of places.
 *
 * A place is filled by compare-and-swap from NULL and emptied by an exchange with NULL, so that a
 * process which is killed in between leaves nothing to repair: an object is in its place or in the
 * hands of the killed one. No count is kept that a kill could falsify; who wants to know counts the
 * places.
 *
 * For all below, the objects of the pile are with a user: neither slabs, depot nor slots have them.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct mag_pile {
	uint32_t size;
	_Atomic uint64_t taken; /**< objects, so far: what a count may have met twice */
	void *_Atomic place[];
};

/** Empty; NULL: no memory. mag_meta_free() frees it. */
struct mag_pile *mag_pile_make(uint32_t size, int node);
/** Take up to n objects; returns how many there were. */
unsigned int mag_pile_take(struct mag_pile *pile, void **objects, unsigned int n);
/** Fill a place; false: it has an object already. */
bool mag_pile_put(struct mag_pile *pile, uint32_t place, void *object);
/** Objects that lie there: never more than at some moment of the call. */
uint64_t mag_pile_count(const struct mag_pile *pile);
/** The memory of its objects is gone. Nobody takes or puts meanwhile. */
void mag_pile_forget(struct mag_pile *pile);

/** Is there an object in this place? It may be gone at once. */
static inline void *
mag_pile_look(const struct mag_pile *pile, uint32_t place)
{
	return atomic_load_explicit(&pile->place[place], memory_order_relaxed);
}

#endif /* MAG_PILE_H */
