/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_log.h>

#include "../check.h"
#include "log.h"

#define WAIT_MS 20000

static FILE *stream;
static char *text;
static size_t size;

void
log_begin(void)
{
	free(text);
	text = NULL;
	stream = open_memstream(&text, &size);
	assert_non_null(stream);
	rte_openlog_stream(stream);
}

const char *
log_end(void)
{
	rte_openlog_stream(NULL);
	fclose(stream);
	return text;
}

const char *
log_text(void)
{
	return text;
}

unsigned int
count_lines(const char *of)
{
	unsigned int lines = 0;

	for (; (of = strchr(of, '\n')) != NULL; of++)
		lines++;
	return lines;
}

unsigned int
log_lines(void)
{
	return count_lines(text);
}

bool
log_has(const char *part)
{
	return strcasestr(text, part) != NULL;
}

bool
log_wait(const char *part)
{
	bool has = false;

	for (unsigned int i = 0; !has && i < WAIT_MS; i++) {
		usleep(1000);
		/* Other threads write to it. */
		flockfile(stream);
		fflush(stream);
		has = log_has(part);
		funlockfile(stream);
	}
	return has;
}
