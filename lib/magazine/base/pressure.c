/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <rte_cycles.h>

#include "base/pressure.h"

const char *mag_pressure_file = "/proc/pressure/memory";

/* Opened anew each time: it may come, or be another, after a chroot or in a child. */
uint32_t
mag_pressure_read(void)
{
	int file = open(mag_pressure_file, O_RDONLY | O_CLOEXEC);
	unsigned int percent, hundredths;
	char text[64];
	ssize_t n;

	if (file < 0)
		return 0;
	n = read(file, text, sizeof(text) - 1);
	close(file);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	if (sscanf(text, "some avg10=%3u.%2u", &percent, &hundredths) != 2)
		return 0;
	return percent * 100 + hundredths;
}

uint32_t
mag_pressure(void)
{
	static uint32_t pressure;
	static uint64_t again; /* TSC */
	uint64_t now = rte_rdtsc();

	if (now >= again) {
		pressure = mag_pressure_read();
		again = now + rte_get_tsc_hz();
	}
	return pressure;
}
