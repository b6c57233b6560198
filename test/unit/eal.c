/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"
#include "eal_files.h"

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_log.h>
#include <rte_malloc.h>

#include "../patience.h"

#define MAX_ARGS 24

#if defined(__SANITIZE_THREAD__)
/* EAL's own locks are not instrumented, so ThreadSanitizer cannot see what they order. */
const char *__tsan_default_suppressions(void);

const char *
__tsan_default_suppressions(void)
{
	return "called_from_lib:librte_eal.so\n"
	       "called_from_lib:librte_telemetry.so\n"
	       "race:librte_eal.so\n";
}
#endif

static uint64_t random_state;
static cpu_set_t all_cpus; /* that the program may use; EAL pins the main thread to one */

static void
seed_random(void)
{
	const char *seed = getenv("MAGAZINE_SEED");

	random_state =
		seed != NULL ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL) << 16 ^ getpid();
	printf("# MAGAZINE_SEED=%" PRIu64 "\n", random_state);
	fflush(stdout);
}

uint32_t
random_below(uint32_t limit)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return ((random_state >> 33) * limit) >> 31;
}

static void
lcore_map(char *map, size_t size, unsigned int lcores)
{
	unsigned int cpus[CPU_SETSIZE], count = 0, i;
	size_t length = 0;

	sched_getaffinity(0, sizeof(all_cpus), &all_cpus);
	for (i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &all_cpus))
			cpus[count++] = i;
	for (i = 0; i < lcores; i++)
		length += snprintf(map + length, size - length, "%s%u@%u", i > 0 ? "," : "", i,
				   cpus[i % count]);
}

void
eal_start(unsigned int lcores, ...)
{
	const char *base = getenv("MAGAZINE_FILE_PREFIX");
	char prefix[128], map[256];
	const char *fixed[] = {"unit",          "--no-huge", "-m",       "128", "--no-pci",
			       "--file-prefix", prefix,      "--lcores", map};
	const char *args[MAX_ARGS];
	unsigned int n;
	va_list more;

	snprintf(prefix, sizeof(prefix), "%s-unit-%d",
		 base != NULL && *base != '\0' ? base : "magazine", getpid());
	lcore_map(map, sizeof(map), lcores);
	memcpy(args, fixed, sizeof(fixed));
	n = RTE_DIM(fixed);
	va_start(more, lcores);
	do
		args[n] = va_arg(more, const char *);
	while (args[n] != NULL && ++n < MAX_ARGS);
	va_end(more);
	if (rte_eal_init(n, (char **)(uintptr_t)args) < 0) {
		printf("Bail out! EAL: %s\n", rte_strerror(rte_errno));
		exit(1);
	}
	atexit(eal_files_remove);
	seed_random();
}

static uint64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ull + now.tv_nsec / 1000000;
}

uint64_t
wait_deadline(void)
{
	return now_ms() + WAIT_SECONDS * 1000;
}

bool
wait_is_over(uint64_t deadline)
{
	usleep(100);
	return now_ms() > deadline &&
	       now_ms() > deadline + (patience() - 1) * UINT64_C(1000) * WAIT_SECONDS;
}

void
let_pass(unsigned int ms)
{
	usleep(ms * 1000);
}

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
	if (CPU_COUNT(&all_cpus) > 0)
		pthread_setaffinity_np(pthread_self(), sizeof(all_cpus), &all_cpus);
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

	task_lcore(&task, lcore, run, arg);
	task_join(&task);
}

static FILE *log_stream;
static char *log_text;
static size_t log_size;

void
log_begin(void)
{
	free(log_text);
	log_text = NULL;
	log_stream = open_memstream(&log_text, &log_size);
	assert_non_null(log_stream);
	rte_openlog_stream(log_stream);
}

const char *
log_end(void)
{
	rte_openlog_stream(NULL);
	fclose(log_stream);
	return log_text;
}

unsigned int
count_lines(const char *text)
{
	unsigned int lines = 0;

	for (; (text = strchr(text, '\n')) != NULL; text++)
		lines++;
	return lines;
}

void
log_end_with(const char *part)
{
	const char *text = log_end();

	if (count_lines(text) != 1 || strstr(text, part) == NULL)
		fail_msg("not one line with \"%s\", but: %s", part, text);
}

static uint64_t balance_before;

void
refusal_begin(void)
{
	balance_before = heap_balance();
	rte_errno = 0;
	log_begin();
}

void
refusal_end(const char *call, int ret, int error, const char *part)
{
	log_end_with(part);
	if (ret != -error)
		fail_msg("%s: %d, not %d", call, ret, -error);
	assert_int_equal(heap_balance(), balance_before);
}

uint64_t
heap_balance(void)
{
	struct rte_malloc_socket_stats stats;
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < rte_socket_count(); i++)
		if (rte_malloc_get_socket_stats(rte_socket_id_by_idx(i), &stats) == 0)
			sum += stats.heap_allocsz_bytes;
	return sum;
}
