#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""Who has the mbufs: a slow leak in a testpmd that forwards is told by /magazine/holders, with its
lcore and its age; what circulates, or lies in caches and queues, is told from it.
"""

import os
import pathlib

import tap
import testpmd
from testpmd import NULL_PORTS, RING_PORTS, ROOT, TRAFFIC_SECONDS, Testpmd, wait_for

LIBRARY = (
    pathlib.Path(os.environ.get("MAGAZINE_BUILD", ROOT / "build")) / "test/libleaking_ports.so"
)
POOL = "mb_pool_0"
PLACES = ("out", "lcores", "depot", "slabs", "caches")
EVERY = 20000  # packets for each that is lost
FOUND_SECONDS = 10
GROWN = 10  # answers, one after the other


class Holders:
    """What is asked of the pool, again and again."""

    def __init__(self, pmd):
        self.pmd = pmd
        self.answer = {}
        self.ages = {}
        self.grown = {}  # of each lcore, how often the oldest grew older since it fell
        self.fallen = set()

    def ask(self):
        self.answer = self.pmd.telemetry(f"/magazine/holders,{POOL}")
        before, self.ages = self.ages, dict(zip(self.answer["lcore"], self.answer["oldest_ms"]))
        for lcore, age in before.items():
            if self.ages.get(lcore, 0) > age:
                self.grown[lcore] = self.grown.get(lcore, 0) + 1
            elif self.ages.get(lcore, 0) < age:
                self.grown[lcore] = 0
                self.fallen.add(lcore)

    def objects(self, lcore):
        return dict(zip(self.answer["lcore"], self.answer["objects"])).get(lcore, 0)


def all_circulate(holders, lcores):
    """Waits until what was the oldest of each lcore has been in the pool again."""

    def fallen():
        holders.ask()
        return holders.fallen >= lcores

    wait_for(fallen, TRAFFIC_SECONDS, "the oldest mbufs come back")


def leak_is_found(pmd, holders):
    """Waits until the oldest mbuf of the lcore that leaks has grown older again and again."""
    pmd.telemetry(f"/leak/every,{EVERY}")
    wait_for(lambda: pmd.telemetry("/leak/every")["kept"] > 0, TRAFFIC_SECONDS, "an mbuf is lost")
    leak = pmd.telemetry("/leak/every")

    def found():
        holders.ask()
        return holders.grown.get(leak["lcore"], 0) >= GROWN

    wait_for(found, FOUND_SECONDS, f"a leak of {leak}")
    tap.check(holders.objects(leak["lcore"]) >= leak["kept"], f"{leak}\n{holders.answer}")


def all_is_told(pmd, holders):
    """At rest: what is out, and where the rest is; how many are out."""
    (pool,) = pmd.pools()
    info = pmd.telemetry(f"/magazine/info,{POOL}")
    holders.ask()
    tap.check(sum(info[place] for place in PLACES) == info["objects"] == pool.size, f"{info}")
    tap.check(info["caches"] == pool.cached, f"{info}\n{pool}")
    tap.check(info["lcores"] + info["depot"] + info["slabs"] == pool.backend, f"{info}\n{pool}")
    tap.check(info["out"] == holders.answer["out"], f"{info}\n{holders.answer}")
    tap.check(sum(holders.answer["objects"]) == info["out"], f"{holders.answer}")
    return info["out"]


def ours():
    if testpmd.OPS != "magazine":
        raise tap.Skip(f"answers are the driver's, and this run is on {testpmd.OPS}")


for cache in (0, 250):
    with tap.case(f"a slow leak is found while testpmd forwards, mempool cache {cache}"):
        ours()
        with Testpmd(
            "holders", NULL_PORTS, 2, mbcache=cache, options="holders=1", preload=LIBRARY
        ) as pmd:
            who = Holders(pmd)
            with pmd.forwarding("macswap") as run:
                all_circulate(who, run.lcores)
                leak_is_found(pmd, who)
            lost = pmd.telemetry("/leak/every,0")
            tap.check(all_is_told(pmd, who) == lost["kept"], f"{lost}\n{who.answer}")
            tap.check(who.objects(lost["lcore"]) == lost["kept"], f"{lost}\n{who.answer}")
            tap.check(bool(pmd.pool(POOL).cached) == bool(cache), f"{pmd.pool(POOL)}")
            pmd.quit(held=lost["kept"])

with tap.case("mbufs in the queues of ports are out, and come back"):
    ours()
    with Testpmd("queues", RING_PORTS, 2, options="holders=1") as pmd:
        who = Holders(pmd)
        pmd.forward("flowgen")
        missing = pmd.missing()
        tap.check(missing > 0, "no mbuf is in a queue")
        tap.check(all_is_told(pmd, who) == missing, f"{missing}\n{who.answer}")
        with pmd.forwarding("rxonly"):
            pass
        tap.check(all_is_told(pmd, who) == 0, f"{who.answer}")
        pmd.quit()
tap.finish()
