/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/meta.h"
#include "parts/map.h"

struct mag_map *
mag_map_alloc(uint32_t begins, int node)
{
	struct mag_map *map;

	return mag_meta_zalloc(sizeof(*map) + begins * sizeof(map->at[0]), node);
}

int
mag_map_with(struct mag_map *old, uintptr_t first, uintptr_t last, uint32_t part, int node,
	     struct mag_map **with)
{
	struct mag_map *map;
	uint32_t i = 0, count = old != NULL ? old->count : 0, around;

	while (i < count && old->at[i].begin <= first)
		i++;
	around = i > 0 ? old->at[i - 1].part : 0;
	*with = old;
	if (around == part)
		return 0;
	map = mag_map_alloc(count + 2, node);
	if (map == NULL)
		return -ENOMEM;
	map->older = old;
	map->count = count + 2;
	if (i > 0)
		memcpy(map->at, old->at, i * sizeof(map->at[0]));
	map->at[i] = (struct mag_map_begin){first, part};
	map->at[i + 1] = (struct mag_map_begin){last + 1, around};
	if (i < count)
		memcpy(&map->at[i + 2], &old->at[i], (count - i) * sizeof(map->at[0]));
	*with = map;
	return 0;
}

void
mag_map_publish(struct mag_map *_Atomic *published, struct mag_map *map)
{
	/* release: pairs with the acquire in mag_region_part_of() */
	atomic_store_explicit(published, map, memory_order_release);
}

void
mag_map_forget(struct mag_map *_Atomic *published)
{
	struct mag_map *map = atomic_load_explicit(published, memory_order_relaxed), *older;

	atomic_store_explicit(published, NULL, memory_order_relaxed);
	for (; map != NULL; map = older) {
		older = map->older;
		mag_meta_free(map);
	}
}
