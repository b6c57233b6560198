/* SPDX-License-Identifier: BSD-3-Clause */
#include <rte_common.h>
#include <rte_mempool.h>

#include "mag_cache.h"
#include "path.h"
#include "slot/pair.h"

typedef int put_fn(struct rte_mempool *mp, void *const *objects, unsigned int n);
typedef int get_fn(struct rte_mempool *mp, void **objects, unsigned int n);

MAG_INLINE int
put_both(struct rte_mempool *mp, void *const *objects, unsigned int n)
{
	if (mag_slot_put_both(mag_slot_of(mp->pool_data), objects, n))
		return 0;
	return magazine_enqueue_slow(mp, objects, n);
}

/* both: a call, so that nothing of it is prepared here. */
MAG_INLINE int
put(struct rte_mempool *mp, void *const *objects, unsigned int n, put_fn *both)
{
	struct mag_slot *slot = mag_slot_of(mp->pool_data);

	/* One object by itself: nothing is left of the copy's loop. */
	if (n == 1 ? likely(mag_slot_put(slot, objects, 1)) :
		     likely(mag_slot_put(slot, objects, n)))
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
	return put(mp, objects, n, enqueue_both);
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
	return put(mp, objects, n, enqueue_both_wide);
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
