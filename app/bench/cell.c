/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "measure.h"

/* A process that has ended no turn in such a time hangs. */
#define HANG_SECONDS 60
/* What a mempool adds to an object: header, padding between channels. */
#define OBJECT_OVERHEAD 192
/* Lies in front of magazines in memory, and EAL's own. */
#define MEMORY_OWN (48u << 20)

struct cell_setup cell_setup;

static struct share *share;
static volatile sig_atomic_t child; /* 0: there is none */
static unsigned int begun;          /* cells */

unsigned int
cell_peers(const struct pattern *pattern)
{
	unsigned int count = 0;

	while (pattern->peers[count].name != NULL)
		count++;
	return count;
}

unsigned int
cell_objects(const struct cell *cell)
{
	/* In rte_mempool's cache up to 1.5 x 512, in magazines and rings 1024: for every lcore. */
	unsigned int least = cell->lcores * (cell->pattern->hold + 1536 + 1024);
	unsigned int objects = RTE_MAX(8191u, cell->pattern->objects);

	while (objects < least)
		objects = 2 * objects + 1;
	return objects;
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double
cell_quantile(double *values, unsigned int count, double where)
{
	qsort(values, count, sizeof(*values), by_value);
	return values[(unsigned int)((count - 1) * where + 0.5)];
}

void
cell_abandon(void)
{
	if (child > 0) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
	if (share != NULL && share->runtime[0] != '\0')
		rmdir(share->runtime);
}

static void
progress(const struct cell *cell)
{
	static bool tty, asked;

	if (!asked)
		tty = isatty(STDERR_FILENO) == 1;
	asked = true;
	if (!tty)
		return;
	if (cell == NULL)
		fprintf(stderr, "\r\033[K");
	else
		fprintf(stderr, "\r\033[K%u of %u: %s, round %u of %u", begun, cell_setup.cells,
			cell->name, share->round, share->rounds);
}

/* Until it has ended; false: it hung, and has been killed. */
static bool
wait_for(const struct cell *cell, int *status)
{
	struct pollfd fd = {.fd = (int)syscall(SYS_pidfd_open, child, 0), .events = POLLIN};
	unsigned int beat = share->beat, still = 0;

	while (still < 2 * HANG_SECONDS) {
		progress(cell);
		if (poll(&fd, 1, 500) > 0)
			break;
		still = share->beat == beat ? still + 1 : 0;
		beat = share->beat;
	}
	if (still == 2 * HANG_SECONDS)
		kill(child, SIGKILL);
	while (waitpid(child, status, 0) < 0 && errno == EINTR)
		;
	child = 0;
	if (fd.fd >= 0)
		close(fd.fd);
	progress(NULL);
	return still < 2 * HANG_SECONDS;
}

static void
child_main(struct cell *cell, uint32_t peers, pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	/* What EAL has to say is not for the table. */
	dup2(STDERR_FILENO, STDOUT_FILENO);
	measure(cell, peers, share);
	_exit(0);
}

/* Known from the start, so that nothing is left of a process that is killed while it makes them. */
static void
name_files(void)
{
	const char *begin = getenv("MAGAZINE_FILE_PREFIX"), *folder = getenv("RUNTIME_DIRECTORY");
	static unsigned int count;

	if (folder == NULL)
		folder = getuid() == 0 ? "/var/run" : getenv("XDG_RUNTIME_DIR");
	snprintf(share->prefix, sizeof(share->prefix), "%.40s-bench-%d-%u",
		 begin != NULL ? begin : "magazine", getpid(), count++ % 1000);
	snprintf(share->runtime, sizeof(share->runtime), "%s/dpdk/%s",
		 folder != NULL ? folder : "/tmp", share->prefix);
}

/*
 * Run some peers in one process. Returns those that are still to do: one that crashed or hung took
 * the others with it.
 */
static uint32_t
run_peers(struct cell *cell, uint32_t peers)
{
	struct cell_found *found;
	pid_t self = getpid();
	bool ended;
	int status;

	name_files();
	share->peer = CELL_PEERS_MAX;
	fflush(NULL);
	child = fork();
	if (child == 0)
		child_main(cell, peers, self);
	if (child < 0) {
		child = 0;
		return 0;
	}
	ended = wait_for(cell, &status);
	rmdir(share->runtime);
	share->runtime[0] = '\0';
	if (ended && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	/* Not in the turn of a peer: then nobody can be blamed, and nothing is known. */
	if (share->peer >= CELL_PEERS_MAX)
		return 0;
	found = &share->found[share->peer];
	found->end = ended ? BENCH_FAILED : BENCH_SKIPPED;
	if (!ended)
		snprintf(found->why, BENCH_WHY, "hangs: no turn ended in %u s", HANG_SECONDS);
	else
		snprintf(found->why, BENCH_WHY, "crashed: %s",
			 WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "it left");
	return share->peer == cell->pattern->base ? 0 : peers & ~RTE_BIT32(share->peer);
}

/*
 * Peers of a cell that memory has room for at once, of those that are left; the base is one of
 * them.
 */
static uint32_t
choose(const struct cell *cell, uint32_t left)
{
	const struct pattern *pattern = cell->pattern;
	uint64_t one, room;
	uint32_t chosen = RTE_BIT32(pattern->base);
	unsigned int p, more;

	one = (uint64_t)cell_objects(cell) * (pattern->object_size + OBJECT_OVERHEAD);
	one += 4u << 20;
	room = cell_setup.memory > MEMORY_OWN ? cell_setup.memory - MEMORY_OWN : 0;
	/* At least one beside the base: its row then says what is missing. */
	more = room / one > 2 ? (unsigned int)(room / one - 1) : 1;
	for (p = 0; p < cell_peers(pattern) && more > 0; p++) {
		if ((left & RTE_BIT32(p)) == 0 || p == pattern->base)
			continue;
		chosen |= RTE_BIT32(p);
		more--;
	}
	return chosen;
}

static void
measure_all(struct cell *cell)
{
	uint32_t left = 0, now;
	unsigned int p;

	for (p = 0; p < cell_peers(cell->pattern); p++)
		if (cell->wanted[p])
			left |= RTE_BIT32(p);
	while (left != 0) {
		now = choose(cell, left);
		left &= ~now;
		while (now != 0)
			now = run_peers(cell, now);
	}
}

static void
say_all(const struct cell *cell, const char *why)
{
	unsigned int p;

	for (p = 0; p < cell_peers(cell->pattern); p++) {
		if (share->found[p].why[0] != '\0')
			continue;
		share->found[p].end = BENCH_SKIPPED;
		snprintf(share->found[p].why, BENCH_WHY, "%s", why);
	}
}

const struct cell_found *
cell_measure(struct cell *cell)
{
	size_t size = sizeof(share->found);
	struct cell_found *found;

	if (share == NULL)
		share = mmap(NULL, sizeof(*share), PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	found = realloc(cell->found, (cell->measured + 1) * size);
	if (share == MAP_FAILED || found == NULL) {
		fprintf(stderr, "bench: no memory for the results of %s\n", cell->name);
		exit(EXIT_FAILURE);
	}
	cell->found = found;
	if (cell->measured == 0)
		begun++;
	memset(share, 0, sizeof(*share));
	cell->overcommitted = cell->lcores > team_cpus();
	if (cell->pattern->waits && cell->overcommitted && team_cpus() == 1)
		say_all(cell, "lcores of this pattern wait for each other: needs two CPUs");
	else if (cell_setup.memory == 0)
		say_all(cell, "no free hugepages: reserve some, e.g. 640 MB");
	else
		measure_all(cell);
	say_all(cell, "the process that measured it ended early");
	found += cell->measured * CELL_PEERS_MAX;
	memcpy(found, share->found, size);
	cell->measured++;
	return found;
}
