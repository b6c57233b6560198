/* SPDX-License-Identifier: BSD-3-Clause */

/* Every public header, as C++ sees it. */

#include "mag_cache.h"
#include "mag_maint.h"
#include "mag_mirror.h"
#include "mag_region.h"
#include "mag_stats.h"
#include "rte_mempool_magazine.h"

void *mirror_of_each(const struct mag_mirror *mirror, const void *object);

void *
mirror_of_each(const struct mag_mirror *mirror, const void *object)
{
	return mag_mirror_object(mirror, mag_mirror_of(mirror, object));
}
