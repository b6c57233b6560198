/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * EAL's heap is locked in assembly, in a library that ThreadSanitizer does not see: memory that one
 * thread gives back and another one gets looks like a race to it. So in its build the library's two
 * calls go through a lock that it does see, and rte_mempool's pass it before memory goes and after
 * it came. The program's own definitions come before the shared libraries', and call them.
 */

#include <rte_malloc.h>
#include <rte_memzone.h>

#include "tsan_heap.h"
#include "stress.h"

#if STRESS_TSAN

#include "../common/front.h"
#include "base/meta.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void
heap_pass(void)
{
	pthread_mutex_lock(&lock);
	pthread_mutex_unlock(&lock);
}

void *
mag_meta_zalloc(size_t size, int node)
{
	void *addr;

	pthread_mutex_lock(&lock);
	addr = LIBRARYS(mag_meta_zalloc)(size, node);
	pthread_mutex_unlock(&lock);
	return addr;
}

void
mag_meta_free(void *addr)
{
	pthread_mutex_lock(&lock);
	LIBRARYS(mag_meta_free)(addr);
	pthread_mutex_unlock(&lock);
}

const struct rte_memzone *
rte_memzone_reserve(const char *name, size_t len, int socket_id, unsigned int flags)
{
	const struct rte_memzone *zone = LIBRARYS(rte_memzone_reserve)(name, len, socket_id, flags);

	heap_pass();
	return zone;
}

const struct rte_memzone *
rte_memzone_reserve_aligned(const char *name, size_t len, int socket_id, unsigned int flags,
			    unsigned int align)
{
	const struct rte_memzone *zone =
		LIBRARYS(rte_memzone_reserve_aligned)(name, len, socket_id, flags, align);

	heap_pass();
	return zone;
}

int
rte_memzone_free(const struct rte_memzone *zone)
{
	heap_pass();
	return LIBRARYS(rte_memzone_free)(zone);
}

#else

void
heap_pass(void)
{
}

#endif
