/* SPDX-License-Identifier: BSD-3-Clause */
#include "sources/elastic_service.h"
#include "process.h"
#include "control/registry.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_per_lcore.h>

#include "../common/start.h"

#define SIGNAL_NS 200000

static char line[512];
static unsigned int lines;
static timer_t timer;

/* EAL's own lines, about parameters that are wild, are nobody's. */
static ssize_t
log_write(void *cookie, const char *text, size_t size)
{
	static const char ours[] = "magazine: ";
	size_t length = size < sizeof(line) - 1 ? size : sizeof(line) - 1;

	(void)cookie;
	if (size >= sizeof(ours) - 1 && memcmp(text, ours, sizeof(ours) - 1) == 0) {
		lines++;
		memcpy(line, text, length);
		line[length] = '\0';
	}
	return size;
}

static void
log_start(void)
{
	FILE *stream = fopencookie(NULL, "w", (cookie_io_functions_t){.write = log_write});

	if (stream == NULL)
		abort();
	setvbuf(stream, NULL, _IOLBF, BUFSIZ);
	rte_openlog_stream(stream);
}

unsigned int
process_log_lines(void)
{
	unsigned int n = lines;

	lines = 0;
	return n;
}

const char *
process_log_line(void)
{
	return line;
}

/* The owner of a slot, for as long as the process lives. */
static void *
owner_main(void *arg)
{
	_Atomic uint32_t *slot = arg;

	if (rte_thread_register() != 0)
		abort();
	mag_thread_claim();
	atomic_store(slot, mag_thread_slot());
	while (1)
		pause();
	return NULL;
}

static void
owners_start(void)
{
	_Atomic uint32_t slot = MAG_SLOT_SHARED;
	pthread_t thread;

	mag_thread_claim();
	/* This thread stands for several, one after the other, and one that owns none. */
	mag_thread_forbid_claim(true);
	if (mag_thread_slot() != 0 || pthread_create(&thread, NULL, owner_main, &slot) != 0)
		abort();
	while (atomic_load(&slot) == MAG_SLOT_SHARED)
		usleep(100);
	if (atomic_load(&slot) != 1)
		abort();
}

void
process_act_as(unsigned int slot)
{
	bool shared = slot == PROCESS_SLOTS - 1;

	RTE_PER_LCORE(_lcore_id) = shared ? LCORE_ID_ANY : slot;
	mag_lcore_offset = (shared ? MAG_SLOT_SHARED : slot) * sizeof(struct mag_slot);
}

static void
signal_handled(int number)
{
	(void)number;
}

static void
timer_start(void)
{
	struct sigaction action = {.sa_handler = signal_handled};
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN + 4};

	event._sigev_un._tid = syscall(SYS_gettid);
	if (sigaction(event.sigev_signo, &action, NULL) != 0 ||
	    timer_create(CLOCK_MONOTONIC, &event, &timer) != 0)
		abort();
}

void
process_signals(bool on)
{
	struct itimerspec when = {0};

	when.it_value.tv_nsec = when.it_interval.tv_nsec = on ? SIGNAL_NS : 0;
	timer_settime(timer, 0, &when, NULL);
}

void
process_start(void)
{
	static const char *const quiet[] = {"--no-telemetry", NULL};

	eal_must(&(struct eal_plan){.name = "fuzz", .megabytes = 256, .lcores = 1, .args = quiet});
	/* EAL has pinned this thread to one CPU; others may want that one too. */
	cpu_any();
	/* Maintenance is what an input says it is. */
	mag_cache_observer = NULL;
	mag_cache_last_observer = NULL;
	mag_elastic_on_want = NULL;
	log_start();
	owners_start();
	timer_start();
}
