#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""Limits of time grow with the load of the machine, in scripts and in C; what hangs is stopped all
the same.
"""

import os
import pathlib
import subprocess
import sys
import tempfile

TEST = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TEST / "dataplane"), str(TEST.parent / "app")]

import patience  # noqa: E402
import tap  # noqa: E402

CPUS = os.cpu_count() or 1
C = """#include <stdio.h>
#include "patience.h"
int main(void) { printf("%u\\n", patience()); return 0; }
"""
# Load for each CPU, and how much longer: in scripts, and in C, where a part of a thread counts as
# one.
LOADS = ((0, 1, 1), (0.5, 1, 1), (3, 3, 4), (100, patience.MOST, patience.MOST))


def load(folder, each):
    """A machine with so many threads that want a CPU, for each CPU."""
    file = pathlib.Path(folder, "loadavg")
    file.write_text(f"{each * CPUS:.2f} 0.00 0.00 1/100 12345\n")
    patience.LOAD = str(file)
    return dict(os.environ, MAGAZINE_LOADAVG=str(file))


def limited(environment, seconds, command):
    done = subprocess.run(
        [sys.executable, "-B", TEST.parent / "app/patience.py", str(seconds), "sh", "-c", command],
        env=environment,
        check=False,
    )
    return done.returncode


def main():
    with tempfile.TemporaryDirectory() as folder:
        with tap.case("in scripts"):
            for each, factor, _ in LOADS:
                load(folder, each)
                tap.check(
                    patience.factor() == factor, f"load {each} for each CPU: {patience.factor()}"
                )
                tap.check(
                    patience.scaled(10) == 10 * factor,
                    f"load {each} for each CPU: {patience.scaled(10)}",
                )
        with tap.case("in C"):
            program = pathlib.Path(folder, "patience")
            subprocess.run(
                ["cc", "-D_GNU_SOURCE", "-I", TEST, "-x", "c", "-o", program, "-"],
                input=C,
                text=True,
                check=True,
            )
            for each, _, factor in LOADS:
                said = subprocess.run(
                    [program], env=load(folder, each), capture_output=True, text=True, check=True
                ).stdout
                tap.check(int(said) == factor, f"load {each} for each CPU: {said}")
        with tap.case("load that comes after the start counts"):
            load(folder, 0)
            deadline = patience.Deadline(0)
            tap.check(deadline.left() == 0, "a limit of 0 s is not over")
            deadline = patience.Deadline(1)
            deadline.begin -= 2
            tap.check(deadline.left() == 0, "a limit of 1 s is not over after 2 s")
            load(folder, 8)
            tap.check(0 < deadline.left() <= 6, f"{deadline.left()} s are left of 8 after 2")
        with tap.case("a machine that does not tell its load"):
            patience.LOAD = str(pathlib.Path(folder, "none"))
            tap.check(patience.factor() == 1, patience.factor())
        with tap.case(
            "a command that is slow on a busy machine goes on, and is stopped on an idle one"
        ):
            tap.check(limited(load(folder, 8), 1, "sleep 2") == 0, "stopped")
            tap.check(limited(load(folder, 0), 1, "sleep 60") == 124, "not stopped")
        with tap.case("its exit status is passed on, and a signal told"):
            idle = load(folder, 0)
            tap.check(limited(idle, 60, "exit 77") == 77, "77")
            tap.check(limited(idle, 60, "kill -9 $$") == 128 + 9, "signal 9")
    tap.finish()


if __name__ == "__main__":
    main()
