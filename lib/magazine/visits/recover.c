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
	bool all = true;

	MAG_FOREACH_HOME(cache, part, home)
		for (i = 0; i < slots; i++) {
			slot = &home->slot[i];
			/* acquire: what the dead did last; pairs with mag_slot_leave() */
			if (mag_thread_process(i) != process || MAG_STAT_ACQUIRE(slot->busy) == 0)
				continue;
			if (MAG_STAT(slot->torn) != 0)
				all = false;
			else
				mag_slot_leave(slot);
		}
	return all;
}
