/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_LEDGER_H
#define MAG_LEDGER_H

/*
 * The ledger: a few bytes beside each object of a pool, found from the object's address without a
 * lock (mirror.h).
 *
 * A region with adopted memory may have one: that memory, and with it the ledger, stays as long as
 * anybody may ask, so an address that is no object at all can be looked up at any time. An entry
 * knows its object, so an address inside of one is told from the object's own.
 *
 * Who may touch what: the word of the object, whoever hands it out or takes it back; `drawn`, any
 * thread.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_branch_prediction.h>
#include <rte_common.h>

#include "base/counter.h"
#include "mag_mirror.h"
#include "parts/mirror.h"
#include "stores/region.h"

struct mag_ledger_entry {
	_Atomic uint64_t drawn; /**< holders.h: who drew it, and when it was in the pool last */
	/** Address of the object; with MAG_LEDGER_USER: it is with a user, of a guarded pool. */
	_Atomic uintptr_t object;
};

/** In a word with the address of an object. No program has memory there. */
#define MAG_LEDGER_USER ((uintptr_t)1 << 63)

/** Bytes of a ledger's entry that are its own; the object's address follows. */
#define MAG_LEDGER_BYTES offsetof(struct mag_ledger_entry, object)

/** Bits of an address that say where in its granule it is. */
#define MAG_LEDGER_OFFSET (((uintptr_t)1 << MAG_MIRROR_SHIFT) - 1)

_Static_assert(MAG_LEDGER_BYTES % 8 == 0, "mirror.c puts the address right behind them");

_Static_assert(sizeof(struct mag_ledger_entry) == 16, "as far apart as mirror.c puts them");

/**
 * The entries of a granule: most objects of a bulk are in that of the one before. Two words, so
 * that they stay in registers.
 */
struct mag_ledger_granule {
	uintptr_t base;                 /**< its first address; if no object is in it, one above */
	struct mag_ledger_entry *first; /**< its first entry; NULL: no object is in it */
};

/** mag_ledger_granule() without a call: for one address. */
MAG_INLINE struct mag_ledger_granule
mag_ledger_granule_of_one(const struct mag_mirror_owner *ledger, uintptr_t address)
{
	/* acquire: as in mag_mirror_of() */
	const struct mag_mirror_table *table = MAG_LOAD(&ledger->find.table, MAG_ACQUIRE);
	uintptr_t granule = mag_mirror_granule(address);
	const struct mag_mirror_entry *found = &table->entry[mag_mirror_place(table, granule)];

	if (unlikely(MAG_LOAD(&found->granule, MAG_ACQUIRE) != granule))
		found = mag_mirror_search(table, granule);
	if (unlikely(found == NULL))
		return (struct mag_ledger_granule){address + 1, NULL};
	return (struct mag_ledger_granule){address & ~MAG_LEDGER_OFFSET, (void *)found->mirrors};
}

/** The granule of an address. */
static __rte_noinline struct mag_ledger_granule
mag_ledger_granule(const struct mag_mirror_owner *ledger, uintptr_t address)
{
	return mag_ledger_granule_of_one(ledger, address);
}

/** How addresses of a ledger lead to entries, in registers. */
struct mag_ledger_way {
	uint32_t shift;
	uintptr_t mask;
};

MAG_INLINE struct mag_ledger_way
mag_ledger_way(const struct mag_mirror_owner *ledger)
{
	/*
	 * Less what an index is shifted by to its entry. Objects are farther apart than entries:
	 * rte_mempool has a header before each.
	 */
	uint32_t shift = ledger->shift - 4;

	return (struct mag_ledger_way){shift, MAG_LEDGER_OFFSET >> shift & ~(uintptr_t)15};
}

/**
 * The entry that an object at an address of the granule has. If there is an object can be told by
 * the entry's word; so can addresses of other granules, which lead to some entry of this one.
 */
MAG_INLINE struct mag_ledger_entry *
mag_ledger_entry(const struct mag_ledger_granule *granule, struct mag_ledger_way way,
		 uintptr_t address)
{
	return (void *)((uintptr_t)granule->first + (address >> way.shift & way.mask));
}

/** The entry of an object; NULL: there is no object at this address. */
static inline struct mag_ledger_entry *
mag_ledger_find(const struct mag_mirror_owner *ledger, const void *object)
{
	uintptr_t address = (uintptr_t)object;
	struct mag_ledger_granule granule = mag_ledger_granule(ledger, address);
	struct mag_ledger_entry *entry;

	if (granule.first == NULL)
		return NULL;
	entry = mag_ledger_entry(&granule, mag_ledger_way(ledger), address);
	return (MAG_STAT(entry->object) & ~MAG_LEDGER_USER) == address ? entry : NULL;
}

#endif /* MAG_LEDGER_H */
