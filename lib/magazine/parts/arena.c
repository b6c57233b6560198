/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include <rte_bitops.h>
#include <rte_branch_prediction.h>
#include <rte_common.h>

#include "base/meta.h"
#include "parts/arena.h"
#include "parts/type.h"

#define BLOCK_MIN 128u
#define BLOCK_MAX (BLOCK_MIN << (MAG_ARENA_ORDERS - 1))
#define HEADER sizeof(struct mag_magazine)
/* In order[], beside the order: a magazine begins here that is somewhere else. */
#define OUT 0x80u

_Static_assert(sizeof(struct mag_magazine) == 2 * sizeof(void *), "two words of header");
_Static_assert(HEADER + MAG_ROUNDS_MAX * sizeof(void *) == BLOCK_MAX, "the largest fills a block");

size_t
mag_arena_magazine_bytes(uint32_t rounds)
{
	return rte_align64pow2(RTE_MAX(HEADER + rounds * sizeof(void *), (size_t)BLOCK_MIN));
}

/*
 * A free block of the arena. The link of the free list lies where a magazine has
 * its own, and is atomic for the same reason: a late reader of a depot list may
 * still look at it.
 */
struct free_block {
	_Atomic uint32_t next;
	uint32_t prev;
};

static struct free_block *
block_at(const struct mag_arena *arena, uint32_t index)
{
	return (struct free_block *)mag_arena_magazine(arena, index);
}

static uint8_t *
block_order(const struct mag_arena *arena, uint32_t index)
{
	return &arena->order[(index - 1) / (BLOCK_MIN / MAG_LINE)];
}

static void
block_push(struct mag_arena *arena, uint32_t index, unsigned int order)
{
	struct free_block *block = block_at(arena, index);

	block->prev = 0;
	atomic_store_explicit(&block->next, arena->free[order], memory_order_relaxed);
	if (arena->free[order] != 0)
		block_at(arena, arena->free[order])->prev = index;
	arena->free[order] = index;
	*block_order(arena, index) = (uint8_t)(order + 1);
}

static void
block_unlink(struct mag_arena *arena, uint32_t index, unsigned int order)
{
	struct free_block *block = block_at(arena, index);
	uint32_t next = atomic_load_explicit(&block->next, memory_order_relaxed);

	if (block->prev != 0)
		atomic_store_explicit(&block_at(arena, block->prev)->next, next,
				      memory_order_relaxed);
	else
		arena->free[order] = next;
	if (next != 0)
		block_at(arena, next)->prev = block->prev;
	*block_order(arena, index) = 0;
}

static uint32_t
block_lines(unsigned int order)
{
	return (BLOCK_MIN / MAG_LINE) << order;
}

static unsigned int
magazine_order(uint32_t rounds)
{
	return rte_log2_u32((uint32_t)(mag_arena_magazine_bytes(rounds) / BLOCK_MIN));
}

int
mag_arena_init(struct mag_arena *arena, size_t bytes, int node)
{
	size_t at;

	*arena = (struct mag_arena){0};
	arena->size = RTE_ALIGN_CEIL(bytes, BLOCK_MAX);
	arena->base = mag_meta_zalloc(arena->size, node);
	arena->order = mag_meta_zalloc(arena->size / BLOCK_MIN, node);
	if (arena->base == NULL || arena->order == NULL) {
		mag_arena_fini(arena);
		return -ENOMEM;
	}
	for (at = arena->size; at > 0; at -= BLOCK_MAX)
		block_push(arena, (uint32_t)((at - BLOCK_MAX) / MAG_LINE + 1),
			   MAG_ARENA_ORDERS - 1);
	return 0;
}

void
mag_arena_fini(struct mag_arena *arena)
{
	mag_meta_free(arena->base);
	mag_meta_free(arena->order);
	arena->base = NULL;
	arena->order = NULL;
}

static struct mag_magazine *
arena_get_locked(struct mag_arena *arena, uint32_t rounds)
{
	unsigned int want = magazine_order(rounds), order = want;
	struct mag_magazine *magazine;
	uint32_t index;

	while (order < MAG_ARENA_ORDERS && arena->free[order] == 0)
		order++;
	if (order == MAG_ARENA_ORDERS || arena->out >= MAG_MAGAZINES_MAX)
		return NULL;
	index = arena->free[order];
	block_unlink(arena, index, order);
	while (order > want) {
		order--;
		block_push(arena, index + block_lines(order), order);
	}
	arena->out++;
	magazine = mag_arena_magazine(arena, index);
	magazine->rounds = rounds;
	MAG_STORE(&magazine->held, 0, MAG_RELAXED);
	mag_commit();
	*block_order(arena, index) = (uint8_t)(OUT | order);
	return magazine;
}

/* A block is free, as large as its free neighbours make it. */
static void
block_free(struct mag_arena *arena, uint32_t index, unsigned int order)
{
	uint32_t buddy;

	for (; order < MAG_ARENA_ORDERS - 1; order++) {
		buddy = ((index - 1) ^ block_lines(order)) + 1;
		if (*block_order(arena, buddy) != order + 1)
			break;
		block_unlink(arena, buddy, order);
		index = RTE_MIN(index, buddy);
	}
	block_push(arena, index, order);
}

static void
arena_put_locked(struct mag_arena *arena, struct mag_magazine *magazine)
{
	uint32_t index = mag_arena_index(arena, magazine);

	arena->out--;
	*block_order(arena, index) = 0;
	block_free(arena, index, magazine_order(magazine->rounds));
}

/* Only ever emptied as a whole, so a head that has come back (ABA) does no harm. */
static void
pending_push(struct mag_arena *arena, struct mag_magazine *magazine)
{
	uint32_t head = atomic_load_explicit(&arena->pending, memory_order_relaxed);

	do
		MAG_STORE(&magazine->next, head, MAG_RELAXED);
	/* release: pairs with pending_settle(); acquire: with the look of arena_let_go() */
	while (!atomic_compare_exchange_weak_explicit(&arena->pending, &head,
						      mag_arena_index(arena, magazine),
						      memory_order_acq_rel, memory_order_relaxed));
}

/* Under the lock. */
static void
pending_settle(struct mag_arena *arena)
{
	struct mag_magazine *magazine;
	uint32_t index;

	if (likely(atomic_load_explicit(&arena->pending, memory_order_relaxed) == 0))
		return;
	/* acquire: pairs with the release in pending_push() */
	index = atomic_exchange_explicit(&arena->pending, 0, memory_order_acquire);
	while (index != 0) {
		magazine = mag_arena_magazine(arena, index);
		index = MAG_LOAD(&magazine->next, MAG_RELAXED);
		arena_put_locked(arena, magazine);
	}
}

/*
 * The look at pending is an exchange, and comes after the release: whoever pushes later sees
 * the lock free and settles itself, so nothing is left behind.
 */
void
mag_arena_let_go(struct mag_arena *arena)
{
	do {
		pending_settle(arena);
		mag_lock_release(&arena->lock);
	} while (
		unlikely(atomic_fetch_or_explicit(&arena->pending, 0, memory_order_acq_rel) != 0) &&
		mag_lock_try(&arena->lock));
}

struct mag_magazine *
mag_arena_get(struct mag_arena *arena, uint32_t rounds)
{
	struct mag_magazine *magazine;

	if (!mag_lock_try(&arena->lock))
		return NULL;
	pending_settle(arena);
	magazine = arena_get_locked(arena, rounds);
	mag_arena_let_go(arena);
	return magazine;
}

void
mag_arena_put(struct mag_arena *arena, struct mag_magazine *magazine)
{
	if (likely(mag_lock_try(&arena->lock))) {
		arena_put_locked(arena, magazine);
	} else {
		pending_push(arena, magazine);
		if (!mag_lock_try(&arena->lock))
			return;
	}
	mag_arena_let_go(arena);
}

static struct mag_magazine *
magazine_of_block(const struct mag_arena *arena, size_t block)
{
	return (struct mag_magazine *)(void *)(arena->base + block * BLOCK_MIN);
}

void
mag_arena_walk(const struct mag_arena *arena,
	       void (*visit)(struct mag_magazine *magazine, void *arg), void *arg)
{
	size_t block, blocks = arena->size / BLOCK_MIN;

	for (block = 0; block < blocks; block++)
		if (arena->order[block] & OUT)
			visit(magazine_of_block(arena, block), arg);
}

void
mag_arena_walk_pending(const struct mag_arena *arena,
		       void (*visit)(struct mag_magazine *magazine, void *arg), void *arg)
{
	/* acquire: pairs with the release in pending_push() */
	uint32_t index = atomic_load_explicit(&arena->pending, memory_order_acquire);
	struct mag_magazine *magazine;

	for (; index != 0; index = MAG_LOAD(&magazine->next, MAG_RELAXED)) {
		magazine = mag_arena_magazine(arena, index);
		visit(magazine, arg);
	}
}

/* Blocks from this one to the next that may be something else. */
static size_t
block_step(const struct mag_arena *arena, size_t block)
{
	uint8_t order = arena->order[block];

	return (order & OUT) != 0 ? (size_t)1 << (order & ~OUT) : 1;
}

void
mag_arena_rebuild(struct mag_arena *arena, bool (*keep)(struct mag_magazine *magazine, void *arg),
		  void *arg)
{
	size_t block, blocks = arena->size / BLOCK_MIN;

	memset(arena->free, 0, sizeof(arena->free));
	arena->out = 0;
	for (block = 0; block < blocks; block += block_step(arena, block))
		if ((arena->order[block] & OUT) != 0 && keep(magazine_of_block(arena, block), arg))
			arena->out++;
		else
			arena->order[block] = 0;
	for (block = 0; block < blocks; block += block_step(arena, block))
		if (arena->order[block] == 0)
			block_free(arena, (uint32_t)(block * (BLOCK_MIN / MAG_LINE)) + 1, 0);
}
