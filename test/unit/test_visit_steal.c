/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/alloc.h"
#include "eal.h"
#include "mag_maint.h"
#include "mag_stats.h"
#include "visits/perimeter.h"
#include "control/pool.h"
#include "visits/steal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_malloc.h>
#include <rte_mempool.h>

#include "cache/cache.h"
#include "ground.h"
#include "rte_mempool_magazine.h"

/*
 * What a steal costs, in membarriers and visits, with few slots that have owners and with many.
 */

#define SIZE 256
#define ROUNDS 14
#define BLOCK 16
#define HOLDERS_MAX 64
#define HOLD_MAX 20
#define COUNT (HOLDERS_MAX * HOLD_MAX)

static const unsigned int slots[] = {1, 8, 32, HOLDERS_MAX};

static struct ground ground;
static struct mag_cache *cache;
static void *rest[COUNT + 1];
static unsigned int rest_count;

static int
setup(void **state __rte_unused)
{
	struct mag_cache_params params = {
		.size = sizeof(params), .name = "things", .object_size = SIZE, .node = -1};

	ground = ground_make(COUNT, SIZE, BLOCK, 0);
	params.region = ground.region;
	cache = mag_cache_create(&params);
	assert_non_null(cache);
	assert_int_equal(cache->common.type, ROUNDS);
	return 0;
}

static int
teardown(void **state __rte_unused)
{
	assert_int_equal(mag_cache_available(cache), COUNT);
	assert_int_equal(mag_cache_destroy(cache), 0);
	ground_drop(&ground);
	return 0;
}

/* Registered threads, each with a slot: they take some objects, free them when told, and stay. */

enum order { ORDER_NONE, ORDER_FREE, ORDER_LEAVE };

struct holder {
	struct task task;
	_Atomic int order, done;
	unsigned int held;
	uint32_t slot;
	void *object[HOLD_MAX];
};

static struct holder holder[HOLDERS_MAX];
static unsigned int holders;

static void
holder_await(struct holder *self, int order)
{
	while (atomic_load_explicit(&self->order, memory_order_acquire) < order)
		let_pass(1);
}

static void
holder_run(void *arg)
{
	struct holder *self = arg;

	self->held = mag_cache_alloc_burst(cache, self->object, self->held);
	self->slot = mag_thread_slot();
	atomic_store_explicit(&self->done, 1, memory_order_release);
	holder_await(self, ORDER_FREE);
	mag_cache_free_bulk(cache, self->object, self->held);
	atomic_store_explicit(&self->done, 2, memory_order_release);
	holder_await(self, ORDER_LEAVE);
}

static void
holder_order(struct holder *one, int order)
{
	atomic_store_explicit(&one->order, order, memory_order_release);
}

static void
holders_begin(unsigned int n, unsigned int each)
{
	for (holders = 0; holders < n; holders++) {
		holder[holders] = (struct holder){.held = each};
		task_registered(&holder[holders].task, holder_run, &holder[holders]);
		wait_until(atomic_load(&holder[holders].done) == 1);
		assert_int_equal(holder[holders].held, each);
		assert_int_not_equal(holder[holders].slot, MAG_SLOT_SHARED);
	}
}

/* This lcore has all that the holders do not have; depot and slabs are empty. */
static void
take_the_rest(void)
{
	unsigned int i, held = 0;

	for (i = 0; i < holders; i++)
		held += holder[i].held;
	rest_count = mag_cache_alloc_burst(cache, rest, COUNT - held);
	assert_int_equal(rest_count, COUNT - held);
	assert_int_equal(mag_cache_reachable(cache), 0);
}

/* From here on the holders' objects lie in the holders' magazines. */
static void
holders_free(void)
{
	unsigned int i;

	for (i = 0; i < holders; i++) {
		holder_order(&holder[i], ORDER_FREE);
		wait_until(atomic_load(&holder[i].done) == 2);
		assert_int_equal(mag_slot_objects(&cache->first.slot[holder[i].slot]),
				 holder[i].held);
	}
}

static void
holders_end(void)
{
	unsigned int i;

	for (i = 0; i < holders; i++)
		holder_order(&holder[i], ORDER_LEAVE);
	for (i = 0; i < holders; i++)
		task_join(&holder[i].task);
	mag_cache_free_bulk(cache, rest, rest_count);
}

static struct mag_slot *
slot_of(unsigned int i)
{
	return &cache->first.slot[holder[i].slot];
}

static unsigned int
holders_visited(void)
{
	unsigned int i, n = 0;

	for (i = 0; i < holders; i++)
		n += MAG_STAT(cache->first.slot[holder[i].slot].visited_out) != 0;
	return n;
}

static void
with_slots(void (*check)(unsigned int n))
{
	unsigned int i;

	for (i = 0; i < RTE_DIM(slots); i++) {
		setup(NULL);
		check(slots[i]);
		teardown(NULL);
	}
}

/* Partial magazines, and full ones beside them. */
static void
check_one_sweep(unsigned int n, unsigned int each)
{
	void *objects[COUNT];
	uint64_t sent;

	holders_begin(n, each);
	take_the_rest();
	holders_free();
	sent = mag_bias_membarriers();
	assert_int_equal(mag_cache_take_all(cache, objects, n * each, true), 0);
	assert_int_equal(mag_bias_membarriers() - sent, 1);
	assert_int_equal(cache->common.steals, 1);
	assert_int_equal(holders_visited(), n);
	assert_distinct(&ground, objects, n * each);
	mag_cache_free_bulk(cache, objects, n * each);
	holders_end();
}

static void
check_one_sweep_partial(unsigned int n)
{
	check_one_sweep(n, 3);
}

static void
check_one_sweep_full(unsigned int n)
{
	check_one_sweep(n, HOLD_MAX);
}

TEST(test_one_sweep_with_one_membarrier_gets_what_all_slots_hold)
{
	with_slots(check_one_sweep_partial);
	with_slots(check_one_sweep_full);
}

/* It asks for more than there is, and no second sweep follows the one that left nothing. */
static void
check_bulk(unsigned int n, unsigned int each)
{
	void *objects[COUNT + 1];
	uint64_t sent;

	holders_begin(n, each);
	take_the_rest();
	holders_free();
	sent = mag_bias_membarriers();
	assert_int_equal(mag_cache_alloc_burst(cache, objects, n * each + 1), n * each);
	assert_int_equal(mag_bias_membarriers() - sent, 1);
	assert_int_equal(cache->common.steals, 1);
	assert_int_equal(holders_visited(), n);
	assert_distinct(&ground, objects, n * each);
	assert_int_equal(cache->common.transit, 0);
	mag_cache_free_bulk(cache, objects, n * each);
	holders_end();
}

static void
check_bulk_partial(unsigned int n)
{
	check_bulk(n, 3);
}

static void
check_bulk_full(unsigned int n)
{
	check_bulk(n, HOLD_MAX);
}

TEST(test_one_sweep_gets_a_bulk_all_that_there_is_of_it)
{
	with_slots(check_bulk_partial);
	with_slots(check_bulk_full);
}

static void
check_no_more_than_needed(unsigned int n)
{
	unsigned int i;
	void *object;
	uint64_t sent;

	holders_begin(n, 3);
	take_the_rest();
	holders_free();
	/* Whoever visits them waits in vain, and counts it. */
	for (i = 1; i < n; i++)
		assert_int_equal(mag_slot_enter(slot_of(i)), 0);
	sent = mag_bias_membarriers();
	assert_int_equal(mag_cache_take_all(cache, &object, 1, true), 0);
	assert_int_equal(mag_bias_membarriers() - sent, 1);
	assert_int_equal(cache->common.steal_denied, 0);
	for (i = 1; i < n; i++)
		mag_slot_leave(slot_of(i));
	assert_int_equal(holders_visited(), 1);
	assert_int_equal(mag_cache_in_lcores(cache), 3 * n - 1);
	mag_cache_free(cache, object);
	holders_end();
}

TEST(test_no_more_slots_are_visited_than_the_request_needs)
{
	with_slots(check_no_more_than_needed);
}

static void
check_empty(unsigned int n)
{
	uint64_t sent, transit;
	unsigned int i;
	void *objects[32];

	holders_begin(n, 3);
	take_the_rest();
	sent = mag_bias_membarriers();
	transit = MAG_STAT(cache->common.transit);
	for (i = 0; i < 500; i++) {
		assert_int_equal(mag_cache_take_all(cache, objects, 1, true), -ENOBUFS);
		assert_int_equal(mag_cache_take_all(cache, objects, 32, true), -ENOBUFS);
		assert_int_equal(mag_cache_alloc_burst(cache, objects, 2), 0);
	}
	assert_int_equal(mag_bias_membarriers(), sent);
	assert_int_equal(cache->common.steals, 0);
	assert_int_equal(cache->common.steal_denied, 0);
	assert_int_equal(MAG_STAT(cache->common.transit), transit);
	assert_int_equal(holders_visited(), 0);
	holders_free();
	holders_end();
}

TEST(test_an_empty_pool_refuses_without_a_membarrier)
{
	with_slots(check_empty);
}

static void
check_too_many(unsigned int n)
{
	void *objects[COUNT + 1];
	uint64_t sent;

	holders_begin(n, 3);
	take_the_rest();
	holders_free();
	sent = mag_bias_membarriers();
	assert_int_equal(mag_cache_take_all(cache, objects, 3 * n + 1, true), -ENOBUFS);
	assert_int_equal(mag_bias_membarriers(), sent);
	assert_int_equal(holders_visited(), 0);
	assert_int_equal(mag_cache_in_lcores(cache), 3 * n);
	holders_end();
}

TEST(test_more_than_all_slots_hold_is_refused_without_a_membarrier)
{
	with_slots(check_too_many);
}

static void
fill_run(void *arg)
{
	void *objects[HOLD_MAX];
	unsigned int n = mag_cache_alloc_burst(cache, objects, *(unsigned int *)arg);

	mag_cache_free_bulk(cache, objects, n);
}

TEST(test_what_threads_without_lcore_id_hold_is_had_without_a_membarrier, setup, teardown)
{
	unsigned int n = ROUNDS / 2;
	uint64_t sent;

	run_on_thread(fill_run, &n);
	assert_int_equal(mag_slot_objects(&cache->first.slot[MAG_SLOT_SHARED]), n);
	sent = mag_bias_membarriers();
	rest_count = mag_cache_alloc_burst(cache, rest, COUNT - n);
	assert_int_equal(mag_cache_take_all(cache, rest + rest_count, n, true), 0);
	assert_int_equal(mag_bias_membarriers(), sent);
	assert_distinct(&ground, rest, COUNT);
	mag_cache_free_bulk(cache, rest, COUNT);
}

/* Behind rte_mempool's own cache */

#define POOL_OBJECTS 2000
#define MEMPOOL_CACHE 512
#define AWAY 300 /* with the other lcore: less than the optional refill */

static struct rte_mempool *pool;
static void *had[POOL_OBJECTS];

/* Past the mempool's cache: into this lcore's magazines. */
static void
put_away_run(void *arg)
{
	assert_int_equal(rte_mempool_ops_dequeue_bulk(pool, arg, AWAY), 0);
	assert_int_equal(rte_mempool_ops_enqueue_bulk(pool, arg, AWAY), 0);
}

static int
setup_pool(void **state __rte_unused)
{
	static void *away[AWAY];

	pool = rte_mempool_create_empty("behind", POOL_OBJECTS, 64, MEMPOOL_CACHE, 0, SOCKET_ID_ANY,
					0);
	assert_non_null(pool);
	assert_int_equal(rte_mempool_set_ops_byname(pool, RTE_MEMPOOL_MAGAZINE_OPS_NAME,
						    (void *)(uintptr_t) "rounds=510"),
			 0);
	assert_int_equal(rte_mempool_populate_default(pool), POOL_OBJECTS);
	cache = rte_mempool_magazine_cache(pool);
	assert_int_equal(rte_mempool_generic_get(pool, had, POOL_OBJECTS - AWAY, NULL), 0);
	run_on_lcore(1, put_away_run, away);
	assert_int_equal(mag_slot_objects(&cache->first.slot[1]), AWAY);
	assert_int_equal(mag_cache_reachable(cache), AWAY);
	return 0;
}

static int
teardown_pool(void **state __rte_unused)
{
	rte_mempool_generic_put(pool, had, POOL_OBJECTS, NULL);
	rte_mempool_free(pool);
	return 0;
}

TEST(test_an_optional_refill_empties_nobodys_magazines, setup_pool, teardown_pool)
{
	uint64_t sent = mag_bias_membarriers();
	unsigned int i;

	/* Each: the refill is refused, and the object is had by one sweep. */
	for (i = 0; i < 10; i++) {
		assert_int_equal(rte_mempool_get(pool, &had[POOL_OBJECTS - AWAY + i]), 0);
		assert_int_equal(mag_bias_membarriers() - sent, i + 1);
		assert_int_equal(mag_slot_objects(&cache->first.slot[1]), AWAY - i - 1);
		assert_int_equal(rte_mempool_default_cache(pool, rte_lcore_id())->len, 0);
	}
	for (; i < AWAY; i++)
		assert_int_equal(rte_mempool_get(pool, &had[POOL_OBJECTS - AWAY + i]), 0);
}

TEST(test_an_optional_refill_is_not_stolen_when_the_request_is_served, setup_pool, teardown_pool)
{
	uint64_t sent = mag_bias_membarriers();
	unsigned int i, at = POOL_OBJECTS - AWAY;

	/* Enough for the request, and with what the other one has for the refill. */
	rte_mempool_generic_put(pool, had + at - 400, 400, NULL);
	assert_int_equal(mag_cache_reachable(cache), AWAY + 400);
	for (i = 0; i < 400; i++)
		assert_int_equal(rte_mempool_get(pool, &had[at - 400 + i]), 0);
	assert_int_equal(mag_bias_membarriers(), sent);
	assert_int_equal(mag_slot_objects(&cache->first.slot[1]), AWAY);
	for (i = 0; i < AWAY; i++)
		assert_int_equal(rte_mempool_get(pool, &had[at + i]), 0);
}

TEST(test_an_empty_pool_refuses_the_refill_and_the_request_without_a_membarrier, setup_pool,
     teardown_pool)
{
	unsigned int i, at = POOL_OBJECTS - AWAY;
	uint64_t sent;
	void *object;

	assert_int_equal(rte_mempool_generic_get(pool, had + at, AWAY, NULL), 0);
	sent = mag_bias_membarriers();
	for (i = 0; i < 100; i++)
		assert_int_equal(rte_mempool_get(pool, &object), -ENOBUFS);
	assert_int_equal(mag_bias_membarriers(), sent);
}

/*
 * As a driver fills an lcore's cache that has less than it needs: itself, with its size besides,
 * and without a second try. The cache is smaller here than what the other lcore has.
 */
#define NEEDED 64
#define SMALL 100

static int
fill_as_a_driver(void)
{
	struct rte_mempool_cache *own = rte_mempool_default_cache(pool, rte_lcore_id());
	unsigned int n = NEEDED + own->size - own->len;
	int ret = rte_mempool_ops_dequeue_bulk(pool, &own->objs[own->len], n);

	if (ret == 0)
		own->len += n;
	return ret;
}

static void
shrink_own_cache(void)
{
	struct rte_mempool_cache *own = rte_mempool_default_cache(pool, rte_lcore_id());

	own->size = SMALL;
	own->flushthresh = SMALL * 3 / 2;
}

/* From the last on, wherever they are. */
static void
get_the_rest(unsigned int n)
{
	struct rte_mempool_cache *own = rte_mempool_default_cache(pool, rte_lcore_id());
	unsigned int i;

	for (i = 0; i < own->len; i++)
		had[POOL_OBJECTS - n + i] = own->objs[i];
	n -= own->len;
	own->len = 0;
	if (n > 0)
		assert_int_equal(rte_mempool_generic_get(pool, &had[POOL_OBJECTS - n], n, NULL), 0);
}

static void
assert_refused_without_a_visit(int ret, uint64_t sent)
{
	assert_int_equal(ret, -ENOBUFS);
	assert_int_equal(mag_bias_membarriers(), sent);
	assert_int_equal(mag_slot_objects(&cache->first.slot[1]), AWAY);
}

TEST(test_a_refill_without_a_second_try_is_refused_once, setup_pool, teardown_pool)
{
	uint64_t sent = mag_bias_membarriers();

	shrink_own_cache();
	assert_refused_without_a_visit(fill_as_a_driver(), sent);
	assert_int_equal(fill_as_a_driver(), 0);
	assert_int_equal(mag_bias_membarriers(), sent + 1);
	assert_int_equal(rte_mempool_default_cache(pool, rte_lcore_id())->len, NEEDED + SMALL);
	get_the_rest(AWAY);
}

/* What it had of its own, and gave back when that was too little, was not asked for otherwise. */
TEST(test_a_refill_is_refused_once_with_some_objects_of_its_own, setup_pool, teardown_pool)
{
	uint64_t sent = mag_bias_membarriers();
	unsigned int i, n = 10, len = NEEDED + SMALL;
	struct rte_mempool_cache *own = rte_mempool_default_cache(pool, rte_lcore_id());

	shrink_own_cache();
	rte_mempool_generic_put(pool, had, n, NULL);
	assert_refused_without_a_visit(fill_as_a_driver(), sent);
	assert_int_equal(fill_as_a_driver(), 0);
	assert_int_equal(mag_bias_membarriers(), sent + 1);
	assert_int_equal(own->len, len);
	for (i = 0; i < n; i++)
		had[i] = own->objs[--own->len];
	get_the_rest(AWAY);
}

TEST(test_a_refill_that_was_served_is_not_remembered, setup_pool, teardown_pool)
{
	struct rte_mempool_cache *own = rte_mempool_default_cache(pool, rte_lcore_id());
	uint64_t sent = mag_bias_membarriers();

	shrink_own_cache();
	assert_refused_without_a_visit(fill_as_a_driver(), sent);
	rte_mempool_generic_put(pool, had, NEEDED + SMALL, NULL);
	assert_int_equal(fill_as_a_driver(), 0);
	memcpy(had, own->objs, own->len * sizeof(had[0]));
	own->len = 0;
	assert_refused_without_a_visit(fill_as_a_driver(), sent);
	get_the_rest(AWAY);
}

TEST(test_a_refill_that_no_lcore_can_serve_stays_remembered, setup_pool, teardown_pool)
{
	uint64_t sent = mag_bias_membarriers();
	unsigned int i, more = AWAY - NEEDED - SMALL + 1;

	shrink_own_cache();
	assert_refused_without_a_visit(fill_as_a_driver(), sent);
	assert_int_equal(rte_mempool_generic_get(pool, &had[POOL_OBJECTS - more], more, NULL), 0);
	for (i = 0; i < 5; i++)
		assert_int_equal(fill_as_a_driver(), -ENOBUFS);
	rte_mempool_generic_put(pool, &had[POOL_OBJECTS - more], more, NULL);
	assert_int_equal(fill_as_a_driver(), 0);
	get_the_rest(AWAY);
}

/* The direct request is served by the fast path, by both magazines, and past them. */
TEST(test_a_refusal_is_forgotten_with_the_request_that_follows, setup_pool, teardown_pool)
{
	static const unsigned int direct[] = {1, 60, 1, 20};
	uint64_t sent = mag_bias_membarriers();
	unsigned int i;

	shrink_own_cache();
	rte_mempool_generic_put(pool, had, 82, NULL);
	for (i = 0; i < RTE_DIM(direct); i++) {
		assert_refused_without_a_visit(fill_as_a_driver(), sent);
		assert_int_equal(rte_mempool_generic_get(pool, had, direct[i], NULL), 0);
	}
	assert_refused_without_a_visit(fill_as_a_driver(), sent);
	/* One that is refused, too. */
	assert_int_equal(rte_mempool_generic_get(pool, had, POOL_OBJECTS, NULL), -ENOBUFS);
	assert_refused_without_a_visit(fill_as_a_driver(), sent);
	get_the_rest(AWAY);
}

static void
direct_run(void *arg)
{
	*(int *)arg = rte_mempool_generic_get(pool, had, POOL_OBJECTS, NULL);
}

TEST(test_what_other_threads_ask_for_does_not_count, setup_pool, teardown_pool)
{
	int ret = 0;

	shrink_own_cache();
	assert_refused_without_a_visit(fill_as_a_driver(), mag_bias_membarriers());
	run_on_thread(direct_run, &ret);
	assert_int_equal(ret, -ENOBUFS);
	run_on_registered(direct_run, &ret);
	assert_int_equal(ret, -ENOBUFS);
	assert_int_equal(fill_as_a_driver(), 0);
	get_the_rest(AWAY);
}

TEST(test_a_refusal_is_forgotten_with_its_pool, setup_pool, teardown_pool)
{
	const struct mag_cache *before = cache;

	shrink_own_cache();
	assert_refused_without_a_visit(fill_as_a_driver(), mag_bias_membarriers());
	get_the_rest(AWAY);
	teardown_pool(state);
	setup_pool(state);
	if (cache != before)
		printf("# the second pool is elsewhere\n");
	shrink_own_cache();
	assert_refused_without_a_visit(fill_as_a_driver(), mag_bias_membarriers());
	get_the_rest(AWAY);
}

/* Of a user */

static void
get_by_a_cache_run(void *arg)
{
	struct rte_mempool_cache *own = rte_mempool_cache_create(SMALL, SOCKET_ID_ANY);
	unsigned int i, *got = arg;

	assert_non_null(own);
	for (i = 0; i < 5; i++, ++*got)
		if (rte_mempool_generic_get(pool, &had[POOL_OBJECTS - AWAY + *got], 1, own) != 0 ||
		    own->len != 0)
			break;
	rte_mempool_cache_free(own);
}

TEST(test_a_users_cache_interrupts_nobody_for_what_is_optional, setup_pool, teardown_pool)
{
	uint64_t sent = mag_bias_membarriers();
	unsigned int got = 0;

	get_by_a_cache_run(&got);
	assert_int_equal(got, 5);
	run_on_thread(get_by_a_cache_run, &got);
	assert_int_equal(got, 10);
	assert_int_equal(mag_bias_membarriers() - sent, 10);
	assert_int_equal(mag_slot_objects(&cache->first.slot[1]), AWAY - 10);
	get_the_rest(AWAY - 10);
}

/* May be called with what looks like a cache and is not aligned as one. */
#define CROOKED __attribute__((no_sanitize("alignment")))

/* Memory with a table where a cache has its own, and before it what a cache has there. */
CROOKED static void
table_init(struct rte_mempool_cache *table, uint32_t size, uint32_t flushthresh, uint32_t len)
{
	memset(table, 0, sizeof(*table));
	table->size = size;
	table->flushthresh = flushthresh;
	table->len = len;
}

CROOKED static void
assert_mandatory(struct rte_mempool_cache *table, unsigned int n)
{
	uint64_t sent = mag_bias_membarriers();

	assert_int_equal(rte_mempool_ops_dequeue_bulk(pool, table->objs, n), 0);
	assert_true(mag_bias_membarriers() > sent);
	/* Back to the other one's magazines, and nowhere else. */
	memcpy(&had[POOL_OBJECTS - AWAY], table->objs, n * sizeof(had[0]));
	get_the_rest(AWAY - n);
	rte_mempool_generic_put(pool, had + POOL_OBJECTS - AWAY, AWAY, NULL);
	mag_cache_reap_now(cache, true);
	run_on_lcore(1, put_away_run, had + POOL_OBJECTS - AWAY);
	assert_int_equal(mag_slot_objects(&cache->first.slot[1]), AWAY);
}

TEST(test_a_table_that_is_no_cache_is_served_at_once, setup_pool, teardown_pool)
{
	static struct rte_mempool_cache elsewhere;
	struct rte_mempool_cache stack;
	struct rte_mempool_cache *heap = rte_malloc(NULL, 2 * sizeof(*heap), RTE_CACHE_LINE_SIZE);
	struct rte_mempool_cache *crooked = RTE_PTR_ADD(heap, 8);

	assert_non_null(heap);
	/* What would be a cache, but not in EAL's memory: a static one, and on the stack. */
	table_init(&elsewhere, SMALL, SMALL * 3 / 2, 0);
	assert_mandatory(&elsewhere, SMALL + 1);
	table_init(&stack, SMALL, SMALL * 3 / 2, 0);
	assert_mandatory(&stack, SMALL + 1);
	/* In EAL's memory, but each with something that a cache to be filled has not. */
	table_init(heap, 0, 0, 0);
	assert_mandatory(heap, SMALL + 1);
	table_init(heap, SMALL, SMALL * 3 / 2 + 1, 0);
	assert_mandatory(heap, SMALL + 1);
	table_init(heap, SMALL, SMALL * 3 / 2, 1);
	assert_mandatory(heap, SMALL + 1);
	table_init(heap, SMALL, SMALL * 3 / 2, 0);
	assert_mandatory(heap, SMALL);
	table_init(heap, SMALL, SMALL, 0);
	assert_mandatory(heap, SMALL / 2 + 1);
	table_init(crooked, SMALL, SMALL * 3 / 2, 0);
	assert_mandatory(crooked, SMALL + 1);
	get_the_rest(AWAY);
	rte_free(heap);
}

/* It is taken for one, and yet not refused for ever. */
TEST(test_a_table_that_looks_like_a_cache_is_refused_once, setup_pool, teardown_pool)
{
	struct rte_mempool_cache *heap = rte_malloc(NULL, sizeof(*heap), RTE_CACHE_LINE_SIZE);
	uint64_t sent = mag_bias_membarriers();

	assert_non_null(heap);
	table_init(heap, SMALL, SMALL * 3 / 2, 0);
	assert_refused_without_a_visit(rte_mempool_ops_dequeue_bulk(pool, heap->objs, SMALL + 1),
				       sent);
	assert_mandatory(heap, SMALL + 1);
	/* As later versions of rte_mempool have it. */
	table_init(heap, SMALL, SMALL, 0);
	sent = mag_bias_membarriers();
	assert_refused_without_a_visit(rte_mempool_ops_dequeue_bulk(pool, heap->objs, SMALL / 2),
				       sent);
	assert_mandatory(heap, SMALL / 2);
	get_the_rest(AWAY);
	rte_free(heap);
}

/* Of a thread that shares its slot: results of requests, one after the other. */
static void
table_and_direct_run(void *arg)
{
	struct rte_mempool_cache *heap = rte_malloc(NULL, sizeof(*heap), RTE_CACHE_LINE_SIZE);
	int *ret = arg;

	rte_mempool_generic_put(pool, had, 3, NULL);
	table_init(heap, SMALL, SMALL * 3 / 2, 0);
	ret[0] = rte_mempool_ops_dequeue_bulk(pool, heap->objs, SMALL + 1);
	ret[1] = rte_mempool_generic_get(pool, had, 3, NULL);
	ret[2] = rte_mempool_ops_dequeue_bulk(pool, heap->objs, SMALL + 1);
	ret[3] = rte_mempool_ops_dequeue_bulk(pool, heap->objs, SMALL + 1);
	memcpy(&had[POOL_OBJECTS - AWAY], heap->objs, (SMALL + 1) * sizeof(had[0]));
	rte_free(heap);
}

TEST(test_a_thread_that_shares_its_slot_has_its_refusals_remembered_too, setup_pool, teardown_pool)
{
	int ret[4] = {0};

	run_on_thread(table_and_direct_run, ret);
	assert_int_equal(ret[0], -ENOBUFS);
	assert_int_equal(ret[1], 0);
	assert_int_equal(ret[2], -ENOBUFS);
	assert_int_equal(ret[3], 0);
	get_the_rest(AWAY - SMALL - 1);
}

static void
blocks_run(void *arg)
{
	void *first[4];

	*(int *)arg = rte_mempool_get_contig_blocks(pool, first, RTE_DIM(first));
}

TEST(test_blocks_are_refused_while_a_thread_stays_in_the_perimeter, setup_pool, teardown_pool)
{
	int ret = 0;

	/* There are enough, in magazines. */
	rte_mempool_generic_put(pool, had, POOL_OBJECTS - AWAY, NULL);
	assert_true(mag_perimeter_enter(cache, false));
	run_on_thread(blocks_run, &ret);
	assert_int_equal(ret, -ENOBUFS);
	assert_int_equal(mag_slot_objects(&cache->first.slot[1]), AWAY);
	mag_perimeter_leave(cache);
	assert_int_equal(rte_mempool_generic_get(pool, had, POOL_OBJECTS, NULL), 0);
}

int
main(void)
{
	eal_start(2, NULL);
	return tests_run(NULL, NULL);
}
