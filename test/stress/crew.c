/* SPDX-License-Identifier: BSD-3-Clause */

#include <rte_launch.h>

#include "crew.h"
#include "visits/sweep.h"

#define STINT_STEPS 2000
/* Steps in one crew before the next one's turn, on average. */
#define TURN_STEPS 16

/*
 * EAL's own lock is not seen by ThreadSanitizer, and an lcore id's data go from thread to thread.
 */
static pthread_mutex_t register_lock = PTHREAD_MUTEX_INITIALIZER;

bool
crew_ends(const struct crew *crew)
{
	return atomic_load_explicit(&crew->stop, memory_order_relaxed) || stress_blamed();
}

void
crew_gate(struct crew *crew)
{
	if (likely(!atomic_load_explicit(&crew->closed, memory_order_relaxed)))
		return;
	/* release: pairs with crew_close(); acquire: with crew_open() */
	atomic_fetch_add_explicit(&crew->parked, 1, memory_order_release);
	while (atomic_load_explicit(&crew->closed, memory_order_acquire))
		usleep(100);
	atomic_fetch_sub_explicit(&crew->parked, 1, memory_order_release);
}

static void
wait_for_parked(struct crew *crew, uint32_t parked)
{
	/* acquire: pairs with crew_gate() */
	while (atomic_load_explicit(&crew->parked, memory_order_acquire) != parked &&
	       !stress_blamed())
		usleep(100);
}

void
crew_close(struct crew *crew)
{
	atomic_store_explicit(&crew->closed, true, memory_order_relaxed);
	wait_for_parked(crew, crew->count);
}

void
crew_open(struct crew *crew)
{
	/* release: pairs with crew_gate() */
	atomic_store_explicit(&crew->closed, false, memory_order_release);
	wait_for_parked(crew, 0);
}

/*
 * What the thread's part in any crew has in its mempool caches, and where nobody else may take it.
 */
static void
worker_leave(struct worker *worker)
{
	struct worker *part = worker;
	bool poll = false;

	do {
		/* Not while its books are looked at. */
		crew_gate(part->crew);
		subject_flush(part->crew->subject);
		poll |= !mag_cache_may_visit(part->crew->subject->cache);
		part = part->next;
	} while (part != worker);
	if (poll)
		mag_lcore_flush();
}

/* Where somebody waits for this thread to be parked it goes at once. */
static struct worker *
worker_next(struct worker *worker)
{
	struct worker *part;

	for (part = worker->next; part != worker; part = part->next)
		if (atomic_load_explicit(&part->crew->closed, memory_order_relaxed))
			return part;
	return rng_once_in(&worker->rng, TURN_STEPS) ? worker->next : worker;
}

static int
worker_main(void *arg)
{
	struct worker *worker = arg, *part;

	/* acquire: pairs with worker_launch(); not all that EAL does to start it is seen */
	while (!atomic_load_explicit(&worker->launched, memory_order_acquire))
		sched_yield();
	if (worker->kind != WORKER_LCORE)
		cpu_any();
	if (worker->kind == WORKER_LCORE)
		worker->thread = pthread_self();
	/* release: whoever sees it running may use its thread */
	atomic_store_explicit(&worker->running, true, memory_order_release);
	for (part = worker; !crew_ends(worker->crew); part = worker_next(part)) {
		crew_gate(part->crew);
		if (part->kind == WORKER_VISITOR)
			visit_step(part);
		else
			worker_step(part);
	}
	worker_leave(worker);
	atomic_store_explicit(&worker->running, false, memory_order_release);
	return 0;
}

static void *
thread_main(void *arg)
{
	worker_main(arg);
	return NULL;
}

void
crew_register(void)
{
	pthread_mutex_lock(&register_lock);
	rte_thread_register();
	pthread_mutex_unlock(&register_lock);
}

void
crew_unregister(void)
{
	pthread_mutex_lock(&register_lock);
	rte_thread_unregister();
	pthread_mutex_unlock(&register_lock);
}

static void
nursery_unregister(struct worker *worker)
{
	worker_leave(worker);
	crew_unregister();
}

/*
 * Registered twice; the last steps are done as an lcore or not: EAL and the owner of the slot
 * learn of it separately.
 */
static void *
nursery_stint(void *arg)
{
	struct worker *worker = arg, *part = worker;
	uint32_t half = rng_below(&worker->rng, STINT_STEPS), last = rng_below(&worker->rng, 8);

	cpu_any();
	crew_register();
	for (uint32_t i = 0; i < STINT_STEPS && !crew_ends(worker->crew); i++) {
		crew_gate(part->crew);
		worker_step(part);
		if (i == half) {
			nursery_unregister(worker);
			worker_step(part);
			crew_register();
		}
		part = worker_next(part);
	}
	nursery_unregister(worker);
	for (uint32_t i = 0; i < last; i++)
		worker_step(worker);
	return NULL;
}

static void *
nursery_main(void *arg)
{
	struct worker *worker = arg;
	pthread_t thread;

	while (!crew_ends(worker->crew)) {
		crew_gate(worker->crew);
		if (pthread_create(&thread, NULL, nursery_stint, worker) != 0)
			break;
		pthread_join(thread, NULL);
	}
	return NULL;
}

static struct worker *
worker_add(struct crew *crew, enum worker_kind kind)
{
	struct worker *worker = calloc(1, sizeof(*worker));

	assert_non_null(worker);
	assert_true(crew->count < CREW_MAX);
	worker->crew = crew;
	worker->kind = kind;
	worker->rng = stress_rng();
	worker->bulk = crew->plan.bulk != 0 ? crew->plan.bulk : BULK_MAX;
	crew->worker[crew->count++] = worker;
	worker->number = crew->count;
	worker->next = worker;
	return worker;
}

static void
crew_share_out(struct crew *crew)
{
	uint32_t all = crew->subject->stock.count - crew->plan.kept_back, quota;

	quota = all / crew->count;
	crew->scarce = quota == 0;
	for (uint32_t i = 0; i < crew->count; i++)
		crew->worker[i]->quota = RTE_MAX(quota, 1u);
}

void
crew_enlist(struct crew *crew, struct subject *subject, const struct crew_plan *plan)
{
	unsigned int lcore;

	*crew = (struct crew){.subject = subject, .plan = *plan};
	RTE_LCORE_FOREACH_WORKER(lcore)
		if (!stress_is_spare(lcore) && !plan->no_lcores)
			worker_add(crew, WORKER_LCORE)->lcore = lcore;
	for (unsigned int i = 0; i < crew->plan.plain; i++)
		worker_add(crew, WORKER_PLAIN);
	if (!crew->plan.no_nursery)
		worker_add(crew, WORKER_NURSERY);
	for (unsigned int i = 0; i < crew->plan.visitors; i++)
		worker_add(crew, WORKER_VISITOR);
	crew_share_out(crew);
}

void
crew_join(struct crew *host, struct crew *guest)
{
	assert_int_equal(guest->count, host->count);
	guest->guest = true;
	for (unsigned int i = 0; i < host->count; i++) {
		assert_int_equal(guest->worker[i]->kind, host->worker[i]->kind);
		guest->worker[i]->next = host->worker[i]->next;
		host->worker[i]->next = guest->worker[i];
	}
}

static void
worker_launch(struct worker *worker)
{
	void *(*run)(void *arg) = worker->kind == WORKER_NURSERY ? nursery_main : thread_main;
	int ret;

	/* release: pairs with worker_main() */
	atomic_store_explicit(&worker->launched, true, memory_order_release);
	if (worker->kind == WORKER_LCORE)
		ret = rte_eal_remote_launch(worker_main, worker, worker->lcore);
	else
		ret = pthread_create(&worker->thread, NULL, run, worker);
	if (ret != 0)
		stress_blame("worker %u does not start: %d", worker->number, ret);
}

void
crew_launch(struct crew *crew)
{
	for (unsigned int i = 0; i < crew->count; i++)
		worker_launch(crew->worker[i]);
}

void
crew_start(struct crew *crew, struct subject *subject, const struct crew_plan *plan)
{
	crew_enlist(crew, subject, plan);
	crew_launch(crew);
}

/* ThreadSanitizer does not see EAL's join: the end of the run is ordered by the flag. */
static void
worker_join(struct worker *worker)
{
	if (worker->kind == WORKER_LCORE) {
		rte_eal_wait_lcore(worker->lcore);
		/* acquire: pairs with the last store in worker_main() */
		while (atomic_load_explicit(&worker->running, memory_order_acquire))
			sched_yield();
	} else {
		pthread_join(worker->thread, NULL);
	}
}

void
crew_finish(struct crew *crew)
{
	atomic_store_explicit(&crew->stop, true, memory_order_relaxed);
	crew_open(crew);
	for (unsigned int i = 0; i < crew->count && !crew->guest; i++)
		worker_join(crew->worker[i]);
	for (unsigned int i = 0; i < crew->count && !stress_blamed(); i++)
		worker_put_all(crew->worker[i]);
	subject_flush(crew->subject);
}

uint64_t
crew_charged(const struct crew *crew)
{
	uint64_t sum = 0;

	/* acquire: pairs with worker_give_back() */
	for (unsigned int i = 0; i < crew->count; i++)
		sum += atomic_load_explicit(&crew->worker[i]->charged, memory_order_acquire);
	return sum;
}

uint64_t
crew_tell(const struct crew *crew)
{
	uint64_t steps = 0, gets = 0, refused = 0, unexplained = 0;

	for (unsigned int i = 0; i < crew->count; i++) {
		steps += atomic_load_explicit(&crew->worker[i]->steps, memory_order_relaxed);
		gets += crew->worker[i]->gets;
		refused += crew->worker[i]->refused;
		unexplained += crew->worker[i]->unexplained;
	}
	say("  %u threads, %" PRIu64 " steps, %" PRIu64 " gets, refused %" PRIu64
	    ", of these with nothing denied %" PRIu64 "%s",
	    crew->count, steps, gets, refused, unexplained, crew->scarce ? " (scarce)" : "");
	return crew->scarce ? 0 : unexplained;
}

void
crew_free(struct crew *crew)
{
	while (crew->count > 0)
		free(crew->worker[--crew->count]);
}
