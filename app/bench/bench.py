# SPDX-License-Identifier: BSD-3-Clause
"""Runs the benchmarks, and makes tables, a report and plots of what they found.

bench.sh starts this: it has seen to packages, the build and hugepages. With --from it only makes the report of
an earlier run again.
"""

import argparse
import collections
import datetime
import json
import os
import pathlib
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "app/bench"), str(ROOT / "app")]

import forward  # noqa: E402
import forward_options  # noqa: E402
import plots  # noqa: E402

SUFFIX = "/iterations:1/manual_time"
BASE = "ring_mp_mc/cache:512"
FLOOR = "floor/cache:0"
FLOORS = (FLOOR, "circle/cache:0", "circle,shuffled/cache:0")  # to compare with, not to choose: they serve no second lcore, or no owner
# What the guide recommends, by what surrounds the pool.
RECOMMENDED = ("magazine/cache:0", "magazine,rounds=510/cache:0", "magazine,rounds=62/cache:0", "magazine/cache:250",
               "magazine/cache:512")
NEAR = 1.03
CLOSE = 0.98  # from here on, to the fastest other handler, --settle measures a cell again
STUCK = 1000  # how much slower a handler is that hardly gets on, tells nothing
FIGURES = ("ratio", "q1", "q3", "worst", "Mobj_s", "objects", "ns", "ns_p99", "real_time", "cut", "failed", "lost", "rounds")
NOTE = ("On a machine that others use too, times mean little and move by a factor of two. Ratios lead: of handlers that "
        "take turns in one process, each to the base in the same round.")

EPILOG = """\
examples:
  app/bench.sh --quick
  app/bench.sh                                     everything: an hour or more on two CPUs
  app/bench.sh --filter 'hold-512/lcores:1/' --repetitions 5
  app/bench.sh --from build/bench-report/results.json --out /tmp/again

Rows are named PATTERN/lcores:N/bulk:B/HANDLER,OPTIONS/cache:C. Exit status: 0; 1 if magazine failed in a
row, or there is no result; 2 bad options, or the machine lacks something."""

# Pattern, lcores, rows of which the best counts, limits by bulk: time for an object to the base's.
TARGETS = (
    ("getput", 1, ("magazine/cache:0",), {"1": 1.8, "8": 1.4, "32": 0.95, "64": 1.0}),
    ("getput", 1, ("magazine/cache:512",), {"1": 1.02, "8": 1.02, "32": 1.02, "64": 1.02}),
    ("hold-512", 1, ("magazine/cache:0", "magazine,rounds=510/cache:0"), {"1": 1.7, "8": 1.2, "32": 1.0, "64": 1.0}),
    ("pipe-8k", 2, RECOMMENDED, {"1": 1.0, "8": 0.9, "32": 0.9, "64": 0.9}),
    ("pipe-256k-touched", 2, RECOMMENDED, {"1": 0.8, "8": 0.45, "32": 0.28, "64": 0.28}),
)
PREEMPTED = ("hold-1024", "32", 8, 2)  # pattern, bulk, lcores, lcores to compare with
PREEMPTED_TIME, PREEMPTED_WORST, PREEMPTED_OTHER = 1.5, 20, 0.9

Cell = collections.namedtuple("Cell", "pattern lcores bulk")


class Failure(Exception):
    """What went wrong, in one sentence for the user."""


# Reading


def reason(row):
    """Why a row has no figures; None when it has."""
    if row.get("error_occurred"):
        return row.get("error_message", "no reason given")
    if row.get("skipped"):
        return row.get("skip_message") or row.get("error_message") or "no reason given"
    return None


def read_rows(raw):
    """Rows of Google Benchmark's JSON, repetitions together: medians, the worst of the worst."""
    found = collections.OrderedDict()
    for row in raw["benchmarks"]:
        if row.get("run_type", "iteration") == "iteration":
            found.setdefault(row["name"].split(SUFFIX)[0], []).append(row)
    return [merge(name, repetitions) for name, repetitions in found.items()]


def merge(name, repetitions):
    parts = name.split("/")
    row = {"name": name, "pattern": parts[0], "handler": "/".join(parts[3:])}
    if len(parts) > 3:
        row["lcores"] = int(parts[1].split(":")[1])
        row["bulk"] = parts[2].split(":")[1]
    whys = [reason(repetition) for repetition in repetitions]
    good = [repetition for repetition, why in zip(repetitions, whys) if why is None]
    bad = [why for why in whys if why]
    failed = [why for why in bad if why.startswith("FAILED")]
    if failed or not good:
        return {**row, "why": (failed or bad)[0]}
    for key in FIGURES:
        values = [repetition[key] for repetition in good if key in repetition]
        if values:
            row[key] = max(values) if key in ("worst", "cut", "lost") else statistics.median(values)
    row["overcommitted"] = bool(good[0].get("overcommitted"))
    row["repetitions"] = len(good)
    return row


def cells(rows):
    """Rows by cell, in the order of the run."""
    found = collections.OrderedDict()
    for row in rows:
        if "bulk" in row:
            found.setdefault(Cell(row["pattern"], row["lcores"], row["bulk"]), {})[row["handler"]] = row
    return found


# Conclusions


def best(rows, handlers, key="ratio"):
    have = [rows[handler] for handler in handlers if key in rows.get(handler, {})]
    return min(have, key=lambda row: row[key]) if have else None


def is_magazine(handler):
    return handler.startswith("magazine")


def rivals(rows):
    return [handler for handler in rows if not is_magazine(handler) and handler not in FLOORS]


def summary(found):
    """For each cell: the fastest other handler and the best recommended setting."""
    lines = []
    for cell, rows in found.items():
        if FLOOR not in rows:
            continue
        other, mine = best(rows, rivals(rows)), best(rows, RECOMMENDED)
        if other and mine:
            lines.append({"cell": cell, "other": other, "mine": mine, "to_other": mine["ratio"] / other["ratio"]})
    return lines


def targets(found):
    lines = []
    for pattern, lcores, handlers, limits in TARGETS:
        for bulk, limit in limits.items():
            row = best(found.get(Cell(pattern, lcores, bulk), {}), handlers)
            if row:
                name = f"{pattern}, {lcores} lcore{'s' * (lcores > 1)}, bulk {bulk}"
                lines.append((name, row["handler"], f"{row['ratio']:.3f}", f"{limit:.2f}", row["ratio"] <= limit))
    return lines + preempted(found)


def preempted(found):
    pattern, bulk, many, few = PREEMPTED
    many_rows, few_rows = (found.get(Cell(pattern, lcores, bulk), {}) for lcores in (many, few))
    mine, alone = best(many_rows, RECOMMENDED), best(few_rows, RECOMMENDED)
    if not mine or not alone or not mine["overcommitted"]:
        return []
    alone = few_rows[mine["handler"]] if "real_time" in few_rows.get(mine["handler"], {}) else alone
    name = f"{pattern}, {many} lcores on fewer CPUs, bulk {bulk}: "
    slower = mine["real_time"] / alone["real_time"]
    other = best(many_rows, rivals(many_rows))
    lead = other["ratio"] / mine["ratio"] if other else 1
    return [
        (name + f"time to that of {few} lcores", mine["handler"], f"{slower:.2f}", str(PREEMPTED_TIME),
         slower <= PREEMPTED_TIME),
        (name + "worst round to median", mine["handler"], f"{mine['worst']:.1f}", str(PREEMPTED_WORST),
         mine["worst"] <= PREEMPTED_WORST),
        (name + "fastest other handler to it", other["handler"] if other else "", f"{lead:.2f}",
         f"at least {PREEMPTED_OTHER}", lead >= PREEMPTED_OTHER),
    ]


# Tables


def table(head, lines):
    """In Markdown, and readable without."""
    text = [[str(cell) for cell in line] for line in (head, *lines)]
    widths = [max(len(line[i]) for line in text) for i in range(len(head))]
    out = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |" for line in text]
    out.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(out) + "\n"


def figure(row):
    if row is None:
        return ""
    if "why" in row:
        return "failed" if row["why"].startswith("FAILED") else "-"
    if "objects" in row:
        return f"{row['objects']:.0f}"
    if "ns" in row:
        return f"{row['ns']:.0f} ns, p99 {row['ns_p99']:.0f}"
    mark = "!" if row.get("cut") else ""
    if row["ratio"] >= STUCK:
        return f">{STUCK}{mark}"
    return f"{row['ratio']:.2f}{mark}" if 0.1 <= row["ratio"] < 100 else f"{row['ratio']:.3g}{mark}"


def pattern_tables(found):
    groups = collections.OrderedDict()
    for cell in found:
        groups.setdefault((cell.pattern, cell.lcores), []).append(cell)
    for (pattern, lcores), columns in groups.items():
        handlers = list(collections.OrderedDict.fromkeys(handler for cell in columns for handler in found[cell]))
        over = any(row.get("overcommitted") for cell in columns for row in found[cell].values())
        head = [f"{pattern}, {lcores} lcores{', overcommitted' * over}", *(f"bulk {cell.bulk}" for cell in columns)]
        yield table(head, [[handler, *(figure(found[cell].get(handler)) for cell in columns)] for handler in handlers])


def summary_table(lines):
    return table(
        ["cell", "fastest other", "ratio", "best of magazine", "ratio", "to the other", ""],
        [[f"{line['cell'].pattern}, {line['cell'].lcores} lcores, bulk {line['cell'].bulk}", line["other"]["handler"],
          figure(line["other"]), line["mine"]["handler"], figure(line["mine"]), f"{line['to_other']:.2f}",
          "slower" if line["to_other"] > NEAR else ""] for line in lines])


def spread_table(found):
    lines = []
    for cell, rows in found.items():
        for handler in (BASE, *RECOMMENDED):
            row = rows.get(handler, {})
            if "ratio" in row:
                lines.append([f"{cell.pattern}, {cell.lcores} lcores, bulk {cell.bulk}", handler, f"{row['ratio']:.2f}",
                              f"{row['q1']:.2f}-{row['q3']:.2f}", f"{row['worst']:.1f}", f"{row['Mobj_s']:.1f}"])
    return table(["cell", "handler", "ratio", "quartiles", "worst round", "M objects/s"], lines)


def reasons_table(rows):
    found = collections.Counter()
    for row in rows:
        if "why" in row:
            found[(row["pattern"], row["handler"], re.sub(r"^(skipped|FAILED): |\b-?[0-9]+ (?=objects lost)", "", row["why"]),
                   "failed" if row["why"].startswith("FAILED") else "skipped")] += 1
    return table(["pattern", "handler", "", "rows", "reason"],
                 [[pattern, handler, what, count, why] for (pattern, handler, why, what), count in found.items()])


def testpmd_table(rows):
    return table(["testpmd", "handler", "M packets/s", "to " + "ring_mp_mc/cache:250", "quartiles"],
                 [[row["scene"], row["handler"], row["why"], "", ""] if "why" in row else
                  [row["scene"], row["handler"], f"{row['packets_per_second'] / 1e6:.2f}", f"{row['ratio']:.3f}",
                   f"{row['q1']:.3f}-{row['q3']:.3f}"] for row in rows])


def machine_text(machine):
    return ", ".join(f"{key} {value}" for key, value in machine.items())


def report(results):
    rows = results["rows"]
    found = cells(rows)
    compared, goals = summary(found), targets(found)
    slower = [line for line in compared if line["to_other"] > NEAR]
    out = ["# Benchmarks of the mempool driver magazine\n", NOTE + "\n", machine_text(results["machine"]) + "\n"]
    memory = [[row["name"], f"{row['real_time']:.0f} ns"] for row in rows if row["pattern"] == "machine" and "why" not in row]
    if memory:
        out += ["## Its memory\n", table(["", "time"], memory)]
    if goals:
        out += ["## Targets\n", table(["", "setting", "measured", "limit", ""],
                                      [[*line[:4], "met" if line[4] else "missed"] for line in goals])]
    if compared:
        out += [f"## The fastest other handler and the best recommended setting of magazine, in {len(compared)} cells\n",
                f"In {len(compared) - len(slower)} of them magazine is the fastest or within 3 % of it.\n",
                summary_table(compared)]
    out += [f"## Time for an object, to that of {BASE}: less is better\n",
            "A mark ! where turns were cut after half a second; failed and -: see the reasons.\n", *pattern_tables(found)]
    if results.get("testpmd"):
        out += ["## testpmd\n", testpmd_table(results["testpmd"])]
    out += ["## Spread\n", spread_table(found)]
    if any("why" in row for row in rows):
        out += ["## Rows without a figure\n", reasons_table(rows)]
    return "\n".join(out)


# The run


def first_line(path, pattern):
    try:
        found = re.search(pattern, pathlib.Path(path).read_text(encoding="utf-8", errors="replace"), re.M)
    except OSError:
        return ""
    return found[1] if found else ""


def output_of(*command):
    try:
        return subprocess.run(command, text=True, capture_output=True, timeout=20).stdout.splitlines()[0].strip()
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
    command = [str(options.build / "app/bench/bench"), f"--benchmark_repetitions={repetitions}",
               "--benchmark_display_aggregates_only=false", f"--benchmark_out={out}", "--benchmark_out_format=json"]
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
    """A filter for the cells that another handler wins, or nearly does: None when there are none."""
    names = [f"{line['cell'].pattern}/lcores:{line['cell'].lcores}/bulk:{line['cell'].bulk}"
             for line in summary(cells(rows)) if line["to_other"] > CLOSE]
    return f"^({'|'.join(names)})/" if names else None


def run(options):
    raw = run_program(options, options.filter, options.repetitions)
    again = contested(read_rows(raw)) if options.settle else None
    if again:
        raw["benchmarks"] += run_program(options, again, options.settle)["benchmarks"]
    results = {"machine": machine(), "rows": read_rows(raw)}
    if options.testpmd:
        import pmd

        results["testpmd"] = pmd.measure_all(options.rounds, say)
        say("")
    return results


def load(path):
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        if "benchmarks" in results:
            results = {"machine": machine(), "rows": read_rows(results)}
        return {"machine": results["machine"], "rows": results["rows"], "testpmd": results.get("testpmd")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Failure(f"--from {path}: not the results.json of a run ({error})") from error


def option_parser():
    parser = forward_options.Parser(
        prog="bench.sh", formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, width=110),
        description="Measures magazine beside every other mempool handler, and other allocators, and packets of\n"
        "testpmd on them; shows tables, and writes them with plots. Needs root. Installs missing\n"
        "packages, builds, reserves hugepages, gives them back.", epilog=EPILOG)
    add = parser.add_argument
    add("--quick", action="store_true", help="fewer patterns and rounds, no testpmd: under 2 minutes")
    add("--filter", metavar="REGEX", help="only rows whose name matches, as getput/lcores:1/; no testpmd")
    add("--repetitions", metavar="N", type=forward_options.number(1, 1000, ""), default=1,
        help="measure everything so often, each time in new processes (default: 1)")
    add("--settle", metavar="N", type=forward_options.number(0, 1000, ""), default=0,
        help="then measure those cells N times more in which another handler is faster than magazine or within 2 %% of it: "
        "of many peers one is always lucky (default: 0)")
    add("--out", metavar="FOLDER", type=pathlib.Path, default=ROOT / "build/bench-report",
        help="for report.md, results.json and the plots (default: build/bench-report)")
    add("--no-testpmd", dest="testpmd", action="store_false", help="no packets")
    add("--from", metavar="FILE", dest="source", type=pathlib.Path, help="report of an earlier results.json")
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
    (options.out / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    text = report(results)
    (options.out / "report.md").write_text(text, encoding="utf-8")
    print(text)
    made = plots.make(cells(results["rows"]), options.out, BASE, RECOMMENDED)
    plotted = f"{made} plots as SVG and PNG" if made else "no plots: " + (
        "too little was measured for one" if shutil.which("gnuplot") else "gnuplot is not installed")
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
    ours = [row for row in results["rows"] if row.get("why", "").startswith("FAILED") and "magazine" in row["handler"]]
    return 1 if ours else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
