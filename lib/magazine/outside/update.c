/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Update of a cache: what maintenance does with each one once an interval, and mag_cache_update()
 * on request.
 *
 * First the tables of addresses, if the number of slabs has outgrown them. Then magazines. These
 * grow when an interval brought more takes from the depot that met another lcore's than the cache's
 * option `contention`, or when lcores often gave objects to the depot only to get them back. They
 * shrink when lcores came, so that all magazines could hold more than a quarter of a pool. A change
 * of size is a purge: it visits each slot, and may be refused; then the next update tries again. At
 * last the working set: magazines of the depot that neither list needed in the last interval go
 * back to the slabs.
 *
 * In a debugger: cache->updates, cache->contention_seen beside the depots' contention,
 * cache->returned_seen, cache->common.type, and cache->reaping while a large reap is not through.
 */

#include <errno.h>
#include <limits.h>

#include "base/counter.h"
#include "control/sizing.h"
#include "home/object.h"
#include "mag_maint.h"
#include "outside/strangers.h"
#include "outside/update.h"
#include "outside/who.h"
#include "visits/purge.h"
#include "visits/steal.h"

static _Atomic uint64_t updates; /* of all caches */

/*
 * Magazines grow when slots exchanged more than one of them for so many objects that users got, to
 * get the same objects back. With fewer in an interval the load is too small for the visits that a
 * resize makes. Both numbers are chosen, not measured.
 */
#define OBJECTS_PER_EXCHANGE 1024
#define EXCHANGES_MIN 1000

/** What passed through all slots so far. */
struct traffic {
	uint64_t allocs; /**< objects that users got */
	/**
	 * Objects that a slot gave to the depot or the slabs and got from there, either one counted
	 * to the smaller sum: larger magazines would have kept them in the slot. What one lcore
	 * gets and another puts passes by the depot whatever the size.
	 */
	uint64_t returned;
};

static struct traffic
traffic_of(const struct mag_cache *cache)
{
	struct traffic traffic = {0, 0};
	const struct mag_home *home;
	const struct mag_slot *slot;
	unsigned int part, i, slots = mag_thread_slots();

	MAG_FOREACH_HOME(cache, part, home)
		for (i = 0; i < slots; i++) {
			slot = &home->slot[i];
			traffic.allocs += MAG_STAT(slot->allocs);
			traffic.returned +=
				RTE_MIN(MAG_STAT(slot->rounds_in), MAG_STAT(slot->rounds_out));
		}
	return traffic;
}

/* What another thread's update has seen meanwhile is more than this one has. */
static bool
exchanges_too_often(const struct mag_cache *cache, const struct traffic *traffic, uint32_t type)
{
	uint64_t allocs = traffic->allocs - MAG_STAT(cache->allocs_seen);
	uint64_t seen = MAG_STAT(cache->returned_seen);
	uint64_t exchanges = (traffic->returned - RTE_MIN(seen, traffic->returned)) / type;

	return exchanges >= EXCHANGES_MIN && exchanges * OBJECTS_PER_EXCHANGE > allocs;
}

static void
traffic_seen(struct mag_cache *cache, const struct traffic *traffic)
{
	atomic_store_explicit(&cache->allocs_seen, traffic->allocs, memory_order_relaxed);
	atomic_store_explicit(&cache->returned_seen, traffic->returned, memory_order_relaxed);
}

/* Type to move to: smaller when more lcores came, bigger when they come to the depot too often. */
static uint32_t
resize_wanted(struct mag_cache *cache, uint64_t contention, const struct traffic *traffic)
{
	uint64_t seen = MAG_STAT(cache->contention_seen);
	uint32_t type = MAG_STAT(cache->common.type), bound = mag_cache_type_bound(cache);

	if (bound < type || type == 0)
		return bound;
	if ((contention > seen && contention - seen > MAG_STAT(cache->options.contention)) ||
	    exchanges_too_often(cache, traffic, type))
		return mag_cache_type_grown(cache);
	return type;
}

bool
mag_update_wants_tables(struct mag_cache *cache)
{
	struct mag_home *home;
	unsigned int part;

	MAG_FOREACH_HOME(cache, part, home)
		if (mag_slab_rescale_want(&home->slab) != 0)
			return true;
	return false;
}

void
mag_update_tables(struct mag_cache *cache)
{
	struct mag_home *home;
	unsigned int part;
	uint32_t table;

	MAG_FOREACH_HOME(cache, part, home) {
		table = mag_slab_rescale_want(&home->slab);
		if (table != 0)
			mag_slab_rescale(&home->slab, table, home->node);
	}
}

void
mag_update_magazines(struct mag_cache *cache, unsigned int chains)
{
	struct traffic traffic = traffic_of(cache);
	struct mag_home *home;
	uint64_t contention = 0;
	unsigned int part;
	uint32_t type;
	bool resize;

	MAG_FOREACH_HOME(cache, part, home)
		contention += mag_depot_contention(&home->depot);
	type = resize_wanted(cache, contention, &traffic);
	resize = type != MAG_STAT(cache->common.type);
	mag_cache_working_set_update(cache);
	if (!resize)
		atomic_store_explicit(&cache->contention_seen, contention, memory_order_relaxed);
	if (!resize || mag_cache_change_type(cache, type, false) == 0)
		traffic_seen(cache, &traffic);
	if (chains > 0)
		mag_cache_working_set_reap(cache, chains);
	mag_steal_note_peaks(cache);
	mag_strangers_look(cache);
	mag_who_look(cache);
	MAG_STAT_ADD(cache->updates, 1);
	MAG_STAT_ADD(updates, 1);
}

int
mag_cache_update(struct mag_cache *cache)
{
	if (mag_callback_depth != 0)
		return -EDEADLK;
	if (mag_cache_is_elsewhere(cache))
		return -EPERM;
	mag_update_tables(cache);
	mag_update_magazines(cache, UINT_MAX);
	return 0;
}

uint64_t
mag_maint_updates(void)
{
	return MAG_STAT(updates);
}
