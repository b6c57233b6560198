/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The most objects that users were seen with at once, and an eighth more. Looks are made by each
 * update and when a get has failed, at most once a second, so a short peak between two updates is
 * missed unless a get failed in it. Where gets failed nobody knows how many users would have had:
 * then the advice is twice what there is, and to look again.
 *
 * What lies in slots is in everybody's reach and costs no objects, unless owners are not visited.
 * Ports' queues and rte_mempool's caches are users.
 */

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include <rte_lcore.h>

#include "base/counter.h"
#include "mag_stats.h"
#include "outside/advice.h"
#include "slot/thread.h"
#include "visits/steal.h"

#define MARGIN 8    /* one part in so many */
#define QUARTERS 8u /* all slots' two magazines are a quarter of a pool at most */
#define REASONS 7

struct advice {
	uint64_t objects, peak_out, peak_lcores, looks, failed, advised, magazines_want;
	const char *why[REASONS];
	char text[REASONS][RTE_TEL_MAX_STRING_LEN];
	unsigned int count;
};

static void __rte_format_printf(2, 3) reason(struct advice *advice, const char *format, ...)
{
	char *text = advice->text[advice->count];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(advice->text[0]), format, args);
	va_end(args);
	advice->why[advice->count++] = text;
}

static void
reach_advise(const struct mag_cache *cache, const struct mag_answer_ask *ask, struct advice *advice)
{
	uint64_t stranded;

	if (!cache->options.visit) {
		stranded = advice->peak_lcores;
		advice->advised += stranded;
		reason(advice, "+ %" PRIu64 " in lcores' magazines, which visit=0 leaves there",
		       stranded);
	}
	if (ask->pool_data == cache && cache->mempool_cache > 0)
		reason(advice,
		       "among them those in rte_mempool's caches of %u, now %" PRIu64
		       ": cache=0 frees these",
		       cache->mempool_cache, ask->in_caches);
}

static void
advise(const struct mag_cache *cache, const struct mag_answer_ask *ask, struct advice *advice)
{
	uint32_t rounds = MAG_STAT(cache->common.type), slots;

	slots = RTE_MAX(mag_thread_owners(), (uint32_t)rte_lcore_count());

	if (advice->failed > 0) {
		advice->advised = 2 * advice->objects;
		reason(advice,
		       "%" PRIu64 " gets failed with %" PRIu64
		       " objects out: how many more were wanted is not known",
		       advice->failed, advice->peak_out);
		reason(advice, "twice the objects of now; look again under the same load");
	} else {
		advice->advised = advice->peak_out + advice->peak_out / MARGIN;
		reason(advice, "%" PRIu64 " out at most, in %" PRIu64 " looks, and no get failed",
		       advice->peak_out, advice->looks);
		reason(advice, "+ an eighth of that, for peaks between looks");
	}
	reach_advise(cache, ask, advice);
	if (cache->pile != NULL) {
		advice->advised += cache->pile->size;
		reason(advice, "+ %u of the option reserve", cache->pile->size);
	}
	advice->magazines_want = (uint64_t)QUARTERS * rounds * slots;
	if (rounds > 0 && advice->advised < advice->magazines_want)
		reason(advice,
		       "with less than %" PRIu64 " magazines of %u for %u threads get smaller",
		       advice->magazines_want, rounds, slots);
}

void
mag_advice(struct mag_cache *cache, const struct mag_answer_ask *ask, struct rte_tel_data *data)
{
	struct advice advice = {.count = 0};

	if (!mag_answer_no_rest(ask->rest, data))
		return;
	mag_steal_note_peaks(cache);
	advice.objects = MAG_STAT(cache->region->objects);
	advice.peak_out = MAG_STAT(cache->peak_out);
	advice.peak_lcores = MAG_STAT(cache->peak_lcores);
	advice.looks = MAG_STAT(cache->looks);
	advice.failed = MAG_STAT(cache->common.failed_gets);
	advise(cache, ask, &advice);

	const struct mag_answer_row rows[] = {
		{"objects", advice.objects},
		{"advised", advice.advised},
		{"peak_out", advice.peak_out},
		{"peak_lcores", advice.peak_lcores},
		{"looks", advice.looks},
		{"failed_gets", advice.failed},
		{"magazines_want", advice.magazines_want},
	};

	rte_tel_data_start_dict(data);
	rte_tel_data_add_dict_string(data, "name", cache->name);
	mag_answer_rows(data, rows, RTE_DIM(rows));
	mag_answer_texts(data, "why", advice.why, advice.count);
}
