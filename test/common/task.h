/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef COMMON_TASK_H
#define COMMON_TASK_H

/* Something that runs elsewhere. All memory that it wrote is seen after task_join(). */

#include <stdatomic.h>
#include <stdbool.h>

struct task {
	void (*run)(void *arg);
	void *arg;
	unsigned int lcore;
	bool registered;
	unsigned long thread;
	_Atomic bool ready;
	_Atomic bool done;
};

/** A thread that is no lcore. */
void task_thread(struct task *task, void (*run)(void *arg), void *arg);
/** A thread that registers with EAL, and is an lcore while it runs. */
void task_registered(struct task *task, void (*run)(void *arg), void *arg);
/** An EAL worker lcore. */
void task_lcore(struct task *task, unsigned int lcore, void (*run)(void *arg), void *arg);
void task_join(struct task *task);

void run_on_thread(void (*run)(void *arg), void *arg);
void run_on_registered(void (*run)(void *arg), void *arg);
/** The calling lcore does it itself. */
void run_on_lcore(unsigned int lcore, void (*run)(void *arg), void *arg);
/** On all worker lcores at once. */
void run_on_workers(void (*run)(void *arg), void *arg);

#endif /* COMMON_TASK_H */
