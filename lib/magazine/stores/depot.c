/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>

#include <rte_branch_prediction.h>
#include <rte_common.h>

#include "stores/depot.h"

#define COUNT_MASK 0xffffffu
#define TAG_MASK 0xffffffffffffull
/* Most magazines that one take has, but for a reap. */
#define TAKE_MAX 2

#ifdef MAG_TSAN
atomic_bool mag_u128_lock;
#endif

static struct mag_u128
head_pack(struct mag_depot_head head)
{
	return (struct mag_u128){
		.lo = head.index | (uint64_t)head.total << 32 | (uint64_t)head.min << 56,
		.hi = head.min >> 8 | head.tag << 16,
	};
}

static struct mag_depot_head
head_unpack(struct mag_u128 raw)
{
	return (struct mag_depot_head){
		.index = (uint32_t)raw.lo,
		.total = raw.lo >> 32 & COUNT_MASK,
		.min = (uint32_t)(raw.lo >> 56 | (raw.hi & 0xffff) << 8),
		.tag = raw.hi >> 16,
	};
}

struct mag_depot_head
mag_depot_head(const struct mag_depot_list *list)
{
	return head_unpack(mag_u128_peek(&list->head));
}

uint32_t
mag_depot_total(const struct mag_depot_list *list)
{
	return mag_depot_head(list).total;
}

uint64_t
mag_depot_in(const struct mag_depot_list *list)
{
	/* acquire: pairs with mag_depot_reap(): what is counted is not on the list any more */
	uint64_t reaped = atomic_load_explicit(&list->reaped, memory_order_acquire);
	struct mag_depot_head head = mag_depot_head(list);

	return reaped + head.tag * TAKE_MAX + head.total;
}

uint64_t
mag_depot_out(const struct mag_depot_list *list)
{
	/* acquire: the tag is read after it, and so is all that follows */
	return atomic_load_explicit(&list->reaped, memory_order_acquire) +
	       mag_depot_taken(list) * TAKE_MAX;
}

void
mag_depot_init(struct mag_depot *depot, struct mag_arena *arena)
{
	*depot = (struct mag_depot){.arena = arena};
}

/*
 * The link of a magazine that may have been taken, and become something else,
 * since its index was read. ThreadSanitizer would be right to call it a race;
 * the compare-exchange throws away what it read if it was one.
 */
MAG_NO_TSAN static uint32_t
stale_link(const struct mag_magazine *magazine)
{
	return *(const volatile uint32_t *)magazine;
}

_Static_assert(offsetof(struct mag_magazine, next) == 0, "stale_link() reads the first word");

/* A head after so many magazines were taken from it. */
static struct mag_depot_head
head_without(struct mag_depot_head head, unsigned int taken)
{
	head.total -= taken;
	head.min = RTE_MIN(head.min, head.total);
	head.tag = (head.tag + 1) & TAG_MASK;
	return head;
}

unsigned int
mag_depot_take(struct mag_depot *depot, struct mag_depot_list *list, unsigned int want,
	       struct mag_magazine *got[2])
{
	struct mag_u128 old = mag_u128_peek(&list->head);
	struct mag_magazine *first, *second = NULL;
	struct mag_depot_head head;
	unsigned int taken;
	bool contended = false;

	for (;;) {
		head = head_unpack(old);
		first = mag_arena_magazine(depot->arena, head.index);
		if (first == NULL)
			return 0;
		head.index = stale_link(first);
		if (want > 1)
			second = mag_arena_magazine(depot->arena, head.index);
		if (second != NULL)
			head.index = stale_link(second);
		taken = second != NULL ? 2 : 1;
		head = head_without(head, taken);
		/* A full barrier; its acquire pairs with the release of mag_depot_put(). */
		if (likely(mag_u128_cas(&list->head, &old, head_pack(head))))
			break;
		contended = true;
	}
	if (unlikely(contended))
		atomic_fetch_add_explicit(&list->contention, 1, memory_order_relaxed);
	got[0] = first;
	if (taken == 2)
		got[1] = second;
	return taken;
}

/*
 * A depot's two lists are neighbours of 128 bytes each, and its arena has magazines of no others.
 * As the upper end of a pointer, which may be in its place, it is none that a program has.
 */
static uint16_t
list_id(const struct mag_depot_list *list)
{
	return (uint16_t)(((uintptr_t)list / sizeof(*list)) | 0xff00);
}

void
mag_depot_put(struct mag_depot_list *list, struct mag_magazine *magazine)
{
	struct mag_u128 old = mag_u128_peek(&list->head);
	struct mag_depot_head head;

	MAG_STORE(&magazine->list, list_id(list), MAG_RELAXED);
	do {
		head = head_unpack(old);
		MAG_STORE(&magazine->next, head.index, MAG_RELAXED);
		head.index = magazine->index;
		head.total++;
		/* A full barrier; its release pairs with the acquire of mag_depot_take(). */
	} while (unlikely(!mag_u128_cas(&list->head, &old, head_pack(head))));
}

/* Is there a magazine, and was it put on this list last? */
MAG_NO_TSAN static bool
is_listed(const struct mag_depot_list *list, const struct mag_magazine *magazine)
{
	return magazine != NULL && *(const volatile uint16_t *)&magazine->list == list_id(list);
}

struct mag_magazine *
mag_depot_look(const struct mag_depot *depot, const struct mag_depot_list *list,
	       const struct mag_magazine *behind)
{
	struct mag_magazine *magazine;
	uint32_t index;

	if (behind != NULL && !is_listed(list, behind))
		return NULL;
	index = behind == NULL ? mag_depot_head(list).index : stale_link(behind);
	magazine = mag_arena_magazine(depot->arena, index);
	return is_listed(list, magazine) ? magazine : NULL;
}

/* min = total, both read and written at once. */
static struct mag_depot_head
list_restart(struct mag_depot_list *list)
{
	struct mag_u128 old = mag_u128_peek(&list->head);
	struct mag_depot_head was, head;

	do {
		was = head_unpack(old);
		head = was;
		head.min = head.total;
	} while (!mag_u128_cas(&list->head, &old, head_pack(head)));
	return was;
}

void
mag_depot_update(struct mag_depot *depot)
{
	MAG_STORE(&depot->full.reaplimit, list_restart(&depot->full).min, MAG_RELAXED);
	MAG_STORE(&depot->empty.reaplimit, list_restart(&depot->empty).min, MAG_RELAXED);
}

static bool
list_zero(struct mag_depot_list *list)
{
	struct mag_depot_head was = list_restart(list);
	bool changed = list->reaplimit != was.total || was.min != was.total;

	MAG_STORE(&list->reaplimit, was.total, MAG_RELAXED);
	return changed;
}

bool
mag_depot_zero(struct mag_depot *depot)
{
	bool full = list_zero(&depot->full), empty = list_zero(&depot->empty);

	return full || empty;
}

uint32_t
mag_depot_reapable(struct mag_depot_list *list)
{
	return RTE_MIN(list->reaplimit, head_unpack(mag_u128_load(&list->head)).min);
}

/* Up to n magazines from the head on, which then is what comes behind them; returns how many. */
static unsigned int
chain_walk(const struct mag_depot *depot, uint32_t *head, unsigned int n,
	   struct mag_magazine *got[MAG_DEPOT_CHAIN])
{
	struct mag_magazine *magazine;
	unsigned int i;

	for (i = 0; i < n; i++) {
		magazine = mag_arena_magazine(depot->arena, *head);
		if (magazine == NULL)
			break;
		got[i] = magazine;
		*head = stale_link(magazine);
	}
	return i;
}

/*
 * Each time that somebody else was faster the chain is half as long, and one is no harder to take
 * than for others.
 */
unsigned int
mag_depot_reap(struct mag_depot *depot, struct mag_depot_list *list, unsigned int want,
	       struct mag_magazine *got[MAG_DEPOT_CHAIN])
{
	struct mag_u128 old = mag_u128_load(&list->head);
	struct mag_depot_head head;
	unsigned int taken;

	for (want = RTE_MIN(want, MAG_DEPOT_CHAIN);; want = (taken + 1) / 2) {
		head = head_unpack(old);
		want = RTE_MIN(want, RTE_MIN(list->reaplimit, head.min));
		taken = chain_walk(depot, &head.index, want, got);
		if (taken == 0)
			return 0;
		head = head_without(head, taken);
		/* A full barrier; its acquire pairs with the release of mag_depot_put(). */
		if (likely(mag_u128_cas(&list->head, &old, head_pack(head))))
			break;
	}
	MAG_STORE(&list->reaplimit, list->reaplimit - taken, MAG_RELAXED);
	/* release: what is counted is off the list; pairs with mag_depot_in() */
	atomic_fetch_add_explicit(&list->reaped, taken, memory_order_release);
	return taken;
}

uint64_t
mag_depot_contention(const struct mag_depot *depot)
{
	return (uint64_t)atomic_load_explicit(&depot->full.contention, memory_order_relaxed) +
	       atomic_load_explicit(&depot->empty.contention, memory_order_relaxed);
}
