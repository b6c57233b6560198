/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/counter.h"
#include "slot/thread.h"
#include "visits/recover.h"

bool
mag_recover_slots(struct mag_cache *cache, uint32_t process)
{
	unsigned int i, part, slots = mag_thread_slots();
	struct mag_home *home;
	struct mag_slot *slot;
	uint32_t whole = 0;
	bool all = true;

	MAG_FOREACH_HOME(cache, part, home)
		for (i = 0; i < slots; i++) {
			slot = &home->slot[i];
			/* acquire: what the dead did last; pairs with mag_slot_leave() */
			if (mag_thread_process(i) != process || MAG_STAT_ACQUIRE(slot->busy) == 0)
				continue;
			if (MAG_STAT(slot->torn) != 0) {
				all = false;
				continue;
			}
			mag_slot_leave(slot);
			whole++;
		}
	if (whole > 0)
		mag_events_add(&cache->events, MAG_EVENT_RECOVERY, 0, whole);
	return all;
}
