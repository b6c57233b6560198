/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"
#include "visits/perimeter.h"
#include "visits/steal.h"
#include "visits/sweep.h"

#include <limits.h>

#include "fixture.h"

#define COUNT (16 * FIXTURE_BLOCK)
#define SIZE 256
#define ROUNDS 14

static _Atomic uint32_t not_held; /* magazines put into the depot by a thread without its slot */
static _Atomic uint32_t mixed; /* magazines put into the depot that are not of the type in force */
static unsigned int chains;    /* that reaps have taken */
static bool chain_is_bare;     /* one was not in transit, or the working set not locked */
static int fence_error;        /* what a membarrier fails with */
static uint32_t word_at_fence; /* what the owner of slot 1 sees when the fence is over */

/* Objects that the test has, and the others. */
static void *had[COUNT], *rest[COUNT];

static void
setup_with(struct mag_cache_params params)
{
	params.name = "things";
	params.object_size = SIZE;
	fixture_cache(COUNT, params);
	assert_int_equal(cache->common.type, ROUNDS);
	atomic_store(&mixed, 0);
	chains = 0;
	chain_is_bare = false;
}

SETUP(setup)
{
	setup_with(CACHE_PARAMS(.flags = MAG_CACHE_DYNAMIC));
}

static int
setup_fence(void **state)
{
	mag_bias_forbid_membarrier(true);
	return setup(state);
}

TEARDOWN(teardown)
{
	assert_int_equal(mixed, 0);
	assert_false(chain_is_bare);
	assert_int_equal(cache->common.transit, 0);
	assert_int_equal(mag_cache_available(cache), COUNT);
	fixture_drop();
	mag_bias_forbid_membarrier(false);
	fence_error = 0;
}

/*
 * Functions in front of the library's own, to look at what it does, and to do something at a moment
 * that a test chooses: once a free has got a magazine; before a reap takes a chain; when a sum is
 * looked at for the nth time; before a fence; when the slabs are asked for the nth time what they
 * have.
 */
static _Thread_local void (*meanwhile)(void);
static _Thread_local void (*before_chain)(void);
static _Thread_local void (*look)(void);
static _Thread_local unsigned int looks_left;
static _Thread_local void (*at_fence)(void);
static _Thread_local void (*during_the_sum)(void);
static _Thread_local unsigned int sums_left;

struct mag_magazine *
mag_arena_get(struct mag_arena *arena, uint32_t rounds)
{
	struct mag_magazine *magazine = LIBRARYS(mag_arena_get)(arena, rounds);
	void (*hook)(void) = meanwhile;

	meanwhile = NULL;
	if (hook != NULL)
		hook();
	return magazine;
}

void
mag_depot_put(struct mag_depot_list *list, struct mag_magazine *magazine)
{
	bool first = list == &cache->first.depot.full || list == &cache->first.depot.empty;

	if (first && magazine->rounds != MAG_STAT(cache->common.type))
		atomic_fetch_add(&mixed, 1);
	if (first && MAG_STAT(own_slot()->busy) == 0)
		atomic_fetch_add(&not_held, 1);
	LIBRARYS(mag_depot_put)(list, magazine);
}

unsigned int
mag_depot_reap(struct mag_depot *depot, struct mag_depot_list *list, unsigned int want,
	       struct mag_magazine *got[MAG_DEPOT_CHAIN])
{
	if (before_chain != NULL && want > 0) {
		before_chain();
		before_chain = NULL;
	}
	if (depot == &cache->first.depot) {
		chains += want > 0;
		chain_is_bare |= MAG_STAT(cache->first.working_set.holder) == 0;
		if (list == &depot->full)
			chain_is_bare |= cache->common.transit <
					 (uint64_t)want * MAG_STAT(cache->common.type);
	}
	return LIBRARYS(mag_depot_reap)(depot, list, want, got);
}

struct mag_depot_head
mag_depot_head(const struct mag_depot_list *list)
{
	if (look != NULL && --looks_left == 0)
		look();
	return LIBRARYS(mag_depot_head)(list);
}

int
mag_bias_fence(enum mag_bias_mode mode, bool (*is_any_foreign)(void))
{
	word_at_fence = MAG_STAT(slot_at(1)->visitor) & MAG_BIAS_AWAY;
	if (at_fence != NULL)
		at_fence();
	if (fence_error != 0 && mode == MAG_BIAS_MEMBARRIER)
		return -fence_error;
	return LIBRARYS(mag_bias_fence)(mode, is_any_foreign);
}

uint64_t
mag_slab_available(const struct mag_slab_layer *layer)
{
	void (*hook)(void) = during_the_sum != NULL && --sums_left == 0 ? during_the_sum : NULL;

	if (hook != NULL) {
		during_the_sum = NULL;
		hook();
	}
	return LIBRARYS(mag_slab_available)(layer);
}

static void
take_all_run(void *arg __rte_unused)
{
	assert_int_equal(mag_cache_take_all(cache, had, COUNT, true), 0);
}

static void
flush_run(void *arg __rte_unused)
{
	mag_lcore_flush();
}

static int
steal_all(void)
{
	unsigned int n = mag_cache_alloc_burst(cache, had, COUNT);

	free_bulk(had, n);
	return 0;
}

struct call {
	const char *name;
	int (*call)(void);
	int ret;
	_Atomic bool begun;
};

static void
call_run(void *arg)
{
	struct call *call = arg;

	atomic_store(&call->begun, true);
	call->ret = call->call();
}

static int
call_elsewhere(int (*function)(void))
{
	struct call call = {.call = function};

	run_on_thread(call_run, &call);
	return call.ret;
}

TEST(test_a_purge_empties_every_slot_and_the_depot, setup, teardown)
{
	fill(50);
	fill_on_lcore(1, 50);
	fill_on_thread(50);
	assert_true(mag_cache_in_lcores(cache) > 0);
	assert_true(depot_full() > 0);
	assert_int_equal(cache_purge(), 0);
	assert_all_in_slabs();
	assert_sizes(0);
	assert_int_equal(depot_empty(), 0);
	assert_int_equal(cache->first.arena.out, 0);
	assert_int_equal(cache->purges, 1);
	cache_enable();
}

TEST(test_after_a_purge_everything_goes_to_the_slabs_until_enabled, setup, teardown)
{
	assert_int_equal(cache_purge(), 0);
	fill(40);
	assert_all_in_slabs();
	assert_int_equal(cache->first.arena.out, 0);
	cache_enable();
	assert_sizes(ROUNDS);
	fill(40);
	assert_true(mag_cache_in_lcores(cache) > 0);
}

TEST(test_nothing_but_enable_turns_a_purged_layer_on_again, setup, teardown)
{
	assert_int_equal(cache_purge(), 0);
	assert_int_equal(cache_resize_now(), 0);
	assert_sizes(0);
	assert_int_equal(cache_reap_all(), 0);
	assert_int_equal(cache_reclaim_low(), 0);
	mag_cache_update(cache);
	assert_sizes(0);
	fill(40);
	assert_int_equal(cache->first.slab.out, 0);
	cache_enable();
	assert_sizes(30);
}

TEST(test_a_purge_that_finds_nothing_is_not_counted, setup, teardown)
{
	assert_int_equal(cache_gather(), -EAGAIN);
	assert_int_equal(cache_purge(), 0);
	assert_int_equal(cache->purges, 0);
	cache_enable();
	fill(1);
	assert_int_equal(cache_purge(), 0);
	assert_int_equal(cache->purges, 1);
	cache_enable();
}

TEST(test_a_purge_or_resize_waits_for_every_owner_or_changes_nothing, setup, teardown)
{
	fill(40);
	assert_int_equal(mag_slot_enter(slot_at(5)), 0);
	assert_int_equal(cache_purge(), -EAGAIN);
	assert_int_equal(cache->common.visits_denied, 1);
	assert_int_equal(cache_resize(), -EAGAIN);
	assert_int_equal(cache->common.type, ROUNDS);
	assert_int_equal(cache->resizes, 0);
	assert_true(mag_cache_in_lcores(cache) > 0);
	assert_sizes(ROUNDS);
	mag_slot_leave(slot_at(5));
	assert_int_equal(slot_at(5)->visitor, own_slot()->visitor);
	assert_int_equal(cache_purge(), 0);
	assert_int_equal(mag_cache_in_lcores(cache), 0);
	cache_enable();
	assert_int_equal(cache_resize(), 0);
}

TEST(test_a_sweep_sends_one_membarrier_however_many_it_visits, setup, teardown)
{
	uint64_t membarriers = mag_bias_membarriers();

	skip_without_membarrier();
	assert_int_equal(cache_purge(), 0);
	assert_int_equal(mag_bias_membarriers(), membarriers + 1);
	cache_enable();
	assert_int_equal(cache_reap(), 0);
	assert_int_equal(mag_bias_membarriers(), membarriers + 2);
}

TEST(test_a_sweep_is_announced_before_its_membarrier, setup, teardown)
{
	fill_on_lcore(1, 40);
	word_at_fence = 0;
	assert_int_equal(cache_reap(), 0);
	assert_int_equal(word_at_fence, MAG_BIAS_VISIT);
	word_at_fence = 0;
	alloc_bulk(had, COUNT);
	assert_int_equal(word_at_fence, MAG_BIAS_VISIT);
	free_bulk(had, COUNT);
	assert_int_equal(cache_purge(), 0);
	assert_int_equal(word_at_fence, MAG_BIAS_VISIT | MAG_BIAS_PURGE);
	assert_int_equal(MAG_STAT(slot_at(1)->visitor) & MAG_BIAS_AWAY, 0);
	cache_enable();
}

/*
 * The holder of a lock never leaves it, like a process that was killed: a purge, and all that
 * maintenance does, ends nevertheless. The purge may have emptied slots before it finds the lock.
 */
static void
check_purge_under(struct mag_lock *lock, bool emptied)
{
	uint64_t denied = cache->common.visits_denied;

	fill(2 * ROUNDS);
	fill_on_thread(2 * ROUNDS);
	mag_lock_wait(lock);
	assert_int_equal(call_elsewhere(cache_purge), -EAGAIN);
	assert_true(cache->common.visits_denied > denied);
	assert_int_equal(mag_cache_in_lcores(cache) == 0, emptied);
	assert_int_equal(MAG_STAT(own_slot()->visitor) & MAG_BIAS_AWAY, 0);
	assert_int_equal(own_slot()->size, cache->common.type);
	mag_cache_update(cache);
	cache_reap();
	cache_reclaim();
	assert_int_not_equal(lock->holder, 0);
	mag_lock_release(lock);
	fill(2 * ROUNDS);
	assert_int_equal(cache_purge(), 0);
	assert_all_in_slabs();
	assert_int_equal(mag_cache_available(cache), COUNT);
	cache_enable();
}

TEST(test_a_purge_does_not_wait_for_ever_for_a_lock, setup, teardown)
{
	const struct {
		const char *name;
		struct mag_lock *lock;
		bool emptied;
	} rows[] = {
		{"the visitor that is there", &cache->first.visit, false},
		{"the user of the shared slot", &cache->first.shared, false},
		{"the reap of the depot", &cache->first.working_set, true},
	};

	for (unsigned int i = 0; i < RTE_DIM(rows); i++) {
		printf("# %s\n", rows[i].name);
		check_purge_under(rows[i].lock, rows[i].emptied);
	}
}

TEST(test_a_resize_changes_the_size_of_all_slots_when_they_are_empty, setup, teardown)
{
	uint64_t seen = cache->contention_seen;

	fill(100);
	assert_int_equal(cache_resize_now(), 0);
	assert_int_equal(cache->common.type, 30);
	assert_sizes(30);
	assert_all_in_slabs();
	assert_int_equal(depot_empty(), 0);
	assert_int_equal(cache->first.arena.out, 0);
	assert_int_equal(cache->resizes, 1);
	assert_true(cache->contention_seen >= seen + MAG_CONTENTION_REST);
	fill(100);
	assert_int_equal(own_slot()->capacity, 30);
}

TEST(test_sizes_that_a_cache_cannot_have_are_refused, setup, teardown)
{
	const uint32_t bad[] = {1, 13, 62, 46, 158, 254, 510, UINT32_MAX};

	for (unsigned int i = 0; i < RTE_DIM(bad); i++)
		assert_refused(mag_cache_resize(cache, bad[i], true), EINVAL, "things");
	assert_int_equal(cache->common.type, ROUNDS);
}

TEST(test_the_perimeter_has_one_owner_that_may_enter_again, setup, teardown)
{
	assert_true(mag_perimeter_enter(cache, false));
	assert_true(mag_perimeter_enter(cache, false));
	assert_true(mag_perimeter_enter(cache, true));
	mag_perimeter_leave(cache);
	mag_perimeter_leave(cache);
	assert_int_not_equal(cache->perimeter, 0);
	mag_perimeter_leave(cache);
	assert_int_equal(cache->perimeter, 0);
}

static int
destroy(void)
{
	int ret;

	log_begin();
	ret = mag_cache_destroy(cache);
	log_end();
	return ret;
}

static int
reset(void)
{
	int ret;

	log_begin();
	ret = mag_pool_reset(cache);
	assert_logged(log_end(), "things");
	return ret;
}

TEST(test_others_are_told_that_the_perimeter_is_taken, setup, teardown)
{
	static int (*const calls[])(void) = {cache_purge, cache_resize_now, cache_reap_all,
					     cache_reclaim_low, destroy};

	fill(10);
	assert_true(mag_perimeter_enter(cache, false));
	for (unsigned int i = 0; i < RTE_DIM(calls); i++)
		assert_int_equal(call_elsewhere(calls[i]), -EBUSY);
	assert_true(mag_cache_in_lcores(cache) > 0);
	assert_int_equal(cache->common.type, ROUNDS);
	mag_perimeter_leave(cache);
}

/* The size in force before the thread that waits comes in, and after. */
static void
check_wait_for_the_perimeter(int (*function)(void), uint32_t before, uint32_t after)
{
	struct call call = {.call = function, .ret = -1};
	struct task task;
	uint32_t size;

	assert_true(mag_perimeter_enter(cache, false));
	if (before == 0)
		assert_int_equal(mag_cache_purge_inside(cache, false), 0);
	task_thread(&task, call_run, &call);
	wait_until(atomic_load(&call.begun));
	let_pass(20);
	size = MAG_STAT(slot_at(0)->size);
	mag_perimeter_leave(cache);
	task_join(&task);
	assert_int_equal(call.ret, 0);
	assert_int_equal(size, before);
	assert_sizes(after);
}

TEST(test_a_resize_waits_for_the_perimeter, setup, teardown)
{
	check_wait_for_the_perimeter(cache_resize, ROUNDS, 30);
}

TEST(test_enabling_waits_for_the_perimeter, setup, teardown)
{
	check_wait_for_the_perimeter(cache_enable, 0, ROUNDS);
}

TEST(test_a_thread_gives_up_when_another_stays_in_the_perimeter, setup, teardown)
{
	struct call calls[] = {{.name = "resize", .call = cache_resize},
			       {.name = "enable", .call = cache_enable},
			       {.name = "gather", .call = cache_gather},
			       {.name = "reset", .call = reset}};
	struct task task[RTE_DIM(calls)];

	fill(40);
	assert_true(mag_perimeter_enter(cache, false));
	atomic_store(&cache->off, true);
	for (unsigned int i = 0; i < RTE_DIM(calls); i++)
		task_thread(&task[i], call_run, &calls[i]);
	for (unsigned int i = 0; i < RTE_DIM(calls); i++) {
		task_join(&task[i]);
		if (calls[i].ret != -EBUSY)
			fail_msg("%s: %d", calls[i].name, calls[i].ret);
	}
	assert_int_equal(cache->common.type, ROUNDS);
	assert_true(cache->off);
	assert_true(mag_cache_in_lcores(cache) > 0);
	assert_int_equal(cache->purges, 0);
	atomic_store(&cache->off, false);
	mag_perimeter_leave(cache);
	assert_int_equal(call_elsewhere(cache_resize), 0);
}

static void
hand_on_run(void *arg)
{
	assert_true(mag_perimeter_enter(cache, true));
	(*(unsigned int *)arg)++;
	usleep(1000);
	mag_perimeter_leave(cache);
}

TEST(test_threads_that_wait_for_the_perimeter_come_in_one_after_the_other, setup, teardown)
{
	struct task task[20];
	unsigned int came = 0;

	assert_true(mag_perimeter_enter(cache, false));
	for (unsigned int i = 0; i < RTE_DIM(task); i++)
		task_thread(&task[i], hand_on_run, &came);
	let_pass(20);
	assert_int_equal(came, 0);
	mag_perimeter_leave(cache);
	for (unsigned int i = 0; i < RTE_DIM(task); i++)
		task_join(&task[i]);
	assert_int_equal(came, RTE_DIM(task));
}

TEST(test_a_reap_takes_the_depot_and_previous_magazines_but_not_loaded, setup, teardown)
{
	uint64_t zeroes = cache->common.zeroes;

	fill_on_lcore(1, 50);
	fill_on_thread(50);
	fill(50);
	assert_int_equal(own_slot()->previous_rounds, ROUNDS);
	assert_int_equal(cache_reap(), 0);
	assert_null(own_slot()->previous);
	assert_null(slot_at(1)->previous);
	assert_null(slot_at(MAG_SLOT_SHARED)->previous);
	assert_true(own_slot()->rounds > 0);
	assert_true(slot_at(1)->rounds > 0);
	assert_int_equal(depot_full(), 0);
	assert_int_equal(depot_empty(), 0);
	assert_sizes(ROUNDS);
	assert_int_equal(cache->first.slab.out, mag_cache_in_lcores(cache));
	assert_int_equal(cache->reaps, 1);
	assert_int_equal(cache->common.zeroes, zeroes + 1);
	assert_int_equal(cache->purges, 0);
	assert_int_equal(cache_reap(), 0);
	assert_int_equal(cache->reaps, 1);
}

TEST(test_other_calls_that_purge_take_all_and_enable_again)
{
	static const struct {
		const char *name;
		int (*call)(void);
		unsigned int flags;
	} rows[] = {
		{"a reap with purge", cache_reap_all, 0},
		{"a reap of a REAP_ALL cache", cache_reap, MAG_CACHE_REAP_ALL},
		{"a reclaim of a REAP_ALL cache", cache_reclaim, MAG_CACHE_REAP_ALL},
		{"blocks that are gathered", cache_gather, 0},
	};

	for (unsigned int i = 0; i < RTE_DIM(rows); i++) {
		printf("# %s\n", rows[i].name);
		setup_with(CACHE_PARAMS(.flags = rows[i].flags));
		fill(50);
		assert_int_equal(rows[i].call(), 0);
		assert_all_in_slabs();
		assert_sizes(ROUNDS);
		assert_int_equal(cache->purges, 1);
		teardown(NULL);
	}
}

TEST(test_a_reap_skips_an_owner_that_does_not_let_go, setup, teardown)
{
	fill(40);
	fill_on_lcore(1, 40);
	assert_int_equal(mag_slot_enter(slot_at(1)), 0);
	assert_int_equal(cache_reap(), 0);
	assert_non_null(slot_at(1)->previous);
	assert_null(own_slot()->previous);
	assert_int_equal(cache->common.visits_denied, 1);
	mag_slot_leave(slot_at(1));
	assert_int_equal(cache_reap(), 0);
	assert_null(slot_at(1)->previous);
}

static struct {
	unsigned int objects;
	uint32_t left;    /* in the depot when the first object was destructed */
	uint64_t transit; /* and in transit then */
} destruction;

static void
destruct(void *object __rte_unused, void *arg __rte_unused)
{
	if (destruction.objects++ > 0)
		return;
	destruction.left = depot_full();
	destruction.transit = cache->common.transit;
}

SETUP(setup_destructed)
{
	memset(&destruction, 0, sizeof(destruction));
	setup_with(CACHE_PARAMS(.destructor = destruct));
}

/* As after two intervals in which nothing was used. */
static void
idle_twice(void)
{
	mag_cache_working_set_update(cache);
	mag_cache_working_set_update(cache);
}

TEST(test_a_reap_destroys_nothing_before_its_chain_has_left, setup_destructed, teardown)
{
	fill(6 * ROUNDS);
	assert_int_equal(depot_full(), 4);
	idle_twice();
	mag_cache_working_set_reap(cache, UINT_MAX);
	assert_int_equal(destruction.objects, 4 * ROUNDS);
	assert_int_equal(destruction.left, 0);
	assert_int_equal(destruction.transit, 4 * ROUNDS);
	assert_int_equal(cache->common.transit, 0);
}

static void
put_empties(unsigned int n)
{
	while (n-- > 0)
		mag_depot_put(&cache->first.depot.empty,
			      mag_arena_get(&cache->first.arena, ROUNDS));
}

static struct mag_magazine *
take_one(struct mag_depot_list *list)
{
	struct mag_magazine *got[2];

	assert_int_equal(mag_depot_take(&cache->first.depot, list, 1, got), 1);
	return got[0];
}

static void
use_empties(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		mag_arena_put(&cache->first.arena, take_one(&cache->first.depot.empty));
	put_empties(n);
}

TEST(test_a_reap_takes_chain_after_chain_and_what_is_needed_from_none, setup, teardown)
{
	const unsigned int all = 2 * MAG_DEPOT_CHAIN + 8, needed = 5;

	put_empties(all);
	idle_twice();
	use_empties(needed);
	mag_cache_working_set_reap(cache, UINT_MAX);
	assert_int_equal(chains, 3);
	assert_int_equal(depot_empty(), needed);
	assert_int_equal(cache->first.arena.out, needed);
	assert_int_equal(cache->reaps, 1);
}

TEST(test_a_reap_in_steps_takes_a_chain_at_each_and_counts_once, setup, teardown)
{
	put_empties(2 * MAG_DEPOT_CHAIN + 8);
	idle_twice();
	assert_true(mag_cache_working_set_reap(cache, 1));
	assert_int_equal(depot_empty(), MAG_DEPOT_CHAIN + 8);
	assert_true(mag_cache_working_set_reap(cache, 1));
	assert_int_equal(depot_empty(), 8);
	assert_false(mag_cache_working_set_reap(cache, 1));
	assert_int_equal(depot_empty(), 0);
	assert_int_equal(cache->reaps, 1);
	assert_false(mag_cache_working_set_reap(cache, 1));
	assert_int_equal(cache->reaps, 1);
}

static struct mag_magazine *snatched;

static void
snatch(void)
{
	snatched = take_one(&cache->first.depot.full);
}

TEST(test_a_reap_whose_magazines_others_took_meanwhile_holds_nothing_in_transit, setup, teardown)
{
	fill(100);
	idle_twice();
	before_chain = snatch;
	mag_cache_working_set_reap(cache, UINT_MAX);
	assert_null(before_chain);
	assert_int_equal(depot_full(), 0);
	assert_int_equal(cache->common.transit, 0);
	mag_depot_put(&cache->first.depot.full, snatched);
}

TEST(test_a_second_reap_in_an_interval_leaves_the_working_set, setup, teardown)
{
	put_empties(20);
	mag_cache_working_set_update(cache);
	use_empties(12);
	mag_cache_working_set_update(cache);
	assert_int_equal(cache_reclaim(), 0);
	assert_int_equal(depot_empty(), 12);
	assert_int_equal(cache_reclaim(), 0);
	assert_int_equal(depot_empty(), 12);
	assert_int_equal(cache->reaps, 1);
}

static unsigned int reclaimed;

static void
release(void *arg)
{
	reclaimed++;
	assert_ptr_equal(arg, &reclaimed);
}

SETUP(setup_release)
{
	reclaimed = 0;
	setup_with(CACHE_PARAMS(.release = release, .arg = &reclaimed));
}

TEST(test_reclaim_asks_the_owner_and_purges_when_memory_is_low, setup_release, teardown)
{
	fill(1);
	assert_int_equal(cache_reclaim(), 0);
	assert_int_equal(reclaimed, 1);
	assert_int_equal(cache->purges, 0);
	assert_int_equal(cache->first.slab.out, 1);
	assert_int_equal(cache_reclaim_low(), 0);
	assert_int_equal(reclaimed, 2);
	assert_int_equal(cache->purges, 1);
	assert_int_equal(cache->first.slab.out, 0);
	assert_sizes(ROUNDS);
}

TEST(test_reclaim_without_need_takes_what_two_intervals_did_not_use, setup, teardown)
{
	fill(100);
	assert_true(depot_full() > 0);
	assert_int_equal(cache_reclaim(), 0);
	assert_true(depot_full() > 0);
	idle_twice();
	assert_int_equal(cache_reclaim(), 0);
	assert_int_equal(depot_full(), 0);
	assert_int_equal(cache->reaps, 1);
}

/* By an lcore, and by a thread without an lcore id. */
TEST(test_one_lcore_gets_what_all_others_hold, setup, teardown)
{
	for (unsigned int turn = 0; turn < 2; turn++) {
		fill(60);
		fill_on_lcore(1, 60);
		fill_on_lcore(2, 60);
		fill_on_thread(60);
		assert_true(slot_holds(1) > 0);
		assert_true(slot_holds(2) > 0);
		assert_true(slot_holds(MAG_SLOT_SHARED) > 0);
		assert_int_equal(mag_cache_take_all(cache, had, COUNT, false), -ENOBUFS);
		if (turn == 0)
			take_all_run(NULL);
		else
			run_on_thread(take_all_run, NULL);
		assert_distinct(&ground, had, COUNT);
		assert_int_equal(mag_cache_in_lcores(cache), 0);
		assert_true(cache->common.steals > turn);
		assert_null(mag_cache_alloc(cache));
		free_bulk(had, COUNT);
	}
}

TEST(test_a_request_that_cannot_succeed_visits_nobody, setup, teardown)
{
	void *objects[COUNT + 1];
	uint64_t membarriers;

	fill_on_lcore(1, 60);
	membarriers = mag_bias_membarriers();
	assert_int_equal(mag_cache_take_all(cache, objects, COUNT + 1, true), -ENOBUFS);
	assert_int_equal(mag_bias_membarriers(), membarriers);
	assert_int_equal(cache->common.steals, 0);
	alloc_bulk(had, COUNT);
	membarriers = mag_bias_membarriers();
	/* Not even the lock of visitors is asked for. */
	mag_lock_wait(&cache->first.visit);
	for (unsigned int i = 0; i < 100; i++) {
		assert_int_equal(mag_cache_take_all(cache, objects, 1, true), -ENOBUFS);
		assert_int_equal(mag_cache_take_all(cache, objects, 32, true), -ENOBUFS);
		assert_int_equal(mag_cache_alloc_burst(cache, objects, 2), 0);
	}
	mag_lock_release(&cache->first.visit);
	assert_int_equal(cache->common.steal_denied, 0);
	assert_int_equal(mag_bias_membarriers(), membarriers);
	free_bulk(had, COUNT);
}

TEST(test_a_dying_pool_is_not_stolen_from, setup, teardown)
{
	fill_on_lcore(1, 60);
	cache->dying = true;
	assert_int_equal(mag_cache_take_all(cache, had, COUNT, true), -ENOBUFS);
	assert_int_equal(cache->common.steals, 0);
	cache->dying = false;
}

TEST(test_a_thief_is_denied_by_a_busy_owner_and_counts_it, setup, teardown)
{
	fill_on_lcore(1, 60);
	assert_int_equal(mag_slot_enter(slot_at(1)), 0);
	assert_int_equal(mag_cache_take_all(cache, had, COUNT, true), -ENOBUFS);
	assert_true(cache->common.steal_denied > 0);
	assert_int_equal(slot_at(1)->visitor & MAG_BIAS_AWAY, 0);
	mag_slot_leave(slot_at(1));
	assert_int_equal(mag_cache_available(cache), COUNT);
	wait_until(mag_cache_take_all(cache, had, COUNT, true) == 0);
	free_bulk(had, COUNT);
}

#define NEEDED 10
#define TAKEN 4

static void *taken[TAKEN];

/* Lcore 1 holds so many objects, the test all others. */
static void
lcore_holds(unsigned int n)
{
	alloc_bulk(rest, COUNT);
	mag_cache_free_nocache_bulk(cache, rest + COUNT - n, n);
	fill_on_lcore(1, n);
	assert_int_equal(mag_cache_in_lcores(cache), n);
	assert_int_equal(mag_cache_reachable(cache), n);
}

/* The owner was inside when the visitor announced itself, and takes some of what was counted. */
static void
owner_takes_some_and_leaves(void)
{
	at_fence = NULL;
	assert_int_equal(mag_slot_pick(slot_at(1), taken, TAKEN), TAKEN);
	MAG_COUNT(slot_at(1)->allocs, TAKEN);
	mag_slot_leave(slot_at(1));
}

TEST(test_a_thief_sweeps_again_for_what_a_sweep_did_not_bring, setup, teardown)
{
	fill_on_lcore(1, NEEDED);
	fill_on_lcore(2, NEEDED);
	alloc_bulk(rest, COUNT - 2 * NEEDED);
	assert_int_equal(mag_cache_reachable(cache), 2 * NEEDED);
	assert_int_equal(mag_cache_in_lcores(cache), 2 * NEEDED);
	assert_int_equal(mag_slot_enter(slot_at(1)), 0);
	at_fence = owner_takes_some_and_leaves;
	assert_int_equal(mag_cache_take_all(cache, had, NEEDED, true), 0);
	assert_null(at_fence);
	assert_int_equal(cache->common.steals, 2);
	assert_int_equal(slot_at(1)->visited_out, NEEDED - TAKEN);
	assert_int_equal(slot_holds(2), NEEDED - TAKEN);
	free_bulk(had, NEEDED);
	free_bulk(taken, TAKEN);
	free_bulk(rest, COUNT - 2 * NEEDED);
}

static uint32_t constructor_flags;

static int
construct(const struct mag_object_info *object __rte_unused,
	  const struct mag_object_info *mirror __rte_unused, void *arg __rte_unused,
	  unsigned int flags)
{
	constructor_flags = flags;
	return 0;
}

SETUP(setup_constructor)
{
	setup_with(CACHE_PARAMS(.flags = MAG_CACHE_DYNAMIC, .constructor = construct));
}

/* During the sweep the owner takes one object, and another one is freed to the slabs. */
static void
one_goes_to_the_slabs(void)
{
	at_fence = NULL;
	assert_int_equal(mag_slot_pick(slot_at(1), taken, 1), 1);
	mag_cache_free_nocache(cache, rest[0]);
	constructor_flags = UINT32_MAX;
}

TEST(test_a_constructor_may_not_wait_where_a_thief_holds_visit_locks, setup_constructor, teardown)
{
	lcore_holds(NEEDED);
	at_fence = one_goes_to_the_slabs;
	assert_int_equal(alloc_waited(cache, had, NEEDED, MAG_WAIT_DEFAULT), NEEDED);
	assert_null(at_fence);
	assert_int_equal(constructor_flags, 0);
	free_bulk(had, NEEDED);
	free_bulk(taken, 1);
	free_bulk(rest + 1, COUNT - NEEDED - 1);
}

/*
 * An owner that is inside all the time, and takes and gives one object at each look: no sweep
 * proves that another one would bring nothing.
 */

#define LOOKS_TOO_MANY 2000

static unsigned int owner_looks;

static void
owner_takes_and_gives(void)
{
	looks_left = 1;
	if (++owner_looks == LOOKS_TOO_MANY)
		mag_slot_leave(slot_at(1));
	else if (owner_looks % 2 == 1)
		assert_int_equal(mag_slot_pick(slot_at(1), taken, 1), 1);
	else
		mag_slot_give(slot_at(1), &cache->first.depot, taken, 1);
}

TEST(test_a_thief_gives_up_when_its_time_is_over, setup, teardown)
{
	int ret;

	lcore_holds(NEEDED);
	assert_int_equal(mag_slot_enter(slot_at(1)), 0);
	look = owner_takes_and_gives;
	looks_left = 1;
	ret = mag_cache_take_all(cache, had, 1, true);
	look = NULL;
	assert_int_equal(ret, -ENOBUFS);
	assert_true(owner_looks < LOOKS_TOO_MANY);
	assert_true(cache->common.steals > 0);
	assert_true(cache->common.steal_denied > 0);
	if (owner_looks % 2 == 1)
		mag_slot_give(slot_at(1), &cache->first.depot, taken, 1);
	mag_slot_leave(slot_at(1));
	free_bulk(rest, COUNT - NEEDED);
}

/*
 * An owner that hides all objects but one from each sweep, and has them again when the sum is
 * taken: each sweep brings something, and none brings enough.
 */

static void *hidden[ROUNDS];
static unsigned int hidden_count;

static void
owner_hides_all_but_one(void)
{
	at_fence = owner_hides_all_but_one;
	hidden_count = mag_slot_pick(slot_at(1), hidden, slot_holds(1) - 1);
	let_pass(2);
}

static void
owner_shows_them_again(void)
{
	looks_left = 1;
	mag_slot_give(slot_at(1), &cache->first.depot, hidden, hidden_count);
	hidden_count = 0;
}

TEST(test_a_thief_gives_up_when_its_time_is_over_though_each_sweep_brings_something, setup,
     teardown)
{
	int ret;

	lcore_holds(ROUNDS);
	at_fence = owner_hides_all_but_one;
	look = owner_shows_them_again;
	looks_left = 1;
	ret = mag_cache_take_all(cache, had, ROUNDS, true);
	at_fence = NULL;
	look = NULL;
	assert_int_equal(ret, -ENOBUFS);
	assert_int_equal(cache->common.steals, 2);
	assert_int_equal(cache->common.steal_denied, 1);
	owner_shows_them_again();
	free_bulk(rest, COUNT - ROUNDS);
}

TEST(test_a_sweep_in_vain_is_not_repeated_while_its_owner_is_inside, setup, teardown)
{
	uint64_t steals;

	lcore_holds(2 * ROUNDS);
	assert_int_equal(mag_slot_enter(slot_at(1)), 0);
	assert_int_equal(mag_cache_take_all(cache, had, 1, true), -ENOBUFS);
	steals = cache->common.steals;
	assert_true(steals > 0);
	/* However long this test is off the CPU. */
	cache->first.steal_rest = UINT64_MAX;
	assert_int_equal(mag_cache_take_all(cache, had, 1, true), -ENOBUFS);
	assert_int_equal(cache->common.steals, steals);
	mag_slot_leave(slot_at(1));
	assert_int_equal(mag_cache_take_all(cache, had, 1, true), 0);
	assert_int_equal(cache->common.steals, steals + 1);
	free_bulk(had, 1);
	free_bulk(rest, COUNT - 2 * ROUNDS);
}

TEST(test_a_thief_visits_no_more_slots_than_it_needs, setup, teardown)
{
	fill_on_lcore(1, ROUNDS);
	fill_on_lcore(2, ROUNDS);
	alloc_bulk(rest, COUNT - 2 * ROUNDS);
	assert_int_equal(mag_slot_enter(slot_at(2)), 0);
	assert_int_equal(mag_cache_take_all(cache, had, ROUNDS, true), 0);
	assert_int_equal(cache->common.steals, 1);
	assert_int_equal(cache->common.steal_denied, 0);
	mag_slot_leave(slot_at(2));
	free_bulk(had, ROUNDS);
	free_bulk(rest, COUNT - 2 * ROUNDS);
}

/* A busy shared slot, or another visitor: all objects but those of the shared slot are out. */
TEST(test_a_thief_does_not_wait_for_a_lock, setup, teardown)
{
	struct mag_lock *locks[] = {&cache->first.shared, &cache->first.visit};
	unsigned int most = COUNT - ROUNDS;

	for (unsigned int i = 0; i < RTE_DIM(locks); i++) {
		uint64_t denied = cache->common.steal_denied;

		fill_on_thread(ROUNDS);
		assert_int_equal(slot_holds(MAG_SLOT_SHARED), ROUNDS);
		assert_int_equal(mag_cache_take_all(cache, had, most, false), 0);
		mag_lock_wait(locks[i]);
		assert_int_equal(mag_cache_take_all(cache, had + most, 1, true), -ENOBUFS);
		assert_true(cache->common.steal_denied > denied);
		assert_int_not_equal(locks[i]->holder, 0);
		mag_lock_release(locks[i]);
		assert_int_equal(mag_cache_take_all(cache, had + most, 1, true), 0);
		free_bulk(had, most + 1);
		assert_int_equal(cache_purge(), 0);
		cache_enable();
	}
}

static void
free_spare(void)
{
	look = NULL;
	mag_cache_give_past(cache, rest, 1);
}

TEST(test_a_sum_is_taken_again_while_somebody_is_in_the_middle, setup, teardown)
{
	alloc_bulk(rest, COUNT);
	assert_int_equal(mag_slot_enter(slot_at(1)), 0);
	look = free_spare;
	looks_left = 3;
	assert_int_equal(mag_cache_take_all(cache, had, 1, true), 0);
	mag_slot_leave(slot_at(1));
	assert_null(look);
	assert_ptr_equal(had[0], rest[0]);
	free_bulk(rest, COUNT);
}

static void
slot_to_depot(void)
{
	look = NULL;
	run_on_lcore(1, flush_run, NULL);
	assert_int_equal(depot_full(), 2);
}

static void
depot_to_slot(void)
{
	fill_on_lcore(1, 1);
	fill_on_lcore(1, ROUNDS + 1);
	assert_int_equal(depot_full(), 0);
}

/* To the depot before the slots are read, and back before the depot is: and nobody is busy then. */
TEST(test_a_sum_is_taken_again_when_something_has_moved_meanwhile, setup, teardown)
{
	lcore_holds(2 * ROUNDS);
	look = slot_to_depot;
	looks_left = 2;
	during_the_sum = depot_to_slot;
	sums_left = 2;
	assert_int_equal(mag_cache_take_all(cache, had, 2 * ROUNDS, true), 0);
	assert_null(look);
	assert_null(during_the_sum);
	free_bulk(had, 2 * ROUNDS);
	free_bulk(rest, COUNT - 2 * ROUNDS);
}

TEST(test_objects_on_their_way_can_be_had, setup, teardown)
{
	assert_int_equal(mag_cache_reachable(cache), COUNT);
	fill(COUNT);
	assert_int_equal(mag_cache_reachable(cache), COUNT);
	alloc_bulk(had, COUNT);
	assert_int_equal(mag_cache_reachable(cache), 0);
	mag_transit_begin(&cache->common, 7);
	assert_int_equal(mag_cache_reachable(cache), 7);
	mag_transit_end(&cache->common, 7);
	free_bulk(had, COUNT);
}

TEST(test_a_refusal_is_counted_only_while_somebody_is_busy, setup, teardown)
{
	alloc_bulk(rest, COUNT);
	mag_slot_enter(slot_at(1));
	assert_int_equal(mag_cache_take_all(cache, had, 1, true), -ENOBUFS);
	assert_int_equal(cache->common.steal_denied, 1);
	mag_slot_leave(slot_at(1));
	assert_int_equal(mag_cache_take_all(cache, had, 1, true), -ENOBUFS);
	assert_int_equal(cache->common.steal_denied, 1);
	free_bulk(rest, COUNT);
}

/* A magazine that the owner of slot 1 is about to load. */
static struct mag_detached carried;

static void
carried_arrives(void)
{
	slot_at(1)->loaded = carried.magazine;
	slot_at(1)->capacity = carried.magazine->rounds;
	slot_at(1)->rounds = carried.rounds;
	mag_slot_leave(slot_at(1));
}

TEST(test_objects_that_arrive_behind_the_sum_are_not_missed, setup, teardown)
{
	lcore_holds(NEEDED);
	mag_slot_enter(slot_at(1));
	carried = mag_slot_detach_loaded(slot_at(1));
	during_the_sum = carried_arrives;
	sums_left = 2;
	assert_int_equal(mag_cache_take_all(cache, had, NEEDED, true), 0);
	assert_null(during_the_sum);
	free_bulk(had, NEEDED);
	free_bulk(rest, COUNT - NEEDED);
}

TEST(test_a_thief_leaves_full_magazines_to_the_depot, setup, teardown)
{
	lcore_holds(ROUNDS + 10);
	assert_int_equal(slot_at(1)->rounds, 10);
	assert_int_equal(slot_at(1)->previous_rounds, ROUNDS);
	assert_int_equal(mag_cache_take_all(cache, had, ROUNDS + 10, true), 0);
	assert_true(own_slot()->exchanges > 0);
	free_bulk(had, ROUNDS + 10);
	free_bulk(rest, COUNT - ROUNDS - 10);
}

TEST(test_fences_do_where_membarriers_are_forbidden, setup_fence, teardown)
{
	uint64_t membarriers = mag_bias_membarriers();

	assert_int_equal(cache->common.bias, MAG_BIAS_FENCE);
	assert_int_not_equal(slot_at(0)->visitor & MAG_BIAS_FENCE_BIT, 0);
	fill_on_lcore(1, 60);
	fill_on_lcore(2, 60);
	fill(60);
	assert_true(mag_slot_objects(own_slot()) > 0);
	alloc_bulk(had, COUNT);
	free_bulk(had, COUNT);
	assert_int_equal(cache_resize(), 0);
	assert_int_equal(mag_bias_membarriers(), membarriers);
}

/*
 * Membarriers that fail. No owner is inside, but one might be: a visitor cannot know, and stays
 * out.
 */

SETUP(setup_failing)
{
	setup(state);
	if (cache->common.bias == MAG_BIAS_MEMBARRIER)
		fence_error = EPERM;
}

TEST(test_a_sweep_whose_membarrier_failed_touches_no_slot_and_asks, setup_failing, teardown)
{
	static const struct call rows[] = {
		{.name = "steal", .call = steal_all, .ret = 0},
		{.name = "purge", .call = cache_purge, .ret = -EAGAIN},
		{.name = "resize", .call = cache_resize, .ret = -EAGAIN},
		{.name = "reap", .call = cache_reap, .ret = 0},
		{.name = "reap with purge", .call = cache_reap_all, .ret = -EAGAIN},
		{.name = "reclaim", .call = cache_reclaim_low, .ret = -EAGAIN},
		{.name = "gather", .call = cache_gather, .ret = -EAGAIN},
	};
	struct mag_slot *slot = slot_at(1);
	unsigned int count, previous;

	skip_without_membarrier();
	for (unsigned int i = 0; i < RTE_DIM(rows); i++) {
		printf("# %s\n", rows[i].name);
		mag_bias_forbid_membarrier(false);
		fill_on_lcore(1, 40);
		count = slot_holds(1);
		previous = slot->previous_rounds;
		assert_true(previous > 0);
		word_at_fence = 0;
		log_begin();
		assert_int_equal(rows[i].call(), rows[i].ret);
		assert_int_equal(count_lines(log_end()), 1);
		assert_int_not_equal(word_at_fence & MAG_BIAS_VISIT, 0);
		assert_int_equal(slot_holds(1), count);
		assert_int_equal(slot->previous_rounds, previous);
		assert_int_equal(slot->visited_out, 0);
		assert_int_equal(slot->visitor, MAG_BIAS_FENCE_BIT | MAG_BIAS_ASKED);
		assert_sizes(ROUNDS);
		/* From then on nobody tries, but asks. */
		word_at_fence = 0;
		log_begin();
		assert_int_equal(rows[i].call(), rows[i].ret);
		assert_int_equal(count_lines(log_end()), 0);
		assert_int_equal(word_at_fence & MAG_BIAS_VISIT, 0);
		assert_int_equal(slot_holds(1), count);
		fill_on_lcore(1, 40);
		assert_int_equal(slot->visitor, MAG_BIAS_FENCE_BIT);
		slot->visitor = slot_at(0)->visitor = 0;
		slot->visitor_put = slot_at(0)->visitor_put = 0;
		slot->fenced = slot_at(0)->fenced = 0;
	}
}

TEST(test_an_owner_that_acknowledged_fences_is_visited_again, setup_failing, teardown)
{
	uint64_t sent = mag_bias_membarriers();
	unsigned int n;

	skip_without_membarrier();
	fill_on_lcore(1, 40);
	fill_on_lcore(2, 40);
	steal_all();
	assert_int_equal(slot_at(1)->fenced, 0);
	/* Only the first comes by. */
	fill_on_lcore(1, 40);
	assert_int_equal(slot_at(1)->fenced, 1);
	assert_int_equal(slot_at(2)->fenced, 0);
	assert_false(mag_cache_may_visit(cache));
	n = slot_holds(2);
	assert_true(slot_holds(1) > 0);
	assert_int_equal(mag_cache_alloc_burst(cache, had, COUNT), COUNT - n);
	assert_int_equal(slot_holds(1), 0);
	assert_int_equal(slot_holds(2), n);
	free_bulk(had, COUNT - n);
	/* A purge wants all of them. */
	assert_int_equal(cache_purge(), -EAGAIN);
	assert_sizes(ROUNDS);
	fill_on_lcore(2, 1);
	assert_true(mag_cache_may_visit(cache));
	assert_int_equal(cache_purge(), 0);
	assert_int_equal(mag_cache_in_lcores(cache), 0);
	cache_enable();
	fill_on_lcore(2, 1);
	assert_int_equal(mag_cache_take_all(cache, had, COUNT, true), 0);
	free_bulk(had, COUNT);
	assert_int_equal(cache_resize(), 0);
	assert_int_equal(mag_bias_membarriers(), sent);
}

/* Like one that has just claimed slot 1, and has read its word before. */
static void
owner_forgets(void)
{
	slot_at(1)->fenced = 0;
	at_fence = NULL;
}

TEST(test_an_owner_that_comes_during_a_sweep_is_not_visited_before_it_fences, setup_failing,
     teardown)
{
	unsigned int count;

	skip_without_membarrier();
	assert_int_equal(cache_purge(), -EAGAIN);
	fill_on_lcore(1, 40);
	fill_on_lcore(2, 40);
	fill(40);
	count = slot_holds(1);
	at_fence = owner_forgets;
	assert_int_equal(cache_purge(), -EAGAIN);
	assert_null(at_fence);
	assert_int_equal(slot_holds(1), count);
	assert_true(slot_holds(2) > 0);
	assert_sizes(ROUNDS);
	slot_at(1)->fenced = 1;
	at_fence = owner_forgets;
	assert_int_equal(cache_reap(), 0);
	assert_null(at_fence);
	assert_int_equal(slot_holds(1), count);
	assert_int_equal(slot_at(2)->previous_rounds, 0);
	assert_int_equal(slot_at(1)->visitor, MAG_BIAS_FENCE_BIT | MAG_BIAS_ASKED);
}

TEST(test_an_owner_that_comes_when_membarriers_failed_fences_from_the_first, setup_failing,
     teardown)
{
	skip_without_membarrier();
	fill(40);
	fill_on_lcore(1, 40);
	fill_on_lcore(2, 40);
	steal_all();
	fill_on_lcore(1, 40);
	fill_on_lcore(2, 40);
	guest_come(40);
	assert_true(mag_cache_may_visit(cache));
	assert_int_equal(cache_purge(), 0);
	cache_enable();
	guest_go();
	alloc_bulk(had, COUNT);
	free_bulk(had, COUNT);
}

TEST(test_the_magazine_size_changes_when_all_owners_fence, setup_failing, teardown)
{
	skip_without_membarrier();
	fill_on_lcore(1, 40);
	fill_on_lcore(2, 40);
	steal_all();
	fill_on_lcore(1, 40);
	atomic_fetch_add(&cache->first.depot.full.contention, 100);
	mag_cache_update(cache);
	assert_int_equal(cache->common.type, ROUNDS);
	/* Nobody is asked for a change that cannot be. */
	assert_int_equal(slot_at(1)->visitor, MAG_BIAS_FENCE_BIT);
	fill_on_lcore(2, 40);
	atomic_fetch_add(&cache->first.depot.full.contention, 100);
	mag_cache_update(cache);
	assert_int_equal(cache->common.type, 30);
}

TEST(test_a_cache_made_when_membarriers_failed_has_fences, setup_failing, teardown)
{
	struct ground old_ground = ground;
	struct mag_cache *old = cache;

	skip_without_membarrier();
	assert_int_equal(cache_purge(), -EAGAIN);
	setup(NULL);
	assert_int_equal(cache->common.bias, MAG_BIAS_FENCE);
	assert_int_equal(cache_purge(), 0);
	cache_enable();
	fixture_drop();
	ground = old_ground;
	cache = old;
}

/* Nobody uses it: no owner needs a fence. */
TEST(test_a_cache_is_destroyed_though_membarriers_fail, setup_failing, teardown)
{
	skip_without_membarrier();
	/* The first time the sweep finds out, then it is known. */
	for (unsigned int times = 0; times < 2; times++) {
		fill_on_lcore(1, 40);
		fixture_drop();
		assert_true(mag_bias_has_given_up());
		mag_bias_forbid_membarrier(false);
		setup(NULL);
		if (times == 0)
			assert_int_equal(cache_purge(), -EAGAIN);
	}
}

TEST(test_a_visited_owner_uses_the_shared_slot_and_during_a_purge_the_slabs, setup, teardown)
{
	void *object = mag_cache_alloc(cache);

	mag_bias_announce(own_slot(), MAG_BIAS_VISIT);
	mag_cache_free(cache, object);
	assert_int_equal(slot_holds(MAG_SLOT_SHARED), 1);
	assert_ptr_equal(mag_cache_alloc(cache), object);
	mag_bias_announce(own_slot(), MAG_BIAS_PURGE);
	mag_cache_free(cache, object);
	assert_all_in_slabs();
	assert_non_null(object = mag_cache_alloc(cache));
	mag_bias_dismiss(own_slot(), MAG_BIAS_VISIT | MAG_BIAS_PURGE);
	mag_cache_free(cache, object);
	assert_int_equal(mag_slot_objects(own_slot()), 1);
}

/* A visitor has this thread's slot, and somebody the shared one. */
static void
close_slots(void)
{
	mag_lock_wait(&cache->first.shared);
	mag_bias_announce(own_slot(), MAG_BIAS_VISIT);
}

static void
open_slots(void)
{
	mag_bias_dismiss(own_slot(), MAG_BIAS_VISIT);
	mag_lock_release(&cache->first.shared);
}

TEST(test_a_busy_shared_slot_is_passed_by, setup, teardown)
{
	struct mag_request request = {0};

	close_slots();
	assert_int_equal(mag_cache_take(cache, had, 5, &request), 5);
	assert_false(request.refused);
	mag_request_end(&cache->common, &request);
	free_bulk(had, 5);
	assert_int_equal(cache->first.slab.out, 0);
	open_slots();
}

TEST(test_an_owner_that_was_turned_away_has_what_is_in_the_depot, setup, teardown)
{
	struct mag_request request = {0};

	fill(COUNT);
	assert_int_equal(cache->first.slab.out, COUNT);
	close_slots();
	assert_int_equal(mag_cache_take(cache, had, 5, &request), 5);
	mag_request_end(&cache->common, &request);
	assert_int_equal(cache->first.slab.out, COUNT - (ROUNDS - 5));
	assert_int_equal(mag_cache_available(cache), COUNT - 5);
	assert_int_equal(mag_cache_take(cache, had + 5, ROUNDS + 1, &request), ROUNDS + 1);
	assert_distinct(&ground, had, ROUNDS + 6);
	assert_false(request.refused);
	mag_request_end(&cache->common, &request);
	open_slots();
	free_bulk(had, ROUNDS + 6);
}

static int
take_one_object(void)
{
	void *object;

	return mag_cache_take_all(cache, &object, 1, true);
}

/* The test has so many; one request holds n more and wants one besides; another is refused. */
static void
check_request_holds(unsigned int have, unsigned int n)
{
	struct mag_request request = {0};
	uint64_t denied = MAG_STAT(cache->common.steal_denied);

	assert_int_equal(mag_cache_take(cache, rest, n + 1, &request), n);
	assert_int_equal(MAG_STAT(cache->common.transit), n);
	assert_int_equal(mag_cache_reachable(cache), n);
	assert_int_equal(mag_cache_available(cache), 0);
	assert_int_equal(call_elsewhere(take_one_object), -ENOBUFS);
	assert_true(MAG_STAT(cache->common.steal_denied) > denied);
	mag_request_end(&cache->common, &request);
	assert_int_equal(MAG_STAT(cache->common.transit), 0);
	assert_int_equal(mag_cache_available(cache), 0);
	memcpy(had + have, rest, n * sizeof(void *));
}

TEST(test_objects_that_a_request_holds_are_in_transit, setup, teardown)
{
	unsigned int have = COUNT - 5;

	alloc_bulk(had, COUNT);
	free_bulk(had + have, 5);
	assert_int_equal(mag_slot_objects(own_slot()), 5);
	check_request_holds(have, 5);
	have = COUNT - 7;
	mag_cache_give_past(cache, had + have, 7);
	check_request_holds(have, 7);
	have = COUNT - 4 * ROUNDS;
	free_bulk(had + have, 4 * ROUNDS);
	assert_int_equal(depot_full(), 2);
	assert_int_equal(mag_slot_objects(own_slot()), 2 * ROUNDS);
	check_request_holds(have, 4 * ROUNDS);
	free_bulk(had + have, 4 * ROUNDS);
	/* The depot past the slot. */
	alloc_bulk(had + have, 2 * ROUNDS);
	have += 2 * ROUNDS;
	assert_int_equal(mag_slot_objects(own_slot()), 0);
	close_slots();
	check_request_holds(have, 2 * ROUNDS);
	open_slots();
	free_bulk(had, COUNT);
}

static unsigned int picked;

static void
owner_takes(void)
{
	picked = mag_slot_pick(slot_at(1), had, ROUNDS);
	MAG_COUNT(slot_at(1)->allocs, picked);
	at_fence = NULL;
}

TEST(test_a_thief_does_not_take_what_it_holds_for_what_others_hold, setup, teardown)
{
	lcore_holds(NEEDED);
	free_bulk(rest, COUNT - NEEDED);
	at_fence = owner_takes;
	assert_int_equal(mag_cache_take_all(cache, rest, COUNT, true), -ENOBUFS);
	assert_null(at_fence);
	assert_int_equal(picked, NEEDED);
	assert_int_equal(cache->common.steals, 1);
	assert_int_equal(cache->common.steal_denied, 0);
	free_bulk(had, NEEDED);
}

static void
assert_depot_is_of_one_type(void)
{
	struct mag_magazine *got[2];

	while (mag_depot_take(&cache->first.depot, &cache->first.depot.full, 1, got) != 0) {
		assert_int_equal(got[0]->rounds, cache->common.type);
		mag_home_destroy_magazine(&cache->first,
					  (struct mag_detached){got[0], got[0]->rounds});
	}
	while (mag_depot_take(&cache->first.depot, &cache->first.depot.empty, 1, got) != 0) {
		assert_int_equal(got[0]->rounds, cache->common.type);
		mag_arena_put(&cache->first.arena, got[0]);
	}
}

static void
grow_meanwhile(void)
{
	assert_int_equal(cache_resize(), 0);
}

static void
purge_meanwhile(void)
{
	assert_int_equal(cache_purge(), 0);
}

static void
announce_meanwhile(void)
{
	mag_bias_announce(own_slot(), MAG_BIAS_VISIT | MAG_BIAS_PURGE);
}

TEST(test_a_magazine_that_no_longer_fits_its_slot_is_given_back)
{
	static const struct {
		const char *name;
		void (*meanwhile)(void);
		uint32_t type, rounds;
	} rows[] = {
		{"of a size no longer in force", grow_meanwhile, 30, 20},
		{"for a layer that went off", purge_meanwhile, ROUNDS, 0},
		{"for a slot that is being purged", announce_meanwhile, ROUNDS, 0},
	};

	for (unsigned int i = 0; i < RTE_DIM(rows); i++) {
		printf("# %s\n", rows[i].name);
		setup(NULL);
		alloc_bulk(had, 20);
		meanwhile = rows[i].meanwhile;
		free_bulk(had, 20);
		assert_null(meanwhile);
		assert_int_equal(cache->common.type, rows[i].type);
		assert_int_equal(own_slot()->capacity, rows[i].rounds != 0 ? rows[i].type : 0);
		assert_int_equal(own_slot()->rounds, rows[i].rounds);
		assert_int_equal(cache->first.slab.out, rows[i].rounds);
		assert_int_equal(cache->first.arena.out, rows[i].rounds != 0);
		assert_depot_is_of_one_type();
		mag_bias_dismiss(own_slot(), MAG_BIAS_VISIT | MAG_BIAS_PURGE);
		cache_enable();
		teardown(NULL);
	}
}

static void
free_meanwhile(void)
{
	fill(ROUNDS + 5);
}

TEST(test_a_free_starts_over_when_it_has_a_magazine, setup, teardown)
{
	alloc_bulk(had, 20);
	meanwhile = free_meanwhile;
	free_bulk(had, 20);
	assert_null(meanwhile);
	assert_int_equal(mag_cache_in_lcores(cache) + ROUNDS * depot_full(), 20 + ROUNDS + 5);
	assert_int_equal(mag_cache_available(cache), COUNT);
	assert_depot_is_of_one_type();
}

TEST(test_a_flush_brings_full_magazines_to_the_depot_before_it_lets_the_slot_go, setup, teardown)
{
	fill(2 * ROUNDS + 5);
	assert_int_equal(own_slot()->rounds, 5);
	assert_int_equal(depot_full(), 1);
	atomic_store(&not_held, 0);
	mag_lcore_flush();
	assert_int_equal(depot_full(), 2);
	assert_int_equal(not_held, 0);
	assert_int_equal(cache->first.slab.out, 2 * ROUNDS);
	assert_int_equal(mag_cache_in_lcores(cache), 0);
}

/* Everybody allocates and frees while one thread visits all the time. */

static void
disturb_by_resizing(unsigned int turn)
{
	mag_cache_resize(cache, turn % 2 == 0 ? 30 : ROUNDS, true);
}

static void
disturb_by_purging(unsigned int turn)
{
	if (cache_purge() == 0)
		cache_enable();
	else if (turn % 2 == 0)
		sched_yield();
}

static void
disturb_by_stealing(void)
{
	if (mag_cache_take_all(cache, had, COUNT / 2, true) == 0)
		free_bulk(had, COUNT / 2);
}

static unsigned int partial;

static void
inspect_slot(const struct mag_slot *slot)
{
	uint32_t rounds = MAG_STAT(slot->previous_rounds);

	if (slot->previous == NULL ? rounds != 0 : rounds != 0 && rounds != slot->previous->rounds)
		partial++;
	if (slot->previous != NULL && slot->previous->rounds != slot->size)
		partial++;
	if (MAG_STAT(slot->capacity) != (slot->loaded != NULL ? slot->loaded->rounds : 0))
		partial++;
}

/* As a visitor to everybody: previous is full, empty or absent, and of the type in force. */
static void
inspect(void)
{
	mag_lock_wait(&cache->first.visit);
	for (unsigned int i = 0; i < MAG_SLOT_SHARED; i++)
		mag_bias_announce(slot_at(i), MAG_BIAS_VISIT);
	mag_bias_fence(cache->common.bias, mag_thread_is_any_foreign);
	mag_lock_wait(&cache->first.shared);
	for (unsigned int i = 0; i < MAG_SLOTS; i++)
		if (i == MAG_SLOT_SHARED || mag_bias_granted(slot_at(i), 0))
			inspect_slot(slot_at(i));
	mag_lock_release(&cache->first.shared);
	for (unsigned int i = 0; i < MAG_SLOT_SHARED; i++)
		mag_bias_dismiss(slot_at(i), MAG_BIAS_VISIT);
	mag_lock_release(&cache->first.visit);
}

static void
disturb_in_every_way(unsigned int turn)
{
	switch (turn % 6) {
	case 0:
		disturb_by_purging(turn);
		break;
	case 1:
		cache_reap();
		break;
	case 2:
		disturb_by_resizing(turn / 6);
		break;
	case 3:
		disturb_by_stealing();
		break;
	case 4:
		mag_lcore_flush();
		break;
	default:
		mag_cache_reclaim(cache, turn % 4 == 1);
	}
	inspect();
}

/*
 * Until it came to each kind of disturbance, too: owners that are preempted may deny all for a
 * while.
 */
TEST(test_nobody_notices_what_visitors_do_and_previous_is_never_partial, setup, teardown)
{
	uint64_t end = wait_deadline();

	partial = 0;
	crowd_begin(2, 48);
	for (unsigned int i = 0;
	     i < 400 || crowd_turns() < 6000 ||
	     ((cache->reaps == 0 || cache->purges == 0 || cache->resizes == 0) &&
	      !wait_is_over(end));
	     i++)
		disturb_in_every_way(i);
	crowd_end();
	assert_true(cache->reaps > 0 && cache->purges > 0 && cache->resizes > 0);
	assert_int_equal(partial, 0);
	assert_depot_is_of_one_type();
	assert_int_equal(mag_cache_available(cache), COUNT);
}

TEST_PROGRAM(3)
