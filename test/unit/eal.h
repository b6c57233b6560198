/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef UNIT_EAL_H
#define UNIT_EAL_H

/*
 * What the unit tests share: cmocka, a small EAL without hugepages, bounded waits, refusals; and of
 * ../common, threads and lcores to run things on, and the log as text.
 */

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include <rte_errno.h>
#include <rte_lcore.h>

#include "../check.h"
#include "../common/log.h"
#include "../common/start.h"
#include "../common/task.h"

/** Longest wait for something that must happen; it does long before. */
#define WAIT_SECONDS 40

/** Start EAL with this many lcores, and more arguments up to NULL. Exits when it cannot. */
void eal_start(unsigned int lcores, ...) __attribute__((sentinel));

/** A program that runs the tests of its file, with so many lcores. */
#define TEST_PROGRAM(lcores)                                                                       \
	int main(void)                                                                             \
	{                                                                                          \
		eal_start(lcores, NULL);                                                           \
		return tests_run(NULL, NULL);                                                      \
	}

/** Wait until the condition holds; fails the test after WAIT_SECONDS. */
#define wait_until(condition)                                                                      \
	do {                                                                                       \
		uint64_t wait_end_ = wait_deadline();                                              \
		while (!(condition))                                                               \
			if (wait_is_over(wait_end_))                                               \
				fail_msg("waited in vain for: %s", #condition);                    \
	} while (0)

uint64_t wait_deadline(void);
bool wait_is_over(uint64_t deadline);
/** Give everybody else this long; for what must not happen meanwhile. */
void let_pass(unsigned int ms);

#define assert_logged(text, part) assert_non_null(strstr(text, part))
/** One line is logged meanwhile, and has this part. */
#define assert_says(part, ...)                                                                     \
	do {                                                                                       \
		log_begin();                                                                       \
		__VA_ARGS__;                                                                       \
		log_end_with(part);                                                                \
	} while (0)
void log_end_with(const char *part);

/**
 * The call returns this error, says why in one line with this part, and leaves EAL's heap as it
 * was.
 */
#define assert_refused(call, error, part)                                                          \
	do {                                                                                       \
		refusal_begin();                                                                   \
		refusal_end(#call, call, error, part);                                             \
	} while (0)
/** The same for a call that returns NULL, and has the error in rte_errno. */
#define assert_refused_null(call, error, part)                                                     \
	assert_refused((call) == NULL ? -rte_errno : 0, error, part)
void refusal_begin(void);
void refusal_end(const char *call, int ret, int error, const char *part);

#endif /* UNIT_EAL_H */
