/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_HEIR_H
#define MAG_HEIR_H

/*
 * Pools of a process that has died, the primary process among them, become another one's: of
 * whichever looks first. From then on that one updates and reaps them, and sees to what is left of
 * dead processes in them.
 *
 * The control thread looks (maint.c). A process that only uses pools of others has one from the
 * first slow path of a thread on: rte_mempool_lookup() tells nobody, so this is the first moment.
 */

#include <stdbool.h>
#include <stdint.h>

/** Take over what there is, if it is time to look again. */
void mag_heir_look(void);
/** ms until it is; UINT64_MAX: not always, and no pool was another process's at the last look. */
uint64_t mag_heir_wait(bool always);

#endif /* MAG_HEIR_H */
