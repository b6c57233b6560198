/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_TEAM_H
#define BENCH_TEAM_H

/*
 * Worker lcores in step. Between steps they sleep, so that whoever is last has a CPU; where every
 * lcore has one of its own they then start off a common line.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#define TEAM_MAX 16

struct team {
	unsigned int members;
	bool overcommitted; /* more members than CPUs */
	pthread_barrier_t gate;
	_Atomic unsigned int line;
};

/** Members are worker lcores 1 to members, on the CPUs that this process may use. */
int team_init(struct team *team, unsigned int members);
/** CPUs that this process may use. */
unsigned int team_cpus(void);
/** Run a function on all members; the calling thread sleeps meanwhile. */
int team_run(struct team *team, void (*run)(unsigned int member, void *arg), void *arg);
/** Wait until all members are here. */
void team_meet(struct team *team);
/** The same, and leave together. */
void team_start(struct team *team);

/**
 * Start a thread on one of the CPUs that this process may use; ends the program if there is none.
 */
pthread_t team_thread(unsigned int cpu, void *(*run)(void *arg), void *arg);

/** What EAL's --lcores has to say: main and the members. */
void team_lcores(unsigned int members, char *text, size_t size);

#endif /* BENCH_TEAM_H */
