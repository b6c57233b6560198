/* SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>
#include <rte_cycles.h>

#include "base/counter.h"
#include "base/log.h"
#include "stores/samples.h"
#include "watch/audit.h"
#include "watch/leaks.h"

/* Stacks that are named in a report. */
#define REPORTED 16

static bool
is_same(const struct mag_leak *leak, const struct mag_transaction *last, pid_t elsewhere)
{
	return leak->elsewhere == elsewhere && leak->last.depth == last->depth &&
	       memcmp(leak->last.stack, last->stack, last->depth * sizeof(last->stack[0])) == 0;
}

/* One more object that is out, for so long; how many stacks there are now. */
static unsigned int
add(struct mag_leak *leaks, unsigned int n, const struct mag_transaction *last, pid_t elsewhere,
    uint64_t ms)
{
	unsigned int i = 0;

	while (i < n && !is_same(&leaks[i], last, elsewhere))
		i++;
	if (i == MAG_LEAKS_MAX)
		return n;
	if (i == n)
		leaks[n++] = (struct mag_leak){.last = *last, .elsewhere = elsewhere};
	leaks[i].objects++;
	if (ms > leaks[i].oldest_ms) {
		leaks[i].oldest_ms = ms;
		leaks[i].last = *last;
	}
	return n;
}

static int
more_first(const void *left, const void *right)
{
	const struct mag_leak *a = left, *b = right;

	return (a->objects < b->objects) - (a->objects > b->objects);
}

unsigned int
mag_leaks_find(const struct mag_cache *cache, struct mag_leak leaks[MAG_LEAKS_MAX], uint64_t *out)
{
	struct mag_samples *samples = cache->region->samples;
	uint64_t ms_hz = rte_get_tsc_hz() / 1000, now = rte_rdtsc(), then;
	struct mag_transaction last;
	struct mag_sample *sample;
	unsigned int n = 0;
	pid_t elsewhere;
	uint32_t i;

	*out = 0;
	for (i = 0; i <= samples->last; i++) {
		sample = mag_samples_at(samples, i);
		if (!mag_audit_last(cache->region, (void *)MAG_STAT(sample->object), &last,
				    &elsewhere) ||
		    last.kind != MAG_TRANSACTION_ALLOC)
			continue;
		*out += 1;
		/* It may have been had since. */
		then = RTE_MIN(MAG_STAT(sample->tsc), now);
		n = add(leaks, n, &last, elsewhere, (now - then) / ms_hz);
	}
	qsort(leaks, n, sizeof(leaks[0]), more_first);
	return n;
}

void
mag_leaks_report(const struct mag_cache *cache)
{
	struct mag_leak leaks[MAG_LEAKS_MAX];
	unsigned int i, n;
	uint64_t out;

	n = RTE_MIN(mag_leaks_find(cache, leaks, &out), (unsigned int)REPORTED);
	for (i = 0; i < n; i++) {
		MAG_LOG(ERR,
			"pool \"%s\": %" PRIu64 " sampled objects (one in %u) are out, of one "
			"stack, the oldest",
			cache->name, leaks[i].objects, cache->region->samples->one_in);
		mag_audit_log("allocated", &leaks[i].last, leaks[i].elsewhere);
	}
}
