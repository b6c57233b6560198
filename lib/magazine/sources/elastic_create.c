/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Elastic regions, and mirror regions for them, are made and destroyed.
 *
 * An elastic region: modes are checked, objects are laid out (elastic.c), the records are made,
 * with a place for each segment that there may ever be; then the parts, the map, addresses for
 * ordinary pages, and the reserve of each part. Some nodes may have no memory, but not all. Last it
 * enters the list that maintenance services.
 *
 * A mirror region is laid out in the same way, but is on no list and has no places: its segments
 * have the indices of its first region's. That one is taken off the list meanwhile, so that no
 * segment comes or goes while each of those that there are gets its mirror.
 */

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/queue.h>

#include <rte_common.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_lcore.h>
#include <rte_memory.h>

#include "base/counter.h"
#include "base/lcores.h"
#include "base/log.h"
#include "base/memtag.h"
#include "base/meta.h"
#include "base/numa.h"
#include "base/process.h"
#include "parts/map.h"
#include "parts/mirror.h"
#include "sources/elastic.h"
#include "sources/elastic_create.h"
#include "sources/elastic_grow.h"
#include "sources/elastic_memory.h"
#include "sources/elastic_service.h"

/* Parts */

static int
memseg_list_add(const struct rte_memseg_list *list, void *arg)
{
	struct mag_map *map = arg;

	if (list->external)
		return 0;
	map->at[map->count++] =
		(struct mag_map_begin){(uintptr_t)list->base_va, (uint32_t)list->socket_id};
	return 0;
}

static int
begin_compare(const void *left, const void *right)
{
	const struct mag_map_begin *a = left, *b = right;

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
	struct mag_map *map;

	if (parts == 1)
		return 0;
	map = mag_map_alloc((uint32_t)RTE_MAX(RTE_MAX_MEMSEG_LISTS, MAG_PARTS_MAX),
			    region->part[0].node);
	if (map == NULL)
		return -ENOMEM;
	if (region->elastic->pages[0] == NULL) {
		rte_memseg_list_walk(memseg_list_add, map);
		for (i = 0; i < map->count; i++)
			map->at[i].part = part_known(region, (int)map->at[i].part);
	} else {
		for (i = 0; i < parts; i++)
			map->at[map->count++] =
				(struct mag_map_begin){(uintptr_t)region->elastic->pages[i], i};
	}
	qsort(map->at, map->count, sizeof(map->at[0]), begin_compare);
	mag_map_publish(&region->map, map);
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

/* Elastic regions */

/* And the reserve of each part: some nodes may have no memory, but not all. */
static const char *
memory_make(struct mag_region *region)
{
	int error = 0;

	if ((mag_elastic_wants_pages(region) && mag_elastic_pages_reserve(region) != 0) ||
	    map_make(region) != 0)
		return "no memory or addresses for its records: give EAL more memory";
	if (mag_elastic_grow_parts(region, region->elastic->reserve, &error) == 0)
		return "no memory for a segment: reserve more hugepages";
	return NULL;
}

static int
modes_check(const struct mag_region *region, const struct mag_region_params *params)
{
	if (mag_elastic_is_tagged(region) && mag_memtag_missing() != NULL)
		return mag_elastic_layout_error(region, params, mag_memtag_missing(), ENOTSUP);
	if (params->mode & MAG_REGION_PHYSCONTIG &&
	    params->mode & (MAG_REGION_REDZONE | MAG_REGION_MEMTAG))
		return mag_elastic_layout_error(
			region, params,
			"REDZONE and MEMTAG are of ordinary pages, which are not PHYSCONTIG",
			ENOTSUP);
	if (params->mode & MAG_REGION_PHYSCONTIG && !rte_eal_has_hugepages())
		return mag_elastic_layout_error(region, params, "PHYSCONTIG needs hugepages",
						ENOTSUP);
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
		return mag_elastic_layout_error(region, params, "no memory for its records",
						ENOMEM);
	region->elastic->objects = params->objects;
	region->elastic->nodes = mag_elastic_nodes_of(params);
	region->elastic->segments_all = segments;
	region->elastic->segment_bytes = mag_elastic_segment_bytes(region);
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
	if (mag_elastic_layout(region, params, &objects) != 0)
		return -EINVAL;
	if ((region->mode & MAG_REGION_MONOLITHIC) == 0)
		objects = mag_elastic_room(region, params->objects, mag_elastic_nodes_of(params),
					   MAG_LCORES_MAX);
	segments = (objects + region->block - 1) / region->block;
	if (segments > UINT32_MAX)
		return mag_elastic_layout_error(region, params, "that needs too many segments",
						EINVAL);
	if (elastic_make(region, params, (uint32_t)segments, (uint32_t)segments) != 0)
		return -ENOMEM;
	elastic = region->elastic;
	elastic->reserve = RTE_MIN(RTE_MAX(params->reserve, 1u), mag_elastic_segments_max(region));
	if (parts_make(region, params->node) != 0)
		return -EINVAL;
	if (mag_region_mirror_make(region, params->mirror,
				   segments * (elastic->segment_bytes / MAG_ELASTIC_PAGE + 2)) != 0)
		return -ENOMEM;
	missing = memory_make(region);
	if (missing != NULL)
		return mag_elastic_layout_error(region, params, missing, ENOMEM);
	mag_elastic_list(region);
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
	return mag_elastic_pitch(region) - mag_elastic_slack(region);
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
				ret = mag_elastic_second_take(first, segment);
	if (ret == 0) {
		region->first = first;
		region->references++;
		return 0;
	}
	for (part = 0; part < parts; part++)
		TAILQ_FOREACH(segment, &first->part[part].whole, link)
			if (segment->second != NULL)
				mag_elastic_second_give(first, segment);
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
	if (mag_elastic_layout(region, params, &objects) != 0)
		return -EINVAL;
	if (elastic_make(region, params, first->elastic->segments_all, 0) != 0)
		return -ENOMEM;
	if (mirror_parts_make(region, first, params->node) != 0)
		return -EINVAL;
	if ((mag_elastic_wants_pages(region) && mag_elastic_pages_reserve(region) != 0) ||
	    pair_make(region, first) != 0)
		return mag_elastic_layout_error(
			region, params,
			"no memory or addresses for its records: give EAL more memory", ENOMEM);
	/* The first region is not serviced meanwhile. */
	mag_elastic_unlist(first);
	ret = mirror_bind(region, first);
	mag_elastic_list(first);
	return ret == 0 ?
		       0 :
		       mag_elastic_layout_error(region, params,
						"no memory for a segment: reserve more hugepages",
						ENOMEM);
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

	mag_elastic_unlist(region);
	for (part = 0; part < parts; part++)
		mag_elastic_trim_part(region, part, 0, UINT32_MAX);
	mag_elastic_pages_release(region);
	mirror_unbind(region->second);
	region->elastic = NULL;
	mag_meta_free(elastic);
}
