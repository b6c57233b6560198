/* SPDX-License-Identifier: BSD-3-Clause */
#include "model.h"

#include <inttypes.h>

#include <rte_common.h>

#include "mag_mirror.h"
#include "mag_stats.h"

#define TABLE (1u << 16)
#define SLOTS_MAX 8

/* An object that the model has seen: since then it knows what is in it. */
struct object {
	const void *address; /* NULL: nothing here */
	uint32_t region;     /* id of its region */
	uint32_t cache;      /* id of the one that had it last */
	bool out;
	bool constructed;
	bool told;        /* constructed, and its cache says when it no longer is */
	bool may_be_zero; /* it may have been cleared, or its memory may have been others' */
	bool is_zero;     /* it must have been cleared */
	uint32_t bytes;   /* of the pattern */
	uint64_t pattern;
	bool mirrored;
	uint64_t mirror_pattern;
	uint64_t index;
};

struct model_region model_region[MODEL_REGIONS];
struct model_cache model_cache[MODEL_CACHES];
bool model_waits;

static struct object table[TABLE];
static uint32_t places[TABLE / 2], seen;
static uint32_t next_id;
static uint64_t next_pattern;

/* Objects */

static struct object *
place_of(const void *address)
{
	uint32_t i = ((uintptr_t)address * UINT64_C(0x9E3779B97F4A7C15)) >> 48;

	while (table[i].address != NULL && table[i].address != address)
		i = (i + 1) % TABLE;
	return &table[i];
}

/* What is known of an object; nothing, when it is seen for the first time. */
static struct object *
object_of(const struct model_region *region, const void *address)
{
	struct object *object = place_of(address);

	if (object->address == NULL) {
		model_require(seen < RTE_DIM(places), "more objects than the model has room for");
		places[seen++] = object - table;
	}
	if (object->address == NULL || object->region != region->id)
		*object = (struct object){.address = address, .region = region->id};
	return object;
}

static bool
is_filled_with(const char *at, size_t size, char byte)
{
	return size == 0 || (at[0] == byte && memcmp(at, at + 1, size - 1) == 0);
}

static void
pattern_write(void *at, uint32_t bytes, uint64_t pattern)
{
	uint32_t head = RTE_MIN(bytes, (uint32_t)sizeof(pattern));

	memcpy(at, &pattern, head);
	memset((char *)at + head, (int)(pattern >> 56), bytes - head);
}

static bool
pattern_is(const void *at, uint32_t bytes, uint64_t pattern)
{
	uint32_t head = RTE_MIN(bytes, (uint32_t)sizeof(pattern));

	return memcmp(at, &pattern, head) == 0 &&
	       is_filled_with((const char *)at + head, bytes - head, (char)(pattern >> 56));
}

static uint64_t
pattern_new(void)
{
	return ++next_pattern * UINT64_C(0x9E3779B97F4A7C15);
}

static uint32_t
bytes_of(const struct model_cache *cache)
{
	return RTE_MIN(cache->object_size, MODEL_BYTES);
}

/*
 * As it was left; memory that nobody has written into yet is as it was laid out, or zero. A cache
 * may clear objects that nobody saw: those that it had for a request that could not be served.
 */
static void
content_check(const struct model_region *region, const struct object *object)
{
	uint32_t whole = RTE_MIN(region->object_size, MODEL_BYTES);
	bool may_be_zero =
		object->may_be_zero || (region->clears_unseen && !object->out && !object->told);
	const char *at = object->address;

	if (object->is_zero || (may_be_zero && is_filled_with(at, whole, 0)))
		model_require(is_filled_with(at, whole, 0), "object %p was not cleared",
			      (const void *)at);
	else if (object->bytes == 0)
		model_require(is_filled_with(at, whole, region->elastic ? 0 : (char)0xa5),
			      "new object %p was written into", (const void *)at);
	else
		model_require(pattern_is(at, object->bytes, object->pattern),
			      "object %p of %u bytes is not as it was left", (const void *)at,
			      object->bytes);
}

static void
content_write(const struct model_cache *cache, struct object *object)
{
	object->bytes = bytes_of(cache);
	object->pattern = pattern_new();
	object->is_zero = object->may_be_zero = false;
	pattern_write((void *)(uintptr_t)object->address, object->bytes, object->pattern);
}

/* Whoever is told of all comings and goings of objects knows when they may be cleared. */
static bool
may_be_cleared(const struct model_cache *cache)
{
	return (cache->region->elastic || cache->clears) &&
	       !(cache->constructs && cache->destructs);
}

static uint32_t
mirror_bytes(const struct model_region *region)
{
	return RTE_MIN(region->mirror, MODEL_BYTES);
}

static void
mirror_check(const struct model_region *region, const struct object *object)
{
	const struct mag_mirror *find = mag_region_mirror(region->region);
	const char *its = mag_mirror_of(find, object->address);

	model_require(its != NULL, "object %p has no mirror", object->address);
	model_require(mag_mirror_object(find, its) == object->address,
		      "the mirror of %p is another's", object->address);
	if (!object->mirrored || (region->elastic && !object->out))
		if (is_filled_with(its, mirror_bytes(region), 0))
			return;
	model_require(object->mirrored &&
			      pattern_is(its, mirror_bytes(region), object->mirror_pattern),
		      "the mirror of %p is not as it was left", object->address);
}

static void
mirror_write(const struct model_region *region, struct object *object)
{
	object->mirrored = true;
	object->mirror_pattern = pattern_new();
	pattern_write(mag_mirror_of(mag_region_mirror(region->region), object->address),
		      mirror_bytes(region), object->mirror_pattern);
}

static int
address_compare(const void *left, const void *right)
{
	uintptr_t a = *(const uintptr_t *)left, b = *(const uintptr_t *)right;

	return a < b ? -1 : a > b;
}

static bool
region_has(const struct model_region *region, const void *address)
{
	const struct model_chunk *chunk;

	if (region->elastic)
		return (uintptr_t)address % region->align == 0;
	for (unsigned int i = 0; i < region->chunks; i++) {
		chunk = &region->chunk[i];
		if (bsearch(&address, chunk->objects, chunk->count, sizeof(void *),
			    address_compare) != NULL)
			return true;
	}
	return false;
}

/* What both the constructor and the user are told of an object. */
static void
info_check(const struct model_cache *cache, struct object *object,
	   const struct mag_object_info *info, const struct mag_object_info *mirror)
{
	const struct model_region *region = cache->region;
	struct mag_region_stats stats;

	mag_region_stats_get(region->region, &stats);
	model_require(info->address == object->address && info->bufctl != NULL &&
			      info->size == cache->chunk_size,
		      "info of %p is of another", object->address);
	model_require(info->region_index % stats.segment_objects == info->segment_object,
		      "indices %" PRIu64 " and %u of %p", info->region_index, info->segment_object,
		      object->address);
	model_require(!object->out || object->index == info->region_index,
		      "%p has another index than before", object->address);
	object->index = info->region_index;
	if (region->mirror == 0) {
		model_require(mirror == NULL || mirror->address == NULL, "a mirror of nothing");
		return;
	}
	model_require(mirror != NULL && mirror->bufctl == NULL && mirror->size == region->mirror &&
			      mirror->region_index == info->region_index &&
			      mirror->address == mag_mirror_of(mag_region_mirror(region->region),
							       object->address),
		      "the mirror's info of %p", object->address);
}

void
model_taken(struct model_cache *cache, void *address)
{
	struct object *object = object_of(cache->region, address);
	struct mag_object_info info, mirror;

	model_require(region_has(cache->region, address), "%p is no object of its region", address);
	model_require(!object->out, "%p was handed out twice", address);
	model_require(!cache->constructs || object->constructed, "%p is not constructed", address);
	model_require(!cache->constructs || object->cache == cache->id, "%p is another cache's",
		      address);
	model_require(cache->out < MODEL_HELD, "more objects out than can be held");
	model_require(mag_cache_object_info(cache->cache, address, &info, &mirror) == 0,
		      "no info of %p, which is out", address);
	info_check(cache, object, &info, &mirror);
	content_check(cache->region, object);
	content_write(cache, object);
	if (cache->region->mirror != 0) {
		mirror_check(cache->region, object);
		mirror_write(cache->region, object);
	}
	object->out = true;
	object->cache = cache->id;
	cache->held[cache->out++] = address;
	cache->handed++;
}

static void
held_check(const struct model_cache *cache, const struct object *object)
{
	content_check(cache->region, object);
	if (cache->region->mirror != 0)
		mirror_check(cache->region, object);
}

void *
model_given(struct model_cache *cache, unsigned int index)
{
	void *address = cache->held[index];
	struct object *object = object_of(cache->region, address);

	held_check(cache, object);
	object->out = false;
	object->may_be_zero = may_be_cleared(cache);
	cache->held[index] = cache->held[--cache->out];
	cache->returned++;
	return address;
}

void
model_given_wrong(struct model_cache *cache)
{
	/* One that is checked at the call is no free at all. */
	if (!cache->guarded)
		cache->returned++;
	cache->invalid++;
}

void
model_held_unchanged(const struct model_cache *cache)
{
	for (unsigned int i = 0; i < cache->out; i++)
		held_check(cache, object_of(cache->region, cache->held[i]));
}

bool
model_is_out(const void *address)
{
	return place_of(address)->out;
}

bool
model_is_constructed(const struct model_cache *cache, const void *address)
{
	const struct object *object = place_of(address);

	return object->address != NULL && object->region == cache->region->id &&
	       object->constructed && object->cache == cache->id;
}

/* Callbacks */

int
model_construct(const struct mag_object_info *info, const struct mag_object_info *mirror, void *arg,
		unsigned int flags)
{
	struct model_cache *cache = arg;
	struct object *object = object_of(cache->region, info->address);

	/* Nor one that waits, in a steal. */
	model_require(flags == 0 || (model_waits && flags == MAG_CONSTRUCT_MAY_WAIT), "flags 0x%x",
		      flags);
	model_require(region_has(cache->region, info->address), "%p is no object of its region",
		      info->address);
	model_require(!object->out, "%p is constructed while it is out", info->address);
	model_require(!cache->destructs || !object->constructed || object->cache != cache->id,
		      "%p is constructed twice", info->address);
	info_check(cache, object, info, mirror);
	content_check(cache->region, object);
	if (cache->refuse_in != 0 && --cache->refuse_in == 0) {
		cache->refused = true;
		object->is_zero |= cache->clears;
		/* As are those behind it, that nobody is asked for. */
		cache->region->clears_unseen |= cache->clears;
		return -1;
	}
	content_write(cache, object);
	object->may_be_zero = may_be_cleared(cache);
	object->constructed = true;
	object->told = cache->destructs;
	object->cache = cache->id;
	cache->constructed++;
	return 0;
}

void
model_destruct(void *address, void *arg)
{
	struct model_cache *cache = arg;
	struct object *object = object_of(cache->region, address);

	model_require(!object->out, "%p is destructed while it is out", address);
	model_require(!cache->constructs || (object->constructed && object->cache == cache->id),
		      "%p is destructed, and is not constructed", address);
	content_check(cache->region, object);
	object->constructed = object->told = false;
	/* It may be zero already: nobody wrote into it since another cache cleared it. */
	object->is_zero |= cache->clears;
	object->may_be_zero |= cache->region->elastic;
	cache->destructed++;
}

void
model_reclaim(void *arg)
{
	struct model_cache *cache = arg;

	cache->reclaimed++;
}

/* Regions and caches */

void
model_reset(void)
{
	while (seen > 0)
		table[places[--seen]] = (struct object){0};
	next_pattern = 0;
}

void
model_call(void)
{
	for (unsigned int i = 0; i < MODEL_CACHES; i++)
		model_cache[i].refused = false;
}

struct model_region *
model_region_new(void)
{
	for (unsigned int i = 0; i < MODEL_REGIONS; i++)
		if (model_region[i].region == NULL) {
			model_region[i] = (struct model_region){.id = ++next_id};
			return &model_region[i];
		}
	return NULL;
}

struct model_cache *
model_cache_new(void)
{
	for (unsigned int i = 0; i < MODEL_CACHES; i++)
		if (model_cache[i].cache == NULL) {
			memset(&model_cache[i], 0, offsetof(struct model_cache, held));
			model_cache[i].id = ++next_id;
			model_cache[i].out = 0;
			return &model_cache[i];
		}
	return NULL;
}

/* Counts */

uint64_t
model_available(const struct model_cache *cache)
{
	struct mag_region_stats region;
	struct mag_cache_stats stats;

	mag_region_stats_get(cache->region->region, &region);
	mag_cache_stats_get(cache->cache, &stats);
	return region.objects_free + stats.in_use - cache->out;
}

static void
constructed_check(const struct model_cache *cache, const struct mag_cache_stats *stats)
{
	uint64_t refused = stats->alloc_fails - stats->slab_fails;

	model_require(!cache->constructs || stats->slab_allocs - cache->constructed == refused,
		      "%" PRIu64 " left the slabs, %" PRIu64 " constructed, %" PRIu64 " refused",
		      stats->slab_allocs, cache->constructed, refused);
	model_require(!cache->destructs || stats->slab_frees - cache->destructed == refused,
		      "%" PRIu64 " came to the slabs, %" PRIu64 " destructed, %" PRIu64 " refused",
		      stats->slab_frees, cache->destructed, refused);
	model_require(cache->constructs || refused == 0, "%" PRIu64 " refused by nobody", refused);
}

static void
slots_check(const struct model_cache *cache, const struct mag_cache_stats *stats)
{
	struct mag_slot_stats slot[SLOTS_MAX];
	unsigned int n = mag_cache_slot_stats_get(cache->cache, slot, SLOTS_MAX);
	uint64_t allocs = 0, frees = 0, held = 0;

	for (unsigned int i = 0; i < n; i++) {
		allocs += slot[i].allocs;
		frees += slot[i].frees;
		held += slot[i].loaded + slot[i].previous;
	}
	model_require(held == stats->in_lcores, "%" PRIu64 " objects in magazines, or %" PRIu64,
		      held, stats->in_lcores);
	/* What was had for a request that could then not be served was allocated, and freed. */
	model_require(allocs >= cache->handed && allocs - frees == cache->handed - cache->returned,
		      "%" PRIu64 " allocations counted of %" PRIu64 ", %" PRIu64
		      " frees of %" PRIu64,
		      allocs, cache->handed, frees, cache->returned);
}

static void
cache_check(const struct model_cache *cache, const struct mag_region_stats *region,
	    const struct mag_cache_stats *stats)
{
	uint64_t apart = stats->slab_allocs - stats->slab_frees;
	uint64_t magazines = apart - stats->in_lcores - cache->out;

	model_require(apart >= stats->in_lcores + cache->out,
		      "%" PRIu64 " objects left the slabs, %u are out, %" PRIu64 " in magazines",
		      apart, cache->out, stats->in_lcores);
	model_require(stats->depot_full == 0 ? magazines == 0 :
					       magazines % stats->depot_full == 0 && magazines != 0,
		      "%" PRIu64 " objects in %" PRIu64 " full magazines", magazines,
		      stats->depot_full);
	model_require(stats->rounds == 0 || magazines == stats->depot_full * stats->rounds,
		      "%" PRIu64 " objects in %" PRIu64 " magazines of %u", magazines,
		      stats->depot_full, stats->rounds);
	model_require((stats->rounds != 0) == (cache->magazines && !cache->off),
		      "magazines of %u rounds", stats->rounds);
	model_require(stats->objects == region->objects, "objects of cache and region");
	model_require(stats->free == region->objects_free + stats->in_use - cache->out,
		      "%" PRIu64 " objects free: %" PRIu64 " of the region, %" PRIu64
		      " in slabs, %u out",
		      stats->free, region->objects_free, stats->in_use, cache->out);
	model_require(stats->slabs_created - stats->slabs_destroyed ==
			      stats->slabs_partial + stats->slabs_full,
		      "%" PRIu64 " slabs made, %" PRIu64 " destroyed", stats->slabs_created,
		      stats->slabs_destroyed);
	model_require(stats->invalid_frees == cache->invalid,
		      "%" PRIu64 " invalid frees of %" PRIu64, stats->invalid_frees,
		      cache->invalid);
	constructed_check(cache, stats);
	slots_check(cache, stats);
}

static void
region_check(const struct model_region *region, const struct mag_region_stats *stats,
	     uint64_t in_use, uint64_t slabs)
{
	uint64_t used = stats->segments - stats->segments_free;

	model_require(stats->objects == stats->objects_free + in_use,
		      "%" PRIu64 " objects, %" PRIu64 " free, %" PRIu64 " in slabs", stats->objects,
		      stats->objects_free, in_use);
	model_require(used == slabs, "%" PRIu64 " segments used, %" PRIu64 " slabs", used, slabs);
	model_require(stats->allocations - stats->frees == used,
		      "%" PRIu64 " segments taken, %" PRIu64 " came back", stats->allocations,
		      stats->frees);
	model_require(region->mirror != 0 || stats->mirrors == 0, "mirrors of nothing");
	model_require((stats->mirrors == 0) == (stats->segments == 0 || region->mirror == 0),
		      "%" PRIu64 " bytes of mirrors", stats->mirrors);
	if (!region->elastic) {
		model_require(stats->objects == region->objects, "%" PRIu64 " objects",
			      stats->objects);
		return;
	}
	model_require(stats->grown - stats->trimmed == stats->segments &&
			      stats->segments <= stats->segments_max,
		      "%" PRIu64 " grown, %" PRIu64 " trimmed, %u there", stats->grown,
		      stats->trimmed, stats->segments);
	model_require(stats->memory == stats->segments * stats->segment_bytes, "%" PRIu64 " bytes",
		      stats->memory);
}

/* A mirror region is as its first region in all but memory. */
static void
second_check(const struct model_region *region, const struct mag_region_stats *first)
{
	struct mag_region_stats stats;

	mag_region_stats_get(region->second, &stats);
	model_require(stats.segments == first->segments && stats.objects == first->objects &&
			      stats.segments_max == first->segments_max &&
			      stats.objects_free == first->objects_free &&
			      stats.segments_free == first->segments_free,
		      "%u segments, and %u of its mirror", first->segments, stats.segments);
	model_require(stats.memory == first->mirrors &&
			      stats.memory == stats.segments * stats.segment_bytes,
		      "%" PRIu64 " bytes of mirrors", first->mirrors);
	model_require(stats.grown - stats.trimmed == stats.segments,
		      "%" PRIu64 " mirrors grown, %" PRIu64 " trimmed, %u there", stats.grown,
		      stats.trimmed, stats.segments);
}

void
model_check(void)
{
	struct mag_region_stats region;
	struct mag_cache_stats stats;
	uint64_t in_use, slabs;

	for (unsigned int i = 0; i < MODEL_REGIONS; i++) {
		if (model_region[i].region == NULL)
			continue;
		in_use = slabs = 0;
		mag_region_stats_get(model_region[i].region, &region);
		for (unsigned int j = 0; j < MODEL_CACHES; j++) {
			if (model_cache[j].cache == NULL ||
			    model_cache[j].region != &model_region[i])
				continue;
			mag_cache_stats_get(model_cache[j].cache, &stats);
			cache_check(&model_cache[j], &region, &stats);
			in_use += stats.in_use;
			slabs += stats.slabs_partial + stats.slabs_full;
		}
		region_check(&model_region[i], &region, in_use, slabs);
		if (model_region[i].second != NULL)
			second_check(&model_region[i], &region);
	}
}
