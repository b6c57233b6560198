/* SPDX-License-Identifier: BSD-3-Clause */
#include <rte_common.h>

#include "base/counter.h"
#include "base/meta.h"
#include "stores/pile.h"

struct mag_pile *
mag_pile_make(uint32_t size, int node)
{
	struct mag_pile *pile =
		mag_meta_zalloc(sizeof(*pile) + (size_t)size * sizeof(pile->place[0]), node);

	if (pile != NULL)
		pile->size = size;
	return pile;
}

unsigned int
mag_pile_take(struct mag_pile *pile, void **objects, unsigned int n)
{
	unsigned int got = 0;
	uint32_t i;

	for (i = 0; i < pile->size && got < n; i++) {
		if (mag_pile_look(pile, i) == NULL)
			continue;
		/* acquire: pairs with mag_pile_put() */
		objects[got] =
			atomic_exchange_explicit(&pile->place[i], NULL, memory_order_acquire);
		got += objects[got] != NULL;
	}
	/* release: pairs with mag_pile_count(): before a user has them */
	atomic_fetch_add_explicit(&pile->taken, got, memory_order_release);
	return got;
}

bool
mag_pile_put(struct mag_pile *pile, uint32_t place, void *object)
{
	void *none = NULL;

	/* release: pairs with mag_pile_take(): the object is free */
	return atomic_compare_exchange_strong_explicit(&pile->place[place], &none, object,
						       memory_order_release, memory_order_relaxed);
}

/*
 * An object that is taken meanwhile, freed and put back may be met twice. Each of these was counted
 * when it was taken, so many fewer are certain.
 */
uint64_t
mag_pile_count(const struct mag_pile *pile)
{
	/* acquire: the places are read after it */
	uint64_t before = atomic_load_explicit(&pile->taken, memory_order_acquire), count = 0, met;
	uint32_t i;

	for (i = 0; i < pile->size; i++)
		count += mag_pile_look(pile, i) != NULL;
	/* acquire: the places were read before it */
	atomic_thread_fence(memory_order_acquire);
	met = MAG_STAT(pile->taken) - before;
	return count - RTE_MIN(count, met);
}

void
mag_pile_forget(struct mag_pile *pile)
{
	uint32_t i;

	for (i = 0; i < pile->size; i++)
		atomic_store_explicit(&pile->place[i], NULL, memory_order_relaxed);
}
