/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include <rte_common.h>
#include <rte_cycles.h>

#include "base/memtag.h"
#include "mag_compiler.h"
#include "mag_memtag.h"
#include "mag_region.h"

#if defined(__aarch64__)

/* The kernel's, which older headers do not have. */
#ifndef HWCAP2_MTE
#define HWCAP2_MTE (1ul << 18)
#endif
#ifndef PROT_MTE
#define PROT_MTE 0x20
#endif
#ifndef PR_SET_TAGGED_ADDR_CTRL
#define PR_SET_TAGGED_ADDR_CTRL 55
#define PR_TAGGED_ADDR_ENABLE 1ul
#endif
#ifndef PR_MTE_TCF_SYNC
#define PR_MTE_TCF_SYNC (1ul << 1)
#endif
#ifndef PR_MTE_TAG_SHIFT
#define PR_MTE_TAG_SHIFT 3
#endif

#define TAGS 16u
#define TAG_SHIFT 56
#define STEP 2u
_Static_assert(3 * (STEP + 3) < TAGS, "a tag does not come again too soon");
/* For IRG, should the application use it: any tag but 0. */
#define TAGS_OF_IRG 0xfffeul

const char *
mag_memtag_missing(void)
{
	return getauxval(AT_HWCAP2) & HWCAP2_MTE ?
		       NULL :
		       "MEMTAG: this processor, or its kernel, has no memory tags";
}

int
mag_memtag_prot(void)
{
	return PROT_MTE;
}

int
mag_memtag_enable(void)
{
	if (mag_memtag_missing() != NULL ||
	    prctl(PR_SET_TAGGED_ADDR_CTRL,
		  PR_TAGGED_ADDR_ENABLE | PR_MTE_TCF_SYNC | TAGS_OF_IRG << PR_MTE_TAG_SHIFT, 0ul,
		  0ul, 0ul) != 0)
		return -ENOTSUP;
	return 0;
}

/* The compiler need not have been told of the extension: nobody comes here without it. */
static uint32_t
tag_at(uintptr_t address)
{
	uint64_t pointer = address;

	__asm__ volatile(".arch armv8.5-a+memtag\n\tldg %0, [%0]" : "+r"(pointer) : : "memory");
	return pointer >> TAG_SHIFT & (TAGS - 1);
}

/* That of the pointer. */
static void
tags_set(uintptr_t pointer, size_t bytes)
{
	uintptr_t at, end = pointer + bytes;

	for (at = pointer; at < end; at += MAG_MEMTAG_GRANULE)
		__asm__ volatile(".arch armv8.5-a+memtag\n\tstg %0, [%0]" : : "r"(at) : "memory");
}

/* xorshift32: no secret. */
static uint32_t
random_below(uint32_t limit)
{
	static _Thread_local uint32_t state MAG_INITIAL_EXEC;

	if (state == 0)
		state = (uint32_t)(rte_rdtsc() ^ (uintptr_t)&state) | 1;
	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state % limit;
}

void *
mag_memtag_pointer(const void *address)
{
	uintptr_t at = mag_memtag_strip((uintptr_t)address);

	return (void *)(at | (uintptr_t)tag_at(at) << TAG_SHIFT);
}

/*
 * The first one is any. From then on they go round in small steps, at most STEP and the three that
 * may be in the way, so that a tag does not come again within three times: freed into a magazine,
 * emptied into the slabs, somebody else's.
 */
static uint32_t
tag_after(uint32_t tag, uint32_t used)
{
	if (tag == 0)
		tag = random_below(TAGS);
	else
		tag = (tag + 1 + random_below(STEP)) % TAGS;
	while (used >> tag & 1)
		tag = (tag + 1) % TAGS;
	return tag;
}

void *
mag_memtag_fresh(const void *object, size_t bytes)
{
	uintptr_t at = mag_memtag_strip((uintptr_t)object);
	uint32_t tag = tag_at(at), used = 1;

	used |= UINT32_C(1) << tag_at(at - MAG_MEMTAG_GRANULE);
	used |= UINT32_C(1) << tag_at(at + bytes);
	at |= (uintptr_t)tag_after(tag, used) << TAG_SHIFT;
	tags_set(at, bytes);
	return (void *)at;
}

void
mag_memtag_restore(uintptr_t base, size_t bytes)
{
	tags_set(mag_memtag_strip(base), bytes);
}

#else

const char *
mag_memtag_missing(void)
{
	return "MEMTAG: memory tags are of AArch64 only";
}

int
mag_memtag_prot(void)
{
	return 0;
}

int
mag_memtag_enable(void)
{
	return -ENOTSUP;
}

void *
mag_memtag_pointer(const void *address)
{
	return (void *)(uintptr_t)address;
}

void *
mag_memtag_fresh(const void *object, size_t bytes __rte_unused)
{
	return (void *)(uintptr_t)object;
}

void
mag_memtag_restore(uintptr_t base __rte_unused, size_t bytes __rte_unused)
{
}

#endif
