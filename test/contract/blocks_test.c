/* SPDX-License-Identifier: BSD-3-Clause */

/* Blocks of contiguous objects: fixed in size, whole, and to be had again after any exchange. */

#include <sys/mman.h>

#include "harness.h"
#include "pool.h"
#include "roster.h"

#define LCORES 3

/* A pool, its objects, and the blocks that the test has of it. */
struct stock {
	struct rte_mempool *mp;
	struct roster *roster;
	void **objs;
	void **blocks;
	unsigned int block_size;
	unsigned int nb_whole; /* blocks of the pool when all objects are free */
	enum { ANY_ORDER, BLOCK_BY_BLOCK, ASCENDING, ORDERS } order; /* in which blocks go back */
};

static unsigned int
block_size_of(struct rte_mempool *mp)
{
	struct rte_mempool_info info = {0};

	assert_int_equal(rte_mempool_ops_get_info(mp, &info), 0);
	assert_true(info.contig_block_size > 0);
	return info.contig_block_size;
}

static void
expand_block(const struct stock *stock, void *first, void **objs)
{
	for (unsigned int i = 0; i < stock->block_size; i++)
		objs[i] = RTE_PTR_ADD(first, i * pool_stride(stock->mp));
}

/* Every object of each block is one of the pool and was free. */
static void
book_blocks(struct stock *stock, void *const *firsts, unsigned int n)
{
	void **objs = calloc(stock->block_size, sizeof(void *));

	assert_non_null(objs);
	for (unsigned int i = 0; i < n; i++) {
		expand_block(stock, firsts[i], objs);
		roster_took(stock->roster, objs, stock->block_size);
	}
	free(objs);
}

static int
get_blocks(struct stock *stock, void **firsts, unsigned int n)
{
	int ret = rte_mempool_get_contig_blocks(stock->mp, firsts, n);

	if (ret == 0)
		book_blocks(stock, firsts, n);
	else
		assert_int_equal(ret, -ENOBUFS);
	return ret;
}

/* Blocks go back as the objects that they are made of. */
static void
put_blocks(struct stock *stock, void *const *firsts, unsigned int n, unsigned int bulk)
{
	unsigned int nb_objs = n * stock->block_size;
	void **objs = calloc(nb_objs + 1, sizeof(void *));

	assert_non_null(objs);
	for (unsigned int i = 0; i < n; i++)
		expand_block(stock, firsts[i], objs + i * stock->block_size);
	for (unsigned int i = 0; i < n && stock->order == BLOCK_BY_BLOCK; i++)
		roster_shuffle(objs + i * stock->block_size, stock->block_size);
	if (stock->order == ANY_ORDER)
		roster_shuffle(objs, nb_objs);
	roster_refill(stock->roster, objs, nb_objs, bulk);
	free(objs);
}

static unsigned int
take_every_block(struct stock *stock, unsigned int at_once)
{
	unsigned int n = 0;

	while (get_blocks(stock, stock->blocks + n, at_once) == 0)
		n += at_once;
	while (at_once > 1 && get_blocks(stock, stock->blocks + n, 1) == 0)
		n++;
	assert_int_equal(rte_mempool_avail_count(stock->mp),
			 stock->mp->populated_size - roster_held(stock->roster));
	return n;
}

/* Every block can be had, and all objects are free again afterwards. */
static void
cycle_every_block(struct stock *stock, unsigned int at_once, unsigned int bulk)
{
	for (stock->order = 0; stock->order < ORDERS; stock->order++) {
		assert_int_equal(take_every_block(stock, at_once), stock->nb_whole);
		put_blocks(stock, stock->blocks, stock->nb_whole, bulk);
		pool_assert_free(stock->mp, stock->mp->size);
	}
	stock->order = ANY_ORDER;
}

static void
stock_of(struct stock *stock, struct rte_mempool *mp)
{
	stock->mp = mp;
	stock->order = ANY_ORDER;
	stock->roster = roster_of(mp);
	stock->block_size = block_size_of(mp);
	stock->objs = calloc(mp->size + 1024, sizeof(void *));
	stock->blocks = calloc(mp->size + 1024, sizeof(void *));
	assert_non_null(stock->objs);
	assert_non_null(stock->blocks);
	stock->nb_whole = take_every_block(stock, 1);
	put_blocks(stock, stock->blocks, stock->nb_whole, 32);
	pool_assert_free(mp, mp->size);
}

static void
stock_open(struct stock *stock, unsigned int n, unsigned int elt_size)
{
	/* Without pages in the way a chunk is one run of objects. */
	stock_of(stock, pool_make(POOL_SPEC(n, elt_size, .flags = RTE_MEMPOOL_F_NO_IOVA_CONTIG)));
}

static void
stock_close(struct stock *stock)
{
	rte_mempool_free(stock->mp);
	roster_free(stock->roster);
	free(stock->objs);
	free(stock->blocks);
}

static void
need_blocks(void)
{
	if (rte_mempool_ops_table.ops[0].name[0] == '\0')
		fail_msg("no mempool ops at all");
	for (unsigned int i = 0; i < rte_mempool_ops_table.num_ops; i++) {
		const struct rte_mempool_ops *ops = &rte_mempool_ops_table.ops[i];

		if (strcmp(ops->name, harness_ops()) == 0 && ops->dequeue_contig_blocks != NULL)
			return;
	}
	harness_need_ours("contiguous blocks");
	fail_msg("%s has no dequeue_contig_blocks", harness_ops());
}

TEST(the_block_size_is_fixed_when_the_pool_is_made)
{
	struct rte_mempool *mp;
	unsigned int size;
	char *memory;
	size_t len;
	void *objs[64];

	need_blocks();
	mp = pool_empty(POOL_SPEC(6000, 100, .flags = RTE_MEMPOOL_F_NO_IOVA_CONTIG));
	len = RTE_ALIGN(pool_chunk_size(mp, 2000), 4096);
	memory = pool_map(3 * len);
	assert_true(rte_mempool_populate_iova(mp, memory, RTE_BAD_IOVA, 5000, NULL, NULL) > 0);
	size = block_size_of(mp);
	for (unsigned int i = 0; i < 3; i++) {
		rte_mempool_populate_iova(mp, memory + 8192 + i * (len - 8192), RTE_BAD_IOVA,
					  len - 8192, NULL, NULL);
		assert_int_equal(block_size_of(mp), size);
		assert_int_equal(rte_mempool_get_bulk(mp, objs, 64), 0);
		assert_int_equal(block_size_of(mp), size);
		rte_mempool_put_bulk(mp, objs, 64);
	}
	rte_mempool_free(mp);
	munmap(memory, 3 * len);
}

TEST(a_chunk_is_made_of_whole_blocks_but_for_its_tail)
{
	static const unsigned int elt_sizes[] = {8, 64, 200, 2176, 9000};

	need_blocks();
	for (unsigned int i = 0; i < RTE_DIM(elt_sizes); i++) {
		struct stock stock;

		stock_open(&stock, 3001, elt_sizes[i]);
		if (stock.mp->nb_mem_chunks == 1)
			assert_int_equal(stock.nb_whole, 3001 / stock.block_size);
		else
			assert_true(stock.nb_whole > 0);
		stock_close(&stock);
	}
}

TEST(objects_in_no_block_are_served_one_by_one)
{
	struct stock stock;
	unsigned int n, rest;

	need_blocks();
	stock_open(&stock, 3001, 64);
	n = take_every_block(&stock, 1);
	rest = 3001 - n * stock.block_size;
	pool_assert_free(stock.mp, rest);
	assert_int_equal(roster_drain(stock.roster, stock.objs, 1), rest);
	pool_assert_free(stock.mp, 0);
	assert_int_equal(get_blocks(&stock, stock.blocks + n, 1), -ENOBUFS);
	roster_refill(stock.roster, stock.objs, rest, 1);
	put_blocks(&stock, stock.blocks, n, 1);
	pool_assert_free(stock.mp, 3001);
	stock_close(&stock);
}

TEST(more_blocks_than_there_are_take_nothing)
{
	struct stock stock;

	need_blocks();
	stock_open(&stock, 4000, 64);
	for (unsigned int held = 0; held <= stock.nb_whole; held++) {
		for (unsigned int over = 1; over < 600; over *= 3)
			assert_int_equal(get_blocks(&stock, stock.blocks + held,
						    stock.nb_whole - held + over),
					 -ENOBUFS);
		pool_assert_free(stock.mp, 4000 - held * stock.block_size);
		assert_int_equal(get_blocks(&stock, stock.blocks + held, stock.nb_whole - held), 0);
		put_blocks(&stock, stock.blocks + held, stock.nb_whole - held, 17);
		if (held < stock.nb_whole)
			assert_int_equal(get_blocks(&stock, stock.blocks + held, 1), 0);
	}
	put_blocks(&stock, stock.blocks, stock.nb_whole, 32);
	pool_assert_free(stock.mp, 4000);
	stock_close(&stock);
}

TEST(a_pool_smaller_than_a_block_has_no_block)
{
	struct stock stock;
	unsigned int n;

	need_blocks();
	stock_open(&stock, 1, 64);
	n = stock.block_size;
	stock_close(&stock);
	stock_open(&stock, RTE_MAX(n / 4, 1u), 64);
	if (stock.block_size > stock.mp->size) {
		assert_int_equal(stock.nb_whole, 0);
		assert_int_equal(get_blocks(&stock, stock.blocks, 1), -ENOBUFS);
	}
	pool_assert_free(stock.mp, stock.mp->size);
	stock_close(&stock);
}

TEST(blocks_can_be_had_again_whichever_way_their_objects_went_back)
{
	static const unsigned int bulks[] = {1, 2, 31, 32, 64, 500, 1024};
	struct stock stock;

	need_blocks();
	stock_open(&stock, 5000, 2176);
	for (unsigned int i = 0; i < RTE_DIM(bulks); i++) {
		for (unsigned int at_once = 1; at_once <= 4; at_once++) {
			cycle_every_block(&stock, at_once, bulks[i]);
		}
	}
	stock_close(&stock);
}

/* Gets and puts in any order, after which all objects are free, wherever they lie. */
static void
stir(struct stock *stock)
{
	unsigned int n = stock->mp->size, held = 0;

	for (unsigned int step = 0; step < 3 * n; step++) {
		unsigned int bulk = random_below(3) == 0 ? 1 + random_below(64) : 1;

		if (random_below(2) == 0) {
			if (held + bulk <= n &&
			    roster_get(stock->roster, stock->objs + held, bulk) == 0)
				held += bulk;
		} else if (held >= bulk) {
			roster_shuffle(stock->objs, step % 64 == 0 ? held : RTE_MIN(held, 8u));
			held -= bulk;
			roster_put(stock->roster, stock->objs + held, bulk);
		}
	}
	roster_shuffle(stock->objs, held);
	roster_refill(stock->roster, stock->objs, held, 1);
}

/* Blocks and single objects come and go, by magazines that are larger than a block. */
TEST(blocks_and_objects_are_never_had_twice)
{
	struct stock stock;
	unsigned int blocks = 0, n = 0, more;

	need_blocks();
	stock_open(&stock, 4000, 8000);
	for (unsigned int step = 0; step < 20000; step++) {
		more = 1 + random_below(step % 8 == 0 ? stock.nb_whole / 4 : 3);
		stock.order = random_below(ORDERS);
		switch (random_below(8)) {
		case 0:
			if (n < 100 && roster_get(stock.roster, stock.objs + n, more) == 0)
				n += more;
			break;
		case 1:
			more = RTE_MIN(more, n);
			n -= more;
			roster_put(stock.roster, stock.objs + n, more);
			break;
		case 2 ... 4:
			if (get_blocks(&stock, stock.blocks + blocks, more) == 0)
				blocks += more;
			break;
		default:
			more = RTE_MIN(more, blocks);
			blocks -= more;
			put_blocks(&stock, stock.blocks + blocks, more, 1 + random_below(100));
		}
	}
	stock.order = ANY_ORDER;
	put_blocks(&stock, stock.blocks, blocks, 32);
	roster_refill(stock.roster, stock.objs, n, 1);
	pool_assert_free(stock.mp, 4000);
	stock_close(&stock);
}

TEST(blocks_are_gathered_from_magazines)
{
	struct stock stock;

	need_blocks();
	stock_open(&stock, 4000, 64);
	for (unsigned int round = 0; round < 20; round++) {
		stir(&stock);
		pool_assert_free(stock.mp, 4000);
		cycle_every_block(&stock, 1 + round % 3, 1 + random_below(100));
	}
	stock_close(&stock);
}

/* With some objects out, the blocks that have none of them out can still be had. */
TEST(blocks_without_an_object_out_are_found)
{
	struct stock stock;
	void *kept[3];
	unsigned int n;

	need_blocks();
	stock_open(&stock, 4000, 64);
	for (unsigned int round = 0; round < 10; round++) {
		stir(&stock);
		assert_int_equal(roster_get(stock.roster, kept, 3), 0);
		n = take_every_block(&stock, 1);
		assert_in_range(n, RTE_MAX(stock.nb_whole, 3u) - 3, stock.nb_whole);
		put_blocks(&stock, stock.blocks, n, 1);
		roster_put(stock.roster, kept, 3);
		pool_assert_free(stock.mp, 4000);
	}
	stock_close(&stock);
}

TEST(blocks_are_gathered_from_the_magazines_of_other_lcores)
{
	struct stock stock;

	need_blocks();
	stock_open(&stock, 4000, 64);
	for (unsigned int round = 0; round < 10; round++) {
		run_on_workers(pool_fill_magazines, stock.mp);
		pool_fill_magazines(stock.mp);
		pool_assert_free(stock.mp, 4000);
		cycle_every_block(&stock, 1, 32);
	}
	stock_close(&stock);
}

/* Chunks of two and a half blocks, more or less. */
static struct rte_mempool *
make_of_many_chunks(unsigned int n, unsigned int block_size, char *memory, size_t len)
{
	struct rte_mempool *mp =
		pool_empty(POOL_SPEC(n, 64, .flags = RTE_MEMPOOL_F_NO_IOVA_CONTIG));
	size_t least = (2 * block_size + 1) * pool_stride(mp);
	size_t at = 0;

	while (mp->populated_size < n) {
		size_t size =
			least + random_below(block_size) * pool_stride(mp) + random_below(100);

		assert_true(at + size <= len);
		assert_true(rte_mempool_populate_iova(mp, memory + at, RTE_BAD_IOVA, size, NULL,
						      NULL) > 0);
		at += size + 4096; /* no two chunks touch */
	}
	return mp;
}

TEST(blocks_of_pools_with_many_chunks_stay_within_their_chunks)
{
	const unsigned int n = 20000;
	const size_t len = 64u << 20;
	char *memory = pool_map(len);
	struct stock stock;
	struct rte_mempool *mp;
	unsigned int block_size;

	need_blocks();
	mp = pool_make(POOL_SPEC(n, 64, .flags = RTE_MEMPOOL_F_NO_IOVA_CONTIG));
	block_size = block_size_of(mp);
	rte_mempool_free(mp);
	mp = make_of_many_chunks(n, block_size, memory, len);
	stock_of(&stock, mp);
	say("%u chunks: %u blocks of %u", mp->nb_mem_chunks, stock.nb_whole, stock.block_size);
	assert_int_equal(stock.block_size, block_size);
	assert_true(stock.nb_whole >= 2 * (mp->nb_mem_chunks - 1));
	stir(&stock);
	cycle_every_block(&stock, 1, 8);
	stock_close(&stock);
	munmap(memory, len);
}

TEST(blocks_work_where_objects_do_not_cross_pages)
{
	struct stock stock;

	need_blocks();
	for (unsigned int elt_size = 64; elt_size <= 4096; elt_size += 1344) {
		stock_of(&stock, pool_make(POOL_SPEC(5000, elt_size)));
		say("%u bytes: %u blocks of %u in %u chunks", elt_size, stock.nb_whole,
		    stock.block_size, stock.mp->nb_mem_chunks);
		stir(&stock);
		cycle_every_block(&stock, 1, 8);
		stock_close(&stock);
	}
}

int
main(int argc, char **argv)
{
	return HARNESS_RUN(argc, argv, LCORES);
}
