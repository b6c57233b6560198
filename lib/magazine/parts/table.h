/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_TABLE_H
#define MAG_TABLE_H

/*
 * The table of allocated addresses (specification, The address table): from an address to the
 * segment that has it, and the index of the object.
 *
 * A hash table of granules, powers of two of bytes that no segment spans more than one of: so a
 * segment has objects in two granules at most, and one or two entries. Whoever enters a segment has
 * the memory of its entries. An address is looked up by the granule that it is in, and the segments
 * there are few.
 *
 * The table has no lock: that of the slab layer guards it. Its size is also read without.
 */

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/counter.h"
#include "mag_memtag.h"
#include "parts/segment.h"

struct mag_table_entry {
	struct mag_table_entry *next;
	struct mag_segment *segment;
};

struct mag_table {
	struct mag_table_entry **bucket;
	_Atomic uint32_t size; /**< buckets, a power of two */
	uint32_t min;          /**< size that it never falls below; never changes */
	uint32_t shift;        /**< log2 of a granule; never changes */
};

/**
 * @param span
 *   Bytes that a segment spans at the most.
 * @param segments
 *   How many to expect; 0 = not known.
 * @return
 *   0, or -ENOMEM.
 */
int mag_table_init(struct mag_table *table, uint64_t span, uint64_t segments, int node);
void mag_table_fini(struct mag_table *table);
/** Forget all segments. */
void mag_table_clear(struct mag_table *table);

/** Enter a segment, by two entries that are its own as long as it is in the table. */
void mag_table_insert(struct mag_table *table, struct mag_segment *segment,
		      struct mag_table_entry entry[2]);
void mag_table_remove(struct mag_table *table, struct mag_segment *segment,
		      struct mag_table_entry entry[2]);

/** The bucket of a granule. */
static inline struct mag_table_entry **
mag_table_bucket(const struct mag_table *table, uintptr_t granule)
{
	return &table->bucket[granule & (MAG_STAT(table->size) - 1)];
}

/** The segment with an object at this address, which may have a tag, and its index; or NULL. */
static inline struct mag_segment *
mag_table_find(const struct mag_table *table, uintptr_t address, uint32_t *index)
{
	const struct mag_table_entry *entry;

	address = mag_memtag_strip(address);
	entry = *mag_table_bucket(table, address >> table->shift);
	for (; entry != NULL; entry = entry->next)
		if (mag_segment_index(entry->segment, address, index))
			return entry->segment;
	return NULL;
}

/** The segment whose objects, or the gaps of a stride between them, have this address; or NULL. */
struct mag_segment *mag_table_find_inside(const struct mag_table *table, uintptr_t address,
					  uint32_t stride, uint32_t *index);
/**
 * For a walk over all segments, bucket by bucket and there by ascending address: the first one of a
 * bucket whose first object is at base or above; NULL: the bucket has no more.
 */
struct mag_segment *mag_table_next(const struct mag_table *table, uint32_t bucket, uintptr_t base);

/** Buckets for so many segments; 0: the table has the right size. */
uint32_t mag_table_size_wanted(const struct mag_table *table, uint32_t segments);
/** So many empty buckets; NULL: no memory. */
struct mag_table_entry **mag_table_alloc(uint32_t size, int node);
/**
 * Go on with these, and none of the segments; returns those that there were, for mag_meta_free().
 */
struct mag_table_entry **mag_table_replace(struct mag_table *table, struct mag_table_entry **bucket,
					   uint32_t size);

#endif /* MAG_TABLE_H */
