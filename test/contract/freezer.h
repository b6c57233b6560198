/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTRACT_FREEZER_H
#define CONTRACT_FREEZER_H

/* A control group for one process, which can be frozen. */

#include <stdbool.h>
#include <sys/types.h>

struct freezer {
	char folder[128];
	bool unified; /* of the second version */
};

/** False: there is no hierarchy for it, or it may not be written to. */
bool freezer_make(struct freezer *freezer, pid_t pid);
/** Returns when it is. */
void freezer_freeze(const struct freezer *freezer);
void freezer_thaw(const struct freezer *freezer);
/** The process has ended. */
void freezer_end(const struct freezer *freezer);

#endif /* CONTRACT_FREEZER_H */
