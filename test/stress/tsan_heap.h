/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef STRESS_TSAN_HEAP_H
#define STRESS_TSAN_HEAP_H

/*
 * EAL's heap in sight of ThreadSanitizer: who makes or frees mempools while others allocate from
 * the heap says so, after the one and before the other. Does nothing in other builds.
 */

void heap_pass(void);

#endif /* STRESS_TSAN_HEAP_H */
