/* SPDX-License-Identifier: BSD-3-Clause */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine.h"
#include "pattern.h"
#include "pool.h"
#include "rows.h"

#define MBUF_SIZE 2176
/* What is touched of an mbuf: so all peers' pools are there at once. */
#define PART_SIZE 448
#define MANY ((256 << 10) - 1)
#define LIST 12

/* clang-format off */
/* Each lcore for itself, nothing touched: what an object's size is does not matter. */
#define OWN(label, text, fn, held, size) \
	{.name = label, .help = text, .peers = own_peers, .base = POOL_BASE, .hold = held, \
	 .object_size = size, .make = pool_make, .turn = fn, .update = pool_update, \
	 .lost = pool_lost, .drop = pool_drop}
#define PASS(label, text, all, count, size, touch, aged, many) \
	{.name = label, .help = text, .peers = all, .base = POOL_BASE, .objects = count, \
	 .object_size = size, .touched = touch, .old = aged, .waits = true, .many_produce = many, \
	 .begin = pass_begin, .end = pass_end, .make = pool_make, .turn = turn_pass, \
	 .update = pool_update, .lost = pool_lost, .drop = pool_drop}

static const struct pattern getput =
	OWN("getput", "a bulk is got and put", turn_getput, 0, MBUF_SIZE);
static const struct pattern holds[] = {
	OWN("hold-32", "32 objects are got, then put", turn_hold, 32, MBUF_SIZE),
	OWN("hold-256", "256 objects", turn_hold, 256, MBUF_SIZE),
	OWN("hold-512", "512 objects", turn_hold, 512, MBUF_SIZE),
	OWN("hold-1024", "1024 objects", turn_hold, 1024, MBUF_SIZE),
	OWN("hold-4096", "4096 objects", turn_hold, 4096, 192),
	OWN("hold-32768", "32768 objects", turn_hold, 32768, 192),
};
static const struct pattern passes[] = {
	PASS("pipe-8k", "one lcore gets, another puts: of 8 K mbufs", pipe_peers, 8191, MBUF_SIZE,
	     false, false, false),
	PASS("pipe-8k-touched", "the same, header and payload written and read", pipe_peers, 8191,
	     MBUF_SIZE, true, true, false),
	PASS("pipe-256k", "of 256 K mbufs", pipe_peers, MANY, PART_SIZE, false, false, false),
	PASS("pipe-256k-touched", "of 256 K mbufs, written and read", pipe_peers, MANY, PART_SIZE,
	     true, true, false),
	PASS("pipe-256k-touched-new", "the same, of a pool still in the order of its memory",
	     pipe_peers, MANY, PART_SIZE, true, false, false),
};
static const struct pattern fanout =
	PASS("fanout", "one lcore gets, all others put", pool_peers, 16383, MBUF_SIZE, false, false,
	     false);
static const struct pattern fanin =
	PASS("fanin", "all lcores but one get, that one puts", pool_peers, 16383, MBUF_SIZE, false,
	     false, true);
static const struct pattern imbalance = {
	.name = "imbalance-1024",
	.help = "objects that a pool must have so that one lcore after the other can get 1024",
	.peers = pool_peers, .base = POOL_BASE, .hold = 1024, .object_size = 192,
	.figure = imbalance_figure, .figure_name = {"objects"},
};
/* Figures of a pool that is used up: medians, and the 99th of 100. */
#define USED_UP(label, text, how, ...) \
	{.name = label, .help = text, .peers = steal_peers, .object_size = 192, \
	 .figure = how, .figure_name = {"ns", "ns_p99"}, __VA_ARGS__}
static const struct pattern empties[] = {
	USED_UP("empty-1", "a get from a pool in which nothing is free", empty_figure, .owners = 1),
	USED_UP("empty-8", "the same, after 8 lcores used the pool", empty_figure, .owners = 8),
	USED_UP("empty-16", "16 lcores", empty_figure, .owners = 16),
	USED_UP("empty-32", "32 lcores", empty_figure, .owners = 32),
	USED_UP("empty-64", "64 lcores", empty_figure, .owners = 64),
};
static const struct pattern steals[] = {
	USED_UP("steal-spin",
		"a bulk that lies in the magazines of an lcore, which does something else",
		steal_figure, .waits = true, .rest = PATTERN_SPINS),
	USED_UP("steal-work", "which gets and puts meanwhile", steal_figure, .waits = true,
		.rest = PATTERN_WORKS),
	USED_UP("steal-sleep", "which sleeps", steal_figure, .waits = true, .rest = PATTERN_SLEEPS),
};
#define CONTIG(label, text, how) \
	{.name = label, .help = text, .peers = contig_peers, .object_size = MBUF_SIZE, \
	 .hold = 1024, .objects = 65535, .make = contig_make, .turn = how, .lost = pool_lost, \
	 .drop = pool_drop}
static const struct pattern contigs[] = {
	CONTIG("contig", "a bulk of contiguous blocks is got, and put block by block", turn_contig),
	CONTIG("contig-mixed", "the same, but an object of each block is put in turn",
	       turn_contig_mixed),
};
#define LIBRARY(label, held, size) \
	{.name = label, .help = "an object is had, written to and given back", \
	 .peers = library_peers, .hold = held, .object_size = size, .make = library_make, \
	 .turn = turn_library, .lost = library_lost, .drop = library_drop}
static const struct pattern libraries[] = {
	LIBRARY("library-64", 0, 64),
	LIBRARY("library-256", 0, 256),
	LIBRARY("library-2048", 0, 2048),
	LIBRARY("library-256-hold-512", 512, 256),
};

/* Bulks; a negative one is variable, up to its amount. */
struct plan {
	const struct pattern *pattern;
	unsigned int lcores[LIST];
	int bulks[LIST];       /* with a CPU for every lcore */
	int over_bulks[LIST];  /* with fewer */
};

#define ALL_BULKS {1, 4, 8, 16, 32, 64, 128, 256, -8, -64, -256}
#define ALL_LCORES {1, 2, 4, 8, 16}

static const struct plan plans[] = {
	{&getput, ALL_LCORES, ALL_BULKS, {1, 32}},
	{&holds[0], ALL_LCORES, {1, 4, 8, 16, 32, -8, -32}, {32}},
	{&holds[1], ALL_LCORES, ALL_BULKS, {32}},
	{&holds[2], ALL_LCORES, ALL_BULKS, {1, 32}},
	{&holds[3], ALL_LCORES, ALL_BULKS, {1, 32}},
	{&holds[4], {1, 2, 4, 8}, {1, 8, 32, 64, 256, -64}, {32}},
	{&holds[5], {1, 2, 4}, {1, 32, 256}, {32}},
	{&passes[0], {2}, ALL_BULKS, {1, 32}},
	{&passes[1], {2}, ALL_BULKS, {1, 32}},
	{&passes[2], {2}, ALL_BULKS, {1, 32}},
	{&passes[3], {2}, ALL_BULKS, {1, 32}},
	{&passes[4], {2}, {1, 8, 32, 64}, {1, 32}},
	{&fanout, {4, 8}, {1, 8, 32, 64, 256, -64}, {1, 32}},
	{&fanin, {4, 8}, {1, 8, 32, 64, 256, -64}, {1, 32}},
	{&imbalance, {2, 8}, {1, 32}, {1, 32}},
	{&empties[0], {1}, {1, 32}, {1}},
	{&empties[1], {1, 2}, {1, 32}, {1}},
	{&empties[2], {1, 2}, {1, 32}, {1}},
	{&empties[3], {1, 2}, {1, 32}, {1}},
	{&empties[4], {1, 2}, {1, 32}, {1}},
	{&steals[0], {2}, {1, 32}, {1}},
	{&steals[1], {2}, {1, 32}, {1}},
	{&steals[2], {2}, {1, 32}, {1}},
	{&contigs[0], {1, 2, 4}, {1, 4}, {1}},
	{&contigs[1], {1, 2, 4}, {4}, {4}},
	{&libraries[0], ALL_LCORES, {1}, {1}},
	{&libraries[1], ALL_LCORES, {1}, {1}},
	{&libraries[2], ALL_LCORES, {1}, {1}},
	{&libraries[3], ALL_LCORES, {1}, {1}},
};
/* Of these, what --quick leaves. */
static const struct plan quick_plans[] = {
	{&getput, {1, 2}, {1, 8, 32, 64}, {32}},
	{&holds[2], {1}, {1, 8, 32, 64}, {32}},
	{&holds[3], {2, 8}, {32}, {32}},
	{&passes[0], {2}, {1, 32}, {32}},
	{&passes[3], {2}, {32}, {32}},
};
/* clang-format on */

struct row {
	struct cell *cell;
	unsigned int peer;
	unsigned int next; /* repetition */
	const struct cell_found *found;
};

static struct {
	struct bench *table;
	size_t count;
} rows;

static enum bench_end
row_setup(void *arg, char why[BENCH_WHY])
{
	struct row *row = arg;

	if (row->next == row->cell->measured)
		cell_measure(row->cell);
	row->found = &row->cell->found[row->next++ * CELL_PEERS_MAX + row->peer];
	if (row->found->end != BENCH_OK)
		snprintf(why, BENCH_WHY, "%s", row->found->why);
	return row->found->end;
}

static void
add(struct bench_result *result, const char *name, double value)
{
	result->counter[result->counters].name = name;
	result->counter[result->counters].value = value;
	result->counters++;
}

static void
row_run(void *arg, struct bench_result *result)
{
	const struct row *row = arg;
	const struct cell_found *found = row->found;
	const struct cell *cell = row->cell;

	if (cell->pattern->figure != NULL) {
		add(result, cell->pattern->figure_name[0], found->figure[0]);
		if (cell->pattern->figure_name[1] != NULL)
			add(result, cell->pattern->figure_name[1], found->figure[1]);
	} else {
		result->seconds = found->seconds;
		add(result, "ratio", found->ratio);
		add(result, "q1", found->q1);
		add(result, "q3", found->q3);
		add(result, "worst", found->worst);
		add(result, "Mobj_s", found->rate / 1e6);
		add(result, "rounds", found->rounds);
		add(result, "cut", found->cut);
		add(result, "failed", (double)found->failed);
		add(result, "lost", (double)found->lost);
	}
	add(result, "lcores", cell->lcores);
	add(result, "overcommitted", cell->overcommitted);
	if (cell->overcommitted)
		snprintf(result->label, sizeof(result->label), "%u lcores on %u CPUs", cell->lcores,
			 team_cpus());
}

static void
row_teardown(void *arg)
{
	((struct row *)arg)->found = NULL;
}

static void *
must(void *memory)
{
	if (memory != NULL)
		return memory;
	fprintf(stderr, "bench: no memory for row %zu\n", rows.count);
	exit(EXIT_FAILURE);
}

static void
add_bench(struct bench bench)
{
	/* Grows to every power of two. */
	if ((rows.count & (rows.count - 1)) == 0)
		rows.table = must(realloc(rows.table, (2 * rows.count + 1) * sizeof(bench)));
	rows.table[rows.count++] = bench;
}

static void
add_row(struct cell *cell, unsigned int peer, const char *name)
{
	struct row *row = must(calloc(1, sizeof(*row)));

	row->cell = cell;
	row->peer = peer;
	cell->wanted[peer] = true;
	add_bench((struct bench){.name = must(strdup(name)),
				 .arg = row,
				 .setup = row_setup,
				 .run = row_run,
				 .teardown = row_teardown});
}

static void
add_cell(const struct pattern *pattern, unsigned int lcores, int bulk, rows_wanted wanted)
{
	struct cell *cell = must(calloc(1, sizeof(*cell)));
	size_t before = rows.count;
	unsigned int p;
	char name[2 * CELL_NAME];

	cell->pattern = pattern;
	cell->lcores = lcores;
	cell->variable = bulk < 0;
	cell->bulk = (unsigned int)abs(bulk);
	snprintf(cell->name, sizeof(cell->name), "%s/lcores:%u/bulk:%s%u", pattern->name, lcores,
		 cell->variable ? "1-" : "", cell->bulk);
	for (p = 0; p < cell_peers(pattern); p++) {
		snprintf(name, sizeof(name), "%s/%s", cell->name, pattern->peers[p].name);
		if (wanted(name))
			add_row(cell, p, name);
	}
	if (rows.count == before)
		free(cell);
	else
		cell_setup.cells++;
}

static void
add_plan(const struct plan *plan, rows_wanted wanted)
{
	const int *bulks;
	unsigned int i, j;

	for (i = 0; i < LIST && plan->lcores[i] != 0; i++) {
		bulks = plan->lcores[i] > team_cpus() ? plan->over_bulks : plan->bulks;
		for (j = 0; j < LIST && bulks[j] != 0; j++)
			add_cell(plan->pattern, plan->lcores[i], bulks[j], wanted);
	}
}

static void
add_machine(rows_wanted wanted)
{
	unsigned int i;

	for (i = 0; i < MACHINES; i++) {
		if (!wanted(machines[i].name))
			continue;
		add_bench((struct bench){.name = machines[i].name,
					 .arg = (void *)(uintptr_t)&machines[i],
					 .setup = machine_setup,
					 .run = machine_run,
					 .teardown = machine_teardown});
	}
}

size_t
rows_make(rows_wanted wanted, struct bench **table)
{
	const struct plan *from = cell_setup.quick ? quick_plans : plans;
	size_t i, count = cell_setup.quick ? RTE_DIM(quick_plans) : RTE_DIM(plans);

	add_machine(wanted);
	for (i = 0; i < count; i++)
		add_plan(&from[i], wanted);
	*table = rows.table;
	return rows.count;
}
