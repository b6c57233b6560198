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

/* For other readers, in turns: a pass takes less. */
#define TURNS 10
#define TURN_US 100

/*
 * For each place in the table of processes: who is a reader, and in the upper half which table that
 * is. The file may be older than the table.
 */
static _Atomic uint64_t *words;

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

/* This process's, and what is in it when it is a reader; NULL: it has none, or is alone. */
static _Atomic uint64_t *
own_word(uint64_t *set)
{
	unsigned int place;
	uint32_t table_id;

	if (!mag_peer_place(&place, &table_id) || !words_map())
		return NULL;
	*set = (uint64_t)table_id << 32 | mag_process_id;
	return &words[place];
}

/* True: a living process is a reader. */
static bool
others_read(void)
{
	bool alive = false;
	uint64_t own, word;
	unsigned int i;

	if (own_word(&own) == NULL)
		return false;
	for (i = 0; i < MAG_PEER_PLACES; i++) {
		word = MAG_STAT(words[i]);
		if (word == own || word >> 32 != own >> 32)
			continue;
		if (!mag_peer_has_left(i, (uint32_t)word)) {
			alive = true;
			continue;
		}
		/* Fails where another process was faster. */
		if (atomic_compare_exchange_strong_explicit(
			    &words[i], &word, 0, memory_order_relaxed, memory_order_relaxed)) {
			MAG_LOG(NOTICE, "a process died in its maintenance: it does not keep EAL's "
					"memory lock");
			rte_mcfg_mem_read_unlock();
		}
	}
	return alive;
}

void
mag_hold_mend(void)
{
	others_read();
}

void
mag_hold_begin(void)
{
	_Atomic uint64_t *word;
	unsigned int turn;
	uint64_t set;

	for (turn = 0; turn < TURNS && others_read(); turn++)
		usleep(TURN_US);
	rte_mcfg_mem_read_lock();
	word = own_word(&set);
	if (word != NULL)
		atomic_store_explicit(word, set, memory_order_relaxed);
}

void
mag_hold_end(void)
{
	uint64_t set;
	_Atomic uint64_t *word = own_word(&set);

	if (word != NULL)
		atomic_store_explicit(word, 0, memory_order_relaxed);
	rte_mcfg_mem_read_unlock();
}
