/* SPDX-License-Identifier: BSD-3-Clause */
#include <execinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_mempool.h>

#include "base/counter.h"
#include "outside/inside.h"
#include "outside/who.h"
#include "slot/thread.h"
#include "stores/samples.h"
#include "visits/perimeter.h"
#include "watch/holders.h"
#include "watch/leaks.h"
#include "watch/watch.h"

#define ROWS_MAX MAG_INSIDE_OWNERS

static bool
is_known(const struct mag_cache *cache)
{
	return (mag_watched(cache) & MAG_WATCH_HOLDERS) != 0;
}

void
mag_who_look(struct mag_cache *cache)
{
	if (!is_known(cache) || !mag_perimeter_enter(cache, false))
		return;
	mag_holders_look(cache, mag_holders_now());
	mag_perimeter_leave(cache);
}

/* What lies in rte_mempool's own caches is out as far as the driver knows, and yet free. */
static void
look_at_caches(const struct mag_cache *cache, const struct rte_mempool *pool, uint64_t now)
{
	const struct rte_mempool_cache *its;
	unsigned int i;

	for (i = 0; pool != NULL && pool->cache_size > 0 && i < RTE_MAX_LCORE; i++) {
		its = &pool->local_cache[i];
		mag_holders_see(cache, its->objs, RTE_MIN(its->len, (uint32_t)RTE_DIM(its->objs)),
				now);
	}
}

struct row {
	uint32_t slot;
	struct mag_holder holder;
};

static void
add_rows(struct rte_tel_data *data, const struct row *rows, unsigned int n)
{
	static const struct mag_answer_column columns[] = {
		{"objects", offsetof(struct row, holder.objects), sizeof(uint64_t)},
		{"oldest_ms", offsetof(struct row, holder.oldest_ms), sizeof(uint64_t)},
	};
	uint32_t slots[ROWS_MAX];
	unsigned int i;

	for (i = 0; i < n; i++)
		slots[i] = rows[i].slot;
	mag_inside_owners(data, slots, n,
			  &(struct mag_inside_names){NULL, "process", "thread", "name"});
	mag_answer_columns(data, columns, RTE_DIM(columns), rows, sizeof(rows[0]), n);
}

/* The oldest first; those that there is no room for are summed up with the last. */
static unsigned int
rows_of(const struct mag_holder holders[MAG_SLOTS + 1], struct row rows[ROWS_MAX])
{
	unsigned int i, at, n = 0;
	struct row row;

	for (i = 0; i <= MAG_HOLDER_UNKNOWN; i++) {
		if (holders[i].objects == 0)
			continue;
		row = (struct row){i, holders[i]};
		for (at = n; at > 0 && rows[at - 1].holder.oldest_ms < row.holder.oldest_ms; at--)
			if (at < ROWS_MAX)
				rows[at] = rows[at - 1];
		if (at < ROWS_MAX)
			rows[at] = row;
		n = RTE_MIN(n + 1, (unsigned int)ROWS_MAX);
	}
	return n;
}

void
mag_who_holders(struct mag_cache *cache, const struct mag_answer_ask *ask,
		struct rte_tel_data *data)
{
	struct mag_holder holders[MAG_SLOTS + 1];
	struct row rows[ROWS_MAX];
	uint64_t now = mag_holders_now(), out = 0;
	unsigned int i, n;

	if (!mag_answer_no_rest(ask->rest, data))
		return;
	if (!is_known(cache)) {
		mag_answer_error(data, "\"%.*s\": not known: needs option holders=1, of a pool",
				 MAG_ANSWER_CLIP, cache->name);
		return;
	}
	if (!mag_perimeter_enter(cache, false)) {
		mag_answer_error(data, "\"%.*s\": is being resized or purged: ask again",
				 MAG_ANSWER_CLIP, cache->name);
		return;
	}
	look_at_caches(cache, ask->pool_data == cache ? ask->pool : NULL, now);
	mag_holders_look(cache, now);
	mag_holders_count(cache, now, holders);
	mag_perimeter_leave(cache);
	for (i = 0; i <= MAG_HOLDER_UNKNOWN; i++)
		out += holders[i].objects;
	n = rows_of(holders, rows);
	rte_tel_data_start_dict(data);
	mag_answer_rows(data, &(struct mag_answer_row){"out", out}, 1);
	add_rows(data, rows, n);
}

/* Stacks of an answer: as many as fit, with the longest names. */
#define STACKS_MAX 6

/* A column: the stack of one row. */
static void
add_stack(struct rte_tel_data *data, unsigned int row, const struct mag_leak *leak)
{
	char **names = leak->elsewhere == 0 ?
			       backtrace_symbols(leak->last.stack, (int)leak->last.depth) :
			       NULL;
	char numbers[MAG_TRANSACTION_DEPTH][24], name[16];
	const char *texts[MAG_TRANSACTION_DEPTH], *folder;
	uint32_t i;

	for (i = 0; i < leak->last.depth; i++) {
		snprintf(numbers[i], sizeof(numbers[i]), "%p", leak->last.stack[i]);
		texts[i] = names != NULL ? names[i] : numbers[i];
		folder = strrchr(texts[i], '/');
		texts[i] = folder != NULL ? folder + 1 : texts[i];
	}
	snprintf(name, sizeof(name), "stack_%u", row);
	mag_answer_texts(data, name, texts, leak->last.depth);
	free(names);
}

void
mag_who_leaks(struct mag_cache *cache, const struct mag_answer_ask *ask, struct rte_tel_data *data)
{
	static const struct mag_answer_column columns[] = {
		{"objects", offsetof(struct mag_leak, objects), sizeof(uint64_t)},
		{"oldest_ms", offsetof(struct mag_leak, oldest_ms), sizeof(uint64_t)},
		{"process", offsetof(struct mag_leak, elsewhere), sizeof(uint32_t)},
		{"thread", offsetof(struct mag_leak, last.thread), sizeof(uint32_t)},
	};
	const struct mag_samples *samples = cache->region->samples;
	struct mag_leak leaks[MAG_LEAKS_MAX];
	unsigned int i, n;
	uint64_t out;

	if (!mag_answer_no_rest(ask->rest, data))
		return;
	if (samples == NULL) {
		mag_answer_error(data, "\"%.*s\": not known: needs option audit=1/N, of a pool",
				 MAG_ANSWER_CLIP, cache->name);
		return;
	}
	n = mag_leaks_find(cache, leaks, &out);

	const struct mag_answer_row rows[] = {
		{"one_in", samples->one_in},
		{"out", out},
		{"bad_writes", MAG_STAT(cache->bad_writes)},
		{"stacks", n},
	};

	n = RTE_MIN(n, (unsigned int)STACKS_MAX);
	rte_tel_data_start_dict(data);
	mag_answer_rows(data, rows, RTE_DIM(rows));
	mag_answer_columns(data, columns, RTE_DIM(columns), leaks, sizeof(leaks[0]), n);
	for (i = 0; i < n; i++)
		add_stack(data, i, &leaks[i]);
}
