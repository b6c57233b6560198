/* SPDX-License-Identifier: BSD-3-Clause */

/* Where objects lie: calc_mem_size says what populate needs, and pages are not crossed. */

#include <inttypes.h>
#include <sys/mman.h>

#include <rte_bitops.h>
#include <rte_eal.h>
#include <rte_malloc.h>
#include <rte_memory.h>

#include "harness.h"
#include "heap.h"
#include "pool.h"
#include "roster.h"

#define PAGE 4096u
#define MAX_BYTES (run_is_full() ? 200u << 20 : 20u << 20)

static const unsigned int elt_sizes[] = {8, 40, 64, 128, 1000, 2176, 4096, 9000, 65536};
static const unsigned int counts[] = {1, 2, 13, 64, 509, 1000, 4097, 20000};
static const unsigned int page_shifts[] = {0, 12, 16, 21, 30};
static const unsigned int all_flags[] = {
	0,
	RTE_MEMPOOL_F_NO_CACHE_ALIGN,
	RTE_MEMPOOL_F_NO_IOVA_CONTIG,
	RTE_MEMPOOL_F_NO_IOVA_CONTIG | RTE_MEMPOOL_F_NO_SPREAD,
};

struct answer {
	ssize_t size;
	size_t least;
	size_t align;
};

enum { ANSWERS = RTE_DIM(counts) * RTE_DIM(page_shifts) };

static struct answer
ask(struct rte_mempool *mp, unsigned int n, unsigned int page_shift)
{
	struct answer answer = {0};

	answer.size = pool_calc_mem_size(mp, n, page_shift, &answer.least, &answer.align);
	return answer;
}

static void
ask_all(struct rte_mempool *mp, struct answer *answers)
{
	for (unsigned int i = 0; i < ANSWERS; i++)
		answers[i] = ask(mp, counts[i % RTE_DIM(counts)], page_shifts[i / RTE_DIM(counts)]);
}

static void
assert_sensible(const struct rte_mempool *mp, const struct answer *answer, unsigned int n)
{
	assert_true(answer->size >= (ssize_t)(n * pool_stride(mp)));
	assert_true(answer->least >= pool_stride(mp));
	assert_true(answer->least <= (size_t)answer->size);
	assert_true(rte_is_power_of_2(answer->align));
}

/* Asked again at each stage, in the same process, about the same geometry. */
TEST(calc_mem_size_gives_the_same_answers_before_and_after_population)
{
	struct answer empty[ANSWERS], later[ANSWERS];
	void *objs[100];

	for (unsigned int i = 0; i < RTE_DIM(elt_sizes) * RTE_DIM(all_flags); i++) {
		struct rte_mempool *mp =
			pool_empty(POOL_SPEC(500, elt_sizes[i % RTE_DIM(elt_sizes)],
					     .flags = all_flags[i / RTE_DIM(elt_sizes)]));

		/* rte_mempool makes the driver's data before it asks for the first time. */
		assert_int_equal(
			rte_mempool_populate_iova(mp, (char *)objs, RTE_BAD_IOVA, 8, NULL, NULL),
			0);
		memset(empty, 0, sizeof(empty));
		ask_all(mp, empty);
		assert_int_equal(rte_mempool_populate_default(mp), 500);
		memset(later, 0, sizeof(later));
		ask_all(mp, later);
		assert_memory_equal(later, empty, sizeof(empty));
		assert_int_equal(rte_mempool_get_bulk(mp, objs, 100), 0);
		ask_all(mp, later);
		assert_memory_equal(later, empty, sizeof(empty));
		rte_mempool_put_bulk(mp, objs, 100);
		ask_all(mp, later);
		assert_memory_equal(later, empty, sizeof(empty));
		for (unsigned int j = 0; j < ANSWERS; j++)
			assert_sensible(mp, &empty[j], counts[j % RTE_DIM(counts)]);
		rte_mempool_free(mp);
	}
}

/* A whole chunk as calc_mem_size asks for it. Returns how many objects populate made of it. */
static int
fill_as_calculated(const struct pool_spec *spec, unsigned int page_shift)
{
	struct rte_mempool *mp = pool_empty(spec);
	struct answer answer;
	char *memory, *chunk;
	size_t align, len;
	int ret;

	assert_int_equal(rte_mempool_populate_iova(mp, (char *)&align, RTE_BAD_IOVA, 1, NULL, NULL),
			 0);
	answer = ask(mp, spec->n, page_shift);
	align = RTE_MAX(answer.align, (size_t)1 << page_shift);
	align = RTE_MAX(align, (size_t)RTE_MEMPOOL_ALIGN);
	len = answer.size + align;
	memory = pool_map(len);
	chunk = RTE_PTR_ALIGN_CEIL(memory, align);
	ret = rte_mempool_populate_iova(mp, chunk, RTE_BAD_IOVA, answer.size, NULL, NULL);
	if (ret > 0)
		roster_free(roster_of(mp));
	rte_mempool_free(mp);
	munmap(memory, len);
	return ret;
}

static unsigned int
page_shift_of(const struct pool_spec *spec)
{
	struct rte_mempool *mp = pool_empty(spec);
	size_t page_size;

	assert_int_equal(rte_mempool_get_page_size(mp, &page_size), 0);
	rte_mempool_free(mp);
	return page_size != 0 ? rte_bsf64(page_size) : 0;
}

static void
assert_as_many_fit_as_calculated(struct pool_spec spec, unsigned int page_shift, bool is_own)
{
	int ours = fill_as_calculated(&spec, page_shift), reference;

	if (ours == (int)spec.n)
		return;
	spec.ops = REFERENCE_OPS;
	reference = fill_as_calculated(&spec, page_shift);
	if (reference > ours || is_own)
		fail_msg("%u objects of %u bytes, flags %#x, page shift %u: %d fit, with %s %d",
			 spec.n, spec.elt_size, spec.flags, page_shift, ours, REFERENCE_OPS,
			 reference);
}

TEST(as_many_objects_fit_as_calc_mem_size_says)
{
	for (unsigned int f = 0; f < RTE_DIM(all_flags); f++) {
		for (unsigned int i = 0; i < RTE_DIM(elt_sizes) * RTE_DIM(counts); i++) {
			struct pool_spec spec = *POOL_SPEC(counts[i / RTE_DIM(elt_sizes)],
							   elt_sizes[i % RTE_DIM(elt_sizes)],
							   .flags = all_flags[f]);
			unsigned int own = page_shift_of(&spec);

			if ((uint64_t)spec.n * spec.elt_size > MAX_BYTES)
				continue;
			assert_as_many_fit_as_calculated(spec, own, true);
			for (unsigned int j = 0; j < RTE_DIM(page_shifts); j++)
				if (page_shifts[j] != own && page_shifts[j] < 30)
					assert_as_many_fit_as_calculated(spec, page_shifts[j],
									 false);
		}
	}
}

struct walk {
	size_t page_size; /* 0: pages do not matter */
	unsigned int crossing;
};

/* The rule of rte_mempool: an object not larger than a page lies in one page. */
static void
walk_object(struct rte_mempool *mp, void *opaque, void *obj, unsigned int idx __rte_unused)
{
	struct walk *walk = opaque;
	uintptr_t start = (uintptr_t)obj - mp->header_size;
	uintptr_t end = start + pool_stride(mp) - 1;

	if (walk->page_size != 0 && pool_stride(mp) <= walk->page_size)
		walk->crossing += start / walk->page_size != end / walk->page_size;
}

static void
assert_no_page_is_crossed(struct rte_mempool *mp)
{
	struct walk walk = {0};

	assert_int_equal(rte_mempool_get_page_size(mp, &walk.page_size), 0);
	rte_mempool_obj_iter(mp, walk_object, &walk);
	assert_int_equal(walk.crossing, 0);
}

TEST(no_object_crosses_a_page_in_a_chunk_by_hand)
{
	const size_t len = 9u << 20;
	char *memory = pool_map(len);

	for (unsigned int i = 0; i < RTE_DIM(elt_sizes); i++) {
		struct rte_mempool *mp = pool_empty(POOL_SPEC(80000, elt_sizes[i]));

		assert_true(rte_mempool_populate_iova(mp, memory + 200, RTE_BAD_IOVA, len - 200,
						      NULL, NULL) > 0);
		assert_no_page_is_crossed(mp);
		rte_mempool_free(mp);
	}
	munmap(memory, len);
}

/* A device that reads an object by its IO address must find the bytes that we see. */
static void
walk_io_addresses(struct rte_mempool *mp, void *opaque, void *obj, unsigned int idx __rte_unused)
{
	unsigned int *scattered = opaque;
	rte_iova_t iova = rte_mempool_virt2iova(obj);

	if (iova == RTE_BAD_IOVA)
		return;
	for (size_t at = 0; at < mp->elt_size; at += PAGE - ((uintptr_t)obj + at) % PAGE)
		*scattered += rte_mem_virt2iova(RTE_PTR_ADD(obj, at)) != iova + at;
}

static void
assert_objects_are_contiguous_in_io_memory(struct rte_mempool *mp)
{
	unsigned int scattered = 0;

	rte_mempool_obj_iter(mp, walk_io_addresses, &scattered);
	assert_int_equal(scattered, 0);
}

TEST(objects_in_memory_by_default_cross_no_page_and_are_contiguous_in_io_memory)
{
	for (unsigned int i = 0; i < RTE_DIM(elt_sizes); i++) {
		struct rte_mempool *mp = pool_make(POOL_SPEC(2500, elt_sizes[i]));

		assert_no_page_is_crossed(mp);
		assert_objects_are_contiguous_in_io_memory(mp);
		rte_mempool_free(mp);
	}
}

/* They have an address, a header before it, and whatever rte_mempool or a mirror keeps for them. */
TEST(objects_of_no_bytes_are_objects)
{
	static const char *const configs[] = {NULL, "guard=1,mirror=8,rounds=14"};
	struct rte_mempool *mp;
	struct roster *roster;
	void *objs[1000];

	for (unsigned int i = 0; i < RTE_DIM(configs) * RTE_DIM(all_flags) * 2; i++) {
		struct pool_spec spec = *POOL_SPEC(1000, 0, .cache_size = i % 2 ? 64 : 0,
						   .flags = all_flags[i / 2 % RTE_DIM(all_flags)],
						   .config = configs[i / 2 / RTE_DIM(all_flags)]);

		if (spec.config != NULL && strcmp(harness_ops(), "magazine") != 0)
			break;
		mp = pool_make(&spec);
		roster = roster_of(mp);
		for (unsigned int turn = 0; turn < 3; turn++) {
			assert_int_equal(roster_get(roster, objs, RTE_DIM(objs)), 0);
			assert_ptr_equal(rte_mempool_from_obj(objs[turn]), mp);
			roster_put(roster, objs, RTE_DIM(objs));
			assert_int_equal(rte_mempool_avail_count(mp), RTE_DIM(objs));
		}
		roster_free(roster);
		rte_mempool_free(mp);
	}
}

static struct rte_mempool *
make_in_small_pages(const struct pool_spec *spec)
{
	struct rte_mempool *mp = pool_empty(spec);
	int ret = rte_mempool_populate_default(mp);

	if (ret == (int)spec->n)
		return mp;
	rte_mempool_free(mp);
	return NULL;
}

/* With IOVA as PA and pages of 4 KiB, few pages are neighbours: a pool becomes many chunks. */
TEST(small_pages_with_physical_addresses)
{
	struct pool_spec spec = {0};
	int socket;

	if (rte_eal_iova_mode() != RTE_IOVA_PA)
		SKIP_TEST("IO addresses are virtual here");
	socket = heap_external_add("contract-pages", 64u << 20, PAGE);
	for (unsigned int i = 0; i < RTE_DIM(elt_sizes); i++) {
		struct rte_mempool *mp;

		spec = *POOL_SPEC_ON(socket, RTE_MIN(8000u, (24u << 20) / elt_sizes[i]),
				     elt_sizes[i]);
		mp = make_in_small_pages(&spec);
		if (mp == NULL) {
			spec.ops = REFERENCE_OPS;
			assert_null(make_in_small_pages(&spec));
			say("%s refuses objects of %u bytes as well", REFERENCE_OPS, elt_sizes[i]);
			continue;
		}
		say("%u objects of %u bytes in %u chunks", spec.n, spec.elt_size,
		    mp->nb_mem_chunks);
		assert_no_page_is_crossed(mp);
		assert_objects_are_contiguous_in_io_memory(mp);
		pool_assert_free(mp, spec.n);
		rte_mempool_free(mp);
	}
	heap_external_remove("contract-pages");
}

/* Objects larger than a page need neighbouring pages, of which there are as many as there are. */
TEST(anonymous_memory_with_physical_addresses)
{
	const unsigned int n = 5000;

	for (unsigned int i = 0; i < RTE_DIM(elt_sizes) - 2; i++) {
		struct rte_mempool *mp = pool_empty(POOL_SPEC(n, elt_sizes[i]));
		unsigned int made = rte_mempool_populate_anon(mp);

		if (pool_stride(mp) <= PAGE)
			assert_int_equal(made, n);
		else
			say("%u of %u objects of %u bytes fit", made, n, elt_sizes[i]);
		assert_int_equal(made, mp->populated_size);
		if (made > 0) {
			assert_no_page_is_crossed(mp);
			assert_objects_are_contiguous_in_io_memory(mp);
			assert_int_equal(pool_ops_count(mp), made);
		}
		rte_mempool_free(mp);
	}
}

int
main(int argc, char **argv)
{
	return HARNESS_RUN(argc, argv, 1);
}
