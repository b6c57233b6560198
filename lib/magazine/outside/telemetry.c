/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Telemetry: the commands below /magazine, and the answers of those that tell a public struct. What
 * a cache has inside is told by inside.c; what can be ordered is done by orders.c.
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
#include "outside/advice.h"
#include "outside/answer.h"
#include "outside/inside.h"
#include "outside/orders.h"
#include "outside/who.h"
#include "watch/watch.h"

/* Characters of names that fit an answer of 16 KiB, with what is around them. */
#define LIST_CHARACTERS 15000

struct names {
	struct rte_tel_data *data;
	uint64_t skip; /* that were in an answer before */
	unsigned int count;
	unsigned int left; /* that have no place in the answer */
	size_t characters;
};

static void
list_visit(struct mag_cache *cache, void *arg)
{
	struct names *names = arg;

	if (names->skip > 0) {
		names->skip--;
		return;
	}
	names->characters += strlen(cache->name) + strlen("\"\",");
	/* The last place says how many there are more. */
	if (names->count == RTE_TEL_MAX_ARRAY_ENTRIES - 1 || names->characters > LIST_CHARACTERS ||
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
	if (!mag_answer_from(params, data, &names.skip))
		return 0;
	rte_tel_data_start_array(data, RTE_TEL_STRING_VAL);
	mag_cache_walk(list_visit, &names);
	if (names.left > 0) {
		snprintf(more, sizeof(more), "... and %u more", names.left);
		rte_tel_data_add_array_string(data, more);
	}
	return 0;
}

#define STATISTIC(name, field)                                                                     \
	{                                                                                          \
		name, offsetof(struct mag_cache_stats, field),                                     \
			RTE_SIZEOF_FIELD(struct mag_cache_stats, field)                            \
	}

static const struct mag_answer_column statistics[] = {
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
	STATISTIC("failed_gets", failed_gets),
	STATISTIC("bad_writes", bad_writes),
};

static void
add_stats(struct rte_tel_data *data, const struct mag_cache_stats *stats)
{
	unsigned int i;

	rte_tel_data_start_dict(data);
	rte_tel_data_add_dict_string(data, "name", stats->name);
	for (i = 0; i < RTE_DIM(statistics); i++)
		rte_tel_data_add_dict_uint(data, statistics[i].name,
					   mag_answer_field(&statistics[i], stats));
	mag_answer_id(data, "id", stats->id);
	mag_answer_id(data, "region_id", stats->region_id);
}

static void
answer_stats(struct mag_cache *cache, const struct mag_answer_ask *ask, struct rte_tel_data *data)
{
	struct mag_cache_stats stats;

	if (!mag_answer_no_rest(ask->rest, data))
		return;
	mag_cache_stats_get(cache, &stats);
	add_stats(data, &stats);
	rte_tel_data_add_dict_uint(data, "mempool_cache", stats.mempool_cache);
}

static void
add_region(struct rte_tel_data *data, const struct mag_region *region)
{
	struct mag_region_stats stats;

	mag_region_stats_get(region, &stats);

	const struct mag_answer_row rows[] = {
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

	rte_tel_data_start_dict(data);
	rte_tel_data_add_dict_string(data, "name", region->name);
	mag_answer_rows(data, rows, RTE_DIM(rows));
	mag_answer_id(data, "id", stats.id);
}

static void
answer_region(struct mag_cache *cache, const struct mag_answer_ask *ask, struct rte_tel_data *data)
{
	if (mag_answer_no_rest(ask->rest, data))
		add_region(data, cache->region);
}

/* Nothing when there is none. */
static void
answer_mirror(struct mag_cache *cache, const struct mag_answer_ask *ask, struct rte_tel_data *data)
{
	if (!mag_answer_no_rest(ask->rest, data))
		return;
	if (cache->region->second != NULL)
		add_region(data, cache->region->second);
	else
		rte_tel_data_start_dict(data);
}

/* As many as fit an answer. */
#define HELD_MAX 64

static void
add_held(struct rte_tel_data *object, const struct mag_cache *cache,
	 const struct mag_transaction *last)
{
	const struct mag_answer_row rows[] = {
		{"thread", last->thread},
		{"ms", last->time_ms},
	};
	unsigned int i;

	rte_tel_data_start_dict(object);
	for (i = 0; cache->region->audit != NULL && i < RTE_DIM(rows); i++)
		rte_tel_data_add_dict_uint(object, rows[i].name, rows[i].value);
	if (cache->region->audit != NULL)
		rte_tel_data_add_dict_int(object, "lcore",
					  last->lcore == LCORE_ID_ANY ? -1 : (int)last->lcore);
}

static void
answer_held(struct mag_cache *cache, const struct mag_answer_ask *ask, struct rte_tel_data *data)
{
	struct mag_transaction last;
	struct rte_tel_data *object;
	void *held[HELD_MAX];
	unsigned int i, n;
	char name[32];

	if (!mag_answer_no_rest(ask->rest, data))
		return;
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

/* All caches of the name; without one, a request to maintenance for all caches. */
static int
handle_reap(const char *command, const char *params, struct rte_tel_data *data)
{
	RTE_SET_USED(command);
	if (params != NULL && *params != '\0') {
		mag_answer_about_all(params, mag_orders_reap, data);
		return 0;
	}
	mag_reap_request();
	rte_tel_data_string(data, "requested");
	return 0;
}

static const struct {
	const char *command;
	mag_answer_t answer;
	const char *help;
} about_caches[] = {
	{"/magazine/stats", answer_stats, "Counters of a cache. Parameters: name"},
	{"/magazine/info", mag_inside_info,
	 "Where the objects of a cache are, and what was done with them. Parameters: name"},
	{"/magazine/lcores", mag_inside_lcores,
	 "Counters of a cache by lcore, with process and thread. Parameters: name[,first row]"},
	{"/magazine/depot", mag_inside_depot,
	 "Magazines, working sets and contention of a cache by node. Parameters: name"},
	{"/magazine/slabs", mag_inside_slabs,
	 "How full the slabs of a cache are. Parameters: name"},
	{"/magazine/events", mag_inside_events,
	 "What happened to a cache lately. Parameters: name[,number of the first event]"},
	{"/magazine/region", answer_region,
	 "Figures of the region of a cache. Parameters: name of the cache"},
	{"/magazine/mirror", answer_mirror,
	 "Figures of the mirror region that the region of a cache has, or nothing. "
	 "Parameters: name of the cache"},
	{"/magazine/held", answer_held,
	 "Objects of a guarded cache that are with users, and who has them if it is audited. "
	 "Parameters: name"},
	{"/magazine/advise", mag_advice,
	 "How many objects a pool has to have, and why. Parameters: name"},
	{"/magazine/holders", mag_who_holders,
	 "Objects of a pool that are out, by the thread that drew them last. Parameters: name"},
	{"/magazine/leaks", mag_who_leaks,
	 "Sampled objects of a pool that are out, by the stack that allocated them. "
	 "Parameters: name"},
	{"/magazine/purge", mag_orders_purge,
	 "Give back all magazines of a cache now. Parameters: name"},
	{"/magazine/set", mag_orders_set,
	 "Change an option of a cache: rounds, interval, contention or pressure. "
	 "Parameters: name,key,value"},
};

static int
handle_about(const char *command, const char *params, struct rte_tel_data *data)
{
	unsigned int i;

	for (i = 0; i < RTE_DIM(about_caches); i++)
		if (strcmp(command, about_caches[i].command) == 0)
			mag_answer_about(params, about_caches[i].answer, data);
	return 0;
}

RTE_INIT(mag_telemetry_load)
{
	unsigned int i;

	rte_telemetry_register_cmd("/magazine/list", handle_list,
				   "Names of all caches. Parameters: [number of the first one]");
	rte_telemetry_register_cmd(
		"/magazine/reap", handle_reap,
		"Reap all caches of a name now, or request it for all. Parameters: name");
	for (i = 0; i < RTE_DIM(about_caches); i++)
		rte_telemetry_register_cmd(about_caches[i].command, handle_about,
					   about_caches[i].help);
}
