/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The memory orders on which each pair relies, smallest case each, in memory.pml's loosely ordered
 * memory. Each test says what may never be read; each mutation drops one order, and then it is
 * read.
 *
 * STORE_BUFFERING  owner: busy = 1, reads word; visitor: word = 1, fence, membarrier, reads busy.
 *                  With FENCE the owner has the fence. So too the slot's owner: slot_claim(), and
 *                  mag_thread_owns() in owner_fences().
 * MESSAGE          a plain store, then a release of a flag; an acquire of the flag, then a plain
 *                  load:
 *                  mag_bias_dismiss() and mag_slot_enter();
 *                  mag_slot_leave() and mag_bias_granted();
 *                  mag_lock_release() and mag_lock_try();
 *                  mag_perimeter_leave() and mag_perimeter_enter();
 *                  mag_transit_end() and mag_cache_reachable();
 *                  moving_end() and mag_slab_available();
 *                  slot_claim() and mag_thread_slots();
 *                  mag_bias_acknowledge() and slot_is_fenced().
 * DEPOT            rounds and link of a magazine, then the exchange of the head by mag_depot_put();
 *                  the exchange by mag_depot_take(), then the rounds.
 *                  The tag read, then what is read through lo.
 * TRANSIT          objects from a slot to the depot, counted in transit meanwhile; who looks reads
 *                  transit,
 *                  slot, depot, and transit again (can_succeed() in steal.c).
 * SWAP             a full magazine from loaded to previous; who counts reads loaded, then previous.
 */

#define THREADS 2
#define A 0
#define B 1

#define VARIABLES 3
#define X 0
#define Y 1
#define Z 2

#include "memory.pml"

byte read_a, read_b, read_c, read_d;
byte done;

/* A compare-exchange, which is a full barrier; it is won here. */
inline exchange(me, v, x)
{
	d_step {
		do
		:: stores[me].count > 0 -> bring(me, 0)
		:: else -> break
		od;
		memory[v] = x
	}
}

#ifdef STORE_BUFFERING
#define BUSY X
#define WORD Y

proctype a()
{
#ifdef NO_COMPILER_BARRIER
	load(A, WORD, read_a);
	store(A, BUSY, 1);
#else
	store(A, BUSY, 1);
#if defined(FENCE) && !defined(NO_OWNER_FENCE)
	fence(A);
#endif
	load(A, WORD, read_a);
#endif
	done++
}

proctype b()
{
	store(B, WORD, 1);
#ifndef NO_VISITOR_FENCE
	fence(B);
#endif
#if !defined(FENCE) && !defined(NO_MEMBARRIER)
	fence(A);
#endif
	load(B, BUSY, read_b);
	done++
}

#define NEVER (read_a == 0 && read_b == 0)
#endif

#ifdef MESSAGE
#define DATA X
#define FLAG Y

proctype a()
{
	store(A, DATA, 1);
#ifdef NO_RELEASE
	store(A, FLAG, 1);
#else
	store_release(A, FLAG, 1);
#endif
	done++
}

proctype b()
{
#ifdef NO_ACQUIRE
	load(B, DATA, read_b);
	load(B, FLAG, read_a);
#else
	load(B, FLAG, read_a);
	load(B, DATA, read_b);
#endif
	done++
}

#define NEVER (read_a == 1 && read_b == 0)
#endif

#ifdef DEPOT
#define ROUND X
#define HEAD Y
#define LINK Z

proctype a()
{
	store(A, ROUND, 1);
	store(A, LINK, 1);
#ifdef NO_RELEASE
	store(A, HEAD, 1);
#else
	exchange(A, HEAD, 1);
#endif
	done++
}

proctype b()
{
#ifdef NO_ACQUIRE
	load(B, LINK, read_b);
	load(B, ROUND, read_c);
	load(B, HEAD, read_a);
#else
	load(B, HEAD, read_a);
	load(B, LINK, read_b);
	load(B, ROUND, read_c);
#endif
	done++
}

#define NEVER (read_a == 1 && (read_b == 0 || read_c == 0))
#endif

#ifdef TRANSIT
#define ON_WAY X
#define SLOT Y
#define LIST Z

proctype a()
{
	store(A, ON_WAY, 1);
#ifndef NO_BEGIN_FENCE
	fence(A);
#endif
	store(A, SLOT, 0);
	exchange(A, LIST, 1);
	store_release(A, ON_WAY, 0);
	done++
}

/*
 * Both gone before it is in the list; that it began and ended in between, counts show:
 * estimate.pml.
 */
proctype b()
{
	load(B, ON_WAY, read_a);
	load(B, SLOT, read_b);
	load(B, LIST, read_c);
	atomic {
#ifndef NO_SECOND_LOOK
		load(B, ON_WAY, read_d);
#endif
		read_d = read_d + memory[LIST]
	}
	done++
}

#define NEVER (read_a + read_b + read_c + read_d == 0)
#endif

#ifdef SWAP
#define LOADED X
#define PREVIOUS Y

proctype a()
{
#ifdef LOADED_FIRST
	store(A, LOADED, 0);
	store_release(A, PREVIOUS, 1);
#else
	store(A, PREVIOUS, 1);
#ifdef NO_RELEASE
	store(A, LOADED, 0);
#else
	store_release(A, LOADED, 0);
#endif
#endif
	done++
}

proctype b()
{
#ifdef NO_ACQUIRE
	load(B, PREVIOUS, read_b);
	load(B, LOADED, read_a);
#else
	load(B, LOADED, read_a);
	load(B, PREVIOUS, read_b);
#endif
	done++
}

#define NEVER (read_a == 0 && read_b == 0)
#endif

proctype check()
{
end_check:
	done == 2 -> assert(!(NEVER))
}

init {
	atomic {
#if defined(TRANSIT)
		memory[SLOT] = 1;
#elif defined(SWAP)
		memory[LOADED] = 1;
#endif
		run drain(A);
		run drain(B);
		run check();
		run a();
		run b()
	}
}
