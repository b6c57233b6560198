/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rte_branch_prediction.h>
#include <rte_common.h>
#include <rte_eal.h>

#include "base/counter.h"
#include "base/log.h"
#include "base/meta.h"
#include "base/peer.h"
#include "base/process.h"

#define TABLE_NAME "MAGAZINE_PEERS"
#define LOCK_FILE "magazine_peers"

enum state { FREE, JOINING, ALIVE, DEAD, LEAVING };

struct peer {
	_Atomic uint32_t state;
	_Atomic uint32_t id;     /* mag_process_id */
	pid_t pid;               /* in its own namespace */
	bool locks;              /* it holds the lock on its byte of the file */
	uint64_t start;          /* 0: not known */
	uint64_t pids;           /* its pid namespace; 0: not known */
	_Atomic uint32_t caches; /* that it made, and that are not destroyed */
	_Atomic uint64_t seen;   /* dead: which peers have put their caches in order */
};

_Static_assert(MAG_PEERS <= 64, "a bit for each peer");

static struct peer *table; /* [MAG_PEERS] */

/* This process's. */
static struct {
	_Atomic uint32_t id; /* for which it has joined, or tried to; a forked child has another */
	_Atomic uint32_t joining;
	struct peer *_Atomic entry;
	int file;
} self = {.file = -1};

static uint64_t
pid_namespace(void)
{
	struct stat status;

	return stat("/proc/self/ns/pid", &status) == 0 ? status.st_ino : 0;
}

static struct flock
byte_of(const struct peer *peer)
{
	return (struct flock){
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = peer - table, .l_len = 1};
}

/*
 * Never closed: closing any descriptor of the file takes the lock off. Where EAL shares no
 * configuration (--no-shconf, --in-memory) there are no other processes, and is no file.
 */
static int
lock_file(void)
{
	const char *folder = rte_eal_get_runtime_dir();
	char path[PATH_MAX];

	if (self.file >= 0)
		return self.file;
	snprintf(path, sizeof(path), "%s/config", folder);
	if (access(path, F_OK) != 0)
		return -1;
	snprintf(path, sizeof(path), "%s/" LOCK_FILE, folder);
	self.file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	return self.file;
}

static bool
byte_lock(const struct peer *peer)
{
	struct flock byte = byte_of(peer);
	int file = lock_file();

	return file >= 0 && fcntl(file, F_SETLK, &byte) == 0;
}

static bool
byte_is_free(const struct peer *peer)
{
	struct flock byte = byte_of(peer);
	int file = lock_file();

	return file >= 0 && fcntl(file, F_GETLK, &byte) == 0 && byte.l_type == F_UNLCK;
}

static struct peer *
entry_claim(void)
{
	uint32_t i, expected;

	for (i = 0; i < MAG_PEERS; i++) {
		expected = FREE;
		/* acquire: pairs with the release in entry_leave() */
		if (atomic_compare_exchange_strong_explicit(&table[i].state, &expected, JOINING,
							    memory_order_acquire,
							    memory_order_relaxed))
			return &table[i];
	}
	MAG_LOG(WARNING,
		"%u processes use magazines already: threads of this one share one locked pair, "
		"and what it holds when it is killed is lost",
		MAG_PEERS);
	return NULL;
}

static struct peer *
join(void)
{
	struct peer *entry;

	if (table == NULL)
		table = mag_meta_shared(TABLE_NAME, MAG_PEERS * sizeof(*table));
	entry = table != NULL ? entry_claim() : NULL;
	if (entry == NULL)
		return NULL;
	entry->pid = mag_process_pid;
	entry->start = mag_process_start(entry->pid);
	entry->pids = pid_namespace();
	entry->locks = byte_lock(entry);
	atomic_store_explicit(&entry->caches, 0, memory_order_relaxed);
	atomic_store_explicit(&entry->seen, 0, memory_order_relaxed);
	atomic_store_explicit(&entry->id, mag_process_id, memory_order_relaxed);
	/* release: who finds it alive finds all the rest */
	atomic_store_explicit(&entry->state, ALIVE, memory_order_release);
	return entry;
}

/* This process's entry; NULL: none. */
static struct peer *
own_entry(void)
{
	/* acquire: pairs with the release in mag_peer_join() */
	if (atomic_load_explicit(&self.id, memory_order_acquire) != mag_process_id)
		return NULL;
	return atomic_load_explicit(&self.entry, memory_order_relaxed);
}

bool
mag_peer_join(void)
{
	/* acquire: as above */
	if (likely(atomic_load_explicit(&self.id, memory_order_acquire) == mag_process_id))
		return own_entry() != NULL;
	/* A forked child may have a copy of a parent that was just at it. */
	if (atomic_exchange_explicit(&self.joining, mag_process_id, memory_order_relaxed) ==
	    mag_process_id)
		return false;
	atomic_store_explicit(&self.entry, join(), memory_order_relaxed);
	/* release: who finds that the process has joined finds its entry */
	atomic_store_explicit(&self.id, mag_process_id, memory_order_release);
	return own_entry() != NULL;
}

void
mag_peer_count_caches(int change)
{
	struct peer *entry = own_entry();

	if (entry != NULL && mag_meta_is_mapped(entry))
		MAG_STAT_ADD(entry->caches, (uint32_t)change);
}

static struct peer *
entry_of(uint32_t id)
{
	uint32_t i;

	for (i = 0; table != NULL && i < MAG_PEERS; i++)
		if (MAG_STAT(table[i].id) == id)
			return &table[i];
	return NULL;
}

void
mag_peer_inherit(uint32_t id)
{
	struct peer *entry = entry_of(id);

	if (entry != NULL)
		mag_peer_count_caches(
			(int)atomic_exchange_explicit(&entry->caches, 0, memory_order_relaxed));
}

static bool
is_dead(const struct peer *peer)
{
	if (peer->pids == 0 || peer->pids != pid_namespace())
		return peer->locks && byte_is_free(peer);
	/* One that /proc hides, as it does those of other users, counts as alive. */
	return mag_process_fate(peer->pid, peer->start) == MAG_PROCESS_ENDED;
}

bool
mag_peer_is_dead(uint32_t id)
{
	const struct peer *peer = entry_of(id);
	uint32_t state;

	if (peer == NULL || id == mag_process_id)
		return false;
	/* acquire: pairs with the release in join() */
	state = atomic_load_explicit(&peer->state, memory_order_acquire);
	return state >= DEAD || (state == ALIVE && is_dead(peer));
}

bool
mag_peer_is_visible(uint32_t id)
{
	const struct peer *peer = entry_of(id);
	uint64_t own = pid_namespace();

	return id == mag_process_id || (peer != NULL && own != 0 && peer->pids == own);
}

/* Peers that are alive and have caches. */
static uint64_t
makers(void)
{
	uint64_t mask = 0;
	uint32_t i;

	for (i = 0; i < MAG_PEERS; i++)
		if (MAG_STAT(table[i].state) == ALIVE && MAG_STAT(table[i].caches) != 0)
			mask |= UINT64_C(1) << i;
	return mask;
}

static void
entry_leave(struct peer *peer, void (*release)(uint32_t id))
{
	uint32_t expected = DEAD;

	if (!atomic_compare_exchange_strong_explicit(&peer->state, &expected, LEAVING,
						     memory_order_relaxed, memory_order_relaxed))
		return;
	release(MAG_STAT(peer->id));
	atomic_store_explicit(&peer->id, 0, memory_order_relaxed);
	/* release: pairs with entry_claim() */
	atomic_store_explicit(&peer->state, FREE, memory_order_release);
}

static void
bury(struct peer *peer, uint64_t me, bool (*recover)(uint32_t id), void (*release)(uint32_t id))
{
	uint64_t seen;

	/* acquire: what others have put in order is */
	seen = atomic_load_explicit(&peer->seen, memory_order_acquire);
	if ((seen & me) == 0) {
		if (!recover(MAG_STAT(peer->id)))
			return;
		/* release, acquire: so is what is done here, and by those who did it before */
		seen = atomic_fetch_or_explicit(&peer->seen, me, memory_order_acq_rel) | me;
	}
	if ((makers() & ~seen) == 0 && MAG_STAT(peer->caches) == 0)
		entry_leave(peer, release);
}

bool
mag_peers_are_mapped(void)
{
	return table != NULL && mag_meta_is_mapped(table);
}

void
mag_peers_bury(bool (*recover)(uint32_t id), void (*release)(uint32_t id))
{
	struct peer *own = own_entry(), *peer;
	uint32_t state;

	if (own == NULL)
		return;
	for (peer = table; peer < table + MAG_PEERS; peer++) {
		/* acquire: pairs with the release in join() */
		state = atomic_load_explicit(&peer->state, memory_order_acquire);
		if (state == ALIVE && peer != own && is_dead(peer)) {
			/* Fails where another process was faster. */
			atomic_compare_exchange_strong_explicit(&peer->state, &state, DEAD,
								memory_order_relaxed,
								memory_order_relaxed);
			state = MAG_STAT(peer->state);
		}
		if (state == DEAD)
			bury(peer, UINT64_C(1) << (own - table), recover, release);
	}
}
