/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/hold.h"
#include "base/peer.h"
#include "control/registry.h"
#include "fixture.h"
#include "outside/heir.h"
#include "outside/pass.h"
#include "victims.h"
#include "visits/purge.h"
#include "visits/recover.h"
#include "visits/sweep.h"

struct shared *shared;

static void *mine[COUNT];

static void
take(unsigned int n)
{
	shared->taking = n;
	if (mag_cache_take_all(cache, mine + shared->held, n, true) == 0)
		shared->held += n;
	shared->taking = 0;
}

static void
give(unsigned int n)
{
	shared->giving = n;
	mag_cache_give(cache, mine + shared->held - n, n);
	shared->held -= n;
	shared->giving = 0;
}

void
victim_fill_magazines(void)
{
	take(200);
	give(200);
}

static void
nothing(void)
{
}

static void
get_and_put_one(void)
{
	take(1);
	give(1);
}

static void
exchange(void)
{
	take(20);
	take(50);
	give(45);
	take(3);
	give(28);
}

/* Loaded is empty, previous full. */
static void
empty_loaded(void)
{
	victim_fill_magazines();
	take(5);
	while (MAG_STAT(own_slot()->rounds) > 0)
		take(1);
}

/* What the magazines once said that they hold is not true. */
static void
swapped(void)
{
	empty_loaded();
	take(1);
}

/* No call takes or gives as much as a magazine holds, so what a swap loses is missing. */
static void
swap(void)
{
	take(1);
	give(1);
	give(1);
}

/* Slabs and segments go and come, all magazines being off. */
static void
off(void)
{
	mag_cache_purge(cache);
}

/* In the arena there is what larger magazines held, where smaller ones will have their headers. */
static void
off_after_larger(void)
{
	mag_cache_resize(cache, 30, false);
	victim_fill_magazines();
	mag_cache_resize(cache, 14, false);
	off();
}

static void
slabs(void)
{
	take(40);
	give(10);
	take(5);
	give(35);
}

static void
on(void)
{
	mag_cache_enable(cache);
	slabs();
}

/* So many that others' magazines are needed. */
static void
take_most(void)
{
	victim_fill_magazines();
	take(COUNT - 100);
}

static void
steal(void)
{
	take(90);
	give(90);
	take(99);
}

static void
flush(void)
{
	mag_cache_flush_slot(cache, mag_thread_slot());
}

static void
reap(void)
{
	mag_cache_reap_now(cache, false);
}

static void
resize(void)
{
	mag_cache_resize(cache, 30, false);
	mag_cache_resize(cache, 14, false);
}

static void
blocks(void)
{
	void *first[2];

	shared->taking = 2 * FIXTURE_BLOCK;
	if (mag_cache_take_blocks(cache, first, 2) == 0)
		shared->held += 2 * FIXTURE_BLOCK;
}

/* Two blocks, put whole: in loaded, previous and depot, a magazine each. */
static void
put_blocks(void)
{
	void *first[2];
	unsigned int i;

	mag_cache_enable(cache);
	if (mag_cache_take_blocks(cache, first, 2) != 0)
		abort();
	for (i = 0; i < 2 * FIXTURE_BLOCK; i++)
		mine[i] = RTE_PTR_ADD(first[i / FIXTURE_BLOCK],
				      i % FIXTURE_BLOCK * cache->region->stride);
	mag_cache_give(cache, mine, i);
	/* As if it had been to the depot: what it says is not true when it becomes previous. */
	MAG_STORE(&own_slot()->loaded->held, own_slot()->loaded->rounds, MAG_RELAXED);
}

/* One has previous become loaded, and the other one needs the depot. */
static void
blocks_on_top(void)
{
	unsigned int i;
	void *first;

	for (i = 0; i < 2; i++) {
		shared->taking = FIXTURE_BLOCK;
		if (mag_pool_take_blocks(cache, &first, 1) == 0)
			shared->held += FIXTURE_BLOCK;
		shared->taking = 0;
	}
}

/* Its magazines are nowhere then. */
static void
die_in_an_exchange(void)
{
	struct mag_magazine *full[2];

	shared->victim = mag_process_id;
	mag_slot_enter(own_slot());
	mag_slot_exchange_begin(own_slot());
	mag_depot_take(&cache->first.depot, &cache->first.depot.full, 2, full);
	if (own_slot()->previous_rounds == own_slot()->previous->rounds)
		mag_depot_put(&cache->first.depot.full, own_slot()->previous);
	kill(getpid(), SIGKILL);
}

static void
leave_a_victim(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		victim_fill_magazines();
		die_in_an_exchange();
	}
	waitpid(pid, NULL, 0);
	take(1);
	give(1);
}

static void
mend_victim(void)
{
	unsigned int i;

	for (i = 0; i < MAG_SLOTS; i++)
		if (slot_at(i)->torn != 0)
			mag_slot_mend(slot_at(i));
}

static void
recover_victim(void)
{
	mag_recover(cache, shared->victim);
}

/*
 * Stand in front of the library's own. The parent's control thread would be faster than the heir;
 * and EAL's memory lock, which the heir has while it takes over, is lost in a few instructions
 * (hold.h).
 */
void
mag_heir_look(void)
{
}

bool
mag_hold_begin(void)
{
	return true;
}

void
mag_hold_end(void)
{
}

struct mag_cache *victims_other;

static void
for_each_pool(void (*what)(struct mag_cache *pool))
{
	what(cache);
	if (victims_other != NULL)
		what(victims_other);
}

static void
make_mine(struct mag_cache *pool)
{
	pool->process = mag_process_id;
	pool->pid = mag_process_pid;
	mag_registry_insert(pool);
}

static void
forget_listing(struct mag_cache *pool)
{
	free(pool->listing);
}

static void
assert_is_mine(struct mag_cache *pool)
{
	assert_int_equal(pool->process, mag_process_id);
}

/* The parent's pools are another process's, which dies as the victim above. */
static void
leave_pools(void)
{
	pid_t pid;

	for_each_pool(mag_registry_remove);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		victim_fill_magazines();
		take(30);
		for_each_pool(make_mine);
		die_in_an_exchange();
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	for_each_pool(forget_listing);
}

/* As one that has attached does. */
static void
take_over(void)
{
	atomic_store(&mag_process_is_child, false);
	LIBRARYS(mag_heir_look)();
}

/* The part of it that changes what others see. */
static void
inherit(void)
{
	atomic_store(&mag_process_is_child, false);
	mag_peer_join();
	mag_cache_list_inherit();
}

/* The thread that would do the same has not begun. */
static void
first_pass(void)
{
	take_over();
	mag_pass_forbid(false);
	mag_pass_run(true);
}

/* As the heir does, and by the same signs. */
static void
take_over_again(void)
{
	assert_int_equal(mag_peers_pools(), MAG_PEERS_POOLS_OF_DEAD);
	wait_until(mag_cache_list_inherit() > 0);
	assert_int_equal(mag_peers_pools(), MAG_PEERS_NO_POOLS);
	for_each_pool(assert_is_mine);
	/* The control thread, which looks for heirs, had no other cache. */
	mag_cache_observer();
}

static const struct victim victims[] = {
	{"claim", nothing, get_and_put_one, 60, nothing, nothing, false},
	{"get_and_put", victim_fill_magazines, get_and_put_one, 60, nothing, nothing, false},
	{"exchange", victim_fill_magazines, exchange, 300, nothing, nothing, false},
	{"swap", empty_loaded, swap, 1000, nothing, nothing, false},
	{"slabs", off, slabs, 200, nothing, nothing, false},
	{"magazines_come", off_after_larger, on, 150, nothing, nothing, false},
	{"steal", take_most, steal, 100, nothing, nothing, false},
	{"steal_previous", take_most, steal, 0, nothing, nothing, true, "mag_slot_detach_previous"},
	{"flush", victim_fill_magazines, flush, 60, nothing, nothing, false},
	{"flush_swapped", swapped, flush, 60, nothing, nothing, false},
	{"reap", victim_fill_magazines, reap, 20, nothing, nothing, false},
	{"reap_previous", victim_fill_magazines, reap, 0, nothing, nothing, true,
	 "mag_slot_detach_previous"},
	{"resize", victim_fill_magazines, resize, 10, nothing, nothing, false},
	{"blocks", off, blocks, 50, nothing, nothing, false},
	{"blocks_on_top", put_blocks, blocks_on_top, 120, nothing, nothing, true,
	 "mag_slot_take_blocks"},
	{"mend", leave_a_victim, mend_victim, 3000, nothing, nothing, true},
	{"recover", leave_a_victim, recover_victim, 30, nothing, nothing, false},
	{"take_over", nothing, take_over, 60, leave_pools, take_over_again, false},
	{"inherit", nothing, inherit, 30, leave_pools, take_over_again, true},
	{"first_pass", nothing, first_pass, 20, leave_pools, take_over_again, false},
};

const struct victim *
victim_of(const char *name)
{
	const struct victim *victim = victims;

	while (strcmp(victim->name, name) != 0)
		victim++;
	return victim;
}
