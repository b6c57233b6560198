/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_CELL_H
#define BENCH_CELL_H

/*
 * A cell is a pattern with its arguments: so many lcores, such bulks. All peers of a cell, handlers
 * or allocators, take turns in one process: in each round each peer has one turn, and what counts
 * is the median over the rounds of a peer's time per object divided by the base's in the same
 * round. Absolute times move by a factor of two on a shared machine, these ratios by a few percent.
 *
 * Each measurement of a cell is a process of its own, with an EAL of exactly the lcores that the
 * cell needs: a peer that crashes, hangs or eats all memory costs a row, not the run, and
 * repetitions see other addresses. Where memory is short, the peers of a cell are measured in
 * several processes, the base in each of them.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_branch_prediction.h>
#include <rte_common.h>
#include <rte_cycles.h>

#include "bench.h"
#include "team.h"

#define CELL_BULK_MAX 256
#define CELL_PEERS_MAX 32
#define CELL_NAME 96
/** Random bulk sizes repeat after so many, a power of two. */
#define CELL_SIZES 1024

struct cell;

/** A competitor. */
struct peer {
	const char *name;    /**< end of the row's name */
	const char *handler; /**< mempool ops, or allocator */
	const char *options; /**< pool_config; NULL = none */
	unsigned int cache;  /**< cache_size of the mempool */
	bool one_lcore;      /**< cannot be used by several */
	bool inlined;        /**< by rte_mempool_magazine_inline.h */
};

/** One lcore's part in a turn. */
struct turn {
	const struct cell *cell;
	const struct peer *peer;
	unsigned int member; /**< which of the lcores */
	uint64_t number;     /**< of the turn, in this cell, from 1 */
	uint64_t quota;      /**< objects to move */
	uint64_t moved;      /**< objects moved; a get and its put are one */
	uint64_t failed;     /**< gets that were refused */
	void **objects;      /**< room for what the pattern holds, and a bulk */
	uint64_t deadline;   /**< TSC; end the turn then, all the same */
	bool late;           /**< it did */
	uint64_t start, end; /**< TSC, filled by the cell */
	/** Found by the member once, outside the timed part; for the pattern. */
	uint32_t at;
} __rte_cache_aligned;

/** What an lcore does whose objects are taken. */
enum pattern_rest {
	PATTERN_SPINS,
	PATTERN_WORKS, /**< gets and puts an object of the same pool */
	PATTERN_SLEEPS,
};

/** What lcores do, and to what. Functions of NULL are not needed. */
struct pattern {
	const char *name;
	const char *help;
	const struct peer *peers; /**< the last one has no name */
	unsigned int base;        /**< peer that the others are compared with */
	unsigned int hold;        /**< objects that an lcore has at once, beside a bulk */
	unsigned int objects;     /**< of a pool, at least */
	unsigned int object_size; /**< bytes */
	bool touched;             /**< objects are written and read */
	bool old;                 /**< pools are in an order that long use gives them */
	bool waits;               /**< lcores wait for each other: more than one CPU, or never */
	unsigned int owners;      /**< lcores that have used the pool, most of them idle */
	enum pattern_rest rest;
	bool many_produce; /**< all lcores but one get, one puts; else one gets, the others put */

	/** Before the peers are made: what they share, or NULL, saying why not. */
	void *(*begin)(const struct cell *cell, char why[BENCH_WHY]);
	void (*end)(void *shared);
	/** Get a peer ready: its state, or NULL, saying why not. */
	void *(*make)(const struct cell *cell, const struct peer *peer, char why[BENCH_WHY]);
	void (*turn)(void *state, struct turn *turn);
	/** What a handler does once in an interval of some seconds, now; false: it does nothing. */
	bool (*update)(void *state);
	/** Objects that have gone; nobody works. */
	uint64_t (*lost)(void *state);
	void (*drop)(void *state);
	/** Instead of rounds: figures of another kind. False, saying why: it cannot. */
	bool (*figure)(const struct cell *cell, const struct peer *peer, double figure[2],
		       char why[BENCH_WHY]);
	const char *figure_name[2]; /**< NULL: there is no second one */
};

/** What was found of one peer; lies in memory that both processes see. */
struct cell_found {
	enum bench_end end;
	char why[BENCH_WHY];
	double ratio, q1, q3; /**< to the base: median and quartiles */
	double seconds;       /**< CPU time an object, median */
	double rate;          /**< objects a second, median */
	double worst;         /**< worst round to median */
	double figure[2];
	uint64_t failed;
	uint64_t lost;
	unsigned int rounds, cut;
};

struct cell {
	const struct pattern *pattern;
	char name[CELL_NAME];
	unsigned int lcores;
	unsigned int bulk;
	bool variable; /**< bulks of 1 to bulk, at random */
	bool overcommitted;
	bool wanted[CELL_PEERS_MAX]; /**< peers whose rows were asked for */
	unsigned int measured;       /**< repetitions so far */
	struct cell_found *found;    /**< of peer p in repetition r: r x CELL_PEERS_MAX + p */

	/* In the process that measures. */
	struct team team;
	uint16_t sizes[CELL_SIZES]; /**< of the bulks, in a cell with variable ones */
	void *shared;               /**< the pattern's, for all peers */
};

/** How long, and by what. */
struct cell_setup {
	const char *self;    /**< path of this program: plugins are found from there */
	double seconds;      /**< of measuring, for each peer of a cell; 0 = as the cell needs */
	unsigned int rounds; /**< exactly so many; 0 = as time allows */
	bool quick;
	size_t memory;      /**< bytes of pools that may be there at once */
	unsigned int cells; /**< to come in all, for progress */
};

extern struct cell_setup cell_setup;

/** Peers of a pattern. */
unsigned int cell_peers(const struct pattern *pattern);
/** Path of a file beside this program. */
void cell_path(char *path, size_t size, const char *relative);
/** Objects a pool of this cell has. */
unsigned int cell_objects(const struct cell *cell);

/**
 * Measure a cell once more.
 *
 * @return
 *   The results, one for each peer; never NULL.
 */
const struct cell_found *cell_measure(struct cell *cell);
/** End what is under way, and clean up: for a signal. */
void cell_abandon(void);

/** Sorts the values and returns the one that is so far up: 0.5 = the median. */
double cell_quantile(double *values, unsigned int count, double where);

/** Has the turn lasted too long? To be asked now and then. */
static inline bool
turn_late(struct turn *turn)
{
	turn->late = rte_rdtsc() > turn->deadline;
	return turn->late;
}

/** Size of the next bulk. */
static __rte_always_inline unsigned int
turn_bulk(struct turn *turn)
{
	const struct cell *cell = turn->cell;

	return cell->variable ? cell->sizes[turn->at++ % CELL_SIZES] : cell->bulk;
}

#endif /* BENCH_CELL_H */
