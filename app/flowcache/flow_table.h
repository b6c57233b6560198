/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FLOW_TABLE_H
#define FLOW_TABLE_H

/**
 * @file
 * Flows: objects of an elastic cache, each with a mirror.
 *
 * One lcore, the *owner*, has the table: it looks flows up, makes them and lets them expire.
 * Expired flows go through a ring to another lcore, the *collector*, which does what must not keep
 * packets waiting: it reads them, frees them, and takes memory from the system and gives it back.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <rte_mbuf.h>

#include "flow_key.h"

/** What looking up and expiring touch: one cache line. */
struct flow {
	TAILQ_ENTRY(flow) link; /**< by last use */
	uint64_t last;          /**< TSC of the last packet */
	struct flow_key key;
};

/**
 * The account of a flow, in its mirror: what is only added to until the flow has ended. A walk over
 * many flows does not load it. Arrays are by the ends of the key.
 */
struct flow_account {
	uint64_t packets[2];
	uint64_t bytes[2];
	uint64_t begin; /**< TSC of the first packet */
	uint32_t first; /**< the end that began */
};

/** Written by the owner, but for the last; read by anybody. */
struct flow_counts {
	uint64_t packets;     /**< received; the sum of the next three */
	uint64_t counted;     /**< in the account of a flow */
	uint64_t other;       /**< no TCP or UDP */
	uint64_t untracked;   /**< of flows beyond the limit */
	uint64_t created;     /**< flows */
	uint64_t expired;     /**< flows; created - expired are in the table */
	uint64_t constructed; /**< objects, in flows or in magazines, now */
};

struct flow_table;

/**
 * Make a table.
 *
 * @param max
 *   Flows at a time.
 * @param idle
 *   TSC ticks after which a flow expires.
 * @param node
 *   NUMA node of the memory, -1 = any.
 * @return
 *   The table; NULL: a line on stderr has said why.
 */
struct flow_table *flow_table_create(uint32_t max, uint64_t idle, int node);

/**
 * Destroy a table that is empty and whose flows were all freed.
 *
 * @return
 *   0, or -EBUSY: objects are out.
 */
int flow_table_destroy(struct flow_table *table);

/**
 * Owner: count a packet. Never waits.
 *
 * @return
 *   0, or -EAGAIN: it begins a flow and there is no object for it yet. Come again with the same
 *   packet.
 */
int flow_table_packet(struct flow_table *table, const struct rte_mbuf *packet, uint64_t now);

/**
 * Owner: let flows expire, those that were idle for long enough, or all.
 *
 * @return
 *   Whether all of them did; the collector may have to make room first.
 */
bool flow_table_expire(struct flow_table *table, uint64_t now, bool all);

/** Collector: take up to n flows that have expired. */
unsigned int flow_table_collect(struct flow_table *table, struct flow **flows, unsigned int n);

/** The account of a flow. */
struct flow_account *flow_table_account(const struct flow_table *table, const struct flow *flow);

/** Collector: free flows. */
void flow_table_free(struct flow_table *table, struct flow **flows, unsigned int n);

/** Collector: take memory from the system if the owner waits for it: 0, or -ENOMEM. */
int flow_table_feed(struct flow_table *table);

/**
 * Collector: give memory that no flow needs back to the system.
 *
 * @param idle
 *   There are no flows: the owner's magazines are emptied too.
 * @return
 *   0; -EBUSY, -EAGAIN: the magazines are in use just now, come again.
 */
int flow_table_give_back(struct flow_table *table, bool idle);

/** Bytes of flows and accounts, and what is kept free for them. */
uint64_t flow_table_memory(const struct flow_table *table);

/** What was counted. */
void flow_table_counts(const struct flow_table *table, struct flow_counts *counts);

#endif /* FLOW_TABLE_H */
