/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A thread, the victim, is stopped at every instruction of the library that it comes to, one after
 * the other, while others go on allocating and freeing: two lcores, and a thread without an lcore
 * id. At each place the others do some work and then stay outside of the library, so that a lock
 * which is held then is the victim's. Where it has one of the slab layer's, somebody may have to
 * wait: these places are told, by function, with how many instructions the lock is held for.
 * Nowhere else may anybody wait.
 */

#include "eal.h"
#include "visits/steal.h"

#include <pthread.h>
#include <time.h>

#include "fixture.h"
#include "stepper.h"

#define SIZE 64
#define BLOCK 64
#define WORKERS 3
#define BESIDE (WORKERS - 1) /* the worker that is a thread without an lcore id */
#define VICTIM_LCORE 1
#define BULK 32
/* Turns that each worker begins and ends while the victim is stopped. */
#define TURNS 2
/*
 * A worker that was on a CPU for so long and ended no turn, which takes some 10 us, waits. It is
 * its own time that counts: how long others kept it off the CPU does not matter.
 */
#define STUCK_NS 2000000
#define LOOKS_MIN 16
#define RESTS 16
/*
 * Instructions under the slab lock: for each object of a bulk or slab of a table, and besides. 17
 * where the objects of a slab follow each other; up to 44 were seen where each is of another slab
 * than the one before.
 */
#define LOCKED_EACH 64
#define LOCKED_BESIDES 200
/* Most objects that the victim takes from the slab layer or gives to it at once. */
#define LOCKED_BULK 300

/* Unless there is time, and then at all. */
#define ANEW 4

enum leaf { LEAF_NONE, LEAF_SLAB, LEAF_REGION, LEAF_ARENA, LEAVES };

static const char *const leaf_name[LEAVES] = {"no lock", "slab", "region", "arena"};

/** How the pool is made that is worked on. */
struct pool {
	uint32_t objects;
	uint32_t rounds;   /* 0 = chosen by the library */
	unsigned int hold; /* by each worker */
	bool visit;
	bool fence;
	bool scarce; /* the victim may take all there is: others may be refused */
	bool tight;  /* what others need may lie in the victim's slot: such a refusal is counted */
	bool anew;   /* stop where it was stopped for other pools, too: at one place of ANEW */
};

static const struct pool *pool;

struct worker {
	struct task task;
	clockid_t clock;
	_Atomic bool ready;
	_Atomic uint64_t turns;
	_Atomic unsigned int parked; /* the pause in which it is parked */
	/* For the watcher: since the last turn. */
	uint64_t seen, since_ns;
};

static struct {
	_Atomic bool stop;
	_Atomic unsigned int pause; /* odd: turn and park; even: run */
	_Atomic uint64_t refused;
	struct worker worker[WORKERS];
} others;

static struct {
	void (*act)(void);
	_Atomic bool done;
	_Atomic bool free;    /* no more stops */
	_Atomic uintptr_t at; /* where it is stopped; 0 = it runs */
	enum leaf leaf;       /* that it held at the last place */
	unsigned int locked[LEAVES];
	unsigned int steps;
} victim;

/* Findings about each place. */
static struct {
	bool seen[STEPPER_PLACES];    /* not again, */
	bool ever[STEPPER_PLACES];    /* and in any test */
	uint32_t sample;              /* which of ANEW */
	uint8_t leaf[STEPPER_PLACES]; /* the lock that the victim has there */
	bool waited[STEPPER_PLACES];  /* and somebody had to wait for it */
	unsigned int stops;
	unsigned int locked[LEAVES]; /* most instructions in a row under it */
	char failure[512];
} found;

/* Others */

static void
nap(unsigned int us)
{
	nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL);
}

/* All that the data path has: magazines, depot, slabs; the latter because some objects pass by. */
static void
turn(void **objects)
{
	unsigned int got, n;

	for (got = 0; got < pool->hold; got += n) {
		n = mag_cache_alloc_burst(cache, objects + got, BULK);
		if (n == BULK)
			continue;
		atomic_fetch_add(&others.refused, 1);
		got += n;
		break;
	}
	/* Then others are likely to need all that there is at the same time. */
	if (pool->tight)
		nap(200);
	for (n = 0; n < 2 && got > 0; n++)
		mag_cache_free_nocache(cache, objects[--got]);
	for (n = 0; n < got; n += BULK)
		mag_cache_free_bulk(cache, objects + n, RTE_MIN(got - n, (unsigned int)BULK));
}

/*
 * While the victim steps: a thousand times slower than others it would not win an exchange if
 * they did not leave it the time for one.
 */
static void
rest(void)
{
	for (unsigned int i = 0; i < RESTS && atomic_load(&others.pause) % 2 == 0; i++)
		nap(10);
}

static void
worker_run(void *arg)
{
	struct worker *self = arg;
	unsigned int pause = 0, now, left = 0;
	void *objects[128];

	pthread_getcpuclockid(pthread_self(), &self->clock);
	atomic_store(&self->ready, true);
	while (!atomic_load(&others.stop)) {
		turn(objects);
		atomic_fetch_add(&self->turns, 1);
		now = atomic_load(&others.pause);
		if (now % 2 == 0) {
			rest();
			continue;
		}
		if (now != pause)
			left = TURNS;
		pause = now;
		if (left-- > 0)
			continue;
		atomic_store(&self->parked, now);
		while (atomic_load(&others.pause) == now && !atomic_load(&others.stop))
			nap(10);
	}
}

static void
workers_start(void)
{
	struct worker *worker;

	memset(&others, 0, sizeof(others));
	for (unsigned int i = 0; i < WORKERS; i++) {
		worker = &others.worker[i];
		if (i == BESIDE)
			task_thread(&worker->task, worker_run, worker);
		else
			task_lcore(&worker->task, VICTIM_LCORE + 1 + i, worker_run, worker);
	}
	for (unsigned int i = 0; i < WORKERS; i++)
		wait_until(atomic_load(&others.worker[i].ready));
}

static void
workers_join(void)
{
	atomic_store(&others.stop, true);
	for (unsigned int i = 0; i < WORKERS; i++)
		task_join(&others.worker[i].task);
}

static uint64_t
worker_ns(const struct worker *worker)
{
	struct timespec used;

	clock_gettime(worker->clock, &used);
	return used.tv_sec * UINT64_C(1000000000) + used.tv_nsec;
}

static bool
worker_is_parked(const struct worker *worker)
{
	return atomic_load(&worker->parked) == atomic_load(&others.pause);
}

/* Starts over the time that each worker has been on a CPU without an end of its turn. */
static void
workers_watch(void)
{
	for (unsigned int i = 0; i < WORKERS; i++) {
		others.worker[i].seen = atomic_load(&others.worker[i].turns);
		others.worker[i].since_ns = worker_ns(&others.worker[i]);
	}
}

static bool
worker_is_stuck(struct worker *worker)
{
	uint64_t turns = atomic_load(&worker->turns);

	if (turns != worker->seen) {
		worker->seen = turns;
		worker->since_ns = worker_ns(worker);
	}
	return worker_ns(worker) - worker->since_ns > STUCK_NS;
}

/* The victim's place */

static enum leaf
leaf_held(void)
{
	return MAG_STAT(cache->first.slab.lock.holder) != 0  ? LEAF_SLAB :
	       MAG_STAT(cache->region->lock.holder) != 0     ? LEAF_REGION :
	       MAG_STAT(cache->first.arena.lock.holder) != 0 ? LEAF_ARENA :
							       LEAF_NONE;
}

/* Remembers the first. */
static void
fail_at(uintptr_t place, const char *what)
{
	char text[256];

	if (found.failure[0] != '\0')
		return;
	stepper_describe(place, text, sizeof(text));
	snprintf(found.failure, sizeof(found.failure), "%s while a thread is stopped in %s", what,
		 text);
	atomic_store(&victim.free, true);
}

enum waits { WAITS_NOBODY, WAITS_FOR_LEAF, WAITS_FOR_ELSE };

/*
 * Until all others have done some work and are parked. Or until those that are not have all
 * been running in vain while one and the same leaf lock was held: then it is the victim that
 * holds it, because a thread that waits for a leaf has none, and one that runs lets go of its own.
 */
static enum waits
others_go_on(void)
{
	uint64_t end = wait_deadline();
	enum leaf leaf = LEAF_NONE, now;
	unsigned int i, looks = 0, parked, stuck;

	for (workers_watch();;) {
		for (i = parked = stuck = 0; i < WORKERS; i++)
			if (worker_is_parked(&others.worker[i]))
				parked++;
			else if (worker_is_stuck(&others.worker[i]))
				stuck++;
		if (parked == WORKERS)
			return WAITS_NOBODY;
		/* Nobody may wait for the arena: that is for the deadline to find out. */
		now = leaf_held() != LEAF_ARENA ? leaf_held() : LEAF_NONE;
		looks = now != LEAF_NONE && now == leaf ? looks + 1 : 0;
		leaf = now;
		if (looks == 0)
			workers_watch();
		else if (looks >= LOOKS_MIN && parked + stuck == WORKERS)
			return WAITS_FOR_LEAF;
		if (wait_is_over(end))
			return WAITS_FOR_ELSE;
	}
}

/* The victim is stopped at a place: what does that mean to the others? */
static void
look_at(uintptr_t place)
{
	uint64_t refused = atomic_load(&others.refused);
	enum waits waits;
	enum leaf leaf;

	atomic_fetch_add(&others.pause, 1);
	waits = others_go_on();
	leaf = leaf_held();
	found.stops++;
	found.leaf[place] = leaf;
	found.waited[place] = waits == WAITS_FOR_LEAF;
	if (waits == WAITS_FOR_ELSE)
		fail_at(place, "others wait");
	if (!pool->scarce && !pool->tight && atomic_load(&others.refused) != refused)
		fail_at(place, "objects are out of reach");
	atomic_fetch_add(&others.pause, 1);
}

static bool
is_sampled(uintptr_t place)
{
	return !pool->anew || !found.ever[place] || run_is_full() || place % ANEW == found.sample;
}

/* In the victim, before each instruction. */
static void
on_step(uintptr_t place)
{
	enum leaf leaf;

	victim.steps++;
	/* Calls out of the library happen under the lock that the caller has. */
	if (place == STEPPER_OUTSIDE) {
		victim.locked[victim.leaf]++;
		return;
	}
	if (!found.seen[place] && is_sampled(place) && !atomic_load(&victim.free)) {
		found.seen[place] = true;
		found.ever[place] = true;
		atomic_store(&victim.at, place);
		while (atomic_load(&victim.at) != 0)
			nap(10);
	}
	leaf = found.leaf[place];
	if (leaf != victim.leaf)
		victim.locked[leaf] = 0;
	victim.locked[leaf]++;
	found.locked[leaf] = RTE_MAX(found.locked[leaf], victim.locked[leaf]);
	victim.leaf = leaf;
}

static void
victim_run(void *arg __rte_unused)
{
	stepper_begin(on_step);
	victim.act();
	stepper_end();
	atomic_store(&victim.done, true);
}

/* Once without stops: what is bound late is bound then. */
static void
warm_victim_run(void *arg)
{
	victim.act();
	victim_run(arg);
}

static void
victim_prepare(void (*act)(void))
{
	victim.act = act;
	victim.leaf = LEAF_NONE;
	victim.steps = 0;
	memset(victim.locked, 0, sizeof(victim.locked));
	atomic_store(&victim.done, false);
	atomic_store(&victim.free, false);
	atomic_store(&victim.at, 0);
	found.stops = 0;
	found.sample = random_below(ANEW);
	found.failure[0] = '\0';
	/*
	 * Where it was stopped in another operation it is not stopped again, unless there is time.
	 */
	if (pool->anew || run_is_full())
		memset(found.seen, 0, sizeof(found.seen));
}

static void
victim_watch(void (*look)(uintptr_t place))
{
	uintptr_t place;

	while (!atomic_load(&victim.done)) {
		place = atomic_load(&victim.at);
		if (place != 0) {
			look(place);
			atomic_store(&victim.at, 0);
		}
		nap(10);
	}
}

static void
stop_everywhere(void (*act)(void), bool lcore)
{
	struct task task;

	skip_without_steps();
	victim_prepare(act);
	workers_start();
	if (lcore)
		task_lcore(&task, VICTIM_LCORE, warm_victim_run, NULL);
	else
		task_thread(&task, warm_victim_run, NULL);
	victim_watch(look_at);
	task_join(&task);
	workers_join();
	printf("# %u steps, stopped at %u places, at most %u steps under the slab lock; "
	       "others refused %u times, %u steals, %u of them denied\n",
	       victim.steps, found.stops, found.locked[LEAF_SLAB],
	       (unsigned int)atomic_load(&others.refused),
	       (unsigned int)MAG_STAT(cache->common.steals),
	       (unsigned int)MAG_STAT(cache->common.steal_denied));
	if (found.failure[0] != '\0')
		fail_msg("%s", found.failure);
	if (pool->tight)
		assert_true(MAG_STAT(cache->common.steals) > 0);
	if (pool->tight && atomic_load(&others.refused) > MAG_STAT(cache->common.steal_denied))
		fail_msg("%u allocations refused, but only %u of them counted",
			 (unsigned int)atomic_load(&others.refused),
			 (unsigned int)MAG_STAT(cache->common.steal_denied));
}

/* The work of the victim */

static void
take_and_return(unsigned int bulk, unsigned int total)
{
	struct mag_object_info info;
	void *objects[LOCKED_BULK];
	unsigned int got = 0, n, give;

	for (; got < total; got += n) {
		n = mag_cache_alloc_burst(cache, objects + got, RTE_MIN(bulk, total - got));
		if (n == 0)
			break;
	}
	if (got > 0)
		mag_cache_object_info(cache, objects[0], &info, NULL);
	for (; got > 0; got -= give) {
		give = RTE_MIN(bulk, got);
		mag_cache_free_bulk(cache, objects + got - give, give);
	}
}

static void
get_and_put_few(void)
{
	static const unsigned int bulks[] = {1, 3, 8, 32, 64};

	for (unsigned int i = 0; i < RTE_DIM(bulks); i++)
		take_and_return(bulks[i], bulks[i]);
}

static void
get_and_put(void)
{
	get_and_put_few();
	take_and_return(7, 7);
	take_and_return(126, 126);
	take_and_return(LOCKED_BULK, LOCKED_BULK);
	/* More than both magazines: depot and slabs. */
	take_and_return(32, LOCKED_BULK);
}

/* An owner that is off its CPU does not let go: then again. */
#define until_done(call)                                                                           \
	do {                                                                                       \
		uint64_t end_ = wait_deadline();                                                   \
		while ((call) != 0 && !wait_is_over(end_))                                         \
			;                                                                          \
	} while (0)

static void
purge_and_enable(void)
{
	until_done(mag_cache_purge(cache));
	get_and_put_few();
	mag_cache_enable(cache);
	get_and_put_few();
}

static void
resize(void)
{
	until_done(mag_cache_resize(cache, 14, true));
	get_and_put_few();
	until_done(mag_cache_resize(cache, 62, true));
}

static void
reap(void)
{
	get_and_put_few();
	mag_cache_reap_now(cache, false);
	get_and_put_few();
	until_done(mag_cache_reap_now(cache, true));
}

static void
update(void)
{
	until_done(mag_cache_resize(cache, 14, true));
	get_and_put_few();
	/* More contention than an update lets pass. */
	cache->contention_seen = 0;
	MAG_STAT_ADD(cache->first.depot.full.contention, 100);
	mag_cache_update(cache);
	mag_cache_update(cache);
}

static void
rescale(void)
{
	uint32_t size = MAG_STAT(cache->first.slab.table.size);

	mag_slab_rescale(&cache->first.slab, 2 * size, -1);
	mag_slab_rescale(&cache->first.slab, size, -1);
}

/* All there is, which others hold. */
static void
steal(void)
{
	struct mag_request request = {0};
	void *objects[512];
	unsigned int got = 0, n;

	do {
		n = mag_cache_alloc_burst(cache, objects + got, 16);
		got += n;
	} while (n == 16 && got + 16 < RTE_DIM(objects));
	n = mag_cache_steal(cache, objects + got, 8, &request);
	mag_cache_free_bulk(cache, objects, got + n);
}

/* As long as none of those who need all that there is had to steal. */
static void
meet_thieves(void)
{
	uint64_t end = wait_deadline();

	do {
		get_and_put_few();
		mag_cache_reap_now(cache, false);
	} while (MAG_STAT(cache->common.steals) == 0 && !wait_is_over(end));
}

static void
hand_in(void)
{
	get_and_put_few();
	mag_lcore_flush();
}

static void
gather_blocks(void)
{
	void *first[2];

	mag_cache_gather(cache);
	if (mag_slab_alloc_blocks(&cache->first.slab, first, RTE_DIM(first)) != 0)
		return;
	for (unsigned int i = 0; i < RTE_DIM(first); i++)
		for (unsigned int j = 0; j < BLOCK; j++)
			mag_cache_free(cache, (char *)first[i] + j * SIZE);
}

/* Pools */

#define PLENTY .objects = 2048, .hold = 128
#define SCARCE .objects = 256, .hold = 64, .rounds = 14, .scarce = true

/** A test: what the victim does, with which pool, and whether as a thread without an lcore id. */
struct row {
	const char *name;
	void (*act)(void);
	const struct pool *pool;
	bool beside;
	bool full; /* where there is time alone: it is the same code, seen from such a thread */
};

static const struct pool plenty = {PLENTY, .visit = true};
static const struct pool plenty_anew = {PLENTY, .visit = true, .anew = true};
static const struct pool plenty_fence = {PLENTY, .visit = true, .fence = true, .anew = true};
static const struct pool plenty_poll = {PLENTY, .anew = true};
static const struct pool scarce = {SCARCE, .visit = true};
static const struct pool scarce_fence = {SCARCE, .visit = true, .fence = true, .anew = true};
static const struct pool scarce_poll = {SCARCE, .anew = true};
/* As many objects as all hold at most, and no more. */
static const struct pool tight = {.objects = WORKERS * 64 + 64,
				  .hold = 64,
				  .rounds = 14,
				  .visit = true,
				  .tight = true,
				  .anew = true};

SETUP(setup)
{
	struct mag_pool_params params = POOL_PARAMS(.name = "stops", .object_size = SIZE);

	pool = ((const struct row *)*state)->pool;
	ground = ground_make(pool->objects, SIZE, BLOCK, 0);
	params.objects = pool->objects;
	params.options.visit = pool->visit;
	params.options.rounds = pool->rounds;
	params.region = ground.region;
	mag_bias_forbid_membarrier(pool->fence);
	cache = make_pool(params);
	mag_bias_forbid_membarrier(false);
	/* Nobody but the victim does maintenance. */
	assert_int_equal(mag_maint_interval(3600000), 0);
}

static int
setup_plenty(void **state __rte_unused)
{
	static const struct row row = {.pool = &plenty};

	return setup(&(void *){(void *)(uintptr_t)&row});
}

TEARDOWN(teardown)
{
	assert_int_equal(cache->common.transit, 0);
	assert_int_equal(mag_cache_available(cache), pool->objects);
	mag_pool_free(cache);
	ground_drop(&ground);
}

static void
test_nobody_waits(void **state)
{
	const struct row *row = *state;

	stop_everywhere(row->act, !row->beside);
}

/* A thread that needs a slot of its own meets others that do. */

static _Atomic unsigned int served;

static void
newcomer_run(void *arg __rte_unused)
{
	get_and_put_few();
	atomic_fetch_add(&served, 1);
}

static void
look_at_newcomers(uintptr_t place)
{
	unsigned int before = atomic_load(&served);
	uint64_t end = wait_deadline();
	struct task task;

	found.stops++;
	task_registered(&task, newcomer_run, NULL);
	while (atomic_load(&served) == before && !wait_is_over(end))
		;
	if (atomic_load(&served) == before) {
		fail_at(place, "a new lcore waits");
		atomic_store(&victim.at, 0);
	}
	task_join(&task);
}

TEST(test_newcomers_do_not_wait_for_a_newcomer, setup_plenty, teardown)
{
	struct task task;

	skip_without_steps();
	victim_prepare(mag_thread_claim);
	task_registered(&task, victim_run, NULL);
	victim_watch(look_at_newcomers);
	task_join(&task);
	printf("# stopped at %u places\n", found.stops);
	assert_true(found.stops > 0);
	if (found.failure[0] != '\0')
		fail_msg("%s", found.failure);
}

/* The findings of all tests together */

TEST(test_every_part_was_stopped_in, setup_plenty, teardown)
{
	static const char *const functions[] = {
		"mag_depot_take",         "mag_depot_put",         "mag_depot_update",
		"mag_depot_zero",         "mag_depot_reap",        "mag_slot_take",
		"mag_slot_give",          "mag_slot_pick",         "mag_thread_claim",
		"mag_bias_enter_careful", "mag_bias_fence",        "mag_bias_granted",
		"mag_slab_alloc",         "mag_slab_free",         "mag_slab_find",
		"mag_slab_rescale",       "mag_slab_alloc_blocks", "mag_region_get",
		"mag_region_put",         "mag_arena_get",         "mag_arena_put",
		"mag_home_take",          "mag_home_give",         "mag_cache_steal",
		"mag_cache_resize",       "mag_cache_purge",       "mag_cache_enable",
		"mag_cache_reap_now",     "mag_cache_update",      "mag_cache_flush_slot",
		"mag_cache_gather",
	};

	skip_without_steps();
	for (unsigned int i = 0; i < RTE_DIM(functions); i++)
		if (!found.ever[stepper_place(functions[i])])
			fail_msg("%s was never stopped in", functions[i]);
}

/* One line for each function in which a lock was held. */
static void
tell_windows(void)
{
	unsigned int n[LEAVES] = {0}, waited = 0;
	const char *last = "", *function;

	for (unsigned int place = 0; place <= STEPPER_PLACES; place++) {
		if (place < STEPPER_PLACES && found.leaf[place] == LEAF_NONE)
			continue;
		function = place < STEPPER_PLACES ? stepper_function(place) : "";
		for (unsigned int leaf = 1; leaf < LEAVES && strcmp(function, last) != 0; leaf++) {
			if (n[leaf] > 0)
				printf("# %s: %u places under the %s lock, others waited at %u\n",
				       last, n[leaf], leaf_name[leaf], waited);
			n[leaf] = 0;
		}
		if (strcmp(function, last) != 0)
			waited = 0;
		last = function;
		if (place == STEPPER_PLACES)
			break;
		n[found.leaf[place]]++;
		waited += found.waited[place];
	}
}

TEST(test_a_slab_lock_is_held_no_longer_than_for_a_bulk, setup_plenty, teardown)
{
	skip_without_steps();
	tell_windows();
	for (unsigned int leaf = LEAF_SLAB; leaf < LEAVES; leaf++)
		printf("# at most %u instructions under the %s lock\n", found.locked[leaf],
		       leaf_name[leaf]);
	assert_true(found.locked[LEAF_SLAB] > 0);
	assert_true(found.locked[LEAF_SLAB] < LOCKED_BULK * LOCKED_EACH + LOCKED_BESIDES);
	assert_true(found.locked[LEAF_REGION] > 0);
	assert_true(found.locked[LEAF_REGION] < LOCKED_BESIDES);
}

#define ROW(act, pool, ...)                                                                        \
	{                                                                                          \
		"test_nobody_waits_for_" #act " (" #pool ")", act, &pool, __VA_ARGS__              \
	}

static const struct row rows[] = {
	ROW(get_and_put, plenty),
	ROW(get_and_put, plenty_fence),
	ROW(get_and_put, plenty_poll),
	ROW(get_and_put, plenty_anew, .beside = true),
	ROW(purge_and_enable, plenty),
	ROW(resize, plenty),
	ROW(reap, plenty),
	ROW(reap, plenty, .beside = true),
	ROW(update, plenty),
	ROW(rescale, plenty),
	ROW(hand_in, plenty),
	ROW(gather_blocks, plenty),
	ROW(steal, scarce),
	ROW(steal, scarce_fence),
	ROW(steal, scarce_poll),
	ROW(steal, scarce, .beside = true),
	ROW(meet_thieves, tight),
	ROW(meet_thieves, tight, .beside = true),
	ROW(purge_and_enable, plenty, .beside = true, .full = true),
	ROW(resize, plenty, .beside = true, .full = true),
	ROW(update, plenty, .beside = true, .full = true),
	ROW(rescale, plenty, .beside = true, .full = true),
	ROW(hand_in, plenty, .beside = true, .full = true),
	ROW(gather_blocks, plenty, .beside = true, .full = true),
};

int
main(void)
{
	for (unsigned int i = 0; i < RTE_DIM(rows); i++)
		if (!rows[i].full || run_is_full())
			tests_add(&(struct CMUnitTest){rows[i].name, test_nobody_waits, setup,
						       teardown, (void *)(uintptr_t)&rows[i]},
				  i);
	eal_start(VICTIM_LCORE + WORKERS, NULL);
	return tests_run(NULL, NULL);
}
