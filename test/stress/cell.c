/* SPDX-License-Identifier: BSD-3-Clause */

#include "accounts.h"
#include "cell.h"
#include "mag_maint.h"
#include "stress.h"
#include "outside/maint.h"

#define INTERVAL_MAX_MS 5

static void
tell(const struct cell *cell, struct subject *subject, struct crew *crew, uint64_t unexplained)
{
	struct mag_cache_stats stats;

	mag_cache_stats_get(subject->cache, &stats);
	say("%s: rounds %u, purges %" PRIu64 ", resizes %" PRIu64 ", reaps %" PRIu64
	    ", updates %" PRIu64 ", contention %" PRIu64,
	    cell->name, stats.rounds, stats.purges, stats.resizes, stats.reaps, stats.updates,
	    stats.contention_total);
	say("  steals %" PRIu64 ", denied %" PRIu64 ", visits denied %" PRIu64
	    ", slab allocations %" PRIu64 ", from depot %" PRIu64,
	    stats.steals, stats.steal_denied, stats.visits_denied, stats.slab_allocs,
	    stats.depot_full_taken);
	unexplained += crew_tell(crew);
	if (unexplained > 0 && !cell->may_refuse)
		stress_blame("%" PRIu64 " gets were refused with enough objects free and nothing "
			     "denied",
			     unexplained);
}

static void
maintain(struct rng *rng)
{
	if (mag_maint_interval(1 + rng_below(rng, INTERVAL_MAX_MS)) != 0)
		stress_blame("the update interval is refused");
}

uint64_t
cell_look(struct crew *crew, bool drain)
{
	uint64_t out, unexplained = 0;

	crew_close(crew);
	out = crew_charged(crew);
	if (!stress_blamed())
		accounts_check(crew->subject, out);
	if (!stress_blamed() && drain)
		unexplained = accounts_drain(crew->subject, out);
	crew_open(crew);
	return unexplained;
}

uint64_t
cell_final_look(struct subject *subject)
{
	uint64_t unexplained;

	accounts_check(subject, 0);
	mag_cache_update(subject->cache);
	unexplained = stress_blamed() ? 0 : accounts_drain(subject, 0);
	subject_flush(subject);
	if (!stress_blamed())
		accounts_check(subject, 0);
	if (!stress_blamed())
		accounts_purge(subject);
	if (!stress_blamed())
		accounts_check(subject, 0);
	return unexplained;
}

void
cell_run(const struct cell *cell, struct subject *subject)
{
	uint64_t end = now_ms() + stress_cell_ms(), unexplained = 0;
	unsigned int pause_ms = cell->stop_every_ms != 0 ? cell->stop_every_ms : BETWEEN_STOPS_MS;
	struct rng rng = stress_rng();
	struct crew crew;

	maintain(&rng);
	if (cell->service)
		stress_service_start();
	crew_start(&crew, subject, &cell->plan);
	while (now_ms() < end && !stress_blamed()) {
		if (cell->meanwhile != NULL)
			cell->meanwhile(&crew);
		else
			usleep(pause_ms * 1000);
		maintain(&rng);
		unexplained += cell_look(&crew, !cell->out_of_reach);
	}
	crew_finish(&crew);
	if (!stress_blamed())
		unexplained += cell_final_look(subject);
	tell(cell, subject, &crew, unexplained);
	if (cell->service)
		stress_service_stop();
	mag_maint_interval(0);
	crew_free(&crew);
}
