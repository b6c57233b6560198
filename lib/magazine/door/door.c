/* SPDX-License-Identifier: BSD-3-Clause */
#include "door/door.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>
#include <rte_branch_prediction.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_memory.h>

#include "base/compat.h"
#include "base/counter.h"
#include "base/meta.h"
#include "base/numa.h"
#include "control/pool.h"
#include "parts/options.h"
#include "sources/adopt.h"
#include "sources/region_create.h"
#include "stores/ledger.h"
#include "stores/samples.h"
#include "stores/snapshot.h"
#include "visits/purge.h"
#include "visits/reserve.h"
#include "visits/steal.h"
#include "watch/guard.h"
#include "watch/watch.h"

#define NUMBER_NAME "MAGAZINE_NUMBER"
/* In the word: the primary process has this number, too. */
#define NUMBER_OF_PRIMARY 0x10000u

/* In shared memory: the driver's number + 1; 0: nobody has asked. */
struct number {
	_Atomic uint32_t word;
};

/* Objects may reach magazines again between gathering them and taking the blocks. */
#define GATHER_TRIES 3
/* Objects of no bytes, too, are apart by rte_mempool's headers, which are longer. */
#define APART_MIN 8

/* rte_mempool numbers external heaps like nodes; our metadata never goes there. */
static int
node_of_socket(int socket)
{
	return socket >= 0 && socket < mag_numa_nodes() ? socket : MAG_NODE_ANY;
}

/* What is beside the objects, by the options: 0, or -ENOMEM. */
static int
records_make(struct mag_region *region, const struct mag_options *options, uint32_t objects)
{
	if (options->sampled != 0) {
		region->samples =
			mag_samples_make(options->sampled, region->stride, region->object_size,
					 objects, region->part[0].node);
		if (region->samples == NULL) {
			MAG_LOG(ERR,
				"pool \"%s\": option audit=1/%u: no memory for the records: give "
				"EAL more memory, or a larger N",
				region->name, options->sampled);
			return -ENOMEM;
		}
	}
	if (options->guard == MAG_GUARD_OFF && !options->audit && !options->holders &&
	    !options->check)
		return 0;
	return mag_region_ledger_make(region, MAG_LEDGER_BYTES, objects);
}

static struct mag_region *
region_make(const struct mag_door_params *params, const struct mag_options *options)
{
	struct mag_region_params of_region = {
		.name = params->name,
		.object_size = RTE_MAX(params->object_size, (uint32_t)APART_MIN),
		.stride = params->stride,
		.block = options->block,
		.mirror = options->mirror,
		.mode = MAG_REGION_READONLY | (options->audit ? MAG_REGION_AUDIT : 0) |
			(options->check ? MAG_REGION_CHECK : 0),
		.node = node_of_socket(params->socket),
	};
	struct mag_region *region = mag_region_make(&of_region);

	if (region == NULL)
		return NULL;
	region->block = RTE_MIN(region->block, params->objects);
	if (options->check)
		mag_snapshot_layout(region, params->header, params->unused, params->trailer,
				    params->is_mbuf, params->data);
	if (records_make(region, options, params->objects) != 0) {
		mag_region_destroy(region);
		rte_errno = ENOMEM;
		return NULL;
	}
	return region;
}

static int
options_read(const struct mag_door_params *params, struct mag_options *options)
{
	const char *text = params->options != NULL ? params->options : getenv(MAG_OPTIONS_ENV);
	char who[MAG_CACHE_NAMESIZE + 16];
	int ret = mag_options_begin(options);

	snprintf(who, sizeof(who), "pool \"%s\"", params->name);
	return ret == 0 ? mag_options_parse(who, text, options) : ret;
}

_Static_assert(MAG_DOOR_REPLACE_SIZE == MAG_REPLACE_SIZE, "all names fit");

int
mag_door_replace(char names[MAG_DOOR_REPLACE_SIZE])
{
	return mag_options_replace(names);
}

struct mag_cache *
mag_door_create(const struct mag_door_params *params)
{
	struct mag_pool_params of_pool = {
		.name = params->name,
		.object_size = params->object_size,
		.objects = params->objects,
		.cache_size = params->cache_size,
		.node = node_of_socket(params->socket),
	};
	struct mag_cache *pool;
	int error;

	if (params->objects == 0) {
		MAG_LOG(ERR, "pool \"%s\": 0 objects: must have at least 1", params->name);
		rte_errno = EINVAL;
		return NULL;
	}
	rte_errno = -options_read(params, &of_pool.options);
	if (rte_errno != 0)
		return NULL;
	of_pool.region = region_make(params, &of_pool.options);
	if (of_pool.region == NULL)
		return NULL;
	pool = mag_pool_create(&of_pool);
	if (pool == NULL) {
		error = rte_errno;
		mag_region_destroy(of_pool.region);
		rte_errno = error;
	}
	return pool;
}

uint32_t
mag_door_cache_size(const struct mag_cache *pool)
{
	return pool->mempool_cache;
}

uint32_t
mag_door_flushthresh(uint32_t cache_size)
{
	return mag_compat_flushthresh(cache_size);
}

void
mag_door_free(struct mag_cache *pool)
{
	struct mag_region *region = pool->region;

	if (mag_pool_free(pool))
		mag_region_destroy(region);
}

int
mag_door_reset(struct mag_cache *pool)
{
	return MAG_STAT(pool->region->objects) > 0 ? mag_pool_reset(pool) : 0;
}

int
mag_door_node_of(const void *address)
{
	const struct rte_memseg_list *list = rte_mem_virt2memseg_list(address);
	const struct rte_memseg *segment;

	if (list == NULL || list->external)
		return mag_numa_node_of(address);
	segment = rte_mem_virt2memseg(address, list);
	return segment != NULL ? node_of_socket(segment->socket_id) : mag_numa_node_of(address);
}

int
mag_door_adopt(struct mag_cache *pool, void *const *objects, uint32_t count, int node,
	       void (*tell)(void *arg), void *arg)
{
	int ret = count > 0 ? mag_pool_home(pool, node) : 0;

	/* Not the first one: that is in everybody's way. */
	if (count > 0 && pool->region->samples != NULL)
		mag_samples_begin(pool->region->samples, objects[count / 2]);
	if (ret == 0)
		ret = mag_adopt(pool->region, objects, count, node, tell, arg);
	if (ret == 0)
		mag_reserve_fill(pool);
	return ret;
}

void
mag_door_keep_out(struct mag_cache *pool, bool out)
{
	mag_slot_keep_out(mag_slot_of_put(pool), out);
}

uint64_t
mag_door_reachable(const struct mag_cache *pool)
{
	return mag_cache_all_free(pool);
}

void
mag_door_privileged(bool privileged)
{
	mag_reserve_privileged(privileged);
}

void
mag_door_dying(struct mag_cache *pool, bool report)
{
	if (report)
		mag_watch_report(pool);
	atomic_store_explicit(&pool->dying, true, memory_order_relaxed);
}

/*
 * Where a refusal is noted: in this thread's slot, or of those that share one in that of the
 * lcore's number.
 */
static uint64_t *
refused_note(struct mag_cache *pool)
{
	struct mag_slot *slot = mag_slot_of(pool);

	if (unlikely(slot == &pool->first.slot[MAG_SLOT_SHARED]))
		slot = &pool->first.slot[RTE_MIN(rte_lcore_id(), (unsigned int)MAG_SLOT_SHARED)];
	return &slot->refused;
}

/*
 * What is noted: how many objects the slot has handed out. The fast path changes that number; all
 * other requests come to mag_door_get(), which erases the note. The shared slot has no fast path,
 * and its number is that of other threads too: there the cache is noted that was to be filled.
 */
static uint64_t
refusal_of(const void *refilled, uint64_t had)
{
	return mag_thread_slot() == MAG_SLOT_SHARED ? (uintptr_t)refilled : had + 1;
}

MAG_INLINE void
save(void *before[MAG_DOOR_REFILL_MAX], void *const *objects, unsigned int n)
{
	if (n <= MAG_DOOR_REFILL_MAX)
		memcpy(before, objects, n * sizeof(objects[0]));
}

MAG_INLINE int
get(struct mag_cache *pool, void **objects, unsigned int n, uint64_t *had, bool watched)
{
	uint64_t *note;
	int ret;

	*had = MAG_STAT(mag_slot_of(pool)->allocs);
	ret = watched ? mag_cache_take_watched(pool, objects, n) :
			mag_cache_take_unwatched(pool, objects, n);
	if (unlikely(ret != 0))
		return -ENOBUFS;
	/* The first get of a thread claims its slot: only now is it known which one it is. */
	note = refused_note(pool);
	if (unlikely(MAG_STAT(*note) != 0))
		MAG_STORE(note, 0, MAG_RELAXED);
	return 0;
}

static __rte_noinline int
get_watched(struct mag_cache *pool, void **objects, unsigned int n,
	    void *before[MAG_DOOR_REFILL_MAX], uint64_t *had)
{
	if (mag_guard_is_alone(pool) && mag_guard_get(pool, objects, n))
		return 0;
	save(before, objects, n);
	return get(pool, objects, n, had, true);
}

int
mag_door_get(struct mag_cache *pool, void **objects, unsigned int n,
	     void *before[MAG_DOOR_REFILL_MAX], uint64_t *had)
{
	if (unlikely(mag_cache_is_strange(pool))) {
		save(before, objects, n);
		return -ENOBUFS;
	}
	if (unlikely(mag_watched(pool)))
		return get_watched(pool, objects, n, before, had);
	save(before, objects, n);
	return get(pool, objects, n, had, false);
}

int
mag_door_get_hard(struct mag_cache *pool, void **objects, unsigned int n, const void *refilled,
		  uint64_t had)
{
	uint64_t *note;
	int ret = -ENOBUFS;

	if (unlikely(mag_cache_is_strange(pool)))
		return -ENOBUFS;
	note = refused_note(pool);
	/*
	 * relaxed: a note is of this thread alone, or of those who take the lock of the shared slot
	 */
	if (refilled == NULL || MAG_STAT(*note) == refusal_of(refilled, had))
		ret = mag_cache_steal_all(pool, objects, n);
	had = MAG_STAT(mag_slot_of(pool)->allocs);
	MAG_STORE(note, ret != 0 && refilled != NULL ? refusal_of(refilled, had) : 0, MAG_RELAXED);
	return ret;
}

uint32_t
mag_door_block(const struct mag_cache *pool)
{
	return pool->region->block;
}

int
mag_door_take_blocks(struct mag_cache *pool, void **first, unsigned int n)
{
	unsigned int tries;

	if (mag_cache_is_strange(pool))
		return -ENOBUFS;
	for (tries = 0; mag_pool_take_blocks(pool, first, n) != 0; tries++)
		if (tries == GATHER_TRIES ||
		    mag_cache_reachable(pool) < (uint64_t)n * pool->region->block ||
		    MAG_STAT(pool->dying) || mag_cache_gather(pool) != 0)
			return -ENOBUFS;
	return 0;
}

/* Is this memory of EAL's that is there? */
static bool
is_memory(const void *address)
{
	const struct rte_memseg *segment = rte_mem_virt2memseg(address, NULL);

	return segment != NULL && segment->len != 0;
}

enum mag_door_kind
mag_door_kind_of(const void *data)
{
	const struct mag_cache *pool = data;

	if (!is_memory(pool) || !is_memory(&pool->stamp + 1) ||
	    pool->stamp.magic != MAG_CACHE_MAGIC)
		return MAG_DOOR_OTHER;
	if (pool->stamp.self != pool)
		return MAG_DOOR_MOVED;
	return mag_cache_is_strange(pool) ? MAG_DOOR_STRANGE : MAG_DOOR_POOL;
}

int
mag_door_number(int mine)
{
	static struct number *_Atomic shared;
	bool primary = rte_eal_process_type() == RTE_PROC_PRIMARY;
	uint32_t own = (uint32_t)mine + 1, word = 0;
	struct number *number = atomic_load_explicit(&shared, memory_order_relaxed);

	if (number == NULL) {
		number = mag_meta_shared(NUMBER_NAME, sizeof(*number));
		atomic_store_explicit(&shared, number, memory_order_relaxed);
	}
	if (number == NULL)
		return -1;
	/* relaxed: it is all that there is */
	if (MAG_STAT(number->word) == 0)
		atomic_compare_exchange_strong_explicit(&number->word, &word, own,
							memory_order_relaxed, memory_order_relaxed);
	if (primary && (MAG_STAT(number->word) & ~NUMBER_OF_PRIMARY) == own)
		atomic_fetch_or_explicit(&number->word, NUMBER_OF_PRIMARY, memory_order_relaxed);
	word = MAG_STAT(number->word);
	if (word == own)
		return -1;
	return (int)(word & ~NUMBER_OF_PRIMARY) - 1;
}

const struct mag_mirror *
mag_door_mirror(const struct mag_cache *pool)
{
	return mag_region_mirror(pool->region);
}
