/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_INLINE_H
#define MAG_INLINE_H

/**
 * @file
 * The fast paths of mag_cache.h, which includes this. What it shows of caches and slots is not for
 * users.
 *
 * The library and the driver inline the same functions. The library also exports mag_cache_alloc(),
 * mag_cache_free() and their bulks, for other languages (inline.c).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mag_compiler.h"

/* gcc says it in one way, clang in the other. */
#if defined(__SANITIZE_THREAD__)
#define MAG_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define MAG_TSAN 1
#endif
#endif

MAG_EXPORTED_BEGIN
#ifdef __cplusplus
extern "C" {
/** Offset in bytes of this thread's slot in an array of slots. */
extern __thread size_t mag_lcore_offset MAG_INITIAL_EXEC;
/** Offset in bytes of this thread's struct mag_way in a cache. */
extern __thread size_t mag_lcore_way MAG_INITIAL_EXEC;
#else
extern _Thread_local size_t mag_lcore_offset MAG_INITIAL_EXEC;
extern _Thread_local size_t mag_lcore_way MAG_INITIAL_EXEC;
#endif

/** Number of the layout that is shown here, and compiled into programs. */
#define MAG_LAYOUT 2u

struct mag_cache;
struct mag_cache_params;

/** mag_cache_create() of a program that was compiled for this layout. Not for users. */
struct mag_cache *mag_cache_create_with(const struct mag_cache_params *params, uint32_t layout);

/**
 * Header of a magazine; its rounds, the objects, follow it. The valid ones are at the lower end.
 */
struct mag_magazine {
	uint32_t next;   /**< index of the next magazine of a depot list; 0 = last */
	uint32_t rounds; /**< its type: how many rounds it holds when it is full */
	uint32_t index;  /**< its own, of its arena */
	/**
	 * How many are valid while neither a slot nor a list knows: should the thread that has it
	 * be killed.
	 */
	uint16_t held;
	uint16_t list; /**< which of the depot's lists it was put on last */
};

/**
 * Which objects are of one NUMA node, told by their addresses: those less than a power of two above
 * base. No object of another node is there.
 */
struct mag_near {
	uint64_t base[4];  /**< odd, which no address of an object is; the same four times */
	uint64_t above[4]; /**< bits that address - base does not have; all: no object is told */
};

/**
 * What one thread has of a cache: two magazines. Two lines of 64 bytes, of one writer each;
 * lib/magazine/slot.h tells the rules. Compiled into users: no field that a function below reads
 * may move.
 */
struct mag_slot {
	/*
	 * The visitors' line: the owner only reads it, but for what it notes when a request is
	 * refused.
	 */
	uint32_t
		visitor; /**< not 0: others want the slot, or its owner has to take the slow path */
	uint32_t size;   /**< rounds of the type in force; 0 = no magazines */
	uint64_t visited_out;        /**< rounds that visitors took away */
	uint64_t refused;            /**< the driver's: which optional request was, last; 0: none */
	uint64_t torn;               /**< not 0: its magazines are changing places, and how */
	const struct mag_near *near; /**< what may be put here without a look at the map */
	uint32_t visitor_put;        /**< what a put reads: as visitor, or with MAG_PUT_NEAR */
	uint32_t spare[5];           /**< fills the line */

	/* The owner's line. */
	uint32_t busy;                 /**< the owner is inside */
	uint32_t rounds;               /**< in loaded */
	uint32_t capacity;             /**< of loaded; 0 = no magazine loaded */
	uint32_t previous_rounds;      /**< in previous */
	struct mag_magazine *loaded;   /**< serves first */
	struct mag_magazine *previous; /**< serves next, or NULL */
	uint64_t allocs;               /**< objects handed to users */
	uint64_t rounds_in;            /**< rounds that came from depot and slabs */
	uint64_t rounds_out;           /**< rounds that went to depot and slabs */
	uint32_t exchanges;            /**< magazines changed at the depot */
	uint32_t fenced; /**< the owner has read FENCE: each entry from then on is by a fence */
} MAG_ALIGNED(128);

/** What a cache begins with: programs of MAG_LAYOUT 1 find slots by it. */
struct mag_cache_head {
	struct mag_slot *slots; /**< of all threads, by mag_lcore_offset */
};

/** In visitor_put: the cache has memory on several nodes, so that a put has to look at `near`. */
#define MAG_PUT_NEAR 0x80000000u
/** Bits of MAG_PUT_NEAR less any number of rounds, or other visitors: see mag_near_may_put(). */
#define MAG_PUT_AWAY 0x7ffffc00u

/** Which of its slots a thread uses first: all the same one if a cache has one node. */
struct mag_way {
	struct mag_slot *get; /**< that of the thread's node */
	struct mag_slot *put; /**< that of the node of what it put last */
};

/**
 * What the fast path of mag_cache_alloc_burst() could not serve. Called with the slot left, as the
 * next two.
 */
unsigned int mag_cache_alloc_slow(struct mag_cache *cache, void **objects, unsigned int n);
/** What the fast path of mag_cache_alloc_bulk() could not serve. */
unsigned int mag_cache_alloc_bulk_slow(struct mag_cache *cache, void **objects, unsigned int n);
/** What the fast path of mag_cache_free_bulk() could not serve. */
void mag_cache_free_slow(struct mag_cache *cache, void *const *objects, unsigned int n);

/**
 * Rounds of a magazine. In integers, because there may be no magazine when nothing is to be copied.
 */
MAG_INLINE void **
mag_magazine_round(const struct mag_magazine *magazine, int64_t round)
{
	return (void **)((uintptr_t)magazine + sizeof(*magazine) +
			 (uintptr_t)round * sizeof(void *));
}

/** This thread's slot of an array of slots; the last one, which is shared, when it owns none. */
MAG_INLINE struct mag_slot *
mag_slot_own(struct mag_slot *slots)
{
	return (struct mag_slot *)(void *)((char *)slots + mag_lcore_offset);
}

/** Which slots this thread uses of a cache. */
MAG_INLINE struct mag_way *
mag_way_of(struct mag_cache *cache)
{
	return (struct mag_way *)(void *)((char *)cache + mag_lcore_way);
}

/** This thread's slot of a cache, for gets. The shared one always has a visitor. */
MAG_INLINE struct mag_slot *
mag_slot_of(struct mag_cache *cache)
{
	return mag_way_of(cache)->get;
}

/** The same for puts. */
MAG_INLINE struct mag_slot *
mag_slot_of_put(struct mag_cache *cache)
{
	return mag_way_of(cache)->put;
}

MAG_INLINE int64_t
mag_slot_enter_by(struct mag_slot *slot, const uint32_t *visitor)
{
	MAG_STORE(&slot->busy, 1, MAG_RELAXED);
	/* The visitor's membarrier is the other half of this fence. */
	MAG_SIGNAL_FENCE(MAG_SEQ_CST);
	/* acquire: pairs with the visitor's release when it goes */
	return MAG_LOAD(visitor, MAG_ACQUIRE);
}

/**
 * Owner: become busy, then look. When the visitor word that is returned is 0 the owner is in; if
 * not it leaves at once, and the slow path decides. Either way mag_slot_leave() follows.
 */
MAG_INLINE int64_t
mag_slot_enter(struct mag_slot *slot)
{
	return mag_slot_enter_by(slot, &slot->visitor);
}

/** The same for a put: with MAG_PUT_NEAR alone the owner is in for objects that are near. */
MAG_INLINE int64_t
mag_slot_enter_put(struct mag_slot *slot)
{
	return mag_slot_enter_by(slot, &slot->visitor_put);
}

/** Owner: leave. Visitors may come in again, and see what was done. */
MAG_INLINE void
mag_slot_leave(struct mag_slot *slot)
{
	/* release: pairs with the visitor's acquire when it comes */
	MAG_STORE(&slot->busy, 0, MAG_RELEASE);
}

/**
 * Add to a counter with one writer, which others read. An atomic load and an atomic store are three
 * instructions, a plain addition is one: the latter, but for ThreadSanitizer.
 */
MAG_INLINE void
mag_slot_count(uint64_t *counter, uint64_t n)
{
#ifdef MAG_TSAN
	MAG_STORE(counter, MAG_LOAD(counter, MAG_RELAXED) + n, MAG_RELAXED);
#else
	*counter += n;
#endif
}

/**
 * Copy n pointers. Most bursts are multiples of eight: one branch leads past the rest. A call of
 * memcpy() costs as much as the copy of a burst.
 */
MAG_INLINE void
mag_slot_copy(void **to, void *const *from, size_t n)
{
	MAG_OF_ANY_LENGTH(to);
	MAG_OF_ANY_LENGTH(from);
	if (MAG_UNLIKELY((n & 7) != 0)) {
		if ((n & 1) != 0)
			*to++ = *from++;
		if ((n & 2) != 0) {
			MAG_COPY(to, from, 2 * sizeof(void *));
			to += 2;
			from += 2;
		}
		if ((n & 4) != 0) {
			MAG_COPY(to, from, 4 * sizeof(void *));
			to += 4;
			from += 4;
		}
		n &= ~(size_t)7;
	}
	for (; n != 0; n -= 8, to += 8, from += 8)
		MAG_COPY(to, from, 8 * sizeof(void *));
}

/**
 * A difference of room and visitor_put is negative: because of MAG_PUT_NEAR alone? Then it is that
 * bit's value, and some rounds above it. All else that makes it negative, too little room and other
 * visitors, is less than MAG_PUT_NEAR and, beside it, more than the rounds.
 */
MAG_INLINE bool
mag_near_may_put(int64_t room)
{
	return ((uint64_t)room & MAG_PUT_AWAY) == 0;
}

/**
 * A word of a near, which may change meanwhile: then neither value lets an object pass that is not
 * near (lib/magazine/parts/bounds.h). Without an atomic load it takes no instruction of its own.
 */
MAG_INLINE uint64_t
mag_near_word(const uint64_t *word)
{
#ifdef MAG_TSAN
	return MAG_LOAD(word, MAG_RELAXED);
#else
	return *word;
#endif
}

/** Is an object of the slot's node for sure? */
MAG_INLINE bool
mag_near_has(const struct mag_near *near, const void *object)
{
	uint64_t at = (uintptr_t)object - mag_near_word(near->base);

	return (at & mag_near_word(near->above)) == 0;
}

/** Copies n objects to a magazine, above the rounds that count; true if all of them are near. */
typedef bool mag_near_copy_fn(const struct mag_near *near, void **to, void *const *from,
			      uint32_t n);

/** One, if that is known to be the number. */
MAG_INLINE bool
mag_near_copy_one(const struct mag_near *near, void **to, void *const *from, uint32_t n)
{
	if (!MAG_CONSTANT(n == 1) || !mag_near_has(near, *from))
		return false;
	*to = *from;
	return true;
}

/**
 * n objects from the loaded magazine; false, with nothing changed, if it has too few or there is a
 * visitor.
 */
MAG_INLINE bool
mag_slot_get(struct mag_slot *slot, void **objects, uint32_t n)
{
	int64_t visitor = mag_slot_enter(slot);
	int64_t left = (int64_t)MAG_LOAD(&slot->rounds, MAG_RELAXED) - n;

	MAG_COMPUTED(left);
	/* One branch for both: visitor bits are larger than any number of rounds. */
	if (MAG_UNLIKELY(left < visitor)) {
		mag_slot_leave(slot);
		return false;
	}
	mag_slot_count(&slot->allocs, n);
	mag_slot_copy(objects, mag_magazine_round(slot->loaded, left), n);
	MAG_STORE(&slot->rounds, (uint32_t)left, MAG_RELAXED);
	mag_slot_leave(slot);
	return true;
}

/** mag_slot_put(), with the function for several nodes. */
MAG_INLINE bool
mag_slot_put_by(struct mag_slot *slot, void *const *objects, uint32_t n, mag_near_copy_fn *copy)
{
	int64_t visitor = mag_slot_enter_put(slot);
	int64_t rounds = MAG_LOAD(&slot->rounds, MAG_RELAXED), filled = rounds + n;
	int64_t room;

	MAG_COMPUTED(filled);
	room = (int64_t)MAG_LOAD(&slot->capacity, MAG_RELAXED) - filled - visitor;
	if (MAG_LIKELY(room >= 0)) {
		mag_slot_copy(mag_magazine_round(slot->loaded, rounds), objects, n);
	} else if (!mag_near_may_put(room) ||
		   !copy(slot->near, mag_magazine_round(slot->loaded, rounds), objects, n)) {
		mag_slot_leave(slot);
		return false;
	}
	/* release: should this thread be killed, what counts is there */
	MAG_STORE(&slot->rounds, (uint32_t)filled, MAG_RELEASE);
	mag_slot_leave(slot);
	return true;
}

/**
 * n objects into the loaded magazine; false, with nothing changed, if there is too little room or a
 * visitor. Of a cache with several nodes only one object, which is near: more are put below.
 */
MAG_INLINE bool
mag_slot_put(struct mag_slot *slot, void *const *objects, uint32_t n)
{
	return mag_slot_put_by(slot, objects, n, mag_near_copy_one);
}

static inline struct mag_cache *
mag_cache_create(const struct mag_cache_params *params)
{
	return mag_cache_create_with(params, MAG_LAYOUT);
}

static inline void *
mag_cache_alloc(struct mag_cache *cache)
{
	/* Two, so that the address of the first goes nowhere, and it stays in a register. */
	void *object, *slow;

	if (MAG_LIKELY(mag_slot_get(mag_slot_of(cache), &object, 1)))
		return object;
	return mag_cache_alloc_slow(cache, &slow, 1) == 1 ? slow : NULL;
}

static inline void
mag_cache_free(struct mag_cache *cache, void *object)
{
	void *slow;

	if (MAG_LIKELY(mag_slot_put(mag_slot_of_put(cache), &object, 1)))
		return;
	slow = object;
	mag_cache_free_slow(cache, &slow, 1);
}

static inline unsigned int
mag_cache_alloc_bulk(struct mag_cache *cache, void **objects, unsigned int n)
{
	if (MAG_LIKELY(mag_slot_get(mag_slot_of(cache), objects, n)))
		return n;
	return mag_cache_alloc_bulk_slow(cache, objects, n);
}

static inline unsigned int
mag_cache_alloc_burst(struct mag_cache *cache, void **objects, unsigned int n)
{
	if (MAG_LIKELY(mag_slot_get(mag_slot_of(cache), objects, n)))
		return n;
	return mag_cache_alloc_slow(cache, objects, n);
}

static inline void
mag_cache_free_bulk(struct mag_cache *cache, void *const *objects, unsigned int n)
{
	if (MAG_UNLIKELY(!mag_slot_put(mag_slot_of_put(cache), objects, n)))
		mag_cache_free_slow(cache, objects, n);
}

#ifdef __cplusplus
}
#endif
MAG_EXPORTED_END

#endif /* MAG_INLINE_H */
