/* SPDX-License-Identifier: BSD-3-Clause */

/* Before all others: it says that experimental functions are used. */
#include "base/trace_points.h"

#include "base/trace.h"

#ifdef MAG_USDT
#include <sys/sdt.h>
#define PROBE2(name, a, b) DTRACE_PROBE2(magazine, name, a, b)
#define PROBE3(name, a, b, c) DTRACE_PROBE3(magazine, name, a, b, c)
#else
#define PROBE2(name, a, b)
#define PROBE3(name, a, b, c)
#endif

void
mag_trace_resize(const char *cache, uint32_t before, uint32_t rounds)
{
	mag_point_resize(cache, before, rounds);
	PROBE3(resize, cache, before, rounds);
}

void
mag_trace_purge(const char *cache, uint64_t count)
{
	mag_point_purge(cache, count);
	PROBE2(purge, cache, count);
}

void
mag_trace_reap(const char *cache, uint64_t count)
{
	mag_point_reap(cache, count);
	PROBE2(reap, cache, count);
}

void
mag_trace_steal(const char *cache, uint64_t count)
{
	mag_point_steal(cache, count);
	PROBE2(steal, cache, count);
}

void
mag_trace_denied(const char *cache, uint64_t count)
{
	mag_point_denied(cache, count);
	PROBE2(denied, cache, count);
}

void
mag_trace_failed(const char *cache, uint64_t count)
{
	mag_point_failed(cache, count);
	PROBE2(failed, cache, count);
}

void
mag_trace_recovery(const char *cache, uint64_t slots)
{
	mag_point_recovery(cache, slots);
	PROBE2(recovery, cache, slots);
}

void
mag_trace_slab_made(const char *region, uintptr_t base, uint32_t objects)
{
	mag_point_slab_made(region, base, objects);
	PROBE3(slab_made, region, base, objects);
}

void
mag_trace_slab_emptied(const char *region, uintptr_t base, uint32_t objects)
{
	mag_point_slab_emptied(region, base, objects);
	PROBE3(slab_emptied, region, base, objects);
}
