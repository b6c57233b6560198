/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The owner/visitor lock (bias.h). An owner gets and puts objects of its slot, a visitor empties it
 * and comes again; the visit lock sees to it that there is one. Either may stop for ever at any
 * instruction (STOP_OWNER, STOP_VISITOR): preempted.
 *
 * Safety: owner and visitor are never both in the slot; no object is lost or there twice. Progress: the
 * owner ends wherever the visitor stops, and the visitor wherever the owner stops.
 *
 * FENCE: without membarrier, the owner pays. Checks and mutations: `checks`.
 */

#include "witness.pml"

#define THREADS 2
#define OWNER 0
#define VISITOR 1

#define VARIABLES 3
#define BUSY 0
#define WORD 1 /* the visitor's */
#define ROUNDS 2

#include "memory.pml"

#ifndef TURNS
#define TURNS 3
#endif
#ifndef VISITS
#define VISITS 2
#endif
#define LOOKS 2 /* at busy, until the deadline */
#define OBJECTS 4

byte slab = OBJECTS - 2; /* its own lock orders it */
byte had;                /* by the owner's user */
byte inside;             /* in the slot */
bool stop;

inline leave(me)
{
#ifdef LEAVE_RELAXED
	store(OWNER, BUSY, 0)
#else
	store_release(OWNER, BUSY, 0)
#endif
}

inline enter(word, rounds)
{
#ifdef ENTER_RELAXED
	load(OWNER, ROUNDS, rounds);
#endif
#ifdef NO_COMPILER_BARRIER
	load(OWNER, WORD, word);
	store(OWNER, BUSY, 1)
#else
#ifdef FENCE
	/* The fast path: the bit is always set, and turns it away. */
	store(OWNER, BUSY, 1);
	store_release(OWNER, BUSY, 0);
#endif
	store(OWNER, BUSY, 1);
#if defined(FENCE) && !defined(NO_OWNER_FENCE)
	fence(OWNER);
#endif
	load(OWNER, WORD, word)
#endif
}

inline work(rounds)
{
	inside++;
	assert(inside == 1);
#ifndef ENTER_RELAXED
	load(OWNER, ROUNDS, rounds);
#endif
	if
	:: rounds > 0 -> store(OWNER, ROUNDS, rounds - 1); had++
	:: had > 0 -> store(OWNER, ROUNDS, rounds + 1); had--
	:: rounds == 0 && had == 0
	fi;
	inside--
}

proctype owner()
{
	byte word, rounds, turn;

	{
		for (turn : 1 .. TURNS) {
#ifdef OWNER_WAITS
			do
			:: enter(word, rounds);
			   if
			   :: word == 0 -> break
			   :: else -> leave(OWNER); memory[WORD] == 0
			   fi
			od;
#else
			enter(word, rounds);
#endif
			if
			:: word == 0 -> work(rounds); leave(OWNER)
			:: else ->
				reached(1)
				leave(OWNER);
				atomic {
					if
					:: slab > 0 -> slab--; had++
					:: else
					fi
				}
			fi
		}
	} unless {
#ifdef STOP_OWNER
		stop
#else
		false
#endif
	}
}

inline empty_slot(rounds)
{
	inside++;
	assert(inside == 1);
#ifndef GRANTED_RELAXED
	load(VISITOR, ROUNDS, rounds);
#endif
	store(VISITOR, ROUNDS, 0);
	inside--;
	slab = slab + rounds
}

proctype visitor()
{
	byte busy, rounds, visit, looks;

	{
		for (visit : 1 .. VISITS) {
#ifndef ANNOUNCE_LATE
			store(VISITOR, WORD, 1);
#endif
#ifndef NO_VISITOR_FENCE
			fence(VISITOR);
#endif
#if !defined(FENCE) && !defined(NO_MEMBARRIER)
			fence(OWNER);
#endif
#ifdef ANNOUNCE_LATE
			store(VISITOR, WORD, 1);
#endif
#ifdef GRANTED_RELAXED
			load(VISITOR, ROUNDS, rounds);
#endif
			do
			:: load(VISITOR, BUSY, busy);
			   if
#ifndef NO_WAIT
			   :: busy == 0 && looks > 0 -> reached(3) empty_slot(rounds); break
			   :: busy == 0 && looks == 0 -> empty_slot(rounds); break
#else
			   :: empty_slot(rounds); break
#endif
#ifdef VISITOR_WAITS
			   :: busy != 0 -> memory[BUSY] == 0
#else
			   :: busy != 0 && looks < LOOKS -> looks++
			   :: busy != 0 && looks == LOOKS -> reached(2) break /* the deadline: not granted */
#endif
			   fi
			od;
			looks = 0;
#ifdef DISMISS_RELAXED
			store(VISITOR, WORD, 0)
#else
			store_release(VISITOR, WORD, 0)
#endif
		}
	} unless {
#ifdef STOP_VISITOR
		stop
#else
		false
#endif
	}
}

proctype stopper()
{
#if defined(STOP_OWNER) || defined(STOP_VISITOR)
	stop = true
#else
	skip
#endif
}

/* When all stores have come to memory and nobody has stopped half-way. */
proctype check()
{
end_check:
	_nr_pr == THREADS + 2 && stores[OWNER].count == 0 && stores[VISITOR].count == 0 && !stop ->
	assert(memory[ROUNDS] + slab + had == OBJECTS)
}

init {
	atomic {
		memory[ROUNDS] = 2;
		run drain(OWNER);
		run drain(VISITOR);
		run check();
		run owner();
		run visitor();
		run stopper()
	}
}
