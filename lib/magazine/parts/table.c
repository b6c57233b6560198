/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#include <rte_bitops.h>
#include <rte_common.h>

#include "base/counter.h"
#include "base/lock.h"
#include "base/meta.h"
#include "parts/table.h"

#define TABLE_INITIAL 64u
#define TABLE_MAX 8192u

static uint32_t
size_for(uint64_t segments, uint32_t min)
{
	uint64_t size = UINT64_C(1) << (rte_fls_u64(3 * segments + 4) - 2);

	return (uint32_t)RTE_MIN(RTE_MAX(size, (uint64_t)min), (uint64_t)TABLE_MAX);
}

struct mag_table_entry **
mag_table_alloc(uint32_t size, int node)
{
	return mag_meta_zalloc(size * sizeof(struct mag_table_entry *), node);
}

int
mag_table_init(struct mag_table *table, uint64_t span, uint64_t segments, int node)
{
	table->shift = rte_log2_u64(span);
	table->min = size_for(segments, TABLE_INITIAL);
	atomic_init(&table->size, table->min);
	table->bucket = mag_table_alloc(table->min, node);
	return table->bucket != NULL ? 0 : -ENOMEM;
}

void
mag_table_fini(struct mag_table *table)
{
	mag_meta_free(table->bucket);
	table->bucket = NULL;
}

void
mag_table_clear(struct mag_table *table)
{
	uint32_t i, size = MAG_STAT(table->size);

	for (i = 0; i < size; i++)
		table->bucket[i] = NULL;
}

static void
entry_insert(struct mag_table *table, struct mag_table_entry *entry, uintptr_t granule)
{
	struct mag_table_entry **bucket = mag_table_bucket(table, granule);

	entry->next = *bucket;
	*bucket = entry;
}

static void
entry_remove(struct mag_table *table, struct mag_table_entry *entry, uintptr_t granule)
{
	struct mag_table_entry **at = mag_table_bucket(table, granule);

	while (*at != entry)
		at = &(*at)->next;
	*at = entry->next;
}

static uintptr_t
last_granule(const struct mag_table *table, const struct mag_segment *segment)
{
	return mag_segment_object(segment, segment->count - 1) >> table->shift;
}

void
mag_table_insert(struct mag_table *table, struct mag_segment *segment,
		 struct mag_table_entry entry[2])
{
	uintptr_t first = segment->base >> table->shift, last = last_granule(table, segment);

	entry[0].segment = segment;
	entry[1].segment = segment;
	entry_insert(table, &entry[0], first);
	if (last != first)
		entry_insert(table, &entry[1], last);
}

void
mag_table_remove(struct mag_table *table, struct mag_segment *segment,
		 struct mag_table_entry entry[2])
{
	uintptr_t first = segment->base >> table->shift, last = last_granule(table, segment);

	entry_remove(table, &entry[0], first);
	if (last != first)
		entry_remove(table, &entry[1], last);
}

static struct mag_segment *
granule_find_inside(const struct mag_table *table, uintptr_t granule, uintptr_t address,
		    uint32_t stride, uint32_t *index)
{
	const struct mag_table_entry *entry = *mag_table_bucket(table, granule);
	struct mag_segment *segment;

	for (; entry != NULL; entry = entry->next) {
		segment = entry->segment;
		if (address < segment->base ||
		    address >= mag_segment_object(segment, segment->count - 1) + stride)
			continue;
		*index = segment->stride != 0 ?
				 (uint32_t)((address - segment->base) / segment->stride) :
				 0;
		return segment;
	}
	return NULL;
}

/*
 * A segment has entries by where its objects begin: the last one may reach into the next granule.
 */
struct mag_segment *
mag_table_find_inside(const struct mag_table *table, uintptr_t address, uint32_t stride,
		      uint32_t *index)
{
	uintptr_t granule = address >> table->shift;
	struct mag_segment *segment = granule_find_inside(table, granule, address, stride, index);

	return segment != NULL ? segment :
				 granule_find_inside(table, granule - 1, address, stride, index);
}

/* Each segment is met in one bucket, that of its first granule. */
struct mag_segment *
mag_table_next(const struct mag_table *table, uint32_t bucket, uintptr_t base)
{
	struct mag_table_entry **at = &table->bucket[bucket];
	const struct mag_table_entry *entry;
	struct mag_segment *segment, *next = NULL;

	for (entry = *at; entry != NULL; entry = entry->next) {
		segment = entry->segment;
		if (segment->base >= base &&
		    mag_table_bucket(table, segment->base >> table->shift) == at &&
		    (next == NULL || segment->base < next->base))
			next = segment;
	}
	return next;
}

uint32_t
mag_table_size_wanted(const struct mag_table *table, uint32_t segments)
{
	uint32_t size = MAG_STAT(table->size), mask = size - 1, want;

	if (!(segments > 2 * mask && size < TABLE_MAX) &&
	    !(segments < mask / 2 && size > table->min))
		return 0;
	want = size_for(segments, table->min);
	return want >= size / 2 && want <= size * 2 ? 0 : want;
}

struct mag_table_entry **
mag_table_replace(struct mag_table *table, struct mag_table_entry **bucket, uint32_t size)
{
	struct mag_table_entry **old = table->bucket;
	bool larger = size > MAG_STAT(table->size);

	/* Never a size that the buckets do not have, even if this thread is killed in between. */
	if (!larger)
		atomic_store_explicit(&table->size, size, memory_order_relaxed);
	mag_commit();
	table->bucket = bucket;
	mag_commit();
	atomic_store_explicit(&table->size, size, memory_order_relaxed);
	return old;
}
