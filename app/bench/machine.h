/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_MACHINE_H
#define BENCH_MACHINE_H

/*
 * What this machine's memory costs, for reading the other rows: objects that pass from lcore to
 * lcore cost transfers between cores when the pool hands out the ones used last, and reads of
 * memory when it hands out the ones unused for longest.
 */

#include "bench.h"

struct machine {
	const char *name;
	size_t bytes; /**< to read at random; 0: one line, to hand to and fro between two CPUs */
};

#define MACHINES 4
extern const struct machine machines[MACHINES];

/** For struct bench: needs two CPUs for a transfer, and memory. */
enum bench_end machine_setup(void *machine, char why[BENCH_WHY]);
void machine_run(void *machine, struct bench_result *result);
void machine_teardown(void *machine);

#endif /* BENCH_MACHINE_H */
