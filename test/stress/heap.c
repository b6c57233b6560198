/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * EAL's heap is locked in assembly, in a library that ThreadSanitizer does not see: memory that
 * one thread gives back and another one gets looks like a race to it. So in its build the
 * library's two calls go through a lock that it does see. The program's own definitions come before
 * the shared library's, and call them.
 */

#include <rte_malloc.h>

#include "heap.h"
#include "stress.h"

unsigned int
heap_allocations(void)
{
	struct rte_malloc_socket_stats stats;

	return rte_malloc_get_socket_stats(0, &stats) == 0 ? stats.alloc_count : 0;
}

#if STRESS_TSAN

#include <dlfcn.h>
#include <pthread.h>

#include "numa.h"

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
	void *(*next)(size_t size, int node);
	void *addr;

	next = (void *(*)(size_t, int))(uintptr_t)dlsym(RTLD_NEXT, "mag_meta_zalloc");
	pthread_mutex_lock(&lock);
	addr = next(size, node);
	pthread_mutex_unlock(&lock);
	return addr;
}

void
mag_meta_free(void *addr)
{
	void (*next)(void *addr) = (void (*)(void *))(uintptr_t)dlsym(RTLD_NEXT, "mag_meta_free");

	pthread_mutex_lock(&lock);
	next(addr);
	pthread_mutex_unlock(&lock);
}

#else

void
heap_pass(void)
{
}

#endif
