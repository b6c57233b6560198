/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * get and put on one lcore, beside other handlers.
 *
 * All peers live in one process and take turns: in each round every peer runs for a fraction
 * of a millisecond, and what is reported is the median over the rounds of its time divided by
 * the base's time in the same round. Absolute times move by a factor of two on a shared machine,
 * these ratios by a few percent. The array of pointers begins elsewhere in each round, so that no
 * peer is lucky or unlucky in how it aliases with its own memory.
 */

#include <getopt.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mempool.h>

#define POOL_OBJECTS 8191
#define ELT_SIZE 2048
#define ROUNDS_DEFAULT 256
#define ROUNDS_MAX 10000
#define HOLD 512
#define BULK_MAX 64
/* About a fifth of a millisecond per turn: a preemption spoils few turns, and the clock none. */
#define OBJECTS_PER_TURN 12800
#define SHIFTS 512
#define SHIFT_STEP 72

struct peer {
	const char *label;
	const char *ops;
	const char *config;
	unsigned int cache_size;
	struct rte_mempool *mp;
	double ratio[ROUNDS_MAX];
};

/* The first is the base, the second the floor. */
static struct peer peers[] = {
	{"ring_mp_mc/512", "ring_mp_mc", NULL, 512, NULL, {0}},
	{"floor/0", "floor", NULL, 0, NULL, {0}},
	{"ring_mp_mc/0", "ring_mp_mc", NULL, 0, NULL, {0}},
	{"magazine/0", "magazine", NULL, 0, NULL, {0}},
	{"magazine/0 rounds=510", "magazine", "rounds=510", 0, NULL, {0}},
	{"magazine/512", "magazine", NULL, 512, NULL, {0}},
};

static const unsigned int bulks[] = {1, 8, 32, 64};
static unsigned int rounds = ROUNDS_DEFAULT;

static struct rte_mempool *
pool_make(const struct peer *peer)
{
	struct rte_mempool *mp = rte_mempool_create_empty(peer->label, POOL_OBJECTS, ELT_SIZE,
							  peer->cache_size, 0, SOCKET_ID_ANY, 0);

	if (mp != NULL &&
	    rte_mempool_set_ops_byname(mp, peer->ops, (void *)(uintptr_t)peer->config) == 0 &&
	    rte_mempool_populate_default(mp) > 0)
		return mp;
	fprintf(stderr, "%s: cannot make a pool of %u objects of %u bytes: %s\n", peer->label,
		POOL_OBJECTS, ELT_SIZE, rte_strerror(rte_errno));
	rte_mempool_free(mp);
	return NULL;
}

static void
must_get(struct rte_mempool *mp, void **objects, unsigned int n)
{
	if (unlikely(rte_mempool_get_bulk(mp, objects, n) != 0)) {
		fprintf(stderr, "%s: get of %u failed\n", mp->name, n);
		exit(EXIT_FAILURE);
	}
}

static uint64_t
turn_getput(struct rte_mempool *mp, void **objects, unsigned int bulk)
{
	uint64_t start = rte_rdtsc();
	unsigned int i;

	for (i = 0; i < OBJECTS_PER_TURN / (bulk + 7); i++) {
		must_get(mp, objects, bulk);
		rte_mempool_put_bulk(mp, objects, bulk);
	}
	return rte_rdtsc() - start;
}

static uint64_t
turn_hold(struct rte_mempool *mp, void **objects, unsigned int bulk)
{
	uint64_t start = rte_rdtsc();
	unsigned int i, at;

	for (i = 0; i < OBJECTS_PER_TURN / HOLD; i++) {
		for (at = 0; at < HOLD; at += bulk)
			must_get(mp, objects + at, bulk);
		for (at = 0; at < HOLD; at += bulk)
			rte_mempool_put_bulk(mp, objects + at, bulk);
	}
	return rte_rdtsc() - start;
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

typedef uint64_t (*turn_fn)(struct rte_mempool *mp, void **objects, unsigned int bulk);

static void
run_rounds(turn_fn turn, unsigned int bulk)
{
	static void *objects[HOLD + BULK_MAX + SHIFTS];
	unsigned int round, i;
	double base = 1, time;
	void **at;

	for (round = 0; round < rounds; round++) {
		at = objects + round * SHIFT_STEP % SHIFTS;
		for (i = 0; i < RTE_DIM(peers); i++) {
			turn(peers[i].mp, at, bulk);
			time = turn(peers[i].mp, at, bulk);
			if (i == 0)
				base = time;
			peers[i].ratio[round] = time / base;
		}
	}
	for (i = 0; i < RTE_DIM(peers); i++)
		qsort(peers[i].ratio, rounds, sizeof(peers[i].ratio[0]), by_value);
}

static void
report(const char *pattern, unsigned int bulk)
{
	double floor = peers[1].ratio[rounds / 2];
	unsigned int i;

	for (i = 1; i < RTE_DIM(peers); i++)
		printf("%-10s %4u  %-22s %6.2f  %5.2f-%-5.2f  %6.2f\n", pattern, bulk,
		       peers[i].label, peers[i].ratio[rounds / 2], peers[i].ratio[rounds / 4],
		       peers[i].ratio[rounds * 3 / 4], peers[i].ratio[rounds / 2] / floor);
	fflush(stdout);
}

static int
check_loss(void)
{
	unsigned int i, count, lost = 0;

	for (i = 0; i < RTE_DIM(peers); i++) {
		count = rte_mempool_avail_count(peers[i].mp);
		if (count == POOL_OBJECTS)
			continue;
		fprintf(stderr, "%s: %u objects instead of %u\n", peers[i].label, count,
			POOL_OBJECTS);
		lost++;
	}
	return lost == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int
eal_start(const char *self)
{
	char path[PATH_MAX], magazine[2 * PATH_MAX], floor[2 * PATH_MAX], prefix[64];
	const char *const args[] = {path,
				    "--no-pci",
				    "--no-telemetry",
				    "-d",
				    magazine,
				    "-d",
				    floor,
				    "--lcores",
				    "0@0",
				    "--log-level=*:warning",
				    "--file-prefix",
				    prefix,
				    "--in-memory",
				    NULL};
	const char *folder;

	snprintf(path, sizeof(path), "%s", self);
	folder = dirname(path);
	snprintf(floor, sizeof(floor), "%s/librte_mempool_floor.so", folder);
	snprintf(magazine, sizeof(magazine),
		 "%s/../../drivers/mempool/magazine/librte_mempool_magazine.so", folder);
	snprintf(prefix, sizeof(prefix), "mag-getput-%d", getpid());
	return rte_eal_init(RTE_DIM(args) - 1, (char **)(uintptr_t)args);
}

static int
read_options(int argc, char **argv)
{
	static const struct option options[] = {
		{"rounds", required_argument, NULL, 'r'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	char *end;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'r') {
			rounds = strtoul(optarg, &end, 10);
			if (*end == '\0' && rounds >= 4 && rounds <= ROUNDS_MAX)
				continue;
			fprintf(stderr, "--rounds %s: must be 4 to %u\n", optarg, ROUNDS_MAX);
		}
		printf("usage: getput [--rounds N]\n\n"
		       "get and put on one lcore: median of per-round ratios to ring_mp_mc with a\n"
		       "mempool cache of 512. NAME/N is a handler under a mempool cache of N. Needs\n"
		       "some 110 MB of hugepages. --rounds: 4 to %u, %u by default.\n",
		       ROUNDS_MAX, ROUNDS_DEFAULT);
		return option == 'h' ? 1 : -1;
	}
	return 0;
}

int
main(int argc, char **argv)
{
	char self[PATH_MAX] = "";
	unsigned int i;
	int ret = read_options(argc, argv);

	if (ret != 0)
		return ret < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0 || eal_start(self) < 0) {
		fprintf(stderr, "EAL does not start (%s): are there some 110 MB of hugepages?\n",
			rte_strerror(rte_errno));
		return EXIT_FAILURE;
	}
	for (i = 0; i < RTE_DIM(peers); i++) {
		peers[i].mp = pool_make(&peers[i]);
		if (peers[i].mp == NULL)
			return EXIT_FAILURE;
	}
	printf("time as a multiple of ring_mp_mc/512 in the same round, %u rounds\n"
	       "pattern    bulk  handler/cache          median  quartiles    to floor\n",
	       rounds);
	for (i = 0; i < RTE_DIM(bulks); i++) {
		run_rounds(turn_getput, bulks[i]);
		report("get+put", bulks[i]);
	}
	for (i = 0; i < RTE_DIM(bulks); i++) {
		run_rounds(turn_hold, bulks[i]);
		report("hold 512", bulks[i]);
	}
	ret = check_loss();
	for (i = 0; i < RTE_DIM(peers); i++)
		rte_mempool_free(peers[i].mp);
	snprintf(self, sizeof(self), "%s", rte_eal_get_runtime_dir());
	rte_eal_cleanup();
	rmdir(self);
	return ret;
}
