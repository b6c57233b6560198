/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_AUDIT_H
#define MAG_AUDIT_H

/*
 * Audit (specification): each object of an audited region has a record of its last transaction,
 * that is who had it or gave it back, when, and from where. Records lie beside the objects like
 * mirrors (mirror.h), each with a lock of its own, since a report may read what another thread
 * writes. The stack in a record has addresses of the process that wrote it. Of a region that is not
 * audited, some objects may be sampled (samples.h).
 */

#include <stdbool.h>
#include <sys/types.h>

#include "mag_cache.h"
#include "stores/region.h"
#include "stores/samples.h"

/** This thread has n objects of the region now, or has given them back. */
void mag_audit_record(const struct mag_region *region, void *const *objects, unsigned int n,
		      enum mag_transaction_kind kind);
/**
 * The same of a sampled object. False, with nothing recorded: it was to be given back, and was
 * already.
 */
bool mag_audit_sample(struct mag_sample *sample, enum mag_transaction_kind kind);
/**
 * The last transaction of an object; false: none is known.
 *
 * @param elsewhere
 *   Filled with the pid of the process, for log lines, if it is another one; else with 0.
 */
bool mag_audit_last(const struct mag_region *region, const void *object,
		    struct mag_transaction *last, pid_t *elsewhere);

/**
 * Log a transaction.
 *
 * @param elsewhere
 *   As of mag_audit_last().
 */
void mag_audit_log(const char *when, const struct mag_transaction *transaction, pid_t elsewhere);
/** Log this thread and its stack as the one that frees an object now. */
void mag_audit_log_free(void);
/**
 * Log the last transaction of an object, of a sampled one that is free also the one before; or, of
 * a region that is not audited, how to have it recorded.
 */
void mag_audit_log_last(const struct mag_region *region, const void *object);

#endif /* MAG_AUDIT_H */
