/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Objects that are free are poisoned for AddressSanitizer. Without one, this program stands in for
 * its runtime: the library asks whatever is in the process.
 */

#include "eal.h"

#include <pthread.h>
#include <sys/wait.h>

#include "base/poison.h"
#include "fixture.h"
#include "watch/watch.h"

#define BLOCK 16
#define COUNT (4 * BLOCK)
#define SIZE 200
#define STRIDE 256

#if defined(__SANITIZE_ADDRESS__)

int __asan_address_is_poisoned(void const volatile *address);

static bool
is_poisoned(const void *address)
{
	return __asan_address_is_poisoned(address);
}

#else

/* All that was asked for, by any thread, in order: the last word on an address holds. */
static pthread_mutex_t words_lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
	uintptr_t begin, end;
	bool poisoned;
} words[100000];
static unsigned int spoken;

#define SPEAKS(name, poisoned)                                                                     \
	void name(void const volatile *address, size_t bytes);                                     \
	void name(void const volatile *address, size_t bytes)                                      \
	{                                                                                          \
		speak((uintptr_t)address, bytes, poisoned);                                        \
	}

static void
speak(uintptr_t address, size_t bytes, bool poisoned)
{
	pthread_mutex_lock(&words_lock);
	if (spoken == RTE_DIM(words))
		abort();
	words[spoken].begin = address;
	words[spoken].end = address + bytes;
	words[spoken++].poisoned = poisoned;
	pthread_mutex_unlock(&words_lock);
}

SPEAKS(__asan_poison_memory_region, true)
SPEAKS(__asan_unpoison_memory_region, false)

static bool
is_poisoned(const void *address)
{
	uintptr_t at = (uintptr_t)address;
	bool poisoned = false;

	pthread_mutex_lock(&words_lock);
	for (unsigned int i = spoken; i-- > 0;)
		if (at >= words[i].begin && at < words[i].end) {
			poisoned = words[i].poisoned;
			break;
		}
	pthread_mutex_unlock(&words_lock);
	return poisoned;
}

#endif

static struct {
	unsigned int constructed, destructed, poisoned;
	unsigned int refuse_at; /* the nth is refused; 0: none */
	char *refused;
} seen;

static int
construct(const struct mag_object_info *object, const struct mag_object_info *mirror __rte_unused,
	  void *arg __rte_unused, unsigned int flags __rte_unused)
{
	seen.constructed++;
	seen.poisoned += is_poisoned(object->address);
	memset(object->address, 1, object->size);
	if (seen.constructed != seen.refuse_at)
		return 0;
	seen.refused = object->address;
	return -1;
}

static void
destruct(void *object, void *arg __rte_unused)
{
	seen.destructed++;
	seen.poisoned += is_poisoned(object);
	memset(object, 2, SIZE);
}

static void *objects[COUNT];

static void
make(bool callbacks, unsigned int flags)
{
	memset(&seen, 0, sizeof(seen));
	fixture_elastic(REGION_PARAMS(.name = "place", .object_size = SIZE, .objects = COUNT,
				      .block = BLOCK),
			CACHE_PARAMS(.name = "things", .object_size = SIZE,
				     .constructor = callbacks ? construct : NULL,
				     .destructor = callbacks ? destruct : NULL, .flags = flags));
	region_grown(cache->region, COUNT / BLOCK - 1);
}

SETUP(setup)
{
	make(false, 0);
}

TEST(test_an_object_may_be_touched_while_it_is_allocated, setup, fixture_teardown)
{
	char *object = mag_cache_alloc(cache);

	assert_false(is_poisoned(object));
	assert_false(is_poisoned(object + SIZE - 1));
	memset(object, 0, SIZE);
	mag_cache_free(cache, object);
	assert_true(is_poisoned(object));
	assert_true(is_poisoned(object + SIZE - 1));
	assert_ptr_equal(mag_cache_alloc(cache), object);
	assert_false(is_poisoned(object));
	mag_cache_free_nocache(cache, object);
	assert_true(is_poisoned(object));
}

TEST(test_what_lies_between_objects_is_never_touched, setup, NULL)
{
	alloc_bulk(objects, COUNT);
	for (unsigned int i = 0; i < COUNT; i++) {
		char *object = objects[i];

		assert_false(is_poisoned(object + SIZE - 1));
		assert_true(is_poisoned(object + SIZE));
		assert_true(is_poisoned(object + SIZE + MAG_POISON_GAP - 1));
	}
	free_bulk(objects, COUNT);
	for (unsigned int i = 0; i < COUNT; i++)
		assert_true(is_poisoned(objects[i]));
	/* Memory that goes back may be touched. */
	fixture_drop();
	for (unsigned int i = 0; i < COUNT; i++)
		assert_false(is_poisoned(objects[i]));
}

TEST(test_callbacks_may_touch_what_users_may_not, NULL, fixture_teardown)
{
	make(true, 0);
	alloc_bulk(objects, COUNT);
	free_bulk(objects, COUNT);
	assert_int_equal(cache_reap_all(), 0);
	assert_int_equal(seen.constructed, COUNT);
	assert_int_equal(seen.destructed, COUNT);
	assert_int_equal(seen.poisoned, 0);
	assert_true(is_poisoned(objects[0]));
}

TEST(test_what_is_cleared_is_not_touched_afterwards, NULL, fixture_teardown)
{
	make(true, MAG_CACHE_CLEARONFREE);
	seen.refuse_at = 2;
	assert_int_equal(mag_cache_alloc_burst(cache, objects, 3), 1);
	assert_int_equal(seen.poisoned, 0);
	assert_ptr_not_equal(seen.refused, objects[0]);
	assert_true(is_poisoned(seen.refused));
	assert_true(is_poisoned(seen.refused + SIZE - 1));
	assert_false(is_poisoned(objects[0]));
	mag_cache_free(cache, objects[0]);
}

TEST(test_adopted_objects_are_armed_by_their_first_free)
{
	ground = ground_make(COUNT, STRIDE, BLOCK, MAG_REGION_READONLY);
	cache = make_pool(POOL_PARAMS(.name = "pool", .object_size = SIZE, .objects = COUNT,
				      .region = ground.region));
	for (unsigned int i = 0; i < COUNT; i++)
		assert_false(is_poisoned(ground_object(&ground, i)));
	assert_int_equal(mag_cache_take_all(cache, objects, 10, true), 0);
	mag_cache_free_slow(cache, objects, 10);
	for (unsigned int i = 0; i < 10; i++) {
		assert_true(is_poisoned(objects[i]));
		if (objects[i] != ground.memory)
			assert_false(is_poisoned((char *)objects[i] - 1));
		assert_false(is_poisoned((char *)objects[i] + SIZE));
	}
	mag_pool_free(cache);
	drop_region(ground.region);
	assert_false(is_poisoned(objects[0]));
	free(ground.memory);
}

TEST(test_it_can_be_switched_off, NULL, fixture_teardown)
{
	void *object;

	setenv("MAGAZINE_POISON", "0", 1);
	make(false, 0);
	unsetenv("MAGAZINE_POISON");
	assert_int_equal(mag_watched(cache), 0);
	object = mag_cache_alloc(cache);
	mag_cache_free(cache, object);
	assert_false(is_poisoned(object));
}

#if defined(__SANITIZE_ADDRESS__)

static __rte_noinline void
touches_what_is_free(void)
{
	volatile char *object;

	make(false, 0);
	object = mag_cache_alloc(cache);
	mag_cache_free(cache, (void *)(uintptr_t)object);
	object[8] = 1;
}

static __rte_noinline void
writes_over_the_end(void)
{
	volatile char *object;

	make(false, 0);
	object = mag_cache_alloc(cache);
	for (int i = 0; i <= SIZE; i++)
		object[i] = 1;
}

/*
 * What AddressSanitizer has to say of a program that does this, with a cache of its own: EAL's
 * memory is shared.
 */
static const char *
report_of(void (*run)(void))
{
	static char text[1 << 16];
	size_t n = 0;
	ssize_t got;
	int ends[2], status;

	assert_int_equal(pipe(ends), 0);
	if (fork() == 0) {
		dup2(ends[1], STDERR_FILENO);
		run();
		_exit(0);
	}
	close(ends[1]);
	while (n < sizeof(text) - 1 && (got = read(ends[0], text + n, sizeof(text) - 1 - n)) > 0)
		n += got;
	text[n] = '\0';
	close(ends[0]);
	wait(&status);
	assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	return text;
}

TEST(test_errors_are_reported_with_the_stack_of_who_made_them)
{
	const char *report;

	report = report_of(touches_what_is_free);
	assert_logged(report, "use-after-poison");
	assert_logged(report, "touches_what_is_free");
	report = report_of(writes_over_the_end);
	assert_logged(report, "use-after-poison");
	assert_logged(report, "writes_over_the_end");
}

#else

TEST(test_errors_are_reported_with_the_stack_of_who_made_them)
{
	printf("# skip: needs a build with AddressSanitizer\n");
	skip();
}

#endif

int
main(void)
{
	/* The suites of the others are run with the fast path open. */
	unsetenv("MAGAZINE_POISON");
	eal_start(2, NULL);
	return tests_run(NULL, NULL);
}
