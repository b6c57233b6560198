/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Some lcores get, others put: objects go from producer to consumer through rings, one for each
 * pair, which cost every peer the same.
 */

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_pause.h>
#include <rte_ring.h>

#include "pattern.h"
#include "pool.h"

#define RING_SIZE 1024
/*
 * Of an object are written and read: an mbuf's header, and the begin of its packet, behind the
 * headroom.
 */
#define HEADER 128
#define PAYLOAD_AT 256
#define PAYLOAD 128

struct pass {
	struct rte_ring *ring[TEAM_MAX];
	unsigned int rings;
	unsigned int producers;
	_Atomic uint64_t ended; /* producers, in all turns so far */
	_Atomic uint64_t sum;   /* of what was read: nobody optimises the reading away */
};

void
pass_end(void *shared)
{
	struct pass *pass = shared;
	unsigned int i;

	for (i = 0; i < pass->rings; i++)
		rte_ring_free(pass->ring[i]);
	free(pass);
}

void *
pass_begin(const struct cell *cell, char why[BENCH_WHY])
{
	unsigned int others = cell->lcores - 1, i;
	struct pass *pass = calloc(1, sizeof(*pass));
	char name[RTE_RING_NAMESIZE];

	if (pass == NULL) {
		snprintf(why, BENCH_WHY, "no memory for %u rings", others);
		return NULL;
	}
	pass->producers = cell->pattern->many_produce ? others : 1;
	for (i = 0; i < others; i++, pass->rings++) {
		snprintf(name, sizeof(name), "pass-%u", i);
		pass->ring[i] = rte_ring_create(name, RING_SIZE, SOCKET_ID_ANY,
						RING_F_SP_ENQ | RING_F_SC_DEQ);
		if (pass->ring[i] == NULL) {
			snprintf(why, BENCH_WHY, "cannot make ring %s of %u: %s", name, RING_SIZE,
				 rte_strerror(rte_errno));
			pass_end(pass);
			return NULL;
		}
	}
	return pass;
}

_Static_assert(HEADER == PAYLOAD, "one loop reads both");

/*
 * A preempted lcore gets a CPU when those that wait for it leave theirs; else time slices are
 * measured.
 */
static void
await(const struct turn *turn)
{
	if (turn->cell->overcommitted)
		sched_yield();
	else
		rte_pause();
}

static void
write_lines(void *const *objects, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		memset(objects[i], (int)n, HEADER);
		memset((char *)objects[i] + PAYLOAD_AT, (int)i, PAYLOAD);
	}
}

static uint64_t
read_lines(void *const *objects, unsigned int n)
{
	const uint64_t *header, *payload;
	uint64_t sum = 0;
	unsigned int i, word;

	for (i = 0; i < n; i++) {
		header = objects[i];
		payload = header + PAYLOAD_AT / sizeof(*payload);
		for (word = 0; word < HEADER / sizeof(*header); word++)
			sum += header[word] + payload[word];
	}
	return sum;
}

/* Bulks go to one ring after the other. */
static void
produce(struct rte_mempool *mp, struct turn *turn, struct pass *pass)
{
	unsigned int first = pass->producers > 1 ? turn->member : 0;
	unsigned int rings = pass->producers > 1 ? 1 : pass->rings, at = 0, n;

	while (turn->moved < turn->quota && !turn_late(turn)) {
		n = turn_bulk(turn);
		if (unlikely(rte_mempool_get_bulk(mp, turn->objects, n) != 0)) {
			turn->failed++;
			await(turn);
			continue;
		}
		if (turn->cell->pattern->touched)
			write_lines(turn->objects, n);
		while (rte_ring_sp_enqueue_bulk(pass->ring[first + at], turn->objects, n, NULL) ==
		       0)
			await(turn);
		at = at + 1 == rings ? 0 : at + 1;
		turn->moved += n;
	}
	/* Release: whoever sees that all have ended sees what they put into the rings. */
	atomic_fetch_add_explicit(&pass->ended, 1, memory_order_release);
}

static uint64_t
consume_some(struct rte_mempool *mp, struct turn *turn, struct rte_ring *ring)
{
	unsigned int n = turn_bulk(turn);
	uint64_t sum = 0;

	n = rte_ring_sc_dequeue_burst(ring, turn->objects, n, NULL);
	if (n == 0)
		return 0;
	if (turn->cell->pattern->touched)
		sum = read_lines(turn->objects, n);
	rte_mempool_put_bulk(mp, turn->objects, n);
	turn->moved += n;
	return sum;
}

static void
consume(struct rte_mempool *mp, struct turn *turn, struct pass *pass)
{
	unsigned int first = pass->producers > 1 ? 0 : turn->member - 1;
	unsigned int rings = pass->producers > 1 ? pass->rings : 1, at = 0;
	uint64_t all = turn->number * pass->producers, before = 0, sum = 0;
	bool ended = false;

	for (;;) {
		sum += consume_some(mp, turn, pass->ring[first + at]);
		if (++at < rings)
			continue;
		at = 0;
		if (turn->moved != before) {
			before = turn->moved;
			continue;
		}
		if (ended)
			break;
		/* Acquire pairs with the release of the last producer; then one more look. */
		ended = atomic_load_explicit(&pass->ended, memory_order_acquire) == all;
		await(turn);
	}
	atomic_fetch_add_explicit(&pass->sum, sum, memory_order_relaxed);
	/* Counted once, by those who got them. */
	turn->moved = 0;
}

void
turn_pass(void *state, struct turn *turn)
{
	struct pass *pass = turn->cell->shared;

	if (turn->member < pass->producers)
		produce(state, turn, pass);
	else
		consume(state, turn, pass);
}
