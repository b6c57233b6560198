/* SPDX-License-Identifier: BSD-3-Clause */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_log.h>

#include "harness.h"
#include "logtap.h"

#define WAIT_MS 20000

static char *text;
static size_t text_len;
static FILE *stream;

void
logtap_open(void)
{
	free(text);
	text = NULL;
	stream = open_memstream(&text, &text_len);
	assert_non_null(stream);
	rte_openlog_stream(stream);
}

void
logtap_close(void)
{
	rte_openlog_stream(NULL);
	fclose(stream);
	stream = NULL;
}

unsigned int
logtap_lines(void)
{
	unsigned int lines = 0;

	for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++)
		lines++;
	return lines;
}

bool
logtap_has(const char *wanted)
{
	return strcasestr(text, wanted) != NULL;
}

bool
logtap_wait(const char *wanted)
{
	bool has = false;

	for (unsigned int i = 0; !has && i < WAIT_MS; i++) {
		usleep(1000);
		/* Other threads write to it. */
		flockfile(stream);
		fflush(stream);
		has = logtap_has(wanted);
		funlockfile(stream);
	}
	return has;
}

const char *
logtap_text(void)
{
	return text;
}
