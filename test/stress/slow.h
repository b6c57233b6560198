/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef STRESS_SLOW_H
#define STRESS_SLOW_H

/*
 * Slow motion: some functions of the library, called with no slot held, take their time now and
 * then, so that visits happen where there is hardly ever time for one. The program's own
 * definitions of these functions come before the shared library's, and call them.
 */

#include <stdbool.h>
#include <stdint.h>

/** From now on, or no more. */
void slow_motion(bool on);

/** From now on, once in so many times there is no magazine to be had; 0 = no more. */
void slow_no_magazine(uint32_t once_in);
/** How often that was so. */
uint64_t slow_no_magazines(void);

#endif /* STRESS_SLOW_H */
