/* SPDX-License-Identifier: BSD-3-Clause */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include <rte_launch.h>
#include <rte_lcore.h>

#include "../check.h"
#include "start.h"
#include "task.h"

static void
task_body(struct task *task)
{
	while (!atomic_load_explicit(&task->ready, memory_order_acquire))
		sched_yield();
	if (task->registered && rte_thread_register() != 0)
		abort();
	task->run(task->arg);
	if (task->registered)
		rte_thread_unregister();
	atomic_store_explicit(&task->done, true, memory_order_release);
}

static void *
thread_main(void *arg)
{
	cpu_any();
	task_body(arg);
	return NULL;
}

static int
lcore_main(void *arg)
{
	task_body(arg);
	return 0;
}

static void
thread_start(struct task *task)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, thread_main, task), 0);
	task->thread = thread;
	atomic_store_explicit(&task->ready, true, memory_order_release);
}

void
task_thread(struct task *task, void (*run)(void *arg), void *arg)
{
	*task = (struct task){.run = run, .arg = arg, .lcore = LCORE_ID_ANY};
	thread_start(task);
}

void
task_registered(struct task *task, void (*run)(void *arg), void *arg)
{
	*task = (struct task){.run = run, .arg = arg, .lcore = LCORE_ID_ANY, .registered = true};
	thread_start(task);
}

void
task_lcore(struct task *task, unsigned int lcore, void (*run)(void *arg), void *arg)
{
	*task = (struct task){.run = run, .arg = arg, .lcore = lcore};
	assert_int_equal(rte_eal_remote_launch(lcore_main, task, lcore), 0);
	atomic_store_explicit(&task->ready, true, memory_order_release);
}

void
task_join(struct task *task)
{
	while (!atomic_load_explicit(&task->done, memory_order_acquire))
		usleep(50);
	if (task->lcore == LCORE_ID_ANY)
		pthread_join(task->thread, NULL);
	else
		rte_eal_wait_lcore(task->lcore);
}

void
run_on_thread(void (*run)(void *arg), void *arg)
{
	struct task task;

	task_thread(&task, run, arg);
	task_join(&task);
}

void
run_on_registered(void (*run)(void *arg), void *arg)
{
	struct task task;

	task_registered(&task, run, arg);
	task_join(&task);
}

void
run_on_lcore(unsigned int lcore, void (*run)(void *arg), void *arg)
{
	struct task task;

	if (lcore == rte_lcore_id()) {
		run(arg);
		return;
	}
	task_lcore(&task, lcore, run, arg);
	task_join(&task);
}

void
run_on_workers(void (*run)(void *arg), void *arg)
{
	static struct task tasks[RTE_MAX_LCORE];
	unsigned int lcore;

	RTE_LCORE_FOREACH_WORKER(lcore)
		task_lcore(&tasks[lcore], lcore, run, arg);
	RTE_LCORE_FOREACH_WORKER(lcore)
		task_join(&tasks[lcore]);
}
