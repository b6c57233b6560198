/* SPDX-License-Identifier: BSD-3-Clause */

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include <rte_byteorder.h>
#include <rte_common.h>
#include <rte_net.h>

#include "flow_key.h"

#define LAYERS (RTE_PTYPE_L2_MASK | RTE_PTYPE_L3_MASK | RTE_PTYPE_L4_MASK)
/* Where the addresses begin in their header. */
#define IPV4_ADDRESSES 12
#define IPV6_ADDRESSES 8

static_assert(sizeof(struct flow_key) == 40, "padding would be hashed");

static int
read_addresses(const struct rte_mbuf *packet, uint32_t at, size_t size, struct flow_key *key)
{
	uint8_t copy[sizeof(key->address)];
	const uint8_t *both = rte_pktmbuf_read(packet, at, (uint32_t)(2 * size), copy);

	if (both == NULL)
		return -1;
	memcpy(key->address[0], both, size);
	memcpy(key->address[1], both + size, size);
	return 0;
}

static int
read_ports(const struct rte_mbuf *packet, uint32_t at, struct flow_key *key)
{
	uint16_t copy[2];
	const void *both = rte_pktmbuf_read(packet, at, sizeof(copy), copy);

	if (both == NULL)
		return -1;
	memcpy(key->port, both, sizeof(key->port));
	return 0;
}

/* Both directions have one key then. Returns where the end went that was the first. */
static int
sort_ends(struct flow_key *key)
{
	int order = memcmp(key->address[0], key->address[1], sizeof(key->address[0]));
	uint8_t address[sizeof(key->address[0])];

	if (order == 0)
		order = memcmp(&key->port[0], &key->port[1], sizeof(key->port[0]));
	if (order <= 0)
		return 0;
	memcpy(address, key->address[0], sizeof(address));
	memcpy(key->address[0], key->address[1], sizeof(address));
	memcpy(key->address[1], address, sizeof(address));
	RTE_SWAP(key->port[0], key->port[1]);
	return 1;
}

int
flow_key_of(const struct rte_mbuf *packet, struct flow_key *key)
{
	struct rte_net_hdr_lens lens;
	uint32_t type = rte_net_get_ptype(packet, &lens, LAYERS);
	int ret;

	memset(key, 0, sizeof(*key));
	if ((type & RTE_PTYPE_L4_MASK) == RTE_PTYPE_L4_TCP)
		key->protocol = IPPROTO_TCP;
	else if ((type & RTE_PTYPE_L4_MASK) == RTE_PTYPE_L4_UDP)
		key->protocol = IPPROTO_UDP;
	else
		return -1;
	key->version = RTE_ETH_IS_IPV4_HDR(type) ? 4 : 6;
	if (key->version == 4)
		ret = read_addresses(packet, lens.l2_len + IPV4_ADDRESSES, 4, key);
	else
		ret = read_addresses(packet, lens.l2_len + IPV6_ADDRESSES, 16, key);
	if (ret != 0 || read_ports(packet, lens.l2_len + lens.l3_len, key) != 0)
		return -1;
	return sort_ends(key);
}

void
flow_key_text(const struct flow_key *key, uint32_t first, char text[FLOW_KEY_TEXT])
{
	int family = key->version == 4 ? AF_INET : AF_INET6;
	uint32_t other = 1 - first;
	char from[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN];

	inet_ntop(family, key->address[first], from, sizeof(from));
	inet_ntop(family, key->address[other], to, sizeof(to));
	snprintf(text, FLOW_KEY_TEXT, "%s,%s,%u,%s,%u",
		 key->protocol == IPPROTO_TCP ? "tcp" : "udp", from,
		 rte_be_to_cpu_16(key->port[first]), to, rte_be_to_cpu_16(key->port[other]));
}
