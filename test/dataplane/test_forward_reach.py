#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""forward.py's demonstration with the real testpmd: when the mempool caches are full, one lcore has
few of the free mbufs from the default handler, most of them from magazine with small caches, and
all with none.
"""

import json
import os
import subprocess
import sys

import tap
import testpmd

SECONDS = 600
MOST_IN_CACHES = 7 * 48  # of other lcores, with cache=32


def run(figures):
    prefix = f"{testpmd.PREFIX}-reach"
    environment = dict(
        os.environ,
        FORWARD_PLUGIN=testpmd.PLUGIN,
        MAGAZINE_FILE_PREFIX=prefix,
        MAGAZINE_HUGE=str(int(testpmd.HUGE)),
    )
    command = [sys.executable, "-B", testpmd.ROOT / "app/forward.py", "--seconds", "1"]
    command += ["--mbufs", "8192", "--json", figures] + ([] if testpmd.HUGE else ["--no-huge"])
    try:
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    finally:
        for index in range(3):
            testpmd.remove_files_of(f"{prefix}-{index}")


def main():
    figures = testpmd.work_dir() / "figures.json"
    with tap.case("the demonstration: every mbuf with cache=0, most with cache=32"):
        done = run(figures)
        tap.check(done.returncode == 0, f"status {done.returncode}: {done.stdout}{done.stderr}")
        told = json.loads(figures.read_text())["last_mbuf"]
        tap.note(done.stdout[done.stdout.index("The last mbuf") :])
        left = {name: result["out_of_reach"] for name, result in told.items()}
        tap.check(left["magazine, cache=0"] == 0, f"out of reach: {left}")
        tap.check(left["magazine, cache=32"] <= MOST_IN_CACHES < left["ring_mp_mc"], f"{left}")
    tap.finish()


if __name__ == "__main__":
    main()
