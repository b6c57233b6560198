/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Poll mode (visit=0): nobody is visited; an allocation that found too little sets ASKED in the
 * slots that hold something, and each owner hands in at its next operation (mag_sweep_ask() in
 * sweep.c, slot_hold() and mag_home_flush_held() in home.c). A magazine has 2 rounds, a slot one
 * magazine.
 *
 * Safety: nobody but its owner changes a slot; no object is lost or there twice; an owner that
 * begins an operation after it was asked has, before the operation is over, let go of what it held
 * when it was asked, so that who asked and looks again can have it. Progress: all operations end
 * (no cycles), also when the one who asks has stopped.
 *
 * FAILS: who asks has tried to visit, and its membarrier failed: an owner may be inside that it
 * cannot see (how that can be shows bias.pml; here busy is not looked at). The slots are let go
 * untouched, and the owners asked.
 */

#include "witness.pml"

#define OWNERS 2
#ifndef TURNS
#define TURNS 2
#endif
#define ROUNDS 2
#define OBJECTS 5

typedef slot_t {
	bool busy;
	bool visited;
	bool asked;
	byte rounds;
	bool owed /* asked while it held something, and not yet handed in */
};

slot_t slot[OWNERS];
byte fulls;
byte slab;
byte transit;
byte user[OWNERS];
byte asker_has;
bool stop;

inline hand_in()
{
	atomic { count = slot[me].rounds; transit = transit + count };
	assert(slot[me].busy);
	atomic { slot[me].rounds = 0; slot[me].owed = false };
	if
	:: count == ROUNDS -> fulls++
	:: count < ROUNDS
	fi;
	slot[me].busy = false;
	if
#ifdef PARTIAL_DROPPED
	:: true
#else
	:: count > 0 && count < ROUNDS -> slab = slab + count
	:: count == 0 || count == ROUNDS
#endif
	fi;
	atomic { transit = transit - count; count = 0 };
#ifndef NO_ANSWER
	slot[me].asked = false
#endif
}

/* Fast path first: any bit of the word sends it here. */
inline hold()
{
	do
	:: slot[me].visited -> goto slab_layer
	:: atomic { !slot[me].visited -> slot[me].busy = true };
	   if
#ifdef ASKED_UNSEEN
	   :: true -> break
#else
	   :: slot[me].asked -> reached(1) hand_in()
	   :: !slot[me].asked -> break
#endif
	   fi
	od
}

proctype owner(byte me)
{
	byte turn, count;
	bool owed;

	for (turn : 1 .. TURNS) {
		/* What it owes now it shall not owe when it is in. */
		owed = slot[me].owed && slot[me].asked;
		hold();
		atomic {
			if
			:: owed -> reached(2) assert(slot[me].rounds == 0); owed = false
			:: !owed
			fi
		};
		if
		:: atomic { slot[me].rounds > 0 -> slot[me].rounds--; user[me]++ }
		:: atomic { slot[me].rounds == 0 && fulls > 0 -> fulls--;
			slot[me].rounds = ROUNDS - 1; user[me]++ }
		:: atomic { user[me] > 0 && slot[me].rounds < ROUNDS ->
			slot[me].rounds++; user[me]-- }
		:: true
		fi;
		slot[me].busy = false;
		goto over;
slab_layer:
		reached(3)
		atomic {
			if
			:: slab > 0 -> slab--; user[me]++
			:: user[me] > 0 -> user[me]--; slab++
			:: true
			fi
		};
over:		skip
	}
}

/* The sweep of sweep_await(). */
inline visit_in_vain()
{
#ifdef FAILS
	slot[0].visited = true;
	slot[1].visited = true;
#ifdef GRANTS_ANYWAY
	atomic { assert(!slot[0].busy); asker_has = asker_has + slot[0].rounds;
		slot[0].rounds = 0 };
#endif
	slot[0].visited = false;
	slot[1].visited = false
#else
	skip
#endif
}

inline ask(i)
{
	if
	:: slot[i].rounds > 0 ->
		atomic {
			slot[i].asked = true;
			/* It may have handed in meanwhile. */
			slot[i].owed = slot[i].rounds > 0
		}
	:: slot[i].rounds == 0
	fi
}

inline take()
{
	atomic {
		if
		:: fulls > 0 -> fulls--; asker_has = asker_has + ROUNDS
		:: fulls == 0 && slab > 0 -> slab--; asker_has++
		:: fulls == 0 && slab == 0
		fi
	}
}

proctype asker()
{
	{
		take();
		visit_in_vain();
		ask(0);
		ask(1);
		take()
	} unless {
#ifdef STOP
		stop
#else
		false
#endif
	}
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
end_check:
	_nr_pr == 2;
	assert(transit == 0);
	assert(slab + fulls * ROUNDS + slot[0].rounds + slot[1].rounds + user[0] +
		user[1] + asker_has ==
	       OBJECTS)
}

init {
	atomic {
		slot[0].rounds = 2;
		slot[1].rounds = 1;
		user[1] = 1;
		user[0] = 1;
		run check();
		run owner(0);
		run owner(1);
		run asker();
		run stopper()
	}
}
