/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_SLAB_H
#define MAG_SLAB_H

/*
 * The slab layer (specification): segments of a region cut into objects, one control record
 * (bufctl) per object, and a table that finds the slab of an address (table.h).
 *
 * Nothing is ever stored in an object: the free list of a slab is a chain of object indices in the
 * bufctls. Address, slab and region index of an object are computed, not stored. The record of a
 * slab is in its segment's control room.
 *
 * A slab with free and with allocated objects is on the partial list, one without free ones on the
 * full list, one without allocated ones goes back to the region. Allocation takes from the head of
 * the partial list; a full slab that gets an object back goes to its tail.
 *
 * The lock guards lists, table and bufctls. It is held for a bulk of objects at most, and not while
 * a segment comes from or goes to the region: objects of such a segment are counted in `moving`, so
 * that a thread that counts what is free does not miss them. This is the one layer in which a
 * thread may have to wait for another.
 *
 * The layer of an intrinsic cache has neither slabs nor bufctls: its objects come from EAL's heap
 * one by one.
 *
 * In a debugger: lock.holder; in_use - out is what the slabs have free; moving is 0 when nobody is
 * inside; a slab's bufctl[i].state says where object i is.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/lock.h"
#include "parts/segment.h"
#include "parts/table.h"
#include "stores/region.h"

enum mag_bufctl_state {
	MAG_BUFCTL_FREE = 0, /**< in the slab layer */
	MAG_BUFCTL_OUT = 1,  /**< has left it; whether a user has it is not known */
	MAG_BUFCTL_USER = 2, /**< with a user, of a cache that is guarded without a ledger */
};

/** Control record of one object, kept apart from it. */
struct mag_bufctl {
	uint16_t next; /**< index of the next free object of the slab */
	uint8_t state; /**< enum mag_bufctl_state */
	uint8_t reserved;
	uint32_t uses; /**< use count: above 0 the object may not be freed */
};

struct mag_slab {
	TAILQ_ENTRY(mag_slab) link; /**< partial or full list */
	struct mag_segment *segment;
	uint32_t free;       /**< free objects */
	uint16_t first_free; /**< chain of objects that have been out */
	uint16_t fresh;      /**< objects from here on have not been out yet */
	struct mag_table_entry entry[2];
	struct mag_bufctl bufctl[];
};

TAILQ_HEAD(mag_slab_list, mag_slab);

struct mag_slab_layer {
	struct mag_region *region; /**< never changes */
	uint32_t part;             /**< of the region, that segments come from; never changes */

	/** Guards all below; counts are also read without it. */
	struct mag_lock lock MAG_ALIGNED(128);
	struct mag_slab_list partial;
	struct mag_slab_list full;
	struct mag_table table;  /**< segments of all slabs */
	_Atomic uint64_t out;    /**< objects that have left the layer */
	_Atomic uint64_t moving; /**< objects of segments on their way from or to the region */
	_Atomic uint32_t slabs_partial;
	_Atomic uint32_t slabs_full;
	_Atomic uint64_t created;
	_Atomic uint64_t destroyed;
	_Atomic uint64_t allocs;  /**< objects */
	_Atomic uint64_t frees;   /**< objects */
	_Atomic uint64_t fails;   /**< slabs that could not be made, of those that were tried */
	_Atomic uint64_t invalid; /**< frees of objects that were not out */
	_Atomic uint64_t in_use;  /**< objects of all existing slabs */
	_Atomic uint64_t in_use_max;
	_Atomic uint32_t rescales;
};

/** Of an intrinsic cache. */
static inline bool
mag_slab_is_intrinsic(const struct mag_slab_layer *layer)
{
	return layer->region->mode & MAG_REGION_PSEUDO;
}

/**
 * Under the lock: the slab with an object at this address, which may have a tag, and its index; or
 * NULL.
 */
static inline struct mag_slab *
mag_slab_of(const struct mag_slab_layer *layer, uintptr_t address, uint32_t *index)
{
	const struct mag_segment *segment = mag_table_find(&layer->table, address, index);

	return segment != NULL ? segment->control : NULL;
}

/**
 * @param part
 *   Of the region: the one that segments come from.
 * @param objects
 *   How many objects to expect: sizes the table; 0 = not known.
 * @return
 *   0, or -ENOMEM.
 */
int mag_slab_init(struct mag_slab_layer *layer, struct mag_region *region, uint32_t part,
		  uint64_t objects, int node);
void mag_slab_fini(struct mag_slab_layer *layer);
/** Forget all slabs, before mag_region_reset(): their records are in what that frees. */
void mag_slab_reset(struct mag_slab_layer *layer);

/**
 * Take up to n objects.
 *
 * @param transit
 *   When there are fewer than n, they are added here before anybody can see them gone. NULL: not.
 * @return
 *   How many there were.
 */
unsigned int mag_slab_alloc(struct mag_slab_layer *layer, void **objects, unsigned int n,
			    _Atomic uint64_t *transit);
/**
 * Give n objects back. One that is not out (invalid, or already freed) is
 * counted and left alone.
 *
 * @return
 *   How many were good.
 */
unsigned int mag_slab_free(struct mag_slab_layer *layer, void *const *objects, unsigned int n);
/**
 * Take n whole segments, all or nothing.
 *
 * @param first
 *   Filled with the address of the first object of each.
 * @return
 *   0, or -ENOBUFS.
 */
int mag_slab_alloc_blocks(struct mag_slab_layer *layer, void **first, unsigned int n);

/**
 * Free objects of the layer and its part of the region, without a lock: those that move between the
 * two may be counted twice, but are not missed.
 */
uint64_t mag_slab_available(const struct mag_slab_layer *layer);

/**
 * What came into the layer and its part of the region so far, and what went out, in objects,
 * without a lock. With mag_region_out() added to both, the first read before a moment and the
 * second after it, the difference is never more than was free there at that moment; it is exact
 * when nothing moves.
 */
uint64_t mag_slab_in(const struct mag_slab_layer *layer);
uint64_t mag_slab_out(const struct mag_slab_layer *layer);

/** Update, first step: does the table need another size? 0 = no, else the size. */
uint32_t mag_slab_rescale_want(const struct mag_slab_layer *layer);
/** Move to a table of this size; nothing happens when it cannot be had. */
void mag_slab_rescale(struct mag_slab_layer *layer, uint32_t size, int node);

#endif /* MAG_SLAB_H */
