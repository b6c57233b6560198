/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The floor of handing objects from lcore to lcore: gets take the same few objects in a circle, and
 * puts do nothing. No handler gives a producer an object with less work, and hardly any reuses one
 * sooner: what was got is not got again before CIRCLE others. One lcore gets, and at most CIRCLE
 * objects are on their way. With a pool_config they are in an order in which no prefetcher finds
 * the next one; without, in that of their memory.
 */

#include <errno.h>

#include <rte_common.h>
#include <rte_malloc.h>
#include <rte_mempool.h>
#include <rte_random.h>

#include "slot/slot.h"

#define CIRCLE 2048u

struct circle {
	unsigned int count, at;
	bool shuffled;
	void *object[];
};

static int
circle_alloc(struct rte_mempool *mp)
{
	struct circle *circle = rte_zmalloc_socket(
		"circle", sizeof(*circle) + mp->size * sizeof(void *), 128, mp->socket_id);

	if (circle == NULL)
		return -ENOMEM;
	circle->shuffled = mp->pool_config != NULL;
	mp->pool_data = circle;
	return 0;
}

static void
circle_free(struct rte_mempool *mp)
{
	rte_free(mp->pool_data);
}

static int
circle_enqueue(struct rte_mempool *mp, void *const *objects, unsigned int n)
{
	struct circle *circle = mp->pool_data;
	unsigned int other;

	/* While the pool is made; later all are there already. */
	for (; n > 0 && circle->count < mp->size; n--) {
		other = circle->shuffled ? (unsigned int)rte_rand_max(circle->count + 1) :
					   circle->count;
		circle->object[circle->count++] = circle->object[other];
		circle->object[other] = *objects++;
	}
	return 0;
}

static int
circle_dequeue(struct rte_mempool *mp, void **objects, unsigned int n)
{
	struct circle *circle = mp->pool_data;

	if (unlikely(circle->at + n > RTE_MIN(circle->count, CIRCLE)))
		circle->at = 0;
	mag_slot_copy(objects, &circle->object[circle->at], n);
	circle->at += n;
	return 0;
}

static unsigned int
circle_get_count(const struct rte_mempool *mp)
{
	const struct circle *circle = mp->pool_data;

	return circle->count;
}

static const struct rte_mempool_ops ops = {
	.name = "circle",
	.alloc = circle_alloc,
	.free = circle_free,
	.enqueue = circle_enqueue,
	.dequeue = circle_dequeue,
	.get_count = circle_get_count,
};

RTE_MEMPOOL_REGISTER_OPS(ops)
