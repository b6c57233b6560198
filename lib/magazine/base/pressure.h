/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_PRESSURE_H
#define MAG_PRESSURE_H

/*
 * Is the system short of memory? The kernel's pressure stall information tells.
 */

#include <stdint.h>

/** Where the kernel tells it; tests have a file of their own. */
extern const char *mag_pressure_file;

/**
 * How much of the last ten seconds some task of the system waited for memory, in hundredths of a
 * percent; 0 as well where the kernel does not tell.
 */
uint32_t mag_pressure_read(void);
/** The same, read once a second at most. One thread at a time. */
uint32_t mag_pressure(void);

#endif /* MAG_PRESSURE_H */
