/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * For LD_PRELOAD: port 0 keeps one received mbuf in N, and never gives it back. Telemetry has
 * /leak/every,N (0, as at the start: none), which answers how many were kept, and on which lcore.
 */

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include <rte_common.h>
#include <rte_debug.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_telemetry.h>

/* A leak does not empty the pool. */
#define MOST 1024

static _Atomic uint32_t every, kept, lcore;

static bool
is_leaked(void)
{
	static uint32_t count; /* of the one lcore that receives from the port */
	uint32_t n = every;

	if (n == 0 || kept == MOST || ++count < n)
		return false;
	count = 0;
	lcore = rte_lcore_id();
	kept++;
	return true;
}

static uint16_t
leak(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t n, uint16_t most,
     void *argument)
{
	uint16_t i, left = 0;

	RTE_SET_USED(port);
	RTE_SET_USED(queue);
	RTE_SET_USED(most);
	RTE_SET_USED(argument);
	for (i = 0; i < n; i++)
		if (!is_leaked())
			mbufs[left++] = mbufs[i];
	return left;
}

static int
answer(const char *command, const char *parameters, struct rte_tel_data *data)
{
	RTE_SET_USED(command);
	if (parameters != NULL)
		every = (uint32_t)strtoul(parameters, NULL, 10);
	rte_tel_data_start_dict(data);
	rte_tel_data_add_dict_int(data, "kept", (int)kept);
	rte_tel_data_add_dict_int(data, "lcore", (int)lcore);
	return 0;
}

RTE_INIT(leaking_ports_load)
{
	rte_telemetry_register_cmd("/leak/every", answer, "Keeps one mbuf in N");
}

int
rte_eth_dev_start(uint16_t port)
{
	__typeof__(&rte_eth_dev_start) of_dpdk = dlsym(RTLD_NEXT, __func__);

	RTE_VERIFY(of_dpdk != NULL);
	if (port == 0)
		RTE_VERIFY(rte_eth_add_rx_callback(port, 0, leak, NULL) != NULL);
	return of_dpdk(port);
}
