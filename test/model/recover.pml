/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Recovery (recover.c) beside owners and a visitor that live, of an owner, a visitor and another
 * recovery that are killed after any of their steps: slots with what they say of themselves (torn,
 * pair.h), magazines with what they hold, the depot, the arena with its marks and what is pending,
 * the slab layer, and hands (hands.h). A magazine has one round.
 *
 * That a visitor and an owner exclude each other is bias.pml's, that lists are exact is
 * depot.pml's: both are taken for granted here, and so is that what a killed thread has stored is
 * seen, in its order. Where the code waits for a bounded time, this waits until somebody ends it.
 *
 * Safety: when all have ended, each object is in one place, or with a user, and none is lost but
 * what the killed ones had as users; magazines are in a slot or on a list, or free in the arena;
 * nobody is left waiting. Which magazines are there at first, and which are full, is chosen.
 *
 * owners.pml has the cache and what owners do.
 *
 * Searched completely are an owner that is killed, alone and beside one that lives. Visitors, and a
 * recovery that is killed itself, are written, and not yet searched.
 *
 * Checks and mutations: `checks`.
 */

#include "witness.pml"

#ifndef TURNS
#define TURNS 1
#endif
#ifndef KILL
#define KILL 1 /* 1: the owner, 2: the visitor, 4: the first that recovers */
#endif

#include "owners.pml"

inline lock_try(lock, got)
{
	atomic {
		if
		:: lock == NONE -> lock = me + 1; got = true
		:: else -> got = false
		fi
	}
}

#ifdef DETACH_UNSAID
#define set_held(m, x) skip
#else
#define set_held(m, x) magazine[m].held = x
#endif

/* A magazine leaves a slot: m2. */

inline detach_previous()
{
	atomic { m2 = slot[s].previous; held = slot[s].previous_rounds }
	set_held(m2, held);
	slot[s].torn = PREVIOUS;
	slot[s].previous = NONE;
	slot[s].previous_rounds = 0;
	torn_end()
}

inline detach_loaded()
{
	atomic { m2 = slot[s].loaded; held = slot[s].rounds }
	set_held(m2, held);
	slot[s].torn = LOADED;
	slot[s].loaded = NONE;
	slot[s].rounds = 0;
	torn_end()
}

/* One magazine of a slot, to the depot, or to the slabs with the slot let go; or a reap. */
proctype visitor(byte me)
{
	byte m, m2, o, s, held;
	bool got;

	{
		if
		:: s = KILLED
		:: s = LIVING
		:: lock_try(working_set, got);
			if
			:: got -> depot_take(FULL, m2);
				if
				:: m2 != NONE -> hands_begin(); destroy(m2); hands_end()
				:: else
				fi;
				working_set = NONE
			:: else
			fi;
			goto visited
		fi;
		lock_try(visit_lock, got);
		if
		:: got
		:: else -> goto visited
		fi;
#ifndef HANDS_LATE
		hands_begin();
#endif
		slot[s].visit = true;
		if
		:: !slot[s].busy -> detach_previous()
		:: !slot[s].busy -> detach_loaded()
		:: slot[s].busy
		fi;
		if
		:: m2 != NONE -> depot_put(m2, (held -> FULL : EMPTY)); m2 = NONE
		:: true
		fi;
		slot[s].visit = false;
		visit_lock = NONE;
#ifdef HANDS_LATE
		hands_begin();
#endif
		if :: m2 != NONE -> destroy(m2) :: else fi;
		hands_end();
visited:
		skip
	} unless { dead[me] }
}

/* Recovery */

#ifdef LOCKS_KEPT
#define lock_take(lock) atomic { lock == NONE -> lock = me + 1 }
#else
#define lock_take(lock) atomic { lock == NONE || is_dead(lock) -> lock = me + 1 }
#endif

inline mend()
{
	if
	:: slot[s].torn == SWAP_EMPTY || slot[s].torn == SWAP_FULL ->
		atomic {
			m2 = slot[s].torn_loaded;
			m = (slot[s].loaded == m2 -> slot[s].previous : slot[s].loaded)
		}
		slot[s].loaded = m;
		slot[s].rounds = (slot[s].torn == SWAP_EMPTY -> 1 : 0);
		slot[s].previous = m2;
		slot[s].previous_rounds = (slot[s].torn == SWAP_FULL -> 1 : 0)
	:: else
	fi;
	if
	:: slot[s].torn == BOTH || slot[s].torn == LOADED ->
		slot[s].loaded = NONE; slot[s].rounds = 0
	:: else
	fi;
	if
	:: slot[s].torn == BOTH || slot[s].torn == PREVIOUS ->
		slot[s].previous = NONE; slot[s].previous_rounds = 0
	:: else
	fi;
	torn_end();
	atomic { m = NONE; m2 = NONE }
}

#define in_hand(i) (hands[i] % 2 == 1 && !dead[i])
#ifdef DEAD_HANDS
#undef in_hand
#define in_hand(i) (hands[i] % 2 == 1)
#endif

inline name_list(which)
{
	atomic {
		for (m : 1 .. MAGAZINES) {
			named[m] = named[m] || magazine[m].list == which
		}
		m = NONE
	}
}

/* What slots, lists and the arena name while nobody who lives has any in hand. */
inline look()
{
	do
	:: atomic { !in_hand(0) -> seen[0] = hands[0] }
		atomic { !in_hand(1) -> seen[1] = hands[1] }
		atomic { !in_hand(2) -> seen[2] = hands[2] }
		atomic {
			for (m : 1 .. MAGAZINES) {
				named[m] = magazine[m].pending || slot[0].loaded == m ||
					slot[0].previous == m || slot[1].loaded == m ||
					slot[1].previous == m
			}
			m = NONE
		}
		name_list(FULL);
		name_list(EMPTY);
		if
#ifdef NO_SECOND_LOOK
		:: true -> break
#else
		:: !in_hand(0) && !in_hand(1) && !in_hand(2) && seen[0] == hands[0] &&
			seen[1] == hands[1] && seen[2] == hands[2] ->
			atomic { seen[0] = 0; seen[1] = 0; seen[2] = 0 }
			break
#endif
		:: else
		fi
	od
}

/* False: it is to be repeated. */
inline recover(victim)
{
	lock_take(visit_lock);
#ifndef NO_WORKING_SET
	lock_take(working_set);
#endif
	slab_lock_take();
	slab_lock = NONE;
	s = KILLED;
	if :: victim == KILLED -> mend(); slot[s].busy = false :: else fi;
	/* What a visitor that is dead has left torn is closed still, and nobody is inside. */
	s = LIVING;
#ifndef NO_VISITED
	if :: slot[s].torn != WHOLE && slot[s].visit -> !slot[s].busy; mend() :: else fi;
#endif
	s = KILLED;
	if :: slot[s].torn != WHOLE && slot[s].visit && !slot[s].busy -> mend() :: else fi;
#ifndef NO_VISIT
	slot[0].visit = true;
	slot[1].visit = true;
	!slot[LIVING].busy;
	if
	:: !slot[KILLED].busy -> done = true
	:: slot[KILLED].busy && dead[KILLED] -> done = false
	fi;
#else
	done = true;
#endif
	if
	:: done ->
		lock_take(arena_lock);
		look();
		/* What nobody names. */
		n = 1;
		do
		:: atomic { n <= MAGAZINES && !(magazine[n].out && !named[n]) -> n++ }
		:: atomic { n <= MAGAZINES && magazine[n].out && !named[n] &&
			magazine[n].held == 0 -> n++ }
		:: n <= MAGAZINES && magazine[n].out && !named[n] && magazine[n].held > 0 ->
			reached(2) drain(n); n++
		:: else -> break
		od;
		atomic { for (n : 1 .. MAGAZINES) { magazine[n].free = false } }
		atomic { for (n : 1 .. MAGAZINES) {
			magazine[n].out = magazine[n].out && named[n] } }
		atomic { for (n : 1 .. MAGAZINES) {
			magazine[n].free = !magazine[n].out; named[n] = false }
			n = 0 }
		arena_let_go()
	:: else -> reached(3) skip
	fi;
	slot[0].visit = false;
	slot[1].visit = false;
	working_set = NONE;
	visit_lock = NONE;
	n = 0;
	s = 0
}

#define is_left(i) (dead[i] && !recovered[i])

proctype recovery(byte me)
{
	byte m, m2, n, o, s;
	byte seen[3];
	bool named[MAGAZINES + 1], recovered[SECOND];
	bool done;

	{
		if
		:: me == FIRST
		:: me == SECOND && dead[FIRST]
		:: me == SECOND && !dead[FIRST] && is_over -> goto recovered_all
		fi;
		do
		:: is_left(KILLED) -> recover(KILLED); recovered[KILLED] = done
		:: is_left(VISITOR) -> recover(VISITOR); recovered[VISITOR] = done
		:: is_left(FIRST) -> recover(FIRST); recovered[FIRST] = done
		:: is_over && !is_left(KILLED) && !is_left(VISITOR) && !is_left(FIRST) -> break
		od;
recovered_all:
		skip
	} unless { dead[me] }
}

proctype killer()
{
	if :: KILL & 1 -> dead[KILLED] = true :: true fi;
	if :: KILL & 2 -> dead[VISITOR] = true :: true fi;
	if :: KILL & 4 -> dead[FIRST] = true :: true fi;
	is_over = true
}

proctype check()
{
	byte i, m;

end_check:
	_nr_pr == 2;
	atomic {
		assert(visit_lock == NONE && working_set == NONE);
		assert(arena_lock == NONE && slab_lock == NONE);
		for (i : 0 .. OWNERS - 1) {
			assert(slot[i].torn == WHOLE && !slot[i].visit && !slot[i].busy)
		}
		for (m : 1 .. MAGAZINES) {
			places[m] = (slot[0].loaded == m) + (slot[0].previous == m) +
				(slot[1].loaded == m) + (slot[1].previous == m) +
				(magazine[m].list != NOWHERE);
			assert(!magazine[m].pending && magazine[m].free != magazine[m].out);
			assert(places[m] == magazine[m].out)
		}
		for (i : 1 .. OBJECTS) {
			places[i] = (had[i] != NONE) + !object_out[i];
			for (m : 1 .. MAGAZINES) {
				places[i] = places[i] + (magazine[m].object == i &&
					(magazine[m].list == FULL ||
					(slot[0].loaded == m && slot[0].rounds == 1) ||
					(slot[0].previous == m && slot[0].previous_rounds == 1) ||
					(slot[1].loaded == m && slot[1].rounds == 1) ||
					(slot[1].previous == m && slot[1].previous_rounds == 1)))
			}
			assert(places[i] == 1)
		}
	}
}

/* Magazine m with object m, full or not. */
inline fill(m)
{
	magazine[m].out = true;
	magazine[m].object = m;
	if
	:: object_out[m] = OUT; magazine[m].held = 1
	:: magazine[m].held = 0
	fi
}

/* What a magazine in a slot once said that it holds is not true any more. */
#define stale(m) magazine[m].held = 1 - magazine[m].held

init {
	byte i;

	atomic {
		fill(1);
		slot[KILLED].loaded = 1;
		slot[KILLED].rounds = magazine[1].held;
		stale(1);
		if
		:: fill(2); slot[KILLED].previous = 2;
			slot[KILLED].previous_rounds = magazine[2].held;
			stale(2)
		:: magazine[2].free = true
		fi;
		magazine[3].out = true;
		slot[LIVING].loaded = 3;
		if
		:: fill(4); magazine[4].list = (magazine[4].held -> FULL : EMPTY)
		:: magazine[4].free = true
		fi;
		magazine[5].free = true;
		object_out[5] = OUT;
		had[5] = KILLED + 1;
		run check();
#ifndef NO_OWNER
		run owner(KILLED);
#endif
#ifndef NO_LIVING
		run owner(LIVING);
#endif
#ifndef NO_VISITOR
		run visitor(VISITOR);
#endif
		run recovery(FIRST);
#if KILL & 4
		run recovery(SECOND);
#endif
		run killer()
	}
}
