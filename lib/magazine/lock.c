/* SPDX-License-Identifier: BSD-3-Clause */
#include <unistd.h>

#include <rte_common.h>

#include "lock.h"

uint32_t mag_pid;

RTE_INIT_PRIO(mag_lock_load, LOG)
{
	mag_pid = getpid();
}
