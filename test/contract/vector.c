/* SPDX-License-Identifier: BSD-3-Clause */
#include "vector.h"

#include <string.h>

#include <rte_common.h>
#include <rte_lcore.h>

/* In the places of a cache that have no object: what a refill writes beside its request shows. */
#define NO_OBJECT ((void *)(uintptr_t)0x5a5a5a5a)

static unsigned int
in_backend(const struct rte_mempool *mp)
{
	return rte_mempool_get_ops(mp->ops_index)->get_count(mp);
}

static void
paint(struct rte_mempool_cache *cache)
{
	for (unsigned int i = cache->len; i < RTE_DIM(cache->objs); i++)
		cache->objs[i] = NO_OBJECT;
}

/* Is all behind @p len as it was painted, and in front of it nothing? */
static bool
is_painted(const struct rte_mempool_cache *cache, unsigned int from, unsigned int len)
{
	for (unsigned int i = from; i < RTE_DIM(cache->objs); i++)
		if ((cache->objs[i] == NO_OBJECT) != (i >= len))
			return false;
	return true;
}

/* The request of the vector drivers: to the cache's size, and what the descriptors take. */
static bool
fill_cache(struct vector_rxq *queue, struct rte_mempool_cache *cache)
{
	const struct rte_mempool_cache before = {.size = cache->size, .len = cache->len};
	unsigned int n = VECTOR_REFILL + (cache->size - cache->len);
	bool enough = in_backend(queue->mp) >= n;

	if (cache->len + n > RTE_DIM(cache->objs)) {
		queue->stats.strays++;
		return false;
	}
	paint(cache);
	if (rte_mempool_ops_dequeue_bulk(queue->mp, &cache->objs[cache->len], n) == 0) {
		cache->len += n;
		queue->was_refused = false;
	} else {
		queue->stats.refused++;
		enough = enough && in_backend(queue->mp) >= n;
		queue->stats.refused_wrongly += enough && (queue->was_refused || cache->size == 0);
		queue->was_refused = true;
	}
	if (!is_painted(cache, before.len, cache->len) || cache->size != before.size)
		queue->stats.strays++;
	return !queue->was_refused;
}

static bool
take(struct vector_rxq *queue, void **mbufs)
{
	struct rte_mempool_cache *cache = rte_mempool_default_cache(queue->mp, rte_lcore_id());

	if (cache == NULL)
		return rte_mempool_get_bulk(queue->mp, mbufs, VECTOR_REFILL) == 0;
	if (cache->len < VECTOR_REFILL && !fill_cache(queue, cache))
		return false;
	for (unsigned int i = 0; i < VECTOR_REFILL; i++)
		mbufs[i] = cache->objs[--cache->len];
	return true;
}

static void
refill(struct vector_rxq *queue)
{
	void *mbufs[VECTOR_REFILL];

	if (queue->filled + VECTOR_REFILL > VECTOR_RING || !take(queue, mbufs))
		return;
	for (unsigned int i = 0; i < VECTOR_REFILL; i++)
		queue->ring[(queue->first + queue->filled++) % VECTOR_RING] = mbufs[i];
}

uint16_t
vector_receive(struct vector_rxq *queue, struct rte_mbuf **mbufs, uint16_t n)
{
	uint16_t i;

	refill(queue);
	for (i = 0; i < n && queue->filled > 0; i++, queue->filled--) {
		mbufs[i] = queue->ring[queue->first];
		queue->first = (queue->first + 1) % VECTOR_RING;
	}
	queue->stats.packets += i;
	return i;
}

/* Mbufs of one pool, with one owner and one segment each: the offload "fast free". */
static void
free_fast(struct vector_txq *queue, void **mbufs)
{
	struct rte_mempool *mp = ((struct rte_mbuf *)mbufs[0])->pool;
	struct rte_mempool_cache *cache = rte_mempool_default_cache(mp, rte_lcore_id());

	if (cache != NULL && cache->len + VECTOR_FREE > RTE_DIM(cache->objs))
		queue->stats.strays++;
	if (cache == NULL || cache->len == 0 || cache->len + VECTOR_FREE > RTE_DIM(cache->objs)) {
		rte_mempool_put_bulk(mp, mbufs, VECTOR_FREE);
		return;
	}
	memcpy(&cache->objs[cache->len], mbufs, VECTOR_FREE * sizeof(mbufs[0]));
	cache->len += VECTOR_FREE;
	if (cache->len >= cache->flushthresh) {
		rte_mempool_ops_enqueue_bulk(mp, &cache->objs[cache->size],
					     cache->len - cache->size);
		cache->len = cache->size;
	}
}

uint16_t
vector_transmit(struct vector_txq *queue, struct rte_mbuf **mbufs, uint16_t n)
{
	void *done[VECTOR_FREE];
	uint16_t sent;

	for (sent = 0; sent < n; sent++) {
		if (queue->filled == VECTOR_RING) {
			for (unsigned int i = 0; i < VECTOR_FREE; i++)
				done[i] = queue->ring[(queue->first + i) % VECTOR_RING];
			queue->first = (queue->first + VECTOR_FREE) % VECTOR_RING;
			queue->filled -= VECTOR_FREE;
			free_fast(queue, done);
		}
		queue->ring[(queue->first + queue->filled++) % VECTOR_RING] = mbufs[sent];
	}
	queue->stats.packets += sent;
	return sent;
}

static void
stop(struct rte_mbuf **ring, unsigned int *first, unsigned int *filled)
{
	for (; *filled > 0; (*filled)--, (*first)++)
		rte_mempool_put(ring[*first % VECTOR_RING]->pool, ring[*first % VECTOR_RING]);
	*first = 0;
}

void
vector_receive_stop(struct vector_rxq *queue)
{
	stop(queue->ring, &queue->first, &queue->filled);
}

void
vector_transmit_stop(struct vector_txq *queue)
{
	stop(queue->ring, &queue->first, &queue->filled);
}
