#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""The report of the benchmarks, from figures made up here: conclusions and refusals."""

import contextlib
import io
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "test/dataplane"), str(ROOT / "app/bench")]

import bench  # noqa: E402
import report  # noqa: E402
import tap  # noqa: E402


def row(name, **figures):
    counters = {
        "ratio": 1.0,
        "q1": 0.9,
        "q3": 1.1,
        "worst": 2.0,
        "Mobj_s": 100.0,
        "lcores": 1,
        "overcommitted": 0,
        "rounds": 10,
        "cut": 0,
        "failed": 0,
        "lost": 0,
        "real_time": 5.0,
    }
    return {"name": name + report.SUFFIX, "run_type": "iteration", **counters, **figures}


def raw(*rows):
    return {"benchmarks": list(rows)}


def cell(name, **ratios):
    handlers = {
        "base": report.BASE,
        "floor": report.FLOOR,
        "stack": "stack/cache:0",
        "own": "magazine/cache:0",
        "under": "magazine/cache:512",
        "big": "magazine,rounds=510/cache:0",
    }
    return [row(f"{name}/{handlers[key]}", ratio=value) for key, value in ratios.items()]


def found(*rows):
    return report.cells(report.read_rows(raw(*rows)))


with tap.case("repetitions become medians, the worst stays the worst, aggregates are not counted"):
    rows = [
        row("getput/lcores:1/bulk:8/magazine/cache:0", ratio=ratio, worst=worst)
        for ratio, worst in ((1.0, 3), (9.0, 7), (2.0, 4))
    ]
    aggregate = {**rows[0], "run_type": "aggregate", "ratio": 50}
    merged = report.read_rows(raw(*rows, aggregate))
    tap.check(
        len(merged) == 1 and merged[0]["ratio"] == 2.0 and merged[0]["worst"] == 7, str(merged)
    )
    tap.check(
        (merged[0]["lcores"], merged[0]["bulk"], merged[0]["handler"])
        == (1, "8", "magazine/cache:0"),
        str(merged),
    )

with tap.case("reasons are read in the form of old and new versions of Google Benchmark"):
    old = {
        "name": "getput/lcores:1/bulk:8/floor/cache:0" + report.SUFFIX,
        "error_occurred": True,
        "error_message": "skipped: no CPU",
    }
    new = {
        "name": "getput/lcores:2/bulk:8/floor/cache:0" + report.SUFFIX,
        "skipped": True,
        "skip_message": "skipped: no CPU",
    }
    merged = report.read_rows(raw(old, new))
    tap.check([line["why"] for line in merged] == ["skipped: no CPU"] * 2, str(merged))
    tap.check("no CPU" in report.reasons_table(merged), report.reasons_table(merged))

with tap.case("one failed repetition fails the row, one skipped does not"):
    name = "getput/lcores:1/bulk:8/stack/cache:0"
    failed = {
        "name": name + report.SUFFIX,
        "error_occurred": True,
        "error_message": "FAILED: 3 objects lost",
    }
    skipped = {**failed, "error_message": "skipped: no memory"}
    tap.check(
        report.read_rows(raw(row(name), failed))[0]["why"] == "FAILED: 3 objects lost",
        "a loss is hidden",
    )
    tap.check("why" not in report.read_rows(raw(row(name), skipped))[0], "a figure is hidden")

with tap.case(
    "the best recommended setting is compared with the fastest other handler, not with the floor"
):
    (line,) = report.summary(
        found(*cell("getput/lcores:1/bulk:8", base=1.0, floor=0.5, stack=0.8, own=0.9, under=1.1))
    )
    tap.check(
        line["other"]["handler"] == "stack/cache:0"
        and line["mine"]["handler"] == "magazine/cache:0",
        str(line),
    )
    tap.check(abs(line["to_other"] - 0.9 / 0.8) < 1e-9, str(line))
    tap.check("slower" in report.summary_table([line]), "a slower cell has no flag")
    (line,) = report.summary(
        found(*cell("getput/lcores:1/bulk:8", base=1.0, floor=0.5, stack=1.2, own=1.02))
    )
    tap.check("slower" not in report.summary_table([line]), "within 3 % has a flag")

with tap.case("cells that are lost, or nearly, are measured again, and only those"):
    rows = [
        line
        for bulk, ratio in (("1", 0.5), ("8", 0.79), ("1-8", 0.9))
        for line in cell(f"getput/lcores:1/bulk:{bulk}", base=1.0, floor=0.5, stack=0.8, own=ratio)
    ]
    tap.check(
        bench.contested(report.read_rows(raw(*rows)))
        == "^(getput/lcores:1/bulk:8|getput/lcores:1/bulk:1-8)/",
        bench.contested(report.read_rows(raw(*rows))),
    )
    tap.check(
        bench.contested(report.read_rows(raw(*rows[:4]))) is None,
        "a cell that is won is measured again",
    )

with tap.case("targets are met up to the limit and missed beyond it"):
    cells = [
        *cell("getput/lcores:1/bulk:1", own=1.8, under=1.03),
        *cell("hold-512/lcores:1/bulk:8", own=1.4, big=1.2),
    ]
    goals = {(line[0], line[1]): line[4] for line in report.targets(found(*cells))}
    tap.check(
        goals
        == {
            ("getput, 1 lcore, bulk 1", "magazine/cache:0"): True,
            ("getput, 1 lcore, bulk 1", "magazine/cache:512"): False,
            ("hold-512, 1 lcore, bulk 8", "magazine,rounds=510/cache:0"): True,
        },
        str(goals),
    )

with tap.case("preempted lcores are held to time, worst round and the other handlers"):

    def many(**figures):
        return found(
            row("hold-1024/lcores:2/bulk:32/magazine/cache:0", real_time=4.0),
            row("hold-1024/lcores:8/bulk:32/magazine/cache:0", overcommitted=1, **figures),
            row("hold-1024/lcores:8/bulk:32/stack/cache:0", overcommitted=1, ratio=1.0),
        )

    tap.check(
        [line[4] for line in report.targets(many(real_time=6.0, worst=20, ratio=1.1))]
        == [True] * 3,
        "all are met",
    )
    tap.check(
        [line[4] for line in report.targets(many(real_time=6.1, worst=21, ratio=1.2))]
        == [False] * 3,
        "all are missed",
    )

with tap.case("a report says what times are worth, and tells cut and failed rows"):
    failed = {
        "name": "getput/lcores:1/bulk:8/stack/cache:0" + report.SUFFIX,
        "error_occurred": True,
        "error_message": "FAILED: 3 objects lost",
    }
    rows = report.read_rows(
        raw(
            *cell("getput/lcores:1/bulk:8", base=1.0, floor=0.5, own=0.9),
            failed,
            row("getput/lcores:1/bulk:8/bucket/cache:0", ratio=123.4, cut=3),
        )
    )
    text = report.report({"machine": {"CPUs": 2}, "rows": rows})
    for words in ("times mean little", "123!", "failed", "| objects lost", "CPUs 2"):
        tap.check(words in text, f"no {words!r} in {text}")

with tap.case("results are read again, and nothing else is taken for them"):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "results.json"
        path.write_text(
            json.dumps(
                {
                    "machine": {},
                    "rows": report.read_rows(raw(row("getput/lcores:1/bulk:8/floor/cache:0"))),
                }
            )
        )
        tap.check(bench.load(path)["rows"][0]["ratio"] == 1.0, "rows are not what they were")
        for text in ("", "[]", "{}", '{"rows": []}'):
            path.write_text(text)
            try:
                bench.load(path)
            except bench.Failure as failure:
                tap.check(str(path) in str(failure), str(failure))
            else:
                raise tap.Failure(f"{text!r} was taken")

with tap.case("bad options are refused before anything is touched"):
    for options in (
        ["--filter", "("],
        ["--repetitions", "0"],
        ["--repetitions", "x"],
        ["--settle", "-1"],
        ["--out", "/dev/null"],
        ["--nonsense"],
        ["--qui"],
    ):
        run = subprocess.run(
            [ROOT / "app/bench.sh", *options], text=True, capture_output=True, timeout=60
        )
        tap.check(
            run.returncode == 2 and options[-1] in run.stderr and "installing" not in run.stdout,
            f"{options}: {run}",
        )

with tap.case("plots are drawn"):
    if shutil.which("gnuplot") is None:
        raise tap.Skip("gnuplot is not installed: it is in the package gnuplot-nox")
    rows = [
        line
        for pattern in ("getput", "hold-512")
        for lcores in (1, 2, 8)
        for bulk in ("8", "32", "1-64")
        for line in cell(
            f"{pattern}/lcores:{lcores}/bulk:{bulk}", base=1.0, floor=0.5, own=0.9, under=1.0
        )
    ]
    for line in rows:
        line["overcommitted"] = "lcores:8" in line["name"]
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        bench.write(
            type("Options", (), {"out": pathlib.Path(folder)}),
            {"machine": {}, "rows": report.read_rows(raw(*rows))},
        )
        made = sorted(
            path.name for path in pathlib.Path(folder).iterdir() if path.stat().st_size > 1000
        )
    for name in (
        "throughput-getput",
        "throughput-hold-512",
        "ratio-1-lcore",
        "ratio-2-lcores",
        "worst-8-lcores",
    ):
        tap.check(f"{name}.svg" in made and f"{name}.png" in made, f"no {name} among {made}")

tap.finish()
