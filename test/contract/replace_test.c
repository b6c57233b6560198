/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * MAGAZINE_SWITCHES=replace=...: pools of a program that asks for rings. This program has nothing
 * of the driver but the plugin that EAL loads.
 */

#include <sys/wait.h>

#include <rte_bus.h>
#include <rte_eal.h>
#include <rte_launch.h>
#include <rte_memzone.h>

#include "harness.h"
#include "pool.h"

#define ENV_SWITCHES "MAGAZINE_SWITCHES"
#define REPLACE "replace=ring_mp_mc+ring_sp_sc"
/* Set in a copy of this program: what it does. */
#define ENV_CHILD "CONTRACT_REPLACE_CHILD"
#define CHILD_MARK "child:"
#define TABLE "contract-table"
#define RING "ring-pool"
#define OURS "our-pool"

#ifndef RTE_EAL_PMD_PATH
#define RTE_EAL_PMD_PATH ""
#endif
#define RING_PLUGIN RTE_EAL_PMD_PATH "/librte_mempool_ring.so"

#define COUNT 2000
#define BULK 32
#define TURNS 20000

static void *objects[COUNT];

static const char *
ops_of(const struct rte_mempool *mp)
{
	return rte_mempool_get_ops(mp->ops_index)->name;
}

static struct rte_mempool *
create(const char *name, unsigned int cache_size, unsigned int flags)
{
	return rte_mempool_create(name, COUNT, 64, cache_size, 0, NULL, NULL, NULL, NULL,
				  SOCKET_ID_ANY, flags);
}

/* What rte_mempool_create() asks for by flags, and what that is with the switch. */
static const struct {
	unsigned int flags;
	const char *asked, *had;
} rows[] = {
	{0, "ring_mp_mc", NULL},
	{RTE_MEMPOOL_F_SP_PUT | RTE_MEMPOOL_F_SC_GET, "ring_sp_sc", NULL},
	{RTE_MEMPOOL_F_SP_PUT, "ring_sp_mc", "ring_sp_mc"},
	{RTE_MEMPOOL_F_SC_GET, "ring_mp_sc", "ring_mp_sc"},
};

static const char *
had(unsigned int row)
{
	return rows[row].had != NULL ? rows[row].had : harness_ops();
}

TEST(pools_that_ask_for_a_replaced_handler_are_ours)
{
	struct rte_mempool *mp;

	harness_need_ours("to take the place of rings");
	for (unsigned int i = 0; i < RTE_DIM(rows); i++) {
		mp = create("asked", 0, rows[i].flags);
		assert_non_null(mp);
		assert_string_equal(ops_of(mp), had(i));
		assert_int_equal(pool_get_all(mp, objects), COUNT);
		rte_mempool_put_bulk(mp, objects, COUNT);
		pool_assert_free(mp, COUNT);
		rte_mempool_free(mp);
	}
}

TEST(they_have_the_options_of_the_environment)
{
	unsigned int lcore = rte_get_next_lcore(-1, 1, 0);
	struct rte_mempool *mp;

	harness_need_ours("options");
	setenv("MAGAZINE_OPTIONS", "cache=0", 1);
	mp = create("asked", 512, 0);
	unsetenv("MAGAZINE_OPTIONS");
	assert_non_null(mp);
	run_on_lcore(lcore, pool_get_and_put, mp);
	assert_int_equal(pool_get_all(mp, objects), COUNT);
	rte_mempool_put_bulk(mp, objects, COUNT);
	rte_mempool_free(mp);
}

TEST(what_was_meant_for_the_other_handler_is_not_read)
{
	struct rte_mempool *mp;

	harness_need_ours("to take the place of rings");
	mp = rte_mempool_create_empty("asked", COUNT, 64, 0, 0, SOCKET_ID_ANY, 0);
	assert_non_null(mp);
	assert_int_equal(rte_mempool_set_ops_byname(mp, "ring_mp_mc", (void *)8), 0);
	assert_int_equal(rte_mempool_populate_default(mp), COUNT);
	assert_string_equal(ops_of(mp), harness_ops());
	rte_mempool_free(mp);
}

static int
turns(void *arg)
{
	uint64_t me = rte_lcore_id() + 1;
	void *had[BULK];

	for (unsigned int i = 0; i < TURNS; i++) {
		if (rte_mempool_get_bulk(arg, had, BULK) != 0)
			return -1;
		for (unsigned int j = 0; j < BULK; j++)
			*(volatile uint64_t *)had[j] = me;
		for (unsigned int j = 0; j < BULK; j++)
			if (*(volatile uint64_t *)had[j] != me)
				return -2;
		rte_mempool_put_bulk(arg, had, BULK);
	}
	return 0;
}

TEST(a_pool_for_one_producer_and_consumer_serves_any_number)
{
	unsigned int lcore = rte_get_next_lcore(-1, 1, 0);
	struct rte_mempool *mp;

	harness_need_ours("to take the place of rings");
	mp = create("asked", 0, RTE_MEMPOOL_F_SP_PUT | RTE_MEMPOOL_F_SC_GET);
	assert_non_null(mp);
	assert_int_equal(rte_eal_remote_launch(turns, mp, lcore), 0);
	assert_int_equal(turns(mp), 0);
	assert_int_equal(rte_eal_wait_lcore(lcore), 0);
	assert_int_equal(pool_get_all(mp, objects), COUNT);
	rte_mempool_put_bulk(mp, objects, COUNT);
	rte_mempool_free(mp);
}

static const struct rte_mempool_ops *
entry_of(const char *name)
{
	for (unsigned int i = 0; i < rte_mempool_ops_table.num_ops; i++)
		if (strcmp(rte_mempool_ops_table.ops[i].name, name) == 0)
			return &rte_mempool_ops_table.ops[i];
	fail_msg("no %s", name);
	return NULL;
}

/* So a pool with a ring and that number, of another process, goes on with its ring. */
TEST(no_op_but_alloc_is_another_one)
{
	const struct rte_mempool_ops *ours, *replaced, *other = entry_of("ring_mp_sc");

	harness_need_ours("to take the place of rings");
	ours = entry_of(harness_ops());
	for (unsigned int i = 0; i < 2; i++) {
		replaced = entry_of(rows[i].asked);
		assert_true(replaced->alloc != other->alloc && replaced->alloc != ours->alloc);
		assert_true(replaced->free == other->free);
		assert_true(replaced->get_count == other->get_count);
		assert_true(replaced->enqueue != ours->enqueue);
		assert_true(replaced->dequeue != ours->dequeue);
		assert_true(replaced->calc_mem_size == other->calc_mem_size);
		assert_true(replaced->populate == other->populate);
	}
	assert_true(entry_of("ring_mp_mc")->enqueue == other->enqueue);
	assert_true(entry_of("ring_sp_sc")->dequeue == other->dequeue);
}

static bool
is_table_of(const struct rte_mempool_ops_table *other)
{
	for (unsigned int i = 0; i < other->num_ops; i++)
		if (i >= rte_mempool_ops_table.num_ops ||
		    strcmp(rte_mempool_ops_table.ops[i].name, other->ops[i].name) != 0)
			return false;
	return rte_mempool_ops_table.num_ops == other->num_ops;
}

/* One that has the driver, and not the switch. */
static int
be_secondary(int argc, char **argv)
{
	const struct rte_memzone *zone;
	struct rte_mempool *mp;

	unsetenv(ENV_SWITCHES);
	if (harness_start_secondary(argc, argv, 1) < 0)
		return HARNESS_REFUSED;
	zone = rte_memzone_lookup(TABLE);
	if (zone == NULL || !is_table_of(zone->addr))
		return 3;
	mp = rte_mempool_lookup(OURS);
	if (mp == NULL || strcmp(ops_of(mp), harness_ops()) != 0 ||
	    pool_get_all(mp, objects) != COUNT)
		return 4;
	rte_mempool_put_bulk(mp, objects, COUNT);
	mp = rte_mempool_lookup(RING);
	if (mp == NULL || strcmp(ops_of(mp), "ring_sp_mc") != 0 ||
	    pool_get_all(mp, objects) != COUNT)
		return 5;
	rte_mempool_put_bulk(mp, objects, COUNT);
	return 0;
}

TEST(a_secondary_process_without_the_switch_calls_the_same_handlers)
{
	struct rte_mempool *ours, *ring;
	const struct rte_memzone *zone;
	int status;

	harness_need_ours("to take the place of rings");
	ours = create(OURS, 0, 0);
	ring = create(RING, 0, RTE_MEMPOOL_F_SP_PUT);
	zone = rte_memzone_reserve(TABLE, sizeof(rte_mempool_ops_table), SOCKET_ID_ANY, 0);
	assert_true(ours != NULL && ring != NULL && zone != NULL);
	memcpy(zone->addr, &rte_mempool_ops_table, sizeof(rte_mempool_ops_table));
	status = harness_copy_status(harness_copy(ENV_CHILD, "secondary", NULL));
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	pool_assert_free(ours, COUNT);
	pool_assert_free(ring, COUNT);
	assert_int_equal(pool_get_all(ours, objects), COUNT);
	rte_mempool_put_bulk(ours, objects, COUNT);
	rte_memzone_free(zone);
	rte_mempool_free(ring);
	rte_mempool_free(ours);
}

/* Prints the handler of a pool for each row. */
static int
be_primary(int argc, char **argv)
{
	struct rte_mempool *mp;

	if (strcmp(getenv(ENV_CHILD), "without") == 0)
		unsetenv("MAGAZINE_PLUGIN");
	if (harness_start_eal(argc, argv, 1) < 0)
		return HARNESS_REFUSED;
	/* As for each device that comes. */
	if (rte_bus_scan() != 0)
		return 3;
	printf(CHILD_MARK);
	for (unsigned int i = 0; i < RTE_DIM(rows); i++) {
		mp = create("asked", 0, rows[i].flags);
		printf(" %s", mp != NULL ? ops_of(mp) : rte_strerror(rte_errno));
		rte_mempool_free(mp);
	}
	printf("\n");
	rte_eal_cleanup();
	return 0;
}

/* All that a copy of the program writes; with extra arguments it has no plugin but those there. */
static void
ask(const char *switches, const char *const *extra, char *answer, size_t size)
{
	int ends[2], kept[2] = {dup(STDOUT_FILENO), dup(STDERR_FILENO)}, status;
	size_t length = 0;
	ssize_t n;
	pid_t pid;

	setenv(ENV_SWITCHES, switches, 1);
	assert_int_equal(pipe(ends), 0);
	fflush(stdout);
	dup2(ends[1], STDOUT_FILENO);
	dup2(ends[1], STDERR_FILENO);
	pid = harness_copy(ENV_CHILD, extra != NULL ? "without" : "with", extra);
	dup2(kept[0], STDOUT_FILENO);
	dup2(kept[1], STDERR_FILENO);
	close(kept[0]);
	close(kept[1]);
	close(ends[1]);
	setenv(ENV_SWITCHES, REPLACE, 1);
	while ((n = read(ends[0], answer + length, size - 1 - length)) > 0)
		length += n;
	answer[length] = '\0';
	close(ends[0]);
	status = harness_copy_status(pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fail_msg("the copy ended with status %#x: %s", status, answer);
}

static unsigned int
count_of(const char *text, const char *wanted)
{
	unsigned int n = 0;

	for (; (text = strstr(text, wanted)) != NULL; text += strlen(wanted))
		n++;
	return n;
}

TEST(plugins_come_in_any_order_and_it_is_said_in_one_line)
{
	const char *plugin = getenv("MAGAZINE_PLUGIN");
	const char *const orders[][5] = {
		{"-d", RING_PLUGIN, "-d", plugin, NULL},
		{"-d", plugin, "-d", RING_PLUGIN, NULL},
		{"-d", plugin, NULL},
	};
	char answer[8192], expected[256];

	harness_need_ours("to take the place of rings");
	snprintf(expected, sizeof(expected), CHILD_MARK " %s %s %s %s\n", had(0), had(1), had(2),
		 had(3));
	for (unsigned int i = 0; i < RTE_DIM(orders); i++) {
		if (i < 2 && access(RING_PLUGIN, R_OK) != 0)
			continue;
		ask(REPLACE, orders[i], answer, sizeof(answer));
		if (strstr(answer, expected) == NULL || count_of(answer, "replace=") != 1)
			fail_msg("order %u: no \"%s\", or not said once: %s", i, expected, answer);
	}
	ask("guard=0", NULL, answer, sizeof(answer));
	assert_non_null(strstr(answer, CHILD_MARK " ring_mp_mc ring_sp_sc ring_sp_mc ring_mp_sc"));
	assert_int_equal(count_of(answer, "replace"), 0);
}

TEST(a_switch_that_names_what_is_no_handler_replaces_nothing)
{
	static const struct {
		const char *switches, *named, *remedy;
	} bad[] = {
		{"replace=nosuch", "\"nosuch\" is no mempool handler", "ring_mp_mc, "},
		{"replace=ring_mp_mc+nosuch", "\"nosuch\" is no mempool handler", "ring_sp_sc, "},
		{"replace=Ring_mp_mc", "\"Ring_mp_mc\" is no mempool handler", "ring_mp_mc, "},
		{"replace=ring_sp_sc+magazine", "\"magazine\" is magazine itself", "ring_mp_mc, "},
		{"replace=", "option replace=:", "must be names of mempool handlers"},
		{"replace", "option replace=:", "must be names of mempool handlers"},
		{"replace=+", "option replace=+:", "must be names of mempool handlers"},
		{"replace=ring_mp_mc+", "option replace=ring_mp_mc+:", "as ring_mp_mc+ring_sp_sc"},
		{"replace=ring_mp_mc,cache=0", "cache=0", "replace alone"},
	};
	char answer[8192];

	harness_need_ours("to take the place of rings");
	for (unsigned int i = 0; i < RTE_DIM(bad); i++) {
		ask(bad[i].switches, NULL, answer, sizeof(answer));
		if (strstr(answer, bad[i].named) == NULL || strstr(answer, bad[i].remedy) == NULL ||
		    strstr(answer, CHILD_MARK " ring_mp_mc ring_sp_sc ring_sp_mc") == NULL ||
		    count_of(answer, "magazine: MAGAZINE") != 1)
			fail_msg("'%s': %s", bad[i].switches, answer);
	}
}

int
main(int argc, char **argv)
{
	const char *what = getenv(ENV_CHILD);

	if (what != NULL)
		return strcmp(what, "secondary") == 0 ? be_secondary(argc, argv) :
							be_primary(argc, argv);
	setenv(ENV_SWITCHES, REPLACE, 1);
	return HARNESS_RUN(argc, argv, 2);
}
