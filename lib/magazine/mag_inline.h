/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_INLINE_H
#define MAG_INLINE_H

/**
 * @file
 * The fast paths of mag_cache.h, which includes this. What it shows of caches and slots is not for users.
 *
 * The library has these functions too, for callers that take their addresses and for other languages.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* gcc says it in one way, clang in the other. */
#if defined(__SANITIZE_THREAD__)
#define MAG_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define MAG_TSAN 1
#endif
#endif

#ifdef __cplusplus
extern "C" {
/** Offset in bytes of this thread's slot in an array of slots. */
extern __thread size_t mag_lcore_offset __attribute__((tls_model("initial-exec")));
#else
extern _Thread_local size_t mag_lcore_offset __attribute__((tls_model("initial-exec")));
#endif

struct mag_cache;

/** A magazine: the objects are at the lower end of it. */
struct mag_rounds {
	void *header[2]; /**< the library's */
	void *round[];
};

/** What one lcore has of a cache: the part that its owner's fast path looks at. */
struct mag_slot {
	uint32_t visitor; /**< not 0: others want the slot */
	uint32_t reserved[15];
	uint32_t busy; /**< the owner is inside */
	uint32_t rounds;
	uint32_t capacity;
	uint32_t previous_rounds;
	struct mag_rounds *loaded;
	struct mag_rounds *previous;
	uint64_t allocs;
};

/** What a cache begins with. */
struct mag_cache_head {
	struct mag_slot *slots;
};

/** What the fast path could not serve: as mag_cache_alloc_bulk() and mag_cache_free_bulk(). */
unsigned int mag_cache_alloc_slow(struct mag_cache *cache, void **objects, unsigned int n);
/** The same for frees. Called with the slot left. */
void mag_cache_free_slow(struct mag_cache *cache, void *const *objects, unsigned int n);

/** Enter this thread's slot: the visitor word, with a busy that mag_slot_leave() takes back. */
inline int64_t
mag_slot_enter(struct mag_slot *slot)
{
	__atomic_store_n(&slot->busy, 1, __ATOMIC_RELAXED);
	/* The visitor's membarrier is the other half of this fence. */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	/* acquire: pairs with the visitor's release when it goes */
	return __atomic_load_n(&slot->visitor, __ATOMIC_ACQUIRE);
}

/** Leave it: visitors may come in again, and see what was done. */
inline void
mag_slot_leave(struct mag_slot *slot)
{
	/* release: pairs with the visitor's acquire when it comes */
	__atomic_store_n(&slot->busy, 0, __ATOMIC_RELEASE);
}

/** This thread's slot of a cache; the shared one, which always has a visitor, when it owns none. */
inline struct mag_slot *
mag_slot_of(struct mag_cache *cache)
{
	return (struct mag_slot *)(void *)((char *)((struct mag_cache_head *)(void *)cache)->slots +
					   mag_lcore_offset);
}

/** One writer, read by others; as a plain addition one instruction. */
inline void
mag_slot_count(uint64_t *counter, uint64_t n)
{
#ifdef MAG_TSAN
	__atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
#else
	*counter += n;
#endif
}

/** Copy n pointers: bursts are eights, and no call. */
inline void
mag_pointers_copy(void **to, void *const *from, unsigned int n)
{
	for (; n >= 8; n -= 8, to += 8, from += 8)
		__builtin_memcpy(to, from, 8 * sizeof(void *));
	for (; n > 0; n--)
		*to++ = *from++;
}

inline void *
mag_cache_alloc(struct mag_cache *cache)
{
	struct mag_slot *slot = mag_slot_of(cache);
	int64_t visitor = mag_slot_enter(slot);
	int64_t left = (int64_t)__atomic_load_n(&slot->rounds, __ATOMIC_RELAXED) - 1;
	void *object;

	/* No rounds, or a visitor: 0 <= left holds only without one. */
	if (__builtin_expect(left < visitor, 0)) {
		mag_slot_leave(slot);
		return mag_cache_alloc_slow(cache, &object, 1) == 1 ? object : NULL;
	}
	mag_slot_count(&slot->allocs, 1);
	object = slot->loaded->round[left];
	__atomic_store_n(&slot->rounds, (uint32_t)left, __ATOMIC_RELAXED);
	mag_slot_leave(slot);
	return object;
}

inline void
mag_cache_free(struct mag_cache *cache, void *object)
{
	struct mag_slot *slot = mag_slot_of(cache);
	int64_t visitor = mag_slot_enter(slot);
	int64_t rounds = __atomic_load_n(&slot->rounds, __ATOMIC_RELAXED);
	int64_t room = (int64_t)__atomic_load_n(&slot->capacity, __ATOMIC_RELAXED) - rounds;

	if (__builtin_expect(room - 1 < visitor, 0)) {
		mag_slot_leave(slot);
		mag_cache_free_slow(cache, &object, 1);
		return;
	}
	slot->loaded->round[rounds] = object;
	__atomic_store_n(&slot->rounds, (uint32_t)rounds + 1, __ATOMIC_RELAXED);
	mag_slot_leave(slot);
}

inline unsigned int
mag_cache_alloc_bulk(struct mag_cache *cache, void **objects, unsigned int n)
{
	struct mag_slot *slot = mag_slot_of(cache);
	int64_t visitor = mag_slot_enter(slot);
	int64_t left = (int64_t)__atomic_load_n(&slot->rounds, __ATOMIC_RELAXED) - n;

	if (__builtin_expect(left < visitor || n == 0, 0)) {
		mag_slot_leave(slot);
		return mag_cache_alloc_slow(cache, objects, n);
	}
	mag_slot_count(&slot->allocs, n);
	mag_pointers_copy(objects, &slot->loaded->round[left], n);
	__atomic_store_n(&slot->rounds, (uint32_t)left, __ATOMIC_RELAXED);
	mag_slot_leave(slot);
	return n;
}

inline void
mag_cache_free_bulk(struct mag_cache *cache, void *const *objects, unsigned int n)
{
	struct mag_slot *slot = mag_slot_of(cache);
	int64_t visitor = mag_slot_enter(slot);
	int64_t rounds = __atomic_load_n(&slot->rounds, __ATOMIC_RELAXED);
	int64_t room = (int64_t)__atomic_load_n(&slot->capacity, __ATOMIC_RELAXED) - rounds;

	if (__builtin_expect(room - n < visitor || n == 0, 0)) {
		mag_slot_leave(slot);
		mag_cache_free_slow(cache, objects, n);
		return;
	}
	mag_pointers_copy(&slot->loaded->round[rounds], objects, n);
	__atomic_store_n(&slot->rounds, (uint32_t)rounds + n, __ATOMIC_RELAXED);
	mag_slot_leave(slot);
}

#ifdef __cplusplus
}
#endif

#endif /* MAG_INLINE_H */
