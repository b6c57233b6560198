/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

/*
 * The process that measures some peers of a cell, and what it shares with the one that waits for
 * it.
 */

#include <limits.h>

#include <rte_bitops.h>

#include "cell.h"

/** Lies in memory that both processes see; written by the one that measures. */
struct share {
	_Atomic unsigned int beat; /**< grows while it lives */
	_Atomic unsigned int peer; /**< at work */
	_Atomic unsigned int round, rounds;
	char prefix[64];        /**< of EAL's files; set before the process is made */
	char runtime[PATH_MAX]; /**< EAL's folder; the same, until EAL itself tells it */
	struct cell_found found[CELL_PEERS_MAX];
};

/**
 * Measure the peers of a cell whose bit is set, the base among them; for a process of its own,
 * which is to end then. Found are only those that share->found says something of.
 */
void measure(struct cell *cell, uint32_t peers, struct share *share);

#endif /* BENCH_MEASURE_H */
