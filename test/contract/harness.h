/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef CONTRACT_HARNESS_H
#define CONTRACT_HARNESS_H

#include <errno.h>
#include <stdio.h>
#include <sys/types.h>
#include <unistd.h>

#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_mempool.h>

#include "../check.h"
#include "../common/start.h"
#include "../common/task.h"

/**
 * @file
 * What every contract program shares: EAL started in the memory mode that the command line asks
 * for, the mempool ops under test, and a limit to the time that anything may take.
 *
 * Environment:
 * - MAGAZINE_PLUGIN: driver to load. May be empty or unset when MAGAZINE_TEST_OPS is set.
 * - MAGAZINE_TEST_OPS: ops name to test instead of "magazine", to see how another handler fares.
 * - MAGAZINE_FILE_PREFIX: base of the EAL file prefix.
 * - MAGAZINE_HUGE: "0" when no hugepages are reserved.
 * - MAGAZINE_FULL: "1" for the longer variants.
 */

/** The handler that a refusal is compared with. */
#define REFERENCE_OPS "ring_mp_mc"

/** Runs all tests of a program, each isolated by its own pools. Returned to the system by main. */
#define HARNESS_RUN(argc, argv, nb_lcores)                                                         \
	harness_run(argc, argv, nb_lcores, tests_here.test, tests_here.count)

/** The same; in a copy, which has @p variable in its environment, @p child does all. */
#define HARNESS_RUN_OR_CHILD(argc, argv, nb_lcores, variable, child)                               \
	(getenv(variable) != NULL ? child(argc, argv, getenv(variable)) :                          \
				    HARNESS_RUN(argc, argv, nb_lcores))

/**
 * Start EAL with @p nb_lcores lcores and the arguments of the command line, run @p tests, stop EAL.
 * If EAL refuses these arguments without the plugin too, one skipped test says so.
 *
 * @return
 *   Exit status of the program.
 */
int harness_run(int argc, char **argv, unsigned int nb_lcores, const struct CMUnitTest *tests,
		size_t nb_tests);

/**
 * Start EAL as harness_run() does, for a program that does something else than run tests.
 *
 * @return
 *   0, or negative when EAL did not start.
 */
int harness_start_eal(int argc, char **argv, unsigned int nb_lcores);

/** The same in a copy, as a secondary process of the one that started it. */
int harness_start_secondary(int argc, char **argv, unsigned int nb_lcores);

/** Exit status of a copy in which EAL did not start. */
#define HARNESS_REFUSED 42
/** Exit status of a copy that could not have our number. */
#define HARNESS_NO_NAMESPACE 43

/**
 * Start a copy of this program, with its arguments and then @p extra up to NULL (or none: NULL); in
 * its environment @p variable is @p value.
 */
pid_t harness_copy(const char *variable, const char *value, const char *const *extra);

/**
 * A copy whose process and thread numbers are those of this process, in a namespace of its own, as
 * in containers.
 */
pid_t harness_copy_with_our_number(const char *variable, const char *value);

/** In a copy, in a function that returns int: what holds, or it returns 1 and says which line. */
#define HOLDS(what)                                                                                \
	do {                                                                                       \
		if (!(what)) {                                                                     \
			fprintf(stderr, "process %d, line %d: not " #what "\n", getpid(),          \
				__LINE__);                                                         \
			return 1;                                                                  \
		}                                                                                  \
	} while (0)

/** Has a copy not ended yet? */
bool harness_copy_runs(pid_t pid);

/**
 * Wait for a copy's end. Skips the test if it ended by HARNESS_REFUSED or HARNESS_NO_NAMESPACE,
 * else returns its status as waitpid() has it.
 */
int harness_copy_status(pid_t pid);

/** Name of the mempool ops under test. */
const char *harness_ops(void);

/** Does the command line have this EAL argument? */
bool harness_has_arg(const char *arg);

/** Skip the test, saying why. */
#define SKIP_TEST(...)                                                                             \
	do {                                                                                       \
		say("skip: " __VA_ARGS__);                                                         \
		skip();                                                                            \
	} while (0)

/** Skip the test unless the ops under test are our own. */
void harness_need_ours(const char *promise);

#endif /* CONTRACT_HARNESS_H */
