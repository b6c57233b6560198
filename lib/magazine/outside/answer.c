/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_mempool.h>

#include "mag_stats.h"
#include "outside/answer.h"

struct request {
	const char *params;
	mag_answer_t answer;
	struct rte_tel_data *data;
	struct mag_answer_ask ask;
	size_t length; /* of the longest name that fits */
	bool all, answered;
};

void
mag_answer_error(struct rte_tel_data *data, const char *format, ...)
{
	char text[RTE_TEL_MAX_STRING_LEN];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	rte_tel_data_start_dict(data);
	rte_tel_data_add_dict_string(data, "error", text);
}

/* Length of a name, if the request begins with it; else 0. */
static size_t
name_length(const char *name, const char *params)
{
	size_t length = strlen(name);

	if (strncmp(params, name, length) != 0)
		return 0;
	return params[length] == '\0' || params[length] == ',' ? length : 0;
}

static void
length_visit(struct mag_cache *cache, void *arg)
{
	struct request *request = arg;

	request->length = RTE_MAX(request->length, name_length(cache->name, request->params));
}

static void
answer_visit(struct mag_cache *cache, void *arg)
{
	struct request *request = arg;
	const char *rest = request->params + request->length;

	if ((request->answered && !request->all) ||
	    name_length(cache->name, request->params) != request->length)
		return;
	request->ask.rest = *rest == ',' ? rest + 1 : NULL;
	request->answer(cache, &request->ask, request->data);
	request->answered = true;
}

/* Under the lock of the list of mempools: none is freed meanwhile. */
static void
pool_visit(struct rte_mempool *pool, void *arg)
{
	struct request *request = arg;
	unsigned int i;

	if (name_length(pool->name, request->params) != request->length)
		return;
	request->ask.pool = pool;
	request->ask.pool_data = pool->pool_data;
	request->ask.in_caches = 0;
	for (i = 0; pool->cache_size > 0 && i < RTE_MAX_LCORE; i++)
		request->ask.in_caches += pool->local_cache[i].len;
}

static void
about(struct request *request)
{
	if (request->params == NULL || *request->params == '\0') {
		mag_answer_error(request->data, "no name of a pool or cache: append \",NAME\" to "
						"the command: /magazine/list has the names");
		return;
	}
	mag_cache_walk(length_visit, request);
	if (request->length > 0) {
		/* Not within the other walk, since a walk over mempools may begin one over caches.
		 */
		rte_mempool_walk(pool_visit, request);
		mag_cache_walk(answer_visit, request);
	}
	if (!request->answered)
		mag_answer_error(request->data,
				 "\"%.*s\": no pool or cache of this name in this process: "
				 "/magazine/list has the names",
				 MAG_ANSWER_CLIP, request->params);
}

void
mag_answer_about(const char *params, mag_answer_t answer, struct rte_tel_data *data)
{
	struct request request = {.params = params, .answer = answer, .data = data};

	about(&request);
}

void
mag_answer_about_all(const char *params, mag_answer_t answer, struct rte_tel_data *data)
{
	struct request request = {.params = params, .answer = answer, .data = data, .all = true};

	about(&request);
}

bool
mag_answer_from(const char *rest, struct rte_tel_data *data, uint64_t *from)
{
	char *end;

	*from = 0;
	if (rest == NULL || *rest == '\0')
		return true;
	errno = 0;
	*from = strtoull(rest, &end, 10);
	if (*rest >= '0' && *rest <= '9' && *end == '\0' && errno == 0)
		return true;
	mag_answer_error(data, "\"%.*s\": must be the number of the first row: leave it out for 0",
			 MAG_ANSWER_CLIP, rest);
	return false;
}

bool
mag_answer_no_rest(const char *rest, struct rte_tel_data *data)
{
	if (rest == NULL)
		return true;
	mag_answer_error(data, "\"%.*s\": one parameter too many: give the name alone",
			 MAG_ANSWER_CLIP, rest);
	return false;
}

void
mag_answer_rows(struct rte_tel_data *data, const struct mag_answer_row *rows, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		rte_tel_data_add_dict_uint(data, rows[i].name, rows[i].value);
}

void
mag_answer_id(struct rte_tel_data *data, const char *name, uint64_t id)
{
	char text[32];

	snprintf(text, sizeof(text), "0x%016" PRIx64, id);
	rte_tel_data_add_dict_string(data, name, text);
}

uint64_t
mag_answer_field(const struct mag_answer_column *column, const void *row)
{
	const void *field = RTE_PTR_ADD(row, column->offset);

	return column->size == sizeof(uint32_t) ? *(const uint32_t *)field :
						  *(const uint64_t *)field;
}

static struct rte_tel_data *
array_start(enum rte_tel_value_type type)
{
	struct rte_tel_data *array = rte_tel_data_alloc();

	if (array != NULL)
		rte_tel_data_start_array(array, type);
	return array;
}

void
mag_answer_columns(struct rte_tel_data *data, const struct mag_answer_column *columns,
		   unsigned int count, const void *rows, size_t size, unsigned int n)
{
	struct rte_tel_data *array;
	unsigned int c, i;

	for (c = 0; c < count && (array = array_start(RTE_TEL_UINT_VAL)) != NULL; c++) {
		for (i = 0; i < n; i++)
			rte_tel_data_add_array_uint(
				array, mag_answer_field(&columns[c], RTE_PTR_ADD(rows, i * size)));
		rte_tel_data_add_dict_container(data, columns[c].name, array, 0);
	}
}

void
mag_answer_texts(struct rte_tel_data *data, const char *name, const char *const *texts,
		 unsigned int n)
{
	struct rte_tel_data *array = array_start(RTE_TEL_STRING_VAL);
	unsigned int i;

	if (array == NULL)
		return;
	for (i = 0; i < n; i++)
		rte_tel_data_add_array_string(array, texts[i]);
	rte_tel_data_add_dict_container(data, name, array, 0);
}

void
mag_answer_ints(struct rte_tel_data *data, const char *name, const int *ints, unsigned int n)
{
	struct rte_tel_data *array = array_start(RTE_TEL_INT_VAL);
	unsigned int i;

	if (array == NULL)
		return;
	for (i = 0; i < n; i++)
		rte_tel_data_add_array_int(array, ints[i]);
	rte_tel_data_add_dict_container(data, name, array, 0);
}
