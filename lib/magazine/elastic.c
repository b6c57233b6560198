/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Elastic regions: segments that come from the system when they are wanted and go back when they are not
 * (spec 10, design 9).
 *
 * A segment is one element of EAL's heap, of a few whole hugepages less EAL's header, so that its
 * pages are free when it is; or ordinary pages where EAL has no hugepages.
 *
 * A mirror region has no lists and no maintenance of its own: each of its segments comes and goes
 * with the one of the same index of its first region, and has no records of objects.
 */

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_bitops.h>
#include <rte_common.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_memory.h>
#include <rte_memzone.h>

#include "counter.h"
#include "fault.h"
#include "lcores.h"
#include "log.h"
#include "memtag.h"
#include "meta.h"
#include "numa.h"
#include "poison.h"
#include "region.h"
#include "type.h"

/* The kernel's, from Linux 5.18 on: of pages that mlockall(2) has locked, too. */
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

#define PAGE ((size_t)2 << 20)
/* EAL's header of an element of its heap. */
#define ELEMENT 128
/* Segments of up to so many pages, until no more than an eighth is left over. */
#define PAGES_MAX 32
#define ALIGN_MIN 8u
#define OBJECTS_MAX (UINT64_C(1) << 40)
/* Of all objects together: more than an address space has, and no sum of sizes overflows. */
#define BYTES_MAX (UINT64_C(1) << 47)
/* Objects are aligned to this whatever was asked for: what a heap aligns to. */
#define ALIGN_BASE 64u
#define RECORD RTE_ALIGN_CEIL(sizeof(struct mag_segment), (size_t)ALIGN_BASE)
/* An eighth of what there is at a time, so that a growing load is not fed by the spoon. */
#define GROWTH 8
#define REST_MS 1000

void (*mag_elastic_observer)(void);
void (*mag_shortage_observer)(void);

static TAILQ_HEAD(, mag_region) regions = TAILQ_HEAD_INITIALIZER(regions);
static struct mag_lock regions_lock;
static _Atomic uint32_t regions_listed;

bool
mag_elastic_is_elsewhere(const struct mag_region *region)
{
	return region->elastic != NULL && region->elastic->process != mag_process_id;
}

/* Its own memory, or that of its mirror. */
bool
mag_elastic_is_of_pages(const struct mag_region *region)
{
	const struct mag_region *mirror = region->second;

	return region->elastic != NULL && (region->elastic->pages[0] != NULL ||
					   (mirror != NULL && mirror->elastic->pages[0] != NULL));
}

/* Ordinary pages come and go in the process that has them mapped. */
static bool
pages_are_elsewhere(const struct mag_region *region)
{
	return mag_elastic_is_of_pages(region) && mag_elastic_is_elsewhere(region);
}

/* Layout */

static bool
is_tagged(const struct mag_region *region)
{
	return region->mode & MAG_REGION_MEMTAG;
}

static bool
is_mirror(const struct mag_region *region)
{
	return region->mode & MAG_REGION_MIRRORED;
}

/* Bytes that may be lost until the first object is aligned; and, with tags, a granule behind the last one. */
static size_t
slack(const struct mag_region *region)
{
	return (region->align > ALIGN_BASE ? region->align - ALIGN_BASE : 0) +
	       (is_tagged(region) ? MAG_MEMTAG_GRANULE : 0);
}

static size_t
overhead(const struct mag_region *region)
{
	return RECORD + MAG_CONTROL_SEGMENT + MAG_CONTROL_ALIGN + slack(region);
}

static uint64_t
objects_in(const struct mag_region *region, size_t bytes)
{
	size_t fixed = overhead(region);

	return bytes <= fixed ? 0 : (bytes - fixed) / ((size_t)region->stride + MAG_CONTROL_OBJECT);
}

static size_t
bytes_for(const struct mag_region *region, uint64_t objects)
{
	return overhead(region) + objects * ((size_t)region->stride + MAG_CONTROL_OBJECT);
}

static size_t
control_size(const struct mag_region *region)
{
	return is_mirror(region) ? 0 : mag_region_control_size(region->block);
}

/* Objects of a segment of as few pages as leave little over. */
static uint64_t
block_choose(const struct mag_region *region)
{
	size_t bytes;
	uint64_t objects;
	unsigned int pages;

	for (pages = 1; pages <= PAGES_MAX; pages++) {
		bytes = pages * PAGE - ELEMENT;
		objects = objects_in(region, bytes);
		if (objects > 0 && bytes - bytes_for(region, objects) <= bytes / 8)
			return objects;
	}
	bytes = RTE_ALIGN_CEIL(bytes_for(region, 1) + ELEMENT, PAGE) - ELEMENT;
	return objects_in(region, bytes);
}

static int
layout_error(const struct mag_region *region, const struct mag_region_params *params,
	     const char *what, int error)
{
	MAG_LOG(ERR,
		"region \"%s\": %" PRIu64 " objects of %u bytes, alignment %u, block %u, segment "
		"size %zu, mode 0x%x: %s",
		region->name, params->objects, params->object_size, params->align, params->block,
		params->segment_size, params->mode, what);
	return -error;
}

/* One segment is of one node; others are of the one that was named, or of all that there are. */
static uint32_t
nodes_of(const struct mag_region_params *params)
{
	return params->mode & MAG_REGION_MONOLITHIC || params->node != MAG_NODE_ANY ?
		       1 :
		       mag_numa_nodes();
}

/*
 * Objects that there is room for, with so many lcores: a cache has the magazines of the region's
 * objects, not those of smaller chunks (mag_cache_type_size()).
 */
static uint64_t
room(const struct mag_region *region, uint64_t objects, uint32_t nodes, uint32_t lcores)
{
	if (region->mode & (MAG_REGION_NOMAGAZINES | MAG_REGION_MIRRORED))
		return objects;
	return objects + mag_type_objects_max(region->object_size, lcores, nodes);
}

static int
layout(struct mag_region *region, const struct mag_region_params *params, uint64_t *objects)
{
	uint64_t block;

	region->align = params->align != 0 ? params->align : ALIGN_MIN;
	if (!rte_is_power_of_2(region->align) || region->align > PAGE)
		return layout_error(region, params,
				    "the alignment must be a power of two of at most 2 MiB",
				    EINVAL);
	region->align = RTE_MAX(region->align, is_tagged(region) ? MAG_MEMTAG_GRANULE : ALIGN_MIN);
	if (region->stride > UINT32_MAX / 2 || params->objects > OBJECTS_MAX ||
	    params->objects > BYTES_MAX / region->stride)
		return layout_error(region, params, "that is too much", EINVAL);
	region->object_size = RTE_ALIGN_CEIL(region->object_size, region->align);
	if (mag_poison_wanted() && !is_mirror(region))
		region->stride += MAG_POISON_GAP;
	region->stride = RTE_ALIGN_CEIL(region->stride, region->align);
	mag_lcores_look();
	*objects = room(region, params->objects, nodes_of(params), mag_lcores());
	if (region->mode & MAG_REGION_MONOLITHIC)
		block = *objects;
	else if (params->block != 0)
		block = params->block;
	else if (params->segment_size != 0)
		block = objects_in(region, params->segment_size);
	else
		block = block_choose(region);
	if (block == 0)
		return layout_error(region, params, "no object fits a segment of that size",
				    EINVAL);
	if (region->mode & MAG_REGION_MONOLITHIC && block > MAG_REGION_BLOCK_MAX)
		return layout_error(region, params,
				    "one segment cannot hold more than 65534 objects, those that "
				    "magazines can hold included",
				    EINVAL);
	/* In 64 bits: both may have more than a block's 32. */
	block = RTE_MIN(block, *objects);
	region->block = RTE_MIN(block, (uint64_t)MAG_REGION_BLOCK_MAX);
	return 0;
}

/* Parts */

static int
memseg_list_add(const struct rte_memseg_list *list, void *arg)
{
	struct mag_region_map *map = arg;

	if (list->external)
		return 0;
	map->at[map->count++] =
		(struct mag_region_begin){(uintptr_t)list->base_va, list->socket_id};
	return 0;
}

static int
begin_compare(const void *left, const void *right)
{
	const struct mag_region_begin *a = left, *b = right;

	return a->begin < b->begin ? -1 : a->begin > b->begin;
}

static uint32_t
part_known(const struct mag_region *region, int node)
{
	uint32_t part, parts = MAG_STAT(region->parts);

	for (part = 0; part < parts; part++)
		if (region->part[part].node == node)
			return part;
	return 0;
}

/* Where the parts begin: EAL's lists, or the pages that were set aside. */
static int
map_make(struct mag_region *region)
{
	uint32_t i, parts = MAG_STAT(region->parts);
	struct mag_region_map *map;

	if (parts == 1)
		return 0;
	map = mag_meta_zalloc(sizeof(*map) + RTE_MAX(RTE_MAX_MEMSEG_LISTS, MAG_PARTS_MAX) *
						     sizeof(map->at[0]),
			      region->part[0].node);
	if (map == NULL)
		return -ENOMEM;
	if (region->elastic->pages[0] == NULL) {
		rte_memseg_list_walk(memseg_list_add, map);
		for (i = 0; i < map->count; i++)
			map->at[i].part = part_known(region, map->at[i].part);
	} else {
		for (i = 0; i < parts; i++)
			map->at[map->count++] =
				(struct mag_region_begin){(uintptr_t)region->elastic->pages[i], i};
	}
	qsort(map->at, map->count, sizeof(map->at[0]), begin_compare);
	atomic_store_explicit(&region->map, map, memory_order_release);
	return 0;
}

static int
parts_make(struct mag_region *region, int node)
{
	unsigned int i, sockets = rte_socket_count();
	bool one = region->mode & MAG_REGION_MONOLITHIC, known = false;

	for (i = 0; i < sockets; i++) {
		if (node != MAG_NODE_ANY && node != rte_socket_id_by_idx(i))
			continue;
		known = true;
		/* One segment of any node is on none in particular. */
		if (!one || node != MAG_NODE_ANY)
			mag_region_part_of_node(region, rte_socket_id_by_idx(i));
	}
	if (known)
		return 0;
	MAG_LOG(ERR,
		"region \"%s\": node %d: EAL knows of no such node; use -1 or one that it knows",
		region->name, node);
	return -EINVAL;
}

/* Ordinary pages */

static size_t
page_size(void)
{
	return sysconf(_SC_PAGESIZE);
}

static size_t
pages_span(const struct mag_region *region)
{
	return RTE_ALIGN_CEIL(region->elastic->segment_bytes, page_size());
}

/* Unmapped before the first segment and behind each. */
static size_t
guard_span(const struct mag_region *region)
{
	return region->mode & MAG_REGION_GUARD ? page_size() : 0;
}

static size_t
pages_total(const struct mag_region *region)
{
	size_t guard = guard_span(region);

	return guard + region->elastic->segments_all * (pages_span(region) + guard);
}

/* Addresses alone: memory comes with each segment. */
static int
pages_set_aside(struct mag_region *region)
{
	struct mag_elastic *elastic = region->elastic;
	uint32_t part, parts = MAG_STAT(region->parts);
	void *addr;

	for (part = 0; part < parts; part++) {
		addr = mmap(NULL, pages_total(region), PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (addr == MAP_FAILED)
			return -ENOMEM;
		elastic->pages[part] = RTE_PTR_ADD(addr, guard_span(region));
	}
	return 0;
}

static void *
pages_take(const struct mag_region *region, uint32_t part, uint32_t index)
{
	size_t span = pages_span(region);
	char *addr = region->elastic->pages[part] + index * (span + guard_span(region));
	int tags = is_tagged(region) ? mag_memtag_prot() : 0;

	if (mprotect(addr, span, PROT_READ | PROT_WRITE | tags) != 0)
		return NULL;
	mag_numa_bind(addr, span, region->part[part].node);
	return addr;
}

/* False: the pages stay as they are, for the next segment that comes here. */
static bool
pages_give(const struct mag_region *region, struct mag_segment *segment)
{
	static _Atomic bool said;
	size_t span = pages_span(region);

	if (is_tagged(region))
		mag_memtag_restore(segment->base, (size_t)region->block * region->stride);
	if (madvise(segment, span, MADV_DONTNEED) != 0 &&
	    madvise(segment, span, MADV_DONTNEED_LOCKED) != 0) {
		if (!atomic_exchange(&said, true))
			MAG_LOG(ERR,
				"region \"%s\": the system does not take %zu bytes back (madvise: %s): they are "
				"kept for the next segment; memory that mlockall() locked needs Linux 5.18",
				region->name, span, strerror(errno));
		return false;
	}
	/* Should this fail, a stray access meets pages of zeros instead of a fault: they hold nothing any more. */
	mprotect(segment, span, PROT_NONE);
	return true;
}

/* Segments */

static void
memzone_name(const struct mag_region *region, uint32_t index, char name[RTE_MEMZONE_NAMESIZE])
{
	snprintf(name, RTE_MEMZONE_NAMESIZE, "mag_%" PRIxPTR "_%x", (uintptr_t)region, index);
}

static void *
memory_take(const struct mag_region *region, uint32_t part, uint32_t index)
{
	char name[RTE_MEMZONE_NAMESIZE];
	int node = region->part[part].node;
	const struct rte_memzone *zone;

	if (mag_fault_strikes())
		return NULL;
	if (region->elastic->pages[part] != NULL)
		return pages_take(region, part, index);
	if ((region->mode & MAG_REGION_PHYSCONTIG) == 0)
		return (is_mirror(region) ? rte_zmalloc_socket : rte_malloc_socket)(
			"magazine", region->elastic->segment_bytes, 0, node);
	memzone_name(region, index, name);
	zone = rte_memzone_reserve_aligned(name, region->elastic->segment_bytes, node,
					   RTE_MEMZONE_IOVA_CONTIG, ALIGN_BASE);
	return zone != NULL ? zone->addr : NULL;
}

/* False: the system has not taken it back. */
static bool
memory_give(const struct mag_region *region, struct mag_segment *segment)
{
	char name[RTE_MEMZONE_NAMESIZE];

	mag_unpoison(segment, region->elastic->segment_bytes);
	if (region->elastic->pages[segment->part] != NULL)
		return pages_give(region, segment);
	if (region->mode & MAG_REGION_PHYSCONTIG) {
		memzone_name(region, segment->index, name);
		return rte_memzone_free(rte_memzone_lookup(name)) == 0;
	}
	rte_free(segment);
	return true;
}

static void
segment_init(const struct mag_region *region, struct mag_segment *segment, uint32_t part,
	     uint32_t index)
{
	size_t control = control_size(region);

	memset(segment, 0, RECORD + control);
	segment->control = RTE_PTR_ADD(segment, RECORD);
	segment->base = RTE_ALIGN_CEIL((uintptr_t)segment->control + control,
				       (uintptr_t)RTE_MAX(region->align, ALIGN_BASE));
	segment->stride = region->block > 1 ? region->stride : 0;
	segment->count = region->block;
	segment->index = index;
	segment->node = region->part[part].node;
	segment->part = part;
	segment->whole = true;
	/* Nothing is with a user, and what is between objects never is; mirrors always are. */
	if (!is_mirror(region))
		mag_poison((void *)segment->base, (size_t)region->block * region->stride);
	else if (region->mode & MAG_REGION_PHYSCONTIG)
		memset((void *)segment->base, 0, (size_t)region->block * region->stride);
}

/* The segment of the mirror region, if there is one, that lives with this one: 0, or -ENOMEM. */
static int
second_take(struct mag_region *region, struct mag_segment *segment)
{
	struct mag_region *mirror = region->second;
	uint32_t part;

	if (mirror == NULL)
		return 0;
	/* On the node that its memory was asked for on, or else on that of the objects. */
	part = MAG_STAT(mirror->parts) > 1 ? segment->part : 0;
	segment->second = memory_take(mirror, part, segment->index);
	if (segment->second == NULL) {
		MAG_STAT_ADD(mirror->elastic->grow_fails, 1);
		return -ENOMEM;
	}
	segment_init(mirror, segment->second, part, segment->index);
	mag_mirror_pair_add(mirror->pair, segment->base, segment->second->base);
	MAG_STAT_ADD(mirror->elastic->grown, 1);
	return 0;
}

static void
second_give(struct mag_region *region, struct mag_segment *segment)
{
	struct mag_region *mirror = region->second;

	if (mirror == NULL)
		return;
	mag_mirror_pair_remove(mirror->pair, segment->base, segment->second->base);
	memory_give(mirror, segment->second);
	segment->second = NULL;
	MAG_STAT_ADD(mirror->elastic->trimmed, 1);
}

uint32_t
mag_elastic_segments_max(const struct mag_region *region)
{
	const struct mag_elastic *elastic = region->elastic;
	uint64_t objects;

	if (region->first != NULL)
		return mag_elastic_segments_max(region->first);
	objects = room(region, elastic->objects, elastic->nodes, mag_lcores());

	return RTE_MIN((objects + region->block - 1) / region->block, elastic->segments_all);
}

/* A place for one more; false: the region is as large as it may be. */
static bool
index_take(struct mag_region *region, uint32_t *index)
{
	struct mag_elastic *elastic = region->elastic;
	uint32_t i, max = mag_elastic_segments_max(region);

	mag_lock_wait(&region->lock);
	for (i = elastic->taken_below; i < max && elastic->taken[i]; i++)
		;
	elastic->taken_below = i;
	if (i < max)
		elastic->taken[i] = true;
	mag_lock_release(&region->lock);
	*index = i;
	return i < max;
}

static void
index_give(struct mag_region *region, uint32_t index)
{
	struct mag_elastic *elastic = region->elastic;

	mag_lock_wait(&region->lock);
	elastic->taken[index] = false;
	elastic->taken_below = RTE_MIN(elastic->taken_below, index);
	mag_lock_release(&region->lock);
}

/* With its mirrors, or NULL. */
static struct mag_segment *
segment_make(struct mag_region *region, uint32_t part, uint32_t index)
{
	struct mag_segment *segment = memory_take(region, part, index);

	if (segment == NULL)
		return NULL;
	segment_init(region, segment, part, index);
	if (mag_segment_mirror_add(region, segment) == 0) {
		if (second_take(region, segment) == 0)
			return segment;
		mag_segment_mirror_remove(region, segment);
	}
	memory_give(region, segment);
	return NULL;
}

int
mag_elastic_grow(struct mag_region *region, uint32_t part)
{
	struct mag_elastic *elastic = region->elastic;
	struct mag_segment *segment;
	uint32_t index;

	if (pages_are_elsewhere(region))
		return -EPERM;
	if (!index_take(region, &index))
		return -ENOSPC;
	segment = segment_make(region, part, index);
	if (segment == NULL) {
		index_give(region, index);
		MAG_STAT_ADD(elastic->grow_fails, 1);
		return -ENOMEM;
	}
	mag_lock_wait(&region->lock);
	mag_region_insert(region, segment);
	mag_lock_release(&region->lock);
	MAG_STAT_ADD(elastic->grown, 1);
	return 0;
}

/* The free segment that was used least recently leaves the region; NULL when no more than keep are left. */
static struct mag_segment *
segment_withdraw(struct mag_region *region, uint32_t part, uint32_t keep)
{
	struct mag_segment *segment = NULL;

	mag_lock_wait(&region->lock);
	if (MAG_STAT(region->part[part].segments_free) > keep)
		segment = TAILQ_LAST(&region->part[part].whole, mag_segment_list);
	if (segment != NULL)
		mag_region_remove(region, segment);
	mag_lock_release(&region->lock);
	return segment;
}

static uint32_t
part_trim(struct mag_region *region, uint32_t part, uint32_t keep, uint32_t max)
{
	struct mag_segment *segment;
	uint32_t trimmed = 0, index, i;
	bool given;

	for (i = 0; i < max; i++) {
		segment = segment_withdraw(region, part, keep);
		if (segment == NULL)
			break;
		index = segment->index;
		second_give(region, segment);
		mag_segment_mirror_remove(region, segment);
		given = memory_give(region, segment);
		trimmed += given;
		/* A memzone that stays keeps its name. Pages that stay are those of the next segment of this index. */
		if (given || region->elastic->pages[part] != NULL)
			index_give(region, index);
	}
	MAG_STAT_ADD(region->elastic->trimmed, trimmed);
	return trimmed;
}

/* Making and destroying */

static void
region_list(struct mag_region *region)
{
	region->elastic->listed = true;
	mag_lock_wait(&regions_lock);
	TAILQ_INSERT_TAIL(&regions, region, elastic->link);
	MAG_STAT_ADD(regions_listed, 1);
	mag_lock_release(&regions_lock);
}

/* Not before nobody tends it. */
static void
region_unlist(struct mag_region *region)
{
	if (!region->elastic->listed)
		return;
	mag_lock_wait(&regions_lock);
	while (region->elastic->tended > 0) {
		mag_lock_release(&regions_lock);
		sched_yield();
		mag_lock_wait(&regions_lock);
	}
	TAILQ_REMOVE(&regions, region, elastic->link);
	MAG_STAT_ADD(regions_listed, -1);
	mag_lock_release(&regions_lock);
}

/* So many segments of each part, or fewer, and the error that came last; returns how many. */
static unsigned int
region_grow(struct mag_region *region, unsigned int segments, int *error)
{
	uint32_t part, parts = MAG_STAT(region->parts);
	unsigned int i, had = 0;
	int ret;

	for (part = 0; part < parts; part++)
		for (i = 0, ret = 0; i < segments && ret == 0; i++) {
			ret = mag_elastic_grow(region, part);
			if (ret == 0)
				had++;
			else
				*error = -ret;
		}
	return had;
}

/* Hugepages have neither tags nor guards. */
static bool
is_of_pages(const struct mag_region *region)
{
	return !rte_eal_has_hugepages() || region->mode & (MAG_REGION_GUARD | MAG_REGION_MEMTAG);
}

/*
 * What is left over of a segment's last hugepage is the segment's too, unless that is much of it: an
 * allocation of somebody else's in there would keep the page when the segment goes.
 */
static size_t
segment_bytes(const struct mag_region *region)
{
	size_t bytes = RECORD + control_size(region) + slack(region) +
		       (size_t)region->block * region->stride;
	size_t whole = RTE_ALIGN_CEIL(bytes + ELEMENT, PAGE) - ELEMENT;

	return is_of_pages(region) || whole - bytes > whole / 8 ? bytes : whole;
}

/* And the reserve of each part: some nodes may have no memory, but not all. */
static const char *
memory_make(struct mag_region *region)
{
	int error = 0;

	if ((is_of_pages(region) && pages_set_aside(region) != 0) || map_make(region) != 0)
		return "no memory or addresses for its records: give EAL more memory";
	if (region_grow(region, region->elastic->reserve, &error) == 0)
		return "no memory for a segment: reserve more hugepages";
	return NULL;
}

static int
modes_check(const struct mag_region *region, const struct mag_region_params *params)
{
	if (is_tagged(region) && mag_memtag_missing() != NULL)
		return layout_error(region, params, mag_memtag_missing(), ENOTSUP);
	if (params->mode & MAG_REGION_PHYSCONTIG &&
	    params->mode & (MAG_REGION_GUARD | MAG_REGION_MEMTAG))
		return layout_error(
			region, params,
			"GUARD and MEMTAG are of ordinary pages, which are not PHYSCONTIG",
			ENOTSUP);
	if (params->mode & MAG_REGION_PHYSCONTIG && !rte_eal_has_hugepages())
		return layout_error(region, params, "PHYSCONTIG needs hugepages", ENOTSUP);
	return 0;
}

/* Its records, with room for so many segments, and for whose indices are its own to give. */
static int
elastic_make(struct mag_region *region, const struct mag_region_params *params, uint32_t segments,
	     uint32_t indices)
{
	region->elastic = mag_meta_zalloc(sizeof(*region->elastic) +
						  indices * sizeof(region->elastic->taken[0]),
					  params->node);
	if (region->elastic == NULL)
		return layout_error(region, params, "no memory for its records", ENOMEM);
	region->elastic->objects = params->objects;
	region->elastic->nodes = nodes_of(params);
	region->elastic->segments_all = segments;
	region->elastic->segment_bytes = segment_bytes(region);
	region->elastic->trim_last = rte_rdtsc();
	region->elastic->process = mag_process_id;
	region->elastic->pid = mag_process_pid;
	return 0;
}

int
mag_elastic_init(struct mag_region *region, const struct mag_region_params *params)
{
	struct mag_elastic *elastic;
	uint64_t objects = 0, segments;
	const char *missing;
	int ret = modes_check(region, params);

	if (ret != 0)
		return ret;
	if (layout(region, params, &objects) != 0)
		return -EINVAL;
	if ((region->mode & MAG_REGION_MONOLITHIC) == 0)
		objects = room(region, params->objects, nodes_of(params), RTE_MAX_LCORE);
	segments = (objects + region->block - 1) / region->block;
	if (segments > UINT32_MAX)
		return layout_error(region, params, "that needs too many segments", EINVAL);
	if (elastic_make(region, params, segments, segments) != 0)
		return -ENOMEM;
	elastic = region->elastic;
	elastic->reserve = RTE_MIN(RTE_MAX(params->reserve, 1u), mag_elastic_segments_max(region));
	if (parts_make(region, params->node) != 0)
		return -EINVAL;
	if (mag_region_mirror_make(region, params->mirror,
				   segments * (elastic->segment_bytes / PAGE + 2)) != 0)
		return -ENOMEM;
	missing = memory_make(region);
	if (missing != NULL)
		return layout_error(region, params, missing, ENOMEM);
	region_list(region);
	return 0;
}

/* Mirror regions */

/* A mirror is on the node that was asked for, or else has the parts of its first region. */
static int
mirror_parts_make(struct mag_region *region, const struct mag_region *first, int node)
{
	uint32_t part, parts = MAG_STAT(first->parts);

	if (node != MAG_NODE_ANY)
		return parts_make(region, node);
	for (part = 0; part < parts; part++)
		mag_region_part_of_node(region, first->part[part].node);
	return 0;
}

/* Bytes from the first object of a segment to that of any other, at the least. */
static uint64_t
bases_apart(const struct mag_region *region)
{
	uint64_t pitch = region->elastic->pages[0] != NULL ?
				 pages_span(region) + guard_span(region) :
				 region->elastic->segment_bytes + ELEMENT;

	return pitch - slack(region);
}

static int
pair_make(struct mag_region *region, const struct mag_region *first)
{
	const struct mag_mirror_side object = {first->stride, bases_apart(first)};
	const struct mag_mirror_side its = {region->stride, bases_apart(region)};
	int node = first->part[0].node;

	region->pair = mag_meta_zalloc(sizeof(*region->pair), node);
	if (region->pair == NULL)
		return -ENOMEM;
	*region->pair = (struct mag_mirror_pair){.side = {object, its}, .block = region->block};
	if (mag_mirror_pair_init(region->pair, region->object_size, first->elastic->segments_all,
				 node) == 0)
		return 0;
	mag_meta_free(region->pair);
	region->pair = NULL;
	return -ENOMEM;
}

/* Nobody uses the first region: all its segments are free, and whole. All have mirrors, or none. */
static int
mirror_bind(struct mag_region *region, struct mag_region *first)
{
	uint32_t part, parts = MAG_STAT(first->parts);
	struct mag_segment *segment;
	int ret = 0;

	first->second = region;
	for (part = 0; part < parts; part++)
		TAILQ_FOREACH(segment, &first->part[part].whole, link)
			if (ret == 0)
				ret = second_take(first, segment);
	if (ret == 0) {
		region->first = first;
		region->references++;
		return 0;
	}
	for (part = 0; part < parts; part++)
		TAILQ_FOREACH(segment, &first->part[part].whole, link)
			if (segment->second != NULL)
				second_give(first, segment);
	first->second = NULL;
	return ret;
}

int
mag_elastic_mirror_init(struct mag_region *region, struct mag_region *first,
			const struct mag_region_params *params)
{
	uint64_t objects;
	int ret = modes_check(region, params);

	if (ret != 0)
		return ret;
	if (layout(region, params, &objects) != 0)
		return -EINVAL;
	if (elastic_make(region, params, first->elastic->segments_all, 0) != 0)
		return -ENOMEM;
	if (mirror_parts_make(region, first, params->node) != 0)
		return -EINVAL;
	if ((is_of_pages(region) && pages_set_aside(region) != 0) || pair_make(region, first) != 0)
		return layout_error(region, params,
				    "no memory or addresses for its records: give EAL more memory",
				    ENOMEM);
	/* Nobody tends the first meanwhile. */
	region_unlist(first);
	ret = mirror_bind(region, first);
	region_list(first);
	return ret == 0 ? 0 :
			  layout_error(region, params,
				       "no memory for a segment: reserve more hugepages", ENOMEM);
}

/* The first region is going, with all its segments. */
static void
mirror_unbind(struct mag_region *region)
{
	if (region == NULL)
		return;
	region->first = NULL;
	region->references--;
}

void
mag_elastic_fini(struct mag_region *region)
{
	struct mag_elastic *elastic = region->elastic;
	uint32_t part, parts = MAG_STAT(region->parts);

	region_unlist(region);
	for (part = 0; part < parts; part++) {
		part_trim(region, part, 0, UINT32_MAX);
		if (elastic->pages[part] != NULL)
			munmap(elastic->pages[part] - guard_span(region), pages_total(region));
	}
	mirror_unbind(region->second);
	region->elastic = NULL;
	mag_meta_free(elastic);
}

unsigned int
mag_region_grow(struct mag_region *region, unsigned int segments)
{
	unsigned int had;
	int error = 0;

	if (region->elastic == NULL || is_mirror(region)) {
		MAG_LOG(ERR, "region \"%s\": is %s", region->name,
			is_mirror(region) ? "a mirror, and grows with its first region" :
					    "not elastic, and does not grow");
		rte_errno = EINVAL;
		return 0;
	}
	had = region_grow(region, segments, &error);
	if (error == 0)
		return had;
	MAG_LOG(ERR, "region \"%s\": grew by %u segments, not by %u of each node: %s", region->name,
		had, segments,
		error == ENOSPC ? "it is as large as it may be" :
		error == EPERM  ? "its pages are those of the process that made it" :
				  "no memory for one: reserve more hugepages");
	rte_errno = error;
	return had;
}

/* A segment goes with its mirror: one that stays keeps the other. */
static bool
is_kept(const struct mag_region *region)
{
	return region->mode & MAG_REGION_MONOLITHIC || mag_region_is_persistent(region);
}

static uint64_t
heaps_size(void)
{
	struct rte_malloc_socket_stats stats;
	unsigned int i, sockets = rte_socket_count();
	uint64_t sum = 0;

	for (i = 0; i < sockets; i++)
		if (rte_malloc_get_socket_stats(rte_socket_id_by_idx(i), &stats) == 0)
			sum += stats.heap_totalsz_bytes;
	return sum;
}

/* What was free all the time since the last trim. */
static uint32_t
part_spare(struct mag_region *region, uint32_t part)
{
	struct mag_region_part *at = &region->part[part];
	uint32_t spare;

	mag_lock_wait(&region->lock);
	spare = at->free_min;
	at->free_min = MAG_STAT(at->segments_free);
	mag_lock_release(&region->lock);
	return spare > region->elastic->reserve ? spare - region->elastic->reserve : 0;
}

/*
 * Give free segments back, all but keep of each part, or those alone that were not needed. EAL keeps what
 * it has with --legacy-mem, and when it was told so by -m or --socket-mem: said once, and looked for
 * until then only, because EAL goes through its whole heap for it.
 */
static uint32_t
region_trim(struct mag_region *region, uint32_t keep, bool spare)
{
	static _Atomic bool said;
	bool look = region->elastic->pages[0] == NULL && !MAG_STAT(said);
	uint32_t part, parts = MAG_STAT(region->parts), trimmed = 0;
	uint64_t before = look ? heaps_size() : 0;

	for (part = 0; part < parts; part++)
		trimmed += part_trim(region, part, keep,
				     spare ? part_spare(region, part) : UINT32_MAX);
	if (look && trimmed > 0 && heaps_size() >= before && !atomic_exchange(&said, true))
		MAG_LOG(NOTICE,
			"region \"%s\": gave %u segments back to EAL, which keeps the hugepages "
			"(--legacy-mem, -m, --socket-mem, or in part of use)",
			region->name, trimmed);
	return trimmed;
}

unsigned int
mag_region_trim(struct mag_region *region, unsigned int keep)
{
	if (region->elastic == NULL || is_mirror(region) || is_kept(region) ||
	    pages_are_elsewhere(region))
		return 0;
	return region_trim(region, keep, false);
}

/* Tending */

void
mag_elastic_hunger(struct mag_region *region, uint32_t part)
{
	struct mag_elastic *elastic = region->elastic;
	uint32_t bit = UINT32_C(1) << part;

	RTE_BUILD_BUG_ON(MAG_PARTS_MAX > 32);
	/*
	 * Maintenance of that process cannot be told from here, and its own threads still have to.
	 */
	if (mag_elastic_is_elsewhere(region)) {
		if ((MAG_STAT(elastic->hungry_elsewhere) & bit) == 0)
			atomic_fetch_or_explicit(&elastic->hungry_elsewhere, bit,
						 memory_order_relaxed);
		return;
	}
	if (MAG_STAT(elastic->hungry) & bit || rte_rdtsc() < MAG_STAT(elastic->rest[part]) ||
	    MAG_STAT(region->segments) >= mag_elastic_segments_max(region))
		return;
	atomic_fetch_or_explicit(&elastic->hungry, bit, memory_order_relaxed);
	if (mag_elastic_observer != NULL)
		mag_elastic_observer();
}

/* Of intrinsic caches, which have no region to be hungry. */
static struct {
	_Atomic bool seen;
	_Atomic uint64_t rest; /* TSC until which another one is not told */
} shortage;

static uint64_t
rest_end(void)
{
	return rte_rdtsc() + rte_get_tsc_hz() / 1000 * REST_MS;
}

void
mag_elastic_shortage(void)
{
	if (mag_shortage_observer == NULL || rte_rdtsc() < MAG_STAT(shortage.rest))
		return;
	atomic_store_explicit(&shortage.rest, rest_end(), memory_order_relaxed);
	atomic_store_explicit(&shortage.seen, true, memory_order_relaxed);
	mag_shortage_observer();
}

/* False: the system has no more. */
static bool
part_feed(struct mag_region *region, uint32_t part)
{
	struct mag_elastic *elastic = region->elastic;
	uint32_t n, want = RTE_MAX(MAG_STAT(region->segments) / GROWTH, elastic->reserve);
	int ret = 0;

	for (n = 0; n < want && ret == 0; n++)
		ret = mag_elastic_grow(region, part);
	if (ret != -ENOMEM)
		return true;
	atomic_store_explicit(&elastic->rest[part], rest_end(), memory_order_relaxed);
	return false;
}

/* Still: what was short when it left word may have got segments back meanwhile. */
static bool
is_short(const struct mag_region *region, uint32_t part)
{
	return MAG_STAT(region->part[part].segments_free) < region->elastic->reserve;
}

/* Of any part: its caches have objects from each. */
static bool
has_free(const struct mag_region *region)
{
	uint32_t part, parts = MAG_STAT(region->parts);

	for (part = 0; part < parts; part++)
		if (MAG_STAT(region->part[part].segments_free) > 0)
			return true;
	return false;
}

/* False: the region has none free, and the system no more. */
static bool
region_feed(struct mag_region *region)
{
	struct mag_elastic *elastic = region->elastic;
	uint32_t hungry = atomic_exchange_explicit(&elastic->hungry, 0, memory_order_relaxed);
	bool fed = true;

	hungry |= atomic_exchange_explicit(&elastic->hungry_elsewhere, 0, memory_order_relaxed);
	for (; hungry != 0; hungry &= hungry - 1)
		if (is_short(region, rte_bsf32(hungry)))
			fed &= part_feed(region, rte_bsf32(hungry));
	return fed || has_free(region);
}

static void
region_tend(struct mag_region *region, uint64_t interval, struct mag_elastic_tended *tended)
{
	struct mag_elastic *elastic = region->elastic;
	uint64_t now = rte_rdtsc();

	tended->low |= !region_feed(region);
	if (is_kept(region))
		return;
	if (now - MAG_STAT(elastic->trim_last) >= interval) {
		region_trim(region, elastic->reserve, true);
		atomic_store_explicit(&elastic->trim_last, now, memory_order_relaxed);
	}
	tended->next = RTE_MIN(tended->next, MAG_STAT(elastic->trim_last) + interval);
}

struct tending {
	uint64_t interval;
	struct mag_elastic_tended tended;
};

static void
tend_visit(struct mag_region *region, void *arg)
{
	struct tending *tending = arg;

	region_tend(region, tending->interval, &tending->tended);
}

/* Without the lock, and yet nobody destroys the region that is visited. */
static void
regions_walk(void (*visit)(struct mag_region *region, void *arg), void *arg)
{
	struct mag_region *region, *next;

	mag_lock_wait(&regions_lock);
	for (region = TAILQ_FIRST(&regions); region != NULL; region = next) {
		region->elastic->tended++;
		mag_lock_release(&regions_lock);
		visit(region, arg);
		mag_lock_wait(&regions_lock);
		region->elastic->tended--;
		next = TAILQ_NEXT(region, elastic->link);
	}
	mag_lock_release(&regions_lock);
}

void
mag_elastic_forked(void)
{
	TAILQ_INIT(&regions);
	atomic_store_explicit(&regions_listed, 0, memory_order_relaxed);
	atomic_store_explicit(&regions_lock.holder, 0, memory_order_relaxed);
}

static void
process_set(struct mag_region *region)
{
	region->elastic->process = mag_process_id;
	region->elastic->pid = mag_process_pid;
}

bool
mag_elastic_take_over(struct mag_region *region, uint32_t from)
{
	if (region->elastic == NULL || region->elastic->process == mag_process_id)
		return true;
	if (region->elastic->process != from || mag_elastic_is_of_pages(region))
		return false;
	process_set(region);
	if (region->second != NULL)
		process_set(region->second);
	region->elastic->tended = 0;
	if (region->elastic->listed)
		region_list(region);
	return true;
}

uint32_t
mag_elastic_listed(void)
{
	return MAG_STAT(regions_listed);
}

struct mag_elastic_tended
mag_elastic_tend(uint64_t interval)
{
	struct tending tending = {interval, {.next = UINT64_MAX}};

	regions_walk(tend_visit, &tending);
	tending.tended.low |= atomic_exchange_explicit(&shortage.seen, false, memory_order_relaxed);
	return tending.tended;
}

static void
relieve_visit(struct mag_region *region, void *arg)
{
	RTE_SET_USED(arg);
	if (!is_kept(region))
		region_trim(region, region->elastic->reserve, false);
}

void
mag_elastic_relieve(void)
{
	regions_walk(relieve_visit, NULL);
}
