/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_ANSWER_H
#define MAG_ANSWER_H

/*
 * What answers of telemetry are made of. A request that cannot be served is answered by a
 * dictionary with one text, "error", which names the thing, the value and the remedy.
 *
 * DPDK 22.11 has dictionaries in a dictionary and arrays in it, and no arrays of dictionaries: a
 * table is a dictionary with an array per column. An answer has 16 KiB at most; tables that may be
 * longer are given in pieces, with the number at which the next piece begins as "next".
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_common.h>
#include <rte_mempool.h>
#include <rte_telemetry.h>

#include "base/compat.h"
#include "cache/cache.h"

/** Characters of a request that an error repeats: it has 127 in all. */
#define MAG_ANSWER_CLIP 24

struct mag_answer_row {
	const char *name;
	uint64_t value;
};

/** A column of a table, whose rows lie so many bytes apart. */
struct mag_answer_column {
	const char *name;
	size_t offset, size; /**< of an unsigned integer of 4 or 8 bytes */
};

/** What a request has beside the name of a cache. */
struct mag_answer_ask {
	const char *rest; /**< what follows "NAME,"; NULL: nothing */
	/** Data of the mempool of that name, and objects in its caches; NULL: there is none. */
	const void *pool_data;
	const struct rte_mempool *pool; /**< that mempool */
	uint64_t in_caches;
};

/** An answer about one cache. */
typedef void (*mag_answer_t)(struct mag_cache *cache, const struct mag_answer_ask *ask,
			     struct rte_tel_data *data);

/** The answer is an error. */
void mag_answer_error(struct rte_tel_data *data, const char *format, ...) __rte_format_printf(2, 3);
/**
 * Answer about the first cache of a name, under the lock of the list of caches. A name may have a
 * comma in it: the longest name of a cache that the request begins with counts.
 */
void mag_answer_about(const char *params, mag_answer_t answer, struct rte_tel_data *data);
/** The same, about all caches of the name; the last answer stays. */
void mag_answer_about_all(const char *params, mag_answer_t answer, struct rte_tel_data *data);
/** A whole, unsigned, decimal number; NULL or "" is 0. False, with an error answered, if it is not.
 */
bool mag_answer_from(const char *rest, struct rte_tel_data *data, uint64_t *from);
/** False, with an error answered, when there is anything behind the name. */
bool mag_answer_no_rest(const char *rest, struct rte_tel_data *data);

/** Rows of a dictionary that has been started. */
void mag_answer_rows(struct rte_tel_data *data, const struct mag_answer_row *rows, unsigned int n);
/** As text: readers of JSON that count in floating point would take two ids for the same. */
void mag_answer_id(struct rte_tel_data *data, const char *name, uint64_t id);
/** The field of a row that is in this column. */
uint64_t mag_answer_field(const struct mag_answer_column *column, const void *row);
/** Columns of a dictionary that has been started; n rows of so many bytes each. */
void mag_answer_columns(struct rte_tel_data *data, const struct mag_answer_column *columns,
			unsigned int count, const void *rows, size_t size, unsigned int n);
/** A column of texts. */
void mag_answer_texts(struct rte_tel_data *data, const char *name, const char *const *texts,
		      unsigned int n);
/** A column of small numbers that may be -1. */
void mag_answer_ints(struct rte_tel_data *data, const char *name, const int *ints, unsigned int n);

#endif /* MAG_ANSWER_H */
