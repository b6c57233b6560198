/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * An object's word in the ledger says whether it is with a user. It is read and then written, at
 * get and at put, by plain instructions: an exchange would cost ten times as much as all the rest.
 * So two threads that put the same object in the same few nanoseconds may both find it with a user.
 * Then it is in the pool twice, and whoever gets it a second time finds it with a user and leaves
 * it out: there a double put is noticed at the latest.
 */

#include <stdint.h>

#include <rte_branch_prediction.h>
#include <rte_common.h>

#include "stores/ledger.h"
#include "watch/guard.h"

/*
 * The words of n objects go from one state to the other: how many, up to the first that is in
 * another state, or is no object.
 */
MAG_INLINE unsigned int
turn_all(const struct mag_cache *cache, void *const *objects, unsigned int n, uintptr_t from,
	 uintptr_t to)
{
	const struct mag_mirror_owner *ledger = cache->region->ledger;
	uint64_t reciprocal = ledger->find.reciprocal;
	struct mag_ledger_granule granule;
	struct mag_ledger_entry *entry;
	uintptr_t object = (uintptr_t)objects[0];
	unsigned int i = 0;

	do {
		granule = mag_ledger_granule(ledger, object);
		while (likely(object - granule.base <= MAG_LEDGER_OFFSET)) {
			entry = mag_ledger_entry(&granule, reciprocal, object);
			/*
			 * relaxed: who puts an object has it from who got it, and the other way
			 * round, by something that orders the two
			 */
			if (unlikely(atomic_load_explicit(&entry->object, memory_order_relaxed) !=
				     object + from))
				return i;
			atomic_store_explicit(&entry->object, object + to, memory_order_relaxed);
			if (++i == n)
				return n;
			object = (uintptr_t)objects[i];
		}
	} while (granule.first != NULL);
	return i;
}

unsigned int
mag_guard_out(const struct mag_cache *cache, void *const *objects, unsigned int n)
{
	return turn_all(cache, objects, n, 0, MAG_LEDGER_USER);
}

unsigned int
mag_guard_back(const struct mag_cache *cache, void *const *objects, unsigned int n)
{
	return turn_all(cache, objects, n, MAG_LEDGER_USER, 0);
}

/* Nothing else is in the word of a slot: several nodes, a visitor, or the fence of an owner. */
#define OPEN ((int64_t)MAG_BIAS_WATCHED)

bool
mag_guard_take(struct mag_cache *cache, void **objects, unsigned int n)
{
	struct mag_slot *slot = mag_slot_of(cache);
	int64_t visitor = mag_slot_enter(slot), rounds = MAG_STAT(slot->rounds);
	bool enough = visitor == OPEN;

	if (likely(enough && rounds >= n)) {
		mag_slot_count(&slot->allocs, n);
		mag_slot_copy(objects, mag_magazine_round(slot->loaded, rounds - n), n);
		MAG_STORE(&slot->rounds, (uint32_t)rounds - n, MAG_RELAXED);
	} else {
		enough = enough && mag_slot_objects(slot) >= n;
		if (enough)
			mag_slot_take(slot, &cache->first.depot, objects, n);
	}
	mag_slot_leave(slot);
	return enough;
}

void
mag_guard_give(struct mag_cache *cache, void *const *objects, unsigned int n)
{
	struct mag_slot *slot = mag_slot_of(cache);
	int64_t visitor = mag_slot_enter(slot), rounds = MAG_STAT(slot->rounds);
	unsigned int done = 0;

	if (likely(visitor == OPEN && MAG_STAT(slot->capacity) - rounds >= n)) {
		mag_slot_copy(mag_magazine_round(slot->loaded, rounds), objects, n);
		/* release: as in mag_slot_put() */
		MAG_STORE(&slot->rounds, (uint32_t)rounds + n, MAG_RELEASE);
		done = n;
	} else if (visitor == OPEN) {
		done = mag_slot_give(slot, &cache->first.depot, objects, n);
	}
	mag_slot_leave(slot);
	if (unlikely(done < n))
		mag_cache_give(cache, objects + done, n - done);
}
