/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_eal_memconfig.h>

#include "base/counter.h"
#include "base/hold.h"
#include "base/log.h"
#include "base/peer.h"
#include "base/process.h"

/* For other processes, in turns: what they do takes less. */
#define TURNS 10
#define TURN_US 100

/*
 * For each place in the table of processes: which one wants the lock, in the upper half which table
 * that is, since the file may be older than the table, and HOLDS: it has the lock.
 */
static _Atomic uint64_t *words;

#define HOLDS (UINT64_C(1) << 63)

static bool
words_map(void)
{
	size_t size = MAG_PEER_PLACES * sizeof(*words);
	int file = mag_peer_file();
	void *map;

	if (words != NULL || file < 0 || posix_fallocate(file, 0, (off_t)size) != 0)
		return words != NULL;
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (map != MAP_FAILED)
		words = map;
	return words != NULL;
}

/* This process's, and what it is when the lock is wanted; NULL: it has none, or is alone. */
static _Atomic uint64_t *
own_word(uint64_t *wants)
{
	unsigned int place;
	uint32_t table_id;

	if (!mag_peer_place(&place, &table_id) || !words_map())
		return NULL;
	*wants = ((uint64_t)table_id << 32 & ~HOLDS) | mag_process_id;
	return &words[place];
}

/* Of a dead process: fails where another one was faster. */
static void
give_back(_Atomic uint64_t *word, uint64_t was)
{
	if (!atomic_compare_exchange_strong_explicit(word, &was, 0, memory_order_relaxed,
						     memory_order_relaxed) ||
	    (was & HOLDS) == 0)
		return;
	MAG_LOG(NOTICE, "a process died in its maintenance: it does not keep EAL's memory lock");
	rte_mcfg_mem_read_unlock();
}

/* True: another process that lives wants the lock, or has it. own: what this one's word says. */
static bool
others_want(uint64_t own)
{
	bool found = false;
	unsigned int i;
	uint64_t word;

	for (i = 0; i < MAG_PEER_PLACES; i++) {
		/* seq_cst: of two that look at once, one at least sees the other */
		word = atomic_load_explicit(&words[i], memory_order_seq_cst);
		if ((uint32_t)word == (uint32_t)own || (word & ~HOLDS) >> 32 != own >> 32)
			continue;
		if (mag_peer_has_left(i, (uint32_t)word))
			give_back(&words[i], word);
		else
			found = true;
	}
	return found;
}

void
mag_hold_mend(void)
{
	uint64_t own;

	if (own_word(&own) != NULL)
		others_want(own);
}

bool
mag_hold_begin(void)
{
	uint64_t wants;
	_Atomic uint64_t *word = own_word(&wants);
	unsigned int turn;

	for (turn = 0; word != NULL; turn++) {
		/* An earlier process's, at this place, is given back first. */
		if (!others_want(wants)) {
			atomic_store_explicit(word, wants, memory_order_seq_cst);
			if (!others_want(wants))
				break;
			atomic_store_explicit(word, 0, memory_order_relaxed);
		}
		if (turn == TURNS)
			return false;
		usleep(TURN_US);
	}
	rte_mcfg_mem_read_lock();
	if (word != NULL)
		atomic_store_explicit(word, wants | HOLDS, memory_order_relaxed);
	return true;
}

void
mag_hold_end(void)
{
	uint64_t wants;
	_Atomic uint64_t *word = own_word(&wants);

	if (word != NULL)
		atomic_store_explicit(word, 0, memory_order_relaxed);
	rte_mcfg_mem_read_unlock();
}
