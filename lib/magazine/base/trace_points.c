/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef ALLOW_EXPERIMENTAL_API
#define ALLOW_EXPERIMENTAL_API
#endif
#include <rte_trace_point_register.h>

#include "base/trace_points.h"

/* EAL ends a program that has two points of a name: a second copy of the library has none. */
static void
register_once(rte_trace_point_t *point, const char *name, void (*emit)(void))
{
	if (rte_trace_point_lookup(name) == NULL)
		__rte_trace_point_register(point, name, emit);
}

/* What the macros below call. */
#define __rte_trace_point_register register_once

RTE_TRACE_POINT_REGISTER(mag_point_resize, lib.magazine.resize)
RTE_TRACE_POINT_REGISTER(mag_point_purge, lib.magazine.purge)
RTE_TRACE_POINT_REGISTER(mag_point_reap, lib.magazine.reap)
RTE_TRACE_POINT_REGISTER(mag_point_steal, lib.magazine.steal)
RTE_TRACE_POINT_REGISTER(mag_point_denied, lib.magazine.denied)
RTE_TRACE_POINT_REGISTER(mag_point_failed, lib.magazine.failed)
RTE_TRACE_POINT_REGISTER(mag_point_recovery, lib.magazine.recovery)
RTE_TRACE_POINT_REGISTER(mag_point_slab_made, lib.magazine.slab_made)
RTE_TRACE_POINT_REGISTER(mag_point_slab_emptied, lib.magazine.slab_emptied)
