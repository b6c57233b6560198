/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_MAINT_PRIVATE_H
#define MAG_MAINT_PRIVATE_H

/* What fork() needs of maintenance; the rest is public (mag_maint.h). */

/** Hold what guards the control thread; let it go again, in the parent or the child. */
void mag_maint_fork_begin(void);
void mag_maint_fork_end(void);
/** In the child, between these: there is no control thread. */
void mag_maint_forked(void);

#endif /* MAG_MAINT_PRIVATE_H */
