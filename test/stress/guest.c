/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_errno.h>
#include <rte_mempool.h>

#include "cache/cache.h"
#include "crew.h"
#include "base/fault.h"
#include "guest.h"
#include "tsan_heap.h"
#include "mag_maint.h"
#include "mag_stats.h"
#include "rte_mempool_magazine.h"

#define OBJECTS_MAX 2000
#define HANDS 3
#define HOLD 64
#define STEPS_MAX 600
#define TRIES 2000
#define PAGE 4096
/* That making a guest takes, about. */
#define ALLOCATIONS 8
#define CONSTRUCTOR_FAILS_ONCE_IN 50
/* A free object's first word is 0, also after it was cleared. */
#define DRAINER 1000u

struct guest {
	struct guests *guests;
	struct rng rng;
	struct rte_mempool *pool; /* NULL: a cache of the library */
	struct mag_cache *cache;
	struct mag_region *region;
	uint8_t *memory; /* of a cache, or of a pool that is populated in pieces */
	size_t size;
	uint32_t stride, objects, adopted;
	bool fails; /* its constructor */
	_Atomic int64_t constructed;
	_Atomic uint32_t constructions;
};

struct hand {
	struct guest *guest;
	struct rng rng;
	pthread_t thread;
	uint32_t number;
	bool registered;
	uint64_t gets;
	uint32_t held;
	void *object[HOLD];
};

/* A refusal has a reason: some allocation was made to fail since. */
static bool
refused(struct guest *guest, unsigned int struck, int error)
{
	if (error != ENOMEM || mag_fault_struck() == struck)
		stress_blame("a guest of %u objects of %u bytes was refused with %d, and %u "
			     "failures were injected meanwhile",
			     guest->objects, guest->stride, error, mag_fault_struck() - struck);
	atomic_fetch_add_explicit(&guest->guests->refused, 1, memory_order_relaxed);
	return false;
}

static int
construct(const struct mag_object_info *info, const struct mag_object_info *mirror, void *arg,
	  unsigned int flags)
{
	struct guest *guest = arg;

	RTE_SET_USED(info);
	RTE_SET_USED(mirror);
	RTE_SET_USED(flags);
	if (guest->fails && MAG_STAT_ADD(guest->constructions, 1) % CONSTRUCTOR_FAILS_ONCE_IN == 0)
		return -1;
	MAG_STAT_ADD(guest->constructed, 1);
	return 0;
}

static void
destruct(void *object, void *arg)
{
	struct guest *guest = arg;

	if (atomic_load_explicit((_Atomic uint32_t *)object, memory_order_relaxed) != 0)
		stress_blame("an object of a guest is destructed while it is out");
	MAG_STAT_ADD(guest->constructed, -1);
}

/* Making one */

static bool
map(struct guest *guest, size_t size)
{
	guest->size = size;
	guest->memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (guest->memory != MAP_FAILED)
		return true;
	stress_blame("no memory for a guest of %zu bytes", size);
	guest->memory = NULL;
	return false;
}

static void
clear_token(struct rte_mempool *pool, void *arg, void *object, unsigned int index)
{
	RTE_SET_USED(pool);
	RTE_SET_USED(arg);
	RTE_SET_USED(index);
	*(uint32_t *)object = 0;
}

/* In pieces of random sizes, each of at least one object; one that is refused is tried again. */
static bool
populate_in_pieces(struct guest *guest)
{
	struct rte_mempool *pool = guest->pool;
	/* Objects do not cross pages. */
	size_t least = guest->stride + PAGE + RTE_MEMPOOL_ALIGN, at = 0, len;
	unsigned int struck, tries = 0;
	int ret;

	if (!map(guest, (guest->objects + 1) * 2 * least))
		return false;
	while (pool->populated_size < pool->size) {
		len = least * (1 + rng_below(&guest->rng, guest->objects));
		len = RTE_MIN(len, guest->size - at);
		struck = mag_fault_struck();
		ret = rte_mempool_populate_iova(pool, (char *)guest->memory + at, RTE_BAD_IOVA, len,
						NULL, NULL);
		if (ret > 0) {
			at += RTE_ALIGN_CEIL(len, (size_t)RTE_MEMPOOL_ALIGN);
			guest->guests->resumed += tries > 0;
			tries = 0;
		} else {
			refused(guest, struck, -ret);
			if (stress_blamed() || ++tries == 10)
				return false;
		}
	}
	return true;
}

static bool
populate(struct guest *guest)
{
	struct rte_mempool *pool = guest->pool;
	unsigned int struck, tries, how = rng_below(&guest->rng, 3);
	int ret = 0;

	if (how == 0)
		return populate_in_pieces(guest);
	for (tries = 0; tries < 3; tries++) {
		struck = mag_fault_struck();
		if (how == 1)
			ret = rte_mempool_populate_default(pool);
		else
			/* 0 and an error in rte_errno. */
			ret = rte_mempool_populate_anon(pool);
		if (ret == (int)pool->size) {
			guest->guests->resumed += tries > 0;
			return true;
		}
		refused(guest, struck, ret < 0 ? -ret : rte_errno);
	}
	return false;
}

static bool
pool_make(struct guest *guest)
{
	static const char *const options[] = {NULL,         NULL,           "rounds=14",
					      "rounds=126", "block=8",      "magazines=0",
					      "visit=0",    "interval=10ms"};
	static const uint32_t sizes[] = {4, 8, 64, 200, 2048, 9000};
	uint32_t size = sizes[rng_below(&guest->rng, RTE_DIM(sizes))];
	const char *option = options[rng_below(&guest->rng, RTE_DIM(options))];
	bool made;

	guest->pool =
		rte_mempool_create_empty("guest", guest->objects, size, 0, 0, SOCKET_ID_ANY, 0);
	if (guest->pool == NULL) {
		stress_blame("no mempool: %d", rte_errno);
		return false;
	}
	guest->stride =
		guest->pool->header_size + guest->pool->elt_size + guest->pool->trailer_size;
	made = rte_mempool_set_ops_byname(guest->pool, RTE_MEMPOOL_MAGAZINE_OPS_NAME,
					  (void *)(uintptr_t)option) == 0 &&
	       populate(guest);
	heap_pass();
	if (!made)
		return false;
	rte_mempool_obj_iter(guest->pool, clear_token, NULL);
	guest->cache = rte_mempool_magazine_cache(guest->pool);
	return true;
}

static bool
adopt_some(struct guest *guest, uint32_t n)
{
	void **objects = calloc(n, sizeof(objects[0]));
	unsigned int struck = mag_fault_struck();
	uint32_t i;
	int ret;

	for (i = 0; i < n; i++)
		objects[i] = guest->memory + (size_t)(guest->adopted + i) * guest->stride;
	ret = mag_region_adopt(guest->region, objects, n, -1);
	free(objects);
	if (ret == 0)
		guest->adopted += n;
	return ret == 0 || refused(guest, struck, -ret);
}

static bool
adopt_all(struct guest *guest)
{
	unsigned int tries = 0;
	uint32_t left;

	for (; guest->adopted < guest->objects && !stress_blamed(); tries++) {
		left = guest->objects - guest->adopted;
		if (!adopt_some(guest, 1 + rng_below(&guest->rng, left)))
			continue;
		guest->guests->resumed += tries > 0;
		tries = 0;
	}
	return !stress_blamed();
}

static bool
cache_make(struct guest *guest)
{
	static const uint32_t sizes[] = {8, 16, 48, 128, 200, 4096};
	static const unsigned int flags[] = {0, MAG_CACHE_DYNAMIC,
					     MAG_CACHE_DYNAMIC | MAG_CACHE_REAP_ALL,
					     MAG_CACHE_NOMAGAZINES, MAG_CACHE_CLEARONFREE};
	struct mag_region_params region = {.size = sizeof(region), .name = "guest", .node = -1};
	struct mag_cache_params params = {
		.size = sizeof(params), .name = "guest", .arg = guest, .node = -1};
	unsigned int struck = mag_fault_struck();

	guest->stride = sizes[rng_below(&guest->rng, RTE_DIM(sizes))];
	guest->fails = rng_once_in(&guest->rng, 2);
	region.object_size = guest->stride;
	region.block = 1 + rng_below(&guest->rng, 32);
	if (!map(guest, (size_t)guest->objects * guest->stride))
		return false;
	guest->region = mag_region_create(&region);
	if (guest->region == NULL)
		return refused(guest, struck, rte_errno);
	if (!adopt_all(guest))
		return false;
	params.region = guest->region;
	params.object_size = guest->stride;
	params.flags = flags[rng_below(&guest->rng, RTE_DIM(flags))];
	params.constructor = construct;
	params.destructor = destruct;
	struck = mag_fault_struck();
	guest->cache = mag_cache_create(&params);
	return guest->cache != NULL || refused(guest, struck, rte_errno);
}

/* Working on one */

static unsigned int
guest_get(struct guest *guest, void **objects, unsigned int n)
{
	if (guest->pool == NULL)
		return mag_cache_alloc_burst(guest->cache, objects, n);
	return rte_mempool_get_bulk(guest->pool, objects, n) == 0 ? n : 0;
}

static void
guest_put(struct guest *guest, void *const *objects, unsigned int n)
{
	if (guest->pool == NULL)
		mag_cache_free_bulk(guest->cache, objects, n);
	else
		rte_mempool_put_bulk(guest->pool, objects, n);
}

/* Objects change hands by this word: relaxed, so that it orders nothing. */
static void
token_move(struct guest *guest, void *object, uint32_t from, uint32_t to)
{
	uint32_t before =
		atomic_exchange_explicit((_Atomic uint32_t *)object, to, memory_order_relaxed);

	if (before != from)
		stress_blame("%s of %u objects of %u bytes: an object goes from %u to %u, but %u "
			     "had it",
			     guest->pool != NULL ? "pool" : "cache", guest->objects, guest->stride,
			     from, to, before);
}

static void
hand_put(struct hand *hand, uint32_t n)
{
	uint32_t i;

	hand->held -= n;
	for (i = 0; i < n; i++)
		token_move(hand->guest, hand->object[hand->held + i], hand->number, 0);
	guest_put(hand->guest, hand->object + hand->held, n);
}

static void
hand_get(struct hand *hand, uint32_t n)
{
	uint32_t i, got = guest_get(hand->guest, hand->object + hand->held, n);

	for (i = 0; i < got; i++)
		token_move(hand->guest, hand->object[hand->held + i], 0, hand->number);
	hand->held += got;
	hand->gets++;
}

static void
disturb(struct guest *guest, struct rng *rng)
{
	static const uint32_t types[] = {14, 30, 62, 126};

	switch (rng_below(rng, 6)) {
	case 0:
		mag_cache_purge(guest->cache);
		mag_cache_enable(guest->cache);
		break;
	case 1:
		mag_cache_resize(guest->cache, types[rng_below(rng, RTE_DIM(types))], false);
		break;
	case 2:
		mag_cache_reap_now(guest->cache, rng_once_in(rng, 2));
		break;
	case 3:
		mag_cache_reclaim(guest->cache, rng_once_in(rng, 2));
		break;
	case 4:
		mag_cache_update(guest->cache);
		break;
	default:
		mag_lcore_flush();
	}
}

static void *
hand_main(void *arg)
{
	struct hand *hand = arg;
	uint32_t i, steps = rng_below(&hand->rng, STEPS_MAX), n;

	cpu_any();
	if (hand->registered)
		crew_register();
	for (i = 0; i < steps && !stress_blamed(); i++) {
		n = 1 + rng_below(&hand->rng, HOLD / 2);
		if (rng_once_in(&hand->rng, 64))
			disturb(hand->guest, &hand->rng);
		else if (rng_once_in(&hand->rng, 2))
			hand_get(hand, RTE_MIN(n, HOLD - hand->held));
		else
			hand_put(hand, RTE_MIN(n, hand->held));
	}
	hand_put(hand, hand->held);
	if (hand->registered)
		crew_unregister();
	return NULL;
}

static void
work(struct guest *guest)
{
	struct hand hand[HANDS] = {0};
	unsigned int i, n;

	for (n = 0; n < HANDS; n++) {
		hand[n].guest = guest;
		hand[n].rng = (struct rng){.state = rng_next(&guest->rng) | 1};
		hand[n].number = n + 1;
		hand[n].registered = n > 0;
		if (pthread_create(&hand[n].thread, NULL, hand_main, &hand[n]) != 0)
			break;
	}
	if (n < HANDS)
		stress_blame("no thread for a guest");
	for (i = 0; i < n; i++) {
		pthread_join(hand[i].thread, NULL);
		MAG_STAT_ADD(guest->guests->gets, hand[i].gets);
	}
}

/* Maintenance or a constructor may be in the way for a while. */
static bool
drain_one(struct guest *guest, void **object)
{
	unsigned int tries;

	for (tries = 0; tries < TRIES; tries++) {
		if (guest_get(guest, object, 1) == 1)
			return true;
		sched_yield();
	}
	return false;
}

static void
account(struct guest *guest)
{
	void **objects = calloc(guest->objects + 1, sizeof(objects[0]));
	uint64_t available = mag_cache_available(guest->cache);
	uint32_t n, i;

	for (n = 0; n < guest->objects && drain_one(guest, &objects[n]); n++)
		token_move(guest, objects[n], 0, DRAINER);
	if (n < guest->objects)
		stress_blame("of %u objects of a guest %u can be had, %" PRIu64 " were free",
			     guest->objects, n, available);
	else if (guest_get(guest, &objects[n], 1) != 0)
		stress_blame("there is one object more than all %u", guest->objects);
	for (i = 0; i < n; i++)
		token_move(guest, objects[i], DRAINER, 0);
	guest_put(guest, objects, n);
	if (MAG_STAT(guest->cache->first.slab.invalid) != 0)
		stress_blame("%" PRIu64 " invalid frees",
			     MAG_STAT(guest->cache->first.slab.invalid));
	free(objects);
}

/* Freeing one */

static void
cache_drop(struct guest *guest)
{
	unsigned int tries;

	/* Refused while maintenance resizes it. */
	for (tries = 0; tries < TRIES && mag_cache_destroy(guest->cache) != 0; tries++)
		usleep(100);
	if (tries == TRIES)
		stress_blame("a guest with all objects free cannot be destroyed");
	if (MAG_STAT(guest->constructed) != 0 && !stress_blamed())
		stress_blame("%" PRId64 " objects were constructed and not destructed",
			     MAG_STAT(guest->constructed));
	if (guest->region != NULL && mag_region_destroy(guest->region) != 0)
		stress_blame("a guest's region is in use after its cache was destroyed");
}

static void
drop(struct guest *guest)
{
	if (guest->guests->pools) {
		heap_pass();
		rte_mempool_free(guest->pool);
	} else {
		cache_drop(guest);
	}
	if (guest->memory != NULL)
		munmap(guest->memory, guest->size);
}

static void
host(struct guests *guests, struct rng *rng)
{
	struct guest guest = {.guests = guests, .rng = {.state = rng_next(rng) | 1}};

	guest.objects = 1 + rng_below(&guest.rng, OBJECTS_MAX);
	/*
	 * Failures that are due at some time hit the first allocation after it: this one hits any.
	 */
	if (rng_once_in(&guest.rng, 4))
		mag_fault_nth(1 + rng_below(&guest.rng, ALLOCATIONS));
	if (guests->pools ? pool_make(&guest) : cache_make(&guest)) {
		MAG_STAT_ADD(guests->made, 1);
		work(&guest);
		if (!stress_blamed())
			account(&guest);
	}
	/* With blame there may be objects out: leave it to who looks for the reason. */
	if (!stress_blamed())
		drop(&guest);
}

void *
guests_main(void *arg)
{
	struct guests *guests = arg;
	struct rng rng = stress_rng();

	cpu_any();
	while (!MAG_STAT(guests->end) && !stress_blamed())
		host(guests, &rng);
	return NULL;
}
