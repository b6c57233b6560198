/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdint.h>

#include <rte_branch_prediction.h>
#include <rte_common.h>

#include "base/counter.h"
#include "base/lock.h"
#include "home/slab.h"
#include "home/slab_objects.h"
#include "mag_memtag.h"
#include "parts/segment.h"
#include "parts/table.h"
#include "stores/ledger.h"

/*
 * Objects that are looked at with the lock held once, when all that are with users are looked for.
 */
#define HELD_STEP 512u

static void
object_describe(const struct mag_slab_layer *layer, struct mag_slab_object *found)
{
	const struct mag_segment *segment = found->slab->segment;

	found->address = (void *)mag_segment_object(segment, found->index);
	found->bufctl = &found->slab->bufctl[found->index];
	found->uses = found->bufctl->uses;
	found->region_index = (uint64_t)segment->index * layer->region->block + found->index;
}

bool
mag_slab_find(struct mag_slab_layer *layer, const void *address, struct mag_slab_object *found)
{
	bool out;

	if (unlikely(mag_slab_is_intrinsic(layer))) {
		*found = (struct mag_slab_object){.address = (void *)(uintptr_t)address};
		return true;
	}
	mag_slab_lock(layer);
	found->slab = mag_slab_of(layer, (uintptr_t)address, &found->index);
	out = found->slab != NULL && found->slab->bufctl[found->index].state != MAG_BUFCTL_FREE;
	if (out)
		object_describe(layer, found);
	mag_lock_release(&layer->lock);
	return out;
}

/* In the ledger, where there is one: NULL if not. */
static struct mag_ledger_entry *
ledger_entry(const struct mag_slab_layer *layer, const struct mag_slab *slab, uint32_t index)
{
	const struct mag_mirror_owner *ledger = layer->region->ledger;

	return ledger == NULL ?
		       NULL :
		       mag_ledger_find(ledger,
				       (const void *)mag_segment_object(slab->segment, index));
}

/* Has a user it, in a cache that is guarded? */
static bool
is_users(const struct mag_slab_layer *layer, const struct mag_slab *slab, uint32_t index)
{
	const struct mag_ledger_entry *entry = ledger_entry(layer, slab, index);
	uint8_t state = slab->bufctl[index].state;

	if (entry == NULL)
		return state == MAG_BUFCTL_USER;
	return state != MAG_BUFCTL_FREE && (MAG_STAT(entry->object) & MAG_LEDGER_USER) != 0;
}

/* It is the cache's again; false: it was no user's, as another thread came first. */
static bool
take_back(const struct mag_slab_layer *layer, struct mag_slab *slab, uint32_t index)
{
	struct mag_ledger_entry *entry = ledger_entry(layer, slab, index);

	slab->bufctl[index].state = MAG_BUFCTL_OUT;
	return entry == NULL ||
	       (atomic_fetch_and_explicit(&entry->object, ~MAG_LEDGER_USER, memory_order_relaxed) &
		MAG_LEDGER_USER) != 0;
}

void
mag_slab_hand_out(struct mag_slab_layer *layer, void *const *objects, unsigned int n)
{
	struct mag_slab *slab;
	uint32_t index;
	unsigned int i;

	mag_slab_lock(layer);
	for (i = 0; i < n; i++) {
		slab = mag_slab_of(layer, (uintptr_t)objects[i], &index);
		if (likely(slab != NULL))
			slab->bufctl[index].state = MAG_BUFCTL_USER;
	}
	mag_lock_release(&layer->lock);
}

/* As far as it can be told: of a cache that is not guarded it may lie in a magazine. */
static bool
is_with_user(const struct mag_slab_layer *layer, const struct mag_slab *slab, uint32_t index,
	     bool guarded)
{
	return guarded ? is_users(layer, slab, index) :
			 slab->bufctl[index].state != MAG_BUFCTL_FREE;
}

/* Under the lock: what is at the address. GOOD if it is an object that is out. */
static enum mag_slab_verdict
look_at(struct mag_slab_layer *layer, uintptr_t address, struct mag_slab_object *found)
{
	struct mag_segment *segment;

	found->slab = mag_slab_of(layer, address, &found->index);
	if (found->slab == NULL) {
		segment = mag_table_find_inside(&layer->table, address, layer->region->stride,
						&found->index);
		if (segment == NULL)
			return MAG_SLAB_FOREIGN;
		found->slab = segment->control;
		object_describe(layer, found);
		return MAG_SLAB_INSIDE;
	}
	object_describe(layer, found);
	return MAG_SLAB_GOOD;
}

static enum mag_slab_verdict
hand_back(struct mag_slab_layer *layer, uintptr_t address, bool guarded,
	  struct mag_slab_object *found)
{
	enum mag_slab_verdict verdict = look_at(layer, address, found);

	if (verdict != MAG_SLAB_GOOD)
		return verdict;
	if (!is_with_user(layer, found->slab, found->index, guarded))
		return MAG_SLAB_FREED;
	if (found->bufctl->uses != 0)
		return MAG_SLAB_USED;
	if (guarded && !take_back(layer, found->slab, found->index))
		return MAG_SLAB_FREED;
	return MAG_SLAB_GOOD;
}

enum mag_slab_verdict
mag_slab_hand_back(struct mag_slab_layer *layer, const void *object, bool guarded,
		   struct mag_slab_object *found)
{
	enum mag_slab_verdict verdict;

	*found = (struct mag_slab_object){.address = NULL};
	mag_slab_lock(layer);
	verdict = hand_back(layer, mag_memtag_strip((uintptr_t)object), guarded, found);
	if (verdict != MAG_SLAB_GOOD)
		MAG_COUNT_LOCKED(layer->invalid, 1);
	mag_lock_release(&layer->lock);
	return verdict;
}

enum mag_slab_verdict
mag_slab_refuse(struct mag_slab_layer *layer, const void *object, struct mag_slab_object *found)
{
	enum mag_slab_verdict verdict;

	*found = (struct mag_slab_object){.address = NULL};
	mag_slab_lock(layer);
	verdict = look_at(layer, mag_memtag_strip((uintptr_t)object), found);
	MAG_COUNT_LOCKED(layer->invalid, 1);
	mag_lock_release(&layer->lock);
	return verdict == MAG_SLAB_GOOD ? MAG_SLAB_FREED : verdict;
}

int
mag_slab_use(struct mag_slab_layer *layer, const void *object, bool guarded, int change,
	     uint32_t max, uint32_t *left)
{
	struct mag_slab *slab;
	uint32_t index;
	int64_t uses;
	int ret = -EINVAL;

	mag_slab_lock(layer);
	slab = mag_slab_of(layer, (uintptr_t)object, &index);
	if (slab != NULL && is_with_user(layer, slab, index, guarded)) {
		uses = (int64_t)slab->bufctl[index].uses + change;
		ret = uses < 0 || uses > max ? -ERANGE : 0;
		if (ret == 0)
			slab->bufctl[index].uses = (uint32_t)uses;
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

/* One slab, or HELD_STEP objects of it, or the step to the next bucket; under the lock. */
static unsigned int
place_held(const struct mag_slab_layer *layer, struct place *place, void **objects,
	   unsigned int max)
{
	const struct mag_segment *segment =
		mag_table_next(&layer->table, place->bucket, place->base);
	const struct mag_slab *slab;
	unsigned int n = 0;
	uint32_t end;

	if (segment == NULL) {
		place->bucket++;
		place->base = 0;
		place->index = 0;
		return 0;
	}
	if (segment->base != place->base) {
		place->base = segment->base;
		place->index = 0;
	}
	slab = segment->control;
	end = RTE_MIN(segment->count, place->index + HELD_STEP);
	for (; place->index < end && n < max; place->index++)
		if (is_users(layer, slab, place->index))
			objects[n++] = (void *)mag_segment_object(segment, place->index);
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
		mag_slab_lock(layer);
		/* In another table slabs are in other buckets: from the beginning. */
		if (MAG_STAT(layer->rescales) != place.rescales) {
			place = (struct place){.rescales = MAG_STAT(layer->rescales)};
			n = 0;
		}
		more = place.bucket < MAG_STAT(layer->table.size);
		if (more)
			n += place_held(layer, &place, objects + n, max - n);
		mag_lock_release(&layer->lock);
	}
	return n;
}
