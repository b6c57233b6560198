/* SPDX-License-Identifier: BSD-3-Clause */

/* All ways that rte_mempool has to give a pool its memory. */

#include <sys/mman.h>

#include <rte_bitops.h>
#include <rte_eal.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>
#include <rte_memory.h>
#include <rte_memzone.h>
#include <rte_ring.h>

#include "harness.h"
#include "heap.h"
#include "pool.h"
#include "roster.h"

#define PAGE 4096u
#define EXTERNAL_BYTES (64u << 20)

/* Everything that a pool with memory from anywhere has to do. */
static void
use_pool(struct rte_mempool *mp)
{
	unsigned int n = mp->populated_size, got;
	void **objs = calloc(n + 1, sizeof(void *));
	struct roster *roster = roster_of(mp);

	assert_non_null(objs);
	pool_assert_ops(mp);
	roster_paint(roster);
	for (unsigned int bulk = 1; bulk <= 128; bulk *= 2) {
		assert_int_equal(rte_mempool_avail_count(mp), n);
		got = roster_drain(roster, objs, bulk);
		assert_int_equal(got, n / bulk * bulk);
		assert_int_equal(roster_get(roster, objs + got, n - got), 0);
		assert_int_equal(rte_mempool_get(mp, &objs[n]), -ENOBUFS);
		roster_shuffle(objs, n);
		roster_refill(roster, objs, n, 3 * bulk);
	}
	assert_int_equal(rte_mempool_avail_count(mp), n);
	roster_assert_paint(roster);
	roster_free(roster);
	free(objs);
}

static void
use_and_free(struct rte_mempool *mp)
{
	use_pool(mp);
	rte_mempool_free(mp);
}

TEST(memory_on_a_given_socket_or_any)
{
	use_and_free(pool_make(POOL_SPEC_ON(SOCKET_ID_ANY, 1000, 128)));
	for (unsigned int i = 0; i < rte_socket_count(); i++)
		use_and_free(pool_make(POOL_SPEC_ON(rte_socket_id_by_idx(i), 1000, 128)));
}

TEST(anonymous_memory)
{
	static const unsigned int sizes[] = {64, 2176};

	for (unsigned int i = 0; i < RTE_DIM(sizes); i++) {
		struct rte_mempool *mp = pool_empty(POOL_SPEC(20000, sizes[i]));

		assert_int_equal(rte_mempool_populate_anon(mp), 20000);
		say("%u chunks of anonymous memory", mp->nb_mem_chunks);
		use_and_free(mp);
	}
}

TEST(a_chunk_by_hand_with_io_address)
{
	const unsigned int n = 700;
	struct rte_mempool *mp = pool_empty(POOL_SPEC(n, 512));
	size_t len = 2 * pool_chunk_size(mp, n);
	void *chunk = rte_malloc(NULL, len, RTE_MEMPOOL_ALIGN);

	assert_non_null(chunk);
	assert_int_equal(
		rte_mempool_populate_iova(mp, chunk, rte_malloc_virt2iova(chunk), len, NULL, NULL),
		n);
	use_and_free(mp);
	rte_free(chunk);
}

TEST(a_chunk_by_hand_without_io_address)
{
	const unsigned int n = 700;
	struct rte_mempool *mp =
		pool_empty(POOL_SPEC(n, 512, .flags = RTE_MEMPOOL_F_NO_IOVA_CONTIG));
	size_t len = pool_chunk_size(mp, n);
	void *chunk = malloc(len); /* not page aligned, and not known to EAL */

	assert_non_null(chunk);
	assert_int_equal(rte_mempool_populate_iova(mp, chunk, RTE_BAD_IOVA, len, NULL, NULL), n);
	use_and_free(mp);
	free(chunk);
}

TEST(pages_by_hand)
{
	const unsigned int n = 3000;
	struct rte_mempool *mp = pool_empty(POOL_SPEC(n, 300));
	size_t len = RTE_ALIGN(2 * pool_chunk_size(mp, n), PAGE);
	void *pages = pool_map(len);

	memset(pages, 0, len);
	assert_int_equal(rte_mempool_populate_virt(mp, pages, len, PAGE, NULL, NULL), n);
	use_and_free(mp);
	pool_unmap_chunk(&(struct rte_mempool_memhdr){.addr = pages}, (void *)len);
}

/* Chunks that hold exactly one object each, not a byte more. */
static void
add_single_objects(struct rte_mempool *mp, char *memory, unsigned int n)
{
	size_t stride = pool_stride(mp);

	for (unsigned int i = 0; i < n; i++) {
		assert_int_equal(mp->populated_size, i);
		assert_int_equal(rte_mempool_populate_iova(mp, memory + 2 * i * stride,
							   RTE_BAD_IOVA, stride, NULL, NULL),
				 1);
	}
}

TEST(chunks_of_one_object_each)
{
	const unsigned int n = 1500;
	struct rte_mempool *mp = pool_empty(
		POOL_SPEC(n, 128, .flags = RTE_MEMPOOL_F_NO_IOVA_CONTIG | RTE_MEMPOOL_F_NO_SPREAD));
	size_t len = RTE_ALIGN(2 * n * pool_stride(mp), PAGE);
	char *memory = pool_map(len);

	add_single_objects(mp, memory, n);
	assert_int_equal(mp->nb_mem_chunks, n);
	use_and_free(mp);
	munmap(memory, len);
}

/* In descending order of address, so that chunks do not arrive sorted. */
TEST(many_tiny_chunks_in_descending_order)
{
	const unsigned int chunks = 1600, each = 13, n = chunks * each;
	struct rte_mempool *mp =
		pool_empty(POOL_SPEC(n, 56, .flags = RTE_MEMPOOL_F_NO_IOVA_CONTIG));
	size_t size = pool_chunk_size(mp, each);
	size_t len = RTE_ALIGN(chunks * size, PAGE);
	char *memory = pool_map(len);

	for (unsigned int i = chunks; i-- > 0 && mp->populated_size < n;)
		assert_true(rte_mempool_populate_iova(mp, memory + i * size, RTE_BAD_IOVA, size,
						      NULL, NULL) >=
			    (int)RTE_MIN(each, n - mp->populated_size));
	assert_int_equal(mp->populated_size, n);
	use_and_free(mp);
	munmap(memory, len);
}

struct odd_chunk {
	size_t offset;
	size_t len;
};

/* Returns the objects that each chunk gave, or what went wrong, in answers[]. */
static void
populate_odd(const struct pool_spec *spec, char *memory, const struct odd_chunk *chunks,
	     unsigned int n, int *answers, bool use)
{
	struct rte_mempool *mp = pool_empty(spec);

	for (unsigned int i = 0; i < n; i++)
		answers[i] = rte_mempool_populate_iova(mp, memory + chunks[i].offset, RTE_BAD_IOVA,
						       chunks[i].len, NULL, NULL);
	if (use)
		use_and_free(mp);
}

TEST(odd_chunks_give_as_many_objects_as_with_the_default_handler)
{
	enum { CHUNKS = 300, ROOM = 20000 };
	static const unsigned int flags[] = {
		0,
		RTE_MEMPOOL_F_NO_CACHE_ALIGN,
		RTE_MEMPOOL_F_NO_IOVA_CONTIG,
	};
	struct odd_chunk chunks[CHUNKS];
	int ours[CHUNKS], reference[CHUNKS];
	char *memory = pool_map(CHUNKS * ROOM);

	for (unsigned int i = 0; i < CHUNKS; i++) {
		chunks[i].offset = i * ROOM + random_below(200);
		chunks[i].len = random_below(i % 3 == 0 ? 300 : ROOM - 200);
	}
	for (unsigned int i = 0; i < RTE_DIM(flags); i++) {
		struct pool_spec spec = *POOL_SPEC(CHUNKS * ROOM, 24 + 56 * i, .flags = flags[i]);

		spec.n = 40000;
		populate_odd(&spec, memory, chunks, CHUNKS, ours, true);
		spec.ops = REFERENCE_OPS;
		populate_odd(&spec, memory, chunks, CHUNKS, reference, false);
		for (unsigned int j = 0; j < CHUNKS; j++)
			if (ours[j] != reference[j])
				fail_msg("%zu bytes at %zu, flags %#x: %d objects, %s makes %d",
					 chunks[j].len, chunks[j].offset, flags[i], ours[j],
					 REFERENCE_OPS, reference[j]);
	}
	munmap(memory, CHUNKS * ROOM);
}

TEST(a_full_pool_takes_no_more_memory)
{
	struct rte_mempool *mp = pool_make(POOL_SPEC(50, 64));
	char chunk[1024];

	assert_int_equal(
		rte_mempool_populate_iova(mp, chunk, RTE_BAD_IOVA, sizeof(chunk), NULL, NULL),
		-ENOSPC);
	use_and_free(mp);
}

TEST(a_chunk_too_small_for_an_object_is_refused_and_harmless)
{
	struct rte_mempool *mp = pool_empty(POOL_SPEC(50, 512));
	size_t len = RTE_ALIGN(pool_chunk_size(mp, 50), PAGE) * 2;
	char small[200], *chunk = pool_map(len);

	assert_int_equal(
		rte_mempool_populate_iova(mp, small, RTE_BAD_IOVA, sizeof(small), NULL, NULL), 0);
	assert_int_equal(mp->nb_mem_chunks, 0);
	assert_int_equal(rte_mempool_populate_iova(mp, chunk, RTE_BAD_IOVA, len, NULL, NULL), 50);
	use_and_free(mp);
	munmap(chunk, len);
}

TEST(a_pool_grows_while_its_objects_are_in_use)
{
	const unsigned int parts = 10, each = 333, n = parts * each;
	struct rte_mempool *mp =
		pool_empty(POOL_SPEC(n, 64, .flags = RTE_MEMPOOL_F_NO_IOVA_CONTIG));
	size_t size = pool_chunk_size(mp, each), len = RTE_ALIGN(parts * size, PAGE);
	char *memory = pool_map(len);
	void **objs = calloc(n + 64, sizeof(void *));

	assert_non_null(objs);
	for (unsigned int i = 0, held = 0; i < parts && mp->populated_size < n; i++) {
		assert_true(rte_mempool_populate_iova(mp, memory + i * size, RTE_BAD_IOVA, size,
						      NULL, NULL) > 0);
		assert_int_equal(rte_mempool_avail_count(mp), mp->populated_size - held);
		while (held < mp->populated_size)
			assert_int_equal(rte_mempool_get(mp, &objs[held++]), 0);
		assert_int_equal(rte_mempool_get(mp, &objs[held]), -ENOBUFS);
		rte_mempool_put_bulk(mp, objs + held - 50 * (i % 2), 50 * (i % 2));
		held -= 50 * (i % 2);
		if (mp->populated_size >= n)
			rte_mempool_put_bulk(mp, objs, held);
	}
	assert_int_equal(mp->populated_size, n);
	use_and_free(mp);
	free(objs);
	munmap(memory, len);
}

TEST(external_heaps_with_small_pages_and_with_hugepages)
{
	static const size_t page_sizes[] = {PAGE, 2u << 20};

	for (unsigned int i = 0; i < RTE_DIM(page_sizes); i++) {
		int socket = heap_external_add("contract-external", EXTERNAL_BYTES, page_sizes[i]);
		struct rte_mempool *mp;

		if (socket < 0)
			SKIP_TEST("no memory in pages of %zu bytes", page_sizes[i]);
		assert_true(socket >= 256);
		mp = pool_make(POOL_SPEC_ON(socket, 10000, 2176));
		assert_int_equal(mp->socket_id, socket);
		say("%u chunks in an external heap with pages of %zu bytes", mp->nb_mem_chunks,
		    page_sizes[i]);
		use_and_free(mp);
		heap_external_remove("contract-external");
	}
}

struct zones {
	int socket;
	unsigned int mempool;
	unsigned int other;
};

static void
count_zone(const struct rte_memzone *mz, void *arg)
{
	struct zones *zones = arg;

	if (mz->socket_id != zones->socket)
		return;
	if (strncmp(mz->name, "MP_", 3) == 0)
		zones->mempool++;
	else
		zones->other++;
}

TEST(an_external_heap_holds_objects_and_no_metadata_of_the_driver)
{
	struct rte_malloc_socket_stats stats;
	struct zones zones = {0};
	struct rte_mempool *mp;

	harness_need_ours("to keep its own data out of external heaps");
	zones.socket = heap_external_add("contract-metadata", 16u << 20, PAGE);
	assert_true(zones.socket >= 256);
	mp = pool_make(POOL_SPEC_ON(zones.socket, 4000, 512));
	use_pool(mp);
	rte_memzone_walk(count_zone, &zones);
	assert_int_equal(rte_malloc_get_socket_stats(zones.socket, &stats), 0);
	assert_true(zones.mempool >= 2); /* the pool's header and its objects */
	assert_int_equal(zones.other, 0);
	assert_int_equal(stats.alloc_count, zones.mempool);
	rte_mempool_free(mp);
	heap_external_remove("contract-metadata");
}

/* The heap has half the memory: chunks come until none is left, then all are taken back. */
TEST(a_pool_whose_memory_ran_out_half_way_can_be_populated_again)
{
	const unsigned int n = 15000;
	int socket = heap_external_add("contract-short", 8u << 20, PAGE);
	struct rte_mempool *mp = pool_empty(POOL_SPEC_ON(socket, n, 1024));
	size_t len = RTE_ALIGN(2 * pool_chunk_size(mp, n), PAGE);
	void *chunk = pool_map(len);

	for (unsigned int i = 0; i < 3; i++) {
		int ret = rte_mempool_populate_default(mp);

		assert_true(ret < 0);
		assert_int_equal(mp->nb_mem_chunks, 0);
		assert_int_equal(mp->populated_size, 0);
		assert_int_equal(rte_mempool_avail_count(mp), 0);
		assert_int_equal(rte_mempool_get(mp, &(void *){NULL}), -ENOBUFS);
	}
	assert_int_equal(rte_mempool_populate_iova(mp, chunk, RTE_BAD_IOVA, len, NULL, NULL), n);
	use_and_free(mp);
	heap_external_remove("contract-short");
	munmap(chunk, len);
}

/* Neither the mbufs nor the count may show where the bytes of the packets are. */
static void
use_mbufs(struct rte_mempool *mp, bool pinned)
{
	const unsigned int n = mp->size;
	struct rte_mbuf **mbufs = calloc(n + 1, sizeof(*mbufs));

	assert_non_null(mbufs);
	pool_assert_ops(mp);
	for (unsigned int round = 0; round < 5; round++) {
		for (unsigned int i = 0; i < n; i++) {
			mbufs[i] = rte_pktmbuf_alloc(mp);
			assert_non_null(mbufs[i]);
			assert_int_equal(RTE_MBUF_HAS_PINNED_EXTBUF(mbufs[i]), pinned);
			assert_int_equal(rte_mbuf_check(mbufs[i], 1, &(const char *){NULL}), 0);
			memset(rte_pktmbuf_append(mbufs[i], 60), round, 60);
		}
		assert_null(rte_pktmbuf_alloc(mp));
		roster_shuffle((void **)mbufs, n);
		rte_pktmbuf_free_bulk(mbufs, n);
		assert_int_equal(rte_mempool_avail_count(mp), n);
	}
	free(mbufs);
}

static size_t
heap_of_pool(const char *ops, unsigned int n)
{
	size_t before = heap_use_now().bytes, bytes;
	struct rte_mempool *mp = rte_pktmbuf_pool_create_by_ops(
		"footprint", n, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY, ops);

	assert_non_null(mp);
	bytes = heap_use_now().bytes - before;
	rte_mempool_free(mp);
	return bytes;
}

TEST(records_of_a_pool_take_no_more_than_readme_says)
{
	static const unsigned int sizes[] = {1023, 4099, 8191, 32767};

	if (!rte_eal_has_hugepages())
		SKIP_TEST("mbufs do not lie as close on small pages");
	for (unsigned int i = 0; i < RTE_DIM(sizes); i++) {
		unsigned int n = sizes[i];
		size_t base = heap_of_pool("ring_mp_mc", n);
		size_t ring = (size_t)rte_ring_get_memsize(rte_align32pow2(n + 1));
		size_t most = 21 * (size_t)n + ((size_t)rte_lcore_count() << 13) + (76u << 10);

		assert_in_range(heap_of_pool(harness_ops(), n), base - ring, base - ring + most);
	}
}

TEST(packet_buffers_by_name_of_the_ops)
{
	static const unsigned int caches[] = {0, 250, 512};

	for (unsigned int i = 0; i < RTE_DIM(caches); i++) {
		struct rte_mempool *mp = rte_pktmbuf_pool_create_by_ops(
			"packets-by-ops", 4000, caches[i], 16, RTE_MBUF_DEFAULT_BUF_SIZE,
			SOCKET_ID_ANY, harness_ops());

		assert_non_null(mp);
		use_mbufs(mp, false);
		rte_mempool_free(mp);
	}
}

TEST(packet_buffers_by_choice_of_the_user)
{
	struct rte_mempool *mp;

	assert_int_equal(rte_mbuf_set_user_mempool_ops(harness_ops()), 0);
	mp = rte_pktmbuf_pool_create("packets-by-choice", 2047, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
				     SOCKET_ID_ANY);
	assert_non_null(mp);
	use_mbufs(mp, false);
	rte_mempool_free(mp);
}

TEST(packet_buffers_with_pinned_external_data)
{
	enum { N = 2000, ROOM = RTE_MBUF_DEFAULT_BUF_SIZE };
	size_t len = RTE_ALIGN((size_t)N * ROOM, PAGE);
	void *data = pool_map(len);
	const struct rte_pktmbuf_extmem extmem = {
		.buf_ptr = data,
		.buf_iova = (uintptr_t)data,
		.buf_len = len,
		.elt_size = ROOM,
	};
	struct rte_mempool *mp;

	assert_int_equal(rte_mbuf_set_user_mempool_ops(harness_ops()), 0);
	mp = rte_pktmbuf_pool_create_extbuf("packets-pinned", N, 0, 0, ROOM, SOCKET_ID_ANY, &extmem,
					    1);
	assert_non_null(mp);
	use_mbufs(mp, true);
	rte_mempool_free(mp);
	munmap(data, len);
}

int
main(int argc, char **argv)
{
	return HARNESS_RUN(argc, argv, 1);
}
