/* SPDX-License-Identifier: BSD-3-Clause */

#include <inttypes.h>

#include "harness.h"
#include "pool.h"
#include "roster.h"

struct roster {
	struct rte_mempool *mp;
	unsigned int n;
	unsigned int nb_held;
	void **objs;                      /* ascending */
	uint8_t *held;                    /* 1: with the test */
	struct rte_mempool_objhdr *heads; /* as they were when painted */
	struct span *chunks;              /* ascending */
	unsigned int nb_chunks;
};

struct span {
	uintptr_t start;
	uintptr_t end;
};

static void *
allocate(size_t n, size_t size)
{
	void *p = calloc(n, size);

	assert_non_null(p);
	return p;
}

static void
list_object(struct rte_mempool *mp __rte_unused, void *opaque, void *obj, unsigned int idx)
{
	struct roster *roster = opaque;

	assert_true(idx < roster->n);
	roster->objs[idx] = obj;
}

static void
list_chunk(struct rte_mempool *mp __rte_unused, void *opaque, struct rte_mempool_memhdr *memhdr,
	   unsigned int idx)
{
	struct roster *roster = opaque;

	assert_true(idx < roster->nb_chunks);
	roster->chunks[idx].start = (uintptr_t)memhdr->addr;
	roster->chunks[idx].end = (uintptr_t)memhdr->addr + memhdr->len;
}

static int
by_address(const void *a, const void *b)
{
	uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;

	return x < y ? -1 : x > y;
}

/* Both an object pointer and a span begin with the address that they are sorted by. */
static unsigned int
last_not_above(const void *array, unsigned int n, size_t size, uintptr_t addr)
{
	unsigned int low = 0, high = n;

	while (high - low > 1) {
		unsigned int mid = low + (high - low) / 2;

		if (*(const uintptr_t *)((const char *)array + mid * size) <= addr)
			low = mid;
		else
			high = mid;
	}
	return low;
}

static void
assert_inside_chunks(const struct roster *roster)
{
	const struct rte_mempool *mp = roster->mp;
	uintptr_t previous_end = 0;

	for (unsigned int i = 0; i < roster->n; i++) {
		uintptr_t start = (uintptr_t)roster->objs[i] - mp->header_size;
		uintptr_t end = start + pool_stride(mp);
		const struct span *chunk = &roster->chunks[last_not_above(
			roster->chunks, roster->nb_chunks, sizeof(struct span), start)];

		if (start < chunk->start || end > chunk->end)
			fail_msg("object %p lies outside the pool's chunks", roster->objs[i]);
		if (start < previous_end)
			fail_msg("object %p overlaps the one before it", roster->objs[i]);
		previous_end = end;
	}
}

struct roster *
roster_of(struct rte_mempool *mp)
{
	struct roster *roster = allocate(1, sizeof(*roster));

	roster->mp = mp;
	roster->n = mp->populated_size;
	roster->nb_chunks = mp->nb_mem_chunks;
	roster->objs = allocate(roster->n, sizeof(void *));
	roster->held = allocate(roster->n, 1);
	roster->heads = allocate(roster->n, sizeof(struct rte_mempool_objhdr));
	roster->chunks = allocate(roster->nb_chunks, sizeof(struct span));
	assert_int_equal(rte_mempool_obj_iter(mp, list_object, roster), roster->n);
	assert_int_equal(rte_mempool_mem_iter(mp, list_chunk, roster), roster->nb_chunks);
	qsort(roster->objs, roster->n, sizeof(void *), by_address);
	qsort(roster->chunks, roster->nb_chunks, sizeof(struct span), by_address);
	assert_inside_chunks(roster);
	return roster;
}

void
roster_free(struct roster *roster)
{
	free(roster->objs);
	free(roster->held);
	free(roster->heads);
	free(roster->chunks);
	free(roster);
}

struct hold
hold_of(struct rte_mempool *mp)
{
	return (struct hold){mp, roster_of(mp), allocate(mp->size + 1024, sizeof(void *))};
}

void
hold_end(struct hold *hold)
{
	roster_free(hold->roster);
	rte_mempool_free(hold->mp);
	free(hold->objs);
}

unsigned int
roster_index(const struct roster *roster, const void *obj)
{
	unsigned int i = last_not_above(roster->objs, roster->n, sizeof(void *), (uintptr_t)obj);

	if (roster->objs[i] != obj)
		fail_msg("%p is no object of the pool", obj);
	return i;
}

unsigned int
roster_held(const struct roster *roster)
{
	return roster->nb_held;
}

void
roster_took(struct roster *roster, void *const *objs, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		unsigned int at = roster_index(roster, objs[i]);

		if (roster->held[at])
			fail_msg("object %p was handed out twice", objs[i]);
		roster->held[at] = 1;
	}
	roster->nb_held += n;
}

void
roster_gave(struct roster *roster, void *const *objs, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		unsigned int at = roster_index(roster, objs[i]);

		if (!roster->held[at])
			fail_msg("test error: object %p is put but not held", objs[i]);
		roster->held[at] = 0;
	}
	roster->nb_held -= n;
}

int
roster_get(struct roster *roster, void **objs, unsigned int n)
{
	int ret;

	if (n == 0)
		return 0; /* the default handler refuses to get nothing */
	ret = rte_mempool_get_bulk(roster->mp, objs, n);
	if (ret == 0)
		roster_took(roster, objs, n);
	else
		assert_int_equal(ret, -ENOBUFS);
	return ret;
}

void
roster_put(struct roster *roster, void *const *objs, unsigned int n)
{
	roster_gave(roster, objs, n);
	rte_mempool_put_bulk(roster->mp, objs, n);
}

unsigned int
roster_drain(struct roster *roster, void **objs, unsigned int bulk)
{
	unsigned int n = 0;

	/* The array has room for the pool's objects, not for a bulk more. */
	while (n + bulk <= roster->n && roster_get(roster, objs + n, bulk) == 0)
		n += bulk;
	return n;
}

void
roster_refill(struct roster *roster, void **objs, unsigned int n, unsigned int bulk)
{
	for (unsigned int i = 0; i < n; i += bulk)
		roster_put(roster, objs + i, RTE_MIN(bulk, n - i));
}

void
roster_shuffle(void **objs, unsigned int n)
{
	for (unsigned int i = n; i > 1; i--) {
		unsigned int j = random_below(i);
		void *obj = objs[i - 1];

		objs[i - 1] = objs[j];
		objs[j] = obj;
	}
}

static uint8_t
paint_at(uintptr_t addr)
{
	return (addr * 0x9e3779b1u) >> 13 | 1;
}

/* Calls for the two areas of an object that belong to neither rte_mempool nor another object. */
static void
for_user_bytes(const struct rte_mempool *mp, void *obj, void (*area)(uint8_t *start, size_t len))
{
	size_t padding = mp->header_size - sizeof(struct rte_mempool_objhdr);

	area(RTE_PTR_SUB(obj, mp->header_size), padding);
	area(obj, mp->elt_size + mp->trailer_size);
}

static void
paint_area(uint8_t *start, size_t len)
{
	for (size_t i = 0; i < len; i++)
		start[i] = paint_at((uintptr_t)start + i);
}

static void
assert_area(uint8_t *start, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (start[i] != paint_at((uintptr_t)start + i))
			fail_msg("byte %zu of %zu at %p was written to", i, len, (void *)start);
}

static struct rte_mempool_objhdr *
head_of(void *obj)
{
	return RTE_PTR_SUB(obj, sizeof(struct rte_mempool_objhdr));
}

void
roster_paint(struct roster *roster)
{
	for (unsigned int i = 0; i < roster->n; i++) {
		assert_ptr_equal(rte_mempool_from_obj(roster->objs[i]), roster->mp);
		roster->heads[i] = *head_of(roster->objs[i]);
		for_user_bytes(roster->mp, roster->objs[i], paint_area);
	}
}

void
roster_assert_paint(const struct roster *roster)
{
	for (unsigned int i = 0; i < roster->n; i++) {
		assert_memory_equal(&roster->heads[i], head_of(roster->objs[i]),
				    sizeof(struct rte_mempool_objhdr));
		for_user_bytes(roster->mp, roster->objs[i], assert_area);
	}
}
