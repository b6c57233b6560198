/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "freezer.h"
#include "harness.h"

/* Where distributions mount what can freeze. */
static const struct {
	char folder[32];
	bool unified;
} roots[] = {
	{"/sys/fs/cgroup", true},
	{"/sys/fs/cgroup/unified", true},
	{"/sys/fs/cgroup/freezer", false},
};

static bool
write_to(const struct freezer *freezer, const char *name, const char *text)
{
	ssize_t size = (ssize_t)strlen(text);
	char path[256];
	bool done;
	int file;

	snprintf(path, sizeof(path), "%s/%s", freezer->folder, name);
	file = open(path, O_WRONLY);
	if (file < 0)
		return false;
	done = write(file, text, (size_t)size) == size;
	return close(file) == 0 && done;
}

static bool
has(const struct freezer *freezer, const char *name, const char *text)
{
	char path[256], content[256] = "";
	ssize_t size = 0;
	int file;

	snprintf(path, sizeof(path), "%s/%s", freezer->folder, name);
	file = open(path, O_RDONLY);
	if (file >= 0) {
		size = read(file, content, sizeof(content) - 1);
		close(file);
	}
	return size > 0 && strstr(content, text) != NULL;
}

bool
freezer_make(struct freezer *freezer, pid_t pid)
{
	char number[16];

	snprintf(number, sizeof(number), "%d", pid);
	for (unsigned int i = 0; i < RTE_DIM(roots); i++) {
		freezer->unified = roots[i].unified;
		snprintf(freezer->folder, sizeof(freezer->folder), "%s/magazine-%d",
			 roots[i].folder, pid);
		if (mkdir(freezer->folder, 0700) != 0)
			continue;
		if (write_to(freezer, roots[i].unified ? "cgroup.freeze" : "freezer.state",
			     roots[i].unified ? "0" : "THAWED") &&
		    write_to(freezer, "cgroup.procs", number))
			return true;
		rmdir(freezer->folder);
	}
	return false;
}

void
freezer_freeze(const struct freezer *freezer)
{
	if (freezer->unified) {
		assert_true(write_to(freezer, "cgroup.freeze", "1"));
		while (!has(freezer, "cgroup.events", "frozen 1"))
			usleep(1000);
	} else {
		assert_true(write_to(freezer, "freezer.state", "FROZEN"));
		while (!has(freezer, "freezer.state", "FROZEN"))
			usleep(1000);
	}
}

void
freezer_thaw(const struct freezer *freezer)
{
	write_to(freezer, freezer->unified ? "cgroup.freeze" : "freezer.state",
		 freezer->unified ? "0" : "THAWED");
}

void
freezer_end(const struct freezer *freezer)
{
	assert_int_equal(rmdir(freezer->folder), 0);
}
