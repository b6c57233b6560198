/* SPDX-License-Identifier: BSD-3-Clause */

/* Option cache: rte_mempool's own caches are as it says, whatever the application asked for. */

#include <sys/wait.h>

#include <rte_malloc.h>

#include "harness.h"
#include "../common/log.h"
#include "mag_stats.h"
#include "pool.h"
#include "rte_mempool_magazine.h"

/* Set in a copy of this program that is a secondary process: the pool that it uses. */
#define ENV_CHILD "CONTRACT_CACHE_CHILD"

#define COUNT 2000
/* With audit=1 a record for each place of 512 bytes, 768 KiB a granule of 2 MB: legacy memory of
 * fragmented hugepages has no piece above 2 MB. */
#define SIZE 512
#define FEW 20

static void *objects[COUNT];

static struct rte_mempool *
make(const char *config, unsigned int cache_size)
{
	harness_need_ours("to resize caches");
	return pool_make(POOL_SPEC(COUNT, SIZE, .config = config, .cache_size = cache_size));
}

/* What rte_mempool, as it runs, makes of a cache of that size. */
static uint32_t
flushthresh_of(uint32_t size)
{
	struct rte_mempool_cache *made;
	uint32_t flushthresh;

	if (size == 0)
		return 0;
	made = rte_mempool_cache_create(size, SOCKET_ID_ANY);
	assert_non_null(made);
	flushthresh = made->flushthresh;
	rte_mempool_cache_free(made);
	return flushthresh;
}

static void
assert_caches(struct rte_mempool *mp, uint32_t size)
{
	struct mag_cache_stats stats;

	for (unsigned int i = 0; i < RTE_MAX_LCORE; i++) {
		assert_int_equal(mp->local_cache[i].size, size);
		assert_int_equal(mp->local_cache[i].flushthresh, flushthresh_of(size));
		assert_int_equal(mp->local_cache[i].len, 0);
	}
	mag_cache_stats_get(rte_mempool_magazine_cache(mp), &stats);
	assert_int_equal(stats.mempool_cache, size);
}

static const struct {
	const char *config;
	unsigned int made, size;
} rows[] = {
	{NULL, 512, 512},       {"rounds=14", 32, 32},       {"cache=0", 1, 0},
	{"cache=0", 512, 0},    {"cache=1", 512, 1},         {"cache=8", 512, 8},
	{"cache=512", 32, 512}, {"cache=32", 32, 32},        {"guard=1", 512, 0},
	{"audit=1", 32, 0},     {"guard=1,cache=8", 512, 8},
};

TEST(caches_are_as_made_unless_the_option_says_otherwise)
{
	struct rte_mempool *mp;

	for (unsigned int i = 0; i < RTE_DIM(rows); i++) {
		mp = make(rows[i].config, rows[i].made);
		assert_caches(mp, rows[i].size);
		assert_int_equal(mp->cache_size, rows[i].made);
		rte_mempool_free(mp);
	}
}

/* Objects that stay in the caches of lcores that got and put hundreds. */
static unsigned int
stranded(const struct rte_mempool *mp)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < RTE_MAX_LCORE; i++)
		n += mp->local_cache[i].len;
	return n;
}

TEST(with_caches_off_one_lcore_gets_the_last_object)
{
	struct rte_mempool *mp = make("cache=0", 512);

	run_on_lcore(rte_get_next_lcore(-1, 1, 0), pool_get_and_put, mp);
	assert_int_equal(stranded(mp), 0);
	assert_int_equal(pool_get_all(mp, objects), COUNT);
	assert_int_equal(rte_mempool_avail_count(mp), 0);
	rte_mempool_put_bulk(mp, objects, COUNT);
	assert_int_equal(stranded(mp), 0);
	pool_assert_free(mp, COUNT);
	rte_mempool_free(mp);
}

TEST(a_cache_strands_no_more_than_its_size_in_force_allows)
{
	static const uint32_t sizes[] = {1, 8, 32, 250};
	struct rte_mempool *mp;
	char config[32];

	for (unsigned int i = 0; i < RTE_DIM(sizes); i++) {
		snprintf(config, sizeof(config), "cache=%u", sizes[i]);
		mp = make(config, 512);
		run_on_lcore(rte_get_next_lcore(-1, 1, 0), pool_get_and_put, mp);
		assert_true(stranded(mp) > 0);
		assert_true(stranded(mp) <= flushthresh_of(sizes[i]));
		assert_int_equal(rte_mempool_avail_count(mp), COUNT);
		assert_true(pool_get_all(mp, objects) >= COUNT - flushthresh_of(sizes[i]));
		rte_mempool_put_bulk(mp, objects, COUNT - stranded(mp));
		rte_mempool_free(mp);
	}
}

/* Leaves its objects in its magazines, past the caches. */
static void
leave_few(void *arg)
{
	void *had[FEW];

	if (rte_mempool_generic_get(arg, had, FEW, NULL) == 0)
		rte_mempool_generic_put(arg, had, FEW, NULL);
}

TEST(a_request_through_a_cache_that_is_off_takes_what_others_hold_at_once)
{
	struct rte_mempool *mp = make("cache=0", 512);
	struct rte_mempool_cache *own = rte_mempool_default_cache(mp, rte_lcore_id());

	run_on_lcore(rte_get_next_lcore(-1, 1, 0), leave_few, mp);
	assert_int_equal(rte_mempool_generic_get(mp, objects, COUNT - FEW, NULL), 0);
	assert_int_equal(pool_fill_as_a_driver(mp, FEW), 0);
	assert_int_equal(own->len, FEW);
	rte_mempool_cache_flush(own, mp);
	rte_mempool_put_bulk(mp, objects, COUNT - FEW);
	pool_assert_free(mp, COUNT);
	rte_mempool_free(mp);
}

TEST(a_refill_for_the_size_in_force_takes_nothing_from_other_lcores)
{
	struct rte_mempool *mp = make("cache=8", 512);

	run_on_lcore(rte_get_next_lcore(-1, 1, 0), leave_few, mp);
	assert_int_equal(rte_mempool_generic_get(mp, objects, COUNT - FEW, NULL), 0);
	/* The refill would be 9 objects at most, and 20 there are. */
	assert_int_equal(rte_mempool_get(mp, &objects[COUNT - FEW]), 0);
	assert_int_equal(stranded(mp), 0);
	rte_mempool_generic_put(mp, objects, COUNT - FEW + 1, NULL);
	rte_mempool_free(mp);
}

TEST(guard_sees_each_object_though_the_application_has_caches)
{
	struct rte_mempool *mp;
	void *object;

	log_begin();
	mp = make("guard=1", 512);
	log_end();
	assert_int_equal(log_lines(), 1);
	assert_true(log_has(mp->name) && log_has("cache=0"));
	assert_int_equal(rte_mempool_get(mp, &object), 0);
	rte_mempool_put(mp, object);
	log_begin();
	rte_mempool_put(mp, object);
	log_end();
	assert_true(log_has("free already"));
	pool_assert_free(mp, COUNT);
	rte_mempool_free(mp);
}

static int
populate(const char *config, unsigned int n, unsigned int cache_size)
{
	struct rte_mempool *mp =
		pool_empty(POOL_SPEC(n, SIZE, .config = config, .cache_size = cache_size));
	int ret;

	log_begin();
	ret = rte_mempool_populate_default(mp);
	log_end();
	if (ret < 0) {
		assert_int_equal(log_lines(), 1);
		assert_true(log_has(mp->name) && log_has(config));
		assert_int_equal(mp->local_cache[0].size, cache_size);
	}
	rte_mempool_free(mp);
	return ret;
}

TEST(a_cache_of_more_than_there_can_be_fails_the_pool)
{
	static const char *const bad[] = {"cache=513", "cache=-1", "cache=off", "cache="};
	char config[32], allowed[32];
	unsigned int most = 512;

	harness_need_ours("options");
	for (unsigned int i = 0; i < RTE_DIM(bad); i++) {
		assert_int_equal(populate(bad[i], COUNT, 32), -EINVAL);
		assert_true(log_has("must be 0 (off) or 1 to 512"));
	}
	while (flushthresh_of(most) > 500)
		most--;
	snprintf(config, sizeof(config), "cache=%u", most);
	assert_int_equal(populate(config, 500, 32), 500);
	snprintf(config, sizeof(config), "cache=%u", most + 1);
	assert_int_equal(populate(config, 500, 32), -EINVAL);
	snprintf(allowed, sizeof(allowed), "must be 0 (off) or 1 to %u", most);
	assert_true(log_has(allowed));
}

TEST(a_pool_without_caches_is_left_alone_and_it_is_said_once)
{
	struct rte_mempool *mp;

	log_begin();
	mp = make("cache=64", 0);
	assert_int_equal(pool_get_all(mp, objects), COUNT);
	rte_mempool_put_bulk(mp, objects, COUNT);
	log_end();
	assert_int_equal(log_lines(), 1);
	assert_true(log_has(mp->name) && log_has("cache=64") && log_has("cache_size 0"));
	assert_int_equal(mp->cache_size, 0);
	pool_assert_free(mp, COUNT);
	rte_mempool_free(mp);
	/* Nothing to say. */
	assert_int_equal(populate("cache=0", COUNT, 0), COUNT);
	assert_int_equal(log_lines(), 0);
}

TEST(a_cache_that_a_user_made_stays_as_it_is)
{
	struct rte_mempool_cache *own = rte_mempool_cache_create(64, SOCKET_ID_ANY);
	struct rte_mempool *mp = make("cache=0", 512);
	void *object;

	assert_int_equal(rte_mempool_generic_get(mp, &object, 1, own), 0);
	assert_int_equal(own->size, 64);
	assert_true(own->len >= 31);
	rte_mempool_generic_put(mp, &object, 1, own);
	rte_mempool_cache_flush(own, mp);
	rte_mempool_cache_free(own);
	pool_assert_free(mp, COUNT);
	rte_mempool_free(mp);
}

static int
run_as_child(int argc, char **argv, const char *pool)
{
	struct rte_mempool *mp;

	if (harness_start_secondary(argc, argv, 1) < 0)
		return HARNESS_REFUSED;
	mp = rte_mempool_lookup(pool);
	if (mp == NULL || mp->local_cache[rte_lcore_id()].size != 0)
		return 3;
	pool_get_and_put(mp);
	if (stranded(mp) != 0)
		return 4;
	if (pool_get_all(mp, objects) != COUNT)
		return 5;
	rte_mempool_put_bulk(mp, objects, COUNT);
	return rte_mempool_avail_count(mp) == COUNT ? 0 : 6;
}

TEST(a_secondary_process_has_the_same_caches)
{
	struct rte_mempool *mp = make("cache=0", 512);
	int status = harness_copy_status(harness_copy(ENV_CHILD, mp->name, NULL));

	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(pool_get_all(mp, objects), COUNT);
	rte_mempool_put_bulk(mp, objects, COUNT);
	rte_mempool_free(mp);
}

int
main(int argc, char **argv)
{
	return HARNESS_RUN_OR_CHILD(argc, argv, 2, ENV_CHILD, run_as_child);
}
