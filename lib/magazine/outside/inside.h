/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_INSIDE_H
#define MAG_INSIDE_H

/*
 * Answers of telemetry about what a cache has inside: see the specification, 13.
 */

#include "outside/answer.h"

/** Where the objects of a cache are. Together they are all of them. */
struct mag_inside_places {
	uint64_t objects; /**< of the region */
	uint64_t out;     /**< with users, and on their way */
	uint64_t lcores;  /**< in magazines of slots */
	uint64_t depot;   /**< in full magazines of the depots */
	uint64_t slabs;   /**< in slabs, and in segments of the region */
	uint64_t caches;  /**< of a pool: in rte_mempool's caches */
};

void mag_inside_places(const struct mag_cache *cache, const struct mag_answer_ask *ask,
		       struct mag_inside_places *places);

/** Name of the thread that owns a slot; "" where /proc does not tell it. */
void mag_inside_thread_name(uint32_t slot, char name[RTE_TEL_MAX_STRING_LEN]);

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
