/* SPDX-License-Identifier: BSD-3-Clause */
#include <sys/mman.h>

#include <rte_errno.h>

#include "tsan_heap.h"
#include "rte_mempool_magazine.h"
#include "stress.h"
#include "subject.h"

static void
add_to_stock(struct rte_mempool *pool, void *arg, void *object, unsigned int index)
{
	RTE_SET_USED(pool);
	RTE_SET_USED(index);
	stock_add(arg, object);
}

uint8_t *
subject_map(size_t size)
{
	uint8_t *base = mmap(NULL, size, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (base == MAP_FAILED)
		rte_exit(EXIT_FAILURE, "no memory for %zu bytes\n", size);
	return base;
}

void
subject_of_pool(struct subject *subject, struct rte_mempool *pool)
{
	struct rte_mempool_info info;

	*subject = (struct subject){.pool = pool, .cache = rte_mempool_magazine_cache(pool)};
	stock_init(&subject->stock, pool->size);
	rte_mempool_obj_iter(pool, add_to_stock, &subject->stock);
	if (rte_mempool_ops_get_info(pool, &info) != 0 || subject->stock.count != pool->size)
		stress_blame("a pool of %u has %u objects", pool->size, subject->stock.count);
	subject->block = info.contig_block_size;
}

void
subject_pool(struct subject *subject, uint32_t objects, unsigned int cache_size,
	     const char *options)
{
	static unsigned int made;
	char name[RTE_MEMPOOL_NAMESIZE];
	struct rte_mempool *pool;

	snprintf(name, sizeof(name), "stress-%u", made++);
	pool = rte_mempool_create_empty(name, objects, sizeof(struct object), cache_size, 0,
					SOCKET_ID_ANY, 0);
	assert_non_null(pool);
	assert_int_equal(rte_mempool_set_ops_byname(pool, RTE_MEMPOOL_MAGAZINE_OPS_NAME,
						    (void *)(uintptr_t)options),
			 0);
	assert_int_equal(rte_mempool_populate_default(pool), (int)objects);
	heap_pass();
	subject_of_pool(subject, pool);
}

void
subject_pool_free(struct subject *subject)
{
	heap_pass();
	rte_mempool_free(subject->pool);
	stock_fini(&subject->stock);
}

/* Above 128 bytes: smaller objects are cleared in the slab layer. */
#define OBJECT_SIZE RTE_MAX(RTE_ALIGN_CEIL(sizeof(struct object), 64), (size_t)192)

bool
subject_adopt(struct subject_memory *memory, uint32_t n)
{
	void **objects = malloc(n * sizeof(objects[0]));
	int ret;

	for (uint32_t i = 0; i < n; i++)
		objects[i] = memory->base + (memory->objects + i) * OBJECT_SIZE;
	ret = mag_region_adopt(memory->region, objects, n, -1);
	if (ret == 0)
		memory->objects += n;
	else if (ret != -ENOMEM)
		stress_blame("the region does not take %u objects: %d", n, ret);
	free(objects);
	return ret == 0;
}

bool
subject_region(struct subject *subject, struct subject_memory *memory, const char *name,
	       uint32_t objects, uint32_t block)
{
	struct mag_region_params params = {.size = sizeof(params),
					   .name = name,
					   .object_size = OBJECT_SIZE,
					   .block = block,
					   .node = -1};

	*subject = (struct subject){.pool = NULL};
	*memory = (struct subject_memory){.size = objects * OBJECT_SIZE};
	memory->base = subject_map(memory->size);
	stock_init(&subject->stock, objects);
	for (uint32_t i = 0; i < objects; i++)
		stock_add(&subject->stock, memory->base + i * OBJECT_SIZE);
	memory->region = mag_region_create(&params);
	return memory->region != NULL;
}

bool
subject_try_cache(struct subject *subject, const struct subject_memory *memory,
		  struct mag_cache_params *params)
{
	params->region = memory->region;
	params->object_size = OBJECT_SIZE;
	params->node = -1;
	subject->cache = mag_cache_create(params);
	return subject->cache != NULL;
}

void
subject_cache(struct subject *subject, struct subject_memory *memory, uint32_t objects,
	      uint32_t adopted, struct mag_cache_params *params)
{
	assert_true(subject_region(subject, memory, params->name, objects, 8));
	assert_true(subject_adopt(memory, adopted));
	assert_true(subject_try_cache(subject, memory, params));
}

void
subject_cache_free(struct subject *subject, struct subject_memory *memory)
{
	int ret = 0;

	/* Refused while maintenance resizes it. */
	while (subject->cache != NULL && (ret = mag_cache_destroy(subject->cache)) == -EBUSY &&
	       MAG_STAT(subject->cache->first.slab.out) == 0)
		sched_yield();
	if (ret != 0 || (memory->region != NULL && mag_region_destroy(memory->region) != 0))
		stress_blame("a cache with all objects free, or its region, stays: %d", ret);
	munmap(memory->base, memory->size);
	stock_fini(&subject->stock);
}
