/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_REGION_CREATE_H
#define MAG_REGION_CREATE_H

/*
 * Regions of every kind: checked, made and destroyed. The kinds are adopted memory (adopt.h),
 * elastic regions and their mirror regions (elastic.h), and regions of intrinsic caches, which have
 * no segments.
 */

#include <stdint.h>

#include "mag_region.h"

/** As mag_region_create(), whatever MAGAZINE_SWITCHES says. */
struct mag_region *mag_region_make(const struct mag_region_params *params);
/** The region of an intrinsic cache: NULL with rte_errno as mag_region_create(). */
struct mag_region *mag_region_intrinsic(const char *name, uint32_t object_size, uint32_t align,
					int node);

#endif /* MAG_REGION_CREATE_H */
