/* SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <rte_branch_prediction.h>

#include "base/log.h"
#include "base/memtag.h"
#include "base/poison.h"
#include "home/slab_objects.h"
#include "mag_memtag.h"
#include "watch/audit.h"
#include "watch/check.h"
#include "watch/guard.h"
#include "watch/holders.h"
#include "watch/leaks.h"
#include "watch/report.h"
#include "watch/sampled.h"
#include "watch/watch.h"

/* Objects that are looked at before the good ones are given back. */
#define BATCH 64
/* Objects that are named in a report of those that are out. */
#define HELD_MAX 16
/* What is done for each object beside its state. Last is the audit: its stack begins above it. */
#define EACH (MAG_WATCH_CHECK | MAG_WATCH_POISON | MAG_WATCH_AUDIT)

uint32_t
mag_watch_wanted(const struct mag_cache *cache)
{
	uint32_t what = 0;

	if (cache->region->mode & MAG_REGION_PSEUDO)
		return 0;
	if (cache->options.guard != MAG_GUARD_OFF)
		what |= MAG_WATCH_STATE;
	if (cache->region->audit != NULL)
		what |= MAG_WATCH_STATE | MAG_WATCH_AUDIT;
	if (cache->region->samples != NULL)
		what |= MAG_WATCH_SAMPLE;
	if (cache->options.holders && cache->region->ledger != NULL)
		what |= MAG_WATCH_HOLDERS;
	if (mag_poison_wanted())
		what |= MAG_WATCH_POISON;
	return what | mag_check_wanted(cache);
}

void
mag_watch_home(struct mag_home *home)
{
	unsigned int i;

	for (i = 0; i < MAG_SLOT_SHARED; i++)
		mag_bias_announce(&home->slot[i], MAG_BIAS_WATCHED);
}

void
mag_watch(struct mag_cache *cache, uint32_t what)
{
	struct mag_home *home;
	unsigned int part;

	if (what == 0)
		return;
	atomic_fetch_or_explicit(&cache->common.watch, what, memory_order_relaxed);
	if (what == MAG_WATCH_HOLDERS)
		return;
	/* Pairs with the fence in homes_publish(): this sees a new home, or that the bit. */
	atomic_thread_fence(memory_order_seq_cst);
	MAG_FOREACH_HOME(cache, part, home)
		mag_watch_home(home);
}

/* What lies between two objects, and behind the last one, is of none. */
static void
inside_text(const struct mag_cache *cache, const void *object, const void *of, char *text,
	    size_t size)
{
	size_t at = mag_memtag_strip((uintptr_t)object) - (uintptr_t)of;

	if (at < cache->object_size)
		snprintf(text, size, "that is %zu bytes inside of object %p", at, of);
	else
		snprintf(text, size, "that is %zu bytes behind the end of object %p",
			 at - cache->object_size, of);
}

static void
verdict_text(const struct mag_cache *cache, enum mag_slab_verdict verdict, const void *object,
	     const struct mag_slab_object *found, char *text, size_t size)
{
	if (verdict == MAG_SLAB_INSIDE)
		inside_text(cache, object, found->address, text, size);
	else if (verdict == MAG_SLAB_USED)
		snprintf(text, size, "it has %u users: mag_cache_unuse() it first", found->uses);
	else
		snprintf(text, size, "%s",
			 verdict == MAG_SLAB_FREED ?
				 "it is free already" :
				 "no object of it, or free so long that its slab is gone");
}

static void
bad_free(struct mag_cache *cache, const void *object, enum mag_slab_verdict verdict,
	 const struct mag_slab_object *found)
{
	char text[80];
	uint64_t n;

	if (!mag_report_due(cache, &cache->bad_frees, &n))
		return;
	verdict_text(cache, verdict, object, found, text, sizeof(text));
	MAG_LOG(ERR, "%s \"%s\": free of %p: %s: refused, %" PRIu64 " so far",
		mag_report_kind(cache), cache->name, object, text, n);
	mag_audit_log_free();
	if (found->address != NULL)
		mag_audit_log_last(cache->region, found->address);
	mag_report_end(cache, "bad free");
}

unsigned int
mag_watch_held(const struct mag_cache *cache, void **objects, unsigned int max)
{
	struct mag_home *home;
	unsigned int part, i, n = 0;

	MAG_FOREACH_HOME(cache, part, home)
		n += mag_slab_held(&home->slab, objects + n, max - n);
	if (cache->region->mode & MAG_REGION_MEMTAG)
		for (i = 0; i < n; i++)
			objects[i] = mag_memtag_pointer(objects[i]);
	return n;
}

void
mag_watch_report(struct mag_cache *cache)
{
	void *held[HELD_MAX];
	unsigned int i, n = 0;

	if (mag_watched(cache) & MAG_WATCH_SAMPLE)
		mag_leaks_report(cache);
	if (mag_watched(cache) & MAG_WATCH_AUDIT)
		n = mag_watch_held(cache, held, HELD_MAX);
	for (i = 0; i < n; i++) {
		MAG_LOG(ERR, "%s \"%s\": object %p is out", mag_report_kind(cache), cache->name,
			held[i]);
		mag_audit_log_last(cache->region, held[i]);
	}
}

/* Runs of objects of one home at once. */
static void
hand_out(struct mag_cache *cache, void *const *objects, unsigned int n)
{
	struct mag_home *home;
	unsigned int i, run;

	for (i = 0; i < n; i += run) {
		home = mag_cache_home_of(cache, objects[i]);
		for (run = 1; i + run < n && mag_cache_home_of(cache, objects[i + run]) == home;
		     run++)
			;
		mag_slab_hand_out(&home->slab, objects + i, run);
	}
}

/* A user has it already: whoever comes second goes without. */
static void
bad_get(struct mag_cache *cache, const void *object)
{
	struct mag_slab_object found;
	uint64_t n;

	mag_slab_refuse(&mag_cache_home_of(cache, object)->slab, object, &found);
	if (!mag_report_due(cache, &cache->bad_frees, &n))
		return;
	MAG_LOG(ERR,
		"%s \"%s\": get of %p: it is with a user already, so it was freed twice at once: "
		"left out, %" PRIu64 " so far",
		mag_report_kind(cache), cache->name, object, n);
	mag_audit_log_last(cache->region, object);
	mag_report_end(cache, "bad free");
}

/* Those that are no user's yet stay, in their order. */
static unsigned int
light_out(struct mag_cache *cache, void **objects, unsigned int n)
{
	unsigned int done = mag_guard_out(cache, objects, n), kept = done, good;

	while (unlikely(done < n)) {
		bad_get(cache, objects[done++]);
		good = done < n ? mag_guard_out(cache, objects + done, n - done) : 0;
		memmove(objects + kept, objects + done, good * sizeof(objects[0]));
		kept += good;
		done += good;
	}
	return kept;
}

static __rte_noinline void
each_out(struct mag_cache *cache, void *const *objects, unsigned int n, uint32_t what)
{
	unsigned int i;

	if (what & MAG_WATCH_POISON)
		for (i = 0; i < n; i++)
			mag_unpoison(objects[i], cache->object_size);
	/* Before the audit: until then it knows who freed them. */
	if (what & MAG_WATCH_CHECK)
		mag_check_out(cache, objects, n);
	if (what & MAG_WATCH_AUDIT)
		mag_audit_record(cache->region, objects, n, MAG_TRANSACTION_ALLOC);
}

static __rte_noinline void
each_back(struct mag_cache *cache, void *const *objects, unsigned int n, uint32_t what)
{
	unsigned int i;

	/* Before the audit: until then it knows who had them. */
	if (what & MAG_WATCH_CHECK)
		mag_check_back(cache, objects, n, what & MAG_WATCH_FILL);
	if (what & MAG_WATCH_POISON)
		for (i = 0; i < n; i++)
			mag_poison(objects[i], cache->object_size);
	if (what & MAG_WATCH_AUDIT)
		mag_audit_record(cache->region, objects, n, MAG_TRANSACTION_FREE);
}

unsigned int
mag_watch_out(struct mag_cache *cache, void **objects, unsigned int n)
{
	uint32_t what = mag_watched(cache);

	if (n == 0)
		return 0;
	if (what & MAG_WATCH_HOLDERS)
		mag_holders_drew(cache, objects, n);
	if (what & MAG_WATCH_STATE && likely(mag_guard_is_light(cache)))
		n = light_out(cache, objects, n);
	else if (what & MAG_WATCH_STATE)
		hand_out(cache, objects, n);
	if (unlikely(what & EACH) && n > 0)
		each_out(cache, objects, n, what);
	if (unlikely(what & MAG_WATCH_SAMPLE))
		mag_sampled_out(cache, objects, n);
	return n;
}

/* No user has it: why? */
static void
refuse(struct mag_cache *cache, const void *object)
{
	struct mag_home *home = mag_cache_home_of(cache, object);
	struct mag_slab_object found = {.address = NULL};
	enum mag_slab_verdict verdict = MAG_SLAB_FOREIGN;

	if (home != NULL)
		verdict = mag_slab_refuse(&home->slab, object, &found);
	bad_free(cache, object, verdict, &found);
}

static bool
hand_back(struct mag_cache *cache, const void *object, uint32_t what)
{
	struct mag_home *home = mag_cache_home_of(cache, object);
	struct mag_slab_object found = {.address = NULL};
	enum mag_slab_verdict verdict = MAG_SLAB_FOREIGN;

	if (home != NULL)
		verdict = mag_slab_hand_back(&home->slab, object, what & MAG_WATCH_STATE, &found);
	if (likely(verdict == MAG_SLAB_GOOD))
		return true;
	bad_free(cache, object, verdict, &found);
	return false;
}

/* Of up to BATCH objects those that may come back are left in good. */
static unsigned int
good_of(struct mag_cache *cache, void *const *objects, unsigned int n, uint32_t what, void **good)
{
	unsigned int i, count = 0;

	for (i = 0; i < n; i++)
		if (hand_back(cache, objects[i], what))
			good[count++] = objects[i];
	return count;
}

/* They may. */
static void
give_back(struct mag_cache *cache, void *const *objects, unsigned int n, uint32_t what, bool past)
{
	if (what & EACH)
		each_back(cache, objects, n, what);
	if (unlikely(past))
		mag_cache_give_past(cache, objects, n);
	else if (likely(mag_guard_may_enter(cache)))
		mag_guard_give(cache, objects, n);
	else
		mag_cache_give(cache, objects, n);
}

typedef void give_fn(struct mag_cache *cache, void *const *objects, unsigned int n, uint32_t what,
		     bool past);

/* Runs of good ones at once: run_of tells how many come before one that is refused. */
MAG_INLINE void
runs_back(struct mag_cache *cache, void *const *objects, unsigned int n, uint32_t what, bool past,
	  unsigned int (*run_of)(const struct mag_cache *cache, void *const *objects,
				 unsigned int n),
	  give_fn *give)
{
	unsigned int done, good;

	for (done = 0; done < n; done += good + 1) {
		good = run_of(cache, objects + done, n - done);
		if (likely(good > 0))
			give(cache, objects + done, good, what, past);
		if (unlikely(done + good < n))
			refuse(cache, objects[done + good]);
	}
}

static void
light_back(struct mag_cache *cache, void *const *objects, unsigned int n, uint32_t what, bool past)
{
	runs_back(cache, objects, n, what, past, mag_guard_back, give_back);
}

/* Those that their record allows, if they are sampled. */
MAG_INLINE void
all_back(struct mag_cache *cache, void *const *objects, unsigned int n, uint32_t what, bool past)
{
	unsigned int done, count;
	void *good[BATCH];

	if ((what & ~(MAG_WATCH_HOLDERS | MAG_WATCH_SAMPLE)) == 0) {
		give_back(cache, objects, n, what, past);
		return;
	}
	/* Use counts are under the slab layer's lock. */
	if (likely(mag_guard_is_light(cache)) && (what & MAG_WATCH_USES) == 0) {
		light_back(cache, objects, n, what, past);
		return;
	}
	for (done = 0; done < n; done += BATCH) {
		count = good_of(cache, objects + done, RTE_MIN(n - done, (unsigned int)BATCH), what,
				good);
		if (count > 0)
			give_back(cache, good, count, what, past);
	}
}

static __rte_noinline void
sampled_back(struct mag_cache *cache, void *const *objects, unsigned int n, uint32_t what,
	     bool past)
{
	runs_back(cache, objects, n, what, past, mag_sampled_back, all_back);
}

static __rte_noinline void
unsampled_back(struct mag_cache *cache, void *const *objects, unsigned int n, uint32_t what,
	       bool past)
{
	all_back(cache, objects, n, what, past);
}

void
mag_watch_back(struct mag_cache *cache, void *const *objects, unsigned int n, bool past)
{
	uint32_t what = mag_watched(cache);
	unsigned int done = 0;

	if (unlikely(what & MAG_WATCH_SAMPLE)) {
		sampled_back(cache, objects, n, what, past);
		return;
	}
	if (likely(mag_guard_is_alone(cache) && !past && n > 0))
		done = mag_guard_put(cache, objects, n);
	if (unlikely(done < n))
		unsampled_back(cache, objects + done, n - done, what, past);
}
