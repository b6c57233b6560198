/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What a process that is killed in a get or a put leaves of a pool, with any handler:
 *
 *     kills EAL-OPTIONS -- HANDLER CACHE_SIZE KILLS HOLD [OPTIONS]
 *
 * A victim, the child of a fork, gets bulks of 1 to 64 as lcore 1 until it has HOLD objects, puts
 * them back, and so on without a pause. It is killed after 1 to 3 ms of work. Then a taker,
 * another child, takes all that one lcore can have, as lcore 2, and puts it back. A taker that
 * uses a second of CPU time, or a minute of any, waits for something that will never come: it is
 * killed, and the next victim gets a new pool. Should the process that made the pool wait so
 * itself, that is the end.
 */

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_mempool.h>
#include <rte_per_lcore.h>

#define OBJECTS 4095
#define BULK 64
#define VICTIM 1
#define TAKER 2
#define TAKER_CPU_S 1
#define TAKER_ALARM_S 60
/* Two updates of a pool with interval=50ms, and more. */
#define SETTLE_US 300000

/* Shared with the children. */
struct found {
	_Atomic uint32_t steps; /* of the victim */
	_Atomic uint32_t held;  /* objects that it had at most when it was killed */
	/* Of the taker. */
	bool done;
	uint32_t taken, twice, available;
};

/* Sums over all kills. */
struct sums {
	unsigned int hangs, lost, most, beyond, far, twice;
};

static struct {
	const char *handler, *options;
	unsigned int cache, hold;
} plan;

static struct found *found;

static struct rte_mempool *
pool_make(void)
{
	static unsigned int made;
	char name[RTE_MEMPOOL_NAMESIZE];
	struct rte_mempool *mp;

	snprintf(name, sizeof(name), "kills-%u", made++);
	mp = rte_mempool_create_empty(name, OBJECTS, 64, plan.cache, 0, SOCKET_ID_ANY, 0);
	if (mp == NULL ||
	    rte_mempool_set_ops_byname(mp, plan.handler, (void *)(uintptr_t)plan.options) != 0 ||
	    rte_mempool_populate_default(mp) != OBJECTS) {
		fprintf(stderr, "no pool of %u objects with handler %s: %s\n", OBJECTS,
			plan.handler, rte_strerror(rte_errno));
		exit(1);
	}
	return mp;
}

static void
victim(struct rte_mempool *mp)
{
	static void *objects[OBJECTS + BULK];
	unsigned int i, n, held = 0;

	RTE_PER_LCORE(_lcore_id) = VICTIM;
	for (i = 0;; i++) {
		n = 1 + i % BULK;
		found->steps = i;
		if (held + n <= plan.hold) {
			found->held = held + n;
			if (rte_mempool_get_bulk(mp, objects + held, n) == 0)
				held += n;
			continue;
		}
		for (; held > 0; held -= n) {
			n = RTE_MIN(held, (unsigned int)BULK);
			found->held = held;
			rte_mempool_put_bulk(mp, objects + held - n, n);
		}
	}
}

static void
kill_one(struct rte_mempool *mp)
{
	pid_t pid;

	*found = (struct found){.done = false};
	pid = fork();
	if (pid == 0)
		victim(mp);
	while (found->steps < 3 * BULK && waitpid(pid, NULL, WNOHANG) == 0)
		usleep(100);
	usleep(1000 + (unsigned int)rand() % 2000);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* Marks each object that it has. */
static void
take(struct rte_mempool *mp)
{
	static void *objects[2 * OBJECTS];
	uint32_t n = 0, i;

	RTE_PER_LCORE(_lcore_id) = TAKER;
	while (n < RTE_DIM(objects) && rte_mempool_get(mp, &objects[n]) == 0)
		n++;
	found->taken = n;
	for (i = 0; i < n; i++)
		*(uint64_t *)objects[i] = 0;
	for (i = 0; i < n; i++)
		found->twice += (*(uint64_t *)objects[i])++ != 0;
	for (i = 0; i < n; i++)
		rte_mempool_put(mp, objects[i]);
	found->available = rte_mempool_avail_count(mp);
	found->done = true;
}

static bool
taker_comes_back(struct rte_mempool *mp)
{
	const struct rlimit limit = {TAKER_CPU_S, TAKER_CPU_S};
	pid_t pid = fork();

	if (pid == 0) {
		setrlimit(RLIMIT_CPU, &limit);
		signal(SIGALRM, SIG_DFL);
		alarm(TAKER_ALARM_S);
		take(mp);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	return found->done;
}

static void
book(struct sums *sums, unsigned int before)
{
	unsigned int lost = before > found->available ? before - found->available : 0;
	unsigned int held = found->held;

	sums->lost += lost;
	sums->most = RTE_MAX(sums->most, lost);
	sums->beyond += lost > held ? lost - held : 0;
	sums->far = RTE_MAX(sums->far, found->available - RTE_MIN(found->available, found->taken));
	sums->twice += found->twice;
}

static void
on_alarm(int number)
{
	static const char text[] = "the process that made the pool waits for ever\n";

	(void)number;
	_exit(write(STDOUT_FILENO, text, sizeof(text) - 1) > 0 ? 2 : 3);
}

static struct sums
run(unsigned int kills)
{
	struct rte_mempool *mp = pool_make();
	struct sums sums = {.hangs = 0};
	unsigned int i, before = OBJECTS;

	signal(SIGALRM, on_alarm);
	for (i = 0; i < kills; i++) {
		fprintf(stderr, "\r%u ", i);
		alarm(2 * TAKER_ALARM_S);
		kill_one(mp);
		usleep(SETTLE_US);
		if (taker_comes_back(mp))
			book(&sums, before);
		else
			sums.hangs++;
		before = found->available;
		/* Not freed: somebody waits in it, or has its objects. */
		if (!found->done || before < OBJECTS / 2) {
			mp = pool_make();
			before = OBJECTS;
		}
	}
	return sums;
}

int
main(int argc, char **argv)
{
	int used = rte_eal_init(argc, argv);
	unsigned int kills;
	struct sums sums;

	if (used < 0 || argc - used < 5) {
		fprintf(stderr, "usage: kills EAL-OPTIONS -- HANDLER CACHE_SIZE KILLS HOLD "
				"[OPTIONS]\n");
		return 1;
	}
	argv += used;
	plan.handler = argv[1];
	plan.cache = (unsigned int)atoi(argv[2]);
	kills = (unsigned int)atoi(argv[3]);
	plan.hold = RTE_MIN((unsigned int)atoi(argv[4]), OBJECTS / 2u);
	plan.options = argc - used > 5 ? argv[5] : NULL;
	found = mmap(NULL, sizeof(*found), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	if (found == MAP_FAILED)
		return 1;
	sums = run(kills);
	printf("%s, cache %u, hold %u: %u kills: %u hang, lost %.1f on average, %u at most, "
	       "%u beyond what was held; out of reach %u at most; had twice %u\n",
	       plan.handler, plan.cache, plan.hold, kills, sums.hangs,
	       kills > sums.hangs ? (double)sums.lost / (kills - sums.hangs) : 0.0, sums.most,
	       sums.beyond, sums.far, sums.twice);
	fflush(stdout);
	/* Pools in which somebody waits cannot be freed. */
	_exit(0);
}
