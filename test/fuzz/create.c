/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Regions and caches made with parameters that are good, but for one that may be anything, and
 * what the documentation says must come of them.
 */

#include <rte_bitops.h>
#include <rte_common.h>
#include <rte_errno.h>
#include <rte_lcore.h>

#include "calls.h"
#include "base/numa.h"
#include "process.h"

#define MODES_ELASTIC                                                                              \
	(MAG_REGION_PERSISTENT | MAG_REGION_MONOLITHIC | MAG_REGION_PHYSCONTIG |                   \
	 MAG_REGION_REDZONE | MAG_REGION_MEMTAG)
#define MODES_KNOWN                                                                                \
	(MODES_ELASTIC | MAG_REGION_SHAREOK | MAG_REGION_AUDIT | MAG_REGION_READONLY |             \
	 MAG_REGION_NOMAGAZINES)
#define FLAGS_KNOWN                                                                                \
	(MAG_CACHE_NOMAGAZINES | MAG_CACHE_DYNAMIC | MAG_CACHE_CLEARONFREE | MAG_CACHE_REAP_ALL)
#define CLEAR_MIN 128
#define CLEAR_MIN_OPTION 512
#define ALIGN_MAX (2u << 20)
#define OBJECTS_MAX (UINT64_C(1) << 40)
#define BYTES_MAX (UINT64_C(1) << 47)
/* Beyond these EAL, with what it was given, may have no memory for the records. */
#define OBJECTS_FEW 600
#define OBJECTS_MANY 100000
#define BYTES_MANY (1u << 20)
#define CLEARED_MAX (1u << 20)
#define RESERVE_MAX 64u
#define MIRROR_MANY 64
/* A segment's own records, with room to spare. */
#define SEGMENT_RECORDS 1024

static const char name_63[] = "012345678901234567890123456789012345678901234567890123456789012";
static const char name_64[] = "0123456789012345678901234567890123456789012345678901234567890123";
static const char *const wild_names[] = {NULL, "", name_63, name_64};
static const uint64_t wild[] = {0,
				1,
				7,
				24,
				48,
				4095,
				4097,
				65534,
				65535,
				UINT32_MAX / 2,
				UINT32_C(1) << 31,
				UINT32_MAX - 7,
				UINT32_MAX,
				UINT64_C(1) << 32,
				UINT64_C(1) << 40,
				(UINT64_C(1) << 40) + 1,
				UINT64_C(1) << 63,
				UINT64_MAX};

static uint64_t
any_wild(struct input *input)
{
	return wild[input_below(input, RTE_DIM(wild))];
}

#define any_of(input, ...)                                                                         \
	({                                                                                         \
		const uint32_t of_[] = {__VA_ARGS__};                                              \
		of_[input_below(input, RTE_DIM(of_))];                                             \
	})

static bool
name_is_good(const char *name)
{
	return name != NULL && *name != '\0' && strlen(name) < MAG_REGION_NAMESIZE;
}

/* What must come of a call: the errors that are due, and those that may come. */
struct due {
	bool fails;
	bool e2big, einval, enotsup, ebusy, eexist;
	bool may_einval, may_enomem;
};

static void
due_check(const struct due *due, bool made, const char *what)
{
	unsigned int lines = process_log_lines();
	bool enomem = due->may_enomem || fault_struck();

	if (made) {
		model_require(!due->fails, "%s was made of bad parameters", what);
		model_require(lines == 0, "%s: %s", what, process_log_line());
		return;
	}
	model_require(lines == 1, "%s: %u lines say that it failed", what, lines);
	model_require((rte_errno == EINVAL && (due->einval || due->may_einval)) ||
			      (rte_errno == E2BIG && due->e2big) ||
			      (rte_errno == ENOTSUP && due->enotsup) ||
			      (rte_errno == EBUSY && due->ebusy) ||
			      (rte_errno == EEXIST && due->eexist) ||
			      (rte_errno == ENOMEM && enomem),
		      "%s: errno %d: %s", what, rte_errno, process_log_line());
}

/* Regions */

static struct mag_region_params
region_params(struct input *input)
{
	bool elastic = input_byte(input) & 1;
	struct mag_region_params params = {
		.size = sizeof(params), .name = "region", .node = -(int)input_below(input, 2)};

	params.object_size = any_of(input, 8, 16, 24, 64, 100, 128, 136, 256, 512, 2048);
	if (input_seldom(input, 3))
		params.stride = params.object_size + 8 * input_below(input, 16);
	params.block = any_of(input, 0, 1, 2, 5, 16, 64);
	params.mode = input_byte(input) & (MAG_REGION_READONLY | MAG_REGION_NOMAGAZINES);
	if (input_seldom(input, 4))
		params.mirror = 1 + input_below(input, params.object_size < 64 ? 8 : 64);
	/* An audit's records of small objects take more memory than there is. */
	if (input_seldom(input, 4))
		params.mode |= params.object_size < 256 ? MAG_REGION_SHAREOK : MAG_REGION_AUDIT;
	if (!elastic)
		return params;
	params.objects = 1 + input_below(input, OBJECTS_FEW);
	params.align = any_of(input, 0, 0, 0, 8, 64, 256, 4096);
	params.segment_size = any_of(input, 0, 0, 4096, 65536);
	params.reserve = input_below(input, 4);
	if (input_seldom(input, 4))
		params.mode |= input_byte(input) & (MAG_REGION_PERSISTENT | MAG_REGION_MONOLITHIC);
	if (input_seldom(input, 4))
		params.mode |= MAG_REGION_REDZONE;
	return params;
}

/* A field of a parameter struct: where it is, and its bytes. */
struct field {
	size_t at, bytes;
};
#define FIELD(type, name)                                                                          \
	{                                                                                          \
		offsetof(struct type, name), sizeof(((struct type *)0)->name)                      \
	}

/* One of the fields gets a value that may be anything; field 0 is the name. */
static void
params_spoil(void *params, const struct field *fields, unsigned int count, struct input *input)
{
	unsigned int which = input_below(input, count);
	const char *name = wild_names[input_below(input, RTE_DIM(wild_names))];
	uint64_t value = any_wild(input);

	memcpy((char *)params + fields[which].at, which == 0 ? (void *)&name : &value,
	       fields[which].bytes);
}

static void
region_params_spoil(struct mag_region_params *params, struct input *input)
{
	static const struct field fields[] = {
		FIELD(mag_region_params, name),         FIELD(mag_region_params, object_size),
		FIELD(mag_region_params, stride),       FIELD(mag_region_params, block),
		FIELD(mag_region_params, node),         FIELD(mag_region_params, objects),
		FIELD(mag_region_params, align),        FIELD(mag_region_params, reserve),
		FIELD(mag_region_params, segment_size), FIELD(mag_region_params, mirror)};

	if (input_seldom(input, RTE_DIM(fields) + 1))
		params->mode = UINT32_C(1) << (any_wild(input) % 32);
	else
		params_spoil(params, fields, RTE_DIM(fields), input);
}

static bool
node_is_known(int node)
{
	for (unsigned int i = 0; i < rte_socket_count(); i++)
		if (rte_socket_id_by_idx(i) == node)
			return true;
	return node == -1;
}

static void
elastic_due(const struct mag_region_params *params, struct due *due)
{
	uint64_t stride = params->stride != 0 ? params->stride : params->object_size;
	uint64_t align = params->align != 0 ? params->align : 8, objects = params->objects;

	due->enotsup = params->mode & (MAG_REGION_PHYSCONTIG | MAG_REGION_MEMTAG);
	due->may_enomem |= objects > OBJECTS_MANY || stride > UINT32_MAX / objects;
	if (!RTE_IS_POWER_OF_2(align) || align > ALIGN_MAX || stride > UINT32_MAX / 2 ||
	    objects > OBJECTS_MAX || objects > BYTES_MAX / RTE_MAX(stride, UINT64_C(1)) ||
	    !node_is_known(params->node)) {
		due->einval = true;
		return;
	}
	align = RTE_MAX(align, UINT64_C(8));
	stride = RTE_ALIGN_CEIL(stride, align);
	if ((params->mode & MAG_REGION_NOMAGAZINES) == 0)
		objects += mag_magazine_max(RTE_ALIGN_CEIL((uint64_t)params->object_size, align)) /
			   (params->mode & MAG_REGION_MONOLITHIC || params->node >= 0 ?
				    mag_numa_nodes() :
				    1);
	if (params->mode & MAG_REGION_MONOLITHIC) {
		due->einval |= objects > MAG_REGION_BLOCK_MAX;
		return;
	}
	due->einval |= params->block != 0 && objects / params->block > UINT32_MAX;
	due->may_einval |= objects > UINT32_MAX;
	due->may_einval |= params->block == 0 && params->segment_size != 0 &&
			   params->segment_size < stride + align + SEGMENT_RECORDS;
}

static struct due
region_due(const struct mag_region_params *params)
{
	struct due due = {0};

	due.einval = !name_is_good(params->name) || params->object_size == 0 ||
		     (params->stride != 0 && params->stride < params->object_size) ||
		     params->mirror > 4096 || params->block > MAG_REGION_BLOCK_MAX ||
		     (params->mode & ~MODES_KNOWN) != 0 ||
		     (params->objects == 0 && (params->mode & MODES_ELASTIC) != 0);
	due.may_enomem = params->mirror > MIRROR_MANY || params->object_size > BYTES_MANY ||
			 params->mode & MAG_REGION_AUDIT;
	if (params->objects != 0 && params->object_size != 0)
		elastic_due(params, &due);
	due.fails = due.einval || due.enotsup;
	return due;
}

void
call_region_create(struct input *input)
{
	struct model_region *model = model_region_new();
	struct mag_region_params params;
	struct due due;

	if (model == NULL)
		return;
	params = region_params(input);
	while (input_seldom(input, 4))
		region_params_spoil(&params, input);
	/* More can be had, and takes a long time. */
	if (params.objects > OBJECTS_FEW || (params.mode & MAG_REGION_NOMAGAZINES) == 0)
		params.reserve = RTE_MIN(params.reserve, RESERVE_MAX);
	due = region_due(&params);
	rte_errno = 0;
	model->region = mag_region_create(&params);
	due_check(&due, model->region != NULL, "a region");
	if (model->region == NULL)
		return;
	model->elastic = params.objects != 0;
	model->mode = params.mode;
	model->stride = params.stride != 0 ? params.stride : params.object_size;
	model->object_size = params.object_size;
	model->mirror = params.mirror;
	model->persistent = params.mode & MAG_REGION_PERSISTENT;
	model->align = 1;
	if (model->elastic) {
		model->align = RTE_MAX(params.align, 8u);
		model->object_size = RTE_ALIGN_CEIL(params.object_size, model->align);
		model->stride = RTE_ALIGN_CEIL(model->stride, model->align);
	}
}

/* Mirror regions */

#define MODES_MIRROR                                                                               \
	(MAG_REGION_READONLY | MAG_REGION_PERSISTENT | MAG_REGION_PHYSCONTIG |                     \
	 MAG_REGION_REDZONE | MAG_REGION_MIRRORED)

static struct mag_region_params
mirror_params(struct input *input)
{
	struct mag_region_params params = {
		.size = sizeof(params), .name = "mirror", .node = -(int)input_below(input, 2)};

	params.object_size = any_of(input, 1, 8, 24, 64, 100, 512, 5000);
	if (input_seldom(input, 3))
		params.stride = params.object_size + 8 * input_below(input, 16);
	params.align = any_of(input, 0, 0, 8, 64, 4096);
	params.mode = input_byte(input) & MAG_REGION_READONLY;
	if (input_seldom(input, 4))
		params.mode |= MAG_REGION_PERSISTENT;
	if (input_seldom(input, 4))
		params.mode |= MAG_REGION_REDZONE | MAG_REGION_MIRRORED;
	return params;
}

static struct due
mirror_due(const struct mag_region_params *params, const struct model_region *first)
{
	uint64_t stride = params->stride != 0 ? params->stride : params->object_size;
	uint64_t align = params->align != 0 ? params->align : 8;
	struct mag_region_stats stats;
	struct due due = {0};

	mag_region_stats_get(first->region, &stats);
	due.enotsup = !first->elastic || params->mode & (MAG_REGION_PHYSCONTIG | MAG_REGION_MEMTAG);
	due.eexist = first->mirror != 0;
	due.ebusy = first->caches != 0;
	due.einval = !name_is_good(params->name) || params->object_size == 0 ||
		     stride < params->object_size || stride > UINT32_MAX / 2 ||
		     (params->mode & ~(MODES_MIRROR | MAG_REGION_MEMTAG)) != 0 ||
		     params->objects != 0 || params->block != 0 || params->segment_size != 0 ||
		     params->reserve != 0 || params->mirror != 0 || !RTE_IS_POWER_OF_2(align) ||
		     align > ALIGN_MAX || !node_is_known(params->node);
	/* Of all the objects that there may be once all lcores have come. */
	due.may_einval =
		stats.objects_max > OBJECTS_MAX / 2 ||
		stats.objects_max + OBJECTS_MANY > BYTES_MAX / RTE_MAX(stride, UINT64_C(1));
	due.may_enomem = stats.objects_max > OBJECTS_MANY || RTE_MAX(stride, align) > BYTES_MANY;
	due.fails = due.einval || due.enotsup || due.eexist || due.ebusy;
	return due;
}

void
call_region_mirror(struct input *input)
{
	struct model_region *model = any_region(input);
	struct mag_region_params params;
	struct mag_region *second;
	struct due due;

	if (model == NULL)
		return;
	params = mirror_params(input);
	while (input_seldom(input, 5))
		region_params_spoil(&params, input);
	due = mirror_due(&params, model);
	rte_errno = 0;
	second = mag_region_mirror_create(model->region, &params);
	due_check(&due, second != NULL, "a mirror region");
	if (second == NULL)
		return;
	model->second = second;
	model->mirror = RTE_ALIGN_CEIL(params.object_size, RTE_MAX(params.align, 8u));
	model->persistent |= (params.mode & MAG_REGION_PERSISTENT) != 0;
}

/* Caches */

static const char *const options[] = {NULL,
				      NULL,
				      NULL,
				      "",
				      "interval=1",
				      "visit=0",
				      "magazines=0",
				      "rounds=14",
				      "rounds=62,visit=0",
				      "guard=1",
				      "guard=1,rounds=14",
				      "guard=1,audit=0,magazines=0",
				      "audit=1",
				      "clear_min=512",
				      "clear_min=0,contention=0",
				      "rounds=14,",
				      "rounds=7",
				      "clear_min=-1",
				      "bogus=1",
				      "visit=2",
				      "interval=0",
				      "="};
/* From here on they are bad. */
#define OPTIONS_GOOD 16

#define INTRINSIC_OBJECTS 20
#define INTRINSIC_MAX (UINT64_C(1) << 30)

static struct mag_cache_params
cache_params(const struct model_region *region, struct input *input)
{
	struct mag_cache_params params = {
		.size = sizeof(params), .name = "cache", .region = region->region, .node = -1};
	uint8_t bits = input_byte(input);

	params.object_size = region->object_size;
	if (input_seldom(input, 4))
		params.object_size = 1 + input_below(input, RTE_MIN(region->object_size, 2048u));
	params.align = any_of(input, 0, 0, 0, 1, 8, 16, 64);
	params.flags = input_byte(input) & FLAGS_KNOWN;
	if (region->mode & MAG_REGION_NOMAGAZINES || bits & 1)
		params.flags |= MAG_CACHE_NOMAGAZINES;
	if (region->mode & MAG_REGION_READONLY || region->object_size > CLEARED_MAX)
		params.flags &= ~MAG_CACHE_CLEARONFREE;
	params.constructor = bits & 2 ? NULL : model_construct;
	params.destructor = bits & 4 ? NULL : model_destruct;
	params.release = bits & 8 ? NULL : model_reclaim;
	params.options = options[input_below(input, RTE_DIM(options))];
	return params;
}

static void
cache_params_spoil(struct mag_cache_params *params, struct input *input)
{
	static const struct field fields[] = {
		FIELD(mag_cache_params, name), FIELD(mag_cache_params, object_size),
		FIELD(mag_cache_params, align), FIELD(mag_cache_params, node)};

	if (input_seldom(input, RTE_DIM(fields) + 2))
		params->region = NULL;
	else if (input_seldom(input, RTE_DIM(fields) + 1))
		params->flags ^= UINT32_C(1) << (any_wild(input) % 32);
	else
		params_spoil(params, fields, RTE_DIM(fields), input);
}

static bool
option_is(const char *text, const char *key)
{
	return text != NULL && strstr(text, key) != NULL;
}

/* Do all objects lie so that the cache can align them? */
static bool
region_is_aligned(const struct model_region *region, uint64_t align)
{
	if (region->elastic)
		return region->align >= align;
	for (unsigned int i = 0; i < region->chunks; i++)
		for (uint32_t n = 0; n < region->chunk[i].count; n++)
			if (((uintptr_t)region->chunk[i].objects[n] & (align - 1)) != 0)
				return false;
	return true;
}

static void
options_due(const char *text, struct due *due)
{
	for (unsigned int i = OPTIONS_GOOD; i < RTE_DIM(options); i++)
		due->einval |= options[i] == text;
	/* Which magazines an object of a size can have is unit/magazine's. */
	due->may_einval |= option_is(text, "rounds=");
}

static struct due
cache_due(const struct mag_cache_params *params, const struct model_region *region)
{
	uint64_t align = params->align == 0 ? 8 : (params->align + 7) & ~UINT64_C(7);
	struct mag_region_stats stats;
	struct due due = {0};
	uint64_t span;

	mag_region_stats_get(region->region, &stats);
	span = (uint64_t)stats.segment_objects * region->stride;
	due.einval =
		!name_is_good(params->name) || params->object_size == 0 ||
		(params->flags & ~FLAGS_KNOWN) != 0 ||
		(params->flags & MAG_CACHE_CLEARONFREE && region->mode & MAG_REGION_READONLY) ||
		((params->flags & MAG_CACHE_NOMAGAZINES) == 0 &&
		 region->mode & MAG_REGION_NOMAGAZINES);
	options_due(params->options, &due);
	due.einval |=
		option_is(params->options, "audit=1") && (region->mode & MAG_REGION_AUDIT) == 0;
	if (!RTE_IS_POWER_OF_2(align) || align > span) {
		due.einval = true;
	} else {
		due.einval |= !region_is_aligned(region, align);
		due.e2big = params->object_size > region->object_size ||
			    RTE_ALIGN_CEIL(params->object_size, align) > region->object_size;
	}
	due.ebusy = region->caches == 2;
	due.may_enomem = stats.objects_max > OBJECTS_MANY;
	due.fails = due.einval || due.e2big || due.ebusy;
	return due;
}

static uint32_t
clear_min(const char *text)
{
	if (option_is(text, "clear_min=0,contention=0"))
		return 0;
	return option_is(text, "clear_min=512") ? CLEAR_MIN_OPTION : CLEAR_MIN;
}

static void
cache_describe(struct model_cache *model, struct model_region *region,
	       const struct mag_cache_params *params)
{
	size_t align = params->align == 0 ? 8 : RTE_ALIGN_CEIL(params->align, (size_t)8);

	model->magazines = (params->flags & MAG_CACHE_NOMAGAZINES) == 0 &&
			   !option_is(params->options, "magazines=0");
	model->asks = option_is(params->options, "visit=0");
	model->audited = region->mode & MAG_REGION_AUDIT;
	model->guarded = model->audited || option_is(params->options, "guard=1");
	model->clears = params->flags & MAG_CACHE_CLEARONFREE ||
			(region->object_size <= clear_min(params->options) &&
			 (region->mode & MAG_REGION_READONLY) == 0);
	model->reaps_all = params->flags & MAG_CACHE_REAP_ALL;
	model->constructs = params->constructor != NULL;
	model->destructs = params->destructor != NULL;
	model->reclaims = params->release != NULL;
	region->clears_unseen |= model->clears && !(model->constructs && model->destructs);
	model->object_size = params->object_size;
	model->chunk_size = RTE_ALIGN_CEIL(params->object_size, align);
	model->align = align;
}

/* Without a region: had, used a little, and gone again. */
static void
intrinsic_try(struct mag_cache_params *params)
{
	uint64_t align = params->align == 0 ? 8 : (params->align + 7) & ~UINT64_C(7);
	struct due due = {.may_enomem = true};
	struct mag_cache *cache;
	char *objects[INTRINSIC_OBJECTS];
	unsigned int n;

	params->constructor = NULL;
	params->destructor = NULL;
	params->release = NULL;
	due.einval = !name_is_good(params->name) || params->object_size == 0 ||
		     (params->flags & ~FLAGS_KNOWN) != 0 || !RTE_IS_POWER_OF_2(align) ||
		     align > INTRINSIC_MAX || params->object_size > INTRINSIC_MAX ||
		     option_is(params->options, "guard=1") || option_is(params->options, "audit=1");
	options_due(params->options, &due);
	due.fails = due.einval;
	rte_errno = 0;
	cache = mag_cache_create(params);
	due_check(&due, cache != NULL, "an intrinsic cache");
	if (cache == NULL)
		return;
	n = mag_cache_alloc_burst(cache, (void **)objects,
				  params->object_size > MODEL_BYTES ? 1 : INTRINSIC_OBJECTS);
	for (unsigned int i = 0; i < n; i++) {
		model_require((uintptr_t)objects[i] % align == 0, "not aligned");
		model_require(objects[i][0] == 0 && objects[i][params->object_size - 1] == 0,
			      "not zeroed");
		objects[i][0] = 1;
		objects[i][params->object_size - 1] = 1;
	}
	mag_cache_free_bulk(cache, (void **)objects, n);
	model_require(mag_cache_destroy(cache) == 0, "not destroyed");
}

void
call_cache_create(struct input *input)
{
	struct model_region *region = any_region(input);
	struct model_cache *model = model_cache_new();
	struct mag_cache_params params;
	struct due due;

	if (region == NULL || model == NULL)
		return;
	params = cache_params(region, input);
	while (input_seldom(input, 5))
		cache_params_spoil(&params, input);
	if (params.region == NULL) {
		intrinsic_try(&params);
		return;
	}
	params.arg = model;
	due = cache_due(&params, region);
	rte_errno = 0;
	model->cache = mag_cache_create(&params);
	due_check(&due, model->cache != NULL, "a cache");
	if (model->cache == NULL)
		return;
	model->region = region;
	region->caches++;
	cache_describe(model, region, &params);
}
