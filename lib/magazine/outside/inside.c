/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Figures are read without a lock, so they are of different moments while others work. An answer
 * that says where the objects are is made to add up: objects that were met twice count once, at the
 * place that is named first, and what was met nowhere is out.
 */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_lcore.h>

#include "base/counter.h"
#include "base/peer.h"
#include "base/process.h"
#include "mag_stats.h"
#include "outside/inside.h"
#include "slot/thread.h"
#include "visits/reserve.h"
#include "visits/sweep.h"

/* So many events fit an answer, with the largest numbers. */
#define EVENTS_MAX 100
/* Slabs that are looked at with the slab layer's lock held, for some 20 us. */
#define SLABS_MAX 256
/* Classes of partial slabs, by the share of their objects that is free. */
#define SHARES 10

#define COLUMN(type, field)                                                                        \
	{                                                                                          \
#field, offsetof(type, field), RTE_SIZEOF_FIELD(type, field)                       \
	}

/* Where the objects of a cache are. Together they are all of them. */
struct places {
	uint64_t objects; /* of the region */
	uint64_t out;     /* with users, and on their way */
	uint64_t lcores;  /* in magazines of slots */
	uint64_t depot;   /* in full magazines of the depots */
	uint64_t slabs;   /* in slabs, in segments of the region, and in the reserve */
	uint64_t reserve; /* in the latter alone */
	uint64_t caches;  /* of a pool: in rte_mempool's caches */
};

static uint64_t
at_most(uint64_t objects, uint64_t *left)
{
	objects = RTE_MIN(objects, *left);
	*left -= objects;
	return objects;
}

static void
places_of(const struct mag_cache *cache, const struct mag_answer_ask *ask, struct places *places)
{
	uint64_t left = MAG_STAT(cache->region->objects), lcores, depot = 0;
	uint64_t slabs = places->reserve = mag_reserve_objects(cache);
	struct mag_home *home;
	unsigned int part;

	lcores = mag_cache_in_lcores(cache);
	MAG_FOREACH_HOME(cache, part, home) {
		depot +=
			(uint64_t)mag_depot_total(&home->depot.full) * MAG_STAT(cache->common.type);
		slabs += mag_slab_available(&home->slab);
	}
	places->objects = left;
	places->caches = at_most(ask->pool_data == cache ? ask->in_caches : 0, &left);
	places->lcores = at_most(lcores, &left);
	places->depot = at_most(depot, &left);
	places->slabs = at_most(slabs, &left);
	places->out = left;
}

/* Objects that slots handed out and took back, and those that came from and went to the rest. */
struct flow {
	uint64_t gets, puts, in, out;
};

static void
flow_of(const struct mag_cache *cache, struct flow *flow)
{
	struct mag_slot_stats stats[MAG_SLOTS];
	struct mag_home *home;
	unsigned int i, part, n = mag_cache_slot_stats_get(cache, stats, MAG_SLOTS);

	*flow = (struct flow){0};
	for (i = 0; i < n; i++) {
		flow->gets += stats[i].allocs;
		flow->puts += stats[i].frees;
	}
	MAG_FOREACH_HOME(cache, part, home)
		for (i = 0; i < MAG_SLOTS; i++) {
			flow->in += MAG_STAT(home->slot[i].rounds_in);
			flow->out += MAG_STAT(home->slot[i].rounds_out);
		}
}

static void
add_places(struct rte_tel_data *data, const struct places *places)
{
	const struct mag_answer_row rows[] = {
		{"objects", places->objects}, {"out", places->out},     {"lcores", places->lcores},
		{"depot", places->depot},     {"slabs", places->slabs}, {"caches", places->caches},
		{"reserve", places->reserve},
	};

	mag_answer_rows(data, rows, RTE_DIM(rows));
}

void
mag_inside_info(struct mag_cache *cache, const struct mag_answer_ask *ask,
		struct rte_tel_data *data)
{
	struct places places;
	struct mag_cache_stats stats;
	struct flow flow;

	if (!mag_answer_no_rest(ask->rest, data))
		return;
	places_of(cache, ask, &places);
	mag_cache_stats_get(cache, &stats);
	flow_of(cache, &flow);

	const struct mag_answer_row rows[] = {
		{"pool", cache->flags & MAG_CACHE_POOL ? 1 : 0},
		{"rounds", stats.rounds},
		{"magazines_full", stats.depot_full},
		{"magazines_empty", stats.depot_empty},
		{"mempool_cache", stats.mempool_cache},
		{"gets", flow.gets},
		{"puts", flow.puts},
		{"lcores_in", flow.in},
		{"lcores_out", flow.out},
		{"slab_allocs", stats.slab_allocs},
		{"slab_frees", stats.slab_frees},
		{"failed_gets", stats.failed_gets},
		{"contention", stats.contention_total},
		{"steals", stats.steals},
		{"steals_denied", stats.steal_denied},
		{"resizes", stats.resizes},
		{"purges", stats.purges},
		{"reaps", stats.reaps},
		{"events", MAG_STAT(cache->events.next)},
	};

	rte_tel_data_start_dict(data);
	rte_tel_data_add_dict_string(data, "name", cache->name);
	add_places(data, &places);
	mag_answer_rows(data, rows, RTE_DIM(rows));
}

struct depot_row {
	int node;
	uint32_t rounds;
	uint32_t full, full_min, full_reapable;
	uint32_t empty, empty_min, empty_reapable;
	uint64_t full_taken, empty_taken, contention;
};

static const struct mag_answer_column depot_columns[] = {
	COLUMN(struct depot_row, rounds),      COLUMN(struct depot_row, full),
	COLUMN(struct depot_row, full_min),    COLUMN(struct depot_row, full_reapable),
	COLUMN(struct depot_row, full_taken),  COLUMN(struct depot_row, empty),
	COLUMN(struct depot_row, empty_min),   COLUMN(struct depot_row, empty_reapable),
	COLUMN(struct depot_row, empty_taken), COLUMN(struct depot_row, contention),
};

static void
depot_row(const struct mag_home *home, struct depot_row *row)
{
	struct mag_depot_head full = mag_depot_head(&home->depot.full);
	struct mag_depot_head empty = mag_depot_head(&home->depot.empty);

	*row = (struct depot_row){
		.node = home->node,
		.rounds = MAG_STAT(home->common->type),
		.full = full.total,
		.full_min = full.min,
		.full_reapable = RTE_MIN(MAG_STAT(home->depot.full.reaplimit), full.min),
		.full_taken = full.tag,
		.empty = empty.total,
		.empty_min = empty.min,
		.empty_reapable = RTE_MIN(MAG_STAT(home->depot.empty.reaplimit), empty.min),
		.empty_taken = empty.tag,
		.contention = mag_depot_contention(&home->depot),
	};
}

void
mag_inside_depot(struct mag_cache *cache, const struct mag_answer_ask *ask,
		 struct rte_tel_data *data)
{
	struct depot_row rows[MAG_PARTS_MAX];
	int nodes[MAG_PARTS_MAX];
	struct mag_home *home;
	unsigned int part;

	if (!mag_answer_no_rest(ask->rest, data))
		return;
	MAG_FOREACH_HOME(cache, part, home) {
		depot_row(home, &rows[part]);
		nodes[part] = rows[part].node;
	}
	rte_tel_data_start_dict(data);
	mag_answer_ints(data, "node", nodes, part);
	mag_answer_columns(data, depot_columns, RTE_DIM(depot_columns), rows, sizeof(rows[0]),
			   part);
}

/* Partial slabs of a home, by the tenth of their objects that is free; how many were looked at. */
static uint64_t
slab_shares(struct mag_home *home, uint64_t shares[SHARES])
{
	struct mag_slab_layer *layer = &home->slab;
	const struct mag_slab *slab;
	uint64_t looked = 0;
	uint32_t share;

	if (!mag_visitor_lock(home, &layer->lock))
		return 0;
	TAILQ_FOREACH(slab, &layer->partial, link) {
		if (looked++ == SLABS_MAX)
			break;
		share = (slab->free * SHARES - 1) / slab->segment->count;
		shares[RTE_MIN(share, SHARES - 1u)]++;
	}
	mag_lock_release(&layer->lock);
	return RTE_MIN(looked, (uint64_t)SLABS_MAX);
}

static const struct mag_answer_column share_columns[] = {
	{"partial_by_tenths_free", 0, sizeof(uint64_t)},
};

void
mag_inside_slabs(struct mag_cache *cache, const struct mag_answer_ask *ask,
		 struct rte_tel_data *data)
{
	uint64_t shares[SHARES] = {0}, looked = 0;
	struct mag_cache_stats stats;
	struct mag_home *home;
	unsigned int part;

	if (!mag_answer_no_rest(ask->rest, data))
		return;
	mag_cache_stats_get(cache, &stats);
	if ((cache->region->mode & MAG_REGION_PSEUDO) == 0)
		MAG_FOREACH_HOME(cache, part, home)
			looked += slab_shares(home, shares);

	const struct mag_answer_row rows[] = {
		{"slab_objects", stats.slab_objects}, {"full", stats.slabs_full},
		{"partial", stats.slabs_partial},     {"partial_looked_at", looked},
		{"created", stats.slabs_created},     {"destroyed", stats.slabs_destroyed},
		{"objects_in_slabs", stats.in_use},   {"objects_in_slabs_max", stats.in_use_max},
		{"table_size", stats.table_size},     {"rescales", stats.rescales},
	};

	rte_tel_data_start_dict(data);
	mag_answer_rows(data, rows, RTE_DIM(rows));
	mag_answer_columns(data, share_columns, RTE_DIM(share_columns), shares, sizeof(shares[0]),
			   SHARES);
}

/* Name of the thread that owns a slot; "" where /proc does not tell it. */
static void
thread_name(uint32_t slot, char name[RTE_TEL_MAX_STRING_LEN])
{
	uint32_t process = mag_thread_process(slot);
	pid_t pid = mag_thread_pid(slot), tid = mag_thread_tid(slot);
	char path[64];
	FILE *file;

	name[0] = '\0';
	if (pid == 0 || tid == 0 || !mag_peer_is_visible(process))
		return;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/comm",
		 process == mag_process_id ? getpid() : pid, tid);
	file = fopen(path, "re");
	if (file == NULL)
		return;
	if (fgets(name, RTE_TEL_MAX_STRING_LEN, file) == NULL)
		name[0] = '\0';
	fclose(file);
	name[strcspn(name, "\n")] = '\0';
}

static int
number_or_none(uint32_t number, uint32_t none)
{
	return number != none ? (int)number : -1;
}

void
mag_inside_owners(struct rte_tel_data *data, const uint32_t *slots, unsigned int n,
		  const struct mag_inside_names *names)
{
	int lcores[MAG_INSIDE_OWNERS], pids[MAG_INSIDE_OWNERS], tids[MAG_INSIDE_OWNERS];
	int numbers[MAG_INSIDE_OWNERS];
	char threads[MAG_INSIDE_OWNERS][RTE_TEL_MAX_STRING_LEN];
	const char *texts[MAG_INSIDE_OWNERS];
	unsigned int i;

	for (i = 0; i < n; i++) {
		lcores[i] = number_or_none(mag_thread_lcore(slots[i]), LCORE_ID_ANY);
		numbers[i] = (int)slots[i];
		pids[i] = number_or_none((uint32_t)mag_thread_pid(slots[i]), 0);
		tids[i] = number_or_none((uint32_t)mag_thread_tid(slots[i]), 0);
		thread_name(slots[i], threads[i]);
		texts[i] = threads[i];
	}
	mag_answer_ints(data, "lcore", lcores, n);
	if (names->slot != NULL)
		mag_answer_ints(data, names->slot, numbers, n);
	mag_answer_ints(data, names->pid, pids, n);
	mag_answer_ints(data, names->tid, tids, n);
	mag_answer_texts(data, names->thread, texts, n);
}

static const struct mag_answer_column lcore_columns[] = {
	COLUMN(struct mag_slot_stats, allocs),    COLUMN(struct mag_slot_stats, frees),
	COLUMN(struct mag_slot_stats, loaded),    COLUMN(struct mag_slot_stats, previous),
	COLUMN(struct mag_slot_stats, exchanges),
};

void
mag_inside_lcores(struct mag_cache *cache, const struct mag_answer_ask *ask,
		  struct rte_tel_data *data)
{
	struct mag_slot_stats stats[MAG_SLOTS];
	uint32_t slots[MAG_INSIDE_OWNERS] = {0};
	unsigned int i, n, used = 0, rows = 0;
	uint64_t from;

	if (!mag_answer_from(ask->rest, data, &from))
		return;
	n = mag_cache_slot_stats_get(cache, stats, MAG_SLOTS);
	for (i = 0; i < n; i++) {
		if ((stats[i].allocs == 0 && stats[i].frees == 0) || used++ < from)
			continue;
		if (rows < MAG_INSIDE_OWNERS) {
			slots[rows] = i < n - 1 ? i : MAG_SLOT_SHARED;
			stats[rows++] = stats[i];
		}
	}
	rte_tel_data_start_dict(data);
	mag_inside_owners(data, slots, rows,
			  &(struct mag_inside_names){"slot", "pid", "tid", "thread"});
	mag_answer_columns(data, lcore_columns, RTE_DIM(lcore_columns), stats, sizeof(stats[0]),
			   rows);
	if (used > from + rows)
		rte_tel_data_add_dict_uint(data, "next", from + rows);
}

struct event_row {
	uint64_t number, time_ms;
	uint32_t before, value;
};

static const struct mag_answer_column event_columns[] = {
	COLUMN(struct event_row, number),
	COLUMN(struct event_row, time_ms),
	COLUMN(struct event_row, before),
	COLUMN(struct event_row, value),
};

/* Of a moment so many ticks ago, ms since 1970. */
static uint64_t
time_of(uint64_t tsc)
{
	uint64_t now_tsc = rte_rdtsc(), ago = now_tsc > tsc ? now_tsc - tsc : 0;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000 -
	       ago / (rte_get_tsc_hz() / 1000);
}

void
mag_inside_events(struct mag_cache *cache, const struct mag_answer_ask *ask,
		  struct rte_tel_data *data)
{
	struct event_row rows[EVENTS_MAX];
	const char *names[EVENTS_MAX];
	int lcores[EVENTS_MAX];
	uint64_t from, first, next, number;
	struct mag_event event;
	unsigned int n = 0;

	if (!mag_answer_from(ask->rest, data, &from))
		return;
	mag_events_range(&cache->events, &first, &next);
	for (number = RTE_MAX(first, from); number < next && n < EVENTS_MAX; number++) {
		if (!mag_events_get(&cache->events, number, &event))
			continue;
		names[n] = mag_event_name(event.kind);
		lcores[n] = number_or_none(event.lcore, LCORE_ID_ANY);
		rows[n++] =
			(struct event_row){number, time_of(event.tsc), event.before, event.value};
	}
	rte_tel_data_start_dict(data);
	mag_answer_columns(data, event_columns, RTE_DIM(event_columns), rows, sizeof(rows[0]), n);
	mag_answer_texts(data, "event", names, n);
	mag_answer_ints(data, "lcore", lcores, n);
	rte_tel_data_add_dict_uint(data, "next", number);
}
