/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A plugin for any program: it looks for the program's EAL, and then loads the driver that suits.
 *
 * The driver needs the shared libraries of DPDK. In a program that has DPDK inside they would be a
 * second DPDK, whose constructors end in a panic. For such a program there is the driver once more,
 * without needing a library of DPDK: it takes the functions that the program exports. This plugin
 * itself needs neither.
 */

#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <rte_common.h>

#define SHARED "librte_mempool_magazine.so.0"
#define INSIDE "librte_mempool_magazine_inside.so"
#define REMEDY                                                                                     \
	"; link the program with --export-dynamic and all of DPDK (--whole-archive), or link the " \
	"driver into it: pkg-config --libs librte_mempool_magazine\n"

/* Releases of one ABI: from 22.11 to before 23.11, and so on. */
static unsigned int
abi(unsigned int year, unsigned int month)
{
	return month >= 11 ? year + 1 : year;
}

static void
load(const char *name)
{
	if (dlopen(name, RTLD_NOW | RTLD_GLOBAL) != NULL)
		return;
	dprintf(STDERR_FILENO, "magazine: %s does not fit this program: %s%s", name, dlerror(),
		strcmp(name, INSIDE) == 0 ? REMEDY : "\n");
}

static int
is_shared_eal(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size;
	(void)arg;
	return strstr(info->dlpi_name, "/librte_eal.so") != NULL ||
	       strstr(info->dlpi_name, "/libdpdk.so") != NULL;
}

/* The driver of another ABI would find other structs than it knows. */
static void
load_inside(void *program)
{
	unsigned int (*year)(void), (*month)(void);

	*(void **)&year = dlsym(program, "rte_version_year");
	*(void **)&month = dlsym(program, "rte_version_month");
	if (year == NULL || month == NULL ||
	    abi(year(), month()) != abi(RTE_VER_YEAR, RTE_VER_MONTH)) {
		dprintf(STDERR_FILENO,
			"magazine: the driver is built for DPDK %u.%02u, the program has %u.%02u: "
			"build the driver with the program's DPDK\n",
			RTE_VER_YEAR, RTE_VER_MONTH, year != NULL ? year() : 0,
			month != NULL ? month() : 0);
		return;
	}
	load(INSIDE);
}

RTE_INIT(magazine_any)
{
	void *program = dlopen(NULL, RTLD_NOW);

	if (dl_iterate_phdr(is_shared_eal, NULL) != 0)
		load(SHARED);
	else if (program != NULL && dlsym(program, "rte_eal_init") != NULL)
		load_inside(program);
	else
		dprintf(STDERR_FILENO,
			"magazine: this program has DPDK inside and exports nothing of it" REMEDY);
}
