/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_bitops.h>
#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_lcore.h>

#include "elastic.h"
#include "elastic_service.h"
#include "log.h"
#include "mag_maint.h"
#include "mag_stats.h"
#include "meta.h"
#include "numa.h"
#include "params.h"
#include "pool.h"
#include "region_create.h"
#include "registry.h"
#include "sizing.h"
#include "visit.h"
#include "watch.h"

#define ALIGN_MIN 8
/* Objects of a cache without a region, and their alignment. */
#define INTRINSIC_MAX (1u << 30)
/* Purges of a pool that is populated again before an lcore that does not let go makes it fail. */
#define RESET_TRIES 3
#define INSTANCE_ENV "MAGAZINE_INSTANCE"

void (*mag_cache_observer)(void);
void (*mag_cache_last_observer)(void);

/*
 * A cache's place on the list of the process that made it. It lies in that process's own memory: other
 * processes, a forked child among them, never see a link of a list that is not theirs, and the list can
 * be walked when rte_eal_cleanup() has taken the caches away.
 */
struct mag_listing {
	TAILQ_ENTRY(mag_listing) link;
	struct mag_cache *cache;
};

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
static _Thread_local bool list_held __attribute__((tls_model("initial-exec")));

static void flush_slot_at_exit(uint32_t slot);

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
		mag_thread_on_exit(flush_slot_at_exit);
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
	/* acquire: pairs with the release in pool_leave_word() */
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
		/* Maintenance may not even look at a cache before it knows that EAL is still there. */
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
	TAILQ_REMOVE(&list.inherited, listing, link);
	TAILQ_INSERT_TAIL(&list.caches, listing, link);
	MAG_STAT_ADD(list.count, 1);
	return true;
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
		if (listing_take_over(listing, from))
			caches++;
		else if (caches == 0)
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

bool
mag_cache_is_mapped(const struct mag_cache *cache)
{
	uintptr_t page = sysconf(_SC_PAGESIZE);

	return msync((void *)RTE_ALIGN_FLOOR((uintptr_t)cache, page), page, MS_ASYNC) == 0 ||
	       errno != ENOMEM;
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
	if (listing != NULL && mag_cache_is_mapped(listing->cache))
		TAILQ_FOREACH(listing, &list.caches, link)
			if (!mag_cache_is_gone(listing->cache))
				mag_cache_flush_slot(listing->cache, slot);
	list_leave();
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

/* Making a cache */

static void
list_insert(struct mag_cache *cache)
{
	list_enter();
	if (cache->id == 0)
		cache->id = mag_process_unique(++list.next_id);
	cache->next_update = 0;
	TAILQ_INSERT_TAIL(&list.caches, cache->listing, link);
	MAG_STAT_ADD(list.count, 1);
	list_leave();
	if (mag_cache_observer != NULL)
		mag_cache_observer();
}

static void
list_remove(struct mag_cache *cache)
{
	list_enter();
	TAILQ_REMOVE(&list.caches, cache->listing, link);
	MAG_STAT_ADD(list.count, -1);
	list_leave();
	if (mag_cache_listed() == 0 && mag_cache_last_observer != NULL)
		mag_cache_last_observer();
}

/* Frees a cache that is on no list. */
static void
cache_destroy(struct mag_cache *cache)
{
	struct mag_homes *homes = atomic_load_explicit(&cache->homes, memory_order_relaxed), *older;
	uint32_t part;

	for (part = 1; homes != NULL && part < homes->count; part++) {
		mag_home_fini(homes->home[part]);
		mag_meta_free(homes->home[part]);
	}
	for (; homes != NULL; homes = older) {
		older = homes->older;
		mag_meta_free(homes);
	}
	if (cache->process == mag_process_id) {
		free(cache->common.callbacks);
		free(cache->listing);
	}
	mag_home_fini(&cache->first);
	mag_meta_free(cache);
}

static bool
copy_is_first(const char *name)
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

/* From a cache whose constant fields and type are set. */
static int
home_init(struct mag_cache *cache, struct mag_home *home, uint32_t part)
{
	home->common = &cache->common;
	return mag_home_init(home, cache->region, part,
			     cache->region->mode & MAG_REGION_PSEUDO ? 0 : cache->expected,
			     mag_cache_arena_bytes(cache));
}

/* Parts by their distance from a node: the first ones keep their order among equals. */
static void
homes_sort(const struct mag_region *region, int node, uint8_t *order, uint32_t count)
{
	uint32_t i, at;
	int distance;

	for (i = 0; i < count; i++) {
		distance = mag_numa_distance(node, RTE_MAX(region->part[i].node, 0));
		for (at = i; at > 0 &&
			     mag_numa_distance(node, RTE_MAX(region->part[order[at - 1]].node, 0)) >
				     distance;
		     at--)
			order[at] = order[at - 1];
		order[at] = i;
	}
}

/* A table like the one in force, with another home. */
static struct mag_homes *
homes_with(struct mag_cache *cache, struct mag_home *home)
{
	struct mag_homes *old = atomic_load_explicit(&cache->homes, memory_order_relaxed);
	struct mag_homes *homes = mag_meta_zalloc(sizeof(*homes), cache->first.node);
	uint32_t i;

	if (homes == NULL)
		return NULL;
	if (old != NULL)
		*homes = *old;
	homes->older = old;
	homes->home[0] = &cache->first;
	homes->count = old != NULL ? old->count + 1 : 2;
	homes->home[homes->count - 1] = home;
	for (i = 0; i < RTE_MAX_NUMA_NODES; i++)
		homes_sort(cache->region, i, homes->order[i], homes->count);
	return homes;
}

/* The fast path of the first home is closed before the first object of another one is to be had. */
static void
homes_publish(struct mag_cache *cache, struct mag_homes *homes)
{
	unsigned int i;

	/* release: pairs with the acquire in mag_cache_homes() */
	atomic_store_explicit(&cache->homes, homes, memory_order_release);
	for (i = 0; i < MAG_SLOT_SHARED; i++)
		mag_bias_announce(&cache->first.slot[i], MAG_BIAS_HOMES);
}

/* Inside the perimeter, so that the slots of the new home get the type that all others have. */
static int
home_add(struct mag_cache *cache, struct mag_home *home, uint32_t part)
{
	struct mag_homes *homes;

	homes = home_init(cache, home, part) == 0 ? homes_with(cache, home) : NULL;
	if (homes == NULL)
		return -ENOMEM;
	homes_publish(cache, homes);
	mag_cache_enable_inside(cache);
	return 0;
}

/* A home for the next part that has none. */
static int
home_make(struct mag_cache *cache)
{
	const struct mag_homes *now = mag_cache_homes(cache);
	uint32_t part = now != NULL ? now->count : 1;
	int node = cache->region->part[part].node, ret = -EBUSY;
	struct mag_home *home = mag_meta_zalloc(sizeof(*home), node);

	if (home == NULL)
		return -ENOMEM;
	home->node = node;
	if (mag_perimeter_enter(cache, true)) {
		ret = home_add(cache, home, part);
		mag_perimeter_leave(cache);
	}
	if (ret != 0) {
		mag_home_fini(home);
		mag_meta_free(home);
	}
	return ret;
}

static int
homes_make(struct mag_cache *cache, uint32_t part)
{
	int ret = 0;

	while (ret == 0 && mag_cache_home(cache, part) == NULL)
		ret = home_make(cache);
	return ret;
}

static int
perimeter_error(const struct mag_cache *cache)
{
	MAG_LOG(ERR,
		"pool \"%s\": a thread stays in a resize or purge of it: see whether it was "
		"stopped, and populate again",
		cache->name);
	return -EBUSY;
}

int
mag_pool_home(struct mag_cache *cache, int node)
{
	int ret = homes_make(cache, mag_region_part_of_node(cache->region, node));

	if (ret == -EBUSY)
		return perimeter_error(cache);
	if (ret == 0)
		return 0;
	MAG_LOG(ERR,
		"pool \"%s\": no memory for the magazines of node %d (%zu bytes): give EAL more memory",
		cache->name, node, sizeof(struct mag_home) + mag_cache_arena_bytes(cache));
	return -ENOMEM;
}

/* Everything but the list, from a cache whose constant fields are set. */
static int
layers_init(struct mag_cache *cache)
{
	/* A membarrier reaches the threads of this process only: owners are the primary's. */
	cache->common.bias = !cache->options.visit      ? MAG_BIAS_POLL :
			     mag_process_is_secondary() ? MAG_BIAS_FENCE :
							  mag_bias_best();
	if (!cache->options.magazines)
		cache->flags |= MAG_CACHE_NOMAGAZINES;
	if (cache->options.rounds != 0)
		cache->flags &= ~MAG_CACHE_DYNAMIC;
	cache->common.clears = cache->flags & MAG_CACHE_CLEARONFREE &&
			       (cache->region->mode & MAG_REGION_PSEUDO) == 0;
	atomic_init(&cache->common.type, mag_cache_type_first(cache));
	if (home_init(cache, &cache->first, 0) != 0)
		return -ENOMEM;
	mag_watch(cache, mag_watch_wanted(cache));
	mag_cache_enable(cache);
	return homes_make(cache, MAG_STAT(cache->region->parts) - 1);
}

static bool
name_is_good(const char *kind, const char *name)
{
	if (name != NULL && *name != '\0' && strlen(name) < MAG_CACHE_NAMESIZE)
		return true;
	MAG_LOG(ERR, "%s \"%s\": name must have 1 to %u characters", kind, name != NULL ? name : "",
		MAG_CACHE_NAMESIZE - 1);
	rte_errno = EINVAL;
	return false;
}

static struct mag_cache *
cache_alloc(const char *kind, const char *name, int node)
{
	struct mag_cache *cache = mag_meta_zalloc(sizeof(*cache), node);
	struct mag_listing *listing = malloc(sizeof(*listing));

	if (cache == NULL || listing == NULL) {
		MAG_LOG(ERR, "%s \"%s\": no memory for %zu bytes of cache: give EAL more memory",
			kind, name, sizeof(*cache));
		mag_meta_free(cache);
		free(listing);
		rte_errno = ENOMEM;
		return NULL;
	}
	listing->cache = cache;
	cache->listing = listing;
	snprintf(cache->name, sizeof(cache->name), "%s", name);
	cache->head.slots = cache->first.slot;
	cache->first.node = node;
	cache->process = mag_process_id;
	cache->pid = mag_process_pid;
	return cache;
}

/* The last steps of both kinds of cache; destroys what it cannot finish. */
static struct mag_cache *
cache_finish(struct mag_cache *cache, const char *kind)
{
	/* First: from here on no part comes by itself that has no home. */
	if (mag_region_attach(cache->region, cache->align) != 0) {
		MAG_LOG(ERR, "%s \"%s\": region \"%s\" has two caches already", kind, cache->name,
			cache->region->name);
		rte_errno = EBUSY;
	} else if (layers_init(cache) != 0) {
		MAG_LOG(ERR,
			"%s \"%s\": no memory for the magazines of %" PRIu64 " objects (%zu "
			"bytes): give EAL more memory",
			kind, cache->name, cache->expected, mag_cache_arena_bytes(cache));
		rte_errno = ENOMEM;
		mag_region_detach(cache->region, cache->align);
	} else {
		list_insert(cache);
		return cache;
	}
	cache_destroy(cache);
	return NULL;
}

struct mag_cache *
mag_pool_create(const struct mag_pool_params *params)
{
	struct mag_cache *cache;

	if (mag_cache_may_deadlock()) {
		MAG_LOG(ERR, "pool \"%s\": not from a cache's callback, nor from a walk",
			params->name);
		rte_errno = EDEADLK;
		return NULL;
	}
	if (!copy_is_first(params->name) || !name_is_good("pool", params->name))
		return NULL;
	if (params->options.clear_min != MAG_CLEAR_MIN_LINES) {
		MAG_LOG(ERR,
			"pool \"%s\": option clear_min=%u: objects of a pool are never cleared: "
			"leave it out",
			params->name, params->options.clear_min);
		rte_errno = EINVAL;
		return NULL;
	}
	cache = cache_alloc("pool", params->name, params->node);
	if (cache == NULL)
		return NULL;
	cache->flags = MAG_CACHE_POOL | MAG_CACHE_DYNAMIC;
	cache->object_size = params->object_size;
	cache->common.chunk_size = params->object_size;
	cache->align = ALIGN_MIN;
	cache->region = params->region;
	cache->options = params->options;
	cache->expected = params->objects;
	return cache_finish(cache, "pool");
}

static void
pool_end(struct mag_cache *cache)
{
	mag_region_detach(cache->region, cache->align);
	cache_destroy(cache);
}

static void
pool_leave_word(struct mag_cache *cache)
{
	/* release: pairs with the acquire in mag_cache_is_gone(): who frees it sees what was done to it here */
	atomic_store_explicit(&cache->gone, true, memory_order_release);
	atomic_store_explicit(&list.some_gone, true, memory_order_relaxed);
}

bool
mag_pool_free(struct mag_cache *cache)
{
	/*
	 * Only that process knows its list. Where it has ended, the records stay until the primary
	 * ends.
	 */
	if (cache->process != mag_process_id) {
		MAG_LOG(NOTICE,
			"pool \"%s\": freed by another process than %d, which made it: its records stay "
			"until maintenance of that one comes by",
			cache->name, cache->pid);
		pool_leave_word(cache);
		return false;
	}
	/* A walk goes on behind this cache, or somebody with the list waits for what this callback holds. */
	if (mag_cache_may_deadlock()) {
		pool_leave_word(cache);
		return false;
	}
	list_remove(cache);
	pool_end(cache);
	return true;
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
		MAG_STAT_ADD(list.count, -1);
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
		pool_end(listing->cache);
		mag_region_destroy(region);
	}
	/* Maintenance sees by itself that nothing is left. */
	if (wait && mag_cache_listed() == 0 && mag_cache_last_observer != NULL)
		mag_cache_last_observer();
}

int
mag_pool_reset(struct mag_cache *cache)
{
	unsigned int part, tries;
	struct mag_home *home;
	int ret = -EAGAIN;

	if (!mag_perimeter_enter(cache, true))
		return perimeter_error(cache);
	for (tries = 0; ret != 0 && tries < RESET_TRIES; tries++)
		ret = mag_cache_purge_inside(cache, true);
	if (ret == 0) {
		/* Slabs lie in the region's memory, and maintenance may look at them. */
		MAG_FOREACH_HOME(cache, part, home)
			mag_slab_reset(&home->slab);
		mag_region_reset(cache->region);
		mag_cache_enable_inside(cache);
	} else {
		/* What it has in its magazines is of the memory that is gone. */
		MAG_LOG(ERR,
			"pool \"%s\": an lcore is using it: stop all users, then populate it again",
			cache->name);
	}
	mag_perimeter_leave(cache);
	return ret;
}

static int
params_error(const struct mag_cache_params *params, const char *what, int error)
{
	MAG_LOG(ERR, "cache \"%s\": object size %zu, alignment %zu, flags 0x%x: %s",
		params->name != NULL ? params->name : "", params->object_size, params->align,
		params->flags, what);
	rte_errno = error;
	return -error;
}

static bool
region_is_aligned(const struct mag_region *region, size_t align)
{
	const struct mag_extent *extent;
	uint32_t i;

	if (region->elastic != NULL)
		return region->align >= align;
	SLIST_FOREACH(extent, &region->extents, link)
		for (i = 0; i < extent->segments; i++)
			if ((extent->segment[i].base | extent->segment[i].stride) & (align - 1))
				return false;
	return true;
}

static int
params_check(const struct mag_cache_params *params, size_t align)
{
	const struct mag_region *region = params->region;
	const unsigned int known = MAG_CACHE_NOMAGAZINES | MAG_CACHE_DYNAMIC |
				   MAG_CACHE_CLEARONFREE | MAG_CACHE_REAP_ALL;

	if (mag_cache_may_deadlock())
		return params_error(params, "not from a cache's callback, nor from a walk",
				    EDEADLK);
	if (params->object_size == 0 || (params->flags & ~known) != 0)
		return params_error(params, "needs a size above 0 and known flags", EINVAL);
	if (!rte_is_power_of_2(align) ||
	    align > (region != NULL ? mag_region_segment_span(region) : INTRINSIC_MAX))
		return params_error(params, "alignment must be a power of two of at most a segment",
				    EINVAL);
	if (region == NULL)
		return params->object_size <= INTRINSIC_MAX ?
			       0 :
			       params_error(params, "objects of more than 1 GiB need a region",
					    EINVAL);
	if (region->mode & MAG_REGION_MIRRORED)
		return params_error(params, "a mirror cannot be a cache's own region", EINVAL);
	if (params->object_size > region->object_size ||
	    RTE_ALIGN_CEIL(params->object_size, align) > region->object_size)
		return params_error(params, "objects of the region are too small", E2BIG);
	if (!region_is_aligned(region, align))
		return params_error(params, "objects of the region are not so aligned", EINVAL);
	if (params->flags & MAG_CACHE_CLEARONFREE && region->mode & MAG_REGION_READONLY)
		return params_error(params, "a READONLY region cannot be cleared", EINVAL);
	if ((params->flags & MAG_CACHE_NOMAGAZINES) == 0 && region->mode & MAG_REGION_NOMAGAZINES)
		return params_error(params, "magazines on a NOMAGAZINES region", EINVAL);
	return 0;
}

static bool
type_is_reachable(const struct mag_cache_params *params, size_t align, uint32_t rounds)
{
	const struct mag_region *region = params->region;
	size_t chunk = region->elastic != NULL ? region->object_size :
						 RTE_ALIGN_CEIL(params->object_size, align);

	if (mag_type_is_reachable(chunk, rounds))
		return true;
	MAG_LOG(ERR,
		"cache \"%s\": option rounds=%u: objects of %zu bytes cannot have "
		"such magazines: the first type is %u, the largest %u",
		params->name, rounds, chunk, mag_type_first(chunk), mag_type_largest(chunk));
	return false;
}

static int
callbacks_copy(struct mag_cache *cache, const struct mag_cache_params *params)
{
	if (params->constructor == NULL && params->destructor == NULL && params->release == NULL)
		return 0;
	cache->common.callbacks = malloc(sizeof(*cache->common.callbacks));
	if (cache->common.callbacks == NULL)
		return params_error(params, "no memory for its callbacks", ENOMEM);
	*cache->common.callbacks = (struct mag_callbacks){
		.constructor = params->constructor,
		.destructor = params->destructor,
		.release = params->release,
		.arg = params->arg,
	};
	return 0;
}

/* The first home is that of the region's first part: its records lie there, whoever makes the cache. */
static int
node_for(const struct mag_cache_params *params)
{
	return params->node >= 0 ? params->node : params->region->part[0].node;
}

static int
options_read(const struct mag_cache_params *params, size_t align, struct mag_options *options)
{
	bool intrinsic = params->region->mode & MAG_REGION_PSEUDO;
	char who[MAG_CACHE_NAMESIZE + 16];
	int ret = mag_options_begin(options);

	snprintf(who, sizeof(who), "cache \"%s\"", params->name);
	/* All caches does not mean those that cannot be. */
	if (ret == 0 && intrinsic) {
		options->guard = MAG_GUARD_OFF;
		options->audit = false;
	}
	if (ret == 0)
		ret = mag_options_parse(who, params->options, options);
	if (ret != 0)
		return ret;
	if (options->rounds != 0 && !type_is_reachable(params, align, options->rounds))
		return -EINVAL;
	if (options->block != 0 || options->mirror != 0)
		return params_error(params, "options block and mirror are its region's", EINVAL);
	if (intrinsic && (options->audit || options->guard != MAG_GUARD_OFF))
		return params_error(params, "guard and audit need a region", EINVAL);
	if (options->audit && params->region->audit == NULL)
		return params_error(params, "audit=1 needs a MAG_REGION_AUDIT region", EINVAL);
	return 0;
}

/* Over a region that fits. */
static struct mag_cache *
cache_create(const struct mag_cache_params *params, size_t align)
{
	struct mag_options options;
	const struct mag_region *region = params->region;
	struct mag_cache *cache;

	rte_errno = -options_read(params, align, &options);
	if (rte_errno != 0)
		return NULL;
	cache = cache_alloc("cache", params->name, node_for(params));
	if (cache == NULL)
		return NULL;
	rte_errno = -callbacks_copy(cache, params);
	if (rte_errno != 0) {
		cache_destroy(cache);
		return NULL;
	}
	cache->flags = params->flags;
	if (region->object_size <= mag_options_clear_min(&options) &&
	    (region->mode & MAG_REGION_READONLY) == 0)
		cache->flags |= MAG_CACHE_CLEARONFREE;
	cache->object_size = params->object_size;
	cache->common.chunk_size = RTE_ALIGN_CEIL(params->object_size, align);
	cache->align = align;
	cache->region = params->region;
	cache->options = options;
	cache->expected = mag_region_objects_max(params->region);
	cache->is_own = cache->common.callbacks != NULL || mag_elastic_is_of_pages(region);
	if (region->mode & MAG_REGION_PSEUDO) {
		cache->flags |= MAG_CACHE_DYNAMIC | MAG_CACHE_CLEARONFREE;
		/* Nobody knows: as many in the depot as lcores can hold. */
		cache->expected = mag_magazine_max(cache->common.chunk_size);
	}
	return cache_finish(cache, "cache");
}

static bool
layout_is_ours(uint32_t layout, const char *name)
{
	if (layout == MAG_LAYOUT)
		return true;
	MAG_LOG(ERR,
		"cache \"%s\": the program is compiled for slots of layout %u, this library has %u: "
		"compile it with this library's headers",
		name, layout, MAG_LAYOUT);
	rte_errno = ENOTSUP;
	return false;
}

struct mag_cache *
mag_cache_create_with(const struct mag_cache_params *params, uint32_t layout)
{
	struct mag_cache_params own = MAG_CACHE_PARAMS_INIT;
	struct mag_cache *cache;
	bool is_intrinsic;
	size_t align;
	int error;

	rte_errno = -mag_params_read(&own, sizeof(own), params, "cache", "MAG_CACHE_PARAMS_INIT");
	if (rte_errno != 0)
		return NULL;
	align = own.align == 0 ? ALIGN_MIN : RTE_ALIGN_CEIL(own.align, (size_t)ALIGN_MIN);
	if (!copy_is_first(own.name) || !name_is_good("cache", own.name) ||
	    !layout_is_ours(layout, own.name) || params_check(&own, align) != 0)
		return NULL;
	is_intrinsic = own.region == NULL;
	if (is_intrinsic)
		own.region = mag_region_intrinsic(own.name, RTE_ALIGN_CEIL(own.object_size, align),
						  align, own.node);
	if (own.region == NULL)
		return NULL;
	cache = cache_create(&own, align);
	if (cache == NULL && is_intrinsic) {
		error = rte_errno;
		mag_region_destroy(own.region);
		rte_errno = error;
	}
	return cache;
}

/* A region that nobody else knows of goes with its cache. */
static void
cache_end(struct mag_cache *cache)
{
	struct mag_region *region = cache->region;

	mag_region_detach(region, cache->align);
	cache_destroy(cache);
	if (region->mode & MAG_REGION_PSEUDO)
		mag_region_destroy(region);
}

int
mag_cache_destroy(struct mag_cache *cache)
{
	struct mag_home *home;
	unsigned int part;
	uint64_t out = 0;
	int ret;

	if (cache == NULL)
		return 0;
	if (mag_cache_may_deadlock()) {
		MAG_LOG(ERR, "cache \"%s\": not from a cache's callback, nor from a walk",
			cache->name);
		return -EDEADLK;
	}
	/* It is on that process's list. */
	if (cache->process != mag_process_id) {
		MAG_LOG(ERR, "cache \"%s\": process %d made it: destroy it there", cache->name,
			cache->pid);
		return -EPERM;
	}
	list_remove(cache);
	if (!mag_perimeter_enter(cache, false)) {
		MAG_LOG(ERR, "cache \"%s\": is being resized: destroy it later", cache->name);
		list_insert(cache);
		return -EBUSY;
	}
	ret = mag_cache_purge_inside(cache, true);
	MAG_FOREACH_HOME(cache, part, home)
		out += MAG_STAT(home->slab.out);
	if (ret == 0 && out == 0) {
		cache_end(cache);
		return 0;
	}
	if (ret != 0)
		MAG_LOG(ERR, "cache \"%s\": an lcore is using it: stop all users, then destroy it",
			cache->name);
	else
		MAG_LOG(ERR,
			"cache \"%s\": %" PRIu64 " objects are out: free them, then destroy it",
			cache->name, out);
	mag_watch_report(cache);
	/* What a user has purged stays off. */
	mag_cache_enable_inside(cache);
	mag_perimeter_leave(cache);
	list_insert(cache);
	return -EBUSY;
}

static __rte_always_inline int
take_all(struct mag_cache *cache, void **objects, unsigned int n, bool steal, bool may_wait)
{
	struct mag_request request = {.may_wait = may_wait};
	unsigned int got = mag_cache_take(cache, objects, n, &request);

	/* Only thieves, under the visit lock, hold objects while they look for more. */
	if (got > 0 && got < n)
		mag_cache_give(cache, objects, got);
	mag_request_end(&cache->common, &request);
	if (unlikely(got < n)) {
		if (!steal || request.refused || MAG_STAT(cache->dying) ||
		    mag_cache_steal(cache, objects, n, &request) < n)
			return -ENOBUFS;
	}
	if (unlikely(mag_watched(cache)))
		mag_watch_out(cache, objects, n);
	return 0;
}

int
mag_cache_take_all(struct mag_cache *cache, void **objects, unsigned int n, bool steal)
{
	return take_all(cache, objects, n, steal, false);
}

int
mag_cache_steal_all(struct mag_cache *cache, void **objects, unsigned int n)
{
	struct mag_request request = {0};

	if (MAG_STAT(cache->dying) || mag_cache_steal(cache, objects, n, &request) < n)
		return -ENOBUFS;
	if (unlikely(mag_watched(cache)))
		mag_watch_out(cache, objects, n);
	return 0;
}

int
mag_cache_take_all_slowly(struct mag_cache *cache, void **objects, unsigned int n)
{
	return take_all(cache, objects, n, true, true);
}

static void
block_watch_out(struct mag_cache *cache, void *first)
{
	const struct mag_region *region = cache->region;
	unsigned int i;
	void *object;

	for (i = 0; i < region->block; i++) {
		object = RTE_PTR_ADD(first, (size_t)i * region->stride);
		mag_watch_out(cache, &object, 1);
	}
}

int
mag_pool_take_blocks(struct mag_cache *cache, void **first, unsigned int n)
{
	int ret = mag_cache_take_blocks(cache, first, n);
	unsigned int i;

	for (i = 0; ret == 0 && unlikely(mag_watched(cache)) && i < n; i++)
		block_watch_out(cache, first[i]);
	return ret;
}

/* What the fast paths of mag_inline.h leave over. */

unsigned int
mag_cache_alloc_slow(struct mag_cache *cache, void **objects, unsigned int n)
{
	struct mag_request request = {.some = true};
	unsigned int got;

	if (mag_cache_is_elsewhere(cache))
		return 0;
	got = mag_cache_take(cache, objects, n, &request);
	mag_request_end(&cache->common, &request);
	/* Nothing is out of reach: what other lcores hold, as far as it goes. */
	if (got < n && !request.refused)
		got += mag_cache_steal(cache, objects + got, n - got, &request);
	if (unlikely(mag_watched(cache)))
		mag_watch_out(cache, objects, got);
	return got;
}

unsigned int
mag_cache_alloc_bulk_slow(struct mag_cache *cache, void **objects, unsigned int n)
{
	if (n == 0 || mag_cache_is_elsewhere(cache) ||
	    mag_cache_take_all(cache, objects, n, true) != 0)
		return 0;
	return n;
}

void
mag_cache_free_slow(struct mag_cache *cache, void *const *objects, unsigned int n)
{
	if (mag_cache_is_elsewhere(cache))
		return;
	if (unlikely(mag_watched(cache)))
		mag_watch_back(cache, objects, n, mag_cache_give);
	else
		mag_cache_give(cache, objects, n);
}

void
mag_cache_free_nocache_bulk(struct mag_cache *cache, void *const *objects, unsigned int n)
{
	if (mag_cache_is_elsewhere(cache))
		return;
	if (unlikely(mag_watched(cache)))
		mag_watch_back(cache, objects, n, mag_cache_give_past);
	else
		mag_cache_give_past(cache, objects, n);
}

void
mag_cache_free_nocache(struct mag_cache *cache, void *object)
{
	mag_cache_free_nocache_bulk(cache, &object, 1);
}
