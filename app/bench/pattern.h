/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_PATTERN_H
#define BENCH_PATTERN_H

#include "cell.h"

/* Each lcore for itself. */
void turn_getput(void *state, struct turn *turn);
void turn_hold(void *state, struct turn *turn);

/* From lcore to lcore. */
void *pass_begin(const struct cell *cell, char why[BENCH_WHY]);
void pass_end(void *shared);
void turn_pass(void *state, struct turn *turn);

/* Of figures. */
bool imbalance_figure(const struct cell *cell, const struct peer *peer, double figure[2],
		      char why[BENCH_WHY]);
extern const struct peer steal_peers[];
bool empty_figure(const struct cell *cell, const struct peer *peer, double figure[2],
		  char why[BENCH_WHY]);
bool steal_figure(const struct cell *cell, const struct peer *peer, double figure[2],
		  char why[BENCH_WHY]);

/* Contiguous blocks; the first peer is the base. */
extern const struct peer contig_peers[];
void *contig_make(const struct cell *cell, const struct peer *peer, char why[BENCH_WHY]);
void turn_contig(void *state, struct turn *turn);
void turn_contig_mixed(void *state, struct turn *turn);

/* Caches of the library beside other allocators; the first peer is the base. */
extern const struct peer library_peers[];
void *library_make(const struct cell *cell, const struct peer *peer, char why[BENCH_WHY]);
void turn_library(void *state, struct turn *turn);
uint64_t library_lost(void *state);
void library_drop(void *state);

#endif /* BENCH_PATTERN_H */
