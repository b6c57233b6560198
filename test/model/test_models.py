#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""The Promela models of this folder, each searched completely by spin, and their mutations, each of
which must fail.

The file `checks` lists what is checked. A search that is not complete is a failure, whatever it
found. With arguments, only checks whose line contains all of them.
"""

import concurrent.futures
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import typing

FOLDER = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(FOLDER.parent / "dataplane"), str(FOLDER.parents[1] / "app")]

import patience  # noqa: E402
import tap  # noqa: E402

FULL = os.environ.get("MAGAZINE_FULL") == "1"
SECONDS = (
    1800 if FULL else 450
)  # for each program; the longest takes 20 on an idle machine, 300 in full
MEGABYTES = 6000 if FULL else 3000  # of states
DEPTH = 200000
INCLUDED = ("killed", "memory", "owners", "witness")
LARGE = 300000  # bytes of C for the steps of a model
# What of a complete search's output says that it was not one, or that something was found.
INCOMPLETE = (
    "max search depth too small",
    "out of memory",
    "reached -DMEMLIM bound",
    "Search not completed",
    "VECTORSZ is too small",
)
FOUND = re.compile(r"^pan:\d+: (.*?) \(at depth", re.MULTILINE)
STATES = re.compile(r"(\d+(?:\.\d+)?(?:e\+\d+)?) states, stored")
ERRORS = re.compile(r"errors: (\d+)")
PROPERTIES = {"safety": (["-DSAFETY"], []), "progress": (["-DNP"], ["-l"])}

# Told to end, with all of its process group, the script unwinds, and so removes its folders.
signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


class Check(typing.NamedTuple):
    """A line of `checks`."""

    model: str
    property: str
    outcome: str
    defines: tuple

    def __str__(self):
        return " ".join(self[:3] + self.defines)


class Result(typing.NamedTuple):
    """What a search came to: found is what is wrong with the model, None if nothing is."""

    found: typing.Optional[str]
    states: int
    seconds: float


def read_checks():
    checks = []
    for number, line in enumerate((FOLDER / "checks").read_text().splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        model, kind, outcome, *defines = line.split()
        tap.check(
            kind in PROPERTIES
            and outcome in ("holds", "fails", "full")
            and (FOLDER / f"{model}.pml").exists(),
            f"checks:{number}: {line}: no such model, property or outcome",
        )
        checks.append(Check(model, kind, outcome, tuple(defines)))
    tap.check(
        {f"{check.model}.pml" for check in checks} | {f"{name}.pml" for name in INCLUDED}
        == {path.name for path in FOLDER.glob("*.pml")},
        "a model is in no line of `checks`",
    )
    return checks


def bound_memory():
    limit = (MEGABYTES + 1000) << 20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def run(command, folder, **options):
    done = subprocess.run(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=patience.scaled(SECONDS),
        **options,
    )
    tap.check(
        done.returncode == 0,
        f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout[-2000:]}",
    )
    return done.stdout


def search(check):
    """All states of a model; what was found, or Failure when that cannot be said."""
    compiled, told = PROPERTIES[check.property]
    defines = [f"-D{define}" for define in check.defines]
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="magazine-model-") as folder:
        run(["spin", "-a", *defines, str(FOLDER / f"{check.model}.pml")], folder)
        # What fails does so soon, and for a large model gcc takes minutes: compiling it well would
        # take longer.
        size = (pathlib.Path(folder) / "pan.m").stat().st_size
        level = "-O0" if check.outcome == "fails" or size > LARGE else "-O1"
        run(["gcc", level, "-w", *compiled, f"-DMEMLIM={MEGABYTES}", "-o", "pan", "pan.c"], folder)
        output = run(["./pan", *told, f"-m{DEPTH}", "-w22"], folder, preexec_fn=bound_memory)
    errors, states, found = ERRORS.search(output), STATES.search(output), FOUND.search(output)
    tap.check(errors and states, f"no result:\n{output[-2000:]}")
    tap.check(
        bool(found) == (errors[1] != "0"),
        f"{errors[1]} errors, but none is named:\n{output[-2000:]}",
    )
    for text in INCOMPLETE:
        tap.check(found or text not in output, f"search is not complete: {text}")
    return Result(found and found[1], int(float(states[1])), time.monotonic() - begin)


def judge(check, result):
    if check.outcome == "fails":
        tap.check(
            result.found,
            f"nothing fails with {' '.join(check.defines)}: the model does not depend on that line",
        )
    else:
        tap.check(
            not result.found,
            f"{result.found}; to see how, in a folder of its own: spin -a "
            f"{' '.join('-D' + define for define in check.defines)} {FOLDER}/{check.model}.pml && "
            "gcc "
            f"{' '.join(PROPERTIES[check.property][0])} -o pan pan.c && ./pan "
            f"{' '.join(PROPERTIES[check.property][1])} -m{DEPTH}; spin -t -p with the same -D",
        )
    tap.note(
        f"{check}: {result.states} states, {result.seconds:.1f} s"
        + (f", {result.found}" if result.found else "")
    )


def main():
    checks = []
    with tap.case("models can be checked"):
        checks = [
            check
            for check in read_checks()
            if (FULL or check.outcome != "full")
            and all(word in str(check).split() for word in sys.argv[1:])
        ]
        if shutil.which("spin") is None or shutil.which("gcc") is None:
            checks = []
            raise tap.Skip("spin or gcc is not installed: they are in the packages of these names")
        tap.check(checks, f"no line of `checks` has {' '.join(sys.argv[1:])}")
    pool = concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0)))
    try:
        results = [pool.submit(search, check) for check in checks]
        for check, result in zip(checks, results):
            with tap.case(f"model {check}"):
                judge(check, result.result())
    finally:
        pool.shutdown(cancel_futures=True)
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    tap.note(f"{len(checks)} checks, {spent.ru_utime + spent.ru_stime:.0f} s of CPU time")
    tap.finish()


main()
