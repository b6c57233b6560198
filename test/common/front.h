/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef COMMON_FRONT_H
#define COMMON_FRONT_H

/*
 * Functions of a program that stand in front of those of the same name in the library: to look at
 * what it does, to let it fail, or to do something at a moment of the test's choice.
 */

#include <dlfcn.h>
#include <stdint.h>

/** The library's function of this name. */
#define LIBRARYS(function)                                                                         \
	({                                                                                         \
		static void *_Atomic own_;                                                         \
		if (own_ == NULL)                                                                  \
			own_ = dlsym(RTLD_NEXT, #function);                                        \
		(__typeof__(&function))(uintptr_t)own_;                                            \
	})

#endif /* COMMON_FRONT_H */
