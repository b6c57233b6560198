/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Mirrors: tables from the addresses of objects to their mirrors. mirror.h tells of both forms.
 *
 * Both tables are hash tables of granules with open addressing: an entry is at its place or in one
 * of those behind it, before the first that is empty (0). An entry that goes leaves a 1, so that
 * searches pass by; it becomes 0 when nothing lies behind it.
 *
 * Readers hold no lock. Writers hold that of the owner or pair, fill an entry and then store its
 * granule by release. Memory of a granule is made and freed with the lock let go: granule_get()
 * looks again, and drops what it has if another thread was faster. In a debugger: segments in the
 * head before the mirrors of a granule, `used` of the table, `memory` of the owner.
 */

#include <errno.h>
#include <string.h>

#include <rte_bitops.h>
#include <rte_common.h>

#include "base/counter.h"
#include "base/meta.h"
#include "parts/mirror.h"

#define GRANULE (UINT64_C(1) << MAG_MIRROR_SHIFT)
#define LINE 64u
#define GONE 1u
#define TABLE_MIN 16u
/* Before the mirrors of a granule: how many segments have objects in it. */
#define HEAD 128

struct head {
	uint32_t segments;
};

static uint64_t
reciprocal(uint32_t distance)
{
	return (UINT64_C(1) << 42) / distance + 1;
}

static struct head *
head_of(char *mirrors)
{
	return (struct head *)(mirrors - HEAD);
}

static uintptr_t
granule_at(const struct mag_mirror_table *table, uint64_t i)
{
	return MAG_LOAD(&table->entry[i].granule, MAG_RELAXED);
}

static struct mag_mirror_table *
table_make(uint32_t entries, int node)
{
	struct mag_mirror_table *table =
		mag_meta_zalloc(sizeof(*table) + entries * sizeof(table->entry[0]), node);

	if (table != NULL)
		table->mask = entries - 1;
	return table;
}

/* The entry of a granule, or NULL. */
static struct mag_mirror_entry *
table_find(struct mag_mirror_table *table, uintptr_t granule)
{
	uint64_t i = mag_mirror_place(table, granule), n;

	for (n = 0; n <= table->mask && granule_at(table, i) != 0; n++, i = (i + 1) & table->mask)
		if (granule_at(table, i) == granule)
			return &table->entry[i];
	return NULL;
}

/* Where there was none. The table has room. */
static void
table_insert(struct mag_mirror_table *table, uintptr_t granule, char *mirrors)
{
	uint64_t i = mag_mirror_place(table, granule);

	while (granule_at(table, i) > GONE)
		i = (i + 1) & table->mask;
	if (granule_at(table, i) == 0)
		table->used++;
	MAG_STORE(&table->entry[i].mirrors, mirrors, MAG_RELAXED);
	/* release: a reader that finds the granule finds its mirrors */
	MAG_STORE(&table->entry[i].granule, granule, MAG_RELEASE);
}

/* An entry that is gone becomes empty when nothing lies behind it. */
static void
table_remove(struct mag_mirror_table *table, struct mag_mirror_entry *entry)
{
	uint64_t i = (uint64_t)(entry - table->entry);

	MAG_STORE(&entry->granule, GONE, MAG_RELAXED);
	if (granule_at(table, (i + 1) & table->mask) != 0)
		return;
	for (; granule_at(table, i) == GONE; i = (i - 1) & table->mask) {
		MAG_STORE(&table->entry[i].granule, 0, MAG_RELAXED);
		table->used--;
	}
}

/* Room for one more: 0, or -ENOMEM. Called, and returns, with the lock held. */
static int
table_reserve(struct mag_mirror_owner *owner)
{
	struct mag_mirror_table *old = owner->find.table, *table;
	uint32_t i;

	while ((old->used + 1) * 2 > old->mask) {
		mag_lock_release(&owner->lock);
		table = table_make((old->mask + 1) * 2, owner->node);
		mag_lock_wait(&owner->lock);
		if (table == NULL)
			return -ENOMEM;
		if (owner->find.table != old) {
			mag_lock_release(&owner->lock);
			mag_meta_free(table);
			mag_lock_wait(&owner->lock);
			old = owner->find.table;
			continue;
		}
		for (i = 0; i <= old->mask; i++)
			if (granule_at(old, i) > GONE)
				table_insert(table, granule_at(old, i), old->entry[i].mirrors);
		table->older = old;
		/* release: pairs with the acquire in mag_mirror_of() */
		MAG_STORE(&owner->find.table, table, MAG_RELEASE);
		old = table;
	}
	return 0;
}

int
mag_mirror_init(struct mag_mirror_owner *owner, uint32_t bytes, uint32_t distance,
		uint64_t granules, int node)
{
	uint32_t whole = RTE_ALIGN_CEIL(bytes, 8u) + sizeof(void *), entries = TABLE_MIN;

	*owner = (struct mag_mirror_owner){.node = node};
	owner->find.bytes = bytes;
	owner->find.back = RTE_ALIGN_CEIL(bytes, 8u);
	owner->find.stride = whole <= LINE ? rte_align32pow2(whole) : RTE_ALIGN_CEIL(whole, LINE);
	owner->find.reciprocal = reciprocal(distance);
	owner->places = (GRANULE - 1) / distance + 1;
	owner->shift = (uint32_t)rte_fls_u32(distance) - 1;
	while (entries < 4 * granules && entries < UINT32_C(1) << 30)
		entries *= 2;
	owner->find.table = table_make(entries, node);
	return owner->find.table != NULL ? 0 : -ENOMEM;
}

void
mag_mirror_clear(struct mag_mirror_owner *owner)
{
	struct mag_mirror_table *table = owner->find.table;
	uint32_t i;

	for (i = 0; i <= table->mask; i++) {
		if (granule_at(table, i) > GONE)
			mag_meta_free(head_of(table->entry[i].mirrors));
		table->entry[i] = (struct mag_mirror_entry){0};
	}
	table->used = 0;
	atomic_store_explicit(&owner->memory, 0, memory_order_relaxed);
}

void
mag_mirror_fini(struct mag_mirror_owner *owner)
{
	struct mag_mirror_table *table = owner->find.table, *older;

	mag_mirror_clear(owner);
	for (; table != NULL; table = older) {
		older = table->older;
		mag_meta_free(table);
	}
	owner->find.table = NULL;
}

size_t
mag_mirror_granule_size(const struct mag_mirror_owner *owner)
{
	return HEAD + (size_t)owner->places * owner->find.stride;
}

/* Called, and returns, with the lock held: the mirrors of a granule, made if need be; or NULL. */
static char *
granule_get(struct mag_mirror_owner *owner, uintptr_t granule, int node)
{
	size_t size = mag_mirror_granule_size(owner);
	struct mag_mirror_entry *entry = table_find(owner->find.table, granule);
	char *mirrors = NULL;
	void *memory;

	if (entry != NULL)
		return entry->mirrors;
	mag_lock_release(&owner->lock);
	memory = mag_meta_zalloc(size, node);
	mag_lock_wait(&owner->lock);
	if (memory != NULL && table_reserve(owner) == 0) {
		entry = table_find(owner->find.table, granule);
		if (entry == NULL) {
			MAG_STAT_ADD(owner->memory, size);
			mirrors = RTE_PTR_ADD(memory, HEAD);
			table_insert(owner->find.table, granule, mirrors);
			return mirrors;
		}
		mirrors = entry->mirrors;
		/* Somebody else's: it stays while its memory goes. */
		head_of(mirrors)->segments++;
	}
	mag_lock_release(&owner->lock);
	mag_meta_free(memory);
	mag_lock_wait(&owner->lock);
	if (mirrors != NULL)
		head_of(mirrors)->segments--;
	return mirrors;
}

static void
granule_put(struct mag_mirror_owner *owner, uintptr_t granule)
{
	struct mag_mirror_entry *entry;
	struct head *head = NULL;

	mag_lock_wait(&owner->lock);
	entry = table_find(owner->find.table, granule);
	if (--head_of(entry->mirrors)->segments == 0) {
		head = head_of(entry->mirrors);
		table_remove(owner->find.table, entry);
	}
	mag_lock_release(&owner->lock);
	if (head == NULL)
		return;
	atomic_fetch_sub_explicit(&owner->memory, mag_mirror_granule_size(owner),
				  memory_order_relaxed);
	mag_meta_free(head);
}

static void
mirror_start(const struct mag_mirror *find, uintptr_t object)
{
	char *its = mag_mirror_of(find, (void *)object);

	memset(its, 0, find->bytes);
	memcpy(its + find->back, &object, sizeof(object));
}

static void
granules_put(struct mag_mirror_owner *owner, uintptr_t first, uintptr_t behind)
{
	for (; first < behind; first++)
		granule_put(owner, first);
}

int
mag_mirror_add(struct mag_mirror_owner *owner, uintptr_t first, uint32_t count, size_t stride,
	       int node)
{
	uintptr_t granule = mag_mirror_granule(first), at = granule;
	uintptr_t last = mag_mirror_granule(first + (count - 1) * stride);
	char *mirrors;
	uint32_t i;

	for (; at <= last; at++) {
		mag_lock_wait(&owner->lock);
		mirrors = granule_get(owner, at, node);
		if (mirrors != NULL)
			head_of(mirrors)->segments++;
		mag_lock_release(&owner->lock);
		if (mirrors == NULL) {
			granules_put(owner, granule, at);
			return -ENOMEM;
		}
	}
	for (i = 0; i < count; i++)
		mirror_start(&owner->find, first + i * stride);
	return 0;
}

void
mag_mirror_remove(struct mag_mirror_owner *owner, uintptr_t first, uint32_t count, size_t stride)
{
	granules_put(owner, mag_mirror_granule(first),
		     mag_mirror_granule(first + (count - 1) * stride) + 1);
}

/* Pairs */

/* Of as many entries as keep the table half empty. */
static int
way_init(struct mag_mirror_way *way, const struct mag_mirror_pair *pair, unsigned int from,
	 uint32_t segments, int node)
{
	const struct mag_mirror_side *side = &pair->side[from];
	uint64_t span = (uint64_t)pair->block * side->stride, of_segment, entries = TABLE_MIN;

	way->shift =
		RTE_MIN((unsigned int)rte_fls_u64(side->apart) - 1, (unsigned int)MAG_MIRROR_SHIFT);
	way->low = (UINT32_C(1) << way->shift) - 1;
	way->reciprocal = reciprocal(side->stride);
	way->stride = pair->side[!from].stride;
	of_segment = RTE_MIN((span >> way->shift) + 2, (uint64_t)pair->block);
	while (entries / 2 < of_segment * segments)
		entries *= 2;
	if (entries > UINT64_C(1) << 31)
		return -ENOMEM;
	way->pieces = mag_meta_zalloc(
		sizeof(*way->pieces) + entries * sizeof(way->pieces->piece[0]), node);
	if (way->pieces == NULL)
		return -ENOMEM;
	way->pieces->mask = entries - 1;
	return 0;
}

int
mag_mirror_pair_init(struct mag_mirror_pair *pair, uint32_t bytes, uint32_t segments, int node)
{
	pair->find = (struct mag_mirror){.bytes = bytes};
	if (way_init(&pair->find.there, pair, 0, segments, node) == 0 &&
	    way_init(&pair->find.home, pair, 1, segments, node) == 0)
		return 0;
	mag_mirror_pair_fini(pair);
	return -ENOMEM;
}

void
mag_mirror_pair_fini(struct mag_mirror_pair *pair)
{
	mag_meta_free(pair->find.there.pieces);
	mag_meta_free(pair->find.home.pieces);
	pair->find.there.pieces = NULL;
	pair->find.home.pieces = NULL;
}

static uintptr_t
piece_granule(const struct mag_mirror_pieces *pieces, uint64_t i)
{
	return MAG_LOAD(&pieces->piece[i].granule, MAG_RELAXED);
}

/* That of the granule, or NULL. */
static struct mag_mirror_piece *
piece_find(struct mag_mirror_pieces *pieces, uintptr_t granule)
{
	uint64_t i = mag_mirror_hash(granule, pieces->mask), n;

	for (n = 0; n <= pieces->mask && piece_granule(pieces, i) != 0; n++) {
		if (piece_granule(pieces, i) == granule)
			return &pieces->piece[i];
		i = (i + 1) & pieces->mask;
	}
	return NULL;
}

/* That of the granule; a new one leads nowhere yet. There is room. */
static struct mag_mirror_piece *
piece_get(struct mag_mirror_pieces *pieces, uintptr_t granule)
{
	struct mag_mirror_piece *piece = piece_find(pieces, granule);
	uint64_t i = mag_mirror_hash(granule, pieces->mask);

	if (piece != NULL)
		return piece;
	while (piece_granule(pieces, i) > GONE)
		i = (i + 1) & pieces->mask;
	piece = &pieces->piece[i];
	MAG_STORE(&piece->below, 0, MAG_RELAXED);
	MAG_STORE(&piece->split, UINT64_MAX, MAG_RELAXED);
	/* release: a reader that finds the granule finds these */
	MAG_STORE(&piece->granule, granule, MAG_RELEASE);
	return piece;
}

/* An entry that is gone becomes empty when nothing lies behind it. */
static void
piece_remove(struct mag_mirror_pieces *pieces, struct mag_mirror_piece *piece)
{
	uint64_t i = (uint64_t)(piece - pieces->piece);

	MAG_STORE(&piece->granule, GONE, MAG_RELAXED);
	if (piece_granule(pieces, (i + 1) & pieces->mask) != 0)
		return;
	for (; piece_granule(pieces, i) == GONE; i = (i - 1) & pieces->mask)
		MAG_STORE(&pieces->piece[i].granule, 0, MAG_RELAXED);
}

/*
 * From the first object of a segment in a granule, which may be its first of all. Readers have at
 * most objects of the other segment in the granule: their side of the split stays the same,
 * whatever they see of this one. A thread that gets an object of this one has it from one that was
 * told of the segment after this.
 */
static void
piece_add(const struct mag_mirror_way *way, uintptr_t at, uintptr_t to, bool begins)
{
	struct mag_mirror_piece *piece = piece_get(way->pieces, (at >> way->shift) + 2);
	uint64_t offset = at & way->low;

	to -= (offset * way->reciprocal >> 42) * way->stride;
	MAG_STORE(begins ? &piece->from : &piece->below, to, MAG_RELAXED);
	if (begins)
		MAG_STORE(&piece->split, offset, MAG_RELAXED);
}

static void
piece_drop(const struct mag_mirror_way *way, uintptr_t at, bool begins)
{
	struct mag_mirror_piece *piece = piece_find(way->pieces, (at >> way->shift) + 2);

	if (begins)
		MAG_STORE(&piece->split, UINT64_MAX, MAG_RELAXED);
	else
		MAG_STORE(&piece->below, 0, MAG_RELAXED);
	if (piece->below == 0 && piece->split == UINT64_MAX)
		piece_remove(way->pieces, piece);
}

/* In each granule where an object begins. */
static void
way_change(const struct mag_mirror_pair *pair, const struct mag_mirror_way *way, uintptr_t base,
	   uintptr_t to, bool add)
{
	uint64_t distance = pair->side[way == &pair->find.home].stride, i = 0;
	uintptr_t at;

	while (i < pair->block) {
		at = base + i * distance;
		if (add)
			piece_add(way, at, to + i * way->stride, i == 0);
		else
			piece_drop(way, at, i == 0);
		i += ((at | way->low) - at) / distance + 1;
	}
}

static void
pair_change(struct mag_mirror_pair *pair, uintptr_t object, uintptr_t its, bool add)
{
	mag_lock_wait(&pair->lock);
	way_change(pair, &pair->find.there, object, its, add);
	way_change(pair, &pair->find.home, its, object, add);
	mag_lock_release(&pair->lock);
}

void
mag_mirror_pair_add(struct mag_mirror_pair *pair, uintptr_t object, uintptr_t its)
{
	pair_change(pair, object, its, true);
}

void
mag_mirror_pair_remove(struct mag_mirror_pair *pair, uintptr_t object, uintptr_t its)
{
	pair_change(pair, object, its, false);
}
