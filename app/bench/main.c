/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Which patterns are measured, with which bulks, on how many lcores; and the command line.
 */

#include <limits.h>
#include <regex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pattern.h"
#include "pool.h"

#define MBUF_SIZE 2176
#define LIST 12

/* clang-format off */
/* Each lcore for itself, nothing touched: what an object's size is does not matter. */
#define OWN(label, text, fn, held, size) \
	{.name = label, .help = text, .peers = pool_peers, .base = POOL_BASE, .hold = held, \
	 .object_size = size, .make = pool_make, .turn = fn, .lost = pool_lost, .drop = pool_drop}
#define PASS(label, text, count, touch, many) \
	{.name = label, .help = text, .peers = pool_peers, .base = POOL_BASE, .objects = count, \
	 .object_size = MBUF_SIZE, .touched = touch, .waits = true, .many_produce = many, \
	 .begin = pass_begin, .end = pass_end, .make = pool_make, .turn = turn_pass, \
	 .lost = pool_lost, .drop = pool_drop}

static const struct pattern getput =
	OWN("getput", "a bulk is got and put", turn_getput, 0, MBUF_SIZE);
static const struct pattern holds[] = {
	OWN("hold-32", "32 objects are got, then put", turn_hold, 32, MBUF_SIZE),
	OWN("hold-256", "256 objects", turn_hold, 256, MBUF_SIZE),
	OWN("hold-512", "512 objects", turn_hold, 512, MBUF_SIZE),
	OWN("hold-1024", "1024 objects", turn_hold, 1024, MBUF_SIZE),
	OWN("hold-4096", "4096 objects", turn_hold, 4096, 64),
	OWN("hold-32768", "32768 objects", turn_hold, 32768, 64),
};
static const struct pattern passes[] = {
	PASS("pipe-8k", "one lcore gets, another puts: of 8 K mbufs", 8191, false, false),
	PASS("pipe-8k-touched", "the same, header and payload written and read", 8191, true, false),
	PASS("pipe-256k", "of 256 K mbufs", (256 << 10) - 1, false, false),
	PASS("pipe-256k-touched", "of 256 K mbufs, written and read", (256 << 10) - 1, true, false),
};
static const struct pattern fanout =
	PASS("fanout", "one lcore gets, all others put", 16383, false, false);
static const struct pattern fanin =
	PASS("fanin", "all lcores but one get, that one puts", 16383, false, true);
/* Bulks; a negative one is variable, up to its amount. */
struct plan {
	const struct pattern *pattern;
	unsigned int lcores[LIST];
	int bulks[LIST];       /* with a CPU for every lcore */
	int over_bulks[LIST];  /* with fewer */
};

#define ALL_BULKS {1, 4, 8, 16, 32, 64, 128, 256, -8, -64, -256}
#define SOME_BULKS {1, 32, 256}
#define ALL_LCORES {1, 2, 4, 8, 16}

static const struct plan plans[] = {
	{&getput, ALL_LCORES, ALL_BULKS, SOME_BULKS},
	{&holds[0], ALL_LCORES, {1, 4, 8, 16, 32, -8, -32}, {1, 32}},
	{&holds[1], ALL_LCORES, ALL_BULKS, SOME_BULKS},
	{&holds[2], ALL_LCORES, ALL_BULKS, SOME_BULKS},
	{&holds[3], ALL_LCORES, ALL_BULKS, SOME_BULKS},
	{&holds[4], {1, 2, 4, 8}, {1, 8, 32, 64, 256, -64}, {32}},
	{&holds[5], {1, 2, 4}, {1, 32, 256}, {32}},
	{&passes[0], {2}, ALL_BULKS, {1, 32}},
	{&passes[1], {2}, ALL_BULKS, {1, 32}},
	{&passes[2], {2}, ALL_BULKS, {1, 32}},
	{&passes[3], {2}, ALL_BULKS, {1, 32}},
	{&fanout, {4, 8}, {1, 8, 32, 64, 256, -64}, {1, 32, 256}},
	{&fanin, {4, 8}, {1, 8, 32, 64, 256, -64}, {1, 32, 256}},
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

struct options {
	regex_t filter;
	const char *pattern; /* of the filter, NULL = none */
	bool invert;
};

static struct options options;
static struct bench *table;
static struct row *rows;
static size_t row_count;

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
		add(result, cell->pattern->figure_name, found->figure);
	} else {
		result->seconds = found->seconds;
		add(result, "ratio", found->ratio);
		add(result, "q1", found->q1);
		add(result, "q3", found->q3);
		add(result, "worst", found->worst);
		add(result, "Mobj_s", found->rate / 1e6);
		add(result, "rounds", found->rounds);
		add(result, "cut", found->cut);
		add(result, "failed", found->failed);
		add(result, "lost", found->lost);
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

static bool
wanted(const char *name)
{
	return options.pattern == NULL ||
	       (regexec(&options.filter, name, 0, NULL, 0) == 0) != options.invert;
}

static void *
grow(void *array, size_t count, size_t size)
{
	/* To every power of two. */
	if ((count & (count - 1)) != 0)
		return array;
	array = realloc(array, (count == 0 ? 1 : 2 * count) * size);
	if (array != NULL)
		return array;
	fprintf(stderr, "bench: no memory for %zu rows\n", count);
	exit(EXIT_FAILURE);
}

static void
add_cell(const struct pattern *pattern, unsigned int lcores, int bulk)
{
	struct cell *cell = calloc(1, sizeof(*cell));
	unsigned int p, before = row_count;
	char name[2 * CELL_NAME];

	if (cell == NULL)
		exit(EXIT_FAILURE);
	cell->pattern = pattern;
	cell->lcores = lcores;
	cell->variable = bulk < 0;
	cell->bulk = abs(bulk);
	snprintf(cell->name, sizeof(cell->name), "%s/lcores:%u/bulk:%s%u", pattern->name, lcores,
		 cell->variable ? "1-" : "", cell->bulk);
	for (p = 0; p < cell_peers(pattern); p++) {
		snprintf(name, sizeof(name), "%s/%s", cell->name, pattern->peers[p].name);
		if (!wanted(name))
			continue;
		cell->wanted[p] = true;
		table = grow(table, row_count, sizeof(*table));
		rows = grow(rows, row_count, sizeof(*rows));
		rows[row_count] = (struct row){.cell = cell, .peer = p};
		table[row_count++] = (struct bench){.name = strdup(name)};
	}
	if (row_count == before)
		free(cell);
	else
		cell_setup.cells++;
}

static void
add_plan(const struct plan *plan)
{
	const int *bulks;
	unsigned int i, j;

	for (i = 0; i < LIST && plan->lcores[i] != 0; i++) {
		bulks = plan->lcores[i] > team_cpus() ? plan->over_bulks : plan->bulks;
		for (j = 0; j < LIST && bulks[j] != 0; j++)
			add_cell(plan->pattern, plan->lcores[i], bulks[j]);
	}
}

static void
add_all(void)
{
	size_t i;

	if (cell_setup.quick) {
		for (i = 0; i < RTE_DIM(quick_plans); i++)
			add_plan(&quick_plans[i]);
	} else {
		for (i = 0; i < RTE_DIM(plans); i++)
			add_plan(&plans[i]);
	}
	for (i = 0; i < row_count; i++) {
		table[i].arg = &rows[i];
		table[i].setup = row_setup;
		table[i].run = row_run;
		table[i].teardown = row_teardown;
	}
}

static size_t
free_hugepages(void)
{
	static const struct {
		const char *path;
		size_t bytes;
	} kinds[] = {
		{"/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", 2u << 20},
		{"/sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages", 1u << 30},
	};
	unsigned long pages;
	size_t i, bytes = 0;
	FILE *file;

	for (i = 0; i < RTE_DIM(kinds); i++) {
		file = fopen(kinds[i].path, "re");
		if (file == NULL)
			continue;
		if (fscanf(file, "%lu", &pages) == 1)
			bytes += pages * kinds[i].bytes;
		fclose(file);
	}
	return bytes;
}

static void
usage(void)
{
	printf("usage: bench [--quick] [--benchmark_filter=REGEX] [--benchmark_min_time=TIME]\n"
	       "             [Google Benchmark's options]\n\n"
	       "Throughput of mempool handlers, and of magazine's caches beside other allocators.\n"
	       "Each row is PATTERN/lcores:N/bulk:B/HANDLER,OPTIONS/cache:C. All handlers of a\n"
	       "pattern, bulk and number of lcores take turns in one process. 'ratio' is the\n"
	       "median over the rounds of the time for an object as a multiple of the base's, of\n"
	       "ring_mp_mc under a mempool cache of 512, in the same round; q1 and q3 are its\n"
	       "quartiles; lower is better. 'worst' is the longest round as a multiple of the\n"
	       "handler's own median one. Times are CPU time for one object, got and put.\n\n"
	       "  --quick                    fewer patterns, fewer rounds: under 2 minutes\n"
	       "  --benchmark_filter=REGEX   only rows that match; -REGEX: only those that do not\n"
	       "  --benchmark_min_time=TIME  seconds of each handler in each cell, as 0.5 or 0.5s;\n"
	       "                             or so many rounds, as 100x\n\n"
	       "Needs root and hugepages: 640 MB for most rows, 1.5 GB for all; with less, rows\n"
	       "say so. Google Benchmark's own:\n\n");
	fflush(stdout);
}

static int
read_filter(const char *text)
{
	char why[BENCH_WHY];
	int ret;

	if (strcmp(text, "all") == 0)
		text = ".";
	options.invert = text[0] == '-';
	options.pattern = text + options.invert;
	ret = regcomp(&options.filter, options.pattern, REG_EXTENDED | REG_NOSUB);
	if (ret == 0)
		return 0;
	regerror(ret, &options.filter, why, sizeof(why));
	fprintf(stderr, "bench: --benchmark_filter=%s: not an extended regular expression: %s\n",
		text, why);
	return -1;
}

static int
read_time(const char *text)
{
	char *end;
	double value = strtod(text, &end);
	bool times = strcmp(end, "x") == 0;

	if (end != text && value > 0 && value <= 1e6 &&
	    (times || *end == '\0' || strcmp(end, "s") == 0)) {
		if (times)
			cell_setup.rounds = RTE_MAX(value, 1.0);
		else
			cell_setup.seconds = value;
		return 0;
	}
	fprintf(stderr,
		"bench: --benchmark_min_time=%s: must be seconds, as 0.5 or 0.5s, or a "
		"number of rounds, as 100x\n",
		text);
	return -1;
}

/* Ours are taken out, the others moved up. */
static int
read_options(int *argc, char **argv)
{
	static const char filter[] = "--benchmark_filter=", time[] = "--benchmark_min_time=";
	int i, kept = 1, ret = 0;

	for (i = 1; i < *argc && ret == 0; i++) {
		if (strncmp(argv[i], filter, strlen(filter)) == 0)
			ret = read_filter(argv[i] + strlen(filter));
		else if (strncmp(argv[i], time, strlen(time)) == 0)
			ret = read_time(argv[i] + strlen(time));
		else if (strcmp(argv[i], "--quick") == 0)
			cell_setup.quick = true;
		else
			argv[kept++] = argv[i];
		if (strcmp(argv[i], "--help") == 0)
			usage();
	}
	*argc = kept;
	return ret;
}

static void
on_signal(int number)
{
	cell_abandon();
	_exit(128 + number);
}

int
main(int argc, char **argv)
{
	static char self[PATH_MAX];

	if (read_options(&argc, argv) < 0)
		return EXIT_FAILURE;
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0) {
		perror("bench: /proc/self/exe");
		return EXIT_FAILURE;
	}
	cell_setup.self = self;
	cell_setup.memory = free_hugepages();
	add_all();
	if (row_count == 0) {
		fprintf(stderr,
			"bench: --benchmark_filter=%s: matches no row; "
			"--benchmark_list_tests lists them\n",
			options.pattern);
		return EXIT_FAILURE;
	}
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	signal(SIGHUP, on_signal);
	fprintf(stderr, "bench: on a shared machine times mean little; compare the ratios\n");
	return bench_main(argc, argv, table, row_count);
}
