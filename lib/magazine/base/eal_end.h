/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_EAL_END_H
#define MAG_EAL_END_H

/*
 * The end of EAL.
 *
 * rte_eal_cleanup() tells nobody that it ends. It closes the socket of EAL's processes well before
 * it takes memory away: where EAL has one, a file that is gone tells that the end has begun. No
 * socket (--no-shconf, --in-memory): nothing tells.
 *
 * All of it is for one thread, the control thread.
 */

#include <stdbool.h>

/** Find EAL's socket, once EAL is initialised. */
void mag_eal_end_watch(void);

/**
 * EAL has begun to end. A file that is gone for longer than an end takes was removed by somebody
 * else, and tells nothing from then on.
 */
bool mag_eal_end_has_begun(void);

#endif /* MAG_EAL_END_H */
