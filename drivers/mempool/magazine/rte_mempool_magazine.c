/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * rte_mempool ops over libmagazine.
 *
 * The general idea is as follows: a mempool's data is a cache of the library over a
 * region that adopts the mempool's chunks. get and put go to the magazines of the
 * calling lcore, inlined from mag_inline.h; everything else is one call into the library.
 * Objects are never written to: mbufs stay constructed.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <rte_common.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_memory.h>
#include <rte_mempool.h>

#include "door/door.h"
#include "first.h"
#include "lookup.h"
#include "path.h"
#include "replace.h"
#include "rte_mempool_magazine.h"

_Static_assert(2 * RTE_MEMPOOL_CACHE_MAX_SIZE <= MAG_DOOR_REFILL_MAX &&
		       sizeof(((struct rte_mempool_cache *)0)->objs) <=
			       MAG_DOOR_REFILL_MAX * sizeof(void *),
	       "no refill has more than a cache has room for");

/*
 * Set while this thread lays out the objects of a chunk: rte_mempool's helper frees each
 * into the pool, which must not happen before all of them are adopted.
 */
static _Thread_local const struct rte_mempool *laying_out;

static int magazine_alloc(struct rte_mempool *mp);

bool
magazine_has(const struct rte_mempool *mp)
{
	return rte_mempool_get_ops(mp->ops_index)->alloc == magazine_alloc;
}

/*
 * Memory that nobody has written to has no page yet, and no node: so write to the header, as
 * rte_mempool is about to do.
 */
static int
node_of_object(void *object)
{
	volatile struct rte_mempool_objhdr *header = RTE_PTR_SUB(object, sizeof(*header));

	header->iova = RTE_BAD_IOVA;
	return mag_door_node_of((const void *)(uintptr_t)header);
}

/*
 * Objects that users hold for sure: those in rte_mempool's caches are not out, nor are those that
 * maintenance moves about at this moment.
 */
static uint64_t
objects_out(const struct rte_mempool *mp)
{
	uint64_t in = mag_door_reachable(mp->pool_data);
	unsigned int i;

	for (i = 0; mp->cache_size > 0 && i < RTE_MAX_LCORE; i++)
		in += mp->local_cache[i].len;
	return mp->populated_size > in ? mp->populated_size - in : 0;
}

/*
 * rte_mempool_free() cannot be refused, and when our free op runs the memory is gone
 * already: this is the last moment to count.
 */
static void
on_event(enum rte_mempool_event event, struct rte_mempool *mp, void *arg)
{
	uint64_t out;

	RTE_SET_USED(arg);
	if (event != RTE_MEMPOOL_EVENT_DESTROY || !magazine_has(mp) || mp->pool_data == NULL ||
	    mag_door_kind_of(mp->pool_data) != MAG_DOOR_POOL)
		return;
	out = objects_out(mp);
	if (out > 0)
		MAG_LOG(ERR,
			"pool \"%s\": freed while %" PRIu64 " of its %u objects are out: "
			"give them back before rte_mempool_free()",
			mp->name, out, mp->populated_size);
	mag_door_dying(mp->pool_data, out > 0);
}

/*
 * Option cache. rte_mempool has made its caches when the pool was made, and asks us for its data
 * before there is an object, so nobody has used them yet. They are in the pool's memory, which all
 * processes have. mp->cache_size stays: it says where the private area lies, and where it is 0
 * there are no caches.
 */
static void
resize_caches(struct rte_mempool *mp, uint32_t size)
{
	unsigned int i;

	if (size == mp->cache_size)
		return;
	for (i = 0; i < RTE_MAX_LCORE; i++) {
		mp->local_cache[i].size = size;
		mp->local_cache[i].flushthresh = mag_door_flushthresh(size);
	}
}

/*
 * Are objects mbufs, and where is the data of each? By what rte_pktmbuf_pool_create() and
 * rte_pktmbuf_pool_init() have left in the pool before they ask for memory.
 */
static bool
is_mbufs(struct rte_mempool *mp, uint32_t *data)
{
	const struct rte_pktmbuf_pool_private *of = rte_mempool_get_priv(mp);
	size_t head = sizeof(struct rte_mbuf);

	*data = 0;
	if (mp->private_data_size < sizeof(*of) || mp->elt_size < head + of->mbuf_priv_size)
		return false;
	head += of->mbuf_priv_size;
	if (of->flags & RTE_PKTMBUF_POOL_F_PINNED_EXT_BUF)
		return true;
	if (mp->elt_size - head != of->mbuf_data_room_size)
		return false;
	if (of->mbuf_data_room_size > RTE_PKTMBUF_HEADROOM)
		*data = (uint32_t)head + RTE_PKTMBUF_HEADROOM;
	return true;
}

static int
magazine_alloc(struct rte_mempool *mp)
{
	struct mag_door_params params = {
		.name = mp->name,
		.object_size = mp->elt_size,
		.stride = mp->header_size + mp->elt_size + mp->trailer_size,
		.objects = mp->size,
		.cache_size = mp->cache_size,
		.socket = mp->socket_id,
		.options = mp->pool_config,
		.header = mp->header_size,
		.unused = mp->header_size - (uint32_t)sizeof(struct rte_mempool_objhdr),
		.trailer = mp->trailer_size,
	};
	int ret;

	params.is_mbuf = is_mbufs(mp, &params.data);
	mp->pool_data = mag_door_create(&params);
	if (mp->pool_data == NULL)
		return -rte_errno;
	magazine_agree();
	resize_caches(mp, mag_door_cache_size(mp->pool_data));
	ret = rte_mempool_event_callback_register(on_event, NULL);
	if (ret != 0 && rte_errno != EEXIST)
		MAG_LOG(WARNING,
			"pool \"%s\": no event callback (%s): objects out when it is freed will "
			"not be reported",
			mp->name, rte_strerror(rte_errno));
	return 0;
}

static void
magazine_free(struct rte_mempool *mp)
{
	if (mp->pool_data != NULL)
		mag_door_free(mp->pool_data);
	mp->pool_data = NULL;
}

int
magazine_enqueue_slow(struct rte_mempool *mp, void *const *objects, unsigned int n)
{
	if (likely(laying_out != mp))
		mag_cache_free_slow(mp->pool_data, objects, n);
	return 0;
}

/*
 * rte_mempool asks to fill a cache with more than is needed, and asks again for what is needed when
 * that is refused: magazines of others are not emptied for the first. Only their table tells
 * requests of that kind. Drivers of network devices that fill a cache themselves have no second
 * try, and their requests look the same: see mag_door_get_hard().
 */

/* Of an lcore: any place in it, because drivers keep what is there. */
static const struct rte_mempool_cache *
lcore_cache_at(const struct rte_mempool *mp, void *const *objects)
{
	uintptr_t offset = (uintptr_t)objects - (uintptr_t)mp->local_cache;

	if (mp->cache_size == 0 || (uintptr_t)objects < (uintptr_t)mp->local_cache ||
	    offset >= RTE_MAX_LCORE * sizeof(mp->local_cache[0]))
		return NULL;
	return &mp->local_cache[offset / sizeof(mp->local_cache[0])];
}

/* Of 22.11 to 25.11, or of later ones: empty, as it is when rte_mempool fills it. */
MAG_NO_SANITIZERS static bool
is_cache_to_fill(const struct rte_mempool_cache *cache, unsigned int n)
{
	uint32_t size = cache->size;

	if (size == 0 || size > RTE_MEMPOOL_CACHE_MAX_SIZE || cache->len != 0)
		return false;
	if (cache->flushthresh == size && n == size / 2)
		return true;
	return cache->flushthresh == size * 3 / 2 && n > size &&
	       n - size <= RTE_MEMPOOL_CACHE_MAX_SIZE;
}

/*
 * Of a user: rte_mempool_cache_create() has it from EAL's heap. What lies before a table may be
 * read only if that is memory, so it must be in the same page; without hugepages all of EAL's
 * memory is there all the time.
 */
static const struct rte_mempool_cache *
user_cache_at(void *const *objects, unsigned int n)
{
	const struct rte_mempool_cache *cache =
		RTE_PTR_SUB(objects, offsetof(struct rte_mempool_cache, objs));
	const struct rte_memseg_list *list;

	/* Most tables are told by that: the search for their memory is long for an empty pool. */
	if (!rte_is_aligned((void *)(uintptr_t)cache, RTE_CACHE_LINE_SIZE))
		return NULL;
	list = rte_mem_virt2memseg_list(objects);
	if (list == NULL || list->external || rte_mem_virt2memseg_list(cache) != list)
		return NULL;
	if (rte_eal_has_hugepages() &&
	    (uintptr_t)cache / list->page_sz != (uintptr_t)objects / list->page_sz)
		return NULL;
	return is_cache_to_fill(cache, n) ? cache : NULL;
}

static __rte_noinline int
dequeue_hard(struct rte_mempool *mp, void **objects, unsigned int n, uint64_t had)
{
	const struct rte_mempool_cache *refilled = lcore_cache_at(mp, objects);

	if (refilled == NULL)
		refilled = user_cache_at(objects, n);
	/*
	 * Until 25.11 gets pass through a cache that is off (option cache=0), for what they need.
	 */
	if (refilled != NULL && refilled->size == 0)
		refilled = NULL;
	return mag_door_get_hard(mp->pool_data, objects, n, refilled, had);
}

/*
 * rte_mempool lets us fill its caches, and those of users, over objects that are in them, and
 * counts on these when a get is refused: a refusal leaves the table as it was.
 */
int
magazine_dequeue_slow(struct rte_mempool *mp, void **objects, unsigned int n)
{
	void *before[MAG_DOOR_REFILL_MAX];
	uint64_t had;
	int ret;

	if (likely(mag_door_get(mp->pool_data, objects, n, before, &had) == 0))
		return 0;
	ret = dequeue_hard(mp, objects, n, had);
	if (ret != 0 && n <= MAG_DOOR_REFILL_MAX)
		memcpy(objects, before, n * sizeof(objects[0]));
	return ret;
}

static unsigned int
magazine_get_count(const struct rte_mempool *mp)
{
	return (unsigned int)mag_cache_available(mp->pool_data);
}

static ssize_t
magazine_calc_mem_size(const struct rte_mempool *mp, uint32_t objects, uint32_t page_shift,
		       size_t *min_chunk_size, size_t *align)
{
	return rte_mempool_op_calc_mem_size_default(mp, objects, page_shift, min_chunk_size, align);
}

/* The objects of a chunk, as rte_mempool's helper lays them out. */
struct layout {
	void **objects;
	uint32_t count;
};

static void
layout_add(struct rte_mempool *mp, void *arg, void *object, rte_iova_t iova)
{
	struct layout *layout = arg;

	RTE_SET_USED(mp);
	RTE_SET_USED(iova);
	layout->objects[layout->count++] = object;
}

/* The helper's frees find our slot visited, and end in magazine_enqueue_slow(). */
static int
lay_out(struct rte_mempool *mp, struct layout *layout, unsigned int max, void *addr,
	rte_iova_t iova, size_t len)
{
	int ret;

	mag_door_keep_out(mp->pool_data, true);
	laying_out = mp;
	ret = rte_mempool_op_populate_helper(mp, 0, max, addr, iova, len, layout_add, layout);
	laying_out = NULL;
	mag_door_keep_out(mp->pool_data, false);
	return ret;
}

/* What rte_mempool is told of the objects of a chunk. */
struct telling {
	struct rte_mempool *mp;
	const struct layout *layout;
	void *addr;
	rte_iova_t iova;
	rte_mempool_populate_obj_cb_t *object_cb;
	void *arg;
};

static void
tell(void *arg)
{
	const struct telling *of = arg;
	uint32_t i;

	for (i = 0; i < of->layout->count; i++)
		of->object_cb(of->mp, of->arg, of->layout->objects[i],
			      of->iova == RTE_BAD_IOVA ?
				      RTE_BAD_IOVA :
				      of->iova + RTE_PTR_DIFF(of->layout->objects[i], of->addr));
}

/*
 * Two passes: the first finds where the objects lie, so that all memory that we need is had before
 * rte_mempool hears of the first one; the second tells it of all of them, before anybody can have
 * one.
 */
static int
magazine_populate(struct rte_mempool *mp, unsigned int max_objects, void *addr, rte_iova_t iova,
		  size_t len, rte_mempool_populate_obj_cb_t *object_cb, void *arg)
{
	struct layout layout = {.count = 0};
	struct telling telling = {mp, &layout, addr, iova, object_cb, arg};
	int node = MAG_NODE_ANY, ret = 0;

	/* A populate that failed half-way has given all memory back without a word to us. */
	if (STAILQ_EMPTY(&mp->mem_list))
		ret = mag_door_reset(mp->pool_data);
	if (ret != 0)
		return ret;
	layout.objects = malloc(max_objects * sizeof(layout.objects[0]));
	if (layout.objects == NULL)
		return -ENOMEM;
	ret = lay_out(mp, &layout, max_objects, addr, iova, len);
	if (ret > 0)
		node = node_of_object(layout.objects[0]);
	if (ret >= 0)
		ret = mag_door_adopt(mp->pool_data, layout.objects, layout.count, node, tell,
				     &telling);
	free(layout.objects);
	return ret == 0 ? (int)layout.count : ret;
}

static int
magazine_get_info(const struct rte_mempool *mp, struct rte_mempool_info *info)
{
	info->contig_block_size = mag_door_block(mp->pool_data);
	return 0;
}

static int
magazine_dequeue_contig_blocks(struct rte_mempool *mp, void **first, unsigned int n)
{
	return mag_door_take_blocks(mp->pool_data, first, n);
}

/* magazine_path_init() has the two that are not here. */
static struct rte_mempool_ops ops = {
	.name = RTE_MEMPOOL_MAGAZINE_OPS_NAME,
	.alloc = magazine_alloc,
	.free = magazine_free,
	.get_count = magazine_get_count,
	.calc_mem_size = magazine_calc_mem_size,
	.populate = magazine_populate,
	.get_info = magazine_get_info,
	.dequeue_contig_blocks = magazine_dequeue_contig_blocks,
};

RTE_INIT(magazine_register)
{
	unsigned int i;
	int number;

	for (i = 0; i < rte_mempool_ops_table.num_ops; i++) {
		if (strcmp(rte_mempool_ops_table.ops[i].name, ops.name) != 0)
			continue;
		MAG_LOG(ERR,
			"mempool ops \"%s\" are registered already: a second copy of the driver is "
			"in this process: link it or load the plugin, not both",
			ops.name);
		return;
	}
	magazine_path_init(&ops);
	magazine_first_init(&ops);
	number = rte_mempool_register_ops(&ops);
	if (number < 0) {
		MAG_LOG(ERR,
			"mempool ops \"%s\": not registered: rte_mempool has room for %u handlers: "
			"load less of them, or this one before them",
			ops.name, RTE_MEMPOOL_MAX_OPS_IDX);
		return;
	}
	magazine_first_registered(&rte_mempool_ops_table.ops[number]);
	/*
	 * Now: a process may free a pool that it did not make. magazine_alloc() tries again, and
	 * says so if it fails.
	 */
	rte_mempool_event_callback_register(on_event, NULL);
	magazine_replace_init();
}
