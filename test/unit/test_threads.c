/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Threads that register with EAL and go, by the hundred; threads that ask for blocks that they
 * cannot have.
 */

#include "eal.h"
#include "visits/steal.h"

#include "base/compat.h"
#include "fixture.h"
#include "home/slab_objects.h"
#include "outside/pass.h"
#include "slot/hands.h"

#define COUNT 4096
#define SIZE 64
#define TURNS 300
#define AT_ONCE 4

static void
setup_options(uint32_t visit)
{
	struct mag_options options = mag_options_default;

	options.visit = visit;
	fixture_pool("pool", COUNT, SIZE, COUNT, &options);
}

SETUP(setup)
{
	setup_options(1);
}

SETUP(setup_quiet)
{
	setup_options(0);
}

TEARDOWN(teardown)
{
	assert_int_equal(mag_maint_interval(0), 0);
	assert_int_equal(cache->first.slab.invalid, 0);
	fixture_drop();
}

/* Magazines that are not free: what slots of threads that are gone hold would be among them. */
static uint64_t
magazines_out(void)
{
	return cache->first.arena.out - depot_full() - depot_empty();
}

static void
assert_no_slot_but_ours_holds_a_magazine(void)
{
	unsigned int own = mag_thread_slot();

	for (unsigned int i = 0; i < MAG_SLOT_SHARED; i++) {
		if (i == own)
			continue;
		assert_int_equal(slot_holds(i), 0);
		assert_null(slot_at(i)->loaded);
		assert_null(slot_at(i)->previous);
		assert_int_equal(mag_thread_lcore(i), LCORE_ID_ANY);
	}
}

static void
come_and_go(void)
{
	unsigned int n = COUNT / 4, lcores, slots, owners;
	uint64_t heap, out;

	fill_run(&n);
	run_on_registered(fill_run, &n);
	lcores = rte_lcore_count();
	slots = mag_thread_slots();
	owners = mag_thread_owners();
	heap = heap_balance();
	out = magazines_out();
	for (unsigned int turn = 0; turn < TURNS; turn++) {
		n = 1 + random_below(COUNT / 2);
		run_on_registered(fill_run, &n);
		assert_int_equal(mag_thread_owners(), owners);
		assert_int_equal(mag_cache_available(cache), COUNT);
	}
	assert_int_equal(rte_lcore_count(), lcores);
	assert_int_equal(mag_thread_slots(), slots);
	assert_true(heap_balance() == heap);
	assert_true(magazines_out() == out);
	assert_no_slot_but_ours_holds_a_magazine();
	assert_all_can_be_had();
}

TEST(test_hundreds_that_come_and_go_reuse_one_slot_and_leave_nothing, setup, teardown)
{
	come_and_go();
}

TEST(test_they_leave_nothing_where_nobody_may_be_visited, setup_quiet, teardown)
{
	uint64_t membarriers = mag_bias_membarriers();

	come_and_go();
	assert_true(mag_bias_membarriers() == membarriers);
}

TEST(test_they_do_so_while_maintenance_reaps_and_others_steal, setup, teardown)
{
	unsigned int slots = mag_thread_slots(), n = COUNT;
	struct task task[AT_ONCE];

	assert_int_equal(mag_maint_interval(1), 0);
	for (unsigned int turn = 0; turn < TURNS / AT_ONCE; turn++) {
		for (unsigned int i = 0; i < AT_ONCE; i++)
			task_registered(&task[i], fill_run, &n);
		mag_reap_request();
		if (turn % 8 == 0)
			mag_cache_reap_now(cache, true);
		mag_cache_update(cache);
		for (unsigned int i = 0; i < AT_ONCE; i++)
			task_join(&task[i]);
		wait_until(mag_cache_available(cache) == COUNT);
	}
	assert_int_equal(mag_maint_interval(3600000), 0);
	assert_true(mag_thread_slots() <= RTE_MAX(slots, rte_lcore_count() + AT_ONCE));
	assert_no_slot_but_ours_holds_a_magazine();
	assert_all_can_be_had();
}

struct repeat {
	unsigned int slot;
	unsigned int strays;           /* times that it had another slot */
	unsigned int failed;           /* to register */
	_Atomic unsigned int *claimed; /* slots */
};

static void
repeat_run(void *arg)
{
	struct repeat *repeat = arg;

	repeat->failed = rte_thread_register() != 0;
	fill(COUNT / 4);
	repeat->slot = mag_thread_slot();
	/*
	 * Both have their slots: one that had ended already would have left its own to the other.
	 */
	atomic_fetch_add(repeat->claimed, 1);
	while (atomic_load(repeat->claimed) < 2)
		sched_yield();
	for (unsigned int turn = 0; turn < TURNS; turn++) {
		rte_thread_unregister();
		fill(COUNT / 4);
		repeat->strays += mag_thread_slot() != repeat->slot;
		repeat->failed += rte_thread_register() != 0;
		fill(COUNT / 4);
		repeat->strays += mag_thread_slot() != repeat->slot;
	}
	rte_thread_unregister();
}

TEST(test_one_thread_that_registers_again_and_again_keeps_its_slot, setup, teardown)
{
	unsigned int owners = mag_thread_owners();
	_Atomic unsigned int claimed = 0;
	struct repeat repeat[2] = {{.claimed = &claimed}, {.claimed = &claimed}};
	struct task task[2];

	for (unsigned int i = 0; i < 2; i++)
		task_thread(&task[i], repeat_run, &repeat[i]);
	for (unsigned int i = 0; i < 2; i++) {
		task_join(&task[i]);
		assert_int_equal(repeat[i].failed, 0);
		assert_int_equal(repeat[i].strays, 0);
		assert_true(repeat[i].slot < MAG_SLOT_SHARED);
	}
	assert_int_not_equal(repeat[0].slot, repeat[1].slot);
	assert_int_equal(mag_thread_owners(), owners);
	assert_no_slot_but_ours_holds_a_magazine();
	assert_all_can_be_had();
}

/* A thread that unregisters and lives on, with full magazines. */

static _Atomic unsigned int lingering;

static void
linger_run(void *arg __rte_unused)
{
	if (rte_thread_register() != 0)
		return;
	fill(COUNT / 2);
	rte_thread_unregister();
	atomic_store(&lingering, 1);
	while (atomic_load(&lingering) == 1)
		let_pass(1);
}

static unsigned int
in_other_slots(void)
{
	return mag_cache_in_lcores(cache) - mag_slot_objects(own_slot());
}

TEST(test_objects_of_a_thread_that_unregistered_and_lives_on_can_be_had, setup, teardown)
{
	struct task task;

	atomic_store(&lingering, 0);
	task_thread(&task, linger_run, NULL);
	wait_until(atomic_load(&lingering) == 1);
	assert_true(in_other_slots() > 0);
	/* Its lcore id is free for another, which gets a slot of its own. */
	run_on_registered(fill_run, &(unsigned int){8});
	assert_true(in_other_slots() > 0);
	assert_all_can_be_had();
	assert_int_equal(in_other_slots(), 0);
	atomic_store(&lingering, 2);
	task_join(&task);
	assert_all_can_be_had();
}

/* Blocks that are never had: each request holds, for a moment, what there is of them. */

#define BLOCK 8
#define TAIL 4
#define RUNS 2
#define ALL (RUNS * (BLOCK + TAIL))
#define ALL_TURNS 20000

/* Runs of a block and a tail, with a gap after each. */
SETUP(setup_runs)
{
	struct mag_region_params params =
		REGION_PARAMS(.name = "runs", .object_size = SIZE, .block = BLOCK);
	void *objects[ALL];

	ground = (struct ground){.region = mag_region_create(&params),
				 .memory = aligned_alloc(SIZE, (ALL + RUNS) * SIZE)};
	assert_non_null(ground.region);
	for (unsigned int i = 0; i < ALL; i++)
		objects[i] = ground.memory + (i + i / (BLOCK + TAIL)) * SIZE;
	assert_int_equal(mag_region_adopt(ground.region, objects, ALL, -1), 0);
	cache = make_cache(
		CACHE_PARAMS(.name = "runs", .object_size = SIZE, .region = ground.region));
}

TEARDOWN(teardown_runs)
{
	assert_int_equal(mag_cache_available(cache), ALL);
	drop_cache(cache);
	ground_drop(&ground);
}

static void
ask_for_blocks(void)
{
	void *first[RUNS + 1];

	assert_int_equal(mag_cache_take_blocks(cache, first, RUNS + 1), -ENOBUFS);
}

/* Stands in front of the library's own, to do something while a request has all whole segments. */
static _Thread_local void (*meanwhile)(void);

struct mag_segment *
mag_region_get_whole(struct mag_region *region, uint32_t part)
{
	struct mag_segment *segment = LIBRARYS(mag_region_get_whole)(region, part);

	if (segment == NULL && meanwhile != NULL)
		meanwhile();
	return segment;
}

static int refusal;

static void
take_all_meanwhile(void)
{
	void *objects[ALL];

	meanwhile = NULL;
	refusal = mag_cache_take_all(cache, objects, ALL, true);
}

TEST(test_a_refusal_for_blocks_that_another_asks_for_is_counted, setup_runs, teardown_runs)
{
	meanwhile = take_all_meanwhile;
	ask_for_blocks();
	assert_null(meanwhile);
	assert_int_equal(refusal, -ENOBUFS);
	assert_int_equal(cache->common.steal_denied, 1);
}

/* The sum of what can be had, as it is when somebody has asked for blocks while it was taken. */
static _Thread_local bool ask_meanwhile;
static uint64_t without_blocks;

static void
count_meanwhile(void)
{
	const struct mag_slab_layer *layer = &cache->first.slab;

	without_blocks = LIBRARYS(mag_slab_available)(layer) - layer->moving;
}

uint64_t
mag_slab_available(const struct mag_slab_layer *layer)
{
	uint64_t moving = layer->moving;

	if (!ask_meanwhile)
		return LIBRARYS(mag_slab_available)(layer);
	meanwhile = count_meanwhile;
	ask_for_blocks();
	meanwhile = NULL;
	return moving + without_blocks;
}

TEST(test_a_refusal_for_blocks_that_are_back_is_counted, setup_runs, teardown_runs)
{
	struct mag_request request = {0};
	void *objects[ALL];

	ask_meanwhile = true;
	assert_int_equal(mag_cache_steal(cache, objects, ALL, &request), 0);
	ask_meanwhile = false;
	assert_int_equal(without_blocks, RUNS * TAIL);
	assert_int_equal(cache->common.steal_denied, 1);
}

static _Atomic bool blocks_end;
static _Atomic uint64_t blocks_asked;

static void
yield_meanwhile(void)
{
	sched_yield();
}

static void
blocks_run(void *arg __rte_unused)
{
	meanwhile = yield_meanwhile;
	while (!atomic_load_explicit(&blocks_end, memory_order_relaxed)) {
		ask_for_blocks();
		blocks_asked++;
	}
}

TEST(test_blocks_that_cannot_be_had_refuse_nobody_unnoticed, setup_runs, teardown_runs)
{
	unsigned int refused = 0;
	struct task task;
	void *objects[ALL];

	atomic_store(&blocks_end, false);
	atomic_store(&blocks_asked, 0);
	task_thread(&task, blocks_run, NULL);
	wait_until(atomic_load(&blocks_asked) > 0);
	for (unsigned int turn = 0; turn < ALL_TURNS; turn++)
		if (mag_cache_take_all(cache, objects, ALL, true) == 0)
			mag_cache_give_past(cache, objects, ALL);
		else
			refused++;
	atomic_store(&blocks_end, true);
	task_join(&task);
	assert_true(refused <= cache->common.steal_denied);
}

static _Atomic unsigned int controls;

static void *
control_run(void *arg)
{
	if (arg == &controls && rte_lcore_id() == LCORE_ID_ANY)
		atomic_fetch_add(&controls, 1);
	return NULL;
}

TEST(test_control_threads_are_joined_or_detached)
{
	pthread_t thread = 0;

	atomic_store(&controls, 0);
	for (unsigned int turn = 0; turn < TURNS; turn++) {
		assert_int_equal(
			mag_ctrl_thread_create(&thread, "mag-test", control_run, &controls), 0);
		if (turn % 2 != 0)
			assert_int_equal(pthread_detach(thread), 0);
		else
			assert_int_equal(pthread_join(thread, NULL), 0);
	}
	wait_until(atomic_load(&controls) == TURNS);
}

/* Threads that end, or are cancelled, in a callback of their own allocation or free. */

#define ENDING_COUNT 256
#define ENDING_BULK 8

static _Atomic bool ends_in_constructor, ends_in_destructor, waits_there, waiting;
static _Atomic bool *ends_at;
/* The thread that ends has no slot. */
static bool ends_without_slot;

static void
end_here(_Atomic bool *wanted)
{
	if (!atomic_exchange(wanted, false))
		return;
	if (!atomic_load(&waits_there))
		pthread_exit(NULL);
	/* Until it is cancelled. */
	atomic_store(&waiting, true);
	for (;;)
		pause();
}

static int
ending_construct(const struct mag_object_info *object __rte_unused,
		 const struct mag_object_info *mirror __rte_unused, void *arg __rte_unused,
		 unsigned int flags __rte_unused)
{
	end_here(&ends_in_constructor);
	return 0;
}

static void
ending_destruct(void *object __rte_unused, void *arg __rte_unused)
{
	end_here(&ends_in_destructor);
}

static int
setup_ending(void **state __rte_unused)
{
	fixture_cache(ENDING_COUNT,
		      CACHE_PARAMS(.name = "ending", .object_size = SIZE,
				   .constructor = ending_construct, .destructor = ending_destruct));
	return 0;
}

/* Threads that ended have objects, with which the cache is not destroyed: they are given back. */
static int
teardown_ending(void **state __rte_unused)
{
	struct mag_slab_object found;
	unsigned int i;
	void *object;

	for (i = 0; i < ENDING_COUNT; i++) {
		object = RTE_PTR_ADD(ground.memory, (size_t)i * SIZE);
		if (mag_slab_find(&cache->first.slab, object, &found))
			mag_cache_free_nocache(cache, object);
	}
	fixture_drop();
	return 0;
}

static void *
end_in_a_callback(void *arg)
{
	void *objects[ENDING_BULK];
	unsigned int n = ENDING_BULK;

	mag_thread_forbid_claim(ends_without_slot);
	/* Some of the next bulk are in a magazine, if there are any, and on their way meanwhile. */
	if (mag_cache_alloc_bulk(cache, objects, n / 2) != n / 2)
		return arg;
	mag_cache_free_bulk(cache, objects, n / 2);
	atomic_store(ends_at, true);
	if (mag_cache_alloc_bulk(cache, objects, n) != n)
		return arg;
	mag_cache_free_bulk(cache, objects, n);
	return arg;
}

/* PTHREAD_CANCELED or NULL: how it ended; itself if it did not. */
static void *
run_to_its_end(bool cancel)
{
	pthread_t thread;
	void *how;

	atomic_store(&waits_there, cancel);
	atomic_store(&waiting, false);
	assert_int_equal(pthread_create(&thread, NULL, end_in_a_callback, &waits_there), 0);
	if (cancel) {
		wait_until(atomic_load(&waiting));
		assert_int_equal(pthread_cancel(thread), 0);
	}
	assert_int_equal(pthread_join(thread, &how), 0);
	return how;
}

/* Nobody waits for the thread, and the next pass puts in order what it had on its way. */
static void
assert_nothing_in_hand(void)
{
	const struct mag_home *home = &cache->first;
	uint64_t sum;

	assert_true(mag_hands_are_empty(&sum));
	assert_int_equal(mag_maint_interval(1), 0);
	mag_pass_forbid(false);
	wait_until(mag_pass_run(true) && cache->common.transit == 0);
	mag_pass_forbid(true);
	assert_int_equal(mag_maint_interval(0), 0);
	assert_int_equal(home->slab.moving, 0);
	assert_int_equal(cache_purge(), 0);
	assert_int_equal(home->arena.out, 0);
	assert_int_equal(cache_enable(), 0);
}

static void
assert_ends_alone(_Atomic bool *where, bool cancel)
{
	void *objects[ENDING_COUNT];
	unsigned int n, lost = 0;
	uint32_t owners;

	mag_thread_claim();
	owners = mag_thread_owners();
	ends_at = where;
	for (unsigned int i = 0; i < 2; i++) {
		ends_without_slot = i == 1;
		/* No magazine takes what is freed. */
		if (ends_at == &ends_in_destructor)
			assert_int_equal(cache_purge(), 0);
		assert_ptr_equal(run_to_its_end(cancel), cancel ? PTHREAD_CANCELED : NULL);
		assert_false(atomic_load(where));
		assert_int_equal(mag_thread_owners(), owners);
		/* All but those of its call can be had, lists are free, and so is the perimeter. */
		n = mag_cache_alloc_burst(cache, objects, ENDING_COUNT);
		lost += ENDING_BULK;
		assert_true(n >= ENDING_COUNT - lost);
		mag_cache_free_bulk(cache, objects, n);
		assert_int_equal(mag_cache_reap_now(cache, true), 0);
		assert_nothing_in_hand();
	}
}

TEST(test_a_thread_that_ends_in_a_constructor_takes_no_more_than_its_objects, setup_ending,
     teardown_ending)
{
	assert_ends_alone(&ends_in_constructor, false);
}

TEST(test_a_thread_that_is_cancelled_in_a_constructor_takes_no_more, setup_ending, teardown_ending)
{
	assert_ends_alone(&ends_in_constructor, true);
}

TEST(test_a_thread_that_ends_in_a_destructor_takes_no_more_than_its_objects, setup_ending,
     teardown_ending)
{
	assert_ends_alone(&ends_in_destructor, false);
}

TEST(test_a_thread_that_is_cancelled_in_a_destructor_takes_no_more, setup_ending, teardown_ending)
{
	assert_ends_alone(&ends_in_destructor, true);
}

TEST_PROGRAM(3)
