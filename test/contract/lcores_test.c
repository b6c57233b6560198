/* SPDX-License-Identifier: BSD-3-Clause */

/* Lcores and other threads at one pool: each object has one owner, and none is out of reach. */

#include <sched.h>

#include "harness.h"
#include "pool.h"
#include "roster.h"

#define LCORES 5

/* Worker threads may not use cmocka: what went wrong is noted here, and asserted by the test. */
static _Atomic(const char *) complaint;

static void
complain(const char *text)
{
	atomic_store(&complaint, text);
}

static void
assert_no_complaint(void)
{
	const char *text = atomic_exchange(&complaint, NULL);

	if (text != NULL)
		fail_msg("%s", text);
}

static struct rte_mempool *
make_pool(unsigned int n, unsigned int cache_size)
{
	return pool_make(POOL_SPEC(n, 64, .cache_size = cache_size));
}

static void
fill_all_magazines(struct rte_mempool *mp)
{
	unsigned int lcore;

	/* One after the other too: then the last one has not taken all from the first. */
	RTE_LCORE_FOREACH_WORKER(lcore)
		run_on_lcore(lcore, pool_fill_magazines, mp);
	run_on_workers(pool_fill_magazines, mp);
}

struct drain {
	struct rte_mempool *mp;
	void **objs;
	unsigned int bulk;
	unsigned int got; /* in whole bulks */
	unsigned int all;
};

static void
drain_to_the_last(void *arg)
{
	struct drain *drain = arg;
	unsigned int n = 0;

	while (rte_mempool_get_bulk(drain->mp, drain->objs + n, drain->bulk) == 0)
		n += drain->bulk;
	drain->got = n;
	while (rte_mempool_get(drain->mp, &drain->objs[n]) == 0)
		n++;
	drain->all = n;
}

static void
assert_drained(struct drain *drain)
{
	struct roster *roster = roster_of(drain->mp);
	unsigned int n = drain->mp->size;

	assert_int_equal(drain->got, n / drain->bulk * drain->bulk);
	assert_int_equal(drain->all, n);
	roster_took(roster, drain->objs, n); /* each once */
	pool_assert_free(drain->mp, 0);
	roster_shuffle(drain->objs, n);
	roster_refill(roster, drain->objs, n, drain->bulk);
	pool_assert_free(drain->mp, n);
	roster_free(roster);
}

enum drainer { MAIN, ANOTHER_LCORE, PLAIN_THREAD };

static void
drain_once(struct drain *drain, enum drainer drainer)
{
	if (drainer == PLAIN_THREAD)
		run_on_thread(drain_to_the_last, drain);
	else
		run_on_lcore(drainer == MAIN ? rte_lcore_id() : rte_get_next_lcore(-1, 1, 0),
			     drain_to_the_last, drain);
}

static void
drain_pools_of_all_sizes(enum drainer drainer)
{
	static const unsigned int sizes[] = {1, 2, 33, 100, 1000, 4095, 20011};
	static const unsigned int bulks[] = {1, 32, 7, 100, 500};

	for (unsigned int i = 0; i < RTE_DIM(sizes); i++) {
		struct drain drain = {.mp = make_pool(sizes[i], 0)};

		drain.objs = calloc(sizes[i] + 1024, sizeof(void *));
		assert_non_null(drain.objs);
		for (unsigned int j = 0; j < RTE_DIM(bulks); j++) {
			drain.bulk = bulks[j];
			fill_all_magazines(drain.mp);
			pool_assert_free(drain.mp, sizes[i]);
			drain_once(&drain, drainer);
			assert_drained(&drain);
		}
		free(drain.objs);
		rte_mempool_free(drain.mp);
	}
}

TEST(one_lcore_drains_the_pool_though_all_magazines_are_full)
{
	drain_pools_of_all_sizes(MAIN);
}

#define FEW 20

static void
leave_few_in_magazines(void *arg)
{
	void *objs[FEW];

	if (rte_mempool_generic_get(arg, objs, FEW, NULL) != 0)
		complain("a few objects cannot be had");
	else
		rte_mempool_generic_put(arg, objs, FEW, NULL);
}

/* All objects are here but those that another lcore has in its magazines: as many as are here. */
static unsigned int
take_all_but_few(struct rte_mempool *mp, void **objs)
{
	unsigned int most = mp->size - FEW;

	run_on_lcore(rte_get_next_lcore(-1, 1, 0), leave_few_in_magazines, mp);
	assert_no_complaint();
	assert_int_equal(rte_mempool_generic_get(mp, objs, most, NULL), 0);
	return most;
}

/* The refill of the cache would be 9 objects, and 20 there are. */
static void
assert_no_refill(struct rte_mempool *mp, struct rte_mempool_cache *cache)
{
	unsigned int most;
	void *objs[1000];

	most = take_all_but_few(mp, objs);
	assert_int_equal(rte_mempool_generic_get(mp, &objs[most], 1, cache), 0);
	assert_int_equal(cache->len, 0);
	assert_int_equal(rte_mempool_avail_count(mp), FEW - 1);
	rte_mempool_generic_put(mp, objs, most + 1, NULL);
	rte_mempool_free(mp);
}

TEST(an_optional_refill_takes_nothing_from_other_lcores)
{
	struct rte_mempool *mp;

	harness_need_ours("steals");
	mp = make_pool(1000, 8);
	assert_no_refill(mp, rte_mempool_default_cache(mp, rte_lcore_id()));
}

TEST(a_users_cache_takes_nothing_optional_from_other_lcores)
{
	struct rte_mempool_cache *own = rte_mempool_cache_create(8, SOCKET_ID_ANY);

	harness_need_ours("steals");
	assert_non_null(own);
	assert_no_refill(make_pool(1000, 0), own);
	rte_mempool_cache_free(own);
}

TEST(a_driver_that_fills_an_lcores_cache_has_what_others_hold)
{
	struct rte_mempool *mp;
	unsigned int most;
	void *objs[1000];

	harness_need_ours("steals");
	mp = make_pool(1000, 8);
	for (unsigned int round = 0; round < 2; round++) {
		most = take_all_but_few(mp, objs);
		/* At the second poll of a queue at the latest. */
		if (pool_fill_as_a_driver(mp, 4) != 0)
			assert_int_equal(pool_fill_as_a_driver(mp, 4), 0);
		assert_int_equal(rte_mempool_default_cache(mp, rte_lcore_id())->len, 12);
		assert_int_equal(rte_mempool_avail_count(mp), FEW);
		rte_mempool_generic_put(mp, objs, most, NULL);
		rte_mempool_cache_flush(NULL, mp);
	}
	rte_mempool_free(mp);
}

TEST(any_other_lcore_drains_the_pool_too)
{
	drain_pools_of_all_sizes(ANOTHER_LCORE);
}

TEST(a_thread_without_lcore_drains_the_pool_too)
{
	drain_pools_of_all_sizes(PLAIN_THREAD);
}

static atomic_bool spinning, stop_spinning;

static void
fill_magazines_and_spin(void *arg)
{
	pool_fill_magazines(arg);
	atomic_store(&spinning, true);
	while (!atomic_load(&stop_spinning))
		sched_yield();
}

/* The others are busy with something else: inside their loop, and outside of the pool. */
TEST(one_lcore_drains_the_pool_while_others_spin)
{
	struct drain drain = {.mp = make_pool(4095, 0), .bulk = 32};
	struct task tasks[LCORES];
	unsigned int lcore, n = 0;

	drain.objs = calloc(4095 + 1024, sizeof(void *));
	atomic_store(&stop_spinning, false);
	RTE_LCORE_FOREACH_WORKER(lcore) {
		atomic_store(&spinning, false);
		task_lcore(&tasks[n++], lcore, fill_magazines_and_spin, drain.mp);
		while (!atomic_load(&spinning))
			sched_yield();
	}
	drain_to_the_last(&drain);
	atomic_store(&stop_spinning, true);
	while (n > 0)
		task_join(&tasks[--n]);
	assert_drained(&drain);
	free(drain.objs);
	rte_mempool_free(drain.mp);
}

TEST(objects_of_threads_that_are_gone_can_be_had)
{
	struct drain drain = {.mp = make_pool(3000, 0), .bulk = 13};

	drain.objs = calloc(3000 + 1024, sizeof(void *));
	for (unsigned int i = 0; i < 40; i++) {
		if (i % 2 == 0)
			run_on_registered(pool_fill_magazines, drain.mp);
		else
			run_on_thread(pool_fill_magazines, drain.mp);
		pool_assert_free(drain.mp, 3000);
		drain_to_the_last(&drain);
		assert_drained(&drain);
	}
	free(drain.objs);
	rte_mempool_free(drain.mp);
}

int
main(int argc, char **argv)
{
	return HARNESS_RUN(argc, argv, LCORES);
}
