/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/queue.h>

#include <rte_bitops.h>
#include <rte_branch_prediction.h>
#include <rte_common.h>
#include <rte_cycles.h>

#include "counter.h"
#include "elastic.h"
#include "elastic_grow.h"
#include "elastic_service.h"
#include "lock.h"
#include "process.h"

/* An eighth of what there is at a time, so that a growing load is not fed by the spoon. */
#define GROWTH 8
#define REST_MS 1000

void (*mag_elastic_observer)(void);
void (*mag_shortage_observer)(void);

static TAILQ_HEAD(, mag_region) regions = TAILQ_HEAD_INITIALIZER(regions);
static struct mag_lock regions_lock;
static _Atomic uint32_t regions_listed;

void
mag_elastic_list(struct mag_region *region)
{
	region->elastic->listed = true;
	mag_lock_wait(&regions_lock);
	TAILQ_INSERT_TAIL(&regions, region, elastic->link);
	MAG_STAT_ADD(regions_listed, 1);
	mag_lock_release(&regions_lock);
}

/* Not before nobody tends it. */
void
mag_elastic_unlist(struct mag_region *region)
{
	if (!region->elastic->listed)
		return;
	mag_lock_wait(&regions_lock);
	while (region->elastic->tended > 0) {
		mag_lock_release(&regions_lock);
		sched_yield();
		mag_lock_wait(&regions_lock);
	}
	TAILQ_REMOVE(&regions, region, elastic->link);
	MAG_STAT_ADD(regions_listed, -1);
	mag_lock_release(&regions_lock);
}

/* How more is asked for */

void
mag_region_eaten(struct mag_region *region, uint32_t part)
{
	const struct mag_elastic *elastic = region->elastic;

	if (unlikely(elastic != NULL &&
		     atomic_load_explicit(&region->part[part].segments_free, memory_order_relaxed) <
			     elastic->reserve))
		mag_elastic_hunger(region, part);
}

void
mag_elastic_hunger(struct mag_region *region, uint32_t part)
{
	struct mag_elastic *elastic = region->elastic;
	uint32_t bit = UINT32_C(1) << part;

	RTE_BUILD_BUG_ON(MAG_PARTS_MAX > 32);
	/*
	 * Maintenance of that process cannot be told from here, and its own threads still have to.
	 */
	if (mag_elastic_is_elsewhere(region)) {
		if ((MAG_STAT(elastic->hungry_elsewhere) & bit) == 0)
			atomic_fetch_or_explicit(&elastic->hungry_elsewhere, bit,
						 memory_order_relaxed);
		return;
	}
	if (MAG_STAT(elastic->hungry) & bit || rte_rdtsc() < MAG_STAT(elastic->rest[part]) ||
	    MAG_STAT(region->segments) >= mag_elastic_segments_max(region))
		return;
	atomic_fetch_or_explicit(&elastic->hungry, bit, memory_order_relaxed);
	if (mag_elastic_observer != NULL)
		mag_elastic_observer();
}

/* Of intrinsic caches, which have no region to be hungry. */
static struct {
	_Atomic bool seen;
	_Atomic uint64_t rest; /* TSC until which another one is not told */
} shortage;

static uint64_t
rest_end(void)
{
	return rte_rdtsc() + rte_get_tsc_hz() / 1000 * REST_MS;
}

void
mag_elastic_shortage(void)
{
	if (mag_shortage_observer == NULL || rte_rdtsc() < MAG_STAT(shortage.rest))
		return;
	atomic_store_explicit(&shortage.rest, rest_end(), memory_order_relaxed);
	atomic_store_explicit(&shortage.seen, true, memory_order_relaxed);
	mag_shortage_observer();
}

/* Service */

/* False: the system has no more. */
static bool
part_feed(struct mag_region *region, uint32_t part)
{
	struct mag_elastic *elastic = region->elastic;
	uint32_t n, want = RTE_MAX(MAG_STAT(region->segments) / GROWTH, elastic->reserve);
	int ret = 0;

	for (n = 0; n < want && ret == 0; n++)
		ret = mag_elastic_grow(region, part);
	if (ret != -ENOMEM)
		return true;
	atomic_store_explicit(&elastic->rest[part], rest_end(), memory_order_relaxed);
	return false;
}

/* Still: what was short when it left word may have got segments back meanwhile. */
static bool
is_short(const struct mag_region *region, uint32_t part)
{
	return MAG_STAT(region->part[part].segments_free) < region->elastic->reserve;
}

/* Of any part: its caches have objects from each. */
static bool
has_free(const struct mag_region *region)
{
	uint32_t part, parts = MAG_STAT(region->parts);

	for (part = 0; part < parts; part++)
		if (MAG_STAT(region->part[part].segments_free) > 0)
			return true;
	return false;
}

/* False: the region has none free, and the system no more. */
static bool
region_feed(struct mag_region *region)
{
	struct mag_elastic *elastic = region->elastic;
	uint32_t hungry = atomic_exchange_explicit(&elastic->hungry, 0, memory_order_relaxed);
	bool fed = true;

	hungry |= atomic_exchange_explicit(&elastic->hungry_elsewhere, 0, memory_order_relaxed);
	for (; hungry != 0; hungry &= hungry - 1)
		if (is_short(region, rte_bsf32(hungry)))
			fed &= part_feed(region, rte_bsf32(hungry));
	return fed || has_free(region);
}

static void
region_tend(struct mag_region *region, uint64_t interval, struct mag_elastic_tended *tended)
{
	struct mag_elastic *elastic = region->elastic;
	uint64_t now = rte_rdtsc();

	tended->low |= !region_feed(region);
	if (mag_elastic_is_kept(region))
		return;
	if (now - MAG_STAT(elastic->trim_last) >= interval) {
		mag_elastic_trim(region, elastic->reserve, true);
		atomic_store_explicit(&elastic->trim_last, now, memory_order_relaxed);
	}
	tended->next = RTE_MIN(tended->next, MAG_STAT(elastic->trim_last) + interval);
}

struct tending {
	uint64_t interval;
	struct mag_elastic_tended tended;
};

static void
tend_visit(struct mag_region *region, void *arg)
{
	struct tending *tending = arg;

	region_tend(region, tending->interval, &tending->tended);
}

/* Without the lock, and yet nobody destroys the region that is visited. */
static void
regions_walk(void (*visit)(struct mag_region *region, void *arg), void *arg)
{
	struct mag_region *region, *next;

	mag_lock_wait(&regions_lock);
	for (region = TAILQ_FIRST(&regions); region != NULL; region = next) {
		region->elastic->tended++;
		mag_lock_release(&regions_lock);
		visit(region, arg);
		mag_lock_wait(&regions_lock);
		region->elastic->tended--;
		next = TAILQ_NEXT(region, elastic->link);
	}
	mag_lock_release(&regions_lock);
}

struct mag_elastic_tended
mag_elastic_tend(uint64_t interval)
{
	struct tending tending = {interval, {.next = UINT64_MAX}};

	regions_walk(tend_visit, &tending);
	tending.tended.low |= atomic_exchange_explicit(&shortage.seen, false, memory_order_relaxed);
	return tending.tended;
}

static void
relieve_visit(struct mag_region *region, void *arg)
{
	RTE_SET_USED(arg);
	if (!mag_elastic_is_kept(region))
		mag_elastic_trim(region, region->elastic->reserve, false);
}

void
mag_elastic_relieve(void)
{
	regions_walk(relieve_visit, NULL);
}

uint32_t
mag_elastic_listed(void)
{
	return MAG_STAT(regions_listed);
}

/* Processes that come and go */

void
mag_elastic_forked(void)
{
	TAILQ_INIT(&regions);
	atomic_store_explicit(&regions_listed, 0, memory_order_relaxed);
	atomic_store_explicit(&regions_lock.holder, 0, memory_order_relaxed);
}

static void
process_set(struct mag_region *region)
{
	region->elastic->process = mag_process_id;
	region->elastic->pid = mag_process_pid;
}

bool
mag_elastic_take_over(struct mag_region *region, uint32_t from)
{
	if (region->elastic == NULL || region->elastic->process == mag_process_id)
		return true;
	if (region->elastic->process != from || mag_elastic_is_of_pages(region))
		return false;
	process_set(region);
	if (region->second != NULL)
		process_set(region->second);
	region->elastic->tended = 0;
	if (region->elastic->listed)
		mag_elastic_list(region);
	return true;
}
