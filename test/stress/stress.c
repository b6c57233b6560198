/* SPDX-License-Identifier: BSD-3-Clause */

#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_service.h>

#include "../refuse_call.h"
#include "stress.h"

#define CELL_MS 1100
#define CELL_FULL_MS 5000
/* A cell that takes this much longer than it should hangs. */
#define HANG_SECONDS 90
#define SERVICE_NAME "magazine"

static struct {
	uint64_t seed;
	_Atomic uint64_t threads; /* generators made */
	unsigned int spare;
	bool filtered;
	const char *cell;
	pthread_mutex_t lock; /* guards blame */
	char blame[256];
	_Atomic uint32_t blamed;
} stress = {.lock = PTHREAD_MUTEX_INITIALIZER};

unsigned int
stress_ms(unsigned int normal, unsigned int full)
{
	return env_number("MAGAZINE_STRESS_MS", run_is_full() ? full : normal);
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

struct rng
stress_rng(void)
{
	uint64_t n = atomic_fetch_add_explicit(&stress.threads, 1, memory_order_relaxed) + 1;
	struct rng rng = {.state = (stress.seed + n) * 0x9e3779b97f4a7c15ull | 1};

	rng_next(&rng);
	return rng;
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

void
stress_begin_long(const char *cell, unsigned int ms)
{
	stress.cell = cell;
	atomic_store_explicit(&stress.blamed, 0, memory_order_relaxed);
	time_limit(ms / 1000 * 2 + HANG_SECONDS, "Bail out! a cell hangs\n");
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

	time_limit(0, "");
	if (count > 0)
		fail_msg("%s: %s (and %u more)", stress.cell, stress.blame, count - 1);
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

	say("membarrier fails with %s%s%s", strerror(error), ret != 0 ? ": no filter: " : "",
	    ret != 0 ? strerror(-ret) : "");
	return ret == 0;
}

int
stress_start(int argc, char **argv)
{
	static const char *const fixed[] = {"--no-shconf", "--no-telemetry", NULL};
	struct eal_plan plan = {.name = "stress", .megabytes = 256, .roaming = true, .args = fixed};
	bool crowded = take_arg(&argc, argv, "--crowded");

	stress.filtered = take_arg(&argc, argv, "--filtered");
	stress.spare =
		crowded ? STRESS_CROWD + 1 : RTE_MIN(cpu_count(), (unsigned int)STRESS_CROWD) + 1;
	plan.lcores = stress.spare;
	plan.argc = argc;
	plan.argv = argv;
	stress.seed = seed_choose();
	say("%u worker lcores on %u CPUs", stress.spare - 1, cpu_count());
	if (stress.filtered && !refuse_membarrier())
		return -1;
	if (eal_try(&plan) >= 0)
		return 0;
	say("EAL does not start: %s", rte_strerror(rte_errno));
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
