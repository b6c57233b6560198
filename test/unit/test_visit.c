/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"
#include "mag_maint.h"
#include "mag_stats.h"
#include "visits/perimeter.h"
#include "control/pool.h"
#include "visits/purge.h"
#include "visits/steal.h"
#include "visits/sweep.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cache/cache.h"
#include "ground.h"
#include "../counts.h"

#define BLOCK 16
#define COUNT (16 * BLOCK)
#define SIZE 256
#define ROUNDS 14

static struct ground ground;
static struct mag_cache *cache;
static _Atomic uint32_t not_held; /* magazines put into the depot by a thread without its slot */
static unsigned int chains;       /* that reaps have taken */
static bool chain_is_bare;        /* one was not in transit, or the working set not locked */
static int fence_error;           /* what a membarrier fails with */
static _Atomic uint32_t mixed; /* magazines put into the depot that are not of the type in force */

static uint32_t constructor_flags;

static int
construct(const struct mag_object_info *object __rte_unused,
	  const struct mag_object_info *mirror __rte_unused, void *arg __rte_unused,
	  unsigned int flags)
{
	constructor_flags = flags;
	return 0;
}

static int
setup_constructed(unsigned int flags, mag_constructor constructor)
{
	struct mag_cache_params params = {.size = sizeof(params),
					  .name = "things",
					  .object_size = SIZE,
					  .constructor = constructor,
					  .node = -1};

	ground = ground_make(COUNT, SIZE, BLOCK, 0);
	params.region = ground.region;
	params.flags = flags;
	cache = mag_cache_create(&params);
	assert_non_null(cache);
	assert_int_equal(cache->common.type, ROUNDS);
	atomic_store(&mixed, 0);
	chains = 0;
	chain_is_bare = false;
	return 0;
}

static int
setup_flags(unsigned int flags)
{
	return setup_constructed(flags, NULL);
}

static int
setup_constructor(void **state __rte_unused)
{
	return setup_constructed(MAG_CACHE_DYNAMIC, construct);
}

static int
setup(void **state __rte_unused)
{
	return setup_flags(MAG_CACHE_DYNAMIC);
}

static int
setup_reclaim(void **state __rte_unused)
{
	return setup_flags(MAG_CACHE_REAP_ALL);
}

static int
setup_fence(void **state __rte_unused)
{
	mag_bias_forbid_membarrier(true);
	return setup_flags(MAG_CACHE_DYNAMIC);
}

static int
teardown(void **state __rte_unused)
{
	assert_int_equal(mixed, 0);
	assert_false(chain_is_bare);
	assert_int_equal(cache->common.transit, 0);
	assert_int_equal(mag_cache_available(cache), COUNT);
	assert_int_equal(mag_cache_destroy(cache), 0);
	assert_int_equal(ground.region->part[0].objects_free, COUNT);
	ground_drop(&ground);
	mag_bias_forbid_membarrier(false);
	fence_error = 0;
	return 0;
}

/* Stands in front of the library's own, to do something while a free gets a magazine. */
static _Thread_local void (*meanwhile)(void);

struct mag_magazine *
mag_arena_get(struct mag_arena *arena, uint32_t rounds)
{
	/* clang-format off */
	struct mag_magazine *(*get)(struct mag_arena *arena, uint32_t rounds);
	/* clang-format on */
	void (*hook)(void) = meanwhile;
	struct mag_magazine *magazine;

	get = (__typeof__(get))(uintptr_t)dlsym(RTLD_NEXT, "mag_arena_get");
	magazine = get(arena, rounds);
	meanwhile = NULL;
	if (hook != NULL)
		hook();
	return magazine;
}

/* Before the library's own too: no magazine comes to the depot but one of the type in force. */
void
mag_depot_put(struct mag_depot *depot, struct mag_depot_list *list, struct mag_magazine *magazine)
{
	/* clang-format off */
	static void (*_Atomic put)(struct mag_depot *depot, struct mag_depot_list *list,
				   struct mag_magazine *magazine);
	/* clang-format on */

	if (put == NULL)
		put = (__typeof__(&mag_depot_put))(uintptr_t)dlsym(RTLD_NEXT, "mag_depot_put");
	if (depot == &cache->first.depot && magazine->rounds != MAG_STAT(cache->common.type))
		atomic_fetch_add(&mixed, 1);
	if (depot == &cache->first.depot && MAG_STAT(mag_slot_own(cache->first.slot)->busy) == 0)
		atomic_fetch_add(&not_held, 1);
	put(depot, list, magazine);
}

/*
 * And this one: what a reap takes is in transit, and the working set is locked; and to do something
 * before.
 */
static _Thread_local void (*before_chain)(void);

unsigned int
mag_depot_reap(struct mag_depot *depot, struct mag_depot_list *list, unsigned int want,
	       struct mag_magazine *got[MAG_DEPOT_CHAIN])
{
	/* clang-format off */
	static unsigned int (*_Atomic reap)(struct mag_depot *depot, struct mag_depot_list *list,
					    unsigned int want, struct mag_magazine **got);
	/* clang-format on */

	if (reap == NULL)
		reap = (__typeof__(&mag_depot_reap))(uintptr_t)dlsym(RTLD_NEXT, "mag_depot_reap");
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
	return reap(depot, list, want, got);
}

/* And this one, to do something when a sum is looked at for the nth time. */
static _Thread_local void (*look)(void);
static _Thread_local unsigned int looks_left;

struct mag_depot_head
mag_depot_head(const struct mag_depot_list *list)
{
	/* clang-format off */
	static struct mag_depot_head (*_Atomic head)(const struct mag_depot_list *list);
	/* clang-format on */

	if (head == NULL)
		head = (__typeof__(&mag_depot_head))(uintptr_t)dlsym(RTLD_NEXT, "mag_depot_head");
	if (look != NULL && --looks_left == 0)
		look();
	return head(list);
}

/* And this one, to see what owners see when the fence is over, and to do something before. */
static uint32_t word_at_fence;
static _Thread_local void (*at_fence)(void);

int
mag_bias_fence(enum mag_bias_mode mode)
{
	/* clang-format off */
	static int (*_Atomic fence)(enum mag_bias_mode mode);
	/* clang-format on */

	if (fence == NULL)
		fence = (__typeof__(&mag_bias_fence))(uintptr_t)dlsym(RTLD_NEXT, "mag_bias_fence");
	word_at_fence = MAG_STAT(cache->first.slot[1].visitor) & MAG_BIAS_AWAY;
	if (at_fence != NULL)
		at_fence();
	if (fence_error != 0 && mode == MAG_BIAS_MEMBARRIER)
		return -fence_error;
	return fence(mode);
}

/*
 * The same, to do something while the sum of what could be had is taken, after the slots. Before,
 * an allocation looks once whether the slabs have anything.
 */
static _Thread_local void (*during_the_sum)(void);
static _Thread_local unsigned int sums_left;

uint64_t
mag_slab_available(const struct mag_slab_layer *layer)
{
	/* clang-format off */
	uint64_t (*available)(const struct mag_slab_layer *layer);
	/* clang-format on */
	void (*hook)(void) = during_the_sum != NULL && --sums_left == 0 ? during_the_sum : NULL;

	available = (__typeof__(available))(uintptr_t)dlsym(RTLD_NEXT, "mag_slab_available");
	if (hook != NULL) {
		during_the_sum = NULL;
		hook();
	}
	return available(layer);
}

struct share {
	void *objects[COUNT];
	unsigned int n;
};

static void
take_run(void *arg)
{
	struct share *share = arg;

	share->n = mag_cache_alloc_burst(cache, share->objects, share->n);
}

static void
give_run(void *arg)
{
	struct share *share = arg;

	mag_cache_free_bulk(cache, share->objects, share->n);
}

/* Leaves n objects in the magazines of this thread, and further ones in the depot. */
static void
fill_run(void *arg)
{
	struct share share = {.n = *(unsigned int *)arg};

	take_run(&share);
	give_run(&share);
}

static void
fill(unsigned int n)
{
	fill_run(&n);
}

static struct mag_slot *
own(void)
{
	return mag_slot_own(cache->first.slot);
}

static uint64_t
in_slots(void)
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < MAG_SLOTS; i++)
		sum += mag_slot_objects(&cache->first.slot[i]);
	return sum;
}

static void
assert_sizes(uint32_t size)
{
	unsigned int i;

	for (i = 0; i < MAG_SLOTS; i++)
		assert_int_equal(cache->first.slot[i].size, size);
}

TEST(test_a_purge_empties_every_slot_and_the_depot, setup, teardown)
{
	unsigned int n = 50;

	fill(n);
	run_on_lcore(1, fill_run, &n);
	run_on_thread(fill_run, &n);
	assert_true(in_slots() > 0);
	assert_true(mag_depot_total(&cache->first.depot.full) > 0);
	assert_int_equal(mag_cache_purge(cache), 0);
	assert_int_equal(in_slots(), 0);
	assert_sizes(0);
	assert_int_equal(mag_depot_total(&cache->first.depot.full), 0);
	assert_int_equal(mag_depot_total(&cache->first.depot.empty), 0);
	assert_int_equal(cache->first.slab.out, 0);
	assert_int_equal(cache->first.arena.out, 0);
	assert_int_equal(cache->purges, 1);
	mag_cache_enable(cache);
}

TEST(test_after_a_purge_everything_goes_to_the_slabs_until_enabled, setup, teardown)
{
	assert_int_equal(mag_cache_purge(cache), 0);
	fill(40);
	assert_int_equal(in_slots(), 0);
	assert_int_equal(cache->first.slab.out, 0);
	assert_int_equal(cache->first.arena.out, 0);
	mag_cache_enable(cache);
	assert_sizes(ROUNDS);
	fill(40);
	assert_true(in_slots() > 0);
}

TEST(test_nothing_but_enable_turns_a_purged_layer_on_again, setup, teardown)
{
	assert_int_equal(mag_cache_purge(cache), 0);
	assert_int_equal(mag_cache_resize(cache, 30, false), 0);
	assert_sizes(0);
	assert_int_equal(mag_cache_reap_now(cache, true), 0);
	assert_int_equal(mag_cache_reclaim(cache, true), 0);
	mag_cache_update(cache);
	assert_sizes(0);
	fill(40);
	assert_int_equal(cache->first.slab.out, 0);
	mag_cache_enable(cache);
	assert_sizes(30);
}

TEST(test_a_purge_that_finds_nothing_is_not_counted, setup, teardown)
{
	assert_int_equal(mag_cache_purge(cache), 0);
	assert_int_equal(cache->purges, 0);
	mag_cache_enable(cache);
	fill(1);
	assert_int_equal(mag_cache_purge(cache), 0);
	assert_int_equal(cache->purges, 1);
	mag_cache_enable(cache);
}

TEST(test_a_purge_waits_for_every_owner_or_changes_nothing, setup, teardown)
{
	fill(40);
	assert_int_equal(mag_slot_enter(&cache->first.slot[5]), 0);
	assert_int_equal(mag_cache_purge(cache), -EAGAIN);
	assert_int_equal(cache->common.visits_denied, 1);
	assert_true(in_slots() > 0);
	assert_sizes(ROUNDS);
	mag_slot_leave(&cache->first.slot[5]);
	assert_int_equal(cache->first.slot[5].visitor, own()->visitor);
	assert_int_equal(mag_cache_purge(cache), 0);
	assert_int_equal(in_slots(), 0);
	mag_cache_enable(cache);
}

TEST(test_a_sweep_sends_one_membarrier_however_many_it_visits, setup, teardown)
{
	uint64_t membarriers = mag_bias_membarriers();

	if (cache->common.bias != MAG_BIAS_MEMBARRIER)
		skip();
	assert_int_equal(mag_cache_purge(cache), 0);
	assert_int_equal(mag_bias_membarriers(), membarriers + 1);
	mag_cache_enable(cache);
	assert_int_equal(mag_cache_reap_now(cache, false), 0);
	assert_int_equal(mag_bias_membarriers(), membarriers + 2);
}

TEST(test_a_sweep_is_announced_before_its_membarrier, setup, teardown)
{
	struct share share = {.n = COUNT};
	unsigned int n = 40;

	run_on_lcore(1, fill_run, &n);
	word_at_fence = 0;
	assert_int_equal(mag_cache_reap_now(cache, false), 0);
	assert_int_equal(word_at_fence, MAG_BIAS_VISIT);
	word_at_fence = 0;
	take_run(&share);
	assert_int_equal(share.n, COUNT);
	assert_int_equal(word_at_fence, MAG_BIAS_VISIT);
	give_run(&share);
	assert_int_equal(mag_cache_purge(cache), 0);
	assert_int_equal(word_at_fence, MAG_BIAS_VISIT | MAG_BIAS_PURGE);
	assert_int_equal(MAG_STAT(cache->first.slot[1].visitor) & MAG_BIAS_AWAY, 0);
	mag_cache_enable(cache);
}

static void
purge_run(void *arg)
{
	*(int *)arg = mag_cache_purge(cache);
}

/*
 * Somebody stays in the lock, as a process that was killed does: a purge, and all that maintenance
 * does, is over nevertheless. Emptied: slots are, before the purge finds that it cannot go on.
 */
static void
assert_a_lock_that_stays_taken_ends_a_purge(struct mag_lock *lock, bool emptied)
{
	unsigned int n = 2 * ROUNDS;
	uint64_t denied = cache->common.visits_denied;
	int ret = 0;

	fill(n);
	run_on_thread(fill_run, &n);
	mag_lock_wait(lock);
	run_on_thread(purge_run, &ret);
	assert_int_equal(ret, -EAGAIN);
	assert_true(cache->common.visits_denied > denied);
	assert_int_equal(in_slots() == 0, emptied);
	assert_int_equal(MAG_STAT(own()->visitor) & MAG_BIAS_AWAY, 0);
	assert_int_equal(own()->size, cache->common.type);
	mag_cache_update(cache);
	mag_cache_reap_now(cache, false);
	mag_cache_reclaim(cache, false);
	assert_int_not_equal(lock->holder, 0);
	mag_lock_release(lock);
	fill(n);
	assert_int_equal(mag_cache_purge(cache), 0);
	assert_int_equal(in_slots(), 0);
	assert_int_equal(cache->first.slab.out, 0);
	assert_int_equal(mag_cache_available(cache), COUNT);
	mag_cache_enable(cache);
}

TEST(test_a_purge_does_not_wait_for_ever_for_the_visitor_that_is_there, setup, teardown)
{
	assert_a_lock_that_stays_taken_ends_a_purge(&cache->first.visit, false);
}

TEST(test_a_purge_does_not_wait_for_ever_for_who_has_the_shared_slot, setup, teardown)
{
	assert_a_lock_that_stays_taken_ends_a_purge(&cache->first.shared, false);
}

TEST(test_a_purge_does_not_wait_for_ever_for_who_reaps_the_depot, setup, teardown)
{
	assert_a_lock_that_stays_taken_ends_a_purge(&cache->first.working_set, true);
}

TEST(test_a_resize_that_an_owner_denies_keeps_the_old_type, setup, teardown)
{
	fill(40);
	assert_int_equal(mag_slot_enter(&cache->first.slot[5]), 0);
	assert_int_equal(mag_cache_resize(cache, 30, true), -EAGAIN);
	assert_int_equal(cache->common.type, ROUNDS);
	assert_sizes(ROUNDS);
	assert_int_equal(cache->resizes, 0);
	mag_slot_leave(&cache->first.slot[5]);
	assert_int_equal(mag_cache_resize(cache, 30, true), 0);
}

TEST(test_a_resize_changes_the_size_of_all_slots_when_they_are_empty, setup, teardown)
{
	uint64_t seen = cache->contention_seen;

	fill(100);
	assert_int_equal(mag_cache_resize(cache, 30, false), 0);
	assert_int_equal(cache->common.type, 30);
	assert_sizes(30);
	assert_int_equal(in_slots(), 0);
	assert_int_equal(mag_depot_total(&cache->first.depot.full), 0);
	assert_int_equal(mag_depot_total(&cache->first.depot.empty), 0);
	assert_int_equal(cache->first.arena.out, 0);
	assert_int_equal(cache->resizes, 1);
	assert_true(cache->contention_seen >= seen + MAG_CONTENTION_REST);
	fill(100);
	assert_int_equal(own()->capacity, 30);
}

TEST(test_sizes_that_a_cache_cannot_have_are_refused, setup, teardown)
{
	const uint32_t bad[] = {1, 13, 62, 46, 158, 254, 510, UINT32_MAX};
	const char *log;
	unsigned int i;

	for (i = 0; i < RTE_DIM(bad); i++) {
		log_begin();
		assert_int_equal(mag_cache_resize(cache, bad[i], true), -EINVAL);
		log = log_end();
		assert_logged(log, "things");
		assert_int_equal(count_lines(log), 1);
	}
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

static void
busy_run(void *arg)
{
	int *ret = arg;

	ret[0] = mag_cache_purge(cache);
	ret[1] = mag_cache_resize(cache, 30, false);
	ret[2] = mag_cache_reap_now(cache, true);
	ret[3] = mag_cache_reclaim(cache, true);
	log_begin();
	ret[4] = mag_cache_destroy(cache);
	log_end();
}

TEST(test_others_are_told_that_the_perimeter_is_taken, setup, teardown)
{
	int ret[5] = {0}, i;

	fill(10);
	assert_true(mag_perimeter_enter(cache, false));
	run_on_thread(busy_run, ret);
	for (i = 0; i < 5; i++)
		assert_int_equal(ret[i], -EBUSY);
	assert_true(in_slots() > 0);
	assert_int_equal(cache->common.type, ROUNDS);
	mag_perimeter_leave(cache);
}

static _Atomic int waiting;

static void
wait_run(void *arg)
{
	atomic_store(&waiting, 1);
	*(int *)arg = mag_cache_resize(cache, 30, true);
	atomic_store(&waiting, 2);
}

TEST(test_who_wants_to_wait_for_the_perimeter_waits, setup, teardown)
{
	struct task task;
	int ret = -1;

	atomic_store(&waiting, 0);
	assert_true(mag_perimeter_enter(cache, false));
	task_thread(&task, wait_run, &ret);
	wait_until(atomic_load(&waiting) == 1);
	let_pass(20);
	assert_int_equal(atomic_load(&waiting), 1);
	assert_int_equal(cache->common.type, ROUNDS);
	mag_perimeter_leave(cache);
	task_join(&task);
	assert_int_equal(ret, 0);
	assert_int_equal(cache->common.type, 30);
}

static void
gather_run(void *arg)
{
	*(int *)arg = mag_cache_gather(cache);
	atomic_store(&waiting, 2);
}

static void
resize_run(void *arg)
{
	*(int *)arg = mag_cache_resize(cache, 30, true);
}

static void
reset_run(void *arg)
{
	log_begin();
	*(int *)arg = mag_pool_reset(cache);
	assert_logged(log_end(), "things");
}

static void
enable_run(void *arg)
{
	atomic_store(&waiting, 1);
	*(int *)arg = mag_cache_enable(cache);
	atomic_store(&waiting, 2);
}

TEST(test_who_waits_for_a_thread_that_stays_in_the_perimeter_gives_up, setup, teardown)
{
	/* clang-format off */
	void (*const runs[])(void *arg) = {resize_run, enable_run, gather_run, reset_run};
	/* clang-format on */
	struct task task[RTE_DIM(runs)];
	int ret[RTE_DIM(runs)] = {0};
	unsigned int i;

	fill(40);
	assert_true(mag_perimeter_enter(cache, false));
	atomic_store(&cache->off, true);
	for (i = 0; i < RTE_DIM(runs); i++)
		task_thread(&task[i], runs[i], &ret[i]);
	for (i = 0; i < RTE_DIM(runs); i++) {
		task_join(&task[i]);
		assert_int_equal(ret[i], -EBUSY);
	}
	assert_int_equal(cache->common.type, ROUNDS);
	assert_true(cache->off);
	assert_true(in_slots() > 0);
	assert_int_equal(cache->purges, 0);
	atomic_store(&cache->off, false);
	mag_perimeter_leave(cache);
	run_on_thread(resize_run, &ret[0]);
	assert_int_equal(ret[0], 0);
}

static void
hand_on_run(void *arg)
{
	assert_true(mag_perimeter_enter(cache, true));
	(*(unsigned int *)arg)++;
	usleep(1000);
	mag_perimeter_leave(cache);
}

TEST(test_all_who_wait_for_the_perimeter_come_in_one_after_the_other, setup, teardown)
{
	struct task task[20];
	unsigned int i, came = 0;

	assert_true(mag_perimeter_enter(cache, false));
	for (i = 0; i < RTE_DIM(task); i++)
		task_thread(&task[i], hand_on_run, &came);
	let_pass(20);
	assert_int_equal(came, 0);
	mag_perimeter_leave(cache);
	for (i = 0; i < RTE_DIM(task); i++)
		task_join(&task[i]);
	assert_int_equal(came, RTE_DIM(task));
}

TEST(test_enabling_waits_for_who_is_resizing, setup, teardown)
{
	struct task task;
	uint32_t size;
	int ret = -1;

	atomic_store(&waiting, 0);
	assert_true(mag_perimeter_enter(cache, false));
	assert_int_equal(mag_cache_purge_inside(cache, false), 0);
	task_thread(&task, enable_run, &ret);
	wait_until(atomic_load(&waiting) >= 1);
	let_pass(20);
	size = MAG_STAT(cache->first.slot[0].size);
	mag_perimeter_leave(cache);
	task_join(&task);
	assert_int_equal(ret, 0);
	assert_int_equal(size, 0);
	assert_sizes(ROUNDS);
}

TEST(test_a_reap_takes_the_depot_and_previous_magazines_but_not_loaded, setup, teardown)
{
	unsigned int n = 50;
	uint64_t zeroes = cache->common.zeroes;

	run_on_lcore(1, fill_run, &n);
	run_on_thread(fill_run, &n);
	fill(n);
	assert_int_equal(own()->previous_rounds, ROUNDS);
	assert_int_equal(mag_cache_reap_now(cache, false), 0);
	assert_null(own()->previous);
	assert_null(cache->first.slot[1].previous);
	assert_null(cache->first.slot[MAG_SLOT_SHARED].previous);
	assert_true(own()->rounds > 0);
	assert_true(cache->first.slot[1].rounds > 0);
	assert_int_equal(mag_depot_total(&cache->first.depot.full), 0);
	assert_int_equal(mag_depot_total(&cache->first.depot.empty), 0);
	assert_sizes(ROUNDS);
	assert_int_equal(cache->first.slab.out, in_slots());
	assert_int_equal(cache->reaps, 1);
	assert_int_equal(cache->common.zeroes, zeroes + 1);
	assert_int_equal(cache->purges, 0);
	assert_int_equal(mag_cache_reap_now(cache, false), 0);
	assert_int_equal(cache->reaps, 1);
}

TEST(test_a_reap_with_purge_takes_all_and_enables_again, setup, teardown)
{
	fill(50);
	assert_int_equal(mag_cache_reap_now(cache, true), 0);
	assert_int_equal(in_slots(), 0);
	assert_int_equal(cache->first.slab.out, 0);
	assert_sizes(ROUNDS);
	assert_int_equal(cache->purges, 1);
}

TEST(test_a_reap_of_a_reclaim_cache_is_a_purge, setup_reclaim, teardown)
{
	fill(50);
	assert_int_equal(mag_cache_reap_now(cache, false), 0);
	assert_int_equal(in_slots(), 0);
	assert_int_equal(cache->first.slab.out, 0);
	assert_int_equal(cache->purges, 1);
	assert_sizes(ROUNDS);
}

TEST(test_a_reap_skips_an_owner_that_does_not_let_go, setup, teardown)
{
	unsigned int n = 40;

	fill(n);
	run_on_lcore(1, fill_run, &n);
	assert_int_equal(mag_slot_enter(&cache->first.slot[1]), 0);
	assert_int_equal(mag_cache_reap_now(cache, false), 0);
	assert_non_null(cache->first.slot[1].previous);
	assert_null(own()->previous);
	assert_int_equal(cache->common.visits_denied, 1);
	mag_slot_leave(&cache->first.slot[1]);
	assert_int_equal(mag_cache_reap_now(cache, false), 0);
	assert_null(cache->first.slot[1].previous);
}

static struct {
	struct mag_cache *cache;
	unsigned int objects;
	uint32_t left;    /* in the depot when the first object was destructed */
	uint64_t transit; /* and in transit then */
} destruction;

static void
destruct(void *object __rte_unused, void *arg __rte_unused)
{
	if (destruction.objects++ > 0)
		return;
	destruction.left = mag_depot_total(&destruction.cache->first.depot.full);
	destruction.transit = destruction.cache->common.transit;
}

TEST(test_a_reap_destroys_nothing_before_its_chain_has_left, setup, teardown)
{
	struct mag_cache_params params = {
		.size = sizeof(params),
		.name = "destructed",
		.object_size = SIZE,
		.region = ground.region,
		.destructor = destruct,
		.node = -1,
	};
	struct mag_cache *other = mag_cache_create(&params);
	void *objects[6 * ROUNDS];

	assert_int_equal(mag_cache_alloc_burst(other, objects, 6 * ROUNDS), 6 * ROUNDS);
	mag_cache_free_bulk(other, objects, 6 * ROUNDS);
	assert_int_equal(mag_depot_total(&other->first.depot.full), 4);
	mag_cache_working_set_update(other);
	mag_cache_working_set_update(other);
	memset(&destruction, 0, sizeof(destruction));
	destruction.cache = other;
	mag_cache_working_set_reap(other, UINT_MAX);
	assert_int_equal(destruction.objects, 4 * ROUNDS);
	assert_int_equal(destruction.left, 0);
	assert_int_equal(destruction.transit, 4 * ROUNDS);
	assert_int_equal(other->common.transit, 0);
	assert_int_equal(mag_cache_destroy(other), 0);
}

static void
put_empties(unsigned int n)
{
	while (n-- > 0)
		mag_depot_put(&cache->first.depot, &cache->first.depot.empty,
			      mag_arena_get(&cache->first.arena, ROUNDS));
}

TEST(test_a_reap_takes_chain_after_chain_and_what_is_needed_from_none, setup, teardown)
{
	const unsigned int all = 2 * MAG_DEPOT_CHAIN + 8, needed = 5;
	struct mag_magazine *got[2];
	unsigned int i;

	put_empties(all);
	mag_cache_working_set_update(cache);
	mag_cache_working_set_update(cache);
	for (i = 0; i < needed; i++) {
		assert_int_equal(
			mag_depot_take(&cache->first.depot, &cache->first.depot.empty, 1, got), 1);
		mag_arena_put(&cache->first.arena, got[0]);
	}
	put_empties(needed);
	mag_cache_working_set_reap(cache, UINT_MAX);
	assert_int_equal(chains, 3);
	assert_int_equal(mag_depot_total(&cache->first.depot.empty), needed);
	assert_int_equal(cache->first.arena.out, needed);
	assert_int_equal(cache->reaps, 1);
}

TEST(test_a_reap_in_steps_takes_a_chain_at_each_and_counts_once, setup, teardown)
{
	put_empties(2 * MAG_DEPOT_CHAIN + 8);
	mag_cache_working_set_update(cache);
	mag_cache_working_set_update(cache);
	assert_true(mag_cache_working_set_reap(cache, 1));
	assert_int_equal(mag_depot_total(&cache->first.depot.empty), MAG_DEPOT_CHAIN + 8);
	assert_true(mag_cache_working_set_reap(cache, 1));
	assert_int_equal(mag_depot_total(&cache->first.depot.empty), 8);
	assert_false(mag_cache_working_set_reap(cache, 1));
	assert_int_equal(mag_depot_total(&cache->first.depot.empty), 0);
	assert_int_equal(cache->reaps, 1);
	assert_false(mag_cache_working_set_reap(cache, 1));
	assert_int_equal(cache->reaps, 1);
}

static struct mag_magazine *snatched;

static void
snatch(void)
{
	struct mag_magazine *got[2];

	assert_int_equal(mag_depot_take(&cache->first.depot, &cache->first.depot.full, 1, got), 1);
	snatched = got[0];
}

TEST(test_a_reap_whose_magazines_others_took_meanwhile_holds_nothing_in_transit, setup, teardown)
{
	fill(100);
	mag_cache_working_set_update(cache);
	mag_cache_working_set_update(cache);
	before_chain = snatch;
	mag_cache_working_set_reap(cache, UINT_MAX);
	assert_null(before_chain);
	assert_int_equal(mag_depot_total(&cache->first.depot.full), 0);
	assert_int_equal(cache->common.transit, 0);
	mag_depot_put(&cache->first.depot, &cache->first.depot.full, snatched);
}

TEST(test_a_second_reap_in_an_interval_leaves_the_working_set, setup, teardown)
{
	struct mag_magazine *got[2];
	unsigned int i;

	put_empties(20);
	mag_cache_working_set_update(cache);
	for (i = 0; i < 12; i++) {
		assert_int_equal(
			mag_depot_take(&cache->first.depot, &cache->first.depot.empty, 1, got), 1);
		mag_arena_put(&cache->first.arena, got[0]);
	}
	put_empties(12);
	mag_cache_working_set_update(cache);
	assert_int_equal(mag_cache_reclaim(cache, false), 0);
	assert_int_equal(mag_depot_total(&cache->first.depot.empty), 12);
	assert_int_equal(mag_cache_reclaim(cache, false), 0);
	assert_int_equal(mag_depot_total(&cache->first.depot.empty), 12);
	assert_int_equal(cache->reaps, 1);
}

static unsigned int reclaimed;

static void
reclaim(void *arg)
{
	reclaimed++;
	assert_ptr_equal(arg, &reclaimed);
}

TEST(test_reclaim_asks_the_owner_and_purges_when_memory_is_low, setup, teardown)
{
	struct mag_cache_params params = {
		.size = sizeof(params),
		.name = "reclaimed",
		.object_size = SIZE,
		.region = ground.region,
		.release = reclaim,
		.arg = &reclaimed,
		.node = -1,
	};
	struct mag_cache *other = mag_cache_create(&params);
	void *object = mag_cache_alloc(other);

	reclaimed = 0;
	mag_cache_free(other, object);
	assert_int_equal(mag_cache_reclaim(other, false), 0);
	assert_int_equal(reclaimed, 1);
	assert_int_equal(other->purges, 0);
	assert_int_equal(other->first.slab.out, 1);
	assert_int_equal(mag_cache_reclaim(other, true), 0);
	assert_int_equal(reclaimed, 2);
	assert_int_equal(other->purges, 1);
	assert_int_equal(other->first.slab.out, 0);
	assert_int_equal(other->first.slot[0].size, other->common.type);
	assert_int_equal(mag_cache_destroy(other), 0);
}

TEST(test_a_reclaim_cache_is_purged_by_a_reclaim_too, setup_reclaim, teardown)
{
	fill(50);
	assert_int_equal(mag_cache_reclaim(cache, false), 0);
	assert_int_equal(in_slots(), 0);
	assert_int_equal(cache->first.slab.out, 0);
	assert_int_equal(cache->purges, 1);
	assert_sizes(ROUNDS);
}

TEST(test_reclaim_without_need_takes_what_two_intervals_did_not_use, setup, teardown)
{
	fill(100);
	assert_true(mag_depot_total(&cache->first.depot.full) > 0);
	assert_int_equal(mag_cache_reclaim(cache, false), 0);
	assert_true(mag_depot_total(&cache->first.depot.full) > 0);
	mag_cache_working_set_update(cache);
	mag_cache_working_set_update(cache);
	assert_int_equal(mag_cache_reclaim(cache, false), 0);
	assert_int_equal(mag_depot_total(&cache->first.depot.full), 0);
	assert_int_equal(cache->reaps, 1);
}

TEST(test_one_lcore_gets_what_all_others_hold, setup, teardown)
{
	struct share share = {.n = COUNT};
	unsigned int n = 60;

	run_on_lcore(1, fill_run, &n);
	run_on_lcore(2, fill_run, &n);
	run_on_thread(fill_run, &n);
	assert_true(mag_slot_objects(&cache->first.slot[1]) > 0);
	assert_true(mag_slot_objects(&cache->first.slot[2]) > 0);
	assert_true(mag_slot_objects(&cache->first.slot[MAG_SLOT_SHARED]) > 0);
	take_run(&share);
	assert_int_equal(share.n, COUNT);
	assert_distinct(&ground, share.objects, COUNT);
	assert_int_equal(in_slots(), 0);
	assert_true(cache->common.steals > 0);
	assert_null(mag_cache_alloc(cache));
	give_run(&share);
}

TEST(test_all_of_a_bulk_are_stolen_at_once, setup, teardown)
{
	struct share share = {.n = COUNT};
	unsigned int n = COUNT / 2;

	run_on_lcore(1, fill_run, &n);
	run_on_lcore(2, fill_run, &n);
	assert_int_equal(mag_cache_take_all(cache, share.objects, COUNT, false), -ENOBUFS);
	assert_int_equal(mag_cache_take_all(cache, share.objects, COUNT, true), 0);
	assert_distinct(&ground, share.objects, COUNT);
	give_run(&share);
}

TEST(test_a_thread_without_lcore_id_steals_too, setup, teardown)
{
	struct share share = {.n = COUNT};
	unsigned int n = 60;

	fill(n);
	run_on_lcore(1, fill_run, &n);
	run_on_thread(take_run, &share);
	assert_int_equal(share.n, COUNT);
	assert_distinct(&ground, share.objects, COUNT);
	give_run(&share);
}

TEST(test_what_cannot_succeed_visits_nobody, setup, teardown)
{
	struct share share = {.n = COUNT};
	uint64_t membarriers;
	unsigned int n = 60;
	void *object;

	run_on_lcore(1, fill_run, &n);
	membarriers = mag_bias_membarriers();
	assert_int_equal(mag_cache_take_all(cache, share.objects, COUNT + 1, true), -ENOBUFS);
	assert_int_equal(mag_bias_membarriers(), membarriers);
	assert_int_equal(cache->common.steals, 0);
	take_run(&share);
	membarriers = mag_bias_membarriers();
	/* Not even the lock of visitors is asked for. */
	mag_lock_wait(&cache->first.visit);
	for (n = 0; n < 100; n++)
		assert_int_equal(mag_cache_take_all(cache, &object, 1, true), -ENOBUFS);
	mag_lock_release(&cache->first.visit);
	assert_int_equal(cache->common.steal_denied, 0);
	assert_int_equal(mag_bias_membarriers(), membarriers);
	give_run(&share);
}

TEST(test_a_dying_pool_is_not_stolen_from, setup, teardown)
{
	struct share share = {.n = COUNT};
	unsigned int n = 60;

	run_on_lcore(1, fill_run, &n);
	cache->dying = true;
	assert_int_equal(mag_cache_take_all(cache, share.objects, COUNT, true), -ENOBUFS);
	assert_int_equal(cache->common.steals, 0);
	cache->dying = false;
}

TEST(test_a_thief_is_denied_by_a_busy_owner_and_counts_it, setup, teardown)
{
	struct share share = {.n = COUNT};
	unsigned int n = 60;

	run_on_lcore(1, fill_run, &n);
	assert_int_equal(mag_slot_enter(&cache->first.slot[1]), 0);
	assert_int_equal(mag_cache_take_all(cache, share.objects, COUNT, true), -ENOBUFS);
	assert_true(cache->common.steal_denied > 0);
	assert_int_equal(cache->first.slot[1].visitor & MAG_BIAS_AWAY, 0);
	mag_slot_leave(&cache->first.slot[1]);
	assert_int_equal(mag_cache_available(cache), COUNT);
	wait_until(mag_cache_take_all(cache, share.objects, COUNT, true) == 0);
	give_run(&share);
}

/*
 * An owner that was inside when a thief announced itself, and that takes some of what the thief has
 * counted.
 */

#define NEEDED 10
#define TAKEN 4

static void *taken[TAKEN];

static void
owner_takes_some_and_leaves(void)
{
	struct mag_slot *owners = &cache->first.slot[1];

	at_fence = NULL;
	assert_int_equal(mag_slot_pick(owners, taken, TAKEN), TAKEN);
	MAG_COUNT(owners->allocs, TAKEN);
	mag_slot_leave(owners);
}

TEST(test_a_thief_sweeps_again_for_what_a_sweep_did_not_bring, setup, teardown)
{
	struct share share = {.n = COUNT - 2 * NEEDED};
	unsigned int n = NEEDED;
	void *had[NEEDED];

	run_on_lcore(1, fill_run, &n);
	run_on_lcore(2, fill_run, &n);
	take_run(&share);
	assert_int_equal(mag_cache_reachable(cache), 2 * NEEDED);
	assert_int_equal(in_slots(), 2 * NEEDED);
	assert_int_equal(mag_slot_enter(&cache->first.slot[1]), 0);
	at_fence = owner_takes_some_and_leaves;
	assert_int_equal(mag_cache_take_all(cache, had, NEEDED, true), 0);
	assert_null(at_fence);
	assert_int_equal(cache->common.steals, 2);
	assert_int_equal(cache->first.slot[1].visited_out, NEEDED - TAKEN);
	assert_int_equal(mag_slot_objects(&cache->first.slot[2]), NEEDED - TAKEN);
	mag_cache_free_bulk(cache, had, NEEDED);
	mag_cache_free_bulk(cache, taken, TAKEN);
	give_run(&share);
}

/*
 * While a thief sweeps, its victim has one object again, and somebody frees another one to the
 * slabs.
 */
static void
one_goes_to_the_slabs(void)
{
	at_fence = NULL;
	assert_int_equal(mag_slot_pick(&cache->first.slot[1], taken, 1), 1);
	mag_cache_free_nocache(cache, taken[1]);
	constructor_flags = UINT32_MAX;
}

TEST(test_a_constructor_may_not_wait_where_a_thief_holds_visit_locks, setup_constructor, teardown)
{
	struct share share = {.n = COUNT - NEEDED};
	unsigned int n = NEEDED;
	void *had[NEEDED];

	run_on_lcore(1, fill_run, &n);
	take_run(&share);
	assert_int_equal(in_slots(), NEEDED);
	taken[1] = share.objects[--share.n];
	at_fence = one_goes_to_the_slabs;
	assert_int_equal(alloc_waited(cache, had, NEEDED, MAG_WAIT_DEFAULT), NEEDED);
	assert_null(at_fence);
	assert_int_equal(constructor_flags, 0);
	mag_cache_free_bulk(cache, had, NEEDED);
	mag_cache_free_bulk(cache, taken, 1);
	give_run(&share);
}

/*
 * An owner that is inside all the time, and goes in and out of its objects: no sweep is in vain for
 * certain.
 */

#define LOOKS_TOO_MANY 2000

static unsigned int owner_looks;

static void
owner_takes_and_gives(void)
{
	struct mag_slot *owners = &cache->first.slot[1];

	looks_left = 1;
	if (++owner_looks == LOOKS_TOO_MANY)
		mag_slot_leave(owners);
	else if (owner_looks % 2 == 1)
		assert_int_equal(mag_slot_pick(owners, taken, 1), 1);
	else
		mag_slot_give(owners, &cache->first.depot, taken, 1);
}

TEST(test_a_thief_gives_up_when_its_time_is_over, setup, teardown)
{
	struct share share = {.n = COUNT - NEEDED};
	unsigned int n = NEEDED;
	void *had[1];
	int ret;

	run_on_lcore(1, fill_run, &n);
	take_run(&share);
	assert_int_equal(mag_slot_enter(&cache->first.slot[1]), 0);
	look = owner_takes_and_gives;
	looks_left = 1;
	ret = mag_cache_take_all(cache, had, 1, true);
	look = NULL;
	assert_int_equal(ret, -ENOBUFS);
	assert_true(owner_looks < LOOKS_TOO_MANY);
	assert_true(cache->common.steals > 0);
	assert_true(cache->common.steal_denied > 0);
	if (owner_looks % 2 == 1)
		mag_slot_give(&cache->first.slot[1], &cache->first.depot, taken, 1);
	mag_slot_leave(&cache->first.slot[1]);
	give_run(&share);
}

/*
 * An owner that hides all objects but one from each sweep, and has them again when the sum is
 * taken: no sweep is in vain, and none brings enough.
 */

static void *hidden[ROUNDS];
static unsigned int hidden_count;

static void
owner_hides_all_but_one(void)
{
	struct mag_slot *owners = &cache->first.slot[1];

	at_fence = owner_hides_all_but_one;
	hidden_count = mag_slot_pick(owners, hidden, mag_slot_objects(owners) - 1);
	let_pass(2);
}

static void
owner_shows_them_again(void)
{
	looks_left = 1;
	mag_slot_give(&cache->first.slot[1], &cache->first.depot, hidden, hidden_count);
	hidden_count = 0;
}

TEST(test_a_thief_gives_up_when_its_time_is_over_though_each_sweep_brings_something, setup,
     teardown)
{
	struct share share = {.n = COUNT - ROUNDS};
	unsigned int n = ROUNDS;
	void *had[ROUNDS];
	int ret;

	run_on_lcore(1, fill_run, &n);
	take_run(&share);
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
	give_run(&share);
}

TEST(test_a_sweep_in_vain_is_not_repeated_while_its_owner_is_inside, setup, teardown)
{
	struct share share = {.n = COUNT};
	unsigned int n = 2 * ROUNDS;
	uint64_t steals;

	run_on_lcore(1, fill_run, &n);
	assert_int_equal(mag_cache_take_all(cache, share.objects, COUNT - 2 * ROUNDS, true), 0);
	assert_int_equal(mag_slot_enter(&cache->first.slot[1]), 0);
	assert_int_equal(mag_cache_take_all(cache, share.objects + COUNT - 1, 1, true), -ENOBUFS);
	steals = cache->common.steals;
	assert_true(steals > 0);
	/* However long this test is off the CPU. */
	cache->first.steal_rest = UINT64_MAX;
	assert_int_equal(mag_cache_take_all(cache, share.objects + COUNT - 1, 1, true), -ENOBUFS);
	assert_int_equal(cache->common.steals, steals);
	mag_slot_leave(&cache->first.slot[1]);
	assert_int_equal(mag_cache_take_all(cache, share.objects + COUNT - 1, 1, true), 0);
	assert_int_equal(cache->common.steals, steals + 1);
	mag_cache_give(cache, share.objects + COUNT - 1, 1);
	mag_cache_give(cache, share.objects, COUNT - 2 * ROUNDS);
}

TEST(test_a_thief_visits_no_more_slots_than_it_needs, setup, teardown)
{
	struct share share = {.n = COUNT};
	unsigned int n = ROUNDS;

	run_on_lcore(1, fill_run, &n);
	run_on_lcore(2, fill_run, &n);
	n = COUNT - 2 * ROUNDS;
	assert_int_equal(mag_cache_take_all(cache, share.objects, n, false), 0);
	assert_int_equal(mag_slot_enter(&cache->first.slot[2]), 0);
	assert_int_equal(mag_cache_take_all(cache, share.objects + n, ROUNDS, true), 0);
	assert_int_equal(cache->common.steals, 1);
	assert_int_equal(cache->common.steal_denied, 0);
	mag_slot_leave(&cache->first.slot[2]);
	mag_cache_give(cache, share.objects, n + ROUNDS);
}

/* All but what the shared slot has are out; somebody holds the lock. */
static void
assert_thief_is_denied_by(struct mag_lock *lock)
{
	unsigned int n = ROUNDS, most = COUNT - ROUNDS;
	struct share share;

	run_on_thread(fill_run, &n);
	assert_int_equal(mag_slot_objects(&cache->first.slot[MAG_SLOT_SHARED]), ROUNDS);
	assert_int_equal(mag_cache_take_all(cache, share.objects, most, false), 0);
	mag_lock_wait(lock);
	assert_int_equal(mag_cache_take_all(cache, share.objects + most, 1, true), -ENOBUFS);
	assert_true(cache->common.steal_denied > 0);
	assert_int_not_equal(lock->holder, 0);
	mag_lock_release(lock);
	assert_int_equal(mag_cache_take_all(cache, share.objects + most, 1, true), 0);
	mag_cache_give(cache, share.objects, most + 1);
}

TEST(test_a_thief_does_not_rob_a_shared_slot_that_is_in_use, setup, teardown)
{
	assert_thief_is_denied_by(&cache->first.shared);
}

TEST(test_a_thief_does_not_sweep_while_somebody_else_does, setup, teardown)
{
	assert_thief_is_denied_by(&cache->first.visit);
}

static void *spare;

static void
free_spare(void)
{
	look = NULL;
	mag_cache_give_past(cache, &spare, 1);
}

TEST(test_a_sum_is_taken_again_while_somebody_is_in_the_middle, setup, teardown)
{
	struct share share = {.n = COUNT};
	void *object;

	take_run(&share);
	spare = share.objects[0];
	assert_int_equal(mag_slot_enter(&cache->first.slot[1]), 0);
	look = free_spare;
	looks_left = 3;
	assert_int_equal(mag_cache_take_all(cache, &object, 1, true), 0);
	mag_slot_leave(&cache->first.slot[1]);
	assert_null(look);
	assert_ptr_equal(object, spare);
	give_run(&share);
}

static void
flush_run(void *arg __rte_unused)
{
	mag_lcore_flush();
}

static void
slot_to_depot(void)
{
	look = NULL;
	run_on_lcore(1, flush_run, NULL);
	assert_int_equal(mag_depot_total(&cache->first.depot.full), 2);
}

static void
depot_to_slot(void)
{
	unsigned int n = 1;

	run_on_lcore(1, fill_run, &n);
	n = ROUNDS + 1;
	run_on_lcore(1, fill_run, &n);
	assert_int_equal(mag_depot_total(&cache->first.depot.full), 0);
}

/* To the depot before the slots are read, and back before the depot is: and nobody is busy then. */
TEST(test_a_sum_is_taken_again_when_something_has_moved_meanwhile, setup, teardown)
{
	struct share share = {.n = COUNT}, some = {.n = 2 * ROUNDS};

	take_run(&share);
	share.n -= some.n;
	memcpy(some.objects, share.objects + share.n, some.n * sizeof(void *));
	run_on_lcore(1, give_run, &some);
	assert_int_equal(mag_slot_objects(&cache->first.slot[1]), 2 * ROUNDS);
	look = slot_to_depot;
	looks_left = 2;
	during_the_sum = depot_to_slot;
	sums_left = 2;
	assert_int_equal(mag_cache_take_all(cache, some.objects, some.n, true), 0);
	assert_null(look);
	assert_null(during_the_sum);
	give_run(&some);
	give_run(&share);
}

TEST(test_blocks_are_gathered_from_slots_and_depot, setup, teardown)
{
	assert_int_equal(mag_cache_gather(cache), -EAGAIN);
	assert_int_equal(cache->purges, 0);
	fill(40);
	assert_int_equal(mag_cache_gather(cache), 0);
	assert_int_equal(in_slots(), 0);
	assert_int_equal(cache->first.slab.out, 0);
	assert_sizes(ROUNDS);
}

TEST(test_what_is_on_its_way_can_be_had, setup, teardown)
{
	struct share share = {.n = COUNT};

	assert_int_equal(mag_cache_reachable(cache), COUNT);
	fill(COUNT);
	assert_int_equal(mag_cache_reachable(cache), COUNT);
	take_run(&share);
	assert_int_equal(mag_cache_reachable(cache), 0);
	mag_transit_begin(&cache->common, 7);
	assert_int_equal(mag_cache_reachable(cache), 7);
	mag_transit_end(&cache->common, 7);
	give_run(&share);
}

TEST(test_a_refusal_is_counted_only_while_somebody_is_busy, setup, teardown)
{
	struct share share = {.n = COUNT};
	void *object;

	take_run(&share);
	assert_int_equal(share.n, COUNT);
	mag_slot_enter(&cache->first.slot[1]);
	assert_int_equal(mag_cache_take_all(cache, &object, 1, true), -ENOBUFS);
	assert_int_equal(cache->common.steal_denied, 1);
	mag_slot_leave(&cache->first.slot[1]);
	assert_int_equal(mag_cache_take_all(cache, &object, 1, true), -ENOBUFS);
	assert_int_equal(cache->common.steal_denied, 1);
	give_run(&share);
}

/* What the owner of slot 1 has in its hands: a magazine on its way into the slot. */
static struct mag_detached carried;

static void
carried_arrives(void)
{
	struct mag_slot *slot = &cache->first.slot[1];

	slot->loaded = carried.magazine;
	slot->capacity = carried.magazine->rounds;
	slot->rounds = carried.rounds;
	mag_slot_leave(slot);
}

TEST(test_what_arrives_behind_the_sum_is_not_missed, setup, teardown)
{
	struct share share = {.n = COUNT}, ten = {.n = 10};

	take_run(&share);
	share.n -= ten.n;
	memcpy(ten.objects, share.objects + share.n, ten.n * sizeof(void *));
	run_on_lcore(1, give_run, &ten);
	assert_int_equal(cache->first.slot[1].rounds, ten.n);
	mag_slot_enter(&cache->first.slot[1]);
	carried = mag_slot_detach_loaded(&cache->first.slot[1]);
	during_the_sum = carried_arrives;
	sums_left = 2;
	assert_int_equal(mag_cache_take_all(cache, ten.objects, ten.n, true), 0);
	assert_null(during_the_sum);
	give_run(&ten);
	give_run(&share);
}

TEST(test_a_thief_leaves_full_magazines_to_the_depot, setup, teardown)
{
	struct share share = {.n = COUNT - ROUNDS - 10};
	unsigned int n = 2 * ROUNDS;
	void *rest[ROUNDS + 10];

	take_run(&share);
	assert_int_equal(mag_depot_total(&cache->first.depot.full), 0);
	n = ROUNDS + 10;
	run_on_lcore(1, fill_run, &n);
	assert_int_equal(cache->first.slot[1].rounds, 10);
	assert_int_equal(cache->first.slot[1].previous_rounds, ROUNDS);
	assert_int_equal(mag_cache_take_all(cache, rest, ROUNDS + 10, true), 0);
	assert_int_equal(own()->exchanges > 0, 1);
	mag_cache_give(cache, rest, ROUNDS + 10);
	give_run(&share);
}

TEST(test_fences_do_where_membarriers_are_forbidden, setup_fence, teardown)
{
	uint64_t membarriers = mag_bias_membarriers();
	struct share share = {.n = COUNT};
	unsigned int n = 60;

	assert_int_equal(cache->common.bias, MAG_BIAS_FENCE);
	assert_int_not_equal(cache->first.slot[0].visitor & MAG_BIAS_FENCE_BIT, 0);
	run_on_lcore(1, fill_run, &n);
	run_on_lcore(2, fill_run, &n);
	fill(n);
	assert_true(mag_slot_objects(own()) > 0);
	take_run(&share);
	assert_int_equal(share.n, COUNT);
	give_run(&share);
	assert_int_equal(mag_cache_resize(cache, 30, true), 0);
	assert_int_equal(mag_bias_membarriers(), membarriers);
}

/*
 * Membarriers that fail. No owner is inside, but it might be: what cannot be seen is not believed.
 */

static int
setup_failing(void **state)
{
	int ret = setup(state);

	if (cache->common.bias == MAG_BIAS_MEMBARRIER)
		fence_error = EPERM;
	return ret;
}

static void
skip_without_membarrier(void)
{
	if (fence_error != 0)
		return;
	printf("# skip: this kernel has no membarrier\n");
	skip();
}

static void
steal_all(void)
{
	struct share share = {.n = COUNT};

	take_run(&share);
	give_run(&share);
}

static void
try_purge(void)
{
	assert_int_equal(mag_cache_purge(cache), -EAGAIN);
}

static void
try_resize(void)
{
	assert_int_equal(mag_cache_resize(cache, 30, true), -EAGAIN);
}

static void
try_reap(void)
{
	assert_int_equal(mag_cache_reap_now(cache, false), 0);
}

static void
try_reap_with_purge(void)
{
	assert_int_equal(mag_cache_reap_now(cache, true), -EAGAIN);
}

static void
try_reclaim(void)
{
	assert_int_equal(mag_cache_reclaim(cache, true), -EAGAIN);
}

static void
try_gather(void)
{
	assert_int_equal(mag_cache_gather(cache), -EAGAIN);
}

TEST(test_a_sweep_whose_membarrier_failed_touches_no_slot_and_asks, setup_failing, teardown)
{
	static void (*const sweeps[])(void) = {steal_all, try_purge,           try_resize,
					       try_reap,  try_reap_with_purge, try_reclaim,
					       try_gather};
	const struct mag_slot *slot = &cache->first.slot[1];
	unsigned int i, n = 40, count, previous;

	skip_without_membarrier();
	for (i = 0; i < RTE_DIM(sweeps); i++) {
		mag_bias_forbid_membarrier(false);
		run_on_lcore(1, fill_run, &n);
		count = mag_slot_objects(slot);
		previous = slot->previous_rounds;
		assert_true(previous > 0);
		word_at_fence = 0;
		log_begin();
		sweeps[i]();
		assert_int_equal(count_lines(log_end()), 1);
		assert_int_not_equal(word_at_fence & MAG_BIAS_VISIT, 0);
		assert_int_equal(mag_slot_objects(slot), count);
		assert_int_equal(slot->previous_rounds, previous);
		assert_int_equal(slot->visited_out, 0);
		assert_int_equal(slot->visitor, MAG_BIAS_FENCE_BIT | MAG_BIAS_ASKED);
		assert_sizes(ROUNDS);
		/* From then on nobody tries, but asks. */
		word_at_fence = 0;
		log_begin();
		sweeps[i]();
		assert_int_equal(count_lines(log_end()), 0);
		assert_int_equal(word_at_fence & MAG_BIAS_VISIT, 0);
		assert_int_equal(mag_slot_objects(slot), count);
		run_on_lcore(1, fill_run, &n);
		assert_int_equal(slot->visitor, MAG_BIAS_FENCE_BIT);
		cache->first.slot[1].visitor = cache->first.slot[0].visitor = 0;
		cache->first.slot[1].fenced = cache->first.slot[0].fenced = 0;
	}
}

TEST(test_an_owner_that_acknowledged_fences_is_visited_again, setup_failing, teardown)
{
	uint64_t sent = mag_bias_membarriers();
	struct share share = {.n = COUNT};
	unsigned int n = 40, one = 1;

	skip_without_membarrier();
	run_on_lcore(1, fill_run, &n);
	run_on_lcore(2, fill_run, &n);
	steal_all();
	assert_int_equal(cache->first.slot[1].fenced, 0);
	/* Only the first comes by. */
	run_on_lcore(1, fill_run, &n);
	assert_int_equal(cache->first.slot[1].fenced, 1);
	assert_int_equal(cache->first.slot[2].fenced, 0);
	assert_false(mag_cache_may_visit(cache));
	n = mag_slot_objects(&cache->first.slot[2]);
	assert_true(mag_slot_objects(&cache->first.slot[1]) > 0);
	take_run(&share);
	assert_int_equal(share.n, COUNT - n);
	assert_int_equal(mag_slot_objects(&cache->first.slot[1]), 0);
	assert_int_equal(mag_slot_objects(&cache->first.slot[2]), n);
	give_run(&share);
	/* A purge wants all of them. */
	assert_int_equal(mag_cache_purge(cache), -EAGAIN);
	assert_sizes(ROUNDS);
	run_on_lcore(2, fill_run, &one);
	assert_true(mag_cache_may_visit(cache));
	assert_int_equal(mag_cache_purge(cache), 0);
	assert_int_equal(in_slots(), 0);
	mag_cache_enable(cache);
	run_on_lcore(2, fill_run, &one);
	assert_int_equal(mag_cache_take_all(cache, share.objects, COUNT, true), 0);
	mag_cache_give(cache, share.objects, COUNT);
	assert_int_equal(mag_cache_resize(cache, 30, true), 0);
	assert_int_equal(mag_bias_membarriers(), sent);
}

/* As one that has claimed slot 1 just now, and read its word before. */
static void
owner_forgets(void)
{
	cache->first.slot[1].fenced = 0;
	at_fence = NULL;
}

TEST(test_an_owner_that_comes_during_a_sweep_is_not_visited_before_it_fences, setup_failing,
     teardown)
{
	unsigned int n = 40, count;

	skip_without_membarrier();
	try_purge();
	run_on_lcore(1, fill_run, &n);
	run_on_lcore(2, fill_run, &n);
	fill(n);
	count = mag_slot_objects(&cache->first.slot[1]);
	at_fence = owner_forgets;
	assert_int_equal(mag_cache_purge(cache), -EAGAIN);
	assert_null(at_fence);
	assert_int_equal(mag_slot_objects(&cache->first.slot[1]), count);
	assert_true(mag_slot_objects(&cache->first.slot[2]) > 0);
	assert_sizes(ROUNDS);
	cache->first.slot[1].fenced = 1;
	at_fence = owner_forgets;
	assert_int_equal(mag_cache_reap_now(cache, false), 0);
	assert_null(at_fence);
	assert_int_equal(mag_slot_objects(&cache->first.slot[1]), count);
	assert_int_equal(cache->first.slot[2].previous_rounds, 0);
	assert_int_equal(cache->first.slot[1].visitor, MAG_BIAS_FENCE_BIT | MAG_BIAS_ASKED);
}

TEST(test_a_purge_without_membarriers_waits_for_owners_that_fence, setup_failing, teardown)
{
	unsigned int n = 40;

	skip_without_membarrier();
	run_on_lcore(1, fill_run, &n);
	try_purge();
	run_on_lcore(1, fill_run, &n);
	run_on_lcore(2, fill_run, &n);
	assert_true(mag_bias_enter_careful(&cache->first.slot[1]));
	assert_int_equal(mag_cache_purge(cache), -EAGAIN);
	assert_int_equal(cache->common.visits_denied, 1);
	assert_true(mag_slot_objects(&cache->first.slot[1]) > 0);
	mag_slot_leave(&cache->first.slot[1]);
	assert_int_equal(mag_cache_purge(cache), 0);
	mag_cache_enable(cache);
}

static _Atomic bool has_filled, leave_now;

static void
fill_and_stay_run(void *arg)
{
	fill_run(arg);
	atomic_store(&has_filled, true);
	while (!atomic_load(&leave_now))
		let_pass(1);
}

TEST(test_who_claims_a_slot_when_membarriers_failed_fences_from_the_first, setup_failing, teardown)
{
	struct share share = {.n = COUNT};
	unsigned int n = 40;
	struct task task;

	skip_without_membarrier();
	fill(n);
	run_on_lcore(1, fill_run, &n);
	run_on_lcore(2, fill_run, &n);
	atomic_store(&leave_now, false);
	steal_all();
	run_on_lcore(1, fill_run, &n);
	run_on_lcore(2, fill_run, &n);
	task_registered(&task, fill_and_stay_run, &n);
	wait_until(atomic_load(&has_filled));
	assert_true(mag_cache_may_visit(cache));
	assert_int_equal(mag_cache_purge(cache), 0);
	mag_cache_enable(cache);
	atomic_store(&leave_now, true);
	task_join(&task);
	take_run(&share);
	assert_int_equal(share.n, COUNT);
	give_run(&share);
}

TEST(test_the_magazine_size_changes_when_all_owners_fence, setup_failing, teardown)
{
	unsigned int n = 40;

	skip_without_membarrier();
	run_on_lcore(1, fill_run, &n);
	run_on_lcore(2, fill_run, &n);
	steal_all();
	run_on_lcore(1, fill_run, &n);
	atomic_fetch_add(&cache->first.depot.full.contention, 100);
	mag_cache_update(cache);
	assert_int_equal(cache->common.type, ROUNDS);
	/* Nobody is asked for a change that cannot be. */
	assert_int_equal(cache->first.slot[1].visitor, MAG_BIAS_FENCE_BIT);
	run_on_lcore(2, fill_run, &n);
	atomic_fetch_add(&cache->first.depot.full.contention, 100);
	mag_cache_update(cache);
	assert_int_equal(cache->common.type, 30);
}

TEST(test_a_cache_made_when_membarriers_failed_has_fences, setup_failing, teardown)
{
	struct ground old_ground = ground;
	struct mag_cache *old = cache;

	skip_without_membarrier();
	steal_all();
	try_purge();
	setup_flags(MAG_CACHE_DYNAMIC);
	assert_int_equal(cache->common.bias, MAG_BIAS_FENCE);
	assert_int_equal(mag_cache_purge(cache), 0);
	mag_cache_enable(cache);
	assert_int_equal(mag_cache_destroy(cache), 0);
	ground_drop(&ground);
	ground = old_ground;
	cache = old;
}

/* Nobody uses it: no owner needs a fence. */
TEST(test_a_cache_is_destroyed_though_membarriers_fail, setup_failing, teardown)
{
	unsigned int n = 40, times;

	skip_without_membarrier();
	/* The first time the sweep finds out, then it is known. */
	for (times = 0; times < 2; times++) {
		run_on_lcore(1, fill_run, &n);
		assert_int_equal(mag_cache_destroy(cache), 0);
		assert_true(mag_bias_has_given_up());
		ground_drop(&ground);
		mag_bias_forbid_membarrier(false);
		setup_flags(MAG_CACHE_DYNAMIC);
		if (times == 0)
			try_purge();
	}
}

TEST(test_a_visited_owner_uses_the_shared_slot_and_during_a_purge_the_slabs, setup, teardown)
{
	void *object = mag_cache_alloc(cache);

	mag_bias_announce(own(), MAG_BIAS_VISIT);
	mag_cache_free(cache, object);
	assert_int_equal(mag_slot_objects(&cache->first.slot[MAG_SLOT_SHARED]), 1);
	assert_ptr_equal(mag_cache_alloc(cache), object);
	mag_bias_announce(own(), MAG_BIAS_PURGE);
	mag_cache_free(cache, object);
	assert_int_equal(in_slots(), 0);
	assert_int_equal(cache->first.slab.out, 0);
	assert_non_null(object = mag_cache_alloc(cache));
	mag_bias_dismiss(own(), MAG_BIAS_VISIT | MAG_BIAS_PURGE);
	mag_cache_free(cache, object);
	assert_int_equal(mag_slot_objects(own()), 1);
}

TEST(test_a_busy_shared_slot_is_passed_by, setup, teardown)
{
	struct share share = {.n = 5};
	struct mag_request request = {0};

	mag_lock_wait(&cache->first.shared);
	mag_bias_announce(own(), MAG_BIAS_VISIT);
	assert_int_equal(mag_cache_take(cache, share.objects, 5, &request), 5);
	assert_false(request.refused);
	mag_request_end(&cache->common, &request);
	mag_cache_give(cache, share.objects, 5);
	assert_int_equal(cache->first.slab.out, 0);
	mag_bias_dismiss(own(), MAG_BIAS_VISIT);
	mag_lock_release(&cache->first.shared);
}

TEST(test_an_owner_that_was_turned_away_has_what_is_in_the_depot, setup, teardown)
{
	struct share share = {.n = COUNT};
	struct mag_request request = {0};

	take_run(&share);
	give_run(&share);
	assert_int_equal(cache->first.slab.out, COUNT);
	mag_lock_wait(&cache->first.shared);
	mag_bias_announce(own(), MAG_BIAS_VISIT);
	assert_int_equal(mag_cache_take(cache, share.objects, 5, &request), 5);
	assert_distinct(&ground, share.objects, 5);
	mag_request_end(&cache->common, &request);
	assert_int_equal(cache->first.slab.out, COUNT - (ROUNDS - 5));
	assert_int_equal(mag_cache_available(cache), COUNT - 5);
	assert_int_equal(mag_cache_take(cache, share.objects + 5, ROUNDS + 1, &request),
			 ROUNDS + 1);
	assert_distinct(&ground, share.objects, ROUNDS + 6);
	assert_false(request.refused);
	mag_request_end(&cache->common, &request);
	mag_bias_dismiss(own(), MAG_BIAS_VISIT);
	mag_lock_release(&cache->first.shared);
	mag_cache_give(cache, share.objects, ROUNDS + 6);
}

static void
one_run(void *arg)
{
	void *object;

	*(int *)arg = mag_cache_take_all(cache, &object, 1, true);
}

/* Who wants less than a request holds that wants more is not refused in silence. */
static void
request_and_end(struct share *have, unsigned int n)
{
	struct mag_request request = {0};
	uint64_t denied = MAG_STAT(cache->common.steal_denied);
	void *objects[COUNT];
	int ret = 0;

	assert_int_equal(mag_cache_take(cache, objects, n + 1, &request), n);
	assert_int_equal(MAG_STAT(cache->common.transit), n);
	assert_int_equal(mag_cache_reachable(cache), n);
	assert_int_equal(mag_cache_available(cache), 0);
	run_on_thread(one_run, &ret);
	assert_int_equal(ret, -ENOBUFS);
	assert_true(MAG_STAT(cache->common.steal_denied) > denied);
	mag_request_end(&cache->common, &request);
	assert_int_equal(MAG_STAT(cache->common.transit), 0);
	assert_int_equal(mag_cache_available(cache), 0);
	memcpy(have->objects + have->n, objects, n * sizeof(void *));
	have->n += n;
}

TEST(test_what_a_request_holds_while_it_wants_more_is_in_transit, setup, teardown)
{
	struct share have = {.n = COUNT};

	take_run(&have);
	assert_int_equal(have.n, COUNT);
	have.n -= 5;
	mag_cache_free_bulk(cache, have.objects + have.n, 5);
	assert_int_equal(mag_slot_objects(own()), 5);
	request_and_end(&have, 5);
	have.n -= 7;
	mag_cache_give_past(cache, have.objects + have.n, 7);
	request_and_end(&have, 7);
	have.n -= 4 * ROUNDS;
	mag_cache_free_bulk(cache, have.objects + have.n, 4 * ROUNDS);
	assert_int_equal(mag_depot_total(&cache->first.depot.full), 2);
	assert_int_equal(mag_slot_objects(own()), 2 * ROUNDS);
	request_and_end(&have, 4 * ROUNDS);
	have.n -= 4 * ROUNDS;
	mag_cache_free_bulk(cache, have.objects + have.n, 4 * ROUNDS);
	/* The depot past the slot. */
	assert_int_equal(mag_cache_alloc_burst(cache, have.objects + have.n, 2 * ROUNDS),
			 2 * ROUNDS);
	have.n += 2 * ROUNDS;
	assert_int_equal(mag_slot_objects(own()), 0);
	mag_lock_wait(&cache->first.shared);
	mag_bias_announce(own(), MAG_BIAS_VISIT);
	request_and_end(&have, 2 * ROUNDS);
	mag_bias_dismiss(own(), MAG_BIAS_VISIT);
	mag_lock_release(&cache->first.shared);
	give_run(&have);
}

static struct share user;

static void
owner_takes(void)
{
	user.n = mag_slot_pick(&cache->first.slot[1], user.objects, ROUNDS);
	MAG_COUNT(cache->first.slot[1].allocs, user.n);
	at_fence = NULL;
}

TEST(test_a_thief_does_not_take_what_it_holds_for_what_others_hold, setup, teardown)
{
	struct share share = {.n = COUNT - 10};
	unsigned int n = 10;

	take_run(&share);
	run_on_lcore(1, fill_run, &n);
	assert_int_equal(mag_slot_objects(&cache->first.slot[1]), 10);
	give_run(&share);
	at_fence = owner_takes;
	assert_int_equal(mag_cache_take_all(cache, share.objects, COUNT, true), -ENOBUFS);
	assert_null(at_fence);
	assert_int_equal(user.n, 10);
	assert_int_equal(cache->common.steals, 1);
	assert_int_equal(cache->common.steal_denied, 0);
	give_run(&user);
}

/* Everybody allocates and frees while one thread visits all the time. */

static struct {
	_Atomic bool stop;
	_Atomic uint64_t turns;
	_Atomic uint32_t owner[COUNT];
	_Atomic uint32_t clashes;
} crowd;

static _Atomic uint32_t *
owner_of(const void *object)
{
	return &crowd.owner[((const char *)object - ground.memory) / SIZE];
}

static void
crowd_run(void *arg)
{
	uint32_t seed = *(uint32_t *)arg;
	void *objects[48];
	unsigned int i, n;

	while (!atomic_load_explicit(&crowd.stop, memory_order_relaxed)) {
		seed = seed * 1103515245 + 12345;
		n = mag_cache_alloc_burst(cache, objects, 1 + (seed >> 16) % RTE_DIM(objects));
		for (i = 0; i < n; i++)
			if (!ground_has(&ground, objects[i]) ||
			    atomic_exchange(owner_of(objects[i]), 1) != 0)
				atomic_fetch_add(&crowd.clashes, 1);
		for (i = 0; i < n; i++)
			atomic_store(owner_of(objects[i]), 0);
		mag_cache_free_bulk(cache, objects, n);
		atomic_fetch_add_explicit(&crowd.turns, 1, memory_order_relaxed);
	}
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

/* Until it came to what is counted, too: owners that are preempted may deny all for a while. */
static void
crowd_disturbed_by(void (*disturb)(unsigned int turn), const _Atomic uint64_t *counted)
{
	uint64_t end = wait_deadline();
	uint32_t seed[4] = {1, 2, 3, 4};
	struct task task[4];
	unsigned int i;

	memset(&crowd, 0, sizeof(crowd));
	task_lcore(&task[0], 1, crowd_run, &seed[0]);
	task_lcore(&task[1], 2, crowd_run, &seed[1]);
	task_thread(&task[2], crowd_run, &seed[2]);
	task_registered(&task[3], crowd_run, &seed[3]);
	for (i = 0; i < 100 || atomic_load(&crowd.turns) < 3000 ||
		    (MAG_STAT(*counted) == 0 && !wait_is_over(end));
	     i++)
		disturb(i);
	atomic_store(&crowd.stop, true);
	for (i = 0; i < RTE_DIM(task); i++)
		task_join(&task[i]);
	assert_int_equal(crowd.clashes, 0);
	assert_true(MAG_STAT(*counted) > 0);
	assert_int_equal(cache->first.slab.invalid, 0);
	assert_depot_is_of_one_type();
	assert_int_equal(mag_cache_available(cache), COUNT);
}

static void
disturb_by_resizing(unsigned int turn)
{
	mag_cache_resize(cache, turn % 2 == 0 ? 30 : ROUNDS, true);
}

static void
grow_meanwhile(void)
{
	assert_int_equal(mag_cache_resize(cache, 30, true), 0);
}

TEST(test_a_magazine_of_a_size_no_longer_in_force_is_given_back, setup, teardown)
{
	struct share share = {.n = 20};

	take_run(&share);
	meanwhile = grow_meanwhile;
	give_run(&share);
	assert_null(meanwhile);
	assert_int_equal(cache->common.type, 30);
	assert_int_equal(own()->capacity, 30);
	assert_int_equal(own()->rounds, 20);
	assert_int_equal(cache->first.arena.out, 1);
	assert_depot_is_of_one_type();
}

static void
purge_meanwhile(void)
{
	assert_int_equal(mag_cache_purge(cache), 0);
}

TEST(test_a_magazine_for_a_layer_that_went_off_is_given_back, setup, teardown)
{
	struct share share = {.n = 20};

	take_run(&share);
	meanwhile = purge_meanwhile;
	give_run(&share);
	assert_null(meanwhile);
	assert_int_equal(cache->first.arena.out, 0);
	assert_int_equal(cache->first.slab.out, 0);
	mag_cache_enable(cache);
}

static void
announce_meanwhile(void)
{
	mag_bias_announce(own(), MAG_BIAS_VISIT | MAG_BIAS_PURGE);
}

TEST(test_a_magazine_for_a_slot_that_is_being_purged_is_given_back, setup, teardown)
{
	struct share share = {.n = 20};

	take_run(&share);
	meanwhile = announce_meanwhile;
	give_run(&share);
	assert_null(meanwhile);
	assert_int_equal(cache->first.arena.out, 0);
	assert_int_equal(cache->first.slab.out, 0);
	mag_bias_dismiss(own(), MAG_BIAS_VISIT | MAG_BIAS_PURGE);
}

static void
free_meanwhile(void)
{
	struct share share = {.n = ROUNDS + 5};

	take_run(&share);
	give_run(&share);
}

TEST(test_a_free_starts_over_when_it_has_a_magazine, setup, teardown)
{
	struct share share = {.n = 20};

	take_run(&share);
	meanwhile = free_meanwhile;
	give_run(&share);
	assert_null(meanwhile);
	assert_int_equal(in_slots() + ROUNDS * mag_depot_total(&cache->first.depot.full),
			 20 + ROUNDS + 5);
	assert_int_equal(mag_cache_available(cache), COUNT);
	assert_depot_is_of_one_type();
}

TEST(test_a_flush_brings_full_magazines_to_the_depot_before_it_lets_the_slot_go, setup, teardown)
{
	fill(2 * ROUNDS + 5);
	assert_int_equal(own()->rounds, 5);
	assert_int_equal(mag_depot_total(&cache->first.depot.full), 1);
	atomic_store(&not_held, 0);
	mag_lcore_flush();
	assert_int_equal(mag_depot_total(&cache->first.depot.full), 2);
	assert_int_equal(not_held, 0);
	assert_int_equal(cache->first.slab.out, 2 * ROUNDS);
	assert_int_equal(in_slots(), 0);
}

static void
disturb_by_purging(unsigned int turn)
{
	if (mag_cache_purge(cache) == 0)
		mag_cache_enable(cache);
	else if (turn % 2 == 0)
		sched_yield();
}

static void
disturb_by_reaping(unsigned int turn)
{
	mag_cache_reap_now(cache, turn % 4 == 0);
	mag_cache_update(cache);
}

static unsigned int partial;

/* As a visitor to everybody: previous is full, empty or absent, and of the type in force. */
static void
inspect(void)
{
	const struct mag_slot *lcore;
	unsigned int i;
	uint32_t rounds;

	mag_lock_wait(&cache->first.visit);
	for (i = 0; i < MAG_SLOT_SHARED; i++)
		mag_bias_announce(&cache->first.slot[i], MAG_BIAS_VISIT);
	mag_bias_fence(cache->common.bias);
	mag_lock_wait(&cache->first.shared);
	for (i = 0; i < MAG_SLOTS; i++) {
		lcore = &cache->first.slot[i];
		if (i != MAG_SLOT_SHARED && !mag_bias_granted(&cache->first.slot[i], 0))
			continue;
		rounds = MAG_STAT(lcore->previous_rounds);
		if (lcore->previous == NULL ? rounds != 0 :
					      rounds != 0 && rounds != lcore->previous->rounds)
			partial++;
		if (lcore->previous != NULL && lcore->previous->rounds != lcore->size)
			partial++;
		if (MAG_STAT(lcore->capacity) !=
		    (lcore->loaded != NULL ? lcore->loaded->rounds : 0))
			partial++;
	}
	mag_lock_release(&cache->first.shared);
	for (i = 0; i < MAG_SLOT_SHARED; i++)
		mag_bias_dismiss(&cache->first.slot[i], MAG_BIAS_VISIT);
	mag_lock_release(&cache->first.visit);
}

static void
disturb_by_stealing(void)
{
	struct share share;

	if (mag_cache_take_all(cache, share.objects, COUNT / 2, true) == 0)
		mag_cache_give(cache, share.objects, COUNT / 2);
}

static void
disturb_in_every_way(unsigned int turn)
{
	switch (turn % 6) {
	case 0:
		disturb_by_purging(turn);
		break;
	case 1:
		mag_cache_reap_now(cache, false);
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

TEST(test_previous_is_never_partial_whoever_visited, setup, teardown)
{
	partial = 0;
	crowd_disturbed_by(disturb_in_every_way, &cache->reaps);
	assert_int_equal(partial, 0);
}

TEST(test_nobody_notices_that_magazines_change_their_size, setup, teardown)
{
	crowd_disturbed_by(disturb_by_resizing, &cache->resizes);
}

TEST(test_nobody_notices_purges, setup, teardown)
{
	crowd_disturbed_by(disturb_by_purging, &cache->purges);
}

TEST(test_nobody_notices_reaps, setup, teardown)
{
	crowd_disturbed_by(disturb_by_reaping, &cache->reaps);
}

int
main(void)
{
	eal_start(3, NULL);
	return tests_run(NULL, NULL);
}
