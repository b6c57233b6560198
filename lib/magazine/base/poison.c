/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "base/poison.h"
#include "mag_compiler.h"

#define POISON_ENV "MAGAZINE_POISON"

/* The runtime's, if it is in the process. */
void __asan_poison_memory_region(void const volatile *address, size_t bytes) MAG_WEAK;
void __asan_unpoison_memory_region(void const volatile *address, size_t bytes) MAG_WEAK;

bool
mag_poison_wanted(void)
{
	const char *value;

	if (__asan_poison_memory_region == NULL || __asan_unpoison_memory_region == NULL)
		return false;
	value = getenv(POISON_ENV);
	return value == NULL || strcmp(value, "0") != 0;
}

void
mag_poison(const void *address, size_t bytes)
{
	if (mag_poison_wanted())
		__asan_poison_memory_region(address, bytes);
}

void
mag_unpoison(const void *address, size_t bytes)
{
	if (mag_poison_wanted())
		__asan_unpoison_memory_region(address, bytes);
}
