#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""The simulator: what is recorded of handlers, and times of short sequences that can be told by
hand.
"""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / folder) for folder in ("test/dataplane", "app", "app/simulate")]

import patience  # noqa: E402
import recorded  # noqa: E402
import tap  # noqa: E402
from machine import MACHINES, Machine  # noqa: E402
from recorded import ADD, COMPARE, LOAD, LOCK, STORE, TAIL, UNLOCK  # noqa: E402
from replay import Simulation, nanoseconds  # noqa: E402

BUILD = pathlib.Path(os.environ.get("MAGAZINE_BUILD") or ROOT / "build")
PROGRAM = BUILD / "app/simulate/record"
SECONDS = 120
# Two groups of two cores. An instruction takes 1 ns.
MACHINE = Machine("test", 4, 4, 2, 100, 400, 400, instruction=1, locked=10)


def peer(*lcores):
    """What is recorded of so many lcores: each a list of turns, each a text of accesses that ;
    separates, of 1000 instructions."""
    lines = [f"peer test/0 {len(lcores)} 1"]
    for lcore, turns in enumerate(lcores):
        for number, turn in enumerate(turns):
            lines.append(f"turn {lcore} {'put' if number % 2 else 'get'} 1000")
            lines += [access.strip() for access in turn.split(";") if access.strip()]
    return recorded.parse(lines)[0]


def kinds(turn):
    return [access.kind for access in turn.accesses]


def check_equal(is_now, wanted):
    tap.check(is_now == wanted, f"{is_now}, not {wanted}")


# What is made of a recording: accesses of one lcore, those of another, kinds of the first.
READINGS = {
    "lines of one lcore are left out": ("s 1000 8 1 0", "s 2000 8 1 0", []),
    "lines that are only read are left out": ("l 1000 8 1 0", "l 1000 8 1 0", []),
    "two words of a line are one line": ("l 1000 8 1 0", "s 1038 8 1 0", [LOAD]),
    "an access across the end of a line is two": ("l 103c 8 1 0", "s 1000 80 1 0", [LOAD, LOAD]),
    "a lock is taken and left": (
        "x 1000 4 1 0; s 1000 4 9 0",
        "s 1000 4 1 0",
        [LOCK, UNLOCK],
    ),
    "so is one that is left by an exchange": (
        "x 1000 4 1 0; x 1000 4 9 0",
        "s 1000 4 1 0",
        [LOCK, UNLOCK],
    ),
    "a locked addition is none": (
        "a 1000 4 1 0; s 1000 4 9 0",
        "s 1000 4 1 0",
        [ADD, STORE],
    ),
    "a ring's tail follows its head": (
        "c 1000 4 1 0; s 1004 4 9 0",
        "s 1000 4 1 0",
        [COMPARE, TAIL],
    ),
    "not that of another ring": (
        "c 1000 4 1 0; s 1014 4 9 0",
        "s 1000 4 1 0",
        [COMPARE, STORE],
    ),
}

# Lines of either lcore, its word for locked instructions, and one for all.
LINES = (("1000", "1040", "1080", "10c0"), ("2000", "2040", "2080", "20c0"))
WORDS = ("3000", "4000")
SHARED = "5000"


def lcores(text, turns=2, count=2):
    """So many lcores that do the same in each turn, in their own lines and words."""
    return [
        [text.format(own=LINES[i % 2], its=LINES[1 - i % 2], word=WORDS[i % 2])] * turns
        for i in range(count)
    ]


STORES = "; s {own[0]} 8 900 0; s {own[1]} 8 900 0; s {own[2]} 8 900 0; s {own[3]} 8 900 0"
# Times: what the lcores do, and ns that a turn takes.
TIMES = {
    "instructions alone": ([["", ""]], 1000),
    "a line of one's own costs nothing": ([["l 1000 8 1 0", "s 1000 8 1 0"]], 1000),
    "a locked instruction costs something even there": ([["a 1000 8 1 0"] * 2], 1000 + 10),
    # The load ends 100 after it began, when the core is ahead of it.
    "what is loaded is not waited for": (lcores("l {its[0]} 8 1 0" + STORES), 1000),
    "but by a locked instruction": (
        lcores("l {its[0]} 8 1 0; a {word} 8 5 0" + STORES),
        1000 + 96 + 10,
    ),
    "loads go together": (
        lcores(
            "l {its[0]} 8 1 0; l {its[1]} 8 1 0; l {its[2]} 8 1 0; l {its[3]} 8 1 0; a {word} 8 5 0"
            + STORES
        ),
        1000 + 96 + 10,
    ),
    "those of which each has the next one's address do not": (
        lcores(
            "l {its[0]} 8 1 0; l {its[1]} 8 1 1; l {its[2]} 8 1 2; l {its[3]} 8 1 3; a {word} 8 5 0"
            + STORES
        ),
        1000 + 396 + 10,
    ),
    "nor is there a core that is far ahead of a load": (
        lcores(
            "l {its[0]} 8 1 0; l {its[1]} 8 1 1; l {its[2]} 8 1 2; l {its[3]} 8 1 3; "
            "l {its[3]} 8 302 4" + STORES
        ),
        1000 + 99,
    ),
    "a line that was prefetched is there": (
        lcores("p {its[0]} 8 1 0; l {its[0]} 8 500 0; a {word} 8 501 0" + STORES),
        1000 + 10,
    ),
    # It is held for 500. The waiting one has read the word, so the store takes a transfer, and so
    # does the lock that follows.
    "a lock is held by one": (
        [["x 5000 4 1 0; s 5000 4 501 0"] * 2] * 2,
        2 * (500 + 100 + 100 + 10),
    ),
    # In each turn the other one was first once.
    "a compare-and-exchange is tried again from where its word was read": (
        [["l 5000 8 1 0; c 5000 8 951 0"] * 2] * 2,
        2 * (1000 + 100 + 10),
    ),
}


def test_readings():
    for name, (one, other, wanted) in READINGS.items():
        with tap.case(name):
            check_equal(kinds(peer([one], [other]).turns[0][0]), wanted)


class Watched(Simulation):
    """Notes in which order tails are stored."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.stored = []

    def _store(self, core, access, time):
        if access.kind == TAIL:
            self.stored.append(core.tickets[access.word])
        return super()._store(core, access, time)


def time_of(of):
    return nanoseconds(peer(*of), MACHINE) / 2


def test_times():
    for name, (of, wanted) in TIMES.items():
        with tap.case(name):
            ns = time_of(of)
            tap.check(abs(ns - wanted) <= 0.01 * wanted, f"{ns:.1f} ns, not {wanted}")
    with tap.case("tails are stored in the order of their heads"):
        late, early = (["c 5000 4 1 0; s 5004 4 %u 0" % at] * 2 for at in (901, 11))
        watched = Watched(peer(late, early), MACHINE)
        watched.run()
        check_equal(watched.stored, list(range(len(watched.stored))))
        tap.check(len(watched.stored) > 8, f"{len(watched.stored)} tails")
    with tap.case("work between bulks is not counted, and a line may have gone meanwhile"):
        turns = [["a 5000 8 1 0; a 5000 8 2 0"] * 2, ["", "a 5000 8 1 0; a 5000 8 2 0"]]
        check_equal(round(nanoseconds(peer(turns[0]), MACHINE, 7000) / 2), 1000 + 2 * 10)
        # Of the four turns of both, three have the additions, and two of these wait for the line.
        both = nanoseconds(peer(*turns), MACHINE, 7000) / 2
        tap.check(abs(both - (1000 + 0.75 * 20 + 0.5 * 100)) < 10, f"{both:.0f} ns")
    with tap.case("transfers between groups and sockets"):
        of = MACHINES["milan"]
        check_equal([of.transfer(0, core) for core in (7, 8, 64)], [of.near, of.across, of.far])


def require_program():
    if not PROGRAM.exists():
        raise tap.Skip("not built: libcapstone-dev was not there, or this is not x86-64")


def record(*words):
    done = subprocess.run(
        [PROGRAM, *words], capture_output=True, text=True, timeout=patience.scaled(SECONDS)
    )
    tap.check(done.returncode == 0, f"record {words}: {done.returncode}\n{done.stderr}")
    return recorded.parse(done.stdout.splitlines())


def locked(turn):
    return sum(access.kind in (ADD, COMPARE, LOCK) for access in turn.accesses)


def test_recordings():
    plugin = os.environ.get("MAGAZINE_PLUGIN")
    words = ["--plugin", plugin] if plugin else []
    with tap.case("two lcores get and put: nothing of magazine's is shared, a ring's heads are"):
        require_program()
        magazine, ring = record(*words, "--lcores", "2", "magazine/0", "ring_mp_mc/0")
        turns = [turn for of in magazine.turns for turn in of]
        check_equal([turn.accesses for turn in turns if turn.accesses], [])
        for turn in (turn for of in ring.turns for turn in of):
            check_equal((locked(turn), kinds(turn).count(TAIL)), (1, 1))
    with tap.case("an lcore that holds more than its magazines exchanges a few"):
        require_program()
        (magazine,) = record(*words, "--lcores", "2", "--hold", "1024", "magazine/0")
        for turns in magazine.turns:
            many = sum(locked(turn) > 0 for turn in turns)
            tap.check(0 < many <= len(turns) / 8, f"{many} of {len(turns)} bulks")


def simulate(*words):
    command = [sys.executable, "-B", ROOT / "app/simulate/simulate.py", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=patience.scaled(SECONDS))


# What is given, the exit status, and what is said.
COMMANDS = {
    "--lcores 0": (2, "0: must be numbers of 1 to 128"),
    "--machine none": (2, "'none'"),
    "--bulk x": (2, "'x'"),
    "--work -1": (2, "-1: must be ns, 0 or more"),
    "--lcores 1 nonsense": (1, "peer nonsense: must be HANDLER/CACHE"),
    "--lcores 1 --hold 9999 magazine/0": (1, "--hold 9999: must be 0 to 2048"),
    "--lcores 1,2 --hold 0 --machine here ring_mp_mc/0 magazine/0": (0, "| magazine/0 | 0."),
}


def test_commands():
    for line, (status, text) in COMMANDS.items():
        with tap.case(f"simulate.py {line}"):
            if status != 2:
                require_program()
            done = simulate(*line.split())
            said = done.stdout + done.stderr
            tap.check(
                done.returncode == status and text in said and "Traceback" not in said,
                f"{done.returncode}, not {status} and {text}:\n{said}",
            )


def main():
    test_readings()
    test_times()
    test_recordings()
    test_commands()
    tap.finish()


main()
