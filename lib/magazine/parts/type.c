/* SPDX-License-Identifier: BSD-3-Clause */
#include <rte_common.h>

#include "base/lcores.h"
#include "base/numa.h"
#include "mag_cache.h"
#include "parts/type.h"

/* Of the specification, Magazines. */
static const struct mag_type types[] = {
	{14, 128, 512}, {30, 96, 256}, {46, 64, 128}, {62, 32, 64},
	{94, 16, 32},   {126, 8, 16},  {142, 0, 8},   {158, 0, 0},
};

/* Each fills a power of two of bytes with its header. */
static const uint32_t pool_types[] = {14, 30, 62, 126, 254, 510};

static const struct mag_type *
type_row(uint32_t rounds)
{
	unsigned int i;

	for (i = 0; i < RTE_DIM(types) - 1 && types[i].rounds != rounds; i++)
		;
	return &types[i];
}

uint32_t
mag_type_first(size_t chunk)
{
	unsigned int i;

	for (i = 0; i < RTE_DIM(types) - 1 && chunk <= types[i].min_object; i++)
		;
	return types[i].rounds;
}

uint32_t
mag_type_next(size_t chunk, uint32_t rounds)
{
	const struct mag_type *type = type_row(rounds);

	return chunk < type->max_object ? type[1].rounds : 0;
}

bool
mag_type_is_reachable(size_t chunk, uint32_t rounds)
{
	uint32_t type = mag_type_first(chunk);

	while (type != 0 && type != rounds)
		type = mag_type_next(chunk, type);
	return type != 0;
}

uint32_t
mag_type_largest(size_t chunk)
{
	uint32_t rounds = mag_type_first(chunk), next;

	while ((next = mag_type_next(chunk, rounds)) != 0)
		rounds = next;
	return rounds;
}

bool
mag_type_is_pool(uint64_t rounds)
{
	unsigned int i;

	for (i = 0; i < RTE_DIM(pool_types); i++)
		if (pool_types[i] == rounds)
			return true;
	return false;
}

uint32_t
mag_type_pool(uint64_t objects, uint32_t slots, uint32_t limit)
{
	unsigned int i = RTE_DIM(pool_types);

	while (i-- > 0)
		if (pool_types[i] <= limit && 2ull * slots * pool_types[i] <= objects / 4)
			return pool_types[i];
	return 0;
}

uint32_t
mag_type_pool_next(uint32_t rounds)
{
	unsigned int i;

	for (i = 0; i + 1 < RTE_DIM(pool_types); i++)
		if (pool_types[i] == rounds)
			return pool_types[i + 1];
	return 0;
}

uint64_t
mag_type_objects_max(size_t chunk, uint32_t lcores, uint32_t nodes)
{
	return (lcores + 1ull) * nodes * 2 * mag_type_largest(chunk);
}

uint64_t
mag_magazine_max(size_t chunk)
{
	mag_lcores_look();
	return mag_type_objects_max(chunk, mag_lcores(), (uint32_t)mag_numa_nodes());
}
