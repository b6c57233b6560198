/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/queue.h>

#include <rte_bitops.h>
#include <rte_common.h>
#include <rte_cycles.h>

#include "base/counter.h"
#include "base/deadline.h"
#include "base/lock.h"
#include "base/process.h"
#include "sources/elastic.h"
#include "sources/elastic_grow.h"
#include "sources/elastic_service.h"

/* A part gets an eighth of what there is at a time: few passes when a load grows. */
#define GROWTH 8
#define RETRY_US 1000000

void (*mag_elastic_on_want)(void);
void (*mag_elastic_on_shortage)(void);

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

/* Waits until no thread services it. */
void
mag_elastic_unlist(struct mag_region *region)
{
	if (!region->elastic->listed)
		return;
	mag_lock_wait(&regions_lock);
	while (region->elastic->in_service > 0) {
		mag_lock_release(&regions_lock);
		sched_yield();
		mag_lock_wait(&regions_lock);
	}
	TAILQ_REMOVE(&regions, region, elastic->link);
	MAG_STAT_ADD(regions_listed, -1u);
	mag_lock_release(&regions_lock);
}

/* How more is asked for */

void
mag_elastic_want(struct mag_region *region, uint32_t part)
{
	struct mag_elastic *elastic = region->elastic;
	uint32_t bit = UINT32_C(1) << part;

	RTE_BUILD_BUG_ON(MAG_PARTS_MAX > 32);
	/*
	 * Maintenance of that process cannot be told from here, and its own threads still have to.
	 */
	if (mag_elastic_is_elsewhere(region)) {
		if ((MAG_STAT(elastic->wanted_elsewhere) & bit) == 0)
			atomic_fetch_or_explicit(&elastic->wanted_elsewhere, bit,
						 memory_order_relaxed);
		return;
	}
	if (MAG_STAT(elastic->wanted) & bit || rte_rdtsc() < MAG_STAT(elastic->retry_at[part]) ||
	    MAG_STAT(region->segments) >= mag_elastic_segments_max(region))
		return;
	atomic_fetch_or_explicit(&elastic->wanted, bit, memory_order_relaxed);
	mag_elastic_tell(region);
}

void
mag_elastic_tell(const struct mag_region *region)
{
	if (!mag_elastic_is_elsewhere(region) && mag_elastic_on_want != NULL)
		mag_elastic_on_want();
}

/* Of intrinsic caches, whose regions have no parts that want more. */
static struct {
	_Atomic bool seen;
	_Atomic uint64_t retry_at; /* TSC before which another one is not reported */
} shortage;

void
mag_elastic_shortage(void)
{
	if (mag_elastic_on_shortage == NULL || rte_rdtsc() < MAG_STAT(shortage.retry_at))
		return;
	atomic_store_explicit(&shortage.retry_at, mag_deadline_in(RETRY_US), memory_order_relaxed);
	atomic_store_explicit(&shortage.seen, true, memory_order_relaxed);
	mag_elastic_on_shortage();
}

/* Service */

/* False: the system has no memory. */
static bool
part_grow(struct mag_region *region, uint32_t part)
{
	struct mag_elastic *elastic = region->elastic;
	uint32_t n, want = RTE_MAX(MAG_STAT(region->segments) / GROWTH, elastic->reserve);
	int ret = 0;

	for (n = 0; n < want && ret == 0; n++)
		ret = mag_elastic_grow(region, part);
	if (ret != -ENOMEM)
		return true;
	atomic_store_explicit(&elastic->retry_at[part], mag_deadline_in(RETRY_US),
			      memory_order_relaxed);
	return false;
}

/* Segments may have come back since the part asked. */
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

/* False: the region has no free segment, and the system no memory for one. */
static bool
region_grow(struct mag_region *region)
{
	struct mag_elastic *elastic = region->elastic;
	uint32_t wanted = atomic_exchange_explicit(&elastic->wanted, 0, memory_order_relaxed);
	bool grown = true;

	wanted |= atomic_exchange_explicit(&elastic->wanted_elsewhere, 0, memory_order_relaxed);
	for (; wanted != 0; wanted &= wanted - 1)
		if (is_short(region, rte_bsf32(wanted)))
			grown &= part_grow(region, rte_bsf32(wanted));
	return grown || has_free(region);
}

static void
region_service(struct mag_region *region, uint64_t interval, struct mag_elastic_serviced *serviced)
{
	struct mag_elastic *elastic = region->elastic;
	uint64_t now = rte_rdtsc();

	serviced->low |= !region_grow(region);
	if (mag_elastic_is_kept(region))
		return;
	if (now - MAG_STAT(elastic->trim_last) >= interval) {
		mag_elastic_trim(region, elastic->reserve, true);
		atomic_store_explicit(&elastic->trim_last, now, memory_order_relaxed);
	}
	serviced->next = RTE_MIN(serviced->next, MAG_STAT(elastic->trim_last) + interval);
}

struct pass {
	uint64_t interval;
	struct mag_elastic_serviced serviced;
};

static void
service_visit(struct mag_region *region, void *arg)
{
	struct pass *pass = arg;

	region_service(region, pass->interval, &pass->serviced);
}

/* Visits without the lock; in_service keeps the region that is visited from being destroyed. */
static void
regions_walk(void (*visit)(struct mag_region *region, void *arg), void *arg)
{
	struct mag_region *region, *next;

	mag_lock_wait(&regions_lock);
	for (region = TAILQ_FIRST(&regions); region != NULL; region = next) {
		region->elastic->in_service++;
		mag_lock_release(&regions_lock);
		visit(region, arg);
		mag_lock_wait(&regions_lock);
		region->elastic->in_service--;
		next = TAILQ_NEXT(region, elastic->link);
	}
	mag_lock_release(&regions_lock);
}

struct mag_elastic_serviced
mag_elastic_service(uint64_t interval)
{
	struct pass pass = {interval, {.next = UINT64_MAX}};

	regions_walk(service_visit, &pass);
	pass.serviced.low |= atomic_exchange_explicit(&shortage.seen, false, memory_order_relaxed);
	return pass.serviced;
}

static void
trim_visit(struct mag_region *region, void *arg)
{
	RTE_SET_USED(arg);
	if (!mag_elastic_is_kept(region))
		mag_elastic_trim(region, region->elastic->reserve, false);
}

void
mag_elastic_trim_all(void)
{
	regions_walk(trim_visit, NULL);
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
	region->elastic->in_service = 0;
	if (region->elastic->listed)
		mag_elastic_list(region);
	return true;
}
