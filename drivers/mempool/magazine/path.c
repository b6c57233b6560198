/* SPDX-License-Identifier: BSD-3-Clause */
#include <rte_common.h>
#include <rte_mempool.h>

#include "mag_cache.h"
#include "path.h"
#include "slot/pair.h"

/*
 * Bursts of whole eights to several nodes, in the form for this CPU; others are put below. The
 * loops are those of the plain copy with two operations more for each register.
 */

typedef uint64_t two MAG_VECTOR(2 * sizeof(uint64_t));

MAG_INLINE two
copy_two(const struct mag_near *near, void **to, void *const *from)
{
	two base = {mag_near_word(near->base), mag_near_word(near->base)}, at;

	MAG_COPY(&at, from, sizeof(at));
	MAG_COPY(to, &at, sizeof(at));
	return at - base;
}

MAG_INLINE bool
copy_near(const struct mag_near *near, void **to, void *const *from, uint32_t n)
{
	two at = {0, 0};

	if ((n & 7) != 0)
		return false;
	for (; n > 0; n -= 8, to += 8, from += 8) {
		at |= copy_two(near, to, from) | copy_two(near, to + 2, from + 2);
		at |= copy_two(near, to + 4, from + 4) | copy_two(near, to + 6, from + 6);
	}
	return ((at[0] | at[1]) & mag_near_word(near->above)) == 0;
}

/* ThreadSanitizer is told of each word. */
#if defined(MAG_WIDE_HAS) && !defined(MAG_TSAN)
typedef uint64_t four MAG_VECTOR(4 * sizeof(uint64_t));

#define COPY_FOUR(index)                                                                           \
	do {                                                                                       \
		MAG_COPY(&at, from + (index), sizeof(at));                                         \
		MAG_COPY(to + (index), &at, sizeof(at));                                           \
		all |= at - base;                                                                  \
	} while (0)

MAG_WIDE MAG_INLINE bool
copy_near_wide(const struct mag_near *near, void **to, void *const *from, uint32_t n)
{
	four base, above, at, all = {0, 0, 0, 0};

	MAG_COPY(&base, near->base, sizeof(base));
	if (unlikely((n & 15) != 0)) {
		if ((n & 7) != 0)
			return false;
		COPY_FOUR(0);
		COPY_FOUR(4);
		to += 8;
		from += 8;
		n -= 8;
	}
	for (; n > 0; n -= 16, to += 16, from += 16) {
		MAG_COMPUTED(n);
		COPY_FOUR(0);
		COPY_FOUR(4);
		COPY_FOUR(8);
		COPY_FOUR(12);
	}
	MAG_COPY(&above, near->above, sizeof(above));
	return !MAG_WIDE_HAS(all, above);
}
#else
#define copy_near_wide copy_near
#endif

typedef int put_fn(struct rte_mempool *mp, void *const *objects, unsigned int n);
typedef int get_fn(struct rte_mempool *mp, void **objects, unsigned int n);

MAG_INLINE int
put_both(struct rte_mempool *mp, void *const *objects, unsigned int n)
{
	if (mag_slot_put_both(mag_slot_of_put(mp->pool_data), objects, n))
		return 0;
	return magazine_enqueue_slow(mp, objects, n);
}

/* both: a call, so that nothing of it is prepared here. */
MAG_INLINE int
put(struct rte_mempool *mp, void *const *objects, unsigned int n, mag_near_copy_fn *near,
    put_fn *both)
{
	struct mag_slot *slot = mag_slot_of_put(mp->pool_data);

	/* One object by itself: nothing is left of the copy's loop. */
	if (n == 1 ? likely(mag_slot_put(slot, objects, 1)) :
		     likely(mag_slot_put_by(slot, objects, n, near)))
		return 0;
	return both(mp, objects, n);
}

MAG_INLINE int
get_both(struct rte_mempool *mp, void **objects, unsigned int n)
{
	if (mag_slot_get_both(mag_slot_of(mp->pool_data), objects, n))
		return 0;
	return magazine_dequeue_slow(mp, objects, n);
}

MAG_INLINE int
get(struct rte_mempool *mp, void **objects, unsigned int n, get_fn *both)
{
	struct mag_slot *slot = mag_slot_of(mp->pool_data);

	if (n == 1 ? likely(mag_slot_get(slot, objects, 1)) :
		     likely(mag_slot_get(slot, objects, n)))
		return 0;
	return both(mp, objects, n);
}

static __rte_noinline int
enqueue_both(struct rte_mempool *mp, void *const *objects, unsigned int n)
{
	return put_both(mp, objects, n);
}

static int
enqueue(struct rte_mempool *mp, void *const *objects, unsigned int n)
{
	return put(mp, objects, n, copy_near, enqueue_both);
}

static __rte_noinline int
dequeue_both(struct rte_mempool *mp, void **objects, unsigned int n)
{
	return get_both(mp, objects, n);
}

static int
dequeue(struct rte_mempool *mp, void **objects, unsigned int n)
{
	return get(mp, objects, n, dequeue_both);
}

MAG_WIDE static __rte_noinline int
enqueue_both_wide(struct rte_mempool *mp, void *const *objects, unsigned int n)
{
	return put_both(mp, objects, n);
}

MAG_WIDE static int
enqueue_wide(struct rte_mempool *mp, void *const *objects, unsigned int n)
{
	return put(mp, objects, n, copy_near_wide, enqueue_both_wide);
}

MAG_WIDE static __rte_noinline int
dequeue_both_wide(struct rte_mempool *mp, void **objects, unsigned int n)
{
	return get_both(mp, objects, n);
}

MAG_WIDE static int
dequeue_wide(struct rte_mempool *mp, void **objects, unsigned int n)
{
	return get(mp, objects, n, dequeue_both_wide);
}

void
magazine_path_init(struct rte_mempool_ops *ops)
{
	bool wide = MAG_CPU_IS_WIDE();

	ops->enqueue = wide ? enqueue_wide : enqueue;
	ops->dequeue = wide ? dequeue_wide : dequeue;
}
