/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Everything at once, with faults injected at random: the threads of one crew, more lcores than
 * CPUs, work on pools and caches of every kind, while others come and go, are populated in pieces,
 * and fail to for want of memory; magazines are not to be had, constructors refuse; maintenance
 * changes from control thread to service lcore and back. In watches: at the end of each, every
 * object is accounted for, and the next one has other flavours and another mix of faults.
 *
 * One minute, or ten with MAGAZINE_FULL=1. MAGAZINE_SEED repeats the choices of a run.
 */

#include <rte_log.h>

#include "accounts.h"
#include "cell.h"
#include "base/fault.h"
#include "guest.h"
#include "tsan_heap.h"
#include "lives.h"
#include "mag_maint.h"
#include "slow.h"
#include "stress.h"
#include "outside/maint.h"

#define SOAK_MS 30000
#define SOAK_FULL_MS 600000
#define SETTLE_MS 2000
#define WATCH_MS 12000
#define STEP_MS 40
#define INTERVAL_MS 10
#define GROWN_FIRST 1000
#define GROWN_ALL 12000
#define GROWN_MOST_AT_ONCE 200
#define MEMPOOL_CACHE 64

/* clang-format off */
#define PLAN(...) {.plain = 2, .visitors = 2, .pause_us = 3000, __VA_ARGS__}
/* clang-format on */

/* One of these for each subject; what a watch has of it is chosen anew each time. */
struct ground {
	const char *name;
	struct crew_plan plan;
	uint32_t objects; /* of a pool; 0: a cache of the library */
	const char *options[4];
	unsigned int cache_size;
	unsigned int flags;
	bool fails;        /* its constructor */
	bool grows;        /* its region, while it is used */
	bool out_of_reach; /* objects may be where nobody can have them */
};

static const struct ground grounds[] = {
	{.name = "pool",
	 .plan = PLAN(0),
	 .objects = 8191,
	 .options = {NULL, "block=8", "rounds=62", "interval=10ms"}},
	{.name = "nearly empty",
	 .plan = PLAN(.pipe = true, .bulk = 8, .calm = true),
	 .objects = 128,
	 .options = {"rounds=510", "rounds=14", "rounds=126", NULL}},
	{.name = "two objects",
	 .plan = PLAN(.bulk = 4),
	 .objects = 2,
	 .options = {NULL, "rounds=14", "magazines=0", NULL}},
	{.name = "bursts",
	 .plan = PLAN(.burst = true, .bulk = 28, .calm = true),
	 .objects = 756,
	 .options = {"rounds=14", "rounds=14", "rounds=14,block=4", "rounds=30"}},
	{.name = "asked",
	 .plan = PLAN(0),
	 .objects = 4095,
	 .options = {"visit=0", "visit=0,rounds=30", "visit=0", "visit=0"},
	 .out_of_reach = true},
	{.name = "mempool cache",
	 .plan = PLAN(0),
	 .objects = 6000,
	 .options = {NULL, "rounds=62", NULL, "rounds=30"},
	 .cache_size = MEMPOOL_CACHE,
	 .out_of_reach = true},
	{.name = "failing constructor",
	 .plan = PLAN(0),
	 .flags = MAG_CACHE_DYNAMIC | MAG_CACHE_REAP_ALL,
	 .fails = true},
	{.name = "no magazines", .plan = PLAN(0), .flags = MAG_CACHE_NOMAGAZINES},
	{.name = "growing",
	 .plan = PLAN(.kept_back = GROWN_ALL - GROWN_FIRST),
	 .flags = MAG_CACHE_DYNAMIC,
	 .grows = true},
};

#define SUBJECTS RTE_DIM(grounds)
#define CACHE_OBJECTS 6000

struct stay {
	const struct ground *ground;
	struct subject subject;
	struct subject_memory memory;
	struct lives lives;
	struct crew crew;
};

static struct soak {
	struct stay stay[SUBJECTS];
	struct guests guests[2];
	pthread_t thread[2];
	struct rng rng;
	uint64_t begin, end, told;
	unsigned int watches, looks, struck, grown, not_grown;
	bool service;
	uint64_t purges, resizes, reaps, updates, steals, contention, failed, rescales;
	uint64_t service_turns;
} soak;

/* Subjects */

static void
stay_cache(struct stay *stay)
{
	struct mag_cache_params params = {.size = sizeof(params),
					  .name = stay->ground->name,
					  .flags = stay->ground->flags,
					  .constructor = lives_construct,
					  .destructor = lives_destruct,
					  .arg = &stay->lives};
	uint32_t objects = stay->ground->grows ? GROWN_ALL : CACHE_OBJECTS;

	stay->lives.fails = stay->ground->fails;
	subject_cache(&stay->subject, &stay->memory, objects,
		      stay->ground->grows ? GROWN_FIRST : objects, &params);
}

static void
stay_begin(struct stay *stay, const struct ground *ground)
{
	struct crew_plan plan = ground->plan;
	const char *options = ground->options[rng_below(&soak.rng, RTE_DIM(ground->options))];

	*stay = (struct stay){.ground = ground};
	if (ground->objects != 0)
		subject_pool(&stay->subject, ground->objects, ground->cache_size, options);
	else
		stay_cache(stay);
	if (ground->cache_size > 0)
		plan.kept_back = ground->cache_size * 3 / 2 * (rte_lcore_count() + 1);
	crew_enlist(&stay->crew, &stay->subject, &plan);
}

static void
stay_end(struct stay *stay)
{
	struct mag_cache_stats stats;
	uint64_t unexplained = 0;

	crew_finish(&stay->crew);
	if (!stress_blamed())
		unexplained = cell_final_look(&stay->subject);
	mag_cache_stats_get(stay->subject.cache, &stats);
	soak.purges += stats.purges;
	soak.resizes += stats.resizes;
	soak.reaps += stats.reaps;
	soak.updates += stats.updates;
	soak.steals += stats.steals;
	soak.contention += stats.contention_total;
	soak.failed += MAG_STAT(stay->lives.failed);
	soak.rescales += MAG_STAT(stay->subject.cache->first.slab.rescales);
	say("%s: rounds %u, steals %" PRIu64 ", denied %" PRIu64 ", visits denied %" PRIu64,
	    stay->ground->name, stats.rounds, stats.steals, stats.steal_denied,
	    stats.visits_denied);
	unexplained += crew_tell(&stay->crew);
	if (unexplained > 0 && !stay->ground->fails && !stay->ground->out_of_reach)
		stress_blame("%s: %" PRIu64 " gets were refused with enough objects free and "
			     "nothing denied",
			     stay->ground->name, unexplained);
	crew_free(&stay->crew);
}

static void
stay_free(struct stay *stay)
{
	if (stay->ground->objects != 0) {
		subject_pool_free(&stay->subject);
		return;
	}
	accounts_purge(&stay->subject);
	if (!stress_blamed())
		lives_check(&stay->subject, &stay->lives);
	if (!stress_blamed())
		subject_cache_free(&stay->subject, &stay->memory);
}

/* What the main thread does between two looks at the books */

static void
grow(struct stay *stay)
{
	uint32_t left = stay->subject.stock.count - stay->memory.objects;
	unsigned int struck = mag_fault_struck();

	if (left == 0)
		return;
	if (subject_adopt(&stay->memory,
			  RTE_MIN(left, 1 + rng_below(&soak.rng, GROWN_MOST_AT_ONCE)))) {
		soak.grown++;
		return;
	}
	soak.not_grown++;
	if (mag_fault_struck() == struck)
		stress_blame("a region does not grow, and no failure was injected");
}

static void
change_runner(void)
{
	if (soak.service)
		stress_service_stop();
	else
		stress_service_start();
	soak.service = !soak.service;
	soak.service_turns++;
}

static void
change_faults(void)
{
	static const uint32_t no_magazine[] = {0, 1000, 30, 4};

	mag_fault_mtbf(4 << rng_below(&soak.rng, 8), rng_next(&soak.rng));
	slow_no_magazine(no_magazine[rng_below(&soak.rng, RTE_DIM(no_magazine))]);
	slow_motion(rng_once_in(&soak.rng, 4));
}

static void
step(void)
{
	struct stay *stay = &soak.stay[rng_below(&soak.rng, SUBJECTS)];

	usleep(rng_below(&soak.rng, 2 * STEP_MS * 1000));
	for (unsigned int i = 0; i < SUBJECTS; i++)
		if (soak.stay[i].ground->grows)
			grow(&soak.stay[i]);
	if (rng_once_in(&soak.rng, 16))
		change_runner();
	if (rng_once_in(&soak.rng, 8))
		change_faults();
	if (mag_maint_interval(rng_once_in(&soak.rng, 4) ? 1 + rng_below(&soak.rng, 20) :
							   INTERVAL_MS) != 0)
		stress_blame("the update interval is refused");
	/* Constructors refuse, so that not all can be had. */
	cell_look(&stay->crew, !stay->ground->out_of_reach && !stay->ground->fails);
	soak.looks++;
}

static void
progress(bool last)
{
	static bool tty, asked;
	uint64_t now = now_ms();

	if (!asked)
		tty = isatty(STDERR_FILENO) == 1;
	asked = true;
	if (!last && now - soak.told < (tty ? 500 : 60000))
		return;
	soak.told = now;
	fprintf(stderr,
		"%ssoak: %" PRIu64 " of %" PRIu64
		" s, watch %u, %u looks at the books, guests %" PRIu64 ", failures injected %u%s",
		tty ? "\r\033[K" : "", (now - soak.begin) / 1000, (soak.end - soak.begin) / 1000,
		soak.watches, soak.looks,
		MAG_STAT(soak.guests[0].made) + MAG_STAT(soak.guests[1].made),
		mag_fault_struck() - soak.struck, tty && !last ? "" : "\n");
}

static void
guests_begin(void)
{
	for (unsigned int i = 0; i < RTE_DIM(soak.guests); i++) {
		soak.guests[i].pools = i == 0;
		atomic_store_explicit(&soak.guests[i].end, false, memory_order_relaxed);
		assert_int_equal(
			pthread_create(&soak.thread[i], NULL, guests_main, &soak.guests[i]), 0);
	}
}

static void
guests_end(void)
{
	for (unsigned int i = 0; i < RTE_DIM(soak.guests); i++) {
		atomic_store_explicit(&soak.guests[i].end, true, memory_order_relaxed);
		pthread_join(soak.thread[i], NULL);
	}
}

static void
faults_end(void)
{
	mag_fault_mtbf(0, 0);
	mag_fault_nth(0);
	slow_no_magazine(0);
	slow_motion(false);
}

static void
watch(uint64_t end)
{
	soak.watches++;
	mag_bias_forbid_membarrier(rng_once_in(&soak.rng, 4));
	for (unsigned int i = 0; i < SUBJECTS; i++)
		stay_begin(&soak.stay[i], &grounds[i]);
	for (unsigned int i = 1; i < SUBJECTS; i++)
		crew_join(&soak.stay[0].crew, &soak.stay[i].crew);
	crew_launch(&soak.stay[0].crew);
	change_faults();
	guests_begin();
	while (now_ms() < end && !stress_blamed()) {
		step();
		progress(false);
	}
	guests_end();
	faults_end();
	for (unsigned int i = 0; i < SUBJECTS; i++)
		stay_end(&soak.stay[i]);
	for (unsigned int i = 0; i < SUBJECTS && !stress_blamed(); i++)
		stay_free(&soak.stay[i]);
	mag_bias_forbid_membarrier(false);
	if (soak.service)
		change_runner();
}

static void
expect_some(const char *what, uint64_t n)
{
	if (n == 0 && !stress_blamed())
		stress_blame("%s: none", what);
}

/* What was injected did hit, and was lived through; what was to happen happened. */
static void
tell(void)
{
	const struct guests *pools = &soak.guests[0], *caches = &soak.guests[1];
	unsigned int struck = mag_fault_struck() - soak.struck;

	say("%u watches, %u looks at the books", soak.watches, soak.looks);
	say("injected: %u failures of metadata, %" PRIu64 " magazines not to be had, %" PRIu64
	    " constructors",
	    struck, slow_no_magazines(), soak.failed);
	say("guests: pools %" PRIu64 ", caches %" PRIu64 ", refused %" PRIu64 " and %" PRIu64
	    ", resumed %" PRIu64 " and %" PRIu64 ", gets %" PRIu64,
	    MAG_STAT(pools->made), MAG_STAT(caches->made), MAG_STAT(pools->refused),
	    MAG_STAT(caches->refused), MAG_STAT(pools->resumed), MAG_STAT(caches->resumed),
	    MAG_STAT(pools->gets) + MAG_STAT(caches->gets));
	say("a region grew %u times, and could not %u times; the runner of maintenance changed "
	    "%" PRIu64 " times",
	    soak.grown, soak.not_grown, soak.service_turns);
	say("purges %" PRIu64 ", resizes %" PRIu64 ", reaps %" PRIu64 ", updates %" PRIu64
	    ", steals %" PRIu64 ", contention %" PRIu64,
	    soak.purges, soak.resizes, soak.reaps, soak.updates, soak.steals, soak.contention);
	expect_some("failures of metadata", struck);
	expect_some("pools", MAG_STAT(pools->made));
	expect_some("caches", MAG_STAT(caches->made));
	expect_some("guests refused", MAG_STAT(pools->refused) + MAG_STAT(caches->refused));
	expect_some("guests resumed", MAG_STAT(pools->resumed) + MAG_STAT(caches->resumed));
	expect_some("magazines that were not to be had", slow_no_magazines());
	expect_some("constructors that refused", soak.failed);
	expect_some("purges", soak.purges);
	expect_some("resizes", soak.resizes);
	expect_some("reaps", soak.reaps);
	expect_some("updates", soak.updates);
	expect_some("steals", soak.steals);
	expect_some("tables of addresses that were rescaled", soak.rescales);
}

/* Each refusal is a line of ours, and one of EAL's. */
static void
set_log_levels(uint32_t level)
{
	rte_log_set_level_pattern("lib.magazine", level);
	rte_log_set_level_pattern("lib.eal", level);
}

/* EAL and maintenance have what they keep once there was a cache, and a service lcore. */
static void
warm_up(void)
{
	struct subject subject;

	subject_pool(&subject, 63, 0, NULL);
	stress_service_start();
	usleep(100000);
	stress_service_stop();
	subject_pool_free(&subject);
}

TEST(everything_at_once_with_faults)
{
	unsigned int ms = stress_ms(SOAK_MS, SOAK_FULL_MS), before;

	/* With other work on the machine the last looks at the books take long. */
	stress_begin_long("soak", 2 * ms);
	set_log_levels(RTE_LOG_CRIT);
	warm_up();
	before = heap_allocations();
	soak.rng = stress_rng();
	soak.struck = mag_fault_struck();
	soak.begin = soak.told = now_ms();
	soak.end = soak.begin + ms;
	while (now_ms() < soak.end && !stress_blamed())
		watch(RTE_MIN(soak.end, now_ms() + WATCH_MS));
	progress(true);
	mag_maint_interval(0);
	tell();
	/* What somebody of EAL's has just now is given back soon; what leaked stays. */
	for (unsigned int settle = 0; settle < SETTLE_MS && heap_allocations() != before; settle++)
		usleep(1000);
	if (!stress_blamed() && heap_allocations() != before)
		stress_blame("%u allocations before, %u after", before, heap_allocations());
	set_log_levels(RTE_LOG_NOTICE);
	stress_end();
}

int
main(int argc, char **argv)
{
	if (stress_start(argc, argv) != 0)
		return 77;
	return tests_run(NULL, NULL);
}
