/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * For LD_PRELOAD: all ports of the program receive packets without end and transmit them nowhere,
 * by queues that use rte_mempool's caches as vector drivers of network devices do. The headers of
 * drivers are not installed with DPDK, so the ports are those of another driver, net_null for
 * example, with other burst functions.
 *
 * In the statistics of a port, rx_nombuf is as such drivers count it; oerrors are those refusals
 * that should not be, and writes beside the table.
 */

#include <dlfcn.h>

#include <rte_common.h>
#include <rte_debug.h>
#include <rte_ethdev.h>

#include "../contract/vector.h"

#define PORTS 4
#define QUEUES 4
#define PACKET 64

static struct port {
	struct vector_rxq rx[QUEUES];
	struct vector_txq tx[QUEUES];
	void *rx_data[RTE_MAX_QUEUES_PER_PORT], *tx_data[RTE_MAX_QUEUES_PER_PORT];
} ports[PORTS];

/* The function of that name that the program would have without us. */
static void *
of_dpdk(const char *name)
{
	void *function = dlsym(RTLD_NEXT, name);

	RTE_VERIFY(function != NULL);
	return function;
}

static uint16_t
receive(void *queue, struct rte_mbuf **mbufs, uint16_t n)
{
	uint16_t i;

	n = vector_receive(queue, mbufs, n);
	for (i = 0; i < n; i++) {
		rte_pktmbuf_reset(mbufs[i]);
		mbufs[i]->data_len = PACKET;
		mbufs[i]->pkt_len = PACKET;
	}
	return n;
}

static uint16_t
transmit(void *queue, struct rte_mbuf **mbufs, uint16_t n)
{
	return vector_transmit(queue, mbufs, n);
}

int
rte_eth_rx_queue_setup(uint16_t port, uint16_t queue, uint16_t descriptors, unsigned int socket,
		       const struct rte_eth_rxconf *conf, struct rte_mempool *mp)
{
	RTE_VERIFY(port < PORTS && queue < QUEUES);
	ports[port].rx[queue].mp = mp;
	return ((__typeof__(&rte_eth_rx_queue_setup))of_dpdk(__func__))(port, queue, descriptors,
									socket, conf, mp);
}

int
rte_eth_dev_start(uint16_t port)
{
	int ret = ((__typeof__(&rte_eth_dev_start))of_dpdk(__func__))(port);
	unsigned int i;

	if (ret != 0)
		return ret;
	for (i = 0; i < QUEUES; i++) {
		ports[port].rx_data[i] = &ports[port].rx[i];
		ports[port].tx_data[i] = &ports[port].tx[i];
	}
	rte_eth_fp_ops[port].rxq.data = ports[port].rx_data;
	rte_eth_fp_ops[port].txq.data = ports[port].tx_data;
	rte_eth_fp_ops[port].rx_pkt_burst = receive;
	rte_eth_fp_ops[port].tx_pkt_burst = transmit;
	return 0;
}

int
rte_eth_dev_stop(uint16_t port)
{
	int ret = ((__typeof__(&rte_eth_dev_stop))of_dpdk(__func__))(port);
	unsigned int i;

	for (i = 0; i < QUEUES; i++) {
		vector_receive_stop(&ports[port].rx[i]);
		vector_transmit_stop(&ports[port].tx[i]);
	}
	return ret;
}

int
rte_eth_stats_get(uint16_t port, struct rte_eth_stats *stats)
{
	int ret = ((__typeof__(&rte_eth_stats_get))of_dpdk(__func__))(port, stats);
	unsigned int i;

	for (i = 0; ret == 0 && i < QUEUES; i++) {
		const struct vector_stats *rx = &ports[port].rx[i].stats;
		const struct vector_stats *tx = &ports[port].tx[i].stats;

		stats->ipackets += rx->packets;
		stats->opackets += tx->packets;
		stats->rx_nombuf += rx->refused * VECTOR_REFILL;
		stats->oerrors += rx->refused_wrongly + rx->strays + tx->strays;
	}
	return ret;
}
