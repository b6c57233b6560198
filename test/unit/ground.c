/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"

#include "ground.h"

struct ground
ground_make(uint32_t count, uint32_t size, uint32_t block, uint32_t mode)
{
	struct mag_region_params params = {.size = sizeof(params),
					   .name = "ground",
					   .object_size = size,
					   .block = block,
					   .mode = mode,
					   .node = -1};
	struct ground ground = {.count = count, .size = size};
	void **objects = calloc(count, sizeof(*objects));

	ground.region = mag_region_create(&params);
	assert_non_null(ground.region);
	ground.memory = aligned_alloc(4096, RTE_ALIGN_CEIL((size_t)count * size, (size_t)4096));
	assert_non_null(ground.memory);
	memset(ground.memory, 0xa5, (size_t)count * size);
	for (uint32_t i = 0; i < count; i++)
		objects[i] = ground_object(&ground, i);
	assert_int_equal(mag_region_adopt(ground.region, objects, count, -1), 0);
	free(objects);
	return ground;
}

void
ground_drop(struct ground *ground)
{
	assert_int_equal(mag_region_destroy(ground->region), 0);
	free(ground->memory);
}

void *
ground_object(const struct ground *ground, uint32_t index)
{
	return ground->memory + (size_t)index * ground->size;
}

bool
ground_has(const struct ground *ground, const void *object)
{
	size_t offset = (const char *)object - ground->memory;

	return (const char *)object >= ground->memory && offset % ground->size == 0 &&
	       offset / ground->size < ground->count;
}

void
assert_distinct(const struct ground *ground, void *const *objects, uint32_t count)
{
	bool *seen = calloc(ground->count, sizeof(*seen));
	uint32_t index;

	for (uint32_t i = 0; i < count; i++) {
		assert_true(ground_has(ground, objects[i]));
		index = ((char *)objects[i] - ground->memory) / ground->size;
		assert_false(seen[index]);
		seen[index] = true;
	}
	free(seen);
}
