/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_telemetry.h>

#include "fixture.h"

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
connect_client(void **state __rte_unused)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/dpdk_telemetry.v2",
		 rte_eal_get_runtime_dir());
	client = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	if (connect(client, (struct sockaddr *)&address, sizeof(address)) != 0)
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
	assert_answer("/magazine/mirror,nobody", "null");
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

TEST(test_an_unknown_name_has_no_answer, setup, fixture_teardown)
{
	const char *commands[] = {
		"/magazine/stats,nobody",  "/magazine/lcores,nobody", "/magazine/reap,nobody",
		"/magazine/region,nobody", "/magazine/held,nobody",   "/magazine/stats",
		"/magazine/lcores",        "/magazine/stats,",        "/magazine/stats,see"};
	unsigned int i;

	for (i = 0; i < RTE_DIM(commands); i++)
		assert_answer(commands[i], "null");
}

int
main(void)
{
	eal_start(3, NULL);
	return tests_run(connect_client, NULL);
}
