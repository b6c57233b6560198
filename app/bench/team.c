/* SPDX-License-Identifier: BSD-3-Clause */

#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_pause.h>

#include "team.h"

struct part {
	void (*run)(unsigned int member, void *arg);
	void *arg;
	sem_t ended;
};

int
team_init(struct team *team, unsigned int members)
{
	team->members = members;
	team->overcommitted = members > team_cpus();
	atomic_init(&team->line, 0);
	return -pthread_barrier_init(&team->gate, NULL, members);
}

static unsigned int
list_cpus(unsigned int cpus[CPU_SETSIZE])
{
	unsigned int cpu, count = 0;
	cpu_set_t set;

	CPU_ZERO(&set);
	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		CPU_SET(0, &set);
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &set))
			cpus[count++] = cpu;
	return count;
}

unsigned int
team_cpus(void)
{
	unsigned int cpus[CPU_SETSIZE];

	return list_cpus(cpus);
}

static int
run_part(void *arg)
{
	struct part *part = arg;

	part->run(rte_lcore_id() - 1, part->arg);
	sem_post(&part->ended);
	return 0;
}

int
team_run(struct team *team, void (*run)(unsigned int member, void *arg), void *arg)
{
	struct part part = {.run = run, .arg = arg};
	unsigned int i;

	sem_init(&part.ended, 0, 0);
	for (i = 1; i <= team->members; i++)
		if (rte_eal_remote_launch(run_part, &part, i) != 0)
			return -1;
	for (i = 0; i < team->members; i++)
		while (sem_wait(&part.ended) != 0)
			;
	rte_eal_mp_wait_lcore();
	sem_destroy(&part.ended);
	return 0;
}

void
team_meet(struct team *team)
{
	pthread_barrier_wait(&team->gate);
}

void
team_start(struct team *team)
{
	unsigned int goal;

	pthread_barrier_wait(&team->gate);
	if (team->overcommitted || team->members == 1)
		return;
	/* Nobody counts beyond the goal before everybody has passed the gate again. */
	goal = atomic_fetch_add_explicit(&team->line, 1, memory_order_acq_rel) / team->members;
	while (atomic_load_explicit(&team->line, memory_order_acquire) < (goal + 1) * team->members)
		rte_pause();
}

pthread_t
team_thread(unsigned int cpu, void *(*run)(void *arg), void *arg)
{
	unsigned int cpus[CPU_SETSIZE], count = list_cpus(cpus);
	pthread_attr_t attr;
	pthread_t thread;
	cpu_set_t set;
	int ret;

	CPU_ZERO(&set);
	CPU_SET(cpus[cpu % count], &set);
	pthread_attr_init(&attr);
	pthread_attr_setaffinity_np(&attr, sizeof(set), &set);
	ret = pthread_create(&thread, &attr, run, arg);
	pthread_attr_destroy(&attr);
	if (ret == 0)
		return thread;
	fprintf(stderr, "bench: cannot start a thread on CPU %u: %s\n", cpus[cpu % count],
		strerror(ret));
	exit(EXIT_FAILURE);
}

void
team_lcores(unsigned int members, char *text, size_t size)
{
	unsigned int i, cpus[CPU_SETSIZE], count = list_cpus(cpus);
	size_t at;

	at = (size_t)snprintf(text, size, "0@%u", cpus[0]);
	for (i = 1; i <= members && at < size; i++)
		at += (size_t)snprintf(text + at, size - at, ",%u@%u", i, cpus[(i - 1) % count]);
}
