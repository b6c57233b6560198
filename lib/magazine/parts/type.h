/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAG_TYPE_H
#define MAG_TYPE_H

/*
 * Types of magazines: how many rounds they hold (specification, Magazines).
 *
 * A library cache begins with the type that suits the size of its chunks, and may grow to larger
 * ones step by step. The types of a pool fill a power of two of bytes with their header.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAG_ROUNDS_MAX 510u

/** One row of the table in the specification, Magazines. */
struct mag_type {
	uint32_t rounds;
	uint32_t min_object; /**< first type of a cache: the first row with chunk > min_object */
	uint32_t max_object; /**< may move one row down while chunk < max_object */
};

/** First type of a library cache whose chunks have this size, in rounds. */
uint32_t mag_type_first(size_t chunk);
/** The next bigger type of a library cache, or 0 when it may not grow. */
uint32_t mag_type_next(size_t chunk, uint32_t rounds);
/** Can a library cache of this chunk size come to this type? */
bool mag_type_is_reachable(size_t chunk, uint32_t rounds);
/** Rounds of the largest type that a library cache of this chunk size can reach. */
uint32_t mag_type_largest(size_t chunk);

/** Is this one of the types of a pool: 14, 30, 62, 126, 254, 510? */
bool mag_type_is_pool(uint64_t rounds);
/**
 * The largest pool type within the bound (design, Magazine sizes for packet buffers): the magazines
 * of all slots, two each, hold at most a quarter of the pool.
 *
 * @param limit
 *   Rounds that the answer may not exceed.
 * @return
 *   Rounds, or 0 when not even the smallest type is within the bound.
 */
uint32_t mag_type_pool(uint64_t objects, uint32_t slots, uint32_t limit);
/** The next bigger pool type, or 0. */
uint32_t mag_type_pool_next(uint32_t rounds);

/**
 * The most objects that the magazines of a library cache can hold: mag_magazine_max() for so many
 * lcores, and memory on so many nodes.
 */
uint64_t mag_type_objects_max(size_t chunk, uint32_t lcores, uint32_t nodes);

#endif /* MAG_TYPE_H */
