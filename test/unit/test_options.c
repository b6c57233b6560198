/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"

#include "parts/options.h"

static void
assert_options(const struct mag_options *options, const struct mag_options *wanted)
{
	assert_int_equal(options->rounds, wanted->rounds);
	assert_int_equal(options->interval_ms, wanted->interval_ms);
	assert_int_equal(options->block, wanted->block);
	assert_int_equal(options->mirror, wanted->mirror);
	assert_int_equal(options->visit, wanted->visit);
	assert_int_equal(options->magazines, wanted->magazines);
	assert_int_equal(options->contention, wanted->contention);
	assert_int_equal(options->clear_min, wanted->clear_min);
	assert_int_equal(options->pressure, wanted->pressure);
	assert_int_equal(options->cache, wanted->cache);
	assert_int_equal(options->reserve, wanted->reserve);
}

static struct mag_options
parse_good(const char *text)
{
	struct mag_options options = mag_options_default;
	const char *log;

	log_begin();
	assert_int_equal(mag_options_parse("pool \"rx0\"", text, &options), 0);
	log = log_end();
	assert_string_equal(log, "");
	return options;
}

static const char *
parse_bad(const char *text)
{
	struct mag_options options = {62, 500, 7, false, true};
	const struct mag_options before = options;
	const char *log;

	log_begin();
	assert_int_equal(mag_options_parse("pool \"rx0\"", text, &options), -EINVAL);
	log = log_end();
	assert_options(&options, &before);
	assert_int_equal(count_lines(log), 1);
	assert_logged(log, "pool \"rx0\"");
	return log;
}

TEST(test_no_text_changes_nothing)
{
	struct mag_options options = {62, 500, 7, false, true};
	const struct mag_options before = options;

	assert_int_equal(mag_options_parse("x", NULL, &options), 0);
	assert_options(&options, &before);
	assert_int_equal(mag_options_parse("x", "", &options), 0);
	assert_options(&options, &before);
}

TEST(test_defaults_and_values_are_what_was_said)
{
	const unsigned int rounds[] = {0, 14, 30, 62, 126, 254, 510};
	char text[32];

	for (unsigned int i = 0; i < RTE_DIM(rounds); i++) {
		snprintf(text, sizeof(text), "rounds=%u", rounds[i]);
		assert_int_equal(parse_good(text).rounds, rounds[i]);
	}
	assert_int_equal(mag_options_default.interval_ms, 11000);
	assert_int_equal(parse_good("interval=1").interval_ms, 1000);
	assert_int_equal(parse_good("interval=3600").interval_ms, 3600000);
	assert_int_equal(parse_good("interval=10ms").interval_ms, 10);
	assert_int_equal(parse_good("interval=3600000ms").interval_ms, 3600000);
	assert_int_equal(parse_good("block=0").block, 0);
	assert_int_equal(parse_good("block=1").block, 1);
	assert_int_equal(parse_good("block=4096").block, 4096);
	assert_false(parse_good("visit=0").visit);
	assert_true(parse_good("visit=1").visit);
	assert_false(parse_good("magazines=0").magazines);
	assert_true(parse_good("magazines=1").magazines);
	assert_int_equal(mag_options_default.contention, 3);
	assert_int_equal(parse_good("contention=0").contention, 0);
	assert_int_equal(parse_good("contention=1000000").contention, 1000000);
	assert_int_equal(mag_options_default.pressure, 10);
	assert_int_equal(parse_good("pressure=0").pressure, 0);
	assert_int_equal(parse_good("pressure=100").pressure, 100);
}

TEST(test_what_is_cleared_has_two_cache_lines_unless_said_otherwise)
{
	struct mag_options options = mag_options_default;
	long line = sysconf(_SC_LEVEL1_DCACHE_LINESIZE);

	if (line > 0)
		assert_int_equal(mag_options_clear_min(&options), 2 * line);
	options = parse_good("clear_min=0");
	assert_int_equal(mag_options_clear_min(&options), 0);
	options = parse_good("clear_min=1048576");
	assert_int_equal(mag_options_clear_min(&options), 1048576);
}

TEST(test_a_mempools_caches_are_kept_unless_said_otherwise_or_watched)
{
	static const struct {
		const char *text;
		uint32_t cache;
	} rows[] = {
		{"rounds=14", MAG_CACHE_KEPT},
		{"cache=0", 0},
		{"cache=512", 512},
		{"guard=0,audit=0,check=0", MAG_CACHE_KEPT},
		{"guard=1", 0},
		{"guard=panic", 0},
		{"audit=1", 0},
		{"check=1", 0},
		{"guard=1,cache=32", 32},
		{"cache=32,audit=1", 32},
		{"audit=1/2", MAG_CACHE_KEPT},
		{"audit=1/1", 0},
	};
	struct mag_options options;

	for (unsigned int i = 0; i < RTE_DIM(rows); i++) {
		options = parse_good(rows[i].text);
		assert_int_equal(mag_options_cache(&options), rows[i].cache);
	}
}

static uint32_t
line_of(const char *text)
{
	char path[] = "/tmp/magazine-line-XXXXXX";
	int fd = mkstemp(path);
	uint32_t line;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	line = mag_options_line(0, path);
	unlink(path);
	return line;
}

TEST(test_a_cache_line_is_what_the_library_or_the_kernel_knows_of_it)
{
	assert_int_equal(mag_options_line(32, "/nowhere"), 32);
	assert_int_equal(mag_options_line(0, "/nowhere"), RTE_CACHE_LINE_SIZE);
	assert_int_equal(mag_options_line(-1, "/nowhere"), RTE_CACHE_LINE_SIZE);
	assert_int_equal(line_of("256\n"), 256);
	assert_int_equal(line_of(""), RTE_CACHE_LINE_SIZE);
	assert_int_equal(line_of("0\n"), RTE_CACHE_LINE_SIZE);
	assert_int_equal(line_of("unknown\n"), RTE_CACHE_LINE_SIZE);
	assert_int_equal(line_of("99999999999999999999\n"), RTE_CACHE_LINE_SIZE);
}

TEST(test_a_key_sets_its_own_option_only)
{
	struct mag_options wanted = mag_options_default, options;

	wanted.rounds = 126;
	options = parse_good("rounds=126");
	assert_options(&options, &wanted);
	wanted = (struct mag_options){254, 2000, 9, 64, false, false, false, false,
				      7,   100,  3, 8,  true,  1000,  9};
	options = parse_good("mirror=64,magazines=0,visit=0,block=9,interval=2,rounds=254,"
			     "clear_min=100,contention=7,pressure=3,cache=8,holders=1,"
			     "audit=1/1000,reserve=9");
	assert_options(&options, &wanted);
}

TEST(test_all_objects_are_audited_or_one_in_some_or_none)
{
	static const struct {
		const char *text;
		bool audit;
		uint32_t sampled;
	} rows[] = {
		{"audit=1/1", true, 0},
		{"audit=1/2", false, 2},
		{"audit=1/1000000", false, 1000000},
		{"audit=1,audit=1/8", false, 8},
		{"audit=1/8,audit=1", true, 0},
		{"audit=1/8,audit=0", false, 0},
	};
	struct mag_options options;

	for (unsigned int i = 0; i < RTE_DIM(rows); i++) {
		options = parse_good(rows[i].text);
		assert_int_equal(options.audit, rows[i].audit);
		assert_int_equal(options.sampled, rows[i].sampled);
	}
}

TEST(test_a_bad_value_is_refused_with_key_value_and_what_is_allowed)
{
	static const struct {
		const char *key, *allowed, *values; /* separated by bars */
	} bad[] = {
		{"rounds", "14, 30, 62, 126, 254, 510",
		 "7|1|46|511|-14|+14|14x|0x0e||many|4294967310|99999999999999999999999"},
		{"interval", "1 to 3600 (seconds) or 10ms to 3600000ms",
		 "0|3601|9ms|0ms|3600001ms|11s|11 ms|ms|-1|18446744073709551615"},
		{"block", "0 (chosen) or 1 to 4096", "4097|-1|1.5"},
		{"mirror", "0 (none) or 1 to 4096", "4097|-1|64b"},
		{"visit", "0 or 1", "2|yes"},
		{"magazines", "0 or 1", "2|off"},
		{"holders", "0 or 1", "2|on"},
		{"audit", "must be 0, 1 or, of a pool, 1/N for one object in N, N 1 to 1000000",
		 "2|1/0|2/3|1/x|1/|1/ 8|1/-8|1/8x|1/1000001|0/8|/8|1/4294967304|"},
		{"contention", "0 to 1000000 takes", "1000001|-1"},
		{"clear_min", "0 (never) or 1 to 1048576 bytes", "1048577|64b|-1"},
		{"pressure", "0 (never low) or 1 to 100 (percent of the time)", "101|-1|10%"},
		{"cache", "0 (off) or 1 to 512 objects", "513|-1|off|4294967295|"},
		{"reserve", "0 (none) or 1 to 1048576 objects", "1048577|-1|1%"},
		{"replace", "in MAGAZINE_SWITCHES alone", "ring_mp_mc"},
	};
	char text[64], pair[80], values[128], *rest, *value;
	const char *log;

	for (unsigned int i = 0; i < RTE_DIM(bad); i++) {
		rest = strcpy(values, bad[i].values);
		while ((value = strsep(&rest, "|")) != NULL) {
			snprintf(text, sizeof(text), "%s=%s", bad[i].key, value);
			log = parse_bad(text);
			snprintf(pair, sizeof(pair), "option %s:", text);
			assert_logged(log, pair);
			assert_logged(log, bad[i].allowed);
		}
	}
}

TEST(test_what_is_no_known_pair_is_refused_and_spoils_the_good_ones_on_both_sides)
{
	static const struct {
		const char *text, *logged;
	} bad[] = {
		{"rounds=14,bogus=1", "bogus=1"},
		{"rounds=14,bogus=1",
		 "rounds, interval, block, mirror, visit, magazines, guard, "
		 "audit, holders, check, contention, clear_min, pressure, cache, "
		 "reserve, replace"},
		{"Rounds=14", ""},
		{"round=14", ""},
		{"=14", ""},
		{"rounds", "rounds"},
		{"visit=0,magazines", "magazines"},
		{"bogus", ""},
		{",", ""},
		{",,,", ""},
		{"rounds=[14", ""},
		{"rounds=14,interval=0,visit=1", ""},
		{"interval=0,rounds=14", ""},
		{"rounds=14,interval=1,visit=7", ""},
	};
	char text[1024] = "visit=1";

	for (unsigned int i = 0; i < RTE_DIM(bad); i++)
		assert_logged(parse_bad(bad[i].text), bad[i].logged);
	/* More than can be parsed. */
	for (unsigned int i = 1; i < 40; i++)
		strcat(text, ",visit=1");
	assert_logged(parse_bad(text), "at most");
}

TEST(test_switches_for_all_are_where_options_begin)
{
	struct mag_options options;

	setenv(MAG_SWITCHES_ENV, "magazines=0,guard=panic,audit=1,check=1,pressure=0", 1);
	assert_int_equal(mag_options_begin(&options), 0);
	assert_false(options.magazines);
	assert_int_equal(options.guard, MAG_GUARD_PANIC);
	assert_true(options.audit);
	assert_true(options.check);
	assert_int_equal(options.pressure, 0);
	assert_int_equal(mag_options_parse("x", "guard=0,magazines=1,pressure=30", &options), 0);
	assert_int_equal(options.guard, MAG_GUARD_OFF);
	assert_true(options.magazines);
	assert_int_equal(options.pressure, 30);
	unsetenv(MAG_SWITCHES_ENV);
	assert_int_equal(mag_options_begin(&options), 0);
	assert_true(options.magazines);
	assert_false(options.audit);
}

TEST(test_handlers_to_replace_are_names_joined_by_plus)
{
	static const char *const good[] = {"ring_mp_mc", "ring_mp_mc+ring_sp_sc", "a+b+c"};
	static const char *const bad[] = {"", "+", "a+", "+a", "a++b"};
	char text[2 * MAG_REPLACE_SIZE] = "guard=1,replace=", names[MAG_REPLACE_SIZE] = "old";
	char *value = text + strlen(text);
	struct mag_options options;

	assert_int_equal(mag_options_replace(names), 0);
	assert_string_equal(names, "");
	for (unsigned int i = 0; i < RTE_DIM(good); i++) {
		strcpy(value, good[i]);
		setenv(MAG_SWITCHES_ENV, text, 1);
		assert_int_equal(mag_options_replace(names), 0);
		assert_string_equal(names, good[i]);
		assert_int_equal(mag_options_begin(&options), 0);
		assert_int_equal(options.guard, MAG_GUARD_REFUSE);
	}
	for (unsigned int i = 0; i <= RTE_DIM(bad); i++) {
		if (i < RTE_DIM(bad))
			strcpy(value, bad[i]);
		else
			memset(value, 'n', MAG_REPLACE_SIZE);
		setenv(MAG_SWITCHES_ENV, text, 1);
		assert_refused(mag_options_replace(names), EINVAL,
			       "must be names of mempool handlers joined by +");
		assert_string_equal(names, "");
		assert_refused(mag_options_begin(&options), EINVAL, "");
	}
	unsetenv(MAG_SWITCHES_ENV);
}

TEST(test_other_options_are_no_switches)
{
	static const char *const texts[] = {
		"rounds=14",       "interval=12",  "block=3",      "mirror=8", "visit=0",
		"guard=1,visit=0", "contention=5", "clear_min=64", "cache=0",  "guard=2"};
	struct mag_options options;

	for (unsigned int i = 0; i < RTE_DIM(texts); i++) {
		setenv(MAG_SWITCHES_ENV, texts[i], 1);
		assert_refused(mag_options_begin(&options), EINVAL,
			       i < RTE_DIM(texts) - 1 ?
				       texts[i] :
				       "MAGAZINE_SWITCHES: option guard=2: must be 0, 1 or panic");
	}
	unsetenv(MAG_SWITCHES_ENV);
}

TEST_PROGRAM(1)
