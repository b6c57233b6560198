/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <rte_config.h>

#include <rte_common.h>
#include <rte_malloc.h>
#include <rte_memory.h>
#include <rte_memzone.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/meta.h"
#include "mag_compiler.h"

/* Two cache lines: the adjacent-line prefetcher makes one false-sharing unit of them. */
#define META_ALIGN 128
#define SHARED_READY UINT64_C(0x6d6167617a696e65)
/* Who has made it zeroes it within microseconds. */
#define SHARED_TRIES 1000

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

/* In front of shared memory. */
struct shared {
	_Atomic uint64_t ready; /* SHARED_READY once the rest is zeroed */
	uint64_t size;          /* of the rest; another version of the library has another one */
} MAG_ALIGNED(META_ALIGN);

static struct shared *
shared_make(const char *name, size_t size)
{
	const struct rte_memzone *zone = rte_memzone_reserve_aligned(
		name, sizeof(struct shared) + size, SOCKET_ID_ANY, 0, META_ALIGN);
	struct shared *shared;

	if (zone == NULL)
		return NULL;
	shared = zone->addr;
	memset(shared, 0, sizeof(*shared) + size);
	shared->size = size;
	/* release: a process that finds it ready finds it zeroed */
	atomic_store_explicit(&shared->ready, SHARED_READY, memory_order_release);
	return shared;
}

static void *
shared_contents(const char *name, size_t size, struct shared *shared)
{
	static _Atomic bool said;

	if (shared->size == size)
		return shared + 1;
	if (!atomic_exchange_explicit(&said, true, memory_order_relaxed))
		MAG_LOG(ERR,
			"\"%s\": another version of the library has it with %" PRIu64
			" bytes, this one with %zu: load the same version in all processes",
			name, shared->size, size);
	return NULL;
}

void *
mag_meta_shared(const char *name, size_t size)
{
	const struct rte_memzone *zone = rte_memzone_lookup(name);
	struct shared *shared = zone != NULL ? zone->addr : shared_make(name, size);
	unsigned int tries;

	/* Another process may have been faster, a moment ago. */
	if (shared == NULL && (zone = rte_memzone_lookup(name)) != NULL)
		shared = zone->addr;
	if (shared == NULL)
		return NULL;
	for (tries = 0; tries < SHARED_TRIES; tries++) {
		/* acquire: pairs with shared_make() */
		if (atomic_load_explicit(&shared->ready, memory_order_acquire) == SHARED_READY)
			return shared_contents(name, size, shared);
		sched_yield();
	}
	return NULL;
}

bool
mag_meta_read(void *to, const void *from, size_t size)
{
	struct iovec local = {to, size}, remote = {(void *)(uintptr_t)from, size};

	if (process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)size)
		return true;
	/* It may be forbidden: then there is a moment in which EAL's end is not noticed. */
	if (errno == EFAULT || !mag_meta_is_mapped(from))
		return false;
	memcpy(to, from, size);
	return true;
}

bool
mag_meta_is_mapped(const void *addr)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	return msync((void *)RTE_ALIGN_FLOOR((uintptr_t)addr, page), page, MS_ASYNC) == 0 ||
	       errno != ENOMEM;
}
