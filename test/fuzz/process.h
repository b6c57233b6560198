/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FUZZ_PROCESS_H
#define FUZZ_PROCESS_H

/*
 * What the fuzz target needs of the process: EAL, log lines, slots of several lcores in one
 * thread, a signal that comes again and again.
 */

#include <stdbool.h>
#include <stdint.h>

/** Slots that process_act_as() knows; the last is that of threads without an lcore id. */
#define PROCESS_SLOTS 3

/** Start EAL, and turn off what works by itself: each input shall do the same each time. */
void process_start(void);

/**
 * From here on this thread works as the owner of another slot. Those slots have owners of their
 * own, which do nothing: so what several lcores do is repeated exactly.
 */
void process_act_as(unsigned int slot);

/** Lines of the library's log since the last call. */
unsigned int process_log_lines(void);
/** The last of them. */
const char *process_log_line(void);

/** Signals come to this thread every 200 microseconds, and are handled, or no longer. */
void process_signals(bool on);

#endif /* FUZZ_PROCESS_H */
