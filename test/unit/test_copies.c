/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"
#include "mag_maint.h"
#include "control/pool.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include "cache/cache.h"
#include "ground.h"
#include "outside/maint.h"

#if defined(__SANITIZE_ADDRESS__)
/* The second copy of each global is what this test is about. */
const char *__asan_default_options(void);

const char *
__asan_default_options(void)
{
	return "detect_odr_violation=0";
}
#endif

#define COUNT 256
#define SIZE 256

static struct ground ground;
static void *copy;

static struct mag_cache_params
params_of(const char *name)
{
	return (struct mag_cache_params){.size = sizeof(struct mag_cache_params),
					 .name = name,
					 .object_size = SIZE,
					 .region = ground.region,
					 .node = -1};
}

static void
copy_file(const char *from, const char *to)
{
	int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_EXCL, 0600);
	struct stat stat;
	off_t done = 0;

	assert_true(in >= 0 && out >= 0);
	assert_int_equal(fstat(in, &stat), 0);
	while (done < stat.st_size)
		assert_true(sendfile(out, in, &done, stat.st_size - done) > 0);
	close(in);
	close(out);
}

static int
setup(void **state __rte_unused)
{
	const char *base = getenv("TMPDIR");
	char folder[PATH_MAX], path[PATH_MAX + 16];
	Dl_info library;

	ground = ground_make(COUNT, SIZE, 16, 0);
	assert_int_not_equal(dladdr((void *)(uintptr_t)mag_cache_create_with, &library), 0);
	if (strstr(library.dli_fname, ".so") == NULL)
		return 0;
	snprintf(folder, sizeof(folder), "%s/magazine-copy-XXXXXX", base != NULL ? base : "/tmp");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/libcopy.so", folder);
	copy_file(library.dli_fname, path);
	copy = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	unlink(path);
	rmdir(folder);
	assert_non_null(copy);
	return 0;
}

TEST(test_a_second_copy_of_the_library_makes_no_caches)
{
	struct mag_cache *(*create)(const struct mag_cache_params *params, uint32_t layout);
	struct mag_cache_params params = params_of("refused");

	if (copy == NULL) {
		printf("# skip: a second copy of the library cannot be loaded\n");
		skip();
	}
	create = (__typeof__(create))(uintptr_t)dlsym(copy, "mag_cache_create_with");
	assert_ptr_not_equal(create, mag_cache_create_with);
	assert_refused_null(create(&params, MAG_LAYOUT), EEXIST, "\"refused\"");
	assert_refused_null(create(&params, MAG_LAYOUT), EEXIST, "second copy");
	assert_int_equal(ground.region->references, 0);
}

TEST(test_a_second_copy_makes_no_pools)
{
	struct mag_cache *(*create)(const struct mag_pool_params *params);
	struct mag_pool_params params = {.name = "refused",
					 .object_size = SIZE,
					 .objects = COUNT,
					 .region = ground.region,
					 .node = -1};

	if (copy == NULL) {
		printf("# skip: a second copy of the library cannot be loaded\n");
		skip();
	}
	create = (__typeof__(create))(uintptr_t)dlsym(copy, "mag_pool_create");
	assert_ptr_not_equal(create, mag_pool_create);
	assert_refused_null(create(&params), EEXIST, "second copy");
}

TEST(test_the_first_copy_goes_on_working)
{
	struct mag_cache_params params = params_of("first");
	struct mag_cache *cache = mag_cache_create(&params);
	void *object;

	assert_non_null(cache);
	object = mag_cache_alloc(cache);
	assert_non_null(object);
	mag_cache_free(cache, object);
	assert_int_equal(mag_cache_destroy(cache), 0);
}

TEST(test_maintenance_of_the_first_copy_goes_on)
{
	struct mag_cache_params params = params_of("kept");
	struct mag_cache *cache = mag_cache_create(&params);

	assert_non_null(cache);
	assert_int_equal(mag_maint_interval(10), 0);
	wait_until(cache->updates >= 3);
	assert_int_equal(mag_maint_interval(0), 0);
	assert_int_equal(mag_cache_destroy(cache), 0);
}

int
main(int argc, char **argv)
{
	/*
	 * A program that exec()s itself has the same process number and finds its own environment.
	 */
	if (argc == 1) {
		execl("/proc/self/exe", argv[0], "again", NULL);
		return 1;
	}
	eal_start(2, NULL);
	return tests_run(setup, NULL);
}
