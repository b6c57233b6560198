/* SPDX-License-Identifier: BSD-3-Clause */
#include "lives.h"
#include "stress.h"

#define FAILING_ONCE_IN 1000

int
lives_construct(const struct mag_object_info *info, const struct mag_object_info *mirror, void *arg,
		unsigned int flags)
{
	struct object *object = info->address;
	struct lives *lives = arg;

	RTE_SET_USED(mirror);
	RTE_SET_USED(flags);
	if (object->constructed != 0)
		stress_blame("object %u is constructed again", object->id);
	if (lives->fails && MAG_STAT_ADD(lives->calls, 1) % FAILING_ONCE_IN == 0) {
		MAG_STAT_ADD(lives->failed, 1);
		return -1;
	}
	object->constructed = 1;
	MAG_STAT_ADD(lives->constructed, 1);
	return 0;
}

void
lives_destruct(void *address, void *arg)
{
	struct object *object = address;
	struct lives *lives = arg;

	if (object->constructed != 1)
		stress_blame("object %u is destructed and was not constructed", object->id);
	if (MAG_STAT(object->owner) != 0)
		stress_blame("object %u is destructed while %u has it", object->id,
			     MAG_STAT(object->owner));
	object->constructed = 0;
	MAG_STAT_ADD(lives->destructed, 1);
}

void
lives_check(const struct subject *subject, const struct lives *lives)
{
	uint64_t alive = 0;

	for (uint32_t i = 0; i < subject->stock.count; i++)
		alive += subject->stock.where[i]->constructed;
	if (alive != MAG_STAT(lives->constructed) - MAG_STAT(lives->destructed) || alive != 0)
		stress_blame("%" PRIu64 " objects are left constructed after a purge", alive);
}
