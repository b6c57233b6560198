/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A handler by the name of magazine for one lcore, with the fault that BAD_HANDLER in the
 * environment names: "lose" an object in 1000 puts, "crash", or "hang" in one of them.
 */

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <rte_mempool.h>
#include <rte_pause.h>

#define PUTS_UNTIL 1000

static unsigned int puts_done;

static int
bad_alloc(struct rte_mempool *mp)
{
	mp->pool_data = calloc(mp->size + 1, sizeof(void *));
	return mp->pool_data != NULL ? 0 : -ENOMEM;
}

static void
bad_free(struct rte_mempool *mp)
{
	free(mp->pool_data);
}

/* The first of the array is the count. */
static int
bad_enqueue(struct rte_mempool *mp, void *const *objects, unsigned int n)
{
	const char *fault = getenv("BAD_HANDLER");
	uintptr_t *array = mp->pool_data;

	if (fault != NULL && ++puts_done % PUTS_UNTIL == 0) {
		if (strcmp(fault, "crash") == 0)
			abort();
		while (strcmp(fault, "hang") == 0)
			rte_pause();
		if (strcmp(fault, "lose") == 0)
			n--;
	}
	memcpy(&array[1 + array[0]], objects, n * sizeof(*objects));
	array[0] += n;
	return 0;
}

static int
bad_dequeue(struct rte_mempool *mp, void **objects, unsigned int n)
{
	uintptr_t *array = mp->pool_data;

	if (array[0] < n)
		return -ENOBUFS;
	array[0] -= n;
	memcpy(objects, &array[1 + array[0]], n * sizeof(*objects));
	return 0;
}

static unsigned int
bad_get_count(const struct rte_mempool *mp)
{
	return *(const uintptr_t *)mp->pool_data;
}

static const struct rte_mempool_ops ops = {
	.name = "magazine",
	.alloc = bad_alloc,
	.free = bad_free,
	.enqueue = bad_enqueue,
	.dequeue = bad_dequeue,
	.get_count = bad_get_count,
};

RTE_MEMPOOL_REGISTER_OPS(ops);
