/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_OPTIONS_H
#define MAG_OPTIONS_H

/*
 * Options of one cache, as text: DPDK's key=value form, "rounds=62,interval=11".
 * One table in options.c holds every key, what is allowed and what it means.
 */

#include <stdbool.h>
#include <stdint.h>

/** Environment variable that is read when a pool has no options of its own. */
#define MAG_OPTIONS_ENV "MAGAZINE_OPTIONS"

enum mag_guard {
	MAG_GUARD_OFF,
	MAG_GUARD_REFUSE, /**< a bad free is reported, counted and refused */
	MAG_GUARD_PANIC,  /**< a bad free is reported, and ends the program */
};

struct mag_options {
	uint32_t rounds;      /**< rounds of a magazine; 0 = chosen, and grown with the load */
	uint32_t interval_ms; /**< time between two updates, in ms */
	uint32_t block;       /**< objects of a contiguous block; 0 = chosen */
	uint32_t mirror;      /**< bytes beside each object; 0 = none */
	bool visit;           /**< may other threads interrupt an lcore to visit its magazines */
	bool magazines;       /**< false: straight to the slab layer */
	bool audit;           /**< who had and gave back each object is recorded */
	enum mag_guard guard; /**< is each free checked */
	/** Takes between two updates that may meet others; for more of them magazines grow. */
	uint32_t contention;
	/**
	 * A library cache clears objects of up to so many bytes when they are freed; or
	 * MAG_CLEAR_MIN_LINES.
	 */
	uint32_t clear_min;
	uint32_t pressure; /**< memory counts as low from this percentage on; 0 = never */
	/**
	 * Of a pool: objects that rte_mempool's cache of each lcore is for, 0 = off; or
	 * MAG_CACHE_KEPT. mag_options_cache() says what it is.
	 */
	uint32_t cache;
	bool holders;     /**< of a pool: who drew each object is recorded */
	uint32_t sampled; /**< of a pool: audit, of one object in so many; 0: of none */
	uint32_t reserve; /**< of a pool: objects for privileged threads alone */
	bool check;       /**< free objects, and what lies between them, must stay as they are */
};

/** Two CPU cache lines, of the machine that this runs on. */
#define MAG_CLEAR_MIN_LINES UINT32_MAX

/** As the application asked for. */
#define MAG_CACHE_KEPT UINT32_MAX

/**
 * Environment variable that is read for all caches and regions: magazines, guard, audit,
 * holders, check and pressure; and replace, which is read for the process.
 */
#define MAG_SWITCHES_ENV "MAGAZINE_SWITCHES"

/** Most that switch replace may have, with the zero behind it: DPDK has 16 handlers. */
#define MAG_REPLACE_SIZE 512

/** Option audit=1/N: the largest N. */
#define MAG_SAMPLED_MAX 1000000

#define MAG_INTERVAL_MS 11000u
#define MAG_CONTENTION_LIMIT 3u
#define MAG_PRESSURE 10u

/** What holds for keys that a text does not name. */
static const struct mag_options mag_options_default = {
	.interval_ms = MAG_INTERVAL_MS,
	.pressure = MAG_PRESSURE,
	.visit = true,
	.magazines = true,
	.contention = MAG_CONTENTION_LIMIT,
	.clear_min = MAG_CLEAR_MIN_LINES,
	.cache = MAG_CACHE_KEPT,
};

/**
 * What a cache begins with: the defaults, with the switches for all caches.
 *
 * @return
 *   0, or -EINVAL after one log line.
 */
int mag_options_begin(struct mag_options *options);

/**
 * Switch replace: handlers of mempools that magazine takes the place of.
 *
 * @param names
 *   Filled: none of them empty, joined by +; "" without the switch.
 * @return
 *   0, or -EINVAL after one log line, where MAGAZINE_SWITCHES has anything wrong in it.
 */
int mag_options_replace(char names[MAG_REPLACE_SIZE]);

/**
 * Read options from a text.
 *
 * @param who
 *   What the options are for, as log lines shall name it.
 * @param text
 *   key=value pairs separated by commas; NULL or "" changes nothing.
 * @param options
 *   Changed only when the whole text is good.
 * @return
 *   0, or -EINVAL after one log line that names key, value and what is allowed.
 */
int mag_options_parse(const char *who, const char *text, struct mag_options *options);

/** What is allowed as the value of a key, "must be ..."; NULL: no such key. */
const char *mag_options_allowed(const char *key);
/** Option clear_min in bytes. */
uint32_t mag_options_clear_min(const struct mag_options *options);
/**
 * Option cache, or MAG_CACHE_KEPT. Guard, audit and check see no object in rte_mempool's caches:
 * with one of them, of all objects, and without the option, it is 0.
 */
uint32_t mag_options_cache(const struct mag_options *options);
/**
 * Bytes of a CPU cache line.
 *
 * @param told
 *   By the C library; 0 or less: it does not know.
 * @param path
 *   Of the file in which the kernel says it; where there is none, it is what DPDK was built for.
 */
uint32_t mag_options_line(long told, const char *path);

#endif /* MAG_OPTIONS_H */
