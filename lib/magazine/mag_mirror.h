/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_MIRROR_H
#define MAG_MIRROR_H

/**
 * @file
 * Mirrors: memory beside the objects, as many bytes for each of them as the region was made
 * with, on their node. An object and its mirror are found from each other in a few
 * instructions, nothing is stored in the object.
 *
 * A mirror is there as long as its object's memory is in the region, whether the object is
 * allocated or free, and is zeroed when that memory comes. It lies in EAL's memory, at the same
 * address in all processes. Mirrors of up to 56 bytes lie in one cache line each, when they are larger
 * they begin with one (56, 120, 184 ... bytes fill lines: 8 bytes more are the way back).
 *
 * All functions here may be called from any thread and process, on the data path too.
 */

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Most bytes of a mirror. */
#define MAG_MIRROR_MAX 4096u

/** log2 of the bytes of object memory that one entry of the table is for. */
#define MAG_MIRROR_SHIFT 21

/** Where the mirrors of the objects are that begin in one granule of 2 MiB. */
struct mag_mirror_entry {
	uintptr_t granule; /**< mag_mirror_granule(); 0: none, and none behind it; 1: none */
	char *mirrors;
};

/** A hash table with open addressing. Not for users. */
struct mag_mirror_table {
	struct mag_mirror_table *older; /**< kept for who still looks at it */
	uint32_t used;                  /**< entries that are not 0 */
	uint32_t mask;
	struct mag_mirror_entry entry[];
};

/** How to find mirrors. All but the table never changes. */
struct mag_mirror {
	struct mag_mirror_table *table;
	uint64_t reciprocal; /**< of the distance of objects: index = offset * reciprocal >> 42 */
	uint32_t stride;     /**< from mirror to mirror */
	uint32_t bytes;      /**< that are the user's */
	uint32_t back;       /**< offset of the pointer to the object */
};

struct mag_region;

/** How to find the mirrors of a region's objects; NULL when it has none. Lives as long as it. */
const struct mag_mirror *mag_region_mirror(const struct mag_region *region);

/**
 * An address without the tag that its pointer may have, on AArch64, in the upper byte: what look-ups are
 * about. Not for users.
 */
static inline uintptr_t
mag_memtag_strip(uintptr_t address)
{
#if defined(__aarch64__)
	return address & (UINTPTR_MAX >> 8);
#else
	return address;
#endif
}

/** The granule of an address: not 0, and not 1. Not for users. */
static inline uintptr_t
mag_mirror_granule(uintptr_t address)
{
	return (address >> MAG_MIRROR_SHIFT) + 2;
}

/** Where a granule's entry is, or the search for it begins. Not for users. */
static inline uint32_t
mag_mirror_place(const struct mag_mirror_table *table, uintptr_t granule)
{
	return (uint32_t)((granule * UINT64_C(0x9E3779B97F4A7C15)) >> 32) & table->mask;
}

/**
 * The mirror of an object.
 *
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
	const struct mag_mirror_table *table = __atomic_load_n(&mirror->table, __ATOMIC_ACQUIRE);
	uintptr_t address = mag_memtag_strip((uintptr_t)object);
	uintptr_t granule = mag_mirror_granule(address), found;
	uint64_t offset = address & ((UINT64_C(1) << MAG_MIRROR_SHIFT) - 1);
	uint32_t i = mag_mirror_place(table, granule);
	uint32_t left = table->mask + 1;

	do {
		found = __atomic_load_n(&table->entry[i].granule, __ATOMIC_ACQUIRE);
		if (__builtin_expect(found == granule, 1))
			return table->entry[i].mirrors +
			       (offset * mirror->reciprocal >> 42) * mirror->stride;
		i = (i + 1) & table->mask;
	} while (found != 0 && --left != 0);
	return NULL;
}

/**
 * The object of a mirror, which is one that mag_mirror_of() returned. In a MEMTAG region the pointer has the tag that the
 * object got last.
 */
static inline void *
mag_mirror_object(const struct mag_mirror *mirror, const void *its)
{
	void *object;

	__builtin_memcpy(&object, (const char *)its + mirror->back, sizeof(object));
	return object;
}

#ifdef __cplusplus
}
#endif

#endif /* MAG_MIRROR_H */
