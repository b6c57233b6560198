/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef UNIT_EAL_FILES_H
#define UNIT_EAL_FILES_H

/** EAL leaves its files behind when a process ends; none of them is needed again. For atexit(). */
void eal_files_remove(void);

#endif /* UNIT_EAL_FILES_H */
