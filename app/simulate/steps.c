/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The handler runs before each instruction. An instruction is decoded when it is met for the first
 * time, and found in a table by its address after that: the handler allocates nothing.
 *
 * Which load an address comes from is followed through the registers: each has the number of the
 * latest load that its value was computed from. What passes through memory is not followed.
 */

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <ucontext.h>

#include <capstone/capstone.h>
#include <rte_atomic.h>
#include <rte_common.h>

#include "steps.h"

#define TRAP_FLAG 0x100
#define INSTRUCTION_MAX 15 /* bytes */
#define TABLE (1 << 16)    /* instructions remembered, a power of two */
#define REGISTERS 16
#define NO_REGISTER UINT8_MAX

/* One instruction, decoded. */
struct decoded {
	uint64_t rip; /* 0: not yet */
	int64_t displacement;
	uint16_t reads, writes; /* general registers, a bit each */
	uint16_t size;          /* of what is accessed; 0: no memory */
	uint8_t kind;
	uint8_t base, index, scale;
	bool relative; /* to the next instruction */
	uint8_t length;
};

static const struct {
	x86_reg wide, narrow;
	int greg;
} registers[REGISTERS] = {
	{X86_REG_RAX, X86_REG_EAX, REG_RAX},  {X86_REG_RBX, X86_REG_EBX, REG_RBX},
	{X86_REG_RCX, X86_REG_ECX, REG_RCX},  {X86_REG_RDX, X86_REG_EDX, REG_RDX},
	{X86_REG_RSI, X86_REG_ESI, REG_RSI},  {X86_REG_RDI, X86_REG_EDI, REG_RDI},
	{X86_REG_RBP, X86_REG_EBP, REG_RBP},  {X86_REG_RSP, X86_REG_ESP, REG_RSP},
	{X86_REG_R8, X86_REG_R8D, REG_R8},    {X86_REG_R9, X86_REG_R9D, REG_R9},
	{X86_REG_R10, X86_REG_R10D, REG_R10}, {X86_REG_R11, X86_REG_R11D, REG_R11},
	{X86_REG_R12, X86_REG_R12D, REG_R12}, {X86_REG_R13, X86_REG_R13D, REG_R13},
	{X86_REG_R14, X86_REG_R14D, REG_R14}, {X86_REG_R15, X86_REG_R15D, REG_R15},
};

static struct decoded table[TABLE];
static csh capstone;
static cs_insn *scratch;
static struct steps *current;
static uint32_t source[REGISTERS]; /* the latest load of each register's value, as in after */

static uint8_t
register_of(unsigned int reg)
{
	uint8_t i;

	for (i = 0; i < REGISTERS; i++)
		if (reg == registers[i].wide || reg == registers[i].narrow)
			return i;
	return NO_REGISTER;
}

static uint16_t
mask_of(const uint16_t *regs, unsigned int count)
{
	uint16_t mask = 0;
	unsigned int i;
	uint8_t reg;

	for (i = 0; i < count; i++) {
		reg = register_of(regs[i]);
		if (reg != NO_REGISTER)
			mask |= (uint16_t)(1u << reg);
	}
	return mask;
}

/* 0: no access that counts. Capstone's own account of this is wrong for many vector moves. */
static uint8_t
kind_of(const cs_insn *insn, unsigned int operand)
{
	const cs_x86 *x86 = &insn->detail->x86;
	const char *name = insn->mnemonic;
	bool locked = x86->prefix[0] == X86_PREFIX_LOCK || insn->id == X86_INS_XCHG;

	if (insn->id == X86_INS_LEA || insn->id == X86_INS_NOP)
		return 0;
	if (strncmp(name, "prefetch", 8) == 0)
		return strcmp(name, "prefetchw") == 0 ? STEP_PREFETCH_WRITE : STEP_PREFETCH;
	if (strstr(name, "cmpxchg") != NULL)
		return locked ? STEP_COMPARE : STEP_UPDATE;
	if (locked)
		return insn->id == X86_INS_XCHG ? STEP_EXCHANGE : STEP_ADD;
	if (operand > 0 || insn->id == X86_INS_CMP || insn->id == X86_INS_TEST ||
	    insn->id == X86_INS_BT || insn->id == X86_INS_CALL || insn->id == X86_INS_JMP ||
	    insn->id == X86_INS_PUSH)
		return STEP_LOAD;
	if (strstr(name, "mov") != NULL || strncmp(name, "set", 3) == 0 ||
	    strncmp(name, "rep stos", 8) == 0 || strncmp(name, "stos", 4) == 0 ||
	    strncmp(name, "vextract", 8) == 0)
		return STEP_STORE;
	return STEP_UPDATE;
}

static void
decode_memory(struct decoded *decoded, const cs_insn *insn)
{
	const cs_x86 *x86 = &insn->detail->x86;
	const cs_x86_op *op = NULL;
	unsigned int i;

	for (i = 0; i < x86->op_count; i++)
		if (x86->operands[i].type == X86_OP_MEM) {
			op = &x86->operands[i];
			break;
		}
	if (op == NULL || op->mem.segment == X86_REG_FS || op->mem.base == X86_REG_RSP)
		return;
	decoded->kind = kind_of(insn, i);
	if (decoded->kind == 0)
		return;
	decoded->size = op->size;
	decoded->relative = op->mem.base == X86_REG_RIP;
	decoded->base = register_of(op->mem.base);
	decoded->index = register_of(op->mem.index);
	decoded->scale = (uint8_t)op->mem.scale;
	decoded->displacement = op->mem.disp;
}

static const struct decoded *
decode(uint64_t rip)
{
	struct decoded *decoded = &table[(rip ^ rip >> 16) % TABLE];
	const uint8_t *code = (const uint8_t *)(uintptr_t)rip;
	size_t left = INSTRUCTION_MAX;
	uint64_t address = rip;
	cs_regs reads, writes;
	uint8_t read_count = 0, write_count = 0;

	if (decoded->rip == rip)
		return decoded;
	memset(decoded, 0, sizeof(*decoded));
	decoded->rip = rip;
	decoded->base = decoded->index = NO_REGISTER;
	if (!cs_disasm_iter(capstone, &code, &left, &address, scratch))
		return decoded; /* newer than the decoder: none of the data path */
	decoded->length = (uint8_t)scratch->size;
	cs_regs_access(capstone, scratch, reads, &read_count, writes, &write_count);
	decoded->reads = mask_of(reads, read_count);
	decoded->writes = mask_of(writes, write_count);
	decode_memory(decoded, scratch);
	return decoded;
}

static uint64_t
value_of(uint8_t reg, const greg_t *gregs)
{
	return reg == NO_REGISTER ? 0 : (uint64_t)gregs[registers[reg].greg];
}

static uint32_t
source_of(uint8_t reg)
{
	return reg == NO_REGISTER ? 0 : source[reg];
}

/* The number of this access, if it has read something, and 1; 0: it has not. */
static uint32_t
note_access(const struct decoded *decoded, const greg_t *gregs)
{
	struct steps *steps = current;
	struct step_access *access;

	if (decoded->size == 0 || steps->count++ >= steps->room)
		return 0;
	access = &steps->access[steps->count - 1];
	access->address = (uint64_t)decoded->displacement + value_of(decoded->base, gregs) +
			  value_of(decoded->index, gregs) * decoded->scale +
			  (decoded->relative ? decoded->rip + decoded->length : 0);
	access->instruction = steps->instructions;
	access->after = RTE_MAX(source_of(decoded->base), source_of(decoded->index));
	access->size = decoded->size;
	access->kind = decoded->kind;
	return decoded->kind == STEP_STORE || decoded->kind == STEP_PREFETCH ||
			       decoded->kind == STEP_PREFETCH_WRITE ?
		       0 :
		       (uint32_t)steps->count;
}

static void
on_trap(int number, siginfo_t *info, void *context)
{
	const greg_t *gregs = ((ucontext_t *)context)->uc_mcontext.gregs;
	const struct decoded *decoded = decode((uint64_t)gregs[REG_RIP]);
	uint32_t load = note_access(decoded, gregs);
	unsigned int i;

	RTE_SET_USED(number);
	RTE_SET_USED(info);
	current->instructions++;
	for (i = 0; load == 0 && i < REGISTERS; i++)
		if (decoded->reads & 1u << i)
			load = RTE_MAX(load, source[i]);
	for (i = 0; i < REGISTERS; i++)
		if (decoded->writes & 1u << i)
			source[i] = load;
}

int
steps_init(void)
{
	struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};

	if (cs_open(CS_ARCH_X86, CS_MODE_64, &capstone) != CS_ERR_OK)
		return -ENOTSUP;
	cs_option(capstone, CS_OPT_DETAIL, CS_OPT_ON);
	scratch = cs_malloc(capstone);
	return scratch != NULL && sigaction(SIGTRAP, &action, NULL) == 0 ? 0 : -ENOTSUP;
}

/* The barriers keep what belongs before or after where it is. */
static void
set_flags(uint64_t set, uint64_t clear)
{
	uint64_t flags = __builtin_ia32_readeflags_u64();

	rte_compiler_barrier();
	__builtin_ia32_writeeflags_u64((flags | set) & ~clear);
	rte_compiler_barrier();
}

void
steps_begin(struct steps *steps)
{
	memset(source, 0, sizeof(source));
	steps->count = 0;
	steps->instructions = 0;
	current = steps;
	set_flags(TRAP_FLAG, 0);
}

void
steps_end(void)
{
	set_flags(0, TRAP_FLAG);
}
