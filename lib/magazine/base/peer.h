/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_PEER_H
#define MAG_PEER_H

/*
 * The processes that use caches in the same shared memory, and which of them are dead.
 *
 * A process joins a table in shared memory before it first holds a lock or a slot there. The entry
 * has its identity (process.h) and what tells others whether it is alive:
 *
 * - in the same pid namespace its pid and when it began;
 * - in another one, as of a container, a lock on one byte of a file in EAL's runtime directory,
 *   which the kernel takes off when the process ends. In the same namespace that lock is not asked
 *   for: a process that closes all its descriptors would lose it.
 *
 * Where neither can be looked at a process counts as alive.
 *
 * States of an entry: free -> joining -> alive -> dead -> leaving -> free. A dead process has left
 * locks, slots and objects on their way in caches. Each process that made caches puts its own in
 * order (mag_peers_bury()), and whoever finds that all have done so frees the entry. Pools that the
 * dead process itself made are another one's before that (estate.h). Its library caches are on
 * nobody's list: with those its entry, and the numbers of its slots, stay taken, unless a forked
 * child takes them over (fork.h).
 *
 * There are places for 64 peers, and behind them for 192 guests: processes that own no slots and
 * put no caches in order, but whose locks are broken when they die, and for whose hands recovery
 * waits. A process keeps its place.
 *
 * In a debugger: `table` in peer.c; an entry's state, id and pid.
 */

#include <stdbool.h>
#include <stdint.h>

/** Processes that there can be at once; others use no slots of their own. */
#define MAG_PEERS 64u
/** Places of the table: those behind the peers' are of guests. */
#define MAG_PEER_PLACES 256u

/**
 * Join, if this process has not yet. At most once a process, or forked child, this opens files.
 *
 * @return
 *   False: no memory, or it is a guest, or another thread is just at it.
 */
bool mag_peer_join(void);
/** This process has made, or destroyed, so many caches. */
void mag_peer_count_caches(int change);
/** The caches of that process are this one's. */
void mag_peer_inherit(uint32_t id);
/** This process has so many pools that others may take over (estate.h). */
void mag_peer_set_pools(uint32_t pools);
/** Do other processes have such pools? */
enum mag_peers_pools {
	MAG_PEERS_NO_POOLS,
	MAG_PEERS_POOLS,
	MAG_PEERS_POOLS_OF_DEAD,
};
/** At any time, also when EAL ends. Reads files of each that has some. */
enum mag_peers_pools mag_peers_pools(void);
/**
 * This process has taken pools over: it puts them in order for each dead one, though it may have
 * done so before for its others. pools_of tells how many are whose now.
 */
void mag_peers_inherited(uint32_t (*pools_of)(uint32_t id));
/** Is the process with this identity known to be dead? Reads files: for those who wait anyway. */
bool mag_peer_is_dead(uint32_t id);

/** Where this process is in the table, and a number of this table alone; false: nowhere. */
bool mag_peer_place(unsigned int *place, uint32_t *table_id);
/** Is the process that had this place dead? At any time, also when EAL ends. Reads files. */
bool mag_peer_has_left(unsigned int place, uint32_t id);
/** A file of all these processes, in EAL's runtime directory, which is never closed; -1: none. */
int mag_peer_file(void);

/** A thread of this process that owns no slot begins something, or ends it (hands.h). */
void mag_peer_count_hands(bool begin);
/**
 * How often such threads began something is added to `begun`; false: a living one has not ended it,
 * or cannot be known to have.
 */
bool mag_peers_hands(uint64_t *begun);

/** Is the table there, and still mapped? EAL takes it away when it ends. */
bool mag_peers_are_mapped(void);
/** Is the pid of that process one of this pid namespace, so that /proc here tells of it? */
bool mag_peer_is_visible(uint32_t id);
/**
 * For each dead process, until it returns true: put what it has left in this process's caches in
 * order. When all processes with caches have done so, release its slots.
 */
void mag_peers_bury(bool (*recover)(uint32_t id), void (*release)(uint32_t id));

#endif /* MAG_PEER_H */
