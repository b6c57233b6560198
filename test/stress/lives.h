/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef STRESS_LIVES_H
#define STRESS_LIVES_H

/*
 * An object is constructed exactly while it is out of the slab layer: a constructor and a
 * destructor that blame if not. The argument of both is a struct lives.
 */

#include "subject.h"

struct lives {
	_Atomic uint64_t calls, constructed, destructed, failed;
	bool fails; /**< once in 1000 times */
};

int lives_construct(const struct mag_object_info *info, const struct mag_object_info *mirror,
		    void *arg, unsigned int flags);
void lives_destruct(void *address, void *arg);
/** After a purge no object is constructed. */
void lives_check(const struct subject *subject, const struct lives *lives);

#endif /* STRESS_LIVES_H */
