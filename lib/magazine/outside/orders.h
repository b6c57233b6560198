/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_ORDERS_H
#define MAG_ORDERS_H

/*
 * What telemetry can order: reap, purge, and options that may change while a cache is used.
 */

#include "outside/answer.h"

/** /magazine/reap,NAME: give back what the depot holds and each slot's previous magazine. */
void mag_orders_reap(struct mag_cache *cache, const struct mag_answer_ask *ask,
		     struct rte_tel_data *data);
/** /magazine/purge,NAME: give back all magazines; the lcore layer stays on. */
void mag_orders_purge(struct mag_cache *cache, const struct mag_answer_ask *ask,
		      struct rte_tel_data *data);
/** /magazine/set,NAME,KEY,VALUE: rounds, interval, contention or pressure. */
void mag_orders_set(struct mag_cache *cache, const struct mag_answer_ask *ask,
		    struct rte_tel_data *data);

#endif /* MAG_ORDERS_H */
