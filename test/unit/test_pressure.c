/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"

#include <dlfcn.h>
#include <fcntl.h>

#include <rte_cycles.h>

#include "base/pressure.h"

/* Stands in front of the C library's own, to count. */
static unsigned int opened;

int
open(const char *name, int flags, ...)
{
	static int (*next)(const char *name, int flags, ...);

	if (next == NULL)
		next = (__typeof__(next))(uintptr_t)dlsym(RTLD_NEXT, "open");
	opened += name == mag_pressure_file;
	return next(name, flags, 0600);
}

static char path[] = "/tmp/magazine-pressure-XXXXXX";

static void
kernel_says(const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static int
setup(void **state __rte_unused)
{
	int file = mkstemp(path);

	mag_pressure_file = path;
	return file < 0 ? -1 : close(file);
}

static int
teardown(void **state __rte_unused)
{
	return unlink(path);
}

static uint32_t
read_of(const char *text)
{
	kernel_says(text);
	return mag_pressure_read();
}

TEST(test_it_is_the_share_of_ten_seconds_that_some_task_waited)
{
	assert_int_equal(read_of("some avg10=0.00 avg60=1.00 avg300=2.00 total=9\n"
				 "full avg10=3.00 avg60=4.00 avg300=5.00 total=9\n"),
			 0);
	assert_int_equal(read_of("some avg10=12.34 avg60=0.00 avg300=0.00 total=9\n"
				 "full avg10=56.00 avg60=0.00 avg300=0.00 total=9\n"),
			 1234);
	assert_int_equal(read_of("some avg10=7.05 avg60=0.00"), 705);
	assert_int_equal(read_of("some avg10=100.00 avg60=0.00"), 10000);
}

TEST(test_what_is_not_understood_is_no_pressure)
{
	assert_int_equal(read_of(""), 0);
	assert_int_equal(read_of("\n"), 0);
	assert_int_equal(read_of("full avg10=50.00"), 0);
	assert_int_equal(read_of("some avg10=x"), 0);
}

TEST(test_a_kernel_that_tells_nothing_knows_of_no_pressure)
{
	mag_pressure_file = "/proc/pressure/none";
	assert_int_equal(mag_pressure_read(), 0);
	mag_pressure_file = "/";
	assert_int_equal(mag_pressure_read(), 0);
	mag_pressure_file = path;
}

TEST(test_it_is_read_once_a_second_at_most)
{
	uint64_t begin = rte_rdtsc();
	unsigned int before = opened;

	kernel_says("some avg10=42.00 avg60=0.00");
	for (unsigned int i = 0; i < 100000; i++)
		mag_pressure();
	assert_true(opened - before <= (rte_rdtsc() - begin) / rte_get_tsc_hz() + 1);
	wait_until(mag_pressure() == 4200);
}

int
main(void)
{
	eal_start(1, NULL);
	return tests_run(setup, teardown);
}
