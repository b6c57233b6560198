/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_H
#define BENCH_H

/*
 * A table of benchmarks, in C, and the one function that hands it to Google Benchmark.
 */

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BENCH_WHY 256
#define BENCH_COUNTERS 16

/** How a step of a benchmark ended. */
enum bench_end {
	BENCH_OK,
	BENCH_SKIPPED, /**< it cannot run here; the reason is in its row */
	BENCH_FAILED,  /**< it ran and was wrong; the program's exit status tells it too */
};

struct bench_counter {
	const char *name;
	double value;
};

/** What one repetition of a benchmark found. */
struct bench_result {
	double seconds; /**< per object */
	struct bench_counter counter[BENCH_COUNTERS];
	unsigned int counters;
	char label[BENCH_WHY];
};

struct bench {
	const char *name;
	void *arg; /**< for the three below */
	/** Once a repetition, before run. Says why when it does not return BENCH_OK. */
	enum bench_end (*setup)(void *arg, char why[BENCH_WHY]);
	void (*run)(void *arg, struct bench_result *result);
	void (*teardown)(void *arg);
};

/**
 * Register the benchmarks of a table and run those that the command line asks for.
 *
 * @param argc, argv
 *   Google Benchmark's options only; --benchmark_filter and --benchmark_min_time among them are
 *   left to the caller.
 * @return
 *   What main() returns: 0, or 1 if an option is not known or a benchmark failed.
 */
int bench_main(int argc, char **argv, const struct bench *table, size_t count);

#ifdef __cplusplus
}
#endif

#endif /* BENCH_H */
