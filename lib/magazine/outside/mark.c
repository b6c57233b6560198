/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/registry.h"
#include "mag_stats.h"
#include "outside/mark.h"

bool
mag_mark_look(struct mag_cache *cache, uint64_t *available)
{
	const struct mag_watermark *mark = &cache->listing->mark;

	*available = mag_cache_available(cache);
	return mark->is_low ? *available >= mark->high : *available < mark->low;
}

void
mag_mark_tell(struct mag_cache *cache, uint64_t available)
{
	struct mag_watermark *mark = &cache->listing->mark;

	mark->is_low = !mark->is_low;
	mark->crossed(cache, mark->is_low, available, mark->arg);
}
