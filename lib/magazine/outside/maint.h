/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_MAINT_PRIVATE_H
#define MAG_MAINT_PRIVATE_H

/* What other rooms and tests need of maintenance; the rest is public (mag_maint.h). */

/** Something may be due before the control thread would look: it looks at once. */
void mag_maint_wake(void);

/**
 * Override the update interval of all caches, for tests.
 *
 * @param interval_ms
 *   1 to 3,600,000 ms; 0 restores each cache's own.
 * @return
 *   0, or -EINVAL.
 */
int mag_maint_interval(unsigned int interval_ms);

/** Hold what guards the control thread; let it go again, in the parent or the child. */
void mag_maint_fork_begin(void);
void mag_maint_fork_end(void);
/** In the child, between these: there is no control thread. */
void mag_maint_forked(void);

#endif /* MAG_MAINT_PRIVATE_H */
