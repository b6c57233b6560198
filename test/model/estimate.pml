/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The sum by which an allocation that found too little decides whether a steal can succeed
 * (can_succeed() in steal.c), read location by location while owners get, put and hand in, a
 * visitor empties a slot, maintenance reaps the depot and a slab is made. What is not under a lock
 * is a step of its own. Magazines have 2 rounds; a slot has two of them.
 *
 * Safety: who is refused without being counted was so rightly: at some moment since it began to
 * look less than it asked for was free. Free is what no user has. Progress: it ends.
 *
 * -DVISITOR, -DREAP, -DSEGMENT and -DBLOCKS choose who works beside the owners; with -DHOARDER
 * these also ask for more than there is. Checks and mutations: `checks`.
 */

#include "witness.pml"

#ifndef OWNERS
#define OWNERS 2
#endif
#ifndef TURNS
#define TURNS 2
#endif
#ifndef LOOKS
#define LOOKS 1
#endif
#define ROUNDS 2
#define SLOTS 2

typedef slot_t {
	bool busy;
	bool visit;
	byte rounds;
	byte previous;
	byte allocs;
	byte out; /* rounds to depot and slabs */
	byte visited
};

slot_t slot[SLOTS]; /* without OWNERS=2 the second has no owner */
byte fulls, tag;
byte transit;
byte region, segments_taken, in_use, slab_out, moving, slabs_made, slab_allocs;
bool slab_lock;
bool visit_lock;

byte user[SLOTS];
byte free, lowest; /* what is really so; lowest since the look began */
byte n;            /* asked for */
bool over;         /* it has its answer: nothing that follows matters */

#define gone(n)                                                                                    \
	free = free - n;                                                                           \
	lowest = (lowest < free -> lowest : free)

/* An owner. */

inline swap()
{
	/* To where the rounds come first, as far as no count tells that they moved. */
#ifdef SWAP_ROUNDS_FIRST
	atomic { other = slot[me].rounds; slot[me].rounds = slot[me].previous };
	slot[me].previous = other;
#else
	atomic { other = slot[me].previous; slot[me].previous = slot[me].rounds };
	slot[me].rounds = other;
#endif
	other = 0
}

/* The fast path counts first, the slow one last. */
inline take_one()
{
	atomic { slot[me].rounds--; user[me]++; gone(1); slot[me].busy = false }
}

inline take_one_and_count()
{
	atomic { slot[me].rounds--; user[me]++; gone(1); slot[me].allocs++; slot[me].busy = false }
}

/* From the slot, the depot, and a partial slab. */
inline get()
{
	if
	:: atomic { !slot[me].visit -> slot[me].busy = true };
	   if
	   :: slot[me].rounds > 0 -> slot[me].allocs++; take_one()
	   :: slot[me].rounds == 0 && slot[me].previous > 0 -> swap(); take_one_and_count()
	   :: atomic { slot[me].rounds == 0 && slot[me].previous == 0 && fulls > 0 ->
		fulls--; tag++ };
	      slot[me].rounds = ROUNDS;
	      take_one_and_count()
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
	:: in_use > slab_out -> atomic { slab_out++; user[me]++; gone(1) }; slab_allocs++
	:: in_use == slab_out
	fi;
	slab_lock = false
}

inline put()
{
	if
	:: atomic { user[me] > 0 && !slot[me].visit -> slot[me].busy = true };
	   if
	   :: slot[me].rounds < ROUNDS
	   :: slot[me].rounds == ROUNDS && slot[me].previous == 0 -> swap()
	   :: slot[me].rounds == ROUNDS && slot[me].previous == ROUNDS ->
	      slot[me].out = slot[me].out + ROUNDS;
	      fulls++;
	      slot[me].previous = slot[me].rounds;
	      slot[me].rounds = 0
	   fi;
	   atomic { slot[me].rounds++; user[me]--; free++; slot[me].busy = false }
	:: user[me] > 0 && slot[me].visit -> atomic { slab_out--; user[me]--; free++ }
	:: user[me] == 0
	fi
}

/* Full magazines to the depot in the slot, a partial one to the slab after it. */
inline hand_in()
{
	if
	:: atomic { !slot[me].visit -> slot[me].busy = true };
	   atomic { count = slot[me].rounds + slot[me].previous; transit = transit + count };
	   atomic { whole = (slot[me].previous == ROUNDS -> 1 : 0); slot[me].previous = 0 };
	   atomic { part = slot[me].rounds; slot[me].rounds = 0 };
	   slot[me].out = slot[me].out + count;
	   atomic { fulls = fulls + whole; whole = 0 };
	   if
	   :: part == ROUNDS -> fulls++
	   :: else
	   fi;
	   slot[me].busy = false;
	   if
	   :: part < ROUNDS -> slab_out = slab_out - part
	   :: else
	   fi;
	   atomic { transit = transit - count; count = 0; part = 0 }
	:: slot[me].visit
	fi
}

/* A request for more than its slot and the slabs have: what it got it gives back. */
#ifdef NO_HOLD
#define HOLD(n) skip
#else
#define HOLD(n) atomic { transit = transit + n; other = other + n }
#endif
#ifdef NO_SLAB_HOLD
#define SLAB_HOLD(n) skip
#else
#define SLAB_HOLD(n) atomic { transit = transit + n; other = other + n }
#endif

inline hoard()
{
	if
	:: atomic { !slot[me].visit -> slot[me].busy = true };
	   atomic { part = slot[me].rounds; slot[me].rounds = 0 };
	   slot[me].allocs = slot[me].allocs + part;
	   HOLD(part);
	   slot[me].busy = false
	:: slot[me].visit
	fi;
	atomic { !slab_lock -> slab_lock = true };
	atomic { whole = (in_use > slab_out -> in_use - slab_out : 0);
		slab_out = slab_out + whole };
	slab_allocs = slab_allocs + whole;
	SLAB_HOLD(whole);
	slab_lock = false;
	atomic { count = part + whole; part = 0; whole = 0 };
	slab_out = slab_out - count;
	atomic { transit = transit - other; other = 0; count = 0 }
}

proctype owner(byte me)
{
	byte turn, other, count, whole, part;

	{
		for (turn : 1 .. TURNS) {
			if
			:: get()
			:: put()
#ifdef HAND_IN
			:: hand_in()
#endif
#ifdef HOARDER
			:: hoard()
#endif
			fi
		}
	} unless { over }
}

/* Purge, or reap on request, of one slot: to the slab. */
proctype visitor()
{
	byte count, had;

	{
		atomic { !visit_lock -> visit_lock = true };
		slot[0].visit = true;
		!slot[0].busy;
		atomic { count = slot[0].rounds + slot[0].previous; transit = transit + count };
		atomic { had = slot[0].previous; slot[0].previous = 0 };
		atomic { had = had + slot[0].rounds; slot[0].rounds = 0 };
		slot[0].visited = slot[0].visited + had;
		slot[0].visit = false;
		visit_lock = false;
		slab_out = slab_out - had;
		transit = transit - count
	} unless { over }
}

/* list_reap(), and take_from_depot() up to the user. */
proctype reaper()
{
	{
		transit = transit + ROUNDS;
		if
		:: atomic { fulls > 0 -> fulls--; tag++ }; slab_out = slab_out - ROUNDS
		:: fulls == 0
		fi;
		transit = transit - ROUNDS
	} unless { over }
}

/* A slab is made, for one object of it, or one goes back. */
proctype segment()
{
	{
		if
		:: moving = moving + 2;
		   if
		   :: atomic { region >= 2 -> region = region - 2 };
		      atomic { !slab_lock -> slab_lock = true };
		      slabs_made++;
		      in_use = in_use + 2;
		      moving = moving - 2;
		      atomic { slab_out++; gone(1) };
		      slab_allocs++;
		      slab_lock = false
		   :: region < 2 -> moving = moving - 2
		   fi
		:: atomic { !slab_lock && in_use >= slab_out + 2 -> slab_lock = true };
		   moving = moving + 2;
		   slabs_made++; /* one that is destroyed counts like one that is made */
		   in_use = in_use - 2;
		   slab_lock = false;
		   region = region + 2;
		   moving = moving - 2
		:: true
		fi
	} unless { over }
}

/* A whole segment for a request of more, which is refused: it goes back. */
proctype blocks()
{
	{
		moving = moving + 2;
		if
		:: atomic { region >= 2 -> region = region - 2 };
		   segments_taken++;
		   region = region + 2
		:: region < 2
		fi;
		moving = moving - 2
	} unless { over }
}

/* Who looks. */

#ifdef NO_ALLOCS
#define ALLOCS(i) 0
#else
#define ALLOCS(i) slot[i].allocs
#endif
#ifdef NO_OUT
#define OUT(i) 0
#else
#define OUT(i) slot[i].out
#endif
#ifdef NO_VISITED
#define VISITED(i) 0
#else
#define VISITED(i) slot[i].visited
#endif
#ifdef NO_TAG
#define TAG 0
#else
#define TAG tag
#endif
#ifdef NO_SLABS_MADE
#define SLABS_MADE 0
#else
#define SLABS_MADE slabs_made
#endif
#ifdef NO_SEGMENTS_TAKEN
#define SEGMENTS_TAKEN 0
#else
#define SEGMENTS_TAKEN segments_taken
#endif
#ifdef NO_SLAB_ALLOCS
#define SLAB_ALLOCS 0
#else
#define SLAB_ALLOCS slab_allocs
#endif

#ifdef NO_BUSY
#define BUSY(i) false
#else
#define BUSY(i) slot[i].busy
#endif
#ifdef NO_TRANSIT
#define TRANSIT false
#else
#define TRANSIT (transit != 0)
#endif
#ifdef NO_MOVING
#define MOVING false
#else
#define MOVING (moving != 0)
#endif
#ifdef NO_SLAB_LOCK
#define SLAB_LOCK false
#else
#define SLAB_LOCK slab_lock
#endif

/*
 * Each slot's count is read after its busy, and before it again. That these are three steps for all
 * slots together shows the least: a count is read as late, and then as early, as it may be.
 */
inline underway()
{
	d_step {
		i = 0;
		do
		:: i < SLOTS -> quiet = quiet && !BUSY(i); i++
		:: else -> break
		od;
		i = 0;
		quiet = quiet && !TRANSIT && !MOVING && !SLAB_LOCK
	}
}

inline count_moves()
{
	d_step {
		i = 0;
		do
		:: i < SLOTS -> moves = moves + ALLOCS(i) + OUT(i) + VISITED(i); i++
		:: else -> break
		od;
		i = 0;
		moves = moves + TAG + SEGMENTS_TAKEN + SLABS_MADE + SLAB_ALLOCS
	}
}

inline add_up()
{
	sum = transit;
	do
#ifdef PREVIOUS_FIRST
	:: i < SLOTS -> sum = sum + slot[i].previous; atomic { sum = sum + slot[i].rounds; i++ }
#else
	:: i < SLOTS -> sum = sum + slot[i].rounds; atomic { sum = sum + slot[i].previous; i++ }
#endif
	:: atomic { i == SLOTS -> i = 0; break }
	od;
	sum = sum + moving;
	atomic { used = in_use };
	atomic { used = (used > slab_out -> used - slab_out : 0); sum = sum + used; used = 0 };
	sum = sum + region;
	sum = sum + fulls * ROUNDS
}

proctype thief()
{
	byte sum, i, look, used, moves, before;
	bool quiet = true, was_quiet, refused;

	count_moves();
#ifndef NOT_BEFORE
	underway();
#endif
	for (look : 1 .. LOOKS) {
		add_up();
		if
		:: sum >= n -> reached(1) goto out
		:: else -> d_step { sum = 0; before = moves; moves = 0;
			was_quiet = quiet; quiet = true }
		fi;
#ifndef NOT_AFTER
		underway();
#endif
		count_moves();
		if
		:: was_quiet && quiet && before == moves -> reached(2) refused = true; goto out
		:: else -> quiet = true
		fi;
#ifndef NOT_BEFORE
		underway()
#endif
	}
	/* Not known: refused, and counted. */
	reached(3)
out:
	atomic {
		assert(!refused || lowest < n);
		over = true;
		sum = 0; before = 0; moves = 0; look = 0; refused = false; quiet = false;
		was_quiet = false
	}
}

init {
	atomic {
		if
		:: slot[0].rounds = 2
		:: slot[0].rounds = 1; slot[0].previous = 2
		:: slot[0].previous = 2; user[1] = 1
		:: slot[0].rounds = 2; user[0] = 2
		:: slot[1].rounds = 1; fulls = 1
		:: fulls = 1; user[0] = 1
		:: slot[0].rounds = 2; slot[0].previous = 2; user[0] = 1
		:: in_use = 2; user[1] = 1
#if defined(SEGMENT) || defined(BLOCKS)
		:: region = 2
		:: region = 2; in_use = 2; user[1] = 1
		:: in_use = 2; fulls = 1
#endif
		fi;
		free = slot[0].rounds + slot[0].previous + slot[1].rounds + slot[1].previous +
			fulls * ROUNDS + region;
		/* What is not free, or free elsewhere than in slabs, has left them. */
		slab_out = 8;
		in_use = in_use + 8;
		free = free + in_use - slab_out;
		lowest = free;
		if
		:: n = 1
		:: n = 2
		:: n = 3
		fi;
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
#ifdef BLOCKS
		run blocks();
#endif
		run thief()
	}
}
