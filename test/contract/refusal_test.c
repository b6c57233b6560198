/* SPDX-License-Identifier: BSD-3-Clause */

/* Sizes that cannot be: an error, never a crash, and nothing left behind. */

#include <sys/mman.h>

#include <rte_malloc.h>

#include "harness.h"
#include "heap.h"
#include "pool.h"
#include "roster.h"

static struct rte_mempool *
create(unsigned int n, unsigned int elt_size, unsigned int cache_size, int socket_id)
{
	struct rte_mempool *mp =
		rte_mempool_create_empty("refused", n, elt_size, cache_size, 0, socket_id, 0);

	if (mp != NULL)
		assert_int_equal(rte_mempool_set_ops_byname(mp, harness_ops(), NULL), 0);
	return mp;
}

/* Above that, rte_mempool itself returns whatever is left of the number as an int. */
static bool
size_is_a_number(const struct rte_mempool *mp)
{
	return (unsigned __int128)mp->size * pool_stride(mp) <= INT64_MAX;
}

/* Errors all the way, whichever step is the one to refuse. */
static void
assert_refused(unsigned int n, unsigned int elt_size, int socket_id)
{
	struct rte_mempool *mp = create(n, elt_size, 0, socket_id);
	int ret;

	if (mp == NULL)
		return;
	ret = rte_mempool_populate_default(mp);
	if (ret >= 0 && size_is_a_number(mp))
		fail_msg("%u objects of %u bytes: %d", n, elt_size, ret);
	assert_int_equal(mp->populated_size, 0);
	assert_int_equal(mp->nb_mem_chunks, 0);
	rte_mempool_free(mp);
}

TEST(more_objects_than_any_memory_has_room_for)
{
	static const unsigned int elt_sizes[] = {1u << 12, 1u << 16, 1u << 24, 1u << 31};
	struct heap_use before, after;

	for (unsigned int round = 0; round < 2; round++) {
		before = heap_use_now();
		for (unsigned int i = 0; i < RTE_DIM(elt_sizes); i++) {
			assert_refused(UINT32_MAX, elt_sizes[i], SOCKET_ID_ANY);
			assert_refused(UINT32_MAX - 1, elt_sizes[i], SOCKET_ID_ANY);
			assert_refused(1u << 31, elt_sizes[i], SOCKET_ID_ANY);
			assert_refused((1u << 31) + 1, elt_sizes[i], SOCKET_ID_ANY);
		}
		after = heap_use_now();
	}
	heap_assert_same(&before, &after);
}

TEST(objects_larger_than_the_memory)
{
	int socket = heap_external_add("contract-small", 4u << 20, 4096);

	assert_true(socket >= 256);
	assert_refused(1, 8u << 20, socket);
	assert_refused(1, 1u << 31, socket);
	assert_refused(1000, 1u << 30, socket);
	heap_external_remove("contract-small");
}

TEST(memory_that_runs_out_on_the_way)
{
	int socket = heap_external_add("contract-little", 4u << 20, 4096);
	struct rte_malloc_socket_stats stats;

	assert_true(socket >= 256);
	for (unsigned int n = 3000; n <= 3000000; n *= 10)
		assert_refused(n, 2048, socket);
	assert_int_equal(rte_malloc_get_socket_stats(socket, &stats), 0);
	assert_int_equal(stats.alloc_count, 0);
	heap_external_remove("contract-little");
}

/* A large n in itself is not an error: few objects may come. */
TEST(a_pool_made_for_many_objects_that_gets_few)
{
	struct rte_mempool *mp = create(UINT32_MAX / 64, 64, 0, SOCKET_ID_ANY);
	const size_t len = 1u << 20;
	char *chunk = pool_map(len);
	int ret;

	assert_non_null(mp);
	ret = rte_mempool_populate_iova(mp, chunk, RTE_BAD_IOVA, len, NULL, NULL);
	if (ret > 0) {
		pool_assert_free(mp, ret);
	} else {
		assert_true(ret < 0);
		say("%u objects are refused from the start: %s", mp->size, rte_strerror(-ret));
	}
	rte_mempool_free(mp);
	munmap(chunk, len);
}

TEST(chunks_with_room_for_nothing)
{
	struct rte_mempool *mp = create(100, 64, 0, SOCKET_ID_ANY);
	char chunk[64];

	assert_non_null(mp);
	for (size_t len = 0; len < sizeof(chunk); len++)
		assert_int_equal(
			rte_mempool_populate_iova(mp, chunk, RTE_BAD_IOVA, len, NULL, NULL), 0);
	assert_int_equal(mp->nb_mem_chunks, 0);
	rte_mempool_free(mp);
}

int
main(int argc, char **argv)
{
	return HARNESS_RUN(argc, argv, 1);
}
