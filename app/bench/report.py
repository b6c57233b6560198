# SPDX-License-Identifier: BSD-3-Clause
"""The figures of the benchmarks: rows read from Google Benchmark, conclusions, and the report."""

import collections
import re
import statistics

SUFFIX = "/iterations:1/manual_time"
BASE = "ring_mp_mc/cache:512"
FLOOR = "floor/cache:0"
FLOORS = (
    FLOOR,
    "circle/cache:0",
    "circle,shuffled/cache:0",
)  # to compare with, not to choose: they serve no second lcore, or no owner
# What the guide recommends, by what surrounds the pool.
RECOMMENDED = (
    "magazine/cache:0",
    "magazine,rounds=510/cache:0",
    "magazine,rounds=62/cache:0",
    "magazine/cache:250",
    "magazine/cache:512",
)
NEAR = 1.03
STUCK = 1000  # how much slower a handler is that hardly gets on, tells nothing
FIGURES = (
    "ratio",
    "q1",
    "q3",
    "worst",
    "Mobj_s",
    "objects",
    "ns",
    "ns_p99",
    "real_time",
    "cut",
    "failed",
    "lost",
    "rounds",
)
NOTE = (
    "On a machine that others use too, times mean little and move by a factor of two. Ratios lead: "
    "of handlers that "
    "take turns in one process, each to the base in the same round."
)
# Pattern, lcores, rows of which the best counts, limits by bulk: time for an object to the base's.
TARGETS = (
    ("getput", 1, ("magazine/cache:0",), {"1": 1.8, "8": 1.4, "32": 0.95, "64": 1.0}),
    ("getput", 1, ("magazine/cache:512",), {"1": 1.02, "8": 1.02, "32": 1.02, "64": 1.02}),
    (
        "hold-512",
        1,
        ("magazine/cache:0", "magazine,rounds=510/cache:0"),
        {"1": 1.7, "8": 1.2, "32": 1.0, "64": 1.0},
    ),
    ("pipe-8k", 2, RECOMMENDED, {"1": 1.0, "8": 0.9, "32": 0.9, "64": 0.9}),
    ("pipe-256k-touched", 2, RECOMMENDED, {"1": 0.8, "8": 0.45, "32": 0.28, "64": 0.28}),
)
PREEMPTED = ("hold-1024", "32", 8, 2)  # pattern, bulk, lcores, lcores to compare with
PREEMPTED_TIME, PREEMPTED_WORST, PREEMPTED_OTHER = 1.5, 20, 0.9
Cell = collections.namedtuple("Cell", "pattern lcores bulk")


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
            found.setdefault(Cell(row["pattern"], row["lcores"], row["bulk"]), {})[
                row["handler"]
            ] = row
    return found


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
            lines.append(
                {
                    "cell": cell,
                    "other": other,
                    "mine": mine,
                    "to_other": mine["ratio"] / other["ratio"],
                }
            )
    return lines


def targets(found):
    lines = []
    for pattern, lcores, handlers, limits in TARGETS:
        for bulk, limit in limits.items():
            row = best(found.get(Cell(pattern, lcores, bulk), {}), handlers)
            if row:
                name = f"{pattern}, {lcores} lcore{'s' * (lcores > 1)}, bulk {bulk}"
                lines.append(
                    (
                        name,
                        row["handler"],
                        f"{row['ratio']:.3f}",
                        f"{limit:.2f}",
                        row["ratio"] <= limit,
                    )
                )
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
        (
            name + f"time to that of {few} lcores",
            mine["handler"],
            f"{slower:.2f}",
            str(PREEMPTED_TIME),
            slower <= PREEMPTED_TIME,
        ),
        (
            name + "worst round to median",
            mine["handler"],
            f"{mine['worst']:.1f}",
            str(PREEMPTED_WORST),
            mine["worst"] <= PREEMPTED_WORST,
        ),
        (
            name + "fastest other handler to it",
            other["handler"] if other else "",
            f"{lead:.2f}",
            f"at least {PREEMPTED_OTHER}",
            lead >= PREEMPTED_OTHER,
        ),
    ]


def table(head, lines):
    """In Markdown, and readable without."""
    text = [[str(cell) for cell in line] for line in (head, *lines)]
    widths = [max(len(line[i]) for line in text) for i in range(len(head))]
    out = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |"
        for line in text
    ]
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
        handlers = list(
            collections.OrderedDict.fromkeys(handler for cell in columns for handler in found[cell])
        )
        over = any(row.get("overcommitted") for cell in columns for row in found[cell].values())
        head = [
            f"{pattern}, {lcores} lcores{', overcommitted' * over}",
            *(f"bulk {cell.bulk}" for cell in columns),
        ]
        yield table(
            head,
            [
                [handler, *(figure(found[cell].get(handler)) for cell in columns)]
                for handler in handlers
            ],
        )


def summary_table(lines):
    return table(
        ["cell", "fastest other", "ratio", "best of magazine", "ratio", "to the other", ""],
        [
            [
                f"{line['cell'].pattern}, {line['cell'].lcores} lcores, bulk {line['cell'].bulk}",
                line["other"]["handler"],
                figure(line["other"]),
                line["mine"]["handler"],
                figure(line["mine"]),
                f"{line['to_other']:.2f}",
                "slower" if line["to_other"] > NEAR else "",
            ]
            for line in lines
        ],
    )


def spread_table(found):
    lines = []
    for cell, rows in found.items():
        for handler in (BASE, *RECOMMENDED):
            row = rows.get(handler, {})
            if "ratio" in row:
                lines.append(
                    [
                        f"{cell.pattern}, {cell.lcores} lcores, bulk {cell.bulk}",
                        handler,
                        f"{row['ratio']:.2f}",
                        f"{row['q1']:.2f}-{row['q3']:.2f}",
                        f"{row['worst']:.1f}",
                        f"{row['Mobj_s']:.1f}",
                    ]
                )
    return table(["cell", "handler", "ratio", "quartiles", "worst round", "M objects/s"], lines)


def reasons_table(rows):
    found = collections.Counter()
    for row in rows:
        if "why" in row:
            found[
                (
                    row["pattern"],
                    row["handler"],
                    re.sub(r"^(skipped|FAILED): |\b-?[0-9]+ (?=objects lost)", "", row["why"]),
                    "failed" if row["why"].startswith("FAILED") else "skipped",
                )
            ] += 1
    return table(
        ["pattern", "handler", "", "rows", "reason"],
        [
            [pattern, handler, what, count, why]
            for (pattern, handler, why, what), count in found.items()
        ],
    )


def testpmd_table(rows):
    return table(
        ["testpmd", "handler", "M packets/s", "to " + "ring_mp_mc/cache:250", "quartiles"],
        [
            [row["scene"], row["handler"], row["why"], "", ""]
            if "why" in row
            else [
                row["scene"],
                row["handler"],
                f"{row['packets_per_second'] / 1e6:.2f}",
                f"{row['ratio']:.3f}",
                f"{row['q1']:.3f}-{row['q3']:.3f}",
            ]
            for row in rows
        ],
    )


def machine_text(machine):
    return ", ".join(f"{key} {value}" for key, value in machine.items())


def report(results):
    rows = results["rows"]
    found = cells(rows)
    compared, goals = summary(found), targets(found)
    slower = [line for line in compared if line["to_other"] > NEAR]
    out = [
        "# Benchmarks of the mempool driver magazine\n",
        NOTE + "\n",
        machine_text(results["machine"]) + "\n",
    ]
    memory = [
        [row["name"], f"{row['real_time']:.0f} ns"]
        for row in rows
        if row["pattern"] == "machine" and "why" not in row
    ]
    if memory:
        out += ["## Its memory\n", table(["", "time"], memory)]
    if goals:
        out += [
            "## Targets\n",
            table(
                ["", "setting", "measured", "limit", ""],
                [[*line[:4], "met" if line[4] else "missed"] for line in goals],
            ),
        ]
    if compared:
        out += [
            "## The fastest other handler and the best recommended setting of magazine, in "
            f"{len(compared)} cells\n",
            f"In {len(compared) - len(slower)} of them magazine is the fastest or within 3 % of "
            "it.\n",
            summary_table(compared),
        ]
    out += [
        f"## Time for an object, to that of {BASE}: less is better\n",
        "A mark ! where turns were cut after half a second; failed and -: see the reasons.\n",
        *pattern_tables(found),
    ]
    if results.get("testpmd"):
        out += ["## testpmd\n", testpmd_table(results["testpmd"])]
    out += ["## Spread\n", spread_table(found)]
    if any("why" in row for row in rows):
        out += ["## Rows without a figure\n", reasons_table(rows)]
    return "\n".join(out)
