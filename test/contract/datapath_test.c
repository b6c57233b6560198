/* SPDX-License-Identifier: BSD-3-Clause */

/* No system call and no rte_malloc on the data path. */

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include <rte_malloc.h>

#include "harness.h"
#include "pool.h"

#define OBJECTS 20000
#define BULK_MAX 600
#define HELD_MAX 4000
#define STEPS 20000

static _Atomic unsigned int trapped;
static _Atomic long last_call;

/* The call is refused: the thread goes on, and the test counts. */
static void
on_trapped_call(int signal __rte_unused, siginfo_t *info, void *context)
{
	ucontext_t *user = context;

	atomic_fetch_add(&trapped, 1);
	atomic_store(&last_call, info->si_syscall);
#if defined(__x86_64__)
	user->uc_mcontext.gregs[REG_RAX] = -EPERM;
#elif defined(__aarch64__)
	user->uc_mcontext.regs[0] = -EPERM;
#endif
}

/* From here on every system call of this thread traps, but for those that it ends with. */
static int
trap_system_calls(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_rt_sigreturn, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_exit, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {RTE_DIM(filter), filter};
	struct sigaction action = {.sa_sigaction = on_trapped_call, .sa_flags = SA_SIGINFO};

	sigaction(SIGSYS, &action, NULL);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return -errno;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0 ? 0 : -errno;
}

struct trader {
	struct rte_mempool *mp;
	uint32_t seed;
	int filter;             /* what trap_system_calls() said */
	unsigned int refused;   /* gets that failed */
	unsigned int by_filter; /* calls trapped on purpose */
	unsigned int calls;     /* calls trapped while it traded */
	long last;              /* number of the last one */
};

/* Random exchanges of up to a fifth of the pool: magazines, depot and slabs all see work. */
static void
trade(struct trader *trader, void **held)
{
	unsigned int n, count = 0;

	for (unsigned int step = 0; step < STEPS; step++) {
		n = rand_r(&trader->seed) % BULK_MAX;
		if (rand_r(&trader->seed) % 2 && count + n <= HELD_MAX) {
			if (rte_mempool_get_bulk(trader->mp, held + count, n) == 0)
				count += n;
			else
				trader->refused++;
		} else {
			n = RTE_MIN(n, count);
			count -= n;
			rte_mempool_put_bulk(trader->mp, held + count, n);
		}
	}
	rte_mempool_put_bulk(trader->mp, held, count);
}

static void *
trade_under_the_filter(void *arg)
{
	static void *held[HELD_MAX];
	struct trader *trader = arg;
	void *object;

	/* Claiming a slot is the first operation's. */
	if (rte_mempool_get(trader->mp, &object) == 0)
		rte_mempool_put(trader->mp, object);
	trader->filter = trap_system_calls();
	if (trader->filter != 0)
		return NULL;
	syscall(__NR_getppid);
	trader->by_filter = atomic_exchange(&trapped, 0);
	trade(trader, held);
	trader->calls = atomic_load(&trapped);
	trader->last = atomic_load(&last_call);
	return NULL;
}

static void *
register_and_trade(void *arg)
{
	rte_thread_register();
	return trade_under_the_filter(arg);
}

static void
run_thread(void *(*body)(void *arg), unsigned int cache_size)
{
	struct trader trader = {.seed = random_below(UINT32_MAX)};
	pthread_t thread;

	trader.mp = pool_make(POOL_SPEC(OBJECTS, 64, .cache_size = cache_size));
	atomic_store(&trapped, 0);
	assert_int_equal(pthread_create(&thread, NULL, body, &trader), 0);
	pthread_join(thread, NULL);
	rte_mempool_free(trader.mp);
	if (trader.filter != 0)
		SKIP_TEST("seccomp: %s", strerror(-trader.filter));
	assert_int_equal(trader.by_filter, 1);
	assert_int_equal(trader.refused, 0);
	if (trader.calls != 0)
		fail_msg("%u system calls, the last of them number %ld", trader.calls, trader.last);
}

TEST(an_lcore_makes_no_system_call)
{
	run_thread(register_and_trade, 0);
}

TEST(an_lcore_behind_a_mempool_cache_makes_no_system_call)
{
	run_thread(register_and_trade, 512);
}

TEST(a_thread_without_lcore_makes_no_system_call)
{
	run_thread(trade_under_the_filter, 0);
}

TEST(the_data_path_allocates_nothing)
{
	static void *held[HELD_MAX];
	struct trader trader = {.seed = random_below(UINT32_MAX)};
	struct rte_malloc_socket_stats before, after;

	trader.mp = pool_make(POOL_SPEC(OBJECTS, 64));
	assert_int_equal(rte_malloc_get_socket_stats(0, &before), 0);
	trade(&trader, held);
	assert_int_equal(rte_malloc_get_socket_stats(0, &after), 0);
	assert_int_equal(after.alloc_count, before.alloc_count);
	assert_int_equal(after.heap_allocsz_bytes, before.heap_allocsz_bytes);
	rte_mempool_free(trader.mp);
}

int
main(int argc, char **argv)
{
	return HARNESS_RUN(argc, argv, 1);
}
