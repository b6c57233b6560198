/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_TRACE_H
#define MAG_TRACE_H

/*
 * Tracing of slow paths: each call below is a trace point of EAL, lib.magazine.*, which
 * --trace=lib.magazine.* records for babeltrace; and a probe of provider "magazine" for bpftrace,
 * perf and gdb, where <sys/sdt.h> was there at build. Switched off, a trace point costs a call, a
 * load and a branch, a probe one nop.
 *
 * Names are cut at 31 characters in traces of EAL.
 */

#include <stdint.h>

void mag_trace_resize(const char *cache, uint32_t before, uint32_t rounds);
/** count, of these and the next ones: how many there were so far. */
void mag_trace_purge(const char *cache, uint64_t count);
void mag_trace_reap(const char *cache, uint64_t count);
void mag_trace_steal(const char *cache, uint64_t count);
void mag_trace_denied(const char *cache, uint64_t count);
void mag_trace_failed(const char *cache, uint64_t count);
/** Slots of a dead process that are whole again. */
void mag_trace_recovery(const char *cache, uint64_t slots);
/** A segment of so many objects becomes a slab, and is free again. */
void mag_trace_slab_made(const char *region, uintptr_t base, uint32_t objects);
void mag_trace_slab_emptied(const char *region, uintptr_t base, uint32_t objects);

#endif /* MAG_TRACE_H */
