/* SPDX-License-Identifier: BSD-3-Clause */
#include <execinfo.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_branch_prediction.h>
#include <rte_common.h>
#include <rte_cycles.h>
#include <rte_lcore.h>

#include "base/lock.h"
#include "base/log.h"
#include "base/process.h"
#include "mag_mirror.h"
#include "parts/mirror.h"
#include "stores/samples.h"
#include "watch/audit.h"
#include "watch/stack.h"

/* Our own frames at the top of a stack, not worth a record: that of this file, and its caller's. */
#define SKIP 2

_Static_assert(sizeof(struct mag_record) <= MAG_AUDIT_BYTES, "a region has room for a record");
_Static_assert(MAG_TRANSACTION_DEPTH + SKIP <= MAG_STACK_MAX, "a whole transaction");

static uint64_t start;

RTE_INIT(mag_audit_load)
{
	start = rte_rdtsc();
}

MAG_INLINE void
transaction_now(struct mag_transaction *now, enum mag_transaction_kind kind)
{
	void *stack[MAG_STACK_MAX];
	int depth = RTE_MIN((int)mag_stack_take(stack) - SKIP, MAG_TRANSACTION_DEPTH);

	*now = (struct mag_transaction){
		.kind = kind,
		.thread = (uint32_t)mag_process_thread(),
		.lcore = rte_lcore_id(),
		.time_ms = (rte_rdtsc() - start) / (rte_get_tsc_hz() / 1000),
		.depth = (uint32_t)RTE_MAX(depth, 0),
	};
	memcpy(now->stack, stack + SKIP, now->depth * sizeof(now->stack[0]));
}

/* NULL: the object has none. */
static struct mag_record *
record_of(const struct mag_region *region, const void *object)
{
	struct mag_sample *sample;

	if (region->audit != NULL)
		return mag_mirror_of(&region->audit->find, object);
	if (region->samples == NULL)
		return NULL;
	sample = mag_samples_find(region->samples, object, false);
	return sample != NULL ? &sample->record : NULL;
}

/* The process, if it is another one, whose functions nobody can name here; or 0. */
static pid_t
elsewhere_of(const struct mag_record *record)
{
	return record->process != mag_process_id ? record->pid : 0;
}

/* Under the lock, which is not copied. */
static void
record_copy(struct mag_record *to, const struct mag_record *from)
{
	to->process = from->process;
	to->pid = from->pid;
	to->last = from->last;
}

static bool
record_read(const struct mag_region *region, const void *object, struct mag_record *copy)
{
	struct mag_record *record = record_of(region, object);

	if (record == NULL)
		return false;
	mag_lock_spin(&record->lock);
	record_copy(copy, record);
	mag_lock_release(&record->lock);
	return copy->last.kind != MAG_TRANSACTION_NONE;
}

/* Under the lock. */
static void
record_write(struct mag_record *record, const struct mag_transaction *now)
{
	record->process = mag_process_id;
	record->pid = mag_process_pid;
	record->last = *now;
}

__rte_noinline void
mag_audit_record(const struct mag_region *region, void *const *objects, unsigned int n,
		 enum mag_transaction_kind kind)
{
	struct mag_transaction now;
	struct mag_record *record;
	unsigned int i;

	transaction_now(&now, kind);
	for (i = 0; i < n; i++) {
		record = mag_mirror_of(&region->audit->find, objects[i]);
		mag_lock_spin(&record->lock);
		record_write(record, &now);
		mag_lock_release(&record->lock);
	}
}

__rte_noinline bool
mag_audit_sample(struct mag_sample *sample, enum mag_transaction_kind kind)
{
	struct mag_record *record = &sample->record;
	struct mag_transaction now;
	bool good;

	transaction_now(&now, kind);
	mag_lock_spin(&record->lock);
	good = kind != MAG_TRANSACTION_FREE || record->last.kind != MAG_TRANSACTION_FREE;
	if (likely(good)) {
		record_copy(&sample->before, record);
		atomic_store_explicit(&sample->tsc, rte_rdtsc(), memory_order_relaxed);
		record_write(record, &now);
	}
	mag_lock_release(&record->lock);
	return good;
}

bool
mag_audit_last(const struct mag_region *region, const void *object, struct mag_transaction *last,
	       pid_t *elsewhere)
{
	struct mag_record record;

	if (!record_read(region, object, &record))
		return false;
	*last = record.last;
	*elsewhere = elsewhere_of(&record);
	return true;
}

void
mag_audit_log(const char *when, const struct mag_transaction *transaction, pid_t elsewhere)
{
	char **names = elsewhere == 0 ?
			       backtrace_symbols(transaction->stack, (int)transaction->depth) :
			       NULL;
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

__rte_noinline void
mag_audit_log_free(void)
{
	struct mag_transaction now;

	transaction_now(&now, MAG_TRANSACTION_FREE);
	mag_audit_log("now freed", &now, 0);
}

/* Of a sampled object also what came before it was freed. */
static void
log_before(const struct mag_region *region, const void *object)
{
	struct mag_sample *sample =
		region->samples != NULL ? mag_samples_find(region->samples, object, false) : NULL;
	struct mag_record before;

	if (sample == NULL)
		return;
	mag_lock_spin(&sample->record.lock);
	before = sample->before;
	mag_lock_release(&sample->record.lock);
	if (before.last.kind == MAG_TRANSACTION_ALLOC)
		mag_audit_log("before that allocated", &before.last, elsewhere_of(&before));
}

void
mag_audit_log_last(const struct mag_region *region, const void *object)
{
	struct mag_transaction last;
	pid_t elsewhere;

	if (!mag_audit_last(region, object, &last, &elsewhere)) {
		if (region->audit == NULL)
			MAG_LOG(ERR,
				"  (who had it before: with option audit=1, or MAG_REGION_AUDIT)");
		return;
	}
	mag_audit_log(last.kind == MAG_TRANSACTION_ALLOC ? "last allocated" : "last freed", &last,
		      elsewhere);
	if (last.kind == MAG_TRANSACTION_FREE)
		log_before(region, object);
}
