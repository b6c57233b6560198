/* SPDX-License-Identifier: BSD-3-Clause */
#include <rte_bitops.h>
#include <rte_debug.h>

#include "base/counter.h"
#include "watch/report.h"

/* All errors are counted; reported are so many of a kind, and then the 32nd, 64th, ... */
#define REPORTS 16

const char *
mag_report_kind(const struct mag_cache *cache)
{
	return cache->flags & MAG_CACHE_POOL ? "pool" : "cache";
}

bool
mag_report_due(const struct mag_cache *cache, _Atomic uint64_t *count, uint64_t *n)
{
	*n = MAG_STAT_ADD(*count, 1) + 1;
	return *n <= REPORTS || RTE_IS_POWER_OF_2(*n) || cache->options.guard == MAG_GUARD_PANIC;
}

void
mag_report_end(const struct mag_cache *cache, const char *what)
{
	if (cache->options.guard == MAG_GUARD_PANIC)
		rte_panic("magazine: %s \"%s\": %s, and option guard=panic\n",
			  mag_report_kind(cache), cache->name, what);
}
