#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""Instructions of a get and a put, counted by callgrind, against app/bench/instructions.expected.

They repeat exactly where times do not, so a fast path that has become dearer by a few instructions
shows. With --update the figures of this compiler are written to that file instead.
"""

import argparse
import collections
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "test/dataplane"), str(ROOT / "app")]

import patience  # noqa: E402
import tap  # noqa: E402

BUILD = pathlib.Path(os.environ.get("MAGAZINE_BUILD") or ROOT / "build")
PLUGIN = os.environ.get("MAGAZINE_PLUGIN")
PROGRAM = BUILD / "app/bench/instructions"
EXPECTED = ROOT / "app/bench/instructions.expected"
UPDATE = "test/bench/test_instructions.py --update"

TOLERANCE = 0.03
SECONDS = 300  # takes 3 on an idle machine
COUNTED = "count_cell"
GUARDED = ("magazine/", "library")  # others are there to compare with
# libc's memcpy() has a variant for each kind of CPU: with these it is the same one everywhere, and
# on other architectures than x86 nothing changes.
TUNABLES = "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX2,-AVX_Fast_Unaligned_Load,-SSSE3,-ERMS,-FSRM"
# How the build must be configured for its figures to mean anything: as meson.build does by default.
NEEDED = {
    "optimization": "3",
    "b_sanitize": "none",  # [] in later versions of meson
    "b_lto": False,
    "b_coverage": False,
    "b_pgo": "off",
    "c_args": [],
}

Row = collections.namedtuple("Row", "path bulk mode")


class Key(collections.namedtuple("Key", "architecture compiler dpdk")):
    """What figures depend on beside the source."""

    def __str__(self):
        return f"{self.architecture}, {self.compiler}, DPDK {self.dpdk}"


# Told to end, the script unwinds, and so removes its folder; subprocess.run() ends valgrind.
signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


def require_build():
    """Skip a build whose figures differ for other reasons than the source."""
    options = json.loads((BUILD / "meson-info/intro-buildoptions.json").read_text())
    for option in options:
        name = option["name"]
        value = option["value"] or "none" if name == "b_sanitize" else option["value"]
        if value != NEEDED.get(name, value):
            raise tap.Skip(
                f"{BUILD} is built with {name}={value}: figures are for {name}={NEEDED[name]}"
            )


def read_build():
    """What this build's figures depend on, and the number of gets of each cell."""
    if shutil.which("valgrind") is None:
        raise tap.Skip("valgrind is not installed: it is in the package valgrind")
    tap.check(PROGRAM.exists(), f"{PROGRAM} is missing: build it with ninja -C {BUILD}")
    require_build()
    output = subprocess.run(
        [PROGRAM, "--build"],
        check=True,
        capture_output=True,
        text=True,
        timeout=patience.scaled(SECONDS),
    ).stdout
    said = dict(line.split() for line in output.splitlines())
    return Key(said["architecture"], said["compiler"], said["dpdk"]), int(said["operations"])


def run_program():
    """The program's cells, and the number of instructions of each."""
    with tempfile.TemporaryDirectory(prefix="magazine-instructions-") as folder:
        counts = pathlib.Path(folder) / "counts"
        command = [
            "valgrind",
            "--quiet",
            "--vgdb=no",
            "--tool=callgrind",
            f"--toggle-collect={COUNTED}",
            f"--dump-after={COUNTED}",
            "--combine-dumps=yes",
            f"--callgrind-out-file={counts}",
            str(PROGRAM),
        ]
        if PLUGIN:
            command.append(f"--plugin={PLUGIN}")
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=patience.scaled(SECONDS),
            cwd=folder,
            env={**os.environ, "GLIBC_TUNABLES": TUNABLES, "RUNTIME_DIRECTORY": folder},
        )
        output = done.stdout + done.stderr
        tap.check(
            done.returncode == 0, f"{' '.join(command)}: exit status {done.returncode}\n{output}"
        )
        totals = [
            int(count) for count in re.findall(r"^totals: (\d+)$", counts.read_text(), re.MULTILINE)
        ]
    cells = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("cell ")]
    totals.pop()  # what came after the last cell
    tap.check(
        len(cells) == len(totals) > 1,
        f"callgrind counted {len(totals)} cells of {len(cells)}:\n{output}",
    )
    return cells, totals


def measure(operations):
    """Instructions per get and put by row."""
    cells, totals = run_program()
    nothing = totals[0] / int(cells[0][3])  # a turn of the loop
    return {
        Row(path, int(bulk), mode): round((total - nothing * int(calls)) / operations, 1)
        for (path, bulk, mode, calls), total in zip(cells[1:], totals[1:])
    }


def read_expected():
    """Comment lines of the file, and its figures by key and row."""
    comments, expected = [], {}
    for number, line in enumerate(
        EXPECTED.read_text().splitlines() if EXPECTED.exists() else (), 1
    ):
        if not line.strip() or line.startswith("#"):
            comments.append(line)
            continue
        try:
            *key, mode, path, bulk, figure = line.split()
            expected.setdefault(Key(*key), {})[Row(path, int(bulk), mode)] = float(figure)
        except (TypeError, ValueError):
            tap.bail_out(
                f'{EXPECTED}:{number}: "{line}": must be architecture, compiler, DPDK, mode, path, '
                "bulk "
                f"and instructions; put it right or remove it and run {UPDATE}"
            )
    return comments, expected


def update():
    """Replace the figures of this build's key; those of other keys, and of a mode that was not met,
    stay.
    """
    comments, expected = read_expected()
    key, operations = read_build()
    figures = measure(operations)
    modes = {row.mode for row in figures}
    expected[key] = figures | {
        row: figure for row, figure in expected.get(key, {}).items() if row.mode not in modes
    }
    lines = [
        f"{key.architecture:<11} {key.compiler:<9} {key.dpdk:<6} {row.mode:<11} {row.path:<20} "
        f"{row.bulk:>4} "
        f"{figure:>8.1f}"
        for key in sorted(expected)
        for row, figure in expected[key].items()
    ]
    EXPECTED.write_text("\n".join(comments + lines) + "\n")
    print(f"{EXPECTED}: {len(figures)} figures for {key}")


def compare(key, row, figure, known):
    """Fail when figure is too far above what is expected; say so when it is far below."""
    if row not in known:
        modes = {other.mode for other in known if other[:2] == row[:2]}
        if modes:
            raise tap.Skip(
                f"mode {row.mode}: figures for {key} are for mode {', '.join(sorted(modes))}"
            )
        raise tap.Failure(f"no figure for {row.path} at bulk {row.bulk}: add it by {UPDATE}")
    change = figure / known[row] - 1
    text = (
        f"{row.path} at bulk {row.bulk}: {figure:.1f} instructions, "
        f"{known[row]:.1f} expected: {change:+.1%}"
    )
    tap.check(
        change <= TOLERANCE,
        f"{text}, at most {TOLERANCE:+.0%} is allowed; if that is the price of something "
        f"wanted, run {UPDATE}",
    )
    tap.note(text + (f"; improved: keep it by {UPDATE}" if change < -TOLERANCE else ""))


def check_against(known, key, figures):
    """One case for each row of ours; the other handlers' rows are printed."""
    for row, figure in figures.items():
        if not row.path.startswith(GUARDED):
            tap.note(
                f"{row.path} at bulk {row.bulk}: {figure:.1f} instructions, {known.get(row, '-')} "
                "expected; "
                "to compare with"
            )
            continue
        with tap.case(f"instructions of {row.path} at bulk {row.bulk}"):
            compare(key, row, figure, known)
    for row in known:
        if row.path.startswith(GUARDED) and row[:2] not in {other[:2] for other in figures}:
            with tap.case(f"instructions of {row.path} at bulk {row.bulk}"):
                raise tap.Failure(
                    f"expected, but {PROGRAM} has no such path: correct {EXPECTED} by {UPDATE}"
                )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--update", action="store_true", help="write the figures of this compiler to the file"
    )
    if parser.parse_args().update:
        try:
            update()
        except (tap.Skip, tap.Failure) as why:
            sys.exit(f"nothing is updated: {why}")
        return
    figures = None
    with tap.case("instructions can be counted and compared"):
        key, operations = read_build()
        known = read_expected()[1].get(key)
        if known is None:
            raise tap.Skip(f"no figures for {key} in {EXPECTED}, which tells how to add them")
        figures = measure(operations)
    if figures:
        check_against(known, key, figures)
    tap.finish()


main()
