/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/counter.h"
#include "visits/reserve.h"

static _Thread_local bool privileged;

void
mag_reserve_privileged(bool on)
{
	privileged = on;
}

/* A free object that lies in no slot; NULL: none. */
static void *
one_object(struct mag_cache *cache)
{
	struct mag_request request = {.some = true};
	struct mag_home *home;
	unsigned int part;
	void *object = NULL;

	MAG_FOREACH_HOME(cache, part, home)
		if (mag_home_take_beside(home, &object, 1, &request) == 1)
			break;
	mag_request_end(&cache->common, &request);
	return home != NULL ? object : NULL;
}

/* One at a time: a process that is killed in it loses no more. */
void
mag_reserve_fill(struct mag_cache *cache)
{
	struct mag_pile *pile = cache->pile;
	void *object;
	uint32_t i;

	for (i = 0; pile != NULL && i < pile->size && !MAG_STAT(cache->dying); i++) {
		if (mag_pile_look(pile, i) != NULL)
			continue;
		object = one_object(cache);
		if (object == NULL)
			return;
		if (!mag_pile_put(pile, i, object))
			mag_cache_give_past(cache, &object, 1);
	}
}

void
mag_reserve_put(struct mag_cache *cache, void *const *objects, unsigned int n)
{
	struct mag_pile *pile = cache->pile;
	unsigned int done = 0;
	uint32_t i;

	for (i = 0; i < pile->size && done < n; i++)
		done += mag_pile_look(pile, i) == NULL && mag_pile_put(pile, i, objects[done]);
	/* Others filled it meanwhile. */
	if (done < n)
		mag_cache_give_past(cache, objects + done, n - done);
}

unsigned int
mag_reserve_take(struct mag_cache *cache, void **objects, unsigned int n, bool some)
{
	struct mag_request request = {.some = some};
	unsigned int got, all;

	if (cache->pile == NULL || !privileged || MAG_STAT(cache->dying))
		return 0;
	got = mag_cache_take(cache, objects, n, &request);
	all = got + mag_pile_take(cache->pile, objects + got, n - got);
	if (all < n && !some) {
		mag_cache_give(cache, objects, got);
		mag_reserve_put(cache, objects + got, all - got);
		all = 0;
	}
	mag_request_end(&cache->common, &request);
	return all;
}
