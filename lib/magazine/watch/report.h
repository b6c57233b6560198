/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_REPORT_H
#define MAG_REPORT_H

/* How often errors of users are reported, and how it ends where the option guard says so. */

#include <stdbool.h>
#include <stdint.h>

#include "cache/cache.h"

/** "pool" or "cache". */
const char *mag_report_kind(const struct mag_cache *cache);
/** One more error of a kind, n of them so far; false: it is not reported. */
bool mag_report_due(const struct mag_cache *cache, _Atomic uint64_t *count, uint64_t *n);
/** It was reported: with guard=panic all ends here. */
void mag_report_end(const struct mag_cache *cache, const char *what);

#endif /* MAG_REPORT_H */
