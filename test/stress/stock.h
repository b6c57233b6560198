/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef STRESS_STOCK_H
#define STRESS_STOCK_H

/*
 * The objects under test. Each one knows who has it: 0 is "nobody, it is free". The owner word is
 * changed by relaxed exchanges only, so that it orders nothing: what a thread wrote into an object
 * before it gave it back is seen by the next owner because the allocator passed it on, or
 * ThreadSanitizer says so.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define STOCK_FILL 12

struct object {
	_Atomic uint32_t owner; /**< 0 = free */
	uint32_t id;            /**< never changes */
	uint32_t charged;       /**< worker that got it from the allocator; of the owner */
	uint32_t constructed;   /**< of constructor and destructor */
	uint64_t stamp;         /**< what fill is made from; of the owner */
	uint64_t fill[STOCK_FILL];
};

struct stock {
	struct object **where; /**< by id */
	uint32_t count;
	uintptr_t low, high;
};

/** Room for so many objects. */
void stock_init(struct stock *stock, uint32_t count);
void stock_fini(struct stock *stock);
/** The next object is here; nobody has it. */
void stock_add(struct stock *stock, void *object);

/** Is this one of our objects? Blames if not. */
bool stock_has(const struct stock *stock, const void *object);
/** Had from the allocator: nobody may have it, and its content is as the last owner left it. */
bool stock_claim(const struct stock *stock, void *object, uint32_t owner);
/** Had from another owner. */
bool stock_take_over(const struct stock *stock, void *object, uint32_t owner);
/** About to be given back to the allocator, with new content. */
void stock_release(void *object, uint32_t owner, uint64_t stamp);

#endif /* STRESS_STOCK_H */
