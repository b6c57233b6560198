/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <rte_branch_prediction.h>
#include <rte_common.h>
#include <rte_eal.h>

#include "base/counter.h"
#include "base/process.h"

uint32_t mag_process_id;
pid_t mag_process_pid;
_Atomic bool mag_process_is_child;

static bool (*process_is_heir)(void); /* NULL: not in a process that may have been forked */

/*
 * What differs between processes where the kernel gives no random number, because a filter of
 * system calls forbids it: bytes that each program got from the kernel at its start, and what a
 * fork() changes.
 */
static uint32_t
draw_without_kernel(void)
{
	const void *start = (const void *)getauxval(AT_RANDOM);
	struct timespec now = {0};
	uint64_t mix = 0;

	if (start != NULL)
		memcpy(&mix, start, sizeof(mix));
	clock_gettime(CLOCK_MONOTONIC, &now);
	mix ^= (uint64_t)getpid() << 32 ^ (uint64_t)now.tv_sec * 1000000000 ^ (uint64_t)now.tv_nsec;
	/* The halves of the product's upper part depend on all bits (Fibonacci hashing). */
	return (uint32_t)(mix * UINT64_C(0x9e3779b97f4a7c15) >> 32);
}

void
mag_process_renew(void)
{
	uint32_t before = mag_process_id, id;

	do
		if (getrandom(&id, sizeof(id), GRND_NONBLOCK) != sizeof(id))
			id = draw_without_kernel();
	while (id == 0 || id == before);
	mag_process_id = id;
	mag_process_pid = getpid();
}

/* Before any other constructor can take a lock. */
RTE_INIT_PRIO(mag_process_load, LOG)
{
	mag_process_renew();
}

uint64_t
mag_process_thread(void)
{
	static _Thread_local uint64_t thread;

	/* The only thread of a forked child has its parent's copy. */
	if (unlikely(thread >> 32 != mag_process_id))
		thread = (uint64_t)mag_process_id << 32 | (uint32_t)gettid();
	return thread;
}

/* State, threads and start of a process, from /proc. */
static bool
stat_read(pid_t pid, char *state, int *threads, uint64_t *start)
{
	char path[32], text[1024], *end;
	bool all = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "re");
	if (file == NULL)
		return false;
	/* The name of the program, in parentheses, may have any character. */
	if (fgets(text, sizeof(text), file) != NULL && (end = strrchr(text, ')')) != NULL)
		all = sscanf(end,
			     ") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d "
			     "%d %*d %" SCNu64,
			     state, threads, start) == 3;
	fclose(file);
	return all;
}

/* A main thread that has ended while others go on looks like a zombie, too. */
static bool
is_zombie(char state, int threads)
{
	return (state == 'Z' || state == 'X') && threads <= 1;
}

uint64_t
mag_process_start(pid_t pid)
{
	uint64_t start;
	int threads;
	char state;

	return stat_read(pid, &state, &threads, &start) && !is_zombie(state, threads) ? start : 0;
}

enum mag_process_fate
mag_process_fate(pid_t pid, uint64_t start)
{
	uint64_t began;
	int threads;
	char state;

	if (kill(pid, 0) != 0 && errno == ESRCH)
		return MAG_PROCESS_ENDED;
	if (!stat_read(pid, &state, &threads, &began))
		return MAG_PROCESS_HIDDEN;
	/* Another process may have the pid by now. */
	if (is_zombie(state, threads) || (start != 0 && began != start))
		return MAG_PROCESS_ENDED;
	return MAG_PROCESS_RUNS;
}

void
mag_process_on_fork(bool (*is_heir)(void))
{
	process_is_heir = is_heir;
}

void
mag_process_look_for_parent(void)
{
	if (process_is_heir != NULL)
		process_is_heir();
}

bool
mag_process_is_secondary(void)
{
	mag_process_look_for_parent();
	return MAG_STAT(mag_process_is_child) || rte_eal_process_type() == RTE_PROC_SECONDARY;
}
