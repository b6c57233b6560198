/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_MIRROR_H
#define MAG_MIRROR_H

/**
 * @file
 * Mirrors: memory beside the objects. An object and its mirror are found from each other in a few
 * instructions, nothing is stored in the object. There are two forms of them.
 *
 * *Bytes beside the objects*: as many bytes for each object as the region was made with
 * (mag_region_params::mirror, option `mirror`), up to MAG_MIRROR_MAX, in EAL's memory, on the
 * object's node. Objects may lie anywhere, as those of a mempool do. Mirrors of up to 56 bytes lie
 * in one cache line each, when they are larger they begin with one (56, 120, 184 ... bytes fill
 * lines: 8 bytes more are the way back).
 *
 * *A mirror region*: a second region, of objects of any size and alignment, with a mode, a node
 * and pages of its own, made for an elastic region (mag_region_mirror_create()). Its segment i
 * comes and goes with segment i of the first, and its object j is the mirror of object j there.
 * Nothing is stored in it.
 *
 * A mirror is there as long as its object's memory is in the region, whether the object is
 * allocated or free, and is zeroed when that memory comes. Mirrors in EAL's memory are at the same
 * address in all processes.
 *
 * All functions here may be called from any thread and process, on the data path too.
 */

#include <stddef.h>
#include <stdint.h>

#include "mag_compiler.h"
#include "mag_memtag.h"

MAG_EXPORTED_BEGIN
#ifdef __cplusplus
extern "C" {
#endif

/** Most bytes of a mirror beside its object; objects of a mirror region may be larger. */
#define MAG_MIRROR_MAX 4096u

/** log2 of the bytes of object memory that one entry of the table is for. */
#define MAG_MIRROR_SHIFT 21

/** Where the mirrors of the objects are that begin in one granule of 2 MiB. */
struct mag_mirror_entry {
	uintptr_t granule; /**< mag_mirror_granule(); 0: none, and none behind it; 1: none */
	char *mirrors;     /**< the first one */
};

MAG_FLEXIBLE_BEGIN

/** A hash table with open addressing. Not for users. */
struct mag_mirror_table {
	struct mag_mirror_table *older;  /**< kept for who still looks at it */
	uint32_t used;                   /**< entries that are not 0 */
	uint32_t mask;                   /**< entries, less one */
	struct mag_mirror_entry entry[]; /**< the table */
};

/**
 * Where the objects lead that begin in one granule of addresses, of at most two segments: to
 * base + index * stride, index = offset in the granule * reciprocal >> 42. Not for users.
 */
struct mag_mirror_piece {
	uintptr_t granule; /**< (address >> shift) + 2; 0: none, and none behind it; 1: none */
	uintptr_t below;   /**< base of the segment that begins before the granule; 0: none */
	uintptr_t from;    /**< base of the segment that begins in the granule */
	uint64_t split;    /**< offset of that one's first object; UINT64_MAX: none */
};

/** A hash table with open addressing, and room for all that there can be. Not for users. */
struct mag_mirror_pieces {
	uint64_t mask;                   /**< pieces, less one */
	struct mag_mirror_piece piece[]; /**< the table */
};

MAG_FLEXIBLE_END

/** One direction between a region and its mirror region. Never changes. Not for users. */
struct mag_mirror_way {
	struct mag_mirror_pieces *pieces; /**< by granule */
	uint64_t reciprocal;              /**< of the distance of objects here */
	uint32_t shift;                   /**< log2 of a granule's bytes, 21 at most */
	uint32_t low;                     /**< a granule's bytes, less one */
	uint64_t stride;                  /**< from object to object there */
};

/** How to find mirrors. All but the table never changes. */
struct mag_mirror {
	struct mag_mirror_table *table; /**< NULL: a mirror region; found by the ways below */
	uint64_t reciprocal; /**< of the distance of objects: index = offset * reciprocal >> 42 */
	uint32_t stride;     /**< from mirror to mirror */
	uint32_t bytes;      /**< that are the user's */
	uint32_t back;       /**< offset of the pointer to the object; 0: a mirror region */
	uint32_t reserved;   /**< 0 */
	struct mag_mirror_way there; /**< from an object to its mirror */
	struct mag_mirror_way home;  /**< and from the mirror to the object */
};

struct mag_region;

/**
 * How to find the mirrors of a region's objects, of either form; NULL when it has none. Lives as
 * long as the region.
 */
const struct mag_mirror *mag_region_mirror(const struct mag_region *region);

/** The granule of an address: not 0, and not 1. Not for users. */
static inline uintptr_t
mag_mirror_granule(uintptr_t address)
{
	return (address >> MAG_MIRROR_SHIFT) + 2;
}

/** Where a granule's entry is, or the search for it begins. Not for users. */
static inline uint64_t
mag_mirror_hash(uintptr_t granule, uint64_t mask)
{
	return (granule * UINT64_C(0x9E3779B97F4A7C15)) >> 32 & mask;
}

/** The same in a table. Not for users. */
static inline uint64_t
mag_mirror_place(const struct mag_mirror_table *table, uintptr_t granule)
{
	return mag_mirror_hash(granule, table->mask);
}

/** The entry of a granule that is not at its place; NULL: there is none. Not for users. */
MAG_COLD const struct mag_mirror_entry *
mag_mirror_search(const struct mag_mirror_table *table, uintptr_t granule)
{
	uint64_t left = table->mask, i = mag_mirror_place(table, granule);
	uintptr_t found;

	/* acquire: who finds the granule finds its mirrors */
	while ((found = MAG_LOAD(&table->entry[i].granule, MAG_ACQUIRE)) != granule) {
		if (found == 0 || left-- == 0)
			return NULL;
		i = (i + 1) & table->mask;
	}
	return &table->entry[i];
}

/** The same for a piece. Not for users. */
MAG_COLD const struct mag_mirror_piece *
mag_mirror_piece_search(const struct mag_mirror_pieces *pieces, uintptr_t granule)
{
	uint64_t left = pieces->mask, i = mag_mirror_hash(granule, left);
	uintptr_t found;

	/* acquire: who finds the granule finds where it leads to */
	while ((found = MAG_LOAD(&pieces->piece[i].granule, MAG_ACQUIRE)) != granule) {
		if (found == 0 || left-- == 0)
			return NULL;
		i = (i + 1) & pieces->mask;
	}
	return &pieces->piece[i];
}

/**
 * Where an object leads to in the other one of two regions; NULL for addresses far from any.
 * Not for users.
 */
static inline void *
mag_mirror_across(const struct mag_mirror_way *way, uintptr_t address)
{
	const struct mag_mirror_pieces *pieces = way->pieces;
	uintptr_t granule = (address >> way->shift) + 2, base;
	const struct mag_mirror_piece *piece =
		&pieces->piece[mag_mirror_hash(granule, pieces->mask)];
	uint64_t offset = address & way->low;

	/* acquire: who finds the granule finds where it leads to */
	if (MAG_UNLIKELY(MAG_LOAD(&piece->granule, MAG_ACQUIRE) != granule)) {
		piece = mag_mirror_piece_search(pieces, granule);
		if (piece == NULL)
			return NULL;
	}
	base = offset >= MAG_LOAD(&piece->split, MAG_RELAXED) ?
		       MAG_LOAD(&piece->from, MAG_RELAXED) :
		       MAG_LOAD(&piece->below, MAG_RELAXED);
	return (void *)(base + (offset * way->reciprocal >> 42) * way->stride);
}

/**
 * The mirror of an object.
 *
 * @param mirror
 *   Of the region: mag_region_mirror(), or rte_mempool_magazine_mirror().
 * @param object
 *   The address of an object of the region, allocated or free.
 * @return
 *   Its mirror; NULL for addresses far from any object of the region. Other addresses between
 *   objects are not noticed.
 */
static inline void *
mag_mirror_of(const struct mag_mirror *mirror, const void *object)
{
	/* acquire: who has the object may have it from a thread that knows a newer table */
	const struct mag_mirror_table *table = MAG_LOAD(&mirror->table, MAG_ACQUIRE);
	uintptr_t address = mag_memtag_strip((uintptr_t)object), granule;
	const struct mag_mirror_entry *entry;
	uint64_t offset;

	if (MAG_UNLIKELY(table == NULL))
		return mag_mirror_across(&mirror->there, address);
	granule = mag_mirror_granule(address);
	offset = address & ((UINT64_C(1) << MAG_MIRROR_SHIFT) - 1);
	entry = &table->entry[mag_mirror_place(table, granule)];
	if (MAG_UNLIKELY(MAG_LOAD(&entry->granule, MAG_ACQUIRE) != granule)) {
		entry = mag_mirror_search(table, granule);
		if (entry == NULL)
			return NULL;
	}
	return entry->mirrors + (offset * mirror->reciprocal >> 42) * mirror->stride;
}

/**
 * The object of a mirror, which is one that mag_mirror_of() returned. In a MEMTAG region the
 * pointer has the tag that the object got last.
 */
static inline void *
mag_mirror_object(const struct mag_mirror *mirror, const void *its)
{
	void *object;

	if (mirror->back == 0)
		return mag_mirror_across(&mirror->home, (uintptr_t)its);
	MAG_COPY(&object, (const char *)its + mirror->back, sizeof(object));
	return object;
}

#ifdef __cplusplus
}
#endif
MAG_EXPORTED_END

#endif /* MAG_MIRROR_H */
