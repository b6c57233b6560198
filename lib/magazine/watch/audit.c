/* SPDX-License-Identifier: BSD-3-Clause */
#include <execinfo.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>
#include <rte_cycles.h>
#include <rte_lcore.h>

#include "base/lock.h"
#include "base/log.h"
#include "base/process.h"
#include "mag_mirror.h"
#include "parts/mirror.h"
#include "watch/audit.h"
#include "watch/stack.h"

/* Our own frames at the top of a stack, not worth a record: that of this file, and its caller's. */
#define SKIP 2

struct record {
	struct mag_lock lock; /* a report may read what somebody else writes */
	uint32_t process;     /* mag_process_id: the stack has addresses of that process */
	pid_t pid;            /* for log lines */
	struct mag_transaction last;
};

_Static_assert(sizeof(struct record) <= MAG_AUDIT_BYTES, "a region has room for a record");
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

static bool
record_read(const struct mag_region *region, const void *object, struct record *copy)
{
	struct record *record =
		region->audit != NULL ? mag_mirror_of(&region->audit->find, object) : NULL;

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
record_write(const struct mag_region *region, const void *object, const struct mag_transaction *now)
{
	struct record *record = mag_mirror_of(&region->audit->find, object);

	mag_lock_spin(&record->lock);
	record->process = mag_process_id;
	record->pid = mag_process_pid;
	record->last = *now;
	mag_lock_release(&record->lock);
}

__rte_noinline void
mag_audit_record(const struct mag_region *region, void *const *objects, unsigned int n,
		 enum mag_transaction_kind kind)
{
	struct mag_transaction now;
	unsigned int i;

	transaction_now(&now, kind);
	for (i = 0; i < n; i++)
		record_write(region, objects[i], &now);
}

bool
mag_audit_last(const struct mag_region *region, const void *object, struct mag_transaction *last,
	       pid_t *elsewhere)
{
	struct record record;

	if (!record_read(region, object, &record))
		return false;
	*last = record.last;
	*elsewhere = record.process != mag_process_id ? record.pid : 0;
	return true;
}

/* elsewhere: the process, if it is another one, whose functions nobody can name here. */
static void
log_transaction(const char *when, const struct mag_transaction *transaction, pid_t elsewhere)
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
	log_transaction("now freed", &now, 0);
}

void
mag_audit_log_last(const struct mag_region *region, const void *object)
{
	struct mag_transaction last;
	pid_t elsewhere;

	if (mag_audit_last(region, object, &last, &elsewhere))
		log_transaction(last.kind == MAG_TRANSACTION_ALLOC ? "last allocated" :
								     "last freed",
				&last, elsewhere);
	else if (region->audit == NULL)
		MAG_LOG(ERR, "  (who had it before: with option audit=1, or MAG_REGION_AUDIT)");
}
