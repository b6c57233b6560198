/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef UNIT_FIXTURE_H
#define UNIT_FIXTURE_H

/*
 * The subject of most programs: one pool or one cache, over objects of its own.
 */

#include "../common/front.h"
#include "../counts.h"
#include "base/fault.h"
#include "cache/cache.h"
#include "control/pool.h"
#include "ground.h"
#include "mag_maint.h"
#include "mag_stats.h"
#include "outside/maint.h"
#include "visits/purge.h"

/** Objects of a segment. */
#define FIXTURE_BLOCK 16

extern struct ground ground;
extern struct mag_cache *cache;

/** Parameters on any node, with these fields besides. */
#define CACHE_PARAMS(...)                                                                          \
	((struct mag_cache_params){                                                                \
		.size = sizeof(struct mag_cache_params), .node = MAG_NODE_ANY, __VA_ARGS__})
#define REGION_PARAMS(...)                                                                         \
	((struct mag_region_params){                                                               \
		.size = sizeof(struct mag_region_params), .node = MAG_NODE_ANY, __VA_ARGS__})
/** And with the default options. */
#define POOL_PARAMS(...)                                                                           \
	((struct mag_pool_params){                                                                 \
		.node = MAG_NODE_ANY, .options = mag_options_default, __VA_ARGS__})

/** Made, or the test fails. */
struct mag_cache *make_cache(struct mag_cache_params params);
struct mag_cache *make_pool(struct mag_pool_params params);
struct mag_region *make_region(struct mag_region_params params);
/** Destroyed, or the test fails. */
void drop_cache(struct mag_cache *made);
void drop_region(struct mag_region *made);

struct mag_cache_stats cache_stats(const struct mag_cache *of);
struct mag_region_stats region_stats(const struct mag_region *of);

/** A pool that has count objects of these bytes and may have as many as objects says. */
void fixture_pool(const char *name, uint32_t count, uint32_t size, uint64_t objects,
		  const struct mag_options *options);
/** Memory that forked children share; for munmap(). */
void *shared_memory(size_t size);
/**
 * A pool of count objects of these bytes that forked children share, which a ground's are not;
 * block: of the region, 0: as it chooses. Then fixture_shared_drop().
 */
void fixture_shared(uint32_t count, uint32_t size, uint32_t block,
		    const struct mag_options *options);
void fixture_shared_drop(uint32_t count);

/**
 * A cache over count objects; the parameters lack the region only. Maintenance, which would go on
 * with a reap that a test begins, is stopped until another cache is made.
 */
void fixture_cache(uint32_t count, struct mag_cache_params params);
/** The same over an elastic region of its own. */
void fixture_elastic(struct mag_region_params its, struct mag_cache_params params);
/** The region of the subject has a ledger, as that of a pool with option guard or holders. */
void fixture_ledger(void);
/** All objects of the subject are sampled, as with option audit=1/1 of a pool. */
void fixture_samples(void);
/** Free the pool, or destroy the cache, and its objects or region. */
void fixture_drop(void);
/** The same as the teardown of a test. */
int fixture_teardown(void **state);

/** So many objects of the cache, or the test fails. */
void alloc_bulk(void **objects, unsigned int n);
void free_bulk(void *const *objects, unsigned int n);

/**
 * Allocate so many objects, or as many as there are, and free them: magazines are full afterwards.
 */
void fill(unsigned int n);
/** The same to be run elsewhere; the argument is the number. */
void fill_run(void *arg);
/** The same, of a thread that claims no slot. */
void fill_forbidden_run(void *arg);
void fill_on_lcore(unsigned int lcore, unsigned int n);
/** On a thread that owns no slot. */
void fill_on_thread(unsigned int n);
/** All objects can be allocated, each once; a reap under way may hold some for a moment. */
void assert_all_can_be_had(void);

/** A slot of the first home; that of this thread. */
struct mag_slot *slot_at(unsigned int index);
struct mag_slot *own_slot(void);
/** A slot of the home of this part. */
struct mag_slot *slot_in(unsigned int part, unsigned int index);
/** Objects in it. */
unsigned int slot_holds(unsigned int index);
/** Magazines of the first home's depot. */
unsigned int depot_full(void);
unsigned int depot_empty(void);
/** All slots of the first home have magazines of this size; 0: they are off. */
void assert_sizes(uint32_t size);
/** Neither slots nor depot have any object. */
void assert_all_in_slabs(void);

/** Calls on the cache that go through its slots, with arguments that are often needed. */
int cache_purge(void);
int cache_enable(void);
int cache_resize(void); /**< to 30 rounds; waits for the perimeter */
int cache_resize_now(void);
int cache_reap(void);
int cache_reap_all(void);
int cache_reclaim(void);
int cache_reclaim_low(void); /**< as when memory is low */
int cache_gather(void);

/**
 * Lcores from 1 on, a registered thread and one without an lcore id allocate and free up to so many
 * objects at a time. crowd_end() fails the test if an object had two users.
 */
void crowd_begin(unsigned int lcores, unsigned int most);
uint64_t crowd_turns(void);
void crowd_end(void);

/**
 * A thread is a registered lcore from guest_come() to guest_go(); first it fills its magazines with
 * so many objects. Returns the number of its slot.
 */
uint32_t guest_come(unsigned int fills);
void guest_go(void);

/**
 * A cache over EAL's heap, whose owner is asked to reclaim by each request that maintenance serves.
 */
extern struct mag_cache *asking;
extern _Atomic uint64_t asked;
void asking_make(void);

/** A destructor that takes a millisecond; and how often it has begun, and ended. */
void slow_destructor(void *object, void *arg);
extern _Atomic unsigned int slow_begun, slow_ended;

/** The id of the library's service. */
uint32_t service_id(void);
/** Unregistered; false if maintenance looked for it meanwhile: then again. */
bool service_unregister(void);
/** So many updates of the cache later. */
void wait_for_updates(unsigned int n);

/** Skip the test where the kernel has no membarrier. */
void skip_without_membarrier(void);

/**
 * Allocations fail one by one until the call works: the attempt that did. Each before it left EAL's
 * heap as it was.
 */
#define attempts(works)                                                                            \
	({                                                                                         \
		uint64_t heap_ = heap_balance();                                                   \
		unsigned int nth_ = 0;                                                             \
		log_begin();                                                                       \
		do {                                                                               \
			assert_int_equal(heap_balance(), heap_);                                   \
			assert_true(nth_ < 100);                                                   \
			mag_fault_nth(++nth_);                                                     \
		} while (!(works));                                                                \
		mag_fault_nth(0);                                                                  \
		log_end();                                                                         \
		nth_;                                                                              \
	})

#endif /* UNIT_FIXTURE_H */
