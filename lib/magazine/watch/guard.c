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
 * The word of an object goes from one state to the other, if it is in the first. Who puts an object
 * has it from who got it, and the other way round, by something that orders the two.
 */
MAG_INLINE bool
turn(const struct mag_ledger_granule *granule, struct mag_ledger_way way, void *object,
     uintptr_t from, uintptr_t to)
{
	uintptr_t address = (uintptr_t)object;
	struct mag_ledger_entry *entry = mag_ledger_entry(granule, way, address);
	uintptr_t *word = MAG_UNQUALIFIED(uintptr_t, &entry->object);

#ifdef MAG_TSAN
	if (MAG_LOAD(word, MAG_RELAXED) != address + from)
		return false;
	MAG_STORE(word, address + to, MAG_RELAXED);
#else
	/* Plain, as mag_slot_count(): no compiler compares an atomic word where it is. */
	if (unlikely(*word != address + from))
		return false;
	*word = address + to;
#endif
	return true;
}

/*
 * Objects up to an end: where the first one is that is in another state, is no object, or is in
 * another granule. One after the other: the same one may be among them twice. By fours, because
 * this loop is most of what the guard of a bulk costs.
 */
MAG_INLINE void *const *
turn_near(const struct mag_ledger_granule *granule, struct mag_ledger_way way, void *const *at,
	  void *const *end, uintptr_t from, uintptr_t to)
{
	for (; end - at >= 4; at += 4) {
		if (unlikely(!turn(granule, way, at[0], from, to)))
			return at;
		if (unlikely(!turn(granule, way, at[1], from, to)))
			return at + 1;
		if (unlikely(!turn(granule, way, at[2], from, to)))
			return at + 2;
		if (unlikely(!turn(granule, way, at[3], from, to)))
			return at + 3;
	}
	while (at < end && turn(granule, way, *at, from, to))
		at++;
	return at;
}

/* Does one object? */
MAG_INLINE bool
turn_one(const struct mag_cache *cache, void *object, uintptr_t from, uintptr_t to)
{
	const struct mag_mirror_owner *ledger = cache->region->ledger;
	struct mag_ledger_granule granule = mag_ledger_granule_of_one(ledger, (uintptr_t)object);

	return likely(granule.first != NULL) &&
	       turn(&granule, mag_ledger_way(ledger), object, from, to);
}

/* Of n objects, not 0: how many, up to the first that is in another state, or is no object. */
MAG_INLINE unsigned int
turn_all(const struct mag_cache *cache, void *const *objects, unsigned int n, uintptr_t from,
	 uintptr_t to)
{
	const struct mag_mirror_owner *ledger = cache->region->ledger;
	void *const *at = objects, *const *end = objects + n;
	void *const *before;
	struct mag_ledger_way way = mag_ledger_way(ledger);
	struct mag_ledger_granule granule;

	do {
		before = at;
		granule = mag_ledger_granule(ledger, (uintptr_t)*at);
		if (likely(granule.first != NULL))
			at = turn_near(&granule, way, at, end, from, to);
	} while (unlikely(at < end && at > before));
	return (unsigned int)(at - objects);
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

/*
 * Nothing else is in the word of a slot: several nodes, a visitor, or the fence of an owner. Gets
 * read that of puts, too, which alone has the first.
 */
#define OPEN ((int64_t)MAG_BIAS_WATCHED)

/* The first of these rounds are a user's already: back to what was before. */
static __rte_noinline void
take_back(const struct mag_cache *cache, struct mag_slot *slot, void *const *from,
	  unsigned int turned, uint32_t rounds)
{
	if (turned > 0)
		mag_guard_back(cache, from, turned);
	/* release: as in mag_slot_put() */
	MAG_STORE(&slot->rounds, rounds, MAG_RELEASE);
}

MAG_INLINE bool
get(struct mag_cache *cache, void **objects, unsigned int n)
{
	struct mag_slot *slot = mag_slot_of(cache);
	int64_t visitor = mag_slot_enter_put(slot), left = (int64_t)MAG_STAT(slot->rounds) - n;
	unsigned int turned;
	void **from;

	if (unlikely(visitor != OPEN || left < 0)) {
		mag_slot_leave(slot);
		return false;
	}
	from = mag_magazine_round(slot->loaded, left);
	MAG_STORE(&slot->rounds, (uint32_t)left, MAG_RELAXED);
	/* Should this thread be killed, no object of a user is among those that count. */
	MAG_SIGNAL_FENCE(MAG_SEQ_CST);
	turned = n == 1 ? turn_one(cache, from[0], 0, MAG_LEDGER_USER) :
			  turn_all(cache, from, n, 0, MAG_LEDGER_USER);
	if (likely(turned == n)) {
		mag_slot_count(&slot->allocs, n);
		mag_slot_copy(objects, from, n);
	} else {
		take_back(cache, slot, from, turned, (uint32_t)left + n);
	}
	mag_slot_leave(slot);
	return turned == n;
}

/* By themselves, so that nothing of the loops is prepared. */
static __rte_noinline bool
get_many(struct mag_cache *cache, void **objects, unsigned int n)
{
	return get(cache, objects, n);
}

bool
mag_guard_get(struct mag_cache *cache, void **objects, unsigned int n)
{
	if (n == 1)
		return get(cache, objects, 1);
	return n > 0 && get_many(cache, objects, n);
}

bool
mag_guard_take(struct mag_cache *cache, void **objects, unsigned int n)
{
	struct mag_slot *slot = mag_slot_of(cache);
	int64_t visitor = mag_slot_enter_put(slot), rounds = MAG_STAT(slot->rounds);
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

MAG_INLINE void
give(struct mag_cache *cache, void *const *objects, unsigned int n)
{
	struct mag_slot *slot = mag_slot_of(cache);
	int64_t visitor = mag_slot_enter_put(slot), rounds = MAG_STAT(slot->rounds);
	unsigned int done = 0;

	if (likely(visitor == OPEN && MAG_STAT(slot->capacity) - rounds >= n)) {
		mag_slot_copy(mag_magazine_round(slot->loaded, rounds), objects, n);
		/* release: as in mag_slot_put() */
		MAG_STORE(&slot->rounds, (uint32_t)rounds + n, MAG_RELEASE);
		mag_slot_leave(slot);
		return;
	}
	if (visitor == OPEN)
		done = mag_slot_give(slot, &cache->first.depot, objects, n);
	mag_slot_leave(slot);
	if (done < n)
		mag_cache_give(cache, objects + done, n - done);
}

void
mag_guard_give(struct mag_cache *cache, void *const *objects, unsigned int n)
{
	give(cache, objects, n);
}

static __rte_noinline unsigned int
put_many(struct mag_cache *cache, void *const *objects, unsigned int n)
{
	unsigned int good = turn_all(cache, objects, n, MAG_LEDGER_USER, 0);

	if (likely(good > 0))
		give(cache, objects, good);
	return good;
}

unsigned int
mag_guard_put(struct mag_cache *cache, void *const *objects, unsigned int n)
{
	if (n != 1)
		return put_many(cache, objects, n);
	if (unlikely(!turn_one(cache, objects[0], MAG_LEDGER_USER, 0)))
		return 0;
	give(cache, objects, 1);
	return 1;
}
