/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_PARAMS_H
#define MAG_PARAMS_H

/*
 * Structs of the public headers that may grow: each begins with its size, as the caller's headers
 * have it.
 */

#include <stddef.h>

/**
 * Read parameters of a caller whose struct may be older, and smaller, or newer, and larger, than
 * ours.
 *
 * @param own
 *   Our struct, with the default of each field: it stays where the caller's struct lacks the field.
 * @param size
 *   Bytes of our struct.
 * @param theirs
 *   The caller's struct.
 * @param what
 *   What the parameters are for, and @p init, the name of their initialiser, as a log line shall
 *   have them.
 * @return
 *   0; -EINVAL after one log line: no size, or a field that is not known here is not 0.
 */
int mag_params_read(void *own, size_t size, const void *theirs, const char *what, const char *init);

/** Give a caller its statistics: what its struct has room for, and 0 for what is not known here. */
void mag_stats_give(void *theirs, size_t their_size, const void *own, size_t size);

#endif /* MAG_PARAMS_H */
