/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAGAZINE_REPLACE_H
#define MAGAZINE_REPLACE_H

/*
 * Magazine in the place of other handlers: MAGAZINE_SWITCHES=replace=ring_mp_mc+ring_sp_sc.
 *
 * An application names a handler where it makes a pool, or rte_mempool_create() does, by the pool's
 * flags. With the switch, that handler's entry in rte_mempool's table has an alloc op of ours. It
 * gives the pool the number of magazine, and rte_mempool, which looks the handler up for each op,
 * goes on with that.
 *
 * - No entry comes, goes or moves. A handler has the same number in all processes, with the switch
 *   or without, and the table, of which DPDK's own handlers fill most, has no more of them.
 * - Nothing but alloc is another one. So the number of a replaced handler never comes with data of
 *   ours, and pools that have it with data of their own, of a process without the switch, work.
 * - Entries change once in a process: when all plugins are loaded, in whatever order, and before
 *   there is memory for a pool. That is when EAL scans the bus of virtual devices the first time,
 *   the one moment between the two that a plugin is told of.
 * - All handlers that are named are there, or none is replaced.
 */

/** Read the switch, and arrange for what it says. When magazine is registered. */
void magazine_replace_init(void);

#endif /* MAGAZINE_REPLACE_H */
