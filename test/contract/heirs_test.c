/* SPDX-License-Identifier: BSD-3-Clause */

/* Pools whose process is killed: the primary one, and a secondary one. */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_lcore.h>
#include <rte_memzone.h>

#include "cache/cache.h"
#include "control/registry.h"
#include "harness.h"
#include "mag_maint.h"
#include "mag_stats.h"
#include "pool.h"
#include "rte_mempool_magazine.h"
#include "slot/thread.h"

/* Set in a copy of this program: what it is. */
#define ENV_CHILD "CONTRACT_HEIRS"
#define PRIMARY "primary"
#define MAKER "maker"
#define USER "user"

#define SHARED "contract-heirs"
#define CHUNK "contract-chunk"
#define OPTIONS "rounds=14,interval=10ms"
#define WAIT_MS 20000
#define LCORES 2
#define OBJECTS 1000
#define HELD 100
#define TURN 32
#define USERS 3
#define KILLS 3
#define KILLS_FULL 100

/* In memory of all processes of one primary. */
struct shared {
	_Atomic pid_t maker; /* 0: not yet */
	uint32_t process;    /* its mag_process_id */
	_Atomic unsigned int working, idle, heirs;
	unsigned int dying; /* of the heirs, which are killed as well */
	_Atomic bool freed;
};

static struct shared *shared;

/* In a copy: what holds, or the line that does not is what it ends with. */
#define HOLDS(what)                                                                                \
	do {                                                                                       \
		if (!(what)) {                                                                     \
			fprintf(stderr, "process %s, line %d: not " #what "\n", getenv(ENV_CHILD), \
				__LINE__);                                                         \
			return 1;                                                                  \
		}                                                                                  \
	} while (0)

static bool
comes_true(bool (*what)(struct rte_mempool *mp), struct rte_mempool *mp)
{
	unsigned int ms;

	for (ms = 0; ms < WAIT_MS && !what(mp); ms++)
		usleep(1000);
	return what(mp);
}

static void
take_a_turn(struct rte_mempool *mp, unsigned int i)
{
	unsigned int n = 1 + i % TURN;
	void *objects[TURN];

	if (rte_mempool_get_bulk(mp, objects, n) == 0)
		rte_mempool_put_bulk(mp, objects, n);
}

/* The maker: killed with objects, and wherever it is. */

static void *
kill_soon(void *arg)
{
	usleep(*(unsigned int *)arg);
	raise(SIGKILL);
	return NULL;
}

static int
make_and_be_killed(unsigned int us)
{
	struct rte_mempool *mp = pool_anywhere(POOL_SPEC(OBJECTS, 64, .config = OPTIONS), CHUNK);
	void *objects[HELD];
	pthread_t killer;
	unsigned int i;

	HOLDS(rte_mempool_get_bulk(mp, objects, HELD) == 0);
	shared->process = mag_process_id;
	shared->maker = getpid();
	while (shared->working < USERS)
		usleep(1000);
	HOLDS(pthread_create(&killer, NULL, kill_soon, &us) == 0);
	for (i = 0;; i++)
		take_a_turn(mp, i);
}

/* The users. */

static struct rte_mempool *the_pool;

static void
pool_find(struct rte_mempool *mp, void *arg __rte_unused)
{
	the_pool = mp;
}

static bool
maker_is_dead(void)
{
	return kill(shared->maker, 0) != 0 ||
	       waitpid(shared->maker, NULL, WNOHANG) == shared->maker;
}

static bool
is_ours_or_freed(struct rte_mempool *mp)
{
	return shared->freed || rte_mempool_magazine_cache(mp)->process == mag_process_id;
}

static bool
maker_is_forgotten(struct rte_mempool *mp __rte_unused)
{
	uint32_t slot;

	for (slot = 0; slot < MAG_SLOT_SHARED; slot++)
		if (mag_thread_process(slot) == shared->process)
			return false;
	return true;
}

/* All but what its maker had: these, and of the call in which it was killed. */
static bool
others_have_the_rest(struct rte_mempool *mp)
{
	static void *objects[OBJECTS];
	unsigned int n = 0;

	while (n < OBJECTS && rte_mempool_get(mp, &objects[n]) == 0)
		n++;
	rte_mempool_put_bulk(mp, objects, n);
	return n >= OBJECTS - HELD - TURN && n == rte_mempool_avail_count(mp);
}

static uint64_t updates;

static bool
is_updated(struct rte_mempool *mp)
{
	return rte_mempool_magazine_cache(mp)->updates > updates + 2;
}

static int
inherit(struct rte_mempool *mp)
{
	HOLDS(mag_cache_listed() == 1);
	updates = rte_mempool_magazine_cache(mp)->updates;
	HOLDS(comes_true(is_updated, mp));
	HOLDS(comes_true(maker_is_forgotten, mp));
	HOLDS(comes_true(others_have_the_rest, mp));
	HOLDS(mag_maint_runner() == MAG_MAINT_THREAD);
	rte_mempool_free(mp);
	HOLDS(mag_cache_listed() == 0);
	return 0;
}

static int
use_until_it_is_dead(void)
{
	unsigned int i;
	int ret = 0;

	while (shared->maker == 0)
		usleep(1000);
	rte_mempool_walk(pool_find, NULL);
	HOLDS(the_pool != NULL);
	for (i = 0; !maker_is_dead(); i++) {
		take_a_turn(the_pool, i);
		shared->working += i == 0;
	}
	shared->idle++;
	while (shared->idle < USERS)
		usleep(1000);
	HOLDS(comes_true(is_ours_or_freed, the_pool));
	if (!shared->freed) {
		if (shared->heirs++ < shared->dying)
			raise(SIGKILL);
		ret = inherit(the_pool);
		shared->freed = true;
	}
	HOLDS(shared->heirs == shared->dying + 1);
	return ret;
}

static int
share(void)
{
	const struct rte_memzone *zone = rte_memzone_lookup(SHARED);

	if (zone == NULL)
		zone = rte_memzone_reserve(SHARED, sizeof(*shared), SOCKET_ID_ANY, 0);
	HOLDS(zone != NULL);
	shared = zone->addr;
	return 0;
}

static int
run_as_child(int argc, char **argv, const char *what)
{
	unsigned int us = (unsigned int)atoi(strchr(what, ' ')), i;

	if (strncmp(what, PRIMARY, strlen(PRIMARY)) != 0) {
		if (harness_start_secondary(argc, argv, 1) < 0)
			return HARNESS_REFUSED;
		HOLDS(share() == 0);
		return what[0] == MAKER[0] ? make_and_be_killed(us) : use_until_it_is_dead();
	}
	if (harness_start_eal(argc, argv, 1) < 0)
		return HARNESS_REFUSED;
	HOLDS(share() == 0);
	for (i = 0; i < USERS; i++)
		harness_copy(ENV_CHILD, USER " 0", NULL);
	shared->dying = 1;
	return make_and_be_killed(us);
}

static unsigned int
kills(void)
{
	return run_is_full() ? KILLS_FULL : KILLS;
}

TEST(pools_of_a_killed_primary_are_taken_over_from_its_killed_heir_too)
{
	unsigned int i, n, killed;
	char what[32];
	int status;

	/* The users are its children, and ours after that. */
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
	for (i = 0; i < kills(); i++) {
		snprintf(what, sizeof(what), PRIMARY " %u", 1000 + i * 137);
		status = harness_copy_status(harness_copy(ENV_CHILD, what, NULL));
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		killed = 0;
		for (n = 0; n < USERS; n++) {
			assert_true(waitpid(-1, &status, 0) > 0);
			killed += WIFSIGNALED(status);
			assert_true(status == 0 || WIFSIGNALED(status));
		}
		assert_int_equal(killed, 1);
	}
}

TEST(pools_of_a_killed_secondary_are_taken_over)
{
	unsigned int i;
	char what[32];

	assert_int_equal(share(), 0);
	for (i = 0; i < kills(); i++) {
		/* This process is the one user. */
		*shared = (struct shared){.working = USERS - 1, .idle = USERS - 1};
		snprintf(what, sizeof(what), MAKER " %u", 1000 + i * 137);
		harness_copy(ENV_CHILD, what, NULL);
		assert_int_equal(use_until_it_is_dead(), 0);
		rte_memzone_free(rte_memzone_lookup(CHUNK));
	}
	rte_memzone_free(rte_memzone_lookup(SHARED));
}

int
main(int argc, char **argv)
{
	return HARNESS_RUN_OR_CHILD(argc, argv, LCORES, ENV_CHILD, run_as_child);
}
