/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A C table of benchmarks as registrations of Google Benchmark. Each is one iteration of manual
 * time: the measuring is done in C, on lcores, and a row reports its share.
 */

#include <benchmark/benchmark.h>

#include <string>

#include "bench.h"

namespace {

bool failed;

/* Before version 1.8 there is no row that is skipped without an error. */
template <class State>
auto
skip(State &state, const std::string &why, int) -> decltype(state.SkipWithMessage(why))
{
	state.SkipWithMessage(why);
}

template <class State>
void
skip(State &state, const std::string &why, long)
{
	state.SkipWithError(why.c_str());
}

void
refuse(benchmark::State &state, bench_end end, const char *why)
{
	if (end == BENCH_SKIPPED) {
		skip(state, std::string("skipped: ") + why, 0);
		return;
	}
	failed = true;
	state.SkipWithError((std::string("FAILED: ") + why).c_str());
}

void
run(benchmark::State &state, const struct bench *bench)
{
	struct bench_result result = {};
	char why[BENCH_WHY] = "";
	bench_end end = bench->setup(bench->arg, why);

	if (end != BENCH_OK) {
		refuse(state, end, why);
		return;
	}
	for (auto _ : state) {
		bench->run(bench->arg, &result);
		state.SetIterationTime(result.seconds);
	}
	for (unsigned int i = 0; i < result.counters; i++)
		state.counters[result.counter[i].name] = result.counter[i].value;
	state.SetLabel(result.label);
	bench->teardown(bench->arg);
}

} // namespace

int
bench_main(int argc, char **argv, const struct bench *table, size_t count)
{
	benchmark::Initialize(&argc, argv);
	if (benchmark::ReportUnrecognizedArguments(argc, argv))
		return 1;
	for (size_t i = 0; i < count; i++)
		benchmark::RegisterBenchmark(table[i].name, run, &table[i])
			->Iterations(1)
			->UseManualTime();
	benchmark::RunSpecifiedBenchmarks();
	benchmark::Shutdown();
	return failed ? 1 : 0;
}
