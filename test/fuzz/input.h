/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

/*
 * The bytes of one input, read from the front; behind the last one there are zeroes.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct input {
	const uint8_t *at;
	size_t left;
};

static inline uint8_t
input_byte(struct input *input)
{
	if (input->left == 0)
		return 0;
	input->left--;
	return *input->at++;
}

/** Below limit, which is not 0. */
static inline uint32_t
input_below(struct input *input, uint32_t limit)
{
	uint32_t value = input_byte(input);

	if (limit > UINT8_MAX + 1)
		value = value << 8 | input_byte(input);
	return value % limit;
}

/** True once in so many times. */
static inline bool
input_seldom(struct input *input, uint32_t times)
{
	return input_below(input, times) == times - 1;
}

#endif /* FUZZ_INPUT_H */
