/* SPDX-License-Identifier: BSD-3-Clause */

/* The command line. */

#include <limits.h>
#include <regex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cell.h"
#include "rows.h"

static struct {
	regex_t filter;
	const char *pattern; /* of the filter, NULL = none */
	bool invert;
} options;

static bool
wanted(const char *name)
{
	return options.pattern == NULL ||
	       (regexec(&options.filter, name, 0, NULL, 0) == 0) != options.invert;
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
	       "  --benchmark_min_time=TIME  seconds of each handler in each cell, as 0.5 or\n"
	       "                             0.5s; or so many rounds, as 100x\n\n"
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
			cell_setup.rounds = (unsigned int)RTE_MAX(value, 1.0);
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

/* Other allocators are loaded late, and want more static TLS than is kept for such. */
static void
want_static_tls(const char *self, char **argv)
{
	static const char tunable[] = "glibc.rtld.optional_static_tls";
	const char *old = getenv("GLIBC_TUNABLES");
	char *tunables;

	if (old != NULL && strstr(old, tunable) != NULL)
		return;
	if (asprintf(&tunables, "%s%s%s=65536", old == NULL ? "" : old, old == NULL ? "" : ":",
		     tunable) < 0)
		return;
	if (setenv("GLIBC_TUNABLES", tunables, 1) == 0)
		execv(self, argv);
	free(tunables);
}

int
main(int argc, char **argv)
{
	static char self[PATH_MAX];
	struct bench *table;
	size_t count;

	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0) {
		perror("bench: /proc/self/exe");
		return EXIT_FAILURE;
	}
	want_static_tls(self, argv);
	if (read_options(&argc, argv) < 0)
		return EXIT_FAILURE;
	cell_setup.self = self;
	cell_setup.memory = free_hugepages();
	count = rows_make(wanted, &table);
	if (count == 0) {
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
	return bench_main(argc, argv, table, count);
}
