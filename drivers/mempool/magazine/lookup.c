/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include <rte_errno.h>
#include <rte_mempool.h>

#include "door/door.h"
#include "lookup.h"
#include "rte_mempool_magazine.h"

static int
wrong_handler(const struct rte_mempool *mp, enum mag_door_kind kind)
{
	const char *name = rte_mempool_get_ops(mp->ops_index)->name;

	if (name[0] == '\0')
		name = "none";
	if (kind == MAG_DOOR_OTHER)
		MAG_LOG(ERR,
			"mempool \"%s\": its handler is \"%s\" (number %d), not magazine: make it "
			"with the ops magazine",
			mp->name, name, mp->ops_index);
	else
		MAG_LOG(ERR,
			"mempool \"%s\": is of magazine, under number %d, which is handler \"%s\" "
			"in this process: " MAGAZINE_SAME_PLUGINS,
			mp->name, mp->ops_index, name);
	return kind == MAG_DOOR_OTHER ? EINVAL : EXDEV;
}

int
magazine_wrong(const struct rte_mempool *mp, enum mag_door_kind kind)
{
	switch (kind) {
	case MAG_DOOR_POOL:
		return 0;
	case MAG_DOOR_OTHER:
		MAG_LOG(ERR,
			"mempool \"%s\": is of another handler, whose number %d is magazine's in "
			"this process: " MAGAZINE_SAME_PLUGINS,
			mp->name, mp->ops_index);
		return EXDEV;
	case MAG_DOOR_MOVED:
		MAG_LOG(ERR,
			"mempool \"%s\": its records (%p) are not where they were made: "
			"see --base-virtaddr of EAL",
			mp->name, mp->pool_data);
		return EFAULT;
	case MAG_DOOR_STRANGE:
		break;
	}
	return ENOTSUP;
}

struct rte_mempool *
rte_mempool_magazine_lookup(const char *name)
{
	struct rte_mempool *mp = rte_mempool_lookup(name);
	enum mag_door_kind kind;

	if (mp == NULL)
		return NULL;
	kind = mag_door_kind_of(mp->pool_data);
	if (!magazine_has(mp)) {
		rte_errno = wrong_handler(mp, kind);
	} else if (mp->pool_data == NULL) {
		MAG_LOG(ERR, "mempool \"%s\": has no objects yet: populate it first", mp->name);
		rte_errno = EAGAIN;
	} else {
		rte_errno = magazine_wrong(mp, kind);
	}
	return rte_errno == 0 ? mp : NULL;
}

void
rte_mempool_magazine_privileged(bool privileged)
{
	mag_door_privileged(privileged);
}

const struct mag_mirror *
rte_mempool_magazine_mirror(const struct rte_mempool *mp)
{
	const struct mag_cache *cache = rte_mempool_magazine_cache(mp);

	return cache != NULL ? mag_door_mirror(cache) : NULL;
}

struct mag_cache *
rte_mempool_magazine_cache_with(const struct rte_mempool *mp, uint32_t layout)
{
	if (mp == NULL || !magazine_has(mp) || mp->pool_data == NULL) {
		rte_errno = EINVAL;
		return NULL;
	}
	if (layout != MAG_LAYOUT) {
		MAG_LOG(ERR,
			"pool \"%s\": the program is compiled for slots of layout %u, the driver "
			"has %u: compile it with the driver's headers",
			mp->name, layout, MAG_LAYOUT);
		rte_errno = ENOTSUP;
		return NULL;
	}
	rte_errno = magazine_wrong(mp, mag_door_kind_of(mp->pool_data));
	return rte_errno == 0 ? mp->pool_data : NULL;
}
