/* SPDX-License-Identifier: BSD-3-Clause */

/* What a visitor does: everything that may be asked of a cache from outside, at random. */

#include "crew.h"
#include "mag_maint.h"

static const uint32_t pool_types[] = {14, 30, 62, 126, 254, 510};
static const uint32_t cache_types[] = {14, 30, 46};

/* The answers that a visit may have; anything else is wrong. */
static void
check_answer(const char *what, int ret)
{
	if (ret != 0 && ret != -EBUSY && ret != -EAGAIN)
		stress_blame("%s answered %d", what, ret);
}

static void
visit_purge(struct worker *visitor)
{
	struct mag_cache *cache = visitor->crew->subject->cache;
	int ret = mag_cache_purge(cache);

	check_answer("purge", ret);
	if (rng_once_in(&visitor->rng, 2))
		usleep(rng_below(&visitor->rng, 200));
	mag_cache_enable(cache);
}

static void
visit_resize(struct worker *visitor)
{
	struct subject *subject = visitor->crew->subject;
	bool wait = rng_once_in(&visitor->rng, 2);
	uint32_t rounds;
	int ret;

	if (subject->cache->flags & MAG_CACHE_NOMAGAZINES)
		return;
	if (subject->pool != NULL)
		rounds = pool_types[rng_below(&visitor->rng, RTE_DIM(pool_types))];
	else
		rounds = cache_types[rng_below(&visitor->rng, RTE_DIM(cache_types))];
	ret = mag_cache_resize(subject->cache, rounds, wait);
	if (wait && ret == -EBUSY)
		stress_blame("a resize that waits was told to come later");
	check_answer("resize", ret);
}

static void
visit_reap(struct worker *visitor)
{
	struct mag_cache *cache = visitor->crew->subject->cache;

	switch (rng_below(&visitor->rng, 4)) {
	case 0:
		check_answer("reap with purge", mag_cache_reap_now(cache, true));
		break;
	case 1:
		check_answer("reclaim", mag_cache_reclaim(cache, rng_once_in(&visitor->rng, 4)));
		break;
	case 2:
		mag_reap_request();
		break;
	default:
		check_answer("reap", mag_cache_reap_now(cache, false));
	}
}

static void
claim_block(struct worker *visitor, uint8_t *first)
{
	struct subject *subject = visitor->crew->subject;
	const struct rte_mempool *pool = subject->pool;
	size_t stride = pool->header_size + pool->elt_size + pool->trailer_size;

	for (uint32_t i = 0; i < subject->block; i++) {
		if (!stock_claim(&subject->stock, first + i * stride, visitor->number))
			return;
		((struct object *)(first + i * stride))->charged = visitor->number;
		visitor->hand[visitor->held++] = first + i * stride;
	}
}

/* A block comes out of the quota like all else, and goes back as single objects. */
static void
visit_block(struct worker *visitor)
{
	struct subject *subject = visitor->crew->subject;
	uint32_t block = subject->block;
	void *first;

	if (block == 0 || block > visitor->quota || block > HAND_MAX)
		return;
	atomic_fetch_add_explicit(&visitor->charged, block, memory_order_relaxed);
	if (rte_mempool_get_contig_blocks(subject->pool, &first, 1) != 0) {
		atomic_fetch_sub_explicit(&visitor->charged, block, memory_order_relaxed);
		return;
	}
	claim_block(visitor, first);
	worker_put_all(visitor);
}

static void
visit_look(struct worker *visitor)
{
	struct subject *subject = visitor->crew->subject;
	struct mag_slot_stats slots[MAG_SLOTS];
	struct mag_cache_stats stats;
	uint64_t free;
	unsigned int n;

	mag_cache_stats_get(subject->cache, &stats);
	n = mag_cache_slot_stats_get(subject->cache, slots, RTE_DIM(slots));
	if (n == 0 || n > RTE_DIM(slots) || stats.objects > subject->stock.count)
		stress_blame("statistics of %u slots and %" PRIu64 " objects", n, stats.objects);
	/* Not exact while others work, but rte_mempool computes the objects in use from it. */
	free = subject_available(subject);
	if (free > subject->stock.count)
		stress_blame("%" PRIu64 " of %u objects are free", free, subject->stock.count);
}

void
visit_step(struct worker *visitor)
{
	struct crew *crew = visitor->crew;
	uint32_t dice = rng_below(&visitor->rng, 16);

	if (crew->plan.calm)
		dice |= 14;
	if (dice < 2)
		visit_purge(visitor);
	else if (dice < 5)
		visit_resize(visitor);
	else if (dice < 7)
		mag_cache_enable(crew->subject->cache);
	else if (dice < 10)
		visit_reap(visitor);
	else if (dice < 12)
		mag_cache_update(crew->subject->cache);
	else if (dice < 14)
		visit_block(visitor);
	else
		visit_look(visitor);
	if (crew->plan.pause_us > 0 && rng_once_in(&visitor->rng, 2))
		usleep(rng_below(&visitor->rng, crew->plan.pause_us));
	MAG_COUNT(visitor->steps, 1);
}
