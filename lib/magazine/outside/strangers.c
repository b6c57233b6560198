/* SPDX-License-Identifier: BSD-3-Clause */
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <rte_eal.h>

#include "base/log.h"
#include "outside/strangers.h"
#include "visits/steal.h"

static uint64_t
allocs_of(const struct mag_cache *cache)
{
	struct mag_home *home;
	unsigned int part, i;
	uint64_t sum = 0;

	MAG_FOREACH_HOME(cache, part, home) {
		sum += MAG_STAT(home->beside_allocs);
		for (i = 0; i < MAG_SLOTS; i++)
			sum += MAG_STAT(home->slot[i].allocs);
	}
	return sum;
}

/* A process that was killed leaves its socket behind, which nobody listens to. */
static bool
is_listened_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int from = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool is;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	is = from >= 0 && connect(from, (const struct sockaddr *)&address, sizeof(address)) == 0;
	if (from >= 0)
		close(from);
	return is;
}

/* Each has a socket beside that of the primary process. */
static unsigned int
secondaries_attached(void)
{
	unsigned int count = 0;
	char pattern[PATH_MAX];
	glob_t found;
	size_t i;

	snprintf(pattern, sizeof(pattern), "%s/mp_socket_*", rte_eal_get_runtime_dir());
	if (glob(pattern, GLOB_NOSORT, NULL, &found) != 0)
		return 0;
	for (i = 0; i < found.gl_pathc; i++)
		count += is_listened_to(found.gl_pathv[i]);
	globfree(&found);
	return count;
}

void
mag_strangers_look(struct mag_cache *cache)
{
	static _Atomic bool said;
	uint64_t allocs, before = MAG_STAT(cache->update_allocs);
	unsigned int attached;

	if ((cache->flags & MAG_CACHE_POOL) == 0 || MAG_STAT(said) || mag_process_is_secondary())
		return;
	allocs = allocs_of(cache);
	atomic_store_explicit(&cache->update_allocs, allocs, memory_order_relaxed);
	/* A pool at work takes objects that came back in every interval. */
	if (allocs == 0 || allocs != before || mag_cache_all_free(cache) != 0)
		return;
	attached = secondaries_attached();
	if (attached == 0 || atomic_exchange_explicit(&said, true, memory_order_relaxed))
		return;
	MAG_LOG(WARNING,
		"pool \"%s\": none of its %" PRIu64
		" objects is free, none came back during an interval, and secondary processes are "
		"attached (%u): one that has not loaded this driver, or has loaded plugins in "
		"another order, loses what it frees: load the same ones in the same order in all "
		"processes",
		cache->name, MAG_STAT(cache->region->objects), attached);
}
