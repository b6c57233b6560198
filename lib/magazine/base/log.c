/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/log.h"

/* In a tree of DPDK its build says this. */
#ifndef RTE_LOG_DEFAULT_LOGTYPE
#define RTE_LOG_DEFAULT_LOGTYPE lib.magazine
#endif

RTE_LOG_REGISTER_DEFAULT(mag_logtype, NOTICE)
