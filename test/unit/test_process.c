/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/process.h"

#define CHILDREN 8

TEST(test_a_process_has_a_number_that_is_not_its_pid)
{
	assert_int_not_equal(mag_process_id, 0);
	/* Once in 2^32 runs it may be. */
	assert_int_not_equal(mag_process_id, getpid());
}

TEST(test_a_process_that_renews_its_number_has_another)
{
	uint32_t before = mag_process_id;
	uint64_t thread = mag_process_thread();

	mag_process_renew();
	assert_int_not_equal(mag_process_id, 0);
	assert_int_not_equal(mag_process_id, before);
	assert_int_not_equal(mag_process_thread() >> 32, thread >> 32);
	assert_int_equal((uint32_t)mag_process_thread(), (uint32_t)thread);
}

static void
thread_tell(void *arg)
{
	*(uint64_t *)arg = mag_process_thread();
}

TEST(test_threads_of_a_process_are_told_apart)
{
	uint64_t other = 0;
	struct task task;

	task_thread(&task, thread_tell, &other);
	task_join(&task);
	assert_int_equal(mag_process_thread(), mag_process_thread());
	assert_int_equal(mag_process_thread() >> 32, other >> 32);
	assert_int_not_equal(mag_process_thread(), other);
}

static bool forbidden;

/*
 * In the place of the C library's, which does not always make a system call that a filter can
 * refuse: later versions have it from the kernel's shared code.
 */
ssize_t
getrandom(void *buffer, size_t size, unsigned int flags)
{
	if (!forbidden)
		return syscall(SYS_getrandom, buffer, size, flags);
	errno = EPERM;
	return -1;
}

/* As a sandbox that forbids it. */
static void
forbid_getrandom(void)
{
	forbidden = true;
}

struct told {
	uint32_t id;
	uint64_t thread;
};

static void
child_tell(int to, bool random)
{
	struct told told;

	if (!random)
		forbid_getrandom();
	mag_process_renew();
	told = (struct told){mag_process_id, mag_process_thread()};
	_exit(write(to, &told, sizeof(told)) == sizeof(told) ? 0 : 2);
}

/* Children are copies of one process, with its thread that knew its number already. */
static void
assert_children_differ(bool random)
{
	struct told told[CHILDREN + 1] = {{mag_process_id, mag_process_thread()}};
	int ends[2], status;

	assert_int_equal(pipe(ends), 0);
	for (unsigned int i = 1; i <= CHILDREN; i++)
		if (fork() == 0)
			child_tell(ends[1], random);
	for (unsigned int i = 1; i <= CHILDREN; i++) {
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
		assert_int_equal(read(ends[0], &told[i], sizeof(told[i])), sizeof(told[i]));
		for (unsigned int j = 0; j < i; j++)
			assert_int_not_equal(told[i].id, told[j].id);
		assert_int_equal(told[i].thread >> 32, told[i].id);
		assert_int_not_equal((uint32_t)told[i].thread, (uint32_t)told[0].thread);
	}
	close(ends[0]);
	close(ends[1]);
}

TEST(test_a_forked_process_that_renews_its_number_is_another)
{
	assert_children_differ(true);
}

TEST(test_processes_differ_where_the_kernel_gives_no_random_number)
{
	assert_children_differ(false);
}

static pid_t
child_that_stays(void)
{
	pid_t pid = fork();

	if (pid == 0)
		pause();
	assert_true(pid > 0);
	return pid;
}

TEST(test_the_fate_of_a_process_is_told_by_its_pid_and_its_start)
{
	pid_t pid = child_that_stays();
	uint64_t start = mag_process_start(pid);

	assert_int_not_equal(start, 0);
	assert_int_equal(mag_process_fate(pid, start), MAG_PROCESS_RUNS);
	assert_int_equal(mag_process_fate(pid, 0), MAG_PROCESS_RUNS);
	assert_int_equal(mag_process_fate(pid, start + 1), MAG_PROCESS_ENDED);
	kill(pid, SIGKILL);
	wait_until(mag_process_fate(pid, start) == MAG_PROCESS_ENDED);
	assert_int_equal(mag_process_fate(pid, 0), MAG_PROCESS_ENDED);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(mag_process_fate(pid, start), MAG_PROCESS_ENDED);
	assert_int_equal(mag_process_fate(pid, 0), MAG_PROCESS_ENDED);
}

#define NO_NAMESPACE 77

/* Of a process that /proc does not show, as it is mounted with hidepid. */
static int
fate_without_proc(pid_t pid, uint64_t start)
{
	if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("none", "/proc", "tmpfs", 0, NULL) != 0)
		return NO_NAMESPACE;
	return mag_process_fate(pid, start) == MAG_PROCESS_HIDDEN &&
			       mag_process_fate(pid, 0) == MAG_PROCESS_HIDDEN ?
		       0 :
		       1;
}

TEST(test_a_process_that_proc_hides_is_neither_running_nor_dead)
{
	pid_t pid = child_that_stays(), teller;
	uint64_t start = mag_process_start(pid);
	int status;

	teller = fork();
	if (teller == 0)
		_exit(fate_without_proc(pid, start));
	assert_int_equal(waitpid(teller, &status, 0), teller);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	if (WEXITSTATUS(status) == NO_NAMESPACE) {
		printf("# skip: mount namespaces are not allowed here\n");
		skip();
	}
	assert_int_equal(status, 0);
}

int
main(void)
{
	return tests_run(NULL, NULL);
}
