/* SPDX-License-Identifier: BSD-3-Clause */

#include <rte_common.h>

#include "calls.h"
#include "base/fault.h"
#include "mag_maint.h"
#include "mag_stats.h"
#include "process.h"
#include "../counts.h"

#define SIGNAL_WAIT_US 20000

static unsigned int struck_before;
static unsigned int signalled;

/* Injected faults */

void
call_fault_next(struct input *input)
{
	void (*const next[])(struct input * input) = {
		call_region_create, call_region_create, call_region_adopt,
		call_region_grow,   call_cache_create,  call_cache_create,
		call_alloc_wait,    call_update,        call_region_tend,
	};
	unsigned int which = input_below(input, RTE_DIM(next));

	struck_before = mag_fault_struck();
	mag_fault_nth(1 + input_below(input, 7));
	next[which](input);
	mag_fault_nth(0);
	struck_before = mag_fault_struck();
}

bool
fault_struck(void)
{
	return mag_fault_struck() != struck_before;
}

/* Frees of what is no object, or not out */

/* An object of the cache that is in the slab layer, as far as the model can tell. */
static bool
object_in_slabs(const struct model_cache *cache, struct input *input, void **object)
{
	const struct model_chunk *chunk;

	if (!cache->constructs || !cache->destructs || cache->region->chunks == 0)
		return false;
	chunk = &cache->region->chunk[input_below(input, cache->region->chunks)];
	*object = chunk->objects[input_below(input, chunk->count)];
	return !model_is_constructed(cache, *object);
}

/* One that is out of another cache, of this region or of another. */
static bool
object_of_another(const struct model_cache *cache, struct input *input, void **object)
{
	const struct model_cache *other = any_cache(input);

	if (other == cache || other->out == 0)
		return false;
	*object = other->held[input_below(input, other->out)];
	return true;
}

/* Objects lie at least as far apart as they are large. */
static bool
inside_an_object(const struct model_cache *cache, struct input *input, void **object)
{
	if (cache->out == 0 || cache->region->object_size == 1)
		return false;
	*object = (char *)cache->held[input_below(input, cache->out)] + 1 +
		  input_below(input, cache->region->object_size - 1);
	return true;
}

/* A pointer that this cache has not handed out; false: there is none of the kind chosen. */
static bool
wrong_pointer(const struct model_cache *cache, struct input *input, void **object)
{
	static char foreign[64];

	switch (input_below(input, 6)) {
	case 0:
		*object = foreign + input_below(input, sizeof(foreign));
		return true;
	case 1:
		*object = (void *)(uintptr_t)input_byte(input);
		return true;
	case 2:
		*object = (void *)(UINTPTR_MAX - input_byte(input));
		return true;
	case 3:
		return inside_an_object(cache, input, object);
	case 4:
		return object_of_another(cache, input, object);
	default:
		return object_in_slabs(cache, input, object);
	}
}

/* Else a free may end in a magazine, unseen. */
static bool
is_checked(const struct model_cache *cache)
{
	return cache->guarded || !cache->magazines || cache->off;
}

void
call_free_wrong(struct input *input)
{
	struct model_cache *cache = any_cache(input);
	void *object;

	if (cache == NULL || !wrong_pointer(cache, input, &object))
		return;
	model_given_wrong(cache);
	if (is_checked(cache) && input_byte(input) & 1)
		mag_cache_free(cache->cache, object);
	else
		mag_cache_free_nocache(cache->cache, object);
}

/* Good ones and bad ones in one bulk: an object twice, one that is foreign. */
void
call_free_bulk_wrong(struct input *input)
{
	struct model_cache *cache = any_cache(input);
	void *objects[64];
	unsigned int n = 0;

	if (cache == NULL || !is_checked(cache))
		return;
	while (n < RTE_DIM(objects) - 1 && input->left > 0 && !input_seldom(input, 8)) {
		if (input_byte(input) & 1) {
			if (!wrong_pointer(cache, input, &objects[n]))
				continue;
			n++;
			model_given_wrong(cache);
		} else if (cache->out > 0) {
			objects[n] = model_given(cache, input_below(input, cache->out));
			n++;
			if (input_byte(input) & 1) {
				objects[n] = objects[n - 1];
				n++;
				model_given_wrong(cache);
			}
		}
	}
	mag_cache_free_bulk(cache->cache, objects, n);
}

void
call_info_wrong(struct input *input)
{
	struct model_cache *cache = any_cache(input);
	struct mag_object_info info, mirror;
	void *object;

	if (cache == NULL || !wrong_pointer(cache, input, &object))
		return;
	model_require(mag_cache_object_info(cache->cache, object, &info, &mirror) == -EINVAL,
		      "info of %p", object);
}

/* Adoptions that cannot be: nothing of them is adopted */

void
call_region_adopt_wrong(struct input *input)
{
	struct model_region *region = any_region(input);
	static char memory[1 << 16] __attribute__((aligned(64)));
	unsigned int kind = input_below(input, 4);
	void *objects[3] = {memory, NULL, NULL};
	size_t apart;

	if (region == NULL)
		return;
	apart = region->mirror != 0 ? region->stride : region->object_size;
	if (apart >= sizeof(memory) / 2)
		return;
	objects[1] = memory + apart;
	objects[2] = memory + 2 * apart;
	if (kind == 0)
		objects[1] = memory;
	else if (kind == 1)
		objects[2] = memory + apart - 1;
	else if (kind == 2)
		objects[0] = NULL;
	else
		objects[2] = memory + 2 * apart - 1;
	model_require(mag_region_adopt(region->region, objects, 3, -1) == -EINVAL,
		      "adopted what cannot be");
	model_require(process_log_lines() == 1, "no line, or several");
}

/* A mirror region is of no cache, and nothing by itself. */
void
call_mirror_wrong(struct input *input)
{
	struct model_region *region = any_region(input);
	struct mag_cache_params of_cache = {
		.size = sizeof(of_cache), .name = "mirror", .object_size = 8, .node = -1};
	struct mag_region_params of_mirror = {
		.size = sizeof(of_mirror), .name = "mirror", .object_size = 8, .node = -1};
	static char memory[8];
	void *object = memory;

	if (region == NULL || region->second == NULL)
		return;
	of_cache.region = region->second;
	rte_errno = 0;
	model_require(mag_cache_create(&of_cache) == NULL && rte_errno == EINVAL, "errno %d",
		      rte_errno);
	model_require(mag_region_mirror_create(region->second, &of_mirror) == NULL &&
			      rte_errno == EINVAL,
		      "errno %d", rte_errno);
	model_require(region_grown(region->second, 1) == 0 && rte_errno == EINVAL, "errno %d",
		      rte_errno);
	model_require(mag_region_adopt(region->second, &object, 1, -1) == -EINVAL, "it adopts");
	model_require(process_log_lines() == 4, "no line, or several");
	model_require(region_trimmed(region->second, 0) == 0, "it trims");
}

/* Calls from where they are forbidden */

static void
list_visit(struct mag_cache *cache, void *arg)
{
	struct mag_cache_params params = {
		.size = sizeof(params), .name = "inside", .object_size = 8, .node = -1};
	void *objects[2];
	unsigned int *visits = arg;
	unsigned int i;

	(*visits)++;
	rte_errno = 0;
	model_require(mag_cache_create(&params) == NULL && rte_errno == EDEADLK, "errno %d",
		      rte_errno);
	process_log_lines();
	model_require(mag_cache_destroy(cache) == -EDEADLK && process_log_lines() == 1,
		      "destroyed inside the list");
	rte_errno = 0;
	model_require(mag_cache_alloc_wait(cache, 1) == NULL && rte_errno == EDEADLK, "errno %d",
		      rte_errno);
	model_require(alloc_waited(cache, objects, 2, 1) == 0, "not waited for");
	mag_lcore_flush();
	for (i = 0; i < MODEL_CACHES && model_cache[i].cache != cache; i++)
		;
	model_require(i < MODEL_CACHES, "a cache is listed that is none");
}

void
call_in_list(struct input *input)
{
	unsigned int caches = 0, visits = 0;

	RTE_SET_USED(input);
	for (unsigned int i = 0; i < MODEL_CACHES; i++)
		caches += model_cache[i].cache != NULL;
	mag_cache_walk(list_visit, &visits);
	model_require(visits == caches, "%u caches listed of %u", visits, caches);
}

/*
 * A wait that cannot have anything ends with the signal: at most once in an input, it takes time.
 */
void
call_wait_signalled(struct input *input)
{
	struct model_cache *cache = any_cache(input);
	struct mag_region_stats stats;
	void *object;

	if (cache == NULL || cache->asks || signalled++ > 0)
		return;
	mag_region_stats_get(cache->region->region, &stats);
	if (model_available(cache) > 0 || stats.segments < stats.segments_max ||
	    cache->region->caches > 1)
		return;
	process_signals(true);
	rte_errno = 0;
	model_waits = true;
	object = mag_cache_alloc_wait(cache->cache, SIGNAL_WAIT_US);
	model_waits = false;
	process_signals(false);
	model_require(object == NULL, "an object out of nothing");
	/* The signals may all have come while it did not sleep. */
	model_require(rte_errno == EINTR || rte_errno == ETIMEDOUT, "errno %d", rte_errno);
}

void
bad_begin(void)
{
	signalled = 0;
	struck_before = mag_fault_struck();
}
