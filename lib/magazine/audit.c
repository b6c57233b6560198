/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <execinfo.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_bitops.h>
#include <rte_cycles.h>
#include <rte_debug.h>
#include <rte_errno.h>
#include <rte_lcore.h>

#include "audit.h"
#include "log.h"
#include "memtag.h"
#include "mirror.h"
#include "poison.h"
#include "slab_objects.h"

/* Objects that are looked at before the good ones are given back. */
#define BATCH 64
/* Our own frames at the top of a stack, not worth a record. */
#define SKIP 2
/* All bad frees are counted; reported are so many, and then the 32nd, 64th, ... */
#define REPORTS 16
/* Objects that a report of what is out names. */
#define HELD_MAX 16

struct record {
	struct mag_lock lock; /* a report may read what somebody else writes */
	uint32_t process;     /* mag_process_id: the stack has addresses of that process */
	pid_t pid;            /* for log lines */
	struct mag_transaction last;
};

_Static_assert(sizeof(struct record) <= MAG_AUDIT_BYTES, "a region has room for a record");

static uint64_t start;

RTE_INIT(mag_audit_load)
{
	start = rte_rdtsc();
}

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
	if (mag_poison_wanted())
		what |= MAG_WATCH_POISON;
	return what;
}

void
mag_watch(struct mag_cache *cache, uint32_t what)
{
	unsigned int i;

	if (what == 0)
		return;
	atomic_fetch_or_explicit(&cache->common.watch, what, memory_order_relaxed);
	for (i = 0; i < MAG_SLOT_SHARED; i++)
		mag_bias_announce(&cache->first.slot[i], MAG_BIAS_WATCHED);
}

/* Transactions */

static __rte_noinline void
transaction_now(struct mag_transaction *now, enum mag_transaction_kind kind)
{
	void *stack[MAG_TRANSACTION_DEPTH + SKIP];
	int depth = backtrace(stack, RTE_DIM(stack)) - SKIP;

	*now = (struct mag_transaction){
		.kind = kind,
		.thread = (uint32_t)mag_process_thread(),
		.lcore = rte_lcore_id(),
		.time_ms = (rte_rdtsc() - start) / (rte_get_tsc_hz() / 1000),
		.depth = RTE_MAX(depth, 0),
	};
	memcpy(now->stack, stack + SKIP, now->depth * sizeof(now->stack[0]));
}

static bool
record_read(const struct mag_cache *cache, const void *object, struct record *copy)
{
	struct record *record = cache->region->audit != NULL ?
					mag_mirror_of(&cache->region->audit->find, object) :
					NULL;

	if (record == NULL)
		return false;
	mag_lock_spin(&record->lock);
	copy->process = record->process;
	copy->pid = record->pid;
	copy->last = record->last;
	mag_lock_release(&record->lock);
	return copy->last.kind != MAG_TRANSACTION_NONE;
}

static void
record_write(const struct mag_cache *cache, const void *object, const struct mag_transaction *now)
{
	struct record *record = mag_mirror_of(&cache->region->audit->find, object);

	mag_lock_spin(&record->lock);
	record->process = mag_process_id;
	record->pid = mag_process_pid;
	record->last = *now;
	mag_lock_release(&record->lock);
}

static void
records_write(const struct mag_cache *cache, void *const *objects, unsigned int n,
	      enum mag_transaction_kind kind)
{
	struct mag_transaction now;
	unsigned int i;

	transaction_now(&now, kind);
	for (i = 0; i < n; i++)
		record_write(cache, objects[i], &now);
}

/* Reports */

/* elsewhere: the process, if it is another one, whose functions nobody can name here. */
static void
log_transaction(const char *when, const struct mag_transaction *transaction, pid_t elsewhere)
{
	char **names =
		elsewhere == 0 ? backtrace_symbols(transaction->stack, transaction->depth) : NULL;
	char lcore[16] = "none", process[24] = "";
	uint32_t i;

	if (elsewhere != 0)
		snprintf(process, sizeof(process), "process %d, ", elsewhere);

	if (transaction->lcore != LCORE_ID_ANY)
		snprintf(lcore, sizeof(lcore), "%u", transaction->lcore);
	MAG_LOG(ERR, "  %s by %sthread %u, lcore %s, %" PRIu64 ".%03u s after the start:", when,
		process, transaction->thread, lcore, transaction->time_ms / 1000,
		(unsigned int)(transaction->time_ms % 1000));
	for (i = 0; i < transaction->depth; i++)
		if (names != NULL)
			MAG_LOG(ERR, "    %s", names[i]);
		else
			MAG_LOG(ERR, "    [%p]", transaction->stack[i]);
	free(names);
}

static void
log_last(const struct mag_cache *cache, const void *object)
{
	struct record record;

	if (record_read(cache, object, &record))
		log_transaction(record.last.kind == MAG_TRANSACTION_ALLOC ? "last allocated" :
									    "last freed",
				&record.last, record.process != mag_process_id ? record.pid : 0);
	else if (cache->region->audit == NULL)
		MAG_LOG(ERR, "  (who had it before: with option audit=1, or MAG_REGION_AUDIT)");
}

static const char *
kind_of(const struct mag_cache *cache)
{
	return cache->flags & MAG_CACHE_POOL ? "pool" : "cache";
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
	uint64_t n = MAG_STAT_ADD(cache->bad_frees, 1) + 1;
	struct mag_transaction now;
	char text[80];

	if (n > REPORTS && !rte_is_power_of_2(n) && cache->options.guard != MAG_GUARD_PANIC)
		return;
	verdict_text(cache, verdict, object, found, text, sizeof(text));
	MAG_LOG(ERR, "%s \"%s\": free of %p: %s: refused, %" PRIu64 " so far", kind_of(cache),
		cache->name, object, text, n);
	transaction_now(&now, MAG_TRANSACTION_FREE);
	log_transaction("now freed", &now, 0);
	if (found->address != NULL)
		log_last(cache, found->address);
	if (cache->options.guard == MAG_GUARD_PANIC)
		rte_panic("magazine: %s \"%s\": bad free, and option guard=panic\n", kind_of(cache),
			  cache->name);
}

void
mag_watch_report(struct mag_cache *cache)
{
	void *held[HELD_MAX];
	unsigned int i, n = 0;

	if (mag_watched(cache) & MAG_WATCH_AUDIT)
		mag_cache_held(cache, held, HELD_MAX, &n);
	for (i = 0; i < n; i++) {
		MAG_LOG(ERR, "%s \"%s\": object %p is out", kind_of(cache), cache->name, held[i]);
		log_last(cache, held[i]);
	}
}

/* Out and back */

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

void
mag_watch_out(struct mag_cache *cache, void *const *objects, unsigned int n)
{
	uint32_t what = mag_watched(cache);
	unsigned int i;

	if (what & MAG_WATCH_STATE)
		hand_out(cache, objects, n);
	if (what & MAG_WATCH_AUDIT && n > 0)
		records_write(cache, objects, n, MAG_TRANSACTION_ALLOC);
	if (what & MAG_WATCH_POISON)
		for (i = 0; i < n; i++)
			mag_unpoison(objects[i], cache->object_size);
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

void
mag_watch_back(struct mag_cache *cache, void *const *objects, unsigned int n,
	       void (*give)(struct mag_cache *cache, void *const *objects, unsigned int n))
{
	uint32_t what = mag_watched(cache);
	unsigned int i, done, count;
	void *good[BATCH];

	for (done = 0; done < n; done += BATCH) {
		count = 0;
		for (i = done; i < n && i < done + BATCH; i++)
			if (hand_back(cache, objects[i], what))
				good[count++] = objects[i];
		if (what & MAG_WATCH_AUDIT && count > 0)
			records_write(cache, good, count, MAG_TRANSACTION_FREE);
		if (what & MAG_WATCH_POISON)
			for (i = 0; i < count; i++)
				mag_poison(good[i], cache->object_size);
		if (count > 0)
			give(cache, good, count);
	}
}

/* What users may ask */

int
mag_cache_held(const struct mag_cache *cache, void **objects, unsigned int max, unsigned int *count)
{
	struct mag_home *home;
	unsigned int part, i, n = 0;

	*count = 0;
	/* Only a guarded cache knows. */
	if ((mag_watched(cache) & MAG_WATCH_STATE) == 0)
		return -ENOTSUP;
	MAG_FOREACH_HOME(cache, part, home)
		n += mag_slab_held(&home->slab, objects + n, max - n);
	if (cache->region->mode & MAG_REGION_MEMTAG)
		for (i = 0; i < n; i++)
			objects[i] = mag_memtag_pointer(objects[i]);
	*count = n;
	return 0;
}

int
mag_cache_transaction(const struct mag_cache *cache, const void *object,
		      struct mag_transaction *last)
{
	struct mag_object_info info;
	struct record record;

	if (cache->region->audit == NULL)
		return -ENOTSUP;
	if (mag_cache_object_info(cache, object, &info, NULL) != 0)
		return -EINVAL;
	if (!record_read(cache, object, &record))
		return -ENOENT;
	*last = record.last;
	return 0;
}

static int
use_change(struct mag_cache *cache, const void *object, int change, uint32_t *left)
{
	struct mag_home *home = mag_cache_home_of(cache, object);
	uint32_t max = cache->region->mode & MAG_REGION_SHAREOK ? UINT32_MAX : 1;
	uint32_t what = mag_watched(cache);

	if (cache->region->mode & MAG_REGION_PSEUDO)
		return -ENOTSUP;
	if (home == NULL)
		return -EINVAL;
	if ((what & MAG_WATCH_USES) == 0)
		mag_watch(cache, MAG_WATCH_USES);
	return mag_slab_use(&home->slab, object, what & MAG_WATCH_STATE, change, max, left);
}

int
mag_cache_use(struct mag_cache *cache, const void *object)
{
	uint32_t left;
	int ret = use_change(cache, object, 1, &left);

	if (ret != -ERANGE)
		return ret;
	return cache->region->mode & MAG_REGION_SHAREOK ? -EOVERFLOW : -EBUSY;
}

int
mag_cache_unuse(struct mag_cache *cache, const void *object, uint32_t *left)
{
	uint32_t now;
	int ret = use_change(cache, object, -1, &now);

	if (ret == 0 && left != NULL)
		*left = now;
	return ret;
}
