/* SPDX-License-Identifier: BSD-3-Clause */

/* What a worker does: get, hold, send to others, put back, at random. */

#include "crew.h"

#define SEND_MAX 32
#define LOOK_MAX 16

/* Small bulks are as frequent as large ones: first how large, then how many. */
static uint32_t
random_bulk(struct worker *worker)
{
	uint32_t magnitude = 1u << rng_below(&worker->rng, 11);

	return 1 + rng_below(&worker->rng, RTE_MIN(magnitude, worker->bulk));
}

void
worker_get(struct worker *worker, uint32_t n)
{
	struct subject *subject = worker->crew->subject;
	void **objects = worker->hand + worker->held;
	uint64_t denied = subject_denied(subject);
	uint32_t got;

	atomic_fetch_add_explicit(&worker->charged, n, memory_order_relaxed);
	got = subject_get(subject, objects, n);
	worker->gets++;
	if (got < n) {
		worker->refused++;
		worker->unexplained += subject_denied(subject) == denied;
		atomic_fetch_sub_explicit(&worker->charged, n - got, memory_order_relaxed);
	}
	for (uint32_t i = 0; i < got; i++)
		if (stock_claim(&subject->stock, objects[i], worker->number))
			((struct object *)objects[i])->charged = worker->number;
	worker->held += got;
}

/* Credit whoever got these objects; the credits come after the objects are back. */
void
worker_give_back(struct worker *worker, void **objects, uint32_t n)
{
	struct crew *crew = worker->crew;
	uint32_t credit[CREW_MAX + 1] = {0};
	struct object *object;

	for (uint32_t i = 0; i < n; i++) {
		object = objects[i];
		credit[object->charged]++;
		stock_release(object, worker->number, rng_next(&worker->rng));
	}
	if (n == 1 && crew->subject->pool == NULL && rng_once_in(&worker->rng, 8))
		mag_cache_free_nocache(crew->subject->cache, objects[0]);
	else
		subject_put(crew->subject, objects, n);
	for (uint32_t i = 1; i <= CREW_MAX; i++)
		if (credit[i] > 0)
			/* release: who sees the credit finds the objects free */
			atomic_fetch_sub_explicit(&crew->worker[i - 1]->charged, credit[i],
						  memory_order_release);
}

void
worker_put(struct worker *worker, uint32_t n)
{
	worker->held -= n;
	worker_give_back(worker, worker->hand + worker->held, n);
}

static void
worker_collect(struct worker *worker)
{
	struct stock *stock = &worker->crew->subject->stock;
	uint32_t n = 0, at = rng_below(&worker->rng, MAIL_MAX);
	void *objects[MAIL_MAX], *object;

	for (uint32_t i = 0; i < MAIL_MAX; i++, at = (at + 1) % MAIL_MAX) {
		if (atomic_load_explicit(&worker->mail[at], memory_order_relaxed) == NULL)
			continue;
		/* acquire: pairs with the release in send_one() */
		object = atomic_exchange_explicit(&worker->mail[at], NULL, memory_order_acquire);
		if (object != NULL && stock_take_over(stock, object, worker->number))
			objects[n++] = object;
	}
	if (n > 0)
		worker_give_back(worker, objects, n);
}

void
worker_put_all(struct worker *worker)
{
	worker_collect(worker);
	while (worker->held > 0)
		worker_put(worker, RTE_MIN(worker->held, random_bulk(worker)));
}

static bool
send_one(struct worker *to, uint32_t slot, void *object)
{
	void *nothing = NULL;

	/* release: pairs with the acquire in worker_collect() */
	return atomic_compare_exchange_strong_explicit(&to->mail[slot], &nothing, object,
						       memory_order_release, memory_order_relaxed);
}

static void
worker_send(struct worker *worker)
{
	struct crew *crew = worker->crew;
	struct worker *to = crew->worker[rng_below(&worker->rng, crew->count)];
	uint32_t n = rng_below(&worker->rng, SEND_MAX), at = rng_below(&worker->rng, MAIL_MAX);

	if (to == worker || to->kind == WORKER_VISITOR)
		return;
	for (uint32_t i = 0; i < n && worker->held > 0; i++, at = (at + 1) % MAIL_MAX)
		if (send_one(to, at, worker->hand[worker->held - 1]))
			worker->held--;
}

static void
worker_wait(struct worker *worker)
{
	if (rng_once_in(&worker->rng, 4))
		usleep(rng_below(&worker->rng, 300));
	else
		sched_yield();
}

static void
worker_exchange(struct worker *worker, bool get)
{
	uint32_t charged = atomic_load_explicit(&worker->charged, memory_order_relaxed);
	uint32_t room = RTE_MIN(worker->quota - charged, HAND_MAX - worker->held);
	uint32_t n = random_bulk(worker);

	if (get && room > 0)
		worker_get(worker, RTE_MIN(n, room));
	else if (worker->held > 0)
		worker_put(worker, RTE_MIN(n, worker->held));
}

/*
 * One gets and sends to its neighbour, which frees: what the first one gets it must take from the
 * magazines of the second while that one fills them.
 */
static void
worker_pipe(struct worker *worker)
{
	uint32_t index = worker->number - 1, at = rng_below(&worker->rng, MAIL_MAX);
	struct worker *to = worker->crew->worker[index ^ 1];

	if (index % 2 == 1) {
		worker_collect(worker);
		return;
	}
	worker_exchange(worker, true);
	for (uint32_t i = 0; i < MAIL_MAX && worker->held > 0; i++, at = (at + 1) % MAIL_MAX)
		if (send_one(to, at, worker->hand[worker->held - 1]))
			worker->held--;
}

static bool
has_neighbour(const struct worker *worker)
{
	const struct crew *crew = worker->crew;
	uint32_t index = (worker->number - 1) ^ 1;

	return worker->kind == WORKER_LCORE && index < crew->count &&
	       crew->worker[index]->kind == WORKER_LCORE;
}

/* Whole magazines out and in again, so that nearly every operation changes the depot. */
static void
worker_burst(struct worker *worker)
{
	uint32_t charged = atomic_load_explicit(&worker->charged, memory_order_relaxed);

	if (charged + worker->bulk > worker->quota)
		worker->greedy = false;
	else if (worker->held == 0)
		worker->greedy = true;
	if (worker->greedy)
		worker_get(worker, worker->bulk);
	else
		worker_put(worker, RTE_MIN(worker->bulk, worker->held));
}

void
worker_step(struct worker *worker)
{
	uint32_t dice = rng_below(&worker->rng, 1024);

	MAG_COUNT(worker->steps, 1);
	if (worker->crew->plan.pipe && has_neighbour(worker)) {
		worker_pipe(worker);
		return;
	}
	if (worker->crew->plan.burst) {
		worker_burst(worker);
		return;
	}
	if (dice < 880)
		worker_exchange(worker, rng_below(&worker->rng, 8) < (worker->greedy ? 6 : 2));
	else if (dice < 940)
		worker_send(worker);
	else if (dice < 1000)
		worker_collect(worker);
	else if (dice < 1015)
		worker->greedy = !worker->greedy;
	else if (dice < 1018)
		mag_lcore_flush();
	else
		worker_wait(worker);
}
