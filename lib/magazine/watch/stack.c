/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unwind.h>

#include <rte_branch_prediction.h>
#include <rte_common.h>

#include "slot/thread.h"
#include "watch/stack.h"

/* Stacks that are remembered of a thread. */
#define STACKS 4

struct stack {
	unsigned int depth; /* 0: none */
	void *address[MAG_STACK_MAX];
	void *const *at[MAG_STACK_MAX]; /* where in the stack they are */
};

/* By slot, which has one owner. */
static struct {
	unsigned int oldest;
	struct stack stack[STACKS];
} memories[MAG_SLOT_SHARED];

struct walk {
	struct stack stack;
	bool inside;  /* in the function that walks */
	bool is_kept; /* each address is where the call instruction puts it */
};

/*
 * Called for each frame, from the innermost on. The frame of the function that was called ends
 * where it was called from: there is the return address, on machines that push it.
 */
MAG_NO_SANITIZERS static _Unwind_Reason_Code
step(struct _Unwind_Context *context, void *arg)
{
	void *address = (void *)_Unwind_GetIP(context);
	struct walk *walk = arg;
	struct stack *stack = &walk->stack;

	if (walk->inside) {
		walk->inside = false;
		return _URC_NO_REASON;
	}
	if (address == NULL || stack->depth == MAG_STACK_MAX)
		return _URC_END_OF_STACK;
	stack->at[stack->depth] = (void *const *)_Unwind_GetCFA(context) - 1;
	walk->is_kept &= *stack->at[stack->depth] == address;
	stack->address[stack->depth++] = address;
	return _URC_NO_REASON;
}

/*
 * Frame by frame from the innermost on, as far as they are the same: nothing is read that is no
 * part of the stack.
 */
MAG_NO_SANITIZERS static bool
is_same(const struct stack *stack, void *const *innermost)
{
	unsigned int i;

	if (stack->depth == 0 || stack->at[0] != innermost)
		return false;
	for (i = 0; i < stack->depth; i++)
		if (*stack->at[i] != stack->address[i])
			return false;
	return true;
}

static const struct stack *
find(uint32_t slot, void *const *innermost)
{
	unsigned int i;

	for (i = 0; i < STACKS; i++)
		if (is_same(&memories[slot].stack[i], innermost))
			return &memories[slot].stack[i];
	return NULL;
}

static void
keep(uint32_t slot, const struct stack *stack)
{
	memories[slot].stack[memories[slot].oldest++ % STACKS] = *stack;
}

__rte_noinline unsigned int
mag_stack_take(void *addresses[MAG_STACK_MAX])
{
	struct walk walk = {.inside = true, .is_kept = true};
	const struct stack *stack = NULL;
	uint32_t slot = mag_thread_slot();

	/* The return address is behind the frame. */
	if (likely(slot != MAG_SLOT_SHARED))
		stack = find(slot, (void *const *)MAG_FRAME() + 1);
	if (unlikely(stack == NULL)) {
		stack = &walk.stack;
		_Unwind_Backtrace(step, &walk);
		if (slot != MAG_SLOT_SHARED && walk.is_kept)
			keep(slot, stack);
	}
	memcpy(addresses, stack->address, stack->depth * sizeof(addresses[0]));
	return stack->depth;
}
