/* SPDX-License-Identifier: BSD-3-Clause */
#include <rte_config.h>

#include <rte_malloc.h>
#include <rte_memory.h>

#include "base/fault.h"
#include "base/meta.h"

/* Two cache lines: the adjacent-line prefetcher makes one false-sharing unit of them. */
#define META_ALIGN 128

void *
mag_meta_zalloc_aligned(size_t size, unsigned int align, int node)
{
	void *addr = NULL;

	if (mag_fault_strikes())
		return NULL;
	if (node >= 0 && node < RTE_MAX_NUMA_NODES)
		addr = rte_zmalloc_socket("magazine", size, align, node);
	if (addr == NULL)
		addr = rte_zmalloc_socket("magazine", size, align, SOCKET_ID_ANY);
	return addr;
}

void *
mag_meta_zalloc(size_t size, int node)
{
	return mag_meta_zalloc_aligned(size, META_ALIGN, node);
}

void
mag_meta_free(void *addr)
{
	rte_free(addr);
}
