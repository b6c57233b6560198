/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Each lcore gets and puts for itself: one bulk, or many of them before any is put.
 */

#include <rte_atomic.h>

#include "pattern.h"
#include "pool.h"

/* Bulks between two looks at the clock; with preempted lcores one may take a time slice. */
#define BATCH 64
#define BATCH_OVERCOMMITTED 8

/*
 * A packet processor does something between a get and a put: the compiler is not to fuse them, nor
 * a get with the next.
 */
#define APART() rte_compiler_barrier()

static __rte_always_inline void
getput(struct rte_mempool *mp, struct turn *turn, bool variable)
{
	unsigned int batch = turn->cell->overcommitted ? BATCH_OVERCOMMITTED : BATCH;
	unsigned int n = turn->cell->bulk, i;

	while (turn->moved < turn->quota && !turn_late(turn)) {
		for (i = 0; i < batch; i++) {
			if (variable)
				n = turn_bulk(turn);
			if (unlikely(rte_mempool_get_bulk(mp, turn->objects, n) != 0)) {
				turn->failed++;
				continue;
			}
			APART();
			rte_mempool_put_bulk(mp, turn->objects, n);
			APART();
			turn->moved += n;
		}
	}
}

void
turn_getput(void *state, struct turn *turn)
{
	if (turn->cell->variable)
		getput(state, turn, true);
	else
		getput(state, turn, false);
}

static __rte_always_inline void
hold(struct rte_mempool *mp, struct turn *turn, bool variable)
{
	unsigned int hold = turn->cell->pattern->hold, n = turn->cell->bulk, at, put, bulks = 0;

	while (turn->moved < turn->quota && !turn_late(turn)) {
		for (at = 0; at < hold; at += n) {
			if (turn->cell->overcommitted && ++bulks % BATCH_OVERCOMMITTED == 0 &&
			    turn_late(turn))
				break;
			if (variable)
				n = turn_bulk(turn);
			if (unlikely(rte_mempool_get_bulk(mp, turn->objects + at, n) != 0)) {
				turn->failed++;
				break;
			}
			APART();
		}
		turn->moved += at;
		for (put = 0; put < at; put += n) {
			if (variable)
				n = turn_bulk(turn);
			n = RTE_MIN(n, at - put);
			rte_mempool_put_bulk(mp, turn->objects + put, n);
			APART();
		}
		n = turn->cell->bulk;
	}
}

void
turn_hold(void *state, struct turn *turn)
{
	if (turn->cell->variable)
		hold(state, turn, true);
	else
		hold(state, turn, false);
}
