/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_INSIDE_H
#define MAG_INSIDE_H

/*
 * Answers of telemetry about what a cache has inside: see the specification, 13.
 */

#include "outside/answer.h"

/** Most slots of one answer: it has room for the longest names. */
#define MAG_INSIDE_OWNERS 64

/** Names of columns. */
struct mag_inside_names {
	const char *slot; /**< NULL: is not told */
	const char *pid, *tid, *thread;
};

/** Columns of who owns slots: "lcore", and those; -1 and "": nobody, or not known. */
void mag_inside_owners(struct rte_tel_data *data, const uint32_t *slots, unsigned int n,
		       const struct mag_inside_names *names);

/** /magazine/info: where the objects are, and what was done. */
void mag_inside_info(struct mag_cache *cache, const struct mag_answer_ask *ask,
		     struct rte_tel_data *data);
/** /magazine/depot: working sets and contention, of each node. */
void mag_inside_depot(struct mag_cache *cache, const struct mag_answer_ask *ask,
		      struct rte_tel_data *data);
/** /magazine/slabs: how full slabs are. */
void mag_inside_slabs(struct mag_cache *cache, const struct mag_answer_ask *ask,
		      struct rte_tel_data *data);
/** /magazine/lcores: figures of each slot, and who owns it. */
void mag_inside_lcores(struct mag_cache *cache, const struct mag_answer_ask *ask,
		       struct rte_tel_data *data);
/** /magazine/events: what happened lately. */
void mag_inside_events(struct mag_cache *cache, const struct mag_answer_ask *ask,
		       struct rte_tel_data *data);

#endif /* MAG_INSIDE_H */
