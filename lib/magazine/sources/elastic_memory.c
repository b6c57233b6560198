/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_malloc.h>
#include <rte_memzone.h>

#include "base/counter.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/memtag.h"
#include "base/numa.h"
#include "base/poison.h"
#include "sources/elastic.h"
#include "sources/elastic_memory.h"

/* The kernel's, from Linux 5.18 on: of pages that mlockall(2) has locked, too. */
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

/* Ordinary pages */

static size_t
page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
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
	return region->mode & MAG_REGION_REDZONE ? page_size() : 0;
}

static size_t
pages_total(const struct mag_region *region)
{
	size_t guard = guard_span(region);

	return guard + region->elastic->segments_all * (pages_span(region) + guard);
}

/* Addresses alone: memory comes with each segment. */
int
mag_elastic_pages_reserve(struct mag_region *region)
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

void
mag_elastic_pages_release(struct mag_region *region)
{
	struct mag_elastic *elastic = region->elastic;
	uint32_t part;

	for (part = 0; part < MAG_PARTS_MAX; part++)
		if (elastic->pages[part] != NULL)
			munmap(elastic->pages[part] - guard_span(region), pages_total(region));
}

uint64_t
mag_elastic_pitch(const struct mag_region *region)
{
	return region->elastic->pages[0] != NULL ?
		       pages_span(region) + guard_span(region) :
		       region->elastic->segment_bytes + MAG_ELASTIC_ELEMENT;
}

static void *
pages_take(const struct mag_region *region, uint32_t part, uint32_t index)
{
	size_t span = pages_span(region);
	char *addr = region->elastic->pages[part] + index * (span + guard_span(region));
	int tags = mag_elastic_is_tagged(region) ? mag_memtag_prot() : 0;

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

	if (mag_elastic_is_tagged(region))
		mag_memtag_restore(segment->base, (size_t)region->block * region->stride);
	if (madvise(segment, span, MADV_DONTNEED) != 0 &&
	    madvise(segment, span, MADV_DONTNEED_LOCKED) != 0) {
		if (!atomic_exchange(&said, true))
			MAG_LOG(ERR,
				"region \"%s\": the system does not take %zu bytes back "
				"(madvise: %s): they are kept for the next segment; memory that "
				"mlockall() locked needs Linux 5.18",
				region->name, span, strerror(errno));
		return false;
	}
	/*
	 * Should this fail, a stray access meets pages of zeros instead of a fault: they hold
	 * nothing any more.
	 */
	mprotect(segment, span, PROT_NONE);
	return true;
}

/* Memory of each kind */

static void
memzone_name(const struct mag_region *region, uint32_t index, char name[RTE_MEMZONE_NAMESIZE])
{
	snprintf(name, RTE_MEMZONE_NAMESIZE, "mag_%" PRIxPTR "_%x", (uintptr_t)region, index);
}

void *
mag_elastic_memory_take(const struct mag_region *region, uint32_t part, uint32_t index)
{
	char name[RTE_MEMZONE_NAMESIZE];
	int node = region->part[part].node;
	const struct rte_memzone *zone;

	if (mag_fault_strikes())
		return NULL;
	if (region->elastic->pages[part] != NULL)
		return pages_take(region, part, index);
	if ((region->mode & MAG_REGION_PHYSCONTIG) == 0)
		return (mag_elastic_is_mirror(region) ? rte_zmalloc_socket : rte_malloc_socket)(
			"magazine", region->elastic->segment_bytes, 0, node);
	memzone_name(region, index, name);
	zone = rte_memzone_reserve_aligned(name, region->elastic->segment_bytes, node,
					   RTE_MEMZONE_IOVA_CONTIG, MAG_ELASTIC_ALIGN);
	return zone != NULL ? zone->addr : NULL;
}

/* False: the system has not taken it back. */
bool
mag_elastic_memory_give(const struct mag_region *region, struct mag_segment *segment)
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
