/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"

#include <signal.h>

#include <rte_cycles.h>
#include <rte_service.h>
#include <rte_service_component.h>

#include "fixture.h"

#define SERVICE_LCORE 2
#define COUNT 4096
#define SIZE 64

SETUP(setup)
{
	fixture_pool("pool", COUNT, SIZE, COUNT, &mag_options_default);
	asking_make();
}

TEARDOWN(teardown)
{
	assert_int_equal(mag_maint_interval(0), 0);
	drop_cache(asking);
	fixture_drop();
}

TEST(test_a_service_lcore_runs_maintenance, setup, teardown)
{
	wait_until(mag_maint_runner() == MAG_MAINT_SERVICE);
	assert_int_equal(rte_service_map_lcore_get(service_id(), SERVICE_LCORE), 1);
	/* Nothing is due for seconds. */
	wait_until(rte_service_runstate_get(service_id()) == 0);
	assert_int_equal(mag_maint_interval(10), 0);
	wait_until(cache->updates >= 5);
}

TEST(test_a_service_that_was_unregistered_comes_back, setup, teardown)
{
	uint32_t id;

	assert_int_equal(mag_maint_interval(50), 0);
	wait_until(service_unregister());
	wait_until(rte_service_get_by_name("magazine", &id) == 0);
	wait_until(mag_maint_runner() == MAG_MAINT_SERVICE);
	wait_for_updates(3);
}

TEST(test_a_service_that_the_application_stopped_stays_so_and_the_thread_works, setup, teardown)
{
	assert_int_equal(mag_maint_interval(20), 0);
	assert_int_equal(rte_service_runstate_set(service_id(), 0), 0);
	wait_until(mag_maint_runner() == MAG_MAINT_THREAD);
	wait_for_updates(3);
	assert_int_equal(mag_maint_runner(), MAG_MAINT_THREAD);
	assert_int_equal(rte_service_runstate_get(service_id()), 0);
	assert_int_equal(rte_service_runstate_set(service_id(), 1), 0);
	wait_until(mag_maint_runner() == MAG_MAINT_SERVICE);
}

TEST(test_a_service_that_was_unmapped_is_mapped_again, setup, teardown)
{
	uint32_t id = service_id();

	assert_int_equal(mag_maint_interval(50), 0);
	assert_int_equal(rte_service_map_lcore_set(id, SERVICE_LCORE, 0), 0);
	wait_until(rte_service_map_lcore_get(id, SERVICE_LCORE) == 1);
	wait_until(mag_maint_runner() == MAG_MAINT_SERVICE);
}

/* By the next updates an earlier request is served or dropped, and a reap is allowed. */
static bool
reaped(uint64_t more)
{
	mag_reap_request();
	return asked >= more;
}

TEST(test_a_reap_that_is_requested_is_served_again_after_an_interval, setup, teardown)
{
	uint64_t before = asked;

	assert_int_equal(mag_maint_interval(20), 0);
	for (unsigned int i = 1; i <= 3; i++)
		wait_until(reaped(before + i));
	wait_for_updates(3);
}

static void
request(int signal __rte_unused)
{
	mag_reap_request();
}

TEST(test_a_reap_can_be_requested_by_a_signal_handler, setup, teardown)
{
	uint64_t before = asked;

	assert_int_equal(mag_maint_interval(20), 0);
	assert_ptr_not_equal(signal(SIGUSR1, request), SIG_ERR);
	fill(COUNT / 2);
	wait_until((raise(SIGUSR1), asked > before));
	signal(SIGUSR1, SIG_DFL);
	wait_for_updates(3);
}

TEST(test_a_stop_waits_for_the_pass_of_a_service_lcore, setup, teardown)
{
	struct ground other = ground_make(400, SIZE, 16, 0);
	struct mag_cache *slow =
		make_cache(CACHE_PARAMS(.name = "slow", .object_size = SIZE, .region = other.region,
					.destructor = slow_destructor));
	void *objects[400];
	uint64_t updates;

	assert_int_equal(mag_cache_alloc_burst(slow, objects, 400), 400);
	mag_cache_free_bulk(slow, objects, 400);
	wait_until(mag_maint_runner() == MAG_MAINT_SERVICE);
	assert_int_equal(mag_maint_interval(1), 0);
	wait_until(slow_begun > 0);
	assert_int_equal(mag_maint_stop(), 0);
	assert_int_equal(slow_begun, slow_ended);
	updates = mag_maint_updates();
	let_pass(50);
	assert_int_equal(mag_maint_updates(), updates);
	assert_int_equal(slow_begun, slow_ended);
	assert_int_equal(mag_maint_runner(), MAG_MAINT_NONE);
	drop_cache(slow);
	ground_drop(&other);
}

TEST(test_updates_are_an_interval_apart, setup, teardown)
{
	uint64_t before, start, most;

	assert_int_equal(mag_maint_interval(50), 0);
	start = rte_rdtsc();
	before = cache->updates;
	wait_until(cache->updates >= before + 3);
	let_pass(200);
	most = (rte_rdtsc() - start) / (rte_get_tsc_hz() / 1000 * 50) + 1;
	assert_in_range(cache->updates - before, 3, most);
}

static _Atomic bool list_taken, list_free;

static void
wait_visit(struct mag_cache *visited, void *arg __rte_unused)
{
	if (visited != cache)
		return;
	atomic_store(&list_taken, true);
	while (!atomic_load(&list_free))
		let_pass(1);
}

static void
take_list_run(void *arg __rte_unused)
{
	mag_cache_walk(wait_visit, NULL);
}

static void
list_take(struct task *task)
{
	atomic_store(&list_taken, false);
	atomic_store(&list_free, false);
	task_thread(task, take_list_run, NULL);
	wait_until(atomic_load(&list_taken));
}

static void
list_give(struct task *task)
{
	atomic_store(&list_free, true);
	task_join(task);
}

static bool
ran_by_hand(void)
{
	return rte_service_component_runstate_set(service_id(), 1) == 0 &&
	       rte_service_run_iter_on_app_lcore(service_id(), 0) == 0;
}

TEST(test_updates_and_requests_that_find_the_list_taken_are_served_when_it_is_free, setup, teardown)
{
	uint64_t updates, before = asked;
	struct task task;

	assert_int_equal(mag_maint_interval(20), 0);
	wait_for_updates(3);
	list_take(&task);
	updates = cache->updates;
	mag_reap_request();
	/*
	 * The thread does not even turn the service on; an lcore that has begun finds the list
	 * taken, too.
	 */
	wait_until(ran_by_hand());
	let_pass(200);
	assert_int_equal(cache->updates, updates);
	assert_int_equal(asked, before);
	list_give(&task);
	wait_until(cache->updates > updates);
	wait_until(asked > before);
	/* The pass that served it is over, with the interval of this test. */
	wait_for_updates(3);
}

static void
request_visit(struct mag_cache *visited __rte_unused, void *arg __rte_unused)
{
	mag_reap_request();
}

TEST(test_a_request_from_inside_the_list_is_dropped, setup, teardown)
{
	uint64_t before;

	assert_int_equal(mag_maint_interval(20), 0);
	wait_for_updates(3);
	before = asked;
	mag_cache_walk(request_visit, NULL);
	wait_for_updates(3);
	assert_int_equal(asked, before);
	wait_until(reaped(before + 1));
	wait_for_updates(3);
}

TEST(test_a_second_request_within_an_interval_is_dropped, setup, teardown)
{
	uint64_t before;

	assert_int_equal(mag_maint_interval(3600000), 0);
	let_pass(100);
	before = asked;
	mag_reap_request();
	wait_until(asked > before);
	before = asked;
	for (unsigned int i = 0; i < 100; i++)
		mag_reap_request();
	let_pass(200);
	assert_int_equal(asked, before);
}

int
main(void)
{
	/* The last one leaves no reap allowed for an hour. */
	eal_start(3, "-S", "2", NULL);
	return tests_run(NULL, NULL);
}
