/* SPDX-License-Identifier: BSD-3-Clause */

/* Caches that are watched: guard, audit, writes to free objects, and use counts. */

#include "eal.h"

#include <execinfo.h>
#include <signal.h>
#include <sys/wait.h>

#include <rte_atomic.h>
#include <rte_cycles.h>

#include "base/meta.h"
#include "fixture.h"
#include "home/slab_objects.h"
#include "mag_maint.h"
#include "stores/ledger.h"
#include "stores/samples.h"
#include "stores/snapshot.h"
#include "watch/holders.h"
#include "watch/leaks.h"
#include "watch/sampled.h"
#include "watch/stack.h"
#include "watch/watch.h"

#define BLOCK 16
#define COUNT (16 * BLOCK)
#define SIZE 256
#define WORKER 1

static void *objects[COUNT + 1];

/* Meanwhile a report of several lines, or of more calls, is logged, and has this part. */
#define assert_reported(part, ...)                                                                 \
	do {                                                                                       \
		log_begin();                                                                       \
		__VA_ARGS__;                                                                       \
		assert_logged(log_end(), part);                                                    \
	} while (0)

static struct mag_cache *
watched_make(struct mag_region *region, const char *options, unsigned int flags)
{
	return make_cache(CACHE_PARAMS(.name = "things", .object_size = SIZE, .region = region,
				       .flags = flags, .options = options));
}

#define SETUP_WATCHED(name, mode, options)                                                         \
	SETUP(name)                                                                                \
	{                                                                                          \
		ground = ground_make(COUNT, SIZE, BLOCK, mode);                                    \
		cache = watched_make(ground.region, options, 0);                                   \
	}

SETUP_WATCHED(setup_plain, 0, NULL)
SETUP_WATCHED(setup_shared, MAG_REGION_SHAREOK, NULL)
SETUP_WATCHED(setup_guard, 0, "guard=1")
SETUP_WATCHED(setup_audit, MAG_REGION_AUDIT, NULL)

static void
remake(const char *options, unsigned int flags)
{
	drop_cache(cache);
	cache = watched_make(ground.region, options, flags);
}

static uint64_t
bad_frees(void)
{
	return cache_stats(cache).invalid_frees;
}

/* Every object can be had once, and comes back: nothing was lost, nothing is there twice. */
TEARDOWN(teardown)
{
	assert_int_equal(mag_cache_available(cache), COUNT);
	assert_int_equal(mag_cache_alloc_burst(cache, objects, COUNT + 1), COUNT);
	assert_distinct(&ground, objects, COUNT);
	free_bulk(objects, COUNT);
	fixture_drop();
}

/* Guard */

TEST(test_a_second_free_is_refused_at_the_call_though_it_would_end_in_a_magazine, setup_guard,
     teardown)
{
	void *object = mag_cache_alloc(cache);
	const char *log;

	mag_cache_free(cache, object);
	log_begin();
	mag_cache_free(cache, object);
	log = log_end();
	assert_logged(log, "cache \"things\": free of 0x");
	assert_logged(log, "it is free already: refused, 1 so far");
	assert_logged(log, "now freed by thread");
	assert_logged(log, "audit=1");
	assert_int_equal(bad_frees(), 1);
}

TEST(test_an_object_twice_in_one_bulk_is_freed_once, setup_guard, teardown)
{
	alloc_bulk(objects, 99);
	objects[99] = objects[40];
	assert_reported("it is free already", free_bulk(objects, 100));
	assert_int_equal(bad_frees(), 1);
	assert_int_equal(mag_cache_available(cache), COUNT);
}

TEST(test_an_address_inside_an_object_is_refused, setup_guard, teardown)
{
	char *object = mag_cache_alloc(cache);
	char expected[64];

	snprintf(expected, sizeof(expected), "that is 24 bytes inside of object %p", object);
	assert_reported(expected, mag_cache_free(cache, object + 24));
	assert_reported("255 bytes inside", mag_cache_free(cache, object + SIZE - 1));
	mag_cache_free(cache, object);
	assert_int_equal(bad_frees(), 2);
}

/* A guarded cache on objects that lie so far apart; all of them are allocated. */
static struct mag_cache *
strided_make(char *first, uint32_t stride)
{
	struct mag_region *region = make_region(REGION_PARAMS(.name = "chunk", .object_size = SIZE,
							      .stride = stride, .block = BLOCK));
	struct mag_cache *made;

	for (unsigned int i = 0; i < BLOCK; i++)
		objects[i] = first + i * stride;
	assert_int_equal(mag_region_adopt(region, objects, BLOCK, -1), 0);
	made = watched_make(region, "guard=1", 0);
	assert_int_equal(mag_cache_alloc_burst(made, objects, BLOCK), BLOCK);
	return made;
}

static void
strided_drop(struct mag_cache *made)
{
	struct mag_region *region = made->region;

	mag_cache_free_bulk(made, objects, BLOCK);
	drop_cache(made);
	drop_region(region);
}

TEST(test_an_address_inside_the_last_object_of_a_chunk_is_told_from_a_foreign_one, setup_guard,
     teardown)
{
	char *memory = aligned_alloc(BLOCK * SIZE, 2 * BLOCK * SIZE), *end = memory + BLOCK * SIZE;
	struct mag_cache *odd = strided_make(memory + SIZE / 2, SIZE);

	assert_reported("that is 127 bytes inside", mag_cache_free(odd, end - 1));
	assert_reported("that is 128 bytes inside", mag_cache_free(odd, end));
	assert_reported("that is 255 bytes inside", mag_cache_free(odd, end + SIZE / 2 - 1));
	assert_reported("no object of it, or free so long that its slab is gone: refused, 4",
			mag_cache_free(odd, end + SIZE / 2));
	strided_drop(odd);
	free(memory);
}

TEST(test_an_address_between_two_objects_is_inside_of_none, setup_guard, teardown)
{
	char *first = ground_object(&ground, 0);
	struct mag_cache *apart = strided_make(first, 2 * SIZE);

	assert_reported("that is 8 bytes behind the end of object",
			mag_cache_free(apart, first + SIZE + 8));
	strided_drop(apart);
}

TEST(test_a_foreign_address_is_refused, setup_guard, teardown)
{
	struct ground other = ground_make(COUNT, SIZE, BLOCK, 0);
	/* One on another region, and one beside it on the same. */
	struct mag_cache *theirs[] = {watched_make(other.region, "guard=1", 0),
				      watched_make(ground.region, "guard=1", 0)};
	void *foreign[] = {mag_cache_alloc(theirs[0]), mag_cache_alloc(theirs[1]), foreign, NULL,
			   (void *)UINTPTR_MAX};

	for (unsigned int i = 0; i < RTE_DIM(foreign); i++)
		assert_reported("no object of it", mag_cache_free(cache, foreign[i]));
	assert_reported("no object of it", mag_cache_free_nocache(cache, foreign));
	assert_int_equal(bad_frees(), RTE_DIM(foreign) + 1);
	for (unsigned int i = 0; i < RTE_DIM(theirs); i++) {
		mag_cache_free(theirs[i], foreign[i]);
		drop_cache(theirs[i]);
	}
	ground_drop(&other);
}

TEST(test_reports_of_a_storm_become_rare_but_all_are_counted, setup_guard, teardown)
{
	void *object = mag_cache_alloc(cache);
	const char *log;

	mag_cache_free(cache, object);
	log_begin();
	for (unsigned int i = 0; i < 1000; i++)
		mag_cache_free(cache, object);
	log = log_end();
	assert_logged(log, "refused, 512 so far");
	assert_null(strstr(log, "refused, 513 so far"));
	assert_int_equal(bad_frees(), 1000);
}

/* Has a frame, which stacks are searched for: the call is not its last instruction. */
static __rte_noinline void
free_on_lcore(void *arg)
{
	mag_cache_free(cache, arg);
	rte_compiler_barrier();
}

static void
alloc_on_lcore(void *arg)
{
	*(void **)arg = mag_cache_alloc(cache);
}

TEST(test_frees_are_checked_whoever_had_the_object, setup_guard, teardown)
{
	void *object;

	run_on_lcore(WORKER, alloc_on_lcore, &object);
	assert_non_null(object);
	run_on_thread(free_on_lcore, object);
	assert_reported("1 so far", mag_cache_free(cache, object));
	assert_reported("2 so far", run_on_lcore(WORKER, free_on_lcore, object));
	assert_int_equal(bad_frees(), 2);
}

static void
take_most(void *arg __rte_unused)
{
	fill(COUNT - 8);
}

TEST(test_what_was_stolen_is_with_its_new_user, setup_guard, teardown)
{
	run_on_lcore(WORKER, take_most, NULL);
	alloc_bulk(objects, COUNT);
	assert_int_equal(objects_held(cache, objects, COUNT), COUNT);
	free_bulk(objects, COUNT);
	assert_int_equal(objects_held(cache, objects, COUNT), 0);
	assert_int_equal(bad_frees(), 0);
}

TEST(test_what_is_held_is_listed_also_after_purge_and_reap, setup_guard, teardown)
{
	void *held[COUNT];

	alloc_bulk(objects, 30);
	free_bulk(objects + 7, 23);
	assert_int_equal(cache_reap_all(), 0);
	assert_int_equal(objects_held(cache, held, COUNT), 7);
	assert_distinct(&ground, held, 7);
	assert_int_equal(objects_held(cache, held, 3), 3);
	free_bulk(objects, 7);
}

#define LISTINGS 300

static _Atomic bool listing;

static void
come_and_go(void *arg __rte_unused)
{
	unsigned int size = 64;

	while (listing) {
		fill(COUNT / 2);
		cache_reap_all();
		size = size == 64 ? 128 : 64;
		mag_slab_rescale(&cache->first.slab, size, -1);
	}
}

static bool
is_among(const void *object, void *const *held, unsigned int n)
{
	while (n > 0 && held[n - 1] != object)
		n--;
	return n > 0;
}

TEST(test_what_is_held_all_the_time_is_listed_once_while_slabs_come_and_go, setup_guard, teardown)
{
	unsigned int n;
	struct task task;
	void *held[COUNT];

	alloc_bulk(objects, COUNT / 2);
	for (unsigned int i = 0; i < COUNT / 2; i++)
		if (i % 5 != 0)
			mag_cache_free(cache, objects[i]);
	listing = true;
	task_lcore(&task, WORKER, come_and_go, NULL);
	for (unsigned int i = 0; i < LISTINGS; i++) {
		n = objects_held(cache, held, COUNT);
		for (unsigned int j = 0; j < COUNT / 2; j += 5)
			assert_true(is_among(objects[j], held, n));
		if (n > 0)
			assert_false(is_among(held[n - 1], held, n - 1));
	}
	listing = false;
	task_join(&task);
	for (unsigned int i = 0; i < COUNT / 2; i += 5)
		mag_cache_free(cache, objects[i]);
}

TEST(test_what_is_held_is_known_of_a_guarded_cache_only, setup_plain, teardown)
{
	void *object = mag_cache_alloc(cache), *held[1];
	struct mag_slab_object found;
	unsigned int count = 1;

	/* As its record would say of a guarded one. */
	mag_slab_hand_out(&cache->first.slab, &object, 1);
	assert_int_equal(mag_cache_held(cache, held, 1, &count), -ENOTSUP);
	assert_int_equal(count, 0);
	assert_int_equal(mag_slab_hand_back(&cache->first.slab, object, true, &found),
			 MAG_SLAB_GOOD);
	mag_cache_free(cache, object);
}

/* What the program would do if it were a user's, in a process of its own: it says how it ended. */
static int
end_of(void (*run)(void))
{
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		signal(SIGABRT, SIG_DFL);
		run();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void
free_twice(void)
{
	void *object = mag_cache_alloc(cache);

	mag_cache_free(cache, object);
	mag_cache_free(cache, object);
}

TEST(test_a_bad_free_ends_the_program_when_the_option_says_so, setup_guard, teardown)
{
	int status;

	assert_true(WIFEXITED(end_of(free_twice)));
	remake("guard=panic", 0);
	status = end_of(free_twice);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

TEST(test_a_cache_without_magazines_is_guarded_too, setup_guard, teardown)
{
	remake("guard=1", MAG_CACHE_NOMAGAZINES);
	assert_reported("refused, 1 so far", free_twice());
}

/* Guard with a ledger, as pools have it */

static int
setup_ledger(void **state)
{
	setup_guard(state);
	fixture_ledger();
	return 0;
}

TEST(test_a_ledger_tells_bad_frees_apart, setup_ledger, teardown)
{
	struct ground other = ground_make(COUNT, SIZE, BLOCK, 0);
	char *object = mag_cache_alloc(cache), *kept = mag_cache_alloc(cache);

	assert_reported("that is 24 bytes inside of object", mag_cache_free(cache, object + 24));
	assert_reported("that is 1 bytes inside of object", mag_cache_free(cache, object + 1));
	assert_reported("no object of it", mag_cache_free(cache, ground_object(&other, 0)));
	assert_reported("no object of it", mag_cache_free(cache, &object));
	assert_reported("no object of it", mag_cache_free(cache, NULL));
	mag_cache_free(cache, object);
	assert_reported("it is free already", mag_cache_free(cache, object));
	assert_reported("it is free already", mag_cache_free_nocache(cache, object));
	assert_int_equal(bad_frees(), 7);
	mag_cache_free(cache, kept);
	ground_drop(&other);
}

TEST(test_wild_addresses_in_the_middle_of_a_bulk_are_refused, setup_ledger, teardown)
{
	void *const wild[] = {NULL,
			      (void *)1,
			      (void *)UINTPTR_MAX,
			      (void *)(UINTPTR_MAX - 1),
			      (void *)(UINTPTR_MAX / 2),
			      &ground};
	void *bulk[2 * RTE_DIM(wild)];
	unsigned int i;

	for (i = 0; i < RTE_DIM(wild); i++) {
		bulk[2 * i] = mag_cache_alloc(cache);
		bulk[2 * i + 1] = wild[i];
	}
	assert_reported("no object of it", free_bulk(bulk, RTE_DIM(bulk)));
	assert_int_equal(bad_frees(), RTE_DIM(wild));
}

/* Of FAR objects no 16 are in one granule of the ledger. */
#define FAR 64
#define FAR_SIZE (160 << 10)

SETUP(setup_far)
{
	ground = ground_make(FAR, FAR_SIZE, 8, 0);
	cache = make_cache(CACHE_PARAMS(.name = "far", .object_size = FAR_SIZE,
					.region = ground.region, .options = "guard=1"));
	fixture_ledger();
}

TEST(test_a_bulk_may_be_of_many_granules, setup_far, fixture_teardown)
{
	void *all[FAR], *mixed[FAR + 1];
	unsigned int i;

	assert_int_equal(mag_cache_alloc_bulk(cache, all, FAR), FAR);
	for (i = 0; i < FAR; i++)
		mixed[i] = all[i * 37 % FAR];
	mixed[FAR] = all[0];
	assert_reported("it is free already", free_bulk(mixed, FAR + 1));
	assert_int_equal(bad_frees(), 1);
	assert_int_equal(mag_cache_available(cache), FAR);
}

TEST(test_of_a_bulk_only_good_objects_are_freed, setup_ledger, teardown)
{
	alloc_bulk(objects, 100);
	for (unsigned int i = 0; i < 100; i += 10)
		mag_cache_free(cache, objects[i]);
	assert_reported("it is free already", free_bulk(objects, 100));
	assert_int_equal(bad_frees(), 10);
	assert_int_equal(mag_cache_available(cache), COUNT);
}

/* As when two threads free it in the same instant: both find it with a user. */
static void
free_twice_at_once(void *object)
{
	struct mag_ledger_entry *entry = mag_ledger_find(ground.region->ledger, object);

	mag_cache_free(cache, object);
	atomic_fetch_or(&entry->object, MAG_LEDGER_USER);
	mag_cache_free(cache, object);
}

/* All of 20, as many at once as the second number says. */
static void
alloc_twenty(unsigned int (*alloc)(struct mag_cache *, void **, unsigned int), unsigned int bulk)
{
	for (unsigned int i = 0; i < 20; i += bulk)
		assert_int_equal(alloc(cache, objects + i, bulk), bulk);
}

TEST(test_an_object_that_was_freed_twice_at_once_is_handed_out_once, setup_ledger, teardown)
{
	unsigned int i, (*const alloc[])(struct mag_cache *, void **, unsigned int) = {
				mag_cache_alloc_bulk_slow, mag_cache_alloc_slow};

	/* Bulks that are more than a magazine holds, and some that are in one. */
	for (i = 0; i < 2 * RTE_DIM(alloc); i++) {
		alloc_bulk(objects, 20);
		free_bulk(objects, 10);
		free_twice_at_once(objects[10]);
		free_bulk(objects + 11, 9);
		assert_reported("it is with a user already",
				alloc_twenty(alloc[i / 2], i % 2 == 0 ? 20 : 5));
		assert_distinct(&ground, objects, 20);
		assert_int_equal(bad_frees(), i + 1);
		free_bulk(objects, 20);
		assert_int_equal(mag_cache_available(cache), COUNT);
	}
}

TEST(test_a_ledger_knows_what_is_held_and_what_has_users, setup_ledger, teardown)
{
	void *object = mag_cache_alloc(cache), *held[COUNT];

	assert_int_equal(objects_held(cache, held, COUNT), 1);
	assert_ptr_equal(held[0], object);
	assert_int_equal(mag_cache_use(cache, object), 0);
	assert_reported("it has 1 users", mag_cache_free(cache, object));
	assert_int_equal(users_left(cache, object), 0);
	mag_cache_free(cache, object);
	assert_int_equal(objects_held(cache, held, COUNT), 0);
	assert_int_equal(mag_cache_use(cache, object), -EINVAL);
	assert_reported("it is free already", mag_cache_free(cache, object));
}

/* Holders */

static int
setup_holders(void **state)
{
	setup_plain(state);
	fixture_ledger();
	mag_watch(cache, MAG_WATCH_HOLDERS);
	return 0;
}

static struct mag_holder holders[MAG_SLOTS + 1];

/* After a look at the pool: objects that are out, of all slots. What was drawn before is older. */
static uint64_t
look_who_holds(void)
{
	uint64_t drawn = mag_holders_now(), now, out = 0;

	while ((now = mag_holders_now()) == drawn)
		;
	mag_holders_look(cache, now);
	mag_holders_count(cache, now, holders);
	for (unsigned int i = 0; i <= MAG_HOLDER_UNKNOWN; i++)
		out += holders[i].objects;
	return out;
}

static void
alloc_ten(void *arg)
{
	assert_int_equal(mag_cache_alloc_bulk(cache, arg, 10), 10);
}

TEST(test_objects_that_are_out_are_told_by_who_drew_them, setup_holders, teardown)
{
	void *theirs[10];

	fill(COUNT / 2);
	fill_on_lcore(WORKER, COUNT);
	assert_true(depot_full() > 0);
	assert_int_equal(look_who_holds(), 0);
	run_on_lcore(WORKER, alloc_ten, theirs);
	alloc_bulk(objects, 7);
	assert_int_equal(look_who_holds(), 17);
	assert_int_equal(holders[WORKER].objects, 10);
	assert_int_equal(holders[mag_thread_slot()].objects, 7);
	/* Whoever drew one answers for it, wherever it was freed, until another one draws it. */
	free_bulk(theirs, 10);
	assert_int_equal(look_who_holds(), 7);
	free_bulk(objects, 7);
	assert_int_equal(look_who_holds(), 0);
}

TEST(test_a_guarded_pool_knows_its_holders_too, setup_ledger, teardown)
{
	mag_watch(cache, MAG_WATCH_HOLDERS);
	fill(COUNT / 2);
	assert_int_equal(look_who_holds(), 0);
	for (unsigned int i = 0; i < COUNT / 2; i += 10)
		alloc_bulk(objects + i, 10);
	assert_int_equal(look_who_holds(), (COUNT / 2 + 9) / 10 * 10);
	assert_int_equal(holders[MAG_HOLDER_UNKNOWN].objects, 0);
	free_bulk(objects, (COUNT / 2 + 9) / 10 * 10);
	assert_int_equal(look_who_holds(), 0);
}

TEST(test_what_was_seen_in_the_pool_was_not_out_until_then, setup_holders, teardown)
{
	void *object = mag_cache_alloc(cache);
	uint64_t before;

	assert_int_equal(look_who_holds(), 1);
	before = holders[mag_thread_slot()].oldest_ms;
	rte_delay_ms(20);
	assert_int_equal(look_who_holds(), 1);
	assert_true(holders[mag_thread_slot()].oldest_ms >= before + 15);
	mag_cache_free(cache, object);
	assert_int_equal(mag_cache_update(cache), 0);
	/* From the loaded magazine: nobody draws it, but maintenance has seen it. */
	assert_ptr_equal(mag_cache_alloc(cache), object);
	assert_int_equal(look_who_holds(), 1);
	assert_true(holders[mag_thread_slot()].oldest_ms < before + 15);
	mag_cache_free(cache, object);
}

static _Atomic bool leaking;
static _Atomic unsigned int leaked;
static void *lost[20];

/* 32 objects at a time, of which one now and then does not come back. */
static void
leak_on_lcore(void *arg __rte_unused)
{
	void *bulk[32];

	for (unsigned int turn = 1; leaking; turn++) {
		if (mag_cache_alloc_bulk(cache, bulk, 32) != 32)
			abort();
		if (turn % 100 == 0 && leaked < RTE_DIM(lost)) {
			lost[leaked] = bulk[31];
			leaked++;
			mag_cache_free_bulk(cache, bulk, 31);
		} else {
			mag_cache_free_bulk(cache, bulk, 32);
		}
	}
}

TEST(test_a_slow_leak_is_found_while_the_lcores_work, setup_holders, teardown)
{
	uint64_t out = 0;
	struct task task;

	leaking = true;
	leaked = 0;
	task_lcore(&task, WORKER, leak_on_lcore, NULL);
	while (leaked < RTE_DIM(lost))
		sched_yield();
	for (unsigned int i = 0; i < 100; i++) {
		out = look_who_holds();
		/* And what the lcore has in its hands, or is moving. */
		assert_in_range(holders[WORKER].objects, RTE_DIM(lost), COUNT);
		assert_int_equal(out, holders[WORKER].objects);
	}
	leaking = false;
	task_join(&task);
	assert_int_equal(look_who_holds(), RTE_DIM(lost));
	free_bulk(lost, RTE_DIM(lost));
}

/* Audit */

static __rte_noinline void *
allocate_here(void)
{
	void *volatile object = mag_cache_alloc(cache);

	return object;
}

static bool
stack_has(const struct mag_transaction *last, uintptr_t from, size_t bytes)
{
	for (uint32_t i = 0; i < last->depth; i++)
		if ((uintptr_t)last->stack[i] - from < bytes)
			return true;
	return false;
}

TEST(test_the_last_transaction_is_kept_with_thread_lcore_time_and_stack, setup_audit, teardown)
{
	struct mag_transaction last;
	uint64_t before;
	void *object = allocate_here();

	assert_int_equal(mag_cache_transaction(cache, object, &last), 0);
	assert_int_equal(last.kind, MAG_TRANSACTION_ALLOC);
	assert_int_equal(last.thread, gettid());
	assert_int_equal(last.lcore, 0);
	assert_true(last.depth >= 2);
	assert_true(stack_has(&last, (uintptr_t)allocate_here, 2000));
	before = last.time_ms;
	run_on_lcore(WORKER, free_on_lcore, object);
	assert_int_equal(mag_cache_transaction(cache, object, &last), 0);
	assert_int_equal(last.kind, MAG_TRANSACTION_FREE);
	assert_int_not_equal(last.thread, gettid());
	assert_int_equal(last.lcore, WORKER);
	assert_true(last.time_ms >= before);
	assert_true(stack_has(&last, (uintptr_t)free_on_lcore, 2000));
}

TEST(test_a_second_free_is_reported_with_both_stacks, setup_audit, teardown)
{
	void *object = allocate_here(), *kept = allocate_here();
	const char *log;

	/* The thread's magazines go with it, and the slab stays for the other object. */
	run_on_thread(free_on_lcore, object);
	assert_reported("it is free already", run_on_lcore(WORKER, free_on_lcore, object));
	log_begin();
	run_on_lcore(WORKER, free_on_lcore, object);
	log = log_end();
	assert_logged(strstr(log, "now freed by thread"), "lcore 1");
	assert_logged(strstr(log, "last freed by thread"), "lcore none");
	mag_cache_free(cache, kept);
}

TEST(test_a_transaction_is_that_of_an_object, setup_audit, teardown)
{
	struct mag_transaction last;
	char *object = mag_cache_alloc(cache), *fresh = NULL;

	assert_int_equal(mag_cache_transaction(cache, object + 8, &last), -EINVAL);
	assert_int_equal(mag_cache_transaction(cache, &last, &last), -EINVAL);
	for (unsigned int i = 0; i < COUNT && fresh == NULL; i++)
		if (mag_cache_transaction(cache, ground_object(&ground, i), &last) == -ENOENT)
			fresh = ground_object(&ground, i);
	/*
	 * What lies in a magazine and was never handed out, if the first allocation fetched more.
	 */
	if (fresh != NULL)
		assert_ptr_not_equal(fresh, object);
	mag_cache_free(cache, object);
}

/* What is said of the object that is out, when the cache shall be destroyed. */
static const char *
destroy_too_early(void *object)
{
	char expected[64];
	const char *log;

	snprintf(expected, sizeof(expected), "object %p is out", object);
	log_begin();
	assert_int_equal(mag_cache_destroy(cache), -EBUSY);
	log = log_end();
	assert_logged(log, "1 objects are out");
	assert_logged(log, expected);
	mag_cache_free(cache, object);
	return log;
}

TEST(test_who_destroys_too_early_hears_who_holds_objects, setup_audit, teardown)
{
	assert_logged(destroy_too_early(allocate_here()), "last allocated by thread");
}

TEST(test_what_another_process_did_is_told_with_its_number, setup_audit, teardown)
{
	uint32_t own = mag_process_id;
	char expected[64];
	const char *log;
	void *object;

	/* The control thread reads the number too. */
	assert_int_equal(mag_maint_stop(), 0);
	mag_process_id ^= 1u << 31;
	object = allocate_here();
	mag_process_id = own;
	snprintf(expected, sizeof(expected), "last allocated by process %d, thread", getpid());
	log = destroy_too_early(object);
	assert_logged(log, expected);
	assert_logged(log, "magazine:     [0x");
}

TEST(test_audit_needs_a_region_with_room_for_it, setup_plain, teardown)
{
	struct mag_cache_params params =
		CACHE_PARAMS(.name = "things", .object_size = SIZE, .region = ground.region,
			     .options = "audit=1");
	struct mag_transaction last;
	void *object = mag_cache_alloc(cache);

	assert_refused_null(mag_cache_create(&params), EINVAL,
			    "audit=1 needs a MAG_REGION_AUDIT region");
	assert_int_equal(mag_cache_transaction(cache, object, &last), -ENOTSUP);
	mag_cache_free(cache, object);
}

TEST(test_a_switch_audits_all_caches_that_can_be, setup_plain, teardown)
{
	struct mag_cache *intrinsic, *audited;
	struct ground other;

	setenv("MAGAZINE_SWITCHES", "audit=1", 1);
	other = ground_make(COUNT, SIZE, BLOCK, 0);
	audited = watched_make(other.region, NULL, 0);
	intrinsic = watched_make(NULL, NULL, 0);
	unsetenv("MAGAZINE_SWITCHES");
	assert_int_equal(mag_watched(audited) & MAG_WATCH_AUDIT, MAG_WATCH_AUDIT);
	assert_int_equal(mag_watched(intrinsic), 0);
	assert_int_equal(mag_watched(cache) & ~MAG_WATCH_POISON, 0);
	drop_cache(intrinsic);
	drop_cache(audited);
	ground_drop(&other);
}

/* Sampled audit */

#define ONE_IN 16

/* Objects of the ground by their order: the fifth is sampled, and those 16, 32 ... behind it. */
static void *
sampled(unsigned int nth)
{
	return ground_object(&ground, 5 + nth * ONE_IN);
}

SETUP(setup_sampled)
{
	setup_plain(state);
	ground.region->samples = mag_samples_make(ONE_IN, SIZE, SIZE, COUNT, MAG_NODE_ANY);
	assert_non_null(ground.region->samples);
	mag_samples_begin(ground.region->samples, sampled(0));
	mag_watch(cache, MAG_WATCH_SAMPLE);
}

static uint32_t
kind_of(const void *object)
{
	struct mag_transaction last;
	int ret = mag_cache_transaction(cache, object, &last);

	assert_true(ret == 0 || ret == -ENOENT);
	return ret == 0 ? last.kind : MAG_TRANSACTION_NONE;
}

TEST(test_one_object_in_n_is_recorded_and_always_the_same, setup_sampled, teardown)
{
	uint32_t kind;

	for (unsigned int turn = 0; turn < 2; turn++) {
		alloc_bulk(objects, COUNT);
		for (unsigned int i = 0; i < COUNT; i++) {
			kind = i % ONE_IN == 5 ? MAG_TRANSACTION_ALLOC : MAG_TRANSACTION_NONE;
			assert_int_equal(kind_of(ground_object(&ground, i)), kind);
		}
		free_bulk(objects, COUNT);
		assert_int_equal(kind_of(sampled(turn)), MAG_TRANSACTION_FREE);
	}
	assert_int_equal(bad_frees(), 0);
}

TEST(test_any_sampled_object_in_a_bulk_is_seen, setup_plain, teardown)
{
	struct mag_samples *samples = mag_samples_make(64, SIZE, SIZE, COUNT, MAG_NODE_ANY);
	unsigned int n, at;

	mag_samples_begin(samples, ground_object(&ground, 64 + 9));
	for (unsigned int i = 0; i < COUNT; i++)
		assert_int_equal(mag_samples_has(samples, ground_object(&ground, i)), i % 64 == 9);
	for (n = 0; n <= 40; n++)
		for (at = 0; at <= n; at++) {
			for (unsigned int i = 0; i < n; i++)
				objects[i] = ground_object(&ground, i == at ? 128 + 9 : 10 + i);
			assert_int_equal(mag_samples_any(samples, objects, n), at < n);
		}
	mag_meta_free(samples);
}

/* All objects that are free are had, and all but some sampled ones come back. */
static __rte_noinline void *
allocate_sampled(unsigned int first, unsigned int n)
{
	unsigned int count = (unsigned int)mag_cache_available(cache), kept = 0;
	bool is_kept;

	for (unsigned int i = 0; i < count; i++)
		objects[i] = allocate_here();
	for (unsigned int i = 0; i < count; i++) {
		is_kept = false;
		for (unsigned int nth = first; nth < first + n; nth++)
			is_kept |= objects[i] == sampled(nth);
		if (!is_kept)
			mag_cache_free(cache, objects[i]);
		kept += is_kept;
	}
	assert_int_equal(kept, n);
	return sampled(first);
}

TEST(test_a_second_free_of_a_sampled_object_is_refused_with_all_its_stacks, setup_sampled, teardown)
{
	void *object = allocate_sampled(3, 1);
	const char *log;

	objects[0] = allocate_here();
	objects[1] = object;
	objects[2] = allocate_here();
	run_on_thread(free_on_lcore, object);
	log_begin();
	free_bulk(objects, 3);
	log = log_end();
	assert_logged(log, "it is free already: refused, 1 so far");
	assert_logged(strstr(log, "now freed by thread"), "lcore 0");
	assert_logged(strstr(log, "last freed by thread"), "lcore none");
	assert_logged(strstr(log, "before that allocated by thread"), "lcore 0");
	assert_int_equal(bad_frees(), 1);
}

TEST(test_what_was_written_to_a_sampled_object_while_it_was_free_is_reported, setup_sampled,
     teardown)
{
	char *object = allocate_sampled(3, 1), kept;
	const char *log;

	memset(object, 0x11, SIZE);
	run_on_thread(free_on_lcore, object);
	log_begin();
	allocate_sampled(3, 1);
	assert_string_equal(log_end(), "");
	mag_cache_free(cache, object);
	kept = object[200];
	object[200] = 0x22;
	log_begin();
	allocate_sampled(3, 1);
	log = log_end();
	object[200] = kept;
	assert_logged(log, "it was written to while it was free: byte 200 was 0x11 and is 0x22, 1 "
			   "so far");
	assert_logged(log, "last freed by thread");
	assert_logged(log, "before that allocated by thread");
	mag_cache_free(cache, object);
}

TEST(test_sampled_objects_that_are_out_are_told_by_stack_most_first, setup_sampled, teardown)
{
	struct mag_leak leaks[MAG_LEAKS_MAX];
	uint64_t out;

	allocate_sampled(2, 1);
	rte_delay_ms(2);
	allocate_sampled(4, 3);
	assert_int_equal(mag_leaks_find(cache, leaks, &out), 2);
	assert_int_equal(out, 4);
	assert_int_equal(leaks[0].objects, 3);
	assert_int_equal(leaks[1].objects, 1);
	assert_true(leaks[1].oldest_ms > 0);
	assert_int_equal(leaks[0].last.thread, gettid());
	assert_true(stack_has(&leaks[0].last, (uintptr_t)allocate_here, 2000));
	/* As of objects that are had while they are counted. */
	for (unsigned int i = 4; i < 7; i++)
		mag_samples_find(ground.region->samples, sampled(i), false)->tsc = UINT64_MAX;
	assert_int_equal(mag_leaks_find(cache, leaks, &out), 2);
	assert_int_equal(leaks[0].oldest_ms, 0);
	log_begin();
	assert_int_equal(mag_cache_destroy(cache), -EBUSY);
	assert_logged(log_end(), "3 sampled objects (one in 16) are out");
	for (unsigned int i = 4; i < 7; i++)
		mag_cache_free(cache, sampled(i));
	mag_cache_free(cache, sampled(2));
	assert_int_equal(mag_leaks_find(cache, leaks, &out), 0);
	assert_int_equal(out, 0);
}

TEST(test_what_does_not_fit_the_table_of_samples_is_left_alone, setup_plain, teardown)
{
	ground.region->samples = mag_samples_make(2, SIZE, SIZE, 1, MAG_NODE_ANY);
	mag_samples_begin(ground.region->samples, ground_object(&ground, 0));
	mag_watch(cache, MAG_WATCH_SAMPLE);
	alloc_bulk(objects, COUNT);
	free_bulk(objects, COUNT);
	assert_int_equal(bad_frees(), 0);
	objects[0] = allocate_here();
	mag_cache_free(cache, objects[0]);
}

/* One of the stacks of a tree of calls from two places; which one, and how deep, path says. */
static __rte_noinline unsigned int
compare_stacks(unsigned int path)
{
	void *expected[MAG_STACK_MAX], *taken[MAG_STACK_MAX];
	static volatile unsigned int returns[2];
	unsigned int depth, i;

	if (path > 1) {
		if (path % 2 == 0) {
			depth = compare_stacks(path / 2);
			returns[0]++;
		} else {
			depth = compare_stacks(path / 2);
			returns[1]++;
		}
		return depth;
	}
	depth = (unsigned int)backtrace(expected, MAG_STACK_MAX);
	assert_int_equal(mag_stack_take(taken), depth);
	/* The first ones are of two calls. */
	for (i = 1; i < depth; i++)
		assert_ptr_equal(taken[i], expected[i]);
	return depth;
}

TEST(test_a_stack_is_what_it_is_not_what_it_was, setup_plain, teardown)
{
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
	printf("# skip: a sanitizer's backtrace() has a frame of its own\n");
	skip();
#endif
	mag_cache_free(cache, mag_cache_alloc(cache));
	for (unsigned int i = 0; i < 2000; i++)
		assert_true(compare_stacks(1 + random_below(1u << (1 + i % 8))) > 1);
}

/* Writes to free objects, and beyond the end of one. AddressSanitizer would stop these tests. */

SETUP(setup_check)
{
	setenv("MAGAZINE_POISON", "0", 1);
	ground = ground_make(COUNT, SIZE, BLOCK, MAG_REGION_CHECK);
	cache = watched_make(ground.region, NULL, 0);
}

TEARDOWN(teardown_check)
{
	teardown(state);
	unsetenv("MAGAZINE_POISON");
}

static void
assert_writes_noticed(uint64_t expected)
{
	assert_int_equal(cache_stats(cache).bad_writes, expected);
}

/* As the last one that was freed. */
static void
get_again(const void *object)
{
	assert_ptr_equal(mag_cache_alloc(cache), object);
}

TEST(test_a_write_to_a_free_object_is_reported_at_its_next_allocation, setup_check, teardown_check)
{
	uint8_t *object = mag_cache_alloc(cache);
	char expected[200];

	memset(object, 7, SIZE);
	mag_cache_free(cache, object);
	object[SIZE - 10] = 0x41;
	object[SIZE - 8] = 0x42;
	snprintf(expected, sizeof(expected),
		 "cache \"things\": %p was written to while it was free: 2 bytes, the first at "
		 "offset %u, in it: were fe fe fe fe fe fe fe fe, are 41 fe 42 fe fe fe fe fe: "
		 "handed out as it is, 1 so far",
		 (void *)object, SIZE - 10);
	assert_reported(expected, get_again(object));
	assert_int_equal(mag_snapshot_of(ground.region, object)->state, MAG_SNAPSHOT_NONE);
	assert_writes_noticed(1);
	/* Once. */
	mag_cache_free(cache, object);
	get_again(object);
	mag_cache_free(cache, object);
	assert_writes_noticed(1);
	/* And guarded it is, too. */
	assert_reported("it is free already", mag_cache_free(cache, object));
}

static int
construct(const struct mag_object_info *object, const struct mag_object_info *mirror, void *arg,
	  unsigned int flags)
{
	RTE_SET_USED(mirror);
	RTE_SET_USED(flags);
	memset(object->address, 0xcc, SIZE);
	*(void **)object->address = arg;
	return 0;
}

static void
destruct(void *object, void *arg)
{
	if (*(void **)object != arg)
		abort();
	memset(object, 0xdd, SIZE);
}

/* In a cache with these callbacks. */
static void
look_at_constructed(mag_constructor constructor, mag_destructor destructor)
{
	void **object;

	drop_cache(cache);
	cache = make_cache(CACHE_PARAMS(.name = "things", .object_size = SIZE,
					.region = ground.region, .constructor = constructor,
					.destructor = destructor, .arg = &cache));
	object = mag_cache_alloc(cache);
	object[0] = &cache;
	object[3] = &object;
	mag_cache_free(cache, object);
	get_again(object);
	assert_ptr_equal(object[0], &cache);
	assert_ptr_equal(object[3], &object);
	mag_cache_free(cache, object);
	object[3] = NULL;
	assert_reported("the first at offset 24, in it", get_again(object));
	/* What the callbacks write is no error. */
	object[0] = &cache;
	mag_cache_free_nocache(cache, object);
	assert_int_equal(mag_cache_alloc_burst(cache, objects, COUNT), COUNT);
	for (unsigned int i = 0; i < COUNT; i++)
		*(void **)objects[i] = &cache;
	free_bulk(objects, COUNT);
	assert_writes_noticed(1);
}

TEST(test_what_is_in_a_constructed_object_stays_and_is_looked_at, setup_check, teardown_check)
{
	look_at_constructed(construct, destruct);
	look_at_constructed(construct, NULL);
	look_at_constructed(NULL, destruct);
	drop_cache(cache);
	cache = watched_make(ground.region, NULL, 0);
}

TEST(test_an_object_that_was_cleared_is_looked_at, setup_check, teardown_check)
{
	uint8_t *object;
	const char *log;

	remake(NULL, MAG_CACHE_CLEARONFREE);
	object = mag_cache_alloc(cache);
	mag_cache_free_nocache(cache, object);
	object[100] = 1;
	log_begin();
	assert_int_equal(mag_cache_alloc_burst(cache, objects, COUNT), COUNT);
	log = log_end();
	assert_logged(log, "at offset 100, in it: were 00");
	free_bulk(objects, COUNT);
	assert_writes_noticed(1);
}

TEST(test_a_write_beyond_the_end_is_reported_when_the_object_is_freed, setup_check, teardown_check)
{
	struct mag_region *region =
		make_region(REGION_PARAMS(.name = "elastic", .object_size = SIZE, .objects = 10,
					  .mode = MAG_REGION_CHECK | MAG_REGION_AUDIT));
	struct mag_cache *whole = cache;
	const uint32_t size = SIZE - 3;
	const char *log;
	uint8_t *object;

	cache = make_cache(CACHE_PARAMS(.name = "short", .object_size = size, .region = region));
	object = mag_cache_alloc(cache);
	memset(object, 0, size);
	mag_cache_free(cache, object);
	get_again(object);
	object[size] = 0;
	log_begin();
	mag_cache_free(cache, object);
	log = log_end();
	assert_logged(log,
		      "was written to beyond its end: 1 bytes, the first at offset 253 of 253");
	assert_logged(log, "now freed by thread");
	assert_logged(log, "last allocated by thread");
	/* Up to the next one. */
	get_again(object);
	object[region->stride - 1] = 0;
	assert_reported("the first at offset 271 of 253", mag_cache_free(cache, object));
	assert_writes_noticed(2);
	drop_cache(cache);
	drop_region(region);
	cache = whole;
}

TEST(test_good_users_are_not_reported_wherever_their_objects_go, setup_check, teardown_check)
{
	static const unsigned int flags[] = {0, MAG_CACHE_CLEARONFREE, MAG_CACHE_NOMAGAZINES};

	for (unsigned int i = 0; i < 3 * 200; i++) {
		if (i % 200 == 0)
			remake(NULL, flags[i / 200]);
		alloc_bulk(objects, i % COUNT);
		for (unsigned int j = 0; j < i % COUNT; j++)
			memset(objects[j], (int)i, SIZE);
		if (i % 3 == 0)
			mag_cache_free_nocache_bulk(cache, objects, i % COUNT);
		else
			free_bulk(objects, i % COUNT);
		if (i % 7 == 0) {
			cache_purge();
			cache_enable();
		}
		if (i % 11 == 0)
			cache_reap_all();
	}
	assert_writes_noticed(0);
}

static void
write_and_get_again(void)
{
	uint8_t *object = mag_cache_alloc(cache);

	mag_cache_free(cache, object);
	object[0] = 0;
	get_again(object);
	mag_cache_free(cache, object);
}

TEST(test_a_bad_write_ends_the_program_when_the_option_says_so, setup_check, teardown_check)
{
	unsigned int held;
	int status;

	assert_true(WIFEXITED(end_of(write_and_get_again)));
	remake("guard=panic", 0);
	status = end_of(write_and_get_again);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	/* It died with the object. */
	assert_int_equal(mag_cache_held(cache, objects, COUNT, &held), 0);
	assert_int_equal(held, 1);
	free_bulk(objects, held);
}

TEST(test_a_check_needs_a_region_with_room_for_it, setup_plain, teardown)
{
	struct mag_cache_params params =
		CACHE_PARAMS(.name = "things", .object_size = SIZE, .region = ground.region,
			     .options = "check=1");

	assert_refused_null(mag_cache_create(&params), EINVAL,
			    "check=1 needs a MAG_REGION_CHECK region");
}

/* Use counts */

TEST(test_an_object_with_users_is_not_freed, setup_plain, teardown)
{
	void *object = mag_cache_alloc(cache);

	assert_int_equal(mag_cache_use(cache, object), 0);
	/* One, where the region allows no more. */
	assert_int_equal(mag_cache_use(cache, object), -EBUSY);
	assert_reported("it has 1 users", mag_cache_free(cache, object));
	assert_reported("it has 1 users", mag_cache_free_nocache(cache, object));
	assert_int_equal(users_left(cache, object), 0);
	mag_cache_free(cache, object);
	assert_int_equal(bad_frees(), 2);
}

TEST(test_shared_objects_are_free_when_the_last_user_is_gone, setup_shared, teardown)
{
	void *object = mag_cache_alloc(cache);
	unsigned int i;

	for (i = 0; i < 5; i++)
		assert_int_equal(mag_cache_use(cache, object), 0);
	while (i-- > 0) {
		assert_reported("users", mag_cache_free(cache, object));
		assert_int_equal(users_left(cache, object), i);
	}
	mag_cache_free(cache, object);
	assert_int_equal(bad_frees(), 5);
}

TEST(test_underflow_and_wrap_around_are_refused, setup_shared, teardown)
{
	void *object = mag_cache_alloc(cache);
	struct mag_object_info info;
	struct mag_bufctl *bufctl;

	assert_int_equal(users_left(cache, object), -ERANGE);
	assert_int_equal(mag_cache_object_info(cache, object, &info, NULL), 0);
	bufctl = info.bufctl;
	bufctl->uses = UINT32_MAX - 1;
	assert_int_equal(mag_cache_use(cache, object), 0);
	assert_int_equal(mag_cache_use(cache, object), -EOVERFLOW);
	assert_int_equal(bufctl->uses, UINT32_MAX);
	assert_int_equal(users_left(cache, object), UINT32_MAX - 1);
	bufctl->uses = 0;
	mag_cache_free(cache, object);
}

TEST(test_only_objects_that_are_out_have_users, setup_guard, teardown)
{
	void *object = mag_cache_alloc(cache);

	assert_int_equal(mag_cache_use(cache, &object), -EINVAL);
	assert_int_equal(users_left(cache, &object), -EINVAL);
	/* A guarded one in a magazine has none. */
	mag_cache_free(cache, object);
	assert_int_equal(mag_cache_use(cache, object), -EINVAL);
	assert_int_equal(users_left(cache, object), -EINVAL);
	remake(NULL, 0);
	object = mag_cache_alloc(cache);
	mag_cache_free_nocache(cache, object);
	assert_int_equal(mag_cache_use(cache, object), -EINVAL);
}

static void
use_on_thread(void *arg)
{
	for (unsigned int i = 0; i < 10000; i++)
		if (mag_cache_use(cache, arg) != 0 || users_left(cache, arg) < 1)
			abort();
}

TEST(test_use_counts_of_many_threads_add_up, setup_shared, teardown)
{
	void *object = mag_cache_alloc(cache);
	struct task task[3];

	assert_int_equal(mag_cache_use(cache, object), 0);
	for (unsigned int i = 0; i < RTE_DIM(task); i++)
		task_thread(&task[i], use_on_thread, object);
	for (unsigned int i = 0; i < RTE_DIM(task); i++)
		task_join(&task[i]);
	assert_int_equal(users_left(cache, object), 0);
	mag_cache_free(cache, object);
	assert_int_equal(bad_frees(), 0);
}

TEST(test_a_cache_is_watched_from_the_first_use_on, setup_plain, teardown)
{
	void *object;

	run_on_lcore(WORKER, alloc_on_lcore, &object);
	assert_int_equal(mag_cache_use(cache, object), 0);
	assert_reported("it has 1 users", run_on_lcore(WORKER, free_on_lcore, object));
	assert_int_equal(users_left(cache, object), 0);
	run_on_lcore(WORKER, free_on_lcore, object);
}

TEST_PROGRAM(2)
