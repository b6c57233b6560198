/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include <rte_bitops.h>
#include <rte_branch_prediction.h>
#include <rte_common.h>

#include "counter.h"
#include "elastic_service.h"
#include "meta.h"
#include "slab.h"

#define TABLE_INITIAL 64u
#define TABLE_MAX 8192u
#define NO_OBJECT UINT16_MAX
/*
 * Objects that are looked at with the lock held once, when all that are with users are looked for.
 */
#define HELD_STEP 512u

_Static_assert(sizeof(struct mag_slab) <= MAG_CONTROL_SEGMENT, "a segment has room for a slab");
_Static_assert(sizeof(struct mag_bufctl) == MAG_CONTROL_OBJECT, "8 bytes of metadata an object");

static uint32_t
table_size(const struct mag_slab_layer *layer)
{
	return atomic_load_explicit(&layer->table_size, memory_order_relaxed);
}

static uint32_t
table_size_for(uint64_t in_use, uint32_t min)
{
	uint64_t size = 1ull << (64 - __builtin_clzll(3 * in_use + 4) - 2);

	return RTE_MIN(RTE_MAX(size, (uint64_t)min), (uint64_t)TABLE_MAX);
}

int
mag_slab_init(struct mag_slab_layer *layer, struct mag_region *region, uint32_t part,
	      uint64_t objects, int node)
{
	*layer = (struct mag_slab_layer){.region = region, .part = part};
	layer->shift = rte_log2_u64(mag_region_segment_span(region));
	layer->table_min = table_size_for(objects / region->block, TABLE_INITIAL);
	atomic_init(&layer->table_size, layer->table_min);
	layer->table = mag_meta_zalloc(layer->table_min * sizeof(layer->table[0]), node);
	TAILQ_INIT(&layer->partial);
	TAILQ_INIT(&layer->full);
	return layer->table != NULL ? 0 : -ENOMEM;
}

void
mag_slab_fini(struct mag_slab_layer *layer)
{
	mag_meta_free(layer->table);
	layer->table = NULL;
}

void
mag_slab_reset(struct mag_slab_layer *layer)
{
	uint32_t i;

	mag_lock_wait(&layer->lock);
	for (i = 0; i < table_size(layer); i++)
		layer->table[i] = NULL;
	TAILQ_INIT(&layer->partial);
	TAILQ_INIT(&layer->full);
	atomic_store_explicit(&layer->slabs_partial, 0, memory_order_relaxed);
	atomic_store_explicit(&layer->slabs_full, 0, memory_order_relaxed);
	/* What is forgotten is not out any more. */
	MAG_COUNT_LOCKED(layer->frees, atomic_load_explicit(&layer->out, memory_order_relaxed));
	atomic_store_explicit(&layer->out, 0, memory_order_relaxed);
	atomic_store_explicit(&layer->moving, 0, memory_order_relaxed);
	atomic_store_explicit(&layer->in_use, 0, memory_order_relaxed);
	mag_lock_release(&layer->lock);
}

static struct mag_slab_entry **
bucket_of(const struct mag_slab_layer *layer, uintptr_t granule)
{
	return &layer->table[granule & (table_size(layer) - 1)];
}

static uintptr_t
slab_last_object(const struct mag_slab *slab)
{
	const struct mag_segment *segment = slab->segment;

	return segment->base + (uintptr_t)segment->stride * (segment->count - 1);
}

static void
entry_insert(struct mag_slab_layer *layer, struct mag_slab_entry *entry, uintptr_t granule)
{
	struct mag_slab_entry **bucket = bucket_of(layer, granule);

	entry->next = *bucket;
	*bucket = entry;
}

static void
entry_remove(struct mag_slab_layer *layer, struct mag_slab_entry *entry, uintptr_t granule)
{
	struct mag_slab_entry **at = bucket_of(layer, granule);

	while (*at != entry)
		at = &(*at)->next;
	*at = entry->next;
}

static void
table_insert(struct mag_slab_layer *layer, struct mag_slab *slab)
{
	uintptr_t first = slab->segment->base >> layer->shift;
	uintptr_t last = slab_last_object(slab) >> layer->shift;

	slab->entry[0].slab = slab;
	slab->entry[1].slab = slab;
	entry_insert(layer, &slab->entry[0], first);
	if (last != first)
		entry_insert(layer, &slab->entry[1], last);
}

static void
table_remove(struct mag_slab_layer *layer, struct mag_slab *slab)
{
	uintptr_t first = slab->segment->base >> layer->shift;
	uintptr_t last = slab_last_object(slab) >> layer->shift;

	entry_remove(layer, &slab->entry[0], first);
	if (last != first)
		entry_remove(layer, &slab->entry[1], last);
}

/* Is this the address of an object of the slab? */
static bool
slab_index(const struct mag_slab *slab, uintptr_t address, uint32_t *index)
{
	const struct mag_segment *segment = slab->segment;
	uintptr_t offset = address - segment->base;

	if (address < segment->base || address > slab_last_object(slab))
		return false;
	*index = segment->stride != 0 ? offset / segment->stride : 0;
	return *index * (uintptr_t)segment->stride == offset;
}

static struct mag_slab *
table_find(const struct mag_slab_layer *layer, uintptr_t address, uint32_t *index)
{
	const struct mag_slab_entry *entry;

	address = mag_memtag_strip(address);
	entry = *bucket_of(layer, address >> layer->shift);
	for (; entry != NULL; entry = entry->next)
		if (slab_index(entry->slab, address, index))
			return entry->slab;
	return NULL;
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
		MAG_COUNT_LOCKED(layer->slabs_full, -1);
	} else {
		TAILQ_REMOVE(&layer->partial, slab, link);
		MAG_COUNT_LOCKED(layer->slabs_partial, -1);
	}
}

/* A slab over a segment that is ours alone; no lock held, bufctls are all FREE. */
static struct mag_slab *
slab_make(struct mag_segment *segment)
{
	struct mag_slab *slab = segment->control;

	slab->segment = segment;
	slab->free = segment->count;
	slab->first_free = NO_OBJECT;
	slab->fresh = 0;
	return slab;
}

/* Of an intrinsic cache: neither slabs nor bufctls, all there is comes and goes one by one. */
static bool
is_intrinsic(const struct mag_slab_layer *layer)
{
	return layer->region->mode & MAG_REGION_PSEUDO;
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
	table_insert(layer, slab);
	MAG_COUNT_LOCKED(layer->created, 1);
	in_use_add(layer, slab->segment->count);
}

static void *
slab_take(struct mag_slab *slab)
{
	uint32_t index = slab->first_free;

	if (index != NO_OBJECT)
		slab->first_free = slab->bufctl[index].next;
	else
		index = slab->fresh++;
	slab->bufctl[index].state = MAG_BUFCTL_OUT;
	slab->free--;
	return (void *)(slab->segment->base + (uintptr_t)index * slab->segment->stride);
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
	if (is_intrinsic(layer))
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
	atomic_fetch_add_explicit(&layer->moving, objects, memory_order_relaxed);
	/* release: who sees the objects gone, and then reads moving, sees this; free on x86 */
	atomic_thread_fence(memory_order_release);
}

static void
moving_end(struct mag_slab_layer *layer, uint64_t objects)
{
	/* release: pairs with the acquire in mag_slab_available() */
	atomic_fetch_sub_explicit(&layer->moving, objects, memory_order_release);
}

static unsigned int
system_alloc(struct mag_slab_layer *layer, void **objects, unsigned int n,
	     _Atomic uint64_t *transit)
{
	const struct mag_region *region = layer->region;
	unsigned int got;

	for (got = 0; got < n; got++) {
		objects[got] = mag_meta_zalloc_aligned(region->object_size, region->align,
						       region->part[0].node);
		if (objects[got] == NULL)
			break;
	}
	mag_lock_spin(&layer->lock);
	MAG_COUNT_LOCKED(layer->out, got);
	MAG_COUNT_LOCKED(layer->allocs, got);
	in_use_add(layer, got);
	if (got < n)
		MAG_COUNT_LOCKED(layer->fails, 1);
	if (got < n && transit != NULL)
		atomic_fetch_add_explicit(transit, got, memory_order_relaxed);
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
	mag_lock_spin(&layer->lock);
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
	       _Atomic uint64_t *transit)
{
	struct mag_segment *segment;
	struct mag_slab *slab;
	unsigned int got;

	if (unlikely(is_intrinsic(layer)))
		return system_alloc(layer, objects, n, transit);
	/* Who finds nothing does not look like somebody who is moving objects. */
	if (unlikely(mag_slab_available(layer) == 0)) {
		mag_elastic_keep_reserve(layer->region, layer->part);
		return 0;
	}
	mag_lock_spin(&layer->lock);
	got = take_from_partial(layer, objects, n);
	while (got < n) {
		mag_lock_release(&layer->lock);
		moving_begin(layer, layer->region->block);
		segment = mag_region_get(layer->region, layer->part);
		mag_elastic_keep_reserve(layer->region, layer->part);
		slab = segment != NULL ? slab_make(segment) : NULL;
		mag_lock_spin(&layer->lock);
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
	if (got < n && transit != NULL)
		/* Ordered before what comes next by the release of the lock. */
		atomic_fetch_add_explicit(transit, got, memory_order_relaxed);
	mag_lock_release(&layer->lock);
	return got;
}

/* Segments move until they are slabs, or back: others know that they may come back. */
static bool
whole_segments_take(struct mag_slab_layer *layer, void **segments, unsigned int n)
{
	struct mag_region *region = layer->region;
	unsigned int got;

	/* Who cannot succeed does not look like somebody who is moving objects. */
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
	mag_lock_spin(&layer->lock);
	for (got = 0; got < n; got++) {
		slab = slab_make(first[got]);
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
	slab->first_free = index;
	slab->free++;
	if (slab->free == slab->segment->count) {
		moving_begin(layer, layer->region->block);
		list_remove(layer, slab, was_full);
		table_remove(layer, slab);
		MAG_COUNT_LOCKED(layer->in_use, -(uint64_t)slab->segment->count);
		/*
		 * release: who counts the slab as gone does not see its objects; pairs with
		 * mag_slab_in()
		 */
		atomic_thread_fence(memory_order_release);
		MAG_COUNT_LOCKED(layer->destroyed, 1);
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

unsigned int
mag_slab_free(struct mag_slab_layer *layer, void *const *objects, unsigned int n)
{
	struct mag_slab *slab = NULL, *empty;
	unsigned int i, good = 0;
	uint32_t index;

	if (unlikely(is_intrinsic(layer)))
		return system_free(layer, objects, n);
	mag_lock_spin(&layer->lock);
	for (i = 0; i < n; i++) {
		if (slab == NULL || !slab_index(slab, (uintptr_t)objects[i], &index))
			slab = table_find(layer, (uintptr_t)objects[i], &index);
		if (unlikely(slab == NULL || !bufctl_is_out(slab, index))) {
			MAG_COUNT_LOCKED(layer->invalid, 1);
			continue;
		}
		good++;
		MAG_COUNT_LOCKED(layer->out, -(uint64_t)1);
		MAG_COUNT_LOCKED(layer->frees, 1);
		if (!slab_give(layer, slab, index))
			continue;
		empty = slab;
		slab = NULL;
		mag_lock_release(&layer->lock);
		mag_region_put(layer->region, empty->segment);
		moving_end(layer, layer->region->block);
		mag_lock_spin(&layer->lock);
	}
	mag_lock_release(&layer->lock);
	return good;
}

static void
object_describe(const struct mag_slab_layer *layer, struct mag_slab_object *found)
{
	const struct mag_segment *segment = found->slab->segment;

	found->address = (void *)(segment->base + (uintptr_t)segment->stride * found->index);
	found->bufctl = &found->slab->bufctl[found->index];
	found->uses = found->bufctl->uses;
	found->region_index = (uint64_t)segment->index * layer->region->block + found->index;
}

bool
mag_slab_find(struct mag_slab_layer *layer, const void *address, struct mag_slab_object *found)
{
	bool out;

	if (unlikely(is_intrinsic(layer))) {
		*found = (struct mag_slab_object){.address = (void *)(uintptr_t)address};
		return true;
	}
	mag_lock_spin(&layer->lock);
	found->slab = table_find(layer, (uintptr_t)address, &found->index);
	out = found->slab != NULL && found->slab->bufctl[found->index].state != MAG_BUFCTL_FREE;
	if (out)
		object_describe(layer, found);
	mag_lock_release(&layer->lock);
	return out;
}

void
mag_slab_hand_out(struct mag_slab_layer *layer, void *const *objects, unsigned int n)
{
	struct mag_slab *slab;
	uint32_t index;
	unsigned int i;

	mag_lock_spin(&layer->lock);
	for (i = 0; i < n; i++) {
		slab = table_find(layer, (uintptr_t)objects[i], &index);
		if (likely(slab != NULL))
			slab->bufctl[index].state = MAG_BUFCTL_USER;
	}
	mag_lock_release(&layer->lock);
}

/* The slab whose objects, or the gaps between them, have this address. */
static struct mag_slab *
granule_find_inside(const struct mag_slab_layer *layer, uintptr_t granule, uintptr_t address,
		    uint32_t *index)
{
	const struct mag_slab_entry *entry = *bucket_of(layer, granule);
	const struct mag_segment *segment;

	for (; entry != NULL; entry = entry->next) {
		segment = entry->slab->segment;
		if (address < segment->base ||
		    address >= slab_last_object(entry->slab) + layer->region->stride)
			continue;
		*index = segment->stride != 0 ? (address - segment->base) / segment->stride : 0;
		return entry->slab;
	}
	return NULL;
}

/* The table knows a slab by where objects begin: the last one may reach into the next granule. */
static struct mag_slab *
table_find_inside(const struct mag_slab_layer *layer, uintptr_t address, uint32_t *index)
{
	uintptr_t granule = address >> layer->shift;
	struct mag_slab *slab = granule_find_inside(layer, granule, address, index);

	return slab != NULL ? slab : granule_find_inside(layer, granule - 1, address, index);
}

/* As far as it can be told: of a cache that is not guarded it may lie in a magazine. */
static bool
is_with_user(const struct mag_bufctl *bufctl, bool guarded)
{
	return guarded ? bufctl->state == MAG_BUFCTL_USER : bufctl->state != MAG_BUFCTL_FREE;
}

static enum mag_slab_verdict
hand_back(struct mag_slab_layer *layer, uintptr_t address, bool guarded,
	  struct mag_slab_object *found)
{
	struct mag_bufctl *bufctl;

	found->slab = table_find(layer, address, &found->index);
	if (found->slab == NULL) {
		found->slab = table_find_inside(layer, address, &found->index);
		if (found->slab == NULL)
			return MAG_SLAB_FOREIGN;
		object_describe(layer, found);
		return MAG_SLAB_INSIDE;
	}
	object_describe(layer, found);
	bufctl = found->bufctl;
	if (!is_with_user(bufctl, guarded))
		return MAG_SLAB_FREED;
	if (bufctl->uses != 0)
		return MAG_SLAB_USED;
	bufctl->state = MAG_BUFCTL_OUT;
	return MAG_SLAB_GOOD;
}

enum mag_slab_verdict
mag_slab_hand_back(struct mag_slab_layer *layer, const void *object, bool guarded,
		   struct mag_slab_object *found)
{
	enum mag_slab_verdict verdict;

	*found = (struct mag_slab_object){.address = NULL};
	mag_lock_spin(&layer->lock);
	verdict = hand_back(layer, mag_memtag_strip((uintptr_t)object), guarded, found);
	if (verdict != MAG_SLAB_GOOD)
		MAG_COUNT_LOCKED(layer->invalid, 1);
	mag_lock_release(&layer->lock);
	return verdict;
}

int
mag_slab_use(struct mag_slab_layer *layer, const void *object, bool guarded, int change,
	     uint32_t max, uint32_t *left)
{
	struct mag_slab *slab;
	uint32_t index;
	int64_t uses;
	int ret = -EINVAL;

	mag_lock_spin(&layer->lock);
	slab = table_find(layer, (uintptr_t)object, &index);
	if (slab != NULL && is_with_user(&slab->bufctl[index], guarded)) {
		uses = (int64_t)slab->bufctl[index].uses + change;
		ret = uses < 0 || uses > max ? -ERANGE : 0;
		if (ret == 0)
			slab->bufctl[index].uses = uses;
		*left = slab->bufctl[index].uses;
	}
	mag_lock_release(&layer->lock);
	return ret;
}

/* Where a walk over all objects is: slabs come and go while it holds no lock. */
struct place {
	uint32_t bucket;
	uintptr_t base; /* of the slab in the bucket; buckets are walked by ascending base */
	uint32_t index; /* next object of it */
	uint32_t rescales;
};

/*
 * The slab at this place, or the next one of its bucket: each slab is in one bucket by its first
 * entry.
 */
static const struct mag_slab *
place_slab(const struct mag_slab_layer *layer, struct place *place)
{
	const struct mag_slab_entry *entry;
	const struct mag_slab *slab = NULL;

	for (entry = layer->table[place->bucket]; entry != NULL; entry = entry->next)
		if (entry == &entry->slab->entry[0] && entry->slab->segment->base >= place->base &&
		    (slab == NULL || entry->slab->segment->base < slab->segment->base))
			slab = entry->slab;
	if (slab != NULL && slab->segment->base != place->base) {
		place->base = slab->segment->base;
		place->index = 0;
	}
	return slab;
}

/* One slab, or HELD_STEP objects of it, or the step to the next bucket; under the lock. */
static unsigned int
place_held(const struct mag_slab_layer *layer, struct place *place, void **objects,
	   unsigned int max)
{
	const struct mag_slab *slab = place_slab(layer, place);
	const struct mag_segment *segment;
	unsigned int n = 0;
	uint32_t end;

	if (slab == NULL) {
		place->bucket++;
		place->base = 0;
		place->index = 0;
		return 0;
	}
	segment = slab->segment;
	end = RTE_MIN(segment->count, place->index + HELD_STEP);
	for (; place->index < end && n < max; place->index++)
		if (slab->bufctl[place->index].state == MAG_BUFCTL_USER)
			objects[n++] =
				(void *)(segment->base + (uintptr_t)place->index * segment->stride);
	if (place->index >= segment->count) {
		place->base++;
		place->index = 0;
	}
	return n;
}

unsigned int
mag_slab_held(struct mag_slab_layer *layer, void **objects, unsigned int max)
{
	struct place place = {.rescales = MAG_STAT(layer->rescales)};
	unsigned int n = 0;
	bool more = true;

	while (n < max && more) {
		mag_lock_wait(&layer->lock);
		/* In another table slabs are in other buckets: from the beginning. */
		if (MAG_STAT(layer->rescales) != place.rescales) {
			place = (struct place){.rescales = MAG_STAT(layer->rescales)};
			n = 0;
		}
		more = place.bucket < table_size(layer);
		if (more)
			n += place_held(layer, &place, objects + n, max - n);
		mag_lock_release(&layer->lock);
	}
	return n;
}

uint32_t
mag_slab_rescale_want(const struct mag_slab_layer *layer)
{
	uint32_t slabs = atomic_load_explicit(&layer->slabs_partial, memory_order_relaxed) +
			 atomic_load_explicit(&layer->slabs_full, memory_order_relaxed);
	uint32_t size = table_size(layer), mask = size - 1, want;

	if (!(slabs > 2 * mask && size < TABLE_MAX) &&
	    !(slabs < mask / 2 && size > layer->table_min))
		return 0;
	want = table_size_for(slabs, layer->table_min);
	return want >= size / 2 && want <= size * 2 ? 0 : want;
}

static void
table_refill(struct mag_slab_layer *layer, struct mag_slab_list *list)
{
	struct mag_slab *slab;

	TAILQ_FOREACH(slab, list, link)
		table_insert(layer, slab);
}

void
mag_slab_rescale(struct mag_slab_layer *layer, uint32_t size, int node)
{
	struct mag_slab_entry **table = mag_meta_zalloc(size * sizeof(*table), node), **old;

	if (table == NULL)
		return;
	mag_lock_wait(&layer->lock);
	old = layer->table;
	layer->table = table;
	atomic_store_explicit(&layer->table_size, size, memory_order_relaxed);
	table_refill(layer, &layer->partial);
	table_refill(layer, &layer->full);
	MAG_COUNT_LOCKED(layer->rescales, 1);
	mag_lock_release(&layer->lock);
	mag_meta_free(old);
}
