/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Caches of the library: constructors and destructors, regions that grow while they are used, and
 * caches that come and go under maintenance.
 */

#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "accounts.h"
#include "cell.h"
#include "lives.h"
#include "mag_maint.h"
#include "stress.h"
#include "outside/maint.h"

#define OBJECTS 6000

static void
run_lives(const struct cell *cell, struct lives *lives, unsigned int flags)
{
	struct mag_cache_params params = {.size = sizeof(params),
					  .name = cell->name,
					  .constructor = lives_construct,
					  .destructor = lives_destruct,
					  .arg = lives,
					  .flags = flags};
	struct subject_memory memory;
	struct subject subject;

	stress_begin(cell->name);
	subject_cache(&subject, &memory, OBJECTS, OBJECTS, &params);
	cell_run(cell, &subject);
	accounts_purge(&subject);
	if (!stress_blamed())
		lives_check(&subject, lives);
	subject_cache_free(&subject, &memory);
	stress_end();
}

/* clang-format off */
#define CREW {.plain = 2, .visitors = 2, .pause_us = 3000}
/* clang-format on */

TEST(objects_live_while_out_of_slabs)
{
	const struct cell cell = {.name = "lives", .plan = CREW, .service = true};
	struct lives lives = {0};

	run_lives(&cell, &lives, MAG_CACHE_DYNAMIC);
}

TEST(objects_live_without_magazines)
{
	const struct cell cell = {.name = "lives_without_magazines", .plan = CREW};
	struct lives lives = {0};

	run_lives(&cell, &lives, MAG_CACHE_NOMAGAZINES);
}

TEST(failing_constructors_lose_nothing)
{
	const struct cell cell = {
		.name = "failing_constructor", .plan = CREW, .service = true, .may_refuse = true};
	struct lives lives = {.fails = true};

	run_lives(&cell, &lives, MAG_CACHE_DYNAMIC | MAG_CACHE_REAP_ALL);
}

/* A region grows by a slab or a few at a time, so that the table of addresses is rescaled. */

static struct subject_memory growing;

static void
grow(struct crew *crew)
{
	uint32_t left = crew->subject->stock.count - growing.objects, i;

	for (i = 0; i < 8 && left > 0; i++) {
		if (!subject_adopt(&growing, RTE_MIN(left, 500u)))
			stress_blame("the region does not grow");
		left = crew->subject->stock.count - growing.objects;
		usleep(5000);
	}
	if (left == 0)
		usleep(50000);
}

TEST(regions_grow_in_use)
{
	const struct cell cell = {
		.name = "growing_region",
		.plan = {.plain = 2, .visitors = 2, .pause_us = 3000, .kept_back = 31000},
		.service = true,
		.meanwhile = grow};
	struct mag_cache_params params = {
		.size = sizeof(params), .name = cell.name, .flags = MAG_CACHE_DYNAMIC};
	struct subject subject;

	stress_begin(cell.name);
	subject_cache(&subject, &growing, 32000, 1000, &params);
	cell_run(&cell, &subject);
	say("  rescales %u", MAG_STAT(subject.cache->first.slab.rescales));
	if (MAG_STAT(subject.cache->first.slab.rescales) == 0)
		stress_blame("the table of addresses was never rescaled");
	subject_cache_free(&subject, &growing);
	stress_end();
}

/*
 * Caches come and go while maintenance works: it serves each new one, and touches none that is
 * gone.
 */

#define SERVED_WITHIN_MS 2000

static void
come_and_go(uint32_t n, bool hurry)
{
	uint64_t updates, deadline = now_ms() + SERVED_WITHIN_MS;
	struct mag_cache_params params = {.size = sizeof(params),
					  .name = "guest",
					  .flags = MAG_CACHE_DYNAMIC,
					  .options = "interval=10ms"};
	struct subject_memory memory;
	struct subject subject;
	void *objects[64];
	unsigned int got;

	subject_cache(&subject, &memory, 256, 256, &params);
	got = subject_get(&subject, objects, RTE_DIM(objects));
	subject_put(&subject, objects, got);
	updates = MAG_STAT(subject.cache->updates);
	while (!hurry && MAG_STAT(subject.cache->updates) == updates && now_ms() < deadline)
		usleep(500);
	if (!hurry && MAG_STAT(subject.cache->updates) == updates)
		stress_blame("cache %u was not updated within %u ms at an interval of 10 ms", n,
			     SERVED_WITHIN_MS);
	subject_cache_free(&subject, &memory);
}

static void
run_guests(const char *name, bool service)
{
	uint64_t end = now_ms() + stress_cell_ms();
	struct rng rng = stress_rng();
	uint32_t n;

	stress_begin(name);
	mag_maint_interval(1);
	if (service)
		stress_service_start();
	for (n = 0; now_ms() < end && !stress_blamed(); n++)
		come_and_go(n, !rng_once_in(&rng, 8));
	if (service)
		stress_service_stop();
	mag_maint_interval(0);
	say("%s: %u caches", name, n);
	stress_end();
}

TEST(caches_come_and_go_under_the_control_thread)
{
	run_guests("guests_thread", false);
}

TEST(caches_come_and_go_under_a_service)
{
	run_guests("guests_service", true);
}

int
main(int argc, char **argv)
{
	const char *only = getenv("MAGAZINE_STRESS_ONLY");

	if (stress_start(argc, argv) != 0)
		return 77;
	if (only != NULL)
		cmocka_set_test_filter(only);
	return tests_run(NULL, NULL);
}
