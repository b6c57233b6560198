/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TEST_CMOCKA_ANY_H
#define TEST_CMOCKA_ANY_H

/* cmocka, 1.1 to 2.0, under the names of 1.1. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* 2.0 has a macro of this name, for mocked functions; tests stop other things. */
#undef stop

/* 2.0 wants to be told the type. */
#ifdef assert_uint_in_range
#undef assert_in_range
#define assert_in_range assert_uint_in_range
#endif

#endif /* TEST_CMOCKA_ANY_H */
