/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What a service lcore pays for a turn of maintenance that finds nothing to do.
 *
 * The service is called as a service lcore calls it, by EAL. So is one whose callback only
 * returns; the two take turns of some thousand calls, and the difference in a round is what ours
 * does itself. Printed are medians over the rounds, in nanoseconds a call.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_service.h>
#include <rte_service_component.h>

#include "cache.h"

#define CALLS 4096
#define ROUNDS 2001
#define OBJECTS 4096
#define OBJECT_SIZE 64

static int32_t
nothing(void *arg)
{
	RTE_SET_USED(arg);
	return -EAGAIN;
}

static struct mag_cache *
cache_make(void)
{
	static char memory[OBJECTS][OBJECT_SIZE] __rte_cache_aligned;
	static void *address[OBJECTS];
	struct mag_region_params from = {.name = "idle", .object_size = OBJECT_SIZE, .node = -1};
	struct mag_cache_params params = {
		.name = "idle",
		.object_size = OBJECT_SIZE,
		.region = mag_region_create(&from),
		.options = "interval=3600",
		.node = -1,
	};
	unsigned int i;

	for (i = 0; i < OBJECTS; i++)
		address[i] = memory[i];
	if (params.region == NULL || mag_region_adopt(params.region, address, OBJECTS, -1) != 0)
		return NULL;
	return mag_cache_create(&params);
}

/* As ours: safe for several lcores, so EAL takes no lock around it. */
static int
nothing_register(uint32_t *id)
{
	struct rte_service_spec spec = {
		.name = "nothing", .callback = nothing, .capabilities = RTE_SERVICE_CAP_MT_SAFE};

	if (rte_service_component_register(&spec, id) != 0)
		return -1;
	rte_service_component_runstate_set(*id, 1);
	rte_service_runstate_set(*id, 1);
	return 0;
}

/* Nanoseconds a call. */
static double
turn(uint32_t id)
{
	uint64_t start = rte_rdtsc();
	unsigned int i;

	for (i = 0; i < CALLS; i++)
		if (rte_service_run_iter_on_app_lcore(id, 0) != 0)
			rte_exit(EXIT_FAILURE, "service %u does not run\n", id);
	return (rte_rdtsc() - start) * 1e9 / rte_get_tsc_hz() / CALLS;
}

static int
ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double
median(double *values)
{
	qsort(values, ROUNDS, sizeof(values[0]), ascending);
	return values[ROUNDS / 2];
}

int
main(int argc, char **argv)
{
	static double empty[ROUNDS], ours[ROUNDS], difference[ROUNDS];
	uint32_t ours_id, empty_id;
	unsigned int i;

	if (rte_eal_init(argc, argv) < 0)
		return EXIT_FAILURE;
	if (cache_make() == NULL || nothing_register(&empty_id) != 0 ||
	    rte_service_get_by_name("magazine", &ours_id) != 0)
		rte_exit(EXIT_FAILURE, "no cache, or no services\n");
	for (i = 0; i < ROUNDS; i++) {
		empty[i] = turn(empty_id);
		ours[i] = turn(ours_id);
		difference[i] = ours[i] - empty[i];
	}
	if (mag_maint_runner() != MAG_MAINT_SERVICE)
		rte_exit(EXIT_FAILURE, "maintenance did not notice that it was called\n");
	printf("service   ns a call\nempty     %9.1f\nmagazine  %9.1f\nitself    %9.1f\n",
	       median(empty), median(ours), median(difference));
	rte_eal_cleanup();
	return EXIT_SUCCESS;
}
