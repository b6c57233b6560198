/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_cycles.h>
#include <rte_pause.h>

#include "base/log.h"
#include "slot/bias.h"

/* A busy owner that runs is out after some 100 ns; one that does not run needs our CPU. */
#define SPINS_BEFORE_YIELD 256

static struct {
	bool registered;
	_Atomic bool forbidden;
	_Atomic bool given_up;
	_Atomic uint64_t sent;
} membarrier_state;

static long
membarrier_call(int command)
{
	return syscall(__NR_membarrier, command, 0, 0);
}

/*
 * Registering takes milliseconds once threads run: done when the library is
 * loaded, which is before EAL starts its lcores.
 */
void
mag_bias_register(void)
{
	const long both = MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED |
			  MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED;
	long supported = membarrier_call(MEMBARRIER_CMD_QUERY);

	membarrier_state.registered =
		supported >= 0 && (supported & both) == both &&
		membarrier_call(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0 &&
		membarrier_call(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED) == 0;
}

bool
mag_bias_is_registered(void)
{
	return membarrier_state.registered;
}

RTE_INIT(mag_bias_load)
{
	mag_bias_register();
}

enum mag_bias_mode
mag_bias_best(void)
{
	if (membarrier_state.registered && !mag_bias_has_given_up() &&
	    !atomic_load_explicit(&membarrier_state.forbidden, memory_order_relaxed))
		return MAG_BIAS_MEMBARRIER;
	return MAG_BIAS_FENCE;
}

void
mag_bias_forbid_membarrier(bool forbid)
{
	atomic_store_explicit(&membarrier_state.forbidden, forbid, memory_order_relaxed);
	if (!forbid)
		atomic_store_explicit(&membarrier_state.given_up, false, memory_order_relaxed);
}

uint64_t
mag_bias_membarriers(void)
{
	return atomic_load_explicit(&membarrier_state.sent, memory_order_relaxed);
}

bool
mag_bias_enter_careful(struct mag_slot *slot)
{
	uint32_t word = MAG_LOAD(&slot->visitor, MAG_RELAXED);

	MAG_STORE(&slot->busy, 1, MAG_RELAXED);
	/* FENCE mode: pairs with the fence of mag_bias_fence(). The bit, once set, stays. */
	if (word & MAG_BIAS_FENCE_BIT)
		atomic_thread_fence(memory_order_seq_cst);
	else
		atomic_signal_fence(memory_order_seq_cst);
	/* acquire: pairs with the visitor's release in mag_bias_dismiss() */
	word = MAG_LOAD(&slot->visitor, MAG_ACQUIRE);
	if ((word & MAG_BIAS_AWAY) == 0)
		return true;
	mag_slot_leave(slot);
	return false;
}

int
mag_bias_fence(enum mag_bias_mode mode, bool (*is_any_foreign)(void))
{
	int command = MEMBARRIER_CMD_PRIVATE_EXPEDITED;

	atomic_thread_fence(memory_order_seq_cst);
	if (mode != MAG_BIAS_MEMBARRIER)
		return 0;
	if (is_any_foreign())
		command = MEMBARRIER_CMD_GLOBAL_EXPEDITED;
	if (membarrier_call(command) != 0)
		return -errno;
	atomic_fetch_add_explicit(&membarrier_state.sent, 1, memory_order_relaxed);
	return 0;
}

bool
mag_bias_has_given_up(void)
{
	/* relaxed: it only saves calls in vain; what a visit may do, mag_bias_fence() tells it */
	return atomic_load_explicit(&membarrier_state.given_up, memory_order_relaxed);
}

void
mag_bias_give_up(int error)
{
	if (atomic_exchange_explicit(&membarrier_state.given_up, true, memory_order_relaxed))
		return;
	MAG_LOG(ERR,
		"membarrier failed (%s), though it worked when the library was loaded: from now on "
		"each get and put executes a fence, and what an lcore holds is out of reach of "
		"others until it next uses the pool; if a seccomp filter refuses it, allow "
		"membarrier there",
		strerror(error));
}

bool
mag_bias_granted(const struct mag_slot *slot, uint64_t deadline)
{
	unsigned int spins = 0;

	/* acquire: pairs with the owner's release in mag_slot_leave() */
	while (MAG_LOAD(&slot->busy, MAG_ACQUIRE) != 0) {
		if (rte_rdtsc() > deadline)
			return false;
		if (++spins < SPINS_BEFORE_YIELD)
			rte_pause();
		else
			sched_yield();
	}
	return true;
}
