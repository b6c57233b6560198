/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Below the fast path: objects between this thread's slot, the depot and the slab layer
 * (spec 4). Nobody else's slot is touched here; that is visit.c.
 */

#include <errno.h>
#include <sched.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_lcore.h>
#include <rte_pause.h>

#include "audit.h"
#include "exchange.h"
#include "log.h"
#include "memtag.h"

/* The shared slot's lock is held for less than this, unless its holder is preempted. */
#define SHARED_TRIES 1000

/* A visitor stays for the milliseconds of a sweep, unless it has stopped in there, or was killed. */
#define FLUSH_US 100000

/* Objects of which a bulk is tagged at a time. */
#define TAGGED_BULK 32

/* A signal handler may read it: it must not be allocated when it is first touched. */
_Thread_local unsigned int mag_callback_depth __attribute__((tls_model("initial-exec")));

static bool
is_tagged(const struct mag_cache *cache)
{
	return unlikely(cache->region->mode & MAG_REGION_MEMTAG);
}

/* What is known to be an object gets another tag (spec 12): its pointer. */
static void *
object_retag(const struct mag_cache *cache, void *object)
{
	const struct mag_mirror *mirror = mag_region_mirror(cache->region);
	char *its;

	object = mag_memtag_fresh(object, cache->region->object_size);
	if (mirror == NULL)
		return object;
	its = mag_mirror_of(mirror, object);
	memcpy(its + mirror->back, &object, sizeof(object));
	return object;
}

static void
objects_retag(const struct mag_cache *cache, void **objects, unsigned int n)
{
	unsigned int i;

	for (i = 0; is_tagged(cache) && i < n; i++)
		objects[i] = object_retag(cache, objects[i]);
}

void
mag_cache_elsewhere_report(const struct mag_cache *cache)
{
	MAG_LOG(ERR,
		"cache \"%s\": process %d made it, with callbacks or memory that only that one has: it cannot "
		"be used in this process",
		cache->name, cache->pid);
}

static void
call_destructor(const struct mag_callbacks *callbacks, void *object)
{
	if (callbacks == NULL || callbacks->destructor == NULL)
		return;
	mag_callback_depth++;
	callbacks->destructor(object, callbacks->arg);
	mag_callback_depth--;
}

static int
call_constructor(const struct mag_callbacks *callbacks, const struct mag_object_info *object,
		 const struct mag_object_info *mirror, bool may_wait)
{
	int ret;

	/* This thread holds nothing and could wait itself: the constructor is free to do what its caller is. */
	if (may_wait)
		return callbacks->constructor(object, mirror, callbacks->arg,
					      MAG_CONSTRUCT_MAY_WAIT);
	mag_callback_depth++;
	ret = callbacks->constructor(object, mirror, callbacks->arg, 0);
	mag_callback_depth--;
	return ret;
}

/* EAL's heap clears what comes from it by itself: objects of a cache over it are zero without us. */
static bool
is_cleared(const struct mag_cache *cache)
{
	return cache->flags & MAG_CACHE_CLEARONFREE &&
	       (cache->region->mode & MAG_REGION_PSEUDO) == 0;
}

/* The region's whole object, on its way to the slab layer, if the cache is one that clears. */
static void
object_clear(const struct mag_cache *cache, void *object)
{
	if (is_cleared(cache))
		memset(object, 0, cache->region->object_size);
}

/* One by one, so that an object that is there twice is destructed once. */
static void
destruct_and_free(struct mag_cache *cache, void *object)
{
	struct mag_slab_object found;

	if (mag_slab_find(&cache->slab, object, &found)) {
		/* Whoever gave it back, it is this one that is touched. */
		if (is_tagged(cache))
			object = mag_memtag_pointer(object);
		mag_watch_lend(cache, object);
		call_destructor(cache->callbacks, object);
		object_clear(cache, object);
		mag_watch_return(cache, object);
	}
	mag_slab_free(&cache->slab, &object, 1);
}

static void
home_give_slab(struct mag_cache *cache, void *const *objects, unsigned int n)
{
	const struct mag_callbacks *callbacks = cache->callbacks;
	unsigned int i;

	if ((callbacks == NULL || callbacks->destructor == NULL) && !is_cleared(cache)) {
		mag_slab_free(&cache->slab, objects, n);
		return;
	}
	for (i = 0; i < n; i++)
		destruct_and_free(cache, objects[i]);
}

/*
 * Give objects, each with another tag if the cache has tags. Once only on their way: a second one might be the tag
 * that they came with. What is no object that is out is left as it is.
 */
static void
home_give_fresh(struct mag_cache *cache, void *const *objects, unsigned int n,
		void (*give)(struct mag_cache *home, void *const *objects, unsigned int n))
{
	void *bulk[TAGGED_BULK];
	struct mag_slab_object found;
	unsigned int i, done, now;

	if (!is_tagged(cache)) {
		give(cache, objects, n);
		return;
	}
	for (done = 0; done < n; done += now) {
		now = RTE_MIN(n - done, (unsigned int)TAGGED_BULK);
		for (i = 0; i < now; i++) {
			bulk[i] = objects[done + i];
			if (mag_slab_find(&cache->slab, bulk[i], &found))
				bulk[i] = object_retag(cache, bulk[i]);
		}
		give(cache, bulk, now);
	}
}

void
mag_cache_destroy_magazine(struct mag_cache *cache, struct mag_detached detached)
{
	if (detached.magazine == NULL)
		return;
	if (detached.rounds > 0)
		home_give_fresh(cache, detached.magazine->round, detached.rounds, home_give_slab);
	mag_arena_put(&cache->arena, detached.magazine);
}

void
mag_cache_hand_over(struct mag_cache *cache, struct mag_detached detached)
{
	if (detached.magazine == NULL)
		return;
	if (detached.rounds == detached.magazine->rounds)
		mag_depot_put(&cache->depot, &cache->depot.full, detached.magazine);
	else if (detached.rounds == 0)
		mag_depot_put(&cache->depot, &cache->depot.empty, detached.magazine);
	else
		mag_cache_destroy_magazine(cache, detached);
}

/*
 * Owner, holding its slot: take both magazines away; the caller lets the slot go and
 * then calls mag_cache_hand_over(). Whatever was detached is in transit until then.
 */
static uint64_t
detach_both(struct mag_cache *cache, struct mag_lcore *lcore, struct mag_detached both[2])
{
	uint64_t objects = mag_lcore_count(lcore);

	mag_transit_begin(cache, objects);
	both[0] = mag_lcore_detach_previous(lcore);
	both[1] = mag_lcore_detach_loaded(lcore);
	MAG_COUNT(lcore->rounds_out, objects);
	return objects;
}

/*
 * A full magazine may go to the depot only while its type is in force: which nobody
 * can change before every slot, this one too, has granted a purge. So it is put there
 * with the slot still held, and only a partial one is left for the time after.
 */
void
mag_cache_hand_in(struct mag_cache *cache, struct mag_lcore *lcore)
{
	struct mag_detached both[2], partial = {NULL, 0};
	uint64_t objects = detach_both(cache, lcore, both);
	unsigned int i;

	for (i = 0; i < 2; i++) {
		if (both[i].magazine != NULL && both[i].rounds % both[i].magazine->rounds != 0)
			partial = both[i];
		else
			mag_cache_hand_over(cache, both[i]);
	}
	mag_bias_leave(&lcore->owner);
	mag_cache_destroy_magazine(cache, partial);
	mag_transit_end(cache, objects);
	mag_bias_dismiss(&lcore->visitor, MAG_BIAS_ASKED);
}

/* What a visitor keeps us from handing in stays in the slot: others can have it, or the slot's next owner. */
static void
home_flush_slot(struct mag_cache *cache, uint32_t slot)
{
	struct mag_lcore *lcore = &cache->slot[slot];
	uint64_t deadline = rte_rdtsc() + rte_get_tsc_hz() / 1000000 * FLUSH_US;

	while (!mag_bias_enter_careful(&lcore->owner, &lcore->visitor)) {
		if (rte_rdtsc() > deadline) {
			MAG_STAT_ADD(cache->visits_denied, 1);
			return;
		}
		sched_yield();
	}
	mag_lcore_acknowledge(lcore, MAG_STAT(lcore->visitor.word));
	mag_cache_hand_in(cache, lcore);
}

void
mag_cache_flush_slot(struct mag_cache *cache, uint32_t slot)
{
	struct mag_cache *home;
	unsigned int part;

	MAG_FOREACH_HOME(cache, part, home)
		home_flush_slot(home, slot);
}

static struct mag_lcore *
hold_shared(struct mag_cache *cache, unsigned int tries)
{
	while (!mag_lock_try(&cache->shared)) {
		if (--tries == 0)
			return NULL;
		rte_pause();
	}
	return &cache->slot[MAG_SLOT_SHARED];
}

/*
 * This thread's slot, or the shared one for a thread without; NULL when only the slab
 * layer may be used: a purge is under way, or the shared slot is busy.
 */
static struct mag_lcore *
slot_hold(struct mag_cache *cache)
{
	struct mag_lcore *own;
	uint32_t word;

	mag_lcore_claim();
	own = mag_lcore_slot(cache->slot);
	if (own == &cache->slot[MAG_SLOT_SHARED])
		return hold_shared(cache, SHARED_TRIES);
	while (mag_bias_enter_careful(&own->owner, &own->visitor)) {
		word = MAG_STAT(own->visitor.word);
		if (likely((word & (MAG_BIAS_ASKED | MAG_BIAS_FENCE_BIT)) == 0))
			return own;
		mag_lcore_acknowledge(own, word);
		if ((word & MAG_BIAS_ASKED) == 0)
			return own;
		mag_cache_hand_in(cache, own);
	}
	word = MAG_STAT(own->visitor.word);
	return word & (MAG_BIAS_PURGE | MAG_BIAS_SELF) ? NULL : hold_shared(cache, 1);
}

static void
slot_let_go(struct mag_cache *cache, struct mag_lcore *lcore)
{
	if (lcore == &cache->slot[MAG_SLOT_SHARED])
		mag_lock_release(&cache->shared);
	else
		mag_bias_leave(&lcore->owner);
}

/* Objects that passed by the magazines count for their lcore all the same. */
void
mag_home_count(struct mag_cache *cache, uint32_t allocs, uint32_t frees)
{
	struct mag_lcore *own = mag_lcore_slot(cache->slot);

	if (own == &cache->slot[MAG_SLOT_SHARED]) {
		MAG_STAT_ADD(cache->beside_allocs, allocs);
		MAG_STAT_ADD(cache->beside_frees, frees);
		return;
	}
	MAG_COUNT(own->allocs, allocs);
	MAG_COUNT(own->rounds_in, allocs);
	MAG_COUNT(own->rounds_out, frees);
}

static void
object_info(const struct mag_slab_object *found, const struct mag_cache *cache,
	    struct mag_object_info *info)
{
	info->address = is_tagged(cache) ? mag_memtag_pointer(found->address) : found->address;
	info->size = cache->chunk_size;
	info->bufctl = found->bufctl;
	info->segment_object = found->index;
	info->region_index = found->region_index;
}

/* The same object on the other side; address NULL when there is none. */
static void
mirror_info(const struct mag_object_info *object, const struct mag_cache *cache,
	    struct mag_object_info *mirror)
{
	const struct mag_mirror *find = mag_region_mirror(cache->region);

	*mirror = (struct mag_object_info){.address = NULL};
	if (find == NULL)
		return;
	*mirror = *object;
	mirror->address = mag_mirror_of(find, object->address);
	mirror->size = find->bytes;
	mirror->bufctl = NULL;
}

/* The first of them was refused by its constructor, and is lent; the others have not come to it. */
static void
unconstructed_give(struct mag_cache *cache, void **objects, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n && cache->flags & MAG_CACHE_CLEARONFREE; i++) {
		if (i > 0)
			mag_watch_lend(cache, objects[i]);
		object_clear(cache, objects[i]);
		mag_watch_return(cache, objects[i]);
	}
	if (i == 0)
		mag_watch_return(cache, objects[0]);
	objects_retag(cache, objects, n);
	mag_slab_free(&cache->slab, objects, n);
}

/* Construct n objects; those that could not be are given back. Returns how many stand. */
static unsigned int
construct(struct mag_cache *cache, void **objects, unsigned int n, bool may_wait)
{
	const struct mag_callbacks *callbacks = cache->callbacks;
	struct mag_object_info info, mirror;
	struct mag_slab_object found;
	unsigned int i;

	if (likely(callbacks == NULL || callbacks->constructor == NULL))
		return n;
	for (i = 0; i < n; i++) {
		mag_slab_find(&cache->slab, objects[i], &found);
		object_info(&found, cache, &info);
		mirror_info(&info, cache, &mirror);
		mag_watch_lend(cache, objects[i]);
		if (call_constructor(callbacks, &info, mirror.address != NULL ? &mirror : NULL,
				     may_wait) != 0)
			break;
	}
	if (i < n) {
		MAG_STAT_ADD(cache->alloc_fails, n - i);
		unconstructed_give(cache, objects + i, n - i);
	}
	return i;
}

/*
 * Past the slot, which may be somebody else's for a while, or without magazines while the depot is
 * being emptied: whole magazines, and of the last one what is not needed to the slabs.
 */
static unsigned int
take_from_depot(struct mag_cache *cache, void **objects, unsigned int n,
		struct mag_request *request)
{
	struct mag_magazine *magazine[2];
	uint32_t rounds = MAG_STAT(cache->type), take, left;
	unsigned int got = 0;

	while (got < n && mag_depot_total(&cache->depot.full) > 0) {
		mag_request_hold(cache, request, rounds);
		take = 0;
		if (mag_depot_take(&cache->depot, &cache->depot.full, 1, magazine) == 1) {
			take = RTE_MIN(magazine[0]->rounds, n - got);
			left = magazine[0]->rounds - take;
			memcpy(objects + got, &magazine[0]->round[left], take * sizeof(void *));
			got += take;
			mag_cache_destroy_magazine(cache, (struct mag_detached){magazine[0], left});
		}
		/* Modulo 2^64: a magazine may be of a later type, and larger. */
		mag_request_let_go(cache, request, (uint64_t)rounds - take);
	}
	return got;
}

static unsigned int
home_take(struct mag_cache *cache, void **objects, unsigned int n, struct mag_request *request)
{
	struct mag_lcore *lcore = slot_hold(cache);
	unsigned int got = 0, slab, beside;

	if (likely(lcore != NULL)) {
		got = mag_lcore_take(lcore, &cache->depot, objects, n);
		if (got > 0 && got < n)
			mag_request_hold(cache, request, got);
		slot_let_go(cache, lcore);
	}
	if (got == n)
		return n;
	slab = mag_slab_alloc(&cache->slab, objects + got, n - got, &cache->main->transit);
	objects_retag(cache, objects + got, slab);
	if (got + slab < n)
		request->transit += slab;
	beside = construct(cache, objects + got, slab, request->may_wait);
	if (beside < slab)
		request->refused = true;
	else if (got + slab < n)
		beside += take_from_depot(cache, objects + got + slab, n - got - slab, request);
	mag_home_count(cache, beside, 0);
	return got + beside;
}

const uint8_t *
mag_homes_order(const struct mag_homes *homes)
{
	unsigned int node = rte_socket_id();

	return homes->order[node < RTE_MAX_NUMA_NODES ? node : 0];
}

unsigned int
mag_cache_take(struct mag_cache *cache, void **objects, unsigned int n, struct mag_request *request)
{
	const struct mag_homes *homes = mag_cache_homes(cache);
	unsigned int i, got = 0;
	const uint8_t *order;

	if (likely(homes == NULL))
		return home_take(cache, objects, n, request);
	order = mag_homes_order(homes);
	for (i = 0; i < homes->count && got < n && !request->refused; i++)
		got += home_take(homes->home[order[i]], objects + got, n - got, request);
	return got;
}

static void
home_put(struct mag_cache *cache, void *const *objects, unsigned int n)
{
	struct mag_magazine *magazine = NULL;
	struct mag_lcore *lcore;
	unsigned int done = 0;
	uint32_t size;

	while ((lcore = slot_hold(cache)) != NULL) {
		size = MAG_STAT(lcore->size);
		if (magazine != NULL && magazine->rounds == size) {
			mag_depot_put(&cache->depot, &cache->depot.empty, magazine);
			magazine = NULL;
		}
		done += mag_lcore_give(lcore, &cache->depot, objects + done, n - done);
		slot_let_go(cache, lcore);
		if (magazine != NULL)
			mag_arena_put(&cache->arena, magazine);
		magazine = NULL;
		if (done == n)
			return;
		/* No empty magazine in the depot: make one, with the slot let go. */
		if (size != 0)
			magazine = mag_arena_get(&cache->arena, size);
		if (magazine == NULL) {
			if (size != 0)
				MAG_STAT_ADD(cache->no_magazine, n - done);
			break;
		}
	}
	if (magazine != NULL)
		mag_arena_put(&cache->arena, magazine);
	home_give_slab(cache, objects + done, n - done);
	mag_home_count(cache, 0, n - done);
}

static void
home_give(struct mag_cache *cache, void *const *objects, unsigned int n)
{
	home_give_fresh(cache, objects, n, home_put);
}

/* Each object goes home: runs of objects of one home at once. */
static void
homes_give(struct mag_cache *cache, void *const *objects, unsigned int n,
	   void (*give)(struct mag_cache *home, void *const *objects, unsigned int n))
{
	unsigned int i, run;
	uint32_t part;

	for (i = 0; i < n; i += run) {
		part = mag_region_part_of(cache->region, objects[i]);
		for (run = 1; i + run < n; run++)
			if (mag_region_part_of(cache->region, objects[i + run]) != part)
				break;
		give(mag_cache_home(cache, part), objects + i, run);
	}
}

void
mag_cache_give(struct mag_cache *cache, void *const *objects, unsigned int n)
{
	if (likely(mag_cache_homes(cache) == NULL))
		home_give(cache, objects, n);
	else
		homes_give(cache, objects, n, home_give);
}

static void
home_give_past(struct mag_cache *cache, void *const *objects, unsigned int n)
{
	home_give_fresh(cache, objects, n, home_give_slab);
	mag_home_count(cache, 0, n);
}

void
mag_cache_give_past(struct mag_cache *cache, void *const *objects, unsigned int n)
{
	if (likely(mag_cache_homes(cache) == NULL))
		home_give_past(cache, objects, n);
	else
		homes_give(cache, objects, n, home_give_past);
}

/* For each object of some blocks. */
static void
blocks_for_each(struct mag_cache *cache, void *const *first, unsigned int n,
		void (*work)(struct mag_cache *cache, void *const *object, unsigned int one))
{
	const struct mag_region *region = cache->region;
	unsigned int i, object;
	void *at;

	for (i = 0; i < n; i++)
		for (object = 0; object < region->block; object++) {
			at = RTE_PTR_ADD(first[i], (size_t)object * region->stride);
			work(cache, &at, 1);
		}
}

/* Of a block that was taken for a request that cannot be served. */
static void
block_object_give(struct mag_cache *cache, void *const *object, unsigned int one)
{
	homes_give(cache, object, one, home_give_slab);
}

static int
homes_take_blocks(struct mag_cache *cache, const struct mag_homes *homes, void **first,
		  unsigned int n)
{
	const uint8_t *order = mag_homes_order(homes);
	uint64_t objects = (uint64_t)n * cache->region->block;
	unsigned int i, got = 0;

	mag_transit_begin(cache, objects);
	for (i = 0; i < homes->count && got < n; i++)
		while (got < n &&
		       mag_slab_alloc_blocks(&homes->home[order[i]]->slab, first + got, 1) == 0)
			got++;
	if (got < n)
		blocks_for_each(cache, first, got, block_object_give);
	mag_transit_end(cache, objects);
	return got == n ? 0 : -ENOBUFS;
}

int
mag_cache_take_blocks(struct mag_cache *cache, void **first, unsigned int n)
{
	const struct mag_homes *homes = mag_cache_homes(cache);
	int ret = likely(homes == NULL) ? mag_slab_alloc_blocks(&cache->slab, first, n) :
					  homes_take_blocks(cache, homes, first, n);

	if (ret == 0 && unlikely(mag_watched(cache)))
		blocks_for_each(cache, first, n, mag_watch_out);
	return ret;
}

int
mag_cache_object_info(struct mag_cache *cache, const void *object, struct mag_object_info *info,
		      struct mag_object_info *mirror)
{
	struct mag_slab_object found;
	struct mag_cache *home = mag_cache_home(cache, mag_region_part_of(cache->region, object));

	if (home == NULL || !mag_slab_find(&home->slab, object, &found))
		return -EINVAL;
	object_info(&found, cache, info);
	if (mirror != NULL)
		mirror_info(info, cache, mirror);
	return 0;
}
