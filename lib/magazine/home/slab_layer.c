/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/counter.h"
#include "home/slab_layer.h"
#include "parts/segment.h"
#include "parts/table.h"
#include "stores/region.h"

static void
count_set(_Atomic uint64_t *counter, uint64_t value)
{
	atomic_store_explicit(counter, value, memory_order_relaxed);
}

static void
layer_clear(struct mag_slab_layer *layer)
{
	mag_table_clear(&layer->table);
	TAILQ_INIT(&layer->partial);
	TAILQ_INIT(&layer->full);
	atomic_store_explicit(&layer->slabs_partial, 0, memory_order_relaxed);
	atomic_store_explicit(&layer->slabs_full, 0, memory_order_relaxed);
	count_set(&layer->in_use, 0);
	count_set(&layer->out, 0);
}

/* Its chain anew. */
static void
slab_recount(struct mag_slab *slab)
{
	uint32_t count = slab->segment->count, i;

	slab->free = 0;
	slab->first_free = MAG_NO_OBJECT;
	slab->fresh = (uint16_t)count;
	for (i = count; i-- > 0;)
		if (slab->bufctl[i].state == MAG_BUFCTL_FREE) {
			slab->bufctl[i].next = slab->first_free;
			slab->first_free = (uint16_t)i;
			slab->free++;
		}
}

static void
slab_enter(struct mag_slab_layer *layer, struct mag_slab *slab)
{
	uint32_t count = slab->segment->count;

	mag_table_insert(&layer->table, slab->segment, slab->entry);
	MAG_COUNT_LOCKED(layer->in_use, count);
	MAG_COUNT_LOCKED(layer->out, count - slab->free);
	if (slab->free == 0) {
		TAILQ_INSERT_TAIL(&layer->full, slab, link);
		MAG_COUNT_LOCKED(layer->slabs_full, 1);
	} else {
		TAILQ_INSERT_TAIL(&layer->partial, slab, link);
		MAG_COUNT_LOCKED(layer->slabs_partial, 1);
	}
}

/* up - down = difference; neither falls. */
static void
counts_fit(_Atomic uint64_t *up, _Atomic uint64_t *down, uint64_t difference)
{
	if (MAG_STAT(*up) - MAG_STAT(*down) < difference)
		count_set(up, MAG_STAT(*down) + difference);
	else
		count_set(down, MAG_STAT(*up) - difference);
}

/* Rounds that are back already are not the magazine's any more. */
static void
drained(const struct mag_slab_layer *layer, struct mag_magazine *magazine)
{
	uint32_t held = MAG_LOAD(&magazine->held, MAG_RELAXED), index;
	const struct mag_slab *slab;

	for (; held > 0; held--) {
		slab = mag_slab_of(layer, (uintptr_t)*mag_magazine_round(magazine, held - 1),
				   &index);
		if (slab != NULL && slab->bufctl[index].state != MAG_BUFCTL_FREE)
			break;
	}
	MAG_STORE(&magazine->held, (uint16_t)held, MAG_RELAXED);
}

void
mag_slab_repair(struct mag_slab_layer *layer)
{
	struct mag_segment *segment;
	struct mag_slab *slab;

	if (mag_slab_is_intrinsic(layer))
		return;
	layer_clear(layer);
	mag_region_lock(layer->region);
	LIST_FOREACH(segment, &layer->region->all, any) {
		slab = segment->control;
		if (segment->place != MAG_SEGMENT_SLAB || slab->layer != layer)
			continue;
		slab_recount(slab);
		if (slab->free < segment->count)
			slab_enter(layer, slab);
		else
			segment->place = MAG_SEGMENT_MOVING;
	}
	mag_lock_release(&layer->region->lock);
	counts_fit(&layer->created, &layer->destroyed,
		   MAG_STAT(layer->slabs_partial) + (uint64_t)MAG_STAT(layer->slabs_full));
	counts_fit(&layer->allocs, &layer->frees, MAG_STAT(layer->out));
	if (layer->draining != NULL)
		drained(layer, layer->draining);
	layer->draining = NULL;
}
