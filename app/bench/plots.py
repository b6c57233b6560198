# SPDX-License-Identifier: BSD-3-Clause
"""Plots of what the benchmarks found, by gnuplot, as SVG and PNG."""

import collections
import shutil
import subprocess

# Colours that the colour-blind tell apart (Okabe and Ito), magazine's dark and solid.
LINES = (
    ("magazine/cache:0", "#0072b2", 7, 1),
    ("magazine,rounds=510/cache:0", "#56b4e9", 7, 1),
    ("magazine/cache:512", "#009e73", 7, 1),
    ("ring_mp_mc/cache:0", "#d55e00", 4, 2),
    ("ring_mp_mc/cache:512", "#e69f00", 4, 2),
    ("ring_mt_hts/cache:512", "#999999", 8, 2),
    ("stack/cache:512", "#cc79a7", 6, 2),
    ("lf_stack/cache:512", "#000000", 6, 3),
    ("bucket/cache:512", "#7f5539", 6, 3),
)
BULK = "32"
SIZES = {
    "svg": "svg size {0},{1} dynamic font 'sans,15' background '#ffffff'",
    "png": "pngcairo size {0},{1} font 'sans,11'",
}


def gnuplot(script, path, width, height):
    """The same script for each format."""
    for kind, terminal in SIZES.items():
        text = (
            f'set terminal {terminal.format(width, height)}\nset output "{path}.{kind}"\n'
            f"set encoding utf8\nset termoption noenhanced\n{script}"
        )
        subprocess.run(
            ["gnuplot", "-"],
            input=text,
            text=True,
            check=True,
            timeout=120,
            stderr=subprocess.DEVNULL,
        )


def by_pattern(cells):
    found = collections.OrderedDict()
    for cell, rows in cells.items():
        if any("Mobj_s" in row for row in rows.values()):
            found.setdefault(cell.pattern, {})[(cell.lcores, cell.bulk)] = rows
    return found


def throughput(pattern, rows, folder):
    """Objects a second over lcores, at bulk 32; lcores without a CPU of their own on grey."""
    counts = sorted({lcores for lcores, bulk in rows if bulk == BULK})
    if len(counts) < 2:
        return 0
    over = [n for n in counts if any(row.get("overcommitted") for row in rows[(n, BULK)].values())]
    data, parts = [], []
    for handler, colour, point, dash in LINES:
        points = [
            (counts.index(n), rows[(n, BULK)][handler]["Mobj_s"])
            for n in counts
            if "Mobj_s" in rows[(n, BULK)].get(handler, {})
        ]
        if not points:
            continue
        name = f"$d{len(data)}"
        data.append(f"{name} << EOD\n" + "\n".join(f"{x} {y}" for x, y in points) + "\nEOD\n")
        parts.append(
            f"{name} using 1:2 with linespoints lw 2 pt {point} ps 1 dt {dash} lc rgb '{colour}' "
            f"title '{handler}'"
        )
    if not parts:
        return 0
    ticks = ", ".join(f'"{n}" {i}' for i, n in enumerate(counts))
    rates = [float(line.split()[1]) for lines in data for line in lines.splitlines()[1:-1]]
    shade = ""
    if over:
        x = counts.index(over[0]) - 0.5
        shade = (
            f"set object 1 rect from {x}, graph 0 to graph 1, graph 1 fc rgb '#eeeeee' fs solid "
            "noborder behind\n"
            f"set label 1 'more lcores than CPUs' at {x + 0.05}, graph 0.96 left tc rgb '#555555'\n"
        )
    script = (
        f"{''.join(data)}set title '{pattern}, bulk {BULK}'\nset xlabel 'lcores'\n"
        "set ylabel 'million objects a second, all lcores'\nset key outside right top Left "
        "reverse\nset grid y\n"
        f"set logscale y\nset yrange [{min(rates) * 0.6}:{max(rates) * 2}]\n"
        f"set border 3\nset tics nomirror\nset xtics ({ticks})\n"
        f"set xrange [-0.3:{len(counts) - 0.7}]\n{shade}plot {', '.join(parts)}\n"
    )
    gnuplot(script, folder / f"throughput-{pattern}", 900, 460)
    return 1


def bulk_key(bulk):
    return (bulk.startswith("1-"), int(bulk.split("-")[-1]))


def heat(cells, lcores, folder, recommended):
    """Time of the best recommended setting to the base's, pattern by bulk."""
    found = by_pattern(
        {
            cell: rows
            for cell, rows in cells.items()
            if cell.lcores == lcores and not cell.pattern.startswith(("library", "contig"))
        }
    )
    bulks = sorted({bulk for rows in found.values() for _, bulk in rows}, key=bulk_key)
    if len(found) < 2 or len(bulks) < 2:
        return 0
    lines = []
    for y, (pattern, rows) in enumerate(found.items()):
        for x, bulk in enumerate(bulks):
            ratios = [
                rows[(lcores, bulk)][handler]["ratio"]
                for handler in recommended
                if "ratio" in rows.get((lcores, bulk), {}).get(handler, {})
            ]
            # An image is a full matrix: what was not measured has a place too.
            lines.append(
                f"{x} {y} {min(ratios):.3f} {min(ratios):.2f}" if ratios else f"{x} {y} NaN NaN"
            )
    ytics = ", ".join(f'"{pattern}" {i}' for i, pattern in enumerate(found))
    xtics = ", ".join(f'"{bulk}" {i}' for i, bulk in enumerate(bulks))
    script = (
        "$d << EOD\n" + "\n".join(lines) + "\nEOD\n"
        f"set title 'best recommended setting of magazine, {lcores} lcore{'s' * (lcores > 1)}: "
        "time for an object "
        f"to that of ring_mp_mc, cache 512'\n"
        "set xlabel 'bulk (1-n: random sizes)'\n"
        f"set xtics ({xtics}) scale 0\nset ytics ({ytics}) scale 0\nset xrange "
        f"[-0.5:{len(bulks) - 0.5}]\n"
        f"set yrange [{len(found) - 0.5}:-0.5]\nset cbrange [0.5:1.5]\n"
        "set palette defined (0.5 '#2166ac', 0.8 '#92c5de', 1 '#f7f7f7', 1.2 '#f4a582', 1.5 "
        "'#b2182b')\n"
        "set cblabel 'less is better'\nunset key\nset border 0\n"
        "plot $d using 1:2:3 with image, $d using 1:2:(valid(4) ? strcol(4) : '') with labels font "
        "',10'\n"
    )
    gnuplot(
        script, folder / f"ratio-{lcores}-lcore{'s' * (lcores > 1)}", 900, 130 + 46 * len(found)
    )
    return 1


def worst(cells, folder):
    """The longest round to the median one, where lcores have no CPU of their own."""
    found = [
        (cell, rows)
        for cell, rows in cells.items()
        if cell.bulk == BULK
        and cell.lcores == 8
        and any(row.get("overcommitted") and "worst" in row for row in rows.values())
    ]
    found = [(cell, rows) for cell, rows in found if "magazine/cache:0" in rows]
    if not found:
        return 0
    data, parts = [], []
    for i, (handler, colour, point, _) in enumerate(LINES):
        lines = [
            f"{x + (i - len(LINES) / 2) * 0.07} {rows[handler]['worst']}"
            for x, (cell, rows) in enumerate(found)
            if "worst" in rows.get(handler, {})
        ]
        if lines:
            data.append(f"$d{i} << EOD\n" + "\n".join(lines) + "\nEOD\n")
            parts.append(
                f"$d{i} using 1:2 with points pt {point} ps 1.6 lw 2 lc rgb '{colour}' title "
                f"'{handler}'"
            )
    ticks = ", ".join(f'"{cell.pattern}" {x}' for x, (cell, _) in enumerate(found))
    script = (
        f"{''.join(data)}set title 'longest round, 8 lcores on fewer CPUs, bulk {BULK}'\n"
        "set ylabel 'times the median round'\nset logscale y\nset grid y\nset border 3\nset tics "
        "nomirror\n"
        f"set xtics ({ticks}) rotate by -20\nset xrange [-0.6:{len(found) - 0.4}]\n"
        f"set key outside right top Left reverse\nplot {', '.join(parts)}\n"
    )
    gnuplot(script, folder / "worst-8-lcores", 1000, 460)
    return 1


def make(cells, folder, base, recommended):
    """All plots that there are figures for; how many, 0 without gnuplot."""
    if shutil.which("gnuplot") is None or not any(base in rows for rows in cells.values()):
        return 0
    made = sum(throughput(pattern, rows, folder) for pattern, rows in by_pattern(cells).items())
    made += sum(heat(cells, lcores, folder, recommended) for lcores in (1, 2))
    return made + worst(cells, folder)
