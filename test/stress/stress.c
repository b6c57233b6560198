/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_service.h>

#include "../patience.h"
#include "../refuse_call.h"
#include "stress.h"

#define CELL_MS 1100
#define CELL_FULL_MS 5000
/* A cell that takes this much longer than it should hangs. */
#define HANG_SECONDS 90
#define ARGS_MAX 32
#define SERVICE_NAME "magazine"

static struct {
	uint64_t seed;
	_Atomic uint64_t threads; /* generators made */
	cpu_set_t cpus;
	unsigned int spare;
	bool filtered;
	const char *cell;
	unsigned int limit;   /* seconds that a cell may take on an idle machine */
	unsigned int waited;  /* seconds that it has when the alarm comes */
	pthread_mutex_t lock; /* guards blame */
	char blame[256];
	_Atomic uint32_t blamed;
} stress = {.lock = PTHREAD_MUTEX_INITIALIZER};

static unsigned long
env_number(const char *name, unsigned long otherwise)
{
	const char *text = getenv(name);

	return text != NULL && *text != '\0' ? strtoul(text, NULL, 0) : otherwise;
}

unsigned int
stress_ms(unsigned int normal, unsigned int full)
{
	unsigned int ms = env_number("MAGAZINE_FULL", 0) == 1 ? full : normal;

	return env_number("MAGAZINE_STRESS_MS", ms);
}

unsigned int
stress_cell_ms(void)
{
	return stress_ms(CELL_MS, CELL_FULL_MS);
}

uint64_t
stress_seed(void)
{
	return stress.seed;
}

uint64_t
stress_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ull + now.tv_nsec / 1000000;
}

struct rng
stress_rng(void)
{
	uint64_t n = atomic_fetch_add_explicit(&stress.threads, 1, memory_order_relaxed) + 1;
	struct rng rng = {.state = (stress.seed + n) * 0x9e3779b97f4a7c15ull | 1};

	rng_next(&rng);
	return rng;
}

void
stress_say(const char *format, ...)
{
	char line[512];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	printf("# %s\n", line);
	fflush(stdout);
}

void
stress_blame(const char *format, ...)
{
	char line[sizeof(stress.blame)];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	pthread_mutex_lock(&stress.lock);
	if (atomic_fetch_add_explicit(&stress.blamed, 1, memory_order_relaxed) == 0)
		memcpy(stress.blame, line, sizeof(stress.blame));
	pthread_mutex_unlock(&stress.lock);
}

bool
stress_blamed(void)
{
	return atomic_load_explicit(&stress.blamed, memory_order_relaxed) != 0;
}

static void
on_hang(int signal)
{
	static const char text[] = "Bail out! a cell hangs\n";

	RTE_SET_USED(signal);
	if (stress.waited < stress.limit * patience()) {
		alarm(stress.limit);
		stress.waited += stress.limit;
		return;
	}
	if (write(STDOUT_FILENO, text, sizeof(text) - 1) > 0)
		abort();
	_exit(1);
}

void
stress_begin_long(const char *cell, unsigned int ms)
{
	stress.cell = cell;
	atomic_store_explicit(&stress.blamed, 0, memory_order_relaxed);
	signal(SIGALRM, on_hang);
	stress.limit = ms / 1000 * 2 + HANG_SECONDS;
	stress.waited = stress.limit;
	alarm(stress.limit);
}

void
stress_begin(const char *cell)
{
	stress_begin_long(cell, stress_cell_ms());
}

void
stress_end(void)
{
	uint32_t count = atomic_load_explicit(&stress.blamed, memory_order_relaxed);

	alarm(0);
	if (count > 0)
		fail_msg("%s: %s (and %u more)", stress.cell, stress.blame, count - 1);
}

void
stress_run_anywhere(void)
{
	pthread_setaffinity_np(pthread_self(), sizeof(stress.cpus), &stress.cpus);
}

/* The nth CPU that this process may use, beginning again after the last one. */
static unsigned int
cpu_number(unsigned int n)
{
	unsigned int cpu;

	n %= CPU_COUNT(&stress.cpus);
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &stress.cpus) && n-- == 0)
			return cpu;
	return 0;
}

/* Lcore 0 and the spare one on all CPUs, those between on one each. */
static void
lcores_text(char *text, size_t size, unsigned int workers)
{
	unsigned int i, cpus = CPU_COUNT(&stress.cpus);
	char all[256] = "";
	size_t at = 0;

	for (i = 0; i < RTE_MIN(cpus, 32u); i++)
		at += snprintf(all + at, sizeof(all) - at, "%s%u", i > 0 ? "," : "", cpu_number(i));
	at = snprintf(text, size, "0@(%s)", all);
	for (i = 1; i <= workers; i++)
		at += snprintf(text + at, size - at, ",%u@%u", i, cpu_number(i));
	snprintf(text + at, size - at, ",%u@(%s)", i, all);
	stress.spare = i;
}

static bool
take_arg(int *argc, char **argv, const char *arg)
{
	int i;

	for (i = 1; i < *argc && strcmp(argv[i], arg) != 0; i++)
		;
	if (i == *argc)
		return false;
	for (; i + 1 < *argc; i++)
		argv[i] = argv[i + 1];
	(*argc)--;
	return true;
}

/* The library was loaded before, and could register. Threads that EAL starts inherit the filter. */
static bool
refuse_membarrier(void)
{
	int error = stress.seed & 1 ? EPERM : ENOSYS;
	int ret = refuse_call(__NR_membarrier, error);

	stress_say("membarrier fails with %s%s%s", strerror(error), ret != 0 ? ": no filter: " : "",
		   ret != 0 ? strerror(-ret) : "");
	return ret == 0;
}

int
stress_start(int argc, char **argv)
{
	static char lcores[2048];
	static const char *const fixed[] = {"--no-huge",   "-m",       "256",
					    "--no-shconf", "--no-pci", "--no-telemetry",
					    "--lcores",    lcores};
	char *args[ARGS_MAX] = {argv[0]};
	unsigned int workers, n = 1;
	int i;

	sched_getaffinity(0, sizeof(stress.cpus), &stress.cpus);
	workers = RTE_MIN(CPU_COUNT(&stress.cpus), STRESS_CROWD);
	if (take_arg(&argc, argv, "--crowded"))
		workers = STRESS_CROWD;
	stress.filtered = take_arg(&argc, argv, "--filtered");
	lcores_text(lcores, sizeof(lcores), workers);
	for (i = 0; i < (int)RTE_DIM(fixed); i++)
		args[n++] = (char *)(uintptr_t)fixed[i];
	for (i = 1; i < argc && n < ARGS_MAX - 1; i++)
		args[n++] = argv[i];
	stress.seed = env_number("MAGAZINE_SEED", time(NULL));
	stress_say("seed %" PRIu64 ", %u worker lcores on %d CPUs", stress.seed, workers,
		   CPU_COUNT(&stress.cpus));
	if (stress.filtered && !refuse_membarrier())
		return -1;
	if (rte_eal_init(n, args) >= 0)
		return 0;
	stress_say("EAL does not start: %s", rte_strerror(rte_errno));
	return -1;
}

bool
stress_filtered(void)
{
	return stress.filtered;
}

bool
stress_is_spare(unsigned int lcore)
{
	return lcore == stress.spare;
}

void
stress_service_start(void)
{
	uint32_t id;

	if (rte_service_lcore_add(stress.spare) != 0 || rte_service_lcore_start(stress.spare) != 0)
		stress_blame("no service lcore %u", stress.spare);
	if (rte_service_get_by_name(SERVICE_NAME, &id) == 0)
		rte_service_map_lcore_set(id, stress.spare, 1);
}

/* Maintenance maps its service again as long as there is a service lcore: so ask more than once. */
void
stress_service_stop(void)
{
	uint32_t id;

	do {
		if (rte_service_get_by_name(SERVICE_NAME, &id) == 0)
			rte_service_map_lcore_set(id, stress.spare, 0);
	} while (rte_service_lcore_stop(stress.spare) == -EBUSY);
	rte_eal_wait_lcore(stress.spare);
	rte_service_lcore_del(stress.spare);
}
