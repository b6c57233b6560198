/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What get and put of mempool handlers read and write when many lcores use one pool: the sequences
 * that the simulator replays.
 *
 * The lcores take turns, a bulk each, in an order that is random but the same each time, on one
 * CPU. So each bulk runs undisturbed, and finds what others have left: their lines, their
 * magazines. What would happen if bulks overlapped is the simulator's part.
 *
 * A period is all gets and all puts of the objects that an lcore holds. Each lcore records some,
 * after two that nobody records, and begins at a place of its own: so many that a ring of all
 * objects comes round, and it shows that lcores share its lines.
 */

#include <getopt.h>
#include <sched.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_mempool.h>

#include "../bench/start.h"
#include "steps.h"

#define OBJECT_SIZE 64
/* With so many a pool of magazines begins with the largest. */
#define OBJECTS_PER_LCORE 4096
#define HELD_MAX 2048
#define BULK_MAX 256
#define ACCESSES_MAX (1 << 16) /* of one bulk */
#define PERIODS 8              /* of each lcore */
#define WARM_UP 2              /* periods */
/* Maintenance does not come while the program runs. */
#define OPTIONS "interval=3600"

struct member {
	sem_t turn;
	void *objects[HELD_MAX];
	unsigned int at;   /* bulks of the period that are done */
	unsigned int left; /* to be recorded */
};

static struct {
	unsigned int lcores, bulk, hold;
	const char *plugin;
	struct rte_mempool *mp;
	struct member member[RTE_MAX_LCORE];
	sem_t done;
	bool recording, ended;
	struct steps steps;
} run = {.lcores = 2, .bulk = 32};

static struct step_access accesses[ACCESSES_MAX];

/* Bulks of a period that are gets; as many are puts. */
static unsigned int
gets(void)
{
	return run.hold > run.bulk ? run.hold / run.bulk : 1;
}

/* The next bulk of this lcore. */
static void
take_turn(struct member *member)
{
	unsigned int half = gets(), at = member->at;
	void **objects = &member->objects[(size_t)(at % half) * run.bulk];
	int ret = 0;

	if (run.recording)
		steps_begin(&run.steps);
	if (at < half)
		ret = rte_mempool_get_bulk(run.mp, objects, run.bulk);
	else
		rte_mempool_put_bulk(run.mp, objects, run.bulk);
	if (run.recording)
		steps_end();
	if (ret != 0) {
		fprintf(stderr, "%s: get of %u failed\n", run.mp->name, run.bulk);
		exit(EXIT_FAILURE);
	}
	member->at = at + 1 == 2 * half ? 0 : at + 1;
}

static int
serve(void *arg)
{
	struct member *member = arg;

	for (;;) {
		while (sem_wait(&member->turn) != 0)
			;
		if (run.ended)
			return 0;
		take_turn(member);
		sem_post(&run.done);
	}
}

/* The main lcore is one of them. */
static void
turn_of(unsigned int lcore)
{
	if (lcore == rte_get_main_lcore()) {
		take_turn(&run.member[lcore]);
		return;
	}
	sem_post(&run.member[lcore].turn);
	while (sem_wait(&run.done) != 0)
		;
}

static void
print_turn(unsigned int lcore, bool is_get)
{
	const struct steps *steps = &run.steps;
	const struct step_access *access;
	size_t i;

	printf("turn %u %s %u\n", lcore, is_get ? "get" : "put", steps->instructions);
	for (i = 0; i < RTE_MIN(steps->count, steps->room); i++) {
		access = &steps->access[i];
		printf("%c %lx %u %u %u\n", access->kind, access->address, access->size,
		       access->instruction, access->after);
	}
	if (steps->count > steps->room)
		fprintf(stderr, "%s: a bulk of %zu accesses, of which %zu are recorded\n",
			run.mp->name, steps->count, steps->room);
}

/* So many bulks of each lcore, in random order. */
static void
take_turns(const unsigned int bulks[RTE_MAX_LCORE], bool recording)
{
	static uint64_t random = 88172645463325252u;
	unsigned int lcore, waiting[RTE_MAX_LCORE], count = 0, i;
	bool is_get;

	for (lcore = 0; lcore < run.lcores; lcore++) {
		run.member[lcore].left = bulks[lcore];
		if (bulks[lcore] > 0)
			waiting[count++] = lcore;
	}
	run.recording = recording;
	while (count > 0) {
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		i = (unsigned int)(random % count);
		lcore = waiting[i];
		is_get = run.member[lcore].at < gets();
		turn_of(lcore);
		if (recording)
			print_turn(lcore, is_get);
		if (--run.member[lcore].left == 0)
			waiting[i] = waiting[--count];
	}
	run.recording = false;
}

/* Whole periods are recorded. Before, each lcore goes to a place of its own. */
static void
take_periods(bool recording)
{
	unsigned int period = 2 * gets(), bulks[RTE_MAX_LCORE], lcore;

	for (lcore = 0; lcore < run.lcores; lcore++)
		bulks[lcore] = recording ? PERIODS * period :
					   WARM_UP * period + lcore * period / run.lcores;
	take_turns(bulks, recording);
}

static void
put_all(void)
{
	struct member *member;
	unsigned int lcore, half = gets(), i;

	for (lcore = 0; lcore < run.lcores; lcore++) {
		member = &run.member[lcore];
		for (i = member->at % half; member->at > half && i < half; i++)
			rte_mempool_put_bulk(run.mp, &member->objects[(size_t)i * run.bulk],
					     run.bulk);
		if (member->at > 0 && member->at <= half)
			rte_mempool_put_bulk(run.mp, member->objects, member->at * run.bulk);
		member->at = 0;
	}
}

static struct rte_mempool *
pool_make(const char *handler, unsigned int cache)
{
	bool ours = strcmp(handler, "magazine") == 0;
	unsigned int objects = run.lcores * OBJECTS_PER_LCORE - 1;
	struct rte_mempool *mp =
		rte_mempool_create_empty(handler, objects, OBJECT_SIZE, cache, 0, SOCKET_ID_ANY, 0);

	if (mp != NULL &&
	    rte_mempool_set_ops_byname(mp, handler, ours ? (void *)(uintptr_t)OPTIONS : NULL) ==
		    0 &&
	    rte_mempool_populate_default(mp) > 0)
		return mp;
	fprintf(stderr, "%s: cannot make a pool of %u objects of %u bytes, cache %u: %s\n", handler,
		objects, OBJECT_SIZE, cache, rte_strerror(rte_errno));
	rte_mempool_free(mp);
	return NULL;
}

/* peer: HANDLER/CACHE, as in the names of app/bench's rows without "cache:". */
static int
record(const char *peer)
{
	char handler[RTE_MEMPOOL_OPS_NAMESIZE], end;
	unsigned int cache;

	if (sscanf(peer, "%31[^/]/%u%c", handler, &cache, &end) != 2) {
		fprintf(stderr, "peer %s: must be HANDLER/CACHE, as in ring_mp_mc/512\n", peer);
		return -1;
	}
	run.mp = pool_make(handler, cache);
	if (run.mp == NULL)
		return -1;
	take_periods(false);
	printf("peer %s %u %u\n", peer, run.lcores, run.bulk);
	take_periods(true);
	put_all();
	if (rte_mempool_in_use_count(run.mp) != 0) {
		fprintf(stderr, "%s: %u objects lost\n", peer, rte_mempool_in_use_count(run.mp));
		return -1;
	}
	rte_mempool_free(run.mp);
	return 0;
}

static int
members_start(void)
{
	unsigned int lcore;

	sem_init(&run.done, 0, 0);
	for (lcore = 0; lcore < run.lcores; lcore++) {
		sem_init(&run.member[lcore].turn, 0, 0);
		if (lcore != rte_get_main_lcore() &&
		    rte_eal_remote_launch(serve, &run.member[lcore], lcore) != 0)
			return -1;
	}
	return 0;
}

static void
members_end(void)
{
	unsigned int lcore;

	run.ended = true;
	RTE_LCORE_FOREACH_WORKER(lcore)
		sem_post(&run.member[lcore].turn);
	rte_eal_mp_wait_lcore();
}

static void
usage(void)
{
	printf("usage: record [--lcores N] [--bulk N] [--hold N] [--plugin FILE] HANDLER/CACHE...\n"
	       "\n"
	       "Prints what get and put of each mempool handler, under a mempool cache of CACHE,\n"
	       "read and write; app/simulate.sh reads that.\n"
	       "  --lcores N     that use the pool in turn, 1 to %u; default %u\n"
	       "  --bulk N       objects of a get or put, 1 to %u; default %u\n"
	       "  --hold N       objects that each gets before it puts them, up to %u; default:\n"
	       "                 one bulk\n"
	       "  --plugin FILE  the driver, another than that of the same build\n",
	       RTE_MAX_LCORE, run.lcores, BULK_MAX, run.bulk, HELD_MAX);
}

static int
read_number(const char *name, const char *text, unsigned int least, unsigned int most,
	    unsigned int *number)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end != '\0' || value < least || value > most) {
		fprintf(stderr, "--%s %s: must be %u to %u\n", name, text, least, most);
		return -1;
	}
	*number = (unsigned int)value;
	return 0;
}

static int
read_options(int argc, char **argv)
{
	static const struct option options[] = {
		{"lcores", required_argument, NULL, 'l'}, {"bulk", required_argument, NULL, 'b'},
		{"hold", required_argument, NULL, 'H'},   {"plugin", required_argument, NULL, 'p'},
		{"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
	};
	int option, ret = 0;

	while (ret == 0 && (option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'l')
			ret = read_number("lcores", optarg, 1, RTE_MAX_LCORE, &run.lcores);
		else if (option == 'b')
			ret = read_number("bulk", optarg, 1, BULK_MAX, &run.bulk);
		else if (option == 'H')
			ret = read_number("hold", optarg, 0, HELD_MAX, &run.hold);
		else if (option == 'p')
			run.plugin = optarg;
		else if (option == 'h')
			return usage(), 1;
		else
			ret = -1;
	}
	if (ret == 0 && optind == argc) {
		fprintf(stderr, "no HANDLER/CACHE given, as in magazine/0: see --help\n");
		ret = -1;
	}
	return ret;
}

int
main(int argc, char **argv)
{
	char lcores[32];
	int ret = read_options(argc, argv), i;

	if (ret != 0)
		return ret < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	run.steps.access = accesses;
	run.steps.room = ACCESSES_MAX;
	if (steps_init() != 0) {
		fprintf(stderr, "cannot step through instructions: libcapstone does not start\n");
		return EXIT_FAILURE;
	}
	snprintf(lcores, sizeof(lcores), "(0-%u)@%d", run.lcores - 1, sched_getcpu());
	if (start_eal("record", run.plugin, "512", lcores) == NULL || members_start() < 0)
		return EXIT_FAILURE;
	for (i = optind; i < argc && ret == 0; i++)
		ret = record(argv[i]);
	members_end();
	rte_eal_cleanup();
	return ret == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
