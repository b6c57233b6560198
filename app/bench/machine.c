/* SPDX-License-Identifier: BSD-3-Clause */

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>

#include <rte_common.h>
#include <rte_pause.h>

#include "cell.h"
#include "machine.h"
#include "team.h"

#define ROUNDS 25
#define TRANSFERS 4000
#define READS 40000
/* Two lines: the next one is often fetched with the first. */
#define STRIDE 128

const struct machine machines[MACHINES] = {
	{"machine/line-to-and-fro", 0},
	{"machine/read-256K", 256 << 10},
	{"machine/read-8M", 8 << 20},
	{"machine/read-256M", 256 << 20},
};

static char *memory;
static _Atomic unsigned int line __rte_cache_aligned;
static double result_ns[ROUNDS];

/* Not the TSC: there is no EAL here to tell its frequency. */
static double
now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* Even: the first one's turn; odd: the second one's. */
static void *
answer(void *arg)
{
	unsigned int i;

	for (i = 0; i < ROUNDS * TRANSFERS; i++) {
		while (atomic_load_explicit(&line, memory_order_acquire) != 2 * i + 1)
			rte_pause();
		atomic_store_explicit(&line, 2 * i + 2, memory_order_release);
	}
	return arg;
}

static void *
ask(void *arg)
{
	unsigned int round, i, at = 0;
	double start;

	for (round = 0; round < ROUNDS; round++) {
		start = now_ns();
		for (i = 0; i < TRANSFERS; i++, at += 2) {
			atomic_store_explicit(&line, at + 1, memory_order_release);
			while (atomic_load_explicit(&line, memory_order_acquire) != at + 2)
				rte_pause();
		}
		result_ns[round] = (now_ns() - start) / (2 * TRANSFERS);
	}
	return arg;
}

/* One cycle through all places, in an order that no prefetcher knows: Sattolo's shuffle. */
static void
link_places(size_t bytes)
{
	size_t count = bytes / STRIDE, i, j;
	uint64_t seed = 1;
	void *other;

	for (i = 0; i < count; i++)
		*(void **)(memory + i * STRIDE) = memory + i * STRIDE;
	for (i = count - 1; i > 0; i--) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		j = (seed >> 33) % i;
		other = *(void **)(memory + i * STRIDE);
		*(void **)(memory + i * STRIDE) = *(void **)(memory + j * STRIDE);
		*(void **)(memory + j * STRIDE) = other;
	}
}

static void *
read_places(void *arg)
{
	size_t bytes = ((const struct machine *)arg)->bytes;
	void *volatile keep;
	void **at = (void **)memory;
	unsigned int round, i;
	double start;

	link_places(bytes);
	for (i = 0; i < RTE_MIN(bytes / STRIDE, (size_t)READS); i++)
		at = *at;
	for (round = 0; round < ROUNDS; round++) {
		start = now_ns();
		for (i = 0; i < READS; i++)
			at = *at;
		result_ns[round] = (now_ns() - start) / READS;
	}
	keep = at;
	(void)keep;
	return arg;
}

enum bench_end
machine_setup(void *arg, char why[BENCH_WHY])
{
	const struct machine *machine = arg;
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE;

	if (machine->bytes == 0) {
		if (team_cpus() > 1)
			return BENCH_OK;
		snprintf(why, BENCH_WHY, "needs two CPUs");
		return BENCH_SKIPPED;
	}
	/* In hugepages, as pools are. */
	memory = mmap(NULL, RTE_ALIGN_CEIL(machine->bytes, (size_t)2 << 20), PROT_READ | PROT_WRITE,
		      flags | MAP_HUGETLB, -1, 0);
	if (memory != MAP_FAILED)
		return BENCH_OK;
	snprintf(why, BENCH_WHY, "cannot have %zu KB: reserve so much more hugepages",
		 machine->bytes >> 10);
	return BENCH_SKIPPED;
}

void
machine_run(void *arg, struct bench_result *result)
{
	const struct machine *machine = arg;
	void *(*const run[])(void *) = {machine->bytes == 0 ? ask : read_places, answer};
	pthread_t thread[RTE_DIM(run)];
	unsigned int i, count = machine->bytes == 0 ? 2 : 1;

	atomic_store(&line, 0);
	for (i = 0; i < count; i++)
		thread[i] = team_thread(i, run[i], arg);
	for (i = 0; i < count; i++)
		pthread_join(thread[i], NULL);
	result->seconds = cell_quantile(result_ns, ROUNDS, 0.5) / 1e9;
}

void
machine_teardown(void *arg)
{
	const struct machine *machine = arg;

	if (machine->bytes != 0)
		munmap(memory, RTE_ALIGN_CEIL(machine->bytes, (size_t)2 << 20));
}
