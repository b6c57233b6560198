/* SPDX-License-Identifier: BSD-3-Clause */

/* Lcores and other threads at one pool: each object has one owner, and none is out of reach. */

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <rte_atomic.h>
#include <rte_cycles.h>
#include <rte_launch.h>
#include <rte_lcore.h>

#include "harness.h"
#include "pool.h"
#include "roster.h"

#define LCORES 5
#define MAX_HELD 512

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

/* An object as its holder sees it: the word is 0 while the object is free. */
struct owned {
	_Atomic uint64_t owner;
};

struct worker {
	struct rte_mempool *mp;
	uint64_t id; /* not 0 */
	unsigned int steps;
	unsigned int max_bulk;
	uint64_t random;
	struct rte_mempool_cache *cache; /* of the thread's own, or NULL */
	void *held[MAX_HELD];
	unsigned int nb_held;
};

static unsigned int
worker_random(struct worker *worker, unsigned int limit)
{
	worker->random =
		worker->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return ((worker->random >> 33) * limit) >> 31;
}

static void
own(struct worker *worker, void **objs, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		struct owned *owned = objs[i];

		if (atomic_exchange(&owned->owner, worker->id) != 0)
			complain("an object was handed out that somebody has");
	}
}

static void
disown(struct worker *worker, void **objs, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		struct owned *owned = objs[i];

		if (atomic_exchange(&owned->owner, 0) != worker->id)
			complain("somebody else has our object");
	}
}

static void
worker_get(struct worker *worker, unsigned int n)
{
	void **to = worker->held + worker->nb_held;
	int ret;

	if (worker->nb_held + n > MAX_HELD)
		return;
	if (worker->cache != NULL)
		ret = rte_mempool_generic_get(worker->mp, to, n, worker->cache);
	else
		ret = rte_mempool_get_bulk(worker->mp, to, n);
	if (ret == -ENOBUFS)
		return;
	if (ret != 0)
		complain("a get failed, and not for want of objects");
	own(worker, to, n);
	worker->nb_held += n;
}

static void
worker_put(struct worker *worker, unsigned int n)
{
	n = RTE_MIN(n, worker->nb_held);
	if (n == 0)
		return;
	worker->nb_held -= n;
	disown(worker, worker->held + worker->nb_held, n);
	if (worker->cache != NULL)
		rte_mempool_generic_put(worker->mp, worker->held + worker->nb_held, n,
					worker->cache);
	else
		rte_mempool_put_bulk(worker->mp, worker->held + worker->nb_held, n);
}

static void
work(struct worker *worker)
{
	for (unsigned int i = 0; i < worker->steps; i++) {
		unsigned int n = 1 + worker_random(worker, worker->max_bulk);

		if (worker_random(worker, 2) == 0)
			worker_get(worker, n);
		else
			worker_put(worker, n);
	}
	while (worker->nb_held > 0)
		worker_put(worker, worker->max_bulk);
	if (worker->cache != NULL)
		rte_mempool_cache_flush(worker->cache, worker->mp);
}

static int
work_as_lcore(void *arg)
{
	work(arg);
	return 0;
}

static void *
work_as_plain_thread(void *arg)
{
	if (rte_lcore_id() != LCORE_ID_ANY)
		complain("a plain thread has an lcore id");
	work(arg);
	return NULL;
}

static void *
work_as_registered_thread(void *arg)
{
	if (rte_thread_register() != 0) {
		complain("rte_thread_register failed");
		return NULL;
	}
	work(arg);
	rte_thread_unregister();
	return NULL;
}

static struct worker *
make_workers(struct rte_mempool *mp, unsigned int n, unsigned int steps, unsigned int max_bulk)
{
	struct worker *workers = calloc(n, sizeof(*workers));

	assert_non_null(workers);
	for (unsigned int i = 0; i < n; i++) {
		workers[i].mp = mp;
		workers[i].id = i + 1;
		workers[i].steps = run_is_full() ? 20 * steps : steps;
		workers[i].max_bulk = max_bulk;
		workers[i].random = random_below(UINT32_MAX >> 1);
	}
	return workers;
}

static void
clear_owner(struct rte_mempool *mp __rte_unused, void *opaque __rte_unused, void *obj,
	    unsigned int idx __rte_unused)
{
	atomic_init(&((struct owned *)obj)->owner, 0);
}

static struct rte_mempool *
make_pool(unsigned int n, unsigned int cache_size)
{
	struct rte_mempool *mp = pool_make(POOL_SPEC(n, 64, .cache_size = cache_size));

	rte_mempool_obj_iter(mp, clear_owner, NULL);
	return mp;
}

/* All lcores at once, this one included. */
static void
work_on_all_lcores(struct worker *workers)
{
	unsigned int lcore, i = 0;

	RTE_LCORE_FOREACH_WORKER(lcore)
		assert_int_equal(rte_eal_remote_launch(work_as_lcore, &workers[i++], lcore), 0);
	work(&workers[i]);
	rte_eal_mp_wait_lcore();
	assert_no_complaint();
}

TEST(lcores_never_share_an_object_and_lose_none)
{
	static const unsigned int sizes[] = {1, 10, 100, 1000, 10000};
	static const unsigned int bulks[] = {1, 32, 100};

	for (unsigned int i = 0; i < RTE_DIM(sizes) * RTE_DIM(bulks); i++) {
		unsigned int n = sizes[i % RTE_DIM(sizes)];
		struct rte_mempool *mp = make_pool(n, 0);
		struct worker *workers = make_workers(mp, LCORES, 15000, bulks[i / RTE_DIM(sizes)]);

		work_on_all_lcores(workers);
		pool_assert_free(mp, n);
		free(workers);
		rte_mempool_free(mp);
	}
}

TEST(lcores_behind_mempool_caches_lose_no_object)
{
	static const unsigned int caches[] = {32, 250, 512};

	for (unsigned int i = 0; i < RTE_DIM(caches); i++) {
		struct rte_mempool *mp = make_pool(5000, caches[i]);
		struct worker *workers = make_workers(mp, LCORES, 30000, 64);

		work_on_all_lcores(workers);
		assert_int_equal(rte_mempool_avail_count(mp), 5000);
		free(workers);
		rte_mempool_free(mp);
	}
}

static void
run_threads(struct worker *workers, unsigned int n, void *(*body)(void *))
{
	pthread_t threads[16];

	assert_true(n <= RTE_DIM(threads));
	for (unsigned int i = 0; i < n; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, body, &workers[i]), 0);
	for (unsigned int i = 0; i < n; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_no_complaint();
}

TEST(threads_without_lcore_get_and_put)
{
	for (unsigned int cache = 0; cache <= 250; cache += 250) {
		struct rte_mempool *mp = make_pool(2000, cache);
		struct worker *workers = make_workers(mp, 4, 20000, 48);

		run_threads(workers, 4, work_as_plain_thread);
		assert_int_equal(rte_mempool_avail_count(mp), 2000);
		free(workers);
		rte_mempool_free(mp);
	}
}

TEST(threads_with_a_cache_of_their_own_get_and_put)
{
	struct rte_mempool *mp = make_pool(3000, 0);
	struct worker *workers = make_workers(mp, 3, 20000, 48);

	for (unsigned int i = 0; i < 3; i++)
		workers[i].cache = rte_mempool_cache_create(128, SOCKET_ID_ANY);
	run_threads(workers, 3, work_as_plain_thread);
	pool_assert_free(mp, 3000);
	for (unsigned int i = 0; i < 3; i++)
		rte_mempool_cache_free(workers[i].cache);
	free(workers);
	rte_mempool_free(mp);
}

TEST(registered_threads_get_and_put)
{
	struct rte_mempool *mp = make_pool(2000, 0);
	struct worker *workers = make_workers(mp, 4, 20000, 48);

	for (unsigned int round = 0; round < 10; round++) {
		run_threads(workers, 4, work_as_registered_thread);
		pool_assert_free(mp, 2000);
	}
	free(workers);
	rte_mempool_free(mp);
}

TEST(lcores_and_threads_of_all_kinds_together)
{
	struct rte_mempool *mp = make_pool(3000, 0);
	struct worker *workers = make_workers(mp, LCORES + 4, 30000, 40);
	pthread_t threads[4];

	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
						i % 2 == 0 ? work_as_plain_thread :
							     work_as_registered_thread,
						&workers[LCORES + i]),
				 0);
	work_on_all_lcores(workers);
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_no_complaint();
	pool_assert_free(mp, 3000);
	free(workers);
	rte_mempool_free(mp);
}

/* Takes what is to be had and puts it back in every bulk size, so that magazines fill up. */
static int
fill_own_magazines(void *arg)
{
	struct rte_mempool *mp = arg;
	void *objs[1200];
	unsigned int n = 0;

	while (n < RTE_DIM(objs) && rte_mempool_get(mp, &objs[n]) == 0)
		n++;
	for (unsigned int bulk = 1; n > 0; bulk = 1 + bulk % 50) {
		unsigned int back = RTE_MIN(bulk, n);

		n -= back;
		rte_mempool_put_bulk(mp, objs + n, back);
	}
	return 0;
}

static void
fill_all_magazines(struct rte_mempool *mp)
{
	unsigned int lcore;

	/* One after the other too: then the last one has not taken all from the first. */
	RTE_LCORE_FOREACH_WORKER(lcore) {
		assert_int_equal(rte_eal_remote_launch(fill_own_magazines, mp, lcore), 0);
		rte_eal_wait_lcore(lcore);
	}
	RTE_LCORE_FOREACH_WORKER(lcore)
		assert_int_equal(rte_eal_remote_launch(fill_own_magazines, mp, lcore), 0);
	rte_eal_mp_wait_lcore();
}

struct drain {
	struct rte_mempool *mp;
	void **objs;
	unsigned int bulk;
	unsigned int got; /* in whole bulks */
	unsigned int all;
};

static int
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
	return 0;
}

static void *
drain_as_plain_thread(void *arg)
{
	drain_to_the_last(arg);
	return NULL;
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
	pthread_t thread;

	switch (drainer) {
	case MAIN:
		drain_to_the_last(drain);
		break;
	case ANOTHER_LCORE:
		assert_int_equal(rte_eal_remote_launch(drain_to_the_last, drain,
						       rte_get_next_lcore(-1, 1, 0)),
				 0);
		rte_eal_mp_wait_lcore();
		break;
	case PLAIN_THREAD:
		assert_int_equal(pthread_create(&thread, NULL, drain_as_plain_thread, drain), 0);
		assert_int_equal(pthread_join(thread, NULL), 0);
		break;
	}
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

static int
leave_few_in_magazines(void *arg)
{
	void *objs[FEW];

	if (rte_mempool_generic_get(arg, objs, FEW, NULL) != 0)
		return -1;
	rte_mempool_generic_put(arg, objs, FEW, NULL);
	return 0;
}

TEST(an_optional_refill_takes_nothing_from_other_lcores)
{
	unsigned int lcore = rte_get_next_lcore(-1, 1, 0), most = 1000 - FEW;
	struct rte_mempool *mp;
	void *objs[1000];

	harness_need_ours("steals");
	mp = make_pool(1000, 8);
	assert_int_equal(rte_eal_remote_launch(leave_few_in_magazines, mp, lcore), 0);
	assert_int_equal(rte_eal_wait_lcore(lcore), 0);
	assert_int_equal(rte_mempool_generic_get(mp, objs, most, NULL), 0);
	/* The refill would be 9 objects, and 20 there are. */
	assert_int_equal(rte_mempool_get(mp, &objs[most]), 0);
	assert_int_equal(rte_mempool_default_cache(mp, rte_lcore_id())->len, 0);
	assert_int_equal(rte_mempool_avail_count(mp), FEW - 1);
	rte_mempool_generic_put(mp, objs, most + 1, NULL);
	rte_mempool_free(mp);
}

/* As drivers do that fill an lcore's cache themselves, and have no second try. */
static int
fill_as_a_driver(struct rte_mempool *mp, unsigned int needed)
{
	struct rte_mempool_cache *own = rte_mempool_default_cache(mp, rte_lcore_id());
	unsigned int n = needed + own->size - own->len;
	int ret = rte_mempool_ops_dequeue_bulk(mp, &own->objs[own->len], n);

	if (ret == 0)
		own->len += n;
	return ret;
}

TEST(a_driver_that_fills_an_lcores_cache_has_what_others_hold)
{
	unsigned int lcore = rte_get_next_lcore(-1, 1, 0), most = 1000 - FEW, round;
	struct rte_mempool *mp;
	void *objs[1000];

	harness_need_ours("steals");
	mp = make_pool(1000, 8);
	for (round = 0; round < 2; round++) {
		assert_int_equal(rte_eal_remote_launch(leave_few_in_magazines, mp, lcore), 0);
		assert_int_equal(rte_eal_wait_lcore(lcore), 0);
		assert_int_equal(rte_mempool_generic_get(mp, objs, most, NULL), 0);
		/* At the second poll of a queue at the latest. */
		if (fill_as_a_driver(mp, 4) != 0)
			assert_int_equal(fill_as_a_driver(mp, 4), 0);
		assert_int_equal(rte_mempool_default_cache(mp, rte_lcore_id())->len, 12);
		assert_int_equal(rte_mempool_avail_count(mp), FEW);
		rte_mempool_generic_put(mp, objs, most, NULL);
		rte_mempool_cache_flush(NULL, mp);
	}
	rte_mempool_free(mp);
}

TEST(a_users_cache_takes_nothing_optional_from_other_lcores)
{
	unsigned int lcore = rte_get_next_lcore(-1, 1, 0), most = 1000 - FEW;
	struct rte_mempool_cache *own = rte_mempool_cache_create(8, SOCKET_ID_ANY);
	struct rte_mempool *mp;
	void *objs[1000];

	harness_need_ours("steals");
	assert_non_null(own);
	mp = make_pool(1000, 0);
	assert_int_equal(rte_eal_remote_launch(leave_few_in_magazines, mp, lcore), 0);
	assert_int_equal(rte_eal_wait_lcore(lcore), 0);
	assert_int_equal(rte_mempool_generic_get(mp, objs, most, NULL), 0);
	assert_int_equal(rte_mempool_generic_get(mp, &objs[most], 1, own), 0);
	assert_int_equal(own->len, 0);
	pool_assert_free(mp, FEW - 1);
	rte_mempool_generic_put(mp, objs, most + 1, NULL);
	rte_mempool_cache_free(own);
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

static int
fill_magazines_and_spin(void *arg)
{
	fill_own_magazines(arg);
	atomic_store(&spinning, true);
	while (!atomic_load(&stop_spinning))
		sched_yield();
	return 0;
}

/* The others are busy with something else: inside their loop, and outside of the pool. */
TEST(one_lcore_drains_the_pool_while_others_spin)
{
	struct drain drain = {.mp = make_pool(4095, 0), .bulk = 32};
	unsigned int lcore;

	drain.objs = calloc(4095 + 1024, sizeof(void *));
	atomic_store(&stop_spinning, false);
	RTE_LCORE_FOREACH_WORKER(lcore) {
		atomic_store(&spinning, false);
		rte_eal_remote_launch(fill_magazines_and_spin, drain.mp, lcore);
		while (!atomic_load(&spinning))
			sched_yield();
	}
	drain_to_the_last(&drain);
	atomic_store(&stop_spinning, true);
	rte_eal_mp_wait_lcore();
	assert_drained(&drain);
	free(drain.objs);
	rte_mempool_free(drain.mp);
}

static void *
fill_magazines_as_registered_thread(void *arg)
{
	if (rte_thread_register() != 0)
		complain("rte_thread_register failed");
	fill_own_magazines(arg);
	rte_thread_unregister();
	return NULL;
}

static void *
fill_magazines_as_plain_thread(void *arg)
{
	fill_own_magazines(arg);
	return NULL;
}

TEST(objects_of_threads_that_are_gone_can_be_had)
{
	void *(*const bodies[])(void *) = {
		fill_magazines_as_registered_thread,
		fill_magazines_as_plain_thread,
	};
	struct drain drain = {.mp = make_pool(3000, 0), .bulk = 13};
	pthread_t thread;

	drain.objs = calloc(3000 + 1024, sizeof(void *));
	for (unsigned int i = 0; i < 40; i++) {
		assert_int_equal(pthread_create(&thread, NULL, bodies[i % 2], drain.mp), 0);
		assert_int_equal(pthread_join(thread, NULL), 0);
		assert_no_complaint();
		pool_assert_free(drain.mp, 3000);
		drain_to_the_last(&drain);
		assert_drained(&drain);
	}
	free(drain.objs);
	rte_mempool_free(drain.mp);
}

/* One lcore only gets, another only puts: objects travel one way. */
struct pipe {
	struct rte_mempool *mp;
	void *_Atomic slots[256];
	atomic_uint sent;
	unsigned int total;
};

static int
put_what_comes(void *arg)
{
	struct pipe *pipe = arg;

	for (unsigned int i = 0; i < pipe->total; i++) {
		void *obj;

		while ((obj = atomic_exchange(&pipe->slots[i % RTE_DIM(pipe->slots)], NULL)) ==
		       NULL)
			sched_yield();
		rte_mempool_put(pipe->mp, obj);
	}
	return 0;
}

static void
send_all(struct pipe *pipe)
{
	for (unsigned int i = 0; i < pipe->total; i++) {
		void *_Atomic *slot = &pipe->slots[i % RTE_DIM(pipe->slots)];
		void *obj;

		while (atomic_load(slot) != NULL)
			sched_yield();
		while (rte_mempool_get(pipe->mp, &obj) != 0)
			sched_yield();
		atomic_store(slot, obj);
	}
}

TEST(objects_got_on_one_lcore_and_put_on_another_come_back)
{
	static struct pipe pipe;

	pipe.mp = make_pool(1000, 0);
	pipe.total = 100000;
	rte_eal_remote_launch(put_what_comes, &pipe, rte_get_next_lcore(-1, 1, 0));
	send_all(&pipe);
	rte_eal_mp_wait_lcore();
	pool_assert_free(pipe.mp, 1000);
	rte_mempool_free(pipe.mp);
}

int
main(int argc, char **argv)
{
	return HARNESS_RUN(argc, argv, LCORES);
}
