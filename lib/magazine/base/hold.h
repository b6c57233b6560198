/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_HOLD_H
#define MAG_HOLD_H

/*
 * EAL's memory, held where it is.
 *
 * rte_eal_cleanup() takes the write side of EAL's memory lock before it takes memory away. The
 * control thread holds the read side while it works on memory that others map, too.
 *
 * That lock is one of all processes, counts its readers and does not know them: a process that is
 * killed as a reader would stop every process that wants memory, for ever. So a process notes that
 * it is a reader, in a word of its own of a file that all map (EAL takes no file away), and whoever
 * finds the word of a dead process clears it and is no reader any more in its place.
 *
 * The note is made after the lock is taken, and erased before it is given back: a process that is
 * killed in these few instructions is a reader for ever. The other way round a lock that nobody
 * holds could be given back.
 *
 * Who waits for the lock gives back nobody's. So only one of these processes waits for it or has
 * it: others may have it stopped, and killed when a writer waits, and then all would wait. Each
 * says first, in its word, that it wants the lock, and lets it be where another one does so too.
 *
 * In a debugger: `words` in hold.c, by place in the table of processes (peer.c).
 */

#include <stdbool.h>

/**
 * No memory comes or goes until mag_hold_end(). By the control thread; may wait.
 *
 * @return
 *   False: another process holds it, or wants to: try again in some ms.
 */
bool mag_hold_begin(void);
void mag_hold_end(void);
/** Give back what dead processes hold. At any time, also when EAL ends. */
void mag_hold_mend(void);

#endif /* MAG_HOLD_H */
