/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_ADVICE_H
#define MAG_ADVICE_H

/*
 * How large a pool has to be, from what was seen of it.
 */

#include "outside/answer.h"

/** /magazine/advise: the number, and the reasons for it. */
void mag_advice(struct mag_cache *cache, const struct mag_answer_ask *ask,
		struct rte_tel_data *data);

#endif /* MAG_ADVICE_H */
