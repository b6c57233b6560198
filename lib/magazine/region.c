/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_bitops.h>
#include <rte_common.h>
#include <rte_errno.h>

#include "counter.h"
#include "log.h"
#include "meta.h"
#include "numa.h"
#include "options.h"
#include "poison.h"
#include "region.h"

/* A block is as many objects as fit here, but neither a handful nor thousands. */
#define BLOCK_BYTES (256 * 1024)
#define BLOCK_MIN 8
#define BLOCK_MAX 256

static uint32_t
block_choose(uint32_t stride)
{
	uint32_t block = rte_align32prevpow2(RTE_MAX(BLOCK_BYTES / stride, 1u));

	return RTE_MAX(RTE_MIN(block, (uint32_t)BLOCK_MAX), (uint32_t)BLOCK_MIN);
}

static void
part_init(struct mag_region_part *part, int node)
{
	*part = (struct mag_region_part){.node = node};
	TAILQ_INIT(&part->whole);
	TAILQ_INIT(&part->tails);
}

static int
params_error(const struct mag_region_params *params, const char *what, int error)
{
	MAG_LOG(ERR, "region \"%s\": object size %u, stride %u, block %u, mode 0x%x: %s",
		params->name != NULL ? params->name : "", params->object_size, params->stride,
		params->block, params->mode, what);
	return -error;
}

static int
params_check(const struct mag_region_params *params)
{
	const uint32_t elastic = MAG_REGION_PERSISTENT | MAG_REGION_MONOLITHIC |
				 MAG_REGION_PHYSCONTIG | MAG_REGION_GUARD | MAG_REGION_MEMTAG;
	const uint32_t known = elastic | MAG_REGION_READONLY | MAG_REGION_SHARED |
			       MAG_REGION_NOMAGAZINES | MAG_REGION_PUREDATA | MAG_REGION_SHAREOK |
			       MAG_REGION_AUDIT;

	if (params->name == NULL || *params->name == '\0' ||
	    strlen(params->name) >= MAG_REGION_NAMESIZE)
		return params_error(params, "needs a name of 1 to 63 characters", EINVAL);
	if (params->object_size == 0)
		return params_error(params, "needs an object size above 0", EINVAL);
	if (params->stride != 0 && params->stride < params->object_size)
		return params_error(params, "needs a stride of at least the object size", EINVAL);
	if (params->mirror > MAG_MIRROR_MAX)
		return params_error(
			params,
			"needs a mirror of at most 4096 bytes: a mirror region may have more",
			EINVAL);
	if (params->block > MAG_REGION_BLOCK_MAX)
		return params_error(params, "needs a block of at most 65534 objects", EINVAL);
	if (params->mode & MAG_REGION_MIRRORED)
		return params_error(params, "MIRRORED: mag_region_mirror_create() makes those",
				    EINVAL);
	if (params->mode & ~known)
		return params_error(params, "has a mode that is not known", EINVAL);
	if (params->objects == 0 && params->mode & elastic)
		return params_error(params,
				    "PERSISTENT, MONOLITHIC, PHYSCONTIG, GUARD and MEMTAG are for "
				    "elastic regions",
				    EINVAL);
	return 0;
}

static void
region_free(struct mag_region *region)
{
	if (region->elastic != NULL)
		mag_elastic_fini(region);
	mag_region_reset(region);
	if (region->mirror != NULL)
		mag_mirror_fini(region->mirror);
	if (region->audit != NULL)
		mag_mirror_fini(region->audit);
	if (region->pair != NULL)
		mag_mirror_pair_fini(region->pair);
	mag_meta_free(region->mirror);
	mag_meta_free(region->audit);
	mag_meta_free(region->pair);
	mag_meta_free(region);
}

static struct mag_region *
region_alloc(const struct mag_region_params *params)
{
	static _Atomic uint32_t ids;
	struct mag_region *region = mag_meta_zalloc(sizeof(*region), params->node);

	if (region == NULL) {
		MAG_LOG(ERR, "region \"%s\": no memory for %zu bytes: give EAL more memory",
			params->name, sizeof(*region));
		rte_errno = ENOMEM;
		return NULL;
	}
	snprintf(region->name, sizeof(region->name), "%s", params->name);
	region->id = mag_process_unique(MAG_STAT_ADD(ids, 1) + 1);
	region->mode = params->mode;
	region->object_size = params->object_size;
	region->stride = params->stride != 0 ? params->stride : params->object_size;
	region->align = 1;
	region->block = params->block != 0 ? params->block : block_choose(region->stride);
	SLIST_INIT(&region->extents);
	part_init(&region->part[0], MAG_NODE_ANY);
	atomic_init(&region->parts, 1);
	return region;
}

struct mag_region *
mag_region_create(const struct mag_region_params *params)
{
	struct mag_region_params own = *params;
	struct mag_options all;

	rte_errno = -mag_options_begin(&all);
	if (rte_errno != 0)
		return NULL;
	if (all.audit)
		own.mode |= MAG_REGION_AUDIT;
	return mag_region_make(&own);
}

struct mag_region *
mag_region_make(const struct mag_region_params *params)
{
	struct mag_region *region;
	int error;

	rte_errno = -params_check(params);
	if (rte_errno != 0)
		return NULL;
	region = region_alloc(params);
	if (region == NULL)
		return NULL;
	rte_errno = params->objects != 0 ? -mag_elastic_init(region, params) :
					   -mag_region_mirror_make(region, params->mirror, 0);
	if (rte_errno == 0)
		return region;
	error = rte_errno;
	region_free(region);
	rte_errno = error;
	return NULL;
}

static int
mirror_error(const struct mag_region *first, const struct mag_region_params *params,
	     const char *what, int error)
{
	MAG_LOG(ERR, "region \"%s\", a mirror of \"%s\", mode 0x%x: %s",
		params->name != NULL ? params->name : "", first != NULL ? first->name : "",
		params->mode, what);
	return -error;
}

static int
mirror_check(const struct mag_region *first, const struct mag_region_params *params)
{
	const uint32_t known = MAG_REGION_READONLY | MAG_REGION_SHARED | MAG_REGION_PUREDATA |
			       MAG_REGION_PERSISTENT | MAG_REGION_PHYSCONTIG | MAG_REGION_GUARD |
			       MAG_REGION_MIRRORED;

	if (first == NULL)
		return mirror_error(first, params, "needs a first region", EINVAL);
	if (first->mode & MAG_REGION_MIRRORED)
		return mirror_error(first, params, "a mirror has no mirror", EINVAL);
	if (first->elastic == NULL)
		return mirror_error(first, params,
				    "the first region has adopted memory: only elastic ones have "
				    "mirror regions, others mirror=BYTES",
				    ENOTSUP);
	if (mag_elastic_is_elsewhere(first))
		return mirror_error(first, params,
				    "another process made the first region: make its mirror there",
				    EPERM);
	if ((first->mode | params->mode) & MAG_REGION_MEMTAG)
		return mirror_error(
			first, params,
			"MEMTAG: no region with memory tags has, or is, a mirror region: use "
			"mirror=BYTES",
			ENOTSUP);
	if (params->mode & ~known)
		return mirror_error(first, params,
				    "may be READONLY, SHARED, PUREDATA, PERSISTENT, PHYSCONTIG and "
				    "GUARD: all else is its first region's",
				    EINVAL);
	if (params->objects != 0 || params->block != 0 || params->segment_size != 0 ||
	    params->reserve != 0 || params->mirror != 0)
		return mirror_error(
			first, params,
			"objects, block, segment size, reserve and mirror must be 0: they "
			"are its first region's",
			EINVAL);
	if (first->mirror != NULL || first->second != NULL)
		return mirror_error(first, params, "the first region has mirrors", EEXIST);
	if (first->references != 0)
		return mirror_error(first, params,
				    "a cache uses the first region: make its mirror before", EBUSY);
	return 0;
}

struct mag_region *
mag_region_mirror_create(struct mag_region *first, const struct mag_region_params *params)
{
	struct mag_region_params own = *params;
	struct mag_region *region;
	int error;

	rte_errno = -mirror_check(first, params);
	if (rte_errno != 0)
		return NULL;
	own.mode &= ~MAG_REGION_MIRRORED;
	own.block = first->block;
	own.objects = (uint64_t)first->elastic->segments_all * first->block;
	rte_errno = -params_check(&own);
	if (rte_errno != 0)
		return NULL;
	region = region_alloc(&own);
	if (region == NULL)
		return NULL;
	region->mode |= MAG_REGION_MIRRORED;
	error = -mag_elastic_mirror_init(region, first, &own);
	if (error == 0)
		return region;
	region_free(region);
	rte_errno = error;
	return NULL;
}

struct mag_region *
mag_region_intrinsic(const char *name, uint32_t object_size, uint32_t align, int node)
{
	const struct mag_region_params params = {
		.name = name,
		.object_size = object_size,
		.block = 1,
		.mode = MAG_REGION_PSEUDO,
		.node = node,
	};
	struct mag_region *region = region_alloc(&params);

	if (region != NULL) {
		region->align = align;
		region->part[0].node = node;
	}
	return region;
}

static int
mirror_make(struct mag_region *region, struct mag_mirror_owner **mirror, uint32_t bytes,
	    uint64_t granules)
{
	uint32_t apart = mag_region_apart(region);
	int node = region->part[0].node;

	*mirror = mag_meta_zalloc(sizeof(**mirror), node);
	if (*mirror != NULL && mag_mirror_init(*mirror, bytes, apart, granules, node) == 0)
		return 0;
	mag_meta_free(*mirror);
	*mirror = NULL;
	MAG_LOG(ERR, "region \"%s\": no memory for the table of mirrors: give EAL more memory",
		region->name);
	return -ENOMEM;
}

int
mag_region_mirror_make(struct mag_region *region, uint32_t bytes, uint64_t granules)
{
	region->mirrored = bytes != 0;
	if (bytes != 0 && mirror_make(region, &region->mirror, bytes, granules) != 0)
		return -ENOMEM;
	if (region->mode & MAG_REGION_AUDIT)
		return mirror_make(region, &region->audit, MAG_AUDIT_BYTES, granules);
	return 0;
}

const struct mag_mirror *
mag_region_mirror(const struct mag_region *region)
{
	if (region->second != NULL)
		return &region->second->pair->find;
	return region->mirror != NULL ? &region->mirror->find : NULL;
}

static int
mirror_add(struct mag_mirror_owner *mirror, const struct mag_segment *segment)
{
	return mirror == NULL ? 0 :
				mag_mirror_add(mirror, segment->base, segment->count,
					       segment->stride, segment->node);
}

static void
mirror_remove(struct mag_mirror_owner *mirror, const struct mag_segment *segment)
{
	if (mirror != NULL)
		mag_mirror_remove(mirror, segment->base, segment->count, segment->stride);
}

int
mag_segment_mirror_add(struct mag_region *region, const struct mag_segment *segment)
{
	if (mirror_add(region->mirror, segment) != 0)
		return -ENOMEM;
	if (mirror_add(region->audit, segment) == 0)
		return 0;
	mirror_remove(region->mirror, segment);
	return -ENOMEM;
}

void
mag_segment_mirror_remove(struct mag_region *region, const struct mag_segment *segment)
{
	mirror_remove(region->mirror, segment);
	mirror_remove(region->audit, segment);
}

/*
 * Length of the run of objects at constant stride that begins at objects[0]. It
 * spans no more memory than a whole segment: the slab layer's table counts on it.
 */
static uint32_t
run_length(const struct mag_region *region, void *const *objects, uint32_t count)
{
	uintptr_t first = (uintptr_t)objects[0], stride, span;
	uint32_t n;

	if (count == 1)
		return 1;
	stride = (uintptr_t)objects[1] - first;
	span = mag_region_segment_span(region);
	for (n = 1; n < count && n < region->block; n++)
		if ((uintptr_t)objects[n] - first != n * stride || (n + 1) * stride > span)
			break;
	return n;
}

static bool
objects_valid(const struct mag_region *region, void *const *objects, uint32_t count)
{
	uint32_t i, apart = mag_region_apart(region), align;

	align = RTE_MAX(RTE_MAX(region->need[0], region->need[1]), 1u);

	for (i = 0; i < count; i++) {
		if ((uintptr_t)objects[i] & (align - 1)) {
			MAG_LOG(ERR,
				"region \"%s\": object %u at %p: a cache that uses it needs an "
				"alignment of %u",
				region->name, i, objects[i], align);
			return false;
		}
		if (objects[i] != NULL &&
		    (i == 0 || (uintptr_t)objects[i] >= (uintptr_t)objects[i - 1] + apart))
			continue;
		MAG_LOG(ERR,
			"region \"%s\": object %u at %p: addresses must ascend by at least "
			"the %s of %u bytes",
			region->name, i, objects[i], region->mirrored ? "stride" : "object size",
			apart);
		return false;
	}
	return true;
}

static uint32_t
parts_of(const struct mag_region *region)
{
	return atomic_load_explicit(&region->parts, memory_order_relaxed);
}

/* Under the lock. */
static uint32_t
part_find(struct mag_region *region, int node)
{
	uint32_t part, parts = parts_of(region);

	if (node == MAG_NODE_ANY)
		return 0;
	/* Memory whose node is not known goes with that of the first one that is. */
	if (region->part[0].node == MAG_NODE_ANY)
		region->part[0].node = node;
	for (part = 0; part < parts && region->part[part].node != node; part++)
		;
	return part;
}

/* A new part is made only for who asks, or while no cache relies on those that there are. */
static uint32_t
part_get(struct mag_region *region, int node, bool make)
{
	uint32_t part;

	mag_lock_wait(&region->lock);
	part = part_find(region, node);
	if (part == parts_of(region)) {
		if (part == MAG_PARTS_MAX || (!make && region->references > 0)) {
			part = 0;
		} else {
			part_init(&region->part[part], node);
			/* release: who sees the part sees its lists */
			atomic_store_explicit(&region->parts, part + 1, memory_order_release);
		}
	}
	mag_lock_release(&region->lock);
	return part;
}

uint32_t
mag_region_part_of_node(struct mag_region *region, int node)
{
	return part_get(region, node, true);
}

static struct mag_region_map *
map_alloc(const struct mag_region *region, struct mag_region_map *older, uint32_t count)
{
	struct mag_region_map *map =
		mag_meta_zalloc(sizeof(*map) + count * sizeof(map->at[0]), region->part[0].node);

	if (map != NULL) {
		map->older = older;
		map->count = count;
	}
	return map;
}

/*
 * The map with the addresses from first to last in it as well; NULL if there is none yet and need not
 * be. 0, or -ENOMEM. Nobody else changes the map meanwhile.
 */
static int
map_with(struct mag_region *region, uintptr_t first, uintptr_t last, uint32_t part,
	 struct mag_region_map **with)
{
	struct mag_region_map *old = atomic_load_explicit(&region->map, memory_order_relaxed), *map;
	uint32_t i = 0, count = old != NULL ? old->count : 0, around;

	while (i < count && old->at[i].begin <= first)
		i++;
	around = i > 0 ? old->at[i - 1].part : 0;
	*with = old;
	if (around == part)
		return 0;
	map = map_alloc(region, old, count + 2);
	if (map == NULL)
		return -ENOMEM;
	if (i > 0)
		memcpy(map->at, old->at, i * sizeof(map->at[0]));
	map->at[i] = (struct mag_region_begin){first, part};
	map->at[i + 1] = (struct mag_region_begin){last + 1, around};
	if (i < count)
		memcpy(&map->at[i + 2], &old->at[i], (count - i) * sizeof(map->at[0]));
	*with = map;
	return 0;
}

static void
map_publish(struct mag_region *region, struct mag_region_map *map)
{
	/* release: pairs with the acquire in mag_region_part_of() */
	atomic_store_explicit(&region->map, map, memory_order_release);
}

static void
map_forget(struct mag_region *region)
{
	struct mag_region_map *map = atomic_load_explicit(&region->map, memory_order_relaxed),
			      *older;

	atomic_store_explicit(&region->map, NULL, memory_order_relaxed);
	for (; map != NULL; map = older) {
		older = map->older;
		mag_meta_free(map);
	}
}

static void
segment_init(struct mag_region *region, struct mag_segment *segment, void *const *objects,
	     uint32_t count, int node)
{
	segment->base = (uintptr_t)objects[0];
	segment->count = count;
	segment->stride = count > 1 ? (uintptr_t)objects[1] - segment->base : 0;
	segment->node = node;
	segment->whole =
		count == region->block && (count == 1 || segment->stride == region->stride);
}

static void
segment_insert(struct mag_region *region, struct mag_segment *segment)
{
	struct mag_region_part *part = &region->part[segment->part];

	segment->free = true;
	if (segment->whole)
		TAILQ_INSERT_HEAD(&part->whole, segment, link);
	else
		TAILQ_INSERT_HEAD(&part->tails, segment, link);
	atomic_fetch_add_explicit(&part->segments_free, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&part->objects_free, segment->count, memory_order_relaxed);
}

void
mag_region_insert(struct mag_region *region, struct mag_segment *segment)
{
	segment_insert(region, segment);
	atomic_fetch_add_explicit(&region->segments, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&region->objects, segment->count, memory_order_relaxed);
}

static void
extent_insert(struct mag_region *region, struct mag_extent *extent, uint32_t part)
{
	uint32_t i, first;

	mag_lock_wait(&region->lock);
	SLIST_INSERT_HEAD(&region->extents, extent, link);
	first = atomic_load_explicit(&region->segments, memory_order_relaxed);
	/* Backwards: the lists then begin with the lowest address. */
	for (i = extent->segments; i-- > 0;) {
		extent->segment[i].index = first + i;
		extent->segment[i].part = part;
		mag_region_insert(region, &extent->segment[i]);
	}
	mag_lock_release(&region->lock);
}

/* Mirrors of all segments, or of none. */
static int
extent_mirror(struct mag_region *region, const struct mag_extent *extent)
{
	uint32_t i;

	for (i = 0; i < extent->segments; i++)
		if (mag_segment_mirror_add(region, &extent->segment[i]) != 0)
			break;
	if (i == extent->segments)
		return 0;
	MAG_LOG(ERR, "region \"%s\": no memory for mirrors of %u bytes%s: give EAL more memory",
		region->name, region->mirrored ? region->mirror->find.bytes : 0,
		region->audit != NULL ? " and records of who has what" : "");
	while (i > 0)
		mag_segment_mirror_remove(region, &extent->segment[--i]);
	return -ENOMEM;
}

int
mag_region_adopt(struct mag_region *region, void *const *objects, uint32_t count, int node)
{
	return mag_region_adopt_told(region, objects, count, node, NULL, NULL);
}

int
mag_region_adopt_told(struct mag_region *region, void *const *objects, uint32_t count, int node,
		      void (*tell)(void *arg), void *arg)
{
	uint32_t segments = 0, at, n, i = 0;
	size_t head, control = 0;
	struct mag_region_map *map = NULL;
	struct mag_extent *extent;
	uint32_t part;

	if (region->elastic != NULL) {
		MAG_LOG(ERR, "region \"%s\": is elastic, and adopts nothing", region->name);
		return -EINVAL;
	}
	if (!objects_valid(region, objects, count))
		return -EINVAL;
	for (at = 0; at < count; at += n) {
		n = run_length(region, objects + at, count - at);
		control += mag_region_control_size(n);
		segments++;
	}
	if (segments == 0)
		return 0;
	head = RTE_ALIGN_CEIL(sizeof(*extent) + segments * sizeof(extent->segment[0]),
			      MAG_CONTROL_ALIGN);
	part = part_get(region, node, false);
	extent = mag_meta_zalloc(head + control, node);
	if (extent == NULL || map_with(region, (uintptr_t)objects[0], (uintptr_t)objects[count - 1],
				       part, &map) != 0) {
		mag_meta_free(extent);
		MAG_LOG(ERR,
			"region \"%s\": no memory for the records of %u objects (%zu bytes): "
			"give EAL more memory",
			region->name, count, head + control);
		return -ENOMEM;
	}
	extent->segments = segments;
	for (at = 0; at < count; at += n, i++) {
		n = run_length(region, objects + at, count - at);
		segment_init(region, &extent->segment[i], objects + at, n, node);
		extent->segment[i].control = RTE_PTR_ADD(extent, head);
		head += mag_region_control_size(n);
	}
	if (extent_mirror(region, extent) != 0) {
		if (map != atomic_load_explicit(&region->map, memory_order_relaxed))
			mag_meta_free(map);
		mag_meta_free(extent);
		return -ENOMEM;
	}
	if (tell != NULL)
		tell(arg);
	map_publish(region, map);
	extent_insert(region, extent, part);
	return 0;
}

/* Off its free list. */
static void
segment_remove(struct mag_region *region, struct mag_segment *segment)
{
	struct mag_region_part *part = &region->part[segment->part];
	uint32_t left;

	TAILQ_REMOVE(segment->whole ? &part->whole : &part->tails, segment, link);
	segment->free = false;
	left = atomic_fetch_sub_explicit(&part->segments_free, 1, memory_order_relaxed) - 1;
	part->free_min = RTE_MIN(part->free_min, left);
	atomic_fetch_sub_explicit(&part->objects_free, segment->count, memory_order_relaxed);
}

void
mag_region_remove(struct mag_region *region, struct mag_segment *segment)
{
	segment_remove(region, segment);
	atomic_fetch_sub_explicit(&region->segments, 1, memory_order_relaxed);
	atomic_fetch_sub_explicit(&region->objects, segment->count, memory_order_relaxed);
	/* release: who counts them as gone does not see them; pairs with mag_region_out() */
	atomic_fetch_add_explicit(&region->removed, segment->count, memory_order_release);
}

static struct mag_segment *
segment_take(struct mag_region *region, struct mag_segment_list *list)
{
	struct mag_segment *segment = TAILQ_FIRST(list);

	if (segment == NULL)
		return NULL;
	segment_remove(region, segment);
	/* release: who counts it as taken does not see it free; pairs with mag_region_out() */
	atomic_fetch_add_explicit(&region->allocations, 1, memory_order_release);
	return segment;
}

uint64_t
mag_region_out(const struct mag_region *region)
{
	/* acquire: what is read next is not older; pairs with who removes and takes segments */
	return atomic_load_explicit(&region->allocations, memory_order_acquire) * region->block +
	       atomic_load_explicit(&region->removed, memory_order_acquire);
}

void
mag_region_eaten(struct mag_region *region, uint32_t part)
{
	const struct mag_elastic *elastic = region->elastic;

	if (unlikely(elastic != NULL &&
		     atomic_load_explicit(&region->part[part].segments_free, memory_order_relaxed) <
			     elastic->reserve))
		mag_elastic_hunger(region, part);
}

struct mag_segment *
mag_region_get(struct mag_region *region, uint32_t part)
{
	struct mag_segment *segment;

	mag_lock_spin(&region->lock);
	segment = segment_take(region, &region->part[part].tails);
	if (segment == NULL)
		segment = segment_take(region, &region->part[part].whole);
	mag_lock_release(&region->lock);
	mag_region_eaten(region, part);
	return segment;
}

struct mag_segment *
mag_region_get_whole(struct mag_region *region, uint32_t part)
{
	struct mag_segment *segment;

	mag_lock_spin(&region->lock);
	segment = segment_take(region, &region->part[part].whole);
	mag_lock_release(&region->lock);
	mag_region_eaten(region, part);
	return segment;
}

void
mag_region_put(struct mag_region *region, struct mag_segment *segment)
{
	mag_lock_spin(&region->lock);
	segment_insert(region, segment);
	atomic_fetch_add_explicit(&region->frees, 1, memory_order_relaxed);
	mag_lock_release(&region->lock);
}

int
mag_region_attach(struct mag_region *region, uint32_t align)
{
	int ret = 0;

	mag_lock_wait(&region->lock);
	if (region->references >= 2) {
		ret = -EBUSY;
	} else {
		region->references++;
		region->need[region->need[0] != 0] = align;
	}
	mag_lock_release(&region->lock);
	return ret;
}

void
mag_region_detach(struct mag_region *region, uint32_t align)
{
	mag_lock_wait(&region->lock);
	region->references--;
	region->need[region->need[0] != align] = 0;
	mag_lock_release(&region->lock);
}

/* The memory is its owner's again. */
static void
extent_unpoison(const struct mag_region *region, const struct mag_extent *extent)
{
	const struct mag_segment *segment;
	uint32_t i;

	for (i = 0; i < extent->segments; i++) {
		segment = &extent->segment[i];
		mag_unpoison((const void *)segment->base,
			     (size_t)segment->stride * (segment->count - 1) + region->object_size);
	}
}

void
mag_region_reset(struct mag_region *region)
{
	struct mag_extent *extent;
	uint32_t part;

	while ((extent = SLIST_FIRST(&region->extents)) != NULL) {
		SLIST_REMOVE_HEAD(&region->extents, link);
		extent_unpoison(region, extent);
		mag_meta_free(extent);
	}
	map_forget(region);
	if (region->mirror != NULL)
		mag_mirror_clear(region->mirror);
	if (region->audit != NULL)
		mag_mirror_clear(region->audit);
	/* Which node has which part stays: caches know that. */
	for (part = 0; part < parts_of(region); part++)
		part_init(&region->part[part], region->part[part].node);
	atomic_store_explicit(&region->segments, 0, memory_order_relaxed);
	atomic_store_explicit(&region->objects, 0, memory_order_relaxed);
}

int
mag_region_destroy(struct mag_region *region)
{
	if (region == NULL)
		return 0;
	if (mag_elastic_is_elsewhere(region)) {
		MAG_LOG(ERR, "region \"%s\": process %d made it: destroy it there", region->name,
			region->elastic->pid);
		return -EPERM;
	}
	if (region->first != NULL) {
		MAG_LOG(ERR, "region \"%s\": is the mirror of \"%s\": destroy that first",
			region->name, region->first->name);
		return -EBUSY;
	}
	if (region->references != 0) {
		MAG_LOG(ERR, "region \"%s\": %u caches use it: destroy them first", region->name,
			region->references);
		return -EBUSY;
	}
	region_free(region);
	return 0;
}

/* What of a region is free and in use; the same is of its mirror. */
static void
stats_of_use(const struct mag_region *region, struct mag_region_stats *stats)
{
	struct mag_region *locked = (struct mag_region *)(uintptr_t)region;
	uint32_t part;

	mag_lock_wait(&locked->lock);
	stats->objects = MAG_STAT(region->objects);
	stats->segments = MAG_STAT(region->segments);
	stats->allocations = MAG_STAT(region->allocations);
	stats->frees = MAG_STAT(region->frees);
	for (part = 0; part < parts_of(region); part++) {
		stats->objects_free += MAG_STAT(region->part[part].objects_free);
		stats->segments_free += MAG_STAT(region->part[part].segments_free);
	}
	mag_lock_release(&locked->lock);
}

void
mag_region_stats_get(const struct mag_region *region, struct mag_region_stats *stats)
{
	const struct mag_elastic *elastic = region->elastic;

	*stats = (struct mag_region_stats){
		.id = region->id,
		.mode = region->mode,
		.segment_objects = region->block,
	};
	stats_of_use(region->first != NULL ? region->first : region, stats);
	if (region->mirror != NULL)
		stats->mirrors = MAG_STAT(region->mirror->memory);
	if (region->second != NULL)
		stats->mirrors = stats->segments * region->second->elastic->segment_bytes;
	if (elastic == NULL)
		return;
	stats->segments_max = mag_elastic_segments_max(region);
	stats->objects_max = mag_region_objects_max(region);
	stats->segment_bytes = elastic->segment_bytes;
	stats->memory = stats->segments * stats->segment_bytes;
	stats->memory_free = stats->segments_free * stats->segment_bytes;
	stats->wired = mag_region_is_persistent(region) ? stats->memory : 0;
	stats->grown = MAG_STAT(elastic->grown);
	stats->trimmed = MAG_STAT(elastic->trimmed);
	stats->grow_fails = MAG_STAT(elastic->grow_fails);
}
