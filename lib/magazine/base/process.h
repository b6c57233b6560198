/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_PROCESS_H
#define MAG_PROCESS_H

/*
 * Which process this is, for words in shared memory that say who made or holds something.
 *
 * A pid does not tell: primary and secondary may each be number 1 of a container. So a process
 * draws a number at random when it loads the library. The pid is for people, who read it in a log
 * line.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/** This process, among all that share memory: never 0. */
extern uint32_t mag_process_id;
/** Its pid, as it sees it itself: for log lines, no identity. */
extern pid_t mag_process_pid;

/** An id of the nth thing that this process makes, unlike those of all other processes. */
static inline uint64_t
mag_process_unique(uint32_t nth)
{
	return (uint64_t)mag_process_id << 32 | nth;
}

/**
 * Draw another id. For the child of a fork(), which starts as a copy of its parent, before it uses
 * anything of this library. Makes system calls only.
 */
void mag_process_renew(void);

/** This thread, among those of all processes: never 0. The lower half is the kernel's thread id. */
uint64_t mag_process_thread(void);

/**
 * When a process of this pid namespace began, in clock ticks since the machine did; 0: it is dead,
 * or cannot be looked at. A pid and this are one process for ever.
 */
uint64_t mag_process_start(pid_t pid);

/** What can be told of a process. */
enum mag_process_fate {
	MAG_PROCESS_RUNS,
	MAG_PROCESS_ENDED,  /**< also: its parent has not yet asked for its status */
	MAG_PROCESS_HIDDEN, /**< there is one with its pid, and /proc does not show it */
};

/** Of the process of this pid namespace that had the pid, and began then; 0: not known when. */
enum mag_process_fate mag_process_fate(pid_t pid, uint64_t start);

/** Whether this process, a forked child, has taken over its parent's caches; set once, at load. */
void mag_process_on_fork(bool (*is_heir)(void));
/** This process is a forked child that has not. */
extern _Atomic bool mag_process_is_child;
/** Such a child looks whether it is time to. */
void mag_process_look_for_parent(void);
/** Is this a secondary process of DPDK's, or a forked child that has not taken over? */
bool mag_process_is_secondary(void);

#endif /* MAG_PROCESS_H */
