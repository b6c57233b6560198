/* SPDX-License-Identifier: BSD-3-Clause */

/* Pools that check what is given back to them: options guard=1, audit=1 and audit=1/N. */

#include <rte_mbuf.h>

#include "harness.h"
#include "../common/log.h"
#include "mag_cache.h"
#include "pool.h"
#include "rte_mempool_magazine.h"

#define COUNT 2000

static struct rte_mempool *
make(const char *config, unsigned int cache_size)
{
	harness_need_ours("guard");
	return pool_make(POOL_SPEC(COUNT, 256, .config = config, .cache_size = cache_size));
}

static void
assert_refused(struct rte_mempool *mp, void *object, const char *why)
{
	log_begin();
	rte_mempool_put(mp, object);
	log_end();
	if (!log_has(mp->name) || !log_has(why))
		fail_msg("no \"%s\" or no \"%s\" in: %s", mp->name, why, log_text());
}

TEST(bad_puts_are_refused_and_the_pool_stays_whole)
{
	struct rte_mempool *mp = make("guard=1", 0), *other = make("guard=1", 0);
	void *objects[COUNT], *theirs, *object;

	assert_int_equal(rte_mempool_get_bulk(mp, objects, COUNT), 0);
	assert_int_equal(rte_mempool_get(other, &theirs), 0);
	rte_mempool_put_bulk(mp, objects, COUNT);
	assert_refused(mp, objects[7], "free already");
	assert_refused(mp, RTE_PTR_ADD(objects[7], 128), "inside of object");
	assert_refused(mp, theirs, "no object of it");
	assert_refused(mp, &object, "no object of it");
	pool_assert_free(mp, COUNT);
	assert_int_equal(rte_mempool_get_bulk(mp, objects, COUNT), 0);
	assert_true(rte_mempool_get(mp, &object) < 0);
	rte_mempool_put_bulk(mp, objects, COUNT);
	rte_mempool_put(other, theirs);
	pool_assert_free(other, COUNT);
	rte_mempool_free(other);
	rte_mempool_free(mp);
}

TEST(good_puts_of_any_bulk_are_taken)
{
	static const unsigned int caches[] = {0, 0, 32, 32, 250, 250};
	void *objects[COUNT];

	for (unsigned int i = 0; i < RTE_DIM(caches); i++) {
		struct rte_mempool *mp =
			make(i % 2 == 0 ? "guard=1,audit=1,rounds=62" : "audit=1/8,rounds=62",
			     caches[i]);

		log_begin();
		for (unsigned int bulk = 1; bulk <= 1000; bulk *= 10)
			for (unsigned int at = 0; at + bulk <= COUNT; at += bulk) {
				assert_int_equal(rte_mempool_get_bulk(mp, objects + at, bulk), 0);
				if (at + 2 * bulk > COUNT)
					rte_mempool_put_bulk(mp, objects, at + bulk);
			}
		log_end();
		assert_int_equal(log_lines(), 0);
		assert_int_equal(rte_mempool_avail_count(mp), COUNT);
		rte_mempool_free(mp);
	}
}

TEST(objects_of_a_contiguous_block_are_a_users)
{
	struct rte_mempool *mp = make("guard=1,block=8", 0);
	struct rte_mempool_info info;
	void *first, *at;

	assert_int_equal(rte_mempool_ops_get_info(mp, &info), 0);
	assert_int_equal(rte_mempool_get_contig_blocks(mp, &first, 1), 0);
	log_begin();
	for (unsigned int i = 0; i < info.contig_block_size; i++) {
		at = RTE_PTR_ADD(first, i * pool_stride(mp));
		rte_mempool_put(mp, at);
	}
	log_end();
	assert_int_equal(log_lines(), 0);
	assert_refused(mp, first, "free already");
	pool_assert_free(mp, COUNT);
	rte_mempool_free(mp);
}

TEST(an_audited_pool_says_who_gave_back_first)
{
	struct rte_mempool *mp = make("audit=1", 0);
	struct mag_transaction last;
	void *object;

	assert_int_equal(rte_mempool_get(mp, &object), 0);
	assert_int_equal(mag_cache_transaction(rte_mempool_magazine_cache(mp), object, &last), 0);
	assert_int_equal(last.kind, MAG_TRANSACTION_ALLOC);
	assert_int_equal(last.lcore, rte_lcore_id());
	rte_mempool_put(mp, object);
	assert_refused(mp, object, "now freed by thread");
	assert_true(log_has("last freed by thread"));
	rte_mempool_free(mp);
}

TEST(a_pool_that_is_freed_too_early_says_who_holds_its_objects)
{
	struct rte_mempool *mp = make("audit=1", 0);
	char expected[64];
	void *object;

	assert_int_equal(rte_mempool_get(mp, &object), 0);
	snprintf(expected, sizeof(expected), "object %p is out", object);
	log_begin();
	rte_mempool_free(mp);
	log_end();
	assert_true(log_has("1 of its 2000 objects are out"));
	assert_true(log_has(expected));
	assert_true(log_has("last allocated by thread"));
}

/* What is free in the slab layer is no object there, and nothing is known of it. */
static uint32_t
kind_of(struct rte_mempool *mp, const void *object)
{
	struct mag_transaction last;
	int ret = mag_cache_transaction(rte_mempool_magazine_cache(mp), object, &last);

	assert_true(ret == 0 || ret == -ENOENT || ret == -EINVAL);
	return ret == 0 ? last.kind : MAG_TRANSACTION_NONE;
}

/* What is recorded of those of n objects that are sampled is this; these are left, and how many. */
static unsigned int
assert_kinds(struct rte_mempool *mp, void **objects, unsigned int n, uint32_t kind)
{
	unsigned int count = 0;
	uint32_t found;

	for (unsigned int i = 0; i < n; i++) {
		found = kind_of(mp, objects[i]);
		if (found == MAG_TRANSACTION_NONE)
			continue;
		assert_int_equal(found, kind);
		objects[count++] = objects[i];
	}
	return count;
}

TEST(of_one_object_in_n_each_get_and_put_is_recorded_in_any_bulk)
{
	static const unsigned int bulks[] = {1, 3, 8, 32, 50, 100, 1000};
	static const char *const configs[] = {"audit=1/8", "audit=1/8,rounds=14",
					      "audit=1/8,magazines=0", "audit=1/8,holders=1",
					      "audit=1/8,guard=1"};
	struct rte_mempool *mp;
	void *objects[COUNT];
	unsigned int bulk, at, n;

	for (unsigned int i = 0; i < RTE_DIM(configs) * RTE_DIM(bulks); i++) {
		bulk = bulks[i % RTE_DIM(bulks)];
		mp = make(configs[i / RTE_DIM(bulks)], 0);
		for (unsigned int turn = 0; turn < 3; turn++) {
			for (at = 0; at + bulk <= COUNT; at += bulk)
				assert_int_equal(rte_mempool_get_bulk(mp, objects + at, bulk), 0);
			for (n = 0; n < at; n += bulk)
				rte_mempool_put_bulk(mp, objects + n, bulk);
			assert_kinds(mp, objects, at, MAG_TRANSACTION_FREE);
		}
		assert_int_equal(rte_mempool_get_bulk(mp, objects, COUNT), 0);
		n = assert_kinds(mp, objects, COUNT, MAG_TRANSACTION_ALLOC);
		assert_in_range(n, COUNT / 16, COUNT / 5);
		rte_mempool_put_bulk(mp, objects, COUNT);
		rte_mempool_free(mp);
	}
}

TEST(a_sampled_object_that_is_put_twice_or_written_to_is_reported_and_the_pool_stays_whole)
{
	struct rte_mempool *mp = make("audit=1/8,rounds=62", 0);
	void *objects[COUNT], *object;

	assert_int_equal(rte_mempool_get_bulk(mp, objects, COUNT), 0);
	rte_mempool_put_bulk(mp, objects, COUNT);
	assert_true(assert_kinds(mp, objects, COUNT, MAG_TRANSACTION_FREE) > 0);
	object = objects[0];
	assert_refused(mp, object, "free already");
	assert_true(log_has("last freed by thread"));
	assert_true(log_has("before that allocated by thread"));
	pool_assert_free(mp, COUNT);
	*(volatile char *)object = 1;
	log_begin();
	assert_int_equal(rte_mempool_get_bulk(mp, objects, COUNT), 0);
	log_end();
	assert_true(log_has("written to while it was free: byte 0 was 0x00 and is 0x01"));
	rte_mempool_put_bulk(mp, objects, COUNT);
	pool_assert_free(mp, COUNT);
	rte_mempool_free(mp);
}

TEST(a_pools_own_audit_comes_before_the_switch_for_all)
{
	static const struct {
		const char *switches, *config;
		int answer;
	} rows[] = {
		{"audit=1", NULL, 0},        {"audit=1", "audit=0", -ENOTSUP},
		{"audit=0", "audit=1", 0},   {"audit=0", NULL, -ENOTSUP},
		{"audit=1/2", "audit=1", 0}, {"audit=1/2", "audit=0", -ENOTSUP},
	};
	struct mag_transaction last;
	struct rte_mempool *mp;
	void *object;

	for (unsigned int i = 0; i < RTE_DIM(rows); i++) {
		setenv("MAGAZINE_SWITCHES", rows[i].switches, 1);
		mp = make(rows[i].config, 0);
		unsetenv("MAGAZINE_SWITCHES");
		assert_int_equal(rte_mempool_get(mp, &object), 0);
		assert_int_equal(
			mag_cache_transaction(rte_mempool_magazine_cache(mp), object, &last),
			rows[i].answer);
		rte_mempool_put(mp, object);
		rte_mempool_free(mp);
	}
}

TEST(an_mbuf_that_is_freed_twice_is_noticed)
{
	struct rte_mempool *mp;
	struct rte_mbuf *mbuf;

	harness_need_ours("guard");
	mp = pool_empty(POOL_SPEC(COUNT, sizeof(struct rte_mbuf) + RTE_MBUF_DEFAULT_BUF_SIZE,
				  .config = "guard=1"));
	assert_int_equal(rte_mempool_populate_default(mp), COUNT);
	rte_mempool_obj_iter(mp, rte_pktmbuf_init, NULL);
	assert_int_equal(rte_mempool_get(mp, (void **)&mbuf), 0);
	rte_mempool_put(mp, mbuf);
	assert_refused(mp, mbuf, "free already");
	pool_assert_free(mp, COUNT);
	rte_mempool_free(mp);
}

int
main(int argc, char **argv)
{
	return HARNESS_RUN(argc, argv, 1);
}
