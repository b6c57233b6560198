/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef UNIT_VICTIMS_H
#define UNIT_VICTIMS_H

/*
 * What forked children do with the fixture's cache while they are killed (test_kill.c).
 */

#include <stdbool.h>
#include <stdint.h>

/** Objects of the cache. */
#define COUNT 1024

/** What parent and child know of each other. */
struct shared {
	_Atomic uint64_t steps;
	_Atomic uint64_t last; /**< step after which it is killed */
	_Atomic uint64_t place;
	_Atomic uint32_t held; /**< objects, outside of calls */
	_Atomic uint32_t taking, giving;
	_Atomic uint32_t id;     /**< mag_process_id */
	_Atomic uint32_t victim; /**< of a process that died before */
	_Atomic bool done;
	bool inside;         /**< of the victim */
	uint64_t begin, end; /**< places; 0: all */
};

extern struct shared *shared;
/** Another pool that goes the way of the fixture's; NULL: there is none. */
extern struct mag_cache *victims_other;

struct victim {
	const char *name;
	void (*before)(void), (*act)(void); /**< by the child, which is killed in act */
	unsigned int kills;                 /**< 0: after each step */
	void (*parent_before)(void), (*parent_after)(void); /**< before the child, and after it */
	/** Steps are those in the library, and in the long run it is killed after each. */
	bool inside;
	const char *within; /**< only those in this function, after each of them; NULL: all */
};

const struct victim *victim_of(const char *name);

/** Objects into this thread's magazines and the depot. */
void victim_fill_magazines(void);

#endif /* UNIT_VICTIMS_H */
