/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The resize perimeter (mag_perimeter_enter_within() and mag_perimeter_leave() in perimeter.c): one
 * thread at a time, which may enter again; others get EBUSY, or sleep until it is left and try
 * again (a futex on the number of times that it was left), up to a deadline. Who destroys a cache
 * and is refused enables it from inside: that is the entry again.
 *
 * Safety: two threads are never inside; between calls every slot's size is the type in force, or 0
 * when it was purged and nobody has enabled it since; nobody sleeps for ever, here without
 * deadlines, so that no one is needed to repair a wake-up that was lost. Progress: who waits gets
 * in when the others have left. Who does not wait ends even if the one inside has stopped for ever
 * (STOP); so does who waits, by its deadline (DEADLINE).
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
byte left;     /* how often it was left, and who sleeps until that is another number */
bool asleep[7];
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

/* FUTEX_WAIT: the number is looked at and the thread put to sleep in one. */
inline sleep()
{
#ifndef SLEEP_UNSEEN
	d_step {
		if
		:: left == seen -> asleep[_pid] = true
		:: else
		fi
	}
#else
	if
	:: left == seen -> asleep[_pid] = true
	:: else
	fi
#endif
	if
	:: !asleep[_pid] -> reached(3) skip
#ifdef DEADLINE
	:: asleep[_pid] -> reached(4) asleep[_pid] = false; late = true
#endif
	fi
}

/* FUTEX_WAKE of all */
inline wake()
{
	d_step {
		for (at : 0 .. 6) {
			asleep[at] = false
		}
		at = 0
	}
}

inline enter(wait)
{
	entered = false;
	late = false;
	expected = NOBODY;
	if
#ifndef NO_ENTRY_AGAIN
	:: perimeter == _pid -> reached(1) depth++; entered = true
#endif
	:: else ->
		do
		::
#ifndef SEEN_LATE
		   seen = left;
#endif
#ifndef EXPECTED_KEPT
		   expected = NOBODY;
#endif
		   compare_exchange();
		   if
		   :: entered -> depth = 1; break
#ifndef NOWAIT_WAITS
		   :: !entered && (!wait || late) -> reached(2) break
		   :: !entered && wait && !late ->
#else
		   :: !entered ->
#endif
#ifdef SEEN_LATE
			seen = left;
#endif
			sleep()
		   fi
		od
	fi;
	seen = 0
}

inline free_and_count()
{
#ifdef COUNTED_FIRST
	left++;
	perimeter = NOBODY;
#else
	perimeter = NOBODY;
#ifndef NOT_COUNTED
	left++;
#endif
#endif
#ifndef NO_WAKE
	wake()
#endif
}

inline leave()
{
#ifdef LEAVE_WHOLLY
	free_and_count()
#else
#ifdef NEVER_LEFT
	depth--;
#else
#ifdef DEPTH_LATE
	if
	:: depth == 1 -> free_and_count()
	:: else
	fi;
	depth--;
#else
	depth--;
	if
	:: depth == 0 -> free_and_count()
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
	if
	:: entered -> come_in(); off = false; enable_inside(); go_out(); leave()
	:: else
	fi
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
	byte expected, turn, seen, at;
	bool entered, late;

	{
		for (turn : 1 .. TURNS) {
			if
			:: resize(true)
			:: resize(false)
			:: purge()
			:: enable()
			:: destroy()
			fi;
			atomic { entered = false; late = false; expected = NOBODY }
		}
	} unless {
#ifdef STOP
		stop
#else
		false
#endif
	}
}

/* Never waits without a deadline, and so ends whatever the other does. */
proctype hasty()
{
	byte expected, turn, seen, at;
	bool entered, late;

	for (turn : 1 .. TURNS) {
		if
		:: resize(false)
#ifdef DEADLINE
		:: resize(true)
#endif
		:: purge()
		:: destroy()
		fi;
		atomic { entered = false; late = false; expected = NOBODY }
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
