/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_FORK_H
#define MAG_FORK_H

/*
 * What a fork() leaves in the child: the memory that processes share, a copy of all else, and one
 * thread.
 *
 * The child is like a secondary process: an identity of its own, no slots (its threads use the
 * shared one), no maintenance of the caches that it has inherited. For caches that it makes itself
 * it has a control thread like any other process.
 *
 * When the process that the caches are of is dead, as with a daemon whose parent exits, the child
 * takes over: the caches become its own, its threads claim slots, and maintenance begins. It looks
 * for that on the slow path, at most every 10 ms. Of several children one does: who first puts its
 * identity into the oldest cache.
 *
 * Memory that only one process has mapped, ordinary pages of an elastic region, is copied by fork()
 * and not shared: caches on it stay the parent's.
 */

#include <stdbool.h>

/**
 * A child: has it taken over, now or before? Slow path: a TSC read where there is nothing to look
 * for.
 */
bool mag_fork_is_heir(void);

#endif /* MAG_FORK_H */
