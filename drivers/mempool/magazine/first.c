/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdatomic.h>

#include <rte_branch_prediction.h>
#include <rte_common.h>
#include <rte_mempool.h>

#include "door/door.h"
#include "first.h"
#include "lookup.h"
#include "rte_mempool_magazine_inline.h"

static struct {
	rte_mempool_enqueue_t enqueue;
	rte_mempool_dequeue_t dequeue;
} fast;

static struct rte_mempool_ops *entry;

/* Once, on whichever pool it is. */
static void
say_wrong(const struct rte_mempool *mp, enum mag_door_kind kind)
{
	static _Atomic bool said;

	if (!atomic_exchange_explicit(&said, true, memory_order_relaxed))
		magazine_wrong(mp, kind);
}

/* Of another handler, or not where it was made: nothing of it can be read. */
static bool
may_use(const struct rte_mempool *mp)
{
	enum mag_door_kind kind;

	if (magazine_agree())
		return true;
	kind = mag_door_kind_of(mp->pool_data);
	if (likely(kind == MAG_DOOR_POOL || kind == MAG_DOOR_STRANGE))
		return true;
	say_wrong(mp, kind);
	return false;
}

static int
first_enqueue(struct rte_mempool *mp, void *const *objects, unsigned int n)
{
	return may_use(mp) ? fast.enqueue(mp, objects, n) : 0;
}

static int
first_dequeue(struct rte_mempool *mp, void **objects, unsigned int n)
{
	return may_use(mp) ? fast.dequeue(mp, objects, n) : -ENOBUFS;
}

void
magazine_first_init(struct rte_mempool_ops *ops)
{
	fast.enqueue = ops->enqueue;
	fast.dequeue = ops->dequeue;
	ops->enqueue = first_enqueue;
	ops->dequeue = first_dequeue;
}

void
magazine_first_registered(struct rte_mempool_ops *ops)
{
	entry = ops;
}

bool
magazine_agree(void)
{
	static _Atomic bool said;
	int mine, others;

	if (MAG_LOAD(&rte_mempool_magazine_number_2, MAG_RELAXED) >= 0)
		return true;
	mine = (int)(entry - rte_mempool_ops_table.ops);
	others = mag_door_number(mine);
	if (others == mine) {
		/* Other threads may call either meanwhile. */
		MAG_STORE(&entry->enqueue, fast.enqueue, MAG_RELAXED);
		MAG_STORE(&entry->dequeue, fast.dequeue, MAG_RELAXED);
		MAG_STORE(&rte_mempool_magazine_number_2, mine, MAG_RELAXED);
		return true;
	}
	if (others >= 0 && !atomic_exchange_explicit(&said, true, memory_order_relaxed))
		MAG_LOG(ERR, "ops \"%s\": number %d in this process, and %d in another: %s",
			entry->name, mine, others, MAGAZINE_SAME_PLUGINS);
	return false;
}
