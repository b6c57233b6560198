/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * One lcore's demand swings while the others are idle, and each lcore has that part in turn. What an
 * idle lcore keeps in its cache is missing elsewhere: the pool must be so much larger.
 */

#include <stdatomic.h>
#include <stdio.h>

#include "pattern.h"
#include "pool.h"

/* Each lcore has the part so often, and swings so often each time. */
#define PARTS 3
#define SWINGS 4
#define OBJECTS_MAX (1u << 20)
/* The answer is this exact: one in so many. */
#define EXACT 128

struct swing {
	struct rte_mempool *mp;
	const struct cell *cell;
	_Atomic unsigned int failed;
};

static void
swing_once(struct swing *swing, void **objects)
{
	unsigned int hold = swing->cell->pattern->hold, bulk = swing->cell->bulk, got, put, n;

	for (got = 0; got < hold; got += n) {
		n = RTE_MIN(bulk, hold - got);
		if (rte_mempool_get_bulk(swing->mp, objects + got, n) == 0)
			continue;
		atomic_fetch_add_explicit(&swing->failed, 1, memory_order_relaxed);
		break;
	}
	for (put = 0; put < got; put += n) {
		n = RTE_MIN(bulk, got - put);
		rte_mempool_put_bulk(swing->mp, objects + put, n);
	}
}

static void
swing_member(unsigned int member, void *arg)
{
	static _Thread_local void *objects[4096];
	struct swing *swing = arg;
	struct cell *cell = (struct cell *)(uintptr_t)swing->cell;
	unsigned int part, i;

	for (part = 0; part < PARTS * cell->lcores; part++) {
		for (i = 0; i < SWINGS && part % cell->lcores == member; i++)
			swing_once(swing, objects);
		team_meet(&cell->team);
	}
}

/* Do so many objects suffice? -1: cannot tell, and why. */
static int
suffice(const struct cell *cell, const struct peer *peer, unsigned int objects, char why[BENCH_WHY])
{
	struct swing swing = {.cell = cell};

	swing.mp = pool_make_sized(peer, objects, cell->pattern->object_size, why);
	if (swing.mp == NULL)
		return -1;
	if (team_run((struct team *)(uintptr_t)&cell->team, swing_member, &swing) < 0) {
		snprintf(why, BENCH_WHY, "cannot launch on the lcores");
		swing.failed = 0;
		rte_mempool_free(swing.mp);
		return -1;
	}
	rte_mempool_free(swing.mp);
	return swing.failed == 0;
}

bool
imbalance_figure(const struct cell *cell, const struct peer *peer, double *figure,
		 char why[BENCH_WHY])
{
	/* No smaller pool may have such a cache. */
	unsigned int least = RTE_MAX(cell->pattern->hold, peer->cache * 3 / 2);
	unsigned int low = least - 1, high = least, middle;
	int enough;

	while ((enough = suffice(cell, peer, high, why)) == 0) {
		low = high;
		high *= 2;
		if (high <= OBJECTS_MAX)
			continue;
		snprintf(why, BENCH_WHY, "%u objects do not suffice", low);
		return false;
	}
	while (enough >= 0 && high - low > 1 + high / EXACT) {
		middle = low + (high - low) / 2;
		enough = suffice(cell, peer, middle, why);
		if (enough > 0)
			high = middle;
		else
			low = middle;
	}
	*figure = high;
	return enough >= 0;
}
