/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef OPTIONS_H
#define OPTIONS_H

/**
 * @file
 * The command line after EAL's.
 */

#include <stdbool.h>
#include <stdint.h>

struct options {
	uint32_t idle_ms;        /**< a flow ends when it had no packet for so long */
	uint32_t flows;          /**< at most */
	uint32_t rate;           /**< packets a second, about; 0 = as fast as they come */
	uint32_t report_ms;      /**< between two lines */
	bool until_idle;         /**< end when nothing comes and all flows have ended */
	const char *export_path; /**< a line for each flow; NULL = none */
};

/** What is possible, and the defaults; in the form of an rte_usage_hook_t. */
void options_usage(const char *program);

/**
 * Read the command line.
 *
 * @return
 *   0; 1: help was asked for, and printed; -1: an error, and printed.
 */
int options_read(struct options *options, int argc, char **argv);

#endif /* OPTIONS_H */
