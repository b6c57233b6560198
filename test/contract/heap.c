/* SPDX-License-Identifier: BSD-3-Clause */

#include <dirent.h>
#include <sys/mman.h>

#include <rte_malloc.h>
#include <rte_memory.h>
#include <rte_memzone.h>

#include "harness.h"
#include "heap.h"

#define MAX_EXTERNAL 4
/* The C library's own heap and thread stacks come and go. */
#define MAPPED_SLACK (16u << 20)
/* Above all memory that machines have. */
#define APART_IOVA (UINT64_C(1) << 46)

static struct external {
	char name[32];
	void *addr;
	size_t len;
} externals[MAX_EXTERNAL];

static void
count_memzone(const struct rte_memzone *mz __rte_unused, void *arg)
{
	++*(unsigned int *)arg;
}

static unsigned int
count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	assert_non_null(dir);
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}

static size_t
address_space(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	size_t pages = 0;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%zu", &pages), 1);
	fclose(f);
	return pages * sysconf(_SC_PAGESIZE);
}

struct heap_use
heap_use_now(void)
{
	struct heap_use use = {.bytes = heap_balance(), .allocations = heap_allocations()};

	rte_memzone_walk(count_memzone, &use.memzones);
	use.fds = count_fds();
	use.mapped = address_space();
	return use;
}

void
heap_assert_same(const struct heap_use *before, const struct heap_use *after)
{
	assert_int_equal(after->memzones, before->memzones);
	assert_int_equal(after->allocations, before->allocations);
	assert_int_equal(after->bytes, before->bytes);
	assert_int_equal(after->fds, before->fds);
	assert_in_range(after->mapped, 0, before->mapped + MAPPED_SLACK);
}

static struct external *
find_external(const char *name)
{
	for (unsigned int i = 0; i < MAX_EXTERNAL; i++)
		if (strcmp(externals[i].name, name) == 0)
			return &externals[i];
	fail_msg("test error: no external heap %s", name);
	return NULL;
}

static int
add_pages(const char *name, void *addr, size_t len, size_t page_size, bool apart)
{
	size_t n = len / page_size;
	rte_iova_t *iovas = calloc(n, sizeof(*iovas));
	int ret;

	assert_non_null(iovas);
	for (size_t i = 0; i < n; i++) {
		volatile char *page = (char *)addr + i * page_size;

		*page = 0;
		iovas[i] = apart ? APART_IOVA + 2 * i * page_size :
				   rte_mem_virt2iova((const void *)(uintptr_t)page);
	}
	ret = rte_malloc_heap_memory_add(name, addr, len, iovas, n, page_size);
	free(iovas);
	return ret;
}

static int
add(const char *name, size_t len, size_t page_size, bool apart)
{
	struct external *external = find_external("");
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED;

	if (page_size > 4096)
		flags |= MAP_HUGETLB | __builtin_ctzll(page_size) << 26;
	external->len = len;
	external->addr = mmap(NULL, len, PROT_READ | PROT_WRITE, flags, -1, 0);
	if (external->addr == MAP_FAILED)
		return -1;
	snprintf(external->name, sizeof(external->name), "%s", name);
	assert_int_equal(rte_malloc_heap_create(name), 0);
	if (add_pages(name, external->addr, len, page_size, apart) != 0)
		fail_msg("rte_malloc_heap_memory_add: %s", rte_strerror(rte_errno));
	return rte_malloc_heap_get_socket(name);
}

int
heap_external_add(const char *name, size_t len, size_t page_size)
{
	return add(name, len, page_size, false);
}

int
heap_external_add_apart(const char *name, size_t len, size_t page_size)
{
	return add(name, len, page_size, true);
}

void
heap_external_remove(const char *name)
{
	struct external *external = find_external(name);

	assert_int_equal(rte_malloc_heap_memory_remove(name, external->addr, external->len), 0);
	assert_int_equal(rte_malloc_heap_destroy(name), 0);
	munmap(external->addr, external->len);
	memset(external, 0, sizeof(*external));
}
