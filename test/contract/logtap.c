/* SPDX-License-Identifier: BSD-3-Clause */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_log.h>

#include "harness.h"
#include "logtap.h"

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

const char *
logtap_text(void)
{
	return text;
}
