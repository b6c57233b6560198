/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Memory as loosely ordered as the code may assume, so that what holds here holds on x86-64 and on
 * aarch64. A store waits in its thread's buffer until drain() brings it to memory; that may happen
 * at any time and in any order, but stores to one variable keep theirs, and a release store is
 * brought only when it is the oldest. Loads see the own buffer first. An acquire load is one that
 * comes in program order before what it protects; models that leave it out put it after.
 *
 * A model defines THREADS and VARIABLES before it includes this.
 */

#define DEPTH 3

typedef buffer {
	byte variable[DEPTH];
	byte value[DEPTH];
	bool release[DEPTH];
	byte count
};

byte memory[VARIABLES];
buffer stores[THREADS];

inline store_any(me, v, x, is_release)
{
	d_step {
		stores[me].count < DEPTH ->
		stores[me].variable[stores[me].count] = v;
		stores[me].value[stores[me].count] = x;
		stores[me].release[stores[me].count] = is_release;
		stores[me].count++
	}
}

#define store(me, v, x) store_any(me, v, x, false)
#define store_release(me, v, x) store_any(me, v, x, true)

inline load(me, v, into)
{
	d_step {
		into = memory[v];
		if
		:: stores[me].count > 0 && stores[me].variable[0] == v -> into = stores[me].value[0]
		:: else
		fi;
		if
		:: stores[me].count > 1 && stores[me].variable[1] == v -> into = stores[me].value[1]
		:: else
		fi;
		if
		:: stores[me].count > 2 && stores[me].variable[2] == v -> into = stores[me].value[2]
		:: else
		fi
	}
}

/* Cells beyond the count are zeroed, so that equal buffers are equal states. */
inline forget(me, i)
{
	if
	:: i < 1 ->
		stores[me].variable[0] = stores[me].variable[1];
		stores[me].value[0] = stores[me].value[1];
		stores[me].release[0] = stores[me].release[1]
	:: else
	fi;
	if
	:: i < 2 ->
		stores[me].variable[1] = stores[me].variable[2];
		stores[me].value[1] = stores[me].value[2];
		stores[me].release[1] = stores[me].release[2]
	:: else
	fi;
	stores[me].variable[2] = 0;
	stores[me].value[2] = 0;
	stores[me].release[2] = false;
	stores[me].count--
}

inline bring(me, i)
{
	memory[stores[me].variable[i]] = stores[me].value[i];
	forget(me, i)
}

/*
 * A full fence in the thread; membarrier is one in all threads that run, and who does not has had
 * one.
 */
inline fence(me)
{
	d_step {
		do
		:: stores[me].count > 0 -> bring(me, 0)
		:: else -> break
		od
	}
}

proctype drain(byte me)
{
end_drain:
	do
	:: d_step { stores[me].count > 0 -> bring(me, 0) }
	:: d_step {
		stores[me].count > 1 && !stores[me].release[1] &&
			stores[me].variable[1] != stores[me].variable[0] ->
		bring(me, 1)
	   }
	:: d_step {
		stores[me].count > 2 && !stores[me].release[2] &&
			stores[me].variable[2] != stores[me].variable[0] &&
			stores[me].variable[2] != stores[me].variable[1] ->
		bring(me, 2)
	   }
	od
}
