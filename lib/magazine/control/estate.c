/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

#include "base/counter.h"
#include "base/lock.h"
#include "base/meta.h"
#include "base/peer.h"
#include "base/process.h"
#include "control/estate.h"

#define TABLE_NAME "MAGAZINE_POOLS"

static struct {
	struct mag_lock lock;
	struct mag_cache *_Atomic first;
} * estate;

int
mag_estate_share(void)
{
	if (estate == NULL)
		estate = mag_meta_shared(TABLE_NAME, sizeof(*estate));
	return estate != NULL ? 0 : -ENOMEM;
}

/* A lock that was broken leaves nothing to mend. */
static struct mag_cache *
enter(void)
{
	mag_lock_wait(&estate->lock);
	return atomic_load_explicit(&estate->first, memory_order_relaxed);
}

static void
leave(void)
{
	mag_lock_release(&estate->lock);
}

static struct mag_cache *
next_of(const struct mag_cache *cache)
{
	return atomic_load_explicit(&cache->next, memory_order_relaxed);
}

static uint32_t
maker_of(const struct mag_cache *cache)
{
	return MAG_STAT(cache->process);
}

/* Inside. */
static uint32_t
pools_of(uint32_t process)
{
	const struct mag_cache *cache;
	uint32_t pools = 0;

	for (cache = atomic_load_explicit(&estate->first, memory_order_relaxed); cache != NULL;
	     cache = next_of(cache))
		pools += maker_of(cache) == process;
	return pools;
}

void
mag_estate_add(struct mag_cache *cache)
{
	atomic_store_explicit(&cache->next, enter(), memory_order_relaxed);
	mag_peer_set_pools(pools_of(mag_process_id) + 1);
	/* release: with the pool comes all that it was made of */
	atomic_store_explicit(&estate->first, cache, memory_order_release);
	leave();
}

void
mag_estate_remove(struct mag_cache *cache)
{
	struct mag_cache *_Atomic *link = &estate->first;
	struct mag_cache *at;

	for (at = enter(); at != NULL && at != cache; at = next_of(at))
		link = &at->next;
	if (at != NULL)
		atomic_store_explicit(link, next_of(cache), memory_order_relaxed);
	mag_commit();
	mag_peer_set_pools(pools_of(mag_process_id));
	leave();
}

unsigned int
mag_estate_take(bool (*take)(struct mag_cache *cache))
{
	struct mag_cache *cache;
	unsigned int taken = 0;
	uint32_t process;

	if (mag_estate_share() != 0)
		return 0;
	for (cache = enter(); cache != NULL; cache = next_of(cache)) {
		process = maker_of(cache);
		if (process != mag_process_id && mag_peer_is_dead(process))
			taken += take(cache);
	}
	if (taken > 0)
		mag_peers_inherited(pools_of);
	leave();
	return taken;
}

void
mag_estate_recount(void)
{
	if (mag_estate_share() != 0)
		return;
	enter();
	mag_peers_inherited(pools_of);
	leave();
}
