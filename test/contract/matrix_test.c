/* SPDX-License-Identifier: BSD-3-Clause */

/* Pools of 1 object to a million, objects of 8 bytes to 64 KiB, every cache size and flag. */

#include "harness.h"
#include "heap.h"
#include "pool.h"
#include "roster.h"

#define MAX_BULK 1024
#define CELL_BYTES (run_is_full() ? UINT64_C(400) << 20 : UINT64_C(48) << 20)
/* The bytes of objects are compared in pools up to this size. */
#define PAINT_BYTES (8u << 20)

static const unsigned int counts[] = {1, 2, 3, 7, 31, 64, 100, 511, 1000, 4096, 30000, 250000};
static const unsigned int elt_sizes[] = {
	8, 16, 24, 64, 72, 128, 200, 1000, 2048, 2176, 4096, 9000, 16384, 32768, 65536,
};
static const unsigned int caches[] = {0, 250, 512};
static const unsigned int flags[] = {
	0,
	RTE_MEMPOOL_F_NO_IOVA_CONTIG,
	RTE_MEMPOOL_F_SP_PUT | RTE_MEMPOOL_F_SC_GET,
	RTE_MEMPOOL_F_NO_CACHE_ALIGN | RTE_MEMPOOL_F_NO_SPREAD,
};

struct cells {
	unsigned int nb;
	unsigned int refused;
};

/* Takes everything in bulks of one size, gives it back in another, and adds up at each step. */
static void
cycle(struct rte_mempool *mp, struct roster *roster, void **objs, unsigned int bulk)
{
	unsigned int n = mp->size, got;

	bulk = RTE_MIN(bulk, n);
	got = roster_drain(roster, objs, bulk);
	assert_in_range(got, n - bulk + 1, n);
	assert_int_equal(rte_mempool_avail_count(mp), n - got);
	roster_shuffle(objs, RTE_MIN(got, 5000u));
	roster_refill(roster, objs, got, MAX_BULK + 1 - bulk);
	assert_int_equal(rte_mempool_avail_count(mp), n);
}

static void
run_cell(struct cells *cells, const struct pool_spec *spec)
{
	static const unsigned int bulks[] = {1, 2, 8, 31, 32, 64, 100, 255, 512, 1000, 1024};
	struct rte_mempool *mp = pool_try(spec);
	bool paint = (uint64_t)spec->n * spec->elt_size <= PAINT_BYTES;
	struct roster *roster;
	void **objs;

	cells->nb++;
	if (mp == NULL) {
		cells->refused++;
		return;
	}
	objs = calloc(spec->n + MAX_BULK, sizeof(void *));
	assert_non_null(objs);
	roster = roster_of(mp);
	if (paint)
		roster_paint(roster);
	cycle(mp, roster, objs, bulks[cells->nb % RTE_DIM(bulks)]);
	cycle(mp, roster, objs, bulks[random_below(RTE_DIM(bulks))]);
	if (paint)
		roster_assert_paint(roster);
	roster_free(roster);
	rte_mempool_free(mp);
	free(objs);
}

static bool
cell_is_possible(unsigned int n, unsigned int elt_size, unsigned int cache)
{
	/* rte_mempool refuses a cache that a pool could not fill one and a half times. */
	return (uint64_t)n * (elt_size + 64) <= CELL_BYTES && cache * 3 / 2 <= n;
}

static void
report(const struct cells *cells)
{
	say("%u cells, %u refused by %s too", cells->nb, cells->refused, REFERENCE_OPS);
}

TEST(every_count_size_and_cache)
{
	struct cells cells = {0};

	for (unsigned int i = 0; i < RTE_DIM(counts); i++)
		for (unsigned int j = 0; j < RTE_DIM(elt_sizes); j++)
			for (unsigned int k = 0; k < RTE_DIM(caches); k++)
				if (cell_is_possible(counts[i], elt_sizes[j], caches[k]))
					run_cell(&cells, POOL_SPEC(counts[i], elt_sizes[j],
								   .cache_size = caches[k]));
	report(&cells);
}

TEST(every_count_size_and_flag)
{
	struct cells cells = {0};

	for (unsigned int i = 0; i < RTE_DIM(counts) - 1; i++)
		for (unsigned int j = 0; j < RTE_DIM(elt_sizes); j++)
			for (unsigned int k = 1; k < RTE_DIM(flags); k++)
				if (cell_is_possible(counts[i], elt_sizes[j], 0))
					run_cell(&cells, POOL_SPEC(counts[i], elt_sizes[j],
								   .flags = flags[k]));
	report(&cells);
}

TEST(a_million_objects)
{
	static const unsigned int sizes[] = {8, 128};
	struct cells cells = {0};

	for (unsigned int i = 0; i < RTE_DIM(sizes); i++)
		run_cell(&cells, POOL_SPEC(1000000, sizes[i], .cache_size = caches[1 + i % 2]));
	run_cell(&cells, POOL_SPEC(1000000, 64));
	report(&cells);
}

/* The sizes at which a handler may round: powers of two and their neighbours. */
TEST(every_count_up_to_a_few_hundred)
{
	struct cells cells = {0};

	for (unsigned int n = 1; n <= 600; n += run_is_full() || n < 300 ? 1 : 7)
		run_cell(&cells, POOL_SPEC(n, 64));
	for (unsigned int n = 1024; n <= 65536; n *= 2)
		for (unsigned int off = 0; off < 3; off++)
			run_cell(&cells, POOL_SPEC(n + off - 1, 32));
	report(&cells);
}

/* The cells that the default handler may refuse, as with 64 KiB objects on 4 KiB pages. */
TEST(large_objects_on_small_pages)
{
	int socket = heap_external_add_apart("contract-matrix", 32u << 20, 4096);
	struct cells cells = {0};

	assert_true(socket >= 256);
	for (unsigned int j = 0; j < RTE_DIM(elt_sizes); j++)
		for (unsigned int k = 0; k < RTE_DIM(flags); k++)
			run_cell(&cells,
				 &(struct pool_spec){socket, 100, elt_sizes[j], .flags = flags[k]});
	report(&cells);
	heap_external_remove("contract-matrix");
}

int
main(int argc, char **argv)
{
	return HARNESS_RUN(argc, argv, 1);
}
