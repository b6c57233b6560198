/* SPDX-License-Identifier: BSD-3-Clause */
#include <rte_common.h>
#include <rte_cycles.h>
#include <rte_lcore.h>

#include "base/counter.h"
#include "base/deadline.h"
#include "base/events.h"
#include "base/trace.h"

#define QUIET_MS 1000
#define BEFORE_SHIFT 16
#define LCORE_SHIFT 8
#define LCORE_NONE (UINT32_MAX >> LCORE_SHIFT)

static const char *const names[] = {
	[MAG_EVENT_RESIZE] = "resize",     [MAG_EVENT_PURGE] = "purge",
	[MAG_EVENT_REAP] = "reap",         [MAG_EVENT_STEAL] = "steal",
	[MAG_EVENT_DENIED] = "denied",     [MAG_EVENT_FAILED] = "failed",
	[MAG_EVENT_RECOVERY] = "recovery",
};

/* Of events that have a number alone. */
static void (*const traces[MAG_EVENT_KINDS])(const char *cache, uint64_t value) = {
	[MAG_EVENT_PURGE] = mag_trace_purge,   [MAG_EVENT_REAP] = mag_trace_reap,
	[MAG_EVENT_STEAL] = mag_trace_steal,   [MAG_EVENT_DENIED] = mag_trace_denied,
	[MAG_EVENT_FAILED] = mag_trace_failed, [MAG_EVENT_RECOVERY] = mag_trace_recovery,
};

_Static_assert(RTE_DIM(names) == MAG_EVENT_KINDS, "each kind has a name");
_Static_assert(sizeof(struct mag_event_entry) == 24, "the ring takes 6 KiB");

const char *
mag_event_name(uint32_t kind)
{
	return kind < MAG_EVENT_KINDS ? names[kind] : "unknown";
}

static void
trace(const struct mag_events *events, enum mag_event_kind kind, uint32_t before, uint64_t value)
{
	if (kind == MAG_EVENT_RESIZE)
		mag_trace_resize(events->name, before, (uint32_t)value);
	else
		traces[kind](events->name, value);
}

static void
keep(struct mag_events *events, enum mag_event_kind kind, uint32_t before, uint64_t value)
{
	uint64_t number = MAG_STAT_ADD(events->next, 1);
	struct mag_event_entry *entry = &events->entry[number % MAG_EVENTS_KEPT];
	uint32_t lcore = rte_lcore_id();

	if (kind == MAG_EVENT_RESIZE)
		value |= (uint64_t)before << BEFORE_SHIFT;
	lcore = lcore < LCORE_NONE ? lcore : LCORE_NONE;
	atomic_store_explicit(&entry->number, 0, memory_order_relaxed);
	/* release: nobody sees what follows and the number of before; pairs with mag_events_get()
	 */
	atomic_thread_fence(memory_order_release);
	atomic_store_explicit(&entry->tsc, rte_rdtsc(), memory_order_relaxed);
	atomic_store_explicit(&entry->kind_lcore, (uint32_t)kind | lcore << LCORE_SHIFT,
			      memory_order_relaxed);
	atomic_store_explicit(&entry->value, (uint32_t)RTE_MIN(value, UINT32_MAX),
			      memory_order_relaxed);
	/* release: the number says that the rest is there */
	atomic_store_explicit(&entry->number, number + 1, memory_order_release);
}

void
mag_events_add(struct mag_events *events, enum mag_event_kind kind, uint32_t before, uint64_t value)
{
	trace(events, kind, before, value);
	keep(events, kind, before, value);
}

bool
mag_events_add_rarely(struct mag_events *events, enum mag_event_kind kind, uint64_t value)
{
	uint64_t now = rte_rdtsc(), quiet = MAG_STAT(events->quiet[kind]);

	trace(events, kind, 0, value);
	/* relaxed: of several threads at once one adds it */
	if (now < quiet || !atomic_compare_exchange_strong_explicit(
				   &events->quiet[kind], &quiet, mag_deadline_in(QUIET_MS * 1000),
				   memory_order_relaxed, memory_order_relaxed))
		return false;
	keep(events, kind, 0, value);
	return true;
}

bool
mag_events_get(const struct mag_events *events, uint64_t number, struct mag_event *event)
{
	const struct mag_event_entry *entry = &events->entry[number % MAG_EVENTS_KEPT];
	bool resize;
	uint32_t word, value;

	/* acquire: pairs with the release of the number */
	if (MAG_STAT_ACQUIRE(entry->number) != number + 1)
		return false;
	event->tsc = MAG_STAT(entry->tsc);
	word = MAG_STAT(entry->kind_lcore);
	value = MAG_STAT(entry->value);
	/* acquire: pairs with the fence in mag_events_add() */
	atomic_thread_fence(memory_order_acquire);
	if (MAG_STAT(entry->number) != number + 1)
		return false;
	event->number = number;
	event->kind = word & ((1u << LCORE_SHIFT) - 1);
	event->lcore = word >> LCORE_SHIFT == LCORE_NONE ? LCORE_ID_ANY : word >> LCORE_SHIFT;
	resize = event->kind == MAG_EVENT_RESIZE;
	event->before = resize ? value >> BEFORE_SHIFT : 0;
	event->value = resize ? value & UINT16_MAX : value;
	return true;
}

void
mag_events_range(const struct mag_events *events, uint64_t *first, uint64_t *next)
{
	*next = MAG_STAT(events->next);
	*first = *next > MAG_EVENTS_KEPT ? *next - MAG_EVENTS_KEPT : 0;
}
