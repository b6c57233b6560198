/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef STRESS_ACCOUNTS_H
#define STRESS_ACCOUNTS_H

/*
 * The books of a cache, looked at while nobody works: every object is in one place, every magazine
 * is where it may be, and the sums that the allocator tells are true. Whatever does not add up is
 * blamed.
 */

#include "subject.h"

/**
 * All sums and invariants. Maintenance is kept out meanwhile.
 *
 * @param out
 *   Objects that users have.
 */
void accounts_check(struct subject *subject, uint64_t out);

/**
 * One lcore takes all that is free, sees that each object was free and is had once, and gives all
 * back.
 *
 * @param out
 *   Objects that users have.
 * @return
 *   Requests that were refused although there was enough, and nothing was denied.
 */
uint64_t accounts_drain(struct subject *subject, uint64_t out);

/** Purge: all objects are in slabs then, and no magazine is out. Enables again. */
void accounts_purge(struct subject *subject);

#endif /* STRESS_ACCOUNTS_H */
