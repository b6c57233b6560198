/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

/* What DPDK logs while a test listens. */

#include <stdbool.h>

/** From here to log_end(), log lines are kept instead of printed. */
void log_begin(void);
/** What was logged since log_begin(); valid until the next log_begin(). */
const char *log_end(void);
/** The same, after log_end(). */
const char *log_text(void);
/** Number of lines. */
unsigned int log_lines(void);
/** Was this logged? Upper and lower case count as the same. */
bool log_has(const char *part);
/** Is it logged within some seconds, while lines still come? */
bool log_wait(const char *part);

unsigned int count_lines(const char *text);

#endif /* COMMON_LOG_H */
