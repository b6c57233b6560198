/* SPDX-License-Identifier: BSD-3-Clause */
#include <sys/mman.h>

#include <rte_errno.h>

#include "base/fault.h"
#include "cell.h"
#include "guest.h"
#include "lives.h"
#include "rte_mempool_magazine.h"
#include "tsan_heap.h"

#define OBJECTS_MAX 2000
#define WORK_US 3000
#define TRIES 10
#define PAGE 4096
/* That making a guest takes, about. */
#define ALLOCATIONS 8

struct guest {
	struct guests *guests;
	struct rng rng;
	uint32_t objects;
	struct subject subject;
	struct rte_mempool *pool; /* NULL: a cache of the library */
	uint8_t *pieces;          /* that the pool was populated with */
	size_t size;
	struct subject_memory memory;
	struct lives lives;
};

/* A refusal has a reason: some allocation was made to fail since. */
static bool
refused(struct guest *guest, unsigned int struck, int error)
{
	if (error != ENOMEM || mag_fault_struck() == struck)
		stress_blame("a guest of %u objects was refused with %d, and %u failures were "
			     "injected meanwhile",
			     guest->objects, error, mag_fault_struck() - struck);
	MAG_STAT_ADD(guest->guests->refused, 1);
	return false;
}

/* In pieces of random sizes, each of at least one object; one that is refused is tried again. */
static bool
populate_in_pieces(struct guest *guest)
{
	struct rte_mempool *pool = guest->pool;
	size_t stride = pool->header_size + pool->elt_size + pool->trailer_size, at = 0, len;
	/* Objects do not cross pages. */
	size_t least = stride + PAGE + RTE_MEMPOOL_ALIGN;
	unsigned int struck, tries = 0;
	int ret;

	guest->size = (guest->objects + 1) * 2 * least;
	guest->pieces = subject_map(guest->size);
	while (pool->populated_size < pool->size) {
		len = least * (1 + rng_below(&guest->rng, guest->objects));
		len = RTE_MIN(len, guest->size - at);
		struck = mag_fault_struck();
		ret = rte_mempool_populate_iova(pool, (char *)guest->pieces + at, RTE_BAD_IOVA, len,
						NULL, NULL);
		if (ret > 0) {
			at += RTE_ALIGN_CEIL(len, (size_t)RTE_MEMPOOL_ALIGN);
			guest->guests->resumed += tries > 0;
			tries = 0;
		} else {
			refused(guest, struck, -ret);
			if (stress_blamed() || ++tries == TRIES)
				return false;
		}
	}
	return true;
}

static bool
populate(struct guest *guest)
{
	struct rte_mempool *pool = guest->pool;
	unsigned int struck, how = rng_below(&guest->rng, 3);
	int ret = 0;

	if (how == 0)
		return populate_in_pieces(guest);
	for (unsigned int tries = 0; tries < 3; tries++) {
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
	static const uint32_t sizes[] = {sizeof(struct object), 200, 2048, 9000};
	uint32_t size = sizes[rng_below(&guest->rng, RTE_DIM(sizes))];
	const char *option = options[rng_below(&guest->rng, RTE_DIM(options))];
	bool made;

	guest->pool =
		rte_mempool_create_empty("guest", guest->objects, size, 0, 0, SOCKET_ID_ANY, 0);
	if (guest->pool == NULL) {
		stress_blame("no mempool: %d", rte_errno);
		return false;
	}
	made = rte_mempool_set_ops_byname(guest->pool, RTE_MEMPOOL_MAGAZINE_OPS_NAME,
					  (void *)(uintptr_t)option) == 0 &&
	       populate(guest);
	heap_pass();
	if (made)
		subject_of_pool(&guest->subject, guest->pool);
	return made;
}

/* Its region has its objects piece by piece. */
static bool
cache_make(struct guest *guest)
{
	static const unsigned int flags[] = {0, MAG_CACHE_DYNAMIC,
					     MAG_CACHE_DYNAMIC | MAG_CACHE_REAP_ALL,
					     MAG_CACHE_NOMAGAZINES};
	struct mag_cache_params params = {.size = sizeof(params),
					  .name = "guest",
					  .flags = flags[rng_below(&guest->rng, RTE_DIM(flags))],
					  .constructor = lives_construct,
					  .destructor = lives_destruct,
					  .arg = &guest->lives};
	struct subject_memory *memory = &guest->memory;
	unsigned int struck = mag_fault_struck(), tries = 0;

	guest->lives.fails = rng_once_in(&guest->rng, 2);
	if (!subject_region(&guest->subject, memory, "guest", guest->objects,
			    1 + rng_below(&guest->rng, 32)))
		return refused(guest, struck, rte_errno);
	while (memory->objects < guest->objects) {
		struck = mag_fault_struck();
		if (subject_adopt(memory,
				  1 + rng_below(&guest->rng, guest->objects - memory->objects))) {
			guest->guests->resumed += tries > 0;
			tries = 0;
			continue;
		}
		refused(guest, struck, ENOMEM);
		if (stress_blamed() || ++tries == TRIES)
			return false;
	}
	struck = mag_fault_struck();
	return subject_try_cache(&guest->subject, memory, &params) ||
	       refused(guest, struck, rte_errno);
}

/* A thread without an lcore id, others that come and go, and a visitor. */
static void
work(struct guest *guest)
{
	const struct crew_plan plan = {
		.no_lcores = true, .plain = 1, .visitors = 1, .pause_us = 100};
	struct crew crew;

	crew_start(&crew, &guest->subject, &plan);
	usleep(rng_below(&guest->rng, WORK_US));
	crew_finish(&crew);
	if (!stress_blamed())
		cell_final_look(&guest->subject);
	for (unsigned int i = 0; i < crew.count; i++)
		MAG_STAT_ADD(guest->guests->gets, crew.worker[i]->gets);
	crew_free(&crew);
	if (!stress_blamed() && guest->pool == NULL)
		lives_check(&guest->subject, &guest->lives);
}

static void
drop(struct guest *guest)
{
	if (guest->guests->pools) {
		heap_pass();
		rte_mempool_free(guest->pool);
		stock_fini(&guest->subject.stock);
	} else {
		subject_cache_free(&guest->subject, &guest->memory);
	}
	if (guest->pieces != NULL)
		munmap(guest->pieces, guest->size);
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
