/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The slab layer: objects are taken from slabs and given back; slabs come from segments and go back
 * to them. slab.h tells of states and the lock.
 *
 * An allocation takes from partial slabs under the lock. When they do not suffice, it lets the lock
 * go, takes a segment from the region, makes it a slab, takes the lock again, enters the slab and
 * goes on. A free puts objects back under the lock; a slab that has all its objects leaves lists
 * and table, and its segment goes to the region with the lock let go.
 *
 * Between layer and region a segment is in neither. Its objects are added to `moving` before it
 * leaves the one and taken off after it has come to the other, so mag_slab_available() may count
 * them twice but does not miss them. For the same reason in_use, out, allocs, frees and destroyed
 * are written in the order in which mag_slab_in() and mag_slab_out() need them.
 */

#include <errno.h>

#include <rte_bitops.h>
#include <rte_branch_prediction.h>
#include <rte_common.h>

#include "base/counter.h"
#include "base/lock.h"
#include "base/meta.h"
#include "base/trace.h"
#include "home/common.h"
#include "home/slab.h"
#include "parts/segment.h"
#include "parts/table.h"
#include "sources/elastic_service.h"
#include "stores/region.h"

_Static_assert(sizeof(struct mag_slab) <= MAG_CONTROL_SEGMENT, "a segment has room for a slab");
_Static_assert(sizeof(struct mag_bufctl) == MAG_CONTROL_OBJECT, "8 bytes of metadata an object");

int
mag_slab_init(struct mag_slab_layer *layer, struct mag_region *region, uint32_t part,
	      uint64_t objects, int node)
{
	*layer = (struct mag_slab_layer){.region = region, .part = part};
	TAILQ_INIT(&layer->partial);
	TAILQ_INIT(&layer->full);
	return mag_table_init(&layer->table, mag_region_segment_span(region),
			      objects / region->block, node);
}

void
mag_slab_fini(struct mag_slab_layer *layer)
{
	mag_table_fini(&layer->table);
}

void
mag_slab_reset(struct mag_slab_layer *layer)
{
	mag_slab_lock(layer);
	mag_table_clear(&layer->table);
	TAILQ_INIT(&layer->partial);
	TAILQ_INIT(&layer->full);
	atomic_store_explicit(&layer->slabs_partial, 0, memory_order_relaxed);
	atomic_store_explicit(&layer->slabs_full, 0, memory_order_relaxed);
	/* Objects of slabs that are forgotten are not out any more. */
	MAG_COUNT_LOCKED(layer->frees, atomic_load_explicit(&layer->out, memory_order_relaxed));
	atomic_store_explicit(&layer->out, 0, memory_order_relaxed);
	atomic_store_explicit(&layer->moving, 0, memory_order_relaxed);
	atomic_store_explicit(&layer->in_use, 0, memory_order_relaxed);
	mag_lock_release(&layer->lock);
}

static void
list_add(struct mag_slab_layer *layer, struct mag_slab *slab, bool tail)
{
	if (slab->free == 0) {
		TAILQ_INSERT_TAIL(&layer->full, slab, link);
		MAG_COUNT_LOCKED(layer->slabs_full, 1);
		return;
	}
	if (tail)
		TAILQ_INSERT_TAIL(&layer->partial, slab, link);
	else
		TAILQ_INSERT_HEAD(&layer->partial, slab, link);
	MAG_COUNT_LOCKED(layer->slabs_partial, 1);
}

static void
list_remove(struct mag_slab_layer *layer, struct mag_slab *slab, bool was_full)
{
	if (was_full) {
		TAILQ_REMOVE(&layer->full, slab, link);
		MAG_COUNT_LOCKED(layer->slabs_full, -1u);
	} else {
		TAILQ_REMOVE(&layer->partial, slab, link);
		MAG_COUNT_LOCKED(layer->slabs_partial, -1u);
	}
}

/* A slab over a segment that is ours alone; no lock held, bufctls are all FREE. */
static struct mag_slab *
slab_make(struct mag_slab_layer *layer, struct mag_segment *segment)
{
	struct mag_slab *slab = segment->control;

	mag_trace_slab_made(layer->region->name, segment->base, segment->count);
	slab->segment = segment;
	slab->layer = layer;
	slab->free = segment->count;
	slab->first_free = MAG_NO_OBJECT;
	slab->fresh = 0;
	return slab;
}

static void
in_use_add(struct mag_slab_layer *layer, uint64_t objects)
{
	uint64_t in_use;

	MAG_COUNT_LOCKED(layer->in_use, objects);
	in_use = atomic_load_explicit(&layer->in_use, memory_order_relaxed);
	if (in_use > atomic_load_explicit(&layer->in_use_max, memory_order_relaxed))
		atomic_store_explicit(&layer->in_use_max, in_use, memory_order_relaxed);
}

/* Under the lock, after slab_make(). */
static void
slab_enter(struct mag_slab_layer *layer, struct mag_slab *slab)
{
	mag_table_insert(&layer->table, slab->segment, slab->entry);
	MAG_COUNT_LOCKED(layer->created, 1);
	in_use_add(layer, slab->segment->count);
	mag_commit();
	slab->segment->place = MAG_SEGMENT_SLAB;
}

static void *
slab_take(struct mag_slab *slab)
{
	uint32_t index = slab->first_free;

	if (index != MAG_NO_OBJECT)
		slab->first_free = slab->bufctl[index].next;
	else
		index = slab->fresh++;
	slab->bufctl[index].state = MAG_BUFCTL_OUT;
	slab->free--;
	return (void *)mag_segment_object(slab->segment, index);
}

/* Fill objects from partial slabs; under the lock. */
static unsigned int
take_from_partial(struct mag_slab_layer *layer, void **objects, unsigned int n)
{
	struct mag_slab *slab;
	unsigned int got = 0;

	while (got < n && (slab = TAILQ_FIRST(&layer->partial)) != NULL) {
		while (got < n && slab->free > 0)
			objects[got++] = slab_take(slab);
		if (slab->free == 0) {
			list_remove(layer, slab, false);
			list_add(layer, slab, false);
		}
	}
	MAG_COUNT_LOCKED(layer->out, got);
	MAG_COUNT_LOCKED(layer->allocs, got);
	return got;
}

uint64_t
mag_slab_available(const struct mag_slab_layer *layer)
{
	/* acquire: pairs with moving_end(): what has stopped moving is counted below */
	uint64_t sum = atomic_load_explicit(&layer->moving, memory_order_acquire);
	uint64_t in_use = atomic_load_explicit(&layer->in_use, memory_order_relaxed);
	uint64_t out = atomic_load_explicit(&layer->out, memory_order_relaxed);

	sum += atomic_load_explicit(&layer->region->part[layer->part].objects_free,
				    memory_order_relaxed);
	return in_use > out ? sum + in_use - out : sum;
}

static uint64_t
counted(const _Atomic uint64_t *counter)
{
	/*
	 * acquire: what is read next is not older; pairs with the releases of the lock and in
	 * slab_give()
	 */
	return atomic_load_explicit(counter, memory_order_acquire);
}

/*
 * A slab that left counts as a whole one; where it was none, the difference is only smaller. Slabs
 * that left are read before in_use, which has lost their objects by then.
 */
uint64_t
mag_slab_in(const struct mag_slab_layer *layer)
{
	const struct mag_region *region = layer->region;
	uint64_t sum = counted(&layer->destroyed) * region->block;

	/* All that there is is out, one by one. */
	if (mag_slab_is_intrinsic(layer))
		return counted(&layer->allocs);
	sum += counted(&layer->in_use) + counted(&layer->frees);
	return sum + counted(&region->part[layer->part].objects_free);
}

uint64_t
mag_slab_out(const struct mag_slab_layer *layer)
{
	return counted(&layer->destroyed) * layer->region->block + counted(&layer->allocs);
}

static void
moving_begin(struct mag_slab_layer *layer, uint64_t objects)
{
	mag_hands_begin();
	atomic_fetch_add_explicit(&layer->moving, objects, memory_order_relaxed);
	/*
	 * release: a reader that misses the objects, and then reads moving, sees this; free on x86
	 */
	atomic_thread_fence(memory_order_release);
}

static void
moving_end(struct mag_slab_layer *layer, uint64_t objects)
{
	/* release: pairs with the acquire in mag_slab_available() */
	atomic_fetch_sub_explicit(&layer->moving, objects, memory_order_release);
	mag_hands_end();
}

static unsigned int
system_alloc(struct mag_slab_layer *layer, void **objects, unsigned int n,
	     struct mag_common *common, struct mag_request *request)
{
	const struct mag_region *region = layer->region;
	unsigned int got;

	for (got = 0; got < n; got++) {
		objects[got] = mag_meta_zalloc_aligned(region->object_size, region->align,
						       region->part[0].node);
		if (objects[got] == NULL)
			break;
	}
	mag_slab_lock(layer);
	MAG_COUNT_LOCKED(layer->out, got);
	MAG_COUNT_LOCKED(layer->allocs, got);
	in_use_add(layer, got);
	if (got < n)
		MAG_COUNT_LOCKED(layer->fails, 1);
	if (got < n && request != NULL)
		mag_request_hold(common, request, got);
	mag_lock_release(&layer->lock);
	MAG_STAT_ADD(layer->region->objects, got);
	if (unlikely(got < n))
		mag_elastic_shortage();
	return got;
}

static unsigned int
system_free(struct mag_slab_layer *layer, void *const *objects, unsigned int n)
{
	unsigned int i;

	MAG_STAT_ADD(layer->region->objects, -(uint64_t)n);
	mag_slab_lock(layer);
	MAG_COUNT_LOCKED(layer->out, -(uint64_t)n);
	MAG_COUNT_LOCKED(layer->frees, n);
	MAG_COUNT_LOCKED(layer->in_use, -(uint64_t)n);
	mag_lock_release(&layer->lock);
	for (i = 0; i < n; i++)
		mag_meta_free(objects[i]);
	return n;
}

unsigned int
mag_slab_alloc(struct mag_slab_layer *layer, void **objects, unsigned int n,
	       struct mag_common *common, struct mag_request *request)
{
	struct mag_segment *segment;
	struct mag_slab *slab;
	unsigned int got;

	if (unlikely(mag_slab_is_intrinsic(layer)))
		return system_alloc(layer, objects, n, common, request);
	/* Before `moving` is touched, so that a failed look forces no recount. */
	if (unlikely(mag_slab_available(layer) == 0)) {
		mag_elastic_keep_reserve(layer->region, layer->part);
		return 0;
	}
	mag_slab_lock(layer);
	got = take_from_partial(layer, objects, n);
	while (got < n) {
		mag_lock_release(&layer->lock);
		moving_begin(layer, layer->region->block);
		segment = mag_region_get(layer->region, layer->part);
		mag_elastic_keep_reserve(layer->region, layer->part);
		slab = segment != NULL ? slab_make(layer, segment) : NULL;
		mag_slab_lock(layer);
		if (slab != NULL) {
			slab_enter(layer, slab);
			list_add(layer, slab, false);
		}
		moving_end(layer, layer->region->block);
		if (slab == NULL && TAILQ_EMPTY(&layer->partial)) {
			MAG_COUNT_LOCKED(layer->fails, 1);
			break;
		}
		got += take_from_partial(layer, objects + got, n - got);
	}
	if (got < n && request != NULL)
		mag_request_hold(common, request, got);
	mag_lock_release(&layer->lock);
	return got;
}

/* Segments move until they are slabs, or back: others know that they may come back. */
static bool
whole_segments_take(struct mag_slab_layer *layer, void **segments, unsigned int n)
{
	struct mag_region *region = layer->region;
	unsigned int got;

	/* Before `moving` is touched, so that a failed look forces no recount. */
	if (MAG_STAT(region->part[layer->part].objects_free) < (uint64_t)n * region->block)
		return false;
	moving_begin(layer, (uint64_t)n * region->block);
	for (got = 0; got < n; got++) {
		segments[got] = mag_region_get_whole(region, layer->part);
		mag_elastic_keep_reserve(region, layer->part);
		if (segments[got] == NULL)
			break;
	}
	if (got == n)
		return true;
	while (got > 0)
		mag_region_put(region, segments[--got]);
	moving_end(layer, (uint64_t)n * region->block);
	return false;
}

int
mag_slab_alloc_blocks(struct mag_slab_layer *layer, void **first, unsigned int n)
{
	struct mag_slab *slab;
	unsigned int got;

	if (!whole_segments_take(layer, first, n))
		return -ENOBUFS;
	mag_slab_lock(layer);
	for (got = 0; got < n; got++) {
		slab = slab_make(layer, first[got]);
		slab_enter(layer, slab);
		first[got] = (void *)slab->segment->base;
		MAG_COUNT_LOCKED(layer->out, slab->free);
		MAG_COUNT_LOCKED(layer->allocs, slab->free);
		while (slab->free > 0)
			slab_take(slab);
		list_add(layer, slab, false);
	}
	moving_end(layer, (uint64_t)n * layer->region->block);
	mag_lock_release(&layer->lock);
	return 0;
}

/*
 * Put one object back; true when its slab has become empty and left the lists: its segment
 * then moves until it is back in the region.
 */
static bool
slab_give(struct mag_slab_layer *layer, struct mag_slab *slab, uint32_t index)
{
	bool was_full = slab->free == 0;

	slab->bufctl[index].state = MAG_BUFCTL_FREE;
	slab->bufctl[index].next = slab->first_free;
	slab->first_free = (uint16_t)index;
	slab->free++;
	if (slab->free == slab->segment->count) {
		moving_begin(layer, layer->region->block);
		list_remove(layer, slab, was_full);
		mag_table_remove(&layer->table, slab->segment, slab->entry);
		MAG_COUNT_LOCKED(layer->in_use, -(uint64_t)slab->segment->count);
		/*
		 * release: who counts the slab as gone does not see its objects; pairs with
		 * mag_slab_in()
		 */
		atomic_thread_fence(memory_order_release);
		MAG_COUNT_LOCKED(layer->destroyed, 1);
		slab->segment->place = MAG_SEGMENT_MOVING;
		return true;
	}
	if (was_full) {
		list_remove(layer, slab, true);
		list_add(layer, slab, true);
	}
	return false;
}

static bool
bufctl_is_out(const struct mag_slab *slab, uint32_t index)
{
	return slab->bufctl[index].state == MAG_BUFCTL_OUT && slab->bufctl[index].uses == 0;
}

/* Put one back, if it is out; empty: its slab, if that has become so. */
static bool
object_free(struct mag_slab_layer *layer, void *object, struct mag_slab **slab,
	    struct mag_slab **empty)
{
	uint32_t index;

	if (*slab == NULL || !mag_segment_index((*slab)->segment, (uintptr_t)object, &index))
		*slab = mag_slab_of(layer, (uintptr_t)object, &index);
	if (unlikely(*slab == NULL || !bufctl_is_out(*slab, index))) {
		MAG_COUNT_LOCKED(layer->invalid, 1);
		return false;
	}
	MAG_COUNT_LOCKED(layer->out, -(uint64_t)1);
	MAG_COUNT_LOCKED(layer->frees, 1);
	if (slab_give(layer, *slab, index)) {
		*empty = *slab;
		*slab = NULL;
	}
	return true;
}

static void
empty_put(struct mag_slab_layer *layer, struct mag_slab *empty, struct mag_magazine *draining)
{
	layer->draining = NULL;
	mag_lock_release(&layer->lock);
	mag_trace_slab_emptied(layer->region->name, empty->segment->base, empty->segment->count);
	mag_region_put(layer->region, empty->segment);
	moving_end(layer, layer->region->block);
	mag_slab_lock(layer);
	layer->draining = draining;
}

unsigned int
mag_slab_free(struct mag_slab_layer *layer, void *const *objects, unsigned int n,
	      struct mag_magazine *magazine)
{
	struct mag_slab *slab = NULL, *empty = NULL;
	unsigned int i, good = 0;

	if (unlikely(mag_slab_is_intrinsic(layer)))
		return system_free(layer, objects, n);
	mag_slab_lock(layer);
	layer->draining = magazine;
	for (i = n; i-- > 0; empty = NULL) {
		good += object_free(layer, objects[i], &slab, &empty);
		if (magazine != NULL) {
			mag_commit();
			MAG_STORE(&magazine->held, (uint16_t)i, MAG_RELAXED);
		}
		if (unlikely(empty != NULL))
			empty_put(layer, empty, magazine);
	}
	layer->draining = NULL;
	mag_lock_release(&layer->lock);
	return good;
}

uint32_t
mag_slab_rescale_want(const struct mag_slab_layer *layer)
{
	uint32_t slabs = atomic_load_explicit(&layer->slabs_partial, memory_order_relaxed) +
			 atomic_load_explicit(&layer->slabs_full, memory_order_relaxed);

	return mag_table_size_wanted(&layer->table, slabs);
}

static void
table_refill(struct mag_slab_layer *layer, struct mag_slab_list *list)
{
	struct mag_slab *slab;

	TAILQ_FOREACH(slab, list, link)
		mag_table_insert(&layer->table, slab->segment, slab->entry);
}

void
mag_slab_rescale(struct mag_slab_layer *layer, uint32_t size, int node)
{
	struct mag_table_entry **bucket = mag_table_alloc(size, node), **old;

	if (bucket == NULL)
		return;
	mag_slab_lock(layer);
	old = mag_table_replace(&layer->table, bucket, size);
	table_refill(layer, &layer->partial);
	table_refill(layer, &layer->full);
	MAG_COUNT_LOCKED(layer->rescales, 1);
	mag_lock_release(&layer->lock);
	mag_meta_free(old);
}
