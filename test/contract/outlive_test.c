/* SPDX-License-Identifier: BSD-3-Clause */

/* A process that goes on after rte_eal_cleanup(): nothing of the driver's runs on without EAL. */

#include <pthread.h>
#include <sys/wait.h>

#include <rte_cycles.h>
#include <rte_eal.h>

#include "harness.h"
#include "pool.h"

/* Set in a copy of this program that has a pool, stops EAL and lives on. */
#define ENV_CHILD "CONTRACT_OUTLIVE_CHILD"
/* How long that copy waits before it stops EAL. */
#define ENV_WAIT "CONTRACT_OUTLIVE_WAIT"
#define KEEP "keep" /* the pool when EAL stops */
#define FREE "free" /* it first */
/* The copy has a thread too that used the pool, and that ends after EAL. */
#define AND_THREAD "-and-thread"
/* Maintenance of these pools, which comes often: some turns of it after the end of EAL. */
#define OPTIONS "interval=10ms"
#define LIVE_ON_US 50000
#define LCORES 2

/* Microseconds from the first pool to the end of EAL, or 0 to end it at once. */
static unsigned int
wait_us(void)
{
	const char *text = getenv(ENV_WAIT);

	return text != NULL ? atoi(text) : 0;
}

static void
sleep_until(uint64_t start, unsigned int us)
{
	while (rte_get_timer_cycles() - start < us * rte_get_timer_hz() / 1000000)
		usleep(50);
}

static int
use(struct rte_mempool *mp)
{
	void *objs[100];

	if (rte_mempool_get_bulk(mp, objs, RTE_DIM(objs)) != 0)
		return -1;
	rte_mempool_put_bulk(mp, objs, RTE_DIM(objs));
	return 0;
}

struct user {
	struct rte_mempool *mp;
	_Atomic bool has_used;
	_Atomic bool may_end;
	bool failed;
	pthread_t thread;
};

static void *
user_main(void *arg)
{
	struct user *user = arg;

	user->failed = rte_thread_register() != 0 || use(user->mp) != 0;
	user->has_used = true;
	while (!user->may_end)
		usleep(50);
	return NULL;
}

static int
user_start(struct user *user)
{
	if (pthread_create(&user->thread, NULL, user_main, user) != 0)
		return -1;
	while (!user->has_used)
		usleep(50);
	return user->failed ? -1 : 0;
}

static void
user_end(struct user *user)
{
	user->may_end = true;
	pthread_join(user->thread, NULL);
}

static bool
has_thread(const char *what)
{
	return strstr(what, AND_THREAD) != NULL;
}

/* Text for our ops; for others a pool_config might be something else. */
static void *
ops_config(void)
{
	static char options[] = OPTIONS;

	return strcmp(harness_ops(), "magazine") == 0 ? options : NULL;
}

static int
run_as_child(int argc, char **argv, const char *what)
{
	struct user user = {.mp = NULL};
	struct rte_mempool *mp;
	uint64_t start;

	if (harness_start_eal(argc, argv, LCORES) < 0)
		return HARNESS_REFUSED;
	start = rte_get_timer_cycles();
	mp = rte_mempool_create_empty("outlived", 1000, 64, 0, 0, SOCKET_ID_ANY, 0);
	if (mp == NULL || rte_mempool_set_ops_byname(mp, harness_ops(), ops_config()) != 0 ||
	    rte_mempool_populate_default(mp) != 1000)
		return 1;
	user.mp = mp;
	if (use(mp) != 0 || (has_thread(what) && user_start(&user) != 0))
		return 1;
	if (strncmp(what, FREE, strlen(FREE)) == 0)
		rte_mempool_free(mp);
	sleep_until(start, wait_us());
	if (rte_eal_cleanup() != 0)
		return 1;
	if (has_thread(what))
		user_end(&user);
	usleep(LIVE_ON_US);
	return 0;
}

static pid_t
start_child(const char *what, unsigned int us, const char *extra, const char *value)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", us);
	setenv(ENV_WAIT, text, 1);
	return harness_copy(ENV_CHILD, what, (const char *[]){extra, value, NULL});
}

/* Returns the signal that ended the child, or 0. */
static int
wait_for_child(pid_t pid)
{
	int status = harness_copy_status(pid);

	if (WIFSIGNALED(status))
		return WTERMSIG(status);
	assert_int_equal(WEXITSTATUS(status), 0);
	return 0;
}

/* A service lcore, or a thread that used the pools, may be there too. */
TEST(a_process_outlives_eal_whether_it_freed_its_pools_or_kept_them)
{
	static const char *const rows[][3] = {{FREE, NULL, NULL},
					      {KEEP, NULL, NULL},
					      {FREE, "-S", "1"},
					      {KEEP, "-S", "1"},
					      {FREE AND_THREAD, NULL, NULL},
					      {KEEP AND_THREAD, NULL, NULL}};

	for (unsigned int i = 0; i < RTE_DIM(rows); i++)
		assert_int_equal(wait_for_child(start_child(rows[i][0], 0, rows[i][1], rows[i][2])),
				 0);
}

/* EAL ends at every 100 microseconds of an interval; with MAGAZINE_FULL a thousand times. */
static void
sweep_over_the_interval(const char *what)
{
	enum { AT_ONCE = 5, STEP_US = 100, STEPS = 100, FIRST_US = 20000 };
	unsigned int died = 0, ends = run_is_full() ? 10 * STEPS : STEPS / 2;
	pid_t pids[AT_ONCE];

	for (unsigned int i = 0; i < ends; i += AT_ONCE) {
		for (unsigned int j = 0; j < AT_ONCE; j++)
			pids[j] = start_child(what, FIRST_US + (i + j) * 7 % STEPS * STEP_US, NULL,
					      NULL);
		for (unsigned int j = 0; j < AT_ONCE; j++)
			died += wait_for_child(pids[j]) != 0;
	}
	if (died > 0)
		fail_msg("%u of %u processes died in or after rte_eal_cleanup", died, ends);
}

TEST(the_end_of_eal_may_meet_maintenance_after_pools_were_freed)
{
	sweep_over_the_interval(FREE);
}

TEST(the_end_of_eal_may_meet_maintenance_of_pools_that_were_kept)
{
	sweep_over_the_interval(KEEP);
}

int
main(int argc, char **argv)
{
	return HARNESS_RUN_OR_CHILD(argc, argv, LCORES, ENV_CHILD, run_as_child);
}
