/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef UNIT_GROUND_H
#define UNIT_GROUND_H

/*
 * Objects to test with: plain memory, and a region that has adopted it.
 */

#include "stores/region.h"

struct ground {
	struct mag_region *region;
	char *memory;
	uint32_t count;
	uint32_t size; /**< of an object, and its stride */
};

/** A region of count objects in one run, cut into segments of block objects. */
struct ground ground_make(uint32_t count, uint32_t size, uint32_t block, uint32_t mode);
/** The region must have no cache. */
void ground_drop(struct ground *ground);
void *ground_object(const struct ground *ground, uint32_t index);
bool ground_has(const struct ground *ground, const void *object);

/** Fails unless these are count different objects of the ground. */
void assert_distinct(const struct ground *ground, void *const *objects, uint32_t count);

#endif /* UNIT_GROUND_H */
