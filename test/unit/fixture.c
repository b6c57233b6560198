/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"

#include <stdlib.h>
#include <sys/mman.h>

#include <rte_service.h>
#include <rte_service_component.h>

#include "fixture.h"
#include "stores/ledger.h"
#include "stores/samples.h"
#include "watch/watch.h"

struct ground ground;
struct mag_cache *cache;
static bool is_pool;
static struct mag_region *elastic; /* or there is a ground */

_Atomic unsigned int slow_begun, slow_ended;
struct mag_cache *asking;
_Atomic uint64_t asked;

struct mag_cache *
make_cache(struct mag_cache_params params)
{
	struct mag_cache *made = mag_cache_create(&params);

	assert_non_null(made);
	return made;
}

struct mag_cache *
make_pool(struct mag_pool_params params)
{
	struct mag_cache *made = mag_pool_create(&params);

	assert_non_null(made);
	return made;
}

struct mag_region *
make_region(struct mag_region_params params)
{
	struct mag_region *made = mag_region_create(&params);

	assert_non_null(made);
	return made;
}

void
drop_cache(struct mag_cache *made)
{
	assert_int_equal(mag_cache_destroy(made), 0);
}

void
drop_region(struct mag_region *made)
{
	assert_int_equal(mag_region_destroy(made), 0);
}

struct mag_cache_stats
cache_stats(const struct mag_cache *of)
{
	struct mag_cache_stats now;

	mag_cache_stats_get(of, &now);
	return now;
}

struct mag_region_stats
region_stats(const struct mag_region *of)
{
	struct mag_region_stats now;

	mag_region_stats_get(of, &now);
	return now;
}

void
fixture_pool(const char *name, uint32_t count, uint32_t size, uint64_t objects,
	     const struct mag_options *options)
{
	ground = ground_make(count, size, FIXTURE_BLOCK, MAG_REGION_READONLY);
	cache = make_pool((struct mag_pool_params){.name = name,
						   .object_size = size,
						   .objects = objects,
						   .region = ground.region,
						   .options = *options,
						   .node = MAG_NODE_ANY});
	is_pool = true;
}

void *
shared_memory(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(memory != MAP_FAILED);
	return memory;
}

void
fixture_shared(uint32_t count, uint32_t size, uint32_t block, const struct mag_options *options)
{
	struct mag_region *region =
		make_region(REGION_PARAMS(.name = "shared", .object_size = size, .block = block,
					  .mode = MAG_REGION_READONLY));
	void **address = calloc(count, sizeof(*address));
	unsigned int i;

	ground = (struct ground){.memory = shared_memory((size_t)count * size), .size = size};
	for (i = 0; i < count; i++)
		address[i] = ground_object(&ground, i);
	assert_int_equal(mag_region_adopt(region, address, count, -1), 0);
	free(address);
	cache = make_pool((struct mag_pool_params){.name = "pool",
						   .object_size = size,
						   .objects = count,
						   .region = region,
						   .options = *options,
						   .node = MAG_NODE_ANY});
}

void
fixture_shared_drop(uint32_t count)
{
	struct mag_region *region = cache->region;

	mag_pool_free(cache);
	mag_region_destroy(region);
	munmap(ground.memory, (size_t)count * ground.size);
}

void
fixture_cache(uint32_t count, struct mag_cache_params params)
{
	ground = ground_make(count, RTE_ALIGN_CEIL(params.object_size, 16u), FIXTURE_BLOCK, 0);
	params.region = ground.region;
	cache = make_cache(params);
	assert_int_equal(mag_maint_stop(), 0);
	is_pool = false;
}

void
fixture_elastic(struct mag_region_params its, struct mag_cache_params params)
{
	params.region = elastic = make_region(its);
	cache = make_cache(params);
	is_pool = false;
}

static void
visit_nothing(struct mag_cache *visited __rte_unused, void *arg __rte_unused)
{
}

void
fixture_ledger(void)
{
	struct mag_region *region = ground.region;
	const struct mag_extent *extent;
	const struct mag_segment *at;

	assert_int_equal(mag_region_ledger_make(region, MAG_LEDGER_BYTES, ground.count), 0);
	SLIST_FOREACH(extent, &region->extents, link)
		for (at = extent->segment; at < extent->segment + extent->segments; at++)
			assert_int_equal(mag_mirror_add(region->ledger, at->base, at->count,
							at->stride, at->node),
					 0);
	/* A thread that finds the pool on the list finds it so. */
	mag_cache_walk(visit_nothing, NULL);
}

void
fixture_samples(void)
{
	struct mag_region *region = ground.region;

	/* As above; and one that has just left the list is done with it. */
	mag_cache_walk(visit_nothing, NULL);
	region->samples = mag_samples_make(1, ground.size, ground.size, ground.count, MAG_NODE_ANY);
	assert_non_null(region->samples);
	mag_samples_begin(region->samples, ground.memory);
	mag_watch(cache, MAG_WATCH_SAMPLE);
	mag_cache_walk(visit_nothing, NULL);
}

void
fixture_drop(void)
{
	if (is_pool)
		mag_pool_free(cache);
	else
		drop_cache(cache);
	if (elastic != NULL)
		drop_region(elastic);
	else
		ground_drop(&ground);
	elastic = NULL;
}

int
fixture_teardown(void **state __rte_unused)
{
	fixture_drop();
	return 0;
}

void
alloc_bulk(void **objects, unsigned int n)
{
	assert_int_equal(mag_cache_alloc_burst(cache, objects, n), n);
}

void
free_bulk(void *const *objects, unsigned int n)
{
	mag_cache_free_bulk(cache, objects, n);
}

void
fill(unsigned int n)
{
	void **objects = malloc(n * sizeof(*objects));

	n = mag_cache_alloc_burst(cache, objects, n);
	mag_cache_free_bulk(cache, objects, n);
	free(objects);
}

void
fill_run(void *arg)
{
	fill(*(unsigned int *)arg);
}

void
fill_on_lcore(unsigned int lcore, unsigned int n)
{
	run_on_lcore(lcore, fill_run, &n);
}

void
fill_forbidden_run(void *arg)
{
	mag_thread_forbid_claim(true);
	fill_run(arg);
}

void
fill_on_thread(unsigned int n)
{
	run_on_thread(fill_forbidden_run, &n);
}

void
assert_all_can_be_had(void)
{
	void **objects = malloc(ground.count * sizeof(*objects));

	wait_until(mag_cache_take_all(cache, objects, ground.count, true) == 0);
	assert_distinct(&ground, objects, ground.count);
	mag_cache_give(cache, objects, ground.count);
	wait_until(mag_cache_available(cache) == ground.count);
	free(objects);
}

struct mag_slot *
slot_at(unsigned int index)
{
	return &cache->first.slot[index];
}

struct mag_slot *
own_slot(void)
{
	return mag_slot_own(cache->first.slot);
}

struct mag_slot *
slot_in(unsigned int part, unsigned int index)
{
	return &mag_cache_home(cache, part)->slot[index];
}

unsigned int
slot_holds(unsigned int index)
{
	return mag_slot_objects(slot_at(index));
}

unsigned int
depot_full(void)
{
	return mag_depot_total(&cache->first.depot.full);
}

unsigned int
depot_empty(void)
{
	return mag_depot_total(&cache->first.depot.empty);
}

void
assert_sizes(uint32_t size)
{
	for (unsigned int i = 0; i < MAG_SLOTS; i++)
		assert_int_equal(MAG_LOAD(&slot_at(i)->size, MAG_RELAXED), size);
}

void
assert_all_in_slabs(void)
{
	assert_int_equal(mag_cache_in_lcores(cache), 0);
	assert_int_equal(depot_full(), 0);
	assert_int_equal(cache->first.slab.out, 0);
}

int
cache_purge(void)
{
	return mag_cache_purge(cache);
}

int
cache_resize(void)
{
	return mag_cache_resize(cache, 30, true);
}

int
cache_resize_now(void)
{
	return mag_cache_resize(cache, 30, false);
}

int
cache_reap(void)
{
	return mag_cache_reap_now(cache, false);
}

int
cache_reap_all(void)
{
	return mag_cache_reap_now(cache, true);
}

int
cache_reclaim(void)
{
	return mag_cache_reclaim(cache, false);
}

int
cache_reclaim_low(void)
{
	return mag_cache_reclaim(cache, true);
}

int
cache_gather(void)
{
	return mag_cache_gather(cache);
}

int
cache_enable(void)
{
	return mag_cache_enable(cache);
}

#define CROWD_LCORES 2
#define CROWD_THREADS 2

static struct {
	_Atomic bool stop;
	_Atomic uint64_t turns;
	_Atomic uint32_t *users; /* of each object */
	_Atomic uint32_t clashes;
	unsigned int most;
	struct task task[CROWD_LCORES + CROWD_THREADS];
	unsigned int tasks;
} crowd;

static _Atomic uint32_t *
users_of(const void *object)
{
	return &crowd.users[((const char *)object - ground.memory) / ground.size];
}

static void
crowd_run(void *arg)
{
	void **objects = malloc(crowd.most * sizeof(*objects));
	uint32_t seed = (uintptr_t)arg;
	unsigned int n;

	while (!atomic_load_explicit(&crowd.stop, memory_order_relaxed)) {
		seed = seed * 1103515245 + 12345;
		n = mag_cache_alloc_burst(cache, objects, 1 + (seed >> 16) % crowd.most);
		for (unsigned int i = 0; i < n; i++)
			if (!ground_has(&ground, objects[i]) ||
			    atomic_exchange_explicit(users_of(objects[i]), 1,
						     memory_order_relaxed) != 0)
				atomic_fetch_add(&crowd.clashes, 1);
		for (unsigned int i = 0; i < n; i++)
			atomic_store_explicit(users_of(objects[i]), 0, memory_order_relaxed);
		/* At times in another order than they came. */
		if (n > 0 && (seed >> 8) % 7 == 0)
			RTE_SWAP(objects[0], objects[n - 1]);
		mag_cache_free_bulk(cache, objects, n);
		atomic_fetch_add_explicit(&crowd.turns, 1, memory_order_relaxed);
	}
	free(objects);
}

void
crowd_begin(unsigned int lcores, unsigned int most)
{
	unsigned int i;

	crowd.users = calloc(ground.count, sizeof(*crowd.users));
	crowd.most = most;
	crowd.tasks = lcores + CROWD_THREADS;
	atomic_store(&crowd.stop, false);
	atomic_store(&crowd.turns, 0);
	atomic_store(&crowd.clashes, 0);
	assert_true(lcores <= CROWD_LCORES);
	for (i = 0; i < lcores; i++)
		task_lcore(&crowd.task[i], i + 1, crowd_run, (void *)(uintptr_t)(i + 1));
	task_thread(&crowd.task[i], crowd_run, (void *)(uintptr_t)(i + 1));
	task_registered(&crowd.task[i + 1], crowd_run, (void *)(uintptr_t)(i + 2));
}

uint64_t
crowd_turns(void)
{
	return atomic_load(&crowd.turns);
}

void
crowd_end(void)
{
	atomic_store(&crowd.stop, true);
	for (unsigned int i = 0; i < crowd.tasks; i++)
		task_join(&crowd.task[i]);
	free((void *)crowd.users);
	assert_int_equal(crowd.clashes, 0);
	assert_int_equal(cache->first.slab.invalid, 0);
}

static struct {
	struct task task;
	unsigned int fills;
	uint32_t slot;
	_Atomic bool there, leave;
} guest;

static void
guest_run(void *arg __rte_unused)
{
	if (guest.fills > 0)
		fill(guest.fills);
	guest.slot = mag_thread_slot();
	atomic_store(&guest.there, true);
	while (!atomic_load(&guest.leave))
		let_pass(1);
}

uint32_t
guest_come(unsigned int fills)
{
	guest.fills = fills;
	atomic_store(&guest.there, false);
	atomic_store(&guest.leave, false);
	task_registered(&guest.task, guest_run, NULL);
	wait_until(atomic_load(&guest.there));
	return guest.slot;
}

void
guest_go(void)
{
	atomic_store(&guest.leave, true);
	task_join(&guest.task);
}

static void
count_asked(void *arg __rte_unused)
{
	atomic_fetch_add(&asked, 1);
}

void
asking_make(void)
{
	asking = make_cache(
		CACHE_PARAMS(.name = "asking", .object_size = 64, .release = count_asked));
}

void
slow_destructor(void *object __rte_unused, void *arg __rte_unused)
{
	atomic_fetch_add(&slow_begun, 1);
	let_pass(1);
	atomic_fetch_add(&slow_ended, 1);
}

uint32_t
service_id(void)
{
	uint32_t id;

	assert_int_equal(rte_service_get_by_name("magazine", &id), 0);
	return id;
}

bool
service_unregister(void)
{
	uint32_t id;

	if (rte_service_get_by_name("magazine", &id) != 0 || rte_service_runstate_set(id, 0) != 0)
		return false;
	wait_until(rte_service_may_be_active(id) == 0);
	return rte_service_component_unregister(id) == 0;
}

void
wait_for_updates(unsigned int n)
{
	uint64_t before = cache->updates;

	wait_until(cache->updates >= before + n);
}

void
skip_without_membarrier(void)
{
	if (mag_bias_best() == MAG_BIAS_MEMBARRIER)
		return;
	printf("# skip: this kernel has no membarrier\n");
	skip();
}
