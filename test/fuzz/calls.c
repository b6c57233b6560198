/* SPDX-License-Identifier: BSD-3-Clause */

#include <sanitizer/asan_interface.h>

#include <rte_lcore.h>

#include "control/alloc.h"
#include "cache/cache.h"
#include "calls.h"
#include "sources/elastic_service.h"
#include "mag_maint.h"
#include "mag_stats.h"
#include "control/pool.h"
#include "process.h"
#include "../counts.h"

#define BULK 1024
#define ADOPT_MAX 256
/* Not the default, which is 20 seconds. */
#define WAIT_US 1

struct model_region *
any_region(struct input *input)
{
	unsigned int n = 0;
	struct model_region *there[MODEL_REGIONS];

	for (unsigned int i = 0; i < MODEL_REGIONS; i++)
		if (model_region[i].region != NULL)
			there[n++] = &model_region[i];
	return n > 0 ? there[input_below(input, n)] : NULL;
}

struct model_cache *
any_cache(struct input *input)
{
	unsigned int n = 0;
	struct model_cache *there[MODEL_CACHES];

	for (unsigned int i = 0; i < MODEL_CACHES; i++)
		if (model_cache[i].cache != NULL)
			there[n++] = &model_cache[i];
	return n > 0 ? there[input_below(input, n)] : NULL;
}

/* Regions */

static struct mag_region_stats
region_stats(const struct model_region *region)
{
	struct mag_region_stats stats;

	mag_region_stats_get(region->region, &stats);
	return stats;
}

/* Objects in runs, with gaps between them that nobody may touch. */
static void
chunk_lay_out(struct model_chunk *chunk, const struct model_region *region, struct input *input)
{
	size_t skew = input_seldom(input, 8) ? 8 * input_below(input, 8) : 0;
	size_t apart = region->stride + (input_seldom(input, 8) ? 8 * input_below(input, 9) : 0);
	uint32_t run = input_byte(input) & 1 ? 1 + input_below(input, 40) : UINT32_MAX;
	size_t gap = 64 * (size_t)(1 + input_below(input, 4)), at = skew;

	chunk->count = 1 + input_below(input, ADOPT_MAX);
	chunk->size = skew + chunk->count * (apart + gap);
	chunk->size = RTE_ALIGN_CEIL(chunk->size, (size_t)64);
	chunk->memory = aligned_alloc(64, chunk->size);
	chunk->objects = malloc(chunk->count * sizeof(void *));
	memset(chunk->memory, 0xa5, chunk->size);
	ASAN_POISON_MEMORY_REGION(chunk->memory, chunk->size);
	for (uint32_t i = 0; i < chunk->count; i++, at += apart) {
		if (i > 0 && i % run == 0)
			at += gap;
		chunk->objects[i] = chunk->memory + at;
		ASAN_UNPOISON_MEMORY_REGION(chunk->objects[i], region->object_size);
	}
}

static void
chunk_free(struct model_chunk *chunk)
{
	ASAN_UNPOISON_MEMORY_REGION(chunk->memory, chunk->size);
	free(chunk->memory);
	free(chunk->objects);
}

/* As each cache on the region needs them. */
static bool
chunk_is_aligned(const struct model_chunk *chunk, const struct model_region *region)
{
	uintptr_t bits = 0;

	for (uint32_t i = 0; i < chunk->count; i++)
		bits |= (uintptr_t)chunk->objects[i];
	for (uint32_t i = 0; i < MODEL_CACHES; i++)
		if (model_cache[i].cache != NULL && model_cache[i].region == region &&
		    (bits & (model_cache[i].align - 1)) != 0)
			return false;
	return true;
}

/*
 * Mirrors, and records of who has what, are for whole granules: of small objects they take more
 * than there is.
 */
static bool
may_lack_memory(const struct model_region *region)
{
	return fault_struck() || region->mirror != 0 || region->mode & MAG_REGION_AUDIT;
}

void
call_region_adopt(struct input *input)
{
	static const int nodes[] = {-1, 0, -1, 0, 1, 2, -7, 1000};
	struct model_region *region = any_region(input);
	struct model_chunk *chunk;
	int ret;

	if (region == NULL || region->elastic || region->chunks == MODEL_CHUNKS ||
	    region->stride > MODEL_BYTES)
		return;
	chunk = &region->chunk[region->chunks];
	chunk_lay_out(chunk, region, input);
	ret = mag_region_adopt(region->region, chunk->objects, chunk->count,
			       nodes[input_below(input, RTE_DIM(nodes))]);
	model_require((ret == -EINVAL) == !chunk_is_aligned(chunk, region), "adoption returned %d",
		      ret);
	if (ret == 0) {
		region->chunks++;
		region->objects += chunk->count;
		return;
	}
	model_require(ret == -EINVAL || (ret == -ENOMEM && may_lack_memory(region)),
		      "adoption returned %d", ret);
	model_require(process_log_lines() == 1, "no line, or several");
	chunk_free(chunk);
}

void
call_region_grow(struct input *input)
{
	struct model_region *region = any_region(input);
	unsigned int want = input_below(input, 5), had;
	struct mag_region_stats before, after;

	if (region == NULL)
		return;
	before = region_stats(region);
	rte_errno = 0;
	had = region_grown(region->region, want);
	after = region_stats(region);
	model_require(after.segments - before.segments == had, "%u segments grown", had);
	/* Whoever wants none cannot be refused, but by what cannot grow at all. */
	model_require(process_log_lines() == (!region->elastic || had < want),
		      "%u of %u grown, no line or several", had, want);
	if (!region->elastic)
		model_require(had == 0 && rte_errno == EINVAL, "errno %d", rte_errno);
	else if (had < want && after.grow_fails == before.grow_fails)
		model_require(rte_errno == ENOSPC && after.segments == after.segments_max,
			      "errno %d", rte_errno);
	else if (had < want)
		model_require(rte_errno == ENOMEM && may_lack_memory(region), "errno %d",
			      rte_errno);
}

void
call_region_trim(struct input *input)
{
	struct model_region *region = any_region(input);
	unsigned int keep = input_below(input, 4), gave, want;
	struct mag_region_stats before;

	if (region == NULL)
		return;
	before = region_stats(region);
	gave = region_trimmed(region->region, keep);
	want = before.segments_free > keep ? before.segments_free - keep : 0;
	if (!region->elastic || region->persistent || region->mode & MAG_REGION_MONOLITHIC)
		want = 0;
	model_require(gave == want || rte_socket_count() > 1, "%u segments given back, not %u",
		      gave, want);
	model_require(before.segments - region_stats(region).segments == gave, "%u", gave);
}

void
call_region_tend(struct input *input)
{
	uint8_t bits = input_byte(input);

	mag_elastic_service(bits & 1 ? 0 : UINT64_MAX);
}

static void
region_gone(struct model_region *region)
{
	/* It is nobody's mirror any more. */
	model_require(mag_region_destroy(region->second) == 0, "a mirror stays");
	while (region->chunks > 0)
		chunk_free(&region->chunk[--region->chunks]);
	region->region = NULL;
}

void
call_region_destroy(struct input *input)
{
	struct model_region *region = any_region(input);
	int ret;

	if (region == NULL || input_byte(input) & 1)
		return;
	if (region->second != NULL)
		model_require(mag_region_destroy(region->second) == -EBUSY &&
				      process_log_lines() == 1,
			      "a mirror that goes first");
	ret = mag_region_destroy(region->region);
	model_require(ret == (region->caches > 0 ? -EBUSY : 0), "returned %d", ret);
	model_require(process_log_lines() == (ret != 0), "no line, or several");
	if (ret == 0)
		region_gone(region);
}

/* Caches */

/* Who was refused has what it had before, and can use it. */
static void
destroy_refused(struct model_cache *cache)
{
	char text[64];

	snprintf(text, sizeof(text), "%u objects are out", cache->out);
	/* More lines tell who has them. */
	if (cache->audited)
		model_require(process_log_lines() > 1, "nobody has them");
	else
		model_require(process_log_lines() == 1 && strstr(process_log_line(), text) != NULL,
			      "%u out: %s", cache->out, process_log_line());
	model_held_unchanged(cache);
}

void
call_cache_destroy(struct input *input)
{
	struct model_cache *cache = any_cache(input);
	int ret;

	if (cache == NULL || input_byte(input) & 1)
		return;
	ret = mag_cache_destroy(cache->cache);
	model_require(ret == (cache->out > 0 ? -EBUSY : 0), "%u out, returned %d", cache->out, ret);
	if (ret != 0) {
		destroy_refused(cache);
		return;
	}
	model_require(process_log_lines() == 0, "%s", process_log_line());
	model_require(!cache->constructs || !cache->destructs ||
			      cache->constructed == cache->destructed,
		      "constructed and destructed");
	cache->cache = NULL;
	cache->region->caches--;
}

/* Objects */

static unsigned int
room_for(const struct model_cache *cache, unsigned int n)
{
	return RTE_MIN(n, MODEL_HELD - cache->out);
}

/* Nothing is out of reach: all that is available can be had, unless somebody has to be asked. */
static void
had_check(const struct model_cache *cache, unsigned int n, unsigned int got, uint64_t available)
{
	uint64_t most = RTE_MIN(n, available);

	model_require(got <= most, "%u objects of %u, %lu there", got, n, (unsigned long)available);
	model_require(got == most || cache->refused || cache->asks, "%u objects of %u, %lu there",
		      got, n, (unsigned long)available);
}

void
call_alloc(struct input *input)
{
	struct model_cache *cache = any_cache(input);
	uint64_t available;
	void *object;

	if (cache == NULL || room_for(cache, 1) == 0)
		return;
	available = model_available(cache);
	object = mag_cache_alloc(cache->cache);
	had_check(cache, 1, object != NULL, available);
	if (object != NULL)
		model_taken(cache, object);
}

static unsigned int
any_number(struct input *input)
{
	return input_seldom(input, 8) ? input_below(input, BULK) : input_below(input, 70);
}

static void
alloc_many(struct model_cache *cache, unsigned int n)
{
	uint64_t available = model_available(cache);
	void *objects[BULK + 1];
	unsigned int got;

	n = room_for(cache, n);
	objects[n] = &available;
	got = mag_cache_alloc_burst(cache->cache, objects, n);
	had_check(cache, n, got, available);
	model_require(objects[n] == &available, "more than %u were written", n);
	for (unsigned int i = 0; i < got; i++)
		model_taken(cache, objects[i]);
}

void
call_alloc_burst(struct input *input)
{
	struct model_cache *cache = any_cache(input);

	if (cache != NULL)
		alloc_many(cache, any_number(input));
}

/* A wait ended with less than was asked for: no more was to be had. */
static void
wait_check(const struct model_cache *cache, const struct mag_region_stats *before, unsigned int n)
{
	struct mag_region_stats after = region_stats(cache->region);

	model_require(rte_errno == ETIMEDOUT, "errno %d", rte_errno);
	model_require(
		cache->refused || cache->asks ||
			(model_available(cache) < n && (after.segments >= after.segments_max ||
							after.grow_fails > before->grow_fails)),
		"%u objects were not had, and more were to be had", n);
}

/* One, or several at once. */
static void
alloc_and_wait(struct model_cache *cache, unsigned int n, bool bulk)
{
	struct mag_region_stats before = region_stats(cache->region);
	void *objects[BULK];
	unsigned int got;

	rte_errno = 0;
	model_waits = true;
	if (bulk)
		got = alloc_waited(cache->cache, objects, n, WAIT_US);
	else
		got = (objects[0] = mag_cache_alloc_wait(cache->cache, WAIT_US)) != NULL;
	model_waits = false;
	model_require(got == 0 || got == n, "%u objects of %u", got, n);
	for (unsigned int i = 0; i < got; i++)
		model_taken(cache, objects[i]);
	if (got < n)
		wait_check(cache, &before, n);
}

void
call_alloc_wait(struct input *input)
{
	struct model_cache *cache = any_cache(input);

	if (cache != NULL && room_for(cache, 1) > 0)
		alloc_and_wait(cache, 1, false);
}

void
call_alloc_wait_bulk(struct input *input)
{
	struct model_cache *cache = any_cache(input);

	if (cache != NULL)
		alloc_and_wait(cache, room_for(cache, any_number(input)), true);
}

/* All or none; what is refused is left as it was, and so is the table. */
static void
alloc_all(struct input *input, bool driver)
{
	struct model_cache *cache = any_cache(input);
	void *objects[BULK + 1];
	uint64_t available;
	unsigned int n, got;
	int ret;

	if (cache == NULL)
		return;
	n = room_for(cache, any_number(input));
	objects[n] = &available;
	available = model_available(cache);
	if (driver) {
		ret = mag_cache_take_all(cache->cache, objects, n, true);
		model_require(ret == 0 || ret == -ENOBUFS, "returned %d", ret);
		got = ret == 0 ? n : 0;
	} else {
		got = mag_cache_alloc_bulk(cache->cache, objects, n);
	}
	model_require(got == 0 || got == n, "%u objects of %u", got, n);
	model_require(objects[n] == &available, "more than %u were written", n);
	had_check(cache, got == n || n <= available ? n : 0, got, available);
	for (unsigned int i = 0; i < got; i++)
		model_taken(cache, objects[i]);
}

void
call_alloc_bulk(struct input *input)
{
	alloc_all(input, false);
}

void
call_take_all(struct input *input)
{
	alloc_all(input, true);
}

void
call_free(struct input *input)
{
	struct model_cache *cache = any_cache(input);

	if (cache != NULL && cache->out > 0)
		mag_cache_free(cache->cache, model_given(cache, input_below(input, cache->out)));
}

static void
free_many(struct model_cache *cache, struct input *input, unsigned int n, bool nocache)
{
	void *objects[MODEL_HELD];

	for (unsigned int i = 0; i < n; i++)
		objects[i] = model_given(cache, i % 8 == 0 ? input_below(input, cache->out) :
							     cache->out - 1);
	if (nocache && n == 1)
		mag_cache_free_nocache(cache->cache, objects[0]);
	else if (nocache)
		mag_cache_free_nocache_bulk(cache->cache, objects, n);
	else
		mag_cache_free_bulk(cache->cache, objects, n);
}

void
call_free_bulk(struct input *input)
{
	struct model_cache *cache = any_cache(input);

	if (cache != NULL)
		free_many(cache, input, RTE_MIN(any_number(input), cache->out), false);
}

/*
 * A slot that its owner does not get into, as while somebody visits it: slabs and depot have to do,
 * and what is in the slot is out of reach.
 */
void
call_kept_out(struct input *input)
{
	struct model_cache *cache = any_cache(input);
	struct mag_slot *own;
	bool asks;

	if (cache == NULL)
		return;
	asks = cache->asks;
	cache->asks = true;
	own = mag_slot_own(cache->cache->first.slot);
	mag_slot_keep_out(own, true);
	if (input_byte(input) & 1)
		alloc_many(cache, any_number(input));
	else
		free_many(cache, input, RTE_MIN(any_number(input), cache->out), false);
	mag_slot_keep_out(own, false);
	cache->asks = asks;
}

/* One in some of the cases. */
void
call_free_nocache(struct input *input)
{
	struct model_cache *cache = any_cache(input);
	struct mag_cache_stats before, after;
	unsigned int n;

	if (cache == NULL)
		return;
	n = RTE_MIN(input_byte(input) & 1 ? 1 : any_number(input), cache->out);
	mag_cache_stats_get(cache->cache, &before);
	free_many(cache, input, n, true);
	mag_cache_stats_get(cache->cache, &after);
	model_require(after.slab_frees == before.slab_frees + n, "some went to a magazine");
}

/* What was freed last, into a magazine, comes first. */
void
call_free_and_alloc(struct input *input)
{
	struct model_cache *cache = any_cache(input);
	struct mag_cache_stats before, after;
	void *object, *again;

	if (cache == NULL || cache->out == 0 || cache->asks)
		return;
	mag_cache_stats_get(cache->cache, &before);
	object = model_given(cache, input_below(input, cache->out));
	mag_cache_free(cache->cache, object);
	mag_cache_stats_get(cache->cache, &after);
	again = mag_cache_alloc(cache->cache);
	if (again != NULL)
		model_taken(cache, again);
	model_require(again == object || after.in_lcores <= before.in_lcores ||
			      cache->region->chunks > 1,
		      "freed %p, then had %p", object, again);
}

/* Maintenance */

static void
magazines_are_empty(const struct model_cache *cache)
{
	struct mag_cache_stats stats;

	mag_cache_stats_get(cache->cache, &stats);
	model_require(stats.in_lcores == 0 && stats.depot_full == 0 && stats.depot_empty == 0,
		      "magazines after a purge");
}

/* What came of a purge: without visits it is not done. */
static void
purge_check(const struct model_cache *cache, int ret)
{
	model_require(ret == (cache->asks ? -EAGAIN : 0), "returned %d", ret);
	if (ret == 0)
		magazines_are_empty(cache);
}

void
call_purge(struct input *input)
{
	struct model_cache *cache = any_cache(input);
	int ret;

	if (cache == NULL)
		return;
	ret = mag_cache_purge(cache->cache);
	purge_check(cache, ret);
	cache->off |= ret == 0;
}

void
call_enable(struct input *input)
{
	struct model_cache *cache = any_cache(input);

	if (cache == NULL)
		return;
	mag_cache_enable(cache->cache);
	cache->off = false;
}

void
call_resize(struct input *input)
{
	static const uint32_t sizes[] = {14, 30, 46, 62, 94, 126, 142, 158, 0, 13, UINT32_MAX};
	struct model_cache *cache = any_cache(input);
	unsigned int which = input_below(input, RTE_DIM(sizes));
	int ret;

	if (cache == NULL)
		return;
	ret = mag_cache_resize(cache->cache, sizes[which], input_byte(input) & 1);
	if (ret == -EINVAL) {
		model_require(process_log_lines() == 1, "no line, or several");
		return;
	}
	model_require(which < 8 && cache->magazines, "a size of %u", sizes[which]);
	purge_check(cache, ret);
}

void
call_reap(struct input *input)
{
	struct model_cache *cache = any_cache(input);
	bool purge = input_byte(input) & 1;
	int ret;

	if (cache == NULL)
		return;
	ret = mag_cache_reap_now(cache->cache, purge);
	if (purge || cache->reaps_all)
		purge_check(cache, ret);
	else
		model_require(ret == 0, "returned %d", ret);
}

void
call_reclaim(struct input *input)
{
	struct model_cache *cache = any_cache(input);
	bool low = input_byte(input) & 1;
	uint64_t before;
	int ret;

	if (cache == NULL)
		return;
	before = cache->reclaimed;
	ret = mag_cache_reclaim(cache->cache, low);
	model_require(cache->reclaimed == before + cache->reclaims, "the callback");
	if (low || cache->reaps_all)
		purge_check(cache, ret);
	else
		model_require(ret == 0, "returned %d", ret);
}

void
call_update(struct input *input)
{
	struct model_cache *cache = any_cache(input);

	if (cache != NULL)
		mag_cache_update(cache->cache);
}

void
call_flush(struct input *input)
{
	struct mag_slot_stats slot[MAG_SLOTS];
	uint32_t own = mag_thread_slot();

	RTE_SET_USED(input);
	mag_lcore_flush();
	for (unsigned int i = 0; i < MODEL_CACHES && own != MAG_SLOT_SHARED; i++) {
		if (model_cache[i].cache == NULL)
			continue;
		mag_cache_slot_stats_get(model_cache[i].cache, slot, own + 1);
		model_require(slot[own].loaded + slot[own].previous == 0, "left in magazines");
	}
}

void
call_refuse(struct input *input)
{
	struct model_cache *cache = any_cache(input);

	if (cache != NULL)
		cache->refuse_in = input_below(input, 40);
}

void
call_act_as(struct input *input)
{
	process_act_as(input_below(input, PROCESS_SLOTS));
}

void
calls_end(void)
{
	struct input none = {NULL, 0};

	process_log_lines();
	for (unsigned int i = 0; i < MODEL_CACHES; i++) {
		if (model_cache[i].cache == NULL)
			continue;
		free_many(&model_cache[i], &none, model_cache[i].out, false);
		model_check();
		model_require(mag_cache_destroy(model_cache[i].cache) == 0, "%s",
			      process_log_line());
		model_cache[i].cache = NULL;
		model_cache[i].region->caches--;
	}
	for (unsigned int i = 0; i < MODEL_REGIONS; i++) {
		if (model_region[i].region == NULL)
			continue;
		model_require(mag_region_destroy(model_region[i].region) == 0, "%s",
			      process_log_line());
		region_gone(&model_region[i]);
	}
	process_act_as(0);
}
