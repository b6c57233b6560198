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
 * An arena is one block of shared memory, made with its cache and given back with it, so
 * that no magazine is ever allocated on the data path, and so that a magazine is
 * type-stable: a thread that reads the link of a magazine which somebody else has just
 * taken reads magazine memory, whatever it has become. The arena is a buddy allocator of
 * blocks of 128 bytes to 4 KiB: all pool types are exactly one block.
 *
 * Its lock is only ever tried. A magazine that comes back while it is held goes on the
 * list "pending", which needs no lock, and the holder of the lock puts it away. In a debugger:
 * lock.holder, out (magazines that are somewhere else) and pending.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/lock.h"
#include "mag_inline.h"

/** Cache lines are counted as 64 bytes here: the unit of a magazine's index. */
#define MAG_LINE 64u
/** What a depot can count. */
#define MAG_MAGAZINES_MAX ((1u << 24) - 1)

/** Bytes that a magazine of this many rounds takes from its arena: a power of two. */
size_t mag_arena_magazine_bytes(uint32_t rounds);

#define MAG_ARENA_ORDERS 6 /* 128 bytes << 0..5 */

struct mag_arena {
	struct mag_lock lock; /**< guards all below but pending, base and size */
	/** Index of the first magazine that came back while the lock was held; 0 = none. */
	_Atomic uint32_t pending;
	uint32_t free
		[MAG_ARENA_ORDERS]; /**< index of the first free block of each order; 0 = none */
	uint32_t out;               /**< magazines out */
	/** Per 128 bytes: order of the free block that begins there, + 1; or a magazine is out. */
	uint8_t *order;
	uint8_t *base; /**< never changes */
	size_t size;   /**< bytes, a multiple of 4 KiB; never changes */
};

/**
 * @return 0, or -ENOMEM.
 */
int mag_arena_init(struct mag_arena *arena, size_t bytes, int node);
/** All magazines must be back. */
void mag_arena_fini(struct mag_arena *arena);
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

static inline uint32_t
mag_arena_index(const struct mag_arena *arena, const struct mag_magazine *magazine)
{
	return (uint32_t)(((const uint8_t *)magazine - arena->base) / MAG_LINE) + 1;
}

/** The magazine of an index, which must be in range but may be stale. */
static inline struct mag_magazine *
mag_arena_magazine(const struct mag_arena *arena, uint32_t index)
{
	return (struct mag_magazine *)(arena->base + (size_t)(index - 1) * MAG_LINE);
}

static inline bool
mag_arena_has_index(const struct mag_arena *arena, uint32_t index)
{
	return index - 1 < arena->size / MAG_LINE;
}

#endif /* MAG_ARENA_H */
