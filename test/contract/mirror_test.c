/* SPDX-License-Identifier: BSD-3-Clause */

/* Mempools with the option mirror=BYTES: memory beside each object, in every memory mode. */

#include <sys/mman.h>

#include <rte_malloc.h>
#include <rte_mbuf.h>

#include "harness.h"
#include "heap.h"
#include "pool.h"
#include "rte_mempool_magazine.h"

#define COUNT 3000

struct walk {
	const struct mag_mirror *mirror;
	unsigned int seed;
	unsigned int seen;
};

static void
fill_one(struct rte_mempool *mp __rte_unused, void *arg, void *object, unsigned int index)
{
	struct walk *walk = arg;
	char *its = mag_mirror_of(walk->mirror, object);

	assert_non_null(its);
	assert_ptr_equal(mag_mirror_object(walk->mirror, its), object);
	memset(its, index + walk->seed, walk->mirror->bytes);
	walk->seen++;
}

static void
check_one(struct rte_mempool *mp __rte_unused, void *arg, void *object, unsigned int index)
{
	struct walk *walk = arg;
	unsigned char *its = mag_mirror_of(walk->mirror, object);

	for (unsigned int i = 0; i < walk->mirror->bytes; i++)
		assert_int_equal(its[i], (unsigned char)(index + walk->seed));
	assert_ptr_equal(mag_mirror_object(walk->mirror, its), object);
	walk->seen++;
}

static void
zero_one(struct rte_mempool *mp __rte_unused, void *arg, void *object,
	 unsigned int index __rte_unused)
{
	struct walk *walk = arg;
	unsigned char *its = mag_mirror_of(walk->mirror, object);

	for (unsigned int i = 0; i < walk->mirror->bytes; i++)
		assert_int_equal(its[i], 0);
}

static void
walk_pool(struct rte_mempool *mp, rte_mempool_obj_cb_t *each, unsigned int seed)
{
	struct walk walk = {.mirror = rte_mempool_magazine_mirror(mp), .seed = seed};

	assert_non_null(walk.mirror);
	rte_mempool_obj_iter(mp, each, &walk);
}

TEST(each_object_has_a_mirror_of_its_own)
{
	static const struct {
		unsigned int n, size;
		const char *config;
	} pools[] = {
		{COUNT, 2176, "mirror=56"}, {COUNT, 64, "mirror=8"},  {COUNT, 200, "mirror=1"},
		{100, 9000, "mirror=4096"}, {7, 65536, "mirror=120"}, {1, 100000, "mirror=24"},
		{COUNT, 8, "mirror=16"},
	};

	for (unsigned int i = 0; i < RTE_DIM(pools); i++) {
		struct rte_mempool *mp =
			pool_try(POOL_SPEC(pools[i].n, pools[i].size, .config = pools[i].config));

		if (mp == NULL)
			continue;
		walk_pool(mp, zero_one, 0);
		walk_pool(mp, fill_one, i);
		walk_pool(mp, check_one, i);
		rte_mempool_free(mp);
	}
}

TEST(mirrors_keep_what_is_in_them)
{
	struct rte_mempool *mp =
		pool_make(POOL_SPEC(COUNT, 2176, .config = "mirror=56", .cache_size = 250));
	void **objects = calloc(COUNT, sizeof(void *));
	unsigned int n;

	walk_pool(mp, fill_one, 5);
	for (unsigned int turn = 0; turn < 20; turn++) {
		for (n = 0; n + 32 <= COUNT && rte_mempool_get_bulk(mp, objects + n, 32) == 0;)
			n += 32;
		assert_true(n > COUNT / 2);
		for (unsigned int i = 0; i < n; i++)
			memset(objects[i], turn, 2176);
		walk_pool(mp, check_one, 5);
		rte_mempool_put_bulk(mp, objects, n);
	}
	free(objects);
	rte_mempool_free(mp);
}

/* A time stamp and a flow for each packet, without a byte of the mbuf. */
TEST(mbufs_have_mirrors)
{
	struct stamp {
		uint64_t time;
		void *flow;
	};
	struct rte_mempool *mp = rte_pktmbuf_pool_create_by_ops("mirrored", 1023, 64, 8, 512,
								SOCKET_ID_ANY, harness_ops());
	const struct mag_mirror *mirror;
	struct rte_mbuf *m[32];
	struct stamp *stamp;

	assert_non_null(mp);
	assert_null(rte_mempool_magazine_mirror(mp));
	rte_mempool_free(mp);
	setenv("MAGAZINE_OPTIONS", "mirror=16", 1);
	mp = rte_pktmbuf_pool_create_by_ops("mirrored", 1023, 64, 8, 512, SOCKET_ID_ANY,
					    harness_ops());
	unsetenv("MAGAZINE_OPTIONS");
	assert_non_null(mp);
	mirror = rte_mempool_magazine_mirror(mp);
	assert_non_null(mirror);
	assert_int_equal(rte_pktmbuf_alloc_bulk(mp, m, 32), 0);
	for (unsigned int i = 0; i < 32; i++) {
		stamp = mag_mirror_of(mirror, m[i]);
		*stamp = (struct stamp){i, m[i]};
		assert_non_null(rte_pktmbuf_append(m[i], 512 - RTE_PKTMBUF_HEADROOM));
		memset(rte_pktmbuf_mtod(m[i], void *), 0xff, 512 - RTE_PKTMBUF_HEADROOM);
		memset(rte_mbuf_to_priv(m[i]), 0xff, 8);
	}
	for (unsigned int i = 0; i < 32; i++) {
		stamp = mag_mirror_of(mirror, m[i]);
		assert_int_equal(stamp->time, i);
		assert_ptr_equal(stamp->flow, m[i]);
		assert_ptr_equal(mag_mirror_object(mirror, stamp), m[i]);
		rte_mbuf_sanity_check(m[i], 1);
	}
	rte_pktmbuf_free_bulk(m, 32);
	rte_mempool_free(mp);
}

/* One object in each chunk, in memory that EAL does not know. */
TEST(chunks_of_any_kind_have_mirrors)
{
	struct rte_mempool *mp = pool_empty(POOL_SPEC(40, 500, .config = "mirror=100"));
	size_t stride = pool_stride(mp), len = 64 << 10;
	char *memory = pool_map(len);
	unsigned int n = 0;

	for (size_t at = 0; n < 40 && at + stride <= len; at += stride + 64)
		n += rte_mempool_populate_iova(mp, memory + at, RTE_BAD_IOVA, stride, NULL, NULL) ==
		     1;
	assert_int_equal(n, 40);
	walk_pool(mp, zero_one, 0);
	walk_pool(mp, fill_one, 9);
	walk_pool(mp, check_one, 9);
	rte_mempool_free(mp);
	assert_int_equal(munmap(memory, len), 0);
}

TEST(mirrors_leave_nothing_behind)
{
	struct heap_use before, after;

	rte_mempool_free(pool_make(POOL_SPEC(COUNT, 2176, .config = "mirror=56")));
	before = heap_use_now();
	for (unsigned int turn = 0; turn < 5; turn++)
		rte_mempool_free(pool_make(POOL_SPEC(COUNT, 2176, .config = "mirror=56")));
	after = heap_use_now();
	heap_assert_same(&before, &after);
}

TEST(other_pools_have_none)
{
	struct rte_mempool *mp = pool_make(POOL_SPEC(100, 64, .ops = REFERENCE_OPS));

	rte_errno = 0;
	assert_null(rte_mempool_magazine_mirror(mp));
	assert_int_equal(rte_errno, EINVAL);
	rte_mempool_free(mp);
}

int
main(int argc, char **argv)
{
	return HARNESS_RUN(argc, argv, 1);
}
