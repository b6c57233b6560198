/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"

#include <dlfcn.h>
#include <link.h>
#include <signal.h>
#include <ucontext.h>

#include "stepper.h"

void
skip_without_steps(void)
{
	if (STEPPER_WORKS)
		return;
	printf("# skip: needs x86-64 and no sanitizer: goes instruction by instruction\n");
	skip();
}

#if STEPPER_WORKS

#define TRAP_FLAG 0x100
#define SYMBOLS_MAX 4096

static struct {
	uintptr_t base, begin, end; /* where the library is, and its code from there */
	char file[256];
	void (*at)(uintptr_t place);
	bool on;
	unsigned int symbols;
	struct {
		unsigned long at;
		char name[64];
	} symbol[SYMBOLS_MAX]; /* ascending */
} stepper;

/* Finds the code that a function of the library is in. */
static int
find_code(struct dl_phdr_info *info, size_t size __rte_unused, void *function)
{
	uintptr_t begin, end;

	for (int i = 0; i < info->dlpi_phnum; i++) {
		begin = info->dlpi_phdr[i].p_vaddr;
		end = begin + info->dlpi_phdr[i].p_memsz;
		if (info->dlpi_phdr[i].p_type != PT_LOAD ||
		    (info->dlpi_phdr[i].p_flags & PF_X) == 0 ||
		    (uintptr_t)function < info->dlpi_addr + begin ||
		    (uintptr_t)function >= info->dlpi_addr + end)
			continue;
		stepper.base = info->dlpi_addr;
		stepper.begin = begin;
		stepper.end = end;
		snprintf(stepper.file, sizeof(stepper.file), "%s",
			 *info->dlpi_name != '\0' ? info->dlpi_name : "/proc/self/exe");
		return 1;
	}
	return 0;
}

/* The flag is off while a handler runs; what it leaves in the context holds from then on. */
static void
on_trap(int number __rte_unused, siginfo_t *info __rte_unused, void *context)
{
	greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
	uintptr_t place = registers[REG_RIP] - stepper.base;

	if (!stepper.on) {
		registers[REG_EFL] &= ~TRAP_FLAG;
		return;
	}
	registers[REG_EFL] |= TRAP_FLAG;
	stepper.at(place >= stepper.begin && place < stepper.end ? place : STEPPER_OUTSIDE);
}

void
stepper_begin(void (*at)(uintptr_t place))
{
	struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};

	stepper_place("mag_cache_create_with");
	stepper.at = at;
	stepper.on = true;
	assert_int_equal(sigaction(SIGTRAP, &action, NULL), 0);
	raise(SIGTRAP);
}

void
stepper_end(void)
{
	stepper.on = false;
	raise(SIGTRAP);
}

uintptr_t
stepper_place(const char *function)
{
	void *address = dlsym(RTLD_DEFAULT, function);

	if (address == NULL || dl_iterate_phdr(find_code, address) != 1 ||
	    stepper.end > STEPPER_PLACES)
		fail_msg("%s: not found in a library of at most %u bytes", function,
			 STEPPER_PLACES);
	return (uintptr_t)address - stepper.base;
}

static void
read_symbols(void)
{
	char command[512], line[256];
	FILE *pipe;

	snprintf(command, sizeof(command), "nm -n --defined-only %s 2>/dev/null", stepper.file);
	pipe = popen(command, "r");
	if (pipe == NULL)
		return;
	while (stepper.symbols < SYMBOLS_MAX && fgets(line, sizeof(line), pipe) != NULL)
		if (sscanf(line, "%lx %*1[tT] %63[^.\n]", &stepper.symbol[stepper.symbols].at,
			   stepper.symbol[stepper.symbols].name) == 2)
			stepper.symbols++;
	pclose(pipe);
}

const char *
stepper_function(uintptr_t place)
{
	if (stepper.symbols == 0)
		read_symbols();
	for (unsigned int i = stepper.symbols; i > 0; i--)
		if (stepper.symbol[i - 1].at <= place)
			return stepper.symbol[i - 1].name;
	return "?";
}

void
stepper_describe(uintptr_t place, char *text, size_t size)
{
	char command[512];
	FILE *pipe;

	snprintf(text, size, "+0x%lx", place);
	snprintf(command, sizeof(command), "addr2line -psfe %s 0x%lx 2>/dev/null", stepper.file,
		 place);
	pipe = popen(command, "r");
	if (pipe == NULL)
		return;
	if (fgets(text, size, pipe) == NULL)
		snprintf(text, size, "+0x%lx", place);
	*strchrnul(text, '\n') = '\0';
	pclose(pipe);
}

#else /* STEPPER_WORKS */

void
stepper_begin(void (*at)(uintptr_t place))
{
	RTE_SET_USED(at);
}

void
stepper_end(void)
{
}

uintptr_t
stepper_place(const char *function)
{
	RTE_SET_USED(function);
	return 0;
}

const char *
stepper_function(uintptr_t place)
{
	RTE_SET_USED(place);
	return "?";
}

void
stepper_describe(uintptr_t place, char *text, size_t size)
{
	snprintf(text, size, "+0x%lx", (unsigned long)place);
}

#endif
