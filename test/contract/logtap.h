/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef CONTRACT_LOGTAP_H
#define CONTRACT_LOGTAP_H

#include <stdbool.h>

/** @file What DPDK logs while a test listens. */

/** Send log lines to a buffer from here on. */
void logtap_open(void);

/** Log as before again. What was logged can be read until the next logtap_open(). */
void logtap_close(void);

/** Number of lines that were logged. */
unsigned int logtap_lines(void);

/** Was @p text logged? Upper and lower case count as the same. */
bool logtap_has(const char *text);

/** Is @p text logged within some seconds, while lines still come? */
bool logtap_wait(const char *text);

/** The whole text. */
const char *logtap_text(void);

#endif /* CONTRACT_LOGTAP_H */
