/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_ELASTIC_CREATE_H
#define MAG_ELASTIC_CREATE_H

/* Elastic regions and their mirror regions are made and destroyed. */

#include "mag_region.h"
#include "stores/region.h"

/**
 * Lay an elastic region out, and take its reserve.
 *
 * @return
 *   0, -EINVAL, -ENOTSUP or -ENOMEM, after a log line; the region is destroyed by the caller.
 */
int mag_elastic_init(struct mag_region *region, const struct mag_region_params *params);
/**
 * Lay a mirror region out, and take a segment for each that the first region, which nobody uses,
 * has: 0, or -EINVAL, -ENOTSUP or -ENOMEM after a log line.
 */
int mag_elastic_mirror_init(struct mag_region *region, struct mag_region *first,
			    const struct mag_region_params *params);
/** Give all memory back: nothing is in use any more. */
void mag_elastic_fini(struct mag_region *region);

#endif /* MAG_ELASTIC_CREATE_H */
