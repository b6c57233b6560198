/* SPDX-License-Identifier: BSD-3-Clause */

/* Options as text: from pool_config, or else from MAGAZINE_OPTIONS; a bad one fails the pool. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>

#include "harness.h"
#include "../common/log.h"
#include "pool.h"

#define ENV_OPTIONS "MAGAZINE_OPTIONS"
/* Set in a copy of this program that makes one pool and prints how that went. */
#define ENV_CHILD "CONTRACT_OPTIONS_CHILD"
/* What that copy gives as pool_config, if set. */
#define ENV_CONFIG "CONTRACT_OPTIONS_CONFIG"
#define CHILD_MARK "child: "

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

static void
child_environment(const char *options, const char *config)
{
	setenv(ENV_CHILD, "1", 1);
	unsetenv(ENV_OPTIONS);
	unsetenv(ENV_CONFIG);
	if (options != NULL)
		setenv(ENV_OPTIONS, options, 1);
	if (config != NULL)
		setenv(ENV_CONFIG, config, 1);
}

static char **own_argv;

/* Fills answer[] with what the child printed after its mark. */
static void
ask_child(const char *options, const char *config, char *answer, size_t size)
{
	int ends[2], status;
	char *mark, line[512];
	FILE *from;
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(ends[1], STDOUT_FILENO);
		close(ends[0]);
		child_environment(options, config);
		execv("/proc/self/exe", own_argv);
		_exit(127);
	}
	close(ends[1]);
	answer[0] = '\0';
	from = fdopen(ends[0], "r");
	while (fgets(line, sizeof(line), from) != NULL)
		if ((mark = strstr(line, CHILD_MARK)) != NULL)
			snprintf(answer, size, "%s", mark + strlen(CHILD_MARK));
	fclose(from);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fail_msg("the child ended with status %#x: options '%s'", status, options);
	if (strncmp(answer, "refused", 7) == 0)
		SKIP_TEST("EAL does not start a second time in this mode");
}

static int
run_as_child(int argc, char **argv)
{
	struct rte_mempool *mp;
	int ret;

	if (harness_start_eal(argc, argv, 1) < 0) {
		printf(CHILD_MARK "refused\n");
		return 0;
	}
	mp = rte_mempool_create_empty("child-pool", 500, 64, 0, 0, SOCKET_ID_ANY, 0);
	if (mp == NULL || rte_mempool_set_ops_byname(mp, harness_ops(), getenv(ENV_CONFIG)) != 0)
		return 1;
	log_begin();
	ret = rte_mempool_populate_default(mp);
	log_end();
	printf(CHILD_MARK "%d %u %s\n", ret, log_lines(), log_text());
	rte_mempool_free(mp);
	rte_eal_cleanup();
	return 0;
}

TEST(good_options_come_from_the_environment)
{
	char answer[512];

	harness_need_ours("options");
	ask_child(good[2], NULL, answer, sizeof(answer));
	assert_string_equal(answer, "500 0 \n");
	ask_child(NULL, NULL, answer, sizeof(answer));
	assert_string_equal(answer, "500 0 \n");
}

TEST(a_bad_option_in_the_environment_fails_the_pool)
{
	char answer[512], expected[16];

	harness_need_ours("options");
	snprintf(expected, sizeof(expected), "%d 1 ", -EINVAL);
	for (unsigned int i = 0; i < RTE_DIM(bad); i++) {
		if (i > 3 && strstr(bad[i].text, "nosuch") == NULL)
			continue; /* the same parser; one of each kind will do */
		ask_child(bad[i].text, NULL, answer, sizeof(answer));
		if (strncmp(answer, expected, strlen(expected)) != 0)
			fail_msg("'%s': %s", bad[i].text, answer);
		assert_non_null(strstr(answer, "child-pool"));
		for (unsigned int j = 0; j < RTE_DIM(bad[i].named) && bad[i].named[j] != NULL; j++)
			assert_non_null(strstr(answer, bad[i].named[j]));
	}
}

TEST(pool_config_comes_before_the_environment)
{
	char answer[512];

	harness_need_ours("options");
	ask_child("rounds=7", "rounds=62", answer, sizeof(answer));
	assert_string_equal(answer, "500 0 \n");
	ask_child("rounds=62", "rounds=7", answer, sizeof(answer));
	assert_int_equal(atoi(answer), -EINVAL);
}

int
main(int argc, char **argv)
{
	if (getenv(ENV_CHILD) != NULL)
		return run_as_child(argc, argv);
	own_argv = argv;
	return HARNESS_RUN(argc, argv, 1);
}
