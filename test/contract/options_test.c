/* SPDX-License-Identifier: BSD-3-Clause */

/* Options as text: from pool_config, or else from MAGAZINE_OPTIONS; a bad one fails the pool. */

#include <sys/mman.h>

#include "harness.h"
#include "../common/log.h"
#include "pool.h"

struct bad {
	const char *text;
	const char *named[4]; /* what the log line says: key, value, what is allowed */
};

static const char *const good[] = {
	"rounds=14", "rounds=30", "rounds=62", "rounds=126", "rounds=254", "rounds=510",
};

static const struct bad bad[] = {
	{"rounds=7", {"rounds", "7", "14", "510"}},
	{"rounds=", {"rounds", "14", "510"}},
	{"rounds=abc", {"rounds", "abc", "14", "510"}},
	{"rounds=62 ", {"rounds", "62 ", "14", "510"}},
	{"rounds=-62", {"rounds", "-62", "14", "510"}},
	{"rounds=4294967358", {"rounds", "4294967358", "14", "510"}},
	{"rounds=99999999999999999999", {"rounds", "99999999999999999999", "14", "510"}},
	{"rounds=62,rounds=62x", {"rounds", "62x", "14", "510"}},
	{"rounds=62x,rounds=62", {"rounds", "62x", "14", "510"}},
	{"nosuch=1", {"nosuch", "1", "rounds"}},
	{"rounds=62,nosuch=1", {"nosuch", "1", "rounds"}},
	{"nosuch", {"nosuch"}},
	{",,", {","}},
	{"=", {"="}},
};

static void
assert_one_line_names(const struct bad *which, const char *pool)
{
	if (log_lines() != 1)
		fail_msg("'%s': %u log lines instead of one: %s", which->text, log_lines(),
			 log_text());
	if (!log_has("magazine") || !log_has(pool))
		fail_msg("'%s': no \"magazine\" or no \"%s\" in: %s", which->text, pool,
			 log_text());
	for (unsigned int i = 0; i < RTE_DIM(which->named) && which->named[i] != NULL; i++)
		if (!log_has(which->named[i]))
			fail_msg("'%s': no \"%s\" in: %s", which->text, which->named[i],
				 log_text());
}

TEST(good_options_make_a_working_pool)
{
	void *objs[5000];

	harness_need_ours("options");
	for (unsigned int i = 0; i < RTE_DIM(good); i++) {
		struct rte_mempool *mp = pool_make(POOL_SPEC(5000, 64, .config = good[i]));

		for (unsigned int bulk = 1; bulk <= 1000; bulk *= 10) {
			for (unsigned int j = 0; j < 5000; j += bulk)
				assert_int_equal(rte_mempool_get_bulk(mp, objs + j, bulk), 0);
			pool_assert_free(mp, 0);
			rte_mempool_put_bulk(mp, objs, 5000);
			pool_assert_free(mp, 5000);
		}
		rte_mempool_free(mp);
	}
}

TEST(a_bad_option_fails_the_default_population)
{
	harness_need_ours("options");
	for (unsigned int i = 0; i < RTE_DIM(bad); i++) {
		struct rte_mempool *mp = pool_empty(POOL_SPEC(500, 64, .config = bad[i].text));
		int ret;

		log_begin();
		ret = rte_mempool_populate_default(mp);
		log_end();
		if (ret != -EINVAL)
			fail_msg("'%s': %d, expected -EINVAL", bad[i].text, ret);
		say("'%s': %s", bad[i].text, log_text());
		assert_one_line_names(&bad[i], mp->name);
		assert_int_equal(mp->populated_size, 0);
		rte_mempool_free(mp);
	}
}

TEST(a_bad_option_fails_every_way_to_populate)
{
	struct rte_mempool *mp;
	char *chunk;

	harness_need_ours("options");
	chunk = pool_map(1 << 20);
	mp = pool_empty(POOL_SPEC(500, 64, .config = "rounds=7"));
	log_begin();
	assert_int_equal(rte_mempool_populate_iova(mp, chunk, RTE_BAD_IOVA, 1 << 20, NULL, NULL),
			 -EINVAL);
	assert_int_equal(rte_mempool_populate_virt(mp, chunk, 1 << 20, 4096, NULL, NULL), -EINVAL);
	assert_int_equal(rte_mempool_populate_anon(mp), 0);
	assert_int_equal(rte_errno, EINVAL);
	log_end();
	rte_mempool_free(mp);
	munmap(chunk, 1 << 20);
}

/* pool_config belongs to the caller, who may do with it what he likes once the pool is made. */
TEST(the_text_is_not_needed_after_the_pool_is_made)
{
	char *text = pool_map(4096);
	struct rte_mempool *mp;
	void *objs[1000];

	harness_need_ours("options");
	strcpy(text, "rounds=30");
	mp = pool_make(POOL_SPEC(1000, 64, .config = text));
	munmap(text, 4096);
	assert_int_equal(rte_mempool_get_bulk(mp, objs, 1000), 0);
	rte_mempool_put_bulk(mp, objs, 1000);
	pool_assert_free(mp, 1000);
	rte_mempool_free(mp);
}

TEST(options_come_from_the_environment_unless_the_pool_has_its_own)
{
	static const struct {
		const char *environment, *config;
		int made;
	} rows[] = {
		{NULL, NULL, 500},
		{"rounds=62", NULL, 500},
		{"rounds=7", NULL, -EINVAL},
		{"nosuch=1", NULL, -EINVAL},
		{"nosuch=1", "rounds=62", 500},
		{"rounds=62", "rounds=7", -EINVAL},
	};
	struct rte_mempool *mp;

	harness_need_ours("options");
	for (unsigned int i = 0; i < RTE_DIM(rows); i++) {
		if (rows[i].environment != NULL)
			setenv("MAGAZINE_OPTIONS", rows[i].environment, 1);
		mp = pool_empty(POOL_SPEC(500, 64, .config = rows[i].config));
		log_begin();
		assert_int_equal(rte_mempool_populate_default(mp), rows[i].made);
		log_end();
		unsetenv("MAGAZINE_OPTIONS");
		assert_int_equal(log_lines(), rows[i].made < 0);
		assert_true(rows[i].made > 0 || log_has(mp->name));
		rte_mempool_free(mp);
	}
}

int
main(int argc, char **argv)
{
	return HARNESS_RUN(argc, argv, 1);
}
