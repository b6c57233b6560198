/* SPDX-License-Identifier: BSD-3-Clause */

/* Drivers of network devices that read and write rte_mempool's caches themselves. */

#include <inttypes.h>
#include <string.h>

#include <rte_launch.h>
#include <rte_ring.h>

#include "harness.h"
#include "mag_stats.h"
#include "pool.h"
#include "rte_mempool_magazine.h"
#include "vector.h"

#define LCORES 5
#define COUNT 8000u
#define BURST 32u

static const struct {
	const char *ops;
	const char *config;
	unsigned int cache_size;
} pools[] = {
	{REFERENCE_OPS, NULL, 0},
	{REFERENCE_OPS, NULL, 250},
	{REFERENCE_OPS, NULL, 512},
	{NULL, NULL, 0},
	{NULL, NULL, 32},
	{NULL, NULL, 250},
	{NULL, NULL, 512},
	{NULL, "cache=0", 250},
	{NULL, "cache=8", 250},
	{NULL, "cache=8", 512},
	{NULL, "cache=512", 8},
	{NULL, "guard=1", 250},
	{NULL, "rounds=14,cache=0", 512},
};

static void
set_pool(struct rte_mempool *mp, void *arg, void *object, unsigned int index)
{
	RTE_SET_USED(arg);
	RTE_SET_USED(index);
	((struct rte_mbuf *)object)->pool = mp;
}

static struct rte_mempool *
make(unsigned int which)
{
	const char *ops = pools[which].ops != NULL ? pools[which].ops : harness_ops();
	bool ours = strcmp(ops, "magazine") == 0;
	struct rte_mempool *mp =
		pool_make(POOL_SPEC(COUNT, 256, pools[which].cache_size,
				    .config = ours ? pools[which].config : NULL, .ops = ops));

	rte_mempool_obj_iter(mp, set_pool, NULL);
	say("%s, mempool cache %u, %s", ops, pools[which].cache_size,
	    ours && pools[which].config != NULL ? pools[which].config : "no options");
	return mp;
}

/* Steals that were given up, because an owner was stopped in its slot. */
static uint64_t
denied(const struct rte_mempool *mp)
{
	struct mag_cache_stats stats = {0};
	struct mag_cache *cache = rte_mempool_magazine_cache(mp);

	if (cache != NULL)
		mag_cache_stats_get(cache, &stats);
	return stats.steal_denied;
}

static void
assert_as_promised(const struct rte_mempool *mp, const struct vector_stats *stats)
{
	assert_int_equal(stats->strays, 0);
	if (stats->refused_wrongly > denied(mp))
		fail_msg("%" PRIu64 " refills were refused with enough in the pool, %" PRIu64
			 " steals given up",
			 stats->refused_wrongly, denied(mp));
}

static void
assert_all_back(struct rte_mempool *mp)
{
	assert_int_equal(rte_mempool_avail_count(mp), COUNT);
	rte_mempool_free(mp);
}

/* A port without a packet to send: receives until two polls found nothing. */
static unsigned int
receive_all(struct vector_rxq *queue, struct rte_mbuf **held)
{
	unsigned int n = 0, got, empty = 0;

	while (empty < 2) {
		got = vector_receive(queue, held + n, BURST);
		empty = got == 0 ? empty + 1 : 0;
		n += got;
	}
	return n;
}

TEST(a_port_gets_what_lcores_hold_at_its_second_try)
{
	static struct rte_mbuf *held[COUNT + BURST];
	unsigned int n, left;

	for (unsigned int which = 0; which < RTE_DIM(pools); which++) {
		struct rte_mempool *mp = make(which);
		struct vector_rxq rx = {.mp = mp};
		struct vector_txq tx = {0};

		run_on_workers(pool_fill_magazines, mp);
		n = receive_all(&rx, held);
		left = pool_ops_count(mp);
		assert_true(left < VECTOR_REFILL + 512);
		assert_int_equal(n + rte_mempool_avail_count(mp), COUNT);
		for (unsigned int sent = 0; sent < n; sent += BURST)
			vector_transmit(&tx, held + sent, RTE_MIN(n - sent, BURST));
		vector_receive_stop(&rx);
		vector_transmit_stop(&tx);
		assert_as_promised(mp, &rx.stats);
		assert_as_promised(mp, &tx.stats);
		assert_all_back(mp);
	}
}

/* Two ports and what lies between: receive on one lcore, transmit on the same or another. */
struct port {
	struct vector_rxq rx;
	struct vector_txq tx;
	struct rte_ring *between;
	unsigned int bursts; /* to receive */
	bool receives, transmits;
	_Atomic bool *received_all;
};

static void
run_port(struct port *port)
{
	struct rte_mbuf *mbufs[BURST];
	unsigned int n;

	if (port->receives && port->bursts > 0) {
		n = vector_receive(&port->rx, mbufs,
				   RTE_MIN(BURST, rte_ring_free_count(port->between)));
		rte_ring_enqueue_bulk(port->between, (void **)mbufs, n, NULL);
		if (--port->bursts == 0)
			*port->received_all = true;
	}
	if (port->transmits) {
		n = rte_ring_dequeue_burst(port->between, (void **)mbufs, BURST, NULL);
		vector_transmit(&port->tx, mbufs, n);
	}
}

static int
forward(void *arg)
{
	struct port *port = arg;
	bool last;

	do {
		last = *port->received_all;
		run_port(port);
	} while (!last || (port->transmits && rte_ring_count(port->between) > 0));
	vector_receive_stop(&port->rx);
	vector_transmit_stop(&port->tx);
	return 0;
}

/* Rings may spin for an hour over the long form where lcores are more than CPUs. */
static unsigned int
bursts(const struct rte_mempool *mp)
{
	bool ring = strcmp(rte_mempool_get_ops(mp->ops_index)->name, REFERENCE_OPS) == 0;

	return run_is_full() && !ring ? 200000 : 5000;
}

/* Lcores in pairs: each for itself, or one that receives and one that transmits. */
static void
run_ports(struct rte_mempool *mp, bool pipeline)
{
	static struct port ports[LCORES - 1];
	static _Atomic bool received_all[LCORES - 1];
	struct rte_ring *rings[LCORES - 1];
	unsigned int lcore, i, of;
	char name[16];

	for (i = 0; i < LCORES - 1; i++) {
		snprintf(name, sizeof(name), "between-%u", i);
		rings[i] = rte_ring_create(name, 256, SOCKET_ID_ANY, 0);
		assert_non_null(rings[i]);
		received_all[i] = false;
	}
	for (i = 0; i < LCORES - 1; i++) {
		of = pipeline ? i / 2 : i;
		ports[i] = (struct port){.rx.mp = mp,
					 .between = rings[of],
					 .bursts = bursts(mp),
					 .receives = !pipeline || i % 2 == 0,
					 .transmits = !pipeline || i % 2 == 1,
					 .received_all = &received_all[of]};
	}
	i = 0;
	RTE_LCORE_FOREACH_WORKER(lcore)
		assert_int_equal(rte_eal_remote_launch(forward, &ports[i++], lcore), 0);
	rte_eal_mp_wait_lcore();
	for (i = 0; i < LCORES - 1; i++) {
		assert_true(!ports[i].receives || ports[i].rx.stats.packets > 0);
		assert_as_promised(mp, &ports[i].rx.stats);
		assert_as_promised(mp, &ports[i].tx.stats);
		rte_ring_free(rings[i]);
	}
}

TEST(ports_forward_and_every_mbuf_is_back)
{
	for (unsigned int which = 0; which < RTE_DIM(pools); which++) {
		struct rte_mempool *mp = make(which);

		run_ports(mp, false);
		run_ports(mp, true);
		assert_all_back(mp);
	}
}

int
main(int argc, char **argv)
{
	return HARNESS_RUN(argc, argv, LCORES);
}
