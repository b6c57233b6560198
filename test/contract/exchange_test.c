/* SPDX-License-Identifier: BSD-3-Clause */

/* Getting and putting on one lcore: nothing but whole bulks, nothing lost, nothing written to. */

#include <sys/mman.h>

#include "harness.h"
#include "pool.h"
#include "roster.h"

#define MAX_BULK 1024

static void **
table_of(unsigned int n)
{
	void **objs = calloc(n + MAX_BULK, sizeof(void *));

	assert_non_null(objs);
	return objs;
}

/* One more than there are is refused and takes nothing, at every fill level of a small pool. */
TEST(a_get_takes_all_or_nothing)
{
	const unsigned int n = 300;
	struct hold hold = hold_of(pool_make(POOL_SPEC(n, 64)));
	void **more = table_of(n);

	for (unsigned int held = 0; held <= n; held++) {
		pool_assert_free(hold.mp, n - held);
		for (unsigned int over = 1; over <= 64; over *= 2)
			assert_int_equal(rte_mempool_get_bulk(hold.mp, more, n - held + over),
					 -ENOBUFS);
		pool_assert_free(hold.mp, n - held);
		assert_int_equal(roster_get(hold.roster, more, n - held), 0);
		pool_assert_free(hold.mp, 0);
		roster_put(hold.roster, more, n - held);
		pool_assert_free(hold.mp, n - held);
		if (held < n)
			assert_int_equal(roster_get(hold.roster, hold.objs + held, 1), 0);
	}
	roster_refill(hold.roster, hold.objs, n, 7);
	pool_assert_free(hold.mp, n);
	hold_end(&hold);
	free(more);
}

static void
drain_in_bulks_of(struct hold *hold, unsigned int bulk)
{
	unsigned int got = roster_drain(hold->roster, hold->objs, bulk);
	unsigned int left = hold->mp->size - got;

	assert_int_equal(got, hold->mp->size / bulk * bulk);
	pool_assert_free(hold->mp, left);
	assert_int_equal(rte_mempool_get_bulk(hold->mp, hold->objs + got, bulk), -ENOBUFS);
	pool_assert_free(hold->mp, left);
	assert_int_equal(roster_get(hold->roster, hold->objs + got, left), 0);
	pool_assert_free(hold->mp, 0);
	assert_int_equal(rte_mempool_get(hold->mp, &hold->objs[hold->mp->size]), -ENOBUFS);
}

TEST(every_bulk_size_from_1_to_1024_works)
{
	const unsigned int n = 4100;
	struct hold hold = hold_of(pool_make(POOL_SPEC(n, 64)));

	for (unsigned int bulk = 1; bulk <= MAX_BULK; bulk++) {
		drain_in_bulks_of(&hold, bulk);
		roster_refill(hold.roster, hold.objs, n, MAX_BULK + 1 - bulk);
		pool_assert_free(hold.mp, n);
	}
	hold_end(&hold);
}

TEST(a_put_never_fails)
{
	const unsigned int n = 3000;
	struct rte_mempool *mp = pool_make(POOL_SPEC(n, 64));
	void **objs = table_of(n);

	for (unsigned int bulk = 1; bulk <= MAX_BULK; bulk += 1 + bulk / 8) {
		assert_int_equal(rte_mempool_ops_dequeue_bulk(mp, objs, n), 0);
		roster_shuffle(objs, n);
		for (unsigned int i = 0; i < n; i += bulk) {
			assert_int_equal(
				rte_mempool_ops_enqueue_bulk(mp, objs + i, RTE_MIN(bulk, n - i)),
				0);
			assert_int_equal(pool_ops_count(mp), RTE_MIN(i + bulk, n));
		}
	}
	rte_mempool_free(mp);
	free(objs);
}

TEST(an_empty_bulk_is_accepted_and_changes_nothing)
{
	struct rte_mempool *mp;
	void *objs[10];

	harness_need_ours("to get nothing when asked for nothing");
	mp = pool_make(POOL_SPEC(10, 64));
	for (unsigned int held = 0; held <= 10; held += 10) {
		assert_int_equal(rte_mempool_get_bulk(mp, objs, 0), 0);
		rte_mempool_put_bulk(mp, objs, 0);
		assert_int_equal(rte_mempool_ops_dequeue_bulk(mp, NULL, 0), 0);
		assert_int_equal(rte_mempool_ops_enqueue_bulk(mp, NULL, 0), 0);
		pool_assert_free(mp, 10 - held);
		if (held == 0)
			assert_int_equal(rte_mempool_get_bulk(mp, objs, 10), 0);
	}
	rte_mempool_put_bulk(mp, objs, 10);
	rte_mempool_free(mp);
}

/* Random bulks against a count kept by the test: exact at every step. */
static void
exchange_at_random(struct hold *hold, unsigned int steps, unsigned int max_bulk)
{
	unsigned int n = hold->mp->size, held = 0;

	for (unsigned int step = 0; step < steps; step++) {
		unsigned int bulk = random_below(max_bulk + 1), few;

		if (random_below(2) == 0) {
			bulk = RTE_MIN(bulk, n);
			if (roster_get(hold->roster, hold->objs + held, bulk) != 0) {
				assert_true(bulk > n - held);
				bulk = 0;
			}
			held += bulk;
		} else {
			bulk = RTE_MIN(bulk, held);
			few = RTE_MIN(held, 64u);
			roster_shuffle(hold->objs + held - few, few);
			held -= bulk;
			roster_put(hold->roster, hold->objs + held, bulk);
		}
		assert_int_equal(roster_held(hold->roster), held);
		pool_assert_free(hold->mp, n - held);
	}
	roster_refill(hold->roster, hold->objs, held, 32);
	pool_assert_free(hold->mp, n);
}

TEST(the_count_is_exact_after_every_step_of_a_random_exchange)
{
	static const unsigned int sizes[] = {1, 7, 100, 1000, 5000};
	unsigned int steps = run_is_full() ? 500000 : 20000;

	for (unsigned int i = 0; i < RTE_DIM(sizes); i++) {
		struct hold hold = hold_of(pool_make(POOL_SPEC(sizes[i], 64)));

		exchange_at_random(&hold, steps, RTE_MIN(sizes[i] + 2, (unsigned int)MAX_BULK));
		exchange_at_random(&hold, steps, 3);
		hold_end(&hold);
	}
}

static void
cycle_all_objects(struct hold *hold)
{
	static const unsigned int bulks[] = {1, 8, 32, 62, 100, 512};
	unsigned int n = hold->mp->size;

	for (unsigned int i = 0; i < RTE_DIM(bulks); i++) {
		unsigned int got = roster_drain(hold->roster, hold->objs, bulks[i]);

		assert_int_equal(roster_get(hold->roster, hold->objs + got, n - got), 0);
		roster_shuffle(hold->objs, n);
		roster_refill(hold->roster, hold->objs, n, bulks[RTE_DIM(bulks) - 1 - i]);
	}
}

TEST(no_byte_of_an_object_is_written_to)
{
	static const unsigned int sizes[] = {8, 24, 64, 128, 1000, 2176};
	const unsigned int n = 1500;

	for (unsigned int i = 0; i < RTE_DIM(sizes); i++) {
		struct hold hold = hold_of(pool_make(POOL_SPEC(n, sizes[i])));

		roster_paint(hold.roster);
		cycle_all_objects(&hold);
		roster_assert_paint(hold.roster);
		assert_int_equal(roster_get(hold.roster, hold.objs, n), 0);
		roster_assert_paint(hold.roster);
		roster_paint(hold.roster);
		roster_refill(hold.roster, hold.objs, n, 32);
		roster_assert_paint(hold.roster);
		hold_end(&hold);
	}
}

TEST(objects_in_write_protected_memory_can_be_exchanged)
{
	const unsigned int n = 1000;
	struct rte_mempool *mp = pool_empty(POOL_SPEC(n, 256));
	size_t len = RTE_ALIGN(2 * pool_chunk_size(mp, n), 4096);
	void *chunk = pool_map(len);
	struct hold hold;

	assert_int_equal(rte_mempool_populate_iova(mp, chunk, RTE_BAD_IOVA, len, pool_unmap_chunk,
						   (void *)len),
			 n);
	hold = hold_of(mp);
	assert_int_equal(mprotect(chunk, len, PROT_READ), 0);
	cycle_all_objects(&hold);
	pool_assert_free(mp, n);
	assert_int_equal(mprotect(chunk, len, PROT_READ | PROT_WRITE), 0);
	hold_end(&hold);
}

TEST(every_flag_is_honoured)
{
	static const unsigned int flags[] = {
		RTE_MEMPOOL_F_NO_SPREAD,
		RTE_MEMPOOL_F_NO_CACHE_ALIGN,
		RTE_MEMPOOL_F_NO_IOVA_CONTIG,
		RTE_MEMPOOL_F_SP_PUT,
		RTE_MEMPOOL_F_SC_GET,
		RTE_MEMPOOL_F_SP_PUT | RTE_MEMPOOL_F_SC_GET,
		RTE_MEMPOOL_F_NO_CACHE_ALIGN | RTE_MEMPOOL_F_NO_IOVA_CONTIG,
		RTE_MEMPOOL_VALID_USER_FLAGS,
	};
	const unsigned int n = 1200;

	for (unsigned int i = 0; i < RTE_DIM(flags); i++) {
		/* 40 is a multiple of 8 and not of a cache line. */
		struct hold hold = hold_of(pool_make(POOL_SPEC(n, 40, .flags = flags[i])));
		unsigned int align =
			flags[i] & RTE_MEMPOOL_F_NO_CACHE_ALIGN ? 8 : RTE_MEMPOOL_ALIGN;

		assert_int_equal(hold.mp->flags & flags[i], flags[i]);
		cycle_all_objects(&hold);
		assert_int_equal(roster_get(hold.roster, hold.objs, n), 0);
		for (unsigned int j = 0; j < n; j++)
			assert_int_equal((uintptr_t)hold.objs[j] % align, 0);
		roster_put(hold.roster, hold.objs, n);
		hold_end(&hold);
	}
}

/*
 * The cache asks for its own refill first; when the pool refuses that, the request is still served.
 */
TEST(a_nearly_empty_pool_serves_single_gets_behind_a_cache)
{
	const unsigned int n = 2000;
	struct hold hold = hold_of(pool_make(POOL_SPEC(n, 64, .cache_size = 512)));
	void *obj;

	for (unsigned int left = 1; left <= 600; left += 1 + left / 4) {
		assert_int_equal(rte_mempool_ops_dequeue_bulk(hold.mp, hold.objs, n - left), 0);
		roster_took(hold.roster, hold.objs, n - left);
		for (unsigned int i = 0; i < left; i++)
			assert_int_equal(roster_get(hold.roster, &hold.objs[n - left + i], 1), 0);
		assert_int_equal(rte_mempool_get(hold.mp, &obj), -ENOBUFS);
		assert_int_equal(rte_mempool_avail_count(hold.mp), 0);
		roster_gave(hold.roster, hold.objs, n);
		assert_int_equal(rte_mempool_ops_enqueue_bulk(hold.mp, hold.objs, n), 0);
		assert_int_equal(pool_ops_count(hold.mp), n);
	}
	hold_end(&hold);
}

/*
 * rte_mempool lets a get fill its cache over objects that are in it, and counts on them when the
 * get is refused.
 */
static void
assert_refused_get_leaves_cache(struct rte_mempool *mp, struct rte_mempool_cache *cache,
				unsigned int left)
{
	static const unsigned int cached = 10;
	const unsigned int n = mp->size;
	void **held = table_of(n), **more = table_of(n), **before = table_of(n);

	assert_int_equal(rte_mempool_generic_get(mp, held, n - left, NULL), 0);
	rte_mempool_generic_put(mp, held, cached, cache);
	assert_int_equal(cache->len, cached);
	memcpy(before, cache->objs, cached * sizeof(void *));
	assert_int_equal(rte_mempool_generic_get(mp, more, cached + left + 1, cache), -ENOBUFS);
	assert_int_equal(cache->len, cached);
	assert_memory_equal(before, cache->objs, cached * sizeof(void *));
	rte_mempool_cache_flush(cache, mp);
	rte_mempool_generic_put(mp, held + cached, n - left - cached, NULL);
	assert_int_equal(rte_mempool_avail_count(mp), n);
	free(held);
	free(more);
	free(before);
}

TEST(a_refused_get_leaves_what_a_cache_holds)
{
	struct rte_mempool *mp = pool_make(POOL_SPEC(1000, 64, .cache_size = 32));
	struct rte_mempool_cache *owned = rte_mempool_cache_create(64, SOCKET_ID_ANY);

	assert_non_null(owned);
	for (unsigned int left = 0; left <= 70; left++) {
		assert_refused_get_leaves_cache(mp, rte_mempool_default_cache(mp, rte_lcore_id()),
						left);
		assert_refused_get_leaves_cache(mp, owned, left);
	}
	rte_mempool_cache_free(owned);
	rte_mempool_free(mp);
}

TEST(a_user_owned_cache_works)
{
	const unsigned int n = 1024;
	struct hold hold = hold_of(pool_make(POOL_SPEC(n, 64)));
	struct rte_mempool_cache *cache = rte_mempool_cache_create(100, SOCKET_ID_ANY);

	assert_non_null(cache);
	for (unsigned int i = 0; i < n; i++)
		assert_int_equal(rte_mempool_generic_get(hold.mp, &hold.objs[i], 1, cache), 0);
	roster_took(hold.roster, hold.objs, n);
	roster_gave(hold.roster, hold.objs, n);
	for (unsigned int i = 0; i < n; i += 16)
		rte_mempool_generic_put(hold.mp, hold.objs + i, 16, cache);
	rte_mempool_cache_flush(cache, hold.mp);
	pool_assert_free(hold.mp, n);
	rte_mempool_cache_free(cache);
	hold_end(&hold);
}

TEST(dump_and_audit_work_on_the_pool)
{
	struct rte_mempool *mp = pool_make(POOL_SPEC(100, 64, .cache_size = 32));
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	rte_mempool_audit(mp);
	rte_mempool_dump(f, mp);
	rte_mempool_list_dump(f);
	fclose(f);
	assert_non_null(strstr(text, mp->name));
	assert_ptr_equal(rte_mempool_lookup(mp->name), mp);
	free(text);
	rte_mempool_free(mp);
}

int
main(int argc, char **argv)
{
	return HARNESS_RUN(argc, argv, 1);
}
