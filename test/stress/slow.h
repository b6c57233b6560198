/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef STRESS_SLOW_H
#define STRESS_SLOW_H

/*
 * Slow motion: some functions of the library, called with no slot held, take their time now and
 * then, so that visits happen where there is hardly ever time for one. The program's own
 * definitions of these functions come before the shared library's, and call them.
 */

#include <stdbool.h>

/** From now on, or no more. */
void slow_motion(bool on);

#endif /* STRESS_SLOW_H */
