/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef STRESS_CELL_H
#define STRESS_CELL_H

/*
 * One cell: a crew works on a subject for a fixed time, is stopped every so often for the books to
 * be looked at, and at the end all objects must be back and be had by one lcore.
 */

#include "crew.h"

#define BETWEEN_STOPS_MS 50

struct cell {
	const char *name;
	struct crew_plan plan;
	bool service;      /**< a service lcore does the maintenance, else the control thread */
	bool out_of_reach; /**< objects may be where nobody can have them: do not drain at stops */
	bool may_refuse;   /**< refusals that nothing explains are no fault */
	unsigned int stop_every_ms; /**< for the books to be looked at; 0: BETWEEN_STOPS_MS */
	/** What the main thread does between two stops; NULL: sleep. */
	void (*meanwhile)(struct crew *crew);
};

/**
 * Stop the crew, look at the books, let it go on. With drain, all that is free is had and given
 * back meanwhile. Returns the refusals that nothing explains.
 */
uint64_t cell_look(struct crew *crew, bool drain);
/** The crew is gone: all is back, one lcore gets it all, a purge leaves nothing in magazines. */
uint64_t cell_final_look(struct subject *subject);

/** Run it; blames. The subject is left with all objects free. */
void cell_run(const struct cell *cell, struct subject *subject);

#endif /* STRESS_CELL_H */
