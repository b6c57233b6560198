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

#endif /* BENCH_PATTERN_H */
