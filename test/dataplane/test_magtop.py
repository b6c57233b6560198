#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""magtop beside a live testpmd: its text, its JSON, and its screen in a terminal of tmux."""

import contextlib
import json
import os
import shutil
import subprocess
import sys

import tap
import testpmd
from testpmd import COUNT_SECONDS, RING_PORTS, ROOT, START_SECONDS, Testpmd

sys.path.insert(0, str(ROOT / "app/magtop"))

import patience  # noqa: E402
import words  # noqa: E402
from pools import PLACES, origins  # noqa: E402
from testpmd_words import WORKER  # noqa: E402

MAGTOP = ROOT / "app/magtop/magtop.py"
POOL = "mb_pool_0"
LINES, COLUMNS = 24, 120


def magtop(*arguments):
    """Status, output and errors."""
    done = subprocess.run(
        [sys.executable, "-B", MAGTOP, *arguments],
        capture_output=True,
        text=True,
        timeout=patience.scaled(START_SECONDS),
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def told(pmd):
    """The JSON that magtop prints of a process."""
    status, output, errors = magtop("--json", "-d", "0.2", "-f", pmd.prefix)
    tap.check(status == 0 and not errors, f"status {status}: {errors}")
    return json.loads(output)


class Screen:
    """magtop in a terminal of a tmux server of its own."""

    def __init__(self, prefix, *arguments):
        if shutil.which("tmux") is None:
            raise tap.Skip("tmux is not installed")
        self.server = f"{prefix}-{os.getpid()}"
        # Without the user's configuration, and in a terminal that tmux knows everywhere.
        command = [sys.executable, "-B", str(MAGTOP), "-d", "0.2", "-f", prefix, *arguments]
        self.tmux("new-session", "-d", "-s", "top", "-x", str(COLUMNS), "-y", str(LINES), *command)

    def tmux(self, *arguments):
        done = subprocess.run(
            ["tmux", "-L", self.server, "-f", os.devnull, *arguments],
            capture_output=True,
            text=True,
            env=dict(os.environ, TERM="xterm", LANG="C.UTF-8", LC_ALL="C.UTF-8"),
            check=False,
        )
        tap.check(
            done.returncode == 0 or arguments[0] == "has-session",
            f"tmux {arguments[0]}: {done.stderr}",
        )
        return done

    def text(self):
        return self.tmux("capture-pane", "-p", "-t", "top").stdout

    def shows(self, *parts):
        """Waits until all of these are on the screen."""
        seen = []

        def all_there():
            seen[:] = [self.text()]
            return all(part in seen[0] for part in parts)

        tap.check(patience.until(all_there, START_SECONDS), f"not shown: {parts}\n{seen[0]}")
        return seen[0]

    def keys(self, *keys):
        self.tmux("send-keys", "-t", "top", *keys)

    def ended(self):
        def gone():
            return self.tmux("has-session", "-t", "top").returncode != 0

        return patience.until(gone, COUNT_SECONDS)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(tap.Failure):
            self.tmux("kill-server")


def ours():
    if testpmd.OPS != "magazine":
        raise tap.Skip(f"figures are the driver's, and this run is on {testpmd.OPS}")


def drain(pmd):
    """Empty the rings between the ports."""
    with pmd.forwarding("rxonly"):
        pass
    pmd.require_idle()


with tap.case("numbers, bars and origins are written so that they fit and add up"):
    for value, text in (
        (None, "-"),
        (0, "0"),
        (999, "999"),
        (1000, "1.0k"),
        (99950, "100k"),
        (999499, "999k"),
        (999500, "1.0M"),
        (12.3e9, "12.3G"),
    ):
        tap.check(words.number(value) == text, f"{value}: {words.number(value)}, not {text}")
    pool = {
        "kind": "magazine",
        "objects": 10000,
        "out": 1,
        "lcores": 0,
        "depot": 5000,
        "slabs": 4998,
        "caches": 1,
    }
    bar = dict(words.bar(pool, PLACES, 20))
    tap.check(sum(bar.values()) == 20 and bar["out"] == bar["caches"] == 1, f"{bar}")
    tap.check("lcores" not in bar and bar["depot"] > 1 and bar["slabs"] > 1, f"{bar}")
    whence = origins({"gets": 100, "lcores_in": 40, "slab_allocs": 10})
    tap.check(whence == {"lcore": 60, "depot": 30, "slab": 10}, f"{whence}")

with tap.case("a process that is not there is one sentence, and status 1"):
    status, output, errors = magtop("--once", "-f", "magtop-nobody")
    tap.check(status == 1 and not output, f"status {status}: {output}")
    tap.check("no process listens" in errors and len(errors.splitlines()) == 1, errors)
    status, output, errors = magtop("-d", "0", "--once")
    tap.check(status == 2 and "must be 0.1 to 3600" in errors, f"status {status}: {errors}")

for cache in (0, 128):
    with tap.case(f"text and JSON of a testpmd that forwards, mempool cache {cache}"):
        ours()
        with Testpmd("magtop", RING_PORTS, 2, mbcache=cache) as pmd:
            with pmd.forwarding("flowgen"):
                document = told(pmd)
                status, output, errors = magtop("--once", "-d", "0.2", "-f", pmd.prefix, POOL)
            tap.check(status == 0 and not errors, f"status {status}: {errors}")
            (pool,) = document["pools"]
            tap.check(document["pid"] == pmd.process.pid, f"{document['pid']}")
            tap.check(sum(pool[place] for place in PLACES) == pool["objects"], f"{pool}")
            tap.check(pool["rates"]["gets"] > 0 or cache, f"{pool}")
            tap.check(any(WORKER.match(slot["thread"]) for slot in pool["slots"]), f"{pool}")
            row = next(line for line in output.splitlines() if line.startswith(POOL))
            tap.check(len(row.split()) == 13, row)
            drain(pmd)
            (pool,), (of_pmd,) = told(pmd)["pools"], pmd.pools()
            tap.check(
                (pool["caches"], pool["objects"]) == (of_pmd.cached, of_pmd.size),
                f"{pool}\n{of_pmd}",
            )
            tap.check(
                pool["lcores"] + pool["depot"] + pool["slabs"] == of_pmd.backend,
                f"{pool}\n{of_pmd}",
            )
            status, output, errors = magtop("--advise", "-f", pmd.prefix)
            tap.check(
                status == 0
                and output.startswith(f"{POOL}: {of_pmd.size} objects now; advised: ")
                and "no get failed" in output,
                f"status {status}: {output}{errors}",
            )
            status, _, errors = magtop("--once", "-d", "0.1", "-f", pmd.prefix, "nobody")
            tap.check(
                status == 1 and f"nobody: not there; pools are: {POOL}" in errors,
                f"status {status}: {errors}",
            )
            pmd.quit()

with tap.case("a pool of another handler has what is known of it"):
    with Testpmd("other", RING_PORTS, 1, ops="ring_mp_mc") as pmd:
        (pool,) = told(pmd)["pools"]
        tap.check((pool["kind"], pool["objects"]) == ("other", testpmd.MBUFS), f"{pool}")
        status, output, _ = magtop("--once", "-d", "0.1", "-f", pmd.prefix)
        row = next(line for line in output.splitlines() if line.startswith(POOL))
        tap.check(status == 0 and row.split()[1:3] == ["8.2k", "-"], row)
        pmd.quit()

with tap.case("the screen: pools, lcores, keys, events; it connects again"):
    ours()
    with Testpmd("screen", RING_PORTS, 2, mbcache=0) as pmd, Screen(pmd.prefix) as screen:
        screen.shows(POOL, "8.2k", "1 pools, 1 of magazine", f"pid {pmd.process.pid}")
        screen.keys("h")
        screen.shows("sort by name", "rte_mempool's caches")
        screen.keys("q")
        screen.shows("no events yet")
        with pmd.forwarding("flowgen"):
            screen.keys("Enter")
            screen.shows("-worker", "THREAD", "depot of", "slabs of")
            screen.keys("Escape")
            screen.shows("WHERE")
        drain(pmd)
        pmd.telemetry(f"/magazine/purge,{POOL}")
        screen.shows(f"{POOL}: all magazines were given back (purge 1)")
        screen.keys("+")
        screen.shows("every 0.5 s")
        screen.keys("Space")
        screen.shows("stopped")
        screen.keys("Space")
        pmd.quit()
        screen.shows("waiting: ", "no process")
        with Testpmd("screen", RING_PORTS, 1, mbcache=0, prefix=pmd.prefix) as again:
            screen.shows(f"pid {again.process.pid}", "no events yet")
            again.quit()
        screen.keys("q")
        tap.check(screen.ended(), "q does not end it")

with tap.case("a terminal that is small"):
    ours()
    with Testpmd("small", RING_PORTS, 1) as pmd, Screen(pmd.prefix) as screen:
        screen.shows(POOL)
        for size in ((20, 5), (1, 1), (300, 60)):
            screen.tmux("resize-window", "-t", "top", "-x", str(size[0]), "-y", str(size[1]))
        screen.shows("WHERE", POOL)
        pmd.quit()
tap.finish()
