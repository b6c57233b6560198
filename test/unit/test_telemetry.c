/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_telemetry.h>

#include "control/sizing.h"
#include "fixture.h"
#include "mag_maint.h"
#include "outside/pass.h"
#include "stores/samples.h"
#include "watch/watch.h"

#define COUNT 256
#define SIZE 256

static char answer[65536];
static int client = -1;

static int
setup(void **state __rte_unused)
{
	fixture_cache(COUNT, CACHE_PARAMS(.name = "seen", .object_size = SIZE));
	return 0;
}

static void
receive(void)
{
	ssize_t n = read(client, answer, sizeof(answer) - 1);

	assert_true(n > 0);
	answer[n] = '\0';
}

static int
client_new(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int made = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/dpdk_telemetry.v2",
		 rte_eal_get_runtime_dir());
	return connect(made, (struct sockaddr *)&address, sizeof(address)) == 0 ? made : -1;
}

static int
connect_client(void **state __rte_unused)
{
	client = client_new();
	if (client < 0)
		return -1;
	receive();
	return 0;
}

static const char *
ask(const char *command)
{
	assert_int_equal(write(client, command, strlen(command)), strlen(command));
	receive();
	return answer;
}

static char expected[128];

/* What the next answer shall have. */
#define EXPECT(...) (snprintf(expected, sizeof(expected), __VA_ARGS__), expected)

#define assert_answer(command, text) assert_non_null(strstr(ask(command), text))

TEST(test_who_holds_objects_is_told_of_a_pool_with_the_option, setup, fixture_teardown)
{
	void *object;

	assert_answer("/magazine/holders,seen",
		      "\"error\":\"\\\"seen\\\": not known: needs option holders=1, of a pool\"");
	fixture_ledger();
	mag_watch(cache, MAG_WATCH_HOLDERS);
	assert_answer("/magazine/holders,seen", "\"out\":0");
	object = mag_cache_alloc(cache);
	rte_delay_ms(1);
	ask("/magazine/holders,seen");
	assert_non_null(strstr(answer, "\"out\":1,\"lcore\":[0],"));
	assert_non_null(strstr(
		answer, EXPECT("\"process\":[%d],\"thread\":[%d],", getpid(), rte_gettid())));
	assert_non_null(strstr(answer, "\"objects\":[1],\"oldest_ms\":["));
	assert_answer("/magazine/holders,seen,1", "\"error\"");
	mag_cache_free(cache, object);
	assert_answer("/magazine/holders,seen", "\"out\":0");
}

TEST(test_stacks_of_sampled_objects_that_are_out_are_told_of_a_pool_with_the_option, setup,
     fixture_teardown)
{
	void *object;

	assert_answer("/magazine/leaks,seen",
		      "\"error\":\"\\\"seen\\\": not known: needs option audit=1/N, of a pool\"");
	fixture_samples();
	assert_answer("/magazine/leaks,seen",
		      "\"one_in\":1,\"out\":0,\"bad_writes\":0,\"stacks\":0,");
	object = mag_cache_alloc(cache);
	ask("/magazine/leaks,seen");
	assert_non_null(strstr(answer, "\"out\":1,\"bad_writes\":0,\"stacks\":1,"));
	assert_non_null(strstr(answer, "\"objects\":[1],\"oldest_ms\":["));
	assert_non_null(strstr(answer, EXPECT("\"process\":[0],\"thread\":[%d],", rte_gettid())));
	assert_non_null(strstr(answer, "\"stack_0\":[\"libmagazine.so"));
	assert_non_null(strstr(answer, ",\"test_telemetry("));
	assert_answer("/magazine/leaks,seen,1", "\"error\"");
	mag_cache_free(cache, object);
	assert_answer("/magazine/leaks,seen", "\"out\":0,");
}

TEST(test_the_list_has_every_cache, setup, fixture_teardown)
{
	assert_answer("/magazine/list", "\"seen\"");
}

#define MANY (RTE_TEL_MAX_ARRAY_ENTRIES + 10)

TEST(test_a_list_that_is_not_whole_says_so, setup, fixture_teardown)
{
	static struct mag_cache *many[MANY];
	unsigned int i;
	char name[16];

	for (i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "%u", i);
		many[i] = make_cache(CACHE_PARAMS(.name = name, .object_size = SIZE,
						  .flags = MAG_CACHE_NOMAGAZINES));
	}
	assert_answer("/magazine/list", "\"... and 12 more\"]");
	while (i > RTE_TEL_MAX_ARRAY_ENTRIES - 2)
		drop_cache(many[--i]);
	/* With "seen" as many as fit, and one that need not be counted. */
	assert_null(strstr(ask("/magazine/list"), "more"));
	while (i > 0)
		drop_cache(many[--i]);
}

TEST(test_stats_are_those_of_the_cache_that_is_named, setup, fixture_teardown)
{
	void *object = mag_cache_alloc(cache);

	assert_answer("/magazine/stats,seen", "\"name\":\"seen\"");
	assert_answer("/magazine/stats,seen", "\"objects\":256");
	assert_answer("/magazine/stats,seen", "\"free\":255");
	assert_answer("/magazine/stats,seen", "\"rounds\":14");
	mag_cache_free(cache, object);
	assert_answer("/magazine/stats,seen", "\"free\":256");
}

/* clang-format off */
#define COUNT_OF(name, field)                                                                      \
	{name, offsetof(struct mag_cache_stats, field),                                            \
	 RTE_SIZEOF_FIELD(struct mag_cache_stats, field)}
#define SAME(field) COUNT_OF(#field, field)
/* clang-format on */

static const struct figure {
	const char *name;
	size_t offset, size;
} figures[] = {
	/* clang-format off */
	SAME(flags), SAME(region_mode), SAME(object_size), SAME(chunk_size), SAME(align),
	SAME(region_align), SAME(slab_objects), SAME(slab_size), SAME(rounds), SAME(objects),
	SAME(free), SAME(in_lcores), SAME(loaded), SAME(previous), SAME(depot_full),
	SAME(depot_empty), SAME(depot_full_taken), SAME(depot_empty_taken),
	COUNT_OF("depot_contention", contention),
	COUNT_OF("depot_contention_total", contention_total),
	SAME(zeroes), SAME(resizes), SAME(purges), SAME(reaps), SAME(updates), SAME(slabs_created),
	SAME(slabs_destroyed), SAME(slabs_partial), SAME(slabs_full), SAME(slab_allocs),
	SAME(slab_frees), SAME(slab_frees_no_magazine), SAME(slab_fails), SAME(alloc_fails),
	SAME(invalid_frees), SAME(in_use), SAME(in_use_max), SAME(rescales), SAME(table_size),
	SAME(steals), COUNT_OF("steals_denied", steal_denied), SAME(visits_denied),
	SAME(mempool_cache),
	/* clang-format on */
};

static uint64_t
figure_of(const struct mag_cache_stats *stats, const struct figure *figure)
{
	const void *at = (const char *)stats + figure->offset;

	return figure->size == sizeof(uint64_t) ? *(const uint64_t *)at : *(const uint32_t *)at;
}

TEST(test_every_figure_of_a_cache_is_told_by_its_name, setup, fixture_teardown)
{
	struct mag_slab_layer *slab = &cache->first.slab;
	_Atomic uint64_t *counters[] = {
		&cache->common.zeroes,
		&cache->resizes,
		&cache->purges,
		&cache->reaps,
		&cache->updates,
		&cache->first.no_magazine,
		&cache->common.alloc_fails,
		&cache->common.steals,
		&cache->common.steal_denied,
		&cache->common.visits_denied,
		&slab->created,
		&slab->destroyed,
		&slab->fails,
		&slab->invalid,
		&slab->in_use_max,
	};
	struct mag_cache_stats stats;
	const char *told;
	unsigned int i;

	/* Different numbers, as far as they are not of what the cache is. */
	for (i = 0; i < RTE_DIM(counters); i++)
		atomic_store(counters[i], 101 + i);
	atomic_store(&slab->rescales, 130);
	atomic_store(&cache->first.depot.full.contention, 250);
	atomic_store(&cache->contention_seen, 50);
	fill_on_lcore(1, 50);
	stats = cache_stats(cache);
	told = ask("/magazine/stats,seen");
	for (i = 0; i < RTE_DIM(figures); i++)
		if (strstr(told, EXPECT("\"%s\":%" PRIu64, figures[i].name,
					figure_of(&stats, &figures[i]))) == NULL)
			fail_msg("no %s in %s", expected, told);
	assert_non_null(strstr(told, EXPECT("\"id\":\"0x%016" PRIx64
					    "\",\"region_id\":\"0x%016" PRIx64 "\"",
					    stats.id, stats.region_id)));
}

TEST(test_lcores_are_those_that_did_something, setup, fixture_teardown)
{
	fill_on_lcore(1, 50);
	assert_answer("/magazine/lcores,seen", "\"lcore\":[1]");
	assert_answer("/magazine/lcores,seen", "\"allocs\":[50]");
	assert_answer("/magazine/lcores,seen", "\"frees\":[50]");
	fill_on_thread(50);
	assert_answer("/magazine/lcores,seen", "\"lcore\":[1,-1]");
	assert_answer("/magazine/lcores,seen", "\"allocs\":[50,50]");
}

TEST(test_a_region_is_that_of_its_cache, setup, fixture_teardown)
{
	assert_answer("/magazine/region,seen",
		      EXPECT("\"id\":\"0x%016" PRIx64 "\"", ground.region->id));
	assert_answer("/magazine/region,seen", "\"mode\":0,\"elastic\":0");
	assert_answer("/magazine/region,seen", "\"objects\":256");
	assert_answer("/magazine/region,seen", "\"memory\":0");
}

TEST(test_a_mirror_region_is_told_of_by_its_cache, setup, fixture_teardown)
{
	struct mag_region *first =
		make_region(REGION_PARAMS(.name = "first", .object_size = 64, .objects = 100));
	struct mag_region *second = mag_region_mirror_create(
		first, &REGION_PARAMS(.name = "second", .object_size = 5000));
	struct mag_cache *mirrored =
		make_cache(CACHE_PARAMS(.name = "mirrored", .object_size = 64, .region = first));

	assert_answer("/magazine/mirror,mirrored",
		      EXPECT("\"id\":\"0x%016" PRIx64 "\"", second->id));
	assert_answer("/magazine/mirror,mirrored",
		      EXPECT("\"name\":\"second\",\"mode\":%u", MAG_REGION_MIRRORED));
	assert_answer("/magazine/mirror,mirrored", "\"grown\":1");
	assert_answer("/magazine/region,mirrored", "\"name\":\"first\"");
	assert_answer("/magazine/mirror,seen", "{}");
	assert_answer("/magazine/mirror,nobody", "{\"error\":");
	drop_cache(mirrored);
	drop_region(first);
	drop_region(second);
}

static void
hold_run(void *arg)
{
	*(void **)arg = mag_cache_alloc(*(struct mag_cache **)arg);
}

TEST(test_held_objects_of_a_guarded_cache_are_told_with_who_has_them, setup, fixture_teardown)
{
	struct ground own = ground_make(64, 64, 16, MAG_REGION_AUDIT);
	struct mag_cache *audited = make_cache(
		CACHE_PARAMS(.name = "audited", .object_size = 64, .region = own.region));
	void *object = audited;

	assert_answer("/magazine/held,audited", "{}");
	run_on_lcore(1, hold_run, &object);
	assert_answer("/magazine/held,audited", EXPECT("{\"%p\":{\"thread\":", object));
	assert_answer("/magazine/held,audited", "\"lcore\":1}}");
	mag_cache_free(audited, object);
	assert_answer("/magazine/held,audited", "{}");
	drop_cache(audited);
	ground_drop(&own);
	assert_answer("/magazine/held,seen", "\"not known: needs option guard=1 or audit=1\"");
}

TEST(test_a_reap_can_be_asked_for, setup, fixture_teardown)
{
	fill(50);
	assert_true(depot_full() > 0);
	assert_answer("/magazine/reap,seen", "done");
	assert_int_equal(depot_full(), 0);
	assert_int_equal(cache->reaps, 1);
	assert_answer("/magazine/reap", "requested");
}

TEST(test_a_purge_can_be_asked_for, setup, fixture_teardown)
{
	fill_on_lcore(1, 50);
	assert_true(slot_holds(1) > 0);
	assert_answer("/magazine/purge,seen", "done");
	assert_int_equal(slot_holds(1), 0);
	assert_int_equal(cache->purges, 1);
	assert_sizes(14);
}

/* Number of that name in an answer. */
static uint64_t
figure_in(const char *said, const char *name)
{
	const char *at = strstr(said, EXPECT("\"%s\":", name));

	if (at == NULL)
		fail_msg("no %s in %s", expected, said);
	return strtoull(at + strlen(expected), NULL, 10);
}

static void
assert_places_add_up(const char *said)
{
	assert_int_equal(figure_in(said, "out") + figure_in(said, "lcores") +
				 figure_in(said, "depot") + figure_in(said, "slabs") +
				 figure_in(said, "caches"),
			 figure_in(said, "objects"));
}

TEST(test_objects_are_in_the_places_that_are_told, setup, fixture_teardown)
{
	void *objects[20];
	const char *said;

	fill_on_lcore(1, 50);
	alloc_bulk(objects, RTE_DIM(objects));
	said = ask("/magazine/info,seen");
	assert_places_add_up(said);
	assert_int_equal(figure_in(said, "objects"), COUNT);
	assert_int_equal(figure_in(said, "out"), RTE_DIM(objects));
	assert_int_equal(figure_in(said, "lcores"), mag_cache_in_lcores(cache));
	assert_int_equal(figure_in(said, "depot"), 14 * depot_full());
	assert_int_equal(figure_in(said, "gets"), 50 + RTE_DIM(objects));
	assert_int_equal(figure_in(said, "puts"), 50);
	assert_int_equal(figure_in(said, "pool"), 0);
	free_bulk(objects, RTE_DIM(objects));
	assert_int_equal(figure_in(ask("/magazine/info,seen"), "out"), 0);
}

TEST(test_places_add_up_while_objects_move, setup, fixture_teardown)
{
	unsigned int i;

	crowd_begin(2, 40);
	for (i = 0; i < 200; i++)
		assert_places_add_up(ask("/magazine/info,seen"));
	crowd_end();
}

TEST(test_failed_gets_are_counted, setup, fixture_teardown)
{
	void *objects[COUNT + 1];

	assert_int_equal(figure_in(ask("/magazine/info,seen"), "failed_gets"), 0);
	assert_int_equal(mag_cache_alloc_bulk(cache, objects, COUNT + 1), 0);
	alloc_bulk(objects, COUNT);
	assert_null(mag_cache_alloc(cache));
	assert_int_equal(figure_in(ask("/magazine/info,seen"), "failed_gets"), 2);
	assert_answer("/magazine/stats,seen", "\"failed_gets\":2");
	/* Fewer than asked for are welcome: that is no failure. */
	free_bulk(objects, 5);
	assert_int_equal(mag_cache_alloc_burst(cache, objects, 10), 5);
	assert_int_equal(figure_in(ask("/magazine/info,seen"), "failed_gets"), 2);
	free_bulk(objects, COUNT);
}

TEST(test_advice_follows_what_was_out_and_what_failed, setup, fixture_teardown)
{
	void *objects[COUNT];

	alloc_bulk(objects, 80);
	mag_cache_update(cache);
	free_bulk(objects, 80);
	assert_answer("/magazine/advise,seen", "\"objects\":256,\"advised\":90,\"peak_out\":80,");
	assert_answer("/magazine/advise,seen", "80 out at most, in 3 looks, and no get failed");
	assert_null(strstr(answer, "visit=0"));
	alloc_bulk(objects, COUNT);
	assert_null(mag_cache_alloc(cache));
	free_bulk(objects, COUNT);
	assert_answer("/magazine/advise,seen", "\"advised\":512,\"peak_out\":256,");
	assert_answer("/magazine/advise,seen", "1 gets failed with 256 objects out");
}

TEST(test_advice_counts_what_nobody_may_take, NULL, fixture_teardown)
{
	struct mag_options options = mag_options_default;

	options.rounds = 30;
	options.visit = false;
	fixture_pool("seen", 4096, SIZE, 4096, &options);
	fill(30);
	assert_answer("/magazine/advise,seen", "\"advised\":30,");
	assert_answer("/magazine/advise,seen",
		      "+ 30 in lcores' magazines, which visit=0 leaves there");
	assert_answer("/magazine/advise,seen", "with less than ");
}

TEST(test_a_depot_tells_its_working_set_by_node, setup, fixture_teardown)
{
	fill(100);
	assert_answer("/magazine/depot,seen",
		      EXPECT("\"node\":[%d],\"rounds\":[14],\"full\":[%u],\"full_min\":[0]",
			     cache->first.node, depot_full()));
	mag_cache_update(cache);
	mag_cache_update(cache);
	assert_answer("/magazine/depot,seen", EXPECT("\"full\":[%u]", depot_full()));
	atomic_store(&cache->first.depot.full.contention, 7);
	assert_answer("/magazine/depot,seen", "\"contention\":[7]");
}

TEST(test_slabs_are_told_by_the_share_that_is_free, NULL, fixture_teardown)
{
	void *objects[20];

	/* Slabs of 10 objects: two full ones, of which two objects come back to one. */
	ground = ground_make(100, 64, 10, 0);
	cache = make_cache(CACHE_PARAMS(.name = "seen", .object_size = 64, .region = ground.region,
					.flags = MAG_CACHE_NOMAGAZINES));
	alloc_bulk(objects, RTE_DIM(objects));
	assert_answer("/magazine/slabs,seen", "\"full\":2,\"partial\":0,\"partial_looked_at\":0");
	free_bulk(objects, 2);
	assert_answer("/magazine/slabs,seen", "\"full\":1,\"partial\":1,\"partial_looked_at\":1");
	assert_answer("/magazine/slabs,seen", "\"partial_by_tenths_free\":[0,1,0,0,0,0,0,0,0,0]");
	free_bulk(objects + 2, 7);
	assert_answer("/magazine/slabs,seen", "\"partial_by_tenths_free\":[0,0,0,0,0,0,0,0,1,0]");
	free_bulk(objects + 9, RTE_DIM(objects) - 9);
	assert_answer("/magazine/slabs,seen", "\"partial_by_tenths_free\":[0,0,0,0,0,0,0,0,0,0]");
}

static void
tid_run(void *arg)
{
	pthread_setname_np(pthread_self(), "some thread");
	*(int *)arg = (int)gettid();
}

TEST(test_lcores_are_told_with_process_and_thread, setup, fixture_teardown)
{
	int tid = 0;

	run_on_lcore(1, tid_run, &tid);
	fill_on_lcore(1, 50);
	assert_answer(
		"/magazine/lcores,seen",
		EXPECT("\"pid\":[%d],\"tid\":[%d],\"thread\":[\"some thread\"]", getpid(), tid));
	assert_null(strstr(answer, "next"));
	assert_answer("/magazine/lcores,seen,1", "\"lcore\":[],\"slot\":[]");
}

#define MANY_THREADS 70

static pthread_barrier_t many_at_once;

static void *
one_of_many(void *arg)
{
	fill_run(arg);
	pthread_barrier_wait(&many_at_once);
	return NULL;
}

TEST(test_many_lcores_are_told_in_pieces, setup, fixture_teardown)
{
	pthread_t threads[MANY_THREADS];
	unsigned int i, n = 1;

	pthread_barrier_init(&many_at_once, NULL, MANY_THREADS);
	for (i = 0; i < MANY_THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, one_of_many, &n), 0);
	for (i = 0; i < MANY_THREADS; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&many_at_once);
	assert_int_equal(figure_in(ask("/magazine/lcores,seen"), "next"), 64);
	assert_answer("/magazine/lcores,seen,64", "\"allocs\":[1,1,1,1,1,1]");
	assert_null(strstr(answer, "next"));
}

TEST(test_events_are_told_in_their_order_with_their_time, setup, fixture_teardown)
{
	uint64_t before = (uint64_t)time(NULL) * 1000;
	void *objects[COUNT];

	fill_on_lcore(1, 50);
	assert_int_equal(cache_resize(), 0);
	fill(50);
	cache_reap();
	alloc_bulk(objects, COUNT);
	assert_null(mag_cache_alloc(cache));
	free_bulk(objects, COUNT);
	assert_answer("/magazine/events,seen", "\"number\":[0,1,2,3],");
	assert_answer("/magazine/events,seen", "\"before\":[0,14,0,0],\"value\":[1,30,1,1]");
	assert_answer("/magazine/events,seen",
		      "\"event\":[\"purge\",\"resize\",\"reap\",\"failed\"]");
	assert_answer("/magazine/events,seen", "\"next\":4");
	assert_true(strtoull(strstr(answer, "\"time_ms\":[") + strlen("\"time_ms\":["), NULL, 10) >=
		    before);
	assert_answer("/magazine/events,seen,2", "\"event\":[\"reap\",\"failed\"]");
	assert_answer("/magazine/events,seen,4", "\"number\":[]");
	assert_int_equal(figure_in(ask("/magazine/info,seen"), "events"), 4);
}

TEST(test_the_last_events_are_kept_and_told_in_pieces, setup, fixture_teardown)
{
	unsigned int i;

	for (i = 0; i < 300; i++)
		mag_events_add(&cache->events, MAG_EVENT_PURGE, 0, i);
	assert_answer("/magazine/events,seen", "\"number\":[44,45,");
	assert_int_equal(figure_in(answer, "next"), 144);
	assert_answer("/magazine/events,seen,244", "\"number\":[244,245,");
	assert_int_equal(figure_in(answer, "next"), 300);
	/* What happens all the time leaves room for the rest. */
	for (i = 0; i < 300; i++)
		mag_events_add_rarely(&cache->events, MAG_EVENT_STEAL, i);
	assert_int_equal(figure_in(ask("/magazine/events,seen,290"), "next"), 301);
}

static int
setup_dynamic(void **state __rte_unused)
{
	fixture_cache(COUNT, CACHE_PARAMS(.name = "seen", .object_size = SIZE,
					  .flags = MAG_CACHE_DYNAMIC));
	return 0;
}

TEST(test_options_can_be_set_while_a_cache_is_used, setup_dynamic, fixture_teardown)
{
	/* Maintenance begins with another cache, sleeps for an hour, and wakes at once. */
	drop_cache(make_cache(
		CACHE_PARAMS(.name = "another", .object_size = SIZE, .region = ground.region)));
	assert_answer("/magazine/set,seen,interval,3600", "done");
	wait_until(MAG_STAT(mag_pass_due) > rte_rdtsc() + 60 * rte_get_tsc_hz());
	assert_answer("/magazine/set,seen,interval,250ms", "done");
	assert_int_equal(MAG_STAT(cache->options.interval_ms), 250);
	wait_for_updates(2);
	assert_answer("/magazine/set,seen,contention,77", "done");
	assert_int_equal(MAG_STAT(cache->options.contention), 77);
	assert_answer("/magazine/set,seen,pressure,0", "done");
	assert_int_equal(MAG_STAT(cache->options.pressure), 0);
	assert_answer("/magazine/set,seen,rounds,30", "done");
	assert_sizes(30);
	assert_answer("/magazine/set,seen,rounds,14", "done");
	assert_int_equal(mag_cache_type_grown(cache), 14);
	assert_answer("/magazine/set,seen,rounds,0", "done");
	assert_int_equal(mag_cache_type_grown(cache), 30);
}

TEST(test_a_setting_that_cannot_be_is_an_error_and_changes_nothing, setup, fixture_teardown)
{
	static const struct {
		const char *order, *error;
	} orders[] = {
		{"seen", "no key and value"},
		{"seen,rounds", "no key and value"},
		{"seen,,", "no such key"},
		{"seen,colour,red", "option colour: no such key: must be one of rounds"},
		{"seen,mirror,8", "option mirror: fixed once a pool is made"},
		{"seen,rounds,", "option rounds=: must be"},
		{"seen,rounds,0", "rounds=0 of \\\"seen\\\": it was made with a size of its own"},
		{"seen,rounds,510", "rounds=510 of \\\"seen\\\": no size that this cache can have"},
		{"seen,rounds,15", "option rounds=15: must be 0 (chosen) or one of 14, 30"},
		{"seen,interval,1ms", "option interval=1ms: must be 1 to 3600"},
		{"seen,contention,3,interval=1", "option contention=3,interval=1: must be"},
		{"seen,pressure,101", "option pressure=101: must be 0"},
		{"nobody,rounds,14", "no pool or cache of this name"},
	};
	struct mag_options before = cache->options;
	unsigned int i;

	for (i = 0; i < RTE_DIM(orders); i++) {
		ask(EXPECT("/magazine/set,%s", orders[i].order));
		if (strstr(answer, "{\"error\":\"") == NULL ||
		    strstr(answer, orders[i].error) == NULL)
			fail_msg("%s: %s", orders[i].order, answer);
	}
	assert_memory_equal(&before, &cache->options, sizeof(before));
	assert_sizes(14);
}

TEST(test_a_busy_cache_is_an_error_with_its_name, setup, fixture_teardown)
{
	atomic_store(&cache->perimeter, 1);
	assert_answer("/magazine/purge,seen",
		      "{\"error\":\"purge of \\\"seen\\\": another resize or purge is under way");
	assert_answer("/magazine/set,seen,rounds,30", "{\"error\":\"rounds=30 of \\\"seen\\\"");
	atomic_store(&cache->perimeter, 0);
	assert_int_equal(MAG_STAT(cache->options.rounds), 0);
}

static const char *const about_caches[] = {
	"advise", "stats",  "info",   "lcores", "depot", "slabs",
	"events", "region", "mirror", "held",   "purge", "set",
};

TEST(test_an_unknown_name_is_an_error, setup, fixture_teardown)
{
	const char *const names[] = {"", ",", ",nobody", ",see", ",seen2", ",nobody,1,2,3"};
	unsigned int i, name;

	for (i = 0; i < RTE_DIM(about_caches); i++)
		for (name = 0; name < RTE_DIM(names); name++) {
			ask(EXPECT("/magazine/%s%s", about_caches[i], names[name]));
			if (strstr(answer, "{\"error\":\"") == NULL)
				fail_msg("%s: %s", expected, answer);
		}
	assert_answer("/magazine/reap,nobody", "{\"error\":\"\\\"nobody\\\": no pool or cache");
}

TEST(test_a_parameter_too_many_is_an_error, setup, fixture_teardown)
{
	unsigned int i;

	for (i = 0; i < RTE_DIM(about_caches) - 1; i++)
		assert_answer(EXPECT("/magazine/%s,seen,-1", about_caches[i]), "{\"error\":\"");
	assert_answer("/magazine/events,seen,99999999999999999999", "{\"error\":\"");
	assert_answer("/magazine/list,some", "{\"error\":\"");
}

TEST(test_a_name_may_have_a_comma, setup, fixture_teardown)
{
	struct mag_cache *other = make_cache(
		CACHE_PARAMS(.name = "seen,2", .object_size = 64, .flags = MAG_CACHE_NOMAGAZINES));

	assert_answer("/magazine/info,seen,2", "\"name\":\"seen,2\"");
	assert_answer("/magazine/info,seen", "\"name\":\"seen\"");
	assert_answer("/magazine/events,seen,2,7", "\"number\":[]");
	drop_cache(other);
}

#define CLIENTS 8

static _Atomic bool asking_ends;

/* Asks about a cache that comes and goes; returns NULL, or an answer that is none. */
static void *
client_run(void *arg)
{
	static char wrong[CLIENTS][65536];
	unsigned int number = *(unsigned int *)arg, i;
	char *said = wrong[number], command[64];
	int one = client_new();
	ssize_t n = read(one, said, sizeof(wrong[0]) - 1);

	for (i = number; n > 0 && !atomic_load(&asking_ends); i++) {
		snprintf(command, sizeof(command), "/magazine/%s,%s",
			 about_caches[i % RTE_DIM(about_caches)], i % 3 == 0 ? "seen" : "comes");
		if (write(one, command, strlen(command)) < 0)
			break;
		n = read(one, said, sizeof(wrong[0]) - 1);
		said[RTE_MAX(n, 0)] = '\0';
		if (n <= 0 || strncmp(said, "{\"/magazine/", 12) != 0 || said[n - 1] != '}' ||
		    strstr(said, "null") != NULL)
			break;
	}
	close(one);
	return atomic_load(&asking_ends) ? NULL : said;
}

TEST(test_caches_come_and_go_while_many_ask_and_one_never_reads, setup, fixture_teardown)
{
	pthread_t clients[CLIENTS];
	unsigned int i, numbers[CLIENTS];
	int deaf = client_new();
	void *wrong;

	atomic_store(&asking_ends, false);
	assert_true(fcntl(deaf, F_SETFL, O_NONBLOCK) == 0);
	for (i = 0; i < CLIENTS; i++) {
		numbers[i] = i;
		assert_int_equal(pthread_create(&clients[i], NULL, client_run, &numbers[i]), 0);
	}
	for (i = 0; i < 300; i++) {
		drop_cache(make_cache(CACHE_PARAMS(.name = "comes", .object_size = 64,
						   .flags = MAG_CACHE_NOMAGAZINES)));
		if (write(deaf, "/magazine/info,seen", 19) < 0)
			assert_int_equal(errno, EAGAIN);
		assert_places_add_up(ask("/magazine/info,seen"));
	}
	atomic_store(&asking_ends, true);
	for (i = 0; i < CLIENTS; i++) {
		pthread_join(clients[i], &wrong);
		if (wrong != NULL)
			fail_msg("client %u: %s", i, (char *)wrong);
	}
	close(deaf);
	assert_answer("/magazine/info,seen", "\"objects\":256");
}

int
main(void)
{
	eal_start(3, NULL);
	return tests_run(connect_client, NULL);
}
