/* SPDX-License-Identifier: BSD-3-Clause */

/* Caches and pools of one process in the hands of another. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_memzone.h>

#include "harness.h"
#include "mag_cache.h"
#include "mag_maint.h"
#include "visit.h"

/* Set in a copy of this program that is the secondary process: what it does. */
#define ENV_CHILD "CONTRACT_PROCESS"

#define SHARED "contract-processes"
#define LCORES 2
#define OBJECTS 1000
#define SIZE 256

/* What both processes know. */
struct shared {
	pid_t pid;
	pid_t tid;
	struct mag_cache *plain;
	struct mag_cache *with_callbacks;
};

static struct shared *shared;

/* In the secondary process: what holds, or the line that does not is what it ends with. */
#define HOLDS(what)                                                                                \
	do {                                                                                       \
		if (!(what)) {                                                                     \
			fprintf(stderr, "secondary process, line %d: not " #what "\n", __LINE__);  \
			return 1;                                                                  \
		}                                                                                  \
	} while (0)

static unsigned int constructed;

static int
construct(const struct mag_object_info *object __rte_unused,
	  const struct mag_object_info *mirror __rte_unused, void *arg,
	  unsigned int flags __rte_unused)
{
	constructed++;
	return arg == &constructed ? 0 : -1;
}

static void
destruct(void *object __rte_unused, void *arg __rte_unused)
{
	constructed--;
}

/* Our process and thread numbers are those of the primary, which is in the perimeter of both caches. */
static int
child_with_our_number(void)
{
	void *object;

	HOLDS(getpid() == shared->pid && gettid() == shared->tid);
	HOLDS(mag_cache_alloc(shared->with_callbacks) == NULL);
	HOLDS(mag_cache_purge(shared->with_callbacks) == -EPERM);
	HOLDS(mag_cache_destroy(shared->with_callbacks) == -EPERM);
	HOLDS(mag_cache_purge(shared->plain) == -EBUSY);
	HOLDS(mag_cache_reap_now(shared->plain, true) == -EBUSY);
	object = mag_cache_alloc(shared->plain);
	HOLDS(object != NULL);
	mag_cache_free(shared->plain, object);
	return 0;
}

static int
run_as_child(int argc, char **argv, const char *what)
{
	const struct rte_memzone *zone;
	int ret = 3;

	if (harness_start_secondary(argc, argv, 1) < 0)
		return HARNESS_REFUSED;
	zone = rte_memzone_lookup(SHARED);
	HOLDS(zone != NULL);
	shared = zone->addr;
	if (strcmp(what, "number") == 0)
		ret = child_with_our_number();
	return rte_eal_cleanup() == 0 ? ret : 4;
}

static struct mag_region *region;

static int
setup(void **state __rte_unused)
{
	const struct rte_memzone *zone =
		rte_memzone_reserve(SHARED, sizeof(*shared), SOCKET_ID_ANY, 0);
	struct mag_region_params of = {.name = "shared",
				       .object_size = SIZE,
				       .objects = OBJECTS,
				       .block = OBJECTS / 4,
				       .node = -1};
	struct mag_cache_params params = {.name = "plain", .object_size = SIZE, .node = -1};

	assert_non_null(zone);
	shared = zone->addr;
	region = mag_region_create(&of);
	assert_non_null(region);
	/* A segment for each, whoever comes first. */
	assert_int_equal(mag_region_grow(region, 1), 1);
	params.region = region;
	*shared = (struct shared){.pid = getpid(), .tid = gettid()};
	shared->plain = mag_cache_create(&params);
	params.name = "with callbacks";
	params.constructor = construct;
	params.destructor = destruct;
	params.arg = &constructed;
	shared->with_callbacks = mag_cache_create(&params);
	assert_true(shared->plain != NULL && shared->with_callbacks != NULL);
	return 0;
}

static int
teardown(void **state __rte_unused)
{
	assert_int_equal(mag_cache_destroy(shared->plain), 0);
	assert_int_equal(mag_cache_destroy(shared->with_callbacks), 0);
	assert_int_equal(mag_region_destroy(region), 0);
	assert_int_equal(constructed, 0);
	return rte_memzone_free(rte_memzone_lookup(SHARED));
}

static void
a_process_with_our_number_is_another_one(void **state __rte_unused)
{
	void *object = mag_cache_alloc(shared->with_callbacks);
	int status;

	assert_non_null(object);
	mag_cache_free(shared->with_callbacks, object);
	assert_true(mag_perimeter_enter(shared->plain, false));
	assert_true(mag_perimeter_enter(shared->with_callbacks, false));
	status = harness_copy_status(harness_copy_with_our_number(ENV_CHILD, "number"));
	mag_perimeter_leave(shared->with_callbacks);
	mag_perimeter_leave(shared->plain);
	assert_int_equal(status, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		T(a_process_with_our_number_is_another_one),
	};
	const char *what = getenv(ENV_CHILD);

	if (what != NULL)
		return run_as_child(argc, argv, what);
	return HARNESS_RUN(argc, argv, LCORES, tests);
}
