/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The owner/visitor lock (bias.h). An owner gets and puts objects of its slot, a visitor empties it
 * and comes again; the visit lock sees to it that there is one. Either may stop for ever at any
 * instruction (STOP_OWNER, STOP_VISITOR): preempted.
 *
 * Safety: owner and visitor are never both in the slot; no object is lost or there twice. Progress:
 * the owner ends wherever the visitor stops, and the visitor wherever the owner stops.
 *
 * FENCE: without membarrier, the owner pays. FAILS: any membarrier may fail, which grants nothing;
 * from then on the FENCE bit is set, and a visit is granted when the owner has acknowledged it
 * (slot_hold(), sweep_fence()). CLAIM: the same with a slot that nobody owns at first, after the
 * failure. Checks and mutations: `checks`.
 */

#include "witness.pml"

#define THREADS 2
#define OWNER 0
#define VISITOR 1

#define VARIABLES 5
#define BUSY 0
#define WORD 1 /* the visitor's */
#define ROUNDS 2
#define FENCED 3 /* the owner's */
#define OWNED 4

/* Bits of WORD. */
#define VISIT 1
#define FENCE_BIT 2

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

#ifdef CLAIM
#define FAILS
#endif

#ifdef FAILS
/* The fast path, and slot_hold() when that was turned away. */
inline enter(word, rounds)
{
	store(OWNER, BUSY, 1);
	load(OWNER, WORD, word);
	if
	:: word == 0
	:: else ->
		store_release(OWNER, BUSY, 0);
		load(OWNER, WORD, word);
		store(OWNER, BUSY, 1);
		if
#ifndef NO_OWNER_FENCE
		:: word & FENCE_BIT -> fence(OWNER)
#endif
		:: else
		fi;
		load(OWNER, WORD, word);
		word = word & VISIT;
		if
		:: word == 0 ->
			load(OWNER, WORD, word);
			if
			:: word & FENCE_BIT ->
				reached(6)
#ifdef ACK_RELAXED
				store(OWNER, FENCED, 1)
#else
				store_release(OWNER, FENCED, 1)
#endif
			:: else
			fi;
			word = 0
		:: else
		fi
	fi
}
#else
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
#endif

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
#ifdef CLAIM
		store(OWNER, OWNED, 1);
#ifndef NO_CLAIM_FENCE
		fence(OWNER);
#endif
#endif
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

#ifdef FAILS
/* A sweep over the one slot, as far as its fence: may it look at busy? */
inline announce(granted)
{
	if
	:: !fencing ->
		store(VISITOR, WORD, VISIT);
		fence(VISITOR);
		if
		:: fence(OWNER); granted = true
		:: fencing = true; granted = false
		fi
	:: fencing ->
		store(VISITOR, WORD, VISIT + FENCE_BIT);
#ifndef NO_VISITOR_FENCE
		fence(VISITOR);
#endif
#ifdef ACK_UNSEEN
		granted = true;
#else
		load(VISITOR, FENCED, granted);
#endif
#ifdef CLAIM
		if
		:: !granted -> load(VISITOR, OWNED, granted); granted = 1 - granted
		:: else
		fi
#endif
	fi;
	if
	:: fencing && granted -> reached(4)
	:: !fencing || !granted
	fi
}

proctype visitor()
{
	byte busy, rounds, visit, looks, granted;
	bool fencing;

	{
#ifdef CLAIM
		fencing = true;
#endif
		for (visit : 1 .. VISITS) {
			announce(granted);
#ifdef GRANTS_ANYWAY
			granted = true;
#endif
			if
			:: granted ->
				load(VISITOR, BUSY, busy);
				if
				:: busy == 0 -> empty_slot(rounds)
				:: busy != 0 -> reached(2)
				fi
			:: !granted -> reached(5)
			fi;
			/* slots_ask() sets FENCE in the slots of those that were not granted. */
			store_release(VISITOR, WORD, (fencing -> FENCE_BIT : 0))
		}
	} unless {
#ifdef STOP_VISITOR
		stop
#else
		false
#endif
	}
}
#else
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
			   /* the deadline: not granted */
			   :: busy != 0 && looks == LOOKS -> reached(2) break
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

#endif

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
