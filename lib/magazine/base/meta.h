/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_META_H
#define MAG_META_H

/*
 * Memory for metadata: caches, slots, magazines, records of segments and objects.
 *
 * It is of EAL's shared heap, mapped at the same address in every process of the DPDK
 * application, and never of an external heap. Each allocation may be made to fail: fault.h.
 */

#include <stdbool.h>
#include <stddef.h>

/**
 * Metadata memory, zeroed, aligned to 128 bytes.
 *
 * @param node
 *   Preferred node; a heap id of an external heap counts as MAG_NODE_ANY.
 * @return
 *   NULL when no node has the memory, or when a fault is injected.
 */
void *mag_meta_zalloc(size_t size, int node);
/** The same, aligned to another power of two, at least to a cache line. */
void *mag_meta_zalloc_aligned(size_t size, unsigned int align, int node);
void mag_meta_free(void *addr);
/**
 * Memory that all processes of the DPDK application find by its name, made and zeroed by whichever
 * comes first; it stays until EAL ends.
 *
 * @return
 *   NULL: no memory, or it is there with another size (logged once).
 */
void *mag_meta_shared(const char *name, size_t size);
/** Copy metadata memory that EAL may take away at any time; false: it has. */
bool mag_meta_read(void *to, const void *from, size_t size);
/** Is metadata memory still mapped? EAL takes it away when it ends. */
bool mag_meta_is_mapped(const void *addr);

#endif /* MAG_META_H */
