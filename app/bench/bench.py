# SPDX-License-Identifier: BSD-3-Clause
"""Runs the benchmarks, and makes tables, a report and plots of what they found.

bench.sh starts this after it has installed packages, built, and reserved hugepages. With --from it
only makes the report of an earlier run again.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "app/bench"), str(ROOT / "app")]

import forward  # noqa: E402
import forward_options  # noqa: E402
import plots  # noqa: E402
import report  # noqa: E402

CLOSE = 0.98  # from here on, to the fastest other handler, --settle measures a cell again
EPILOG = """\
examples:
  app/bench.sh --quick
  app/bench.sh                                     everything: an hour or more on two CPUs
  app/bench.sh --filter 'hold-512/lcores:1/' --repetitions 5
  app/bench.sh --from build/bench-report/results.json --out /tmp/again

Rows are named PATTERN/lcores:N/bulk:B/HANDLER,OPTIONS/cache:C. Exit status: 0; 1 if magazine failed
in a row, or there is no result; 2 bad options, or the machine lacks something."""


class Failure(Exception):
    """What went wrong, in one sentence for the user."""


def first_line(path, pattern):
    try:
        found = re.search(
            pattern, pathlib.Path(path).read_text(encoding="utf-8", errors="replace"), re.M
        )
    except OSError:
        return ""
    return found[1] if found else ""


def output_of(*command):
    try:
        return (
            subprocess.run(command, text=True, capture_output=True, timeout=20)
            .stdout.splitlines()[0]
            .strip()
        )
    except (OSError, IndexError, subprocess.TimeoutExpired):
        return "not known"


def machine():
    return {
        "date": datetime.date.today().isoformat(),
        "CPU": first_line("/proc/cpuinfo", r"^model name\s*: (.*)$") or platform.machine(),
        "CPUs": len(os.sched_getaffinity(0)),
        "memory": f"{int(first_line('/proc/meminfo', r'^MemTotal: *([0-9]+)') or 0) >> 20} GB",
        "Linux": platform.release(),
        "DPDK": output_of("pkg-config", "--modversion", "libdpdk"),
        "compiler": output_of("cc", "--version"),
    }


def say(text):
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K" + text)
        sys.stderr.flush()


def run_program(options, pattern, repetitions):
    out = options.out / "raw.json"
    command = [
        str(options.build / "app/bench/bench"),
        f"--benchmark_repetitions={repetitions}",
        "--benchmark_display_aggregates_only=false",
        f"--benchmark_out={out}",
        "--benchmark_out_format=json",
    ]
    if pattern:
        command.append(f"--benchmark_filter={pattern}")
    if options.quick:
        command.append("--quick")
    status = subprocess.run(command, stdout=subprocess.DEVNULL).returncode
    if status not in (0, 1) or not out.exists():
        raise Failure(f"{command[0]} ended with status {status}, see above")
    try:
        found = json.loads(out.read_text(encoding="utf-8"))
    except ValueError as error:
        raise Failure(f"{out}: no figures in it ({error}), see above") from error
    out.unlink()
    return found


def contested(rows):
    """A filter for the cells that another handler wins or nearly wins, or None."""
    names = [
        f"{line['cell'].pattern}/lcores:{line['cell'].lcores}/bulk:{line['cell'].bulk}"
        for line in report.summary(report.cells(rows))
        if line["to_other"] > CLOSE
    ]
    return f"^({'|'.join(names)})/" if names else None


def run(options):
    raw = run_program(options, options.filter, options.repetitions)
    again = contested(report.read_rows(raw)) if options.settle else None
    if again:
        raw["benchmarks"] += run_program(options, again, options.settle)["benchmarks"]
    results = {"machine": machine(), "rows": report.read_rows(raw)}
    if options.testpmd:
        import pmd

        results["testpmd"] = pmd.measure_all(options.rounds, say)
        say("")
    return results


def load(path):
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        if "benchmarks" in results:
            results = {"machine": machine(), "rows": report.read_rows(results)}
        return {
            "machine": results["machine"],
            "rows": results["rows"],
            "testpmd": results.get("testpmd"),
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Failure(f"--from {path}: not the results.json of a run ({error})") from error


def option_parser():
    parser = forward_options.Parser(
        prog="bench.sh",
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, width=110),
        description="Measures magazine beside every other mempool handler, and other allocators, "
        "and packets of\n"
        "testpmd on them; shows tables, and writes them with plots. Needs root. Installs missing\n"
        "packages, builds, reserves hugepages, gives them back.",
        epilog=EPILOG,
    )
    add = parser.add_argument
    add(
        "--quick",
        action="store_true",
        help="fewer patterns and rounds, no testpmd: under 2 minutes",
    )
    add(
        "--filter",
        metavar="REGEX",
        help="only rows whose name matches, as getput/lcores:1/; no testpmd",
    )
    add(
        "--repetitions",
        metavar="N",
        type=forward_options.number(1, 1000, ""),
        default=1,
        help="measure everything so often, each time in new processes (default: 1)",
    )
    add(
        "--settle",
        metavar="N",
        type=forward_options.number(0, 1000, ""),
        default=0,
        help="then measure those cells N times more in which another handler is faster than "
        "magazine or within 2 %% of it: "
        "of many peers one is always lucky (default: 0)",
    )
    add(
        "--out",
        metavar="FOLDER",
        type=pathlib.Path,
        default=ROOT / "build/bench-report",
        help="for report.md, results.json and the plots (default: build/bench-report)",
    )
    add("--no-testpmd", dest="testpmd", action="store_false", help="no packets")
    add(
        "--from",
        metavar="FILE",
        dest="source",
        type=pathlib.Path,
        help="report of an earlier results.json",
    )
    add("--build", type=pathlib.Path, default=ROOT / "build", help=argparse.SUPPRESS)
    add("--check", action="store_true", help=argparse.SUPPRESS)
    return parser


def parse_options(argv):
    parser = option_parser()
    options = parser.parse_args(argv)
    if options.filter is not None:
        try:
            re.compile(options.filter)
        except re.error as error:
            parser.error(f"argument --filter: {options.filter}: not a regular expression: {error}")
    if options.quick or options.filter:
        options.testpmd = False
    if options.out.exists() and not options.out.is_dir():
        parser.error(f"argument --out: {options.out}: is there and is no folder")
    options.rounds = 11
    return options


def write(options, results):
    (options.out / "results.json").write_text(
        json.dumps(results, indent=1) + "\n", encoding="utf-8"
    )
    text = report.report(results)
    (options.out / "report.md").write_text(text, encoding="utf-8")
    print(text)
    made = plots.make(report.cells(results["rows"]), options.out, report.BASE, report.RECOMMENDED)
    plotted = (
        f"{made} plots as SVG and PNG"
        if made
        else "no plots: "
        + (
            "too little was measured for one"
            if shutil.which("gnuplot")
            else "gnuplot is not installed"
        )
    )
    print(f"written to {options.out}: report.md, results.json, {plotted}")


def main():
    options = parse_options(sys.argv[1:])
    if options.check:
        return 0
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        results = load(options.source) if options.source else run(options)
        write(options, results)
    except (Failure, OSError) as failure:
        print(f"bench.sh: {failure}", file=sys.stderr)
        return 1
    except Exception as error:  # noqa: BLE001 a user sees no traceback
        print(f"bench.sh: {forward.unforeseen(error)}", file=sys.stderr)
        return 1
    ours = [
        row
        for row in results["rows"]
        if row.get("why", "").startswith("FAILED") and "magazine" in row["handler"]
    ]
    return 1 if ours else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
