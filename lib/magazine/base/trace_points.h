/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_TRACE_POINTS_H
#define MAG_TRACE_POINTS_H

/*
 * The trace points of trace.h as EAL declares them. Twice compiled: trace.c emits them, and
 * trace_points.c, where DPDK's macros mean something else, registers them.
 */

/* Trace points are experimental in DPDK 22.11. */
#ifndef ALLOW_EXPERIMENTAL_API
#define ALLOW_EXPERIMENTAL_API
#endif

#include <stdint.h>

#include <rte_trace_point.h>

RTE_TRACE_POINT(mag_point_resize,
		RTE_TRACE_POINT_ARGS(const char *cache, uint32_t before, uint32_t rounds),
		rte_trace_point_emit_string(cache);
		rte_trace_point_emit_u32(before); rte_trace_point_emit_u32(rounds);)

RTE_TRACE_POINT(mag_point_purge, RTE_TRACE_POINT_ARGS(const char *cache, uint64_t count),
		rte_trace_point_emit_string(cache);
		rte_trace_point_emit_u64(count);)

RTE_TRACE_POINT(mag_point_reap, RTE_TRACE_POINT_ARGS(const char *cache, uint64_t count),
		rte_trace_point_emit_string(cache);
		rte_trace_point_emit_u64(count);)

RTE_TRACE_POINT(mag_point_steal, RTE_TRACE_POINT_ARGS(const char *cache, uint64_t count),
		rte_trace_point_emit_string(cache);
		rte_trace_point_emit_u64(count);)

RTE_TRACE_POINT(mag_point_denied, RTE_TRACE_POINT_ARGS(const char *cache, uint64_t count),
		rte_trace_point_emit_string(cache);
		rte_trace_point_emit_u64(count);)

RTE_TRACE_POINT(mag_point_failed, RTE_TRACE_POINT_ARGS(const char *cache, uint64_t count),
		rte_trace_point_emit_string(cache);
		rte_trace_point_emit_u64(count);)

RTE_TRACE_POINT(mag_point_recovery, RTE_TRACE_POINT_ARGS(const char *cache, uint64_t slots),
		rte_trace_point_emit_string(cache);
		rte_trace_point_emit_u64(slots);)

RTE_TRACE_POINT(mag_point_slab_made,
		RTE_TRACE_POINT_ARGS(const char *region, uint64_t base, uint32_t objects),
		rte_trace_point_emit_string(region);
		rte_trace_point_emit_u64(base); rte_trace_point_emit_u32(objects);)

RTE_TRACE_POINT(mag_point_slab_emptied,
		RTE_TRACE_POINT_ARGS(const char *region, uint64_t base, uint32_t objects),
		rte_trace_point_emit_string(region);
		rte_trace_point_emit_u64(base); rte_trace_point_emit_u32(objects);)

#endif /* MAG_TRACE_POINTS_H */
