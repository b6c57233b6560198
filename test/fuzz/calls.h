/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FUZZ_CALLS_H
#define FUZZ_CALLS_H

/*
 * The library's calls, each made with what an input says and compared with the model.
 */

#include "input.h"
#include "model.h"

/* create.c, calls.c: as they are meant, and with parameters that may be anything. */
void call_region_create(struct input *input);
void call_region_mirror(struct input *input);
void call_region_adopt(struct input *input);
void call_region_grow(struct input *input);
void call_region_trim(struct input *input);
void call_region_tend(struct input *input);
void call_region_destroy(struct input *input);

void call_cache_create(struct input *input);
void call_cache_destroy(struct input *input);

void call_alloc(struct input *input);
void call_alloc_burst(struct input *input);
void call_alloc_bulk(struct input *input);
void call_alloc_wait(struct input *input);
void call_alloc_wait_bulk(struct input *input);
void call_take_all(struct input *input);
void call_free(struct input *input);
void call_free_bulk(struct input *input);
void call_kept_out(struct input *input);
void call_free_nocache(struct input *input);
void call_free_and_alloc(struct input *input);

void call_purge(struct input *input);
void call_enable(struct input *input);
void call_resize(struct input *input);
void call_reap(struct input *input);
void call_reclaim(struct input *input);
void call_update(struct input *input);
void call_flush(struct input *input);
void call_refuse(struct input *input);
void call_act_as(struct input *input);

/* misuse.c: wrong uses. */
void call_free_wrong(struct input *input);
void call_free_bulk_wrong(struct input *input);
void call_info_wrong(struct input *input);
void call_region_adopt_wrong(struct input *input);
void call_mirror_wrong(struct input *input);
void call_in_list(struct input *input);
void call_wait_signalled(struct input *input);
void call_fault_next(struct input *input);

/** One of those that there are, or NULL. */
struct model_region *any_region(struct input *input);
struct model_cache *any_cache(struct input *input);

/** Did an injected fault strike in this call? */
bool fault_struck(void);
/** misuse.c: a new input. */
void bad_begin(void);

/** All caches and regions go, and nothing is left. */
void calls_end(void);

#endif /* FUZZ_CALLS_H */
