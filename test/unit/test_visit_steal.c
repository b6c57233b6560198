/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The costs of a steal, in membarriers and visits, with few owners of slots and with many; and
 * requests of rte_mempool's own cache, part of which is optional.
 */

#include "eal.h"
#include "visits/perimeter.h"
#include "visits/steal.h"

#include <rte_malloc.h>

#include "fixture.h"
#include "rte_mempool_magazine.h"

#define SIZE 256
#define ROUNDS 14
#define HOLDERS_MAX 64
#define HOLD_MAX 20
#define COUNT (HOLDERS_MAX * HOLD_MAX)

static void *rest[COUNT + 1];
static uint64_t sent_before;

/* Membarriers since the last sent_begin(). */
static uint64_t
sent(void)
{
	return mag_bias_membarriers() - sent_before;
}

static void
sent_begin(void)
{
	sent_before = mag_bias_membarriers();
}

SETUP(setup)
{
	fixture_cache(COUNT, CACHE_PARAMS(.name = "things", .object_size = SIZE));
	assert_int_equal(cache->common.type, ROUNDS);
}

TEARDOWN(teardown)
{
	assert_int_equal(mag_cache_available(cache), COUNT);
	fixture_drop();
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

/* Each of the holders has so many objects in its magazines, and this lcore has all others. */
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
	alloc_bulk(rest, COUNT - n * each);
	assert_int_equal(mag_cache_reachable(cache), 0);
	for (unsigned int i = 0; i < holders; i++) {
		holder_order(&holder[i], ORDER_FREE);
		wait_until(atomic_load(&holder[i].done) == 2);
		assert_int_equal(slot_holds(holder[i].slot), each);
	}
}

static void
holders_end(void)
{
	for (unsigned int i = 0; i < holders; i++)
		holder_order(&holder[i], ORDER_LEAVE);
	for (unsigned int i = 0; i < holders; i++)
		task_join(&holder[i].task);
	free_bulk(rest, COUNT - holders * holder[0].held);
}

static unsigned int
holders_visited(void)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < holders; i++)
		n += MAG_STAT(slot_at(holder[i].slot)->visited_out) != 0;
	return n;
}

/* All at once; or more than there is, and no second sweep follows the one that left nothing. */
static void
check_one_sweep(unsigned int n, unsigned int each, bool burst)
{
	void *objects[COUNT + 1];

	setup(NULL);
	holders_begin(n, each);
	sent_begin();
	if (burst)
		assert_int_equal(mag_cache_alloc_burst(cache, objects, n * each + 1), n * each);
	else
		assert_int_equal(mag_cache_take_all(cache, objects, n * each, true), 0);
	assert_int_equal(sent(), 1);
	assert_int_equal(cache->common.steals, 1);
	assert_int_equal(cache->common.transit, 0);
	assert_int_equal(holders_visited(), n);
	assert_distinct(&ground, objects, n * each);
	free_bulk(objects, n * each);
	holders_end();
	teardown(NULL);
}

TEST(test_one_sweep_with_one_membarrier_gets_what_all_slots_hold)
{
	static const unsigned int slots[] = {1, 8, 32, HOLDERS_MAX};
	/* Partial magazines, and full ones beside them. */
	static const unsigned int each[] = {3, HOLD_MAX};

	for (unsigned int i = 0; i < RTE_DIM(slots); i++)
		for (unsigned int j = 0; j < RTE_DIM(each); j++)
			for (unsigned int burst = 0; burst < 2; burst++) {
				printf("# %u slots of %u, %s\n", slots[i], each[j],
				       burst ? "burst" : "bulk");
				check_one_sweep(slots[i], each[j], burst);
			}
}

TEST(test_objects_of_threads_without_lcore_id_are_had_without_a_membarrier, setup, teardown)
{
	unsigned int n = ROUNDS / 2;

	fill_on_thread(n);
	assert_int_equal(slot_holds(MAG_SLOT_SHARED), n);
	sent_begin();
	alloc_bulk(rest, COUNT - n);
	assert_int_equal(mag_cache_take_all(cache, rest + COUNT - n, n, true), 0);
	assert_int_equal(sent(), 0);
	assert_distinct(&ground, rest, COUNT);
	free_bulk(rest, COUNT);
}

/* Behind rte_mempool's own cache */

#define POOL_OBJECTS 2000
#define MEMPOOL_CACHE 512
#define AWAY 300 /* with the other lcore: less than the optional refill */

static struct rte_mempool *pool;
static void *had[POOL_OBJECTS];
static void **const away = &had[POOL_OBJECTS - AWAY];

/* Past the mempool's cache: into this lcore's magazines. */
static void
put_away_run(void *arg)
{
	assert_int_equal(rte_mempool_ops_dequeue_bulk(pool, arg, AWAY), 0);
	assert_int_equal(rte_mempool_ops_enqueue_bulk(pool, arg, AWAY), 0);
}

static int
get(void **objects, unsigned int n)
{
	return rte_mempool_generic_get(pool, objects, n, NULL);
}

static void
put(void **objects, unsigned int n)
{
	rte_mempool_generic_put(pool, objects, n, NULL);
}

static struct rte_mempool_cache *
own_cache(void)
{
	return rte_mempool_default_cache(pool, rte_lcore_id());
}

SETUP(setup_pool)
{
	pool = rte_mempool_create_empty("behind", POOL_OBJECTS, 64, MEMPOOL_CACHE, 0, SOCKET_ID_ANY,
					0);
	assert_non_null(pool);
	assert_int_equal(rte_mempool_set_ops_byname(pool, RTE_MEMPOOL_MAGAZINE_OPS_NAME,
						    (void *)(uintptr_t) "rounds=510"),
			 0);
	assert_int_equal(rte_mempool_populate_default(pool), POOL_OBJECTS);
	cache = rte_mempool_magazine_cache(pool);
	assert_int_equal(get(had, POOL_OBJECTS - AWAY), 0);
	run_on_lcore(1, put_away_run, away);
	assert_int_equal(slot_holds(1), AWAY);
	assert_int_equal(mag_cache_reachable(cache), AWAY);
	sent_begin();
}

TEARDOWN(teardown_pool)
{
	put(had, POOL_OBJECTS);
	rte_mempool_free(pool);
}

TEST(test_an_optional_refill_empties_nobodys_magazines, setup_pool, teardown_pool)
{
	unsigned int i;

	/* Each: the refill is refused, and the object is had by one sweep. */
	for (i = 0; i < 10; i++) {
		assert_int_equal(rte_mempool_get(pool, &away[i]), 0);
		assert_int_equal(sent(), i + 1);
		assert_int_equal(slot_holds(1), AWAY - i - 1);
		assert_int_equal(own_cache()->len, 0);
	}
	for (; i < AWAY; i++)
		assert_int_equal(rte_mempool_get(pool, &away[i]), 0);
}

TEST(test_an_optional_refill_is_not_stolen_when_the_request_is_served, setup_pool, teardown_pool)
{
	/* Enough for the request, and with what the other one has for the refill. */
	put(away - 400, 400);
	assert_int_equal(mag_cache_reachable(cache), AWAY + 400);
	for (unsigned int i = 0; i < 400; i++)
		assert_int_equal(rte_mempool_get(pool, &away[i] - 400), 0);
	assert_int_equal(sent(), 0);
	assert_int_equal(slot_holds(1), AWAY);
	for (unsigned int i = 0; i < AWAY; i++)
		assert_int_equal(rte_mempool_get(pool, &away[i]), 0);
}

/*
 * As a driver fills an lcore's cache that has less than it needs: itself, with its size besides,
 * and without a second try. The cache is smaller here than what the other lcore has.
 */
#define NEEDED 64
#define SMALL 100

SETUP(setup_small)
{
	setup_pool(state);
	own_cache()->size = SMALL;
	own_cache()->flushthresh = SMALL * 3 / 2;
}

static int
fill_as_a_driver(void)
{
	struct rte_mempool_cache *own = own_cache();
	unsigned int n = NEEDED + own->size - own->len;
	int ret = rte_mempool_ops_dequeue_bulk(pool, &own->objs[own->len], n);

	if (ret == 0)
		own->len += n;
	return ret;
}

/* From the last on, wherever they are. */
static void
get_the_rest(unsigned int n)
{
	struct rte_mempool_cache *own = own_cache();

	for (unsigned int i = 0; i < own->len; i++)
		had[POOL_OBJECTS - n + i] = own->objs[i];
	n -= own->len;
	own->len = 0;
	if (n > 0)
		assert_int_equal(get(&had[POOL_OBJECTS - n], n), 0);
}

static void
assert_refused_without_a_visit(int ret)
{
	assert_int_equal(ret, -ENOBUFS);
	assert_int_equal(sent(), 0);
	assert_int_equal(slot_holds(1), AWAY);
}

TEST(test_a_refill_without_a_second_try_is_refused_once, setup_small, teardown_pool)
{
	assert_refused_without_a_visit(fill_as_a_driver());
	assert_int_equal(fill_as_a_driver(), 0);
	assert_int_equal(sent(), 1);
	assert_int_equal(own_cache()->len, NEEDED + SMALL);
	get_the_rest(AWAY);
}

/* Objects that it had itself, and gave back when they were too few, are no other request. */
TEST(test_a_refill_is_refused_once_with_some_objects_of_its_own, setup_small, teardown_pool)
{
	unsigned int n = 10;

	put(had, n);
	assert_refused_without_a_visit(fill_as_a_driver());
	assert_int_equal(fill_as_a_driver(), 0);
	assert_int_equal(sent(), 1);
	assert_int_equal(own_cache()->len, NEEDED + SMALL);
	for (unsigned int i = 0; i < n; i++)
		had[i] = own_cache()->objs[--own_cache()->len];
	get_the_rest(AWAY);
}

TEST(test_a_refill_that_was_served_is_not_remembered, setup_small, teardown_pool)
{
	struct rte_mempool_cache *own = own_cache();

	assert_refused_without_a_visit(fill_as_a_driver());
	put(had, NEEDED + SMALL);
	assert_int_equal(fill_as_a_driver(), 0);
	memcpy(had, own->objs, own->len * sizeof(had[0]));
	own->len = 0;
	assert_refused_without_a_visit(fill_as_a_driver());
	get_the_rest(AWAY);
}

TEST(test_a_refill_that_no_lcore_can_serve_stays_remembered, setup_small, teardown_pool)
{
	unsigned int more = AWAY - NEEDED - SMALL + 1;

	assert_refused_without_a_visit(fill_as_a_driver());
	assert_int_equal(get(&had[POOL_OBJECTS - more], more), 0);
	for (unsigned int i = 0; i < 5; i++)
		assert_int_equal(fill_as_a_driver(), -ENOBUFS);
	put(&had[POOL_OBJECTS - more], more);
	assert_int_equal(fill_as_a_driver(), 0);
	get_the_rest(AWAY);
}

/* The direct request is served by the fast path, by both magazines, and past them. */
TEST(test_a_refusal_is_forgotten_with_the_request_that_follows, setup_small, teardown_pool)
{
	static const unsigned int direct[] = {1, 60, 1, 20};

	put(had, 82);
	for (unsigned int i = 0; i < RTE_DIM(direct); i++) {
		assert_refused_without_a_visit(fill_as_a_driver());
		assert_int_equal(get(had, direct[i]), 0);
	}
	assert_refused_without_a_visit(fill_as_a_driver());
	/* One that is refused, too. */
	assert_int_equal(get(had, POOL_OBJECTS), -ENOBUFS);
	assert_refused_without_a_visit(fill_as_a_driver());
	get_the_rest(AWAY);
}

static void
direct_run(void *arg)
{
	*(int *)arg = get(had, POOL_OBJECTS);
}

TEST(test_requests_of_other_threads_do_not_count, setup_small, teardown_pool)
{
	int ret = 0;

	assert_refused_without_a_visit(fill_as_a_driver());
	run_on_thread(direct_run, &ret);
	assert_int_equal(ret, -ENOBUFS);
	run_on_registered(direct_run, &ret);
	assert_int_equal(ret, -ENOBUFS);
	assert_int_equal(fill_as_a_driver(), 0);
	get_the_rest(AWAY);
}

TEST(test_a_refusal_is_forgotten_with_its_pool, setup_small, teardown_pool)
{
	const struct mag_cache *before = cache;

	assert_refused_without_a_visit(fill_as_a_driver());
	get_the_rest(AWAY);
	teardown_pool(state);
	setup_small(state);
	if (cache != before)
		printf("# the second pool is elsewhere\n");
	assert_refused_without_a_visit(fill_as_a_driver());
	get_the_rest(AWAY);
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
	sent_begin();
	assert_int_equal(rte_mempool_ops_dequeue_bulk(pool, table->objs, n), 0);
	assert_true(sent() > 0);
	/* Back to the other one's magazines, and nowhere else. */
	memcpy(away, table->objs, n * sizeof(had[0]));
	get_the_rest(AWAY - n);
	put(away, AWAY);
	mag_cache_reap_now(cache, true);
	run_on_lcore(1, put_away_run, away);
	assert_int_equal(slot_holds(1), AWAY);
	sent_begin();
}

TEST(test_a_table_that_is_no_cache_is_served_at_once, setup_pool, teardown_pool)
{
	static struct rte_mempool_cache elsewhere;
	struct rte_mempool_cache stack;
	struct rte_mempool_cache *heap = rte_malloc(NULL, 2 * sizeof(*heap), RTE_CACHE_LINE_SIZE);
	const struct {
		const char *name;
		struct rte_mempool_cache *table;
		uint32_t size, flushthresh, len, n;
	} rows[] = {
		/* Like a cache, but not in EAL's memory. */
		{"static", &elsewhere, SMALL, SMALL * 3 / 2, 0, SMALL + 1},
		{"on the stack", &stack, SMALL, SMALL * 3 / 2, 0, SMALL + 1},
		/* In EAL's memory, but each with something that a cache to be filled has not. */
		{"no size", heap, 0, 0, 0, SMALL + 1},
		{"threshold", heap, SMALL, SMALL * 3 / 2 + 1, 0, SMALL + 1},
		{"length", heap, SMALL, SMALL * 3 / 2, 1, SMALL + 1},
		{"request", heap, SMALL, SMALL * 3 / 2, 0, SMALL},
		{"request of later versions", heap, SMALL, SMALL, 0, SMALL / 2 + 1},
		{"alignment", RTE_PTR_ADD(heap, 8), SMALL, SMALL * 3 / 2, 0, SMALL + 1},
	};

	assert_non_null(heap);
	for (unsigned int i = 0; i < RTE_DIM(rows); i++) {
		printf("# %s\n", rows[i].name);
		table_init(rows[i].table, rows[i].size, rows[i].flushthresh, rows[i].len);
		assert_mandatory(rows[i].table, rows[i].n);
	}
	get_the_rest(AWAY);
	rte_free(heap);
}

/* It is taken for one, and yet not refused for ever. */
static void
check_refused_once(uint32_t flushthresh, unsigned int n)
{
	struct rte_mempool_cache *heap = rte_malloc(NULL, sizeof(*heap), RTE_CACHE_LINE_SIZE);

	assert_non_null(heap);
	table_init(heap, SMALL, flushthresh, 0);
	assert_refused_without_a_visit(rte_mempool_ops_dequeue_bulk(pool, heap->objs, n));
	assert_mandatory(heap, n);
	rte_free(heap);
}

TEST(test_a_table_that_looks_like_a_cache_is_refused_once, setup_pool, teardown_pool)
{
	check_refused_once(SMALL * 3 / 2, SMALL + 1);
	/* As later versions of rte_mempool have it. */
	check_refused_once(SMALL, SMALL / 2);
	get_the_rest(AWAY);
}

/* Of a thread that shares its slot: results of requests, one after the other. */
static void
table_and_direct_run(void *arg)
{
	struct rte_mempool_cache *heap = rte_malloc(NULL, sizeof(*heap), RTE_CACHE_LINE_SIZE);
	int *ret = arg;

	put(had, 3);
	table_init(heap, SMALL, SMALL * 3 / 2, 0);
	ret[0] = rte_mempool_ops_dequeue_bulk(pool, heap->objs, SMALL + 1);
	ret[1] = get(had, 3);
	ret[2] = rte_mempool_ops_dequeue_bulk(pool, heap->objs, SMALL + 1);
	ret[3] = rte_mempool_ops_dequeue_bulk(pool, heap->objs, SMALL + 1);
	memcpy(away, heap->objs, (SMALL + 1) * sizeof(had[0]));
	rte_free(heap);
}

TEST(test_a_thread_that_shares_its_slot_has_its_refusals_remembered_too, setup_pool, teardown_pool)
{
	static const int expected[4] = {-ENOBUFS, 0, -ENOBUFS, 0};
	int ret[4] = {0};

	run_on_thread(table_and_direct_run, ret);
	assert_memory_equal(ret, expected, sizeof(ret));
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
	put(had, POOL_OBJECTS - AWAY);
	assert_true(mag_perimeter_enter(cache, false));
	run_on_thread(blocks_run, &ret);
	assert_int_equal(ret, -ENOBUFS);
	assert_int_equal(slot_holds(1), AWAY);
	mag_perimeter_leave(cache);
	assert_int_equal(get(had, POOL_OBJECTS), 0);
}

TEST_PROGRAM(2)
