/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A cache between those who may be killed in it, step by step, and what its owners do: get, put,
 * swap, exchange, magazines from the arena and to it, and past the slot.
 */

#define OBJECTS 5
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
byte hands[THREADS];
bool dead[THREADS], is_over; /* nobody else is killed */
byte places[OBJECTS + 1]; /* of the check */
/* Locks: thread + 1. */
byte visit_lock, working_set, arena_lock, slab_lock;
byte draining;

#define is_dead(lock) (lock != NONE && dead[lock - 1])

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

inline hands_begin()
{
#ifndef NO_HANDS
	hands[me]++
#else
	skip
#endif
}

#define hands_end hands_begin

/* The slab layer; whoever breaks its lock repairs it. */

inline slab_lock_take()
{
	atomic {
		if
		:: slab_lock == NONE -> slab_lock = me + 1
		:: is_dead(slab_lock) ->
			slab_lock = me + 1;
#ifndef NO_DRAINED
			if
			:: draining != NONE && !object_out[magazine[draining].object] ->
				reached(1)
				magazine[draining].held = 0
			:: else
			fi;
#endif
			draining = NONE
		fi
	}
}

/* The rounds that a magazine says that it holds. */
inline drain(m)
{
	if
	:: magazine[m].held > 0 ->
		slab_lock_take();
		draining = m;
		if
		:: magazine[m].held > 0 ->
#ifdef HELD_FIRST
			magazine[m].held = 0;
#endif
			atomic {
				o = magazine[m].object;
				assert(object_out[o] && (had[o] == NONE || dead[had[o] - 1]));
				object_out[o] = IN_SLAB;
				had[o] = NONE;
				o = NONE
			}
			magazine[m].held = 0
		:: else
		fi;
		draining = NONE;
		slab_lock = NONE
	:: else
	fi
}

/* Of the slabs, any. */
inline slab_take()
{
	slab_lock_take();
	atomic {
		pick(o, OBJECTS, !object_out[o]);
		if :: o != NONE -> object_out[o] = OUT; user_gets(o) :: else fi;
		o = NONE
	}
	slab_lock = NONE
}

/* The arena. */

inline arena_put_locked(m)
{
	assert(magazine[m].out && !magazine[m].free);
	magazine[m].out = false;
	magazine[m].free = true
}

inline arena_let_go()
{
	do
	:: atomic {
		pick(m, MAGAZINES, magazine[m].pending);
		if
		:: m != NONE -> magazine[m].pending = false
		:: else -> arena_lock = NONE; break
		fi
	   }
	   arena_put_locked(m);
	   m = NONE
	od
}

inline arena_put(m2)
{
	if
	:: atomic { arena_lock == NONE -> arena_lock = me + 1 }
		arena_put_locked(m2);
		arena_let_go()
	:: atomic { arena_lock != NONE -> magazine[m2].pending = true }
		if
		:: atomic { arena_lock == NONE -> arena_lock = me + 1 }
			arena_let_go()
		:: arena_lock != NONE
		fi
	fi
}

/* m2 is a new empty magazine, or NONE. */
inline arena_get()
{
	if
	:: atomic { arena_lock == NONE -> arena_lock = me + 1 }
		atomic { pick(m2, MAGAZINES, magazine[m2].free); magazine[m2].free = false }
		if
		:: m2 != NONE ->
#ifdef MARK_FIRST
			magazine[m2].out = true;
			magazine[m2].held = 0
#else
			magazine[m2].held = 0;
			magazine[m2].out = true
#endif
		:: else
		fi;
		arena_let_go()
	:: arena_lock != NONE
	fi
}

inline depot_take(which, into)
{
	atomic {
		pick(into, MAGAZINES, magazine[into].list == which);
		if
		:: into != NONE -> assert(magazine[into].out); magazine[into].list = NOWHERE
		:: else
		fi
	}
}

inline depot_put(m3, which)
{
	atomic { assert(magazine[m3].list == NOWHERE); magazine[m3].list = which }
}

inline destroy(m4)
{
	drain(m4);
	arena_put(m4)
}

/* A slot, s. */

inline torn_begin(how)
{
	slot[s].torn = how
}

inline torn_end()
{
	atomic { slot[s].torn = WHOLE; slot[s].torn_loaded = NONE }
}

inline swap(how)
{
	atomic {
		a = slot[s].loaded;
		b = slot[s].previous_rounds;
		slot[s].torn = how;
		slot[s].torn_loaded = a
	}
#ifdef SWAP_TORN_EARLY
	torn_end();
#endif
	slot[s].loaded = slot[s].previous;
	slot[s].previous = a;
	slot[s].previous_rounds = slot[s].rounds;
	slot[s].rounds = b;
#ifndef SWAP_TORN_EARLY
	torn_end();
#endif
	atomic { a = NONE; b = 0 }
}

inline exchange_begin()
{
#ifdef TORN_FIRST
	torn_begin(BOTH);
#endif
	magazine[slot[s].loaded].held = slot[s].rounds;
	magazine[slot[s].previous].held = slot[s].previous_rounds;
#ifndef TORN_FIRST
	torn_begin(BOTH)
#endif
}

inline load(which)
{
	exchange_begin();
	depot_take(which, m);
	if
	:: m != NONE ->
#ifdef TORN_EARLY
		torn_end();
#endif
		if
		:: slot[s].previous == NONE
		:: slot[s].previous != NONE && which == FULL ->
			depot_put(slot[s].previous, EMPTY)
		:: slot[s].previous != NONE && which == EMPTY ->
			depot_put(slot[s].previous, FULL)
		fi;
		slot[s].previous = slot[s].loaded;
		slot[s].previous_rounds = slot[s].rounds;
		slot[s].loaded = m;
		slot[s].rounds = (which == FULL -> 1 : 0)
	:: else
	fi;
	torn_end();
	m = NONE
}

inline enter()
{
	if
	:: atomic { !slot[me].visit -> slot[me].busy = true; inside = true }
	:: slot[me].visit -> inside = false
	fi
}

/* A full magazine past the slot; its object may be no longer needed, and goes to the slabs. */
inline take_from_depot()
{
	hands_begin();
	depot_take(FULL, m2);
	if
	:: m2 != NONE ->
		if
		:: atomic {
			magazine[m2].held = 0;
			o = magazine[m2].object;
			user_gets(o);
			o = NONE
		   }
		:: skip
		fi;
		destroy(m2)
	:: else
	fi;
	m2 = NONE;
	hands_end()
}

inline get()
{
	enter();
	if
	:: inside && slot[s].rounds == 0 && slot[s].previous_rounds > 0 -> swap(SWAP_EMPTY)
	:: inside && slot[s].rounds == 0 && slot[s].previous_rounds == 0 -> load(FULL)
	:: else
	fi;
	if
	:: inside && slot[s].rounds > 0 ->
		atomic {
			slot[s].rounds = 0;
			o = magazine[slot[s].loaded].object;
			user_gets(o);
			o = NONE
		}
		slot[s].busy = false
	:: else ->
		slot[s].busy = false;
		if
		:: slab_take()
		:: take_from_depot()
		fi
	fi
}

/* Of a slot that has room for it. */
inline put_round()
{
	magazine[slot[s].loaded].object = mine;
	atomic { slot[s].rounds = 1; had[mine] = NONE; mine = NONE }
}

/* The object `mine`; m2: an empty magazine for the depot, or NONE. */
inline put_with()
{
	enter();
	if
	:: inside ->
		if
		:: m2 != NONE -> depot_put(m2, EMPTY); m2 = NONE
		:: else
		fi;
		if
		:: slot[s].loaded != NONE && slot[s].rounds == 0
		:: (slot[s].loaded == NONE || slot[s].rounds == 1) && slot[s].previous != NONE &&
			slot[s].previous_rounds == 0 -> swap(SWAP_FULL)
		:: else -> load(EMPTY)
		fi;
		if
		:: slot[s].loaded != NONE && slot[s].rounds == 0 -> put_round()
		:: else
		fi;
		slot[s].busy = false
	:: else
	fi;
	if :: m2 != NONE -> arena_put(m2); m2 = NONE :: else fi
}

inline put()
{
	atomic { pick(mine, OBJECTS, had[mine] == me + 1) }
	if
	:: mine != NONE ->
		put_with();
		if
		:: mine != NONE ->
			hands_begin();
			arena_get();
			if
			:: m2 != NONE -> put_with()
			:: else
			fi;
			if
			:: mine != NONE ->
				slab_lock_take();
				atomic { object_out[mine] = IN_SLAB; had[mine] = NONE; mine = NONE }
				slab_lock = NONE
			:: else
			fi;
			hands_end()
		:: else
		fi
	:: else
	fi
}

proctype owner(byte me)
{
	byte turn, m, m2, o, a, b, mine;
	byte s = me;
	bool inside;

	{
		for (turn : 1 .. TURNS) {
			if
			:: get()
			:: put()
			fi
		}
	} unless { dead[me] }
}
