/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The count of free objects (mag_cache_available() in stats.c): what came into each place, read
 * location by location, and after that what went out of each, while owners get, put and hand in, a
 * visitor empties a slot, maintenance reaps the depot and slabs come and go. What is not under a
 * lock is a step of its own. Magazines have 2 rounds, slabs 2 objects; a slot has two magazines. An
 * object is free from the call that frees it to the end of the one that allocates it.
 *
 * Safety: the count is not more than was free at some moment since it began.
 *
 * -DHAND_IN, -DVISITOR, -DREAP and -DSEGMENT choose what there is beside get and put. Checks and
 * mutations: `checks`.
 */

#include "witness.pml"

#ifndef OWNERS
#define OWNERS 2
#endif
#ifndef TURNS
#define TURNS 2
#endif
#define ROUNDS 2
#define SLOTS 2
#define TAKE 2 /* magazines that a take has at most */
#define MOST 6 /* what there is */

typedef slot_t {
	bool busy;
	bool visit;
	byte rounds;
	byte previous;
	byte allocs;
	byte out; /* rounds to depot and slabs */
	byte visited
};

slot_t slot[SLOTS];
byte fulls, tag;
byte region, taken, in_use, destroyed, slab_allocs, slab_frees;
bool slab_lock;

byte user[SLOTS];
byte free, highest; /* what is really so; highest since the count began */
bool over;          /* it is known: nothing that follows matters */

#define is_let_go(n)                                                                               \
	free = free + n;                                                                           \
	highest = (highest > free -> highest : free)

/* Whole slabs of the layer: each can go back to the region. */
#define slab_free (in_use + slab_frees - slab_allocs)

inline slab_leaves()
{
#ifdef DESTROYED_FIRST
	destroyed++;
	in_use = in_use - 2;
#else
	in_use = in_use - 2;
	destroyed++;
#endif
	slab_lock = false;
	region = region + 2
}

/* An owner. */

inline swap()
{
	atomic { other = slot[me].previous; slot[me].previous = slot[me].rounds };
	atomic { slot[me].rounds = other; other = 0 }
}

/* Who needs the slot alone counts first, who may need the depot last. */
inline get_ends()
{
	atomic { slot[me].busy = false; user[me]++; free-- }
}

inline get()
{
	if
	:: atomic { !slot[me].visit -> slot[me].busy = true };
	   if
	   :: slot[me].rounds > 0 -> slot[me].allocs++; slot[me].rounds--; get_ends()
	   :: slot[me].rounds == 0 && slot[me].previous > 0 ->
	      if
	      :: slot[me].allocs++; swap(); slot[me].rounds--
	      :: swap(); slot[me].rounds--; slot[me].allocs++
	      fi;
	      get_ends()
	   :: atomic { slot[me].rounds == 0 && slot[me].previous == 0 && fulls > 0 ->
		fulls--; tag++ };
	      slot[me].rounds = ROUNDS;
	      slot[me].rounds--;
	      slot[me].allocs++;
	      get_ends()
	   :: slot[me].rounds == 0 && slot[me].previous == 0 && fulls == 0 ->
	      slot[me].busy = false;
	      get_slab()
	   fi
	:: slot[me].visit -> get_slab()
	fi
}

inline get_slab()
{
	atomic { !slab_lock -> slab_lock = true };
	if
	:: slab_free > 0 -> slab_allocs++; atomic { slab_lock = false; user[me]++; free-- }
	:: else -> slab_lock = false
	fi
}

inline put()
{
	if
	:: atomic { user[me] > 0 && !slot[me].visit -> slot[me].busy = true; user[me]--;
		is_let_go(1) };
	   if
	   :: slot[me].rounds < ROUNDS
	   :: slot[me].rounds == ROUNDS && slot[me].previous == 0 -> swap()
	   :: slot[me].rounds == ROUNDS && slot[me].previous == ROUNDS ->
#ifdef COUNT_AFTER_PUT
	      fulls++;
	      slot[me].out = slot[me].out + ROUNDS;
#else
	      slot[me].out = slot[me].out + ROUNDS;
	      fulls++;
#endif
	      slot[me].previous = slot[me].rounds;
	      slot[me].rounds = 0
	   fi;
	   atomic { slot[me].rounds++; slot[me].busy = false }
	:: atomic { user[me] > 0 && !slab_lock -> slab_lock = true; user[me]--; is_let_go(1) };
	   slab_frees++;
	   if
	   :: slab_free >= 2 && in_use >= 2 -> slab_leaves()
	   :: slab_lock = false
	   fi
	:: user[me] == 0
	fi
}

/* Full magazines to the depot in the slot, a partial one to the slab after it. */
inline hand_in()
{
	if
	:: atomic { !slot[me].visit -> slot[me].busy = true };
	   atomic { whole = (slot[me].previous == ROUNDS -> 1 : 0); slot[me].previous = 0 };
	   atomic { part = slot[me].rounds; slot[me].rounds = 0 };
	   slot[me].out = slot[me].out + whole * ROUNDS + part;
	   atomic { fulls = fulls + whole; whole = 0 };
	   if
	   :: part == ROUNDS -> atomic { fulls++; part = 0 }
	   :: else
	   fi;
	   slot[me].busy = false;
	   atomic { slab_frees = slab_frees + part; part = 0 }
	:: slot[me].visit
	fi
}

proctype owner(byte me)
{
	byte turn, other, whole, part;

	{
		for (turn : 1 .. TURNS) {
			if
			:: get()
			:: put()
#ifdef HAND_IN
			:: hand_in()
#endif
			fi
		}
	} unless { over }
}

/* Purge, or reap on request, of one slot: to the slab. */
proctype visitor()
{
	byte had;

	{
		slot[0].visit = true;
		!slot[0].busy;
		atomic { had = slot[0].previous; slot[0].previous = 0 };
		atomic { had = had + slot[0].rounds; slot[0].rounds = 0 };
#ifdef VISITED_LATE
		slab_frees = slab_frees + had;
		slot[0].visited = slot[0].visited + had;
		slot[0].visit = false
#else
		slot[0].visited = slot[0].visited + had;
		slot[0].visit = false;
		slab_frees = slab_frees + had
#endif
	} unless { over }
}

/* Two at once, as a get may. */
proctype reaper()
{
	byte had;

	{
		atomic { had = (fulls > TAKE -> TAKE : fulls); fulls = fulls - had; tag++ };
		slab_frees = slab_frees + had * ROUNDS
	} unless { over }
}

/* A slab is made, or one goes back. */
proctype segment()
{
	{
		if
		:: atomic { region >= 2 -> region = region - 2 };
		   taken++;
		   atomic { !slab_lock -> slab_lock = true };
		   in_use = in_use + 2;
		   slab_lock = false
		:: atomic { !slab_lock && slab_free >= 2 && in_use >= 2 -> slab_lock = true };
		   slab_leaves()
		:: true
		fi
	} unless { over }
}

/* What is counted. */

#define went_out(i) (slot[i].allocs + slot[i].out + slot[i].visited)

#ifdef NO_BUSY_BEFORE
#define LOOK_BEFORE
#else
#define LOOK_BEFORE used = used || slot[i].busy;
#endif
#ifdef NO_BUSY_BETWEEN
#define LOOK_BETWEEN
#else
#define LOOK_BETWEEN used = used || slot[i].busy;
#endif
#ifdef NO_BUSY_AFTER
#define LOOK_AFTER
#else
#define LOOK_AFTER used = used || slot[i].busy;
#endif
#ifdef NOT_AGAIN
#define AGAIN true
#else
#define AGAIN went_out(i) == went
#endif
#ifdef ONE_A_TAKE
#define OF_TAKE 1
#else
#define OF_TAKE TAKE
#endif

/* The places are read once, one after the other. */
#ifdef ONE_READING
#define WENT(n) 0
#else
#define WENT(n) n
#endif

/* One look: what a slot in use holds is not counted. */
inline slot_in()
{
	went = went_out(i);
	LOOK_BEFORE
	held = slot[i].previous;
	LOOK_BETWEEN
	held = held + slot[i].rounds;
	LOOK_AFTER
	atomic {
		slots = slots + WENT(went) + (!used && AGAIN -> held : 0);
		went = 0; held = 0; used = false
	}
}

inline slots_in()
{
	for (i : 0 .. SLOTS - 1) {
		slot_in()
	}
}

inline depot_in()
{
	/* The tag first. */
	magazines = WENT(OF_TAKE * tag);
	magazines = magazines + fulls
}

inline slab_in()
{
	slabs = WENT(2 * taken);
	slabs = slabs + WENT(2 * destroyed);
#ifdef ONE_READING
	slabs = slabs + slab_free;
#else
	slabs = slabs + in_use;
	slabs = slabs + slab_frees;
#endif
	slabs = slabs + region
}

#define rest(n) (n > 0 -> n : 0)

proctype counter()
{
	short slabs, slots, magazines, went, held;
	byte i;
	bool used;

	highest = free;
	/* No order of the places is needed: the one of these and the other show it. */
	if
	:: depot_in(); slots_in(); slab_in()
	:: slab_in(); slots_in(); depot_in()
	fi;
#ifndef ONE_READING
	slabs = slabs - 2 * destroyed;
	slabs = slabs - slab_allocs;
	for (i : 0 .. SLOTS - 1) {
		slots = slots - went_out(i)
	}
	magazines = magazines - OF_TAKE * tag;
	slabs = slabs - 2 * taken;
#endif
	atomic {
		slots = rest(slots) + rest(slabs) + rest(magazines) * ROUNDS;
		assert(slots <= highest);
		if
		:: slots < free -> reached(1)
		:: slots == free && free == MOST -> reached(2)
		:: else
		fi;
		over = true
	}
}

init {
	atomic {
		/* All is in the slabs at first; what is elsewhere has left them. */
		slab_allocs = MOST;
		if
		:: slot[0].rounds = 2; slot[0].previous = 2; user[0] = 2
		:: slot[0].rounds = 2; slot[0].previous = 2; fulls = 1
		:: slot[0].rounds = 1; slot[1].rounds = 2; slot[1].previous = 2; user[0] = 1
		:: slot[0].previous = 2; user[0] = 2; user[1] = 2
		:: slot[0].rounds = 2; user[0] = 2; user[1] = 2
		:: slot[1].rounds = 2; fulls = 2
		:: fulls = 2; user[0] = 1; user[1] = 1
		:: slab_allocs = 5; slot[0].rounds = 2; user[0] = 2; user[1] = 1
		:: slab_allocs = 4; slot[0].rounds = 2; user[1] = 2
		:: region = 2; slab_allocs = 4; slot[0].rounds = 2; user[1] = 2
		:: region = 2; slab_allocs = 3; slot[0].rounds = 1; user[0] = 1; user[1] = 1
		fi;
		/* The slabs that all of these are of. */
		in_use = MOST - region;
		free = MOST - user[0] - user[1];
		highest = free;
		run owner(0);
#if OWNERS > 1
		run owner(1);
#endif
#ifdef VISITOR
		run visitor();
#endif
#ifdef REAP
		run reaper();
#endif
#ifdef SEGMENT
		run segment();
#endif
		run counter()
	}
}
