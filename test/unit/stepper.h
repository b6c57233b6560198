/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef UNIT_STEPPER_H
#define UNIT_STEPPER_H

/*
 * A thread that goes through the library one instruction after the other: the processor's
 * single-step flag brings it to a signal handler after each. A place is the distance of an
 * instruction from the library's begin in memory, so that addr2line knows it.
 */

#include "base/atomic128.h"

#if defined(__x86_64__) && !defined(MAG_TSAN) && !defined(__SANITIZE_ADDRESS__)
#define STEPPER_WORKS 1
#else
#define STEPPER_WORKS 0
#endif

/** No place of the library is that far from its begin. */
#define STEPPER_PLACES (1u << 20)

/** A place that was passed outside of the library: in what it calls. */
#define STEPPER_OUTSIDE 0

/**
 * Call at(place) on this thread, in a signal handler, before each instruction from here to
 * stepper_end(). Only one thread at a time steps.
 */
void stepper_begin(void (*at)(uintptr_t place));
void stepper_end(void);

/** Skip the test where nothing steps. */
void skip_without_steps(void);

/** Place of a function of the library. */
uintptr_t stepper_place(const char *function);

/** Name of the function that a place is in, inlined ones not told apart; "?" without nm. */
const char *stepper_function(uintptr_t place);

/** "function at file:line" of a place, as far as that can be found out. */
void stepper_describe(uintptr_t place, char *text, size_t size);

#endif /* UNIT_STEPPER_H */
