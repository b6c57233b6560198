/* SPDX-License-Identifier: BSD-3-Clause */

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_random.h>

#include "measure.h"

/*
 * The array of pointers begins elsewhere in each round: no peer is lucky or unlucky in how it
 * aliases.
 */
#define SHIFTS 512
#define SHIFT_STEP 72
/* A turn that takes longer is cut, and a peer is given up after so many. */
#define TURN_MAX_MS 500
#define CUTS_MAX 2
#define QUOTA_FIRST 1024
/* A turn may take so many times that of the base before it is shortened. */
#define TIMES_SLOWER 3
/* One that is so many times slower has a median that so many rounds tell well enough. */
#define TIMES_FAR 8
#define ROUNDS_FAR 10
#define ROUNDS_LEAST 5
/* Updates of a handler, one for each size that a magazine may grow to, and turns before each. */
#define UPDATES 6
#define TURNS_BETWEEN 8
#define ROUNDS_MOST 100000

struct contender {
	const struct peer *peer;
	struct cell_found *found;
	void *state;
	double *seconds; /* CPU time an object, for each round */
	double *rate;    /* objects a second */
	uint64_t quota;  /* objects of a turn */
	bool far;
	unsigned int rounds, cut;
};

/* Of this process. Between two gates only the first member writes. */
static struct {
	struct cell *cell;
	struct share *share;
	struct contender contender[CELL_PEERS_MAX];
	unsigned int count, rounds;
	uint64_t turns;
	struct contender *now; /* NULL: it is over */
	unsigned int shift;
	struct turn turn[TEAM_MAX];
	void **room[TEAM_MAX];
} here;

void
cell_path(char *path, size_t size, const char *relative)
{
	const char *end = strrchr(cell_setup.self, '/');

	snprintf(path, size, "%.*s/%s", (int)(end - cell_setup.self), cell_setup.self, relative);
}

static int
eal_start(const struct cell *cell, struct share *share)
{
	char path[PATH_MAX], lcores[16 * TEAM_MAX];
	const char *plugin = getenv("MAGAZINE_PLUGIN");
	const char *args[] = {"bench",
			      "--in-memory",
			      "--no-pci",
			      "--no-telemetry",
			      "--log-level=*:warning",
			      "--file-prefix",
			      share->prefix,
			      "--lcores",
			      lcores,
			      "--main-lcore=0",
			      "-d",
			      path,
			      NULL};
	int ret;

	/*
	 * Not by EAL, which does not start at all if it cannot load one: then only its row is
	 * skipped. One of the two floors, since EAL has room for 16 handlers and brings 15.
	 */
	cell_path(path, sizeof(path),
		  cell->pattern->waits ? "librte_mempool_circle.so" : "librte_mempool_floor.so");
	dlopen(path, RTLD_NOW);
	cell_path(path, sizeof(path), "../../drivers/mempool/magazine/librte_mempool_magazine.so");
	if (plugin != NULL)
		snprintf(path, sizeof(path), "%s", plugin);
	team_lcores(cell->lcores, lcores, sizeof(lcores));
	ret = rte_eal_init(RTE_DIM(args) - 1, (char **)(uintptr_t)args);
	snprintf(share->runtime, sizeof(share->runtime), "%s", rte_eal_get_runtime_dir());
	return ret;
}

static void
skip(uint32_t peers, const char *why)
{
	unsigned int i;

	for (i = 0; i < CELL_PEERS_MAX; i++) {
		if ((peers & RTE_BIT32(i)) == 0 || here.share->found[i].why[0] != '\0')
			continue;
		here.share->found[i].end = BENCH_SKIPPED;
		snprintf(here.share->found[i].why, BENCH_WHY, "%s", why);
	}
}

static bool
serves(const struct peer *peer, char why[BENCH_WHY])
{
	if (!peer->one_lcore || here.cell->lcores == 1)
		return true;
	snprintf(why, BENCH_WHY, "%s is for one lcore only", peer->handler);
	return false;
}

/* The base is the first, or nobody is there. */
static int
contenders_make(uint32_t peers)
{
	const struct pattern *pattern = here.cell->pattern;
	struct contender *c;
	unsigned int i, p;
	char why[BENCH_WHY];

	for (i = 0; i < cell_peers(pattern); i++) {
		p = i == 0 ? pattern->base : i <= pattern->base ? i - 1 : i;
		if ((peers & RTE_BIT32(p)) == 0)
			continue;
		c = &here.contender[here.count];
		c->peer = &pattern->peers[p];
		c->found = &here.share->found[p];
		here.share->peer = p;
		here.share->beat++;
		memset(c->found, 0, sizeof(*c->found));
		if (serves(c->peer, c->found->why))
			c->state = pattern->make(here.cell, c->peer, c->found->why);
		if (c->state != NULL) {
			here.count++;
			continue;
		}
		c->found->end = BENCH_SKIPPED;
		if (i != 0)
			continue;
		snprintf(why, sizeof(why), "no base: %.240s", c->found->why);
		skip(peers, why);
		return -1;
	}
	return 0;
}

static int
room_make(void)
{
	size_t count = here.cell->pattern->hold + 2 * CELL_BULK_MAX + SHIFTS;
	unsigned int i;

	for (i = 0; i < here.cell->lcores; i++) {
		here.room[i] = calloc(count, sizeof(void *));
		if (here.room[i] == NULL)
			return -1;
	}
	return 0;
}

static double
target_seconds(void)
{
	if (here.cell->lcores == 1)
		return 0.0002;
	if (!here.cell->overcommitted)
		return 0.001;
	/* Long enough for every lcore to be preempted. */
	return 0.005 * here.cell->lcores;
}

/* What one member does between two gates. */
static void
member_turn(unsigned int member)
{
	struct turn *turn = &here.turn[member];

	turn->cell = here.cell;
	turn->peer = here.now->peer;
	turn->member = member;
	turn->number = here.turns;
	turn->quota = here.now->quota;
	turn->moved = 0;
	turn->failed = 0;
	turn->late = false;
	turn->objects = here.room[member] + here.shift;
	turn->start = rte_rdtsc();
	turn->deadline = turn->start + rte_get_tsc_hz() / 1000 * TURN_MAX_MS;
	here.cell->pattern->turn(here.now->state, turn);
	turn->end = rte_rdtsc();
}

struct outcome {
	double elapsed;
	uint64_t moved, failed;
	bool late;
};

/* One turn of a peer: by the first member; the others are in member_follow(). */
static struct outcome
lead_turn(struct contender *c)
{
	struct cell *cell = here.cell;
	struct outcome outcome = {0};
	uint64_t start = UINT64_MAX, end = 0;
	unsigned int i;

	here.now = c;
	here.turns++;
	here.share->peer = (unsigned int)(c->peer - cell->pattern->peers);
	here.share->beat++;
	team_start(&cell->team);
	member_turn(0);
	team_meet(&cell->team);
	for (i = 0; i < cell->lcores; i++) {
		start = RTE_MIN(start, here.turn[i].start);
		end = RTE_MAX(end, here.turn[i].end);
		outcome.moved += here.turn[i].moved;
		outcome.failed += here.turn[i].failed;
		outcome.late |= here.turn[i].late;
	}
	outcome.elapsed = (double)(end - start) / (double)rte_get_tsc_hz();
	c->found->failed += outcome.failed;
	return outcome;
}

static void
member_follow(unsigned int member)
{
	for (;;) {
		team_start(&here.cell->team);
		if (here.now == NULL)
			return;
		member_turn(member);
		team_meet(&here.cell->team);
	}
}

static void
note_round(struct contender *c, const struct outcome *outcome)
{
	unsigned int cpus = RTE_MIN(here.cell->lcores, team_cpus());
	/* Where nothing moved in all that time, at most one object was on its way. */
	double moved = (double)RTE_MAX(outcome->moved, 1u);

	c->seconds[c->rounds] = outcome->elapsed * cpus / moved;
	c->rate[c->rounds] = moved / outcome->elapsed;
	c->rounds++;
	c->cut += outcome->late;
}

/*
 * Let the base do more and more until it takes long enough; then all have to do that, but one that
 * is much slower so much less: its turns need not be longer than those of others.
 */
static void
calibrate(void)
{
	struct contender *c = &here.contender[0];
	struct outcome outcome, mine;
	double times;
	unsigned int i;

	c->quota = QUOTA_FIRST;
	for (;;) {
		outcome = lead_turn(c);
		if (outcome.elapsed >= target_seconds() || outcome.late || c->quota >= UINT32_MAX)
			break;
		c->quota *= 2;
	}
	for (i = 1; i < here.count; i++) {
		c = &here.contender[i];
		c->quota = here.contender[0].quota;
		mine = lead_turn(c);
		times = mine.elapsed / outcome.elapsed;
		c->cut = mine.late;
		c->far = times > TIMES_FAR;
		if (times > TIMES_SLOWER)
			c->quota = (uint64_t)RTE_MAX((double)c->quota * TIMES_SLOWER / times,
						     (double)QUOTA_FIRST);
	}
}

static unsigned int
choose_rounds(void)
{
	unsigned int rounds = here.cell->lcores == 1 ? 128 : here.cell->overcommitted ? 15 : 50;
	double turn = target_seconds() * (here.cell->overcommitted ? 1 : 2);

	if (cell_setup.rounds != 0)
		return cell_setup.rounds;
	if (cell_setup.seconds > 0)
		rounds = (unsigned int)RTE_MIN(cell_setup.seconds / turn, (double)ROUNDS_MOST);
	else if (cell_setup.quick)
		rounds /= 2;
	return RTE_MAX(rounds, (unsigned int)ROUNDS_LEAST);
}

/* Sizes that follow the load have followed it when the first round begins. */
static void
settle(void)
{
	unsigned int turns = here.cell->overcommitted ? 1 : TURNS_BETWEEN, i, n;
	bool (*update)(void *state) = here.cell->pattern->update;

	for (i = 0; i < here.count && update != NULL; i++)
		for (n = 0; update(here.contender[i].state) && n < UPDATES * turns; n += turns)
			for (unsigned int turn = 0; turn < turns; turn++)
				lead_turn(&here.contender[i]);
}

static void
lead(void)
{
	struct outcome outcome;
	struct contender *c;
	unsigned int round, i;

	calibrate();
	settle();
	for (round = 0; round < here.rounds; round++) {
		here.share->round = round;
		here.shift = round * SHIFT_STEP % SHIFTS;
		for (i = 0; i < here.count; i++) {
			c = &here.contender[i];
			if (c->cut >= CUTS_MAX || (c->far && c->rounds >= ROUNDS_FAR))
				continue;
			if (!here.cell->overcommitted)
				lead_turn(c);
			outcome = lead_turn(c);
			note_round(c, &outcome);
		}
	}
	here.now = NULL;
	team_start(&here.cell->team);
}

static void
run_member(unsigned int member, void *arg __rte_unused)
{
	if (member == 0)
		lead();
	else
		member_follow(member);
}

/* In the order of the rounds as long as ratios are made. */
static void
contender_sum_up(struct contender *c, double *ratios)
{
	const struct contender *base = &here.contender[0];
	struct cell_found *found = c->found;
	unsigned int i, rounds = RTE_MIN(c->rounds, base->rounds);

	for (i = 0; i < rounds; i++)
		ratios[i] = c->seconds[i] / base->seconds[i];
	found->ratio = cell_quantile(ratios, rounds, 0.5);
	found->q1 = cell_quantile(ratios, rounds, 0.25);
	found->q3 = cell_quantile(ratios, rounds, 0.75);
	found->rounds = c->rounds;
	found->cut = c->cut;
}

static void
contenders_sum_up(void)
{
	const struct pattern *pattern = here.cell->pattern;
	double *ratios = calloc(here.rounds, sizeof(double));
	struct contender *c;
	unsigned int i;

	if (ratios == NULL)
		return;
	for (i = 0; i < here.count; i++)
		contender_sum_up(&here.contender[i], ratios);
	for (i = 0; i < here.count; i++) {
		c = &here.contender[i];
		c->found->seconds = cell_quantile(c->seconds, c->rounds, 0.5);
		c->found->worst = c->seconds[c->rounds - 1] / c->found->seconds;
		c->found->rate = cell_quantile(c->rate, c->rounds, 0.5);
		c->found->lost = pattern->lost != NULL ? pattern->lost(c->state) : 0;
		c->found->end = c->found->lost == 0 ? BENCH_OK : BENCH_FAILED;
		if (c->found->lost != 0)
			snprintf(c->found->why, BENCH_WHY, "%lld objects lost",
				 (long long)c->found->lost);
		else
			snprintf(c->found->why, BENCH_WHY, "measured");
	}
	free(ratios);
}

static void
take_turns(uint32_t peers)
{
	unsigned int i;

	here.rounds = choose_rounds();
	here.share->rounds = here.rounds;
	for (i = 0; i < here.count; i++) {
		here.contender[i].seconds = calloc(here.rounds, sizeof(double));
		here.contender[i].rate = calloc(here.rounds, sizeof(double));
		if (here.contender[i].seconds == NULL || here.contender[i].rate == NULL)
			break;
	}
	if (i < here.count || room_make() < 0) {
		skip(peers, "no memory for the rounds");
		return;
	}
	if (team_run(&here.cell->team, run_member, NULL) < 0)
		skip(peers, "cannot launch on the lcores");
	else
		contenders_sum_up();
}

static void
take_figures(uint32_t peers)
{
	const struct pattern *pattern = here.cell->pattern;
	struct cell_found *found;
	unsigned int p;

	for (p = 0; p < cell_peers(pattern); p++) {
		if ((peers & RTE_BIT32(p)) == 0)
			continue;
		found = &here.share->found[p];
		here.share->peer = p;
		here.share->beat++;
		found->end = BENCH_SKIPPED;
		if (!serves(&pattern->peers[p], found->why) ||
		    !pattern->figure(here.cell, &pattern->peers[p], found->figure, found->why))
			continue;
		found->end = BENCH_OK;
		snprintf(found->why, BENCH_WHY, "measured");
	}
}

static void
measure_cell(uint32_t peers)
{
	const struct pattern *pattern = here.cell->pattern;
	char why[BENCH_WHY] = "";
	unsigned int i;

	for (i = 0; i < CELL_SIZES; i++)
		here.cell->sizes[i] = (uint16_t)(1 + rte_rand_max(here.cell->bulk));
	if (team_init(&here.cell->team, here.cell->lcores) < 0) {
		skip(peers, "cannot bring the lcores together");
		return;
	}
	if (pattern->begin != NULL) {
		here.cell->shared = pattern->begin(here.cell, why);
		if (here.cell->shared == NULL) {
			skip(peers, why);
			return;
		}
	}
	if (pattern->figure != NULL)
		take_figures(peers);
	else if (contenders_make(peers) == 0)
		take_turns(peers);
	for (i = 0; i < here.count && pattern->drop != NULL; i++)
		pattern->drop(here.contender[i].state);
	if (pattern->end != NULL)
		pattern->end(here.cell->shared);
}

void
measure(struct cell *cell, uint32_t peers, struct share *share)
{
	char why[BENCH_WHY];

	here.cell = cell;
	here.share = share;
	if (eal_start(cell, share) < 0) {
		snprintf(why, sizeof(why),
			 "EAL does not start (%s): see above; are there free hugepages?",
			 rte_strerror(rte_errno));
		skip(peers, why);
		return;
	}
	rte_srand(1); /* its state is EAL's in later versions */
	measure_cell(peers);
	rte_eal_cleanup();
}
