/* SPDX-License-Identifier: BSD-3-Clause */
#include <pthread.h>
#include <stdatomic.h>

#include <rte_common.h>
#include <rte_lcore.h>

#include "base/lcores.h"
#include "base/process.h"
#include "slot/thread.h"

_Thread_local size_t mag_lcore_offset MAG_INITIAL_EXEC = MAG_SLOT_SHARED * sizeof(struct mag_slot);

static struct {
	/* Claimed by an exchange: a thread that is stopped while it claims holds up no other. */
	_Atomic bool owned[RTE_MAX_LCORE];
	_Atomic unsigned int lcore[RTE_MAX_LCORE]; /* for which it was claimed */
	_Atomic uint32_t high;   /* one more than the highest that was ever owned */
	_Atomic uint32_t owners; /* how many are owned now */
	pthread_key_t exit_key;
	bool has_exit_key;
	void (*flush)(uint32_t slot);
} numbers;

static void
slot_free(uint32_t slot)
{
	/* release: pairs with slot_try(): the next owner finds the slot as this one left it */
	atomic_store_explicit(&numbers.owned[slot], false, memory_order_release);
}

static void
slot_release(void *arg)
{
	uint32_t slot = (uint32_t)(uintptr_t)arg - 1;

	if (numbers.flush != NULL)
		numbers.flush(slot);
	mag_lcore_offset = MAG_SLOT_SHARED * sizeof(struct mag_slot);
	atomic_store_explicit(&numbers.lcore[slot], LCORE_ID_ANY, memory_order_relaxed);
	atomic_fetch_sub_explicit(&numbers.owners, 1, memory_order_relaxed);
	slot_free(slot);
}

RTE_INIT(mag_thread_load)
{
	unsigned int i;

	for (i = 0; i < RTE_MAX_LCORE; i++)
		atomic_store_explicit(&numbers.lcore[i], LCORE_ID_ANY, memory_order_relaxed);
	numbers.has_exit_key = pthread_key_create(&numbers.exit_key, slot_release) == 0;
}

RTE_FINI(mag_thread_unload)
{
	if (numbers.has_exit_key)
		pthread_key_delete(numbers.exit_key);
}

static bool
slot_try(uint32_t slot)
{
	/* acquire: pairs with the release in slot_free() */
	return !atomic_load_explicit(&numbers.owned[slot], memory_order_relaxed) &&
	       !atomic_exchange_explicit(&numbers.owned[slot], true, memory_order_acquire);
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

/* A slot whose owner ends unnoticed would never be free again. */
static bool
exit_is_noticed(uint32_t slot)
{
	return numbers.has_exit_key &&
	       pthread_setspecific(numbers.exit_key, (void *)(uintptr_t)(slot + 1)) == 0;
}

static void
slot_claim(unsigned int lcore)
{
	uint32_t slot = slot_choose(lcore), high;

	if (slot == RTE_MAX_LCORE)
		return;
	/* Pairs with the fence of a visitor that finds no owner: its words are read after this. */
	atomic_thread_fence(memory_order_seq_cst);
	if (!exit_is_noticed(slot)) {
		slot_free(slot);
		return;
	}
	atomic_store_explicit(&numbers.lcore[slot], lcore, memory_order_relaxed);
	atomic_fetch_add_explicit(&numbers.owners, 1, memory_order_relaxed);
	mag_lcores_seen(mag_thread_owners());
	high = atomic_load_explicit(&numbers.high, memory_order_relaxed);
	/* release: a sweep that reads it sees the claim */
	while (slot >= high &&
	       !atomic_compare_exchange_weak_explicit(&numbers.high, &high, slot + 1,
						      memory_order_release, memory_order_relaxed))
		;
	mag_lcore_offset = slot * sizeof(struct mag_slot);
}

void
mag_thread_claim(void)
{
	unsigned int lcore;

	if (mag_thread_slot() != MAG_SLOT_SHARED || mag_process_is_secondary())
		return;
	lcore = rte_lcore_id();
	if (lcore < RTE_MAX_LCORE)
		slot_claim(lcore);
}

uint32_t
mag_thread_slots(void)
{
	if (mag_process_is_secondary())
		return RTE_MAX_LCORE;
	/* acquire: pairs with slot_claim() */
	return atomic_load_explicit(&numbers.high, memory_order_acquire);
}

uint32_t
mag_thread_owners(void)
{
	return atomic_load_explicit(&numbers.owners, memory_order_relaxed);
}

bool
mag_thread_owns(uint32_t slot)
{
	/* acquire: pairs with the release in slot_free() */
	return atomic_load_explicit(&numbers.owned[slot], memory_order_acquire);
}

unsigned int
mag_thread_lcore(uint32_t slot)
{
	return slot < RTE_MAX_LCORE ?
		       atomic_load_explicit(&numbers.lcore[slot], memory_order_relaxed) :
		       LCORE_ID_ANY;
}

void
mag_thread_forked(void)
{
	/* The slot stays with the parent's thread: the end of this thread must not release it. */
	mag_lcore_offset = MAG_SLOT_SHARED * sizeof(struct mag_slot);
	if (numbers.has_exit_key)
		pthread_setspecific(numbers.exit_key, NULL);
}

void
mag_thread_take_over(void)
{
	uint32_t slot;

	atomic_store_explicit(&numbers.owners, 0, memory_order_relaxed);
	for (slot = 0; slot < RTE_MAX_LCORE; slot++) {
		atomic_store_explicit(&numbers.lcore[slot], LCORE_ID_ANY, memory_order_relaxed);
		slot_free(slot);
	}
	/* The dead may have claimed more since. */
	atomic_store_explicit(&numbers.high, RTE_MAX_LCORE, memory_order_release);
}

void
mag_thread_on_exit(void (*flush)(uint32_t slot))
{
	numbers.flush = flush;
}
