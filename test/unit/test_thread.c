/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/meta.h"
#include "base/peer.h"
#include "base/process.h"
#include "fixture.h"
#include "slot/thread.h"

static _Atomic uint32_t flushed[MAG_SLOTS];

static void
flush(uint32_t slot)
{
	atomic_fetch_add(&flushed[slot], 1);
}

TEST(test_an_lcore_claims_the_slot_of_its_number)
{
	mag_thread_claim();
	assert_int_equal(mag_thread_slot(), rte_lcore_id());
	assert_int_equal(mag_thread_lcore(rte_lcore_id()), rte_lcore_id());
	assert_true(mag_thread_slots() > rte_lcore_id());
	assert_true(mag_thread_owners() >= 1);
	assert_true(mag_thread_owns(mag_thread_slot()));
	assert_false(mag_thread_owns(RTE_MAX_LCORE - 1));
}

static void
claim_run(void *arg)
{
	uint32_t *slot = arg;

	mag_thread_claim();
	*slot = mag_thread_slot();
}

TEST(test_a_worker_keeps_its_slot_from_job_to_job)
{
	uint32_t slot = 0, owners;

	run_on_lcore(1, claim_run, &slot);
	assert_int_equal(slot, 1);
	owners = mag_thread_owners();
	run_on_lcore(1, claim_run, &slot);
	assert_int_equal(slot, 1);
	assert_int_equal(mag_thread_owners(), owners);
}

/* With the numbers of lcores that may still come left alone. */
TEST(test_a_thread_without_lcore_id_claims_a_low_number_that_is_no_lcores)
{
	uint32_t slot = 0, owners = mag_thread_owners();

	run_on_thread(claim_run, &slot);
	assert_int_equal(slot, 3);
	assert_int_equal(mag_thread_owners(), owners);
	assert_false(mag_thread_owns(slot));
	assert_int_equal(mag_thread_lcore(slot), LCORE_ID_ANY);
	assert_int_equal(mag_thread_lcore(MAG_SLOT_SHARED), LCORE_ID_ANY);
}

static void
forbidden_run(void *arg)
{
	mag_thread_forbid_claim(true);
	claim_run(arg);
}

TEST(test_a_thread_that_may_not_claim_has_the_shared_slot)
{
	uint32_t slot = 0, owners = mag_thread_owners();

	run_on_thread(forbidden_run, &slot);
	assert_int_equal(slot, MAG_SLOT_SHARED);
	assert_int_equal(mag_thread_owners(), owners);
}

/* As the thread of another process does. */
static int
claim_in_child(void)
{
	mag_thread_claim();
	return mag_thread_slot() == MAG_SLOT_SHARED || !mag_thread_is_any_foreign() ||
	       mag_thread_process(mag_thread_slot()) != mag_process_id ||
	       mag_thread_pid(mag_thread_slot()) != getpid() ||
	       mag_thread_tid(mag_thread_slot()) != gettid();
}

static bool
recover_none(uint32_t process __rte_unused)
{
	return false;
}

TEST(test_shared_memory_of_another_version_is_left_alone)
{
	void *ours = mag_meta_shared("TEST_SHARED", 100);

	assert_non_null(ours);
	assert_ptr_equal(mag_meta_shared("TEST_SHARED", 100), ours);
	log_begin();
	assert_null(mag_meta_shared("TEST_SHARED", 108));
	assert_null(mag_meta_shared("TEST_SHARED", 92));
	log_end_with("another version");
}

static bool
recover_all(uint32_t process __rte_unused)
{
	return true;
}

TEST(test_the_slots_of_a_dead_process_are_free_when_it_is_buried)
{
	uint32_t owners;
	int status;
	pid_t pid;

	mag_thread_claim();
	owners = mag_thread_owners();
	assert_false(mag_thread_is_any_foreign());
	pid = fork();
	if (pid == 0)
		_exit(claim_in_child());
	/* Not waited for: a process that has ended, and nothing else. */
	wait_until(mag_process_fate(pid, 0) == MAG_PROCESS_ENDED);
	assert_true(mag_thread_is_any_foreign());
	assert_int_equal(mag_thread_owners(), owners + 1);
	mag_peers_bury(recover_none, mag_thread_release_all);
	assert_int_equal(mag_thread_owners(), owners + 1);
	mag_peers_bury(recover_all, mag_thread_release_all);
	assert_int_equal(mag_thread_owners(), owners);
	assert_false(mag_thread_is_any_foreign());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static int
live_on(int fd)
{
	char end;

	mag_thread_claim();
	return read(fd, &end, 1) != 0;
}

/* qemu's emulation of one process shows it another start of itself than others see. */
static void
skip_where_starts_differ(void)
{
	uint64_t start = 0;
	int status, end[2];
	pid_t pid;

	assert_int_equal(pipe(end), 0);
	pid = fork();
	if (pid == 0) {
		start = mag_process_start(getppid());
		_exit(write(end[1], &start, sizeof(start)) != sizeof(start));
	}
	assert_int_equal(read(end[0], &start, sizeof(start)), sizeof(start));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(end[0]);
	close(end[1]);
	if (start == mag_process_start(getpid()))
		return;
	printf("# skip: the emulation shows a process another start of itself than others see\n");
	skip();
}

TEST(test_a_process_that_lives_is_not_buried)
{
	uint32_t owners = mag_thread_owners();
	int status, end[2];
	pid_t pid;

	skip_where_starts_differ();
	assert_int_equal(pipe(end), 0);
	pid = fork();
	if (pid == 0) {
		close(end[1]);
		_exit(live_on(end[0]));
	}
	wait_until(mag_thread_owners() == owners + 1);
	mag_peers_bury(recover_all, mag_thread_release_all);
	assert_int_equal(mag_thread_owners(), owners + 1);
	assert_int_equal(kill(pid, SIGSTOP), 0);
	mag_peers_bury(recover_all, mag_thread_release_all);
	assert_int_equal(mag_thread_owners(), owners + 1);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	mag_peers_bury(recover_all, mag_thread_release_all);
	assert_int_equal(mag_thread_owners(), owners);
	close(end[0]);
	close(end[1]);
}

struct stay {
	uint32_t slot;
	unsigned int lcore;
	bool plain; /* no lcore */
	_Atomic bool claimed, leave;
};

static void
stay_run(void *arg)
{
	struct stay *stay = arg;

	if (!stay->plain && rte_thread_register() != 0)
		abort();
	stay->lcore = rte_lcore_id();
	mag_thread_claim();
	stay->slot = mag_thread_slot();
	if (!stay->plain)
		rte_thread_unregister();
	atomic_store(&stay->claimed, true);
	while (!atomic_load(&stay->leave))
		let_pass(1);
}

static void
stay_begin(struct task *task, struct stay *stay)
{
	task_thread(task, stay_run, stay);
	wait_until(atomic_load(&stay->claimed));
}

static void
stay_end(struct task *task, struct stay *stay)
{
	atomic_store(&stay->leave, true);
	task_join(task);
}

TEST(test_a_registered_thread_claims_a_slot_and_releases_it_when_it_ends)
{
	uint32_t owners = mag_thread_owners(), before;
	struct stay stay = {0};
	struct task task;

	stay_begin(&task, &stay);
	assert_int_not_equal(stay.slot, MAG_SLOT_SHARED);
	assert_int_equal(stay.slot, stay.lcore);
	assert_int_equal(mag_thread_owners(), owners + 1);
	assert_int_equal(mag_thread_lcore(stay.slot), stay.lcore);
	before = flushed[stay.slot];
	stay_end(&task, &stay);
	assert_int_equal(flushed[stay.slot], before + 1);
	assert_int_equal(mag_thread_owners(), owners);
	assert_int_equal(mag_thread_lcore(stay.slot), LCORE_ID_ANY);
	assert_true(mag_thread_slots() > stay.slot);
}

TEST(test_an_lcore_id_that_is_used_again_gets_another_slot)
{
	struct stay stay[2] = {{0}};
	struct task task[2];

	stay_begin(&task[0], &stay[0]);
	stay_begin(&task[1], &stay[1]);
	assert_int_equal(stay[0].lcore, stay[1].lcore);
	assert_int_not_equal(stay[0].slot, stay[1].slot);
	assert_int_not_equal(stay[1].slot, MAG_SLOT_SHARED);
	assert_int_equal(mag_thread_lcore(stay[1].slot), stay[1].lcore);
	stay_end(&task[0], &stay[0]);
	assert_int_equal(mag_thread_lcore(stay[1].slot), stay[1].lcore);
	stay_end(&task[1], &stay[1]);
}

static pthread_key_t late_key;
static _Atomic uint32_t late_slot;

static void
late(void *arg __rte_unused)
{
	atomic_store(&late_slot, mag_thread_slot());
}

static void
late_run(void *arg)
{
	if (pthread_setspecific(late_key, arg) != 0)
		abort();
	mag_thread_claim();
	*(uint32_t *)arg = mag_thread_slot();
}

TEST(test_a_thread_whose_slot_was_released_uses_the_shared_one)
{
	uint32_t slot = MAG_SLOT_SHARED;

	/* Made after the library's own, so its destructor runs later. */
	assert_int_equal(pthread_key_create(&late_key, late), 0);
	atomic_store(&late_slot, 0);
	run_on_registered(late_run, &slot);
	assert_int_not_equal(slot, MAG_SLOT_SHARED);
	assert_int_equal(late_slot, MAG_SLOT_SHARED);
	assert_int_equal(pthread_key_delete(late_key), 0);
}

TEST(test_a_thread_that_finds_all_slots_taken_has_the_shared_one)
{
	static struct stay stay[MAG_SLOT_SHARED + 1];
	static struct task task[MAG_SLOT_SHARED + 1];
	uint32_t owners = mag_thread_owners();
	unsigned int i, shared = 0;

	for (i = 0; i <= MAG_SLOT_SHARED - owners; i++) {
		stay[i].plain = true;
		stay_begin(&task[i], &stay[i]);
		shared += stay[i].slot == MAG_SLOT_SHARED;
	}
	assert_int_equal(shared, 1);
	assert_int_equal(stay[i - 1].slot, MAG_SLOT_SHARED);
	assert_int_equal(mag_thread_owners(), MAG_SLOT_SHARED);
	while (i-- > 0)
		stay_end(&task[i], &stay[i]);
	assert_int_equal(mag_thread_owners(), owners);
}

/* ThreadSanitizer itself needs pthread_setspecific() before it has begun. */
#ifndef MAG_TSAN

/* Stands in front of the C library's own. */
static _Thread_local bool refuses_to_tell;

int
pthread_setspecific(pthread_key_t key, const void *value)
{
	return refuses_to_tell ? ENOMEM : LIBRARYS(pthread_setspecific)(key, value);
}

static void
claim_untold_run(void *arg)
{
	uint32_t *slot = arg;

	refuses_to_tell = true;
	mag_thread_claim();
	slot[0] = mag_thread_slot();
	refuses_to_tell = false;
	mag_thread_claim();
	slot[1] = mag_thread_slot();
	slot[2] = rte_lcore_id();
}

TEST(test_a_thread_whose_end_will_not_be_told_has_the_shared_one)
{
	uint32_t owners = mag_thread_owners(), slot[3];

	run_on_registered(claim_untold_run, slot);
	assert_int_equal(slot[0], MAG_SLOT_SHARED);
	assert_int_equal(slot[1], slot[2]);
	assert_int_equal(mag_thread_owners(), owners);
}

#endif /* MAG_TSAN */

int
main(void)
{
	eal_start(3, NULL);
	mag_thread_on_exit(flush);
	return tests_run(NULL, NULL);
}
