/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_MEMTAG_PUBLIC_H
#define MAG_MEMTAG_PUBLIC_H

/**
 * @file
 * What other headers need to know of memory tags. Not for users.
 */

#include <stdint.h>

#include "mag_compiler.h"

MAG_EXPORTED_BEGIN
#ifdef __cplusplus
extern "C" {
#endif

/**
 * An address without the tag that its pointer may have in the upper byte, on AArch64. Objects are
 * looked up by such addresses.
 */
static inline uintptr_t
mag_memtag_strip(uintptr_t address)
{
#if defined(__aarch64__)
	return address & (UINTPTR_MAX >> 8);
#else
	return address;
#endif
}

#ifdef __cplusplus
}
#endif
MAG_EXPORTED_END

#endif /* MAG_MEMTAG_PUBLIC_H */
