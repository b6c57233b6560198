/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/params.h"

#include <errno.h>
#include <string.h>

#include <rte_common.h>

#include "base/log.h"

int
mag_params_read(void *own, size_t size, const void *theirs, const char *what, const char *init)
{
	const unsigned char *byte = theirs;
	size_t their_size, i;

	memcpy(&their_size, theirs, sizeof(their_size));
	if (their_size < sizeof(their_size)) {
		MAG_LOG(ERR, "parameters of a %s: their size is %zu: begin with %s", what,
			their_size, init);
		return -EINVAL;
	}
	for (i = size; i < their_size; i++)
		if (byte[i] != 0) {
			MAG_LOG(ERR,
				"parameters of a %s: byte %zu of %zu is set, this library knows "
				"%zu: use the version that the program was compiled for",
				what, i, their_size, size);
			return -EINVAL;
		}
	memcpy(own, theirs, RTE_MIN(size, their_size));
	memcpy(own, &size, sizeof(size));
	return 0;
}

void
mag_stats_give(void *theirs, size_t their_size, const void *own, size_t size)
{
	size_t known = RTE_MIN(their_size, size);

	memset(theirs, 0, their_size);
	memcpy(theirs, own, known);
	memcpy(theirs, &known, sizeof(known));
}
