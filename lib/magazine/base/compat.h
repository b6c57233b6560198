/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_COMPAT_H
#define MAG_COMPAT_H

/*
 * What DPDK's versions, 22.11 to 26.07, name, declare or compute differently. The rest of the
 * library uses the later names; here they are made of what an earlier version has.
 */

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

#include <rte_common.h>
#include <rte_lcore.h>
#include <rte_telemetry.h>
#include <rte_thread.h>
#include <rte_version.h>

/* 22.11 calls an unsigned 64-bit value u64, later versions uint. */
#if RTE_VERSION < RTE_VERSION_NUM(23, 3, 0, 0)
#define RTE_TEL_UINT_VAL RTE_TEL_U64_VAL
#define rte_tel_data_add_array_uint rte_tel_data_add_array_u64
#define rte_tel_data_add_dict_uint rte_tel_data_add_dict_u64
#endif

#if RTE_VERSION >= RTE_VERSION_NUM(23, 11, 0, 0)
struct mag_ctrl_thread {
	void *(*start)(void *arg);
	void *arg;
};

static inline uint32_t
mag_ctrl_thread_start(void *arg)
{
	struct mag_ctrl_thread thread = *(struct mag_ctrl_thread *)arg;

	free(arg);
	thread.start(thread.arg);
	return 0;
}
#endif

/*
 * A control thread of EAL: off the CPUs of EAL's lcores where it may be. It is joinable, as one of
 * pthread_create() is, and pthread_detach() does for it too; what start() returns is lost. The name
 * has at most 15 characters. Returns 0, or -errno.
 */
static inline int
mag_ctrl_thread_create(pthread_t *id, const char *name, void *(*start)(void *arg), void *arg)
{
#if RTE_VERSION >= RTE_VERSION_NUM(23, 11, 0, 0)
	struct mag_ctrl_thread *thread = malloc(sizeof(*thread));
	rte_thread_t made;
	int ret;

	if (thread == NULL)
		return -ENOMEM;
	*thread = (struct mag_ctrl_thread){.start = start, .arg = arg};
	ret = rte_thread_create_control(&made, name, mag_ctrl_thread_start, thread);
	if (ret != 0) {
		free(thread);
		return -abs(ret);
	}
	*id = (pthread_t)made.opaque_id;
	return 0;
#else
	return -abs(rte_ctrl_thread_create(id, name, NULL, start, arg));
#endif
}

/* Wait until a thread of mag_ctrl_thread_create() has ended. */
static inline void
mag_ctrl_thread_join(pthread_t id)
{
#if RTE_VERSION >= RTE_VERSION_NUM(23, 11, 0, 0)
	rte_thread_join((rte_thread_t){.opaque_id = (uintptr_t)id}, NULL);
#else
	pthread_join(id, NULL);
#endif
}

/*
 * Objects at which a cache of rte_mempool of that size is flushed. A 26.07 below a driver that was
 * compiled for 25.11, of the same ABI, does not look at it.
 */
static inline uint32_t
mag_compat_flushthresh(uint32_t size)
{
#if RTE_VERSION < RTE_VERSION_NUM(26, 7, 0, 0)
	return size * 3 / 2;
#else
	return size;
#endif
}

#endif /* MAG_COMPAT_H */
