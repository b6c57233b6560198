/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_STACK_H
#define MAG_STACK_H

/*
 * The stack of the calling thread. Unwinding takes some microseconds. Threads that poll come by
 * with the same stack again and again, so each has its last ones remembered, with the places in the
 * stack where the return addresses are: if all of these have the same addresses as before, it is
 * the same stack, and nothing is unwound.
 */

/** Return addresses that are taken at the most: of a transaction, and those of this library. */
#define MAG_STACK_MAX 18

/** Addresses, innermost first, that in the calling function included; how many. */
unsigned int mag_stack_take(void *stack[MAG_STACK_MAX]);

#endif /* MAG_STACK_H */
