/* SPDX-License-Identifier: BSD-3-Clause */
#include <rte_common.h>
#include <rte_prefetch.h>

#include "slot/slot.h"

void
mag_slot_keep_out(struct mag_slot *slot, bool out)
{
	if (mag_thread_slot() == MAG_SLOT_SHARED)
		return;
	if (out)
		mag_bias_announce(slot, MAG_BIAS_SELF);
	else
		mag_bias_dismiss(slot, MAG_BIAS_SELF);
}

/*
 * A magazine from the depot was last written by another lcore: fetch all of it at
 * once instead of one miss after the other.
 */
static void
prefetch_full(const struct mag_magazine *magazine)
{
	const char *at = (const char *)magazine,
		   *end = (const char *)mag_magazine_round(magazine, magazine->rounds);

	for (; at < end; at += RTE_CACHE_LINE_SIZE)
		rte_prefetch0(at);
}

static void
prefetch_empty(struct mag_magazine *magazine)
{
	const char *at = (const char *)magazine,
		   *end = (const char *)mag_magazine_round(magazine, magazine->rounds);

	for (; at < end; at += RTE_CACHE_LINE_SIZE)
		MAG_PREFETCH_WRITE(at);
}

static void
set_loaded(struct mag_slot *slot, struct mag_magazine *magazine, uint32_t rounds)
{
	MAG_STORE(&slot->loaded, magazine, MAG_RELAXED);
	MAG_STORE(&slot->capacity, magazine != NULL ? magazine->rounds : 0, MAG_RELAXED);
	MAG_STORE(&slot->rounds, rounds, MAG_RELAXED);
}

static void
set_previous(struct mag_slot *slot, struct mag_magazine *magazine, uint32_t rounds)
{
	MAG_STORE(&slot->previous, magazine, MAG_RELAXED);
	MAG_STORE(&slot->previous_rounds, rounds, MAG_RELAXED);
}

/* What a magazine says of itself, while it is on its way. */
static void
set_held(struct mag_magazine *magazine, uint32_t rounds)
{
	if (magazine != NULL)
		MAG_STORE(&magazine->held, (uint16_t)rounds, MAG_RELAXED);
}

void
mag_slot_exchange_begin(struct mag_slot *slot)
{
	set_held(slot->loaded, MAG_STAT(slot->rounds));
	set_held(slot->previous, MAG_STAT(slot->previous_rounds));
	mag_slot_torn_begin(slot, MAG_TORN_LOADED | MAG_TORN_PREVIOUS);
}

static void
put_empty(struct mag_depot *depot, struct mag_magazine *magazine)
{
	if (magazine != NULL)
		mag_depot_put(&depot->empty, magazine);
}

/* Both magazines are empty or absent: get one full magazine, or two. */
static bool
load_full(struct mag_slot *slot, struct mag_depot *depot, uint32_t need, uint32_t size)
{
	struct mag_magazine *got[2];
	unsigned int n;

	mag_slot_exchange_begin(slot);
	n = mag_depot_take(depot, &depot->full, need <= size ? 1 : 2, got);
	if (n == 0) {
		mag_slot_torn_end(slot);
		return false;
	}
	prefetch_full(got[0]);
	put_empty(depot, slot->previous);
	if (n == 2) {
		prefetch_full(got[1]);
		put_empty(depot, slot->loaded);
		set_previous(slot, got[1], got[1]->rounds);
	} else {
		set_previous(slot, slot->loaded, 0);
	}
	set_loaded(slot, got[0], got[0]->rounds);
	mag_slot_torn_end(slot);
	mag_slot_count(&slot->rounds_in, n * got[0]->rounds);
	MAG_COUNT(slot->exchanges, n);
	return true;
}

uint32_t
mag_slot_take(struct mag_slot *slot, struct mag_depot *depot, void **objects, uint32_t n)
{
	uint32_t size = MAG_STAT(slot->size);
	uint32_t got = 0, rounds, take;

	for (;;) {
		rounds = MAG_STAT(slot->rounds);
		take = RTE_MIN(rounds, n - got);
		mag_slot_copy(objects + got, mag_magazine_round(slot->loaded, rounds - take), take);
		MAG_STORE(&slot->rounds, rounds - take, MAG_RELAXED);
		got += take;
		if (got == n)
			break;
		if (MAG_STAT(slot->previous_rounds) > 0)
			mag_slot_swap(slot, MAG_TORN_SWAP_EMPTY);
		else if (size == 0 || !load_full(slot, depot, n - got, size))
			break;
	}
	mag_slot_count(&slot->allocs, got);
	return got;
}

/* Previous is empty or absent: get a full magazine in its place, if there is one. */
static void
load_previous(struct mag_slot *slot, struct mag_depot *depot)
{
	struct mag_magazine *got[2];

	set_held(slot->previous, 0);
	mag_slot_torn_begin(slot, MAG_TORN_PREVIOUS);
	if (mag_depot_take(depot, &depot->full, 1, got) == 0) {
		mag_slot_torn_end(slot);
		return;
	}
	prefetch_full(got[0]);
	put_empty(depot, slot->previous);
	set_previous(slot, got[0], got[0]->rounds);
	mag_slot_torn_end(slot);
	mag_slot_count(&slot->rounds_in, got[0]->rounds);
	MAG_COUNT(slot->exchanges, 1);
}

/* Bytes from base to the farthest address; one below base is farther than all above. */
static uintptr_t
farthest(void *const *rounds, uint32_t n, uintptr_t base)
{
	uintptr_t far = 0;
	uint32_t i;

	for (i = 0; i < n; i++)
		far = RTE_MAX(far, (uintptr_t)rounds[i] - base);
	return far;
}

/*
 * The block whose objects, in any order, lie above so many others, counted from the bottom of
 * previous; or NULL. No object is in magazines twice: as many as a block has, and all of them in
 * it, are the block.
 */
static void *
block_above(const struct mag_slot *slot, const struct mag_region *region, uint32_t below)
{
	uint32_t previous = MAG_STAT(slot->previous_rounds), there = 0;
	void *const *low = mag_magazine_round(slot->loaded, (int64_t)below - previous);
	void *const *high = low;
	uintptr_t base;

	if (below < previous) {
		there = RTE_MIN(previous - below, region->block);
		low = mag_magazine_round(slot->previous, below);
		high = mag_magazine_round(slot->loaded, 0);
	}
	base = mag_blocks_of(&region->blocks, (uintptr_t)*low);
	if (base == 0 || farthest(low, there, base) >= region->blocks.span ||
	    farthest(high, region->block - there, base) >= region->blocks.span)
		return NULL;
	return (void *)base;
}

/* n objects off the top, which both magazines have. */
static void
take_off(struct mag_slot *slot, uint32_t n)
{
	uint32_t rounds = MAG_STAT(slot->rounds);

	if (n > rounds) {
		n -= rounds;
		rounds = MAG_STAT(slot->previous_rounds);
		MAG_STORE(&slot->rounds, 0, MAG_RELAXED);
		mag_slot_swap(slot, MAG_TORN_SWAP_EMPTY);
	}
	MAG_STORE(&slot->rounds, rounds - n, MAG_RELAXED);
}

bool
mag_slot_take_blocks(struct mag_slot *slot, struct mag_depot *depot,
		     const struct mag_region *region, void **first, uint32_t n)
{
	uint64_t objects = (uint64_t)n * region->block;
	uint32_t i, below;

	if (mag_slot_objects(slot) < objects && MAG_STAT(slot->size) != 0 &&
	    MAG_STAT(slot->previous_rounds) == 0)
		load_previous(slot, depot);
	below = mag_slot_objects(slot);
	if (below < objects)
		return false;
	for (i = 0; i < n; i++) {
		below -= region->block;
		first[i] = block_above(slot, region, below);
		if (first[i] == NULL)
			return false;
	}
	mag_slot_count(&slot->allocs, objects);
	take_off(slot, (uint32_t)objects);
	return true;
}

/* Loaded is full or absent, and so is previous: get an empty one. */
static bool
load_empty(struct mag_slot *slot, struct mag_depot *depot)
{
	struct mag_magazine *got[2];

	mag_slot_exchange_begin(slot);
	if (mag_depot_take(depot, &depot->empty, 1, got) == 0) {
		mag_slot_torn_end(slot);
		return false;
	}
	prefetch_empty(got[0]);
	if (slot->previous != NULL) {
		mag_slot_count(&slot->rounds_out, slot->previous->rounds);
		MAG_COUNT(slot->exchanges, 1);
		mag_depot_put(&depot->full, slot->previous);
	}
	set_previous(slot, slot->loaded, MAG_STAT(slot->rounds));
	set_loaded(slot, got[0], 0);
	mag_slot_torn_end(slot);
	return true;
}

uint32_t
mag_slot_give(struct mag_slot *slot, struct mag_depot *depot, void *const *objects, uint32_t n)
{
	uint32_t size = MAG_STAT(slot->size);
	uint32_t done = 0, rounds, put;

	for (;;) {
		rounds = MAG_STAT(slot->rounds);
		put = RTE_MIN(MAG_STAT(slot->capacity) - rounds, n - done);
		mag_slot_copy(mag_magazine_round(slot->loaded, rounds), objects + done, put);
		/* release: as in mag_slot_put() */
		MAG_STORE(&slot->rounds, rounds + put, MAG_RELEASE);
		done += put;
		if (done == n)
			return n;
		if (slot->previous != NULL && MAG_STAT(slot->previous_rounds) == 0)
			mag_slot_swap(slot, MAG_TORN_SWAP_FULL);
		else if (size == 0 || !load_empty(slot, depot))
			return done;
	}
}

struct mag_detached
mag_slot_detach_previous(struct mag_slot *slot)
{
	struct mag_detached detached = {slot->previous, MAG_STAT(slot->previous_rounds)};

	set_held(detached.magazine, detached.rounds);
	mag_slot_torn_begin(slot, MAG_TORN_PREVIOUS);
	set_previous(slot, NULL, 0);
	mag_slot_torn_end(slot);
	return detached;
}

struct mag_detached
mag_slot_detach_loaded(struct mag_slot *slot)
{
	struct mag_detached detached = {slot->loaded, MAG_STAT(slot->rounds)};

	set_held(detached.magazine, detached.rounds);
	mag_slot_torn_begin(slot, MAG_TORN_LOADED);
	set_loaded(slot, NULL, 0);
	mag_slot_torn_end(slot);
	return detached;
}

uint32_t
mag_slot_pick(struct mag_slot *slot, void **objects, uint32_t n)
{
	uint32_t rounds = MAG_STAT(slot->rounds), take = RTE_MIN(rounds, n);

	mag_slot_copy(objects, mag_magazine_round(slot->loaded, rounds - take), take);
	MAG_STORE(&slot->rounds, rounds - take, MAG_RELAXED);
	return take;
}

static uint32_t
type_of(const struct mag_magazine *magazine)
{
	return magazine != NULL ? magazine->rounds : 0;
}

/* Both magazines are the slot's, in the one order or the other, or twice the same. */
static void
mend_swap(struct mag_slot *slot, struct mag_magazine *loaded, bool was_full)
{
	struct mag_magazine *previous = slot->loaded == loaded ? slot->previous : slot->loaded;

	set_loaded(slot, previous, was_full ? 0 : type_of(previous));
	set_previous(slot, loaded, was_full ? type_of(loaded) : 0);
}

void
mag_slot_mend(struct mag_slot *slot)
{
	uint64_t torn = MAG_STAT(slot->torn);
	uintptr_t loaded = (uintptr_t)torn & ~(uintptr_t)MAG_TORN_BITS;

	if (torn == 0)
		return;
	if ((torn & (MAG_TORN_SWAP_EMPTY | MAG_TORN_SWAP_FULL)) != 0)
		mend_swap(slot, (struct mag_magazine *)loaded, (torn & MAG_TORN_SWAP_FULL) != 0);
	if ((torn & MAG_TORN_LOADED) != 0)
		set_loaded(slot, NULL, 0);
	if ((torn & MAG_TORN_PREVIOUS) != 0)
		set_previous(slot, NULL, 0);
	mag_slot_torn_end(slot);
}
