/* SPDX-License-Identifier: BSD-3-Clause */

/* Option reserve: objects for threads that say that they are privileged. */

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../common/log.h"
#include "harness.h"
#include "pool.h"
#include "rte_mempool_magazine.h"

#define COUNT 2000
#define RESERVE 100
#define PLAIN (COUNT - RESERVE)
#define HELD 10
#define WAIT_MS 20000

/* Set in a copy of this program that is a secondary process: the pool. */
#define ENV_POOL "MAGAZINE_RESERVE_POOL"

#define OPTIONS "interval=10ms,reserve=100"

static const struct {
	const char *options;
	unsigned int cache_size;
} settings[] = {
	{OPTIONS, 0},
	{OPTIONS, 250},
	{OPTIONS ",guard=1", 0},
	{OPTIONS ",audit=1,holders=1", 0},
	{OPTIONS ",audit=1/8", 0},
	{OPTIONS ",check=1", 250},
	{OPTIONS ",visit=0", 0},
	{OPTIONS ",magazines=0", 0},
};

static void *objects[COUNT + 1];

static struct rte_mempool *
make(unsigned int setting)
{
	harness_need_ours("reserve");
	return pool_make(POOL_SPEC(COUNT, 256, .config = settings[setting].options,
				   .cache_size = settings[setting].cache_size));
}

/* Once maintenance has filled the reserve, a thread like all others has the rest. */
static void
assert_filled(struct rte_mempool *mp)
{
	unsigned int ms, n = COUNT;

	for (ms = 0; ms < WAIT_MS && n != PLAIN; ms++) {
		usleep(1000);
		n = pool_get_all(mp, objects);
		rte_mempool_put_bulk(mp, objects, n);
	}
	assert_int_equal(n, PLAIN);
	assert_int_equal(rte_mempool_avail_count(mp), COUNT);
}

TEST(privileged_threads_have_the_reserve_when_there_is_nothing_else)
{
	struct rte_mempool *mp;
	unsigned int i;

	for (i = 0; i < RTE_DIM(settings); i++) {
		mp = make(i);
		log_begin();
		assert_int_equal(pool_get_all(mp, objects), PLAIN);
		assert_int_equal(rte_mempool_avail_count(mp), RESERVE);
		rte_mempool_magazine_privileged(true);
		/* All or none: what is too much leaves it whole. */
		assert_true(rte_mempool_get_bulk(mp, objects + PLAIN, RESERVE + 1) < 0);
		assert_int_equal(rte_mempool_avail_count(mp), RESERVE);
		/* One that there is besides is taken first. */
		rte_mempool_put(mp, objects[0]);
		assert_int_equal(rte_mempool_get_bulk(mp, objects, 1), 0);
		assert_int_equal(rte_mempool_get(mp, &objects[PLAIN]), 0);
		assert_int_equal(rte_mempool_get_bulk(mp, objects + PLAIN + 1, RESERVE - 1), 0);
		assert_true(rte_mempool_get(mp, &objects[COUNT]) < 0);
		rte_mempool_magazine_privileged(false);
		assert_int_equal(rte_mempool_avail_count(mp), 0);
		rte_mempool_put_bulk(mp, objects, COUNT);
		assert_filled(mp);
		rte_mempool_free(mp);
		log_end();
		assert_int_equal(log_lines(), 0);
	}
}

/* Where a pool is used up, what users free is in no slab or depot before it is a user's again. */
TEST(what_a_user_frees_goes_to_the_reserve_before_others_have_it)
{
	struct rte_mempool *mp = make(0);
	unsigned int ms;
	void *object;

	assert_int_equal(pool_get_all(mp, objects), PLAIN);
	rte_mempool_magazine_privileged(true);
	assert_int_equal(rte_mempool_get_bulk(mp, objects + PLAIN, RESERVE), 0);
	rte_mempool_magazine_privileged(false);
	rte_mempool_put_bulk(mp, objects, HELD);
	for (ms = 0; ms < WAIT_MS && rte_mempool_get(mp, &object) == 0; ms++) {
		rte_mempool_put(mp, object);
		usleep(1000);
	}
	assert_true(ms < WAIT_MS);
	assert_int_equal(rte_mempool_avail_count(mp), HELD);
	rte_mempool_magazine_privileged(true);
	assert_int_equal(rte_mempool_get_bulk(mp, objects, HELD), 0);
	rte_mempool_magazine_privileged(false);
	rte_mempool_put_bulk(mp, objects, COUNT);
	rte_mempool_free(mp);
}

static int
is_killed_with_some(struct rte_mempool *mp)
{
	HOLDS(rte_mempool_get(mp, objects) < 0);
	rte_mempool_magazine_privileged(true);
	HOLDS(rte_mempool_get_bulk(mp, objects, HELD) == 0);
	return raise(SIGKILL);
}

static void
assert_was_killed_with_some(struct rte_mempool *mp, int status)
{
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	rte_mempool_magazine_privileged(true);
	assert_true(rte_mempool_get_bulk(mp, objects, RESERVE - HELD + 1) < 0);
	assert_int_equal(rte_mempool_get_bulk(mp, objects, RESERVE - HELD), 0);
	rte_mempool_magazine_privileged(false);
	rte_mempool_free(mp);
}

TEST(a_killed_thread_takes_of_the_reserve_only_what_it_has)
{
	struct rte_mempool *mp = make(0);
	int status;
	pid_t pid;

	assert_int_equal(pool_get_all(mp, objects), PLAIN);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(is_killed_with_some(mp));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_was_killed_with_some(mp, status);
}

TEST(so_does_a_secondary_process)
{
	struct rte_mempool *mp = make(0);

	assert_int_equal(pool_get_all(mp, objects), PLAIN);
	assert_was_killed_with_some(mp,
				    harness_copy_status(harness_copy(ENV_POOL, mp->name, NULL)));
}

TEST(a_reserve_of_the_whole_pool_is_refused)
{
	struct rte_mempool *mp;

	harness_need_ours("reserve");
	mp = pool_empty(POOL_SPEC(RESERVE, 64, .config = "reserve=100"));
	log_begin();
	assert_true(rte_mempool_populate_default(mp) < 0);
	log_end();
	assert_true(log_has("reserve=100: must be less than its 100 objects"));
	rte_mempool_free(mp);
}

static int
secondary(int argc, char **argv, const char *pool)
{
	struct rte_mempool *mp;

	if (harness_start_secondary(argc, argv, 1) < 0)
		return HARNESS_REFUSED;
	mp = rte_mempool_magazine_lookup(pool);
	HOLDS(mp != NULL);
	return is_killed_with_some(mp);
}

int
main(int argc, char **argv)
{
	return HARNESS_RUN_OR_CHILD(argc, argv, 1, ENV_POOL, secondary);
}
