/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Purge, change of the type, enable, and a thief, against owners that get, put and hand in
 * (purge.c, steal.c, home.c). Magazines are of 1 round or of 2; an owner's slot has one at most.
 * That an owner in its slot and a visitor exclude each other is bias.pml's, that lists are exact is
 * depot.pml's: both are taken for granted here. An owner that puts and finds no empty magazine lets
 * its slot go, makes one of the size it saw, and comes again: meanwhile the type may have changed.
 *
 * Safety: who takes a magazine from the depot into a slot gets one of the size in force there;
 * while a slot is off, nothing is in it; no object is lost or there twice. Progress: all end, and
 * owners end wherever resizer and thief stop (STOP).
 *
 * Checks and mutations: `checks`.
 */

#include "witness.pml"

#ifndef OWNERS
#define OWNERS 2
#endif
#ifndef TURNS
#define TURNS 2
#endif
#ifndef RESIZES
#define RESIZES 1
#endif
#define OBJECTS 5
#define NONE 0

typedef slot_t {
	bool busy;
	bool visit;  /* announced */
	byte size;   /* 0 = off */
	byte loaded; /* rounds that the magazine can hold; NONE */
	byte rounds
};

slot_t slot[OWNERS];
byte fulls[3], empties[3]; /* magazines in the depot, by their size */
byte type = 1;
byte slab = OBJECTS;
byte had[OWNERS];    /* by users */
byte transit[OWNERS + 1]; /* taken from a slot, not yet anywhere else */
#define RESIZER OWNERS
bool visit_lock;
bool stop;

#define AWAY (slot[me].visit)
#ifdef STOP
#define STOPPED stop
#else
#define STOPPED false
#endif

/* An object put past the slot. */
inline put_slab()
{
	atomic { slab++; had[me]-- }
}

inline put_full(size)
{
	atomic { fulls[size]++; assert(size == 1 || size == 2) }
}

inline put()
{
	byte magazine = NONE;
	byte size = 0;
	bool done = false;

	do
	:: done -> break
	:: else ->
#ifdef OWNER_WAITS
		atomic { !AWAY -> slot[me].busy = true; size = slot[me].size };
#else
		atomic {
			if
			:: !AWAY -> slot[me].busy = true; size = slot[me].size
			:: else -> goto beside
			fi
		}
#endif
		/* In the slot. */
		if
#ifdef MAGAZINE_UNCHECKED
		:: magazine != NONE -> empties[magazine]++; magazine = NONE
#else
		:: magazine != NONE && magazine == size -> empties[size]++; magazine = NONE
#endif
		:: else
		fi;
		if
		:: slot[me].loaded != NONE && slot[me].rounds < slot[me].loaded ->
			atomic { slot[me].rounds++; had[me]--; done = true }
		:: size != 0 && slot[me].rounds == slot[me].loaded && empties[1] + empties[2] > 0 ->
			atomic {
				if
				:: empties[1] > 0 -> assert(size == 1); empties[1]--
				:: empties[2] > 0 -> assert(size == 2); empties[2]--
				:: else -> goto leave
				fi
			}
			if
			:: slot[me].loaded != NONE -> put_full(slot[me].loaded)
			:: else
			fi;
			atomic { slot[me].loaded = size; slot[me].rounds = 1; had[me]--;
				done = true }
		:: else
		fi;
leave:
		slot[me].busy = false;
		/* Of another size than is now in force, or there was none to be had: destroyed. */
		if
		:: magazine != NONE -> reached(1) magazine = NONE
		:: else
		fi;
		if
		:: !done && size != 0 -> magazine = size
		:: !done && size != 0 -> break /* the arena has none */
		:: !done && size == 0 -> break
		:: done
		fi
	od;
beside:
	if
	:: !done -> put_slab()
	:: else
	fi;
	atomic { magazine = NONE; size = 0; done = false }
}

/* A full magazine goes into the slot, the empty one that was there to the depot. */
inline load_full(n)
{
	assert(slot[me].size == n);
	fulls[n]--;
	empties[slot[me].loaded]++;
	slot[me].loaded = n;
	slot[me].rounds = n - 1;
	had[me]++;
	got = true
}

inline get()
{
	bool got = false;

	atomic {
		if
		:: !AWAY -> slot[me].busy = true
		:: else -> goto past
		fi
	}
	atomic {
		if
		:: slot[me].rounds > 0 -> slot[me].rounds--; had[me]++; got = true
		:: slot[me].rounds == 0 && slot[me].size != 0 && fulls[1] > 0 -> load_full(1)
		:: slot[me].rounds == 0 && slot[me].size != 0 && fulls[1] == 0 && fulls[2] > 0 ->
			load_full(2)
		:: else
		fi
	}
	slot[me].busy = false;
past:
	atomic {
		if
		:: !got && slab > 0 -> slab--; had[me]++
		/* Past the slot, of any size; what is too much to the slab. */
		:: !got && slab == 0 && fulls[1] > 0 -> fulls[1]--; had[me]++
		:: !got && slab == 0 && fulls[1] == 0 && fulls[2] > 0 -> fulls[2]--;
			had[me]++; slab++
		:: else
		fi;
		got = false
	}
}

inline hand_in()
{
	byte handed = NONE, handed_rounds = 0;

	atomic {
		if
		:: !AWAY -> slot[me].busy = true
		:: else -> goto handed_in
		fi
	}
	atomic {
		handed = slot[me].loaded;
		handed_rounds = slot[me].rounds;
		transit[me] = transit[me] + handed_rounds;
		slot[me].loaded = NONE;
		slot[me].rounds = 0
	}
#ifdef HAND_IN_LATE
	slot[me].busy = false;
#endif
	atomic {
		if
		:: handed != NONE && handed_rounds == handed ->
			fulls[handed]++; transit[me] = transit[me] - handed; handed_rounds = 0
		:: handed != NONE && handed_rounds == 0 -> empties[handed]++
		:: else
		fi
	}
#ifndef HAND_IN_LATE
	slot[me].busy = false;
#endif
	atomic { slab = slab + handed_rounds; transit[me] = transit[me] - handed_rounds }
handed_in:
	atomic { handed = NONE; handed_rounds = 0 }
}

proctype owner(byte me)
{
	byte turn;

	for (turn : 1 .. TURNS) {
		if
		:: get()
		:: had[me] > 0 -> put()
		:: hand_in()
		fi
	}
}

/* Are all owners out? Those that do not let go in time are given up. */
inline await(i, granted)
{
	if
	:: !slot[i].busy -> granted = true
	:: slot[i].busy -> granted = false
	fi
}

inline drain_depot()
{
	do
	:: atomic { fulls[1] > 0 -> fulls[1]--; slab++ }
	:: atomic { fulls[2] > 0 -> fulls[2]--; slab = slab + 2 }
	:: atomic { empties[1] > 0 -> empties[1]-- }
	:: atomic { empties[2] > 0 -> empties[2]-- }
	:: atomic { fulls[1] + fulls[2] + empties[1] + empties[2] == 0 -> break }
	od
}

inline slots_off(all)
{
	byte i = 0;
	bool granted = false;

	all = true;
	do
	:: atomic { i < OWNERS -> slot[i].visit = true; i++ }
	:: else -> i = 0; break
	od;
	do
	:: i < OWNERS ->
		await(i, granted);
		atomic { all = all && granted; i++ }
	:: else -> i = 0; break
	od;
#ifdef PURGE_SOME
	all = true;
#endif
	do
	:: all && i < OWNERS ->
		atomic {
#ifndef PURGE_SOME
			assert(!slot[i].busy);
#endif
			transit[RESIZER] = transit[RESIZER] + slot[i].rounds;
			slot[i].rounds = 0;
			slot[i].loaded = NONE;
			slot[i].size = 0;
			i++
		}
	:: else -> i = 0; break
	od;
	do
	:: atomic { i < OWNERS -> slot[i].visit = false; i++ }
	:: else -> i = 0; break
	od;
	granted = false
}

inline enable()
{
	byte j = 0;

	do
	:: atomic { j < OWNERS -> slot[j].size = type; j++ }
	:: else -> j = 0; break
	od
}

proctype resizer()
{
	byte visit;
	bool all;

	{
		for (visit : 1 .. RESIZES) {
#ifdef DEPOT_FIRST
			drain_depot();
#endif
			atomic { !visit_lock -> visit_lock = true }
			slots_off(all);
			visit_lock = false;
			if
			:: all ->
#ifdef ENABLE_EARLY
				atomic { type = 3 - type }
				enable();
#endif
				atomic { slab = slab + transit[RESIZER]; transit[RESIZER] = 0 }
#ifndef DEPOT_FIRST
				drain_depot();
#endif
#ifndef ENABLE_EARLY
				atomic { type = 3 - type }
				enable()
#endif
			:: else -> reached(2) skip
			fi;
			all = false
		}
	} unless { STOPPED }
}

/* What a steal does to one slot: a full magazine to the depot, in the visit. */
proctype thief()
{
	byte robbed = NONE;

	{
		atomic { !visit_lock -> visit_lock = true }
		slot[0].visit = true;
		if
		:: slot[0].busy
		:: atomic {
			!slot[0].busy && slot[0].loaded != NONE &&
				slot[0].rounds == slot[0].loaded ->
			robbed = slot[0].loaded;
			slot[0].loaded = NONE;
			slot[0].rounds = 0
		   }
#ifdef ROB_LATE
		   slot[0].visit = false;
		   visit_lock = false;
#endif
		   atomic { fulls[robbed]++; robbed = NONE }
		:: !slot[0].busy && (slot[0].loaded == NONE || slot[0].rounds != slot[0].loaded)
		fi;
		atomic { slot[0].visit = false; visit_lock = false }
	} unless { STOPPED }
}

proctype stopper()
{
#ifdef STOP
	stop = true
#else
	skip
#endif
}

proctype check()
{
	byte i, sum;

end_check:
	_nr_pr == 2 && !stop;
	sum = slab + fulls[1] + 2 * fulls[2];
	for (i : 0 .. OWNERS - 1) {
		assert(slot[i].loaded == NONE || slot[i].loaded == slot[i].size);
		assert(slot[i].size == type);
		sum = sum + slot[i].rounds + had[i]
	}
	assert(fulls[3 - type] == 0 && empties[3 - type] == 0);
	assert(sum == OBJECTS)
}

init {
	byte i;

	atomic {
		run check();
		for (i : 0 .. OWNERS - 1) {
			slot[i].size = type;
			slot[i].loaded = 1;
			slot[i].rounds = 1;
			had[i] = 1;
			slab = slab - 2;
			run owner(i)
		}
		i = 0;
		run resizer();
		run thief();
		run stopper()
	}
}
