/* SPDX-License-Identifier: BSD-3-Clause */

#include <sched.h>
#include <semaphore.h>
#include <stdio.h>

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

unsigned int
team_cpus(void)
{
	cpu_set_t cpus;

	return sched_getaffinity(0, sizeof(cpus), &cpus) == 0 ? CPU_COUNT(&cpus) : 1;
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

void
team_lcores(unsigned int members, char *text, size_t size)
{
	unsigned int i, cpu = 0, cpus[CPU_SETSIZE], count = 0;
	cpu_set_t set;
	size_t at;

	CPU_ZERO(&set);
	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		CPU_SET(0, &set);
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &set))
			cpus[count++] = cpu;
	at = snprintf(text, size, "0@%u", cpus[0]);
	for (i = 1; i <= members && at < size; i++)
		at += snprintf(text + at, size - at, ",%u@%u", i, cpus[(i - 1) % count]);
}
