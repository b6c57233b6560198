/* SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <string.h>

#include <rte_branch_prediction.h>
#include <rte_common.h>

#include "base/log.h"
#include "stores/samples.h"
#include "watch/audit.h"
#include "watch/report.h"
#include "watch/sampled.h"

/* Bytes of a free object are not what they were when it was freed. */
static void
written(struct mag_cache *cache, const struct mag_sample *sample, const char *object)
{
	const struct mag_samples *samples = cache->region->samples;
	uint32_t at = 0;
	uint64_t n;

	if (!mag_report_due(cache, &cache->bad_writes, &n))
		return;
	while (at + 1 < samples->bytes && object[at] == sample->copy[at])
		at++;
	MAG_LOG(ERR,
		"pool \"%s\": get of %p: it was written to while it was free: byte %u was 0x%02x "
		"and is 0x%02x, %" PRIu64 " so far",
		cache->name, (const void *)object, at, (unsigned char)sample->copy[at],
		(unsigned char)object[at], n);
	mag_audit_log_last(cache->region, object);
	mag_report_end(cache, "write to a free object");
}

static void
out(struct mag_cache *cache, void *object)
{
	struct mag_samples *samples = cache->region->samples;
	struct mag_sample *sample = mag_samples_find(samples, object, true);

	if (sample == NULL)
		return;
	/* Nobody else has it, so the record stays. */
	if (sample->record.last.kind == MAG_TRANSACTION_FREE &&
	    memcmp(sample->copy, object, samples->bytes) != 0)
		written(cache, sample, object);
	mag_audit_sample(sample, MAG_TRANSACTION_ALLOC);
}

/* False: it is free. */
static bool
back(const struct mag_cache *cache, const void *object)
{
	struct mag_samples *samples = cache->region->samples;
	struct mag_sample *sample = mag_samples_find(samples, object, false);

	if (sample == NULL)
		return true;
	if (!mag_audit_sample(sample, MAG_TRANSACTION_FREE))
		return false;
	memcpy(sample->copy, object, samples->bytes);
	return true;
}

void
mag_sampled_out(struct mag_cache *cache, void *const *objects, unsigned int n)
{
	const struct mag_samples *samples = cache->region->samples;
	unsigned int i;

	if (likely(!mag_samples_any(samples, objects, n)))
		return;
	for (i = 0; i < n; i++)
		if (mag_samples_has(samples, objects[i]))
			out(cache, objects[i]);
}

unsigned int
mag_sampled_back(const struct mag_cache *cache, void *const *objects, unsigned int n)
{
	const struct mag_samples *samples = cache->region->samples;
	unsigned int i;

	if (likely(!mag_samples_any(samples, objects, n)))
		return n;
	for (i = 0; i < n; i++)
		if (mag_samples_has(samples, objects[i]) && !back(cache, objects[i]))
			break;
	return i;
}
