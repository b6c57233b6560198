/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rte_cycles.h>

#include "../refuse_call.h"
#include "fixture.h"
#include "slot/bias.h"

static struct mag_slot lock;

/* Stands in front of libc's own, to see what the kernel is asked for. */
static _Atomic uint64_t barriers, global_barriers;

long
syscall(long number, ...)
{
	long arg[6];
	va_list args;
	unsigned int i;

	va_start(args, number);
	for (i = 0; i < RTE_DIM(arg); i++)
		arg[i] = va_arg(args, long);
	va_end(args);
	if (number == __NR_membarrier && (int)arg[0] == MEMBARRIER_CMD_PRIVATE_EXPEDITED)
		atomic_fetch_add(&barriers, 1);
	if (number == __NR_membarrier && (int)arg[0] == MEMBARRIER_CMD_GLOBAL_EXPEDITED)
		atomic_fetch_add(&global_barriers, 1);
	return LIBRARYS(syscall)(number, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
}

static int
setup(void **state __rte_unused)
{
	lock = (struct mag_slot){0};
	mag_bias_forbid_membarrier(false);
	return 0;
}

static bool foreign;

static bool
is_any_foreign(void)
{
	return foreign;
}

static int
fence(enum mag_bias_mode mode)
{
	return mag_bias_fence(mode, is_any_foreign);
}

static bool
enter_fast(struct mag_slot *slot)
{
	if (mag_slot_enter(slot) == 0)
		return true;
	mag_slot_leave(slot);
	return false;
}

static bool
enter(void)
{
	return enter_fast(&lock);
}

static bool
enter_careful(void)
{
	return mag_bias_enter_careful(&lock);
}

static uint64_t
in_ms(unsigned int ms)
{
	return rte_rdtsc() + rte_get_tsc_hz() / 1000 * ms;
}

TEST(test_an_owner_that_nobody_visits_enters_and_leaves, setup)
{
	assert_true(enter());
	assert_int_equal(lock.busy, 1);
	mag_slot_leave(&lock);
	assert_int_equal(lock.busy, 0);
	assert_true(enter_careful());
	assert_int_equal(lock.busy, 1);
	mag_slot_leave(&lock);
}

TEST(test_a_visited_owner_is_turned_away_and_not_left_busy, setup)
{
	const uint32_t bits[] = {MAG_BIAS_VISIT, MAG_BIAS_PURGE, MAG_BIAS_SELF,
				 MAG_BIAS_VISIT | MAG_BIAS_PURGE};
	unsigned int i;

	for (i = 0; i < RTE_DIM(bits); i++) {
		mag_bias_announce(&lock, bits[i]);
		assert_false(enter());
		assert_int_equal(lock.busy, 0);
		assert_false(enter_careful());
		assert_int_equal(lock.busy, 0);
		mag_bias_dismiss(&lock, bits[i]);
		assert_true(enter());
		mag_slot_leave(&lock);
	}
}

TEST(test_fence_and_request_only_slow_the_owner_down, setup)
{
	const uint32_t bits[] = {MAG_BIAS_FENCE_BIT, MAG_BIAS_ASKED,
				 MAG_BIAS_FENCE_BIT | MAG_BIAS_ASKED};
	unsigned int i;

	for (i = 0; i < RTE_DIM(bits); i++) {
		lock.visitor = bits[i];
		assert_false(enter());
		assert_int_equal(lock.busy, 0);
		assert_true(enter_careful());
		assert_int_equal(lock.busy, 1);
		mag_slot_leave(&lock);
		mag_bias_announce(&lock, MAG_BIAS_VISIT);
		assert_false(enter_careful());
		mag_bias_dismiss(&lock, MAG_BIAS_VISIT);
		assert_int_equal(lock.visitor, bits[i]);
	}
}

TEST(test_visitors_clear_their_own_bits_only, setup)
{
	mag_bias_announce(&lock, MAG_BIAS_SELF);
	mag_bias_announce(&lock, MAG_BIAS_VISIT | MAG_BIAS_PURGE);
	mag_bias_dismiss(&lock, MAG_BIAS_VISIT | MAG_BIAS_PURGE);
	assert_int_equal(lock.visitor, MAG_BIAS_SELF);
	assert_int_equal(lock.visitor_put, MAG_BIAS_SELF);
	mag_bias_dismiss(&lock, MAG_BIAS_SELF);
	assert_int_equal(lock.visitor, 0);
	assert_int_equal(lock.visitor_put, 0);
}

TEST(test_a_visit_is_not_granted_while_the_owner_is_busy, setup)
{
	uint64_t deadline;

	mag_bias_announce(&lock, MAG_BIAS_VISIT);
	fence(mag_bias_best());
	assert_true(mag_bias_granted(&lock, in_ms(1000)));
	assert_true(mag_bias_granted(&lock, 0));
	mag_bias_dismiss(&lock, MAG_BIAS_VISIT);
	assert_true(enter());
	deadline = in_ms(2);
	assert_false(mag_bias_granted(&lock, deadline));
	assert_true(rte_rdtsc() >= deadline);
	assert_false(mag_bias_granted(&lock, 0));
}

static _Atomic bool left;

static void
leave_run(void *arg __rte_unused)
{
	let_pass(10);
	atomic_store(&left, true);
	mag_slot_leave(&lock);
}

TEST(test_a_visitor_waits_for_the_owner_to_leave, setup)
{
	struct task owner;

	atomic_store(&left, false);
	assert_true(enter());
	mag_bias_announce(&lock, MAG_BIAS_VISIT);
	fence(mag_bias_best());
	assert_false(mag_bias_granted(&lock, in_ms(1)));
	task_thread(&owner, leave_run, NULL);
	assert_true(mag_bias_granted(&lock, in_ms(WAIT_SECONDS * 1000)));
	assert_true(atomic_load(&left));
	mag_bias_dismiss(&lock, MAG_BIAS_VISIT);
	task_join(&owner);
}

TEST(test_only_the_membarrier_mode_sends_membarriers, setup)
{
	uint64_t before = mag_bias_membarriers();

	atomic_store(&barriers, 0);
	assert_int_equal(fence(MAG_BIAS_FENCE), 0);
	assert_int_equal(fence(MAG_BIAS_POLL), 0);
	assert_int_equal(mag_bias_membarriers(), before);
	assert_int_equal(barriers, 0);
	assert_int_equal(fence(MAG_BIAS_MEMBARRIER), 0);
	assert_int_equal(mag_bias_membarriers(), before + 1);
	assert_int_equal(barriers, 1);
}

TEST(test_owners_of_other_processes_get_a_membarrier_too, setup)
{
	atomic_store(&barriers, 0);
	atomic_store(&global_barriers, 0);
	foreign = true;
	assert_int_equal(fence(MAG_BIAS_FENCE), 0);
	assert_int_equal(global_barriers, 0);
	assert_int_equal(fence(MAG_BIAS_MEMBARRIER), 0);
	foreign = false;
	assert_int_equal(barriers, 0);
	assert_int_equal(global_barriers, 1);
}

static const int errors[] = {EPERM, ENOSYS};

/* In a process of its own: nobody can take a filter away again. */
static int
fence_under_a_filter(int error)
{
	uint64_t before = mag_bias_membarriers();

	if (refuse_call(__NR_membarrier, error) != 0)
		return 77;
	return fence(MAG_BIAS_MEMBARRIER) == -error && fence(MAG_BIAS_FENCE) == 0 &&
			       mag_bias_membarriers() == before ?
		       0 :
		       1;
}

TEST(test_a_membarrier_that_a_filter_refuses_is_no_fence, setup)
{
	unsigned int i;
	int status;
	pid_t pid;

	for (i = 0; i < RTE_DIM(errors); i++) {
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			_exit(fence_under_a_filter(errors[i]));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		if (WEXITSTATUS(status) == 77) {
			printf("# skip: no seccomp filters here\n");
			skip();
		}
		assert_int_equal(WEXITSTATUS(status), 0);
	}
}

TEST(test_that_membarriers_fail_is_said_once_with_the_error_and_the_remedy, setup)
{
	enum mag_bias_mode best = mag_bias_best();
	const char *log;
	unsigned int i;

	for (i = 0; i < RTE_DIM(errors); i++) {
		assert_false(mag_bias_has_given_up());
		log_begin();
		mag_bias_give_up(errors[i]);
		mag_bias_give_up(errors[i]);
		log = log_end();
		assert_int_equal(count_lines(log), 1);
		assert_logged(log, "magazine: membarrier failed");
		assert_logged(log, strerror(errors[i]));
		assert_logged(log, "allow membarrier");
		assert_true(mag_bias_has_given_up());
		assert_int_equal(mag_bias_best(), MAG_BIAS_FENCE);
		mag_bias_forbid_membarrier(false);
		assert_int_equal(mag_bias_best(), best);
	}
}

TEST(test_an_owner_acknowledges_fences_and_nothing_else, setup)
{
	mag_bias_acknowledge(&lock, MAG_BIAS_VISIT | MAG_BIAS_WATCHED | MAG_BIAS_ASKED);
	assert_int_equal(lock.fenced, 0);
	mag_bias_acknowledge(&lock, MAG_BIAS_FENCE_BIT | MAG_BIAS_WATCHED);
	assert_int_equal(lock.fenced, 1);
}

/*
 * A slot on a page that must not be written to: a visitor comes just when the owner becomes busy.
 */
static struct mag_slot *closed;

static void
visitor_comes(int signal __rte_unused)
{
	if (mprotect(closed, sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE) != 0)
		_exit(99);
	mag_bias_announce(closed, MAG_BIAS_VISIT);
}

static void
assert_looks_once_busy(bool (*enter)(struct mag_slot *slot), uint32_t word)
{
	size_t page = sysconf(_SC_PAGESIZE);

	closed = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(closed, MAP_FAILED);
	closed->visitor = word;
	assert_int_equal(mprotect(closed, page, PROT_READ), 0);
	assert_ptr_not_equal(signal(SIGSEGV, visitor_comes), SIG_ERR);
	assert_false(enter(closed));
	assert_int_equal(closed->visitor, word | MAG_BIAS_VISIT);
	assert_int_equal(closed->busy, 0);
	assert_int_equal(munmap(closed, page), 0);
}

TEST(test_an_owner_sees_a_visitor_that_comes_when_it_becomes_busy, setup)
{
	assert_looks_once_busy(enter_fast, 0);
	assert_looks_once_busy(mag_bias_enter_careful, 0);
	assert_looks_once_busy(mag_bias_enter_careful, MAG_BIAS_FENCE_BIT);
	assert_looks_once_busy(mag_bias_enter_careful, MAG_BIAS_ASKED);
}

TEST(test_a_forbidden_membarrier_is_replaced_by_fences, setup)
{
	long supported = syscall(__NR_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
	enum mag_bias_mode best = MAG_BIAS_FENCE;

	if (supported > 0 && supported & MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED)
		best = MAG_BIAS_MEMBARRIER;
	assert_int_equal(mag_bias_best(), best);
	mag_bias_forbid_membarrier(true);
	assert_int_equal(mag_bias_best(), MAG_BIAS_FENCE);
	mag_bias_forbid_membarrier(false);
	assert_int_equal(mag_bias_best(), best);
}

#define VISITS 20000

static struct {
	_Atomic bool stop;
	_Atomic uint64_t entries;
	uint64_t first, second, clashes;
} guarded;

static void
guarded_touch(void)
{
	uint64_t first = guarded.first;

	if (first != guarded.second)
		guarded.clashes++;
	guarded.first = first + 1;
	atomic_signal_fence(memory_order_seq_cst);
	guarded.second = first + 1;
}

static void
owner_run(void *arg __rte_unused)
{
	while (!atomic_load_explicit(&guarded.stop, memory_order_relaxed)) {
		if (!enter() && !enter_careful())
			continue;
		guarded_touch();
		mag_slot_leave(&lock);
		atomic_fetch_add_explicit(&guarded.entries, 1, memory_order_relaxed);
	}
}

static void
assert_exclusive(enum mag_bias_mode mode)
{
	unsigned int granted = 0;
	uint64_t entries = 0;
	struct task task;

	memset(&guarded, 0, sizeof(guarded));
	lock.visitor = mode == MAG_BIAS_FENCE ? MAG_BIAS_FENCE_BIT : 0;
	task_lcore(&task, 1, owner_run, NULL);
	while (granted < VISITS) {
		mag_bias_announce(&lock, MAG_BIAS_VISIT);
		fence(mode);
		if (mag_bias_granted(&lock, in_ms(100))) {
			granted++;
			guarded_touch();
		}
		entries = atomic_load(&guarded.entries);
		mag_bias_dismiss(&lock, MAG_BIAS_VISIT);
		while (atomic_load(&guarded.entries) == entries)
			sched_yield();
	}
	atomic_store(&guarded.stop, true);
	task_join(&task);
	assert_int_equal(guarded.clashes, 0);
	assert_int_equal(guarded.first, guarded.entries + granted);
}

TEST(test_owner_and_visitor_exclude_each_other_by_membarrier, setup)
{
	skip_without_membarrier();
	assert_exclusive(MAG_BIAS_MEMBARRIER);
}

TEST(test_owner_and_visitor_exclude_each_other_by_fences, setup)
{
	assert_exclusive(MAG_BIAS_FENCE);
}

TEST_PROGRAM(2)
