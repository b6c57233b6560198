/* SPDX-License-Identifier: BSD-3-Clause */
#include <glob.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_eal.h>

#include "base/deadline.h"
#include "base/eal_end.h"

/* The end of EAL takes milliseconds. */
#define END_MS 10000

static char socket_path[PATH_MAX]; /* empty: there is none */
static uint64_t socket_missed;     /* TSC when it was first seen gone, 0 = it is there */

void
mag_eal_end_watch(void)
{
	char pattern[PATH_MAX];
	glob_t found;

	*socket_path = '\0';
	socket_missed = 0;
	if (rte_eal_process_type() == RTE_PROC_PRIMARY)
		snprintf(pattern, sizeof(pattern), "%s/mp_socket", rte_eal_get_runtime_dir());
	else
		snprintf(pattern, sizeof(pattern), "%s/mp_socket_%d_*", rte_eal_get_runtime_dir(),
			 getpid());
	if (glob(pattern, 0, NULL, &found) != 0)
		return;
	if (found.gl_pathc == 1 && strlen(found.gl_pathv[0]) < sizeof(socket_path))
		strcpy(socket_path, found.gl_pathv[0]);
	globfree(&found);
}

bool
mag_eal_end_has_begun(void)
{
	uint64_t now = rte_rdtsc();

	if (*socket_path == '\0' || access(socket_path, F_OK) == 0) {
		socket_missed = 0;
		return false;
	}
	if (socket_missed == 0)
		socket_missed = now;
	if (now - socket_missed < mag_ms_to_tsc(END_MS))
		return true;
	/* Somebody tidied up: it tells nothing any more. */
	*socket_path = '\0';
	return false;
}
