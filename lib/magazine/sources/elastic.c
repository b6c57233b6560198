/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <inttypes.h>

#include <rte_bitops.h>
#include <rte_eal.h>

#include "base/lcores.h"
#include "base/log.h"
#include "base/memtag.h"
#include "base/numa.h"
#include "base/poison.h"
#include "base/process.h"
#include "parts/type.h"
#include "sources/elastic.h"

/* Segments of up to so many pages, until no more than an eighth is left over. */
#define PAGES_MAX 32
#define ALIGN_MIN 8u
#define OBJECTS_MAX (UINT64_C(1) << 40)
/* Of all objects together: more than an address space has, and no sum of sizes overflows. */
#define BYTES_MAX (UINT64_C(1) << 47)

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

/* Layout */

/* Hugepages have neither tags nor guards. */
bool
mag_elastic_wants_pages(const struct mag_region *region)
{
	return !rte_eal_has_hugepages() || region->mode & (MAG_REGION_REDZONE | MAG_REGION_MEMTAG);
}

size_t
mag_elastic_slack(const struct mag_region *region)
{
	return (region->align > MAG_ELASTIC_ALIGN ? region->align - MAG_ELASTIC_ALIGN : 0) +
	       (mag_elastic_is_tagged(region) ? MAG_MEMTAG_GRANULE : 0);
}

static size_t
overhead(const struct mag_region *region)
{
	return MAG_ELASTIC_RECORD + MAG_CONTROL_SEGMENT + MAG_CONTROL_ALIGN +
	       mag_elastic_slack(region);
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

size_t
mag_elastic_control_size(const struct mag_region *region)
{
	return mag_elastic_is_mirror(region) ? 0 : mag_segment_control_size(region->block);
}

/* Objects of a segment of as few pages as leave little over. */
static uint64_t
block_of_pages(const struct mag_region *region)
{
	size_t bytes;
	uint64_t objects;
	unsigned int pages;

	for (pages = 1; pages <= PAGES_MAX; pages++) {
		bytes = pages * MAG_ELASTIC_PAGE - MAG_ELASTIC_ELEMENT;
		objects = objects_in(region, bytes);
		if (objects > 0 && bytes - bytes_for(region, objects) <= bytes / 8)
			return objects;
	}
	bytes = RTE_ALIGN_CEIL(bytes_for(region, 1) + MAG_ELASTIC_ELEMENT, MAG_ELASTIC_PAGE) -
		MAG_ELASTIC_ELEMENT;
	return objects_in(region, bytes);
}

int
mag_elastic_layout_error(const struct mag_region *region, const struct mag_region_params *params,
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
uint32_t
mag_elastic_nodes_of(const struct mag_region_params *params)
{
	return params->mode & MAG_REGION_MONOLITHIC || params->node != MAG_NODE_ANY ?
		       1 :
		       (uint32_t)mag_numa_nodes();
}

uint64_t
mag_elastic_room(const struct mag_region *region, uint64_t objects, uint32_t nodes, uint32_t lcores)
{
	if (region->mode & (MAG_REGION_NOMAGAZINES | MAG_REGION_MIRRORED))
		return objects;
	return objects + mag_type_objects_max(region->object_size, lcores, nodes);
}

/* Objects of a segment that these parameters ask for; 0: none fits. */
static uint64_t
block_choose(const struct mag_region *region, const struct mag_region_params *params,
	     uint64_t objects)
{
	if (region->mode & MAG_REGION_MONOLITHIC)
		return objects;
	if (params->block != 0)
		return params->block;
	if (params->segment_size != 0)
		return objects_in(region, params->segment_size);
	return block_of_pages(region);
}

int
mag_elastic_layout(struct mag_region *region, const struct mag_region_params *params,
		   uint64_t *objects)
{
	uint64_t block;

	region->align = params->align != 0 ? params->align : ALIGN_MIN;
	if (!rte_is_power_of_2(region->align) || region->align > MAG_ELASTIC_PAGE)
		return mag_elastic_layout_error(
			region, params, "the alignment must be a power of two of at most 2 MiB",
			EINVAL);
	region->align = RTE_MAX(region->align,
				mag_elastic_is_tagged(region) ? MAG_MEMTAG_GRANULE : ALIGN_MIN);
	if (region->stride > UINT32_MAX / 2 || params->objects > OBJECTS_MAX ||
	    params->objects > BYTES_MAX / region->stride)
		return mag_elastic_layout_error(region, params, "that is too much", EINVAL);
	region->object_size = RTE_ALIGN_CEIL(region->object_size, region->align);
	if ((mag_poison_wanted() || region->mode & MAG_REGION_CHECK) &&
	    !mag_elastic_is_mirror(region))
		region->stride += MAG_POISON_GAP;
	region->stride = RTE_ALIGN_CEIL(region->stride, region->align);
	mag_lcores_look();
	*objects = mag_elastic_room(region, params->objects, mag_elastic_nodes_of(params),
				    mag_lcores());
	block = block_choose(region, params, *objects);
	if (block == 0)
		return mag_elastic_layout_error(region, params,
						"no object fits a segment of that size", EINVAL);
	if (region->mode & MAG_REGION_MONOLITHIC && block > MAG_REGION_BLOCK_MAX)
		return mag_elastic_layout_error(
			region, params,
			"one segment cannot hold more than 65534 objects, those that "
			"magazines can hold included",
			EINVAL);
	/* In 64 bits: both may have more than a block's 32. */
	block = RTE_MIN(block, *objects);
	region->block = (uint32_t)RTE_MIN(block, (uint64_t)MAG_REGION_BLOCK_MAX);
	return 0;
}

/*
 * What is left over of a segment's last hugepage is the segment's too, unless that is much of it:
 * an allocation of somebody else's in there would keep the page when the segment goes.
 */
size_t
mag_elastic_segment_bytes(const struct mag_region *region)
{
	size_t bytes = MAG_ELASTIC_RECORD + mag_elastic_control_size(region) +
		       mag_elastic_slack(region) + (size_t)region->block * region->stride;
	size_t whole =
		RTE_ALIGN_CEIL(bytes + MAG_ELASTIC_ELEMENT, MAG_ELASTIC_PAGE) - MAG_ELASTIC_ELEMENT;

	return mag_elastic_wants_pages(region) || whole - bytes > whole / 8 ? bytes : whole;
}

uint32_t
mag_elastic_segments_max(const struct mag_region *region)
{
	const struct mag_elastic *elastic = region->elastic;
	uint64_t objects;

	if (region->first != NULL)
		return mag_elastic_segments_max(region->first);
	objects = mag_elastic_room(region, elastic->objects, elastic->nodes, mag_lcores());

	return (uint32_t)RTE_MIN((objects + region->block - 1) / region->block,
				 elastic->segments_all);
}
