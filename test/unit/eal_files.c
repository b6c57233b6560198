/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal_files.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include <rte_eal.h>

void
eal_files_remove(void)
{
	const char *folder = rte_eal_get_runtime_dir();
	struct dirent *entry;
	char path[PATH_MAX];
	DIR *dir = opendir(folder);

	if (dir == NULL)
		return;
	while ((entry = readdir(dir)) != NULL) {
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		unlink(path);
	}
	closedir(dir);
	rmdir(folder);
}
