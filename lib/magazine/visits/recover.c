/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/counter.h"
#include "slot/thread.h"
#include "visits/recover.h"

bool
mag_recover_slots(const struct mag_cache *cache, uint32_t process)
{
	unsigned int i, part, slots = mag_thread_slots();
	struct mag_home *home;

	MAG_FOREACH_HOME(cache, part, home)
		for (i = 0; i < slots; i++)
			/* acquire: what the dead did last; pairs with mag_slot_leave() */
			if (mag_thread_process(i) == process &&
			    MAG_STAT_ACQUIRE(home->slot[i].busy) != 0)
				return false;
	return true;
}
