/* SPDX-License-Identifier: BSD-3-Clause */

#include <libgen.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_eal.h>
#include <rte_errno.h>

#include "start.h"

static void
remove_runtime_dir(void)
{
	rmdir(rte_eal_get_runtime_dir());
}

const char *
start_eal(const char *name, const char *plugin, const char *memory, const char *lcores)
{
	static char self[PATH_MAX];
	const char *base = getenv("MAGAZINE_FILE_PREFIX"), *here;
	char magazine[2 * PATH_MAX], prefix[128];
	const char *const args[] = {name,
				    "--no-huge",
				    "-m",
				    memory,
				    "--no-shconf",
				    "--no-pci",
				    "--no-telemetry",
				    "-d",
				    magazine,
				    "--lcores",
				    lcores,
				    "--log-level=*:warning",
				    "--file-prefix",
				    prefix,
				    NULL};

	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0) {
		perror("/proc/self/exe");
		return NULL;
	}
	here = dirname(self);
	snprintf(magazine, sizeof(magazine), "%s", plugin != NULL ? plugin : "");
	if (plugin == NULL)
		snprintf(magazine, sizeof(magazine),
			 "%s/../../drivers/mempool/magazine/librte_mempool_magazine.so", here);
	snprintf(prefix, sizeof(prefix), "%s-%s-%d",
		 base != NULL && *base != '\0' ? base : "magazine", name, getpid());
	atexit(remove_runtime_dir); /* it is there also when EAL does not start */
	if (rte_eal_init(RTE_DIM(args) - 1, (char **)(uintptr_t)args) < 0) {
		fprintf(stderr, "EAL does not start with the plugin %s: %s\n", magazine,
			rte_strerror(rte_errno));
		return NULL;
	}
	return here;
}
