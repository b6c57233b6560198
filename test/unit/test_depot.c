/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

#include "stores/depot.h"
#include "stepper.h"

#define MAGAZINES 512

static struct mag_arena arena;
static struct mag_depot depot __attribute__((aligned(128)));
static struct mag_magazine *magazine[MAGAZINES];

SETUP(setup)
{
	assert_int_equal(mag_arena_init(&arena, MAGAZINES * 128, MAGAZINES * 128, -1), 0);
	mag_depot_init(&depot, &arena);
	for (unsigned int i = 0; i < MAGAZINES; i++) {
		magazine[i] = mag_arena_get(&arena, 14);
		assert_non_null(magazine[i]);
	}
}

TEARDOWN(teardown)
{
	mag_arena_fini(&arena);
}

/* Those taken last are the first to be put again. */
static void
put(unsigned int count)
{
	while (count-- > 0)
		mag_depot_put(&depot.full, magazine[mag_depot_total(&depot.full)]);
}

/* One, or two, at once: the number that was had. */
static unsigned int
take_some(unsigned int want, struct mag_magazine *got[2])
{
	return mag_depot_take(&depot, &depot.full, want, got);
}

static void
take(unsigned int count)
{
	struct mag_magazine *got[2];

	while (count-- > 0)
		assert_int_equal(take_some(1, got), 1);
}

static unsigned int
reap(unsigned int want, struct mag_magazine *got[MAG_DEPOT_CHAIN])
{
	return mag_depot_reap(&depot, &depot.full, want, got);
}

static void
assert_head(struct mag_depot_list *list, uint32_t total, uint32_t min)
{
	assert_int_equal(mag_depot_head(list).total, total);
	assert_int_equal(mag_depot_head(list).min, min);
	assert_int_equal(mag_depot_total(list), total);
	assert_int_equal(mag_depot_reapable(list), RTE_MIN(list->reaplimit, min));
}

/* What is done to the full list, and how it is afterwards. */
struct step {
	enum { PUT, TAKE, TAKE_TWO, UPDATE, ZERO, REAP } what;
	unsigned int n; /* of ZERO: whether it changed anything */
	uint32_t total, min, reaplimit;
};

#define PLAY(...)                                                                                  \
	play((const struct step[]){__VA_ARGS__},                                                   \
	     sizeof((const struct step[]){__VA_ARGS__}) / sizeof(struct step))

static void
play(const struct step *steps, unsigned int count)
{
	struct mag_magazine *got[MAG_DEPOT_CHAIN];
	const struct step *step;
	unsigned int before;

	for (step = steps; step < steps + count; step++) {
		before = mag_depot_total(&depot.full);
		if (step->what == PUT)
			put(step->n);
		else if (step->what == TAKE)
			take(step->n);
		else if (step->what == TAKE_TWO)
			assert_int_equal(take_some(2, got), 2);
		else if (step->what == UPDATE)
			mag_depot_update(&depot);
		else if (step->what == ZERO)
			assert_int_equal(mag_depot_zero(&depot), step->n);
		else
			assert_int_equal(reap(step->n, got), before - step->total);
		assert_head(&depot.full, step->total, step->min);
		assert_int_equal(depot.full.reaplimit, step->reaplimit);
	}
}

TEST(test_a_new_depot_has_nothing, setup, teardown)
{
	struct mag_magazine *got[2] = {NULL, NULL};

	assert_head(&depot.full, 0, 0);
	assert_head(&depot.empty, 0, 0);
	assert_int_equal(take_some(1, got), 0);
	assert_int_equal(mag_depot_take(&depot, &depot.empty, 2, got), 0);
	assert_null(got[0]);
	assert_int_equal(mag_depot_taken(&depot.full), 0);
}

TEST(test_the_last_magazine_put_is_the_first_taken, setup, teardown)
{
	struct mag_magazine *got[2];

	put(10);
	for (unsigned int i = 10; i-- > 0;) {
		assert_int_equal(take_some(1, got), 1);
		assert_ptr_equal(got[0], magazine[i]);
		assert_int_equal(mag_depot_total(&depot.full), i);
	}
	assert_int_equal(take_some(1, got), 0);
}

TEST(test_two_are_taken_at_once_the_upper_one_first, setup, teardown)
{
	struct mag_magazine *got[2];

	put(5);
	assert_int_equal(take_some(2, got), 2);
	assert_ptr_equal(got[0], magazine[4]);
	assert_ptr_equal(got[1], magazine[3]);
	assert_int_equal(mag_depot_total(&depot.full), 3);
	assert_int_equal(take_some(2, got), 2);
	assert_ptr_equal(got[1], magazine[1]);
	assert_int_equal(take_some(2, got), 1);
	assert_ptr_equal(got[0], magazine[0]);
	assert_int_equal(take_some(2, got), 0);
}

TEST(test_full_and_empty_lists_know_nothing_of_each_other, setup, teardown)
{
	struct mag_magazine *got[2];

	mag_depot_put(&depot.full, magazine[0]);
	mag_depot_put(&depot.empty, magazine[1]);
	assert_int_equal(mag_depot_take(&depot, &depot.empty, 2, got), 1);
	assert_ptr_equal(got[0], magazine[1]);
	assert_int_equal(mag_depot_total(&depot.full), 1);
	assert_int_equal(mag_depot_taken(&depot.empty), 1);
	assert_int_equal(mag_depot_taken(&depot.full), 0);
}

TEST(test_a_take_is_counted_once_however_many_it_took, setup, teardown)
{
	struct mag_magazine *got[2];

	put(3);
	take_some(2, got);
	take_some(1, got);
	take_some(1, got);
	assert_int_equal(mag_depot_taken(&depot.full), 2);
}

static void
assert_no_more_than_there_are(uint64_t in)
{
	uint64_t total = mag_depot_total(&depot.full);

	assert_true((int64_t)(in - mag_depot_out(&depot.full)) <= (int64_t)total);
	assert_int_equal(mag_depot_in(&depot.full) - mag_depot_out(&depot.full), total);
}

TEST(test_what_came_in_less_what_went_out_later_is_no_more_than_there_are, setup, teardown)
{
	struct mag_magazine *got[MAG_DEPOT_CHAIN];
	uint64_t in;

	put(10);
	in = mag_depot_in(&depot.full);
	assert_no_more_than_there_are(in);
	assert_int_equal(take_some(2, got), 2);
	assert_no_more_than_there_are(in);
	take(1);
	assert_no_more_than_there_are(in);
	in = mag_depot_in(&depot.full);
	mag_depot_zero(&depot);
	assert_int_equal(reap(7, got), 7);
	assert_no_more_than_there_are(in);
}

#define ALL MAGAZINES

TEST(test_min_is_the_lowest_total_since_the_last_update, setup, teardown)
{
	PLAY({PUT, 10, 10, 0, 0}, {UPDATE, 0, 10, 10, 0}, {TAKE, 4, 6, 6, 0}, {PUT, 3, 9, 6, 0},
	     {TAKE, 2, 7, 6, 0}, {TAKE, 2, 5, 5, 0}, {TAKE_TWO, 0, 3, 3, 0},
	     /* Counts of more than eight bits are packed in two pieces. */
	     {PUT, ALL - 3, ALL, 3, 0}, {UPDATE, 0, ALL, ALL, 3}, {TAKE, 1, ALL - 1, ALL - 1, 3},
	     {PUT, 1, ALL, ALL - 1, 3}, {TAKE, ALL - 255, 255, 255, 3});
}

TEST(test_an_update_remembers_min_and_starts_over, setup, teardown)
{
	mag_depot_put(&depot.empty, magazine[20]);
	PLAY({PUT, 8, 8, 0, 0}, {UPDATE, 0, 8, 8, 0}, {TAKE, 3, 5, 5, 0}, {PUT, 1, 6, 5, 0});
	assert_int_equal(depot.empty.reaplimit, 0);
	PLAY({UPDATE, 0, 6, 6, 5});
	assert_int_equal(depot.empty.reaplimit, 1);
}

TEST(test_reapable_is_what_neither_interval_needed, setup, teardown)
{
	PLAY({PUT, 10, 10, 0, 0}, {UPDATE, 0, 10, 10, 0}, {TAKE, 4, 6, 6, 0}, {UPDATE, 0, 6, 6, 6},
	     {TAKE, 4, 2, 2, 6}, {PUT, 4, 6, 2, 6}, {PUT, 4, 10, 2, 6}, {UPDATE, 0, 10, 10, 2},
	     {UPDATE, 0, 10, 10, 10});
}

TEST(test_a_reap_takes_a_chain_at_once_the_upper_one_first, setup, teardown)
{
	struct mag_magazine *got[MAG_DEPOT_CHAIN];

	PLAY({PUT, 10, 10, 0, 0}, {ZERO, true, 10, 10, 10});
	assert_int_equal(reap(7, got), 7);
	for (unsigned int i = 0; i < 7; i++)
		assert_ptr_equal(got[i], magazine[9 - i]);
	assert_head(&depot.full, 3, 3);
	assert_int_equal(mag_depot_taken(&depot.full), 1);
	assert_int_equal(mag_depot_contention(&depot), 0);
	PLAY({TAKE, 3, 0, 0, 3}, {REAP, 7, 0, 0, 3});
}

TEST(test_a_chain_has_so_many_magazines_and_not_more, setup, teardown)
{
	PLAY({PUT, ALL, ALL, 0, 0}, {ZERO, true, ALL, ALL, ALL});
	for (unsigned int left = ALL - MAG_DEPOT_CHAIN; left > 0; left -= MAG_DEPOT_CHAIN)
		PLAY({REAP, ALL, left, left, left});
	PLAY({REAP, ALL, 0, 0, 0}, {REAP, 1, 0, 0, 0});
}

TEST(test_a_reap_leaves_what_this_interval_needed, setup, teardown)
{
	PLAY({PUT, 10, 10, 0, 0}, {ZERO, true, 10, 10, 10}, {TAKE, 8, 2, 2, 10},
	     {PUT, 8, 10, 2, 10}, {REAP, 10, 8, 2, 8});
}

/* min goes from 255 to 256 and back before one instruction after the other of who reads it. */
static struct {
	unsigned int steps, at;
	bool grow;
} boundary;

static void
cross_the_boundary(uintptr_t place __rte_unused)
{
	if (boundary.steps++ != boundary.at)
		return;
	if (!boundary.grow) {
		take(1);
		return;
	}
	put(1);
	mag_depot_update(&depot);
	depot.full.reaplimit = MAGAZINES;
}

static void
read_across_the_boundary(void *arg)
{
	uint32_t *read = arg;

	stepper_begin(cross_the_boundary);
	*read = mag_depot_reapable(&depot.full);
	stepper_end();
}

TEST(test_what_may_be_reaped_is_read_at_one_moment, setup, teardown)
{
	uint32_t read;

	skip_without_steps();
	mag_depot_reapable(&depot.full);
	boundary.steps = 1;
	for (boundary.at = 0; boundary.at < boundary.steps; boundary.at++) {
		for (boundary.grow = false;; boundary.grow = true) {
			setup(state);
			put(boundary.grow ? 255 : 256);
			mag_depot_zero(&depot);
			depot.full.reaplimit = MAGAZINES;
			boundary.steps = 0;
			run_on_thread(read_across_the_boundary, &read);
			teardown(state);
			if (read != 255 && read != 256)
				fail_msg("%u were read before step %u of %u", read, boundary.at,
					 boundary.steps);
			if (boundary.grow)
				break;
		}
	}
	setup(state);
}

TEST(test_zero_makes_everything_reapable_and_says_whether_it_changed_anything, setup, teardown)
{
	PLAY({PUT, 7, 7, 0, 0}, {ZERO, true, 7, 7, 7}, {ZERO, false, 7, 7, 7});
	mag_depot_put(&depot.empty, magazine[30]);
	assert_true(mag_depot_zero(&depot));
	assert_int_equal(mag_depot_reapable(&depot.empty), 1);
	PLAY({ZERO, false, 7, 7, 7}, {UPDATE, 0, 7, 7, 7}, {ZERO, false, 7, 7, 7},
	     {TAKE, 1, 6, 6, 7}, {ZERO, true, 6, 6, 6}, {ZERO, false, 6, 6, 6}, {TAKE, 1, 5, 5, 6},
	     {PUT, 1, 6, 5, 6}, {ZERO, true, 6, 6, 6});
}

TEST(test_every_take_has_a_new_tag_and_nothing_else_has, setup, teardown)
{
	uint64_t tag = mag_depot_head(&depot.full).tag;

	put(1);
	assert_int_equal(mag_depot_head(&depot.full).tag, tag);
	take(1);
	assert_int_equal(mag_depot_head(&depot.full).tag, tag + 1);
	put(1);
	mag_depot_update(&depot);
	assert_int_equal(mag_depot_head(&depot.full).tag, tag + 1);
}

TEST(test_a_wrapping_tag_leaves_the_counts_alone, setup, teardown)
{
	put(4);
	depot.full.head.hi |= 0xffffffffffffull << 16;
	take(1);
	assert_int_equal(mag_depot_head(&depot.full).tag, 0);
	assert_head(&depot.full, 3, 0);
}

struct crowd {
	_Atomic bool stop;
	_Atomic uint32_t owner[MAG_ARENA_FIRST + MAGAZINES];
	_Atomic uint32_t clashes;
	_Atomic uint32_t turns;
	uint32_t reaped; /* of the one who does */
};

static struct crowd crowd;

static void
own(struct mag_magazine *got, bool mine)
{
	_Atomic uint32_t *owner = &crowd.owner[got->index];

	if (atomic_exchange_explicit(owner, mine, memory_order_relaxed) == mine)
		atomic_fetch_add(&crowd.clashes, 1);
}

static void
crowd_run(void *arg)
{
	struct mag_depot_list *list = arg;
	struct mag_magazine *got[2];
	unsigned int n, want = 1;

	while (!atomic_load_explicit(&crowd.stop, memory_order_relaxed)) {
		n = mag_depot_take(&depot, list, want, got);
		want = 3 - want;
		if (n == 0)
			continue;
		own(got[0], true);
		if (n == 2)
			own(got[1], true);
		if ((atomic_fetch_add_explicit(&crowd.turns, 1, memory_order_relaxed) & 63) == 0)
			sched_yield();
		own(got[0], false);
		mag_depot_put(list, got[0]);
		if (n == 2) {
			own(got[1], false);
			mag_depot_put(list, got[1]);
		}
	}
}

/* Maintenance: chains, which nobody else has, and never more than may be reaped. */
static void
crowd_reap(void *arg)
{
	struct mag_magazine *got[MAG_DEPOT_CHAIN];
	struct mag_depot_list *list = arg;
	unsigned int n;

	while (!atomic_load_explicit(&crowd.stop, memory_order_relaxed)) {
		mag_depot_zero(&depot);
		n = mag_depot_reap(&depot, list, 5, got);
		crowd.reaped += n;
		for (unsigned int i = 0; i < n; i++)
			own(got[i], true);
		sched_yield();
		for (unsigned int i = 0; i < n; i++) {
			own(got[i], false);
			mag_depot_put(list, got[i]);
		}
	}
}

TEST(test_each_magazine_has_one_owner_at_a_time, setup, teardown)
{
	struct task task[4], reaper;

	put(9);
	memset(&crowd, 0, sizeof(crowd));
	for (unsigned int i = 0; i < RTE_DIM(task); i++)
		task_thread(&task[i], crowd_run, &depot.full);
	task_thread(&reaper, crowd_reap, &depot.full);
	wait_until(atomic_load(&crowd.turns) > 50000 && mag_depot_contention(&depot) > 0);
	atomic_store(&crowd.stop, true);
	for (unsigned int i = 0; i < RTE_DIM(task); i++)
		task_join(&task[i]);
	task_join(&reaper);
	assert_true(mag_depot_contention(&depot) <= mag_depot_taken(&depot.full));
	assert_true(crowd.reaped > 0);
	assert_int_equal(crowd.clashes, 0);
	PLAY({ZERO, mag_depot_reapable(&depot.full) < 9, 9, 9, 9}, {TAKE, 9, 0, 0, 9});
}

TEST(test_contention_is_that_of_both_lists_and_of_several_threads, setup, teardown)
{
	put(20);
	take(20);
	assert_int_equal(mag_depot_contention(&depot), 0);
	atomic_store(&depot.full.contention, 3);
	atomic_store(&depot.empty.contention, 4);
	assert_int_equal(mag_depot_contention(&depot), 7);
}

#define PUTS 200000

/* The same magazine again and again: nobody takes from this list, only its head counts. */
static void
putter_run(void *arg)
{
	for (unsigned int i = 0; i < PUTS; i++)
		mag_depot_put(&depot.full, arg);
}

TEST(test_putting_never_counts_as_contention, setup, teardown)
{
	struct task task[2];

	task_thread(&task[0], putter_run, magazine[0]);
	task_thread(&task[1], putter_run, magazine[1]);
	task_join(&task[0]);
	task_join(&task[1]);
	assert_int_equal(mag_depot_contention(&depot), 0);
	assert_int_equal(mag_depot_total(&depot.full), 2 * PUTS);
	assert_int_equal(mag_depot_taken(&depot.full), 0);
}

/*
 * Each magazine on a page of its own, which may be closed: then who reads its link is stopped
 * there, and something happens to the depot before it goes on.
 */
#define PAGES 6

static struct {
	size_t page;
	uint8_t *base;
	struct mag_arena arena;
	struct mag_depot depot;
	void (*meanwhile)(unsigned int page);
	unsigned int stops;
} paged __attribute__((aligned(128)));

static struct mag_magazine *
paged_magazine(unsigned int page)
{
	return (struct mag_magazine *)(paged.base + page * paged.page);
}

static void
page_close(unsigned int page)
{
	mprotect(paged_magazine(page), paged.page, PROT_NONE);
}

static void
page_open(unsigned int page)
{
	mprotect(paged_magazine(page), paged.page, PROT_READ | PROT_WRITE);
}

static void
stopped(int signal __rte_unused, siginfo_t *info, void *context __rte_unused)
{
	size_t page = ((uint8_t *)info->si_addr - paged.base) / paged.page;

	if (page >= PAGES)
		_exit(99);
	page_open(page);
	paged.stops++;
	paged.meanwhile(page);
}

/* In the test, because cmocka has handlers of its own around each. */
static void
stop_at(unsigned int page, void (*meanwhile)(unsigned int page))
{
	const struct sigaction action = {.sa_sigaction = stopped, .sa_flags = SA_SIGINFO};

	paged.meanwhile = meanwhile;
	page_close(page);
	assert_int_equal(sigaction(SIGSEGV, &action, NULL), 0);
}

static void
paged_put(unsigned int page)
{
	mag_depot_put(&paged.depot.full, paged_magazine(page));
}

static unsigned int
paged_take(unsigned int want, struct mag_magazine *got[2])
{
	return mag_depot_take(&paged.depot, &paged.depot.full, want, got);
}

SETUP(setup_paged)
{
	paged.page = sysconf(_SC_PAGESIZE);
	paged.base = mmap(NULL, PAGES * paged.page, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(paged.base, MAP_FAILED);
	paged.arena = (struct mag_arena){
		.chunk = &paged.base,
		.limit = MAG_ARENA_FIRST + PAGES * paged.page / MAG_ARENA_UNIT,
	};
	for (unsigned int page = 0; page < PAGES; page++)
		paged_magazine(page)->index = MAG_ARENA_FIRST + page * paged.page / MAG_ARENA_UNIT;
	mag_depot_init(&paged.depot, &paged.arena);
	paged.stops = 0;
}

static int
teardown_paged(void **state __rte_unused)
{
	return munmap(paged.base, PAGES * paged.page);
}

static void
put_next(unsigned int page)
{
	if (page + 1 == PAGES)
		return;
	paged_put(page + 1);
	page_close(page + 1);
}

struct meeting {
	unsigned int stock; /* pages on the list, in order */
	bool reap;          /* else two are taken */
	unsigned int at;    /* the page that is closed */
	void (*meanwhile)(unsigned int page);
	unsigned int want, got[4], n; /* pages that are had, and their number */
	unsigned int rest[4], more;   /* the same of a second call */
	unsigned int stops, contention;
};

static void
met(const struct meeting *meeting, unsigned int want, const unsigned int *pages, unsigned int n)
{
	struct mag_magazine *got[MAG_DEPOT_CHAIN];

	assert_int_equal(meeting->reap ?
				 mag_depot_reap(&paged.depot, &paged.depot.full, want, got) :
				 paged_take(want, got),
			 n);
	for (unsigned int i = 0; i < n; i++)
		assert_ptr_equal(got[i], paged_magazine(pages[i]));
}

static void
meet(const struct meeting *meeting)
{
	for (unsigned int page = 0; page < meeting->stock; page++)
		paged_put(page);
	if (meeting->reap)
		mag_depot_zero(&paged.depot);
	stop_at(meeting->at, meeting->meanwhile);
	met(meeting, meeting->want, meeting->got, meeting->n);
	assert_int_equal(paged.stops, meeting->stops);
	assert_int_equal(mag_depot_contention(&paged.depot), meeting->contention);
	met(meeting, meeting->reap ? PAGES : 2, meeting->rest, meeting->more);
}

#define MEET(...) meet(&(const struct meeting){__VA_ARGS__})

TEST(test_a_take_that_fails_again_and_again_is_one_contention, setup_paged, teardown_paged)
{
	MEET(1, false, 0, put_next, 1, {PAGES - 1}, 1, {PAGES - 2, PAGES - 3}, 2, PAGES, 1);
	assert_int_equal(mag_depot_taken(&paged.depot.full), 2);
	assert_int_equal(mag_depot_total(&paged.depot.full), PAGES - 3);
}

/* The list was 2, 1, 0, and 1 is being looked at: now it is 2, 3, 0, and 1 is gone. */
static void
take_two_and_put_first_again(unsigned int page __rte_unused)
{
	struct mag_magazine *got[2];

	assert_int_equal(paged_take(2, got), 2);
	assert_ptr_equal(got[1], paged_magazine(1));
	paged_put(3);
	paged_put(2);
}

TEST(test_a_head_that_left_and_came_back_is_not_mistaken_for_one_that_stayed, setup_paged,
     teardown_paged)
{
	MEET(3, false, 1, take_two_and_put_first_again, 2, {2, 3}, 2, {0}, 1, 1, 1);
}

/* The first magazine is taken and used for something else. */
static void
take_first_and_write_into_it(unsigned int page)
{
	struct mag_magazine *got[2];

	assert_int_equal(paged_take(1, got), 1);
	assert_ptr_equal(got[0], paged_magazine(page));
	memset(got[0], 0x77, paged.page);
}

TEST(test_a_link_that_became_something_else_is_not_followed, setup_paged, teardown_paged)
{
	MEET(2, false, 1, take_first_and_write_into_it, 2, {0}, 1, {0}, 0, 1, 1);
	assert_int_equal(mag_depot_total(&paged.depot.full), 0);
}

static void
take_first(unsigned int page __rte_unused)
{
	struct mag_magazine *got[2];

	assert_int_equal(paged_take(1, got), 1);
}

TEST(test_a_reap_that_met_somebody_takes_fewer_and_is_no_contention, setup_paged, teardown_paged)
{
	MEET(PAGES, true, 1, take_first, PAGES, {4, 3, 2}, PAGES / 2, {1, 0}, 2, 1, 0);
	assert_int_equal(paged.depot.full.reaplimit, 1);
}

static void
put_another(unsigned int page __rte_unused)
{
	struct mag_magazine *got[2];

	assert_int_equal(paged_take(2, got), 2);
	mag_depot_put(&paged.depot.full, got[0]);
	mag_depot_put(&paged.depot.full, got[1]);
	mag_depot_zero(&paged.depot);
	paged.depot.full.reaplimit = PAGES;
}

TEST(test_a_chain_is_walked_again_when_it_has_changed, setup_paged, teardown_paged)
{
	/* 5, 4, 3, 2, 1, 0: 5 and 4 change places while 2 is being looked at. */
	MEET(PAGES, true, 2, put_another, 4, {4, 5}, 2, {3, 2, 1, 0}, 4, 1, 0);
}

/*
 * The list was 2, 1, 0; now it is 2, 3, 0, of as many and with as many needed: only the tag tells.
 */
static void
change_all_but_the_head(unsigned int page)
{
	take_two_and_put_first_again(page);
	mag_depot_zero(&paged.depot);
	paged.depot.full.reaplimit = 3;
}

TEST(test_a_chain_whose_head_came_back_is_not_mistaken_for_one_that_stayed, setup_paged,
     teardown_paged)
{
	MEET(3, true, 1, change_all_but_the_head, 3, {2, 3}, 2, {0}, 1, 1, 0);
}

#define LOAD_THREADS 4
#define LOAD_TURNS 2000
#define LOAD_ROUNDS 20
#define LOAD_STOCK 9

static pthread_barrier_t load_barrier;
static _Atomic uint64_t load_takes;

/*
 * Never more than one magazine in a hand, once in a round one in every hand, and in the end none.
 */
static void
load_run(void *arg __rte_unused)
{
	struct mag_magazine *got[2];

	for (unsigned int round = 0; round < LOAD_ROUNDS; round++) {
		for (unsigned int turn = 0; turn < LOAD_TURNS; turn++) {
			take_some(1, got);
			if (turn == LOAD_TURNS / 2)
				pthread_barrier_wait(&load_barrier);
			mag_depot_put(&depot.full, got[0]);
		}
		atomic_fetch_add(&load_takes, LOAD_TURNS);
		pthread_barrier_wait(&load_barrier);
		/* Here the test looks, and updates. */
		pthread_barrier_wait(&load_barrier);
	}
}

TEST(test_min_and_reaplimit_are_exact_under_load, setup, teardown)
{
	struct task task[LOAD_THREADS];

	pthread_barrier_init(&load_barrier, NULL, LOAD_THREADS + 1);
	atomic_store(&load_takes, 0);
	put(LOAD_STOCK);
	mag_depot_update(&depot);
	for (unsigned int i = 0; i < LOAD_THREADS; i++)
		task_thread(&task[i], load_run, NULL);
	for (unsigned int round = 0; round < LOAD_ROUNDS; round++) {
		pthread_barrier_wait(&load_barrier);
		pthread_barrier_wait(&load_barrier);
		assert_head(&depot.full, LOAD_STOCK, LOAD_STOCK - LOAD_THREADS);
		assert_int_equal(mag_depot_taken(&depot.full), load_takes);
		mag_depot_update(&depot);
		assert_int_equal(depot.full.reaplimit, LOAD_STOCK - LOAD_THREADS);
		assert_head(&depot.full, LOAD_STOCK, LOAD_STOCK);
		pthread_barrier_wait(&load_barrier);
	}
	for (unsigned int i = 0; i < LOAD_THREADS; i++)
		task_join(&task[i]);
	mag_depot_update(&depot);
	assert_int_equal(mag_depot_reapable(&depot.full), LOAD_STOCK);
	pthread_barrier_destroy(&load_barrier);
}

TEST_PROGRAM(1)
