/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A pool with memory on two nodes, on a machine that may have one: the kernel's answer is made up.
 */

#include "harness.h"
#include "pool.h"

#define PAGE 4096
#define EACH 512
#define ELT_SIZE 64
/* With rte_mempool's header and trailer. */
#define BYTES (EACH * 8 * ELT_SIZE)
#define MAX_BURST 48

static char memory[2][BYTES] __rte_aligned(PAGE);

/* In the place of libnuma's: the library asks this of memory that EAL does not know. */
long move_pages(int pid, unsigned long count, void **pages, const int *nodes, int *status,
		int flags);

static int
is_far(const void *object)
{
	return (const char *)object >= memory[1] && (const char *)object < memory[1] + BYTES;
}

long
move_pages(int pid, unsigned long count, void **pages, const int *nodes, int *status, int flags)
{
	RTE_SET_USED(pid);
	RTE_SET_USED(nodes);
	RTE_SET_USED(flags);
	for (unsigned long i = 0; i < count; i++)
		status[i] = is_far(pages[i]);
	return 0;
}

/* This lcore's own node is that of near objects, and has the first memory, or not. */
static struct rte_mempool *
make(int first)
{
	struct rte_mempool *mp = pool_empty(POOL_SPEC(2 * EACH, ELT_SIZE, 0, 0, "rounds=62"));
	int added =
		rte_mempool_populate_iova(mp, memory[first], RTE_BAD_IOVA, BYTES / 4, NULL, NULL);

	assert_true(added > MAX_BURST && added < 2 * EACH - MAX_BURST);
	assert_int_equal(
		rte_mempool_populate_iova(mp, memory[!first], RTE_BAD_IOVA, BYTES, NULL, NULL),
		2 * EACH - added);
	return mp;
}

/* What is put is had again, that of the lcore's own node first. */
static void
put_and_get(struct rte_mempool *mp, void **burst, unsigned int n, unsigned int near)
{
	void *object;

	if (n == 1)
		rte_mempool_put(mp, burst[0]);
	else
		rte_mempool_put_bulk(mp, burst, n);
	for (unsigned int i = 0; i < n; i++) {
		assert_int_equal(rte_mempool_get(mp, &object), 0);
		assert_int_equal(is_far(object), i >= near);
	}
	assert_int_equal(rte_mempool_get(mp, &object), -ENOBUFS);
}

static void
put_bursts(struct rte_mempool *mp, void **near, void **far)
{
	void *burst[MAX_BURST];

	for (unsigned int n = 1; n <= MAX_BURST; n++) {
		memcpy(burst, near, n * sizeof(void *));
		put_and_get(mp, burst, n, n);
		for (unsigned int i = 0; i < n; i++) {
			burst[i] = far[i];
			put_and_get(mp, burst, n, n - 1);
			burst[i] = near[i];
			/* Puts begin with the near node again. */
			put_and_get(mp, burst, n, n);
		}
		memcpy(burst, far, n * sizeof(void *));
		put_and_get(mp, burst, n, 0);
		put_and_get(mp, burst, n, 0);
	}
}

static void
bursts_are_told_apart(int first)
{
	struct rte_mempool *mp = make(first);
	void *objs[2 * EACH];
	unsigned int near = 0;

	assert_int_equal(pool_get_all(mp, objs), 2 * EACH);
	while (near < 2 * EACH && !is_far(objs[near]))
		near++;
	for (unsigned int i = near; i < 2 * EACH; i++)
		assert_true(is_far(objs[i]));
	put_bursts(mp, objs, objs + near);
	rte_mempool_put_bulk(mp, objs, 2 * EACH);
	pool_assert_free(mp, 2 * EACH);
	rte_mempool_free(mp);
}

TEST(bursts_are_told_apart_where_the_own_node_came_first)
{
	bursts_are_told_apart(0);
}

TEST(bursts_are_told_apart_where_another_node_came_first)
{
	bursts_are_told_apart(1);
}

int
main(int argc, char **argv)
{
	return HARNESS_RUN(argc, argv, 1);
}
