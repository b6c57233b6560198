/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Elastic regions in each memory mode of EAL: hugepages come with the load and are the system's
 * again after it, or it is said that EAL keeps them.
 */

#include <glob.h>
#include <limits.h>
#include <mntent.h>
#include <sys/stat.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_malloc.h>
#include <rte_memory.h>
#include <rte_service.h>

#include "harness.h"
#include "heap.h"
#include "mag_maint.h"
#include "mag_mirror.h"
#include "../counts.h"
#include "outside/maint.h"

#define SIZE 256
#define OBJECTS 200000
#define LOAD 100000
#define HUGEPAGE ((size_t)2 << 20)
/* Pages that EAL's heap may take or keep for what is not a segment. */
#define SLACK 2
/* Slabs that an lcore's two magazines may keep objects of. */
#define IN_MAGAZINES 3

static struct mag_region *region;
static struct mag_cache *cache;
static void *objects[LOAD];

static bool
keeps_memory(void)
{
	return harness_has_arg("--legacy-mem");
}

static uint64_t
heaps(void)
{
	struct rte_malloc_socket_stats stats;
	uint64_t sum = 0;

	for (unsigned int i = 0; i < rte_socket_count(); i++)
		if (rte_malloc_get_socket_stats(rte_socket_id_by_idx(i), &stats) == 0)
			sum += stats.heap_totalsz_bytes;
	return sum;
}

static size_t
line_of(const char *file, const char *name)
{
	FILE *f = fopen(file, "r");
	char line[128];
	size_t value = 0;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, name, strlen(name)) == 0)
			sscanf(line + strlen(name), "%zu", &value);
	fclose(f);
	return value;
}

/* Hugepages that are in files of this EAL, whoever maps them. */
static size_t
pages_in_files(void)
{
	FILE *mounts = setmntent("/proc/self/mounts", "r");
	char pattern[PATH_MAX];
	struct mntent *mount;
	size_t bytes = 0;
	struct stat file;
	glob_t found;

	assert_non_null(mounts);
	while ((mount = getmntent(mounts)) != NULL) {
		if (strcmp(mount->mnt_type, "hugetlbfs") != 0)
			continue;
		snprintf(pattern, sizeof(pattern), "%s/%smap_*", mount->mnt_dir, eal_prefix());
		if (glob(pattern, 0, NULL, &found) == 0)
			for (size_t i = 0; i < found.gl_pathc; i++)
				if (stat(found.gl_pathv[i], &file) == 0)
					bytes += file.st_blocks * 512;
		globfree(&found);
	}
	endmntent(mounts);
	return bytes / HUGEPAGE;
}

/*
 * Pages that are not the system's to give away because of this process: hugepages that it maps or
 * has files of, or 2 MiB of ordinary ones. What other processes take or return is not among them.
 */
static size_t
pages_used(void)
{
	size_t mapped, in_files;

	if (!rte_eal_has_hugepages())
		return line_of("/proc/self/status", "VmRSS:") / 2048;
	mapped = (line_of("/proc/self/smaps_rollup", "Private_Hugetlb:") +
		  line_of("/proc/self/smaps_rollup", "Shared_Hugetlb:")) /
		 2048;
	in_files = pages_in_files();
	return RTE_MAX(mapped, in_files);
}

static void
region_make(uint32_t size, uint64_t room)
{
	struct mag_region_params params = {.size = sizeof(params),
					   .name = "elastic",
					   .object_size = size,
					   .objects = room,
					   .node = -1};

	region = mag_region_create(&params);
	assert_non_null(region);
}

static void
cache_make(void)
{
	struct mag_cache_params params = {.size = sizeof(params),
					  .name = "elastic",
					  .object_size = SIZE,
					  .region = region,
					  .node = -1};

	cache = mag_cache_create(&params);
	assert_non_null(cache);
}

SETUP(setup)
{
	region_make(SIZE, OBJECTS);
	cache_make();
}

TEARDOWN(teardown)
{
	mag_maint_interval(0);
	if (cache != NULL)
		assert_int_equal(mag_cache_destroy(cache), 0);
	if (region != NULL)
		assert_int_equal(mag_region_destroy(region), 0);
	cache = NULL;
	region = NULL;
}

static uint32_t
segments(void)
{
	struct mag_region_stats stats;

	mag_region_stats_get(region, &stats);
	return stats.segments;
}

static void
load_up(void)
{
	for (unsigned int i = 0; i < LOAD; i++) {
		objects[i] = mag_cache_alloc_wait(cache, 2000000);
		if (objects[i] == NULL)
			fail_msg("object %u: %s", i, rte_strerror(rte_errno));
		memset(objects[i], i, SIZE);
	}
	assert_true(segments() >= (size_t)LOAD * SIZE / HUGEPAGE);
}

static void
load_down(void)
{
	for (unsigned int i = 0; i < LOAD; i++) {
		assert_int_equal(((unsigned char *)objects[i])[SIZE - 1], (unsigned char)i);
		mag_cache_free(cache, objects[i]);
	}
}

/* Maintenance may be about to return some: then it is looked again. */
static void
assert_pages(size_t least, size_t most)
{
	size_t used = 0;

	for (unsigned int i = 0; i < 50; i++) {
		used = pages_used();
		if (used >= least && used <= most)
			return;
		rte_delay_ms(100);
	}
	fail_msg("%zu pages in use, not %zu to %zu", used, least, most);
}

TEST(memory_follows_the_load, setup, teardown)
{
	uint64_t heap_before, heap_loaded;
	size_t before, had;

	heap_before = heaps();
	before = pages_used();
	for (unsigned int turn = 0; turn < 3; turn++) {
		load_up();
		had = segments() - 1;
		heap_loaded = heaps();
		if (!keeps_memory())
			assert_pages(before + had - SLACK, before + had + SLACK);
		if (!keeps_memory() && rte_eal_has_hugepages())
			assert_true(heap_loaded >= heap_before + had * HUGEPAGE);
		load_down();
		assert_int_equal(mag_cache_reap_now(cache, true), 0);
		assert_true(region_trimmed(region, 1) >= had);
		assert_int_equal(segments(), 1);
		if (keeps_memory())
			continue;
		assert_pages(before - SLACK, before + SLACK);
		if (rte_eal_has_hugepages())
			assert_int_equal(heaps(), heap_before);
	}
	say("%zu segments, %s", had, keeps_memory() ? "kept by EAL" : "given back");
}

/* Stays to the end. */
static void
service_begin(void)
{
	static bool done;

	if (done)
		return;
	done = true;
	assert_int_equal(rte_service_lcore_add(1), 0);
	assert_int_equal(rte_service_lcore_start(1), 0);
}

TEST(a_service_lcore_gives_it_back, setup, teardown)
{
	size_t before, had;

	service_begin();
	assert_int_equal(mag_maint_interval(20), 0);
	before = pages_used();
	load_up();
	had = segments() - 1;
	load_down();
	for (unsigned int i = 0; i < 400 && segments() > IN_MAGAZINES; i++)
		rte_delay_ms(50);
	assert_in_range(segments(), 1, IN_MAGAZINES);
	if (!keeps_memory())
		assert_pages(before - SLACK, before + IN_MAGAZINES + SLACK);
	say("%zu segments", had);
}

/* Who does not wait is fed by the service lcore. */
TEST(a_service_lcore_feeds, setup, teardown)
{
	unsigned int n = 0, misses = 0;
	uint64_t end = rte_rdtsc() + 60 * rte_get_tsc_hz();

	service_begin();
	while (n < LOAD && rte_rdtsc() < end) {
		objects[n] = mag_cache_alloc(cache);
		if (objects[n] == NULL) {
			misses++;
			rte_delay_us(100);
			continue;
		}
		memset(objects[n], n, SIZE);
		n++;
	}
	assert_int_equal(n, LOAD);
	say("%u times there was none", misses);
	load_down();
}

/* What is left over of a segment's pages is not for others, who would keep the pages. */
TEST(small_allocations_of_others_keep_no_page, NULL, teardown)
{
	enum { SEGMENTS = 32 };
	static const uint32_t sizes[] = {512, 2048, 9000, 65536};
	void *small[SEGMENTS];
	size_t before;

	for (unsigned int i = 0; i < RTE_DIM(sizes); i++) {
		region_make(sizes[i], SEGMENTS * 2 * HUGEPAGE / sizes[i]);
		before = pages_used();
		for (unsigned int j = 0; j < SEGMENTS; j++) {
			assert_int_equal(region_grown(region, 1), 1);
			small[j] = rte_malloc(NULL, 1024, 0);
			assert_non_null(small[j]);
		}
		assert_int_equal(region_trimmed(region, 1), SEGMENTS);
		if (!keeps_memory())
			assert_pages(0, before + SLACK);
		for (unsigned int j = 0; j < SEGMENTS; j++)
			rte_free(small[j]);
		teardown(NULL);
	}
}

static void
assert_contiguous(void *first, size_t len)
{
	size_t page = sysconf(_SC_PAGESIZE);
	rte_iova_t iova = rte_mem_virt2iova(first);

	for (size_t at = page; at < len; at += page)
		assert_int_equal(rte_mem_virt2iova((char *)first + at), iova + at);
}

TEST(physcontig_segments_are_contiguous, NULL, teardown)
{
	struct mag_region_params params = {.size = sizeof(params),
					   .name = "contiguous",
					   .object_size = 100000,
					   .objects = 300,
					   .mode = MAG_REGION_PHYSCONTIG | MAG_REGION_NOMAGAZINES,
					   .node = -1};
	struct mag_cache_params its = {.size = sizeof(its),
				       .name = "contiguous",
				       .object_size = 100000,
				       .flags = MAG_CACHE_NOMAGAZINES,
				       .node = -1};
	void *object[120];

	region = mag_region_create(&params);
	if (!rte_eal_has_hugepages()) {
		assert_null(region);
		assert_int_equal(rte_errno, ENOTSUP);
		return;
	}
	assert_non_null(region);
	its.region = region;
	cache = mag_cache_create(&its);
	assert_non_null(cache);
	for (unsigned int i = 0; i < RTE_DIM(object); i++) {
		object[i] = mag_cache_alloc_wait(cache, 1000000);
		assert_non_null(object[i]);
		if (i > 0 && (char *)object[i] == (char *)object[i - 1] + 100000)
			assert_contiguous(object[i - 1], 200000);
		else
			assert_contiguous(object[i], 100000);
	}
	assert_true(segments() >= 4);
	mag_cache_free_bulk(cache, object, RTE_DIM(object));
	assert_true(region_trimmed(region, 0) >= 4);
	assert_int_equal(segments(), 0);
}

TEST(a_region_leaves_nothing_behind)
{
	struct heap_use before, after;

	/* The first time is for what EAL and the C library allocate once. */
	for (unsigned int turn = 0; turn < 4; turn++) {
		setup(NULL);
		load_up();
		load_down();
		teardown(NULL);
		after = heap_use_now();
		if (turn == 0)
			before = after;
	}
	heap_assert_same(&before, &after);
}

#define MIRRORED 20000
/* Of a segment: no more than a hugepage, which is contiguous whatever IOVAs are. */
#define MIRROR_SIZE 200

/* Each object has a mirror that begins zeroed, in segments as its mode has them, and leads back. */
static void
mirrors_check(uint32_t mode)
{
	const struct mag_mirror *find = mag_region_mirror(region);
	static const char zero[MIRROR_SIZE];
	struct mag_object_info info;
	struct mag_region_stats stats;
	char *its;

	mag_region_stats_get(region, &stats);
	assert_int_equal(mag_cache_alloc_burst(cache, objects, MIRRORED), MIRRORED);
	for (unsigned int i = 0; i < MIRRORED; i++) {
		its = mag_mirror_of(find, objects[i]);
		assert_memory_equal(its, zero, MIRROR_SIZE);
		memset(its, i + 1, MIRROR_SIZE);
		memset(objects[i], 0, SIZE);
		assert_int_equal(mag_cache_object_info(cache, objects[i], &info, NULL), 0);
		if (info.segment_object == 0 && mode & MAG_REGION_PHYSCONTIG)
			assert_contiguous(its, (size_t)stats.segment_objects * MIRROR_SIZE);
	}
	for (unsigned int i = 0; i < MIRRORED; i++) {
		its = mag_mirror_of(find, objects[i]);
		assert_true(its[0] == (char)(i + 1) && its[MIRROR_SIZE - 1] == (char)(i + 1));
		assert_ptr_equal(mag_mirror_object(find, its), objects[i]);
	}
	mag_cache_free_bulk(cache, objects, MIRRORED);
}

static void
mirror_region_use(uint32_t mode)
{
	struct mag_region_params params = {.size = sizeof(params),
					   .name = "mirror",
					   .object_size = MIRROR_SIZE,
					   .mode = mode,
					   .node = -1};
	struct mag_region_stats stats;
	struct mag_region *mirror;

	region_make(SIZE, 2 * MIRRORED);
	mirror = mag_region_mirror_create(region, &params);
	assert_non_null(mirror);
	cache_make();
	for (unsigned int turn = 0; turn < 3; turn++) {
		region_grown(region, 3);
		mirrors_check(mode);
		assert_int_equal(mag_cache_purge(cache), 0);
		mag_cache_enable(cache);
		/* Maintenance may have had a segment in its hands, for the reserve. */
		for (unsigned int tries = 0; tries == 0 || (stats.segments > 0 && tries < 100);
		     tries++) {
			region_trimmed(region, 0);
			mag_region_stats_get(mirror, &stats);
		}
		assert_int_equal(stats.segments, 0);
		assert_int_equal(stats.memory, 0);
	}
	teardown(NULL);
	assert_int_equal(mag_region_destroy(mirror), 0);
}

TEST(a_mirror_region_has_pages_of_its_own)
{
	static const uint32_t modes[] = {0, MAG_REGION_PHYSCONTIG, MAG_REGION_REDZONE};
	struct heap_use before = {0}, after;

	for (unsigned int i = 0; i < 2 * RTE_DIM(modes); i++) {
		if (i == RTE_DIM(modes))
			before = heap_use_now();
		if (rte_eal_has_hugepages() || modes[i % 3] != MAG_REGION_PHYSCONTIG)
			mirror_region_use(modes[i % 3]);
	}
	after = heap_use_now();
	heap_assert_same(&before, &after);
}

int
main(int argc, char **argv)
{
	return HARNESS_RUN(argc, argv, 2);
}
