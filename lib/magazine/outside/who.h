/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_WHO_H
#define MAG_WHO_H

/*
 * Who holds the objects of a pool (holders.h): what maintenance does for it, and the answers of
 * telemetry.
 */

#include "outside/answer.h"

/** From time to time: what is in the pool now was in it until now. */
void mag_who_look(struct mag_cache *cache);

/** /magazine/holders: objects that are out, by the thread that drew them last. */
void mag_who_holders(struct mag_cache *cache, const struct mag_answer_ask *ask,
		     struct rte_tel_data *data);
/** /magazine/leaks: sampled objects that are out, by the stack that allocated them (leaks.h). */
void mag_who_leaks(struct mag_cache *cache, const struct mag_answer_ask *ask,
		   struct rte_tel_data *data);

#endif /* MAG_WHO_H */
