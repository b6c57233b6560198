/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * For LD_PRELOAD: ports take jumbo frames. The tap port of DPDK 22.11 says that it takes 1,522
 * bytes, that of later versions what is said here. The kernel's interface takes them in both.
 */

#include <dlfcn.h>
#include <stdint.h>

#include <rte_common.h>
#include <rte_debug.h>
#include <rte_ethdev.h>
#include <rte_ether.h>

int
rte_eth_dev_info_get(uint16_t port, struct rte_eth_dev_info *info)
{
	__typeof__(&rte_eth_dev_info_get) of_dpdk = dlsym(RTLD_NEXT, __func__);
	int ret;

	RTE_VERIFY(of_dpdk != NULL);
	ret = of_dpdk(port, info);
	if (ret == 0)
		info->max_rx_pktlen =
			RTE_MAX(info->max_rx_pktlen, (uint32_t)RTE_ETHER_MAX_JUMBO_FRAME_LEN);
	return ret;
}
