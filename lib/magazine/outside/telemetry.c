/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Telemetry: /magazine/list, /magazine/stats,NAME, /magazine/lcores,NAME, /magazine/region,NAME,
 * /magazine/mirror,NAME,
 * /magazine/held,NAME, /magazine/reap[,NAME].
 */

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <rte_lcore.h>
#include <rte_telemetry.h>

#include "base/compat.h"
#include "cache/cache.h"
#include "mag_maint.h"
#include "mag_stats.h"
#include "watch/watch.h"

struct request {
	const char *name;
	struct rte_tel_data *data;
	void (*answer)(struct mag_cache *cache, struct rte_tel_data *data);
	int ret;
};

struct names {
	struct rte_tel_data *data;
	unsigned int count;
	unsigned int left; /* that have no place in the answer */
};

static void
list_visit(struct mag_cache *cache, void *arg)
{
	struct names *names = arg;

	/* The last place says how many there are more. */
	if (names->count == RTE_TEL_MAX_ARRAY_ENTRIES - 1 ||
	    rte_tel_data_add_array_string(names->data, cache->name) != 0)
		names->left++;
	else
		names->count++;
}

static int
handle_list(const char *command, const char *params, struct rte_tel_data *data)
{
	struct names names = {.data = data};
	char more[32];

	RTE_SET_USED(command);
	RTE_SET_USED(params);
	rte_tel_data_start_array(data, RTE_TEL_STRING_VAL);
	mag_cache_walk(list_visit, &names);
	if (names.left > 0) {
		snprintf(more, sizeof(more), "... and %u more", names.left);
		rte_tel_data_add_array_string(data, more);
	}
	return 0;
}

#define add_count rte_tel_data_add_dict_uint
#define add_array_count rte_tel_data_add_array_uint
#define COUNT_VAL RTE_TEL_UINT_VAL

struct row {
	const char *name;
	uint64_t value;
};

static void
add_rows(struct rte_tel_data *data, const char *name, const struct row *rows, unsigned int n)
{
	unsigned int i;

	rte_tel_data_start_dict(data);
	rte_tel_data_add_dict_string(data, "name", name);
	for (i = 0; i < n; i++)
		add_count(data, rows[i].name, rows[i].value);
}

/*
 * As text: readers of JSON that count in floating point would take ids of one process for the same.
 */
static void
add_id(struct rte_tel_data *data, const char *name, uint64_t id)
{
	char text[32];

	snprintf(text, sizeof(text), "0x%016" PRIx64, id);
	rte_tel_data_add_dict_string(data, name, text);
}

#define STATISTIC(name, field)                                                                     \
	{                                                                                          \
		name, offsetof(struct mag_cache_stats, field),                                     \
			RTE_SIZEOF_FIELD(struct mag_cache_stats, field)                            \
	}

static const struct {
	const char *name;
	size_t offset, size; /* of a field of 4 or 8 bytes */
} statistics[] = {
	STATISTIC("flags", flags),
	STATISTIC("region_mode", region_mode),
	STATISTIC("object_size", object_size),
	STATISTIC("chunk_size", chunk_size),
	STATISTIC("align", align),
	STATISTIC("region_align", region_align),
	STATISTIC("slab_objects", slab_objects),
	STATISTIC("slab_size", slab_size),
	STATISTIC("rounds", rounds),
	STATISTIC("objects", objects),
	STATISTIC("free", free),
	STATISTIC("in_lcores", in_lcores),
	STATISTIC("loaded", loaded),
	STATISTIC("previous", previous),
	STATISTIC("depot_full", depot_full),
	STATISTIC("depot_empty", depot_empty),
	STATISTIC("depot_full_taken", depot_full_taken),
	STATISTIC("depot_empty_taken", depot_empty_taken),
	STATISTIC("depot_contention", contention),
	STATISTIC("depot_contention_total", contention_total),
	STATISTIC("zeroes", zeroes),
	STATISTIC("resizes", resizes),
	STATISTIC("purges", purges),
	STATISTIC("reaps", reaps),
	STATISTIC("updates", updates),
	STATISTIC("slabs_created", slabs_created),
	STATISTIC("slabs_destroyed", slabs_destroyed),
	STATISTIC("slabs_partial", slabs_partial),
	STATISTIC("slabs_full", slabs_full),
	STATISTIC("slab_allocs", slab_allocs),
	STATISTIC("slab_frees", slab_frees),
	STATISTIC("slab_frees_no_magazine", slab_frees_no_magazine),
	STATISTIC("slab_fails", slab_fails),
	STATISTIC("alloc_fails", alloc_fails),
	STATISTIC("invalid_frees", invalid_frees),
	STATISTIC("in_use", in_use),
	STATISTIC("in_use_max", in_use_max),
	STATISTIC("rescales", rescales),
	STATISTIC("table_size", table_size),
	STATISTIC("steals", steals),
	STATISTIC("steals_denied", steal_denied),
	STATISTIC("visits_denied", visits_denied),
};

static void
add_stats(struct rte_tel_data *data, const struct mag_cache_stats *stats)
{
	unsigned int i;
	const void *field;

	rte_tel_data_start_dict(data);
	rte_tel_data_add_dict_string(data, "name", stats->name);
	for (i = 0; i < RTE_DIM(statistics); i++) {
		field = RTE_PTR_ADD(stats, statistics[i].offset);
		add_count(data, statistics[i].name,
			  statistics[i].size == sizeof(uint32_t) ? *(const uint32_t *)field :
								   *(const uint64_t *)field);
	}
	add_id(data, "id", stats->id);
	add_id(data, "region_id", stats->region_id);
}

/* The first cache of the name. */
static void
answer_visit(struct mag_cache *cache, void *arg)
{
	struct request *request = arg;

	if (request->ret == 0 || strcmp(cache->name, request->name) != 0)
		return;
	request->answer(cache, request->data);
	request->ret = 0;
}

static int
handle(const char *params, struct rte_tel_data *data,
       void (*visit)(struct mag_cache *cache, void *arg),
       void (*answer)(struct mag_cache *cache, struct rte_tel_data *data))
{
	struct request request = {.name = params, .data = data, .answer = answer, .ret = -EINVAL};

	if (params == NULL || *params == '\0')
		return -EINVAL;
	mag_cache_walk(visit, &request);
	return request.ret;
}

static void
answer_stats(struct mag_cache *cache, struct rte_tel_data *data)
{
	struct mag_cache_stats stats;

	mag_cache_stats_get(cache, &stats);
	add_stats(data, &stats);
	add_count(data, "mempool_cache", stats.mempool_cache);
}

static int
handle_stats(const char *command, const char *params, struct rte_tel_data *data)
{
	RTE_SET_USED(command);
	return handle(params, data, answer_visit, answer_stats);
}

static void
add_region(struct rte_tel_data *data, const struct mag_region *region)
{
	struct mag_region_stats stats;

	mag_region_stats_get(region, &stats);

	const struct row rows[] = {
		{"mode", stats.mode},
		{"elastic", region->elastic != NULL},
		{"objects", stats.objects},
		{"objects_max", stats.objects_max},
		{"objects_free", stats.objects_free},
		{"segments", stats.segments},
		{"segments_free", stats.segments_free},
		{"segments_max", stats.segments_max},
		{"segment_objects", stats.segment_objects},
		{"segment_bytes", stats.segment_bytes},
		{"memory", stats.memory},
		{"memory_free", stats.memory_free},
		{"wired", stats.wired},
		{"allocations", stats.allocations},
		{"frees", stats.frees},
		{"grown", stats.grown},
		{"trimmed", stats.trimmed},
		{"grow_fails", stats.grow_fails},
		{"mirrors", stats.mirrors},
	};

	add_rows(data, region->name, rows, RTE_DIM(rows));
	add_id(data, "id", stats.id);
}

static void
answer_region(struct mag_cache *cache, struct rte_tel_data *data)
{
	add_region(data, cache->region);
}

/* Nothing when there is none. */
static void
answer_mirror(struct mag_cache *cache, struct rte_tel_data *data)
{
	if (cache->region->second != NULL)
		add_region(data, cache->region->second);
	else
		rte_tel_data_start_dict(data);
}

static int
handle_mirror(const char *command, const char *params, struct rte_tel_data *data)
{
	RTE_SET_USED(command);
	return handle(params, data, answer_visit, answer_mirror);
}

static int
handle_region(const char *command, const char *params, struct rte_tel_data *data)
{
	RTE_SET_USED(command);
	return handle(params, data, answer_visit, answer_region);
}

/* As many as fit an answer. */
#define HELD_MAX 64

static void
add_held(struct rte_tel_data *object, const struct mag_cache *cache,
	 const struct mag_transaction *last)
{
	const struct row rows[] = {
		{"thread", last->thread},
		{"ms", last->time_ms},
	};
	unsigned int i;

	rte_tel_data_start_dict(object);
	for (i = 0; cache->region->audit != NULL && i < RTE_DIM(rows); i++)
		add_count(object, rows[i].name, rows[i].value);
	if (cache->region->audit != NULL)
		rte_tel_data_add_dict_int(object, "lcore",
					  last->lcore == LCORE_ID_ANY ? -1 : (int)last->lcore);
}

static void
answer_held(struct mag_cache *cache, struct rte_tel_data *data)
{
	struct mag_transaction last;
	struct rte_tel_data *object;
	void *held[HELD_MAX];
	unsigned int i, n;
	char name[32];

	if (mag_cache_held(cache, held, HELD_MAX, &n) != 0) {
		rte_tel_data_string(data, "not known: needs option guard=1 or audit=1");
		return;
	}
	rte_tel_data_start_dict(data);
	for (i = 0; i < n && (object = rte_tel_data_alloc()) != NULL; i++) {
		last = (struct mag_transaction){.lcore = LCORE_ID_ANY};
		mag_cache_transaction(cache, held[i], &last);
		add_held(object, cache, &last);
		snprintf(name, sizeof(name), "%p", held[i]);
		rte_tel_data_add_dict_container(data, name, object, 0);
	}
}

static int
handle_held(const char *command, const char *params, struct rte_tel_data *data)
{
	RTE_SET_USED(command);
	return handle(params, data, answer_visit, answer_held);
}

struct column {
	const char *name;
	size_t offset; /* in struct mag_slot_stats */
	size_t size;
};

/* clang-format off */
#define COLUMN(field)                                                                              \
	{#field, offsetof(struct mag_slot_stats, field),                                           \
	 sizeof(((struct mag_slot_stats *)NULL)->field)}
/* clang-format on */

static const struct column columns[] = {
	COLUMN(allocs), COLUMN(frees), COLUMN(loaded), COLUMN(previous), COLUMN(exchanges),
};

static uint64_t
column_value(const struct column *column, const struct mag_slot_stats *stats)
{
	const void *field = RTE_PTR_ADD(stats, column->offset);

	return column->size == sizeof(uint64_t) ? *(const uint64_t *)field :
						  *(const uint32_t *)field;
}

/* A dictionary with an array per column is what all versions of DPDK can answer. */
static void
add_columns(struct rte_tel_data *data, const struct mag_slot_stats *rows, unsigned int n)
{
	struct rte_tel_data *array;
	unsigned int c, i;

	for (c = 0; c < RTE_DIM(columns); c++) {
		array = rte_tel_data_alloc();
		if (array == NULL)
			return;
		rte_tel_data_start_array(array, COUNT_VAL);
		for (i = 0; i < n; i++)
			add_array_count(array, column_value(&columns[c], &rows[i]));
		rte_tel_data_add_dict_container(data, columns[c].name, array, 0);
	}
}

static void
add_lcores(struct rte_tel_data *data, const struct mag_slot_stats *rows, unsigned int n)
{
	struct rte_tel_data *array = rte_tel_data_alloc();
	unsigned int i;

	if (array == NULL)
		return;
	rte_tel_data_start_array(array, RTE_TEL_INT_VAL);
	for (i = 0; i < n; i++)
		rte_tel_data_add_array_int(array,
					   rows[i].lcore == LCORE_ID_ANY ? -1 : (int)rows[i].lcore);
	rte_tel_data_add_dict_container(data, "lcore", array, 0);
}

static void
answer_lcores(struct mag_cache *cache, struct rte_tel_data *data)
{
	struct mag_slot_stats stats[MAG_SLOTS];
	unsigned int i, n, rows = 0;

	n = mag_cache_slot_stats_get(cache, stats, MAG_SLOTS);
	for (i = 0; i < n; i++)
		if (stats[i].allocs != 0 || stats[i].frees != 0)
			stats[rows++] = stats[i];
	rte_tel_data_start_dict(data);
	add_lcores(data, stats, rows);
	add_columns(data, stats, rows);
}

static int
handle_lcores(const char *command, const char *params, struct rte_tel_data *data)
{
	RTE_SET_USED(command);
	return handle(params, data, answer_visit, answer_lcores);
}

/* All caches of the name. */
static void
reap_visit(struct mag_cache *cache, void *arg)
{
	struct request *request = arg;

	if (strcmp(cache->name, request->name) != 0)
		return;
	request->ret = mag_cache_reap_now(cache, false);
	rte_tel_data_string(request->data, request->ret == 0 ? "done" : "busy");
	request->ret = 0;
}

static int
handle_reap(const char *command, const char *params, struct rte_tel_data *data)
{
	RTE_SET_USED(command);
	if (params != NULL && *params != '\0')
		return handle(params, data, reap_visit, NULL);
	mag_reap_request();
	rte_tel_data_string(data, "requested");
	return 0;
}

RTE_INIT(mag_telemetry_load)
{
	rte_telemetry_register_cmd("/magazine/list", handle_list,
				   "Names of all caches. Takes no parameters");
	rte_telemetry_register_cmd("/magazine/stats", handle_stats,
				   "Counters of a cache. Parameters: name");
	rte_telemetry_register_cmd("/magazine/lcores", handle_lcores,
				   "Counters of a cache by lcore. Parameters: name");
	rte_telemetry_register_cmd(
		"/magazine/region", handle_region,
		"Figures of the region of a cache. Parameters: name of the cache");
	rte_telemetry_register_cmd(
		"/magazine/mirror", handle_mirror,
		"Figures of the mirror region that the region of a cache has, or nothing. "
		"Parameters: name of the cache");
	rte_telemetry_register_cmd(
		"/magazine/held", handle_held,
		"Objects of a guarded cache that are with users, and who has them "
		"if it is audited. Parameters: name");
	rte_telemetry_register_cmd(
		"/magazine/reap", handle_reap,
		"Reap all caches of a name now, or request it for all. Parameters: name");
}
