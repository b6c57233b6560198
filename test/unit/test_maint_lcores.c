/* SPDX-License-Identifier: BSD-3-Clause */

/* Service lcores that come, stop and go while there are caches. */

#include "eal.h"

#include <rte_launch.h>
#include <rte_service.h>
#include <rte_service_component.h>

#include "fixture.h"

#define COUNT 4096
#define SIZE 64
/* Lcores that get the role of a service lcore; the last works first. */
#define ONE 1
#define TWO 2
#define WORKER 3

static unsigned int interval; /* of updates, ms */

static _Thread_local bool in_test;
/* Calls of the destructor that lingers. */
static struct {
	_Atomic unsigned int inside;
	_Atomic unsigned int most;
	_Atomic unsigned int entered;
	_Atomic bool go_on;
} episode;

/* How long a service lcore is stopped. */
#define STOPPED_S 2
#define STOPPED_FULL_S 60

SETUP(setup)
{
	in_test = true;
	fixture_pool("pool", COUNT, SIZE, COUNT, &mag_options_default);
	asking_make();
	interval = 50;
	assert_int_equal(mag_maint_interval(interval), 0);
}

TEARDOWN(teardown)
{
	/* A test that failed leaves its episode waiting. */
	atomic_store(&episode.go_on, true);
	assert_int_equal(mag_maint_interval(0), 0);
	drop_cache(asking);
	fixture_drop();
}

/* No update brings them. */
static void
assert_all_can_be_had_without_updates(void)
{
	assert_int_equal(mag_maint_interval(3600000), 0);
	assert_all_can_be_had();
}

static void
assert_updates_go_on(enum mag_maint_runner runner)
{
	wait_until(mag_maint_runner() == runner);
	wait_for_updates(3);
	wait_until(mag_maint_runner() == runner);
}

/* Maintenance looks for service lcores when it is due: which it is now. */
static bool
is_mapped(unsigned int lcore)
{
	mag_maint_interval(interval);
	return rte_service_map_lcore_get(service_id(), lcore) == 1;
}

static void
come(unsigned int lcore)
{
	assert_int_equal(rte_service_lcore_add(lcore), 0);
	assert_int_equal(rte_service_lcore_start(lcore), 0);
	wait_until(is_mapped(lcore));
}

/* EAL refuses to stop the only lcore of a service while its run state is on: while work is due. */
static void
stop(unsigned int lcore)
{
	wait_until(rte_service_lcore_stop(lcore) == 0);
	assert_int_equal(rte_eal_wait_lcore(lcore), 0);
}

static void
go(unsigned int lcore)
{
	stop(lcore);
	assert_int_equal(rte_service_lcore_del(lcore), 0);
	assert_int_equal(rte_eal_lcore_role(lcore), ROLE_RTE);
}

TEST(test_without_a_service_lcore_the_thread_works_and_the_service_waits, setup, teardown)
{
	assert_int_equal(rte_service_lcore_count(), 0);
	assert_updates_go_on(MAG_MAINT_THREAD);
	assert_int_equal(rte_service_runstate_get(service_id()), 0);
}

TEST(test_a_service_lcore_that_comes_takes_the_work_from_the_thread, setup, teardown)
{
	come(ONE);
	assert_updates_go_on(MAG_MAINT_SERVICE);
}

TEST(test_a_second_one_that_comes_works_too, setup, teardown)
{
	come(TWO);
	assert_int_equal(rte_service_map_lcore_get(service_id(), ONE), 1);
	assert_updates_go_on(MAG_MAINT_SERVICE);
}

/*
 * A cache with a destructor that waits: so an episode lasts as long as the test likes. An object
 * that the test itself gives to the slabs, because it comes in between a resize, does not wait.
 */

static void
linger(void *object __rte_unused, void *arg __rte_unused)
{
	unsigned int inside;
	uint64_t end = wait_deadline();

	if (in_test)
		return;
	inside = atomic_fetch_add(&episode.inside, 1) + 1;
	atomic_fetch_add(&episode.entered, 1);
	if (inside > atomic_load(&episode.most))
		atomic_store(&episode.most, inside);
	while (!atomic_load(&episode.go_on))
		if (wait_is_over(end))
			atomic_store(&episode.go_on, true);
	atomic_fetch_sub(&episode.inside, 1);
}

static struct mag_cache *
lingering_cache(const struct ground *own)
{
	atomic_store(&episode.entered, 0);
	atomic_store(&episode.most, 0);
	atomic_store(&episode.go_on, false);
	return make_cache(CACHE_PARAMS(.name = "lingering", .object_size = SIZE,
				       .region = own->region, .destructor = linger,
				       .flags = MAG_CACHE_REAP_ALL));
}

/* A request may be dropped: so both, until it is served. */
static void
request(struct mag_cache *lingering)
{
	void *objects[COUNT];
	unsigned int n = mag_cache_alloc_burst(lingering, objects, COUNT / 2);

	mag_cache_free_bulk(lingering, objects, n);
	mag_reap_request();
}

static bool
entered(struct mag_cache *lingering)
{
	if (atomic_load(&episode.entered) == 0)
		request(lingering);
	return atomic_load(&episode.entered) > 0;
}

TEST(test_an_episode_under_way_keeps_service_lcores_and_thread_out, setup, teardown)
{
	struct ground own = ground_make(COUNT, SIZE, 16, MAG_REGION_READONLY);
	struct mag_cache *lingering = lingering_cache(&own);
	uint64_t updates;

	wait_until(entered(lingering));
	updates = mag_maint_updates();
	for (unsigned int i = 0; i < 1000; i++) {
		mag_reap_request();
		/* Refused where the thread itself works, with the run state off. */
		rte_service_run_iter_on_app_lcore(service_id(), 0);
	}
	let_pass(1200);
	assert_int_equal(mag_maint_updates(), updates);
	assert_int_equal(episode.entered, 1);
	atomic_store(&episode.go_on, true);
	wait_until(mag_maint_updates() > updates + 4);
	assert_int_equal(episode.most, 1);
	drop_cache(lingering);
	ground_drop(&own);
}

TEST(test_requests_of_many_are_served_while_two_service_lcores_work, setup, teardown)
{
	uint64_t before = asked, end = wait_deadline();

	assert_int_equal(mag_maint_interval(1), 0);
	while (asked < before + 50 && !wait_is_over(end)) {
		fill(COUNT / 2);
		mag_reap_request();
	}
	assert_true(asked >= before + 50);
	/* The last request is over, served or dropped, before the interval is an hour. */
	assert_updates_go_on(MAG_MAINT_SERVICE);
	assert_all_can_be_had_without_updates();
}

TEST(test_one_that_goes_leaves_the_work_to_the_other, setup, teardown)
{
	go(TWO);
	assert_updates_go_on(MAG_MAINT_SERVICE);
	fill_on_lcore(TWO, 100);
	assert_all_can_be_had_without_updates();
}

static bool
is_reaped(uint64_t before)
{
	fill(COUNT / 2);
	mag_reap_request();
	return asked > before;
}

/* For a second: reaps that are requested, updates, and what statistics tell of them. */
static void
assert_all_goes_on(void)
{
	struct mag_cache_stats stats = cache_stats(cache);
	uint64_t before = asked;

	wait_until(is_reaped(before));
	usleep(1000000);
	wait_for_updates(1);
	assert_true(cache_stats(cache).updates > stats.updates);
}

TEST(test_a_stopped_service_lcore_leaves_the_work_to_the_thread, setup, teardown)
{
	stop(ONE);
	assert_int_equal(rte_eal_lcore_role(ONE), ROLE_SERVICE);
	assert_updates_go_on(MAG_MAINT_THREAD);
	for (unsigned int i = 0; i < (run_is_full() ? STOPPED_FULL_S : STOPPED_S); i++)
		assert_all_goes_on();
	assert_int_equal(mag_maint_runner(), MAG_MAINT_THREAD);
	assert_int_equal(rte_service_lcore_start(ONE), 0);
	assert_updates_go_on(MAG_MAINT_SERVICE);
}

TEST(test_a_service_lcore_can_be_stopped_and_removed_while_there_are_caches, setup, teardown)
{
	interval = 3600000;
	for (unsigned int i = 0; i < 3; i++) {
		come(TWO);
		/* The pass that mapped it is over. */
		wait_until(rte_service_runstate_get(service_id()) == 0);
		assert_int_equal(rte_service_lcore_stop(TWO), 0);
		assert_int_equal(rte_service_lcore_stop(ONE), 0);
		assert_int_equal(rte_eal_wait_lcore(TWO), 0);
		assert_int_equal(rte_eal_wait_lcore(ONE), 0);
		assert_int_equal(rte_service_lcore_del(TWO), 0);
		assert_int_equal(rte_service_lcore_del(ONE), 0);
		come(ONE);
	}
}

TEST(test_when_the_last_one_went_the_thread_works, setup, teardown)
{
	go(ONE);
	assert_int_equal(rte_service_lcore_count(), 0);
	assert_updates_go_on(MAG_MAINT_THREAD);
}

TEST(test_an_unregistered_service_is_missed_when_a_service_lcore_comes, setup, teardown)
{
	uint32_t id;

	wait_until(service_unregister());
	assert_updates_go_on(MAG_MAINT_THREAD);
	assert_int_not_equal(rte_service_get_by_name("magazine", &id), 0);
	assert_int_equal(rte_service_lcore_add(ONE), 0);
	assert_int_equal(rte_service_lcore_start(ONE), 0);
	wait_until(rte_service_get_by_name("magazine", &id) == 0);
	assert_updates_go_on(MAG_MAINT_SERVICE);
	go(ONE);
}

static struct mag_slot *
slot_of(unsigned int lcore)
{
	for (unsigned int i = 0; i < MAG_SLOT_SHARED; i++)
		if (mag_thread_lcore(i) == lcore)
			return &cache->first.slot[i];
	fail_msg("lcore %u has no slot", lcore);
	return NULL;
}

TEST(test_objects_of_an_lcore_that_became_a_service_lcore_can_be_had_and_purged, setup, teardown)
{
	interval = 3600000;
	assert_int_equal(mag_maint_interval(interval), 0);
	fill_on_lcore(WORKER, COUNT / 2);
	come(WORKER);
	assert_true(mag_slot_objects(slot_of(WORKER)) > 0);
	assert_all_can_be_had_without_updates();
	assert_int_equal(mag_slot_objects(slot_of(WORKER)), 0);
	assert_int_equal(cache->common.steal_denied, 0);
	go(WORKER);
	fill_on_lcore(WORKER, COUNT / 2);
	come(WORKER);
	assert_true(mag_slot_objects(slot_of(WORKER)) > 0);
	wait_until(mag_cache_reap_now(cache, true) == 0);
	assert_int_equal(cache->first.slab.out, 0);
	go(WORKER);
	fill_on_lcore(WORKER, COUNT / 2);
	assert_true(mag_slot_objects(slot_of(WORKER)) > 0);
	assert_all_can_be_had_without_updates();
}

TEST(test_a_reap_that_is_requested_leaves_its_magazines, setup, teardown)
{
	uint64_t before = asked;

	fill_on_lcore(WORKER, COUNT / 2);
	assert_non_null(slot_of(WORKER)->previous);
	come(WORKER);
	wait_until((mag_reap_request(), asked > before));
	assert_updates_go_on(MAG_MAINT_SERVICE);
	assert_int_equal(slot_of(WORKER)->previous_rounds, slot_of(WORKER)->capacity);
	assert_int_equal(cache->common.visits_denied + cache->purges, 0);
	go(WORKER);
}

/* A service of the application's, on the lcore where maintenance runs too. */

static _Atomic unsigned int turns;

static int32_t
trade(void *arg __rte_unused)
{
	fill(COUNT / 4);
	atomic_fetch_add(&turns, 1);
	return 0;
}

TEST(test_a_service_that_uses_the_pool_shares_its_lcore_with_maintenance, setup, teardown)
{
	struct rte_service_spec spec = {.name = "trade", .callback = trade};
	uint32_t id;

	atomic_store(&turns, 0);
	assert_int_equal(mag_maint_interval(1), 0);
	assert_int_equal(rte_service_component_register(&spec, &id), 0);
	assert_int_equal(rte_service_component_runstate_set(id, 1), 0);
	assert_int_equal(rte_service_runstate_set(id, 1), 0);
	come(WORKER);
	assert_int_equal(rte_service_map_lcore_set(id, WORKER, 1), 0);
	assert_updates_go_on(MAG_MAINT_SERVICE);
	wait_until((mag_reap_request(), atomic_load(&turns) > 100));
	assert_int_equal(rte_service_runstate_set(id, 0), 0);
	wait_until(rte_service_may_be_active(id) == 0);
	assert_int_equal(rte_service_map_lcore_set(id, WORKER, 0), 0);
	go(WORKER);
	assert_int_equal(rte_service_component_unregister(id), 0);
	assert_int_equal(cache->first.slab.invalid, 0);
	assert_all_can_be_had_without_updates();
}

int
main(void)
{
	/* Each begins with the service lcores that the one before has left. */
	eal_start(4, NULL);
	return tests_run(NULL, NULL);
}
