/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"

#include <sys/mman.h>

#include "base/fault.h"
#include "base/meta.h"
#include "base/numa.h"

TEST(test_a_machine_has_at_least_one_node)
{
	assert_true(mag_numa_nodes() >= 1);
}

TEST(test_no_node_is_nearer_than_itself)
{
	for (int from = 0; from < mag_numa_nodes(); from++) {
		assert_int_equal(mag_numa_distance(from, from), 10);
		for (int to = 0; to < mag_numa_nodes(); to++)
			assert_true(mag_numa_distance(from, to) >= 10);
	}
}

TEST(test_a_node_that_does_not_exist_is_far)
{
	assert_true(mag_numa_distance(0, 1000) > 10);
	assert_int_equal(mag_numa_distance(1000, 1000), 10);
}

TEST(test_the_node_of_a_page_in_use_exists)
{
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int node;

	memset(page, 1, 4096);
	node = mag_numa_node_of(page + 77);
	assert_true(node >= MAG_NODE_ANY && node < mag_numa_nodes());
	munmap(page, 4096);
}

TEST(test_the_node_of_a_page_that_is_not_there_is_not_known)
{
	void *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_int_equal(mag_numa_node_of(page), MAG_NODE_ANY);
	munmap(page, 4096);
	assert_int_equal(mag_numa_node_of(NULL), MAG_NODE_ANY);
}

TEST(test_metadata_is_zeroed_and_aligned_although_it_was_used_before)
{
	static const char zeroes[1000];
	void *addr;

	for (unsigned int i = 0; i < 20; i++) {
		addr = mag_meta_zalloc(sizeof(zeroes), MAG_NODE_ANY);
		assert_non_null(addr);
		assert_int_equal((uintptr_t)addr % 128, 0);
		assert_memory_equal(addr, zeroes, sizeof(zeroes));
		memset(addr, 0xff, sizeof(zeroes));
		mag_meta_free(addr);
	}
}

TEST(test_metadata_of_any_size_begins_on_a_line_of_its_own)
{
	void *addr[40];

	for (unsigned int i = 0; i < RTE_DIM(addr); i++) {
		addr[i] = mag_meta_zalloc(64 * (1 + i % 3), MAG_NODE_ANY);
		assert_non_null(addr[i]);
		assert_int_equal((uintptr_t)addr[i] % 128, 0);
	}
	for (unsigned int i = 0; i < RTE_DIM(addr); i++)
		mag_meta_free(addr[i]);
}

TEST(test_metadata_for_a_node_without_memory_comes_from_another)
{
	const int nodes[] = {-1,  0,        RTE_MAX_NUMA_NODES - 1, RTE_MAX_NUMA_NODES, 256,
			     300, INT32_MIN};
	uint64_t before = heap_balance();
	void *addr;

	for (unsigned int i = 0; i < RTE_DIM(nodes); i++) {
		addr = mag_meta_zalloc(64, nodes[i]);
		assert_non_null(addr);
		mag_meta_free(addr);
	}
	assert_int_equal(heap_balance(), before);
}

TEST(test_absurd_sizes_are_not_to_be_had)
{
	assert_null(mag_meta_zalloc(SIZE_MAX, MAG_NODE_ANY));
	assert_null(mag_meta_zalloc(SIZE_MAX / 2, 0));
	assert_null(mag_meta_zalloc((size_t)1 << 40, 0));
	mag_meta_free(NULL);
}

TEST(test_the_nth_allocation_fails_once)
{
	unsigned int struck = mag_fault_struck();
	void *addr;

	mag_fault_nth(3);
	for (unsigned int i = 1; i <= 6; i++) {
		addr = mag_meta_zalloc(64, MAG_NODE_ANY);
		assert_int_equal(addr == NULL, i == 3);
		assert_int_equal(mag_fault_asked(), i);
		assert_int_equal(mag_fault_struck() - struck, i >= 3);
		mag_meta_free(addr);
	}
	mag_fault_nth(0);
	assert_int_equal(mag_fault_asked(), 0);
	addr = mag_meta_zalloc(64, MAG_NODE_ANY);
	assert_non_null(addr);
	mag_meta_free(addr);
}

static bool
an_allocation_fails(void)
{
	void *addr = mag_meta_zalloc(64, MAG_NODE_ANY);

	mag_meta_free(addr);
	return addr == NULL;
}

TEST(test_failures_strike_at_random_until_they_are_switched_off)
{
	unsigned int struck = mag_fault_struck();

	assert_int_equal(mag_fault_mtbf(2, 42), 0);
	for (unsigned int i = 0; i < 3; i++)
		wait_until(an_allocation_fails());
	assert_int_equal(mag_fault_struck() - struck, 3);
	assert_int_equal(mag_fault_mtbf(0, 0), 0);
	for (unsigned int i = 0; i < 1000; i++)
		assert_false(an_allocation_fails());
}

TEST(test_rare_failures_do_not_strike_at_once)
{
	unsigned int failures = 0;

	assert_int_equal(mag_fault_mtbf(3600000, 7), 0);
	for (unsigned int i = 0; i < 1000; i++)
		failures += an_allocation_fails();
	assert_true(failures <= 1);
	assert_int_equal(mag_fault_mtbf(0, 0), 0);
}

TEST(test_a_failure_rate_out_of_range_is_refused_and_changes_nothing)
{
	const unsigned int bad[] = {1, 3600001, UINT32_MAX};
	char value[16];

	assert_int_equal(mag_fault_mtbf(2, 42), 0);
	for (unsigned int i = 0; i < RTE_DIM(bad); i++) {
		snprintf(value, sizeof(value), "%u", bad[i]);
		assert_refused(mag_fault_mtbf(bad[i], 1), EINVAL, value);
		assert_refused(mag_fault_mtbf(bad[i], 1), EINVAL, "2 to 3600000 ms");
	}
	wait_until(an_allocation_fails());
	assert_int_equal(mag_fault_mtbf(0, 0), 0);
	assert_int_equal(mag_fault_mtbf(1, 0), -EINVAL);
	for (unsigned int i = 0; i < 100; i++)
		assert_false(an_allocation_fails());
}

TEST_PROGRAM(1)
