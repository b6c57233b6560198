/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include <rte_branch_prediction.h>
#include <rte_common.h>
#include <rte_lcore.h>

#include "base/counter.h"
#include "base/lcores.h"
#include "base/meta.h"
#include "base/peer.h"
#include "base/process.h"
#include "slot/bias.h"
#include "slot/thread.h"

#define TABLE_NAME "MAGAZINE_SLOTS"

#define WAY_OF(slot) (MAG_WAYS_AT + (slot) * sizeof(struct mag_way))

_Thread_local size_t mag_lcore_offset MAG_INITIAL_EXEC = MAG_SLOT_SHARED * sizeof(struct mag_slot);
_Thread_local size_t mag_lcore_way MAG_INITIAL_EXEC = WAY_OF(MAG_SLOT_SHARED);

/* The owner of a number. */
struct claim {
	/* mag_process_thread(), 0 = free. By an exchange: a thread that stops here delays none. */
	_Atomic uint64_t owner;
	_Atomic uint32_t lcore; /* id for which it was claimed, + 1; 0: none */
	_Atomic pid_t pid;      /* of the owner's process */
	_Atomic uint32_t hands; /* the owner's, alone */
} MAG_ALIGNED(64);

/* In shared memory. */
static struct {
	_Atomic bool made;
	_Atomic bool fence;    /* the process that made the table has no membarrier */
	_Atomic uint32_t high; /* one more than the highest number that was ever owned */
	struct claim slot[MAG_SLOT_SHARED];
} * claims;

static struct {
	pthread_key_t exit_key;
	bool has_exit_key;
	void (*on_exit)(uint32_t slot);
	void (*claimed)(void);
} numbers;

int
mag_thread_share(void)
{
	bool made = false;

	if (claims != NULL)
		return 0;
	claims = mag_meta_shared(TABLE_NAME, sizeof(*claims));
	if (claims == NULL)
		return -ENOMEM;
	/* relaxed: other processes learn of the table when they learn of the first cache */
	if (atomic_compare_exchange_strong_explicit(&claims->made, &made, true,
						    memory_order_relaxed, memory_order_relaxed))
		atomic_store_explicit(&claims->fence, !mag_bias_is_registered(),
				      memory_order_relaxed);
	return 0;
}

static void
number_set(uint32_t slot)
{
	mag_lcore_offset = slot * sizeof(struct mag_slot);
	mag_lcore_way = WAY_OF(slot);
}

static struct claim *
claim_of(uint32_t slot)
{
	return claims != NULL && slot < MAG_SLOT_SHARED ? &claims->slot[slot] : NULL;
}

/* The number is free again, after what was to be done with its magazines. */
static void
slot_free(struct claim *claim)
{
	atomic_store_explicit(&claim->lcore, 0, memory_order_relaxed);
	/* release: pairs with slot_try(): the next owner finds the slot as this one left it */
	atomic_store_explicit(&claim->owner, 0, memory_order_release);
}

static void
slot_release(void *arg)
{
	uint32_t slot = (uint32_t)(uintptr_t)arg - 1;

	if (numbers.on_exit != NULL)
		numbers.on_exit(slot);
	if (slot == MAG_SLOT_SHARED)
		return;
	number_set(MAG_SLOT_SHARED);
	/* The thread may end after EAL has. */
	if (mag_meta_is_mapped(claims))
		slot_free(&claims->slot[slot]);
}

RTE_INIT(mag_thread_load)
{
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
	struct claim *claim = &claims->slot[slot];
	uint64_t nobody = 0;

	/* acquire: pairs with the release in slot_free() */
	return MAG_STAT(claim->owner) == 0 &&
	       atomic_compare_exchange_strong_explicit(&claim->owner, &nobody, mag_process_thread(),
						       memory_order_acquire, memory_order_relaxed);
}

static uint32_t
slot_lowest(bool leave_lcores)
{
	uint32_t slot;

	for (slot = 0; slot < MAG_SLOT_SHARED; slot++)
		if (!(leave_lcores && slot < RTE_MAX_LCORE &&
		      rte_eal_lcore_role(slot) != ROLE_OFF) &&
		    slot_try(slot))
			break;
	return slot;
}

/* Low numbers, since all below the highest are looked at; but those of lcores are left to these. */
static uint32_t
slot_choose(unsigned int lcore)
{
	uint32_t slot;

	if (lcore < RTE_MAX_LCORE && slot_try(lcore))
		return lcore;
	slot = slot_lowest(true);
	return slot < MAG_SLOT_SHARED ? slot : slot_lowest(false);
}

/* A slot whose owner ends unnoticed would never be free again. The shared one: none of its own. */
static bool
exit_is_noticed(uint32_t slot)
{
	return numbers.has_exit_key &&
	       pthread_setspecific(numbers.exit_key, (void *)(uintptr_t)(slot + 1)) == 0;
}

static void
high_raise(uint32_t slot)
{
	uint32_t high = MAG_STAT(claims->high);

	/* release: a sweep that reads it sees the claim */
	while (slot >= high &&
	       !atomic_compare_exchange_weak_explicit(&claims->high, &high, slot + 1,
						      memory_order_release, memory_order_relaxed))
		;
}

static void
slot_claim(unsigned int lcore)
{
	uint32_t slot = slot_choose(lcore);
	struct claim *claim = claim_of(slot);

	if (claim == NULL)
		return;
	/* A dead owner may have had something in hand. */
	atomic_store_explicit(&claim->hands, (MAG_STAT(claim->hands) + 1) & ~1u,
			      memory_order_relaxed);
	high_raise(slot);
	/* Pairs with the fence of a visitor that finds no owner: its words are read after this. */
	atomic_thread_fence(memory_order_seq_cst);
	if (!exit_is_noticed(slot)) {
		slot_free(claim);
		return;
	}
	atomic_store_explicit(&claim->lcore, lcore < RTE_MAX_LCORE ? lcore + 1 : 0,
			      memory_order_relaxed);
	atomic_store_explicit(&claim->pid, mag_process_pid, memory_order_relaxed);
	mag_lcores_seen(mag_thread_owners());
	number_set(slot);
}

/* A visitor's membarrier reaches all owners, or they fence. */
static bool
may_own(void)
{
	return mag_bias_is_registered() || mag_thread_all_fence();
}

static _Thread_local bool claim_forbidden;

void
mag_thread_forbid_claim(bool forbid)
{
	claim_forbidden = forbid;
}

void
mag_thread_claim(void)
{
	if (mag_thread_slot() != MAG_SLOT_SHARED || claim_forbidden || mag_thread_share() != 0 ||
	    !may_own() || !mag_peer_join())
		return;
	slot_claim(rte_lcore_id());
	if (numbers.claimed != NULL)
		numbers.claimed();
}

void
mag_thread_notice_exit(void)
{
	if (mag_thread_slot() == MAG_SLOT_SHARED)
		exit_is_noticed(MAG_SLOT_SHARED);
}

uint32_t
mag_thread_slots(void)
{
	/* acquire: pairs with slot_claim() */
	return claims != NULL ? MAG_STAT_ACQUIRE(claims->high) : 0;
}

static uint64_t
owner_of(uint32_t slot)
{
	const struct claim *claim = claim_of(slot);

	/* acquire: pairs with the release in slot_free() */
	return claim != NULL ? MAG_STAT_ACQUIRE(claim->owner) : 0;
}

/* No counter: a thread may be killed between a claim and any count of it. */
uint32_t
mag_thread_owners(void)
{
	uint32_t slot, slots = mag_thread_slots(), owners = 0;

	for (slot = 0; slot < slots; slot++)
		owners += owner_of(slot) != 0;
	return owners;
}

bool
mag_thread_owns(uint32_t slot)
{
	return owner_of(slot) != 0;
}

uint32_t
mag_thread_process(uint32_t slot)
{
	return (uint32_t)(owner_of(slot) >> 32);
}

pid_t
mag_thread_tid(uint32_t slot)
{
	return (pid_t)(uint32_t)owner_of(slot);
}

pid_t
mag_thread_pid(uint32_t slot)
{
	return owner_of(slot) != 0 ? MAG_STAT(claims->slot[slot].pid) : 0;
}

unsigned int
mag_thread_lcore(uint32_t slot)
{
	const struct claim *claim = claim_of(slot);
	uint32_t lcore = claim != NULL ? MAG_STAT(claim->lcore) : 0;

	return lcore != 0 ? lcore - 1 : LCORE_ID_ANY;
}

_Atomic uint32_t *
mag_thread_hands(uint32_t slot)
{
	struct claim *claim = claim_of(slot);

	return claim != NULL ? &claim->hands : NULL;
}

bool
mag_thread_is_any_foreign(void)
{
	uint32_t slot, slots = mag_thread_slots();
	uint64_t owner;

	for (slot = 0; slot < slots; slot++) {
		owner = owner_of(slot);
		if (owner != 0 && owner >> 32 != mag_process_id)
			return true;
	}
	return false;
}

bool
mag_thread_all_fence(void)
{
	return claims != NULL && MAG_STAT(claims->fence);
}

void
mag_thread_forked(void)
{
	/* The slot stays with the parent's thread: the end of this thread must not release it. */
	number_set(MAG_SLOT_SHARED);
	if (numbers.has_exit_key)
		pthread_setspecific(numbers.exit_key, NULL);
}

void
mag_thread_release_all(uint32_t process)
{
	uint32_t slot;

	/* All: it may have been killed before it raised `high`. */
	for (slot = 0; claims != NULL && slot < MAG_SLOT_SHARED; slot++)
		if (mag_thread_process(slot) == process)
			slot_free(&claims->slot[slot]);
}

void
mag_thread_on_claim(void (*claimed)(void))
{
	numbers.claimed = claimed;
}

void
mag_thread_on_exit(void (*on_exit)(uint32_t slot))
{
	numbers.on_exit = on_exit;
}
