/* SPDX-License-Identifier: BSD-3-Clause */

/* Pools given back at every stage of their life, and what is left behind: nothing. */

#include <inttypes.h>
#include <sys/mman.h>

#include <rte_malloc.h>

#include "cache/cache.h"
#include "harness.h"
#include "heap.h"
#include "../common/log.h"
#include "mag_stats.h"
#include "pool.h"
#include "roster.h"
#include "rte_mempool_magazine.h"

#define PAGE 4096u

/* Unmaps its memory as soon as rte_mempool gives it back, so that a later access is seen. */
static int
add_mapped_chunk(struct rte_mempool *mp, unsigned int n)
{
	size_t len = RTE_ALIGN(2 * pool_chunk_size(mp, n), PAGE);

	return rte_mempool_populate_iova(mp, pool_map(len), RTE_BAD_IOVA, len, pool_unmap_chunk,
					 (void *)len);
}

TEST(free_touches_no_object_memory_that_is_gone)
{
	const unsigned int n = 4000;
	void **objs = calloc(n, sizeof(void *));
	struct rte_mempool *mp;

	for (unsigned int held = 0; held <= n; held += 500) {
		mp = pool_empty(POOL_SPEC(n, 64));
		while (mp->populated_size < n)
			assert_true(add_mapped_chunk(mp, 600) > 0);
		assert_int_equal(rte_mempool_get_bulk(mp, objs, n), 0);
		rte_mempool_put_bulk(mp, objs, n - held);
		rte_mempool_free(mp);
	}
	mp = pool_empty(POOL_SPEC(n, 64));
	assert_int_equal(rte_mempool_populate_anon(mp), n);
	rte_mempool_free(mp);
	free(objs);
}

TEST(free_with_objects_out_says_once_how_many)
{
	static const unsigned int out[] = {1, 2, 37, 500};
	void *objs[500];

	harness_need_ours("to report objects that are out");
	for (unsigned int i = 0; i < RTE_DIM(out); i++) {
		struct rte_mempool *mp = pool_make(POOL_SPEC(500, 64));
		char name[RTE_MEMPOOL_NAMESIZE], number[16];

		snprintf(name, sizeof(name), "%s", mp->name);
		snprintf(number, sizeof(number), " %u ", out[i]);
		assert_int_equal(rte_mempool_get_bulk(mp, objs, out[i]), 0);
		log_begin();
		rte_mempool_free(mp);
		log_end();
		say("log: %s", log_text());
		assert_int_equal(log_lines(), 1);
		assert_true(log_has("magazine"));
		assert_true(log_has(name));
		assert_true(log_has(number));
	}
}

TEST(free_with_all_objects_back_says_nothing)
{
	struct rte_mempool *mp = pool_make(POOL_SPEC(500, 64, .cache_size = 100));
	void *objs[500];

	for (unsigned int i = 0; i < 500; i++)
		assert_int_equal(rte_mempool_get(mp, &objs[i]), 0);
	for (unsigned int i = 0; i < 500; i++)
		rte_mempool_put(mp, objs[i]);
	log_begin();
	rte_mempool_free(mp);
	log_end();
	assert_string_equal(log_text(), "");
}

static void
make_use_free(unsigned int n, unsigned int cache, unsigned int out)
{
	static void *objs[4096];
	struct rte_mempool *mp = pool_make(POOL_SPEC(n, 200, .cache_size = cache));
	struct rte_mempool_info info;

	for (unsigned int bulk = 1; bulk <= 64; bulk *= 8) {
		for (unsigned int i = 0; i + bulk <= n; i += bulk)
			assert_int_equal(rte_mempool_get_bulk(mp, objs + i, bulk), 0);
		rte_mempool_put_bulk(mp, objs, n / bulk * bulk);
	}
	rte_mempool_ops_get_info(mp, &info);
	if (out > 0)
		assert_int_equal(rte_mempool_get_bulk(mp, objs, out), 0);
	log_begin(); /* objects out are reported, a thousand times */
	rte_mempool_free(mp);
	log_end();
}

static void
one_life_of_each_kind(void)
{
	make_use_free(100, 0, 0);
	make_use_free(4095, 0, 0);
	make_use_free(2000, 250, 0);
	make_use_free(1000, 0, 300);
}

static void
one_unused_life(void)
{
	rte_mempool_free(pool_empty(POOL_SPEC(500, 64)));
}

static void
one_partly_populated_life(void)
{
	static unsigned int chunks;
	struct rte_mempool *mp = pool_empty(POOL_SPEC(100000, 64));
	void *objs[5];

	for (unsigned int i = 0; i <= chunks % 9; i++)
		assert_true(add_mapped_chunk(mp, 77) > 0);
	chunks++;
	assert_int_equal(rte_mempool_get_bulk(mp, objs, 5), 0);
	rte_mempool_put_bulk(mp, objs, 5);
	assert_int_equal(rte_mempool_avail_count(mp), mp->populated_size);
	rte_mempool_free(mp);
}

static void
one_life_without_room(void)
{
	struct rte_mempool *mp = pool_empty(POOL_SPEC(10, 1024));
	char small[100];

	assert_int_equal(
		rte_mempool_populate_iova(mp, small, RTE_BAD_IOVA, sizeof(small), NULL, NULL), 0);
	rte_mempool_free(mp);
}

static void
one_life_with_many_chunks(void)
{
	struct rte_mempool *mp = pool_empty(POOL_SPEC(2000, 64));

	while (mp->populated_size < mp->size)
		assert_true(add_mapped_chunk(mp, 20) > 0);
	rte_mempool_free(mp);
}

static void
one_refused_life(void)
{
	struct rte_mempool *mp = pool_empty(POOL_SPEC(500, 64, .config = "rounds=7"));

	log_begin();
	assert_int_equal(rte_mempool_populate_default(mp), -EINVAL);
	rte_mempool_free(mp);
	log_end();
}

/* In a walk over all caches no pool is made, and those that are freed are not heard of again. */

static struct rte_mempool *walked[2];
static unsigned int visits;

static void
end_both_visit(struct mag_cache *cache, void *arg)
{
	struct rte_mempool *mp = pool_empty(POOL_SPEC(500, 64));

	RTE_SET_USED(arg);
	visits++;
	assert_ptr_equal(cache, rte_mempool_magazine_cache(walked[0]));
	log_begin();
	assert_int_equal(rte_mempool_populate_default(mp), -EDEADLK);
	log_end();
	assert_int_equal(log_lines(), 1);
	rte_mempool_free(mp);
	rte_mempool_free(walked[0]);
	rte_mempool_free(walked[1]);
}

static void
one_life_that_ends_in_a_walk(void)
{
	walked[0] = pool_empty(POOL_SPEC(2000, 64));
	walked[1] = pool_empty(POOL_SPEC(2000, 64));
	assert_true(add_mapped_chunk(walked[0], 77) > 0);
	assert_true(add_mapped_chunk(walked[1], 77) > 0);
	visits = 0;
	assert_int_equal(mag_cache_walk(end_both_visit, NULL), 0);
	assert_int_equal(visits, 1);
}

TEST(no_life_of_a_pool_leaves_anything)
{
	static const struct {
		const char *name;
		void (*life)(void);
		unsigned int cycles;
		bool ours;
	} rows[] = {
		{"used", one_life_of_each_kind, 60, false},
		{"never populated", one_unused_life, 100, false},
		{"partly populated", one_partly_populated_life, 100, false},
		{"of many chunks", one_life_with_many_chunks, 100, false},
		{"with no room for an object", one_life_without_room, 100, false},
		{"refused", one_refused_life, 100, true},
		{"freed in a walk", one_life_that_ends_in_a_walk, 50, true},
	};
	struct heap_use before, after;

	for (unsigned int i = 0; i < RTE_DIM(rows); i++) {
		if (rows[i].ours && strcmp(harness_ops(), "magazine") != 0)
			continue;
		say("pools that are %s", rows[i].name);
		for (unsigned int n = 0; n < 20; n++)
			rows[i].life(); /* what is made once and kept */
		before = heap_use_now();
		for (unsigned int n = 0; n < rows[i].cycles * (run_is_full() ? 8 : 1); n++)
			rows[i].life();
		after = heap_use_now();
		heap_assert_same(&before, &after);
	}
}

/* Memory that was in one pool is given to the next, of other geometry, at the same address. */
TEST(memory_of_a_pool_that_is_gone_can_be_used_by_the_next)
{
	const size_t len = 1u << 20;
	void *memory = pool_map(len);

	for (unsigned int i = 0; i < 40; i++) {
		struct rte_mempool *mp = pool_empty(POOL_SPEC(100000, 8 + 48 * i));
		struct roster *roster;
		void **objs;
		unsigned int n;

		assert_true(rte_mempool_populate_iova(mp, memory, RTE_BAD_IOVA, len, NULL, NULL) >
			    0);
		roster = roster_of(mp);
		n = mp->populated_size;
		objs = calloc(n, sizeof(void *));
		assert_int_equal(roster_drain(roster, objs, 1), n);
		roster_put(roster, objs, n / (1 + i % 3));
		roster_free(roster);
		log_begin();
		rte_mempool_free(mp);
		log_end();
		free(objs);
	}
	munmap(memory, len);
}

TEST(a_program_of_another_layout_does_not_get_the_cache)
{
	struct rte_mempool *mp;

	harness_need_ours("a cache");
	mp = pool_make(POOL_SPEC(500, 64));
	assert_non_null(rte_mempool_magazine_cache(mp));
	log_begin();
	assert_null(rte_mempool_magazine_cache_with(mp, MAG_LAYOUT + 1));
	log_end();
	assert_int_equal(rte_errno, ENOTSUP);
	assert_int_equal(log_lines(), 1);
	assert_true(log_has("layout"));
	rte_mempool_free(mp);
}

/* Refused, for this reason, which one line of the log has. */
static void
assert_lookup_fails(const char *name, int error, const char *reason)
{
	log_begin();
	assert_null(rte_mempool_magazine_lookup(name));
	log_end();
	assert_int_equal(rte_errno, error);
	assert_int_equal(log_lines(), 1);
	assert_true(log_has(reason) && log_has(name));
}

TEST(a_pool_of_the_driver_is_found_by_its_name_and_no_other_is)
{
	struct rte_mempool *mp, *other;
	int number;

	harness_need_ours("to look pools up");
	mp = pool_empty(POOL_SPEC(500, 64));
	assert_lookup_fails(mp->name, EAGAIN, "populate it");
	assert_int_equal(rte_mempool_populate_default(mp), 500);
	assert_ptr_equal(rte_mempool_magazine_lookup(mp->name), mp);
	assert_null(rte_mempool_magazine_lookup("of-nobody"));
	assert_int_equal(rte_errno, ENOENT);
	other = pool_make(POOL_SPEC(500, 64, .ops = REFERENCE_OPS));
	assert_lookup_fails(other->name, EINVAL, "not magazine");
	/* As where this process has other plugins than the one that made them. */
	number = other->ops_index;
	other->ops_index = mp->ops_index;
	assert_lookup_fails(other->name, EXDEV, "of another handler");
	assert_null(rte_mempool_magazine_cache(other));
	other->ops_index = number;
	number = mp->ops_index;
	mp->ops_index = other->ops_index;
	assert_lookup_fails(mp->name, EXDEV, "is of magazine");
	mp->ops_index = number;
	rte_mempool_free(other);
	rte_mempool_free(mp);
}

TEST(a_pool_whose_records_have_moved_is_not_found)
{
	struct rte_mempool *mp;
	void *data, *copy;

	harness_need_ours("to look pools up");
	mp = pool_make(POOL_SPEC(500, 64));
	data = mp->pool_data;
	copy = rte_malloc(NULL, sizeof(struct mag_cache), 0);
	assert_non_null(copy);
	memcpy(copy, data, sizeof(struct mag_cache));
	mp->pool_data = copy;
	assert_lookup_fails(mp->name, EFAULT, "not where they were made");
	mp->pool_data = data;
	rte_free(copy);
	assert_ptr_equal(rte_mempool_magazine_lookup(mp->name), mp);
	rte_mempool_free(mp);
}

static void
use_strange(struct rte_mempool *mp, void *object)
{
	struct rte_mempool_info info;
	void *got[64];

	assert_int_equal(rte_mempool_get_bulk(mp, got, 64), -ENOBUFS);
	assert_int_equal(rte_mempool_get(mp, got), -ENOBUFS);
	assert_int_equal(rte_mempool_ops_get_info(mp, &info), 0);
	assert_int_equal(rte_mempool_get_contig_blocks(mp, got, 1), -ENOBUFS);
	assert_int_equal(rte_mempool_avail_count(mp), 0);
	rte_mempool_put(mp, object);
}

/* As where a process has another version of the driver than the one that made the pool. */
TEST(a_pool_of_another_version_serves_nothing_and_says_so_once)
{
	struct mag_cache *cache;
	struct rte_mempool *mp;
	void *object;

	harness_need_ours("to know its versions");
	mp = pool_make(POOL_SPEC(500, 64, .config = "rounds=14"));
	cache = mp->pool_data;
	assert_int_equal(rte_mempool_get(mp, &object), 0);
	assert_int_equal(mag_lcore_flush(), 0);
	cache->stamp.layout++;
	log_begin();
	use_strange(mp, object);
	use_strange(mp, object);
	assert_null(rte_mempool_magazine_lookup(mp->name));
	assert_int_equal(rte_errno, ENOTSUP);
	assert_null(rte_mempool_magazine_cache(mp));
	log_end();
	assert_int_equal(log_lines(), 1);
	assert_true(log_has("another version") && log_has(mp->name));
	cache->stamp.layout--;
	pool_assert_free(mp, 499);
	rte_mempool_put(mp, object);
	pool_assert_free(mp, 500);
	rte_mempool_free(mp);
}

int
main(int argc, char **argv)
{
	return HARNESS_RUN(argc, argv, 1);
}
