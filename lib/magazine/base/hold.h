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
 * The word is set after the lock is taken, and cleared before it is given back: a process that is
 * killed in these few instructions is a reader for ever. The other way round a lock that nobody
 * holds could be given back.
 *
 * Who waits for the lock clears no words. So nobody waits beside a living reader, at least not
 * soon: that one may be killed, and a writer come, so that all wait.
 *
 * In a debugger: `words` in hold.c, by place in the table of processes (peer.c).
 */

/** No memory comes or goes until mag_hold_end(). By the control thread; may wait. */
void mag_hold_begin(void);
void mag_hold_end(void);
/** Give back what dead processes hold. At any time, also when EAL ends. */
void mag_hold_mend(void);

#endif /* MAG_HOLD_H */
