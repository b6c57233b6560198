/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef CONTRACT_HEAP_H
#define CONTRACT_HEAP_H

#include <stddef.h>

/** @file What the process has of EAL's memory and of the system's resources. */

struct heap_use {
	size_t bytes;
	unsigned int allocations;
	unsigned int memzones;
	unsigned int fds;
	size_t mapped; /* bytes of address space */
};

/** Take stock. */
struct heap_use heap_use_now(void);

/** Assert that memory, memzones and file descriptors in use are the same. */
void heap_assert_same(const struct heap_use *before, const struct heap_use *after);

/**
 * A heap of memory that EAL did not allocate, as applications make them.
 *
 * @param page_size
 *   4096, or a hugepage size.
 * @return
 *   Its socket id, or negative when there is no such memory.
 */
int heap_external_add(const char *name, size_t len, size_t page_size);

/**
 * The same, but no two pages are neighbours in I/O memory. Which of them the kernel makes
 * neighbours is luck, and with it whether an object larger than a page has a place.
 */
int heap_external_add_apart(const char *name, size_t len, size_t page_size);
void heap_external_remove(const char *name);

#endif /* CONTRACT_HEAP_H */
