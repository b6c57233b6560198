/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_START_H
#define BENCH_START_H

/*
 * EAL of a program that counts or records instructions: the driver is loaded, there are no
 * hugepages and no devices, and nothing is left behind.
 */

/**
 * Once, at the start.
 *
 * @param name
 *   Of the program, for EAL and its file prefix.
 * @param plugin
 *   File of the driver; NULL: that of the same build.
 * @param memory
 *   MB.
 * @param lcores
 *   As for EAL's --lcores.
 * @return
 *   Folder of the program, or NULL, after a line that says why EAL does not start.
 */
const char *start_eal(const char *name, const char *plugin, const char *memory, const char *lcores);

#endif /* BENCH_START_H */
