/* SPDX-License-Identifier: BSD-3-Clause */

/* rte_mempool_magazine_inline.h, on pools of any handler. */

#include <rte_debug.h>
#include <rte_eal.h>
#include <rte_mbuf.h>

#include "../common/log.h"
#include "harness.h"
#include "pool.h"
#include "rte_mempool_magazine_inline.h"
#include "roster.h"

/* Set in a copy of this program that is a secondary process: the pool. */
#define ENV_POOL "MAGAZINE_INLINE_POOL"

#define COUNT 1500u
#define SEGMENTS 5
#define ROOM 256

static const struct {
	const char *ops; /* NULL: those under test */
	const char *options;
	unsigned int cache_size;
} pools[] = {
	{NULL, NULL, 0},          {NULL, NULL, 250},
	{NULL, "cache=0", 250},   {NULL, "rounds=14", 32},
	{NULL, "magazines=0", 0}, {NULL, "guard=1,holders=1", 0},
	{NULL, "audit=1/2", 250}, {NULL, "check=1", 0},
	{REFERENCE_OPS, NULL, 0}, {REFERENCE_OPS, NULL, 250},
};

static const unsigned int bulks[] = {1, 2, 7, 8, 31, 32, 64, 255, 512, 600};

static bool
is_ours(unsigned int which)
{
	return pools[which].ops == NULL;
}

static struct rte_mempool *
make(unsigned int which)
{
	harness_need_ours("functions of its own");
	return pool_make(POOL_SPEC(COUNT, 64, .ops = pools[which].ops,
				   .config = pools[which].options,
				   .cache_size = pools[which].cache_size));
}

static unsigned int
get_all(struct hold *hold, unsigned int bulk)
{
	unsigned int n = 0;
	void *object;

	if (bulk == 1)
		while ((object = rte_mempool_magazine_get(hold->mp)) != NULL)
			hold->objs[n++] = object;
	else
		while (rte_mempool_magazine_get_bulk(hold->mp, hold->objs + n, bulk) == 0)
			n += bulk;
	roster_took(hold->roster, hold->objs, n);
	return n;
}

static void
put_all(struct hold *hold, unsigned int n, unsigned int bulk)
{
	unsigned int i;

	roster_gave(hold->roster, hold->objs, n);
	for (i = 0; i < n; i += bulk)
		if (bulk == 1)
			rte_mempool_magazine_put(hold->mp, hold->objs[i]);
		else
			rte_mempool_magazine_put_bulk(hold->mp, hold->objs + i, bulk);
}

TEST(one_lcore_has_all_objects_in_any_bulk_and_none_stay_in_rte_mempools_cache)
{
	struct hold hold;
	unsigned int which, i, n;

	for (which = 0; which < RTE_DIM(pools); which++) {
		hold = hold_of(make(which));
		for (i = 0; i < RTE_DIM(bulks); i++) {
			n = get_all(&hold, bulks[i]);
			if (is_ours(which))
				assert_int_equal(n, COUNT / bulks[i] * bulks[i]);
			assert_int_equal(rte_mempool_avail_count(hold.mp), COUNT - n);
			put_all(&hold, n, bulks[i]);
			assert_int_equal(rte_mempool_avail_count(hold.mp), COUNT);
			if (is_ours(which) && pools[which].cache_size > 0)
				assert_int_equal(hold.mp->local_cache[rte_lcore_id()].len, 0);
		}
		assert_int_equal(rte_mempool_magazine_is_inlined(hold.mp), is_ours(which));
		hold_end(&hold);
	}
}

/* As device drivers put them. */
TEST(what_others_put_into_rte_mempools_cache_can_be_had)
{
	const unsigned int others = 100;
	struct hold hold;
	unsigned int which;

	for (which = 0; which < RTE_DIM(pools); which++) {
		hold = hold_of(make(which));
		assert_int_equal(get_all(&hold, 1), COUNT);
		roster_put(hold.roster, hold.objs, others);
		assert_int_equal(get_all(&hold, 1), others);
		assert_null(rte_mempool_magazine_get(hold.mp));
		roster_put(hold.roster, hold.objs, others);
		assert_int_equal(get_all(&hold, 10), others);
		/* The same ones, so all are still in hold.objs. */
		put_all(&hold, COUNT, others);
		hold_end(&hold);
	}
}

TEST(a_second_put_is_refused_by_guard)
{
	struct rte_mempool *mp;
	void *object;

	harness_need_ours("guard");
	mp = pool_make(POOL_SPEC(COUNT, 64, .config = "guard=1"));
	object = rte_mempool_magazine_get(mp);
	assert_non_null(object);
	rte_mempool_magazine_put(mp, object);
	log_begin();
	rte_mempool_magazine_put(mp, object);
	log_end();
	assert_true(log_has(mp->name) && log_has("free already"));
	assert_int_equal(rte_mempool_avail_count(mp), COUNT);
	rte_mempool_free(mp);
}

static struct rte_mempool *
make_mbufs(unsigned int which)
{
	struct rte_mempool *mp;

	harness_need_ours("functions of its own");
	if (pools[which].options != NULL)
		setenv("MAGAZINE_OPTIONS", pools[which].options, 1);
	mp = rte_pktmbuf_pool_create_by_ops("inline", COUNT, pools[which].cache_size, 0, ROOM,
					    SOCKET_ID_ANY,
					    is_ours(which) ? harness_ops() : pools[which].ops);
	unsetenv("MAGAZINE_OPTIONS");
	assert_non_null(mp);
	return mp;
}

static struct rte_mbuf *
alloc_packet(struct rte_mempool *mp)
{
	struct rte_mbuf *packet = NULL, *segment;
	unsigned int i;

	for (i = 0; i < SEGMENTS; i++) {
		segment = rte_mempool_magazine_pktmbuf_alloc(mp);
		if (segment == NULL)
			rte_panic("no mbuf\n");
		assert_int_equal(rte_mbuf_refcnt_read(segment), 1);
		assert_int_equal(segment->nb_segs, 1);
		assert_int_equal(segment->pkt_len, 0);
		assert_int_equal(segment->ol_flags, 0);
		assert_null(segment->next);
		assert_ptr_equal(segment->pool, mp);
		assert_non_null(rte_pktmbuf_append(segment, ROOM - RTE_PKTMBUF_HEADROOM));
		segment->ol_flags = RTE_MBUF_F_RX_RSS_HASH;
		if (packet == NULL)
			packet = segment;
		else
			assert_int_equal(rte_pktmbuf_chain(packet, segment), 0);
	}
	return packet;
}

/* Each segment has gone when the last that refers to it has, and not before. */
TEST(packets_are_freed_by_the_last_that_refers_to_them)
{
	struct rte_mempool *mp;
	struct rte_mbuf *packet, *clone;
	unsigned int which, round;

	for (which = 0; which < RTE_DIM(pools); which++) {
		mp = make_mbufs(which);
		for (round = 0; round < COUNT; round++) {
			packet = alloc_packet(mp);
			clone = rte_pktmbuf_clone(packet, mp);
			assert_non_null(clone);
			rte_mempool_magazine_pktmbuf_free(round % 2 == 0 ? packet : clone);
			assert_int_equal(rte_mempool_in_use_count(mp),
					 round % 2 == 0 ? 2 * SEGMENTS : SEGMENTS);
			rte_mempool_magazine_pktmbuf_free(round % 2 == 0 ? clone : packet);
			assert_int_equal(rte_mempool_avail_count(mp), COUNT);
			/* The other way round by DPDK's own functions. */
			rte_pktmbuf_free(alloc_packet(mp));
		}
		rte_mempool_magazine_pktmbuf_free(NULL);
		rte_mempool_free(mp);
	}
}

/* Not before it is known that others call the handler by the same number. */
TEST(a_secondary_process_inlines_from_its_second_request_on)
{
	struct rte_mempool *mp = make(0);
	int status = harness_copy_status(harness_copy(ENV_POOL, mp->name, NULL));

	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	pool_assert_free(mp, COUNT);
	rte_mempool_free(mp);
}

static int
secondary(int argc, char **argv, const char *pool)
{
	static void *objects[COUNT];
	struct rte_mempool *mp;
	void *object;

	if (harness_start_secondary(argc, argv, 1) < 0)
		return HARNESS_REFUSED;
	mp = rte_mempool_lookup(pool);
	HOLDS(mp != NULL);
	HOLDS(!rte_mempool_magazine_is_inlined(mp));
	object = rte_mempool_magazine_get(mp);
	HOLDS(object != NULL);
	HOLDS(rte_mempool_magazine_is_inlined(mp));
	rte_mempool_magazine_put(mp, object);
	HOLDS(rte_mempool_magazine_get_bulk(mp, objects, COUNT) == 0);
	HOLDS(rte_mempool_magazine_get(mp) == NULL);
	rte_mempool_magazine_put_bulk(mp, objects, COUNT);
	return rte_eal_cleanup() == 0 ? 0 : 1;
}

int
main(int argc, char **argv)
{
	return HARNESS_RUN_OR_CHILD(argc, argv, 1, ENV_POOL, secondary);
}
