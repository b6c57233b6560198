/* SPDX-License-Identifier: BSD-3-Clause */
#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <rte_bus_vdev.h>
#include <rte_common.h>
#include <rte_config.h>
#include <rte_mempool.h>
#include <rte_spinlock.h>
#include <rte_string_fns.h>

#include "door/door.h"
#include "replace.h"
#include "rte_mempool_magazine.h"

/*
 * Its callback is called when the bus is scanned. The driver needs that bus for nothing else, and
 * does without it where it is not: weak, the function is the program's, or NULL.
 */
typeof(rte_vdev_add_custom_scan) rte_vdev_add_custom_scan MAG_WEAK;

/* And here EAL is about to load the bus from. */
#ifndef RTE_EAL_PMD_PATH
#define RTE_EAL_PMD_PATH ""
#endif
#define BUS_FILE RTE_EAL_PMD_PATH "/librte_bus_vdev.so"

typedef int add_scan(rte_vdev_scan_callback callback, void *arg);

/* As the switch has them, joined by +. */
static char names[MAG_DOOR_REPLACE_SIZE];
static struct rte_mempool_ops *ours;

static int
alloc_instead(struct rte_mempool *mp)
{
	mp->ops_index = (int32_t)(ours - rte_mempool_ops_table.ops);
	/* What was meant for the other handler is no text of options. */
	mp->pool_config = NULL;
	return ours->alloc(mp);
}

/* The first one of a name is the one that rte_mempool finds. */
static struct rte_mempool_ops *
entry_of(const char *name)
{
	unsigned int i;

	for (i = 0; i < rte_mempool_ops_table.num_ops; i++)
		if (strcmp(rte_mempool_ops_table.ops[i].name, name) == 0)
			return &rte_mempool_ops_table.ops[i];
	return NULL;
}

/* All but ours, joined by commas. */
static void
list_others(char *text, size_t size)
{
	unsigned int i;
	size_t length = 0;

	text[0] = '\0';
	for (i = 0; i < rte_mempool_ops_table.num_ops && length < size; i++)
		if (&rte_mempool_ops_table.ops[i] != ours)
			length += (size_t)snprintf(text + length, size - length, "%s%s",
						   length > 0 ? ", " : "",
						   rte_mempool_ops_table.ops[i].name);
}

/* One log line says which is not. */
static bool
are_all_there(void)
{
	char list[RTE_MEMPOOL_MAX_OPS_IDX * (RTE_MEMPOOL_OPS_NAMESIZE + 2)];
	char copy[sizeof(names)], *rest = copy;
	const struct rte_mempool_ops *entry;
	const char *name;

	strlcpy(copy, names, sizeof(copy));
	while ((name = strsep(&rest, "+")) != NULL) {
		entry = entry_of(name);
		if (entry != NULL && entry != ours)
			continue;
		list_others(list, sizeof(list));
		MAG_LOG(ERR,
			"MAGAZINE_SWITCHES: option replace=%s: \"%s\" is %s: must be of %s: "
			"nothing is replaced",
			names, name, entry != NULL ? "magazine itself" : "no mempool handler here",
			list);
		return false;
	}
	return true;
}

static void
replace_all(void)
{
	char copy[sizeof(names)], *rest = copy;
	const char *name;

	strlcpy(copy, names, sizeof(copy));
	while ((name = strsep(&rest, "+")) != NULL)
		entry_of(name)->alloc = alloc_instead;
	MAG_LOG(NOTICE,
		"MAGAZINE_SWITCHES: option replace=%s: new mempools that ask for these handlers "
		"are magazine's",
		names);
}

/* The bus scans again whenever a device comes. */
static void
on_scan(void *arg)
{
	static bool done;

	RTE_SET_USED(arg);
	if (done)
		return;
	done = true;
	rte_spinlock_lock(&rte_mempool_ops_table.sl);
	ours = entry_of(RTE_MEMPOOL_MAGAZINE_OPS_NAME);
	if (are_all_there())
		replace_all();
	rte_spinlock_unlock(&rte_mempool_ops_table.sl);
}

static add_scan *
find_add_scan(void)
{
	union {
		void *address;
		add_scan *function;
	} found = {NULL};
	void *bus;

	if (rte_vdev_add_custom_scan != NULL)
		return rte_vdev_add_custom_scan;
	bus = dlopen(BUS_FILE, RTLD_NOW);
	if (bus != NULL)
		found.address = dlsym(bus, "rte_vdev_add_custom_scan");
	return found.function;
}

void
magazine_replace_init(void)
{
	add_scan *add;

	if (mag_door_replace(names) != 0 || names[0] == '\0')
		return;
	add = find_add_scan();
	if (add == NULL || add(on_scan, NULL) != 0)
		MAG_LOG(ERR,
			"MAGAZINE_SWITCHES: option replace=%s: needs the bus of virtual devices: "
			"load %s before the driver: nothing is replaced",
			names, BUS_FILE);
}
