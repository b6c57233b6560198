/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_MAGAZINE_H
#define MAG_MAGAZINE_H

/*
 * Magazine types, and the supply that magazines come from (spec 3, design 5 and 6).
 *
 * A magazine is two words of header and its rounds. How many rounds are valid is
 * known by whoever holds it: the lcore slot that has it loaded, or the depot
 * list that it is on. A magazine carries its type, so that it can be given back
 * without asking anybody which type is now current.
 *
 * The supply of one cache is an arena: one block of shared memory, made with the
 * cache and given back with it, so that no magazine is ever allocated on the
 * data path, and so that a magazine is type-stable: a thread that reads the link
 * of a magazine which somebody else has just taken reads magazine memory,
 * whatever it has become. The arena is a buddy allocator of blocks of 128 bytes
 * to 4 KiB: all pool types are exactly one block.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lock.h"

/** Cache lines are counted as 64 bytes here: the unit of a magazine's index. */
#define MAG_LINE 64u
#define MAG_ROUNDS_MAX 510u
/** Lcores that may come after they were counted; when one does, so many again. */
#define MAG_LCORES_SPARE 2u
/** What a depot can count. */
#define MAG_MAGAZINES_MAX ((1u << 24) - 1)

struct mag_magazine {
	_Atomic uint32_t next; /**< index of the next magazine of a depot list; 0 = last */
	uint32_t rounds;       /**< its type: how many rounds it holds when it is full */
	uint64_t reserved;
	void *round[];
};

/** One row of the table of spec 3. */
struct mag_type {
	uint32_t rounds;
	uint32_t min_object; /**< first type of a cache: the first row with chunk > min_object */
	uint32_t max_object; /**< may move one row down while chunk < max_object */
};

/** First type of a library cache whose chunks have this size, in rounds. */
uint32_t mag_type_first(size_t chunk);
/** The next bigger type of a library cache, or 0 when it may not grow. */
uint32_t mag_type_next(size_t chunk, uint32_t rounds);
/** Can a library cache of this chunk size come to this type? */
bool mag_type_is_reachable(size_t chunk, uint32_t rounds);
/** Rounds of the largest type that a library cache of this chunk size can reach. */
uint32_t mag_type_largest(size_t chunk);

/** Is this one of the types of a pool: 14, 30, 62, 126, 254, 510? */
bool mag_type_is_pool(uint64_t rounds);
/**
 * The largest pool type within the bound of design 6: the magazines of all slots,
 * two each, hold at most a quarter of the pool.
 *
 * @param limit
 *   Rounds that the answer may not exceed: 254 for a first type.
 * @return
 *   Rounds, or 0 when not even the smallest type is within the bound.
 */
uint32_t mag_type_pool(uint64_t objects, uint32_t slots, uint32_t limit);
/** As in mag_cache.h. */
uint64_t mag_magazine_max(size_t chunk);
/** The same for so many lcores, and a cache with memory of so many nodes. */
uint64_t mag_magazine_max_of(size_t chunk, uint32_t lcores, uint32_t nodes);

/** Lcores that magazines are counted for: the most that there were at once, and some to spare. */
uint32_t mag_magazine_lcores(void);
/** So many lcores are there at once. */
void mag_magazine_lcores_seen(uint32_t lcores);
/** Look how many lcore ids are in use: EAL's, service lcores, registered threads. */
void mag_magazine_lcores_look(void);
/** The next bigger pool type, or 0. */
uint32_t mag_type_pool_next(uint32_t rounds);

/** Bytes that a magazine of this many rounds takes from its arena: a power of two. */
size_t mag_magazine_bytes(uint32_t rounds);

#define MAG_ARENA_ORDERS 6 /* 128 bytes << 0..5 */

struct mag_arena {
	struct mag_lock lock; /**< guards all below but pending, base and size */
	/** Index of the first magazine that came back while the lock was held; 0 = none. */
	_Atomic uint32_t pending;
	uint32_t free
		[MAG_ARENA_ORDERS]; /**< index of the first free block of each order; 0 = none */
	uint32_t out;               /**< magazines out */
	uint8_t *order; /**< per 128 bytes: order of the free block that begins there, + 1 */
	uint8_t *base;  /**< never changes */
	size_t size;    /**< bytes, a multiple of 4 KiB; never changes */
	int node;
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
/** Waits for nobody: while somebody else is in the arena, it is left for that one to put away. */
void mag_arena_put(struct mag_arena *arena, struct mag_magazine *magazine);

static inline uint32_t
mag_arena_index(const struct mag_arena *arena, const struct mag_magazine *magazine)
{
	return ((const uint8_t *)magazine - arena->base) / MAG_LINE + 1;
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

#endif /* MAG_MAGAZINE_H */
