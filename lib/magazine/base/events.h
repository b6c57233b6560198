/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_EVENTS_H
#define MAG_EVENTS_H

/*
 * What happened to a cache lately: a ring of the last events, in shared memory, so that any process
 * may write to it. Only slow paths do; /magazine/events and debuggers read it. Each event is also
 * traced (trace.h).
 *
 * An entry belongs to the writer that drew its number. It says 0 as its number while it is written,
 * so a reader takes an entry only if the number is the same before and after. Two writers share an
 * entry only when one of them is stopped for 256 events: then that one entry may be mixed up.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/** Events that are kept. */
#define MAG_EVENTS_KEPT 256u

enum mag_event_kind {
	MAG_EVENT_RESIZE,   /**< before, value: magazine size */
	MAG_EVENT_PURGE,    /**< value of this and the next ones: how many there were so far */
	MAG_EVENT_REAP,     /**< magazines went from the depot to the slabs */
	MAG_EVENT_STEAL,    /**< an allocation took objects out of other slots */
	MAG_EVENT_DENIED,   /**< a slot or lock did not let go in time for a steal */
	MAG_EVENT_FAILED,   /**< an allocation got nothing */
	MAG_EVENT_RECOVERY, /**< value: slots of a dead process that are whole again */
	MAG_EVENT_KINDS,
};

struct mag_event {
	uint64_t number; /**< from 0 */
	uint64_t tsc;
	uint32_t kind;  /**< enum mag_event_kind */
	uint32_t lcore; /**< of the thread that wrote it */
	uint32_t before, value;
};

struct mag_event_entry {
	_Atomic uint64_t number; /**< + 1; 0: empty, or being written */
	_Atomic uint64_t tsc;
	_Atomic uint32_t kind_lcore; /**< kind, and lcore << 8 */
	_Atomic uint32_t value;
};

struct mag_events {
	const char *name;                        /**< of the cache, for traces; never changes */
	_Atomic uint64_t next;                   /**< number of the next event */
	_Atomic uint64_t quiet[MAG_EVENT_KINDS]; /**< TSC before which no other one is kept */
	struct mag_event_entry entry[MAG_EVENTS_KEPT];
};

/** Name of a kind, as telemetry has it. */
const char *mag_event_name(uint32_t kind);
/** An event. before, value: 16 bits for a resize; else value alone, with before 0. */
void mag_events_add(struct mag_events *events, enum mag_event_kind kind, uint32_t before,
		    uint64_t value);
/** The same of what may happen often: at most one a second is kept of each kind. Was it? */
bool mag_events_add_rarely(struct mag_events *events, enum mag_event_kind kind, uint64_t value);
/** The event of this number, if it is still kept. */
bool mag_events_get(const struct mag_events *events, uint64_t number, struct mag_event *event);
/** Number of the oldest event that may still be kept, and of the next one to come. */
void mag_events_range(const struct mag_events *events, uint64_t *first, uint64_t *next);

#endif /* MAG_EVENTS_H */
