/* SPDX-License-Identifier: BSD-3-Clause */
#include <dirent.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_malloc.h>

#include "../patience.h"
#include "start.h"

#define ARGS_MAX 64
#define CPUS_LISTED 32u

static cpu_set_t cpus;
static char prefix[128];
static uint64_t random_state;

static struct {
	unsigned int seconds; /* on an idle machine */
	unsigned int waited;  /* when the alarm comes */
	const char *line;
} limit;

const char *
env_text(const char *name, const char *otherwise)
{
	const char *text = getenv(name);

	return text != NULL && *text != '\0' ? text : otherwise;
}

unsigned long
env_number(const char *name, unsigned long otherwise)
{
	const char *text = env_text(name, NULL);

	return text != NULL ? strtoul(text, NULL, 0) : otherwise;
}

bool
run_is_full(void)
{
	return strcmp(env_text("MAGAZINE_FULL", ""), "1") == 0;
}

void
say(const char *format, ...)
{
	va_list args;

	flockfile(stdout);
	printf("# ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	funlockfile(stdout);
}

uint64_t
seed_choose(void)
{
	random_state = env_number("MAGAZINE_SEED", 0);
	if (random_state == 0)
		random_state = (uint64_t)time(NULL) << 16 ^ getpid();
	say("MAGAZINE_SEED=%" PRIu64, random_state);
	return random_state;
}

uint32_t
random_from(uint64_t *state, uint32_t below)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return ((*state >> 33) * below) >> 31;
}

uint32_t
random_below(uint32_t below)
{
	return random_from(&random_state, below);
}

uint64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ull + now.tv_nsec / 1000000;
}

static void
time_is_up(int number)
{
	RTE_SET_USED(number);
	if (limit.waited < limit.seconds * patience()) {
		limit.waited += limit.seconds;
		alarm(limit.seconds);
		return;
	}
	if (write(STDOUT_FILENO, limit.line, strlen(limit.line)) > 0)
		abort();
	_exit(2);
}

void
time_limit(unsigned int seconds, const char *line)
{
	limit.seconds = limit.waited = seconds;
	limit.line = line;
	signal(SIGALRM, time_is_up);
	alarm(seconds);
}

/* Before EAL pins the main thread. */
__attribute__((constructor)) static void
cpus_read(void)
{
	sched_getaffinity(0, sizeof(cpus), &cpus);
}

unsigned int
cpu_count(void)
{
	return CPU_COUNT(&cpus);
}

unsigned int
cpu_nth(unsigned int n)
{
	unsigned int cpu = 0;

	for (n %= cpu_count(); cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &cpus) && n-- == 0)
			break;
	return cpu;
}

void
cpu_any(void)
{
	pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus);
}

/* Lcores i@CPU; of a roaming plan the first and one more at the end are i@(all CPUs). */
static char *
lcore_map(const struct eal_plan *plan)
{
	static char map[2048];
	unsigned int i, most = RTE_MIN(cpu_count(), CPUS_LISTED);
	char all[256] = "";
	size_t at = 0;

	for (i = 0; i < most; i++)
		at += snprintf(all + at, sizeof(all) - at, "%s%u", i > 0 ? "," : "", cpu_nth(i));
	for (i = 0, at = 0; i < plan->lcores + plan->roaming; i++) {
		at += snprintf(map + at, sizeof(map) - at, "%s%u@", i > 0 ? "," : "", i);
		if (plan->roaming && (i == 0 || i == plan->lcores))
			at += snprintf(map + at, sizeof(map) - at, "(%s)", all);
		else
			at += snprintf(map + at, sizeof(map) - at, "%u", cpu_nth(i));
	}
	return map;
}

const char *
eal_prefix(void)
{
	return prefix;
}

void
eal_files_remove(void)
{
	const char *folder = rte_eal_get_runtime_dir();
	struct dirent *entry;
	char path[PATH_MAX];
	DIR *dir = opendir(folder);

	if (dir == NULL)
		return;
	while ((entry = readdir(dir)) != NULL) {
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		unlink(path);
	}
	closedir(dir);
	rmdir(folder);
}

struct args {
	char *text[ARGS_MAX]; /* EAL may change their order, and drops one */
	int count;
	char room[4096];
	size_t used;
};

static void
args_add(struct args *args, const char *text)
{
	size_t bytes = strlen(text) + 1;

	if (args->count == ARGS_MAX || args->used + bytes > sizeof(args->room))
		abort();
	args->text[args->count++] = memcpy(args->room + args->used, text, bytes);
	args->used += bytes;
}

static void
args_add_pair(struct args *args, const char *option, const char *value)
{
	args_add(args, option);
	args_add(args, value);
}

int
eal_try(const struct eal_plan *plan)
{
	static struct args args; /* EAL keeps what it was given */
	char memory[16];
	int ret;

	snprintf(prefix, sizeof(prefix), "%s-%s-%d", env_text("MAGAZINE_FILE_PREFIX", "magazine"),
		 plan->name, plan->primary != 0 ? plan->primary : getpid());
	args_add(&args, plan->name);
	args_add(&args, "--no-pci");
	args_add_pair(&args, "--file-prefix", prefix);
	if (plan->lcores > 0)
		args_add_pair(&args, "--lcores", lcore_map(plan));
	if (plan->primary != 0)
		args_add(&args, "--proc-type=secondary");
	if (plan->plugin != NULL)
		args_add_pair(&args, "-d", plan->plugin);
	if (plan->megabytes > 0) {
		snprintf(memory, sizeof(memory), "%u", plan->megabytes);
		args_add(&args, "--no-huge");
		args_add_pair(&args, "-m", memory);
	}
	for (int i = 0; plan->args != NULL && plan->args[i] != NULL; i++)
		args_add(&args, plan->args[i]);
	for (int i = 1; i < plan->argc; i++)
		args_add(&args, plan->argv[i]);
	ret = rte_eal_init(args.count, args.text);
	if (ret >= 0 && plan->megabytes > 0)
		atexit(eal_files_remove);
	return ret;
}

void
eal_must(const struct eal_plan *plan)
{
	if (eal_try(plan) >= 0)
		return;
	printf("Bail out! EAL: %s\n", rte_strerror(rte_errno));
	exit(1);
}

static struct rte_malloc_socket_stats
heap_sums(void)
{
	struct rte_malloc_socket_stats stats, sums = {0};

	for (unsigned int i = 0; i < rte_socket_count(); i++)
		if (rte_malloc_get_socket_stats(rte_socket_id_by_idx(i), &stats) == 0) {
			sums.heap_allocsz_bytes += stats.heap_allocsz_bytes;
			sums.alloc_count += stats.alloc_count;
		}
	return sums;
}

uint64_t
heap_balance(void)
{
	return heap_sums().heap_allocsz_bytes;
}

unsigned int
heap_allocations(void)
{
	return heap_sums().alloc_count;
}
