/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdatomic.h>

#include <rte_common.h>
#include <rte_eal.h>
#include <rte_lcore.h>

#include "base/counter.h"
#include "base/lcores.h"

/* At once. Never falls, since an lcore that has left may come again. */
static _Atomic uint32_t most;

void
mag_lcores_seen(uint32_t lcores)
{
	uint32_t seen = MAG_STAT(most);

	while (lcores > seen &&
	       !atomic_compare_exchange_weak_explicit(&most, &seen, lcores, memory_order_relaxed,
						      memory_order_relaxed))
		;
}

void
mag_lcores_look(void)
{
	uint32_t lcore, lcores = 0;

	for (lcore = 0; lcore < RTE_MAX_LCORE; lcore++)
		lcores += rte_eal_lcore_role(lcore) != ROLE_OFF;
	mag_lcores_seen(lcores);
}

/* A secondary process does not know what lcores the primary has. */
uint32_t
mag_lcores(void)
{
	return rte_eal_process_type() == RTE_PROC_SECONDARY ?
		       MAG_LCORES_MAX :
		       RTE_MIN(MAG_STAT(most) + MAG_LCORES_SPARE, MAG_LCORES_MAX);
}
