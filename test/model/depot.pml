/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A list of the depot (depot.c): index, total, min and tag change by one compare-exchange of both
 * halves; they are read half by half. Threads take one magazine or two, and put what they have; who
 * has a magazine may write anything into its link, which others still read. Maintenance restarts
 * the working set meanwhile, or reaps: takes chains of up to CHAIN magazines, no more than may be
 * reaped. Compare-exchange is a full barrier on both sides: no buffers are needed here.
 *
 * Safety: no magazine is had twice or lost; total is the list's length, min the lowest since the
 * last restart, exactly; a reap takes no more than min, and two of them no more than reaplimit.
 * Progress: whoever stops (they all may, after any statement: there is none to wait for), the
 * others end; and nobody tries for ever, which is checked as absence of non-progress cycles.
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
#ifndef LIMIT
#define LIMIT MAGAZINES
#endif
#ifndef CHAIN
#define CHAIN 3
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

#ifdef REAPER
inline reset_reaper()
{
	d_step {
		old.index = 0; old.total = 0; old.min = 0; tag = 0;
		new.index = 0; new.total = 0; new.min = 0;
		chain[0] = 0; chain[1] = 0; chain[2] = 0;
		at = 0; k = 0; want = 0; done = false
	}
}

/* One chain; k is how many it has, 0 when none may be reaped. */
inline reap()
{
	d_step {
		old.index = list.index;
		old.total = list.total;
		old.min = list.min;
		tag = list_tag;
		want = CHAIN
	}
	do
	:: done -> break
	:: else ->
#ifdef WALKED_ONCE
		if
		:: k != 0 -> goto walked
		:: else
		fi;
#endif
		d_step {
			want = (want < limit -> want : limit);
#ifndef MIN_IGNORED
			want = (want < old.min -> want : old.min);
#endif
			k = 0;
			at = old.index
		}
		do
		:: k < want && at != 0 ->
			d_step {
				chain[k] = at;
				at = next[at];
				k++
			}
		:: else -> break
		od;
		if
		:: k == 0 -> break
		:: else
		fi;
walked:
		skip;
		d_step {
			new.index = at;
			new.total = old.total - k;
			new.min = (old.min < new.total -> old.min : new.total);
			if
			:: SAME(old, tag) ->
				set_list(new);
#ifndef CHAIN_UNTAGGED
				list_tag = list_tag + 1;
#endif
				assert(k <= lowest);
				reaped = reaped + k;
				took(chain[0], _pid);
				if
				:: k > 1 -> took(chain[1], _pid)
				:: else
				fi;
				if
				:: k > 2 -> reached(3) took(chain[2], _pid)
				:: else
				fi;
				note_take(k);
#ifndef LIMIT_KEPT
				limit = limit - k;
#endif
				done = true
			:: else -> reached(4)
				reload(old, tag);
				want = (k + 1) / 2
			fi
		}
	od
}

/* Two reaps in an interval. What they destroy is a magazine again, and comes back in any order. */
proctype reaper()
{
	half_lo old, new;
	byte tag, chain[3], at, k, want, limit, reaped, turn;
	bool done;

	limit = LIMIT;
	for (turn : 1 .. 2) {
		reap();
		if
		:: k > 1 && turn == 1 ->
			next[chain[0]] = 0;
			next[chain[1]] = 2;
			if
			:: put(chain[1]); put(chain[0])
			:: put(chain[0]); put(chain[1])
			:: k > 2 -> put(chain[1]); put(chain[2]); put(chain[0])
			:: true
			fi
		:: k == 1 && turn == 1 -> put(chain[0])
		:: else
		fi;
		reset_reaper()
	}
	assert(reaped <= LIMIT)
}
#endif

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
#ifdef REAPER
		run reaper();
#endif
		i = 0
	}
}
