/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef STRESS_CREW_H
#define STRESS_CREW_H

/*
 * Who works on a subject: worker lcores, plain threads, a nursery of threads that come and go (most
 * of them registered as lcores for a while), and visitors, which purge, resize, reap and ask for
 * counts. The main thread directs: now and then it stops all of them between two operations, so
 * that the accounts can be looked at, and lets them go on.
 *
 * No worker ever has more objects than its quota, wherever it has put them, and the quotas sum up
 * to no more than there is: so that there is always enough for everybody, unless the cell is
 * scarce.
 */

#include "stress.h"
#include "subject.h"

#define CREW_MAX 32
#define HAND_MAX 2048
#define MAIL_MAX 128
#define BULK_MAX 600

enum worker_kind {
	WORKER_LCORE,
	WORKER_PLAIN,   /**< a thread without an lcore id */
	WORKER_NURSERY, /**< one thread after the other */
	WORKER_VISITOR, /**< what visit.c does */
};

struct crew;

struct worker {
	struct crew *crew;
	enum worker_kind kind;
	uint32_t number; /**< its owner word: above 0 */
	pthread_t thread;
	unsigned int lcore;
	/** The same thread's part in another crew, in a ring; itself if there is one crew. */
	struct worker *next;
	struct rng rng;
	_Atomic bool launched;
	_Atomic bool running; /**< thread may be sent signals */

	uint32_t bulk;  /**< largest request */
	uint32_t quota; /**< objects that it may have got and not seen given back */
	_Atomic uint32_t charged;
	bool greedy; /**< fills its hand rather than empties it */
	uint32_t held;
	void *hand[HAND_MAX];
	/** Objects that others send, to be freed here. */
	_Atomic(void *) mail[MAIL_MAX];

	_Atomic uint64_t steps;
	uint64_t gets;
	uint64_t refused;
	uint64_t unexplained; /**< refused although nothing was denied meanwhile */
};

struct crew_plan {
	unsigned int plain;
	unsigned int visitors;
	unsigned int pause_us; /**< visitors rest for up to so long now and then */
	uint32_t bulk;         /**< largest request; 0 = BULK_MAX */
	uint32_t kept_back;    /**< objects out of reach: those in the mempool's caches */
	bool calm;             /**< visitors only look: nothing is purged or resized by them */
	bool no_nursery;
	bool no_lcores;
	bool burst; /**< all workers get and put whole magazines */
	bool pipe;  /**< lcores work in pairs: one gets, the other one frees */
};

struct crew {
	struct subject *subject;
	struct crew_plan plan;
	struct worker *worker[CREW_MAX];
	unsigned int count;
	bool scarce; /**< less than one object for each: refusals are to be expected */
	bool guest;  /**< its workers' threads are another crew's */
	_Atomic bool closed;
	_Atomic bool stop;
	_Atomic uint32_t parked;
};

/** Start all of them. */
void crew_start(struct crew *crew, struct subject *subject, const struct crew_plan *plan);
/**
 * The threads of a crew that is enlisted, but not yet started, work on further subjects too: each
 * has a part in each of the crews. They must have as many plain threads and visitors, and a
 * nursery.
 */
void crew_enlist(struct crew *crew, struct subject *subject, const struct crew_plan *plan);
void crew_join(struct crew *host, struct crew *guest);
void crew_launch(struct crew *crew);
/** Stop them between two operations, and let them go on. */
void crew_close(struct crew *crew);
void crew_open(struct crew *crew);
/** End them; everything that they had is given back. A host's guests are ended after it. */
void crew_finish(struct crew *crew);
/** Objects that are out. */
uint64_t crew_charged(const struct crew *crew);
/** Tell what was asked for and refused; returns the refusals that nothing explains. */
uint64_t crew_tell(const struct crew *crew);
void crew_free(struct crew *crew);

/** Become an lcore, and be none any more: with EAL's data passed on in sight of ThreadSanitizer. */
void crew_register(void);
void crew_unregister(void);

/** A worker between two operations: stay here while the crew is stopped. */
void crew_gate(struct crew *crew);
bool crew_ends(const struct crew *crew);

/** One random operation of a worker. */
void worker_step(struct worker *worker);
/** Get n objects into the hand, all of which are within the quota. */
void worker_get(struct worker *worker, uint32_t n);
/** Put the last n objects of the hand back. */
void worker_put(struct worker *worker, uint32_t n);
void worker_put_all(struct worker *worker);
/** Put objects back that this worker owns. */
void worker_give_back(struct worker *worker, void **objects, uint32_t n);

/** One random visit (visit.c). */
void visit_step(struct worker *visitor);

#endif /* STRESS_CREW_H */
