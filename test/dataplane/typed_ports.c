/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * For LD_PRELOAD: ports say of what type a packet is, without which there is no GRO. Ports of files
 * do not know it.
 */

#include <dlfcn.h>
#include <stdint.h>

#include <rte_common.h>
#include <rte_debug.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_net.h>

static uint16_t
add_types(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t n, uint16_t most,
	  void *argument)
{
	uint16_t i;

	RTE_SET_USED(port);
	RTE_SET_USED(queue);
	RTE_SET_USED(most);
	RTE_SET_USED(argument);
	for (i = 0; i < n; i++)
		mbufs[i]->packet_type = rte_net_get_ptype(mbufs[i], NULL, RTE_PTYPE_ALL_MASK);
	return n;
}

int
rte_eth_dev_start(uint16_t port)
{
	__typeof__(&rte_eth_dev_start) of_dpdk = dlsym(RTLD_NEXT, __func__);

	RTE_VERIFY(of_dpdk != NULL);
	RTE_VERIFY(rte_eth_add_rx_callback(port, 0, add_types, NULL) != NULL);
	return of_dpdk(port);
}
