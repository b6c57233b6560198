/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What it takes to get objects that lie in another lcore's magazines, and to learn that there are
 * none. Both from a pool in which the one that asks has everything else.
 */

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <rte_lcore.h>
#include <rte_pause.h>

#include "pattern.h"
#include "pool.h"

#define OBJECTS 1023
#define SAMPLES 1000
/* Failing gets of one sample. */
#define BATCH 256
/* A sample that takes so long is given up. */
#define SAMPLE_MAX_MS 1000
/* Long enough for the other one to be asleep. */
#define ASLEEP_US 200

const struct peer steal_peers[] = {
	{"ring_mp_mc/cache:0", "ring_mp_mc", NULL, 0, false},
	{"magazine/cache:0", "magazine", NULL, 0, false},
	{"magazine,rounds=510/cache:0", "magazine", "rounds=510", 0, false},
	{"magazine/cache:512", "magazine", NULL, 512, false},
	{"ring_mp_mc/cache:512", "ring_mp_mc", NULL, 512, false},
	{"stack/cache:0", "stack", NULL, 0, false},
	{"lf_stack/cache:0", "lf_stack", NULL, 0, false},
	{NULL, NULL, NULL, 0, false},
};

struct steal {
	struct rte_mempool *mp;
	const struct cell *cell;
	void *objects[OBJECTS];
	unsigned int held; /* of these */
	double ns[SAMPLES];
	unsigned int samples;
	bool given_up;

	/* From the thief to the other lcore: its turn, counted; and back, when it is done. */
	_Atomic unsigned int turn, done;
	_Atomic bool end;
	sem_t wake;
};

static unsigned int
samples_wanted(void)
{
	return cell_setup.quick ? SAMPLES / 4 : SAMPLES;
}

static bool
figures_of(struct steal *steal, double figure[2], char why[BENCH_WHY])
{
	if (steal->given_up || steal->samples == 0) {
		snprintf(why, BENCH_WHY,
			 "not had within %u ms: the objects stay with the other lcore",
			 SAMPLE_MAX_MS);
		return false;
	}
	figure[0] = cell_quantile(steal->ns, steal->samples, 0.5);
	figure[1] = cell_quantile(steal->ns, steal->samples, 0.99);
	return true;
}

static double
ns_since(uint64_t start)
{
	return (double)(rte_rdtsc() - start) * 1e9 / (double)rte_get_tsc_hz();
}

static void
hold_all(struct steal *steal)
{
	while (steal->held < OBJECTS &&
	       rte_mempool_get(steal->mp, &steal->objects[steal->held]) == 0)
		steal->held++;
}

/* An empty pool */

/* Further lcores with a slot each. */
struct owners {
	struct rte_mempool *mp;
	unsigned int count;
	sem_t ready, leave;
	pthread_t thread[RTE_MAX_LCORE];
};

static void *
owner_main(void *arg)
{
	struct owners *owners = arg;
	bool lcore = rte_thread_register() == 0;
	void *object;

	/* Past the mempool's own cache, where objects would be out of reach. */
	if (lcore && rte_mempool_generic_get(owners->mp, &object, 1, NULL) == 0)
		rte_mempool_generic_put(owners->mp, &object, 1, NULL);
	sem_post(&owners->ready);
	sem_wait(&owners->leave);
	if (lcore)
		rte_thread_unregister();
	return NULL;
}

static void
owners_begin(struct owners *owners, struct rte_mempool *mp, unsigned int count)
{
	owners->mp = mp;
	sem_init(&owners->ready, 0, 0);
	sem_init(&owners->leave, 0, 0);
	for (owners->count = 0; owners->count < count; owners->count++) {
		owners->thread[owners->count] = team_thread(owners->count, owner_main, owners);
		sem_wait(&owners->ready);
	}
}

static void
owners_end(struct owners *owners)
{
	unsigned int i;

	for (i = 0; i < owners->count; i++)
		sem_post(&owners->leave);
	for (i = 0; i < owners->count; i++)
		pthread_join(owners->thread[i], NULL);
	sem_destroy(&owners->ready);
	sem_destroy(&owners->leave);
}

/* All ask at once; the figures are the first one's. */
static void
ask_too(struct steal *steal)
{
	void *objects[CELL_BULK_MAX];

	while (!atomic_load_explicit(&steal->end, memory_order_relaxed))
		if (rte_mempool_get_bulk(steal->mp, objects, steal->cell->bulk) == 0)
			rte_mempool_put_bulk(steal->mp, objects, steal->cell->bulk);
}

static void
ask_in_vain(unsigned int member, void *arg)
{
	struct steal *steal = arg;
	unsigned int bulk = steal->cell->bulk, i;
	void *objects[CELL_BULK_MAX];
	uint64_t start;

	if (member == 0)
		hold_all(steal);
	team_meet((struct team *)(uintptr_t)&steal->cell->team);
	if (member != 0) {
		ask_too(steal);
		return;
	}
	while (steal->samples < samples_wanted() && !steal->given_up) {
		start = rte_rdtsc();
		for (i = 0; i < BATCH; i++)
			if (rte_mempool_get_bulk(steal->mp, objects, bulk) == 0)
				steal->given_up = true;
		steal->ns[steal->samples++] = ns_since(start) / BATCH;
	}
	atomic_store_explicit(&steal->end, true, memory_order_relaxed);
	rte_mempool_put_bulk(steal->mp, steal->objects, steal->held);
}

bool
empty_figure(const struct cell *cell, const struct peer *peer, double figure[2],
	     char why[BENCH_WHY])
{
	struct steal *steal = calloc(1, sizeof(*steal));
	struct owners owners;
	bool found = false;

	if (steal == NULL)
		return false;
	steal->cell = cell;
	steal->mp = pool_make_sized(peer, OBJECTS, cell->pattern->object_size, why);
	if (steal->mp != NULL) {
		/* Those that ask are among them. */
		owners_begin(&owners, steal->mp, cell->pattern->owners - cell->lcores);
		team_run((struct team *)(uintptr_t)&cell->team, ask_in_vain, steal);
		owners_end(&owners);
		found = figures_of(steal, figure, why);
		rte_mempool_free(steal->mp);
	}
	free(steal);
	return found;
}

/* Another lcore's objects */

/* What the other one does while its objects are taken. */
static void
victim_rest(struct steal *steal, unsigned int turn)
{
	enum pattern_rest rest = steal->cell->pattern->rest;
	void *object;

	while (atomic_load_explicit(&steal->turn, memory_order_acquire) == turn) {
		if (rest == PATTERN_SLEEPS)
			sem_wait(&steal->wake);
		else if (rest == PATTERN_SPINS)
			rte_pause();
		else if (rte_mempool_get(steal->mp, &object) == 0)
			rte_mempool_put(steal->mp, object);
	}
}

static void
victim_run(struct steal *steal)
{
	unsigned int turn = 0, bulk = steal->cell->bulk;

	for (;;) {
		victim_rest(steal, turn);
		turn++;
		if (atomic_load_explicit(&steal->end, memory_order_acquire))
			return;
		rte_mempool_put_bulk(steal->mp, steal->objects + steal->held, bulk);
		atomic_store_explicit(&steal->done, turn, memory_order_release);
	}
}

static void
victim_turn(struct steal *steal)
{
	atomic_fetch_add_explicit(&steal->turn, 1, memory_order_release);
	if (steal->cell->pattern->rest == PATTERN_SLEEPS)
		sem_post(&steal->wake);
}

static void
thief_sample(struct steal *steal)
{
	unsigned int bulk = steal->cell->bulk, turn = steal->samples + 1;
	uint64_t start, deadline;

	steal->held -= bulk;
	victim_turn(steal);
	while (atomic_load_explicit(&steal->done, memory_order_acquire) != turn)
		rte_pause();
	if (steal->cell->pattern->rest == PATTERN_SLEEPS)
		usleep(ASLEEP_US);
	start = rte_rdtsc();
	deadline = start + rte_get_tsc_hz() / 1000 * SAMPLE_MAX_MS;
	while (rte_mempool_get_bulk(steal->mp, steal->objects + steal->held, bulk) != 0)
		if (rte_rdtsc() > deadline) {
			steal->given_up = true;
			return;
		}
	steal->ns[steal->samples++] = ns_since(start);
	steal->held += bulk;
}

static void
steal_member(unsigned int member, void *arg)
{
	struct steal *steal = arg;
	/* One that works has an object of its own to work with. */
	unsigned int extra = steal->cell->pattern->rest == PATTERN_WORKS;

	if (member != 0) {
		victim_run(steal);
		return;
	}
	hold_all(steal);
	rte_mempool_put_bulk(steal->mp, steal->objects + steal->held - extra, extra);
	steal->held -= extra;
	while (steal->samples < samples_wanted() && !steal->given_up)
		thief_sample(steal);
	atomic_store_explicit(&steal->end, true, memory_order_release);
	victim_turn(steal);
	rte_mempool_put_bulk(steal->mp, steal->objects, steal->held);
}

bool
steal_figure(const struct cell *cell, const struct peer *peer, double figure[2],
	     char why[BENCH_WHY])
{
	struct steal *steal = calloc(1, sizeof(*steal));
	bool found = false;

	if (steal == NULL)
		return false;
	steal->cell = cell;
	sem_init(&steal->wake, 0, 0);
	steal->mp = pool_make_sized(peer, OBJECTS, cell->pattern->object_size, why);
	if (steal->mp != NULL) {
		team_run((struct team *)(uintptr_t)&cell->team, steal_member, steal);
		found = figures_of(steal, figure, why);
		rte_mempool_free(steal->mp);
	}
	sem_destroy(&steal->wake);
	free(steal);
	return found;
}
