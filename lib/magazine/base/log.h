/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_LOG_H
#define MAG_LOG_H

#include <inttypes.h>

#include <rte_common.h>
#include <rte_log.h>

#include "mag_compiler.h"

/** Log type "lib.magazine"; NOTICE by default. The driver's too: door.h declares it for that. */
extern int mag_logtype MAG_EXPORTED;

/*
 * One line names the thing, the value and the remedy:
 * magazine: pool "rx0": option rounds=7: must be one of 14, 30, ...
 */
#define MAG_LOG(level, ...)                                                                        \
	rte_log(RTE_LOG_##level, (uint32_t)mag_logtype,                                            \
		RTE_FMT("magazine: " RTE_FMT_HEAD(__VA_ARGS__, ) "\n",                             \
			RTE_FMT_TAIL(__VA_ARGS__, )))

#endif /* MAG_LOG_H */
