/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
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

/* JOINING has who joins beside it, which may be killed before it has written the rest. */
enum state { FREE, JOINING, ALIVE, DEAD, LEAVING };

#define STATE_MASK 0xffu
#define JOINER_PID 8
#define JOINER_NAMESPACE 32

struct peer {
	_Atomic uint64_t state;
	_Atomic uint32_t id;     /* mag_process_id */
	pid_t pid;               /* in its own namespace */
	bool locks;              /* it holds the lock on its byte of the file */
	uint64_t start;          /* 0: not known */
	uint64_t pids;           /* its pid namespace; 0: not known */
	_Atomic uint32_t caches; /* that it made, and that are not destroyed */
	_Atomic uint32_t pools;  /* and those that others may take over */
	_Atomic uint64_t seen;   /* dead: which peers have put their caches in order */
	/* What its threads without a slot began, and ended (hands.h). */
	_Atomic uint64_t begun, ended;
};

_Static_assert(MAG_PEERS <= 64, "a bit for each peer");

#define PLACES MAG_PEER_PLACES

static struct {
	_Atomic bool crowded; /* a process found no entry: nobody knows what it does */
	_Atomic uint32_t id;  /* of whoever joined first */
	struct peer peer[PLACES];
} * table;

/* This process's. */
static struct {
	_Atomic uint32_t id; /* for which it has joined, or tried to; a forked child has another */
	_Atomic uint32_t joining;
	struct peer *_Atomic entry;
	_Atomic uint32_t table_id; /* a copy: EAL may have taken the table away */
	int file;
} self = {.file = -1};

static uint64_t
pid_namespace(void)
{
	struct stat status;

	return stat("/proc/self/ns/pid", &status) == 0 ? status.st_ino : 0;
}

static struct flock
byte_of(unsigned int number)
{
	return (struct flock){
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = number, .l_len = 1};
}

static unsigned int
number_of(const struct peer *peer)
{
	return (unsigned int)(peer - table->peer);
}

/*
 * Never closed: closing any descriptor of the file takes the lock off. Where EAL shares no
 * configuration (--no-shconf, --in-memory) there are no other processes, and is no file.
 */
int
mag_peer_file(void)
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
byte_lock(unsigned int number)
{
	struct flock byte = byte_of(number);
	int file = mag_peer_file();

	return file >= 0 && fcntl(file, F_SETLK, &byte) == 0;
}

static bool
byte_is_free(unsigned int number)
{
	struct flock byte = byte_of(number);
	int file = mag_peer_file();

	return file >= 0 && fcntl(file, F_GETLK, &byte) == 0 && byte.l_type == F_UNLCK;
}

static bool
is_guest(const struct peer *peer)
{
	return number_of(peer) >= MAG_PEERS;
}

/* A peer, or a guest, which says so. */
static struct peer *
entry_claim(void)
{
	uint64_t joining = JOINING | (uint64_t)mag_process_pid << JOINER_PID |
			   pid_namespace() << JOINER_NAMESPACE;
	uint64_t expected;
	uint32_t i;

	for (i = 0; i < PLACES; i++) {
		if (i == MAG_PEERS)
			MAG_LOG(WARNING,
				"%u processes use magazines already: threads of this one, %d, "
				"share one locked pair: end one of them before this one is started",
				MAG_PEERS, mag_process_pid);
		expected = FREE;
		/* acquire: pairs with the release in entry_leave() */
		if (atomic_compare_exchange_strong_explicit(&table->peer[i].state, &expected,
							    joining, memory_order_acquire,
							    memory_order_relaxed))
			return &table->peer[i];
	}
	atomic_store_explicit(&table->crowded, true, memory_order_relaxed);
	MAG_LOG(ERR,
		"%u processes use magazines already: what this one, %d, holds when it is killed is "
		"lost, its locks stay taken, and no other one that is killed is recovered any more",
		PLACES, mag_process_pid);
	return NULL;
}

static struct peer *
join(void)
{
	uint32_t nobody = 0;
	struct peer *entry;

	if (table == NULL)
		table = mag_meta_shared(TABLE_NAME, sizeof(*table));
	entry = table != NULL ? entry_claim() : NULL;
	if (entry == NULL)
		return NULL;
	atomic_compare_exchange_strong_explicit(&table->id, &nobody, mag_process_id,
						memory_order_relaxed, memory_order_relaxed);
	atomic_store_explicit(&self.table_id, MAG_STAT(table->id), memory_order_relaxed);
	entry->pid = mag_process_pid;
	entry->start = mag_process_start(entry->pid);
	entry->pids = pid_namespace();
	entry->locks = byte_lock(number_of(entry));
	atomic_store_explicit(&entry->caches, 0, memory_order_relaxed);
	atomic_store_explicit(&entry->pools, 0, memory_order_relaxed);
	atomic_store_explicit(&entry->seen, 0, memory_order_relaxed);
	atomic_store_explicit(&entry->begun, 0, memory_order_relaxed);
	atomic_store_explicit(&entry->ended, 0, memory_order_relaxed);
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

static bool
is_peer(void)
{
	const struct peer *entry = own_entry();

	return entry != NULL && !is_guest(entry);
}

bool
mag_peer_join(void)
{
	/* acquire: as above */
	if (likely(atomic_load_explicit(&self.id, memory_order_acquire) == mag_process_id))
		return is_peer();
	/* A forked child may have a copy of a parent that was just at it. */
	if (atomic_exchange_explicit(&self.joining, mag_process_id, memory_order_relaxed) ==
	    mag_process_id)
		return false;
	atomic_store_explicit(&self.entry, join(), memory_order_relaxed);
	/* release: who finds that the process has joined finds its entry */
	atomic_store_explicit(&self.id, mag_process_id, memory_order_release);
	return is_peer();
}

void
mag_peer_count_caches(int change)
{
	struct peer *entry = own_entry();

	if (entry != NULL && mag_meta_is_mapped(entry))
		MAG_STAT_ADD(entry->caches, (uint32_t)change);
}

/* The number of the entry, and the entry or a copy of it. */
static bool
entry_is_dead(unsigned int number, const struct peer *peer)
{
	if (peer->pids == 0 || peer->pids != pid_namespace())
		return peer->locks && byte_is_free(number);
	/* One that /proc hides, as it does those of other users, counts as alive. */
	return mag_process_fate(peer->pid, peer->start) == MAG_PROCESS_ENDED;
}

static bool
is_dead(const struct peer *peer)
{
	return entry_is_dead(number_of(peer), peer);
}

void
mag_peer_count_hands(bool begin)
{
	struct peer *entry;

	/* Another thread may just be at it. */
	while (!mag_peer_join() &&
	       atomic_load_explicit(&self.id, memory_order_acquire) != mag_process_id)
		sched_yield();
	entry = own_entry();
	if (entry != NULL && begin)
		MAG_STAT_ADD(entry->begun, 1);
	else if (entry != NULL)
		/* release: pairs with mag_peers_hands(): what was begun is done */
		atomic_fetch_add_explicit(&entry->ended, 1, memory_order_release);
}

bool
mag_peers_hands(uint64_t *begun)
{
	const struct peer *peer;
	uint64_t ended;

	if (table == NULL || MAG_STAT(table->crowded))
		return table == NULL;
	for (peer = table->peer; peer < table->peer + PLACES; peer++) {
		if (MAG_STAT(peer->state) != ALIVE)
			continue;
		ended = MAG_STAT_ACQUIRE(peer->ended);
		if (MAG_STAT(peer->begun) != ended && !is_dead(peer))
			return false;
		*begun += ended;
	}
	return true;
}

static struct peer *
entry_of(uint32_t id)
{
	uint32_t i;

	for (i = 0; table != NULL && i < PLACES; i++)
		if (MAG_STAT(table->peer[i].id) == id)
			return &table->peer[i];
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

/* Of a process that is not this one: known to be dead, or found to be. */
static bool
is_known_dead(const struct peer *peer)
{
	/* acquire: pairs with the release in join() */
	uint64_t state = atomic_load_explicit(&peer->state, memory_order_acquire);

	return state == DEAD || state == LEAVING || (state == ALIVE && is_dead(peer));
}

bool
mag_peer_is_dead(uint32_t id)
{
	const struct peer *peer = entry_of(id);

	if (peer == NULL || id == mag_process_id || !is_known_dead(peer))
		return false;
	/* It may have become another process's meanwhile. */
	return MAG_STAT(peer->id) == id;
}

bool
mag_peer_is_visible(uint32_t id)
{
	const struct peer *peer = entry_of(id);
	uint64_t own = pid_namespace();

	return id == mag_process_id || (peer != NULL && own != 0 && peer->pids == own);
}

void
mag_peer_set_pools(uint32_t pools)
{
	struct peer *entry = own_entry();

	if (entry != NULL && mag_meta_is_mapped(entry))
		atomic_store_explicit(&entry->pools, pools, memory_order_relaxed);
}

void
mag_peers_inherited(uint32_t (*pools_of)(uint32_t id))
{
	struct peer *own = own_entry(), *peer;
	uint64_t me;

	if (!is_peer())
		return;
	me = UINT64_C(1) << number_of(own);
	for (peer = table->peer; peer < table->peer + PLACES; peer++)
		atomic_fetch_and_explicit(&peer->seen, ~me, memory_order_relaxed);
	/* In this order: a dead process whose pools nobody has is forgotten. */
	atomic_signal_fence(memory_order_seq_cst);
	mag_peer_set_pools(pools_of(mag_process_id));
	/* release: pairs with bury() */
	for (peer = table->peer; peer < table->peer + PLACES; peer++)
		if (peer != own && is_known_dead(peer))
			atomic_store_explicit(&peer->pools, pools_of(MAG_STAT(peer->id)),
					      memory_order_release);
}

/* Reads a copy: EAL may take the table away meanwhile, and no lock holds it. */
enum mag_peers_pools
mag_peers_pools(void)
{
	enum mag_peers_pools found = MAG_PEERS_NO_POOLS;
	struct peer copy[PLACES];
	unsigned int i;
	uint64_t state;

	if (table == NULL || !mag_meta_read(copy, table->peer, sizeof(copy)))
		return found;
	for (i = 0; i < PLACES; i++) {
		state = MAG_STAT(copy[i].state);
		if ((state != ALIVE && state != DEAD) || MAG_STAT(copy[i].pools) == 0 ||
		    MAG_STAT(copy[i].id) == mag_process_id)
			continue;
		if (state == DEAD || entry_is_dead(i, &copy[i]))
			return MAG_PEERS_POOLS_OF_DEAD;
		found = MAG_PEERS_POOLS;
	}
	return found;
}

bool
mag_peer_place(unsigned int *place, uint32_t *table_id)
{
	const struct peer *entry = own_entry();

	if (entry == NULL)
		return false;
	*place = number_of(entry);
	*table_id = MAG_STAT(self.table_id);
	return true;
}

bool
mag_peer_has_left(unsigned int place, uint32_t id)
{
	struct peer copy;

	if (table == NULL || !mag_meta_read(&copy, &table->peer[place], sizeof(copy)))
		return false;
	/* A place is another's only after its process died. */
	return MAG_STAT(copy.id) != id || MAG_STAT(copy.state) != ALIVE ||
	       entry_is_dead(place, &copy);
}

/* Peers that are alive and have caches. All: a guest has, which puts none in order. */
static uint64_t
makers(void)
{
	const struct peer *peer;
	uint64_t mask = 0;

	for (peer = table->peer; peer < table->peer + PLACES; peer++)
		if (MAG_STAT(peer->state) == ALIVE &&
		    (MAG_STAT(peer->caches) | MAG_STAT(peer->pools)) != 0)
			mask |= is_guest(peer) ? UINT64_MAX : UINT64_C(1) << number_of(peer);
	return mask;
}

/* release: NULL: there is nothing to release. */
static void
entry_leave(struct peer *peer, uint64_t expected, void (*release)(uint32_t id))
{
	if (!atomic_compare_exchange_strong_explicit(&peer->state, &expected, LEAVING,
						     memory_order_relaxed, memory_order_relaxed))
		return;
	if (release != NULL)
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
	/* acquire: who took its pools counts as their maker, which has yet to see to them */
	if (MAG_STAT_ACQUIRE(peer->pools) != 0 || MAG_STAT(peer->caches) != 0)
		return;
	seen &= atomic_load_explicit(&peer->seen, memory_order_relaxed);
	if ((makers() & ~seen) == 0)
		entry_leave(peer, DEAD, release);
}

/* It has no slot yet, and may have no id: that of nobody would be those of all free slots. */
static bool
joiner_is_dead(uint64_t state)
{
	pid_t pid = (pid_t)((uint32_t)state >> JOINER_PID);

	return state >> JOINER_NAMESPACE == (uint32_t)pid_namespace() &&
	       mag_process_fate(pid, 0) == MAG_PROCESS_ENDED;
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
	uint64_t state;

	if (!is_peer())
		return;
	for (peer = table->peer; peer < table->peer + PLACES; peer++) {
		/* acquire: pairs with the release in join() */
		state = atomic_load_explicit(&peer->state, memory_order_acquire);
		if (state == ALIVE && peer != own && is_dead(peer)) {
			/* Fails where another process was faster. */
			atomic_compare_exchange_strong_explicit(&peer->state, &state, DEAD,
								memory_order_relaxed,
								memory_order_relaxed);
			state = MAG_STAT(peer->state);
		}
		if ((state & STATE_MASK) == JOINING && joiner_is_dead(state))
			entry_leave(peer, state, NULL);
		if (state == DEAD)
			bury(peer, UINT64_C(1) << number_of(own), recover, release);
	}
}
