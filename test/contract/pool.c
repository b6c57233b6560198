/* SPDX-License-Identifier: BSD-3-Clause */

#include <inttypes.h>
#include <sys/mman.h>

#include <rte_memzone.h>

#include "harness.h"
#include "pool.h"

static struct rte_mempool *
create(const struct pool_spec *spec, const char *ops)
{
	static unsigned int made;
	char name[RTE_MEMPOOL_NAMESIZE];
	struct rte_mempool *mp;
	int ret;

	snprintf(name, sizeof(name), "pool-%u", made++);
	mp = rte_mempool_create_empty(name, spec->n, spec->elt_size, spec->cache_size, 0,
				      spec->socket_id, spec->flags);
	if (mp == NULL)
		return NULL;
	ret = rte_mempool_set_ops_byname(mp, ops, (void *)(uintptr_t)spec->config);
	if (ret != 0)
		fail_msg("no mempool ops called %s (%d): is the plugin loaded?", ops, ret);
	return mp;
}

static const char *
spec_ops(const struct pool_spec *spec)
{
	return spec->ops != NULL ? spec->ops : harness_ops();
}

struct rte_mempool *
pool_empty(const struct pool_spec *spec)
{
	struct rte_mempool *mp = create(spec, spec_ops(spec));

	if (mp == NULL)
		fail_msg("no pool of %u objects of %u bytes: %s", spec->n, spec->elt_size,
			 rte_strerror(rte_errno));
	assert_string_equal(rte_mempool_get_ops(mp->ops_index)->name, spec_ops(spec));
	return mp;
}

/* Returns the pool full of objects, or NULL with the reason in rte_errno. */
static struct rte_mempool *
populate(const struct pool_spec *spec, const char *ops)
{
	struct rte_mempool *mp = create(spec, ops);
	int ret;

	if (mp == NULL)
		return NULL;
	ret = rte_mempool_populate_default(mp);
	if (ret < 0) {
		rte_mempool_free(mp);
		rte_errno = -ret;
		return NULL;
	}
	assert_int_equal(ret, spec->n);
	assert_int_equal(mp->populated_size, spec->n);
	assert_string_equal(rte_mempool_get_ops(mp->ops_index)->name, ops);
	return mp;
}

struct rte_mempool *
pool_anywhere(const struct pool_spec *spec, const char *name)
{
	struct rte_mempool *mp = pool_empty(spec);
	/* A few more: no object lies across the end of a page. */
	const struct rte_memzone *zone =
		rte_memzone_reserve_aligned(name, pool_chunk_size(mp, spec->n + 8), SOCKET_ID_ANY,
					    RTE_MEMZONE_IOVA_CONTIG, RTE_CACHE_LINE_SIZE);

	assert_non_null(zone);
	assert_int_equal(
		rte_mempool_populate_iova(mp, zone->addr, zone->iova, zone->len, NULL, NULL),
		spec->n);
	return mp;
}

struct rte_mempool *
pool_try(const struct pool_spec *spec)
{
	struct rte_mempool *mp = populate(spec, spec_ops(spec));
	struct rte_mempool *reference;
	int reason = rte_errno;

	if (mp != NULL)
		return mp;
	reference = populate(spec, REFERENCE_OPS);
	if (reference != NULL)
		fail_msg("%s can, %s cannot: %u objects of %u bytes, cache %u, flags %#x: %s",
			 REFERENCE_OPS, spec_ops(spec), spec->n, spec->elt_size, spec->cache_size,
			 spec->flags, rte_strerror(reason));
	say("%s refuses as well: %u objects of %u bytes, cache %u, flags %#x: %s", REFERENCE_OPS,
	    spec->n, spec->elt_size, spec->cache_size, spec->flags, rte_strerror(rte_errno));
	return NULL;
}

struct rte_mempool *
pool_make(const struct pool_spec *spec)
{
	struct rte_mempool *mp = pool_try(spec);

	if (mp == NULL)
		SKIP_TEST("no memory for %u objects of %u bytes", spec->n, spec->elt_size);
	return mp;
}

void
pool_assert_ops(const struct rte_mempool *mp)
{
	assert_string_equal(rte_mempool_get_ops(mp->ops_index)->name, harness_ops());
}

void
pool_assert_free(const struct rte_mempool *mp, unsigned int expected)
{
	assert_int_equal(pool_ops_count(mp), expected);
	assert_int_equal(rte_mempool_avail_count(mp), expected);
	assert_int_equal(rte_mempool_in_use_count(mp), mp->size - expected);
	assert_int_equal(rte_mempool_empty(mp), expected == 0);
	assert_int_equal(rte_mempool_full(mp), expected == mp->size);
}

unsigned int
pool_ops_count(const struct rte_mempool *mp)
{
	return rte_mempool_get_ops(mp->ops_index)->get_count(mp);
}

unsigned int
pool_get_all(struct rte_mempool *mp, void **objs)
{
	unsigned int n = 0;

	while (n < mp->size && rte_mempool_get(mp, &objs[n]) == 0)
		n++;
	return n;
}

void
pool_get_and_put(void *mp)
{
	void *objs[500];
	unsigned int n;

	for (n = 0; n < RTE_DIM(objs) && rte_mempool_get(mp, &objs[n]) == 0; n++)
		;
	while (n > 0)
		rte_mempool_put(mp, objs[--n]);
}

void
pool_take_a_turn(struct rte_mempool *mp, unsigned int n)
{
	void *objs[64];

	assert_true(n <= RTE_DIM(objs));
	if (rte_mempool_get_bulk(mp, objs, n) == 0)
		rte_mempool_put_bulk(mp, objs, n);
}

void
pool_fill_magazines(void *mp)
{
	void *objs[2000];
	unsigned int n = 0, back;

	while (n < RTE_DIM(objs) && rte_mempool_get(mp, &objs[n]) == 0)
		n++;
	for (unsigned int bulk = 1; n > 0; bulk = 1 + bulk % 50) {
		back = RTE_MIN(bulk, n);
		n -= back;
		rte_mempool_put_bulk(mp, objs + n, back);
	}
}

int
pool_fill_as_a_driver(struct rte_mempool *mp, unsigned int needed)
{
	struct rte_mempool_cache *own = rte_mempool_default_cache(mp, rte_lcore_id());
	unsigned int n = needed + own->size - own->len;
	int ret = rte_mempool_ops_dequeue_bulk(mp, &own->objs[own->len], n);

	if (ret == 0)
		own->len += n;
	return ret;
}

ssize_t
pool_calc_mem_size(const struct rte_mempool *mp, unsigned int n, unsigned int page_shift,
		   size_t *least, size_t *align)
{
	const struct rte_mempool_ops *ops = rte_mempool_get_ops(mp->ops_index);

	if (ops->calc_mem_size == NULL)
		return rte_mempool_op_calc_mem_size_default(mp, n, page_shift, least, align);
	return ops->calc_mem_size(mp, n, page_shift, least, align);
}

size_t
pool_stride(const struct rte_mempool *mp)
{
	return mp->header_size + mp->elt_size + mp->trailer_size;
}

void *
pool_map(size_t len)
{
	void *addr = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(addr, MAP_FAILED);
	return addr;
}

void
pool_unmap_chunk(struct rte_mempool_memhdr *memhdr, void *opaque)
{
	munmap(RTE_PTR_ALIGN_FLOOR(memhdr->addr, 4096), (uintptr_t)opaque);
}

size_t
pool_chunk_size(struct rte_mempool *mp, unsigned int n)
{
	size_t least, align;
	ssize_t size = pool_calc_mem_size(mp, n, 0, &least, &align);

	assert_true(size > 0);
	return size + RTE_MAX(align, (size_t)RTE_MEMPOOL_ALIGN);
}
