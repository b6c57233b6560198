/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A list of the depot (depot.c): index, total, min and tag change by one compare-exchange of both
 * halves; they are read half by half. Threads take one magazine or two, and put what they have; who
 * has a magazine may write anything into its link, which others still read. Maintenance restarts the
 * working set meanwhile. Compare-exchange is a full barrier on both sides: no buffers are needed here.
 *
 * Safety: no magazine is had twice or lost; total is the list's length, min the lowest since the last
 * restart, exactly. Progress: whoever stops (they all may, after any statement: there is none to wait
 * for), the others end; and nobody tries for ever, which is checked as absence of non-progress cycles.
 *
 * Checks and mutations: `checks`.
 */

#include "witness.pml"

#ifndef MAGAZINES
#define MAGAZINES 3
#endif
#ifndef TURNS
#define TURNS 2
#endif
#ifndef TAKERS
#define TAKERS 2
#endif
#define NOBODY 255

typedef half_lo {
	byte index;
	byte total;
	byte min
};

half_lo list; /* the lower half */
byte list_tag; /* the upper one */
byte next[MAGAZINES + 1];

/* What is really so. */
byte holder[MAGAZINES + 1];
byte length, lowest;

inline peek(old, tag)
{
#ifndef TAG_LAST
	tag = list_tag;
#endif
	d_step {
		old.index = list.index;
		old.total = list.total;
		old.min = list.min
	}
#ifdef TAG_LAST
	tag = list_tag
#endif
}

/* Puts in new if old is still there, else old becomes what is there. */
#ifdef HALF_COMPARED
#define SAME_TAG(tag) true
#else
#define SAME_TAG(tag) (list_tag == tag)
#endif

#define SAME(old, tag)                                                                             \
	(list.index == old.index && list.total == old.total && list.min == old.min && SAME_TAG(tag))

inline set_list(new)
{
	list.index = new.index;
	list.total = new.total;
	list.min = new.min
}

inline reload(old, tag)
{
#ifndef STALE_RETRY
	old.index = list.index;
	old.total = list.total;
	old.min = list.min;
	tag = list_tag
#else
	skip
#endif
}

inline took(m, me)
{
	assert(m >= 1 && m <= MAGAZINES && holder[m] == NOBODY);
	holder[m] = me
}

inline note_take(n)
{
	length = length - n;
	if
	:: lowest > length -> lowest = length
	:: else
	fi
}

inline reset_locals()
{
	d_step {
		old.index = 0; old.total = 0; old.min = 0; tag = 0;
		new.index = 0; new.total = 0; new.min = 0;
		first = 0; second = 0; taken = 0; want = 0; done = false
	}
}

inline take()
{
	if
	:: want = 1
	:: want = 2
	fi;
	peek(old, tag);
	do
	:: old.index == 0 -> break
	:: else ->
		d_step {
			first = old.index;
			second = next[first];
			taken = (want > 1 && second != 0 -> 2 : 1);
			new.index = second
		}
		if
		:: taken == 2 -> new.index = next[second]
		:: else
		fi;
		d_step {
			new.total = old.total - taken;
			new.min = (old.min < new.total -> old.min : new.total);
#ifdef MIN_LATE
			new.min = old.min;
#endif
#ifdef TOTAL_LATE
			new.total = old.total;
#endif
			if
			:: SAME(old, tag) ->
				set_list(new);
#ifdef BATCH_UNTAGGED
				list_tag = list_tag + (taken == 1 -> 1 : 0);
#else
#ifndef NO_TAG
				list_tag = list_tag + 1;
#endif
#endif
				took(first, _pid);
				if
				:: taken == 2 -> reached(1) took(second, _pid)
				:: else
				fi;
				note_take(taken);
				done = true
			:: else -> reached(2) reload(old, tag)
			fi
		}
		if
		:: done ->
#ifdef MIN_LATE
			d_step { list.min = (list.min < list.total -> list.min : list.total) }
#endif
#ifdef TOTAL_LATE
			d_step { list.total = list.total - taken }
#endif
			break
		:: else
		fi
	od
}

inline put(m)
{
	done = false;
	peek(old, tag);
	do
	:: done -> break
	:: else ->
#ifndef LINK_LATE
		next[m] = old.index;
#endif
		d_step {
			new.index = m;
			new.total = old.total + 1;
			new.min = old.min;
			if
			:: SAME(old, tag) ->
				set_list(new);
				assert(holder[m] == _pid);
				holder[m] = NOBODY;
				length++;
				done = true
			:: else -> reload(old, tag)
			fi
		}
#ifdef LINK_LATE
		if
		:: done -> next[m] = old.index
		:: else
		fi
#endif
	od
}

proctype user()
{
	half_lo old, new;
	byte tag, first, second, taken, want, turn;
	bool done;

	for (turn : 1 .. TURNS) {
		take();
		/* What it has it may use, even the link's word; then it puts it, or keeps it. */
		if
		:: done && taken == 2 -> next[second] = 0; put(second)
		:: else
		fi;
		if
		:: done -> next[first] = 2; put(first)
		:: done && turn < TURNS -> put(first)
		:: true
		fi;
		reset_locals()
	}
}

proctype maintenance()
{
	half_lo old, new;
	byte tag, first, second, taken, want;
	bool done;

	peek(old, tag);
	do
	:: done -> break
	:: else ->
		d_step {
			new.index = old.index;
			new.total = old.total;
			new.min = old.total;
			if
			:: SAME(old, tag) ->
				/* What is reported is what was reached. */
				assert(old.min == lowest);
				set_list(new);
				lowest = length;
				done = true
			:: else -> reload(old, tag)
			fi
		}
	od;
	reset_locals()
}

/* Nobody works: the list is what is left, each magazine once. */
proctype check()
{
	byte at, count;

end_check:
	_nr_pr == 2;
	assert(list.total == length && list.min == lowest);
	at = list.index;
	do
	:: at == 0 -> break
	:: else ->
		assert(holder[at] == NOBODY && count < MAGAZINES);
		count++;
		at = next[at]
	od;
	assert(count == length)
}

init {
	byte i;

	atomic {
		for (i : 1 .. MAGAZINES) {
			next[i] = i - 1;
			holder[i] = NOBODY
		}
		list.index = MAGAZINES;
		list.total = MAGAZINES;
		list.min = MAGAZINES;
		length = MAGAZINES;
		lowest = MAGAZINES;
		i = 0;
		run check();
		for (i : 1 .. TAKERS) {
			run user()
		}
#ifdef MAINTENANCE
		run maintenance();
#endif
		i = 0
	}
}
