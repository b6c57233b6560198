/* SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <rte_branch_prediction.h>
#include <rte_common.h>
#include <rte_mbuf_core.h>

#include "base/log.h"
#include "base/poison.h"
#include "home/slab_objects.h"
#include "mag_memtag.h"
#include "stores/ledger.h"
#include "stores/snapshot.h"
#include "watch/audit.h"
#include "watch/check.h"
#include "watch/report.h"

/* What is behind an object while a user has it. */
#define ZONE 0xedu
/* Bytes that a report shows. */
#define SHOWN 8u

#define FIELD(name) #name, offsetof(struct rte_mbuf, name), RTE_SIZEOF_FIELD(struct rte_mbuf, name)

/* Of an mbuf. What lies where buf_iova does depends on how DPDK was built: `next` comes first. */
static const struct {
	const char *name;
	size_t offset, bytes;
} fields[] = {
	/* clang-format off */
	{FIELD(buf_addr)}, {FIELD(next)}, {"buf_iova", sizeof(void *), sizeof(rte_iova_t)},
	{FIELD(data_off)}, {FIELD(refcnt)}, {FIELD(nb_segs)}, {FIELD(port)}, {FIELD(ol_flags)},
	{FIELD(packet_type)}, {FIELD(pkt_len)}, {FIELD(data_len)}, {FIELD(vlan_tci)},
	{FIELD(hash)}, {FIELD(vlan_tci_outer)}, {FIELD(buf_len)}, {FIELD(pool)},
	{FIELD(tx_offload)}, {FIELD(shinfo)}, {FIELD(priv_size)}, {FIELD(timesync)},
	{FIELD(dynfield1)},
	/* clang-format on */
};

/* What differs. */
struct finding {
	int32_t at;     /* offset of the first byte */
	uint32_t bytes; /* how many do, of those that are looked at */
	uint32_t shown; /* from the first one on */
	uint8_t was[SHOWN], is[SHOWN];
};

/* n bytes of an object, from an offset on; was: as they should be, or NULL: all have this value. */
static void
compare(struct finding *found, const void *object, int32_t at, uint32_t n, const uint8_t *was,
	uint8_t value)
{
	const uint8_t *is = (const uint8_t *)object + at;
	uint32_t i;

	for (i = 0; i < n; i++) {
		if (was != NULL)
			value = was[i];
		if (is[i] != value && found->bytes++ == 0)
			found->at = at + (int32_t)i;
		if (found->bytes == 0 || found->shown == SHOWN ||
		    found->at + (int32_t)found->shown != at + (int32_t)i)
			continue;
		found->was[found->shown] = value;
		found->is[found->shown++] = is[i];
	}
}

static struct finding
find(const struct mag_region *region, const void *object, const struct mag_snapshot *snapshot)
{
	struct finding found = {.bytes = 0};
	const struct mag_span *span = region->span;
	const uint8_t *from = snapshot->copy;
	unsigned int i;

	if (snapshot->state != MAG_SNAPSHOT_COPIED)
		compare(&found, object, 0, region->object_size, NULL,
			snapshot->state == MAG_SNAPSHOT_FILLED ? MAG_SNAPSHOT_FILL : 0);
	else
		for (i = 0; i < MAG_SPANS; from += span[i++].bytes)
			compare(&found, object, span[i].offset, span[i].bytes, from, 0);
	return found;
}

/* Where an offset of an object is: "in" this. */
static const char *
place_name(const struct mag_region *region, int32_t at)
{
	unsigned int i;

	if (at < 0)
		return "front of it";
	if (!region->has_mbufs)
		return "it";
	for (i = 0; i < RTE_DIM(fields); i++)
		if ((size_t)at - fields[i].offset < fields[i].bytes)
			return fields[i].name;
	return at < (int32_t)sizeof(struct rte_mbuf) ? "it" : "data";
}

/* "were fe fe, are 00 00" */
static void
bytes_text(const struct finding *found, char *text, size_t size)
{
	uint32_t i;
	int n = snprintf(text, size, "were");

	for (i = 0; i < found->shown; i++)
		n += snprintf(text + n, size - (size_t)n, " %02x", found->was[i]);
	n += snprintf(text + n, size - (size_t)n, ", are");
	for (i = 0; i < found->shown; i++)
		n += snprintf(text + n, size - (size_t)n, " %02x", found->is[i]);
}

/* The object before this one in memory may have been written to beyond its end. */
static void
log_neighbour(const struct mag_cache *cache, const void *object)
{
	const struct mag_region *region = cache->region;
	uintptr_t address = mag_memtag_strip((uintptr_t)object) - region->stride;
	const void *before = (const void *)address;
	const struct mag_ledger_entry *entry;
	struct mag_slab_object found;
	struct mag_home *home;
	bool out;

	if (region->ledger != NULL) {
		entry = mag_ledger_find(region->ledger, before);
		out = entry != NULL && MAG_STAT(entry->object) & MAG_LEDGER_USER;
	} else {
		home = mag_cache_home_of(cache, before);
		out = home != NULL && mag_slab_find(&home->slab, before, &found) &&
		      found.bufctl->state == MAG_BUFCTL_USER;
	}
	if (!out)
		return;
	MAG_LOG(ERR, "  before it lies %p, which a user has: was it written to beyond its end?",
		before);
	if (region->audit != NULL)
		mag_audit_log_last(region, before);
}

static void
report_write(struct mag_cache *cache, const void *object, const struct mag_snapshot *snapshot)
{
	struct finding found = find(cache->region, object, snapshot);
	char bytes[80];
	uint64_t n;

	if (!mag_report_due(cache, &cache->bad_writes, &n))
		return;
	bytes_text(&found, bytes, sizeof(bytes));
	MAG_LOG(ERR,
		"%s \"%s\": %p was written to while it was free: %u bytes, the first at offset "
		"%d, in %s: %s: handed out as it is, %" PRIu64 " so far",
		mag_report_kind(cache), cache->name, object, found.bytes, found.at,
		place_name(cache->region, found.at), bytes, n);
	mag_audit_log_last(cache->region, object);
	log_neighbour(cache, object);
	mag_report_end(cache, "write to a free object");
}

/* Behind it are n bytes that should be as they were, or a zone. */
static void
report_overrun(struct mag_cache *cache, const void *object, uint32_t zone, const uint8_t *was)
{
	struct finding found = {.bytes = 0};
	char bytes[80];
	uint64_t n;

	compare(&found, object, (int32_t)cache->object_size, zone, was, ZONE);
	if (!mag_report_due(cache, &cache->bad_writes, &n))
		return;
	bytes_text(&found, bytes, sizeof(bytes));
	MAG_LOG(ERR,
		"%s \"%s\": %p was written to beyond its end: %u bytes, the first at offset %d of "
		"%u: %s: %" PRIu64 " so far",
		mag_report_kind(cache), cache->name, object, found.bytes, found.at,
		cache->object_size, bytes, n);
	mag_audit_log_free();
	mag_audit_log_last(cache->region, object);
	mag_report_end(cache, "write beyond an object");
}

/* Bytes behind an object that no user may write to, and this may. */
static uint32_t
zone_of(const struct mag_cache *cache)
{
	const struct mag_region *region = cache->region;
	uint32_t end = region->object_size;

	if (region->mode & MAG_REGION_READONLY)
		return 0;
	/* What is behind a tagged object has another tag, and needs no pattern. */
	if (region->elastic != NULL && (region->mode & MAG_REGION_MEMTAG) == 0)
		end = region->stride;
	return end - cache->object_size;
}

uint32_t
mag_check_wanted(const struct mag_cache *cache)
{
	uint32_t what = MAG_WATCH_STATE | MAG_WATCH_CHECK;

	if (cache->region->check == NULL || mag_poison_wanted())
		return 0;
	if ((cache->region->mode & MAG_REGION_READONLY) == 0 && cache->common.callbacks == NULL)
		what |= MAG_WATCH_FILL;
	return what;
}

/* What is behind an object from now on, while a user has it. */
static void
guard_end(const struct mag_cache *cache, void *object, struct mag_snapshot *snapshot, uint32_t zone)
{
	char *end = (char *)object + cache->object_size;

	if (zone > 0)
		memset(end, ZONE, zone);
	memcpy(snapshot->behind, end, cache->region->behind);
}

static void
look_at_end(struct mag_cache *cache, const void *object, const struct mag_snapshot *snapshot,
	    uint32_t zone)
{
	const char *end = (const char *)object + cache->object_size;

	if (zone > 0 && unlikely(!mag_snapshot_is_all(end, zone, ZONE)))
		report_overrun(cache, object, zone, NULL);
	if (unlikely(memcmp(snapshot->behind, end, cache->region->behind) != 0))
		report_overrun(cache, object, cache->region->behind, snapshot->behind);
}

void
mag_check_out(struct mag_cache *cache, void *const *objects, unsigned int n)
{
	uint32_t zone = zone_of(cache);
	struct mag_snapshot *snapshot;
	unsigned int i;

	for (i = 0; i < n; i++) {
		snapshot = mag_snapshot_of(cache->region, objects[i]);
		if (likely(snapshot->state != MAG_SNAPSHOT_NONE)) {
			if (unlikely(!mag_snapshot_holds(cache->region, objects[i], snapshot)))
				report_write(cache, objects[i], snapshot);
			/* Before a user writes to it. */
			MAG_STORE(&snapshot->state, MAG_SNAPSHOT_NONE, MAG_RELEASE);
		}
		guard_end(cache, objects[i], snapshot, zone);
	}
}

void
mag_check_back(struct mag_cache *cache, void *const *objects, unsigned int n, bool fill)
{
	uint32_t zone = zone_of(cache);
	struct mag_snapshot *snapshot;
	unsigned int i;

	for (i = 0; i < n; i++) {
		snapshot = mag_snapshot_of(cache->region, objects[i]);
		look_at_end(cache, objects[i], snapshot, zone);
		if (fill) {
			memset(objects[i], MAG_SNAPSHOT_FILL, cache->region->object_size);
			/* release: a process that dies before this has filled nothing */
			MAG_STORE(&snapshot->state, MAG_SNAPSHOT_FILLED, MAG_RELEASE);
		} else {
			mag_snapshot_take(cache->region, objects[i], snapshot);
		}
	}
}
