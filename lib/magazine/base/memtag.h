/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_MEMTAG_H
#define MAG_MEMTAG_H

/*
 * Memory tags (specification, Memory tagging): the memory tagging extension of AArch64.
 *
 * Each 16 bytes of memory that was mapped for it have a tag of 4 bits, and so has a pointer, in
 * bits 59 to 56. In a thread that checks (mag_memtag_enable()) a load or store whose tags differ
 * faults. Memory begins with tag 0, and so do pointers that were computed: objects never have it.
 *
 * Tags are chosen here and not by the processor's IRG, which gives 0 in threads that do not check.
 */

#include <stddef.h>
#include <stdint.h>

/** Bytes that have one tag. */
#define MAG_MEMTAG_GRANULE 16u

/** Why there are no tags here, as a part of a sentence; NULL: there are. */
const char *mag_memtag_missing(void);
/** What mmap() and mprotect() have to be told for memory with tags. */
int mag_memtag_prot(void);

/*
 * All below: whole granules of memory that was mapped so; nothing happens where there are no tags.
 */

/** The pointer to an address that matches its tag. */
void *mag_memtag_pointer(const void *address);
/**
 * Another tag for an object: not the one it has, nor, as far as they stay as they are, those of the
 * granules before and behind it, which must be mapped so too.
 *
 * @param object
 *   With any tag.
 * @return
 *   The pointer that matches.
 */
void *mag_memtag_fresh(const void *object, size_t bytes);
/** Memory gets back the tag that it began with. */
void mag_memtag_restore(uintptr_t base, size_t bytes);

#endif /* MAG_MEMTAG_H */
