/* SPDX-License-Identifier: BSD-3-Clause */

#include <assert.h>
#include <errno.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <rte_common.h>
#include <rte_debug.h>
#include <rte_errno.h>
#include <rte_hash.h>
#include <rte_malloc.h>
#include <rte_ring.h>

#include <mag_cache.h>
#include <mag_maint.h>
#include <mag_mirror.h>
#include <mag_region.h>

#include "flow_table.h"

/* Expired flows that may wait for the collector. */
#define RING_SIZE 4096
/* rte_hash makes none with fewer. */
#define HASH_LEAST 8
/*
 * Free segments for flows to come: what maintenance fills up again, and what stays when all is
 * over.
 */
#define RESERVE 1

static_assert(sizeof(struct flow) == 64, "a flow is a cache line");
static_assert(sizeof(struct flow_account) <= 56, "so is a mirror, with its way back");

TAILQ_HEAD(flow_list, flow);

struct flow_table {
	/* These do not change. */
	struct mag_region *region;
	struct mag_cache *cache;
	const struct mag_mirror *mirror;
	struct rte_hash *hash;
	struct rte_ring *expired; /* from owner to collector */
	uint64_t idle;
	uint32_t max;

	/* The owner's. */
	alignas(RTE_CACHE_LINE_SIZE) struct flow_list by_use; /* least recently used first */
	struct {
		_Atomic uint64_t counted, other, untracked, created, expired;
	} counts;

	/* Anybody's. */
	alignas(RTE_CACHE_LINE_SIZE) _Atomic bool starved; /* the owner lacks an object */
	_Atomic uint64_t constructed;
};

/*
 * One thread writes, others read now and then. release: who reads this sees what was counted before
 */
static void
count(_Atomic uint64_t *counter)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
			      memory_order_release);
}

static uint64_t
counted(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_acquire);
}

/*
 * Once when an object leaves its slab, not for each flow: it then goes from flow to flow by way of
 * the magazines. So the state that it is made in here is the one in which it has to be freed:
 * accounts are zero.
 */
static int
flow_construct(const struct mag_object_info *object, const struct mag_object_info *mirror,
	       void *arg, unsigned int flags)
{
	struct flow_table *table = arg;

	RTE_SET_USED(flags);
	memset(object->address, 0, object->size);
	memset(mirror->address, 0, mirror->size);
	atomic_fetch_add_explicit(&table->constructed, 1, memory_order_relaxed);
	return 0;
}

/* Where it shows when one was not freed in that state. */
static void
flow_destruct(void *object, void *arg)
{
	struct flow_table *table = arg;
	const struct flow_account *account = flow_table_account(table, object);

	RTE_VERIFY(account->packets[0] + account->packets[1] == 0);
	atomic_fetch_sub_explicit(&table->constructed, 1, memory_order_relaxed);
}

static int
cache_make(struct flow_table *table, int node)
{
	struct mag_region_params from = MAG_REGION_PARAMS_INIT;
	struct mag_cache_params params = MAG_CACHE_PARAMS_INIT;

	from.name = "flows";
	from.object_size = sizeof(struct flow);
	from.align = RTE_CACHE_LINE_SIZE;
	from.mirror = sizeof(struct flow_account);
	from.objects = table->max;
	from.reserve = RESERVE;
	from.node = node;
	params.name = "flows";
	params.object_size = sizeof(struct flow);
	params.align = RTE_CACHE_LINE_SIZE;
	params.constructor = flow_construct;
	params.destructor = flow_destruct;
	params.arg = table;
	params.flags = MAG_CACHE_DYNAMIC;
	table->region = mag_region_create(&from);
	if (table->region == NULL)
		return -1;
	table->mirror = mag_region_mirror(table->region);
	params.region = table->region;
	table->cache = mag_cache_create(&params);
	return table->cache != NULL ? 0 : -1;
}

static int
parts_make(struct flow_table *table, int node)
{
	struct rte_hash_parameters params = {
		.name = "flows",
		.entries = RTE_MAX(table->max, (uint32_t)HASH_LEAST),
		.key_len = sizeof(struct flow_key),
		.socket_id = node,
		/* Else a few could find no place before it is full. */
		.extra_flag = RTE_HASH_EXTRA_FLAGS_EXT_TABLE,
	};

	table->hash = rte_hash_create(&params);
	if (table->hash == NULL)
		return -1;
	table->expired = rte_ring_create("expired", RING_SIZE, node, RING_F_SP_ENQ | RING_F_SC_DEQ);
	if (table->expired == NULL)
		return -1;
	return cache_make(table, node);
}

struct flow_table *
flow_table_create(uint32_t max, uint64_t idle, int node)
{
	struct flow_table *table = rte_zmalloc_socket("flows", sizeof(*table), 0, node);

	if (table != NULL) {
		table->max = max;
		table->idle = idle;
		TAILQ_INIT(&table->by_use);
		if (parts_make(table, node) == 0)
			return table;
	}
	fprintf(stderr,
		"flowcache: not enough memory for a table of %u flows: give fewer with --flows, or "
		"EAL more memory (hugepages, or -m with --no-huge)\n",
		max);
	if (table != NULL)
		flow_table_destroy(table);
	return NULL;
}

int
flow_table_destroy(struct flow_table *table)
{
	int ret = 0;

	if (table->cache != NULL)
		ret = mag_cache_destroy(table->cache);
	if (ret == 0 && table->region != NULL)
		ret = mag_region_destroy(table->region);
	if (ret != 0)
		return ret;
	rte_ring_free(table->expired);
	rte_hash_free(table->hash);
	rte_free(table);
	return 0;
}

struct flow_account *
flow_table_account(const struct flow_table *table, const struct flow *flow)
{
	return mag_mirror_of(table->mirror, flow);
}

/* 0; -ENOSPC: as many as there may be; -EAGAIN: no object. */
static int
flow_begin(struct flow_table *table, const struct flow_key *key, uint32_t end, uint64_t now,
	   struct flow **made)
{
	struct flow_account *account;
	struct flow *flow;

	if (rte_hash_count(table->hash) >= (int32_t)table->max)
		return -ENOSPC;
	flow = mag_cache_alloc(table->cache);
	if (flow == NULL)
		return -EAGAIN;
	if (rte_hash_add_key_data(table->hash, key, flow) != 0) {
		mag_cache_free(table->cache, flow);
		return -ENOSPC;
	}
	flow->key = *key;
	account = flow_table_account(table, flow);
	account->begin = now;
	account->first = end;
	TAILQ_INSERT_TAIL(&table->by_use, flow, link);
	count(&table->counts.created);
	*made = flow;
	return 0;
}

static void
flow_packet(struct flow_table *table, struct flow *flow, uint32_t end, uint32_t bytes, uint64_t now)
{
	struct flow_account *account = flow_table_account(table, flow);

	account->packets[end]++;
	account->bytes[end] += bytes;
	flow->last = now;
	TAILQ_REMOVE(&table->by_use, flow, link);
	TAILQ_INSERT_TAIL(&table->by_use, flow, link);
	count(&table->counts.counted);
}

int
flow_table_packet(struct flow_table *table, const struct rte_mbuf *packet, uint64_t now)
{
	struct flow *flow = NULL;
	struct flow_key key;
	int ret = 0, end = flow_key_of(packet, &key);

	if (end < 0) {
		count(&table->counts.other);
		return 0;
	}
	if (rte_hash_lookup_data(table->hash, &key, (void **)&flow) < 0)
		ret = flow_begin(table, &key, (uint32_t)end, now, &flow);
	if (ret == 0)
		flow_packet(table, flow, (uint32_t)end, rte_pktmbuf_pkt_len(packet), now);
	else if (ret == -ENOSPC)
		count(&table->counts.untracked);
	else
		atomic_store_explicit(&table->starved, true, memory_order_relaxed);
	return ret == -EAGAIN ? -EAGAIN : 0;
}

bool
flow_table_expire(struct flow_table *table, uint64_t now, bool all)
{
	struct flow *flow;

	while ((flow = TAILQ_FIRST(&table->by_use)) != NULL) {
		if (!all && now - flow->last < table->idle)
			return true;
		if (rte_ring_full(table->expired))
			return false;
		TAILQ_REMOVE(&table->by_use, flow, link);
		rte_hash_del_key(table->hash, &flow->key);
		count(&table->counts.expired);
		/* It is the collector's from here on. */
		rte_ring_enqueue(table->expired, flow);
	}
	return true;
}

unsigned int
flow_table_collect(struct flow_table *table, struct flow **flows, unsigned int n)
{
	return rte_ring_dequeue_burst(table->expired, (void **)flows, n, NULL);
}

void
flow_table_free(struct flow_table *table, struct flow **flows, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		memset(flow_table_account(table, flows[i]), 0, sizeof(struct flow_account));
	mag_cache_free_bulk(table->cache, (void **)flows, n);
}

/*
 * Maintenance notices within 10 ms that the region has less than its reserve. This is for a load
 * that takes the reserve faster.
 */
int
flow_table_feed(struct flow_table *table)
{
	unsigned int had;
	int ret;

	if (!atomic_load_explicit(&table->starved, memory_order_relaxed))
		return 0;
	ret = mag_region_grow(table->region, RESERVE, &had);
	atomic_store_explicit(&table->starved, false, memory_order_relaxed);
	return had > 0 || ret == -ENOSPC ? 0 : -ENOMEM;
}

/*
 * The library does this too, but only on a service lcore, and what it gives back was not needed for
 * 13 seconds. Here it is done at once, for a run of a few seconds to show it. Objects in magazines
 * are constructed, and so their segments in use: these come first.
 */
int
flow_table_give_back(struct flow_table *table, bool idle)
{
	int ret = mag_cache_reap_now(table->cache, idle);

	mag_region_trim(table->region, RESERVE, NULL);
	return ret;
}

uint64_t
flow_table_memory(const struct flow_table *table)
{
	struct mag_region_stats stats;

	mag_region_stats_get(table->region, &stats);
	return stats.memory + stats.mirrors;
}

void
flow_table_counts(const struct flow_table *table, struct flow_counts *counts)
{
	/* A flow that has expired was created before: in this order there are never fewer. */
	counts->expired = counted(&table->counts.expired);
	counts->created = counted(&table->counts.created);
	counts->counted = counted(&table->counts.counted);
	counts->other = counted(&table->counts.other);
	counts->untracked = counted(&table->counts.untracked);
	counts->packets = counts->counted + counts->other + counts->untracked;
	counts->constructed = counted(&table->constructed);
}
