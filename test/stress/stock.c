/* SPDX-License-Identifier: BSD-3-Clause */

#include <rte_branch_prediction.h>

#include "stock.h"
#include "stress.h"

#define MULTIPLIER 0x9e3779b97f4a7c15ull

void
stock_init(struct stock *stock, uint32_t count)
{
	*stock =
		(struct stock){.where = calloc(count, sizeof(stock->where[0])), .low = UINTPTR_MAX};
	assert_non_null(stock->where);
}

void
stock_fini(struct stock *stock)
{
	free(stock->where);
	stock->where = NULL;
}

static void
fill(struct object *object, uint64_t stamp)
{
	object->stamp = stamp;
	for (unsigned int i = 0; i < STOCK_FILL; i++)
		object->fill[i] = stamp * MULTIPLIER + i;
}

static bool
is_filled(const struct object *object)
{
	for (unsigned int i = 0; i < STOCK_FILL; i++)
		if (object->fill[i] != object->stamp * MULTIPLIER + i)
			return false;
	return true;
}

void
stock_add(struct stock *stock, void *address)
{
	struct object *object = address;

	*object = (struct object){.id = stock->count};
	fill(object, stock->count);
	stock->where[stock->count++] = object;
	stock->low = RTE_MIN(stock->low, (uintptr_t)object);
	stock->high = RTE_MAX(stock->high, (uintptr_t)object);
}

bool
stock_has(const struct stock *stock, const void *address)
{
	const struct object *object = address;

	if (likely((uintptr_t)object >= stock->low && (uintptr_t)object <= stock->high &&
		   ((uintptr_t)object & 7) == 0 && object->id < stock->count &&
		   stock->where[object->id] == object))
		return true;
	stress_blame("%p came from the allocator and is no object of it", address);
	return false;
}

bool
stock_claim(const struct stock *stock, void *address, uint32_t owner)
{
	struct object *object = address;
	uint32_t before;

	if (unlikely(!stock_has(stock, object)))
		return false;
	before = atomic_exchange_explicit(&object->owner, owner, memory_order_relaxed);
	if (unlikely(before != 0)) {
		stress_blame("object %u was given to %u while %u had it", object->id, owner,
			     before);
		return false;
	}
	if (unlikely(!is_filled(object)))
		stress_blame("object %u was written to while it was free", object->id);
	return true;
}

bool
stock_take_over(const struct stock *stock, void *address, uint32_t owner)
{
	struct object *object = address;
	uint32_t before;

	if (unlikely(!stock_has(stock, object)))
		return false;
	before = atomic_exchange_explicit(&object->owner, owner, memory_order_relaxed);
	if (unlikely(before == 0)) {
		stress_blame("object %u was freed while it was on its way to %u", object->id,
			     owner);
		return false;
	}
	return true;
}

void
stock_release(void *address, uint32_t owner, uint64_t stamp)
{
	struct object *object = address;
	uint32_t before;

	fill(object, stamp);
	before = atomic_exchange_explicit(&object->owner, 0, memory_order_relaxed);
	if (unlikely(before != owner))
		stress_blame("object %u of %u was also had by %u", object->id, owner, before);
}
