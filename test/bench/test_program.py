#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""The benchmark program: command line, rows, and handlers that lose or damage objects."""

import collections
import glob
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "test/dataplane"), str(ROOT / "app")]

import patience  # noqa: E402
import tap  # noqa: E402

BUILD = pathlib.Path(os.environ.get("MAGAZINE_BUILD") or ROOT / "build")
PROGRAM = BUILD / "app/bench/bench"
BAD = BUILD / "test/libbad.so"
PREFIX = os.environ.get("MAGAZINE_FILE_PREFIX", f"mag-{os.getpid()}")
FULL = os.environ.get("MAGAZINE_FULL") == "1"
SUFFIX = "/iterations:1/manual_time"
SECONDS = 120

Run = collections.namedtuple("Run", "status out err rows")

signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


def bench(*options, before=(), **env):
    """Run it to its end; rows are those of its JSON, by name."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "out.json"
        run = subprocess.run(
            [*before, PROGRAM, *options, f"--benchmark_out={out}", "--benchmark_out_format=json"],
            env={**os.environ, "MAGAZINE_FILE_PREFIX": PREFIX, **env},
            text=True,
            capture_output=True,
            timeout=patience.scaled(SECONDS * (4 if FULL else 1)),
        )
        rows = {}
        if out.exists() and out.stat().st_size:
            for row in json.loads(out.read_text())["benchmarks"]:
                rows.setdefault(row["name"].removesuffix(SUFFIX), []).append(row)
    return Run(run.returncode, run.stdout, run.stderr, rows)


def why(row):
    return row.get("error_message") or row.get("skip_message") or ""


def require_program():
    if not PROGRAM.exists():
        raise tap.Skip(
            "the benchmark program is not built: libbenchmark-dev and g++ were not there"
        )


def require_huge():
    require_program()
    if os.environ.get("MAGAZINE_HUGE", "1") != "1":
        raise tap.Skip("no hugepages")


def check_error(options, *words):
    run = bench(*options)
    tap.check(run.status == 1, f"{options}: exit status {run.status}")
    for word in words:
        tap.check(word in run.err, f"{options}: no {word!r} in: {run.err}")
    tap.check(not run.rows, f"{options}: rows all the same")


with tap.case("bad options are refused by name, with a remedy"):
    require_program()
    check_error(["--benchmark_filter=("], "--benchmark_filter=(", "regular expression")
    check_error(
        ["--benchmark_filter=getput/.*/no_such_handler"],
        "no_such_handler",
        "--benchmark_list_tests",
    )
    check_error(["--benchmark_min_time=soon"], "--benchmark_min_time=soon", "0.5s", "100x")
    check_error(["--benchmark_min_time=-1"], "-1")
    check_error(["--rounds=4"], "--rounds=4")

with tap.case("every handler has a row under each cache, and a filter chooses among them"):
    require_program()
    names = subprocess.run(
        [PROGRAM, "--benchmark_list_tests"], text=True, capture_output=True, check=True
    ).stdout
    for handler in (
        "magazine",
        "magazine,rounds=510",
        "ring_mp_mc",
        "ring_mt_rts",
        "ring_mt_hts",
        "stack",
        "lf_stack",
        "bucket",
    ):
        for cache in (0, 250, 512):
            tap.check(
                f"hold-512/lcores:1/bulk:1-64/{handler}/cache:{cache}{SUFFIX}\n" in names,
                f"no row of {handler} under {cache}",
            )
    some = subprocess.run(
        [
            PROGRAM,
            "--benchmark_list_tests",
            "--benchmark_filter=-magazine|ring|bucket|mach|libr|contig",
        ],
        text=True,
        capture_output=True,
        check=True,
    ).stdout
    tap.check(
        "lf_stack" in some and "floor" in some and "magazine" not in some,
        "a filter with - does not invert",
    )

with tap.case("help says what a row is and how much memory it takes"):
    require_program()
    text = subprocess.run([PROGRAM, "--help"], text=True, capture_output=True).stdout
    tap.check("--quick" in text and "hugepages" in text and "--benchmark_out" in text, text)

with tap.case("a row has its ratio to the base, from as many rounds as were asked for"):
    require_huge()
    run = bench(
        "--benchmark_filter=getput/lcores:1/bulk:8/(ring_mp_mc|floor|magazine)/",
        "--benchmark_min_time=7x",
        "--benchmark_repetitions=2",
        "--benchmark_report_aggregates_only=false",
    )
    tap.check(run.status == 0, run.out + run.err)
    base = run.rows["getput/lcores:1/bulk:8/ring_mp_mc/cache:512"]
    tap.check(len(base) >= 2 and all(row["ratio"] == 1 for row in base[:2]), f"base: {base}")
    for name, rows in run.rows.items():
        for row in rows:
            if row.get("run_type") != "iteration":
                continue
            tap.check(
                row["rounds"] == 7 and row["lost"] == 0 and row["q1"] <= row["ratio"] <= row["q3"],
                f"{name}: {row}",
            )
    tap.check(
        len({row["real_time"] for row in base[:2]}) == 2, "a repetition is no second measurement"
    )
    tap.check("compare the ratios" in run.err, "does not say what times are worth")

with tap.case("seconds are taken in both forms"):
    require_huge()
    rounds = [
        bench(
            "--benchmark_filter=getput/lcores:1/bulk:8/floor/", f"--benchmark_min_time={time}"
        ).rows["getput/lcores:1/bulk:8/floor/cache:0"][0]["rounds"]
        for time in ("0.02", "0.02s")
    ]
    tap.check(rounds[0] == rounds[1] == 50, f"rounds: {rounds}")

with tap.case("more lcores than CPUs are marked, and nothing is lost between them"):
    require_huge()
    run = bench(
        "--benchmark_filter=(pipe-8k/lcores:2|hold-32/lcores:(2|16))/bulk:(32|1)/magazine/",
        "--benchmark_min_time=3x",
    )
    tap.check(run.status == 0, run.out + run.err)
    for name, rows in run.rows.items():
        over = int(name.split("lcores:")[1].split("/")[0]) > len(os.sched_getaffinity(0))
        row = rows[0]
        tap.check(row.get("lost") == 0 and row["overcommitted"] == over, f"{name}: {row}")

with tap.case("with one CPU, lcores that wait for each other are skipped, the others are not"):
    require_huge()
    cpu = str(min(os.sched_getaffinity(0)))
    run = bench(
        "--benchmark_filter=(getput|pipe-8k|machine/line.*)"
        "(/lcores:(1|2)/bulk:1/magazine/cache:0)?$",
        "--benchmark_min_time=3x",
        before=("taskset", "-c", cpu),
    )
    tap.check(run.status == 0, run.out + run.err)
    tap.check(
        "two CPUs" in why(run.rows["pipe-8k/lcores:2/bulk:1/magazine/cache:0"][0]), str(run.rows)
    )
    tap.check("two CPUs" in why(run.rows["machine/line-to-and-fro"][0]), str(run.rows))
    tap.check(
        run.rows["getput/lcores:2/bulk:1/magazine/cache:0"][0]["overcommitted"] == 1, str(run.rows)
    )

with tap.case("without hugepages each row says so"):
    require_huge()
    # A mount namespace in which no page is free, and nobody else notices. A chroot's root is no
    # mount that could be made private.
    script = (
        "mount --make-rprivate /sys && mount -t tmpfs none /sys/kernel/mm/hugepages && "
        "mkdir /sys/kernel/mm/hugepages/hugepages-2048kB && "
        'echo 0 >/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages && exec "$@"'
    )
    run = bench(
        "--benchmark_filter=getput/lcores:1/bulk:8/magazine/cache:0",
        before=("unshare", "-m", "--propagation", "unchanged", "sh", "-c", script, "-"),
    )
    if "mount" in run.err:
        raise tap.Skip("cannot mount in a namespace of its own")
    row = run.rows["getput/lcores:1/bulk:8/magazine/cache:0"][0]
    tap.check(run.status == 0 and "no free hugepages" in why(row), f"{row}")

with tap.case("a plugin that cannot be loaded is a reason in its rows"):
    require_huge()
    run = bench(
        "--benchmark_filter=getput/lcores:1/bulk:8/(magazine|stack)/cache:0",
        "--benchmark_min_time=3x",
        MAGAZINE_PLUGIN="/no/such/plugin.so",
    )
    row = run.rows["getput/lcores:1/bulk:8/magazine/cache:0"][0]
    tap.check("skipped" in why(row) or row.get("skipped"), f"{row}")

GETPUT = "--benchmark_filter=getput/lcores:1/bulk:(1|8)/(magazine|stack)/cache:0"

with tap.case("a handler that loses an object fails, and the others do not"):
    require_huge()
    run = bench(GETPUT, "--benchmark_min_time=5x", MAGAZINE_PLUGIN=str(BAD), BAD_HANDLER="lose")
    tap.check(run.status == 1, f"exit status {run.status}")
    for bulk in (1, 8):
        bad = run.rows[f"getput/lcores:1/bulk:{bulk}/magazine/cache:0"][0]
        tap.check("FAILED" in why(bad) and "lost" in why(bad), f"{bad}")
        tap.check(
            not why(run.rows[f"getput/lcores:1/bulk:{bulk}/stack/cache:0"][0]), "stack failed too"
        )

with tap.case("a handler that crashes fails, and the others are measured"):
    require_huge()
    run = bench(GETPUT, "--benchmark_min_time=5x", MAGAZINE_PLUGIN=str(BAD), BAD_HANDLER="crash")
    tap.check(run.status == 1, f"exit status {run.status}")
    tap.check(
        "crashed" in why(run.rows["getput/lcores:1/bulk:8/magazine/cache:0"][0]), str(run.rows)
    )
    tap.check(not why(run.rows["getput/lcores:1/bulk:8/stack/cache:0"][0]), "stack failed too")

with tap.case("a handler that hangs is given up, and the others are measured"):
    require_huge()
    if not FULL:
        raise tap.Skip("takes a minute: --full")
    run = bench(
        GETPUT.replace("(1|8)", "8"),
        "--benchmark_min_time=5x",
        MAGAZINE_PLUGIN=str(BAD),
        BAD_HANDLER="hang",
    )
    tap.check("hangs" in why(run.rows["getput/lcores:1/bulk:8/magazine/cache:0"][0]), str(run.rows))
    tap.check(not why(run.rows["getput/lcores:1/bulk:8/stack/cache:0"][0]), "stack failed too")

with tap.case("told to end, it ends with its children and leaves no file"):
    require_huge()
    process = subprocess.Popen(
        [PROGRAM, "--benchmark_filter=getput/lcores:1/bulk:8/magazine"],
        env={**os.environ, "MAGAZINE_FILE_PREFIX": PREFIX},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")
    until = time.monotonic() + 30
    while not glob.glob(f"/var/run/dpdk/{PREFIX}*") and time.monotonic() < until:
        time.sleep(0.02)
    child = children.read_text().split()
    tap.check(child, "no child was ever there")
    process.send_signal(signal.SIGTERM)
    tap.check(process.wait(30) == 128 + signal.SIGTERM, f"exit status {process.returncode}")
    until = time.monotonic() + 10
    while pathlib.Path(f"/proc/{child[0]}").exists() and time.monotonic() < until:
        time.sleep(0.02)
    tap.check(not pathlib.Path(f"/proc/{child[0]}").exists(), "its child is still there")
    tap.check(not glob.glob(f"/var/run/dpdk/{PREFIX}*"), "left a folder")

tap.finish()
