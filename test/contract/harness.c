/* SPDX-License-Identifier: BSD-3-Clause */

#include <linux/sched.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <rte_eal.h>

#include "../patience.h"
#include "harness.h"

#define OURS "magazine"
#define MAX_EAL_ARGS 48
#define PROBE_LIMIT_SECONDS 30
#define TIME_LIMIT_SECONDS 170
#define TIME_LIMIT_FULL_SECONDS 700
/* First argument of a copy of the program that only finds out whether EAL starts. */
#define PROBE "--probe-eal-without-plugin"
/* Set in a copy: the process that started it. */
#define ENV_PRIMARY "CONTRACT_PRIMARY"

static int program_argc;
static char **program_argv;

static bool
no_hugepages(void)
{
	return strcmp(env_text("MAGAZINE_HUGE", "1"), "0") == 0;
}

const char *
harness_ops(void)
{
	return env_text("MAGAZINE_TEST_OPS", OURS);
}

bool
harness_has_arg(const char *arg)
{
	for (int i = 1; i < program_argc; i++)
		if (strcmp(program_argv[i], arg) == 0)
			return true;
	return false;
}

void
harness_need_ours(const char *promise)
{
	if (strcmp(harness_ops(), OURS) != 0)
		SKIP_TEST("only %s promises %s, the ops here are %s", OURS, promise, harness_ops());
}

static int
start(int argc, char **argv, unsigned int nb_lcores, const char *plugin, const char *primary)
{
	/* Another arena of the C library's is 64 MiB of addresses that heap.c would count. */
	mallopt(M_ARENA_MAX, 1);
	return eal_try(&(struct eal_plan){
		.name = "contract",
		.lcores = nb_lcores,
		.primary = primary != NULL ? atoi(primary) : 0,
		.plugin = plugin,
		.argc = argc,
		.argv = argv,
	});
}

static int
start_in_time(int argc, char **argv, unsigned int nb_lcores, const char *primary)
{
	program_argc = argc;
	program_argv = argv;
	setvbuf(stdout, NULL, _IOLBF, 0);
	time_limit(run_is_full() ? TIME_LIMIT_FULL_SECONDS : TIME_LIMIT_SECONDS,
		   "\nBail out! The time limit of the program has passed\n");
	return start(argc, argv, nb_lcores, env_text("MAGAZINE_PLUGIN", NULL), primary);
}

int
harness_start_eal(int argc, char **argv, unsigned int nb_lcores)
{
	return start_in_time(argc, argv, nb_lcores, NULL);
}

int
harness_start_secondary(int argc, char **argv, unsigned int nb_lcores)
{
	return start_in_time(argc, argv, nb_lcores, getenv(ENV_PRIMARY));
}

/* In the child of a fork. */
static void
copy_exec(char **args, const char *variable, const char *value, pid_t primary)
{
	char number[16];

	snprintf(number, sizeof(number), "%d", primary);
	setenv(ENV_PRIMARY, number, 1);
	setenv(variable, value, 1);
	execv("/proc/self/exe", args);
	_exit(127);
}

pid_t
harness_copy(const char *variable, const char *value, const char *const *extra)
{
	char *args[MAX_EAL_ARGS + 1];
	int n = 0;
	pid_t pid;

	for (; n < program_argc && n < MAX_EAL_ARGS; n++)
		args[n] = program_argv[n];
	for (; extra != NULL && *extra != NULL && n < MAX_EAL_ARGS; n++)
		args[n] = (char *)(uintptr_t)*extra++;
	args[n] = NULL;
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		copy_exec(args, variable, value, getppid());
	return pid;
}

static void
exit_as(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		_exit(HARNESS_NO_NAMESPACE);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

/* In the first process of a namespace, which has all numbers but 1 to give away. */
static void
copy_with_number(const char *variable, const char *value, pid_t number)
{
	struct clone_args args = {
		.exit_signal = SIGCHLD,
		.set_tid = (uintptr_t)&number,
		.set_tid_size = 1,
	};
	pid_t pid = syscall(__NR_clone3, &args, sizeof(args));

	if (pid == 0)
		copy_exec(program_argv, variable, value, number);
	exit_as(pid);
}

pid_t
harness_copy_with_our_number(const char *variable, const char *value)
{
	pid_t pid = fork(), number = getppid();

	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	if (unshare(CLONE_NEWPID) != 0)
		_exit(HARNESS_NO_NAMESPACE);
	pid = fork();
	if (pid == 0)
		copy_with_number(variable, value, number);
	exit_as(pid);
	return -1;
}

bool
harness_copy_runs(pid_t pid)
{
	siginfo_t info = {.si_pid = 0};

	assert_int_equal(waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT), 0);
	return info.si_pid == 0;
}

int
harness_copy_status(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == HARNESS_REFUSED)
		SKIP_TEST("EAL does not start a second time in this mode");
	if (WIFEXITED(status) && WEXITSTATUS(status) == HARNESS_NO_NAMESPACE)
		SKIP_TEST("no process of a chosen number: that needs root, and Linux 5.5");
	return status;
}

/* EAL can be started once in a process, so another one has to try without the plugin. */
static bool
eal_starts_without_plugin(int argc, char **argv)
{
	char *args[MAX_EAL_ARGS] = {argv[0], strdup(PROBE)};
	int status;
	pid_t pid;

	for (int i = 1; i < argc && i < MAX_EAL_ARGS - 2; i++)
		args[i + 1] = argv[i];
	/*
	 * An EAL that failed half-way keeps its lock on the hugepages, which the other one needs.
	 */
	close_range(STDERR_FILENO + 1, ~0u, 0);
	pid = fork();
	if (pid == 0) {
		execv("/proc/self/exe", args);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return true;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void
this_mode_is_refused_by_eal_itself(void **state __rte_unused)
{
	char mode[512] = "";

	for (int i = 1; i < program_argc; i++) {
		strncat(mode, " ", sizeof(mode) - strlen(mode) - 1);
		strncat(mode, program_argv[i], sizeof(mode) - strlen(mode) - 1);
	}
	SKIP_TEST("EAL does not start here without our plugin either, arguments:%s (%s)", mode,
		  no_hugepages() ? "no hugepages reserved" : "see its own words");
}

static int
run_refused(void)
{
	const struct CMUnitTest refused[] = {
		cmocka_unit_test(this_mode_is_refused_by_eal_itself),
	};

	return cmocka_run_group_tests(refused, NULL, NULL);
}

static int
probe(int argc, char **argv, unsigned int nb_lcores)
{
	argv[1] = argv[0];
	alarm(PROBE_LIMIT_SECONDS * patience());
	if (start(argc - 1, argv + 1, nb_lcores, NULL, NULL) < 0)
		return 1;
	rte_eal_cleanup();
	return 0;
}

int
harness_run(int argc, char **argv, unsigned int nb_lcores, const struct CMUnitTest *tests,
	    size_t nb_tests)
{
	int failed;

	if (argc > 1 && strcmp(argv[1], PROBE) == 0)
		return probe(argc, argv, nb_lcores);
	program_argc = argc;
	program_argv = argv;
	if (no_hugepages() && !harness_has_arg("--no-huge"))
		return run_refused();
	if (harness_start_eal(argc, argv, nb_lcores) < 0) {
		if (!eal_starts_without_plugin(argc, argv))
			return run_refused();
		printf("Bail out! EAL starts without the plugin but not with it\n");
		return 1;
	}
	seed_choose();
	failed = _cmocka_run_group_tests("contract", tests, nb_tests, NULL, NULL);
	if (rte_eal_cleanup() != 0) {
		printf("Bail out! rte_eal_cleanup failed\n");
		return 1;
	}
	return failed;
}
