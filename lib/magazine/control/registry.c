/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The list of all caches of this process, and what goes over it: walks, the end of a thread,
 * fork(), pools that were freed where they could not be taken off the list.
 *
 * The list's lock is the outermost of all. Maintenance holds it for a whole pass, so a thread that
 * has it, or is in a callback of a cache, must not wait for it: mag_cache_may_deadlock().
 *
 * rte_mempool_free() cannot be refused. Where the list may not be waited for, or is another
 * process's, the pool gets the mark "gone"; from then on nobody does anything for it, and the next
 * thread that leaves the list in a place where it may free memory takes it off and frees it
 * (mag_cache_list_sweep()).
 *
 * In a debugger: list.caches, and list.inherited in a forked child; list.some_gone tells that marks
 * wait.
 */

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#include <rte_common.h>
#include <rte_errno.h>

#include "base/counter.h"
#include "base/log.h"
#include "base/meta.h"
#include "base/peer.h"
#include "base/process.h"
#include "control/estate.h"
#include "control/registry.h"
#include "home/object.h"
#include "mag_stats.h"
#include "slot/hands.h"
#include "slot/thread.h"
#include "sources/elastic.h"
#include "sources/elastic_service.h"
#include "sources/region_create.h"

#define INSTANCE_ENV "MAGAZINE_INSTANCE"

void (*mag_cache_observer)(void);
void (*mag_cache_last_observer)(void);

TAILQ_HEAD(listings, mag_listing);

static struct {
	pthread_mutex_t lock;
	struct listings caches;
	struct listings inherited; /* a forked child's: those of the process that it comes from */
	_Atomic uint32_t count;
	_Atomic bool
		some_gone; /* of the caches listed: mag_cache_list_sweep() has something to do */
	uint32_t next_id;
	bool second_copy;
} list = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.caches = TAILQ_HEAD_INITIALIZER(list.caches),
	.inherited = TAILQ_HEAD_INITIALIZER(list.inherited),
};

/* A signal handler may read it: it must not be allocated when it is first touched. */
static _Thread_local bool list_held MAG_INITIAL_EXEC;

static void thread_ends(uint32_t slot);

/*
 * The process's environment is the one thing that two copies of this library
 * share, whichever way each came in: linked statically, or as a plugin. It outlives the
 * program when that calls exec(); the kernel's random bytes do not.
 */
RTE_INIT(mag_cache_load)
{
	char program[32], mine[64];
	const char *other = getenv(INSTANCE_ENV);
	uint64_t random;

	memcpy(&random, (const void *)getauxval(AT_RANDOM), sizeof(random));
	snprintf(program, sizeof(program), "%016" PRIx64, random);
	snprintf(mine, sizeof(mine), "%s:%p", program, (void *)&list);
	if (other != NULL && strncmp(other, program, strlen(program)) == 0 &&
	    strcmp(other, mine) != 0)
		list.second_copy = true;
	else
		setenv(INSTANCE_ENV, mine, 1);
	/* A second copy may be bound to the first one's lcore layer. */
	if (!list.second_copy)
		mag_thread_on_exit(thread_ends);
}

static void
list_enter(void)
{
	pthread_mutex_lock(&list.lock);
	list_held = true;
}

/* The same; without wait false when somebody else has it. */
static bool
list_enter_if(bool wait)
{
	if (wait)
		pthread_mutex_lock(&list.lock);
	else if (pthread_mutex_trylock(&list.lock) != 0)
		return false;
	list_held = true;
	return true;
}

static void
list_leave(void)
{
	list_held = false;
	pthread_mutex_unlock(&list.lock);
}

bool
mag_cache_list_held(void)
{
	return list_held;
}

bool
mag_cache_may_deadlock(void)
{
	return list_held || mag_callback_depth != 0;
}

static bool
is_gone(const struct mag_cache *cache)
{
	/* acquire: pairs with the release in mag_registry_leave_word() */
	return atomic_load_explicit(&cache->gone, memory_order_acquire);
}

bool
mag_cache_is_gone(const struct mag_cache *cache)
{
	if (likely(!is_gone(cache)))
		return false;
	atomic_store_explicit(&list.some_gone, true, memory_order_relaxed);
	return true;
}

bool
mag_cache_list_walk(bool wait, void (*visit)(struct mag_cache *cache, void *arg), void *arg)
{
	struct mag_listing *listing;

	if (!list_enter_if(wait))
		return false;
	TAILQ_FOREACH(listing, &list.caches, link)
		/*
		 * Maintenance may not even look at a cache before it knows that EAL is still there.
		 */
		if (!wait || !mag_cache_is_gone(listing->cache))
			visit(listing->cache, arg);
	list_leave();
	if (wait)
		mag_cache_list_sweep(true);
	return true;
}

/* A callback, or a walk, that forks has the list already, and so has it in the child. */
void
mag_cache_list_fork_begin(void)
{
	if (!list_held)
		pthread_mutex_lock(&list.lock);
}

void
mag_cache_list_fork_end(void)
{
	if (!list_held)
		pthread_mutex_unlock(&list.lock);
}

void
mag_cache_list_forked(void)
{
	TAILQ_CONCAT(&list.inherited, &list.caches, link);
	atomic_store_explicit(&list.count, 0, memory_order_relaxed);
}

static bool
listing_take_over(struct mag_listing *listing, uint32_t from)
{
	struct mag_cache *cache = listing->cache;

	/* acquire, release: the rest of the cache is as the dead left it */
	if (!atomic_compare_exchange_strong_explicit(&cache->process, &from, mag_process_id,
						     memory_order_acq_rel, memory_order_relaxed))
		return false;
	cache->pid = mag_process_pid;
	cache->listing = listing;
	TAILQ_INSERT_TAIL(&list.caches, listing, link);
	MAG_STAT_ADD(list.count, 1);
	return true;
}

static bool
estate_take(struct mag_cache *cache)
{
	struct mag_listing *listing = calloc(1, sizeof(*listing));

	if (listing == NULL)
		return false;
	listing->cache = cache;
	if (!listing_take_over(listing, MAG_STAT(cache->process))) {
		free(listing);
		return false;
	}
	/* Due at once: what the dead process had in hand is what others wait for. */
	cache->next_update = 1;
	/* Of a function of the dead process. */
	atomic_store_explicit(&cache->marked, false, memory_order_relaxed);
	return true;
}

int
mag_cache_list_inherit(void)
{
	int caches;

	if (!list_enter_if(false))
		return -EAGAIN;
	caches = (int)mag_estate_take(estate_take);
	list_leave();
	return caches;
}

int
mag_cache_list_take_over(uint32_t from)
{
	struct mag_listing *listing, *next;
	int caches = 0;

	if (pthread_mutex_trylock(&list.lock) != 0)
		return -EAGAIN;
	/* The oldest decides which of several children it is. */
	for (listing = TAILQ_FIRST(&list.inherited); listing != NULL; listing = next) {
		next = TAILQ_NEXT(listing, link);
		if (mag_elastic_is_of_pages(listing->cache->region))
			continue;
		TAILQ_REMOVE(&list.inherited, listing, link);
		if (listing_take_over(listing, from)) {
			caches++;
			continue;
		}
		TAILQ_INSERT_HEAD(&list.inherited, listing, link);
		if (caches == 0)
			break;
	}
	TAILQ_FOREACH(listing, &list.caches, link)
		mag_elastic_take_over(listing->cache->region, from);
	pthread_mutex_unlock(&list.lock);
	return caches;
}

bool
mag_cache_list_first(const struct mag_cache **cache)
{
	struct mag_listing *first;

	if (pthread_mutex_trylock(&list.lock) != 0)
		return false;
	first = TAILQ_FIRST(&list.caches);
	*cache = first != NULL ? first->cache : NULL;
	pthread_mutex_unlock(&list.lock);
	return true;
}

void
mag_registry_mark(struct mag_cache *cache, const struct mag_watermark *mark)
{
	list_enter();
	cache->listing->mark = *mark;
	atomic_store_explicit(&cache->marked, mark->crossed != NULL, memory_order_relaxed);
	list_leave();
}

uint32_t
mag_cache_listed(void)
{
	return MAG_STAT(list.count);
}

int
mag_cache_walk(void (*visit)(struct mag_cache *cache, void *arg), void *arg)
{
	if (mag_cache_may_deadlock()) {
		MAG_LOG(ERR, "walk over all caches: not from a cache's callback, nor from a walk");
		return -EDEADLK;
	}
	mag_cache_list_walk(true, visit, arg);
	return 0;
}

const char *
mag_cache_name(const struct mag_cache *cache)
{
	return cache->name;
}

static void
flush_slot_visit(struct mag_cache *cache, void *arg)
{
	mag_cache_flush_slot(cache, *(uint32_t *)arg);
}

static void
flush_slot_of_all(uint32_t slot)
{
	mag_cache_list_walk(true, flush_slot_visit, &slot);
}

/* Of a thread that ends, which may be after EAL has. */
static void
flush_slot_at_exit(uint32_t slot)
{
	struct mag_listing *listing;

	list_enter();
	listing = TAILQ_FIRST(&list.caches);
	if (listing != NULL && mag_meta_is_mapped(listing->cache))
		TAILQ_FOREACH(listing, &list.caches, link)
			if (!mag_cache_is_gone(listing->cache))
				mag_cache_flush_slot(listing->cache, slot);
	list_leave();
}

static void
thread_ends(uint32_t slot)
{
	mag_hands_thread_ends();
	if (slot != MAG_SLOT_SHARED)
		flush_slot_at_exit(slot);
}

int
mag_lcore_flush(void)
{
	uint32_t slot = mag_thread_slot();

	if (mag_cache_may_deadlock())
		return -EDEADLK;
	if (slot == MAG_SLOT_SHARED)
		return -ENOENT;
	flush_slot_of_all(slot);
	return 0;
}

/* On this process's list, which is held, and on the one of all processes. */
static void
count_in(struct mag_cache *cache)
{
	MAG_STAT_ADD(list.count, 1);
	if (!(cache->flags & MAG_CACHE_POOL))
		mag_peer_count_caches(1);
	else
		mag_estate_add(cache);
}

static void
count_out(struct mag_cache *cache)
{
	MAG_STAT_ADD(list.count, -1u);
	if (!(cache->flags & MAG_CACHE_POOL))
		mag_peer_count_caches(-1);
	else
		mag_estate_remove(cache);
}

void
mag_registry_insert(struct mag_cache *cache)
{
	list_enter();
	if (cache->id == 0)
		cache->id = mag_process_unique(++list.next_id);
	cache->next_update = 0;
	TAILQ_INSERT_TAIL(&list.caches, cache->listing, link);
	count_in(cache);
	list_leave();
	if (mag_cache_observer != NULL)
		mag_cache_observer();
}

void
mag_registry_remove(struct mag_cache *cache)
{
	list_enter();
	TAILQ_REMOVE(&list.caches, cache->listing, link);
	count_out(cache);
	list_leave();
	if (mag_cache_listed() == 0 && mag_cache_last_observer != NULL)
		mag_cache_last_observer();
}

bool
mag_registry_copy_is_first(const char *name)
{
	if (!list.second_copy)
		return true;
	MAG_LOG(ERR,
		"cache \"%s\": a second copy of the magazine library is in this process: link "
		"either the shared library (and load the plugin) or the static one, not both",
		name);
	rte_errno = EEXIST;
	return false;
}

void
mag_registry_leave_word(struct mag_cache *cache)
{
	/*
	 * release: pairs with the acquire in mag_cache_is_gone(): the thread that frees it sees
	 * what was done to it here
	 */
	atomic_store_explicit(&cache->gone, true, memory_order_release);
	atomic_store_explicit(&list.some_gone, true, memory_order_relaxed);
}

/* Those that are gone leave the list, which is held. */
static void
gone_take(struct listings *gone)
{
	struct mag_listing *listing, *next;

	/* First: word that is left from here on is for the next sweep. */
	atomic_store_explicit(&list.some_gone, false, memory_order_relaxed);
	for (listing = TAILQ_FIRST(&list.caches); listing != NULL; listing = next) {
		next = TAILQ_NEXT(listing, link);
		if (!is_gone(listing->cache))
			continue;
		TAILQ_REMOVE(&list.caches, listing, link);
		TAILQ_INSERT_TAIL(gone, listing, link);
		count_out(listing->cache);
	}
}

void
mag_cache_list_sweep(bool wait)
{
	struct listings gone = TAILQ_HEAD_INITIALIZER(gone);
	struct mag_listing *listing;
	struct mag_region *region;

	if (likely(!MAG_STAT(list.some_gone)) || mag_cache_may_deadlock())
		return;
	if (!list_enter_if(wait))
		return;
	gone_take(&gone);
	list_leave();
	while ((listing = TAILQ_FIRST(&gone)) != NULL) {
		TAILQ_REMOVE(&gone, listing, link);
		region = listing->cache->region;
		mag_cache_end(listing->cache);
		mag_region_destroy(region);
	}
	/* Maintenance sees by itself that nothing is left. */
	if (wait && mag_cache_listed() == 0 && mag_cache_last_observer != NULL)
		mag_cache_last_observer();
}
