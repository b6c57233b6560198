/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_LCORES_H
#define MAG_LCORES_H

/*
 * How many lcores there are, and other threads that own slots: what magazines hold, and so how much
 * memory is set aside for that, grows with their number.
 */

#include <stdint.h>

#include <rte_config.h>

/** Threads that have magazines of their own at once, at the most: lcores and others. */
#define MAG_LCORES_MAX (RTE_MAX_LCORE + 128u)

/** Lcores that may come after they were counted; when one does, so many again. */
#define MAG_LCORES_SPARE 2u

/**
 * Lcores that memory is set aside for: the most that there were at once, and some to spare. In a
 * secondary process, which does not know those of the primary, all that there can be.
 */
uint32_t mag_lcores(void);
/** So many lcores are there at once. */
void mag_lcores_seen(uint32_t lcores);
/** Count the lcore ids that are in use: EAL's, service lcores, registered threads. */
void mag_lcores_look(void);

#endif /* MAG_LCORES_H */
