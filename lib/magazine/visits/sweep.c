/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Visits to the slots of a home.
 *
 * A sweep announces itself to all slots that it wants, sends one membarrier, and then waits a
 * bounded time for each owner that is busy. Owners that do not let go are dropped from the sweep,
 * untouched; what remains wanted was granted, and may be taken away until the sweep is dismissed.
 *
 * The membarrier is one for this process's threads, or for all processes that have registered, if
 * another process has owners. Once one has failed, an owner can be visited again when it has
 * acknowledged that FENCE is set. Where owners may not be visited they are asked: each flushes its
 * magazines when it next comes by.
 *
 * The visit lock of the home is held for the whole sweep. In a debugger: a slot whose visitor word
 * keeps MAG_BIAS_VISIT while home->visit is free is of a visitor that was killed; visits_denied and
 * steal_denied count what was not granted.
 */

#include <sched.h>
#include <stdint.h>

#include <rte_cycles.h>

#include "base/counter.h"
#include "base/deadline.h"
#include "visits/sweep.h"

/*
 * Visitors hold a lock for the milliseconds of a sweep, or of a chain of magazines. One that is
 * held for longer is of a thread that has stopped there, or was killed: that is counted, and
 * whoever wants the lock comes again later. Maintenance has the list of all caches meanwhile.
 */
#define LOCK_US 100000

bool
mag_lock_until(struct mag_lock *lock, uint64_t deadline, _Atomic uint64_t *denied)
{
	while (!mag_lock_try(lock)) {
		if (rte_rdtsc() > deadline) {
			MAG_STAT_ADD(*denied, 1);
			return false;
		}
		sched_yield();
	}
	return true;
}

bool
mag_visitor_lock(struct mag_home *home, struct mag_lock *lock)
{
	return mag_lock_until(lock, mag_deadline_in(LOCK_US), &home->common->visits_denied);
}

bool
mag_sweep_is_fencing(const struct mag_common *common)
{
	return common->bias == MAG_BIAS_MEMBARRIER && mag_bias_has_given_up();
}

bool
mag_sweep_slot_is_fenced(const struct mag_home *home, unsigned int slot)
{
	/* acquire: pairs with the release in mag_bias_acknowledge() */
	return MAG_STAT_ACQUIRE(home->slot[slot].fenced);
}

/* May the owners of a home be visited? */
bool
mag_home_may_visit(const struct mag_home *home)
{
	unsigned int i, slots = mag_thread_slots(), own = mag_thread_slot();

	if (!mag_sweep_is_fencing(home->common))
		return home->common->bias != MAG_BIAS_POLL;
	for (i = 0; i < slots; i++)
		if (i != own && mag_thread_owns(i) && !mag_sweep_slot_is_fenced(home, i))
			return false;
	return true;
}

bool
mag_cache_may_visit(const struct mag_cache *cache)
{
	struct mag_home *home;
	unsigned int part;

	MAG_FOREACH_HOME(cache, part, home)
		if (!mag_home_may_visit(home))
			return false;
	return true;
}

struct mag_sweep
mag_sweep_make(struct mag_home *home, uint32_t bits)
{
	return (struct mag_sweep){
		.home = home, .bits = bits, .fencing = mag_sweep_is_fencing(home->common)};
}

void
mag_sweep_announce(struct mag_sweep *sweep, unsigned int slot)
{
	sweep->wanted[slot / 64] |= 1ull << (slot % 64);
	sweep->count++;
	mag_bias_announce(&sweep->home->slot[slot],
			  sweep->bits | (sweep->fencing ? MAG_BIAS_FENCE_BIT : 0));
}

/* The slot is not of the sweep any more. */
static void
sweep_drop(struct mag_sweep *sweep, unsigned int slot)
{
	mag_bias_dismiss(&sweep->home->slot[slot], sweep->bits);
	sweep->wanted[slot / 64] &= ~(1ull << (slot % 64));
}

void
mag_sweep_dismiss(struct mag_sweep *sweep)
{
	unsigned int i;

	for (i = 0; i < MAG_SLOT_SHARED; i++)
		if (mag_sweep_wants(sweep, i))
			sweep_drop(sweep, i);
}

/*
 * Where nobody has claimed the slot, whoever does finds FENCE: it was announced before the fence
 * here, and the claim comes before a fence too.
 */
static bool
owner_fences(const struct mag_home *home, unsigned int slot)
{
	return slot == mag_thread_slot() || mag_sweep_slot_is_fenced(home, slot) ||
	       !mag_thread_owns(slot);
}

/*
 * A fence for every owner that was announced to; those that may not have had one are dropped, and
 * it is false: such an owner may be inside, and not be seen busy. What counts is the fence of this
 * very sweep, not whether others had theirs.
 */
static bool
sweep_fence(struct mag_sweep *sweep)
{
	const struct mag_home *home = sweep->home;
	bool membarrier = home->common->bias == MAG_BIAS_MEMBARRIER && !sweep->fencing, all = true;
	int ret = mag_bias_fence(membarrier ? MAG_BIAS_MEMBARRIER : MAG_BIAS_FENCE,
				 mag_thread_is_any_foreign);
	unsigned int i;

	for (i = 0; i < MAG_SLOT_SHARED && (ret != 0 || sweep->fencing) && !sweep->idle; i++) {
		if (!mag_sweep_wants(sweep, i) || (ret == 0 && owner_fences(home, i)))
			continue;
		sweep_drop(sweep, i);
		all = false;
	}
	/* The slots first: writing to the log takes its time. */
	if (ret != 0)
		mag_bias_give_up(-ret);
	return all;
}

/*
 * Owners grant, or the slots that do not are counted and dropped from the sweep. False when any was
 * dropped.
 */
bool
mag_sweep_await(struct mag_sweep *sweep, uint64_t deadline, _Atomic uint64_t *denied)
{
	struct mag_home *home = sweep->home;
	bool all = sweep_fence(sweep);
	unsigned int i;

	for (i = 0; i < MAG_SLOT_SHARED; i++) {
		if (!mag_sweep_wants(sweep, i) || mag_bias_granted(&home->slot[i], deadline))
			continue;
		MAG_STAT_ADD(*denied, 1);
		sweep_drop(sweep, i);
		sweep->denied = true;
		sweep->denied_slot = i;
	}
	return all && !sweep->denied;
}

/*
 * From here on owners acknowledge, also those that hold nothing, and those that are still to come.
 */
static void
slots_fence(struct mag_home *home)
{
	unsigned int i;

	for (i = 0; i < MAG_SLOT_SHARED; i++)
		if ((MAG_STAT(home->slot[i].visitor) & MAG_BIAS_FENCE_BIT) == 0)
			mag_bias_announce(&home->slot[i], MAG_BIAS_FENCE_BIT);
}

/* Nobody is visited: owners flush when they next come by. */
void
mag_sweep_ask(struct mag_home *home)
{
	unsigned int i, slots = mag_thread_slots();

	if (mag_sweep_is_fencing(home->common))
		slots_fence(home);
	for (i = 0; i < slots; i++)
		if (mag_slot_objects(&home->slot[i]) > 0)
			mag_bias_announce(&home->slot[i], MAG_BIAS_ASKED);
}
