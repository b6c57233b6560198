/* SPDX-License-Identifier: BSD-3-Clause */

/* Loans: objects that a user has before it needs them. */

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "mag_cache.h"
#include "mag_stats.h"

#define LOAN_MAX (1u << 20)

struct mag_loan {
	struct mag_cache *cache;
	unsigned int left;
	void *object[];
};

int
mag_cache_borrow(struct mag_cache *cache, unsigned int n, struct mag_loan **loan)
{
	struct mag_loan *made;

	*loan = NULL;
	if (n == 0 || n > LOAN_MAX) {
		MAG_LOG(ERR, "cache \"%s\": loan of %u objects: must be 1 to %u",
			mag_cache_name(cache), n, LOAN_MAX);
		return -EINVAL;
	}
	made = malloc(sizeof(*made) + n * sizeof(made->object[0]));
	if (made == NULL)
		return -ENOMEM;
	if (mag_cache_alloc_bulk(cache, made->object, n) != n) {
		free(made);
		return -ENOBUFS;
	}
	made->cache = cache;
	made->left = n;
	*loan = made;
	return 0;
}

void *
mag_loan_alloc(struct mag_loan *loan)
{
	return loan->left > 0 ? loan->object[--loan->left] : NULL;
}

unsigned int
mag_loan_left(const struct mag_loan *loan)
{
	return loan->left;
}

void
mag_loan_return(struct mag_loan *loan)
{
	if (loan == NULL)
		return;
	mag_cache_free_bulk(loan->cache, loan->object, loan->left);
	free(loan);
}
