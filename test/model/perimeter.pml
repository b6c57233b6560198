/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The resize perimeter (mag_perimeter_enter() and mag_perimeter_leave() in visit.c): one thread at a
 * time, which may enter again; others wait, or get EBUSY. Who destroys a cache and is refused enables it
 * from inside: that is the entry again.
 *
 * Safety: two threads are never inside; between calls every slot's size is the type in force, or 0
 * when it was purged and nobody has enabled it since. Progress: who waits gets in when the others have
 * left; who does not wait ends even if the one inside has stopped for ever (STOP).
 */

#include "witness.pml"

#define NOBODY 0

#ifndef TURNS
#define TURNS 1
#endif

byte perimeter;
byte depth;
bool off;      /* purged, and not yet enabled by whoever did it */
byte type = 1;
byte size = 1; /* of the slots */
byte inside;   /* who is; written without the perimeter's help */
bool stop;

inline compare_exchange()
{
	d_step {
		if
		:: perimeter == expected -> perimeter = _pid; entered = true
		:: else -> expected = perimeter
		fi
	}
}

inline enter(wait)
{
	entered = false;
	expected = NOBODY;
	if
#ifndef NO_ENTRY_AGAIN
	:: perimeter == _pid -> reached(1) depth++; entered = true
#endif
	:: else ->
		do
		:: compare_exchange();
		   if
		   :: entered -> depth = 1; break
#ifndef NOWAIT_WAITS
		   :: !entered && !wait -> reached(2) break
		   :: !entered && wait ->
#else
		   :: !entered ->
#endif
#ifndef EXPECTED_KEPT
			expected = NOBODY;
#endif
			/* The sleep is over when it can matter: waiting is no circle of states. */
			perimeter == expected;
			reached(3)
			skip
		   fi
		od
	fi
}

inline leave()
{
#ifdef LEAVE_WHOLLY
	perimeter = NOBODY;
#else
#ifdef NEVER_LEFT
	depth--;
#else
#ifdef DEPTH_LATE
	if
	:: depth == 1 -> perimeter = NOBODY
	:: else
	fi;
	depth--;
#else
	depth--;
	if
	:: depth == 0 -> perimeter = NOBODY
	:: else
	fi
#endif
#endif
#endif
}

inline come_in()
{
	atomic { assert(inside == NOBODY); inside = _pid }
}

inline go_out()
{
	atomic { assert(inside == _pid && perimeter == _pid && depth == 1); inside = NOBODY }
}

inline enable_inside()
{
	assert(inside == _pid);
#ifdef ENABLE_ALWAYS
	size = type
#else
	if
	:: !off -> size = type
	:: off
	fi
#endif
}

/* mag_cache_change_type(), waiting or not. */
inline resize(wait)
{
	enter(wait);
	if
	:: entered ->
		come_in();
		size = 0;
		type = 3 - type;
		enable_inside();
		go_out();
		leave()
	:: else
	fi
}

inline purge()
{
	enter(false);
	if
	:: entered -> come_in(); size = 0; off = true; go_out(); leave()
	:: else
	fi
}

inline enable()
{
	enter(true);
	come_in();
	off = false;
	enable_inside();
	go_out();
	leave()
}

/* mag_cache_destroy() which is refused. */
inline destroy()
{
	enter(false);
	if
	:: entered ->
		come_in();
		size = 0;
		enter(true);
		assert(depth == 2 && perimeter == _pid);
		off = false;
		enable_inside();
		leave();
		go_out();
		leave()
	:: else
	fi
}

proctype user()
{
	byte expected, turn;
	bool entered;

	{
		for (turn : 1 .. TURNS) {
			if
			:: resize(true)
			:: resize(false)
			:: purge()
			:: enable()
			:: destroy()
			fi;
			atomic { entered = false; expected = NOBODY }
		}
	} unless {
#ifdef STOP
		stop
#else
		false
#endif
	}
}

/* Never waits, and so ends whatever the other does. */
proctype hasty()
{
	byte expected, turn;
	bool entered;

	for (turn : 1 .. TURNS) {
		if
		:: resize(false)
		:: purge()
		:: destroy()
		fi;
		atomic { entered = false; expected = NOBODY }
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
	_nr_pr == 2 && !stop;
	assert(perimeter == NOBODY && inside == NOBODY);
	assert(size == (off -> 0 : type))
}

init {
	atomic {
		run check();
		run user();
		run hasty();
#ifndef STOP
		run user();
#endif
		run stopper()
	}
}
