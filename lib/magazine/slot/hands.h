/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_HANDS_H
#define MAG_HANDS_H

/*
 * What threads have in their hands: magazines that no slot and no list names, segments between
 * region and slab layer, objects that are counted as in transit. Whoever recovers what dead threads
 * had (recover.h) looks at a cache while nobody who lives has anything in hand: what is nowhere
 * then was a dead one's.
 *
 * A thread says so before it takes something, unless it is inside its slot, the resize perimeter or
 * a lock of a home (visit, shared, working set), which recovery has itself. Each thread with a slot
 * has a word, odd while it has something, which changes each time: two equal looks at all words,
 * none of them odd, tell that nobody had anything in between. Threads without a slot are counted by
 * process. Begin and end may be nested.
 *
 * A thread that ends in between, as in a callback that calls pthread_exit(3) or is cancelled, has
 * nothing any more. What it had is put in order like that of a dead process, in its own one.
 */

#include <stdbool.h>
#include <stdint.h>

void mag_hands_begin(void);
void mag_hands_end(void);
/** This thread ends, whatever it has. */
void mag_hands_thread_ends(void);
/** Has any thread of this process ended with something in hand since this was last asked? */
bool mag_hands_were_left(void);
/** In a forked child: its only thread has nothing. */
void mag_hands_forked(void);
/**
 * A sum that changes whenever a living thread begins or ends; false: one has something in hand.
 * What is read after it is not older, and what was read before is older.
 */
bool mag_hands_are_empty(uint64_t *sum);

#endif /* MAG_HANDS_H */
