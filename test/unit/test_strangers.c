/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"

#include <limits.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <rte_eal.h>
#include <rte_ring.h>
#include <rte_stack.h>

#include "fixture.h"
#include "outside/strangers.h"

#define BLOCK 16
#define COUNT 256
#define SIZE 64
#define HINT "none of its 256 objects is free"

SETUP(setup)
{
	struct mag_options options = mag_options_default;

	options.interval_ms = 3600000;
	fixture_pool("twenty-five-characters-xx", COUNT, SIZE, COUNT, &options);
}

/* As a secondary process has it. */
static int
socket_open(struct sockaddr_un *address)
{
	int its = socket(AF_UNIX, SOCK_DGRAM, 0);

	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(address->sun_path, sizeof(address->sun_path), "%s/mp_socket_1_1",
		 rte_eal_get_runtime_dir());
	assert_int_equal(bind(its, (struct sockaddr *)address, sizeof(*address)), 0);
	return its;
}

static bool
look_says(void)
{
	log_begin();
	mag_strangers_look(cache);
	return strstr(log_end(), HINT) != NULL;
}

TEST(test_a_pool_that_stays_empty_beside_other_processes_is_told_of_once, setup, fixture_teardown)
{
	struct sockaddr_un address;
	void *objects[COUNT];
	int its = socket_open(&address);

	assert_false(look_says());
	assert_int_equal(mag_cache_alloc_burst(cache, objects, COUNT), COUNT);
	/* Since the last look something came and went. */
	assert_false(look_says());
	mag_cache_free(cache, objects[0]);
	objects[0] = mag_cache_alloc(cache);
	assert_false(look_says());
	/* One is free. */
	mag_cache_free(cache, objects[0]);
	assert_false(look_says());
	objects[0] = mag_cache_alloc(cache);
	assert_false(look_says());
	/* Nobody else is there: a socket that was left behind is nobody. */
	close(its);
	assert_false(look_says());
	unlink(address.sun_path);
	assert_false(look_says());
	its = socket_open(&address);
	assert_true(look_says());
	assert_false(look_says());
	close(its);
	unlink(address.sun_path);
	mag_cache_free_bulk(cache, objects, COUNT);
}

/* What a process does in which the pool's handler is another one's number. */
TEST(test_code_for_rings_and_stacks_finds_no_room_and_no_objects, setup, fixture_teardown)
{
	static const enum rte_ring_sync_type types[] = {RTE_RING_SYNC_MT, RTE_RING_SYNC_ST,
							RTE_RING_SYNC_MT_RTS, RTE_RING_SYNC_MT_HTS};
	struct rte_ring *ring = (struct rte_ring *)cache;
	struct rte_stack *stack = (struct rte_stack *)cache;
	struct mag_cache *before = malloc(sizeof(*before));
	void *objects[2] = {cache, cache};

	/* It notes in the cache when it comes again. */
	assert_int_equal(mag_maint_stop(), 0);
	memcpy(before, cache, sizeof(*before));
	assert_int_equal(rte_ring_mp_enqueue_bulk(ring, objects, 2, NULL), 0);
	assert_int_equal(rte_ring_mc_dequeue_bulk(ring, objects, 2, NULL), 0);
	assert_int_equal(rte_ring_mc_dequeue_burst(ring, objects, 2, NULL), 0);
	assert_int_equal(rte_ring_count(ring), 0);
	assert_int_equal(rte_stack_push(stack, objects, 2), 0);
	assert_int_equal(rte_stack_pop(stack, objects, 2), 0);
	assert_int_equal(rte_stack_count(stack), 0);
	assert_memory_equal(before, cache, sizeof(*before));
	for (unsigned int i = 0; i < RTE_DIM(types); i++) {
		ring->prod.sync_type = ring->cons.sync_type = types[i];
		assert_int_equal(rte_ring_enqueue_bulk(ring, objects, 2, NULL), 0);
		assert_int_equal(rte_ring_dequeue_bulk(ring, objects, 2, NULL), 0);
	}
	ring->prod.sync_type = ring->cons.sync_type = 0;
	free(before);
}

TEST_PROGRAM(1)
