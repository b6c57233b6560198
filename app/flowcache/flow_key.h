/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FLOW_KEY_H
#define FLOW_KEY_H

/**
 * @file
 * What makes a packet one of a flow: its 5-tuple, the same for both directions.
 */

#include <stdint.h>

#include <rte_mbuf.h>

/** The two ends in the order of their bytes, whoever sends. No padding: it is hashed as it lies. */
struct flow_key {
	uint8_t address[2][16]; /**< IPv4: the first 4 bytes, others 0 */
	uint16_t port[2];       /**< network order */
	uint8_t protocol;       /**< IPPROTO_TCP or IPPROTO_UDP */
	uint8_t version;        /**< 4 or 6 */
	uint16_t zero;
};

/**
 * The key of a packet.
 *
 * @return
 *   The end that sent it, 0 or 1; -1: no TCP or UDP over IP, a fragment, or cut off before its
 *   ports.
 */
int flow_key_of(const struct rte_mbuf *packet, struct flow_key *key);

/** Longest text of a key, with its terminating zero. */
#define FLOW_KEY_TEXT 128

/** "tcp,ADDRESS,PORT,ADDRESS,PORT", the given end first. */
void flow_key_text(const struct flow_key *key, uint32_t first, char text[FLOW_KEY_TEXT]);

#endif /* FLOW_KEY_H */
