/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_ARENA_H
#define MAG_ARENA_H

/*
 * Magazines, and the arena that they come from (design, The depot and the arena).
 *
 * A magazine (struct mag_magazine, mag_inline.h) is two words of header and its rounds. How many
 * rounds are valid is
 * known by whoever holds it: the slot that has it loaded, or the depot
 * list that it is on. A magazine carries its type, so that it can be given back
 * without asking anybody which type is now current.
 *
 * An arena has chunks of shared memory, which go back with its cache and not before, so that a
 * magazine is type-stable: a thread that reads the link of a magazine which somebody else has just
 * taken reads magazine memory, whatever it has become. An arena is made with all of its chunks, or,
 * for an elastic region, with those that its first objects need: maintenance adds more when few are
 * left (mag_arena_wants()). So no magazine is ever allocated on the data path. An index is the
 * number of the chunk and the block of 128 bytes in it, so it outlasts any growth, and 0 is none.
 *
 * The arena is a buddy allocator of blocks of 128 bytes to 4 KiB: all pool types are exactly one
 * block. Memory that no magazine has been in yet is on no list, and not touched: it begins at
 * "fresh".
 *
 * Its lock is only ever tried. A magazine that comes back while it is held goes on the
 * list "pending", which needs no lock, and the holder of the lock puts it away. In a debugger:
 * lock.holder, out (magazines that are somewhere else) and pending.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_branch_prediction.h>

#include "base/counter.h"
#include "base/lock.h"
#include "mag_inline.h"

/** The unit of a magazine's index, in bytes: two cache lines. */
#define MAG_ARENA_UNIT 128u
/** log2 of the units that a chunk has indices for. */
#define MAG_ARENA_SHIFT 11
#define MAG_ARENA_MASK ((1u << MAG_ARENA_SHIFT) - 1)
/**
 * Unit that a chunk's first block has. Those below it, 0 among them, are no index: 4 KiB less to
 * get, for the chunk's records and EAL's.
 */
#define MAG_ARENA_FIRST 32u
/** Bytes of a chunk's blocks. With their records and EAL's, eight chunks fit a hugepage. */
#define MAG_ARENA_CHUNK ((size_t)((1u << MAG_ARENA_SHIFT) - MAG_ARENA_FIRST) * MAG_ARENA_UNIT)
/** What a depot can count. */
#define MAG_MAGAZINES_MAX ((1u << 24) - 1)

/** Bytes that a magazine of this many rounds takes from its arena: a power of two. */
size_t mag_arena_magazine_bytes(uint32_t rounds);

#define MAG_ARENA_ORDERS 6 /* 128 bytes << 0..5 */

struct mag_arena {
	struct mag_lock lock; /**< guards all below up to fresh, but not pending */
	/** Index of the first magazine that came back while the lock was held; 0 = none. */
	_Atomic uint32_t pending;
	uint32_t free
		[MAG_ARENA_ORDERS]; /**< index of the first free block of each order; 0 = none */
	uint32_t out;               /**< magazines out */
	uint32_t out_units;         /**< of their blocks */
	uint32_t fresh;             /**< index of the first block that was never out */

	_Atomic uint32_t limit;    /**< indices are below it; whoever adds a chunk raises it */
	_Atomic bool wanted;       /**< maintenance was asked for a chunk */
	_Atomic uint64_t retry_at; /**< TSC before which it is not asked: there was no memory */

	/* Never changes. */
	size_t max; /**< bytes that it may come to, a multiple of 4 KiB */
	int node;
	size_t begun; /**< chunks that it began with, which lie in one piece */
	/**
	 * Of each chunk its first block, with room for all that there may ever be. In front of it,
	 * downwards, is a byte for each unit: order of the free block that begins there, + 1; or a
	 * magazine is out. An entry changes once, from NULL.
	 */
	uint8_t **chunk;
};

/**
 * @param bytes
 *   That it has to begin with.
 * @param max
 *   That it may come to: no less.
 * @return 0, or -ENOMEM.
 */
int mag_arena_init(struct mag_arena *arena, size_t bytes, size_t max, int node);
/** All magazines must be back. */
void mag_arena_fini(struct mag_arena *arena);
/** Bytes that it has now. */
size_t mag_arena_size(const struct mag_arena *arena);
/**
 * After mag_arena_get(), without a lock: few blocks are left, there may be more, and nobody has
 * asked maintenance for them yet. True once; whoever is told so tells maintenance.
 */
bool mag_arena_wants(struct mag_arena *arena);
/**
 * More chunks, if they are wanted; takes memory, waits for nobody in the arena. One thread at a
 * time. What a process leaves that is killed in here, the next call goes on with.
 */
void mag_arena_serve(struct mag_arena *arena);
/**
 * An empty magazine, without waiting: NULL when the arena has none, or when
 * somebody else is just in it.
 */
struct mag_magazine *mag_arena_get(struct mag_arena *arena, uint32_t rounds);
/** Does not wait: while another thread is in the arena, the magazine is left for it to put away. */
void mag_arena_put(struct mag_arena *arena, struct mag_magazine *magazine);

/*
 * After a process that died with magazines, or in the arena (recover.h). A magazine that is out has
 * a mark, which is set after all else of mag_arena_get(), and taken off before all else when it
 * comes back: of an arena that somebody died in the marks are right, and the rest is made anew.
 */

/** Let the lock go, and put away what has come back meanwhile. */
void mag_arena_let_go(struct mag_arena *arena);
/** With the lock: each magazine that is out. */
void mag_arena_walk(const struct mag_arena *arena,
		    void (*visit)(struct mag_magazine *magazine, void *arg), void *arg);
/** Each of these that waits to be put away. */
void mag_arena_walk_pending(const struct mag_arena *arena,
			    void (*visit)(struct mag_magazine *magazine, void *arg), void *arg);
/** With the lock: all is free but magazines that are out and kept. */
void mag_arena_rebuild(struct mag_arena *arena,
		       bool (*keep)(struct mag_magazine *magazine, void *arg), void *arg);

/** The magazine of an index, which may be stale; NULL: there is none, as of 0. */
static inline struct mag_magazine *
mag_arena_magazine(const struct mag_arena *arena, uint32_t index)
{
	uint32_t unit = index & MAG_ARENA_MASK;

	/* acquire: pairs with the release in chunk_add() */
	if (unit < MAG_ARENA_FIRST || unlikely(index >= MAG_STAT_ACQUIRE(arena->limit)))
		return NULL;
	return (struct mag_magazine *)(arena->chunk[index >> MAG_ARENA_SHIFT] +
				       (size_t)(unit - MAG_ARENA_FIRST) * MAG_ARENA_UNIT);
}

#endif /* MAG_ARENA_H */
