/* SPDX-License-Identifier: BSD-3-Clause */

/* A pool that a secondary process uses as well. */

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_memzone.h>

#include "harness.h"
#include "../common/log.h"
#include "pool.h"

/* Set in a copy of this program that is the secondary process: what it does. */
#define ENV_CHILD "CONTRACT_SECONDARY"
#define ENV_POOL "CONTRACT_SECONDARY_POOL"     /* ... with which pool */
#define ENV_PLUGIN "CONTRACT_SECONDARY_PLUGIN" /* ... by which driver's own functions */
#define GIFT "contract-gift"

#ifndef RTE_EAL_PMD_PATH
#define RTE_EAL_PMD_PATH ""
#endif

#define COUNT 1000
#define ROUNDS 14
#define CONFIG "rounds=14,interval=3600"
#define LCORES 2
#define TURNS 20000
#define BULK 32

static void *objects[COUNT + 1];

/* Each process writes its number into what it has, and finds it there when it gives that back. */
static int
turn(struct rte_mempool *mp, unsigned int n)
{
	uint64_t me = getpid(), missing = 0;
	unsigned int i;
	void *had[BULK];

	if (rte_mempool_get_bulk(mp, had, n) != 0)
		return 0;
	for (i = 0; i < n; i++)
		*(volatile uint64_t *)had[i] = me;
	for (i = 0; i < n; i++)
		missing += *(volatile uint64_t *)had[i] != me;
	rte_mempool_put_bulk(mp, had, n);
	return missing == 0 ? 0 : -1;
}

static int
turns(struct rte_mempool *mp)
{
	for (unsigned int i = 0; i < TURNS; i++)
		if (turn(mp, 1 + i % BULK) != 0)
			return 1;
	return 0;
}

/* Distinct ones, of the pool. */
static bool
are_objects_of(struct rte_mempool *mp, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		*(uint64_t *)objects[i] = i;
	for (i = 0; i < n; i++)
		if (*(uint64_t *)objects[i] != i || rte_mempool_from_obj(objects[i]) != mp)
			return false;
	return true;
}

/* 0, 1 where they could not be had, 2 where they are no objects or some is there twice. */
static int
take(struct rte_mempool *mp, unsigned int n)
{
	if (rte_mempool_get_bulk(mp, objects, n) != 0)
		return 1;
	if (!are_objects_of(mp, n))
		return 2;
	rte_mempool_put_bulk(mp, objects, n);
	return 0;
}

/* Of the primary for a process that has another handler of the pool's number. */
struct gift {
	_Atomic bool given, enough;
	void *objects[COUNT];
};

static struct gift *
gift_find(void)
{
	const struct rte_memzone *zone = rte_memzone_lookup(GIFT);

	return zone != NULL ? zone->addr : NULL;
}

/* The driver's own function, of the plugin that EAL has loaded. */
static struct rte_mempool *
look_up(const char *name)
{
	void *plugin = dlopen(getenv(ENV_PLUGIN), RTLD_NOW | RTLD_NOLOAD);
	struct rte_mempool *(*lookup)(const char *name);

	if (plugin == NULL)
		return NULL;
	*(void **)&lookup = dlsym(plugin, "rte_mempool_magazine_lookup");
	return lookup(name);
}

static void
find_ours(struct rte_mempool *mp, void *arg)
{
	if (strcmp(rte_mempool_get_ops(mp->ops_index)->name, harness_ops()) == 0)
		*(struct rte_mempool **)arg = mp;
}

/* 0 when a pool of another handler, whose number is ours here, serves nothing and says so once. */
static int
use_another_handlers(void)
{
	struct rte_mempool *mp = NULL;
	bool refused, said;
	unsigned int i;

	rte_mempool_walk(find_ours, &mp);
	if (mp == NULL)
		return 6;
	log_begin();
	for (i = 0, refused = true; i < 3; i++) {
		refused &= rte_mempool_get_bulk(mp, objects, 1 + i) == -ENOBUFS;
		rte_mempool_put(mp, mp);
	}
	log_end();
	said = log_lines() == 2 && log_has("in this process, and") && log_has(mp->name) &&
	       log_has("is of another handler");
	return refused && said ? 0 : 7;
}

/* 0 when a pool is refused that another handler would be called with. */
static int
be_in_another_order(struct rte_mempool *mp)
{
	int ret = use_another_handlers();

	if (ret != 0)
		return ret;
	if (mp == NULL || strcmp(rte_mempool_get_ops(mp->ops_index)->name, harness_ops()) == 0)
		return 3;
	log_begin();
	mp = look_up(mp->name);
	log_end();
	return mp == NULL && rte_errno == EXDEV && log_has("same plugins in the same order") ? 0 :
											       5;
}

/* 0 when all that we give is lost, and nothing else happens. */
static int
be_a_stranger(struct rte_mempool *mp)
{
	struct gift *gift = gift_find();
	unsigned int i;
	int ret = 0;

	if (mp == NULL || gift == NULL ||
	    strcmp(rte_mempool_get_ops(mp->ops_index)->name, harness_ops()) == 0)
		return 3;
	for (i = 0; i < COUNT; i += BULK)
		rte_mempool_put_bulk(mp, gift->objects + i, RTE_MIN((unsigned int)BULK, COUNT - i));
	if (rte_mempool_get(mp, &objects[0]) == 0 || rte_mempool_avail_count(mp) != 0)
		ret = 5;
	gift->given = true;
	while (!gift->enough)
		usleep(1000);
	return ret;
}

static int
run_as_child(int argc, char **argv, const char *what)
{
	bool stranger = strcmp(what, "stranger") == 0, reordered = strcmp(what, "reordered") == 0;
	rte_mempool_dequeue_t first;
	struct rte_mempool *mp;
	int ret;

	if (stranger || reordered)
		unsetenv("MAGAZINE_PLUGIN");
	if (harness_start_secondary(argc, argv, 1) < 0)
		return HARNESS_REFUSED;
	mp = rte_mempool_lookup(getenv(ENV_POOL));
	if (stranger)
		return be_a_stranger(mp);
	if (reordered)
		return be_in_another_order(mp);
	if (mp == NULL || strcmp(rte_mempool_get_ops(mp->ops_index)->name, harness_ops()) != 0)
		return 3;
	first = rte_mempool_get_ops(mp->ops_index)->dequeue;
	ret = strcmp(what, "turns") == 0 ? turns(mp) : take(mp, atoi(what));
	/* Only the first call looks whether all know the handler by the same number. */
	if (ret == 0 && strcmp(harness_ops(), "magazine") == 0 &&
	    rte_mempool_get_ops(mp->ops_index)->dequeue == first)
		return 8;
	return rte_eal_cleanup() == 0 ? ret : 4;
}

static int
child_end(pid_t pid)
{
	int status = harness_copy_status(pid);

	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int
child_takes(unsigned int n)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", n);
	return child_end(harness_copy(ENV_CHILD, text, NULL));
}

static struct rte_mempool *mp;

static int
setup(void **state __rte_unused)
{
	mp = pool_make(POOL_SPEC(COUNT, 64, .config = CONFIG));
	setenv(ENV_POOL, mp->name, 1);
	return 0;
}

static int
teardown(void **state __rte_unused)
{
	rte_mempool_free(mp);
	return 0;
}

TEST(a_secondary_process_takes_all_that_nobody_holds, setup, teardown)
{
	assert_int_equal(child_takes(COUNT), 0);
	assert_int_equal(child_takes(COUNT + 1), 1);
	pool_assert_free(mp, COUNT);
}

TEST(what_a_secondary_process_leaves_in_magazines_the_primary_has, setup, teardown)
{
	assert_int_equal(child_takes(2 * ROUNDS - 1), 0);
	assert_int_equal(take(mp, COUNT), 0);
	pool_assert_free(mp, COUNT);
}

TEST(a_secondary_process_takes_what_lcores_of_the_primary_hold, setup, teardown)
{
	harness_need_ours("to take what other lcores hold");
	assert_int_equal(take(mp, 2 * ROUNDS), 0);
	assert_int_equal(child_takes(COUNT), 0);
	pool_assert_free(mp, COUNT);
	assert_int_equal(take(mp, COUNT), 0);
}

/* The plugin that the other process has in the place of ours; hint: is it this one that says so? */
static void
strangers_lose_what_they_free(const char *plugin, bool hint)
{
	struct gift *gift;
	pid_t pid;

	if (access(plugin, R_OK) != 0)
		SKIP_TEST("there is no %s", plugin);
	rte_mempool_free(mp);
	mp = pool_make(POOL_SPEC(COUNT, 64, .config = "interval=10ms"));
	setenv(ENV_POOL, mp->name, 1);
	gift = rte_memzone_reserve(GIFT, sizeof(*gift), SOCKET_ID_ANY, 0)->addr;
	gift->given = gift->enough = false;
	assert_int_equal(rte_mempool_get_bulk(mp, gift->objects, COUNT), 0);
	log_begin();
	pid = harness_copy(ENV_CHILD, "stranger", (const char *[]){"-d", plugin, NULL});
	while (!gift->given && harness_copy_runs(pid))
		usleep(1000);
	hint = !hint || log_wait("none of its 1000 objects is free");
	gift->enough = true;
	log_end();
	assert_int_equal(child_end(pid), 0);
	assert_true(hint);
	/* Lost, and nothing of the pool is touched. */
	pool_assert_free(mp, 0);
	rte_mempool_put_bulk(mp, gift->objects, COUNT);
	pool_assert_free(mp, COUNT);
	assert_int_equal(take(mp, COUNT), 0);
	rte_memzone_free(rte_memzone_lookup(GIFT));
}

TEST(what_a_process_without_the_driver_frees_is_lost_and_said_so, setup, teardown)
{
	harness_need_ours("that nothing is done to a pool by rings and stacks");
	strangers_lose_what_they_free(RTE_EAL_PMD_PATH "/librte_mempool_ring.so", true);
	strangers_lose_what_they_free(RTE_EAL_PMD_PATH "/librte_mempool_stack.so", false);
}

/* One of each other handler that is here: the number of one of them is ours there. */
static unsigned int
make_others(struct rte_mempool **other)
{
	struct rte_mempool *pool;
	unsigned int i, n = 0;
	char name[32];

	for (i = 0; i < rte_mempool_ops_table.num_ops; i++) {
		if (strstr(rte_mempool_ops_table.ops[i].name, "ring") == NULL &&
		    strstr(rte_mempool_ops_table.ops[i].name, "stack") == NULL)
			continue;
		snprintf(name, sizeof(name), "other-%u", i);
		pool = rte_mempool_create_empty(name, 64, 64, 0, 0, SOCKET_ID_ANY, 0);
		assert_non_null(pool);
		assert_int_equal(
			rte_mempool_set_ops_byname(pool, rte_mempool_ops_table.ops[i].name, NULL),
			0);
		assert_int_equal(rte_mempool_populate_default(pool), 64);
		other[n++] = pool;
	}
	return n;
}

TEST(a_process_with_plugins_in_another_order_is_refused_the_pool, setup, teardown)
{
	struct rte_mempool *other[RTE_MEMPOOL_MAX_OPS_IDX];
	unsigned int n;
	const char *plugin = getenv("MAGAZINE_PLUGIN");
	const char *const order[] = {"-d", RTE_EAL_PMD_PATH "/librte_mempool_stack.so",
				     "-d", RTE_EAL_PMD_PATH "/librte_mempool_ring.so",
				     "-d", plugin,
				     NULL};

	harness_need_ours("to look pools up");
	if (access(order[1], R_OK) != 0)
		SKIP_TEST("there is no %s", order[1]);
	setenv(ENV_PLUGIN, plugin, 1);
	n = make_others(other);
	assert_int_equal(child_end(harness_copy(ENV_CHILD, "reordered", order)), 0);
	while (n > 0)
		rte_mempool_free(other[--n]);
	pool_assert_free(mp, COUNT);
}

static _Atomic bool enough;

static int
worker_main(void *arg __rte_unused)
{
	int ret = 0;

	for (unsigned int i = 0; !enough; i++)
		ret |= turn(mp, 1 + i % BULK);
	return ret;
}

TEST(two_processes_at_once_never_have_the_same_object, setup, teardown)
{
	pid_t pid;
	int ret;

	enough = false;
	assert_int_equal(rte_eal_remote_launch(worker_main, NULL, 1), 0);
	pid = harness_copy(ENV_CHILD, "turns", NULL);
	/* Whoever asks for all sweeps over what the others hold. */
	while (harness_copy_runs(pid))
		assert_int_not_equal(take(mp, COUNT), 2);
	ret = child_end(pid);
	enough = true;
	assert_int_equal(rte_eal_wait_lcore(1), 0);
	assert_int_equal(ret, 0);
	pool_assert_free(mp, COUNT);
	assert_int_equal(take(mp, COUNT), 0);
}

int
main(int argc, char **argv)
{
	return HARNESS_RUN_OR_CHILD(argc, argv, LCORES, ENV_CHILD, run_as_child);
}
