/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The floor of the mempool ops interface: a handler that only copies pointers, to and from one
 * array per pool. It knows no lcores and no threads: one lcore may use it. What any handler
 * costs beyond this one is what it costs to be correct.
 *
 * A plugin like every other handler, and with magazine's own copy kernel: so the two differ in
 * nothing but what is measured.
 */

#include <errno.h>

#include <rte_malloc.h>
#include <rte_mempool.h>

#include "slot/slot.h"

struct floor {
	unsigned int count;
	void *object[];
};

static int
floor_alloc(struct rte_mempool *mp)
{
	mp->pool_data = rte_zmalloc_socket(
		"floor", sizeof(struct floor) + mp->size * sizeof(void *), 128, mp->socket_id);
	return mp->pool_data != NULL ? 0 : -ENOMEM;
}

static void
floor_free(struct rte_mempool *mp)
{
	rte_free(mp->pool_data);
}

MAG_INLINE int
enqueue(struct rte_mempool *mp, void *const *objects, unsigned int n)
{
	struct floor *floor = mp->pool_data;

	if (n == 1)
		floor->object[floor->count] = *objects;
	else
		mag_slot_copy(&floor->object[floor->count], objects, n);
	floor->count += n;
	return 0;
}

MAG_INLINE int
dequeue(struct rte_mempool *mp, void **objects, unsigned int n)
{
	struct floor *floor = mp->pool_data;

	if (unlikely(floor->count < n))
		return -ENOBUFS;
	floor->count -= n;
	if (n == 1)
		*objects = floor->object[floor->count];
	else
		mag_slot_copy(objects, &floor->object[floor->count], n);
	return 0;
}

static int
floor_enqueue(struct rte_mempool *mp, void *const *objects, unsigned int n)
{
	return enqueue(mp, objects, n);
}

MAG_WIDE static int
floor_enqueue_wide(struct rte_mempool *mp, void *const *objects, unsigned int n)
{
	return enqueue(mp, objects, n);
}

static int
floor_dequeue(struct rte_mempool *mp, void **objects, unsigned int n)
{
	return dequeue(mp, objects, n);
}

MAG_WIDE static int
floor_dequeue_wide(struct rte_mempool *mp, void **objects, unsigned int n)
{
	return dequeue(mp, objects, n);
}

static unsigned int
floor_get_count(const struct rte_mempool *mp)
{
	const struct floor *floor = mp->pool_data;

	return floor->count;
}

static struct rte_mempool_ops ops = {
	.name = "floor",
	.alloc = floor_alloc,
	.free = floor_free,
	.enqueue = floor_enqueue,
	.dequeue = floor_dequeue,
	.get_count = floor_get_count,
};

RTE_INIT(floor_register)
{
	if (MAG_CPU_IS_WIDE()) {
		ops.enqueue = floor_enqueue_wide;
		ops.dequeue = floor_dequeue_wide;
	}
	rte_mempool_register_ops(&ops);
}
