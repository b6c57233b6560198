/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * One lcore's demand swings while the others are idle, and each lcore has that part in turn. What
 * an idle lcore keeps in its cache is missing elsewhere: the pool must be so much larger.
 *
 * A larger pool is not always a better one: what caches strand depends on how the numbers divide.
 * The answer is the size from which on no larger one fails.
 */

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
	unsigned int least; /* objects that an lcore could have; written by the one that swings */
};

static void
swing_once(struct swing *swing, void **objects)
{
	unsigned int hold = swing->cell->pattern->hold, bulk = swing->cell->bulk, got, put, n;

	for (got = 0; got < hold; got += n) {
		n = RTE_MIN(bulk, hold - got);
		if (rte_mempool_get_bulk(swing->mp, objects + got, n) == 0)
			continue;
		swing->least = RTE_MIN(swing->least, got);
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

/* Do so many objects suffice? If not, why says what was missing. -1: cannot tell, and why. */
static int
suffice(const struct cell *cell, const struct peer *peer, unsigned int objects, char why[BENCH_WHY])
{
	unsigned int hold = cell->pattern->hold;
	struct swing swing = {.cell = cell, .least = hold};
	int ret;

	swing.mp = pool_make_sized(peer, objects, cell->pattern->object_size, why);
	if (swing.mp == NULL)
		return -1;
	ret = team_run((struct team *)(uintptr_t)&cell->team, swing_member, &swing);
	rte_mempool_free(swing.mp);
	if (ret < 0) {
		snprintf(why, BENCH_WHY, "cannot launch on the lcores");
		return -1;
	}
	if (swing.least < hold)
		snprintf(why, BENCH_WHY, "an lcore gets only %u of %u objects from a pool of %u",
			 swing.least, hold, objects);
	return swing.least == hold;
}

/* Of those up to twice the largest that fails. */
static int
find_last_failing(const struct cell *cell, const struct peer *peer, unsigned int *last,
		  char why[BENCH_WHY])
{
	unsigned int objects;
	int enough = 1;

	for (objects = *last + 1; enough >= 0 && objects <= 2 * *last;
	     objects += 1 + objects / EXACT) {
		enough = suffice(cell, peer, objects, why);
		if (enough == 0)
			*last = objects;
	}
	return enough;
}

bool
imbalance_figure(const struct cell *cell, const struct peer *peer, double figure[2],
		 char why[BENCH_WHY])
{
	/* No smaller pool may have such a cache. */
	unsigned int least = RTE_MAX(cell->pattern->hold, peer->cache * 3 / 2);
	unsigned int low = least - 1, high = least, middle, last;
	int enough;

	while ((enough = suffice(cell, peer, high, why)) == 0) {
		low = high;
		high *= 2;
		if (high > OBJECTS_MAX)
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
	last = low;
	if (enough >= 0)
		enough = find_last_failing(cell, peer, &last, why);
	figure[0] = last == low ? high : last + 1 + last / EXACT;
	return enough >= 0;
}
