/* SPDX-License-Identifier: BSD-3-Clause */
#include <pthread.h>

#include <rte_eal.h>
#include <rte_lcore.h>
#include <rte_prefetch.h>

#include "lcore.h"
#include "lcores.h"

_Thread_local size_t mag_lcore_offset __attribute__((tls_model("initial-exec"))) =
	MAG_SLOT_SHARED * sizeof(struct mag_lcore);

static struct {
	/* Claimed by an exchange: a thread that is stopped while it claims holds up no other. */
	_Atomic bool owned[RTE_MAX_LCORE];
	_Atomic unsigned int lcore[RTE_MAX_LCORE];
	_Atomic uint32_t high;
	_Atomic uint32_t owners;
	pthread_key_t exit_key;
	bool has_exit_key;
	void (*flush)(uint32_t slot);
	bool (*is_heir)(void); /* NULL: not in a process that may have been forked */
} slots;

bool
mag_process_is_secondary(void)
{
	if (unlikely(slots.is_heir != NULL && !slots.is_heir()))
		return true;
	return rte_eal_process_type() == RTE_PROC_SECONDARY;
}

static void
slot_free(uint32_t slot)
{
	/* release: pairs with slot_try(): the next owner finds the slot as this one left it */
	atomic_store_explicit(&slots.owned[slot], false, memory_order_release);
}

static void
slot_release(void *arg)
{
	uint32_t slot = (uintptr_t)arg - 1;

	if (slots.flush != NULL)
		slots.flush(slot);
	mag_lcore_offset = MAG_SLOT_SHARED * sizeof(struct mag_lcore);
	atomic_store_explicit(&slots.lcore[slot], LCORE_ID_ANY, memory_order_relaxed);
	atomic_fetch_sub_explicit(&slots.owners, 1, memory_order_relaxed);
	slot_free(slot);
}

RTE_INIT(mag_lcore_init)
{
	unsigned int i;

	for (i = 0; i < RTE_MAX_LCORE; i++)
		atomic_store_explicit(&slots.lcore[i], LCORE_ID_ANY, memory_order_relaxed);
	slots.has_exit_key = pthread_key_create(&slots.exit_key, slot_release) == 0;
}

RTE_FINI(mag_lcore_fini)
{
	if (slots.has_exit_key)
		pthread_key_delete(slots.exit_key);
}

static bool
slot_try(uint32_t slot)
{
	/* acquire: pairs with the release in slot_free() */
	return !atomic_load_explicit(&slots.owned[slot], memory_order_relaxed) &&
	       !atomic_exchange_explicit(&slots.owned[slot], true, memory_order_acquire);
}

static uint32_t
slot_choose(unsigned int lcore)
{
	uint32_t slot;

	if (slot_try(lcore))
		return lcore;
	for (slot = 0; slot < RTE_MAX_LCORE && !slot_try(slot); slot++)
		;
	return slot;
}

/* A slot whose owner ends untold would never be free again. */
static bool
exit_is_told(uint32_t slot)
{
	return slots.has_exit_key &&
	       pthread_setspecific(slots.exit_key, (void *)(uintptr_t)(slot + 1)) == 0;
}

static void
slot_claim(unsigned int lcore)
{
	uint32_t slot = slot_choose(lcore), high;

	if (slot == RTE_MAX_LCORE)
		return;
	/* Pairs with the fence of a visitor that finds no owner: its words are read after this. */
	atomic_thread_fence(memory_order_seq_cst);
	if (!exit_is_told(slot)) {
		slot_free(slot);
		return;
	}
	atomic_store_explicit(&slots.lcore[slot], lcore, memory_order_relaxed);
	atomic_fetch_add_explicit(&slots.owners, 1, memory_order_relaxed);
	mag_lcores_seen(mag_lcore_owners());
	high = atomic_load_explicit(&slots.high, memory_order_relaxed);
	/* release: a sweep that reads it sees the claim */
	while (slot >= high &&
	       !atomic_compare_exchange_weak_explicit(&slots.high, &high, slot + 1,
						      memory_order_release, memory_order_relaxed))
		;
	mag_lcore_offset = slot * sizeof(struct mag_lcore);
}

void
mag_lcore_claim(void)
{
	unsigned int lcore;

	if (mag_lcore_slot_number() != MAG_SLOT_SHARED || mag_process_is_secondary())
		return;
	lcore = rte_lcore_id();
	if (lcore < RTE_MAX_LCORE)
		slot_claim(lcore);
}

uint32_t
mag_lcore_slots(void)
{
	if (mag_process_is_secondary())
		return RTE_MAX_LCORE;
	/* acquire: pairs with slot_claim() */
	return atomic_load_explicit(&slots.high, memory_order_acquire);
}

uint32_t
mag_lcore_owners(void)
{
	return atomic_load_explicit(&slots.owners, memory_order_relaxed);
}

bool
mag_lcore_is_owned(uint32_t slot)
{
	/* acquire: pairs with the release in slot_free() */
	return atomic_load_explicit(&slots.owned[slot], memory_order_acquire);
}

unsigned int
mag_lcore_id_of(uint32_t slot)
{
	return slot < RTE_MAX_LCORE ?
		       atomic_load_explicit(&slots.lcore[slot], memory_order_relaxed) :
		       LCORE_ID_ANY;
}

void
mag_lcore_on_fork(bool (*is_heir)(void))
{
	slots.is_heir = is_heir;
}

void
mag_lcore_forked(void)
{
	/* The slot is the parent's thread's, who goes on in it: this one's end is not its end. */
	mag_lcore_offset = MAG_SLOT_SHARED * sizeof(struct mag_lcore);
	if (slots.has_exit_key)
		pthread_setspecific(slots.exit_key, NULL);
}

void
mag_lcore_take_over(void)
{
	uint32_t slot;

	atomic_store_explicit(&slots.owners, 0, memory_order_relaxed);
	for (slot = 0; slot < RTE_MAX_LCORE; slot++) {
		atomic_store_explicit(&slots.lcore[slot], LCORE_ID_ANY, memory_order_relaxed);
		slot_free(slot);
	}
	/* The dead may have claimed more since. */
	atomic_store_explicit(&slots.high, RTE_MAX_LCORE, memory_order_release);
}

void
mag_lcore_on_exit(void (*flush)(uint32_t slot))
{
	slots.flush = flush;
}

void
mag_lcore_keep_out(struct mag_lcore *lcore, bool out)
{
	if (mag_lcore_slot_number() == MAG_SLOT_SHARED)
		return;
	if (out)
		mag_bias_announce(&lcore->visitor, MAG_BIAS_SELF);
	else
		mag_bias_dismiss(&lcore->visitor, MAG_BIAS_SELF);
}

/*
 * A magazine from the depot was last written by another lcore: fetch all of it at
 * once instead of one miss after the other.
 */
static void
prefetch_full(const struct mag_magazine *magazine)
{
	const char *at = (const char *)magazine,
		   *end = (const char *)&magazine->round[magazine->rounds];

	for (; at < end; at += RTE_CACHE_LINE_SIZE)
		rte_prefetch0(at);
}

static void
prefetch_empty(struct mag_magazine *magazine)
{
	const char *at = (const char *)magazine,
		   *end = (const char *)&magazine->round[magazine->rounds];

	for (; at < end; at += RTE_CACHE_LINE_SIZE)
		__builtin_prefetch(at, 1);
}

static void
set_loaded(struct mag_lcore *lcore, struct mag_magazine *magazine, uint32_t rounds)
{
	lcore->loaded = magazine;
	atomic_store_explicit(&lcore->capacity, magazine != NULL ? magazine->rounds : 0,
			      memory_order_relaxed);
	atomic_store_explicit(&lcore->rounds, rounds, memory_order_relaxed);
}

static void
set_previous(struct mag_lcore *lcore, struct mag_magazine *magazine, uint32_t rounds)
{
	lcore->previous = magazine;
	atomic_store_explicit(&lcore->previous_rounds, rounds, memory_order_relaxed);
}

static uint32_t
rounds_of(_Atomic uint32_t *rounds)
{
	return atomic_load_explicit(rounds, memory_order_relaxed);
}

static void
put_empty(struct mag_depot *depot, struct mag_magazine *magazine)
{
	if (magazine != NULL)
		mag_depot_put(depot, &depot->empty, magazine);
}

/* Both magazines are empty or absent: get one full magazine, or two. */
static bool
load_full(struct mag_lcore *lcore, struct mag_depot *depot, uint32_t need, uint32_t size)
{
	struct mag_magazine *got[2];
	unsigned int n;

	n = mag_depot_take(depot, &depot->full, need <= size ? 1 : 2, got);
	if (n == 0)
		return false;
	prefetch_full(got[0]);
	put_empty(depot, lcore->previous);
	if (n == 2) {
		prefetch_full(got[1]);
		put_empty(depot, lcore->loaded);
		set_previous(lcore, got[1], got[1]->rounds);
	} else {
		set_previous(lcore, lcore->loaded, 0);
	}
	set_loaded(lcore, got[0], got[0]->rounds);
	MAG_COUNT(lcore->rounds_in, n * got[0]->rounds);
	MAG_COUNT(lcore->exchanges, n);
	return true;
}

uint32_t
mag_lcore_take(struct mag_lcore *lcore, struct mag_depot *depot, void **objects, uint32_t n)
{
	uint32_t size = atomic_load_explicit(&lcore->size, memory_order_relaxed);
	uint32_t got = 0, rounds, take;

	for (;;) {
		rounds = rounds_of(&lcore->rounds);
		take = RTE_MIN(rounds, n - got);
		if (take > 0)
			memcpy(objects + got, &lcore->loaded->round[rounds - take],
			       take * sizeof(void *));
		atomic_store_explicit(&lcore->rounds, rounds - take, memory_order_relaxed);
		got += take;
		if (got == n)
			break;
		if (rounds_of(&lcore->previous_rounds) > 0)
			mag_lcore_swap(lcore);
		else if (size == 0 || !load_full(lcore, depot, n - got, size))
			break;
	}
	MAG_COUNT(lcore->allocs, got);
	return got;
}

/* Loaded is full or absent, and so is previous: get an empty one. */
static bool
load_empty(struct mag_lcore *lcore, struct mag_depot *depot)
{
	struct mag_magazine *got[2];

	if (mag_depot_take(depot, &depot->empty, 1, got) == 0)
		return false;
	prefetch_empty(got[0]);
	if (lcore->previous != NULL) {
		MAG_COUNT(lcore->rounds_out, lcore->previous->rounds);
		MAG_COUNT(lcore->exchanges, 1);
		mag_depot_put(depot, &depot->full, lcore->previous);
	}
	set_previous(lcore, lcore->loaded, rounds_of(&lcore->rounds));
	set_loaded(lcore, got[0], 0);
	return true;
}

uint32_t
mag_lcore_give(struct mag_lcore *lcore, struct mag_depot *depot, void *const *objects, uint32_t n)
{
	uint32_t size = atomic_load_explicit(&lcore->size, memory_order_relaxed);
	uint32_t done = 0, rounds, put;

	for (;;) {
		rounds = rounds_of(&lcore->rounds);
		put = RTE_MIN(MAG_STAT(lcore->capacity) - rounds, n - done);
		if (put > 0)
			memcpy(&lcore->loaded->round[rounds], objects + done, put * sizeof(void *));
		atomic_store_explicit(&lcore->rounds, rounds + put, memory_order_relaxed);
		done += put;
		if (done == n)
			return n;
		if (lcore->previous != NULL && rounds_of(&lcore->previous_rounds) == 0)
			mag_lcore_swap(lcore);
		else if (size == 0 || !load_empty(lcore, depot))
			return done;
	}
}

struct mag_detached
mag_lcore_detach_previous(struct mag_lcore *lcore)
{
	struct mag_detached detached = {lcore->previous, rounds_of(&lcore->previous_rounds)};

	set_previous(lcore, NULL, 0);
	return detached;
}

struct mag_detached
mag_lcore_detach_loaded(struct mag_lcore *lcore)
{
	struct mag_detached detached = {lcore->loaded, rounds_of(&lcore->rounds)};

	set_loaded(lcore, NULL, 0);
	return detached;
}

uint32_t
mag_lcore_pick(struct mag_lcore *lcore, void **objects, uint32_t n)
{
	uint32_t rounds = rounds_of(&lcore->rounds), take = RTE_MIN(rounds, n);

	if (take > 0)
		memcpy(objects, &lcore->loaded->round[rounds - take], take * sizeof(void *));
	atomic_store_explicit(&lcore->rounds, rounds - take, memory_order_relaxed);
	return take;
}
