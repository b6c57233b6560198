/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_config.h>
#include <rte_kvargs.h>
#include <rte_string_fns.h>

#include "base/log.h"
#include "mag_mirror.h"
#include "parts/options.h"
#include "parts/type.h"

#define INTERVAL_MIN_MS 10
#define INTERVAL_MAX_MS (3600 * 1000)
#define BLOCK_MAX 4096
#define CONTENTION_MAX 1000000
#define RESERVE_MAX 1048576
#define CLEAR_MIN_MAX (1024 * 1024)
/* Where the C library does not know it, as on AArch64. */
#define LINE_SIZE_FILE "/sys/devices/system/cpu/cpu0/cache/index0/coherency_line_size"

struct parser {
	const char *who;
	bool switches; /* of all caches: text of MAGAZINE_SWITCHES */
	struct mag_options options;
	char replace[MAG_REPLACE_SIZE];
};

/* A whole, unsigned, decimal number; the part behind it is left in rest. */
static bool
read_number(const char *text, unsigned long max, unsigned long *number, const char **rest)
{
	char *end;

	if (text == NULL || *text < '0' || *text > '9')
		return false;
	errno = 0;
	*number = strtoul(text, &end, 10);
	*rest = end;
	return errno == 0 && *number <= max;
}

static bool
read_whole(const char *text, unsigned long max, unsigned long *number)
{
	const char *rest;

	return read_number(text, max, number, &rest) && *rest == '\0';
}

static bool
set_rounds(struct mag_options *options, const char *value)
{
	unsigned long number;

	if (!read_whole(value, UINT32_MAX, &number) || (number != 0 && !mag_type_is_pool(number)))
		return false;
	options->rounds = (uint32_t)number;
	return true;
}

static bool
set_interval(struct mag_options *options, const char *value)
{
	unsigned long number;
	const char *unit;

	if (!read_number(value, INTERVAL_MAX_MS, &number, &unit))
		return false;
	if (*unit == '\0')
		number *= 1000;
	else if (strcmp(unit, "ms") != 0)
		return false;
	if (number < INTERVAL_MIN_MS || number > INTERVAL_MAX_MS)
		return false;
	options->interval_ms = (uint32_t)number;
	return true;
}

static bool
set_number(uint32_t *option, const char *value, unsigned long max)
{
	unsigned long number;

	if (!read_whole(value, max, &number))
		return false;
	*option = (uint32_t)number;
	return true;
}

static bool
set_block(struct mag_options *options, const char *value)
{
	return set_number(&options->block, value, BLOCK_MAX);
}

static bool
set_mirror(struct mag_options *options, const char *value)
{
	return set_number(&options->mirror, value, MAG_MIRROR_MAX);
}

static bool
set_contention(struct mag_options *options, const char *value)
{
	return set_number(&options->contention, value, CONTENTION_MAX);
}

static bool
set_clear_min(struct mag_options *options, const char *value)
{
	return set_number(&options->clear_min, value, CLEAR_MIN_MAX);
}

static bool
set_pressure(struct mag_options *options, const char *value)
{
	return set_number(&options->pressure, value, 100);
}

static bool
set_cache(struct mag_options *options, const char *value)
{
	return set_number(&options->cache, value, RTE_MEMPOOL_CACHE_MAX_SIZE);
}

static bool
set_reserve(struct mag_options *options, const char *value)
{
	return set_number(&options->reserve, value, RESERVE_MAX);
}

static bool
set_switch(bool *option, const char *value)
{
	unsigned long number;

	if (!read_whole(value, 1, &number))
		return false;
	*option = number != 0;
	return true;
}

static bool
set_visit(struct mag_options *options, const char *value)
{
	return set_switch(&options->visit, value);
}

static bool
set_magazines(struct mag_options *options, const char *value)
{
	return set_switch(&options->magazines, value);
}

static bool
set_audit(struct mag_options *options, const char *value)
{
	unsigned long number = 0;
	bool part = strncmp(value, "1/", 2) == 0;

	if (part && (!read_whole(value + 2, MAG_SAMPLED_MAX, &number) || number == 0))
		return false;
	if (!part && !set_switch(&options->audit, value))
		return false;
	if (part)
		options->audit = number == 1;
	options->sampled = number > 1 ? (uint32_t)number : 0;
	return true;
}

static bool
set_holders(struct mag_options *options, const char *value)
{
	return set_switch(&options->holders, value);
}

static bool
set_check(struct mag_options *options, const char *value)
{
	return set_switch(&options->check, value);
}

static bool
set_guard(struct mag_options *options, const char *value)
{
	bool on;

	if (strcmp(value, "panic") == 0) {
		options->guard = MAG_GUARD_PANIC;
		return true;
	}
	if (!set_switch(&on, value))
		return false;
	options->guard = on ? MAG_GUARD_REFUSE : MAG_GUARD_OFF;
	return true;
}

/* Names, and what joins them; who they are is not known here. */
static bool
set_replace(struct mag_options *options, const char *value)
{
	size_t length;

	RTE_SET_USED(options);
	if (strlen(value) >= MAG_REPLACE_SIZE)
		return false;
	for (;; value += length + 1) {
		length = strcspn(value, "+");
		if (length == 0)
			return false;
		if (value[length] == '\0')
			return true;
	}
}

static const struct {
	const char *key;
	const char *allowed;
	bool (*set)(struct mag_options *options, const char *value);
} keys[] = {
	{"rounds", "must be 0 (chosen) or one of 14, 30, 62, 126, 254, 510", set_rounds},
	{"interval", "must be 1 to 3600 (seconds) or 10ms to 3600000ms", set_interval},
	{"block", "must be 0 (chosen) or 1 to 4096 objects", set_block},
	{"mirror", "must be 0 (none) or 1 to 4096 bytes", set_mirror},
	{"visit", "must be 0 or 1", set_visit},
	{"magazines", "must be 0 or 1", set_magazines},
	{"guard", "must be 0, 1 or panic", set_guard},
	{"audit",
	 "must be 0, 1 or, of a pool, 1/N for one object in N, N 1 to " RTE_STR(MAG_SAMPLED_MAX),
	 set_audit},
	{"holders", "must be 0 or 1", set_holders},
	{"check", "must be 0 or 1", set_check},
	{"contention", "must be 0 to 1000000 takes", set_contention},
	{"clear_min", "must be 0 (never) or 1 to 1048576 bytes", set_clear_min},
	{"pressure", "must be 0 (never low) or 1 to 100 (percent of the time)", set_pressure},
	{"cache", "must be 0 (off) or 1 to " RTE_STR(RTE_MEMPOOL_CACHE_MAX_SIZE) " objects",
	 set_cache},
	{"reserve", "must be 0 (none) or 1 to 1048576 objects", set_reserve},
	{"replace",
	 "must be names of mempool handlers joined by +, as ring_mp_mc+ring_sp_sc, "
	 "and in " MAG_SWITCHES_ENV " alone",
	 set_replace},
};

const char *
mag_options_allowed(const char *key)
{
	unsigned int i;

	for (i = 0; i < RTE_DIM(keys); i++)
		if (strcmp(key, keys[i].key) == 0)
			return keys[i].allowed;
	return NULL;
}

static bool
set(struct parser *parser, unsigned int i, const char *value)
{
	if (value == NULL || !keys[i].set(&parser->options, value))
		return false;
	if (keys[i].set != set_replace)
		return true;
	strlcpy(parser->replace, value, sizeof(parser->replace));
	return parser->switches;
}

static int
set_pair(struct parser *parser, const char *key, const char *value)
{
	unsigned int i;

	for (i = 0; i < RTE_DIM(keys); i++) {
		if (strcmp(key, keys[i].key) != 0)
			continue;
		if (set(parser, i, value))
			return 0;
		MAG_LOG(ERR, "%s: option %s=%s: %s", parser->who, key, value != NULL ? value : "",
			keys[i].allowed);
		return -1;
	}
	MAG_LOG(ERR,
		"%s: option %s=%s: unknown key, must be one of rounds, interval, block, mirror, "
		"visit, magazines, guard, audit, holders, check, contention, clear_min, pressure, "
		"cache, reserve, replace",
		parser->who, key, value != NULL ? value : "");
	return -1;
}

static bool
is_switches_only(const struct mag_options *options)
{
	return options->rounds == mag_options_default.rounds &&
	       options->interval_ms == mag_options_default.interval_ms &&
	       options->block == mag_options_default.block &&
	       options->mirror == mag_options_default.mirror &&
	       options->visit == mag_options_default.visit &&
	       options->contention == mag_options_default.contention &&
	       options->clear_min == mag_options_default.clear_min &&
	       options->cache == mag_options_default.cache &&
	       options->reserve == mag_options_default.reserve;
}

/* 0, or -EINVAL after one log line; parser->options may have changed then. */
static int
parse(struct parser *parser, const char *text)
{
	struct rte_kvargs *pairs;
	unsigned int i;
	int ret = 0;

	if (text == NULL || *text == '\0')
		return 0;
	pairs = rte_kvargs_parse(text, NULL);
	if (pairs == NULL) {
		MAG_LOG(ERR,
			"%s: options \"%s\": must be key=value pairs separated by commas, "
			"at most %u",
			parser->who, text, RTE_KVARGS_MAX);
		return -EINVAL;
	}
	for (i = 0; i < pairs->count && ret == 0; i++)
		ret = set_pair(parser, pairs->pairs[i].key, pairs->pairs[i].value);
	if (pairs->count == 0) {
		MAG_LOG(ERR, "%s: options \"%s\": no key=value pair in it", parser->who, text);
		ret = -1;
	}
	rte_kvargs_free(pairs);
	return ret == 0 ? 0 : -EINVAL;
}

static int
parse_switches(struct parser *parser)
{
	const char *text = getenv(MAG_SWITCHES_ENV);
	int ret;

	*parser = (struct parser){
		.who = MAG_SWITCHES_ENV,
		.switches = true,
		.options = mag_options_default,
	};
	ret = parse(parser, text);
	if (ret != 0 || is_switches_only(&parser->options))
		return ret;
	MAG_LOG(ERR,
		MAG_SWITCHES_ENV
		"=%s: must be of magazines, guard, audit, holders, check, pressure "
		"and replace alone",
		text);
	return -EINVAL;
}

int
mag_options_begin(struct mag_options *options)
{
	struct parser parser;
	int ret = parse_switches(&parser);

	*options = ret == 0 ? parser.options : mag_options_default;
	return ret;
}

int
mag_options_replace(char names[MAG_REPLACE_SIZE])
{
	struct parser parser;
	int ret = parse_switches(&parser);

	strlcpy(names, parser.replace, MAG_REPLACE_SIZE);
	return ret;
}

int
mag_options_parse(const char *who, const char *text, struct mag_options *options)
{
	struct parser parser = {.who = who, .options = *options};
	int ret = parse(&parser, text);

	if (ret == 0)
		*options = parser.options;
	return ret;
}

uint32_t
mag_options_line(long told, const char *path)
{
	unsigned long line = 0;
	char text[32];
	FILE *file;

	if (told > 0)
		return (uint32_t)told;
	file = fopen(path, "r");
	if (file == NULL)
		return RTE_CACHE_LINE_SIZE;
	if (fgets(text, sizeof(text), file) != NULL)
		line = strtoul(text, NULL, 10);
	fclose(file);
	return line > 0 && line <= UINT16_MAX ? (uint32_t)line : RTE_CACHE_LINE_SIZE;
}

uint32_t
mag_options_clear_min(const struct mag_options *options)
{
	if (options->clear_min != MAG_CLEAR_MIN_LINES)
		return options->clear_min;
	return 2 * mag_options_line(sysconf(_SC_LEVEL1_DCACHE_LINESIZE), LINE_SIZE_FILE);
}

uint32_t
mag_options_cache(const struct mag_options *options)
{
	bool watched = options->guard != MAG_GUARD_OFF || options->audit || options->check;

	return options->cache == MAG_CACHE_KEPT && watched ? 0 : options->cache;
}
