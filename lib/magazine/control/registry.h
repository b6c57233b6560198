/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_REGISTRY_H
#define MAG_REGISTRY_H

/*
 * The list of all caches of this process; maint.c observes it.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "cache/cache.h"
#include "mag_compiler.h"

/* When its user wants to be called (mark.h). */
struct mag_watermark {
	uint64_t low, high;        /* free objects */
	mag_watermark_fn *crossed; /* NULL: there are no marks */
	void *arg;
	bool is_low;
};

/*
 * A cache's place on the list of the process that made it. It lies in that process's own memory:
 * other processes, a forked child among them, never see a link of a list that is not theirs, and
 * the list can be walked when rte_eal_cleanup() has taken the caches away.
 */
struct mag_listing {
	TAILQ_ENTRY(mag_listing) link;
	struct mag_cache *cache;
	struct mag_watermark mark; /* under the list's lock */
};

/** Called after a cache was listed, without the list's lock. */
extern void (*mag_cache_observer)(void);
/** Called after the last cache was taken off the list, without the list's lock. */
extern void (*mag_cache_last_observer)(void);
/** True when this thread is in the list's critical section. */
bool mag_cache_list_held(void);
/** True when this thread is in there, or in a callback: it must not wait for the list. */
bool mag_cache_may_deadlock(void);
/**
 * Call visit for each cache under the list's lock; false when wait is false and it is taken. Then,
 * which is maintenance's way, visit itself leaves caches out that are gone.
 */
bool mag_cache_list_walk(bool wait, void (*visit)(struct mag_cache *cache, void *arg), void *arg);
/**
 * Was this pool freed already, where it could not be taken off the list? It is left alone until
 * somebody does.
 */
bool mag_cache_is_gone(const struct mag_cache *cache);
/**
 * Take those pools off the list, and free them with their regions. Without wait nothing when the
 * list is taken.
 */
void mag_cache_list_sweep(bool wait);
/** Hold the list across fork(), and let it go again, in the parent and the child. */
void mag_cache_list_fork_begin(void);
void mag_cache_list_fork_end(void);
/** In a forked child, between these: the caches are its parent's. */
void mag_cache_list_forked(void);
/**
 * That parent is dead: its caches become this process's. Returns how many; 0 when there are none,
 * or another child has them; -EAGAIN when the list is taken.
 */
int mag_cache_list_take_over(uint32_t from);
/**
 * Pools of dead processes (estate.h) become this one's. Returns how many; -EAGAIN when the list is
 * taken.
 */
int mag_cache_list_inherit(void);
/**
 * The first cache of the list, which may be gone with EAL; NULL when there is none. False: the list
 * is taken.
 */
bool mag_cache_list_first(const struct mag_cache **cache);
/** A cache that this process made has these marks from now on. */
void mag_registry_mark(struct mag_cache *cache, const struct mag_watermark *mark);
/** Caches listed now. */
uint32_t mag_cache_listed(void);
/** Put a cache on the list, with an id if it has none yet, and tell the observer. */
void mag_registry_insert(struct mag_cache *cache);
void mag_registry_remove(struct mag_cache *cache);
/** A pool was freed that cannot be taken off the list here: leave word for whoever can. */
void mag_registry_leave_word(struct mag_cache *cache);
/**
 * False, rte_errno EEXIST and a log line: another copy of this library is in the process. Hidden in
 * each build, so that each copy asks itself.
 */
MAG_HIDDEN bool mag_registry_copy_is_first(const char *name);

#endif /* MAG_REGISTRY_H */
