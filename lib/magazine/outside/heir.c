/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdatomic.h>
#include <stdbool.h>

#include <rte_common.h>
#include <rte_cycles.h>

#include "base/counter.h"
#include "base/deadline.h"
#include "base/eal_end.h"
#include "base/hold.h"
#include "base/log.h"
#include "base/peer.h"
#include "base/process.h"
#include "control/estate.h"
#include "control/registry.h"
#include "outside/heir.h"
#include "outside/pass.h"

#define LOOK_MS 500

/* Of the control thread. */
static uint64_t next_look;           /* TSC */
static enum mag_peers_pools at_last; /* what the last look found */

uint64_t
mag_heir_wait(bool always)
{
	return always || at_last != MAG_PEERS_NO_POOLS ? mag_ms_until(next_look) : UINT64_MAX;
}

static void
take_over(void)
{
	int pools = mag_peer_join() ? mag_cache_list_inherit() : 0;

	if (pools <= 0)
		return;
	MAG_LOG(NOTICE,
		"%d pool(s) of a process that is dead: process %d updates and reaps them from "
		"now on",
		pools, mag_process_pid);
	mag_pass_make_due();
}

void
mag_heir_look(void)
{
	uint64_t now = rte_rdtsc();

	/* A forked child has another way (fork.h). */
	if (now < next_look || MAG_STAT(mag_process_is_child))
		return;
	next_look = now + mag_ms_to_tsc(LOOK_MS);
	mag_hold_mend();
	at_last = mag_peers_pools();
	if (at_last != MAG_PEERS_POOLS_OF_DEAD || mag_eal_end_has_begun())
		return;
	/* EAL stays as long. Who only looks does not hold it. */
	if (!mag_hold_begin())
		return;
	if (mag_peers_are_mapped())
		mag_pass_between(take_over);
	mag_hold_end();
}
