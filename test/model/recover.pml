/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Recovery (recover.c) beside owners and a visitor that live, of an owner, a visitor and another
 * recovery that are killed before any of their steps, or after the last: slots with what they say
 * of themselves (torn, pair.h), magazines with what they hold, the depot, the arena with its marks
 * and what is pending, the slab layer, and hands (hands.h). killed.pml has the cache, owners.pml
 * what owners do.
 *
 * Safety: when all have ended, each object is in one place, or with a user, and none is lost but
 * what the killed ones had as users; magazines are in a slot or on a list, or free in the arena;
 * nobody is left waiting. Which magazines are there at first, and which are full, is chosen.
 *
 * What is abstracted:
 * - A magazine has one round, a cache one home, two slots with an owner and five magazines. There
 *   are no segments, no objects in transit, no shared slot.
 * - That a visitor and an owner exclude each other is bias.pml's, that lists are exact is
 *   depot.pml's. What a killed thread has stored is seen, in its order.
 * - Who is to be killed is (is_mortal), at last after its last step. So each search ends with
 *   recovery, and recovery of a thread that had nothing is among them.
 * - The word of hands.h is its lowest bit, and whether it changed since it was read (moved).
 * - Where the code waits for a bounded time, this waits until somebody ends it.
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
#ifdef NO_SECOND_LOOK
#define LOOK_AGAIN false
#else
#define LOOK_AGAIN true
#endif

#include "owners.pml"

#ifdef DETACH_UNSAID
#define set_held(m, x) skip
#else
#define set_held(m, x) magazine[m].held = x
#endif

/* A magazine leaves a slot: m2. */

inline detach_previous()
{
	m2 = slot[s].previous;
	held = slot[s].previous_rounds;
	may_die();
	set_held(m2, held);
	may_die();
	slot[s].torn = PREVIOUS;
	may_die();
	slot[s].previous = NONE;
	may_die();
	slot[s].previous_rounds = 0;
	torn_end()
}

inline detach_loaded()
{
	m2 = slot[s].loaded;
	held = slot[s].rounds;
	may_die();
	set_held(m2, held);
	may_die();
	slot[s].torn = LOADED;
	may_die();
	slot[s].loaded = NONE;
	may_die();
	slot[s].rounds = 0;
	torn_end()
}

#ifdef HANDS_LATE
#define hands_in_time() skip
#define hands_late() hands_begin()
#else
#define hands_in_time() hands_begin()
#define hands_late() skip
#endif

/* A full magazine of the depot goes to the slabs. */
inline reap()
{
	if
	:: atomic { working_set == NONE -> may_die(); working_set = me + 1; depot_take(FULL, m2) }
		if
		:: m2 != NONE -> hands_begin(); destroy(m2); hands_end()
		:: m2 == NONE
		fi;
		atomic { may_die(); working_set = NONE }
	:: working_set != NONE
	fi
}

/* One magazine of a slot, to the depot, or to the slabs with the slot let go. */
inline visit_one()
{
	if
	:: atomic { visit_lock == NONE -> may_die(); visit_lock = me + 1 }
	:: visit_lock != NONE -> goto visited
	fi;
	hands_in_time();
	if
	:: s = KILLED
	:: s = LIVING
	fi;
	atomic { may_die(); slot[s].visit = true }
	if
	:: atomic { !slot[s].busy && slot[s].previous != NONE -> detach_previous() }
	:: atomic { !slot[s].busy && slot[s].loaded != NONE -> detach_loaded() }
	:: true
	fi;
	atomic {
		if
		:: m2 != NONE -> depot_put(m2, (held -> FULL : EMPTY)); m2 = NONE
		:: true
		fi;
		held = 0;
		may_die();
		slot[s].visit = false;
		s = 0;
		may_die();
		visit_lock = NONE
	}
	hands_late();
	if
	:: m2 != NONE -> destroy(m2)
	:: m2 == NONE
	fi;
	hands_end()
}

proctype visitor(byte me)
{
	byte m, m2, o, s, held, settled;

	if
	:: visit_one()
	:: reap()
	fi;
visited:
	atomic {
		s = 0;
died:
		dead[me] = is_mortal(me);
		m = 0; m2 = 0; o = 0; s = 0; held = 0; settled = 0
	}
}

/* Recovery */

#ifdef LOCKS_KEPT
#define lock_take(lock) lock == NONE -> may_die(); lock = me + 1
#else
#define lock_take(lock) lock == NONE || is_dead(lock) -> may_die(); lock = me + 1
#endif

inline mend()
{
	may_die();
	if
	:: slot[s].torn == SWAP_EMPTY || slot[s].torn == SWAP_FULL ->
		m2 = slot[s].torn_loaded;
		m = (slot[s].loaded == m2 -> slot[s].previous : slot[s].loaded);
		slot[s].loaded = m;
		may_die();
		slot[s].rounds = (slot[s].torn == SWAP_EMPTY -> 1 : 0);
		may_die();
		slot[s].previous = m2;
		may_die();
		slot[s].previous_rounds = (slot[s].torn == SWAP_FULL -> 1 : 0);
		may_die()
	:: else
	fi;
	if
	:: slot[s].torn == BOTH || slot[s].torn == LOADED ->
		slot[s].loaded = NONE;
		may_die();
		slot[s].rounds = 0;
		may_die()
	:: else
	fi;
	if
	:: slot[s].torn == BOTH || slot[s].torn == PREVIOUS ->
		slot[s].previous = NONE;
		may_die();
		slot[s].previous_rounds = 0
	:: else
	fi;
	torn_end();
	m = NONE;
	m2 = NONE
}

#ifdef DEAD_HANDS
#define has_in_hand(i) in_hand[i]
#else
#define has_in_hand(i) (in_hand[i] && !dead[i])
#endif

inline name_list(which)
{
	for (m : 1 .. MAGAZINES) {
		named[m] = named[m] || magazine[m].list == which
	}
	m = NONE
}

/* What slots, lists and the arena name while nobody who lives has any in hand. */
inline look()
{
	do
	:: atomic { !has_in_hand(KILLED) -> may_die(); looking = true; moved[KILLED] = false }
		atomic { !has_in_hand(LIVING) -> moved[LIVING] = false }
		atomic { !has_in_hand(VISITOR) -> moved[VISITOR] = false }
		atomic {
			for (m : 1 .. MAGAZINES) {
				named[m] = slot[0].loaded == m || slot[0].previous == m ||
					slot[1].loaded == m || slot[1].previous == m
			}
			name_list(FULL)
		}
		atomic { name_list(EMPTY) }
		atomic {
			for (m : 1 .. MAGAZINES) { named[m] = named[m] || magazine[m].pending }
			m = NONE
		}
		atomic {
			if
			:: LOOK_AGAIN && (has_in_hand(KILLED) || has_in_hand(LIVING) ||
				has_in_hand(VISITOR) || moved[KILLED] || moved[LIVING] ||
				moved[VISITOR]) ->
				for (m : 1 .. MAGAZINES) { named[m] = false }
				looked = false
			:: else -> looked = true
			fi;
			looking = false;
			moved[KILLED] = false;
			moved[LIVING] = false;
			moved[VISITOR] = false;
			m = NONE;
			if
			:: looked -> looked = false; break
			:: else
			fi
		}
	od
}

/* All is free but what is named. */
inline rebuild()
{
	for (n : 1 .. MAGAZINES) { may_die(); magazine[n].free = false }
	for (n : 1 .. MAGAZINES) {
		may_die();
		magazine[n].out = magazine[n].out && named[n]
	}
	for (n : 1 .. MAGAZINES) {
		if
		:: !magazine[n].out -> may_die(); spoil(n); magazine[n].free = true
		:: else
		fi;
		named[n] = false
	}
	n = 0
}

/* The victim; done is false: it is to be repeated. */
inline recover()
{
	atomic {
		lock_take(visit_lock);
#ifndef NO_WORKING_SET
		lock_take(working_set);
#endif
		may_die();
		slab_lock_take();
		slab_lock = NONE;
		s = KILLED;
		if
		:: victim == KILLED -> mend(); may_die(); slot[s].busy = false
		:: else
		fi
	}
	/* What a visitor that is dead has left torn is closed still, and nobody is inside. */
#ifndef NO_VISITED
	atomic {
		s = LIVING;
		if
		:: slot[s].visit -> !slot[s].busy; mend()
		:: slot[s].torn == WHOLE
		fi
	}
#endif
	atomic {
		s = KILLED;
		if
		:: slot[s].torn != WHOLE && slot[s].visit && !slot[s].busy -> mend()
		:: else
		fi
	}
#ifndef NO_VISIT
	atomic { may_die(); slot[0].visit = true }
	atomic { may_die(); slot[1].visit = true }
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
		atomic { lock_take(arena_lock) }
		look();
		/* What nobody names. */
		atomic {
			n = 1;
			do
			:: n > MAGAZINES -> break
			:: n <= MAGAZINES ->
				if
				:: magazine[n].out && !named[n] && magazine[n].held > 0 ->
					reached(2) drain(n)
				:: else
				fi;
				n++
			od;
			n = 0
		}
		atomic { rebuild() }
		arena_let_go()
	:: !done -> reached(3) skip
	fi;
	atomic {
		may_die();
		slot[0].visit = false;
		may_die();
		slot[1].visit = false;
		may_die();
		working_set = NONE;
		may_die();
		visit_lock = NONE;
		s = 0;
		recovered[victim] = done;
		victim = 0;
		done = false
	}
}

#define is_left(i) (dead[i] && !recovered[i])
/* Nobody else is to be killed whom this one recovers. */
#define is_over(i) (!is_mortal(i) || i == me || (dead[i] && recovered[i]))

proctype recovery(byte me)
{
	byte m, m2, n, o, s, settled, victim;
	bool named[MAGAZINES + 1], recovered[SECOND];
	bool done, looked;

	me == FIRST || dead[FIRST];
	do
	:: is_over(KILLED) && is_over(VISITOR) && is_over(FIRST) -> break
	:: else ->
		if
		:: is_left(KILLED) -> victim = KILLED
		:: is_left(VISITOR) -> victim = VISITOR
		:: me == SECOND && is_left(FIRST) -> victim = FIRST
		fi;
		recover()
	od;
	atomic {
		s = 0;
died:
		dead[me] = is_mortal(me);
		looking = false;
		moved[KILLED] = false; moved[LIVING] = false; moved[VISITOR] = false;
		for (m : 1 .. MAGAZINES) { named[m] = false }
		recovered[KILLED] = false; recovered[VISITOR] = false; recovered[FIRST] = false;
		m = 0; m2 = 0; n = 0; o = 0; s = 0; settled = 0; victim = 0;
		done = false; looked = false
	}
}

hidden byte places[OBJECTS + 1];

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
	:: magazine[m].held = 0; magazine[m].object = NONE
	fi
}

/* What a magazine in a slot once said that it holds is not true any more. */
#define stale(m) magazine[m].held = 1 - magazine[m].held

/* Free, with object m in the slabs. */
#define leave_free(m) magazine[m].free = true; spoil(m)

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
		:: leave_free(2)
		fi;
		magazine[3].out = true;
		slot[LIVING].loaded = 3;
		if
		:: fill(4); magazine[4].list = (magazine[4].held -> FULL : EMPTY)
		:: leave_free(4)
		fi;
		leave_free(5);
		object_out[5] = OUT;
		had[5] = KILLED + 1;
		object_out[6] = OUT;
		had[6] = LIVING + 1;
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
	}
}
