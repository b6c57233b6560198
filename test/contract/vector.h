/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef CONTRACT_VECTOR_H
#define CONTRACT_VECTOR_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>
#include <rte_mempool.h>

/**
 * @file
 * Queues that use rte_mempool's caches as vector drivers of network devices do (i40e, ice, iavf and
 * idpf of 22.11): receive fills the cache of its lcore by the dequeue op, behind what the cache
 * has, and asks for nothing smaller when that is refused; transmit writes mbufs into the cache and
 * flushes what is above its size. A queue belongs to one lcore at a time.
 */

/** Descriptors that are refilled at once, and mbufs that are freed at once. */
#define VECTOR_REFILL 64
#define VECTOR_FREE 32
/** Descriptors of a queue. */
#define VECTOR_RING 512

struct vector_stats {
	uint64_t packets;
	uint64_t refused; /**< refills, each of VECTOR_REFILL descriptors */
	/** Those though the pool had enough before and after: the second of two, and any where the
	 * mempool cache is off. */
	uint64_t refused_wrongly;
	/** Refills that wrote beside what was asked for, and caches that would overflow. */
	uint64_t strays;
};

struct vector_rxq {
	struct rte_mempool *mp;
	struct rte_mbuf *ring[VECTOR_RING];
	unsigned int first, filled; /* descriptors that have an mbuf */
	bool was_refused;
	struct vector_stats stats;
};

struct vector_txq {
	struct rte_mbuf *ring[VECTOR_RING];
	unsigned int first, filled;
	struct vector_stats stats;
};

/** Up to @p n mbufs out of descriptors, after empty ones were refilled. */
uint16_t vector_receive(struct vector_rxq *queue, struct rte_mbuf **mbufs, uint16_t n);

/** Take @p n mbufs, of one pool each VECTOR_FREE, with one owner and one segment each. */
uint16_t vector_transmit(struct vector_txq *queue, struct rte_mbuf **mbufs, uint16_t n);

/** Free what is in descriptors, as the stop of a port does. */
void vector_receive_stop(struct vector_rxq *queue);
void vector_transmit_stop(struct vector_txq *queue);

#endif /* CONTRACT_VECTOR_H */
