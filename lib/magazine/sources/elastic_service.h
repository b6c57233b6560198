/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_ELASTIC_SERVICE_H
#define MAG_ELASTIC_SERVICE_H

/*
 * What maintenance does for elastic regions, and how it is asked.
 *
 * Regions of a process are on a list, which a region enters when it is made and leaves when it is
 * destroyed. A pass of maintenance walks it without the list's lock: a region that is being
 * serviced counts the threads that do so, and is not destroyed before they are through.
 *
 * The data path takes no memory from the system. A thread that leaves a part fewer free segments
 * than the region's reserve sets the part's bit, and tells maintenance if the bit was not set.
 * Maintenance then takes segments for the part: an eighth of what there is, or the reserve if that
 * is more. When the system has none, the part is not asked for again for a second.
 *
 * A region of another process than the one that made it has its bits in a word of its own, since
 * maintenance of that process cannot be told from here: it looks at its next turn.
 *
 * In a debugger: elastic->wanted (a bit for each part that asked), elastic->retry_at,
 * elastic->in_service.
 */

#include <stdbool.h>
#include <stdint.h>

#include <rte_branch_prediction.h>

#include "base/counter.h"
#include "sources/elastic.h"
#include "stores/region.h"

/** From now on maintenance of this process services the region. */
void mag_elastic_list(struct mag_region *region);
/** No longer; waits until no thread services it. */
void mag_elastic_unlist(struct mag_region *region);

/** Data path: ask maintenance for segments of a part. */
void mag_elastic_want(struct mag_region *region, uint32_t part);

/**
 * Data path, no lock held: ask for more if the region is elastic and the part has fewer free
 * segments than its reserve.
 */
static inline void
mag_elastic_keep_reserve(struct mag_region *region, uint32_t part)
{
	if (unlikely(region->elastic != NULL &&
		     MAG_STAT(region->part[part].segments_free) < region->elastic->reserve))
		mag_elastic_want(region, part);
}
/**
 * Tell maintenance, once a second at most, that EAL's heap has no object for an intrinsic cache.
 */
void mag_elastic_shortage(void);

/** What service of all elastic regions of the process came to. */
struct mag_elastic_serviced {
	uint64_t next; /**< TSC of the next turn; UINT64_MAX: none */
	/**
	 * The system had no memory for a segment, and its region has none free; or none for an
	 * intrinsic cache.
	 */
	bool low;
};

/**
 * Take segments for the parts that asked, and at intervals give back those that were not needed
 * during the last one. Holds no lock while memory comes or goes.
 *
 * @param interval
 *   TSC ticks from trim to trim.
 */
struct mag_elastic_serviced mag_elastic_service(uint64_t interval);
/**
 * In a forked child: the elastic regions are those of its parent, which goes on with their list.
 */
void mag_elastic_forked(void);
/** That parent is dead: a region becomes this process's. False: it is not to be had here. */
bool mag_elastic_take_over(struct mag_region *region, uint32_t from);
/** Elastic regions of the process. */
uint32_t mag_elastic_listed(void);
/** Give back all free segments beyond the reserves, of all elastic regions of the process. */
void mag_elastic_trim_all(void);

/**
 * On the data path: maintenance has something to grow for a cache on this region. It hears of it at
 * its next turn if the region, or its elastic regions, are another process's.
 */
void mag_elastic_tell(const struct mag_region *region);

/** Called on the data path when a part asks for segments. Set by maintenance. */
extern void (*mag_elastic_on_want)(void);
/**
 * Called by mag_elastic_shortage(). May make a system call: the caller has been to EAL's heap. Set
 * by maintenance.
 */
extern void (*mag_elastic_on_shortage)(void);

#endif /* MAG_ELASTIC_SERVICE_H */
