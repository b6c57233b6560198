/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TEST_PATIENCE_H
#define TEST_PATIENCE_H

/*
 * Limits of time that grow with the load of the machine; app/patience.py is the same for scripts. A
 * limit says that something hangs. It is meant for an idle machine; where N threads want each CPU,
 * everything takes N times as long.
 */

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/** What hangs is told in the end. */
#define PATIENCE_MOST 8

/**
 * How much longer than on an idle machine something may take: 1 to PATIENCE_MOST. To be asked when
 * the limit is reached, so that it covers what came after the start; a signal handler may.
 */
static inline unsigned int
patience(void)
{
	const char *path = getenv("MAGAZINE_LOADAVG");
	long cpus = sysconf(_SC_NPROCESSORS_ONLN), load = 0;
	char text[16] = "";
	int fd = open(path != NULL && *path != '\0' ? path : "/proc/loadavg", O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		if (read(fd, text, sizeof(text) - 1) > 0)
			for (const char *c = text; *c >= '0' && *c <= '9'; c++)
				load = load * 10 + *c - '0';
		close(fd);
	}
	load = cpus > 0 ? (load + cpus) / cpus : 1; /* a part of a thread counts as one */
	return load < PATIENCE_MOST ? (unsigned int)load : PATIENCE_MOST;
}

#endif /* TEST_PATIENCE_H */
