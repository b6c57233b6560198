/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include <rte_bitops.h>
#include <rte_branch_prediction.h>
#include <rte_common.h>
#include <rte_cycles.h>

#include "base/deadline.h"
#include "base/meta.h"
#include "parts/arena.h"
#include "parts/type.h"

#define BLOCK_MIN MAG_ARENA_UNIT
#define BLOCK_MAX (BLOCK_MIN << (MAG_ARENA_ORDERS - 1))
#define HEADER sizeof(struct mag_magazine)
/* In order[], beside the order: a magazine begins here that is somewhere else. */
#define OUT 0x80u
/* It grows by an eighth, when less than that is left, or half a chunk. */
#define GROWTH 8
/* No more at once: maintenance has other caches. */
#define GROWTH_MAX ((size_t)16 << 20)
#define RETRY_US 1000000

_Static_assert(sizeof(struct mag_magazine) == 2 * sizeof(void *), "two words of header");
_Static_assert(HEADER + MAG_ROUNDS_MAX * sizeof(void *) == BLOCK_MAX, "the largest fills a block");
_Static_assert(MAG_ARENA_FIRST *BLOCK_MIN == BLOCK_MAX,
	       "buddies have indices that differ by a bit");
_Static_assert(MAG_ARENA_CHUNK % BLOCK_MAX == 0, "a chunk is whole blocks");

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

/* In order[]: see struct mag_arena. */
static uint8_t *
block_order(const struct mag_arena *arena, uint32_t index)
{
	return arena->chunk[index >> MAG_ARENA_SHIFT] - 1 -
	       ((index & MAG_ARENA_MASK) - MAG_ARENA_FIRST);
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
block_units(unsigned int order)
{
	return UINT32_C(1) << order;
}

/* The index so many units behind one: none is at the beginning of a chunk's. */
static uint32_t
index_behind(uint32_t index, uint32_t units)
{
	index += units;
	return (index & MAG_ARENA_MASK) == 0 ? index + MAG_ARENA_FIRST : index;
}

static unsigned int
magazine_order(uint32_t rounds)
{
	return rte_log2_u32((uint32_t)(mag_arena_magazine_bytes(rounds) / BLOCK_MIN));
}

/* Of the blocks of a chunk that there may be. */
static size_t
chunk_bytes(const struct mag_arena *arena, size_t chunk)
{
	return RTE_MIN(arena->max - chunk * MAG_ARENA_CHUNK, MAG_ARENA_CHUNK);
}

/* In front of them. */
static size_t
chunk_records(const struct mag_arena *arena, size_t chunk)
{
	return RTE_ALIGN_CEIL(chunk_bytes(arena, chunk) / BLOCK_MIN, (size_t)BLOCK_MIN);
}

size_t
mag_arena_size(const struct mag_arena *arena)
{
	uint32_t limit = MAG_STAT(arena->limit), unit = limit & MAG_ARENA_MASK;

	return (limit >> MAG_ARENA_SHIFT) * MAG_ARENA_CHUNK +
	       (unit > 0 ? (size_t)(unit - MAG_ARENA_FIRST) * BLOCK_MIN : 0);
}

/* All chunks are whole but the last that there may be. */
static int
chunk_add(struct mag_arena *arena)
{
	uint32_t chunk = (uint32_t)(mag_arena_size(arena) / MAG_ARENA_CHUNK);
	size_t bytes = chunk_bytes(arena, chunk), records = chunk_records(arena, chunk);
	uint8_t *memory;

	/* It is there if somebody was killed before the last step. */
	if (arena->chunk[chunk] == NULL) {
		memory = mag_meta_zalloc(records + bytes, arena->node);
		if (memory == NULL)
			return -ENOMEM;
		arena->chunk[chunk] = memory + records;
	}
	/* release: pairs with the acquire in mag_arena_magazine() and fresh_take() */
	atomic_store_explicit(&arena->limit,
			      (chunk << MAG_ARENA_SHIFT) + MAG_ARENA_FIRST +
				      (uint32_t)(bytes / BLOCK_MIN),
			      memory_order_release);
	return 0;
}

static size_t
chunks_of(size_t bytes)
{
	return (bytes + MAG_ARENA_CHUNK - 1) / MAG_ARENA_CHUNK;
}

/* In one piece: what cannot be had is refused at once, and no memory is taken for it meanwhile. */
static int
chunks_begin(struct mag_arena *arena)
{
	size_t chunk, size = 0;
	uint8_t *memory;

	for (chunk = 0; chunk < arena->begun; chunk++)
		size += chunk_records(arena, chunk) + chunk_bytes(arena, chunk);
	memory = mag_meta_zalloc(size, arena->node);
	if (memory == NULL)
		return -ENOMEM;
	for (chunk = 0; chunk < arena->begun; chunk++) {
		arena->chunk[chunk] = memory + chunk_records(arena, chunk);
		memory = arena->chunk[chunk] + chunk_bytes(arena, chunk);
		chunk_add(arena);
	}
	return 0;
}

int
mag_arena_init(struct mag_arena *arena, size_t bytes, size_t max, int node)
{
	*arena = (struct mag_arena){.fresh = MAG_ARENA_FIRST, .node = node};
	arena->max = RTE_ALIGN_CEIL(max, BLOCK_MAX);
	arena->chunk = mag_meta_zalloc(chunks_of(arena->max) * sizeof(arena->chunk[0]), node);
	arena->begun = chunks_of(bytes);
	if (arena->chunk != NULL && chunks_begin(arena) == 0)
		return 0;
	mag_arena_fini(arena);
	return -ENOMEM;
}

void
mag_arena_fini(struct mag_arena *arena)
{
	size_t chunk, chunks = chunks_of(arena->max);

	if (arena->chunk == NULL)
		return;
	for (chunk = 0; chunk < chunks && arena->chunk[chunk] != NULL; chunk++)
		if (chunk == 0 || chunk >= arena->begun)
			mag_meta_free(arena->chunk[chunk] - chunk_records(arena, chunk));
	mag_meta_free(arena->chunk);
	arena->chunk = NULL;
}

bool
mag_arena_wants(struct mag_arena *arena)
{
	size_t size = mag_arena_size(arena);
	size_t left = size - (size_t)MAG_STAT(arena->out_units) * BLOCK_MIN;

	if (size >= arena->max || left >= RTE_MAX(size / GROWTH, MAG_ARENA_CHUNK / 2) ||
	    MAG_STAT(arena->wanted) || rte_rdtsc() < MAG_STAT(arena->retry_at))
		return false;
	return !atomic_exchange_explicit(&arena->wanted, true, memory_order_relaxed);
}

void
mag_arena_serve(struct mag_arena *arena)
{
	size_t size = mag_arena_size(arena);
	size_t enough = size + RTE_MAX(RTE_MIN(size / GROWTH, GROWTH_MAX), (size_t)1);

	if (!MAG_STAT(arena->wanted))
		return;
	for (; size < RTE_MIN(enough, arena->max); size = mag_arena_size(arena))
		if (chunk_add(arena) != 0) {
			atomic_store_explicit(&arena->retry_at, mag_deadline_in(RETRY_US),
					      memory_order_relaxed);
			break;
		}
	atomic_store_explicit(&arena->wanted, false, memory_order_relaxed);
}

/* A block of memory that no magazine has been in; 0: there is none. */
static uint32_t
fresh_take(struct mag_arena *arena)
{
	uint32_t index = index_behind(arena->fresh, 0);

	/* acquire: pairs with the release in chunk_add() */
	if (index >= MAG_STAT_ACQUIRE(arena->limit))
		return 0;
	arena->fresh = index + block_units(MAG_ARENA_ORDERS - 1);
	return index;
}

/* A free block of at least an order, which is told; 0: there is none. */
static uint32_t
block_take(struct mag_arena *arena, unsigned int *order)
{
	uint32_t index;

	while (*order < MAG_ARENA_ORDERS && arena->free[*order] == 0)
		++*order;
	if (*order == MAG_ARENA_ORDERS) {
		--*order;
		return fresh_take(arena);
	}
	index = arena->free[*order];
	block_unlink(arena, index, *order);
	return index;
}

static struct mag_magazine *
arena_get_locked(struct mag_arena *arena, uint32_t rounds)
{
	unsigned int want = magazine_order(rounds), order = want;
	struct mag_magazine *magazine;
	uint32_t index;

	if (arena->out >= MAG_MAGAZINES_MAX)
		return NULL;
	index = block_take(arena, &order);
	if (index == 0)
		return NULL;
	while (order > want) {
		order--;
		block_push(arena, index + block_units(order), order);
	}
	arena->out++;
	MAG_COUNT_LOCKED(arena->out_units, block_units(want));
	magazine = mag_arena_magazine(arena, index);
	magazine->rounds = rounds;
	magazine->index = index;
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
		buddy = index ^ block_units(order);
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
	unsigned int order = magazine_order(magazine->rounds);
	uint32_t index = magazine->index;

	arena->out--;
	MAG_COUNT_LOCKED(arena->out_units, -block_units(order));
	*block_order(arena, index) = 0;
	block_free(arena, index, order);
}

/* Only ever emptied as a whole, so a head that has come back (ABA) does no harm. */
static void
pending_push(struct mag_arena *arena, struct mag_magazine *magazine)
{
	uint32_t head = atomic_load_explicit(&arena->pending, memory_order_relaxed);

	do
		MAG_STORE(&magazine->next, head, MAG_RELAXED);
	/* release: pairs with pending_settle(); acquire: with the look of arena_let_go() */
	while (!atomic_compare_exchange_weak_explicit(&arena->pending, &head, magazine->index,
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

/* A magazine that is out is before "fresh", which was stored before its mark. */
void
mag_arena_walk(const struct mag_arena *arena,
	       void (*visit)(struct mag_magazine *magazine, void *arg), void *arg)
{
	uint32_t index;

	for (index = MAG_ARENA_FIRST; index < arena->fresh; index = index_behind(index, 1))
		if (*block_order(arena, index) & OUT)
			visit(mag_arena_magazine(arena, index), arg);
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

/* The block behind this one that may be something else. */
static uint32_t
block_next(const struct mag_arena *arena, uint32_t index)
{
	uint8_t order = *block_order(arena, index);

	return index_behind(index, (order & OUT) != 0 ? block_units(order & ~OUT) : 1);
}

void
mag_arena_rebuild(struct mag_arena *arena, bool (*keep)(struct mag_magazine *magazine, void *arg),
		  void *arg)
{
	uint32_t index, units = 0;
	uint8_t *order;

	memset(arena->free, 0, sizeof(arena->free));
	arena->out = 0;
	for (index = MAG_ARENA_FIRST; index < arena->fresh; index = block_next(arena, index)) {
		order = block_order(arena, index);
		if ((*order & OUT) != 0 && keep(mag_arena_magazine(arena, index), arg)) {
			arena->out++;
			units += block_units(*order & ~OUT);
		} else {
			*order = 0;
		}
	}
	MAG_STORE(&arena->out_units, units, MAG_RELAXED);
	for (index = MAG_ARENA_FIRST; index < arena->fresh; index = block_next(arena, index))
		if (*block_order(arena, index) == 0)
			block_free(arena, index, 0);
}
