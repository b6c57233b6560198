/* SPDX-License-Identifier: BSD-3-Clause */
#include "inlined.h"
#include "own.h"
#include "pattern.h"
#include "pool.h"

void
turn_getput(void *state, struct turn *turn)
{
	if (turn->peer->inlined)
		pool_inlined->getput(state, turn);
	else
		own_getput(state, turn, rte_mempool_get_bulk, rte_mempool_put_bulk);
}

void
turn_hold(void *state, struct turn *turn)
{
	if (turn->peer->inlined)
		pool_inlined->hold(state, turn);
	else
		own_hold(state, turn, rte_mempool_get_bulk, rte_mempool_put_bulk);
}
