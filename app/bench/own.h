/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_OWN_H
#define BENCH_OWN_H

/*
 * Each lcore gets and puts for itself: one bulk, or many of them before any is put. Made once for
 * rte_mempool's functions (pattern_hold.c) and once for those of rte_mempool_magazine_inline.h
 * (inlined.c): get and put are inlined.
 */

#include <rte_atomic.h>
#include <rte_mempool.h>

#include "cell.h"

typedef int own_get(struct rte_mempool *mp, void **objects, unsigned int n);
typedef void own_put(struct rte_mempool *mp, void *const *objects, unsigned int n);

/* Bulks between two looks at the clock; with preempted lcores one may take a time slice. */
#define BATCH 64
#define BATCH_OVERCOMMITTED 8

/*
 * A packet processor does something between a get and a put: the compiler is not to fuse them, nor
 * a get with the next.
 */
#define APART() rte_compiler_barrier()

static __rte_always_inline void
own_getput_by(struct rte_mempool *mp, struct turn *turn, bool variable, own_get *get, own_put *put)
{
	unsigned int batch = turn->cell->overcommitted ? BATCH_OVERCOMMITTED : BATCH;
	unsigned int n = turn->cell->bulk, i;

	while (turn->moved < turn->quota && !turn_late(turn)) {
		for (i = 0; i < batch; i++) {
			if (variable)
				n = turn_bulk(turn);
			if (unlikely(get(mp, turn->objects, n) != 0)) {
				turn->failed++;
				continue;
			}
			APART();
			put(mp, turn->objects, n);
			APART();
			turn->moved += n;
		}
	}
}

static __rte_always_inline void
own_hold_by(struct rte_mempool *mp, struct turn *turn, bool variable, own_get *get, own_put *put)
{
	unsigned int hold = turn->cell->pattern->hold, n = turn->cell->bulk, at, back, bulks = 0;

	while (turn->moved < turn->quota && !turn_late(turn)) {
		for (at = 0; at < hold; at += n) {
			if (turn->cell->overcommitted && ++bulks % BATCH_OVERCOMMITTED == 0 &&
			    turn_late(turn))
				break;
			if (variable)
				n = turn_bulk(turn);
			if (unlikely(get(mp, turn->objects + at, n) != 0)) {
				turn->failed++;
				break;
			}
			APART();
		}
		turn->moved += at;
		for (back = 0; back < at; back += n) {
			if (variable)
				n = turn_bulk(turn);
			n = RTE_MIN(n, at - back);
			put(mp, turn->objects + back, n);
			APART();
		}
		n = turn->cell->bulk;
	}
}

/* Bulks of one size have a loop of their own. */

static __rte_always_inline void
own_getput(struct rte_mempool *mp, struct turn *turn, own_get *get, own_put *put)
{
	if (turn->cell->variable)
		own_getput_by(mp, turn, true, get, put);
	else
		own_getput_by(mp, turn, false, get, put);
}

static __rte_always_inline void
own_hold(struct rte_mempool *mp, struct turn *turn, own_get *get, own_put *put)
{
	if (turn->cell->variable)
		own_hold_by(mp, turn, true, get, put);
	else
		own_hold_by(mp, turn, false, get, put);
}

#endif /* BENCH_OWN_H */
