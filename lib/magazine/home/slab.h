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

#include <stdint.h>

#include "home/slab_layer.h"
#include "stores/region.h"

struct mag_common;
struct mag_request;

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
 * @param request
 *   When there are fewer than n, it holds them in transit before anybody can see them gone. NULL,
 *   and so common: not.
 * @return
 *   How many there were.
 */
unsigned int mag_slab_alloc(struct mag_slab_layer *layer, void **objects, unsigned int n,
			    struct mag_common *common, struct mag_request *request);
/**
 * Give n objects back. One that is not out (invalid, or already freed) is
 * counted and left alone.
 *
 * @param magazine
 *   The objects are its rounds, the last one goes first, and its `held` falls with each, so that
 *   both are right whenever the lock is free. NULL: they are of no magazine.
 * @return
 *   How many were good.
 */
unsigned int mag_slab_free(struct mag_slab_layer *layer, void *const *objects, unsigned int n,
			   struct mag_magazine *magazine);
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
