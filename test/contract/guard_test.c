/* SPDX-License-Identifier: BSD-3-Clause */

/* Pools that check what is given back to them: options guard, audit and check. */

#include <rte_mbuf.h>

#include "harness.h"
#include "../common/log.h"
#include "mag_stats.h"
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
		log_begin();
		rte_mempool_free(mp);
		log_end();
		assert_true(log_has("sampled objects (one in 8) are out, of one stack"));
		assert_true(log_has("allocated by thread"));
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

/* Option check: pools with mbufs, all of which a user has. */

static struct rte_mbuf *mbufs[COUNT];

/* With room for user data that no library knows; two of them fit into a page of 4 KiB. */
#define PRIVATE 64
#define DATA_ROOM (RTE_PKTMBUF_HEADROOM + 1024)

static struct rte_mempool *
mbufs_make(const char *config)
{
	struct rte_mempool *mp;

	harness_need_ours("check");
	/* There it is AddressSanitizer that looks, and ends the program. */
	setenv("MAGAZINE_POISON", "0", 1);
	setenv("MAGAZINE_OPTIONS", config, 1);
	mp = rte_pktmbuf_pool_create_by_ops("checked", COUNT, 32, PRIVATE, DATA_ROOM, SOCKET_ID_ANY,
					    harness_ops());
	unsetenv("MAGAZINE_OPTIONS");
	assert_non_null(mp);
	assert_int_equal(rte_pktmbuf_alloc_bulk(mp, mbufs, COUNT), 0);
	return mp;
}

static void
mbufs_end(struct rte_mempool *mp, uint64_t noticed)
{
	struct mag_cache_stats stats;

	mag_cache_stats_get(rte_mempool_magazine_cache(mp), &stats);
	assert_int_equal(stats.bad_writes, noticed);
	rte_pktmbuf_free_bulk(mbufs, COUNT);
	pool_assert_free(mp, COUNT);
	rte_mempool_free(mp);
	unsetenv("MAGAZINE_POISON");
}

/* All that are free, which must be those of mbufs[] from here on. */
static void
get_rest(struct rte_mempool *mp, unsigned int first)
{
	assert_int_equal(rte_mempool_get_bulk(mp, (void **)mbufs + first, COUNT - first), 0);
}

static void
write_data(struct rte_mbuf *mbuf)
{
	memset(rte_pktmbuf_mtod(mbuf, void *), 0x41, 60);
}

static void
write_next(struct rte_mbuf *mbuf)
{
	mbuf->next = mbuf;
}

static void
write_refcnt(struct rte_mbuf *mbuf)
{
	rte_mbuf_refcnt_update(mbuf, 1);
}

static void
write_length(struct rte_mbuf *mbuf)
{
	mbuf->data_len = 99;
}

static void
write_pool(struct rte_mbuf *mbuf)
{
	mbuf->pool = NULL;
}

TEST(a_write_to_a_free_mbuf_names_it_and_the_field)
{
	static const struct {
		void (*write)(struct rte_mbuf *mbuf);
		const char *place;
	} rows[] = {
		{write_data, "60 bytes, the first at offset 320, in data"},
		{write_next, "in next: were 00 00 00 00 00 00 00 00"},
		{write_refcnt, "in refcnt: were 01 00"},
		{write_length, "in data_len: were 00"},
		{write_pool, "in pool"},
	};
	struct rte_mempool *mp = mbufs_make("check=1,audit=1"), *own;
	char expected[128];
	struct rte_mbuf *mbuf;

	for (unsigned int i = 0; i < RTE_DIM(rows); i++) {
		mbuf = mbufs[COUNT - 1 - i];
		own = mbuf->pool;
		for (unsigned int j = 1000; j < COUNT; j++)
			rte_pktmbuf_free(mbufs[j]);
		rows[i].write(mbuf);
		log_begin();
		get_rest(mp, 1000);
		log_end();
		snprintf(expected, sizeof(expected),
			 "pool \"checked\": %p was written to while it was free", (void *)mbuf);
		if (!log_has(expected) || !log_has(rows[i].place) || !log_has("last freed by"))
			fail_msg("no \"%s\" or no \"%s\" in: %s", expected, rows[i].place,
				 log_text());
		mbuf->pool = own;
		mbuf->next = NULL;
		rte_mbuf_refcnt_set(mbuf, 1);
	}
	mbufs_end(mp, RTE_DIM(rows));
}

/* One behind which there is another one, in mbufs[] at the end. */
static struct rte_mbuf *
last_but_one(struct rte_mempool *mp)
{
	struct rte_mbuf *swapped;

	for (unsigned int i = 0; i < COUNT; i++)
		for (unsigned int j = 0; j < COUNT; j++) {
			if (mbufs[j] != RTE_PTR_ADD(mbufs[i], pool_stride(mp)))
				continue;
			swapped = mbufs[i];
			mbufs[i] = mbufs[0];
			mbufs[0] = swapped;
			j = j == 0 ? i : j;
			swapped = mbufs[j];
			mbufs[j] = mbufs[COUNT - 1];
			mbufs[COUNT - 1] = swapped;
			return mbufs[0];
		}
	fail_msg("no two mbufs of a pool are neighbours");
	return NULL;
}

TEST(an_overrun_is_noticed_at_the_neighbour_and_names_both)
{
	struct rte_mempool *mp = mbufs_make("check=1,audit=1");
	struct rte_mbuf *mbuf = last_but_one(mp), *neighbour = mbufs[COUNT - 1];
	char first[128], second[128], *end;

	rte_pktmbuf_free(neighbour);
	/* All that is between the two but what rte_mempool has there. */
	end = (char *)mbuf->buf_addr + mbuf->buf_len;
	memset(end, 'x', (size_t)((char *)neighbour - end) - mp->header_size + 1);
	log_begin();
	get_rest(mp, COUNT - 1);
	log_end();
	snprintf(first, sizeof(first),
		 "%p was written to while it was free: 1 bytes, the first at offset -64, in front "
		 "of it",
		 (void *)neighbour);
	snprintf(second, sizeof(second), "before it lies %p, which a user has", (void *)mbuf);
	if (!log_has(first) || !log_has(second) || !log_has("last allocated by"))
		fail_msg("no \"%s\" or no \"%s\" in: %s", first, second, log_text());
	mbufs_end(mp, 1);
}

TEST(an_overrun_is_noticed_when_the_mbuf_is_freed_if_nothing_is_behind_it)
{
	struct rte_mempool *mp = mbufs_make("check=1");
	char expected[128];

	/* The pool spreads its objects over channels of memory: there is room behind each. */
	if (mp->trailer_size == 0)
		print_message("objects of this pool have no trailers\n");
	((char *)mbufs[7]->buf_addr)[mbufs[7]->buf_len] ^= 1;
	snprintf(expected, sizeof(expected), "%p was written to beyond its end: 1 bytes",
		 (void *)mbufs[7]);
	log_begin();
	rte_pktmbuf_free_bulk(mbufs, COUNT);
	log_end();
	assert_int_equal(log_has(expected), mp->trailer_size > 0);
	get_rest(mp, 0);
	mbufs_end(mp, mp->trailer_size > 0);
}

TEST(initialising_objects_that_were_never_had_is_no_write)
{
	struct rte_mempool *mp;

	harness_need_ours("check");
	setenv("MAGAZINE_POISON", "0", 1);
	mp = pool_empty(POOL_SPEC(COUNT, sizeof(struct rte_mbuf) + RTE_MBUF_DEFAULT_BUF_SIZE,
				  .config = "check=1"));
	assert_int_equal(rte_mempool_populate_default(mp), COUNT);
	rte_mempool_obj_iter(mp, rte_pktmbuf_init, NULL);
	log_begin();
	get_rest(mp, 0);
	log_end();
	assert_int_equal(log_lines(), 0);
	rte_mempool_put_bulk(mp, (void **)mbufs, COUNT);
	pool_assert_free(mp, COUNT);
	rte_mempool_free(mp);
	unsetenv("MAGAZINE_POISON");
}

int
main(int argc, char **argv)
{
	return HARNESS_RUN(argc, argv, 1);
}
