/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TEST_CHECK_H
#define TEST_CHECK_H

/*
 * cmocka, 1.1 to 2.0, under the names of 1.1; and tests that put themselves on the list of their
 * program:
 *
 *	SETUP(setup)
 *	{
 *		...
 *	}
 *
 *	TEST(test_what_it_shows, setup, teardown)
 *	{
 *		...
 *	}
 *
 * Setup and teardown may be left out. Tests run in the order of the file; with MAGAZINE_TEST=TEXT
 * in the environment those alone whose names have the text.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* 2.0 has a macro of this name, for mocked functions; tests stop other things. */
#undef stop

/* 2.0 wants to be told the type. */
#ifdef assert_uint_in_range
#undef assert_in_range
#define assert_in_range assert_uint_in_range
#endif

#define TESTS_MAX 128

struct tests {
	struct CMUnitTest test[TESTS_MAX];
	int line[TESTS_MAX];
	unsigned int count;
};

/** Those of this file. */
static struct tests tests_here;

/** Put a test where its line belongs: constructors run in any order. */
__attribute__((noinline, unused)) static void
tests_add(const struct CMUnitTest *test, int line)
{
	const char *wanted = getenv("MAGAZINE_TEST");
	unsigned int i = tests_here.count;

	if (wanted != NULL && strstr(test->name, wanted) == NULL)
		return;
	if (i >= TESTS_MAX)
		abort();
	tests_here.count++;
	for (; i > 0 && tests_here.line[i - 1] > line; i--) {
		tests_here.test[i] = tests_here.test[i - 1];
		tests_here.line[i] = tests_here.line[i - 1];
	}
	tests_here.test[i] = *test;
	tests_here.line[i] = line;
}

#define TEST(name, ...) TEST_AS(name, name, ##__VA_ARGS__)

/** A function's test once more, under another name, or with another setup. */
#define TEST_AS(as, function, ...)                                                                 \
	static void function(void **state);                                                        \
	__attribute__((constructor)) static void add_##as(void)                                    \
	{                                                                                          \
		tests_add(&(struct CMUnitTest){#as, function, ##__VA_ARGS__}, __LINE__);           \
	}                                                                                          \
	static void function(void **state __attribute__((unused)))

/** What goes before or after a test; it fails by assertions. */
#define SETUP(name)                                                                                \
	static void name##_body(void **state);                                                     \
	static int name(void **state)                                                              \
	{                                                                                          \
		name##_body(state);                                                                \
		return 0;                                                                          \
	}                                                                                          \
	static void name##_body(void **state __attribute__((unused)))
#define TEARDOWN(name) SETUP(name)

/**
 * Run the tests of this file, between a setup and a teardown of all or NULL: the number that
 * failed.
 */
static inline int
tests_run(int (*setup)(void **state), int (*teardown)(void **state))
{
	return _cmocka_run_group_tests("tests", tests_here.test, tests_here.count, setup, teardown);
}

#endif /* TEST_CHECK_H */
