/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_ROWS_H
#define BENCH_ROWS_H

/*
 * Which patterns are measured, with which bulks, on how many lcores; each peer in a row of its own.
 */

#include <stdbool.h>
#include <stddef.h>

#include "bench.h"

/** Is the row of this name asked for? */
typedef bool (*rows_wanted)(const char *name);

/**
 * Make the rows that are wanted; cell_setup says how many there are to choose from.
 *
 * @return
 *   How many there are.
 */
size_t rows_make(rows_wanted wanted, struct bench **table);

#endif /* BENCH_ROWS_H */
