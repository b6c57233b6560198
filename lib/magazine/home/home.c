/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Below the fast path: objects between this thread's slot, the depot and the slab layer of one
 * home.
 */

#include <errno.h>
#include <sched.h>
#include <string.h>

#include <rte_branch_prediction.h>
#include <rte_cycles.h>
#include <rte_pause.h>

#include "base/deadline.h"
#include "base/memtag.h"
#include "home/home.h"
#include "home/object.h"
#include "home/slab_objects.h"
#include "sources/elastic_service.h"

/* The shared slot's lock is held for less than this, unless its holder is preempted. */
#define SHARED_TRIES 1000

/*
 * A visitor stays for the milliseconds of a sweep, unless it has stopped in there, or was killed.
 */
#define FLUSH_US 100000

/* Objects of which a bulk is tagged at a time. */
#define TAGGED_BULK 32

static void
slots_init(struct mag_home *home)
{
	uint32_t bits = home->common->bias == MAG_BIAS_FENCE ? MAG_BIAS_FENCE_BIT : 0;
	unsigned int i;

	if (home->slab.region->mode & MAG_REGION_MEMTAG)
		bits |= MAG_BIAS_WATCHED;
	for (i = 0; i < MAG_SLOTS; i++) {
		home->slot[i].near = &home->slab.region->bounds[home->slab.part].near;
		/* Nobody owns the shared slot: the fast path never gets in. */
		mag_bias_announce(&home->slot[i], i == MAG_SLOT_SHARED ? MAG_BIAS_SELF : bits);
	}
}

int
mag_home_init(struct mag_home *home, struct mag_region *region, uint32_t part, uint64_t expected,
	      size_t arena_bytes, size_t arena_max)
{
	if (mag_arena_init(&home->arena, arena_bytes, arena_max, home->node) != 0 ||
	    mag_slab_init(&home->slab, region, part, expected, home->node) != 0)
		return -ENOMEM;
	mag_depot_init(&home->depot, &home->arena);
	slots_init(home);
	return 0;
}

void
mag_home_fini(struct mag_home *home)
{
	mag_slab_fini(&home->slab);
	mag_arena_fini(&home->arena);
}

static void
home_give_back(struct mag_home *home, void *const *objects, unsigned int n)
{
	mag_object_give_back(home->common, &home->slab, objects, n, NULL);
}

/* With another tag. What is no object that is out is left as it is. */
static void *
retagged(struct mag_home *home, void *object)
{
	struct mag_slab_object found;

	return mag_slab_find(&home->slab, object, &found) ? mag_object_retag(&home->slab, object) :
							    object;
}

/*
 * Give objects, each with another tag if the cache has tags. Once only on their way: a second one
 * might be the tag that they came with.
 */
static void
home_give_fresh(struct mag_home *home, void *const *objects, unsigned int n,
		void (*give)(struct mag_home *home, void *const *objects, unsigned int n))
{
	void *bulk[TAGGED_BULK];
	unsigned int i, done, now;

	if (!mag_object_is_tagged(&home->slab)) {
		give(home, objects, n);
		return;
	}
	for (done = 0; done < n; done += now) {
		now = RTE_MIN(n - done, (unsigned int)TAGGED_BULK);
		for (i = 0; i < now; i++)
			bulk[i] = retagged(home, objects[done + i]);
		give(home, bulk, now);
	}
}

void
mag_home_drain_magazine(struct mag_home *home, struct mag_magazine *magazine)
{
	void **rounds = mag_magazine_round(magazine, 0);
	uint32_t n = MAG_LOAD(&magazine->held, MAG_RELAXED), i;

	for (i = 0; i < n && mag_object_is_tagged(&home->slab); i++)
		rounds[i] = retagged(home, rounds[i]);
	if (n > 0)
		mag_object_give_back(home->common, &home->slab, rounds, n, magazine);
}

void
mag_home_destroy_magazine(struct mag_home *home, struct mag_detached detached)
{
	if (detached.magazine == NULL)
		return;
	mag_hands_begin();
	MAG_STORE(&detached.magazine->held, (uint16_t)detached.rounds, MAG_RELAXED);
	mag_home_drain_magazine(home, detached.magazine);
	mag_arena_put(&home->arena, detached.magazine);
	mag_hands_end();
}

void
mag_home_hand_over(struct mag_home *home, struct mag_detached detached)
{
	if (detached.magazine == NULL)
		return;
	if (detached.rounds == detached.magazine->rounds)
		mag_depot_put(&home->depot.full, detached.magazine);
	else if (detached.rounds == 0)
		mag_depot_put(&home->depot.empty, detached.magazine);
	else
		mag_home_destroy_magazine(home, detached);
}

/*
 * Owner, holding its slot: take both magazines away; the caller lets the slot go and
 * then calls mag_home_hand_over(). Whatever was detached is in transit until then.
 */
static uint64_t
detach_both(struct mag_home *home, struct mag_slot *slot, struct mag_detached both[2])
{
	uint64_t objects = mag_slot_objects(slot);

	mag_transit_begin(home->common, objects);
	both[0] = mag_slot_detach_previous(slot);
	both[1] = mag_slot_detach_loaded(slot);
	MAG_COUNT(slot->rounds_out, objects);
	return objects;
}

/*
 * A full magazine may go to the depot only while its type is in force: which nobody
 * can change before every slot, this one too, has granted a purge. So it is put there
 * with the slot still held, and only a partial one is left for the time after.
 */
void
mag_home_flush_held(struct mag_home *home, struct mag_slot *slot)
{
	struct mag_detached both[2], partial = {NULL, 0};
	uint64_t objects;
	unsigned int i;

	mag_hands_begin();
	objects = detach_both(home, slot, both);
	for (i = 0; i < 2; i++) {
		if (both[i].magazine != NULL && both[i].rounds % both[i].magazine->rounds != 0)
			partial = both[i];
		else
			mag_home_hand_over(home, both[i]);
	}
	mag_slot_leave(slot);
	mag_home_destroy_magazine(home, partial);
	mag_transit_end(home->common, objects);
	mag_hands_end();
	mag_bias_dismiss(slot, MAG_BIAS_ASKED);
}

/*
 * What a visitor keeps us from flushing stays in the slot: others can have it, or the slot's next
 * owner.
 */
void
mag_home_flush_slot(struct mag_home *home, uint32_t number)
{
	struct mag_slot *slot = &home->slot[number];
	uint64_t deadline = mag_deadline_in(FLUSH_US);

	while (!mag_bias_enter_careful(slot)) {
		if (rte_rdtsc() > deadline) {
			MAG_STAT_ADD(home->common->visits_denied, 1);
			return;
		}
		sched_yield();
	}
	mag_bias_acknowledge(slot, MAG_STAT(slot->visitor));
	mag_home_flush_held(home, slot);
}

static struct mag_slot *
hold_shared(struct mag_home *home, unsigned int tries)
{
	while (!mag_lock_try(&home->shared)) {
		if (--tries == 0)
			return NULL;
		rte_pause();
	}
	return &home->slot[MAG_SLOT_SHARED];
}

/*
 * This thread's slot, or the shared one for a thread without; NULL when only the slab
 * layer may be used: a purge is under way, or the shared slot is busy.
 */
static struct mag_slot *
slot_hold(struct mag_home *home)
{
	struct mag_slot *own;
	uint32_t word;

	own = mag_slot_own(home->slot);
	if (unlikely(own == &home->slot[MAG_SLOT_SHARED])) {
		mag_thread_claim();
		own = mag_slot_own(home->slot);
		if (own == &home->slot[MAG_SLOT_SHARED])
			return hold_shared(home, SHARED_TRIES);
	}
	while (mag_bias_enter_careful(own)) {
		word = MAG_STAT(own->visitor);
		if (likely((word & (MAG_BIAS_ASKED | MAG_BIAS_FENCE_BIT)) == 0))
			return own;
		mag_bias_acknowledge(own, word);
		if ((word & MAG_BIAS_ASKED) == 0)
			return own;
		mag_home_flush_held(home, own);
	}
	word = MAG_STAT(own->visitor);
	return word & (MAG_BIAS_PURGE | MAG_BIAS_SELF) ? NULL : hold_shared(home, 1);
}

static void
slot_let_go(struct mag_home *home, struct mag_slot *slot)
{
	if (slot == &home->slot[MAG_SLOT_SHARED])
		mag_lock_release(&home->shared);
	else
		mag_slot_leave(slot);
}

/* Objects that passed by the magazines count for their lcore all the same. */
void
mag_home_count(struct mag_home *home, uint32_t allocs, uint32_t frees)
{
	struct mag_slot *own = mag_slot_own(home->slot);

	if (own == &home->slot[MAG_SLOT_SHARED]) {
		MAG_STAT_ADD(home->beside_allocs, allocs);
		MAG_STAT_ADD(home->beside_frees, frees);
		return;
	}
	MAG_COUNT(own->allocs, allocs);
	MAG_COUNT(own->rounds_in, allocs);
	MAG_COUNT(own->rounds_out, frees);
}

/*
 * Past the slot, which may be somebody else's for a while, or without magazines while the depot is
 * being emptied: whole magazines, and of the last one what is not needed to the slabs.
 */
static unsigned int
take_from_depot(struct mag_home *home, void **objects, unsigned int n, struct mag_request *request)
{
	struct mag_magazine *magazine[2];
	uint32_t rounds = MAG_STAT(home->common->type), take, left;
	unsigned int got = 0;

	while (got < n && mag_depot_total(&home->depot.full) > 0) {
		mag_request_hold(home->common, request, rounds);
		take = 0;
		if (mag_depot_take(&home->depot, &home->depot.full, 1, magazine) == 1) {
			take = RTE_MIN(magazine[0]->rounds, n - got);
			left = magazine[0]->rounds - take;
			MAG_STORE(&magazine[0]->held, (uint16_t)left, MAG_RELAXED);
			memcpy(objects + got, mag_magazine_round(magazine[0], left),
			       take * sizeof(void *));
			got += take;
			mag_home_destroy_magazine(home, (struct mag_detached){magazine[0], left});
		}
		/* Modulo 2^64: a magazine may be of a later type, and larger. */
		mag_request_let_go(home->common, request, (uint64_t)rounds - take);
	}
	return got;
}

unsigned int
mag_home_take_beside(struct mag_home *home, void **objects, unsigned int n,
		     struct mag_request *request)
{
	unsigned int got = mag_slab_alloc(&home->slab, objects, n, home->common, request);

	return got < n ? got + take_from_depot(home, objects + got, n - got, request) : n;
}

unsigned int
mag_home_take(struct mag_home *home, void **objects, unsigned int n, struct mag_request *request)
{
	struct mag_slot *slot;
	unsigned int got = 0, slab, beside;

	if (unlikely(MAG_STAT(mag_process_is_child)))
		mag_process_look_for_parent();
	slot = slot_hold(home);
	if (likely(slot != NULL)) {
		got = mag_slot_take(slot, &home->depot, objects, n);
		if (got > 0 && got < n)
			mag_request_hold(home->common, request, got);
		slot_let_go(home, slot);
	}
	if (got == n)
		return n;
	slab = mag_slab_alloc(&home->slab, objects + got, n - got, home->common, request);
	mag_objects_retag(&home->slab, objects + got, slab);
	beside = mag_object_construct(home->common, &home->slab, objects + got, slab,
				      request->may_wait);
	if (beside < slab)
		request->refused = true;
	else if (got + slab < n)
		beside += take_from_depot(home, objects + got + slab, n - got - slab, request);
	mag_home_count(home, beside, 0);
	return got + beside;
}

bool
mag_home_take_blocks(struct mag_home *home, void **first, unsigned int n)
{
	struct mag_slot *slot = slot_hold(home);
	bool had;

	if (slot == NULL)
		return false;
	had = mag_slot_take_blocks(slot, &home->depot, home->slab.region, first, n);
	slot_let_go(home, slot);
	return had;
}

/* To this thread's slot and its depot; magazine: an empty one for the latter, or NULL. */
static unsigned int
put_with(struct mag_home *home, struct mag_magazine *magazine, void *const *objects, unsigned int n,
	 uint32_t *size)
{
	struct mag_slot *slot = slot_hold(home);
	unsigned int done = 0;

	*size = 0;
	if (slot != NULL) {
		*size = MAG_STAT(slot->size);
		if (magazine != NULL && magazine->rounds == *size) {
			mag_depot_put(&home->depot.empty, magazine);
			magazine = NULL;
		}
		done = mag_slot_give(slot, &home->depot, objects, n);
		slot_let_go(home, slot);
	}
	if (magazine != NULL)
		mag_arena_put(&home->arena, magazine);
	return done;
}

static void
home_put(struct mag_home *home, void *const *objects, unsigned int n)
{
	struct mag_magazine *magazine;
	unsigned int done;
	uint32_t size;

	done = put_with(home, NULL, objects, n, &size);
	if (done == n)
		return;
	mag_hands_begin();
	/* No empty magazine in the depot: make one, with the slot let go. */
	while (done < n && size != 0) {
		magazine = mag_arena_get(&home->arena, size);
		if (unlikely(mag_arena_wants(&home->arena)))
			mag_elastic_tell(home->slab.region);
		if (magazine == NULL) {
			MAG_STAT_ADD(home->no_magazine, n - done);
			break;
		}
		done += put_with(home, magazine, objects + done, n - done, &size);
	}
	if (done < n) {
		home_give_back(home, objects + done, n - done);
		mag_home_count(home, 0, n - done);
	}
	mag_hands_end();
}

void
mag_home_give(struct mag_home *home, void *const *objects, unsigned int n)
{
	home_give_fresh(home, objects, n, home_put);
}

void
mag_home_give_past(struct mag_home *home, void *const *objects, unsigned int n)
{
	home_give_fresh(home, objects, n, home_give_back);
	mag_home_count(home, 0, n);
}
