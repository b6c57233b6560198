/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_cycles.h>

#include "base/deadline.h"
#include "base/log.h"
#include "base/peer.h"
#include "control/estate.h"
#include "control/registry.h"
#include "outside/fork.h"
#include "outside/maint.h"
#include "slot/bias.h"
#include "slot/hands.h"
#include "slot/thread.h"
#include "sources/elastic_service.h"

#define LOOK_MS 10

static struct {
	bool watched; /* handlers are there; a second copy of the library sees the first one's */
	/*
	 * The process that the inherited caches are of, as the kernel and as the library know it.
	 */
	pid_t owner;
	uint64_t owner_start;
	uint32_t owner_id;
	pid_t parent;          /* of this process, when it was forked */
	_Atomic uint64_t look; /* TSC of the next look; UINT64_MAX: there is nothing to wait for */
} family;

static bool
owner_is_dead(void)
{
	enum mag_process_fate fate;

	if (getppid() == family.parent)
		return false;
	fate = mag_process_fate(family.owner, family.owner_start);
	/* /proc showed the owner, so the one that it hides is another, which has the pid now. */
	return fate == MAG_PROCESS_ENDED || (fate == MAG_PROCESS_HIDDEN && family.owner_start != 0);
}

/* This process is one that its own caches are of. */
static void
owner_is_me(void)
{
	family.owner = mag_process_pid;
	family.owner_start = mag_process_start(family.owner);
	family.owner_id = mag_process_id;
}

static void
take_over(void)
{
	int caches = mag_cache_list_take_over(family.owner_id);

	if (caches == -EAGAIN)
		return;
	atomic_store_explicit(&family.look, UINT64_MAX, memory_order_relaxed);
	if (caches <= 0)
		return;
	mag_peer_join();
	mag_peer_inherit(family.owner_id);
	mag_estate_recount();
	MAG_LOG(NOTICE,
		"process %d, which made %d caches, is dead: its child %d updates and reaps them "
		"from now on",
		family.owner, caches, mag_process_pid);
	owner_is_me();
	/* release: who sees it finds the caches its own */
	atomic_store_explicit(&mag_process_is_child, false, memory_order_release);
	mag_cache_observer();
}

bool
mag_fork_is_heir(void)
{
	uint64_t now, look;

	/* acquire: pairs with take_over() */
	if (!atomic_load_explicit(&mag_process_is_child, memory_order_acquire))
		return true;
	now = rte_rdtsc();
	look = MAG_STAT(family.look);
	/* One thread at a time. */
	if (now < look || !atomic_compare_exchange_strong_explicit(
				  &family.look, &look, now + mag_ms_to_tsc(LOOK_MS),
				  memory_order_relaxed, memory_order_relaxed))
		return false;
	if (owner_is_dead())
		take_over();
	return !MAG_STAT(mag_process_is_child);
}

/* fork(), by the thread that calls it: the locks of the process, outermost first. */

static void
prepare(void)
{
	mag_cache_list_fork_begin();
	mag_maint_fork_begin();
}

static void
in_parent(void)
{
	mag_maint_fork_end();
	mag_cache_list_fork_end();
}

static void
in_child(void)
{
	if (!MAG_STAT(mag_process_is_child))
		family.owner_id = mag_process_id;
	family.parent = mag_process_pid;
	mag_process_renew();
	mag_bias_register();
	mag_thread_forked();
	mag_hands_forked();
	mag_cache_list_forked();
	mag_elastic_forked();
	mag_maint_forked();
	mag_maint_fork_end();
	mag_cache_list_fork_end();
	atomic_store_explicit(&family.look, 0, memory_order_relaxed);
	atomic_store_explicit(&mag_process_is_child, true, memory_order_relaxed);
}

RTE_INIT(mag_fork_load)
{
	if (family.watched)
		return;
	family.watched = true;
	owner_is_me();
	if (pthread_atfork(prepare, in_parent, in_child) == 0)
		mag_process_on_fork(mag_fork_is_heir);
	else
		MAG_LOG(ERR, "fork handlers: no memory: a forked child may not use caches");
}
