/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A cache between those who may be killed in it, step by step: what is in it, and the steps in slab
 * layer, arena and depot.
 *
 * What others do not see while its thread lives is one atomic step with what they see: what is in a
 * slot that the thread has, in a magazine that it has, or under the slab lock. Before each store in
 * there the thread may be killed (may_die), so whoever recovers finds each state that the code can
 * leave.
 */

#define OBJECTS 6
#define MAGAZINES 5
#define NONE 0
/* Threads, each of its own process. The first two own slots. */
#define OWNERS 2
#define KILLED 0
#define LIVING 1
#define VISITOR 2
#define FIRST 3 /* two that recover */
#define SECOND 4
#define THREADS 5
#define IN_SLAB 0
#define OUT 1

mtype = {WHOLE, SWAP_EMPTY, SWAP_FULL, BOTH, LOADED, PREVIOUS, NOWHERE, FULL, EMPTY};

typedef slot_t {
	byte loaded, rounds, previous, previous_rounds;
	mtype torn = WHOLE;
	byte torn_loaded; /* of a swap */
	bool busy, visit
};

typedef magazine_t {
	byte object;
	byte held;
	mtype list = NOWHERE;
	bool out, free, pending
};

slot_t slot[OWNERS];
magazine_t magazine[MAGAZINES + 1];
bool object_out[OBJECTS + 1];
byte had[OBJECTS + 1]; /* by users, thread + 1: what is true, and nobody looks at */
bool in_hand[THREADS]; /* the word of hands.h is odd ... */
bool looking, moved[THREADS]; /* ... or has changed since whoever looks has read it */
bool dead[THREADS];
/* Locks: thread + 1. */
byte visit_lock, working_set, arena_lock, slab_lock;
byte draining;

#define is_dead(lock) (lock != NONE && dead[lock - 1])
/* Threads that are killed: before some step, or after the last. */
#define is_mortal(i) \
	((i == KILLED && (KILL & 1)) || (i == VISITOR && (KILL & 2)) || (i == FIRST && (KILL & 4)))

inline may_die()
{
	if
	:: is_mortal(me) -> goto died
	:: true
	fi
}

/* The first that the condition, which names it by the same variable, is true for. */
inline pick(into, last, condition)
{
	into = 1;
	do
	:: into <= last && !(condition) -> into++
	:: else -> break
	od;
	if :: into > last -> into = NONE :: else fi
}

inline user_gets(o)
{
	assert(had[o] == NONE && object_out[o]);
	had[o] = me + 1
}

inline hands_turn(word)
{
#ifndef NO_HANDS
	atomic { may_die(); in_hand[me] = word; moved[me] = looking }
#else
	skip
#endif
}

#define hands_begin() hands_turn(true)
#define hands_end() hands_turn(false)

/* The slab layer; whoever breaks its lock repairs it. In one step with the release. */

inline slab_lock_take()
{
	if
	:: slab_lock == NONE -> slab_lock = me + 1
	:: is_dead(slab_lock) ->
		slab_lock = me + 1;
		may_die();
#ifndef NO_DRAINED
		if
		:: draining != NONE && !object_out[magazine[draining].object] ->
			reached(1)
			magazine[draining].held = 0;
			may_die()
		:: else
		fi;
#endif
		draining = NONE
	fi;
	may_die()
}

/* The rounds that a magazine says that it holds. */
inline drain(m)
{
	may_die();
	if
	:: magazine[m].held > 0 ->
		slab_lock_take();
		draining = m;
		may_die();
		if
		:: magazine[m].held > 0 ->
#ifdef HELD_FIRST
			magazine[m].held = 0;
			may_die();
#endif
			o = magazine[m].object;
			assert(object_out[o] && (had[o] == NONE || dead[had[o] - 1]));
			object_out[o] = IN_SLAB;
			had[o] = NONE;
			o = NONE;
			may_die();
			magazine[m].held = 0;
			magazine[m].object = NONE;
			may_die()
		:: else
		fi;
		draining = NONE;
		may_die();
		slab_lock = NONE
	:: else
	fi
}

/* Of the slabs, any. */
inline slab_take()
{
	atomic {
		may_die();
		slab_lock_take();
		pick(o, OBJECTS, !object_out[o]);
		if :: o != NONE -> object_out[o] = OUT; user_gets(o) :: else fi;
		o = NONE;
		may_die();
		slab_lock = NONE
	}
}

/* The arena. A block that is free may be part of another, so its header says anything. */

#define spoil(m) magazine[m].held = 1; magazine[m].object = 1

inline arena_put_locked(m)
{
	assert(magazine[m].out && !magazine[m].free);
#ifdef MARK_LATE
	spoil(m);
	may_die();
	magazine[m].out = false;
#else
	magazine[m].out = false;
	may_die();
	spoil(m);
#endif
	magazine[m].free = true
}

/* All that is pending is taken at once. */
inline settle()
{
	for (m : 1 .. MAGAZINES) {
		if
		:: magazine[m].pending -> magazine[m].pending = false; settled = settled | 1 << m
		:: else
		fi
	}
	for (m : 1 .. MAGAZINES) {
		if
		:: settled >> m & 1 -> may_die(); arena_put_locked(m)
		:: else
		fi
	}
	settled = 0;
	m = NONE
}

inline arena_let_go()
{
	do
	:: atomic { may_die(); settle(); may_die(); arena_lock = NONE }
	   atomic {
		may_die();
		pick(m, MAGAZINES, magazine[m].pending);
		if
		:: m != NONE && arena_lock == NONE -> m = NONE; arena_lock = me + 1
		:: else -> m = NONE; break
		fi
	   }
	od
}

inline arena_put(m2)
{
	if
	:: atomic { arena_lock == NONE ->
		may_die();
		arena_lock = me + 1;
		may_die();
		arena_put_locked(m2);
		m2 = NONE
	   }
	:: arena_lock != NONE;
	   atomic { may_die(); magazine[m2].pending = true; m2 = NONE }
	   if
	   :: atomic { arena_lock == NONE -> may_die(); arena_lock = me + 1 }
	   :: arena_lock != NONE
	   fi
	fi;
	if
	:: arena_lock == me + 1 -> arena_let_go()
	:: arena_lock != me + 1
	fi
}

/* m2 is a new empty magazine, or NONE. */
inline arena_get()
{
	if
	:: atomic { arena_lock == NONE ->
		may_die();
		arena_lock = me + 1;
		may_die();
		settle();
		pick(m2, MAGAZINES, magazine[m2].free);
		if
		:: m2 != NONE ->
			may_die();
			magazine[m2].free = false;
			may_die();
#ifdef MARK_FIRST
			magazine[m2].out = true;
			may_die();
			magazine[m2].held = 0;
#else
			magazine[m2].held = 0;
			may_die();
			magazine[m2].out = true;
#endif
			magazine[m2].object = NONE
		:: else
		fi
	   }
	   arena_let_go()
	:: arena_lock != NONE
	fi
}

inline depot_take(which, into)
{
	may_die();
	pick(into, MAGAZINES, magazine[into].list == which);
	if
	:: into != NONE -> assert(magazine[into].out); magazine[into].list = NOWHERE
	:: else
	fi
}

inline depot_put(m3, which)
{
	may_die();
	assert(magazine[m3].list == NOWHERE);
	magazine[m3].list = which
}

inline destroy(m4)
{
	atomic { drain(m4) }
	arena_put(m4)
}
