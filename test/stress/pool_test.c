/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Mempools of the driver under everything at once: lcores, threads that are none, threads that
 * become lcores and end, and visitors that purge, resize and reap meanwhile.
 */

#include <dlfcn.h>
#include <signal.h>
#include <time.h>
#include <ucontext.h>

#include "cell.h"
#include "slow.h"
#include "stress.h"

#define STOP_MS 50
/* rte_mempool's own cache holds up to 1.5 times its size. */
#define MEMPOOL_CACHE 512
#define MEMPOOL_CACHE_MOST (MEMPOOL_CACHE * 3 / 2)

struct pool_cell {
	struct cell cell;
	void (*run)(void **state); /**< NULL: run_pool_cell() */
	long stop_us; /**< how long a thread is stopped, for those that are stopped often */
	uint32_t objects;
	unsigned int cache_size;
	const char *options;
	bool no_membarrier;
};

static void
begin_pool_cell(const struct pool_cell *pool_cell, struct subject *subject)
{
	stress_begin(pool_cell->cell.name);
	mag_bias_forbid_membarrier(pool_cell->no_membarrier);
	subject_pool(subject, pool_cell->objects, pool_cell->cache_size, pool_cell->options);
}

static void
end_pool_cell(struct subject *subject)
{
	subject_pool_free(subject);
	mag_bias_forbid_membarrier(false);
	stress_end();
}

static void
run_pool_cell(void **state)
{
	const struct pool_cell *pool_cell = *state;
	struct cell cell = pool_cell->cell;
	struct subject subject;

	begin_pool_cell(pool_cell, &subject);
	if (pool_cell->cache_size > 0)
		cell.plan.kept_back = MEMPOOL_CACHE_MOST * (rte_lcore_count() + 1);
	cell_run(&cell, &subject);
	end_pool_cell(&subject);
}

/* It begins with membarriers, of which the first one fails; the next cell does so again. */
static void
run_filtered_cell(void **state)
{
	const struct pool_cell *pool_cell = *state;
	struct subject subject;

	if (mag_bias_best() != MAG_BIAS_MEMBARRIER) {
		say("skip: no membarrier here");
		skip();
	}
	begin_pool_cell(pool_cell, &subject);
	cell_run(&pool_cell->cell, &subject);
	if (!mag_bias_has_given_up())
		stress_blame("no membarrier has failed");
	end_pool_cell(&subject);
}

/* A thread that is stopped wherever it is, while the others go on. */

static _Atomic uint32_t stops;
static long stop_us;

static void
on_stop(int signal)
{
	struct timespec rest = {.tv_nsec = stop_us * 1000};

	RTE_SET_USED(signal);
	atomic_fetch_add_explicit(&stops, 1, memory_order_relaxed);
	nanosleep(&rest, NULL);
}

/* A worker whose thread is there to be stopped; NULL when the cell has failed. */
static struct worker *
some_worker(struct crew *crew)
{
	static struct rng rng;
	struct worker *worker;

	if (rng.state == 0)
		rng = stress_rng();
	do {
		worker = crew->worker[rng_below(&rng, crew->count)];
		if (stress_blamed())
			return NULL;
		/* acquire: pairs with the start of worker_main() */
	} while (!atomic_load_explicit(&worker->running, memory_order_acquire));
	return worker;
}

/* Only a thread that is inside its slot is stopped: who visits must not go on without it. */

static const struct mag_cache *_Atomic inside;

static void
on_stop_inside(int signal)
{
	const struct mag_cache *cache = MAG_STAT(inside);
	const struct mag_slot *own =
		(const struct mag_slot *)((const char *)cache->first.slot + mag_lcore_offset);

	if (MAG_STAT(own->busy) != 0)
		on_stop(signal);
}

/* Only a thread that is taking magazines from the depot is stopped: the head must not come back. */

#define TAKE_BYTES 320 /* of code: about as long as mag_depot_take() */

static uintptr_t take_code;

static uintptr_t
stopped_at(const void *context)
{
	const ucontext_t *where = context;

#if defined(__x86_64__)
	return where->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
	return where->uc_mcontext.pc;
#else
	RTE_SET_USED(where);
	return take_code;
#endif
}

static void
on_stop_in_depot(int signal, siginfo_t *info, void *context)
{
	RTE_SET_USED(info);
	if (stopped_at(context) - take_code < TAKE_BYTES)
		on_stop(signal);
}

static void
stop_in_depot(struct crew *crew)
{
	struct sigaction action = {.sa_sigaction = on_stop_in_depot, .sa_flags = SA_SIGINFO};
	uint64_t end = now_ms() + 100;
	struct worker *worker;

	take_code = (uintptr_t)dlsym(RTLD_DEFAULT, "mag_depot_take");
	sigaction(SIGUSR1, &action, NULL);
	while (now_ms() < end && (worker = some_worker(crew)) != NULL) {
		pthread_kill(worker->thread, SIGUSR1);
		usleep(20);
	}
}

static void
stops_begin(long us)
{
	stop_us = us;
	atomic_store_explicit(&stops, 0, memory_order_relaxed);
	signal(SIGUSR1, on_stop);
}

static void
stop_inside(struct crew *crew)
{
	uint64_t end = now_ms() + 100;
	struct worker *worker;

	atomic_store_explicit(&inside, crew->subject->cache, memory_order_relaxed);
	signal(SIGUSR1, on_stop_inside);
	while (now_ms() < end && (worker = some_worker(crew)) != NULL) {
		pthread_kill(worker->thread, SIGUSR1);
		usleep(50);
	}
}

static void
run_slow_cell(void **state)
{
	slow_motion(true);
	run_pool_cell(state);
	slow_motion(false);
}

static void
run_often_stopped_cell(void **state)
{
	const struct pool_cell *pool_cell = *state;

	stops_begin(pool_cell->stop_us);
	run_pool_cell(state);
	say("  %u short stops", MAG_STAT(stops));
}

static uint64_t
steps_of_others(const struct crew *crew, const struct worker *stopped)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < crew->count; i++)
		if (crew->worker[i] != stopped)
			sum += MAG_STAT(crew->worker[i]->steps);
	return sum;
}

static _Atomic uint32_t standstills;

static void
stop_somebody(struct crew *crew)
{
	struct worker *worker = some_worker(crew);
	uint64_t before;

	if (worker == NULL || pthread_kill(worker->thread, SIGUSR1) != 0)
		return;
	usleep(5000);
	before = steps_of_others(crew, worker);
	usleep((STOP_MS - 15) * 1000);
	if (steps_of_others(crew, worker) == before)
		atomic_fetch_add_explicit(&standstills, 1, memory_order_relaxed);
}

static void
run_stop_cell(void **state)
{
	uint32_t stopped, stood;

	stops_begin(STOP_MS * 1000);
	atomic_store_explicit(&standstills, 0, memory_order_relaxed);
	run_pool_cell(state);
	stopped = MAG_STAT(stops);
	stood = MAG_STAT(standstills);
	say("  %u threads stopped, in %u cases nobody did anything meanwhile", stopped, stood);
	assert_true(stopped > 0);
	/* Who is stopped in the slab layer stops others there: rare. */
	assert_true(stood <= 1 + stopped / 4);
}

/* clang-format off */
#define CREW {.plain = 2, .visitors = 2, .pause_us = 3000}
#define CALM {.plain = 2, .visitors = 1, .pause_us = 3000, .calm = true}
#define TINY {.plain = 6, .visitors = 1, .pause_us = 3000, .bulk = 4}
/* clang-format on */

/* Every object is stolen: all of them fit into the magazines of those who free. */
/* clang-format off */
#define PIPE {.no_nursery = true, .pipe = true, .bulk = 8}
/* clang-format on */

/* Magazines go through the depot, few enough that its head is often what it was before. */
/* clang-format off */
#define BURST {.plain = 1, .no_nursery = true, .burst = true, .bulk = 28}
/* clang-format on */

static const struct pool_cell cells[] = {
	{{.name = "default", .plan = CREW, .service = true}, .objects = 8191},
	{{.name = "visited_without_pause", .plan = {.plain = 1, .visitors = 2}, .service = true},
	 .objects = 8191},
	{{.name = "thread", .plan = CREW}, .objects = 8191},
	{{.name = "fence", .plan = CREW, .service = true}, .objects = 8191, .no_membarrier = true},
	{{.name = "poll", .plan = CREW, .service = true, .out_of_reach = true, .may_refuse = true},
	 .objects = 8191,
	 .options = "visit=0"},
	{{.name = "no_magazines", .plan = CREW, .service = true},
	 .objects = 8191,
	 .options = "magazines=0"},
	{{.name = "watched", .plan = CREW, .service = true},
	 .objects = 8191,
	 .options = "guard=1,audit=1"},
	{{.name = "sampled", .plan = CREW, .service = true},
	 .objects = 8191,
	 .options = "audit=1/4"},
	{{.name = "rounds_14", .plan = CALM, .service = true},
	 .objects = 8191,
	 .options = "rounds=14"},
	{{.name = "rounds_510", .plan = CALM}, .objects = 8191, .options = "rounds=510"},
	{{.name = "one_object", .plan = TINY, .service = true}, .objects = 1},
	{{.name = "two_objects", .plan = TINY, .service = true}, .objects = 2},
	{{.name = "few_objects", .plan = TINY, .service = true},
	 .objects = 63,
	 .options = "rounds=14"},
	{{.name = "steal", .plan = PIPE}, .objects = 128, .options = "rounds=510"},
	{{.name = "steal_fence", .plan = PIPE},
	 .objects = 128,
	 .options = "rounds=510",
	 .no_membarrier = true},
	{{.name = "mempool_cache", .plan = CREW, .service = true, .out_of_reach = true},
	 .objects = 24000,
	 .cache_size = MEMPOOL_CACHE},
	{{.name = "stopped_anywhere", .plan = CREW, .service = true, .meanwhile = stop_somebody},
	 .run = run_stop_cell,
	 .objects = 8191},
	{{.name = "slow_motion", .plan = CREW, .stop_every_ms = 5},
	 .run = run_slow_cell,
	 .objects = 8191},
	{{.name = "stopped_inside", .plan = CREW, .meanwhile = stop_inside},
	 .run = run_often_stopped_cell,
	 .stop_us = 8000,
	 .objects = 8191},
	{{.name = "stopped_in_depot", .plan = BURST, .meanwhile = stop_in_depot},
	 .run = run_often_stopped_cell,
	 .stop_us = 300,
	 .objects = 756,
	 .options = "rounds=14"},
};

/* Pools whose first membarrier fails; those with a filter only. */
static const struct pool_cell filtered_cells[] = {
	{{.name = "small_filtered", .plan = PIPE, .out_of_reach = true, .may_refuse = true},
	 .run = run_filtered_cell,
	 .objects = 130,
	 .options = "rounds=62"},
	{{.name = "steal_filtered", .plan = PIPE, .out_of_reach = true, .may_refuse = true},
	 .run = run_filtered_cell,
	 .objects = 128,
	 .options = "rounds=510"},
	{{.name = "default_filtered",
	  .plan = CREW,
	  .service = true,
	  .out_of_reach = true,
	  .may_refuse = true},
	 .run = run_filtered_cell,
	 .objects = 8191},
};

int
main(int argc, char **argv)
{
	struct CMUnitTest tests[RTE_DIM(cells)] = {{NULL}};
	const char *only = getenv("MAGAZINE_STRESS_ONLY");
	const struct pool_cell *cell = cells;
	unsigned int count = RTE_DIM(cells);

	if (stress_start(argc, argv) != 0)
		return 77;
	if (stress_filtered()) {
		cell = filtered_cells;
		count = RTE_DIM(filtered_cells);
	}
	for (unsigned int i = 0; i < count; i++, cell++) {
		tests[i].name = cell->cell.name;
		tests[i].test_func = cell->run != NULL ? cell->run : run_pool_cell;
		tests[i].initial_state = (void *)(uintptr_t)cell;
	}
	if (only != NULL)
		cmocka_set_test_filter(only);
	return _cmocka_run_group_tests("tests", tests, count, NULL, NULL);
}
