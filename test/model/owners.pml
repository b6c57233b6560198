/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What owners do in the cache of killed.pml: get, put, swap, exchange, magazines from the arena and
 * to it, and past the slot. An operation that needs nothing but the slot is one step, in which no
 * visitor finds the owner inside; for that, a visitor may give up at any time.
 */

#include "killed.pml"

/* A slot, s. */

inline torn_end()
{
	may_die();
	slot[s].torn = WHOLE;
	slot[s].torn_loaded = NONE
}

inline swap(how)
{
	may_die();
	a = slot[s].loaded;
	b = slot[s].previous_rounds;
	slot[s].torn = how;
	slot[s].torn_loaded = a;
#ifdef SWAP_TORN_EARLY
	torn_end();
#endif
	may_die();
	slot[s].loaded = slot[s].previous;
	may_die();
	slot[s].previous = a;
	may_die();
	slot[s].previous_rounds = slot[s].rounds;
	may_die();
	slot[s].rounds = b;
#ifndef SWAP_TORN_EARLY
	torn_end();
#endif
	a = NONE;
	b = 0
}

inline exchange_begin()
{
	may_die();
#ifdef TORN_FIRST
	slot[s].torn = BOTH;
	may_die();
#endif
	magazine[slot[s].loaded].held = slot[s].rounds;
	may_die();
	magazine[slot[s].previous].held = slot[s].previous_rounds;
#ifndef TORN_FIRST
	may_die();
	slot[s].torn = BOTH
#endif
}

/* Two steps: the take, and what the slot gives for it. */

inline load_take(which)
{
	exchange_begin();
	depot_take(which, m)
}

inline load_put(which)
{
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
		may_die();
		slot[s].previous = slot[s].loaded;
		may_die();
		slot[s].previous_rounds = slot[s].rounds;
		may_die();
		slot[s].loaded = m;
		may_die();
		slot[s].rounds = (which == FULL -> 1 : 0)
	:: else
	fi;
	torn_end();
	m = NONE
}

inline enter()
{
	may_die();
	inside = !slot[me].visit;
	slot[me].busy = inside
}

inline leave()
{
	may_die();
	slot[s].busy = false
}

/* A full magazine past the slot; its object may be no longer needed, and goes to the slabs. */
inline take_from_depot()
{
	hands_begin();
	atomic { depot_take(FULL, m2) }
	if
	:: atomic { m2 != NONE ->
		may_die();
		if
		:: magazine[m2].held = 0;
			o = magazine[m2].object;
			user_gets(o);
			magazine[m2].object = NONE;
			o = NONE
		:: skip
		fi;
		drain(m2)
	   }
	   arena_put(m2)
	:: m2 == NONE
	fi;
	hands_end()
}

inline get_round()
{
	may_die();
	slot[s].rounds = 0;
	o = magazine[slot[s].loaded].object;
	user_gets(o);
	magazine[slot[s].loaded].object = NONE;
	o = NONE;
	leave();
	goto operated
}

inline get()
{
	atomic {
		enter();
		if
		:: inside && slot[s].rounds == 0 && slot[s].previous_rounds > 0 -> swap(SWAP_EMPTY)
		:: else
		fi;
		if
		:: inside && slot[s].rounds > 0 -> inside = false; get_round()
		:: inside && slot[s].rounds == 0 -> load_take(FULL)
		:: else
		fi
	}
	if
	:: atomic { inside ->
		inside = false;
		load_put(FULL);
		if
		:: slot[s].rounds > 0 -> get_round()
		:: else -> leave()
		fi
	   }
	:: !inside
	fi;
	if
	:: slab_take()
	:: take_from_depot()
	fi
}

/* Of a slot that has room for it. */
inline put_round()
{
	may_die();
	magazine[slot[s].loaded].object = mine;
	may_die();
	slot[s].rounds = 1;
	had[mine] = NONE;
	mine = NONE
}

#define has_room (slot[s].loaded != NONE && slot[s].rounds == 0)

/* The object `mine`; m2: an empty magazine for the depot, or NONE. */
inline put_with()
{
	atomic {
		enter();
		if
		:: inside && m2 != NONE -> depot_put(m2, EMPTY); m2 = NONE
		:: else
		fi
	}
	if
	:: atomic { inside ->
		if
		:: has_room
		:: !has_room && slot[s].previous != NONE && slot[s].previous_rounds == 0 ->
			swap(SWAP_FULL)
		:: else -> load_take(EMPTY)
		fi
	   }
	   atomic {
		inside = false;
		if :: slot[s].torn == BOTH -> load_put(EMPTY) :: else fi;
		if :: has_room -> put_round() :: else fi;
		leave()
	   }
	:: !inside
	fi;
	if :: m2 != NONE -> arena_put(m2) :: m2 == NONE fi
}

/* With what the slot and the depot have; with a new magazine; to the slabs. */
inline put()
{
	atomic { pick(mine, OBJECTS, had[mine] == me + 1) }
	do
	:: mine != NONE ->
		put_with();
		if
		:: mine == NONE || asked -> break
		:: mine != NONE && !asked ->
			hands_begin();
			asked = true;
			arena_get();
			if
			:: m2 != NONE
			:: m2 == NONE -> break
			fi
		fi
	:: mine == NONE -> break
	od;
	if
	:: atomic { mine != NONE ->
		may_die();
		slab_lock_take();
		object_out[mine] = IN_SLAB;
		had[mine] = NONE;
		mine = NONE;
		may_die();
		slab_lock = NONE
	   }
	:: mine == NONE
	fi;
	if
	:: asked -> hands_end(); asked = false
	:: !asked
	fi
}

proctype owner(byte me)
{
	byte turn, m, m2, o, a, b, mine, settled;
	byte s = me;
	bool inside, asked;

	for (turn : 1 .. TURNS) {
		if
		:: get()
		:: put()
		fi;
operated:
		skip
	}
	atomic {
		turn = 0;
died:
		dead[me] = is_mortal(me);
		turn = 0; m = 0; m2 = 0; o = 0; a = 0; b = 0; mine = 0; settled = 0;
		inside = false; asked = false
	}
}
