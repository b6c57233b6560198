/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/counter.h"
#include "base/log.h"
#include "mag_maint.h"
#include "outside/maint.h"
#include "outside/orders.h"

/* A key with its value, as options are written; longer ones are none of ours. */
#define PAIR_SIZE 64

static const char *
why(int error)
{
	switch (-error) {
	case EBUSY:
		return "another resize or purge is under way: ask again";
	case EAGAIN:
		return "a thread did not let go of its magazines (or visit=0): ask again";
	case EINVAL:
		return "no size that this cache can have: choose a smaller one";
	case EPERM:
		return "it has callbacks in another process: ask that one";
	default:
		return "not while a callback of a cache runs: ask again";
	}
}

static void
answer_done(const struct mag_cache *cache, const char *what, int ret, struct rte_tel_data *data)
{
	if (ret == 0)
		rte_tel_data_string(data, "done");
	else
		mag_answer_error(data, "%.*s of \"%.*s\": %s", MAG_ANSWER_CLIP, what,
				 MAG_ANSWER_CLIP, cache->name, why(ret));
}

void
mag_orders_reap(struct mag_cache *cache, const struct mag_answer_ask *ask,
		struct rte_tel_data *data)
{
	if (mag_answer_no_rest(ask->rest, data))
		answer_done(cache, "reap", mag_cache_reap_now(cache, false), data);
}

void
mag_orders_purge(struct mag_cache *cache, const struct mag_answer_ask *ask,
		 struct rte_tel_data *data)
{
	if (mag_answer_no_rest(ask->rest, data))
		answer_done(cache, "purge", mag_cache_reap_now(cache, true), data);
}

/* 0 or -errno. Maintenance reads the options under the lock of the list, which we hold. */
static int
rounds_set(struct mag_cache *cache, const struct mag_options *options)
{
	int ret = 0;

	if (options->rounds != 0)
		ret = mag_cache_resize(cache, options->rounds, false);
	if (ret == 0)
		MAG_STORE(&cache->options.rounds, options->rounds, MAG_RELAXED);
	return ret;
}

static int
interval_set(struct mag_cache *cache, const struct mag_options *options)
{
	MAG_STORE(&cache->options.interval_ms, options->interval_ms, MAG_RELAXED);
	/* One interval from the next pass on, which is now. */
	cache->next_update = 0;
	mag_maint_wake();
	return 0;
}

static int
contention_set(struct mag_cache *cache, const struct mag_options *options)
{
	MAG_STORE(&cache->options.contention, options->contention, MAG_RELAXED);
	return 0;
}

static int
pressure_set(struct mag_cache *cache, const struct mag_options *options)
{
	MAG_STORE(&cache->options.pressure, options->pressure, MAG_RELAXED);
	return 0;
}

static const struct {
	const char *key;
	int (*set)(struct mag_cache *cache, const struct mag_options *options);
} settable[] = {
	{"rounds", rounds_set},
	{"interval", interval_set},
	{"contention", contention_set},
	{"pressure", pressure_set},
};

static void
answer_key(const char *key, struct rte_tel_data *data)
{
	mag_answer_error(
		data, "option %.*s: %s: must be one of rounds, interval, contention, pressure",
		MAG_ANSWER_CLIP, key,
		mag_options_allowed(key) != NULL ? "fixed once a pool is made" : "no such key");
}

/* A size that the cache may not come to by itself, because it was made for another one. */
static bool
rounds_fit(const struct mag_cache *cache, const struct mag_options *options,
	   struct rte_tel_data *data)
{
	const char *text = NULL;

	if (cache->flags & MAG_CACHE_NOMAGAZINES)
		text = "it has no magazines: make it with magazines=1";
	else if (options->rounds == 0 && (cache->flags & MAG_CACHE_DYNAMIC) == 0)
		text = "it was made with a size of its own: give one of 14 to 510";
	if (text != NULL)
		mag_answer_error(data, "option rounds=%u of \"%.*s\": %s", options->rounds,
				 MAG_ANSWER_CLIP, cache->name, text);
	return text == NULL;
}

static void
set_pair(struct mag_cache *cache, const char *key, const char *value, struct rte_tel_data *data)
{
	struct mag_options options = cache->options;
	char pair[PAIR_SIZE];
	unsigned int i;
	int ret;

	for (i = 0; i < RTE_DIM(settable) && strcmp(key, settable[i].key) != 0; i++)
		;
	if (i == RTE_DIM(settable)) {
		answer_key(key, data);
		return;
	}
	if (snprintf(pair, sizeof(pair), "%s=%s", key, value) >= (int)sizeof(pair) ||
	    strpbrk(value, ",=[]()\"'") != NULL ||
	    mag_options_parse("telemetry", pair, &options) != 0) {
		mag_answer_error(data, "option %s=%.*s: %s", key, MAG_ANSWER_CLIP, value,
				 mag_options_allowed(key));
		return;
	}
	if (settable[i].set == rounds_set && !rounds_fit(cache, &options, data))
		return;
	ret = settable[i].set(cache, &options);
	if (ret == 0)
		MAG_LOG(NOTICE, "cache \"%s\": option %s, set by telemetry", cache->name, pair);
	answer_done(cache, pair, ret, data);
}

void
mag_orders_set(struct mag_cache *cache, const struct mag_answer_ask *ask, struct rte_tel_data *data)
{
	const char *value = ask->rest != NULL ? strchr(ask->rest, ',') : NULL;
	char key[PAIR_SIZE];

	if (value == NULL) {
		mag_answer_error(data,
				 "\"%.*s\": no key and value: append \",KEY,VALUE\", as "
				 "\",rounds,62\"",
				 MAG_ANSWER_CLIP, ask->rest != NULL ? ask->rest : "");
		return;
	}
	snprintf(key, sizeof(key), "%.*s", (int)(value - ask->rest), ask->rest);
	set_pair(cache, key, value + 1, data);
}
