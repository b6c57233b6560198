/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_POISON_H
#define MAG_POISON_H

/*
 * Memory that AddressSanitizer lets nobody touch (specification, Memory tagging). Its runtime is in
 * the process when the program was built with it; the library need not be. Environment variable
 * MAGAZINE_POISON=0: not.
 */

#include <stdbool.h>
#include <stddef.h>

/** Bytes between the objects of an elastic region, which nobody may touch. */
#define MAG_POISON_GAP 16u

/** Is there an AddressSanitizer, and is it wanted? */
bool mag_poison_wanted(void);
/** Reading or writing these bytes is an error from now on; no effect where it is not wanted. */
void mag_poison(const void *address, size_t bytes);
void mag_unpoison(const void *address, size_t bytes);

#endif /* MAG_POISON_H */
